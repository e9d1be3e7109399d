/* server_bench_echo.c -- the baseline of task 2.13: a server of one thread
 * that has nothing to look up.
 *
 * Given.
 *
 * It has the same reactor and the same connections as the server; of a frame
 * it reads the length and the id, and its reply is always the same. With
 * `durable`, it waits for the disk once for each connection that is ready:
 * one thread, one request after the other.
 */
#include <pthread.h>
#include <string.h>

#include "common/buf.h"
#include "common/little.h"
#include "common/sock.h"
#include "stage2-server/reactor.h"
#include "tests/server_bench.h"

enum { READY = 256 };

const bool subject_has_values = false;

static struct reactor *reactor;
static struct buf reply;
static bool durable;

/* conn.c names it; nothing here peeks. */
ssize_t proto_decode(struct slice bytes, struct proto_request *out)
{
    (void)bytes, (void)out;
    return -1;
}

static void serve(struct conn *conn)
{
    size_t there;

    while ((there = conn_unserved(conn)) >= PROTO_HEADER) {
        const unsigned char *at = conn->in.ptr + conn->in_at;
        size_t len = PROTO_HEADER + little_get32(at + 4), start = conn->out.len;

        if (there < len)
            break;
        if (buf_append_slice(&conn->out, buf_slice(&reply)) != 0)
            bench_fail("no memory");
        memcpy(conn->out.ptr + start + 8, at + 8, 8);
        conn_taken(conn, len);
    }
    if (durable)
        bench_disk();
    conn_flush(conn);
    reactor_give_back(reactor, conn);
}

static void *run(void *arg)
{
    struct conn *ready[READY];

    for (;;) {
        int n = reactor_wait(reactor, ready, READY, -1);

        for (int i = 0; i < n; i++)
            serve(ready[i]);
    }
    return arg;
}

int subject_start(const struct bench_load *load)
{
    static const unsigned char value[BENCH_VALUE];
    struct reactor_options options = { .stall_ms = 0 };
    struct proto_reply same = {
        .op = load->durable ? PROTO_SET : PROTO_GET,
        .value = slice_of(value, load->durable ? 0 : BENCH_VALUE),
    };
    pthread_t loop;

    durable = load->durable;
    if (proto_put_reply(&reply, &same) != 0
        || sock_parse(&options.addr, "127.0.0.1:0") != 0
        || reactor_create(&reactor, &options) != 0
        || pthread_create(&loop, NULL, run, NULL) != 0)
        bench_fail("the echo server does not start");
    return reactor_port(reactor);
}

void subject_stop(void)
{
}
