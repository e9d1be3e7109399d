/* batch.h -- what becomes of the operations of store_apply.
 *
 * Given.
 *
 * The leader gets the batches of all who wait. It goes through their
 * operations twice. First it foresees: which changes will be made (a removal
 * of what is not there is none, nor is anything behind a value too long in its
 * group), and where each get will find its value: in a record of these very
 * batches, or where the index says. Then all changes are written as one. Then
 * each operation gets its result. If the write fails, it foresees once more,
 * without changes.
 *
 * That is right because nobody but the leader changes what a key means. A
 * compaction may move a record meanwhile; the old one can be read until the
 * leader has left the epoch.
 *
 * Errors:  in the ops' results.
 * Threads: batch_gets by any; batch_commit by the leader.
 */
#ifndef STAGE5_BATCH_H
#define STAGE5_BATCH_H

#include "stage5-compaction/store_parts.h"

/* What stands in the queue. */
struct batch {
    struct commit_entry entry;      /* the first member */
    struct store_op *ops;
    size_t n;
};

/* Does the ops, all of them gets. 0 or -ENOMEM. */
int batch_gets(struct store *store, struct store_op *ops, size_t n);

/* A commit_fn; arg is the store. */
void batch_commit(void *arg, struct commit_entry *first);

#endif
