/* lock.h -- the pthread calls of every module, with failure decided once.
 *
 * Given.
 *
 * Locking an initialised mutex cannot fail unless the caller is wrong, and
 * a program whose locks are wrong has nothing sensible left to do. So these
 * wrappers do what the pthread call of the same name does and, where that
 * reports an error, say which call failed and abort. Code that uses them
 * has no error path for locks, which is the point.
 *
 * They are always inlined: a debugger, helgrind and the schedule explorer
 * then show the caller's line, not this file's.
 *
 * Errors:  a message on stderr and abort(). thread_create is the exception:
 *          the system may be out of threads, so it answers 0 or -errno.
 * Threads: any. cond_* follow the rules of pthread_cond_wait(3): wait in a
 *          loop, the mutex held.
 * Source:  POSIX.1-2008; the failure policy is that of pigz's yarn.h.
 */
#ifndef COMMON_LOCK_H
#define COMMON_LOCK_H

#include <pthread.h>

/* Aborts with `call` and the error's text unless err is 0. */
void lock_check(int err, const char *call);

#define LOCK_INLINE static inline __attribute__((always_inline, unused))

LOCK_INLINE void mutex_init(pthread_mutex_t *m)
{
    lock_check(pthread_mutex_init(m, NULL), "pthread_mutex_init");
}

LOCK_INLINE void mutex_release(pthread_mutex_t *m)
{
    lock_check(pthread_mutex_destroy(m), "pthread_mutex_destroy");
}

LOCK_INLINE void mutex_lock(pthread_mutex_t *m)
{
    lock_check(pthread_mutex_lock(m), "pthread_mutex_lock");
}

LOCK_INLINE void mutex_unlock(pthread_mutex_t *m)
{
    lock_check(pthread_mutex_unlock(m), "pthread_mutex_unlock");
}

LOCK_INLINE void cond_init(pthread_cond_t *c)
{
    lock_check(pthread_cond_init(c, NULL), "pthread_cond_init");
}

LOCK_INLINE void cond_release(pthread_cond_t *c)
{
    lock_check(pthread_cond_destroy(c), "pthread_cond_destroy");
}

LOCK_INLINE void cond_wait(pthread_cond_t *c, pthread_mutex_t *m)
{
    lock_check(pthread_cond_wait(c, m), "pthread_cond_wait");
}

LOCK_INLINE void cond_signal(pthread_cond_t *c)
{
    lock_check(pthread_cond_signal(c), "pthread_cond_signal");
}

LOCK_INLINE void cond_broadcast(pthread_cond_t *c)
{
    lock_check(pthread_cond_broadcast(c), "pthread_cond_broadcast");
}

LOCK_INLINE int thread_create(pthread_t *id, void *(*fn)(void *), void *arg)
{
    return -pthread_create(id, NULL, fn, arg);
}

LOCK_INLINE void thread_join(pthread_t id)
{
    lock_check(pthread_join(id, NULL), "pthread_join");
}

#endif
