/* history_draw.c -- given. The failing window as a picture (SVG).
 *
 * As in the table, each moment is a step to the right, a longer one where a
 * label needs it. The picture is narrow enough for a telephone: what does
 * not fit goes on in a panel below, as music does.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "tests/history_parts.h"

enum { DRAW_MAX = 200, DRAW_SOME = 24 };    /* bars; if nothing has failed */

/* In units of the picture; text is 13 of them high, 8 a letter. */
enum {
    WIDTH = 420, LEFT = 72, RIGHT = WIDTH - 8,
    LETTER = 8, STEP = 14, BAR = 9,
    TOP = 48, ROW = 36, MARK = 16, PANEL = 26
};

static const char mark_word[] = "cannot be placed";

/* Where an operation is drawn. */
struct bar {
    size_t row, from, to;       /* moments; `to` is n_moments for NEVER */
};

struct row {
    unsigned client;            /* whose it is */
    size_t busy;                /* until which moment */
    unsigned y;                 /* its bottom, from the panel's top */
    double free;                /* where the next label has room */
};

struct picture {
    const struct view *view;
    struct bar *bars;           /* one an operation */
    struct row *rows;
    size_t n_rows;
    unsigned panel_height;
    double *x;                  /* of each moment, */
    size_t *panel;              /* and in which row of the music */
    size_t n_panels;
    bool keys;                  /* labels say the key */
};

static const char *bar_label(const struct picture *p, size_t i,
                             char text[2 * LABEL_MAX])
{
    char label[LABEL_MAX];
    const struct operation *op = &p->view->ops[i];

    operation_label(op, label);
    if (p->keys)
        snprintf(text, 2 * LABEL_MAX, "%" PRIu64 ": %s", op->key, label);
    else
        snprintf(text, 2 * LABEL_MAX, "%s", label);
    return text;
}

static double label_width(const struct picture *p, size_t i, bool again)
{
    char text[2 * LABEL_MAX];
    size_t letters = strlen(bar_label(p, i, text)) + (again ? 2 : 0);

    if (i == p->view->marked && letters < sizeof mark_word)
        letters = sizeof mark_word;
    return (double)(LETTER * letters);
}

/* A row of the client that is free from this moment on, or a new one. */
static size_t row_for(struct picture *p, unsigned client, size_t from)
{
    size_t row = 0;

    while (row < p->n_rows && (p->rows[row].client != client ||
                               p->rows[row].busy > from))
        row++;
    if (row == p->n_rows) {
        p->rows[row].client = client;
        p->n_rows++;
    }
    return row;
}

static void place_rows(struct picture *p)
{
    const struct view *v = p->view;

    for (size_t i = 0; i < v->n; i++) {
        struct bar *b = &p->bars[i];

        b->from = view_moment(v, v->ops[i].called);
        b->to = view_moment(v, v->ops[i].answered);
        b->row = row_for(p, v->ops[i].client, b->from);
        p->rows[b->row].busy = b->to;
    }
}

/* Rows from the top: by client, and within one in the order they came. */
static void stack_rows(struct picture *p)
{
    const struct view *v = p->view;
    unsigned y = 0;

    for (size_t done = 0; done < p->n_rows; done++) {
        size_t next = p->n_rows;

        for (size_t r = 0; r < p->n_rows; r++)
            if (p->rows[r].y == 0 &&
                (next == p->n_rows || p->rows[r].client < p->rows[next].client))
                next = r;
        y += ROW;       /* y is a row's bottom, so never 0 */
        if (v->marked < v->n && p->bars[v->marked].row == next)
            y += MARK;
        p->rows[next].y = y;
    }
    p->panel_height = y + PANEL;
}

/* Begins a new panel with moment m: who is under way is labelled again. */
static double new_panel(struct picture *p, size_t m)
{
    p->n_panels++;
    for (size_t r = 0; r < p->n_rows; r++)
        p->rows[r].free = LEFT;
    for (size_t i = 0; i < p->view->n; i++) {
        const struct bar *b = &p->bars[i];

        if (b->from < m && b->to >= m && b->to < p->view->n_moments)
            p->rows[b->row].free = LEFT + label_width(p, i, true) + LETTER;
    }
    return m == 0 ? LEFT : LEFT + STEP;
}

/* The place for moment m, at `x` or further to the right, such that the
 * labels that begin there have room; *end is how far they reach. */
static double room_for(const struct picture *p, size_t m, double x,
                       double *end)
{
    *end = 0;
    for (size_t i = 0; i < p->view->n; i++)
        if (p->bars[i].from == m && p->rows[p->bars[i].row].free > x)
            x = p->rows[p->bars[i].row].free;
    for (size_t i = 0; i < p->view->n; i++)
        if (p->bars[i].from == m && x + label_width(p, i, false) > *end)
            *end = x + label_width(p, i, false);
    return x;
}

/* Spreads the moments of a panel from `first` to before `end` over the room
 * there is. Distances only grow, so labels that had room still have it. */
static void spread(struct picture *p, size_t first, size_t end)
{
    double by = 5, width = RIGHT - LEFT;

    if ((p->x[end - 1] - LEFT) * by > width)
        by = width / (p->x[end - 1] - LEFT);
    for (size_t i = 0; i < p->view->n; i++) {
        size_t m = p->bars[i].from;
        double left = m >= first && m < end ? p->x[m] - LEFT : 0;

        if (left > 0 && left * by > width - label_width(p, i, false))
            by = (width - label_width(p, i, false)) / left;
    }
    for (size_t m = first; m < end && by > 1; m++)
        p->x[m] = LEFT + (p->x[m] - LEFT) * by;
}

static void place_moments(struct picture *p)
{
    size_t first = 0;           /* moment of this panel */
    double x = new_panel(p, 0), end;

    for (size_t m = 0; m < p->view->n_moments; m++) {
        p->x[m] = room_for(p, m, x, &end);
        if (m > first && (end > RIGHT || p->x[m] > RIGHT)) {
            spread(p, first, m);
            first = m;
            p->x[m] = room_for(p, m, new_panel(p, m), &end);
        }
        p->panel[m] = p->n_panels - 1;
        for (size_t i = 0; i < p->view->n; i++)
            if (p->bars[i].from == m)
                p->rows[p->bars[i].row].free =
                    p->x[m] + label_width(p, i, false) + LETTER;
        x = p->x[m] + STEP;
    }
    if (p->view->n_moments > 0)
        spread(p, first, p->view->n_moments);
}

static unsigned panel_top(const struct picture *p, size_t panel)
{
    return TOP + (unsigned)panel * p->panel_height;
}

static const char *const colours[] = { "#2e7d32", "#1565c0", "#b26a00" };
static const char *const op_names[] = { "get", "set", "rm" };

/* The part of a bar in one panel. */
static void draw_part(const struct picture *p, size_t i, size_t panel,
                      FILE *to)
{
    const struct bar *b = &p->bars[i];
    const struct operation *op = &p->view->ops[i];
    bool never = op->answered == NEVER, again = p->panel[b->from] < panel;
    double left = again ? LEFT - 4 : p->x[b->from], right = RIGHT;
    unsigned y = panel_top(p, panel) + p->rows[b->row].y - 6 - BAR;
    char label[2 * LABEL_MAX], *arrow;

    if (!never && p->panel[b->to] == panel)
        right = p->x[b->to];
    if (i == p->view->marked)
        y -= MARK;
    bar_label(p, i, label);
    arrow = strstr(label, "->");
    fprintf(to, "<text x=\"%.0f\" y=\"%u\"%s paint-order=\"stroke\" "
            "stroke=\"#fff\" stroke-width=\"4\">%s%.*s%s%s</text>\n", left,
            y - 5, i == p->view->marked ? " font-weight=\"bold\"" : "",
            again ? "\u2026 " : "",
            (int)(arrow ? (size_t)(arrow - label) : strlen(label)), label,
            arrow ? "-&gt;" : "", arrow ? arrow + 2 : "");
    fprintf(to, "<rect x=\"%.0f\" y=\"%u\" width=\"%.0f\" height=\"%u\" "
            "rx=\"2\" fill=\"%s%s%s\"/>\n", left, y,
            right - left > 3 ? right - left : 3, BAR,
            never ? "url(#history-" : "", never ? op_names[op->op]
                                                : colours[op->op],
            never ? ")" : "");
    if (i == p->view->marked)
        fprintf(to, "<text x=\"%.0f\" y=\"%u\" font-weight=\"bold\" "
                "fill=\"#b00020\">%s</text>\n<rect x=\"%.0f\" y=\"%u\" "
                "width=\"%.0f\" height=\"%u\" rx=\"3\" fill=\"none\" "
                "stroke=\"#b00020\" stroke-width=\"2\"/>\n", left,
                y + BAR + 15, mark_word, left - 2, y - 2,
                (right - left > 3 ? right - left : 3) + 4, BAR + 4);
}

static void draw_bar(const struct picture *p, size_t i, FILE *to)
{
    const struct bar *b = &p->bars[i];
    size_t first = p->panel[b->from], last = first;

    if (b->to < p->view->n_moments)
        last = p->panel[b->to];
    for (size_t panel = first; panel <= last; panel++)
        draw_part(p, i, panel, to);
}

/* Where the row's client has a row above it there is no line and no name. */
static bool begins_lane(const struct picture *p, size_t row)
{
    for (size_t r = 0; r < p->n_rows; r++)
        if (p->rows[r].client == p->rows[row].client &&
            p->rows[r].y < p->rows[row].y)
            return false;
    return true;
}

static void draw_lanes(const struct picture *p, unsigned top, FILE *to)
{
    unsigned bottom = p->panel_height - PANEL;

    for (size_t r = 0; r < p->n_rows; r++) {
        unsigned y = p->rows[r].y - ROW;

        if (p->view->marked < p->view->n && p->bars[p->view->marked].row == r)
            y -= MARK;
        if (begins_lane(p, r))
            fprintf(to, "<path d=\"M0 %uh%u\" stroke=\"#999\"/>\n"
                    "<text x=\"2\" y=\"%u\" font-size=\"12\">client %u"
                    "</text>\n", top + y, WIDTH, top + y + 18,
                    p->rows[r].client);
    }
    fprintf(to, "<path d=\"M0 %uh%u\" stroke=\"#999\"/>\n", top + bottom,
            WIDTH);
}

/* A hair at each moment, the first and the last time, and the lanes. */
static void draw_panel(const struct picture *p, size_t panel, FILE *to)
{
    const struct view *v = p->view;
    unsigned top = panel_top(p, panel), height = p->panel_height - PANEL;
    size_t first = 0, last;

    while (p->panel[first] < panel)
        first++;
    for (last = first; last + 1 < v->n_moments && p->panel[last + 1] == panel;)
        last++;
    for (size_t m = first; m <= last; m++)
        fprintf(to, "<path d=\"M%.0f %uv%u\" stroke=\"#e4e4e4\"/>\n", p->x[m],
                top, height);
    draw_lanes(p, top, to);
    for (size_t m = first; m <= last; m += last > first ? last - first : 1)
        fprintf(to, "<text x=\"%.0f\" y=\"%u\" font-size=\"11\" "
                "fill=\"#555\"%s>%.1f us</text>\n", p->x[m],
                top + height + 14,
                p->x[m] > WIDTH / 2 ? " text-anchor=\"end\"" : "",
                view_us(v->moments[m], v->moments[0]));
}

static void draw_gradients(FILE *to)
{
    fputs("<defs>\n", to);
    for (int i = 0; i < 3; i++)
        fprintf(to, "<linearGradient id=\"history-%s\"><stop offset=\"0\" "
                "stop-color=\"%s\"/><stop offset=\"1\" stop-color=\"%s\" "
                "stop-opacity=\"0\"/></linearGradient>\n", op_names[i],
                colours[i], colours[i]);
    fputs("</defs>\n", to);
}

static void draw_words(const struct picture *p, const char *title,
                       const char *under, FILE *to)
{
    const struct view *v = p->view;
    char label[2 * LABEL_MAX];

    fprintf(to, "<title>%s</title>\n<desc>", title);
    for (size_t i = 0; i < v->n; i++) {
        const struct operation *op = &v->ops[i];
        char *arrow = strstr(bar_label(p, i, label), "->");

        if (arrow)
            *arrow = '\0';
        fprintf(to, "client %u: %s%s%s, called at %.1f us, ", op->client,
                label, arrow ? "answers" : "", arrow ? arrow + 2 : "",
                view_us(op->called, v->moments[0]));
        if (op->answered == NEVER)
            fputs("never answered", to);
        else
            fprintf(to, "answered at %.1f us",
                    view_us(op->answered, v->moments[0]));
        fprintf(to, "%s%s.\n", i == v->marked ? "; " : "",
                i == v->marked ? mark_word : "");
    }
    fprintf(to, "</desc>\n<rect width=\"100%%\" height=\"100%%\" "
            "fill=\"#fff\"/>\n<g font-family=\"sans-serif\"><text x=\"2\" "
            "y=\"17\" font-size=\"14\" font-weight=\"bold\">%s</text>\n"
            "<text x=\"2\" y=\"35\" font-size=\"12\" fill=\"#555\">%s</text>"
            "</g>\n", title, under);
}

static void draw_all(const struct picture *p, const char *title,
                     const char *under, FILE *to)
{
    unsigned height = panel_top(p, p->n_panels) + 4;

    fprintf(to, "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %u "
            "%u\" width=\"%u\" height=\"%u\" style=\"max-width:100%%;"
            "height:auto\" preserveAspectRatio=\"xMinYMin meet\" "
            "role=\"img\" font-family=\"ui-monospace,monospace\" "
            "font-size=\"13\">\n",
            WIDTH, height, 3 * WIDTH / 2, 3 * height / 2);
    draw_words(p, title, under, to);
    draw_gradients(to);
    for (size_t panel = 0; panel < p->n_panels; panel++)
        draw_panel(p, panel, to);
    for (size_t i = 0; i < p->view->n; i++)
        draw_bar(p, i, to);
    fputs("</svg>\n", to);
}

static int draw_view(const struct view *v, bool keys, const char *title,
                     const char *under, FILE *to)
{
    size_t n = v->n + 1, moments = v->n_moments + 1;
    struct picture p = { .view = v, .keys = keys };
    int err = -ENOMEM;
    p.bars = calloc(n, sizeof *p.bars);
    p.rows = calloc(n, sizeof *p.rows);
    p.x = calloc(moments, sizeof *p.x);
    p.panel = calloc(moments, sizeof *p.panel);
    if (p.bars && p.rows && p.x && p.panel) {
        place_rows(&p);
        stack_rows(&p);
        place_moments(&p);
        draw_all(&p, title, under, to);
        err = fflush(to) == 0 && !ferror(to) ? 0 : -EIO;
    }
    free(p.bars);
    free(p.rows);
    free(p.x);
    free(p.panel);
    return err;
}

static int draw_window(const struct window *w, FILE *to)
{
    size_t skip = w->ops.n > DRAW_MAX ? w->ops.n - DRAW_MAX : 0;
    char title[96], under[96];
    struct view v;

    if (skip > w->marked)
        skip = w->marked;
    size_t n = w->ops.n - skip < DRAW_MAX ? w->ops.n - skip : DRAW_MAX;
    snprintf(title, sizeof title, "key %" PRIu64 ": no order explains this",
             w->ops.at[0].key);
    snprintf(under, sizeof under, "%zu of %zu operations; time runs to the "
             "right, not to scale", n, w->of);
    int err = view_make(&v, w->ops.at + skip, n, w->marked - skip);
    if (err == 0)
        err = draw_view(&v, false, title, under, to);
    free(v.moments);
    return err;
}

static int by_called(const void *left, const void *right)
{
    const struct operation *a = left, *b = right;

    return (a->called > b->called) - (a->called < b->called);
}

/* The first of each client, and of those the first. */
static int draw_first(const struct history *h, FILE *to)
{
    struct operations ops = { 0 };
    char under[96];
    struct view v = { 0 };
    size_t all = 0;
    int err = 0;

    for (unsigned c = 0; c < h->clients; c++) {
        all += h->lists[c].n;
        for (size_t i = 0; i < h->lists[c].n && i < DRAW_SOME; i++)
            err = err ? err : operations_add(&ops, &h->lists[c].at[i]);
    }
    if (ops.n > 0)
        qsort(ops.at, ops.n, sizeof *ops.at, by_called);
    if (ops.n > DRAW_SOME)
        ops.n = DRAW_SOME;
    snprintf(under, sizeof under, "%zu of %zu operations (key: operation); "
             "not to scale", ops.n, all);
    if (err == 0)
        err = view_make(&v, ops.at, ops.n, SIZE_MAX);
    if (err == 0)
        err = draw_view(&v, true, "The first operations", under, to);
    free(v.moments);
    operations_release(&ops);
    return err;
}

int history_draw(struct history *h, FILE *to)
{
    return h->window.ops.n > 0 ? draw_window(&h->window, to)
                               : draw_first(h, to);
}
