/* contract_test.h -- pools that are tried, for task 3.3.
 *
 * Given.
 */
#ifndef TESTS_CONTRACT_TEST_H
#define TESTS_CONTRACT_TEST_H

#include "stage3-abstract/pool_ops.h"

/* A column of contract.tsv. */
struct subject {
    const char *name;
    const struct pool_ops *ops;
};

extern const struct pool_ops serial_pool_ops, naive_pool_ops, shared_pool_ops;

/* GLib's own pool, without an adapter: it has no bound, and no wait. */
extern const struct pool_ops glib_own_ops;

/* As destroy, but at once. */
void glib_own_destroy_now(void *pool);

unsigned glib_own_unprocessed(void *pool);

#endif
