/* proto.h -- what client and server say to each other.
 *
 * You write: decode.c (task 2.9)
 * Given:     proto.c, which makes frames and takes replies apart
 *
 * Both sides send frames, as many as they like without waiting (pipelining);
 * replies come in the order of the requests and carry their ids.
 *
 * Shapes:  all numbers little-endian.
 *
 *   frame, PROTO_HEADER (16) bytes, then the body
 *      0  1  magic 0xB7: no text protocol starts with it
 *      1  1  version, 1
 *      2  1  opcode; a reply has its request's
 *      3  1  0; in a reply the status
 *      4  4  length of the body, at most PROTO_BODY_MAX
 *      8  8  id: the client's, any number; a reply has its request's
 *
 *   request bodies
 *     PING, STATS    empty
 *     GET, REMOVE    key length (4), key
 *     SET            key length (4), key, value (the rest)
 *     BATCH          count (4), then for each: opcode (1; GET, SET or REMOVE),
 *                    0 (3), key length (4), value length (4; 0 but for SET),
 *                    key, value. At most PROTO_BATCH_MAX of them
 *
 *   reply bodies
 *     GET            the value (status OK), else empty
 *     STATS          text, a "name value" line each
 *     BATCH          count (4), then for each: status (1), 0 (3), value
 *                    length (4), value
 *     others         empty
 *
 * A frame that breaks these rules is answered with PROTO_BAD_FRAME (its id, if
 * the header has come), and then the connection is closed: where the next
 * frame begins, nobody can know. An answer to no request (there is no room
 * for a connection) has the opcode 0 and the id 0.
 *
 * A key or value that is only too long for its limit in a frame within
 * PROTO_BODY_MAX is answered PROTO_TOO_BIG, and the connection goes on. So
 * is, in a batch, an item that is too long, or a get whose value would make
 * the reply longer than PROTO_BODY_MAX.
 *
 * Errors:  0 or a negative errno: -EPROTO a bad frame, -EMSGSIZE a body, key
 *          or value too long, -ENOMEM. Outputs untouched, but for what a
 *          function says.
 * Threads: any; nothing here has state.
 * Source:  memcached's binary protocol, and what its designers regretted.
 */
#ifndef STAGE2_PROTO_H
#define STAGE2_PROTO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/buf.h"
#include "common/slice.h"

enum {
    PROTO_MAGIC = 0xB7,
    PROTO_VERSION = 1,
    PROTO_HEADER = 16,
    PROTO_KEY_MAX = 128 * 1024,
    PROTO_VALUE_MAX = 16 * 1024 * 1024,
    PROTO_BODY_MAX = PROTO_VALUE_MAX + PROTO_KEY_MAX + 4096,
    PROTO_BATCH_MAX = 4096
};

struct conn_host;           /* conn.h */

enum proto_op {
    PROTO_PING = 1,         /* 0 and others: in replies to bad frames */
    PROTO_GET = 2,
    PROTO_SET = 3,
    PROTO_REMOVE = 4,
    PROTO_STATS = 5,
    PROTO_BATCH = 6
};

/* The numbers stay as they are for ever. */
enum proto_status {
    PROTO_OK = 0,
    PROTO_NOT_FOUND = 1,
    PROTO_TOO_BIG = 2,      /* key, value, or a batch's reply */
    PROTO_BUSY = 3,         /* no more connections, or no memory: later */
    PROTO_BAD_FRAME = 4,    /* and the connection is closed */
    PROTO_NO_SPACE = 5,     /* the disk is full */
    PROTO_READ_ONLY = 6,    /* the store takes no changes any more */
    PROTO_CORRUPT = 7,      /* the record is damaged */
    PROTO_FAILED = 8,       /* anything else, such as a disk error */
    PROTO_STOPPING = 9
};

struct proto_request {
    enum proto_op op;
    uint64_t id;
    struct slice key;       /* GET, SET, REMOVE; borrowed from the frame */
    struct slice value;     /* SET */
    struct slice batch;     /* BATCH: its items, checked; for proto_next */
    uint32_t batch_count;
    const struct conn_host *host;   /* set by conn_peek; not of the frame */
};

struct proto_reply {
    enum proto_op op;
    enum proto_status status;
    uint64_t id;
    struct slice value;     /* GET, STATS: the value; BATCH: its items */
    uint32_t batch_count;
};

/* Looks at bytes received so far, from the start of a frame. (2.9)
 *
 *   > 0         a whole frame of so many bytes; *out says what it asks, its
 *               slices lie in `bytes`
 *   0           so far it may become a frame: come again with more
 *   -EPROTO     magic, version, opcode, byte 3, a length or a batch is wrong.
 *               As soon as it can be known: a wrong first byte at once, a
 *               wrong length when the header is there; what is wrong in the
 *               body at the latest when all of it is there
 *   -EMSGSIZE   a body longer than PROTO_BODY_MAX is claimed: as above
 *
 * With an error out->op and out->id are what stands at their places, as far as
 * it has come (else 0), for the reply. An empty key is -EPROTO; one that is longer than PROTO_KEY_MAX,
 * or such a value, is a whole frame (the server answers TOO_BIG). Nothing is
 * believed before it is checked: no byte behind bytes.len is read. */
ssize_t proto_decode(struct slice bytes, struct proto_request *out);

/* Takes the next item of a batch from *items, which shrinks; *out as a
 * single request. True until there is none. */
bool proto_next(struct slice *items, struct proto_request *out);

/* ---- making frames: appended to a buf, 0 or -ENOMEM ------------------- */

int proto_put_request(struct buf *to, const struct proto_request *request);

/* A batch: begin, add for each item, end with what begin answered. */
int proto_begin_batch(struct buf *to, uint64_t id, size_t *start);
int proto_add_item(struct buf *to, enum proto_op op, struct slice key,
                   struct slice value);
void proto_end_batch(struct buf *to, size_t start, uint32_t count);

int proto_put_reply(struct buf *to, const struct proto_reply *reply);

/* A reply whose value the caller appends to the buf itself in between. */
int proto_begin_reply(struct buf *to, enum proto_op op, uint64_t id,
                      size_t *start);
void proto_end_reply(struct buf *to, size_t start, enum proto_status status);

int proto_add_reply_item(struct buf *to, enum proto_status status,
                         struct slice value);

/* ---- for the client --------------------------------------------------- */

/* As proto_decode, for replies. */
ssize_t proto_decode_reply(struct slice bytes, struct proto_reply *out);
bool proto_next_reply(struct slice *items, enum proto_status *status,
                      struct slice *value);

/* ---- words and numbers ------------------------------------------------- */

/* The one place where a store's answer becomes a status, and back. */
enum proto_status proto_status_of(int err);
int proto_status_error(enum proto_status status);
const char *proto_status_text(enum proto_status status);

#endif
