/* reactor.c -- given: the loop, its beginning and its end. What holds in all of
 * the reactor is told in reactor_parts.h.
 */
#include "stage2-server/reactor_parts.h"

#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/lock.h"

enum {
    EVENTS = 256,               /* taken from the kernel at once */
    DEFAULT_CONNECTIONS = 20000
};

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
    reactor_settle(r, p);
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
        reactor_accept(r);
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
    reactor_settle(r, p);
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
        reactor_end_rest(r);
        if (!list_empty(&r->timed))
            reactor_run_timers(r);
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

void reactor_signals(sigset_t *set)
{
    sigemptyset(set);
    sigaddset(set, SIGTERM);
    sigaddset(set, SIGINT);
}

void reactor_block_signals(void)
{
    sigset_t set;

    reactor_signals(&set);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
}

static int open_files(struct reactor *r)
{
    sigset_t set;
    int err;

    r->epoll = epoll_create1(EPOLL_CLOEXEC);
    r->wake = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    r->spare = reactor_open_spare();
    if (r->epoll < 0 || r->wake < 0 || r->spare < 0)
        return -errno;
    err = watch(r, &r->wake);
    if (!err && r->options.signals) {
        reactor_signals(&set);
        r->signals = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
        err = r->signals < 0 ? -errno : watch(r, &r->signals);
    }
    if (!err)
        err = reactor_open_door(r);
    return err ? err : watch(r, &r->door);
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
        reactor_close_conn(r, of_link(r->all.next, all));
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
