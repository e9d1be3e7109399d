/* store_parts.h -- what the files of the store of many logs share.
 *
 * Given.
 *
 * A change goes through these hands:
 *
 *   store_apply -> commit_run -> batch_commit (the leader's) -> store_write
 *                                                            -> store_learn
 * and a get through these:
 *
 *   store_get, store_apply -> (index, inside the epoch) -> store_read
 *
 * Who may do what:
 *   the leader (commit.h)    appends to `active`, gives sequence numbers,
 *                            moves the index on, begins the next segment
 *   compactors               make segments out of sealed ones; move the index
 *                            from the old place to the new if it is still
 *                            the old
 *   readers                  anything, at any time, inside the epoch
 *
 * Locks, in this order; none is held while waiting for a reader:
 *   the leader's role; `jobs`, the compactors'; the set's `lock`; `names`;
 *   `numbers`.
 */
#ifndef STAGE5_STORE_PARTS_H
#define STAGE5_STORE_PARTS_H

#include <pthread.h>
#include <stdatomic.h>

#include "stage2-server/dir.h"
#include "stage2-server/store.h"
#include "stage2-server/table.h"
#include "stage5-compaction/commit.h"
#include "stage5-compaction/hint.h"
#include "stage5-compaction/segments.h"

enum { STORE_FORMAT = 2 };

struct background;

struct store {
    struct dir dir;             /* these are set once */
    char *path;
    struct store_options options;
    struct table *index;        /* key -> struct place */
    struct segments set;
    struct commit commit;
    struct background *background;

    /* The leader's. */
    struct segment *active;     /* NULL: the next change begins one */
    uint64_t sequence;          /* of the last change */
    uint64_t synced;            /* so far `active` is known to be durable */

    pthread_mutex_t names;      /* held while the directory is synced */
    pthread_mutex_t numbers;    /* guards: */
    uint64_t applied;           /* the index knows all changes up to it */
    uint64_t next_generation;   /* none is used twice */
    bool failed;                /* a sync has failed: no more changes */
    uint64_t compactions, compaction_ns, syncs;
};

/* ---- store.c, yours ------------------------------------------------------ */

/* Inside the epoch: the value of the record there.  (5.5) */
int store_read(struct store *store, struct slice key,
               const struct place *place, struct buf *value);

/* The leader's: puts the records behind the active segment, with one write,
 * and begins a new segment before, if they do not fit; under STORE_ALWAYS
 * syncs. On an error none of them counts; if it was the sync that failed, they
 * may be there at the next opening.  (5.5) */
int store_write(struct store *store, struct record *records, size_t n,
                struct log_position *positions);

/* The leader's: the active segment ends, all of it on the disk; the next
 * change begins another. -ENOSPC, -EDQUOT: there is no room for the mark at
 * its end, it stays the active one (unless a sync has failed).  (5.5) */
int store_seal_active(struct store *store);

/* The leader's, inside the epoch: a record that was written reaches the
 * index.  (5.5) */
int store_learn(struct store *store, const struct record *record,
                const struct log_position *position);

/* ---- Helpers, given: store_help.c ---------------------------------------- */

/* Checks the options, opens the directory and sets up all but the index: the
 * set is empty, nothing runs in the background. *out is owned: store_free,
 * which stops what runs and frees the index, too. */
int store_make(struct store **out, const char *dir, const char *engine,
               const struct store_options *options);
void store_free(struct store *store);

/* Fills in all of it. */
void store_count(struct store *store, struct store_stats *stats);

/* Whether err says that the disk, or the user's share of it, is full. */
bool store_no_room(int err);

/* No more changes; the answer is err. */
int store_fail(struct store *store, int err);
bool store_failed(struct store *store);

/* Names that were made, changed or removed are on the disk; or an error, and no
 * more changes. A failed sync is told to one caller only, though it may have been
 * another's name that was lost: so this one fails for everybody from then on. */
int store_sync_names(struct store *store);

/* As hint_each, and in the same order, for a fn that looks up the entry's key
 * in the index or changes it there: some entries' keys are looked up together
 * before, so that fn does not wait for memory. */
int store_each_entry(struct store *store, const struct hint *hint,
                     hint_each_fn *fn, void *arg);

/* A generation that no file has had. */
uint64_t store_next_generation(struct store *store);

/* The leader's: what `active` holds is on the disk. */
int store_sync_active(struct store *store);

/* All changes that the index knows when it is called are on the disk. Most of
 * the work is done beside the writers. */
int store_make_durable(struct store *store);

/* ---- The directory's files, given: store_files.c ------------------------- */

/* The generations of all logs there, ascending, whether they count or not.
 * *logs: the caller frees it. */
int store_logs(struct store *store, uint64_t **logs, size_t *n);

/* Removes the logs of these generations, as dir_remove_logs does, and their
 * hints. */
int store_remove_logs(struct store *store, const uint64_t *generations,
                      size_t n);

/* Removes what does not count: of compactions and segments that were
 * interrupted, logs that are not in the set, hints without a log. */
int store_remove_leftovers(struct store *store);

uint64_t store_disk_bytes(struct store *store);

#endif
