/* server_bench.c -- what a request costs a server; task 2.13.
 *
 * Given.
 *
 *     server_bench get|set CONNECTIONS DEPTH REQUESTS
 *
 * One thread, on a CPU of its own, keeps DEPTH requests in flight on each
 * connection: it sends so many in one write, on one connection after the
 * other, and then takes the replies in the same order. Every reply's id,
 * status and value is checked. Prints wall-clock and CPU nanoseconds a
 * request, separated by a tab; the CPU time is that of the process without
 * the generator's thread: the server's.
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/clock.h"
#include "common/not_written.h"
#include "common/sock.h"
#include "stage2-server/proto.h"
#include "tests/answer.h"
#include "tests/server_bench.h"

enum { CONNECTIONS_MAX = 1000, DEPTH_MAX = 1024 };

struct generator {
    struct bench_load load;
    unsigned connections, depth;
    size_t requests;
    int port;
    int fds[CONNECTIONS_MAX];
    uint64_t next_id[CONNECTIONS_MAX], taken_id[CONNECTIONS_MAX];
    struct buf out, in;
    double wall, cpu;           /* of all requests */
};

void bench_fail(const char *what)
{
    if (not_written_task()) {
        printf("not written: task %s\n", not_written_task());
        exit(3);
    }
    fprintf(stderr, "server_bench: %s\n", what);
    exit(1);
}

void bench_key(const struct bench_load *load, unsigned i,
               char key[BENCH_KEY + 1])
{
    uint64_t random = load->seed + i;

    snprintf(key, BENCH_KEY + 1, "%04u%012llx", i,
             (unsigned long long)next_random(&random) & 0xffffffffffff);
}

void bench_value(const struct bench_load *load, unsigned i,
                 unsigned char value[BENCH_VALUE])
{
    uint64_t random = load->seed ^ i;

    for (int k = 0; k < BENCH_VALUE; k++)
        value[k] = (unsigned char)next_random(&random);
}

/* A sync takes a disk about so long; more precise than a real one. */
void bench_disk(void)
{
    usleep(500);
}

/* Which key a connection's n-th request is about. */
static unsigned key_of(unsigned connection, uint64_t id)
{
    return (unsigned)((id * 7919 + connection * 31) % BENCH_KEYS);
}

static void send_some(struct generator *g, unsigned connection)
{
    char key[BENCH_KEY + 1];
    unsigned char value[BENCH_VALUE];

    buf_clear(&g->out);
    for (unsigned i = 0; i < g->depth; i++) {
        uint64_t id = ++g->next_id[connection];
        unsigned k = key_of(connection, id);
        struct proto_request request = {
            .op = g->load.durable ? PROTO_SET : PROTO_GET, .id = id,
        };

        bench_key(&g->load, k, key);
        request.key = slice_of(key, BENCH_KEY);
        if (g->load.durable) {
            bench_value(&g->load, k, value);
            request.value = slice_of(value, BENCH_VALUE);
        }
        if (proto_put_request(&g->out, &request) != 0)
            bench_fail("no memory");
    }
    if (sock_send_all(g->fds[connection], g->out.ptr, g->out.len) != 0)
        bench_fail("sending failed");
}

static void check(struct generator *g, unsigned connection,
                  const struct proto_reply *reply)
{
    uint64_t id = ++g->taken_id[connection];
    unsigned char value[BENCH_VALUE];

    if (reply->id != id || reply->status != PROTO_OK)
        bench_fail("a reply is wrong or out of order");
    if (g->load.durable || !subject_has_values)
        return;
    bench_value(&g->load, key_of(connection, id), value);
    if (!slice_equal(reply->value, slice_of(value, BENCH_VALUE)))
        bench_fail("a value is wrong");
}

static void take_some(struct generator *g, unsigned connection)
{
    struct proto_reply reply;
    size_t at = 0;
    unsigned left = g->depth;

    buf_clear(&g->in);
    while (left > 0) {
        ssize_t n = proto_decode_reply(slice_of(g->in.ptr + at,
                                                g->in.len - at), &reply);

        if (n < 0)
            bench_fail("a reply is no frame");
        if (n > 0) {
            check(g, connection, &reply);
            at += (size_t)n;
            left--;
            continue;
        }
        if (buf_reserve(&g->in, 64 * 1024) != 0)
            bench_fail("no memory");
        n = recv(g->fds[connection], g->in.ptr + g->in.len,
                 g->in.cap - g->in.len, 0);
        if (n <= 0)
            bench_fail("the server has hung up");
        g->in.len += (size_t)n;
    }
}

static void rounds(struct generator *g, size_t n)
{
    for (; n > 0; n--) {
        for (unsigned c = 0; c < g->connections; c++)
            send_some(g, c);
        for (unsigned c = 0; c < g->connections; c++)
            take_some(g, c);
    }
}

/* The k-th of the CPUs that we may use, or the only one. */
static void pin(int k)
{
    static cpu_set_t mine;      /* as it was at first */
    static bool known;
    cpu_set_t one;
    int found = 0;

    if (!known && sched_getaffinity(0, sizeof mine, &mine) != 0)
        return;
    known = true;
    for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
        if (CPU_ISSET(cpu, &mine) && found++ == k % CPU_COUNT(&mine)) {
            CPU_ZERO(&one);
            CPU_SET(cpu, &one);
            sched_setaffinity(0, sizeof one, &one);
            return;
        }
}

static void connect_all(struct generator *g)
{
    struct sockaddr_storage addr;
    char text[32];

    snprintf(text, sizeof text, "127.0.0.1:%d", g->port);
    sock_parse(&addr, text);
    for (unsigned c = 0; c < g->connections; c++) {
        g->fds[c] = sock_connect(&addr, 5000);
        if (g->fds[c] < 0 || sock_set_timeout(g->fds[c], 10000) != 0)
            bench_fail("cannot connect");
    }
}

static void *generate(void *arg)
{
    struct generator *g = arg;
    size_t n = g->requests / (g->connections * g->depth);

    pin(1);
    connect_all(g);
    rounds(g, 1 + n / 10);      /* warm, and not counted */
    double wall = (double)clock_now_ns();
    double cpu = (double)clock_cpu_ns() - (double)clock_thread_cpu_ns();
    rounds(g, n);
    g->wall = (double)clock_now_ns() - wall;
    g->cpu = (double)clock_cpu_ns() - (double)clock_thread_cpu_ns() - cpu;
    g->requests = n * g->connections * g->depth;
    for (unsigned c = 0; c < g->connections; c++)
        close(g->fds[c]);
    return NULL;
}

static uint64_t random_seed(void)
{
    uint64_t seed = clock_now_ns() ^ (uint64_t)getpid() << 32;

    return next_random(&seed);
}

int main(int argc, char **argv)
{
    static struct generator g;
    pthread_t id;

    if (argc != 5)
        bench_fail("usage: server_bench get|set CONNECTIONS DEPTH REQUESTS");
    g.load = (struct bench_load){ strcmp(argv[1], "set") == 0, random_seed() };
    g.connections = (unsigned)strtoul(argv[2], NULL, 10);
    g.depth = (unsigned)strtoul(argv[3], NULL, 10);
    g.requests = strtoul(argv[4], NULL, 10);
    if (g.connections < 1 || g.connections > CONNECTIONS_MAX || g.depth < 1
        || g.depth > DEPTH_MAX || g.requests < g.connections * g.depth)
        bench_fail("bad numbers");
    pin(0);
    g.port = subject_start(&g.load);
    if (pthread_create(&id, NULL, generate, &g) != 0)
        bench_fail("no thread");
    pthread_join(id, NULL);
    subject_stop();
    buf_release(&g.out);
    buf_release(&g.in);
    printf("%.2f\t%.2f\n", g.wall / (double)g.requests,
           g.cpu / (double)g.requests);
    return 0;
}
