/* client.c -- given. */
#include "stage2-server/client.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/sock.h"

enum { READ = 64 * 1024 };

struct client {
    int fd;
    int patience_ms;        /* -1: no limit */
    uint64_t next_id;       /* of the plain calls */
    struct buf out, in;
    size_t in_at;           /* in: taken up to here */
};

int client_open(struct client **out, const struct sockaddr_storage *addr,
                unsigned timeout_ms)
{
    struct client *client = calloc(1, sizeof *client);

    if (!client)
        return -ENOMEM;
    client->patience_ms = timeout_ms > 0 ? (int)timeout_ms : -1;
    client->fd = sock_connect(addr, client->patience_ms);
    int err = client->fd < 0 ? client->fd
                             : sock_set_timeout(client->fd, timeout_ms);
    if (err) {
        client_close(client);
        return err;
    }
    *out = client;
    return 0;
}

void client_close(struct client *client)
{
    if (!client)
        return;
    if (client->fd >= 0)
        close(client->fd);
    buf_release(&client->out);
    buf_release(&client->in);
    free(client);
}

/* ---- many in flight ------------------------------------------------------ */

int client_put(struct client *client, const struct proto_request *request)
{
    return proto_put_request(&client->out, request);
}

/* What has been taken goes, and there is room to read. */
static int make_room(struct client *client)
{
    buf_consume(&client->in, client->in_at);
    client->in_at = 0;
    return buf_reserve(&client->in, READ);
}

static int receive(struct client *client, int flags)
{
    struct buf *in = &client->in;
    int err = make_room(client);
    ssize_t n;

    if (err)
        return err;
    do
        n = recv(client->fd, in->ptr + in->len, in->cap - in->len, flags);
    while (n < 0 && errno == EINTR);
    if (n == 0)
        return -ECONNRESET;
    if (n < 0)
        return -errno;
    in->len += (size_t)n;
    return 0;
}

/* The server may have stopped reading because we do not: so while there is
 * no room to send, what comes is received. */
static int await_room(struct client *client)
{
    struct pollfd p = { client->fd, POLLIN | POLLOUT, 0 };
    int n = poll(&p, 1, client->patience_ms);

    if (n < 0)
        return errno == EINTR ? 0 : -errno;
    if (n == 0)
        return -ETIMEDOUT;
    if (!(p.revents & POLLIN))
        return 0;
    int err = receive(client, MSG_DONTWAIT);
    return err == -EAGAIN ? 0 : err;
}

int client_send(struct client *client)
{
    size_t done = 0;
    int err = 0;

    while (!err && done < client->out.len) {
        ssize_t n = send(client->fd, client->out.ptr + done,
                         client->out.len - done, MSG_NOSIGNAL | MSG_DONTWAIT);

        if (n >= 0)
            done += (size_t)n;
        else if (errno == EAGAIN)
            err = await_room(client);
        else if (errno != EINTR)
            err = -errno;
    }
    buf_clear(&client->out);
    return err;
}

int client_take(struct client *client, struct proto_reply *reply)
{
    for (;;) {
        struct slice there = slice_of(client->in.ptr + client->in_at,
                                      client->in.len - client->in_at);
        ssize_t len = proto_decode_reply(there, reply);

        if (len > 0) {
            client->in_at += (size_t)len;
            return 0;
        }
        if (len < 0)
            return -EPROTO;
        int err = receive(client, 0);
        if (err)
            return err == -EAGAIN ? -ETIMEDOUT : err;
    }
}

/* ---- one at a time ------------------------------------------------------- */

/* Sends the request and waits. A server that has no room for us says so
 * unasked and hangs up, perhaps before all is sent: look for its words. */
static int ask(struct client *client, struct proto_request request,
               struct proto_reply *reply)
{
    request.id = ++client->next_id;
    int err = client_put(client, &request);
    if (err)
        return err;
    int sent = client_send(client);
    err = client_take(client, reply);
    if (err)
        return sent ? sent : err;
    if (reply->status != PROTO_OK && reply->op == 0)
        return proto_status_error(reply->status);
    if (reply->op != request.op || reply->id != request.id)
        return -EPROTO;
    return proto_status_error(reply->status);
}

int client_ping(struct client *client)
{
    struct proto_reply reply;

    return ask(client, (struct proto_request){ .op = PROTO_PING }, &reply);
}

int client_get(struct client *client, struct slice key, struct buf *value)
{
    struct proto_reply reply;
    int err = ask(client, (struct proto_request){ .op = PROTO_GET,
                                                  .key = key }, &reply);

    return err ? err : buf_replace(value, reply.value);
}

int client_set(struct client *client, struct slice key, struct slice value)
{
    struct proto_reply reply;

    return ask(client, (struct proto_request){ .op = PROTO_SET, .key = key,
                                               .value = value }, &reply);
}

int client_remove(struct client *client, struct slice key)
{
    struct proto_reply reply;

    return ask(client, (struct proto_request){ .op = PROTO_REMOVE,
                                               .key = key }, &reply);
}

int client_stats(struct client *client, struct buf *text)
{
    struct proto_reply reply;
    int err = ask(client, (struct proto_request){ .op = PROTO_STATS },
                  &reply);

    return err ? err : buf_replace(text, reply.value);
}
