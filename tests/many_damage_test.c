/* many_damage_test.c -- what is bad in which segment, and what a crash does to
 * the active one (task 5.5).
 *
 * Given.
 */
#include "tests/many_rig.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/crash.h"

enum { KEYS = 12, FILE_MAX = 1 << 16 };

static const char text[] = "a value of a few dozen bytes, always the same one";

/* A key a segment; the last is the active one. */
static void fill(struct rig *r)
{
    char key[32];

    for (size_t i = 0; i < KEYS; i++) {
        key_of(key, i);
        expect_int("store_set", rig_put(r, key, text), 0);
    }
    expect_int("segments", rig_segments(r, false), KEYS);
    rig_quiet(r);
}

static void check_all(const char *tried, struct rig *r)
{
    char key[32];

    for (size_t i = 0; i < KEYS; i++) {
        key_of(key, i);
        expect_value(tried, r, key, text);
    }
}

static void expect_refused(const char *tried, struct rig *r)
{
    int err = rig_try_open(r);

    if (err != -EBADMSG)
        fail_case(__FILE__, __LINE__, tried, "-EBADMSG", "%s%s",
                  err ? "-" : "it opens", err ? strerrorname_np(-err) : "");
}

/* Nothing in a sealed segment is a torn tail: not a byte less, and not one
 * that is wrong. The files stay as they are, for `kvs repair`. */
static void sealed_is_whole(const struct run *run)
{
    static unsigned char bytes[FILE_MAX], now[FILE_MAX];
    char path[200];
    struct rig r;

    (void)run;
    rig_make_alone(&r, (struct store_options){ .segment_size = 1 });
    fill(&r);
    rig_close(&r);
    rig_path(path, &r, 3, ".log");
    size_t n = read_file(path, bytes, sizeof bytes);
    for (size_t len = RECORD_FILE_HEADER; len < n; len++) {
        write_file(path, bytes, len);
        for (int read_only = 0; read_only < 2; read_only++) {
            r.options.read_only = read_only;
            r.alone = !read_only;
            expect_refused("I10: opening, a sealed segment is cut short", &r);
        }
        expect_int("I10: refusing changes nothing",
                   read_file(path, now, sizeof now), len);
    }
    remove_ending(r.dir, ".hint");
    for (size_t at = RECORD_FILE_HEADER; at < n; at += 7) {
        write_file(path, bytes, n);
        flip_byte(path, at);
        expect_refused("I10: opening, a byte of a sealed segment is wrong",
                       &r);
        expect_int("I10: refusing changes nothing",
                   read_file(path, now, sizeof now), n);
    }
    write_file(path, bytes, n);
    rig_open(&r);
    check_all("mended, it opens", &r);
    rig_leave(&r);
}

/* A tail behind the end of a sealed segment. */
static void sealed_has_no_tail(const struct run *run)
{
    static unsigned char bytes[FILE_MAX];
    char path[200];
    struct rig r;

    (void)run;
    rig_make_alone(&r, (struct store_options){ .segment_size = 1 });
    fill(&r);
    rig_close(&r);
    rig_path(path, &r, 3, ".log");
    size_t n = read_file(path, bytes, sizeof bytes);
    for (size_t more = 1; more < 100; more += 30) {
        memset(bytes + n, (int)more % 2 ? 0 : 0x5a, more);
        write_file(path, bytes, n + more);
        expect_refused("I10: opening, bytes behind a sealed segment", &r);
    }
    write_file(path, bytes, n);
    rig_open(&r);
    check_all("mended, it opens", &r);
    rig_leave(&r);
}

/* With its hint a sealed segment is not read when the store is opened; who
 * reads the bad record learns of it, and nobody else. */
static void damage_behind_a_hint(const struct run *run)
{
    struct buf value = { 0 };
    char path[200], key[32];
    struct stat st;
    struct rig r;

    (void)run;
    rig_make_alone(&r, (struct store_options){ .segment_size = 1 });
    fill(&r);
    rig_hints(&r);
    rig_close(&r);
    rig_path(path, &r, 3, ".log");
    expect_int("stat", stat(path, &st), 0);
    size_t at = (size_t)st.st_size - RECORD_HEADER - 10;
    flip_byte(path, at);        /* in the value, before the mark */
    rig_open(&r);
    for (size_t i = 0; i < KEYS; i++) {
        key_of(key, i);
        if (i != 2)
            expect_value("keys of other segments", &r, key, text);
    }
    expect_int("I10: reading a damaged record", store_get(r.store,
               slice_str("key2"), &value), -EBADMSG);
    expect_int("store_set of its key", rig_put(&r, "key2", text), 0);
    check_all("set again", &r);
    buf_release(&value);
    rig_leave(&r);
}

/* The log of one life, cut as a crash may cut it: at each byte of its last
 * records, with zeros or garbage behind, or with nothing. */
static void check_cut(struct rig *r, uint64_t active, size_t len,
                      const size_t ends[3], const char *tried)
{
    char key[32];

    rig_open(r);
    for (size_t i = 0; i < KEYS; i++) {
        key_of(key, i);
        expect_value("I10: sealed segments are as they were", r, key, text);
    }
    for (size_t i = 0; i < 3; i++) {
        snprintf(key, sizeof key, "last%zu", i);
        expect_value(tried, r, key, len >= ends[i] ? text : NULL);
    }
    expect_int("I9: a set after it", rig_put(r, "more", text), 0);
    expect_int("I9: appending goes on there", rig_active(r), active);
    rig_close(r);
    rig_open(r);
    expect_value("I6: opened again", r, "more", text);
    expect_value(tried, r, "last0", len >= ends[0] ? text : NULL);
    rig_close(r);
}

static void torn_tail(const struct run *run)
{
    static unsigned char bytes[FILE_MAX];
    size_t ends[3], n, begin;
    char path[200], key[32];
    struct rig r;

    rig_make_alone(&r, (struct store_options){ .segment_size = 1 });
    fill(&r);
    rig_close(&r);
    r.options.segment_size = 1 << 20;
    rig_open(&r);
    expect_int("a set begins a segment or goes on in the last",
               rig_put(&r, "key0", text), 0);
    uint64_t active = rig_active(&r);
    rig_path(path, &r, active, ".log");
    begin = read_file(path, bytes, sizeof bytes);
    for (size_t i = 0; i < 3; i++) {
        snprintf(key, sizeof key, "last%zu", i);
        expect_int("store_set", rig_put(&r, key, text), 0);
        ends[i] = read_file(path, bytes, sizeof bytes);
    }
    n = ends[2];
    rig_close(&r);
    for (size_t len = begin; len <= n; len += run->size) {
        remove_ending(r.dir, ".hint");
        write_file(path, bytes, len);
        check_cut(&r, active, len, ends, "I9: the active segment is cut");
        memset(bytes + n, 0, 4096);
        write_file(path, bytes, n);
        if (len < n && truncate(path, (off_t)len) == 0)
            expect_int("zeros behind", truncate(path, (off_t)n + 300), 0);
        check_cut(&r, active, len, ends, "I9: zeros from there on");
    }
    rig_leave(&r);
}

/* Under STORE_ALWAYS the active segment has zeros behind its end, and loses
 * them when it is sealed or closed. Who was killed leaves them: a torn tail. */
static void room_in_advance(const struct run *run)
{
    struct store_options always = { .segment_size = 4096,
                                    .durability = STORE_ALWAYS };
    static unsigned char bytes[FILE_MAX];
    char path[200], key[32];
    struct stat st;
    struct rig r;
    pid_t child;

    rig_make_alone(&r, always);
    if (forked(&child)) {
        for (size_t i = 0; i < run->size; i++) {
            key_of(key, i);
            expect_int("store_set", rig_put(&r, key, text), 0);
        }
        _exit(0);
    }
    int status;
    expect_int("waitpid", waitpid(child, &status, 0), child);
    if (WIFEXITED(status) && WEXITSTATUS(status))
        _exit(WEXITSTATUS(status));
    rig_close(&r);
    for (int round = 0; round < 2; round++) {
        rig_open(&r);
        for (size_t i = 0; i < run->size; i++) {
            key_of(key, i);
            expect_value("I1: acknowledged sets of a process that died", &r,
                         key, text);
        }
        expect_int("store_set", rig_put(&r, "more", text), 0);
        rig_close(&r);
    }
    for (uint64_t g = 1; g < 100; g++) {
        rig_path(path, &r, g, ".log");
        if (stat(path, &st) != 0)
            continue;
        expect_at_most("bytes of a segment that was sealed or closed",
                       st.st_size, 4096 + 512);
        read_file(path, bytes, sizeof bytes);
    }
    rig_leave(&r);
}

/* A change is on the disk when it is answered, also the first of a segment. */
static void always_is_durable(const struct run *run)
{
    struct rig r;
    char key[32];

    rig_make_alone(&r, (struct store_options){
        .segment_size = 1024, .durability = STORE_ALWAYS });
    for (size_t i = 0; i < run->size; i++) {
        uint64_t before = rig_stats(&r).syncs;
        key_of(key, i);
        expect_int("store_set", rig_put(&r, key, text), 0);
        expect_true("I1: each set is synced under STORE_ALWAYS",
                    rig_stats(&r).syncs > before);
        expect_int("I1: so far the active segment is durable", r.store->synced,
                   segment_end(r.store->active));
    }
    rig_leave(&r);
}

/* What was active is on the disk before another takes a record (I10). */
static void seen_sync(void *arg, struct slice key)
{
    (void)key;
    ++*(int *)arg;
}

static void seals_before_it_goes_on(const struct run *run)
{
    struct crash_fault fault = { CRASH_SYNC, CRASH_FAIL, EIO, 1, 1 };
    struct rig r;
    int syncs = 0;

    (void)run;
    rig_make_alone(&r, (struct store_options){ .segment_size = 1 });
    expect_int("store_set", rig_put(&r, "a", "1"), 0);
    hook_set(HOOK_SYNC_DIR, seen_sync, &syncs);
    expect_int("store_set", rig_put(&r, "b", "2"), 0);
    hook_set(HOOK_SYNC_DIR, NULL, NULL);
    expect_true("a new segment's name is synced before it has a record",
                syncs > 0);
    crash_count();
    crash_fault(&fault);
    int err = rig_put(&r, "c", "3");
    crash_fault(NULL);
    crash_stop();
    expect_int("I13: the sync of what is sealed fails", err, -EIO);
    expect_int("I13: no more changes", rig_put(&r, "d", "4"), -EROFS);
    expect_value("gets go on", &r, "a", "1");
    expect_value("gets go on", &r, "b", "2");
    expect_value("what was not answered 0 is not there", &r, "c", NULL);
    expect_int("store_sync", store_sync(r.store), -EROFS);
    expect_int("store_compact", rig_compact(&r), -EROFS);
    expect_int("store_close", store_close(r.store), -EROFS);
    rig_open(&r);
    expect_value("opened again", &r, "a", "1");
    rig_leave(&r);
}

static void reads_only(const struct run *run)
{
    struct rig r;

    (void)run;
    rig_make_alone(&r, (struct store_options){ .segment_size = 1 });
    fill(&r);
    rig_close(&r);
    remove_ending(r.dir, ".hint");
    size_t files = files_ending(r.dir, ""), bytes = bytes_in(r.dir);
    r.options.read_only = true;
    r.alone = false;
    crash_count();
    rig_open(&r);
    check_all("many segments, read only", &r);
    expect_int("store_set", rig_put(&r, "key0", "x"), -EROFS);
    expect_int("store_compact", store_compact(r.store), -EROFS);
    expect_int("store_sync", store_sync(r.store), 0);
    rig_close(&r);
    unsigned made = crash_changes_made();
    crash_stop();
    expect_int("changes to files by who reads only", made, 0);
    expect_int("files", files_ending(r.dir, ""), files);
    expect_int("bytes", bytes_in(r.dir), bytes);
    rig_leave(&r);
}

/* Of all logs: who they are, how long, and when they were changed last. A hint
 * is advice, and may be written again. */
static uint64_t stamp_of(const struct rig *r)
{
    uint64_t sum = 0;
    char path[200];
    struct stat st;

    for (uint64_t g = 1; g < 100; g++) {
        rig_path(path, r, g, ".log");
        if (stat(path, &st) == 0)
            sum = sum * 31 + g + 7 * st.st_ino + 11 * (uint64_t)st.st_size +
                  13 * (uint64_t)st.st_mtim.tv_sec +
                  17 * (uint64_t)st.st_mtim.tv_nsec;
    }
    return sum;
}

/* The second start has nothing to do (I6). */
static void second_start(const struct run *run)
{
    struct rig r;

    (void)run;
    rig_make_alone(&r, (struct store_options){ .segment_size = 300 });
    for (int i = 0; i < 3; i++)
        expect_int("store_set", rig_put(&r, "again", text), 0);
    expect_int("store_remove", rig_drop(&r, "again"), 0);
    char key[32];
    for (size_t i = 0; i < KEYS; i++) {
        key_of(key, i);
        expect_int("store_set", rig_put(&r, key, text), 0);
    }
    rig_quiet(&r);
    rig_close(&r);
    uint64_t stamp = stamp_of(&r);
    for (int round = 0; round < 3; round++) {
        rig_open(&r);
        check_all("opened again", &r);
        rig_close(&r);
        expect_true("I6: a start after a clean end changes no log",
                    stamp_of(&r) == stamp);
    }
    rig_leave(&r);
}

const struct test_case many_damage_cases[] = {
    { "sealed_is_whole", sealed_is_whole, 0 },
    { "sealed_has_no_tail", sealed_has_no_tail, 0 },
    { "damage_behind_a_hint", damage_behind_a_hint, 0 },
    { "torn_tail", torn_tail, 5 },
    { "room_in_advance", room_in_advance, 200 },
    { "always_is_durable", always_is_durable, 40 },
    { "seals_before_it_goes_on", seals_before_it_goes_on, 0 },
    { "reads_only", reads_only, 0 },
    { "second_start", second_start, 0 },
    { NULL, NULL, 0 },
};
