/* store_open_named.c -- yours: stage 3, task 3.6.
 *
 * First everything is looked at, then one engine's open is called: so a
 * refusal has touched nothing. Between the look and the open another process
 * may make the directory its own; that is seen by the engine's dir_open,
 * which looks once more, with the lock held.
 */
#include <errno.h>
#include <string.h>

#include "stage2-server/dir.h"
#include "stage3-abstract/store_ops.h"

static const struct store_ops *find(const struct store_ops *const engines[],
                                    const char *name)
{
    while (*engines && strcmp((*engines)->name, name) != 0)
        engines++;
    return *engines;
}

/* The engine for this directory; `wanted` may be NULL. */
static int choose(const struct store_ops *const engines[], const char *dir,
                  const char *wanted, const struct store_ops **out)
{
    char maker[DIR_ENGINE_MAX];
    const struct store_ops *ops = wanted ? find(engines, wanted) : engines[0];

    if (!ops)
        return -ENOENT;
    int err = dir_engine(dir, maker);
    if (!err && !wanted)
        ops = find(engines, maker);
    if (!err && (!ops || strcmp(ops->name, maker) != 0))
        return -EMEDIUMTYPE;
    if (err && err != -ENOENT)
        return err;
    *out = ops;
    return 0;
}

int store_open_named(const struct store_ops *const engines[], const char *dir,
                     const struct store_options *options,
                     const struct store_ops **ops, void **handle)
{
    struct store_options told = options ? *options : (struct store_options){ 0 };
    const struct store_ops *chosen;
    void *opened;
    int err = choose(engines, dir, told.engine, &chosen);

    if (err)
        return err;
    told.engine = chosen->name;
    err = chosen->open(&opened, dir, &told);
    if (err)
        return err;
    *ops = chosen;
    *handle = opened;
    return 0;
}
