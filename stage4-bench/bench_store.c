/* bench_store.c -- given: what the calls of store.h cost, in the store that is
 * linked, or the one that is named.
 *
 * Cells: set one by one and in random order; get at random, with 1 and 2
 * threads; sets in batches of 64; durable sets, with 1 and 16 threads; opening
 * again; the space after everything was overwritten five times; and, where the
 * store compacts, gets while nothing else happens and while it does. Every
 * value that comes back is checked.
 *
 * Making keys and values and checking them costs something, too: the cells
 * "loop of ..." are the same loops without a store.
 */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/args.h"
#include "common/clock.h"
#include "common/errors.h"
#include "common/lock.h"
#include "common/log.h"
#include "stage2-server/store.h"
#include "stage2-server/version.h"
#include "stage4-bench/bench_common.h"
#include "stage4-bench/hist.h"
#include "stage4-bench/meter.h"
#include "stage4-bench/workload.h"

enum { THREADS_MAX = 16, BATCH = 64, OVERWRITES = 5, SAMPLES = 64 };

struct options {
    const char *engine, *dir;
    unsigned keys;
    struct bench_common common;
};

struct bench {
    const struct options *options;
    struct report *report;
    struct workload *work;
    struct store *store;
    struct buf samples[SAMPLES];
    char dir[256];
};

struct member {
    struct bench *bench;
    pthread_t id;
    unsigned number;
    uint64_t until, done;
    int err;
};

/* ---- one thread's work ------------------------------------------------- */

typedef int cell_fn(struct bench *b, uint64_t key, struct buf *value);

/* Never the same value again, not in another thread either: some stores see
 * that, and write nothing. */
static int set_one(struct bench *b, uint64_t key, struct buf *value)
{
    static _Thread_local uint64_t version;
    char text[WORK_KEY_MAX];

    if (version == 0)
        version = clock_now_ns();
    int err = work_value(b->work, key, ++version, value);

    return err ? err : store_set(b->store, work_key(b->work, key, text),
                                 buf_slice(value));
}

static int get_one(struct bench *b, uint64_t key, struct buf *value)
{
    char text[WORK_KEY_MAX];
    uint64_t version;
    int err = store_get(b->store, work_key(b->work, key, text), value);

    if (!err && !work_is_value(b->work, key, buf_slice(value), &version))
        return -EBADMSG;
    return err;
}

struct crew {
    struct member members[THREADS_MAX];
    cell_fn *fn;
};

static struct crew crew;

static void *work_on(void *arg)
{
    struct member *m = arg;
    struct work_stream stream;
    struct work_item item;
    struct buf value = { 0 };

    work_start(&stream, m->bench->work, m->number, THREADS_MAX, false, false);
    while (!m->err && clock_now_ns() < m->until) {
        for (int i = 0; i < 8 && !m->err; i++, m->done++) {
            work_next(&stream, &item);
            m->err = crew.fn(m->bench, item.key, &value);
        }
    }
    buf_release(&value);
    return NULL;
}

static int cell(struct bench *b, const char *name, unsigned threads,
                cell_fn *fn)
{
    struct meter meter;
    uint64_t done = 0;
    int err = 0;

    crew.fn = fn;
    meter_start(&meter);
    for (unsigned t = 0; t < threads; t++) {
        struct member *m = &crew.members[t];

        *m = (struct member){ .bench = b, .number = t, .until =
            clock_now_ns() + (uint64_t)(b->options->common.seconds * 1e9) };
        lock_check(-thread_create(&m->id, work_on, m), "create");
    }
    for (unsigned t = 0; t < threads; t++) {
        thread_join(crew.members[t].id);
        done += crew.members[t].done;
        err = err ? err : crew.members[t].err;
    }
    meter_stop(&meter);
    if (!err)
        meter_report(&meter, b->report, "stores", name, b->options->common.subject,
                     threads, "op", (double)done);
    return err;
}

/* The loops alone. What get_one checks is looked up in a few values. */
static int set_nothing(struct bench *b, uint64_t key, struct buf *value)
{
    char text[WORK_KEY_MAX];

    work_key(b->work, key, text);
    return work_value(b->work, key, 1, value);
}

static int get_nothing(struct bench *b, uint64_t key, struct buf *value)
{
    char text[WORK_KEY_MAX];
    uint64_t version;
    struct slice sample = buf_slice(&b->samples[key % SAMPLES]);

    work_key(b->work, key, text);
    return buf_replace(value, sample) ||
           !work_is_value(b->work, key % SAMPLES, buf_slice(value), &version)
               ? -ENOMEM : 0;
}

static int loops(struct bench *b)
{
    int err = 0;

    for (uint64_t k = 0; k < SAMPLES && !err; k++)
        err = work_value(b->work, k, 1, &b->samples[k]);
    if (!err)
        err = cell(b, "loop of set", 1, set_nothing);
    if (!err)
        err = cell(b, "loop of get", 1, get_nothing);
    for (int k = 0; k < SAMPLES; k++)
        buf_release(&b->samples[k]);
    return err;
}

/* ---- cells ------------------------------------------------------------- */

static int reopen(struct bench *b, enum store_durability durability)
{
    struct store_options options = { .engine = b->options->engine,
                                     .durability = durability };
    int err = store_close(b->store);

    b->store = NULL;
    return err ? err : store_open(&b->store, b->dir, &options);
}

static int fill(struct bench *b)
{
    struct buf value = { 0 };
    struct meter meter;
    int err = 0;

    meter_start(&meter);
    for (uint64_t k = 0; k < b->options->keys && !err; k++)
        err = set_one(b, k, &value);
    meter_stop(&meter);
    buf_release(&value);
    if (!err)
        meter_report(&meter, b->report, "stores", "first set",
                     b->options->common.subject, 1, "op", b->options->keys);
    return err;
}

static int batches(struct bench *b)
{
    struct store_op ops[BATCH];
    char keys[BATCH][WORK_KEY_MAX];
    struct buf values[BATCH] = { { 0 } };
    uint64_t until = clock_now_ns() + (uint64_t)(b->options->common.seconds * 1e9);
    uint64_t done = 0;
    struct meter meter;
    int err = 0;

    meter_start(&meter);
    while (!err && clock_now_ns() < until) {
        for (int i = 0; i < BATCH && !err; i++) {
            uint64_t key = done++ * 7919 % b->options->keys;

            err = work_value(b->work, key, 2 + done, &values[i]);
            ops[i] = (struct store_op){
                .kind = STORE_SET, .key = work_key(b->work, key, keys[i]),
                .value = buf_slice(&values[i]) };
        }
        err = err ? err : store_apply(b->store, ops, BATCH);
        for (int i = 0; i < BATCH && !err; i++)
            err = ops[i].result;
    }
    meter_stop(&meter);
    for (int i = 0; i < BATCH; i++)
        buf_release(&values[i]);
    if (!err)
        meter_report(&meter, b->report, "stores", "set, batches of 64",
                     b->options->common.subject, 1, "op", (double)done);
    return err;
}

static int open_again(struct bench *b)
{
    uint64_t before;
    int err = store_close(b->store);
    struct store_options options = { .engine = b->options->engine };

    b->store = NULL;
    before = clock_now_ns();
    if (!err)
        err = store_open(&b->store, b->dir, &options);
    if (!err)
        report_add(b->report, "stores", "reopen", b->options->common.subject, 1,
                   "time", "ns", (double)(clock_now_ns() - before));
    return err;
}

/* Blocks of the files that are there: a map may be long and mostly empty. */
static double bytes_used(const char *path)
{
    double bytes = 0;
    DIR *dir = opendir(path);

    for (struct dirent *e; dir && (e = readdir(dir));) {
        char name[600];
        struct stat st;

        snprintf(name, sizeof name, "%s/%s", path, e->d_name);
        if (stat(name, &st) == 0 && S_ISREG(st.st_mode))
            bytes += (double)st.st_blocks * 512;
    }
    if (dir)
        closedir(dir);
    return bytes;
}

static int space(struct bench *b)
{
    struct buf value = { 0 };
    double live = (double)b->options->keys *
                  (double)(work_options(b->work)->key_size +
                           work_options(b->work)->value_max);
    int err = 0;

    for (int round = 0; round < OVERWRITES; round++)
        for (uint64_t k = 0; k < b->options->keys && !err; k++)
            err = set_one(b, k, &value);
    buf_release(&value);
    if (!err)
        err = store_compact(b->store);
    if (err == -EOPNOTSUPP || err == -ENOSYS)
        err = 0;        /* an engine that has nothing to compact */
    if (!err)
        report_add(b->report, "stores", "space after 5x overwrite",
                   b->options->common.subject, 1, "space", "x live",
                   bytes_used(b->dir) / live);
    return err;
}

/* ---- gets beside compactions --------------------------------------------- */

struct disturber {
    struct bench *bench;
    pthread_t id;
    pthread_mutex_t lock;       /* guards stop */
    bool stop;
    unsigned rounds;
    int err;
};

static bool stopped(struct disturber *d)
{
    pthread_mutex_lock(&d->lock);
    bool stop = d->stop;
    pthread_mutex_unlock(&d->lock);
    return stop;
}

/* A tenth of the keys anew, and then a compaction, again and again. */
static void *disturb(void *arg)
{
    struct disturber *d = arg;
    struct bench *b = d->bench;
    struct buf value = { 0 };

    while (!d->err && !stopped(d)) {
        for (uint64_t k = 0; k < b->options->keys / 10 && !d->err; k++)
            d->err = set_one(b, k * 7919 % b->options->keys, &value);
        if (!d->err)
            d->err = store_compact(b->store);
        d->rounds++;
    }
    buf_release(&value);
    return NULL;
}

/* Gets, one after the other, and how long each took. */
static int timed_gets(struct bench *b, const char *name)
{
    uint64_t end = clock_now_ns() + (uint64_t)(b->options->common.seconds *
                                               2e9);
    struct hist *hist;
    struct buf value = { 0 };
    uint64_t done = 0, began = clock_now_ns(), before = began, now = began;
    int err = hist_create(&hist);

    if (err)
        return err == -ENOSYS ? 0 : err;    /* not written yet */
    for (; !err && now < end; before = now, done++) {
        err = get_one(b, done * 7919 % b->options->keys, &value);
        now = clock_now_ns();
        hist_add(hist, now - before);
    }
    buf_release(&value);
    if (!err) {
        report_add(b->report, "stores", name, b->options->common.subject, 1,
                   "throughput", "op/s",
                   (double)done * 1e9 / (double)(now - began));
        report_add(b->report, "stores", name, b->options->common.subject, 1,
                   "p99", "ns", (double)hist_percentile(hist, 99));
    }
    hist_destroy(hist);
    return err;
}

static int beside_compactions(struct bench *b)
{
    struct store_stats stats = { .compactions = 0 };

    store_stats(b->store, &stats);
    if (stats.compactions == 0)
        return 0;               /* one that does not compact */
    struct disturber d = { .bench = b };
    int err = timed_gets(b, "get, quiet");
    if (err)
        return err;
    mutex_init(&d.lock);
    lock_check(-thread_create(&d.id, disturb, &d), "create");
    err = timed_gets(b, "get, compacting");
    mutex_lock(&d.lock);
    d.stop = true;
    mutex_unlock(&d.lock);
    thread_join(d.id);
    mutex_release(&d.lock);
    return err ? err : d.err;
}

static void memory(struct bench *b)
{
    struct store_stats stats = { .keys = 0 };

    store_stats(b->store, &stats);
    if (stats.keys && stats.index_bytes)
        report_add(b->report, "stores", "memory", b->options->common.subject,
                   1, "index", "bytes/key",
                   (double)stats.index_bytes / (double)stats.keys);
}

/* Is what was set still there after closing and opening? */
static bool remembers(struct bench *b)
{
    struct buf value = { 0 };
    int err = get_one(b, 0, &value);

    buf_release(&value);
    return err != -ENOENT;
}

/* A store that forgets has nothing durable to measure. */
static int all_cells(struct bench *b)
{
    int err = loops(b);

    if (!err) err = fill(b);
    if (!err) err = cell(b, "random get", 1, get_one);
    if (!err) err = cell(b, "random get", 2, get_one);
    if (!err) err = cell(b, "random set", 1, set_one);
    if (!err) err = batches(b);
    if (!err) err = reopen(b, STORE_ALWAYS);
    if (!err && !remembers(b))
        return 0;
    if (!err) err = cell(b, "durable set", 1, set_one);
    if (!err) err = cell(b, "durable set", 16, set_one);
    if (!err) err = reopen(b, STORE_NONE);
    if (!err) err = space(b);
    if (!err) err = beside_compactions(b);
    if (!err) err = open_again(b);
    if (!err) memory(b);
    return err;
}

static void remove_dir(const char *path)
{
    DIR *dir = opendir(path);

    for (struct dirent *e; dir && (e = readdir(dir));) {
        char name[600];

        snprintf(name, sizeof name, "%s/%s", path, e->d_name);
        unlink(name);
    }
    if (dir)
        closedir(dir);
    rmdir(path);
}

static int run_once(const void *options_, struct report *report)
{
    const struct options *o = options_;
    struct work_options w = { .keys = o->keys, .key_size = 16,
                              .value_min = 100, .value_max = 100, .get = 100,
                              .seed = 1 };
    struct bench b = { .options = o, .report = report };
    struct store_options options = { .engine = o->engine };
    int err = work_create(&b.work, &w, NULL);

    snprintf(b.dir, sizeof b.dir, "%s/bench-store.XXXXXX", o->dir);
    if (!err && !mkdtemp(b.dir))
        err = -errno;
    if (err) {
        work_destroy(b.work);
        return err;
    }
    err = store_open(&b.store, b.dir, &options);
    if (!err)
        err = all_cells(&b);
    if (b.store) {
        int last = store_close(b.store);
        err = err ? err : last;
    }
    remove_dir(b.dir);
    work_destroy(b.work);
    return err;
}

static void print_text(const void *arg, const struct report *report)
{
    (void)arg;
    printf("%-28s %8s %14s %12s\n", "", "threads", "a second", "CPU");
    for (unsigned i = 0; i < report->n; i++) {
        const struct report_row *row = report->rows[i];
        double value = report_median(row);
        char n[32];

        if (strcmp(row->metric, "throughput") == 0)
            printf("%-28s %8u %14s", row->workload, row->threads,
                   report_count(value, n));
        else if (strcmp(row->metric, "cpu") == 0)
            printf(" %12s\n", report_time(value, n));
        else if (strcmp(row->metric, "p99") == 0)
            printf(" %8s p99\n", report_time(value, n));
        else if (strcmp(row->metric, "index") == 0)
            printf("%-28s %8s %12.1f bytes a key\n", row->workload, "", value);
        else if (strcmp(row->metric, "time") == 0)
            printf("%-28s %8s %14s\n", row->workload, "",
                   report_time(value, n));
        else if (strcmp(row->metric, "space") == 0)
            printf("%-28s %8s %12.2f x live data\n", row->workload, "", value);
    }
}

static int option(int key, const char *value, void *into)
{
    struct options *o = into;

    switch (key) {
    case 'e': o->engine = value; return 0;
    case 'd': o->dir = value; return 0;
    case 'k': return args_uint(value, 1, 100000000, &o->keys);
    default: return bench_common_option(key, value, &o->common);
    }
}

static const struct argp_option known[] = {
    { "engine", 'e', "NAME", 0, "which store (the build's)", 0 },
    { "dir", 'd', "PATH", 0, "where; a new directory is made in it, and "
      "removed (/tmp)", 0 },
    { "keys", 'k', "N", 0, "(50000)", 0 },
    BENCH_COMMON_OPTIONS("the engine", "0.3"),
    { 0 },
};

static const struct args args = {
    .program = "bench-store", .version = KVS_VERSION,
    .about = "Measures what the calls of a store cost.",
    .options = known, .option = option,
};

int main(int argc, char **argv)
{
    struct options o = { .keys = 50000, .dir = "/tmp",
                         .common = { .runs = 1, .seconds = 0.3 } };
    struct report report = { .n = 0 };
    int err;

    args_parse(&args, argc, argv, &o, NULL);
    log_setup("bench-store", LOG_LEVEL_WARN);
    if (!o.common.subject)
        o.common.subject = o.engine ? o.engine : "kvs";
    err = bench_common_run(&o.common, run_once, &o, &report);
    if (err) {
        bool unknown = o.engine && (err == -EINVAL || err == -ENOENT);

        log_error("store %s: %s", o.common.subject, unknown ?
                  "no such engine in this program" : error_text(err));
        report_release(&report);
        return 1;
    }
    return bench_common_print(&o.common, &report, print_text, NULL);
}
