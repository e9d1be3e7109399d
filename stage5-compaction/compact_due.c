/* compact_due.c -- given. */
#include <errno.h>

#include "common/clock.h"
#include "common/lock.h"
#include "common/log.h"
#include "stage5-compaction/background.h"
#include "stage5-compaction/compact.h"

/* One that is chosen may turn out to be as large as before: what made it
 * garbage was a tombstone that somebody else pins, too. */
enum { ROUNDS = 3 };

enum { MUCH = 10 };     /* a tenth: of the active segment, of all */

int compact_these(struct store *store, struct segment **inputs, size_t n)
{
    int err = compact_run(store, inputs, n);

    background_spent(store);
    return err;
}

static int run_one(struct store *s, bool all)
{
    struct segment *inputs[COMPACT_INPUTS];
    uint64_t began = clock_now_ns();
    size_t n = compact_pick(s, inputs, all);

    if (n == 0)
        return 0;
    int err = compact_these(s, inputs, n);
    if (err)
        return err;
    mutex_lock(&s->numbers);
    s->compactions++;
    s->compaction_ns = clock_now_ns() - began;
    uint64_t runs = s->compactions, ms = s->compaction_ns / 1000000;
    mutex_unlock(&s->numbers);
    log_info("compaction %llu: %zu segments in %llu ms",
             (unsigned long long)runs, n, (unsigned long long)ms);
    return 1;
}

static uint64_t garbage_of(struct store *s)
{
    struct segments_sum sum;

    segments_sum(&s->set, &sum);
    return sum.bytes - sum.live;
}

/* ---- The active segment -------------------------------------------------- */

static bool has_garbage(struct store *s, bool much)
{
    mutex_lock(&s->set.lock);
    int64_t bytes = (int64_t)s->active->bytes, live = s->active->live;
    mutex_unlock(&s->set.lock);
    return bytes - live > (much ? bytes / MUCH : 0);
}

/* What it holds is compacted only once it is sealed. The mark at its end needs
 * room: that of the reserve, if there is no other. 1: it was; whoever calls this
 * calls background_spent in the end. */
static int seal_garbage(struct store *s, bool much)
{
    int err = 0;

    commit_enter(&s->commit);
    bool seal = s->active && !store_failed(s) && has_garbage(s, much);
    if (seal)
        err = store_seal_active(s);
    if (store_no_room(err) && !store_failed(s) && background_spend_reserve(s))
        err = store_seal_active(s);
    commit_leave(&s->commit);
    return err ? err : seal;
}

/* A change has found no room, and of all bytes many are garbage: else nothing
 * would be due, sealed or not. */
static bool is_in_need(struct store *s)
{
    struct segments_sum sum;

    segments_sum(&s->set, &sum);
    return background_no_room(s) && sum.bytes - sum.live > sum.bytes / MUCH;
}

/* (A hint that was written of it just now would keep it from being taken.) */
static int seal_and_run(struct store *s)
{
    background_hold_hints(s);
    int did = seal_garbage(s, true);
    if (did == 1)
        did = run_one(s, false);
    background_let_hints(s);
    background_spent(s);
    return store_no_room(did) ? 0 : did;
}

/* ---- What is due --------------------------------------------------------- */

int compact_some(struct store *store)
{
    int did = run_one(store, false);

    return did == 0 && is_in_need(store) ? seal_and_run(store) : did;
}

/* Who asks for it by name gives those another chance that could not be read:
 * and learns of it when they still cannot. */
static void forgive(struct store *s)
{
    mutex_lock(&s->set.lock);
    for (struct segment *g = s->set.first; g; g = g->next)
        g->bad = false;
    mutex_unlock(&s->set.lock);
}

/* Each round takes every segment that has garbage at most a few times; the
 * second finds the tombstones free that old segments pinned in the first. */
static int take_rounds(struct store *store)
{
    for (int round = 0; round < ROUNDS && garbage_of(store) > 0; round++) {
        struct segments_sum sum;
        int did = 1;

        segments_sum(&store->set, &sum);
        for (uint64_t i = 0; did > 0 && i < sum.segments; i++)
            did = run_one(store, true);
        if (did < 0)
            return did;
    }
    return 0;
}

/* If there was no room to seal the active one, there may be some now. */
static int seal_and_take(struct store *store)
{
    int sealed = seal_garbage(store, false);

    if (sealed < 0 && !store_no_room(sealed))
        return sealed;
    int err = take_rounds(store);
    if (sealed < 0 && !err) {
        sealed = seal_garbage(store, false);
        err = sealed < 0 ? sealed : take_rounds(store);
    }
    return err;
}

int compact_all(struct store *store)
{
    forgive(store);
    background_hold_hints(store);
    int err = seal_and_take(store);
    background_spent(store);
    background_let_hints(store);
    return err;
}
