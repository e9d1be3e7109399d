/* imkv_test.c -- the cases of task 2.4.
 *
 * Given.
 */
#include <malloc.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "stage2-server/imkv.h"
#include "tests/driver.h"

enum { CREW = 4, TEXT = 64 };

/* A copy, and those of the next 16 lookups. */
enum { COPIES = 1 + 16 };

/* Text that says who made it. */
static char *text_of(char to[TEXT], const char *what, uint64_t n)
{
    snprintf(to, TEXT, "%s %llu", what, (unsigned long long)n);
    return to;
}

static HT_RET put(uint64_t key, uint64_t value)
{
    char k[TEXT], v[TEXT];

    return ht_insert(text_of(k, "key", key), text_of(v, "value", value));
}

static HT_RET drop(uint64_t key)
{
    char k[TEXT];

    return ht_delete(text_of(k, "key", key));
}

/* The copy of the key's value. */
static char *get(uint64_t key)
{
    char k[TEXT], *value = NULL;

    expect_int("ht_lookup of a key that is there",
               ht_lookup(text_of(k, "key", key), &value), HT_FOUND);
    expect_true("ht_lookup sets *val", value != NULL);
    return value;
}

static void expect_value(uint64_t key, uint64_t value)
{
    char want[TEXT];

    expect_str("the value of a key", get(key), text_of(want, "value", value));
}

static void expect_absent(uint64_t key)
{
    char k[TEXT], *value;

    expect_int("ht_lookup of a key that is not there",
               ht_lookup(text_of(k, "key", key), &value), HT_NOTFOUND);
}

static void start(unsigned buckets)
{
    expect_int("ht_init", ht_init(buckets), HT_INIT_OK);
}

/* ---- One thread ---------------------------------------------------------- */

static void basics(const struct run *run)
{
    (void)run;
    start(16);
    expect_int("ht_insert", put(1, 10), HT_INSERT_OK);
    expect_value(1, 10);
    expect_absent(2);
    expect_int("ht_insert of another key", put(2, 20), HT_INSERT_OK);
    expect_int("ht_insert of a key that is there", put(1, 11), HT_INSERT_OK);
    expect_value(1, 11);
    expect_value(2, 20);
    expect_int("ht_delete", drop(1), HT_DELETE_OK);
    expect_absent(1);
    expect_int("ht_delete of what was deleted", drop(1), HT_DELETE_FAILED);
    expect_value(2, 20);
    expect_int("ht_insert of an empty value", ht_insert((char[]){ "k" },
                                                        (char[]){ "" }),
               HT_INSERT_OK);
    char *value = NULL;
    expect_int("ht_lookup of it", ht_lookup((char[]){ "k" }, &value), HT_FOUND);
    expect_str("an empty value", value, "");
}

static void codes(const struct run *run)
{
    (void)run;
    expect_int("HT_INIT_OK", HT_INIT_OK, 0);
    expect_int("HT_INIT_FAILED", HT_INIT_FAILED, 1);
    expect_int("HT_INSERT_OK", HT_INSERT_OK, 2);
    expect_int("HT_INSERT_FAILED", HT_INSERT_FAILED, 3);
    expect_int("HT_FOUND", HT_FOUND, 4);
    expect_int("HT_NOTFOUND", HT_NOTFOUND, 5);
    expect_int("HT_DELETE_OK", HT_DELETE_OK, 6);
    expect_int("HT_DELETE_FAILED", HT_DELETE_FAILED, 7);
    start(1);
}

static void wrong_calls(const struct run *run)
{
    char key[] = "k", value[] = "v", *found = NULL;

    (void)run;
    expect_int("ht_insert before ht_init", ht_insert(key, value),
               HT_INSERT_FAILED);
    expect_int("ht_lookup before ht_init", ht_lookup(key, &found), HT_NOTFOUND);
    expect_int("ht_delete before ht_init", ht_delete(key), HT_DELETE_FAILED);
    expect_int("ht_init of 0 buckets", ht_init(0), HT_INIT_FAILED);
    expect_int("ht_insert after an ht_init that failed", ht_insert(key, value),
               HT_INSERT_FAILED);
    start(8);
    expect_int("ht_insert of a NULL key", ht_insert(NULL, value),
               HT_INSERT_FAILED);
    expect_int("ht_insert of a NULL value", ht_insert(key, NULL),
               HT_INSERT_FAILED);
    expect_int("ht_lookup of a NULL key", ht_lookup(NULL, &found), HT_NOTFOUND);
    expect_int("ht_insert", ht_insert(key, value), HT_INSERT_OK);
    expect_int("ht_lookup with a NULL val", ht_lookup(key, NULL), HT_NOTFOUND);
    expect_int("ht_delete of a NULL key", ht_delete(NULL), HT_DELETE_FAILED);
    expect_int("ht_lookup", ht_lookup(key, &found), HT_FOUND);
    expect_str("the value", found, "v");
}

static void init_again(const struct run *run)
{
    for (size_t i = 0; i < run->size; i++) {
        start(1 + (unsigned)i * 1000);
        expect_absent(100 + i - 1);
        expect_absent(7);
        expect_int("ht_insert", put(100 + i, i), HT_INSERT_OK);
        expect_int("ht_insert", put(7, 70), HT_INSERT_OK);
        expect_value(7, 70);
    }
}

static void many(const struct run *run)
{
    static const unsigned buckets[] = { 1, 2, 7, 1000, 1000003 };

    for (size_t i = 0; i < sizeof buckets / sizeof *buckets; i++) {
        uint64_t n = run->size * (buckets[i] < 10 ? 1 : 10);

        start(buckets[i]);
        for (uint64_t k = 0; k < n; k++)
            expect_int("ht_insert", put(k, k * 5), HT_INSERT_OK);
        for (uint64_t k = 0; k < n; k += 3)
            expect_int("ht_delete", drop(k), HT_DELETE_OK);
        for (uint64_t k = 0; k < n; k++)
            if (k % 3)
                expect_value(k, k * 5);
            else
                expect_absent(k);
    }
}

/* ---- Copies -------------------------------------------------------------- */

static void sixteen(const struct run *run)
{
    char *copy[COPIES], want[TEXT];

    start(64);
    for (uint64_t k = 0; k < COPIES; k++)
        expect_int("ht_insert", put(k, k), HT_INSERT_OK);
    for (size_t round = 0; round < run->size; round++) {
        for (uint64_t k = 0; k < COPIES; k++)
            copy[k] = get(k);
        for (uint64_t k = 0; k < COPIES; k++)
            expect_str("each copy, 16 lookups later", copy[k],
                       text_of(want, "value", k + round));
        for (uint64_t k = 0; k < COPIES; k++) {
            expect_int("ht_delete", drop(k), HT_DELETE_OK);
            expect_int("ht_insert", put(k, k + round + 1), HT_INSERT_OK);
        }
        for (uint64_t k = 0; k < COPIES; k++)
            expect_str("a copy, after the key was deleted", copy[k],
                       text_of(want, "value", k + round));
    }
}

static void own_copy(const struct run *run)
{
    (void)run;
    start(4);
    expect_int("ht_insert", put(1, 10), HT_INSERT_OK);
    char *one = get(1);
    char *two = get(1);
    one[0] = '#';
    expect_str("a second copy, after the first was written to", two,
               "value 10");
    expect_value(1, 10);
}

static char *long_text(size_t len, char c)
{
    char *text = malloc(len + 1);

    expect_true("memory for the test itself", text != NULL);
    memset(text, c, len);
    text[len] = '\0';
    return text;
}

static void long_values(const struct run *run)
{
    static const size_t lengths[] = { 0, 1, 14, 15, 16, 30, 100, 254, 255, 256,
                                      257, 1000, 4094, 4095, 4096, 4097,
                                      100000 };
    enum { N = sizeof lengths / sizeof *lengths };
    char *copy[N], k[TEXT];

    start(32);
    for (size_t round = 0; round < run->size; round++)
        for (size_t i = 0; i < N; i++) {
            char *value = long_text(lengths[(i + round) % N], (char)('a' + i));

            expect_int("ht_insert", ht_insert(text_of(k, "key", i), value),
                       HT_INSERT_OK);
            free(value);
            copy[i] = get(i);
            for (size_t j = i < COPIES ? 0 : i - COPIES + 1; j <= i; j++) {
                size_t len = lengths[(j + round) % N];

                expect_int("the length of a copy, 16 lookups later",
                           strlen(copy[j]), len);
                if (len)
                    expect_int("its last byte", copy[j][len - 1], 'a' + j);
            }
        }
}

struct looker {
    struct actor actor;
    size_t steps;
};

static void look_a_lot(void *arg)
{
    struct looker *l = arg;

    for (size_t i = 0; i < l->steps; i++)
        expect_value(8 + i % 5, 8 + i % 5);
}

static void others_copies(const struct run *run)
{
    struct looker l = { .steps = run->size };
    char *copy[8], want[TEXT];

    start(64);
    for (uint64_t k = 0; k < 16; k++)
        expect_int("ht_insert", put(k, k), HT_INSERT_OK);
    for (uint64_t k = 0; k < 8; k++)
        copy[k] = get(k);
    actor_start(&l.actor, look_a_lot, &l);
    actor_join(&l.actor);
    for (uint64_t k = 0; k < 8; k++)
        expect_str("a copy, after lookups of another thread", copy[k],
                   text_of(want, "value", k));
}

/* ---- The chunk ----------------------------------------------------------- */

/* Inserts keys from `first` on, with values of that length, until the chunk
 * is full; answers how many. */
static uint64_t fill(uint64_t first, size_t len)
{
    char *value = long_text(len, 'v'), k[TEXT];
    uint64_t n = 0;

    while (ht_insert(text_of(k, "key", first + n), value) == HT_INSERT_OK)
        n++;
    free(value);
    return n;
}

static void expect_filled(uint64_t key, size_t len)
{
    char *value = get(key);

    expect_int("the length of a value in a full chunk", strlen(value), len);
    expect_int("its last byte", value[len - 1], 'v');
}

/* Fills the chunk twice, with values of `size` bytes and of half as many. */
static void full(const struct run *run)
{
    size_t len = run->size;
    uint64_t n, again;

    start(5000);
    n = fill(0, len);
    expect_true("half of the chunk is values", n > IMKV_SLAB_BYTES / 2 / len);
    expect_true("no more than the chunk holds", n < IMKV_SLAB_BYTES / len);
    expect_absent(n);
    for (uint64_t i = 0; i < n / 2; i++)
        expect_int("ht_delete from a full chunk", drop(i), HT_DELETE_OK);
    expect_true("an ht_delete makes room", fill(0, len) >= n / 2 - n / 20);
    for (uint64_t i = 0; i < n * 9 / 20; i += 7)
        expect_filled(i, len);
    for (uint64_t i = n / 2; i < n; i += 7)
        expect_filled(i, len);
    for (uint64_t i = 0; i < n; i++)
        drop(i);
    again = fill(0, len / 2);
    expect_true("all deleted: 90 % fits again, in another size",
                again / 2 >= n - n / 10);
}

/* A short value, too, can be looked up when nothing is free. */
static void full_lookup(const struct run *run)
{
    char want[TEXT];

    start(64);
    for (uint64_t k = 0; k < 20; k++)
        expect_int("ht_insert", put(100000000 + k, k), HT_INSERT_OK);
    fill(0, run->size);
    fill(10000000, 100);
    fill(20000000, 8);
    for (uint64_t k = 0; k < 20; k++)
        expect_str("ht_lookup in a full chunk", get(100000000 + k),
                   text_of(want, "value", k));
}

static void no_malloc(const struct run *run)
{
    start(100);
    expect_int("ht_insert", put(0, 0), HT_INSERT_OK);
    struct mallinfo2 before = mallinfo2();
    for (uint64_t i = 0; i < run->size; i++)
        expect_int("ht_insert", put(i, i), HT_INSERT_OK);
    struct mallinfo2 after = mallinfo2();
    expect_int("bytes of malloc in use, by inserting",
               after.uordblks + after.hblkhd, before.uordblks + before.hblkhd);
    for (uint64_t i = 0; i < run->size; i++)
        expect_int("ht_delete", drop(i), HT_DELETE_OK);
    after = mallinfo2();
    expect_int("bytes of malloc in use, by deleting",
               after.uordblks + after.hblkhd, before.uordblks + before.hblkhd);
}

/* ---- Threads ------------------------------------------------------------- */

struct worker {
    struct actor actor;
    uint64_t own;       /* its own keys begin there */
    uint64_t random;
    size_t steps;
};

/* Inserts, looks up and deletes own keys, and shared ones: of those a value
 * always says which key it is of. */
static void work(void *arg)
{
    struct worker *w = arg;
    char k[TEXT], v[TEXT], *value;
    uint64_t n;

    for (size_t i = 0; i < w->steps; i++) {
        expect_int("ht_insert of an own key", put(w->own + i % 5, i),
                   HT_INSERT_OK);
        n = next_random(&w->random) % 8;
        if (next_random(&w->random) % 4 == 0)
            drop(n);
        else
            expect_int("ht_insert of a shared key",
                       ht_insert(text_of(k, "key", n), text_of(v, "shared", n)),
                       HT_INSERT_OK);
        n = next_random(&w->random) % 8;
        if (ht_lookup(text_of(k, "key", n), &value) == HT_FOUND)
            expect_str("a shared key's value", value, text_of(v, "shared", n));
        expect_value(w->own + i % 5, i);
        if (i % 3 == 0)
            expect_int("ht_delete of an own key", drop(w->own + i % 5),
                       HT_DELETE_OK);
    }
}

static void crowd_on(unsigned buckets, const struct run *run)
{
    struct worker w[CREW];

    start(buckets);
    expect_int("ht_insert", put(5, 5), HT_INSERT_OK);
    expect_int("ht_delete", drop(5), HT_DELETE_OK);
    for (uint64_t i = 0; i < CREW; i++) {
        w[i] = (struct worker){ .own = 1000 * (i + 1), .steps = run->size,
                                .random = run->seed + i };
        actor_start(&w[i].actor, work, &w[i]);
    }
    for (int i = 0; i < CREW; i++)
        actor_join(&w[i].actor);
}

static void crowd(const struct run *run)
{
    crowd_on(256, run);
}

static void crowd_one_bucket(const struct run *run)
{
    crowd_on(1, run);
}

static void look_and_end(void *arg)
{
    char *value = NULL, key[] = "long";

    (void)arg;
    expect_value(3, 30);
    expect_int("ht_lookup of a long value", ht_lookup(key, &value), HT_FOUND);
    expect_int("its length", strlen(value), 20000);
}

/* Threads that have looked something up leave nothing behind. */
static void threads_end(const struct run *run)
{
    char key[] = "long", *value = long_text(20000, 'x');

    start(16);
    expect_int("ht_insert", put(3, 30), HT_INSERT_OK);
    expect_int("ht_insert", ht_insert(key, value), HT_INSERT_OK);
    free(value);
    for (size_t i = 0; i < run->size; i++) {
        struct actor a;

        actor_start(&a, look_and_end, NULL);
        actor_join(&a);
    }
    look_and_end(NULL);
}

static const struct test_case cases[] = {
    { "basics", basics, 1 },
    { "codes", codes, 1 },
    { "wrong_calls", wrong_calls, 1 },
    { "init_again", init_again, 20 },
    { "many", many, 500 },
    { "sixteen", sixteen, 100 },
    { "own_copy", own_copy, 1 },
    { "long_values", long_values, 40 },
    { "others_copies", others_copies, 1000 },
    { "full", full, 4000 },
    { "full_lookup", full_lookup, 4000 },
    { "no_malloc", no_malloc, 20000 },
    { "crowd", crowd, 20000 },
    { "crowd_one_bucket", crowd_one_bucket, 20000 },
    { "threads_end", threads_end, 200 },
    { NULL, NULL, 0 },
};

int main(int argc, char **argv)
{
    return driver_main(argc, argv, cases);
}
