/* counter.c -- given. */
#include "common/counter.h"

#include <assert.h>

#include "common/annotate.h"

uint64_t counter_add(struct counter *counter, uint64_t n)
{
    HAPPENS_BEFORE(&counter->value);
    uint64_t before = atomic_fetch_add(&counter->value, n);
    HAPPENS_AFTER(&counter->value);
    COUNTER_STEP(counter, '+');
    return before + n;
}

uint64_t counter_sub(struct counter *counter, uint64_t n)
{
    HAPPENS_BEFORE(&counter->value);
    uint64_t before = atomic_fetch_sub(&counter->value, n);
    HAPPENS_AFTER(&counter->value);
    assert(before >= n);
    COUNTER_STEP(counter, '-');
    return before - n;
}

uint64_t counter_get(struct counter *counter)
{
    uint64_t value = atomic_load(&counter->value);
    HAPPENS_AFTER(&counter->value);
    COUNTER_STEP(counter, '=');
    return value;
}
