/* table_lf.c -- yours: stage 5A, tasks 5.3, 5.4.
 *
 * Chains of nodes that carry their own link. A node's key and value never
 * change; its link does. All is one array of buckets; up to 16 mutexes for
 * writers, each for a part of the array. To grow, a writer takes all of them,
 * if they can be had, and copies every node to an array of twice the size;
 * readers go on in the old one, which nobody changes any more, until they leave.
 *
 * Replacing puts a new node, with the old one's link, in the old one's place.
 * A reader on a node that was taken out goes on along its link: all that was
 * behind it and still is can be reached from there, since nodes are only added
 * at the end and links of taken nodes stay.
 */
#include "stage2-server/table.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/lock.h"
#include "common/publish.h"
#include "stage2-server/slab.h"
#include "stage5-compaction/epoch.h"

#define LOCKS 16

typedef struct node {
    void *_Atomic next;
    uint32_t klen, vlen;
    unsigned char data[];
} node;

typedef struct array {
    struct table *table;
    size_t n;
    void *_Atomic head[];
} array;

struct table {
    pthread_mutex_t lock[LOCKS];
    size_t keys[LOCKS];         /* guarded by the lock of that number */
    size_t locks;
    void *_Atomic buckets;      /* array; changed with all locks held */
    struct slab *slab;
    struct epoch *epoch;
    bool fixed, bounded;
};

/* FNV-1a, stirred. The upper half chooses the bucket. */
static uint64_t hash(struct slice key)
{
    const unsigned char *p = key.ptr;
    uint64_t h = 0xcbf29ce484222325u;

    for (size_t i = 0; i < key.len; i++)
        h = (h ^ p[i]) * 0x100000001b3u;
    h ^= h >> 29;
    h *= 0xbf58476d1ce4e5b9u;
    return (h ^ h >> 32) & UINT32_MAX;
}

static void *_Atomic *bucket(array *a, uint64_t h)
{
    return &a->head[h * a->n >> 32];
}

static struct slice node_key(const node *n)
{
    return slice_of(n->data, n->klen);
}

static struct slice node_value(const node *n)
{
    return slice_of(n->data + n->klen, n->vlen);
}

static size_t size_of(size_t klen, size_t vlen)
{
    return sizeof(node) + klen + vlen;
}

static void give(void *slab, void *block)
{
    slab_free(slab, block);
}

static void retire(struct table *t, node *n)
{
    epoch_retire(t->epoch, n, size_of(n->klen, n->vlen), give, t->slab);
}

static node *make(struct table *t, struct slice key, struct slice value)
{
    node *n = slab_alloc(t->slab, size_of(key.len, value.len));
    struct epoch_stats s;

    for (int tries = 0; !n && tries < 50; tries++) {
        epoch_stats(t->epoch, &s);
        if (s.waiting == 0)
            return NULL;
        epoch_synchronize(t->epoch);
        if (tries > 2)
            sched_yield();
        n = slab_alloc(t->slab, size_of(key.len, value.len));
    }
    if (!n)
        return NULL;
    atomic_init(&n->next, NULL);
    n->klen = (uint32_t)key.len;
    n->vlen = (uint32_t)value.len;
    memcpy(n->data, key.ptr, key.len);
    if (value.len)
        memcpy(n->data + key.len, value.ptr, value.len);
    return n;
}

static array *array_make(struct table *t, size_t n)
{
    array *a = calloc(1, sizeof *a + n * sizeof a->head[0]);

    if (a) {
        a->table = t;
        a->n = n;
    }
    return a;
}

/* With all nodes that are still in it. */
static void array_drop(void *slab, void *what)
{
    array *a = what;

    for (size_t i = 0; i < a->n; i++)
        for (node *n = acquire(&a->head[i]), *next; n; n = next) {
            next = acquire(&n->next);
            slab_free(slab, n);
        }
    free(a);
}

int table_create(struct table **out, const struct table_options *options)
{
    struct table_options o = { 0 };

    if (options)
        o = *options;
    if (o.fixed && o.buckets == 0)
        return -EINVAL;
    if (!o.fixed)
        o.buckets = (o.buckets + 4 * LOCKS - 1) / LOCKS * LOCKS;
    struct table *t = calloc(1, sizeof *t);
    if (!t)
        return -ENOMEM;
    t->fixed = o.fixed;
    t->bounded = o.budget != 0;
    struct slab_options so = { o.budget ? o.budget : 256 << 10, !o.budget };
    int err = slab_create(&t->slab, &so);
    if (!err)
        err = epoch_create(&t->epoch);
    array *a = err ? NULL : array_make(t, o.buckets);
    if (!err && !a)
        err = -ENOMEM;
    if (err) {
        epoch_destroy(t->epoch);
        slab_destroy(t->slab);
        free(t);
        return err;
    }
    atomic_init(&t->buckets, a);
    for (t->locks = LOCKS; o.buckets % t->locks != 0;)
        t->locks /= 2;
    for (size_t i = 0; i < t->locks; i++)
        mutex_init(&t->lock[i]);
    *out = t;
    return 0;
}

void table_destroy(struct table *t)
{
    if (!t)
        return;
    epoch_destroy(t->epoch);
    free(acquire(&t->buckets));
    slab_destroy(t->slab);
    for (size_t i = 0; i < t->locks; i++)
        mutex_release(&t->lock[i]);
    free(t);
}

/* ---- Growing ---- */

static bool copy_all(array *from, array *to)
{
    for (size_t i = 0; i < from->n; i++)
        for (node *n = acquire(&from->head[i]); n; n = acquire(&n->next)) {
            node *copy = slab_alloc(from->table->slab,
                                    size_of(n->klen, n->vlen));

            if (!copy)
                return false;
            void *_Atomic *head = bucket(to, hash(node_key(n)));
            copy->klen = n->klen;
            copy->vlen = n->vlen;
            memcpy(copy->data, n->data, n->klen + n->vlen);
            atomic_init(&copy->next, acquire(head));
            publish(head, copy);
        }
    return true;
}

static bool crowded(struct table *t, size_t part)
{
    array *a = acquire(&t->buckets);

    return !t->fixed && t->keys[part] > 2 * a->n / t->locks;
}

/* Who holds a lock may hold it for long, inside of an update's function: so
 * nobody waits for one with others in his hand. The next insert tries again. */
static bool take_all(struct table *t)
{
    for (size_t i = 0; i < t->locks; i++)
        if (pthread_mutex_trylock(&t->lock[i]) != 0) {
            while (i-- > 0)
                mutex_unlock(&t->lock[i]);
            return false;
        }
    return true;
}

static void grow(struct table *t, size_t part)
{
    if (!take_all(t))
        return;
    array *from = acquire(&t->buckets), *to = NULL;
    if (crowded(t, part))
        to = array_make(t, 2 * from->n);
    if (to && copy_all(from, to)) {
        publish(&t->buckets, to);
    } else if (to) {
        array_drop(t->slab, to);
        to = NULL;
    }
    for (size_t i = t->locks; i-- > 0;)
        mutex_unlock(&t->lock[i]);
    if (to)
        epoch_retire(t->epoch, from, from->n * 64, array_drop, t->slab);
}

/* ---- One key ---- */

/* The link that leads to the key's node, or the one at the chain's end. */
static void *_Atomic *link_to(array *a, struct slice key, uint64_t h)
{
    void *_Atomic *at = bucket(a, h);

    for (node *n; (n = acquire(at)) != NULL; at = &n->next)
        if (slice_equal(node_key(n), key))
            break;
    return at;
}

static int set(struct table *t, void *_Atomic *at, node **old,
               struct slice key, struct slice value)
{
    if (value.len > UINT32_MAX)
        return -EMSGSIZE;
    node *n = make(t, key, value), *was = acquire(at);
    if (!n)
        return t->bounded ? -EAGAIN : -ENOMEM;
    if (was)
        atomic_init(&n->next, acquire(&was->next));
    publish(at, n);
    *old = was;
    return 0;
}

static int cut(void *_Atomic *at, node **old)
{
    node *was = acquire(at);

    if (!was)
        return -ENOENT;
    publish(at, acquire(&was->next));
    *old = was;
    return 0;
}

static enum table_decision always(void *arg, const struct slice *present,
                                  struct slice *value)
{
    const struct slice *wanted = arg;

    (void)present;
    if (!wanted)
        return TABLE_DELETE;
    *value = *wanted;
    return TABLE_REPLACE;
}

int table_update(struct table *t, struct slice key, table_update_fn *fn,
                 void *arg)
{
    if (key.len == 0 || key.len > UINT32_MAX)
        return key.len ? -EMSGSIZE : -EINVAL;
    uint64_t h = hash(key);
    size_t part = h * t->locks >> 32;
    struct slice seen, value = { 0 };
    node *old = NULL;
    int err = 0;

    mutex_lock(&t->lock[part]);
    void *_Atomic *at = link_to(acquire(&t->buckets), key, h);
    node *now = acquire(at);
    if (now)
        seen = node_value(now);
    enum table_decision d = fn(arg, now ? &seen : NULL, &value);
    if (d == TABLE_REPLACE) {
        err = set(t, at, &old, key, value);
        t->keys[part] += !err && !old;
    } else if (d == TABLE_DELETE) {
        err = cut(at, &old);
        t->keys[part] -= !err;
    }
    bool grows = d == TABLE_REPLACE && crowded(t, part);
    mutex_unlock(&t->lock[part]);
    if (old)
        retire(t, old);
    if (grows)
        grow(t, part);
    return err;
}

int table_insert(struct table *t, struct slice key, struct slice value)
{
    return table_update(t, key, always, &value);
}

int table_delete(struct table *t, struct slice key)
{
    return table_update(t, key, always, NULL);
}

ssize_t table_lookup(struct table *t, struct slice key, void *to, size_t room)
{
    if (key.len == 0 || key.len > UINT32_MAX)
        return key.len ? -EMSGSIZE : -EINVAL;
    struct epoch_reader *me = epoch_here(t->epoch);
    if (!me)
        return -ENOMEM;
    epoch_enter(me);
    node *n = acquire(link_to(acquire(&t->buckets), key, hash(key)));
    ssize_t len = -ENOENT;
    /* What the link leads to may have changed since. */
    while (n && !slice_equal(node_key(n), key))
        n = acquire(&n->next);
    if (n) {
        len = n->vlen;
        if (n->vlen && n->vlen <= room)
            memcpy(to, n->data + n->klen, n->vlen);
    }
    epoch_leave(me);
    return len;
}

void table_lookup_many(struct table *t, struct table_lookup *l, size_t n)
{
    for (; n > 0; n--, l++)
        l->len = table_lookup(t, l->key, l->to, l->room);
}

/* ---- All ---- */

/* A bucket's pairs, copied one behind the other: lengths, key, value. */
static int copy_bucket(struct table *t, uint64_t *position, struct buf *to)
{
    size_t part = *position * t->locks >> 32;
    int err = 0;

    mutex_lock(&t->lock[part]);
    array *a = acquire(&t->buckets);
    size_t i = *position * a->n >> 32;
    for (node *n = acquire(&a->head[i]); n && !err; n = acquire(&n->next)) {
        uint32_t lens[2] = { n->klen, n->vlen };

        err = buf_append(to, lens, sizeof lens);
        if (!err)
            err = buf_append(to, n->data, n->klen + n->vlen);
    }
    *position = (((uint64_t)(i + 1) << 32) + a->n - 1) / a->n;
    mutex_unlock(&t->lock[part]);
    return err;
}

int table_each(struct table *t, table_each_fn *fn, void *arg)
{
    struct buf b = { 0 };
    int err = 0;

    for (uint64_t position = 0; !err && position >> 32 == 0;) {
        buf_clear(&b);
        err = copy_bucket(t, &position, &b);
        for (size_t at = 0; !err && at < b.len;) {
            uint32_t lens[2];

            memcpy(lens, b.ptr + at, sizeof lens);
            at += sizeof lens;
            err = fn(arg, slice_of(b.ptr + at, lens[0]),
                     slice_of(b.ptr + at + lens[0], lens[1]));
            at += lens[0] + lens[1];
        }
    }
    buf_release(&b);
    return err;
}

size_t table_count(struct table *t)
{
    size_t sum = 0;

    for (size_t i = 0; i < t->locks; i++) {
        mutex_lock(&t->lock[i]);
        sum += t->keys[i];
        mutex_unlock(&t->lock[i]);
    }
    return sum;
}

void table_stats(struct table *t, struct table_stats *stats)
{
    struct slab_stats s;

    slab_stats(t->slab, &s);
    mutex_lock(&t->lock[0]);
    size_t n = ((array *)acquire(&t->buckets))->n;
    mutex_unlock(&t->lock[0]);
    *stats = (struct table_stats){ table_count(t),
        s.chunk_bytes + sizeof *t + n * sizeof(void *), n };
}
