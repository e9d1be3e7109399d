/* front.h -- what the files of the front end share.
 *
 * main.c says what to run, run.c runs it, shrink.c runs it more often;
 * columns.c shows the run that was last, with places.c and words.c. One run
 * at a time; its results are here and in the trace until the next.
 */
#ifndef EXPLORE_FRONT_H
#define EXPLORE_FRONT_H

#include <stdbool.h>
#include <stddef.h>

#include "grading/explore/trace.h"

enum { OUTPUT_MAX = 65536 };

struct output {
    char text[OUTPUT_MAX + 1];
    size_t len;
};

struct explorer {
    char **command;
    const char *library;
    const char *root;           /* source files lie below; absolute */
    struct trace *trace;
    int trace_fd;
    struct output out, err;     /* of the last run */
    int status;                 /* of the last run, as waitpid says */
};

/* ---- main.c ---- */

double seconds_now(void);

/* Prints what failed and errno's text, and ends the front end. */
_Noreturn void die(const char *what);

/* ---- run.c ---- */

/* Runs the command once, as the front part of the trace says. */
enum trace_kind run_once(struct explorer *e);
enum trace_kind run_seed(struct explorer *e, uint64_t seed);

/* ---- shrink.c ---- */

/* Runs the command with fewer and fewer choices of the failing run that was
 * last; the last run then has as few as were found. Answers how many. */
unsigned shrink(struct explorer *e, enum trace_kind kind);

/* ---- places.c ---- */

struct place {
    char *file;                 /* relative to the root if below it */
    int line;
};

/* First say which rows' places are wanted, then look all up at once. */
void places_want(const struct trace *t, uint32_t row);
void places_look_up(const struct explorer *e);

/* The place of a row, or NULL. */
const struct place *place_of(const struct trace *t, uint32_t row);

/* Is it a line of the student's? */
bool place_is_own(const struct place *p);

/* `channel.c:57`; good for the next three calls. */
const char *place_text(const struct trace *t, uint32_t row);

bool starts_with(const char *text, const char *start);

/* ---- words.c ---- */

const char *kind_name(enum trace_kind kind);

/* What a row says in its column. */
void step_text(const struct trace *t, uint32_t row, char *text, size_t size);

/* One line on what went wrong in the last run. */
void describe(struct explorer *e, enum trace_kind kind, char *text,
              size_t size);

/* ---- columns.c ---- */

/* The last run, thread by thread, and the source lines it mentions. */
void columns_print(struct explorer *e, enum trace_kind kind);

#endif
