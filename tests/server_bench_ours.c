/* server_bench_ours.c -- the server, over a store that costs next to nothing:
 * what is measured is the server.
 *
 * Given.
 *
 * The store has a fixed number of keys in memory. With `durable` a change
 * waits for a disk, as long as a real sync takes; several threads may wait at
 * once.
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "common/lock.h"
#include "common/sock.h"
#include "stage1-pool/pool.h"
#include "stage2-server/server.h"
#include "stage2-server/store.h"
#include "tests/server_bench.h"

enum { THREADS = 4, QUEUE = 1024 };

const bool subject_has_values = true;

struct store {
    pthread_mutex_t lock;       /* guards values */
    bool durable;
    char keys[BENCH_KEYS][BENCH_KEY + 1];
    unsigned char values[BENCH_KEYS][BENCH_VALUE];
};

static struct store the_store = { .lock = PTHREAD_MUTEX_INITIALIZER };
static struct server *server;
static struct pool *pool;
static pthread_t loop;

/* Keys begin with their number. */
static int find(const struct store *store, struct slice key)
{
    const char *digits = key.ptr;
    int i = 0;

    if (key.len != BENCH_KEY)
        return -ENOENT;
    for (int k = 0; k < 4; k++)
        i = 10 * i + digits[k] - '0';
    if (i < 0 || i >= BENCH_KEYS
        || memcmp(store->keys[i], key.ptr, BENCH_KEY) != 0)
        return -ENOENT;
    return i;
}

static int get_locked(struct store *store, struct store_op *op, int i)
{
    if (!op->into)
        return 0;
    op->into_at = op->into->len;
    op->into_len = BENCH_VALUE;
    return buf_append(op->into, store->values[i], BENCH_VALUE);
}

static int do_locked(struct store *store, struct store_op *op)
{
    int i = find(store, op->key);

    if (i < 0)
        return i;
    if (op->kind == STORE_GET)
        return get_locked(store, op, i);
    if (op->kind != STORE_SET || op->value.len != BENCH_VALUE)
        return -EMSGSIZE;
    memcpy(store->values[i], op->value.ptr, BENCH_VALUE);
    return 0;
}

int store_apply(struct store *store, struct store_op *ops, size_t n)
{
    bool changes = false;

    mutex_lock(&store->lock);
    for (size_t i = 0; i < n; i++) {
        ops[i].result = do_locked(store, &ops[i]);
        changes |= ops[i].kind != STORE_GET;
    }
    mutex_unlock(&store->lock);
    if (changes && store->durable)
        bench_disk();
    return 0;
}

static int one(struct store *store, struct store_op *op)
{
    store_apply(store, op, 1);
    return op->result;
}

int store_get(struct store *store, struct slice key, struct buf *value)
{
    struct store_op op = { .kind = STORE_GET, .key = key, .into = value };

    buf_clear(value);
    return one(store, &op);
}

int store_set(struct store *store, struct slice key, struct slice value)
{
    return one(store, &(struct store_op){ .kind = STORE_SET, .key = key,
                                          .value = value });
}

int store_remove(struct store *store, struct slice key)
{
    return one(store, &(struct store_op){ .kind = STORE_REMOVE, .key = key });
}

int store_sync(struct store *store)
{
    (void)store;
    return 0;
}

void store_stats(struct store *store, struct store_stats *stats)
{
    (void)store;
    *stats = (struct store_stats){ .keys = BENCH_KEYS };
}

size_t store_key_max(struct store *store)
{
    (void)store;
    return BENCH_KEY;
}

const char *store_engine(struct store *store)
{
    (void)store;
    return "bench";
}

static void *run(void *arg)
{
    (void)arg;
    if (server_run(server) != 0)
        bench_fail("server_run failed");
    return NULL;
}

int subject_start(const struct bench_load *load)
{
    struct pool_options threads = { .threads = THREADS, .capacity = QUEUE };
    struct server_options options = {
        .store = &the_store, .threads = THREADS,
        .durability = load->durable ? STORE_ALWAYS : STORE_NONE,
    };

    the_store.durable = load->durable;
    for (unsigned i = 0; i < BENCH_KEYS; i++) {
        bench_key(load, i, the_store.keys[i]);
        bench_value(load, i, the_store.values[i]);
    }
    if (sock_parse(&options.reactor.addr, "127.0.0.1:0") != 0
        || pool_create(&pool, &threads) != 0)
        bench_fail("pool_create failed");
    options.pool = pool;
    if (server_create(&server, &options) != 0)
        bench_fail("server_create failed");
    if (pthread_create(&loop, NULL, run, NULL) != 0)
        bench_fail("no thread");
    return server_port(server);
}

/* Stopping is another task's: what is measured has been. */
void subject_stop(void)
{
}
