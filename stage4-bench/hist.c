/* hist.c -- yours: stage 4, tasks 4.1, 4.2. */
#include "stage4-bench/hist.h"

#include <errno.h>
#include <stdlib.h>

/* Every power of two from 128 on is cut into 128 buckets: a value lies in the
 * middle of its bucket within 1 part in 256. */
enum { SUB_BITS = 7, SUB = 1 << SUB_BITS, BUCKETS = 58 * SUB };

struct hist {
    uint64_t count, min, max;
    long double sum;
    uint64_t buckets[BUCKETS];
};

int hist_create(struct hist **out)
{
    struct hist *hist = calloc(1, sizeof *hist);

    if (!hist)
        return -ENOMEM;
    hist->min = UINT64_MAX;
    *out = hist;
    return 0;
}

void hist_destroy(struct hist *hist)
{
    free(hist);
}

/* How many low bits the bucket of a value leaves out. */
static unsigned shift_of(uint64_t value)
{
    unsigned bits = value ? 64 - (unsigned)__builtin_clzll(value) : 0;

    return bits > SUB_BITS + 1 ? bits - (SUB_BITS + 1) : 0;
}

/* What is left after the shift is below 2 * SUB, and from the first shift on
 * at least SUB: so the numbers of one shift follow those of the one before. */
static size_t bucket_of(uint64_t value)
{
    unsigned shift = shift_of(value);

    return ((size_t)shift << SUB_BITS) + (size_t)(value >> shift);
}

static uint64_t middle_of(size_t bucket)
{
    unsigned shift = bucket < 2 * SUB ? 0 :
                     (unsigned)(bucket >> SUB_BITS) - 1;
    uint64_t low = (uint64_t)(bucket - ((size_t)shift << SUB_BITS)) << shift;

    return low + ((UINT64_C(1) << shift) >> 1);
}

void hist_add(struct hist *hist, uint64_t value)
{
    hist->buckets[bucket_of(value)]++;
    hist->count++;
    hist->sum += (long double)value;
    if (value < hist->min)
        hist->min = value;
    if (value > hist->max)
        hist->max = value;
}

uint64_t hist_count(const struct hist *hist)
{
    return hist->count;
}

uint64_t hist_min(const struct hist *hist)
{
    return hist->count ? hist->min : 0;
}

uint64_t hist_max(const struct hist *hist)
{
    return hist->max;
}

double hist_mean(const struct hist *hist)
{
    return hist->count ? (double)(hist->sum / (long double)hist->count) : 0;
}

/* Which one in order, from 1. Of 1,000 values 99.9 % are 999, whatever the
 * last bits of the product say. */
static uint64_t rank_of(uint64_t count, double percent)
{
    double exact = percent / 100 * (double)count * (1 - 1e-12);
    uint64_t rank = (uint64_t)exact;

    if ((double)rank < exact)
        rank++;
    return rank < 1 ? 1 : rank > count ? count : rank;
}

static uint64_t within(uint64_t value, uint64_t low, uint64_t high)
{
    return value < low ? low : value > high ? high : value;
}

uint64_t hist_percentile(const struct hist *hist, double percent)
{
    uint64_t left;
    size_t b = 0;

    if (hist->count == 0)
        return 0;
    if (percent <= 0)
        return hist->min;
    left = rank_of(hist->count, percent);
    if (left == hist->count)
        return hist->max;
    while (hist->buckets[b] < left)
        left -= hist->buckets[b++];
    return within(middle_of(b), hist->min, hist->max);
}

void hist_merge(struct hist *into, const struct hist *from)
{
    for (size_t b = 0; b < BUCKETS; b++)
        into->buckets[b] += from->buckets[b];
    into->count += from->count;
    into->sum += from->sum;
    if (from->min < into->min)
        into->min = from->min;
    if (from->max > into->max)
        into->max = from->max;
}
