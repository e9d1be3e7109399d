/* record_test.c -- the cases of record.c and dir.c, which are given. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "stage2-server/dir.h"
#include "stage2-server/record.h"
#include "tests/driver.h"
#include "tests/scratch.h"

enum { SALT = 0x12345678 };

static struct record a_set(const char *key, const char *value)
{
    return (struct record){ .kind = RECORD_SET, .sequence = 7,
                            .durable = (uint64_t)1 << 40,
                            .key = slice_str(key),
                            .value = slice_str(value) };
}

static void expect_same(const struct record *got, const struct record *wanted)
{
    expect_int("kind", got->kind, wanted->kind);
    expect_true("sequence", got->sequence == wanted->sequence);
    expect_true("durable", got->durable == wanted->durable);
    expect_true("key", slice_equal(got->key, wanted->key));
    expect_true("value", slice_equal(got->value, wanted->value));
}

/* ---- record.c ------------------------------------------------------------ */

/* The layout is what files on disks have: these bytes stay. */
static void known_bytes(const struct run *run)
{
    static const unsigned char tail[] = { 7, 0, 0, 0, 0, 0, 0, 0,
        0, 0, 0, 0, 0, 1, 0, 0, 1, 3, 0, 0, 2, 0, 0, 0,
        'k', 'e', 'y', 'v', 'a' };
    struct buf bytes = { 0 };
    struct record record = a_set("key", "va");
    unsigned char header[RECORD_FILE_HEADER];
    uint64_t salt;

    (void)run;
    expect_int("record_append", record_append(&bytes, SALT, &record), 0);
    expect_int("its length", bytes.len, record_size(3, 2));
    expect_true("its bytes behind the checksums",
                memcmp(bytes.ptr + 8, tail, sizeof tail) == 0);
    record_file_header(header, 0x0102030405060708);
    expect_true("the file's magic", memcmp(header, "KVSLOG\r\n\1\0\0\0\0\0\0\0"
                "\x08\x07\x06\x05\x04\x03\x02\x01", 24) == 0);
    expect_int("record_parse_file", record_parse_file(header, &salt), 0);
    expect_true("its salt", salt == 0x0102030405060708);
    buf_release(&bytes);
}

static void round_trip(const struct run *run)
{
    struct record records[] = { a_set("key", "value"), a_set("k", ""),
                                a_set("gone", ""), a_set("", "") };
    struct buf bytes = { 0 };
    struct record got;

    (void)run;
    records[2].kind = RECORD_REMOVE;
    records[3].kind = RECORD_MARK;
    for (int i = 0; i < 4; i++) {
        buf_clear(&bytes);
        expect_int("record_append", record_append(&bytes, SALT, &records[i]),
                   0);
        expect_int("record_parse", record_parse(bytes.ptr, bytes.len, SALT,
                   &got), bytes.len);
        expect_same(&got, &records[i]);
        expect_int("with another salt", record_parse(bytes.ptr, bytes.len,
                   SALT + 1, &got), -EBADMSG);
        for (size_t len = 0; len < bytes.len; len++)
            expect_int("cut", record_parse(bytes.ptr, len, SALT, &got),
                       -EBADMSG);
        for (size_t bit = 0; bit < 8 * bytes.len; bit++) {
            bytes.ptr[bit / 8] ^= (unsigned char)(1 << bit % 8);
            expect_int("a flipped bit", record_parse(bytes.ptr, bytes.len,
                       SALT, &got), -EBADMSG);
            bytes.ptr[bit / 8] ^= (unsigned char)(1 << bit % 8);
        }
    }
    buf_release(&bytes);
}

static void limits(const struct run *run)
{
    struct buf bytes = { 0 };
    struct record record = a_set("key", "value");
    char *big = calloc(1, RECORD_VALUE_MAX + 1);

    (void)run;
    record.key.len = 0;
    expect_int("no key", record_append(&bytes, SALT, &record), -EINVAL);
    record.key = slice_of(big, RECORD_KEY_MAX + 1);
    expect_int("key too long", record_append(&bytes, SALT, &record),
               -EMSGSIZE);
    record = a_set("key", "");
    record.value = slice_of(big, RECORD_VALUE_MAX + 1);
    expect_int("value too long", record_append(&bytes, SALT, &record),
               -EMSGSIZE);
    expect_int("nothing was appended", bytes.len, 0);
    free(big);
    buf_release(&bytes);
}

static void file_headers(const struct run *run)
{
    unsigned char header[RECORD_FILE_HEADER];
    uint64_t salt = 99;

    (void)run;
    record_file_header(header, SALT);
    for (int bit = 0; bit < 8 * RECORD_FILE_HEADER; bit++) {
        header[bit / 8] ^= (unsigned char)(1 << bit % 8);
        expect_int("a flipped bit", record_parse_file(header, &salt),
                   -EBADMSG);
        header[bit / 8] ^= (unsigned char)(1 << bit % 8);
    }
    expect_int("the salt is untouched", salt, 99);
    expect_int("record_parse_file", record_parse_file(header, &salt), 0);
    expect_int("the salt", salt, SALT);
}

/* A file of n records; some are longer than what is read at once. */
static int records_file(const char *path, unsigned n, uint64_t *at)
{
    struct buf bytes = { 0 };
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    char *value = calloc(1, 3 << 20);

    expect_true("open", fd >= 0);
    for (unsigned i = 0; i < n; i++) {
        struct record record = a_set("key", "");

        record.sequence = i + 1;
        record.value = slice_of(value, i % 7 == 5 ? 3 << 20 : 100 * i);
        at[i] = bytes.len;
        expect_int("record_append", record_append(&bytes, SALT, &record), 0);
    }
    at[n] = bytes.len;
    for (size_t done = 0; done < bytes.len;) {
        ssize_t w = write(fd, bytes.ptr + done, bytes.len - done);

        expect_true("write", w > 0);
        done += (size_t)w;
    }
    buf_release(&bytes);
    free(value);
    return fd;
}

static void scanning(const struct run *run)
{
    enum { N = 30 };
    char dir[64], path[80];
    struct record_scan scan;
    struct record record;
    uint64_t at[N + 1];

    (void)run;
    scratch_make(dir);
    snprintf(path, sizeof path, "%s/file", dir);
    int fd = records_file(path, N, at);
    record_scan_init(&scan, fd, SALT, 0, at[N]);
    for (unsigned i = 0; i < N; i++) {
        expect_int("where it is", scan.offset, at[i]);
        expect_int("record_scan_next", record_scan_next(&scan, &record), 1);
        expect_int("its number", record.sequence, i + 1);
    }
    expect_int("the end", record_scan_next(&scan, &record), 0);
    record_scan_release(&scan);

    expect_int("damage", pwrite(fd, "?", 1, (off_t)at[10] + 20), 1);
    expect_int("damage", pwrite(fd, "?", 1, (off_t)at[12] + 40), 1);
    record_scan_init(&scan, fd, SALT, 0, at[N]);
    for (unsigned i = 0; i < N; i++) {
        int want = i == 10 || i == 12 ? -EBADMSG : 1;

        expect_int("record_scan_next", record_scan_next(&scan, &record),
                   want);
        if (want == 1)
            continue;
        expect_int("it stays there", scan.offset, at[i]);
        expect_int("record_scan_resync", record_scan_resync(&scan, &record),
                   1);
        expect_int("the next sound one", record.sequence, i + 2);
        expect_int("where it is", scan.offset, at[i + 1]);
    }
    record_scan_release(&scan);

    record_scan_init(&scan, fd, SALT, at[N - 1], at[N] - 1);
    expect_int("a last one that is cut", record_scan_next(&scan, &record),
               -EBADMSG);
    expect_int("nothing behind it", record_scan_resync(&scan, &record), 0);
    record_scan_release(&scan);
    close(fd);
    scratch_remove(dir);
}

/* ---- dir.c --------------------------------------------------------------- */

static void open_again(const struct run *run)
{
    char dir[64], engine[DIR_ENGINE_MAX];
    struct dir d, second;

    (void)run;
    scratch_make(dir);
    expect_int("no store, to read", dir_open(&d, dir, "kvs", 1, true),
               -ENOENT);
    expect_int("dir_engine of none", dir_engine(dir, engine), -ENOENT);
    expect_int("dir_open", dir_open(&d, dir, "kvs", 1, false), 0);
    expect_true("it is new", d.is_new);
    expect_int("a second one", dir_open(&second, dir, "kvs", 1, false),
               -EBUSY);
    expect_int("a second one, to read", dir_open(&second, dir, "kvs", 1,
               true), -EBUSY);
    dir_close(&d);
    expect_int("dir_engine", dir_engine(dir, engine), 0);
    expect_str("the engine", engine, "kvs");
    expect_int("dir_open again", dir_open(&d, dir, "kvs", 1, false), 0);
    expect_true("it is not new", !d.is_new);
    expect_int("its format", d.format, 1);
    dir_close(&d);
    expect_int("another engine", dir_open(&d, dir, "lmdb", 1, false),
               -EMEDIUMTYPE);
    expect_int("a later program", dir_open(&d, dir, "kvs", 2, false), 0);
    dir_close(&d);
    scratch_remove(dir);
}

static void marker_is(const char *dir, const char *text)
{
    char path[100];

    snprintf(path, sizeof path, "%s/" DIR_MARKER, dir);
    FILE *f = fopen(path, "we");
    expect_true("a marker of the test's own", f && fputs(text, f) >= 0 &&
                fclose(f) == 0);
}

static void markers(const struct run *run)
{
    static const struct { const char *text; int err; } markers[] = {
        { "engine kvs\nformat 1\n", 0 },
        { "format 1\nengine kvs\nhint-files yes\n", 0 },
        { "engine kvs\nformat 2\n", -ENOTSUP },
        { "engine lmdb\nformat 1\n", -EMEDIUMTYPE },
        { "engine kvs\n", -EBADMSG }, { "format 1\n", -EBADMSG },
        { "", -EBADMSG }, { "nonsense\n", -EBADMSG },
        { "engine kvs\nformat x\n", -EBADMSG },
    };
    char dir[64], path[100];
    struct dir d;

    (void)run;
    scratch_make(dir);
    for (size_t i = 0; i < sizeof markers / sizeof *markers; i++) {
        marker_is(dir, markers[i].text);
        int err = dir_open(&d, dir, "kvs", 1, i % 2);
        expect_int(markers[i].text, err, markers[i].err);
        if (!err)
            dir_close(&d);
    }
    snprintf(path, sizeof path, "%s/" DIR_MARKER, dir);
    expect_int("unlink", unlink(path), 0);
    static const struct {
        const char *name;
        int err;
    } beside[] = {
        { "00000001.log", -EEXIST }, { "00000012.hint", -EEXIST },
        { "data.mdb", -EEXIST },     { "letter", 0 },
        { "server.log", 0 },
    };
    for (size_t i = 0; i < sizeof beside / sizeof *beside; i++) {
        char file[100];

        snprintf(file, sizeof file, "%s/%s", dir, beside[i].name);
        FILE *f = fopen(file, "we");
        expect_true("a file", f && fclose(f) == 0);
        int err = dir_open(&d, dir, "kvs", 1, false);
        expect_int(beside[i].name, err, beside[i].err);
        if (!err)
            dir_close(&d);
        unlink(file);
        unlink(path);
    }
    scratch_remove(dir);
}

static int note(void *arg, const char *name)
{
    unsigned *seen = arg;

    seen[dir_log_generation(name) % 4]++;
    return 0;
}

static void names(const struct run *run)
{
    static const char *const none[] = { "1.log", "0000001.log", "log",
        "00000001.log.new", "000000012.log", "0000000a.log", "00000000.log",
        "00000001.LOG", "", DIR_MARKER };
    char name[DIR_NAME_MAX], dir[64], path[120];
    unsigned seen[4] = { 0 };
    struct dir d;

    (void)run;
    dir_log_name(name, 1);
    expect_str("dir_log_name", name, "00000001.log");
    for (uint64_t g = 1; g < (uint64_t)1 << 40; g = 3 * g + 1) {
        dir_log_name(name, g);
        expect_true("and back", dir_log_generation(name) == g);
    }
    for (size_t i = 0; i < sizeof none / sizeof *none; i++)
        expect_int(none[i], dir_log_generation(none[i]), 0);
    scratch_make(dir);
    expect_int("dir_open", dir_open(&d, dir, "kvs", 1, false), 0);
    for (unsigned g = 1; g < 4; g++) {
        dir_log_name(name, g);
        snprintf(path, sizeof path, "%s/%s", dir, name);
        FILE *f = fopen(path, "we");
        expect_true("a file", f && fclose(f) == 0);
    }
    expect_int("dir_each", dir_each(&d, note, seen), 0);
    for (unsigned g = 0; g < 4; g++)
        expect_int("each name once (and the marker)", seen[g], 1);
    expect_int("dir_sync", dir_sync(&d), 0);
    dir_close(&d);
    scratch_remove(dir);
}

static void lock_ends_with_process(const struct run *run)
{
    char dir[64];
    struct dir d;
    int status = -1;

    (void)run;
    scratch_make(dir);
    pid_t pid = fork();
    if (pid == 0)
        _exit(dir_open(&d, dir, "kvs", 1, false) == 0 ? 0 : 1);
    waitpid(pid, &status, 0);
    expect_int("a process that dies with it open", status, 0);
    expect_int("dir_open", dir_open(&d, dir, "kvs", 1, false), 0);
    dir_close(&d);
    scratch_remove(dir);
}

static const struct test_case cases[] = {
    { "known_bytes", known_bytes, 1 },
    { "round_trip", round_trip, 1 },
    { "limits", limits, 1 },
    { "file_headers", file_headers, 1 },
    { "scanning", scanning, 1 },
    { "open_again", open_again, 1 },
    { "markers", markers, 1 },
    { "names", names, 1 },
    { "lock_ends_with_process", lock_ends_with_process, 1 },
    { NULL, NULL, 0 },
};

int main(int argc, char **argv)
{
    return driver_main(argc, argv, cases);
}
