/* pool_bench_glib.c -- the same load on GLib's thread pool: the baseline of
 * task 1.8.
 *
 * Given.
 *
 * g_thread_pool_push has no bound; so that the two queues are of a kind, the
 * producer stands back while 1,024 jobs wait, by asking for the number of
 * unprocessed jobs every 64 pushes.
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
    static _Thread_local unsigned pushed;

    if (++pushed % 64 == 0)
        while (g_thread_pool_unprocessed(pool) >= 1024)
            g_thread_yield();
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
