/* pool_steal.c -- yours: stage 3, task 3.7.
 *
 * The `steal` pool: no queue that all share. Strangers leave their jobs in
 * one of several inboxes (a thread always in the same one, so two producers
 * seldom meet); a worker takes what is in an inbox, many jobs at once, into
 * a deque of its own and runs them from there. A job in a deque is claimed
 * but not lost to others: an idle worker whose inboxes are empty takes the
 * older half of somebody's deque. So most jobs cost two uncontended locks,
 * and none can hide behind a job that blocks.
 *
 * Why that is right. Every inbox and every deque is a queue with a lock of
 * its own; a job is in exactly one of them, or in the hands of a worker that
 * is moving it and looks nowhere else before it has put it down.
 *
 *   I1 once        a job is taken out of a queue under its lock, and put into
 *                  the next by the thread that took it.
 *   I2 no sleep    if a job lies in a queue and a worker sleeps, then a
 *      over work   worker is awake that will look at every queue, or somebody
 *                  is about to wake one.
 *   I3 bound       jobs of strangers that wait <= capacity: an inbox takes a
 *                  job only for room that was granted to it, and what was
 *                  granted (accepted or still to be used) less what has been
 *                  started is never above capacity.
 *   I4 wait        jobs ended <= jobs accepted, always; both numbers only
 *                  grow. So whoever adds up all that have ended, and then
 *                  all that were accepted, and finds the sums equal, has
 *                  looked across a moment when nothing waited or ran.
 *
 * I2, I3's sleepers and I4's all rest on one argument, made by locks alone.
 * Who wants to sleep says so first (`wanted`), and then looks at the queues,
 * taking the lock of each. Who changes a queue does so under its lock, and
 * then asks `wanted`. On the lock of that queue one of the two came first: if
 * the change did, the sleeper sees it; if the look did, `wanted` was set
 * before it, and the changer sees that. The asking costs one load of a word
 * that seldom changes, and is done for every put (a worker wanted?), every
 * start of a job (room wanted?) and whenever a worker runs out (waiters?).
 *
 * At most one sleeper is on its way at a time, as in channel.c: while one is,
 * `wanted` is 0. Once up it sets `wanted` again if others sleep, and only then
 * looks everywhere, for what came while nobody was asked for; when it finds
 * more than it takes, it wakes the next.
 *
 * Fairness. The owner takes the oldest of its deque, and the inboxes in turn.
 * Every so often it looks into them although its deque is not empty, else a
 * job that always submits itself again would keep strangers out.
 *
 * To sleep and be woken takes as long as a hundred jobs, and often what is
 * waited for only needs our CPU to come. So before they sleep, workers and
 * waiters yield it a few times and look again, and senders once: measured, a
 * submit and its wait go from 10 to 5 us of CPU time, an empty job from 41 to
 * 32 ns. A few times only, for idle threads must not poll.
 *
 * Dying jobs are treated as in pool.c: a cleanup handler starts a successor
 * in the worker's place, or serves on if the system gives no thread.
 *
 * Locks: pool->lock, then the lock of one queue. Never two queues' at once.
 */
#include "stage1-pool/pool.h"

#include <assert.h>
#include <errno.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/counter.h"
#include "common/lock.h"

enum { BATCH = 128, SLOTS = BATCH, INBOXES_MAX = 16, TURN = 64, LINE = 64 };
enum { PAGE = 4096, YIELDS = 4 };

struct job {
    pool_job_fn *fn;
    void *arg;
};

/* A ring that grows, and what went through it; the numbers only grow. */
struct queue {
    pthread_mutex_t lock;       /* guards everything below */
    struct job *jobs;
    size_t slots, head, count;  /* slots: a power of two */
    size_t room;                /* an inbox's: how many more it may take */
    uint64_t accepted;          /* submitted here */
    uint64_t started, ended;    /* a deque's: by the thread of its place */
} __attribute__((aligned(LINE)));

/* A place in the pool; touched by the thread in it, but see `id`. */
struct worker {
    struct queue deque;
    struct pool *pool;
    unsigned index, next_inbox;
    unsigned turn;          /* jobs until the inboxes are looked at anyway */
    size_t fits;            /* how many more its deque can take */
    bool running;           /* a job that has not been counted as ended */
    bool woken;             /* and has not looked at everything yet */
    pthread_t id;           /* of the thread in the place now */
    pthread_t dead;         /* of the one before, if has_dead */
    bool has_dead;
} __attribute__((aligned(LINE)));

/* Threads that sleep until something changes in a queue. */
struct crowd {
    pthread_cond_t cond;
    unsigned asleep;        /* said that they will sleep, and not yet up */
    bool waking;            /* one of them is on its way */
    struct counter wanted;  /* 1 if one should be woken, else 0 */
};

struct pool {
    pthread_mutex_t lock;   /* guards the crowds, granted, stop and alive */
    struct crowd workers, senders, waiters;
    uint64_t granted;       /* room handed to inboxes, ever */
    bool stop;
    unsigned alive;         /* places whose last thread has not ended */
    pthread_cond_t gone;    /* alive has become 0 */
    size_t capacity;        /* set once, as is the rest */
    unsigned threads, inboxes;
    struct queue *inbox;
    struct worker *places;
};

/* The place that this thread has, if any. */
static _Thread_local struct worker *own;

/* This thread has given up its place, or has closed it for good. */
static _Thread_local bool left;

static void *worker_main(void *arg);

/* ---- queues -------------------------------------------------------------- */

/* The deques, and behind them the inboxes. */
static struct queue *queue_at(struct pool *pool, unsigned i)
{
    return i < pool->threads ? &pool->places[i].deque
                             : &pool->inbox[i - pool->threads];
}

static int queue_init(struct queue *q)
{
    q->jobs = malloc(SLOTS * sizeof *q->jobs);
    if (!q->jobs)
        return -ENOMEM;
    q->slots = SLOTS;
    mutex_init(&q->lock);
    return 0;
}

static void queue_release(struct queue *q)
{
    if (!q->jobs)
        return;
    mutex_release(&q->lock);
    free(q->jobs);
}

static int grow_locked(struct queue *q)
{
    struct job *jobs = calloc(q->slots, 2 * sizeof *jobs);

    if (!jobs)
        return -ENOMEM;
    for (size_t i = 0; i < q->count; i++)
        jobs[i] = q->jobs[(q->head + i) & (q->slots - 1)];
    free(q->jobs);
    q->jobs = jobs;
    q->slots *= 2;
    q->head = 0;
    return 0;
}

static inline int put_locked(struct queue *q, struct job job)
{
    int err = q->count == q->slots ? grow_locked(q) : 0;

    if (!err)
        q->jobs[(q->head + q->count++) & (q->slots - 1)] = job;
    return err;
}

static struct job take_locked(struct queue *q)
{
    struct job job = q->jobs[q->head];

    q->head = (q->head + 1) & (q->slots - 1);
    q->count--;
    return job;
}

static size_t count_of(struct queue *q)
{
    mutex_lock(&q->lock);
    size_t n = q->count;
    mutex_unlock(&q->lock);
    return n;
}

/* ---- sleeping and waking ------------------------------------------------- */

static void crowd_init(struct crowd *c)
{
    cond_init(&c->cond);
    counter_init(&c->wanted, 0);
}

static void update_locked(struct crowd *c)
{
    uint64_t now = c->asleep > 0 && !c->waking;
    uint64_t before = counter_get_relaxed(&c->wanted);

    if (now > before)
        counter_add(&c->wanted, 1);
    else if (now < before)
        counter_sub(&c->wanted, 1);
}

/* From now on changes are told: look at the queues after this. */
static void enter_locked(struct crowd *c)
{
    c->asleep++;
    update_locked(c);
}

static void leave_locked(struct crowd *c)
{
    if (--c->asleep == 0)
        c->waking = false;
    update_locked(c);
}

/* Until one is woken. Then again: look after this. */
static void sleep_locked(struct pool *pool, struct crowd *c)
{
    while (!c->waking && !pool->stop)
        cond_wait(&c->cond, &pool->lock);
    c->waking = false;
    update_locked(c);
}

/* Unlocks, and wakes one if `wake` says so, unless one is on its way. The
 * signal comes last, so that the woken thread does not run into our lock; the
 * condition lives as long as any thread is in a call. */
static void unlock_and_wake(struct pool *pool, struct crowd *c, bool wake)
{
    wake = wake && c->asleep > 0 && !c->waking;
    if (wake) {
        c->waking = true;
        update_locked(c);
    }
    mutex_unlock(&pool->lock);
    if (wake)
        cond_signal(&c->cond);
}

static bool wanted(struct crowd *c)
{
    return __builtin_expect(counter_get_relaxed(&c->wanted) > 0, 0);
}

/* After a change of a queue. */
static void tell(struct pool *pool, struct crowd *c)
{
    if (wanted(c)) {
        mutex_lock(&pool->lock);
        unlock_and_wake(pool, c, true);
    }
}

/* ---- waiting for the end ------------------------------------------------- */

/* I4: first all that have ended, then all that were accepted. */
static bool all_ended(struct pool *pool)
{
    uint64_t open = 0;

    for (unsigned i = 0; i < pool->threads; i++) {
        mutex_lock(&pool->places[i].deque.lock);
        open -= pool->places[i].deque.ended;
        mutex_unlock(&pool->places[i].deque.lock);
    }
    for (unsigned i = 0; i < pool->threads + pool->inboxes; i++) {
        mutex_lock(&queue_at(pool, i)->lock);
        open += queue_at(pool, i)->accepted;
        mutex_unlock(&queue_at(pool, i)->lock);
    }
    return open == 0;
}

static bool all_ended_soon(struct pool *pool)
{
    bool ended = all_ended(pool);

    for (int i = 0; i < YIELDS && !ended; i++) {
        sched_yield();
        ended = all_ended(pool);
    }
    return ended;
}

void pool_wait(struct pool *pool)
{
    assert(!own || own->pool != pool);
    if (all_ended_soon(pool))
        return;
    mutex_lock(&pool->lock);
    enter_locked(&pool->waiters);
    while (!all_ended(pool))
        sleep_locked(pool, &pool->waiters);
    leave_locked(&pool->waiters);
    unlock_and_wake(pool, &pool->waiters, true);
}

/* ---- a worker's jobs ----------------------------------------------------- */

/* The next of its own; counts the job before as ended. */
static bool take_own(struct worker *w, struct job *job)
{
    struct queue *q = &w->deque;

    mutex_lock(&q->lock);
    q->ended += w->running;
    w->running = q->count > 0;
    if (w->running) {
        *job = take_locked(q);
        q->started++;
    }
    w->fits = q->slots - q->count < BATCH ? q->slots - q->count : BATCH;
    mutex_unlock(&q->lock);
    return w->running;
}

/* Moves jobs from another queue to our deque: all, or of a victim's half. At
 * most a batch, and what fits; nobody but us fills our deque. A sleeper may
 * have looked while they were in neither, so we tell; but not of a single job
 * that we are free to run ourselves. */
static bool move(struct worker *w, struct queue *from, bool steal)
{
    struct job batch[BATCH];
    size_t n = 0, most;

    mutex_lock(&from->lock);
    most = steal ? (from->count + 1) / 2 : from->count;
    while (n < most && n < w->fits)
        batch[n++] = take_locked(from);
    mutex_unlock(&from->lock);
    if (n == 0)
        return false;
    mutex_lock(&w->deque.lock);
    for (size_t i = 0; i < n; i++)
        put_locked(&w->deque, batch[i]);
    mutex_unlock(&w->deque.lock);
    if (n > 1 || w->running)
        tell(w->pool, &w->pool->workers);
    return true;
}

/* In turn, so that none is left for last for ever. */
static bool find_in_inboxes(struct worker *w)
{
    struct pool *pool = w->pool;

    for (unsigned i = 0; i < pool->inboxes; i++) {
        w->next_inbox = (w->next_inbox + 1) % pool->inboxes;
        if (move(w, &pool->inbox[w->next_inbox], false))
            return true;
    }
    return false;
}

/* Looks into the inboxes, and then at all the others' deques. */
static bool find_jobs(struct worker *w)
{
    struct pool *pool = w->pool;

    if (find_in_inboxes(w))
        return true;
    for (unsigned i = 1; i < pool->threads; i++)
        if (move(w, queue_at(pool, (w->index + i) % pool->threads), true))
            return true;
    return false;
}

/* Tells waiters, if it was us who ran the last job. */
static void report(struct pool *pool)
{
    if (wanted(&pool->waiters) && all_ended(pool))
        tell(pool, &pool->waiters);
}

static bool find_soon(struct worker *w)
{
    bool found = false;

    for (int i = 0; i < YIELDS && !found; i++) {
        sched_yield();
        found = find_jobs(w);
    }
    return found;
}

static bool any_jobs(struct pool *pool)
{
    for (unsigned i = 0; i < pool->threads + pool->inboxes; i++)
        if (count_of(queue_at(pool, i)) > 0)
            return true;
    return false;
}

/* Until there are jobs in the deque; false when the pool ends. */
static bool sleep_for_jobs(struct worker *w)
{
    struct pool *pool = w->pool;
    bool found, stop;

    do {
        mutex_lock(&pool->lock);
        enter_locked(&pool->workers);
        mutex_unlock(&pool->lock);
        found = find_jobs(w);
        mutex_lock(&pool->lock);
        w->woken = !found;
        if (w->woken)
            sleep_locked(pool, &pool->workers);
        leave_locked(&pool->workers);
        stop = pool->stop;
        mutex_unlock(&pool->lock);
        if (w->woken)
            found = find_jobs(w);
    } while (!found && !stop);
    return found;
}

/* What must be done when a job has been taken, before it runs: for it may
 * block. */
static void before_job(struct worker *w)
{
    struct pool *pool = w->pool;

    tell(pool, &pool->senders);
    if (w->woken) {
        w->woken = false;
        if (wanted(&pool->workers) && any_jobs(pool))
            tell(pool, &pool->workers);
    }
    if (++w->turn >= TURN) {
        w->turn = 0;
        find_in_inboxes(w);
    }
}

static bool next_job(struct worker *w, struct job *job)
{
    while (!take_own(w, job)) {
        if (find_jobs(w))
            continue;
        report(w->pool);
        if (!find_soon(w) && !sleep_for_jobs(w))
            return false;
    }
    before_job(w);
    return true;
}

/* ---- threads ------------------------------------------------------------- */

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

/* Runs jobs until the pool ends. */
static void serve(struct worker *w)
{
    struct pool *pool = w->pool;
    struct job job;

    pthread_cleanup_push(on_death, w);
    while (next_job(w, &job))
        job.fn(job.arg);
    pthread_cleanup_pop(0);
    join_dead(w);
    mutex_lock(&pool->lock);
    if (--pool->alive == 0)
        cond_signal(&pool->gone);
    mutex_unlock(&pool->lock);
}

static void *worker_main(void *arg)
{
    own = arg;
    serve(own);
    return NULL;
}

/* ---- create and destroy -------------------------------------------------- */

static void release(struct pool *pool)
{
    for (unsigned i = 0; i < pool->threads + pool->inboxes; i++)
        queue_release(queue_at(pool, i));
    cond_release(&pool->workers.cond);
    cond_release(&pool->senders.cond);
    cond_release(&pool->waiters.cond);
    cond_release(&pool->gone);
    mutex_release(&pool->lock);
    free(pool->places);
    free(pool->inbox);
    free(pool);
}

/* Ends the threads of the first n places. */
static void stop_workers(struct pool *pool, unsigned n)
{
    mutex_lock(&pool->lock);
    pool->stop = true;
    cond_broadcast(&pool->workers.cond);
    while (pool->alive > 0)
        cond_wait(&pool->gone, &pool->lock);
    mutex_unlock(&pool->lock);
    for (unsigned i = 0; i < n; i++)
        thread_join(pool->places[i].id);
}

/* All of them, or none. */
static int start_workers(struct pool *pool)
{
    unsigned n = 0;
    int err = 0;

    while (!err && n < pool->threads) {
        struct worker *w = &pool->places[n];

        mutex_lock(&pool->lock);
        pool->alive++;
        mutex_unlock(&pool->lock);
        err = thread_create(&w->id, worker_main, w);
        n += !err;
    }
    if (err) {
        mutex_lock(&pool->lock);
        pool->alive--;
        mutex_unlock(&pool->lock);
        stop_workers(pool, n);
    }
    return err;
}

static void *zeroed(size_t n, size_t size)
{
    void *p = n > SIZE_MAX / size ? NULL : aligned_alloc(LINE, n * size);

    return p ? memset(p, 0, n * size) : NULL;
}

static struct pool *new_pool(const struct pool_options *options)
{
    long cpus = sysconf(_SC_NPROCESSORS_ONLN);
    struct pool *pool = calloc(1, sizeof *pool);
    int err = 0;

    if (!pool)
        return NULL;
    pool->capacity = options->capacity;
    mutex_init(&pool->lock);
    crowd_init(&pool->workers);
    crowd_init(&pool->senders);
    crowd_init(&pool->waiters);
    cond_init(&pool->gone);
    pool->inboxes = cpus < 1 ? 1 : cpus < INBOXES_MAX / 2
                    ? (unsigned)cpus * 2 : INBOXES_MAX;
    pool->inbox = zeroed(pool->inboxes, sizeof *pool->inbox);
    pool->places = zeroed(options->threads, sizeof *pool->places);
    if (!pool->inbox || !pool->places) {
        pool->inboxes = 0;
        release(pool);
        return NULL;
    }
    pool->threads = options->threads;
    for (unsigned i = 0; i < pool->threads; i++) {
        pool->places[i].pool = pool;
        pool->places[i].index = i;
    }
    for (unsigned i = 0; !err && i < pool->threads + pool->inboxes; i++)
        err = queue_init(queue_at(pool, i));
    if (!err)
        return pool;
    release(pool);
    return NULL;
}

int pool_create(struct pool **out, const struct pool_options *options)
{
    int err = pool_options_check(options, "steal");
    struct pool *pool;

    if (err)
        return err;
    pool = new_pool(options);
    if (!pool)
        return -ENOMEM;
    err = start_workers(pool);
    if (err)
        release(pool);
    else
        *out = pool;
    return err;
}

/* Jobs may submit jobs while we are here, so first everything runs out. */
void pool_destroy(struct pool *pool)
{
    if (!pool)
        return;
    pool_wait(pool);
    stop_workers(pool, pool->threads);
    release(pool);
}

/* ---- submitting ---------------------------------------------------------- */

/* Room that nobody has been granted; first what was started, then what was
 * accepted, so never too much. */
static size_t free_locked(struct pool *pool)
{
    uint64_t waiting = pool->granted;

    for (unsigned i = 0; i < pool->threads; i++) {
        mutex_lock(&pool->places[i].deque.lock);
        waiting -= pool->places[i].deque.started;
        mutex_unlock(&pool->places[i].deque.lock);
    }
    for (unsigned i = 0; i < pool->threads; i++) {
        mutex_lock(&pool->places[i].deque.lock);
        waiting += pool->places[i].deque.accepted;
        mutex_unlock(&pool->places[i].deque.lock);
    }
    return waiting < pool->capacity ? pool->capacity - waiting : 0;
}

/* Takes back the room that inboxes have and do not use. */
static void take_back_locked(struct pool *pool)
{
    for (unsigned i = 0; i < pool->inboxes; i++) {
        mutex_lock(&pool->inbox[i].lock);
        pool->granted -= pool->inbox[i].room;
        pool->inbox[i].room = 0;
        mutex_unlock(&pool->inbox[i].lock);
    }
}

/* Gives an inbox half of what there is; false if there is nothing. */
static bool grant_locked(struct pool *pool, struct queue *inbox)
{
    size_t room = free_locked(pool);

    if (room == 0) {
        take_back_locked(pool);
        room = free_locked(pool);
    }
    if (room == 0)
        return false;
    room -= room / 2;
    pool->granted += room;
    mutex_lock(&inbox->lock);
    inbox->room += room;
    mutex_unlock(&inbox->lock);
    return true;
}

static bool any_room_locked(struct pool *pool)
{
    bool some = free_locked(pool) > 0;

    for (unsigned i = 0; !some && i < pool->inboxes; i++) {
        mutex_lock(&pool->inbox[i].lock);
        some = pool->inbox[i].room > 0;
        mutex_unlock(&pool->inbox[i].lock);
    }
    return some;
}

static int get_room(struct pool *pool, struct queue *inbox, bool wait)
{
    bool got;

    mutex_lock(&pool->lock);
    got = grant_locked(pool, inbox);
    if (!got && wait) {
        mutex_unlock(&pool->lock);
        sched_yield();
        mutex_lock(&pool->lock);
        got = grant_locked(pool, inbox);
    }
    if (!got && wait) {
        enter_locked(&pool->senders);
        while (!grant_locked(pool, inbox))
            sleep_locked(pool, &pool->senders);
        leave_locked(&pool->senders);
        got = true;
    }
    unlock_and_wake(pool, &pool->senders, pool->senders.asleep > 0
                                          && any_room_locked(pool));
    return got ? 0 : -EAGAIN;
}

/* As long as it has room, an inbox asks nobody. */
static int put_into_inbox(struct queue *inbox, struct job job)
{
    int err = -EAGAIN;

    mutex_lock(&inbox->lock);
    if (inbox->room > 0) {
        err = put_locked(inbox, job);
        if (!err) {
            inbox->room--;
            inbox->accepted++;
        }
    }
    mutex_unlock(&inbox->lock);
    return err;
}

static int put_into_deque(struct queue *deque, struct job job)
{
    mutex_lock(&deque->lock);
    int err = put_locked(deque, job);
    deque->accepted += !err;
    mutex_unlock(&deque->lock);
    return err;
}

/* A thread always has the same; threads that were started one after the
 * other have different ones, since their stacks, where thread-locals lie, are
 * an odd number of pages apart. */
static struct queue *my_inbox(struct pool *pool)
{
    return &pool->inbox[(uintptr_t)&own / PAGE % pool->inboxes];
}

static int submit(struct pool *pool, struct job job, bool wait)
{
    struct queue *inbox;
    int err;

    if (own && own->pool == pool) {
        err = put_into_deque(&own->deque, job);
    } else {
        inbox = my_inbox(pool);
        while ((err = put_into_inbox(inbox, job)) == -EAGAIN) {
            err = get_room(pool, inbox, wait);
            if (err)
                break;
        }
    }
    if (!err)
        tell(pool, &pool->workers);
    return err;
}

int pool_submit(struct pool *pool, pool_job_fn *fn, void *arg)
{
    return submit(pool, (struct job){ fn, arg }, true);
}

int pool_try_submit(struct pool *pool, pool_job_fn *fn, void *arg)
{
    return submit(pool, (struct job){ fn, arg }, false);
}
