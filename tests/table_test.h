/* table_test.h -- what the cases of table_test.c and table_hard_test.c share:
 * tables, and keys and values that are numbers.
 *
 * Given.
 */
#ifndef TESTS_TABLE_TEST_H
#define TESTS_TABLE_TEST_H

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "stage2-server/table.h"
#include "tests/driver.h"

/* The cases with threads, and of task 2.3. */
extern const struct test_case hard_cases[];

enum { CREW = 4, KIB = 1024, TEXT = 32, VALUE_MAX = 400 };

static inline struct table *made(size_t buckets, bool fixed, size_t budget)
{
    struct table *table = NULL;
    struct table_options options = { buckets, fixed, budget };

    expect_int("table_create", table_create(&table, &options), 0);
    expect_true("table_create sets *out", table != NULL);
    return table;
}

static inline struct table *made_default(void)
{
    struct table *table = NULL;

    expect_int("table_create without options", table_create(&table, NULL), 0);
    return table;
}

/* The key of a number, in the caller's text. */
static inline struct slice key_of(char text[TEXT], uint64_t n)
{
    int len = snprintf(text, TEXT, "key-%llu", (unsigned long long)n);

    return slice_of(text, (size_t)len);
}

static inline struct slice number(const uint64_t *n)
{
    return slice_of(n, sizeof *n);
}

static inline int put(struct table *table, uint64_t key, uint64_t value)
{
    char text[TEXT];

    return table_insert(table, key_of(text, key), number(&value));
}

static inline int drop(struct table *table, uint64_t key)
{
    char text[TEXT];

    return table_delete(table, key_of(text, key));
}

/* The number that is the key's value, or an error. */
static inline int64_t get(struct table *table, uint64_t key)
{
    char text[TEXT];
    uint64_t n = 0;
    ssize_t len = table_lookup(table, key_of(text, key), &n, sizeof n);

    return len < 0 ? len : len == sizeof n ? (int64_t)n : -EILSEQ;
}

static inline struct table_stats stats_of(struct table *table)
{
    struct table_stats stats;

    table_stats(table, &stats);
    return stats;
}

/* What a decision sees and answers. */
struct decision {
    enum table_decision answer;
    struct slice value;
    int calls;
    int64_t saw;            /* the number that was there, or -ENOENT */
};

static inline enum table_decision decide(void *arg, const struct slice *present,
                                  struct slice *value)
{
    struct decision *d = arg;

    d->calls++;
    d->saw = -ENOENT;
    if (present && present->len == 8)
        memcpy(&d->saw, present->ptr, 8);
    *value = d->value;
    return d->answer;
}

#endif
