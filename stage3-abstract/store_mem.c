/* store_mem.c -- yours: stage 3, task 3.4.
 *
 * The table of stage 2 has locks of its own and copies what goes in and out,
 * so this only translates: no lock is needed here. Nothing is on the disk,
 * not even the directory. Only whose directory it is, is asked: who serves a
 * directory that another store has made, out of an empty memory, is wrong.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "stage2-server/dir.h"
#include "stage2-server/record.h"
#include "stage2-server/store.h"
#include "stage2-server/table.h"

static const char engine_name[] = "mem";

struct store {
    struct table *table;        /* has its own locks */
};

static int check_options(const struct store_options *o, const char *dir)
{
    char maker[DIR_ENGINE_MAX];

    if (o->engine && strcmp(o->engine, engine_name) != 0)
        return -ENOENT;
    if (o->durability < STORE_NONE || o->durability > STORE_ALWAYS)
        return -EINVAL;
    int err = dir_engine(dir, maker);
    if (err == 0)
        return -EMEDIUMTYPE;
    if (err != -ENOENT)
        return err;
    return o->read_only ? -ENOENT : 0;  /* nothing was ever kept */
}

int store_open(struct store **out, const char *dir,
               const struct store_options *options)
{
    static const struct store_options plain;
    int err = check_options(options ? options : &plain, dir);
    struct store *s = err ? NULL : calloc(1, sizeof *s);

    if (!s)
        return err ? err : -ENOMEM;
    err = table_create(&s->table, NULL);
    if (err) {
        free(s);
        return err;
    }
    *out = s;
    return 0;
}

int store_close(struct store *store)
{
    if (!store)
        return 0;
    table_destroy(store->table);
    free(store);
    return 0;
}

/* ---- one key ------------------------------------------------------------- */

static int check_key(struct slice key)
{
    if (key.len == 0)
        return -EINVAL;
    return key.len > RECORD_KEY_MAX ? -EMSGSIZE : 0;
}

/* Appends the value, if it is not longer than max. Its length may change from
 * one look to the next: so it is looked at until it fits. */
static int append_value(struct store *s, struct slice key, struct buf *to,
                        size_t max, size_t *len)
{
    size_t room = to->cap - to->len;
    ssize_t n = table_lookup(s->table, key, to->ptr ? to->ptr + to->len : NULL,
                             room);

    while (n >= 0 && (size_t)n > room && (size_t)n <= max) {
        int err = buf_reserve(to, (size_t)n);

        if (err)
            return err;
        room = to->cap - to->len;
        n = table_lookup(s->table, key, to->ptr + to->len, room);
    }
    if (n < 0)
        return (int)n;
    *len = (size_t)n;
    if (*len > max)
        return -ENOBUFS;
    to->len += *len;
    return 0;
}

int store_get(struct store *store, struct slice key, struct buf *value)
{
    struct buf fresh = { 0 };
    size_t len;
    int err = check_key(key);

    if (!err)
        err = append_value(store, key, &fresh, SIZE_MAX, &len);
    if (!err)
        err = buf_replace(value, buf_slice(&fresh));
    buf_release(&fresh);
    return err;
}

int store_set(struct store *store, struct slice key, struct slice value)
{
    int err = check_key(key);

    if (!err && value.len > RECORD_VALUE_MAX)
        err = -EMSGSIZE;
    return err ? err : table_insert(store->table, key, value);
}

int store_remove(struct store *store, struct slice key)
{
    int err = check_key(key);

    return err ? err : table_delete(store->table, key);
}

/* ---- batches ------------------------------------------------------------- */

static int get_op(struct store *s, struct store_op *op)
{
    size_t max = op->into_max ? op->into_max : SIZE_MAX;
    int err = check_key(op->key);

    op->into_at = op->into_len = 0;
    if (!err && !op->into) {
        ssize_t n = table_lookup(s->table, op->key, NULL, 0);

        op->into_len = n < 0 ? 0 : (size_t)n;
        return n < 0 ? (int)n : 0;
    }
    if (!err) {
        size_t at = op->into->len;

        err = append_value(s, op->key, op->into, max, &op->into_len);
        op->into_at = err ? 0 : at;
    }
    return err;
}

static int do_op(struct store *s, struct store_op *op)
{
    switch (op->kind) {
    case STORE_GET:
        return get_op(s, op);
    case STORE_SET:
        return store_set(s, op->key, op->value);
    case STORE_REMOVE:
        return store_remove(s, op->key);
    default:
        return -EINVAL;
    }
}

int store_apply(struct store *store, struct store_op *ops, size_t n)
{
    bool stopped = false;

    for (size_t i = 0; i < n; i++) {
        if (i > 0 && ops[i].group != ops[i - 1].group)
            stopped = false;
        ops[i].result = stopped ? -ECANCELED : do_op(store, &ops[i]);
        stopped = stopped || ops[i].result == -ENOBUFS;
    }
    return 0;
}

/* ---- all of it ----------------------------------------------------------- */

int store_scan(struct store *store, store_scan_fn *fn, void *arg)
{
    return table_each(store->table, fn, arg);
}

int store_sync(struct store *store)
{
    (void)store;
    return 0;
}

/* There is no garbage: the slab has given what was removed to others. */
int store_compact(struct store *store)
{
    (void)store;
    return 0;
}

void store_stats(struct store *store, struct store_stats *stats)
{
    struct table_stats table;

    table_stats(store->table, &table);
    *stats = (struct store_stats){
        .keys = table.keys,
        .index_bytes = table.bytes,
    };
}

size_t store_key_max(struct store *store)
{
    (void)store;
    return RECORD_KEY_MAX;
}

const char *store_engine(struct store *store)
{
    (void)store;
    return engine_name;
}
