/* history_crew.h -- several clients at work on a few keys of a map, and what
 * they saw.
 *
 * Given.
 *
 * What is tested is behind one function: a client's next operation, or a few
 * of them as one batch. The crew calls it from all clients at once, notes
 * when and what, and asks in the end whether some order explains it all.
 *
 * Errors:  what fails, fails the case.
 * Threads: each client is one.
 */
#ifndef TESTS_HISTORY_CREW_H
#define TESTS_HISTORY_CREW_H

#include "common/slice.h"
#include "tests/history.h"

/* `op`, `key` and (set) `value` are given, the rest is filled in. */
struct crew_op {
    enum history_op op;
    char key[16];
    uint64_t number;        /* the key's */
    uint64_t value;
    enum history_result result;
};

/* `session` is what `begin` has answered. */
typedef void crew_fn(void *session, struct crew_op *ops, size_t n);

struct crew {
    void *(*begin)(void *arg);      /* in the client's thread; NULL: arg is
                                       everybody's session */
    void (*end)(void *session);     /* may be NULL */
    crew_fn *fn;
    void *arg;
    unsigned clients, keys;
    size_t rounds;                  /* of each client */
    size_t batch;                   /* ops at once, at most */
    size_t large;                   /* every fourth value is so long, if it
                                       is not 0 */
    uint64_t seed;
};

/* From now on who gives a lock back may lose the processor at that moment, by
 * chance: that is where what a lock should have held together comes apart,
 * and without help it seldom happens. For the case's whole process, so call
 * it first, before there are threads. */
void crew_noise(uint64_t seed);

/* The bytes that stand for a value: borrowed, good until the thread's next
 * call. */
enum { CREW_VALUE_MAX = 8192 };
struct slice crew_bytes(uint64_t value, size_t large);

/* The value that these bytes stand for; a failure if there is none. */
uint64_t crew_value(struct slice bytes, size_t large);

/* Works until every client has done its rounds, beside which `beside` (unless
 * NULL) is called over and over again; and checks. On a failure the window is
 * printed, and a picture and the whole history lie beside the log. */
void crew_work(const char *tried, const struct crew *crew,
               void (*beside)(void *arg));

#endif
