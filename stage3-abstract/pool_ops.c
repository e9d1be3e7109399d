/* pool_ops.c -- given.
 *
 * Compiled once for each pool, with POOL_AS naming it and pool_map.h in
 * front: what stands here as pool_create is that pool's.
 */
#include "stage3-abstract/pool_ops.h"

#include "stage3-abstract/pool_map.h"

static int create(void **out, const struct pool_options *options)
{
    struct pool *pool;
    int err = pool_create(&pool, options);

    if (!err)
        *out = pool;
    return err;
}

static int submit(void *pool, pool_job_fn *fn, void *arg)
{
    return pool_submit(pool, fn, arg);
}

static int try_submit(void *pool, pool_job_fn *fn, void *arg)
{
    return pool_try_submit(pool, fn, arg);
}

static void wait(void *pool)
{
    pool_wait(pool);
}

static void destroy(void *pool)
{
    pool_destroy(pool);
}

extern const struct pool_ops POOL_NAMED(POOL_AS, pool_ops);

const struct pool_ops POOL_NAMED(POOL_AS, pool_ops) = {
    .name = POOL_QUOTED(POOL_AS),
    .create = create,
    .submit = submit,
    .try_submit = try_submit,
    .wait = wait,
    .destroy = destroy,
};
