/* pool_serial.c -- given.
 *
 * The pool without threads: for debugging, and for reading first. A job
 * runs inside the submit that brings it, in the caller's thread. A job that
 * submits to its own pool only puts the new job in the queue; the submit
 * that runs it finds it there afterwards, so recursion costs no stack. When
 * several threads submit, one of them runs everybody's jobs and the others
 * leave theirs in the queue: one job at a time, in order.
 *
 * A job that ends its thread ends the caller's: there is no other. The pool
 * survives it; what is queued then waits for the next submit or wait.
 */
#include "stage1-pool/pool.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>

#include "common/lock.h"

struct job {
    struct job *next;
    pool_job_fn *fn;
    void *arg;
};

struct pool {
    pthread_mutex_t lock;   /* guards everything below */
    pthread_cond_t idle;    /* running has become false */
    struct job *first, **last;
    bool running;           /* some thread is running jobs */
};

int pool_create(struct pool **out, const struct pool_options *options)
{
    int err = pool_options_check(options, "serial");
    struct pool *pool;

    if (err)
        return err;
    pool = calloc(1, sizeof *pool);
    if (!pool)
        return -ENOMEM;
    mutex_init(&pool->lock);
    cond_init(&pool->idle);
    pool->last = &pool->first;
    *out = pool;
    return 0;
}

static struct job *take_locked(struct pool *pool)
{
    struct job *job = pool->first;

    pool->first = job->next;
    if (!pool->first)
        pool->last = &pool->first;
    return job;
}

/* Cleanup handler, and the end of run_queue: nobody runs jobs now. */
static void stop_running(void *arg)
{
    struct pool *pool = arg;

    mutex_lock(&pool->lock);
    pool->running = false;
    cond_broadcast(&pool->idle);
    mutex_unlock(&pool->lock);
}

/* Runs what is queued unless some thread is at it already. */
static void run_queue(struct pool *pool)
{
    mutex_lock(&pool->lock);
    if (pool->running) {
        mutex_unlock(&pool->lock);
        return;
    }
    pool->running = true;
    pthread_cleanup_push(stop_running, pool);
    while (pool->first) {
        struct job *job = take_locked(pool), copy = *job;

        mutex_unlock(&pool->lock);
        free(job);
        copy.fn(copy.arg);
        mutex_lock(&pool->lock);
    }
    pool->running = false;      /* in the same breath as "the queue is empty" */
    cond_broadcast(&pool->idle);
    mutex_unlock(&pool->lock);
    pthread_cleanup_pop(0);
}

int pool_submit(struct pool *pool, pool_job_fn *fn, void *arg)
{
    struct job *job = malloc(sizeof *job);

    if (!job)
        return -ENOMEM;
    *job = (struct job){ NULL, fn, arg };
    mutex_lock(&pool->lock);
    *pool->last = job;
    pool->last = &job->next;
    mutex_unlock(&pool->lock);
    run_queue(pool);
    return 0;
}

int pool_try_submit(struct pool *pool, pool_job_fn *fn, void *arg)
{
    return pool_submit(pool, fn, arg);
}

/* What a dead thread left behind is run here. */
void pool_wait(struct pool *pool)
{
    mutex_lock(&pool->lock);
    while (pool->running || pool->first) {
        if (pool->running) {
            cond_wait(&pool->idle, &pool->lock);
        } else {
            mutex_unlock(&pool->lock);
            run_queue(pool);
            mutex_lock(&pool->lock);
        }
    }
    mutex_unlock(&pool->lock);
}

void pool_destroy(struct pool *pool)
{
    if (!pool)
        return;
    pool_wait(pool);
    cond_release(&pool->idle);
    mutex_release(&pool->lock);
    free(pool);
}
