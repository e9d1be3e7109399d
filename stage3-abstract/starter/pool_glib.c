/* pool_glib.c -- yours: stage 3, tasks 3.1, 3.2. */
#include <glib.h>

#include "common/not_written.h"
#include "stage1-pool/pool.h"

/* A GThreadPool, and what pool.h promises beyond it: what must be counted,
 * and who waits for which number? */
struct pool {
    GThreadPool *threads;
};

int pool_create(struct pool **out, const struct pool_options *options)
{
    /* pool_options_check(options, "glib"), then g_thread_pool_new. */
    (void)out, (void)options;
    return not_written("3.1");
}

int pool_submit(struct pool *pool, pool_job_fn *fn, void *arg)
{
    /* g_thread_pool_push never waits: who does, and for what? */
    (void)pool, (void)fn, (void)arg;
    return not_written("3.1");
}

int pool_try_submit(struct pool *pool, pool_job_fn *fn, void *arg)
{
    /* As submit, without waiting. */
    (void)pool, (void)fn, (void)arg;
    return not_written("3.1");
}

void pool_wait(struct pool *pool)
{
    /* GLib can tell how many jobs wait, and not how many run. */
    (void)pool;
    not_written("3.2");
}

void pool_destroy(struct pool *pool)
{
    /* Jobs may still submit; g_thread_pool_free must not see that. */
    (void)pool;
    not_written("3.2");
}
