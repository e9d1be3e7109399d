/* peer_leveldb.c -- given: LevelDB behind store.h, as far as a benchmark
 * needs it, so that stage 4's bench-store measures it like any other.
 *
 * Its own defaults, but for a filter that spares it reads; STORE_ALWAYS is its
 * `sync`.
 */
#include <errno.h>
#include <leveldb/c.h>
#include <stdlib.h>
#include <string.h>

#include "stage2-server/store.h"

struct store {
    leveldb_t *db;
    leveldb_options_t *options;
    leveldb_filterpolicy_t *filter;
    leveldb_writeoptions_t *write;
    leveldb_readoptions_t *read;
};

static int answer(char *trouble)
{
    leveldb_free(trouble);
    return trouble ? -EIO : 0;
}

int store_open(struct store **out, const char *dir,
               const struct store_options *options)
{
    struct store *s = calloc(1, sizeof *s);
    char *trouble = NULL;

    if (!s)
        return -ENOMEM;
    s->options = leveldb_options_create();
    s->filter = leveldb_filterpolicy_create_bloom(10);
    leveldb_options_set_create_if_missing(s->options, 1);
    leveldb_options_set_filter_policy(s->options, s->filter);
    s->write = leveldb_writeoptions_create();
    s->read = leveldb_readoptions_create();
    leveldb_writeoptions_set_sync(
        s->write, options && options->durability == STORE_ALWAYS);
    s->db = leveldb_open(s->options, dir, &trouble);
    int err = answer(trouble);
    if (err) {
        store_close(s);
        return err;
    }
    *out = s;
    return 0;
}

int store_close(struct store *store)
{
    if (!store)
        return 0;
    if (store->db)
        leveldb_close(store->db);
    leveldb_writeoptions_destroy(store->write);
    leveldb_readoptions_destroy(store->read);
    leveldb_options_destroy(store->options);
    leveldb_filterpolicy_destroy(store->filter);
    free(store);
    return 0;
}

int store_get(struct store *store, struct slice key, struct buf *value)
{
    char *trouble = NULL;
    size_t len;
    char *found = leveldb_get(store->db, store->read, key.ptr, key.len, &len,
                              &trouble);
    int err = answer(trouble);

    if (!err && !found)
        err = -ENOENT;
    if (!err)
        err = buf_replace(value, slice_of(found, len));
    leveldb_free(found);
    return err;
}

int store_set(struct store *store, struct slice key, struct slice value)
{
    char *trouble = NULL;

    leveldb_put(store->db, store->write, key.ptr, key.len, value.ptr,
                value.len, &trouble);
    return answer(trouble);
}

/* Sets only. */
int store_apply(struct store *store, struct store_op *ops, size_t n)
{
    leveldb_writebatch_t *batch = leveldb_writebatch_create();
    char *trouble = NULL;

    for (size_t i = 0; i < n; i++) {
        leveldb_writebatch_put(batch, ops[i].key.ptr, ops[i].key.len,
                               ops[i].value.ptr, ops[i].value.len);
        ops[i].result = 0;
    }
    leveldb_write(store->db, store->write, batch, &trouble);
    leveldb_writebatch_destroy(batch);
    return answer(trouble);
}

int store_compact(struct store *store)
{
    leveldb_compact_range(store->db, NULL, 0, NULL, 0);
    return 0;
}

void store_stats(struct store *store, struct store_stats *stats)
{
    (void)store;
    *stats = (struct store_stats){ 0 };
}
