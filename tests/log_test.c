/* log_test.c -- the cases of tasks 2.5 and 2.6.
 *
 * Given. What a crash does to a log in all its forms is in crash_log_test.c.
 */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "stage2-server/log.h"
#include "tests/crash.h"
#include "tests/driver.h"
#include "tests/scratch.h"

enum { MOST = 100 };            /* records that a case knows about */

/* A log in a directory of its own, and what should be in it. */
struct logged {
    char dir[64], path[96];
    struct log_file *log;
    unsigned count;
    uint64_t sequence;
    char keys[MOST][24];
    struct buf values[MOST];
    struct log_position at[MOST];
};

static void open_log(struct logged *l, enum log_mode mode)
{
    l->log = NULL;
    expect_int("log_open", log_open(&l->log, l->path, mode), 0);
    expect_true("log_open sets *out", l->log != NULL);
}

static void make_log(struct logged *l)
{
    memset(l, 0, sizeof *l);
    scratch_make(l->dir);
    snprintf(l->path, sizeof l->path, "%s/log", l->dir);
    open_log(l, LOG_CREATE);
}

static void leave_log(struct logged *l)
{
    log_close(l->log);
    for (unsigned i = 0; i < MOST; i++)
        buf_release(&l->values[i]);
    scratch_remove(l->dir);
}

/* The n-th record: its value is of one of many lengths, with every byte. */
static struct record nth(struct logged *l, unsigned n)
{
    static const size_t lens[] = { 5, 0, 100, 4096, 1, 33000, 64 };
    size_t len = lens[n % (sizeof lens / sizeof *lens)];
    struct buf *value = &l->values[n];

    snprintf(l->keys[n], sizeof l->keys[n], "key%u", n);
    buf_clear(value);
    expect_int("memory", buf_reserve(value, len + 1), 0);
    for (size_t i = 0; i < len; i++)
        value->ptr[i] = (unsigned char)(i * 7 + n);
    value->len = len;
    return (struct record){ .kind = RECORD_SET, .sequence = ++l->sequence,
                            .key = slice_str(l->keys[n]),
                            .value = buf_slice(value) };
}

/* Appends n more as one batch; what log_append answers. */
static int append(struct logged *l, unsigned n)
{
    struct record records[MOST];

    expect_true("room in the test", l->count + n <= MOST);
    for (unsigned i = 0; i < n; i++)
        records[i] = nth(l, l->count + i);
    int err = log_append(l->log, records, n, &l->at[l->count]);
    if (err)
        l->sequence -= n;
    else
        l->count += n;
    return err;
}

static void expect_record(struct logged *l, unsigned n)
{
    struct buf value = { 0 };

    expect_int("log_read", log_read(l->log, &l->at[n],
               slice_str(l->keys[n]), &value), 0);
    expect_true("the value that was appended",
                slice_equal(buf_slice(&value), buf_slice(&l->values[n])));
    buf_release(&value);
}

static void expect_all(struct logged *l)
{
    for (unsigned i = 0; i < l->count; i++)
        expect_record(l, i);
}

static uint64_t size_of(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0 ? (uint64_t)st.st_size : 0;
}

static struct buf contents(const char *path)
{
    struct buf bytes = { 0 };
    size_t size = size_of(path);
    FILE *f = fopen(path, "re");

    expect_int("memory", buf_reserve(&bytes, size + 1), 0);
    expect_true("the log's file", f && fread(bytes.ptr, 1, size, f) == size);
    bytes.len = size;
    fclose(f);
    return bytes;
}

static void put_contents(const char *path, const void *bytes, size_t len)
{
    FILE *f = fopen(path, "we");

    expect_true("a file of the test's own", f &&
                fwrite(bytes, 1, len, f) == len && fclose(f) == 0);
}

static void put_byte(const char *path, uint64_t offset, int mask)
{
    FILE *f = fopen(path, "r+e");

    expect_true("a file of the test's own", f != NULL);
    fseek(f, (long)offset, SEEK_SET);
    int c = getc(f);
    fseek(f, (long)offset, SEEK_SET);
    putc(c ^ mask, f);
    expect_int("fclose", fclose(f), 0);
}

static unsigned descriptors(void)
{
    unsigned n = 0;
    DIR *dir = opendir("/proc/self/fd");

    while (dir && readdir(dir))
        n++;
    closedir(dir);
    return n;
}

/* ---- 2.5 ----------------------------------------------------------------- */

static void append_read(const struct run *run)
{
    struct logged l;
    uint64_t end = RECORD_FILE_HEADER;

    make_log(&l);
    expect_int("log_end of a new log", log_end(l.log), end);
    for (unsigned i = 0; i < run->size; i++) {
        expect_int("log_append", append(&l, 1), 0);
        expect_int("where it lies", l.at[i].offset, end);
        expect_int("its key's length", l.at[i].key_len, strlen(l.keys[i]));
        expect_int("its value's length", l.at[i].value_len, l.values[i].len);
        end += record_size(strlen(l.keys[i]), l.values[i].len);
        expect_int("log_end", log_end(l.log), end);
        expect_int("bytes in the file", size_of(l.path), end);
    }
    expect_all(&l);
    expect_int("nothing to append", log_append(l.log, NULL, 0, NULL), 0);
    expect_int("log_end after it", log_end(l.log), end);
    leave_log(&l);
}

static void reopen(const struct run *run)
{
    static const enum log_mode modes[] = { LOG_READ, LOG_WRITE };
    struct logged l;

    make_log(&l);
    expect_int("log_append", append(&l, (unsigned)run->size), 0);
    uint64_t end = log_end(l.log);
    for (int i = 0; i < 2; i++) {
        log_close(l.log);
        open_log(&l, modes[i]);
        expect_int("log_end after opening", log_end(l.log), end);
        expect_all(&l);
    }
    expect_int("log_append to a log that was opened", append(&l, 2), 0);
    expect_all(&l);
    leave_log(&l);
}

/* What was appended lies in the file as record.h says, and in order. */
static void layout(const struct run *run)
{
    struct logged l;
    struct record record, marked[2];
    uint64_t salt, offset = RECORD_FILE_HEADER, synced;

    make_log(&l);
    expect_int("log_append", append(&l, (unsigned)run->size - 1), 0);
    expect_int("log_append", append(&l, 1), 0);
    expect_int("log_sync", log_sync(l.log), 0);
    synced = log_end(l.log);
    marked[0] = nth(&l, l.count);
    marked[1] = (struct record){ .kind = RECORD_REMOVE, .sequence = 1000,
                                 .key = slice_str("gone") };
    expect_int("log_append", log_append(l.log, marked, 2, &l.at[l.count]), 0);
    struct buf bytes = contents(l.path);
    expect_int("the header", record_parse_file(bytes.ptr, &salt), 0);
    for (unsigned i = 0; i < run->size + 2; i++) {
        long n = record_parse(bytes.ptr + offset, bytes.len - offset, salt,
                              &record);
        expect_true("a sound record", n > 0);
        expect_int("its kind", record.kind, i <= run->size ? RECORD_SET
                                                           : RECORD_REMOVE);
        expect_int("its number", record.sequence, i <= run->size ? i + 1
                                                                 : 1000);
        expect_true("what it says to be durable: no more than was synced",
                    record.durable <= (i < run->size ? RECORD_FILE_HEADER
                                                     : synced));
        if (i >= run->size)
            expect_int("what it says to be durable, after a sync",
                       record.durable, synced);
        offset += (uint64_t)n;
    }
    expect_int("nothing behind them", offset, bytes.len);
    buf_release(&bytes);
    leave_log(&l);
}

static void open_checks(const struct run *run)
{
    struct log_file *log = NULL;
    struct logged l;
    char other[100];

    (void)run;
    make_log(&l);
    expect_int("log_append", append(&l, 3), 0);
    snprintf(other, sizeof other, "%s.2", l.path);
    unsigned before = descriptors();
    for (int i = 0; i < 20; i++) {
        expect_int("a new log where there is one",
                   log_open(&log, l.path, LOG_CREATE), -EEXIST);
        expect_int("no file, LOG_WRITE", log_open(&log, other, LOG_WRITE),
                   -ENOENT);
        expect_int("no file, LOG_READ", log_open(&log, other, LOG_READ),
                   -ENOENT);
        put_contents(other, "This is a letter, and by no means a log.\n", 41);
        expect_int("a file that is no log", log_open(&log, other, LOG_WRITE),
                   -EBADMSG);
        unlink(other);
        put_byte(l.path, 3 + (unsigned)i, 1);
        expect_int("a damaged header", log_open(&log, l.path, LOG_WRITE),
                   -EBADMSG);
        put_byte(l.path, 3 + (unsigned)i, 1);
    }
    expect_true("*out is untouched on an error", log == NULL);
    expect_int("descriptors afterwards", descriptors(), before);
    expect_all(&l);
    log_close(NULL);
    leave_log(&l);
}

static void expect_refused(struct logged *l, const char *tried,
                           struct log_position at, const char *key)
{
    struct buf value = { 0 };

    expect_int("memory", buf_append(&value, "as before", 9), 0);
    expect_int(tried, log_read(l->log, &at, slice_str(key), &value),
               -EBADMSG);
    expect_true("the value is untouched",
                slice_equal(buf_slice(&value), slice_str("as before")));
    buf_release(&value);
}

static void read_checks(const struct run *run)
{
    struct logged l;

    (void)run;
    make_log(&l);
    expect_int("log_append", append(&l, 4), 0);
    expect_all(&l);
    struct log_position at = l.at[2];
    expect_refused(&l, "another key", at, "key3");
    at.offset = log_end(l.log);
    expect_refused(&l, "a place behind the end", at, "key2");
    at.offset = l.at[2].offset + 1;
    expect_refused(&l, "a place inside a record", at, "key2");
    at = l.at[2];
    at.value_len--;
    expect_refused(&l, "another length", at, "key2");
    for (unsigned i = 0; i < record_size(4, l.values[2].len); i++) {
        put_byte(l.path, l.at[2].offset + i, 0x10);
        expect_refused(&l, "a record with a damaged byte", l.at[2], "key2");
        put_byte(l.path, l.at[2].offset + i, 0x10);
    }
    expect_all(&l);
    leave_log(&l);
}

static void one_write(const struct run *run)
{
    static const struct crash_fault writes = { .calls = CRASH_WRITE };
    static const struct crash_fault syncs = { .calls = CRASH_SYNC };
    struct logged l;

    make_log(&l);
    crash_count();
    crash_fault(&writes);
    expect_int("log_append of many records", append(&l, (unsigned)run->size),
               0);
    expect_int("writes for it", crash_fault_seen(), 1);
    expect_int("log_append of one more", append(&l, 1), 0);
    expect_int("writes for both", crash_fault_seen(), 2);
    crash_fault(&syncs);
    expect_int("log_append", append(&l, 1), 0);
    expect_int("syncs for an append", crash_fault_seen(), 0);
    expect_int("log_sync", log_sync(l.log), 0);
    expect_int("syncs for a sync", crash_fault_seen(), 1);
    crash_stop();
    expect_all(&l);
    leave_log(&l);
}

/* No record may ever be on the disk without the header before it. */
static void header_first(const struct run *run)
{
    static const struct crash_fault syncs = { .calls = CRASH_SYNC };
    struct logged l;

    (void)run;
    crash_count();
    crash_fault(&syncs);
    make_log(&l);
    expect_true("making a log syncs its header", crash_fault_seen() >= 1);
    crash_stop();
    expect_int("log_append", append(&l, 1), 0);
    expect_all(&l);
    leave_log(&l);
}

/* Calls that do part of their work, or none of it, for a while. */
static void interrupted(const struct run *run)
{
    struct crash_fault fault = { .calls = CRASH_WRITE };
    uint64_t random = run->seed;
    struct logged l;
    unsigned hits = 0;

    make_log(&l);
    crash_count();
    for (unsigned i = 0; i < run->size; i++) {
        fault.kind = next_random(&random) % 2 ? CRASH_SHORT : CRASH_FAIL;
        fault.err = fault.kind == CRASH_FAIL ? EINTR : 0;
        /* The second call is there only when the first was short. */
        fault.at = i == 0 ? 1 : 1 + (unsigned)(next_random(&random) % 2);
        fault.times = 1 + (unsigned)(next_random(&random) % 6);
        crash_fault(&fault);
        expect_int("log_append while writes are short or interrupted",
                   append(&l, 1 + (unsigned)(next_random(&random) % 4)), 0);
        hits += crash_fault_hits();
    }
    crash_fault(NULL);
    crash_stop();
    expect_true("calls were short or interrupted", hits > 0);
    expect_int("bytes in the file", size_of(l.path), log_end(l.log));
    expect_all(&l);
    leave_log(&l);
}

/* A batch that finds no room, at its k-th write or after part of one. */
static void no_room(const struct run *run)
{
    static const int errors[] = { ENOSPC, EDQUOT, EFBIG, EIO };
    struct logged l;

    make_log(&l);
    expect_int("log_append", append(&l, 3), 0);
    for (unsigned i = 0; i < run->size; i++) {
        struct crash_fault fault = {
            .calls = CRASH_WRITE, .at = 1, .err = errors[i % 4],
            .kind = i % 2 ? CRASH_SHORT : CRASH_FAIL
        };
        uint64_t end = log_end(l.log);

        crash_count();
        crash_fault(&fault);
        int err = append(&l, 3);
        crash_stop();
        expect_int("log_append without room", err, -errors[i % 4]);
        expect_int("log_end after it", log_end(l.log), end);
        expect_int("the file is cut back", size_of(l.path), end);
        expect_all(&l);
        expect_int("log_append, with room again", append(&l, 1), 0);
        expect_record(&l, l.count - 1);
    }
    leave_log(&l);
}

static void cannot_cut(const struct run *run)
{
    struct crash_fault fault = { .calls = CRASH_WRITE | CRASH_RESIZE,
                                 .kind = CRASH_SHORT, .err = ENOSPC, .at = 1 };
    struct logged l;

    (void)run;
    make_log(&l);
    expect_int("log_append", append(&l, 3), 0);
    crash_count();
    crash_fault(&fault);
    expect_int("log_append without room", append(&l, 3), -ENOSPC);
    expect_true("cutting back failed, too", crash_fault_hits() >= 3);
    crash_fault(NULL);
    crash_stop();
    expect_int("log_append after cutting back failed", append(&l, 1), -EROFS);
    expect_all(&l);
    leave_log(&l);
}

static void sync_fails(const struct run *run)
{
    static const struct crash_fault fault = {
        .calls = CRASH_SYNC, .kind = CRASH_FAIL, .err = EIO, .at = 1,
        .times = 1
    };
    struct logged l;

    (void)run;
    make_log(&l);
    expect_int("log_append", append(&l, 3), 0);
    expect_int("log_sync", log_sync(l.log), 0);
    expect_int("log_append", append(&l, 3), 0);
    crash_count();
    crash_fault(&fault);
    expect_int("a sync that fails", log_sync(l.log), -EIO);
    uint64_t size = size_of(l.path);
    for (int i = 0; i < 3; i++) {
        expect_int("log_sync after it", log_sync(l.log), -EROFS);
        expect_int("log_append after it", append(&l, 1), -EROFS);
        expect_int("log_mark after it", log_mark(l.log), -EROFS);
    }
    expect_int("syncs that were tried", crash_fault_seen(), 1);
    crash_stop();
    expect_int("bytes in the file", size_of(l.path), size);
    expect_all(&l);
    leave_log(&l);
}

/* The last record of the file, which has to end with it. */
static struct record last_record(const struct buf *bytes)
{
    struct record record = { .kind = RECORD_SET };
    uint64_t salt;
    size_t at = RECORD_FILE_HEADER;

    expect_int("the header", record_parse_file(bytes->ptr, &salt), 0);
    while (at < bytes->len) {
        long n = record_parse(bytes->ptr + at, bytes->len - at, salt,
                              &record);
        expect_true("a sound record", n > 0);
        at += (size_t)n;
    }
    return record;
}

static void marks(const struct run *run)
{
    struct logged l;

    (void)run;
    make_log(&l);
    expect_int("log_append", append(&l, 3), 0);
    uint64_t end = log_end(l.log);
    expect_int("log_sync", log_sync(l.log), 0);
    expect_int("log_mark", log_mark(l.log), 0);
    struct buf bytes = contents(l.path);
    struct record mark = last_record(&bytes);
    buf_release(&bytes);
    expect_int("the last record's kind", mark.kind, RECORD_MARK);
    expect_int("what it says to be durable", mark.durable, end);
    expect_int("a mark is no change: its number", mark.sequence, 0);
    uint64_t marked = size_of(l.path);
    expect_int("log_mark again", log_mark(l.log), 0);
    expect_int("bytes in the file, which said so already", size_of(l.path),
               marked);
    expect_int("log_append behind a mark", append(&l, 2), 0);
    expect_all(&l);
    leave_log(&l);
}

static void only_reads(const struct run *run)
{
    struct logged l;

    (void)run;
    make_log(&l);
    expect_int("log_append", append(&l, 3), 0);
    uint64_t end = log_end(l.log);
    log_close(l.log);
    open_log(&l, LOG_READ);
    expect_int("log_append to a log opened to read", append(&l, 1), -EROFS);
    expect_int("log_sync of it", log_sync(l.log), 0);
    expect_int("bytes in the file", size_of(l.path), end);
    expect_all(&l);
    leave_log(&l);
}

static void limits(const struct run *run)
{
    struct logged l;
    struct buf big = { 0 };
    struct log_position at[3];

    (void)run;
    make_log(&l);
    expect_int("log_append", append(&l, 1), 0);
    expect_int("memory", buf_reserve(&big, RECORD_VALUE_MAX + 1), 0);
    memset(big.ptr, 'x', RECORD_VALUE_MAX + 1);
    struct record good = nth(&l, 1), none = good, key = good, value = good;
    none.key = slice_str("");
    key.key = slice_of(big.ptr, RECORD_KEY_MAX + 1);
    value.value = slice_of(big.ptr, RECORD_VALUE_MAX + 1);
    uint64_t end = log_end(l.log);
    struct record batches[3][3] = { { good, none, good }, { good, key, good },
                                    { good, good, value } };
    expect_int("a set without a key", log_append(l.log, batches[0], 3, at),
               -EINVAL);
    expect_int("a key too long", log_append(l.log, batches[1], 3, at),
               -EMSGSIZE);
    expect_int("a value too long", log_append(l.log, batches[2], 3, at),
               -EMSGSIZE);
    expect_int("log_end: none of the batch is there", log_end(l.log), end);
    expect_int("bytes in the file", size_of(l.path), end);
    value.value.len = RECORD_VALUE_MAX;
    expect_int("the longest value", log_append(l.log, &value, 1, at), 0);
    struct buf got = { 0 };
    expect_int("log_read", log_read(l.log, at, value.key, &got), 0);
    expect_true("the value", slice_equal(buf_slice(&got), value.value));
    buf_release(&got);
    buf_release(&big);
    expect_all(&l);
    leave_log(&l);
}

struct readers {
    struct logged *l;
    pthread_mutex_t lock;   /* guards known and over */
    unsigned known;
    bool over;
};

static void read_known(void *arg)
{
    struct readers *r = arg;
    unsigned i = 0;
    bool over = false;

    while (!over) {
        pthread_mutex_lock(&r->lock);
        unsigned known = r->known;
        over = r->over;
        pthread_mutex_unlock(&r->lock);
        for (unsigned n = 0; n < 4 && known > 0; n++)
            expect_record(r->l, i++ % known);
    }
}

/* Positions that an append has answered are read while others are appended. */
static void beside_readers(const struct run *run)
{
    struct logged l;
    struct readers r = { &l, PTHREAD_MUTEX_INITIALIZER, 0, false };
    struct actor readers[2];

    make_log(&l);
    for (int i = 0; i < 2; i++)
        actor_start(&readers[i], read_known, &r);
    for (unsigned i = 0; i < run->size; i++) {
        expect_int("log_append", append(&l, 1), 0);
        pthread_mutex_lock(&r.lock);
        r.known = l.count;
        pthread_mutex_unlock(&r.lock);
        if (i % 16 == 0)
            expect_int("log_sync", log_sync(l.log), 0);
    }
    pthread_mutex_lock(&r.lock);
    r.over = true;
    pthread_mutex_unlock(&r.lock);
    for (int i = 0; i < 2; i++)
        actor_join(&readers[i]);
    leave_log(&l);
}

/* ---- 2.6 ----------------------------------------------------------------- */

/* What a replay has brought, compared with what should come. */
struct replayed {
    struct logged *l;
    unsigned count, stop_at;
};

static int take(void *arg, const struct record *record,
                const struct log_position *at)
{
    struct replayed *r = arg;
    unsigned n = r->count++;

    if (r->stop_at && r->count == r->stop_at)
        return -ECANCELED;
    expect_true("no more records than were appended", n < r->l->count);
    expect_int("the record's kind", record->kind, RECORD_SET);
    expect_int("its number", record->sequence, n + 1);
    expect_int("where it lies", at->offset, r->l->at[n].offset);
    expect_int("its key's length", at->key_len, record->key.len);
    expect_int("its value's length", at->value_len, record->value.len);
    expect_true("its key", slice_equal(record->key,
                slice_str(r->l->keys[n])));
    expect_true("its value", slice_equal(record->value,
                buf_slice(&r->l->values[n])));
    return 0;
}

/* Opens and replays: so many records come, and the log ends there. */
static struct log_damage replay(struct logged *l, enum log_mode mode,
                                unsigned records)
{
    struct replayed r = { .l = l };
    struct log_damage damage = { 77, 77 };

    open_log(l, mode);
    expect_int("log_replay", log_replay(l->log, take, &r, &damage), 0);
    expect_int("records that came", r.count, records);
    expect_int("log_end after it", log_end(l->log), damage.offset
               ? damage.offset : RECORD_FILE_HEADER);
    return damage;
}

/* The same once more, and nothing is written any more. */
static void replay_again(struct logged *l, unsigned records)
{
    log_close(l->log);
    uint64_t size = size_of(l->path);
    crash_count();
    struct log_damage damage = replay(l, LOG_WRITE, records);
    expect_int("calls that change something, in a second replay",
               crash_changes_made(), 0);
    crash_stop();
    expect_int("torn bytes in a second replay", damage.torn, 0);
    expect_int("bytes in the file", size_of(l->path), size);
}

static void replay_all(const struct run *run)
{
    struct logged l;
    unsigned n = (unsigned)run->size;

    make_log(&l);
    for (unsigned i = 0; i < n; i++) {
        expect_int("log_append", append(&l, 1), 0);
        if (i % 5 == 0) {
            expect_int("log_sync", log_sync(l.log), 0);
            expect_int("log_mark", log_mark(l.log), 0);
        }
    }
    uint64_t end = log_end(l.log);
    log_close(l.log);
    struct log_damage damage = replay(&l, LOG_READ, n);
    expect_int("where all is well to: the end", damage.offset, end);
    expect_int("torn bytes", damage.torn, 0);
    log_close(l.log);
    damage = replay(&l, LOG_WRITE, n);
    expect_int("torn bytes", damage.torn, 0);
    expect_all(&l);
    expect_int("log_append after a replay", append(&l, 1), 0);
    expect_int("where it lies", l.at[n].offset, end);
    replay_again(&l, n + 1);
    struct replayed r = { .l = &l, .stop_at = 3 };
    log_close(l.log);
    open_log(&l, LOG_WRITE);
    expect_int("what fn answers ends the replay", log_replay(l.log, take, &r,
               NULL), -ECANCELED);
    expect_int("calls of fn", r.count, 3);
    leave_log(&l);
}

static void replay_removes(const struct run *run)
{
    struct logged l;
    struct record gone = { .kind = RECORD_REMOVE, .sequence = 1,
                           .key = slice_str("gone") };
    struct log_position at;

    (void)run;
    make_log(&l);
    expect_int("log_append of a remove", log_append(l.log, &gone, 1, &at), 0);
    log_close(l.log);
    open_log(&l, LOG_WRITE);
    struct replayed r = { .l = &l, .stop_at = 1 };
    expect_int("a remove is passed on, too", log_replay(l.log, take, &r,
               NULL), -ECANCELED);
    expect_int("calls of fn", r.count, 1);
    leave_log(&l);
}

/* What has been closed cleanly is not touched by the next process. */
static void clean_close(const struct run *run)
{
    struct logged l;

    (void)run;
    make_log(&l);
    for (int i = 0; i < 3; i++) {
        expect_int("log_append", append(&l, 2), 0);
        expect_int("log_sync", log_sync(l.log), 0);
        expect_int("log_mark", log_mark(l.log), 0);
        log_close(l.log);
        uint64_t size = size_of(l.path);
        crash_count();
        replay(&l, LOG_WRITE, l.count);
        expect_int("log_sync of a log that says all is durable",
                   log_sync(l.log), 0);
        expect_int("log_mark of it", log_mark(l.log), 0);
        expect_int("calls that change something", crash_changes_made(), 0);
        crash_stop();
        expect_int("bytes in the file", size_of(l.path), size);
    }
    leave_log(&l);
}

/* What a killed process has appended can be read, and is not on the disk for
 * that: whoever replays it and goes on relies on it, so it is synced. */
static void killed_then_synced(const struct run *run)
{
    static const struct crash_fault syncs = { .calls = CRASH_SYNC };
    struct logged l;

    (void)run;
    make_log(&l);
    expect_int("log_append", append(&l, 2), 0);
    log_close(l.log);
    crash_count();
    crash_fault(&syncs);
    replay(&l, LOG_WRITE, l.count);
    expect_int("log_sync", log_sync(l.log), 0);
    expect_true("what nobody has synced is synced, by the replay or the first "
                "sync behind it", crash_fault_seen() >= 1);
    crash_stop();
    expect_all(&l);
    leave_log(&l);
}

/* How many whole records are before this offset. */
static unsigned whole_before(const struct logged *l, uint64_t offset)
{
    unsigned n = 0;

    while (n < l->count && l->at[n].offset + record_size(l->at[n].key_len,
           l->at[n].value_len) <= offset)
        n++;
    return n;
}

/* Small records, so that every byte can be tried. */
static void append_small(struct logged *l, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        unsigned at = l->count;
        struct record record;

        snprintf(l->keys[at], sizeof l->keys[at], "key%u", at);
        buf_clear(&l->values[at]);
        expect_int("memory", buf_append(&l->values[at], "valuevalue",
                   at % 11), 0);
        record = (struct record){ .kind = RECORD_SET,
                                  .sequence = ++l->sequence,
                                  .key = slice_str(l->keys[at]),
                                  .value = buf_slice(&l->values[at]) };
        expect_int("log_append", log_append(l->log, &record, 1, &l->at[at]),
                   0);
        l->count++;
    }
}

/* After a torn tail the log is used as ever. */
static void expect_usable(struct logged *l, unsigned records)
{
    unsigned all = l->count;
    uint64_t sequence = l->sequence;

    l->count = records;
    l->sequence = records;
    append_small(l, 1);
    replay_again(l, records + 1);
    expect_all(l);
    l->count = all;
    l->sequence = sequence;
}

static void cut_anywhere(const struct run *run)
{
    struct logged l;

    (void)run;
    make_log(&l);
    append_small(&l, 8);
    log_close(l.log);
    struct buf bytes = contents(l.path);
    for (uint64_t cut = l.at[5].offset; cut < bytes.len; cut++) {
        unsigned records = whole_before(&l, cut);
        uint64_t end = l.at[records].offset;

        put_contents(l.path, bytes.ptr, cut);
        struct log_damage damage = replay(&l, LOG_READ, records);
        expect_int("where the torn record begins", damage.offset, end);
        expect_int("torn bytes", damage.torn, cut - end);
        expect_int("bytes in the file: to read changes nothing",
                   size_of(l.path), cut);
        log_close(l.log);
        damage = replay(&l, LOG_WRITE, records);
        expect_int("where the torn record begins", damage.offset, end);
        expect_int("torn bytes", damage.torn, cut - end);
        expect_int("bytes in the file: it is cut", size_of(l.path), end);
        expect_usable(&l, records);
        log_close(l.log);
        for (unsigned i = records; i < 8; i++)  /* what append_small made */
            snprintf(l.keys[i], sizeof l.keys[i], "key%u", i);
    }
    open_log(&l, LOG_READ);
    buf_release(&bytes);
    leave_log(&l);
}

static void expect_corrupt(struct logged *l, enum log_mode mode,
                           unsigned bad, const struct buf *bytes)
{
    struct replayed r = { .l = l };
    struct log_damage damage = { 77, 77 };

    open_log(l, mode);
    expect_int("log_replay over what was durable", log_replay(l->log, take,
               &r, &damage), -EBADMSG);
    expect_int("where the bad record begins", damage.offset,
               l->at[bad].offset);
    log_close(l->log);
    struct buf now = contents(l->path);
    expect_true("the file is as it was", slice_equal(buf_slice(&now),
                buf_slice(bytes)));
    buf_release(&now);
}

/* Each byte of a record in the middle, whose place was durable. */
static void flip_durable(const struct run *run)
{
    struct logged l;
    unsigned bad = 3;

    make_log(&l);
    append_small(&l, 6);
    expect_int("log_sync", log_sync(l.log), 0);
    append_small(&l, 1);
    log_close(l.log);
    struct buf bytes = contents(l.path);
    uint64_t from = l.at[bad].offset, to = l.at[bad + 1].offset;
    for (uint64_t i = from; i < to; i += run->size) {
        bytes.ptr[i] ^= (unsigned char)(1 << (i % 8));
        put_contents(l.path, bytes.ptr, bytes.len);
        expect_corrupt(&l, LOG_WRITE, bad, &bytes);
        expect_corrupt(&l, LOG_READ, bad, &bytes);
        bytes.ptr[i] ^= (unsigned char)(1 << (i % 8));
    }
    put_contents(l.path, bytes.ptr, bytes.len);
    replay(&l, LOG_WRITE, 7);
    buf_release(&bytes);
    leave_log(&l);
}

/* The same where nothing says that it was durable: the torn tail of a crash,
 * though sound records are behind it. */
static void flip_unsynced(const struct run *run)
{
    struct logged l;
    unsigned bad = 3;

    make_log(&l);
    append_small(&l, 3);
    expect_int("log_sync", log_sync(l.log), 0);
    append_small(&l, 4);
    log_close(l.log);
    struct buf bytes = contents(l.path);
    for (uint64_t i = l.at[bad].offset; i < l.at[bad + 1].offset;
         i += run->size) {
        bytes.ptr[i] ^= (unsigned char)(1 << (i % 8));
        put_contents(l.path, bytes.ptr, bytes.len);
        struct log_damage damage = replay(&l, LOG_WRITE, bad);
        expect_int("where the torn tail begins", damage.offset,
                   l.at[bad].offset);
        expect_int("all behind it is cut off", size_of(l.path),
                   l.at[bad].offset);
        log_close(l.log);
        bytes.ptr[i] ^= (unsigned char)(1 << (i % 8));
    }
    put_contents(l.path, bytes.ptr, bytes.len);
    replay(&l, LOG_WRITE, 7);
    buf_release(&bytes);
    leave_log(&l);
}

/* A header that claims what no record has, with a right checksum. */
static void forge(unsigned char header[RECORD_HEADER], uint64_t salt,
                  uint32_t kind, uint32_t key_len, uint32_t value_len)
{
    uint32_t word = kind | key_len << 8;

    memset(header, 0, RECORD_HEADER);
    header[8] = 4;
    memcpy(header + 24, &word, 4);
    memcpy(header + 28, &value_len, 4);
    word = (uint32_t)XXH3_64bits_withSeed(header + 4, RECORD_HEADER - 4,
                                          salt);
    memcpy(header, &word, 4);
}

static void expect_tail_cut(struct logged *l, const char *tried,
                            const void *tail, size_t len)
{
    struct buf bytes = contents(l->path);
    uint64_t end = bytes.len;

    expect_int("memory", buf_append(&bytes, tail, len), 0);
    put_contents(l->path, bytes.ptr, bytes.len);
    struct log_damage damage = replay(l, LOG_WRITE, 3);
    expect_int(tried, damage.torn, len);
    expect_int("bytes in the file afterwards", size_of(l->path), end);
    log_close(l->log);
    buf_release(&bytes);
}

static void tails(const struct run *run)
{
    static const struct { uint32_t kind, key, value; } claims[] = {
        { RECORD_SET, 4, 0xffffffff }, { RECORD_SET, 0, 4 },
        { RECORD_SET, 0xffffff, 0 }, { 0, 4, 4 }, { 77, 4, 4 },
        { RECORD_REMOVE, 0, 0 }, { RECORD_SET, 4, 16 << 20 },
        { RECORD_MARK, 3, 3 },
    };
    static unsigned char tail[5000];
    struct logged l;
    uint64_t random = run->seed, salt;

    make_log(&l);
    append_small(&l, 3);
    log_close(l.log);
    expect_tail_cut(&l, "a tail of zeros", tail, sizeof tail);
    expect_tail_cut(&l, "one byte", tail, 1);
    for (size_t i = 0; i < sizeof tail; i++)
        tail[i] = (unsigned char)next_random(&random);
    expect_tail_cut(&l, "a tail of random bytes", tail, sizeof tail);
    struct buf bytes = contents(l.path);
    expect_int("the header", record_parse_file(bytes.ptr, &salt), 0);
    for (size_t i = 0; i < sizeof claims / sizeof *claims; i++) {
        forge(tail, salt, claims[i].kind, claims[i].key, claims[i].value);
        expect_tail_cut(&l, "a header that claims what no record has", tail,
                        sizeof tail);
    }
    buf_release(&bytes);
    replay(&l, LOG_WRITE, 3);
    leave_log(&l);
}

/* Sound records of another log, whose checksums have another seed. */
static void other_logs_records(const struct run *run)
{
    struct logged a, b;

    (void)run;
    make_log(&a);
    append_small(&a, 3);
    log_close(a.log);
    make_log(&b);
    append_small(&b, 6);
    expect_int("log_sync", log_sync(b.log), 0);
    expect_int("log_mark", log_mark(b.log), 0);
    struct buf bytes = contents(b.path);
    expect_tail_cut(&a, "records of another log", bytes.ptr +
                    RECORD_FILE_HEADER, bytes.len - RECORD_FILE_HEADER);
    buf_release(&bytes);
    open_log(&a, LOG_READ);
    leave_log(&a);
    leave_log(&b);
}

/* A value is a copy of the log itself: sound records, with this log's own
 * seed, in the middle of a record. When that record is torn they are nothing;
 * when it was durable it is the damage, not they. */
static void copy_of_itself(const struct run *run)
{
    struct logged l;
    unsigned last;

    (void)run;
    make_log(&l);
    append_small(&l, 3);
    expect_int("log_sync", log_sync(l.log), 0);
    append_small(&l, 2);
    for (int durable = 0; durable < 2; durable++) {
        struct buf bytes = contents(l.path);
        last = l.count;
        struct record record = nth(&l, last);
        expect_int("memory", buf_replace(&l.values[last], buf_slice(&bytes)),
                   0);
        record.value = buf_slice(&l.values[last]);
        expect_int("log_append of a copy of the log",
                   log_append(l.log, &record, 1, &l.at[last]), 0);
        l.count++;
        buf_release(&bytes);
        if (durable) {
            expect_int("log_sync", log_sync(l.log), 0);
            expect_int("log_mark", log_mark(l.log), 0);
        }
        log_close(l.log);
        put_byte(l.path, l.at[last].offset, 4);
        bytes = contents(l.path);
        if (durable) {
            expect_corrupt(&l, LOG_WRITE, last, &bytes);
        } else {
            struct log_damage damage = replay(&l, LOG_WRITE, last);
            expect_int("where the torn record begins", damage.offset,
                       l.at[last].offset);
            l.count = last;
            l.sequence = last;
        }
        buf_release(&bytes);
    }
    open_log(&l, LOG_READ);
    leave_log(&l);
}

static void header_cut(const struct run *run)
{
    struct logged l;
    static const unsigned char zeros[RECORD_FILE_HEADER];

    (void)run;
    make_log(&l);
    log_close(l.log);
    struct buf bytes = contents(l.path);
    for (unsigned len = 0; len <= RECORD_FILE_HEADER; len++) {
        bool cut = len < RECORD_FILE_HEADER;

        put_contents(l.path, cut ? bytes.ptr : zeros, len);
        struct log_damage damage = replay(&l, LOG_READ, 0);
        expect_int("bytes in the file: to read changes nothing",
                   size_of(l.path), len);
        log_close(l.log);
        open_log(&l, LOG_WRITE);
        struct replayed r = { .l = &l };
        expect_int("log_replay of a log cut in its header",
                   log_replay(l.log, take, &r, &damage), 0);
        expect_int("where it was torn", damage.offset, 0);
        expect_int("torn bytes", damage.torn, len);
        expect_int("log_end of the new log", log_end(l.log),
                   RECORD_FILE_HEADER);
        l.count = 0;
        l.sequence = 0;
        append_small(&l, 2);
        replay_again(&l, 2);
        log_close(l.log);
    }
    open_log(&l, LOG_READ);
    buf_release(&bytes);
    leave_log(&l);
}

/* A cut that cannot be made, or synced, is no success. */
static void cut_fails(const struct run *run)
{
    static const unsigned calls[] = { CRASH_RESIZE, CRASH_SYNC };
    struct logged l;

    (void)run;
    make_log(&l);
    append_small(&l, 3);
    log_close(l.log);
    struct buf bytes = contents(l.path);
    for (int i = 0; i < 2; i++) {
        struct crash_fault fault = { .calls = calls[i], .kind = CRASH_FAIL,
                                     .err = EIO, .at = 1 };
        struct replayed r = { .l = &l };

        put_contents(l.path, bytes.ptr, bytes.len - 3);
        crash_count();
        open_log(&l, LOG_WRITE);
        crash_fault(&fault);
        int err = log_replay(l.log, take, &r, NULL);
        crash_fault(NULL);
        crash_stop();
        expect_int("log_replay, when the tail cannot be cut and synced", err,
                   -EIO);
        expect_int("records that came", r.count, 2);
        expect_int("log_append after it", append(&l, 1), -EROFS);
        log_close(l.log);
    }
    replay(&l, LOG_WRITE, 2);
    buf_release(&bytes);
    leave_log(&l);
}

static const struct test_case cases[] = {
    { "append_read", append_read, 50 },
    { "reopen", reopen, 20 },
    { "layout", layout, 20 },
    { "open_checks", open_checks, 1 },
    { "read_checks", read_checks, 1 },
    { "header_first", header_first, 1 },
    { "one_write", one_write, 50 },
    { "interrupted", interrupted, 20 },
    { "no_room", no_room, 16 },
    { "cannot_cut", cannot_cut, 1 },
    { "sync_fails", sync_fails, 1 },
    { "marks", marks, 1 },
    { "only_reads", only_reads, 1 },
    { "limits", limits, 1 },
    { "beside_readers", beside_readers, 100 },
    { "replay_all", replay_all, 50 },
    { "replay_removes", replay_removes, 1 },
    { "killed_then_synced", killed_then_synced, 1 },
    { "clean_close", clean_close, 1 },
    { "cut_anywhere", cut_anywhere, 1 },
    { "flip_durable", flip_durable, 1 },
    { "flip_unsynced", flip_unsynced, 1 },
    { "tails", tails, 1 },
    { "other_logs_records", other_logs_records, 1 },
    { "copy_of_itself", copy_of_itself, 1 },
    { "header_cut", header_cut, 1 },
    { "cut_fails", cut_fails, 1 },
    { NULL, NULL, 0 },
};

int main(int argc, char **argv)
{
    return driver_main(argc, argv, cases);
}
