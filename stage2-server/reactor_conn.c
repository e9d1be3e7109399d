/* reactor_conn.c -- given: a connection's life in the reactor, and what it may
 * cost (limits 2 to 4 of reactor.h). See reactor_parts.h.
 */
#include "stage2-server/reactor_parts.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "common/clock.h"

enum {
    STASH_MAX = 256 * 1024,     /* no larger buffer is kept */
    CHUNK = 16 * 1024,          /* room for a first read */
    LINGER_READS = 64
};

/* ---- waiting for a peer ------------------------------------------------- */

static void time_from_now(struct reactor *r, struct conn_private *p)
{
    list_remove(&p->timed);
    p->deadline = deadline_in_ms(r->options.stall_ms);
    list_add(&r->timed, &p->timed);
}

static void untime(struct conn_private *p)
{
    if (!list_empty(&p->timed))
        list_remove(&p->timed);
}

/* ---- buffers ------------------------------------------------------------ */

static void count_buffers(struct reactor *r, struct conn_private *p)
{
    size_t now = p->conn.in.cap + p->conn.out.cap;

    if (now == p->counted)
        return;
    r->buffered += now - p->counted;
    counter_add_relaxed(&r->buffers, now - p->counted);
    p->counted = now;
}

static void stash(struct reactor *r, struct buf *buf)
{
    if (buf->cap == 0)
        return;
    if (r->stashed == STASH || buf->cap > STASH_MAX) {
        buf_release(buf);
        return;
    }
    buf_clear(buf);
    r->stash[r->stashed++] = *buf;
    *buf = (struct buf){ 0 };
}

static void unstash(struct reactor *r, struct buf *buf)
{
    size_t half = r->options.budget / 2;

    if (buf->cap == 0 && r->stashed > 0 &&
        r->buffered + r->stash[r->stashed - 1].cap <= half)
        *buf = r->stash[--r->stashed];
}

/* An idle connection has no buffers. */
static void shrink(struct reactor *r, struct conn_private *p)
{
    if (conn_unserved(&p->conn) == 0)
        stash(r, &p->conn.in);
    if (conn_unsent(&p->conn) == 0)
        stash(r, &p->conn.out);
    count_buffers(r, p);
}

/* What the buffer for reading grows by, if it is read into once more. */
static size_t growth(const struct conn *c)
{
    if (c->in.cap - (c->in.len - c->in_at) >= CHUNK)
        return 0;
    return c->in.cap > CHUNK ? c->in.cap : CHUNK;
}

static size_t share(const struct reactor *r)
{
    size_t each = r->options.budget / 2 / (r->open + 1);

    return each > CHUNK ? each : CHUNK;
}

/* Past half the budget only those are read that have, and with this read will
 * have, no more than their share of the other half: so all together stay
 * within it. A share is a chunk at least, or nobody could be read at all; with
 * more connections than the half has chunks, these chunks may exceed it. */
static bool over_budget(const struct reactor *r, const struct conn_private *p)
{
    size_t more = growth(&p->conn);

    return r->buffered + more > r->options.budget / 2 &&
           p->counted + more > share(r);
}

static void hold(struct reactor *r, struct conn_private *p)
{
    if (p->held)
        return;
    p->held = true;
    list_add(&r->held, &p->queue);
    time_from_now(r, p);
}

static void unhold(struct conn_private *p)
{
    if (!p->held)
        return;
    p->held = false;
    list_remove(&p->queue);
    untime(p);
}

/* ---- a connection's life ------------------------------------------------ */

void reactor_close_conn(struct reactor *r, struct conn_private *p)
{
    unhold(p);
    untime(p);
    list_remove(&p->all);
    list_remove(&p->queue);
    close(p->conn.fd);
    p->conn.in_at = p->conn.out_at = 0;
    stash(r, &p->conn.in);
    stash(r, &p->conn.out);
    count_buffers(r, p);
    free(p);
    r->open--;
    counter_add_relaxed(&r->connections, (uint64_t)-1);
    reactor_file_closed(r);
}

void reactor_open_conn(struct reactor *r, int fd)
{
    struct conn_private *p = calloc(1, sizeof *p);
    struct epoll_event event = { EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET,
                                 { .ptr = p } };

    if (!p || epoll_ctl(r->epoll, EPOLL_CTL_ADD, fd, &event) != 0) {
        free(p);
        close(fd);
        return;
    }
    p->conn.fd = fd;
    p->conn.host = r->options.host;
    p->conn.private = p;
    list_init(&p->timed);
    list_init(&p->queue);
    list_add(&r->all, &p->all);
    r->open++;
    counter_add_relaxed(&r->connections, 1);
    counter_add_relaxed(&r->accepted, 1);
}

static void make_ready(struct reactor *r, struct conn_private *p)
{
    unhold(p);
    p->place = READY;
    list_add(&r->ready, &p->queue);
}

/* One read; whether there may be more. */
static bool read_some(struct reactor *r, struct conn_private *p, size_t max)
{
    struct conn *c = &p->conn;

    unstash(r, &c->in);
    if (c->in.cap - c->in.len < CHUNK && c->in_at > 0) {
        buf_consume(&c->in, c->in_at);
        c->in_at = 0;
    }
    if (buf_reserve(&c->in, CHUNK) != 0) {
        c->broken = true;
        return false;
    }
    size_t room = c->in.cap - c->in.len;
    if (room > max)
        room = max;
    ssize_t n = recv(c->fd, c->in.ptr + c->in.len, room, MSG_DONTWAIT);
    if (n > 0) {
        c->in.len += (size_t)n;
        p->fresh = true;
        p->heard = clock_now_ns();
        p->readable = (size_t)n == room || p->hung_up;
    } else if (n == 0) {
        c->ended = true;
        p->readable = false;
    } else if (errno == EAGAIN) {
        p->readable = false;
    } else if (errno != EINTR) {
        c->broken = true;
        p->readable = false;
    }
    return p->readable;
}

/* Reads what is there: at most read_max of it, and no more than a frame
 * ahead of what was served. */
static void fill(struct reactor *r, struct conn_private *p)
{
    const size_t far = PROTO_HEADER + (size_t)PROTO_BODY_MAX;
    size_t start = conn_unserved(&p->conn), there;

    if (!p->readable || !over_budget(r, p))
        unhold(p);
    while (p->readable && !p->conn.ended && !p->conn.broken) {
        there = conn_unserved(&p->conn);
        if (there - start >= r->options.read_max || there >= far)
            break;
        if (over_budget(r, p)) {
            hold(r, p);
            break;
        }
        if (!read_some(r, p, r->options.read_max - (there - start)))
            break;
        count_buffers(r, p);
    }
}

/* While stopping: what has come until now, once. */
static void fill_last(struct reactor *r, struct conn_private *p)
{
    int there = 0;

    if (p->last_read || p->conn.ended || p->conn.broken || p->conn.closing)
        return;
    ioctl(p->conn.fd, FIONREAD, &there);
    p->last_read = true;
    for (size_t left = (size_t)there; left > 0;) {
        size_t before = conn_unserved(&p->conn);
        bool more = read_some(r, p, left);
        size_t got = conn_unserved(&p->conn) - before;

        left -= got < left ? got : left;
        if (!more)
            break;
    }
}

/* Sends; how much is left decides who waits for whom. */
static void empty(struct reactor *r, struct conn_private *p)
{
    struct conn *c = &p->conn;

    if (conn_unsent(c) > 0 && p->writable && conn_flush(c) == -EAGAIN)
        p->writable = false;
    if (conn_unsent(c) > 0) {
        if (c->sent != p->sent || list_empty(&p->timed))
            time_from_now(r, p);
        p->sent = c->sent;
    } else if (!p->held && !p->lingering) {
        untime(p);
    }
}

/* All is sent. Closing now, with something unread, would reset the
 * connection, and the peer might never see what it was sent: so first read
 * until the peer has closed, for a while, and forget it. */
static void linger(struct reactor *r, struct conn_private *p)
{
    unsigned char trash[4096];
    ssize_t n = 0;

    if (!p->lingering) {
        p->lingering = true;
        shutdown(p->conn.fd, SHUT_WR);
        time_from_now(r, p);
        p->conn.in_at = 0;
        buf_clear(&p->conn.in);
        shrink(r, p);
    }
    for (int i = 0; i < LINGER_READS && (i == 0 || n > 0); i++)
        n = recv(p->conn.fd, trash, sizeof trash, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    reactor_close_conn(r, p);
}

void reactor_settle(struct reactor *r, struct conn_private *p)
{
    struct conn *c = &p->conn;

    empty(r, p);
    if (c->broken) {
        reactor_close_conn(r, p);
        return;
    }
    count_buffers(r, p);
    if (c->closing) {
        if (conn_unsent(c) == 0)
            linger(r, p);
        return;
    }
    if (r->last_reading)
        fill_last(r, p);
    if (conn_unsent(c) > r->options.out_max)
        return;
    if (!r->last_reading)
        fill(r, p);
    if (c->broken) {
        reactor_close_conn(r, p);
    } else if (p->fresh || c->again) {
        make_ready(r, p);
    } else if (c->ended && conn_unsent(c) == 0) {
        reactor_close_conn(r, p);
    } else {
        shrink(r, p);
    }
}

/* ---- deadlines ---------------------------------------------------------- */

/* As a reply to no request in particular, in the peer's protocol. */
static int put_busy(struct conn *c)
{
    const struct conn_parser *parser = c->parser ? c->parser : conn_parsers[0];
    struct proto_request none = { 0 };
    size_t start = 0;
    int err = parser->begin(&c->out, &none, &start);

    return err ? err : parser->end(&c->out, &none, start, PROTO_BUSY);
}

/* The peer has taken nothing, or sent nothing that helps, for too long. */
static void drop(struct reactor *r, struct conn_private *p)
{
    bool say = !p->lingering && conn_unsent(&p->conn) == 0 &&
               put_busy(&p->conn) == 0;

    if (!p->lingering)
        counter_add_relaxed(&r->dropped, 1);
    if (say) {
        unhold(p);
        p->conn.closing = true;
        reactor_settle(r, p);
    } else {
        reactor_close_conn(r, p);
    }
}

static void resume_held(struct reactor *r)
{
    for (struct link *l = r->held.next, *next; l != &r->held; l = next) {
        struct conn_private *p = of_link(l, queue);

        next = l->next;
        if (!over_budget(r, p)) {
            unhold(p);
            reactor_settle(r, p);
        }
    }
}

/* Half a frame of whom nobody has heard for long, and more than its share. */
static bool is_quiet(const struct reactor *r, const struct conn_private *p)
{
    return p->place == HERE && !p->held && !p->lingering &&
           conn_unserved(&p->conn) > 0 && conn_unsent(&p->conn) == 0 &&
           p->counted > share(r) &&
           deadline_over(p->heard + r->options.stall_ms * UINT64_C(1000000));
}

/* Others wait for what the quiet ones keep; if there were any, they may wait
 * once more. */
static void drop_quiet(struct reactor *r)
{
    bool any = false;

    for (struct link *l = r->all.next, *next; l != &r->all; l = next) {
        struct conn_private *p = of_link(l, all);

        next = l->next;
        if (is_quiet(r, p)) {
            drop(r, p);
            any = true;
        }
    }
    for (struct link *l = r->held.next; any && l != &r->held; l = l->next)
        time_from_now(r, of_link(l, queue));
}

void reactor_run_timers(struct reactor *r)
{
    bool looked = false;

    while (!list_empty(&r->timed)) {
        struct conn_private *p = of_link(r->timed.next, timed);

        if (!deadline_over(p->deadline))
            break;
        if (p->held && !looked) {
            looked = true;
            drop_quiet(r);      /* it may have time again: so once more */
        } else if (p->place == HERE) {
            drop(r, p);
        } else {
            untime(p);          /* its owner has it; it is looked at then */
        }
        resume_held(r);
    }
    if (!list_empty(&r->held))
        resume_held(r);
}

/* ---- stopping ----------------------------------------------------------- */

void reactor_last_read(struct reactor *r)
{
    r->last_reading = true;
    for (struct link *l = r->all.next, *next; l != &r->all; l = next) {
        struct conn_private *p = of_link(l, all);

        next = l->next;
        if (p->place == HERE)
            reactor_settle(r, p);
        else if (p->place == READY)
            fill_last(r, p);
    }
}

size_t reactor_unfinished(struct reactor *r)
{
    size_t n = r->away;

    for (struct link *l = r->all.next; l != &r->all; l = l->next) {
        struct conn_private *p = of_link(l, all);
        n += p->place == READY
             || (p->place == HERE && conn_unsent(&p->conn) > 0);
    }
    return n;
}
