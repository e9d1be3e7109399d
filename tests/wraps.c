/* wraps.c -- given: see wraps.h. */
#include "tests/wraps.h"

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdlib.h>
#include <time.h>

static _Thread_local uint64_t calls;
static _Thread_local bool failing;
static _Thread_local void (*before_malloc)(void);

uint64_t lock_calls(void)
{
    return calls;
}

void malloc_fails(bool fails)
{
    failing = fails;
}

void malloc_calls(void (*fn)(void))
{
    before_malloc = fn;
}

#define COUNTED(fn, params, args) \
    int __real_##fn params; \
    int __wrap_##fn params; \
    int __wrap_##fn params \
    { \
        calls++; \
        return __real_##fn args; \
    }

typedef pthread_mutex_t *mutex;
typedef pthread_rwlock_t *rwlock;
typedef pthread_spinlock_t *spinlock;
typedef pthread_cond_t *cond;
typedef sem_t *sem;
typedef const struct timespec *when;

COUNTED(pthread_mutex_lock, (mutex m), (m))
COUNTED(pthread_mutex_trylock, (mutex m), (m))
COUNTED(pthread_mutex_timedlock, (mutex m, when t), (m, t))
COUNTED(pthread_rwlock_rdlock, (rwlock l), (l))
COUNTED(pthread_rwlock_wrlock, (rwlock l), (l))
COUNTED(pthread_rwlock_tryrdlock, (rwlock l), (l))
COUNTED(pthread_rwlock_trywrlock, (rwlock l), (l))
COUNTED(pthread_spin_lock, (spinlock l), (l))
COUNTED(pthread_spin_trylock, (spinlock l), (l))
COUNTED(pthread_cond_wait, (cond c, mutex m), (c, m))
COUNTED(pthread_cond_timedwait, (cond c, mutex m, when t), (c, m, t))
COUNTED(sem_wait, (sem s), (s))
COUNTED(sem_trywait, (sem s), (s))
COUNTED(sem_timedwait, (sem s, when t), (s, t))

#define FAILING(fn, params, args) \
    void *__real_##fn params; \
    void *__wrap_##fn params; \
    void *__wrap_##fn params \
    { \
        if (before_malloc) \
            before_malloc(); \
        if (!failing) \
            return __real_##fn args; \
        errno = ENOMEM; \
        return NULL; \
    }

FAILING(malloc, (size_t n), (n))
FAILING(calloc, (size_t n, size_t size), (n, size))
FAILING(realloc, (void *p, size_t n), (p, n))
FAILING(aligned_alloc, (size_t align, size_t n), (align, n))

int __real_posix_memalign(void **to, size_t align, size_t n);
int __wrap_posix_memalign(void **to, size_t align, size_t n);
int __wrap_posix_memalign(void **to, size_t align, size_t n)
{
    if (before_malloc)
        before_malloc();
    return failing ? ENOMEM : __real_posix_memalign(to, align, n);
}
