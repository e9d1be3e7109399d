/* log.c -- yours: stage 2B, tasks 2.5, 2.6.
 *
 * An append puts its records side by side in memory and writes them with one
 * pwrite at the end of the log; what it has written is "there" only once the
 * end moves behind it. If writing fails half-way, the file is cut back to the
 * end, so that it holds whole records again.
 *
 * Three numbers say how much is safe. All of them only grow.
 *
 *     durable   we know that all before it is on the disk: we have synced,
 *               or the file says so
 *     said      the file says so: the largest `durable` of its records. A
 *               record carries what was known when it was written; a mark is
 *               a record for the sake of nothing else
 *     changes   where the last change ends. A log is clean when `said` has
 *               come so far: then there is nothing to sync and to mark.
 *
 * A mark is no change and is never counted as durable itself: if the power
 * fails it may be missing, and then nothing may claim that it was there.
 *
 * Reading. The file is mapped in windows, so a read is a copy and no call to
 * the kernel. A window is mapped by whoever appends (or replays) into it,
 * before anybody learns of a position in it, or later, if that has failed: so
 * a window is published, and readers need no lock. What
 * lies across two windows, or behind the last one, is read with pread, and so
 * is everything if mapping fails.
 */
#include "stage2-server/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/file.h"
#include "common/guard.h"

enum {
    KEEP = 1024 * 1024,     /* of memory from one append to the next */
    SMALL = 4096,           /* a record so long is read to the stack */
    WINDOW = 64 << 20,      /* bytes of the file that are mapped at once */
    WINDOWS = 256,
    LINE = 64,
    LINES = 8               /* of a record are asked for ahead */
};

struct log_file {
    int fd;                 /* set once, like salt and mode: log_read */
    enum log_mode mode;
    uint64_t salt;
    uint64_t end;           /* of the last record that counts */
    uint64_t durable, said, changes;
    bool no_header;         /* it was cut there; a replay mends it */
    bool failed;            /* nothing is written any more */
    struct buf batch;       /* an append's bytes */
    size_t mapped;          /* how many windows there are */
    const unsigned char *_Atomic windows[WINDOWS];  /* NULL: not mapped */
};

/* ---- Windows ------------------------------------------------------------- */

/* Maps what the log has grown into. A mapping may be longer than the file:
 * nobody looks behind the end. */
static void map_windows(struct log_file *log)
{
    while (log->mapped < WINDOWS &&
           (uint64_t)log->mapped * WINDOW < log->end) {
        void *window = mmap(NULL, WINDOW, PROT_READ, MAP_SHARED, log->fd,
                            (off_t)log->mapped * WINDOW);

        if (window == MAP_FAILED)
            return;
        atomic_store_explicit(&log->windows[log->mapped++], window,
                              memory_order_release);
    }
}

static void unmap_windows(struct log_file *log)
{
    while (log->mapped > 0)
        munmap((void *)atomic_load(&log->windows[--log->mapped]), WINDOW);
}

/* NULL: there is none for that offset. */
static const unsigned char *window_of(const struct log_file *log,
                                      uint64_t offset)
{
    uint64_t nth = offset / WINDOW;

    return nth < WINDOWS ? atomic_load_explicit(&log->windows[nth],
                                                memory_order_acquire)
                         : NULL;
}

static ssize_t read_at(const struct log_file *log, void *to, size_t len,
                       uint64_t offset)
{
    const unsigned char *window = window_of(log, offset);
    uint64_t at = offset % WINDOW;

    if (!window || at + len > WINDOW)
        return pread_full(log->fd, to, len, (off_t)offset);
    int err = guarded_copy(to, window + at, len);
    return err ? err : (ssize_t)len;
}

/* ---- Writing ------------------------------------------------------------- */

static int write_at(int fd, const unsigned char *from, size_t len,
                    uint64_t offset)
{
    while (len > 0) {
        ssize_t n = pwrite(fd, from, len, (off_t)offset);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? -errno : -EIO;
        from += n;
        len -= (size_t)n;
        offset += (uint64_t)n;
    }
    return 0;
}

/* A failure is for good. What the kernel may hold for clean now is written
 * again: who opens the file next would take it for durable. */
static int sync_file(struct log_file *log)
{
    while (fdatasync(log->fd) != 0)
        if (errno != EINTR) {
            int err = -errno;

            log->failed = true;
            file_write_again(log->fd, (off_t)log->durable, (off_t)log->end);
            return err;
        }
    return 0;
}

/* Cuts the file off at `size`. If that fails, what lies behind it could be
 * taken for records some day: then no more is written. */
static int cut(struct log_file *log, uint64_t size)
{
    while (ftruncate(log->fd, (off_t)size) != 0)
        if (errno != EINTR) {
            log->failed = true;
            return -errno;
        }
    return 0;
}

static int check_writable(const struct log_file *log)
{
    return log->mode == LOG_READ || log->failed || log->no_header ? -EROFS
                                                                  : 0;
}

/* The batch goes to the end of the file, or, on an error, nothing does. */
static int write_batch(struct log_file *log)
{
    int err = write_at(log->fd, log->batch.ptr, log->batch.len, log->end);

    if (err) {
        cut(log, log->end);
        return err;
    }
    log->end += log->batch.len;
    log->said = log->durable;
    map_windows(log);
    return 0;
}

static int assemble(struct log_file *log, struct record *records, size_t n)
{
    int err = 0;

    buf_clear(&log->batch);
    for (size_t i = 0; i < n && !err; i++) {
        records[i].durable = log->durable;
        err = record_append(&log->batch, log->salt, &records[i]);
    }
    return err;
}

/* One long value must not hold its memory for ever. */
static void forget_batch(struct log_file *log)
{
    if (log->batch.cap > KEEP)
        buf_release(&log->batch);
}

int log_append(struct log_file *log, struct record *records, size_t n,
               struct log_position *positions)
{
    uint64_t offset = log->end;
    int err = check_writable(log);

    if (!err && n > 0)
        err = assemble(log, records, n);
    if (!err && n > 0)
        err = write_batch(log);
    forget_batch(log);
    if (err)
        return err;
    for (size_t i = 0; i < n; i++) {
        positions[i] = (struct log_position){
            offset, (uint32_t)records[i].key.len,
            (uint32_t)records[i].value.len
        };
        offset += record_size(records[i].key.len, records[i].value.len);
    }
    if (n > 0)
        log->changes = log->end;
    return 0;
}

int log_sync(struct log_file *log)
{
    int err = 0;

    if (log->failed)
        return -EROFS;
    if (log->mode == LOG_READ || log->durable >= log->changes)
        return 0;
    err = sync_file(log);
    if (!err)
        log->durable = log->end;
    return err;
}

int log_mark(struct log_file *log)
{
    struct record mark = { .kind = RECORD_MARK };
    int err = check_writable(log);

    if (err || log->said >= log->changes)
        return err;
    err = assemble(log, &mark, 1);
    return err ? err : write_batch(log);
}

/* ---- Opening ------------------------------------------------------------- */

static int write_header(struct log_file *log)
{
    unsigned char header[RECORD_FILE_HEADER];

    if (getrandom(&log->salt, sizeof log->salt, 0) != sizeof log->salt)
        return -EIO;
    record_file_header(header, log->salt);
    int err = write_at(log->fd, header, sizeof header, 0);
    if (!err)
        err = sync_file(log);
    if (err)
        return err;
    log->end = log->durable = RECORD_FILE_HEADER;
    return 0;
}

/* Cut off, or its page never reached the disk; and no record behind it. */
static bool is_torn_header(const unsigned char *header, uint64_t size)
{
    static const unsigned char zeros[RECORD_FILE_HEADER];

    return size < RECORD_FILE_HEADER ||
           (size == RECORD_FILE_HEADER &&
            memcmp(header, zeros, sizeof zeros) == 0);
}

static int read_header(struct log_file *log)
{
    unsigned char header[RECORD_FILE_HEADER];
    struct stat st;
    ssize_t n = pread_full(log->fd, header, sizeof header, 0);

    if (n < 0 || fstat(log->fd, &st) != 0)
        return n < 0 ? (int)n : -errno;
    log->end = (uint64_t)st.st_size;
    log->no_header = is_torn_header(header, log->end);
    if (log->no_header)
        return 0;
    if (n < RECORD_FILE_HEADER)
        return -EBADMSG;        /* somebody cuts it just now */
    return record_parse_file(header, &log->salt);
}

int log_open(struct log_file **out, const char *path, enum log_mode mode)
{
    static const int flags[] = { [LOG_READ] = O_RDONLY, [LOG_WRITE] = O_RDWR,
                                 [LOG_CREATE] = O_RDWR | O_CREAT | O_EXCL };
    struct log_file *log = malloc(sizeof *log);

    if (!log)
        return -ENOMEM;
    *log = (struct log_file){ .mode = mode };
    log->fd = open(path, flags[mode] | O_CLOEXEC, 0666);
    if (log->fd < 0) {
        int err = -errno;

        free(log);
        return err;
    }
    int err = guard_install();
    if (!err)
        err = mode == LOG_CREATE ? write_header(log) : read_header(log);
    if (!err && mode == LOG_READ)
        map_windows(log);
    if (err) {
        if (mode == LOG_CREATE)
            unlink(path);
        log_close(log);
        return err;
    }
    *out = log;
    return 0;
}

void log_close(struct log_file *log)
{
    if (!log)
        return;
    unmap_windows(log);
    close(log->fd);
    buf_release(&log->batch);
    free(log);
}

uint64_t log_end(struct log_file *log)
{
    return log->end;
}

/* ---- Reading ------------------------------------------------------------- */

static int check_record(const struct log_file *log, const unsigned char *bytes,
                        size_t len, struct slice key, struct record *record)
{
    if (record_parse(bytes, len, log->salt, record) != (long)len ||
        record->kind != RECORD_SET || !slice_equal(record->key, key))
        return -EBADMSG;
    return 0;
}

int log_read(struct log_file *log, const struct log_position *position,
             struct slice key, struct buf *value)
{
    unsigned char small[SMALL], *bytes = small;
    size_t len = record_size(position->key_len, position->value_len);
    struct record record;

    if (len > sizeof small && !(bytes = malloc(len)))
        return -ENOMEM;
    ssize_t n = read_at(log, bytes, len, position->offset);
    int err = n < 0 ? (int)n : check_record(log, bytes, (size_t)n, key,
                                            &record);
    if (!err && record_size(record.key.len, record.value.len) != len)
        err = -EBADMSG;
    if (!err)
        err = buf_replace(value, record.value);
    if (bytes != small)
        free(bytes);
    return err;
}

void log_expect(struct log_file *log, const struct log_position *position)
{
    const unsigned char *window = window_of(log, position->offset);
    size_t at = position->offset % WINDOW;
    size_t len = record_size(position->key_len, position->value_len);

    if (!window)
        return;
    for (size_t i = 0; i < LINES && i * LINE < len + at % LINE; i++)
        __builtin_prefetch(window + at + i * LINE);
}

/* ---- Replaying ----------------------------------------------------------- */

/* What a replay has found so far. */
struct replay {
    uint64_t said, changes;
};

static int replay_record(struct replay *r, log_replay_fn *fn, void *arg,
                         const struct record *record, uint64_t offset)
{
    struct log_position position = { offset, (uint32_t)record->key.len,
                                     (uint32_t)record->value.len };

    if (record->durable > r->said)
        r->said = record->durable;
    if (record->kind == RECORD_MARK)
        return 0;
    r->changes = offset + record_size(record->key.len, record->value.len);
    return fn(arg, record, &position);
}

/* Whether a sound record behind the bad place says that it was durable: 1,
 * 0, or an error. A sound record alone says nothing. Pages reach the disk in
 * any order, and a value may be a copy of records of this very file; those
 * are older than the bad record, and know of nothing behind it. */
static int was_durable(struct record_scan scan, uint64_t bad)
{
    struct record record;
    int found = 0;

    scan.window = (struct buf){ 0 };    /* a copy, with a window of its own */
    while (found >= 0) {
        found = record_scan_next(&scan, &record);
        if (found == -EBADMSG)
            found = record_scan_resync(&scan, &record);
        if (found == 1 && record.durable > bad)
            break;
        if (found == 0)
            break;
    }
    record_scan_release(&scan);
    return found;
}

static int start_anew(struct log_file *log, struct log_damage *damage)
{
    *damage = (struct log_damage){ 0, log->end };
    log->end = RECORD_FILE_HEADER;
    if (log->mode == LOG_READ)
        return 0;
    int err = cut(log, 0);
    if (!err)
        err = write_header(log);
    if (err)
        log->failed = true;
    else
        log->no_header = false;
    return err;
}

/* Until the end (0), the first bad place (-EBADMSG), a reading error; or
 * until fn has answered something, which is then in *answer. */
static int replay_all(struct record_scan *scan, struct replay *r,
                      log_replay_fn *fn, void *arg, int *answer)
{
    struct record record;
    uint64_t at = scan->offset;
    int got = 1;

    while (got == 1 && *answer == 0) {
        got = record_scan_next(scan, &record);
        if (got == 1)
            *answer = replay_record(r, fn, arg, &record, at);
        at = scan->offset;
    }
    return got < 0 ? got : 0;
}

/* Sound bytes may still be in the kernel only, left by a process that was
 * killed; even the header. Unless the log was closed cleanly they are synced
 * before anything is built on them. */
static int settle(struct log_file *log, bool torn)
{
    int err = 0;

    if (log->mode == LOG_READ ||
        (!torn && log->changes > 0 && log->said >= log->changes))
        return 0;
    if (torn)
        err = cut(log, log->end);
    if (!err)
        err = sync_file(log);
    if (!err)
        log->durable = log->end;
    return err;
}

/* The log ends at `end`; a torn tail goes. */
static int accept_end(struct log_file *log, const struct replay *r,
                      uint64_t end, bool torn, struct log_damage *damage)
{
    *damage = (struct log_damage){ end, torn ? log->end - end : 0 };
    log->said = log->durable = r->said;
    log->changes = r->changes;
    log->end = end;
    return settle(log, torn);
}

static int replay_from_start(struct log_file *log, log_replay_fn *fn,
                             void *arg, struct log_damage *damage)
{
    struct record_scan scan;
    struct replay r = { 0 };
    int answer = 0;

    record_scan_init(&scan, log->fd, log->salt, RECORD_FILE_HEADER, log->end);
    int err = replay_all(&scan, &r, fn, arg, &answer);
    bool torn = err == -EBADMSG;
    if (torn)
        err = was_durable(scan, scan.offset);
    uint64_t end = scan.offset;
    record_scan_release(&scan);
    if (answer || err < 0)
        return answer ? answer : err;
    if (err == 0)
        return accept_end(log, &r, end, torn, damage);
    *damage = (struct log_damage){ end, 0 };
    return -EBADMSG;
}

int log_replay(struct log_file *log, log_replay_fn *fn, void *arg,
               struct log_damage *damage)
{
    struct log_damage unused;

    if (!damage)
        damage = &unused;
    int answer = log->no_header ? start_anew(log, damage)
                                : replay_from_start(log, fn, arg, damage);
    if (answer == 0)
        map_windows(log);
    return answer;
}
