/* pool_bench_glib.c -- the same load on GLib's thread pool: the baseline of
 * task 1.8.
 *
 * Given.
 *
 * g_thread_pool_push has no bound, so GLib's producers never wait for room:
 * if anything that favours the baseline.
 */
#include <glib.h>

#include "tests/bench.h"

static GThreadPool *pool;

static void job(gpointer data, gpointer user_data)
{
    (void)data;
    bench_count(user_data);
}

static void submit(void)
{
    g_thread_pool_push(pool, GINT_TO_POINTER(1), NULL);
}

int main(int argc, char **argv)
{
    struct bench bench;

    bench_start(&bench, argc, argv);
    g_thread_pool_set_max_unused_threads(0);    /* so that they end, and count */
    pool = g_thread_pool_new(job, NULL, 2, TRUE, NULL);
    bench_produce(&bench, submit);
    g_thread_pool_free(pool, FALSE, TRUE);
    return bench_end(&bench);
}
