/* pool_test.h -- what the cases of every pool share.
 *
 * Given. Compiled once for each pool, with POOL_NAME naming it.
 */
#ifndef TESTS_POOL_TEST_H
#define TESTS_POOL_TEST_H

#include "stage1-pool/pool.h"
#include "tests/driver.h"

struct pool *made_pool(unsigned threads, size_t capacity);

/* A count that several threads raise, and wait for. */
struct tally {
    pthread_mutex_t lock;   /* guards n */
    pthread_cond_t grown;
    size_t n;
};

#define TALLY { PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0 }

void tally_up(void *tally);         /* a pool_job_fn: adds one */
size_t tally_now(struct tally *t);
void tally_wait(struct tally *t, size_t n);   /* until it is n or more */

/* As tally_wait, but gives up after the patience and fails the case. */
void expect_tally(const char *tried, struct tally *t, size_t n);

/* Holds jobs until it is opened. */
struct gate {
    struct tally inside;    /* jobs that have come */
    struct tally open;
};

#define GATE { TALLY, TALLY }

void gate_pass(void *gate);         /* a pool_job_fn */
void gate_open(struct gate *g);

void submit(struct pool *pool, pool_job_fn *fn, void *arg);

/* The next pthread_create calls work, then the k-th from now fails. */
void fail_create_at(unsigned k);

/* From now on all of them fail; or, with false, none. */
void fail_creates(bool all);

/* Waits until this process has as many threads as it had `before`. */
void expect_threads(const char *tried, unsigned before);

/* pool_hard_test.c: the cases of task 1.7. */
extern const struct test_case hard_cases[];

/* pool_glib_test.c, where it is linked. */
extern const struct test_case glib_cases[] __attribute__((weak));

#endif
