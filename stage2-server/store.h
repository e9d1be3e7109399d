/* store.h -- a key/value store that survives crashes.
 *
 * You write: store.c (tasks 2.7, 2.8); stage 3 puts other stores behind this
 *            header, and stage 5 writes it once more, with many logs
 * Given:     dir.c (the marker and the lock of a directory)
 *
 * What holds, for every store (numbers as in the tests):
 *   I1  a change that was answered 0 survives the death of the process; under
 *       STORE_ALWAYS also a power failure
 *   I2  one that was not answered is there or not; never anything else
 *   I3  changes happen one after the other; after a power failure under
 *       STORE_NONE or STORE_INTERVAL some of the last may be missing, but
 *       never one before another that is there
 *   I4  a removed key never comes back by itself
 *   I5  a get beside a compaction answers as if there were none
 *   I13 an error is answered, not retried and claimed; no room on the disk
 *       leaves the store usable; a failed sync leaves it readable only
 *   I15 under STORE_ALWAYS nobody reads a value before it is durable
 *
 * Shapes:     keys 1 byte to 128 KiB, values 0 bytes to 16 MiB; both are
 *             bytes. An empty value is not a missing key.
 * Errors:     0 or a negative errno; outputs untouched on an error.
 *               -ENOENT     no such key; no such directory or store
 *               -EINVAL     an empty key, bad options
 *               -ENOENT     (open) an engine that this program does not have
 *               -EMSGSIZE   key or value too big for this store; a key also
 *                           where it is only looked for or removed
 *               -EBADMSG    corrupt
 *               -EBUSY      the directory is open elsewhere
 *               -EMEDIUMTYPE  the directory was made by another engine
 *               -ENOTSUP    the directory has a newer format
 *               -EROFS      opened for reading only, or a sync has failed
 *               -ENOSPC     no room; a get, and later a set, may still work
 * Threads:    a handle is shared by all threads; every call may be made by
 *             any number of them at once, but for close, the last.
 * Durability: see `enum store_durability`.
 * Source:     Sheehy and Smith, "Bitcask" (2010), for the design.
 */
#ifndef STAGE2_STORE_H
#define STAGE2_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/buf.h"
#include "common/slice.h"

struct store;

enum store_durability {
    STORE_NONE,         /* a change is answered when the kernel has it */
    STORE_INTERVAL,     /* so, too; and once a second all is synced */
    STORE_ALWAYS        /* a change is answered when it is on the disk */
};

struct store_options {
    const char *engine;     /* NULL: the one that made the directory, else
                               "kvs"; -EMEDIUMTYPE if this program does not
                               have that one */
    size_t segment_size;    /* bytes; 0: 64 MiB. The unit of files and of
                               garbage: with one log, it is compacted when
                               more than that and more than half is garbage */
    enum store_durability durability;
    unsigned compactors;    /* threads that compact; 0: one (stage 5) */
    unsigned compaction_share;  /* percent of its time that one works, when
                               nothing is urgent; 0: 50 (stage 5) */
    bool read_only;         /* changes nothing, creates nothing; -ENOENT
                               when there is no store */
    void (*progress)(void *arg, uint64_t done, uint64_t of);
    void *progress_arg;     /* called now and then while opening (bytes
                               replayed); may be NULL */
};

struct store_stats {
    uint64_t keys;
    uint64_t live_bytes;    /* of records that count */
    uint64_t dead_bytes;    /* of records that a compaction would drop:
                               overwritten, removed, tombstones; not marks */
    uint64_t pinned_bytes;  /* of the dead: tombstones that must stay for now
                               (stage 5) */
    uint64_t disk_bytes;    /* of all files */
    uint64_t index_bytes;   /* memory */
    uint64_t segments;
    uint64_t compactions;   /* since it was opened */
    uint64_t compaction_ns; /* how long the last one took */
    uint64_t syncs;         /* since it was opened */
    uint64_t sequence;      /* of the last change. A compaction may drop that
                               (a remove), and it is smaller when opened
                               again: numbers may be used twice */
    bool failed;            /* a sync has failed: reads only */
};

/* Opens the directory, which is made (its parent must be there) if need be.
 * options may be NULL. *out is owned: store_close.  (2.7) */
int store_open(struct store **out, const char *dir,
               const struct store_options *options);

/* Syncs and closes; the handle is gone whatever it answers. NULL is allowed.
 * (2.7) */
int store_close(struct store *store);

/* The key's value, copied into *value (replaced).  (2.7) */
int store_get(struct store *store, struct slice key, struct buf *value);

int store_set(struct store *store, struct slice key, struct slice value);

/* -ENOENT if it is not there, and then nothing is written.  (2.7) */
int store_remove(struct store *store, struct slice key);

enum store_op_kind { STORE_GET, STORE_SET, STORE_REMOVE };

struct store_op {
    enum store_op_kind kind;
    struct slice key;       /* borrowed */
    struct slice value;     /* set: borrowed */
    struct buf *into;       /* get: the value is appended to it, behind what
                               is there; several ops may share one. NULL:
                               only whether the key is there, and how long
                               its value is; into_max does not count then */
    size_t into_max;        /* get: a value longer than this is not copied:
                               -ENOBUFS. 0: no limit */
    unsigned group;         /* ops of one group stand next to each other; if
                               one of them answers -ENOBUFS, the rest of its
                               group is not done: -ECANCELED */
    size_t into_at;         /* get: filled in: where the value begins, */
    size_t into_len;        /* and how long it is, also with -ENOBUFS */
    int result;             /* filled in: as the single call would answer */
};

/* Does n operations as if one after the other, in this order: a get behind a
 * set of the same key sees it. All the changes are one write to the log, and
 * (STORE_ALWAYS) one sync. Answers 0 when every op has its result, an error
 * (-ENOMEM) when none was done. (A server's turn: one group a connection. A
 * value too large to be answered now stops its connection only, in order.) Operations of other threads may come between
 * the gets; the changes are one after the other in the log.  (2.7) */
int store_apply(struct store *store, struct store_op *ops, size_t n);

/* Calls fn with a copy of each pair, in no order, outside of any lock. Each
 * key that is there all the time is seen once. A value other than 0 ends it
 * and is answered.  (2.7) */
typedef int store_scan_fn(void *arg, struct slice key, struct slice value);
int store_scan(struct store *store, store_scan_fn *fn, void *arg);

/* All changes that were answered before the call are on the disk. With
 * read_only there are none: 0.  (2.7) */
int store_sync(struct store *store);

/* Drops what was overwritten or removed from the files. Gets go on
 * meanwhile. On an error the old files still serve; read_only: -EROFS.
 * (2.8) */
int store_compact(struct store *store);

/* Fills in what is true now.  (2.7) */
void store_stats(struct store *store, struct store_stats *stats);

/* The longest key that this store takes.  (2.7) */
size_t store_key_max(struct store *store);

/* The engine's name, "kvs" here.  (given with store_open: a literal) */
const char *store_engine(struct store *store);

#endif
