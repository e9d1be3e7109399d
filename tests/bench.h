/* bench.h -- the load of pool_bench, the same for every pool.
 *
 * Given. Included by one file a program.
 */
#ifndef TESTS_BENCH_H
#define TESTS_BENCH_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "common/not_written.h"

struct bench {
    size_t producers, jobs;
    double wall, cpu;
};

/* Status 3: a function that the pool needs is not written yet. */
static inline void bench_fail(const char *what)
{
    if (not_written_task()) {
        printf("not written: task %s\n", not_written_task());
        exit(3);
    }
    fprintf(stderr, "pool_bench: %s\n", what);
    exit(1);
}

/* Each thread counts for itself; its count is added when it ends. */
static atomic_size_t bench_total;
static pthread_key_t bench_key;
static _Thread_local size_t bench_own;

static inline void bench_add(void *own)
{
    atomic_fetch_add(&bench_total, *(size_t *)own);
    *(size_t *)own = 0;
}

static inline void bench_count(void *unused)
{
    (void)unused;
    if (bench_own++ == 0)
        pthread_setspecific(bench_key, &bench_own);
}

static inline double bench_clock(clockid_t clock)
{
    struct timespec t;

    clock_gettime(clock, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static inline void bench_start(struct bench *b, int argc, char **argv)
{
    b->producers = argc > 2 ? strtoul(argv[1], NULL, 10) : 0;
    b->jobs = argc > 2 ? strtoul(argv[2], NULL, 10) : 0;
    if (b->producers < 1 || b->producers > 64 || b->jobs < b->producers)
        bench_fail("usage: pool_bench PRODUCERS JOBS");
    b->jobs -= b->jobs % b->producers;
    pthread_key_create(&bench_key, bench_add);
    b->wall = bench_clock(CLOCK_MONOTONIC);
    b->cpu = bench_clock(CLOCK_PROCESS_CPUTIME_ID);
}

struct bench_producer {
    size_t jobs;
    void (*submit)(void);
};

static inline void *bench_producer_main(void *arg)
{
    struct bench_producer *p = arg;

    for (size_t i = 0; i < p->jobs; i++)
        p->submit();
    return NULL;
}

static inline void bench_produce(struct bench *b, void (*submit)(void))
{
    struct bench_producer p = { b->jobs / b->producers, submit };
    pthread_t ids[64];

    for (size_t i = 0; i < b->producers; i++)
        if (pthread_create(&ids[i], NULL, bench_producer_main, &p) != 0)
            bench_fail("pthread_create failed");
    for (size_t i = 0; i < b->producers; i++)
        pthread_join(ids[i], NULL);
}

/* A thread adds its count when it ends, which GLib does not wait for. */
static inline void bench_await(size_t jobs)
{
    struct timespec nap = { 0, 1000000 };

    for (int i = 0; i < 2000 && bench_total != jobs; i++)
        nanosleep(&nap, NULL);
}

static inline int bench_end(struct bench *b)
{
    b->wall = bench_clock(CLOCK_MONOTONIC) - b->wall;
    b->cpu = bench_clock(CLOCK_PROCESS_CPUTIME_ID) - b->cpu;
    bench_await(b->jobs);
    if (bench_total != b->jobs)
        bench_fail("not every job ran once");
    printf("%.2f\t%.2f\n", b->wall / (double)b->jobs,
           b->cpu / (double)b->jobs);
    return 0;
}

#endif
