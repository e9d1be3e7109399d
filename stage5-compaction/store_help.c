/* store_help.c -- given. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/lock.h"
#include "stage5-compaction/background.h"
#include "stage5-compaction/batch.h"
#include "stage5-compaction/store_parts.h"

enum {
    SEGMENT_SIZE = 64 * 1024 * 1024,
    TOGETHER = 16           /* entries that are looked up at once */
};

/* ---- Making and freeing -------------------------------------------------- */

static int init(struct store *s, const char *path,
                const struct store_options *o)
{
    s->options = *o;
    if (s->options.segment_size == 0)
        s->options.segment_size = SEGMENT_SIZE;
    s->next_generation = 1;
    s->path = realpath(path, NULL);
    int err = s->path ? segments_init(&s->set) : -errno;
    if (err)
        return err;
    commit_init(&s->commit, batch_commit, s);
    mutex_init(&s->names);
    mutex_init(&s->numbers);
    return 0;
}

int store_make(struct store **out, const char *dir, const char *engine,
               const struct store_options *options)
{
    static const struct store_options plain;
    const struct store_options *o = options ? options : &plain;

    if (o->engine && strcmp(o->engine, engine) != 0)
        return -ENOENT;
    enum store_durability wanted = o->durability;
    if (wanted < STORE_NONE || wanted > STORE_ALWAYS)
        return -EINVAL;
    struct store *s = calloc(1, sizeof *s);
    if (!s)
        return -ENOMEM;
    int err = dir_open(&s->dir, dir, engine, STORE_FORMAT, o->read_only);
    if (err) {
        free(s);
        return err;
    }
    err = init(s, dir, o);
    if (err) {
        dir_close(&s->dir);
        free(s->path);
        free(s);
        return err;
    }
    *out = s;
    return 0;
}

void store_free(struct store *store)
{
    background_stop(store);
    segments_release(&store->set);
    commit_release(&store->commit);
    mutex_release(&store->numbers);
    mutex_release(&store->names);
    table_destroy(store->index);
    dir_close(&store->dir);
    free(store->path);
    free(store);
}

/* ---- Numbers ------------------------------------------------------------- */

bool store_no_room(int err)
{
    return err == -ENOSPC || err == -EDQUOT;
}

int store_fail(struct store *store, int err)
{
    mutex_lock(&store->numbers);
    store->failed = true;
    mutex_unlock(&store->numbers);
    return err;
}

bool store_failed(struct store *store)
{
    mutex_lock(&store->numbers);
    bool failed = store->failed;
    mutex_unlock(&store->numbers);
    return failed;
}

int store_sync_names(struct store *store)
{
    mutex_lock(&store->names);
    int err = store_failed(store) ? -EROFS : dir_sync(&store->dir);
    if (err)
        store_fail(store, err);
    mutex_unlock(&store->names);
    return err;
}

uint64_t store_next_generation(struct store *store)
{
    mutex_lock(&store->numbers);
    uint64_t generation = store->next_generation++;
    mutex_unlock(&store->numbers);
    return generation;
}

int store_sync_active(struct store *store)
{
    struct segment *active = store->active;

    if (store_failed(store))
        return -EROFS;
    if (!active || store->synced == segment_end(active))
        return 0;
    int err = log_sync(active->log);
    if (err)
        return store_fail(store, err);
    store->synced = segment_end(active);
    mutex_lock(&store->numbers);
    store->syncs++;
    mutex_unlock(&store->numbers);
    return 0;
}

/* The active segment, opened once more, if it has to be synced. */
static int open_active(struct store *s, const struct segment **active)
{
    char name[DIR_NAME_MAX];
    int fd = -1;

    commit_enter(&s->commit);
    *active = s->active;
    if (s->active && !store_failed(s) && s->synced != segment_end(s->active)) {
        dir_log_name(name, s->active->generation);
        fd = openat(s->dir.fd, name, O_RDWR | O_CLOEXEC);
    }
    commit_leave(&s->commit);
    return fd;
}

/* A segment that was sealed meanwhile was synced by descriptors of its own: the
 * kernel tells the error to each that was opened. */
static int sync_failed(struct store *s, const struct segment *synced, int err)
{
    store_fail(s, err);
    commit_enter(&s->commit);
    if (s->active == synced)
        segment_write_again(s->active, s->synced);
    commit_leave(&s->commit);
    return err;
}

/* The long part of a sync, beside the writers; what they write meanwhile is
 * little, and so is the second sync, which keeps them waiting. */
int store_make_durable(struct store *store)
{
    const struct segment *active;
    int err = 0, fd = open_active(store, &active);

    while (fd >= 0 && !err && fdatasync(fd) != 0)
        if (errno != EINTR)
            err = sync_failed(store, active, -errno);
    if (fd >= 0)
        close(fd);
    if (err)
        return err;
    commit_enter(&store->commit);
    err = store_sync_active(store);
    commit_leave(&store->commit);
    return err;
}

void store_count(struct store *store, struct store_stats *stats)
{
    struct segments_sum sum;
    struct table_stats index;

    segments_sum(&store->set, &sum);
    table_stats(store->index, &index);
    *stats = (struct store_stats){
        .keys = index.keys, .live_bytes = sum.live,
        .dead_bytes = sum.bytes - sum.live, .pinned_bytes = sum.pinned,
        .disk_bytes = store_disk_bytes(store), .index_bytes = index.bytes,
        .segments = sum.segments,
    };
    mutex_lock(&store->numbers);
    stats->compactions = store->compactions;
    stats->compaction_ns = store->compaction_ns;
    stats->syncs = store->syncs;
    stats->sequence = store->applied;
    stats->failed = store->failed;
    mutex_unlock(&store->numbers);
}

/* ---- The index ----------------------------------------------------------- */

struct waiting {
    struct store *store;
    hint_each_fn *fn;
    void *arg;
    struct hint_entry entries[TOGETHER];
    size_t n;
};

/* Most of the work is waiting for memory. Looking them up together, for
 * nothing, makes the processor wait for many at once. */
static int show_waiting(struct waiting *w)
{
    struct table_lookup lookups[TOGETHER];
    int answer = 0;

    for (size_t i = 0; i < w->n; i++)
        lookups[i] = (struct table_lookup){ .key = w->entries[i].key };
    table_lookup_many(w->store->index, lookups, w->n);
    for (size_t i = 0; i < w->n && !answer; i++)
        answer = w->fn(w->arg, &w->entries[i]);
    w->n = 0;
    return answer;
}

static int let_wait(void *arg, const struct hint_entry *entry)
{
    struct waiting *w = arg;

    w->entries[w->n++] = *entry;
    return w->n == TOGETHER ? show_waiting(w) : 0;
}

int store_each_entry(struct store *store, const struct hint *hint,
                     hint_each_fn *fn, void *arg)
{
    struct waiting w = { .store = store, .fn = fn, .arg = arg };
    int answer = hint_each(hint, let_wait, &w);

    return answer ? answer : show_waiting(&w);
}
