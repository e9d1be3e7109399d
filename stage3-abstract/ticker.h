/* ticker.h -- calls a function once a second, on a thread of its own.
 *
 * Given. For STORE_INTERVAL.
 *
 * Errors:  0 or a negative errno.
 * Threads: ticker_stop must not be called from the function. Once it has
 *          returned, the function does not run any more. The caller must
 *          hold no lock that the function takes.
 */
#ifndef STAGE3_TICKER_H
#define STAGE3_TICKER_H

struct ticker;

/* Calls fn(arg) ms milliseconds after it last returned, until ticker_stop.
 * *out is owned: ticker_stop. */
int ticker_start(struct ticker **out, unsigned ms, void (*fn)(void *),
                 void *arg);

/* Waits for a call that runs, and frees. NULL is allowed. */
void ticker_stop(struct ticker *ticker);

#endif
