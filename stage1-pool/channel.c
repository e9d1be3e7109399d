/* channel.c -- yours: stage 1, tasks 1.2-1.4, and 1.7 (force_send).
 *
 * A ring of slots under one mutex. The ring has `capacity` slots until a
 * force_send needs more; then it doubles, and stays.
 *
 * Who is woken, and why so few. A wake-up costs far more than an item: if
 * every send signalled, a burst of sends would wake every receiver, and
 * most would find the ring empty again. So at most one receiver is on its
 * way at a time. A send that finds one on its way wakes nobody; the woken
 * receiver, once it holds the lock, takes an item and itself wakes the next
 * if items and sleepers remain. Nothing is lost, by this invariant, true
 * whenever the lock is free:
 *
 *     an item waits and receivers sleep  =>  a wake-up is on its way
 *
 * send keeps it (it signals unless one is on its way), and so does each
 * receiver that wakes, for whatever reason: it ends "on its way", looks
 * again, and signals if the left side still holds. A signal that finds its
 * receiver already up is no loss either: such a receiver is still counted
 * as asleep, has yet to take the lock, and will look. Senders waiting for
 * room are treated the same way, by the same struct.
 *
 * Signals are sent after the unlock, so that the woken thread does not run
 * straight into our lock. That is safe because destroy is the last call: a
 * condition lives as long as any thread is inside a function here.
 */
#include "stage1-pool/channel.h"

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "common/lock.h"

/* Threads that wait for one thing. */
struct waiters {
    pthread_cond_t cond;
    size_t asleep;      /* in cond_wait, or woken and not yet in */
    bool waking;        /* one was signalled and is not yet in */
};

struct channel {
    pthread_mutex_t lock;   /* guards everything but the set-once fields */
    struct waiters receivers, senders;
    size_t capacity;        /* set once */
    size_t item_size;       /* set once */
    unsigned char *ring;    /* slots items long */
    size_t slots;
    size_t head;            /* slot of the oldest item */
    size_t count;           /* how many items wait */
    uint64_t sent;
    bool closed;
};

int channel_create(struct channel **out, size_t capacity, size_t item_size)
{
    if (capacity == 0 || item_size == 0)
        return -EINVAL;
    struct channel *ch = calloc(1, sizeof *ch);
    if (!ch)
        return -ENOMEM;
    ch->ring = calloc(capacity, item_size);
    if (!ch->ring) {
        free(ch);
        return -ENOMEM;
    }
    ch->capacity = ch->slots = capacity;
    ch->item_size = item_size;
    mutex_init(&ch->lock);
    cond_init(&ch->receivers.cond);
    cond_init(&ch->senders.cond);
    *out = ch;
    return 0;
}

void channel_destroy(struct channel *ch)
{
    if (!ch)
        return;
    cond_release(&ch->senders.cond);
    cond_release(&ch->receivers.cond);
    mutex_release(&ch->lock);
    free(ch->ring);
    free(ch);
}

static bool has_room(const struct channel *ch)
{
    return ch->count < ch->capacity;
}

/* Sleeps once; the caller loops. */
static void sleep_locked(struct channel *ch, struct waiters *w)
{
    w->asleep++;
    cond_wait(&w->cond, &ch->lock);
    w->asleep--;
    w->waking = false;
}

/* Unlocks, then wakes one receiver if `items` and one sender if there is
 * room, each unless one is on its way. */
static void unlock_and_wake(struct channel *ch)
{
    struct waiters *r = &ch->receivers, *s = &ch->senders;
    bool wake_r = ch->count > 0 && r->asleep > 0 && !r->waking;
    bool wake_s = s->asleep > 0 && !s->waking && has_room(ch);

    if (wake_r)
        r->waking = true;
    if (wake_s)
        s->waking = true;
    mutex_unlock(&ch->lock);
    if (wake_r)
        cond_signal(&r->cond);
    if (wake_s)
        cond_signal(&s->cond);
}

/* Most items are a job, two words: let the compiler see that size. */
static void copy_item(void *to, const void *from, size_t size)
{
    if (size == 2 * sizeof(void *))
        memcpy(to, from, 2 * sizeof(void *));
    else
        memcpy(to, from, size);
}

static void put_locked(struct channel *ch, const void *item)
{
    size_t tail = ch->head + ch->count;

    if (tail >= ch->slots)
        tail -= ch->slots;
    copy_item(ch->ring + tail * ch->item_size, item, ch->item_size);
    ch->count++;
    ch->sent++;
}

static void take_locked(struct channel *ch, void *item)
{
    copy_item(item, ch->ring + ch->head * ch->item_size, ch->item_size);
    if (++ch->head == ch->slots)
        ch->head = 0;
    ch->count--;
}

static int send_item(struct channel *ch, const void *item, bool wait)
{
    int err = 0;

    mutex_lock(&ch->lock);
    while (wait && !ch->closed && !has_room(ch))
        sleep_locked(ch, &ch->senders);
    if (ch->closed)
        err = -EPIPE;
    else if (!has_room(ch))
        err = -EAGAIN;
    else
        put_locked(ch, item);
    unlock_and_wake(ch);
    return err;
}

static int recv_item(struct channel *ch, void *item, bool wait)
{
    int err = 0;

    mutex_lock(&ch->lock);
    while (wait && !ch->closed && ch->count == 0)
        sleep_locked(ch, &ch->receivers);
    if (ch->count > 0)
        take_locked(ch, item);
    else
        err = ch->closed ? -EPIPE : -EAGAIN;
    unlock_and_wake(ch);
    return err;
}

int channel_try_send(struct channel *ch, const void *item)
{
    return send_item(ch, item, false);
}

int channel_try_recv(struct channel *ch, void *item)
{
    return recv_item(ch, item, false);
}

int channel_send(struct channel *ch, const void *item)
{
    return send_item(ch, item, true);
}

int channel_recv(struct channel *ch, void *item)
{
    return recv_item(ch, item, true);
}

uint64_t channel_sent(struct channel *ch)
{
    mutex_lock(&ch->lock);
    uint64_t sent = ch->sent;
    mutex_unlock(&ch->lock);
    return sent;
}

int channel_recv_batch(struct channel *ch, void *items, size_t max)
{
    unsigned char *to = items;
    int n = 0;

    if (max == 0)
        return -EINVAL;
    mutex_lock(&ch->lock);
    while (!ch->closed && ch->count == 0)
        sleep_locked(ch, &ch->receivers);
    while (ch->count > 0 && (size_t)n < max && n < INT_MAX)
        take_locked(ch, to + (size_t)n++ * ch->item_size);
    unlock_and_wake(ch);
    return n > 0 ? n : -EPIPE;
}

void channel_close(struct channel *ch)
{
    mutex_lock(&ch->lock);
    ch->closed = true;
    cond_broadcast(&ch->receivers.cond);
    cond_broadcast(&ch->senders.cond);
    mutex_unlock(&ch->lock);
}

/* Doubles the ring; the items are laid out from slot 0 on. */
static int grow_locked(struct channel *ch)
{
    size_t size = ch->item_size, first = ch->slots - ch->head;
    unsigned char *ring = calloc(ch->slots, 2 * size);

    if (!ring)
        return -ENOMEM;
    memcpy(ring, ch->ring + ch->head * size, first * size);
    memcpy(ring + first * size, ch->ring, ch->head * size);
    free(ch->ring);
    ch->ring = ring;
    ch->head = 0;
    ch->slots *= 2;
    return 0;
}

int channel_force_send(struct channel *ch, const void *item)
{
    int err = 0;

    mutex_lock(&ch->lock);
    if (ch->closed)
        err = -EPIPE;
    else if (ch->count == ch->slots)
        err = grow_locked(ch);
    if (!err)
        put_locked(ch, item);
    unlock_and_wake(ch);
    return err;
}
