/* hist_test.c -- the cases of tasks 4.1 and 4.2.
 *
 * Given.
 */
#include <errno.h>
#include <malloc.h>
#include <stdint.h>
#include <stdlib.h>

#include "stage4-bench/hist.h"
#include "tests/driver.h"

static const double points[] = { 0.1, 1, 10, 25, 50, 75, 90, 95, 99, 99.9,
                                 99.99 };
enum { POINTS = sizeof points / sizeof *points };

static struct hist *made(void)
{
    struct hist *h = NULL;

    expect_int("hist_create", hist_create(&h), 0);
    expect_true("hist_create sets *out", h != NULL);
    return h;
}

static int by_size(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return (x > y) - (x < y);
}

/* The same by the definition in hist.h, without rounding: per cent times ten
 * thousand, as whole numbers. */
static uint64_t exact(const uint64_t *sorted, size_t n, double percent)
{
    uint64_t part = (uint64_t)(percent * 10000 + 0.5);
    uint64_t rank = ((uint64_t)n * part + 999999) / 1000000;

    return sorted[rank > 0 ? rank - 1 : 0];
}

static void expect_near(const char *tried, uint64_t got, uint64_t wanted)
{
    uint64_t slack = wanted / 100 > 1 ? wanted / 100 : 1;

    if (got > wanted + slack || got + slack < wanted)
        fail_case(__FILE__, __LINE__, tried, "within 1 % of what it is",
                  "%llu for %llu", (unsigned long long)got,
                  (unsigned long long)wanted);
}

/* Numbers of all sizes: first how many bits, then which. */
static uint64_t any_size(uint64_t *random)
{
    unsigned bits = (unsigned)(next_random(random) % 63) + 1;

    return next_random(random) >> (64 - bits);
}

/* Like latencies: most near to each other, some far above. */
static uint64_t latency(uint64_t *random)
{
    uint64_t base = 50000 + next_random(random) % 20000;

    return next_random(random) % 100 == 0 ? base * 100 : base;
}

static void expect_answers(const struct hist *h, uint64_t *values, size_t n)
{
    long double sum = 0;

    qsort(values, n, sizeof *values, by_size);
    for (size_t i = 0; i < n; i++)
        sum += (long double)values[i];
    expect_int("hist_count", hist_count(h), n);
    expect_int("hist_min", hist_min(h), values[0]);
    expect_int("hist_max", hist_max(h), values[n - 1]);
    double mean = (double)(sum / (long double)n);
    expect_true("hist_mean, against the sum", hist_mean(h) > mean * 0.999999
                && hist_mean(h) < mean * 1.000001);
    for (int p = 0; p < POINTS; p++)
        expect_near("hist_percentile, against the sorted values",
                    hist_percentile(h, points[p]),
                    exact(values, n, points[p]));
    expect_int("0 % is the least", hist_percentile(h, 0), values[0]);
    expect_int("100 % is the most", hist_percentile(h, 100), values[n - 1]);
}

static void one_value(const struct run *run)
{
    struct hist *h = made();
    uint64_t value = 123456789;

    (void)run;
    hist_add(h, value);
    expect_answers(h, &value, 1);
    hist_destroy(h);
    hist_destroy(NULL);
}

static void every_size(const struct run *run)
{
    /* One value at a time, so that no other can hide it. */
    uint64_t random = run->seed;

    for (size_t i = 0; i < run->size; i++) {
        struct hist *h = made();
        uint64_t value = any_size(&random);

        hist_add(h, value / 3);
        hist_add(h, value);
        hist_add(h, value);
        hist_add(h, INT64_MAX);
        expect_near("the middle of four values", hist_percentile(h, 50),
                    value);
        expect_near("and the next one", hist_percentile(h, 75), value);
        hist_destroy(h);
    }
}

/* What malloc has given out and not got back; 0 under a tool. */
static size_t heap_used(void)
{
    struct mallinfo2 m = mallinfo2();

    return under_tool() ? 0 : m.uordblks + m.hblkhd;
}

static void filled(const struct run *run, uint64_t (*draw)(uint64_t *))
{
    uint64_t *values = calloc(run->size, sizeof *values), random = run->seed;
    size_t before = heap_used();
    struct hist *h = made();

    for (size_t i = 0; i < run->size; i++) {
        values[i] = draw(&random);
        hist_add(h, values[i]);
    }
    expect_true("a histogram has at most 256 KiB, whatever was added",
                heap_used() <= before + (256 << 10) + 4096);
    expect_answers(h, values, run->size);
    hist_destroy(h);
    free(values);
}

static void many_sizes(const struct run *run)
{
    filled(run, any_size);
}

static void latencies(const struct run *run)
{
    filled(run, latency);
}

/* Where the buckets become wider is where one is easily off. */
static void borders(const struct run *run)
{
    (void)run;
    for (unsigned bit = 0; bit < 63; bit++)
        for (int off = -2; off <= 2; off++) {
            int64_t value = (int64_t)((UINT64_C(1) << bit) + (uint64_t)off);
            struct hist *h;

            if (value < 0)
                continue;
            h = made();
            for (int i = 0; i < 3; i++)
                hist_add(h, (uint64_t)value);
            hist_add(h, 0);
            hist_add(h, INT64_MAX);
            expect_near("the middle of five values, three of them alike",
                        hist_percentile(h, 50), (uint64_t)value);
            hist_destroy(h);
        }
}

static void ranks(const struct run *run)
{
    struct hist *h = made();

    for (size_t i = 1; i <= run->size; i++)
        hist_add(h, 1000000 * i);
    expect_near("p50 of 1 .. 1000 ms", hist_percentile(h, 50), 500000000);
    expect_near("p99 of 1 .. 1000 ms", hist_percentile(h, 99), 990000000);
    expect_near("p99.9 of 1 .. 1000 ms", hist_percentile(h, 99.9), 999000000);
    hist_destroy(h);
    h = made();
    for (int i = 0; i < 999; i++)
        hist_add(h, 10);
    hist_add(h, 1000000);
    expect_int("p99.9 of 999 small values and a large one",
               hist_percentile(h, 99.9), 10);
    expect_int("p99.91 of them", hist_percentile(h, 99.91), 1000000);
    hist_destroy(h);
}

static void empty(const struct run *run)
{
    struct hist *h = made();

    (void)run;
    expect_int("the count of nothing", hist_count(h), 0);
    expect_int("its least", hist_min(h), 0);
    expect_int("its most", hist_max(h), 0);
    expect_int("a percentile of it", hist_percentile(h, 99), 0);
    expect_true("its mean", hist_mean(h) >= 0 && hist_mean(h) <= 0);
    hist_add(h, 0);
    expect_int("the count with a 0 in it", hist_count(h), 1);
    expect_int("its median", hist_percentile(h, 50), 0);
    hist_destroy(h);
}

/* ---- 4.2 ---------------------------------------------------------------- */

/* Parts are filled and merged; one has seen everything itself. */
static void merged(const struct run *run)
{
    enum { PARTS = 4 };
    struct hist *parts[PARTS], *all = made(), *sum = made();
    uint64_t *values = calloc(run->size, sizeof *values), random = run->seed;

    for (int p = 0; p < PARTS; p++)
        parts[p] = made();
    for (size_t i = 0; i < run->size; i++) {
        /* Each part has sizes of its own. */
        size_t p = next_random(&random) % PARTS;

        values[i] = any_size(&random) >> 12 * p;
        hist_add(all, values[i]);
        hist_add(parts[p], values[i]);
    }
    for (int p = 0; p < PARTS; p++)
        hist_merge(sum, parts[p]);
    expect_answers(sum, values, run->size);
    for (double p = 0; p <= 100; p += 0.25)
        expect_int("a percentile, merged and recorded together",
                   hist_percentile(sum, p), hist_percentile(all, p));
    for (int p = 0; p < PARTS; p++)
        hist_destroy(parts[p]);
    hist_destroy(all);
    hist_destroy(sum);
    free(values);
}

static void merge_leaves_from(const struct run *run)
{
    struct hist *from = made(), *into = made();

    (void)run;
    hist_add(from, 100);
    hist_add(from, 300);
    hist_add(into, 5000);
    hist_merge(into, from);
    expect_int("the count of both", hist_count(into), 3);
    expect_int("the least of both", hist_min(into), 100);
    expect_int("the most of both", hist_max(into), 5000);
    expect_int("the count of what was merged", hist_count(from), 2);
    expect_int("its most", hist_max(from), 300);
    hist_add(from, 7);
    expect_int("what is added to it later", hist_count(into), 3);
    hist_destroy(from);
    hist_destroy(into);
}

static void merge_empty(const struct run *run)
{
    struct hist *a = made(), *b = made();

    (void)run;
    hist_add(a, 40);
    hist_merge(a, b);
    expect_int("the count, with nothing merged in", hist_count(a), 1);
    expect_int("its least", hist_min(a), 40);
    hist_merge(b, a);
    expect_int("the count of nothing, and one merged in", hist_count(b), 1);
    expect_int("its least", hist_min(b), 40);
    expect_int("its most", hist_max(b), 40);
    hist_destroy(a);
    hist_destroy(b);
}

static const struct test_case cases[] = {
    { "one_value", one_value, 1 },
    { "every_size", every_size, 2000 },
    { "many_sizes", many_sizes, 100000 },
    { "latencies", latencies, 100000 },
    { "borders", borders, 1 },
    { "ranks", ranks, 1000 },
    { "empty", empty, 1 },
    { "merged", merged, 40000 },
    { "merge_leaves_from", merge_leaves_from, 1 },
    { "merge_empty", merge_empty, 1 },
    { NULL, NULL, 0 },
};

int main(int argc, char **argv)
{
    return driver_main(argc, argv, cases);
}
