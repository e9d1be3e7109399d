/* segment.h -- one file of many: a log with a birth and an end.
 *
 * Given. It stands on stage 2's log.h: a segment is such a log, whose first
 * record is a label.
 *
 * A store of stage 5 has one active segment, which takes all that is written,
 * and any number of sealed ones, which never change again: those that were
 * active once, and what compactions have made of them.
 *
 * Between calls these hold:
 *   1. a sealed segment is on the disk, wholly: it is synced before the next
 *      one takes its first record. So damage in it is corruption, never a
 *      torn tail, and only the active one can have lost something;
 *   2. its birth is the store's sequence number when it was begun. A segment
 *      that sets have written has later records only. One that a compaction
 *      has written has older ones, too, but only those that still counted at
 *      its birth: of a key that was removed before, it has nothing older;
 *   3. one that a compaction has written says which ones it replaces. Once it
 *      has its name they count no more, though their files be there.
 *
 * The label: a tombstone with sequence number 0 (no change has that). Its key
 * is not a key, but 8 bytes of birth and 8 for each generation that the
 * segment replaces, little-endian. A log of stage 2 has none: its birth is 0.
 *
 * Room in advance. Under STORE_ALWAYS a sync costs less when the file does not
 * grow: so the active one is extended by zeros, as many as it has bytes, a MiB
 * at most. They are cut off at sealing; after a crash they are a torn tail.
 *
 * Errors:     as log.h's.
 * Threads:    append, sync and seal by one thread at a time; reading by any.
 * Durability: a new segment's header is on the disk, its name is not, until
 *             the directory is synced.
 */
#ifndef STAGE5_SEGMENT_H
#define STAGE5_SEGMENT_H

#include <stdbool.h>
#include <stdint.h>

#include "stage2-server/dir.h"
#include "stage2-server/log.h"

/* The number that an index keeps of it: its place in a `struct segments`. */
enum { SEGMENT_NO_SLOT = -1 };

struct segment {
    /* Set once, before others can see it. */
    uint64_t generation, birth;
    struct log_file *log;
    uint64_t salt;
    int slot;
    bool merged;            /* a compaction has written it */
    uint64_t *replaces;     /* so many generations; owned */
    size_t n_replaces;

    /* The appender's. */
    int fd;                 /* for room in advance; -1: opened to be read */
    uint64_t roomy;         /* so far the file was extended */
    uint64_t pushed;        /* so far the kernel was asked to write it */

    /* Guarded by the lock of `struct segments`. All in bytes of records. */
    uint64_t bytes;         /* sets and tombstones */
    int64_t live;           /* sets that the index names; for a moment it may
                               be less than it is */
    uint64_t tombs;         /* tombstones */
    uint64_t last_tomb;     /* the highest sequence number of one */
    uint64_t first, last;   /* sequence numbers, the label's not; 0: none */
    bool sealed;
    bool busy;              /* a compaction has it in hand */
    bool bad;               /* it could not be read: left alone */
    bool hinted;            /* its hint is written, not wanted, or could not
                               be: nobody tries any more */
    struct segment *next;   /* of the set, by generation */
};

/* What a new segment begins with. */
struct segment_label {
    uint64_t birth;
    const uint64_t *replaces;
    size_t n;
};

/* Makes the file of that generation in the directory (`suffix` behind its
 * name: "" or DIR_NEW) with its label. *out is owned: segment_close. -EEXIST
 * if there is one. */
int segment_create(struct segment **out, const char *path,
                   uint64_t generation, const char *suffix,
                   const struct segment_label *label);

/* Opens it and reads its label. `write`: to be appended to, after a replay.
 * -ENODATA: making it was interrupted, there is nothing in it. */
int segment_open(struct segment **out, const char *path, uint64_t generation,
                 bool write);

/* Closes it; NULL is allowed. */
void segment_close(struct segment *segment);

/* One write for all. `roomy`: see above. */
int segment_append(struct segment *segment, struct record *records, size_t n,
                   struct log_position *positions, bool roomy);

/* Asks the kernel to begin writing what has come since the last time, when
 * that is much. It waits for nothing; so a sync later finds little to do. */
void segment_push(struct segment *segment);

/* After a failed sync: file_write_again from there to its end, and the marks
 * before it, which are never known to be durable. */
void segment_write_again(struct segment *segment, uint64_t from);

/* Ends it: says that all of it is durable, syncs, cuts off what is behind.
 * After that it is only read. */
int segment_seal(struct segment *segment);

/* Calls fn for each change in order, the label left out, from a file of its
 * own; checks every byte. -EBADMSG for damage, for a tail, and when the mark
 * at the end is missing: a sealed segment has one, and nothing behind. */
int segment_each(const struct segment *segment, const char *path,
                 log_replay_fn *fn, void *arg);

/* The size of the file, as far as it counts. */
uint64_t segment_end(const struct segment *segment);

/* Its path, of PATH_MAX + DIR_NAME_MAX bytes. */
void segment_path(char *text, const char *path, uint64_t generation,
                  const char *suffix);

#endif
