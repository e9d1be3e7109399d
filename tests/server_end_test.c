/* server_end_test.c -- the end of a server: asked to stop, killed, started
 * again (task 2.12; the kills also 2.10: what was acknowledged is there).
 *
 * Given.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>

#include "common/clock.h"
#include "common/counter.h"
#include "tests/server_test.h"

enum { WRITERS = 4, KEYS = 8, MIB = 1 << 20 };

/* ---- writers, and what they know ---------------------------------------- */

/* Sets its keys to 1, 2, 3 .. until the connection ends or `stop`, and keeps
 * `depth` sets under way. Of each key it knows what was acknowledged last,
 * and what was sent last. */
struct writer {
    struct actor actor;
    int number, port;
    size_t depth;
    struct counter *stop;       /* NULL: only the connection's end */
    struct counter acked;
    uint64_t sent[KEYS], acknowledged[KEYS];
    uint64_t next, answered;    /* sets sent, replies taken */
};

static struct slice key_of(const struct writer *w, uint64_t i, char key[16])
{
    snprintf(key, 16, "w%d-%d", w->number, (int)(i % KEYS));
    return slice_str(key);
}

static bool send_more(struct writer *w, struct peer *peer)
{
    struct buf frames = { 0 };
    char key[16];

    while (w->next < w->answered + w->depth) {
        w->next++;
        w->sent[w->next % KEYS] = w->next;
        put_set(&frames, w->next, key_of(w, w->next, key),
                slice_of(&w->next, sizeof w->next));
    }
    bool ok = peer_try_send(peer, frames.ptr, frames.len);
    buf_release(&frames);
    return ok;
}

static void write_on(void *arg)
{
    struct writer *w = arg;
    struct proto_reply reply;
    struct peer peer;

    if (!peer_try_open(&peer, w->port))
        return;
    while (!w->stop || counter_get(w->stop) == 0) {
        if (!send_more(w, &peer) || !peer_try_take(&peer, &reply)
            || reply.status == PROTO_STOPPING)
            break;
        expect_int("a writer's reply: the id", reply.id, w->answered + 1);
        expect_str("a writer's reply", proto_status_text(reply.status),
                   proto_status_text(PROTO_OK));
        w->answered++;
        w->acknowledged[w->answered % KEYS] = w->answered;
        counter_add(&w->acked, 1);
    }
    /* What came before the end counts, too. */
    while (w->answered < w->next && peer_try_take(&peer, &reply)
           && reply.status == PROTO_OK) {
        w->answered++;
        w->acknowledged[w->answered % KEYS] = w->answered;
    }
    peer_close(&peer);
}

static void writer_start(struct writer *w, int number, int port,
                         size_t depth)
{
    w->number = number;
    w->port = port;
    w->depth = depth;
    w->answered = w->next;      /* what had no answer never gets one */
    counter_init(&w->acked, 0);
    actor_start(&w->actor, write_on, w);
}

static void writer_end(struct writer *w)
{
    expect_soon("the server has ended", "its clients see that", actor_done,
                &w->actor);
    actor_join(&w->actor);
}

static bool many_acked(void *arg)
{
    struct writer *w = arg;
    uint64_t all = 0;

    for (int i = 0; i < WRITERS; i++)
        all += counter_get(&w[i].acked);
    return all >= 100;
}

static void check_value(const struct writer *w, int key, bool found,
                        uint64_t value)
{
    uint64_t acked = w->acknowledged[key], sent = w->sent[key];

    if (acked > 0 && !found)
        fail_case(__FILE__, __LINE__, "a set that was acknowledged, after "
                  "the server's end", "it is there", "the key is absent");
    if (found && (value < acked || value > sent))
        fail_case(__FILE__, __LINE__, "a key that was set again and again, "
                  "after the server's end", "a value from the last that was "
                  "acknowledged to the last that was sent", "%llu, with %llu "
                  "acknowledged and %llu sent", (unsigned long long)value,
                  (unsigned long long)acked, (unsigned long long)sent);
}

/* Reads back every key of the writers, through a client. What is there now
 * counts as acknowledged. */
static void check_writers(struct writer *writers, int port)
{
    struct proto_reply reply;
    struct buf frames = { 0 };
    struct peer peer;
    char key[16];

    peer_open(&peer, port);
    for (int i = 0; i < WRITERS * KEYS; i++)
        put_get(&frames, i, key_of(&writers[i / KEYS], i % KEYS, key));
    peer_send_buf(&peer, &frames);
    for (int i = 0; i < WRITERS * KEYS; i++) {
        struct writer *w = &writers[i / KEYS];
        uint64_t value = 0;

        peer_take(&peer, "reading back", &reply);
        bool found = reply.status == PROTO_OK;
        if (found)
            memcpy(&value, reply.value.ptr, sizeof value);
        check_value(w, i % KEYS, found, value);
        w->acknowledged[i % KEYS] = value;
    }
    peer_close(&peer);
    buf_release(&frames);
}

/* ---- killed ------------------------------------------------------------- */

/* Kills the server under four writers, again and again, each time a moment
 * later; every acknowledged set is there afterwards. */
static void killed_writers(const struct run *run)
{
    struct writer writers[WRITERS] = { { .number = 0 } };
    struct child child;
    char dir[64];
    uint64_t state = run->seed;

    scratch_make(dir);
    for (size_t round = 0; round < run->size; round++) {
        uint64_t end = clock_now_ns() + next_random(&state) % 3000000;

        child_start(&child, dir, 0, (struct server_options){ 0 });
        if (round > 0)
            check_writers(writers, child.port);
        for (int i = 0; i < WRITERS; i++)
            writer_start(&writers[i], i, child.port, 4);
        expect_soon("four writers", "their sets are acknowledged",
                    many_acked, writers);
        while (clock_now_ns() < end)
            ;
        expect_true("the server was killed",
                    WIFSIGNALED(child_end(&child, SIGKILL)));
        for (int i = 0; i < WRITERS; i++)
            writer_end(&writers[i]);
    }
    child_start(&child, dir, 0, (struct server_options){ 0 });
    check_writers(writers, child.port);
    child_end(&child, SIGKILL);
    scratch_remove(dir);
}

/* On the same port, while clients of the killed one still have their ends of
 * the connections. */
static void restart_at_once(const struct run *run)
{
    struct child child = { .port = 0 };
    struct peer *peers = calloc(run->size, sizeof *peers);
    char dir[64];

    scratch_make(dir);
    for (size_t i = 0; i < run->size; i++) {
        child_start(&child, dir, child.port, (struct server_options){ 0 });
        peer_open(&peers[i], child.port);
        peer_ping(&peers[i], "a server on a port that was just in use", i);
        child_end(&child, SIGKILL);
    }
    for (size_t i = 0; i < run->size; i++) {
        peer_expect_end(&peers[i], "the server was killed");
        peer_close(&peers[i]);
    }
    free(peers);
    scratch_remove(dir);
}

/* ---- stopped ------------------------------------------------------------ */

/* Writers go on all the time: each gets answers in order until the end, and
 * what they acknowledged is in the store. */
static void stop_under_load(const struct run *run)
{
    struct writer writers[WRITERS] = { { .number = 0 } };
    unsigned threads = threads_alive();
    struct rig rig;

    rig_start(&rig, (struct server_options){ 0 });
    for (int i = 0; i < WRITERS; i++)
        writer_start(&writers[i], i, rig.port, run->size);
    expect_soon("four writers", "their sets are acknowledged", many_acked,
                writers);
    expect_int("server_run, stopped under load", rig_stop_server(&rig), 0);
    for (int i = 0; i < WRITERS; i++)
        writer_end(&writers[i]);
    for (int i = 0; i < WRITERS * KEYS; i++) {
        struct writer *w = &writers[i / KEYS];
        struct buf value = { 0 };
        uint64_t n = 0;
        char key[16];
        int err = store_get(rig.store, key_of(w, i % KEYS, key), &value);

        if (err == 0)
            memcpy(&n, value.ptr, sizeof n);
        check_value(w, i % KEYS, err == 0, n);
        buf_release(&value);
    }
    rig_release(&rig);
    expect_int("threads that are left", threads_alive(), threads);
}

/* Holds every thread of the pool. */
struct gate {
    pthread_mutex_t lock;       /* guards inside, open */
    pthread_cond_t opened;
    unsigned inside;
    bool open;
};

static void pass_gate(void *arg)
{
    struct gate *g = arg;

    pthread_mutex_lock(&g->lock);
    g->inside++;
    while (!g->open)
        pthread_cond_wait(&g->opened, &g->lock);
    pthread_mutex_unlock(&g->lock);
}

static bool all_inside(void *arg)
{
    struct gate *g = arg;

    pthread_mutex_lock(&g->lock);
    bool all = g->inside == 2;
    pthread_mutex_unlock(&g->lock);
    return all;
}

static void open_gate(struct gate *g)
{
    pthread_mutex_lock(&g->lock);
    g->open = true;
    pthread_cond_broadcast(&g->opened);
    pthread_mutex_unlock(&g->lock);
}

/* Fills a connection with sets, and a get of each. */
static void put_pairs(struct buf *frames, size_t n, size_t who)
{
    char key[32];

    for (size_t i = 0; i < n; i++) {
        snprintf(key, sizeof key, "%zu of %zu", i, who);
        put_set(frames, 2 * i, slice_str(key), slice_of(&i, sizeof i));
        put_get(frames, 2 * i + 1, slice_str(key));
    }
}

static void expect_pairs(struct peer *peer, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        peer_expect(peer, "a set that was received before the stop", 2 * i,
                    PROTO_OK);
        peer_expect_value(peer, "a get that was received before the stop",
                          2 * i + 1, slice_of(&i, sizeof i));
    }
}

/* Requests that the server's kernel has, and the pool is busy: the server is
 * asked to stop, then the pool has time again. All are answered. The last
 * frame of each is not whole: it is not. */
static void stop_answers(const struct run *run)
{
    enum { CLIENTS = 4 };
    struct gate gate = { PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER,
                         0, false };
    struct peer peers[CLIENTS];
    struct buf frames = { 0 };
    struct rig rig;

    rig_start(&rig, (struct server_options){ .durability = STORE_ALWAYS,
                                             .drain_ms = 20000 });
    for (int i = 0; i < CLIENTS; i++) {
        peer_open(&peers[i], rig.port);
        peer_ping(&peers[i], "a new connection", 1);
    }
    for (int i = 0; i < 2; i++)
        expect_int("pool_submit", pool_submit(rig.pool, pass_gate, &gate), 0);
    expect_soon("jobs of the test's own", "they run", all_inside, &gate);
    for (int i = 0; i < CLIENTS; i++) {
        put_pairs(&frames, run->size, (size_t)i);
        peer_send(&peers[i], frames.ptr, frames.len);
        put_set(&frames, 1, slice_str("not"), slice_str("whole"));
        peer_send(&peers[i], frames.ptr, 20);
        peer_expect_arrived(&peers[i]);
        buf_clear(&frames);
    }
    server_stop(rig.server);
    open_gate(&gate);
    for (int i = 0; i < CLIENTS; i++)
        expect_pairs(&peers[i], run->size);
    expect_int("server_run", rig_stop(&rig), 0);
    for (int i = 0; i < CLIENTS; i++) {
        peer_expect_end(&peers[i], "after the server's end");
        peer_close(&peers[i]);
    }
    buf_release(&frames);
}

/* A job that takes longer than drain_ms: server_run says so, and what the job
 * uses is still there when it ends. */
struct opener {
    struct actor actor;
    struct gate *gate;
    unsigned ms;
};

static void open_later(void *arg)
{
    struct opener *o = arg;
    struct timespec pause = { 0, o->ms * 1000000 };

    nanosleep(&pause, NULL);            /* that is what a long job means */
    open_gate(o->gate);
}

static void stop_outlived(const struct run *run)
{
    struct gate gate = { PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER,
                         0, false };
    struct opener opener = { .gate = &gate, .ms = 3 * (unsigned)run->size };
    struct buf frames = { 0 };
    struct peer peer;
    struct rig rig;

    rig_start(&rig, (struct server_options){ .durability = STORE_ALWAYS,
                                             .drain_ms = opener.ms / 3 });
    peer_open(&peer, rig.port);
    peer_ping(&peer, "a new connection", 1);
    for (int i = 0; i < 2; i++)
        expect_int("pool_submit", pool_submit(rig.pool, pass_gate, &gate), 0);
    expect_soon("jobs of the test's own", "they run", all_inside, &gate);
    put_pairs(&frames, 10, 1);
    peer_send_buf(&peer, &frames);
    peer_expect_arrived(&peer);
    actor_start(&opener.actor, open_later, &opener);
    int answer = rig_stop_server(&rig);
    actor_join(&opener.actor);
    if (answer != -ETIMEDOUT)
        expect_int("server_run, when a job outlives drain_ms (-ETIMEDOUT is "
                   "right, too)", answer, 0);
    rig_release(&rig);
    peer_close(&peer);
    buf_release(&frames);
}

/* A client that never stops sending; what comes back, it throws away. */
struct stream {
    struct actor sends, reads;
    struct peer peer;
};

static void send_for_ever(void *arg)
{
    struct stream *s = arg;
    static char value[64];
    struct buf frames = { 0 };

    for (uint64_t i = 0; i < 1000; i++)
        put_set(&frames, i, slice_str("key"), slice_of(value, sizeof value));
    while (peer_try_send(&s->peer, frames.ptr, frames.len))
        ;
    buf_release(&frames);
}

static void read_for_ever(void *arg)
{
    struct stream *s = arg;
    static char trash[64 * 1024];

    while (recv(s->peer.fd, trash, sizeof trash, 0) > 0)
        ;
}

/* It must not hold up the end: what has come by then is what there is to
 * answer. */
static void stop_stream(const struct run *run)
{
    struct stream s;
    struct rig rig;
    char bytes[PROTO_HEADER];

    rig_start(&rig, (struct server_options){
        .drain_ms = (unsigned)run->size });
    peer_open(&s.peer, rig.port);
    actor_start(&s.sends, send_for_ever, &s);
    for (size_t got = 0; got < 1000; got++)
        expect_true("replies to a stream of sets",
                    recv(s.peer.fd, bytes, sizeof bytes, 0) > 0);
    actor_start(&s.reads, read_for_ever, &s);
    expect_int("server_run, while a client goes on sending", rig_stop(&rig),
               0);
    shutdown(s.peer.fd, SHUT_RDWR);
    actor_join(&s.sends);
    actor_join(&s.reads);
    peer_close(&s.peer);
}

/* Idle ones, half frames and bad ones do not keep a server from stopping. */
static void stop_idle(const struct run *run)
{
    struct peer *peers = calloc(run->size, sizeof *peers);
    struct buf frame = { 0 };
    struct rig rig;

    rig_start(&rig, (struct server_options){ .drain_ms = 60000 });
    put_set(&frame, 1, slice_str("key"), slice_str("value"));
    for (size_t i = 0; i < run->size; i++) {
        peer_open(&peers[i], rig.port);
        peer_ping(&peers[i], "a new connection", i);
        peer_send(&peers[i], frame.ptr, i % frame.len);
    }
    expect_int("server_run, with idle connections only", rig_stop(&rig), 0);
    for (size_t i = 0; i < run->size; i++) {
        peer_expect_end(&peers[i], "after the server's end");
        peer_close(&peers[i]);
    }
    free(peers);
    buf_release(&frame);
}

/* A client that does not read cannot be answered: the server gives up, in
 * time, and says so. */
static void stop_deaf(const struct run *run)
{
    struct buf frames = { 0 };
    struct peer peer, good;
    struct rig rig;
    char *value = calloc(1, MIB);

    rig_start(&rig, (struct server_options){
        .drain_ms = (unsigned)run->size, .reactor.stall_ms = 60000 });
    peer_open_small(&peer, rig.port, 16 * 1024);
    put_set(&frames, 0, slice_str("big"), slice_of(value, MIB));
    for (size_t i = 1; i < 64; i++)
        put_get(&frames, i, slice_str("big"));
    peer_send_buf(&peer, &frames);
    peer_expect(&peer, "a large set", 0, PROTO_OK);
    peer_open(&good, rig.port);
    peer_ping(&good, "beside a client that does not read", 1);
    expect_int("server_run, when a client does not read",
               rig_stop_server(&rig), -ETIMEDOUT);
    rig_release(&rig);
    peer_expect_end(&good, "after the server's end");
    peer_close(&good);
    peer_close(&peer);
    free(value);
    buf_release(&frames);
}

/* A stop that comes first, or twice, or from a signal's handler. */
static struct server *to_stop;

static void stop_handler(int sig)
{
    (void)sig;
    server_stop(to_stop);
}

static void stop_anyhow(const struct run *run)
{
    struct sigaction act = { .sa_handler = stop_handler };
    struct rig rig;

    (void)run;
    rig_create(&rig, (struct server_options){ 0 });
    server_stop(rig.server);
    server_stop(rig.server);
    expect_int("server_run, stopped before it began", server_run(rig.server),
               0);
    rig_release(&rig);
    rig_start(&rig, (struct server_options){ 0 });
    expect_served("a server", &rig);
    to_stop = rig.server;
    sigaction(SIGUSR1, &act, NULL);
    pthread_kill(rig.loop.id, SIGUSR1);
    expect_soon("server_stop in a signal handler", "server_run returns",
                actor_done, &rig.loop);
    actor_join(&rig.loop);
    expect_int("server_run, stopped by a signal handler", rig.answer, 0);
    rig_release(&rig);
}

/* Good, bad, cut and deaf clients, some still there at the end: and nothing
 * is left of it all. (Memory is what memcheck looks at.) */
static void leaves_nothing(const struct run *run)
{
    size_t open = descriptors();
    unsigned threads = threads_alive();
    struct buf frames = { 0 };
    struct peer peers[16];
    struct rig rig;
    char *value = calloc(1, 200000);

    for (size_t round = 0; round < run->size; round++) {
        rig_start(&rig, (struct server_options){
            .durability = round % 2 ? STORE_ALWAYS : STORE_NONE });
        for (int i = 0; i < 16; i++) {
            peer_open(&peers[i], rig.port);
            put_pairs(&frames, 3, (size_t)i);
            if (i % 4 == 1)
                put_header(&frames, 1, 2, 3, 4, 5);
            if (i % 4 == 2)
                put_set(&frames, 9, slice_str("l"), slice_of(value, 200000));
            if (i % 4 == 2)
                put_get(&frames, 10, slice_str("l"));
            peer_send(&peers[i], frames.ptr, frames.len - (i % 4 == 3));
            buf_clear(&frames);
            if (i % 4 != 3)
                expect_pairs(&peers[i], 3);
            if (i % 8 == 2)
                peer_reset(&peers[i]);
            else if (i % 8 == 6)
                peer_expect(&peers[i], "a large set", 9, PROTO_OK);
            if (i < 8 && i % 8 != 2)
                peer_close(&peers[i]);
        }
        int answer = rig_stop(&rig);
        if (answer != -ETIMEDOUT)
            expect_int("server_run (-ETIMEDOUT is right, too)", answer, 0);
        for (int i = 8; i < 16; i++)
            peer_close(&peers[i]);
        expect_int("threads that are left", threads_alive(), threads);
        expect_int("descriptors that are left", descriptors(), open);
    }
    free(value);
    buf_release(&frames);
}

/* ---- the program -------------------------------------------------------- */

/* SIGTERM under load: what was acknowledged is there, the end is an exit, in
 * two seconds; then the same port again, and SIGINT. */
static void program_stops(const struct run *run)
{
    struct writer writers[WRITERS] = { { .number = 0 } };
    struct child child = { .port = 0 };
    char dir[64];

    scratch_make(dir);
    for (size_t round = 0; round < run->size; round++) {
        child_exec(&child, dir, child.port);
        if (round > 0)
            check_writers(writers, child.port);
        for (int i = 0; i < WRITERS; i++)
            writer_start(&writers[i], i, child.port, 50);
        expect_soon("four writers", "their sets are acknowledged",
                    many_acked, writers);
        uint64_t before = clock_now_ns();
        int status = child_end(&child, round % 2 ? SIGINT : SIGTERM);
        uint64_t ms = (clock_now_ns() - before) / 1000000;
        if (WIFSIGNALED(status))
            fail_case(__FILE__, __LINE__, "a signal under load",
                      "the program exits", "a signal ends it: %s",
                      strsignal(WTERMSIG(status)));
        expect_int("its exit status", WEXITSTATUS(status), 0);
        expect_at_most("milliseconds until it exits", under_tool() ? 0 : ms,
                       2000);
        for (int i = 0; i < WRITERS; i++)
            writer_end(&writers[i]);
    }
    scratch_remove(dir);
}

/* A client that does not read makes the first signal take its time; a second
 * one ends the program at once. */
static void program_second_signal(const struct run *run)
{
    struct buf frames = { 0 };
    struct child child;
    struct peer peer, late;
    char *value = calloc(1, MIB), dir[64];

    (void)run;
    scratch_make(dir);
    child_exec(&child, dir, 0);
    peer_open_small(&peer, child.port, 16 * 1024);
    put_set(&frames, 0, slice_str("big"), slice_of(value, MIB));
    for (size_t i = 1; i < 64; i++)
        put_get(&frames, i, slice_str("big"));
    peer_send_buf(&peer, &frames);
    peer_expect(&peer, "a large set", 0, PROTO_OK);
    peer_open(&late, child.port);
    peer_ping(&late, "beside a client that does not read", 1);
    peer_close(&late);
    kill(child.pid, SIGTERM);
    uint64_t end = deadline_in_ms(1000);
    while (peer_try_open(&late, child.port) && !deadline_over(end))
        peer_close(&late);          /* until its door is closed */
    int status = child_end(&child, SIGTERM);
    if (WIFEXITED(status))
        fail_case(__FILE__, __LINE__, "a second signal", "it ends the program",
                  "the program exits, with status %d", WEXITSTATUS(status));
    expect_int("the signal that has ended it", WTERMSIG(status), SIGTERM);
    peer_close(&peer);
    free(value);
    buf_release(&frames);
    scratch_remove(dir);
}

const struct test_case server_end_cases[] = {
    { "killed_writers", killed_writers, 50 },
    { "restart_at_once", restart_at_once, 5 },
    { "stop_under_load", stop_under_load, 50 },
    { "stop_answers", stop_answers, 200 },
    { "stop_outlived", stop_outlived, 50 },
    { "stop_stream", stop_stream, 2500 },
    { "stop_idle", stop_idle, 64 },
    { "stop_deaf", stop_deaf, 100 },
    { "stop_anyhow", stop_anyhow, 1 },
    { "leaves_nothing", leaves_nothing, 2 },
    { "program_stops", program_stops, 2 },
    { "program_second_signal", program_second_signal, 1 },
    { NULL, NULL, 0 }
};
