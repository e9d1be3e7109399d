/* table.c -- yours: stage 2A, tasks 2.2, 2.3.
 *
 * Stripes. A key's hash chooses one of 64 stripes; each is a hash table of
 * its own, with its own mutex and its own buckets. Keys of different stripes
 * never meet, and a stripe that grows stops nobody but its own keys.
 *
 * Buckets. A bucket is one cache line: seven slots and a link to a further
 * line for what does not fit. A slot is one word, the address of a pair with
 * 16 bits of the key's hash where an address has none (its upper 16 bits), so
 * a lookup touches the bucket's line and the pair, and seldom another pair.
 * The slots of a chain are filled from the front without gaps: a new pair
 * goes to the end, and when a pair goes, the last takes its place.
 *
 * Order. A bucket's number is the hash's position in [0, 2^32) times the
 * number of buckets. So buckets are in the order of the hashes, and when the
 * number doubles, bucket b becomes 2b and 2b + 1, its neighbours stay its
 * neighbours. That is why table_each needs only to remember a position: what
 * lies before it has been seen, however often the stripe has grown since.
 *
 * Many lookups. A lookup waits for memory twice, for the bucket's line and for
 * the pair. table_lookup_many does some together: the lines of all are asked
 * for, then the pairs of all, and when the first is looked at it has come.
 * What was seen under a lock that has been left since is only used to know
 * what to ask for.
 *
 * Locks: a stripe's, and inside of it the slab's own. Nobody holds two
 * stripes.
 */
#include "stage2-server/table.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "common/buf.h"
#include "common/lock.h"
#include "stage2-server/slab.h"

enum {
    STRIPES = 64,
    SLOTS = 7,
    LINE = 64,
    FILL = 11,              /* grows at FILL / 2 keys a bucket */
    AHEAD = 8,              /* buckets to prefetch while growing */
    TOGETHER = 8,           /* lookups that wait for memory at once */
    PIECE = 4096,           /* table_each copies about so much at a time */
    FIRST_CHUNK = 1 << 20,
    TAG_SHIFT = 48
};

/* A pair, as it lies in the slab. */
struct pair {
    uint32_t key_len, value_len;
    unsigned char bytes[];  /* key, value */
};

/* A line of slots: a bucket, or a further line of its chain. */
struct line {
    uint64_t slot[SLOTS];   /* tag and address; 0: this and the rest is free */
    struct line *next;
};

struct stripe {
    pthread_mutex_t lock;   /* guards the rest */
    size_t count;           /* of buckets */
    struct line *buckets;
    void *memory;           /* what to free: buckets, before alignment */
    size_t keys;
} __attribute__((aligned(2 * LINE)));

struct table {              /* all set once */
    struct slab *slab;
    uint64_t seed;
    size_t stripes;
    bool fixed, bounded;
    struct stripe stripe[];
};

/* Where a key belongs, and where in the chain it was found. */
struct place {
    struct stripe *stripe;
    struct slice key;
    uint64_t hash;
    struct line *line;      /* where it is; NULL: it is not there */
    unsigned slot;
};

/* ---- Slots, pairs, hashes ------------------------------------------------ */

/* Never 0, so that no free slot looks like a match. */
static uint64_t tag_of(uint64_t hash)
{
    return (hash >> 32 | 1) << TAG_SHIFT;
}

static struct pair *pair_of(uint64_t slot)
{
    return (struct pair *)(uintptr_t)(slot & (((uint64_t)1 << TAG_SHIFT) - 1));
}

static uint64_t slot_of(const struct pair *pair, uint64_t tag)
{
    assert((uint64_t)(uintptr_t)pair >> TAG_SHIFT == 0);
    return (uint64_t)(uintptr_t)pair | tag;
}

static struct slice key_of(const struct pair *pair)
{
    return slice_of(pair->bytes, pair->key_len);
}

static struct slice value_of(const struct pair *pair)
{
    return slice_of(pair->bytes + pair->key_len, pair->value_len);
}

static size_t pair_size(size_t key_len, size_t value_len)
{
    return sizeof(struct pair) + key_len + value_len;
}

static uint64_t hash_of(const struct table *table, struct slice key)
{
    return XXH3_64bits_withSeed(key.ptr, key.len, table->seed);
}

static size_t bucket_of(uint64_t hash, size_t count)
{
    return (size_t)(((hash & UINT32_MAX) * count) >> 32);
}

static struct place place_of(struct table *table, struct slice key)
{
    struct place at = { .key = key, .hash = hash_of(table, key) };

    at.stripe = &table->stripe[((at.hash >> 32) * table->stripes) >> 32];
    return at;
}

/* Takes the stripe's lock. */
static struct place enter(struct table *table, struct slice key)
{
    struct place at = place_of(table, key);

    mutex_lock(&at.stripe->lock);
    return at;
}

static int leave(struct place *at, int err)
{
    mutex_unlock(&at->stripe->lock);
    return err;
}

static int check_key(struct slice key)
{
    return key.len == 0 ? -EINVAL : key.len > UINT32_MAX ? -EMSGSIZE : 0;
}

/* ---- Chains -------------------------------------------------------------- */

static struct line *chain_locked(const struct place *at)
{
    return &at->stripe->buckets[bucket_of(at->hash, at->stripe->count)];
}

/* Which slots have the tag: bit i for slot i. Without branches, as no
 * processor could foretell them. */
static unsigned matches(const struct line *line, uint64_t tag)
{
    unsigned found = 0;

    for (unsigned i = 0; i < SLOTS; i++)
        found |= (unsigned)((line->slot[i] ^ tag) >> TAG_SHIFT == 0) << i;
    return found;
}

/* Finds the key: the pair, and at->line and at->slot; or NULL. */
static struct pair *find_locked(struct place *at)
{
    uint64_t tag = tag_of(at->hash);

    for (struct line *line = chain_locked(at); line; line = line->next)
        for (unsigned m = matches(line, tag); m; m &= m - 1) {
            at->slot = (unsigned)__builtin_ctz(m);
            at->line = line;
            struct pair *pair = pair_of(line->slot[at->slot]);
            __builtin_prefetch((char *)pair + LINE);
            if (slice_equal(key_of(pair), at->key))
                return pair;
        }
    return NULL;
}

/* The first free slot of a chain: where it is, or NULL and the last line. */
static uint64_t *chain_end(struct line *line, struct line **last)
{
    for (;; line = line->next) {
        for (unsigned i = 0; i < SLOTS; i++)
            if (!line->slot[i])
                return &line->slot[i];
        *last = line;
        if (!line->next)
            return NULL;
    }
}

/* Puts a word at the chain's end; false if there is no memory for a line. */
static bool chain_add(struct slab *slab, struct line *line, uint64_t word)
{
    struct line *last = NULL;
    uint64_t *slot = chain_end(line, &last);

    if (!slot) {
        struct line *more = slab_alloc(slab, sizeof *more);

        if (!more)
            return false;
        *more = (struct line){ .next = NULL };
        last->next = more;
        slot = &more->slot[0];
    }
    *slot = word;
    return true;
}

/* The chain's last pair takes the place of the one that goes. */
static void chain_remove_locked(struct table *table, struct place *at)
{
    struct line *line = at->line, *before = NULL;
    unsigned i = SLOTS;

    while (line->next) {
        before = line;
        line = line->next;
    }
    while (!line->slot[i - 1])
        i--;
    at->line->slot[at->slot] = line->slot[i - 1];
    line->slot[i - 1] = 0;
    if (i > 1 || line == chain_locked(at))
        return;
    if (!before)    /* the place itself was in the last line */
        for (before = chain_locked(at); before->next != line;)
            before = before->next;
    before->next = NULL;
    slab_free(table->slab, line);
}

/* ---- Growing ------------------------------------------------------------- */

static int buckets_create(struct stripe *s, size_t count)
{
    if (count > UINT32_MAX)
        return -ENOMEM;
    /* calloc, so that buckets never used cost no memory. */
    s->memory = calloc(count + 1, sizeof(struct line));
    if (!s->memory)
        return -ENOMEM;
    s->buckets = (struct line *)(((uintptr_t)s->memory + LINE - 1) &
                                 ~(uintptr_t)(LINE - 1));
    s->count = count;
    return 0;
}

static void chain_free(struct slab *slab, struct line *line)
{
    for (struct line *next; line; line = next) {
        next = line->next;
        slab_free(slab, line);
    }
}

/* Copies a chain's words to the two it becomes; all or, without memory for
 * their lines, false. */
static bool chain_split(struct table *table, struct stripe *to,
                        const struct line *line)
{
    for (; line; line = line->next)
        for (unsigned i = 0; i < SLOTS && line->slot[i]; i++) {
            uint64_t hash = hash_of(table, key_of(pair_of(line->slot[i])));

            if (!chain_add(table->slab,
                           &to->buckets[bucket_of(hash, to->count)],
                           line->slot[i]))
                return false;
        }
    return true;
}

static void prefetch_chain(const struct stripe *s, size_t bucket)
{
    if (bucket < s->count)
        for (unsigned i = 0; i < SLOTS; i++)
            __builtin_prefetch(pair_of(s->buckets[bucket].slot[i]));
}

static void stripe_free_lines(struct slab *slab, struct stripe *s)
{
    for (size_t b = 0; b < s->count; b++)
        chain_free(slab, s->buckets[b].next);
    free(s->memory);
}

/* Doubles the buckets. Without the memory for it all stays as it is, only
 * slower: the next insert tries again. */
static void grow_locked(struct table *table, struct stripe *s)
{
    struct stripe to;

    if (s->count > UINT32_MAX / 4 || buckets_create(&to, 2 * s->count) != 0)
        return;
    for (size_t b = 0; b < s->count; b++) {
        prefetch_chain(s, b + AHEAD);
        if (!chain_split(table, &to, &s->buckets[b])) {
            stripe_free_lines(table->slab, &to);
            return;
        }
    }
    stripe_free_lines(table->slab, s);
    s->buckets = to.buckets;
    s->memory = to.memory;
    s->count = to.count;
}

/* ---- Creating and destroying --------------------------------------------- */

static int stripes_create(struct table *table, size_t buckets)
{
    for (size_t i = 0; i < table->stripes; i++) {
        struct stripe *s = &table->stripe[i];
        size_t share = buckets / table->stripes;
        int err = buckets_create(s, share + (i < buckets % table->stripes));

        if (err) {
            while (i-- > 0) {
                free(table->stripe[i].memory);
                mutex_release(&table->stripe[i].lock);
            }
            return err;
        }
        mutex_init(&s->lock);
        s->keys = 0;
    }
    return 0;
}

int table_create(struct table **out, const struct table_options *options)
{
    static const struct table_options none;
    const struct table_options *o = options ? options : &none;
    struct slab_options memory = { o->budget ? o->budget : FIRST_CHUNK,
                                   o->budget == 0 };
    size_t stripes = STRIPES, buckets = o->buckets;
    void *made;

    if (o->fixed && buckets == 0)
        return -EINVAL;
    while (o->fixed && stripes > buckets)
        stripes /= 2;
    if (buckets < stripes)
        buckets = stripes;
    if (posix_memalign(&made, 2 * LINE, sizeof(struct table) +
                       stripes * sizeof(struct stripe)) != 0)
        return -ENOMEM;
    struct table *table = made;
    *table = (struct table){ .stripes = stripes, .fixed = o->fixed,
                             .bounded = o->budget > 0 };
    int err = slab_create(&table->slab, &memory);
    if (!err && getrandom(&table->seed, sizeof table->seed, GRND_NONBLOCK) < 0)
        table->seed = (uintptr_t)table;
    if (!err)
        err = stripes_create(table, buckets);
    if (err) {
        slab_destroy(table->slab);
        free(table);
        return err;
    }
    *out = table;
    return 0;
}

void table_destroy(struct table *table)
{
    if (!table)
        return;
    for (size_t i = 0; i < table->stripes; i++) {
        free(table->stripe[i].memory);
        mutex_release(&table->stripe[i].lock);
    }
    slab_destroy(table->slab);
    free(table);
}

/* ---- The calls on one key ------------------------------------------------ */

static int full(const struct table *table)
{
    return table->bounded ? -EAGAIN : -ENOMEM;
}

static void fill(struct pair *pair, struct slice key, struct slice value)
{
    pair->key_len = (uint32_t)key.len;
    pair->value_len = (uint32_t)value.len;
    memcpy(pair->bytes, key.ptr, key.len);
    if (value.len)
        memcpy(pair->bytes + key.len, value.ptr, value.len);
}

static int add_locked(struct table *table, struct place *at,
                      struct slice value)
{
    struct stripe *s = at->stripe;

    struct pair *pair = slab_alloc(table->slab,
                                   pair_size(at->key.len, value.len));

    if (!pair)
        return full(table);
    if (!table->fixed && 2 * s->keys >= FILL * s->count)
        grow_locked(table, s);
    fill(pair, at->key, value);
    if (!chain_add(table->slab, chain_locked(at),
                   slot_of(pair, tag_of(at->hash)))) {
        slab_free(table->slab, pair);
        return full(table);
    }
    s->keys++;
    return 0;
}

static size_t rounded(size_t size)
{
    return (size + SLAB_ALIGN - 1) / SLAB_ALIGN;
}

/* In place if that takes as much memory; the new value may be a part of the
 * old. */
static int replace_locked(struct table *table, struct place *at,
                          struct pair *old, struct slice value)
{
    size_t size = pair_size(at->key.len, value.len);

    if (rounded(size) == rounded(pair_size(old->key_len, old->value_len))) {
        if (value.len)
            memmove(old->bytes + old->key_len, value.ptr, value.len);
        old->value_len = (uint32_t)value.len;
        return 0;
    }
    struct pair *pair = slab_alloc(table->slab, size);
    if (!pair)
        return full(table);
    fill(pair, key_of(old), value);
    at->line->slot[at->slot] = slot_of(pair, tag_of(at->hash));
    slab_free(table->slab, old);
    return 0;
}

static int set_locked(struct table *table, struct place *at,
                      struct pair *present, struct slice value)
{
    if (value.len > UINT32_MAX)
        return -EMSGSIZE;
    return present ? replace_locked(table, at, present, value)
                   : add_locked(table, at, value);
}

static int delete_locked(struct table *table, struct place *at,
                         struct pair *present)
{
    if (!present)
        return -ENOENT;
    chain_remove_locked(table, at);
    at->stripe->keys--;
    slab_free(table->slab, present);
    return 0;
}

int table_insert(struct table *table, struct slice key, struct slice value)
{
    int err = check_key(key);

    if (err)
        return err;
    struct place at = enter(table, key);
    struct pair *present = find_locked(&at);
    return leave(&at, set_locked(table, &at, present, value));
}

static ssize_t look_up(struct place *at, void *to, size_t room)
{
    mutex_lock(&at->stripe->lock);
    const struct pair *pair = find_locked(at);
    ssize_t len = pair ? (ssize_t)pair->value_len : -ENOENT;
    if (len > 0 && (size_t)len <= room)
        memcpy(to, pair->bytes + pair->key_len, (size_t)len);
    mutex_unlock(&at->stripe->lock);
    return len;
}

ssize_t table_lookup(struct table *table, struct slice key, void *to,
                     size_t room)
{
    ssize_t err = check_key(key);

    if (err)
        return err;
    struct place at = place_of(table, key);
    return look_up(&at, to, room);
}

static void prefetch_line(const struct place *at)
{
    mutex_lock(&at->stripe->lock);
    __builtin_prefetch(chain_locked(at));
    mutex_unlock(&at->stripe->lock);
}

/* The first pair with the tag is nearly always the right one. */
static void prefetch_pair(const struct place *at)
{
    mutex_lock(&at->stripe->lock);
    const struct line *line = chain_locked(at);
    unsigned m = matches(line, tag_of(at->hash));
    const char *pair = m ? (char *)pair_of(line->slot[__builtin_ctz(m)])
                         : NULL;
    mutex_unlock(&at->stripe->lock);
    if (pair) {
        __builtin_prefetch(pair);
        __builtin_prefetch(pair + LINE);
    }
}

static void look_up_together(struct table *table, struct table_lookup *lookups,
                             size_t n)
{
    struct place at[TOGETHER];

    for (size_t i = 0; i < n; i++) {
        at[i] = place_of(table, lookups[i].key);
        prefetch_line(&at[i]);
    }
    for (size_t i = 0; i < n; i++)
        prefetch_pair(&at[i]);
    for (size_t i = 0; i < n; i++) {
        lookups[i].len = check_key(lookups[i].key);
        if (lookups[i].len == 0)
            lookups[i].len = look_up(&at[i], lookups[i].to, lookups[i].room);
    }
}

void table_lookup_many(struct table *table, struct table_lookup *lookups,
                       size_t n)
{
    while (n > 1) {
        size_t now = n < TOGETHER ? n : TOGETHER;

        look_up_together(table, lookups, now);
        lookups += now;
        n -= now;
    }
    if (n == 1)
        lookups->len = table_lookup(table, lookups->key, lookups->to,
                                    lookups->room);
}

int table_delete(struct table *table, struct slice key)
{
    int err = check_key(key);

    if (err)
        return err;
    struct place at = enter(table, key);
    struct pair *present = find_locked(&at);
    return leave(&at, delete_locked(table, &at, present));
}

int table_update(struct table *table, struct slice key, table_update_fn *fn,
                 void *arg)
{
    struct slice old, value = { 0 };
    int err = check_key(key);

    if (err)
        return err;
    struct place at = enter(table, key);
    struct pair *present = find_locked(&at);
    if (present)
        old = value_of(present);
    switch (fn(arg, present ? &old : NULL, &value)) {
    case TABLE_REPLACE:
        return leave(&at, set_locked(table, &at, present, value));
    case TABLE_DELETE:
        return leave(&at, delete_locked(table, &at, present));
    default:
        return leave(&at, 0);
    }
}

/* ---- All pairs ----------------------------------------------------------- */

static int copy_chain(struct buf *piece, const struct line *line)
{
    for (; line; line = line->next)
        for (unsigned i = 0; i < SLOTS && line->slot[i]; i++) {
            const struct pair *pair = pair_of(line->slot[i]);
            size_t pad = -pair_size(pair->key_len, pair->value_len) &
                         (sizeof(uint64_t) - 1);

            if (buf_reserve(piece, pair_size(pair->key_len, pair->value_len) +
                                       pad) != 0)
                return -ENOMEM;
            buf_append(piece, pair, pair_size(pair->key_len, pair->value_len));
            buf_append(piece, "\0\0\0\0\0\0\0", pad);
        }
    return 0;
}

/* Copies chains from position *from of the hashes on until the piece is full
 * or the stripe ends; *from is then where to go on. */
static int copy_piece(struct stripe *s, uint64_t *from, struct buf *piece)
{
    int err = 0;

    mutex_lock(&s->lock);
    size_t bucket = (size_t)((*from * s->count) >> 32);
    while (!err && bucket < s->count && piece->len < PIECE)
        err = copy_chain(piece, &s->buckets[bucket++]);
    *from = bucket < s->count ? (((uint64_t)bucket << 32) + s->count - 1) /
                                    s->count
                              : (uint64_t)1 << 32;
    mutex_unlock(&s->lock);
    return err;
}

static int show_piece(const struct buf *piece, table_each_fn *fn, void *arg)
{
    int answer = 0;

    for (size_t at = 0; at < piece->len && !answer;) {
        const struct pair *pair = (const void *)(piece->ptr + at);

        answer = fn(arg, key_of(pair), value_of(pair));
        at += rounded(pair_size(pair->key_len, pair->value_len)) * SLAB_ALIGN;
    }
    return answer;
}

int table_each(struct table *table, table_each_fn *fn, void *arg)
{
    struct buf piece = { 0 };
    int err = 0;

    for (size_t i = 0; i < table->stripes && !err; i++)
        for (uint64_t from = 0; from >> 32 == 0 && !err;) {
            buf_clear(&piece);
            err = copy_piece(&table->stripe[i], &from, &piece);
            if (!err)
                err = show_piece(&piece, fn, arg);
        }
    buf_release(&piece);
    return err;
}

/* ---- How many, how much -------------------------------------------------- */

size_t table_count(struct table *table)
{
    struct table_stats stats;

    table_stats(table, &stats);
    return stats.keys;
}

void table_stats(struct table *table, struct table_stats *stats)
{
    struct slab_stats memory;

    slab_stats(table->slab, &memory);
    *stats = (struct table_stats){
        .bytes = memory.chunk_bytes + sizeof *table +
                 table->stripes * sizeof(struct stripe)
    };
    for (size_t i = 0; i < table->stripes; i++) {
        struct stripe *s = &table->stripe[i];

        mutex_lock(&s->lock);
        stats->keys += s->keys;
        stats->buckets += s->count;
        stats->bytes += s->count * sizeof(struct line);
        mutex_unlock(&s->lock);
    }
}
