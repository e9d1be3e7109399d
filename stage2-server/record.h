/* record.h -- how a change lies in a file, and how to tell it from damage.
 *
 * Given.
 *
 * A log is a file header and then records, one behind the other, in the
 * order in which they happened. Every offset is in bytes from the start of
 * the file.
 *
 * Shapes:  all numbers little-endian, no padding between records.
 *
 *   file header, RECORD_FILE_HEADER (32) bytes
 *      0  8  "KVSLOG\r\n"
 *      8  4  format version, 1
 *     12  4  0
 *     16  8  salt: drawn when the file is made; all checksums below are
 *            seeded with it, so bytes of another file, or a value that looks
 *            like a record, are never taken for one
 *     24  8  checksum of the 24 bytes before (XXH3-64, seed 0)
 *
 *   record, RECORD_HEADER (32) bytes, then the key, then the value
 *      0  4  checksum of bytes 4 to 31
 *      4  4  checksum of key and value
 *      8  8  sequence number: 1, 2, 3 ... in the order of the changes
 *     16  8  durable: all before this offset of this file was known to be on
 *            the disk when the record was written
 *     24  4  kind in the low 8 bits; key length in the other 24
 *     28  4  value length
 *
 *   Checksums of records: low 32 bits of XXH3-64, seeded with the salt. The
 *   header has one of its own: a flipped bit in a length would otherwise look
 *   like a record that was cut off.
 *
 * Kinds:   RECORD_SET; RECORD_REMOVE (a tombstone: a key, no value);
 *          RECORD_MARK (neither; carries only `durable`; a sequence number of
 *          0, it is no change).
 * Errors:  0 or a negative errno; -EBADMSG is damage.
 * Threads: any; nothing here has state.
 * Source:  xxHash (XXH3).
 */
#ifndef STAGE2_RECORD_H
#define STAGE2_RECORD_H

#include <stddef.h>
#include <stdint.h>

#include "common/buf.h"
#include "common/slice.h"

enum {
    RECORD_FILE_HEADER = 32,
    RECORD_HEADER = 32,
    RECORD_KEY_MAX = 128 * 1024,
    RECORD_VALUE_MAX = 16 * 1024 * 1024,
    RECORD_VERSION = 1
};

enum record_kind { RECORD_SET = 1, RECORD_REMOVE = 2, RECORD_MARK = 3 };

struct record {
    enum record_kind kind;
    uint64_t sequence;
    uint64_t durable;
    struct slice key, value;    /* borrowed */
};

/* How long the record is in a file. */
static inline size_t record_size(size_t key_len, size_t value_len)
{
    return RECORD_HEADER + key_len + value_len;
}

/* A file header with this salt. */
void record_file_header(unsigned char out[RECORD_FILE_HEADER], uint64_t salt);

/* The salt of a file header; -EBADMSG for damage, -ENOTSUP for a version that
 * is newer than RECORD_VERSION. */
int record_parse_file(const unsigned char header[RECORD_FILE_HEADER],
                      uint64_t *salt);

/* Appends the record's bytes. 0 or -ENOMEM; -EMSGSIZE for a key or value
 * above the limits, -EINVAL for a set or remove without a key. */
int record_append(struct buf *to, uint64_t salt, const struct record *record);

/* What a header says, checked by its own checksum and the limits. `key` and
 * `value` of *out have their lengths and no bytes. -EBADMSG. */
int record_parse_header(const unsigned char header[RECORD_HEADER],
                        uint64_t salt, struct record *out,
                        uint32_t *body_checksum);

/* Whether these are the bytes of key and value, as they lie in the file.
 * 0 or -EBADMSG. */
int record_check_body(const void *body, size_t len, uint64_t salt,
                      uint32_t body_checksum);

/* Parses the whole record that starts at `bytes`; its slices point into
 * them. How many bytes it has; -EBADMSG for damage, or for one that goes
 * beyond len. */
long record_parse(const void *bytes, size_t len, uint64_t salt,
                  struct record *out);

/* Reads a file from a given offset on, record by record, with pread. */
struct record_scan {
    int fd;
    uint64_t salt;
    uint64_t offset;            /* of the record that comes next */
    uint64_t size;              /* of the file, when the scan began */
    bool around;                /* set after init: pages that cannot be read
                                   are zeros, and no reading error */
    struct buf window;          /* private */
    uint64_t window_at;
    uint64_t lost;              /* bytes that could not be read, so far */
};

/* Begins at `offset`; reads nothing yet. fd is borrowed until _release. */
void record_scan_init(struct record_scan *scan, int fd, uint64_t salt,
                      uint64_t offset, uint64_t size);
void record_scan_release(struct record_scan *scan);

/* 1 and the next record, whose slices are good until the next call, and
 * where it starts (at scan->offset before the call); 0 at the end of the
 * file; -EBADMSG when what lies at scan->offset is no whole, sound record
 * (scan->offset stays there); another error when reading fails. */
int record_scan_next(struct record_scan *scan, struct record *out);

/* After -EBADMSG: looks for the next sound record behind scan->offset, byte
 * by byte, and moves to where it starts: the next call of record_scan_next
 * brings it (once more). 1 found, 0 none; or a reading error. */
int record_scan_resync(struct record_scan *scan, struct record *out);

#endif
