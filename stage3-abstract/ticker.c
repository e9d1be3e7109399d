/* ticker.c -- given. */
#include "stage3-abstract/ticker.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>

#include "common/clock.h"
#include "common/lock.h"

struct ticker {
    pthread_mutex_t lock;       /* guards stop */
    pthread_cond_t stopped;     /* stop has become true */
    bool stop;
    pthread_t thread;           /* these are set once */
    unsigned ms;
    void (*fn)(void *);
    void *arg;
};

static struct timespec next_time(const struct ticker *t)
{
    return deadline_timespec(deadline_in_ms(t->ms));
}

static void *run(void *arg)
{
    struct ticker *t = arg;
    struct timespec next = next_time(t);

    mutex_lock(&t->lock);
    while (!t->stop) {
        if (pthread_cond_timedwait(&t->stopped, &t->lock, &next) == 0)
            continue;
        mutex_unlock(&t->lock);
        t->fn(t->arg);
        next = next_time(t);
        mutex_lock(&t->lock);
    }
    mutex_unlock(&t->lock);
    return NULL;
}

static void release(struct ticker *t)
{
    cond_release(&t->stopped);
    mutex_release(&t->lock);
    free(t);
}

int ticker_start(struct ticker **out, unsigned ms, void (*fn)(void *),
                 void *arg)
{
    struct ticker *t = calloc(1, sizeof *t);
    pthread_condattr_t clock;

    if (!t)
        return -ENOMEM;
    t->ms = ms;
    t->fn = fn;
    t->arg = arg;
    mutex_init(&t->lock);
    lock_check(pthread_condattr_init(&clock), "pthread_condattr_init");
    pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
    lock_check(pthread_cond_init(&t->stopped, &clock), "pthread_cond_init");
    pthread_condattr_destroy(&clock);
    int err = thread_create(&t->thread, run, t);
    if (err) {
        release(t);
        return err;
    }
    *out = t;
    return 0;
}

void ticker_stop(struct ticker *ticker)
{
    if (!ticker)
        return;
    mutex_lock(&ticker->lock);
    ticker->stop = true;
    cond_signal(&ticker->stopped);
    mutex_unlock(&ticker->lock);
    thread_join(ticker->thread);
    release(ticker);
}
