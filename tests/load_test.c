/* load_test.c -- the cases of tasks 4.3 and 4.4: closed loop, verifying.
 *
 * Given.
 */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/clock.h"
#include "tests/load_rig.h"

enum { MS = 1000000 };

static unsigned descriptors(void)
{
    DIR *dir = opendir("/proc/self/fd");
    unsigned n = 0;

    for (struct dirent *e; dir && (e = readdir(dir));)
        n++;
    if (dir)
        closedir(dir);
    return n;
}

/* The server's side of a connection goes a little later. */
static bool as_before(void *before)
{
    return descriptors() <= *(unsigned *)before;
}

static void expect_done(const struct load_result *r, uint64_t wanted)
{
    expect_int("measured requests that were answered", load_done(r), wanted);
    expect_int("latencies in the histogram", hist_count(r->latency), wanted);
}

/* ---- 4.3 --------------------------------------------------------------- */

static void counts(const struct run *run)
{
    struct rig *rig = rig_start((struct rig_plan){ .fault = HONEST });
    struct workload *work = rig_work(50, 60, 30, 10, run->seed);
    struct load_options o = rig_options(rig);
    struct load_result r;
    unsigned before = descriptors();

    o.work = work;
    o.count = run->size;
    expect_int("load_run", rig_run(&o, &r), 0);
    expect_soon("after load_run", "every descriptor is closed", as_before,
                &before);
    struct rig_seen seen = rig_stop(rig);
    expect_int("requests that the server saw", seen.requests, run->size);
    expect_done(&r, run->size);
    expect_int("gets", r.done[WORK_GET], seen.gets);
    expect_int("sets", r.done[WORK_SET], seen.sets);
    expect_int("removes", r.done[WORK_REMOVE], seen.removes);
    expect_true("some of each", seen.gets && seen.sets && seen.removes);
    expect_true("some were not found", r.not_found > 0
                && r.not_found < run->size);
    expect_int("errors", r.errors, 0);
    expect_true("time has passed", r.wall_ns > 0
                && hist_max(r.latency) <= r.wall_ns);
    expect_str("what was wrong", r.trouble, "");
    hist_destroy(r.latency);
    work_destroy(work);
}

/* The server waits until `depth` requests are there: who sends fewer hangs,
 * who sends more is seen. */
static void pipelined(const struct run *run)
{
    unsigned depth = 8, lanes = 3, all = (unsigned)run->size;
    struct rig *rig = rig_start((struct rig_plan){
        .hold = depth, .hold_until = all - depth * lanes });
    struct workload *work = rig_work(50, 50, 50, 0, run->seed);
    struct load_options o = rig_options(rig);
    struct load_result r;

    o.work = work;
    o.depth = depth;
    o.connections = o.of = lanes;
    o.count = all;
    o.timeout_ms = 2000;
    expect_int("load_run against a server that waits for 8 requests",
               rig_run(&o, &r), 0);
    struct rig_seen seen = rig_stop(rig);
    expect_done(&r, all);
    expect_int("requests that the server saw", seen.requests, all);
    expect_int("connections", seen.lanes, lanes);
    for (unsigned i = 0; i < lanes; i++)
        expect_true("each connection has its share",
                    seen.by_lane[i] >= depth);
    expect_int("most requests in flight on a connection", seen.most, depth);
    hist_destroy(r.latency);
    work_destroy(work);
}

static void warm_up_is_not_counted(const struct run *run)
{
    struct rig *rig = rig_start((struct rig_plan){
        .delay_ms = 30, .delayed = 10 });
    struct workload *work = rig_work(50, 50, 50, 0, run->seed);
    struct load_options o = rig_options(rig);
    struct load_result r;

    o.work = work;
    o.warm_count = 10;
    o.count = 30;
    uint64_t wall = clock_now_ns();
    expect_int("load_run, 10 slow requests and 30 quick ones",
               rig_run(&o, &r), 0);
    wall = clock_now_ns() - wall;
    struct rig_seen seen = rig_stop(rig);
    expect_int("requests that the server saw", seen.requests, 40);
    expect_done(&r, 30);
    expect_true("the warm-up's 0.3 s are not in the time measured",
                r.wall_ns + 300 * (uint64_t)MS <= wall);
    hist_destroy(r.latency);
    work_destroy(work);
}

static void by_time(const struct run *run)
{
    struct rig *rig = rig_start((struct rig_plan){
        .delay_ms = 1, .delayed = 1000000 });
    struct workload *work = rig_work(50, 50, 50, 0, run->seed);
    struct load_options o = rig_options(rig);
    struct load_result r;

    o.work = work;
    o.count = 0;
    o.warm_ns = 100 * (uint64_t)MS;
    o.duration_ns = run->size * (uint64_t)MS;
    uint64_t wall = clock_now_ns();
    expect_int("load_run by time", rig_run(&o, &r), 0);
    wall = clock_now_ns() - wall;
    struct rig_seen seen = rig_stop(rig);
    expect_true("it takes as long as it was told to",
                wall >= o.warm_ns + o.duration_ns);
    expect_true("something was measured", load_done(&r) > 0);
    expect_int("latencies in the histogram", hist_count(r.latency),
               load_done(&r));
    expect_true("and the warm-up was not", load_done(&r) < seen.requests);
    expect_true("no more than the time allows, at 1 ms a request",
                load_done(&r) <= run->size + 1);
    hist_destroy(r.latency);
    work_destroy(work);
}

static void latency_of_each(const struct run *run)
{
    struct rig *rig = rig_start((struct rig_plan){
        .delay_ms = 20, .delayed = 1000 });
    struct workload *work = rig_work(50, 50, 50, 0, run->seed);
    struct load_options o = rig_options(rig);
    struct load_result r;

    o.work = work;
    o.count = run->size;
    expect_int("load_run against a slow server", rig_run(&o, &r), 0);
    rig_stop(rig);
    expect_done(&r, run->size);
    expect_true("no request was answered before its 20 ms",
                hist_min(r.latency) >= 20 * MS);
    expect_true("the time measured is that of all of them",
                r.wall_ns >= run->size * 20 * MS);
    hist_destroy(r.latency);
    work_destroy(work);
}

static void loading(const struct run *run)
{
    struct rig *rig = rig_start((struct rig_plan){ .fault = HONEST });
    struct workload *work = rig_work(run->size, 100, 0, 0, run->seed);
    struct load_options o = rig_options(rig);
    struct load_result r;

    o.work = work;
    o.loading = true;
    o.depth = 4;
    o.of = 5;
    for (o.first = 0; o.first < 5; o.first += o.connections) {
        o.connections = o.first ? 3 : 2;
        expect_int("load_run, loading a part", rig_run(&o, &r), 0);
        hist_destroy(r.latency);
    }
    o.loading = false;
    o.first = 0;
    o.connections = o.of = 1;
    o.count = 4 * run->size;
    expect_int("load_run, gets only", rig_run(&o, &r), 0);
    struct rig_seen seen = rig_stop(rig);
    expect_int("sets", seen.sets, run->size);
    expect_int("gets", seen.gets, 4 * run->size);
    expect_int("keys that were not found", r.not_found, 0);
    hist_destroy(r.latency);
    work_destroy(work);
}

static void errors_are_counted(const struct run *run)
{
    struct rig *rig = rig_start((struct rig_plan){
        .fault = FAILS, .from = 20, .times = 7 });
    struct workload *work = rig_work(50, 50, 50, 0, run->seed);
    struct load_options o = rig_options(rig);
    struct load_result r;

    o.work = work;
    expect_int("load_run, 7 of 100 requests fail", rig_run(&o, &r), 0);
    rig_stop(rig);
    expect_done(&r, 100);
    expect_int("errors", r.errors, 7);
    expect_true("a sentence about the first", r.trouble[0] != '\0');
    hist_destroy(r.latency);
    work_destroy(work);
}

static void ends_badly(enum fault fault, unsigned timeout_ms, int wanted)
{
    struct rig *rig = rig_start((struct rig_plan){
        .fault = fault, .from = 60 });
    struct workload *work = rig_work(50, 50, 50, 0, 1);
    struct load_options o = rig_options(rig);
    struct load_result r;
    unsigned before = descriptors();

    o.work = work;
    o.timeout_ms = timeout_ms;
    int err = rig_run(&o, &r);
    if (wanted)
        expect_int("load_run", err, wanted);
    expect_true("load_run says that the server is gone", err < 0);
    expect_soon("after load_run", "every descriptor is closed", as_before,
                &before);
    rig_stop(rig);
    expect_done(&r, 60);
    hist_destroy(r.latency);
    work_destroy(work);
}

static void server_gone(const struct run *run)
{
    (void)run;
    ends_badly(HANGS_UP, 10000, 0);
}

static void server_silent(const struct run *run)
{
    ends_badly(FALLS_SILENT, (unsigned)run->size, -ETIMEDOUT);
}

static void stopped_early(const struct run *run)
{
    struct rig *rig = rig_start((struct rig_plan){ .fault = HONEST });
    struct workload *work = rig_work(50, 50, 50, 0, run->seed);
    struct load_options o = rig_options(rig);
    struct load_live live = { .answered = { 0 } };
    struct load_result r;

    o.work = work;
    o.live = &live;
    expect_int("load_run", rig_run(&o, &r), 0);
    expect_int("what others may look at", counter_get(&live.answered), 100);
    hist_destroy(r.latency);
    counter_add(&live.stop, 1);
    o.count = 1u << 30;
    expect_int("load_run, told to stop", rig_run(&o, &r), -ECANCELED);
    rig_stop(rig);
    hist_destroy(r.latency);
    work_destroy(work);
}

/* It may stand still for less than the time-out. */
static void pause_is_no_timeout(const struct run *run)
{
    struct rig *rig = rig_start((struct rig_plan){
        .pause_at = 30, .pause_ms = (unsigned)run->size });
    struct workload *work = rig_work(50, 50, 50, 0, run->seed);
    struct load_options o = rig_options(rig);
    struct load_live live = { .answered = { 0 } };
    struct load_result r;

    o.work = work;
    o.live = &live;
    expect_int("load_run against a server that pauses; the time-out is 10 s",
               rig_run(&o, &r), 0);
    rig_stop(rig);
    expect_done(&r, 100);
    expect_true("one request waited for the server",
                hist_max(r.latency) >= run->size * MS);
    hist_destroy(r.latency);
    work_destroy(work);
}

struct stopper {
    struct actor actor;
    struct load_live *live;
    uint64_t after;             /* stops when so many are answered */
    uint64_t raised;            /* and that was then */
};

static bool enough_answered(void *arg)
{
    struct stopper *s = arg;

    return counter_get(&s->live->answered) >= s->after;
}

static void raise_stop(void *arg)
{
    struct stopper *s = arg;

    wait_until(enough_answered, s);
    s->raised = clock_now_ns();
    counter_add(&s->live->stop, 1);
}

/* The server says nothing any more, so no reply wakes the load. */
static void stopped_in_silence(const struct run *run)
{
    struct rig *rig = rig_start((struct rig_plan){
        .fault = FALLS_SILENT, .from = 60 });
    struct workload *work = rig_work(50, 50, 50, 0, run->seed);
    struct load_options o = rig_options(rig);
    struct load_live live = { .answered = { 0 } };
    struct stopper stopper = { .live = &live, .after = 60 };
    struct load_result r;

    o.work = work;
    o.live = &live;
    o.timeout_ms = 4000;
    actor_start(&stopper.actor, raise_stop, &stopper);
    expect_int("load_run, told to stop while the server is silent",
               rig_run(&o, &r), -ECANCELED);
    uint64_t now = clock_now_ns();
    actor_join(&stopper.actor);
    rig_stop(rig);
    expect_done(&r, 60);
    expect_true("it looks at `stop` every 100 ms (a second at most here)",
                now - stopper.raised < 1000 * (uint64_t)MS);
    hist_destroy(r.latency);
    work_destroy(work);
}

static void bad_options(const struct run *run)
{
    struct rig *rig = rig_start((struct rig_plan){ .fault = HONEST });
    struct workload *work = rig_work(50, 50, 50, 0, run->seed);
    struct load_options o = rig_options(rig);
    struct load_result r;

    o.work = work;
    o.count = 10;
    expect_int("load_run", rig_run(&o, &r), 0);
    expect_done(&r, 10);
    hist_destroy(r.latency);
    o.connections = 0;
    expect_int("no connections", rig_run(&o, &r), -EINVAL);
    hist_destroy(r.latency);
    o.connections = 1;
    o.depth = 0;
    expect_int("no depth", rig_run(&o, &r), -EINVAL);
    hist_destroy(r.latency);
    o.depth = 1;
    rig_stop(rig);
    expect_int("nobody listens any more", rig_run(&o, &r), -ECONNREFUSED);
    expect_done(&r, 0);
    hist_destroy(r.latency);
    work_destroy(work);
}

/* ---- 4.4 --------------------------------------------------------------- */

/* Loads 50 keys and runs a mix on them, verified. */
static int verified(struct rig_plan plan, unsigned lanes, unsigned depth,
                    uint64_t count, uint64_t seed, struct load_result *r,
                    struct rig_seen *seen)
{
    struct workload *work = rig_work(50, 50, 35, 15, seed);
    struct ledger *ledger;
    plan.from += 50;
    struct rig *rig = rig_start(plan);
    struct load_options o = rig_options(rig);

    expect_int("a ledger", ledger_create(&ledger, work_key_space(work)), 0);
    o.work = work;
    o.ledger = ledger;
    o.connections = o.of = lanes;
    o.depth = depth;
    o.loading = true;
    expect_int("load_run, loading", rig_run(&o, r), 0);
    expect_int("wrong replies", r->wrong, 0);
    hist_destroy(r->latency);
    o.loading = false;
    o.count = count;
    int err = rig_run(&o, r);
    *seen = rig_stop(rig);
    ledger_destroy(ledger);
    work_destroy(work);
    return err;
}

static void honest(const struct run *run)
{
    struct load_result r;
    struct rig_seen seen;

    for (unsigned lanes = 1; lanes <= 7; lanes += 3)
        for (unsigned depth = 1; depth <= 16; depth *= 4) {
            expect_int("load_run", verified((struct rig_plan){ 0 }, lanes,
                       depth, run->size, run->seed, &r, &seen), 0);
            if (r.wrong)
                fail_case(__FILE__, __LINE__, "an honest server",
                          "no wrong reply", "%s", r.trouble);
            expect_done(&r, run->size);
            expect_str("what was wrong", r.trouble, "");
            expect_true("some were not found", r.not_found > 0
                        || run->size < 1000);
            hist_destroy(r.latency);
        }
}

/* A lie that leaves the connection in step is counted, and the run goes on. */
static void lie(enum fault fault, unsigned times, const char *what,
                const struct run *run)
{
    struct load_result r;
    struct rig_seen seen;

    expect_int(what, verified((struct rig_plan){ .fault = fault, .from = 200,
               .times = times }, 1, 4, run->size, run->seed, &r, &seen), 0);
    expect_int("how often the server lied", seen.faults, times);
    expect_true("wrong replies that were found", r.wrong >= 1);
    expect_true("a sentence about it", r.trouble[0] != '\0');
    expect_done(&r, run->size);
    hist_destroy(r.latency);
}

static void flipped_bit(const struct run *run)
{
    lie(FLIPS, 1, "a value with one wrong bit", run);
}

static void old_value(const struct run *run)
{
    lie(OLD, 1, "a value that has been overwritten", run);
}

static void other_key(const struct run *run)
{
    lie(OTHER_KEY, 1, "the value of another key", run);
}

static void missing(const struct run *run)
{
    struct load_result r;
    struct rig_seen seen;

    lie(MISSING, 1, "\"not found\" for what is there", run);
    /* Where one connection writes all the keys, no such lie can be right, also
     * when a remove of the key is on its way behind the get. */
    expect_int("\"not found\" for all that is there, 16 in flight",
               verified((struct rig_plan){ .fault = MISSING }, 1, 16,
                        run->size, run->seed, &r, &seen), 0);
    expect_true("the server lied", seen.faults >= 100);
    expect_int("each of these lies is found", r.wrong, seen.faults);
    hist_destroy(r.latency);
}

static void ghost(const struct run *run)
{
    lie(GHOST, 1, "a value that has been removed", run);
}

static void lost_set(const struct run *run)
{
    /* One alone may be overwritten before it is missed; 16 are not. */
    lie(LOSES, 16, "a set that was answered and not done", run);
}

static void false_removes(const struct run *run)
{
    lie(KEEPS, 1, "a remove of what is absent, answered \"done\"", run);
    lie(DENIES, 1, "a remove of what is there, answered \"not found\"", run);
}

/* The first request is a lie, in the warm-up: checked all the same. And with
 * many connections that read each other's keys. */
static void lies_everywhere(const struct run *run)
{
    struct load_result r;
    struct rig_seen seen;

    expect_int("a server that always flips a bit", verified((struct rig_plan){
               .fault = FLIPS }, 5, 4, run->size, run->seed, &r, &seen), 0);
    expect_int("wrong replies", r.wrong, seen.faults);
    hist_destroy(r.latency);
    expect_int("one that loses every set", verified((struct rig_plan){
               .fault = LOSES }, 5, 4, run->size, run->seed, &r, &seen), 0);
    expect_true("wrong replies, some of ten sets lost",
                r.wrong * 10 > seen.faults);
    hist_destroy(r.latency);
}

static void out_of_step(const struct run *run)
{
    static const struct {
        enum fault fault;
        const char *what, *counted, *said;
    } faults[] = {
        { WRONG_ID, "load_run, and a reply has a wrong id",
          "wrong replies counted, after a reply with a wrong id",
          "a sentence in `trouble`, after a reply with a wrong id" },
        { WRONG_KIND, "load_run, and a get is answered like a set",
          "wrong replies counted, after a get that was answered like a set",
          "a sentence in `trouble`, after a get answered like a set" },
        { EXTRA, "load_run, and a reply comes that nobody asked for",
          "wrong replies counted, after one that nobody asked for",
          "a sentence in `trouble`, after a reply that nobody asked for" },
    };
    struct load_result r;
    struct rig_seen seen;

    for (int i = 0; i < 3; i++) {
        expect_int(faults[i].what, verified((struct rig_plan){
                   .fault = faults[i].fault, .from = 200, .times = 1 }, 1, 1,
                   run->size, run->seed, &r, &seen), -EPROTO);
        expect_true(faults[i].counted, r.wrong >= 1);
        expect_true(faults[i].said, r.trouble[0] != '\0');
        expect_true("what came before is kept", load_done(&r) >= 150
                    && load_done(&r) < run->size);
        hist_destroy(r.latency);
    }
}

/* A set that failed: perhaps done, perhaps not. Both are right then. */
static void failed_is_unsure(const struct run *run)
{
    struct load_result r;
    struct rig_seen seen;

    expect_int("a server that fails now and then", verified((struct rig_plan){
               .fault = FAILS, .from = 200, .times = 20 }, 3, 4, run->size,
               run->seed, &r, &seen), 0);
    expect_int("errors", r.errors, 20);
    if (r.wrong)
        fail_case(__FILE__, __LINE__, "gets behind sets that have failed",
                  "not called wrong", "%s", r.trouble);
    hist_destroy(r.latency);
}

struct half {
    struct actor actor;
    struct load_options options;
    struct load_result result;
    int err;
};

static void run_half(void *arg)
{
    struct half *half = arg;

    half->err = rig_run(&half->options, &half->result);
}

/* Two threads, one ledger: each reads what the other writes. */
static void two_threads(const struct run *run)
{
    struct workload *work = rig_work(20, 50, 40, 10, run->seed);
    struct rig *rig = rig_start((struct rig_plan){ .fault = HONEST });
    struct half halves[2];
    struct ledger *ledger;

    expect_int("a ledger", ledger_create(&ledger, work_key_space(work)), 0);
    for (unsigned i = 0; i < 2; i++) {
        halves[i].options = rig_options(rig);
        halves[i].options.work = work;
        halves[i].options.ledger = ledger;
        halves[i].options.first = 2 * i;
        halves[i].options.connections = 2;
        halves[i].options.of = 4;
        halves[i].options.depth = 4;
        halves[i].options.count = run->size;
        actor_start(&halves[i].actor, run_half, &halves[i]);
    }
    for (int i = 0; i < 2; i++) {
        actor_join(&halves[i].actor);
        expect_int("load_run", halves[i].err, 0);
        if (halves[i].result.wrong)
            fail_case(__FILE__, __LINE__, "an honest server, two threads",
                      "no wrong reply", "%s", halves[i].result.trouble);
        expect_done(&halves[i].result, run->size);
        hist_destroy(halves[i].result.latency);
    }
    rig_stop(rig);
    ledger_destroy(ledger);
    work_destroy(work);
}

static const struct test_case closed_cases[] = {
    { "counts", counts, 2000 },
    { "pipelined", pipelined, 1200 },
    { "warm_up_is_not_counted", warm_up_is_not_counted, 1 },
    { "by_time", by_time, 200 },
    { "latency_of_each", latency_of_each, 15 },
    { "loading", loading, 1003 },
    { "errors_are_counted", errors_are_counted, 1 },
    { "server_gone", server_gone, 1 },
    { "server_silent", server_silent, 700 },
    { "stopped_early", stopped_early, 1 },
    { "stopped_in_silence", stopped_in_silence, 1 },
    { "pause_is_no_timeout", pause_is_no_timeout, 300 },
    { "bad_options", bad_options, 1 },
    { "honest", honest, 2000 },
    { "flipped_bit", flipped_bit, 1000 },
    { "old_value", old_value, 1000 },
    { "other_key", other_key, 1000 },
    { "missing", missing, 1000 },
    { "ghost", ghost, 1000 },
    { "lost_set", lost_set, 2000 },
    { "false_removes", false_removes, 1000 },
    { "lies_everywhere", lies_everywhere, 1000 },
    { "out_of_step", out_of_step, 1000 },
    { "failed_is_unsure", failed_is_unsure, 2000 },
    { "two_threads", two_threads, 3000 },
    { NULL, NULL, 0 },
};

int main(int argc, char **argv)
{
    static struct test_case all[64];
    size_t n = 0;

    for (const struct test_case *c = closed_cases; c->name; c++)
        all[n++] = *c;
    for (const struct test_case *c = load_open_cases; c->name; c++)
        all[n++] = *c;
    return driver_main(argc, argv, all);
}
