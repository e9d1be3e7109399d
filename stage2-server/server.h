/* server.h -- serves a store to many clients at once.
 *
 * You write: server.c (tasks 2.10, 2.11, 2.12)
 * Given:     reactor*.c (waiting, accepting, limits), conn.c (buffers),
 *            proto.c (frames), the mains
 *
 * What holds:
 *   1. replies leave in the order of their connection's requests;
 *   2. the reply to a change leaves after the store has answered it: what was
 *      acknowledged survives the death of the server;
 *   3. an idle or slow connection holds no thread; what one client does
 *      delays another by one turn's work at most;
 *   4. the requests that a connection has sent meanwhile go to the store as
 *      one ordered batch (store_apply), so their changes are one write; even
 *      better, those of all connections that are ready (a turn);
 *   5. what may block (changes under STORE_ALWAYS, values from `large`
 *      bytes on) runs on the pool, never in the reactor's thread; the rest
 *      may run where it is, and on the pool when there is much of it;
 *   6. stopping: nobody new; what was received whole is answered; then the
 *      store is synced and server_run returns, within drain_ms in all, or
 *      when the last job has ended, if that is later;
 *   7. a change is done once: a request that is given to somebody else half
 *      done goes on behind what was done;
 *   8. replies, too, stay within the reactor's budget, but for some MiB of a
 *      turn: a value for which reactor_room has no room is not fetched, but
 *      answered BUSY.
 *
 * Errors:  0 or a negative errno
 * Threads: server_run by one; server_stop by any, also in a signal handler;
 *          the others not beside server_run, but for server_port and stats.
 */
#ifndef STAGE2_SERVER_H
#define STAGE2_SERVER_H

#include <stddef.h>

#include "stage1-pool/pool.h"
#include "stage2-server/reactor.h"
#include "stage2-server/store.h"

struct server;

struct server_options {
    struct reactor_options reactor;
    struct store *store;        /* borrowed until server_destroy */
    struct pool *pool;          /* borrowed, too */
    enum store_durability durability;   /* the store's */
    size_t large;               /* bytes; 0: 64 KiB */
    unsigned drain_ms;          /* 0: 1500 */
    unsigned threads;           /* the pool's: what may be busy at once */
};

/* Listens; serves nobody yet. *out is owned: server_destroy.  (2.10) */
int server_create(struct server **out, const struct server_options *options);

/* Serves until server_stop. 0 when everything was answered and synced; else
 * the store's error from syncing; else -ETIMEDOUT, when drain_ms did not
 * suffice.
 * (2.10; on the pool: 2.11; stopping: 2.12) */
int server_run(struct server *server);

/* (2.12) */
void server_stop(struct server *server);

/* NULL is allowed.  (2.10) */
void server_destroy(struct server *server);

int server_port(struct server *server);

/* Text for PROTO_STATS: "name value" lines of store and reactor. Given, in
 * server_stats.c. */
int server_stats_text(struct store *store, struct reactor *reactor,
                      struct buf *to);

#endif
