/* conn.c -- given. */
#include "stage2-server/conn.h"

#include <assert.h>
#include <errno.h>
#include <sys/socket.h>

#include "stage2-server/proto_resp.h"

/* ---- the parsers -------------------------------------------------------- */

static bool binary_starts(unsigned char first)
{
    return first == PROTO_MAGIC;
}

static int binary_begin(struct buf *to, const struct proto_request *request,
                        size_t *start)
{
    return proto_begin_reply(to, request->op, request->id, start);
}

static int binary_end(struct buf *to, const struct proto_request *request,
                      size_t start, enum proto_status status)
{
    (void)request;
    proto_end_reply(to, start, status);
    return 0;
}

static const struct conn_parser binary = {
    .name = "binary",
    .starts = binary_starts,
    .decode = proto_decode,
    .begin = binary_begin,
    .end = binary_end,
};

const struct conn_parser *const conn_parsers[] = {
    &binary, &proto_resp, NULL
};

static const struct conn_parser *parser_of(unsigned char first)
{
    const struct conn_parser *const *parser = conn_parsers;

    while (*parser && !(*parser)->starts(first))
        parser++;
    return *parser ? *parser : conn_parsers[0];
}

/* ---- what has come ------------------------------------------------------ */

size_t conn_unserved(const struct conn *conn)
{
    return conn->in.len - conn->in_at;
}

ssize_t conn_peek(struct conn *conn, size_t at, struct proto_request *out)
{
    size_t there = conn_unserved(conn);

    assert(at <= there);
    if (at == there) {
        *out = (struct proto_request){ 0 };
        return 0;
    }
    const unsigned char *from = conn->in.ptr + conn->in_at + at;
    if (!conn->parser)
        conn->parser = parser_of(*from);
    ssize_t len = conn->parser->decode(slice_of(from, there - at), out);
    out->host = conn->host;
    return len;
}

void conn_taken(struct conn *conn, size_t len)
{
    assert(len <= conn_unserved(conn));
    conn->in_at += len;
    if (conn->in_at == conn->in.len) {
        conn->in_at = 0;
        buf_clear(&conn->in);
    }
}

/* ---- what is to go ------------------------------------------------------ */

size_t conn_unsent(const struct conn *conn)
{
    return conn->out.len - conn->out_at;
}

static void sent(struct conn *conn, size_t n)
{
    conn->out_at += n;
    conn->sent += n;
}

/* Some is left. What was sent is dropped from the buffer when it is more
 * than what is not: so a buffer that never becomes empty stays small, and
 * each byte moves once at most. */
static int wait_for_room(struct conn *conn)
{
    if (conn->out_at > conn_unsent(conn)) {
        buf_consume(&conn->out, conn->out_at);
        conn->out_at = 0;
    }
    return -EAGAIN;
}

int conn_flush(struct conn *conn)
{
    while (conn_unsent(conn) > 0 && !conn->broken) {
        ssize_t n = send(conn->fd, conn->out.ptr + conn->out_at,
                         conn_unsent(conn), MSG_NOSIGNAL | MSG_DONTWAIT);

        if (n >= 0)
            sent(conn, (size_t)n);
        else if (errno == EAGAIN || errno == EWOULDBLOCK)
            return wait_for_room(conn);
        else if (errno != EINTR) {
            conn->broken = true;
            return -errno;
        }
    }
    if (conn->broken)
        return -EPIPE;
    conn->out_at = 0;
    buf_clear(&conn->out);
    return 0;
}
