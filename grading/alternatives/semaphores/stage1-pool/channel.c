/* channel.c -- yours: stage 1, tasks 1.2-1.4, and 1.7 (force_send). */
/* Approach: as in Go's runtime. Items are in linked nodes; a thread that
 * must wait stands in a line with a semaphore of its own, and whoever has
 * what it waits for gives it to it before waking it: a sender hands its
 * node to the first waiting receiver, a receiver that makes room moves the
 * first waiting sender's node in. So nobody who is woken has to look again.
 *
 * Under the lock, between calls:
 *   a receiver stands in line only while the channel is open and empty,
 *   a sender only while it is open and has capacity items or more. */
#include "stage1-pool/channel.h"

#include <errno.h>
#include <limits.h>
#include <semaphore.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "common/lock.h"

struct node {
    struct node *next;
    unsigned char item[];
};

/* A thread that waits; on its stack. */
struct waiter {
    struct waiter *next;
    struct node *node;  /* sender: its item; receiver: what it was given */
    int answer;
    sem_t served;       /* node and answer are as they will stay */
};

struct line {
    struct waiter *first, **last;
};

struct channel {
    size_t capacity;            /* constant, as is item_size */
    size_t item_size;
    pthread_mutex_t lock;       /* guards everything below */
    struct node *first, **last;
    size_t count;               /* nodes from first on */
    uint64_t sent;
    bool closed;
    struct line senders;
    struct line receivers;
};

/* ---- lines ---- */

static void line_init(struct line *line)
{
    line->first = NULL;
    line->last = &line->first;
}

static void line_enter(struct line *line, struct waiter *waiter)
{
    waiter->next = NULL;
    *line->last = waiter;
    line->last = &waiter->next;
}

static struct waiter *line_leave(struct line *line)
{
    struct waiter *waiter = line->first;

    line->first = waiter->next;
    if (!line->first)
        line->last = &line->first;
    return waiter;
}

static void serve_locked(struct waiter *waiter, struct node *node, int answer)
{
    waiter->node = node;
    waiter->answer = answer;
    sem_post(&waiter->served);
}

/* Enters with the lock, leaves without: stands in line until served. */
static void stand_and_unlock(struct channel *channel, struct line *line,
                             struct waiter *waiter)
{
    sem_init(&waiter->served, 0, 0);
    line_enter(line, waiter);
    mutex_unlock(&channel->lock);
    while (sem_wait(&waiter->served))
        ;       /* EINTR: a signal handler ran */
    mutex_lock(&channel->lock);     /* until sem_post has returned: it may */
    mutex_unlock(&channel->lock);   /* still look at what we destroy now */
    sem_destroy(&waiter->served);
}

/* ---- nodes ---- */

static void append_locked(struct channel *channel, struct node *node)
{
    node->next = NULL;
    *channel->last = node;
    channel->last = &node->next;
    channel->count++;
    channel->sent++;
}

/* Takes the n oldest, as a list; 1 <= n <= count. Then there may be room. */
static struct node *take_locked(struct channel *channel, size_t n)
{
    struct node *taken = channel->first, *end = taken;
    size_t i;

    for (i = 1; i < n; i++)
        end = end->next;
    channel->first = end->next;
    if (!channel->first)
        channel->last = &channel->first;
    end->next = NULL;
    channel->count -= n;

    while (channel->senders.first && channel->count < channel->capacity) {
        struct waiter *sender = line_leave(&channel->senders);

        append_locked(channel, sender->node);
        serve_locked(sender, NULL, 0);
    }
    return taken;
}

/* Copies the items of a list out and frees it; answers how many. */
static size_t unpack(struct channel *channel, struct node *list, void *items)
{
    unsigned char *to = items;
    size_t n;

    for (n = 0; list; n++) {
        struct node *next = list->next;

        memcpy(to, list->item, channel->item_size);
        to += channel->item_size;
        free(list);
        list = next;
    }
    return n;
}

/* ---- the channel ---- */

int channel_create(struct channel **out, size_t capacity, size_t item_size)
{
    struct channel *channel;

    if (capacity == 0 || item_size == 0)
        return -EINVAL;
    if (item_size > SIZE_MAX - sizeof(struct node))
        return -ENOMEM;         /* there will never be a node of that size */
    channel = calloc(1, sizeof *channel);
    if (!channel)
        return -ENOMEM;
    channel->capacity = capacity;
    channel->item_size = item_size;
    channel->last = &channel->first;
    line_init(&channel->senders);
    line_init(&channel->receivers);
    mutex_init(&channel->lock);
    *out = channel;
    return 0;
}

void channel_destroy(struct channel *channel)
{
    struct node *node, *next;

    if (!channel)
        return;
    for (node = channel->first; node; node = next) {
        next = node->next;
        free(node);
    }
    mutex_release(&channel->lock);
    free(channel);
}

enum how { TRY, WAIT, FORCE };

static int send_item(struct channel *channel, const void *item, enum how how)
{
    struct node *node = malloc(sizeof *node + channel->item_size);
    struct waiter self;
    int err = 0;

    if (!node)
        return -ENOMEM;
    node->next = NULL;
    memcpy(node->item, item, channel->item_size);

    mutex_lock(&channel->lock);
    if (channel->closed) {
        err = -EPIPE;
    } else if (channel->receivers.first) {
        channel->sent++;
        serve_locked(line_leave(&channel->receivers), node, 0);
    } else if (channel->count < channel->capacity || how == FORCE) {
        append_locked(channel, node);
    } else if (how == TRY) {
        err = -EAGAIN;
    } else {
        self.node = node;
        stand_and_unlock(channel, &channel->senders, &self);
        if (self.answer)
            free(node);
        return self.answer;
    }
    mutex_unlock(&channel->lock);
    if (err)
        free(node);
    return err;
}

int channel_try_send(struct channel *channel, const void *item)
{
    return send_item(channel, item, TRY);
}

int channel_send(struct channel *channel, const void *item)
{
    return send_item(channel, item, WAIT);
}

int channel_force_send(struct channel *channel, const void *item)
{
    return send_item(channel, item, FORCE);
}

uint64_t channel_sent(struct channel *channel)
{
    uint64_t sent;

    mutex_lock(&channel->lock);
    sent = channel->sent;
    mutex_unlock(&channel->lock);
    return sent;
}

/* What is there now, at most max nodes, as a list in *taken. */
static int take_now_locked(struct channel *channel, size_t max,
                           struct node **taken)
{
    if (channel->count == 0)
        return channel->closed ? -EPIPE : -EAGAIN;
    *taken = take_locked(channel, max < channel->count ? max : channel->count);
    return 0;
}

static int try_take(struct channel *channel, size_t max, struct node **taken)
{
    int err;

    mutex_lock(&channel->lock);
    err = take_now_locked(channel, max, taken);
    mutex_unlock(&channel->lock);
    return err;
}

/* The same, but where there is nothing it waits to be given one. */
static int take(struct channel *channel, size_t max, struct node **taken)
{
    struct waiter self;
    int err;

    mutex_lock(&channel->lock);
    err = take_now_locked(channel, max, taken);
    if (err != -EAGAIN) {
        mutex_unlock(&channel->lock);
        return err;
    }
    stand_and_unlock(channel, &channel->receivers, &self);
    if (self.answer)
        return self.answer;
    *taken = self.node;
    if (max > 1)        /* others may have come in since; if not, so be it */
        (void)try_take(channel, max - 1, &self.node->next);
    return 0;
}

int channel_try_recv(struct channel *channel, void *item)
{
    struct node *taken;
    int err = try_take(channel, 1, &taken);

    if (!err)
        unpack(channel, taken, item);
    return err;
}

int channel_recv(struct channel *channel, void *item)
{
    struct node *taken;
    int err = take(channel, 1, &taken);

    if (!err)
        unpack(channel, taken, item);
    return err;
}

int channel_recv_batch(struct channel *channel, void *items, size_t max)
{
    struct node *taken;
    int err;

    if (max == 0)
        return -EINVAL;
    if (max > INT_MAX)
        max = INT_MAX;          /* the answer is an int */
    err = take(channel, max, &taken);
    return err ? err : (int)unpack(channel, taken, items);
}

void channel_close(struct channel *channel)
{
    mutex_lock(&channel->lock);
    channel->closed = true;
    while (channel->senders.first)
        serve_locked(line_leave(&channel->senders), NULL, -EPIPE);
    while (channel->receivers.first)
        serve_locked(line_leave(&channel->receivers), NULL, -EPIPE);
    mutex_unlock(&channel->lock);
}
