/* kvs_server.c -- given: the main of kvs-server. */
#include <errno.h>
#include <libgen.h>
#include <limits.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "common/args.h"
#include "common/errors.h"
#include "common/lock.h"
#include "common/log.h"
#include "common/sock.h"
#include "stage1-pool/pool.h"
#include "stage2-server/reactor.h"
#include "stage2-server/server.h"
#include "stage2-server/store.h"
#include "stage2-server/version.h"

enum { FAILED = 1 };
enum { THREADS_MAX = 4096, QUEUE = 1024, CONNECTIONS_MAX = 1000000 };
enum { SEGMENT_MIN = 4096 };

struct options {
    struct sockaddr_storage addr;
    const char *dir, *pool;
    struct store_options store;
    unsigned threads, max_connections;
    enum log_level level;
};

static int durability_of(const char *text, enum store_durability *out)
{
    static const char *const names[] = { "none", "interval", "always" };

    for (unsigned i = 0; i < 3; i++)
        if (strcmp(text, names[i]) == 0) {
            *out = i;
            return 0;
        }
    return -EINVAL;
}

static int option(int key, const char *value, void *into)
{
    struct options *o = into;

    switch (key) {
    case 'a':
        return sock_parse(&o->addr, value);
    case 'd':
        o->dir = value;
        return 0;
    case 'e':
        o->store.engine = value;
        return 0;
    case 'p':
        o->pool = value;
        return 0;
    case 't':
        return args_uint(value, 1, THREADS_MAX, &o->threads);
    case 'D':
        return durability_of(value, &o->store.durability);
    case 'm':
        return args_uint(value, 1, CONNECTIONS_MAX, &o->max_connections);
    case 's':
        return args_size(value, SEGMENT_MIN, (size_t)1 << 40,
                         &o->store.segment_size);
    case 'v':
        o->level = LOG_LEVEL_DEBUG;
        return 0;
    default:
        o->level = LOG_LEVEL_ERROR;
        return 0;
    }
}

static const struct argp_option known[] = {
    { "addr", 'a', "IP:PORT", 0, "where to listen (127.0.0.1:4000); port 0: "
      "any", 0 },
    { "dir", 'd', "PATH", 0, "the store's directory (the current one)", 0 },
    { "engine", 'e', "NAME", 0, "which store: kvs, lmdb or mem (the one that "
      "made the directory, else kvs)", 0 },
    { "pool", 'p', "NAME", 0, "which pool of threads", 0 },
    { "threads", 't', "N", 0, "of the pool (the number of CPUs)", 0 },
    { "durability", 'D', "WHEN", 0, "a change is on the disk: none, interval "
      "(within a second) or always (before it is answered)", 0 },
    { "max-connections", 'm', "N", 0, "at once (20000, or what the limit of "
      "open files allows)", 0 },
    { "segment-size", 's', "BYTES", 0, "of the store's files (64M)", 0 },
    { "verbose", 'v', NULL, 0, "say more", 0 },
    { "quiet", 'q', NULL, 0, "say errors only", 0 },
    { 0 },
};

static const struct args args = {
    .program = "kvs-server",
    .version = KVS_VERSION,
    .about = "Serves a store of keys and values to many clients.",
    .options = known,
    .option = option,
};

static int failed(const char *what, int err)
{
    log_error("%s: %s", what, error_text(err));
    return FAILED;
}

/* As many files as the system allows: connections are files. */
static void raise_limits(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

/* Which pools there are is decided when the program is linked. */
static int make_pool(struct pool **out, struct options *o)
{
    const char *const *names = pool_names();
    struct pool_options options = { o->pool, o->threads, QUEUE };
    char choices[256] = "";

    if (!o->pool)
        o->pool = options.name = names[0];
    int err = pool_create(out, &options);
    if (err != -ENOENT)
        return err ? failed(o->pool, err) : 0;
    for (; *names; names++) {
        size_t n = strlen(choices);
        snprintf(choices + n, sizeof choices - n, " %s", *names);
    }
    log_error("no pool %s; choose one of:%s", o->pool, choices);
    return FAILED;
}

static int serve(struct server *server, const struct options *o,
                 struct store *store)
{
    struct sockaddr_storage addr = o->addr;
    char text[SOCK_TEXT_MAX];
    int port = server_port(server);

    /* sin_port and sin6_port lie at the same place. */
    ((struct sockaddr_in *)&addr)->sin_port = htons((uint16_t)port);
    log_info("version %s, engine %s, pool %s, directory %s", KVS_VERSION,
             store_engine(store), o->pool, o->dir);
    log_info("listening on %s", sock_format(&addr, text));
    int err = server_run(server);
    if (err == -ETIMEDOUT) {
        log_warn("some clients did not take their replies in time");
        return 0;
    }
    return err ? failed("stopping", err) : 0;
}

static uint64_t count_keys(void *store)
{
    struct store_stats stats;

    store_stats(store, &stats);
    return stats.keys;
}

static int scan_store(void *store, store_scan_fn *fn, void *arg)
{
    return store_scan(store, fn, arg);
}

static int run_server(const struct options *o, struct store *store,
                      struct pool *pool)
{
    const struct conn_host host = { store, count_keys, scan_store };
    struct server_options options = {
        .reactor = { .addr = o->addr, .signals = true, .host = &host,
                     .max_connections = o->max_connections },
        .store = store,
        .pool = pool,
        .durability = o->store.durability,
        .threads = o->threads,
    };
    struct server *server;
    char text[SOCK_TEXT_MAX];
    int err = server_create(&server, &options);

    if (err)
        return failed(sock_format(&o->addr, text), err);
    int status = serve(server, o, store);
    server_destroy(server);
    return status;
}

/* Which stores there are is decided when the program is linked, too. A store
 * that is not there is not found, and so is a directory's parent. */
static bool engine_is_unknown(const struct options *o)
{
    char dir[PATH_MAX];

    return o->store.engine
           && snprintf(dir, sizeof dir, "%s", o->dir) < (int)sizeof dir
           && access(dirname(dir), F_OK) == 0;
}

/* Until the server runs, nobody else takes the signals; and a store that is
 * being opened has nothing to lose yet. */
static void *end_at_signal(void *unused)
{
    sigset_t set;
    int signal;

    reactor_signals(&set);
    if (sigwait(&set, &signal) != 0)
        return unused;
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
    log_info("stopped while the store was being opened");
    _exit(0);
}

/* It may take long. */
static int open_store(struct store **store, const struct options *o)
{
    pthread_t thread;
    bool started = thread_create(&thread, end_at_signal, NULL) == 0;
    int err = store_open(store, o->dir, &o->store);

    if (started) {
        pthread_cancel(thread);
        thread_join(thread);
    }
    return err;
}

static int run_store(const struct options *o, struct pool *pool)
{
    struct store *store;
    int err = open_store(&store, o);

    if (err == -ENOENT && engine_is_unknown(o)) {
        log_error("engine %s: not in this program", o->store.engine);
        return FAILED;
    }
    if (err)
        return failed(o->dir, err);
    int status = run_server(o, store, pool);
    err = store_close(store);
    return err && status == 0 ? failed(o->dir, err) : status;
}

/* The pool first: with a wrong name for it, nothing is made. */
static int run(struct options *o)
{
    struct pool *pool;

    if (make_pool(&pool, o) != 0)
        return FAILED;
    int status = run_store(o, pool);
    pool_destroy(pool);
    return status;
}

int main(int argc, char **argv)
{
    long cpus = sysconf(_SC_NPROCESSORS_ONLN);
    struct options options = {
        .dir = ".",
        .threads = cpus > 0 ? (unsigned)cpus : 1,
        .level = LOG_LEVEL_INFO,
    };

    sock_parse(&options.addr, "127.0.0.1:4000");
    args_parse(&args, argc, argv, &options, NULL);
    log_setup("kvs-server", options.level);
    reactor_block_signals();
    signal(SIGPIPE, SIG_IGN);   /* who reads our messages may go */
    signal(SIGXFSZ, SIG_IGN);   /* -EFBIG, then */
    raise_limits();
    return run(&options);
}
