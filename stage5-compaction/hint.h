/* hint.h -- what is in a segment, without its values.
 *
 * Given.
 *
 * To fill the index, a store needs of each record the key, the place and the
 * sequence number; the values, which are most of a file, it need not read. So
 * beside a sealed segment lies 00000007.hint with just that.
 *
 * A hint is advice. It is written without a sync; it may be missing, cut, old
 * or damaged, and then the segment itself is read, and the answers are the
 * same. It counts only if its checksum is right, it was made for this very
 * log (the salt), and the log still ends where it did then.
 *
 * It must not cost much of the disk that a compaction is to save: of a log
 * whose hint would be more than a sixth of it (short values), none is written;
 * reading the log takes no longer then.
 *
 * Shapes:  a list of entries in the order of the records.
 *
 *   file: header, HINT_HEADER (64) bytes, all little-endian
 *      0  8  "KVSHNT\r\n"
 *      8  4  version, 1
 *     12  4  0
 *     16  8  the log's salt
 *     24  8  where the log ends
 *     32  8  how many entries there are
 *     40  8  the lowest sequence number (0: no entries), and
 *     48  8  the highest
 *     56  8  checksum (XXH3-64 seeded with the salt) of the 56 bytes before
 *            and all behind
 *   entry
 *      1  bit 0: a tombstone; bit 1: there is a gap; the rest 0
 *      n  key length, value length: each 7 bits a byte, the low ones first,
 *         the top bit set in all but the last byte
 *      n  gap: bytes between the end of the record before (of the file's
 *         header, before the first) and this one; only with bit 1
 *      n  sequence number: the difference to the one before (to 0, before the
 *         first), times 2, or times -2 minus 1 when it is negative
 *         then the key
 *
 * Errors:  0 or a negative errno; -EBADMSG: not to be believed.
 * Threads: one thread at a time for each `struct hint`.
 * Source:  Bitcask's hint files.
 */
#ifndef STAGE5_HINT_H
#define STAGE5_HINT_H

#include <stdint.h>

#include "common/buf.h"
#include "stage2-server/dir.h"
#include "stage2-server/log.h"

enum {
    HINT_HEADER = 64,
    HINT_VERSION = 1,
    HINT_SHARE = 6,             /* not more than a sixth of a log that is */
    HINT_SMALL = 64 * 1024      /* longer than this */
};

struct hint {
    struct buf bytes;       /* header and entries */
    uint64_t entries;
    uint64_t first, last;   /* sequence numbers */
    uint64_t end, sequence; /* private: of the last entry */
};

struct hint_entry {
    uint64_t sequence;
    enum record_kind kind;
    struct log_position position;
    struct slice key;       /* borrowed */
};

/* Empty; hint_release. */
void hint_init(struct hint *hint);
void hint_release(struct hint *hint);

/* Adds a change at the end; its record lies behind those of the entries that
 * are there. 0 or -ENOMEM. */
int hint_add(struct hint *hint, const struct record *record,
             const struct log_position *position);

/* Calls fn with each entry in order; an answer other than 0 ends it and is
 * answered. */
typedef int hint_each_fn(void *arg, const struct hint_entry *entry);
int hint_each(const struct hint *hint, hint_each_fn *fn, void *arg);

/* Writes the file for the log of that generation, salt and end, unless it is
 * too long for it. */
int hint_save(struct hint *hint, const struct dir *dir, uint64_t generation,
              uint64_t salt, uint64_t end);

/* Reads it into an empty hint. */
int hint_load(struct hint *hint, const struct dir *dir, uint64_t generation,
              uint64_t salt, uint64_t end);

/* Its name; and the generation of such a name, 0 if it is none. */
void hint_name(char name[DIR_NAME_MAX], uint64_t generation);
uint64_t hint_generation(const char *name);

#endif
