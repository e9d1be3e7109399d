/* bench_given_test.c -- the given code of stage 4: workloads, ledger, wire,
 * figures.
 *
 * Given.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "stage4-bench/ledger.h"
#include "stage4-bench/report.h"
#include "stage4-bench/wire.h"
#include "stage4-bench/workload.h"
#include "tests/driver.h"

static const struct work_options plain = {
    .keys = 1000, .key_size = 12, .value_min = 100, .value_max = 100,
    .get = 100, .theta = 0.99, .seed = 1,
};

static struct workload *made(const struct work_options *o)
{
    struct workload *work = NULL;
    const char *why = "";

    if (work_create(&work, o, &why) != 0)
        fail_case(__FILE__, __LINE__, "work_create", "0", "%s", why);
    return work;
}

/* ---- workloads --------------------------------------------------------- */

static void bad_options(const struct run *run)
{
    struct work_options o[8];
    struct workload *work = NULL;
    const char *why;

    (void)run;
    for (int i = 0; i < 8; i++)
        o[i] = plain;
    o[0].keys = 0;
    o[1].key_size = 2;
    o[2].key_size = WORK_KEY_MAX + 1;
    o[3].value_min = 101;
    o[4].get = 99;
    o[5].set = 1;
    o[6].theta = 1;
    o[7].theta = -0.1;
    work_destroy(made(&plain));
    for (int i = 0; i < 8; i++) {
        why = NULL;
        expect_int("options that cannot be", work_create(&work, &o[i], &why),
                   -EINVAL);
        expect_true("why not", why && *why);
    }
    expect_true("*out is untouched", !work);
    expect_int("no such preset", work_preset(&o[0], "E"), -EINVAL);
    expect_int("no such preset", work_preset(&o[0], "AB"), -EINVAL);
    expect_int("no such preset", work_preset(&o[0], ""), -EINVAL);
}

static void presets(const struct run *run)
{
    static const char *const names[] = { "A", "B", "C", "D", "F" };
    static const unsigned sets[] = { 500, 50, 0, 50, 333 };

    for (int i = 0; i < 5; i++) {
        struct work_options o = plain;
        struct work_stream stream;
        struct work_item item;
        unsigned n[WORK_OPS] = { 0 }, wanted = sets[i];

        expect_int("work_preset", work_preset(&o, names[i]), 0);
        struct workload *work = made(&o);
        work_start(&stream, work, 0, 1, false, false);
        for (size_t k = 0; k < run->size; k++) {
            expect_true("work_next", work_next(&stream, &item));
            expect_true("a key of the space",
                        item.key < work_key_space(work));
            n[item.op]++;
        }
        unsigned per_mille = (unsigned)(n[WORK_SET] * 1000 / run->size);
        expect_true("sets of a thousand, within 15",
                    per_mille + 15 >= wanted && per_mille <= wanted + 15);
        expect_int("removes", n[WORK_REMOVE], 0);
        work_destroy(work);
    }
}

/* A set behind its get (F), reads of what was inserted (D). */
static void pairs_and_inserts(const struct run *run)
{
    struct work_options o = plain;
    struct work_stream stream;
    struct work_item item, last = { WORK_GET, 0 };
    unsigned recent = 0, inserts = 0;

    work_preset(&o, "F");
    struct workload *work = made(&o);
    work_start(&stream, work, 0, 1, true, false);
    for (size_t k = 0; k < run->size; k++, last = item) {
        work_next(&stream, &item);
        expect_true("a set comes behind a get of its key",
                    item.op == WORK_GET || (last.op == WORK_GET
                                            && last.key == item.key));
    }
    work_destroy(work);
    work_preset(&o, "D");
    work = made(&o);
    work_start(&stream, work, 2, 7, true, false);
    for (size_t k = 0; k < run->size; k++) {
        work_next(&stream, &item);
        if (item.op == WORK_SET) {
            expect_true("an insert is a new key of its own",
                        item.key >= o.keys && work_owns(&stream, item.key));
            inserts++;
        } else {
            recent += item.key >= o.keys;
        }
    }
    expect_true("many reads are of what was inserted",
                inserts > 0 && recent > run->size / 2);
    work_destroy(work);
}

static void zipf(const struct run *run)
{
    struct work_options o = plain;
    unsigned count[1000] = { 0 }, most = 0, seen = 0;
    struct work_stream stream;
    struct work_item item;

    for (int i = 0; i < 2; i++) {
        o.distribution = i ? WORK_ZIPF : WORK_UNIFORM;
        o.seed = run->seed;
        struct workload *work = made(&o);
        work_start(&stream, work, 0, 1, false, false);
        memset(count, 0, sizeof count);
        for (size_t k = 0; k < run->size; k++) {
            work_next(&stream, &item);
            count[item.key]++;
        }
        most = seen = 0;
        for (int k = 0; k < 1000; k++) {
            most = count[k] > most ? count[k] : most;
            seen += count[k] > 0;
        }
        /* Uniform: 0.1 % each. Zipf, 0.99: 1 of the sum of k^-0.99, 12.9 %. */
        double share = (double)most / (double)run->size;
        expect_true("the share of the key that comes most often",
                    i ? share > 0.115 && share < 0.145 : share < 0.003);
        expect_true("every key comes", seen > 950);
        work_destroy(work);
    }
}

static void seeds(const struct run *run)
{
    struct work_options o = plain;
    unsigned same = 0;

    o.get = 50;
    o.set = 50;
    struct workload *a = made(&o), *b = made(&o);
    o.seed = 2;
    struct workload *c = made(&o);
    struct work_stream sa, sb, sc;
    work_start(&sa, a, 3, 9, true, false);
    work_start(&sb, b, 3, 9, true, false);
    work_start(&sc, c, 3, 9, true, false);
    for (size_t k = 0; k < run->size; k++) {
        struct work_item ia, ib, ic;

        work_next(&sa, &ia);
        work_next(&sb, &ib);
        work_next(&sc, &ic);
        expect_true("the same seed, the same requests",
                    ia.op == ib.op && ia.key == ib.key);
        same += ia.key == ic.key;
        expect_true("a set is of an own key",
                    ia.op == WORK_GET || work_owns(&sa, ia.key));
    }
    expect_true("another seed, other requests", same < run->size / 10);
    work_destroy(a);
    work_destroy(b);
    work_destroy(c);
}

static void loads_each_once(const struct run *run)
{
    struct work_options o = plain;
    unsigned char *seen = calloc(run->size, 1);
    struct work_item item;

    o.keys = run->size;
    struct workload *work = made(&o);
    for (unsigned c = 0; c < 7; c++) {
        struct work_stream stream;

        work_start(&stream, work, c, 7, true, true);
        while (work_next(&stream, &item)) {
            expect_true("a set of an own key", item.op == WORK_SET
                        && work_owns(&stream, item.key));
            seen[item.key]++;
        }
    }
    for (size_t k = 0; k < run->size; k++)
        expect_int("how often a key is loaded", seen[k], 1);
    work_destroy(work);
    free(seen);
}

static void values(const struct run *run)
{
    struct work_options o = plain;
    struct buf value = { 0 };
    uint64_t version = 0, random = run->seed;

    o.value_min = 8;
    o.value_max = 300;
    struct workload *work = made(&o);
    o.seed++;
    struct workload *other = made(&o);
    for (size_t i = 0; i < run->size; i++) {
        uint64_t key = next_random(&random) % 1000, v = i * i;
        size_t bit;

        expect_int("work_value", work_value(work, key, v, &value), 0);
        expect_true("its length", value.len >= 8 && value.len <= 300);
        struct slice s = buf_slice(&value);
        expect_true("it is one", work_is_value(work, key, s, &version));
        expect_int("its version", version, v);
        /* 8 bytes are the version of something: it is the range of versions
         * that catches those. */
        if (value.len < 24)
            continue;
        expect_true("not of another key",
                    !work_is_value(work, key + 1, s, &version));
        expect_true("not with another seed",
                    !work_is_value(other, key, s, &version));
        s.len--;
        expect_true("not cut", !work_is_value(work, key, s, &version));
        bit = next_random(&random) % (8 * value.len);
        value.ptr[bit / 8] ^= (unsigned char)(1 << bit % 8);
        expect_true("not with a wrong bit",
                    !work_is_value(work, key, buf_slice(&value), &version));
    }
    buf_release(&value);
    work_destroy(work);
    work_destroy(other);
}

/* ---- ledger ------------------------------------------------------------ */

static void versions(const struct run *run)
{
    struct ledger *l;

    (void)run;
    expect_int("ledger_create", ledger_create(&l, 10), 0);
    expect_int("never written", ledger_issued(l, 3), 0);
    expect_int("a write's version", ledger_write(l, 3, false), 1);
    expect_int("the next one's", ledger_write(l, 3, true), 2);
    expect_int("issued", ledger_issued(l, 3), 2);
    expect_int("removed", ledger_removed(l, 3), 2);
    expect_int("acknowledged", ledger_acknowledged(l, 3), 0);
    ledger_acknowledge(l, 3, 1);
    expect_int("acknowledged", ledger_acknowledged(l, 3), 1);
    expect_int("a set behind it", ledger_write(l, 3, false), 3);
    ledger_acknowledge(l, 3, 3);
    ledger_acknowledge(l, 3, 2);
    expect_int("it never goes back", ledger_acknowledged(l, 3), 3);
    expect_int("the last remove stays", ledger_removed(l, 3), 2);
    expect_true("sure", !ledger_unsure(l, 3));
    ledger_fail(l, 3);
    expect_true("unsure", ledger_unsure(l, 3) && !ledger_unsure(l, 4));
    expect_int("another key", ledger_issued(l, 4), 0);
    ledger_destroy(l);
    ledger_destroy(NULL);
}

/* ---- wire -------------------------------------------------------------- */

static const struct {
    const char *text;
    enum wire_kind kind;
    const char *value;
} replies[] = {
    { "+OK\r\n", WIRE_DONE, "" },
    { "$5\r\nhello\r\n", WIRE_VALUE, "hello" },
    { "$0\r\n\r\n", WIRE_VALUE, "" },
    { "$-1\r\n", WIRE_NOT_FOUND, "" },
    { ":1\r\n", WIRE_DONE, "" },
    { ":0\r\n", WIRE_NOT_FOUND, "" },
    { "-ERR no\r\n", WIRE_FAILED, "" },
};

static void resp_replies(const struct run *run)
{
    static const char *const wrong[] = {
        "x", "+NO\r\n", "$-2\r\n", "$abc\r\n", "$99999999999\r\n", ":2\r\n",
        "$1\r\nab\r\n", "\n", "+\n", "*1\r\n", "$\r\n", ":-\r\n",
    };
    const struct wire *resp = wire_find("resp");
    struct wire_reply r;

    (void)run;
    for (size_t i = 0; i < sizeof replies / sizeof *replies; i++) {
        size_t len = strlen(replies[i].text);

        for (size_t n = 0; n < len; n++) {
            char *part = malloc(n + 1);     /* so that memcheck sees reads */
            memcpy(part, replies[i].text, n);
            expect_int("half a reply", resp->take(slice_of(part, n), &r), 0);
            free(part);
        }
        expect_int("a whole one", resp->take(slice_str(replies[i].text), &r),
                   len);
        expect_int("its kind", r.kind, replies[i].kind);
        if (r.kind == WIRE_VALUE)
            expect_true("its value", slice_equal(r.value, slice_str(
                        replies[i].value)));
    }
    expect_true("the words of a failure", slice_equal(r.text, slice_str(
                "ERR no")));
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        expect_int(wrong[i], resp->take(slice_str(wrong[i]), &r), -EPROTO);
}

static void requests(const struct run *run)
{
    struct wire_request q = { .op = WORK_SET, .id = 7,
        .key = slice_str("k1"), .value = slice_str("a\r\nb") };
    struct buf out = { 0 };

    (void)run;
    expect_true("protocols", wire_find("kvs") && !wire_find("http"));
    const struct wire *resp = wire_find("resp");
    resp->put(&out, &q);
    q.op = WORK_GET;
    resp->put(&out, &q);
    q.op = WORK_REMOVE;
    resp->put(&out, &q);
    buf_append(&out, "", 1);
    expect_str("three requests", (char *)out.ptr,
               "*3\r\n$3\r\nSET\r\n$2\r\nk1\r\n$4\r\na\r\nb\r\n"
               "*2\r\n$3\r\nGET\r\n$2\r\nk1\r\n"
               "*2\r\n$3\r\nDEL\r\n$2\r\nk1\r\n");
    buf_release(&out);
}

/* ---- figures ----------------------------------------------------------- */

static void figures(const struct run *run)
{
    struct report report = { .n = 0 };
    char text[32];

    (void)run;
    expect_str("a count", report_count(1234567, text), "1,234,567");
    expect_str("a small one", report_count(999, text), "999");
    expect_str("a time", report_time(999, text), "999 ns");
    expect_str("a time", report_time(1234, text), "1.23 us");
    expect_str("a time", report_time(45600000, text), "45.6 ms");
    expect_str("a time", report_time(999999, text), "1.00 ms");
    expect_str("a long time", report_time(7.2e12, text), "7200 s");
    for (int i = 5; i > 0; i--)
        report_add(&report, "s", "w", "x", 1, "m", "u", i);
    report_add(&report, "s", "w", "x", 2, "m", "u", 100);
    expect_int("rows", report.n, 2);
    expect_true("the median of 5 .. 1",
                (int)report_median(report.rows[0]) == 3);
    expect_true("none", (int)report_find(&report, "w", "y", "m", -1) == -1);
    expect_true("one", (int)report_find(&report, NULL, "x", "m", -1) == 3);
    report_release(&report);
}

static const struct test_case cases[] = {
    { "bad_options", bad_options, 1 },
    { "presets", presets, 50000 },
    { "pairs_and_inserts", pairs_and_inserts, 5000 },
    { "zipf", zipf, 100000 },
    { "seeds", seeds, 2000 },
    { "loads_each_once", loads_each_once, 1003 },
    { "values", values, 2000 },
    { "versions", versions, 1 },
    { "resp_replies", resp_replies, 1 },
    { "requests", requests, 1 },
    { "figures", figures, 1 },
    { NULL, NULL, 0 },
};

int main(int argc, char **argv)
{
    return driver_main(argc, argv, cases);
}
