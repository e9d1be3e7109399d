/* history_moves.c -- given. Operations as the search sees them. */
#include <errno.h>
#include <stdlib.h>

#include "tests/history_parts.h"

bool operation_move(const struct operation *op, struct move *m)
{
    *m = (struct move){ .called = op->called, .answered = op->answered };
    if (op->op == HISTORY_SET) {
        m->writes = true;
        m->to = op->value;
    } else if (op->result == HISTORY_NO_ANSWER) {
        m->writes = true;               /* a remove */
        return op->op == HISTORY_REMOVE;
    } else if (op->op == HISTORY_REMOVE && op->result == HISTORY_OK) {
        m->writes = true;
        m->test = PRESENT;
    } else {
        m->test = EQUAL;                /* get, or remove of nothing */
        m->holds = op->value;
    }
    return true;
}

bool move_fits(const struct move *m, uint64_t state)
{
    return m->test == ANY || (m->test == EQUAL ? state == m->holds
                                               : state != 0);
}

static int by_number(const void *left, const void *right)
{
    uint64_t a = *(const uint64_t *)left, b = *(const uint64_t *)right;

    return (a > b) - (a < b);
}

/* Values become numbers: 0 absent, 1 any that nobody got, and from 2 on the
 * others. */
static uint64_t number_of(const struct moves *all, uint64_t value)
{
    const uint64_t *at = value == 0 ? NULL :
        bsearch(&value, all->values, all->n_values, sizeof value, by_number);

    return value == 0 ? 0 : at ? 2 + (uint64_t)(at - all->values) : 1;
}

static void find_values(struct moves *all, const struct operation *ops,
                        size_t n)
{
    size_t found = 0;

    for (size_t i = 0; i < n; i++)
        if (ops[i].op == HISTORY_GET && ops[i].result == HISTORY_OK)
            all->values[found++] = ops[i].value;
    qsort(all->values, found, sizeof *all->values, by_number);
    for (size_t i = 0; i < found; i++)
        if (i == 0 || all->values[all->n_values - 1] != all->values[i])
            all->values[all->n_values++] = all->values[i];
}

static void add_pending(struct moves *all, const struct move *m)
{
    size_t p = all->n_may;

    all->may[all->n_may++] = *m;
    all->alike[p] = NONE;
    for (size_t q = p; q-- > 0 && all->alike[p] == NONE;)
        if (all->may[q].to == m->to)
            all->alike[p] = q;
}

static void add_moves(struct moves *all, const struct operation *ops, size_t n)
{
    struct move m;

    for (size_t i = 0; i < n; i++) {
        if (!operation_move(&ops[i], &m))
            continue;
        m.to = number_of(all, m.to);
        m.holds = number_of(all, m.holds);
        moves_count(all, &m, 1);
        if (m.answered == NEVER)
            add_pending(all, &m);
        else
            all->must[all->n_must++] = m;
    }
}

void moves_count(struct moves *all, const struct move *m, size_t by)
{
    if (m->writes)
        all->sets_left[m->to] += by;
    else if (m->test == EQUAL)
        all->gets_left[m->holds] += by;
}

void moves_release(struct moves *all)
{
    free(all->must);
    free(all->may);
    free(all->alike);
    free(all->values);
    free(all->gets_left);
    free(all->sets_left);
}

int moves_make(struct moves *all, const struct operation *ops, size_t n)
{
    *all = (struct moves){ 0 };
    all->must = calloc(n + 1, sizeof *all->must);
    all->may = calloc(n + 1, sizeof *all->may);
    all->alike = calloc(n + 1, sizeof *all->alike);
    all->values = calloc(n + 1, sizeof *all->values);
    all->gets_left = calloc(n + 2, sizeof *all->gets_left);
    all->sets_left = calloc(n + 2, sizeof *all->sets_left);
    if (!all->must || !all->may || !all->alike || !all->values ||
        !all->gets_left || !all->sets_left)
        return -ENOMEM;
    find_values(all, ops, n);
    add_moves(all, ops, n);
    return 0;
}
