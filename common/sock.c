/* sock.c -- given. */
#include "common/sock.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

#include "common/clock.h"

/* The number in the text, or -1. */
static int parse_port(const char *text)
{
    int port = 0;

    if (*text == '\0' || (text[0] == '0' && text[1] != '\0'))
        return -1;
    for (; *text; text++) {
        if (*text < '0' || *text > '9')
            return -1;
        port = 10 * port + (*text - '0');
        if (port > UINT16_MAX)
            return -1;
    }
    return port;
}

int sock_parse(struct sockaddr_storage *out, const char *text)
{
    const char *colon = strrchr(text, ':');
    size_t len = colon ? (size_t)(colon - text) : 0;
    bool v6 = len >= 2 && text[0] == '[' && colon[-1] == ']';
    int port = colon ? parse_port(colon + 1) : -1;
    char host[INET6_ADDRSTRLEN] = "";
    struct sockaddr_storage addr;

    if (v6) {
        text++;
        len -= 2;
    }
    if (port < 0 || len >= sizeof host)
        return -EINVAL;
    memcpy(host, text, len);
    memset(&addr, 0, sizeof addr);
    if (v6) {
        struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&addr;

        in6->sin6_family = AF_INET6;
        in6->sin6_port = htons((uint16_t)port);
        if (inet_pton(AF_INET6, host, &in6->sin6_addr) != 1)
            return -EINVAL;
    } else {
        struct sockaddr_in *in = (struct sockaddr_in *)&addr;

        in->sin_family = AF_INET;
        in->sin_port = htons((uint16_t)port);
        if (inet_pton(AF_INET, host, &in->sin_addr) != 1)
            return -EINVAL;
    }
    *out = addr;
    return 0;
}

const char *sock_format(const struct sockaddr_storage *addr,
                        char text[SOCK_TEXT_MAX])
{
    const struct sockaddr_in *in = (const struct sockaddr_in *)addr;
    const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)addr;
    char host[INET6_ADDRSTRLEN];

    if (addr->ss_family == AF_INET) {
        inet_ntop(AF_INET, &in->sin_addr, host, sizeof host);
        snprintf(text, SOCK_TEXT_MAX, "%s:%u", host,
                 (unsigned)ntohs(in->sin_port));
    } else if (addr->ss_family == AF_INET6) {
        inet_ntop(AF_INET6, &in6->sin6_addr, host, sizeof host);
        snprintf(text, SOCK_TEXT_MAX, "[%s]:%u", host,
                 (unsigned)ntohs(in6->sin6_port));
    } else {
        strcpy(text, "?");
    }
    return text;
}

static socklen_t size_of(const struct sockaddr_storage *addr)
{
    return addr->ss_family == AF_INET6 ? sizeof(struct sockaddr_in6)
                                       : sizeof(struct sockaddr_in);
}

static int switch_on(int fd, int level, int option)
{
    return setsockopt(fd, level, option, &(int){ 1 }, sizeof(int));
}

/* The answer of a function that failed with fd open; errno says why. */
static int close_failed(int fd)
{
    int err = -errno;

    close(fd);
    return err;
}

int sock_listen(const struct sockaddr_storage *addr, int backlog, int flags)
{
    int fd = socket(addr->ss_family, SOCK_STREAM | flags, 0);

    if (fd < 0)
        return -errno;
    if (switch_on(fd, SOL_SOCKET, SO_REUSEADDR) != 0
        || bind(fd, (const struct sockaddr *)addr, size_of(addr)) != 0
        || listen(fd, backlog) != 0)
        return close_failed(fd);
    return fd;
}

/* Waits until the connection under way has succeeded or failed. */
static int await_connected(int fd, uint64_t deadline)
{
    struct pollfd p = { .fd = fd, .events = POLLOUT };
    int n, err;

    do
        n = poll(&p, 1, deadline_left_ms(deadline));
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return -errno;
    if (n == 0)
        return -ETIMEDOUT;
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &(socklen_t){ sizeof err }))
        return -errno;
    return -err;
}

int sock_connect(const struct sockaddr_storage *addr, int timeout_ms)
{
    uint64_t deadline = deadline_in_ms(timeout_ms);
    int fd = socket(addr->ss_family,
                    SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int err = 0;

    if (fd < 0)
        return -errno;
    if (connect(fd, (const struct sockaddr *)addr, size_of(addr)) != 0)
        err = errno == EINPROGRESS ? await_connected(fd, deadline) : -errno;
    if (err) {
        close(fd);
        return err;
    }
    if (fcntl(fd, F_SETFL, 0) != 0
        || switch_on(fd, IPPROTO_TCP, TCP_NODELAY) != 0)
        return close_failed(fd);
    return fd;
}

int sock_set_timeout(int fd, unsigned timeout_ms)
{
    struct timeval t = { .tv_sec = timeout_ms / 1000,
                         .tv_usec = timeout_ms % 1000 * 1000 };

    if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof t) != 0
        || setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &t, sizeof t) != 0)
        return -errno;
    return 0;
}

/* On a blocking socket, EAGAIN is how the kernel says that time is over. */
static int failure(void)
{
    return errno == EAGAIN ? -ETIMEDOUT : -errno;
}

int sock_send_all(int fd, const void *from, size_t len)
{
    for (size_t done = 0; done < len;) {
        ssize_t n = send(fd, (const char *)from + done, len - done,
                         MSG_NOSIGNAL);

        if (n >= 0)
            done += (size_t)n;
        else if (errno != EINTR)
            return failure();
    }
    return 0;
}

ssize_t sock_recv_all(int fd, void *to, size_t len)
{
    size_t done = 0;

    while (done < len) {
        ssize_t n = recv(fd, (char *)to + done, len - done, 0);

        if (n == 0)
            break;
        if (n > 0)
            done += (size_t)n;
        else if (errno != EINTR)
            return failure();
    }
    return (ssize_t)done;
}

int sock_port(int fd)
{
    struct sockaddr_storage addr;

    if (getsockname(fd, (struct sockaddr *)&addr,
                    &(socklen_t){ sizeof addr }) != 0)
        return -errno;
    if (addr.ss_family == AF_INET)
        return ntohs(((struct sockaddr_in *)&addr)->sin_port);
    if (addr.ss_family == AF_INET6)
        return ntohs(((struct sockaddr_in6 *)&addr)->sin6_port);
    return -EINVAL;
}
