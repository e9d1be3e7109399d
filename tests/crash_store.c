/* crash_store.c -- given: a store under the crash explorer. */
#include "tests/crash_store.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- Keys and values ----------------------------------------------------- */

struct slice key_bytes(unsigned key, char text[32])
{
    snprintf(text, 32, "key-%u%s", key, key % 3 == 0 ? "-with-a-tail" : "");
    return slice_str(text);
}

struct slice value_bytes(unsigned value, unsigned char bytes[VALUE_ROOM])
{
    static const size_t lens[] = { 24, 700, 60, 5000, 90, 1500, 30 };
    size_t len = lens[value % (sizeof lens / sizeof *lens)];

    /* 256 bytes over and over, numbered: this is done very often. */
    for (size_t i = 0; i < len && i < 256; i++)
        bytes[i] = (unsigned char)(value * 31 + i * 7 + 1);
    for (size_t at = 256; at < len; at += 256) {
        memcpy(bytes + at, bytes, len - at < 256 ? len - at : 256);
        bytes[at] = (unsigned char)(at / 256);
    }
    bytes[0] = (unsigned char)value;
    bytes[1] = (unsigned char)(value >> 8);
    return slice_of(bytes, len);
}

unsigned value_number(struct slice bytes)
{
    unsigned char expected[VALUE_ROOM];
    const unsigned char *b = bytes.ptr;
    unsigned value = bytes.len < 2 ? 0 : b[0] + 256u * b[1];

    if (value == 0 || value >= CRASH_GARBAGE ||
        !slice_equal(value_bytes(value, expected), bytes))
        return CRASH_GARBAGE;
    return value;
}

/* ---- Changes that are noted ---------------------------------------------- */

static void store_path(const char *root, char path[160])
{
    snprintf(path, 160, "%s/s", root);
}

int user_open(struct user *u, const char *root,
              enum store_durability durability, size_t segment_size)
{
    struct store_options options = { .segment_size = segment_size,
                                     .durability = durability };
    char path[160];

    u->durability = durability;
    store_path(root, path);
    return store_open(&u->store, path, &options);
}

static int noted(struct user *u, unsigned n, int err)
{
    if (err)
        return err;
    crash_answered(u->stream, n);
    if (u->durability == STORE_ALWAYS)
        crash_promised(u->stream, n);
    return 0;
}

int user_set(struct user *u, unsigned key, unsigned value)
{
    unsigned char bytes[VALUE_ROOM];
    char text[32];
    unsigned n = crash_asks(u->stream, key, value);

    return noted(u, n, store_set(u->store, key_bytes(key, text),
                                 value_bytes(value, bytes)));
}

int user_remove(struct user *u, unsigned key)
{
    char text[32];
    unsigned n = crash_asks(u->stream, key, CRASH_ABSENT);

    return noted(u, n, store_remove(u->store, key_bytes(key, text)));
}

int user_batch(struct user *u, const struct crash_pair *pairs, size_t n)
{
    struct store_op ops[16] = { { .key.len = 0 } };
    static _Thread_local unsigned char bytes[16][VALUE_ROOM];
    char text[16][32];
    unsigned last = 0;

    expect_true("a batch of 16 at most", n <= 16);
    for (size_t i = 0; i < n; i++) {
        last = crash_asks(u->stream, pairs[i].key, pairs[i].value);
        ops[i].kind = pairs[i].value ? STORE_SET : STORE_REMOVE;
        ops[i].key = key_bytes(pairs[i].key, text[i]);
        if (pairs[i].value)
            ops[i].value = value_bytes(pairs[i].value, bytes[i]);
    }
    int err = store_apply(u->store, ops, n);
    for (size_t i = 0; i < n && err == 0; i++)
        err = ops[i].result;
    return noted(u, last, err);
}

int user_sync(struct user *u)
{
    int err = store_sync(u->store);

    if (err == 0)
        crash_synced();
    return err;
}

int user_compact(struct user *u)
{
    crash_phase("store_compact");
    int err = store_compact(u->store);
    crash_phase("");
    return err;
}

int user_close(struct user *u)
{
    int err = store_close(u->store);

    u->store = NULL;
    if (err == 0)
        crash_synced();
    return err;
}

/* ---- Looking ------------------------------------------------------------- */

int stored(struct store *store, unsigned key)
{
    struct buf value = { 0 };
    char text[32];
    int err = store_get(store, key_bytes(key, text), &value);
    int number = (int)value_number(buf_slice(&value));

    buf_release(&value);
    return err == 0 ? number : err == -ENOENT ? CRASH_ABSENT : err;
}

struct scanned {
    uint16_t value[CRASH_KEYS];
    unsigned strange;
};

static int note_pair(void *arg, struct slice key, struct slice value)
{
    struct scanned *s = arg;
    char text[32];

    for (unsigned k = 0; k < CRASH_KEYS; k++)
        if (slice_equal(key, key_bytes(k, text))) {
            s->strange += s->value[k] != CRASH_ABSENT;
            s->value[k] = (uint16_t)value_number(value);
            return 0;
        }
    s->strange++;
    return 0;
}

static bool breaks(struct crash_seen *seen, const char *invariant,
                   const char *detail, long number)
{
    seen->broken = invariant;
    snprintf(seen->detail, sizeof seen->detail, detail, number);
    return false;
}

bool all_stored(struct store *store, struct crash_seen *seen)
{
    struct scanned s = { .strange = 0 };

    for (unsigned k = 0; k < CRASH_KEYS; k++) {
        int value = stored(store, k);
        if (value < 0)
            return breaks(seen, "I2 a change is there or not, never anything "
                          "else", "a get answers %ld", value);
        seen->value[k] = (uint16_t)value;
    }
    int err = store_scan(store, note_pair, &s);
    if (err || s.strange)
        return breaks(seen, "I2 a change is there or not, never anything else",
                      err ? "a scan answers %ld"
                          : "a scan sees %ld keys that nobody wrote, or twice",
                      err ? err : (long)s.strange);
    for (unsigned k = 0; k < CRASH_KEYS; k++)
        if (s.value[k] != seen->value[k])
            return breaks(seen, "I2 a change is there or not, never anything "
                          "else", "get and scan differ about key %ld", k);
    return true;
}

/* Of logs and their hints a store of stage 5 may have any number; and what is
 * held in reserve. */
static bool may_be_many(int dir, const char *name)
{
#ifdef STORE_IS_many
    char log[64];
    const char *dot = strrchr(name, '.');

    if (strcmp(name, "KVS-RESERVE") == 0 || (dot && !strcmp(dot, ".log")))
        return true;
    if (!dot || strcmp(dot, ".hint") != 0)
        return false;
    snprintf(log, sizeof log, "%.*s.log", (int)(dot - name), name);
    return faccessat(dir, log, F_OK, 0) == 0;
#else
    (void)dir;
    (void)name;
    return false;
#endif
}

unsigned store_files(const char *root)
{
    char path[160];
    unsigned n = 0;

    store_path(root, path);
    DIR *dir = opendir(path);
    for (struct dirent *e; dir && (e = readdir(dir));)
        n += e->d_name[0] != '.' && !may_be_many(dirfd(dir), e->d_name);
    if (dir)
        closedir(dir);
    return n;
}

static void copy_file(int from, int to, const char *name)
{
    char bytes[8192];
    int in = openat(from, name, O_RDONLY | O_CLOEXEC);
    int out = openat(to, name, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);

    for (ssize_t n; (n = read(in, bytes, sizeof bytes)) > 0;)
        expect_int("copying a file", write(out, bytes, (size_t)n), n);
    close(in);
    close(out);
}

/* root/s as it is now becomes root/c/s. */
static void copy_store(const char *root, char copy[140])
{
    char path[160];

    store_path(root, path);
    DIR *dir = opendir(path);
    snprintf(copy, 140, "%s/c", root);
    expect_int("mkdir for a copy", mkdir(copy, 0755), 0);
    store_path(copy, path);
    expect_int("mkdir for a copy", mkdir(path, 0755), 0);
    int to = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    for (struct dirent *e; dir && (e = readdir(dir));)
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
            copy_file(dirfd(dir), to, e->d_name);
    close(to);
    if (dir)
        closedir(dir);
}

/* Opened once more it shows the same, and writes nothing. */
static bool same_again(const struct looker *l, const char *root,
                       struct crash_seen *seen)
{
    static const char rule[] = "I6 recovery twice is recovery once; the second "
        "start writes nothing";
    struct crash_seen again = { .error = 0 };
    struct user u = { 0 };

    crash_count();
    int err = user_open(&u, root, STORE_NONE, l->segment_size);
    unsigned made = crash_changes_made();
    crash_stop();
    if (err)
        return breaks(seen, rule, "the second start answers %ld", err);
    if (made)
        breaks(seen, rule, "the second start made %ld changes to files",
               made);
    else if (!all_stored(u.store, &again) ||
             memcmp(again.value, seen->value, sizeof again.value) != 0)
        breaks(seen, rule, "the second start shows another map", 0);
    store_close(u.store);
    return !seen->broken;
}

static bool still_there(struct user *u, const struct crash_seen *before,
                        struct crash_seen *seen, const char *rule)
{
    struct crash_seen now = { .error = 0 };

    if (!all_stored(u->store, &now))
        return breaks(seen, rule, "reading fails %ld", 0);
    for (unsigned k = 0; k < CRASH_KEYS; k++)
        if (now.value[k] != before->value[k])
            return breaks(seen, rule, "key %ld has changed", k);
    return true;
}

/* Work goes on after the crash: a set, a restart, a compaction, a restart. */
static bool goes_on(const struct looker *l, const char *root,
                    struct crash_seen *seen)
{
    static const char *const rule[] = {
        "I9 the torn tail is cut, and appending goes on there",
        "I7 compaction never changes the map",
    };
    struct crash_seen want = *seen;
    struct user u = { .stream = 0 };
    unsigned char bytes[VALUE_ROOM];
    char text[32];
    bool well = true;

    want.value[CRASH_KEYS - 1] = 9;
    for (int i = 0; i < 3 && well; i++) {
        const char *now = rule[i == 2 && l->compacts];
        int err = user_open(&u, root, STORE_NONE, l->segment_size);
        if (err)
            return breaks(seen, now, "a later start answers %ld", err);
        if (i == 0)
            err = store_set(u.store, key_bytes(CRASH_KEYS - 1, text),
                            value_bytes(9, bytes));
        if (err)
            well = breaks(seen, now, "a later set answers %ld", err);
        well = well && still_there(&u, &want, seen, now);
        if (well && i == 1 && l->compacts &&
            (err = store_compact(u.store)) != 0)
            well = breaks(seen, rule[1], "a later compaction answers %ld", err);
        well = well && still_there(&u, &want, seen, rule[l->compacts]);
        store_close(u.store);
    }
    return well;
}

void store_look(void *arg, const char *root, unsigned nth,
                struct crash_seen *seen)
{
    const struct looker *l = arg;
    char copy[140] = "";
    struct user u = { 0 };

    crash_count();
    seen->error = user_open(&u, root, STORE_NONE, l->segment_size);
    unsigned made = crash_changes_made();
    crash_stop();
    seen->changed = made > 0;
    if (seen->error)
        return;
    unsigned files = store_files(root);
    bool well = all_stored(u.store, seen);
    if (made)
        copy_store(root, copy);
    int err = store_close(u.store);
    if (err)
        breaks(seen, "I11 what a crash leaves behind is no hindrance",
               "closing answers %ld", err);
    else if (files > l->files)
        breaks(seen, "I11 leftovers of a crash are removed",
               "%ld files in a store at rest", files);
    if (!well || seen->broken)
        return;
    well = same_again(l, root, seen) && (!*copy || same_again(l, copy, seen));
    if (well && l->every && nth % l->every == 0)
        goes_on(l, root, seen);
}

void store_explore(const struct run *run, const struct exploration *e)
{
    struct looker looker = { .segment_size = e->segment_size,
                             .files = e->files, .every = e->every,
                             .compacts = e->compacts };
    struct crash_plan plan = {
        .look = store_look, .arg = &looker, .seed = run->seed,
        .per_moment = e->per_moment, .power = e->power,
        .one_cut = e->power || e->one_cut, .keep = e->keep,
        .tried = e->tried
    };
    struct crash_report report;

    crash_expect(&plan, &report);
    expect_true("there are disks to look at", report.disks > 10);
    if (getenv("CRASH_COUNTS"))
        printf("%u moments, %u states, %u disks\n", report.moments,
               report.states, report.disks);
}
