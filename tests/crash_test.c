/* crash_test.c -- the store and every crash: cases of tasks 2.7 and 2.8.
 *
 * Given.
 *
 * A short life of a store is recorded; tests/crash.h makes each disk that a
 * crash could have left; the store opens it and shows what it has. A case
 * that fails says which promise was broken, after which call, and what the
 * crash had lost.
 */
#include "tests/crash_test.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void opened(struct user *u, const char *root, enum store_durability d)
{
    expect_int("store_open", user_open(u, root, d, 0), 0);
}

/* Sets, overwrites, removes, a batch of both: nothing has a place in the
 * store that another value of the same key had before. */
static void some_changes(struct user *u, unsigned first)
{
    struct crash_pair batch[] = {
        { 4, first + 6 }, { 1, CRASH_ABSENT }, { 5, first + 7 },
        { 4, first + 8 },
    };

    for (unsigned i = 0; i < 4; i++)
        expect_int("store_set", user_set(u, i, first + i), 0);
    expect_int("store_set of a key that is there",
               user_set(u, 1, first + 4), 0);
    expect_int("store_remove", user_remove(u, 2), 0);
    expect_int("store_apply of sets and a remove", user_batch(u, batch, 4), 0);
    expect_int("store_set of a key that was removed",
               user_set(u, 2, first + 9), 0);
    expect_int("store_remove", user_remove(u, 0), 0);
}

/* ---- 2.7: changes -------------------------------------------------------- */

static void changes(const struct run *run, enum store_durability d, bool power,
                    const char *tried)
{
    struct user u = { .stream = 0 };
    char root[128];

    scratch_make(root);
    crash_record(root);
    opened(&u, root, d);
    some_changes(&u, 1);
    unsigned files = store_files(root);
    expect_int("store_sync", user_sync(&u), 0);
    some_changes(&u, 11);
    expect_int("store_close", user_close(&u), 0);
    opened(&u, root, d);
    expect_int("what was set before the store was opened again",
               stored(u.store, 3), 14);
    expect_int("store_set", user_set(&u, 3, 21), 0);
    expect_int("store_remove", user_remove(&u, 2), 0);
    crash_stop();
    store_close(u.store);
    crash_remove(root);
    store_explore(run, &(struct exploration){
        .tried = tried, .power = power, .per_moment = (unsigned)run->size,
        .every = power ? 7 : 2, .files = files });
}

static void kill_states(const struct run *run)
{
    changes(run, STORE_NONE, false, "set, remove, apply, sync, close, open");
    changes(run, STORE_ALWAYS, false,
            "set, remove, apply, sync, close, open under STORE_ALWAYS");
}

static void power_always(const struct run *run)
{
    changes(run, STORE_ALWAYS, true, "changes under STORE_ALWAYS");
}

static void power_none(const struct run *run)
{
    changes(run, STORE_NONE, true, "changes under STORE_NONE");
}

static void power_interval(const struct run *run)
{
    changes(run, STORE_INTERVAL, true, "changes under STORE_INTERVAL");
}

/* A life of a process with the store in `root`. */
struct life {
    void (*live)(struct user *u, const char *root);
    const char *root;
};

static void live(void *arg)
{
    struct life *life = arg;
    struct user u = { .stream = 0 };

    life->live(&u, life->root);
}

/* One that ends without a word. */
static void in_child(void (*one)(struct user *u, const char *root),
                     const char *root)
{
    crash_life(live, &(struct life){ one, root }, NULL);
}

static void first_life(struct user *u, const char *root)
{
    opened(u, root, STORE_NONE);
    some_changes(u, 1);
}

static void second_life(struct user *u, const char *root)
{
    opened(u, root, STORE_ALWAYS);
    expect_int("what an earlier process had set", stored(u->store, 3), 4);
    expect_int("store_set", user_set(u, 3, 15), 0);
    expect_int("store_set", user_set(u, 6, 16), 0);
}

static void third_life(struct user *u, const char *root)
{
    opened(u, root, STORE_NONE);
    expect_int("store_set", user_set(u, 3, 17), 0);
    expect_int("store_close", user_close(u), 0);
}

/* What the first process left to the kernel only, the second must not take
 * for durable because it can read it. */
static void power_after_kill(const struct run *run)
{
    char root[128];

    scratch_make(root);
    crash_record(root);
    in_child(first_life, root);
    unsigned files = store_files(root);
    in_child(second_life, root);
    in_child(third_life, root);
    crash_stop();
    crash_remove(root);
    store_explore(run, &(struct exploration){
        .tried = "changes, killed, opened under STORE_ALWAYS, killed, opened",
        .power = true, .per_moment = (unsigned)run->size, .every = 7,
        .files = files });
}

/* ---- Killed at each call, opened again, and then the power fails --------- */

/* The next process may not take for durable what the one before was about to
 * sync: names as well as bytes. Its keys are a stream of their own. */
static void next_life(struct user *u, const char *root)
{
    u->stream = 1;
    opened(u, root, STORE_ALWAYS);
    expect_int("store_set", user_set(u, 8, 41), 0);
    expect_int("store_set", user_set(u, 9, 42), 0);
}

static void short_life(struct user *u, const char *root)
{
    opened(u, root, STORE_ALWAYS);
    expect_int("store_set", user_set(u, 0, 1), 0);
    expect_int("store_set", user_set(u, 1, 2), 0);
}

static void compacting_life(struct user *u, const char *root)
{
    short_life(u, root);
    expect_int("store_set", user_set(u, 0, 3), 0);
    expect_int("store_compact", user_compact(u), 0);
    expect_int("store_set", user_set(u, 1, 4), 0);
}

/* Nothing of it is synced, and it fills more than a page. */
static void careless_life(struct user *u, const char *root)
{
    opened(u, root, STORE_NONE);
    for (unsigned i = 0; i < 4; i++)
        expect_int("store_set", user_set(u, i, 3 + 7 * i), 0);
}

/* A life that ends after call `at`, or (within) in the middle of write `at`;
 * false when there was none. */
static bool killed_life(void (*one)(struct user *u, const char *root),
                        const char *root, bool within, unsigned at)
{
    struct crash_fault fault = {
        within ? CRASH_WRITE : CRASH_ANY,
        within ? CRASH_KILL_WITHIN : CRASH_KILL_AFTER, 0, at, 1
    };

    return crash_life(live, &(struct life){ one, root }, &fault);
}

static void kill_each(const struct run *run, bool within,
                      void (*life)(struct user *u, const char *root))
{
    unsigned at = 1;
    char tried[100];

    for (bool killed = true; killed && at < 100; at++) {
        struct looker looker = { .files = 99 };
        struct crash_plan plan = {
            .look = store_look, .arg = &looker, .power = true,
            .one_cut = true, .seed = run->seed, .per_moment = (unsigned)run->size,
            .tried = tried
        };
        struct crash_report report;
        char root[128];

        scratch_make(root);
        crash_record(root);
        killed = killed_life(life, root, within, at);
        plan.from = crash_events();
        in_child(next_life, root);
        crash_stop();
        crash_remove(root);
        snprintf(tried, sizeof tried, "a process killed %s %u, another sets",
                 within ? "within its write" : "after its call", at);
        crash_expect(&plan, &report);
    }
    expect_true("opening and setting make several calls", at > 4);
}

static void power_after_each_kill(const struct run *run)
{
    kill_each(run, false, short_life);
    kill_each(run, true, careless_life);
}

static void compact_kill_power(const struct run *run)
{
    kill_each(run, false, compacting_life);
}

/* ---- Opened after a failed sync, and then the power fails ---------------- */

struct doubtful {
    enum store_durability d;
    size_t segment_size;        /* of this life, and of the last one */
    bool compacts;
    bool makes;                 /* the store; else a killed process has */
    bool removes;               /* and only then syncs fail */
};

static int removes_one(struct user *u)
{
    int err = user_set(u, 8, 200);

    if (!err)
        err = user_set(u, 9, 201);
    return err ? err : user_remove(u, 8);
}

static int sets_again(struct user *u)
{
    int err = user_set(u, 8, 200);

    if (!err)
        err = user_sync(u);
    return err ? err : user_set(u, 8, 215);
}

/* Opens the store, changes it, closes it; its at-th sync fails. False: it had
 * fewer. */
static bool doubtful_life(const struct doubtful *life, const char *root,
                          unsigned at)
{
    struct crash_fault fault = { CRASH_SYNC, CRASH_FAIL, EIO, at, 1 };
    struct user u = { .stream = 1 };

    crash_fault(life->removes ? NULL : &fault);
    if (user_open(&u, root, life->d, life->segment_size) == 0) {
        int err = life->removes ? removes_one(&u) : sets_again(&u);

        if (life->removes)
            crash_fault(&fault);
        if (!err && life->compacts)
            user_compact(&u);
        user_close(&u);
    }
    bool hit = crash_fault_hits() > 0;
    crash_fault(NULL);
    return hit;
}

enum { SMALL = 100 };       /* a segment: each record fills one */

static void sets_two(struct user *u, const char *root, size_t segment_size)
{
    u->stream = 2;
    expect_int("store_open", user_open(u, root, STORE_ALWAYS, segment_size), 0);
    expect_int("store_set", user_set(u, 16, 401), 0);
    expect_int("store_set", user_set(u, 17, 402), 0);
}

static void last_life(struct user *u, const char *root)
{
    sets_two(u, root, 0);
}

static void last_small_life(struct user *u, const char *root)
{
    sets_two(u, root, SMALL);
}

/* What the life before has compacted, this one compacts away. */
static void last_compacting_life(struct user *u, const char *root)
{
    sets_two(u, root, SMALL);
    u->stream = 1;
    expect_int("store_set", user_set(u, 9, 208), 0);
    expect_int("store_compact", user_compact(u), 0);
}

/* To the kernel all pages are clean then. Who opens the store next must not
 * build on what is not on the disk. */
static bool built_on_doubt(const struct run *run, const struct doubtful *life,
                           unsigned at)
{
    struct looker looker = { .files = 99 };
    struct crash_report report;
    char root[128], tried[140];

    scratch_make(root);
    crash_record(root);
    if (!life->makes)
        in_child(careless_life, root);
    bool hit = doubtful_life(life, root, at);
    size_t from = crash_events();
    in_child(life->removes                 ? last_compacting_life
             : life->segment_size == SMALL ? last_small_life
                                           : last_life, root);
    crash_stop();
    crash_remove(root);
    if (life->removes)      /* there are many moments: the last one */
        from = crash_events() - 1;
    snprintf(tried, sizeof tried, "sync %u%s fails (%s%s, segments of %zu "
             "bytes%s); the next process sets two keys%s", at,
             life->removes ? " of the compaction" : "",
             life->makes ? "made" : "opened",
             life->d == STORE_NONE ? "" : ", STORE_ALWAYS",
             life->segment_size, life->compacts ? ", compacted" : "",
             life->removes ? ", and compacts" : "");
    crash_expect(&(struct crash_plan){
        .look = store_look, .arg = &looker, .power = true, .one_cut = true,
        .seed = run->seed, .per_moment = (unsigned)run->size, .from = from,
        .tried = tried }, &report);
    return hit;
}

/* As many syncs as there are fail, one in each try. */
static unsigned syncs_failed(const struct run *run,
                             const struct doubtful *life)
{
    unsigned at = 1;

    while (at < 60 && built_on_doubt(run, life, at))
        at++;
    return at - 1;
}

static void after_failed_sync(const struct run *run)
{
    expect_true("opening syncs what a killed process has left; so do "
                "store_sync, store_close",
                syncs_failed(run, &(struct doubtful){ .d = STORE_NONE })
                > 2);
    expect_true("and each set under STORE_ALWAYS",
                syncs_failed(run, &(struct doubtful){ .d = STORE_ALWAYS })
                > 2);
    expect_true("so does who makes a store",
                syncs_failed(run, &(struct doubtful){ .makes = true }) > 3);
}

/* Each set ends a segment. */
static void after_failed_seal(const struct run *run)
{
    struct doubtful life = { .d = STORE_ALWAYS, .segment_size = SMALL };

    expect_true("each set under STORE_ALWAYS syncs",
                syncs_failed(run, &life) > 2);
}

static void after_failed_compaction(const struct run *run)
{
    struct doubtful life = { .d = STORE_ALWAYS, .compacts = true };
    struct doubtful removes = { .d = STORE_ALWAYS, .segment_size = SMALL,
                                .compacts = true, .removes = true };

    expect_true("a compaction syncs", syncs_failed(run, &life) > 4);
    expect_true("and so after a remove", syncs_failed(run, &removes) > 2);
}

/* ---- 2.7: several at once, under STORE_ALWAYS ---------------------------- */

enum { WRITERS = 3, EACH = 24 };

struct writer {
    struct actor actor;
    struct user u;
    size_t rounds;
};

static void write_own_keys(void *arg)
{
    struct writer *w = arg;
    unsigned s = w->u.stream;

    for (unsigned i = 0; i < w->rounds; i++)
        expect_int("store_set", user_set(&w->u, 4 * s + i % 4,
                                         1 + 200 * s + i), 0);
}

struct reader {
    struct actor actor;
    struct store *store;
    struct writer *writers;
};

static bool all_written(struct writer *w)
{
    for (unsigned i = 0; i < WRITERS; i++)
        if (!actor_done(&w[i].actor))
            return false;
    return true;
}

/* As long as they write. Values of stream s are 1 + 200 s + i, made by its
 * change i + 1; each is noted when it is first seen. */
static void read_all_keys(void *arg)
{
    struct reader *r = arg;
    int last[4 * WRITERS] = { 0 };
    bool end = false;

    while (!end) {
        end = all_written(r->writers);
        for (unsigned key = 0; key < 4 * WRITERS; key++) {
            int value = stored(r->store, key);
            expect_true("a get beside sets", value >= 0);
            if (value > 0 && value != last[key])
                crash_was_read((unsigned)(value - 1) / 200,
                               (unsigned)(value - 1) % 200 + 1);
            last[key] = value;
        }
    }
}

static void always_together(const struct run *run)
{
    struct writer w[WRITERS];
    struct reader r = { .writers = w };
    struct user u = { .stream = 0 };
    char root[128];

    scratch_make(root);
    crash_record(root);
    opened(&u, root, STORE_ALWAYS);
    unsigned files = store_files(root);
    r.store = u.store;
    for (unsigned i = 0; i < WRITERS; i++) {
        w[i] = (struct writer){ .u = u, .rounds = EACH };
        w[i].u.stream = i;
        actor_start(&w[i].actor, write_own_keys, &w[i]);
    }
    actor_start(&r.actor, read_all_keys, &r);
    actor_join(&r.actor);       /* it looks at the writers, until they end */
    for (unsigned i = 0; i < WRITERS; i++)
        actor_join(&w[i].actor);
    crash_stop();
    store_close(u.store);
    crash_remove(root);
    store_explore(run, &(struct exploration){
        .tried = "3 writers and a reader under STORE_ALWAYS", .power = true,
        .per_moment = (unsigned)run->size, .files = files });
}

/* ---- 2.8: compaction ----------------------------------------------------- */

static void with_compactions(const struct run *run, enum store_durability d,
                             bool power, bool keep, const char *tried)
{
    struct user u = { .stream = 0 };
    char root[128];

    scratch_make(root);
    crash_record(root);
    opened(&u, root, d);
    some_changes(&u, 1);
    expect_int("store_compact", user_compact(&u), 0);
    unsigned files = store_files(root);
    expect_int("what was set before the compaction", stored(u.store, 3), 4);
    expect_int("what was removed before the compaction",
               stored(u.store, 0), CRASH_ABSENT);
    some_changes(&u, 11);
    expect_int("a second store_compact", user_compact(&u), 0);
    expect_int("store_set", user_set(&u, 3, 21), 0);
    expect_int("store_remove", user_remove(&u, 2), 0);
    expect_int("store_close", user_close(&u), 0);
    crash_stop();
    crash_remove(root);
    store_explore(run, &(struct exploration){
        .tried = tried, .power = power, .per_moment = (unsigned)run->size,
        .every = power ? 7 : 2, .files = files, .compacts = true,
        .keep = keep });
}

static void compact_kill_states(const struct run *run)
{
    with_compactions(run, STORE_NONE, false, false, "changes and compactions");
}

static void compact_power_none(const struct run *run)
{
    with_compactions(run, STORE_NONE, true, false,
                     "changes and compactions under STORE_NONE");
}

static void compact_power_always(const struct run *run)
{
    with_compactions(run, STORE_ALWAYS, true, false,
                     "changes and compactions under STORE_ALWAYS");
}

/* Nothing to keep, one record, and a compaction of what is compact. */
static void compact_small(const struct run *run)
{
    struct user u = { .stream = 0 };
    char root[128];

    scratch_make(root);
    crash_record(root);
    opened(&u, root, STORE_ALWAYS);
    expect_int("store_compact of nothing", user_compact(&u), 0);
    unsigned files = store_files(root);
    expect_int("store_set", user_set(&u, 0, 1), 0);
    expect_int("store_remove", user_remove(&u, 0), 0);
    expect_int("store_compact of what was removed", user_compact(&u), 0);
    expect_int("store_set", user_set(&u, 1, 2), 0);
    expect_int("store_compact of one record", user_compact(&u), 0);
    expect_int("store_compact of what is compact", user_compact(&u), 0);
    expect_int("the one value", stored(u.store, 1), 2);
    expect_int("store_close", user_close(&u), 0);
    crash_stop();
    crash_remove(root);
    store_explore(run, &(struct exploration){
        .tried = "compactions of nothing and of one record", .power = true,
        .per_moment = (unsigned)run->size, .every = 7, .files = files,
        .compacts = true });
}

/* A removed key, its remains in one file and another, and restarts. */
static void removed_stays_removed(const struct run *run)
{
    struct user u = { .stream = 0 };
    unsigned files = 0;
    char root[128];

    scratch_make(root);
    crash_record(root);
    for (unsigned round = 0; round < 3; round++) {
        opened(&u, root, STORE_ALWAYS);
        expect_int("store_set", user_set(&u, 0, 1 + 4 * round), 0);
        expect_int("store_set", user_set(&u, 1, 2 + 4 * round), 0);
        if (round == 0)
            expect_int("store_compact", user_compact(&u), 0);
        files = store_files(root);
        expect_int("store_remove", user_remove(&u, 0), 0);
        if (round == 1)
            expect_int("store_compact", user_compact(&u), 0);
        expect_int("the removed key", stored(u.store, 0), CRASH_ABSENT);
        expect_int("store_set of another", user_set(&u, 2, 3 + 4 * round), 0);
        if (round == 2)
            expect_int("store_compact", user_compact(&u), 0);
        expect_int("store_close", user_close(&u), 0);
    }
    crash_stop();
    crash_remove(root);
    store_explore(run, &(struct exploration){
        .tried = "a key set, removed, compacted, opened again", .power = true,
        .per_moment = (unsigned)run->size, .every = 5, .files = files,
        .compacts = true });
}

/* A crash, and before the disk is at rest again, another one: disks that the
 * first has left are the start of a second record. */
static void crash_twice(const struct run *run)
{
    struct user u = { .stream = 0 };
    uint16_t value[CRASH_KEYS];
    char root[128];
    unsigned n = 0;

    with_compactions(run, STORE_ALWAYS, true, true,
                     "changes and compactions under STORE_ALWAYS");
    for (; crash_kept(n, root, value); n++) {
        crash_record(root);
        crash_starts_with(value);
        crash_phase("the first start");
        opened(&u, root, STORE_ALWAYS);
        crash_phase("");
        unsigned files = store_files(root);
        expect_int("store_set", user_set(&u, 3, 31), 0);
        expect_int("store_compact", user_compact(&u), 0);
        expect_int("store_set", user_set(&u, 7, 32), 0);
        crash_stop();
        store_close(u.store);
        store_explore(run, &(struct exploration){
            .tried = "after a crash: open, set, compact, set; and then",
            .power = true, .per_moment = (unsigned)run->size / 2,
            .files = files });
    }
    expect_true("the first crash left several disks", n > 3);
    crash_drop_kept();
}

static const struct test_case cases[] = {
    { "kill_states", kill_states, 0 },
    { "power_always", power_always, 40 },
    { "power_none", power_none, 40 },
    { "power_interval", power_interval, 16 },
    { "power_after_kill", power_after_kill, 40 },
    { "power_after_each_kill", power_after_each_kill, 16 },
    { "after_failed_sync", after_failed_sync, 16 },
    { "after_failed_seal", after_failed_seal, 4 },
    { "after_failed_compaction", after_failed_compaction, 8 },
    { "always_together", always_together, 12 },
    { "set_faults", set_faults, 0 },
    { "syncs_fail", syncs_fail, 0 },
    { "open_faults", open_faults, 0 },
    { "kill_rounds", kill_rounds, 50 },
    { "compact_kill_states", compact_kill_states, 0 },
    { "compact_power_none", compact_power_none, 40 },
    { "compact_power_always", compact_power_always, 40 },
    { "compact_kill_power", compact_kill_power, 16 },
    { "compact_small", compact_small, 40 },
    { "removed_stays_removed", removed_stays_removed, 40 },
    { "crash_twice", crash_twice, 30 },
    { "compact_killed", compact_killed, 0 },
    { "compact_faults", compact_faults, 0 },
    { "compact_sync_fails", compact_sync_fails, 0 },
    { "kill_rounds_compacting", kill_rounds_compacting, 50 },
    { NULL, NULL, 0 },
};

int main(int argc, char **argv)
{
    return driver_main(argc, argv, cases);
}
