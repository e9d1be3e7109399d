/* store.c -- yours: stage 2B, tasks 2.7, 2.8. */
#include "stage2-server/store.h"

#include "common/not_written.h"
#include "stage2-server/dir.h"
#include "stage2-server/log.h"
#include "stage2-server/table.h"

/* The directory, the log, the index (key -> where its record lies), the lock
 * of those who change something, and what the statistics need. */
struct store {
    int unused;
};

int store_open(struct store **out, const char *dir,
               const struct store_options *options)
{
    /* Check the options, open the directory, find the log (or make the first
     * one), replay it into the index. Close everything on an error. */
    (void)out, (void)dir, (void)options;
    return not_written("2.7");
}

int store_close(struct store *store)
{
    /* Sync, mark, free; NULL is allowed. */
    (void)store;
    return not_written("2.7");
}

int store_get(struct store *store, struct slice key, struct buf *value)
{
    /* From the index the place, from the log the bytes. */
    (void)store, (void)key, (void)value;
    return not_written("2.7");
}

int store_set(struct store *store, struct slice key, struct slice value)
{
    /* A batch of one. */
    (void)store, (void)key, (void)value;
    return not_written("2.7");
}

int store_remove(struct store *store, struct slice key)
{
    /* A batch of one. */
    (void)store, (void)key;
    return not_written("2.7");
}

int store_apply(struct store *store, struct store_op *ops, size_t n)
{
    /* In order; all changes are one append. First the log, then the disk if
     * they must be durable, then the index. */
    (void)store, (void)ops, (void)n;
    return not_written("2.7");
}

int store_scan(struct store *store, store_scan_fn *fn, void *arg)
{
    /* table_each, and a read for each key. */
    (void)store, (void)fn, (void)arg;
    return not_written("2.7");
}

int store_sync(struct store *store)
{
    /* What was answered before the call is on the disk. */
    (void)store;
    return not_written("2.7");
}

int store_compact(struct store *store)
{
    /* Copy what is live to a new file, make it durable, rename it, make that
     * durable; then switch, and remove the old one. */
    (void)store;
    return not_written("2.8");
}

void store_stats(struct store *store, struct store_stats *stats)
{
    /* Fill in what you count; the rest is 0. */
    (void)store, (void)stats;
    not_written("2.7");
}

size_t store_key_max(struct store *store)
{
    /* RECORD_KEY_MAX, of every store of this engine. */
    (void)store;
    not_written("2.7");
    return 0;
}

const char *store_engine(struct store *store)
{
    /* The engine's name. */
    (void)store;
    return "kvs";
}
