/* reactor_door.c -- given: who comes in (limit 5 of reactor.h). See
 * reactor_parts.h.
 */
#include "stage2-server/reactor_parts.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/sock.h"

enum {
    ACCEPTS = 64,               /* a turn */
    REST_MS = 50
};

int reactor_open_spare(void)
{
    return open("/dev/null", O_RDONLY | O_CLOEXEC);
}

static void watch_door(struct reactor *r, bool on)
{
    struct epoll_event event = { on ? EPOLLIN : 0, { .ptr = &r->door } };

    if (r->door >= 0)
        epoll_ctl(r->epoll, EPOLL_CTL_MOD, r->door, &event);
    r->resting = !on;
}

void reactor_end_rest(struct reactor *r)
{
    if (r->resting && deadline_over(r->rest_end))
        watch_door(r, true);
}

void reactor_file_closed(struct reactor *r)
{
    if (r->spare < 0)
        r->spare = reactor_open_spare();
    if (r->resting)
        watch_door(r, true);    /* there is a descriptor now */
}

/* Says BUSY, as well as it can be said without waiting, and hangs up. What
 * the client has sent already is taken out first, or closing would reset the
 * connection and the answer might be lost. */
static void refuse(struct reactor *r, int fd)
{
    struct proto_reply busy = { .status = PROTO_BUSY };
    unsigned char trash[4096];
    struct buf frame = { 0 };

    if (proto_put_reply(&frame, &busy) == 0) {
        (void)!recv(fd, trash, sizeof trash, MSG_DONTWAIT);
        (void)!send(fd, frame.ptr, frame.len, MSG_NOSIGNAL | MSG_DONTWAIT);
        shutdown(fd, SHUT_WR);
        (void)!recv(fd, trash, sizeof trash, MSG_DONTWAIT);
    }
    buf_release(&frame);
    close(fd);
    counter_add_relaxed(&r->refused, 1);
}

/* No descriptor is left: the spare one lets the first in the queue hear so.
 * Then accepting rests, for the queue would wake us again at once. */
static void refuse_with_spare(struct reactor *r)
{
    if (r->spare >= 0) {
        close(r->spare);
        int fd = accept4(r->door, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0)
            refuse(r, fd);
    }
    r->spare = reactor_open_spare();
    watch_door(r, false);
    r->rest_end = deadline_in_ms(REST_MS);
}

void reactor_accept(struct reactor *r)
{
    for (int i = 0; i < ACCEPTS && r->door >= 0; i++) {
        int fd = accept4(r->door, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

        if (fd >= 0 && r->open < r->options.max_connections)
            reactor_open_conn(r, fd);
        else if (fd >= 0)
            refuse(r, fd);
        else if (errno == EAGAIN)
            break;
        else if (errno != EINTR && errno != ECONNABORTED) {
            refuse_with_spare(r);
            break;
        }
    }
}

int reactor_open_door(struct reactor *r)
{
    r->door = sock_listen(&r->options.addr, SOMAXCONN,
                          SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (r->door < 0)
        return r->door;
    /* Accepted sockets inherit it. */
    if (setsockopt(r->door, IPPROTO_TCP, TCP_NODELAY, &(int){ 1 },
                   sizeof(int)) != 0)
        return -errno;
    r->port = sock_port(r->door);
    return r->port < 0 ? r->port : 0;
}

void reactor_close_door(struct reactor *r)
{
    r->resting = false;
    if (r->door >= 0)
        close(r->door);
    r->door = -1;
}
