/* channel.h -- a bounded queue between threads: many senders, many receivers.
 *
 * You write: channel.c (tasks 1.2, 1.3, 1.4, and channel_force_send in 1.7)
 *
 * A channel is how threads hand work to each other without sharing anything
 * else. It holds at most `capacity` items, so a fast sender is slowed to
 * the speed of the receivers instead of filling memory.
 *
 * Between calls these hold:
 *   1. items come out in the order they went in, each exactly once;
 *   2. no more than `capacity` items wait (but see channel_force_send);
 *   3. no thread sleeps in recv while an item waits that nobody has been
 *      woken for, and none in send while there is room (no lost wake-up);
 *   4. once closed, nothing goes in, and what is in still comes out.
 *
 * Shapes:  an item is item_size bytes, copied in and copied out; the
 *          channel never looks inside.
 * Errors:  0 or a negative errno; on an error *item and *out are untouched.
 *            -EAGAIN  a try function would have had to wait
 *            -EPIPE   send: the channel is closed;
 *                     recv: it is closed and empty
 *            -EINVAL  a capacity or an item size of 0
 *            -ENOMEM  out of memory
 * Threads: every function may be called by any number of threads at once,
 *          but for destroy, which must be the last call. A thread that
 *          waits uses no CPU.
 * Source:  the bounded buffer of Dijkstra's "Cooperating sequential
 *          processes" (1965), as a monitor (Hoare, 1974); the words are
 *          those of Go's channels.
 */
#ifndef STAGE1_CHANNEL_H
#define STAGE1_CHANNEL_H

#include <stddef.h>
#include <stdint.h>

struct channel;

/* Makes an empty, open channel. *out is owned: channel_destroy.  (1.2) */
int channel_create(struct channel **out, size_t capacity, size_t item_size);

/* Frees it, with whatever is still inside. No thread may be in a call, and
 * none may come later. NULL is allowed.  (1.2) */
void channel_destroy(struct channel *channel);

/* Copies *item in, if there is room now; else -EAGAIN.  (1.2; -EPIPE: 1.4) */
int channel_try_send(struct channel *channel, const void *item);

/* Copies the oldest item out, if there is one now; else -EAGAIN, or -EPIPE
 * when no item will ever come.  (1.2; -EPIPE: 1.4) */
int channel_try_recv(struct channel *channel, void *item);

/* How many items have gone in since the channel was made.  (1.2) */
uint64_t channel_sent(struct channel *channel);

/* As try_send, but waits for room. Closing wakes it: -EPIPE.  (1.3, 1.4) */
int channel_send(struct channel *channel, const void *item);

/* As try_recv, but waits for an item. Closing wakes it.  (1.3, 1.4) */
int channel_recv(struct channel *channel, void *item);

/* Waits until there is an item, then takes what is there now, at most max:
 * one wait, one lock, many items. `items` has room for max of them. Answers
 * how many came (at least 1, at most INT_MAX), -EPIPE, or -EINVAL for a max
 * of 0.  (1.4) */
int channel_recv_batch(struct channel *channel, void *items, size_t max);

/* Lets nothing more in and wakes everybody who waits. Closing twice is
 * allowed.  (1.4) */
void channel_close(struct channel *channel);

/* A send that never waits: when the channel is full it goes in above
 * capacity, in its turn, and senders wait until there are again fewer than
 * `capacity`. For a receiver that must send to the channel it empties: if
 * all receivers waited for room, nobody would make any.  (1.7) */
int channel_force_send(struct channel *channel, const void *item);

#endif
