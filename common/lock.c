/* lock.c -- given. */
#include "common/lock.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void lock_check(int err, const char *call)
{
    if (__builtin_expect(err != 0, 0)) {
        fprintf(stderr, "%s: %s\n", call, strerror(err));
        abort();
    }
}
