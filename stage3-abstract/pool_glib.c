/* pool_glib.c -- yours: stage 3, tasks 3.1, 3.2.
 *
 * The `glib` pool: GLib's GThreadPool behind pool.h.
 *
 * What GLib gives: threads, a queue, each job once, at most N at a time, no
 * thread idle while a job is queued. What pool.h asks beyond that, and where
 * it comes from here:
 *
 *   a bound      GLib's queue has none. `waiting` counts the jobs that have
 *                been accepted and not yet begun; strangers wait while it is
 *                `capacity`. A job counts itself off as its first act, so one
 *                that a thread has taken no longer waits.
 *   own submits  a thread-local says whose job runs here. Only while it runs:
 *                GLib's threads may serve another pool next.
 *   wait         GLib can only end a pool, not wait for it. `unfinished`
 *                counts the jobs accepted and not yet ended.
 *   destroy      g_thread_pool_free would refuse what a job still submits. So
 *                first everything runs out, then the pool is freed; that
 *                waits until the last thread has left run_job, and with it
 *                our struct.
 *
 * The tools see nothing of GLib's locks, which are futexes of its own. So
 * where GLib orders two threads we say so (publish.h): a job goes from submit
 * to the thread that runs it, and the pool, with its lock, from the threads
 * that have ended their last job to destroy. All else is ordered by our own
 * lock.
 *
 * Threads start at once (`exclusive`): they are this pool's alone, and an
 * idle one sleeps until there is work.
 */
#include <errno.h>
#include <glib.h>
#include <stdlib.h>

#include "common/lock.h"
#include "common/publish.h"
#include "stage1-pool/pool.h"

struct job {
    pool_job_fn *fn;
    void *arg;
};

struct pool {
    pthread_mutex_t lock;   /* guards waiting and unfinished */
    pthread_cond_t room;    /* waiting has become smaller */
    pthread_cond_t idle;    /* unfinished has become 0 */
    size_t waiting, unfinished;
    size_t capacity;        /* set once */
    GThreadPool *threads;   /* set once */
};

/* The pool whose job this thread is running, if any. */
static _Thread_local struct pool *own_pool;

static void begun(struct pool *pool)
{
    mutex_lock(&pool->lock);
    pool->waiting--;
    cond_signal(&pool->room);
    mutex_unlock(&pool->lock);
}

static void ended(struct pool *pool)
{
    mutex_lock(&pool->lock);
    if (--pool->unfinished == 0)
        cond_broadcast(&pool->idle);
    mutex_unlock(&pool->lock);
    handing_over(pool);
}

static void run_job(gpointer data, gpointer user_data)
{
    struct pool *pool = user_data;
    struct job *given = data;

    handed_over(given);
    struct job job = *given;
    free(given);
    begun(pool);
    own_pool = pool;
    job.fn(job.arg);
    own_pool = NULL;
    ended(pool);
}

static void release(struct pool *pool)
{
    cond_release(&pool->idle);
    cond_release(&pool->room);
    mutex_release(&pool->lock);
    free(pool);
}

int pool_create(struct pool **out, const struct pool_options *options)
{
    int err = pool_options_check(options, "glib");
    GError *error = NULL;
    struct pool *pool;

    if (err)
        return err;
    if (options->threads > G_MAXINT)
        return -EINVAL;
    pool = calloc(1, sizeof *pool);
    if (!pool)
        return -ENOMEM;
    pool->capacity = options->capacity;
    mutex_init(&pool->lock);
    cond_init(&pool->room);
    cond_init(&pool->idle);
    pool->threads = g_thread_pool_new(run_job, pool, (gint)options->threads,
                                      TRUE, &error);
    if (error) {
        g_error_free(error);
        if (pool->threads)
            g_thread_pool_free(pool->threads, TRUE, TRUE);
        release(pool);
        return -EAGAIN;
    }
    *out = pool;
    return 0;
}

/* Counts one more job, if there is room for it, or comes to be. */
static int admit(struct pool *pool, bool wait)
{
    int err = 0;

    mutex_lock(&pool->lock);
    if (own_pool != pool) {
        while (wait && pool->waiting >= pool->capacity)
            cond_wait(&pool->room, &pool->lock);
        if (pool->waiting >= pool->capacity)
            err = -EAGAIN;
    }
    if (!err) {
        pool->waiting++;
        pool->unfinished++;
    }
    mutex_unlock(&pool->lock);
    return err;
}

static int submit(struct pool *pool, pool_job_fn *fn, void *arg, bool wait)
{
    struct job *job = malloc(sizeof *job);
    int err = job ? admit(pool, wait) : -ENOMEM;

    if (err) {
        free(job);
        return err;
    }
    *job = (struct job){ fn, arg };
    handing_over(job);
    g_thread_pool_push(pool->threads, job, NULL);
    return 0;
}

int pool_submit(struct pool *pool, pool_job_fn *fn, void *arg)
{
    return submit(pool, fn, arg, true);
}

int pool_try_submit(struct pool *pool, pool_job_fn *fn, void *arg)
{
    return submit(pool, fn, arg, false);
}

void pool_wait(struct pool *pool)
{
    mutex_lock(&pool->lock);
    while (pool->unfinished > 0)
        cond_wait(&pool->idle, &pool->lock);
    mutex_unlock(&pool->lock);
}

void pool_destroy(struct pool *pool)
{
    if (!pool)
        return;
    pool_wait(pool);
    g_thread_pool_free(pool->threads, FALSE, TRUE);
    handed_over(pool);
    release(pool);
}
