/* history.c -- given. The lists, the file, and the check of each key. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "tests/history_parts.h"

enum { CLIENTS_MAX = 65536, LINE_MAX_BYTES = 256 };

/* A configuration tried is a step; some 100 bytes and 200 ns each. */
#define STEPS_MAX UINT64_C(5000000)

static const char *const op_words[] = { "get", "set", "rm" };
static const char *const result_words[] = { "ok", "absent", "?" };

/* ---- lists -------------------------------------------------------------- */

int operations_add(struct operations *ops, const struct operation *op)
{
    if (ops->n == ops->cap) {
        size_t cap = ops->cap ? 2 * ops->cap : 64;
        struct operation *at = reallocarray(ops->at, cap, sizeof *at);

        if (!at)
            return -ENOMEM;
        ops->at = at;
        ops->cap = cap;
    }
    ops->at[ops->n++] = *op;
    return 0;
}

void operations_release(struct operations *ops)
{
    free(ops->at);
    *ops = (struct operations){ 0 };
}

int history_create(struct history **out, unsigned clients)
{
    struct history *h = calloc(1, sizeof *h);

    if (!h)
        return -ENOMEM;
    h->lists = calloc(clients ? clients : 1, sizeof *h->lists);
    if (!h->lists) {
        free(h);
        return -ENOMEM;
    }
    h->clients = clients;
    *out = h;
    return 0;
}

void history_destroy(struct history *h)
{
    if (!h)
        return;
    for (unsigned i = 0; i < h->clients; i++)
        operations_release(&h->lists[i]);
    operations_release(&h->window.ops);
    free(h->lists);
    free(h);
}

/* Can an operation be like that at all? */
static bool makes_sense(const struct operation *op)
{
    bool has_value = op->op == HISTORY_SET ||
                     (op->op == HISTORY_GET && op->result == HISTORY_OK);

    if (op->op == HISTORY_SET && op->result == HISTORY_ABSENT)
        return false;
    return (op->answered == NEVER) == (op->result == HISTORY_NO_ANSWER) &&
           (op->value != 0) == has_value && op->called <= op->answered;
}

int history_add(struct history *h, unsigned client, enum history_op op,
                uint64_t key, uint64_t value, uint64_t called,
                uint64_t answered, enum history_result result)
{
    struct operation o = { key, value, called, answered, client, op, result };

    if (result == HISTORY_NO_ANSWER)
        o.answered = NEVER;
    if (client >= h->clients || !makes_sense(&o))
        return -EINVAL;
    return operations_add(&h->lists[client], &o);
}

/* ---- the check ---------------------------------------------------------- */

/* Of several orders that sort might give to equal times, always one. */
static int by_key_and_time(const void *left, const void *right)
{
    const struct operation *a = left, *b = right;

    if (a->key != b->key)
        return a->key < b->key ? -1 : 1;
    if (a->called != b->called)
        return a->called < b->called ? -1 : 1;
    if (a->answered != b->answered)
        return a->answered < b->answered ? -1 : 1;
    return (a->client > b->client) - (a->client < b->client);
}

static int all_sorted(const struct history *h, struct operations *all)
{
    for (unsigned c = 0; c < h->clients; c++)
        for (size_t i = 0; i < h->lists[c].n; i++)
            if (operations_add(all, &h->lists[c].at[i]) != 0)
                return -ENOMEM;
    if (all->n > 0)
        qsort(all->at, all->n, sizeof *all->at, by_key_and_time);
    return 0;
}

/* Checks key after key. The first that fails ends it; one that is too hard
 * is remembered, for another may fail. */
static int check_keys(struct history *h, const struct operations *all,
                      struct history_verdict *v, uint64_t limit)
{
    int answer = 0;

    for (size_t from = 0, to; from < all->n; from = to) {
        const struct operation *ops = all->at + from;
        uint64_t steps = limit;

        for (to = from; to < all->n && all->at[to].key == ops->key;)
            to++;
        v->keys++;
        int err = search_order(ops, to - from, &steps, NULL);
        if (err == 0 || (err == -E2BIG && answer != 0))
            continue;
        v->key = ops->key;
        answer = err;
        if (err == -EILSEQ && window_find(&h->window, ops, to - from, limit))
            return -ENOMEM;
        if (err != -E2BIG)
            return err;
    }
    return answer;
}

int history_check(struct history *h, struct history_verdict *verdict, FILE *to,
                  uint64_t limit)
{
    struct operations all = { 0 };
    struct history_verdict v = { 0 };

    operations_release(&h->window.ops);
    int err = all_sorted(h, &all);
    v.operations = all.n;
    if (err == 0)
        err = check_keys(h, &all, &v, limit ? limit : STEPS_MAX);
    v.window = h->window.ops.n;
    if (err == -EILSEQ && to)
        window_print(&h->window, all.n, to);
    operations_release(&all);
    if (verdict)
        *verdict = v;
    return err;
}

/* ---- the file ----------------------------------------------------------- */

static const char *number_or_dash(uint64_t n, uint64_t none, char text[24])
{
    if (n == none)
        return "-";
    snprintf(text, 24, "%" PRIu64, n);
    return text;
}

int history_write(struct history *h, FILE *to)
{
    char value[24], answered[24];

    fputs("# client\top\tkey\tvalue\tcalled\tanswered\tresult\n", to);
    for (unsigned c = 0; c < h->clients; c++)
        for (size_t i = 0; i < h->lists[c].n; i++) {
            const struct operation *op = &h->lists[c].at[i];

            fprintf(to, "%u\t%s\t%" PRIu64 "\t%s\t%" PRIu64 "\t%s\t%s\n", c,
                    op_words[op->op], op->key,
                    number_or_dash(op->value, 0, value), op->called,
                    number_or_dash(op->answered, NEVER, answered),
                    result_words[op->result]);
        }
    return fflush(to) == 0 && !ferror(to) ? 0 : -EIO;
}

/* A plain number, or "-", which stands for `none`. */
static bool parse_number(const char *text, uint64_t none, uint64_t *out)
{
    char *end;

    if (strcmp(text, "-") == 0) {
        *out = none;
        return true;
    }
    if (*text < '0' || *text > '9')
        return false;
    errno = 0;
    *out = strtoull(text, &end, 10);
    return errno == 0 && *end == '\0' && *out != none;
}

static bool parse_word(const char *text, const char *const words[3],
                       unsigned *out)
{
    for (*out = 0; *out < 3; ++*out)
        if (strcmp(text, words[*out]) == 0)
            return true;
    return false;
}

static bool parse_line(char *line, struct operation *op)
{
    enum { CLIENT, OP, KEY, VALUE, CALLED, ANSWERED, RESULT, FIELDS };
    char *field[FIELDS];
    uint64_t client;
    unsigned word, result;

    for (int i = 0; i < FIELDS; i++)
        if (!(field[i] = strsep(&line, "\t")))
            return false;
    if (line || !parse_number(field[CLIENT], NEVER, &client) ||
        client >= CLIENTS_MAX || !parse_word(field[OP], op_words, &word) ||
        !parse_word(field[RESULT], result_words, &result) ||
        !parse_number(field[KEY], NEVER, &op->key) ||
        !parse_number(field[VALUE], 0, &op->value) ||
        !parse_number(field[CALLED], NEVER, &op->called) ||
        !parse_number(field[ANSWERED], NEVER, &op->answered) ||
        strcmp(field[KEY], "-") == 0 || strcmp(field[CALLED], "-") == 0)
        return false;
    op->client = (unsigned)client;
    op->op = (enum history_op)word;
    op->result = (enum history_result)result;
    return makes_sense(op);
}

/* All lines; *line is the number of the last that was read. */
static int read_lines(FILE *from, struct operations *all, size_t *line)
{
    char text[LINE_MAX_BYTES];
    struct operation op;

    while (fgets(text, sizeof text, from)) {
        size_t len = strlen(text);

        ++*line;
        if (len > 0 && text[len - 1] == '\n')
            text[--len] = '\0';
        else if (!feof(from))
            return -EINVAL;     /* too long, or it has a NUL */
        if (*text == '#' || *text == '\0')
            continue;
        if (!parse_line(text, &op))
            return -EINVAL;
        if (operations_add(all, &op) != 0)
            return -ENOMEM;
    }
    return ferror(from) ? -EIO : 0;
}

/* Each operation goes to its client's list. */
static int dealt_out(struct history **out, const struct operations *all)
{
    struct history *h;
    unsigned clients = 1;

    for (size_t i = 0; i < all->n; i++)
        if (all->at[i].client >= clients)
            clients = all->at[i].client + 1;
    int err = history_create(&h, clients);
    for (size_t i = 0; i < all->n && err == 0; i++) {
        err = operations_add(&h->lists[all->at[i].client], &all->at[i]);
        if (err != 0)
            history_destroy(h);
    }
    if (err == 0)
        *out = h;
    return err;
}

int history_read(struct history **out, FILE *from, size_t *line)
{
    struct operations all = { 0 };
    size_t at = 0;
    int err = read_lines(from, &all, &at);

    if (err == 0)
        err = dealt_out(out, &all);
    else if (line)
        *line = at;
    operations_release(&all);
    return err;
}
