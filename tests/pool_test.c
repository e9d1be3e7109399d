/* pool_test.c -- the cases of pool.h that every pool shares; tasks 1.1, 1.5
 * and 1.6. Which case a pool must pass stands in grading/cases.tsv.
 *
 * Given.
 */
#include "tests/pool_test.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { CREW = 4 };

/* ---- what the cases share (pool_test.h) --------------------------------- */

struct pool *made_pool(unsigned threads, size_t capacity)
{
    struct pool_options options = { POOL_NAME, threads, capacity };
    struct pool *pool = NULL;

    expect_int("pool_create", pool_create(&pool, &options), 0);
    expect_true("pool_create sets *out", pool != NULL);
    return pool;
}

void submit(struct pool *pool, pool_job_fn *fn, void *arg)
{
    expect_int("pool_submit", pool_submit(pool, fn, arg), 0);
}

static void add(struct tally *t, size_t n)
{
    pthread_mutex_lock(&t->lock);
    t->n += n;
    pthread_cond_broadcast(&t->grown);
    pthread_mutex_unlock(&t->lock);
}

void tally_up(void *arg)
{
    add(arg, 1);
}

size_t tally_now(struct tally *t)
{
    pthread_mutex_lock(&t->lock);
    size_t n = t->n;
    pthread_mutex_unlock(&t->lock);
    return n;
}

void tally_wait(struct tally *t, size_t n)
{
    pthread_mutex_lock(&t->lock);
    while (t->n < n)
        pthread_cond_wait(&t->grown, &t->lock);
    pthread_mutex_unlock(&t->lock);
}

struct goal {
    struct tally *tally;
    size_t n;
};

static bool reached(void *arg)
{
    struct goal *goal = arg;

    return tally_now(goal->tally) >= goal->n;
}

void expect_tally(const char *tried, struct tally *t, size_t n)
{
    struct goal goal = { t, n };
    char expected[64];

    snprintf(expected, sizeof expected, "%zu of %zu", n, n);
    if (!wait_until(reached, &goal))
        fail_case(__FILE__, __LINE__, tried, expected,
                  "%zu after %u s", tally_now(t), patience_s());
    expect_int(tried, tally_now(t), n);
}

void gate_pass(void *arg)
{
    struct gate *g = arg;

    tally_up(&g->inside);
    tally_wait(&g->open, 1);
}

void gate_open(struct gate *g)
{
    tally_up(&g->open);
}

/* The program is linked so that every pthread_create comes by here. */
int __real_pthread_create(pthread_t *, const pthread_attr_t *,
                          void *(*)(void *), void *);
int __wrap_pthread_create(pthread_t *, const pthread_attr_t *,
                          void *(*)(void *), void *);
static unsigned creates_left;       /* set while one thread runs */
static atomic_bool no_threads;

void fail_create_at(unsigned k)
{
    creates_left = k;
}

void fail_creates(bool all)
{
    no_threads = all;
}

int __wrap_pthread_create(pthread_t *id, const pthread_attr_t *attr,
                          void *(*fn)(void *), void *arg)
{
    if (no_threads || (creates_left > 0 && --creates_left == 0))
        return EAGAIN;
    return __real_pthread_create(id, attr, fn, arg);
}

static bool as_many_threads(void *arg)
{
    return threads_alive() <= *(unsigned *)arg;
}

/* GLib keeps the threads of pools that are gone for others to come, and one
 * that starts them. */
extern void g_thread_pool_set_max_unused_threads(int) __attribute__((weak));

void expect_threads(const char *tried, unsigned before)
{
    if (g_thread_pool_set_max_unused_threads) {
        g_thread_pool_set_max_unused_threads(0);
        before++;
    }
    if (!wait_until(as_many_threads, &before))
        fail_case(__FILE__, __LINE__, tried, "no thread of the pool is alive",
                  "%u are", threads_alive() - before);
}

/* ---- 1.1 and 1.5: jobs run ---------------------------------------------- */

struct thousand {
    pthread_mutex_t lock;   /* guards counter and jobs */
    size_t counter, jobs;
};

static void add_thousand(void *arg)
{
    struct thousand *t = arg;

    for (int i = 0; i < 1000; i++) {
        pthread_mutex_lock(&t->lock);
        t->counter++;
        pthread_mutex_unlock(&t->lock);
    }
    pthread_mutex_lock(&t->lock);
    t->jobs++;
    pthread_mutex_unlock(&t->lock);
}

static bool twenty_jobs(void *arg)
{
    struct thousand *t = arg;

    pthread_mutex_lock(&t->lock);
    bool all = t->jobs == 20;
    pthread_mutex_unlock(&t->lock);
    return all;
}

/* The first pool stays, for the cases of 1.5 may not call destroy. */
static void count(const struct run *run)
{
    static struct thousand t = { PTHREAD_MUTEX_INITIALIZER, 0, 0 };
    struct pool *pool = made_pool(CREW, 8);

    (void)run;
    for (int i = 0; i < 20; i++)
        submit(pool, add_thousand, &t);
    expect_soon("20 jobs that each add 1,000", "20 jobs end", twenty_jobs, &t);
    expect_int("20 jobs that each add 1,000", t.counter, 20000);
}

static void count_and_destroy(const struct run *run)
{
    struct thousand t = { PTHREAD_MUTEX_INITIALIZER, 0, 0 };
    struct pool *pool = made_pool(CREW, 8);

    (void)run;
    for (int i = 0; i < 20; i++)
        submit(pool, add_thousand, &t);
    pool_destroy(pool);
    expect_int("20 jobs that each add 1,000, then destroy", t.counter, 20000);
}

struct many {
    struct actor actor;
    struct pool *pool;
    struct mark { unsigned char *times; pthread_mutex_t *lock; size_t n; }
        *marks;
    size_t count;
    bool wait;
};

static void mark(void *arg)
{
    struct mark *m = arg;

    pthread_mutex_lock(m->lock);
    m->times[m->n]++;
    pthread_mutex_unlock(m->lock);
}

static void submit_many(void *arg)
{
    struct many *m = arg;

    for (size_t i = 0; i < m->count; i++) {
        submit(m->pool, mark, &m->marks[i]);
        if (m->wait && i % 16 == 15)
            pool_wait(m->pool);
    }
    if (!m->wait)
        return;
    pool_wait(m->pool);
    for (size_t i = 0; i < m->count; i++) {
        pthread_mutex_lock(m->marks->lock);
        int times = m->marks[i].times[m->marks[i].n];
        pthread_mutex_unlock(m->marks->lock);
        expect_int("a job submitted before wait, after it", times, 1);
    }
}

struct once {
    unsigned char *times;
    size_t n;
    pthread_mutex_t lock;
};

static bool all_ran(void *arg)
{
    struct once *o = arg;
    bool all = true;

    pthread_mutex_lock(&o->lock);
    for (size_t i = 0; i < o->n; i++)
        all = all && o->times[i] > 0;
    pthread_mutex_unlock(&o->lock);
    return all;
}

static void from_many_threads(const struct run *run, bool wait)
{
    size_t total = CREW * run->size;
    struct pool *pool = made_pool(CREW, 8);
    struct once o = { calloc(total, 1), total, PTHREAD_MUTEX_INITIALIZER };
    struct mark *marks = calloc(total, sizeof *marks);
    struct many crew[CREW];

    for (size_t i = 0; i < total; i++)
        marks[i] = (struct mark){ o.times, &o.lock, i };
    for (size_t i = 0; i < CREW; i++) {
        crew[i] = (struct many){ .pool = pool, .count = run->size,
                                 .marks = marks + i * run->size, .wait = wait };
        actor_start(&crew[i].actor, submit_many, &crew[i]);
    }
    for (int i = 0; i < CREW; i++)
        actor_join(&crew[i].actor);
    expect_soon("jobs submitted by 4 threads", "each of them runs", all_ran,
                &o);
    if (wait)
        pool_destroy(pool);
    for (size_t i = 0; i < total; i++)
        expect_int("how often a job ran", o.times[i], 1);
    if (wait) {
        free(o.times);
        free(marks);
    }
}

static void many_submitters(const struct run *run)
{
    from_many_threads(run, false);
}

static void many_waiters(const struct run *run)
{
    from_many_threads(run, true);
}

struct sequence {
    struct tally ended;
    size_t next;        /* jobs run one after the other: no lock */
    struct step { struct sequence *all; size_t n; } *steps;
};

static void step(void *arg)
{
    struct step *s = arg;

    expect_int("which job starts next", s->n, s->all->next);
    s->all->next++;
    tally_up(&s->all->ended);
}

static void one_thread_in_order(const struct run *run)
{
    struct pool *pool = made_pool(1, 4);
    struct sequence s = { .ended = TALLY };

    s.steps = calloc(run->size, sizeof *s.steps);
    for (size_t i = 0; i < run->size; i++) {
        s.steps[i] = (struct step){ &s, i };
        submit(pool, step, &s.steps[i]);
    }
    expect_tally("jobs in a pool of one thread", &s.ended, run->size);
}

struct submitter {
    struct actor actor;
    struct pool *pool;
    struct tally *ran;
};

static void submit_one(void *arg)
{
    struct submitter *s = arg;

    submit(s->pool, tally_up, s->ran);
}

/* One job runs, `size` wait: the next submit waits, try_submit says so. */
static void submit_waits(const struct run *run)
{
    struct pool *pool = made_pool(1, run->size);
    struct gate gate = GATE;
    struct tally ran = TALLY;
    struct submitter s = { .pool = pool, .ran = &ran };

    submit(pool, gate_pass, &gate);
    expect_tally("a job that waits inside", &gate.inside, 1);
    for (size_t i = 0; i < run->size; i++)
        expect_int("try_submit with room (the running job takes none)",
                   pool_try_submit(pool, tally_up, &ran), 0);
    expect_int("try_submit when `capacity` jobs wait",
               pool_try_submit(pool, tally_up, &ran), -EAGAIN);
    actor_start(&s.actor, submit_one, &s);
    if (!under_tool())
        expect_true("submit waits when `capacity` jobs wait",
                    actor_blocks(&s.actor));
    expect_int("jobs that ran while the only thread is busy",
               tally_now(&ran), 0);
    gate_open(&gate);
    expect_soon("the queue has room again", "submit returns", actor_done,
                &s.actor);
    actor_join(&s.actor);
    expect_tally("all jobs run in the end", &ran, run->size + 1);
}

struct meeting {
    pthread_barrier_t barrier;
    struct tally met;
};

static void meet(void *arg)
{
    struct meeting *m = arg;

    pthread_barrier_wait(&m->barrier);
    tally_up(&m->met);
}

/* N jobs that meet, with 4N others before and 4N behind them. */
static void barrier(const struct run *run)
{
    unsigned n = (unsigned)run->size;
    struct pool *pool = made_pool(n, 16 * n);
    struct meeting m = { .met = TALLY };
    struct tally others = TALLY;

    pthread_barrier_init(&m.barrier, NULL, n);
    for (unsigned i = 0; i < 4 * n; i++)
        submit(pool, tally_up, &others);
    for (unsigned i = 0; i < n; i++)
        submit(pool, meet, &m);
    for (unsigned i = 0; i < 4 * n; i++)
        submit(pool, tally_up, &others);
    expect_tally("jobs that wait for each other at a barrier", &m.met, n);
    expect_tally("the jobs before and behind them", &others, 8 * n);
}

/* All threads but one are blocked inside jobs; the one does all the rest,
 * whoever had taken what before. Several rounds: who takes what is chance. */
static void nothing_hides(const struct run *run)
{
    static struct gate gates[64];       /* jobs may leave one late */
    static struct tally tallies[64];
    struct pool *pool = made_pool(CREW, 256);

    for (size_t round = 0; round < run->size && round < 64; round++) {
        struct gate *gate = &gates[round];
        struct tally *others = &tallies[round];

        *gate = (struct gate)GATE;
        *others = (struct tally)TALLY;
        for (unsigned i = 0; i < 60; i++) {
            bool block = i % 20 == 3;       /* three of them */
            submit(pool, block ? gate_pass : tally_up,
                   block ? (void *)gate : (void *)others);
        }
        expect_tally("jobs behind three blocked ones, one thread is free",
                     others, 57);
        gate_open(gate);
        expect_tally("the blocked jobs have come in", &gate->inside, 3);
        submit(pool, tally_up, others);
        expect_tally("a job after they were let go", others, 58);
    }
}

struct census {
    pthread_mutex_t lock;   /* guards the rest */
    long ids[64];
    unsigned known, inside, most;
    struct tally ended;
};

static void be_counted(void *arg)
{
    struct census *c = arg;
    long self = syscall(SYS_gettid);
    unsigned i = 0;

    pthread_mutex_lock(&c->lock);
    while (i < c->known && c->ids[i] != self)
        i++;
    if (i == c->known && i < 64)
        c->ids[c->known++] = self;
    if (++c->inside > c->most)
        c->most = c->inside;
    pthread_mutex_unlock(&c->lock);
    sched_yield();
    pthread_mutex_lock(&c->lock);
    c->inside--;
    pthread_mutex_unlock(&c->lock);
    tally_up(&c->ended);
}

static void at_most_n_threads(const struct run *run)
{
    struct census c = { .lock = PTHREAD_MUTEX_INITIALIZER, .ended = TALLY };
    struct pool *pool = made_pool(CREW, 8);
    long self = syscall(SYS_gettid);

    for (size_t i = 0; i < run->size; i++)
        submit(pool, be_counted, &c);
    expect_tally("jobs that note their thread", &c.ended, run->size);
    expect_true("at most 4 jobs run at once", c.most <= CREW);
    expect_true("at most 4 threads ever run jobs", c.known <= CREW);
    for (unsigned i = 0; i < c.known; i++)
        expect_true("no job runs in the submitting thread",
                    c.ids[i] != self);
}

static void bad_options(const struct run *run)
{
    struct pool *pool = made_pool(2, 2), *untouched = pool;
    struct tally ran = TALLY;
    struct pool_options o[] = { { POOL_NAME, 0, 8 }, { POOL_NAME, 2, 0 },
                                { "no such pool", 2, 8 }, { NULL, 2, 8 } };

    (void)run;
    submit(pool, tally_up, &ran);
    expect_tally("a job", &ran, 1);
    expect_int("threads = 0", pool_create(&pool, &o[0]), -EINVAL);
    expect_int("capacity = 0", pool_create(&pool, &o[1]), -EINVAL);
    expect_int("an unknown name", pool_create(&pool, &o[2]), -ENOENT);
    expect_true("*out is untouched on an error", pool == untouched);
    expect_int("name = NULL", pool_create(&pool, &o[3]), 0);
    submit(pool, tally_up, &ran);
    expect_tally("a job in the pool with the default name", &ran, 2);
}

static void create_fails(const struct run *run)
{
    unsigned before = threads_alive();
    struct pool_options o = { POOL_NAME, CREW, 8 };

    (void)run;
    for (unsigned k = 1; k <= CREW; k++) {
        struct pool *pool = NULL;

        fail_create_at(k);
        expect_int("pool_create when the k-th pthread_create fails",
                   pool_create(&pool, &o), -EAGAIN);
        expect_true("*out is untouched on an error", pool == NULL);
        fail_create_at(0);
        expect_threads("after a create that failed", before);
    }
    struct tally ran = TALLY;
    submit(made_pool(CREW, 8), tally_up, &ran);
    expect_tally("a job in the pool created next", &ran, 1);
}

/* For the explorer: no wait, no destroy; the tally says when to leave. */
static void small_jobs(const struct run *run)
{
    static struct tally ran = TALLY;
    struct pool *pool = made_pool(2, 1);

    for (size_t i = 0; i < run->size; i++)
        submit(pool, tally_up, &ran);
    tally_wait(&ran, run->size);
    expect_int("how many jobs ran", tally_now(&ran), run->size);
}

/* For the explorer: each job comes while the thread goes to sleep, a little
 * later each time. */
static void small_rounds(const struct run *run)
{
    static struct tally ran = TALLY;
    struct pool *pool = made_pool(1, 1);

    for (size_t i = 1; i <= run->size; i++) {
        submit(pool, tally_up, &ran);
        tally_wait(&ran, i);
        for (size_t steps = 0; steps < 8 * i; steps++)
            tally_now(&ran);
    }
    expect_int("how many jobs ran", tally_now(&ran), run->size);
}

/* For the explorer: jobs that end only together, after some that do not. */
static void small_meet(const struct run *run)
{
    static struct meeting m = { .met = TALLY };
    static struct tally others = TALLY;
    struct pool *pool = made_pool(2, run->size);

    pthread_barrier_init(&m.barrier, NULL, 2);
    submit(pool, tally_up, &others);
    submit(pool, meet, &m);
    submit(pool, meet, &m);
    tally_wait(&m.met, 2);
    expect_int("two jobs that wait for each other", tally_now(&m.met), 2);
}

/* ---- 1.1 and 1.6: wait and destroy -------------------------------------- */

/* A job whose thread cannot be started is not accepted. */
static void submit_fails(const struct run *run)
{
    struct pool *pool = made_pool(2, 8);
    struct tally ran = TALLY, never = TALLY;

    (void)run;
    submit(pool, tally_up, &ran);
    fail_create_at(1);
    expect_int("pool_submit when no thread can be started",
               pool_submit(pool, tally_up, &never), -EAGAIN);
    fail_create_at(0);
    submit(pool, tally_up, &ran);
    pool_destroy(pool);
    expect_int("the jobs that were accepted", tally_now(&ran), 2);
    expect_int("the job that was not", tally_now(&never), 0);
}

static void wait_sees_all(const struct run *run)
{
    struct pool *pool = made_pool(CREW, 8);
    struct tally ran = TALLY;

    for (size_t round = 1; round <= run->size; round++) {
        for (int i = 0; i < 20; i++)
            submit(pool, tally_up, &ran);
        pool_wait(pool);
        expect_int("jobs that ran before wait returned", tally_now(&ran),
                   round * 20);
    }
    pool_wait(pool);
    pool_destroy(pool);
}

static void wait_in_actor(void *arg)
{
    pool_wait(arg);
}

static void destroy_in_actor(void *arg)
{
    pool_destroy(arg);
}

static void wait_for_running(const struct run *run)
{
    struct pool *pool = made_pool(2, 8);
    struct gate gate = GATE;
    struct actor waiters[CREW];

    (void)run;
    submit(pool, gate_pass, &gate);
    expect_tally("a job that waits inside", &gate.inside, 1);
    for (int i = 0; i < CREW; i++)
        actor_start(&waiters[i], wait_in_actor, pool);
    for (int i = 0; i < CREW && !under_tool(); i++)
        expect_true("wait waits while a job runs", actor_blocks(&waiters[i]));
    gate_open(&gate);
    for (int i = 0; i < CREW; i++) {
        expect_soon("the last job has ended", "all who wait return",
                    actor_done, &waiters[i]);
        actor_join(&waiters[i]);
    }
    pool_destroy(pool);
}

static void destroy_runs_queue(const struct run *run)
{
    struct pool *pool = made_pool(2, run->size);
    struct gate gate = GATE;
    struct tally ran = TALLY;
    struct actor destroyer;

    submit(pool, gate_pass, &gate);
    submit(pool, gate_pass, &gate);
    expect_tally("jobs that wait inside", &gate.inside, 2);
    for (size_t i = 0; i < run->size; i++)
        submit(pool, tally_up, &ran);
    actor_start(&destroyer, destroy_in_actor, pool);
    if (!under_tool())
        expect_true("destroy waits while jobs are queued",
                    actor_blocks(&destroyer));
    gate_open(&gate);
    expect_soon("the jobs can run", "destroy returns", actor_done, &destroyer);
    actor_join(&destroyer);
    expect_int("queued jobs that ran", tally_now(&ran), run->size);
}

static void destroy_ends_threads(const struct run *run)
{
    unsigned before = threads_alive();
    struct tally ran = TALLY;

    for (size_t round = 1; round <= run->size; round++) {
        struct pool *pool = made_pool(CREW, 8);

        for (int i = 0; i < 10; i++)
            submit(pool, tally_up, &ran);
        pool_destroy(pool);
        expect_int("jobs that ran before destroy returned", tally_now(&ran),
                   10 * round);
        expect_threads("after destroy", before);
    }
}

static void destroy_at_once(const struct run *run)
{
    unsigned before = threads_alive();
    struct tally ran = TALLY;

    for (size_t i = 0; i < run->size; i++)
        pool_destroy(made_pool(CREW, 1));
    struct pool *pool = made_pool(1, 1);
    submit(pool, tally_up, &ran);
    pool_destroy(pool);
    pool_destroy(NULL);
    expect_int("a job", tally_now(&ran), 1);
    expect_threads("after destroy", before);
}

static void submit_in_actor(void *arg)
{
    struct submitter *s = arg;

    for (int i = 0; i < 3; i++)
        submit_one(s);
}

/* Threads asleep in the pool, in submit and in wait, all at once. */
static void waits_asleep(const struct run *run)
{
    struct pool *idle = made_pool(CREW, 1), *busy = made_pool(1, 1);
    struct gate gate = GATE;
    struct tally ran = TALLY;
    struct submitter s = { .pool = busy, .ran = &ran };
    struct actor waiter;

    (void)run;
    submit(idle, tally_up, &ran);
    expect_tally("a job", &ran, 1);
    pool_wait(idle);
    submit(busy, gate_pass, &gate);
    expect_tally("a job that waits inside", &gate.inside, 1);
    actor_start(&s.actor, submit_in_actor, &s);
    actor_start(&waiter, wait_in_actor, busy);
    expect_true("submit to a full pool waits", actor_blocks(&s.actor));
    expect_true("wait waits while a job runs", actor_blocks(&waiter));
    expect_idle("idle threads, one that submits and one that waits");
    gate_open(&gate);
    actor_join(&s.actor);
    actor_join(&waiter);
    pool_destroy(idle);
    pool_destroy(busy);
    expect_int("all jobs ran", tally_now(&ran), 4);
}

static void create_fails_clean(const struct run *run)
{
    struct pool_options o = { POOL_NAME, CREW, 8 };

    for (unsigned k = 1; k <= CREW; k++) {
        struct pool *pool = NULL;

        fail_create_at(k);
        expect_int("pool_create when the k-th pthread_create fails",
                   pool_create(&pool, &o), -EAGAIN);
        fail_create_at(0);
    }
    destroy_ends_threads(run);
}

/* For the explorer. */
static void small_wait(const struct run *run)
{
    struct pool *pool = made_pool(2, 1);
    struct tally ran = TALLY;
    struct actor waiter;

    submit(pool, tally_up, &ran);
    actor_start(&waiter, wait_in_actor, pool);
    for (size_t i = 1; i < run->size; i++)
        submit(pool, tally_up, &ran);
    pool_wait(pool);
    expect_int("jobs that ran before wait returned", tally_now(&ran),
               run->size);
    actor_join(&waiter);
    pool_destroy(pool);
}

static void small_destroy(const struct run *run)
{
    struct pool *pool = made_pool(2, 2);
    struct tally ran = TALLY;

    for (size_t i = 0; i < run->size; i++)
        submit(pool, tally_up, &ran);
    pool_destroy(pool);
    expect_int("jobs that ran before destroy returned", tally_now(&ran),
               run->size);
}

static const struct test_case cases[] = {
    { "count", count, 1 },
    { "count_and_destroy", count_and_destroy, 1 },
    { "many_submitters", many_submitters, 500 },
    { "many_waiters", many_waiters, 200 },
    { "one_thread_in_order", one_thread_in_order, 500 },
    { "submit_waits", submit_waits, 3 },
    { "barrier", barrier, 4 },
    { "nothing_hides", nothing_hides, 20 },
    { "at_most_n_threads", at_most_n_threads, 2000 },
    { "bad_options", bad_options, 1 },
    { "create_fails", create_fails, 1 },
    { "small_jobs", small_jobs, 3 },
    { "small_rounds", small_rounds, 16 },
    { "small_meet", small_meet, 3 },
    { "submit_fails", submit_fails, 1 },
    { "wait_sees_all", wait_sees_all, 50 },
    { "wait_for_running", wait_for_running, 1 },
    { "destroy_runs_queue", destroy_runs_queue, 20 },
    { "destroy_ends_threads", destroy_ends_threads, 10 },
    { "destroy_at_once", destroy_at_once, 50 },
    { "waits_asleep", waits_asleep, 1 },
    { "create_fails_clean", create_fails_clean, 2 },
    { "small_wait", small_wait, 3 },
    { "small_destroy", small_destroy, 3 },
    { NULL, NULL, 0 },
};

int main(int argc, char **argv)
{
    static const struct test_case *const tables[] = { cases, hard_cases,
                                                    glib_cases, NULL };

    return driver_tables(argc, argv, tables);
}
