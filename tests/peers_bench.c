/* peers_bench.c -- one load for several servers: what a request costs each.
 *
 * Given.
 *
 *     peers_bench PROTOCOL PORT PID CONNECTIONS DEPTH REQUESTS SET-PERCENT
 *     peers_bench echo-server
 *
 * PROTOCOL is kvs, resp, memcached or echo (the request comes back as it is;
 * the second form is such a server: it prints its port). The keys are loaded
 * first, and what the server does for that afterwards is waited for, two
 * seconds at most. Then each connection sends DEPTH requests in one piece, waits for
 * their replies, and again, until REQUESTS were answered. Every byte of every
 * reply is compared with what must come.
 *
 * Prints "wall cpu client": nanoseconds a request: by the clock, of CPU time
 * of process PID (all its threads), and of CPU time here. When `client` is
 * about as large as `wall`, this program was the slower one and `wall` says
 * nothing of the server; `cpu` still does.
 */
#include <dirent.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/clock.h"
#include "common/sock.h"
#include "stage2-server/proto.h"
#include "tests/answer.h"

enum { KEYS = 100000, KEY = 16, VALUE = 100, CONNECTIONS_MAX = 1024,
       CHUNK = 64 << 10, SERVER_EVENTS = 256,
    IDLE_LOOKS = 2, IDLE_NS = 20000000
};

static void fail(const char *format, ...)
    __attribute__((noreturn, format(printf, 1, 2)));

static void fail(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    fputs("peers_bench: ", stderr);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    exit(1);
}

static void must(int err)
{
    if (err)
        fail("%s", strerror(-err));
}

/* ---- what is asked, and what must come ---------------------------------- */

struct request {
    bool set;
    uint32_t number;
    char key[KEY + 1];
    unsigned char value[VALUE];
};

/* Which bytes belong to a key follows from its number. */
static void make_request(struct request *r, uint32_t number, bool set)
{
    uint64_t state = number;

    r->set = set;
    r->number = number;
    snprintf(r->key, sizeof r->key, "key-%012u", number);
    for (size_t i = 0; i < VALUE; i++)
        r->value[i] = (unsigned char)('a' + next_random(&state) % 26);
}

struct protocol {
    const char *name;
    void (*ask)(struct buf *to, const struct request *r);
    void (*expect)(struct buf *to, const struct request *r);
};

static void put(struct buf *to, const char *text)
{
    must(buf_append(to, text, strlen(text)));
}

static void put_value(struct buf *to, const struct request *r)
{
    must(buf_append(to, r->value, VALUE));
}

static void kvs_ask(struct buf *to, const struct request *r)
{
    struct proto_request q = {
        .op = r->set ? PROTO_SET : PROTO_GET, .id = r->number,
        .key = slice_of(r->key, KEY),
        .value = slice_of(r->value, r->set ? VALUE : 0),
    };

    must(proto_put_request(to, &q));
}

static void kvs_expect(struct buf *to, const struct request *r)
{
    struct proto_reply p = {
        .op = r->set ? PROTO_SET : PROTO_GET, .id = r->number,
        .value = slice_of(r->value, r->set ? 0 : VALUE),
    };

    must(proto_put_reply(to, &p));
}

static void resp_ask(struct buf *to, const struct request *r)
{
    char head[64];

    snprintf(head, sizeof head, "*%d\r\n$3\r\n%s\r\n$%d\r\n%s\r\n",
             r->set ? 3 : 2, r->set ? "SET" : "GET", KEY, r->key);
    put(to, head);
    if (r->set) {
        snprintf(head, sizeof head, "$%d\r\n", VALUE);
        put(to, head);
        put_value(to, r);
        put(to, "\r\n");
    }
}

static void resp_expect(struct buf *to, const struct request *r)
{
    char head[32];

    if (r->set) {
        put(to, "+OK\r\n");
        return;
    }
    snprintf(head, sizeof head, "$%d\r\n", VALUE);
    put(to, head);
    put_value(to, r);
    put(to, "\r\n");
}

static void memcached_ask(struct buf *to, const struct request *r)
{
    char head[64];

    if (!r->set) {
        snprintf(head, sizeof head, "get %s\r\n", r->key);
        put(to, head);
        return;
    }
    snprintf(head, sizeof head, "set %s 0 0 %d\r\n", r->key, VALUE);
    put(to, head);
    put_value(to, r);
    put(to, "\r\n");
}

static void memcached_expect(struct buf *to, const struct request *r)
{
    char head[64];

    if (r->set) {
        put(to, "STORED\r\n");
        return;
    }
    snprintf(head, sizeof head, "VALUE %s 0 %d\r\n", r->key, VALUE);
    put(to, head);
    put_value(to, r);
    put(to, "\r\nEND\r\n");
}

static const struct protocol protocols[] = {
    { "kvs", kvs_ask, kvs_expect },
    { "resp", resp_ask, resp_expect },
    { "memcached", memcached_ask, memcached_expect },
    { "echo", kvs_ask, kvs_ask },
};

static const struct protocol *protocol_of(const char *name)
{
    for (size_t i = 0; i < sizeof protocols / sizeof *protocols; i++)
        if (strcmp(protocols[i].name, name) == 0)
            return &protocols[i];
    fail("unknown protocol %s", name);
}

/* All requests and replies are made beforehand: what is measured is the
 * server, not printf. */
struct texts {
    struct buf bytes;
    size_t *at;         /* KEYS + 1 offsets into bytes */
};

static void make_texts(struct texts *t, bool set,
                       void (*make)(struct buf *, const struct request *))
{
    struct request r;

    t->at = calloc(KEYS + 1, sizeof *t->at);
    if (!t->at)
        fail("out of memory");
    for (uint32_t i = 0; i < KEYS; i++) {
        t->at[i] = t->bytes.len;
        make_request(&r, i, set);
        make(&t->bytes, &r);
    }
    t->at[KEYS] = t->bytes.len;
}

/* ---- the load ------------------------------------------------------------ */

struct connection {
    int fd;
    struct buf out, expected;
    size_t sent, compared;
};

static struct load {
    struct texts ask[2], expect[2];     /* get, set */
    struct connection conns[CONNECTIONS_MAX];
    unsigned connections, depth;
    int epoll;
    uint64_t random, set_percent;
    size_t asked, answered, wanted;
    bool loading;               /* sets of key 0, 1, 2 ... */
} load;

static void add_text(struct buf *to, const struct texts *t, uint32_t number)
{
    must(buf_append(to, t->bytes.ptr + t->at[number],
                    t->at[number + 1] - t->at[number]));
}

static void send_more(struct connection *c)
{
    while (c->sent < c->out.len) {
        ssize_t n = send(c->fd, c->out.ptr + c->sent, c->out.len - c->sent,
                         MSG_NOSIGNAL | MSG_DONTWAIT);

        if (n < 0 && errno == EAGAIN)
            return;
        if (n < 0)
            fail("send: %s", strerror(errno));
        c->sent += (size_t)n;
    }
}

static void ask_again(struct connection *c)
{
    buf_clear(&c->out);
    buf_clear(&c->expected);
    c->sent = c->compared = 0;
    for (unsigned i = 0; i < load.depth && load.asked < load.wanted; i++) {
        uint32_t number = load.loading ? (uint32_t)load.asked :
                          (uint32_t)(next_random(&load.random) % KEYS);
        bool set = load.loading ||
                   next_random(&load.random) % 100 < load.set_percent;

        add_text(&c->out, &load.ask[set], number);
        add_text(&c->expected, &load.expect[set], number);
        load.asked++;
        load.answered++;        /* counts when all have come */
    }
    send_more(c);
}

static void receive(struct connection *c)
{
    static unsigned char chunk[CHUNK];
    ssize_t n = recv(c->fd, chunk, sizeof chunk, MSG_DONTWAIT);

    if (n < 0 && errno == EAGAIN)
        return;
    if (n <= 0)
        fail("receiving: %s", n ? strerror(errno) : "closed");
    if ((size_t)n > c->expected.len - c->compared ||
        memcmp(chunk, c->expected.ptr + c->compared, (size_t)n) != 0)
        fail("a reply is not what it must be: %.60s", chunk);
    c->compared += (size_t)n;
    if (c->compared == c->expected.len)
        ask_again(c);
}

static bool busy(void)
{
    for (unsigned i = 0; i < load.connections; i++)
        if (load.conns[i].compared < load.conns[i].expected.len)
            return true;
    return false;
}

static void run_load(size_t wanted, bool loading)
{
    struct epoll_event events[64];

    load.asked = load.answered = 0;
    load.wanted = wanted;
    load.loading = loading;
    for (unsigned i = 0; i < load.connections; i++)
        ask_again(&load.conns[i]);
    while (load.asked < load.wanted || busy()) {
        int n = epoll_wait(load.epoll, events, 64, 20000);

        if (n == 0)
            fail("no reply for 20 s");
        for (int i = 0; i < n; i++) {
            struct connection *c = events[i].data.ptr;

            if (c->sent < c->out.len)
                send_more(c);
            receive(c);
        }
    }
}

static void connect_all(const char *port)
{
    struct sockaddr_storage addr;
    char text[SOCK_TEXT_MAX];

    snprintf(text, sizeof text, "127.0.0.1:%s", port);
    must(sock_parse(&addr, text));
    load.epoll = epoll_create1(EPOLL_CLOEXEC);
    for (unsigned i = 0; i < load.connections; i++) {
        struct connection *c = &load.conns[i];
        struct epoll_event e = { EPOLLIN, { .ptr = c } };

        c->fd = sock_connect(&addr, 5000);
        must(c->fd < 0 ? c->fd : 0);
        epoll_ctl(load.epoll, EPOLL_CTL_ADD, c->fd, &e);
    }
}

/* CPU nanoseconds of a process: the kernel's own count, of each thread. */
static uint64_t cpu_of(const char *pid)
{
    char path[300];
    uint64_t all = 0;

    snprintf(path, sizeof path, "/proc/%s/task", pid);
    DIR *dir = opendir(path);
    if (!dir)
        fail("no process %s", pid);
    for (struct dirent *e; (e = readdir(dir));) {
        unsigned long long ns = 0;

        snprintf(path, sizeof path, "/proc/%s/task/%.20s/schedstat", pid,
                 e->d_name);
        FILE *f = e->d_name[0] == '.' ? NULL : fopen(path, "re");
        if (f && fscanf(f, "%llu", &ns) == 1)
            all += ns;
        if (f)
            fclose(f);
    }
    closedir(dir);
    return all;
}

/* Until the process has used next to nothing for more than a second (ours
 * begins to tidy after a second of quiet). */
static void wait_until_idle(const char *pid)
{
    for (int i = 0; i < IDLE_LOOKS; i++) {
        uint64_t before = cpu_of(pid);

        nanosleep(&(struct timespec){ .tv_sec = 1, .tv_nsec = 200000000 },
                  NULL);
        if (cpu_of(pid) - before < IDLE_NS)
            return;
    }
}

/* ---- the echo server: the least that a server can do --------------------- */

static _Noreturn void echo_server(void)
{
    static unsigned char chunk[CHUNK];
    struct epoll_event events[SERVER_EVENTS];
    struct sockaddr_storage addr;
    int one = 1;

    must(sock_parse(&addr, "127.0.0.1:0"));
    int listener = sock_listen(&addr, 1024, SOCK_CLOEXEC);
    must(listener < 0 ? listener : 0);
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event door = { EPOLLIN, { .fd = listener } };
    epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &door);
    printf("listening on 127.0.0.1:%d\n", sock_port(listener));
    fflush(stdout);
    for (;;) {
        int n = epoll_wait(epoll, events, SERVER_EVENTS, -1);

        for (int i = 0; i < n; i++) {
            int fd = events[i].data.fd;

            if (fd == listener) {
                fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
                struct epoll_event e = { EPOLLIN, { .fd = fd } };
                setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
                epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &e);
                continue;
            }
            ssize_t got = recv(fd, chunk, sizeof chunk, 0);
            if (got <= 0 || sock_send_all(fd, chunk, (size_t)got) != 0)
                close(fd);
        }
    }
}

static unsigned number(const char *text, unsigned max)
{
    char *end;
    unsigned long n = strtoul(text, &end, 10);

    if (*end || n > max)
        fail("%s: 0 to %u", text, max);
    return (unsigned)n;
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "echo-server") == 0)
        echo_server();
    if (argc != 8)
        fail("PROTOCOL PORT PID CONNECTIONS DEPTH REQUESTS SET-PERCENT");
    const struct protocol *p = protocol_of(argv[1]);
    const char *pid = argv[3];
    load.connections = number(argv[4], CONNECTIONS_MAX);
    unsigned depth = number(argv[5], 10000);
    size_t requests = number(argv[6], 100000000);
    load.set_percent = number(argv[7], 100);
    load.random = 1;
    for (int set = 0; set < 2; set++) {
        make_texts(&load.ask[set], set, p->ask);
        make_texts(&load.expect[set], set, p->expect);
    }
    connect_all(argv[2]);
    load.depth = 64;
    run_load(KEYS, true);
    wait_until_idle(pid);
    load.depth = depth;
    run_load(requests / 10, false);     /* to warm up */
    uint64_t wall = clock_now_ns(), mine = clock_cpu_ns(), cpu = cpu_of(pid);
    run_load(requests, false);
    wall = clock_now_ns() - wall;
    mine = clock_cpu_ns() - mine;
    cpu = cpu_of(pid) - cpu;
    printf("%.1f\t%.1f\t%.1f\n", (double)wall / (double)requests,
           (double)cpu / (double)requests, (double)mine / (double)requests);
    return 0;
}
