/* segments.h -- the segments that a store has, and how much of each is dead.
 *
 * Given.
 *
 * An index keeps for each key a `struct place`: the slot of a segment and the
 * offset of a record in it. A reader goes from the slot to the segment without
 * a lock: inside an epoch (epoch.h) it looks its key up, acquires the segment
 * and copies the value. Whoever takes a segment out retires it, so it is
 * closed, and its slot given to another, only when no such reader is left.
 *
 * What is dead. `live` of a segment are the bytes of the sets that the index
 * names; whoever moves the index from one record to another says so here. The
 * rest of its sets is garbage, and so are tombstones that nobody needs any
 * more. A tombstone is needed, "pinned", as long as a segment that was born
 * before it remains, which may have an older set of its key; that one is to
 * blame, so a compaction counts the tombstone as its garbage, too.
 *
 * Errors:  0 or a negative errno.
 * Threads: all functions may be called by any number of threads at once, but
 *          init and release. The numbers are guarded by `lock`; functions
 *          whose names end in _locked are called with it held.
 * Source:  Rosenblum and Ousterhout, "The Design and Implementation of a
 *          Log-Structured File System" (1992), for segments and cleaning.
 */
#ifndef STAGE5_SEGMENTS_H
#define STAGE5_SEGMENTS_H

#include <pthread.h>
#include <stdint.h>

#include "stage5-compaction/epoch.h"
#include "stage5-compaction/segment.h"

enum { SEGMENTS_MAX = 16384 };

/* Where a key's record lies. */
struct place {
    uint64_t offset;
    uint32_t value_len;
    uint32_t slot;
};

struct segments {
    struct epoch *epoch;        /* readers are inside it; owned */
    void *_Atomic *slots;       /* SEGMENTS_MAX of struct segment *; owned */

    pthread_mutex_t lock;       /* guards: */
    struct segment *first;      /* in the set, by generation, upwards */
    unsigned next_slot;         /* where to look for a free one */
    unsigned char *taken;       /* a slot is, also while it is retired */

    uint64_t made;              /* the leader's: garbage since it last looked */
};

/* 0 or -ENOMEM. */
int segments_init(struct segments *set);

/* Closes them all; nobody uses them any more. */
void segments_release(struct segments *set);

/* Takes the segment over and gives it a slot, so that places can name it.
 * -EMFILE: there is no slot left. */
int segments_add(struct segments *set, struct segment *segment);

/* Takes it out: its numbers count no more, and it is closed once all readers
 * that may have it have left. From outside of the epoch. */
void segments_remove(struct segments *set, struct segment *segment);

/* The segment in that slot, for a place found since the epoch was entered. */
struct segment *segments_at(struct segments *set, uint32_t slot);

/* The record is in the segment, and the index has followed. `before`: the
 * place that the index had for its key, NULL if it had none; that set counts
 * no more. */
void segments_changed(struct segments *set, struct segment *segment,
                      const struct record *record,
                      const struct place *before);

/* The index has moved on from one place of a set to another, a copy. From
 * inside of the epoch. */
void segments_moved(struct segments *set, const struct place *from,
                    const struct place *to, uint64_t size);

struct segments_sum {
    uint64_t segments, bytes, live, tombs;
    uint64_t pinned;        /* tombstones that are needed */
};

void segments_sum(struct segments *set, struct segments_sum *sum);

/* Whether another segment than these was born before that sequence number:
 * then a tombstone of that number in one of these must stay. */
bool segments_pin(struct segments *set, uint64_t sequence,
                  struct segment *const *these, size_t n);

/* What a compaction could choose from: the sealed segments that nobody has in
 * hand and that can be read. */
struct candidate {
    struct segment *segment;
    uint64_t bytes;         /* of its records */
    uint64_t keep;          /* of them, what a copy would keep: sets that
                               count, tombstones that are needed */
    uint64_t garbage;       /* the rest, and its share of the tombstones in
                               other segments that it pins: a tombstone that
                               k segments pin counts a k-th for each */
    uint64_t tombs;
};

/* An array of them, by birth; the caller frees it. Their number in *n. NULL
 * with n 0: none, or no memory. *total: all garbage, of busy ones, too. */
struct candidate *segments_survey(struct segments *set, size_t *n,
                                  uint64_t *total);

/* Takes the candidates in hand if all of them are still there to be had, and
 * puts them back. */
bool segments_take(struct segments *set, struct segment *const *these,
                   size_t n);
void segments_put_back(struct segments *set, struct segment *const *these,
                       size_t n);

#endif
