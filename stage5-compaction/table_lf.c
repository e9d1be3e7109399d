/* table_lf.c -- yours: stage 5A, tasks 5.3, 5.4.
 *
 * The promise of stage2-server/table.h once more; here a lookup takes no lock
 * (but a thread's first one: epoch_here), writes to nothing that another thread
 * reads often, and ends whatever the others do.
 *
 * Shape. As in stage 2: 64 stripes, each with an array of buckets. A bucket is
 * a cache line of seven slots and a link to a further line. A slot is one
 * word, a pair's address with the tag on top: 15 bits of the key's hash, and a
 * bit that is 1.
 *
 *     stripe -> array: count | line | line | line | ...
 *                               |
 *                    slot slot slot slot slot slot slot next -> line
 *                     |
 *                    pair: lengths, key, value; never changed
 *
 * Readers follow those words; writers change them under the stripe's lock.
 * Why a reader always finds what it should, and never what is freed:
 *
 *   1. A pair is filled before its word is published, and never written
 *      again: a value is replaced by publishing another pair in the slot.
 *   2. A key that is there stays in its slot of its line until it is deleted;
 *      no pair ever moves. A delete leaves a hole, and an insert fills the
 *      first one. So a reader that goes through the slots misses no key that
 *      is there all the time. One that it misses was absent at some moment
 *      meanwhile, or absent when it looked.
 *   3. A further line that has become empty is unlinked. Its own link stays:
 *      who is on it goes on to all that was behind it.
 *   4. Growing builds a new array beside the old one and publishes it whole;
 *      the stripe's lock is held, so both have the same pairs then. Who is
 *      still in the old array does not see later changes: its lookup began
 *      before they did.
 *   5. What was unlinked - a pair, a line, an array with its lines - is retired
 *      after that, and readers are inside an epoch from before they read the
 *      array's address until they have copied the value (epoch.h).
 *   6. What only chooses where to look next (which slots have the tag, is
 *      there another line) is peeked at, without order: the address itself is
 *      acquired before it is followed. A peek never shows less than what the
 *      reader's thread already knows to have happened.
 *
 * Who holds a stripe's lock needs no epoch: only he unlinks there. What an
 * operation has unlinked it retires after it has given back the lock.
 *
 * Full. What was retired is still in the slab. So when the slab has no room,
 * we wait for a grace period, again and again while something waits for one,
 * before we say so. Nothing waits: still another thread may be about to retire
 * what it has unlinked, so we look again. The lock of the stripe is kept
 * meanwhile; no reader wants it, but writers of the stripe wait with us.
 *
 * Growing is by half, not to the double, which keeps memory at about 18 bytes a
 * key for lines. A bucket's number is the hash's position in [0, 2^32) times
 * the number of buckets, so buckets are in the order of the hashes; table_each
 * remembers a position, and leaves out what lies before it in the first
 * bucket.
 *
 * With buckets and budget fixed there is no malloc but for each thread's
 * reader, and for bags: a few, and more while readers keep some back.
 *
 * Locks: a stripe's; inside of it the slab's own, and the epoch's own.
 * table_each takes a stripe's lock, too, to copy some buckets.
 */
#include "stage2-server/table.h"

#include <assert.h>
#include <errno.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "common/buf.h"
#include "common/lock.h"
#include "common/publish.h"
#include "stage2-server/slab.h"
#include "stage5-compaction/epoch.h"

enum {
    STRIPES = 64,
    SLOTS = 7,
    LINE = 64,
    FILL = 11,              /* grows at FILL / 2 keys a bucket */
    AHEAD = 8,              /* buckets to prefetch while growing */
    TOGETHER = 16,          /* lookups that wait for memory at once */
    PIECE = 4096,           /* table_each copies about so much at a time */
    LARGE = 64 << 10,       /* bytes of an array from which the slab has it */
    FIRST_CHUNK = 1 << 20,
    TAG_SHIFT = 48,
    GRACES = 100,           /* for a full slab, */
    LOOKS = 3               /* and when nothing waits for one */
};

/* As it lies in the slab. */
struct pair {
    uint32_t key_len, value_len;
    unsigned char bytes[];  /* key, value */
};

struct line {
    void *_Atomic slot[SLOTS];  /* tag and address; NULL: free */
    void *_Atomic next;         /* struct line */
};

/* A stripe's buckets; set once but for the lines' words. */
struct array {
    size_t count;
    void *memory;           /* what to free: all this, before alignment */
    bool in_slab;           /* memory is a block of the slab */
    struct line line[] __attribute__((aligned(LINE)));
};

struct stripe {
    pthread_mutex_t lock;   /* guards keys, and what changes words */
    size_t keys;
    /* Read by all, so not in the line that writers write to. */
    void *_Atomic array __attribute__((aligned(LINE)));
} __attribute__((aligned(2 * LINE)));

struct table {              /* all set once */
    struct slab *slab;
    struct epoch *epoch;
    uint64_t seed;
    size_t stripes;
    bool fixed, bounded;
    struct stripe stripe[];
};

/* Where a key belongs; for who changes it, where it was found, and what the
 * change has unlinked. */
struct place {
    struct stripe *stripe;
    struct slice key;
    uint64_t hash;
    struct line *line;
    void *_Atomic *slot;
    struct pair *old;
    struct line *empty;
    struct array *outgrown;
};

/* ---- Words, pairs, hashes ------------------------------------------------ */

/* Never 0, so that no free slot looks like a match. */
static uint64_t tag_of(uint64_t hash)
{
    return (hash >> 32 | 1) << TAG_SHIFT;
}

static struct pair *pair_of(const void *word)
{
    return (struct pair *)((uintptr_t)word &
                           (((uintptr_t)1 << TAG_SHIFT) - 1));
}

static void *word_of(const struct pair *pair, uint64_t tag)
{
    assert((uint64_t)(uintptr_t)pair >> TAG_SHIFT == 0);
    return (void *)((uintptr_t)pair | tag);
}

static bool has_tag(const void *word, uint64_t tag)
{
    return ((uintptr_t)word ^ tag) >> TAG_SHIFT == 0;
}

/* Not to be followed: acquire is for that. */
static void *peek(void *_Atomic *word)
{
    return atomic_load_explicit(word, memory_order_relaxed);
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

static uint64_t position_of(uint64_t hash)
{
    return hash & UINT32_MAX;
}

static size_t bucket_at(uint64_t position, size_t count)
{
    return (size_t)((position * count) >> 32);
}

/* The first position of a bucket. */
static uint64_t start_of(size_t bucket, size_t count)
{
    return (((uint64_t)bucket << 32) + count - 1) / count;
}

static struct place place_of(struct table *table, struct slice key)
{
    struct place at = { .key = key, .hash = hash_of(table, key) };

    at.stripe = &table->stripe[((at.hash >> 32) * table->stripes) >> 32];
    return at;
}

static int check_key(struct slice key)
{
    return key.len == 0 ? -EINVAL : key.len > UINT32_MAX ? -EMSGSIZE : 0;
}

/* ---- Reading chains ------------------------------------------------------ */

static struct line *chain_of(struct stripe *s, uint64_t hash)
{
    struct array *array = acquire(&s->array);

    return &array->line[bucket_at(position_of(hash), array->count)];
}

static struct line *next_of(struct line *line)
{
    return peek(&line->next) ? acquire(&line->next) : NULL;
}

/* Which slots have the tag: bit i for slot i. Without branches, as no
 * processor could foretell them. */
static unsigned matches(struct line *line, uint64_t tag)
{
    unsigned found = 0;

    for (unsigned i = 0; i < SLOTS; i++)
        found |= (unsigned)has_tag(peek(&line->slot[i]), tag) << i;
    return found;
}

/* Finds the key: its pair, at->line and at->slot; or NULL. By a reader inside,
 * or with the stripe locked. */
static struct pair *find(struct place *at)
{
    uint64_t tag = tag_of(at->hash);
    struct line *line = chain_of(at->stripe, at->hash);

    for (; line; line = next_of(line))
        for (unsigned m = matches(line, tag); m; m &= m - 1) {
            void *_Atomic *slot = &line->slot[__builtin_ctz(m)];
            void *word = acquire(slot);
            struct pair *pair = pair_of(word);

            __builtin_prefetch((char *)pair + LINE);
            if (has_tag(word, tag) && slice_equal(key_of(pair), at->key)) {
                at->line = line;
                at->slot = slot;
                return pair;
            }
        }
    return NULL;
}

/* ---- Memory -------------------------------------------------------------- */

/* Another thread is about to retire, or to free, what it has. If it is at that
 * and nothing comes of it, it has lost its processor for a while. */
static void let_others(bool stuck)
{
    static const struct timespec moment = { 0, 100000 };

    if (stuck)
        nanosleep(&moment, NULL);
    else
        sched_yield();
}

static void *take(struct table *table, size_t size)
{
    void *block = slab_alloc(table->slab, size);
    uint64_t reclaimed = UINT64_MAX;

    for (int i = 0, idle = 0; !block && i < GRACES && idle < LOOKS; i++) {
        struct epoch_stats stats;

        epoch_stats(table->epoch, &stats);
        if (stats.waiting == 0)
            idle++;
        else
            epoch_synchronize(table->epoch);
        if (i > 0)
            let_others(stats.waiting > 0 && stats.reclaimed == reclaimed);
        reclaimed = stats.reclaimed;
        block = slab_alloc(table->slab, size);
    }
    return block;
}

static void give_back(void *slab, void *block)
{
    slab_free(slab, block);
}

static size_t array_bytes(size_t count)
{
    return (count + 2) * sizeof(struct line);
}

/* Memory that is 0. From calloc, where buckets never used cost nothing; what
 * is large and touched at random from the slab, which has large pages. */
static void *array_memory(struct table *table, size_t bytes, bool in_slab)
{
    if (!in_slab)
        return calloc(1, bytes);
    void *memory = slab_alloc(table->slab, bytes);
    return memory ? memset(memory, 0, bytes) : NULL;
}

static struct array *array_create(struct table *table, size_t count)
{
    bool in_slab = !table->bounded && array_bytes(count) >= LARGE;
    void *memory = count > UINT32_MAX
        ? NULL : array_memory(table, array_bytes(count), in_slab);

    if (!memory)
        return NULL;
    struct array *array = (void *)(((uintptr_t)memory + LINE - 1) &
                                   ~(uintptr_t)(LINE - 1));
    array->count = count;
    array->memory = memory;
    array->in_slab = in_slab;
    return array;
}

static void array_free(void *slab, void *what)
{
    struct array *array = what;

    for (size_t b = 0; b < array->count; b++)
        for (struct line *l = acquire(&array->line[b].next), *next; l;
             l = next) {
            next = acquire(&l->next);
            slab_free(slab, l);
        }
    if (array->in_slab)
        slab_free(slab, array->memory);
    else
        free(array->memory);
}

/* ---- Changing chains ----------------------------------------------------- */

/* The first free slot of a chain, or NULL and its last line. */
static void *_Atomic *free_slot(struct line *line, struct line **last)
{
    for (; line; line = acquire(&line->next)) {
        for (unsigned i = 0; i < SLOTS; i++)
            if (!peek(&line->slot[i]))
                return &line->slot[i];
        *last = line;
    }
    return NULL;
}

/* Puts a word into a chain; false if there is no memory for a line. */
static bool chain_add(struct table *table, struct line *line, void *word)
{
    struct line *last = NULL;
    void *_Atomic *slot = free_slot(line, &last);

    if (slot) {
        publish(slot, word);
        return true;
    }
    struct line *more = take(table, sizeof *more);
    if (!more)
        return false;
    for (unsigned i = 0; i < SLOTS; i++)
        atomic_init(&more->slot[i], i == 0 ? word : NULL);
    atomic_init(&more->next, NULL);
    publish(&last->next, more);
    return true;
}

static bool is_empty(struct line *line)
{
    for (unsigned i = 0; i < SLOTS; i++)
        if (peek(&line->slot[i]))
            return false;
    return true;
}

static void chain_remove_locked(struct place *at)
{
    struct line *before = chain_of(at->stripe, at->hash);

    publish(at->slot, NULL);
    if (at->line == before || !is_empty(at->line))
        return;
    while (acquire(&before->next) != at->line)
        before = acquire(&before->next);
    publish(&before->next, acquire(&at->line->next));
    at->empty = at->line;
}

/* ---- Growing ------------------------------------------------------------- */

/* Puts a chain's words where they belong in `to`; all or, without memory for
 * lines, false. */
static bool chain_copy(struct table *table, struct array *to,
                       struct line *line)
{
    for (; line; line = acquire(&line->next))
        for (unsigned i = 0; i < SLOTS; i++) {
            void *word = acquire(&line->slot[i]);

            if (!word)
                continue;
            uint64_t hash = hash_of(table, key_of(pair_of(word)));
            if (!chain_add(table, &to->line[bucket_at(position_of(hash),
                                                      to->count)], word))
                return false;
        }
    return true;
}

static void prefetch_pairs(struct array *array, size_t bucket)
{
    if (bucket < array->count)
        for (unsigned i = 0; i < SLOTS; i++)
            __builtin_prefetch(pair_of(peek(&array->line[bucket].slot[i])));
}

/* Half as many buckets again. Without the memory for it all stays as it is,
 * only slower: the next insert tries again. */
static void grow_locked(struct table *table, struct place *at)
{
    struct array *from = acquire(&at->stripe->array);
    struct array *to = array_create(table,
                                    from->count + from->count / 2 + 1);

    if (!to)
        return;
    for (size_t b = 0; b < from->count; b++) {
        prefetch_pairs(from, b + AHEAD);
        if (!chain_copy(table, to, &from->line[b])) {
            array_free(table->slab, to);
            return;
        }
    }
    publish(&at->stripe->array, to);
    at->outgrown = from;
}

/* ---- Creating and destroying --------------------------------------------- */

static void stripes_release(struct table *table, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct array *array = acquire(&table->stripe[i].array);

        if (!array->in_slab)    /* its further lines go with the slab, too */
            free(array->memory);
        mutex_release(&table->stripe[i].lock);
    }
}

static int stripes_create(struct table *table, size_t buckets)
{
    for (size_t i = 0; i < table->stripes; i++) {
        struct stripe *s = &table->stripe[i];
        size_t share = buckets / table->stripes;
        struct array *array = array_create(
            table, share + (i < buckets % table->stripes));

        if (!array) {
            stripes_release(table, i);
            return -ENOMEM;
        }
        mutex_init(&s->lock);
        s->keys = 0;
        atomic_init(&s->array, array);
    }
    return 0;
}

/* What is inside of it. */
static int fill_table(struct table *table, const struct table_options *o,
                      size_t buckets)
{
    struct slab_options memory = { o->budget ? o->budget : FIRST_CHUNK,
                                   o->budget == 0 };
    int err = slab_create(&table->slab, &memory);

    if (err)
        return err;
    if (getrandom(&table->seed, sizeof table->seed, GRND_NONBLOCK) < 0)
        table->seed = (uintptr_t)table;
    err = epoch_create(&table->epoch);
    if (!err)
        err = stripes_create(table, buckets);
    if (err) {
        epoch_destroy(table->epoch);
        slab_destroy(table->slab);
    }
    return err;
}

int table_create(struct table **out, const struct table_options *options)
{
    static const struct table_options none;
    const struct table_options *o = options ? options : &none;
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
    int err = fill_table(table, o, buckets);
    if (err) {
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
    epoch_destroy(table->epoch);
    stripes_release(table, table->stripes);
    slab_destroy(table->slab);
    free(table);
}

/* ---- Changing one key ---------------------------------------------------- */

/* Takes the stripe's lock. */
static struct place enter(struct table *table, struct slice key)
{
    struct place at = place_of(table, key);

    mutex_lock(&at.stripe->lock);
    return at;
}

/* Gives it back, and retires what the call has unlinked. */
static int leave(struct table *table, struct place *at, int err)
{
    mutex_unlock(&at->stripe->lock);
    if (at->old)
        epoch_retire(table->epoch, at->old,
                     pair_size(at->old->key_len, at->old->value_len),
                     give_back, table->slab);
    if (at->empty)
        epoch_retire(table->epoch, at->empty, sizeof *at->empty, give_back,
                     table->slab);
    if (at->outgrown)
        epoch_retire(table->epoch, at->outgrown,
                     at->outgrown->count * sizeof(struct line), array_free,
                     table->slab);
    return err;
}

static int full(const struct table *table)
{
    return table->bounded ? -EAGAIN : -ENOMEM;
}

static struct pair *pair_create(struct table *table, struct slice key,
                                struct slice value)
{
    struct pair *pair = take(table, pair_size(key.len, value.len));

    if (!pair)
        return NULL;
    pair->key_len = (uint32_t)key.len;
    pair->value_len = (uint32_t)value.len;
    memcpy(pair->bytes, key.ptr, key.len);
    if (value.len)
        memcpy(pair->bytes + key.len, value.ptr, value.len);
    return pair;
}

static int add_locked(struct table *table, struct place *at,
                      struct pair *pair)
{
    struct stripe *s = at->stripe;
    struct array *array = acquire(&s->array);

    if (!table->fixed && 2 * s->keys >= FILL * array->count)
        grow_locked(table, at);
    if (!chain_add(table, chain_of(s, at->hash),
                   word_of(pair, tag_of(at->hash)))) {
        slab_free(table->slab, pair);
        return full(table);
    }
    s->keys++;
    return 0;
}

/* The new value may be a part of the old. */
static int set_locked(struct table *table, struct place *at,
                      struct pair *present, struct slice value)
{
    if (value.len > UINT32_MAX)
        return -EMSGSIZE;
    struct pair *pair = pair_create(table, at->key, value);
    if (!pair)
        return full(table);
    if (!present)
        return add_locked(table, at, pair);
    publish(at->slot, word_of(pair, tag_of(at->hash)));
    at->old = present;
    return 0;
}

static int delete_locked(struct place *at, struct pair *present)
{
    if (!present)
        return -ENOENT;
    chain_remove_locked(at);
    at->stripe->keys--;
    at->old = present;
    return 0;
}

int table_insert(struct table *table, struct slice key, struct slice value)
{
    int err = check_key(key);

    if (err)
        return err;
    struct place at = enter(table, key);
    struct pair *present = find(&at);
    return leave(table, &at, set_locked(table, &at, present, value));
}

int table_delete(struct table *table, struct slice key)
{
    int err = check_key(key);

    if (err)
        return err;
    struct place at = enter(table, key);
    struct pair *present = find(&at);
    return leave(table, &at, delete_locked(&at, present));
}

int table_update(struct table *table, struct slice key, table_update_fn *fn,
                 void *arg)
{
    struct slice old, value = { 0 };
    int err = check_key(key);

    if (err)
        return err;
    struct place at = enter(table, key);
    struct pair *present = find(&at);
    if (present)
        old = value_of(present);
    switch (fn(arg, present ? &old : NULL, &value)) {
    case TABLE_REPLACE:
        return leave(table, &at, set_locked(table, &at, present, value));
    case TABLE_DELETE:
        return leave(table, &at, delete_locked(&at, present));
    default:
        return leave(table, &at, 0);
    }
}

/* ---- Looking up ---------------------------------------------------------- */

/* By a reader inside. */
static ssize_t look_up(struct place *at, void *to, size_t room)
{
    const struct pair *pair = find(at);
    ssize_t len = pair ? (ssize_t)pair->value_len : -ENOENT;

    if (len > 0 && (size_t)len <= room)
        memcpy(to, pair->bytes + pair->key_len, (size_t)len);
    return len;
}

ssize_t table_lookup(struct table *table, struct slice key, void *to,
                     size_t room)
{
    ssize_t err = check_key(key);

    if (err)
        return err;
    struct place at = place_of(table, key);
    struct epoch_reader *reader = epoch_here(table->epoch);
    if (!reader)
        return -ENOMEM;
    epoch_enter(reader);
    ssize_t len = look_up(&at, to, room);
    epoch_leave(reader);
    return len;
}

/* The first pair with the tag is nearly always the right one. */
static void prefetch_pair(const struct place *at)
{
    struct line *line = chain_of(at->stripe, at->hash);
    unsigned m = matches(line, tag_of(at->hash));

    if (m) {
        const char *pair = (void *)pair_of(
            peek(&line->slot[__builtin_ctz(m)]));

        __builtin_prefetch(pair);
        __builtin_prefetch(pair + LINE);
    }
}

/* Asks for the lines of all, then for the pairs of all; when the first is
 * looked at it has come. */
static void look_up_together(struct table *table, struct table_lookup *lookups,
                             size_t n)
{
    struct place at[TOGETHER];

    for (size_t i = 0; i < n; i++) {
        at[i] = place_of(table, lookups[i].key);
        __builtin_prefetch(chain_of(at[i].stripe, at[i].hash));
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
    struct epoch_reader *reader = epoch_here(table->epoch);

    for (size_t now; n > 0; lookups += now, n -= now) {
        now = n < TOGETHER ? n : TOGETHER;
        if (!reader) {
            for (size_t i = 0; i < now; i++)
                lookups[i].len = -ENOMEM;
            continue;
        }
        epoch_enter(reader);
        look_up_together(table, lookups, now);
        epoch_leave(reader);
    }
}

/* ---- All pairs ----------------------------------------------------------- */

static int copy_pair(struct buf *piece, const struct pair *pair)
{
    size_t size = pair_size(pair->key_len, pair->value_len);
    size_t pad = -size & (sizeof(uint64_t) - 1);

    if (buf_reserve(piece, size + pad) != 0)
        return -ENOMEM;
    buf_append(piece, pair, size);
    return buf_append(piece, "\0\0\0\0\0\0\0", pad);
}

/* The chain's pairs from that position on. */
static int copy_chain(struct table *table, struct buf *piece,
                      struct line *line, uint64_t from)
{
    int err = 0;

    for (; line; line = acquire(&line->next))
        for (unsigned i = 0; i < SLOTS && !err; i++) {
            const struct pair *pair = pair_of(acquire(&line->slot[i]));

            if (pair && position_of(hash_of(table, key_of(pair))) >= from)
                err = copy_pair(piece, pair);
        }
    return err;
}

/* Copies chains from position *from of the hashes on until the piece is full
 * or the stripe ends; *from is then where to go on. */
static int copy_piece(struct table *table, struct stripe *s, uint64_t *from,
                      struct buf *piece)
{
    int err = 0;

    mutex_lock(&s->lock);
    struct array *array = acquire(&s->array);
    size_t bucket = bucket_at(*from, array->count);
    while (!err && bucket < array->count && piece->len < PIECE)
        err = copy_chain(table, piece, &array->line[bucket++], *from);
    *from = bucket < array->count ? start_of(bucket, array->count)
                                  : (uint64_t)1 << 32;
    mutex_unlock(&s->lock);
    return err;
}

static int show_piece(const struct buf *piece, table_each_fn *fn, void *arg)
{
    int answer = 0;

    for (size_t at = 0; at < piece->len && !answer;) {
        const struct pair *pair = (const void *)(piece->ptr + at);
        size_t size = pair_size(pair->key_len, pair->value_len);

        answer = fn(arg, key_of(pair), value_of(pair));
        at += (size + sizeof(uint64_t) - 1) & ~(sizeof(uint64_t) - 1);
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
            err = copy_piece(table, &table->stripe[i], &from, &piece);
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
        struct array *array = acquire(&s->array);
        stats->keys += s->keys;
        stats->buckets += array->count;
        stats->bytes += array->in_slab ? 0 : array_bytes(array->count);
        mutex_unlock(&s->lock);
    }
}
