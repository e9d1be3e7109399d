/* channel.c -- a small channel with bugs planted on purpose. Built once for
 * each bug: -DBUG=the name of one. The logs next to this folder are what the
 * tools say about them. */
#include "stage1-pool/channel.h"

#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "common/lock.h"
#include "bugs.h"

struct channel {
    pthread_mutex_t lock;
    pthread_mutex_t log_lock;
    pthread_cond_t filled;
    size_t capacity, head, count;
    bool closed;
    int *ring;
};

static unsigned long sent_in_all;
static unsigned sends_of[4];

struct channel *channel_create(size_t capacity)
{
    struct channel *ch = malloc(sizeof *ch);

    if (BUG != uninit)
        memset(ch, 0, sizeof *ch);
    ch->ring = malloc(capacity * sizeof *ch->ring);
    ch->capacity = capacity;
    mutex_init(&ch->lock);
    mutex_init(&ch->log_lock);
    cond_init(&ch->filled);
    if (BUG == fd)
        open("/dev/null", O_RDONLY);
    if (BUG == uninit)
        ch->head = 0, ch->closed = false;
    return ch;
}

void channel_destroy(struct channel *ch)
{
    if (BUG == destroy_locked)
        mutex_lock(&ch->lock);
    if (BUG == destroy_locked)
        pthread_mutex_destroy(&ch->lock);
    else
        mutex_release(&ch->lock);
    mutex_release(&ch->log_lock);
    cond_release(&ch->filled);
    if (BUG == bad_free)
        free(ch->ring + 1);
    if (BUG != leak)
        free(ch->ring);
    if (BUG == double_free)
        free(ch->ring);
    if (BUG != leak)
        free(ch);
}

static void put_locked(struct channel *ch, int item)
{
    size_t tail = (ch->head + ch->count) % ch->capacity;

    if (BUG == overflow)
        tail++;
    ch->ring[tail] = item;
    ch->count++;
}

static int take_locked(struct channel *ch)
{
    int item = ch->ring[ch->head];

    ch->head = (ch->head + 1) % ch->capacity;
    ch->count--;
    return item;
}

/* Counts, with log_lock held the wrong way round in one bug. */
static void count_send(struct channel *ch, int item)
{
    mutex_lock(&ch->log_lock);
    if (BUG == lock_order)
        mutex_lock(&ch->lock);
    sent_in_all++;
    if (BUG == lock_order)
        mutex_unlock(&ch->lock);
    mutex_unlock(&ch->log_lock);
    if (BUG == race_global)
        sent_in_all++;
    if (BUG == past_global)
        sends_of[4 + item % 2]++;
}

int channel_send(struct channel *ch, int item)
{
    if (BUG == race_heap) {
        put_locked(ch, item);
        mutex_lock(&ch->lock);
    } else {
        mutex_lock(&ch->lock);
        if (ch->count == ch->capacity) {
            if (BUG != lock_kept && BUG != unlock_foreign)
                mutex_unlock(&ch->lock);
            return -1;
        }
        put_locked(ch, item);
    }
    if (BUG == relock)
        pthread_mutex_lock(&ch->lock);
    mutex_unlock(&ch->lock);
    if (BUG == unlock_twice)
        pthread_mutex_unlock(&ch->lock);
    cond_signal(&ch->filled);
    count_send(ch, item);
    return 0;
}

int channel_recv(struct channel *ch)
{
    int item = -1;

    if (BUG == wait_unlocked)
        pthread_cond_wait(&ch->filled, &ch->lock);
    mutex_lock(&ch->lock);
    while (ch->count == 0 && !ch->closed)
        cond_wait(&ch->filled, &ch->lock);
    if (ch->count > 0)
        item = take_locked(ch);
    if (BUG == lock_order) {
        mutex_lock(&ch->log_lock);
        mutex_unlock(&ch->log_lock);
    }
    mutex_unlock(&ch->lock);
    return item;
}

size_t channel_peek(struct channel *ch)
{
    if (BUG == unlock_foreign)
        pthread_mutex_unlock(&ch->lock);
    return ch->count;
}

void channel_close(struct channel *ch)
{
    mutex_lock(&ch->lock);
    ch->closed = true;
    cond_broadcast(&ch->filled);
    if (BUG != exit_locked)
        mutex_unlock(&ch->lock);
}
