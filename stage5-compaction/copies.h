/* copies.h -- records on their way to a new segment.
 *
 * Given.
 *
 * A compaction adds the records that it keeps, one by one; they are appended
 * many at a time. After each append it pauses as it should
 * (background_pause). What is copied is written down: for the hint of the new
 * segment, and for the switch of the index, which goes over it once more.
 *
 * Errors:  0 or a negative errno; -ECANCELED: the store is being closed.
 * Threads: one.
 */
#ifndef STAGE5_COPIES_H
#define STAGE5_COPIES_H

#include "stage5-compaction/hint.h"
#include "stage5-compaction/store_parts.h"

enum {
    COPIES_RECORDS = 256,           /* an append: so many, */
    COPIES_BYTES = 1024 * 1024      /* or so long */
};

struct copies {
    struct hint hint;           /* of each that is there: what it is, and where
                                   it lies now; in the order of adding */
    struct buf from;            /* and a struct place: where it lay before */

    struct store *store;        /* the rest is private */
    struct segment *output;
    struct record records[COPIES_RECORDS];
    struct place places[COPIES_RECORDS];
    size_t waiting;
    struct buf bytes;           /* theirs; never moves */
    uint64_t piece_began;
};

/* To this segment, which is empty. copies_release also after an error. */
int copies_begin(struct copies *copies, struct store *store,
                 struct segment *output);
void copies_release(struct copies *copies);

/* A copy of the slice's bytes at the end of a buffer that has the room, and so
 * does not move. */
struct slice copies_keep(struct buf *bytes, struct slice slice);

/* A record that lay there. */
int copies_add(struct copies *copies, const struct record *record,
               const struct place *from);

/* All that was added is in the segment, whose numbers are right. */
int copies_end(struct copies *copies);

#endif
