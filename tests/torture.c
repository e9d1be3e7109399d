/* torture.c -- given. Kills a server again and again, and counts what is lost.
 *
 *     torture --server PATH --dir PATH [--rounds N] [--seed S]
 *             [--durability WHEN] [--segment-size N]
 *
 * A round: writers set and remove keys over the protocol, many requests in
 * flight, and note what was acknowledged. At a random moment the server gets
 * SIGKILL. It is started anew (now and then it is killed once more while it
 * starts), and every key must be as the last acknowledged change has left it,
 * or as one of those that were under way.
 *
 * Each writer has keys of its own and one connection, so its changes have an
 * order. The answer to a remove is checked, too: whether the key was there.
 *
 * Exit:    0; 1 if something was lost; 2 if it could not be tried.
 * Threads: a writer is one.
 */
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <signal.h>
#include <unistd.h>

#include "common/args.h"
#include "common/clock.h"
#include "common/counter.h"
#include "common/errors.h"
#include "common/lock.h"
#include "common/log.h"
#include "common/sock.h"
#include "stage2-server/client.h"

enum {
    WRITERS = 4, KEYS = 300, DEPTH = 16, VALUE_MAX = 3000,
    START_MS = 30000, TIMEOUT_MS = 20000, SAID_MAX = 5, TRIED = 2
};

struct options {
    const char *server, *dir, *durability, *segment_size;
    unsigned rounds, seed;
};

/* What a key is: the number of the change that has set it, 0 for absent. */
struct change {
    unsigned key;
    uint64_t is;
};

struct writer {
    pthread_t thread;
    unsigned number;
    struct sockaddr_storage addr;
    uint64_t random, changes;
    uint64_t is[KEYS];
    struct change flying[DEPTH];    /* not answered yet, in order */
    unsigned first, n;
    uint64_t acknowledged;          /* in this round */
    uint64_t lost;
    const char *trouble;            /* what else went wrong */
};

static struct options o = { .rounds = 40, .seed = 1, .durability = "none",
                            .segment_size = "64K" };
static struct writer writers[WRITERS];
static struct counter said;
static uint64_t chance;

/* ---- keys and values ----------------------------------------------------- */

static uint64_t draw(uint64_t *state)
{
    uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);

    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

static struct slice key_of(const struct writer *w, unsigned key, char *text)
{
    int n = snprintf(text, 32, "w%u-key%u", w->number, key);

    return slice_of(text, (size_t)n);
}

static struct slice value_of(const struct writer *w, struct change c,
                             char *text)
{
    size_t len = 40 + (size_t)(c.is * 7919 % (VALUE_MAX - 40));

    memset(text, 'a' + (int)(c.is % 26), len);
    int n = snprintf(text, 40, "w%u-key%u is %" PRIu64, w->number, c.key,
                     c.is);
    text[n] = ' ';
    return slice_of(text, len);
}

/* With thousands apart: 48,212. */
static const char *apart(uint64_t n, char *text)
{
    char plain[32];
    int len = snprintf(plain, sizeof plain, "%" PRIu64, n), to = 0;

    for (int i = 0; i < len; i++) {
        if (i > 0 && (len - i) % 3 == 0)
            text[to++] = ',';
        text[to++] = plain[i];
    }
    text[to] = '\0';
    return text;
}

/* ---- a writer at work ---------------------------------------------------- */

static bool send_one(struct writer *w, struct client *client)
{
    char key[32], value[VALUE_MAX];
    struct change c = { (unsigned)(draw(&w->random) % KEYS), 0 };
    struct proto_request request = { .op = PROTO_REMOVE };

    if (draw(&w->random) % 5 > 0) {
        c.is = ++w->changes;
        request.op = PROTO_SET;
        request.value = value_of(w, c, value);
    }
    request.key = key_of(w, c.key, key);
    w->flying[(w->first + w->n++) % DEPTH] = c;
    return client_put(client, &request) == 0;
}

static void note_lost(struct writer *w, struct change c, const char *what)
{
    w->lost++;
    if (counter_add(&said, 1) <= SAID_MAX)
        printf("  w%u-key%u should be %s%" PRIu64 ": %s\n", w->number, c.key,
               c.is ? "" : "absent, ", c.is, what);
}

static bool take_one(struct writer *w, struct client *client)
{
    struct change c = w->flying[w->first];
    struct change before = { c.key, w->is[c.key] };
    struct proto_reply reply;

    if (client_take(client, &reply) != 0)
        return false;           /* the server is gone */
    int err = proto_status_error(reply.status);
    if (err != 0 && !(err == -ENOENT && c.is == 0)) {
        w->trouble = error_text(err);
        return false;
    }
    if (c.is == 0 && (err == -ENOENT) != (before.is == 0))
        note_lost(w, before, err ? "a remove did not find it"
                                 : "a remove found it");
    w->is[c.key] = c.is;
    w->first = (w->first + 1) % DEPTH;
    w->n--;
    w->acknowledged++;
    return true;
}

static void *work(void *arg)
{
    struct writer *w = arg;
    struct client *client;
    bool on = client_open(&client, &w->addr, TIMEOUT_MS) == 0;

    w->first = w->n = 0;
    w->acknowledged = 0;
    if (!on)
        return NULL;
    while (on) {
        while (on && w->n < DEPTH)
            on = send_one(w, client);
        on = on && client_send(client) == 0;
        while (w->n > DEPTH / 2 && take_one(w, client))
            ;
        on = on && w->n <= DEPTH / 2;
    }
    while (w->n > 0 && take_one(w, client)) /* what has come already */
        ;
    client_close(client);
    return NULL;
}

/* ---- afterwards ---------------------------------------------------------- */

static bool is_it(const struct writer *w, struct change c, int err,
                  const struct buf *value)
{
    char text[VALUE_MAX];

    if (c.is == 0 || err == -ENOENT)
        return c.is == 0 && err == -ENOENT;
    return err == 0 && slice_equal(buf_slice(value), value_of(w, c, text));
}

/* What was acknowledged, or what was under way; that it is from now on. */
static void check_key(struct writer *w, unsigned key, int err,
                      const struct buf *value)
{
    struct change c = { key, w->is[key] };
    bool found = is_it(w, c, err, value);

    for (unsigned i = 0; i < w->n && !found; i++) {
        struct change f = w->flying[(w->first + i) % DEPTH];

        if (f.key == key && is_it(w, f, err, value)) {
            w->is[key] = f.is;
            found = true;
        }
    }
    if (found)
        return;
    char what[64];
    snprintf(what, sizeof what, "it is %.40s",
             err ? error_text(err) : value->len ? (char *)value->ptr : "");
    note_lost(w, c, what);
    w->is[key] = 0;             /* counted once */
    if (err == 0 && value->len > 0) {
        const char *is = memmem(value->ptr, value->len, " is ", 4);
        w->is[key] = is ? strtoull(is + 4, NULL, 10) : 0;
    }
}

static void *check(void *arg)
{
    struct writer *w = arg;
    struct buf value = { 0 };
    struct client *client;
    char key[32];
    int err = client_open(&client, &w->addr, TIMEOUT_MS);

    if (err) {
        w->trouble = error_text(err);
        return NULL;
    }
    for (unsigned k = 0; k < KEYS && !w->trouble; k++) {
        err = client_get(client, key_of(w, k, key), &value);
        if (!err)
            err = buf_append(&value, "", 1);    /* for printf */
        if (!err)
            value.len--;
        if (err && err != -ENOENT && err != -EBADMSG)
            w->trouble = error_text(err);
        else
            check_key(w, k, err, &value);
    }
    w->first = w->n = 0;
    buf_release(&value);
    client_close(client);
    return NULL;
}

static uint64_t all_writers(void *(*fn)(void *),
                            const struct sockaddr_storage *addr,
                            unsigned ms, pid_t kill_then)
{
    uint64_t deadline = deadline_in_ms(ms), acknowledged = 0;

    for (unsigned i = 0; i < WRITERS; i++) {
        writers[i].addr = *addr;
        if (thread_create(&writers[i].thread, fn, &writers[i]) != 0)
            abort();
    }
    if (kill_then > 0) {
        struct timespec until = deadline_timespec(deadline);

        clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL);
        kill(kill_then, SIGKILL);
    }
    for (unsigned i = 0; i < WRITERS; i++) {
        thread_join(writers[i].thread);
        acknowledged += writers[i].acknowledged;
    }
    return acknowledged;
}

/* ---- the server ---------------------------------------------------------- */

static pid_t spawn(const char *log)
{
    const char *preload = getenv("TORTURE_PRELOAD");

    unlink(log);                /* it tells of the one before */
    pid_t parent = getpid(), pid = fork();

    if (pid != 0)
        return pid;
    prctl(PR_SET_PDEATHSIG, SIGKILL);   /* it must not outlive us */
    int fd = open(log, O_WRONLY | O_CREAT | O_TRUNC, 0666);
    if (getppid() != parent || fd < 0 || dup2(fd, STDERR_FILENO) < 0)
        _exit(127);
    if (preload)
        setenv("LD_PRELOAD", preload, 1);
    execl(o.server, o.server, "--addr", "127.0.0.1:0", "--dir", o.dir,
          "--durability", o.durability, "--segment-size", o.segment_size,
          (char *)NULL);
    _exit(127);
}

/* Where it listens, once it does: a line of its log. */
static bool listens(const char *log, struct sockaddr_storage *addr)
{
    char line[512];
    FILE *f = fopen(log, "re");
    bool found = false;

    while (f && !found && fgets(line, sizeof line, f)) {
        char *at = strstr(line, "listening on ");

        line[strcspn(line, "\n")] = '\0';
        found = at && sock_parse(addr, at + strlen("listening on ")) == 0;
    }
    if (f)
        fclose(f);
    return found;
}

static void show_log(const char *log)
{
    char line[512];
    FILE *f = fopen(log, "re");

    while (f && fgets(line, sizeof line, f))
        printf("  %s", line);
    if (f)
        fclose(f);
}

/* Starts it; 0 if it does not come to listen. */
static pid_t start(struct sockaddr_storage *addr)
{
    const struct timespec nap = { 0, 2000000 };
    uint64_t deadline = deadline_in_ms(START_MS);
    char log[PATH_MAX];
    int status;

    snprintf(log, sizeof log, "%s.log", o.dir);
    pid_t pid = spawn(log);
    while (pid > 0 && !deadline_over(deadline)) {
        if (listens(log, addr))
            return pid;
        if (waitpid(pid, &status, WNOHANG) == pid) {
            printf("the server does not start:\n");
            show_log(log);
            return 0;
        }
        nanosleep(&nap, NULL);
    }
    if (pid > 0 && kill(pid, SIGKILL) == 0)
        waitpid(pid, &status, 0);
    return 0;
}

/* Kills one while it starts. */
static void start_in_vain(void)
{
    struct timespec nap = { 0, (long)(draw(&chance) % 12000000) };
    char log[PATH_MAX];
    int status;

    snprintf(log, sizeof log, "%s.log", o.dir);
    pid_t pid = spawn(log);
    if (pid < 0)
        return;
    nanosleep(&nap, NULL);
    kill(pid, SIGKILL);
    waitpid(pid, &status, 0);
}

static int stop(pid_t pid)
{
    int status = 0;

    kill(pid, SIGTERM);
    waitpid(pid, &status, 0);
    if (status != 0)
        printf("the server's end: status %d\n", status);
    return status;
}

/* ---- rounds -------------------------------------------------------------- */

static uint64_t sum_of_lost(void)
{
    uint64_t lost = 0;

    for (unsigned i = 0; i < WRITERS; i++)
        lost += writers[i].lost;
    return lost;
}

static bool trouble(void)
{
    for (unsigned i = 0; i < WRITERS; i++)
        if (writers[i].trouble) {
            printf("w%u: %s\n", i, writers[i].trouble);
            return true;
        }
    return false;
}

/* The server that the next round works with; 0: no more rounds. */
static pid_t run_round(unsigned round, pid_t pid,
                       struct sockaddr_storage *addr, uint64_t *all)
{
    unsigned ms = 20 + (unsigned)(draw(&chance) % 380);
    uint64_t acknowledged = all_writers(work, addr, ms, pid);
    char number[32], lost[32];

    waitpid(pid, NULL, 0);
    *all += acknowledged;
    if (draw(&chance) % 4 == 0)
        start_in_vain();
    pid = start(addr);
    if (pid > 0)
        all_writers(check, addr, 0, 0);
    printf("round %u: %s acknowledged, %s lost\n", round,
           apart(acknowledged, number), apart(sum_of_lost(), lost));
    fflush(stdout);
    return pid;
}

static int run(void)
{
    struct sockaddr_storage addr;
    pid_t pid = start(&addr);
    bool started = pid > 0, well = started;
    char number[32], lost[32];
    uint64_t all = 0;
    unsigned round = 0;

    while (well && round < o.rounds) {
        pid = run_round(++round, pid, &addr, &all);
        well = pid > 0 && !trouble();
    }
    if (pid > 0 && stop(pid) != 0)
        well = false;
    printf("torture: %u rounds, %s acknowledged, %s lost%s (durability %s, "
           "seed %u)\n", round, apart(all, number),
           apart(sum_of_lost(), lost), well ? "" : ", and it does not work",
           o.durability, o.seed);
    if (!started)
        return TRIED;
    return !well || sum_of_lost() > 0;
}

/* ---- arguments ----------------------------------------------------------- */

static int option(int key, const char *value, void *into)
{
    struct options *options = into;

    switch (key) {
    case 's':
        options->server = value;
        return 0;
    case 'd':
        options->dir = value;
        return 0;
    case 'D':
        options->durability = value;
        return 0;
    case 'g':
        options->segment_size = value;
        return 0;
    case 'r':
        return args_uint(value, 1, 1000000, &options->rounds);
    default:
        return args_uint(value, 0, UINT_MAX, &options->seed);
    }
}

static const struct argp_option known[] = {
    { "server", 's', "PATH", 0, "the program", 0 },
    { "dir", 'd', "PATH", 0, "a store's directory; PATH.log is its log", 0 },
    { "rounds", 'r', "N", 0, "how often it is killed (40)", 0 },
    { "seed", 'S', "N", 0, "of all that is random (1)", 0 },
    { "durability", 'D', "WHEN", 0, "none, interval or always (none)", 0 },
    { "segment-size", 'g', "BYTES", 0, "of the store's files (64K)", 0 },
    { 0 },
};

static const struct args args = {
    .program = "torture",
    .version = "1",
    .about = "Kills a server again and again, and counts what is lost.",
    .options = known,
    .option = option,
};

int main(int argc, char **argv)
{
    args_parse(&args, argc, argv, &o, NULL);
    if (!o.server || !o.dir)
        args_fail(&args, "--server and --dir are needed");
    log_setup("torture", LOG_LEVEL_INFO);
    signal(SIGPIPE, SIG_IGN);
    counter_init(&said, 0);
    chance = o.seed;
    for (unsigned i = 0; i < WRITERS; i++) {
        writers[i].number = i;
        writers[i].random = draw(&chance);
    }
    return run();
}
