/* epoch_here.c -- given.
 *
 * Each thread has a list of its readers, one for each epoch it has asked
 * for, and remembers the last few. All lists hang together, so that a dying
 * epoch can be taken out of all of them: another may be made at the same
 * address. What other threads remember cannot be taken from them, so there is
 * a generation: with every epoch that dies it goes up, and what was
 * remembered in an earlier one does not count.
 *
 * That the number is read without a lock and without order is right: who
 * asks for an epoch got its address from somebody, after it was made, which
 * was after the one before it died.
 *
 * Locks: `all`, and inside of it those of epoch_register and unregister.
 */
#include <stdbool.h>
#include <stdlib.h>

#include "common/counter.h"
#include "common/lock.h"
#include "stage5-compaction/epoch.h"

enum { LAST = 4 };

/* A thread's reader of an epoch. */
struct here {
    struct here *next;
    struct epoch *epoch;
    struct epoch_reader *reader;
};

/* A thread. */
struct own {
    uint64_t generation;
    struct here last[LAST];         /* in that generation; not linked */
    unsigned turn;                  /* which of them goes next */
    struct here *first;             /* guarded by all, like the rest */
    struct own *next, *prev;
    bool listed;
};

static pthread_mutex_t all = PTHREAD_MUTEX_INITIALIZER;
static struct own *threads;         /* guarded by all */
static bool has_key;                /* guarded by all */
static pthread_key_t key;           /* set once, when has_key is */
static struct counter generation;
static _Thread_local struct own own;

static void thread_ends(void *arg)
{
    struct own *o = arg;

    mutex_lock(&all);
    for (struct here *h = o->first, *next; h; h = next) {
        next = h->next;
        epoch_unregister(h->reader);
        free(h);
    }
    if (o->prev)
        o->prev->next = o->next;
    else
        threads = o->next;
    if (o->next)
        o->next->prev = o->prev;
    mutex_unlock(&all);
    *o = (struct own){ .generation = 0 };
}

static bool list_locked(struct own *o)
{
    if (o->listed)
        return true;
    if (!has_key && pthread_key_create(&key, thread_ends) != 0)
        return false;
    has_key = true;
    if (pthread_setspecific(key, o) != 0)
        return false;
    o->next = threads;
    if (threads)
        threads->prev = o;
    threads = o;
    o->listed = true;
    return true;
}

static struct epoch_reader *find_locked(struct own *o, struct epoch *epoch)
{
    for (struct here *h = o->first; h; h = h->next)
        if (h->epoch == epoch)
            return h->reader;
    struct here *h = list_locked(o) ? malloc(sizeof *h) : NULL;
    if (!h)
        return NULL;
    *h = (struct here){ o->first, epoch, epoch_register(epoch) };
    if (!h->reader) {
        free(h);
        return NULL;
    }
    o->first = h;
    return h->reader;
}

static void remember(struct own *o, struct epoch *epoch,
                     struct epoch_reader *reader)
{
    uint64_t now = counter_get_relaxed(&generation);

    if (o->generation != now)
        for (int i = 0; i < LAST; i++)
            o->last[i].epoch = NULL;
    o->generation = now;
    o->last[o->turn++ % LAST] = (struct here){ NULL, epoch, reader };
}

static __attribute__((noinline)) struct epoch_reader *
look(struct own *o, struct epoch *epoch)
{
    mutex_lock(&all);
    struct epoch_reader *reader = find_locked(o, epoch);
    if (reader)
        remember(o, epoch, reader);
    mutex_unlock(&all);
    return reader;
}

struct epoch_reader *epoch_here(struct epoch *epoch)
{
    struct own *o = &own;

    if (o->generation == counter_get_relaxed(&generation))
        for (int i = 0; i < LAST; i++)
            if (o->last[i].epoch == epoch)
                return o->last[i].reader;
    return look(o, epoch);
}

void epoch_forget(struct epoch *epoch)
{
    mutex_lock(&all);
    counter_add_relaxed(&generation, 1);
    for (struct own *o = threads; o; o = o->next)
        for (struct here **at = &o->first, *h; (h = *at);) {
            if (h->epoch != epoch) {
                at = &h->next;
                continue;
            }
            *at = h->next;
            free(h);
        }
    mutex_unlock(&all);
}
