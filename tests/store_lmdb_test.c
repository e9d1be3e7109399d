/* store_lmdb_test.c -- what LMDB leaves to who uses it: task 3.5.
 *
 * Given.
 */
#include <errno.h>
#include <fcntl.h>
#include <lmdb.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/store_test.h"

enum { MIB = 1 << 20, CREW = 4 };

static const struct store_options defaults;

static void key_of(char key[32], size_t n)
{
    snprintf(key, 32, "key%zu", n);
}

/* All of one letter; good until this thread's next. */
static struct slice big_value(size_t n)
{
    static _Thread_local unsigned char bytes[MIB];

    memset(bytes, (int)('a' + n % 26), sizeof bytes);
    return slice_of(bytes, sizeof bytes);
}

static void expect_big(struct store *s, size_t n)
{
    struct buf value = { 0 };
    char key[32];

    key_of(key, n);
    expect_int("store_get of a MiB", store_get(s, slice_str(key), &value), 0);
    expect_true("all of it is there",
                slice_equal(buf_slice(&value), big_value(n)));
    buf_release(&value);
}

static void names_itself(const struct run *run)
{
    struct place p;

    (void)run;
    place_make(&p, defaults);
    expect_str("store_engine", store_engine(p.store), "lmdb");
    expect_int("store_set", put(p.store, "a", "1"), 0);
    expect_int("store_set", put(p.store, "b", "2"), 0);
    expect_int("store_set", put(p.store, "a", "3"), 0);
    expect_int("store_remove", drop(p.store, "b"), 0);
    uint64_t sequence = stats_of(p.store).sequence;
    expect_int("store_set", put(p.store, "c", "4"), 0);
    expect_true("the sequence goes up", stats_of(p.store).sequence > sequence);
    for (int round = 0; round < 2; round++) {
        expect_int("keys", stats_of(p.store).keys, 2);
        expect_true("bytes on the disk", stats_of(p.store).disk_bytes > 0);
        expect_true("bytes that count", stats_of(p.store).live_bytes > 0);
        place_close(&p);
        place_open(&p);
    }
    place_leave(&p);
}

static void key_limit(const struct run *run)
{
    static const char bytes[600] = "a key, and many zeros";
    struct slice fits = slice_of(bytes, 511), more = slice_of(bytes, 512);
    struct buf value = { 0 };
    struct place p;

    (void)run;
    place_make(&p, defaults);
    expect_int("store_key_max", store_key_max(p.store), 511);
    struct store_op ops[] = {
        { .kind = STORE_SET, .key = fits, .value = slice_str("1") },
        { .kind = STORE_SET, .key = more, .value = slice_str("2") },
        { .kind = STORE_GET, .key = more, .into = &value },
        { .kind = STORE_REMOVE, .key = more },
        { .kind = STORE_GET, .key = fits, .into = &value },
    };
    expect_int("store_apply", store_apply(p.store, ops, 5), 0);
    expect_int("a set with a key of 511 bytes", ops[0].result, 0);
    expect_int("a set with a key of 512 bytes", ops[1].result, -EMSGSIZE);
    expect_int("a get of it", ops[2].result, -EMSGSIZE);
    expect_int("a remove of it", ops[3].result, -EMSGSIZE);
    expect_int("a get of the other", ops[4].result, 0);
    expect_true("its value", slice_equal(buf_slice(&value), slice_str("1")));
    expect_int("a plain set", store_set(p.store, more, fits), -EMSGSIZE);
    expect_int("a plain get", store_get(p.store, more, &value), -EMSGSIZE);
    expect_int("a plain remove", store_remove(p.store, more), -EMSGSIZE);
    buf_release(&value);
    place_leave(&p);
}

/* ---- the map ------------------------------------------------------------- */

/* How much of a file whose path ends so this process has mapped. */
static size_t mapped_of(const char *file)
{
    FILE *f = fopen("/proc/self/maps", "re");
    unsigned long long from, to;
    char line[512];
    size_t sum = 0;

    expect_true("/proc/self/maps", f != NULL);
    while (fgets(line, sizeof line, f)) {
        line[strcspn(line, "\n")] = '\0';
        size_t len = strlen(line), end = strlen(file);
        if (len > end && strcmp(line + len - end, file) == 0 &&
            sscanf(line, "%llx-%llx", &from, &to) == 2)
            sum += (size_t)(to - from);
    }
    fclose(f);
    return sum;
}

static void map_grows(const struct run *run)
{
    struct place p;
    char key[32];

    place_make(&p, defaults);
    size_t first = mapped_of("/data.mdb");
    expect_true("the file is mapped", first > 0);
    /* A larger one would never be full in the cases that follow. */
    expect_true("the map begins with 8 MiB or less", first <= 8 * MIB);
    for (size_t i = 0; i < run->size; i++) {
        key_of(key, i);
        expect_int("store_set of a MiB, again and again",
                   store_set(p.store, slice_str(key), big_value(i)), 0);
    }
    for (int round = 0; round < 2; round++) {
        expect_int("keys", stats_of(p.store).keys, run->size);
        expect_big(p.store, 0);
        expect_big(p.store, run->size - 1);
        place_close(&p);
        place_open(&p);
    }
    place_leave(&p);
}

/* The batch is done again from its start: what its gets have brought must not
 * be there twice, and what it has removed not be missing. */
static void map_grows_in_batch(const struct run *run)
{
    size_t n = run->size + 3;
    struct store_op *ops = calloc(n, sizeof *ops);
    char (*keys)[32] = calloc(n, sizeof *keys);
    struct buf into = { 0 };
    struct place p;

    expect_true("memory of the test's own", ops && keys);
    place_make(&p, defaults);
    expect_int("store_set", put(p.store, "word", "hello"), 0);
    expect_int("bytes before", buf_append(&into, "say: ", 5), 0);
    ops[0] = (struct store_op){ .kind = STORE_GET, .key = slice_str("word"),
                                .into = &into };
    ops[1] = (struct store_op){ .kind = STORE_REMOVE,
                                .key = slice_str("word") };
    for (size_t i = 0; i < run->size; i++) {
        key_of(keys[i], i);
        ops[i + 2] = (struct store_op){ .kind = STORE_SET,
            .key = slice_str(keys[i]), .value = big_value(1) };
    }
    ops[n - 1] = (struct store_op){ .kind = STORE_GET,
        .key = slice_str("word"), .into = &into };
    expect_int("store_apply of many MiB", store_apply(p.store, ops, n), 0);
    expect_int("a get before", ops[0].result, 0);
    expect_int("a remove before", ops[1].result, 0);
    for (size_t i = 0; i < run->size; i++)
        expect_int("each set", ops[i + 2].result, 0);
    expect_int("a get behind", ops[n - 1].result, -ENOENT);
    expect_true("the value came once", slice_equal(buf_slice(&into),
                slice_str("say: hello")));
    expect_int("keys", stats_of(p.store).keys, run->size);
    buf_release(&into);
    free(ops);
    free(keys);
    place_leave(&p);
}

/* On a machine with little room for addresses: so not one huge map. */
static void map_is_small(const struct run *run)
{
    struct rlimit limit;
    struct place p;
    size_t pages = 0;
    FILE *f = fopen("/proc/self/statm", "re");

    expect_true("/proc/self/statm", f && fscanf(f, "%zu", &pages) == 1);
    fclose(f);
    getrlimit(RLIMIT_AS, &limit);
    limit.rlim_cur = pages * (size_t)sysconf(_SC_PAGESIZE) + 256 * MIB;
    expect_int("setrlimit", setrlimit(RLIMIT_AS, &limit), 0);
    place_make(&p, defaults);
    for (size_t i = 0; i < run->size; i++) {
        char key[32];

        key_of(key, i);
        expect_int("a set with 256 MiB of addresses left",
                   store_set(p.store, slice_str(key), big_value(i)), 0);
    }
    expect_big(p.store, 0);
    place_leave(&p);
}

/* Nor an end: the old map serves again. */
static void map_cannot_grow(const struct run *run)
{
    struct rlimit limit;
    struct place p;
    char key[32];
    size_t n = 0, pages = 0;
    int err = 0;

    place_make(&p, defaults);
    expect_int("store_set", put(p.store, "word", "hello"), 0);
    FILE *f = fopen("/proc/self/statm", "re");
    expect_true("/proc/self/statm", f && fscanf(f, "%zu", &pages) == 1);
    fclose(f);
    getrlimit(RLIMIT_AS, &limit);
    rlim_t before = limit.rlim_cur;
    limit.rlim_cur = pages * (size_t)sysconf(_SC_PAGESIZE) + 40 * MIB;
    expect_int("setrlimit", setrlimit(RLIMIT_AS, &limit), 0);
    for (; !err && n < run->size; n++) {
        key_of(key, n);
        err = store_set(p.store, slice_str(key), big_value(n));
    }
    expect_true("a set for which no addresses are left fails", err < 0);
    expect_true("some had room", n > 4);
    expect_value("a get then", p.store, "word", "hello");
    expect_int("keys", stats_of(p.store).keys, n);
    limit.rlim_cur = before;
    expect_int("setrlimit", setrlimit(RLIMIT_AS, &limit), 0);
    expect_int("a set when there are", store_set(p.store, slice_str(key),
               big_value(n - 1)), 0);
    expect_big(p.store, n - 1);
    place_leave(&p);
}

struct crew {
    struct place *place;
    size_t number, rounds;
    pthread_barrier_t *all;
};

static void run_crew(struct place *p, size_t n, size_t rounds,
                     void (*fn)(void *))
{
    struct actor *actors = calloc(n, sizeof *actors);
    struct crew *crew = calloc(n, sizeof *crew);
    pthread_barrier_t all;

    expect_true("memory of the test's own", actors && crew);
    pthread_barrier_init(&all, NULL, (unsigned)n);
    for (size_t i = 0; i < n; i++) {
        crew[i] = (struct crew){ p, i, rounds, &all };
        actor_start(&actors[i], fn, &crew[i]);
    }
    for (size_t i = 0; i < n; i++)
        actor_join(&actors[i]);
    pthread_barrier_destroy(&all);
    free(actors);
    free(crew);
}

/* Reads for so long that most of the time a transaction is open. */
static void read_long(struct store *s)
{
    struct buf into = { 0 };
    struct store_op ops[8];

    for (size_t i = 0; i < 8; i++)
        ops[i] = (struct store_op){ .kind = STORE_GET,
            .key = slice_str("word"), .into = &into };
    expect_int("store_apply", store_apply(s, ops, 8), 0);
    for (size_t i = 0; i < 8; i++)
        expect_true("a get while the map grows", ops[i].result == 0 &&
                    ops[i].into_len == MIB / 4 &&
                    into.ptr[ops[i].into_at + MIB / 4 - 1] == 'b');
    buf_release(&into);
}

static void grow_or_read(void *arg)
{
    struct crew *c = arg;
    struct store *s = c->place->store;
    struct buf value = { 0 };
    char key[32];

    for (size_t i = 0; c->number == 0 && i < c->rounds; i++) {
        key_of(key, i);
        expect_int("store_set", store_set(s, slice_str(key), big_value(1)),
                   0);
    }
    if (c->number == 0)
        expect_int("store_set", put(s, "end", ""), 0);
    while (c->number > 0 && store_get(s, slice_str("end"), &value) != 0)
        read_long(s);
    buf_release(&value);
}

static void map_grows_beside_readers(const struct run *run)
{
    struct place p;

    place_make(&p, defaults);
    expect_int("store_set", store_set(p.store, slice_str("word"),
               slice_of(big_value(1).ptr, MIB / 4)), 0);
    run_crew(&p, CREW, run->size, grow_or_read);
    expect_int("keys", stats_of(p.store).keys, run->size + 2);
    place_leave(&p);
}

/* As LMDB's own tools do, which know nothing of our directory's lock. */
static int enlarge(const char *dir)
{
    MDB_env *env;
    MDB_txn *txn;
    MDB_dbi dbi;
    int rc = mdb_env_create(&env);
    MDB_val key = { 5, (void *)"added" };
    MDB_val value = { MIB, (void *)big_value(2).ptr };

    rc = rc ? rc : mdb_env_set_mapsize(env, (size_t)1 << 30);
    rc = rc ? rc : mdb_env_open(env, dir, 0, 0666);
    rc = rc ? rc : mdb_txn_begin(env, NULL, 0, &txn);
    rc = rc ? rc : mdb_dbi_open(txn, NULL, 0, &dbi);
    for (char c = 'a'; !rc && c <= 'z'; c++) {
        key.mv_data = &c;
        key.mv_size = 1;
        rc = mdb_put(txn, dbi, &key, &value, 0);
    }
    return rc ? rc : mdb_txn_commit(txn);
}

static void map_resized(const struct run *run)
{
    struct buf value = { 0 };
    struct place p;
    int status = -1;

    (void)run;
    place_make(&p, defaults);
    expect_int("store_set", put(p.store, "word", "hello"), 0);
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0)
        _exit(enlarge(p.dir) != 0);
    waitpid(pid, &status, 0);
    expect_int("another process adds 26 MiB", status, 0);
    expect_value("a get then", p.store, "word", "hello");
    expect_int("a get of what was added",
               store_get(p.store, slice_str("q"), &value), 0);
    expect_int("its length", value.len, MIB);
    expect_int("a set then", put(p.store, "word", "bye"), 0);
    expect_value("what was set", p.store, "word", "bye");
    expect_int("keys", stats_of(p.store).keys, 27);
    buf_release(&value);
    place_leave(&p);
}

/* ---- readers ------------------------------------------------------------- */

static void get_once(void *arg)
{
    struct crew *c = arg;

    expect_value("a get by each of many threads", c->place->store, "word",
                 "hello");
    pthread_barrier_wait(c->all);       /* all are alive */
    expect_value("and once more", c->place->store, "word", "hello");
}

static void many_readers(const struct run *run)
{
    struct place p;

    place_make(&p, defaults);
    expect_int("store_set", put(p.store, "word", "hello"), 0);
    run_crew(&p, run->size, 1, get_once);
    place_leave(&p);
}

static int stop_scan(void *arg, struct slice key, struct slice value)
{
    (void)arg, (void)key, (void)value;
    return -EINTR;
}

/* A transaction that is not given back is one less. */
static void readers_come_back(const struct run *run)
{
    struct buf value = { 0 };
    struct place p;

    place_make(&p, defaults);
    expect_int("store_set", put(p.store, "word", "hello"), 0);
    for (size_t i = 0; i < run->size; i++) {
        struct store_op op = { .kind = STORE_GET, .key = slice_str("word"),
                               .into = &value, .into_max = 2 };

        expect_value("a get of what is not there", p.store, "none", NULL);
        expect_int("store_apply", store_apply(p.store, &op, 1), 0);
        expect_int("a value that is too long", op.result, -ENOBUFS);
        expect_int("a scan that is ended", store_scan(p.store, stop_scan,
                   NULL), -EINTR);
        expect_int("store_remove", drop(p.store, "none"), -ENOENT);
        expect_int("keys", stats_of(p.store).keys, 1);
    }
    expect_value("a get of what is there", p.store, "word", "hello");
    place_leave(&p);
}

struct scan {
    struct place *place;
    size_t seen;
};

static int set_in_scan(void *arg, struct slice key, struct slice value)
{
    struct scan *scan = arg;
    char other[32];

    (void)key, (void)value;
    key_of(other, 1000 + scan->seen++);
    return store_set(scan->place->store, slice_str(other), big_value(1));
}

/* The map grows meanwhile, so no transaction may be open. */
static void scan_may_change(const struct run *run)
{
    struct scan scan = { 0 };
    struct place p;
    char key[32];

    place_make(&p, defaults);
    scan.place = &p;
    for (size_t i = 0; i < run->size; i++) {
        key_of(key, i);
        expect_int("store_set", put(p.store, key, "x"), 0);
    }
    expect_int("a scan whose fn sets a MiB each time",
               store_scan(p.store, set_in_scan, &scan), 0);
    expect_true("each key was seen", scan.seen >= run->size);
    place_leave(&p);
}

/* Pairs of all sizes, more than anybody copies at once. */
static int sum_pairs(void *arg, struct slice key, struct slice value)
{
    size_t *sum = arg;

    sum[0]++;
    sum[1] += key.len + value.len;
    return 0;
}

static void scan_is_whole(const struct run *run)
{
    size_t sum[2] = { 0 }, bytes = 0;
    struct place p;
    char key[32];

    place_make(&p, defaults);
    for (size_t i = 0; i < run->size; i++) {
        struct slice value = slice_of(big_value(1).ptr,
                                      (i * 7919) % (100 * 1024));

        key_of(key, i);
        expect_int("store_set", store_set(p.store, slice_str(key), value), 0);
        bytes += strlen(key) + value.len;
    }
    expect_int("store_scan", store_scan(p.store, sum_pairs, sum), 0);
    expect_int("pairs", sum[0], run->size);
    expect_int("their bytes", sum[1], bytes);
    place_leave(&p);
}

/* ---- the file ------------------------------------------------------------ */

static void compact_shrinks(const struct run *run)
{
    struct place p;
    char key[32];

    place_make(&p, defaults);
    expect_int("store_set", put(p.store, "word", "hello"), 0);
    for (size_t i = 0; i < run->size; i++) {
        key_of(key, i);
        expect_int("store_set", store_set(p.store, slice_str(key),
                   big_value(i)), 0);
    }
    for (size_t i = 1; i < run->size; i++) {
        key_of(key, i);
        expect_int("store_remove", drop(p.store, key), 0);
    }
    size_t before = bytes_in(p.dir);
    expect_true("what was removed is garbage", stats_of(p.store).dead_bytes >
                (run->size - 2) * MIB);
    expect_int("store_compact", store_compact(p.store), 0);
    expect_true("fewer bytes in the directory", bytes_in(p.dir) < before -
                (run->size - 2) * MIB);
    expect_int("compactions", stats_of(p.store).compactions, 1);
    expect_true("little garbage", stats_of(p.store).dead_bytes < MIB);
    expect_int("a set after it", put(p.store, "more", "x"), 0);
    for (int round = 0; round < 2; round++) {
        expect_int("keys", stats_of(p.store).keys, 3);
        expect_big(p.store, 0);
        expect_value("a small one", p.store, "word", "hello");
        expect_value("what was set after it", p.store, "more", "x");
        place_close(&p);
        place_open(&p);
    }
    place_leave(&p);
}

/* LMDB's calls come by here: the program's own names are found first. What
 * they were for is noted, a letter each:
 *   f  data.mdb is synced       n  data.mdb.new is
 *   d  a directory is, in which data.mdb is; e: in which it is not
 *   r  something is renamed to data.mdb */
static struct {
    pthread_mutex_t lock;       /* guards the rest */
    unsigned n;
    bool fail;
    bool fail_names;            /* where data.mdb is */
    char notes[64];
} syncs = { .lock = PTHREAD_MUTEX_INITIALIZER };

static void note(char what)
{
    size_t n = strlen(syncs.notes);

    if (n + 1 < sizeof syncs.notes)
        syncs.notes[n] = what;
}

static bool ends_with(const char *path, const char *name)
{
    size_t len = strlen(path), end = strlen(name);

    return len >= end && strcmp(path + len - end, name) == 0;
}

static char what_is(int fd)
{
    char link[32], path[256] = "";

    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    if (readlink(link, path, sizeof path - 1) < 0)
        return 0;
    if (ends_with(path, "/data.mdb"))
        return 'f';
    if (ends_with(path, "/data.mdb.new"))
        return 'n';
    if (ends_with(path, ".new"))            /* of a marker */
        return 0;
    return faccessat(fd, "data.mdb", F_OK, 0) == 0 ? 'd' : 'e';
}

static int do_sync(long number, int fd)
{
    pthread_mutex_lock(&syncs.lock);
    syncs.n += number == SYS_fdatasync;
    char what = what_is(fd);
    bool fail = (syncs.fail && number == SYS_fdatasync) ||
                (syncs.fail_names && what == 'd');
    if (what)
        note(what);
    pthread_mutex_unlock(&syncs.lock);
    errno = EIO;
    return fail ? -1 : (int)syscall(number, fd);
}

int fdatasync(int fd)
{
    return do_sync(SYS_fdatasync, fd);
}

int fsync(int fd)
{
    return do_sync(SYS_fsync, fd);
}

int renameat(int from_dir, const char *from, int to_dir, const char *to)
{
    pthread_mutex_lock(&syncs.lock);
    if (ends_with(to, "data.mdb"))
        note('r');
    pthread_mutex_unlock(&syncs.lock);
    return (int)syscall(SYS_renameat2, from_dir, from, to_dir, to, 0);
}

int rename(const char *from, const char *to)
{
    return renameat(AT_FDCWD, from, AT_FDCWD, to);
}

/* What was noted, and forgets it; until this thread's next. */
static const char *noted(void)
{
    static _Thread_local char notes[sizeof syncs.notes];

    pthread_mutex_lock(&syncs.lock);
    memcpy(notes, syncs.notes, sizeof notes);
    memset(syncs.notes, 0, sizeof syncs.notes);
    pthread_mutex_unlock(&syncs.lock);
    return notes;
}

static void fail_syncs(bool fail)
{
    pthread_mutex_lock(&syncs.lock);
    syncs.fail = fail;
    pthread_mutex_unlock(&syncs.lock);
}

static unsigned syncs_now(void)
{
    pthread_mutex_lock(&syncs.lock);
    unsigned n = syncs.n;
    pthread_mutex_unlock(&syncs.lock);
    return n;
}

static void reaches_the_disk(const struct run *run)
{
    struct store_options options = { .durability = STORE_ALWAYS };
    struct place p;

    (void)run;
    place_make(&p, options);
    unsigned before = syncs_now();
    expect_int("store_set", put(p.store, "key", "value"), 0);
    expect_true("a set under STORE_ALWAYS syncs the file",
                syncs_now() > before);
    place_close(&p);
    p.options = defaults;
    place_open(&p);
    before = syncs_now();
    expect_int("store_set", put(p.store, "key", "other"), 0);
    expect_int("syncs of a set under STORE_NONE", syncs_now() - before, 0);
    expect_int("store_sync", store_sync(p.store), 0);
    expect_true("syncs of store_sync", syncs_now() > before);
    expect_int("store_set", put(p.store, "key", "third"), 0);
    before = syncs_now();
    place_close(&p);
    expect_true("syncs of store_close", syncs_now() > before);
    place_open(&p);
    expect_value("after reopening", p.store, "key", "third");
    place_leave(&p);
}

/* The copy is on the disk before it has the name, and then the name is. */
static void compact_is_durable(const struct run *run)
{
    (void)run;
    for (int i = 0; i < 2; i++) {
        struct store_options options = { .durability = i ? STORE_ALWAYS :
                                                           STORE_NONE };
        struct place p;

        place_make(&p, options);
        expect_int("store_set", put(p.store, "key", "value"), 0);
        noted();
        expect_int("store_compact", store_compact(p.store), 0);
        const char *did = noted(), *renamed = strchr(did, 'r');
        const char *synced = strchr(did, 'n');
        expect_true("a new file takes the name data.mdb", renamed != NULL);
        expect_true("data.mdb.new is synced before that",
                    synced && synced < renamed);
        expect_true("the directory is synced after it",
                    strchr(renamed, 'd') != NULL);
        expect_value("what is in it", p.store, "key", "value");
        place_leave(&p);
    }
}

/* Changes something under STORE_NONE and ends without a word. */
static void change_and_end(const char *dir)
{
    int status = -1;

    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        struct store *s;

        _exit(store_open(&s, dir, NULL) != 0 || put(s, "key", "new") != 0);
    }
    waitpid(pid, &status, 0);
    expect_int("a process that changes something and ends", status, 0);
}

/* Who opens it next would take the name for durable. */
static void name_in_doubt(void)
{
    struct store *s;
    char dir[64], path[100];

    scratch_make(dir);
    snprintf(path, sizeof path, "%s/data.mdb", dir);
    syncs.fail_names = true;
    expect_int("store_open, whose data.mdb is not synced",
               store_open(&s, dir, NULL), -EIO);
    syncs.fail_names = false;
    expect_true("data.mdb, which may never reach the disk, is gone",
                access(path, F_OK) != 0 && errno == ENOENT);
    expect_int("store_open", store_open(&s, dir, NULL), 0);
    expect_int("store_set", put(s, "key", "value"), 0);
    store_close(s);
    syncs.fail_names = true;
    expect_int("store_open of what is there", store_open(&s, dir, NULL), -EIO);
    syncs.fail_names = false;
    expect_int("store_open", store_open(&s, dir, NULL), 0);
    expect_value("store_get", s, "key", "value");
    store_close(s);
    scratch_remove(dir);
}

static void open_is_durable(const struct run *run)
{
    struct store_options options = { .durability = STORE_ALWAYS };
    struct place p;

    (void)run;
    name_in_doubt();
    noted();
    place_make(&p, options);
    expect_int("store_set", put(p.store, "key", "value"), 0);
    expect_true("the directory is synced when data.mdb is there",
                strchr(noted(), 'd') != NULL);
    place_close(&p);
    change_and_end(p.dir);
    noted();
    place_open(&p);
    expect_true("always: what a process that was killed has left is synced",
                strchr(noted(), 'f') != NULL);
    expect_value("store_get", p.store, "key", "new");
    place_close(&p);
    change_and_end(p.dir);
    noted();
    p.options = defaults;
    place_open(&p);
    expect_int("store_sync", store_sync(p.store), 0);
    expect_true("none: by the next store_sync", strchr(noted(), 'f') != NULL);
    place_leave(&p);
}

/* Killed in the middle of a compaction. */
static void compact_left_over(const struct run *run)
{
    struct place p;
    char path[100];

    (void)run;
    place_make(&p, defaults);
    expect_int("store_set", put(p.store, "key", "value"), 0);
    place_close(&p);
    snprintf(path, sizeof path, "%s/data.mdb.new", p.dir);
    FILE *f = fopen(path, "we");
    expect_true("a file", f && fputs("half a copy", f) >= 0 &&
                fclose(f) == 0);
    place_open(&p);
    expect_true("data.mdb.new is removed at open",
                access(path, F_OK) != 0 && errno == ENOENT);
    expect_value("store_get", p.store, "key", "value");
    expect_int("store_compact", store_compact(p.store), 0);
    expect_value("store_get", p.store, "key", "value");
    place_leave(&p);
}

/* I13: what the disk has not taken is not tried again and claimed. */
static void sync_fails(const struct run *run)
{
    static const enum store_durability each[] = { STORE_NONE, STORE_ALWAYS };

    (void)run;
    for (int i = 0; i < 2; i++) {
        struct store_options options = { .durability = each[i] };
        struct place p;

        place_make(&p, options);
        expect_int("store_set", put(p.store, "key", "value"), 0);
        expect_int("store_sync", store_sync(p.store), 0);
        if (i == 0)
            expect_int("store_set", put(p.store, "more", "value"), 0);
        fail_syncs(true);
        expect_true("the change or the sync that fails", (i == 0 ?
                    store_sync(p.store) : put(p.store, "more", "x")) != 0);
        fail_syncs(false);
        expect_int("store_set after it", put(p.store, "key", "new"), -EROFS);
        expect_int("store_remove", drop(p.store, "key"), -EROFS);
        expect_int("store_sync", store_sync(p.store), -EROFS);
        expect_value("store_get", p.store, "key", "value");
        expect_true("the statistics say so", stats_of(p.store).failed);
        expect_true("store_close says so", store_close(p.store) != 0);
        place_open(&p);
        expect_value("after reopening", p.store, "key", "value");
        expect_int("store_set then", put(p.store, "key", "new"), 0);
        place_leave(&p);
    }
}

/* The file may not become longer: as on a disk that is full. Which error that
 * is, and whether the store takes changes before it is opened again, is left
 * open: LMDB says EIO. */
static void no_room(const struct run *run)
{
    struct rlimit limit;
    struct place p;
    char key[32];
    size_t n = 0;
    int err = 0;

    place_make(&p, defaults);
    expect_int("store_set", put(p.store, "word", "hello"), 0);
    signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &limit);
    rlim_t before = limit.rlim_cur;
    limit.rlim_cur = run->size * MIB;
    expect_int("setrlimit", setrlimit(RLIMIT_FSIZE, &limit), 0);
    for (; !err && n < 4 * run->size; n++) {
        key_of(key, n);
        err = store_set(p.store, slice_str(key), big_value(n));
    }
    expect_true("a set that finds no room fails", err < 0);
    expect_true("some had room", n > run->size / 2);
    expect_value("a get then", p.store, "word", "hello");
    expect_big(p.store, 0);
    expect_true("it is not there", stats_of(p.store).keys == n);
    limit.rlim_cur = before;
    expect_int("setrlimit", setrlimit(RLIMIT_FSIZE, &limit), 0);
    store_close(p.store);
    place_open(&p);
    expect_int("keys after reopening", stats_of(p.store).keys, n);
    expect_big(p.store, n - 2);
    expect_int("a set then", put(p.store, "word", "bye"), 0);
    place_close(&p);
    place_open(&p);
    expect_value("after reopening", p.store, "word", "bye");
    place_leave(&p);
}

/* ---- killed -------------------------------------------------------------- */

/* Sets key0, key1, .. to their numbers, tells each when it was answered. */
static void set_and_tell(const char *dir, int fd)
{
    struct store *s;
    char key[32];

    if (store_open(&s, dir, NULL) != 0)
        _exit(1);
    for (size_t i = 0;; i++) {
        key_of(key, i);
        if (put(s, key, key) != 0 || write(fd, &i, sizeof i) != sizeof i)
            _exit(1);
    }
}

/* The last number that was answered before it was killed. */
static size_t kill_one(const char *dir, size_t after)
{
    size_t last = 0;
    int fds[2], status;

    expect_int("pipe", pipe2(fds, O_CLOEXEC), 0);
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0)
        set_and_tell(dir, fds[1]);
    close(fds[1]);
    while (last < after && read(fds[0], &last, sizeof last) > 0)
        ;
    kill(pid, SIGKILL);
    while (read(fds[0], &last, sizeof last) > 0)
        ;
    waitpid(pid, &status, 0);
    close(fds[0]);
    expect_true("it was killed in the middle", WIFSIGNALED(status));
    return last;
}

static void killed(const struct run *run)
{
    uint64_t random = run->seed;
    struct place p;
    char key[32], dir[64];

    place_make(&p, defaults);
    place_close(&p);
    snprintf(dir, sizeof dir, "%s", p.dir);
    for (size_t round = 0; round < run->size; round++) {
        size_t last = kill_one(dir, 20 + next_random(&random) % 200);

        place_open(&p);
        for (size_t i = 0; i <= last; i++) {
            key_of(key, i);
            expect_value("I1: what was answered before SIGKILL", p.store, key,
                         key);
        }
        expect_int("a set after it", put(p.store, "more", "x"), 0);
        place_close(&p);
    }
    scratch_remove(dir);
}

const struct test_case store_own_cases[] = {
    { "names_itself", names_itself, 1 },
    { "key_limit", key_limit, 1 },
    { "map_grows", map_grows, 40 },
    { "map_grows_in_batch", map_grows_in_batch, 20 },
    { "map_is_small", map_is_small, 40 },
    { "map_cannot_grow", map_cannot_grow, 60 },
    { "map_grows_beside_readers", map_grows_beside_readers, 60 },
    { "map_resized", map_resized, 1 },
    { "many_readers", many_readers, 300 },
    { "readers_come_back", readers_come_back, 500 },
    { "scan_may_change", scan_may_change, 12 },
    { "scan_is_whole", scan_is_whole, 200 },
    { "compact_shrinks", compact_shrinks, 12 },
    { "reaches_the_disk", reaches_the_disk, 1 },
    { "compact_is_durable", compact_is_durable, 1 },
    { "open_is_durable", open_is_durable, 1 },
    { "compact_left_over", compact_left_over, 1 },
    { "sync_fails", sync_fails, 1 },
    { "no_room", no_room, 8 },
    { "killed", killed, 10 },
    { NULL, NULL, 0 },
};
