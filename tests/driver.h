/* driver.h -- what every test program is made of.
 *
 * Given.
 *
 * A test program holds a table of cases and runs the one it is asked for:
 *
 *     pool_test CASE [--size N] [--seed N] [--patience N] [--list]
 *
 * A case checks with the expect_ functions below. The first that does not
 * hold prints what was tried, what was expected and what came, and ends the
 * process: nothing after it could be trusted. So a case needs no cleaning
 * up on failure, and must clean up when it passes (memory checks look).
 *
 * Exit:    0 passed; 1 a check failed; 2 wrong usage; 3 a function that the
 *          case needs is not written yet. A passing case ends with a line
 *          `pass CASE WORD`, where WORD is computed from the secret that
 *          the grader put into CASE_SECRET: a program that only calls
 *          exit(0) does not know it.
 * Threads: expect_ may be called from any thread.
 */
#ifndef TESTS_DRIVER_H
#define TESTS_DRIVER_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "tests/answer.h" /* next_random */

/* What a case is told. */
struct run {
    size_t size;        /* --size, else the case's own */
    uint64_t seed;      /* --seed, else from the secret; printed on failure */
};

typedef void case_fn(const struct run *run);

struct test_case {
    const char *name;
    case_fn *fn;
    size_t size;        /* how much of it, when nobody says */
};

/* Runs the case that argv names; the table ends with a NULL name. */
int driver_main(int argc, char **argv, const struct test_case *cases);

/* The same with the cases of several tables; a NULL ends them. */
int driver_tables(int argc, char **argv,
                  const struct test_case *const *tables);

/* Ends the case at once with a failure; printf-like. What is long is broken
 * into lines, and so it is at a newline; file NULL: no place is named. */
void fail_case(const char *file, int line, const char *tried,
               const char *expected, const char *got, ...)
    __attribute__((noreturn, format(printf, 5, 6)));

#define expect_int(tried, got, wanted) \
    check_int(__FILE__, __LINE__, tried, #wanted, (long long)(got), \
              (long long)(wanted))
#define expect_true(tried, cond) \
    check_true(__FILE__, __LINE__, tried, #cond, (cond))
#define expect_str(tried, got, wanted) \
    check_str(__FILE__, __LINE__, tried, got, wanted)
#define expect_at_most(tried, got, most) \
    check_at_most(__FILE__, __LINE__, tried, #most, (long long)(got), \
                  (long long)(most))

void check_int(const char *file, int line, const char *tried,
               const char *wanted_text, long long got, long long wanted);
void check_true(const char *file, int line, const char *tried,
                const char *cond_text, bool holds);
void check_str(const char *file, int line, const char *tried,
               const char *got, const char *wanted);
void check_at_most(const char *file, int line, const char *tried,
                   const char *most_text, long long got, long long most);

/* Polls fn(arg) until it is true; false once the patience has run out. */
bool wait_until(bool (*fn)(void *), void *arg);

/* As wait_until, and a failure when it never comes true. */
#define expect_soon(tried, expected, fn, arg) \
    do { \
        if (!wait_until(fn, arg)) \
            fail_case(__FILE__, __LINE__, tried, expected, \
                      "still not so after %u s", patience_s()); \
    } while (0)

unsigned patience_s(void);

/* A thread of the test's own, to be watched from outside. */
struct actor {
    pthread_t id;
    int tid;            /* the kernel's number; 0 until it runs */
    bool done;          /* fn has returned; use actor_done */
    pthread_mutex_t lock;
    void (*fn)(void *);
    void *arg;
};

void actor_start(struct actor *a, void (*fn)(void *), void *arg);
void actor_join(struct actor *a);
bool actor_done(void *a);

/* Waits until the actor is asleep inside fn, or has returned; true if it
 * is asleep. Tells nothing useful under valgrind. */
bool actor_blocks(struct actor *a);

/* How often a thread of this process has gone to sleep, or -1 if it is not
 * asleep now. */
long sleeps_of(int tid);

/* Forks a child that lives as long as this process at most. True in the
 * child. */
bool forked(pid_t *pid);

/* How many threads this process has now. */
unsigned threads_alive(void);

/* Fails the case if, over a fifth of a second, this process uses more than
 * 2 % of a CPU or keeps waking up. The calling thread sleeps meanwhile. */
#define expect_idle(tried) check_idle(__FILE__, __LINE__, tried)
void check_idle(const char *file, int line, const char *tried);

/* True when valgrind or a sanitizer runs us: times mean nothing there. */
bool under_tool(void);

#endif
