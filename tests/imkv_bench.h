/* imkv_bench.h -- the load of imkv_bench, the same for every table.
 *
 * Given. Included by one file a program.
 *
 *     imkv_bench THREADS OPERATIONS
 *
 * 10,000 keys of 16 bytes, values of 100; nine lookups to one insert, keys
 * at random. Prints wall-clock and CPU nanoseconds an operation, separated by
 * a tab. Each value begins with its key, and that is looked at: a table that
 * forgets or mixes up is no faster here, it fails.
 */
#ifndef TESTS_IMKV_BENCH_H
#define TESTS_IMKV_BENCH_H

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/not_written.h"
#include "tests/answer.h"

enum { BENCH_KEYS = 10000, BENCH_KEY = 17, BENCH_VALUE = 101 };

/* What a table has to do; bench_get copies the value to `to` or (the copy is
 * made elsewhere) answers where it is. Both end the program on an error. */
static void bench_put(char *key, char *value);
static const char *bench_get(char *key, char to[BENCH_VALUE]);

static char bench_keys[BENCH_KEYS][BENCH_KEY];

/* Status 3: a function that is needed is not written yet. */
static inline void bench_fail(const char *what)
{
    if (not_written_task()) {
        printf("not written: task %s\n", not_written_task());
        exit(3);
    }
    fprintf(stderr, "imkv_bench: %s\n", what);
    exit(1);
}

static inline double bench_clock(clockid_t clock)
{
    struct timespec t;

    clock_gettime(clock, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

struct bench_thread {
    pthread_t id;
    uint64_t random;
    size_t operations;
};

static inline void *bench_thread_main(void *arg)
{
    struct bench_thread *t = arg;
    char value[BENCH_VALUE], to[BENCH_VALUE];

    memset(value, '.', sizeof value - 1);
    value[sizeof value - 1] = '\0';
    for (size_t i = 0; i < t->operations; i++) {
        uint64_t random = next_random(&t->random);
        char *key = bench_keys[(random >> 32) % BENCH_KEYS];

        if (random % 10 == 0) {
            memcpy(value, key, BENCH_KEY - 1);
            bench_put(key, value);
        } else if (memcmp(bench_get(key, to), key, BENCH_KEY - 1) != 0) {
            bench_fail("a lookup brought another key's value");
        }
    }
    return NULL;
}

static inline void bench_fill(void)
{
    char value[BENCH_VALUE];

    memset(value, '-', sizeof value - 1);
    value[sizeof value - 1] = '\0';
    for (int i = 0; i < BENCH_KEYS; i++) {
        snprintf(bench_keys[i], BENCH_KEY, "key-%012d", i);
        memcpy(value, bench_keys[i], BENCH_KEY - 1);
        bench_put(bench_keys[i], value);
    }
}

/* After the table was made. */
static inline int bench_run(int argc, char **argv)
{
    size_t threads = argc > 2 ? strtoul(argv[1], NULL, 10) : 0;
    size_t operations = argc > 2 ? strtoul(argv[2], NULL, 10) : 0;
    struct bench_thread t[64];

    if (threads < 1 || threads > 64 || operations < threads)
        bench_fail("usage: imkv_bench THREADS OPERATIONS");
    bench_fill();
    double wall = bench_clock(CLOCK_MONOTONIC);
    double cpu = bench_clock(CLOCK_PROCESS_CPUTIME_ID);
    for (size_t i = 0; i < threads; i++) {
        t[i] = (struct bench_thread){ .random = i,
                                      .operations = operations / threads };
        if (pthread_create(&t[i].id, NULL, bench_thread_main, &t[i]) != 0)
            bench_fail("pthread_create failed");
    }
    for (size_t i = 0; i < threads; i++)
        pthread_join(t[i].id, NULL);
    wall = bench_clock(CLOCK_MONOTONIC) - wall;
    cpu = bench_clock(CLOCK_PROCESS_CPUTIME_ID) - cpu;
    printf("%.2f\t%.2f\n", wall / (double)operations,
           cpu / (double)operations);
    return 0;
}

#endif
