/* pool_naive.c -- yours: stage 1, task 1.1.
 *
 * A thread for every job. `threads` and `capacity` are checked and then not
 * used: nothing bounds how many run at once.
 *
 * A thread that has run its job cannot join itself, so it leaves its job on
 * the list of ended ones, and the next caller that comes by joins it.
 */
#include "stage1-pool/pool.h"

#include <errno.h>
#include <stdlib.h>

#include "common/lock.h"

struct job {
    struct job *next;       /* in pool->ended */
    struct pool *pool;
    pool_job_fn *fn;
    void *arg;
    pthread_t id;
};

struct pool {
    pthread_mutex_t lock;   /* guards everything below */
    pthread_cond_t idle;    /* running has become 0 */
    size_t running;         /* jobs accepted and not yet ended */
    struct job *ended;      /* to be joined and freed */
};

int pool_create(struct pool **out, const struct pool_options *options)
{
    int err = pool_options_check(options, "naive");
    struct pool *pool;

    if (err)
        return err;
    pool = calloc(1, sizeof *pool);
    if (!pool)
        return -ENOMEM;
    mutex_init(&pool->lock);
    cond_init(&pool->idle);
    *out = pool;
    return 0;
}

/* Cleanup handler: also runs when the job ends its thread. */
static void on_end(void *arg)
{
    struct job *job = arg;
    struct pool *pool = job->pool;

    mutex_lock(&pool->lock);
    job->next = pool->ended;
    pool->ended = job;
    if (--pool->running == 0)
        cond_broadcast(&pool->idle);
    mutex_unlock(&pool->lock);
}

static void *run(void *arg)
{
    struct job *job = arg;

    /* submit holds the lock until job->id is written. */
    mutex_lock(&job->pool->lock);
    mutex_unlock(&job->pool->lock);
    pthread_cleanup_push(on_end, job);
    job->fn(job->arg);
    pthread_cleanup_pop(1);
    return NULL;
}

/* Joins and frees the jobs that have ended. The list is taken whole, so
 * each thread is joined by one caller. */
static void reap(struct pool *pool)
{
    mutex_lock(&pool->lock);
    struct job *job = pool->ended;
    pool->ended = NULL;
    mutex_unlock(&pool->lock);
    while (job) {
        struct job *next = job->next;

        thread_join(job->id);
        free(job);
        job = next;
    }
}

int pool_submit(struct pool *pool, pool_job_fn *fn, void *arg)
{
    struct job *job = malloc(sizeof *job);

    if (!job)
        return -ENOMEM;
    *job = (struct job){ .pool = pool, .fn = fn, .arg = arg };
    reap(pool);
    mutex_lock(&pool->lock);
    int err = thread_create(&job->id, run, job);
    if (!err)
        pool->running++;
    mutex_unlock(&pool->lock);
    if (err)
        free(job);
    return err;
}

int pool_try_submit(struct pool *pool, pool_job_fn *fn, void *arg)
{
    return pool_submit(pool, fn, arg);
}

void pool_wait(struct pool *pool)
{
    mutex_lock(&pool->lock);
    while (pool->running > 0)
        cond_wait(&pool->idle, &pool->lock);
    mutex_unlock(&pool->lock);
}

void pool_destroy(struct pool *pool)
{
    if (!pool)
        return;
    pool_wait(pool);
    reap(pool);
    cond_release(&pool->idle);
    mutex_release(&pool->lock);
    free(pool);
}
