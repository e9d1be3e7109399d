/* log.h -- a file that only grows, and that survives a crash.
 *
 * You write: log.c (tasks 2.5, 2.6)
 * Given:     record.c, the layout of what is in the file
 *
 * The log is where a change becomes a fact. Appending is one write to the
 * kernel, however many records it brings; when it has returned, a crash of
 * the process loses nothing, and when a sync has returned, neither does a
 * power failure.
 *
 * Between calls these hold:
 *   1. the file is a header and whole records up to log_end, and nothing
 *      that counts behind it;
 *   2. an append is all there or (after a crash, or an error) not at all
 *      from its first missing record on: never a hole;
 *   3. every record says what was known to be durable when it was written;
 *      so damage before that offset is corruption, never a torn tail;
 *   4. after a failed sync nothing new is written (the kernel takes the pages
 *      that it could not write for clean, and would report success next
 *      time). Only what is not known to be durable is written once more, the
 *      same bytes at the same place (file_write_again): so the sync of who
 *      opens the file next says the truth.
 *
 * Errors:     0 or a negative errno; outputs untouched on an error.
 *               -EBADMSG  corrupt
 *               -ENOSPC, -EDQUOT, -EFBIG  no room: the file is cut back to
 *                         its last good record and the log stays usable
 *               -EROFS    a sync, or cutting back, has failed before, or it
 *                         was opened with LOG_READ: only reads are left
 *               -EIO      reading or writing failed
 * Threads:    append, sync and truncation by one thread at a time (a store
 *             has a lock for it); log_read by any number at any time, for
 *             positions that an append or replay has answered; with LOG_READ
 *             also those of an earlier handle of the file, without a replay.
 * Durability: nothing before log_sync, but the header of a new file: it is
 *             synced before log_open returns, so no record is ever on the
 *             disk without it.
 * Source:     Rosenblum and Ousterhout, "The Design and Implementation of a
 *             Log-Structured File System" (1992); Bitcask; PostgreSQL's
 *             fsync trouble of 2018 for rule 4.
 */
#ifndef STAGE2_LOG_H
#define STAGE2_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/buf.h"
#include "stage2-server/record.h"

struct log_file;

/* Where a record lies. */
struct log_position {
    uint64_t offset;
    uint32_t key_len, value_len;
};

enum log_mode {
    LOG_READ,           /* the file must be there; nothing is written, ever */
    LOG_WRITE,          /* the file must be there */
    LOG_CREATE          /* a new file: -EEXIST if there is one */
};

/* Opens the file, checks or writes its header. *out is owned: log_close.
 * The new file's name is durable only after its directory is synced.
 * -EBADMSG: no log, or a damaged header.  (2.5) */
int log_open(struct log_file **out, const char *path, enum log_mode mode);

/* Closes it; nothing is synced. NULL is allowed.  (2.5) */
void log_close(struct log_file *log);

/* Called for each change in order; its slices are good during the call. An
 * answer other than 0 ends the replay, which answers the same. */
typedef int log_replay_fn(void *arg, const struct record *record,
                          const struct log_position *position);

struct log_damage {
    uint64_t offset;            /* of the first bad byte's record */
    uint64_t torn;              /* bytes cut off there, if it was torn */
};

/* Reads the log from its start, once, before anything is appended. Marks are
 * not passed on. At the first place that is no sound record:
 *   - if no sound record behind it says that this place was durable, it is
 *     the torn tail of a crash: the file is cut there (LOG_READ: only treated
 *     as if) and appending goes on there. 0.
 *   - else it is corruption: -EBADMSG, and nothing is changed.
 * damage, unless NULL, says where, also with -EBADMSG; its offset is log_end
 * when all is well. A file that was cut within its header counts as torn, too,
 * and so does one of no more than a header's length that is all zeros: making
 * it was interrupted. log_open answers 0 then, and replaying with LOG_WRITE
 * writes the header anew. Who was killed there may have left a header that is
 * whole and yet not on the disk: without a record behind it that says more,
 * not even the header is durable.  (2.6)
 *
 * What a killed process has left may be in the kernel only: unless the file
 * says itself that all of it is durable, a replay with LOG_WRITE syncs it (and
 * what it has cut). So a second one has nothing to do and writes nothing. */
int log_replay(struct log_file *log, log_replay_fn *fn, void *arg,
               struct log_damage *damage);

/* Appends the records as one write, and fills in where each lies. Their
 * `durable` is set by the log; their sequence numbers are the caller's. What
 * the kernel takes only in part is continued, and so is EINTR. On an error
 * none of them is there.  (2.5) */
int log_append(struct log_file *log, struct record *records, size_t n,
               struct log_position *positions);

/* All that was appended is on the disk. LOG_READ: nothing was; 0.  (2.5) */
int log_sync(struct log_file *log);

/* Writes a mark, so that the file itself says how much of it is durable: to
 * be called after log_sync, before a clean close. Does nothing when the file
 * says so already, or has no changes.  (2.5) */
int log_mark(struct log_file *log);

/* The value of the record at `position`, into *value (replaced), if the
 * record is sound and its key is this one; else -EBADMSG.  (2.5) */
int log_read(struct log_file *log, const struct log_position *position,
             struct slice key, struct buf *value);

/* Advice that changes nothing: log_read will be called for this position
 * soon. May do nothing.  (2.5) */
void log_expect(struct log_file *log, const struct log_position *position);

/* Where the next record will lie; before a replay, the end of the file.
 * (2.5) */
uint64_t log_end(struct log_file *log);

#endif
