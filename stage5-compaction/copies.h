/* copies.h -- records on their way to a new segment.
 *
 * Given.
 *
 * A compaction adds the records that it keeps, one by one; they are appended
 * many at a time. After each append it pauses as it should
 * (background_pause); who reads much and keeps little calls copies_pause, too.
 * What is copied is written down: for the hint of the new
 * segment, and for the switch of the index, which goes over it once more.
 *
 * Gathering is for both ends of the way: what was read and is to be looked up,
 * and what was kept and is to be written.
 *
 * Errors:  0 or a negative errno; -ECANCELED: the store is being closed.
 * Threads: one.
 */
#ifndef STAGE5_COPIES_H
#define STAGE5_COPIES_H

#include "stage5-compaction/hint.h"
#include "stage5-compaction/store_parts.h"

enum {
    GATHERED_RECORDS = 256,         /* so many, */
    GATHERED_BYTES = 1024 * 1024    /* or so long */
};

/* Records that wait until they are dealt with together, and where they lay. */
struct gathered {
    struct record records[GATHERED_RECORDS];
    struct place places[GATHERED_RECORDS];
    size_t n;
    struct buf bytes;           /* theirs; never moves */
};

struct copies {
    struct hint hint;           /* of each that is there: what it is, and where
                                   it lies now; in the order of adding */
    struct buf from;            /* and a struct place: where it lay before */

    struct store *store;        /* the rest is private */
    struct segment *output;
    struct gathered waiting;
    uint64_t piece_began;
};

/* None; 0 or -ENOMEM. gather_release also after an error. */
int gather_begin(struct gathered *gathered);
void gather_release(struct gathered *gathered);

/* Adds a copy of the record, which lay there. When there is no room for it,
 * and when it is too long to be copied, deal(arg) is called: it deals with all
 * that are gathered and ends with gather_clear. Its error is answered. */
typedef int gather_fn(void *arg);
int gather_add(struct gathered *gathered, const struct record *record,
               const struct place *from, gather_fn *deal, void *arg);
void gather_clear(struct gathered *gathered);

/* To this segment, which is empty. copies_release also after an error. */
int copies_begin(struct copies *copies, struct store *store,
                 struct segment *output);
void copies_release(struct copies *copies);

/* A record that lay there. */
int copies_add(struct copies *copies, const struct record *record,
               const struct place *from);

/* After a piece of work: pauses as it should. */
int copies_pause(struct copies *copies);

/* All that was added is in the segment, whose numbers are right. */
int copies_end(struct copies *copies);

#endif
