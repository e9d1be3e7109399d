/* counter.h -- a number that threads count together, without a lock.
 *
 * Given.
 *
 * Two kinds of use, and the function's name says which:
 *
 *   hand-over   The value decides who may touch other memory: "my part is
 *               written, and I was the last", a reference count. counter_
 *               add, sub and get: what a thread did before its add or sub
 *               is visible to whoever then sees the value.
 *   statistics  Only the number matters. counter_add_relaxed and
 *               counter_get_relaxed: cheaper, and they order nothing.
 *
 * The schedule explorer, where it is preloaded, has an explore_count, and may
 * let another thread come in right after each.
 *
 * Helgrind and ThreadSanitizer accept both. They would not accept (the
 * first) a plain C11 atomic used for a hand-over, nor (both) an int.
 *
 * Shapes:  all zero is a counter at 0. It wraps at 2^64.
 * Errors:  none; taking off more than there is, is a bug (abort).
 * Threads: any, at any time.
 */
#ifndef COMMON_COUNTER_H
#define COMMON_COUNTER_H

#include <stdatomic.h>
#include <stdint.h>

struct counter {
    _Atomic uint64_t value;     /* by the functions below only */
};

#ifndef NVALGRIND
void explore_count(const void *counter, int what) __attribute__((weak));
#define COUNTER_STEP(counter, what) \
    (explore_count ? explore_count(counter, what) : (void)0)
#else
#define COUNTER_STEP(counter, what) ((void)0)
#endif

/* Sets the value; before other threads know the counter. */
static inline void counter_init(struct counter *counter, uint64_t value)
{
    atomic_init(&counter->value, value);
}

/* These answer the new value. */
uint64_t counter_add(struct counter *counter, uint64_t n);
uint64_t counter_sub(struct counter *counter, uint64_t n);

uint64_t counter_get(struct counter *counter);

static inline void counter_add_relaxed(struct counter *counter, uint64_t n)
{
    atomic_fetch_add_explicit(&counter->value, n, memory_order_relaxed);
    COUNTER_STEP(counter, '+');
}

static inline uint64_t counter_get_relaxed(const struct counter *counter)
{
    uint64_t value = atomic_load_explicit(&counter->value,
                                          memory_order_relaxed);

    COUNTER_STEP(counter, '=');
    return value;
}

#endif
