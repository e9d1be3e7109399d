/* pool_options.c -- given. */
#include "stage1-pool/pool.h"

#include <errno.h>
#include <string.h>

int pool_options_check(const struct pool_options *options, const char *own)
{
    if (!options || options->threads == 0 || options->capacity == 0)
        return -EINVAL;
    if (options->name && strcmp(options->name, own) != 0)
        return -ENOENT;
    return 0;
}
