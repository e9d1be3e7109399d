/* pool_steal.c -- yours: stage 3, task 3.7. */
#include "stage1-pool/pool.h"

#include "common/not_written.h"

/* A deque of jobs for each thread, with a lock of its own. What do submit,
 * wait and a thread that finds nothing need to know of all of them? */
struct pool {
    int unused;
};

int pool_create(struct pool **out, const struct pool_options *options)
{
    /* pool_options_check(options, "steal"), deques, threads. */
    (void)out, (void)options;
    return not_written("3.7");
}

int pool_submit(struct pool *pool, pool_job_fn *fn, void *arg)
{
    /* Which deque? One of the caller's own, if it is one of your threads. */
    (void)pool, (void)fn, (void)arg;
    return not_written("3.7");
}

int pool_try_submit(struct pool *pool, pool_job_fn *fn, void *arg)
{
    /* As submit, without waiting. */
    (void)pool, (void)fn, (void)arg;
    return not_written("3.7");
}

void pool_wait(struct pool *pool)
{
    /* Nothing in any deque, and nothing running: at one moment. */
    (void)pool;
    not_written("3.7");
}

void pool_destroy(struct pool *pool)
{
    /* As in pool.c. */
    (void)pool;
    not_written("3.7");
}
