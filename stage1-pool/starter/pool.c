/* pool.c -- yours: stage 1, tasks 1.5-1.7. */
#include "stage1-pool/pool.h"

#include "common/not_written.h"
#include "stage1-pool/channel.h"

/* A channel of jobs, the threads that receive from it, and whatever wait
 * needs to know that nothing is queued and nothing runs. */
struct pool {
    int unused;
};

int pool_create(struct pool **out, const struct pool_options *options)
{
    /* pool_options_check first. If the k-th thread cannot be started, the
     * k - 1 before it must be gone when you answer. */
    (void)out, (void)options;
    return not_written("1.5");
}

int pool_submit(struct pool *pool, pool_job_fn *fn, void *arg)
{
    /* Send the job. Task 1.7: what if the caller is one of your threads? */
    (void)pool, (void)fn, (void)arg;
    return not_written("1.5");
}

int pool_try_submit(struct pool *pool, pool_job_fn *fn, void *arg)
{
    /* As submit, without waiting. */
    (void)pool, (void)fn, (void)arg;
    return not_written("1.5");
}

void pool_wait(struct pool *pool)
{
    /* An empty queue is not enough: the last job may still be running. */
    (void)pool;
    not_written("1.6");
}

void pool_destroy(struct pool *pool)
{
    /* Run what is queued, end and join the threads, free; NULL is allowed. */
    (void)pool;
    not_written("1.6");
}
