/* kvs_source.c -- given: a log's sound records, and what lies between them. */
#include "stage2-server/kvs_source.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/file.h"

enum { FORMAT = 1, COPY = 1 << 16 };

/* ---- Pieces -------------------------------------------------------------- */

/* (A copy of a segment is younger than all values in it: none of them can hold
 * its records.) */
static bool believable(const struct source *s, const struct record *record,
                       uint64_t at, uint64_t last)
{
    return record->kind == RECORD_MARK || record->sequence > last ||
           s->any_order ||
           (s->segment && at == RECORD_FILE_HEADER && record->sequence == 0);
}

/* Reads the piece's bytes, to the end of `to`, unless that is NULL. */
static int piece_bytes(const struct source *s, const struct piece *piece,
                       FILE *to, uint64_t *unread)
{
    struct buf bytes = { 0 };
    int err = buf_reserve(&bytes, COPY);

    for (uint64_t done = 0; done < piece->len && !err;) {
        uint64_t left = piece->len - done;
        size_t n = left < COPY ? (size_t)left : COPY;
        ssize_t got = pread_around(s->fd, bytes.ptr, n,
                                   (off_t)(piece->offset + done), unread);

        if (got <= 0)
            err = got < 0 ? (int)got : -EIO;
        else if (to && fwrite(bytes.ptr, 1, (size_t)got, to) != (size_t)got)
            err = -errno;
        else
            done += (uint64_t)got;
    }
    buf_release(&bytes);
    return err;
}

/* The next record that may be believed, at scan->offset or behind: 1, and
 * the scan stands at its start; 0 if there is none. */
static int find_next(const struct source *s, struct record_scan *scan,
                     uint64_t last)
{
    struct record record;
    uint64_t at = scan->offset;
    int got = record_scan_next(scan, &record);

    while (got == -EBADMSG ||
           (got == 1 && !believable(s, &record, at, last))) {
        scan->offset = at;
        got = record_scan_resync(scan, &record);
        at = scan->offset;
    }
    if (got == 1)
        scan->offset = at;
    return got;
}

/* The scan has been over all of the piece. */
static int pass_piece(const struct source *s, const struct record_scan *scan,
                      struct piece *piece, piece_fn *fn, void *arg)
{
    int err = 0;

    if (scan->lost > 0)
        err = piece_bytes(s, piece, NULL, &piece->unread);
    return err ? err : fn(arg, piece);
}

static int pass_pieces(const struct source *s, struct record_scan *scan,
                       piece_fn *fn, void *arg)
{
    uint64_t last = 0, at = scan->offset;
    struct record record;
    int err = 0, got = 1;

    while (!err && got == 1) {
        struct piece piece = { .offset = at, .after = last };

        got = find_next(s, scan, last);
        if (got < 0)
            return got;
        uint64_t next = got ? scan->offset : scan->size;
        piece.len = next - at;
        if (piece.len > 0)
            err = pass_piece(s, scan, &piece, fn, arg);
        if (err || got == 0)
            break;
        err = record_scan_next(scan, &record) == 1 ? 0 : -EIO;
        at = scan->offset;
        piece = (struct piece){ next, at - next, &record, last, 0 };
        if (!err)
            err = pass_piece(s, scan, &piece, fn, arg);
        if (record.kind != RECORD_MARK)
            last = record.sequence;
    }
    return err;
}

int source_each(const struct source *s, piece_fn *fn, void *arg)
{
    struct record_scan scan;
    struct piece first = { .len = s->no_salt ? s->size : RECORD_FILE_HEADER };
    bool is_bad = s->no_salt ? s->size > 0 : s->bad_header;
    int err = is_bad ? piece_bytes(s, &first, NULL, &first.unread) : 0;

    if (!err && is_bad)
        err = fn(arg, &first);
    if (err || s->no_salt)
        return err;
    record_scan_init(&scan, s->fd, s->salt, RECORD_FILE_HEADER, s->size);
    scan.around = true;
    err = pass_pieces(s, &scan, fn, arg);
    record_scan_release(&scan);
    return err;
}

static int note_durable(void *arg, const struct piece *piece)
{
    uint64_t *durable = arg;

    if (piece->record && piece->record->durable > *durable)
        *durable = piece->record->durable;
    return 0;
}

bool source_damaged(const struct source *s, const struct piece *piece)
{
    if (piece->record || piece->unread)
        return piece->unread > 0;
    if (piece->offset == 0)
        return !s->torn_header;
    return piece->offset < s->durable;
}

/* ---- Opening ------------------------------------------------------------- */

/* As log_open sees it: cut off, or it never reached the disk. */
static bool is_torn_header(const unsigned char *header, uint64_t size)
{
    static const unsigned char zeros[RECORD_FILE_HEADER];

    return size < RECORD_FILE_HEADER
           || (size == RECORD_FILE_HEADER
               && memcmp(header, zeros, sizeof zeros) == 0);
}

/* With a damaged header the salt may be right all the same: the first record
 * tells. */
static int try_salt(struct source *s, const unsigned char *header)
{
    struct record_scan scan;
    struct record record;

    s->salt = 0;
    for (int i = 7; i >= 0; i--)
        s->salt = s->salt << 8 | header[16 + i];
    record_scan_init(&scan, s->fd, s->salt, RECORD_FILE_HEADER, s->size);
    scan.around = true;
    int got = record_scan_next(&scan, &record);
    record_scan_release(&scan);
    s->bad_header = true;
    s->no_salt = got != 1;
    return got < 0 && got != -EBADMSG ? got : 0;
}

int source_look_at(struct source *s, uint64_t generation)
{
    unsigned char header[RECORD_FILE_HEADER] = { 0 };
    struct stat st;

    dir_log_name(s->name, generation);
    if (s->fd >= 0)
        close(s->fd);
    s->fd = openat(s->dir.fd, s->name, O_RDONLY | O_CLOEXEC);
    if (s->fd < 0 || fstat(s->fd, &st) != 0)
        return -errno;
    s->size = (uint64_t)st.st_size;
    s->bad_header = s->no_salt = false;
    s->durable = 0;
    uint64_t lost = 0;
    ssize_t n = pread_around(s->fd, header, sizeof header, 0, &lost);
    if (n < 0)
        return (int)n;
    s->torn_header = lost == 0 && is_torn_header(header, s->size);
    int err = record_parse_file(header, &s->salt);
    if (err == -EBADMSG)
        err = try_salt(s, header);
    return err ? err : source_each(s, note_durable, &s->durable);
}

static int find_newest(void *arg, const char *name)
{
    uint64_t *newest = arg, generation = dir_log_generation(name);

    if (generation > *newest)
        *newest = generation;
    return 0;
}

void source_close(struct source *s)
{
    if (s->fd >= 0)
        close(s->fd);
    dir_close(&s->dir);
}

int source_copy(const struct source *s, const struct piece *piece, FILE *to)
{
    uint64_t unread = 0;

    return piece_bytes(s, piece, to, &unread);
}

static void unread_name(const struct source *s, char name[2 * DIR_NAME_MAX])
{
    snprintf(name, 2 * DIR_NAME_MAX, "unread-%.*s", DIR_NAME_MAX, s->name);
}

void source_keep_not(const struct source *s)
{
    char name[2 * DIR_NAME_MAX];

    unread_name(s, name);
    unlinkat(s->dir.fd, name, 0);
}

void source_keep(const struct source *s)
{
    char name[2 * DIR_NAME_MAX];

    source_keep_not(s);
    unread_name(s, name);
    linkat(s->dir.fd, s->name, s->dir.fd, name, 0);
}

/* (A rename of one of two names of a file to the other does nothing.) */
int source_kept(const struct source *s)
{
    char name[2 * DIR_NAME_MAX];

    unread_name(s, name);
    if (renameat(s->dir.fd, s->name, s->dir.fd, name) != 0)
        return -errno;
    printf("%s: some of it cannot be read now; all of it is kept as %s\n",
           s->name, name);
    return 0;
}

int source_lost(const struct source *s, char name[2 * DIR_NAME_MAX],
                FILE **out)
{
    snprintf(name, 2 * DIR_NAME_MAX, "lost-%.*s", DIR_NAME_MAX, s->name);
    int fd = openat(s->dir.fd, name,
                    O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);

    *out = fd < 0 ? NULL : fdopen(fd, "w");
    if (*out)
        return 0;
    int err = -errno;
    if (fd >= 0)
        close(fd);
    return err;
}

int source_open(struct source *s, const char *path, bool read_only)
{
    char engine[DIR_ENGINE_MAX];
    int err = dir_engine(path, engine);

    if (err)
        return err;             /* never makes a store */
    *s = (struct source){ .fd = -1 };
    err = dir_open(&s->dir, path, "kvs", FORMAT, read_only);
    if (err)
        return err;
    err = dir_each(&s->dir, find_newest, &s->generation);
    if (!err && s->generation == 0)
        err = -ENOENT;
    if (!err)
        err = source_look_at(s, s->generation);
    if (err)
        source_close(s);
    return err;
}
