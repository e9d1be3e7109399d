/* many_test.c -- the store of many logs: opening, rotation, hints (task 5.5).
 *
 * Given.
 *
 * No case of this task compacts: the store's own compactors are kept away.
 */
#include "tests/many_rig.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/log.h"
#include "stage5-compaction/hint.h"
#include "tests/crash.h"

enum { SMALL = 4096, VALUE = 200 };

static const struct store_options small = { .segment_size = SMALL };

static void text_of(char text[VALUE + 1], size_t n)
{
    memset(text, 'a' + (int)(n % 26), VALUE);
    text[VALUE] = '\0';
    snprintf(text, VALUE, "value %zu.", n);
    text[strlen(text)] = ' ';
}

/* Keys 0 .. n - 1; a third of them set again, a fifth removed. */
static void fill(struct rig *r, size_t n)
{
    char key[32], text[VALUE + 1];

    for (size_t i = 0; i < n; i++) {
        key_of(key, i);
        text_of(text, i);
        expect_int("store_set", rig_put(r, key, text), 0);
        if (i % 3 == 2) {
            key_of(key, i / 3);
            text_of(text, 1000 + i / 3);
            expect_int("store_set of a key that is there",
                       rig_put(r, key, text), 0);
        }
    }
    for (size_t i = 0; i < n; i += 5) {
        key_of(key, i);
        expect_int("store_remove", rig_drop(r, key), 0);
    }
}

static void check_filled(const char *tried, struct rig *r, size_t n)
{
    char key[32], text[VALUE + 1];

    for (size_t i = 0; i < n; i++) {
        key_of(key, i);
        text_of(text, i < n / 3 ? 1000 + i : i);
        expect_value(tried, r, key, i % 5 ? text : NULL);
    }
    expect_int(tried, rig_stats(r).keys, n - (n + 4) / 5);
}

/* ---- a directory of stage 2 ---------------------------------------------- */

static void copy_data(const char *name, const char *dir)
{
    unsigned char bytes[8192];
    char from[120], to[120];

    snprintf(from, sizeof from, "tests/data/stage2/%s", name);
    snprintf(to, sizeof to, "%s/%s", dir, name);
    write_file(to, bytes, read_file(from, bytes, sizeof bytes));
}

static void check_stage2(struct rig *r, const char *second)
{
    struct buf value = { 0 };

    expect_value("a store of stage 2", r, "first", "one");
    expect_value("set again after its compaction", r, "second", second);
    expect_value("a store of stage 2", r, "third", "three");
    expect_value("an empty value", r, "empty", "");
    expect_value("removed before its compaction", r, "gone", NULL);
    expect_value("removed after its compaction", r, "removed", NULL);
    expect_value("its last change was a remove", r, "removed-before", NULL);
    expect_int("a longer value", store_get(r->store, slice_str("long"),
               &value), 0);
    expect_int("how long it is", value.len, 491);
    buf_release(&value);
}

static unsigned marker_format(const char *dir)
{
    unsigned char bytes[200] = { 0 };
    char path[120];

    snprintf(path, sizeof path, "%s/" DIR_MARKER, dir);
    read_file(path, bytes, sizeof bytes - 1);
    const char *at = strstr((char *)bytes, "format ");
    return at ? (unsigned)atoi(at + 7) : 0;
}

static void stage2_opens(const struct run *run)
{
    struct rig r = { .options = small, .alone = true };

    (void)run;
    scratch_make(r.dir);
    copy_data(DIR_MARKER, r.dir);
    copy_data("00000002.log", r.dir);
    r.options.read_only = true;
    r.alone = false;
    rig_open(&r);
    check_stage2(&r, "two");
    rig_close(&r);
    expect_int("the format after reading only", marker_format(r.dir), 1);
    r.options.read_only = false;
    r.alone = true;
    rig_open(&r);
    check_stage2(&r, "two");
    expect_int("keys", rig_stats(&r).keys, 5);
    expect_int("the sequence number goes on", rig_stats(&r).sequence, 11);
    expect_int("store_set", rig_put(&r, "second", "2"), 0);
    expect_int("store_set", rig_put(&r, "new", "of stage 5"), 0);
    for (int round = 0; round < 3; round++) {
        check_stage2(&r, "2");
        expect_value("what was set since", &r, "new", "of stage 5");
        rig_close(&r);
        rig_open(&r);
    }
    rig_leave(&r);
}

/* A format that may never reach the disk is taken back. */
static void upgrade_in_doubt(const char *path)
{
    struct crash_fault names = { CRASH_SYNC, CRASH_FAIL, EIO, 2, 1 };
    struct dir dir;

    expect_int("dir_open", dir_open(&dir, path, "kvs", 1, false), 0);
    crash_count();
    crash_fault(&names);
    expect_int("dir_set_format, the directory's sync fails",
               dir_set_format(&dir, STORE_FORMAT), -EIO);
    crash_fault(NULL);
    crash_stop();
    dir_close(&dir);
    expect_int("the format in the marker", marker_format(path), 1);
}

/* Stage 2's programs leave it alone from then on. */
static void stage2_refuses(const struct run *run)
{
    struct rig r = { .options = small, .alone = true };
    struct dir dir;

    (void)run;
    scratch_make(r.dir);
    copy_data(DIR_MARKER, r.dir);
    copy_data("00000002.log", r.dir);
    upgrade_in_doubt(r.dir);
    rig_open(&r);
    check_stage2(&r, "two");
    rig_close(&r);
    expect_int("stage 2's store opens it", dir_open(&dir, r.dir, "kvs", 1,
               false), -ENOTSUP);
    expect_int("the format in the marker", marker_format(r.dir), STORE_FORMAT);
    rig_open(&r);
    check_stage2(&r, "two");
    rig_leave(&r);
}

/* Killed between the rename and the unlink of its compaction, stage 2 leaves
 * two logs: the newest counts. */
static void stage2_newest_counts(const struct run *run)
{
    static unsigned char bytes[8192];
    struct rig r = { .options = small, .alone = true };
    char path[200];

    (void)run;
    scratch_make(r.dir);
    copy_data(DIR_MARKER, r.dir);
    copy_data("00000002.log", r.dir);
    rig_path(path, &r, 2, ".log");
    size_t n = read_file(path, bytes, sizeof bytes);
    rig_path(path, &r, 1, ".log");
    write_file(path, bytes, n - 200);
    expect_int("I11: opening, a log of stage 2 and an older one",
               rig_try_open(&r), 0);
    check_stage2(&r, "two");
    expect_int("I11: the older log is removed", access(path, F_OK), -1);
    expect_int("keys", rig_stats(&r).keys, 5);
    rig_close(&r);
    rig_open(&r);
    check_stage2(&r, "two");
    rig_leave(&r);
}

/* ---- rotation ------------------------------------------------------------ */

struct file_sum {
    size_t logs, largest;
};

static struct file_sum logs_of(const struct rig *r)
{
    struct file_sum sum = { 0, 0 };
    struct stat st;
    DIR *d = opendir(r->dir);

    for (struct dirent *e; d && (e = readdir(d));) {
        if (dir_log_generation(e->d_name) == 0)
            continue;
        expect_int("stat", fstatat(dirfd(d), e->d_name, &st, 0), 0);
        sum.logs++;
        if ((size_t)st.st_size > sum.largest)
            sum.largest = (size_t)st.st_size;
    }
    if (d)
        closedir(d);
    return sum;
}

static void rotates(const struct run *run)
{
    struct rig r;

    rig_make_alone(&r, small);
    fill(&r, run->size);
    check_filled("many segments", &r, run->size);
    struct file_sum sum = logs_of(&r);
    size_t bytes = run->size * 4 / 3 * record_size(5, VALUE);
    expect_true("it is spread over files of the segment size",
                sum.logs >= bytes / SMALL && sum.logs <= 2 * bytes / SMALL);
    expect_at_most("bytes of the largest file", sum.largest, SMALL + 512);
    expect_int("segments, as the statistics have it", rig_stats(&r).segments,
               sum.logs);
    expect_int("I10: all but the active one are sealed",
               rig_segments(&r, true), sum.logs - 1);
    for (int round = 0; round < 3; round++) {
        rig_close(&r);
        rig_open(&r);
        check_filled("many segments, after reopening", &r, run->size);
        expect_int("store_set goes on", rig_put(&r, "key0", "x"), 0);
        expect_int("store_remove goes on", rig_drop(&r, "key0"), 0);
    }
    rig_leave(&r);
}

/* What is larger than a segment has one for itself; a batch is one write, and
 * is not torn apart. */
static void larger_than_a_segment(const struct run *run)
{
    static char value[3 * SMALL];
    static char texts[40][VALUE + 1];
    struct store_op ops[40] = { { .kind = STORE_SET } };
    char keys[40][32];
    struct rig r;

    (void)run;
    rig_make_alone(&r, small);
    memset(value, 'v', sizeof value - 1);
    expect_int("store_set", rig_put(&r, "before", "b"), 0);
    uint64_t first = rig_active(&r);
    expect_int("a large value", rig_put(&r, "large", value), 0);
    expect_true("it begins a segment", rig_active(&r) > first);
    first = rig_active(&r);
    expect_int("a small one", rig_put(&r, "after", "a"), 0);
    expect_true("and so does what comes next", rig_active(&r) > first);
    first = rig_active(&r);
    for (size_t i = 0; i < 40; i++) {
        key_of(keys[i], i);
        text_of(texts[i], i);
        ops[i] = (struct store_op){ .kind = STORE_SET,
            .key = slice_str(keys[i]), .value = slice_str(texts[i]) };
    }
    expect_int("a large batch", store_apply(r.store, ops, 40), 0);
    expect_int("segments that it fills", rig_active(&r) - first, 1);
    for (int round = 0; round < 2; round++) {
        expect_value("the large value", &r, "large", value);
        expect_value("the one before", &r, "before", "b");
        expect_value("the one after", &r, "after", "a");
        for (size_t i = 0; i < 40; i++)
            expect_value("a key of the batch", &r, keys[i], texts[i]);
        rig_close(&r);
        rig_open(&r);
    }
    rig_leave(&r);
}

/* The numbers of the segments after reopening are those before, with and
 * without hints. */
static void counters_again(const struct run *run)
{
    struct rig r;

    rig_make_alone(&r, small);
    fill(&r, run->size);
    struct store_stats before = rig_stats(&r);
    size_t live = 0;
    for (size_t i = 0; i < run->size; i++)
        if (i % 5) {
            char key[32];
            key_of(key, i);
            live += record_size(strlen(key), VALUE);
        }
    expect_int("live bytes", before.live_bytes, live);
    expect_true("tombstones are pinned", before.pinned_bytes > 0 &&
                before.pinned_bytes < before.dead_bytes);
    for (int round = 0; round < 4; round++) {
        rig_close(&r);
        if (round == 2)
            remove_ending(r.dir, ".hint");
        rig_open(&r);
        struct store_stats now = rig_stats(&r);
        expect_int("keys after a restart", now.keys, before.keys);
        expect_int("live bytes after a restart", now.live_bytes,
                   before.live_bytes);
        expect_int("dead bytes after a restart", now.dead_bytes,
                   before.dead_bytes);
        expect_int("pinned bytes after a restart", now.pinned_bytes,
                   before.pinned_bytes);
        expect_int("the sequence number after a restart", now.sequence,
                   before.sequence);
    }
    expect_int("store_set", rig_put(&r, "key1", "short"), 0);
    expect_int("live bytes after one more set", rig_stats(&r).live_bytes,
               live - VALUE + 5);
    rig_leave(&r);
}

static void few_descriptors(const struct run *run)
{
    unsigned before = descriptors();
    struct rig r;

    rig_make_alone(&r, small);
    fill(&r, run->size);
    check_filled("many segments", &r, run->size);
    expect_at_most("I8: descriptors of an open store", descriptors() - before,
                   2 * rig_stats(&r).segments + 8);
    rig_close(&r);
    expect_int("descriptors after close", descriptors(), before);
    rig_open(&r);
    check_filled("many segments, after reopening", &r, run->size);
    rig_close(&r);
    expect_int("descriptors after another close", descriptors(), before);
    rig_leave(&r);
}

/* Each call that a rotation makes fails once: the change is answered with an
 * error and is not there, or is there; the next one works, but after a failed
 * sync. */
static const struct fault_kind {
    unsigned calls;
    int err;
} fault_kinds[] = {
    { CRASH_OPEN | CRASH_WRITE, ENOSPC }, { CRASH_OPEN | CRASH_WRITE, EIO },
    { CRASH_SYNC, EIO }
};

/* True while there was a call to be hit. */
static bool one_fault(const struct fault_kind *k, unsigned at)
{
    struct crash_fault fault = { k->calls, CRASH_FAIL, k->err, at, 1 };
    char text[VALUE + 1];
    struct rig r;

    text_of(text, 7);
    rig_make_alone(&r, (struct store_options){ .segment_size = 1 });
    expect_int("store_set", rig_put(&r, "a", "old"), 0);
    crash_count();
    crash_fault(&fault);
    int err = rig_put(&r, "b", text);
    unsigned hits = crash_fault_hits();
    crash_fault(NULL);
    crash_stop();
    bool failed = rig_stats(&r).failed;
    expect_true("I13: a failed sync is answered",
                k->calls != CRASH_SYNC || !hits || err);
    expect_int("I13: after an error a later set", rig_put(&r, "c", "new"),
               failed ? -EROFS : 0);
    expect_value("what was there before", &r, "a", "old");
    expect_value("the set that met an error", &r, "b", err ? NULL : text);
    expect_int("store_close", store_close(r.store), failed ? -EROFS : 0);
    rig_open(&r);
    expect_value("I1, after reopening: what was there", &r, "a", "old");
    expect_value("I1, after reopening: a later set", &r, "c",
                 failed ? NULL : "new");
    if (err && !failed)
        expect_value("after reopening: the set that met an error", &r, "b",
                     NULL);
    else if (!err)
        expect_value("I1: an acknowledged set", &r, "b", text);
    expect_int("store_set goes on", rig_put(&r, "d", "x"), 0);
    rig_leave(&r);
    return hits > 0;
}

static void rotation_faults(const struct run *run)
{
    (void)run;
    for (size_t k = 0; k < sizeof fault_kinds / sizeof *fault_kinds; k++) {
        unsigned at = 1;

        while (at < 100 && one_fault(&fault_kinds[k], at))
            at++;
        expect_true("a rotation makes several calls", at > 2);
    }
}

/* ---- several threads ----------------------------------------------------- */

enum { CREW = 4 };

struct setter {
    struct actor actor;
    struct rig *rig;
    size_t number, rounds;
};

static void set_own(void *arg)
{
    struct setter *s = arg;
    char key[32], text[VALUE + 1];

    for (size_t i = 1; i <= s->rounds; i++) {
        snprintf(key, sizeof key, "own%zu.%zu", s->number, i % 3);
        text_of(text, i);
        expect_int("store_set", rig_put(s->rig, key, text), 0);
        expect_value("what this thread has just set", s->rig, key, text);
        snprintf(key, sizeof key, "own%zu.%zu", (s->number + 1) % CREW, i % 3);
        struct buf value = { 0 };
        int err = store_get(s->rig->store, slice_str(key), &value);
        expect_true("a get of another's key", err == 0 || err == -ENOENT);
        expect_true("its value is whole", err || value.len == VALUE);
        buf_release(&value);
    }
}

static void rotate_in_a_crowd(const struct run *run)
{
    struct setter setters[CREW];
    char key[32], text[VALUE + 1];
    struct rig r;

    rig_make_alone(&r, (struct store_options){ .segment_size = 2048 });
    for (size_t t = 0; t < CREW; t++) {
        setters[t] = (struct setter){ .rig = &r, .number = t,
                                      .rounds = run->size };
        actor_start(&setters[t].actor, set_own, &setters[t]);
    }
    for (size_t t = 0; t < CREW; t++)
        actor_join(&setters[t].actor);
    expect_true("there were several segments", rig_segments(&r, false) > 2);
    for (int round = 0; round < 2; round++) {
        for (size_t t = 0; t < CREW; t++)
            for (size_t i = run->size - 2; i <= run->size; i++) {
                snprintf(key, sizeof key, "own%zu.%zu", t, i % 3);
                text_of(text, i);
                expect_value("the last set of each key", &r, key, text);
            }
        rig_close(&r);
        rig_open(&r);
    }
    rig_leave(&r);
}

/* ---- generations and leftovers ------------------------------------------- */

static void leftovers_go(const struct run *run)
{
    static unsigned char bytes[1 << 16];
    struct rig r;
    char path[200], piece[200], hint[200], newhint[200];

    rig_make_alone(&r, small);
    fill(&r, run->size);
    uint64_t last = rig_active(&r);
    rig_close(&r);
    rig_path(path, &r, last, ".log");
    size_t n = read_file(path, bytes, sizeof bytes);
    rig_path(piece, &r, last + 5, ".log.new");
    write_file(piece, bytes, n / 2);
    rig_path(hint, &r, last + 7, ".hint");
    write_file(hint, bytes, 40);
    rig_path(newhint, &r, 1, ".hint.new");
    write_file(newhint, bytes, 40);
    r.options.read_only = true;
    r.alone = false;
    rig_open(&r);
    check_filled("I11: beside leftovers of a crash, read only", &r, run->size);
    rig_close(&r);
    expect_int("read only removes nothing", access(piece, F_OK), 0);
    r.options.read_only = false;
    r.alone = true;
    rig_open(&r);
    check_filled("I11: beside leftovers of a crash", &r, run->size);
    expect_int("I11: an unfinished log is removed", access(piece, F_OK), -1);
    expect_int("I11: a hint without a log, too", access(hint, F_OK), -1);
    expect_int("I11: an unfinished hint, too", access(newhint, F_OK), -1);
    rig_leave(&r);
}

/* The making of a segment that a crash has interrupted: nothing is in it. */
static void begun_and_empty(const struct run *run)
{
    static unsigned char bytes[1 << 16];

    for (size_t len = 0; len <= 40; len += 8) {
        struct rig r;
        char path[200];
        rig_make_alone(&r, small);
        fill(&r, run->size);
        uint64_t last = rig_active(&r);
        rig_close(&r);
        rig_path(path, &r, last, ".log");
        read_file(path, bytes, sizeof bytes);
        rig_path(path, &r, last + 1, ".log");
        write_file(path, bytes, len);
        for (int round = 0; round < 2; round++) {
            rig_open(&r);
            check_filled("I9: a segment was begun, nothing is in it", &r,
                         run->size);
            expect_int("store_set", rig_put(&r, "key0", "x"), 0);
            expect_true("I11: its generation is not used again",
                        rig_active(&r) != last + 1);
            expect_int("store_remove", rig_drop(&r, "key0"), 0);
            rig_close(&r);
        }
        rig_leave(&r);
    }
}

static uint64_t highest(const struct rig *r)
{
    uint64_t most = 0;
    DIR *d = opendir(r->dir);

    for (struct dirent *e; d && (e = readdir(d));)
        if (dir_log_generation(e->d_name) > most)
            most = dir_log_generation(e->d_name);
    if (d)
        closedir(d);
    return most;
}

static void generations_go_up(const struct run *run)
{
    uint64_t seen = 0;
    char key[32];
    struct rig r;

    rig_make_alone(&r, (struct store_options){ .segment_size = 1 });
    for (size_t i = 0; i < run->size; i++) {
        key_of(key, i % 4);
        if (i % 3 == 2)
            rig_drop(&r, key);
        else
            expect_int("store_set", rig_put(&r, key, key), 0);
        expect_true("I11: a generation is never used again",
                    rig_active(&r) > seen || i % 3 == 2);
        seen = highest(&r);
        if (i % 5 == 4) {
            rig_close(&r);
            rig_open(&r);
        }
    }
    expect_at_most("generations used", seen, run->size);
    rig_leave(&r);
}

/* ---- hints --------------------------------------------------------------- */

struct spoiled {
    const char *what;
    size_t cut;             /* to so many bytes; 0: not */
    size_t flip;            /* the byte there, one more; 0: none */
    bool remove;
    bool zero;              /* from the header on */
};

static void spoil(const struct rig *r, uint64_t generation,
                  const struct spoiled *how)
{
    static unsigned char zeros[4096];
    char path[200];
    struct stat st;

    rig_path(path, r, generation, ".hint");
    expect_int("each sealed segment has a hint", stat(path, &st), 0);
    if (how->remove)
        expect_int("unlink", unlink(path), 0);
    if (how->cut)
        expect_int("truncate", truncate(path, how->cut < (size_t)st.st_size
                                              ? (off_t)how->cut
                                              : st.st_size - 1), 0);
    if (how->flip)
        flip_byte(path, how->flip - 1);
    if (how->zero)
        write_file(path, zeros, (size_t)st.st_size < 4096
                                ? (size_t)st.st_size : 4096);
}

/* Whatever is wrong with a hint, the answers are the same. */
static void hints_are_advice(const struct run *run)
{
    static const struct spoiled how[] = {
        { .what = "missing", .remove = true },
        { .what = "of zeros", .zero = true },
        { .what = "cut in its header", .cut = 20 },
        { .what = "cut behind its header", .cut = HINT_HEADER },
        { .what = "cut in an entry", .cut = HINT_HEADER + 30 },
        { .what = "cut by a byte", .cut = 1 << 20 },
        { .what = "with another magic", .flip = 1 },
        { .what = "of another version", .flip = 9 },
        { .what = "of another log", .flip = 17 },
        { .what = "for another end", .flip = 25 },
        { .what = "with another count", .flip = 33 },
        { .what = "with a wrong checksum", .flip = 57 },
        { .what = "with another sequence number", .flip = HINT_HEADER + 1 },
        { .what = "with another offset", .flip = HINT_HEADER + 9 },
        { .what = "with another kind", .flip = HINT_HEADER + 17 },
        { .what = "with another value length", .flip = HINT_HEADER + 21 },
        { .what = "with another key", .flip = HINT_HEADER + 26 },
    };
    struct rig r;

    rig_make_alone(&r, small);
    fill(&r, run->size);
    rig_hints(&r);
    rig_close(&r);
    for (size_t i = 0; i < sizeof how / sizeof *how; i++) {
        char tried[80];
        snprintf(tried, sizeof tried, "I12: a hint %s", how[i].what);
        spoil(&r, 2, &how[i]);
        rig_open(&r);
        check_filled(tried, &r, run->size);
        rig_quiet(&r);
        rig_close(&r);
    }
    rig_leave(&r);
}

/* One that was right, but of another log, or of this one when it was shorter. */
static void hint_of_another(const struct run *run)
{
    static unsigned char bytes[1 << 16];
    char path[200];
    struct rig r;

    rig_make_alone(&r, small);
    fill(&r, run->size);
    rig_hints(&r);
    rig_close(&r);
    rig_path(path, &r, 2, ".hint");
    size_t n = read_file(path, bytes, sizeof bytes);
    for (uint64_t g = 1; g <= 3; g += 2) {
        rig_path(path, &r, g, ".hint");
        write_file(path, bytes, n);
    }
    rig_open(&r);
    check_filled("I12: hints of another log", &r, run->size);
    rig_quiet(&r);
    rig_leave(&r);
}

/* The last segment is closed with a hint, comes back to life, is written to,
 * and the process dies: the hint is older than the log. */
static void stale_hint(const struct run *run)
{
    static unsigned char bytes[1 << 16], hint[1 << 16];
    char path[200], other[200], more[32];
    struct store_options large = { .segment_size = 1 << 20 };
    size_t n = 0, h = 0;
    struct rig r;

    rig_make_alone(&r, (struct store_options){ .segment_size = 1 });
    expect_int("store_set", rig_put(&r, "key", "old"), 0);
    uint64_t g = rig_active(&r);
    rig_close(&r);
    rig_path(other, &r, g, ".hint");
    h = read_file(other, hint, sizeof hint);
    r.options = large;
    for (size_t i = 0; i < run->size; i++) {
        rig_open(&r);
        expect_int("store_set", rig_put(&r, "key", "new"), 0);
        key_of(more, i);
        expect_int("store_set", rig_put(&r, more, "more"), 0);
        expect_int("short, it goes on being the active one", rig_active(&r),
                   g);
        rig_path(path, &r, g, ".log");
        n = read_file(path, bytes, sizeof bytes);
        rig_close(&r);
        write_file(path, bytes, n - i);     /* killed, then: no mark */
        write_file(other, hint, h);
        r.options.segment_size = i % 2 ? 1 : 1 << 20;
        expect_int("I12: opening beside a stale hint", rig_try_open(&r), 0);
        expect_value("I12: beside a stale hint the log counts", &r, "key",
                     "new");
        expect_value("I9: only a torn record is lost", &r, more,
                     i ? NULL : "more");
        rig_close(&r);
        write_file(path, bytes, n);
        r.options = large;
    }
    rig_leave(&r);
}

const struct test_case many_open_cases[] = {
    { "stage2_opens", stage2_opens, 0 },
    { "stage2_refuses", stage2_refuses, 0 },
    { "stage2_newest_counts", stage2_newest_counts, 0 },
    { "rotates", rotates, 300 },
    { "larger_than_a_segment", larger_than_a_segment, 0 },
    { "counters_again", counters_again, 200 },
    { "few_descriptors", few_descriptors, 200 },
    { "rotation_faults", rotation_faults, 0 },
    { "rotate_in_a_crowd", rotate_in_a_crowd, 300 },
    { "leftovers_go", leftovers_go, 60 },
    { "begun_and_empty", begun_and_empty, 60 },
    { "generations_go_up", generations_go_up, 60 },
    { "hints_are_advice", hints_are_advice, 60 },
    { "hint_of_another", hint_of_another, 60 },
    { "stale_hint", stale_hint, 4 },
    { NULL, NULL, 0 },
};

int main(int argc, char **argv)
{
    static const struct test_case *const tables[] = {
        many_open_cases, many_damage_cases, many_compact_cases,
        many_hard_cases, many_tomb_cases, many_crash_cases, NULL
    };

    log_setup("many_test", LOG_LEVEL_ERROR);
    return driver_tables(argc, argv, tables);
}
