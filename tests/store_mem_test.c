/* store_mem_test.c -- what only the store in memory promises: task 3.4.
 *
 * Given.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "tests/store_test.h"

static const struct store_options defaults;

static void names_itself(const struct run *run)
{
    struct place p;

    (void)run;
    place_make(&p, defaults);
    expect_str("store_engine", store_engine(p.store), "mem");
    expect_int("keys of a new store", stats_of(p.store).keys, 0);
    expect_int("store_set", put(p.store, "a", "1"), 0);
    expect_int("store_set", put(p.store, "b", "2"), 0);
    expect_int("store_set", put(p.store, "a", "3"), 0);
    expect_int("keys", stats_of(p.store).keys, 2);
    expect_int("store_remove", drop(p.store, "a"), 0);
    expect_int("keys", stats_of(p.store).keys, 1);
    expect_true("memory", stats_of(p.store).index_bytes > 0);
    expect_int("store_sync", store_sync(p.store), 0);
    expect_value("after it", p.store, "b", "2");
    place_leave(&p);
}

static void forgets(const struct run *run)
{
    struct store *s = NULL;
    struct place p;

    (void)run;
    place_make(&p, defaults);
    expect_int("store_set", put(p.store, "key", "value"), 0);
    expect_value("store_get", p.store, "key", "value");
    expect_int("bytes in the directory", bytes_in(p.dir), 0);
    expect_int("a second store of the same directory",
               store_open(&s, p.dir, NULL), 0);
    expect_value("it is another one", s, "key", NULL);
    expect_int("store_close", store_close(s), 0);
    expect_int("store_close", store_close(p.store), 0);
    expect_int("rmdir: nothing was made in it", rmdir(p.dir), 0);
    expect_int("no directory is needed", store_open(&s, p.dir, NULL), 0);
    expect_value("nothing was kept", s, "key", NULL);
    expect_int("store_close", store_close(s), 0);
    expect_int("none is made", access(p.dir, F_OK), -1);
    expect_int("store_close of NULL", store_close(NULL), 0);
}

static void refuses(const struct run *run)
{
    struct store *s = NULL;
    struct store_options o = { .engine = "mem" };
    char dir[64], path[100];

    (void)run;
    scratch_make(dir);
    expect_int("its own name", store_open(&s, dir, &o), 0);
    expect_int("store_set", put(s, "key", "value"), 0);
    expect_int("store_close", store_close(s), 0);
    o.engine = "kvs";
    expect_int("another's name", store_open(&s, dir, &o), -ENOENT);
    o.engine = NULL;
    o.read_only = true;
    expect_int("reading what was kept: nothing is", store_open(&s, dir, &o),
               -ENOENT);
    snprintf(path, sizeof path, "%s/KVS-STORE", dir);
    FILE *f = fopen(path, "we");
    expect_true("a marker", f && fputs("engine kvs\nformat 1\n", f) >= 0 &&
                fclose(f) == 0);
    size_t before = bytes_in(dir);
    o.read_only = false;
    expect_int("another's directory", store_open(&s, dir, &o), -EMEDIUMTYPE);
    o.engine = "mem";
    expect_int("another's directory", store_open(&s, dir, &o), -EMEDIUMTYPE);
    o.read_only = true;
    expect_int("the same, to be read", store_open(&s, dir, &o), -EMEDIUMTYPE);
    o.read_only = false;
    expect_int("no directory but a file", store_open(&s, path, &o), -ENOTDIR);
    expect_int("bytes in it", bytes_in(dir), before);
    scratch_remove(dir);
}

/* What was removed makes room again. */
static void memory_comes_back(const struct run *run)
{
    static unsigned char value[4096];
    uint64_t most = 0;
    struct place p;

    place_make(&p, defaults);
    for (size_t i = 0; i < run->size; i++) {
        char key[32];

        snprintf(key, sizeof key, "key%zu", i);
        expect_int("store_set of 4 KiB", store_set(p.store, slice_str(key),
                   slice_of(value, sizeof value)), 0);
        expect_int("store_remove", drop(p.store, key), 0);
        if (i == 100)
            most = stats_of(p.store).index_bytes;
    }
    expect_int("keys", stats_of(p.store).keys, 0);
    expect_true("memory after endless set and remove",
                stats_of(p.store).index_bytes <= 2 * most);
    place_leave(&p);
}

const struct test_case store_own_cases[] = {
    { "names_itself", names_itself, 1 },
    { "forgets", forgets, 1 },
    { "refuses", refuses, 1 },
    { "memory_comes_back", memory_comes_back, 20000 },
    { NULL, NULL, 0 },
};
