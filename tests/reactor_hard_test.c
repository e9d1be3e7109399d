/* reactor_hard_test.c -- the reactor among clients that do what they should
 * not: thousands that say nothing, some that never read, storms of resets, a
 * process without a free descriptor.
 *
 * Given.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "common/clock.h"
#include "stage2-server/reactor.h"
#include "tests/driver.h"
#include "tests/peer.h"

enum { TURN = 64, OUT_MAX = 1 << 20, MIB = 1 << 20 };

/* ---- a server of a few lines -------------------------------------------- */

/* Answers PING, and GET of a number with so many bytes. */
struct mini {
    struct reactor *reactor;
    struct actor loop;
    int port;
};

static unsigned char byte_at(size_t i)
{
    return (unsigned char)(i % 251);
}

static void answer(struct conn *conn, const struct proto_request *request)
{
    char digits[24] = "";
    size_t start, n = 0;

    if (request->op == PROTO_GET && request->key.len < sizeof digits) {
        memcpy(digits, request->key.ptr, request->key.len);
        n = strtoul(digits, NULL, 10);
    }
    expect_int("memory for a reply",
               proto_begin_reply(&conn->out, request->op, request->id,
                                 &start), 0);
    expect_int("memory for a reply", buf_reserve(&conn->out, n), 0);
    for (size_t i = 0; i < n; i++)
        conn->out.ptr[conn->out.len++] = byte_at(i);
    proto_end_reply(&conn->out, start, PROTO_OK);
}

static void serve(struct reactor *reactor, struct conn *conn)
{
    struct proto_request request;
    ssize_t n = 0;

    while (conn_unsent(conn) <= OUT_MAX
           && (n = conn_peek(conn, 0, &request)) > 0) {
        answer(conn, &request);
        conn_taken(conn, (size_t)n);
    }
    if (n < 0) {
        struct proto_reply bad = { .op = request.op, .id = request.id,
                                   .status = PROTO_BAD_FRAME };
        expect_int("proto_put_reply", proto_put_reply(&conn->out, &bad), 0);
        conn->closing = true;
    }
    conn->again = n > 0;
    conn_flush(conn);
    reactor_give_back(reactor, conn);
}

static void mini_loop(void *arg)
{
    struct mini *mini = arg;
    struct conn *ready[TURN];

    while (!reactor_stopping(mini->reactor)) {
        int n = reactor_wait(mini->reactor, ready, TURN, -1);

        expect_true("reactor_wait", n >= 0);
        for (int i = 0; i < n; i++)
            serve(mini->reactor, ready[i]);
    }
}

static void mini_create(struct mini *mini, struct reactor_options options)
{
    options.addr = loopback(0);
    expect_int("reactor_create", reactor_create(&mini->reactor, &options), 0);
    mini->port = reactor_port(mini->reactor);
}

static void mini_start(struct mini *mini, struct reactor_options options)
{
    mini_create(mini, options);
    actor_start(&mini->loop, mini_loop, mini);
}

static void mini_stop(struct mini *mini)
{
    reactor_stop(mini->reactor);
    expect_soon("reactor_stop", "the loop ends", actor_done, &mini->loop);
    actor_join(&mini->loop);
    reactor_destroy(mini->reactor);
}

static struct reactor_stats stats_of(struct mini *mini)
{
    struct reactor_stats stats;

    reactor_stats(mini->reactor, &stats);
    return stats;
}

/* `connections` of the reactor comes down, or up, to so many. */
struct open_goal {
    struct mini *mini;
    uint64_t n;
};

static bool as_many_open(void *arg)
{
    struct open_goal *goal = arg;

    return stats_of(goal->mini).connections == goal->n;
}

static void expect_open(const char *tried, struct mini *mini, uint64_t n)
{
    struct open_goal goal = { mini, n };

    if (!wait_until(as_many_open, &goal))
        fail_case(__FILE__, __LINE__, tried, "the right number of open "
                  "connections", "%llu instead of %llu",
                  (unsigned long long)stats_of(mini).connections,
                  (unsigned long long)n);
}

static void put_get_n(struct buf *to, uint64_t id, size_t n)
{
    char key[24];

    snprintf(key, sizeof key, "%zu", n);
    put_get(to, id, slice_str(key));
}

static void expect_pattern(struct peer *peer, const char *tried, uint64_t id,
                           size_t n)
{
    struct proto_reply reply;
    const unsigned char *got;
    size_t i = 0;

    peer_take(peer, tried, &reply);
    expect_int(tried, reply.id, id);
    expect_int(tried, reply.value.len, n);
    for (got = reply.value.ptr; i < n && got[i] == byte_at(i);)
        i++;
    expect_int("how much of the value is intact", i, n);
}

/* A new client is served. */
static bool is_served(void *arg)
{
    struct mini *mini = arg;
    struct proto_reply reply;
    struct buf ping = { 0 };
    struct peer peer;
    bool ok;

    if (!peer_try_open(&peer, mini->port))
        return false;
    put_ping(&ping, 7);
    ok = peer_try_send(&peer, ping.ptr, ping.len)
         && peer_try_take(&peer, &reply) && reply.status == PROTO_OK
         && reply.id == 7;
    peer_close(&peer);
    buf_release(&ping);
    return ok;
}

/* ---- in order ----------------------------------------------------------- */

/* Every prefix of a frame, then the end: a close, or a reset. */
static void prefixes(const struct run *run)
{
    struct mini mini;
    struct peer peer;
    struct buf frame = { 0 };

    mini_start(&mini, (struct reactor_options){ 0 });
    size_t before = descriptors();
    put_set(&frame, 1, slice_str("key"), slice_str("some value"));
    for (size_t round = 0; round < run->size; round++)
        for (size_t n = 0; n < frame.len; n++) {
            peer_open(&peer, mini.port);
            peer_send(&peer, frame.ptr, n);
            if (n % 2)
                peer_reset(&peer);
            else
                peer_close(&peer);
        }
    expect_soon("after many half frames", "a good client is served",
                is_served, &mini);
    expect_open("clients that closed inside a frame", &mini, 0);
    expect_descriptors("clients that closed inside a frame", before);
    buf_release(&frame);
    mini_stop(&mini);
}

/* Says all it has to say, and its last word: it gets every answer, the last
 * of them a large one, and then the end. */
static void half_close(const struct run *run)
{
    enum { LARGE = 16 * MIB };
    struct mini mini;
    struct peer peer;
    struct buf frames = { 0 };

    mini_start(&mini, (struct reactor_options){ .out_max = 4 * LARGE });
    peer_open_small(&peer, mini.port, 64 * 1024);
    for (size_t i = 0; i < run->size; i++)
        put_get_n(&frames, i, i % 3 ? 10 : 10000);
    put_get_n(&frames, run->size, LARGE);
    peer_send_buf(&peer, &frames);
    peer_half_close(&peer);
    for (size_t i = 0; i < run->size; i++)
        expect_pattern(&peer, "requests, then a half-close", i,
                       i % 3 ? 10 : 10000);
    expect_pattern(&peer, "the last request before a half-close", run->size,
                   LARGE);
    peer_expect_end(&peer, "after the last reply");
    peer_close(&peer);
    buf_release(&frames);
    expect_open("half-closed connections", &mini, 0);
    mini_stop(&mini);
}

/* Goes on sending after the answer to a bad frame: it is not told so by a
 * reset, which might overtake the answer. */
static void bad_frame_is_heard(const struct run *run)
{
    static unsigned char rubbish[4096];
    struct mini mini;
    struct peer peer;
    struct buf frame = { 0 };

    mini_start(&mini, (struct reactor_options){ 0 });
    peer_open(&peer, mini.port);
    put_ping(&frame, 1);
    put_header(&frame, PROTO_MAGIC, PROTO_VERSION, PROTO_SET, UINT32_MAX, 2);
    expect_int("a frame", buf_append(&frame, rubbish, sizeof rubbish), 0);
    peer_send_buf(&peer, &frame);
    peer_expect(&peer, "a ping in front of a bad frame", 1, PROTO_OK);
    peer_expect(&peer, "a bad frame", 2, PROTO_BAD_FRAME);
    for (size_t sent = 0; sent < run->size; sent += sizeof rubbish)
        peer_send(&peer, rubbish, sizeof rubbish);
    expect_int("after a bad frame: the end", recv(peer.fd, rubbish, 1, 0),
               0);
    peer_close(&peer);
    buf_release(&frame);
    expect_open("connections after a bad frame", &mini, 0);
    mini_stop(&mini);
}

/* A client whose socket takes 64 KiB at a time gets 16 MiB whole, and sends
 * as much. */
static void small_buffers(const struct run *run)
{
    struct mini mini;
    struct peer peer;
    struct buf frames = { 0 };
    size_t n = run->size;
    char *value = calloc(1, n);

    mini_start(&mini, (struct reactor_options){ 0 });
    peer_open_small(&peer, mini.port, 64 * 1024);
    put_get_n(&frames, 1, n);
    put_get_n(&frames, 2, n / 2);
    peer_send_buf(&peer, &frames);
    expect_pattern(&peer, "16 MiB to a client with small buffers", 1, n);
    expect_pattern(&peer, "8 MiB behind them", 2, n / 2);
    put_set(&frames, 3, slice_str("k"), slice_of(value, n));
    put_ping(&frames, 4);
    peer_send_buf(&peer, &frames);
    peer_expect(&peer, "16 MiB from a client with small buffers", 3,
                PROTO_OK);
    peer_expect(&peer, "a ping behind them", 4, PROTO_OK);
    peer_close(&peer);
    buf_release(&frames);
    free(value);
    mini_stop(&mini);
}

/* ---- limits ------------------------------------------------------------- */

static void connection_limit(const struct run *run)
{
    struct mini mini;
    struct peer peers[8], late;
    size_t limit = run->size;

    mini_start(&mini, (struct reactor_options){
        .max_connections = (unsigned)limit });
    for (size_t i = 0; i < limit; i++) {
        peer_open(&peers[i], mini.port);
        peer_ping(&peers[i], "a connection within the limit", i);
    }
    peer_open(&late, mini.port);
    peer_expect(&late, "a connection above the limit", 0, PROTO_BUSY);
    peer_expect_end(&late, "a connection above the limit");
    peer_close(&late);
    expect_int("refused", stats_of(&mini).refused, 1);
    peer_close(&peers[0]);
    expect_soon("a connection has ended", "another one is let in", is_served,
                &mini);
    for (size_t i = 1; i < limit; i++) {
        peer_ping(&peers[i], "the others go on", i);
        peer_close(&peers[i]);
    }
    mini_stop(&mini);
}

/* Asks for much and reads nothing: the reactor holds a little of it, serves
 * others meanwhile, and drops it. */
static void never_reads(const struct run *run)
{
    struct mini mini;
    struct peer greedy, good;
    struct buf frames = { 0 };
    size_t most = 0, pings = 0;

    mini_start(&mini, (struct reactor_options){ .stall_ms = 150 });
    peer_open(&good, mini.port);
    peer_ping(&good, "a good client", 0);
    size_t before = descriptors();
    peer_open_small(&greedy, mini.port, 16 * 1024);
    for (size_t i = 0; i < run->size; i++)
        put_get_n(&frames, i, MIB);
    size_t heap = heap_used();
    peer_send_buf(&greedy, &frames);
    while (stats_of(&mini).dropped == 0 && pings < 1000000) {
        peer_ping(&good, "beside a client that does not read", ++pings);
        size_t now = heap_used();
        most = now > heap + most ? now - heap : most;
    }
    expect_int("a client that does not read is dropped",
               stats_of(&mini).dropped, 1);
    expect_true("others are served meanwhile", pings > 1);
    expect_at_most("bytes held for a client that does not read", most,
                   8 * MIB);
    expect_descriptors("a client that was dropped", before + 1);
    peer_close(&greedy);
    peer_close(&good);
    buf_release(&frames);
    mini_stop(&mini);
}

/* Lengths that are claimed and do not come cost nothing. */
static void claimed_lengths(const struct run *run)
{
    struct mini mini;
    struct peer peers[64];
    struct buf frame = { 0 };

    mini_start(&mini, (struct reactor_options){ 0 });
    for (size_t i = 0; i < run->size; i++) {
        peer_open(&peers[i], mini.port);
        peer_ping(&peers[i], "a new connection", i);
    }
    size_t before = heap_used();
    for (size_t i = 0; i < run->size; i++) {
        put_header(&frame, PROTO_MAGIC, PROTO_VERSION, PROTO_SET,
                   PROTO_BODY_MAX, i);
        peer_send_buf(&peers[i], &frame);
    }
    expect_true("a good client", is_served(&mini));
    expect_true("memory for lengths that were only claimed",
                heap_used() < before + MIB);
    for (size_t i = 0; i < run->size; i++)
        peer_close(&peers[i]);
    buf_release(&frame);
    expect_open("connections that have ended", &mini, 0);
    mini_stop(&mini);
}

/* Sends what the other side takes at once, at most len bytes. */
static void send_some(struct peer *peer, const void *bytes, size_t len)
{
    const char *at = bytes;

    while (len > 0) {
        ssize_t n = send(peer->fd, at, len, MSG_NOSIGNAL | MSG_DONTWAIT);

        if (n <= 0)
            return;
        at += n;
        len -= (size_t)n;
    }
}

static bool some_dropped(void *arg)
{
    return stats_of(arg).dropped > 0;
}

/* Many large frames at once, none of which ever becomes whole. */
static void budget(const struct run *run)
{
    enum { BUDGET = 4 * MIB };
    static char body[MIB];
    struct mini mini;
    struct peer peers[64], good;
    struct buf frame = { 0 };
    uint64_t most = 0;

    mini_start(&mini, (struct reactor_options){ .budget = BUDGET,
                                                .stall_ms = 50 });
    peer_open(&good, mini.port);
    for (size_t i = 0; i < run->size; i++) {
        peer_open(&peers[i], mini.port);
        put_header(&frame, PROTO_MAGIC, PROTO_VERSION, PROTO_SET,
                   PROTO_BODY_MAX, i);
        expect_int("a header", buf_append(&frame, "\1\0\0\0k", 5), 0);
        peer_send_buf(&peers[i], &frame);
    }
    for (size_t i = 0; i < run->size; i++) {
        send_some(&peers[i], body, sizeof body);
        peer_ping(&good, "beside many large frames", i);
        if (stats_of(&mini).buffered > most)
            most = stats_of(&mini).buffered;
    }
    expect_at_most("bytes in all buffers together", most, BUDGET);
    expect_true("they have used some of it", most > BUDGET / 4);
    expect_soon("more than the budget was claimed", "somebody is dropped",
                some_dropped, &mini);
    peer_ping(&good, "after that", 1);
    for (size_t i = 0; i < run->size; i++)
        peer_close(&peers[i]);
    expect_open("connections that have ended", &mini, 1);
    expect_at_most("bytes in buffers, when most connections have ended",
                   stats_of(&mini).buffered, MIB);
    peer_close(&good);
    buf_release(&frame);
    mini_stop(&mini);
}

/* One who is not read any more, for the budget is spent, is told so in the
 * protocol that he speaks. */
static void busy_in_resp(const struct run *run)
{
    static const char command[] = "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$9000000\r\n";
    static const char busy[] = "-BUSY busy\r\n";
    static char body[4 * MIB];
    char answer[64] = { 0 };
    struct timespec moment = { 0, 1000000 };
    struct mini mini;
    struct peer peer;
    ssize_t n = 0;

    (void)run;
    mini_start(&mini, (struct reactor_options){ .budget = MIB,
                                                .stall_ms = 50 });
    peer_open(&peer, mini.port);
    send_some(&peer, command, sizeof command - 1);
    for (int i = 0; i < 50 && !stats_of(&mini).dropped; i++) {
        send_some(&peer, body, sizeof body);
        nanosleep(&moment, NULL);
    }
    expect_soon("more than the budget was claimed", "somebody is dropped",
                some_dropped, &mini);
    while (n < (ssize_t)sizeof busy - 1) {
        ssize_t got = recv(peer.fd, answer + n, sizeof answer - 1 - (size_t)n,
                           0);
        if (got <= 0)
            break;
        n += got;
    }
    expect_str("the answer to one who is dropped", answer, busy);
    peer_close(&peer);
    mini_stop(&mini);
}

enum { HALVES = 7, HALF = 200 * 1024 };     /* each is read */

static bool halves_are_read(void *arg)
{
    return stats_of(arg).buffered >= HALVES * HALF;
}

/* Half frames fill the budget, and nothing more comes of them. Who is not
 * read for their sake is, in the end. */
static void quiet_halves(const struct run *run)
{
    static char body[MIB];
    struct mini mini;
    struct peer peers[HALVES], good;
    struct buf frame = { 0 };

    (void)run;
    mini_start(&mini, (struct reactor_options){ .budget = 4 * MIB,
                                                .stall_ms = 200 });
    peer_open(&good, mini.port);
    peer_ping(&good, "before", 1);
    put_header(&frame, PROTO_MAGIC, PROTO_VERSION, PROTO_SET, PROTO_BODY_MAX,
               7);
    expect_int("a header", buf_append(&frame, "\1\0\0\0k", 5), 0);
    expect_int("half a body", buf_append(&frame, body, HALF), 0);
    for (size_t i = 0; i < HALVES; i++) {
        peer_open(&peers[i], mini.port);
        send_some(&peers[i], frame.ptr, frame.len);
    }
    expect_soon("half frames", "all of them are read", halves_are_read, &mini);
    buf_clear(&frame);
    put_set(&frame, 2, slice_str("k"), slice_of(body, 900 * 1024));
    peer_send(&good, frame.ptr, frame.len);
    peer_expect(&good, "900 KiB, beside half frames of which nothing comes", 2,
                PROTO_OK);
    for (size_t i = 0; i < HALVES; i++)
        peer_close(&peers[i]);
    peer_close(&good);
    buf_release(&frame);
    mini_stop(&mini);
}

/* ---- storms ------------------------------------------------------------- */

/* A flat heap: warmed up, it grows by less than the slack. */
static void expect_flat(const char *tried, size_t before)
{
    size_t now = heap_used();

    if (now > before + 256 * 1024)
        fail_case(__FILE__, __LINE__, tried, "memory does not grow",
                  "%zu bytes more", now - before);
}

static void come_and_go(struct mini *mini, size_t n)
{
    struct peer peer;

    for (size_t i = 0; i < n; i++) {
        peer_open(&peer, mini->port);
        peer_ping(&peer, "a client that comes and goes", i);
        peer_close(&peer);
    }
    expect_open("clients that came and went", mini, 0);
}

static void comes_and_goes(const struct run *run)
{
    struct mini mini;

    mini_start(&mini, (struct reactor_options){ 0 });
    size_t before = descriptors();
    come_and_go(&mini, 50);
    size_t heap = heap_used();
    come_and_go(&mini, run->size);
    expect_flat("clients that came and went", heap);
    expect_descriptors("clients that came and went", before);
    mini_stop(&mini);
}

/* Clients that ask for megabytes and reset the connection in the middle. */
static void reset_storm(struct mini *mini, struct peer *peers, size_t n)
{
    struct buf frames = { 0 };
    char some[1000];

    for (size_t i = 0; i < n; i++) {
        peer_open(&peers[i], mini->port);
        put_get_n(&frames, 1, MIB / 2);
        put_get_n(&frames, 2, MIB / 2);
        put_ping(&frames, 3);
        peer_send_buf(&peers[i], &frames);
    }
    for (size_t i = 0; i < n; i++) {
        if (i % 2)
            expect_true("the start of a reply",
                        recv(peers[i].fd, some, sizeof some, 0) > 0);
        peer_reset(&peers[i]);
    }
    buf_release(&frames);
    expect_open("clients that reset the connection", mini, 0);
}

static void resets(const struct run *run)
{
    struct mini mini;
    struct peer *peers = calloc(run->size, sizeof *peers);

    mini_start(&mini, (struct reactor_options){ 0 });
    size_t before = descriptors();
    reset_storm(&mini, peers, run->size);
    size_t heap = heap_used();
    reset_storm(&mini, peers, run->size);
    expect_flat("resets in the middle of replies", heap);
    expect_descriptors("resets in the middle of replies", before);
    expect_soon("after the resets", "a good client is served", is_served,
                &mini);
    free(peers);
    mini_stop(&mini);
}

static void ignore(int sig)
{
    (void)sig;
}

struct reader {
    struct actor actor;
    int port;
    size_t rounds;
};

static void read_rounds(void *arg)
{
    struct reader *reader = arg;
    struct buf frame = { 0 };
    struct peer peer;

    peer_open(&peer, reader->port);
    for (size_t i = 0; i < reader->rounds; i++) {
        put_get_n(&frame, i, 200000);
        peer_send_buf(&peer, &frame);
        expect_pattern(&peer, "replies during a storm of signals", i,
                       200000);
    }
    peer_close(&peer);
    buf_release(&frame);
}

/* Signals with a handler that does not restart calls. */
static void signals(const struct run *run)
{
    struct sigaction act = { .sa_handler = ignore };
    struct timespec pause = { 0, 20000 };
    struct reader reader = { .rounds = run->size };
    struct mini mini;
    size_t sent = 0;

    sigaction(SIGUSR1, &act, NULL);
    mini_start(&mini, (struct reactor_options){ 0 });
    reader.port = mini.port;
    actor_start(&reader.actor, read_rounds, &reader);
    for (; !actor_done(&reader.actor); sent++) {
        pthread_kill(mini.loop.id, SIGUSR1);
        nanosleep(&pause, NULL);    /* else nothing else would happen */
    }
    actor_join(&reader.actor);
    expect_true("signals were sent meanwhile", sent > 0);
    expect_true("afterwards a client is served", is_served(&mini));
    mini_stop(&mini);
}

/* ---- in a process of its own -------------------------------------------- */

struct child {
    pid_t pid;
    int port;
};

static void child_start(struct child *child, rlim_t files,
                        void (*loop)(void *), struct reactor_options options)
{
    struct rlimit limit = { files, files };
    struct mini mini;
    int ends[2];

    expect_int("pipe", pipe(ends), 0);
    if (forked(&child->pid)) {
        close(ends[0]);
        if (files > 0)
            expect_int("setrlimit", setrlimit(RLIMIT_NOFILE, &limit), 0);
        if (options.signals)
            reactor_block_signals();
        mini_create(&mini, options);
        expect_true("the child tells its port",
                    write(ends[1], &mini.port, sizeof mini.port) > 0);
        close(ends[1]);
        loop(&mini);
        reactor_destroy(mini.reactor);
        _exit(0);
    }
    close(ends[1]);
    expect_int("the child tells its port",
               read(ends[0], &child->port, sizeof child->port),
               sizeof child->port);
    close(ends[0]);
}

static uint64_t cpu_of(pid_t pid)
{
    struct timespec t = { 0 };
    clockid_t clock;

    expect_int("the child's clock", clock_getcpuclockid(pid, &clock), 0);
    clock_gettime(clock, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* Sends a ping. 1: answered; 0: BUSY or refused; the others wait. */
static int asked(struct peer *peer)
{
    struct proto_reply reply;

    if (!peer_try_take(peer, &reply))
        return 0;
    if (reply.status != PROTO_OK)
        expect_str("the answer of a full server",
                   proto_status_text(reply.status),
                   proto_status_text(PROTO_BUSY));
    return reply.status == PROTO_OK;
}

/* A process that may have 32 files is asked by twice as many clients. */
static void files_run_out(const struct run *run)
{
    struct child child;
    struct peer *peers = calloc(run->size, sizeof *peers);
    struct buf ping = { 0 };
    struct timespec window = { 0, 200 * 1000000 };
    size_t served = 0;

    child_start(&child, 32, mini_loop,
                (struct reactor_options){ .max_connections = 1000 });
    put_ping(&ping, 1);
    for (size_t i = 0; i < run->size; i++) {
        peer_open(&peers[i], child.port);
        peer_try_send(&peers[i], ping.ptr, ping.len);
    }
    while (served < run->size && asked(&peers[served]))
        served++;
    expect_true("with 32 files, some clients are served", served >= 8);
    expect_true("and the first of the others hears BUSY",
                served < run->size);
    uint64_t cpu = cpu_of(child.pid), wall = clock_now_ns();
    nanosleep(&window, NULL);       /* the window of the measurement */
    cpu = cpu_of(child.pid) - cpu;
    wall = clock_now_ns() - wall;
    expect_at_most("CPU time of a server without descriptors, in per cent",
                   100 * cpu / wall, 20);
    for (size_t i = 0; i < run->size; i++)
        peer_close(&peers[i]);
    expect_soon("the clients have gone", "a new one is served", is_served,
                &(struct mini){ .port = child.port });
    kill(child.pid, SIGKILL);
    waitpid(child.pid, NULL, 0);
    buf_release(&ping);
    free(peers);
}

/* Goes on after it was asked to stop. */
static void deaf_loop(void *arg)
{
    struct mini *mini = arg;
    struct conn *ready[TURN];

    mini_loop(mini);
    for (;;) {
        int n = reactor_wait(mini->reactor, ready, TURN, -1);

        for (int i = 0; i < n; i++)
            serve(mini->reactor, ready[i]);
    }
}

static bool has_ended(void *arg)
{
    siginfo_t info = { 0 };

    return waitid(P_PID, *(id_t *)arg, &info, WEXITED | WNOHANG | WNOWAIT)
           == 0 && info.si_pid != 0;
}

static int end_of(pid_t pid)
{
    int status = 0;

    expect_soon("a signal to the server", "it ends", has_ended, &pid);
    waitpid(pid, &status, 0);
    return status;
}

/* The first signal stops; a second one ends a process that still is busy. */
static void stop_signals(const struct run *run)
{
    struct reactor_options options = { .signals = true };
    struct child child;
    int sigs[] = { SIGTERM, SIGINT };

    for (size_t i = 0; i < run->size; i++) {
        struct mini there;

        child_start(&child, 0, mini_loop, options);
        there.port = child.port;
        expect_true("a server with signals", is_served(&there));
        kill(child.pid, sigs[i % 2]);
        expect_int("a signal: the server's exit status",
                   WEXITSTATUS(end_of(child.pid)), 0);
        child_start(&child, 0, deaf_loop, options);
        there.port = child.port;
        expect_true("a server with signals", is_served(&there));
        kill(child.pid, sigs[i % 2]);
        expect_true("a server that goes on", is_served(&there));
        kill(child.pid, sigs[(i + 1) % 2]);
        expect_int("a second signal ends it", WTERMSIG(end_of(child.pid)),
                   sigs[(i + 1) % 2]);
    }
}

/* ---- thousands ---------------------------------------------------------- */

enum { ACTIVE = 50, ROUNDS = 10 };

/* A process that opens n connections, is served once on each, and keeps them
 * until the pipe ends. */
static void idle_crowd(struct child *child, int port, size_t n, int pipe_end)
{
    char byte;

    if (!forked(&child->pid))
        return;
    for (size_t i = 0; i < n; i++) {
        struct peer peer;

        peer_open(&peer, port);
        peer_ping(&peer, "a client, before it falls silent", i);
        buf_release(&peer.in);
    }
    (void)!read(pipe_end, &byte, 1);
    _exit(0);
}

static uint64_t loop_cpu(struct mini *mini)
{
    struct timespec t;
    clockid_t clock;

    expect_int("the loop's clock",
               pthread_getcpuclockid(mini->loop.id, &clock), 0);
    clock_gettime(clock, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* What the loop's thread needs to serve the active ones: the least of three
 * measurements. */
static uint64_t cost_of_serving(struct mini *mini, struct peer *active)
{
    uint64_t least = UINT64_MAX;

    for (int try = 0; try < 3; try++) {
        uint64_t cpu = loop_cpu(mini);

        for (int i = 0; i < ROUNDS * ACTIVE; i++)
            peer_ping(&active[i % ACTIVE], "an active client", 1);
        cpu = loop_cpu(mini) - cpu;
        least = cpu < least ? cpu : least;
    }
    return least / (ROUNDS * ACTIVE);
}

static size_t as_many_as_may_be(size_t wanted)
{
    struct rlimit limit;

    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    return limit.rlim_cur - 200 < wanted ? limit.rlim_cur - 200 : wanted;
}

static void thousands_idle(const struct run *run)
{
    size_t n = as_many_as_may_be(run->size);
    struct peer active[ACTIVE];
    struct child crowd;
    struct mini mini;
    int ends[2];

    mini_start(&mini, (struct reactor_options){
        .max_connections = (unsigned)n + ACTIVE });
    for (int i = 0; i < ACTIVE; i++)
        peer_open(&active[i], mini.port);
    uint64_t alone = cost_of_serving(&mini, active);
    size_t heap = heap_used(), files = descriptors();
    expect_int("pipe", pipe2(ends, O_CLOEXEC), 0);
    idle_crowd(&crowd, mini.port, n, ends[0]);
    expect_open("thousands of idle connections", &mini, n + ACTIVE);
    size_t each = (heap_used() - heap) / n;
    uint64_t beside = cost_of_serving(&mini, active);
    for (int try = 0; try < 5 && beside > alone + alone / 2; try++)
        beside = cost_of_serving(&mini, active);    /* others disturb us */
    printf("%zu idle: %zu bytes each; a request costs %llu ns, alone "
           "%llu\n", n, each, (unsigned long long)beside,
           (unsigned long long)alone);
    expect_at_most("bytes that an idle connection costs", each, 1023);
    expect_at_most("CPU ns of a request beside idle connections", beside,
                   3 * alone + 2000);
    kill(crowd.pid, SIGKILL);
    waitpid(crowd.pid, NULL, 0);
    expect_open("thousands have gone", &mini, ACTIVE);
    expect_descriptors("thousands have gone", files + 2);
    for (int i = 0; i < ACTIVE; i++)
        peer_close(&active[i]);
    close(ends[0]);
    close(ends[1]);
    mini_stop(&mini);
}

static const struct test_case cases[] = {
    { "prefixes", prefixes, 3 },
    { "half_close", half_close, 100 },
    { "bad_frame_is_heard", bad_frame_is_heard, 100000 },
    { "small_buffers", small_buffers, 16 * MIB },
    { "connection_limit", connection_limit, 4 },
    { "never_reads", never_reads, 100 },
    { "claimed_lengths", claimed_lengths, 16 },
    { "budget", budget, 32 },
    { "busy_in_resp", busy_in_resp, 0 },
    { "quiet_halves", quiet_halves, 0 },
    { "comes_and_goes", comes_and_goes, 1000 },
    { "resets", resets, 100 },
    { "signals", signals, 50 },
    { "files_run_out", files_run_out, 64 },
    { "stop_signals", stop_signals, 2 },
    { "thousands_idle", thousands_idle, 10000 },
    { NULL, NULL, 0 }
};

int main(int argc, char **argv)
{
    return driver_main(argc, argv, cases);
}
