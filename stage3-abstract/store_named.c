/* store_named.c -- given: the dispatcher, a store that is any of the others.
 *
 * A store whose open fails has no handle, so nothing here asks whether there
 * is one. The struct is set once and needs no lock. */
#include <errno.h>
#include <stdlib.h>

#include "stage3-abstract/store_ops.h"

struct store {
    const struct store_ops *ops;
    void *handle;
};

int store_open(struct store **out, const char *dir,
               const struct store_options *options)
{
    struct store *s = malloc(sizeof *s);

    if (!s)
        return -ENOMEM;
    int err = store_open_named(store_engines, dir, options, &s->ops,
                               &s->handle);
    if (err) {
        free(s);
        return err;
    }
    *out = s;
    return 0;
}

int store_close(struct store *store)
{
    if (!store)
        return 0;
    int err = store->ops->close(store->handle);
    free(store);
    return err;
}

int store_get(struct store *store, struct slice key, struct buf *value)
{
    return store->ops->get(store->handle, key, value);
}

int store_set(struct store *store, struct slice key, struct slice value)
{
    return store->ops->set(store->handle, key, value);
}

int store_remove(struct store *store, struct slice key)
{
    return store->ops->remove(store->handle, key);
}

int store_apply(struct store *store, struct store_op *ops, size_t n)
{
    return store->ops->apply(store->handle, ops, n);
}

int store_scan(struct store *store, store_scan_fn *fn, void *arg)
{
    return store->ops->scan(store->handle, fn, arg);
}

int store_sync(struct store *store)
{
    return store->ops->sync(store->handle);
}

int store_compact(struct store *store)
{
    return store->ops->compact(store->handle);
}

void store_stats(struct store *store, struct store_stats *stats)
{
    store->ops->stats(store->handle, stats);
}

size_t store_key_max(struct store *store)
{
    return store->ops->key_max(store->handle);
}

const char *store_engine(struct store *store)
{
    return store->ops->engine(store->handle);
}
