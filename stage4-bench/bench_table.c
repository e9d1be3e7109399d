/* bench_table.c -- given: what a lookup and an insert cost in the table that
 * is linked.
 *
 * Cells: 1, 2 and 4 threads; reading only, 95 % and 50 % of it; keys uniform
 * and zipf. Keys of 16 bytes, values of 100, copied out.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/args.h"
#include "common/clock.h"
#include "common/errors.h"
#include "common/lock.h"
#include "common/log.h"
#include "stage2-server/table.h"
#include "stage2-server/version.h"
#include "stage4-bench/bench_common.h"
#include "stage4-bench/meter.h"
#include "stage4-bench/workload.h"

enum { THREADS_MAX = 4, DRAWN = 1 << 14, VALUE = 100, KEY = 16, BURST = 256 };

struct options {
    unsigned keys;
    struct bench_common common;
};

/* What a thread will ask, made beforehand: so what is measured is the table,
 * and not the drawing of lots. */
struct member {
    struct table *table;
    struct work_item *items;
    char (*keys)[KEY];
    uint64_t until, done;
    pthread_t id;
    bool failed;
};

static void one(struct member *m, size_t i)
{
    struct slice key = slice_of(m->keys[i], KEY);
    char value[VALUE];

    if (m->items[i].op == WORK_GET) {
        m->failed |= table_lookup(m->table, key, value, VALUE) != VALUE;
    } else {
        memset(value, (int)i, VALUE);
        m->failed |= table_insert(m->table, key, slice_of(value, VALUE)) != 0;
    }
}

static void *work(void *arg)
{
    struct member *m = arg;

    for (size_t at = 0; clock_now_ns() < m->until; at += BURST)
        for (size_t i = 0; i < BURST; i++, m->done++)
            one(m, (at + i) % DRAWN);
    return NULL;
}

static int prepare(struct member *m, const struct workload *work,
                   struct table *table, unsigned t)
{
    struct work_stream stream;

    m->table = table;
    m->items = calloc(DRAWN, sizeof *m->items);
    m->keys = calloc(DRAWN, sizeof *m->keys);
    if (!m->items || !m->keys)
        return -ENOMEM;
    work_start(&stream, work, t, THREADS_MAX, false, false);
    for (size_t i = 0; i < DRAWN; i++) {
        char text[WORK_KEY_MAX];

        work_next(&stream, &m->items[i]);
        work_key(work, m->items[i].key, text);
        memcpy(m->keys[i], text, KEY);
    }
    return 0;
}

static int fill(struct table *table, const struct workload *work,
                unsigned keys)
{
    char text[WORK_KEY_MAX], value[VALUE] = "";
    int err = 0;

    for (unsigned i = 0; i < keys && !err; i++)
        err = table_insert(table, work_key(work, i, text),
                           slice_of(value, VALUE));
    return err;
}

static int measure(const struct options *o, struct report *report,
                   struct member *all, unsigned threads, const char *workload)
{
    struct meter meter;
    uint64_t done = 0;
    bool failed = false;

    meter_start(&meter);
    for (unsigned t = 0; t < threads; t++) {
        all[t].done = 0;
        all[t].until = clock_now_ns() + (uint64_t)(o->common.seconds * 1e9);
        lock_check(-thread_create(&all[t].id, work, &all[t]), "create");
    }
    for (unsigned t = 0; t < threads; t++) {
        thread_join(all[t].id);
        done += all[t].done;
        failed |= all[t].failed;
    }
    meter_stop(&meter);
    if (failed)
        return -EBADMSG;
    meter_report(&meter, report, "tables", workload, o->common.subject, threads,
                 "op", (double)done);
    return 0;
}

/* One mix and distribution, with 1, 2 and 4 threads. */
static int cells(const struct options *o, struct report *report,
                 unsigned get, bool zipf)
{
    struct work_options w = {
        .keys = o->keys, .key_size = KEY, .get = get, .set = 100 - get,
        .distribution = zipf ? WORK_ZIPF : WORK_UNIFORM, .theta = 0.99,
        .seed = 1,
    };
    struct member all[THREADS_MAX] = { { .table = NULL } };
    struct workload *work_ = NULL;
    struct table *table = NULL;
    char name[64];
    int err = work_create(&work_, &w, NULL);

    if (!err)
        err = table_create(&table, NULL);
    if (!err)
        err = fill(table, work_, o->keys);
    for (unsigned t = 0; t < THREADS_MAX && !err; t++)
        err = prepare(&all[t], work_, table, t);
    snprintf(name, sizeof name, "%s, %s", get == 100 ? "read" : get == 95 ?
             "95/5" : "50/50", zipf ? "zipf" : "uniform");
    for (unsigned t = 1; t <= THREADS_MAX && !err; t *= 2)
        err = measure(o, report, all, t, name);
    for (unsigned t = 0; t < THREADS_MAX; t++) {
        free(all[t].items);
        free(all[t].keys);
    }
    table_destroy(table);
    work_destroy(work_);
    return err;
}

static int run_once(const void *options, struct report *report)
{
    static const unsigned gets[] = { 100, 95, 50 };
    int err = 0;

    for (int i = 0; i < 6 && !err; i++)
        err = cells(options, report, gets[i % 3], i >= 3);
    return err;
}

static void print_text(const void *arg, const struct report *report)
{
    const char *last = "";
    char n[32];

    (void)arg;
    printf("operations a second, by threads%35s\n", "CPU ns an operation");
    printf("%-16s", "");
    for (int twice = 0; twice < 2; twice++)
        for (int t = 1; t <= 4; t *= 2)
            printf(twice ? " %7d" : " %11d", t);
    for (unsigned i = 0; i < report->n; i++) {
        const struct report_row *row = report->rows[i];
        char cpu[3][32];
        int k = 0;

        if (strcmp(row->workload, last) == 0)
            continue;
        last = row->workload;
        printf("\n%-16s", last);
        for (unsigned j = i; j < report->n; j++) {
            const struct report_row *r = report->rows[j];

            if (strcmp(r->workload, last) != 0)
                continue;
            if (strcmp(r->metric, "throughput") == 0)
                printf(" %11s", report_count(report_median(r), n));
            else if (strcmp(r->metric, "cpu") == 0 && k < 3)
                report_count(report_median(r), cpu[k++]);
        }
        for (int j = 0; j < k; j++)
            printf(" %7s", cpu[j]);
    }
    putchar('\n');
}

static int option(int key, const char *value, void *into)
{
    struct options *o = into;

    if (key == 'k')
        return args_uint(value, 1, 100000000, &o->keys);
    return bench_common_option(key, value, &o->common);
}

static const struct argp_option known[] = {
    { "keys", 'k', "N", 0, "in the table (100000)", 0 },
    BENCH_COMMON_OPTIONS("striped", "0.2"),
    { 0 },
};

static const struct args args = {
    .program = "bench-table", .version = KVS_VERSION,
    .about = "Measures what an operation costs in a table.",
    .options = known, .option = option,
};

int main(int argc, char **argv)
{
    struct options o = { .keys = 100000, .common = {
        .runs = 1, .seconds = 0.2, .subject = "striped" } };
    struct report report = { .n = 0 };
    int err;

    args_parse(&args, argc, argv, &o, NULL);
    log_setup("bench-table", LOG_LEVEL_INFO);
    err = bench_common_run(&o.common, run_once, &o, &report);
    if (err) {
        log_error("%s", err == -EBADMSG ? "a lookup or insert failed" :
                  error_text(err));
        report_release(&report);
        return 1;
    }
    return bench_common_print(&o.common, &report, print_text, NULL);
}
