/* pool.c -- yours: stage 1, tasks 1.5-1.7. */
/* Approach: no channel. The pool has a linked queue of jobs and three lists
 * of threads that wait, each thread with a semaphore of its own: workers
 * without a job, submits without room, waits. Under the one lock a job goes
 * straight to an idle worker if there is one, else to the queue, else its
 * submit stands in line and a worker that makes room moves the job in.
 *
 * That a job has ended its thread is noticed by the destructor of a
 * thread-specific value (pthread_key_create): a worker that returns in good
 * order has cleared the value before. The destructor starts a successor,
 * and every thread joins the one it succeeded when it ends itself.
 *
 * Under the lock, between calls:
 *   a worker is idle only while the queue is empty,
 *   a submit stands in line only while capacity jobs or more are queued,
 *   unfinished is jobs queued + jobs given to a worker and not done
 *                 (+ submits that destroy has sent away and that are still
 *                 on their way out). */
#include "stage1-pool/pool.h"

#include <errno.h>
#include <semaphore.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/lock.h"

struct job {
    struct job *next;
    pool_job_fn *fn;
    void *arg;
};

/* A thread in submit or wait, on its stack. */
struct waiter {
    struct waiter *next;
    struct job *job;            /* submit's only */
    int answer;
    sem_t served;
};

struct worker {
    struct pool *pool;
    struct worker *next;        /* in the list of the idle */
    struct job *given;          /* to an idle one, before called is posted */
    sem_t called;
    pthread_t thread;           /* this and what follows: under the lock */
    pthread_t succeeded;        /* the thread before, not yet joined, ... */
    bool is_successor;          /* ... if there is one */
};

struct pool {
    size_t capacity;            /* constant, as is threads */
    unsigned threads;
    pthread_mutex_t lock;       /* guards everything below */
    struct job *first, **last;
    size_t queued;              /* jobs from first on */
    size_t unfinished;
    struct worker *idle;
    struct waiter *submits, **last_submit;
    struct waiter *waits;
    bool closing;               /* destroy has begun */
    bool stopping;              /* workers without a job are to end */
    struct worker workers[];
};

/* ---- which worker is this thread? ---- */

static pthread_key_t self_key;
static int self_key_err;
static pthread_once_t self_key_once = PTHREAD_ONCE_INIT;

static void worker_died(void *arg);

static void self_key_make(void)
{
    self_key_err = -pthread_key_create(&self_key, worker_died);
}

static void self_set(struct worker *worker)
{
    lock_check(pthread_setspecific(self_key, worker), "pthread_setspecific");
}

static bool is_own_thread(struct pool *pool)
{
    struct worker *worker = pthread_getspecific(self_key);

    return worker && worker->pool == pool;
}

/* ---- waiting ---- */

static void sem_sleep(sem_t *sem)
{
    while (sem_wait(sem))
        ;       /* EINTR: a signal handler ran */
}

static void serve_locked(struct waiter *waiter, int answer)
{
    waiter->answer = answer;
    sem_post(&waiter->served);
}

/* Sleeps without the lock. The waiter is in a list already. The lock comes
 * back before the semaphore goes: sem_post, which is called with the lock,
 * may look at it until it returns. */
static void sleep_locked(struct pool *pool, struct waiter *waiter)
{
    sem_init(&waiter->served, 0, 0);
    mutex_unlock(&pool->lock);
    sem_sleep(&waiter->served);
    mutex_lock(&pool->lock);
    sem_destroy(&waiter->served);
}

static struct waiter *first_submit_locked(struct pool *pool)
{
    struct waiter *waiter = pool->submits;

    pool->submits = waiter->next;
    if (!pool->submits)
        pool->last_submit = &pool->submits;
    return waiter;
}

/* ---- jobs ---- */

static void enqueue_locked(struct pool *pool, struct job *job)
{
    job->next = NULL;
    *pool->last = job;
    pool->last = &job->next;
    pool->queued++;
    pool->unfinished++;
}

static struct job *dequeue_locked(struct pool *pool)
{
    struct job *job = pool->first;

    pool->first = job->next;
    if (!pool->first)
        pool->last = &pool->first;
    pool->queued--;
    while (pool->submits && pool->queued < pool->capacity) {
        struct waiter *waiter = first_submit_locked(pool);

        enqueue_locked(pool, waiter->job);
        serve_locked(waiter, 0);
    }
    return job;
}

/* job may be NULL: end. */
static void give_locked(struct pool *pool, struct job *job)
{
    struct worker *worker = pool->idle;

    pool->idle = worker->next;
    worker->given = job;
    sem_post(&worker->called);
}

static void finished_locked(struct pool *pool)
{
    pool->unfinished--;
    while (pool->unfinished == 0 && pool->waits) {
        struct waiter *waiter = pool->waits;

        pool->waits = waiter->next;
        serve_locked(waiter, 0);
    }
}

static void finished(struct pool *pool)
{
    mutex_lock(&pool->lock);
    finished_locked(pool);
    mutex_unlock(&pool->lock);
}

/* ---- workers ---- */

/* The next job, if need be after waiting for one; NULL: end. */
static struct job *next_job(struct worker *self)
{
    struct pool *pool = self->pool;
    struct job *job = NULL;

    mutex_lock(&pool->lock);
    if (pool->queued > 0) {
        job = dequeue_locked(pool);
        mutex_unlock(&pool->lock);
    } else if (pool->stopping) {
        mutex_unlock(&pool->lock);
    } else {
        self->next = pool->idle;
        pool->idle = self;
        mutex_unlock(&pool->lock);
        sem_sleep(&self->called);
        job = self->given;
    }
    return job;
}

static void *worker_main(void *arg)
{
    struct worker *self = arg;
    struct job *job, copy;
    bool is_successor;
    pthread_t before;

    self_set(self);
    while ((job = next_job(self)) != NULL) {
        copy = *job;
        free(job);              /* now: the job may not come back */
        copy.fn(copy.arg);
        finished(self->pool);
    }
    self_set(NULL);

    mutex_lock(&self->pool->lock);
    is_successor = self->is_successor;
    before = self->succeeded;
    mutex_unlock(&self->pool->lock);
    if (is_successor)
        thread_join(before);
    return NULL;
}

/* The key's destructor: self's thread ends, and not at the end of its main.
 * Only when the successor is there is the job finished: no destroy joins
 * self->thread before. */
static void worker_died(void *arg)
{
    struct worker *self = arg;
    struct pool *pool = self->pool;
    bool was_successor;
    pthread_t before, successor;
    int err;

    mutex_lock(&pool->lock);
    was_successor = self->is_successor;
    before = self->succeeded;
    err = thread_create(&successor, worker_main, self);
    if (!err) {
        self->is_successor = true;
        self->succeeded = pthread_self();
        self->thread = successor;
    }
    mutex_unlock(&pool->lock);

    finished(pool);
    if (err)
        worker_main(self);      /* no thread to be had: this one goes on */
    else if (was_successor)
        thread_join(before);
}

/* Ends the first n workers and frees all; nothing is queued, nothing runs. */
static void stop(struct pool *pool, unsigned n)
{
    unsigned i;

    mutex_lock(&pool->lock);
    pool->stopping = true;
    while (pool->idle)
        give_locked(pool, NULL);
    mutex_unlock(&pool->lock);
    for (i = 0; i < n; i++) {
        thread_join(pool->workers[i].thread);
        sem_destroy(&pool->workers[i].called);
    }
    mutex_release(&pool->lock);
    free(pool);
}

/* ---- the pool ---- */

int pool_create(struct pool **out, const struct pool_options *options)
{
    int err = pool_options_check(options, "shared");
    struct pool *pool;
    unsigned i;

    if (err)
        return err;
    lock_check(pthread_once(&self_key_once, self_key_make), "pthread_once");
    if (self_key_err)
        return self_key_err;
    pool = calloc(1, sizeof *pool
                     + options->threads * sizeof pool->workers[0]);
    if (!pool)
        return -ENOMEM;
    pool->capacity = options->capacity;
    pool->threads = options->threads;
    pool->last = &pool->first;
    pool->last_submit = &pool->submits;
    mutex_init(&pool->lock);
    for (i = 0; i < pool->threads; i++) {
        struct worker *worker = &pool->workers[i];

        worker->pool = pool;
        sem_init(&worker->called, 0, 0);
        err = thread_create(&worker->thread, worker_main, worker);
        if (err) {
            sem_destroy(&worker->called);
            stop(pool, i);
            return err;
        }
    }
    *out = pool;
    return 0;
}

static int submit(struct pool *pool, pool_job_fn *fn, void *arg, bool may_wait)
{
    struct job *job = malloc(sizeof *job);
    bool own = is_own_thread(pool);
    struct waiter self;
    int err = 0;

    if (!job)
        return -ENOMEM;
    *job = (struct job){ NULL, fn, arg };

    mutex_lock(&pool->lock);
    if (pool->closing && !own) {
        err = -ECANCELED;
    } else if (pool->idle) {
        pool->unfinished++;
        give_locked(pool, job);
    } else if (own || pool->queued < pool->capacity) {
        enqueue_locked(pool, job);
    } else if (!may_wait) {
        err = -EAGAIN;
    } else {
        self.next = NULL;
        self.job = job;
        *pool->last_submit = &self;
        pool->last_submit = &self.next;
        sleep_locked(pool, &self);
        err = self.answer;
        if (err)
            finished_locked(pool);      /* see pool_destroy */
    }
    mutex_unlock(&pool->lock);
    if (err)
        free(job);
    return err;
}

int pool_submit(struct pool *pool, pool_job_fn *fn, void *arg)
{
    return submit(pool, fn, arg, true);
}

int pool_try_submit(struct pool *pool, pool_job_fn *fn, void *arg)
{
    return submit(pool, fn, arg, false);
}

static void forbid_own_thread(struct pool *pool, const char *what)
{
    if (!is_own_thread(pool))
        return;
    fprintf(stderr, "%s: called inside one of the pool's own jobs\n", what);
    abort();
}

void pool_wait(struct pool *pool)
{
    struct waiter self;

    forbid_own_thread(pool, "pool_wait");
    mutex_lock(&pool->lock);
    if (pool->unfinished > 0) {
        self.next = pool->waits;
        pool->waits = &self;
        sleep_locked(pool, &self);
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
    while (pool->submits) {
        pool->unfinished++;     /* until it has left the pool */
        serve_locked(first_submit_locked(pool), -ECANCELED);
    }
    mutex_unlock(&pool->lock);
    pool_wait(pool);            /* afterwards there is nobody left to submit */
    stop(pool, pool->threads);
}
