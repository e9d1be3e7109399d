/* history_table.c -- given. The failing window as a table.
 *
 * Its bars are not to scale: a call of 300 ns beside a pause of 2 s would be
 * a hair. What counts is what came before what, so each moment at which
 * something was called or answered is a step to the right.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "tests/history_parts.h"

enum { TABLE_MAX = 100, COLUMNS = 80 };

const char *operation_label(const struct operation *op, char text[LABEL_MAX])
{
    static const char *const words[] = { "get", "set", "rm" };
    const char *word = words[op->op];

    if (op->op == HISTORY_SET)
        snprintf(text, LABEL_MAX, "%s %" PRIu64, word, op->value);
    else if (op->result == HISTORY_NO_ANSWER)
        snprintf(text, LABEL_MAX, "%s%s", word,
                 op->answered == NEVER ? " -> ?" : "");
    else if (op->result == HISTORY_ABSENT)
        snprintf(text, LABEL_MAX, "%s -> absent", word);
    else if (op->op == HISTORY_GET)
        snprintf(text, LABEL_MAX, "%s -> %" PRIu64, word, op->value);
    else
        snprintf(text, LABEL_MAX, "%s -> ok", word);
    return text;
}

double view_us(uint64_t time, uint64_t origin)
{
    return time < origin ? -(double)(origin - time) / 1e3
                         : (double)(time - origin) / 1e3;
}

/* ---- moments ------------------------------------------------------------ */

static int by_number(const void *left, const void *right)
{
    uint64_t a = *(const uint64_t *)left, b = *(const uint64_t *)right;

    return (a > b) - (a < b);
}

int view_make(struct view *v, const struct operation *ops, size_t n,
                     size_t marked)
{
    size_t all = 0, kept = 0;

    *v = (struct view){ ops, n, marked, NULL, 0 };
    v->moments = calloc(2 * n + 1, sizeof *v->moments);
    if (!v->moments)
        return -ENOMEM;
    for (size_t i = 0; i < n; i++) {
        v->moments[all++] = ops[i].called;
        if (ops[i].answered != NEVER)
            v->moments[all++] = ops[i].answered;
    }
    qsort(v->moments, all, sizeof *v->moments, by_number);
    for (size_t i = 0; i < all; i++)
        if (kept == 0 || v->moments[kept - 1] != v->moments[i])
            v->moments[kept++] = v->moments[i];
    v->n_moments = kept;
    return 0;
}

size_t view_moment(const struct view *v, uint64_t time)
{
    size_t low = 0, high = v->n_moments;

    while (low < high) {
        size_t half = (low + high) / 2;

        if (v->moments[half] < time)
            low = half + 1;
        else
            high = half;
    }
    return low;
}

/* ---- the table ---------------------------------------------------------- */

/* |---|, or |---> for what was never answered, `width` columns for all. */
static void text_bar(const struct view *v, const struct operation *op,
                     size_t width, char *text)
{
    size_t last = v->n_moments - 1, step = last ? (width - 1) / last : 0;
    size_t from = view_moment(v, op->called), to = view_moment(v, op->answered);

    if (step > 3)
        step = 3;
    if (to > last)
        to = last;
    from = step ? from * step : from * (width - 1) / (last ? last : 1);
    to = step ? to * step : to * (width - 1) / (last ? last : 1);
    memset(text, ' ', from);
    memset(text + from, '-', to - from + 1);
    text[from] = '|';
    text[to] = op->answered == NEVER ? '>' : '|';
    text[to + 1] = '\0';
}

static size_t longest_label(const struct view *v)
{
    char label[LABEL_MAX];
    size_t width = sizeof "operation" - 1;

    for (size_t i = 0; i < v->n; i++) {
        size_t len = strlen(operation_label(&v->ops[i], label));

        width = len > width ? len : width;
    }
    return width;
}

static void table_lines(const struct view *v, FILE *to)
{
    int wide = (int)longest_label(v);
    size_t room = COLUMNS - 35 - (size_t)wide;
    char label[LABEL_MAX], bar[COLUMNS + 2], answered[32];

    fprintf(to, "\n  client  %-*s %10s %11s\n", wide, "operation",
            "called us", "answered us");
    for (size_t i = 0; i < v->n; i++) {
        const struct operation *op = &v->ops[i];

        snprintf(answered, sizeof answered, "%.1f",
                 view_us(op->answered, v->ops[0].called));
        text_bar(v, op, room, bar);
        fprintf(to, "%c %6u  %-*s %10.1f %11s  %s\n",
                i == v->marked ? '*' : ' ', op->client, wide,
                operation_label(op, label),
                view_us(op->called, v->ops[0].called),
                op->answered == NEVER ? "never" : answered, bar);
    }
}

void window_print(const struct window *w, size_t checked, FILE *to)
{
    size_t skip = w->ops.n > TABLE_MAX ? w->ops.n - TABLE_MAX : 0;
    const struct operation *marked = &w->ops.at[w->marked];
    char label[LABEL_MAX];
    struct view v;

    if (skip > w->marked)
        skip = w->marked;
    fprintf(to, "key %" PRIu64 ": no order explains these %zu operations "
            "(of %zu on the key, %zu in all)\n", marked->key, w->ops.n, w->of,
            checked);
    if (skip > 0)
        fprintf(to, "the first %zu are not shown\n", skip);
    size_t n = w->ops.n - skip < TABLE_MAX ? w->ops.n - skip : TABLE_MAX;
    if (view_make(&v, w->ops.at + skip, n, w->marked - skip) == 0)
        table_lines(&v, to);
    free(v.moments);
    fprintf(to, "\n* cannot be placed: client %u, %s\n", marked->client,
            operation_label(marked, label));
}
