/* history_test.c -- the cases of the history checker.
 *
 * Given.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "tests/driver.h"
#include "tests/history_parts.h"

/* ---- histories from text, text from histories --------------------------- */

/* Fields may be parted by spaces. */
static int read_text(const char *text, struct history **out, size_t *line)
{
    char *copy = strdup(text);

    for (char *c = copy; *c; c++)
        if (*c == ' ')
            *c = '\t';
    FILE *f = *copy ? fmemopen(copy, strlen(copy), "r")
                    : fopen("/dev/null", "r");
    expect_true("a stream on memory", f != NULL);
    int err = history_read(out, f, line);
    fclose(f);
    free(copy);
    return err;
}

static struct history *history_of(const char *text)
{
    struct history *h = NULL;

    expect_int("history_read", read_text(text, &h, NULL), 0);
    return h;
}

typedef int to_stream_fn(struct history *h, FILE *to);

/* What the function writes; free. */
static char *text_of(struct history *h, to_stream_fn *fn)
{
    char *text = NULL;
    size_t len;
    FILE *f = open_memstream(&text, &len);

    expect_int("writing to a stream", fn(h, f), 0);
    fclose(f);
    return text;
}

static int check_to(struct history *h, FILE *to)
{
    return history_check(h, NULL, to, 0) == -EILSEQ ? 0 : -EINVAL;
}

static size_t count_in(const char *text, const char *word)
{
    size_t n = 0;

    while ((text = strstr(text, word))) {
        text += strlen(word);
        n++;
    }
    return n;
}

static void fail_with(struct history *h, const char *tried,
                      const char *expected)
{
    char *text = text_of(h, history_write);

    fail_case(__FILE__, __LINE__, tried, expected, "otherwise, of\n%s", text);
}

/* ---- an oracle that tries everything ------------------------------------ */

enum { SMALL = 8 };

/* Tries every order of the operations that are not placed. A remove with no
 * answer but a time has happened; one without a time may have. */
static bool has_order(const struct operation *ops, size_t n, unsigned placed,
                      uint64_t state)
{
    bool all = true;

    for (size_t i = 0; i < n; i++)
        all &= placed >> i & 1 || ops[i].answered == NEVER;
    if (all)
        return true;
    for (size_t i = 0; i < n; i++) {
        const struct operation *op = &ops[i];
        uint64_t after = state;
        bool may = !(placed >> i & 1);

        for (size_t j = 0; j < n; j++)
            may &= placed >> j & 1 || ops[j].answered >= op->called;
        if (op->op == HISTORY_SET)
            after = op->value;
        else if (op->result != HISTORY_NO_ANSWER)
            may &= op->op == HISTORY_GET || op->result == HISTORY_ABSENT
                       ? state == op->value : state != 0;
        if (op->op == HISTORY_REMOVE)
            after = 0;
        if (may && has_order(ops, n, placed | 1u << i, after))
            return true;
    }
    return false;
}

/* All operations of small histories, in order of their calls; of one key. */
static size_t collect(const struct history *h, struct operation *ops)
{
    size_t n = 0;

    for (unsigned c = 0; c < h->clients; c++)
        for (size_t i = 0; i < h->lists[c].n; i++) {
            size_t at = n++;

            for (; at > 0 && ops[at - 1].called > h->lists[c].at[i].called;
                 at--)
                ops[at] = ops[at - 1];
            ops[at] = h->lists[c].at[i];
        }
    return n;
}

/* ---- is a window evidence? Once more, naively --------------------------- */

/* What is known at `until`. */
static size_t known_at(struct operation *to, const struct operation *ops,
                       size_t n, uint64_t until)
{
    size_t kept = 0;

    for (size_t i = 0; i < n; i++) {
        if (ops[i].called > until)
            continue;
        to[kept] = ops[i];
        if (ops[i].answered > until) {
            to[kept].answered = NEVER;
            to[kept].result = HISTORY_NO_ANSWER;
        }
        kept++;
    }
    return kept;
}

static bool same(const struct operation *a, const struct operation *b)
{
    return a->client == b->client && a->called == b->called &&
           a->answered == b->answered && a->op == b->op &&
           a->value == b->value;
}

static bool is_in(const struct operation *ops, size_t n,
                  const struct operation *op)
{
    while (n > 0 && !same(&ops[n - 1], op))
        n--;
    return n > 0;
}

static bool writes(const struct operation *op)
{
    return op->op == HISTORY_SET ||
           (op->op == HISTORY_REMOVE && op->result != HISTORY_ABSENT);
}

static bool serves(const struct operation *x, const struct operation *o)
{
    uint64_t to = x->op == HISTORY_SET ? x->value : 0;

    if (!writes(x) || o->op == HISTORY_SET || o->result == HISTORY_NO_ANSWER)
        return false;
    return o->op == HISTORY_REMOVE && o->result == HISTORY_OK
               ? to != 0 : to == o->value;
}

/* The rule of history_window.c, for w of all. */
static bool rule_holds(const struct operation *w, size_t n_w,
                       const struct operation *all, size_t n)
{
    for (size_t o = 0; o < n_w; o++)
        for (size_t x = 0; x < n; x++) {
            bool good = !serves(&all[x], &w[o]) || is_in(w, n_w, &all[x]) ||
                        w[o].answered < all[x].called;

            for (size_t b = 0; b < n_w && !good; b++)
                good = writes(&w[b]) && all[x].answered < w[b].called &&
                       w[b].answered < w[o].called;
            if (!good)
                return false;
        }
    return true;
}

/* Some removes may have been taken as if their answer were not known: does
 * one choice of them make the window evidence, with what is known then? */
static bool is_evidence_at(const struct window *window,
                           const struct operation *ops, size_t n,
                           uint64_t until)
{
    struct operation w[64], all[64], blind[64];
    size_t n_all = known_at(all, ops, n, until);
    size_t n_w = known_at(w, window->ops.at, window->ops.n, until);

    for (unsigned mask = 0; mask < 1u << n_w; mask++) {
        bool wrong = false;

        memcpy(blind, w, sizeof w);
        for (size_t i = 0; i < n_w; i++)
            if (mask >> i & 1) {
                wrong |= w[i].op != HISTORY_REMOVE ||
                         w[i].result != HISTORY_OK;
                blind[i].result = HISTORY_NO_ANSWER;
            }
        if (!wrong && !has_order(blind, n_w, 0, 0) &&
            rule_holds(blind, n_w, all, n_all))
            return true;
    }
    return false;
}

static bool is_evidence(const struct window *w, const struct operation *ops,
                        size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (ops[i].answered != NEVER &&
            is_evidence_at(w, ops, n, ops[i].answered))
            return true;
    return false;
}

/* ---- small histories, all kinds ----------------------------------------- */

static uint64_t below(uint64_t *seed, uint64_t n)
{
    return next_random(seed) % n;
}

/* Three clients at most that may overlap themselves, few moments, two values:
 * nearly everything can meet everything. */
static struct history *small_history(uint64_t *seed)
{
    struct history *h;
    size_t n = 1 + below(seed, 6);
    uint64_t moments = 2 + below(seed, 12), values = 1 + below(seed, 3);

    expect_int("history_create", history_create(&h, 3), 0);
    for (size_t i = 0; i < n; i++) {
        enum history_op op = (enum history_op)below(seed, 3);
        enum history_result result = (enum history_result)below(seed, 7);
        uint64_t called = below(seed, moments);
        uint64_t answered = called + below(seed, 1 + moments / 2);
        uint64_t value = 1 + below(seed, values);

        if (result > HISTORY_NO_ANSWER)
            result = HISTORY_OK;
        if (op == HISTORY_SET && result == HISTORY_ABSENT)
            result = HISTORY_OK;
        if (op == HISTORY_REMOVE ||
            (op == HISTORY_GET && result != HISTORY_OK))
            value = 0;
        expect_int("history_add",
                   history_add(h, (unsigned)below(seed, 3), op, 1, value,
                               called, answered, result), 0);
    }
    return h;
}

/* The window must fail by itself, and nothing left out explains it. */
static void expect_good_window(struct history *h, const struct operation *ops,
                               size_t n)
{
    const struct window *w = &h->window;
    struct operation only[64];

    if (w->ops.n == 0 || w->ops.n > n || w->marked >= w->ops.n)
        fail_with(h, "the window", "some of the operations");
    for (size_t i = 0; i < w->ops.n; i++)
        if (!is_in(ops, n, &w->ops.at[i]))
            fail_with(h, "the window", "some of the operations");
    memcpy(only, w->ops.at, w->ops.n * sizeof *only);
    if (has_order(only, w->ops.n, 0, 0))
        fail_with(h, "the window by itself", "it has no order");
    if (!is_evidence(w, ops, n))
        fail_with(h, "the window", "nothing left out can explain it");
}

static void brute_force(const struct run *run)
{
    uint64_t seed = run->seed;
    size_t good = 0, bad = 0;

    for (size_t i = 0; i < run->size; i++) {
        struct history *h = small_history(&seed);
        struct operation ops[SMALL];
        size_t n = collect(h, ops);
        bool wanted = has_order(ops, n, 0, 0);
        int got = history_check(h, NULL, NULL, 0);

        if (got != (wanted ? 0 : -EILSEQ))
            fail_with(h, "history_check beside trying every order",
                      wanted ? "0" : "-EILSEQ");
        if (!wanted)
            expect_good_window(h, ops, n);
        good += wanted;
        bad += !wanted;
        history_destroy(h);
    }
    expect_true("enough of both kinds", good > run->size / 8 &&
                bad > run->size / 8);
}

/* ---- by hand ------------------------------------------------------------ */

struct sample {
    const char *name, *text;
    size_t window;          /* 0: linearizable */
    const char *marked;
};

static const struct sample samples[] = {
    { "nothing", "", 0, NULL },
    { "get of nothing", "0 get 1 - 1 2 absent\n", 0, NULL },
    { "one after the other", "0 set 1 5 1 2 ok\n0 get 1 5 3 4 ok\n"
      "0 rm 1 - 5 6 ok\n0 rm 1 - 7 8 absent\n0 get 1 - 9 10 absent\n", 0,
      NULL },
    { "keys do not mix", "0 set 1 5 1 2 ok\n0 get 2 - 3 4 absent\n", 0, NULL },
    { "a get beside a set may see either", "0 set 1 5 1 2 ok\n"
      "0 set 1 6 3 9 ok\n1 get 1 5 4 5 ok\n2 get 1 6 6 7 ok\n", 0, NULL },
    { "two gets beside a set go backwards", "0 set 1 5 1 2 ok\n"
      "0 set 1 6 3 9 ok\n1 get 1 6 4 5 ok\n2 get 1 5 6 7 ok\n", 4,
      "get -> 5" },
    { "two overlapping gets may differ", "0 set 1 5 1 2 ok\n"
      "0 set 1 6 3 9 ok\n1 get 1 6 4 7 ok\n2 get 1 5 5 6 ok\n", 0, NULL },
    { "stale read", "0 set 1 5 1 2 ok\n0 set 1 6 3 4 ok\n1 get 1 5 5 6 ok\n",
      3, "get -> 5" },
    { "same moment overlaps", "0 set 1 5 1 2 ok\n0 set 1 6 3 4 ok\n"
      "1 get 1 5 4 6 ok\n", 0, NULL },
    { "lost update", "0 set 1 5 1 2 ok\n1 get 1 - 3 4 absent\n", 2,
      "get -> absent" },
    { "lost update of a later set", "0 set 1 4 1 2 ok\n0 rm 1 - 3 4 ok\n"
      "0 set 1 5 5 6 ok\n1 get 1 - 7 8 absent\n", 2, "get -> absent" },
    { "never written", "0 set 1 5 1 2 ok\n1 get 1 7 3 4 ok\n", 1,
      "get -> 7" },
    { "read before it was written", "1 get 1 5 1 2 ok\n0 set 1 5 3 4 ok\n", 2,
      "get -> 5" },
    { "resurrected", "0 set 1 5 1 2 ok\n0 rm 1 - 3 4 ok\n1 get 1 5 5 6 ok\n",
      3, "get -> 5" },
    { "removed twice", "0 set 1 5 1 2 ok\n0 rm 1 - 3 6 ok\n1 rm 1 - 4 5 ok\n",
      3, "rm -> ok" },
    { "removed by one of two", "0 set 1 5 1 2 ok\n0 rm 1 - 3 6 ok\n"
      "1 rm 1 - 4 5 absent\n", 0, NULL },
    { "removed by one of two, the wrong one", "0 set 1 5 1 2 ok\n"
      "0 rm 1 - 3 4 absent\n1 rm 1 - 5 6 ok\n", 2, "rm -> absent" },
    { "remove of what is there", "0 set 1 5 1 2 ok\n0 rm 1 - 3 4 absent\n", 2,
      "rm -> absent" },
    { "no answer, happened", "0 set 1 5 1 - ?\n1 get 1 5 2 3 ok\n", 0, NULL },
    { "no answer, did not happen", "0 set 1 5 1 - ?\n1 get 1 - 2 3 absent\n",
      0, NULL },
    { "no answer, happened late", "0 set 1 5 1 - ?\n1 get 1 - 2 3 absent\n"
      "1 get 1 5 4 5 ok\n", 0, NULL },
    { "no answer, seen and gone again", "0 set 1 5 1 - ?\n1 get 1 5 2 3 ok\n"
      "1 get 1 - 4 5 absent\n", 3, "get -> absent" },
    { "no answer, seen before the call", "1 get 1 5 2 3 ok\n0 set 1 5 4 - ?\n",
      2, "get -> 5" },
    { "no answer to a remove", "0 set 1 5 1 2 ok\n0 rm 1 - 3 - ?\n"
      "1 get 1 5 4 5 ok\n1 get 1 - 6 7 absent\n", 0, NULL },
    { "no answer to a remove, back again", "0 set 1 5 1 2 ok\n"
      "0 rm 1 - 3 - ?\n1 get 1 - 4 5 absent\n1 get 1 5 6 7 ok\n", 4,
      "get -> 5" },
    { "no answer to a get says nothing", "0 set 1 5 1 2 ok\n0 get 1 - 3 - ?\n",
      0, NULL },
    { "two without an answer, both needed", "0 set 1 5 1 - ?\n"
      "1 set 1 6 1 - ?\n2 get 1 6 2 3 ok\n2 get 1 5 4 5 ok\n", 0, NULL },
    { "one without an answer, needed twice", "0 set 1 5 1 - ?\n"
      "1 set 1 6 1 - ?\n2 get 1 5 2 3 ok\n2 get 1 6 4 5 ok\n"
      "2 get 1 5 6 7 ok\n", 5, "get -> 5" },
    { "a value set twice may come back", "0 set 1 5 1 2 ok\n0 set 1 6 3 4 ok\n"
      "0 set 1 5 5 6 ok\n1 get 1 5 7 8 ok\n", 0, NULL },
    { "the second key fails", "0 set 1 5 1 2 ok\n0 get 1 5 3 4 ok\n"
      "0 set 2 5 5 6 ok\n0 get 2 - 7 8 absent\n", 2, "get -> absent" },
};

static void by_hand(const struct run *run)
{
    (void)run;
    for (size_t i = 0; i < sizeof samples / sizeof *samples; i++) {
        const struct sample *s = &samples[i];
        struct history *h = history_of(s->text);
        struct history_verdict v;
        char label[LABEL_MAX];

        expect_int(s->name, history_check(h, &v, NULL, 0),
                   s->window ? -EILSEQ : 0);
        expect_int(s->name, v.operations, count_in(s->text, "\n"));
        expect_int(s->name, v.window, s->window);
        if (s->window)
            expect_str(s->name,
                       operation_label(&h->window.ops.at[h->window.marked],
                                       label), s->marked);
        history_destroy(h);
    }
}

/* ---- histories that happened -------------------------------------------- */

/* A simulated map and clients that take turns. Each operation is done at a
 * moment between its call and its answer, so the history is linearizable. */
struct world {
    uint64_t seed;
    unsigned clients, keys;
    unsigned lost;          /* one in so many gets no answer; 0: none */
    uint64_t values;        /* given out so far */
    uint64_t held[64];      /* by each key */
};

struct call {
    enum history_op op;
    enum history_result result;
    uint64_t key, value, called, done, answered;
    bool under_way;
};

static void begin_call(struct world *w, struct call *c, uint64_t now)
{
    *c = (struct call){
        .op = (enum history_op)below(&w->seed, 3),
        .key = below(&w->seed, w->keys),
        .called = now,
        .under_way = true,
    };
    c->done = now + 1 + below(&w->seed, 30);
    c->answered = c->done + 1 + below(&w->seed, 30);
    if (w->lost && below(&w->seed, w->lost) == 0)
        c->result = HISTORY_NO_ANSWER;
    if (c->op == HISTORY_SET)
        c->value = ++w->values;
}

/* What is lost is done, or not. */
static void do_call(struct world *w, struct call *c)
{
    uint64_t *held = &w->held[c->key];
    bool lost = c->result == HISTORY_NO_ANSWER;

    if (lost && below(&w->seed, 2) == 0)
        return;
    if (c->op == HISTORY_SET) {
        *held = c->value;
        return;
    }
    if (!lost)
        c->result = *held ? HISTORY_OK : HISTORY_ABSENT;
    if (!lost && c->op == HISTORY_GET)
        c->value = *held;
    if (c->op == HISTORY_REMOVE)
        *held = 0;
}

/* n operations; answers when the last of them is over. */
static struct history *lived(struct world *w, size_t n, uint64_t *end)
{
    struct call calls[64] = { { 0 } };
    struct history *h;
    uint64_t now = 0;

    expect_int("history_create", history_create(&h, w->clients), 0);
    for (size_t begun = 0, over = 0; over < n; now++)
        for (unsigned i = 0; i < w->clients; i++) {
            struct call *c = &calls[i];

            if (!c->under_way && begun < n && below(&w->seed, 10) == 0) {
                begin_call(w, c, now);
                begun++;
            } else if (c->under_way && now == c->done) {
                do_call(w, c);
            } else if (c->under_way && now == c->answered) {
                expect_int("history_add",
                           history_add(h, i, c->op, c->key, c->value,
                                       c->called, c->answered, c->result), 0);
                c->under_way = false;
                over++;
            }
        }
    *end = now;
    return h;
}

static struct world random_world(uint64_t *seed)
{
    struct world w = { .seed = next_random(seed) };

    w.clients = 1 + (unsigned)below(seed, 10);
    w.keys = 1 + (unsigned)below(seed, 4);
    w.lost = below(seed, 2) ? 5 + (unsigned)below(seed, 50) : 0;
    return w;
}

static void lived_accepted(const struct run *run)
{
    uint64_t seed = run->seed, end;

    for (size_t i = 0; i < run->size; i++) {
        struct world w = random_world(&seed);
        size_t n = 1 + below(&seed, 600);
        struct history *h = lived(&w, n, &end);
        struct history_verdict v;

        if (history_check(h, &v, NULL, 0) != 0)
            fail_with(h, "a history that happened", "0");
        expect_int("operations", v.operations, n);
        expect_true("keys", v.keys >= 1 && v.keys <= w.keys);
        history_destroy(h);
    }
}

/* ---- violations --------------------------------------------------------- */

/* The first answered operation of this kind on the key, from a random one on
 * (round about), that was called after `after`; NULL if there is none. */
static struct operation *find(struct world *w, struct history *h,
                              enum history_op op, uint64_t key,
                              uint64_t after)
{
    unsigned first = (unsigned)below(&w->seed, w->clients);

    for (unsigned c = 0; c < w->clients; c++) {
        struct operations *ops = &h->lists[(first + c) % w->clients];

        for (size_t i = 0; i < ops->n; i++)
            if (ops->at[i].op == op && ops->at[i].key == key &&
                ops->at[i].called > after && ops->at[i].answered != NEVER)
                return &ops->at[i];
    }
    return NULL;
}

/* A get answers what a set that was over before it had overwritten. */
static bool plant_stale(struct world *w, struct history *h, uint64_t key)
{
    struct operation *old = find(w, h, HISTORY_SET, key, 0);
    struct operation *new = old ? find(w, h, HISTORY_SET, key, old->answered)
                                : NULL;
    struct operation *get = new ? find(w, h, HISTORY_GET, key, new->answered)
                                : NULL;

    if (!get)
        return false;
    get->value = old->value;
    get->result = HISTORY_OK;
    return true;
}

static bool plant_unwritten(struct world *w, struct history *h, uint64_t key)
{
    struct operation *get = find(w, h, HISTORY_GET, key, 0);

    if (!get)
        return false;
    get->value = w->values + 1;
    get->result = HISTORY_OK;
    return true;
}

/* A get answers what is set only later. */
static bool plant_early(struct world *w, struct history *h, uint64_t key)
{
    struct operation *get = find(w, h, HISTORY_GET, key, 0);
    struct operation *set = get ? find(w, h, HISTORY_SET, key, get->answered)
                                : NULL;

    if (!set)
        return false;
    get->value = set->value;
    get->result = HISTORY_OK;
    return true;
}

/* Behind everything a set, and what follows it does not fit. */
struct tail {
    enum history_op op;
    enum history_result result;
    int value;              /* 1 or 2: set by the tail */
};

static bool plant_tail(struct world *w, struct history *h, uint64_t key,
                       uint64_t end, const struct tail *tail)
{
    for (int i = 0; i < 5 && tail[i].value >= 0; i++) {
        uint64_t value = tail[i].value ? w->values + (uint64_t)tail[i].value
                                       : 0;

        expect_int("history_add",
                   history_add(h, (unsigned)below(&w->seed, w->clients),
                               tail[i].op, key, value, end + 10,
                               end + 20 , tail[i].result), 0);
        end += 20;
    }
    return true;
}

static const struct tail tails[][5] = {
    /* lost update */
    { { HISTORY_SET, HISTORY_OK, 1 }, { HISTORY_GET, HISTORY_ABSENT, 0 },
      { .value = -1 } },
    /* resurrected */
    { { HISTORY_SET, HISTORY_OK, 1 }, { HISTORY_REMOVE, HISTORY_OK, 0 },
      { HISTORY_GET, HISTORY_OK, 1 }, { .value = -1 } },
    /* removed twice */
    { { HISTORY_SET, HISTORY_OK, 1 }, { HISTORY_GET, HISTORY_OK, 1 },
      { HISTORY_REMOVE, HISTORY_OK, 0 }, { HISTORY_REMOVE, HISTORY_OK, 0 },
      { .value = -1 } },
    /* backwards */
    { { HISTORY_SET, HISTORY_OK, 1 }, { HISTORY_SET, HISTORY_OK, 2 },
      { HISTORY_GET, HISTORY_OK, 2 }, { HISTORY_GET, HISTORY_OK, 1 },
      { .value = -1 } },
};

/* No violation of a single answer needs many witnesses. */
static void expect_found(struct history *h, const char *kind, uint64_t key)
{
    struct history_verdict v = { 0 };
    struct operation only[64];

    if (history_check(h, &v, NULL, 0) != -EILSEQ)
        fail_with(h, kind, "it is found");
    expect_int("the key that fails", v.key, key);
    if (v.window < 1 || v.window > 12)
        fail_with(h, kind, "a small window");
    memcpy(only, h->window.ops.at, v.window * sizeof *only);
    if (has_order(only, v.window, 0, 0))
        fail_with(h, kind, "the window fails by itself");
}

static void planted_found(const struct run *run)
{
    static const char *const kinds[] = {
        "a stale read", "a value never written", "a read before the set",
        "a lost update", "a resurrected value", "a second remove",
        "reads going back"
    };
    uint64_t seed = run->seed, end;
    size_t planted[7] = { 0 };

    for (size_t i = 0; i < run->size; i++) {
        size_t kind = i % 7;
        struct world w = random_world(&seed);

        if (kind == 5)
            w.lost = 0;     /* else a lost set may explain it */
        struct history *h = lived(&w, 50 + below(&seed, 400), &end);
        uint64_t key = below(&seed, w.keys);
        bool done = kind == 0 ? plant_stale(&w, h, key)
                  : kind == 1 ? plant_unwritten(&w, h, key)
                  : kind == 2 ? plant_early(&w, h, key)
                              : plant_tail(&w, h, key, end, tails[kind - 3]);

        /* a lost remove explains a lost update */
        if (done && !(kind == 3 && w.lost)) {
            expect_found(h, kinds[kind], key);
            planted[kind]++;
        }
        history_destroy(h);
    }
    for (size_t kind = 0; kind < 7 && run->size >= 70; kind++)
        expect_true("each kind was planted", planted[kind] > 0);
}

/* ---- fast --------------------------------------------------------------- */

static void expect_fast(const char *what, struct history *h, int wanted)
{
    uint64_t start = clock_thread_cpu_ns();

    expect_int(what, history_check(h, NULL, NULL, 0), wanted);
    uint64_t took = clock_thread_cpu_ns() - start;
    if (took > UINT64_C(2000000000) && !under_tool())
        fail_case(__FILE__, __LINE__, what, "under 2 s of CPU time", "%.1f s",
                  (double)took / 1e9);
}

static void fast(const struct run *run)
{
    static const struct world worlds[] = {
        { .clients = 8, .keys = 16 },
        { .clients = 8, .keys = 1 },
        { .clients = 8, .keys = 16, .lost = 50 },
        { .clients = 4, .keys = 1, .lost = 500 },
        { .clients = 16, .keys = 8, .lost = 500 },
    };
    uint64_t end;

    for (size_t i = 0; i < sizeof worlds / sizeof *worlds; i++) {
        struct world w = worlds[i];

        w.seed = run->seed + i;
        struct history *h = lived(&w, run->size, &end);
        expect_fast("a long history", h, 0);
        plant_tail(&w, h, 0, end, tails[3]);
        expect_fast("a long history that ends badly", h, -EILSEQ);
        history_destroy(h);
        h = lived(&w, run->size, &end);
        if (plant_stale(&w, h, 0))
            expect_fast("a long history with a stale read", h, -EILSEQ);
        history_destroy(h);
    }
}

static void gives_up(const struct run *run)
{
    struct world w = { .seed = run->seed, .clients = 4, .keys = 2 };
    struct history_verdict v = { 0 };
    uint64_t end;
    struct history *h = lived(&w, 200, &end);

    expect_int("with a step", history_check(h, &v, NULL, 1), -E2BIG);
    expect_int("operations", v.operations, 200);
    expect_int("with enough", history_check(h, &v, NULL, 0), 0);
    expect_int("window", v.window, 0);
    history_destroy(h);
}

/* ---- the file ----------------------------------------------------------- */

static void round_trip(const struct run *run)
{
    uint64_t seed = run->seed, end;

    for (size_t i = 0; i < run->size; i++) {
        struct world w = random_world(&seed);
        struct history *h = lived(&w, below(&seed, 300), &end), *again;
        char *first = text_of(h, history_write);

        expect_int("reading what was written",
                   read_text(first, &again, NULL), 0);
        char *second = text_of(again, history_write);
        expect_str("written, read and written again", second, first);
        expect_true("it has a head", strncmp(first, "# client\t", 9) == 0);
        free(first);
        free(second);
        history_destroy(h);
        history_destroy(again);
    }
    struct history *h = history_of("# remark\n\n3 set 18446744073709551614 "
                                   "18446744073709551615 0 0 ok");
    char *text = text_of(h, history_write);
    expect_true("large numbers, and no line end at the end",
                strstr(text, "3\tset\t18446744073709551614\t"
                       "18446744073709551615\t0\t0\tok\n"));
    free(text);
    history_destroy(h);
}

static void bad_files(const struct run *run)
{
    static const char *const lines[] = {
        "0 set 1 5 1 2",                /* a field less */
        "0 set 1 5 1 2 ok 7",           /* one more */
        "0 put 1 5 1 2 ok",
        "0 set 1 5 1 2 good",
        "0 set 1 5 1 2 absent",         /* no answer of a set */
        "0 set 1 - 1 2 ok",             /* a set of nothing */
        "0 set 1 0 1 2 ok",
        "0 get 1 - 1 2 ok",
        "0 get 1 5 1 2 absent",
        "0 rm 1 5 1 2 ok",
        "0 get 1 5 1 - ?",
        "0 get 1 5 1 - ok",             /* an answer without a time */
        "0 rm 1 - 1 2 ?",               /* and a time without an answer */
        "0 get 1 5 2 1 ok",             /* answered before it was called */
        "- get 1 5 1 2 ok",
        "0 get - 5 1 2 ok",
        "0 get 1 5 - 2 ok",
        "-1 get 1 5 1 2 ok",
        "0 get 1x 5 1 2 ok",
        "0 get 1 +5 1 2 ok",
        "0 get  5 1 2 ok",
        "0 get 1 18446744073709551616 1 2 ok",
        "99999999 get 1 5 1 2 ok",
        "0  get 1 5 1 2 ok",
    };

    (void)run;
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        struct history *h = NULL;
        size_t line = 0;
        char text[128];

        snprintf(text, sizeof text, "# remark\n0 rm 1 - 1 2 ok\n%s\n",
                 lines[i]);
        expect_int(lines[i], read_text(text, &h, &line), -EINVAL);
        expect_int(lines[i], line, 3);
        expect_true("nothing was made", h == NULL);
    }
    char longer[600];
    memset(longer, '1', sizeof longer - 1);
    longer[sizeof longer - 1] = '\0';
    struct history *h = NULL;
    expect_int("a long line", read_text(longer, &h, NULL), -EINVAL);
}

static int add_nothing(struct history *h, unsigned client, enum history_op op,
                       uint64_t value, uint64_t answered,
                       enum history_result result)
{
    return history_add(h, client, op, 1, value, 10, answered, result);
}

static void bad_operations(const struct run *run)
{
    struct history *h;

    (void)run;
    expect_int("history_create", history_create(&h, 2), 0);
    expect_int("fine", add_nothing(h, 1, HISTORY_GET, 5, 10, HISTORY_OK), 0);
    expect_int("no answer: the time does not count",
               add_nothing(h, 1, HISTORY_SET, 5, 0, HISTORY_NO_ANSWER), 0);
    expect_int("no such client",
               add_nothing(h, 2, HISTORY_GET, 5, 10, HISTORY_OK), -EINVAL);
    expect_int("answered before it was called",
               add_nothing(h, 0, HISTORY_GET, 5, 9, HISTORY_OK), -EINVAL);
    expect_int("a set of nothing",
               add_nothing(h, 0, HISTORY_SET, 0, 11, HISTORY_OK), -EINVAL);
    expect_int("a set that finds nothing",
               add_nothing(h, 0, HISTORY_SET, 5, 11, HISTORY_ABSENT), -EINVAL);
    expect_int("a remove with a value",
               add_nothing(h, 0, HISTORY_REMOVE, 5, 11, HISTORY_OK), -EINVAL);
    expect_int("an absent key with a value",
               add_nothing(h, 0, HISTORY_GET, 5, 11, HISTORY_ABSENT), -EINVAL);
    history_destroy(h);
    history_destroy(NULL);
}

/* ---- table and picture -------------------------------------------------- */

static void table(const struct run *run)
{
    struct history *h = history_of("0 set 7 17 1000 13300 ok\n"
                                   "12 set 7 18 14000 21000 ok\n"
                                   "2 set 7 19 14500 - ?\n"
                                   "1 get 7 17 26000 32000 ok\n"
                                   "1 get 8 - 26000 32000 absent\n");
    char *text = text_of(h, check_to);

    (void)run;
    expect_str("the table", text,
               "key 7: no order explains these 3 operations "
               "(of 4 on the key, 5 in all)\n\n"
               "  client  operation  called us answered us\n"
               "       0  set 17           0.0        12.3  |--|\n"
               "      12  set 18          13.0        20.0        |--|\n"
               "*      1  get -> 17       25.0        31.0              |--|\n"
               "\n* cannot be placed: client 1, get -> 17\n");
    free(text);
    history_destroy(h);
}

static void expect_narrow(const char *text)
{
    for (const char *line = text; *line;) {
        size_t len = strcspn(line, "\n");

        if (len > 80)
            fail_case(__FILE__, __LINE__, "the width of a table",
                      "80 columns", "%.*s", (int)len, line);
        line += len + (line[len] == '\n');
    }
}

/* Every tag that is opened is closed, in order, and nothing is not a tag. */
static void expect_xml(const char *text)
{
    char open[16][16];
    size_t depth = 0;

    for (const char *c = strchr(text, '<'); c; c = strchr(c + 1, '<')) {
        const char *end = strchr(c, '>');
        size_t len = strcspn(c + 1, " />\n");

        expect_true("a tag ends", end != NULL);
        if (c[1] == '/') {
            expect_true("something is open", depth > 0);
            depth--;
            expect_true("what is closed was opened last",
                        strncmp(c + 2, open[depth], strlen(open[depth])) == 0);
        } else if (end[-1] != '/') {
            expect_true("depth", depth < 16 && len < 16);
            snprintf(open[depth++], 16, "%.*s", (int)len, c + 1);
        }
        c = end;
    }
    expect_int("what is open at the end", depth, 0);
    expect_int("an & begins a name", count_in(text, "&"),
               count_in(text, "&gt;"));
}

static void picture(const struct run *run)
{
    struct history *h = history_of("0 set 7 17 1000 13300 ok\n"
                                   "2 set 7 18 14000 - ?\n"
                                   "3 get 7 18 14000 16000 ok\n"
                                   "1 get 7 17 26000 32000 ok\n");

    (void)run;
    expect_int("history_check", history_check(h, NULL, NULL, 0), -EILSEQ);
    char *text = text_of(h, history_draw);
    expect_xml(text);
    expect_int("bars say what they are", count_in(text, ">get -&gt; 18<"), 1);
    expect_int("set", count_in(text, ">set 18<"), 1);
    expect_int("lanes", count_in(text, "\">client "), 4);
    expect_int("a bar fades", count_in(text, "\"url(#history-set)\""), 1);
    expect_int("it is marked with a word", count_in(text, ">cannot be placed<"),
               1);
    expect_int("title", count_in(text, "<title>key 7: no order explains this<"),
               1);
    expect_true("text form", strstr(text, "client 1: get answers 17, called at "
                                    "25.0 us, answered at 31.0 us; cannot be "
                                    "placed.\n"));
    expect_true("no answer", strstr(text, "client 2: set 18, called at 13.0 "
                                    "us, never answered.\n"));
    free(text);
    history_destroy(h);
}

/* Of anything, whatever its size. */
static void pictures(const struct run *run)
{
    uint64_t seed = run->seed, end;

    for (size_t i = 0; i < run->size; i++) {
        struct world w = random_world(&seed);
        struct history *h = lived(&w, below(&seed, 100), &end);
        char *text = text_of(h, history_draw);

        expect_xml(text);
        expect_int("nothing is marked", count_in(text, "cannot be placed"), 0);
        free(text);
        plant_tail(&w, h, 0, end, tails[1 + i % 3 / 2 * 2]);
        text = text_of(h, check_to);
        expect_narrow(text);
        free(text);
        text = text_of(h, history_draw);
        expect_xml(text);
        expect_int("one is marked", count_in(text, ">cannot be placed<"), 1);
        free(text);
        history_destroy(h);
    }
}

static const struct test_case cases[] = {
    { "by_hand", by_hand, 1 },
    { "brute_force", brute_force, 20000 },
    { "lived_accepted", lived_accepted, 200 },
    { "planted_found", planted_found, 350 },
    { "fast", fast, 20000 },
    { "gives_up", gives_up, 1 },
    { "round_trip", round_trip, 20 },
    { "bad_files", bad_files, 1 },
    { "bad_operations", bad_operations, 1 },
    { "table", table, 1 },
    { "picture", picture, 1 },
    { "pictures", pictures, 50 },
    { NULL, NULL, 0 },
};

int main(int argc, char **argv)
{
    return driver_main(argc, argv, cases);
}
