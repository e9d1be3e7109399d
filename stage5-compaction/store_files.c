/* store_files.c -- given. */
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "stage5-compaction/hint.h"
#include "stage5-compaction/store_parts.h"

/* ---- The logs ------------------------------------------------------------ */

struct listing {
    uint64_t *logs;
    size_t n, room;
};

static int list_log(void *arg, const char *name)
{
    struct listing *l = arg;
    uint64_t generation = dir_log_generation(name);

    if (generation == 0)
        return 0;
    if (l->n == l->room) {
        l->room = l->room ? 2 * l->room : 64;
        uint64_t *more = realloc(l->logs, l->room * sizeof *more);

        if (!more)
            return -ENOMEM;
        l->logs = more;
    }
    l->logs[l->n++] = generation;
    return 0;
}

static int ascending(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return (x > y) - (x < y);
}

int store_logs(struct store *store, uint64_t **logs, size_t *n)
{
    struct listing l = { 0 };
    int err = dir_each(&store->dir, list_log, &l);

    if (err) {
        free(l.logs);
        return err;
    }
    if (l.n > 0)
        qsort(l.logs, l.n, sizeof *l.logs, ascending);
    *logs = l.logs;
    *n = l.n;
    return 0;
}

/* ---- Removing logs ------------------------------------------------------- */

static int sync_names(void *arg)
{
    return store_sync_names(arg);
}

int store_remove_logs(struct store *store, const uint64_t *generations,
                      size_t n)
{
    char name[DIR_NAME_MAX];
    int err = dir_remove_logs(&store->dir, generations, n, sync_names, store);

    for (size_t i = 0; i < n && !err; i++) {
        hint_name(name, generations[i]);
        unlinkat(store->dir.fd, name, 0);
    }
    return err;
}

/* ---- What does not count ------------------------------------------------- */

static bool has_segment(const struct store *s, uint64_t generation)
{
    const struct segment *g = s->set.first;

    while (g && g->generation != generation)
        g = g->next;
    return g != NULL;
}

/* Replaced logs, and those whose making was interrupted. */
static int remove_logs_that_do_not_count(struct store *s)
{
    uint64_t *logs;
    size_t n, left = 0;
    int err = store_logs(s, &logs, &n);

    if (err)
        return err;
    for (size_t i = 0; i < n; i++)
        if (!has_segment(s, logs[i]))
            logs[left++] = logs[i];
    err = left > 0 ? store_remove_logs(s, logs, left) : 0;
    free(logs);
    return err;
}

/* If they come back, they are removed again. */
static int remove_leftover(void *arg, const char *name)
{
    struct store *s = arg;
    uint64_t hint = hint_generation(name);

    if (!dir_is_unfinished(name) && (hint == 0 || has_segment(s, hint)))
        return 0;
    return unlinkat(s->dir.fd, name, 0) == 0 ? 0 : -errno;
}

int store_remove_leftovers(struct store *store)
{
    int err = remove_logs_that_do_not_count(store);

    return err ? err : dir_each(&store->dir, remove_leftover, store);
}

/* ---- Sizes --------------------------------------------------------------- */

struct counting {
    struct store *store;
    uint64_t bytes;
};

static int count_file(void *arg, const char *name)
{
    struct counting *c = arg;
    struct stat st;

    if (fstatat(c->store->dir.fd, name, &st, 0) == 0)
        c->bytes += (uint64_t)st.st_size;
    return 0;
}

uint64_t store_disk_bytes(struct store *store)
{
    struct counting c = { .store = store };

    dir_each(&store->dir, count_file, &c);
    return c.bytes;
}
