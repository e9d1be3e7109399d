/* pool_bench.c -- how many empty jobs a pool runs; task 1.8.
 *
 * Given.
 *
 *     pool_bench PRODUCERS JOBS
 *
 * PRODUCERS threads submit JOBS jobs in all to a pool of two threads, which
 * is then destroyed. Prints wall-clock and CPU nanoseconds a job, separated
 * by a tab. Each job counts itself (in its thread's own count, added up when
 * the thread ends), and the total must be JOBS: a pool that drops jobs or
 * only pretends is no faster here, it fails.
 */
#include <stdio.h>
#include <stdlib.h>

#include "stage1-pool/pool.h"
#include "tests/bench.h"

static struct pool *pool;

/* So that GLib's threads end with the pool, and add their counts. */
extern void g_thread_pool_set_max_unused_threads(int) __attribute__((weak));

static void job(void *arg)
{
    bench_count(arg);
}

static void submit(void)
{
    if (pool_submit(pool, job, NULL) != 0)
        bench_fail("pool_submit failed");
}

int main(int argc, char **argv)
{
    struct bench bench;
    struct pool_options options = { POOL_NAME, 2, 1024 };

    if (g_thread_pool_set_max_unused_threads)
        g_thread_pool_set_max_unused_threads(0);
    bench_start(&bench, argc, argv);
    if (pool_create(&pool, &options) != 0)
        bench_fail("pool_create failed");
    bench_produce(&bench, submit);
    pool_destroy(pool);
    return bench_end(&bench);
}
