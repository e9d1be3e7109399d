/* record.c -- given. */
#include "stage2-server/record.h"

#include <errno.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "common/file.h"
#include "common/little.h"

enum {
    WINDOW = 1024 * 1024,       /* a scan reads so much at a time */
    KIND_BITS = 8
};

static const char magic[8] = { 'K', 'V', 'S', 'L', 'O', 'G', '\r', '\n' };

/* ---- Checksums ---------------------------------------------------- */

static uint32_t checksum(const void *bytes, size_t len, uint64_t salt)
{
    return (uint32_t)XXH3_64bits_withSeed(bytes, len, salt);
}

/* ---- The file's header --------------------------------------------------- */

void record_file_header(unsigned char out[RECORD_FILE_HEADER], uint64_t salt)
{
    memcpy(out, magic, sizeof magic);
    little_put32(out + 8, RECORD_VERSION);
    little_put32(out + 12, 0);
    little_put64(out + 16, salt);
    little_put64(out + 24, XXH3_64bits(out, 24));
}

int record_parse_file(const unsigned char header[RECORD_FILE_HEADER],
                      uint64_t *salt)
{
    if (memcmp(header, magic, sizeof magic) != 0 ||
        little_get64(header + 24) != XXH3_64bits(header, 24))
        return -EBADMSG;
    if (little_get32(header + 8) > RECORD_VERSION)
        return -ENOTSUP;
    *salt = little_get64(header + 16);
    return 0;
}

/* ---- Records ------------------------------------------------------------- */

static int check(const struct record *record)
{
    if (record->kind != RECORD_MARK && record->key.len == 0)
        return -EINVAL;
    if (record->key.len > RECORD_KEY_MAX ||
        record->value.len > RECORD_VALUE_MAX)
        return -EMSGSIZE;
    return 0;
}

int record_append(struct buf *to, uint64_t salt, const struct record *record)
{
    size_t body = record->key.len + record->value.len;
    int err = check(record);

    if (!err)
        err = buf_reserve(to, RECORD_HEADER + body);
    if (err)
        return err;
    unsigned char *at = to->ptr + to->len;
    to->len += RECORD_HEADER;
    buf_append_slice(to, record->key);      /* there is room */
    buf_append_slice(to, record->value);
    little_put32(at + 4, checksum(at + RECORD_HEADER, body, salt));
    little_put64(at + 8, record->sequence);
    little_put64(at + 16, record->durable);
    little_put32(at + 24, (uint32_t)record->kind |
                       (uint32_t)record->key.len << KIND_BITS);
    little_put32(at + 28, (uint32_t)record->value.len);
    little_put32(at, checksum(at + 4, RECORD_HEADER - 4, salt));
    return 0;
}

int record_parse_header(const unsigned char header[RECORD_HEADER],
                        uint64_t salt, struct record *out,
                        uint32_t *body_checksum)
{
    uint32_t kind = little_get32(header + 24) & ((1u << KIND_BITS) - 1);
    struct record record = {
        .kind = (enum record_kind)kind,
        .sequence = little_get64(header + 8),
        .durable = little_get64(header + 16),
        .key = { NULL, little_get32(header + 24) >> KIND_BITS },
        .value = { NULL, little_get32(header + 28) },
    };
    /* The checksum last: who looks for a record at every byte of a damaged
     * log hardly ever gets that far. */
    if (kind < RECORD_SET || kind > RECORD_MARK || check(&record) != 0 ||
        (kind != RECORD_SET && record.value.len > 0) ||
        (kind == RECORD_MARK && record.key.len > 0) ||
        little_get32(header) != checksum(header + 4, RECORD_HEADER - 4, salt))
        return -EBADMSG;
    *body_checksum = little_get32(header + 4);
    *out = record;
    return 0;
}

int record_check_body(const void *body, size_t len, uint64_t salt,
                      uint32_t body_checksum)
{
    return checksum(body, len, salt) == body_checksum ? 0 : -EBADMSG;
}

/* The record's length; its slices are set to lie behind its header. */
static size_t lay_out(struct record *record, const unsigned char *header)
{
    record->key.ptr = header + RECORD_HEADER;
    record->value.ptr = header + RECORD_HEADER + record->key.len;
    return record_size(record->key.len, record->value.len);
}

long record_parse(const void *bytes, size_t len, uint64_t salt,
                  struct record *out)
{
    const unsigned char *at = bytes;
    struct record record;
    uint32_t sum;

    if (len < RECORD_HEADER ||
        record_parse_header(at, salt, &record, &sum) != 0)
        return -EBADMSG;
    size_t size = lay_out(&record, at);
    if (size > len || record_check_body(at + RECORD_HEADER,
                                        size - RECORD_HEADER, salt, sum) != 0)
        return -EBADMSG;
    *out = record;
    return (long)size;
}

/* ---- Scanning ------------------------------------------------------------ */

void record_scan_init(struct record_scan *scan, int fd, uint64_t salt,
                      uint64_t offset, uint64_t size)
{
    *scan = (struct record_scan){ .fd = fd, .salt = salt, .offset = offset,
                                  .size = size };
}

void record_scan_release(struct record_scan *scan)
{
    buf_release(&scan->window);
}

/* Has len bytes from `at` in the window, or all there are when the file ends
 * before. Their number, and where they are; or an error. */
static long look(struct record_scan *scan, uint64_t at, size_t len,
                 const unsigned char **bytes)
{
    struct buf *window = &scan->window;

    if (at < scan->window_at || at + len > scan->window_at + window->len) {
        uint64_t left = at < scan->size ? scan->size - at : 0;
        size_t want = len < WINDOW ? WINDOW : len;

        if (want > left)
            want = (size_t)left;
        buf_clear(window);
        if (buf_reserve(window, want) != 0)
            return -ENOMEM;
        ssize_t n = scan->around ? pread_around(scan->fd, window->ptr, want,
                                                (off_t)at, &scan->lost)
                                 : pread_full(scan->fd, window->ptr, want,
                                              (off_t)at);
        if (n < 0)
            return n;
        window->len = (size_t)n;
        scan->window_at = at;
    }
    size_t skip = (size_t)(at - scan->window_at), have = window->len - skip;
    *bytes = window->ptr + skip;
    return (long)(have < len ? have : len);
}

/* The length of the record at `at`; -EBADMSG, or a reading error. */
static long record_at(struct record_scan *scan, uint64_t at,
                      struct record *out)
{
    const unsigned char *bytes;
    uint32_t sum;
    long n = look(scan, at, RECORD_HEADER, &bytes);

    if (n < 0)
        return n;
    if (n < RECORD_HEADER ||
        record_parse_header(bytes, scan->salt, out, &sum) != 0)
        return -EBADMSG;
    size_t size = record_size(out->key.len, out->value.len);
    if (size > scan->size - at)
        return -EBADMSG;        /* before we get memory for what it claims */
    n = look(scan, at, size, &bytes);
    if (n < 0)
        return n;
    return record_parse(bytes, (size_t)n, scan->salt, out);
}

int record_scan_next(struct record_scan *scan, struct record *out)
{
    if (scan->offset >= scan->size)
        return 0;
    long n = record_at(scan, scan->offset, out);
    if (n < 0)
        return (int)n;
    scan->offset += (uint64_t)n;
    return 1;
}

/* How many places from `at` on cannot begin a record, for there is a zero
 * where its kind would be: a file may have a MiB of zeros at its end. */
static uint64_t count_kindless(struct record_scan *scan, uint64_t at)
{
    static const unsigned char zeros[8];
    const unsigned char *bytes;
    uint64_t n = 0;

    while (look(scan, at + n, RECORD_HEADER, &bytes) == RECORD_HEADER &&
           memcmp(bytes + 24, zeros, sizeof zeros) == 0)
        n += sizeof zeros;
    return n;
}

int record_scan_resync(struct record_scan *scan, struct record *out)
{
    for (uint64_t at = scan->offset + 1; at < scan->size; at++) {
        at += count_kindless(scan, at);
        long n = record_at(scan, at, out);

        if (n > 0) {
            scan->offset = at;
            return 1;
        }
        if (n != -EBADMSG)
            return (int)n;
    }
    return 0;
}
