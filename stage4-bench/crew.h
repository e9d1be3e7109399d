/* crew.h -- the load of several threads, as one.
 *
 * Given.
 *
 * Errors:  of the first thread that failed; the result has what all of them
 *          measured until then. -EINVAL, -EAGAIN, -ENOMEM before anything ran.
 * Threads: one at a time. `tick` is called by the calling thread, a few times
 *          a second, while the others work.
 */
#ifndef STAGE4_CREW_H
#define STAGE4_CREW_H

#include "stage4-bench/load.h"

/* In the result busy_ns is how long the threads were not waiting for the
 * server, of run_ns in all (of every thread, the connecting too).
 *
 * Runs `load` with its connections, rate and counts shared among so many
 * threads (no more than connections). first and of are set here. */
int crew_run(const struct load_options *load, unsigned threads,
             void (*tick)(void *arg), void *arg, struct load_result *result);

#endif
