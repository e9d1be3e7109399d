/* lockcount.c -- given: liblockcount.so, which counts waits for locks.
 *
 *     LD_PRELOAD=build/rel/liblockcount.so program
 *
 * A lock that is free is taken with the try form of its call, and costs a few
 * nanoseconds more. One that is not is a wait, and its time is measured. The
 * program may ask for the counts with lockcount_read; with LOCKCOUNT=FILE they
 * are written there when it ends: waits and nanoseconds, separated by a tab.
 *
 * Counted are mutexes and read-write locks. Waiting in a condition variable is
 * not waiting for a lock.
 */
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

void lockcount_read(uint64_t *waits, uint64_t *ns);

static _Atomic uint64_t all_waits, all_ns;

typedef int mutex_fn(pthread_mutex_t *mutex);
typedef int rwlock_fn(pthread_rwlock_t *lock);

static mutex_fn *_Atomic real_mutex;
static rwlock_fn *_Atomic real_read, *_Atomic real_write;

static void *find(const char *name)
{
    return dlsym(RTLD_NEXT, name);
}

/* POSIX lets an address of a function be one of data. */
#define REAL(word, name) \
    do { \
        if (!word) { \
            void *symbol = find(name); \
            __typeof__(atomic_load(&word)) fn; \
            memcpy(&fn, &symbol, sizeof fn); \
            atomic_store(&word, fn); \
        } \
    } while (0)

static uint64_t now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static void waited(uint64_t since)
{
    atomic_fetch_add_explicit(&all_waits, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&all_ns, now() - since, memory_order_relaxed);
}

int pthread_mutex_lock(pthread_mutex_t *mutex)
{
    int err = pthread_mutex_trylock(mutex);

    if (err != EBUSY)
        return err;
    REAL(real_mutex, "pthread_mutex_lock");
    uint64_t since = now();
    err = real_mutex(mutex);
    waited(since);
    return err;
}

int pthread_rwlock_rdlock(pthread_rwlock_t *lock)
{
    int err = pthread_rwlock_tryrdlock(lock);

    if (err != EBUSY)
        return err;
    REAL(real_read, "pthread_rwlock_rdlock");
    uint64_t since = now();
    err = real_read(lock);
    waited(since);
    return err;
}

int pthread_rwlock_wrlock(pthread_rwlock_t *lock)
{
    int err = pthread_rwlock_trywrlock(lock);

    if (err != EBUSY)
        return err;
    REAL(real_write, "pthread_rwlock_wrlock");
    uint64_t since = now();
    err = real_write(lock);
    waited(since);
    return err;
}

void lockcount_read(uint64_t *waits, uint64_t *ns)
{
    *waits = atomic_load(&all_waits);
    *ns = atomic_load(&all_ns);
}

__attribute__((destructor)) static void write_counts(void)
{
    const char *path = getenv("LOCKCOUNT");
    FILE *f = path ? fopen(path, "we") : NULL;

    if (!f)
        return;
    fprintf(f, "%llu\t%llu\n", (unsigned long long)atomic_load(&all_waits),
            (unsigned long long)atomic_load(&all_ns));
    fclose(f);
}
