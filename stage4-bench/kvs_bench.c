/* kvs_bench.c -- given: the main of kvs-bench. */
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/args.h"
#include "common/clock.h"
#include "common/errors.h"
#include "common/log.h"
#include "common/sock.h"
#include "stage2-server/version.h"
#include "stage4-bench/crew.h"
#include "stage4-bench/report.h"

enum { FAILED = 1 };
enum { CONNECTIONS_MAX = 20000, DEPTH_MAX = 65536, THREADS_MAX = 256 };
enum output { FOR_PEOPLE, AS_TSV, AS_JSON };

struct options {
    struct load_options load;
    struct work_options work;
    unsigned threads, runs, pid, keys, requests, column;
    double seconds, warm_up;
    const char *preset, *suite, *workload, *subject;
    bool mix_given, warm_given, verify, skip_load, progress;
    enum output output;
};

/* ---- the command line ----------------------------------------------------- */

enum {
    KEY_SIZE = 256, VALUE_SIZE, DISTRIBUTION, GET, SET, REMOVE, PRESET, SEED,
    VERIFY, SKIP_LOAD, PID, TSV, JSON, PROGRESS, TIMEOUT, SUITE, WORKLOAD,
    SUBJECT, RUNS, WARM_UP, COLUMN
};

static const struct argp_option known[] = {
    { 0, 0, 0, 0, "Whom, and how:", 1 },
    { "addr", 'a', "IP:PORT", 0, "where the server is (127.0.0.1:4000)", 1 },
    { "protocol", 'p', "NAME", 0, "kvs, or resp, as redis speaks it (kvs)", 1 },
    { "connections", 'c', "N", 0, "in all (50)", 1 },
    { "depth", 'd', "N", 0, "requests in flight on each (1)", 1 },
    { "threads", 't', "N", 0, "of the generator (1)", 1 },
    { "rate", 'r', "N", 0, "open loop: N requests a second in all, each "
      "measured from the moment it was due; without: closed loop", 1 },
    { "timeout", TIMEOUT, "MS", 0, "give up when nothing comes for so long "
      "(10000)", 1 },
    { 0, 0, 0, 0, "How long:", 2 },
    { "seconds", 's', "S", 0, "measured (10)", 2 },
    { "requests", 'n', "N", 0, "measured, in place of seconds", 2 },
    { "warm-up", WARM_UP, "S", 0, "not measured before that (a tenth)", 2 },
    { "runs", RUNS, "N", 0, "so many times; the median counts (1)", 2 },
    { 0, 0, 0, 0, "What:", 3 },
    { "keys", 'k', "N", 0, "loaded first, each once (100000)", 3 },
    { "skip-load", SKIP_LOAD, 0, 0, "they are there already", 3 },
    { "key-size", KEY_SIZE, "N", 0, "bytes (16)", 3 },
    { "value-size", VALUE_SIZE, "N[-M]", 0, "bytes, or any number between "
      "(100)", 3 },
    { "distribution", DISTRIBUTION, "D", 0, "of keys: uniform, zipf, or "
      "zipf:THETA (uniform; theta 0.99)", 3 },
    { "get", GET, "%", 0, "the mix: 100 % together (100)", 3 },
    { "set", SET, "%", 0, "", 3 },
    { "rm", REMOVE, "%", 0, "", 3 },
    { "preset", PRESET, "A|B|C|D|F", 0, "mix and distribution of YCSB", 3 },
    { "seed", SEED, "N", 0, "of all that is random (1)", 3 },
    { "verify", VERIFY, 0, 0, "check every reply against what must be there; "
      "a key is then written by one connection only", 3 },
    { 0, 0, 0, 0, "What is said:", 4 },
    { "server-pid", PID, "PID", 0, "also that process's CPU time", 4 },
    { "tsv", TSV, 0, 0, "for programs", 4 },
    { "json", JSON, 0, 0, "for programs", 4 },
    { "progress", PROGRESS, 0, 0, "a line a second, also where stderr is no "
      "terminal", 4 },
    { "suite", SUITE, "NAME", 0, "what stands in that column (kvs-bench)", 4 },
    { "workload", WORKLOAD, "NAME", 0, "so (the mix)", 4 },
    { "subject", SUBJECT, "NAME", 0, "so (the protocol)", 4 },
    { "server-threads", COLUMN, "N", 0, "so: threads (of the generator)", 4 },
    { 0 },
};

static int number(const char *text, double max, double *out)
{
    char *end;

    errno = 0;
    double n = strtod(text, &end);
    if (errno || end == text || *end || !(n > 0) || n > max
        || strspn(text, "0123456789.") != strlen(text))
        return -EINVAL;
    *out = n;
    return 0;
}

static int value_size(const char *text, struct work_options *work)
{
    char low[32];
    const char *minus = strchr(text, '-');
    size_t len = minus ? (size_t)(minus - text) : strlen(text);

    if (len >= sizeof low)
        return -EINVAL;
    memcpy(low, text, len);
    low[len] = '\0';
    int err = args_size(low, 0, 16 << 20, &work->value_min);
    if (err)
        return err;
    work->value_max = work->value_min;
    return minus ? args_size(minus + 1, work->value_min, 16 << 20,
                             &work->value_max) : 0;
}

static int distribution(const char *text, struct work_options *work)
{
    work->distribution = WORK_ZIPF;
    if (strcmp(text, "uniform") == 0)
        work->distribution = WORK_UNIFORM;
    else if (strncmp(text, "zipf:", 5) == 0)
        return number(text + 5, 0.999, &work->theta);
    else if (strcmp(text, "zipf") != 0)
        return -EINVAL;
    return 0;
}

static int mix(struct options *o, const char *value, unsigned *part)
{
    if (!o->mix_given)
        o->work.get = o->work.set = o->work.remove = 0;
    o->mix_given = true;
    return args_uint(value, 0, 100, part);
}

static int load_option(int key, const char *value, struct options *o)
{
    size_t size;
    int err;

    switch (key) {
    case 'a': return sock_parse(&o->load.addr, value);
    case 'p':
        o->load.wire = wire_find(value);
        return o->load.wire ? 0 : -EINVAL;
    case 'c': return args_uint(value, 1, CONNECTIONS_MAX,
                               &o->load.connections);
    case 'd': return args_uint(value, 1, DEPTH_MAX, &o->load.depth);
    case 't': return args_uint(value, 1, THREADS_MAX, &o->threads);
    case 'r': return number(value, 1e8, &o->load.rate);
    case TIMEOUT: return args_uint(value, 1, INT_MAX, &o->load.timeout_ms);
    case 's': return number(value, 1e6, &o->seconds);
    case 'n': return args_uint(value, 1, UINT_MAX, &o->requests);
    case WARM_UP:
        o->warm_given = true;
        o->warm_up = 0;
        return strcmp(value, "0") == 0 ? 0 : number(value, 1e6, &o->warm_up);
    case RUNS: return args_uint(value, 1, REPORT_RUNS, &o->runs);
    case COLUMN: return args_uint(value, 1, INT_MAX, &o->column);
    case PID: return args_uint(value, 1, INT_MAX, &o->pid);
    case KEY_SIZE:
        err = args_size(value, 1, WORK_KEY_MAX, &size);
        if (!err)
            o->work.key_size = size;
        return err;
    default: return -ENOENT;
    }
}

static int option(int key, const char *value, void *into)
{
    struct options *o = into;
    unsigned n = 0;
    int err = load_option(key, value, o);

    if (err != -ENOENT)
        return err;
    switch (key) {
    case 'k': return args_uint(value, 1, 1000000000, &o->keys);
    case SKIP_LOAD: o->skip_load = true; return 0;
    case VALUE_SIZE: return value_size(value, &o->work);
    case DISTRIBUTION: return distribution(value, &o->work);
    case GET: return mix(o, value, &o->work.get);
    case SET: return mix(o, value, &o->work.set);
    case REMOVE: return mix(o, value, &o->work.remove);
    case PRESET:
        o->preset = value;
        return work_preset(&o->work, value);
    case SEED:
        err = args_uint(value, 0, UINT_MAX, &n);
        o->work.seed = n;
        return err;
    case VERIFY: o->verify = true; return 0;
    case TSV: o->output = AS_TSV; return 0;
    case JSON: o->output = AS_JSON; return 0;
    case PROGRESS: o->progress = true; return 0;
    case SUITE: o->suite = value; return 0;
    case WORKLOAD: o->workload = value; return 0;
    default: o->subject = value; return 0;
    }
}

static const struct args args = {
    .program = "kvs-bench",
    .version = KVS_VERSION,
    .about = "Puts a key/value server under load, and measures."
             "\vExit status 0: all was measured, and no reply was wrong.",
    .options = known,
    .option = option,
};

/* ---- while it runs -------------------------------------------------------- */

static struct load_live live;   /* a signal raises its stop */

static void on_signal(int sig)
{
    (void)sig;
    counter_add_relaxed(&live.stop, 1);
}

struct ticker {
    const struct options *options;
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

static void tick_start(struct ticker *t, const struct options *o, bool loading)
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

/* ---- what is said --------------------------------------------------------- */

static const char *mix_text(const struct options *o, char *text, size_t size)
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

static void add(struct report *report, const struct options *o,
                const char *metric, const char *unit, double value)
{
    char text[100];

    report_add(report, o->suite, o->workload ? o->workload :
               mix_text(o, text, sizeof text),
               o->subject ? o->subject : o->load.wire->name,
               o->column ? o->column : o->threads, metric, unit, value);
}

static void add_run(struct report *report, const struct options *o,
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
    add(report, o, "client-share", "%", r->wall_ns ?
        100 * (double)r->cpu_ns / (double)r->wall_ns / o->threads : 0);
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

static void print_head(const struct options *o)
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

static void print_cpu(const struct options *o, const struct report *report)
{
    double share = found(report, "client-share");
    char n[32];

    printf("CPU       client %s ns a request (%.0f %% of its time)",
           report_count(found(report, "client-cpu"), n), share);
    if (o->pid)
        printf(", server %s ns", report_count(found(report, "server-cpu"), n));
    putchar('\n');
    if (share >= 90)
        printf("          The generator had %.0f %% of a CPU to do: it may "
               "have measured itself.\n          Try more --threads, or "
               "trust the server's CPU time only.\n", share);
}

static void print_text(const struct options *o, const struct report *report)
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

/* ---- all of it ------------------------------------------------------------ */

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

static int load_keys(const struct options *o, struct report *report)
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

static int run_once(const struct options *o, struct report *report)
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

static int measure(const struct options *o, struct report *report)
{
    int err = o->skip_load ? 0 : load_keys(o, report), first = err;

    for (unsigned i = 0; i < o->runs && (!err || err == -EBADMSG); i++) {
        err = run_once(o, report);
        first = first ? first : err;
    }
    return first;
}

static void settle(struct options *o)
{
    o->work.keys = o->keys;
    if (o->mix_given && o->preset)
        args_fail(&args, "--preset is a mix already");
    if (o->work.get + o->work.set + o->work.remove + o->work.insert
        + o->work.modify != 100)
        args_fail(&args, "--get, --set and --rm together are %u %%, not 100 %%",
                  o->work.get + o->work.set + o->work.remove);
    if (o->verify && o->skip_load)
        args_fail(&args, "--verify must load the keys itself: not with "
                  "--skip-load");
    if (o->verify && o->work.value_min < WORK_VERSION)
        args_fail(&args, "--verify needs values of %d bytes and more",
                  WORK_VERSION);
    if (o->threads > o->load.connections)
        args_fail(&args, "more --threads than --connections");
    if (o->pid && !report_cpu_of(o->pid, &(uint64_t){ 0 }))
        args_fail(&args, "--server-pid %u: no such process", o->pid);
    if (o->requests) {
        o->load.count = o->requests;
        o->load.warm_count = o->warm_given ? 0 : o->requests / 10;
        if (o->warm_given && o->warm_up > 0)
            args_fail(&args, "--warm-up is seconds: not with --requests");
    } else {
        o->load.duration_ns = (uint64_t)(o->seconds * 1e9);
        o->load.warm_ns = (uint64_t)((o->warm_given ? o->warm_up :
                                      o->seconds / 10) * 1e9);
    }
}

static int print(const struct options *o, const struct report *report)
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

static int run(struct options *o)
{
    struct report report = { .n = 0 };
    struct workload *work = NULL;
    const char *why = "out of memory";
    int err = work_create(&work, &o->work, &why);

    if (err)
        args_fail(&args, "%s", why);
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
    struct options options = {
        .load = { .wire = wire_find("kvs"), .live = &live, .connections = 50,
                  .depth = 1, .timeout_ms = 10000 },
        .work = { .key_size = 16, .value_min = 100, .value_max = 100,
                  .get = 100, .theta = 0.99, .seed = 1 },
        .threads = 1, .runs = 1, .keys = 100000, .seconds = 10,
        .suite = "kvs-bench",
    };
    struct sigaction action = { .sa_handler = on_signal,
                                .sa_flags = (int)SA_RESETHAND };

    sock_parse(&options.load.addr, "127.0.0.1:4000");
    args_parse(&args, argc, argv, &options, NULL);
    settle(&options);
    log_setup("kvs-bench", LOG_LEVEL_INFO);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    return run(&options);
}
