/* crash_self_test.c -- does the crash explorer find what it is for?
 *
 * Given.
 *
 * A store of one file in a hundred lines, right as it stands, and the same
 * with one mistake at a time: each must be found, and called by its name.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/crash.h"
#include "tests/driver.h"

enum plant {
    NOTHING, SET_NOT_SYNCED, FILE_NAME_NOT_SYNCED, OUTPUT_NOT_SYNCED,
    RENAME_BEFORE_SYNC, RENAME_NOT_SYNCED, OLD_REMOVED_FIRST, NO_CHECKSUM,
    TAIL_NOT_CUT, TAIL_CUT_EACH_TIME, SYNC_RETRIED, REMOVE_FORGOTTEN,
    WRITTEN_AGAIN       /* and synced again: no mistake */
};

enum { SIZE = 600 };        /* of a record: it may tear at a sector */

struct note {
    uint32_t sum;
    uint16_t key, value;
    unsigned char fill[SIZE - 8];
};

struct tiny {
    enum plant plant;
    int dir, fd;
    off_t end;
    uint16_t value[CRASH_KEYS];
};

static uint32_t sum_of(const struct note *n)
{
    const unsigned char *bytes = (const unsigned char *)n;
    uint32_t sum = 17;

    for (size_t i = sizeof n->sum; i < sizeof *n; i++)
        sum = sum * 31 + bytes[i];
    return sum;
}

static struct note note_of(unsigned key, unsigned value)
{
    struct note n = { .key = (uint16_t)key, .value = (uint16_t)value };

    memset(n.fill, (int)value + 1, sizeof n.fill);
    n.sum = sum_of(&n);
    return n;
}

static int tiny_open(struct tiny *t, const char *root, enum plant plant)
{
    char path[200];
    struct note n;
    struct stat st;

    *t = (struct tiny){ .plant = plant };
    snprintf(path, sizeof path, "%s/tiny", root);
    if (mkdir(path, 0755) == 0) {
        int parent = open(root, O_RDONLY | O_DIRECTORY);
        fsync(parent);
        close(parent);
    }
    t->dir = open(path, O_RDONLY | O_DIRECTORY);
    if (unlinkat(t->dir, "data.tmp", 0) == 0)
        fsync(t->dir);
    bool is_new = faccessat(t->dir, "data", F_OK, 0) != 0;
    t->fd = openat(t->dir, "data", O_RDWR | O_CREAT, 0644);
    if (is_new && plant != FILE_NAME_NOT_SYNCED)
        fsync(t->dir);
    while (pread(t->fd, &n, SIZE, t->end) == SIZE &&
           (plant == NO_CHECKSUM || sum_of(&n) == n.sum)) {
        if (n.key < CRASH_KEYS)
            t->value[n.key] = n.value;
        t->end += SIZE;
    }
    if (plant == TAIL_CUT_EACH_TIME ||
        (fstat(t->fd, &st) == 0 && st.st_size > t->end)) {
        if (plant == TAIL_NOT_CUT)
            t->end = st.st_size;
        else if (plant == TAIL_CUT_EACH_TIME)
            pwrite(t->fd, "", 1, t->end);   /* needless: I6 */
        ftruncate(t->fd, t->end);
    }
    fsync(t->fd);
    return 0;
}

static void tiny_close(struct tiny *t)
{
    close(t->fd);
    close(t->dir);
}

static int tiny_set(struct tiny *t, unsigned key, unsigned value)
{
    struct note n = note_of(key, value);

    if (pwrite(t->fd, &n, SIZE, t->end) != SIZE)
        return -EIO;
    t->end += SIZE;
    int failed = t->plant == SET_NOT_SYNCED ? 0 : fsync(t->fd);
    if (failed && t->plant == SYNC_RETRIED)
        failed = fsync(t->fd);
    if (failed && t->plant == WRITTEN_AGAIN)
        failed = pwrite(t->fd, &n, SIZE, t->end - SIZE) != SIZE ||
                 fsync(t->fd) != 0;
    if (failed)
        return -EIO;
    t->value[key] = (uint16_t)value;
    return 0;
}

static void tiny_compact(struct tiny *t)
{
    int fd = openat(t->dir, "data.tmp", O_RDWR | O_CREAT | O_TRUNC, 0644);
    off_t end = 0;

    for (unsigned k = 0; k < CRASH_KEYS; k++)
        if (t->value[k]) {
            struct note n = note_of(k, t->value[k]);
            pwrite(fd, &n, SIZE, end);
            end += SIZE;
        }
    if (t->plant != OUTPUT_NOT_SYNCED && t->plant != RENAME_BEFORE_SYNC)
        fsync(fd);
    if (t->plant == OLD_REMOVED_FIRST)
        unlinkat(t->dir, "data", 0);
    renameat(t->dir, "data.tmp", t->dir, "data");
    if (t->plant == RENAME_BEFORE_SYNC)
        fsync(fd);
    if (t->plant != RENAME_NOT_SYNCED)
        fsync(t->dir);
    close(t->fd);
    t->fd = fd;
    t->end = end;
}

/* ---- The workload, and looking at what is left of it --------------------- */

static void change(struct tiny *t, unsigned key, unsigned value)
{
    unsigned n = crash_asks(0, key, value);

    if (tiny_set(t, key, value) == 0) {
        crash_answered(0, n);
        crash_promised(0, n);
    }
}

static void work(const char *root, enum plant plant)
{
    struct crash_fault fault = { .calls = CRASH_SYNC, .kind = CRASH_FAIL,
                                 .err = EIO, .at = 2, .times = 1 };
    struct tiny t;

    crash_record(root);
    crash_phase("opening");
    tiny_open(&t, root, plant);
    crash_phase("");
    for (unsigned i = 1; i <= 6; i++)
        change(&t, i % 3, i);
    if (plant != REMOVE_FORGOTTEN)
        change(&t, 1, CRASH_ABSENT);
    else
        crash_answered(0, crash_asks(0, 1, CRASH_ABSENT));
    if (plant == SYNC_RETRIED || plant == WRITTEN_AGAIN)
        crash_fault(&fault);
    if (plant != OUTPUT_NOT_SYNCED && plant != RENAME_BEFORE_SYNC) {
        change(&t, 4, 10);
        change(&t, 5, 11);
    }
    crash_phase("compaction");
    tiny_compact(&t);
    crash_phase("");
    change(&t, 2, 12);
    change(&t, 0, 13);
    crash_stop();
    tiny_close(&t);
}

static void tiny_look(void *arg, const char *root, unsigned nth,
                      struct crash_seen *seen)
{
    enum plant plant = *(enum plant *)arg;
    struct tiny t;

    (void)nth;
    tiny_open(&t, root, plant);
    memcpy(seen->value, t.value, sizeof seen->value);
    tiny_set(&t, CRASH_KEYS - 1, 1);
    tiny_close(&t);

    crash_count();
    tiny_open(&t, root, plant);
    crash_stop();
    if (crash_changes_made() > 0) {
        seen->broken = "I6 recovery twice is recovery once";
        snprintf(seen->detail, sizeof seen->detail, "it writes again");
    } else if (t.value[CRASH_KEYS - 1] != 1) {
        seen->broken = "I9 appending goes on where the tail was cut";
        snprintf(seen->detail, sizeof seen->detail, "a later set is gone");
    }
    tiny_close(&t);
}

static void explored(enum plant plant, bool power, struct crash_report *report)
{
    char root[128];
    struct crash_plan plan = { .look = tiny_look, .arg = &plant, .seed = 1,
                               .per_moment = 60, .power = power,
                               .tried = "a tiny store" };

    scratch_make(root);
    work(root, plant);
    crash_remove(root);
    crash_explore(&plan, report);
}

static void must_be_right(enum plant plant)
{
    struct crash_report report;

    explored(plant, true, &report);
    if (report.invariant)
        fail_case(__FILE__, __LINE__, report.when, "nothing to find", "%s: %s",
                  report.invariant, report.got);
    expect_true("there are many disks to look at", report.disks > 100);
    expect_true("and many states", report.states > 400);
}

static void right_store(const struct run *run)
{
    (void)run;
    must_be_right(NOTHING);
}

/* Bytes that a failed sync may have lost, and that were written again. */
static void written_again(const struct run *run)
{
    (void)run;
    must_be_right(WRITTEN_AGAIN);
}

static void must_find(enum plant plant, bool power, const char *invariant)
{
    struct crash_report report;

    explored(plant, power, &report);
    expect_true("the planted mistake is found", report.invariant != NULL);
    if (strncmp(report.invariant, invariant, strlen(invariant)) != 0)
        fail_case(__FILE__, __LINE__, report.when, invariant, "%s: %s",
                  report.invariant, report.got);
    printf("%s: %s; %s\n", report.invariant, report.when, report.got);
}

static void plants(const struct run *run)
{
    (void)run;
    must_find(SET_NOT_SYNCED, true, "I1");
    must_find(FILE_NAME_NOT_SYNCED, true, "I1");
    must_find(OUTPUT_NOT_SYNCED, true, "I7");
    must_find(RENAME_BEFORE_SYNC, true, "I7");
    must_find(OLD_REMOVED_FIRST, false, "I7");
    must_find(RENAME_NOT_SYNCED, true, "I1");
    must_find(NO_CHECKSUM, true, "I");
    must_find(TAIL_NOT_CUT, false, "I");
    must_find(TAIL_CUT_EACH_TIME, false, "I6");
    must_find(SYNC_RETRIED, true, "I1");
    must_find(REMOVE_FORGOTTEN, false, "I4");
}

/* What dies in the middle of a write has written half of it, and another
 * process goes on with the record. */
static void kill_and_faults(const struct run *run)
{
    struct crash_fault fault = { .calls = CRASH_WRITE, .at = 3 };
    char root[128];
    struct tiny t;
    int status;

    (void)run;
    scratch_make(root);
    crash_record(root);
    for (int kind = CRASH_FAIL; kind <= CRASH_SHORT; kind++) {
        fault.kind = (enum crash_fault_kind)kind;
        fault.err = ENOSPC;
        fault.times = 1;
        tiny_open(&t, root, NOTHING);
        crash_fault(&fault);
        for (unsigned i = 1; i <= 5; i++)
            expect_int("tiny_set", tiny_set(&t, 1, i), i == 3 ? -EIO : 0);
        expect_int("calls that were counted", crash_fault_seen(), 5);
        expect_int("calls that were hit", crash_fault_hits(), 1);
        crash_fault(NULL);
        tiny_close(&t);
    }
    size_t before = crash_events();
    pid_t child = fork();
    if (child == 0) {
        fault.kind = CRASH_KILL_WITHIN;
        tiny_open(&t, root, NOTHING);
        crash_fault(&fault);
        for (unsigned i = 1; i <= 5; i++)
            tiny_set(&t, 1, 20 + i);
        _exit(0);
    }
    expect_int("waitpid", waitpid(child, &status, 0), child);
    expect_true("the child was killed", WIFSIGNALED(status) != 0);
    expect_true("the child's calls are in the record", crash_events() > before);
    tiny_open(&t, root, NOTHING);
    expect_int("what the child set last", t.value[1], 22);
    crash_stop();
    tiny_close(&t);
    crash_remove(root);
}

/* A stream is seen, too. */
static void streams_are_seen(const struct run *run)
{
    char root[128], path[200];

    (void)run;
    scratch_make(root);
    crash_record(root);
    size_t before = crash_events();
    snprintf(path, sizeof path, "%s/words", root);
    FILE *f = fopen(path, "w");
    fprintf(f, "some words\n");
    expect_int("fflush", fflush(f), 0);
    expect_int("fsync of a stream", fsync(fileno(f)), 0);
    fclose(f);
    expect_int("events: new file, write, sync", crash_events() - before, 3);
    crash_stop();
    crash_remove(root);
}

static const struct test_case cases[] = {
    { "right_store", right_store, 0 },
    { "written_again", written_again, 0 },
    { "plants", plants, 0 },
    { "kill_and_faults", kill_and_faults, 0 },
    { "streams_are_seen", streams_are_seen, 0 },
    { NULL, NULL, 0 },
};

int main(int argc, char **argv)
{
    return driver_main(argc, argv, cases);
}
