/* epoch.c -- yours: stage 5A, tasks 5.1, 5.2.
 *
 * Fraser's scheme: a global epoch that goes on only when everybody inside has
 * seen it, and three lists of what was retired in it, before it, and before
 * that. One mutex for everything but enter and leave.
 *
 * A reader inside has seen the epoch g or g - 1. What it can have was retired
 * in g - 1 or later: so when the epoch becomes g + 1, what was retired in
 * g - 2 may go; its list is used again for g + 1.
 */
#include "stage5-compaction/epoch.h"

#include <assert.h>
#include <errno.h>
#include <sched.h>
#include <stdbool.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/counter.h"
#include "common/lock.h"
#include "common/publish.h"

#define EVERY_THINGS 50
#define EVERY_BYTES 100000

typedef struct node {
    struct node *next;
    void *what, *arg;
    epoch_reclaim_fn *fn;
    size_t bytes;
} node;

struct epoch_reader {
    uint64_t _Atomic slot;
    char rest_of_the_line[120];
    int nested;
    bool used;
    struct epoch *epoch;
    struct epoch_reader *next;
};

struct epoch {
    struct counter global;
    pthread_mutex_t m;              /* guards what follows */
    struct epoch_reader *readers;
    node *limbo[3];
    size_t since, since_bytes;      /* the last try to go on */
    struct epoch_stats s;
};

int epoch_create(struct epoch **out)
{
    struct epoch *e = calloc(1, sizeof *e);

    if (!e)
        return -ENOMEM;
    counter_init(&e->global, 3);
    mutex_init(&e->m);
    *out = e;
    return 0;
}

struct epoch_reader *epoch_register(struct epoch *e)
{
    struct epoch_reader *r;

    mutex_lock(&e->m);
    for (r = e->readers; r && r->used; r = r->next)
        ;
    if (!r && (r = calloc(1, sizeof *r)) != NULL) {
        r->epoch = e;
        r->next = e->readers;
        e->readers = r;
    }
    if (r) {
        r->used = true;
        e->s.readers++;
    }
    mutex_unlock(&e->m);
    return r;
}

void epoch_unregister(struct epoch_reader *r)
{
    struct epoch *e = r->epoch;

    mutex_lock(&e->m);
    r->used = false;
    e->s.readers--;
    mutex_unlock(&e->m);
}

void epoch_enter(struct epoch_reader *r)
{
    if (++r->nested == 1)
        reader_enter(&r->slot, counter_get(&r->epoch->global));
}

void epoch_leave(struct epoch_reader *r)
{
    assert(r->nested > 0);
    if (r->nested == 1)
        reader_exit(&r->slot);
    r->nested--;
}

/* Goes on if everybody has seen the present epoch. What may be freed then is
 * put before *gone. Called with the lock. */
static bool go_on(struct epoch *e, node **gone)
{
    uint64_t g = counter_get(&e->global);

    for (struct epoch_reader *r = e->readers; r; r = r->next) {
        uint64_t seen = grace_seen(&r->slot);

        if (seen != 0 && seen != g)
            return false;
    }
    node **list = &e->limbo[(g + 1) % 3], *last = *list;
    if (last) {
        while (last->next)
            last = last->next;
        last->next = *gone;
        *gone = *list;
        *list = NULL;
    }
    counter_add(&e->global, 1);
    return true;
}

static void run(struct epoch *e, node *gone)
{
    uint64_t n = 0;
    size_t bytes = 0;

    while (gone) {
        node *it = gone;

        gone = it->next;
        it->fn(it->arg, it->what);
        bytes += it->bytes;
        n++;
        free(it);
    }
    if (n == 0)
        return;
    mutex_lock(&e->m);
    e->s.reclaimed += n;
    e->s.waiting_bytes -= bytes;
    mutex_unlock(&e->m);
}

void epoch_retire(struct epoch *e, void *what, size_t bytes,
                  epoch_reclaim_fn *fn, void *arg)
{
    node *it = malloc(sizeof *it), *gone = NULL;

    if (!it) {
        epoch_synchronize(e);
        fn(arg, what);
        mutex_lock(&e->m);
        e->s.retired++;
        e->s.reclaimed++;
        mutex_unlock(&e->m);
        return;
    }
    mutex_lock(&e->m);
    node **list = &e->limbo[counter_get(&e->global) % 3];
    *it = (node){ *list, what, arg, fn, bytes };
    *list = it;
    e->s.retired++;
    e->s.waiting_bytes += bytes;
    e->since_bytes += bytes;
    if (++e->since >= EVERY_THINGS || e->since_bytes >= EVERY_BYTES) {
        e->since = e->since_bytes = 0;
        go_on(e, &gone);
    }
    mutex_unlock(&e->m);
    run(e, gone);
}

size_t epoch_reclaim(struct epoch *e)
{
    struct epoch_stats s;
    node *gone = NULL;

    mutex_lock(&e->m);
    for (int i = 0; i < 3 && go_on(e, &gone); i++)
        ;
    mutex_unlock(&e->m);
    run(e, gone);
    epoch_stats(e, &s);
    return s.waiting;
}

void epoch_synchronize(struct epoch *e)
{
    mutex_lock(&e->m);
    uint64_t wanted = counter_get(&e->global) + 3;

    for (unsigned tries = 0; counter_get(&e->global) < wanted; tries++) {
        node *gone = NULL;
        bool done = go_on(e, &gone);

        mutex_unlock(&e->m);
        run(e, gone);
        if (!done && tries > 50)
            usleep(100);
        else if (!done)
            sched_yield();
        mutex_lock(&e->m);
    }
    mutex_unlock(&e->m);
}

void epoch_stats(struct epoch *e, struct epoch_stats *stats)
{
    mutex_lock(&e->m);
    *stats = e->s;
    mutex_unlock(&e->m);
    stats->waiting = (size_t)(stats->retired - stats->reclaimed);
    stats->epoch = counter_get(&e->global);
}

void epoch_destroy(struct epoch *e)
{
    if (!e)
        return;
    epoch_forget(e);
    while (epoch_reclaim(e) != 0)
        ;
    while (e->readers) {
        struct epoch_reader *r = e->readers;

        e->readers = r->next;
        free(r);
    }
    mutex_release(&e->m);
    free(e);
}
