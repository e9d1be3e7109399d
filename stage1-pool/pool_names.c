/* pool_names.c -- given.
 *
 * The Makefile says which pools a program is linked with, as POOL_EACH, a
 * list of EACH(name).
 */
#include "stage1-pool/pool.h"

#define EACH(name) #name,

const char *const *pool_names(void)
{
    static const char *const names[] = { POOL_EACH NULL };

    return names;
}
