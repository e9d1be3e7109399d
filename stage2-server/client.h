/* client.h -- talks to a server.
 *
 * Given.
 *
 * The plain calls send a request and wait for its reply. To have many in
 * flight, send with client_put (which only collects), client_send, and take
 * the replies with client_take, in the same order.
 *
 * Errors:  0 or a negative errno; outputs untouched on an error. The server's
 *          statuses come as the errors they stand for (proto_status_error):
 *          -ENOENT not found, -EMSGSIZE, -EBUSY, -EBADMSG, -ENOSPC, -EROFS,
 *          -EREMOTEIO. Of the connection: -EPROTO a bad reply,
 *          -ECONNRESET, -EPIPE, -ETIMEDOUT; after one of these only
 *          client_close is left.
 * Threads: one at a time.
 */
#ifndef STAGE2_CLIENT_H
#define STAGE2_CLIENT_H

#include <sys/socket.h>

#include "common/buf.h"
#include "common/slice.h"
#include "stage2-server/proto.h"

struct client;

/* Connects. timeout_ms bounds connecting, and each wait without progress; 0:
 * no limit. *out is owned: client_close. */
int client_open(struct client **out, const struct sockaddr_storage *addr,
                unsigned timeout_ms);
void client_close(struct client *client);

int client_ping(struct client *client);
int client_get(struct client *client, struct slice key, struct buf *value);
int client_set(struct client *client, struct slice key, struct slice value);
int client_remove(struct client *client, struct slice key);
int client_stats(struct client *client, struct buf *text);

/* Collects a request; its id is the client's affair. */
int client_put(struct client *client, const struct proto_request *request);

/* Sends what was collected. */
int client_send(struct client *client);

/* Waits for the next reply; its slice is good until the next call. */
int client_take(struct client *client, struct proto_reply *reply);

#endif
