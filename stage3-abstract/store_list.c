/* store_list.c -- given: the stores of this program. The Makefile says which:
 * -DSTORE_LIST='X(kvs) X(mem)'. */
#include "stage3-abstract/store_ops.h"

#define X(name) extern const struct store_ops name##_store_ops;
STORE_LIST
#undef X

#define X(name) &name##_store_ops,
const struct store_ops *const store_engines[] = { STORE_LIST NULL };
