/* pool_glib_test.c -- what may happen while a job is being handed to GLib:
 * it may begin, and end, before g_thread_pool_push has returned.
 *
 * Given. Only the program of the `glib` pool has these cases.
 */
#include "tests/pool_test.h"

#include <errno.h>
#include <time.h>

/* The program is linked so that every push comes by here. */
int __real_g_thread_pool_push(void *, void *, void *);
int __wrap_g_thread_pool_push(void *, void *, void *);

static struct {
    pthread_mutex_t lock;   /* guards the rest */
    bool held;              /* the next push is to come back late */
} push = { PTHREAD_MUTEX_INITIALIZER, false };

static bool push_held(void)
{
    pthread_mutex_lock(&push.lock);
    bool held = push.held;
    pthread_mutex_unlock(&push.lock);
    return held;
}

static void hold_push(bool held)
{
    pthread_mutex_lock(&push.lock);
    push.held = held;
    pthread_mutex_unlock(&push.lock);
}

static _Thread_local bool slow;     /* this thread's pushes are held */

/* Not for ever: a pool may push with its lock held, and then nothing moves
 * meanwhile. */
int __wrap_g_thread_pool_push(void *pool, void *data, void *error)
{
    const struct timespec a_bit = { 0, 1000000 };
    int answer = __real_g_thread_pool_push(pool, data, error);

    for (int i = 0; i < 300 && slow && push_held(); i++)
        nanosleep(&a_bit, NULL);
    return answer;
}

struct late {
    struct actor actor;
    struct pool *pool;
    struct tally ran;
    struct gate gate;
};

static void submit_late(void *arg)
{
    struct late *l = arg;

    slow = true;
    submit(l->pool, tally_up, &l->ran);
}

/* A thread is inside its push, and the job it has pushed has ended. Then a job
 * that stays inside. */
static void begin(struct late *l)
{
    *l = (struct late){ .ran = TALLY, .gate = GATE };
    l->pool = made_pool(1, 1);
    hold_push(true);
    actor_start(&l->actor, submit_late, l);
    expect_tally("a job that runs before its push returns", &l->ran, 1);
    submit(l->pool, gate_pass, &l->gate);
    expect_tally("a job that waits inside", &l->gate.inside, 1);
}

static void end(struct late *l)
{
    hold_push(false);
    actor_join(&l->actor);
    gate_open(&l->gate);
}

static void counts_before_push(const struct run *run)
{
    static struct late l;

    (void)run;
    begin(&l);
    expect_int("try_submit with room, while a push is slow",
               pool_try_submit(l.pool, tally_up, &l.ran), 0);
    expect_int("try_submit when `capacity` jobs wait",
               pool_try_submit(l.pool, tally_up, &l.ran), -EAGAIN);
    end(&l);
    expect_tally("all jobs run in the end", &l.ran, 2);
}

static void wait_in_actor(void *arg)
{
    pool_wait(arg);
}

static void waits_beside_push(const struct run *run)
{
    struct actor waiter;
    struct late l;

    (void)run;
    begin(&l);
    actor_start(&waiter, wait_in_actor, l.pool);
    expect_true("wait waits while a job runs and a push is slow",
                actor_blocks(&waiter));
    end(&l);
    expect_soon("the last job has ended", "wait returns", actor_done,
                &waiter);
    actor_join(&waiter);
    pool_destroy(l.pool);
    expect_int("jobs that ran", tally_now(&l.ran), 1);
}

const struct test_case glib_cases[] = {
    { "counts_before_push", counts_before_push, 1 },
    { "waits_beside_push", waits_beside_push, 1 },
    { NULL, NULL, 0 },
};
