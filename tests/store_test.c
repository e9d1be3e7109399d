/* store_test.c -- the cases of task 2.7 that one thread can do: keys and
 * values, reopening, batches, whose directory it is.
 *
 * Given.
 */
#include "tests/store_test.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "stage2-server/dir.h"
#include "stage2-server/record.h"

/* ---- what all share ------------------------------------------------------ */

void place_open(struct place *p)
{
    if (!STORE_KEEPS && p->store)
        return;
    p->store = NULL;
    expect_int("store_open", store_open(&p->store, p->dir, &p->options), 0);
    expect_true("store_open sets *out", p->store != NULL);
}

void place_make(struct place *p, struct store_options options)
{
    scratch_make(p->dir);
    p->options = options;
    p->store = NULL;
    place_open(p);
}

void place_close(struct place *p)
{
    if (STORE_KEEPS)
        expect_int("store_close", store_close(p->store), 0);
}

void place_leave(struct place *p)
{
    expect_int("store_close", store_close(p->store), 0);
    scratch_remove(p->dir);
}

int put(struct store *s, const char *key, const char *value)
{
    return store_set(s, slice_str(key), slice_str(value));
}

int drop(struct store *s, const char *key)
{
    return store_remove(s, slice_str(key));
}

void check_value(const char *file, int line, const char *tried,
                 struct store *s, const char *key, const char *text)
{
    struct buf value = { 0 };
    int err = store_get(s, slice_str(key), &value);

    if (err != (text ? 0 : -ENOENT))
        fail_case(file, line, tried, text ? text : "-ENOENT", "%s",
                  err ? strerrorname_np(-err) : "a value");
    if (text && !slice_equal(buf_slice(&value), slice_str(text)))
        fail_case(file, line, tried, text, "%.*s",
                  (int)(value.len < 200 ? value.len : 200),
                  (const char *)value.ptr);
    buf_release(&value);
}

static int add_size(void *arg, const char *name)
{
    struct stat st;
    char path[400];
    size_t *sum = ((void **)arg)[1];

    snprintf(path, sizeof path, "%s/%s", (char *)((void **)arg)[0], name);
    if (stat(path, &st) == 0)
        *sum += (size_t)st.st_size;
    return 0;
}

size_t bytes_in(const char *dir)
{
    size_t sum = 0;
    struct dir d = { .fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC) };
    void *arg[] = { (void *)dir, &sum };

    dir_each(&d, add_size, arg);
    close(d.fd);
    return sum;
}

struct store_stats stats_of(struct store *s)
{
    struct store_stats stats = { .keys = 77 };

    store_stats(s, &stats);
    return stats;
}

static const struct store_options defaults;

/* ---- keys and values ----------------------------------------------------- */

static void set_get(const struct run *run)
{
    struct place p;

    (void)run;
    place_make(&p, defaults);
    expect_int("store_set", put(p.store, "key1", "value1"), 0);
    expect_int("store_set", put(p.store, "key2", "value2"), 0);
    expect_value("store_get", p.store, "key1", "value1");
    expect_value("store_get", p.store, "key2", "value2");
    place_close(&p);
    place_open(&p);
    expect_value("store_get after reopening", p.store, "key1", "value1");
    expect_value("store_get after reopening", p.store, "key2", "value2");
    place_leave(&p);
}

static void overwrite(const struct run *run)
{
    struct place p;

    (void)run;
    place_make(&p, defaults);
    expect_int("store_set", put(p.store, "key", "one"), 0);
    expect_value("store_get", p.store, "key", "one");
    expect_int("store_set of a key that is there",
               put(p.store, "key", "a longer two"), 0);
    expect_value("store_get", p.store, "key", "a longer two");
    place_close(&p);
    place_open(&p);
    expect_value("after reopening", p.store, "key", "a longer two");
    expect_int("store_set", put(p.store, "key", "3"), 0);
    expect_value("store_get", p.store, "key", "3");
    place_leave(&p);
}

static void absent(const struct run *run)
{
    struct place p;
    struct buf value = { 0 };

    (void)run;
    place_make(&p, defaults);
    expect_int("store_set", put(p.store, "here", "x"), 0);
    expect_value("a key that was never set", p.store, "not", NULL);
    expect_int("buf_replace", buf_replace(&value, slice_str("as before")), 0);
    expect_int("store_get of it", store_get(p.store, slice_str("not"), &value),
               -ENOENT);
    expect_true("the value is untouched by an error",
                slice_equal(buf_slice(&value), slice_str("as before")));
    place_close(&p);
    place_open(&p);
    expect_value("after reopening", p.store, "not", NULL);
    expect_value("after reopening", p.store, "here", "x");
    buf_release(&value);
    place_leave(&p);
}

static void removing(const struct run *run)
{
    struct place p;

    (void)run;
    place_make(&p, defaults);
    expect_int("store_set", put(p.store, "key", "value"), 0);
    size_t before = bytes_in(p.dir);
    expect_int("store_remove of an absent key", drop(p.store, "no"), -ENOENT);
    expect_int("bytes in the directory after it", bytes_in(p.dir), before);
    expect_int("store_remove", drop(p.store, "key"), 0);
    expect_value("a removed key", p.store, "key", NULL);
    expect_int("store_remove again", drop(p.store, "key"), -ENOENT);
    place_close(&p);
    place_open(&p);
    expect_value("a removed key, after reopening", p.store, "key", NULL);
    expect_int("store_remove, after reopening", drop(p.store, "key"), -ENOENT);
    expect_int("store_set of a removed key", put(p.store, "key", "new"), 0);
    place_close(&p);
    place_open(&p);
    expect_value("set again, after reopening", p.store, "key", "new");
    place_leave(&p);
}

static void bytes(const struct run *run)
{
    struct place p;
    struct buf value = { 0 };
    struct slice key = slice_of("a\0b", 3), zeros = slice_of("\0\0\n\xff", 4);

    (void)run;
    place_make(&p, defaults);
    expect_int("a key and a value with NULs", store_set(p.store, key, zeros),
               0);
    expect_int("a key like its start", put(p.store, "a", "short"), 0);
    expect_int("an empty value", put(p.store, "empty", ""), 0);
    for (int round = 0; round < 2; round++) {
        expect_int("store_get", store_get(p.store, key, &value), 0);
        expect_true("every byte is there",
                    slice_equal(buf_slice(&value), zeros));
        expect_value("the key like its start", p.store, "a", "short");
        expect_value("an empty value is not a missing key", p.store, "empty",
                     "");
        place_close(&p);
        place_open(&p);
    }
    buf_release(&value);
    place_leave(&p);
}

static void limits(const struct run *run)
{
    struct place p;
    struct buf big = { 0 }, value = { 0 };

    (void)run;
    place_make(&p, defaults);
    expect_int("store_set", put(p.store, "key", "value"), 0);
    expect_int("memory", buf_reserve(&big, RECORD_VALUE_MAX + 1), 0);
    memset(big.ptr, 'v', RECORD_VALUE_MAX + 1);
    struct slice longest = slice_of(big.ptr, STORE_KEY_MAX);
    struct slice largest = slice_of(big.ptr, RECORD_VALUE_MAX);
    expect_int("the longest key, the largest value",
               store_set(p.store, longest, largest), 0);
    expect_int("a longer key", store_set(p.store, slice_of(big.ptr,
               STORE_KEY_MAX + 1), slice_str("v")), -EMSGSIZE);
    expect_int("getting a longer key", store_get(p.store, slice_of(big.ptr,
               STORE_KEY_MAX + 1), &value), -EMSGSIZE);
    expect_int("removing a longer key", store_remove(p.store,
               slice_of(big.ptr, STORE_KEY_MAX + 1)), -EMSGSIZE);
    expect_int("a larger value", store_set(p.store, slice_str("k"),
               slice_of(big.ptr, RECORD_VALUE_MAX + 1)), -EMSGSIZE);
    expect_int("an empty key", store_set(p.store, slice_str(""), largest),
               -EINVAL);
    expect_int("getting an empty key", store_get(p.store, slice_str(""),
               &value), -EINVAL);
    expect_int("store_key_max", store_key_max(p.store), STORE_KEY_MAX);
    place_close(&p);
    place_open(&p);
    expect_int("store_get", store_get(p.store, longest, &value), 0);
    expect_true("the largest value is whole",
                slice_equal(buf_slice(&value), largest));
    buf_release(&big);
    buf_release(&value);
    place_leave(&p);
}

/* Random changes beside an array that knows better, with reopenings. */
enum { MODEL_KEYS = 40 };

static void check_model(struct store *s, const unsigned model[MODEL_KEYS])
{
    char key[32], text[32];
    size_t there = 0;

    for (unsigned k = 0; k < MODEL_KEYS; k++) {
        snprintf(key, sizeof key, "key%u", k);
        snprintf(text, sizeof text, "value %u of %u", model[k], k);
        expect_value("a key of the model", s, key, model[k] ? text : NULL);
        there += model[k] != 0;
    }
    expect_int("how many keys there are", stats_of(s).keys, there);
}

static void model(const struct run *run)
{
    unsigned model[MODEL_KEYS] = { 0 };
    uint64_t random = run->seed;
    char key[32], text[32];
    struct place p;

    place_make(&p, defaults);
    for (unsigned i = 1; i <= run->size; i++) {
        unsigned k = (unsigned)(next_random(&random) % MODEL_KEYS);

        snprintf(key, sizeof key, "key%u", k);
        snprintf(text, sizeof text, "value %u of %u", i, k);
        if (next_random(&random) % 4 == 0) {
            expect_int("store_remove", drop(p.store, key),
                       model[k] ? 0 : -ENOENT);
            model[k] = 0;
        } else {
            expect_int("store_set", put(p.store, key, text), 0);
            model[k] = i;
        }
        if (next_random(&random) % (run->size / 4) == 0) {
            check_model(p.store, model);
            place_close(&p);
            place_open(&p);
        }
    }
    check_model(p.store, model);
    place_leave(&p);
}

static int seen_key(void *arg, struct slice key, struct slice value)
{
    unsigned *seen = arg;
    char text[8] = { 0 };

    memcpy(text, key.ptr, key.len < 7 ? key.len : 7);
    expect_true("the value belongs to the key", slice_equal(key, value));
    seen[atoi(text)]++;
    return 0;
}

static int stop_at_once(void *arg, struct slice key, struct slice value)
{
    (void)key, (void)value;
    ++*(int *)arg;
    return -EINTR;
}

static void scan(const struct run *run)
{
    unsigned seen[100] = { 0 };
    char key[16];
    struct place p;
    int calls = 0;

    (void)run;
    place_make(&p, defaults);
    for (int i = 0; i < 100; i++) {
        snprintf(key, sizeof key, "%d", i);
        expect_int("store_set", put(p.store, key, key), 0);
    }
    expect_int("store_remove", drop(p.store, "50"), 0);
    expect_int("store_scan", store_scan(p.store, seen_key, seen), 0);
    for (int i = 0; i < 100; i++)
        expect_int("how often a key was seen", seen[i], i != 50);
    expect_int("what fn answers ends it", store_scan(p.store, stop_at_once,
               &calls), -EINTR);
    expect_int("calls of fn", calls, 1);
    place_leave(&p);
}

static void counts(const struct run *run)
{
    struct place p;

    (void)run;
    place_make(&p, defaults);
    expect_str("store_engine", store_engine(p.store), "kvs");
    expect_int("keys of a new store", stats_of(p.store).keys, 0);
    expect_int("store_set", put(p.store, "a", "12345"), 0);
    expect_int("store_set", put(p.store, "b", "12345"), 0);
    uint64_t one = record_size(1, 5);
    expect_int("keys", stats_of(p.store).keys, 2);
    expect_int("live bytes", stats_of(p.store).live_bytes, 2 * one);
    expect_int("dead bytes", stats_of(p.store).dead_bytes, 0);
    expect_int("store_set", put(p.store, "a", "54321"), 0);
    expect_int("dead bytes after one was overwritten",
               stats_of(p.store).dead_bytes, one);
    expect_int("store_remove", drop(p.store, "b"), 0);
    expect_int("live bytes after one was removed",
               stats_of(p.store).live_bytes, one);
    expect_int("dead bytes: two records and the tombstone",
               stats_of(p.store).dead_bytes, 2 * one + record_size(1, 0));
    expect_int("the sequence number", stats_of(p.store).sequence, 4);
    place_close(&p);
    place_open(&p);
    expect_int("keys, after reopening", stats_of(p.store).keys, 1);
    expect_int("live bytes, after reopening", stats_of(p.store).live_bytes,
               one);
    expect_int("dead bytes, after reopening (marks are none)",
               stats_of(p.store).dead_bytes, 2 * one + record_size(1, 0));
    expect_int("the sequence number, after reopening",
               stats_of(p.store).sequence, 4);
    expect_true("bytes on the disk", stats_of(p.store).disk_bytes >= 4 * one);
    place_leave(&p);
}

/* ---- batches ------------------------------------------------------------- */

static struct store_op op_set(const char *key, const char *value)
{
    return (struct store_op){ .kind = STORE_SET, .key = slice_str(key),
                              .value = slice_str(value), .result = 99 };
}

static struct store_op op_drop(const char *key)
{
    return (struct store_op){ .kind = STORE_REMOVE, .key = slice_str(key),
                              .result = 99 };
}

static struct store_op op_get(const char *key, struct buf *into)
{
    return (struct store_op){ .kind = STORE_GET, .key = slice_str(key),
                              .into = into, .result = 99 };
}

static void expect_got(const char *tried, const struct store_op *op,
                       const char *text)
{
    expect_int(tried, op->result, 0);
    expect_true(tried, slice_equal(slice_of(op->into->ptr + op->into_at,
                op->into_len), slice_str(text)));
}

static void batch_in_order(const struct run *run)
{
    struct place p;
    struct buf into = { 0 };

    (void)run;
    place_make(&p, defaults);
    expect_int("store_set", put(p.store, "a", "old"), 0);
    struct store_op ops[] = {
        op_get("a", &into), op_set("a", "new"), op_get("a", &into),
        op_drop("a"), op_get("a", &into), op_drop("a"), op_set("a", "last"),
        op_drop("b"), op_set("b", "1"), op_drop("b"), op_set("b", "2"),
        op_get("b", &into), op_get("b", NULL), op_get("c", NULL),
        op_set("", "x"),
    };
    expect_int("store_apply", store_apply(p.store, ops,
               sizeof ops / sizeof *ops), 0);
    expect_got("a get before the set", &ops[0], "old");
    expect_int("a set", ops[1].result, 0);
    expect_got("a get behind the set", &ops[2], "new");
    expect_int("a remove of what was just set", ops[3].result, 0);
    expect_int("a get behind the remove", ops[4].result, -ENOENT);
    expect_int("a remove of what was just removed", ops[5].result, -ENOENT);
    expect_int("a set behind the remove", ops[6].result, 0);
    expect_int("a remove before anything was set", ops[7].result, -ENOENT);
    expect_int("a remove behind the set", ops[9].result, 0);
    expect_got("a get of the second set", &ops[11], "2");
    expect_int("a get into nothing: it is there", ops[12].result, 0);
    expect_int("a get into nothing: it is not", ops[13].result, -ENOENT);
    expect_int("an empty key", ops[14].result, -EINVAL);
    for (int round = 0; round < 2; round++) {
        expect_value("after the batch", p.store, "a", "last");
        expect_value("after the batch", p.store, "b", "2");
        place_close(&p);
        place_open(&p);
    }
    buf_release(&into);
    place_leave(&p);
}

static void batch_shares_into(const struct run *run)
{
    struct place p;
    struct buf into = { 0 };

    (void)run;
    place_make(&p, defaults);
    expect_int("store_set", put(p.store, "a", "first"), 0);
    expect_int("store_set", put(p.store, "b", "second"), 0);
    expect_int("bytes before", buf_append(&into, "head", 4), 0);
    struct store_op ops[] = { op_get("a", &into), op_get("none", &into),
                              op_get("b", &into) };
    expect_int("store_apply", store_apply(p.store, ops, 3), 0);
    expect_got("the first value", &ops[0], "first");
    expect_int("what is not there", ops[1].result, -ENOENT);
    expect_got("the second value", &ops[2], "second");
    expect_true("one behind the other, behind what was there",
                slice_equal(buf_slice(&into), slice_str("headfirstsecond")));
    buf_release(&into);
    place_leave(&p);
}

static void batch_groups(const struct run *run)
{
    struct place p;
    struct buf into = { 0 };

    (void)run;
    place_make(&p, defaults);
    expect_int("store_set", put(p.store, "long", "0123456789"), 0);
    expect_int("store_set", put(p.store, "short", "01234"), 0);
    struct store_op ops[] = {
        op_get("short", &into), op_set("x", "1"), op_get("long", &into),
        op_set("x", "2"), op_get("short", &into),
        op_set("y", "3"), op_get("short", &into), op_get("x", &into),
    };
    for (int i = 0; i < 8; i++) {
        ops[i].group = i < 5 ? 7 : 8;
        ops[i].into_max = 5;
    }
    expect_int("store_apply", store_apply(p.store, ops, 8), 0);
    expect_got("a value as long as into_max", &ops[0], "01234");
    expect_int("a set before the value that is too long", ops[1].result, 0);
    expect_int("the value that is too long", ops[2].result, -ENOBUFS);
    expect_int("how long it is", ops[2].into_len, 10);
    expect_int("a set behind it, of its group", ops[3].result, -ECANCELED);
    expect_int("a get behind it, of its group", ops[4].result, -ECANCELED);
    expect_int("a set of another group", ops[5].result, 0);
    expect_got("a get of another group", &ops[6], "01234");
    expect_got("a get of what the first group did", &ops[7], "1");
    expect_int("bytes copied, all in all", into.len, 11);
    expect_value("only what was done", p.store, "x", "1");
    expect_value("only what was done", p.store, "y", "3");
    ops[2].into = NULL;
    expect_int("store_apply of gets", store_apply(p.store, &ops[2], 1), 0);
    expect_int("only whether it is there: into_max does not count",
               ops[2].result, 0);
    expect_int("how long it is", ops[2].into_len, 10);
    place_close(&p);
    place_open(&p);
    expect_value("after reopening", p.store, "x", "1");
    buf_release(&into);
    place_leave(&p);
}

/* Batches of random operations, beside the same ones done singly. */
static void batch_model(const struct run *run)
{
    enum { OPS = 60, KEYS = 5 };
    uint64_t random = run->seed;
    struct place p, single;
    struct buf into = { 0 }, value = { 0 };
    struct store_op ops[OPS];
    char keys[OPS][8], values[OPS][48];

    place_make(&p, defaults);
    place_make(&single, defaults);
    for (size_t round = 0; round < run->size; round++) {
        size_t n = 1 + next_random(&random) % OPS;

        buf_clear(&into);
        for (size_t i = 0; i < n; i++) {
            snprintf(keys[i], sizeof keys[i], "k%u",
                     (unsigned)(next_random(&random) % KEYS));
            snprintf(values[i], sizeof values[i], "%zu.%zu", round,
                     i);
            /* Every other time mostly gets. */
            switch (next_random(&random) % (round % 2 ? 3 : 20)) {
            case 0: ops[i] = op_set(keys[i], values[i]); break;
            case 1: ops[i] = op_drop(keys[i]); break;
            default: ops[i] = op_get(keys[i], &into); break;
            }
        }
        expect_int("store_apply", store_apply(p.store, ops, n), 0);
        for (size_t i = 0; i < n; i++) {
            int want;

            if (ops[i].kind == STORE_SET)
                want = store_set(single.store, ops[i].key, ops[i].value);
            else if (ops[i].kind == STORE_REMOVE)
                want = store_remove(single.store, ops[i].key);
            else
                want = store_get(single.store, ops[i].key, &value);
            expect_int("an op answers what the single call does",
                       ops[i].result, want);
            if (ops[i].kind == STORE_GET && want == 0)
                expect_true("a get brings what the single call does",
                            slice_equal(buf_slice(&value),
                            slice_of(into.ptr + ops[i].into_at,
                                     ops[i].into_len)));
        }
    }
    buf_release(&into);
    buf_release(&value);
    place_leave(&p);
    place_leave(&single);
}

static void batch_large(const struct run *run)
{
    struct store_op *ops = calloc(run->size, sizeof *ops);
    char (*keys)[32] = calloc(run->size, sizeof *keys);
    struct place p;

    place_make(&p, defaults);
    for (size_t i = 0; i < run->size; i++) {
        snprintf(keys[i], sizeof keys[i], "key%zu", i);
        ops[i] = op_set(keys[i], keys[i]);
    }
    expect_int("store_apply", store_apply(p.store, ops, run->size), 0);
    for (size_t i = 0; i < run->size; i++)
        expect_int("each set of it", ops[i].result, 0);
    place_close(&p);
    place_open(&p);
    expect_int("keys, after reopening", stats_of(p.store).keys, run->size);
    expect_value("the last", p.store, keys[run->size - 1],
                 keys[run->size - 1]);
    free(ops);
    free(keys);
    place_leave(&p);
}

/* ---- whose directory it is ----------------------------------------------- */

static void one_at_a_time(const struct run *run)
{
    struct store *second = (struct store *)&second;
    struct store_options reading = { .read_only = true };
    struct place p;

    (void)run;
    place_make(&p, defaults);
    expect_int("store_set", put(p.store, "key", "value"), 0);
    expect_int("opening it twice", store_open(&second, p.dir, NULL), -EBUSY);
    expect_int("opening it twice, to read", store_open(&second, p.dir,
               &reading), -EBUSY);
    expect_true("*out is untouched", second == (struct store *)&second);
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0)
        _exit(store_open(&second, p.dir, NULL) == -EBUSY ? 0 : 1);
    int status = -1;
    waitpid(pid, &status, 0);
    expect_int("status of a process that finds it busy", status, 0);
    expect_value("it still serves", p.store, "key", "value");
    place_close(&p);
    place_open(&p);
    place_leave(&p);
}

static void write_file(const char *dir, const char *name, const char *text)
{
    char path[400];

    snprintf(path, sizeof path, "%s/%s", dir, name);
    FILE *f = fopen(path, "we");
    expect_true("a file of the test's own", f && fputs(text, f) >= 0 &&
                fclose(f) == 0);
}

static void refusals(const struct run *run)
{
    struct store *s = NULL;
    struct store_options named = { .engine = STORE_NAME };
    struct place p;

    (void)run;
    place_make(&p, named);
    expect_int("store_set", put(p.store, "key", "value"), 0);
    place_close(&p);
    write_file(p.dir, DIR_MARKER, "engine other\nformat 1\n");
    size_t before = bytes_in(p.dir);
    expect_int("the directory of another engine", store_open(&s, p.dir,
               &named), -EMEDIUMTYPE);
    expect_int("the same, by the engine that made it", store_open(&s, p.dir,
               NULL), -EMEDIUMTYPE);
    write_file(p.dir, DIR_MARKER, "engine " STORE_NAME "\nformat 9\n");
    before = bytes_in(p.dir);
    expect_int("a newer format", store_open(&s, p.dir, NULL), -ENOTSUP);
    expect_int("bytes in the directory after refusing", bytes_in(p.dir),
               before);
    write_file(p.dir, DIR_MARKER, "engine " STORE_NAME "\nformat 1\n");
    place_open(&p);
    expect_value("what was in it all the time", p.store, "key", "value");
    place_close(&p);
    named.engine = "no such engine";
    expect_int("an unknown engine", store_open(&s, p.dir, &named), -ENOENT);
    expect_int("a directory whose parent is not there",
               store_open(&s, "/nowhere/at/all", NULL), -ENOENT);
    scratch_remove(p.dir);
}

static void reading_only(const struct run *run)
{
    struct store *s = NULL;
    struct store_options reading = { .read_only = true };
    struct place p;

    (void)run;
    place_make(&p, defaults);
    expect_int("store_set", put(p.store, "key", "value"), 0);
    expect_int("store_set", put(p.store, "gone", "value"), 0);
    expect_int("store_remove", drop(p.store, "gone"), 0);
    place_close(&p);
    size_t before = bytes_in(p.dir);
    expect_int("store_open to read", store_open(&s, p.dir, &reading), 0);
    expect_value("store_get", s, "key", "value");
    expect_value("store_get", s, "gone", NULL);
    expect_int("store_set", put(s, "key", "new"), -EROFS);
    expect_int("store_remove", drop(s, "key"), -EROFS);
    expect_int("store_sync", store_sync(s), 0);
    expect_value("store_get after that", s, "key", "value");
    expect_int("store_close", store_close(s), 0);
    expect_int("bytes in the directory", bytes_in(p.dir), before);
    scratch_remove(p.dir);
    expect_int("reading where nothing is", store_open(&s, p.dir, &reading),
               -ENOENT);
    expect_int("nothing was made", access(p.dir, F_OK), -1);
}

static void makes_directory(const struct run *run)
{
    char dir[64], inner[80];
    struct store *s = NULL;

    (void)run;
    scratch_make(dir);
    snprintf(inner, sizeof inner, "%s/new", dir);
    expect_int("store_open makes the directory", store_open(&s, inner, NULL),
               0);
    expect_int("store_set", put(s, "key", "value"), 0);
    expect_int("store_close", store_close(s), 0);
    expect_int("store_close of NULL", store_close(NULL), 0);
    scratch_remove(inner);
    scratch_remove(dir);
}

/* ---- when it is closed and opened ---------------------------------------- */

struct print {
    uint64_t sum;
    struct timespec newest;
    const char *dir;
};

static int add_print(void *arg, const char *name)
{
    struct print *print = arg;
    char path[400];
    struct stat st;
    unsigned char c;

    snprintf(path, sizeof path, "%s/%s", print->dir, name);
    FILE *f = fopen(path, "re");
    expect_true("a file of the store", f && fstat(fileno(f), &st) == 0);
    while (fread(&c, 1, 1, f) == 1)
        print->sum = print->sum * 1099511628211u + c + 1;
    fclose(f);
    if (st.st_mtim.tv_sec > print->newest.tv_sec ||
        (st.st_mtim.tv_sec == print->newest.tv_sec &&
         st.st_mtim.tv_nsec > print->newest.tv_nsec))
        print->newest = st.st_mtim;
    return 0;
}

static struct print print_of(const char *dir)
{
    struct print print = { .dir = dir };
    struct dir d = { .fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC) };

    dir_each(&d, add_print, &print);
    close(d.fd);
    return print;
}

static void second_open_writes_nothing(const struct run *run)
{
    struct place p;

    (void)run;
    place_make(&p, defaults);
    expect_int("store_set", put(p.store, "key", "value"), 0);
    place_close(&p);
    struct print before = print_of(p.dir);
    for (int i = 0; i < 3; i++) {
        place_open(&p);
        expect_value("store_get", p.store, "key", "value");
        place_close(&p);
    }
    struct print after = print_of(p.dir);
    expect_true("I6: the files are byte by byte as before",
                before.sum == after.sum);
    expect_true("I6: nothing was written, not even the same again",
                before.newest.tv_sec == after.newest.tv_sec &&
                before.newest.tv_nsec == after.newest.tv_nsec);
    scratch_remove(p.dir);
}

struct progress {
    unsigned calls;
    uint64_t done, of;
};

static void note_progress(void *arg, uint64_t done, uint64_t of)
{
    struct progress *p = arg;

    expect_true("progress goes up", done >= p->done && done <= of);
    p->calls++;
    p->done = done;
    p->of = of;
}

static void recovery_tells(const struct run *run)
{
    static unsigned char value[64 << 10];
    struct progress progress = { 0 };
    struct place p;
    char key[32];

    place_make(&p, defaults);
    for (size_t i = 0; i < run->size; i++) {
        snprintf(key, sizeof key, "key%zu", i);
        expect_int("store_set", store_set(p.store, slice_str(key),
                   slice_of(value, sizeof value)), 0);
    }
    place_close(&p);
    p.options.progress = note_progress;
    p.options.progress_arg = &progress;
    place_open(&p);
    expect_int("keys, after reopening", stats_of(p.store).keys, run->size);
    expect_true("progress was told while opening", progress.calls >= 2);
    expect_true("of all bytes", progress.of >= run->size * sizeof value);
    place_leave(&p);
}

static const struct test_case cases[] = {
    { "set_get", set_get, 1 },
    { "overwrite", overwrite, 1 },
    { "absent", absent, 1 },
    { "removing", removing, 1 },
    { "bytes", bytes, 1 },
    { "limits", limits, 1 },
    { "model", model, 2000 },
    { "scan", scan, 1 },
    { "counts", counts, 1 },
    { "batch_in_order", batch_in_order, 1 },
    { "batch_shares_into", batch_shares_into, 1 },
    { "batch_groups", batch_groups, 1 },
    { "batch_model", batch_model, 500 },
    { "batch_large", batch_large, 3000 },
    { "one_at_a_time", one_at_a_time, 1 },
    { "refusals", refusals, 1 },
    { "reading_only", reading_only, 1 },
    { "makes_directory", makes_directory, 1 },
    { "second_open_writes_nothing", second_open_writes_nothing, 1 },
    { "recovery_tells", recovery_tells, 300 },
    { NULL, NULL, 0 },
};

int main(int argc, char **argv)
{
    static const struct test_case *const tables[] = {
        cases, store_hard_cases, store_history_cases,
#if defined(STORE_IS_mem) || defined(STORE_IS_lmdb)
        store_own_cases,
#endif
        NULL
    };

    return driver_tables(argc, argv, tables);
}
