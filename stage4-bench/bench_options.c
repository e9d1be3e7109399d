/* bench_options.c -- given. */
#include "stage4-bench/bench_options.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "common/args.h"
#include "common/sock.h"
#include "stage2-server/version.h"
#include "stage4-bench/report.h"

enum { CONNECTIONS_MAX = 20000, DEPTH_MAX = 65536, THREADS_MAX = 256 };

/* ---- the command line -------------------------------------------------- */

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

static int mix(struct bench_options *o, const char *value, unsigned *part)
{
    if (!o->mix_given)
        o->work.get = o->work.set = o->work.remove = 0;
    o->mix_given = true;
    return args_uint(value, 0, 100, part);
}

static int load_option(int key, const char *value, struct bench_options *o)
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
    struct bench_options *o = into;
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

static void settle(struct bench_options *o)
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

void bench_options_fail(const char *why)
{
    args_fail(&args, "%s", why);
}

void bench_options_read(struct bench_options *options, int argc, char **argv)
{
    *options = (struct bench_options){
        .load = { .wire = wire_find("kvs"), .connections = 50, .depth = 1,
                  .timeout_ms = 10000 },
        .work = { .key_size = 16, .value_min = 100, .value_max = 100,
                  .get = 100, .theta = 0.99, .seed = 1 },
        .threads = 1, .runs = 1, .keys = 100000, .seconds = 10,
        .suite = "kvs-bench",
    };
    sock_parse(&options->load.addr, "127.0.0.1:4000");
    args_parse(&args, argc, argv, options, NULL);
    settle(options);
}
