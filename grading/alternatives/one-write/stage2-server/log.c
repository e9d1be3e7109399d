/* log.c -- yours: stage 2B, tasks 2.5, 2.6. */
/* Approach: an append gathers. Headers, keys and short values are copied side
 * by side into one buffer, long values stay where they are, and one pwritev
 * brings all of it in its order. (Only with hundreds of long values is there
 * a second one: the kernel takes IOV_MAX pieces at a time.)
 *
 * What is remembered besides the end: `durable`, up to where we know the file
 * to be on the disk, and `said`, up to where its own records say so. A mark
 * is worth writing when `said` does not yet cover the last change.
 */
#include "stage2-server/log.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>
#define XXH_INLINE_ALL
#define XXH_NO_INLINE_HINTS 1   /* else gcc -Og refuses the streaming form */
#include <xxhash.h>

#include "common/file.h"

enum {
    COPIED = 4096,          /* shorter pieces are copied together */
    AT_ONCE = 1024,         /* pieces of one write: IOV_MAX of Linux */
    WINDOW = 256 * 1024     /* read at once in a replay */
};

struct log_file {
    int fd;                 /* set once */
    enum log_mode mode;     /* set once */
    bool headless;          /* making it was interrupted; until the replay */
    bool failed;            /* nothing is written any more */
    uint64_t salt;
    uint64_t end;
    uint64_t change_end;    /* of the last record that is no mark */
    uint64_t durable, said;
    struct buf side;        /* the copied pieces of an append */
};

/* ---- opening -------------------------------------------------------------- */

/* What cannot be cut off stays behind the end for ever: no more writing. */
static int cut_at(struct log_file *log, uint64_t offset)
{
    while (ftruncate(log->fd, (off_t)offset) != 0) {
        if (errno == EINTR)
            continue;
        log->failed = true;
        return -errno;
    }
    return 0;
}

static int file_size(int fd, uint64_t *size)
{
    struct stat st;

    if (fstat(fd, &st) != 0)
        return -errno;
    *size = (uint64_t)st.st_size;
    return 0;
}

static int sync_file(struct log_file *log)
{
    while (fsync(log->fd) != 0) {
        if (errno == EINTR)
            continue;
        int err = -errno;

        log->failed = true;
        file_write_again(log->fd, (off_t)log->durable, (off_t)log->end);
        return err;
    }
    return 0;
}

/* Writes all the pieces; they are changed. */
static int write_pieces(int fd, struct iovec *iov, size_t n, uint64_t offset)
{
    while (n > 0) {
        int some = n < AT_ONCE ? (int)n : AT_ONCE;
        ssize_t done = pwritev(fd, iov, some, (off_t)offset);

        if (done < 0 && errno == EINTR)
            continue;
        if (done <= 0)
            return done < 0 ? -errno : -EIO;
        offset += (uint64_t)done;
        size_t left = (size_t)done;
        for (; n > 0 && left >= iov->iov_len; iov++, n--)
            left -= iov->iov_len;
        if (left > 0) {
            iov->iov_base = (char *)iov->iov_base + left;
            iov->iov_len -= left;
        }
    }
    return 0;
}

/* No record may reach the disk without it, so it goes there first. */
static int write_file_header(struct log_file *log)
{
    unsigned char header[RECORD_FILE_HEADER];
    uint64_t salt;

    if (getrandom(&salt, sizeof salt, 0) != sizeof salt)
        return -EIO;
    record_file_header(header, salt);
    struct iovec piece = { header, sizeof header };
    int err = write_pieces(log->fd, &piece, 1, 0);
    if (!err)
        log->end = sizeof header;
    if (!err)
        err = sync_file(log);
    if (err)
        return err;
    log->salt = salt;
    log->headless = false;
    log->end = log->change_end = RECORD_FILE_HEADER;
    log->said = log->durable = RECORD_FILE_HEADER;
    return 0;
}

/* What a crash may leave of a header: its start, or zeros. */
static bool is_rest(const unsigned char *bytes, size_t len)
{
    unsigned char model[RECORD_FILE_HEADER];
    size_t zeros = 0;

    record_file_header(model, 0);
    while (zeros < len && bytes[zeros] == 0)
        zeros++;
    return zeros == len
           || (len < RECORD_FILE_HEADER
               && memcmp(bytes, model, len < 16 ? len : 16) == 0);
}

static int read_file_header(struct log_file *log)
{
    unsigned char header[RECORD_FILE_HEADER];
    ssize_t n = pread_full(log->fd, header, sizeof header, 0);

    if (n < 0)
        return (int)n;
    log->headless = log->end <= RECORD_FILE_HEADER
                    && is_rest(header, (size_t)n);
    if (log->headless)
        return 0;
    if (n < (ssize_t)sizeof header)
        return -EBADMSG;
    return record_parse_file(header, &log->salt);
}

static int prepare(struct log_file *log)
{
    if (log->mode == LOG_CREATE)
        return write_file_header(log);
    int err = file_size(log->fd, &log->end);
    if (!err)
        err = read_file_header(log);
    log->change_end = log->end;     /* until a replay knows better */
    log->said = RECORD_FILE_HEADER;
    return err;
}

int log_open(struct log_file **out, const char *path, enum log_mode mode)
{
    int flags = mode == LOG_READ ? O_RDONLY : O_RDWR;

    if (mode == LOG_CREATE)
        flags |= O_CREAT | O_EXCL;
    struct log_file *log = calloc(1, sizeof *log);
    if (!log)
        return -ENOMEM;
    log->mode = mode;
    log->fd = open(path, flags | O_CLOEXEC, 0666);
    int err = log->fd < 0 ? -errno : prepare(log);
    if (err) {
        if (log->fd >= 0 && mode == LOG_CREATE)
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
    if (log->fd >= 0)
        close(log->fd);
    buf_release(&log->side);
    free(log);
}

uint64_t log_end(struct log_file *log)
{
    return log->end;
}

void log_expect(struct log_file *log, const struct log_position *position)
{
    (void)log, (void)position;
}

/* ---- appending ------------------------------------------------------------ */

struct pieces {
    struct iovec *iov;
    size_t n;
    struct buf *side;       /* has room for all that is copied */
};

/* Adds bytes behind what is there; short ones join the piece before, if that
 * ends where they come to lie. */
static void add(struct pieces *p, const void *bytes, size_t len)
{
    if (len == 0)
        return;
    if (len < COPIED) {
        unsigned char *at = p->side->ptr + p->side->len;

        memcpy(at, bytes, len);
        p->side->len += len;
        struct iovec *last = p->n > 0 ? &p->iov[p->n - 1] : NULL;
        if (last && (unsigned char *)last->iov_base + last->iov_len == at) {
            last->iov_len += len;
            return;
        }
        bytes = at;
    }
    p->iov[p->n++] = (struct iovec){ (void *)(uintptr_t)bytes, len };
}

static void put(unsigned char *at, uint64_t number, int bytes)
{
    for (int i = 0; i < bytes; i++)
        at[i] = (unsigned char)(number >> 8 * i);
}

/* The layout of record.h, with key and value where they are. */
static void make_header(unsigned char header[RECORD_HEADER], uint64_t salt,
                        const struct record *r)
{
    XXH3_state_t body;

    XXH3_INITSTATE(&body);
    XXH3_64bits_reset_withSeed(&body, salt);
    if (r->key.len > 0)
        XXH3_64bits_update(&body, r->key.ptr, r->key.len);
    if (r->value.len > 0)
        XXH3_64bits_update(&body, r->value.ptr, r->value.len);
    put(header + 4, XXH3_64bits_digest(&body), 4);
    put(header + 8, r->sequence, 8);
    put(header + 16, r->durable, 8);
    put(header + 24, (uint64_t)r->key.len << 8 | r->kind, 4);
    put(header + 28, r->value.len, 4);
    put(header, XXH3_64bits_withSeed(header + 4, RECORD_HEADER - 4, salt), 4);
}

static int check_record(const struct record *r)
{
    if (r->key.len > RECORD_KEY_MAX || r->value.len > RECORD_VALUE_MAX)
        return -EMSGSIZE;
    if (r->kind != RECORD_MARK && r->key.len == 0)
        return -EINVAL;
    return r->kind != RECORD_SET && r->value.len > 0 ? -EINVAL : 0;
}

/* Room for the pieces of all records, or why not. */
static int pieces_init(struct pieces *p, struct buf *side,
                       const struct record *records, size_t n)
{
    size_t large = 0, copied = 0;

    for (size_t i = 0; i < n; i++) {
        int err = check_record(&records[i]);
        if (err)
            return err;
        const size_t lens[] = { RECORD_HEADER, records[i].key.len,
                                records[i].value.len };
        for (int k = 0; k < 3; k++) {
            large += lens[k] >= COPIED;
            copied += lens[k] < COPIED ? lens[k] : 0;
        }
    }
    buf_clear(side);
    int err = buf_reserve(side, copied);
    if (err)
        return err;
    p->iov = malloc((2 * large + 1) * sizeof *p->iov);
    p->n = 0;
    p->side = side;
    return p->iov ? 0 : -ENOMEM;
}

static int may_write(const struct log_file *log)
{
    if (log->mode == LOG_READ || log->failed)
        return -EROFS;
    return log->headless ? -EBADMSG : 0;
}

static void lay_out(const struct log_file *log, struct pieces *p,
                    struct record *records, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct record *r = &records[i];
        unsigned char header[RECORD_HEADER];

        r->durable = log->durable;
        make_header(header, log->salt, r);
        add(p, header, sizeof header);
        add(p, r->key.ptr, r->key.len);
        add(p, r->value.ptr, r->value.len);
    }
}

/* They are written: moves the ends, and says where each lies. */
static void appended(struct log_file *log, const struct record *records,
                     size_t n, struct log_position *positions)
{
    for (size_t i = 0; i < n; i++) {
        size_t key_len = records[i].key.len, value_len = records[i].value.len;

        positions[i] = (struct log_position){
            log->end, (uint32_t)key_len, (uint32_t)value_len };
        log->end += record_size(key_len, value_len);
        if (records[i].kind != RECORD_MARK)
            log->change_end = log->end;
    }
    if (log->durable > log->said)
        log->said = log->durable;
}

int log_append(struct log_file *log, struct record *records, size_t n,
               struct log_position *positions)
{
    struct pieces p;
    int err = may_write(log);

    if (err || n == 0)
        return err;
    err = pieces_init(&p, &log->side, records, n);
    if (err)
        return err;
    lay_out(log, &p, records, n);
    err = write_pieces(log->fd, p.iov, p.n, log->end);
    free(p.iov);
    if (err) {
        cut_at(log, log->end);
        return err;
    }
    appended(log, records, n, positions);
    return 0;
}

int log_sync(struct log_file *log)
{
    if (log->mode == LOG_READ)
        return 0;
    if (log->failed)
        return -EROFS;
    if (log->durable == log->end)
        return 0;
    int err = sync_file(log);
    if (err)
        return err;
    log->durable = log->end;
    return 0;
}

int log_mark(struct log_file *log)
{
    struct record mark = { .kind = RECORD_MARK };
    struct log_position position;
    int err = may_write(log);

    if (err || log->said >= log->change_end || log->durable <= log->said)
        return err;
    return log_append(log, &mark, 1, &position);
}

/* ---- reading -------------------------------------------------------------- */

/* Checks the record's bytes against what is asked. */
static int check_read(struct log_file *log, const unsigned char *bytes,
                      const struct log_position *position, struct slice key)
{
    struct record r;
    uint32_t sum;
    int err = record_parse_header(bytes, log->salt, &r, &sum);

    if (err)
        return err;
    bytes += RECORD_HEADER;
    if (r.kind != RECORD_SET || r.key.len != position->key_len
        || r.value.len != position->value_len
        || !slice_equal(slice_of(bytes, r.key.len), key))
        return -EBADMSG;
    return record_check_body(bytes, r.key.len + r.value.len, log->salt, sum);
}

int log_read(struct log_file *log, const struct log_position *position,
             struct slice key, struct buf *value)
{
    if (position->key_len > RECORD_KEY_MAX
        || position->value_len > RECORD_VALUE_MAX)
        return -EBADMSG;
    size_t len = record_size(position->key_len, position->value_len);
    unsigned char *bytes = malloc(len);
    if (!bytes)
        return -ENOMEM;

    ssize_t n = pread_full(log->fd, bytes, len, (off_t)position->offset);
    int err = n < 0 ? (int)n : (size_t)n < len ? -EBADMSG : 0;
    if (!err)
        err = check_read(log, bytes, position, key);
    if (!err)
        err = buf_replace(value, slice_of(bytes + RECORD_HEADER
                                          + position->key_len,
                                          position->value_len));
    free(bytes);
    return err;
}

/* ---- replaying ------------------------------------------------------------ */

/* A part of the file in memory. */
struct window {
    int fd;
    uint64_t size;          /* of the file */
    uint64_t at;            /* where in the file the bytes begin */
    struct buf bytes;
};

/* 1 and the bytes [offset, offset + len) of the file; 0 if it ends before. */
static int look(struct window *w, uint64_t offset, size_t len,
                const unsigned char **out)
{
    if (offset > w->size || len > w->size - offset)
        return 0;
    if (offset < w->at || offset + len > w->at + w->bytes.len) {
        uint64_t rest = w->size - offset;
        size_t some = len > WINDOW ? len : WINDOW;

        if (some > rest)
            some = (size_t)rest;
        buf_clear(&w->bytes);
        int err = buf_reserve(&w->bytes, some);
        if (err)
            return err;
        ssize_t n = pread_full(w->fd, w->bytes.ptr, some, (off_t)offset);
        if (n < 0 || (size_t)n < len)
            return n < 0 ? (int)n : -EIO;
        w->at = offset;
        w->bytes.len = (size_t)n;
    }
    *out = w->bytes.ptr + (offset - w->at);
    return 1;
}

/* 1 if a whole, sound record lies there; 0 if not. */
static int sound_at(struct window *w, uint64_t salt, uint64_t offset,
                    struct record *r)
{
    const unsigned char *bytes;
    uint32_t sum;
    int there = look(w, offset, RECORD_HEADER, &bytes);

    if (there <= 0)
        return there;
    if (bytes[24] < RECORD_SET || bytes[24] > RECORD_MARK
        || record_parse_header(bytes, salt, r, &sum) != 0)
        return 0;
    there = look(w, offset, record_size(r->key.len, r->value.len), &bytes);
    if (there <= 0)
        return there;
    bytes += RECORD_HEADER;
    r->key.ptr = bytes;
    r->value.ptr = bytes + r->key.len;
    return record_check_body(bytes, r->key.len + r->value.len, salt, sum)
        == 0;
}

/* Whether a record behind the bad place says that this place was durable. */
static int was_durable(struct window *w, uint64_t salt, uint64_t bad)
{
    struct record r;

    for (uint64_t at = bad + 1; at + RECORD_HEADER <= w->size;) {
        int sound = sound_at(w, salt, at, &r);

        if (sound < 0 || (sound > 0 && r.durable > bad))
            return sound;
        at += sound > 0 ? record_size(r.key.len, r.value.len) : 1;
    }
    return 0;
}

/* Goes through the sound records from log->end on, which it moves. */
static int replay_sound(struct log_file *log, struct window *w,
                        log_replay_fn *fn, void *arg)
{
    struct record r;
    int sound;

    while ((sound = sound_at(w, log->salt, log->end, &r)) > 0) {
        struct log_position position = {
            log->end, (uint32_t)r.key.len, (uint32_t)r.value.len };
        uint64_t next = log->end + record_size(r.key.len, r.value.len);

        if (r.kind != RECORD_MARK) {
            int err = fn(arg, &r, &position);
            if (err)
                return err;
            log->change_end = next;
        }
        if (r.durable > log->said)
            log->said = r.durable;
        log->end = next;
    }
    return sound;
}

/* The header itself was cut off: a new one, unless we only read. */
static int replay_headless(struct log_file *log, struct log_damage *damage)
{
    damage->torn = log->end;
    if (log->mode == LOG_READ) {
        log->end = log->change_end = RECORD_FILE_HEADER;
        return 0;
    }
    int err = cut_at(log, 0);
    return err ? err : write_file_header(log);
}

/* What lies behind the last sound record. */
static int replay_rest(struct log_file *log, struct window *w,
                       struct log_damage *damage)
{
    damage->offset = log->end;
    if (log->end == w->size)
        return 0;
    int corrupt = was_durable(w, log->salt, log->end);
    if (corrupt != 0)
        return corrupt < 0 ? corrupt : -EBADMSG;
    damage->torn = w->size - log->end;
    if (log->mode == LOG_READ)
        return 0;
    return cut_at(log, log->end);
}

/* What we can read, and a cut, need not be on the disk; the process before us
 * may have been killed. Only when the file itself says that it is do we
 * believe it. */
static int settle(struct log_file *log, bool cut)
{
    bool known = log->said > RECORD_FILE_HEADER
                 && log->said >= log->change_end;

    if (log->mode == LOG_READ || (known && !cut))
        return 0;
    int err = sync_file(log);
    if (!err)
        log->durable = log->end;
    return err;
}

int log_replay(struct log_file *log, log_replay_fn *fn, void *arg,
               struct log_damage *damage)
{
    struct window w = { .fd = log->fd };
    struct log_damage found = { 0, 0 };
    int err;

    if (log->headless) {
        err = replay_headless(log, &found);
    } else {
        err = file_size(log->fd, &w.size);
        if (err)
            return err;
        log->end = log->change_end = RECORD_FILE_HEADER;
        err = replay_sound(log, &w, fn, arg);
        log->durable = log->said;
        if (!err)
            err = replay_rest(log, &w, &found);
        buf_release(&w.bytes);
        if (!err)
            err = settle(log, found.torn > 0);
    }
    if (damage && (err == 0 || err == -EBADMSG))
        *damage = found;
    return err;
}
