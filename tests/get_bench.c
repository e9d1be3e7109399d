/* get_bench.c -- how many gets a store does, beside compactions; task 5.9.
 *
 * Given. Compiled twice: with COMPACTING another thread sets keys anew and
 * compacts all the time; without, nothing else happens. What is measured is
 * the thread that gets.
 *
 *     get_bench KEYS GETS
 *
 * Values of 1,000 bytes that begin with their key, and that is looked at.
 * Prints wall-clock and CPU nanoseconds a get, separated by a tab.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/buf.h"
#include "common/clock.h"
#include "common/not_written.h"
#include "stage2-server/store.h"
#include "tests/answer.h"
#include "tests/scratch.h"

enum { KEY = 16, VALUE = 1000, SEGMENT = 1 << 20 };

#ifndef COMPACTING
#define COMPACTING 0
#endif

static struct store *store;
static char dir[64];
static size_t keys;
static atomic_bool stop;
static atomic_uint compacted;

/* Status 3: a function that is needed is not written yet. */
static void fail(const char *what)
{
    if (dir[0])
        scratch_remove(dir);
    if (not_written_task()) {
        printf("not written: task %s\n", not_written_task());
        exit(3);
    }
    fprintf(stderr, "get_bench: %s\n", what);
    exit(1);
}

static struct slice key_of(size_t i, char text[KEY + 1])
{
    snprintf(text, KEY + 1, "key-%012zu", i);
    return slice_of(text, KEY);
}

static void set(size_t i)
{
    char key[KEY + 1], value[VALUE];

    memset(value, '.', VALUE);
    memcpy(value, key_of(i, key).ptr, KEY);
    if (store_set(store, slice_of(key, KEY), slice_of(value, VALUE)) != 0)
        fail("store_set failed");
}

static void *churn(void *unused)
{
    (void)unused;
    while (!atomic_load(&stop)) {
        for (size_t i = atomic_load(&compacted) % 2; i < keys; i += 2)
            set(i);
        if (store_compact(store) != 0)
            fail("store_compact failed");
        atomic_fetch_add(&compacted, 1);
    }
    return NULL;
}

static void get_all(size_t gets)
{
    struct buf value = { 0 };
    uint64_t random = 1;
    char key[KEY + 1];

    for (size_t i = 0; i < gets; i++) {
        struct slice k = key_of((next_random(&random) >> 32) % keys, key);

        if (store_get(store, k, &value) != 0 || value.len != VALUE ||
            memcmp(value.ptr, key, KEY) != 0)
            fail("a get went wrong");
    }
    buf_release(&value);
}

int main(int argc, char **argv)
{
    struct store_options options = { .segment_size = SEGMENT };
    size_t gets = argc > 2 ? strtoul(argv[2], NULL, 10) : 0;
    pthread_t other;

    keys = argc > 2 ? strtoul(argv[1], NULL, 10) : 0;
    if (keys < 2 || gets < 1)
        fail("usage: get_bench KEYS GETS");
    scratch_make(dir);
    if (store_open(&store, dir, &options) != 0)
        fail("store_open failed");
    for (size_t i = 0; i < keys; i++)
        set(i);
    if (store_compact(store) != 0)
        fail("store_compact failed");
    if (COMPACTING && pthread_create(&other, NULL, churn, NULL) != 0)
        fail("pthread_create failed");
    while (COMPACTING && atomic_load(&compacted) == 0)
        nanosleep(&(struct timespec){ 0, 1000000 }, NULL);
    get_all(gets / 20);     /* what was moved is in the cache again */
    uint64_t wall = clock_now_ns(), cpu = clock_thread_cpu_ns();
    unsigned before = atomic_load(&compacted);
    get_all(gets);
    wall = clock_now_ns() - wall;
    cpu = clock_thread_cpu_ns() - cpu;
    if (COMPACTING && atomic_load(&compacted) == before)
        fail("no compaction has ended meanwhile");
    atomic_store(&stop, true);
    if (COMPACTING)
        pthread_join(other, NULL);
    if (store_close(store) != 0)
        fail("store_close failed");
    scratch_remove(dir);
    printf("%.2f\t%.2f\n", (double)wall / (double)gets,
           (double)cpu / (double)gets);
    return 0;
}
