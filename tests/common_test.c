/* common_test.c -- the cases of common/.
 *
 * Given.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/args.h"
#include "common/buf.h"
#include "common/clock.h"
#include "common/counter.h"
#include "common/errors.h"
#include "common/file.h"
#include "common/guard.h"
#include "common/lock.h"
#include "common/log.h"
#include "common/publish.h"
#include "common/slice.h"
#include "common/sock.h"
#include "tests/driver.h"

enum { CREW = 4 };

/* Starts a crew on fn, each with its own element of args, and joins it. */
static void crew(void *(*fn)(void *), void *args, size_t size)
{
    pthread_t id[CREW];

    for (size_t i = 0; i < CREW; i++)
        expect_int("starting a thread",
                   thread_create(&id[i], fn, (char *)args + i * size), 0);
    for (size_t i = 0; i < CREW; i++)
        thread_join(id[i]);
}

/* ---- slice.h ------------------------------------------------------------ */

static int sign(int n)
{
    return (n > 0) - (n < 0);
}

static void slices(const struct run *run)
{
    static const char *const rising[] = { "", "a", "a\x01", "ab", "b", "\x80" };
    enum { N = sizeof rising / sizeof *rising };

    (void)run;
    for (int i = 0; i < N; i++)
        for (int j = 0; j < N; j++) {
            struct slice a = slice_str(rising[i]), b = slice_str(rising[j]);

            expect_int("slice_compare", sign(slice_compare(a, b)), sign(i - j));
            expect_int("slice_equal", slice_equal(a, b), i == j);
        }
    expect_true("a NUL is a byte like others",
                !slice_equal(slice_of("a\0b", 3), slice_of("a\0c", 3)));
    expect_true("in comparisons, too",
                slice_compare(slice_of("a\0b", 3), slice_of("a\0c", 3)) < 0);
    expect_true("the length counts",
                !slice_equal(slice_of("a\0", 2), slice_of("a", 1)));
    expect_true("empty is empty, wherever it points",
                slice_equal(slice_of(NULL, 0), slice_of("x", 0)));
    expect_int("comparing nothing with nothing",
               slice_compare(slice_of(NULL, 0), slice_of("x", 0)), 0);
}

/* ---- buf.h -------------------------------------------------------------- */

static bool holds(const struct buf *buf, const char *text)
{
    return buf->len <= buf->cap && slice_equal(buf_slice(buf), slice_str(text));
}

/* Random appends and drops, beside a plain array that does the same. */
static void buf_as_model(const struct run *run)
{
    unsigned char *model = calloc(run->size, 16), piece[16];
    struct buf buf = { 0 };
    size_t len = 0;
    uint64_t state = run->seed;

    for (size_t i = 0; i < run->size; i++) {
        size_t n = next_random(&state) % sizeof piece;

        memset(piece, (int)i, sizeof piece);
        expect_int("buf_append", buf_append(&buf, piece, n), 0);
        memcpy(model + len, piece, n);
        len += n;
        if (next_random(&state) % 4 == 0) {
            n = next_random(&state) % (len + 1);
            buf_consume(&buf, n);
            memmove(model, model + n, len - n);
            len -= n;
        }
        expect_true("the buf holds what the model holds",
                    slice_equal(buf_slice(&buf), slice_of(model, len)));
    }
    buf_release(&buf);
    expect_true("buf_release leaves it empty",
                !buf.ptr && buf.len == 0 && buf.cap == 0);
    buf_release(&buf);
    free(model);
}

static void buf_growth(const struct run *run)
{
    struct buf buf = { 0 };
    unsigned char *last = NULL;
    unsigned moves = 0;

    for (size_t i = 0; i < run->size; i++) {
        size_t cap = buf.cap;

        expect_int("buf_append of a byte", buf_append(&buf, "x", 1), 0);
        moves += buf.cap != cap;
    }
    expect_int("all there", buf.len, run->size);
    expect_true("grows by doubling, not by bytes", moves < 20);
    expect_int("buf_reserve", buf_reserve(&buf, 10000), 0);
    last = buf.ptr;
    for (size_t i = 0; i < 10000; i++)
        buf_append(&buf, "y", 1);
    expect_true("what was reserved is there without a move", buf.ptr == last);
    size_t cap = buf.cap;
    buf_clear(&buf);
    expect_true("buf_clear keeps the memory",
                buf.len == 0 && buf.cap == cap && buf.ptr == last);
    buf_release(&buf);
}

static void buf_replaces(const struct run *run)
{
    char large[1000];
    struct buf buf = { 0 };

    (void)run;
    memset(large, 'x', sizeof large);
    expect_int("replace with nothing",
               buf_replace(&buf, slice_of(NULL, 0)), 0);
    expect_true("still empty", holds(&buf, ""));
    expect_int("replace", buf_replace(&buf, slice_str("one")), 0);
    expect_true("holds the first", holds(&buf, "one"));
    expect_int("by more", buf_replace(&buf, slice_of(large, sizeof large)), 0);
    expect_true("holds more", slice_equal(buf_slice(&buf),
                                          slice_of(large, sizeof large)));
    expect_int("by less", buf_replace(&buf, slice_str("three")), 0);
    expect_true("holds only the last", holds(&buf, "three"));
    buf_release(&buf);
}

/* Bytes of the buf itself as the source, also while it moves. */
static void buf_own_bytes(const struct run *run)
{
    struct buf buf = { 0 };

    (void)run;
    buf_append(&buf, "0123456789", 10);
    for (int i = 0; i < 6; i++)
        expect_int("append to itself",
                   buf_append_slice(&buf, buf_slice(&buf)), 0);
    expect_int("doubled six times", buf.len, 640);
    for (size_t i = 0; i < buf.len; i++)
        expect_int("a byte of it", buf.ptr[i], '0' + i % 10);
    while (buf.cap - buf.len >= 10)
        buf_append(&buf, buf.ptr + buf.len - 10, 10);
    expect_int("append its end, when there is no room",
               buf_append(&buf, buf.ptr + buf.len - 10, 10), 0);
    expect_true("the end is there again",
                memcmp(buf.ptr + buf.len - 10, "0123456789", 10) == 0);
    expect_int("replace by a part of itself",
               buf_replace(&buf, slice_of(buf.ptr + 3, 5)), 0);
    expect_true("holds the part", holds(&buf, "34567"));
    buf_release(&buf);
}

static void buf_too_large(const struct run *run)
{
    static const size_t huge[] = { SIZE_MAX, SIZE_MAX - 3, SIZE_MAX / 2,
                                   SIZE_MAX / 2 - 3, (size_t)1 << 55 };
    struct buf buf = { 0 };

    (void)run;
    expect_int("buf_append", buf_append(&buf, "kept", 4), 0);
    struct buf before = buf;
    /* The last is for malloc to refuse, which sanitizers report. */
    for (size_t i = 0; i < sizeof huge / sizeof *huge - under_tool(); i++) {
        expect_int("reserve", buf_reserve(&buf, huge[i]), -ENOMEM);
        expect_int("append", buf_append(&buf, "x", huge[i]), -ENOMEM);
        expect_int("replace",
                   buf_replace(&buf, slice_of("x", huge[i])), -ENOMEM);
        expect_true("untouched", buf.ptr == before.ptr && buf.len == before.len
                    && buf.cap == before.cap && holds(&buf, "kept"));
    }
    buf_release(&buf);
}

/* ---- errors.h ----------------------------------------------------------- */

static void error_words(const struct run *run)
{
    (void)run;
    expect_str("ENOENT", error_text(-ENOENT), "not found");
    expect_str("EAGAIN", error_text(-EAGAIN), "full");
    expect_str("ECANCELED", error_text(-ECANCELED), "stopping");
    expect_str("EBADMSG", error_text(-EBADMSG), "corrupt");
    expect_str("EPROTO", error_text(-EPROTO), "bad frame");
    expect_str("EMSGSIZE", error_text(-EMSGSIZE), "too big");
    expect_str("ENOSYS", error_text(-ENOSYS), "not written yet");
    expect_str("another", error_text(-EACCES), strerror(EACCES));
    expect_true("0 has words", *error_text(0) != '\0');
    expect_true("so has a positive number", *error_text(ENOENT) != '\0');
    expect_true("so has the smallest of all", *error_text(INT_MIN) != '\0');
}

static void *unknown_errors(void *arg)
{
    int number = 100000 + *(int *)arg;
    char wanted[64];

    snprintf(wanted, sizeof wanted, "Unknown error %d", number);
    for (int i = 0; i < 500; i++)
        expect_str("an unknown number, in several threads",
                   error_text(-number), wanted);
    return NULL;
}

static void error_threads(const struct run *run)
{
    int numbers[CREW] = { 1, 22, 333, 4444 };

    (void)run;
    crew(unknown_errors, numbers, sizeof *numbers);
}

/* ---- counter.h ---------------------------------------------------------- */

struct tally {
    struct counter *tickets, *exact, *loose;
    unsigned char *drawn;   /* by ticket: how often it was drawn */
    size_t rounds;
};

static void *count(void *arg)
{
    struct tally *t = arg;

    for (size_t i = 0; i < t->rounds; i++) {
        t->drawn[counter_add(t->tickets, 1)]++;
        counter_add(t->exact, 3);
        counter_sub(t->exact, 1);
        counter_add_relaxed(t->loose, 1);
        counter_get_relaxed(t->loose);
    }
    return NULL;
}

static void counter_totals(const struct run *run)
{
    struct counter tickets = { 0 }, exact = { 0 }, loose = { 0 };
    size_t all = CREW * run->size;
    unsigned char *drawn = calloc(all + 1, 1);
    struct tally tallies[CREW];

    counter_init(&exact, 5);
    expect_int("counter_add answers the new value", counter_add(&exact, 2), 7);
    expect_int("so does counter_sub", counter_sub(&exact, 7), 0);
    expect_int("counter_get", counter_get(&exact), 0);
    for (int i = 0; i < CREW; i++)
        tallies[i] = (struct tally){ &tickets, &exact, &loose, drawn,
                                     run->size };
    crew(count, tallies, sizeof *tallies);
    for (size_t i = 1; i <= all; i++)
        expect_int("each value is answered to one thread, once", drawn[i], 1);
    expect_int("none lost", counter_get(&exact), 2 * all);
    expect_int("none lost, relaxed", counter_get_relaxed(&loose), all);
    free(drawn);
}

/* Each of the crew fills its part; whoever is last adds all parts up and
 * frees them: right only if the counter hands the others' parts over. */
struct parts {
    struct counter working, ready;
    uint64_t total;     /* written by the last, before ready */
    uint64_t *part[CREW];
};

struct part {
    struct parts *all;
    size_t index;
};

static void *fill_part(void *arg)
{
    struct part *mine = arg;
    struct parts *all = mine->all;

    *all->part[mine->index] = mine->index + 1;
    if (counter_sub(&all->working, 1) == 0) {
        for (int i = 0; i < CREW; i++) {
            all->total += *all->part[i];
            free(all->part[i]);
        }
        counter_add(&all->ready, 1);
    }
    return NULL;
}

static bool is_ready(void *arg)
{
    return counter_get(arg) == 1;
}

static void counter_hands_over(const struct run *run)
{
    for (size_t round = 0; round < run->size; round++) {
        struct parts all = { .total = 0 };
        struct part parts[CREW];
        pthread_t id[CREW];

        counter_init(&all.working, CREW);
        for (size_t i = 0; i < CREW; i++) {
            parts[i] = (struct part){ &all, i };
            all.part[i] = malloc(sizeof *all.part[i]);
            *all.part[i] = 0;
        }
        for (size_t i = 0; i < CREW; i++)
            thread_create(&id[i], fill_part, &parts[i]);
        expect_soon("the last one reports", "ready is 1", is_ready, &all.ready);
        expect_int("the parts' sum, seen before any join", all.total,
                   CREW * (CREW + 1) / 2);
        for (size_t i = 0; i < CREW; i++)
            thread_join(id[i]);
    }
}

/* ---- publish.h ---------------------------------------------------------- */

struct node {
    uint64_t a, b;      /* equal once published */
    void *next;
};

static struct node *new_node(uint64_t n)
{
    struct node *node = malloc(sizeof *node);

    *node = (struct node){ .a = n, .b = n, .next = NULL };
    return node;
}

static void publish_basics(const struct run *run)
{
    void *_Atomic word = NULL;
    uint64_t _Atomic slot = 0;
    int a, b;

    (void)run;
    expect_true("nothing published", acquire(&word) == NULL);
    publish(&word, &a);
    expect_true("acquire finds it", acquire(&word) == &a);
    expect_true("publish_if, expecting another",
                !publish_if(&word, &b, &b) && acquire(&word) == &a);
    expect_true("publish_if, expecting what is there",
                publish_if(&word, &a, &b) && acquire(&word) == &b);
    expect_int("a reader outside", grace_seen(&slot), 0);
    reader_enter(&slot, 7);
    expect_int("a reader inside", grace_seen(&slot), 7);
    reader_exit(&slot);
    expect_int("outside again", grace_seen(&slot), 0);
}

/* A stack that all push on at once. */
struct pusher {
    void *_Atomic *head;
    size_t rounds;
};

static void *push_nodes(void *arg)
{
    struct pusher *p = arg;

    for (size_t i = 0; i < p->rounds; i++) {
        struct node *node = new_node(i), *top;

        do {
            top = acquire(p->head);
            if (top)
                expect_int("a node found is filled", top->a, top->b);
            node->next = top;
        } while (!publish_if(p->head, top, node));
    }
    return NULL;
}

static void publish_if_loses_none(const struct run *run)
{
    void *_Atomic head = NULL;
    struct pusher pushers[CREW];
    size_t found = 0;

    for (int i = 0; i < CREW; i++)
        pushers[i] = (struct pusher){ &head, run->size };
    crew(push_nodes, pushers, sizeof *pushers);
    for (struct node *node = acquire(&head), *next; node; node = next) {
        next = node->next;
        free(node);
        found++;
    }
    expect_int("every node pushed is on the stack", found, CREW * run->size);
}

/* One writer replaces a node over and over and frees the old one when no
 * reader can hold it any more; the rest of the crew reads. */
struct shelf {
    void *_Atomic current;
    struct counter over;        /* 1 when the writer is through */
    size_t rounds;
};

struct reader {
    struct shelf *shelf;
    uint64_t _Atomic slot;
    uint64_t highest;
};

static void *read_shelf(void *arg)
{
    struct reader *r = arg;

    for (uint64_t epoch = 1; counter_get(&r->shelf->over) == 0; epoch++) {
        reader_enter(&r->slot, epoch);
        struct node *node = acquire(&r->shelf->current);
        uint64_t a = node->a;
        if (epoch % 4 == 0)
            sched_yield();      /* so that writers do find readers inside */
        expect_int("what a reader holds does not change", node->b, a);
        reader_exit(&r->slot);
        expect_true("never older than what was seen", a >= r->highest);
        r->highest = a;
        sched_yield();          /* valgrind runs one thread at a time */
    }
    return NULL;
}

/* Returns when the reader has left, or has left and come back. */
static void await_grace(struct reader *r)
{
    uint64_t epoch = grace_seen(&r->slot);

    while (epoch != 0 && grace_seen(&r->slot) == epoch)
        sched_yield();
}

static void grace_then_free(const struct run *run)
{
    struct shelf shelf = { .rounds = run->size };
    struct reader readers[CREW] = { 0 };
    pthread_t id[CREW];

    publish(&shelf.current, new_node(0));
    for (int i = 0; i < CREW; i++) {
        readers[i].shelf = &shelf;
        thread_create(&id[i], read_shelf, &readers[i]);
    }
    for (size_t n = 1; n <= shelf.rounds; n++) {
        struct node *old = acquire(&shelf.current);

        publish(&shelf.current, new_node(n));
        for (int i = 0; i < CREW; i++)
            await_grace(&readers[i]);
        old->a = old->b = UINT64_MAX;   /* a reader still there would see */
        free(old);
        sched_yield();
    }
    counter_add(&shelf.over, 1);
    for (int i = 0; i < CREW; i++)
        thread_join(id[i]);
    free(acquire(&shelf.current));
}

/* ---- clock.h ------------------------------------------------------------ */

static void clocks_run(const struct run *run)
{
    uint64_t wall = clock_now_ns(), cpu = clock_cpu_ns();
    uint64_t own = clock_thread_cpu_ns(), last = wall;

    (void)run;
    while (clock_thread_cpu_ns() - own < 2000000) {
        uint64_t now = clock_now_ns();

        expect_true("clock_now_ns never goes back", now >= last);
        last = now;
    }
    expect_true("2 ms of CPU are 2 ms of time",
                clock_now_ns() - wall >= 1900000);
    expect_true("and are the process's", clock_cpu_ns() - cpu >= 1900000);
    own = clock_thread_cpu_ns();
    last = clock_now_ns();
    nanosleep(&(struct timespec){ .tv_nsec = 3000000 }, NULL);
    expect_true("time passes while we sleep",
                clock_now_ns() - last >= 3000000);
    expect_true("but uses no CPU", clock_thread_cpu_ns() - own < 3000000);
    expect_true("a thread's is no more than all of it",
                clock_thread_cpu_ns() <= clock_cpu_ns() + 1000000);
}

static void deadlines(const struct run *run)
{
    uint64_t soon = deadline_in_ms(3), later = deadline_in_ms(60000);

    (void)run;
    expect_int("no limit", deadline_left_ms(deadline_in_ms(-1)), -1);
    expect_true("never is never over", !deadline_over(DEADLINE_NEVER));
    expect_true("too far away is never",
                deadline_in_ms(INT64_MAX) == DEADLINE_NEVER);
    expect_true("now is over", deadline_over(deadline_in_ms(0)));
    expect_int("nothing is left of it", deadline_left_ms(clock_now_ns()), 0);
    expect_true("a minute is not over", !deadline_over(later));
    int left = deadline_left_ms(later);
    expect_true("what is left of a minute", left > 50000 && left <= 60000);
    expect_int("more than an int holds",
               deadline_left_ms(deadline_in_ms(INT64_C(1) << 40)), INT_MAX);
    while (deadline_left_ms(soon) > 0)
        expect_true("not over while some is left", clock_now_ns() > 0);
    expect_true("over when nothing is left: it rounds up",
                deadline_over(soon));
    struct timespec t = deadline_timespec(UINT64_C(3000000007));
    expect_true("as a timespec", t.tv_sec == 3 && t.tv_nsec == 7);
}

/* ---- log.h -------------------------------------------------------------- */

struct capture {
    int saved, from;
    char text[1 << 15];
};

/* From now on stderr goes into a pipe (64 KiB). */
static void capture_start(struct capture *c)
{
    int fds[2];

    expect_int("pipe", pipe2(fds, O_CLOEXEC), 0);
    c->saved = dup(STDERR_FILENO);
    dup2(fds[1], STDERR_FILENO);
    close(fds[1]);
    c->from = fds[0];
}

/* stderr is itself again; answers what was written meanwhile. */
static const char *capture_end(struct capture *c)
{
    fflush(stderr);
    dup2(c->saved, STDERR_FILENO);
    close(c->saved);
    ssize_t n = read_full(c->from, c->text, sizeof c->text - 1);
    expect_true("reading what was logged", n >= 0);
    c->text[n] = '\0';
    close(c->from);
    return c->text;
}

static void log_lines(const struct run *run)
{
    struct capture c;

    (void)run;
    log_setup("prog", LOG_LEVEL_INFO);
    capture_start(&c);
    log_error("%s: %s", "here", error_text(-ENOENT));
    log_warn("%d", 5);
    log_info("100%%");
    log_debug("not shown");
    expect_str("each line with name and level", capture_end(&c),
               "prog: error: here: not found\nprog: warning: 5\nprog: 100%\n");
    capture_start(&c);
    log_setup("prog", LOG_LEVEL_ERROR);
    log_warn("not shown");
    log_info("not shown");
    log_error("shown");
    log_setup("prog", LOG_LEVEL_DEBUG);
    log_debug("shown");
    expect_str("only up to the level", capture_end(&c),
               "prog: error: shown\nprog: debug: shown\n");
    capture_start(&c);
    dup2(c.from, STDERR_FILENO);    /* which nobody can write to */
    errno = 77;
    log_error("lost");
    expect_int("errno is kept", errno, 77);
    expect_str("the line is lost", capture_end(&c), "");
}

static void log_escapes(const struct run *run)
{
    struct capture c;

    (void)run;
    log_setup("prog", LOG_LEVEL_INFO);
    capture_start(&c);
    log_info("%s", "a\nb\tc\rd\\e\x1b[2J\x7f \x01 na\xc3\xafve \xc2\x9b");
    expect_str("what could steer a terminal is shown instead", capture_end(&c),
               "prog: a\\nb\\tc\\rd\\\\e\\x1b[2J\\x7f \\x01 "
               "na\xc3\xafve \xc2\\x9b\n");
}

static void log_cuts(const struct run *run)
{
    char text[3000];
    struct capture c;

    (void)run;
    log_setup("prog", LOG_LEVEL_INFO);
    for (size_t len = 980; len < sizeof text; len += len < 1100 ? 1 : 379)
        for (int esc = 0; esc < 2; esc++) {
            memset(text, esc ? 1 : 'x', len);
            text[len] = '\0';
            capture_start(&c);
            log_info("%s", text);
            const char *line = capture_end(&c);
            size_t full = strlen("prog: \n") + (esc ? 4 : 1) * len;
            expect_true("no line is longer than it may be",
                        strlen(line) <= LOG_LINE_MAX);
            expect_true("it ends in a newline, the only one",
                        strchr(line, '\n') == line + strlen(line) - 1);
            expect_true("it is whole, or ends in dots",
                        strlen(line) == full || strstr(line, "...\n"));
        }
}

static void *log_many(void *arg)
{
    char name = *(char *)arg, text[100];

    memset(text, name, sizeof text - 1);
    text[sizeof text - 1] = '\0';
    for (int i = 0; i < 50; i++)
        log_warn("%s", text);
    return NULL;
}

static void log_threads(const struct run *run)
{
    static const char head[] = "prog: warning: ";
    char names[CREW] = { 'a', 'b', 'c', 'd' };
    struct capture c;
    int lines = 0;

    (void)run;
    log_setup("prog", LOG_LEVEL_INFO);
    capture_start(&c);
    crew(log_many, names, 1);
    for (const char *at = capture_end(&c); *at; at = strchr(at, '\n') + 1) {
        expect_true("a line begins at its beginning",
                    strncmp(at, head, strlen(head)) == 0);
        const char *text = at + strlen(head);
        expect_int("it is one thread's, to its end",
                   strspn(text, (char[]){ *text, 0 }), 99);
        expect_int("and then ends", text[99], '\n');
        lines++;
    }
    expect_int("every line is there", lines, CREW * 50);
}

/* ---- sock.h ------------------------------------------------------------- */

static void sock_addresses(const struct run *run)
{
    static const char *const good[] = {
        "127.0.0.1:4000", "0.0.0.0:0", "255.255.255.255:65535", "[::1]:4000",
        "[::]:0", "[2001:db8::17]:65535",
    };
    static const char *const bad[] = {
        "", ":", ":4000", "127.0.0.1", "127.0.0.1:", "127.0.0.1:65536",
        "127.0.0.1:99999999999999999999", "127.0.0.1:-1", "127.0.0.1:+1",
        "127.0.0.1: 1", "127.0.0.1:1 ", " 127.0.0.1:1", "127.0.0.1:0x10",
        "127.0.0.1:01", "127.0.0.1:1:2", "127.0.0:1", "256.0.0.1:1",
        "localhost:4000", "::1:4000", "[::1]", "[::1]:", "[::1:1", "::1]:1",
        "[]:1", "[:1", "]:1", "[127.0.0.1]:1", "[::1]x:1", "[[::1]]:1",
        "[1111:2222:3333:4444:5555:6666:7777:8888:9999:aaaa:bbbb:cccc]:1",
    };
    struct sockaddr_storage addr, before;
    char text[SOCK_TEXT_MAX];

    (void)run;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        expect_int(good[i], sock_parse(&addr, good[i]), 0);
        expect_str("written back", sock_format(&addr, text), good[i]);
    }
    before = addr;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        expect_int(bad[i], sock_parse(&addr, bad[i]), -EINVAL);
        expect_true("untouched", memcmp(&addr, &before, sizeof addr) == 0);
    }
    memset(&addr, 0, sizeof addr);
    expect_str("no family", sock_format(&addr, text), "?");
}

static struct sockaddr_storage local(int port)
{
    struct sockaddr_storage addr;
    char text[SOCK_TEXT_MAX];

    snprintf(text, sizeof text, "127.0.0.1:%d", port);
    expect_int("parsing the local address", sock_parse(&addr, text), 0);
    return addr;
}

/* Listens on a port that the kernel picks; *addr is where. */
static int listening(struct sockaddr_storage *addr, int backlog)
{
    *addr = local(0);
    int fd = sock_listen(addr, backlog, SOCK_CLOEXEC);
    expect_true("sock_listen", fd >= 0);
    int port = sock_port(fd);
    expect_true("the kernel has picked a port", port > 0);
    *addr = local(port);
    return fd;
}

/* Both ends of a connection. */
static void connected(int ends[2])
{
    struct sockaddr_storage addr;
    int listener = listening(&addr, 4);

    ends[0] = sock_connect(&addr, 1000);
    expect_true("sock_connect", ends[0] >= 0);
    ends[1] = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    expect_true("accept", ends[1] >= 0);
    close(listener);
}

static void sock_listens(const struct run *run)
{
    struct sockaddr_storage addr;
    int fd = listening(&addr, 4), ends[2];

    (void)run;
    expect_int("a port in use", sock_listen(&addr, 4, 0), -EADDRINUSE);
    expect_true("close-on-exec, as asked", fcntl(fd, F_GETFD) & FD_CLOEXEC);
    expect_true("blocking, as asked", !(fcntl(fd, F_GETFL) & O_NONBLOCK));
    ends[0] = sock_connect(&addr, 1000);
    ends[1] = accept(fd, NULL, NULL);
    expect_true("a connection", ends[0] >= 0 && ends[1] >= 0);
    expect_true("which blocks", !(fcntl(ends[0], F_GETFL) & O_NONBLOCK));
    close(fd);
    close(ends[1]);     /* first: its side of the port now lingers */
    close(ends[0]);
    fd = sock_listen(&addr, 4, SOCK_NONBLOCK);
    expect_true("the port can be taken again at once", fd >= 0);
    expect_true("nonblocking, as asked", fcntl(fd, F_GETFL) & O_NONBLOCK);
    close(fd);
    expect_int("the port of no socket", sock_port(-1), -EBADF);
}

static void sock_refused(const struct run *run)
{
    struct sockaddr_storage addr = local(0);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    (void)run;
    /* A port that is taken, by somebody who does not listen. */
    expect_int("bind", bind(fd, (struct sockaddr *)&addr, sizeof addr), 0);
    addr = local(sock_port(fd));
    expect_int("nobody listens", sock_connect(&addr, 1000), -ECONNREFUSED);
    close(fd);
}

struct stream {
    int fd;
    unsigned char *bytes;
    size_t len;
};

static void send_stream(void *arg)
{
    struct stream *s = arg;

    expect_int("sock_send_all", sock_send_all(s->fd, s->bytes, s->len), 0);
    close(s->fd);
}

/* More than the buffers hold, so that sends and receives come in parts. */
static void sock_all_of_it(const struct run *run)
{
    unsigned char *sent = malloc(run->size), *came = calloc(1, run->size + 5);
    uint64_t state = run->seed;
    struct actor sender;
    int ends[2];

    for (size_t i = 0; i < run->size; i++)
        sent[i] = (unsigned char)next_random(&state);
    connected(ends);
    struct stream s = { ends[0], sent, run->size };
    actor_start(&sender, send_stream, &s);
    expect_int("sock_recv_all", sock_recv_all(ends[1], came, 10), 10);
    expect_int("asked for more than comes",
               sock_recv_all(ends[1], came + 10, run->size - 5),
               run->size - 10);
    expect_int("at the end", sock_recv_all(ends[1], came, 1), 0);
    expect_true("what came is what was sent",
                memcmp(came, sent, run->size) == 0);
    actor_join(&sender);
    close(ends[1]);
    free(sent);
    free(came);
}

static void sock_gone(const struct run *run)
{
    char byte = 0;
    int ends[2], err = 0;

    (void)run;
    connected(ends);
    expect_int("a byte that nobody reads", sock_send_all(ends[0], "x", 1), 0);
    close(ends[1]);
    for (int i = 0; i < 1000 && err != -EPIPE; i++)
        err = sock_send_all(ends[0], "x", 1);   /* a SIGPIPE would end us */
    expect_int("a peer that is gone: an error, not a signal", err, -EPIPE);
    expect_true("no more comes", sock_recv_all(ends[0], &byte, 1) <= 0);
    close(ends[0]);
}

static void sock_timeouts(const struct run *run)
{
    enum { FILL = 3 };
    static char much[1 << 16];
    struct sockaddr_storage addr;
    int ends[2], fill[FILL], err = 0, listener;
    char byte;

    (void)run;
    connected(ends);
    expect_int("sock_set_timeout", sock_set_timeout(ends[0], 10), 0);
    expect_int("nothing comes", sock_recv_all(ends[0], &byte, 1), -ETIMEDOUT);
    for (int i = 0; i < 1000 && !err; i++)
        err = sock_send_all(ends[0], much, sizeof much);
    expect_int("nobody reads", err, -ETIMEDOUT);
    close(ends[0]);
    close(ends[1]);

    listener = listening(&addr, 0);     /* room for one */
    for (int i = 0; i < FILL; i++)
        fill[i] = sock_connect(&addr, 10);
    expect_int("nobody accepts", fill[FILL - 1], -ETIMEDOUT);
    for (int i = 0; i < FILL; i++)
        if (fill[i] >= 0)
            close(fill[i]);
    close(listener);
}

/* ---- file.h ------------------------------------------------------------- */

static void file_whole(const struct run *run)
{
    char dir[] = "/tmp/common_test.XXXXXX", path[64], text[16] = "";

    (void)run;
    expect_true("mkdtemp", mkdtemp(dir) != NULL);
    snprintf(path, sizeof path, "%s/file", dir);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    expect_true("open", fd >= 0);
    expect_int("write", write(fd, "0123ab6789", 10), 10);
    expect_int("pread_full", pread_full(fd, text, 6, 3), 6);
    expect_str("what it read", text, "3ab678");
    expect_int("pread_full across the end", pread_full(fd, text, 10, 8), 2);
    expect_int("pread_full behind the end", pread_full(fd, text, 10, 11), 0);
    expect_int("nobody moved the position", lseek(fd, 0, SEEK_CUR), 10);
    lseek(fd, 7, SEEK_SET);
    expect_int("read_full across the end", read_full(fd, text, 10), 3);
    expect_int("read_full at the end", read_full(fd, text, 10), 0);
    close(fd);
    expect_int("file_sync_dir", file_sync_dir(dir), 0);
    expect_int("file_sync_dir of a file", file_sync_dir(path), -ENOTDIR);
    unlink(path);
    rmdir(dir);
    expect_int("file_sync_dir of nothing", file_sync_dir(dir), -ENOENT);
}

/* Behind what is there; and one byte too many is seen. */
static void file_all(const struct run *run)
{
    struct buf buf = { 0 };
    int ends[2];

    for (size_t more = 0; more < 2; more++) {
        expect_int("pipe", pipe(ends), 0);
        expect_int("write", write(ends[1], "bcdefg", 5 + more), 5 + more);
        close(ends[1]);
        buf_clear(&buf);
        expect_int("a buf with contents", buf_append(&buf, "a", 1), 0);
        expect_int("read_all of up to 5 bytes", read_all(ends[0], &buf, 5),
                   more ? -EMSGSIZE : 0);
        if (!more) {
            expect_int("what it has then", buf.len, 6);
            expect_true("the bytes", memcmp(buf.ptr, "abcdef", 6) == 0);
        }
        close(ends[0]);
    }
    buf_clear(&buf);
    int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    expect_int("read_all of nothing", read_all(null, &buf, run->size), 0);
    expect_int("what it has then", buf.len, 0);
    close(null);
    int dir = open("/", O_RDONLY | O_CLOEXEC);
    expect_int("read_all of a directory", read_all(dir, &buf, 5), -EISDIR);
    close(dir);
    buf_release(&buf);
}

static void file_errors(const struct run *run)
{
    int dir = open("/", O_RDONLY | O_CLOEXEC);
    char text[4];

    (void)run;
    expect_true("open", dir >= 0);
    expect_int("read_full of a directory", read_full(dir, text, 4), -EISDIR);
    expect_int("pread_full of one", pread_full(dir, text, 4, 0), -EISDIR);
    close(dir);
}

static void on_signal(int number)
{
    (void)number;
}

struct transfer {
    int (*fn)(int fd, void *bytes, size_t len);
    int fd;
    unsigned char *bytes;
    size_t len;
};

static int read_fully(int fd, void *bytes, size_t len)
{
    return (int)read_full(fd, bytes, len);
}

static int recv_all(int fd, void *bytes, size_t len)
{
    return (int)sock_recv_all(fd, bytes, len);
}

static int send_all(int fd, void *bytes, size_t len)
{
    return sock_send_all(fd, bytes, len);
}

static void do_transfer(void *arg)
{
    struct transfer *t = arg;
    int n = t->fn(t->fd, t->bytes, t->len);

    expect_true("a transfer under signals is completed",
                n == 0 || (size_t)n == t->len);
    close(t->fd);
}

/* The actor sends or receives; we do the other half in small pieces, and
 * send it a signal before each. */
static void storm(int ends[2], bool actor_sends,
                  int (*fn)(int, void *, size_t), size_t len)
{
    unsigned char *there = malloc(len), *here = malloc(len);
    struct transfer t = { fn, ends[actor_sends], there, len };
    int fd = ends[!actor_sends];
    struct actor actor;

    for (size_t i = 0; i < len; i++)
        *(actor_sends ? &there[i] : &here[i]) = (unsigned char)(i % 251);
    actor_start(&actor, do_transfer, &t);
    for (size_t done = 0; done < len;) {
        size_t piece = len - done < 4096 ? len - done : 4096;

        sched_yield();
        pthread_kill(actor.id, SIGUSR1);
        ssize_t n = actor_sends ? read(fd, here + done, piece)
                                : write(fd, here + done, piece);
        expect_true("our half", n > 0);
        done += (size_t)n;
    }
    actor_join(&actor);
    expect_true("every byte in its place", memcmp(there, here, len) == 0);
    close(fd);
    free(there);
    free(here);
}

static void signals_interrupt(const struct run *run)
{
    struct sigaction act = { .sa_handler = on_signal }; /* no SA_RESTART */
    int ends[2], type = SOCK_STREAM | SOCK_CLOEXEC;

    sigaction(SIGUSR1, &act, NULL);
    expect_int("pipe", pipe2(ends, O_CLOEXEC), 0);
    storm(ends, false, read_fully, run->size);
    expect_int("socketpair", socketpair(AF_UNIX, type, 0, ends), 0);
    storm(ends, true, send_all, run->size);
    expect_int("socketpair", socketpair(AF_UNIX, type, 0, ends), 0);
    storm(ends, false, recv_all, run->size);
}

/* ---- args.h ------------------------------------------------------------- */

static void args_numbers(const struct run *run)
{
    static const struct {
        const char *text;
        int err;
        size_t n;
    } sizes[] = {
        { "0", 0, 0 }, { "4096", 0, 4096 }, { "64K", 0, 65536 },
        { "64k", 0, 65536 }, { "16M", 0, 16u << 20 }, { "1G", 0, 1u << 30 },
        { "007", 0, 7 }, { "18446744073709551615", 0, SIZE_MAX },
        { "18446744073709551616", -ERANGE, 0 }, { "17179869184G", -ERANGE, 0 },
        { "17179869183G", 0, SIZE_MAX - (((size_t)1 << 30) - 1) },
        { "", -EINVAL, 0 }, { "K", -EINVAL, 0 }, { "-1", -EINVAL, 0 },
        { "+1", -EINVAL, 0 }, { " 1", -EINVAL, 0 }, { "1 ", -EINVAL, 0 },
        { "1KB", -EINVAL, 0 }, { "1T", -EINVAL, 0 }, { "0x10", -EINVAL, 0 },
        { "1.5K", -EINVAL, 0 },
    };
    unsigned u = 42;

    (void)run;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        size_t n = 42;

        expect_int(sizes[i].text, args_size(sizes[i].text, 0, SIZE_MAX, &n),
                   sizes[i].err);
        expect_true(sizes[i].text, n == (sizes[i].err ? 42 : sizes[i].n));
    }
    size_t n = 42;
    expect_int("below the range", args_size("9", 10, 20, &n), -ERANGE);
    expect_int("above it", args_size("1K", 10, 20, &n), -ERANGE);
    expect_int("its ends", args_size("10", 10, 20, &n), 0);
    expect_int("its ends", args_size("20", 10, 20, &n), 0);
    expect_int("args_uint", args_uint("0", 1, 8, &u), -ERANGE);
    expect_int("args_uint", args_uint("9", 1, 8, &u), -ERANGE);
    expect_int("args_uint", args_uint("4294967297", 0, UINT_MAX, &u), -ERANGE);
    expect_int("args_uint takes no unit", args_uint("1K", 0, 9999, &u),
               -EINVAL);
    expect_int("args_uint", args_uint("x", 0, 9999, &u), -EINVAL);
    expect_int("nothing was touched", u, 42);
    expect_int("args_uint", args_uint("4294967295", 0, UINT_MAX, &u), 0);
    expect_true("its value", u == UINT_MAX);
}

struct typed {
    const char *dir;
    unsigned threads, loud;
};

static int on_option(int key, const char *value, void *into)
{
    struct typed *typed = into;

    switch (key) {
    case 'd': typed->dir = value; return 0;
    case 'v': typed->loud++; return 0;
    default: return args_uint(value, 1, 64, &typed->threads);
    }
}

static const struct argp_option options[] = {
    { "dir", 'd', "PATH", 0, "where the data is", 0 },
    { "durability", 1, "NAME", 0, "when it reaches the disk", 0 },
    { "threads", 2, "N", 0, "how many", 0 },
    { "verbose", 'v', NULL, 0, "say more", 0 },
    { 0 },
};

enum { WORDS = 3, ARGV_MAX = 12 };

static const struct args program = {
    .program = "prog",
    .version = "1.2",
    .words = "set KEY VALUE\nget KEY",
    .about = "A program.",
    .options = options,
    .option = on_option,
    .words_max = WORDS,
};

/* Parses a line that is split at its spaces, in place. */
static size_t parse_line(char *line, struct typed *typed, char **words)
{
    char name[] = "/bin/prog", *argv[ARGV_MAX] = { name }, *rest = line;
    int argc = 1;

    while ((argv[argc] = strtok_r(rest, " ", &rest)))
        argc++;
    return args_parse(&program, argc, argv, typed, words);
}

static void args_in_any_order(const struct run *run)
{
    static const char *const lines[] = {
        "set a b --dir here -v --threads 8",
        "--dir here -v --threads=8 set a b",
        "set --dir=here a -vd here b --threads 8", "-dhere -v set a --thr 8 b",
    };

    (void)run;
    for (int posix = 0; posix < 2; posix++) {
        for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
            char line[80], *words[WORDS] = { 0 };
            struct typed typed = { 0 };

            strcpy(line, lines[i]);
            expect_int(lines[i], parse_line(line, &typed, words), 3);
            expect_str("word 1", words[0], "set");
            expect_str("word 2", words[1], "a");
            expect_str("word 3", words[2], "b");
            expect_str("--dir", typed.dir, "here");
            expect_int("--threads", typed.threads, 8);
            expect_int("-v", typed.loud, 1);
        }
        setenv("POSIXLY_CORRECT", "1", 1);
    }
    unsetenv("POSIXLY_CORRECT");
    char line[] = "set -- -v --dir", *words[WORDS];
    struct typed typed = { 0 };
    expect_int("behind -- are words", parse_line(line, &typed, words), 3);
    expect_str("-v", words[1], "-v");
    expect_int("and no options", typed.loud, 0);
    char dash[] = "set k -", none[] = "";
    expect_int("a lone - is a word", parse_line(dash, &typed, words), 3);
    expect_str("it", words[2], "-");
    expect_int("no words", parse_line(none, &typed, words), 0);
}

/* Parses the line in a child; answers its exit status, and in c->text what
 * it wrote to stderr (to stdout, if `out`). */
static int child_parses(const char *text, struct capture *c, bool out)
{
    int status;

    capture_start(c);
    pid_t pid = fork();
    if (pid == 0) {
        char line[80], *words[WORDS];
        struct typed typed = { 0 };

        if (out)
            dup2(STDERR_FILENO, STDOUT_FILENO);
        strcpy(line, text);
        parse_line(line, &typed, words);
        exit(0);
    }
    waitpid(pid, &status, 0);
    capture_end(c);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void args_wrong_usage(const struct run *run)
{
    static const struct {
        const char *line, *says;
    } wrong[] = {
        { "--bad", "unrecognized option '--bad'" },
        { "get k -x", "invalid option -- 'x'" },
        { "--d x", "option '--d' is ambiguous" },
        { "--dir", "option '--dir' requires an argument" },
        { "-v -d", "option requires an argument -- 'd'" },
        { "--verbose=3", "doesn't allow an argument" },
        { "set a b c", "one word too many: 'c'" },
        { "--threads x", "--threads: bad value: 'x'" },
        { "--threads 65", "--threads: out of range: '65'" },
        { "a b c \x1b\n", "one word too many: '\\x1b\\n'" },
    };
    static const char head[] = "prog (see --help): ";
    struct capture c;

    (void)run;
    fflush(stdout);
    expect_int("a good line", child_parses("get k", &c, false), 0);
    expect_str("says nothing", c.text, "");
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        expect_int(wrong[i].line, child_parses(wrong[i].line, &c, false), 2);
        if (!strstr(c.text, wrong[i].says))
            fail_case(__FILE__, __LINE__, wrong[i].line, wrong[i].says, "%s",
                      c.text);
        expect_true("begins with the program's name and a hint",
                    strncmp(c.text, head, strlen(head)) == 0);
        expect_true("one line", strchr(c.text, '\n')
                    == c.text + strlen(c.text) - 1);
    }
}

static void args_help(const struct run *run)
{
    struct capture c;

    (void)run;
    fflush(stdout);
    expect_int("-V", child_parses("-V", &c, true), 0);
    expect_str("name and version", c.text, "prog 1.2\n");
    expect_int("--version", child_parses("get k --version", &c, true), 0);
    expect_str("name and version", c.text, "prog 1.2\n");
    expect_int("--help", child_parses("--help", &c, true), 0);
    expect_true("it shows each form of use",
                strstr(c.text, "Usage: prog [OPTION...] set KEY VALUE\n")
                && strstr(c.text, "prog [OPTION...] get KEY\n"));
    expect_true("and each option", strstr(c.text, "--dir=PATH")
                && strstr(c.text, "say more"));
    expect_int("--usage", child_parses("--usage", &c, true), 0);
    expect_true("is short", strncmp(c.text, "Usage: prog ", 12) == 0);
    expect_int("--help on stdout", child_parses("--help", &c, false), 0);
    expect_str("not on stderr", c.text, "");
}

/* A mapping longer than its file: what is there is copied, what is not there
 * is an error, again and again, in several threads. */
static void *copy_behind(void *map)
{
    char to[64];

    for (int i = 0; i < 100; i++) {
        expect_int("copying what is there", guarded_copy(to, map, 5), 0);
        expect_int("what was copied", memcmp(to, "hello", 5), 0);
        expect_int("copying what is behind the file",
                   guarded_copy(to, (char *)map + 8192, 64), -EIO);
    }
    return NULL;
}

static void guard(const struct run *run)
{
    pthread_t ids[2];
    FILE *f = tmpfile();

    (void)run;
    expect_true("a file", f && fputs("hello", f) >= 0 && fflush(f) == 0);
    void *map = mmap(NULL, 16384, PROT_READ, MAP_SHARED, fileno(f), 0);
    expect_true("a mapping", map != MAP_FAILED);
    expect_int("guard_install", guard_install(), 0);
    expect_int("guard_install once more", guard_install(), 0);
    for (int i = 0; i < 2; i++)
        expect_int("a thread", pthread_create(&ids[i], NULL, copy_behind,
                   map), 0);
    for (int i = 0; i < 2; i++)
        pthread_join(ids[i], NULL);
    munmap(map, 16384);
    fclose(f);
}

/* A SIGBUS of somebody else's still ends the process. */
static void guard_lets_others_die(const struct run *run)
{
    int status = 0;

    (void)run;
    expect_int("guard_install", guard_install(), 0);
    if (under_tool())
        return;                 /* which have handlers of their own */
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        FILE *f = tmpfile();
        void *map = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fileno(f), 0);

        _exit(*(volatile char *)map);
    }
    expect_int("waitpid", waitpid(pid, &status, 0), pid);
    expect_true("the process was ended by SIGBUS", WIFSIGNALED(status) &&
                WTERMSIG(status) == SIGBUS);
}

static const struct test_case cases[] = {
    { "guard", guard, 1 },
    { "guard_lets_others_die", guard_lets_others_die, 1 },
    { "slices", slices, 1 },
    { "buf_as_model", buf_as_model, 1000 },
    { "buf_growth", buf_growth, 10000 },
    { "buf_replaces", buf_replaces, 1 },
    { "buf_own_bytes", buf_own_bytes, 1 },
    { "buf_too_large", buf_too_large, 1 },
    { "error_words", error_words, 1 },
    { "error_threads", error_threads, 1 },
    { "counter_totals", counter_totals, 2000 },
    { "counter_hands_over", counter_hands_over, 10 },
    { "publish_basics", publish_basics, 1 },
    { "publish_if_loses_none", publish_if_loses_none, 500 },
    { "grace_then_free", grace_then_free, 100 },
    { "clocks_run", clocks_run, 1 },
    { "deadlines", deadlines, 1 },
    { "log_lines", log_lines, 1 },
    { "log_escapes", log_escapes, 1 },
    { "log_cuts", log_cuts, 1 },
    { "log_threads", log_threads, 1 },
    { "sock_addresses", sock_addresses, 1 },
    { "sock_listens", sock_listens, 1 },
    { "sock_refused", sock_refused, 1 },
    { "sock_all_of_it", sock_all_of_it, 3000000 },
    { "sock_gone", sock_gone, 1 },
    { "sock_timeouts", sock_timeouts, 1 },
    { "file_whole", file_whole, 1 },
    { "file_all", file_all, 1 },
    { "file_errors", file_errors, 1 },
    { "signals_interrupt", signals_interrupt, 300000 },
    { "args_numbers", args_numbers, 1 },
    { "args_in_any_order", args_in_any_order, 1 },
    { "args_wrong_usage", args_wrong_usage, 1 },
    { "args_help", args_help, 1 },
    { NULL, NULL, 0 },
};

int main(int argc, char **argv)
{
    return driver_main(argc, argv, cases);
}
