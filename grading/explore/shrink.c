/* shrink.c -- the fewest departures from the default that still fail.
 *
 * A failing run has recorded where it left the default schedule. Run as a
 * plan, these choices fail again; with most of them left out it often still
 * does. Delta debugging finds a small set: take out one n-th of the
 * choices; if it still fails the same way go on with the rest, and when no
 * n-th can be spared halve the parts. A run under a plan records the choices
 * that it really used, and these are what is gone on with.
 *
 * Source: Zeller and Hildebrandt, "Simplifying and Isolating
 *         Failure-Inducing Input", IEEE TSE 28(2), 2002 (ddmin).
 */
#include "grading/explore/front.h"

#include <stdlib.h>
#include <string.h>

enum { RUNS_MAX = 400, SECONDS_MAX = 3 };

/* The choices of the best run so far. */
struct choices {
    struct trace_choice *list;
    unsigned count;
};

static struct {
    unsigned runs;
    double end;
} budget;

static bool is_spent(void)
{
    return budget.runs >= RUNS_MAX || seconds_now() > budget.end;
}

static void keep(struct choices *best, const struct trace *t)
{
    best->count = t->choice_count;
    memcpy(best->list, t->choices, best->count * sizeof *best->list);
}

/* Runs the best choices without those from `from` up to `to`. Where that
 * still fails, and uses fewer, it is the best. */
static bool try_without(struct explorer *e, enum trace_kind kind,
                        struct choices *best, unsigned from, unsigned to)
{
    struct trace *t = e->trace;

    memcpy(t->plan, best->list, from * sizeof *t->plan);
    memcpy(t->plan + from, best->list + to,
           (best->count - to) * sizeof *t->plan);
    t->planned = best->count - (to - from);
    budget.runs++;
    if (run_once(e) != kind || t->choice_count >= best->count)
        return false;
    keep(best, t);
    return true;
}

static void reduce(struct explorer *e, enum trace_kind kind,
                   struct choices *best)
{
    unsigned parts = 1;

    while (best->count > 0 && !is_spent()) {
        unsigned size = (best->count + parts - 1) / parts;
        bool less = false;

        /* From the end: what comes after the damage is done goes first. */
        for (unsigned to = best->count; to > 0 && !less && !is_spent();) {
            unsigned from = to > size ? to - size : 0;

            less = try_without(e, kind, best, from, to);
            to = from;
        }
        if (less)
            parts = parts > 2 ? parts - 1 : 1;
        else if (size == 1)
            return;
        else
            parts = parts * 2 < best->count ? parts * 2 : best->count;
    }
}

/* Answers whether the recorded choices alone fail again: they should, but a
 * program whose threads race without locks may have run otherwise. */
static bool confirm(struct explorer *e, enum trace_kind kind,
                    const struct choices *best)
{
    struct trace *t = e->trace;

    t->strategy = BY_PLAN;
    memcpy(t->plan, best->list, best->count * sizeof *t->plan);
    t->planned = best->count;
    return run_once(e) == kind;
}

unsigned shrink(struct explorer *e, enum trace_kind kind)
{
    struct choices best = { malloc(sizeof e->trace->choices), 0 };
    uint64_t seed = e->trace->seed;

    if (!best.list)
        return e->trace->choice_count;
    budget.runs = 0;
    budget.end = seconds_now() + SECONDS_MAX;
    keep(&best, e->trace);
    if (confirm(e, kind, &best)) {
        reduce(e, kind, &best);
        confirm(e, kind, &best);
    } else {
        run_seed(e, seed);
    }
    free(best.list);
    return e->trace->choice_count;
}
