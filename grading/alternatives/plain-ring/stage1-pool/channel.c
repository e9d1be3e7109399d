/* channel.c -- yours: stage 1, tasks 1.2-1.4, and 1.7 (force_send). */
/* Approach: the textbook monitor. One mutex, two condition variables, a
 * ring. Whoever changes something signals while still holding the mutex.
 * force_send doubles the ring when it is full; it never shrinks again. */
#include "stage1-pool/channel.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

struct channel {
    pthread_mutex_t lock;       /* guards everything below */
    pthread_cond_t not_empty;   /* an item came in, or closed */
    pthread_cond_t not_full;    /* there is room, or closed */
    unsigned char *ring;
    size_t slots;               /* items the ring has memory for */
    size_t head;                /* the oldest item's slot */
    size_t count;               /* items inside; above capacity when forced */
    size_t capacity;
    size_t item_size;
    uint64_t sent;
    bool closed;
};

int channel_create(struct channel **out, size_t capacity, size_t item_size)
{
    struct channel *channel;

    if (capacity == 0 || item_size == 0)
        return -EINVAL;
    channel = calloc(1, sizeof *channel);
    if (!channel)
        return -ENOMEM;
    channel->ring = calloc(capacity, item_size);    /* checks the product */
    if (!channel->ring) {
        free(channel);
        return -ENOMEM;
    }
    channel->slots = capacity;
    channel->capacity = capacity;
    channel->item_size = item_size;
    pthread_mutex_init(&channel->lock, NULL);
    pthread_cond_init(&channel->not_empty, NULL);
    pthread_cond_init(&channel->not_full, NULL);
    *out = channel;
    return 0;
}

void channel_destroy(struct channel *channel)
{
    if (!channel)
        return;
    pthread_cond_destroy(&channel->not_full);
    pthread_cond_destroy(&channel->not_empty);
    pthread_mutex_destroy(&channel->lock);
    free(channel->ring);
    free(channel);
}

/* The memory of the index-th oldest item; index <= count, index < slots. */
static unsigned char *slot_locked(struct channel *channel, size_t index)
{
    size_t until_wrap = channel->slots - channel->head;
    size_t slot = index < until_wrap ? channel->head + index
                                     : index - until_wrap;

    return channel->ring + slot * channel->item_size;
}

static void put_locked(struct channel *channel, const void *item)
{
    memcpy(slot_locked(channel, channel->count), item, channel->item_size);
    channel->count++;
    channel->sent++;
    pthread_cond_signal(&channel->not_empty);
}

static void take_locked(struct channel *channel, void *item)
{
    memcpy(item, slot_locked(channel, 0), channel->item_size);
    channel->head++;
    if (channel->head == channel->slots)
        channel->head = 0;
    channel->count--;
    if (channel->count < channel->capacity)
        pthread_cond_signal(&channel->not_full);
}

static int send_item(struct channel *channel, const void *item, bool wait)
{
    int err = 0;

    pthread_mutex_lock(&channel->lock);
    while (wait && !channel->closed && channel->count >= channel->capacity)
        pthread_cond_wait(&channel->not_full, &channel->lock);
    if (channel->closed)
        err = -EPIPE;
    else if (channel->count >= channel->capacity)
        err = -EAGAIN;
    else
        put_locked(channel, item);
    pthread_mutex_unlock(&channel->lock);
    return err;
}

static int recv_item(struct channel *channel, void *item, bool wait)
{
    int err = 0;

    pthread_mutex_lock(&channel->lock);
    while (wait && !channel->closed && channel->count == 0)
        pthread_cond_wait(&channel->not_empty, &channel->lock);
    if (channel->count > 0)
        take_locked(channel, item);
    else
        err = channel->closed ? -EPIPE : -EAGAIN;
    pthread_mutex_unlock(&channel->lock);
    return err;
}

int channel_try_send(struct channel *channel, const void *item)
{
    return send_item(channel, item, false);
}

int channel_try_recv(struct channel *channel, void *item)
{
    return recv_item(channel, item, false);
}

uint64_t channel_sent(struct channel *channel)
{
    uint64_t sent;

    pthread_mutex_lock(&channel->lock);
    sent = channel->sent;
    pthread_mutex_unlock(&channel->lock);
    return sent;
}

int channel_send(struct channel *channel, const void *item)
{
    return send_item(channel, item, true);
}

int channel_recv(struct channel *channel, void *item)
{
    return recv_item(channel, item, true);
}

int channel_recv_batch(struct channel *channel, void *items, size_t max)
{
    unsigned char *to = items;
    size_t came = 0;

    if (max == 0)
        return -EINVAL;
    if (max > INT_MAX)
        max = INT_MAX;          /* the answer is an int */
    pthread_mutex_lock(&channel->lock);
    while (!channel->closed && channel->count == 0)
        pthread_cond_wait(&channel->not_empty, &channel->lock);
    for (; came < max && channel->count > 0; came++) {
        take_locked(channel, to);       /* one signal for each item */
        to += channel->item_size;
    }
    pthread_mutex_unlock(&channel->lock);
    return came > 0 ? (int)came : -EPIPE;
}

void channel_close(struct channel *channel)
{
    pthread_mutex_lock(&channel->lock);
    channel->closed = true;
    pthread_cond_broadcast(&channel->not_empty);
    pthread_cond_broadcast(&channel->not_full);
    pthread_mutex_unlock(&channel->lock);
}

/* Moves the items to a ring of twice the slots, the oldest to slot 0. */
static int grow_locked(struct channel *channel)
{
    size_t size = channel->item_size;
    size_t first = channel->slots - channel->head;  /* items up to the end */
    unsigned char *ring;

    if (channel->slots > SIZE_MAX / 2)
        return -ENOMEM;
    ring = calloc(channel->slots * 2, size);
    if (!ring)
        return -ENOMEM;
    memcpy(ring, channel->ring + channel->head * size, first * size);
    memcpy(ring + first * size, channel->ring, channel->head * size);
    free(channel->ring);
    channel->ring = ring;
    channel->slots *= 2;
    channel->head = 0;
    return 0;
}

int channel_force_send(struct channel *channel, const void *item)
{
    int err = 0;

    pthread_mutex_lock(&channel->lock);
    if (channel->closed)
        err = -EPIPE;
    else if (channel->count == channel->slots)
        err = grow_locked(channel);
    if (!err)
        put_locked(channel, item);
    pthread_mutex_unlock(&channel->lock);
    return err;
}
