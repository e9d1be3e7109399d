/* store_ops.c -- given: a table of functions of one store. Compiled once for
 * each, with -DSTORE_AS=name -include stage3-abstract/store_map.h. */
#include "stage3-abstract/store_ops.h"

#define TEXT(name)  #name
#define NAME(as)    TEXT(as)

static int ops_open(void **out, const char *dir,
                    const struct store_options *options)
{
    struct store *store;
    int err = store_open(&store, dir, options);

    if (!err)
        *out = store;
    return err;
}

static int ops_close(void *handle)
{
    return store_close(handle);
}

static int ops_get(void *handle, struct slice key, struct buf *value)
{
    return store_get(handle, key, value);
}

static int ops_set(void *handle, struct slice key, struct slice value)
{
    return store_set(handle, key, value);
}

static int ops_remove(void *handle, struct slice key)
{
    return store_remove(handle, key);
}

static int ops_apply(void *handle, struct store_op *ops, size_t n)
{
    return store_apply(handle, ops, n);
}

static int ops_scan(void *handle, store_scan_fn *fn, void *arg)
{
    return store_scan(handle, fn, arg);
}

static int ops_sync(void *handle)
{
    return store_sync(handle);
}

static int ops_compact(void *handle)
{
    return store_compact(handle);
}

static void ops_stats(void *handle, struct store_stats *stats)
{
    store_stats(handle, stats);
}

static size_t ops_key_max(void *handle)
{
    return store_key_max(handle);
}

static const char *ops_engine(void *handle)
{
    return store_engine(handle);
}

extern const struct store_ops store_ops_here;

const struct store_ops store_ops_here = {
    .name = NAME(STORE_AS),
    .open = ops_open,
    .close = ops_close,
    .get = ops_get,
    .set = ops_set,
    .remove = ops_remove,
    .apply = ops_apply,
    .scan = ops_scan,
    .sync = ops_sync,
    .compact = ops_compact,
    .stats = ops_stats,
    .key_max = ops_key_max,
    .engine = ops_engine,
};
