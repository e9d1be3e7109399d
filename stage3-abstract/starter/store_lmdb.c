/* store_lmdb.c -- yours: stage 3, task 3.5. */
#include <lmdb.h>

#include "common/not_written.h"
#include "stage2-server/dir.h"
#include "stage2-server/record.h"
#include "stage2-server/store.h"
#include "stage3-abstract/ticker.h"

/* The directory, LMDB's environment, the transactions that read, and the
 * locks: of those who change something, and of those who change the map. */
struct store {
    int unused;
};

int store_open(struct store **out, const char *dir,
               const struct store_options *options)
{
    /* dir_open for marker and lock, then mdb_env_open. Which flags does each
     * durability need, which read_only? STORE_INTERVAL has a ticker. */
    (void)out, (void)dir, (void)options;
    return not_written("3.5");
}

int store_close(struct store *store)
{
    /* Sync; end every transaction before the environment. NULL is allowed. */
    (void)store;
    return not_written("3.5");
}

int store_get(struct store *store, struct slice key, struct buf *value)
{
    /* In a transaction that reads; what mdb_get answers is good until its
     * end. It ends on every path. */
    (void)store, (void)key, (void)value;
    return not_written("3.5");
}

int store_set(struct store *store, struct slice key, struct slice value)
{
    /* A batch of one. */
    (void)store, (void)key, (void)value;
    return not_written("3.5");
}

int store_remove(struct store *store, struct slice key)
{
    /* A batch of one. */
    (void)store, (void)key;
    return not_written("3.5");
}

int store_apply(struct store *store, struct store_op *ops, size_t n)
{
    /* One transaction. MDB_MAP_FULL: make the map larger when nobody has a
     * transaction, and begin the batch again, as if nothing had been done. */
    (void)store, (void)ops, (void)n;
    return not_written("3.5");
}

int store_scan(struct store *store, store_scan_fn *fn, void *arg)
{
    /* Copy some pairs, end the transaction, call fn for each; go on behind
     * the last key. */
    (void)store, (void)fn, (void)arg;
    return not_written("3.5");
}

int store_sync(struct store *store)
{
    /* mdb_env_sync, if there is something to be synced. */
    (void)store;
    return not_written("3.5");
}

int store_compact(struct store *store)
{
    /* mdb_env_copyfd2 with MDB_CP_COMPACT to a new file; on the disk; rename;
     * open the environment anew while nobody has a transaction. */
    (void)store;
    return not_written("3.5");
}

void store_stats(struct store *store, struct store_stats *stats)
{
    /* mdb_stat and mdb_env_info; syncs and compactions are counted here. */
    (void)store, (void)stats;
    not_written("3.5");
}

size_t store_key_max(struct store *store)
{
    /* mdb_env_get_maxkeysize */
    (void)store;
    not_written("3.5");
    return 0;
}

const char *store_engine(struct store *store)
{
    (void)store;
    return "lmdb";
}
