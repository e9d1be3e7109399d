/* store_mem.c -- another way: no table.h. A hash table of malloc'ed pairs
 * under one mutex; a value is copied out with the mutex held. */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "stage2-server/dir.h"
#include "stage2-server/store.h"

#define KEY_MOST   ((size_t)128 << 10)
#define VALUE_MOST ((size_t)16 << 20)

struct pair {
    struct pair *next;
    size_t hash, key_len, value_len;
    unsigned char bytes[];
};

struct store {
    pthread_mutex_t mutex;      /* guards all */
    struct pair **slots;
    size_t slots_n, pairs_n, bytes;
};

static size_t hash_of(struct slice key)
{
    const unsigned char *at = key.ptr;
    size_t h = 1469598103934665603u;

    for (size_t i = 0; i < key.len; i++)
        h = (h ^ at[i]) * 1099511628211u;
    return h ^ h >> 29;
}

/* Where the pointer to the pair is, or would be. */
static struct pair **seek(struct store *s, struct slice key, size_t hash)
{
    struct pair **at = &s->slots[hash % s->slots_n];

    for (; *at; at = &(*at)->next)
        if ((*at)->hash == hash && (*at)->key_len == key.len &&
            memcmp((*at)->bytes, key.ptr, key.len) == 0)
            break;
    return at;
}

static void widen(struct store *s)
{
    size_t n = 4 * s->slots_n;
    struct pair **slots = calloc(n, sizeof *slots);

    if (!slots)
        return;                 /* longer chains, then */
    for (size_t i = 0; i < s->slots_n; i++)
        for (struct pair *p = s->slots[i], *next; p; p = next) {
            next = p->next;
            p->next = slots[p->hash % n];
            slots[p->hash % n] = p;
        }
    free(s->slots);
    s->slots = slots;
    s->slots_n = n;
}

static void cut_out(struct store *s, struct pair **at)
{
    struct pair *p = *at;

    *at = p->next;
    s->pairs_n--;
    s->bytes -= sizeof *p + p->key_len + p->value_len;
    free(p);
}

int store_open(struct store **out, const char *dir,
               const struct store_options *o)
{
    char maker[DIR_ENGINE_MAX];
    int err;

    if (o && o->engine && strcmp(o->engine, "mem") != 0)
        return -ENOENT;
    if (o && (unsigned)o->durability > STORE_ALWAYS)
        return -EINVAL;
    if ((err = dir_engine(dir, maker)) != -ENOENT)
        return err ? err : -EMEDIUMTYPE;
    if (o && o->read_only)
        return -ENOENT;
    struct store *s = calloc(1, sizeof *s);
    if (s)
        s->slots = calloc(s->slots_n = 64, sizeof *s->slots);
    if (!s || !s->slots) {
        free(s);
        return -ENOMEM;
    }
    pthread_mutex_init(&s->mutex, NULL);
    *out = s;
    return 0;
}

int store_close(struct store *s)
{
    if (!s)
        return 0;
    for (size_t i = 0; i < s->slots_n; i++)
        while (s->slots[i])
            cut_out(s, &s->slots[i]);
    pthread_mutex_destroy(&s->mutex);
    free(s->slots);
    free(s);
    return 0;
}

static int bad_key(struct slice key)
{
    return key.len == 0 ? -EINVAL : key.len > KEY_MOST ? -EMSGSIZE : 0;
}

static int set_locked(struct store *s, struct slice key, struct slice value)
{
    size_t hash = hash_of(key), size = sizeof(struct pair) + key.len;
    struct pair *p = malloc(size + value.len);

    if (!p)
        return -ENOMEM;
    *p = (struct pair){ NULL, hash, key.len, value.len };
    memcpy(p->bytes, key.ptr, key.len);
    if (value.len > 0)
        memcpy(p->bytes + key.len, value.ptr, value.len);
    struct pair **at = seek(s, key, hash);
    if (*at)
        cut_out(s, at);
    p->next = *at;
    *at = p;
    s->bytes += size + value.len;
    if (++s->pairs_n > s->slots_n)
        widen(s);
    return 0;
}

static int remove_locked(struct store *s, struct slice key)
{
    struct pair **at = seek(s, key, hash_of(key));

    if (!*at)
        return -ENOENT;
    cut_out(s, at);
    return 0;
}

static int get_locked(struct store *s, struct store_op *op)
{
    struct pair *p = *seek(s, op->key, hash_of(op->key));

    if (!p)
        return -ENOENT;
    op->into_len = p->value_len;
    if (!op->into)
        return 0;
    if (op->into_max > 0 && p->value_len > op->into_max)
        return -ENOBUFS;
    op->into_at = op->into->len;
    return buf_append(op->into, p->bytes + p->key_len, p->value_len);
}

static int one_locked(struct store *s, struct store_op *op)
{
    int err = bad_key(op->key);

    op->into_at = op->into_len = 0;
    if (err)
        return err;
    if (op->kind == STORE_GET)
        return get_locked(s, op);
    if (op->kind == STORE_REMOVE)
        return remove_locked(s, op->key);
    return op->value.len > VALUE_MOST ? -EMSGSIZE
                                      : set_locked(s, op->key, op->value);
}

int store_apply(struct store *s, struct store_op *ops, size_t n)
{
    pthread_mutex_lock(&s->mutex);
    for (size_t i = 0; i < n; i++) {
        bool over = i > 0 && ops[i].group == ops[i - 1].group &&
                    (ops[i - 1].result == -ENOBUFS ||
                     ops[i - 1].result == -ECANCELED);

        ops[i].result = over ? -ECANCELED : one_locked(s, &ops[i]);
    }
    pthread_mutex_unlock(&s->mutex);
    return 0;
}

static int single(struct store *s, struct store_op op)
{
    store_apply(s, &op, 1);
    return op.result;
}

int store_get(struct store *s, struct slice key, struct buf *value)
{
    struct buf fresh = { 0 };
    int err = single(s, (struct store_op){ .kind = STORE_GET, .key = key,
                                           .into = &fresh });

    if (!err)
        err = buf_replace(value, buf_slice(&fresh));
    buf_release(&fresh);
    return err;
}

int store_set(struct store *s, struct slice key, struct slice value)
{
    return single(s, (struct store_op){ .kind = STORE_SET, .key = key,
                                        .value = value });
}

int store_remove(struct store *s, struct slice key)
{
    return single(s, (struct store_op){ .kind = STORE_REMOVE, .key = key });
}

/* A copy of everything, then the calls. */
int store_scan(struct store *s, store_scan_fn *fn, void *arg)
{
    int err = 0;

    pthread_mutex_lock(&s->mutex);
    size_t n = 0, most = s->pairs_n;
    struct pair **copies = calloc(most + 1, sizeof *copies);
    for (size_t i = 0; copies && i < s->slots_n; i++)
        for (struct pair *p = s->slots[i]; p; p = p->next, n++) {
            size_t size = sizeof *p + p->key_len + p->value_len;

            if ((copies[n] = malloc(size)))
                memcpy(copies[n], p, size);
        }
    pthread_mutex_unlock(&s->mutex);
    for (size_t i = 0; i < n; i++) {
        struct pair *p = copies[i];

        if (!p)
            err = err ? err : -ENOMEM;
        else if (!err)
            err = fn(arg, slice_of(p->bytes, p->key_len),
                     slice_of(p->bytes + p->key_len, p->value_len));
        free(p);
    }
    free(copies);
    return copies ? err : -ENOMEM;
}

int store_sync(struct store *s)
{
    return s ? 0 : -EINVAL;
}

int store_compact(struct store *s)
{
    return s ? 0 : -EINVAL;
}

void store_stats(struct store *s, struct store_stats *stats)
{
    pthread_mutex_lock(&s->mutex);
    *stats = (struct store_stats){
        .keys = s->pairs_n,
        .live_bytes = s->bytes,
        .index_bytes = s->bytes + s->slots_n * sizeof *s->slots,
    };
    pthread_mutex_unlock(&s->mutex);
}

size_t store_key_max(struct store *s)
{
    return s ? KEY_MOST : 0;
}

const char *store_engine(struct store *s)
{
    return s ? "mem" : "";
}
