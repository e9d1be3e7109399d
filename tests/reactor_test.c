/* reactor_test.c -- the cases of reactor.c and conn.c, with clients that do
 * what they should. For the others see reactor_hard_test.c.
 *
 * Given.
 */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "stage2-server/reactor.h"
#include "tests/driver.h"
#include "tests/peer.h"

enum { MAX = 8, WAIT_MS = 10000 };

static struct reactor *made(struct reactor_options options)
{
    struct reactor *reactor = NULL;

    options.addr = loopback(0);
    expect_int("reactor_create", reactor_create(&reactor, &options), 0);
    expect_true("reactor_port", reactor_port(reactor) > 0);
    return reactor;
}

/* The one connection that has something. */
static struct conn *next_ready(struct reactor *reactor)
{
    struct conn *ready[MAX];

    expect_int("reactor_wait, when one client has sent something",
               reactor_wait(reactor, ready, MAX, WAIT_MS), 1);
    return ready[0];
}

static void expect_none(struct reactor *reactor, const char *tried)
{
    struct conn *ready[MAX];

    expect_int(tried, reactor_wait(reactor, ready, MAX, 0), 0);
}

static void send_pings(struct peer *peer, uint64_t first, unsigned n)
{
    struct buf frames = { 0 };

    for (unsigned i = 0; i < n; i++)
        put_ping(&frames, first + i);
    peer_send_buf(peer, &frames);
    peer_expect_arrived(peer);
    buf_release(&frames);
}

/* Answers the next request, which has this id. */
static void answer_one(struct conn *conn, uint64_t id)
{
    struct proto_request request;
    ssize_t n = conn_peek(conn, 0, &request);
    size_t start;

    expect_int("conn_peek at a ping", n, PROTO_HEADER);
    expect_int("its id", request.id, id);
    expect_int("begin", conn->parser->begin(&conn->out, &request, &start), 0);
    expect_int("end", conn->parser->end(&conn->out, &request, start,
                                        PROTO_OK), 0);
    conn_taken(conn, (size_t)n);
}

static void hand_over(const struct run *run)
{
    struct reactor *reactor = made((struct reactor_options){ .stall_ms = 0 });
    struct proto_request request;
    struct peer peer;

    (void)run;
    peer_open(&peer, reactor_port(reactor));
    expect_none(reactor, "reactor_wait, when nobody has sent anything");
    send_pings(&peer, 1, 2);
    struct conn *conn = next_ready(reactor);
    expect_none(reactor, "reactor_wait, when the only one is away");
    expect_int("what is unserved", conn_unserved(conn), 2 * PROTO_HEADER);
    expect_int("conn_peek behind the first request",
               conn_peek(conn, PROTO_HEADER, &request), PROTO_HEADER);
    expect_int("its id", request.id, 2);
    expect_int("conn_peek at the end",
               conn_peek(conn, 2 * PROTO_HEADER, &request), 0);
    answer_one(conn, 1);
    answer_one(conn, 2);
    expect_int("what is unserved", conn_unserved(conn), 0);
    expect_int("what is unsent", conn_unsent(conn), 2 * PROTO_HEADER);
    expect_int("conn_flush", conn_flush(conn), 0);
    expect_int("what is unsent", conn_unsent(conn), 0);
    reactor_give_back(reactor, conn);
    peer_expect(&peer, "a ping", 1, PROTO_OK);
    peer_expect(&peer, "a ping", 2, PROTO_OK);
    expect_none(reactor, "reactor_wait, when all is served");
    peer_close(&peer);
    reactor_destroy(reactor);
}

/* `again` brings it back; without, only new bytes do. The reactor sends what
 * nobody has flushed. */
static void again(const struct run *run)
{
    struct reactor *reactor = made((struct reactor_options){ .stall_ms = 0 });
    struct peer peer;

    (void)run;
    peer_open(&peer, reactor_port(reactor));
    send_pings(&peer, 1, 2);
    struct conn *conn = next_ready(reactor);
    answer_one(conn, 1);
    conn->again = true;
    reactor_give_back(reactor, conn);
    conn = next_ready(reactor);
    expect_true("again is false when it is handed out", !conn->again);
    answer_one(conn, 2);
    reactor_give_back(reactor, conn);
    peer_expect(&peer, "a ping", 1, PROTO_OK);
    peer_expect(&peer, "a ping", 2, PROTO_OK);
    peer_send(&peer, "\xb7", 1);
    conn = next_ready(reactor);
    struct proto_request request;
    expect_int("conn_peek at one byte", conn_peek(conn, 0, &request), 0);
    reactor_give_back(reactor, conn);
    expect_none(reactor, "reactor_wait with a part of a frame");
    peer_close(&peer);
    reactor_destroy(reactor);
}

/* More are ready than the caller has room for: the others come next. */
static void many_ready(const struct run *run)
{
    struct reactor *reactor = made((struct reactor_options){ .stall_ms = 0 });
    struct peer peers[MAX];
    struct conn *ready[3];
    int seen = 0;

    (void)run;
    for (uint64_t i = 0; i < MAX; i++) {
        peer_open(&peers[i], reactor_port(reactor));
        send_pings(&peers[i], i, 1);
    }
    while (seen < MAX) {
        int n = reactor_wait(reactor, ready, 3, WAIT_MS);

        expect_true("reactor_wait with room for 3", n > 0 && n <= 3);
        for (int i = 0; i < n; i++) {
            struct proto_request request;

            conn_peek(ready[i], 0, &request);
            answer_one(ready[i], request.id);
            reactor_give_back(reactor, ready[i]);
        }
        seen += n;
    }
    for (uint64_t i = 0; i < MAX; i++) {
        peer_expect(&peers[i], "a ping", i, PROTO_OK);
        peer_close(&peers[i]);
    }
    reactor_destroy(reactor);
}

struct helper {
    struct actor actor;
    struct reactor *reactor;
    struct conn *conn;
};

static void give_back(void *arg)
{
    struct helper *h = arg;

    reactor_give_back(h->reactor, h->conn);
}

/* Served by another thread, which wakes the loop when it is done. */
static void other_thread(const struct run *run)
{
    struct reactor_options options = { .stall_ms = 0 };
    struct helper h = { .reactor = made(options) };
    struct conn *ready[MAX];
    struct peer peer;

    peer_open(&peer, reactor_port(h.reactor));
    for (uint64_t i = 0; i < run->size; i++) {
        send_pings(&peer, i, 1);
        h.conn = next_ready(h.reactor);
        answer_one(h.conn, i);
        actor_start(&h.actor, give_back, &h);
        expect_int("reactor_wait is woken",
                   reactor_wait(h.reactor, ready, MAX, WAIT_MS), 0);
        actor_join(&h.actor);
        peer_expect(&peer, "a ping", i, PROTO_OK);
    }
    peer_close(&peer);
    reactor_destroy(h.reactor);
}

static void stop(void *arg)
{
    reactor_stop(arg);
}

static void stopping(const struct run *run)
{
    struct reactor *reactor = made((struct reactor_options){ .stall_ms = 0 });
    struct reactor_stats stats;
    struct conn *ready[MAX];
    struct actor actor;
    struct peer peer, idle, late;

    (void)run;
    peer_open(&peer, reactor_port(reactor));
    peer_open(&idle, reactor_port(reactor));
    expect_none(reactor, "reactor_wait, when nobody has sent anything");
    expect_true("not stopping at first", !reactor_stopping(reactor));
    actor_start(&actor, stop, reactor);
    expect_int("reactor_wait is woken by reactor_stop",
               reactor_wait(reactor, ready, MAX, WAIT_MS), 0);
    actor_join(&actor);
    expect_true("stopping, then", reactor_stopping(reactor));
    send_pings(&peer, 1, 1);
    reactor_close_door(reactor);
    expect_true("nobody comes any more",
                !peer_try_open(&late, reactor_port(reactor)));
    reactor_last_read(reactor);
    expect_int("reactor_unfinished", reactor_unfinished(reactor), 1);
    send_pings(&peer, 2, 1);
    struct conn *conn = next_ready(reactor);
    answer_one(conn, 1);
    expect_int("what came later is not read", conn_unserved(conn), 0);
    expect_int("reactor_unfinished", reactor_unfinished(reactor), 1);
    reactor_give_back(reactor, conn);
    expect_int("reactor_unfinished", reactor_unfinished(reactor), 0);
    expect_int("reactor_wait, when nothing is unfinished",
               reactor_wait(reactor, ready, MAX, WAIT_MS), 0);
    reactor_stats(reactor, &stats);
    expect_int("connections", stats.connections, 2);
    expect_int("accepted", stats.accepted, 2);
    peer_expect(&peer, "a ping", 1, PROTO_OK);
    reactor_destroy(reactor);
    peer_expect_end(&idle, "an idle connection, then");
    peer_close(&peer);
    peer_close(&idle);
}

/* What an idle connection holds; how long a wait without anything takes. */
static void idle(const struct run *run)
{
    struct reactor *reactor = made((struct reactor_options){ .stall_ms = 0 });
    struct reactor_stats stats;
    struct conn *ready[MAX];
    struct peer peer;

    (void)run;
    peer_open(&peer, reactor_port(reactor));
    send_pings(&peer, 1, 1);
    struct conn *conn = next_ready(reactor);
    answer_one(conn, 1);
    reactor_give_back(reactor, conn);
    reactor_stats(reactor, &stats);
    expect_int("buffers of an idle connection", stats.buffered, 0);
    expect_int("reactor_room", reactor_room(reactor), 256 << 20);
    uint64_t start = clock_now_ns();
    expect_int("reactor_wait for 20 ms",
               reactor_wait(reactor, ready, MAX, 20), 0);
    expect_true("20 ms are over", clock_now_ns() - start >= 20000000);
    peer_close(&peer);
    reactor_destroy(reactor);
}

static const struct test_case cases[] = {
    { "hand_over", hand_over, 1 },
    { "again", again, 1 },
    { "many_ready", many_ready, 1 },
    { "other_thread", other_thread, 50 },
    { "stopping", stopping, 1 },
    { "idle", idle, 1 },
    { NULL, NULL, 0 },
};

int main(int argc, char **argv)
{
    return driver_main(argc, argv, cases);
}
