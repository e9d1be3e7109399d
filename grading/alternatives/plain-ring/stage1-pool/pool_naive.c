/* pool_naive.c -- yours: stage 1, task 1.1. */
/* Approach: a thread for every job, and a list of the threads whose job has
 * ended but that nobody has joined. The next submit joins them, destroy
 * joins the rest. */
#include "stage1-pool/pool.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

struct job {
    struct job *next;           /* in the list of the ended */
    struct pool *pool;
    pthread_t thread;
    pool_job_fn *fn;
    void *arg;
};

struct pool {
    pthread_mutex_t lock;       /* guards everything below */
    pthread_cond_t idle;        /* running has become 0 */
    size_t running;             /* jobs accepted and not ended */
    struct job *ended;          /* their threads are still to be joined */
    bool ending;                /* destroy has begun */
};

static _Thread_local struct pool *current;  /* whose thread this is */

int pool_create(struct pool **out, const struct pool_options *options)
{
    struct pool *pool;
    int err;

    err = pool_options_check(options, "naive");
    if (err)
        return err;
    pool = calloc(1, sizeof *pool);
    if (!pool)
        return -ENOMEM;
    pthread_mutex_init(&pool->lock, NULL);
    pthread_cond_init(&pool->idle, NULL);
    *out = pool;
    return 0;
}

/* Cleanup handler, run however the job ends its thread. */
static void job_ended(void *arg)
{
    struct job *job = arg;
    struct pool *pool = job->pool;

    current = NULL;
    pthread_mutex_lock(&pool->lock);
    job->next = pool->ended;
    pool->ended = job;
    pool->running--;
    if (pool->running == 0)
        pthread_cond_broadcast(&pool->idle);
    pthread_mutex_unlock(&pool->lock);
}

static void *run(void *arg)
{
    struct job *job = arg;

    current = job->pool;
    pthread_cleanup_push(job_ended, job);
    job->fn(job->arg);
    pthread_cleanup_pop(1);
    return NULL;
}

/* A thread in this list has nothing left to do but return. */
static void join_ended(struct pool *pool)
{
    struct job *job, *next;

    pthread_mutex_lock(&pool->lock);
    job = pool->ended;
    pool->ended = NULL;
    pthread_mutex_unlock(&pool->lock);
    for (; job; job = next) {
        next = job->next;
        pthread_join(job->thread, NULL);
        free(job);
    }
}

int pool_submit(struct pool *pool, pool_job_fn *fn, void *arg)
{
    struct job *job;
    int err;

    join_ended(pool);
    job = calloc(1, sizeof *job);
    if (!job)
        return -ENOMEM;
    job->pool = pool;
    job->fn = fn;
    job->arg = arg;
    /* The lock is held over pthread_create so that job->thread is written
     * before the job can be in the list of the ended. */
    pthread_mutex_lock(&pool->lock);
    if (pool->ending && current != pool)
        err = ECANCELED;
    else
        err = pthread_create(&job->thread, NULL, run, job);
    if (!err)
        pool->running++;
    pthread_mutex_unlock(&pool->lock);
    if (err)
        free(job);
    return -err;
}

int pool_try_submit(struct pool *pool, pool_job_fn *fn, void *arg)
{
    return pool_submit(pool, fn, arg);
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
    while (pool->running > 0)
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
    pthread_mutex_unlock(&pool->lock);
    pool_wait(pool);
    join_ended(pool);
    pthread_cond_destroy(&pool->idle);
    pthread_mutex_destroy(&pool->lock);
    free(pool);
}
