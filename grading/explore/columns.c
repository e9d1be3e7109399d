/* columns.c -- shows a run: one column a thread, one row a step.
 *
 * Time runs downwards. At most COLUMNS_MAX threads have a column: those that
 * the verdict is about, then those that do the most. A step of any other
 * thread is at the margin. Below the rows are the source lines they mention.
 */
#include "grading/explore/front.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WIDTH = 80, ROWS_MAX = 120, COLUMNS_MAX = 4, LINES_MAX = 40 };

struct table {
    unsigned threads[COLUMNS_MAX];
    unsigned count;
    int width;                  /* of a cell */
    uint32_t from;              /* the first row shown */
    bool own_only;              /* leave out what the test does for itself */
};

static bool has_column(const struct table *c, unsigned thread)
{
    for (unsigned i = 0; i < c->count; i++)
        if (c->threads[i] == thread)
            return true;
    return false;
}

static void add_column(struct table *c, unsigned thread)
{
    unsigned i = c->count;

    if (thread == 0 || c->count == COLUMNS_MAX || has_column(c, thread))
        return;
    for (; i > 0 && c->threads[i - 1] > thread; i--)
        c->threads[i] = c->threads[i - 1];
    c->threads[i] = thread;
    c->count++;
}

/* Those that the verdict names, then those that do the most besides starting
 * and joining others. */
static void choose_columns(const struct trace *t, struct table *c)
{
    static unsigned rows[TRACE_THREADS + 1];

    memset(rows, 0, sizeof rows);
    add_column(c, t->kind_thread);
    add_column(c, t->kind_other);
    for (uint32_t i = 0; i < t->stuck_count; i++)
        if (t->stuck[i].rank == t->stuck[0].rank)
            add_column(c, t->stuck[i].thread);
    for (uint32_t i = c->from; i < t->row_count; i++)
        rows[t->rows[i].thread] += t->rows[i].object >> 24 != 'T';
    while (c->count < COLUMNS_MAX) {
        unsigned most = 0;

        for (unsigned i = 1; i <= TRACE_THREADS; i++)
            if (rows[i] > rows[most] && !has_column(c, i))
                most = i;
        if (rows[most] == 0)
            break;
        add_column(c, most);
    }
    c->width = c->count == 1 ? 60 : (WIDTH - 2 * (int)(c->count - 1)) /
                                    (int)c->count;
}

/* As many whole words as fit, at least one; what is left comes below. */
static size_t fitting(const char *text, size_t width)
{
    size_t n = strlen(text);

    if (n <= width)
        return n;
    for (n = width; n > 0 && text[n] != ' '; n--)
        ;
    return n > 0 ? n : width;
}

static void print_cell(const struct table *c, unsigned column,
                       const char *text)
{
    int before = (int)column * (c->width + 2);

    for (int indent = 0; *text; indent = 2) {
        size_t n = fitting(text, (size_t)(c->width - indent));

        printf("%*s%.*s\n", before + indent, "", (int)n, text);
        text += n;
        text += strspn(text, " ");
    }
}

static void print_heads(const struct table *c)
{
    char line[WIDTH + 16] = "";

    for (unsigned i = 0; i < c->count; i++) {
        char head[32];

        snprintf(head, sizeof head, "thread %u%s", c->threads[i],
                 c->threads[i] == 1 ? " (main)" : "");
        if (i + 1 < c->count)
            printf("%-*.*s", c->width + 2, c->width, head);
        else
            printf("%.*s", c->width, head);
    }
    memset(line, '-', WIDTH);
    printf("\n%s\n", line);
}

/* The lock that ends a wait is not shown when it comes at once. */
static bool is_return_of_wait(const struct trace *t, uint32_t i)
{
    const struct trace_row *r = &t->rows[i];

    return i > 0 && r->op == OP_LOCK && r->other &&
           r[-1].thread == r->thread && r[-1].object == r->other;
}

/* A thread for which there is no column has its steps at the margin. */
static void print_row(const struct trace *t, const struct table *c,
                      uint32_t index)
{
    unsigned column = 0, thread = t->rows[index].thread;
    char text[160];

    step_text(t, index, text, sizeof text);
    while (column < c->count && c->threads[column] != thread)
        column++;
    if (column < c->count)
        print_cell(c, column, text);
    else
        printf("[thread %u: %s]\n", thread, text);
}

/* The locks that the test takes for its own bookkeeping only distract, where
 * there are steps of the student's to be seen. */
static bool is_shown(const struct trace *t, const struct table *c, uint32_t i)
{
    int op = t->rows[i].op;

    if (is_return_of_wait(t, i))
        return false;
    return !c->own_only || place_is_own(place_of(t, i)) ||
           (op != OP_LOCK && op != OP_UNLOCK && op != OP_DESTROY);
}

static bool any_own(const struct trace *t, const struct table *c)
{
    for (uint32_t i = c->from; i < t->row_count; i++)
        if (place_is_own(place_of(t, i)))
            return true;
    return false;
}

static void print_rows(const struct trace *t, const struct table *c)
{
    if (c->from > 0)
        printf("(%u earlier steps are not shown)\n", c->from);
    for (uint32_t i = c->from; i < t->row_count; i++)
        if (is_shown(t, c, i))
            print_row(t, c, i);
}

static void print_line(const struct explorer *e, const struct place *p)
{
    char path[2 * PATH_MAX], line[512] = "";
    FILE *f;
    int n = 0;

    snprintf(path, sizeof path, "%s%s%s", *p->file == '/' ? "" : e->root,
             *p->file == '/' ? "" : "/", p->file);
    f = fopen(path, "re");
    while (f && n < p->line && fgets(line, sizeof line, f))
        n += strchr(line, '\n') != NULL;
    if (f)
        fclose(f);
    if (n != p->line)
        return;
    line[strcspn(line, "\n")] = '\0';
    n = snprintf(path, sizeof path, "%s:%d: %s", p->file, p->line,
                 line + strspn(line, " \t"));
    printf("%.*s\n", WIDTH, path);
}

/* As many words as fit on a line; those that follow are indented. */
static void print_wrapped(const char *text)
{
    int indent = 0;

    while (*text) {
        size_t n = fitting(text, (size_t)(WIDTH - indent));

        printf("%*s%.*s\n", indent, "", (int)n, text);
        text += n + (text[n] == ' ');
        indent = 2;
    }
}

static int by_file_and_line(const void *a, const void *b)
{
    const struct place *p = *(const struct place *const *)a;
    const struct place *q = *(const struct place *const *)b;
    int order = strcmp(p->file, q->file);

    return order ? order : p->line - q->line;
}

static void print_lines(const struct explorer *e, const struct table *c)
{
    const struct place *lines[ROWS_MAX + 1];
    const struct trace *t = e->trace;
    int n = 0, shown = 0;

    for (uint32_t i = c->from; i < t->row_count && n < ROWS_MAX; i++)
        if (t->rows[i].op != OP_END && is_shown(t, c, i) &&
            (lines[n] = place_of(t, i)))
            n++;
    qsort(lines, (size_t)n, sizeof *lines, by_file_and_line);
    for (int i = 0; i < n && shown < LINES_MAX; i++)
        if (i == 0 || by_file_and_line(&lines[i - 1], &lines[i]) != 0) {
            print_line(e, lines[i]);
            shown++;
        }
}

void columns_print(struct explorer *e, enum trace_kind kind)
{
    struct trace *t = e->trace;
    struct table c = { .count = 0 };
    char text[1024], verdict[1200];

    c.from = t->row_count > ROWS_MAX ? t->row_count - ROWS_MAX : 0;
    for (uint32_t i = c.from; i < t->row_count; i++)
        places_want(t, i);
    describe(e, kind, text, sizeof text);
    choose_columns(t, &c);
    c.own_only = any_own(t, &c);
    putchar('\n');
    print_heads(&c);
    print_rows(t, &c);
    putchar('\n');
    print_lines(e, &c);
    putchar('\n');
    snprintf(verdict, sizeof verdict, "%s: %s", kind_name(kind), text);
    print_wrapped(verdict);
}
