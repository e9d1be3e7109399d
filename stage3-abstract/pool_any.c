/* pool_any.c -- given.
 *
 * The pool that is any of the others: one more implementation of pool.h,
 * which forwards to the one that options.name names when the program runs.
 * Without a name, to the first. The Makefile says which there are, as
 * POOL_EACH, a list of EACH(name).
 */
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "stage3-abstract/pool_ops.h"

struct pool {
    const struct pool_ops *ops;     /* set once, as is the handle */
    void *handle;
};

#define EACH(name) extern const struct pool_ops name##_pool_ops;
POOL_EACH
#undef EACH

#define EACH(name) &name##_pool_ops,
static const struct pool_ops *const all[] = { POOL_EACH NULL };
#undef EACH

static const struct pool_ops *find(const char *name)
{
    const struct pool_ops *const *ops = all;

    while (name && *ops && strcmp((*ops)->name, name) != 0)
        ops++;
    return *ops;
}

int pool_create(struct pool **out, const struct pool_options *options)
{
    int err = pool_options_check(options, options ? options->name : NULL);
    const struct pool_ops *ops;
    struct pool *pool;

    if (err)
        return err;
    ops = find(options->name);
    if (!ops)
        return -ENOENT;
    pool = malloc(sizeof *pool);
    if (!pool)
        return -ENOMEM;
    pool->ops = ops;
    err = ops->create(&pool->handle, options);
    if (err)
        free(pool);
    else
        *out = pool;
    return err;
}

int pool_submit(struct pool *pool, pool_job_fn *fn, void *arg)
{
    return pool->ops->submit(pool->handle, fn, arg);
}

int pool_try_submit(struct pool *pool, pool_job_fn *fn, void *arg)
{
    return pool->ops->try_submit(pool->handle, fn, arg);
}

void pool_wait(struct pool *pool)
{
    pool->ops->wait(pool->handle);
}

void pool_destroy(struct pool *pool)
{
    if (!pool)
        return;
    pool->ops->destroy(pool->handle);
    free(pool);
}
