/* wire.h -- requests and replies in one of several protocols.
 *
 * Given.
 *
 * The load generator speaks to our server in frames (proto.h) and, in RESP2,
 * to redis, and to whoever else understands GET, SET and DEL.
 *
 * Errors:  0 or a negative errno.
 * Threads: any; nothing here has state.
 * Source:  the description of RESP2 by the redis project.
 */
#ifndef STAGE4_WIRE_H
#define STAGE4_WIRE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/buf.h"
#include "common/slice.h"
#include "stage4-bench/workload.h"

struct wire_request {
    enum work_op op;
    uint64_t id;
    struct slice key, value;
};

enum wire_kind {
    WIRE_VALUE,         /* of a get */
    WIRE_DONE,          /* of a set, and of a remove of what was there */
    WIRE_NOT_FOUND,     /* of a get, and of a remove */
    WIRE_FAILED         /* the server says no; `text` says why */
};

struct wire_reply {
    enum wire_kind kind;
    struct slice value;     /* borrowed from the bytes */
    struct slice text;      /* of WIRE_FAILED; borrowed, or a literal */
    bool labelled;          /* in this protocol a reply says what it answers: */
    uint64_t id;
    enum work_op op;
};

struct wire {
    const char *name;
    int (*put)(struct buf *to, const struct wire_request *request);

    /* Looks at what has come: > 0, a reply of so many bytes; 0, not yet whole;
     * -EPROTO, no such thing exists. */
    ssize_t (*take)(struct slice bytes, struct wire_reply *out);
};

/* "kvs" or "resp"; NULL: no such protocol. */
const struct wire *wire_find(const char *name);

#endif
