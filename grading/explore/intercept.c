/* intercept.c -- the beginning and end of the library and of threads.
 *
 * A thread has ended when the last of its TSD destructors has: they are the
 * program's code and may lock, or even start a thread. So the library has a
 * key of its own which sets itself again until the last round, and takes the
 * highest key there is, because in a round the destructors run in the order
 * of their keys.
 */
#include "grading/explore/intercept.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <threads.h>
#include <unistd.h>

bool has_strangers;

static pthread_key_t end_key;
static unsigned created, create_that_fails;

bool intercept_enter(const void *frame)
{
    struct thread *t = trace ? sched_self() : NULL;

    if (!t || t->state == FINISHED) {
        has_strangers |= trace && !t;
        return false;
    }
    if (t->inside || atomic_load(&trace->current) != t->number)
        report_not_explored("a signal handler uses locks or the clock");
    t->inside = true;
    report_frames(t, frame);
    return true;
}

int intercept_leave(int answer)
{
    sched_self()->inside = false;
    return answer;
}

static void on_thread_end(void *arg)
{
    struct thread *t = arg;

    if (!trace)
        return;
    if (++t->rounds < PTHREAD_DESTRUCTOR_ITERATIONS) {
        pthread_setspecific(end_key, t);
        return;
    }
    t->inside = true;
    t->at[0] = 0;
    sched_end_thread(t);
}

static void make_last_key(void)
{
    pthread_key_t keys[PTHREAD_KEYS_MAX];
    unsigned n = 0;

    while (n < PTHREAD_KEYS_MAX &&
           pthread_key_create(&keys[n], on_thread_end) == 0)
        n++;
    if (n == 0)
        report_not_explored("no TSD key is left");
    end_key = keys[--n];
    while (n > 0)
        pthread_key_delete(keys[--n]);
}

static void in_forked_child(void)
{
    trace = NULL;
}

static struct trace *map_trace(void)
{
    const char *fd = getenv(TRACE_ENV);
    struct trace *shared;

    if (!fd)
        return NULL;
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED,
                  atoi(fd), 0);
    if (shared == MAP_FAILED)
        return NULL;
    if (shared->pid != getpid()) {      /* not it, but a child of it */
        munmap(shared, sizeof *shared);
        return NULL;
    }
    return shared;
}

__attribute__((constructor)) static void start(void)
{
    const char *fails = getenv("EXPLORE_FAIL_CREATE");
    struct trace *shared = map_trace();

    if (!shared)
        return;
    trace = shared;
    trace->attached = 1;
    if (fails)
        create_that_fails = (unsigned)atoi(fails);
    report_program();
    choice_start();
    sched_start();
    make_last_key();
    pthread_setspecific(end_key, sched_self());
    pthread_atfork(NULL, NULL, in_forked_child);
}

static void *thread_main(void *arg)
{
    struct thread *t = arg;

    t->stack_top = (uintptr_t)__builtin_frame_address(0);
    sched_begin_thread(t);
    pthread_setspecific(end_key, t);
    return t->fn(t->arg);
}

static bool is_detached(const pthread_attr_t *attr)
{
    int state = PTHREAD_CREATE_JOINABLE;

    if (attr)
        pthread_attr_getdetachstate(attr, &state);
    return state == PTHREAD_CREATE_DETACHED;
}

static int create(pthread_t *id, const pthread_attr_t *attr,
                  void *(*fn)(void *), void *arg)
{
    struct thread *t;
    int err;

    sched_point();
    if (++created == create_that_fails) {
        report_row(OP_CREATE_FAILS, 0, 0);
        return EAGAIN;
    }
    t = sched_new_thread();
    t->fn = fn;
    t->arg = arg;
    t->inside = true;
    t->detached = is_detached(attr);
    err = REAL(pthread_create)(&t->id, attr, thread_main, t);
    if (err) {
        t->state = FINISHED;
        t->joined = true;
        report_row(OP_CREATE_FAILS, 0, 0);
        return err;
    }
    *id = t->id;
    report_row(OP_CREATE, (uint32_t)'T' << 24 | t->number, 0);
    sched_after();
    return 0;
}

int pthread_create(pthread_t *id, const pthread_attr_t *attr,
                   void *(*fn)(void *), void *arg)
{
    if (!ENTER())
        return REAL(pthread_create)(id, attr, fn, arg);
    return intercept_leave(create(id, attr, fn, arg));
}

int thrd_create(thrd_t *id, thrd_start_t fn, void *arg)
{
    if (!ENTER())
        return REAL(thrd_create)(id, fn, arg);
    report_not_explored("C11 threads (thrd_create) are not followed");
}

/* In the model first; then the real thread is all but gone. */
static int join(pthread_t id, void **result, int64_t until)
{
    struct thread *t = sched_find(id);
    int err;

    if (!t)
        return ESRCH;
    if (t->detached)
        return EINVAL;
    if (t == sched_self())
        return EDEADLK;
    err = model_join(t, until);
    if (err)
        return err;
    t->joined = true;
    return REAL(pthread_join)(id, result);
}

int pthread_join(pthread_t id, void **result)
{
    if (!ENTER())
        return REAL(pthread_join)(id, result);
    return intercept_leave(join(id, result, NEVER));
}

int pthread_tryjoin_np(pthread_t id, void **result)
{
    if (!ENTER())
        return REAL(pthread_tryjoin_np)(id, result);
    struct thread *t = sched_find(id);
    if (t && t->state == FINISHED)
        return intercept_leave(join(id, result, NEVER));
    sched_idle(true);
    return intercept_leave(t ? EBUSY : ESRCH);
}

int pthread_timedjoin_np(pthread_t id, void **result,
                         const struct timespec *t)
{
    if (!ENTER())
        return REAL(pthread_timedjoin_np)(id, result, t);
    int64_t until = t ? intercept_time(CLOCK_REALTIME, t) : NEVER;
    return intercept_leave(join(id, result, until));
}

int pthread_clockjoin_np(pthread_t id, void **result, clockid_t clock,
                         const struct timespec *t)
{
    if (!ENTER())
        return REAL(pthread_clockjoin_np)(id, result, clock, t);
    int64_t until = t ? intercept_time(clock, t) : NEVER;
    return intercept_leave(join(id, result, until));
}

int pthread_detach(pthread_t id)
{
    if (!ENTER())
        return REAL(pthread_detach)(id);
    struct thread *t = sched_find(id);
    sched_point();
    if (t) {
        report_row(OP_DETACH, (uint32_t)'T' << 24 | t->number, 0);
        t->detached = true;
    }
    return intercept_leave(REAL(pthread_detach)(id));
}

/* The real call leaves a note that pthread_testcancel finds. */
int pthread_cancel(pthread_t id)
{
    if (!ENTER())
        return REAL(pthread_cancel)(id);
    struct thread *t = sched_find(id);
    sched_point();
    int err = REAL(pthread_cancel)(id);
    if (t && !err) {
        report_row(OP_CANCEL, (uint32_t)'T' << 24 | t->number, 0);
        if (sched_can_cancel(t))
            sched_wake(t, BY_CANCEL);
        sched_after();
    }
    return intercept_leave(err);
}
