/* contract_glib.c -- given: GLib's pool as it is, for contract_test.c. */
#include <glib.h>
#include <stdlib.h>

#include "tests/contract_test.h"

struct job {
    pool_job_fn *fn;
    void *arg;
};

static void run(gpointer data, gpointer unused)
{
    struct job job = *(struct job *)data;

    (void)unused;
    free(data);
    job.fn(job.arg);
}

static int create(void **out, const struct pool_options *options)
{
    *out = g_thread_pool_new(run, NULL, (gint)options->threads, FALSE, NULL);
    return 0;
}

static int submit(void *pool, pool_job_fn *fn, void *arg)
{
    struct job *job = malloc(sizeof *job);

    *job = (struct job){ fn, arg };
    g_thread_pool_push(pool, job, NULL);
    return 0;
}

static void destroy(void *pool)
{
    g_thread_pool_free(pool, FALSE, TRUE);
}

void glib_own_destroy_now(void *pool)
{
    g_thread_pool_free(pool, TRUE, TRUE);
}

unsigned glib_own_unprocessed(void *pool)
{
    return g_thread_pool_unprocessed(pool);
}

const struct pool_ops glib_own_ops = {
    "GThreadPool", create, submit, submit, NULL, destroy,
};
