/* pool.c -- yours: stage 1, tasks 1.5-1.7. */
/* Approach: a channel of jobs, and beside it a lock with a counter of jobs
 * that are not finished. A job that ends its thread runs into a cleanup
 * handler, which starts a successor in the same place; a thread joins its
 * predecessor when it ends itself, so joining the last one joins all. */
#include "stage1-pool/pool.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include "stage1-pool/channel.h"

struct job {
    pool_job_fn *fn;
    void *arg;
};

/* A worker's place: at any time one thread serves it. */
struct place {
    struct pool *pool;
    pthread_t thread;           /* serves it now */
    pthread_t before;           /* served it before, not yet joined, ... */
    bool has_before;            /* ... if there is such a thread */
};

struct pool {
    struct channel *jobs;
    pthread_mutex_t lock;       /* guards everything below */
    pthread_cond_t idle;        /* pending has become 0 */
    size_t pending;             /* jobs in submit, in the channel or running */
    bool ending;                /* destroy has begun */
    unsigned threads;
    struct place places[];
};

/* Whose thread this is; NULL again when it has left the pool. */
static _Thread_local struct pool *current;

static void job_done(struct pool *pool)
{
    pthread_mutex_lock(&pool->lock);
    pool->pending--;
    if (pool->pending == 0)
        pthread_cond_broadcast(&pool->idle);
    pthread_mutex_unlock(&pool->lock);
}

static void join_if(bool is, pthread_t thread)
{
    if (is)
        pthread_join(thread, NULL);
}

static void *work(void *arg);

/* Cleanup handler: the job has ended this thread. The successor must be in
 * its place before the job counts as done: after that, destroy may look. */
static void died(void *arg)
{
    struct place *place = arg;
    struct pool *pool = place->pool;
    pthread_t successor, before;
    bool has_before;
    int err;

    if (current != pool)
        return;     /* from an outer work, below: all is done already */
    pthread_mutex_lock(&pool->lock);
    before = place->before;
    has_before = place->has_before;
    err = pthread_create(&successor, NULL, work, place);
    if (!err) {
        place->before = pthread_self();
        place->has_before = true;
        place->thread = successor;
    }
    pthread_mutex_unlock(&pool->lock);

    if (err) {      /* no thread to be had: this one goes on, dead or not */
        job_done(pool);
        work(place);
    } else {
        current = NULL;
        job_done(pool);
        join_if(has_before, before);
    }
}

static void *work(void *arg)
{
    struct place *place = arg;
    struct pool *pool = place->pool;
    struct job job;
    pthread_t before;
    bool has_before;

    current = pool;
    pthread_cleanup_push(died, place);
    while (channel_recv(pool->jobs, &job) == 0) {
        job.fn(job.arg);
        job_done(pool);
    }
    pthread_cleanup_pop(0);
    current = NULL;

    pthread_mutex_lock(&pool->lock);
    before = place->before;
    has_before = place->has_before;
    pthread_mutex_unlock(&pool->lock);
    join_if(has_before, before);
    return NULL;
}

/* Ends the first n threads (nothing is queued, nothing runs), frees all. */
static void end(struct pool *pool, unsigned n)
{
    unsigned i;

    channel_close(pool->jobs);
    for (i = 0; i < n; i++)
        pthread_join(pool->places[i].thread, NULL);
    pthread_cond_destroy(&pool->idle);
    pthread_mutex_destroy(&pool->lock);
    channel_destroy(pool->jobs);
    free(pool);
}

int pool_create(struct pool **out, const struct pool_options *options)
{
    struct pool *pool;
    unsigned i;
    int err;

    err = pool_options_check(options, "shared");
    if (err)
        return err;
    pool = calloc(1, sizeof *pool + options->threads * sizeof pool->places[0]);
    if (!pool)
        return -ENOMEM;
    err = channel_create(&pool->jobs, options->capacity, sizeof(struct job));
    if (err) {
        free(pool);
        return err;
    }
    pthread_mutex_init(&pool->lock, NULL);
    pthread_cond_init(&pool->idle, NULL);
    pool->threads = options->threads;
    for (i = 0; i < pool->threads; i++) {
        pool->places[i].pool = pool;
        err = pthread_create(&pool->places[i].thread, NULL, work,
                             &pool->places[i]);
        if (err) {
            end(pool, i);
            return -err;
        }
    }
    *out = pool;
    return 0;
}

typedef int send_fn(struct channel *channel, const void *item);

static int submit(struct pool *pool, pool_job_fn *fn, void *arg, send_fn *send)
{
    struct job job = { fn, arg };
    int err;

    pthread_mutex_lock(&pool->lock);
    if (pool->ending && current != pool) {
        pthread_mutex_unlock(&pool->lock);
        return -ECANCELED;
    }
    pool->pending++;    /* before the send: the job may run at once */
    pthread_mutex_unlock(&pool->lock);

    if (current == pool)
        send = channel_force_send;
    err = send(pool->jobs, &job);
    if (err)
        job_done(pool);
    return err == -EPIPE ? -ECANCELED : err;
}

int pool_submit(struct pool *pool, pool_job_fn *fn, void *arg)
{
    return submit(pool, fn, arg, channel_send);
}

int pool_try_submit(struct pool *pool, pool_job_fn *fn, void *arg)
{
    return submit(pool, fn, arg, channel_try_send);
}

static void not_from_own_job(struct pool *pool, const char *what)
{
    if (current != pool)
        return;
    fprintf(stderr, "%s called by one of the pool's own jobs\n", what);
    abort();
}

void pool_wait(struct pool *pool)
{
    not_from_own_job(pool, "pool_wait");
    pthread_mutex_lock(&pool->lock);
    while (pool->pending > 0)
        pthread_cond_wait(&pool->idle, &pool->lock);
    pthread_mutex_unlock(&pool->lock);
}

void pool_destroy(struct pool *pool)
{
    if (!pool)
        return;
    not_from_own_job(pool, "pool_destroy");
    pthread_mutex_lock(&pool->lock);
    pool->ending = true;
    while (pool->pending > 0)   /* jobs may still bring others */
        pthread_cond_wait(&pool->idle, &pool->lock);
    pthread_mutex_unlock(&pool->lock);
    end(pool, pool->threads);
}
