/* pool.c -- yours: stage 1, tasks 1.5-1.7.
 *
 * The `shared` pool: a fixed number of workers that all receive from one
 * channel of jobs.
 *
 * How wait knows. "Nothing queued, nothing running" means that as many jobs
 * have finished as were ever accepted. The channel counts the accepted ones
 * under the lock it takes anyway (channel_sent), and a worker adds what it
 * has finished to the pool's count only when it finds the channel empty:
 * while jobs wait, no waiter could return, so nobody misses the number. A
 * stream of jobs thus costs each side one lock a job, not two.
 *
 * A job that ends its thread (pthread_exit) runs the cleanup handler below.
 * The handler counts the job as finished and starts a successor in the
 * worker's place; the successor joins the dead thread when its own time
 * comes, so at any moment a place has at most one thread to be joined. If
 * the system gives no thread, the dying one goes on serving inside its
 * handler: the pool never shrinks. (A job that ends its thread there, too, is
 * beyond POSIX. glibc then runs the handlers once more from the innermost
 * out; `left` stops those of the outer rounds.)
 *
 * Locks: pool->lock, then the channel's own (inside channel_sent).
 */
#include "stage1-pool/pool.h"

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

#include "common/lock.h"
#include "stage1-pool/channel.h"

struct job {
    pool_job_fn *fn;
    void *arg;
};

/* A place in the pool; touched by the thread in it, but see `id`. */
struct worker {
    struct pool *pool;
    uint64_t finished;      /* jobs run and not yet reported */
    pthread_t id;           /* of the thread in the place now */
    pthread_t dead;         /* of the one before, if has_dead */
    bool has_dead;
};

struct pool {
    pthread_mutex_t lock;   /* guards finished and alive */
    pthread_cond_t idle;    /* finished has caught up with the channel */
    pthread_cond_t gone;    /* alive has become 0 */
    uint64_t finished;
    unsigned alive;         /* places whose last thread has not ended */
    struct channel *jobs;
    unsigned threads;       /* places in use; set once */
    struct worker workers[];
};

/* The pool that this thread is one of, if any. */
static _Thread_local struct pool *own_pool;

/* This thread has given up its place, or has closed it for good. */
static _Thread_local bool left;

static void *worker_main(void *arg);

/* Tells waiters what this worker has finished. Called when the channel was
 * seen empty: the only time anybody can be waiting for the last of it. */
static void report(struct worker *w)
{
    struct pool *pool = w->pool;

    if (w->finished == 0)
        return;
    mutex_lock(&pool->lock);
    pool->finished += w->finished;
    w->finished = 0;
    if (pool->finished == channel_sent(pool->jobs))
        cond_broadcast(&pool->idle);
    mutex_unlock(&pool->lock);
}

static int next_job(struct worker *w, struct job *job)
{
    int err = channel_try_recv(w->pool->jobs, job);

    if (err == 0)
        return 0;
    report(w);
    return err == -EAGAIN ? channel_recv(w->pool->jobs, job) : err;
}

static void join_dead(struct worker *w)
{
    if (w->has_dead)
        thread_join(w->dead);
    w->has_dead = false;
}

static void serve(struct worker *w);

/* Cleanup handler: a job has ended the thread that ran it. */
static void on_death(void *arg)
{
    struct worker *w = arg;
    pthread_t successor;

    if (left)
        return;
    w->finished++;
    join_dead(w);
    w->dead = pthread_self();
    w->has_dead = true;
    if (thread_create(&successor, worker_main, w) == 0) {
        w->id = successor;
        left = true;
        return;
    }
    w->has_dead = false;
    serve(w);
    left = true;
}

/* Runs jobs until the channel is closed and empty. */
static void serve(struct worker *w)
{
    struct pool *pool = w->pool;
    struct job job;

    pthread_cleanup_push(on_death, w);
    while (next_job(w, &job) == 0) {
        job.fn(job.arg);
        w->finished++;
    }
    pthread_cleanup_pop(0);
    join_dead(w);
    mutex_lock(&pool->lock);
    if (--pool->alive == 0)
        cond_signal(&pool->gone);
    mutex_unlock(&pool->lock);
}

static void *worker_main(void *arg)
{
    struct worker *w = arg;

    own_pool = w->pool;
    serve(w);
    return NULL;
}

/* Ends the threads of the places that have one, and frees the pool. */
static void shut_down(struct pool *pool)
{
    channel_close(pool->jobs);
    mutex_lock(&pool->lock);
    while (pool->alive > 0)
        cond_wait(&pool->gone, &pool->lock);
    mutex_unlock(&pool->lock);
    for (unsigned i = 0; i < pool->threads; i++)
        thread_join(pool->workers[i].id);
    channel_destroy(pool->jobs);
    cond_release(&pool->gone);
    cond_release(&pool->idle);
    mutex_release(&pool->lock);
    free(pool);
}

/* Starts one worker a place; on an error those before it are running. No
 * worker looks at `alive` before the channel is closed, so no lock here. */
static int start_workers(struct pool *pool, unsigned wanted)
{
    int err = 0;

    while (!err && pool->threads < wanted) {
        struct worker *w = &pool->workers[pool->threads];

        w->pool = pool;
        err = thread_create(&w->id, worker_main, w);
        if (!err)
            pool->threads++;
    }
    pool->alive = pool->threads;
    return err;
}

int pool_create(struct pool **out, const struct pool_options *options)
{
    int err = pool_options_check(options, "steal");
    struct pool *pool;

    if (err)
        return err;
    pool = calloc(1, sizeof *pool + options->threads * sizeof *pool->workers);
    if (!pool)
        return -ENOMEM;
    err = channel_create(&pool->jobs, options->capacity, sizeof(struct job));
    if (err) {
        free(pool);
        return err;
    }
    mutex_init(&pool->lock);
    cond_init(&pool->idle);
    cond_init(&pool->gone);
    err = start_workers(pool, options->threads);
    if (err) {
        shut_down(pool);
        return err;
    }
    *out = pool;
    return 0;
}

static int answer(int err)
{
    return err == -EPIPE ? -ECANCELED : err;
}

int pool_submit(struct pool *pool, pool_job_fn *fn, void *arg)
{
    struct job job = { fn, arg };

    if (own_pool == pool)
        return answer(channel_force_send(pool->jobs, &job));
    return answer(channel_send(pool->jobs, &job));
}

int pool_try_submit(struct pool *pool, pool_job_fn *fn, void *arg)
{
    struct job job = { fn, arg };

    if (own_pool == pool)
        return answer(channel_force_send(pool->jobs, &job));
    return answer(channel_try_send(pool->jobs, &job));
}

void pool_wait(struct pool *pool)
{
    assert(own_pool != pool);
    mutex_lock(&pool->lock);
    while (pool->finished != channel_sent(pool->jobs))
        cond_wait(&pool->idle, &pool->lock);
    mutex_unlock(&pool->lock);
}

/* Jobs may submit jobs while we are here, so first everything runs out,
 * then the channel closes. */
void pool_destroy(struct pool *pool)
{
    if (!pool)
        return;
    pool_wait(pool);
    shut_down(pool);
}
