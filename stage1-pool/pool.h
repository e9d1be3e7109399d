/* pool.h -- run jobs on threads.
 *
 * You write: pool_naive.c (task 1.1), pool.c (tasks 1.5, 1.6, 1.7)
 * Given:     pool_serial.c
 *
 * One promise, kept several times: which object is linked behind this
 * header (make POOL=shared|naive|serial) decides how jobs run, and no
 * caller can tell but by the clock.
 *
 *   shared  a fixed number of threads and a bounded queue (a channel)
 *   naive   a thread for every job
 *   serial  no threads: a job runs in the thread that submits it
 *
 * What holds, and for which pool (r: serial, n: naive, s: shared; later
 * stages add more):
 *   1. each accepted job runs exactly once                            r n s
 *   2. with threads = 1, jobs start in the order they were accepted   r   s
 *   3. submit waits while `capacity` jobs wait to run; try_submit
 *      answers -EAGAIN then. A job that a thread has taken no longer
 *      waits                                                              s
 *   4. a job may submit to its own pool at any time, also while the
 *      pool is being destroyed: such a submit is admitted above
 *      capacity, never waits, never runs the job in place             r n s
 *   5. several threads may submit and wait at once                    r n s
 *   6. work-conserving: no accepted job stays unrun while a thread of
 *      the pool has nothing to do, even if all the other threads are
 *      blocked inside their jobs                                        n s
 *   7. at most `threads` jobs run at once                             r   s
 *   8. destroy runs what is queued, then frees everything             r n s
 *   9. after destroy no thread of the pool is alive                   r n s
 *  10. a job that ends its thread (pthread_exit) counts as run and
 *      does not shrink the pool; it never ends a caller's thread        n s
 *  11. create that cannot start its k-th thread stops the earlier ones
 *      and answers -errno                                                 s
 *  12. a thread that waits, in the pool, in submit or in wait, uses
 *      no CPU                                                         r n s
 *
 * Errors:  0 or a negative errno; outputs are untouched on an error.
 *            -EINVAL     threads or capacity is 0
 *            -ENOENT     this program has no pool of that name
 *            -EAGAIN     try_submit: full. Any: the system gives no thread
 *            -ENOMEM     out of memory
 *            -ECANCELED  the pool is being destroyed, and this is not one of
 *                        its own jobs (to submit then is a caller's bug;
 *                        whether such a job still runs is left open)
 *          A job that was not accepted never runs.
 * Threads: submit, try_submit and wait: any thread, any number at once.
 *          destroy: one thread, once, when no other thread uses the pool or
 *          will. wait and destroy inside one of the pool's own jobs would
 *          wait for themselves: a caller's bug (shared aborts, the others
 *          hang). `shared` knows its own threads by a thread-local
 *          variable, its only hidden state.
 * Source:  Birrell, "An Introduction to Programming with Threads" (1989);
 *          shape of the interface after zstd's pool.h.
 */
#ifndef STAGE1_POOL_H
#define STAGE1_POOL_H

#include <stddef.h>

typedef void pool_job_fn(void *arg);

struct pool;

struct pool_options {
    const char *name;   /* which pool; NULL: the build's default; borrowed */
    unsigned threads;   /* how many jobs run at once, at least 1 */
    size_t capacity;    /* how many jobs may wait, at least 1 */
};

/* Makes a pool and starts its threads. *out is owned: pool_destroy. */
int pool_create(struct pool **out, const struct pool_options *options);

/* Has fn(arg) run once, on a thread of the pool; waits while the queue is
 * full. arg is only passed on. */
int pool_submit(struct pool *pool, pool_job_fn *fn, void *arg);

/* As pool_submit, but answers -EAGAIN where that would wait. So from one of
 * the pool's own jobs, where submit never waits, it never answers that. */
int pool_try_submit(struct pool *pool, pool_job_fn *fn, void *arg);

/* Waits until nothing is queued and nothing runs. While others keep
 * submitting, it may go on waiting. */
void pool_wait(struct pool *pool);

/* Runs what is queued, ends the threads, frees the pool. NULL is allowed. */
void pool_destroy(struct pool *pool);

/* Given, for every pool_create: 0 if the options are in order and name
 * `own` or no name, else -EINVAL or -ENOENT. */
int pool_options_check(const struct pool_options *options, const char *own);

/* Given, for programs that let their user choose: the names of the pools
 * that this program has, the default first, NULL behind the last. */
const char *const *pool_names(void);

#endif
