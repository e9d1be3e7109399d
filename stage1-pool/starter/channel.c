/* channel.c -- yours: stage 1, tasks 1.2-1.4, and 1.7 (force_send). */
#include "stage1-pool/channel.h"

#include "common/not_written.h"

/* One mutex, two condition variables (what does each of them mean?), a ring
 * of `capacity` items of `item_size` bytes. Say what the mutex guards. */
struct channel {
    int unused;
};

int channel_create(struct channel **out, size_t capacity, size_t item_size)
{
    /* Check the sizes, allocate, initialise; on an error free what you have. */
    (void)out, (void)capacity, (void)item_size;
    return not_written("1.2");
}

void channel_destroy(struct channel *channel)
{
    /* Free everything; NULL is allowed. */
    (void)channel;
    not_written("1.2");
}

int channel_try_send(struct channel *channel, const void *item)
{
    /* Room: copy it in at the tail. No room: -EAGAIN. */
    (void)channel, (void)item;
    return not_written("1.2");
}

int channel_try_recv(struct channel *channel, void *item)
{
    /* An item: copy it out from the head. None: -EAGAIN. */
    (void)channel, (void)item;
    return not_written("1.2");
}

uint64_t channel_sent(struct channel *channel)
{
    /* Count in the place where an item goes in. */
    (void)channel;
    return (uint64_t)not_written("1.2");
}

int channel_send(struct channel *channel, const void *item)
{
    /* While there is no room, wait. Whom do you wake afterwards? */
    (void)channel, (void)item;
    return not_written("1.3");
}

int channel_recv(struct channel *channel, void *item)
{
    /* The mirror image of send. */
    (void)channel, (void)item;
    return not_written("1.3");
}

int channel_recv_batch(struct channel *channel, void *items, size_t max)
{
    /* You make room for several senders at once: wake enough of them. */
    (void)channel, (void)items, (void)max;
    return not_written("1.4");
}

void channel_close(struct channel *channel)
{
    /* Everybody who waits must look again: go back to your waiting loops. */
    (void)channel;
    not_written("1.4");
}

int channel_force_send(struct channel *channel, const void *item)
{
    /* Never waits, so when the ring is full it has to grow. */
    (void)channel, (void)item;
    return not_written("1.7");
}
