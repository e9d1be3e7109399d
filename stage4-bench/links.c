/* links.c -- given. */
#include "stage4-bench/links.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/sock.h"

enum { CHUNK = 64 << 10, EVENTS = 128 };
enum { TIMER = UINT32_MAX };    /* in epoll's data */

struct link {
    int fd;
    bool wants_out;         /* epoll watches for room */
    bool drained;           /* the last recv took all that there was */
    struct buf out, in;
    size_t sent, taken;     /* of out, of in */
};

struct links {
    const struct wire *wire;
    int epoll, timer;
    uint64_t armed;         /* the moment the timer is set to; 0: none */
    unsigned n;
    struct link *all;
};

static int watch(struct links *l, int op, unsigned i)
{
    struct link *link = &l->all[i];
    struct epoll_event e = {
        .events = EPOLLIN | (link->wants_out ? EPOLLOUT : 0), .data.u32 = i,
    };

    return epoll_ctl(l->epoll, op, link->fd, &e) == 0 ? 0 : -errno;
}

static int open_link(struct links *l, const struct sockaddr_storage *addr,
                     unsigned i, unsigned timeout_ms)
{
    int fd = sock_connect(addr, (int)timeout_ms);

    if (fd < 0)
        return fd;
    l->all[i].fd = fd;
    l->n = i + 1;
    if (fcntl(fd, F_SETFL, O_NONBLOCK) != 0)
        return -errno;
    return watch(l, EPOLL_CTL_ADD, i);
}

static int open_timer(struct links *l)
{
    struct epoll_event e = { .events = EPOLLIN, .data.u32 = TIMER };

    l->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (l->epoll < 0)
        return -errno;
    l->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    if (l->timer < 0
        || epoll_ctl(l->epoll, EPOLL_CTL_ADD, l->timer, &e) != 0)
        return -errno;
    return 0;
}

int links_open(struct links **out, const struct sockaddr_storage *addr,
               unsigned n, const struct wire *wire, unsigned timeout_ms)
{
    struct links *l = calloc(1, sizeof *l);

    if (!l)
        return -ENOMEM;
    l->wire = wire;
    l->epoll = l->timer = -1;
    l->all = calloc(n ? n : 1, sizeof *l->all);
    int err = l->all ? open_timer(l) : -ENOMEM;
    for (unsigned i = 0; i < n && !err; i++)
        err = open_link(l, addr, i, timeout_ms);
    if (err) {
        links_close(l);
        return err;
    }
    *out = l;
    return 0;
}

void links_close(struct links *l)
{
    if (!l)
        return;
    for (unsigned i = 0; i < l->n; i++) {
        close(l->all[i].fd);
        buf_release(&l->all[i].out);
        buf_release(&l->all[i].in);
    }
    if (l->timer >= 0)
        close(l->timer);
    if (l->epoll >= 0)
        close(l->epoll);
    free(l->all);
    free(l);
}

int links_put(struct links *l, unsigned i, const struct wire_request *request)
{
    return l->wire->put(&l->all[i].out, request);
}

int links_flush(struct links *l, unsigned i)
{
    struct link *link = &l->all[i];
    bool wanted = link->wants_out;

    while (link->sent < link->out.len) {
        ssize_t n = send(link->fd, link->out.ptr + link->sent,
                         link->out.len - link->sent, MSG_NOSIGNAL);

        if (n < 0 && errno == EAGAIN)
            break;
        if (n < 0 && errno != EINTR)
            return -errno;
        link->sent += n > 0 ? (size_t)n : 0;
    }
    link->wants_out = link->sent < link->out.len;
    if (!link->wants_out) {
        buf_clear(&link->out);
        link->sent = 0;
    }
    return link->wants_out == wanted ? 0 : watch(l, EPOLL_CTL_MOD, i);
}

/* What epoll_wait is to be told: milliseconds for what is far away (a bit less
 * than that; links_wait waits again), the timer for the rest. */
static int timeout_until(struct links *l, uint64_t until, uint64_t now)
{
    if (until == DEADLINE_NEVER)
        return -1;
    if (until <= now)
        return 0;
    if (until - now > UINT64_C(10000000)) {
        uint64_t ms = (until - now) / 1000000;

        return ms > INT_MAX ? INT_MAX : (int)ms;
    }
    if (until != l->armed) {
        struct itimerspec t = { .it_value = deadline_timespec(until) };

        timerfd_settime(l->timer, TFD_TIMER_ABSTIME, &t, NULL);
        l->armed = until;
    }
    return -1;
}

static int timer_rang(struct links *l)
{
    uint64_t times;

    l->armed = 0;
    return read(l->timer, &times, sizeof times) < 0 && errno != EAGAIN
           ? -errno : 0;
}

/* What happened on one link or the timer: 1, there is something to take. */
static int happened(struct links *l, const struct epoll_event *e)
{
    int err = 0;

    if (e->data.u32 == TIMER)
        return timer_rang(l);
    if (e->events & EPOLLOUT)
        err = links_flush(l, e->data.u32);
    if (err || !(e->events & (EPOLLIN | EPOLLHUP | EPOLLERR)))
        return err;
    l->all[e->data.u32].drained = false;
    return 1;
}

int links_wait(struct links *l, uint64_t until, unsigned *ready)
{
    struct epoll_event events[EVENTS];
    uint64_t now = until == DEADLINE_NEVER ? 0 : clock_now_ns();
    int found = 0;

    /* Room for more output, the timer of a moment that is over: not what is
     * waited for. */
    for (;;) {
        int n = epoll_wait(l->epoll, events, EVENTS,
                           timeout_until(l, until, now));

        if (n < 0)
            return errno == EINTR ? 0 : -errno;
        for (int i = 0; i < n; i++) {
            int one = happened(l, &events[i]);

            if (one < 0)
                return one;
            if (one)
                ready[found++] = events[i].data.u32;
        }
        if (found || (until != DEADLINE_NEVER
                      && (now = clock_now_ns()) >= until))
            return found;
    }
}

/* 1: there are more bytes; 0: not now. */
static int receive(struct link *link)
{
    if (link->drained)
        return 0;
    if (link->taken == link->in.len) {
        buf_clear(&link->in);
        link->taken = 0;
    } else if (link->taken > CHUNK) {
        buf_consume(&link->in, link->taken);
        link->taken = 0;
    }
    int err = buf_reserve(&link->in, CHUNK);
    if (err)
        return err;
    ssize_t n = recv(link->fd, link->in.ptr + link->in.len, CHUNK, 0);
    if (n < 0)
        return errno == EAGAIN || errno == EINTR ? 0 : -errno;
    if (n == 0)
        return -ECONNRESET;
    link->in.len += (size_t)n;
    link->drained = n < CHUNK;
    return 1;
}

int links_take(struct links *l, unsigned i, struct wire_reply *reply)
{
    struct link *link = &l->all[i];

    for (;;) {
        struct slice bytes = slice_of(link->in.ptr + link->taken,
                                      link->in.len - link->taken);
        ssize_t n = bytes.len ? l->wire->take(bytes, reply) : 0;

        if (n < 0)
            return (int)n;
        link->taken += (size_t)n;
        if (n > 0)
            return 1;
        int more = receive(link);
        if (more <= 0)
            return more;
    }
}
