/* clock.c -- how long this machine takes for what the cases do most: start
 * and join a thread, wake one another. Prints milliseconds; calibrate.sh
 * makes the factor of the time limits from them.
 */
#include <pthread.h>
#include <stdio.h>
#include <time.h>

enum { THREADS = 300, TURNS = 3000 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* guards turn */
static pthread_cond_t turned = PTHREAD_COND_INITIALIZER;
static int turn;

static void take_turns(int me)
{
    for (int i = 0; i < TURNS; i++) {
        pthread_mutex_lock(&lock);
        while (turn != me)
            pthread_cond_wait(&turned, &lock);
        turn = !me;
        pthread_cond_signal(&turned);
        pthread_mutex_unlock(&lock);
    }
}

static void *nothing(void *arg)
{
    return arg;
}

static void *other(void *arg)
{
    take_turns(1);
    return arg;
}

int main(void)
{
    struct timespec from, to;
    pthread_t id;

    clock_gettime(CLOCK_MONOTONIC, &from);
    for (int i = 0; i < THREADS; i++)
        if (pthread_create(&id, NULL, nothing, NULL) == 0)
            pthread_join(id, NULL);
    if (pthread_create(&id, NULL, other, NULL) == 0) {
        take_turns(0);
        pthread_join(id, NULL);
    }
    clock_gettime(CLOCK_MONOTONIC, &to);
    printf("%.1f\n", (double)(to.tv_sec - from.tv_sec) * 1e3 +
           (double)(to.tv_nsec - from.tv_nsec) / 1e6);
    return 0;
}
