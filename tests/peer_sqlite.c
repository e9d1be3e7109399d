/* peer_sqlite.c -- given: SQLite behind store.h, as far as a benchmark needs
 * it, so that stage 4's bench-store measures it like any other.
 *
 * A write-ahead log, one table with the key as its tree, a connection a thread
 * with prepared statements, a cache of 256 MiB. STORE_ALWAYS is its
 * synchronous = FULL, anything else OFF.
 */
#include <errno.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/lock.h"
#include "stage2-server/store.h"

enum { BUSY_MS = 10000 };

struct store {
    char path[512];
    bool always;
    pthread_key_t key;          /* a thread's connection */
};

struct connection {
    sqlite3 *db;
    sqlite3_stmt *get, *set, *begin, *commit;
};

static void disconnect(void *arg)
{
    struct connection *c = arg;

    sqlite3_finalize(c->get);
    sqlite3_finalize(c->set);
    sqlite3_finalize(c->begin);
    sqlite3_finalize(c->commit);
    sqlite3_close(c->db);
    free(c);
}

static bool prepare(struct connection *c, bool always)
{
    static const char make[] =
        "PRAGMA journal_mode=WAL; PRAGMA cache_size=-262144;"
        "PRAGMA mmap_size=1073741824;"
        "CREATE TABLE IF NOT EXISTS kv(k BLOB PRIMARY KEY, v BLOB) "
        "WITHOUT ROWID;";
    const char *sync = always ? "PRAGMA synchronous=FULL;"
                              : "PRAGMA synchronous=OFF;";

    sqlite3_busy_timeout(c->db, BUSY_MS);
    return sqlite3_exec(c->db, make, NULL, NULL, NULL) == SQLITE_OK &&
           sqlite3_exec(c->db, sync, NULL, NULL, NULL) == SQLITE_OK &&
           sqlite3_prepare_v2(c->db, "SELECT v FROM kv WHERE k=?", -1,
                              &c->get, NULL) == SQLITE_OK &&
           sqlite3_prepare_v2(c->db, "INSERT INTO kv VALUES(?,?) ON CONFLICT(k)"
                              " DO UPDATE SET v=excluded.v", -1, &c->set,
                              NULL) == SQLITE_OK &&
           sqlite3_prepare_v2(c->db, "BEGIN IMMEDIATE", -1, &c->begin, NULL)
               == SQLITE_OK &&
           sqlite3_prepare_v2(c->db, "COMMIT", -1, &c->commit, NULL)
               == SQLITE_OK;
}

static struct connection *here(struct store *s)
{
    struct connection *c = pthread_getspecific(s->key);

    if (c)
        return c;
    c = calloc(1, sizeof *c);
    if (!c)
        return NULL;
    if (sqlite3_open_v2(s->path, &c->db, SQLITE_OPEN_READWRITE |
                        SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL)
            != SQLITE_OK || !prepare(c, s->always)) {
        disconnect(c);
        return NULL;
    }
    lock_check(pthread_setspecific(s->key, c), "pthread_setspecific");
    return c;
}

int store_open(struct store **out, const char *dir,
               const struct store_options *options)
{
    struct store *s = calloc(1, sizeof *s);

    if (!s)
        return -ENOMEM;
    snprintf(s->path, sizeof s->path, "%s/data.sqlite", dir);
    s->always = options && options->durability == STORE_ALWAYS;
    lock_check(pthread_key_create(&s->key, disconnect), "pthread_key_create");
    *out = s;
    return here(s) ? 0 : -EIO;
}

int store_close(struct store *store)
{
    if (!store)
        return 0;
    struct connection *c = pthread_getspecific(store->key);
    if (c)
        disconnect(c);
    pthread_key_delete(store->key);
    free(store);
    return 0;
}

static int step(sqlite3_stmt *statement)
{
    int got = sqlite3_step(statement);

    sqlite3_reset(statement);
    return got == SQLITE_DONE ? 0 : -EIO;
}

int store_get(struct store *store, struct slice key, struct buf *value)
{
    struct connection *c = here(store);
    int err = -EIO;

    if (!c)
        return err;
    sqlite3_bind_blob(c->get, 1, key.ptr, (int)key.len, SQLITE_STATIC);
    int got = sqlite3_step(c->get);
    if (got == SQLITE_ROW)
        err = buf_replace(value, slice_of(
            sqlite3_column_blob(c->get, 0),
            (size_t)sqlite3_column_bytes(c->get, 0)));
    else if (got == SQLITE_DONE)
        err = -ENOENT;
    sqlite3_reset(c->get);
    return err;
}

static int put(struct connection *c, struct slice key, struct slice value)
{
    sqlite3_bind_blob(c->set, 1, key.ptr, (int)key.len, SQLITE_STATIC);
    sqlite3_bind_blob(c->set, 2, value.ptr, (int)value.len, SQLITE_STATIC);
    return step(c->set);
}

int store_set(struct store *store, struct slice key, struct slice value)
{
    struct connection *c = here(store);

    return c ? put(c, key, value) : -EIO;
}

/* Sets only. */
int store_apply(struct store *store, struct store_op *ops, size_t n)
{
    struct connection *c = here(store);
    int err = c ? step(c->begin) : -EIO;

    for (size_t i = 0; i < n && !err; i++)
        err = ops[i].result = put(c, ops[i].key, ops[i].value);
    return err ? err : step(c->commit);
}

int store_compact(struct store *store)
{
    struct connection *c = here(store);

    return c && sqlite3_exec(c->db, "PRAGMA wal_checkpoint(TRUNCATE); VACUUM;"
                             "PRAGMA wal_checkpoint(TRUNCATE);",
                             NULL, NULL, NULL) == SQLITE_OK ? 0 : -EIO;
}

void store_stats(struct store *store, struct store_stats *stats)
{
    (void)store;
    *stats = (struct store_stats){ 0 };
}
