/* canary.c -- given. Small programs of known behaviour, to try the tools on.
 *
 *   canary good         two threads, a lock, a condition: every tool is silent
 *   canary race         two threads add to one variable without a lock
 *   canary leak         loses one block of memory
 *   canary threads N    N threads alive at once; prints how many there were
 *   canary cpus         wall time of two threads that count, over that of one;
 *                       about 1 with two processors, about 2 with one
 *
 * Exit status 0, or 1 when N threads could not be had. What the tools find
 * is theirs to report.
 */
#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define ROUNDS 1000
#define TRIES 5

static void must(int error, const char *what)
{
    if (error) {
        fprintf(stderr, "canary: %s: %s\n", what, strerror(error));
        exit(1);
    }
}

/* good: two threads hand a number to and fro. */

struct relay {
    pthread_mutex_t lock; /* guards turn, sum */
    pthread_cond_t turned;
    int turn;
    long sum;
};

struct runner {
    struct relay *relay;
    int me;
};

static void *run_relay(void *arg)
{
    struct runner *runner = arg;
    struct relay *relay = runner->relay;

    for (int i = 0; i < ROUNDS; i++) {
        pthread_mutex_lock(&relay->lock);
        while (relay->turn != runner->me)
            pthread_cond_wait(&relay->turned, &relay->lock);
        relay->sum++;
        relay->turn = !runner->me;
        pthread_cond_signal(&relay->turned);
        pthread_mutex_unlock(&relay->lock);
    }
    free(runner);
    return NULL;
}

static int good(void)
{
    struct relay relay = { PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0, 0 };
    pthread_t thread[2];

    for (int i = 0; i < 2; i++) {
        struct runner *runner = malloc(sizeof *runner);
        must(runner ? 0 : ENOMEM, "malloc");
        *runner = (struct runner){ &relay, i };
        must(pthread_create(&thread[i], NULL, run_relay, runner), "pthread_create");
    }
    for (int i = 0; i < 2; i++)
        must(pthread_join(thread[i], NULL), "pthread_join");
    printf("%ld\n", relay.sum);
    return relay.sum == 2 * ROUNDS ? 0 : 1;
}

/* race: volatile only so that the compiler leaves the loop as it is. */

static volatile long unguarded;

static void *add_unguarded(void *arg)
{
    for (int i = 0; i < ROUNDS; i++)
        unguarded++;
    return arg;
}

static int race(void)
{
    pthread_t thread[2];

    for (int i = 0; i < 2; i++)
        must(pthread_create(&thread[i], NULL, add_unguarded, NULL), "pthread_create");
    for (int i = 0; i < 2; i++)
        must(pthread_join(thread[i], NULL), "pthread_join");
    return 0;
}

/* leak: in a thread, so that no register of main still points to the block. */

static void *lose_block(void *arg)
{
    char *volatile block = malloc(100);

    must(block ? 0 : ENOMEM, "malloc");
    block[0] = 'x';
    block = NULL;
    return arg;
}

static int leak(void)
{
    pthread_t thread;

    must(pthread_create(&thread, NULL, lose_block, NULL), "pthread_create");
    must(pthread_join(thread, NULL), "pthread_join");
    return 0;
}

/* threads: all of them wait until the last one is there. */

static pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;

static void *wait_at_gate(void *arg)
{
    pthread_mutex_lock(&gate);
    pthread_mutex_unlock(&gate);
    return arg;
}

static int threads(int wanted)
{
    pthread_t *thread = calloc((size_t)wanted, sizeof *thread);
    pthread_attr_t small;
    int started = 0, error = 0;

    must(thread ? 0 : ENOMEM, "calloc");
    pthread_attr_init(&small);
    must(pthread_attr_setstacksize(&small, 64 * 1024), "stack size");
    pthread_mutex_lock(&gate);
    while (started < wanted && !error) {
        error = pthread_create(&thread[started], &small, wait_at_gate, NULL);
        started += !error;
    }
    pthread_mutex_unlock(&gate);
    for (int i = 0; i < started; i++)
        must(pthread_join(thread[i], NULL), "pthread_join");
    pthread_attr_destroy(&small);
    free(thread);
    printf("%d\n", started);
    return error ? 1 : 0;
}

/* cpus: the median of TRIES pairs, each measured back to back. A count is made
 * long enough that the scheduler has time to move the second thread away. */

static long count_to = 1000 * 1000;

static void *count(void *arg)
{
    volatile long n = 0;

    while (n < count_to)
        n++;
    return arg;
}

static double seconds_with(int wanted)
{
    struct timespec start, end;
    pthread_t thread[2];

    clock_gettime(CLOCK_MONOTONIC, &start);
    for (int i = 0; i < wanted; i++)
        must(pthread_create(&thread[i], NULL, count, NULL), "pthread_create");
    for (int i = 0; i < wanted; i++)
        must(pthread_join(thread[i], NULL), "pthread_join");
    clock_gettime(CLOCK_MONOTONIC, &end);
    return (double)(end.tv_sec - start.tv_sec) + (double)(end.tv_nsec - start.tv_nsec) / 1e9;
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static int cpus(void)
{
    double ratio[TRIES];

    while (seconds_with(1) < 0.030)
        count_to *= 2;
    for (int i = 0; i < TRIES; i++) {
        double one = seconds_with(1);
        ratio[i] = seconds_with(2) / one;
    }
    qsort(ratio, TRIES, sizeof *ratio, by_size);
    printf("%.2f\n", ratio[TRIES / 2]);
    return 0;
}

int main(int argc, char **argv)
{
    const char *mode = argc > 1 ? argv[1] : "";
    long wanted = argc > 2 ? strtol(argv[2], NULL, 10) : 0;

    if (!strcmp(mode, "good"))
        return good();
    if (!strcmp(mode, "race"))
        return race();
    if (!strcmp(mode, "leak"))
        return leak();
    if (!strcmp(mode, "threads") && wanted > 0 && wanted <= INT_MAX)
        return threads((int)wanted);
    if (!strcmp(mode, "cpus"))
        return cpus();
    fprintf(stderr, "usage: canary good | race | leak | threads N | cpus\n");
    return 2;
}
