/* history_window.c -- given. Few operations that show that there is no order.
 *
 * Leaving operations out must not make a contradiction that was not there: a
 * get of 12 is a mystery without the set of 12. When may one be left out?
 *
 * Let H be all operations of a key and W some of them. An operation that
 * tells what the register held (a get, a remove) is an observer; a write
 * (set, remove) that leaves what an observer saw can serve it. A write w
 * stands between x and o if x was answered before w was called and w was
 * answered before o was called. The rule:
 *
 *   for each observer o in W, each write x of H that can serve o is in W, or
 *   was called after o was answered, or some w in W stands between x and o.
 *
 * Then, if H has an order, so has W: take the order of H and strike out what
 * is not in W. Each observer in W saw the last write before it. If that one
 * is in W, it still is the last one. If not, by the rule some w of W lies
 * between the two in time, so in every order, and it was not the last. So
 * when W has no order, H has none either: W is evidence.
 *
 * Two more things may be forgotten, for each only allows more orders: what a
 * remove answered (it is still a write, but no observer: BLIND), and what
 * comes after a moment T (who was called by then and not answered may have
 * happened or not). The first T from which on there is no order is that of
 * an answer.
 *
 * So: find T; take the last few operations before it, more and more, each
 * time with the writes that the rule wants, until there is no order; then try
 * to leave out each of those, many at once first. In the end, for the reader,
 * a get whose value nobody sets in W is joined by one that set it: by the
 * rule with W in the place of H, that explains nothing either. And W has a
 * moment T of its own: the operation that is answered then is marked.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tests/history_parts.h"

enum pick { OUT, BLIND, IN };

struct finder {
    const struct operation *all;    /* by called */
    size_t n_all;
    struct operation *ops;          /* the same up to T, as known at T */
    struct move *moves;             /* of ops */
    size_t n;
    size_t *by_answer;              /* numbers of ops, first answer first */
    uint64_t *last_answer;          /* of ops 0..i */
    unsigned char *pick, *attempt;  /* an enum pick for each of ops */
    struct operation *chosen;       /* room for those that are tried */
    uint64_t until;                 /* T */
    uint64_t steps;
    uint64_t reached;               /* by the last search */
    bool no_memory;
};

static bool no_order(struct finder *f, const struct operation *ops, size_t n)
{
    int err = search_order(ops, n, &f->steps, &f->reached);

    f->no_memory |= err == -ENOMEM;
    return err == -EILSEQ;
}

/* ---- the moment T ------------------------------------------------------- */

/* What was known at `until`. */
static void cut(struct finder *f, uint64_t until)
{
    f->until = until;
    for (f->n = 0; f->n < f->n_all && f->all[f->n].called <= until; f->n++) {
        struct operation *op = &f->ops[f->n];

        *op = f->all[f->n];
        if (op->answered > until) {
            op->answered = NEVER;
            op->result = HISTORY_NO_ANSWER;
        }
    }
}

static int by_number(const void *left, const void *right)
{
    uint64_t a = *(const uint64_t *)left, b = *(const uint64_t *)right;

    return (a > b) - (a < b);
}

/* The first of the sorted answers that is at or behind `time`. */
static size_t first_at(const uint64_t *times, size_t n, uint64_t time)
{
    size_t i = 0;

    while (i + 1 < n && times[i] < time)
        i++;
    return i;
}

/* The first answer that leaves no order. Searches that find none are the slow
 * ones: so it begins where the search of all came to, looks further and
 * further from there, and halves what is left. */
static void find_moment(struct finder *f)
{
    uint64_t *times = f->last_answer;   /* free until later */
    size_t n = 0, good, bad, stride = 0;

    for (size_t i = 0; i < f->n_all; i++)
        if (f->all[i].answered != NEVER)
            times[n++] = f->all[i].answered;
    qsort(times, n, sizeof *times, by_number);
    no_order(f, f->all, f->n_all);
    good = bad = first_at(times, n, f->reached);
    while (bad < n - 1) {
        cut(f, times[bad]);
        if (no_order(f, f->ops, f->n))
            break;
        good = bad + 1;
        stride = 2 * stride + 1;
        bad = n - 1 - good < stride ? n - 1 : good + stride;
    }
    while (good < bad) {
        size_t half = good + (bad - good) / 2;

        cut(f, times[half]);
        if (no_order(f, f->ops, f->n))
            bad = half;
        else
            good = half + 1;
    }
    cut(f, times[bad]);
}

static int by_answer(const void *left, const void *right, void *arg)
{
    const struct operation *ops = arg;
    uint64_t a = ops[*(const size_t *)left].answered;
    uint64_t b = ops[*(const size_t *)right].answered;

    return (a > b) - (a < b);
}

/* What the rule is computed from, for the operations up to T. */
static void prepare(struct finder *f)
{
    for (size_t i = 0; i < f->n; i++) {
        f->by_answer[i] = i;
        f->last_answer[i] = f->ops[i].answered;
        if (i > 0 && f->last_answer[i - 1] > f->last_answer[i])
            f->last_answer[i] = f->last_answer[i - 1];
        if (!operation_move(&f->ops[i], &f->moves[i]))
            f->moves[i] = (struct move){ .test = ANY };
    }
    qsort_r(f->by_answer, f->n, sizeof *f->by_answer, by_answer, f->ops);
}

/* ---- the rule ----------------------------------------------------------- */

static bool is_culprit(const struct finder *f, size_t i)
{
    return f->ops[i].answered == f->until && f->moves[i].test != ANY;
}

/* What the rule wants for observer o, when the last write that was answered
 * before o was called has itself been called at `between`. */
static void add_servers(const struct finder *f, unsigned char *pick, size_t o,
                        uint64_t between)
{
    size_t x = o;

    while (x < f->n && f->ops[x].called <= f->ops[o].answered)
        x++;
    while (x-- > 0 && f->last_answer[x] >= between)
        if (pick[x] == OUT && f->ops[x].answered >= between &&
            f->moves[x].writes && move_fits(&f->moves[o], f->moves[x].to))
            pick[x] = f->moves[x].test == PRESENT ? BLIND : IN;
}

/* Adds what the rule wants to what is picked. What is added is a write and
 * no observer, so once is enough. */
static void add_wanted(const struct finder *f, unsigned char *pick)
{
    uint64_t between = 0;
    size_t a = 0;

    for (size_t o = 0; o < f->n; o++) {
        for (; f->ops[f->by_answer[a]].answered < f->ops[o].called; a++) {
            size_t w = f->by_answer[a];

            if (pick[w] != OUT && f->moves[w].writes &&
                f->ops[w].called > between)
                between = f->ops[w].called;
        }
        if (pick[o] == IN && f->moves[o].test != ANY)
            add_servers(f, pick, o, between);
    }
}

static bool fails(struct finder *f, const unsigned char *pick)
{
    size_t n = 0;

    for (size_t i = 0; i < f->n; i++) {
        if (pick[i] == OUT)
            continue;
        f->chosen[n] = f->ops[i];
        if (pick[i] == BLIND)
            f->chosen[n].result = HISTORY_NO_ANSWER;
        n++;
    }
    return no_order(f, f->chosen, n);
}

/* Fewer operations are less; among as many, fewer observers. */
static size_t weight(const struct finder *f, const unsigned char *pick)
{
    size_t picked = 0, in = 0;

    for (size_t i = 0; i < f->n; i++) {
        picked += pick[i] != OUT;
        in += pick[i] == IN;
    }
    return picked * (f->n + 1) + in;
}

/* Takes the attempt over if it is less, and still has no order. */
static bool accepted(struct finder *f)
{
    add_wanted(f, f->attempt);
    if (f->steps == 0 || weight(f, f->attempt) >= weight(f, f->pick) ||
        !fails(f, f->attempt))
        return false;
    memcpy(f->pick, f->attempt, f->n);
    return true;
}

/* ---- fewer and fewer ---------------------------------------------------- */

/* The last `count` operations and the culprits. */
static void pick_last(const struct finder *f, unsigned char *pick,
                      size_t count)
{
    for (size_t i = 0; i < f->n; i++)
        pick[i] = i + count >= f->n || is_culprit(f, i) ? IN : OUT;
}

/* Leaves out `size` of the picked ones, then the next, and so on. */
static bool drop_each(struct finder *f, size_t size)
{
    bool any = false;

    for (size_t i = 0; i < f->n;) {
        size_t left = size;

        memcpy(f->attempt, f->pick, f->n);
        for (; i < f->n && left > 0; i++)
            if (f->attempt[i] != OUT) {
                f->attempt[i] = OUT;
                left--;
            }
        any |= left < size && accepted(f);
    }
    return any;
}

static bool forget_each(struct finder *f)
{
    bool any = false;

    for (size_t i = 0; i < f->n; i++)
        if (f->pick[i] == IN && f->moves[i].test == PRESENT) {
            memcpy(f->attempt, f->pick, f->n);
            f->attempt[i] = BLIND;
            any |= accepted(f);
        }
    return any;
}

static void shrink(struct finder *f)
{
    size_t size = 1;

    pick_last(f, f->pick, f->n);
    for (size_t count = 1; count < f->n; count *= 2) {
        pick_last(f, f->attempt, count);
        if (accepted(f))
            break;
    }
    while (size < f->n / 4)
        size *= 2;
    for (; size > 1; size /= 2)
        drop_each(f, size);
    while (drop_each(f, 1) | forget_each(f))
        ;
}

/* ---- the result --------------------------------------------------------- */

static bool sets(const struct operation *op, uint64_t value)
{
    return op->op == HISTORY_SET && op->value == value;
}

static bool has_source(const struct operations *ops, uint64_t value)
{
    for (size_t i = 0; i < ops->n; i++)
        if (sets(&ops->at[i], value))
            return true;
    return false;
}

/* The last set of the value before the get was answered, else any. */
static const struct operation *source_of(const struct finder *f,
                                         const struct operation *get)
{
    const struct operation *found = NULL;

    for (size_t i = 0; i < f->n_all; i++)
        if (sets(&f->all[i], get->value) &&
            (!found || f->all[i].called <= get->answered))
            found = &f->all[i];
    return found;
}

static int by_called(const void *left, const void *right)
{
    const struct operation *a = left, *b = right;

    if (a->called != b->called)
        return a->called < b->called ? -1 : 1;
    return (a->answered > b->answered) - (a->answered < b->answered);
}

static int add_sources(const struct finder *f, struct operations *ops)
{
    int err = 0;

    for (size_t i = ops->n; i-- > 0 && err == 0;) {
        struct operation op = ops->at[i];

        if (op.op != HISTORY_GET || op.result != HISTORY_OK ||
            has_source(ops, op.value))
            continue;
        const struct operation *source = source_of(f, &op);
        if (source)
            err = operations_add(ops, source);
    }
    qsort(ops->at, ops->n, sizeof *ops->at, by_called);
    return err;
}

static int result(const struct finder *f, struct window *out)
{
    struct window w = { .of = f->n_all };
    int err = 0;

    for (size_t i = 0; i < f->n && err == 0; i++) {
        struct operation op = f->all[i];

        if (f->pick[i] == BLIND)
            op.result = HISTORY_NO_ANSWER;  /* though it has a time */
        if (f->pick[i] != OUT)
            err = operations_add(&w.ops, &op);
    }
    if (err == 0)
        err = add_sources(f, &w.ops);
    if (err != 0) {
        operations_release(&w.ops);
        return err;
    }
    *out = w;
    return 0;
}

/* The operation of the window whose answer leaves no order. */
static size_t culprit(struct finder *f, const struct window *w)
{
    struct move m;
    size_t found = 0;

    f->all = w->ops.at;
    f->n_all = w->ops.n;
    find_moment(f);
    for (size_t i = 0; i < w->ops.n; i++)
        if (w->ops.at[i].answered == f->until &&
            operation_move(&w->ops.at[i], &m) && m.test != ANY)
            found = i;
    return found;
}

static void set_results(struct window *w, const bool *which,
                        enum history_result result)
{
    for (size_t i = 0; i < w->ops.n; i++)
        if (which[i])
            w->ops.at[i].result = result;
}

/* Marks the culprit. Answers that do not matter are shown all the same,
 * unless one of them would then seem to be the culprit. */
static int mark(struct finder *f, struct window *w)
{
    bool *blind = calloc(w->ops.n, sizeof *blind);

    if (!blind)
        return -ENOMEM;
    for (size_t i = 0; i < w->ops.n; i++)
        blind[i] = w->ops.at[i].result == HISTORY_NO_ANSWER &&
                   w->ops.at[i].answered != NEVER;
    w->marked = culprit(f, w);
    set_results(w, blind, HISTORY_OK);
    if (culprit(f, w) != w->marked)
        set_results(w, blind, HISTORY_NO_ANSWER);
    free(blind);
    return 0;
}

int window_find(struct window *out, const struct operation *ops, size_t n,
                uint64_t steps)
{
    struct finder f = { .all = ops, .n_all = n, .steps = steps };
    int err = -ENOMEM;

    f.ops = calloc(n, sizeof *f.ops);
    f.moves = calloc(n, sizeof *f.moves);
    f.by_answer = calloc(n, sizeof *f.by_answer);
    f.last_answer = calloc(n, sizeof *f.last_answer);
    f.pick = calloc(n, 1);
    f.attempt = calloc(n, 1);
    f.chosen = calloc(n, sizeof *f.chosen);
    if (f.ops && f.moves && f.by_answer && f.last_answer && f.pick &&
        f.attempt && f.chosen) {
        find_moment(&f);
        prepare(&f);
        shrink(&f);
        err = f.no_memory ? -ENOMEM : result(&f, out);
        if (err == 0) {
            f.steps += steps;   /* a search of its own, and a small one */
            err = mark(&f, out);
        }
    }
    free(f.ops);
    free(f.moves);
    free(f.by_answer);
    free(f.last_answer);
    free(f.pick);
    free(f.attempt);
    free(f.chosen);
    return err;
}
