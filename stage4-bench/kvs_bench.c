/* kvs_bench.c -- given: the main of kvs-bench. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/errors.h"
#include "common/log.h"
#include "common/sock.h"
#include "stage4-bench/bench_options.h"
#include "stage4-bench/crew.h"
#include "stage4-bench/report.h"

enum { FAILED = 1, BUSY = 90 };

/* ---- while it runs ----------------------------------------------------- */

static struct load_live live;   /* a signal raises its stop */

static void on_signal(int sig)
{
    (void)sig;
    counter_add_relaxed(&live.stop, 1);
}

struct ticker {
    const struct bench_options *options;
    bool shown, terminal, loading;
    uint64_t start, last, answered;
    unsigned run;
};

static void bar(const struct ticker *t, uint64_t done)
{
    char text[32];
    uint64_t of = t->options->work.keys;
    int filled = (int)(done * 30 / of);

    fprintf(stderr, "%sloading [%.*s%.*s] %3d %%  %s keys%s",
            t->terminal ? "\r\033[K" : "", filled,
            "##############################", 30 - filled,
            "..............................", (int)(done * 100 / of),
            report_count((double)done, text), t->terminal ? "" : "\n");
}

static void live_line(const struct ticker *t, uint64_t now, uint64_t done)
{
    char rate[32], all[32];

    fprintf(stderr, "%s%5.1f s  %s a second, %s in all, %llu wrong%s",
            t->terminal ? "\r\033[K" : "", (double)(now - t->start) * 1e-9,
            report_count(load_per_second(done - t->answered, now - t->last),
                         rate), report_count((double)done, all),
            (unsigned long long)counter_get_relaxed(&live.trouble),
            t->terminal ? "" : "\n");
}

static void tick(void *arg)
{
    struct ticker *t = arg;
    uint64_t now = clock_now_ns(), done = counter_get_relaxed(&live.answered);
    uint64_t pause = t->loading && t->terminal ? 100000000 : 950000000;

    if (!t->shown || now - t->last < pause)
        return;
    if (t->loading)
        bar(t, done);
    else
        live_line(t, now, done);
    t->last = now;
    t->answered = done;
}

static void tick_start(struct ticker *t, const struct bench_options *o,
                       bool loading)
{
    *t = (struct ticker){ .options = o, .loading = loading };
    t->terminal = isatty(STDERR_FILENO);
    t->shown = t->terminal || o->progress;
    t->start = t->last = clock_now_ns();
    counter_init(&live.answered, 0);
}

static void tick_end(const struct ticker *t)
{
    if (t->loading && t->shown)
        bar(t, counter_get_relaxed(&live.answered));
    if (t->terminal)
        fputs("\r\033[K", stderr);
}

/* ---- what is said ------------------------------------------------------ */

static const char *mix_text(const struct bench_options *o, char *text,
                            size_t size)
{
    const struct work_options *w = &o->work;
    const unsigned parts[] = { w->get, w->set, w->remove, w->insert,
                               w->modify };
    static const char *const names[] = { "get", "set", "rm", "insert",
                                         "read-modify-write" };
    size_t at = 0;

    text[0] = '\0';
    for (int i = 0; i < 5; i++)
        if (parts[i])
            at += (size_t)snprintf(text + at, size - at, "%s%s %u %%",
                                   at ? ", " : "", names[i], parts[i]);
    return text;
}

static void add(struct report *report, const struct bench_options *o,
                const char *metric, const char *unit, double value)
{
    char text[100];

    report_add(report, o->suite, o->workload ? o->workload :
               mix_text(o, text, sizeof text),
               o->subject ? o->subject : o->load.wire->name,
               o->column ? o->column : o->threads, metric, unit, value);
}

static void add_run(struct report *report, const struct bench_options *o,
                    const struct load_result *r, uint64_t server_ns)
{
    static const struct {
        const char *name;
        double percent;
    } points[] = { { "p50", 50 }, { "p90", 90 }, { "p99", 99 },
                   { "p99.9", 99.9 }, { "max", 100 } };
    double done = (double)load_done(r), one = done > 0 ? done : 1;

    add(report, o, "throughput", "ops/s",
        load_per_second(load_done(r), r->wall_ns));
    add(report, o, "requests", "ops", done);
    for (size_t i = 0; i < sizeof points / sizeof *points; i++)
        add(report, o, points[i].name, "ns",
            (double)hist_percentile(r->latency, points[i].percent));
    add(report, o, "mean", "ns", hist_mean(r->latency));
    add(report, o, "seconds", "s", (double)r->wall_ns * 1e-9);
    add(report, o, "client-cpu", "ns/op", (double)r->cpu_ns / one);
    add(report, o, "client-busy", "%", r->run_ns ?
        100 * (double)r->busy_ns / (double)r->run_ns : 0);
    if (o->pid)
        add(report, o, "server-cpu", "ns/op", (double)server_ns / one);
    add(report, o, "not-found", "ops", (double)r->not_found);
    add(report, o, "errors", "ops", (double)r->errors);
    add(report, o, "wrong", "ops", (double)r->wrong);
    if (o->load.rate > 0)
        add(report, o, "unsent", "ops", (double)r->unsent);
}

static double found(const struct report *report, const char *metric)
{
    return report_find(report, NULL, NULL, metric, 0);
}

static void print_head(const struct bench_options *o)
{
    char addr[SOCK_TEXT_MAX], text[100], n[32];

    printf("server    %s, protocol %s\n", sock_format(&o->load.addr, addr),
           o->load.wire->name);
    printf("load      %u connections of depth %u, %u thread%s; ",
           o->load.connections, o->load.depth, o->threads,
           o->threads > 1 ? "s" : "");
    if (o->load.rate > 0)
        printf("open loop, %s a second\n", report_count(o->load.rate, n));
    else
        puts("closed loop");
    printf("requests  %s%s%s; %s", o->preset ? "YCSB " : "",
           o->preset ? o->preset : "", o->preset ? "" :
           mix_text(o, text, sizeof text),
           o->work.distribution == WORK_UNIFORM ? "uniform" :
           o->work.distribution == WORK_ZIPF ? "zipf" : "latest first");
    if (o->work.distribution != WORK_UNIFORM)
        printf(" (%.2f)", o->work.theta);
    printf("; seed %llu\n", (unsigned long long)o->work.seed);
    printf("keys      %s of %zu bytes, values of %zu",
           report_count((double)o->work.keys, n), o->work.key_size,
           o->work.value_min);
    if (o->work.value_max > o->work.value_min)
        printf(" to %zu", o->work.value_max);
    puts("\n");
}

static void print_cpu(const struct bench_options *o,
                      const struct report *report)
{
    double busy = found(report, "client-busy");
    char n[32];

    printf("CPU       client %s ns a request, busy %.0f %% of the time",
           report_count(found(report, "client-cpu"), n), busy);
    if (o->pid)
        printf("; server %s ns", report_count(found(report, "server-cpu"), n));
    putchar('\n');
    if (busy >= BUSY)
        puts("          The generator had next to no time to wait: it may have"
             " measured\n          itself. Try more --threads, or believe the"
             " server's CPU time only.");
}

static void print_text(const struct bench_options *o,
                       const struct report *report)
{
    static const char *const points[] = { "p50", "p90", "p99", "p99.9", "max",
                                          "mean" };
    char a[32], b[32];

    print_head(o);
    printf("%s requests in %s: ", report_count(found(report, "requests"), a),
           report_time(1e9 * found(report, "seconds"), b));
    printf("%s a second%s\n", report_count(found(report, "throughput"), a),
           o->runs > 1 ? " (medians of all runs)" : "");
    printf("latency  ");
    for (int i = 0; i < 6; i++)
        printf(" %10s", points[i]);
    printf("\n         ");
    for (int i = 0; i < 6; i++)
        printf(" %10s", report_time(found(report, points[i]), a));
    putchar('\n');
    print_cpu(o, report);
    printf("replies   %s; %s wrong", o->verify ? "every one verified" :
           "only their kinds were checked (--verify)",
           report_count(found(report, "wrong"), a));
    printf(", %s errors", report_count(found(report, "errors"), a));
    printf(", %s not found\n", report_count(found(report, "not-found"), a));
    if (found(report, "unsent") > 0)
        printf("unsent    %s requests were due and never sent: the server is "
               "slower than\n          the rate\n",
               report_count(found(report, "unsent"), a));
    if (report->partial)
        puts("PARTIAL   this is what was measured until it ended early");
}

/* ---- all of it --------------------------------------------------------- */

static int fail_with(struct report *report, const char *what, int err)
{
    snprintf(report->trouble, sizeof report->trouble, "%s: %s", what,
             err == -ECONNRESET || err == -EPIPE ? "the server is gone" :
             err == -ECANCELED ? "stopped by a signal" : error_text(err));
    return err;
}

/* Sentences of the load are better than the words for its error. */
static void note(struct report *report, const struct load_result *r)
{
    if (r->trouble[0])
        snprintf(report->trouble, sizeof report->trouble, "%s", r->trouble);
}

static int load_keys(const struct bench_options *o, struct report *report)
{
    struct load_options load = o->load;
    struct load_result r = { .latency = NULL };
    struct ticker ticker;
    int err = hist_create(&r.latency);

    if (err)
        return fail_with(report, "loading", err);
    load.loading = true;
    load.rate = 0;
    load.depth = load.depth > 16 ? load.depth : 16;
    tick_start(&ticker, o, true);
    err = crew_run(&load, o->threads, tick, &ticker, &r);
    tick_end(&ticker);
    hist_destroy(r.latency);
    note(report, &r);
    if (err && !report->trouble[0])
        fail_with(report, "loading", err);
    if (!err && r.errors) {
        report->partial = true;
        return -EREMOTEIO;
    }
    return err;
}

static int run_once(const struct bench_options *o, struct report *report)
{
    struct load_result r = { .latency = NULL };
    struct ticker ticker;
    uint64_t before = 0, after = 0;
    int err = hist_create(&r.latency);

    if (err)
        return fail_with(report, "running", err);
    if (o->pid && !report_cpu_of(o->pid, &before))
        before = 0;
    tick_start(&ticker, o, false);
    err = crew_run(&o->load, o->threads, tick, &ticker, &r);
    tick_end(&ticker);
    if (o->pid && !report_cpu_of(o->pid, &after))
        after = before;
    /* The warm-up is in the server's time, too: take its part off. */
    uint64_t all = counter_get_relaxed(&live.answered), done = load_done(&r);
    double part = all ? (double)done / (double)all : 0;
    if (err)
        fail_with(report, "running", err);
    note(report, &r);
    add_run(report, o, &r, (uint64_t)((double)(after - before) * part));
    if (err || r.unsent) {
        report->partial = true;
        add(report, o, "partial", "yes/no", 1);
    }
    hist_destroy(r.latency);
    return err ? err : r.wrong || r.errors ? -EBADMSG : 0;
}

static int measure(const struct bench_options *o, struct report *report)
{
    int err = o->skip_load ? 0 : load_keys(o, report), first = err;

    for (unsigned i = 0; i < o->runs && (!err || err == -EBADMSG); i++) {
        err = run_once(o, report);
        first = first ? first : err;
    }
    return first;
}

static int print(const struct bench_options *o, const struct report *report)
{
    if (report->n == 0)
        return 0;       /* nothing was measured: the error says why */
    if (o->output == AS_TSV)
        report_tsv(report, stdout);
    else if (o->output == AS_JSON)
        report_json(report, stdout);
    else
        print_text(o, report);
    return fflush(stdout) == 0 && !ferror(stdout) ? 0 : -EIO;
}

static int run(struct bench_options *o)
{
    struct report report = { .n = 0 };
    struct workload *work = NULL;
    const char *why = "out of memory";
    int err = work_create(&work, &o->work, &why);

    if (err)
        bench_options_fail(why);
    o->load.work = work;
    if (o->verify)
        err = ledger_create(&o->load.ledger, work_key_space(work));
    if (err)
        fail_with(&report, "verifying", err);
    else
        err = measure(o, &report);
    if (print(o, &report) != 0 && !err)
        err = fail_with(&report, "writing", -EIO);
    if (err)
        log_error("%s", report.trouble[0] ? report.trouble : error_text(err));
    report_release(&report);
    ledger_destroy(o->load.ledger);
    work_destroy(work);
    return err ? FAILED : 0;
}

int main(int argc, char **argv)
{
    struct bench_options options;
    struct sigaction action = { .sa_handler = on_signal,
                                .sa_flags = (int)SA_RESETHAND };

    bench_options_read(&options, argc, argv);
    options.load.live = &live;
    log_setup("kvs-bench", LOG_LEVEL_INFO);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    return run(&options);
}
