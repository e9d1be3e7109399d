/* server_crowd_test.c -- clients as they should not be: idle, slow, greedy,
 * never reading, gone; and those beside them (task 2.11).
 *
 * Given.
 */
#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/counter.h"
#include "tests/server_test.h"

enum { MIB = 1 << 20, CROWD = 64 };

/* Sets a key through a client of its own. */
static void set_once(struct rig *rig, const char *key, struct slice value)
{
    struct buf frame = { 0 };
    struct peer peer;

    peer_open(&peer, rig->port);
    put_set(&frame, 1, slice_str(key), value);
    peer_send_buf(&peer, &frame);
    peer_expect(&peer, "a set", 1, PROTO_OK);
    /* The server has closed its side, too: who counts descriptors now counts
     * none of this connection's. */
    peer_half_close(&peer);
    peer_expect_end(&peer, "the set");
    peer_close(&peer);
    buf_release(&frame);
}

/* Bytes that are not the same at any two places nearby. */
static char *pattern(size_t len)
{
    char *bytes = malloc(len);
    uint64_t state = len;

    expect_true("memory for a value", bytes != NULL);
    for (size_t i = 0; i + 8 <= len; i += 8) {
        uint64_t r = next_random(&state);
        memcpy(bytes + i, &r, 8);
    }
    return bytes;
}

/* ---- clients that ask, in a thread of their own ------------------------- */

/* Asks over and over again until `stop`; each answer counts. */
struct asker {
    struct actor actor;
    int port;
    struct counter *stop;
    struct counter answered;
};

static void ask(void *arg)
{
    struct asker *asker = arg;
    struct buf frames = { 0 };
    struct peer peer;
    char key[24];

    peer_open(&peer, asker->port);
    snprintf(key, sizeof key, "key %d", peer.fd);
    for (uint64_t i = 0; counter_get(asker->stop) == 0; i++) {
        put_set(&frames, 2 * i, slice_str(key), slice_of(&i, sizeof i));
        put_get(&frames, 2 * i + 1, slice_str(key));
        peer_send_buf(&peer, &frames);
        peer_expect(&peer, "a set beside others", 2 * i, PROTO_OK);
        peer_expect_value(&peer, "a get beside others", 2 * i + 1,
                          slice_of(&i, sizeof i));
        counter_add(&asker->answered, 1);
    }
    peer_close(&peer);
    buf_release(&frames);
}

static void asker_start(struct asker *asker, struct rig *rig,
                        struct counter *stop)
{
    *asker = (struct asker){ .port = rig->port, .stop = stop };
    actor_start(&asker->actor, ask, asker);
}

static void asker_end(struct asker *asker)
{
    counter_add(asker->stop, 1);
    expect_soon("a client that asks", "it gets its last answer", actor_done,
                &asker->actor);
    actor_join(&asker->actor);
}

struct count_goal {
    struct counter *counter;
    uint64_t n;
};

static bool counted(void *arg)
{
    struct count_goal *goal = arg;

    return counter_get(goal->counter) >= goal->n;
}

static void expect_answers(const char *tried, struct asker *asker,
                           uint64_t more)
{
    struct count_goal goal = { &asker->answered,
                               counter_get(&asker->answered) + more };

    expect_soon(tried, "this one gets its answers", counted, &goal);
}

/* ---- idle and slow ------------------------------------------------------ */

/* Many more connections than threads: some have said nothing, some have been
 * served before, some have sent half a frame. */
static void idle_crowd(const struct run *run)
{
    static struct rig rig;
    struct peer *crowd = calloc(run->size, sizeof *crowd);
    struct buf frame = { 0 };
    struct counter stop = { 0 };
    struct asker asker;

    rig_start(&rig, (struct server_options){ .threads = 4 });
    put_set(&frame, 1, slice_str("idle"), slice_str("some value"));
    for (size_t i = 0; i < run->size; i++) {
        peer_open(&crowd[i], rig.port);
        if (i % 3 == 1)
            peer_ping(&crowd[i], "a client that falls silent", i);
        if (i % 3 == 2)
            peer_send(&crowd[i], frame.ptr, 1 + i % (frame.len - 1));
    }
    asker_start(&asker, &rig, &stop);
    expect_answers("beside 64 clients that say nothing", &asker, 20);
    asker_end(&asker);
    for (size_t i = 0; i < run->size; i++) {
        if (i % 3 == 2) {
            peer_send(&crowd[i], frame.ptr + 1 + i % (frame.len - 1),
                      frame.len - 1 - i % (frame.len - 1));
            peer_expect(&crowd[i], "one of them ends its frame", 1,
                        PROTO_OK);
        }
        peer_ping(&crowd[i], "one of them speaks again", i);
        peer_close(&crowd[i]);
    }
    free(crowd);
    buf_release(&frame);
    rig_leave(&rig);
}

/* Clients that send a byte each, every few milliseconds. */
struct drip {
    struct actor actor;
    int port;
    struct counter start, started, pause, stop;
    uint64_t bytes;
};

static void drip(void *arg)
{
    struct drip *drip = arg;
    struct peer slow[CROWD];
    struct buf frame = { 0 };
    struct timespec pause = { 0, 10 * 1000 * 1000 };

    put_set(&frame, 1, slice_str("slow"), slice_str("a value that comes "
                                                    "a byte at a time"));
    for (int i = 0; i < CROWD; i++)
        peer_open(&slow[i], drip->port);
    while (counter_get(&drip->stop) == 0) {
        for (int i = 0; i < CROWD && counter_get(&drip->pause) % 2 == 0; i++)
            peer_send(&slow[i], frame.ptr + drip->bytes % frame.len, 1);
        drip->bytes++;
        counter_add(&drip->started, 1);
        nanosleep(&pause, NULL);        /* that is what slow means */
    }
    for (int i = 0; i < CROWD; i++)
        peer_close(&slow[i]);
    buf_release(&frame);
}

static uint64_t answered_in(struct asker *asker, unsigned ms)
{
    struct timespec window = { 0, ms * 1000000 };
    uint64_t before = counter_get(&asker->answered);

    nanosleep(&window, NULL);           /* the window of the measurement */
    return counter_get(&asker->answered) - before;
}

/* Windows with and without the slow ones, in turns; other work on the machine
 * disturbs some of them, so one good pair is enough. */
static void slow_crowd(const struct run *run)
{
    static struct rig rig;
    struct drip slow = { 0 };
    struct counter stop = { 0 };
    struct asker asker;
    uint64_t with = 0, without = 0;

    rig_start(&rig, (struct server_options){ .threads = 4 });
    asker_start(&asker, &rig, &stop);
    expect_answers("a client, alone", &asker, 20);
    slow.port = rig.port;
    actor_start(&slow.actor, drip, &slow);
    expect_soon("64 slow clients", "they have begun", counted,
                (&(struct count_goal){ &slow.started, 1 }));
    for (size_t i = 0; i < 10; i++) {
        with = answered_in(&asker, (unsigned)run->size);
        counter_add(&slow.pause, 1);
        without = answered_in(&asker, (unsigned)run->size);
        counter_add(&slow.pause, 1);
        if (with > 0 && 2 * with >= without)
            break;
    }
    if (with == 0 || 2 * with < without)
        fail_case(__FILE__, __LINE__, "a client beside 64 slow ones",
                  "at least half of its throughput", "%llu answers instead "
                  "of %llu", (unsigned long long)with,
                  (unsigned long long)without);
    counter_add(&slow.stop, 1);
    actor_join(&slow.actor);
    asker_end(&asker);
    rig_leave(&rig);
}

/* ---- greedy ------------------------------------------------------------- */

static void put_gets(struct buf *to, size_t n, const char *key)
{
    for (size_t i = 0; i < n; i++)
        put_get(to, i, slice_str(key));
}

/* The value is below or above `large`: on either way its replies are bounded,
 * others are served, and it is dropped. */
static void greedy(size_t value_len, size_t n)
{
    static struct rig rig;
    struct peer peer;
    struct buf frames = { 0 };
    struct counter stop = { 0 };
    struct asker asker;
    char *value = pattern(value_len);
    size_t most = 0;

    rig_start(&rig, (struct server_options){ .reactor.stall_ms = 100 });
    set_once(&rig, "big", slice_of(value, value_len));
    asker_start(&asker, &rig, &stop);
    expect_answers("a good client", &asker, 1);
    peer_open_small(&peer, rig.port, 16 * 1024);
    peer_ping(&peer, "a client, before it asks for much", 0);
    size_t open = descriptors(), heap = heap_used();
    put_gets(&frames, n, "big");
    peer_send_buf(&peer, &frames);
    uint64_t end = deadline_in_ms(1000 * (int64_t)patience_s());
    while (descriptors() >= open) {
        size_t now = heap_used();

        most = now > heap + most ? now - heap : most;
        expect_answers("beside a client that does not read", &asker, 2);
        if (deadline_over(end))
            fail_case(__FILE__, __LINE__, "a client that does not read",
                      "it is dropped", "it is still there after %u s; at "
                      "most %zu bytes were held", patience_s(), most);
    }
    expect_at_most("bytes held for a client that does not read (it has asked "
                   "for 100 MB)", most, 64 * MIB);
    peer_close(&peer);
    asker_end(&asker);
    free(value);
    buf_release(&frames);
    rig_leave(&rig);
}

static void never_reads(const struct run *run)
{
    greedy(MIB, run->size);
}

static void never_reads_small(const struct run *run)
{
    greedy(MIB / 64, run->size);
}

/* Many who each ask for more than their share, and read nothing; all but
 * the first break off with a frame that is none. */
static void never_read_together(const struct run *run)
{
    enum { MOST = 60 * 1024, ASKED = 128 };
    static struct rig rig;
    static struct peer peers[CROWD];
    struct buf frames = { 0 };
    struct counter stop = { 0 };
    struct asker asker;
    char *value = pattern(MOST);
    size_t most = 0;

    rig_start(&rig, (struct server_options){
        .reactor = { .stall_ms = 300, .budget = 4 * MIB } });
    set_once(&rig, "big", slice_of(value, MOST));
    asker_start(&asker, &rig, &stop);
    expect_answers("a good client", &asker, 1);
    size_t n = run->size < CROWD ? run->size : CROWD;
    for (size_t p = 0; p < n; p++)
        peer_open_small(&peers[p], rig.port, 4096);
    peer_ping(&peers[n - 1], "the last of the clients, before", 0);
    size_t open = descriptors(), heap = heap_used();
    put_gets(&frames, ASKED, "big");
    for (size_t p = 0; p < n; p++) {
        if (p == 1)
            buf_append(&frames, "?", 1);
        peer_send(&peers[p], frames.ptr, frames.len);
    }
    uint64_t end = deadline_in_ms(1000 * (int64_t)patience_s());
    while (descriptors() > open - n / 2) {
        size_t now = heap_used();

        most = now > heap + most ? now - heap : most;
        expect_answers("beside clients that do not read", &asker, 1);
        if (deadline_over(end))
            fail_case(__FILE__, __LINE__, "clients that do not read",
                      "they are dropped", "most are still there after %u s",
                      patience_s());
    }
    expect_at_most("bytes held for clients that do not read, with a budget of "
                   "4 MiB (they have asked for 8 MB each)", most, 16 * MIB);
    for (size_t p = 0; p < n; p++)
        peer_close(&peers[p]);
    asker_end(&asker);
    free(value);
    buf_release(&frames);
    rig_leave(&rig);
}

/* So many replies, and all of them read: the server keeps none of it. */
static void reads_much(const struct run *run)
{
    enum { LEN = MIB / 64, AT_ONCE = 100 };
    static struct rig rig;
    struct peer peer;
    struct buf frames = { 0 };
    struct slice value = slice_of(pattern(LEN), LEN);

    rig_start(&rig, (struct server_options){ 0 });
    set_once(&rig, "big", value);
    peer_open(&peer, rig.port);
    peer_ping(&peer, "a client, before it asks for much", 0);
    size_t heap = heap_used();
    for (size_t n = 0; n < run->size; n += AT_ONCE) {
        put_gets(&frames, AT_ONCE, "big");
        peer_send_buf(&peer, &frames);
        for (size_t i = 0; i < AT_ONCE; i++)
            peer_expect_value(&peer, "one of very many values", i, value);
    }
    expect_at_most("bytes of memory that are held after 50 MB of replies, all "
                   "read", heap_used() - heap,
                   24 * MIB);
    peer_close(&peer);
    free((void *)value.ptr);
    buf_release(&frames);
    rig_leave(&rig);
}

/* One client has a thousand requests under way all the time; another, with
 * one at a time, still gets its turns. */
struct flood {
    struct actor actor;
    int port;
    size_t n;
};

static void flood(void *arg)
{
    struct flood *f = arg;
    struct buf frames = { 0 };
    struct peer peer;
    const size_t ahead = 1000;

    peer_open(&peer, f->port);
    for (size_t i = 0; i < f->n + ahead; i++) {
        if (i < f->n)
            put_get(&frames, i, slice_str("nothing"));
        if (i % 100 == 99 && frames.len > 0)
            peer_send_buf(&peer, &frames);
        if (i >= ahead)
            peer_expect(&peer, "one of very many requests", i - ahead,
                        PROTO_NOT_FOUND);
    }
    peer_close(&peer);
    buf_release(&frames);
}

static void busy_neighbour(const struct run *run)
{
    static struct rig rig;
    struct flood f = { .n = run->size };
    struct peer peer;
    size_t pings = 0;

    rig_start(&rig, (struct server_options){ 0 });
    f.port = rig.port;
    peer_open(&peer, rig.port);
    peer_ping(&peer, "a good client", 0);
    actor_start(&f.actor, flood, &f);
    while (!actor_done(&f.actor))
        peer_ping(&peer, "beside a client with many requests", ++pings);
    actor_join(&f.actor);
    if (pings < run->size / 10000)
        fail_case(__FILE__, __LINE__, "beside a client with many requests",
                  "turns for everybody", "%zu requests of the other client, "
                  "and %zu of this one, were answered", run->size, pings);
    peer_close(&peer);
    rig_leave(&rig);
}

/* ---- large -------------------------------------------------------------- */

/* 16 MiB there and back, through sockets of 64 KiB, while others ask. */
struct hauler {
    struct actor actor;
    int port;
    const char *key;
    struct slice value;
};

static void haul(void *arg)
{
    struct hauler *h = arg;
    struct buf frames = { 0 };
    struct peer peer;

    peer_open_small(&peer, h->port, 64 * 1024);
    put_set(&frames, 1, slice_str(h->key), h->value);
    put_get(&frames, 2, slice_str(h->key));
    put_ping(&frames, 3);
    peer_send_buf(&peer, &frames);
    peer_expect(&peer, "a large set", 1, PROTO_OK);
    peer_expect_value(&peer, "a large get", 2, h->value);
    peer_expect(&peer, "a ping behind a large get", 3, PROTO_OK);
    peer_close(&peer);
    buf_release(&frames);
}

static void large_values(const struct run *run)
{
    static struct rig rig;
    struct hauler haulers[2];
    struct counter stop = { 0 };
    struct asker asker;
    char *bytes = pattern(run->size);

    rig_start(&rig, (struct server_options){ 0 });
    asker_start(&asker, &rig, &stop);
    expect_answers("a good client", &asker, 1);
    for (int i = 0; i < 2; i++) {
        haulers[i] = (struct hauler){
            .port = rig.port, .key = i ? "one" : "other",
            .value = slice_of(bytes, i ? run->size : run->size / 2) };
        actor_start(&haulers[i].actor, haul, &haulers[i]);
    }
    for (int i = 0; i < 2; i++) {
        expect_soon("a value of 16 MiB through small sockets", "it arrives",
                    actor_done, &haulers[i].actor);
        actor_join(&haulers[i].actor);
    }
    expect_answers("beside large values", &asker, 1);
    asker_end(&asker);
    free(bytes);
    rig_leave(&rig);
}

/* ---- gone --------------------------------------------------------------- */

/* Does it again and again. A server may keep some memory for the next
 * clients, so not every time must be flat; but it comes to an end. */
static void expect_flat(const char *tried, struct rig *rig, size_t n,
                        size_t open,
                        void (*clients)(struct rig *, size_t, size_t))
{
    size_t grown = 0;

    clients(rig, n, open);
    for (int round = 0; round < 20; round++) {
        size_t before = heap_used();

        clients(rig, n, open);
        grown = heap_used() - before;
        if (heap_used() < before + 256 * 1024)
            return;
    }
    fail_case(__FILE__, __LINE__, tried, "memory does not grow and grow",
              "%zu bytes more after %zu clients", grown, n);
}

/* Clients that ask for much, small and large, and reset the connection
 * before, or while, it comes. */
static void reset_storm(struct rig *rig, size_t n, size_t open)
{
    struct peer *peers = calloc(n, sizeof *peers);
    struct buf frames = { 0 };
    char some[1000];

    for (size_t i = 0; i < n; i++) {
        peer_open(&peers[i], rig->port);
        put_gets(&frames, 4, i % 2 ? "big" : "small");
        put_set(&frames, 5, slice_str("x"), slice_str("y"));
        peer_send(&peers[i], frames.ptr, frames.len - i % 3);
        buf_clear(&frames);
    }
    for (size_t i = 0; i < n; i++) {
        if (i % 4 < 2)
            expect_true("the start of a reply",
                        recv(peers[i].fd, some, sizeof some, 0) > 0);
        peer_reset(&peers[i]);
    }
    free(peers);
    buf_release(&frames);
    expect_served("after the resets, a good client", rig);
    expect_descriptors("clients that reset the connection", open);
}

static void resets(const struct run *run)
{
    static struct rig rig;
    char *value = pattern(MIB);

    rig_start(&rig, (struct server_options){ 0 });
    set_once(&rig, "big", slice_of(value, MIB));
    set_once(&rig, "small", slice_of(value, 30000));
    size_t open = descriptors();
    expect_flat("resets in the middle of replies", &rig, run->size, open,
                reset_storm);
    free(value);
    rig_leave(&rig);
}

static void come_and_go(struct rig *rig, size_t n, size_t open)
{
    struct buf frames = { 0 };
    struct peer peer;

    for (size_t i = 0; i < n; i++) {
        peer_open(&peer, rig->port);
        put_set(&frames, 1, slice_str("k"), slice_of(&i, sizeof i));
        put_get(&frames, 2, slice_str("k"));
        peer_send_buf(&peer, &frames);
        peer_expect(&peer, "a client that comes and goes", 1, PROTO_OK);
        peer_expect_value(&peer, "a client that comes and goes", 2,
                          slice_of(&i, sizeof i));
        peer_close(&peer);
    }
    buf_release(&frames);
    expect_descriptors("clients that came and went", open);
}

static void comes_and_goes(const struct run *run)
{
    static struct rig rig;

    rig_start(&rig, (struct server_options){ 0 });
    expect_served("a good client", &rig);
    size_t open = descriptors();
    expect_flat("clients that came and went", &rig, run->size / 2, open,
                come_and_go);
    rig_leave(&rig);
}

/* ---- signals ------------------------------------------------------------ */

static void ignore(int sig)
{
    (void)sig;
}

/* Sends the signal to every thread but this one. */
static size_t signal_others(int sig)
{
    pid_t me = (pid_t)syscall(SYS_gettid);
    DIR *dir = opendir("/proc/self/task");
    size_t n = 0;

    for (struct dirent *e; dir && (e = readdir(dir));) {
        pid_t tid = atoi(e->d_name);

        if (tid > 0 && tid != me)
            n += syscall(SYS_tgkill, getpid(), tid, sig) == 0;
    }
    if (dir)
        closedir(dir);
    return n;
}

/* A handler without SA_RESTART: every call of the server, and of the store,
 * may end with EINTR. */
static void signal_storm(const struct run *run)
{
    struct sigaction act = { .sa_handler = ignore };
    struct timespec pause = { 0, 20000 };
    static struct rig rig;
    struct hauler hauler;
    struct counter stop = { 0 };
    struct asker asker;
    size_t sent = 0;
    char *bytes = pattern(run->size);

    sigaction(SIGUSR1, &act, NULL);
    rig_start(&rig, (struct server_options){ 0 });
    asker_start(&asker, &rig, &stop);
    hauler = (struct hauler){ .port = rig.port, .key = "large",
                              .value = slice_of(bytes, run->size) };
    actor_start(&hauler.actor, haul, &hauler);
    while (!actor_done(&hauler.actor)) {
        sent += signal_others(SIGUSR1);
        nanosleep(&pause, NULL);        /* else nothing else would happen */
    }
    actor_join(&hauler.actor);
    expect_true("signals were sent meanwhile", sent > 0);
    expect_answers("during a storm of signals", &asker, 1);
    asker_end(&asker);
    free(bytes);
    rig_leave(&rig);
}

const struct test_case server_crowd_cases[] = {
    { "idle_crowd", idle_crowd, CROWD },
    { "slow_crowd", slow_crowd, 40 },
    { "never_reads", never_reads, 100 },
    { "never_reads_small", never_reads_small, 6400 },
    { "never_read_together", never_read_together, 40 },
    { "reads_much", reads_much, 3200 },
    { "busy_neighbour", busy_neighbour, 100000 },
    { "large_values", large_values, 16 * MIB },
    { "resets", resets, 300 },
    { "comes_and_goes", comes_and_goes, 1000 },
    { "signal_storm", signal_storm, 4 * MIB },
    { NULL, NULL, 0 }
};
