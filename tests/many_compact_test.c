/* many_compact_test.c -- what a compaction takes, makes and leaves, and what
 * comes in between (task 5.6).
 *
 * Given.
 */
#include "tests/many_rig.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/lock.h"
#include "stage5-compaction/background.h"
#include "stage5-compaction/compact.h"
#include "tests/crash.h"

enum { KEYS = 24 };

static const struct store_options each_its_own = { .segment_size = 1 };

/* Each key twice, in segments of their own; and one that is active. */
static void fill(struct rig *r)
{
    char key[32];

    for (int round = 0; round < 2; round++)
        for (size_t i = 0; i < KEYS; i++) {
            key_of(key, i);
            expect_int("store_set", rig_put(r, key, round ? key : "old"), 0);
        }
    expect_int("store_set", rig_put(r, "active", "a"), 0);
}

static void check_all(const char *tried, struct rig *r)
{
    char key[32];

    for (size_t i = 0; i < KEYS; i++) {
        key_of(key, i);
        expect_value(tried, r, key, key);
    }
    expect_value(tried, r, "active", "a");
    expect_int(tried, rig_stats(r).keys, KEYS + 1);
}

/* ---- what it makes ------------------------------------------------------- */

static void merges(const struct run *run)
{
    struct rig r;

    (void)run;
    rig_make_alone(&r, each_its_own);
    fill(&r);
    uint64_t active = rig_active(&r);
    uint64_t dead = rig_stats(&r).dead_bytes;
    expect_true("half of it is garbage", dead >= KEYS * record_size(4, 3));
    expect_int("compacting all sealed segments", rig_merge_sealed(&r), 0);
    check_all("I7: a compaction never changes the map", &r);
    expect_int("dead bytes", rig_stats(&r).dead_bytes, 0);
    expect_int("I7: the active segment", rig_active(&r), active);
    expect_at_most("segments", rig_segments(&r, false), 2);
    expect_int("logs in the directory", files_ending(r.dir, ".log"),
               rig_segments(&r, false));
    expect_int("files that nobody believes", files_ending(r.dir, DIR_NEW), 0);
    expect_int("store_set after it", rig_put(&r, "key0", "key0"), 0);
    for (int round = 0; round < 2; round++) {
        rig_close(&r);
        rig_open(&r);
        check_all("I7: after a compaction and a restart", &r);
        remove_ending(r.dir, ".hint");
    }
    rig_leave(&r);
}

static uint64_t live_in(struct rig *r)
{
    struct segments_sum sum;

    segments_sum(&r->store->set, &sum);
    return sum.live;
}

/* All dead, one record, nothing sealed, nothing at all. */
static void small_ones(const struct run *run)
{
    struct rig r;
    uint64_t g;

    (void)run;
    rig_make_alone(&r, each_its_own);
    expect_int("compacting a new store", rig_compact(&r), 0);
    expect_int("store_set", rig_put(&r, "key", "value"), 0);
    expect_int("nothing is sealed", rig_merge_sealed(&r), 0);
    g = rig_active(&r);
    expect_int("store_set", rig_put(&r, "key", "newer"), 0);
    expect_int("compacting one that is all dead", rig_merge(&r, &g, 1, NULL),
               0);
    expect_value("the key", &r, "key", "newer");
    expect_int("live bytes", live_in(&r), record_size(3, 5));
    g = rig_active(&r);
    expect_int("store_set", rig_put(&r, "other", "x"), 0);
    expect_int("compacting one record", rig_merge(&r, &g, 1, &g), 0);
    expect_value("the key", &r, "key", "newer");
    expect_int("and once more", rig_merge(&r, &g, 1, &g), 0);
    expect_int("store_remove", rig_drop(&r, "other"), 0);
    expect_int("store_remove", rig_drop(&r, "key"), 0);
    expect_int("store_compact, all is dead", rig_compact(&r), 0);
    expect_int("keys", rig_stats(&r).keys, 0);
    for (int round = 0; round < 2; round++) {
        rig_close(&r);
        rig_open(&r);
        expect_value("I4: a removed key, after a restart", &r, "key", NULL);
        expect_int("keys", rig_stats(&r).keys, 0);
    }
    expect_int("store_set", rig_put(&r, "key", "again"), 0);
    expect_int("store_compact of one record", rig_compact(&r), 0);
    expect_value("the key", &r, "key", "again");
    rig_leave(&r);
}

/* The statistics follow a compaction, and a restart finds the same. */
static void counted(const struct run *run)
{
    struct rig r;

    (void)run;
    rig_make_alone(&r, each_its_own);
    fill(&r);
    uint64_t runs = rig_stats(&r).compactions;
    struct store_stats before = rig_stats(&r);
    expect_int("store_compact", rig_compact(&r), 0);
    struct store_stats after = rig_stats(&r);
    expect_true("compactions are counted", after.compactions > runs);
    expect_true("and how long the last took", after.compaction_ns > 0);
    expect_int("live bytes", after.live_bytes, before.live_bytes);
    expect_int("dead bytes", after.dead_bytes, 0);
    expect_true("fewer segments", after.segments < before.segments);
    expect_true("fewer bytes on the disk",
                after.disk_bytes < before.disk_bytes);
    for (int round = 0; round < 2; round++) {
        rig_close(&r);
        rig_open(&r);
        expect_int("live bytes after a restart", rig_stats(&r).live_bytes,
                   after.live_bytes);
        expect_int("dead bytes after a restart", rig_stats(&r).dead_bytes, 0);
        remove_ending(r.dir, ".hint");
    }
    check_all("I7: after all that", &r);
    rig_leave(&r);
}

/* ---- what it takes ------------------------------------------------------- */

static void put_back(struct rig *r, struct segment **these, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        expect_true("I7: it never takes the active segment",
                    these[i] != r->store->active && these[i]->sealed);
        expect_true("it has taken what it answers", these[i]->busy);
    }
    segments_put_back(&r->store->set, these, n);
}

/* Nothing while garbage is little; then what has most of it, and no more than
 * makes a segment. */
static void picks(const struct run *run)
{
    struct segment *these[COMPACT_INPUTS];
    struct store_options options = { .segment_size = 4000 };
    static char value[481];
    char key[32];
    struct rig r;

    (void)run;
    memset(value, 'v', 480);
    rig_make_alone(&r, options);
    for (size_t i = 0; i < 60; i++) {       /* 7 a segment */
        key_of(key, 100 + i);
        expect_int("store_set", rig_put(&r, key, value), 0);
    }
    rig_quiet(&r);
    expect_int("what is due when nothing is garbage",
               compact_pick(r.store, these, false), 0);
    for (size_t i = 7; i < 13; i++) {       /* six of the second */
        key_of(key, 100 + i);
        expect_int("store_set", rig_put(&r, key, value), 0);
    }
    rig_quiet(&r);
    expect_int("what is due when a tenth is garbage",
               compact_pick(r.store, these, false), 0);
    size_t n = compact_pick(r.store, these, true);
    expect_true("asked for all garbage there is, it takes some", n >= 1);
    put_back(&r, these, n);
    for (size_t i = 14; i < 33; i += 2) {   /* half of three more */
        key_of(key, 100 + i);
        expect_int("store_set", rig_put(&r, key, value), 0);
    }
    rig_quiet(&r);
    n = compact_pick(r.store, these, false);
    expect_true("when more than a fifth is garbage, something is due", n > 0);
    bool second = false;
    int64_t live = 0;
    for (size_t i = 0; i < n; i++) {
        second = second || these[i]->generation == 2;
        live += these[i]->live;
    }
    expect_true("what has the largest share of garbage is among it", second);
    expect_true("what it keeps makes one segment", n == 1 ||
                (uint64_t)live <= options.segment_size);
    struct segment *others[COMPACT_INPUTS];
    size_t m = compact_pick(r.store, others, true);
    for (size_t i = 0; i < m; i++)
        for (size_t j = 0; j < n; j++)
            expect_true("two compactions have no input in common",
                        others[i] != these[j]);
    put_back(&r, others, m);
    put_back(&r, these, n);
    rig_leave(&r);
}

/* As long as something is due there is something to be had, and the garbage
 * is all gone in the end. */
static void collects_all(const struct run *run)
{
    struct store_options options = { .segment_size = 2000 };
    uint64_t random = run->seed;
    char key[32];
    struct rig r;
    int did = 1;

    rig_make_alone(&r, options);
    rig_compacts(&r);
    for (size_t i = 0; i < run->size; i++) {
        key_of(key, next_random(&random) % KEYS);
        expect_int("store_set", rig_put(&r, key, key), 0);
    }
    rig_quiet(&r);
    for (int i = 0; did > 0 && i < 200; i++)
        did = compact_some(r.store);
    expect_int("compacting what is due comes to an end", did, 0);
    struct store_stats s = rig_stats(&r);
    expect_at_most("I8: garbage that is left", s.dead_bytes,
                   s.live_bytes / 2 + 2 * options.segment_size);
    expect_int("store_compact", rig_compact(&r), 0);
    expect_int("I8: garbage after store_compact", rig_stats(&r).dead_bytes, 0);
    rig_leave(&r);
}

/* Bytes of the directory go down to 1.3 times what lives, by themselves. */
static bool has_settled(void *arg)
{
    struct rig *r = arg;

    return (double)bytes_in(r->dir) <=
           1.3 * (double)rig_stats(r).live_bytes +
           2.0 * (double)r->options.segment_size;
}

static void space_settles(const struct run *run)
{
    struct store_options options = { .segment_size = 16 << 10,
                                     .compaction_share = 100 };
    static char value[401];
    char key[32];
    struct rig r;

    rig_make(&r, options);
    rig_compacts(&r);
    for (size_t round = 0; round <= 5; round++)
        for (size_t i = 0; i < run->size; i++) {
            key_of(key, i);
            memset(value, 'a' + (int)round, 400);
            expect_int("store_set", rig_put(&r, key, value), 0);
        }
    expect_soon("I8: all keys were overwritten 5 times", "the files have at "
                "most 1.3 times what is live, and two segments", has_settled,
                &r);
    expect_true("a compaction ran by itself", rig_stats(&r).compactions > 0);
    for (int round = 0; round < 2; round++) {
        for (size_t i = 0; i < run->size; i++) {
            key_of(key, i);
            expect_value("I7: after it", &r, key, value);
        }
        rig_close(&r);
        rig_open(&r);
    }
    rig_leave(&r);
}

static bool is_idle(void *arg)
{
    struct rig *r = arg;

    return background_quiet(r->store);
}

/* Sets key `first`, that and `step` more, and so on below `end`. */
static void put_each(struct rig *r, size_t first, size_t step, size_t end,
                     const char *value)
{
    char key[32];

    for (size_t i = first; i < end; i += step) {
        key_of(key, i);
        expect_int("store_set", rig_put(r, key, value), 0);
    }
}

/* What takes many bytes is replaced by what takes few: no segment is filled,
 * and the files become small all the same. */
static void shrinks(const struct run *run)
{
    struct store_options options = { .segment_size = 64 << 10,
                                     .compaction_share = 100 };
    static char value[2001];
    struct rig r;

    memset(value, 'v', 2000);
    rig_make(&r, options);
    rig_compacts(&r);
    put_each(&r, 0, 1, run->size, value);
    expect_soon("after some sets", "the store has been quiet for a while",
                is_idle, &r);
    for (int round = 0; round < 2; round++) {
        put_each(&r, (size_t)round, 2, run->size, "few");
        expect_soon("I8: values of 2,000 bytes were replaced by short ones",
                    "the files have at most 1.3 times what is live, and two "
                    "segments", has_settled, &r);
        rig_close(&r);
        rig_open(&r);
    }
    rig_leave(&r);
}

/* ---- in between ---------------------------------------------------------- */

/* While a record is on its way its key is set or removed by another thread. */
struct between {
    struct rig *rig;
    char key[32];
    bool remove, only_last;
    unsigned times;
    struct meanwhile meanwhile;
};

static void change_key(void *arg)
{
    struct between *b = arg;

    if (b->remove)
        rig_drop(b->rig, b->key);
    else
        expect_int("a set beside a compaction",
                   rig_put(b->rig, b->key, "newer"), 0);
}

static size_t number_of(struct slice key)
{
    char text[32] = { 0 };

    memcpy(text, key.ptr, key.len < 31 ? key.len : 31);
    return key.len > 3 && strncmp(text, "key", 3) == 0
               ? (size_t)atoi(text + 3) : KEYS;
}

/* A third of the keys is set, a third removed, and the rest left alone. */
static void change_it(void *arg, struct slice key)
{
    struct between *b = arg;
    size_t n = number_of(key);

    if (n >= KEYS || n % 3 == 2)
        return;
    meanwhile_end(&b->meanwhile);
    key_of(b->key, n);
    b->remove = n % 3 == 1;
    b->times++;
    meanwhile_do(&b->meanwhile, change_key, b);
}

static void check_changed_now(const char *tried, struct rig *r)
{
    char key[32];

    for (size_t i = 0; i < KEYS; i++) {
        key_of(key, i);
        expect_value(tried, r, key,
                     i % 3 == 0 ? "newer" : i % 3 == 1 ? NULL : key);
    }
    expect_int("I7: keys", rig_stats(r).keys, KEYS - KEYS / 3 + 1);
}

static void check_changed(const char *tried, struct rig *r)
{
    char what[160];

    for (int round = 0; round < 3; round++) {
        snprintf(what, sizeof what, "%s%s", tried,
                 round ? ", after a restart" : "");
        check_changed_now(what, r);
        if (round == 1)
            expect_int("store_compact", rig_compact(r), 0);
        rig_close(r);
        rig_open(r);
    }
}

static void changed_at(enum hook_at at, const char *tried)
{
    struct rig r;
    struct between b = { .rig = &r };

    rig_make_alone(&r, each_its_own);
    fill(&r);
    uint64_t live = live_in(&r);
    hook_set(at, change_it, &b);
    expect_int("a compaction", rig_merge_sealed(&r), 0);
    hook_set(at, NULL, NULL);
    meanwhile_end(&b.meanwhile);
    expect_true("each key's copy came by", b.times >= KEYS / 2);
    check_changed_now(tried, &r);
    expect_true("live bytes are of what lives now", live_in(&r) < live);
    uint64_t now = live_in(&r);
    rig_close(&r);
    rig_open(&r);
    expect_int("live bytes after a restart", live_in(&r), now);
    check_changed(tried, &r);
    rig_leave(&r);
}

static void newer_wins(const struct run *run)
{
    (void)run;
    changed_at(HOOK_SWITCH, "I5: a change between the copy and the index's "
               "switch wins");
}

/* The same for changes while the files are being copied. */
static void change_all(void *arg, struct slice key)
{
    struct between *b = arg;
    char name[32];

    (void)key;
    for (size_t i = 0; b->times == 0 && i < KEYS; i++) {
        key_of(name, i);
        change_it(b, slice_str(name));
        meanwhile_end(&b->meanwhile);
        b->times = 0;
    }
    b->times = 1;
}

static void changed_while_copying(const struct run *run)
{
    static const enum hook_at where[] = { HOOK_COPY, HOOK_MAKE,
                                          HOOK_SYNC_DIR };
    (void)run;
    for (size_t i = 0; i < sizeof where / sizeof *where; i++) {
        struct rig r;
        struct between b = { .rig = &r };

        rig_make_alone(&r, each_its_own);
        fill(&r);
        hook_set(where[i], change_all, &b);
        expect_int("a compaction", rig_merge_sealed(&r), 0);
        hook_set(where[i], NULL, NULL);
        expect_true("it was stepped into", b.times == 1);
        check_changed("I5: changed while its segment is being merged", &r);
        rig_leave(&r);
    }
}

/* ---- readers ------------------------------------------------------------- */

/* A get that has found its key, and reads the value when it is told to. */
struct held {
    struct rig *rig;
    struct actor actor;
    pthread_mutex_t lock;       /* guards: */
    bool inside, go;
};

static bool reads_it(void *arg, bool *which)
{
    struct held *h = arg;

    mutex_lock(&h->lock);
    bool yes = *which;
    mutex_unlock(&h->lock);
    return yes;
}

static bool is_inside(void *arg)
{
    return reads_it(arg, &((struct held *)arg)->inside);
}

static bool may_go(void *arg)
{
    return reads_it(arg, &((struct held *)arg)->go);
}

static void say(struct held *h, bool *what)
{
    mutex_lock(&h->lock);
    *what = true;
    mutex_unlock(&h->lock);
}

static void hold_it(void *arg, struct slice key)
{
    struct held *h = arg;

    (void)key;
    say(h, &h->inside);
    expect_soon("I14: changes and compactions beside a reader inside",
                "all of them end, and then it is told to go on", may_go, h);
}

static void get_held(void *arg)
{
    struct held *h = arg;

    hook_set(HOOK_READ, hold_it, h);
    expect_value("I5: a get that began before the compaction", h->rig, "key3",
                 "key3");
    hook_set(HOOK_READ, NULL, NULL);
    expect_value("the next get", h->rig, "key3", "key3");
}

static bool none_held(void *arg)
{
    struct rig *r = arg;

    epoch_reclaim(r->store->set.epoch);
    return deleted_held(r->dir) == 0;
}

/* A reader stays inside while its file is removed: it reads the right value,
 * and nobody waits for it; when it has left, the file is let go. */
static void held_reader(const struct run *run)
{
    struct rig r;
    struct held h = { .rig = &r, .lock = PTHREAD_MUTEX_INITIALIZER };
    char key[32];

    (void)run;
    rig_make_alone(&r, each_its_own);
    fill(&r);
    actor_start(&h.actor, get_held, &h);
    expect_soon("a get", "it has found its key", is_inside, &h);
    expect_int("a compaction beside a reader inside", rig_merge_sealed(&r), 0);
    check_all("I14: other readers go on", &r);
    for (size_t i = 0; i < KEYS; i++) {
        key_of(key, i);
        expect_int("I14: sets go on", rig_put(&r, key, key), 0);
    }
    expect_int("I14: compactions go on", rig_compact(&r), 0);
    check_all("I14: other readers go on", &r);
    expect_true("I14: a removed file that a reader is in is not closed",
                deleted_held(r.dir) > 0);
    expect_true("the reader has not gone on", !actor_done(&h.actor));
    say(&h, &h.go);
    actor_join(&h.actor);
    expect_soon("I14: the last reader has left", "no removed file is open or "
                "mapped", none_held, &r);
    check_all("after it", &r);
    rig_leave(&r);
}

/* What is removed is closed as soon as nobody reads it, by the compactions
 * themselves: files and mappings do not pile up. */
static void lets_go(const struct run *run)
{
    struct rig r;
    size_t most = 0;

    rig_make_alone(&r, each_its_own);
    fill(&r);
    expect_int("a compaction", rig_merge_sealed(&r), 0);
    unsigned before = descriptors();
    for (size_t i = 0; i < run->size; i++) {
        uint64_t g = rig_active(&r);
        expect_int("store_set", rig_put(&r, "active", "a"), 0);
        expect_int("a compaction", rig_merge(&r, &g, 1, NULL), 0);
        expect_int("all of it", rig_merge_sealed(&r), 0);
        size_t held = deleted_held(r.dir);
        most = held > most ? held : most;
    }
    expect_at_most("I14: removed files that are held meanwhile", most, 12);
    expect_at_most("I14: descriptors after many compactions", descriptors(),
                   before + 12);
    expect_soon("I14: nobody is inside", "no removed file is open or mapped",
                none_held, &r);
    check_all("after it", &r);
    rig_leave(&r);
}

/* ---- not in the caller's time -------------------------------------------- */

static void made_here(void *arg, struct slice suffix)
{
    (void)suffix;
    ++*(unsigned *)arg;
}

static bool has_compacted(void *arg)
{
    return rig_stats(arg).compactions > 0;
}

/* Sets do not compact; a thread of the store does. */
static void in_a_thread_of_its_own(const struct run *run)
{
    struct store_options options = { .segment_size = 4096 };
    unsigned made = 0;
    struct rig r;

    rig_make(&r, options);
    rig_compacts(&r);
    hook_set(HOOK_MAKE, made_here, &made);
    for (size_t i = 0; i < run->size; i++)
        expect_int("store_set", rig_put(&r, "key0", "some value"), 0);
    expect_soon("a key is set again and again", "it is compacted, by nobody's "
                "call", has_compacted, &r);
    hook_set(HOOK_MAKE, NULL, NULL);
    expect_int("I5: compactions in the time of a thread that sets", made, 0);
    expect_value("the key", &r, "key0", "some value");
    rig_leave(&r);
}

/* A store that is closed does not wait for a compaction to end. */
static void closes_at_once(const struct run *run)
{
    struct store_options options = { .segment_size = 64 << 10,
                                     .compaction_share = 1 };
    static char value[1001];
    char key[32];
    struct rig r;

    memset(value, 'v', 1000);
    rig_make(&r, options);
    expect_int("store_set", rig_put(&r, "key0", "old"), 0);
    expect_int("store_set", rig_put(&r, "key0", value), 0);
    expect_int("store_compact", store_compact(r.store), 0);
    expect_true("it compacts", rig_stats(&r).compactions > 0);
    for (size_t i = 0; i < run->size; i += 200)
        put_each(&r, 0, 1, 200, value);
    rig_close(&r);
    expect_int("files that nobody believes", files_ending(r.dir, DIR_NEW), 0);
    rig_open(&r);
    for (size_t i = 0; i < 200; i++) {
        key_of(key, i);
        expect_value("after a compaction that was broken off", &r, key, value);
    }
    rig_leave(&r);
}

/* ---- damage -------------------------------------------------------------- */

/* The directory has another's files now, by the same names: none of them is
 * taken for ours. */
static void moved_away(const struct run *run)
{
    char path[200], old[220];
    struct rig r, other;

    (void)run;
    rig_make_alone(&r, each_its_own);
    fill(&r);
    rig_make_alone(&other, each_its_own);
    fill(&other);
    rig_quiet(&r);
    rig_close(&other);
    uint64_t first = 0;
    for (uint64_t g = 1; g <= rig_active(&r); g++) {
        char from[200];

        rig_path(path, &r, g, ".log");
        rig_path(from, &other, g, ".log");
        if (access(path, F_OK) != 0 || access(from, F_OK) != 0 ||
            !rig_segment(&r, g)->sealed)
            continue;
        first = first ? first : g;
        snprintf(old, sizeof old, "%s-old", path);
        expect_int("renaming", rename(path, old), 0);
        expect_int("renaming", rename(from, path), 0);
    }
    expect_true("some files are another store's now", first > 0);
    size_t logs = files_ending(r.dir, ".log");
    expect_int("I10: a file that is not ours", rig_merge(&r, &first, 1, NULL),
               -EBADMSG);
    expect_int("I10: nothing is removed", files_ending(r.dir, ".log"), logs);
    check_all("what was there", &r);
    expect_int("store_close", store_close(r.store), 0);
    r.store = NULL;
    rig_leave(&r);
    rig_leave(&other);
}

/* An input that has gone bad is left alone, and the rest is compacted. */
static void damaged_input(const struct run *run)
{
    char path[200];
    struct stat st;
    struct rig r;

    (void)run;
    rig_make_alone(&r, each_its_own);
    fill(&r);
    rig_quiet(&r);
    rig_path(path, &r, KEYS + 3, ".log");       /* key2, as it is now */
    expect_int("stat", stat(path, &st), 0);
    flip_byte(path, (size_t)st.st_size - RECORD_HEADER - 2);
    size_t logs = files_ending(r.dir, ".log");
    expect_int("I10: compacting over a damaged record", rig_merge_sealed(&r),
               -EBADMSG);
    expect_int("I10: nothing is removed", files_ending(r.dir, ".log"), logs);
    expect_int("and nothing is left behind", files_ending(r.dir, DIR_NEW), 0);
    for (int i = 0, did = 1; did > 0 && i < 100; i++)
        did = compact_some(r.store);
    expect_at_most("logs, when the others are compacted",
                   files_ending(r.dir, ".log"), logs - KEYS / 2);
    expect_int("I10: the damaged one is still there", access(path, F_OK), 0);
    flip_byte(path, (size_t)st.st_size - RECORD_HEADER - 2);
    check_all("mended", &r);
    expect_int("store_compact, mended", rig_compact(&r), 0);
    check_all("and compacted", &r);
    expect_int("dead bytes", rig_stats(&r).dead_bytes, 0);
    rig_leave(&r);
}

/* What a compaction has made was never active: nothing in it is a torn tail,
 * and nothing is added to it. */
static void made_is_whole(const struct run *run)
{
    static unsigned char bytes[1 << 16];
    char path[200];
    struct rig r;
    uint64_t g, made;

    (void)run;
    rig_make_alone(&r, each_its_own);
    expect_int("store_set", rig_put(&r, "key", "value"), 0);
    g = rig_active(&r);
    expect_int("store_set", rig_put(&r, "active", "a"), 0);
    expect_int("a compaction", rig_merge(&r, &g, 1, &made), 0);
    rig_close(&r);
    r.options.segment_size = 1 << 20;
    rig_path(path, &r, made, ".log");
    size_t n = read_file(path, bytes, sizeof bytes);
    for (int round = 0; round < 2; round++) {
        rig_open(&r);
        expect_value("what was compacted", &r, "key", "value");
        expect_int("store_set", rig_put(&r, "more", "x"), 0);
        expect_true("I7: a compaction's output never becomes active",
                    rig_active(&r) != made);
        rig_close(&r);
        remove_ending(r.dir, ".hint");
    }
    for (size_t less = 1; less < RECORD_HEADER + 20; less += 10) {
        write_file(path, bytes, n - less);
        expect_int("I10: a compaction's output is cut short: opening",
                   rig_try_open(&r), -EBADMSG);
    }
    write_file(path, bytes, n);
    rig_open(&r);
    expect_value("mended", &r, "key", "value");
    rig_leave(&r);
}

/* ---- for the explorer: few steps, in any order ---------------------------- */

static void change_both(void *arg)
{
    struct rig *r = arg;

    expect_int("store_set", rig_put(r, "a", "third"), 0);
    expect_int("store_remove", rig_drop(r, "b"), 0);
}

static void read_both(void *arg)
{
    struct rig *r = arg;
    struct buf value = { 0 };

    expect_int("I5: a get beside a compaction",
               store_get(r->store, slice_str("a"), &value), 0);
    int err = store_get(r->store, slice_str("b"), &value);
    expect_true("I5: there or not", err == 0 || err == -ENOENT);
    buf_release(&value);
}

static void expect_changed(const char *tried, struct rig *r)
{
    expect_value(tried, r, "a", "third");
    expect_value(tried, r, "b", NULL);
}

/* Segments of one record each; two are merged while both keys change. */
static void small_merge(const struct run *run)
{
    struct actor writer, reader;
    struct rig r;

    (void)run;
    rig_make_alone(&r, (struct store_options){ .segment_size = 1 });
    expect_int("store_set", rig_put(&r, "a", "first"), 0);
    expect_int("store_set", rig_put(&r, "b", "value"), 0);
    expect_int("store_set", rig_put(&r, "a", "second"), 0);
    expect_int("store_set", rig_put(&r, "c", "value"), 0);
    actor_start(&writer, change_both, &r);
    actor_start(&reader, read_both, &r);
    expect_int("compacting", rig_merge_sealed(&r), 0);
    actor_join(&writer);
    actor_join(&reader);
    expect_changed("I5: a newer change wins", &r);
    rig_close(&r);
    rig_open(&r);
    expect_changed("I4: also after a restart", &r);
    rig_leave(&r);
}

const struct test_case many_compact_cases[] = {
    { "small_merge", small_merge, 0 },
    { "made_is_whole", made_is_whole, 0 },
    { "merges", merges, 0 },
    { "small_ones", small_ones, 0 },
    { "counted", counted, 0 },
    { "picks", picks, 0 },
    { "collects_all", collects_all, 1500 },
    { "space_settles", space_settles, 300 },
    { "shrinks", shrinks, 200 },
    { "newer_wins", newer_wins, 0 },
    { "changed_while_copying", changed_while_copying, 0 },
    { "held_reader", held_reader, 0 },
    { "lets_go", lets_go, 40 },
    { "in_a_thread_of_its_own", in_a_thread_of_its_own, 2000 },
    { "closes_at_once", closes_at_once, 1000 },
    { "moved_away", moved_away, 0 },
    { "damaged_input", damaged_input, 0 },
    { NULL, NULL, 0 },
};
