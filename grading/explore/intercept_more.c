/* intercept_more.c -- rwlocks, semaphores, barriers and once. */
#include "grading/explore/intercept.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>

static struct object *rwlock(pthread_rwlock_t *l)
{
    return object_at(l, 'R');
}

static struct object *sem(sem_t *s)
{
    return object_at(s, 'S');
}

static struct object *barrier(pthread_barrier_t *b)
{
    return object_at(b, 'B');
}

int pthread_rwlock_init(pthread_rwlock_t *l, const pthread_rwlockattr_t *attr)
{
    int err = REAL(pthread_rwlock_init)(l, attr);

    if (err || !ENTER())
        return err;
    object_forget(rwlock(l));
    return intercept_leave(0);
}

int pthread_rwlock_destroy(pthread_rwlock_t *l)
{
    if (!ENTER())
        return REAL(pthread_rwlock_destroy)(l);
    sched_point();
    object_destroy(rwlock(l), rwlock(l)->owner || rwlock(l)->depth > 0);
    return intercept_leave(0);
}

int pthread_rwlock_rdlock(pthread_rwlock_t *l)
{
    if (!ENTER())
        return REAL(pthread_rwlock_rdlock)(l);
    return intercept_leave(model_rdlock(rwlock(l), NEVER, false));
}

int pthread_rwlock_tryrdlock(pthread_rwlock_t *l)
{
    if (!ENTER())
        return REAL(pthread_rwlock_tryrdlock)(l);
    return intercept_leave(model_rdlock(rwlock(l), NEVER, true));
}

int pthread_rwlock_wrlock(pthread_rwlock_t *l)
{
    if (!ENTER())
        return REAL(pthread_rwlock_wrlock)(l);
    return intercept_leave(model_wrlock(rwlock(l), NEVER, false));
}

int pthread_rwlock_trywrlock(pthread_rwlock_t *l)
{
    if (!ENTER())
        return REAL(pthread_rwlock_trywrlock)(l);
    return intercept_leave(model_wrlock(rwlock(l), NEVER, true));
}

int pthread_rwlock_unlock(pthread_rwlock_t *l)
{
    if (!ENTER())
        return REAL(pthread_rwlock_unlock)(l);
    return intercept_leave(model_rwunlock(rwlock(l)));
}

static int timed_rwlock(pthread_rwlock_t *l, bool write, clockid_t clock,
                        const struct timespec *t)
{
    if (!intercept_valid(t))
        return EINVAL;
    return (write ? model_wrlock : model_rdlock)(
        rwlock(l), intercept_time(clock, t), false);
}

int pthread_rwlock_timedrdlock(pthread_rwlock_t *l, const struct timespec *t)
{
    if (!ENTER())
        return REAL(pthread_rwlock_timedrdlock)(l, t);
    return intercept_leave(timed_rwlock(l, false, CLOCK_REALTIME, t));
}

int pthread_rwlock_timedwrlock(pthread_rwlock_t *l, const struct timespec *t)
{
    if (!ENTER())
        return REAL(pthread_rwlock_timedwrlock)(l, t);
    return intercept_leave(timed_rwlock(l, true, CLOCK_REALTIME, t));
}

int pthread_rwlock_clockrdlock(pthread_rwlock_t *l, clockid_t clock,
                               const struct timespec *t)
{
    if (!ENTER())
        return REAL(pthread_rwlock_clockrdlock)(l, clock, t);
    return intercept_leave(timed_rwlock(l, false, clock, t));
}

int pthread_rwlock_clockwrlock(pthread_rwlock_t *l, clockid_t clock,
                               const struct timespec *t)
{
    if (!ENTER())
        return REAL(pthread_rwlock_clockwrlock)(l, clock, t);
    return intercept_leave(timed_rwlock(l, true, clock, t));
}

/* Semaphore functions answer -1 and set errno. */
static int sem_answer(int err)
{
    intercept_leave(0);
    if (err == 0)
        return 0;
    errno = err;
    return -1;
}

int sem_init(sem_t *s, int shared, unsigned value)
{
    int err = REAL(sem_init)(s, shared, value);

    if (err || !ENTER())
        return err;
    if (shared)
        report_not_explored("locks between processes are not followed");
    object_forget(sem(s));
    sem(s)->value = value;
    return intercept_leave(0);
}

sem_t *sem_open(const char *name, int flags, ...)
{
    unsigned mode = 0, value = 0;
    va_list args;

    if (ENTER())
        report_not_explored("named semaphores are not followed");
    if (flags & O_CREAT) {
        va_start(args, flags);
        mode = va_arg(args, unsigned);
        value = va_arg(args, unsigned);
        va_end(args);
    }
    return REAL(sem_open)(name, flags, mode, value);
}

int sem_destroy(sem_t *s)
{
    if (!ENTER())
        return REAL(sem_destroy)(s);
    sched_point();
    object_destroy(sem(s), false);
    return intercept_leave(0);
}

int sem_wait(sem_t *s)
{
    if (!ENTER())
        return REAL(sem_wait)(s);
    return sem_answer(model_sem_take(sem(s), NEVER, false));
}

int sem_trywait(sem_t *s)
{
    if (!ENTER())
        return REAL(sem_trywait)(s);
    return sem_answer(model_sem_take(sem(s), NEVER, true));
}

int sem_timedwait(sem_t *s, const struct timespec *t)
{
    if (!ENTER())
        return REAL(sem_timedwait)(s, t);
    if (!intercept_valid(t))
        return sem_answer(EINVAL);
    return sem_answer(
        model_sem_take(sem(s), intercept_time(CLOCK_REALTIME, t), false));
}

int sem_clockwait(sem_t *s, clockid_t clock, const struct timespec *t)
{
    if (!ENTER())
        return REAL(sem_clockwait)(s, clock, t);
    if (!intercept_valid(t))
        return sem_answer(EINVAL);
    return sem_answer(model_sem_take(sem(s), intercept_time(clock, t), false));
}

int sem_post(sem_t *s)
{
    if (!ENTER())
        return REAL(sem_post)(s);
    model_sem_post(sem(s));
    return intercept_leave(0);
}

int sem_getvalue(sem_t *s, int *value)
{
    if (!ENTER())
        return REAL(sem_getvalue)(s, value);
    sched_point();
    *value = (int)sem(s)->value;
    return intercept_leave(0);
}

int pthread_barrier_init(pthread_barrier_t *b,
                         const pthread_barrierattr_t *attr, unsigned count)
{
    int err = REAL(pthread_barrier_init)(b, attr, count);

    if (err || !ENTER())
        return err;
    object_forget(barrier(b));
    barrier(b)->size = count;
    return intercept_leave(0);
}

int pthread_barrier_destroy(pthread_barrier_t *b)
{
    if (!ENTER())
        return REAL(pthread_barrier_destroy)(b);
    sched_point();
    object_destroy(barrier(b), false);
    return intercept_leave(0);
}

int pthread_barrier_wait(pthread_barrier_t *b)
{
    if (!ENTER())
        return REAL(pthread_barrier_wait)(b);
    return intercept_leave(model_barrier(barrier(b)));
}

/* One that is initialised again by a store is seen to be new, because the
 * model has written "done" into it. */
int pthread_once(pthread_once_t *once, void (*fn)(void))
{
    if (!ENTER())
        return REAL(pthread_once)(once, fn);
    struct object *o = object_at(once, 'O');
    if (o->value && *once == PTHREAD_ONCE_INIT)
        object_forget(o);
    model_once(o, fn);
    return intercept_leave(0);
}
