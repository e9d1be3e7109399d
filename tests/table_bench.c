/* table_bench.c -- how many lookups a table does; task 5.9.
 *
 * Given. Linked once with the table of stage 5, once with that of stage 2.
 *
 *     table_bench THREADS LOOKUPS
 *
 * 50,000 keys of 16 bytes, values of 16 (what a store's index has), looked up
 * at random. Prints wall-clock and CPU nanoseconds a lookup, separated by a
 * tab. Each value is its key, and that is looked at.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/not_written.h"
#include "stage2-server/table.h"
#include "tests/answer.h"

enum { KEYS = 50000, KEY = 16, THREADS_MAX = 64 };

static char keys[KEYS][KEY + 1];
static struct table *table;

/* Status 3: a function that is needed is not written yet. */
static void fail(const char *what)
{
    if (not_written_task()) {
        printf("not written: task %s\n", not_written_task());
        exit(3);
    }
    fprintf(stderr, "table_bench: %s\n", what);
    exit(1);
}

struct thread {
    pthread_t id;
    uint64_t random;
    size_t lookups;
};

static void *look(void *arg)
{
    struct thread *t = arg;
    char value[KEY];

    for (size_t i = 0; i < t->lookups; i++) {
        const char *key = keys[(next_random(&t->random) >> 32) % KEYS];

        if (table_lookup(table, slice_of(key, KEY), value, KEY) != KEY ||
            memcmp(value, key, KEY) != 0)
            fail("a lookup went wrong");
    }
    return NULL;
}

int main(int argc, char **argv)
{
    size_t threads = argc > 2 ? strtoul(argv[1], NULL, 10) : 0;
    size_t lookups = argc > 2 ? strtoul(argv[2], NULL, 10) : 0;
    struct thread t[THREADS_MAX];

    if (threads < 1 || threads > THREADS_MAX || lookups < threads)
        fail("usage: table_bench THREADS LOOKUPS");
    if (table_create(&table, NULL) != 0)
        fail("table_create failed");
    for (int i = 0; i < KEYS; i++) {
        snprintf(keys[i], sizeof keys[i], "key-%012d", i);
        if (table_insert(table, slice_of(keys[i], KEY),
                         slice_of(keys[i], KEY)) != 0)
            fail("table_insert failed");
    }
    uint64_t wall = clock_now_ns(), cpu = clock_cpu_ns();
    for (size_t i = 0; i < threads; i++) {
        t[i] = (struct thread){ .random = i, .lookups = lookups / threads };
        if (pthread_create(&t[i].id, NULL, look, &t[i]) != 0)
            fail("pthread_create failed");
    }
    for (size_t i = 0; i < threads; i++)
        pthread_join(t[i].id, NULL);
    printf("%.2f\t%.2f\n", (double)(clock_now_ns() - wall) / (double)lookups,
           (double)(clock_cpu_ns() - cpu) / (double)lookups);
    return 0;
}
