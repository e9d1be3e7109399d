/* store_hard_test.c -- the cases of a store that take many threads, a second
 * process, or a compaction (tasks 2.7 and 2.8).
 *
 * Given.
 */
#include "tests/store_test.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "stage2-server/dir.h"
#include "stage2-server/record.h"

enum { CREW = 4, CREW_MAX = 1000, ROUND_KEYS = 1000, VALUE = 200 };

static const struct store_options defaults;

static void key_of(char key[32], size_t n)
{
    snprintf(key, 32, "key%zu", n);
}

/* ---- many threads -------------------------------------------------------- */

struct worker {
    struct place *place;
    size_t number, rounds;
    uint64_t random;
};

static void run_crew(struct place *p, size_t n, size_t rounds, uint64_t seed,
                     void (*fn)(void *))
{
    struct actor *actors = calloc(n, sizeof *actors);
    struct worker *workers = calloc(n, sizeof *workers);

    expect_true("memory of the test's own", actors && workers);
    for (size_t i = 0; i < n; i++) {
        workers[i] = (struct worker){ p, i, rounds, seed + i };
        actor_start(&actors[i], fn, &workers[i]);
    }
    for (size_t i = 0; i < n; i++)
        actor_join(&actors[i]);
    free(actors);
    free(workers);
}

static void set_own(void *arg)
{
    struct worker *w = arg;
    char key[32];

    key_of(key, w->number);
    expect_int("store_set", put(w->place->store, key, key), 0);
}

static void get_all(void *arg)
{
    struct worker *w = arg;
    char key[32];

    for (size_t i = 0; i < w->rounds; i++) {
        key_of(key, (w->number + i) % w->rounds);
        expect_value("store_get by many", w->place->store, key, key);
    }
}

static void many_set(const struct run *run)
{
    struct place p;
    char key[32];

    place_make(&p, defaults);
    run_crew(&p, run->size, 1, 1, set_own);
    for (int round = 0; round < 2; round++) {
        for (size_t i = 0; i < run->size; i++) {
            key_of(key, i);
            expect_value("what each thread has set", p.store, key, key);
        }
        place_close(&p);
        place_open(&p);
    }
    place_leave(&p);
}

static void many_get(const struct run *run)
{
    struct place p;
    char key[32];

    place_make(&p, defaults);
    for (size_t i = 0; i < run->size; i++) {
        key_of(key, i);
        expect_int("store_set", put(p.store, key, key), 0);
    }
    run_crew(&p, run->size, run->size, 1, get_all);
    place_close(&p);
    place_open(&p);
    run_crew(&p, run->size, run->size, 1, get_all);
    place_leave(&p);
}

/* Sets, removes and batches on a few keys; a value names its key. */
static void mixed(void *arg)
{
    struct worker *w = arg;
    struct buf value = { 0 };
    char key[32], text[64];

    for (size_t i = 0; i < w->rounds; i++) {
        key_of(key, next_random(&w->random) % 6);
        snprintf(text, sizeof text, "%s %zu %zu", key, w->number, i);
        struct store_op ops[] = {
            { .kind = STORE_SET, .key = slice_str(key),
              .value = slice_str(text) },
            { .kind = STORE_GET, .key = slice_str(key), .into = &value },
        };
        buf_clear(&value);
        switch (next_random(&w->random) % 4) {
        case 0:
            drop(w->place->store, key);
            break;
        case 1:
            expect_int("store_set", put(w->place->store, key, text), 0);
            break;
        case 2:
            expect_int("store_apply", store_apply(w->place->store, ops, 2),
                       0);
            expect_true("a get behind a set of its batch sees it",
                        slice_equal(buf_slice(&value), slice_str(text)));
            break;
        default:
            if (store_get(w->place->store, slice_str(key), &value) == 0)
                expect_true("a value belongs to its key",
                            value.len > strlen(key) &&
                            memcmp(value.ptr, key, strlen(key)) == 0);
        }
    }
    buf_release(&value);
}

struct copies {
    char values[6][64];
};

static void copy_all(struct store *s, struct copies *c)
{
    struct buf value = { 0 };
    char key[32];

    memset(c, 0, sizeof *c);
    for (size_t i = 0; i < 6; i++) {
        key_of(key, i);
        if (store_get(s, slice_str(key), &value) == 0 && value.len < 64)
            memcpy(c->values[i], value.ptr, value.len);
    }
    buf_release(&value);
}

/* If two threads' changes of a key reach the index in another order than the
 * log, a reopened store has another value. */
static void crowd(const struct run *run)
{
    struct copies before, after;
    struct place p;

    place_make(&p, defaults);
    expect_int("store_set", put(p.store, "first", "1"), 0);
    for (int round = 0; round < 4; round++) {
        run_crew(&p, CREW, run->size, run->seed + (uint64_t)round, mixed);
        copy_all(p.store, &before);
        place_close(&p);
        place_open(&p);
        copy_all(p.store, &after);
        expect_true("the order in the log is the order in the index",
                    memcmp(&before, &after, sizeof before) == 0);
    }
    place_leave(&p);
}

static void set_one(void *arg)
{
    struct worker *w = arg;

    put(w->place->store, "key", w->number ? "one" : "zero");
}

static void small_setters(const struct run *run)
{
    struct copies before = { 0 }, after = { 0 };
    struct buf value = { 0 };
    struct place p;

    (void)run;
    place_make(&p, defaults);
    run_crew(&p, 2, 1, 1, set_one);
    expect_int("store_get", store_get(p.store, slice_str("key"), &value), 0);
    memcpy(before.values[0], value.ptr, value.len);
    place_close(&p);
    place_open(&p);
    expect_int("store_get", store_get(p.store, slice_str("key"), &value), 0);
    memcpy(after.values[0], value.ptr, value.len);
    expect_str("the key's value after reopening", after.values[0],
               before.values[0]);
    buf_release(&value);
    place_leave(&p);
}

/* ---- durability ---------------------------------------------------------- */

static void always_syncs(const struct run *run)
{
    struct store_options options = { .durability = STORE_ALWAYS };
    struct place p;
    struct store_op ops[10];
    char keys[10][32];

    (void)run;
    place_make(&p, options);
    uint64_t before = stats_of(p.store).syncs;
    expect_int("store_set", put(p.store, "key", "value"), 0);
    expect_true("a set is synced", stats_of(p.store).syncs > before);
    before = stats_of(p.store).syncs;
    for (size_t i = 0; i < 10; i++) {
        key_of(keys[i], i);
        ops[i] = (struct store_op){ .kind = STORE_SET,
            .key = slice_str(keys[i]), .value = slice_str("v") };
    }
    expect_int("store_apply", store_apply(p.store, ops, 10), 0);
    expect_int("syncs of a batch of 10", stats_of(p.store).syncs - before, 1);
    place_leave(&p);
}

static bool has_synced(void *arg)
{
    struct place *p = arg;

    return stats_of(p->store).syncs > 0;
}

static void interval_syncs(const struct run *run)
{
    struct store_options options = { .durability = STORE_INTERVAL };
    struct place p;

    (void)run;
    place_make(&p, options);
    expect_int("store_set", put(p.store, "key", "value"), 0);
    expect_soon("waiting after a set under STORE_INTERVAL",
                "it is synced within seconds, by nobody's call", has_synced,
                &p);
    place_leave(&p);
}

static void sync_and_close(const struct run *run)
{
    struct place p;

    (void)run;
    place_make(&p, defaults);
    expect_int("store_set", put(p.store, "key", "value"), 0);
    expect_int("syncs under STORE_NONE", stats_of(p.store).syncs, 0);
    expect_int("store_sync", store_sync(p.store), 0);
    expect_int("syncs", stats_of(p.store).syncs, 1);
    expect_value("store_get", p.store, "key", "value");
    place_leave(&p);
}

/* ---- what it may use ----------------------------------------------------- */

/* Of the process's own: pages of a mapped file belong to the file. */
static size_t resident_bytes(void)
{
    size_t pages = 0, shared = 0;
    FILE *f = fopen("/proc/self/statm", "re");

    expect_true("/proc/self/statm", f && fscanf(f, "%*u %zu %zu", &pages,
                &shared) == 2);
    fclose(f);
    return (pages - shared) * (size_t)sysconf(_SC_PAGESIZE);
}

/* Values are in the files, not in memory. */
static void not_in_memory(const struct run *run)
{
    static unsigned char value[1 << 20];
    struct store_options options = { .segment_size = 1 << 30 };
    struct place p;
    char key[32];

    place_make(&p, options);
    size_t before = resident_bytes();
    for (size_t i = 0; i < run->size; i++) {
        key_of(key, i);
        memset(value, (int)i, sizeof value);
        expect_int("store_set of a MiB", store_set(p.store, slice_str(key),
                   slice_of(value, sizeof value)), 0);
    }
    size_t grown = resident_bytes() - before;
    if (resident_bytes() > before && grown > (run->size << 20) / 3)
        fail_case(__FILE__, __LINE__, "memory after 100 values of a MiB",
                  "under a third of what was set", "%zu MiB", grown >> 20);
    expect_true("it is in the directory", bytes_in(p.dir) >=
                run->size * sizeof value);
    place_leave(&p);
}

static unsigned descriptors(void)
{
    unsigned n = 0;
    DIR *dir = opendir("/proc/self/fd");

    for (struct dirent *e; dir && (e = readdir(dir));)
        n += e->d_name[0] != '.';
    closedir(dir);
    return n;
}

static void few_descriptors(const struct run *run)
{
    struct store_options options = { .segment_size = 16 << 10 };
    static char value[VALUE];
    struct place p;
    unsigned before = descriptors();
    char key[32];

    memset(value, 'v', sizeof value - 1);
    place_make(&p, options);
    for (size_t i = 0; i < run->size; i++) {
        key_of(key, i % 20);
        expect_int("store_set", put(p.store, key, value), 0);
        expect_true("an open store has at most 6 descriptors",
                    i % 100 != 0 || descriptors() <= before + STORE_FILES);
    }
    place_leave(&p);
    expect_int("descriptors after close", descriptors(), before);
}

/* ---- compaction ---------------------------------------------------------- */

static void compact_keeps(const struct run *run)
{
    struct place p;
    char key[32];

    place_make(&p, defaults);
    for (size_t i = 0; i < run->size; i++) {
        key_of(key, i % (run->size / 2));
        expect_int("store_set", put(p.store, key, i < run->size / 2 ? "old" :
                   "new"), 0);
    }
    for (size_t i = 0; i < run->size / 2; i += 2) {
        key_of(key, i);
        expect_int("store_remove", drop(p.store, key), 0);
    }
    size_t before = bytes_in(p.dir);
    expect_int("store_compact", store_compact(p.store), 0);
    if (strcmp(STORE_NAME, "kvs") == 0)     /* others have pages */
        expect_true("fewer bytes in the directory",
                    bytes_in(p.dir) < before / 2);
    expect_int("dead bytes", stats_of(p.store).dead_bytes, 0);
    expect_int("compactions", stats_of(p.store).compactions, 1);
    for (int round = 0; round < 3; round++) {
        expect_int("I7: how many keys", stats_of(p.store).keys,
                   run->size / 4);
        for (size_t i = 0; i < run->size / 2; i++) {
            key_of(key, i);
            expect_value("I7: a key after a compaction", p.store, key,
                         i % 2 ? "new" : NULL);
        }
        if (round == 1)
            expect_int("a second one", store_compact(p.store), 0);
        place_close(&p);
        place_open(&p);
    }
    expect_int("store_set after it", put(p.store, "more", "x"), 0);
    place_close(&p);
    place_open(&p);
    expect_value("what was set after it", p.store, "more", "x");
    place_leave(&p);
}

static void compact_nothing(const struct run *run)
{
    struct place p;

    (void)run;
    place_make(&p, defaults);
    expect_int("store_set", put(p.store, "key", "value"), 0);
    expect_int("store_remove", drop(p.store, "key"), 0);
    expect_int("compacting when all is dead", store_compact(p.store), 0);
    expect_int("compacting when nothing is there", store_compact(p.store), 0);
    expect_int("store_set", put(p.store, "key", "again"), 0);
    expect_int("compacting one record", store_compact(p.store), 0);
    place_close(&p);
    place_open(&p);
    expect_value("the one record", p.store, "key", "again");
    place_leave(&p);
}

/* Of one record that is garbage: so what is not written yet is called here,
 * and not, much later, by a thread of the store. */
static void compact_once(struct place *p)
{
    for (int i = 0; i < 2; i++)
        expect_int("store_set", put(p->store, "key", "value"), 0);
    expect_int("store_compact", store_compact(p->store), 0);
    expect_int("store_remove", store_remove(p->store, slice_of("key", 3)), 0);
}

struct growing {
    struct place *place;
    uint64_t compactions;   /* before */
    size_t segments;        /* bytes of two */
};

static bool has_compacted(void *arg)
{
    struct growing *g = arg;

    return stats_of(g->place->store).compactions > g->compactions;
}

/* Not at each moment: a compaction's output and its inputs are there for a
 * while. */
static bool has_settled(void *arg)
{
    struct growing *g = arg;
    uint64_t live = stats_of(g->place->store).live_bytes;

    return (double)bytes_in(g->place->dir) <=
           1.3 * (double)live + (double)g->segments;
}

/* The course's own test: the same keys over and over. */
static void size_settles(const struct run *run)
{
    struct store_options options = { .segment_size = 64 << 10 };
    struct place p;
    size_t last = 0, n = 0;
    char key[32], text[32];
    bool settled = false;

    place_make(&p, options);
    compact_once(&p);
    struct growing g = { &p, stats_of(p.store).compactions,
                         2 * options.segment_size };
    for (; n < run->size && !settled; n++) {
        snprintf(text, sizeof text, "%zu", n);
        for (size_t i = 0; i < ROUND_KEYS; i++) {
            key_of(key, i);
            expect_int("store_set", put(p.store, key, text), 0);
        }
        size_t now = bytes_in(p.dir);
        settled = now < last;
        last = now;
    }
    expect_true("the directory stops growing", settled);
    expect_soon("rounds over 1,000 keys", "a compaction runs by itself",
                has_compacted, &g);
    expect_soon("bytes in the directory, when the rounds are over", "at most "
                "1.3 times what is live, and two segments", has_settled, &g);
    place_close(&p);
    place_open(&p);
    for (size_t i = 0; i < ROUND_KEYS; i++) {
        key_of(key, i);
        expect_value("each key after reopening", p.store, key, text);
    }
    place_leave(&p);
}

/* Sets and removes of ever new keys leave nothing behind. */
static void churn(const struct run *run)
{
    struct store_options options = { .segment_size = 16 << 10 };
    struct place p;
    char key[32];
    size_t most = 0;

    place_make(&p, options);
    compact_once(&p);
    for (size_t i = 0; i < run->size; i++) {
        key_of(key, i);
        expect_int("store_set", put(p.store, key, "some value"), 0);
        expect_int("store_remove", drop(p.store, key), 0);
        if (i % 100 == 0 && bytes_in(p.dir) > most)
            most = bytes_in(p.dir);
    }
    if (most > 4 * options.segment_size)
        fail_case(__FILE__, __LINE__, "I8: endless set and remove",
                  "at most 4 segments on the disk", "%zu bytes", most);
    expect_int("keys", stats_of(p.store).keys, 0);
    place_leave(&p);
}

struct storm {
    struct place *place;
    pthread_mutex_t lock;       /* guards the rest */
    bool end;
    size_t gets;
};

static bool storm_over(struct storm *s, size_t gets)
{
    pthread_mutex_lock(&s->lock);
    bool end = s->end;
    s->gets += gets;
    pthread_mutex_unlock(&s->lock);
    return end;
}

static void read_on(void *arg)
{
    struct storm *s = arg;
    char key[32];

    for (size_t i = 0; !storm_over(s, 1); i++) {
        key_of(key, i % 50);
        expect_value("I5: a get beside a compaction", s->place->store, key,
                     key);
    }
}

static bool has_read(void *arg)
{
    struct storm *s = arg;

    pthread_mutex_lock(&s->lock);
    bool enough = s->gets >= 100;
    pthread_mutex_unlock(&s->lock);
    return enough;
}

static void compact_beside_readers(const struct run *run)
{
    struct place p;
    struct storm storm = { .place = &p, .lock = PTHREAD_MUTEX_INITIALIZER };
    struct actor readers[2];
    char key[32];

    place_make(&p, defaults);
    for (size_t i = 0; i < 50; i++) {
        key_of(key, i);
        expect_int("store_set", put(p.store, key, key), 0);
    }
    for (int i = 0; i < 2; i++)
        actor_start(&readers[i], read_on, &storm);
    for (size_t i = 0; i < run->size; i++) {
        key_of(key, i % 50);
        expect_int("store_set", put(p.store, key, key), 0);
        expect_int("store_compact", store_compact(p.store), 0);
    }
    expect_soon("reading meanwhile", "100 gets are done", has_read, &storm);
    pthread_mutex_lock(&storm.lock);
    storm.end = true;
    pthread_mutex_unlock(&storm.lock);
    for (int i = 0; i < 2; i++)
        actor_join(&readers[i]);
    place_leave(&p);
}

static void set_rounds(void *arg)
{
    struct worker *w = arg;
    char key[32], text[32];

    for (size_t i = 1; i <= w->rounds; i++) {
        snprintf(key, sizeof key, "own%zu.%zu", w->number, i % 5);
        snprintf(text, sizeof text, "%zu", i);
        expect_int("store_set", put(w->place->store, key, text), 0);
        expect_value("what this thread has just set", w->place->store, key,
                     text);
    }
}

static void compact_rounds(void *arg)
{
    struct worker *w = arg;

    if (w->number > 0) {
        set_rounds(arg);
        return;
    }
    for (size_t i = 0; i < w->rounds / 10; i++)
        expect_int("store_compact", store_compact(w->place->store), 0);
}

static void compact_beside_writers(const struct run *run)
{
    struct place p;
    char key[32], text[32];

    place_make(&p, defaults);
    run_crew(&p, 3, run->size, 1, compact_rounds);
    for (int round = 0; round < 2; round++) {
        for (size_t t = 1; t < 3; t++)
            for (size_t k = 0; k < 5; k++) {
                snprintf(key, sizeof key, "own%zu.%zu", t, k);
                snprintf(text, sizeof text, "%zu", run->size -
                         (run->size + 5 - k) % 5);
                expect_value("the last set of each key", p.store, key, text);
            }
        place_close(&p);
        place_open(&p);
    }
    place_leave(&p);
}

/* ---- what a crash may leave ---------------------------------------------- */

static int note_log(void *arg, const char *name)
{
    uint64_t *newest = arg, n = dir_log_generation(name);

    if (n > *newest)
        *newest = n;
    return 0;
}

static uint64_t newest_log(const char *dir)
{
    uint64_t newest = 0;
    struct dir d = { .fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC) };

    dir_each(&d, note_log, &newest);
    close(d.fd);
    return newest;
}

static void path_in(char path[200], const char *dir, uint64_t generation,
                    const char *end)
{
    char name[DIR_NAME_MAX];

    dir_log_name(name, generation);
    snprintf(path, 200, "%s/%s%s", dir, name, end);
}

static void copy_file(const char *from, const char *to, size_t most)
{
    static char bytes[1 << 16];
    FILE *in = fopen(from, "re"), *out = fopen(to, "we");

    expect_true("files of the test's own", in && out);
    size_t n = fread(bytes, 1, sizeof bytes, in);
    fwrite(bytes, 1, n < most ? n : most, out);
    fclose(in);
    expect_int("closing it", fclose(out), 0);
}

/* A log of the old generation is still there, and pieces of the next. */
static void leftovers(const struct run *run)
{
    char kept[200], old[200], piece[200], now[200];
    struct place p;
    uint64_t first;

    (void)run;
    place_make(&p, defaults);
    expect_int("store_set", put(p.store, "key", "old"), 0);
    expect_int("store_set", put(p.store, "removed", "old"), 0);
    place_close(&p);
    first = newest_log(p.dir);
    expect_true("I11: a log has a generation", first > 0);
    path_in(old, p.dir, first, "");
    snprintf(kept, sizeof kept, "%s.kept", p.dir);
    copy_file(old, kept, SIZE_MAX);
    place_open(&p);
    expect_int("store_set", put(p.store, "key", "new"), 0);
    expect_int("store_remove", drop(p.store, "removed"), 0);
    expect_int("store_compact", store_compact(p.store), 0);
    place_close(&p);
    expect_true("I11: generations go up", newest_log(p.dir) > first);
    path_in(now, p.dir, newest_log(p.dir), "");
    path_in(piece, p.dir, newest_log(p.dir) + 1, DIR_NEW);
    copy_file(now, piece, 40);
    copy_file(kept, old, SIZE_MAX);
    place_open(&p);
    expect_value("I11: the newer generation counts", p.store, "key", "new");
    expect_value("I4: a removed key stays removed", p.store, "removed", NULL);
    expect_int("I11: the old one is removed", access(old, F_OK), -1);
    expect_int("I11: the unfinished one, too", access(piece, F_OK), -1);
    unlink(kept);
    place_leave(&p);
}

/* Flips a bit of the byte where this text stands in the file. */
static void flip_at(const char *path, const char *text)
{
    static char bytes[1 << 16];
    FILE *f = fopen(path, "r+e");

    expect_true("the log's file", f != NULL);
    size_t n = fread(bytes, 1, sizeof bytes, f);
    char *found = memmem(bytes, n, text, strlen(text));
    expect_true("a value in it", found != NULL);
    fseek(f, found - bytes, SEEK_SET);
    putc(*found ^ 1, f);
    expect_int("fclose", fclose(f), 0);
}

/* A record that went bad under an open store, and nothing says that it was
 * durable: no compaction may take it for the end of the log. */
static void compact_finds_damage(const struct run *run)
{
    char path[200], key[32];
    struct place p;

    place_make(&p, defaults);
    for (size_t i = 0; i < run->size; i++) {
        key_of(key, i);
        expect_int("store_set", put(p.store, key, i == 5 ? "good" : key), 0);
    }
    key_of(key, 0);     /* some garbage, so that there is a reason */
    expect_int("store_set", put(p.store, key, key), 0);
    uint64_t generation = newest_log(p.dir);
    path_in(path, p.dir, generation, "");
    flip_at(path, "good");
    for (int i = 0; i < 2; i++)
        expect_int("I10: compacting over a damaged record",
                   store_compact(p.store), -EBADMSG);
    expect_int("the generation", newest_log(p.dir), generation);
    for (size_t i = 0; i < run->size; i++) {
        key_of(key, i);
        if (i != 5)
            expect_value("the old log still serves", p.store, key, key);
    }
    expect_int("store_set after it", put(p.store, "more", "more"), 0);
    flip_at(path, "food");
    expect_int("store_compact, mended", store_compact(p.store), 0);
    expect_value("the record", p.store, "key5", "good");
    expect_value("the last", p.store, "more", "more");
    expect_int("keys", stats_of(p.store).keys, run->size + 1);
    place_leave(&p);
}

/* Somebody cuts the file short under an open store. */
static void cut_under_it(const struct run *run)
{
    struct buf value = { 0 };
    char path[200], key[32];
    struct place p;

    place_make(&p, defaults);
    for (size_t i = 0; i < run->size; i++) {
        key_of(key, i);
        expect_int("store_set", put(p.store, key, key), 0);
    }
    key_of(key, run->size - 1);
    expect_value("the last key", p.store, key, key);
    path_in(path, p.dir, newest_log(p.dir), "");
    expect_int("cutting the file", truncate(path, 100), 0);
    int err = store_get(p.store, slice_str(key), &value);
    expect_true("I16: a get of what is gone answers an error",
                err == -EIO || err == -EBADMSG);
    store_close(p.store);
    buf_release(&value);
    scratch_remove(p.dir);
}

const struct test_case store_hard_cases[] = {
    { "cut_under_it", cut_under_it, 2000 },
    { "many_set", many_set, CREW_MAX },
    { "many_get", many_get, 100 },
    { "crowd", crowd, 1000 },
    { "small_setters", small_setters, 1 },
    { "always_syncs", always_syncs, 1 },
    { "interval_syncs", interval_syncs, 1 },
    { "sync_and_close", sync_and_close, 1 },
    { "not_in_memory", not_in_memory, 100 },
    { "few_descriptors", few_descriptors, 3000 },
    { "compact_keeps", compact_keeps, 400 },
    { "compact_nothing", compact_nothing, 1 },
    { "size_settles", size_settles, 1000 },
    { "churn", churn, 3000 },
    { "compact_beside_readers", compact_beside_readers, 50 },
    { "compact_beside_writers", compact_beside_writers, 300 },
    { "leftovers", leftovers, 1 },
    { "compact_finds_damage", compact_finds_damage, 20 },
    { NULL, NULL, 0 },
};
