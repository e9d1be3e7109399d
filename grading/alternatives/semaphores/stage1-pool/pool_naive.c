/* pool_naive.c -- yours: stage 1, task 1.1. */
/* Approach: a thread for every job, and no list of them. The pool remembers
 * one thread, the one that ended last. A thread that ends puts itself there
 * and joins the one that it finds; so whoever joins the last has joined all.
 * All this happens in the destructor of a thread-specific value, which the
 * system calls however the thread ends. */
#include "stage1-pool/pool.h"

#include <errno.h>
#include <semaphore.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/lock.h"

struct job {
    struct pool *pool;
    pool_job_fn *fn;
    void *arg;
};

/* A thread in pool_wait, on its stack. */
struct waiter {
    struct waiter *next;
    sem_t served;
};

struct pool {
    pthread_mutex_t lock;       /* guards everything below */
    size_t running;             /* jobs accepted and not ended */
    struct waiter *waits;
    bool closing;               /* destroy has begun */
    bool any_ended;             /* there is a ... */
    pthread_t ended;            /* ... thread to join */
};

/* ---- the pool of this thread ---- */

static pthread_key_t own_key;
static int own_key_err;
static pthread_once_t own_key_once = PTHREAD_ONCE_INIT;

/* The key's destructor: the job of this thread is over. */
static void job_over(void *arg)
{
    struct pool *pool = arg;
    bool any_before;
    pthread_t before;

    mutex_lock(&pool->lock);
    any_before = pool->any_ended;
    before = pool->ended;
    pool->any_ended = true;
    pool->ended = pthread_self();
    pool->running--;
    while (pool->running == 0 && pool->waits) {
        struct waiter *waiter = pool->waits;

        pool->waits = waiter->next;
        sem_post(&waiter->served);
    }
    mutex_unlock(&pool->lock);
    /* Nobody else knows of it any more: this thread has taken it over. */
    if (any_before)
        thread_join(before);
}

static void own_key_make(void)
{
    own_key_err = -pthread_key_create(&own_key, job_over);
}

/* ---- the pool ---- */

int pool_create(struct pool **out, const struct pool_options *options)
{
    int err = pool_options_check(options, "naive");
    struct pool *pool;

    if (err)
        return err;
    lock_check(pthread_once(&own_key_once, own_key_make), "pthread_once");
    if (own_key_err)
        return own_key_err;
    pool = calloc(1, sizeof *pool);
    if (!pool)
        return -ENOMEM;
    mutex_init(&pool->lock);
    *out = pool;
    return 0;
}

static void *run(void *arg)
{
    struct job job = *(struct job *)arg;

    free(arg);
    lock_check(pthread_setspecific(own_key, job.pool), "pthread_setspecific");
    job.fn(job.arg);
    return NULL;
}

int pool_submit(struct pool *pool, pool_job_fn *fn, void *arg)
{
    bool own = pthread_getspecific(own_key) == pool;
    struct job *job = malloc(sizeof *job);
    pthread_t thread;
    int err;

    if (!job)
        return -ENOMEM;
    *job = (struct job){ pool, fn, arg };

    mutex_lock(&pool->lock);
    if (pool->closing && !own)
        err = -ECANCELED;
    else
        err = thread_create(&thread, run, job);
    if (!err)
        pool->running++;        /* job_over is waiting for the lock */
    mutex_unlock(&pool->lock);
    if (err)
        free(job);
    return err;
}

int pool_try_submit(struct pool *pool, pool_job_fn *fn, void *arg)
{
    return pool_submit(pool, fn, arg);
}

static void forbid_own_thread(struct pool *pool, const char *what)
{
    if (pthread_getspecific(own_key) != pool)
        return;
    fprintf(stderr, "%s: called inside one of the pool's own jobs\n", what);
    abort();
}

void pool_wait(struct pool *pool)
{
    struct waiter self;

    forbid_own_thread(pool, "pool_wait");
    mutex_lock(&pool->lock);
    if (pool->running > 0) {
        sem_init(&self.served, 0, 0);
        self.next = pool->waits;
        pool->waits = &self;
        mutex_unlock(&pool->lock);
        while (sem_wait(&self.served))
            ;   /* EINTR: a signal handler ran */
        mutex_lock(&pool->lock);        /* so that sem_post has returned */
        sem_destroy(&self.served);
    }
    mutex_unlock(&pool->lock);
}

void pool_destroy(struct pool *pool)
{
    if (!pool)
        return;
    forbid_own_thread(pool, "pool_destroy");
    mutex_lock(&pool->lock);
    pool->closing = true;
    mutex_unlock(&pool->lock);
    pool_wait(pool);
    if (pool->any_ended)
        thread_join(pool->ended);
    mutex_release(&pool->lock);
    free(pool);
}
