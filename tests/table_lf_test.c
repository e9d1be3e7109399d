/* table_lf_test.c -- the cases of tasks 5.3 and 5.4 that are not stage 2's
 * cases once more: what is new is that readers wait for nobody.
 *
 * Given.
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/counter.h"
#include "tests/table_test.h"
#include "tests/wraps.h"

enum { STABLE = 64, CHURN = 64, BIG = 400 };

/* Keys are numbers; a value says which key it belongs to, how long it is, and
 * that it is whole. */
static size_t stamp(unsigned char to[BIG], uint64_t key, uint64_t random)
{
    size_t len = 16 + random % (BIG - 16);

    memcpy(to, &key, sizeof key);
    memcpy(to + sizeof key, &len, sizeof len);
    memset(to + 16, (int)(random >> 20 & 255), len - 16);
    return len;
}

static void expect_stamped(const unsigned char *value, ssize_t len,
                           uint64_t key)
{
    uint64_t of;
    size_t said;

    expect_true("the length of a value", len >= 16 && len < BIG);
    memcpy(&of, value, sizeof of);
    memcpy(&said, value + sizeof of, sizeof said);
    expect_int("the key that a value belongs to", of, key);
    expect_int("its length, as it says itself", said, len);
    for (ssize_t i = 17; i < len; i += 11)
        expect_int("a value is whole", value[i], value[16]);
}

static int set_stamped(struct table *table, uint64_t key, uint64_t random)
{
    unsigned char value[BIG];
    size_t len = stamp(value, key, random);

    return table_insert(table, number(&key), slice_of(value, len));
}

/* Whether the key is there. */
static bool look(struct table *table, uint64_t key)
{
    unsigned char value[BIG];
    ssize_t len = table_lookup(table, number(&key), value, sizeof value);

    if (len == -ENOENT)
        return false;
    expect_stamped(value, len, key);
    return true;
}

static void look_at_all(struct table *table, uint64_t n)
{
    for (uint64_t key = 0; key < STABLE; key++)
        expect_true("lookup finds a key that is there all the time",
                    look(table, key));
    for (uint64_t key = STABLE; key < n; key++)
        look(table, key);
}

static void look_at_many(struct table *table, uint64_t first)
{
    unsigned char value[STABLE / 4][BIG];
    struct table_lookup l[STABLE / 4];
    uint64_t key[STABLE / 4];

    for (uint64_t i = 0; i < STABLE / 4; i++) {
        key[i] = (first + 3 * i) % STABLE;
        l[i] = (struct table_lookup){ number(&key[i]), value[i], BIG, 0 };
    }
    table_lookup_many(table, l, STABLE / 4);
    for (uint64_t i = 0; i < STABLE / 4; i++)
        expect_stamped(value[i], l[i].len, key[i]);
}

/* Changes one key of those that come and go, or replaces a stable one. */
static void change(struct table *table, uint64_t *random, uint64_t churn)
{
    uint64_t r = next_random(random), key = STABLE + (r >> 8) % churn;

    switch (r & 3) {
    case 0:
        expect_int("insert", set_stamped(table, key, r >> 16), 0);
        break;
    case 1:
        expect_int("replace", set_stamped(table, key % STABLE, r >> 16), 0);
        break;
    case 2: {
        unsigned char value[BIG];
        struct decision d = { .answer = TABLE_REPLACE };

        d.value = slice_of(value, stamp(value, key, r >> 16));
        expect_int("update", table_update(table, number(&key), decide, &d), 0);
        break;
    }
    default:
        table_delete(table, number(&key));
    }
}

static void fill_stable(struct table *table)
{
    for (uint64_t key = 0; key < STABLE; key++)
        expect_int("insert", set_stamped(table, key, key), 0);
    look_at_all(table, STABLE + CHURN);
    look_at_many(table, 0);
}

/* A thread at work on a table, round after round, until it is over. */
struct worker {
    struct actor actor;
    struct table *table;
    struct counter *over;       /* NULL: `steps` rounds */
    struct counter rounds, may; /* add_on: not more rounds than that */
    uint64_t random, churn;
    size_t steps;
    uint64_t locks;             /* lock calls of the measured part */
};

static bool goes_on(struct worker *w)
{
    return w->over ? counter_get(w->over) == 0
                   : counter_get(&w->rounds) < w->steps;
}

static void read_on(void *arg)
{
    struct worker *w = arg;

    while (goes_on(w)) {
        look_at_all(w->table, STABLE + CHURN);
        look_at_many(w->table, counter_get(&w->rounds));
        counter_add(&w->rounds, 1);
        sched_yield();
    }
}

static void write_on(void *arg)
{
    struct worker *w = arg;

    while (goes_on(w)) {
        change(w->table, &w->random, w->churn);
        counter_add(&w->rounds, 1);
    }
}

static void start(struct worker *w, struct table *table, struct counter *over,
                  void (*fn)(void *), uint64_t random)
{
    *w = (struct worker){ .table = table, .over = over, .random = random,
                          .churn = CHURN };
    actor_start(&w->actor, fn, w);
}

/* ---- Readers take no lock ------------------------------------------------ */

static void read_counting(void *arg)
{
    struct worker *w = arg;

    look_at_all(w->table, STABLE);      /* the first lookup may */
    uint64_t before = lock_calls();
    for (size_t i = 0; i < w->steps; i++) {
        if (i % 4 == 0)
            look_at_many(w->table, i);
        look(w->table, i % (STABLE + CHURN));
    }
    w->locks = lock_calls() - before;
}

static void no_locks(const struct run *run)
{
    struct table *table = made_default();
    struct counter over = { 0 };
    struct worker writer, readers[2];

    fill_stable(table);
    start(&writer, table, &over, write_on, run->seed);
    for (int i = 0; i < 2; i++) {
        readers[i] = (struct worker){ .table = table, .steps = run->size };
        actor_start(&readers[i].actor, read_counting, &readers[i]);
    }
    for (int i = 0; i < 2; i++)
        actor_join(&readers[i].actor);
    counter_add(&over, 1);
    actor_join(&writer.actor);
    for (int i = 0; i < 2; i++)
        expect_int("lock calls by lookups", readers[i].locks, 0);
    table_destroy(table);
}

/* One key is held inside its update: all can be read, that one, too. */
struct gate {
    pthread_mutex_t lock;       /* guards the rest */
    pthread_cond_t changed;
    bool open, inside;
    struct table *table;
};

static enum table_decision wait_inside(void *arg, const struct slice *present,
                                       struct slice *value)
{
    struct gate *g = arg;

    (void)present, (void)value;
    pthread_mutex_lock(&g->lock);
    g->inside = true;
    pthread_cond_signal(&g->changed);
    while (!g->open)
        pthread_cond_wait(&g->changed, &g->lock);
    pthread_mutex_unlock(&g->lock);
    return TABLE_DELETE;
}

static void hold(void *arg)
{
    struct gate *g = arg;
    uint64_t key = 7;

    expect_int("update that deletes",
               table_update(g->table, number(&key), wait_inside, g), 0);
}

static void held_is_read(const struct run *run)
{
    struct gate g = { .lock = PTHREAD_MUTEX_INITIALIZER,
                      .changed = PTHREAD_COND_INITIALIZER,
                      .table = made_default() };
    struct worker reader = { .table = g.table, .steps = run->size };
    struct actor holder;

    fill_stable(g.table);
    actor_start(&holder, hold, &g);
    pthread_mutex_lock(&g.lock);
    while (!g.inside)
        pthread_cond_wait(&g.changed, &g.lock);
    pthread_mutex_unlock(&g.lock);
    actor_start(&reader.actor, read_on, &reader);
    expect_soon("lookups of all keys, while one is held inside its update",
                "they end, and find all", actor_done, &reader.actor);
    actor_join(&reader.actor);
    pthread_mutex_lock(&g.lock);
    g.open = true;
    pthread_cond_signal(&g.changed);
    pthread_mutex_unlock(&g.lock);
    actor_join(&holder);
    expect_true("the key that was deleted then", !look(g.table, 7));
    table_destroy(g.table);
}

/* ---- A thread is stopped where it happens to be -------------------------- */

/* It says so in one pipe, and waits for a word from the other. */
static struct {
    int stopped[2], go[2];
} ice;

static void stop_here(int signal)
{
    int saved = errno;
    char c = 'x';

    (void)signal;
    if (write(ice.stopped[1], &c, 1) != 1 || read(ice.go[0], &c, 1) != 1)
        _exit(1);
    errno = saved;
}

static void prepare_ice(void)
{
    struct sigaction act = { .sa_handler = stop_here, .sa_flags = SA_RESTART };

    expect_int("pipe", pipe(ice.stopped), 0);
    expect_int("pipe", pipe(ice.go), 0);
    expect_int("sigaction", sigaction(SIGUSR1, &act, NULL), 0);
}

static void close_ice(void)
{
    for (int i = 0; i < 2; i++) {
        close(ice.stopped[i]);
        close(ice.go[i]);
    }
}

struct progress {
    struct worker *workers;
    uint64_t wanted[3];
    int n;
};

static bool has_come_so_far(void *arg)
{
    struct progress *p = arg;

    for (int i = 0; i < p->n; i++)
        if (counter_get(&p->workers[i].rounds) < p->wanted[i])
            return false;
    return true;
}

/* All of them have done so many rounds more. */
static void expect_rounds(const char *tried, struct worker *workers, int n,
                          uint64_t more)
{
    struct progress p = { .workers = workers, .n = n };

    for (int i = 0; i < n; i++)
        p.wanted[i] = counter_get(&workers[i].rounds) + more;
    for (int i = 0; i < 20 && !has_come_so_far(&p); i++)
        sched_yield();
    expect_soon(tried, "they go on", has_come_so_far, &p);
}

/* At a random moment, once it has got a little further (or may, if it works
 * only so much at a time). */
static void freeze(struct worker *w, uint64_t *random, uint64_t batch)
{
    uint64_t spin = next_random(random) % (batch ? 40000 : 4000);
    char c;

    counter_add(&w->may, batch);
    expect_rounds("the one that is to be stopped", w, 1,
                  1 + next_random(random) % 8);
    for (volatile uint64_t i = 0; i < spin; i++)
        ;
    expect_int("pthread_kill", pthread_kill(w->actor.id, SIGUSR1), 0);
    expect_int("read", read(ice.stopped[0], &c, 1), 1);
}

static void let_go(void)
{
    expect_int("write", write(ice.go[1], "x", 1), 1);
}

/* Whatever lock the writer has, readers look up every key, twice. */
static void frozen_on(struct table *table, void (*writes)(void *),
                      uint64_t batch, const struct run *run)
{
    struct counter over = { 0 };
    struct worker writer, readers[2];
    uint64_t random = run->seed;

    prepare_ice();
    fill_stable(table);
    for (int i = 0; i < 2; i++)
        start(&readers[i], table, &over, read_on, 0);
    start(&writer, table, &over, writes, run->seed);
    for (size_t i = 0; i < run->size; i++) {
        freeze(&writer, &random, batch);
        expect_rounds("readers, while the writer is stopped somewhere",
                      readers, 2, 2);
        let_go();
    }
    counter_add(&over, 1);
    actor_join(&writer.actor);
    for (int i = 0; i < 2; i++)
        actor_join(&readers[i].actor);
    look_at_all(table, STABLE + CHURN);
    table_destroy(table);
    close_ice();
}

static void writer_frozen(const struct run *run)
{
    frozen_on(made_default(), write_on, 0, run);
}

static void writer_frozen_full(const struct run *run)
{
    frozen_on(made(8, true, 128 * KIB), write_on, 0, run);
}

/* Adds new keys all the time, so that the table grows. */
static void add_on(void *arg)
{
    struct worker *w = arg;

    for (uint64_t key = STABLE + CHURN; goes_on(w); key++) {
        while (counter_get(&w->rounds) >= counter_get(&w->may) && goes_on(w))
            sched_yield();
        expect_int("insert", table_insert(w->table, number(&key),
                                          number(&key)), 0);
        counter_add(&w->rounds, 1);
    }
}

static void grower_frozen(const struct run *run)
{
    frozen_on(made(4, false, 0), add_on, 500, run);
}

/* So many buckets that their memory may come from another place than that of
 * a small table; and, unless few keys come, more of them. */
static void grow_large(const struct run *run)
{
    enum { BUCKETS = 70000 };
    struct table *table = NULL;
    struct table_options options = { .buckets = BUCKETS };

    expect_int("create", table_create(&table, &options), 0);
    for (uint64_t key = 0; key < run->size; key++)
        expect_int("insert", put(table, key, key + 1), 0);
    for (uint64_t key = 0; key < run->size; key++)
        expect_int("a key's value", get(table, key), key + 1);
    struct table_stats stats = stats_of(table);
    expect_int("keys", stats.keys, run->size);
    expect_true("buckets", stats.buckets >= BUCKETS);
    expect_true("at least 8 bytes a bucket", stats.bytes >= stats.buckets * 8);
    if (run->size > 5 * BUCKETS)
        expect_true("at most 56 bytes a key, and 2 MiB",
                    stats.bytes < run->size * 56 + (2 << 20));
    for (uint64_t key = 0; key < run->size; key += 2)
        expect_int("delete", drop(table, key), 0);
    expect_int("keys that are left", stats_of(table).keys, run->size / 2);
    table_destroy(table);
}

/* The same, stopped in each malloc: who grows needs memory for it. */
static void stop_in_malloc(void)
{
    stop_here(0);
}

static void add_stopping(void *arg)
{
    struct worker *w = arg;

    malloc_calls(stop_in_malloc);
    for (uint64_t key = STABLE + CHURN; key < w->steps; key++)
        expect_int("insert", table_insert(w->table, number(&key),
                                          number(&key)), 0);
    malloc_calls(NULL);
    counter_add(&w->rounds, 1);
    stop_here(0);
}

static void grower_stopped(const struct run *run)
{
    struct table *table = made(4, false, 0);
    struct counter over = { 0 };
    struct worker writer = { .table = table, .steps = run->size }, readers[2];
    char c;

    prepare_ice();
    fill_stable(table);
    for (int i = 0; i < 2; i++)
        start(&readers[i], table, &over, read_on, 0);
    actor_start(&writer.actor, add_stopping, &writer);
    for (bool last = false; !last; let_go()) {
        expect_int("read", read(ice.stopped[0], &c, 1), 1);
        expect_rounds("readers, while the writer is stopped in a malloc",
                      readers, 2, 2);
        last = counter_get(&writer.rounds) > 0;
    }
    counter_add(&over, 1);
    actor_join(&writer.actor);
    for (int i = 0; i < 2; i++)
        actor_join(&readers[i].actor);
    look_at_all(table, STABLE + CHURN);
    for (uint64_t key = STABLE + CHURN, value; key < run->size; key++)
        expect_int("lookup of each key", table_lookup(table, number(&key),
                   &value, sizeof value), sizeof value);
    table_destroy(table);
    close_ice();
}

/* A reader is stopped, perhaps in mid-lookup: writers and other readers go on,
 * and what was kept for it is freed later. */
static void reader_frozen(const struct run *run)
{
    struct table *table = made_default();
    struct counter over = { 0 };
    struct worker frozen, other;
    uint64_t random = run->seed;

    prepare_ice();
    fill_stable(table);
    start(&frozen, table, &over, read_on, 0);
    start(&other, table, &over, read_on, 0);
    for (size_t i = 0; i < run->size; i++) {
        freeze(&frozen, &random, 0);
        for (int k = 0; k < 2000; k++)
            change(table, &random, CHURN);
        expect_rounds("readers, while another reader is stopped", &other, 1,
                      2);
        let_go();
    }
    counter_add(&over, 1);
    actor_join(&frozen.actor);
    actor_join(&other.actor);
    for (int k = 0; k < 2000; k++)
        change(table, &random, CHURN);
    expect_at_most("bytes, after many changes of few keys",
                   stats_of(table).bytes, 16 << 20);
    table_destroy(table);
    close_ice();
}

/* ---- Memory -------------------------------------------------------------- */

/* Replaced and deleted values are freed by and by. */
static void replaced_for_ever(const struct run *run)
{
    struct table *table = made_default();
    uint64_t random = run->seed;

    fill_stable(table);
    for (size_t i = 0; i < run->size; i++) {
        change(table, &random, CHURN);
        if (i % 8 == 0)
            look(table, i % STABLE);
    }
    look_at_all(table, STABLE + CHURN);
    expect_at_most("bytes, after many changes of few keys",
                   stats_of(table).bytes, 8 << 20);
    table_destroy(table);
}

/* A full table is full with what is there: what was deleted a moment ago has
 * made room, whoever is reading. */
static void full_under_readers(const struct run *run)
{
    struct table *table = made(64, true, 256 * KIB);
    struct counter over = { 0 };
    struct worker readers[2];
    uint64_t n = STABLE, random = run->seed;
    unsigned char value[BIG];

    fill_stable(table);
    /* All of one length from here on. */
    while (table_insert(table, number(&n),
                        slice_of(value, stamp(value, n, 84))) == 0)
        n++;
    expect_true("many fit", n > 500);
    for (int i = 0; i < 2; i++)
        start(&readers[i], table, &over, read_on, 0);
    for (size_t i = 0; i < run->size; i++) {
        uint64_t key = STABLE + next_random(&random) % (n - STABLE);

        expect_int("delete from a full table",
                   table_delete(table, number(&key)), 0);
        expect_int("insert where one was deleted",
                   table_insert(table, number(&key), slice_of(value,
                                stamp(value, key, 84))), 0);
    }
    counter_add(&over, 1);
    for (int i = 0; i < 2; i++)
        actor_join(&readers[i].actor);
    expect_int("table_count", table_count(table), n);
    table_destroy(table);
}

/* ---- One chain ----------------------------------------------------------- */

/* Keys that stay among keys that come and go, all in one bucket: no lookup
 * misses one that stays. */
static void stay_in_chain(const struct run *run)
{
    struct table *table = made(1, true, 256 * KIB);
    struct counter over = { 0 };
    struct worker readers[2], writer = { .table = table, .churn = 12,
                                         .random = run->seed,
                                         .steps = run->size };

    for (uint64_t key = 0; key < STABLE; key++) {
        expect_int("insert", set_stamped(table, key, key), 0);
        if (key % 4 == 0)
            expect_int("insert", set_stamped(table, STABLE + key % 12, key),
                       0);
    }
    look_at_all(table, STABLE);
    for (int i = 0; i < 2; i++)
        start(&readers[i], table, &over, read_on, 0);
    write_on(&writer);
    counter_add(&over, 1);
    for (int i = 0; i < 2; i++)
        actor_join(&readers[i].actor);
    look_at_all(table, STABLE);
    table_destroy(table);
}

/* For the explorer. */
struct small {
    struct actor actor;
    struct table *table;
    uint64_t from, to;
    size_t rounds;
};

static void find_range(void *arg)
{
    struct small *s = arg;

    for (size_t i = 0; i < s->rounds; i++)
        for (uint64_t key = s->from; key < s->to; key++)
            expect_int("lookup of a key that is there all the time",
                       get(s->table, key), key);
}

/* One chain of two lines or more; some of the first go, some come. */
static void small_stay(const struct run *run)
{
    enum { ALL = 10 };
    struct table *table = made(1, true, 16 * KIB);
    struct small s = { .table = table, .from = ALL - 2, .to = ALL,
                       .rounds = run->size };

    for (uint64_t key = 0; key < ALL; key++)
        expect_int("insert", put(table, key, key), 0);
    actor_start(&s.actor, find_range, &s);
    for (int round = 0; round < 2; round++) {
        for (uint64_t key = 0; key < 6; key++)
            expect_int("delete", drop(table, key), 0);
        for (uint64_t key = 0; key < 6; key++)
            expect_int("insert", put(table, key, key), 0);
    }
    actor_join(&s.actor);
    expect_int("table_count", table_count(table), ALL);
    table_destroy(table);
}

/* Who looks up a key that is replaced finds one value or the other. */
static void find_either(void *arg)
{
    struct small *s = arg;

    for (size_t i = 0; i < s->rounds; i++) {
        int64_t value = get(s->table, 5);

        expect_true("lookup, while the key is replaced",
                    value == 1000 || value == 2000 || value == 3000);
        expect_int("lookup of another", get(s->table, 6), 6);
    }
}

static void small_replace(const struct run *run)
{
    struct table *table = made(1, true, 16 * KIB);
    struct small s = { .table = table, .rounds = run->size };

    expect_int("insert", put(table, 5, 1000), 0);
    expect_int("insert", put(table, 6, 6), 0);
    actor_start(&s.actor, find_either, &s);
    expect_int("replace", put(table, 5, 2000), 0);
    expect_int("insert of another", put(table, 7, 7), 0);
    expect_int("replace", put(table, 5, 3000), 0);
    actor_join(&s.actor);
    expect_int("lookup", get(table, 5), 3000);
    table_destroy(table);
}

/* A table without room to spare: memory is used again as soon as it may be,
 * and not while it is copied. */
enum { LARGE = 600 };

static int put_large(struct table *table, uint64_t key)
{
    unsigned char value[LARGE];

    memset(value, (int)key, sizeof value);
    return table_insert(table, number(&key), slice_of(value, sizeof value));
}

static void find_large(void *arg)
{
    struct small *s = arg;
    unsigned char value[LARGE];
    uint64_t key = s->from;

    for (size_t i = 0; i < s->rounds; i++) {
        ssize_t len = table_lookup(s->table, number(&key), value,
                                   sizeof value);

        if (len == -ENOENT)
            continue;
        expect_int("lookup, while the key is deleted", len, LARGE);
        for (int b = 0; b < LARGE; b++)
            expect_int("each byte of its value", value[b], key);
    }
}

static void small_full(const struct run *run)
{
    struct table *table = made(1, true, 4 * KIB);
    struct small s = { .table = table, .from = 1, .rounds = run->size };
    unsigned char value[LARGE];
    uint64_t n = 1;

    while (put_large(table, n) == 0)
        n++;
    expect_true("some fit", n > 2);
    actor_start(&s.actor, find_large, &s);
    for (uint64_t key = 1; key < 3; key++, n++) {
        expect_int("delete", table_delete(table, number(&key)), 0);
        expect_int("insert into the room of what was deleted",
                   put_large(table, n), 0);
    }
    actor_join(&s.actor);
    expect_int("lookup of what came instead",
               table_lookup(table, slice_of(&(uint64_t){ n - 1 }, 8), value,
                            LARGE), LARGE);
    table_destroy(table);
}

/* Growing while one looks. */
static void small_grow(const struct run *run)
{
    struct table *table = made(1, false, 0);
    struct small s = { .table = table, .to = 4, .rounds = run->size };
    size_t at_first = stats_of(table).buckets;

    for (uint64_t key = 0; key < 4; key++)
        expect_int("insert", put(table, key, key), 0);
    actor_start(&s.actor, find_range, &s);
    for (uint64_t key = 4; key < 40; key++)
        expect_int("insert", put(table, key, key), 0);
    for (uint64_t key = 4; key < 400; key++)
        expect_int("insert", put(table, key, key), 0);
    actor_join(&s.actor);
    expect_true("there are more buckets", stats_of(table).buckets > at_first);
    for (uint64_t key = 0; key < 400; key++)
        expect_int("lookup", get(table, key), key);
    table_destroy(table);
}

static const struct test_case cases[] = {
    { "no_locks", no_locks, 200000 },
    { "held_is_read", held_is_read, 100 },
    { "writer_frozen", writer_frozen, 200 },
    { "writer_frozen_full", writer_frozen_full, 100 },
    { "reader_frozen", reader_frozen, 100 },
    { "replaced_for_ever", replaced_for_ever, 300000 },
    { "full_under_readers", full_under_readers, 20000 },
    { "stay_in_chain", stay_in_chain, 50000 },
    { "small_stay", small_stay, 4 },
    { "small_replace", small_replace, 2 },
    { "small_full", small_full, 20 },
    { "grower_frozen", grower_frozen, 100 },
    { "grower_stopped", grower_stopped, 3000 },
    { "grow_large", grow_large, 500000 },
    { "small_grow", small_grow, 2 },
    { NULL, NULL, 0 },
};

int main(int argc, char **argv)
{
    return driver_main(argc, argv, cases);
}
