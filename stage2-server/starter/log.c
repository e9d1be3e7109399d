/* log.c -- yours: stage 2B, tasks 2.5, 2.6. */
#include "stage2-server/log.h"

#include "common/not_written.h"

/* The descriptor, the salt, where the file ends, how much of it is known to be
 * durable, and whether a sync or a cut has failed. */
struct log_file {
    int unused;
};

int log_open(struct log_file **out, const char *path, enum log_mode mode)
{
    /* LOG_CREATE: draw a salt (getrandom), write the header, sync it. Else
     * read and check it. */
    (void)out, (void)path, (void)mode;
    return not_written("2.5");
}

void log_close(struct log_file *log)
{
    /* NULL is allowed. */
    (void)log;
    not_written("2.5");
}

int log_replay(struct log_file *log, log_replay_fn *fn, void *arg,
               struct log_damage *damage)
{
    /* Pass on every change. At the first bad place: torn, or corrupt? */
    (void)log, (void)fn, (void)arg, (void)damage;
    return not_written("2.6");
}

int log_append(struct log_file *log, struct record *records, size_t n,
               struct log_position *positions)
{
    /* One write for all of them; what the kernel leaves over is continued, an
     * error cuts the file back. */
    (void)log, (void)records, (void)n, (void)positions;
    return not_written("2.5");
}

int log_sync(struct log_file *log)
{
    /* fdatasync; afterwards you know how much is durable. A failure is for
     * good, and what it left over is written once more (file_write_again). */
    (void)log;
    return not_written("2.5");
}

int log_mark(struct log_file *log)
{
    /* A record of kind RECORD_MARK, unless the file says so much already. */
    (void)log;
    return not_written("2.5");
}

int log_read(struct log_file *log, const struct log_position *position,
             struct slice key, struct buf *value)
{
    /* Read the whole record, believe nothing of it before it is checked. */
    (void)log, (void)position, (void)key, (void)value;
    return not_written("2.5");
}

void log_expect(struct log_file *log, const struct log_position *position)
{
    /* May stay as it is. */
    (void)log, (void)position;
}

uint64_t log_end(struct log_file *log)
{
    /* Where the next record will lie. */
    (void)log;
    not_written("2.5");
    return 0;
}
