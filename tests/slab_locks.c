/* slab_locks.c -- how many locks an alloc and a free of stage 2's slab take
 * when one thread has filled the slab, and another then lives in it.
 *
 * For tests/kvs_bench.bats; linked with --wrap=pthread_mutex_lock.
 */
#include <assert.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>

#include "stage2-server/slab.h"
#include "tests/answer.h"

enum { BUDGET = 1 << 20, SIZE = 48, MOST = BUDGET / SIZE, TURNS = 100000 };

int __real_pthread_mutex_lock(pthread_mutex_t *);
int __wrap_pthread_mutex_lock(pthread_mutex_t *);

static _Thread_local uint64_t locks;
static void *out[MOST];
static size_t n;

int __wrap_pthread_mutex_lock(pthread_mutex_t *mutex)
{
    locks++;
    return __real_pthread_mutex_lock(mutex);
}

static void *replace(void *arg)
{
    uint64_t random = 1;

    for (int i = 0; i < TURNS; i++) {
        size_t at = (size_t)(next_random(&random) % n);

        slab_free(arg, out[at]);
        out[at] = slab_alloc(arg, SIZE);
        assert(out[at]);
    }
    printf("%.2f\n", (double)locks / TURNS);
    return NULL;
}

int main(void)
{
    struct slab *slab;
    struct slab_options options = { .budget = BUDGET };
    pthread_t other;
    int err = slab_create(&slab, &options);

    assert(!err);
    while ((out[n] = slab_alloc(slab, SIZE)))
        n++;
    for (size_t spare = n / 50; spare > 0; spare--)
        slab_free(slab, out[--n]);
    err = pthread_create(&other, NULL, replace, slab);
    assert(!err);
    pthread_join(other, NULL);
    slab_destroy(slab);
    return 0;
}
