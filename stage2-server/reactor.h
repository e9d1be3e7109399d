/* reactor.h -- waits for all connections at once.
 *
 * Given.
 *
 * One thread sleeps in reactor_wait for as long as nobody has sent a
 * request. The reactor accepts, reads, goes on sending what did not fit,
 * closes what ended, and answers with the connections that have something to
 * be served. From then on each of these belongs to the caller, who serves it,
 * itself or on another thread, and gives it back. While it is away, the
 * reactor does not touch it.
 *
 * What a client can do to the others is bounded here:
 *   1. an idle connection costs its struct, no buffer and no thread;
 *   2. a connection with more than out_max bytes unsent is not read, and is
 *      closed when it takes none of them for stall_ms;
 *   3. a connection's `in` grows as bytes come, never by what a length
 *      claims, and not beyond one frame and read_max;
 *   4. all buffers together stay within budget: past it the largest are not
 *      read until others have become smaller. Who waits so for stall_ms is
 *      closed; but first those are who have more than their share, and have
 *      sent nothing for as long;
 *   5. a connection above max_connections, or one that cannot be had because
 *      the process has no descriptor left, is answered BUSY and closed (a
 *      descriptor is kept for this), and accepting then rests a moment.
 *
 * Errors:  0 or a negative errno.
 * Threads: reactor_wait and those that say so by one thread, the loop's;
 *          reactor_give_back, reactor_stop by any.
 * Source:  Schmidt, "Reactor" (1995); epoll(7), edge-triggered.
 */
#ifndef STAGE2_REACTOR_H
#define STAGE2_REACTOR_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "stage2-server/conn.h"

struct reactor;

struct reactor_options {
    struct sockaddr_storage addr;
    unsigned max_connections;   /* 0: 20000, or what the file limit allows */
    unsigned stall_ms;          /* 0: 5000 */
    size_t read_max;            /* of one connection, a turn; 0: 64 KiB */
    size_t out_max;             /* 0: 1 MiB */
    size_t budget;              /* 0: 256 MiB */
    const struct conn_host *host;   /* borrowed; handed to each connection's
                                   parser. NULL: none */
    bool signals;               /* SIGTERM and SIGINT stop it, a second one
                                   ends the process; they must be blocked in
                                   every thread (reactor_block_signals) */
};

struct reactor_stats {
    uint64_t connections;       /* open now */
    uint64_t accepted;
    uint64_t refused;           /* with BUSY */
    uint64_t dropped;           /* for not reading */
    uint64_t buffered;          /* bytes in all buffers now */
};

/* Listens. *out is owned: reactor_destroy. */
int reactor_create(struct reactor **out, const struct reactor_options *options);

/* Closes every connection; all must have been given back. NULL is allowed. */
void reactor_destroy(struct reactor *reactor);

/* The port it listens on. */
int reactor_port(struct reactor *reactor);

/* Waits until some connection has bytes to be served (or had `again` set),
 * or timeout_ms are over (0: only looks; negative: no limit). Fills in at most
 * max of them and answers how many; 0 after the time, after giving back or
 * stopping has woken it, or when, after the last read, nothing is unfinished
 * any more. Those that do not fit come with the next call. The
 * loop's thread only. */
int reactor_wait(struct reactor *reactor, struct conn **ready, size_t max,
                 int timeout_ms);

/* The connection is the reactor's again, which sends what is left in `out`.
 * Any thread. */
void reactor_give_back(struct reactor *reactor, struct conn *conn);

/* Asks the loop to end, and wakes it. Any thread, also a signal handler. */
void reactor_stop(struct reactor *reactor);
bool reactor_stopping(struct reactor *reactor);

/* Closes the listening socket: nobody new comes. Loop's thread. */
void reactor_close_door(struct reactor *reactor);

/* Reads a last time, without waiting, from every connection that is the
 * reactor's (from one that is away: when it is given back), and reads nothing
 * from then on: what has come until now is what there is to serve. Loop's
 * thread. */
void reactor_last_read(struct reactor *reactor);

/* How many connections are away, or have bytes unsent, or wait to be handed
 * out by reactor_wait. Loop's thread. */
size_t reactor_unfinished(struct reactor *reactor);

/* How many bytes of the budget are left, roughly. Any thread. */
size_t reactor_room(struct reactor *reactor);

/* Any thread. */
void reactor_stats(struct reactor *reactor, struct reactor_stats *stats);

/* The signals of options.signals. */
void reactor_signals(sigset_t *set);

/* Blocks them in this thread and in those that it will start. */
void reactor_block_signals(void);

#endif
