/* sched.c -- threads take turns.
 *
 * All threads of the program exist for real, but only one runs: the others
 * sleep on their own futex word until they are given the turn. A thread
 * gives it away only inside a pthread call (or what else intercept.c takes
 * over), and there the state of every lock is known, because it is kept
 * here and not in the real object. So whatever a thread does between two
 * such calls is one step, and a run is determined by who goes next at each.
 *
 * Time is virtual: it starts at 0, a sleep moves it, nothing else waits for
 * it. A thread that sleeps is still ready, only all others are preferred;
 * when there is no other, the clock jumps.
 */
#include "grading/explore/sched.h"

#include <errno.h>
#include <linux/futex.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

struct trace *trace;
struct thread *threads[TRACE_THREADS + 1];
unsigned thread_count;
int64_t now;

/* A thread that goes on and on while others could run is set back after so
 * many steps: it may be polling for something they would do. */
enum { TURN_MAX = 2000 };

/* The thread that has ended last and may still be on its way out. */
static pid_t leaving;

static _Thread_local struct thread *self
    __attribute__((tls_model("initial-exec")));

struct thread *sched_self(void)
{
    return self;
}

static void futex(_Atomic uint32_t *word, int op, uint32_t value)
{
    int saved = errno;

    syscall(SYS_futex, word, op | FUTEX_PRIVATE_FLAG, value, NULL, NULL, 0);
    errno = saved;
}

/* A dying thread gives the turn away before the C library has freed what it
 * had. Its successor waits for that, or else the addresses malloc gives out
 * would depend on who is faster. */
static void wait_until_gone(void)
{
    int saved = errno;

    for (int i = 0; i < 1000; i++) {
        if (syscall(SYS_tgkill, getpid(), leaving, 0) != 0)
            break;
        syscall(SYS_sched_yield);
    }
    leaving = 0;
    errno = saved;
}

static void wait_for_turn(struct thread *t)
{
    while (atomic_load(&t->go) == 0)
        futex(&t->go, FUTEX_WAIT, 0);
    atomic_store(&t->go, 0);
    if (leaving)
        wait_until_gone();
}

static void give_turn(struct thread *t)
{
    atomic_store(&trace->current, t->number);
    atomic_store(&t->go, 1);
    futex(&t->go, FUTEX_WAKE, 1);
}

struct thread *sched_new_thread(void)
{
    struct thread *t;

    if (thread_count == TRACE_THREADS)
        report_not_explored("the program starts more than 1,024 threads");
    t = calloc(1, sizeof *t);
    if (!t)
        report_not_explored("out of memory");
    t->number = ++thread_count;
    threads[t->number] = t;
    choice_new_thread(t);
    return t;
}

/* The thread that runs the constructors is main. */
void sched_start(void)
{
    extern void *__libc_stack_end;

    self = sched_new_thread();
    self->id = pthread_self();
    self->stack_top = (uintptr_t)__libc_stack_end;
    trace->tids[self->number] = (int32_t)syscall(SYS_gettid);
    atomic_store(&trace->current, self->number);
}

void sched_begin_thread(struct thread *t)
{
    self = t;
    t->id = pthread_self();
    trace->tids[t->number] = (int32_t)syscall(SYS_gettid);
    wait_for_turn(t);
    t->inside = false;
}

static bool anyone_left(void)
{
    for (unsigned i = 1; i <= thread_count; i++)
        if (threads[i]->state != FINISHED)
            return true;
    return false;
}

/* From here on the thread only unwinds; the C library ends the process when
 * it was the last. */
void sched_end_thread(struct thread *t)
{
    t->op++;
    t->sub = 0;
    report_row(OP_END, 0, 0);
    t->state = FINISHED;
    for (unsigned i = 1; i <= thread_count; i++)
        if (threads[i]->state == BLOCKED && threads[i]->joins == t)
            sched_wake(threads[i], BY_CALL);
    if (!anyone_left())
        return;
    if (t->number > 1)      /* main stays, as a zombie */
        leaving = trace->tids[t->number];
    give_turn(choice_next(t));
}

/* A pthread_t is used again once its thread has been joined: the newest. */
struct thread *sched_find(pthread_t id)
{
    for (unsigned i = thread_count; i >= 1; i--)
        if (!threads[i]->joined && pthread_equal(threads[i]->id, id))
            return threads[i];
    return NULL;
}

static void count_step(struct thread *t)
{
    uint64_t steps = atomic_fetch_add(&trace->steps, 1) + 1;

    if (steps > TRACE_STEPS)
        report_not_explored("more than 200,000 steps");
    if (++t->in_row > TURN_MAX && t->until <= now) {
        t->until = now + 1000;
        t->in_row = 0;
    }
}

static void pass_on(struct thread *t)
{
    struct thread *next = choice_next(t);

    if (next == t)
        return;
    next->in_row = 0;
    give_turn(next);
    wait_for_turn(t);
}

void sched_point(void)
{
    self->op++;
    self->sub = 0;
    count_step(self);
    pass_on(self);
}

void sched_after(void)
{
    count_step(self);
    pass_on(self);
}

void sched_doze(int64_t ns)
{
    self->op++;
    self->sub = 0;
    self->until = ns < NEVER / 2 - now ? now + ns : NEVER / 2;
    count_step(self);
    pass_on(self);
}

/* 1 us, doubled every 64 times up to 8 ms: a loop that polls with a deadline
 * gets there in a few thousand steps. */
static int64_t idle_ns(struct thread *t)
{
    unsigned doublings = t->idle++ / 64;

    return INT64_C(1000) << (doublings < 13 ? doublings : 13);
}

void sched_idle(bool yields)
{
    int64_t ns = idle_ns(self);

    if (yields || self->idle > 64) {
        sched_doze(ns);
        return;
    }
    now += ns;
    count_step(self);
}

void sched_test_cancel(void)
{
    self->inside = false;
    pthread_testcancel();
    self->inside = true;
}

static bool is_cancel_point(const struct object *on, const struct thread *joins)
{
    return joins || (on && on->letter == 'S');
}

/* Waits for a mutex, a rwlock or a barrier are not cancellation points. */
bool sched_can_cancel(const struct thread *t)
{
    return t->state == BLOCKED &&
           (is_cancel_point(t->on, t->joins) || t->on->letter == 'C');
}

/* A thread that waits for a condition must not end here: it needs its mutex
 * first, and model_wait sees to that. */
enum woken sched_block(struct object *on, struct thread *joins, int64_t until)
{
    struct thread *t = self;

    if (is_cancel_point(on, joins))
        sched_test_cancel();
    t->state = BLOCKED;
    t->woken = BY_NOBODY;
    t->on = on;
    t->joins = joins;
    t->until = until;
    t->since = atomic_load(&trace->steps);
    count_step(t);
    pass_on(t);
    if (t->woken == BY_CANCEL && is_cancel_point(on, joins))
        sched_test_cancel();
    return t->woken;
}

void sched_wake(struct thread *t, enum woken how)
{
    t->state = READY;
    t->woken = how;
    t->on = NULL;
    t->joins = NULL;
    t->until = 0;
}

void sched_wake_all(const struct object *on)
{
    for (unsigned i = 1; i <= thread_count; i++)
        if (threads[i]->state == BLOCKED && threads[i]->on == on)
            sched_wake(threads[i], BY_CALL);
}

unsigned sched_waiters(const struct object *on)
{
    unsigned n = 0;

    for (unsigned i = 1; i <= thread_count; i++)
        n += threads[i]->state == BLOCKED && threads[i]->on == on;
    return n;
}
