/* many_tomb_test.c -- removed keys stay removed, whatever is compacted, in any
 * order, with any restarts; and their tombstones go in the end (task 5.7).
 *
 * Given.
 *
 * Each batch of changes is a segment of its own here (many_rig.h), and the
 * segments are numbered in the order in which they are made, 1 2 3 ..., those
 * that compactions make among them. What a case does is written in steps:
 *
 *   +ab-c   sets a and b, removes c: one segment
 *   .       sets another key: so the segment before is sealed
 *   m2,3    compacts segments 2 and 3; what comes of it has the next number
 *   r2-d    the same, and when each record of segment 2 has been copied,
 *           another thread does what stands behind it: here, removes d
 *   R       closes and opens; H, and the hints are gone
 *   B       closes; what the last compaction has removed is there again, as
 *           after a crash; opens
 *   C       store_compact; the numbers begin anew
 *   P, p    some tombstones are pinned; none are
 */
#include "tests/many_rig.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/lock.h"
#include "stage5-compaction/background.h"
#include "stage5-compaction/compact.h"

enum { LETTERS = 8, NUMBERS = 200, STEPS_MAX = 600 };

struct tomb {
    struct rig rig;
    char kept[64];              /* a directory, for files of B */
    unsigned value[LETTERS];    /* of each key; 0: removed */
    unsigned changes, fillers;
    uint64_t segment[NUMBERS];  /* its generation, by number */
    unsigned n;
    uint64_t last_inputs[COMPACT_INPUTS];
    size_t n_last;
    char steps[STEPS_MAX];      /* so far, for messages */
    const char *during;         /* r: what another thread does */
};

static void text_of(char text[64], unsigned key, unsigned value)
{
    snprintf(text, 64, "%c, change %u", 'a' + (char)key, value);
}

/* ---- what must hold ------------------------------------------------------ */

static void check_key(struct tomb *t, unsigned k)
{
    struct buf value = { 0 };
    char key[2] = { (char)('a' + (char)k), 0 }, text[64];
    int err = store_get(t->rig.store, slice_str(key), &value);

    text_of(text, k, t->value[k]);
    if (t->value[k] == 0 && err != -ENOENT)
        fail_case(__FILE__, __LINE__, t->steps, err ? "-ENOENT" :
                  "I4: a removed key never comes back", err ? "-%s" :
                  "%s is back: %.*s", err ? strerrorname_np(-err) : key,
                  (int)value.len, (char *)value.ptr);
    if (t->value[k] && err)
        fail_case(__FILE__, __LINE__, t->steps, "I7: compaction never changes "
                  "the map", "key %s: -%s", key, strerrorname_np(-err));
    if (t->value[k] && !slice_equal(buf_slice(&value), slice_str(text)))
        fail_case(__FILE__, __LINE__, t->steps, "I7: compaction never changes "
                  "the map", "key %s: %.*s, not %s", key, (int)value.len,
                  (char *)value.ptr, text);
    buf_release(&value);
}

static void check_map(struct tomb *t)
{
    size_t there = t->fillers > 0;

    for (unsigned k = 0; k < LETTERS; k++) {
        check_key(t, k);
        there += t->value[k] != 0;
    }
    if (rig_stats(&t->rig).keys != there)
        fail_case(__FILE__, __LINE__, t->steps, "I7: as many keys as before",
                  "%llu, not %zu",
                  (unsigned long long)rig_stats(&t->rig).keys, there);
}

/* ---- steps --------------------------------------------------------------- */

static void note_segment(struct tomb *t, uint64_t generation)
{
    expect_true("not too many segments for this test", t->n + 1 < NUMBERS);
    t->segment[++t->n] = generation;
}

/* "+ab-c": one batch. */
static void change(struct tomb *t, const char *step)
{
    struct store_op ops[LETTERS * 2] = { { .kind = STORE_GET } };
    char keys[LETTERS * 2][2], texts[LETTERS * 2][64];
    bool remove = false;
    size_t n = 0;

    for (; *step == '+' || *step == '-' || (*step >= 'a' && *step <= 'h');
         step++) {
        if (*step == '+' || *step == '-') {
            remove = *step == '-';
            continue;
        }
        unsigned k = (unsigned)(*step - 'a');
        t->value[k] = remove ? 0 : ++t->changes;
        snprintf(keys[n], 2, "%c", *step);
        text_of(texts[n], k, t->value[k]);
        ops[n].kind = remove ? STORE_REMOVE : STORE_SET;
        ops[n].key = slice_str(keys[n]);
        if (!remove)
            ops[n].value = slice_str(texts[n]);
        n++;
    }
    expect_int("store_apply", store_apply(t->rig.store, ops, n), 0);
    for (size_t i = 0; i < n; i++)
        if (ops[i].result)
            fail_case(__FILE__, __LINE__, t->steps, "each change is answered "
                      "0", "-%s for %s", strerrorname_np(-ops[i].result),
                      keys[i]);
}

static void changes(struct tomb *t, const char *step)
{
    change(t, step);
    note_segment(t, rig_active(&t->rig));
}

static void filler(struct tomb *t)
{
    expect_int("store_set", rig_put(&t->rig, "filler", "x"), 0);
    t->fillers++;
    note_segment(t, rig_active(&t->rig));
}

/* The files of these go to the side, so that B can bring them back. */
static void keep_files(struct tomb *t)
{
    char from[200], to[200];

    remove_ending(t->kept, "");
    for (size_t i = 0; i < t->n_last; i++) {
        rig_path(from, &t->rig, t->last_inputs[i], ".log");
        snprintf(to, sizeof to, "%s/%zu", t->kept, i);
        expect_int("link", link(from, to), 0);
    }
}

static void restart(struct tomb *t, char how)
{
    char from[200], to[200];

    rig_close(&t->rig);
    if (how == 'H')
        remove_ending(t->rig.dir, ".hint");
    for (size_t i = 0; how == 'B' && i < t->n_last; i++) {
        rig_path(to, &t->rig, t->last_inputs[i], ".log");
        snprintf(from, sizeof from, "%s/%zu", t->kept, i);
        if (link(from, to) != 0)
            expect_int("bringing a file back", errno, EEXIST);
    }
    rig_open(&t->rig);
    for (size_t i = 0; how == 'B' && i < t->n_last; i++)
        if (rig_segment(&t->rig, t->last_inputs[i]))
            fail_case(__FILE__, __LINE__, t->steps, "I11: what a compaction "
                      "has replaced is ignored and removed", "segment %llu "
                      "is there", (unsigned long long)t->last_inputs[i]);
}

static void do_meanwhile(void *arg)
{
    struct tomb *t = arg;

    change(t, t->during);
}

/* Once, in the middle of the copying. */
static void step_in(void *arg, struct slice key)
{
    struct tomb *t = arg;
    struct meanwhile m = { .running = false };

    (void)key;
    if (!t->during)
        return;
    meanwhile_do(&m, do_meanwhile, t);
    meanwhile_end(&m);
    t->during = NULL;
}

/* An opening may seal what was active, or go on with it: then it is sealed
 * now, by a change that has no number. */
static void seal(struct tomb *t, unsigned long k)
{
    if (k == 0 || k > t->n || t->segment[k] != rig_active(&t->rig))
        return;
    expect_int("store_set", rig_put(&t->rig, "filler", "x"), 0);
    t->fillers++;
}

/* "m2,3", "r2-d" */
static void merge(struct tomb *t, const char *step)
{
    bool meanwhile = *step == 'r';
    char *end = (char *)step;
    uint64_t made;

    t->n_last = 0;
    do {
        unsigned long k = strtoul(end + 1, &end, 10);
        seal(t, k);
        if (k == 0 || k > t->n || t->segment[k] == rig_active(&t->rig) ||
            !rig_segment(&t->rig, t->segment[k]))
            fail_case(__FILE__, __LINE__, t->steps, "the test's steps name "
                      "a sealed segment that is there", "%lu", k);
        t->last_inputs[t->n_last++] = t->segment[k];
    } while (*end == ',');
    rig_quiet(&t->rig);
    keep_files(t);
    if (meanwhile) {
        t->during = end;
        hook_set(HOOK_COPY, step_in, t);
    }
    int err = rig_merge(&t->rig, t->last_inputs, t->n_last, &made);
    hook_set(HOOK_COPY, NULL, NULL);
    if (err)
        fail_case(__FILE__, __LINE__, t->steps, "compacting answers 0", "-%s",
                  strerrorname_np(-err));
    note_segment(t, made);
    if (meanwhile)
        note_segment(t, rig_active(&t->rig));
}

static void renumber(struct tomb *t)
{
    struct segments *set = &t->rig.store->set;

    t->n = 0;
    t->n_last = 0;
    mutex_lock(&set->lock);
    for (const struct segment *s = set->first; s; s = s->next)
        t->segment[++t->n] = s->generation;
    mutex_unlock(&set->lock);
}

static void step(struct tomb *t, const char *what)
{
    size_t len = strlen(t->steps);

    snprintf(t->steps + len, sizeof t->steps - len, "%s%s", len ? " " : "",
             what);
    switch (*what) {
    case '+':
    case '-':
        changes(t, what);
        break;
    case '.':
        filler(t);
        break;
    case 'm':
    case 'r':
        merge(t, what);
        break;
    case 'R':
    case 'H':
    case 'B':
        restart(t, *what);
        break;
    case 'C':
        expect_int("store_compact", rig_compact(&t->rig), 0);
        renumber(t);
        break;
    case 'P':
    case 'p':
        if ((rig_stats(&t->rig).pinned_bytes > 0) != (*what == 'P'))
            fail_case(__FILE__, __LINE__, t->steps, *what == 'P' ?
                      "some tombstones are pinned" :
                      "I8: no tombstone is pinned any more", "%llu bytes",
                      (unsigned long long)rig_stats(&t->rig).pinned_bytes);
        break;
    default:
        fail_case(__FILE__, __LINE__, "the test's own steps", "a step", "%s",
                  what);
    }
    check_map(t);
}

static void begin(struct tomb *t)
{
    *t = (struct tomb){ .n = 0 };
    rig_make_alone(&t->rig, (struct store_options){ .segment_size = 1 });
    scratch_make(t->kept);
}

static void end(struct tomb *t)
{
    static const char *const last[] = { "R", "H", "C", "R", "C", "H", "p" };

    for (size_t i = 0; i < sizeof last / sizeof *last; i++)
        step(t, last[i]);
    if (rig_stats(&t->rig).dead_bytes > 0)
        fail_case(__FILE__, __LINE__, t->steps, "I8: no garbage is left",
                  "%llu bytes",
                  (unsigned long long)rig_stats(&t->rig).dead_bytes);
    rig_leave(&t->rig);
    scratch_remove(t->kept);
}

/* ---- the matrix ---------------------------------------------------------- */

static const char *const matrix[] = {
    /* Set in one, removed in another; only the second is compacted. */
    "+a -a . m2 R R",
    "+a -a . m2 m4 R m5 H",
    "+ab -a . P m2 R R m4 m1 R",
    /* Only the first. */
    "+a -a . m1 R m2 R R",
    "+ab -a . m1 p m2 R R",
    /* Both. */
    "+a -a . m1,2 R R",
    "+ab -a +c . m1,2 R m4,5 R",
    /* An older one remains beside the two. */
    "+a +a -a . m2,3 R R m1 R",
    "+a +a -a . m3 m2 R R m1 R",
    "+ab +a -a . m1,3 R m2 R",
    /* Set, removed, set around a compaction. */
    "+a -a +a . m2 R R",
    "+a -a +a . m1 m2 R m3 R",
    "+a -a . m2 +a . m4 R R m1 R",
    "+a -a +a -a . m2 R m4 R m3 R m1 R R",
    "+a -a +a -a . m4 R m2 R m1 R m3 R",
    "+a -a . m1,2 +a -a . m5 R m6 R",
    /* Removed while what has the set is being compacted; from then on the
     * tombstone's only enemy is the copy. */
    "+ab . r1-a . m4 R R",
    "+ab . r1-a . m4 R m3 R R",
    "+ab . r1-a . m3 R m4 R R",
    "+ab . r1-a+a . m4 R m3 R",
    "+abc . r1-a . m3,4 R R",
    "+ab . r1-a . m2 m4 R R",
    "+abc . r1-a . m2 m4 R m3 R",
    "+abc . r1-a-b+c . . m2 m5 m4 R R m3 R",
    /* A removal in the segment that is being compacted, beside another set. */
    "+ab -a+c . r2-b . m1 R m4 R m5 R",
    "+ab +cd-a . r2-c . m4 R m1 R m5 R",
    /* What a compaction has made is old when it is compacted again. */
    "+ab . m1 -a . m4 R m3 R R",
    "+ab . m1 m3 m4 -a . m6 R R m5 R",
    "+ab . m1 -a . m2 m4 R m3 R",
    "+ab . . m1,2 -a . m3 m5 R m4 R R",
    "+ab +cd . m1,2 -ac . m5 R R m4 R m7 R",
    /* Two tombstones of a key in one segment, the older behind the newer; the
     * set between them must not come back, whatever is loaded first. */
    "+ab -b +b -b . m4,2 R H m3 R",
    "+ab -b +b -b . m2,4 R H m1 R",
    "+ab -b +b -b +b -b . m6,4,2 R H m3,5 H",
    /* Births: made later, it pins no more; but it has older records. */
    "+ab -a . m1 -b . m5 R R m2 R m4 R",
    "+ab +c -a . m2 m3 R R m1 R",
    "+abc -a . m1 -b . m4 -c . m7 R m2 m5 m8 R R",
    /* The inputs are there once more after a crash. */
    "+a -a . m1,2 B R R",
    "+ab -a . m2 B m1 B R",
    "+ab +a -b . m1 B m2 B R m3 B R",
    "+abc -a +a -b . m1,2 B m3,4 B m6,7 B R",
    "+ab -a . m1,2 B +a -a . m6 B m7 R",
    /* Restarts between, with and without hints. */
    "+ab R -a R m2 H . m1 R R",
    "+ab H -a . H . m2 H . H m5 H",
    "+abcdefgh -ab -cd -ef . m2 R m3 H m4 R m1 R R",
};

/* The steps of a row, one after the other. */
static void walk(struct tomb *t, const char *row)
{
    char text[STEPS_MAX];
    char *rest = text;

    snprintf(text, sizeof text, "%s", row);
    for (char *one; (one = strsep(&rest, " ")) != NULL;)
        step(t, one);
}

static void tombstones(const struct run *run)
{
    struct tomb t;

    (void)run;
    for (size_t i = 0; i < sizeof matrix / sizeof *matrix; i++) {
        begin(&t);
        walk(&t, matrix[i]);
        end(&t);
    }
}

/* ---- any steps ----------------------------------------------------------- */

static size_t draw(uint64_t *random, size_t below)
{
    return next_random(random) % below;
}

/* One to three keys; what is not there is not removed. */
static void draw_change(struct tomb *t, uint64_t *random, char text[32])
{
    unsigned k = (unsigned)draw(random, LETTERS), n = 1 + (unsigned)draw(random, 3);
    size_t len = 0;

    for (unsigned i = 0; i < n; i++) {
        unsigned key = (k + i) % LETTERS;
        bool remove = t->value[key] && draw(random, 2);
        len += (size_t)snprintf(text + len, 32 - len, "%c%c",
                                remove ? '-' : '+', 'a' + (char)key);
    }
}

static void draw_merge(struct tomb *t, uint64_t *random, char text[64])
{
    unsigned these[3], n = 0, want = 1 + (unsigned)draw(random, 3);
    uint64_t active = rig_active(&t->rig);
    size_t len = 0;

    for (unsigned tries = 0; tries < 20 && n < want; tries++) {
        unsigned k = 1 + (unsigned)draw(random, t->n);
        bool free = t->segment[k] != active && t->segment[k] != 0 &&
                    rig_segment(&t->rig, t->segment[k]);
        for (unsigned i = 0; i < n; i++)
            free = free && t->segment[these[i]] != t->segment[k];
        if (free)
            these[n++] = k;
    }
    if (n == 0) {
        snprintf(text, 64, ".");
        return;
    }
    for (unsigned i = 0; i < n; i++)
        len += (size_t)snprintf(text + len, 64 - len, "%c%u",
                                i ? ',' : 'm', these[i]);
    if (draw(random, 4) == 0) {
        *text = 'r';
        draw_change(t, random, text + len);
    }
}

static void any_steps(const struct run *run)
{
    uint64_t random = run->seed;

    for (size_t i = 0; i < run->size; i++) {
        struct tomb t;
        char text[128];

        begin(&t);
        step(&t, "+abcdefgh");
        for (int n = 0; n < 30; n++) {
            size_t what = draw(&random, 20);
            if (what < 9)
                draw_change(&t, &random, text);
            else if (what < 17)
                draw_merge(&t, &random, text);
            else
                snprintf(text, sizeof text, "%c", "RHB"[what - 17]);
            if (*text == 'B' && t.n_last == 0)
                *text = 'R';
            step(&t, text);
            if (*text != 'B' && *text != 'm' && *text != 'r')
                t.n_last = 0;
        }
        end(&t);
    }
}

/* ---- who pins ------------------------------------------------------------ */

static uint64_t tombs_in(struct rig *r)
{
    struct segments_sum sum;

    segments_sum(&r->store->set, &sum);
    return sum.tombs;
}

/* Tombstones that old segments pin are counted as long as they do, and then
 * they go. */
static void pinned_counted(const struct run *run)
{
    struct tomb t;

    (void)run;
    begin(&t);
    walk(&t, "+abcd . p -a . P");
    uint64_t one = record_size(1, 0);
    expect_int("pinned bytes: a tombstone", rig_stats(&t.rig).pinned_bytes,
               one);
    walk(&t, "-b . P");
    expect_int("pinned bytes: two of them", rig_stats(&t.rig).pinned_bytes,
               2 * one);
    walk(&t, "R");
    expect_int("pinned bytes after a restart", rig_stats(&t.rig).pinned_bytes,
               2 * one);
    walk(&t, "m3,5");
    expect_int("pinned bytes when the tombstones were compacted",
               rig_stats(&t.rig).pinned_bytes, 2 * one);
    expect_int("live bytes", rig_stats(&t.rig).live_bytes,
               record_size(6, 1) + 2 * record_size(1, 11));
    walk(&t, "m1 m2 m4 p");
    expect_int("pinned bytes when who pinned is young again",
               rig_stats(&t.rig).pinned_bytes, 0);
    walk(&t, "m7");
    expect_int("I8: bytes of tombstones when nobody needs them",
               tombs_in(&t.rig), 0);
    end(&t);
}

static void fill_old(struct rig *r, size_t n)
{
    static char value[1001];
    char key[32];

    memset(value, 'v', 1000);
    for (size_t i = 0; i < n; i++) {
        snprintf(key, sizeof key, "old%zu", i);
        expect_int("store_set", rig_put(r, key, value), 0);
    }
}

struct churned {
    struct rig *rig;
    size_t most;
};

static bool is_small(void *arg)
{
    struct churned *c = arg;

    return bytes_in(c->rig->dir) <= c->most;
}

/* Two old segments, full and all alive, and for ever after keys that are set
 * and removed: the tombstones, which the two pin, do not pile up. */
static void churn_beside_old(const struct run *run)
{
    struct store_options options = { .segment_size = 32 << 10,
                                     .compaction_share = 100 };
    struct rig r;
    char key[32];
    size_t most = 0;

    rig_make(&r, options);
    rig_compacts(&r);
    fill_old(&r, 60);
    size_t live = rig_stats(&r).live_bytes;
    for (size_t i = 0; i < run->size; i++) {
        key_of(key, i);
        expect_int("store_set", rig_put(&r, key, "some value"), 0);
        expect_int("store_remove", rig_drop(&r, key), 0);
        if (i % 50 == 0 && bytes_in(r.dir) > most)
            most = bytes_in(r.dir);
    }
    expect_at_most("I8: bytes in the directory, two full old segments and "
                   "endless set and remove", most,
                   live + 10 * options.segment_size);
    struct churned c = { &r, live + live / 3 + 2 * options.segment_size };
    expect_soon("I8: after it", "the files have at most 1.3 times what is "
                "live, and two segments", is_small, &c);
    expect_int("keys", rig_stats(&r).keys, 60);
    for (int round = 0; round < 2; round++) {
        for (size_t i = 0; i < run->size; i += 97) {
            key_of(key, i);
            expect_value("I4: a removed key", &r, key, NULL);
        }
        rig_close(&r);
        rig_open(&r);
        expect_int("I4: keys after a restart", rig_stats(&r).keys, 60);
    }
    rig_leave(&r);
}

const struct test_case many_tomb_cases[] = {
    { "tombstones", tombstones, 0 },
    { "any_steps", any_steps, 30 },
    { "pinned_counted", pinned_counted, 0 },
    { "churn_beside_old", churn_beside_old, 6000 },
    { NULL, NULL, 0 },
};
