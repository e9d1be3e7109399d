/* bench_pool.c -- given: what a job costs, in the pool that is linked.
 *
 * Cells: empty jobs and jobs of 1 us, from 1, 2 and 4 producers; and "submit
 * one, wait for it", whose latency counts. Each job counts itself, in a place
 * of its thread's own; a pool that loses one, or runs one twice, has measured
 * nothing.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/args.h"
#include "common/clock.h"
#include "common/counter.h"
#include "common/errors.h"
#include "common/lock.h"
#include "common/log.h"
#include "stage1-pool/pool.h"
#include "stage2-server/version.h"
#include "stage4-bench/bench_common.h"
#include "stage4-bench/hist.h"
#include "stage4-bench/meter.h"
#include "stage4-bench/trace.h"

enum { PRODUCERS_MAX = 4, TRACE_EVENTS = 200000, BURST = 32, JOB_NS = 1000 };

struct options {
    const char *pool, *trace;
    unsigned threads, capacity;
    struct bench_common common;
};

static struct {
    struct pool *pool;
    struct trace *trace;
    struct counter started, submitted, threads;
} now;

/* ---- jobs -------------------------------------------------------------- */

/* How many jobs ran: a cache line a thread (two may share one, when there are
 * very many), so that counting costs next to nothing. */
enum { PLACES = 1024 };
static _Alignas(64) struct {
    struct counter ran;
    char rest[64 - sizeof(struct counter)];
} places[PLACES];

static void count_job(void)
{
    static _Thread_local uint64_t place;

    if (place == 0)
        place = counter_add(&now.threads, 1) % PLACES + 1;
    counter_add_relaxed(&places[place - 1].ran, 1);
}

static uint64_t jobs_that_ran(void)
{
    uint64_t all = 0;

    for (int i = 0; i < PLACES; i++)
        all += counter_get(&places[i].ran);
    return all;
}

static void empty_job(void *arg)
{
    (void)arg;
    count_job();
}

static void spin_job(void *arg)
{
    uint64_t end = clock_now_ns() + JOB_NS;

    (void)arg;
    while (clock_now_ns() < end)
        ;
    count_job();
}

static void note_waiting(uint64_t at)
{
    uint64_t in = counter_get_relaxed(&now.submitted);
    uint64_t out = counter_get_relaxed(&now.started);

    /* A job may start before its submit has returned, and been counted. */
    trace_value(now.trace, "waiting", at, in > out ? in - out : 0);
}

/* A job of 20 to 200 us that says when it ran. */
static void traced_job(void *arg)
{
    uint64_t begin = clock_now_ns();
    uint64_t end = begin + 20000 + (uintptr_t)arg % 10 * 20000;

    counter_add_relaxed(&now.started, 1);
    note_waiting(begin);
    while (clock_now_ns() < end)
        ;
    trace_span(now.trace, "job", begin, clock_now_ns());
    count_job();
}

/* ---- cells ------------------------------------------------------------- */

struct producer {
    pthread_t id;
    pool_job_fn *fn;
    uint64_t until, jobs;
    int err;
};

static void *produce(void *arg)
{
    struct producer *p = arg;

    while (!p->err && clock_now_ns() < p->until)
        for (int i = 0; i < BURST && !p->err; i++) {
            p->err = pool_submit(now.pool, p->fn, NULL);
            p->jobs += p->err == 0;
        }
    return NULL;
}

static int create(const struct options *o)
{
    struct pool_options options = { o->pool, o->threads, o->capacity };

    for (int i = 0; i < PLACES; i++)
        counter_init(&places[i].ran, 0);
    return pool_create(&now.pool, &options);
}

/* A thread of its own submits, so that a pool that runs jobs in place counts,
 * too. */
static int throughput(const struct options *o, struct report *report,
                      pool_job_fn *fn, const char *what, unsigned producers)
{
    struct producer all[PRODUCERS_MAX] = { { .fn = fn } };
    struct meter meter;
    char workload[64];
    uint64_t jobs = 0;
    int err = create(o);

    if (err)
        return err;
    meter_start(&meter);
    for (unsigned i = 0; i < producers; i++) {
        all[i] = (struct producer){ .fn = fn, .until = clock_now_ns() +
                                    (uint64_t)(o->common.seconds * 1e9) };
        lock_check(-thread_create(&all[i].id, produce, &all[i]), "create");
    }
    for (unsigned i = 0; i < producers; i++) {
        thread_join(all[i].id);
        jobs += all[i].jobs;
        err = err ? err : all[i].err;
    }
    pool_wait(now.pool);
    meter_stop(&meter);
    pool_destroy(now.pool);
    if (err)
        return err;
    if (jobs_that_ran() != jobs)
        return -EBADMSG;
    snprintf(workload, sizeof workload, "%s, %u producer%s", what, producers,
             producers > 1 ? "s" : "");
    meter_report(&meter, report, "pools", workload, o->common.subject, producers,
                 "job", (double)jobs);
    return 0;
}

struct waiter {
    const struct options *options;
    struct hist *hist;
    uint64_t jobs;
    int err;
};

static void *submit_and_wait(void *arg)
{
    struct waiter *w = arg;
    uint64_t before = clock_now_ns(), after;
    uint64_t until = before + (uint64_t)(w->options->common.seconds * 1e9);

    for (; before < until && !w->err; before = after) {
        w->err = pool_submit(now.pool, empty_job, NULL);
        pool_wait(now.pool);
        after = clock_now_ns();
        hist_add(w->hist, after - before);
        w->jobs++;
    }
    return NULL;
}

static int round_trips(const struct options *o, struct report *report)
{
    static const double points[] = { 50, 99, 99.9 };
    static const char *const names[] = { "p50", "p99", "p99.9" };
    struct waiter w = { .options = o };
    struct meter meter;
    pthread_t id;
    int err = hist_create(&w.hist);

    if (!err)
        err = create(o);
    if (err) {
        hist_destroy(w.hist);
        return err;
    }
    meter_start(&meter);
    lock_check(-thread_create(&id, submit_and_wait, &w), "create");
    thread_join(id);
    meter_stop(&meter);
    pool_destroy(now.pool);
    err = w.err ? w.err : jobs_that_ran() == w.jobs ? 0 : -EBADMSG;
    if (!err)
        meter_report(&meter, report, "pools", "submit and wait", o->common.subject,
                     1, "job", (double)w.jobs);
    for (int i = 0; i < 3 && !err; i++)
        report_add(report, "pools", "submit and wait", o->common.subject, 1,
                   names[i], "ns", (double)hist_percentile(w.hist, points[i]));
    hist_destroy(w.hist);
    return err;
}

/* Bursts of jobs with pauses between them: what each thread does when, and how
 * many jobs wait. */
static void *produce_bursts(void *arg)
{
    int *err = arg;
    struct timespec nap = { 0, 5000000 };

    for (uintptr_t i = 0; i < 120 && !*err; i++) {
        *err = pool_submit(now.pool, traced_job, (void *)(i * 7));
        counter_add_relaxed(&now.submitted, 1);
        note_waiting(clock_now_ns());
        if (i % 40 == 39)
            nanosleep(&nap, NULL);
    }
    return NULL;
}

static int timeline(const struct options *o)
{
    pthread_t id;
    int err = trace_create(&now.trace, TRACE_EVENTS), failed = 0;

    if (!err)
        err = create(o);
    if (err)
        return err;
    lock_check(-thread_create(&id, produce_bursts, &failed), "create");
    thread_join(id);
    pool_wait(now.pool);
    trace_value(now.trace, "waiting", clock_now_ns(), 0);
    pool_destroy(now.pool);
    err = failed ? failed : trace_write(now.trace, o->trace, "pool thread");
    trace_destroy(now.trace);
    return err;
}

/* ---- all of it --------------------------------------------------------- */

static int run_once(const void *options, struct report *report)
{
    const struct options *o = options;
    int err = 0;

    for (unsigned producers = 1; producers <= PRODUCERS_MAX && !err;
         producers *= 2) {
        err = throughput(o, report, empty_job, "empty", producers);
        if (!err)
            err = throughput(o, report, spin_job, "1 us", producers);
    }
    return err ? err : round_trips(o, report);
}

static void print_text(const void *options, const struct report *report)
{
    const struct options *o = options;

    printf("pool %s, %u threads; medians of %u runs\n\n", o->common.subject,
           o->threads, o->common.runs);
    printf("%-20s %12s %9s %12s %12s\n", "", "jobs/s", "CPU", "switches",
           meter_knows_locks() ? "lock waits" : "");
    for (unsigned i = 0; i < report->n; i++) {
        const char *w = report->rows[i]->workload;
        char n[32], cpu[32];

        if (strcmp(report->rows[i]->metric, "throughput") != 0)
            continue;
        printf("%-20s %12s %9s %12.4f", w,
               report_count(report_find(report, w, NULL, "throughput", 0), n),
               report_time(report_find(report, w, NULL, "cpu", 0), cpu),
               report_find(report, w, NULL, "switches", 0));
        if (meter_knows_locks())
            printf(" %12.4f", report_find(report, w, NULL, "lock-waits", 0));
        putchar('\n');
    }
    puts("\nCPU, context switches and waits for a lock: of each job.");
}

static int option(int key, const char *value, void *into)
{
    struct options *o = into;

    switch (key) {
    case 'p': o->pool = value; return 0;
    case 't': return args_uint(value, 1, 1024, &o->threads);
    case 'q': return args_uint(value, 1, 1u << 20, &o->capacity);
    case 'T': o->trace = value; return 0;
    default: return bench_common_option(key, value, &o->common);
    }
}

static const struct argp_option known[] = {
    { "pool", 'p', "NAME", 0, "which pool (the build's)", 0 },
    { "threads", 't', "N", 0, "of the pool (2)", 0 },
    { "capacity", 'q', "N", 0, "of its queue (1024)", 0 },
    { "trace", 'T', "FILE", 0, "no figures: a timeline of 120 jobs, as Chrome "
      "trace events", 0 },
    BENCH_COMMON_OPTIONS("the pool", "0.3"),
    { 0 },
};

static const struct args args = {
    .program = "bench-pool", .version = KVS_VERSION,
    .about = "Measures what a job costs in a pool.",
    .options = known, .option = option,
};

int main(int argc, char **argv)
{
    struct options o = { .threads = 2, .capacity = 1024,
                         .common = { .runs = 1, .seconds = 0.3 } };
    struct report report = { .n = 0 };
    int err;

    args_parse(&args, argc, argv, &o, NULL);
    log_setup("bench-pool", LOG_LEVEL_INFO);
    if (!o.common.subject)
        o.common.subject = o.pool ? o.pool : "pool";
    err = o.trace ? timeline(&o)
                  : bench_common_run(&o.common, run_once, &o, &report);
    if (err) {
        log_error("pool %s: %s", o.common.subject, err == -EBADMSG ?
                  "not every job ran just once" : err == -ENOENT ?
                  "no such pool in this program" : error_text(err));
        report_release(&report);
        return 1;
    }
    return o.trace ? 0 : bench_common_print(&o.common, &report, print_text,
                                            &o);
}
