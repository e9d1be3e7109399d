/* table_test.c -- the cases of task 2.2 with one thread.
 *
 * Given.
 */
#include "tests/table_test.h"

/* ---- 2.2: one thread ----------------------------------------------------- */

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

/* Of 0 to 60 keys at once: some absent, some too long for their room, some
 * twice, one that is no key. */
static void many(const struct run *run)
{
    enum { MOST = 60, PRESENT = 40 };
    struct table *table = made_default();
    struct table_lookup l[MOST + 1];
    char text[MOST][TEXT];
    uint64_t random = run->seed, to[MOST], keys[MOST];

    for (uint64_t k = 0; k < PRESENT; k++)
        expect_int("insert", put(table, k, 1000 + k), 0);
    for (size_t n = 0; n <= MOST; n++) {
        for (size_t i = 0; i < n; i++) {
            keys[i] = next_random(&random) % (PRESENT + 10);
            to[i] = 7;
            l[i] = (struct table_lookup){ key_of(text[i], keys[i]), &to[i],
                                          i % 5 == 4 ? 7 : 8, 12345 };
        }
        if (n > 10)
            l[n / 2].key.len = 0;
        l[n].len = 12345;
        table_lookup_many(table, l, n);
        for (size_t i = 0; i < n; i++) {
            bool there = keys[i] < PRESENT, fits = l[i].room == 8;
            bool bad = n > 10 && i == n / 2;

            expect_int("each of many lookups", l[i].len,
                       bad ? -EINVAL : there ? 8 : -ENOENT);
            expect_int("what it copies", to[i],
                       !bad && there && fits ? 1000 + keys[i] : 7);
        }
        expect_int("the one behind them", l[n].len, 12345);
    }
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

/* ---- 2.2: a model -------------------------------------------------------- */

/* What should be in the table: the value of key n is `len[n]` bytes, made
 * from `seed[n]`; no value: -1. */
enum { KEYS = 200 };

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

/* ---- 2.2: full ----------------------------------------------------------- */

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

static const struct test_case cases[] = {
    { "basics", basics, 1 },
    { "create_checks", create_checks, 1 },
    { "bytes", bytes, 1 },
    { "room", room, 1 },
    { "many", many, 1 },
    { "chain", chain, 64 },
    { "decisions", decisions, 1 },
    { "model", model, 100000 },
    { "model_fixed", model_fixed, 100000 },
    { "full", full, 512 },
    { "full_again", full_again, 512 },
    { "nothing_is_lost", nothing_is_lost, 20000 },
    { "stats", stats, 500 },
    { "destroy_takes_all", destroy_takes_all, 2000 },
    { NULL, NULL, 0 },
};

int main(int argc, char **argv)
{
    static const struct test_case *const tables[] = { cases, hard_cases, NULL };

    return driver_tables(argc, argv, tables);
}
