/* intercept_locks.c -- mutexes, spin locks and condition variables.
 *
 * The kind of a mutex and the clock of a condition are read from the real
 * object, where the real init or a static initialiser has put them.
 */
#include "grading/explore/intercept.h"

#include <errno.h>

enum {
    KIND_BITS = 3, ROBUST_BIT = 16, SHARED_BIT = 128,   /* of a mutex */
    COND_SHARED_BIT = 1, MONOTONIC_BIT = 2,             /* of a condition */
};

static int kind_of(const pthread_mutex_t *m)
{
    if (m->__data.__kind & ROBUST_BIT)
        report_not_explored("robust mutexes are not followed");
    if (m->__data.__kind & SHARED_BIT)
        report_not_explored("locks between processes are not followed");
    return m->__data.__kind & KIND_BITS;
}

static struct object *mutex(pthread_mutex_t *m)
{
    return object_at(m, 'M');
}

static struct object *cond(pthread_cond_t *c)
{
    if (c->__data.__wrefs & COND_SHARED_BIT)
        report_not_explored("locks between processes are not followed");
    return object_at(c, 'C');
}

static struct object *spin(pthread_spinlock_t *s)
{
    return object_at((const void *)s, 'L');
}

int pthread_mutex_init(pthread_mutex_t *m, const pthread_mutexattr_t *attr)
{
    int err = REAL(pthread_mutex_init)(m, attr);

    if (err || !ENTER())
        return err;
    object_forget(mutex(m));
    return intercept_leave(0);
}

int pthread_mutex_destroy(pthread_mutex_t *m)
{
    if (!ENTER())
        return REAL(pthread_mutex_destroy)(m);
    sched_point();
    object_destroy(mutex(m), mutex(m)->owner != NULL);
    return intercept_leave(0);
}

int pthread_mutex_lock(pthread_mutex_t *m)
{
    if (!ENTER())
        return REAL(pthread_mutex_lock)(m);
    return intercept_leave(model_lock(mutex(m), kind_of(m), NEVER));
}

int pthread_mutex_trylock(pthread_mutex_t *m)
{
    if (!ENTER())
        return REAL(pthread_mutex_trylock)(m);
    return intercept_leave(model_trylock(mutex(m), kind_of(m)));
}

int pthread_mutex_unlock(pthread_mutex_t *m)
{
    if (!ENTER())
        return REAL(pthread_mutex_unlock)(m);
    return intercept_leave(model_unlock(mutex(m), kind_of(m)));
}

static int timed_lock(pthread_mutex_t *m, clockid_t clock,
                      const struct timespec *t)
{
    if (!intercept_valid(t))
        return EINVAL;
    return model_lock(mutex(m), kind_of(m), intercept_time(clock, t));
}

int pthread_mutex_timedlock(pthread_mutex_t *m, const struct timespec *t)
{
    if (!ENTER())
        return REAL(pthread_mutex_timedlock)(m, t);
    return intercept_leave(timed_lock(m, CLOCK_REALTIME, t));
}

int pthread_mutex_clocklock(pthread_mutex_t *m, clockid_t clock,
                            const struct timespec *t)
{
    if (!ENTER())
        return REAL(pthread_mutex_clocklock)(m, clock, t);
    return intercept_leave(timed_lock(m, clock, t));
}

int pthread_spin_init(pthread_spinlock_t *s, int shared)
{
    int err = REAL(pthread_spin_init)(s, shared);

    if (err || !ENTER())
        return err;
    object_forget(spin(s));
    return intercept_leave(0);
}

int pthread_spin_destroy(pthread_spinlock_t *s)
{
    if (!ENTER())
        return REAL(pthread_spin_destroy)(s);
    sched_point();
    object_destroy(spin(s), spin(s)->owner != NULL);
    return intercept_leave(0);
}

int pthread_spin_lock(pthread_spinlock_t *s)
{
    if (!ENTER())
        return REAL(pthread_spin_lock)(s);
    return intercept_leave(model_lock(spin(s), PTHREAD_MUTEX_NORMAL, NEVER));
}

int pthread_spin_trylock(pthread_spinlock_t *s)
{
    if (!ENTER())
        return REAL(pthread_spin_trylock)(s);
    return intercept_leave(model_trylock(spin(s), PTHREAD_MUTEX_NORMAL));
}

int pthread_spin_unlock(pthread_spinlock_t *s)
{
    if (!ENTER())
        return REAL(pthread_spin_unlock)(s);
    return intercept_leave(model_unlock(spin(s), PTHREAD_MUTEX_NORMAL));
}

int pthread_cond_init(pthread_cond_t *c, const pthread_condattr_t *attr)
{
    int err = REAL(pthread_cond_init)(c, attr);

    if (err || !ENTER())
        return err;
    object_forget(cond(c));
    return intercept_leave(0);
}

int pthread_cond_destroy(pthread_cond_t *c)
{
    if (!ENTER())
        return REAL(pthread_cond_destroy)(c);
    sched_point();
    object_destroy(cond(c), false);
    return intercept_leave(0);
}

int pthread_cond_signal(pthread_cond_t *c)
{
    if (!ENTER())
        return REAL(pthread_cond_signal)(c);
    model_signal(cond(c));
    return intercept_leave(0);
}

int pthread_cond_broadcast(pthread_cond_t *c)
{
    if (!ENTER())
        return REAL(pthread_cond_broadcast)(c);
    model_broadcast(cond(c));
    return intercept_leave(0);
}

int pthread_cond_wait(pthread_cond_t *c, pthread_mutex_t *m)
{
    if (!ENTER())
        return REAL(pthread_cond_wait)(c, m);
    return intercept_leave(model_wait(cond(c), mutex(m), NEVER));
}

static int timed_wait(pthread_cond_t *c, pthread_mutex_t *m, clockid_t clock,
                      const struct timespec *t)
{
    if (!intercept_valid(t))
        return EINVAL;
    return model_wait(cond(c), mutex(m), intercept_time(clock, t));
}

int pthread_cond_timedwait(pthread_cond_t *c, pthread_mutex_t *m,
                           const struct timespec *t)
{
    if (!ENTER())
        return REAL(pthread_cond_timedwait)(c, m, t);
    bool monotonic = c->__data.__wrefs & MONOTONIC_BIT;
    return intercept_leave(
        timed_wait(c, m, monotonic ? CLOCK_MONOTONIC : CLOCK_REALTIME, t));
}

int pthread_cond_clockwait(pthread_cond_t *c, pthread_mutex_t *m,
                           clockid_t clock, const struct timespec *t)
{
    if (!ENTER())
        return REAL(pthread_cond_clockwait)(c, m, clock, t);
    return intercept_leave(timed_wait(c, m, clock, t));
}
