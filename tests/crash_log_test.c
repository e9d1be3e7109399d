/* crash_log_test.c -- the log and every crash: cases of tasks 2.5 and 2.6.
 *
 * Given.
 *
 * As crash_test, one layer below: what log_replay brings from a log that a
 * crash has cut, torn or left holes in.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "stage2-server/log.h"
#include "tests/crash.h"
#include "tests/driver.h"

enum { VALUE_ROOM = 6000 };

/* The key that is set when all is over. */
enum { EXTRA = 23 };
static const char extra[] = { 'a' + EXTRA, '\0' };

static const char i2[] = "I2 a change is there or not, never anything else";
static const char i6[] = "I6 recovery twice is recovery once";
static const char i9[] = "I9 the torn tail is cut, and appending goes on there";

/* A value is its number, over and over; of many lengths. */
static struct slice bytes_of(unsigned value, uint16_t bytes[VALUE_ROOM / 2])
{
    static const size_t lens[] = { 20, 700, 60, 4500, 90, 1500, 30 };
    size_t len = lens[value % (sizeof lens / sizeof *lens)];

    for (size_t i = 0; i < len / 2; i++)
        bytes[i] = (uint16_t)value;
    return slice_of(bytes, len);
}

static unsigned number_of(struct slice bytes)
{
    uint16_t value, expected[VALUE_ROOM / 2];

    if (bytes.len < 2)
        return CRASH_GARBAGE;
    memcpy(&value, bytes.ptr, 2);
    return slice_equal(bytes_of(value, expected), bytes) ? value
                                                         : CRASH_GARBAGE;
}

/* ---- Writing ------------------------------------------------------------- */

static uint64_t sequence;

/* Sets keys first, first + 1 .. of n values, as one write; a value of 0
 * removes. */
static void append(struct log_file *log, unsigned n, const unsigned *value)
{
    struct record records[8] = { { .sequence = 0 } };
    struct log_position positions[8];
    uint16_t bytes[8][VALUE_ROOM / 2];
    char key[8];
    unsigned last = 0;

    for (unsigned i = 0; i < n; i++) {
        key[i] = (char)('a' + value[i] % 5);
        last = crash_asks(0, value[i] % 5, value[i] % 11 ? value[i] : 0);
        records[i].kind = value[i] % 11 ? RECORD_SET : RECORD_REMOVE;
        records[i].sequence = ++sequence;
        records[i].key = slice_of(&key[i], 1);
        if (value[i] % 11)
            records[i].value = bytes_of(value[i], bytes[i]);
    }
    expect_int("log_append", log_append(log, records, n, positions), 0);
    crash_answered(0, last);
}

static void live(const char *dir, bool sync_each)
{
    unsigned value = 1;
    struct log_file *log = NULL;
    char path[160];

    sequence = 0;
    snprintf(path, sizeof path, "%s/log", dir);
    expect_int("log_open of a new log", log_open(&log, path, LOG_CREATE), 0);
    crash_record(dir);      /* the empty log is on the disk */
    for (unsigned i = 0; i < 8; i++) {
        unsigned values[3] = { value, value + 1, value + 2 };
        append(log, 1 + i % 3, values);
        value += 1 + i % 3;
        if (sync_each || i % 4 == 3) {
            expect_int("log_sync", log_sync(log), 0);
            crash_synced();
        }
        if (i == 5)
            expect_int("log_mark", log_mark(log), 0);
    }
    log_close(log);
    crash_stop();
}

/* ---- Looking ------------------------------------------------------------- */

struct replayed {
    uint16_t value[CRASH_KEYS];
    uint64_t sequence;
    bool strange;
};

static int replay_one(void *arg, const struct record *r,
                      const struct log_position *position)
{
    struct replayed *to = arg;
    unsigned key = r->key.len == 1
        ? *(const unsigned char *)r->key.ptr - (unsigned)'a' : CRASH_KEYS;

    if (key >= CRASH_KEYS || r->sequence != to->sequence + 1 ||
        position->key_len != 1)
        to->strange = true;
    else
        to->value[key] = r->kind == RECORD_REMOVE
            ? CRASH_ABSENT : (uint16_t)number_of(r->value);
    to->sequence = r->sequence;
    return 0;
}

static void broken(struct crash_seen *seen, const char *invariant,
                   const char *detail)
{
    seen->broken = invariant;
    snprintf(seen->detail, sizeof seen->detail, "%s", detail);
}

/* Opens and replays; the log, or NULL. */
static struct log_file *replayed(const char *root, struct replayed *to,
                                 int *error)
{
    struct log_file *log = NULL;
    char path[160];

    snprintf(path, sizeof path, "%s/log", root);
    *to = (struct replayed){ .sequence = 0 };
    *error = log_open(&log, path, LOG_WRITE);
    if (*error)
        return NULL;
    *error = log_replay(log, replay_one, to, NULL);
    if (*error == 0)
        return log;
    log_close(log);
    return NULL;
}

static void again(const char *root, const struct replayed *before,
                  struct crash_seen *seen)
{
    struct replayed now;
    int err;

    crash_count();
    struct log_file *log = replayed(root, &now, &err);
    unsigned made = crash_changes_made();
    crash_stop();
    if (err)
        broken(seen, i6, "a second replay fails");
    else if (made)
        broken(seen, i6, "a second replay writes");
    else if (memcmp(now.value, before->value, sizeof now.value) != 0)
        broken(seen, i6, "a second replay brings something else");
    log_close(log);
}

/* Appends a record, and reads all again. */
static void goes_on(const char *root, const struct replayed *before,
                    struct crash_seen *seen)
{
    uint16_t bytes[VALUE_ROOM / 2];
    struct record r = { .kind = RECORD_SET, .key = slice_str(extra),
                        .sequence = before->sequence + 1,
                        .value = bytes_of(1, bytes) };
    struct log_position position;
    struct replayed now;
    int err;
    struct log_file *log = replayed(root, &now, &err);

    if (log && log_append(log, &r, 1, &position) != 0)
        broken(seen, i9, "appending fails");
    log_close(log);
    if (seen->broken)
        return;
    log = replayed(root, &now, &err);
    log_close(log);
    if (err || now.strange)
        broken(seen, i9, "after another append a replay fails");
    else if (now.sequence != before->sequence + 1 || !now.value[EXTRA])
        broken(seen, i9, "a record that was appended then is lost");
}

/* arg: unless NULL, *arg says that the log may be missing, too. */
static void look(void *arg, const char *root, unsigned nth,
                 struct crash_seen *seen)
{
    struct replayed first;
    struct log_file *log = replayed(root, &first, &seen->error);

    (void)nth;
    if (arg && seen->error == -ENOENT)
        seen->error = 0;
    if (!log)
        return;
    log_close(log);
    memcpy(seen->value, first.value, sizeof seen->value);
    if (first.strange)
        broken(seen, i2, "a record that nobody wrote, or out of order");
    else
        again(root, &first, seen);
    if (!seen->broken)
        goes_on(root, &first, seen);
}

static void explore(const struct run *run, bool power, bool sync_each)
{
    struct crash_plan plan = {
        .look = look, .seed = run->seed, .per_moment = (unsigned)run->size,
        .power = power,
        .tried = sync_each ? "append, sync, append, sync"
                           : "append, append, a sync now and then"
    };
    struct crash_report report;
    char root[128];

    scratch_make(root);
    live(root, sync_each);
    crash_remove(root);
    crash_expect(&plan, &report);
    expect_true("there are disks to look at", report.disks > 10);
}

static void torn_by_kill(const struct run *run)
{
    explore(run, false, false);
}

static void torn_by_power(const struct run *run)
{
    explore(run, true, false);
}

static void synced_stays(const struct run *run)
{
    explore(run, true, true);
}

/* ---- Killed while the log is made ---------------------------------------- */

static void name_is_durable(const char *dir)
{
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    expect_int("fsync of the log's directory", fsync(fd), 0);
    close(fd);
}

static void make_log(void *dir)
{
    struct log_file *log = NULL;
    char path[160];

    snprintf(path, sizeof path, "%s/log", (char *)dir);
    expect_int("log_open of a new log", log_open(&log, path, LOG_CREATE), 0);
}

/* What the killed one has left must open, and is built on: the header that
 * can be read need not be on the disk. */
static void take_over(void *dir)
{
    static const unsigned values[] = { 1, 2, 3, 4 };
    struct replayed first;
    int err;

    sequence = 0;
    name_is_durable(dir);
    struct log_file *log = replayed(dir, &first, &err);
    if (err == -ENOENT) {
        make_log(dir);
        name_is_durable(dir);
        log = replayed(dir, &first, &err);
    }
    expect_int("opening and replaying a log whose maker was killed", err, 0);
    append(log, 3, values);         /* more than a page: the first may be
                                       missing, and the file as long */
    expect_int("log_sync", log_sync(log), 0);
    crash_synced();
    append(log, 1, values + 3);
}

/* The first process ends after its call `fault->at` or within that write;
 * false when it lived to its end. */
static bool one_maker(const struct run *run, const struct crash_fault *fault)
{
    char tried[80], root[128];
    bool may_be_missing = true;
    struct crash_plan plan = {
        .look = look, .arg = &may_be_missing, .seed = run->seed,
        .per_moment = (unsigned)run->size, .power = true, .tried = tried
    };
    struct crash_report report;

    scratch_make(root);
    crash_record(root);
    bool killed = crash_life(make_log, root, fault);
    crash_life(take_over, root, NULL);
    crash_stop();
    crash_remove(root);
    snprintf(tried, sizeof tried, "LOG_CREATE, killed %s %u; another appends",
             fault->kind == CRASH_KILL_WITHIN
             ? "within its write" : "after its call", fault->at);
    crash_expect(&plan, &report);
    expect_true("there are disks to look at", report.disks > 5);
    return killed;
}

static void killed_making(const struct run *run)
{
    struct crash_fault after = { CRASH_ANY, CRASH_KILL_AFTER, 0, 1, 1 };
    struct crash_fault within = { CRASH_WRITE, CRASH_KILL_WITHIN, 0, 1, 1 };

    while (one_maker(run, &after) && after.at < 20)
        after.at++;
    expect_true("making a log makes several calls", after.at > 2);
    while (one_maker(run, &within) && within.at < 20)
        within.at++;
}

/* ---- Built on after a failed sync ---------------------------------------- */

/* Replays, appends what fills more than a page, syncs; opens and replays once
 * more. All of this syncs, and one of the syncs fails. */
static void doubtful_life(const char *root)
{
    static const unsigned values[] = { 1, 2, 3 };
    struct replayed r;
    int err;
    struct log_file *log = replayed(root, &r, &err);

    if (log) {
        append(log, 3, values);
        if (log_sync(log) == 0)
            crash_synced();
    }
    log_close(log);
    log_close(replayed(root, &r, &err));
}

/* All that can be read is clean to the kernel then, on the disk or not. */
static bool built_on(const struct run *run, unsigned at)
{
    static const unsigned values[] = { 4, 5, 6, 7 };
    struct crash_fault fault = { CRASH_SYNC, CRASH_FAIL, EIO, at, 1 };
    struct crash_report report;
    struct log_file *log;
    struct replayed r;
    char tried[80], root[128];
    int err;

    sequence = 0;
    scratch_make(root);
    make_log(root);
    crash_record(root);
    crash_fault(&fault);
    doubtful_life(root);
    bool hit = crash_fault_hits() > 0;
    crash_fault(NULL);
    size_t from = crash_events();
    log = replayed(root, &r, &err);
    expect_int("opening and replaying after a failed sync", err, 0);
    append(log, 3, values);
    expect_int("log_sync", log_sync(log), 0);
    crash_synced();
    append(log, 1, values + 3);
    log_close(log);
    crash_stop();
    crash_remove(root);
    snprintf(tried, sizeof tried, "sync %u fails; then opened, replayed, "
             "3 records appended and synced", at);
    crash_expect(&(struct crash_plan){
        .look = look, .seed = run->seed, .per_moment = (unsigned)run->size,
        .from = from, .power = true, .tried = tried }, &report);
    return hit;
}

static void failed_sync_before(const struct run *run)
{
    unsigned at = 1;

    while (at < 20 && built_on(run, at))
        at++;
    expect_true("log_replay syncs, log_sync, and log_replay again", at > 3);
}

static const struct test_case cases[] = {
    { "torn_by_kill", torn_by_kill, 0 },
    { "torn_by_power", torn_by_power, 60 },
    { "synced_stays", synced_stays, 60 },
    { "killed_making", killed_making, 30 },
    { "failed_sync_before", failed_sync_before, 30 },
    { NULL, NULL, 0 },
};

int main(int argc, char **argv)
{
    return driver_main(argc, argv, cases);
}
