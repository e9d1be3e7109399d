/* proto_resp.h -- the second protocol on the same port: RESP2, as redis has it.
 *
 * Given.
 *
 * A connection whose first byte is '*', a letter, or white space speaks it.
 * Commands come as arrays of bulk strings, or inline (words on a line).
 *
 *   PING [message]           ECHO message
 *   GET key                  MGET key ...        (at most PROTO_BATCH_MAX)
 *   SET key value            MSET key value ...  (in order, each by itself:
 *   DEL key ...               what is set is set, whatever the next comes to)
 *   EXISTS key ...           DBSIZE
 *   SCAN cursor [MATCH pattern] [COUNT n] [TYPE type]
 *   INFO [section]           COMMAND [COUNT | DOCS ...]
 *   CONFIG GET pattern       SELECT 0
 *   QUIT
 *
 * Everything else, such as the options of SET, is answered with an error that
 * says so, and the connection goes on. It ends, after an error, when nobody
 * can know where the next command begins.
 *
 * To the server these are the requests that it knows (proto.h). What has no
 * request of its own is a PING, STATS or BATCH with another reply; `id` says
 * which. The items of a batch stay as they came: once a command is there
 * whole, the byte before each key is overwritten with a mark, which tells
 * proto_next what it is. So decode writes to the bytes it is given.
 *
 * SCAN goes by a hash of the keys: a cursor is where the next part begins. A
 * key that is there all the time is told once. COUNT is a hint that is not
 * taken: each call is one walk over the store, and brings what fits.
 *
 * Limits:  a command is at most as long as a frame (PROTO_HEADER and
 *          PROTO_BODY_MAX), an inline one 64 KiB; at most 1 + 2 *
 *          PROTO_BATCH_MAX words. Keys and values as in proto.h.
 * Errors:  as proto.h.
 * Threads: any; nothing here has state.
 * Source:  redis.io, "Redis serialization protocol specification".
 */
#ifndef STAGE2_PROTO_RESP_H
#define STAGE2_PROTO_RESP_H

#include <stdbool.h>

#include "stage2-server/conn.h"

extern const struct conn_parser proto_resp;

/* Whether an item of a batch begins with a mark; and proto_next for those. */
bool proto_resp_marked(unsigned char first);
bool proto_resp_next(struct slice *items, struct proto_request *out);

#endif
