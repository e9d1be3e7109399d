/* store_open_named.c -- yours: stage 3, task 3.6. */
#include "stage3-abstract/store_ops.h"

#include "common/not_written.h"
#include "stage2-server/dir.h"

int store_open_named(const struct store_ops *const engines[], const char *dir,
                     const struct store_options *options,
                     const struct store_ops **ops, void **handle)
{
    /* Which engine is asked for, which one made the directory (dir_engine)?
     * Refuse, or call that one's open. */
    (void)engines, (void)dir, (void)options, (void)ops, (void)handle;
    return not_written("3.6");
}
