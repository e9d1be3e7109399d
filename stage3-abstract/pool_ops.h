/* pool_ops.h -- a pool as a table of functions.
 *
 * Given.
 *
 * What pool.h is for a compiler, this is for a program that runs: one
 * implementation of it. There is one table a pool, named after it
 * (shared_pool_ops and so on), all made from pool_ops.c; every entry is
 * there, and keeps pool.h's promise. A handle is that pool's `struct pool`,
 * as void *: only its own table may be used on it.
 *
 * Errors, threads, ownership: as in pool.h.
 * Source: curl's "multi" TLS backend, which is itself a backend.
 */
#ifndef STAGE3_POOL_OPS_H
#define STAGE3_POOL_OPS_H

#include "stage1-pool/pool.h"

struct pool_ops {
    const char *name;
    int (*create)(void **out, const struct pool_options *options);
    int (*submit)(void *pool, pool_job_fn *fn, void *arg);
    int (*try_submit)(void *pool, pool_job_fn *fn, void *arg);
    void (*wait)(void *pool);
    void (*destroy)(void *pool);
};

#endif
