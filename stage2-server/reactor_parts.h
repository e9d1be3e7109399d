/* reactor_parts.h -- what the reactor's three files share; for nobody else.
 *
 * Given.
 *
 *   reactor.c       the loop: events, handing out, giving back; begin and end
 *   reactor_conn.c  a connection's life: reading, sending, buffers, deadlines
 *   reactor_door.c  accepting, and refusing who is too many
 *
 * Every connection is in one of three places: HERE (the reactor's, asleep or
 * waiting for the kernel), READY (in the queue for reactor_wait), AWAY (its
 * owner is whoever called reactor_wait). Sockets are watched edge-triggered
 * for everything, once, from accepting to closing: no epoll_ctl between. What
 * epoll says of a connection is noted in `readable` and `writable`, which hold
 * until the kernel says EAGAIN (or, what means the same, gives less than was
 * asked for). After any change, reactor_settle looks at a connection that is
 * HERE and does all that can be done with it: send, read, queue, close.
 *
 * Waiting for a slow peer costs no polling: such a connection stands in
 * `timed`, a list in the order of deadlines, for all have the same patience.
 *
 * Threads: reactor->lock guards the list of what other threads have given
 *          back, and nothing else. All the rest is the loop's thread's, and
 *          so are the functions below.
 */
#ifndef STAGE2_REACTOR_PARTS_H
#define STAGE2_REACTOR_PARTS_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/counter.h"
#include "stage2-server/reactor.h"

enum {
    STASH = 64                  /* empty buffers kept for the next to come */
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
    uint64_t heard;             /* when bytes came last */
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

static inline void list_init(struct link *list)
{
    list->prev = list->next = list;
}

static inline bool list_empty(const struct link *list)
{
    return list->next == list;
}

static inline void list_add(struct link *list, struct link *l)
{
    l->prev = list->prev;
    l->next = list;
    l->prev->next = l->next->prev = l;
}

static inline void list_remove(struct link *l)
{
    l->prev->next = l->next;
    l->next->prev = l->prev;
    list_init(l);
}

/* ---- reactor_conn.c ----------------------------------------------------- */

/* Takes an accepted socket, which is closed if there is no memory for it. */
void reactor_open_conn(struct reactor *r, int fd);
void reactor_close_conn(struct reactor *r, struct conn_private *p);

/* The connection is HERE and something has changed. It may be gone then. */
void reactor_settle(struct reactor *r, struct conn_private *p);

/* Drops those whose deadlines are over. */
void reactor_run_timers(struct reactor *r);

/* ---- reactor_door.c ----------------------------------------------------- */

int reactor_open_door(struct reactor *r);

/* A descriptor that is kept for refusing; -1 if there is none. */
int reactor_open_spare(void);

/* Somebody stands at the door. */
void reactor_accept(struct reactor *r);

/* Accepting goes on: if it has rested long enough; or, a connection has been
 * closed, so there is a descriptor. */
void reactor_end_rest(struct reactor *r);
void reactor_file_closed(struct reactor *r);

#endif
