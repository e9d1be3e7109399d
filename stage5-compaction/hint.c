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

enum { KIND_BITS = 8, SUM_AT = 56 };

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

int hint_add(struct hint *hint, const struct record *record,
             const struct log_position *position)
{
    unsigned char fixed[HINT_ENTRY];
    struct buf *bytes = &hint->bytes;
    static const unsigned char header[HINT_HEADER];
    int err = 0;

    if (bytes->len == 0)
        err = buf_append(bytes, header, sizeof header);
    if (!err)
        err = buf_reserve(bytes, sizeof fixed + record->key.len);
    if (err)
        return err;
    little_put64(fixed, record->sequence);
    little_put64(fixed + 8, position->offset);
    little_put32(fixed + 16, (uint32_t)record->kind |
                                 position->key_len << KIND_BITS);
    little_put32(fixed + 20, position->value_len);
    buf_append(bytes, fixed, sizeof fixed);         /* there is room */
    buf_append_slice(bytes, record->key);
    hint->entries++;
    if (hint->first == 0 || record->sequence < hint->first)
        hint->first = record->sequence;
    if (record->sequence > hint->last)
        hint->last = record->sequence;
    return 0;
}

void hint_entry_at(const unsigned char *at, struct hint_entry *out)
{
    uint32_t kind = little_get32(at + 16);

    *out = (struct hint_entry){
        .sequence = little_get64(at),
        .kind = (enum record_kind)(kind & ((1u << KIND_BITS) - 1)),
        .position = { little_get64(at + 8), kind >> KIND_BITS,
                      little_get32(at + 20) },
        .key = { at + HINT_ENTRY, kind >> KIND_BITS },
    };
}

int hint_each(const struct hint *hint, hint_each_fn *fn, void *arg)
{
    const unsigned char *at = hint->bytes.ptr + HINT_HEADER;
    struct hint_entry e;
    int answer = 0;

    for (uint64_t i = 0; i < hint->entries && !answer; i++) {
        hint_entry_at(at, &e);
        at += HINT_ENTRY + e.key.len;
        answer = fn(arg, &e);
    }
    return answer;
}

/* ---- Files -------------------------------------------------------------------- */

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
 * says so, too; but a wrong pointer costs more than a wrong answer. */
static int check_entries(const struct hint *hint, uint64_t end)
{
    const unsigned char *at = hint->bytes.ptr + HINT_HEADER;
    const unsigned char *stop = hint->bytes.ptr + hint->bytes.len;

    for (uint64_t i = 0; i < hint->entries; i++) {
        if (stop - at < HINT_ENTRY)
            return -EBADMSG;
        uint32_t kind = little_get32(at + 16);
        size_t key_len = kind >> KIND_BITS;
        uint64_t offset = little_get64(at + 8);
        size_t size = record_size(key_len, little_get32(at + 20));

        kind &= (1u << KIND_BITS) - 1;
        if ((kind != RECORD_SET && kind != RECORD_REMOVE) || key_len == 0 ||
            offset > end || size > end - offset ||
            (size_t)(stop - at) < HINT_ENTRY + key_len)
            return -EBADMSG;
        at += HINT_ENTRY + key_len;
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
