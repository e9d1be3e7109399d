/* peer.c -- given. */
#include "tests/peer.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <linux/sockios.h>
#include <malloc.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/time.h>
#include <unistd.h>

#include "tests/driver.h"

enum { PIECE = 64 * 1024 };

/* ---- opening and closing ------------------------------------------------ */

struct sockaddr_storage loopback(int port)
{
    struct sockaddr_in in = { .sin_family = AF_INET,
                              .sin_port = htons((uint16_t)port) };
    struct sockaddr_storage addr = { 0 };

    in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    memcpy(&addr, &in, sizeof in);
    return addr;
}

/* A signal came meanwhile; connecting goes on. */
static int connected_later(int fd)
{
    struct pollfd wait = { .fd = fd, .events = POLLOUT };
    socklen_t size = sizeof(int);
    int err = ETIMEDOUT;

    while (poll(&wait, 1, (int)patience_s() * 1000) < 0 && errno == EINTR)
        ;
    if (wait.revents)
        getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &size);
    return err;
}

static bool connected(struct peer *peer, int port, int bytes)
{
    struct sockaddr_storage addr = loopback(port);
    struct timeval limit = { .tv_sec = patience_s() };

    *peer = (struct peer){ .fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC,
                                        0) };
    if (peer->fd < 0)
        return false;
    setsockopt(peer->fd, IPPROTO_TCP, TCP_NODELAY, &(int){ 1 }, sizeof(int));
    setsockopt(peer->fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    setsockopt(peer->fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    if (bytes > 0) {
        setsockopt(peer->fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes);
        setsockopt(peer->fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes);
    }
    int err = connect(peer->fd, (struct sockaddr *)&addr,
                      sizeof(struct sockaddr_in)) == 0 ? 0 : errno;
    if (err == EINTR)
        err = connected_later(peer->fd);
    if (!err)
        return true;
    close(peer->fd);
    peer->fd = -1;
    errno = err;
    return false;
}

bool peer_try_open(struct peer *peer, int port)
{
    return connected(peer, port, 0);
}

void peer_open_small(struct peer *peer, int port, int bytes)
{
    if (!connected(peer, port, bytes))
        fail_case(__FILE__, __LINE__, "connecting to the server",
                  "a connection", "%s", strerror(errno));
}

void peer_open(struct peer *peer, int port)
{
    peer_open_small(peer, port, 0);
}

void peer_close(struct peer *peer)
{
    if (peer->fd >= 0)
        close(peer->fd);
    peer->fd = -1;
    buf_release(&peer->in);
    peer->at = 0;
}

void peer_reset(struct peer *peer)
{
    struct linger now = { .l_onoff = 1, .l_linger = 0 };

    setsockopt(peer->fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    peer_close(peer);
}

void peer_half_close(struct peer *peer)
{
    expect_int("shutdown(SHUT_WR) by the client",
               shutdown(peer->fd, SHUT_WR), 0);
}

/* ---- sending ------------------------------------------------------------ */

bool peer_try_send(struct peer *peer, const void *bytes, size_t len)
{
    const char *at = bytes;

    while (len > 0) {
        ssize_t n = send(peer->fd, at, len, MSG_NOSIGNAL);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        at += n;
        len -= (size_t)n;
    }
    return true;
}

void peer_send(struct peer *peer, const void *bytes, size_t len)
{
    if (!peer_try_send(peer, bytes, len))
        fail_case(__FILE__, __LINE__, "sending to the server",
                  "it takes the bytes", "%s", strerror(errno));
}

void peer_send_buf(struct peer *peer, struct buf *bytes)
{
    peer_send(peer, bytes->ptr, bytes->len);
    buf_clear(bytes);
}

static bool nothing_under_way(void *arg)
{
    struct peer *peer = arg;
    int left = 1;

    return ioctl(peer->fd, SIOCOUTQ, &left) == 0 && left == 0;
}

void peer_expect_arrived(struct peer *peer)
{
    expect_soon("sending to the server", "its kernel has received it all",
                nothing_under_way, peer);
}

/* ---- frames ------------------------------------------------------------- */

static void put(struct buf *to, const struct proto_request *request)
{
    expect_int("proto_put_request", proto_put_request(to, request), 0);
}

void put_ping(struct buf *to, uint64_t id)
{
    put(to, &(struct proto_request){ .op = PROTO_PING, .id = id });
}

void put_get(struct buf *to, uint64_t id, struct slice key)
{
    put(to, &(struct proto_request){ .op = PROTO_GET, .id = id, .key = key });
}

void put_set(struct buf *to, uint64_t id, struct slice key,
             struct slice value)
{
    put(to, &(struct proto_request){ .op = PROTO_SET, .id = id, .key = key,
                                     .value = value });
}

void put_header(struct buf *to, int magic, int version, int op, uint32_t len,
                uint64_t id)
{
    unsigned char h[PROTO_HEADER] = { (unsigned char)magic,
                                      (unsigned char)version,
                                      (unsigned char)op };

    for (int i = 0; i < 4; i++)
        h[4 + i] = (unsigned char)(len >> (8 * i));
    for (int i = 0; i < 8; i++)
        h[8 + i] = (unsigned char)(id >> (8 * i));
    expect_int("buf_append", buf_append(to, h, sizeof h), 0);
}

/* ---- replies ------------------------------------------------------------ */

/* Whether more has come; false: the other side has closed. */
static bool receive(struct peer *peer, const char *tried)
{
    if (peer->at > 0 && peer->at == peer->in.len) {
        peer->at = 0;
        buf_clear(&peer->in);
    } else if (peer->at > PIECE) {
        buf_consume(&peer->in, peer->at);
        peer->at = 0;
    }
    expect_int("memory for replies", buf_reserve(&peer->in, PIECE), 0);
    for (;;) {
        ssize_t n = recv(peer->fd, peer->in.ptr + peer->in.len,
                         peer->in.cap - peer->in.len, 0);

        if (n > 0)
            peer->in.len += (size_t)n;
        if (n >= 0)
            return n > 0;
        if (errno == ECONNRESET || errno == EPIPE)
            return false;
        if (errno != EINTR)
            fail_case(__FILE__, __LINE__, tried,
                      "a reply, or the end of the connection",
                      "nothing for %u s (%s)", patience_s(), strerror(errno));
    }
}

static bool next_reply(struct peer *peer, const char *tried,
                       struct proto_reply *reply)
{
    for (;;) {
        ssize_t n = proto_decode_reply(
            slice_of(peer->in.ptr + peer->at, peer->in.len - peer->at),
            reply);

        if (n > 0) {
            peer->at += (size_t)n;
            return true;
        }
        expect_int("taking a reply apart", n, 0);
        if (!receive(peer, tried))
            return false;
    }
}

bool peer_try_take(struct peer *peer, struct proto_reply *reply)
{
    return next_reply(peer, "waiting for a reply", reply);
}

void peer_take(struct peer *peer, const char *tried,
               struct proto_reply *reply)
{
    if (!next_reply(peer, tried, reply))
        fail_case(__FILE__, __LINE__, tried, "a reply",
                  "the connection has ended");
}

static void take(struct peer *peer, const char *tried, uint64_t id,
                 enum proto_status status, struct proto_reply *reply)
{
    peer_take(peer, tried, reply);
    if (reply->id != id)
        fail_case(__FILE__, __LINE__, tried, "replies in the order of the "
                  "requests, each with its id", "id %llu instead of %llu",
                  (unsigned long long)reply->id, (unsigned long long)id);
    check_str(__FILE__, __LINE__, tried, proto_status_text(reply->status),
              proto_status_text(status));
}

void peer_expect(struct peer *peer, const char *tried, uint64_t id,
                 enum proto_status status)
{
    struct proto_reply reply;

    take(peer, tried, id, status, &reply);
}

void peer_expect_value(struct peer *peer, const char *tried, uint64_t id,
                       struct slice value)
{
    struct proto_reply reply;

    take(peer, tried, id, PROTO_OK, &reply);
    expect_bytes(tried, reply.value, value);
}

void expect_bytes(const char *tried, struct slice got, struct slice wanted)
{
    const unsigned char *g = got.ptr, *w = wanted.ptr;
    size_t i = 0;

    while (i < got.len && i < wanted.len && g[i] == w[i])
        i++;
    if (i == got.len && i == wanted.len)
        return;
    if (i < got.len && i < wanted.len)
        fail_case(__FILE__, __LINE__, tried, "these bytes", "byte %zu of %zu "
                  "is %#x instead of %#x", i, wanted.len, g[i], w[i]);
    fail_case(__FILE__, __LINE__, tried, "these bytes, and so many",
              "%zu bytes instead of %zu; the first %zu are right", got.len,
              wanted.len, i);
}

void peer_expect_silence(struct peer *peer, const char *tried)
{
    char byte;
    ssize_t n = recv(peer->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    int err = n < 0 ? errno : 0;

    if (peer->at < peer->in.len || n > 0)
        fail_case(__FILE__, __LINE__, tried, "nothing comes",
                  "bytes of a reply");
    if (n == 0 || err != EAGAIN)
        fail_case(__FILE__, __LINE__, tried, "nothing comes, and the "
                  "connection stays", "%s", n == 0 ? "its end"
                                                   : strerror(err));
}

void peer_expect_end(struct peer *peer, const char *tried)
{
    struct proto_reply reply;

    if (next_reply(peer, tried, &reply))
        fail_case(__FILE__, __LINE__, tried, "the connection ends",
                  "another reply: id %llu, %s", (unsigned long long)reply.id,
                  proto_status_text(reply.status));
    expect_int(tried, peer->in.len - peer->at, 0);
}

void peer_ping(struct peer *peer, const char *tried, uint64_t id)
{
    struct buf frame = { 0 };

    put_ping(&frame, id);
    peer_send_buf(peer, &frame);
    peer_expect(peer, tried, id, PROTO_OK);
    buf_release(&frame);
}

/* ---- this process ------------------------------------------------------- */

size_t descriptors(void)
{
    DIR *dir = opendir("/proc/self/fd");
    size_t n = 0;

    if (!dir)
        return 0;
    for (struct dirent *e; (e = readdir(dir));)
        n += e->d_name[0] != '.';
    closedir(dir);
    return n - 1;
}

static bool no_more_descriptors(void *arg)
{
    return descriptors() <= *(size_t *)arg;
}

void expect_descriptors(const char *tried, size_t before)
{
    if (!wait_until(no_more_descriptors, &before))
        fail_case(__FILE__, __LINE__, tried,
                  "every connection that has ended is closed",
                  "%zu are still open after %u s", descriptors() - before,
                  patience_s());
}

size_t heap_used(void)
{
    struct mallinfo2 info = mallinfo2();

    return under_tool() ? 0 : info.uordblks + info.hblkhd;
}
