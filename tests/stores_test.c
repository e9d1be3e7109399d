/* stores_test.c -- which engine opens a directory: task 3.6. First with
 * engines that only note who called them, then with the real ones behind the
 * dispatcher.
 *
 * Given.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "stage2-server/dir.h"
#include "stage3-abstract/store_ops.h"
#include "tests/driver.h"
#include "tests/scratch.h"

/* ---- engines that only note ---------------------------------------------- */

static struct {
    int answer;                 /* of the next open */
    unsigned calls;
    char name[32], dir[64];     /* of the last one */
    struct store_options options;
} noted;

static int a_handle, b_handle;

static int note_open(const char *name, const char *dir,
                     const struct store_options *options)
{
    noted.calls++;
    snprintf(noted.name, sizeof noted.name, "%s", name);
    snprintf(noted.dir, sizeof noted.dir, "%s", dir);
    expect_true("an engine is given options", options != NULL);
    noted.options = *options;
    expect_str("and its own name", options->engine, name);
    noted.options.engine = NULL;
    return noted.answer;
}

static int open_a(void **out, const char *dir,
                  const struct store_options *options)
{
    *out = &a_handle;
    return note_open("a", dir, options);
}

static int open_b(void **out, const char *dir,
                  const struct store_options *options)
{
    *out = &b_handle;
    return note_open("b", dir, options);
}

static const struct store_ops a = { .name = "a", .open = open_a };
static const struct store_ops b = { .name = "b", .open = open_b };
static const struct store_ops *const engines[] = { &a, &b, NULL };

static void write_marker(const char *dir, const char *text)
{
    char path[100];

    snprintf(path, sizeof path, "%s/%s", dir, DIR_MARKER);
    FILE *f = fopen(path, "we");
    expect_true("a marker", f && fputs(text, f) >= 0 && fclose(f) == 0);
}

static int open_as(const char *dir, const char *engine,
                   const struct store_ops **ops, void **handle)
{
    struct store_options options = { .engine = engine };

    noted.calls = 0;
    return store_open_named(engines, dir, &options, ops, handle);
}

static void expect_opened(const char *tried, const char *dir,
                          const char *engine, const struct store_ops *wanted,
                          void *wanted_handle)
{
    const struct store_ops *ops = NULL;
    void *handle = NULL;

    expect_int(tried, open_as(dir, engine, &ops, &handle), 0);
    expect_int("calls of an engine's open", noted.calls, 1);
    expect_str("the engine", noted.name, wanted->name);
    expect_true("*ops is that engine's", ops == wanted);
    expect_true("*handle is what it has opened", handle == wanted_handle);
    expect_str("the directory", noted.dir, dir);
}

static void expect_refused(const char *tried, const char *dir,
                           const char *engine, int wanted)
{
    const struct store_ops *ops = &a;
    void *handle = &handle;

    expect_int(tried, open_as(dir, engine, &ops, &handle), wanted);
    expect_int("calls of an engine's open", noted.calls, 0);
    expect_true("outputs are untouched", ops == &a && handle == &handle);
}

static void by_name(const struct run *run)
{
    char dir[64];

    (void)run;
    scratch_make(dir);
    expect_opened("the second", dir, "b", &b, &b_handle);
    expect_opened("the first", dir, "a", &a, &a_handle);
    expect_refused("one that is not in the list", dir, "c", -ENOENT);
    expect_refused("only the start of a name", dir, "", -ENOENT);
    scratch_remove(dir);
}

static void by_default(const struct run *run)
{
    char dir[64];

    (void)run;
    scratch_make(dir);
    expect_opened("an empty directory", dir, NULL, &a, &a_handle);
    expect_int("rmdir: nothing was made", rmdir(dir), 0);
    expect_opened("a directory that is not there", dir, NULL, &a, &a_handle);
    expect_int("nothing was made", access(dir, F_OK), -1);
    noted.calls = 0;
    const struct store_ops *ops = NULL;
    void *handle = NULL;
    expect_int("no options", store_open_named(engines, dir, NULL, &ops,
               &handle), 0);
    expect_true("the first of the list", ops == &a && handle == &a_handle);
}

static void by_marker(const struct run *run)
{
    char dir[64];

    (void)run;
    scratch_make(dir);
    write_marker(dir, "engine b\nformat 1\n");
    expect_opened("the one that made it", dir, NULL, &b, &b_handle);
    expect_opened("the same, named", dir, "b", &b, &b_handle);
    expect_refused("another", dir, "a", -EMEDIUMTYPE);
    expect_refused("one that is not in the list", dir, "c", -ENOENT);
    write_marker(dir, "engine a\nformat 1\n");
    expect_opened("the one that made it", dir, NULL, &a, &a_handle);
    expect_refused("another", dir, "b", -EMEDIUMTYPE);
    write_marker(dir, "engine c\nformat 1\n");
    expect_refused("made by one that is not in the list", dir, NULL,
                   -EMEDIUMTYPE);
    expect_refused("the same, another named", dir, "a", -EMEDIUMTYPE);
    scratch_remove(dir);
}

static void bad_marker(const struct run *run)
{
    char dir[64], file[100];

    (void)run;
    scratch_make(dir);
    expect_opened("an empty directory", dir, NULL, &a, &a_handle);
    write_marker(dir, "nonsense\n");
    expect_refused("a marker that says nothing", dir, NULL, -EBADMSG);
    expect_refused("the same, named", dir, "b", -EBADMSG);
    write_marker(dir, "");
    expect_refused("an empty marker", dir, NULL, -EBADMSG);
    snprintf(file, sizeof file, "%s/%s", dir, DIR_MARKER);
    expect_refused("a file in place of the directory", file, NULL, -ENOTDIR);
    scratch_remove(dir);
}

static void passes_on(const struct run *run)
{
    struct store_options options = {
        .segment_size = 4711, .durability = STORE_ALWAYS, .read_only = true,
    };
    const struct store_ops *ops = &b;
    void *handle = &handle;
    char dir[64];

    (void)run;
    scratch_make(dir);
    noted.answer = -ENOTSUP;
    expect_int("what open answers", store_open_named(engines, dir, &options,
               &ops, &handle), -ENOTSUP);
    expect_int("calls of open", noted.calls, 1);
    expect_true("outputs are untouched", ops == &b && handle == &handle);
    expect_true("the options", noted.options.segment_size == 4711 &&
                noted.options.durability == STORE_ALWAYS &&
                noted.options.read_only);
    expect_true("the caller's are as before", options.engine == NULL);
    noted.answer = 0;
    expect_opened("then it opens", dir, NULL, &a, &a_handle);
    scratch_remove(dir);
}

/* ---- the real ones ------------------------------------------------------- */

static void expect_text(struct store *s, const char *key, const char *text)
{
    struct buf value = { 0 };

    expect_int("store_get", store_get(s, slice_str(key), &value), 0);
    expect_true("its value", slice_equal(buf_slice(&value), slice_str(text)));
    buf_release(&value);
}

static struct store *opened(const char *dir, const char *engine)
{
    struct store_options options = { .engine = engine };
    struct store *s = NULL;

    expect_int("store_open", store_open(&s, dir, &options), 0);
    expect_true("store_open sets *out", s != NULL);
    return s;
}

static bool keeps(const char *name)
{
    return strcmp(name, "mem") != 0;
}

/* Every call of store.h goes to the engine. */
static void use_all(struct store *s, const char *name)
{
    struct store_op op = { .kind = STORE_SET, .key = slice_str("b"),
                           .value = slice_str("2") };
    struct store_stats stats;

    expect_str("store_engine", store_engine(s), name);
    expect_true("store_key_max", store_key_max(s) >= 511);
    expect_int("store_set", store_set(s, slice_str("a"), slice_str("1")), 0);
    expect_int("store_apply", store_apply(s, &op, 1), 0);
    expect_int("its op", op.result, 0);
    expect_text(s, "a", "1");
    expect_text(s, "b", "2");
    expect_int("store_remove", store_remove(s, slice_str("b")), 0);
    expect_int("store_sync", store_sync(s), 0);
    expect_int("store_compact", store_compact(s), 0);
    store_stats(s, &stats);
    expect_int("keys", stats.keys, 1);
}

static int one_pair(void *arg, struct slice key, struct slice value)
{
    expect_true("the pair", slice_equal(key, slice_str("a")) &&
                slice_equal(value, slice_str("1")));
    ++*(int *)arg;
    return 0;
}

static void dispatches(const struct run *run)
{
    (void)run;
    for (size_t i = 0; store_engines[i]; i++) {
        const char *name = store_engines[i]->name;
        char dir[64];
        int pairs = 0;

        scratch_make(dir);
        struct store *s = opened(dir, name);
        use_all(s, name);
        expect_int("store_scan", store_scan(s, one_pair, &pairs), 0);
        expect_int("pairs", pairs, 1);
        expect_int("store_close", store_close(s), 0);
        if (keeps(name)) {
            s = opened(dir, NULL);
            expect_str("the engine that made it", store_engine(s), name);
            expect_text(s, "a", "1");
            expect_int("store_close", store_close(s), 0);
        }
        scratch_remove(dir);
    }
    expect_int("store_close of NULL", store_close(NULL), 0);
}

static struct stat look(const char *path)
{
    struct stat st;

    expect_int("stat", stat(path, &st), 0);
    return st;
}

/* Each on each other's directory, and on a newer format of its own. */
static void refusals(const struct run *run)
{
    (void)run;
    for (size_t i = 0; store_engines[i]; i++) {
        const char *name = store_engines[i]->name;
        struct store *s = NULL;
        char dir[64], text[64];

        if (!keeps(name))
            continue;
        scratch_make(dir);
        use_all(s = opened(dir, name), name);
        expect_int("store_close", store_close(s), 0);
        struct stat before = look(dir);
        for (size_t j = 0; store_engines[j]; j++) {
            struct store_options o = { .engine = store_engines[j]->name };

            if (j != i)
                expect_int("another engine's directory",
                           store_open(&s, dir, &o), -EMEDIUMTYPE);
        }
        struct store_options o = { .engine = "magic" };
        expect_int("an unknown engine", store_open(&s, dir, &o), -ENOENT);
        snprintf(text, sizeof text, "engine %s\nformat 9\n", name);
        write_marker(dir, text);
        expect_int("a newer format", store_open(&s, dir, NULL), -ENOTSUP);
        struct stat after = look(dir);
        expect_true("nothing was made or removed",
                    before.st_mtim.tv_sec == after.st_mtim.tv_sec &&
                    before.st_mtim.tv_nsec == after.st_mtim.tv_nsec);
        scratch_remove(dir);
    }
}

static const struct test_case cases[] = {
    { "by_name", by_name, 1 },
    { "by_default", by_default, 1 },
    { "by_marker", by_marker, 1 },
    { "bad_marker", bad_marker, 1 },
    { "passes_on", passes_on, 1 },
    { "dispatches", dispatches, 1 },
    { "refusals", refusals, 1 },
    { NULL, NULL, 0 },
};

int main(int argc, char **argv)
{
    return driver_main(argc, argv, cases);
}
