/* clock.h -- what time it is, how much CPU was used, how long is left.
 *
 * Given.
 *
 * Times are nanoseconds in a uint64_t: they subtract, compare and fit 584
 * years. clock_now_ns never goes back and has nothing to do with the date.
 *
 * A deadline is a moment of clock_now_ns. A wait that may be interrupted
 * computes its deadline once and asks before each try what is left, so that
 * interruptions do not make it longer. DEADLINE_NEVER is no limit.
 *
 * Errors:  none.
 * Threads: any.
 */
#ifndef COMMON_CLOCK_H
#define COMMON_CLOCK_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#define DEADLINE_NEVER UINT64_MAX

uint64_t clock_now_ns(void);

/* CPU time used so far: by all threads of the process; by this one. */
uint64_t clock_cpu_ns(void);
uint64_t clock_thread_cpu_ns(void);

/* The moment `ms` milliseconds from now; never, if ms is negative. */
uint64_t deadline_in_ms(int64_t ms);

bool deadline_over(uint64_t deadline);

/* What is left, as poll(2) and epoll_wait(2) take it: rounded up, so that
 * nobody wakes just before and finds nothing over; -1 for never. */
int deadline_left_ms(uint64_t deadline);

/* The same moment for calls that take an absolute CLOCK_MONOTONIC time. */
struct timespec deadline_timespec(uint64_t deadline);

#endif
