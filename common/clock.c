/* clock.c -- given. */
#include "common/clock.h"

#include <limits.h>

#define PER_S  UINT64_C(1000000000)
#define PER_MS UINT64_C(1000000)

static uint64_t read_clock(clockid_t id)
{
    struct timespec t;

    clock_gettime(id, &t);      /* cannot fail: the clock exists */
    return (uint64_t)t.tv_sec * PER_S + (uint64_t)t.tv_nsec;
}

uint64_t clock_now_ns(void)
{
    return read_clock(CLOCK_MONOTONIC);
}

uint64_t clock_cpu_ns(void)
{
    return read_clock(CLOCK_PROCESS_CPUTIME_ID);
}

uint64_t clock_thread_cpu_ns(void)
{
    return read_clock(CLOCK_THREAD_CPUTIME_ID);
}

uint64_t deadline_in_ms(int64_t ms)
{
    uint64_t now = clock_now_ns();

    if (ms < 0 || (uint64_t)ms > (DEADLINE_NEVER - now) / PER_MS)
        return DEADLINE_NEVER;
    return now + (uint64_t)ms * PER_MS;
}

bool deadline_over(uint64_t deadline)
{
    return clock_now_ns() >= deadline;
}

int deadline_left_ms(uint64_t deadline)
{
    uint64_t now = clock_now_ns();

    if (deadline == DEADLINE_NEVER)
        return -1;
    if (now >= deadline)
        return 0;
    uint64_t ms = (deadline - now - 1) / PER_MS + 1;
    return ms < INT_MAX ? (int)ms : INT_MAX;
}

struct timespec deadline_timespec(uint64_t deadline)
{
    return (struct timespec){ .tv_sec = (time_t)(deadline / PER_S),
                              .tv_nsec = (long)(deadline % PER_S) };
}
