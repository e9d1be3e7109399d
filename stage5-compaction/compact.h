/* compact.h -- takes the garbage out of sealed segments.
 *
 * You write: compact.c (tasks 5.6, 5.7)
 *
 * A compaction copies what counts of some segments, its inputs, to a new one
 * and removes them. Gets and changes go on all the time.
 *
 * What must hold at each moment, also for who is killed or loses the power:
 *   1. the logical map is the same before and after;
 *   2. the active segment is not touched;
 *   3. a newer set always wins: the index moves to the copy only where it
 *      still names the original;
 *   4. a tombstone goes only when its key has a set that counts, or when no
 *      segment but the inputs was born before it (segments_pin): else an
 *      older set of the key could be there, and would come back;
 *   5. what has made a record garbage is on the disk before the record goes;
 *   6. the copy is on the disk, under its name, before an input goes; it
 *      names the inputs, so that those of them that a crash leaves behind
 *      count no more.
 *
 * Errors:  0 or a negative errno: then the inputs serve on, and nothing is
 *          left behind; but where the store has come to be read-only (an error
 *          after the rename) the copy stays, and counts at the next opening,
 *          if its name is known to be durable.
 *            -ECANCELED  the store is being closed
 *            -EBADMSG    an input is corrupt: it is left alone from then on
 *            -EROFS      a sync has failed: no more changes
 * Threads: any; two compactions never have an input in common
 *          (segments_take).
 * Source:  Sheehy and Smith, "Bitcask" (2010): merging.
 */
#ifndef STAGE5_COMPACT_H
#define STAGE5_COMPACT_H

#include "stage5-compaction/store_parts.h"

enum { COMPACT_INPUTS = 64 };   /* of one compaction, at most */

/* Chooses what a compaction should take now, and takes it (segments_take).
 * `all`: whatever has any garbage. Else only when more than a fifth of all
 * records is garbage, a tenth when it is quiet (background_quiet); what has
 * the largest share of it goes first. The copy shall fit into a segment,
 * unless there is just one input. How many; 0: nothing to do.  (5.6) */
size_t compact_pick(struct store *store, struct segment **inputs, bool all);

/* Compacts these, which were taken; puts them back on an error.  (5.6, 5.7) */
int compact_run(struct store *store, struct segment **inputs, size_t n);

/* As compact_run; and if that has spent the reserve, changes go on then.
 * (given: compact_due.c) */
int compact_these(struct store *store, struct segment **inputs, size_t n);

/* A compaction, if one is due: 1; 0 if none is. When a change has found no
 * room and the garbage is in the active segment, that is sealed before.
 * (given with pick and run: compact_due.c) */
int compact_some(struct store *store);

/* Seals the active segment, if it has garbage, and compacts until nothing is
 * left to gain. The caller is alone with it.  (given: compact_due.c) */
int compact_all(struct store *store);

#endif
