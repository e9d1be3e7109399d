/* load_open_test.c -- the cases of task 4.5: the open loop.
 *
 * Given.
 */
#include <errno.h>

#include "common/clock.h"
#include "tests/load_rig.h"

enum { MS = 1000000 };

/* Requests that had to wait for half of the stop or longer, of 400. */
static uint64_t late(const struct hist *h, uint64_t half)
{
    uint64_t n = 0;

    for (int i = 1; i <= 400; i++)
        n += hist_percentile(h, i / 4.0) >= half;
    return n;
}

/* 500 a second for 0.8 s; the server stops for 0.4 s in the middle of it. So
 * 200 requests are due while it stands, and half of those wait for at least
 * half of that time. */
static void stall_is_seen(const struct run *run)
{
    struct rig *rig = rig_start((struct rig_plan){
        .pause_at = 100, .pause_ms = 400 });
    struct workload *work = rig_work(50, 50, 50, 0, run->seed);
    struct load_options o = rig_options(rig);
    struct load_result r;

    o.work = work;
    o.rate = 500;
    o.count = 400;
    o.connections = o.of = 2;
    o.depth = (unsigned)run->size;
    expect_int("load_run, open loop", rig_run(&o, &r), 0);
    struct rig_seen seen = rig_stop(rig);
    expect_int("requests that the server saw", seen.requests, 400);
    expect_int("requests measured", load_done(&r), 400);
    expect_int("requests never sent", r.unsent, 0);
    expect_true("the one that was in the server waited for all of it",
                hist_max(r.latency) >= 400 * MS);
    expect_true("100 of 400 requests wait for half of the stop, or longer",
                late(r.latency, 200 * MS) >= 90);
    hist_destroy(r.latency);
    work_destroy(work);
}

/* No request comes before it is due. */
static void keeps_the_rate(const struct run *run)
{
    struct rig *rig = rig_start((struct rig_plan){ .fault = HONEST });
    struct workload *work = rig_work(50, 50, 50, 0, run->seed);
    struct load_options o = rig_options(rig);
    struct load_result r;

    o.work = work;
    o.rate = 400;
    o.count = run->size;
    o.connections = o.of = 5;
    o.depth = 16;
    expect_int("load_run, open loop", rig_run(&o, &r), 0);
    struct rig_seen seen = rig_stop(rig);
    expect_int("requests that the server saw", seen.requests, run->size);
    expect_int("requests measured", load_done(&r), run->size);
    expect_true("the last comes not before it is due: 2.5 ms for each before",
                under_tool() || seen.last_ns - seen.first_ns + 100 * MS
                >= (run->size - 1) * 2500000);
    for (int i = 0; i < 5; i++)
        expect_int("requests of a connection: in turns", seen.by_lane[i],
                   run->size / 5);
    hist_destroy(r.latency);
    work_destroy(work);
}

/* One request every 20 ms is what it can do; 200 are due in 0.2 s. Another 0.6
 * s later no more are sent. */
static void too_slow(const struct run *run)
{
    struct rig *rig = rig_start((struct rig_plan){
        .delay_ms = 20, .delayed = 1000000 });
    struct workload *work = rig_work(50, 50, 50, 0, run->seed);
    struct load_options o = rig_options(rig);
    struct load_result r;

    o.work = work;
    o.rate = 1000;
    o.count = 0;
    o.timeout_ms = 600;
    o.duration_ns = 199500000;      /* the last one is due at 199 ms */
    expect_int("load_run against a server that is slower than the rate",
               rig_run(&o, &r), 0);
    struct rig_seen seen = rig_stop(rig);
    expect_true("some were answered", load_done(&r) >= 1);
    expect_int("those answered are those that the server saw", load_done(&r),
               seen.requests);
    expect_true("it gives up: most were never sent", load_done(&r) < 100);
    expect_int("answered and unsent, together", load_done(&r) + r.unsent,
               200);
    hist_destroy(r.latency);
    work_destroy(work);
}

static void open_warm_up(const struct run *run)
{
    struct rig *rig = rig_start((struct rig_plan){
        .pause_at = 1, .pause_ms = 100 });
    struct workload *work = rig_work(50, 50, 50, 0, run->seed);
    struct load_options o = rig_options(rig);
    struct load_result r;

    /* At 1,000 a second the first 100 ms are the pause. */
    o.work = work;
    o.rate = 1000;
    o.warm_count = 200;
    o.count = 100;
    o.depth = 4;
    o.connections = o.of = 3;
    expect_int("load_run, open loop with a warm-up", rig_run(&o, &r), 0);
    struct rig_seen seen = rig_stop(rig);
    expect_int("requests that the server saw", seen.requests, 300);
    expect_int("requests measured", load_done(&r), 100);
    expect_int("latencies in the histogram", hist_count(r.latency), 100);
    hist_destroy(r.latency);
    work_destroy(work);
}

/* Errors of 4.3 hold here too; and so does verifying. */
static void open_verified(const struct run *run)
{
    struct workload *work = rig_work(50, 50, 35, 15, run->seed);
    struct ledger *ledger;
    struct rig *rig = rig_start((struct rig_plan){
        .fault = FLIPS, .from = 100, .times = 1 });
    struct load_options o = rig_options(rig);
    struct load_result r;

    expect_int("a ledger", ledger_create(&ledger, work_key_space(work)), 0);
    o.work = work;
    o.ledger = ledger;
    o.connections = o.of = 3;
    o.loading = true;
    expect_int("load_run, loading", rig_run(&o, &r), 0);
    hist_destroy(r.latency);
    o.loading = false;
    o.rate = 2000;
    o.depth = 8;
    o.count = run->size;
    expect_int("load_run, open loop", rig_run(&o, &r), 0);
    rig_stop(rig);
    expect_int("requests measured", load_done(&r), run->size);
    expect_int("wrong replies", r.wrong, 1);
    hist_destroy(r.latency);
    ledger_destroy(ledger);
    work_destroy(work);
}

static void open_silent(const struct run *run)
{
    struct rig *rig = rig_start((struct rig_plan){
        .fault = FALLS_SILENT, .from = 50 });
    struct workload *work = rig_work(50, 50, 50, 0, run->seed);
    struct load_options o = rig_options(rig);
    struct load_result r;

    o.work = work;
    o.rate = 1000;
    o.count = 1000000;
    o.timeout_ms = (unsigned)run->size;
    expect_int("load_run, and the server falls silent", rig_run(&o, &r),
               -ETIMEDOUT);
    rig_stop(rig);
    expect_int("requests measured until then", load_done(&r), 50);
    hist_destroy(r.latency);
    work_destroy(work);
}

const struct test_case load_open_cases[] = {
    { "keeps_the_rate", keeps_the_rate, 200 },
    { "stall_is_seen", stall_is_seen, 4 },
    { "too_slow", too_slow, 1 },
    { "open_warm_up", open_warm_up, 1 },
    { "open_verified", open_verified, 500 },
    { "open_silent", open_silent, 700 },
    { NULL, NULL, 0 },
};
