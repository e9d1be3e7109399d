/* hint.c -- given. */
#include "stage5-compaction/hint.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "common/file.h"
#include "common/little.h"

enum {
    SUM_AT = 56,
    REMOVED = 1, GAP = 2,       /* bits of an entry's first byte */
    VARINT = 10,                /* bytes of a number, at most, */
    FIXED = 1 + 4 * VARINT      /* and of an entry without its key */
};

static const char magic[8] = { 'K', 'V', 'S', 'H', 'N', 'T', '\r', '\n' };
static const char suffix[] = ".hint";

void hint_init(struct hint *hint)
{
    *hint = (struct hint){ 0 };
}

void hint_release(struct hint *hint)
{
    buf_release(&hint->bytes);
    hint_init(hint);
}

/* ---- Entries ------------------------------------------------------------- */

static unsigned char *put_number(unsigned char *to, uint64_t n)
{
    for (; n >= 0x80; n >>= 7)
        *to++ = (unsigned char)(n | 0x80);
    *to++ = (unsigned char)n;
    return to;
}

/* NULL when the bytes end before the number does, or it is too long. */
static const unsigned char *get_number(const unsigned char *at,
                                       const unsigned char *stop, uint64_t *n)
{
    *n = 0;
    for (unsigned shift = 0; at && at < stop && shift < 64; shift += 7) {
        *n |= (uint64_t)(*at & 0x7f) << shift;
        if (!(*at++ & 0x80))
            return at;
    }
    return NULL;
}

/* Differences are small either way; so small numbers for both. */
static uint64_t fold(uint64_t difference)
{
    return difference >> 63 ? ~(difference << 1) : difference << 1;
}

static uint64_t unfold(uint64_t n)
{
    return n & 1 ? ~(n >> 1) : n >> 1;
}

static uint64_t end_of(const struct log_position *position)
{
    return position->offset +
           record_size(position->key_len, position->value_len);
}

int hint_add(struct hint *hint, const struct record *record,
             const struct log_position *position)
{
    static const unsigned char header[HINT_HEADER];
    unsigned char fixed[FIXED], *to = fixed + 1;
    struct buf *bytes = &hint->bytes;
    uint64_t gap;
    int err = 0;

    if (bytes->len == 0) {
        hint->end = RECORD_FILE_HEADER;
        err = buf_append(bytes, header, sizeof header);
    }
    if (!err)
        err = buf_reserve(bytes, sizeof fixed + record->key.len);
    if (err)
        return err;
    gap = position->offset - hint->end;
    fixed[0] = (unsigned char)((record->kind == RECORD_REMOVE ? REMOVED : 0) |
                               (gap ? GAP : 0));
    to = put_number(to, position->key_len);
    to = put_number(to, position->value_len);
    if (gap)
        to = put_number(to, gap);
    to = put_number(to, fold(record->sequence - hint->sequence));
    buf_append(bytes, fixed, (size_t)(to - fixed));     /* there is room */
    buf_append_slice(bytes, record->key);
    hint->end = end_of(position);
    hint->sequence = record->sequence;
    hint->entries++;
    if (hint->first == 0 || record->sequence < hint->first)
        hint->first = record->sequence;
    if (record->sequence > hint->last)
        hint->last = record->sequence;
    return 0;
}

/* The entry at `at`, given the one before it in *e, and where the next one
 * is. NULL: no entry. */
static const unsigned char *parse(const unsigned char *at,
                                  const unsigned char *stop,
                                  struct hint_entry *e)
{
    uint64_t key_len, value_len, gap = 0, difference;
    unsigned flags = at < stop ? *at++ : ~0u;

    if (flags > (REMOVED | GAP))
        return NULL;
    at = get_number(at, stop, &key_len);
    at = get_number(at, stop, &value_len);
    if (flags & GAP)
        at = get_number(at, stop, &gap);
    at = get_number(at, stop, &difference);
    if (!at || key_len == 0 || key_len > RECORD_KEY_MAX ||
        value_len > RECORD_VALUE_MAX || (uint64_t)(stop - at) < key_len ||
        (flags & REMOVED && value_len > 0))
        return NULL;
    e->kind = flags & REMOVED ? RECORD_REMOVE : RECORD_SET;
    e->position.offset = end_of(&e->position) + gap;
    e->position.key_len = (uint32_t)key_len;
    e->position.value_len = (uint32_t)value_len;
    e->sequence += unfold(difference);
    e->key = slice_of(at, (size_t)key_len);
    return at + key_len;
}

/* What stands before the first: a record that ends with the file's header. */
static struct hint_entry before_first(void)
{
    return (struct hint_entry){ .position.offset = 0 };
}

int hint_each(const struct hint *hint, hint_each_fn *fn, void *arg)
{
    const unsigned char *at, *stop;
    struct hint_entry e = before_first();
    int answer = 0;

    if (hint->entries == 0)
        return 0;
    at = hint->bytes.ptr + HINT_HEADER;
    stop = hint->bytes.ptr + hint->bytes.len;
    for (uint64_t i = 0; i < hint->entries && !answer; i++) {
        at = parse(at, stop, &e);   /* it was checked, or we made it */
        answer = at ? fn(arg, &e) : -EBADMSG;
    }
    return answer;
}

/* ---- Files --------------------------------------------------------------- */

void hint_name(char name[DIR_NAME_MAX], uint64_t generation)
{
    snprintf(name, DIR_NAME_MAX, "%08" PRIu64 "%s", generation, suffix);
}

uint64_t hint_generation(const char *name)
{
    char log[DIR_NAME_MAX];
    size_t len = strlen(name), end = sizeof suffix - 1;

    if (len <= end || len >= sizeof log || strcmp(name + len - end, suffix))
        return 0;
    snprintf(log, sizeof log, "%.*s.log", (int)(len - end), name);
    return dir_log_generation(log);
}

static uint64_t checksum(const struct buf *bytes, uint64_t salt)
{
    return XXH3_64bits_withSeed(bytes->ptr, SUM_AT, salt) ^
           XXH3_64bits_withSeed(bytes->ptr + HINT_HEADER,
                                bytes->len - HINT_HEADER, ~salt);
}

static int write_all(int fd, const struct buf *bytes)
{
    size_t done = 0;

    while (done < bytes->len) {
        ssize_t n = write(fd, bytes->ptr + done, bytes->len - done);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? -errno : -EIO;
        done += (size_t)n;
    }
    return 0;
}

int hint_save(struct hint *hint, const struct dir *dir, uint64_t generation,
              uint64_t salt, uint64_t end)
{
    unsigned char header[HINT_HEADER] = { 0 };
    char name[DIR_NAME_MAX];
    int err = 0;

    memcpy(header, magic, sizeof magic);
    little_put32(header + 8, HINT_VERSION);
    little_put64(header + 16, salt);
    little_put64(header + 24, end);
    little_put64(header + 32, hint->entries);
    little_put64(header + 40, hint->first);
    little_put64(header + 48, hint->last);
    if (hint->bytes.len == 0)
        err = buf_append(&hint->bytes, header, sizeof header);
    if (err)
        return err;
    memcpy(hint->bytes.ptr, header, sizeof header);
    little_put64(hint->bytes.ptr + SUM_AT, checksum(&hint->bytes, salt));
    hint_name(name, generation);
    if (end > HINT_SMALL && hint->bytes.len * HINT_SHARE > end) {
        unlinkat(dir->fd, name, 0);
        return 0;
    }
    int fd = openat(dir->fd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC,
                    0666);
    if (fd < 0)
        return -errno;
    err = write_all(fd, &hint->bytes);
    if (close(fd) != 0 && !err)
        err = -errno;
    if (err)
        unlinkat(dir->fd, name, 0);
    return err;
}

/* The entries fill the bytes exactly, and lie inside the log. The checksum
 * says so, too; but a wrong place costs more than a wrong answer. */
static int check_entries(const struct hint *hint, uint64_t end)
{
    const unsigned char *at = hint->bytes.ptr + HINT_HEADER;
    const unsigned char *stop = hint->bytes.ptr + hint->bytes.len;
    struct hint_entry e = before_first();

    for (uint64_t i = 0; i < hint->entries; i++) {
        at = parse(at, stop, &e);
        if (!at || e.position.offset > end || end_of(&e.position) > end)
            return -EBADMSG;
    }
    return at == stop ? 0 : -EBADMSG;
}

static int check(struct hint *hint, uint64_t salt, uint64_t end)
{
    const unsigned char *header = hint->bytes.ptr;

    if (hint->bytes.len < HINT_HEADER ||
        memcmp(header, magic, sizeof magic) != 0 ||
        little_get32(header + 8) != HINT_VERSION ||
        little_get64(header + 16) != salt ||
        little_get64(header + 24) != end ||
        little_get64(header + SUM_AT) != checksum(&hint->bytes, salt))
        return -EBADMSG;
    hint->entries = little_get64(header + 32);
    hint->first = little_get64(header + 40);
    hint->last = little_get64(header + 48);
    return check_entries(hint, end);
}

int hint_load(struct hint *hint, const struct dir *dir, uint64_t generation,
              uint64_t salt, uint64_t end)
{
    char name[DIR_NAME_MAX];
    struct stat st;

    hint_name(name, generation);
    int fd = openat(dir->fd, name, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    int err = fstat(fd, &st) != 0 ? -errno : 0;
    if (!err && (uint64_t)st.st_size > HINT_HEADER + end)
        err = -EBADMSG;     /* a hint is never longer than its log */
    if (!err)
        err = buf_reserve(&hint->bytes, (size_t)st.st_size);
    if (!err) {
        ssize_t n = read_full(fd, hint->bytes.ptr, (size_t)st.st_size);

        err = n < 0 ? (int)n : 0;
        hint->bytes.len = n < 0 ? 0 : (size_t)n;
    }
    close(fd);
    if (!err)
        err = check(hint, salt, end);
    if (err)
        hint_release(hint);
    return err;
}
