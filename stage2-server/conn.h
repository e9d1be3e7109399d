/* conn.h -- one connection: its socket and its two buffers.
 *
 * Given.
 *
 * What has been received and not yet served waits in `in`; what has been
 * answered and not yet sent, in `out`. Neither blocks: a slow peer costs
 * memory, which is bounded (reactor.h), and never a thread.
 *
 * Which protocol it speaks is decided by its first byte, once, from a table
 * of parsers (conn_parsers): frames (proto.h), and RESP (proto_resp.h).
 *
 * Threads: a connection has one owner at a time: the reactor, or the thread
 *          that got it from reactor_wait and has not yet given it back.
 *          Only the owner calls these.
 */
#ifndef STAGE2_CONN_H
#define STAGE2_CONN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/buf.h"
#include "stage2-server/proto.h"

/* How a protocol's bytes become requests, and answers its bytes. */
struct conn_parser {
    const char *name;
    bool (*starts)(unsigned char first);

    /* As proto_decode. It may mark, in the bytes of a whole request, what it
     * has found there. */
    ssize_t (*decode)(struct slice bytes, struct proto_request *out);

    /* Append the reply to a request. The value of a get is appended by the
     * caller between begin and end, and so is what a batch's reply has: the
     * count, then the items (proto_add_reply_item); `end` with any other
     * status than OK drops what was appended since begin. With op 0 it is a
     * reply to no request in particular. */
    int (*begin)(struct buf *to, const struct proto_request *request,
                 size_t *start);
    int (*end)(struct buf *to, const struct proto_request *request,
               size_t start, enum proto_status status);
};

/* What a parser may ask the server for, beside requests. */
struct conn_host {
    void *store;
    uint64_t (*keys)(void *store);
    int (*scan)(void *store, int (*fn)(void *arg, struct slice key,
                                       struct slice value), void *arg);
};

/* Ends with NULL. */
extern const struct conn_parser *const conn_parsers[];

struct conn {
    int fd;
    const struct conn_parser *parser;   /* NULL before the first byte */
    const struct conn_host *host;       /* may be NULL; for the parser */
    struct buf in, out;
    size_t in_at;           /* in: served up to here */
    size_t out_at;          /* out: sent up to here */
    uint64_t sent;          /* bytes, in all */
    bool again;             /* the owner, before giving it back: there may be
                               another whole request in `in`. It comes again
                               when no more than out_max bytes are unsent */
    bool closing;           /* the owner: close once `out` is sent */
    bool ended;             /* the peer has sent its last */
    bool broken;            /* the socket has failed: nothing can be sent */
    void *user;             /* the server's; NULL at first. Nobody tells when
                               the connection ends: what it points to is
                               the server's to free before giving it back */
    struct conn_private *private;       /* the reactor's */
};

/* The next whole request, without taking it: as proto_decode (0 also when
 * nothing is there). Its slices lie in `in`, and are good until conn_taken or
 * the connection is given back. To look at several before serving any, pass
 * where to look: 0 is the first byte not yet taken.
 *
 * The first peek of a connection sets `parser`. A first byte that no parser
 * starts with is left to the first of the table, which says -EPROTO and can
 * frame the answer. */
ssize_t conn_peek(struct conn *conn, size_t at, struct proto_request *out);

/* The first `len` bytes not yet taken are served. */
void conn_taken(struct conn *conn, size_t len);

/* How many bytes are waiting to be served, and to be sent. */
size_t conn_unserved(const struct conn *conn);
size_t conn_unsent(const struct conn *conn);

/* Sends what it can without waiting. 0; -EAGAIN when some is left (the
 * reactor goes on with it); another error when the peer is gone, which also
 * sets `broken`. Never a signal. */
int conn_flush(struct conn *conn);

#endif
