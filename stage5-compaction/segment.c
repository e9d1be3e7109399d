/* segment.c -- given. */
#include "stage5-compaction/segment.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/file.h"
#include "common/little.h"

enum {
    ROOM = 1024 * 1024,             /* bytes in advance, at most */
    PUSH = 4 * 1024 * 1024,         /* bytes from one push to the next */
    LABEL_MAX = RECORD_KEY_MAX / 8 - 1,
    MARKS = 4096                    /* bytes of marks in doubt, at most */
};

void segment_path(char *text, const char *path, uint64_t generation,
                  const char *suffix)
{
    char name[DIR_NAME_MAX];

    dir_log_name(name, generation);
    snprintf(text, PATH_MAX + DIR_NAME_MAX, "%s/%s%s", path, name, suffix);
}

uint64_t segment_end(const struct segment *segment)
{
    return log_end(segment->log);
}

static struct segment *segment_new(uint64_t generation)
{
    struct segment *s = calloc(1, sizeof *s);

    if (!s)
        return NULL;
    s->generation = generation;
    s->slot = SEGMENT_NO_SLOT;
    s->fd = -1;
    return s;
}

void segment_close(struct segment *segment)
{
    if (!segment)
        return;
    log_close(segment->log);
    if (segment->fd >= 0)
        close(segment->fd);
    free(segment->replaces);
    free(segment);
}

/* ---- The label ----------------------------------------------------------- */

static int write_label(struct segment *s, const struct segment_label *label)
{
    unsigned char *bytes = malloc(8 * (label->n + 1));
    struct log_position at;
    int err = bytes ? 0 : -ENOMEM;

    if (!err) {
        struct record record = { .kind = RECORD_REMOVE };

        little_put64(bytes, label->birth);
        for (size_t i = 0; i < label->n; i++)
            little_put64(bytes + 8 * (i + 1), label->replaces[i]);
        record.key = slice_of(bytes, 8 * (label->n + 1));
        err = log_append(s->log, &record, 1, &at);
    }
    free(bytes);
    s->birth = label->birth;
    s->merged = label->n > 0;
    return err;
}

/* What `record` says, if it is a label. */
static int take_label(struct segment *s, const struct record *record)
{
    const unsigned char *bytes = record->key.ptr;
    size_t n = record->key.len / 8;

    if (record->kind != RECORD_REMOVE || record->sequence != 0)
        return 0;           /* a log of stage 2 */
    if (n == 0 || record->key.len % 8 != 0)
        return -EBADMSG;
    s->birth = little_get64(bytes);
    s->n_replaces = n - 1;
    s->merged = n > 1;
    s->replaces = calloc(n, sizeof *s->replaces);
    if (!s->replaces)
        return -ENOMEM;
    for (size_t i = 1; i < n; i++)
        s->replaces[i - 1] = little_get64(bytes + 8 * i);
    return 0;
}

static int read_salt(int fd, uint64_t *salt)
{
    unsigned char header[RECORD_FILE_HEADER];
    ssize_t n = pread_full(fd, header, sizeof header, 0);

    if (n < 0)
        return (int)n;
    return n < RECORD_FILE_HEADER || record_parse_file(header, salt) != 0
               ? -ENODATA : 0;
}

/* The first record, if there is a whole one. */
static int read_label(struct segment *s, int fd)
{
    struct record_scan scan;
    struct record record;
    int err = read_salt(fd, &s->salt);

    if (err)
        return err;
    record_scan_init(&scan, fd, s->salt, RECORD_FILE_HEADER,
                     segment_end(s));
    int got = record_scan_next(&scan, &record);
    if (got == 1)
        got = take_label(s, &record);
    else if (got == -EBADMSG || got == 0)
        got = -ENODATA;
    record_scan_release(&scan);
    return got;
}

static int ignore_change(void *arg, const struct record *record,
                         const struct log_position *at)
{
    (void)arg;
    (void)record;
    (void)at;
    return 0;
}

/* Without a label: was its making interrupted (-ENODATA), or is it damaged
 * (-EBADMSG)? Damaged, if a record behind says that it was on the disk. */
static int judge_no_label(const char *text)
{
    struct log_damage damage;
    struct log_file *log = NULL;
    int err = log_open(&log, text, LOG_READ);

    if (!err)
        err = log_replay(log, ignore_change, NULL, &damage);
    log_close(log);
    return err ? err : -ENODATA;
}

/* ---- Making and opening -------------------------------------------------- */

int segment_create(struct segment **out, const char *path,
                   uint64_t generation, const char *suffix,
                   const struct segment_label *label)
{
    char text[PATH_MAX + DIR_NAME_MAX];
    struct segment *s = segment_new(generation);
    int err = s ? 0 : -ENOMEM;

    if (!err && label->n > LABEL_MAX)
        err = -EMSGSIZE;
    segment_path(text, path, generation, suffix);
    if (!err)
        err = log_open(&s->log, text, LOG_CREATE);
    bool made = !err;
    if (!err)
        err = write_label(s, label);
    if (!err)
        err = log_sync(s->log);
    if (!err) {
        s->fd = open(text, O_RDWR | O_CLOEXEC);
        err = s->fd < 0 ? -errno : 0;
    }
    if (!err)
        err = read_label(s, s->fd);     /* the salt */
    if (err) {
        if (made)
            unlink(text);
        segment_close(s);
        return err;
    }
    s->roomy = segment_end(s);
    *out = s;
    return 0;
}

int segment_open(struct segment **out, const char *path, uint64_t generation,
                 bool write)
{
    char text[PATH_MAX + DIR_NAME_MAX];
    struct segment *s = segment_new(generation);

    if (!s)
        return -ENOMEM;
    segment_path(text, path, generation, "");
    int err = log_open(&s->log, text, write ? LOG_WRITE : LOG_READ);
    if (!err) {
        s->fd = open(text, (write ? O_RDWR : O_RDONLY) | O_CLOEXEC);
        err = s->fd < 0 ? -errno : read_label(s, s->fd);
    }
    if (err == -ENODATA)
        err = judge_no_label(text);
    if (!write && s->fd >= 0) {
        close(s->fd);
        s->fd = -1;
    }
    if (err) {
        segment_close(s);
        return err;
    }
    s->sealed = !write;
    s->roomy = segment_end(s);
    *out = s;
    return 0;
}

/* ---- Writing ------------------------------------------------------------- */

/* Zeros behind the end, so that the next syncs find the file as long as it
 * was; as many as there are already, so that a small segment does not pay for
 * a large one. It is only a favour: it may fail, and the records do not. */
static void make_room(struct segment *s, uint64_t until)
{
    static const unsigned char zeros[64 * 1024];

    if (until <= s->roomy)
        return;
    for (uint64_t end = until + (until < ROOM ? until : ROOM);
         s->roomy < end;) {
        ssize_t n = pwrite(s->fd, zeros, sizeof zeros, (off_t)s->roomy);

        if (n <= 0)
            return;
        s->roomy += (uint64_t)n;
    }
}

int segment_append(struct segment *segment, struct record *records, size_t n,
                   struct log_position *positions, bool roomy)
{
    uint64_t end = segment_end(segment);

    if (roomy) {
        for (size_t i = 0; i < n; i++)
            end += record_size(records[i].key.len, records[i].value.len);
        make_room(segment, end);
    }
    int err = log_append(segment->log, records, n, positions);
    end = segment_end(segment);
    if (err || segment->roomy < end)    /* cut back, or there was no room */
        segment->roomy = end;
    return err;
}

void segment_push(struct segment *segment)
{
    uint64_t end = segment_end(segment);

    if (segment->fd < 0 || end - segment->pushed < PUSH)
        return;
    sync_file_range(segment->fd, (off_t)segment->pushed,
                    (off_t)(end - segment->pushed), SYNC_FILE_RANGE_WRITE);
    segment->pushed = end;
}

static int sync_file(int fd)
{
    while (fdatasync(fd) != 0)
        if (errno != EINTR)
            return -errno;
    return 0;
}

/* Cuts off what is behind the end, if there is anything. */
static int cut_room(const struct segment *s)
{
    struct stat st;

    if (fstat(s->fd, &st) != 0)
        return -errno;
    if ((uint64_t)st.st_size == segment_end(s))
        return 0;
    while (ftruncate(s->fd, (off_t)segment_end(s)) != 0)
        if (errno != EINTR)
            return -errno;
    return 0;
}

void segment_write_again(struct segment *segment, uint64_t from)
{
    from = from > MARKS ? from - MARKS : 0;
    file_write_again(segment->fd, (off_t)from, (off_t)segment_end(segment));
}

/* The mark is written after a sync (whoever writes it) and says that all before
 * it is durable; the mark itself is synced by the second one. */
int segment_seal(struct segment *segment)
{
    int err = log_sync(segment->log);

    if (!err)
        err = log_mark(segment->log);
    if (!err)
        err = cut_room(segment);
    if (!err) {
        err = sync_file(segment->fd);
        if (err)
            segment_write_again(segment, segment_end(segment));
    }
    if (!err) {
        close(segment->fd);     /* descriptors are few */
        segment->fd = -1;
    }
    return err;
}

/* ---- Reading ------------------------------------------------------------- */

struct each {
    log_replay_fn *fn;
    void *arg;
    uint64_t end;           /* of the last change */
};

static int each_change(void *arg, const struct record *record,
                       const struct log_position *at)
{
    struct each *each = arg;

    each->end = at->offset + record_size(at->key_len, at->value_len);
    return record->sequence == 0 ? 0 : each->fn(each->arg, record, at);
}

/* Whether the file of that name is still ours: a directory may have been moved
 * away, and another one made. */
static int check_salt(const struct segment *s, const char *text)
{
    int fd = open(text, O_RDONLY | O_CLOEXEC);
    uint64_t salt = 0;
    int err = fd < 0 ? -errno : read_salt(fd, &salt);

    if (fd >= 0)
        close(fd);
    return err == -ENODATA || (!err && salt != s->salt) ? -EBADMSG : err;
}

/* Sealing has put a mark at the end. Without it, something is missing there,
 * even if all that is there is sound. */
int segment_each(const struct segment *segment, const char *path,
                 log_replay_fn *fn, void *arg)
{
    char text[PATH_MAX + DIR_NAME_MAX];
    struct each each = { fn, arg, 0 };
    struct log_damage damage = { 0 };
    struct log_file *log = NULL;

    segment_path(text, path, segment->generation, "");
    int err = check_salt(segment, text);
    if (!err)
        err = log_open(&log, text, LOG_READ);
    if (!err)
        err = log_replay(log, each_change, &each, &damage);
    if (!err && (damage.torn || each.end >= log_end(log)))
        err = -EBADMSG;
    log_close(log);
    return err;
}
