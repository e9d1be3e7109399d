/* history_parts.h -- what the files of the history checker share.
 *
 * Given. Users take history.h.
 *
 *   history.c         lists of operations, the file, the check of each key
 *   history_moves.c   operations as the search sees them
 *   history_tried.c   what the search has tried
 *   history_search.c  is there an order that explains these operations?
 *   history_window.c  the few of them that show that there is none
 *   history_table.c   these few as a table
 *   history_draw.c    and as a picture
 */
#ifndef TESTS_HISTORY_PARTS_H
#define TESTS_HISTORY_PARTS_H

#include <stdbool.h>

#include "tests/history.h"

#define NEVER UINT64_MAX    /* answered: not at all */

/* A remove with HISTORY_NO_ANSWER but a time at which it was answered has
 * happened, and what it answered does not count; only the search for the
 * window makes such. */
struct operation {
    uint64_t key, value, called, answered;
    unsigned client;
    enum history_op op;
    enum history_result result;
};

struct operations {
    struct operation *at;
    size_t n, cap;
};

/* The smallest failing window; n is 0 when there is none. */
struct window {
    struct operations ops;  /* by called */
    size_t marked;          /* the one that cannot be placed */
    size_t of;              /* operations of that key */
};

struct history {
    struct operations *lists;   /* one a client; its own thread's */
    unsigned clients;
    struct window window;       /* of the last check */
};

int operations_add(struct operations *ops, const struct operation *op);
void operations_release(struct operations *ops);

/* What an operation says of the register, and does to it. */
struct move {
    uint64_t called, answered;
    uint64_t holds;         /* EQUAL: what the register held; 0: absent */
    uint64_t to;            /* writes: what it holds afterwards */
    enum { ANY, EQUAL, PRESENT } test;  /* its answer fits any content, one,
                                           or any but absent */
    bool writes;
};

/* False if it says and does nothing: a get without an answer. */
bool operation_move(const struct operation *op, struct move *m);

bool move_fits(const struct move *m, uint64_t state);

#define NONE SIZE_MAX

/* The operations of one key. Values are numbers here: 0 absent, 1 any that
 * nobody got, and from 2 on the others. */
struct moves {
    struct move *must, *may;    /* answered; pending. Both by called */
    size_t n_must, n_may;
    size_t *alike;              /* the pending one before that writes the
                                   same, or NONE */
    uint64_t *values;           /* that somebody got, sorted */
    size_t n_values;
    size_t *gets_left, *sets_left;  /* of each value; the search counts */
};

/* 0 or -ENOMEM; moves_release in both cases. */
int moves_make(struct moves *all, const struct operation *ops, size_t n);
void moves_release(struct moves *all);

/* By +1 or -1: a move is taken back, or placed. */
void moves_count(struct moves *all, const struct move *m, size_t by);

/* Configurations. Each is: what the register holds; a word with the length of
 * the window in its low half; the window; the pending operations used. */
struct tried {
    uint64_t *words;            /* one behind the other */
    size_t n_words, cap_words;
    size_t *slots;              /* places in words, plus 1; 0: free */
    size_t n_slots, n_known;
    size_t used_words;          /* of each; set by the user */
};

/* 1: this one must be tried, and is known from now on, at words + *place.
 * 0: it was tried, or one that is the same but has used less. -ENOMEM. */
int tried_add(struct tried *t, const uint64_t *config, size_t *place);
void tried_release(struct tried *t);

/* Is there an order of these operations, all of one key and sorted by
 * called? 0, -EILSEQ (no), -E2BIG (*steps came down to 0), -ENOMEM.
 * *reached (unless NULL): there is one of what was known at any moment
 * before this answer. */
int search_order(const struct operation *ops, size_t n, uint64_t *steps,
                 uint64_t *reached);

/* For operations that have no order: which of them show it. Takes at most
 * about `steps` steps more; when they are used up the window is not the
 * smallest. 0 or -ENOMEM. */
int window_find(struct window *out, const struct operation *ops, size_t n,
                uint64_t steps);

/* "get -> 12", "set 17", "rm -> absent", "get -> ?" without an answer; and
 * "rm" alone where the answer does not matter. */
enum { LABEL_MAX = 48 };
const char *operation_label(const struct operation *op, char text[LABEL_MAX]);

/* Some operations and the moments of their calls and answers, in order. */
struct view {
    const struct operation *ops;    /* by called */
    size_t n;
    size_t marked;                  /* SIZE_MAX: none */
    uint64_t *moments;              /* each once */
    size_t n_moments;
};

int view_make(struct view *v, const struct operation *ops, size_t n,
              size_t marked);       /* v->moments: free */

/* The number of the moment; n_moments for NEVER. */
size_t view_moment(const struct view *v, uint64_t time);

double view_us(uint64_t time, uint64_t origin);

/* Prints it with a line an operation. */
void window_print(const struct window *w, size_t checked, FILE *to);

#endif
