/* table_hard_test.c -- the cases of task 2.2 with threads, and of task 2.3.
 *
 * Given.
 */
#include "tests/table_test.h"

/* ---- 2.2: threads -------------------------------------------------------- */

struct gate {
    pthread_mutex_t lock;       /* guards the rest */
    pthread_cond_t opened;
    bool open, inside;
};

static enum table_decision wait_inside(void *arg, const struct slice *present,
                                       struct slice *value)
{
    struct gate *g = arg;

    (void)present, (void)value;
    pthread_mutex_lock(&g->lock);
    g->inside = true;
    while (!g->open)
        pthread_cond_wait(&g->opened, &g->lock);
    pthread_mutex_unlock(&g->lock);
    return TABLE_KEEP;
}

static bool is_inside(void *arg)
{
    struct gate *g = arg;

    pthread_mutex_lock(&g->lock);
    bool inside = g->inside;
    pthread_mutex_unlock(&g->lock);
    return inside;
}

/* One thread of a crew, on a table. */
struct worker {
    struct actor actor;
    struct table *table;
    struct gate *gate;
    uint64_t key, random;
    size_t steps;
    int64_t result, wins;
};

static void hold(void *arg)
{
    struct worker *w = arg;
    char text[TEXT];

    w->result = table_update(w->table, key_of(text, w->key), wait_inside,
                             w->gate);
}

static void use_key(void *arg)
{
    struct worker *w = arg;

    expect_int("insert of another key", put(w->table, w->key, w->key), 0);
    expect_int("lookup of another key", get(w->table, w->key), w->key);
    expect_int("delete of another key", drop(w->table, w->key), 0);
}

enum { OTHERS = 64 };

static bool three_quarters_done(void *arg)
{
    struct worker *w = arg;
    int n = 0;

    for (int i = 0; i < OTHERS; i++)
        n += actor_done(&w[i].actor);
    return n >= OTHERS * 3 / 4;
}

/* One key is held inside its update; of 64 others at least 48 can be used. */
static void held_on(struct table *table)
{
    struct gate gate = { .lock = PTHREAD_MUTEX_INITIALIZER,
                         .opened = PTHREAD_COND_INITIALIZER };
    struct worker holder = { .table = table, .gate = &gate, .key = 9999 };
    static struct worker w[OTHERS];

    expect_int("insert", put(table, 9999, 5), 0);
    actor_start(&holder.actor, hold, &holder);
    expect_soon("update calls its function", "it does", is_inside, &gate);
    for (uint64_t i = 0; i < OTHERS; i++) {
        w[i] = (struct worker){ .table = table, .key = i };
        actor_start(&w[i].actor, use_key, &w[i]);
    }
    expect_soon("64 keys, while another is held inside its update",
                "at least 48 of them can be used", three_quarters_done, w);
    expect_true("the other is still inside its update",
                !actor_done(&holder.actor));
    pthread_mutex_lock(&gate.lock);
    gate.open = true;
    pthread_cond_signal(&gate.opened);
    pthread_mutex_unlock(&gate.lock);
    for (int i = 0; i < OTHERS; i++)
        actor_join(&w[i].actor);
    actor_join(&holder.actor);
    expect_int("update", holder.result, 0);
    expect_int("its value, which it kept", get(table, 9999), 5);
    table_destroy(table);
}

static void held_update(const struct run *run)
{
    (void)run;
    held_on(made_default());
    held_on(made(1024, true, 1024 * KIB));
}

static enum table_decision add_one(void *arg, const struct slice *present,
                                   struct slice *value)
{
    uint64_t *n = arg;

    *n = 0;
    if (present)
        memcpy(n, present->ptr, sizeof *n);
    ++*n;
    *value = number(n);
    return TABLE_REPLACE;
}

static void count_up(void *arg)
{
    struct worker *w = arg;
    char text[TEXT];
    uint64_t n;

    for (size_t i = 0; i < w->steps; i++)
        expect_int("update", table_update(w->table, key_of(text, i % w->key),
                                          add_one, &n), 0);
}

/* `threads` threads count up `keys` keys, each `steps` times. */
static void counters(struct table *table, unsigned threads, uint64_t keys,
                     size_t steps)
{
    struct worker w[CREW];
    int64_t sum = 0;

    for (unsigned i = 0; i < threads; i++) {
        w[i] = (struct worker){ .table = table, .key = keys, .steps = steps };
        actor_start(&w[i].actor, count_up, &w[i]);
    }
    for (unsigned i = 0; i < threads; i++)
        actor_join(&w[i].actor);
    for (uint64_t k = 0; k < keys; k++)
        sum += get(table, k);
    expect_int("what several threads have counted, all in all", sum,
               threads * steps);
    expect_int("table_count", table_count(table), keys);
    table_destroy(table);
}

static void count_race(const struct run *run)
{
    counters(made_default(), CREW, 3, run->size);
}

static void small_count(const struct run *run)
{
    counters(made(1, true, 16 * KIB), 2, 1, run->size);
}

/* Replaces if its number is higher than the one that is there. */
static enum table_decision if_newer(void *arg, const struct slice *present,
                                    struct slice *value)
{
    const uint64_t *mine = arg;
    uint64_t n = 0;

    if (present)
        memcpy(&n, present->ptr, sizeof n);
    *value = number(mine);
    return *mine > n ? TABLE_REPLACE : TABLE_KEEP;
}

static void set_newer(void *arg)
{
    struct worker *w = arg;
    char text[TEXT];

    for (size_t i = 0; i < w->steps; i++) {
        uint64_t n = 1 + next_random(&w->random) % 1000000;

        if ((int64_t)n > w->result)
            w->result = (int64_t)n;
        expect_int("update", table_update(w->table, key_of(text, 7), if_newer,
                                          &n), 0);
        expect_true("the value is as new as what this thread has set",
                    get(w->table, 7) >= w->result);
    }
}

static void newer_wins(const struct run *run)
{
    struct table *table = made_default();
    struct worker w[CREW];
    int64_t newest = 0;

    for (int i = 0; i < CREW; i++) {
        w[i] = (struct worker){ .table = table, .steps = run->size,
                                .random = run->seed + (uint64_t)i };
        actor_start(&w[i].actor, set_newer, &w[i]);
    }
    for (int i = 0; i < CREW; i++) {
        actor_join(&w[i].actor);
        newest = w[i].result > newest ? w[i].result : newest;
    }
    expect_int("the newest value wins", get(table, 7), newest);
    table_destroy(table);
}

/* Values whose bytes tell which key they belong to, and that they are whole. */
static size_t stamp(unsigned char to[VALUE_MAX], uint64_t key, uint64_t random)
{
    size_t len = 8 + random % 64;

    to[0] = (unsigned char)key;
    to[1] = (unsigned char)len;
    memset(to + 2, (int)(random >> 16 & 255), len - 2);
    return len;
}

static void expect_stamped(const unsigned char *value, ssize_t len,
                           uint64_t key)
{
    expect_true("the length of a value among threads", len >= 8 && len < 72);
    expect_int("the key it belongs to", value[0], key);
    expect_int("its own length, as it says", value[1], len);
    for (ssize_t i = 3; i < len; i++)
        expect_int("a value is one thread's, whole", value[i], value[2]);
}

static void look_at_two(struct table *table, uint64_t one, uint64_t two)
{
    unsigned char value[2][VALUE_MAX];
    char text[2][TEXT];
    struct table_lookup l[2] = {
        { key_of(text[0], one), value[0], VALUE_MAX, 0 },
        { key_of(text[1], two), value[1], VALUE_MAX, 0 },
    };

    table_lookup_many(table, l, 2);
    if (l[0].len != -ENOENT)
        expect_stamped(value[0], l[0].len, one);
    if (l[1].len != -ENOENT)
        expect_stamped(value[1], l[1].len, two);
}

static void mix(void *arg)
{
    struct worker *w = arg;
    unsigned char value[VALUE_MAX];
    char text[TEXT];

    for (size_t i = 0; i < w->steps; i++) {
        uint64_t random = next_random(&w->random), n = random >> 40 & 15;
        struct slice key = key_of(text, n);
        ssize_t len;

        switch (random & 3) {
        case 0:
            len = table_delete(w->table, key);
            expect_true("delete answers 0 or -ENOENT",
                        len == 0 || len == -ENOENT);
            w->wins -= len == 0;
            break;
        case 1:
            len = (ssize_t)stamp(value, n, random >> 8);
            expect_int("insert",
                       table_insert(w->table, key,
                                    slice_of(value, (size_t)len)), 0);
            break;
        case 2:
            len = table_lookup(w->table, key, value, sizeof value);
            if (len != -ENOENT)
                expect_stamped(value, len, n);
            break;
        default:
            look_at_two(w->table, n, (n + 5) & 15);
        }
    }
}

static void crowd_on(struct table *table, const struct run *run)
{
    struct worker w[CREW];
    unsigned char value[VALUE_MAX];
    char text[TEXT];
    size_t found = 0;

    expect_int("insert", put(table, 99, 5), 0);
    for (int i = 0; i < CREW; i++) {
        w[i] = (struct worker){ .table = table, .steps = run->size,
                                .random = run->seed + 1000 * (uint64_t)i };
        actor_start(&w[i].actor, mix, &w[i]);
    }
    for (int i = 0; i < CREW; i++)
        actor_join(&w[i].actor);
    for (uint64_t k = 0; k < 16; k++)
        found += table_lookup(table, key_of(text, k), value, VALUE_MAX) >= 0;
    expect_int("table_count is how many keys are found", table_count(table),
               found + 1);
    expect_int("lookup of a key that nobody touched", get(table, 99), 5);
    table_destroy(table);
}

static void crowd(const struct run *run)
{
    crowd_on(made_default(), run);
}

static void crowd_one_bucket(const struct run *run)
{
    crowd_on(made(1, true, 64 * KIB), run);
}

/* For the explorer: two threads insert and delete keys of one chain. Whoever
 * inserted owns the key, and finds it as it left it. */
static void own_key(void *arg)
{
    struct worker *w = arg;

    for (size_t i = 0; i < w->steps; i++) {
        expect_int("insert", put(w->table, w->key, i), 0);
        expect_int("lookup of the own key", get(w->table, w->key), i);
        expect_int("delete of the own key", drop(w->table, w->key), 0);
        expect_int("lookup of what was deleted", get(w->table, w->key),
                   -ENOENT);
    }
    expect_int("insert", put(w->table, w->key, 77), 0);
}

static void small_chain(const struct run *run)
{
    struct table *table = made(1, true, 16 * KIB);
    struct worker w[2];

    for (uint64_t i = 0; i < 2; i++) {
        w[i] = (struct worker){ .table = table, .key = i, .steps = run->size };
        actor_start(&w[i].actor, own_key, &w[i]);
    }
    for (uint64_t i = 0; i < 2; i++) {
        actor_join(&w[i].actor);
        expect_int("lookup of what a thread has inserted", get(table, i), 77);
    }
    expect_int("table_count", table_count(table), 2);
    table_destroy(table);
}

/* For the explorer: a key that is inserted and deleted by several at once is
 * deleted as often as it was there. */
static void delete_once(void *arg)
{
    struct worker *w = arg;
    struct decision d = { .answer = TABLE_DELETE };
    char text[TEXT];

    if (w->steps == 0)
        w->wins += put(w->table, w->key, 1) == 0;
    else if (w->steps == 1)
        w->wins -= drop(w->table, w->key) == 0;
    else
        w->wins -= table_update(w->table, key_of(text, w->key), decide, &d)
                   == 0;
}

static void small_delete(const struct run *run)
{
    struct table *table = made(1, true, 16 * KIB);
    struct worker w[2];
    int64_t there = 1;

    (void)run;
    expect_int("insert", put(table, 5, 3), 0);
    expect_int("insert", put(table, 6, 4), 0);
    for (size_t i = 0; i < 2; i++) {
        w[i] = (struct worker){ .table = table, .key = 5, .steps = i + 1 };
        actor_start(&w[i].actor, delete_once, &w[i]);
    }
    for (int i = 0; i < 2; i++) {
        actor_join(&w[i].actor);
        there += w[i].wins;
    }
    expect_int("how many of two deletes of one key answer 0", 1 - there, 1);
    expect_int("lookup of it", get(table, 5), -ENOENT);
    expect_int("lookup of another", get(table, 6), 4);
    expect_int("table_count", table_count(table), 1);
    table_destroy(table);
}

/* ---- 2.3: growing -------------------------------------------------------- */

static void grow(const struct run *run)
{
    struct table *table = made(4, false, 0);
    size_t at_first = stats_of(table).buckets;
    struct table_stats s;

    for (uint64_t i = 0; i < run->size; i++) {
        expect_int("insert", put(table, i, i * 3), 0);
        if (i % 64 == 0)
            expect_int("lookup of an earlier key", get(table, i / 2),
                       i / 2 * 3);
    }
    s = stats_of(table);
    expect_true("there are more buckets than at first", s.buckets > at_first);
    expect_true("at most 16 keys a bucket", s.buckets * 16 >= run->size);
    expect_int("keys", s.keys, run->size);
    for (uint64_t i = 0; i < run->size; i++)
        expect_int("lookup of each key", get(table, i), i * 3);
    for (uint64_t i = 0; i < run->size; i += 2)
        expect_int("delete", drop(table, i), 0);
    for (uint64_t i = 0; i < run->size; i++)
        expect_int("lookup after half were deleted", get(table, i),
                   i % 2 ? (int64_t)(i * 3) : -ENOENT);
    expect_int("table_count", table_count(table), run->size / 2);
    table_destroy(table);
}

static void stays_fixed(const struct run *run)
{
    struct table *table = made(16, true, 1024 * KIB);

    for (uint64_t i = 0; i < run->size; i++)
        expect_int("insert", put(table, i, i), 0);
    expect_int("buckets of a fixed table", stats_of(table).buckets, 16);
    for (uint64_t i = 0; i < run->size; i++)
        expect_int("lookup", get(table, i), i);
    table_destroy(table);
}

/* How far the writer has come: keys below `done` are in the table. Key i has
 * the value factor * i. */
struct progress {
    pthread_mutex_t lock;   /* guards done */
    uint64_t done, all, factor;
    bool leave;             /* deletes what it has inserted, in the end */
    struct table *table;
};

static uint64_t progress_now(struct progress *p)
{
    pthread_mutex_lock(&p->lock);
    uint64_t done = p->done;
    pthread_mutex_unlock(&p->lock);
    return done;
}

static void insert_all(void *arg)
{
    struct progress *p = arg;
    uint64_t first = progress_now(p);

    for (uint64_t i = first; i < p->all; i++) {
        expect_int("insert", put(p->table, i, i * p->factor), 0);
        pthread_mutex_lock(&p->lock);
        p->done = i + 1;
        pthread_mutex_unlock(&p->lock);
    }
    for (uint64_t i = first; i < p->all && p->leave; i++)
        expect_int("delete", drop(p->table, i), 0);
}

struct reader {
    struct actor actor;
    struct progress *progress;
    uint64_t random;
    uint64_t key;           /* counts this one up meanwhile */
    uint64_t counted;
};

/* Some of the first `done` keys, at once. */
static void read_some(struct table *table, uint64_t done, uint64_t *random)
{
    struct table_lookup l[4];
    char text[4][TEXT];
    uint64_t key[4], value[4];

    for (int i = 0; i < 4; i++) {
        key[i] = next_random(random) % done;
        value[i] = 0;
        l[i] = (struct table_lookup){ key_of(text[i], key[i]), &value[i],
                                      sizeof value[i], 0 };
    }
    table_lookup_many(table, l, 4);
    for (int i = 0; i < 4; i++) {
        expect_int("one of many lookups, while others insert", l[i].len, 8);
        expect_int("its value", value[i], key[i] * 3);
    }
}

static void read_all(void *arg)
{
    struct reader *r = arg;
    struct progress *p = r->progress;
    uint64_t done, n;
    char text[TEXT];

    do {
        done = progress_now(p);
        for (int i = 0; i < 4; i++) {
            n = next_random(&r->random) % done;
            expect_int("lookup of a key, while others are inserted",
                       get(p->table, n), n * 3);
        }
        read_some(p->table, done, &r->random);
        expect_int("update", table_update(p->table, key_of(text, r->key),
                                          add_one, &n), 0);
        expect_int("what only this thread counts", n, ++r->counted);
    } while (done < p->all);
}

static void grow_under_readers(const struct run *run)
{
    struct progress p = { .lock = PTHREAD_MUTEX_INITIALIZER, .done = 4,
                          .all = run->size, .factor = 3,
                          .table = made(4, false, 0) };
    struct actor writer;
    struct reader r[CREW - 1];

    for (uint64_t i = 0; i < 4; i++)
        expect_int("insert", put(p.table, i, i * 3), 0);
    for (int i = 0; i < CREW - 1; i++) {
        r[i] = (struct reader){ .progress = &p, .random = run->seed,
                                .key = 1000000 + (uint64_t)i };
        actor_start(&r[i].actor, read_all, &r[i]);
    }
    actor_start(&writer, insert_all, &p);
    actor_join(&writer);
    for (int i = 0; i < CREW - 1; i++)
        actor_join(&r[i].actor);
    expect_int("table_count", table_count(p.table), run->size + CREW - 1);
    for (uint64_t i = 0; i < run->size; i++)
        expect_int("lookup of each key", get(p.table, i), i * 3);
    table_destroy(p.table);
}

static void insert_some(void *arg)
{
    struct worker *w = arg;

    for (uint64_t i = w->key; i < w->key + w->steps; i++)
        expect_int("insert", put(w->table, i, i), 0);
}

static void grow_by_many(const struct run *run)
{
    struct table *table = made(4, false, 0);
    struct worker w[CREW];

    for (uint64_t i = 0; i < CREW; i++) {
        w[i] = (struct worker){ .table = table, .steps = run->size,
                                .key = i * run->size };
        actor_start(&w[i].actor, insert_some, &w[i]);
    }
    for (int i = 0; i < CREW; i++)
        actor_join(&w[i].actor);
    expect_int("table_count", table_count(table), CREW * run->size);
    for (uint64_t i = 0; i < CREW * run->size; i++)
        expect_int("lookup of each key", get(table, i), i);
    table_destroy(table);
}

/* ---- 2.3: each ----------------------------------------------------------- */

/* How often each key was seen; key n has the value n. */
struct seen {
    unsigned char *times;
    uint64_t keys;
    struct table *table;
    int stop_after;         /* answers 77 then */
    uint64_t next;          /* see_and_add: inserts this one next */
};

static int see(void *arg, struct slice key, struct slice value)
{
    struct seen *s = arg;
    char text[TEXT];
    uint64_t n = s->keys;

    expect_int("the length of a value", value.len, sizeof n);
    memcpy(&n, value.ptr, sizeof n);
    expect_true("a key that was inserted", n < s->keys);
    expect_true("each key has its own value",
                slice_equal(key, key_of(text, n)));
    s->times[n]++;
    return s->stop_after && --s->stop_after == 0 ? 77 : 0;
}

static struct seen seen_none(struct table *table, uint64_t keys)
{
    struct seen s = { calloc(keys, 1), keys, table, 0, 0 };

    expect_true("memory for the test itself", s.times != NULL);
    return s;
}

static int see_and_drop(void *arg, struct slice key, struct slice value)
{
    struct seen *s = arg;

    see(arg, key, value);
    expect_int("delete of the key that is seen",
               table_delete(s->table, key), 0);
    return 0;
}

static void each_on(struct table *table, uint64_t keys)
{
    struct seen s = seen_none(table, keys);

    for (uint64_t i = 0; i < keys; i++)
        expect_int("insert", put(table, i, i), 0);
    expect_int("each", table_each(table, see, &s), 0);
    for (uint64_t i = 0; i < keys; i++)
        expect_int("how often each saw a key", s.times[i], 1);
    s.stop_after = 5;
    expect_int("each, when its function ends it", table_each(table, see, &s),
               77);
    memset(s.times, 0, keys);
    s.stop_after = 0;
    expect_int("each, deleting", table_each(table, see_and_drop, &s), 0);
    for (uint64_t i = 0; i < keys; i++)
        expect_int("how often each saw a key", s.times[i], 1);
    expect_int("table_count", table_count(table), 0);
    expect_int("each of an empty table", table_each(table, see, &s), 0);
    free(s.times);
    table_destroy(table);
}

static void each(const struct run *run)
{
    each_on(made(4, false, 0), run->size);
    each_on(made(1, true, 64 * KIB), 300);
    each_on(made(100, true, 256 * KIB), 1000);
}

struct big {
    size_t pairs, bytes;
};

static int see_big(void *arg, struct slice key, struct slice value)
{
    struct big *b = arg;

    expect_int("the length of a key", key.len, 3000);
    b->pairs++;
    b->bytes += value.len;
    return 0;
}

static void each_big(const struct run *run)
{
    struct table *table = made_default();
    static char block[400000];
    struct big b = { 0, 0 };

    for (size_t i = 0; i < run->size; i++) {
        memcpy(block, &i, sizeof i);
        expect_int("insert of a large pair",
                   table_insert(table, slice_of(block, 3000),
                                slice_of(block, 20000 * i)), 0);
    }
    expect_int("each", table_each(table, see_big, &b), 0);
    expect_int("pairs", b.pairs, run->size);
    expect_int("bytes of their values", b.bytes,
               20000 * (run->size * (run->size - 1) / 2));
    table_destroy(table);
}

/* 200 keys are there all the time, others come and go: a walk sees each of
 * the 200 once, any other at most once. */
static void each_grows(const struct run *run)
{
    enum { STAY = 200 };
    struct progress p = { .lock = PTHREAD_MUTEX_INITIALIZER, .done = STAY,
                          .all = run->size, .factor = 1, .leave = true,
                          .table = made(4, false, 0) };
    struct seen s = seen_none(p.table, run->size);
    struct actor writer;
    bool last;

    for (uint64_t i = 0; i < STAY; i++)
        expect_int("insert", put(p.table, i, i), 0);
    actor_start(&writer, insert_all, &p);
    do {
        last = actor_done(&writer);
        memset(s.times, 0, s.keys);
        expect_int("each, while the table grows", table_each(p.table, see, &s),
                   0);
        for (uint64_t i = 0; i < s.keys; i++)
            if (s.times[i] > 1 || (i < STAY && s.times[i] == 0))
                fail_case(__FILE__, __LINE__, "each, while the table grows",
                          "a key that stays once, any other at most once",
                          "key %d of %d that stay, seen %d times", (int)i,
                          STAY, s.times[i]);
    } while (!last);
    actor_join(&writer);
    expect_int("table_count", table_count(p.table), STAY);
    free(s.times);
    table_destroy(p.table);
}

/* The function itself inserts, so that the table grows in mid-walk. */
static int see_and_add(void *arg, struct slice key, struct slice value)
{
    struct seen *s = arg;

    see(arg, key, value);
    for (int i = 0; i < 20 && s->next < s->keys; i++, s->next++)
        expect_int("insert during a walk", put(s->table, s->next, s->next), 0);
    return 0;
}

static void each_adds(const struct run *run)
{
    struct table *table = made(4, false, 0);
    struct seen s = seen_none(table, 20 * run->size);

    for (uint64_t i = 0; i < run->size; i++)
        expect_int("insert", put(table, i, i), 0);
    s.next = run->size;
    expect_int("each, with a function that inserts",
               table_each(table, see_and_add, &s), 0);
    for (uint64_t i = 0; i < s.keys; i++)
        if (s.times[i] > 1 || (i < run->size && s.times[i] == 0))
            fail_case(__FILE__, __LINE__, "each, with a function that inserts",
                      "a key that stays once, any other at most once",
                      "key %d of %d that stay, seen %d times", (int)i,
                      (int)run->size, s.times[i]);
    expect_int("table_count", table_count(table), s.next);
    free(s.times);
    table_destroy(table);
}

const struct test_case hard_cases[] = {
    { "held_update", held_update, 1 },
    { "count_race", count_race, 20000 },
    { "newer_wins", newer_wins, 20000 },
    { "crowd", crowd, 50000 },
    { "crowd_one_bucket", crowd_one_bucket, 50000 },
    { "small_count", small_count, 2 },
    { "small_chain", small_chain, 2 },
    { "small_delete", small_delete, 1 },
    { "grow", grow, 100000 },
    { "stays_fixed", stays_fixed, 2000 },
    { "grow_under_readers", grow_under_readers, 100000 },
    { "grow_by_many", grow_by_many, 25000 },
    { "each", each, 5000 },
    { "each_adds", each_adds, 10000 },
    { "each_big", each_big, 20 },
    { "each_grows", each_grows, 20000 },
    { NULL, NULL, 0 },
};
