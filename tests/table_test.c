/* table_test.c -- the cases of tasks 2.2 and 2.3.
 *
 * Given.
 */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "stage2-server/table.h"
#include "tests/driver.h"

enum { CREW = 4, KIB = 1024, TEXT = 32 };

static struct table *made(size_t buckets, bool fixed, size_t budget)
{
    struct table *table = NULL;
    struct table_options options = { buckets, fixed, budget };

    expect_int("table_create", table_create(&table, &options), 0);
    expect_true("table_create sets *out", table != NULL);
    return table;
}

static struct table *made_default(void)
{
    struct table *table = NULL;

    expect_int("table_create without options", table_create(&table, NULL), 0);
    return table;
}

/* The key of a number, in the caller's text. */
static struct slice key_of(char text[TEXT], uint64_t n)
{
    int len = snprintf(text, TEXT, "key-%llu", (unsigned long long)n);

    return slice_of(text, (size_t)len);
}

static struct slice number(const uint64_t *n)
{
    return slice_of(n, sizeof *n);
}

static int put(struct table *table, uint64_t key, uint64_t value)
{
    char text[TEXT];

    return table_insert(table, key_of(text, key), number(&value));
}

static int drop(struct table *table, uint64_t key)
{
    char text[TEXT];

    return table_delete(table, key_of(text, key));
}

/* The number that is the key's value, or an error. */
static int64_t get(struct table *table, uint64_t key)
{
    char text[TEXT];
    uint64_t n = 0;
    ssize_t len = table_lookup(table, key_of(text, key), &n, sizeof n);

    return len < 0 ? len : len == sizeof n ? (int64_t)n : -EILSEQ;
}

static struct table_stats stats_of(struct table *table)
{
    struct table_stats stats;

    table_stats(table, &stats);
    return stats;
}

/* ---- 2.2: one thread ------------------------------------------------------- */

static void basics(const struct run *run)
{
    struct table *table = made_default();

    (void)run;
    expect_int("insert", put(table, 1, 10), 0);
    expect_int("lookup of what was inserted", get(table, 1), 10);
    expect_int("lookup of another key", get(table, 2), -ENOENT);
    expect_int("insert of another key", put(table, 2, 20), 0);
    expect_int("insert of a key that is there", put(table, 1, 11), 0);
    expect_int("lookup of the new value", get(table, 1), 11);
    expect_int("lookup of the other key", get(table, 2), 20);
    expect_int("table_count", table_count(table), 2);
    expect_int("delete", drop(table, 1), 0);
    expect_int("lookup of what was deleted", get(table, 1), -ENOENT);
    expect_int("delete of what was deleted", drop(table, 1), -ENOENT);
    expect_int("lookup of the other key", get(table, 2), 20);
    expect_int("table_count", table_count(table), 1);
    expect_int("insert of what was deleted", put(table, 1, 12), 0);
    expect_int("lookup of it", get(table, 1), 12);
    table_destroy(table);
}

static void create_checks(const struct run *run)
{
    struct table *table = made_default(), *untouched = table;
    struct table_options none = { 0, true, 64 * KIB };

    (void)run;
    expect_int("insert", put(table, 1, 10), 0);
    expect_int("a fixed table of 0 buckets", table_create(&table, &none),
               -EINVAL);
    expect_true("*out is untouched on an error", table == untouched);
    expect_int("lookup", get(table, 1), 10);
    table_destroy(table);
    table_destroy(NULL);
    for (size_t n = 1; n < 400; n += 57) {
        table = made(n, true, 64 * KIB);
        expect_int("insert", put(table, 1, 10), 0);
        expect_int("buckets of a fixed table", stats_of(table).buckets, n);
        table_destroy(table);
    }
}

/* Keys and values are bytes: NULs count, lengths count, empty is not absent. */
static void bytes(const struct run *run)
{
    static const struct slice keys[] = {
        { "a", 1 }, { "a\0", 2 }, { "a\0b", 3 }, { "a\0c", 3 }, { "\0", 1 },
        { "\0\0", 2 }, { "ab", 2 }, { "abc", 3 }, { "\xff\xfe", 2 },
    };
    struct table *table = made_default();
    uint64_t n = 0;
    char to[8] = "unused";

    (void)run;
    for (n = 0; n < 9; n++)
        expect_int("insert", table_insert(table, keys[n], number(&n)), 0);
    expect_int("table_count", table_count(table), 9);
    for (uint64_t want = 0; want < 9; want++) {
        expect_int("lookup", table_lookup(table, keys[want], &n, 8), 8);
        expect_int("the value of that key and no other", n, want);
    }
    expect_int("insert of an empty value",
               table_insert(table, keys[0], slice_of("", 0)), 0);
    expect_int("lookup of an empty value",
               table_lookup(table, keys[0], to, sizeof to), 0);
    expect_str("where an empty value is copied to", to, "unused");
    expect_int("lookup of an empty value, no room at all",
               table_lookup(table, keys[0], NULL, 0), 0);
    expect_int("insert of a value with a NUL",
               table_insert(table, keys[0], slice_of("x\0y", 3)), 0);
    expect_int("lookup of it", table_lookup(table, keys[0], to, sizeof to), 3);
    expect_int("its bytes", memcmp(to, "x\0y", 3), 0);
    expect_int("insert of an empty key",
               table_insert(table, slice_of("", 0), keys[0]), -EINVAL);
    expect_int("delete", table_delete(table, keys[1]), 0);
    expect_int("a key that begins like it",
               table_lookup(table, keys[2], &n, 8), 8);
    table_destroy(table);
}

static void room(const struct run *run)
{
    struct table *table = made_default();
    char value[1000], to[1001];

    (void)run;
    memset(value, 'v', sizeof value);
    expect_int("insert", table_insert(table, slice_str("k"),
                                      slice_of(value, sizeof value)), 0);
    for (size_t n = 0; n <= sizeof to; n += n < 990 ? 110 : 1) {
        memset(to, '-', sizeof to);
        expect_int("lookup answers the value's length, whatever the room",
                   table_lookup(table, slice_str("k"), to, n), 1000);
        expect_int("the first byte of the room", to[0], n < 1000 ? '-' : 'v');
        expect_int("the last byte of the value", to[999],
                   n < 1000 ? '-' : 'v');
        expect_int("the byte behind it", to[1000], '-');
    }
    expect_int("lookup without any room",
               table_lookup(table, slice_str("k"), NULL, 0), 1000);
    table_destroy(table);
}

/* One bucket: everything is one chain. */
static void chain(const struct run *run)
{
    for (size_t n = 1; n < run->size; n = n * 2 + 1)
        for (uint64_t gone = 0; gone < n; gone += 1 + n / 7) {
            struct table *table = made(1, true, 256 * KIB);

            for (uint64_t k = 0; k < n; k++)
                expect_int("insert", put(table, k, 100 + k), 0);
            expect_int("delete of one key of a chain", drop(table, gone), 0);
            for (uint64_t k = 0; k < n; k++)
                expect_int("lookup of each key of the chain", get(table, k),
                           k == gone ? -ENOENT : (int64_t)(100 + k));
            expect_int("insert again", put(table, gone, 7), 0);
            for (uint64_t k = n; k-- > 0;)
                expect_int("delete of each key", drop(table, k), 0);
            expect_int("table_count", table_count(table), 0);
            expect_int("insert", put(table, 1, 5), 0);
            expect_int("lookup", get(table, 1), 5);
            table_destroy(table);
        }
}

/* What a decision sees and answers. */
struct decision {
    enum table_decision answer;
    struct slice value;
    int calls;
    int64_t saw;            /* the number that was there, or -ENOENT */
};

static enum table_decision decide(void *arg, const struct slice *present,
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

static int64_t update(struct table *table, uint64_t key,
                      enum table_decision answer, uint64_t value,
                      int64_t expected)
{
    char text[TEXT];
    struct decision d = { .answer = answer, .value = number(&value) };
    int err = table_update(table, key_of(text, key), decide, &d);

    expect_int("how often update calls its function", d.calls, 1);
    expect_int("the value that it sees", d.saw, expected);
    return err;
}

/* Drops the first byte: the new value is a part of the old one. */
static enum table_decision behead(void *arg, const struct slice *present,
                                  struct slice *value)
{
    (void)arg;
    *value = slice_of((const char *)present->ptr + 1, present->len - 1);
    return TABLE_REPLACE;
}

static void decisions(const struct run *run)
{
    struct table *table = made_default();
    char text[61], to[64];

    (void)run;
    expect_int("update that inserts",
               update(table, 1, TABLE_REPLACE, 10, -ENOENT), 0);
    expect_int("lookup", get(table, 1), 10);
    expect_int("update that keeps", update(table, 1, TABLE_KEEP, 99, 10), 0);
    expect_int("lookup", get(table, 1), 10);
    expect_int("update that replaces",
               update(table, 1, TABLE_REPLACE, 11, 10), 0);
    expect_int("lookup", get(table, 1), 11);
    expect_int("update that keeps nothing",
               update(table, 2, TABLE_KEEP, 99, -ENOENT), 0);
    expect_int("lookup", get(table, 2), -ENOENT);
    expect_int("update that deletes", update(table, 1, TABLE_DELETE, 9, 11),
               0);
    expect_int("lookup", get(table, 1), -ENOENT);
    expect_int("update that deletes nothing",
               update(table, 1, TABLE_DELETE, 9, -ENOENT), -ENOENT);
    expect_int("table_count", table_count(table), 0);
    for (size_t i = 0; i < 60; i++)
        text[i] = (char)('A' + i);
    text[60] = '\0';
    table_insert(table, slice_str("k"), slice_str(text));
    for (size_t i = 1; i < 60; i++) {
        expect_int("update to a part of the old value",
                   table_update(table, slice_str("k"), behead, NULL), 0);
        memset(to, 0, sizeof to);
        expect_int("its length",
                   table_lookup(table, slice_str("k"), to, sizeof to), 60 - i);
        expect_str("its bytes", to, text + i);
    }
    table_destroy(table);
}

/* ---- 2.2: a model ----------------------------------------------------------- */

/* What should be in the table: the value of key n is `len[n]` bytes, made
 * from `seed[n]`; no value: -1. */
enum { KEYS = 200, VALUE_MAX = 400 };

struct expected {
    int len[KEYS];
    uint64_t seed[KEYS];
    size_t keys;
};

static struct slice value_of(char to[VALUE_MAX], int len, uint64_t seed)
{
    for (int i = 0; i < len; i++)
        to[i] = (char)(seed >> i % 8 * 8 ^ (uint64_t)i);
    return slice_of(to, (size_t)len);
}

/* A short key, or one with a tail, which two thirds of the keys share. */
static struct slice model_key(char text[VALUE_MAX], uint64_t n)
{
    int len = snprintf(text, VALUE_MAX, "%s%llu", n % 3 ? "the same start " : "",
                       (unsigned long long)n);

    return slice_of(text, (size_t)len);
}

static void model_looks(struct table *table, const struct expected *e,
                        uint64_t n)
{
    char key[VALUE_MAX], to[VALUE_MAX], want[VALUE_MAX];
    ssize_t len = table_lookup(table, model_key(key, n), to, sizeof to);

    if (e->len[n] < 0) {
        expect_int("lookup of a key that is not there", len, -ENOENT);
        return;
    }
    expect_int("lookup of a key that is there", len, e->len[n]);
    value_of(want, e->len[n], e->seed[n]);
    expect_int("its bytes", memcmp(to, want, (size_t)len), 0);
}

static void model_changes(struct table *table, struct expected *e, uint64_t n,
                          uint64_t random)
{
    char key[VALUE_MAX], value[VALUE_MAX];
    int len = (int)((random >> 8) % (random % 4 ? 40 : VALUE_MAX));
    struct slice k = model_key(key, n), v = value_of(value, len, random);
    bool was = e->len[n] >= 0, add = false;

    switch (random >> 32 & 7) {
    case 0: case 1: case 2:
        expect_int("insert", table_insert(table, k, v), 0);
        add = true;
        break;
    case 3: case 4:
        expect_int("delete", table_delete(table, k), was ? 0 : -ENOENT);
        break;
    case 5: {
        struct decision d = { .answer = TABLE_REPLACE, .value = v };
        expect_int("update", table_update(table, k, decide, &d), 0);
        add = true;
        break;
    }
    case 6: {
        struct decision d = { .answer = TABLE_DELETE };
        expect_int("update", table_update(table, k, decide, &d),
                   was ? 0 : -ENOENT);
        break;
    }
    default:
        model_looks(table, e, n);
        return;
    }
    e->len[n] = add ? len : -1;
    e->seed[n] = random;
    e->keys += add;
    e->keys -= was;
}

static void model_on(struct table *table, const struct run *run)
{
    uint64_t random = run->seed;
    struct expected e = { .keys = 0 };

    for (uint64_t n = 0; n < KEYS; n++)
        e.len[n] = -1;
    for (size_t i = 0; i < run->size; i++) {
        model_changes(table, &e, next_random(&random) % KEYS,
                      next_random(&random));
        model_looks(table, &e, next_random(&random) % KEYS);
        if (i % 64 == 0)
            expect_int("table_count", table_count(table), e.keys);
    }
    for (uint64_t n = 0; n < KEYS; n++)
        model_looks(table, &e, n);
    table_destroy(table);
}

static void model(const struct run *run)
{
    model_on(made_default(), run);
}

static void model_fixed(const struct run *run)
{
    model_on(made(7, true, 512 * KIB), run);
}

/* ---- 2.2: full --------------------------------------------------------------- */

static int put_filler(struct table *table, uint64_t key, size_t len,
                      unsigned char byte)
{
    static char value[64 * KIB];
    char text[TEXT];

    memset(value, byte, len);
    return table_insert(table, key_of(text, key), slice_of(value, len));
}

static void expect_filler(struct table *table, uint64_t key, size_t len,
                          unsigned char byte)
{
    static unsigned char to[64 * KIB];
    char text[TEXT];

    expect_int("lookup in a full table",
               table_lookup(table, key_of(text, key), to, sizeof to), len);
    for (size_t i = 0; i < len; i += 1 + len / 9)
        expect_int("the bytes of a value in a full table", to[i], byte);
}

/* Inserts values of that length until the table is full; answers how many. */
static uint64_t fill(struct table *table, size_t len)
{
    uint64_t n = 0;
    int err;

    while ((err = put_filler(table, n, len, (unsigned char)n)) == 0)
        n++;
    expect_int("insert into a full table", err, -EAGAIN);
    return n;
}

static void drop_all(struct table *table, uint64_t n)
{
    for (uint64_t i = 0; i < n; i++)
        expect_int("delete from a full table", drop(table, i), 0);
    expect_int("table_count", table_count(table), 0);
}

static void full(const struct run *run)
{
    struct table *table = made(64, true, run->size * KIB);
    uint64_t n = fill(table, 100);
    struct decision d = { .answer = TABLE_REPLACE };
    static char large[60 * KIB];
    char text[TEXT];

    expect_true("half of the budget is keys and values",
                n > run->size * KIB / 2 / 110);
    expect_int("table_count of a full table", table_count(table), n);
    expect_int("the key that did not fit", get(table, n), -ENOENT);
    d.value = slice_of(large, sizeof large);
    for (uint64_t i = 0; i < n; i += 1 + n / 50) {
        expect_int("replacing by what does not fit",
                   put_filler(table, i, sizeof large, 1), -EAGAIN);
        expect_filler(table, i, 100, (unsigned char)i);
        expect_int("update by what does not fit",
                   table_update(table, key_of(text, i), decide, &d), -EAGAIN);
        expect_filler(table, i, 100, (unsigned char)i);
    }
    for (uint64_t i = 0; i < n; i++)
        expect_filler(table, i, 100, (unsigned char)i);
    for (uint64_t i = 0; i < n; i += 7) {
        expect_int("delete", drop(table, i), 0);
        expect_int("insert where one was deleted",
                   put_filler(table, i, 100, 3), 0);
        expect_filler(table, i, 100, 3);
    }
    table_destroy(table);
}

/* Fills, deletes all, fills with another length: as much as at first. */
static void full_again(const struct run *run)
{
    static const size_t lengths[] = { 100, 1000, 10, 3000, 100 };
    struct table *table = made(64, true, run->size * KIB);

    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        struct table *fresh = made(64, true, run->size * KIB);
        uint64_t first = fill(fresh, lengths[i]);
        uint64_t n = fill(table, lengths[i]);

        expect_true("some pairs fit", first > 0);
        expect_true("when all was deleted, 90 % of what fits a fresh table",
                    n >= first - first / 10);
        drop_all(table, n);
        table_destroy(fresh);
    }
    table_destroy(table);
}

/* The memory of values that are replaced or deleted is used again. */
static void nothing_is_lost(const struct run *run)
{
    struct table *table = made(4, true, 64 * KIB);
    uint64_t random = run->seed;
    char text[TEXT];

    for (size_t i = 0; i < run->size; i++) {
        size_t len = 1 + next_random(&random) % 1000;
        struct decision d = { .answer = TABLE_REPLACE };
        static char value[1000];

        d.value = slice_of(value, len);
        expect_int("insert, there is one key only",
                   put_filler(table, 1, len, 1), 0);
        expect_int("update, there is one key only",
                   table_update(table, key_of(text, 1), decide, &d), 0);
        if (i % 3 == 0)
            expect_int("delete", drop(table, 1), 0);
        d.answer = TABLE_DELETE;
        if (i % 3 == 1)
            expect_int("delete by update",
                       table_update(table, key_of(text, 1), decide, &d), 0);
    }
    expect_true("no more than one key is left", table_count(table) <= 1);
    table_destroy(table);
}

static void stats(const struct run *run)
{
    struct table *table = made(16, true, 256 * KIB);
    struct table_stats s;

    for (uint64_t i = 0; i < run->size; i++)
        expect_int("insert", put(table, i, i), 0);
    s = stats_of(table);
    expect_int("keys", s.keys, run->size);
    expect_int("buckets of a fixed table", s.buckets, 16);
    expect_true("bytes has the whole budget", s.bytes >= 256 * KIB);
    expect_true("and not much more", s.bytes < 1024 * KIB);
    table_destroy(table);
}

/* Everything is freed with the table (memcheck looks). */
static void destroy_takes_all(const struct run *run)
{
    struct table *table = made_default(), *fixed = made(8, true, 64 * KIB);

    for (uint64_t i = 0; i < run->size; i++)
        expect_int("insert", put(table, i, i), 0);
    for (uint64_t i = 0; i < 300; i++)
        expect_int("insert", put(fixed, i, i), 0);
    expect_int("lookup", get(table, 5), 5);
    table_destroy(table);
    table_destroy(fixed);
}

/* ---- 2.2: threads ------------------------------------------------------------ */

struct gate {
    pthread_mutex_t lock;       /* guards the rest */
    pthread_cond_t opened;
    bool open, inside;
};

static enum table_decision wait_inside(void *arg, const struct slice *present,
                                       struct slice *value)
{
    struct gate *g = arg;

    (void)present, (void)value;
    pthread_mutex_lock(&g->lock);
    g->inside = true;
    while (!g->open)
        pthread_cond_wait(&g->opened, &g->lock);
    pthread_mutex_unlock(&g->lock);
    return TABLE_KEEP;
}

static bool is_inside(void *arg)
{
    struct gate *g = arg;

    pthread_mutex_lock(&g->lock);
    bool inside = g->inside;
    pthread_mutex_unlock(&g->lock);
    return inside;
}

/* One thread of a crew, on a table. */
struct worker {
    struct actor actor;
    struct table *table;
    struct gate *gate;
    uint64_t key, random;
    size_t steps;
    int64_t result, wins;
};

static void hold(void *arg)
{
    struct worker *w = arg;
    char text[TEXT];

    w->result = table_update(w->table, key_of(text, w->key), wait_inside,
                             w->gate);
}

static void use_key(void *arg)
{
    struct worker *w = arg;

    expect_int("insert of another key", put(w->table, w->key, w->key), 0);
    expect_int("lookup of another key", get(w->table, w->key), w->key);
    expect_int("delete of another key", drop(w->table, w->key), 0);
}

enum { OTHERS = 64 };

static bool three_quarters_done(void *arg)
{
    struct worker *w = arg;
    int n = 0;

    for (int i = 0; i < OTHERS; i++)
        n += actor_done(&w[i].actor);
    return n >= OTHERS * 3 / 4;
}

/* One key is held inside its update; of 64 others at least 48 can be used. */
static void held_on(struct table *table)
{
    struct gate gate = { .lock = PTHREAD_MUTEX_INITIALIZER,
                         .opened = PTHREAD_COND_INITIALIZER };
    struct worker holder = { .table = table, .gate = &gate, .key = 9999 };
    static struct worker w[OTHERS];

    expect_int("insert", put(table, 9999, 5), 0);
    actor_start(&holder.actor, hold, &holder);
    expect_soon("update calls its function", "it does", is_inside, &gate);
    for (uint64_t i = 0; i < OTHERS; i++) {
        w[i] = (struct worker){ .table = table, .key = i };
        actor_start(&w[i].actor, use_key, &w[i]);
    }
    expect_soon("64 keys, while another is held inside its update",
                "at least 48 of them can be used", three_quarters_done, w);
    expect_true("the other is still inside its update",
                !actor_done(&holder.actor));
    pthread_mutex_lock(&gate.lock);
    gate.open = true;
    pthread_cond_signal(&gate.opened);
    pthread_mutex_unlock(&gate.lock);
    for (int i = 0; i < OTHERS; i++)
        actor_join(&w[i].actor);
    actor_join(&holder.actor);
    expect_int("update", holder.result, 0);
    expect_int("its value, which it kept", get(table, 9999), 5);
    table_destroy(table);
}

static void held_update(const struct run *run)
{
    (void)run;
    held_on(made_default());
    held_on(made(1024, true, 1024 * KIB));
}

static enum table_decision add_one(void *arg, const struct slice *present,
                                   struct slice *value)
{
    uint64_t *n = arg;

    *n = 0;
    if (present)
        memcpy(n, present->ptr, sizeof *n);
    ++*n;
    *value = number(n);
    return TABLE_REPLACE;
}

static void count_up(void *arg)
{
    struct worker *w = arg;
    char text[TEXT];
    uint64_t n;

    for (size_t i = 0; i < w->steps; i++)
        expect_int("update", table_update(w->table, key_of(text, i % w->key),
                                          add_one, &n), 0);
}

/* `threads` threads count up `keys` keys, each `steps` times. */
static void counters(struct table *table, unsigned threads, uint64_t keys,
                     size_t steps)
{
    struct worker w[CREW];
    int64_t sum = 0;

    for (unsigned i = 0; i < threads; i++) {
        w[i] = (struct worker){ .table = table, .key = keys, .steps = steps };
        actor_start(&w[i].actor, count_up, &w[i]);
    }
    for (unsigned i = 0; i < threads; i++)
        actor_join(&w[i].actor);
    for (uint64_t k = 0; k < keys; k++)
        sum += get(table, k);
    expect_int("what several threads have counted, all in all", sum,
               threads * steps);
    expect_int("table_count", table_count(table), keys);
    table_destroy(table);
}

static void count_race(const struct run *run)
{
    counters(made_default(), CREW, 3, run->size);
}

static void small_count(const struct run *run)
{
    counters(made(1, true, 16 * KIB), 2, 1, run->size);
}

/* Replaces if its number is higher than the one that is there. */
static enum table_decision if_newer(void *arg, const struct slice *present,
                                    struct slice *value)
{
    const uint64_t *mine = arg;
    uint64_t n = 0;

    if (present)
        memcpy(&n, present->ptr, sizeof n);
    *value = number(mine);
    return *mine > n ? TABLE_REPLACE : TABLE_KEEP;
}

static void set_newer(void *arg)
{
    struct worker *w = arg;
    char text[TEXT];

    for (size_t i = 0; i < w->steps; i++) {
        uint64_t n = 1 + next_random(&w->random) % 1000000;

        if ((int64_t)n > w->result)
            w->result = (int64_t)n;
        expect_int("update", table_update(w->table, key_of(text, 7), if_newer,
                                          &n), 0);
        expect_true("the value is as new as what this thread has set",
                    get(w->table, 7) >= w->result);
    }
}

static void newer_wins(const struct run *run)
{
    struct table *table = made_default();
    struct worker w[CREW];
    int64_t newest = 0;

    for (int i = 0; i < CREW; i++) {
        w[i] = (struct worker){ .table = table, .steps = run->size,
                                .random = run->seed + (uint64_t)i };
        actor_start(&w[i].actor, set_newer, &w[i]);
    }
    for (int i = 0; i < CREW; i++) {
        actor_join(&w[i].actor);
        newest = w[i].result > newest ? w[i].result : newest;
    }
    expect_int("the newest value wins", get(table, 7), newest);
    table_destroy(table);
}

/* Values whose bytes tell which key they belong to, and that they are whole. */
static size_t stamp(unsigned char to[VALUE_MAX], uint64_t key, uint64_t random)
{
    size_t len = 8 + random % 64;

    to[0] = (unsigned char)key;
    to[1] = (unsigned char)len;
    memset(to + 2, (int)(random >> 16 & 255), len - 2);
    return len;
}

static void expect_stamped(const unsigned char *value, ssize_t len,
                           uint64_t key)
{
    expect_true("the length of a value among threads", len >= 8 && len < 72);
    expect_int("the key it belongs to", value[0], key);
    expect_int("its own length, as it says", value[1], len);
    for (ssize_t i = 3; i < len; i++)
        expect_int("a value is one thread's, whole", value[i], value[2]);
}

static void mix(void *arg)
{
    struct worker *w = arg;
    unsigned char value[VALUE_MAX];
    char text[TEXT];

    for (size_t i = 0; i < w->steps; i++) {
        uint64_t random = next_random(&w->random), n = random >> 40 & 15;
        struct slice key = key_of(text, n);
        ssize_t len;

        switch (random & 3) {
        case 0:
            len = table_delete(w->table, key);
            expect_true("delete answers 0 or -ENOENT",
                        len == 0 || len == -ENOENT);
            w->wins -= len == 0;
            break;
        case 1:
            len = (ssize_t)stamp(value, n, random >> 8);
            expect_int("insert",
                       table_insert(w->table, key,
                                    slice_of(value, (size_t)len)), 0);
            break;
        default:
            len = table_lookup(w->table, key, value, sizeof value);
            if (len != -ENOENT)
                expect_stamped(value, len, n);
        }
    }
}

static void crowd_on(struct table *table, const struct run *run)
{
    struct worker w[CREW];
    unsigned char value[VALUE_MAX];
    char text[TEXT];
    size_t found = 0;

    expect_int("insert", put(table, 99, 5), 0);
    for (int i = 0; i < CREW; i++) {
        w[i] = (struct worker){ .table = table, .steps = run->size,
                                .random = run->seed + 1000 * (uint64_t)i };
        actor_start(&w[i].actor, mix, &w[i]);
    }
    for (int i = 0; i < CREW; i++)
        actor_join(&w[i].actor);
    for (uint64_t k = 0; k < 16; k++)
        found += table_lookup(table, key_of(text, k), value, VALUE_MAX) >= 0;
    expect_int("table_count is how many keys are found", table_count(table),
               found + 1);
    expect_int("lookup of a key that nobody touched", get(table, 99), 5);
    table_destroy(table);
}

static void crowd(const struct run *run)
{
    crowd_on(made_default(), run);
}

static void crowd_one_bucket(const struct run *run)
{
    crowd_on(made(1, true, 64 * KIB), run);
}

/* For the explorer: two threads insert and delete keys of one chain. Whoever
 * inserted owns the key, and finds it as it left it. */
static void own_key(void *arg)
{
    struct worker *w = arg;

    for (size_t i = 0; i < w->steps; i++) {
        expect_int("insert", put(w->table, w->key, i), 0);
        expect_int("lookup of the own key", get(w->table, w->key), i);
        expect_int("delete of the own key", drop(w->table, w->key), 0);
        expect_int("lookup of what was deleted", get(w->table, w->key),
                   -ENOENT);
    }
    expect_int("insert", put(w->table, w->key, 77), 0);
}

static void small_chain(const struct run *run)
{
    struct table *table = made(1, true, 16 * KIB);
    struct worker w[2];

    for (uint64_t i = 0; i < 2; i++) {
        w[i] = (struct worker){ .table = table, .key = i, .steps = run->size };
        actor_start(&w[i].actor, own_key, &w[i]);
    }
    for (uint64_t i = 0; i < 2; i++) {
        actor_join(&w[i].actor);
        expect_int("lookup of what a thread has inserted", get(table, i), 77);
    }
    expect_int("table_count", table_count(table), 2);
    table_destroy(table);
}

/* For the explorer: a key that is inserted and deleted by several at once is
 * deleted as often as it was there. */
static void delete_once(void *arg)
{
    struct worker *w = arg;
    struct decision d = { .answer = TABLE_DELETE };
    char text[TEXT];

    if (w->steps == 0)
        w->wins += put(w->table, w->key, 1) == 0;
    else if (w->steps == 1)
        w->wins -= drop(w->table, w->key) == 0;
    else
        w->wins -= table_update(w->table, key_of(text, w->key), decide, &d)
                   == 0;
}

static void small_delete(const struct run *run)
{
    struct table *table = made(1, true, 16 * KIB);
    struct worker w[2];
    int64_t there = 1;

    (void)run;
    expect_int("insert", put(table, 5, 3), 0);
    expect_int("insert", put(table, 6, 4), 0);
    for (size_t i = 0; i < 2; i++) {
        w[i] = (struct worker){ .table = table, .key = 5, .steps = i + 1 };
        actor_start(&w[i].actor, delete_once, &w[i]);
    }
    for (int i = 0; i < 2; i++) {
        actor_join(&w[i].actor);
        there += w[i].wins;
    }
    expect_int("how many of two deletes of one key answer 0", 1 - there, 1);
    expect_int("lookup of it", get(table, 5), -ENOENT);
    expect_int("lookup of another", get(table, 6), 4);
    expect_int("table_count", table_count(table), 1);
    table_destroy(table);
}

/* ---- 2.3: growing ------------------------------------------------------------ */

static void grow(const struct run *run)
{
    struct table *table = made(4, false, 0);
    size_t at_first = stats_of(table).buckets;
    struct table_stats s;

    for (uint64_t i = 0; i < run->size; i++) {
        expect_int("insert", put(table, i, i * 3), 0);
        if (i % 64 == 0)
            expect_int("lookup of an earlier key", get(table, i / 2),
                       i / 2 * 3);
    }
    s = stats_of(table);
    expect_true("there are more buckets than at first", s.buckets > at_first);
    expect_true("at most 16 keys a bucket", s.buckets * 16 >= run->size);
    expect_int("keys", s.keys, run->size);
    for (uint64_t i = 0; i < run->size; i++)
        expect_int("lookup of each key", get(table, i), i * 3);
    for (uint64_t i = 0; i < run->size; i += 2)
        expect_int("delete", drop(table, i), 0);
    for (uint64_t i = 0; i < run->size; i++)
        expect_int("lookup after half were deleted", get(table, i),
                   i % 2 ? (int64_t)(i * 3) : -ENOENT);
    expect_int("table_count", table_count(table), run->size / 2);
    table_destroy(table);
}

static void stays_fixed(const struct run *run)
{
    struct table *table = made(16, true, 1024 * KIB);

    for (uint64_t i = 0; i < run->size; i++)
        expect_int("insert", put(table, i, i), 0);
    expect_int("buckets of a fixed table", stats_of(table).buckets, 16);
    for (uint64_t i = 0; i < run->size; i++)
        expect_int("lookup", get(table, i), i);
    table_destroy(table);
}

/* How far the writer has come: keys below `done` are in the table. Key i has
 * the value factor * i. */
struct progress {
    pthread_mutex_t lock;   /* guards done */
    uint64_t done, all, factor;
    bool leave;             /* deletes what it has inserted, in the end */
    struct table *table;
};

static uint64_t progress_now(struct progress *p)
{
    pthread_mutex_lock(&p->lock);
    uint64_t done = p->done;
    pthread_mutex_unlock(&p->lock);
    return done;
}

static void insert_all(void *arg)
{
    struct progress *p = arg;
    uint64_t first = progress_now(p);

    for (uint64_t i = first; i < p->all; i++) {
        expect_int("insert", put(p->table, i, i * p->factor), 0);
        pthread_mutex_lock(&p->lock);
        p->done = i + 1;
        pthread_mutex_unlock(&p->lock);
    }
    for (uint64_t i = first; i < p->all && p->leave; i++)
        expect_int("delete", drop(p->table, i), 0);
}

struct reader {
    struct actor actor;
    struct progress *progress;
    uint64_t random;
    uint64_t key;           /* counts this one up meanwhile */
    uint64_t counted;
};

static void read_all(void *arg)
{
    struct reader *r = arg;
    struct progress *p = r->progress;
    uint64_t done, n;
    char text[TEXT];

    do {
        done = progress_now(p);
        for (int i = 0; i < 8; i++) {
            n = next_random(&r->random) % done;
            expect_int("lookup of a key, while others are inserted",
                       get(p->table, n), n * 3);
        }
        expect_int("update", table_update(p->table, key_of(text, r->key),
                                          add_one, &n), 0);
        expect_int("what only this thread counts", n, ++r->counted);
    } while (done < p->all);
}

static void grow_under_readers(const struct run *run)
{
    struct progress p = { .lock = PTHREAD_MUTEX_INITIALIZER, .done = 4,
                          .all = run->size, .factor = 3,
                          .table = made(4, false, 0) };
    struct actor writer;
    struct reader r[CREW - 1];

    for (uint64_t i = 0; i < 4; i++)
        expect_int("insert", put(p.table, i, i * 3), 0);
    for (int i = 0; i < CREW - 1; i++) {
        r[i] = (struct reader){ .progress = &p, .random = run->seed,
                                .key = 1000000 + (uint64_t)i };
        actor_start(&r[i].actor, read_all, &r[i]);
    }
    actor_start(&writer, insert_all, &p);
    actor_join(&writer);
    for (int i = 0; i < CREW - 1; i++)
        actor_join(&r[i].actor);
    expect_int("table_count", table_count(p.table), run->size + CREW - 1);
    for (uint64_t i = 0; i < run->size; i++)
        expect_int("lookup of each key", get(p.table, i), i * 3);
    table_destroy(p.table);
}

static void insert_some(void *arg)
{
    struct worker *w = arg;

    for (uint64_t i = w->key; i < w->key + w->steps; i++)
        expect_int("insert", put(w->table, i, i), 0);
}

static void grow_by_many(const struct run *run)
{
    struct table *table = made(4, false, 0);
    struct worker w[CREW];

    for (uint64_t i = 0; i < CREW; i++) {
        w[i] = (struct worker){ .table = table, .steps = run->size,
                                .key = i * run->size };
        actor_start(&w[i].actor, insert_some, &w[i]);
    }
    for (int i = 0; i < CREW; i++)
        actor_join(&w[i].actor);
    expect_int("table_count", table_count(table), CREW * run->size);
    for (uint64_t i = 0; i < CREW * run->size; i++)
        expect_int("lookup of each key", get(table, i), i);
    table_destroy(table);
}

/* ---- 2.3: each ----------------------------------------------------------------- */

/* How often each key was seen; key n has the value n. */
struct seen {
    unsigned char *times;
    uint64_t keys;
    struct table *table;
    int stop_after;         /* answers 77 then */
    uint64_t next;          /* see_and_add: inserts this one next */
};

static int see(void *arg, struct slice key, struct slice value)
{
    struct seen *s = arg;
    char text[TEXT];
    uint64_t n = s->keys;

    expect_int("the length of a value", value.len, sizeof n);
    memcpy(&n, value.ptr, sizeof n);
    expect_true("a key that was inserted", n < s->keys);
    expect_true("each key has its own value",
                slice_equal(key, key_of(text, n)));
    s->times[n]++;
    return s->stop_after && --s->stop_after == 0 ? 77 : 0;
}

static struct seen seen_none(struct table *table, uint64_t keys)
{
    struct seen s = { calloc(keys, 1), keys, table, 0, 0 };

    expect_true("memory for the test itself", s.times != NULL);
    return s;
}

static int see_and_drop(void *arg, struct slice key, struct slice value)
{
    struct seen *s = arg;

    see(arg, key, value);
    expect_int("delete of the key that is seen",
               table_delete(s->table, key), 0);
    return 0;
}

static void each_on(struct table *table, uint64_t keys)
{
    struct seen s = seen_none(table, keys);

    for (uint64_t i = 0; i < keys; i++)
        expect_int("insert", put(table, i, i), 0);
    expect_int("each", table_each(table, see, &s), 0);
    for (uint64_t i = 0; i < keys; i++)
        expect_int("how often each saw a key", s.times[i], 1);
    s.stop_after = 5;
    expect_int("each, when its function ends it", table_each(table, see, &s),
               77);
    memset(s.times, 0, keys);
    s.stop_after = 0;
    expect_int("each, deleting", table_each(table, see_and_drop, &s), 0);
    for (uint64_t i = 0; i < keys; i++)
        expect_int("how often each saw a key", s.times[i], 1);
    expect_int("table_count", table_count(table), 0);
    expect_int("each of an empty table", table_each(table, see, &s), 0);
    free(s.times);
    table_destroy(table);
}

static void each(const struct run *run)
{
    each_on(made(4, false, 0), run->size);
    each_on(made(1, true, 64 * KIB), 300);
    each_on(made(100, true, 256 * KIB), 1000);
}

struct big {
    size_t pairs, bytes;
};

static int see_big(void *arg, struct slice key, struct slice value)
{
    struct big *b = arg;

    expect_int("the length of a key", key.len, 3000);
    b->pairs++;
    b->bytes += value.len;
    return 0;
}

static void each_big(const struct run *run)
{
    struct table *table = made_default();
    static char block[400000];
    struct big b = { 0, 0 };

    for (size_t i = 0; i < run->size; i++) {
        memcpy(block, &i, sizeof i);
        expect_int("insert of a large pair",
                   table_insert(table, slice_of(block, 3000),
                                slice_of(block, 20000 * i)), 0);
    }
    expect_int("each", table_each(table, see_big, &b), 0);
    expect_int("pairs", b.pairs, run->size);
    expect_int("bytes of their values", b.bytes,
               20000 * (run->size * (run->size - 1) / 2));
    table_destroy(table);
}

/* 200 keys are there all the time, others come and go: a walk sees each of
 * the 200 once, any other at most once. */
static void each_grows(const struct run *run)
{
    enum { STAY = 200 };
    struct progress p = { .lock = PTHREAD_MUTEX_INITIALIZER, .done = STAY,
                          .all = run->size, .factor = 1, .leave = true,
                          .table = made(4, false, 0) };
    struct seen s = seen_none(p.table, run->size);
    struct actor writer;
    bool last;

    for (uint64_t i = 0; i < STAY; i++)
        expect_int("insert", put(p.table, i, i), 0);
    actor_start(&writer, insert_all, &p);
    do {
        last = actor_done(&writer);
        memset(s.times, 0, s.keys);
        expect_int("each, while the table grows", table_each(p.table, see, &s),
                   0);
        for (uint64_t i = 0; i < s.keys; i++)
            if (s.times[i] > 1 || (i < STAY && s.times[i] == 0))
                fail_case(__FILE__, __LINE__, "each, while the table grows",
                          "a key that stays once, any other at most once",
                          "key %d of %d that stay, seen %d times", (int)i,
                          STAY, s.times[i]);
    } while (!last);
    actor_join(&writer);
    expect_int("table_count", table_count(p.table), STAY);
    free(s.times);
    table_destroy(p.table);
}

/* The function itself inserts, so that the table grows in mid-walk. */
static int see_and_add(void *arg, struct slice key, struct slice value)
{
    struct seen *s = arg;

    see(arg, key, value);
    for (int i = 0; i < 20 && s->next < s->keys; i++, s->next++)
        expect_int("insert during a walk", put(s->table, s->next, s->next), 0);
    return 0;
}

static void each_adds(const struct run *run)
{
    struct table *table = made(4, false, 0);
    struct seen s = seen_none(table, 20 * run->size);

    for (uint64_t i = 0; i < run->size; i++)
        expect_int("insert", put(table, i, i), 0);
    s.next = run->size;
    expect_int("each, with a function that inserts",
               table_each(table, see_and_add, &s), 0);
    for (uint64_t i = 0; i < s.keys; i++)
        if (s.times[i] > 1 || (i < run->size && s.times[i] == 0))
            fail_case(__FILE__, __LINE__, "each, with a function that inserts",
                      "a key that stays once, any other at most once",
                      "key %d of %d that stay, seen %d times", (int)i,
                      (int)run->size, s.times[i]);
    expect_int("table_count", table_count(table), s.next);
    free(s.times);
    table_destroy(table);
}

static const struct test_case cases[] = {
    { "basics", basics, 1 },
    { "create_checks", create_checks, 1 },
    { "bytes", bytes, 1 },
    { "room", room, 1 },
    { "chain", chain, 64 },
    { "decisions", decisions, 1 },
    { "model", model, 100000 },
    { "model_fixed", model_fixed, 100000 },
    { "full", full, 512 },
    { "full_again", full_again, 512 },
    { "nothing_is_lost", nothing_is_lost, 20000 },
    { "stats", stats, 500 },
    { "destroy_takes_all", destroy_takes_all, 2000 },
    { "held_update", held_update, 1 },
    { "count_race", count_race, 20000 },
    { "newer_wins", newer_wins, 20000 },
    { "crowd", crowd, 50000 },
    { "crowd_one_bucket", crowd_one_bucket, 50000 },
    { "small_count", small_count, 2 },
    { "small_chain", small_chain, 2 },
    { "small_delete", small_delete, 1 },
    { "grow", grow, 100000 },
    { "stays_fixed", stays_fixed, 2000 },
    { "grow_under_readers", grow_under_readers, 100000 },
    { "grow_by_many", grow_by_many, 25000 },
    { "each", each, 5000 },
    { "each_adds", each_adds, 10000 },
    { "each_big", each_big, 20 },
    { "each_grows", each_grows, 20000 },
    { NULL, NULL, 0 },
};

int main(int argc, char **argv)
{
    return driver_main(argc, argv, cases);
}
