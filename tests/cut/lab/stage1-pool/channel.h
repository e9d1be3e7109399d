/* channel.h -- a small channel with planted bugs; see channel.c. */
#ifndef PLANTED_CHANNEL_H
#define PLANTED_CHANNEL_H

#include <stddef.h>

struct channel;

struct channel *channel_create(size_t capacity);
void channel_destroy(struct channel *ch);
int channel_send(struct channel *ch, int item);
int channel_recv(struct channel *ch);
size_t channel_peek(struct channel *ch);
void channel_close(struct channel *ch);

#endif
