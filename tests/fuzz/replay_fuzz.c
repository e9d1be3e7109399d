/* replay_fuzz.c -- given. Whatever lies in a log's file, it is opened right.
 *
 * The file is made by image.h, in memory. What must come is computed here
 * from record_parse alone, in the slow and simple way; see `judge`.
 */
#include "tests/fuzz/image.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/file.h"
#include "stage2-server/log.h"
#include "stage2-server/record.h"

enum { FOUND_MAX = 4096, SAME_HANDLE = 2, SYNCED = 4 };  /* not IMAGE_RAW */

struct found {
    uint64_t offset, sequence;
    enum record_kind kind;
    uint32_t key_len, value_len;
};

/* What a replay must answer. */
struct verdict {
    int err;                    /* of the replay */
    uint64_t bad;               /* the first place that is no record */
    size_t changes;             /* before it, without marks */
    struct found change[FOUND_MAX];
    uint64_t sequence;          /* the largest */
    bool odd;                   /* a record calls durable what lies behind
                                   it: no log writes that, but bytes taken
                                   out of the middle make it so */
};

static struct verdict verdict;

/* ---- what must come ----------------------------------------------------- */

/* Whether a sound record behind the bad place says that it was durable. */
static bool was_durable(struct slice image, uint64_t salt, size_t bad)
{
    const unsigned char *at = image.ptr;
    struct record record;

    for (size_t i = bad + 1; i < image.len;) {
        long n = record_parse(at + i, image.len - i, salt, &record);

        if (n > 0 && record.durable > bad)
            return true;
        i += n > 0 ? (size_t)n : 1;
    }
    return false;
}

/* False if that many records are too many for us. */
static bool judge(struct slice image, uint64_t salt)
{
    const unsigned char *at = image.ptr;
    struct record record;
    size_t i = RECORD_FILE_HEADER;
    long n;

    memset(&verdict, 0, offsetof(struct verdict, change));
    verdict.sequence = 0;
    verdict.odd = false;
    while ((n = record_parse(at + i, image.len - i, salt, &record)) > 0) {
        if (record.durable > i)
            verdict.odd = true;
        if (record.kind != RECORD_MARK) {
            if (verdict.changes == FOUND_MAX)
                return false;
            verdict.change[verdict.changes++] = (struct found){
                i, record.sequence, record.kind, (uint32_t)record.key.len,
                (uint32_t)record.value.len };
            if (record.sequence > verdict.sequence)
                verdict.sequence = record.sequence;
        }
        i += (size_t)n;
    }
    verdict.bad = i;
    if (i < image.len && was_durable(image, salt, i))
        verdict.err = -EBADMSG;
    return true;
}

/* ---- the file ----------------------------------------------------------- */

static int file = -1;
static char path[64];

static void write_file(struct slice image)
{
    if (file < 0) {
        file = memfd_create("log", MFD_CLOEXEC);
        must(file >= 0);
        snprintf(path, sizeof path, "/proc/self/fd/%d", file);
    }
    must(ftruncate(file, 0) == 0);
    must(pwrite(file, image.ptr, image.len, 0) == (ssize_t)image.len);
}

/* The file's first bytes are these; and it has no more, if `all`. */
static bool file_is(struct slice image, bool all)
{
    static struct buf now;
    struct stat stat;

    must(fstat(file, &stat) == 0);
    if ((size_t)stat.st_size < image.len
        || (all && (size_t)stat.st_size != image.len))
        return false;
    buf_clear(&now);
    must(buf_reserve(&now, image.len + 1) == 0);
    must(pread_full(file, now.ptr, image.len, 0) == (ssize_t)image.len);
    now.len = image.len;
    return slice_equal(buf_slice(&now), image);
}

static uint64_t salt_of_file(void)
{
    unsigned char header[RECORD_FILE_HEADER];
    uint64_t salt;

    must(pread_full(file, header, sizeof header, 0) == sizeof header);
    must(record_parse_file(header, &salt) == 0);
    return salt;
}

/* ---- replaying ---------------------------------------------------------- */

struct replay {
    const unsigned char *image; /* what the records must say; NULL: not that */
    size_t seen;
};

static int compare_record(void *arg, const struct record *record,
                          const struct log_position *position)
{
    struct replay *replay = arg;
    const struct found *wanted = &verdict.change[replay->seen];
    const unsigned char *key;

    must(replay->seen < verdict.changes);
    must(position->offset == wanted->offset);
    must(record->kind == wanted->kind && record->kind != RECORD_MARK);
    must(record->sequence == wanted->sequence);
    must(position->key_len == wanted->key_len
         && record->key.len == wanted->key_len);
    must(position->value_len == wanted->value_len
         && record->value.len == wanted->value_len);
    replay->seen++;
    if (!replay->image)
        return 0;
    key = replay->image + wanted->offset + RECORD_HEADER;
    must(slice_equal(record->key, slice_of(key, wanted->key_len)));
    must(slice_equal(record->value, slice_of(key + wanted->key_len,
                                             wanted->value_len)));
    return 0;
}

static int stop_at_once(void *arg, const struct record *record,
                        const struct log_position *position)
{
    (void)arg;
    (void)record;
    (void)position;
    return 77;
}

static void replay(struct log_file *log, const unsigned char *image,
                   int wanted, uint64_t bad, uint64_t torn)
{
    struct replay seen = { image, 0 };
    struct log_damage damage = { 1, 1 };

    must(log_replay(log, compare_record, &seen, &damage) == wanted);
    if (wanted != 0)
        return;
    must(seen.seen == verdict.changes);
    must(log_end(log) == bad);
    must(damage.offset == bad && damage.torn == torn);
}

static struct log_file *open_log(enum log_mode mode)
{
    struct log_file *log = NULL;

    must(log_open(&log, path, mode) == 0);
    return log;
}

static void check_values(struct log_file *log, const unsigned char *image)
{
    static struct buf value;
    size_t step = 1 + verdict.changes / 8;

    for (size_t i = 0; i < verdict.changes; i += step) {
        const struct found *f = &verdict.change[i];
        const unsigned char *key = image + f->offset + RECORD_HEADER;
        struct log_position position = { f->offset, f->key_len, f->value_len };

        if (f->kind != RECORD_SET)
            continue;
        must(log_read(log, &position, slice_of(key, f->key_len),
                      &value) == 0);
        must(slice_equal(buf_slice(&value),
                         slice_of(key + f->key_len, f->value_len)));
        must(log_read(log, &position, slice_str("no such key, I say"),
                      &value) == -EBADMSG);
    }
}

/* Two more records go behind the rest and are read back. */
static void append(struct log_file *log, bool synced)
{
    static struct buf value;
    struct record records[] = {
        { .kind = RECORD_SET, .sequence = verdict.sequence + 1,
          .key = slice_str("added"), .value = slice_str("a value") },
        { .kind = RECORD_REMOVE, .sequence = verdict.sequence + 2,
          .key = slice_str("gone") },
    };
    struct log_position at[2];

    must(log_append(log, records, 2, at) == 0);
    must(at[0].offset == verdict.bad);
    must(at[1].offset == verdict.bad + record_size(5, 7));
    must(log_end(log) == at[1].offset + record_size(4, 0));
    must(log_read(log, &at[0], records[0].key, &value) == 0);
    must(slice_equal(buf_slice(&value), records[0].value));
    if (synced) {
        must(log_sync(log) == 0 && log_mark(log) == 0);
        uint64_t end = log_end(log);
        must(log_mark(log) == 0 && log_end(log) == end);
    }
    verdict.change[verdict.changes++] = (struct found){
        at[0].offset, records[0].sequence, RECORD_SET, 5, 7 };
    verdict.change[verdict.changes++] = (struct found){
        at[1].offset, records[1].sequence, RECORD_REMOVE, 4, 0 };
    verdict.bad = log_end(log);
}

/* A file that says how much of it is durable is not told again, and the mark
 * at its end says it of all changes. */
static void check_mark(struct log_file *log)
{
    static unsigned char mark[RECORD_HEADER];
    struct record record;
    uint32_t sum;
    struct stat stat;

    must(log_sync(log) == 0 && log_mark(log) == 0);
    must(log_end(log) == verdict.bad);
    must(fstat(file, &stat) == 0 && (uint64_t)stat.st_size == verdict.bad);
    must(pread_full(file, mark, sizeof mark, stat.st_size - RECORD_HEADER)
         == RECORD_HEADER);
    must(record_parse_header(mark, salt_of_file(), &record, &sum) == 0);
    must(record.kind == RECORD_MARK && record.sequence == 0);
    must(record.durable == verdict.bad - RECORD_HEADER);
}

/* Reading changes nothing, and finds the same. */
static void check_reading(struct slice image)
{
    struct log_file *log = open_log(LOG_READ);

    replay(log, image.ptr, verdict.err, verdict.bad,
           image.len - verdict.bad);
    if (verdict.err == 0)
        check_values(log, image.ptr);
    log_close(log);
    if (verdict.changes > 0 && verdict.err == 0) {
        log = open_log(LOG_READ);
        must(log_replay(log, stop_at_once, NULL, NULL) == 77);
        log_close(log);
    }
    must(file_is(image, true));
}

static void check_writing(struct slice image, unsigned how)
{
    struct slice sound = slice_of(image.ptr, verdict.bad);
    struct log_file *log = open_log(LOG_WRITE);

    replay(log, image.ptr, verdict.err, verdict.bad,
           image.len - verdict.bad);
    if (verdict.err) {
        log_close(log);
        must(file_is(image, true));
        return;
    }
    must(file_is(sound, true));
    if (!(how & SAME_HANDLE)) {         /* again: nothing is left to do */
        log_close(log);
        log = open_log(LOG_WRITE);
        replay(log, image.ptr, 0, verdict.bad, 0);
        must(file_is(sound, true));
    }
    append(log, how & SYNCED);
    must(file_is(sound, false));
    log_close(log);
    log = open_log(how & SYNCED ? LOG_WRITE : LOG_READ);
    replay(log, NULL, 0, verdict.bad, 0);
    if ((how & SYNCED) && !verdict.odd)
        check_mark(log);
    log_close(log);
}

/* Cut within its header, or a header that never reached the disk, and nothing
 * behind it. */
static bool is_short(struct slice image)
{
    static const unsigned char zeros[RECORD_FILE_HEADER];

    return image.len < RECORD_FILE_HEADER
           || (image.len == RECORD_FILE_HEADER
               && memcmp(image.ptr, zeros, sizeof zeros) == 0);
}

/* It may count as torn; then it becomes an empty log. */
static void check_short(struct slice image)
{
    struct log_file *log = NULL;
    struct replay seen = { NULL, 0 };
    int err = log_open(&log, path, LOG_READ);

    verdict.changes = 0;
    verdict.sequence = 0;
    verdict.bad = RECORD_FILE_HEADER;
    if (err == 0)
        err = log_replay(log, compare_record, &seen, NULL);
    must(err == 0 || err == -EBADMSG);
    log_close(log);
    must(file_is(image, true));
    log = NULL;
    if (log_open(&log, path, LOG_WRITE) == 0) {
        must(log_replay(log, compare_record, &seen, NULL) == err);
        if (err == 0) {
            must(log_end(log) == RECORD_FILE_HEADER);
            append(log, false);
        }
    }
    log_close(log);
    if (err) {
        must(file_is(image, true));
        return;
    }
    log = open_log(LOG_READ);
    replay(log, NULL, 0, verdict.bad, 0);
    log_close(log);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    static struct buf made;
    struct slice image;
    uint64_t salt;

    if (len == 0 || len > IMAGE_MAX)
        return 0;
    image_make((struct script){ bytes, len }, &made);
    image = buf_slice(&made);
    write_file(image);
    if (is_short(image)) {
        check_short(image);
        return 0;
    }
    int err = record_parse_file(image.ptr, &salt);
    if (err) {
        struct log_file *log = NULL;

        must(err == -EBADMSG || err == -ENOTSUP);
        must(log_open(&log, path, LOG_READ) == err && !log);
        must(log_open(&log, path, LOG_WRITE) == err && !log);
        must(file_is(image, true));
        return 0;
    }
    if (!judge(image, salt) || verdict.changes > FOUND_MAX - 2)
        return 0;
    check_reading(image);
    check_writing(image, bytes[0]);
    return 0;
}
