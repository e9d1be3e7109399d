/* reactor.c -- given.
 *
 * Every connection is in one of three places: HERE (the reactor's, asleep or
 * waiting for the kernel), READY (in the queue for reactor_wait), AWAY (its
 * owner is whoever called reactor_wait). Sockets are watched edge-triggered
 * for everything, once, from accepting to closing: no epoll_ctl between. What
 * epoll says of a connection is noted in `readable` and `writable`, which hold
 * until the kernel says EAGAIN (or, what means the same, gives less than was
 * asked for). After any change, `settle` looks at a connection that is HERE
 * and does all that can be done with it: send, read, queue, close.
 *
 * Waiting for a slow peer costs no polling: such a connection stands in
 * `timed`, a list in the order of deadlines, for all have the same patience.
 *
 * Lock: reactor->lock guards the list of what other threads have given back,
 * and nothing else. All the rest is the loop's thread's.
 */
#include "stage2-server/reactor.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/counter.h"
#include "common/lock.h"
#include "common/sock.h"

enum {
    EVENTS = 256,               /* taken from the kernel at once */
    ACCEPTS = 64,               /* a turn */
    STASH = 64,                 /* empty buffers kept for the next to come */
    STASH_MAX = 256 * 1024,     /* no larger than that */
    CHUNK = 16 * 1024,          /* room for a first read */
    LINGER_READS = 64,
    REST_MS = 50,
    DEFAULT_CONNECTIONS = 20000
};

struct link {
    struct link *prev, *next;
};

#define of_link(l, member) \
    ((struct conn_private *)((char *)(l) \
                             - offsetof(struct conn_private, member)))

struct conn_private {
    struct conn conn;
    enum { HERE, READY, AWAY } place;
    bool readable, writable;    /* until the kernel says otherwise */
    bool hung_up;               /* the peer's end is somewhere in there */
    bool fresh;                 /* bytes have come since it was handed out */
    bool lingering;             /* all is sent; waits for the peer to close */
    bool held;                  /* not read: over the budget */
    bool last_read;             /* done, nothing is read any more */
    uint64_t sent;              /* conn.sent when last looked at */
    uint64_t deadline;          /* while in `timed` */
    size_t counted;             /* of reactor->buffered */
    struct link all, timed, queue;  /* queue: ready, held or returned */
};

struct reactor {
    pthread_mutex_t lock;       /* guards returned */
    struct link returned;
    pthread_t loop;             /* both set once, by the first wait */
    bool has_loop;
    struct reactor_options options;
    int epoll, door, wake, signals, spare;
    int port;
    bool resting;               /* the door is not watched, until rest_end */
    uint64_t rest_end;
    bool last_reading;
    struct link all, ready, timed, held;
    size_t open, away;
    size_t buffered;
    struct counter stop;
    struct counter connections, accepted, refused, dropped, buffers;
    struct buf stash[STASH];
    unsigned stashed;
};

/* ---- lists -------------------------------------------------------------- */

static void list_init(struct link *list)
{
    list->prev = list->next = list;
}

static bool list_empty(const struct link *list)
{
    return list->next == list;
}

static void list_add(struct link *list, struct link *l)
{
    l->prev = list->prev;
    l->next = list;
    l->prev->next = l->next->prev = l;
}

static void list_remove(struct link *l)
{
    l->prev->next = l->next;
    l->next->prev = l->prev;
    list_init(l);
}

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
    if (buf->cap == 0 && r->stashed > 0)
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

/* Past half the budget only those are read that have less than their share of
 * the other half: so all together stay within it. */
static bool over_budget(const struct reactor *r, const struct conn_private *p)
{
    size_t half = r->options.budget / 2;

    return r->buffered > half && p->counted > half / (r->open + 1);
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

static int open_spare(void)
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

static void close_conn(struct reactor *r, struct conn_private *p)
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
    if (r->spare < 0)
        r->spare = open_spare();
    if (r->resting)
        watch_door(r, true);    /* there is a descriptor now */
}

static void open_conn(struct reactor *r, int fd)
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
    close_conn(r, p);
}

/* The connection is HERE and something has changed. */
static void settle(struct reactor *r, struct conn_private *p)
{
    struct conn *c = &p->conn;

    empty(r, p);
    if (c->broken) {
        close_conn(r, p);
        return;
    }
    if (c->closing) {
        if (conn_unsent(c) == 0)
            linger(r, p);
        return;
    }
    count_buffers(r, p);
    if (r->last_reading)
        fill_last(r, p);
    if (conn_unsent(c) > r->options.out_max)
        return;
    if (!r->last_reading)
        fill(r, p);
    if (c->broken) {
        close_conn(r, p);
    } else if (p->fresh || c->again) {
        make_ready(r, p);
    } else if (c->ended && conn_unsent(c) == 0) {
        close_conn(r, p);
    } else {
        shrink(r, p);
    }
}

/* ---- the door ----------------------------------------------------------- */

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
    r->spare = open_spare();
    watch_door(r, false);
    r->rest_end = deadline_in_ms(REST_MS);
}

static void accept_some(struct reactor *r)
{
    for (int i = 0; i < ACCEPTS && r->door >= 0; i++) {
        int fd = accept4(r->door, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

        if (fd >= 0 && r->open < r->options.max_connections)
            open_conn(r, fd);
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

/* ---- the loop ----------------------------------------------------------- */

static void note_events(struct reactor *r, struct conn_private *p,
                        uint32_t events)
{
    if (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR))
        p->readable = true;
    if (events & (EPOLLOUT | EPOLLHUP | EPOLLERR))
        p->writable = true;
    if (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR))
        p->hung_up = true;
    if (p->place != HERE)
        return;
    if (events & EPOLLERR)
        p->conn.broken = true;
    settle(r, p);
}

/* The first signal stops; for the second the default holds again, so that
 * it ends the process whatever the loop may be waiting for. */
static void on_signal(struct reactor *r)
{
    struct signalfd_siginfo info;
    sigset_t set;

    if (read(r->signals, &info, sizeof info) != sizeof info)
        return;
    counter_add(&r->stop, 1);
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

/* Whether reactor_wait should return for it. */
static bool on_event(struct reactor *r, const struct epoll_event *event)
{
    uint64_t n;

    if (event->data.ptr == &r->door) {
        accept_some(r);
        return false;
    }
    if (event->data.ptr == &r->wake) {
        (void)!read(r->wake, &n, sizeof n);
        return true;
    }
    if (event->data.ptr == &r->signals) {
        on_signal(r);
        return true;
    }
    note_events(r, event->data.ptr, event->events);
    return false;
}

static int poll_events(struct reactor *r, int timeout_ms, bool *woken)
{
    struct epoll_event events[EVENTS];
    int n = epoll_wait(r->epoll, events, EVENTS, timeout_ms);

    if (n < 0)
        return errno == EINTR ? 0 : -errno;
    for (int i = 0; i < n; i++)
        *woken |= on_event(r, &events[i]);
    return 0;
}

static void take_back(struct reactor *r, struct conn_private *p)
{
    p->place = HERE;
    r->away--;
    settle(r, p);
}

static void collect_returned(struct reactor *r)
{
    struct link mine;

    list_init(&mine);
    mutex_lock(&r->lock);
    while (!list_empty(&r->returned)) {
        struct link *l = r->returned.next;
        list_remove(l);
        list_add(&mine, l);
    }
    mutex_unlock(&r->lock);
    while (!list_empty(&mine)) {
        struct link *l = mine.next;
        list_remove(l);
        take_back(r, of_link(l, queue));
    }
}

/* The peer has taken nothing, or sent nothing that helps, for too long. */
static void drop(struct reactor *r, struct conn_private *p)
{
    struct proto_reply busy = { .status = PROTO_BUSY };
    bool say = p->held && conn_unsent(&p->conn) == 0
               && proto_put_reply(&p->conn.out, &busy) == 0;

    if (!p->lingering)
        counter_add_relaxed(&r->dropped, 1);
    if (say) {
        unhold(p);
        p->conn.closing = true;
        settle(r, p);
    } else {
        close_conn(r, p);
    }
}

static void resume_held(struct reactor *r)
{
    for (struct link *l = r->held.next, *next; l != &r->held; l = next) {
        struct conn_private *p = of_link(l, queue);

        next = l->next;
        if (!over_budget(r, p)) {
            unhold(p);
            settle(r, p);
        }
    }
}

static void run_timers(struct reactor *r)
{
    if (r->resting && deadline_over(r->rest_end))
        watch_door(r, true);
    while (!list_empty(&r->timed)) {
        struct conn_private *p = of_link(r->timed.next, timed);

        if (!deadline_over(p->deadline))
            break;
        if (p->place == HERE)
            drop(r, p);
        else
            untime(p);          /* its owner has it; it is looked at then */
        resume_held(r);
    }
    if (!list_empty(&r->held))
        resume_held(r);
}

/* How long to sleep: until the caller's deadline, or the first of ours. */
static int sleep_ms(struct reactor *r, uint64_t deadline)
{
    if (!list_empty(&r->ready)
        || (r->last_reading && reactor_unfinished(r) == 0))
        return 0;
    if (!list_empty(&r->timed)) {
        const struct conn_private *first = of_link(r->timed.next, timed);

        if (first->deadline < deadline)
            deadline = first->deadline;
    }
    if (r->resting && r->rest_end < deadline)
        deadline = r->rest_end;
    return deadline_left_ms(deadline);
}

static int hand_out(struct reactor *r, struct conn **ready, size_t max)
{
    size_t n = 0;

    for (; n < max && !list_empty(&r->ready); n++) {
        struct conn_private *p = of_link(r->ready.next, queue);

        list_remove(&p->queue);
        p->place = AWAY;
        p->fresh = false;
        p->conn.again = false;
        ready[n] = &p->conn;
    }
    r->away += n;
    return (int)n;
}

int reactor_wait(struct reactor *r, struct conn **ready, size_t max,
                 int timeout_ms)
{
    uint64_t deadline = deadline_in_ms(timeout_ms);
    bool woken = false;

    if (!r->has_loop) {
        r->loop = pthread_self();
        r->has_loop = true;
    }
    for (;;) {
        int err = poll_events(r, sleep_ms(r, deadline), &woken);

        if (err)
            return err;
        if (woken)
            collect_returned(r);
        if (!list_empty(&r->timed) || r->resting)
            run_timers(r);
        if (!list_empty(&r->ready))
            return hand_out(r, ready, max);
        if (woken || deadline_over(deadline)
            || (r->last_reading && reactor_unfinished(r) == 0))
            return 0;
    }
}

static void wake(struct reactor *r)
{
    int saved = errno;

    (void)!write(r->wake, &(uint64_t){ 1 }, sizeof(uint64_t));
    errno = saved;
}

void reactor_give_back(struct reactor *r, struct conn *conn)
{
    struct conn_private *p = conn->private;

    if (pthread_equal(pthread_self(), r->loop)) {
        take_back(r, p);
        return;
    }
    mutex_lock(&r->lock);
    bool first = list_empty(&r->returned);
    list_add(&r->returned, &p->queue);
    mutex_unlock(&r->lock);
    if (first)
        wake(r);
}

/* ---- beginning and end -------------------------------------------------- */

static int watch(struct reactor *r, int *fd)
{
    struct epoll_event event = { EPOLLIN, { .ptr = fd } };

    return epoll_ctl(r->epoll, EPOLL_CTL_ADD, *fd, &event) == 0 ? 0 : -errno;
}

static void stop_signals(sigset_t *set)
{
    sigemptyset(set);
    sigaddset(set, SIGTERM);
    sigaddset(set, SIGINT);
}

void reactor_block_signals(void)
{
    sigset_t set;

    stop_signals(&set);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
}

static int open_door(struct reactor *r)
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
    return r->port < 0 ? r->port : watch(r, &r->door);
}

static int open_files(struct reactor *r)
{
    sigset_t set;
    int err;

    r->epoll = epoll_create1(EPOLL_CLOEXEC);
    r->wake = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    r->spare = open_spare();
    if (r->epoll < 0 || r->wake < 0 || r->spare < 0)
        return -errno;
    err = watch(r, &r->wake);
    if (!err && r->options.signals) {
        stop_signals(&set);
        r->signals = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
        err = r->signals < 0 ? -errno : watch(r, &r->signals);
    }
    return err ? err : open_door(r);
}

/* Some descriptors are for other things. */
static unsigned default_connections(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0
        || limit.rlim_cur > DEFAULT_CONNECTIONS + 64)
        return DEFAULT_CONNECTIONS;
    return limit.rlim_cur > 128 ? (unsigned)limit.rlim_cur - 64
                                : (unsigned)limit.rlim_cur / 2 + 1;
}

static void fill_in(struct reactor_options *options)
{
    if (options->max_connections == 0)
        options->max_connections = default_connections();
    if (options->stall_ms == 0)
        options->stall_ms = 5000;
    if (options->read_max == 0)
        options->read_max = 64 * 1024;
    if (options->out_max == 0)
        options->out_max = 1024 * 1024;
    if (options->budget == 0)
        options->budget = (size_t)256 * 1024 * 1024;
}

int reactor_create(struct reactor **out, const struct reactor_options *options)
{
    struct reactor *r = calloc(1, sizeof *r);

    if (!r)
        return -ENOMEM;
    r->options = *options;
    fill_in(&r->options);
    mutex_init(&r->lock);
    list_init(&r->returned);
    list_init(&r->all);
    list_init(&r->ready);
    list_init(&r->timed);
    list_init(&r->held);
    r->epoll = r->door = r->wake = r->signals = r->spare = -1;
    int err = open_files(r);
    if (err) {
        reactor_destroy(r);
        return err;
    }
    *out = r;
    return 0;
}

static void close_file(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

void reactor_destroy(struct reactor *r)
{
    if (!r)
        return;
    collect_returned(r);
    assert(r->away == 0);
    r->resting = false;
    while (!list_empty(&r->all))
        close_conn(r, of_link(r->all.next, all));
    while (r->stashed > 0)
        buf_release(&r->stash[--r->stashed]);
    close_file(&r->door);
    close_file(&r->epoll);
    close_file(&r->wake);
    close_file(&r->signals);
    close_file(&r->spare);
    mutex_release(&r->lock);
    free(r);
}

int reactor_port(struct reactor *r)
{
    return r->port;
}

void reactor_stop(struct reactor *r)
{
    counter_add(&r->stop, 1);
    wake(r);
}

bool reactor_stopping(struct reactor *r)
{
    return counter_get(&r->stop) > 0;
}

void reactor_close_door(struct reactor *r)
{
    r->resting = false;
    close_file(&r->door);
}

void reactor_last_read(struct reactor *r)
{
    r->last_reading = true;
    for (struct link *l = r->all.next, *next; l != &r->all; l = next) {
        struct conn_private *p = of_link(l, all);

        next = l->next;
        if (p->place == HERE)
            settle(r, p);
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

size_t reactor_room(struct reactor *r)
{
    uint64_t used = counter_get_relaxed(&r->buffers);

    return used < r->options.budget ? r->options.budget - used : 0;
}

void reactor_stats(struct reactor *r, struct reactor_stats *stats)
{
    *stats = (struct reactor_stats){
        .connections = counter_get_relaxed(&r->connections),
        .accepted = counter_get_relaxed(&r->accepted),
        .refused = counter_get_relaxed(&r->refused),
        .dropped = counter_get_relaxed(&r->dropped),
        .buffered = counter_get_relaxed(&r->buffers),
    };
}
