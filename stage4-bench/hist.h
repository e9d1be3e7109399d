/* hist.h -- how often each duration came: a log-bucketed histogram.
 *
 * You write: hist.c (tasks 4.1, 4.2)
 *
 * A mean hides what users feel: one request in a thousand that takes a second.
 * So a load generator keeps all latencies; but a list of ten million numbers
 * has no room, and sorting it no time. A histogram whose buckets grow with
 * the value keeps them all in a few ten KiB, each within 1 % of what it was,
 * and two of them are added by adding their buckets.
 *
 * Between calls these hold:
 *   1. count, min, max and mean are exact; a percentile is within 1 % of a
 *      value that was added (with rounding, 1 for the smallest values);
 *   2. whatever the order of adds and merges, the answers are the same;
 *   3. the memory does not grow: at most 256 KiB a histogram.
 *
 * Shapes:  values are nanoseconds, or any numbers from 0 to 2^63 - 1.
 *          Small ones have a bucket each; above that every power of two is
 *          cut into equally many.
 * Errors:  -ENOMEM.
 * Threads: one at a time. Threads that measure have a histogram each, merged
 *          at the end: that is cheaper than any lock.
 * Source:  Gil Tene's HdrHistogram, for the idea.
 */
#ifndef STAGE4_HIST_H
#define STAGE4_HIST_H

#include <stdint.h>

struct hist;

/* An empty one; owned: hist_destroy (NULL is allowed).  (4.1) */
int hist_create(struct hist **out);
void hist_destroy(struct hist *hist);

/* One more value.  (4.1) */
void hist_add(struct hist *hist, uint64_t value);

/* Exact; all of them 0 for an empty histogram.  (4.1) */
uint64_t hist_count(const struct hist *hist);
uint64_t hist_min(const struct hist *hist);
uint64_t hist_max(const struct hist *hist);
double hist_mean(const struct hist *hist);

/* The smallest value that at least `percent` % of all values are not above:
 * of 1,000 values, p99.9 is the 999th in order. 0 % is min, 100 % is max. 0
 * for an empty histogram.  (4.1) */
uint64_t hist_percentile(const struct hist *hist, double percent);

/* What `from` has seen, `into` has seen too, now; `from` stays as it is. They
 * are two different ones.  (4.2) */
void hist_merge(struct hist *into, const struct hist *from);

#endif
