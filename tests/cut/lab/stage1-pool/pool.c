/* pool.c -- threads that empty a channel, with bugs planted on purpose. */
#include "stage1-pool/pool.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/lock.h"
#include "stage1-pool/channel.h"
#include "bugs.h"

struct pool {
    struct channel *jobs;
    unsigned threads;
    int *stop;
    char text[16];
    pthread_t ids[];
};

static void *worker_main(void *arg)
{
    struct pool *pool = arg;

    while (channel_recv(pool->jobs) >= 0)
        if (BUG == race_lib)
            snprintf(pool->text, sizeof pool->text, "%d", 17);
    if (BUG == race_stack)
        ++*pool->stop;
    return NULL;
}

struct pool *pool_create(unsigned threads)
{
    struct pool *pool = calloc(1, sizeof *pool + threads * sizeof *pool->ids);

    pool->jobs = channel_create(64);
    for (unsigned i = 0; i < threads; i++)
        thread_create(&pool->ids[i], worker_main, pool);
    pool->threads = threads;
    return pool;
}

int pool_submit(struct pool *pool, int item)
{
    if (BUG == null)
        pool = NULL;
    if (BUG == aborts)
        abort();
    if (BUG == past_stack) {
        int last[2] = { 0 };

        last[pool->threads]++;
        item += last[0];
    }
    return channel_send(pool->jobs, item);
}

static void wait_for(struct pool *pool)
{
    for (unsigned i = 0; i < pool->threads; i++)
        if (BUG != not_joined)
            thread_join(pool->ids[i]);
}

static void stop_them(struct pool *pool)
{
    int stop = 0;

    pool->stop = &stop;
    if (BUG != hang)
        channel_close(pool->jobs);
    if (BUG == race_stack)
        stop++;
    wait_for(pool);
}

void pool_destroy(struct pool *pool)
{
    if (BUG == race_free) {
        channel_close(pool->jobs);
        channel_destroy(pool->jobs);
        wait_for(pool);
        free(pool);
        return;
    }
    stop_them(pool);
    if (BUG == not_joined)
        usleep(50000);
    channel_destroy(pool->jobs);
    free(pool);
    if (BUG == use_after_free)
        pool->threads--;
}
