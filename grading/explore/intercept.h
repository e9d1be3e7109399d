/* intercept.h -- what the functions that replace the C library's share.
 *
 * Each has the same shape: unless the calling thread takes part, it is the
 * real function; else it notes where it was called from and asks the model.
 * A thread does not take part when it was not made by pthread_create, has
 * ended but for its unwinding, or is in a forked child.
 */
#ifndef EXPLORE_INTERCEPT_H
#define EXPLORE_INTERCEPT_H

#include <dlfcn.h>

#include "grading/explore/sched.h"

#pragma GCC visibility push(hidden)

/* The function that we stand before. */
#define REAL(fn) __extension__ ({                                   \
    static __typeof__(&fn) real_;                                   \
    if (!real_)                                                     \
        *(void **)&real_ = dlsym(RTLD_NEXT, #fn);                   \
    real_; })

#define ENTER() intercept_enter(__builtin_frame_address(0))

/* Whether the thread takes part. Then intercept_leave must follow. */
bool intercept_enter(const void *frame);

/* Passes the answer on. */
int intercept_leave(int answer);

/* The virtual time of a point on a clock, and of the clock now. */
int64_t intercept_time(clockid_t clock, const struct timespec *t);
struct timespec intercept_clock(clockid_t clock);
int64_t intercept_ns(const struct timespec *t);
bool intercept_valid(const struct timespec *t);

#pragma GCC visibility pop

#endif
