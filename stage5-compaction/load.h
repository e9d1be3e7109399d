/* load.h -- fills a store's index from its segments.
 *
 * Given.
 *
 * Three passes, each by several threads, a segment at a time:
 *   1. what is in it: its hint, or, if that is no good, the segment itself,
 *      every byte of it; then its hint is written anew;
 *   2. each entry goes to the index if it is newer than what is there. (A
 *      tombstone, too, for as long as the loading lasts: a set that comes
 *      after it may be older.)
 *   3. the tombstones leave the index.
 *
 * Which of two records is newer, their sequence numbers say. The index has
 * none; so it is found by the place: from the range of numbers of its segment
 * where the two ranges do not overlap, else from the segment's entries.
 *
 * Errors:  0 or a negative errno; -EBADMSG: a segment is corrupt.
 */
#ifndef STAGE5_LOAD_H
#define STAGE5_LOAD_H

#include "stage5-compaction/store_parts.h"

/* Makes the index and fills it from all segments of the set; `active` is
 * replayed to be appended to, and may be NULL. Sets the segments' numbers, and
 * the store's sequence and applied. */
int load_index(struct store *store, struct segment *active);

/* Writes the hint of a sealed segment. */
int load_write_hint(struct store *store, struct segment *segment);

/* Whether the hint on the disk is this segment's. */
bool load_has_hint(struct store *store, const struct segment *segment);

#endif
