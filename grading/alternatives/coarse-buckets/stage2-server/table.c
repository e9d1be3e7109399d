/* table.c -- yours: stage 2A, tasks 2.2, 2.3. */
/* Approach: buckets of singly linked entries, a few stripes for all of them.
 * Bucket b belongs to stripe b % STRIPES; whoever holds the stripe's lock may
 * read and change its buckets. A table that grows has a power of two of
 * buckets, at least STRIPES, so a key's stripe never changes.
 *
 * Growing takes the locks of all stripes, in their order, and makes one array
 * of twice the size. So the array may be read under the lock of any stripe.
 *
 * No lock is held while a function of table_update runs: else whoever grows
 * would wait for it with the other locks in its hands. Instead the key is
 * held: a note of it hangs in its stripe meanwhile, and whoever wants to
 * change the same key waits until the note is gone. Lookups do not wait: they
 * come before the update.
 *
 * STRIPES is not larger because growing holds them all, and ThreadSanitizer
 * follows 64 locks of a thread at most.
 */
#include "stage2-server/table.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/counter.h"
#include "common/lock.h"
#include "stage2-server/slab.h"

enum {
    STRIPES = 32,
    LOAD = 1,               /* keys a bucket, before it grows */
    SLAB_FIRST = 64 * 1024
};

static const size_t LENGTH_MAX = UINT32_MAX;

struct entry {
    struct entry *next;
    uint32_t key_len, value_len;
    unsigned char bytes[];  /* key, value */
};

/* A key inside somebody's table_update; lives on that thread's stack. */
struct hold {
    struct hold *next;
    struct slice key;
};

struct stripe {
    pthread_mutex_t lock;   /* guards its buckets' chains and `holds` */
    pthread_cond_t let_go;  /* some hold is gone */
    struct hold *holds;
};

struct table {
    struct stripe stripes[STRIPES];
    struct entry **buckets; /* read under any stripe's lock, changed under */
    size_t n;               /* all; the same goes for their number */
    bool fixed;             /* set once */
    bool bounded;           /* set once: has a budget */
    size_t fixed_n;         /* set once: n, if fixed */
    struct slab *slab;      /* set once */
    struct counter keys;
};

/* ---- where a key is ----------------------------------------------------- */

/* FNV-1a, then mixed, because its low bits alone are weak. */
static uint64_t hash_of(struct slice key)
{
    const unsigned char *p = key.ptr;
    uint64_t h = UINT64_C(0xcbf29ce484222325);

    for (size_t i = 0; i < key.len; i++)
        h = (h ^ p[i]) * UINT64_C(0x100000001b3);
    h ^= h >> 32;
    h *= UINT64_C(0xd6e8feb86659fd93);
    return h ^ h >> 32;
}

static struct stripe *stripe_of(struct table *t, uint64_t hash)
{
    size_t bucket = t->fixed ? hash % t->fixed_n : hash;

    return &t->stripes[bucket % STRIPES];
}

static struct slice key_of(const struct entry *e)
{
    return slice_of(e->bytes, e->key_len);
}

static struct slice value_of(const struct entry *e)
{
    return slice_of(e->bytes + e->key_len, e->value_len);
}

/* The link that leads to the key's entry, or else the chain's last. */
static struct entry **find_locked(struct table *t, uint64_t hash,
                                  struct slice key)
{
    struct entry **link = &t->buckets[hash % t->n];

    while (*link && !slice_equal(key_of(*link), key))
        link = &(*link)->next;
    return link;
}

static bool is_held(const struct stripe *s, struct slice key)
{
    for (const struct hold *h = s->holds; h; h = h->next)
        if (slice_equal(h->key, key))
            return true;
    return false;
}

/* Takes the lock, with nobody inside an update of this key. */
static void lock_for_change(struct stripe *s, struct slice key)
{
    mutex_lock(&s->lock);
    while (is_held(s, key))
        cond_wait(&s->let_go, &s->lock);
}

/* ---- making and ending --------------------------------------------------- */

static size_t buckets_to_begin(const struct table_options *options)
{
    size_t n = STRIPES;

    if (options->fixed)
        return options->buckets;
    while (n < options->buckets && n <= SIZE_MAX / 4 / sizeof(struct entry *))
        n *= 2;
    return n;
}

int table_create(struct table **out, const struct table_options *options)
{
    static const struct table_options plain = { 0 };
    const struct table_options *o = options ? options : &plain;
    const struct slab_options slab = {
        .budget = o->budget ? o->budget : SLAB_FIRST,
        .grows = o->budget == 0,
    };
    int err = -ENOMEM;

    if (o->fixed && o->buckets == 0)
        return -EINVAL;
    struct table *t = calloc(1, sizeof *t);
    if (!t)
        return -ENOMEM;
    t->n = t->fixed_n = buckets_to_begin(o);
    t->fixed = o->fixed;
    t->bounded = o->budget != 0;
    t->buckets = calloc(t->n, sizeof *t->buckets);
    if (t->buckets)
        err = slab_create(&t->slab, &slab);
    if (err) {
        free(t->buckets);
        free(t);
        return err;
    }
    for (int i = 0; i < STRIPES; i++) {
        mutex_init(&t->stripes[i].lock);
        cond_init(&t->stripes[i].let_go);
    }
    *out = t;
    return 0;
}

void table_destroy(struct table *t)
{
    if (!t)
        return;
    for (int i = 0; i < STRIPES; i++) {
        cond_release(&t->stripes[i].let_go);
        mutex_release(&t->stripes[i].lock);
    }
    slab_destroy(t->slab);      /* and the entries with it */
    free(t->buckets);
    free(t);
}

/* ---- growing ------------------------------------------------------------- */

static void lock_all(struct table *t)
{
    for (int i = 0; i < STRIPES; i++)
        mutex_lock(&t->stripes[i].lock);
}

static void unlock_all(struct table *t)
{
    for (int i = STRIPES - 1; i >= 0; i--)
        mutex_unlock(&t->stripes[i].lock);
}

/* Splits each chain in two: what was in b goes to b or b + n. Walking a chain
 * from its start and adding at the ends keeps the order. */
static void split_all(struct table *t, struct entry **wide)
{
    for (size_t b = 0; b < t->n; b++) {
        struct entry **low = &wide[b], **high = &wide[b + t->n];

        for (struct entry *e = t->buckets[b]; e; e = e->next) {
            struct entry ***end = hash_of(key_of(e)) & t->n ? &high : &low;

            **end = e;
            *end = &e->next;
        }
        *low = *high = NULL;
    }
}

static size_t buckets_now(struct table *t)
{
    mutex_lock(&t->stripes[0].lock);
    size_t n = t->n;
    mutex_unlock(&t->stripes[0].lock);
    return n;
}

/* After a key has come. Without memory the table just stays as it is. */
static void grow_if_due(struct table *t, size_t n)
{
    if (t->fixed || counter_get(&t->keys) <= n * LOAD)
        return;
    struct entry **wide = calloc(2 * n, sizeof *wide);
    if (!wide)
        return;
    struct entry **unused = wide;

    lock_all(t);
    if (t->n == n) {            /* else somebody else was faster */
        split_all(t, wide);
        unused = t->buckets;
        t->buckets = wide;
        t->n = 2 * n;
    }
    unlock_all(t);
    free(unused);
}

/* ---- changing ------------------------------------------------------------ */

static int check(struct slice key, struct slice value)
{
    if (key.len == 0)
        return -EINVAL;
    return key.len > LENGTH_MAX || value.len > LENGTH_MAX ? -EMSGSIZE : 0;
}

/* A new entry, in no chain; NULL: no room. */
static struct entry *entry_new(struct table *t, struct slice key,
                               struct slice value)
{
    struct entry *e = slab_alloc(t->slab, sizeof *e + key.len + value.len);

    if (!e)
        return NULL;
    e->next = NULL;
    e->key_len = (uint32_t)key.len;
    e->value_len = (uint32_t)value.len;
    memcpy(e->bytes, key.ptr, key.len);
    if (value.len > 0)
        memcpy(e->bytes + key.len, value.ptr, value.len);
    return e;
}

/* Puts the fresh entry into its place, or, if there was no room for one, the
 * value into the old entry if it fits. *unused is what has to be freed. */
static int put_locked(struct table *t, struct entry **link,
                      struct entry *fresh, struct slice value,
                      struct entry **unused)
{
    struct entry *old = *link;

    *unused = NULL;
    if (fresh) {
        fresh->next = old ? old->next : NULL;
        *link = fresh;
        *unused = old;
        if (!old)
            counter_add(&t->keys, 1);
        return 0;
    }
    if (!old || value.len > old->value_len)
        return t->bounded ? -EAGAIN : -ENOMEM;
    if (value.len > 0)
        memmove(old->bytes + old->key_len, value.ptr, value.len);
    old->value_len = (uint32_t)value.len;
    return 0;
}

static void take_out_locked(struct table *t, struct entry **link)
{
    *link = (*link)->next;
    counter_sub(&t->keys, 1);
}

int table_insert(struct table *t, struct slice key, struct slice value)
{
    int err = check(key, value);

    if (err)
        return err;
    uint64_t hash = hash_of(key);
    struct stripe *s = stripe_of(t, hash);
    struct entry *fresh = entry_new(t, key, value), *unused;

    lock_for_change(s, key);
    err = put_locked(t, find_locked(t, hash, key), fresh, value, &unused);
    size_t n = t->n;
    mutex_unlock(&s->lock);
    slab_free(t->slab, unused);
    grow_if_due(t, n);
    return err;
}

int table_delete(struct table *t, struct slice key)
{
    int err = check(key, slice_of(NULL, 0));

    if (err)
        return err;
    uint64_t hash = hash_of(key);
    struct stripe *s = stripe_of(t, hash);

    lock_for_change(s, key);
    struct entry **link = find_locked(t, hash, key), *old = *link;
    if (old)
        take_out_locked(t, link);
    mutex_unlock(&s->lock);
    slab_free(t->slab, old);
    return old ? 0 : -ENOENT;
}

static void let_go_locked(struct stripe *s, const struct hold *hold)
{
    struct hold **link = &s->holds;

    while (*link != hold)
        link = &(*link)->next;
    *link = hold->next;
    cond_broadcast(&s->let_go);
}

/* Does what the function of an update has said. */
static int decide_locked(struct table *t, struct entry **link,
                         enum table_decision decision, struct entry *fresh,
                         struct slice value, struct entry **unused)
{
    *unused = NULL;
    if (decision == TABLE_REPLACE)
        return put_locked(t, link, fresh, value, unused);
    if (decision == TABLE_KEEP)
        return 0;
    if (!*link)
        return -ENOENT;
    *unused = *link;
    take_out_locked(t, link);
    return 0;
}

int table_update(struct table *t, struct slice key, table_update_fn *fn,
                 void *arg)
{
    int err = check(key, slice_of(NULL, 0));

    if (err)
        return err;
    uint64_t hash = hash_of(key);
    struct stripe *s = stripe_of(t, hash);
    struct hold hold = { .key = key };
    struct entry *fresh = NULL, *unused;
    struct slice value = { NULL, 0 };

    lock_for_change(s, key);
    struct entry *old = *find_locked(t, hash, key);
    struct slice present = old ? value_of(old) : value;
    hold.next = s->holds;
    s->holds = &hold;
    mutex_unlock(&s->lock);

    /* Nobody changes or frees `old` while the key is held. */
    enum table_decision decision = fn(arg, old ? &present : NULL, &value);
    if (decision == TABLE_REPLACE) {
        err = check(key, value);
        fresh = err ? NULL : entry_new(t, key, value);
        decision = err ? TABLE_KEEP : TABLE_REPLACE;
    }

    mutex_lock(&s->lock);
    int done = decide_locked(t, find_locked(t, hash, key), decision, fresh,
                             value, &unused);
    let_go_locked(s, &hold);
    size_t n = t->n;
    mutex_unlock(&s->lock);
    slab_free(t->slab, unused);
    grow_if_due(t, n);
    return err ? err : done;
}

/* ---- looking ------------------------------------------------------------- */

ssize_t table_lookup(struct table *t, struct slice key, void *to, size_t room)
{
    int err = check(key, slice_of(NULL, 0));

    if (err)
        return err;
    uint64_t hash = hash_of(key);
    struct stripe *s = stripe_of(t, hash);
    ssize_t len = -ENOENT;

    mutex_lock(&s->lock);
    const struct entry *e = *find_locked(t, hash, key);
    if (e) {
        len = e->value_len;
        if (e->value_len > 0 && e->value_len <= room)
            memcpy(to, value_of(e).ptr, e->value_len);
    }
    mutex_unlock(&s->lock);
    return len;
}

void table_lookup_many(struct table *t, struct table_lookup *l, size_t n)
{
    for (; n > 0; n--, l++)
        l->len = table_lookup(t, l->key, l->to, l->room);
}

/* Appends the keys of one stripe, each behind its length. */
static int collect(struct table *t, size_t stripe, struct buf *keys)
{
    int err = 0;

    mutex_lock(&t->stripes[stripe].lock);
    for (size_t b = stripe; b < t->n && !err; b += STRIPES)
        for (const struct entry *e = t->buckets[b]; e && !err; e = e->next) {
            err = buf_append(keys, &e->key_len, sizeof e->key_len);
            if (!err)
                err = buf_append_slice(keys, key_of(e));
        }
    mutex_unlock(&t->stripes[stripe].lock);
    return err;
}

/* The key's value into *value; -ENOENT if it has gone. */
static int fetch(struct table *t, struct slice key, struct buf *value)
{
    for (;;) {
        ssize_t len = table_lookup(t, key, value->ptr, value->cap);

        if (len < 0)
            return (int)len;
        if ((size_t)len <= value->cap) {
            value->len = (size_t)len;
            return 0;
        }
        buf_clear(value);
        int err = buf_reserve(value, (size_t)len);
        if (err)
            return err;
    }
}

static int each_of(struct table *t, const struct buf *keys, struct buf *value,
                   table_each_fn *fn, void *arg)
{
    uint32_t len;

    for (size_t at = 0; at < keys->len; at += len) {
        memcpy(&len, keys->ptr + at, sizeof len);
        at += sizeof len;
        struct slice key = slice_of(keys->ptr + at, len);
        int err = fetch(t, key, value);

        if (err == 0)
            err = fn(arg, key, buf_slice(value));
        else if (err == -ENOENT)
            err = 0;            /* it went in the meantime */
        if (err)
            return err;
    }
    return 0;
}

/* A key is in one stripe for life, so it is collected once. */
int table_each(struct table *t, table_each_fn *fn, void *arg)
{
    struct buf keys = { 0 }, value = { 0 };
    int err = 0;

    for (size_t i = 0; i < STRIPES && !err; i++) {
        buf_clear(&keys);
        err = collect(t, i, &keys);
        if (!err)
            err = each_of(t, &keys, &value, fn, arg);
    }
    buf_release(&keys);
    buf_release(&value);
    return err;
}

size_t table_count(struct table *t)
{
    return counter_get(&t->keys);
}

void table_stats(struct table *t, struct table_stats *stats)
{
    struct slab_stats slab;

    slab_stats(t->slab, &slab);
    stats->keys = table_count(t);
    stats->buckets = buckets_now(t);
    stats->bytes = sizeof *t + stats->buckets * sizeof *t->buckets
                   + slab.chunk_bytes;
}
