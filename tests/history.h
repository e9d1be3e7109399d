/* history.h -- what several clients did to shared keys, and whether that can
 * have happened.
 *
 * Given.
 *
 * Each client notes when it called and when the answer came. The history is
 * linearizable if every operation can be placed at one moment between the two
 * so that, one after the other, each answers what a map would answer. Keys are
 * independent of each other, so each key's operations are checked on their own
 * (locality); a key is a register that is set, got or removed.
 *
 * An operation without an answer (the connection broke, the server was
 * killed) may have happened at any time after its call, or not at all.
 *
 * Shapes:  as a file, one operation a line, fields separated by tabs:
 *            client  op  key  value  called  answered  result
 *          op: get, set, rm. value: what was set, or what a get answered, "-"
 *          for none. called, answered: nanoseconds; answered "-" if no answer
 *          came. result: ok, absent, or ? (no answer). A line that begins
 *          with # is a remark. For example:
 *            0  set  7  12  1000  1420  ok
 *            1  get  7  12  1100  1500  ok
 *            1  rm   7  -   1600  1650  absent
 *            0  set  7  13  1700  -     ?
 *          At the start no key is there. Operations that meet in one moment
 *          (answered == called) overlap. Values should be unique: then the
 *          check is fast and says most.
 * Tool:    build/tools/history check FILE.tsv [--svg OUT.svg]
 * Errors:  0, -ENOMEM, or as the function says.
 * Threads: history_add by any, one client each (each client has a list of its
 *          own); the rest by one.
 * Source:  Wing and Gong (1993); Lowe, "Testing for linearizability" (2017);
 *          Horn and Kroening, P-compositionality (2015).
 */
#ifndef TESTS_HISTORY_H
#define TESTS_HISTORY_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum history_op { HISTORY_GET, HISTORY_SET, HISTORY_REMOVE };
enum history_result { HISTORY_OK, HISTORY_ABSENT, HISTORY_NO_ANSWER };

struct history;

int history_create(struct history **out, unsigned clients);
void history_destroy(struct history *history);

/* Notes an operation of the client; key and value are numbers, as tests use
 * them (value 0: none). Times are clock_now_ns; `answered` does not count
 * when no answer came. -EINVAL: no such client, answered before it was
 * called, a value where there can be none or none where there must be. */
int history_add(struct history *history, unsigned client, enum history_op op,
                uint64_t key, uint64_t value, uint64_t called,
                uint64_t answered, enum history_result result);

struct history_verdict {
    uint64_t key;           /* the first that is not linearizable */
    size_t operations;      /* how many were checked */
    size_t keys;            /* on how many keys */
    size_t window;          /* how many are in the smallest failing window */
};

/* 0: linearizable. -EILSEQ: it is not; *verdict says where, and the smallest
 * failing window is printed to `to` (unless NULL), a line an operation.
 * -E2BIG: given up on a key after `limit` steps (0: a generous number), and
 * no other key fails.
 *
 * The window is some of one key's operations: few, not to be explained on
 * their own, and chosen so that nothing left out could explain them (how is
 * told in history_window.c). One of them is marked: it has the first answer
 * with which no order is left. A remove without an answer there, "rm", has
 * happened; what it answered does not matter. */
int history_check(struct history *history, struct history_verdict *verdict,
                  FILE *to, uint64_t limit);

/* Draws the smallest failing window of the last check that failed (or the
 * first operations, if none did) as an SVG: a lane a client, a bar an
 * operation, with a title and a text form. */
int history_draw(struct history *history, FILE *to);

/* -EINVAL: line number *line (unless NULL) is not as above; -EIO. */
int history_read(struct history **out, FILE *from, size_t *line);
int history_write(struct history *history, FILE *to);

#endif
