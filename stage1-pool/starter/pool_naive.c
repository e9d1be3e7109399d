/* pool_naive.c -- yours: stage 1, task 1.1. */
#include "stage1-pool/pool.h"

#include "common/not_written.h"

/* What must destroy know about the threads that submit has started? */
struct pool {
    int unused;
};

int pool_create(struct pool **out, const struct pool_options *options)
{
    /* pool_options_check(options, "naive"), allocate, initialise. */
    (void)out, (void)options;
    return not_written("1.1");
}

int pool_submit(struct pool *pool, pool_job_fn *fn, void *arg)
{
    /* Start a thread that calls fn(arg). fn and arg must outlive this call. */
    (void)pool, (void)fn, (void)arg;
    return not_written("1.1");
}

int pool_try_submit(struct pool *pool, pool_job_fn *fn, void *arg)
{
    /* This pool has no queue that could be full. */
    (void)pool, (void)fn, (void)arg;
    return not_written("1.1");
}

void pool_wait(struct pool *pool)
{
    /* Until no job runs. A job may start others while you wait. */
    (void)pool;
    not_written("1.1");
}

void pool_destroy(struct pool *pool)
{
    /* Every thread must be joined, by somebody, exactly once. */
    (void)pool;
    not_written("1.1");
}
