/* many_crash_test.c -- every disk that a crash can leave of a store that
 * rotates (task 5.5) and compacts (task 5.7); tests/crash.h tells how.
 *
 * Given.
 */
#include "tests/many_rig.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/lock.h"
#include "stage5-compaction/background.h"
#include "stage5-compaction/compact.h"
#include "tests/crash_store.h"

enum { SEGMENT = 2500, FILES = 1 /* the marker; crash_store.c knows the rest */ };

static void explore(const struct run *run, struct exploration e)
{
    e.one_cut = true;
    e.segment_size = SEGMENT;
    e.files = FILES;
    store_explore(run, &e);
}

/* Its own compactors are kept away: when what is compacted, the case says. */
static void opened(struct user *u, const char *root, enum store_durability d)
{
    expect_int("store_open", user_open(u, root, d, SEGMENT), 0);
    expect_int("keeping the compactors away", background_enter(u->store), 0);
}

static void compacted(struct user *u)
{
    background_leave(u->store);
    expect_int("store_compact", user_compact(u), 0);
    expect_int("keeping the compactors away", background_enter(u->store), 0);
}

/* Fills a few segments; `first` is the first of some values, 16 at most. */
static void some_changes(struct user *u, unsigned first)
{
    struct crash_pair batch[] = {
        { 4, first + 10 }, { 1, CRASH_ABSENT }, { 5, first + 11 },
        { 4, first + 12 },
    };

    for (unsigned i = 0; i < 8; i++)
        expect_int("store_set", user_set(u, i, first + i), 0);
    expect_int("store_remove", user_remove(u, 2), 0);
    expect_int("store_remove", user_remove(u, 3), 0);
    expect_int("store_set of a key that is there",
               user_set(u, 6, first + 8), 0);
    expect_int("store_apply of sets and a remove", user_batch(u, batch, 4), 0);
    expect_int("store_set of a key that was removed",
               user_set(u, 2, first + 13), 0);
    expect_int("store_remove", user_remove(u, 0), 0);
}

/* The same in short: under STORE_ALWAYS each change costs more calls, and each
 * of them is a moment to crash in. */
static void few_changes(struct user *u, unsigned first)
{
    for (unsigned i = 0; i < 3; i++)
        expect_int("store_set", user_set(u, i, first + 4 * i), 0);
    expect_int("store_remove", user_remove(u, 0), 0);
    expect_int("store_set of a key that is there",
               user_set(u, 1, first + 1), 0);
}

static void changes(struct user *u, unsigned first)
{
    if (u->durability == STORE_ALWAYS)
        few_changes(u, first);
    else
        some_changes(u, first);
}

/* ---- 5.5: rotation ------------------------------------------------------- */

static void rotation(const struct run *run, enum store_durability d,
                     bool power, const char *tried)
{
    struct user u = { .stream = 0 };
    char root[128];

    scratch_make(root);
    crash_record(root);
    opened(&u, root, d);
    changes(&u, 1);
    if (d != STORE_ALWAYS) {
        expect_int("store_sync", user_sync(&u), 0);
        changes(&u, 17);
    }
    expect_int("store_close", user_close(&u), 0);
    opened(&u, root, d);
    expect_int("what was set before the store was opened again",
               stored(u.store, 2), d == STORE_ALWAYS ? 9 : 30);
    expect_int("store_set", user_set(&u, 3, 33), 0);
    expect_int("store_remove", user_remove(&u, 2), 0);
    expect_true("there are several segments", u.store->set.first->next != NULL);
    crash_stop();
    store_close(u.store);
    crash_remove(root);
    explore(run, (struct exploration){
        .tried = tried, .power = power, .per_moment = (unsigned)run->size });
}

static void rotate_killed(const struct run *run)
{
    rotation(run, STORE_NONE, false, "changes in small segments, killed");
    rotation(run, STORE_ALWAYS, false,
             "changes in small segments under STORE_ALWAYS, killed");
}

static void rotate_power_none(const struct run *run)
{
    rotation(run, STORE_NONE, true, "changes in small segments, power fails");
}

static void rotate_power_always(const struct run *run)
{
    rotation(run, STORE_ALWAYS, true,
             "changes in small segments under STORE_ALWAYS, power fails");
}

static void rotate_power_interval(const struct run *run)
{
    rotation(run, STORE_INTERVAL, true,
             "changes in small segments under STORE_INTERVAL, power fails");
}

/* ---- 5.7: and compactions ------------------------------------------------ */

static void merging(const struct run *run, enum store_durability d, bool power,
                    bool keep, const char *tried)
{
    struct user u = { .stream = 0 };
    char root[128];

    scratch_make(root);
    crash_record(root);
    opened(&u, root, d);
    changes(&u, 1);
    compacted(&u);
    expect_int("what was set before the compaction", stored(u.store, 2),
               d == STORE_ALWAYS ? 9 : 14);
    expect_int("what was removed before it", stored(u.store, 0), CRASH_ABSENT);
    changes(&u, 17);
    compacted(&u);
    expect_int("store_remove",
               user_remove(&u, d == STORE_ALWAYS ? 1 : 4), 0);
    expect_int("store_remove", user_remove(&u, 2), 0);
    compacted(&u);
    expect_int("store_set", user_set(&u, 3, 33), 0);
    if (!keep)
        expect_int("store_close", user_close(&u), 0);
    crash_stop();
    store_close(u.store);
    crash_remove(root);
    explore(run, (struct exploration){
        .tried = tried, .power = power, .per_moment = (unsigned)run->size,
        .every = power ? 11 : 5, .compacts = true, .keep = keep });
}

static void merge_kill_states(const struct run *run)
{
    merging(run, STORE_NONE, false, false,
            "changes in small segments, and compactions, killed");
}

static void merge_power_none(const struct run *run)
{
    merging(run, STORE_NONE, true, false,
            "changes in small segments, and compactions, power fails");
}

static void merge_power_always(const struct run *run)
{
    merging(run, STORE_ALWAYS, true, false, "changes in small segments, and "
            "compactions, under STORE_ALWAYS, power fails");
}

static void merge_power_interval(const struct run *run)
{
    merging(run, STORE_INTERVAL, true, false, "changes in small segments, and "
            "compactions, under STORE_INTERVAL, power fails");
}

/* A removed key, its tombstone, and compactions that take the one and not the
 * other, in lives that end anyhow. */
static struct segment *sealed_at(struct store *s, unsigned nth)
{
    struct segment *g = s->set.first;

    while (g && (!g->sealed || nth-- > 0))
        g = g->next;
    return g;
}

static bool nobody_has_any(void *arg)
{
    struct store *s = arg;
    bool all = true;

    mutex_lock(&s->set.lock);
    for (const struct segment *g = s->set.first; g; g = g->next)
        all = all && !g->busy;
    mutex_unlock(&s->set.lock);
    return all;
}

static void merged_alone(struct user *u, unsigned nth)
{
    expect_soon("the store at rest", "nobody has a segment in hand",
                nobody_has_any, u->store);
    struct segment *g = sealed_at(u->store, nth);
    expect_true("a sealed segment", g && segments_take(&u->store->set, &g, 1));
    crash_phase("a compaction of one segment");
    expect_int("compact_run", compact_these(u->store, &g, 1), 0);
    crash_phase("");
}

static void tombstones_power(const struct run *run)
{
    struct user u = { .stream = 0 };
    char root[128];

    scratch_make(root);
    crash_record(root);
    opened(&u, root, STORE_NONE);
    expect_int("store_set", user_set(&u, 0, 3), 0);
    expect_int("store_set", user_set(&u, 1, 4), 0);
    expect_int("store_set", user_set(&u, 2, 10), 0);
    expect_int("store_remove", user_remove(&u, 0), 0);
    expect_int("store_set", user_set(&u, 3, 17), 0);
    expect_int("store_set", user_set(&u, 2, 24), 0);
    merged_alone(&u, 2);        /* what key 2 had: the newer is not synced */
    merged_alone(&u, 2);        /* the tombstone */
    expect_int("the removed key", stored(u.store, 0), CRASH_ABSENT);
    expect_int("store_remove", user_remove(&u, 3), 0);
    merged_alone(&u, 0);
    merged_alone(&u, 0);
    expect_int("the removed key", stored(u.store, 0), CRASH_ABSENT);
    expect_int("store_close", user_close(&u), 0);
    crash_stop();
    crash_remove(root);
    explore(run, (struct exploration){
        .tried = "removed keys; segments are compacted one by one",
        .power = true, .per_moment = (unsigned)run->size, .every = 9,
        .compacts = true });
}

/* A crash, and before the disk is at rest again, another one. */
static void merge_crash_twice(const struct run *run)
{
    struct user u = { .stream = 0 };
    uint16_t value[CRASH_KEYS];
    char root[128];
    unsigned n = 0;

    merging(run, STORE_ALWAYS, true, true, "changes in small segments, and "
            "compactions under STORE_ALWAYS");
    for (; n < 4 && crash_kept(n, root, value); n++) {
        crash_record(root);
        crash_starts_with(value);
        crash_phase("the first start");
        opened(&u, root, STORE_ALWAYS);
        crash_phase("");
        expect_int("store_set", user_set(&u, 3, 41), 0);
        expect_int("store_set", user_set(&u, 3, 43), 0);    /* garbage */
        compacted(&u);
        expect_int("store_set", user_set(&u, 7, 42), 0);
        crash_stop();
        store_close(u.store);
        explore(run, (struct exploration){
            .tried = "after a crash: open, set, compact, set; and then",
            .power = true, .per_moment = (unsigned)run->size });
    }
    expect_true("the first crash left several disks", n > 3);
    crash_drop_kept();
}

/* ---- 5.7: killed at each call -------------------------------------------- */

static void check_lives(const char *tried, struct user *u)
{
    static const unsigned wanted[] = { CRASH_ABSENT, CRASH_ABSENT, 14,
                                       CRASH_ABSENT, 13, 12, 9, 8 };

    for (unsigned k = 0; k < 8; k++) {
        int value = stored(u->store, k);
        if (value == (int)wanted[k])
            continue;
        fail_case(__FILE__, __LINE__, tried, wanted[k] ?
                  "I1: an acknowledged change survives" :
                  "I4: a removed key never comes back", "key %u: %d, not %u",
                  k, value, wanted[k]);
    }
}

static bool killed_at(enum crash_fault_kind kind, unsigned at)
{
    struct crash_fault fault = { CRASH_ANY, kind, 0, at, 1 };
    static const char *const when[] = { "before", "within", "after" };
    struct user u = { .stream = 0 };
    char root[128], tried[100];
    int status;
    pid_t child;

    snprintf(tried, sizeof tried, "SIGKILL %s call %u of a compaction",
             when[kind - CRASH_KILL], at);
    scratch_make(root);
    crash_record(root);
    if (forked(&child)) {
        opened(&u, root, STORE_NONE);
        some_changes(&u, 1);
        expect_soon("the store at rest", "nobody has a segment in hand",
                    nobody_has_any, u.store);
        background_leave(u.store);
        crash_fault(&fault);
        _exit(store_compact(u.store) == 0 ? 0 : 9);
    }
    expect_int("waitpid", waitpid(child, &status, 0), child);
    if (WIFEXITED(status) && WEXITSTATUS(status))
        _exit(WEXITSTATUS(status) == 3 ? 3 : 1);
    crash_stop();
    expect_true("the process ends by itself or is killed by us",
                WIFEXITED(status) || WTERMSIG(status) == SIGKILL);
    for (int round = 0; round < 3; round++) {
        expect_int(tried, user_open(&u, root, STORE_NONE, SEGMENT), 0);
        check_lives(tried, &u);
        if (store_files(root) > FILES)
            fail_case(__FILE__, __LINE__, tried, "I11: leftovers of a crashed "
                      "compaction are removed", "%u files",
                      store_files(root));
        if (round == 1)
            expect_int("the next compaction", store_compact(u.store), 0);
        check_lives(tried, &u);
        expect_int("store_close", store_close(u.store), 0);
    }
    crash_remove(root);
    return WIFSIGNALED(status);
}

static void merge_killed(const struct run *run)
{
    (void)run;
    for (int kind = CRASH_KILL_WITHIN; kind <= CRASH_KILL_AFTER; kind++) {
        unsigned at = 1;

        while (at < 200 && killed_at((enum crash_fault_kind)kind, at))
            at++;
        expect_true("a compaction makes several calls", at > 6 && at < 200);
    }
}

const struct test_case many_crash_cases[] = {
    { "rotate_killed", rotate_killed, 0 },
    { "rotate_power_none", rotate_power_none, 4 },
    { "rotate_power_always", rotate_power_always, 3 },
    { "rotate_power_interval", rotate_power_interval, 3 },
    { "merge_kill_states", merge_kill_states, 0 },
    { "merge_power_none", merge_power_none, 4 },
    { "merge_power_always", merge_power_always, 3 },
    { "merge_power_interval", merge_power_interval, 2 },
    { "tombstones_power", tombstones_power, 3 },
    { "merge_crash_twice", merge_crash_twice, 1 },
    { "merge_killed", merge_killed, 0 },
    { NULL, NULL, 0 },
};
