/* many_hard_test.c -- compactions beside many threads, on a full disk, and
 * with calls that fail (task 5.6).
 *
 * Given.
 */
#include "tests/many_rig.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/lock.h"
#include "stage5-compaction/background.h"
#include "stage5-compaction/compact.h"
#include "tests/crash.h"
#include "tests/history_crew.h"

enum { KEYS = 16, READERS = 3 };

/* ---- a storm of gets ----------------------------------------------------- */

struct storm {
    struct rig *rig;
    pthread_mutex_t lock;       /* guards the rest */
    bool end;
    size_t gets, most;          /* most: under a tool gets cost much, and who
                                   compacts shall have its turn, too */
};

static bool storm_over(struct storm *s, size_t gets)
{
    mutex_lock(&s->lock);
    s->gets += gets;
    while (s->gets > s->most && !s->end) {
        mutex_unlock(&s->lock);
        usleep(500);
        mutex_lock(&s->lock);
    }
    bool end = s->end;
    mutex_unlock(&s->lock);
    return end;
}

static void storm_on(struct storm *s)
{
    mutex_lock(&s->lock);
    s->most = under_tool() ? s->gets + 4 * KEYS : SIZE_MAX;
    mutex_unlock(&s->lock);
}

static bool has_read(void *arg)
{
    struct storm *s = arg;

    mutex_lock(&s->lock);
    bool enough = s->gets >= 4 * KEYS;
    mutex_unlock(&s->lock);
    return enough;
}

/* A value is its key, a version, and bytes that belong to both. */
static size_t value_of(char text[160], size_t key, unsigned version)
{
    int n = snprintf(text, 160, "%zu %u ", key, version);

    memset(text + n, 'a' + (int)((key + version) % 26), 100);
    text[n + 100] = '\0';
    return (size_t)n + 100;
}

static unsigned version_in(struct slice bytes, size_t key)
{
    char got[160] = { 0 }, wanted[160];
    unsigned version = 0;
    size_t whose = KEYS;

    memcpy(got, bytes.ptr, bytes.len < 159 ? bytes.len : 159);
    if (sscanf(got, "%zu %u", &whose, &version) != 2 || whose != key ||
        value_of(wanted, key, version) != bytes.len ||
        strcmp(got, wanted) != 0)
        fail_case(__FILE__, __LINE__, "I5: a get beside compactions",
                  "a value of its key, whole", "%.100s (key %zu)", got, key);
    return version;
}

/* Versions only go up. */
static void read_on(void *arg)
{
    struct storm *s = arg;
    unsigned seen[KEYS] = { 0 };
    struct buf value = { 0 };
    char key[32];

    for (size_t i = 0; !storm_over(s, 1); i++) {
        size_t k = i % KEYS;
        key_of(key, k);
        int err = store_get(s->rig->store, slice_str(key), &value);
        if (err)
            fail_case(__FILE__, __LINE__, "I5: a get beside compactions",
                      "0: the key is there all the time", "-%s",
                      strerrorname_np(-err));
        unsigned version = version_in(buf_slice(&value), k);
        if (version < seen[k])
            fail_case(__FILE__, __LINE__, "I5: a get beside compactions",
                      "what was seen before, or newer", "version %u after %u",
                      version, seen[k]);
        seen[k] = version;
    }
    buf_release(&value);
}

static void set_all(struct rig *r, unsigned version)
{
    char key[32], text[160];

    for (size_t k = 0; k < KEYS; k++) {
        key_of(key, k);
        value_of(text, k, version);
        expect_int("store_set", rig_put(r, key, text), 0);
    }
}

static void check_set(const char *tried, struct rig *r, unsigned version)
{
    char key[32], text[160];

    for (size_t k = 0; k < KEYS; k++) {
        key_of(key, k);
        value_of(text, k, version);
        expect_value(tried, r, key, text);
    }
}

static void get_storm(const struct run *run)
{
    struct rig r;
    struct storm storm = { .rig = &r, .lock = PTHREAD_MUTEX_INITIALIZER };
    struct actor readers[READERS];
    int n = under_tool() ? 2 : READERS;
    unsigned version = 1;

    rig_make_alone(&r, (struct store_options){ .segment_size = 1000 });
    set_all(&r, version);
    for (int i = 0; i < n; i++)
        actor_start(&readers[i], read_on, &storm);
    for (size_t i = 0; i < run->size; i++) {
        storm_on(&storm);
        set_all(&r, ++version);
        expect_int("a compaction beside gets", rig_merge_sealed(&r), 0);
    }
    storm_on(&storm);
    expect_soon("reading meanwhile", "the keys have been got several times", has_read,
                &storm);
    mutex_lock(&storm.lock);
    storm.end = true;
    mutex_unlock(&storm.lock);
    for (int i = 0; i < n; i++)
        actor_join(&readers[i]);
    check_set("I5: after the storm", &r, version);
    rig_close(&r);
    rig_open(&r);
    check_set("I7: after the storm and a restart", &r, version);
    rig_leave(&r);
}

/* ---- several compactions at once ----------------------------------------- */

struct worker {
    struct actor actor;
    struct rig *rig;
    size_t number, rounds;
    uint64_t random;
};

static void set_and_remove(void *arg)
{
    struct worker *w = arg;
    char key[32], text[64];
    unsigned last[4] = { 0 };

    for (unsigned i = 1; i <= w->rounds; i++) {
        size_t k = next_random(&w->random) % 4;
        snprintf(key, sizeof key, "own%zu.%zu", w->number, k);
        snprintf(text, sizeof text, "%u", last[k]);
        expect_value("I5: what this thread has done last", w->rig, key,
                     last[k] ? text : NULL);
        if (last[k] && i % 4 == 0) {
            expect_int("I5: removing what is there", rig_drop(w->rig, key), 0);
            last[k] = 0;
        } else {
            snprintf(text, sizeof text, "%u", i);
            expect_int("store_set", rig_put(w->rig, key, text), 0);
            last[k] = i;
        }
    }
    for (size_t k = 0; k < 4; k++) {        /* for who looks afterwards */
        snprintf(key, sizeof key, "own%zu.%zu", w->number, k);
        snprintf(text, sizeof text, "%u", last[k]);
        expect_value("I5: what this thread has done last", w->rig, key,
                     last[k] ? text : NULL);
        snprintf(key, sizeof key, "last%zu.%zu", w->number, k);
        expect_int("store_set", rig_put(w->rig, key, text), 0);
    }
}

static void compact_on(void *arg)
{
    struct worker *w = arg;

    for (size_t i = 0; i < w->rounds; i++) {
        struct segment *these[COMPACT_INPUTS];
        size_t n = compact_pick(w->rig->store, these, true);
        int err = n ? compact_these(w->rig->store, these, n) : 0;
        expect_int("one of two compactions at once", err, 0);
    }
}

static void call_compact(void *arg)
{
    struct worker *w = arg;

    for (size_t i = 0; i < w->rounds; i++)
        expect_int("store_compact beside others", store_compact(w->rig->store),
                   0);
}

static void check_last(struct rig *r, size_t writers)
{
    struct buf value = { 0 };
    char key[32];

    for (int round = 0; round < 3; round++) {
        for (size_t i = 0; i < 4 * writers; i++) {
            char text[64] = { 0 };
            snprintf(key, sizeof key, "last%zu.%zu", i / 4, i % 4);
            expect_int("what a thread has noted", store_get(r->store,
                       slice_str(key), &value), 0);
            memcpy(text, value.ptr, value.len);
            snprintf(key, sizeof key, "own%zu.%zu", i / 4, i % 4);
            expect_value("I4, I7: what each thread did last", r, key,
                         strcmp(text, "0") ? text : NULL);
        }
        if (round == 1)
            expect_int("store_compact", rig_compact(r), 0);
        rig_close(r);
        rig_open(r);
    }
    buf_release(&value);
}

/* Two threads set and remove; two do the other. */
static void crowd(const struct run *run, struct rig *r, void (*other)(void *),
                  size_t others)
{
    struct worker w[4];

    for (size_t i = 0; i < 4; i++)
        w[i] = (struct worker){ .rig = r, .number = i, .rounds = run->size,
                                .random = run->seed + i };
    for (size_t i = 0; i < 2; i++)
        actor_start(&w[i].actor, set_and_remove, &w[i]);
    for (size_t i = 2; i < 2 + others; i++) {
        w[i].rounds = run->size / 10 + 1;
        actor_start(&w[i].actor, other, &w[i]);
    }
    for (size_t i = 0; i < 2 + others; i++)
        actor_join(&w[i].actor);
    check_last(r, 2);
}

static void two_compactors(const struct run *run)
{
    struct rig r;

    rig_make_alone(&r, (struct store_options){ .segment_size = 400 });
    crowd(run, &r, compact_on, 2);
    rig_leave(&r);
}

static void beside_background(const struct run *run)
{
    struct rig r;

    rig_make(&r, (struct store_options){
        .segment_size = 400, .compactors = 3, .compaction_share = 100 });
    crowd(run, &r, call_compact, 1);
    rig_leave(&r);
}

/* ---- is there an order of what threads see? ------------------------------ */

static enum history_result result_of(int err)
{
    if (err != -ENOENT)
        expect_int("an operation beside compactions", err, 0);
    return err == 0 ? HISTORY_OK : HISTORY_ABSENT;
}

static void call(void *session, struct crew_op *ops, size_t n)
{
    struct store *s = session;

    for (size_t i = 0; i < n; i++) {
        struct slice key = slice_str(ops[i].key);
        struct buf value = { 0 };
        int err = ops[i].op == HISTORY_SET
                      ? store_set(s, key, crew_bytes(ops[i].value, 600))
                  : ops[i].op == HISTORY_REMOVE
                      ? store_remove(s, key)
                      : store_get(s, key, &value);
        ops[i].result = result_of(err);
        if (ops[i].op == HISTORY_GET && err == 0)
            ops[i].value = crew_value(buf_slice(&value), 600);
        buf_release(&value);
    }
}

static void compact_beside(void *arg)
{
    expect_int("store_compact", store_compact(arg), 0);
}

static void history_merging(const struct run *run)
{
    struct rig r;

    crew_noise(run->seed);
    rig_make(&r, (struct store_options){
        .segment_size = 700, .compactors = 2, .compaction_share = 100 });
    struct crew crew = {
        .fn = call, .arg = r.store, .clients = 4, .keys = 3,
        .rounds = run->size, .batch = 1, .large = 600, .seed = run->seed,
    };
    crew_work("I5: 4 threads get, set and remove 3 keys in small segments, "
              "beside compactions", &crew, compact_beside);
    rig_leave(&r);
}

/* ---- calls that fail ----------------------------------------------------- */

/* Segments with garbage in them, and a tombstone or two. */
static void fill(struct rig *r)
{
    set_all(r, 1);
    set_all(r, 2);
    expect_int("store_set", rig_put(r, "gone", "x"), 0);
    expect_int("store_remove", rig_drop(r, "gone"), 0);
    expect_int("store_set", rig_put(r, "active", "a"), 0);
    rig_quiet(r);
}

static void check_filled(const char *tried, struct rig *r)
{
    check_set(tried, r, 2);
    expect_value(tried, r, "gone", NULL);
    expect_value(tried, r, "active", "a");
    expect_int(tried, rig_stats(r).keys, KEYS + 1);
}

static const struct fault_kind {
    const char *what;
    unsigned calls;
    enum crash_fault_kind kind;
    int err;
    bool harmless;          /* it goes on, and succeeds */
} fault_kinds[] = {
    { "no room", CRASH_OPEN | CRASH_WRITE, CRASH_FAIL, ENOSPC, false },
    { "an error", CRASH_OPEN | CRASH_WRITE | CRASH_RESIZE, CRASH_FAIL, EIO,
      false },
    { "a short write", CRASH_WRITE, CRASH_SHORT, 0, true },
    { "a signal", CRASH_WRITE, CRASH_FAIL, EINTR, true },
    { "a short write and no room", CRASH_WRITE, CRASH_SHORT, ENOSPC, false },
    { "an error", CRASH_RENAME | CRASH_UNLINK, CRASH_FAIL, EIO, false },
    { "an error", CRASH_SYNC, CRASH_FAIL, EIO, false },
};

/* A compaction some of whose calls fail; how many, into *hits. */
static int merge_faulty(struct rig *r, const struct crash_fault *fault,
                        unsigned *hits)
{
    background_hold_hints(r->store);    /* or the fault may be a hint's */
    crash_count();
    crash_fault(fault);
    int err = rig_merge_sealed(r);
    *hits = crash_fault_hits();
    crash_fault(NULL);
    crash_stop();
    background_let_hints(r->store);
    return err;
}

/* True while there was a call to be hit. */
static bool one_fault(const struct fault_kind *k, unsigned at)
{
    struct crash_fault fault = { k->calls, k->kind, k->err, at,
                                 k->kind == CRASH_SHORT && k->err ? 2 : 1 };
    unsigned files = descriptors();
    char tried[160];
    struct rig r;

    rig_make_alone(&r, (struct store_options){ .segment_size = 1000 });
    fill(&r);
    unsigned hits;
    int err = merge_faulty(&r, &fault, &hits);
    snprintf(tried, sizeof tried, "I13: %s at call %u of a compaction%s%s",
             k->what, at, err ? ", which answers -" : "",
             err ? strerrorname_np(-err) : "");
    bool failed = rig_stats(&r).failed;
    check_filled(tried, &r);
    if (k->harmless || !hits)
        expect_int(tried, err, 0);
    if (err && !failed)
        expect_int("I13: nothing is left behind", files_ending(r.dir, DIR_NEW),
                   0);
    if (!failed) {
        expect_int("I13: the next try", rig_merge_sealed(&r), 0);
        expect_int("I13: a set after it", rig_put(&r, "active", "a"), 0);
        check_filled(tried, &r);
        expect_int("store_close", store_close(r.store), 0);
    } else {
        expect_true("only a failed sync ends writing",
                    k->calls == CRASH_SYNC);
        expect_int("I13: a set after a failed sync", rig_put(&r, "x", "x"),
                   -EROFS);
        store_close(r.store);
    }
    expect_int("descriptors after a compaction that met an error",
               descriptors(), files);
    for (int round = 0; round < 2; round++) {
        rig_open(&r);
        check_filled(tried, &r);
        expect_int("after a restart it compacts", rig_compact(&r), 0);
        check_filled(tried, &r);
        rig_close(&r);
    }
    rig_leave(&r);
    return hits > 0;
}

static void merge_faults(const struct run *run)
{
    (void)run;
    for (size_t k = 0; k < sizeof fault_kinds / sizeof *fault_kinds; k++) {
        unsigned at = 1;

        while (at < 100 && one_fault(&fault_kinds[k], at))
            at++;
        expect_true("a compaction makes such calls", at > 1);
    }
}

/* No memory to look a key up in the index: nobody knows whether it is there. */
static void cannot_look_up(const struct run *run)
{
    struct rig r;

    (void)run;
    rig_make_alone(&r, (struct store_options){ .segment_size = 1000 });
    fill(&r);
    lookups_fail(true);
    int err = rig_merge_sealed(&r);
    lookups_fail(false);
    expect_int("I7: a compaction that finds no memory for its lookups", err,
               -ENOMEM);
    check_filled("I7: after it", &r);
    expect_int("I13: the next try", rig_merge_sealed(&r), 0);
    check_filled("I7: after the next try", &r);
    rig_close(&r);
    rig_open(&r);
    check_filled("I7: and a restart", &r);
    rig_leave(&r);
}

static size_t left_alone(struct rig *r)
{
    struct segments *set = &r->store->set;
    size_t n = 0;

    mutex_lock(&set->lock);
    for (const struct segment *s = set->first; s; s = s->next)
        n += s->bad;
    mutex_unlock(&set->lock);
    return n;
}

/* True while there was a write to be hit. */
static bool bad_output(unsigned at, size_t keys)
{
    struct crash_fault fault = { CRASH_WRITE, CRASH_FAIL, EIO, at, 1 };
    char tried[120], key[32];
    struct rig r;

    rig_make_alone(&r, (struct store_options){ .segment_size = 32 << 10 });
    for (size_t i = 0; i < keys; i++) {
        key_of(key, i % (keys / 2 + keys / 4));
        expect_int("store_set", rig_put(&r, key, "some value"), 0);
    }
    rig_quiet(&r);
    unsigned hits;
    int err = merge_faulty(&r, &fault, &hits);
    snprintf(tried, sizeof tried, "I13: write %u of a compaction fails, the "
             "inputs are well: those that are left alone", at);
    expect_int(tried, left_alone(&r), 0);
    expect_true("such a compaction fails, if the write was a record's",
                hits || !err);
    rig_leave(&r);
    return hits > 0;
}

static void blames_the_output(const struct run *run)
{
    unsigned at = 1;

    while (at < 40 && bad_output(at, run->size))
        at++;
    expect_true("a compaction makes several writes", at > 3);
}

int __real_fstatvfs(int fd, struct statvfs *disk);
int __wrap_fstatvfs(int fd, struct statvfs *disk);

static atomic_bool slow_disk;

/* Every disk is nearly full here, and may take its time. */
int __wrap_fstatvfs(int fd, struct statvfs *disk)
{
    struct timespec moment = { 0, 1000000 };
    int answer = __real_fstatvfs(fd, disk);

    while (atomic_load(&slow_disk))
        nanosleep(&moment, NULL);
    disk->f_bavail = 1;
    return answer;
}

static void reserve_path(char path[120], const struct rig *r)
{
    snprintf(path, 120, "%s/KVS-RESERVE", r->dir);
}

static bool has_reserve(const struct rig *r)
{
    char path[120];

    reserve_path(path, r);
    return access(path, F_OK) == 0;
}

/* While the second try is made, which lives on the reserve. */
struct second_try {
    struct rig *rig;
    unsigned tries;
    bool another;
    int answer;
    struct meanwhile meanwhile;
};

/* Another compaction has no room either, and ends. */
static void put_beside(void *arg)
{
    struct second_try *t = arg;

    t->another = background_spend_reserve(t->rig->store);
    background_spent(t->rig->store);
    t->answer = rig_put(t->rig, "beside", "x");
}

static void count_try(void *arg, struct slice suffix)
{
    struct second_try *t = arg;

    (void)suffix;
    if (++t->tries != 2)
        return;
    meanwhile_do(&t->meanwhile, put_beside, t);
    meanwhile_end(&t->meanwhile);
}

static bool reserve_has_room(void *arg)
{
    const struct rig *r = arg;
    char path[120];
    struct stat st;

    reserve_path(path, r);
    return stat(path, &st) == 0 &&
           st.st_blocks * 512 >= (off_t)r->options.segment_size;
}

/* Somebody was killed between making the file and filling it. */
static void empty_reserve(const struct run *run)
{
    char path[120];
    struct rig r;

    rig_make(&r, (struct store_options){ .segment_size = 8 << 10 });
    rig_compacts(&r);
    reserve_path(path, &r);
    write_file(path, "", 0);
    for (size_t i = 0; i < run->size; i++)
        set_all(&r, (unsigned)i);
    expect_soon("I13: a reserve that is only a name", "it gets its blocks",
                reserve_has_room, &r);
    rig_leave(&r);
}

/* The disk is full: what is held in reserve makes room for a compaction; and
 * without it the old segments serve on. */
static void no_room(const struct run *run)
{
    struct crash_fault once = { CRASH_WRITE, CRASH_FAIL, ENOSPC, 2, 1 };
    struct crash_fault ever = { CRASH_WRITE, CRASH_FAIL, ENOSPC, 1, 0 };
    struct rig r;
    struct second_try second = { .rig = &r };
    char path[120];
    unsigned hits;

    (void)run;
    rig_make_alone(&r, (struct store_options){ .segment_size = 1000 });
    fill(&r);
    reserve_path(path, &r);
    write_file(path, "", 0);
    set_all(&r, 3);
    rig_quiet(&r);
    expect_int("compacting, no room for anything",
               merge_faulty(&r, &ever, &hits), -ENOSPC);
    expect_true("I13: the reserve is spent", !has_reserve(&r));
    check_set("I13: the old segments serve on", &r, 3);
    expect_int("nothing is left behind", files_ending(r.dir, DIR_NEW), 0);
    write_file(path, "", 0);
    hook_set(HOOK_MAKE, count_try, &second);
    int err = merge_faulty(&r, &once, &hits);
    hook_set(HOOK_MAKE, NULL, NULL);
    expect_int("writes that met a full disk", hits, 1);
    expect_true("another compaction, too, has spent it", !second.another);
    expect_int("I13: a set that could take what the reserve has given",
               second.answer, -ENOSPC);
    expect_int("I13: no room, but a reserve: compacting", err, 0);
    expect_true("I13: the reserve is spent", !has_reserve(&r));
    check_set("I7: after it", &r, 3);
    expect_int("store_set", rig_put(&r, "more", "x"), 0);
    rig_close(&r);
    rig_open(&r);
    check_set("I7: after it and a restart", &r, 3);
    rig_leave(&r);
}

/* ---- all the garbage is in the active segment ---------------------------- */

static void full_rig(struct rig *r)
{
    rig_make(r, (struct store_options){ .segment_size = 1 << 20 });
    for (unsigned version = 0; version < 8; version++)
        set_all(r, version);
    expect_int("segments", (int)rig_segments(r, false), 1);
}

/* store_compact while the first writes (all of them: 0) find no room. */
static int compact_full(struct rig *r, unsigned writes)
{
    struct crash_fault full = { CRASH_WRITE, CRASH_FAIL, ENOSPC, 1, writes };

    crash_count();
    crash_fault(&full);
    int err = rig_compact(r);
    expect_true("writes that met a full disk", crash_fault_hits() > 0);
    crash_fault(NULL);
    crash_stop();
    return err;
}

static void full_active(const struct run *run)
{
    struct rig r;
    char path[120];

    (void)run;
    full_rig(&r);
    reserve_path(path, &r);
    expect_int("I13: no room for the mark at the active segment's end",
               compact_full(&r, 0), -ENOSPC);
    check_set("I13: it serves on", &r, 7);
    write_file(path, "", 0);
    expect_int("I13: a reserve, which is not enough", compact_full(&r, 0),
               -ENOSPC);
    expect_int("I13: a set after it", rig_put(&r, "after", "x"), 0);
    write_file(path, "", 0);
    expect_int("I13: a reserve, and no room else, not even for a mark",
               compact_full(&r, 1), 0);
    expect_true("I13: the reserve is spent", !has_reserve(&r));
    expect_int("garbage behind it", (int)rig_stats(&r).dead_bytes, 0);
    expect_int("I13: a set after it", rig_put(&r, "more", "x"), 0);
    check_set("I7: after it", &r, 7);
    rig_close(&r);
    rig_open(&r);
    check_set("I7: after it and a restart", &r, 7);
    rig_leave(&r);
}

static bool no_garbage(void *arg)
{
    struct rig *r = arg;

    return rig_stats(r).dead_bytes == 0;
}

/* Nobody asks for a compaction; a set finds no room. */
static void full_by_itself(const struct run *run)
{
    struct crash_fault once = { CRASH_WRITE, CRASH_FAIL, ENOSPC, 1, 1 };
    struct rig r;

    (void)run;
    full_rig(&r);
    crash_count();
    crash_fault(&once);
    expect_int("a set on a full disk", rig_put(&r, "more", "x"), -ENOSPC);
    expect_soon("I13: a change found no room; all the garbage is in the active "
                "segment", "it is sealed and compacted", no_garbage, &r);
    crash_fault(NULL);
    crash_stop();
    expect_int("I13: a set after it", rig_put(&r, "more", "x"), 0);
    check_set("I7: after it", &r, 7);
    rig_leave(&r);
}

/* Another's change makes a file, and its sync of the directory is the one that
 * fails: which the kernel says once, to nobody else. */
struct other {
    struct rig *rig;
    int answer;
    struct meanwhile meanwhile;
};

static void put_in_vain(void *arg)
{
    struct other *o = arg;

    dir_syncs_fail(true);
    o->answer = rig_put(o->rig, "beside", "x");
    dir_syncs_fail(false);
}

static void put_once(void *arg, struct slice key)
{
    struct other *o = arg;

    (void)key;
    if (o->answer)
        return;
    o->answer = 1;
    meanwhile_do(&o->meanwhile, put_in_vain, o);
}

static void told_once(const struct run *run)
{
    struct rig r;
    struct other other = { .rig = &r };
    char path[200];

    (void)run;
    rig_make_alone(&r, (struct store_options){ .segment_size = 1 });
    for (unsigned i = 0; i < 8; i++)
        expect_int("store_set", rig_put(&r, i % 2 ? "a" : "b", "1"), 0);
    rig_quiet(&r);
    rig_path(path, &r, 1, ".log");
    hook_set(HOOK_SYNC_DIR, put_once, &other);
    int err = rig_merge_sealed(&r);
    hook_set(HOOK_SYNC_DIR, NULL, NULL);
    meanwhile_end(&other.meanwhile);
    expect_int("a set whose segment's name is not synced", other.answer, -EIO);
    expect_true("I13: a compaction beside it has an error", err != 0);
    expect_true("I1: its inputs stay, as its name may be lost",
                access(path, F_OK) == 0);
    expect_int("I13: no more changes", rig_put(&r, "c", "1"), -EROFS);
    store_close(r.store);
    rig_open(&r);
    expect_value("opened again", &r, "a", "1");
    expect_value("opened again", &r, "b", "1");
    rig_leave(&r);
}

enum { MIB = 1 << 20 };

static uint64_t ms_of_set(struct rig *r, size_t len)
{
    static char value[MIB];
    uint64_t from = clock_now_ns();

    expect_int("store_set", store_set(r->store, slice_str("key"),
                                      slice_of(value, len)), 0);
    return (clock_now_ns() - from) / 1000000;
}

/* Compactions do not keep up, here because the first one asks a slow disk for
 * its size: writers wait, by what they write. */
static void writers_wait(const struct run *run)
{
    uint64_t quickest = 1000;
    struct rig r;

    (void)run;
    rig_make(&r, (struct store_options){ .segment_size = 8 << 10 });
    rig_compacts(&r);
    atomic_store(&slow_disk, true);
    for (unsigned i = 0; i < 40; i++)
        set_all(&r, i);
    for (int i = 0; i < 5; i++) {
        uint64_t ms = ms_of_set(&r, 10);

        quickest = ms < quickest ? ms : quickest;
    }
    expect_at_most("ms that a set of 10 bytes waits, the quickest of 5",
                   quickest, 100);
    expect_true("a set of 1 MiB, beside far too much garbage, waits for a "
                "quarter of a second", ms_of_set(&r, MIB) >= 250);
    atomic_store(&slow_disk, false);
    rig_leave(&r);
}

const struct test_case many_hard_cases[] = {
    { "get_storm", get_storm, 20 },
    { "two_compactors", two_compactors, 400 },
    { "beside_background", beside_background, 400 },
    { "history_merging", history_merging, 800 },
    { "merge_faults", merge_faults, 0 },
    { "writers_wait", writers_wait, 0 },
    { "cannot_look_up", cannot_look_up, 0 },
    { "blames_the_output", blames_the_output, 2000 },
    { "no_room", no_room, 0 },
    { "full_active", full_active, 0 },
    { "full_by_itself", full_by_itself, 0 },
    { "told_once", told_once, 0 },
    { "empty_reserve", empty_reserve, 40 },
    { NULL, NULL, 0 },
};
