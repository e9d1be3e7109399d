/* store_files.c -- given. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
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

/* ---- What does not count ------------------------------------------------- */

struct clearing {
    struct store *store;
    bool removed;
};

static bool has_segment(const struct store *s, uint64_t generation)
{
    const struct segment *g = s->set.first;

    while (g && g->generation != generation)
        g = g->next;
    return g != NULL;
}

/* Files that do not count: of compactions and segments that were interrupted,
 * replaced logs, hints without a log. */
static int remove_leftover(void *arg, const char *name)
{
    struct clearing *c = arg;
    uint64_t log = dir_log_generation(name), hint = hint_generation(name);

    if (!dir_is_unfinished(name) && (log == 0 || has_segment(c->store, log)) &&
        (hint == 0 || has_segment(c->store, hint)))
        return 0;
    c->removed = true;
    return unlinkat(c->store->dir.fd, name, 0) == 0 ? 0 : -errno;
}

int store_remove_leftovers(struct store *store)
{
    struct clearing c = { .store = store };
    int err = dir_each(&store->dir, remove_leftover, &c);

    return !err && c.removed ? dir_sync(&store->dir) : err;
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
