/* epoch.c -- yours: stage 5A, tasks 5.1, 5.2.
 *
 * The epoch is a number, `now`. A reader that enters puts the number it sees
 * into its slot; leaving, it puts 0 there. What is retired is collected in
 * bags. A bag that is full is sealed: it gets the present number as its tag,
 * and the number goes up by one.
 *
 *        now   7        8             9
 *     reader A --[7........................]--      keeps tags >= 7
 *     reader B    ---[8....]--[9..]-----------      keeps tags >= 8, then 9
 *     bags       sealed 7^    sealed 8^
 *
 * A bag with tag t may go when no slot holds a number from 1 to t.
 *
 * Why that is right. Say x lies in a bag with tag t, and a thread scans the
 * slots because it wants to free the bag.
 *
 *   1. x was unlinked before it was retired, retired before its bag was
 *      sealed, and the sealing has taken `now` from t to t + 1.
 *   2. The scan comes after the sealing: before it looks at the first slot, it
 *      reads `now`, and takes only bags with tags below that.
 *   3. All of this is seq-cst: publish (the unlinking), counter_add (the
 *      sealing), reader_enter, acquire, grace_seen. So there is one order of
 *      them in which everybody sees them.
 *   4. A slot shows 0: the reader had left, and all that it did inside has
 *      happened (reader_exit releases, grace_seen acquires). If it enters
 *      again, that is after the scan saw the 0, so after x was unlinked: it
 *      cannot find x.
 *   5. A slot shows s > t: the reader read s from `now` before it entered, so
 *      after the sealing, so after x was unlinked: it cannot find x either.
 *      What it did in earlier visits has happened, as in 4.
 *   6. A slot shows s with 0 < s <= t: the reader may have x. The bag waits.
 *      That may be for nothing (the reader may have read `now` long before it
 *      filled its slot), and is never wrong.
 *   7. A reader that registers during the scan and is not seen by it enters
 *      after it was published, so after the scan began: as in 4.
 *
 * Who waits for whom. A reader inside with number s keeps bags with tags of s
 * and more, so bags that were sealed before it entered go on being freed. Tags
 * in a lane only grow: the first bag that must wait ends the search.
 *
 * Cost. To enter is a load of `now`, which all share and which changes once in
 * a bag and with each synchronize, and a store to the own slot. Retired things
 * go to one of several lanes, chosen by the thread, so that retiring threads
 * seldom meet. Who seals a bag looks after his lane and now and then, in turn,
 * after one of the others, so that no sealed bag stays because its thread has
 * ended. Who retires where much waits already looks more often: the reader
 * that all waited for may have left.
 *
 * What fn retires waits in its bag until somebody else looks: so fn is never
 * called inside of fn, however long the chain is.
 *
 * Locks: `registry`; a lane's. Nobody holds two. fn is called without any.
 */
#include "stage5-compaction/epoch.h"

#include <assert.h>
#include <errno.h>
#include <sched.h>
#include <stdbool.h>
#include <stdlib.h>
#include <time.h>

#include "common/counter.h"
#include "common/lock.h"
#include "common/publish.h"

enum {
    LINE = 64,
    LANES = 8,
    BAG = 62,               /* things */
    BAG_BYTES = 64 << 10,   /* a bag that holds so much is full */
    OTHERS = 8,             /* every so many bags, another lane is swept */
    MUCH = 1 << 20,         /* bytes that wait in a lane: then one looks */
    OFTEN = 8,              /* every so many things */
    YIELDS = 100            /* before a waiting thread sleeps */
};

struct item {
    void *what, *arg;
    epoch_reclaim_fn *fn;
};

struct bag {
    struct bag *next;
    uint64_t tag;           /* once it is sealed */
    size_t n, bytes;
    struct item items[BAG];
};

/* Bags of the threads that have this lane. */
struct lane {
    pthread_mutex_t lock;   /* guards the rest */
    struct bag *open;       /* not sealed; NULL: none */
    struct bag *first, *last;   /* sealed; tags grow */
    struct bag *spare;
    uint64_t retired, reclaimed;
    size_t bytes;           /* of all that waits */
} __attribute__((aligned(2 * LINE)));

/* A line of its own: only this reader's enters and leaves write to it. */
struct epoch_reader {
    uint64_t _Atomic slot;
    unsigned depth;         /* of enters; the reader's own */
    struct epoch *epoch;    /* set once */
    struct epoch_reader *next;      /* of all; set once */
    struct epoch_reader *next_free; /* guarded by registry */
} __attribute__((aligned(2 * LINE)));

struct epoch {
    struct counter now;     /* from 1 on; goes up with every sealed bag */
    void *_Atomic readers;  /* the first of all that ever were */
    pthread_mutex_t registry __attribute__((aligned(2 * LINE)));
                            /* guards free, registered, and adding to readers */
    struct epoch_reader *free;
    size_t registered;
    struct lane lane[LANES];
};

/* ---- Creating, readers --------------------------------------------------- */

int epoch_create(struct epoch **out)
{
    void *memory;

    if (posix_memalign(&memory, 2 * LINE, sizeof(struct epoch)) != 0)
        return -ENOMEM;
    struct epoch *epoch = memory;
    *epoch = (struct epoch){ .registered = 0 };
    counter_init(&epoch->now, 1);
    mutex_init(&epoch->registry);
    for (int i = 0; i < LANES; i++)
        mutex_init(&epoch->lane[i].lock);
    *out = epoch;
    return 0;
}

static struct epoch_reader *reader_create_locked(struct epoch *epoch)
{
    void *memory;

    if (posix_memalign(&memory, 2 * LINE, sizeof(struct epoch_reader)) != 0)
        return NULL;
    struct epoch_reader *reader = memory;
    *reader = (struct epoch_reader){ .epoch = epoch,
                                     .next = acquire(&epoch->readers) };
    publish(&epoch->readers, reader);
    return reader;
}

struct epoch_reader *epoch_register(struct epoch *epoch)
{
    mutex_lock(&epoch->registry);
    struct epoch_reader *reader = epoch->free;
    if (reader)
        epoch->free = reader->next_free;
    else
        reader = reader_create_locked(epoch);
    if (reader)
        epoch->registered++;
    mutex_unlock(&epoch->registry);
    return reader;
}

void epoch_unregister(struct epoch_reader *reader)
{
    struct epoch *epoch = reader->epoch;

    assert(reader->depth == 0);
    mutex_lock(&epoch->registry);
    reader->next_free = epoch->free;
    epoch->free = reader;
    epoch->registered--;
    mutex_unlock(&epoch->registry);
}

void epoch_enter(struct epoch_reader *reader)
{
    if (reader->depth++ == 0)
        reader_enter(&reader->slot, counter_get(&reader->epoch->now));
}

void epoch_leave(struct epoch_reader *reader)
{
    assert(reader->depth > 0);
    if (--reader->depth == 0)
        reader_exit(&reader->slot);
}

/* ---- Bags ---------------------------------------------------------------- */

/* Bags with tags below the answer may go. `now` is read first: see 2. */
static uint64_t scan(struct epoch *epoch)
{
    uint64_t below = counter_get(&epoch->now);

    for (struct epoch_reader *r = acquire(&epoch->readers); r; r = r->next) {
        uint64_t entered = grace_seen(&r->slot);

        if (entered && entered < below)
            below = entered;
    }
    return below;
}

static struct bag *open_bag_locked(struct lane *lane)
{
    if (!lane->open) {
        lane->open = lane->spare ? lane->spare : malloc(sizeof *lane->open);
        lane->spare = NULL;
        if (lane->open)
            lane->open->n = lane->open->bytes = 0;
    }
    return lane->open;
}

/* Answers the tag. */
static uint64_t seal_locked(struct epoch *epoch, struct lane *lane)
{
    struct bag *bag = lane->open;

    bag->tag = counter_add(&epoch->now, 1) - 1;
    bag->next = NULL;
    if (lane->first)
        lane->last->next = bag;
    else
        lane->first = bag;
    lane->last = bag;
    lane->open = NULL;
    return bag->tag;
}

static struct bag *take_locked(struct lane *lane, uint64_t below)
{
    struct bag *taken = lane->first, *last = NULL;

    while (lane->first && lane->first->tag < below) {
        last = lane->first;
        lane->first = last->next;
    }
    if (!last)
        return NULL;
    last->next = NULL;
    return taken;
}

static _Thread_local unsigned reclaiming;   /* in so many fn at once */

static void reclaim(const struct item *item)
{
    reclaiming++;
    item->fn(item->arg, item->what);
    reclaiming--;
}

static void empty(struct lane *lane, struct bag *bag)
{
    for (size_t i = 0; i < bag->n; i++)
        reclaim(&bag->items[i]);
    mutex_lock(&lane->lock);
    lane->reclaimed += bag->n;
    lane->bytes -= bag->bytes;
    if (!lane->spare) {
        lane->spare = bag;
        bag = NULL;
    }
    mutex_unlock(&lane->lock);
    free(bag);
}

/* Reclaims what may go of a lane. */
static void sweep(struct lane *lane, uint64_t below)
{
    mutex_lock(&lane->lock);
    struct bag *taken = take_locked(lane, below);
    mutex_unlock(&lane->lock);
    for (struct bag *next; taken; taken = next) {
        next = taken->next;
        empty(lane, taken);
    }
}

/* ---- Retiring ------------------------------------------------------------ */

/* Threads get numbers in the order in which they first come here. Nothing but
 * speed depends on it. */
static struct lane *own_lane(struct epoch *epoch)
{
    static struct counter threads;
    static _Thread_local unsigned number;

    if (__builtin_expect(number == 0, 0))
        number = (unsigned)counter_add(&threads, 1);
    return &epoch->lane[number % LANES];
}

static void retire_at_once(struct epoch *epoch, struct lane *lane,
                           const struct item *item)
{
    mutex_lock(&lane->lock);
    lane->retired++;
    mutex_unlock(&lane->lock);
    epoch_synchronize(epoch);
    reclaim(item);
    mutex_lock(&lane->lock);
    lane->reclaimed++;
    mutex_unlock(&lane->lock);
}

void epoch_retire(struct epoch *epoch, void *what, size_t bytes,
                  epoch_reclaim_fn *fn, void *arg)
{
    struct lane *lane = own_lane(epoch);
    struct item item = { what, arg, fn };

    mutex_lock(&lane->lock);
    struct bag *bag = open_bag_locked(lane);
    if (!bag) {
        mutex_unlock(&lane->lock);
        retire_at_once(epoch, lane, &item);
        return;
    }
    bag->items[bag->n++] = item;
    bag->bytes += bytes;
    lane->bytes += bytes;
    lane->retired++;
    bool look = lane->first && lane->bytes > MUCH &&
                lane->retired % OFTEN == 0;
    uint64_t tag = 0;
    if (bag->n == BAG || bag->bytes >= BAG_BYTES)
        tag = seal_locked(epoch, lane);
    mutex_unlock(&lane->lock);
    if ((tag || look) && reclaiming == 0) {
        uint64_t below = scan(epoch);

        sweep(lane, below);
        if (tag && tag % OTHERS == 0)
            sweep(&epoch->lane[tag / OTHERS % LANES], below);
    }
}

static void seal_all(struct epoch *epoch)
{
    for (int i = 0; i < LANES; i++) {
        struct lane *lane = &epoch->lane[i];

        mutex_lock(&lane->lock);
        if (lane->open && lane->open->n)
            seal_locked(epoch, lane);
        mutex_unlock(&lane->lock);
    }
}

static void sweep_all(struct epoch *epoch, uint64_t below)
{
    for (int i = 0; i < LANES; i++)
        sweep(&epoch->lane[i], below);
}

size_t epoch_reclaim(struct epoch *epoch)
{
    struct epoch_stats stats;

    seal_all(epoch);
    sweep_all(epoch, scan(epoch));
    epoch_stats(epoch, &stats);
    return stats.waiting;
}

/* Readers wake nobody, that is what makes them fast: so we look again. */
static void pause_a_little(unsigned tries)
{
    static const struct timespec moment = { 0, 50000 };

    if (tries < YIELDS)
        sched_yield();
    else
        nanosleep(&moment, NULL);
}

/* Every slot was seen at 0 or at `now` or more: what was sealed before may go,
 * whoever has entered meanwhile. */
void epoch_synchronize(struct epoch *epoch)
{
    seal_all(epoch);
    uint64_t now = counter_add(&epoch->now, 1), entered;

    for (struct epoch_reader *r = acquire(&epoch->readers); r; r = r->next)
        for (unsigned i = 0; (entered = grace_seen(&r->slot)) &&
                             entered < now; i++)
            pause_a_little(i);
    sweep_all(epoch, now);
}

void epoch_stats(struct epoch *epoch, struct epoch_stats *stats)
{
    *stats = (struct epoch_stats){ .epoch = counter_get(&epoch->now) };
    for (int i = 0; i < LANES; i++) {
        struct lane *lane = &epoch->lane[i];

        mutex_lock(&lane->lock);
        stats->retired += lane->retired;
        stats->reclaimed += lane->reclaimed;
        stats->waiting_bytes += lane->bytes;
        mutex_unlock(&lane->lock);
    }
    stats->waiting = (size_t)(stats->retired - stats->reclaimed);
    mutex_lock(&epoch->registry);
    stats->readers = epoch->registered;
    mutex_unlock(&epoch->registry);
}

/* ---- Destroying ---------------------------------------------------------- */

void epoch_destroy(struct epoch *epoch)
{
    if (!epoch)
        return;
    epoch_forget(epoch);
    for (struct epoch_reader *r = acquire(&epoch->readers); r; r = r->next)
        assert(r->depth == 0);
    while (epoch_reclaim(epoch) > 0)
        ;   /* what is reclaimed may retire something else */
    for (struct epoch_reader *r = acquire(&epoch->readers), *next; r; r = next) {
        next = r->next;
        free(r);
    }
    for (int i = 0; i < LANES; i++) {
        free(epoch->lane[i].open);
        free(epoch->lane[i].spare);
        mutex_release(&epoch->lane[i].lock);
    }
    mutex_release(&epoch->registry);
    free(epoch);
}
