/* intercept_time.c -- sleeps and clocks, in virtual time.
 *
 * A sleep gives the turn away and sets the thread's alarm; it costs no real
 * time. Clocks start at fixed values, so that two runs see the same, and
 * each look at one moves it a little, so that a loop with a deadline ends.
 * Clocks of CPU time stay real.
 */
#include "grading/explore/intercept.h"

#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <sys/select.h>
#include <sys/time.h>
#include <unistd.h>

enum { NS = 1000000000 };

static bool is_virtual(clockid_t clock)
{
    switch (clock) {
    case CLOCK_REALTIME:
    case CLOCK_REALTIME_COARSE:
    case CLOCK_MONOTONIC:
    case CLOCK_MONOTONIC_COARSE:
    case CLOCK_MONOTONIC_RAW:
    case CLOCK_BOOTTIME:
    case CLOCK_TAI:
        return true;
    default:
        return false;
    }
}

/* Seconds on the clock when the virtual time is 0. */
static int64_t start_of(clockid_t clock)
{
    return clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE ||
           clock == CLOCK_TAI ? 1700000000 : 1000;
}

bool intercept_valid(const struct timespec *t)
{
    return t->tv_nsec >= 0 && t->tv_nsec < NS;
}

/* Of a span; so long that it never ends if need be. */
int64_t intercept_ns(const struct timespec *t)
{
    if (t->tv_sec < 0)
        return 0;
    if (t->tv_sec >= NEVER / NS / 2)
        return NEVER / 2;
    return t->tv_sec * NS + t->tv_nsec;
}

int64_t intercept_time(clockid_t clock, const struct timespec *t)
{
    struct timespec span = *t;

    if (span.tv_sec < start_of(clock))
        return 0;
    span.tv_sec -= start_of(clock);
    return intercept_ns(&span);
}

struct timespec intercept_clock(clockid_t clock)
{
    return (struct timespec){ start_of(clock) + now / NS, now % NS };
}

/* Answers 0: no sleep is interrupted. */
static int sleep_ns(int64_t ns)
{
    sched_test_cancel();
    report_row(OP_SLEEP, 0, (uint32_t)(ns / 1000 < UINT32_MAX ?
                                       ns / 1000 : UINT32_MAX));
    sched_doze(ns > 0 ? ns : 1);
    return intercept_leave(0);
}

int nanosleep(const struct timespec *t, struct timespec *left)
{
    if (!intercept_valid(t) || !ENTER())
        return REAL(nanosleep)(t, left);
    return sleep_ns(intercept_ns(t));
}

int clock_nanosleep(clockid_t clock, int flags, const struct timespec *t,
                    struct timespec *left)
{
    if (!is_virtual(clock) || !intercept_valid(t) || !ENTER())
        return REAL(clock_nanosleep)(clock, flags, t, left);
    if (flags & TIMER_ABSTIME)
        return sleep_ns(intercept_time(clock, t) - now);
    return sleep_ns(intercept_ns(t));
}

int usleep(useconds_t us)
{
    if (!ENTER())
        return REAL(usleep)(us);
    return sleep_ns((int64_t)us * 1000);
}

unsigned sleep(unsigned seconds)
{
    if (!ENTER())
        return REAL(sleep)(seconds);
    return (unsigned)sleep_ns((int64_t)seconds * NS);
}

static int yield(void)
{
    report_row(OP_YIELD, 0, 0);
    sched_idle(true);
    return intercept_leave(0);
}

int sched_yield(void)
{
    if (!ENTER())
        return REAL(sched_yield)();
    return yield();
}

/* The header makes pthread_yield another name of sched_yield; programs may
 * still ask for the symbol. */
int old_pthread_yield(void) __asm__("pthread_yield");

int old_pthread_yield(void)
{
    if (!ENTER())
        return REAL(sched_yield)();
    return yield();
}

/* With no descriptor to wait for, these are sleeps. */
int poll(struct pollfd *fds, nfds_t n, int ms)
{
    if (n > 0 || ms < 0 || !ENTER())
        return REAL(poll)(fds, n, ms);
    return sleep_ns((int64_t)ms * 1000000);
}

int select(int n, fd_set *in, fd_set *out, fd_set *other, struct timeval *t)
{
    if (n > 0 || !t || !ENTER())
        return REAL(select)(n, in, out, other, t);
    return sleep_ns((int64_t)t->tv_sec * NS + (int64_t)t->tv_usec * 1000);
}

int clock_gettime(clockid_t clock, struct timespec *t)
{
    if (!is_virtual(clock) || !ENTER())
        return REAL(clock_gettime)(clock, t);
    sched_idle(false);
    *t = intercept_clock(clock);
    return intercept_leave(0);
}

int timespec_get(struct timespec *t, int base)
{
    if (base != TIME_UTC || !ENTER())
        return REAL(timespec_get)(t, base);
    sched_idle(false);
    *t = intercept_clock(CLOCK_REALTIME);
    return intercept_leave(base);
}

int gettimeofday(struct timeval *restrict t, void *restrict zone)
{
    if (!ENTER())
        return REAL(gettimeofday)(t, zone);
    sched_idle(false);
    struct timespec at = intercept_clock(CLOCK_REALTIME);
    *t = (struct timeval){ at.tv_sec, at.tv_nsec / 1000 };
    return intercept_leave(0);
}

time_t time(time_t *t)
{
    if (!ENTER())
        return REAL(time)(t);
    sched_idle(false);
    time_t at = intercept_clock(CLOCK_REALTIME).tv_sec;
    intercept_leave(0);
    if (t)
        *t = at;
    return at;
}
