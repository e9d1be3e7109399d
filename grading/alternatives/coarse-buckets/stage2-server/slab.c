/* slab.c -- yours: stage 2A, task 2.1. */
/* Approach: one heap with coalescing, as in Knuth's boundary tags, but the
 * tags are bits outside of the blocks: a small block must not pay for a tag
 * of its own (rule 4).
 *
 * A chunk is cut into grains of 8 bytes; a block is two grains or more. Two
 * bits a grain:
 *
 *     start   a block, free or out, begins here
 *     edge    the first or last grain of a free block
 *
 * So the neighbour behind a block is free if its first grain is an edge, the
 * one before if its last is. How long a block is that is out, the next start
 * bit says. A free block has two links and, if it has three grains or more,
 * its length in its third and in its last grain (in one of three grains these
 * are the same); if the edges are next to each other, the length is two.
 *
 * Free blocks hang in bins by length: one for each length up to SMALL
 * grains, then one for each power of two. Freeing joins neighbours at once,
 * so there are never two free blocks side by side, and when everything is
 * free again, a chunk is one block again.
 */
#include "stage2-server/slab.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/lock.h"

enum {
    GRAIN = 8,
    LEAST = 2,              /* grains: room for two links */
    SMALL = 17,             /* bins 0 to 15: 2 to 17 grains */
    RANGES = SMALL - LEAST + 1,     /* the first bin of a power of two */
    BINS = 56,
    TRIES = 8,              /* looked at in a bin before larger ones are */
    BUDGET_MIN = 4096
};

struct hole {               /* a free block */
    struct hole *next, *prev;
    uint64_t grains;        /* only if it has more than LEAST */
};

struct chunk {
    struct chunk *next;
    size_t grains;
    uint64_t *start, *edge; /* the bits; start has one more, always set */
    unsigned char *heap;
};

struct slab {
    pthread_mutex_t lock;   /* guards everything but the set-once fields */
    size_t budget;          /* set once */
    bool grows;             /* set once */
    struct chunk *chunks;   /* the newest first; the oldest is in our block */
    struct slab_stats now;
    uint64_t filled;        /* a bit for each bin that is not empty */
    struct hole *bins[BINS];
};

/* ---- bits -------------------------------------------------------------- */

static bool bit(const uint64_t *bits, size_t i)
{
    return bits[i / 64] >> (i % 64) & 1;
}

static void bit_set(uint64_t *bits, size_t i)
{
    bits[i / 64] |= UINT64_C(1) << (i % 64);
}

static void bit_clear(uint64_t *bits, size_t i)
{
    bits[i / 64] &= ~(UINT64_C(1) << (i % 64));
}

/* The first bit at or behind i that is set; there is one. */
static size_t bit_next(const uint64_t *bits, size_t i)
{
    size_t word = i / 64;
    uint64_t rest = bits[word] & (~UINT64_C(0) << (i % 64));

    while (rest == 0)
        rest = bits[++word];
    return word * 64 + (size_t)__builtin_ctzll(rest);
}

/* ---- bins -------------------------------------------------------------- */

static unsigned bin_of(size_t grains)
{
    if (grains <= SMALL)
        return (unsigned)grains - LEAST;
    unsigned log2 = 63 - (unsigned)__builtin_clzll(grains);
    unsigned bin = RANGES + log2 - 4;

    return bin < BINS ? bin : BINS - 1;
}

static struct hole *hole_at(const struct chunk *chunk, size_t at)
{
    return (struct hole *)(void *)(chunk->heap + at * GRAIN);
}

static uint64_t *last_word(const struct chunk *chunk, size_t end)
{
    return (uint64_t *)(void *)(chunk->heap + (end - 1) * GRAIN);
}

static size_t hole_grains(const struct chunk *chunk, size_t at)
{
    return bit(chunk->edge, at + 1) ? LEAST : hole_at(chunk, at)->grains;
}

/* Makes the grains a hole and hangs it into its bin. */
static void hole_add(struct slab *slab, struct chunk *chunk, size_t at,
                     size_t grains)
{
    struct hole *hole = hole_at(chunk, at);
    unsigned bin = bin_of(grains);

    bit_set(chunk->start, at);
    bit_set(chunk->edge, at);
    bit_set(chunk->edge, at + grains - 1);
    if (grains > LEAST) {
        hole->grains = grains;
        *last_word(chunk, at + grains) = grains;
    }
    hole->prev = NULL;
    hole->next = slab->bins[bin];
    if (hole->next)
        hole->next->prev = hole;
    slab->bins[bin] = hole;
    slab->filled |= UINT64_C(1) << bin;
}

/* The opposite, but for the start bit. */
static void hole_remove(struct slab *slab, struct chunk *chunk, size_t at,
                        size_t grains)
{
    struct hole *hole = hole_at(chunk, at);
    unsigned bin = bin_of(grains);

    bit_clear(chunk->edge, at);
    bit_clear(chunk->edge, at + grains - 1);
    if (hole->next)
        hole->next->prev = hole->prev;
    if (hole->prev)
        hole->prev->next = hole->next;
    else
        slab->bins[bin] = hole->next;
    if (!slab->bins[bin])
        slab->filled &= ~(UINT64_C(1) << bin);
}

/* ---- chunks ------------------------------------------------------------ */

static struct chunk *chunk_of(struct slab *slab, const void *block)
{
    uintptr_t at = (uintptr_t)block;

    for (struct chunk *c = slab->chunks; c; c = c->next) {
        uintptr_t heap = (uintptr_t)c->heap;

        if (at >= heap && at - heap < c->grains * GRAIN) {
            if ((at - heap) % GRAIN != 0)
                abort();
            return c;
        }
    }
    abort();
}

/* What a chunk costs besides its grains, and how many grains fit. */
static size_t map_bytes(size_t grains)
{
    return (grains / 64 + 1) * 8;
}

static size_t grains_in(size_t bytes)
{
    return (bytes - 2 * 8) / 33 * 4;    /* 8 bytes and 2 bits each */
}

/* Lays a chunk into `bytes` of memory, as one large hole. */
static void chunk_add(struct slab *slab, void *memory, size_t bytes)
{
    struct chunk *chunk = memory;
    size_t grains = grains_in(bytes - sizeof *chunk);
    size_t map = map_bytes(grains);
    unsigned char *bits = (unsigned char *)(chunk + 1);

    memset(bits, 0, 2 * map);
    chunk->start = (uint64_t *)(void *)bits;
    chunk->edge = (uint64_t *)(void *)(bits + map);
    chunk->heap = bits + 2 * map;
    chunk->grains = grains;
    chunk->next = slab->chunks;
    slab->chunks = chunk;
    bit_set(chunk->start, grains);
    hole_add(slab, chunk, 0, grains);
}

int slab_create(struct slab **out, const struct slab_options *options)
{
    if (options->budget < BUDGET_MIN || options->budget > PTRDIFF_MAX)
        return -EINVAL;
    struct slab *slab = malloc(options->budget);
    if (!slab)
        return -ENOMEM;
    memset(slab, 0, sizeof *slab);
    mutex_init(&slab->lock);
    slab->budget = options->budget;
    slab->grows = options->grows;
    slab->now.chunk_bytes = options->budget;
    chunk_add(slab, slab + 1, options->budget - sizeof *slab);
    *out = slab;
    return 0;
}

void slab_destroy(struct slab *slab)
{
    if (!slab)
        return;
    for (struct chunk *c = slab->chunks; c->next;) {
        struct chunk *next = c->next;

        free(c);
        c = next;
    }
    mutex_release(&slab->lock);
    free(slab);
}

/* A further chunk, in which `grains` are sure to fit. Each is half as large as
 * all before it together, so there are few to look through. */
static bool grow_locked(struct slab *slab, size_t grains)
{
    size_t bytes = slab->now.chunk_bytes / 2;
    size_t least = sizeof(struct chunk) + 64 + (grains / 4 + 1) * 33;

    if (bytes < slab->budget)
        bytes = slab->budget;
    if (bytes < least)
        bytes = least;
    void *memory = malloc(bytes);
    if (!memory)
        return false;
    chunk_add(slab, memory, bytes);
    slab->now.chunk_bytes += bytes;
    return true;
}

/* ---- blocks ------------------------------------------------------------ */

/* The first hole in the bin that is large enough, among the first `tries`. */
static struct hole *first_fit(struct slab *slab, unsigned bin, size_t grains,
                              size_t tries)
{
    struct hole *hole = slab->bins[bin];

    for (; hole && tries > 0; hole = hole->next, tries--) {
        if (bin < RANGES || hole->grains >= grains)
            return hole;
    }
    return NULL;
}

static struct hole *find_locked(struct slab *slab, size_t grains)
{
    unsigned bin = bin_of(grains);
    struct hole *hole = first_fit(slab, bin, grains, TRIES);

    if (hole)
        return hole;
    uint64_t larger = slab->filled & (~UINT64_C(0) << bin << 1);
    for (; larger != 0; larger &= larger - 1) {
        unsigned b = (unsigned)__builtin_ctzll(larger);

        hole = first_fit(slab, b, grains, SIZE_MAX);
        if (hole)
            return hole;
    }
    return first_fit(slab, bin, grains, SIZE_MAX);
}

/* Takes the front of the hole, and all of it if the rest could be none. */
static void *take_locked(struct slab *slab, struct hole *hole, size_t grains)
{
    struct chunk *chunk = chunk_of(slab, hole);
    size_t at = (size_t)((unsigned char *)hole - chunk->heap) / GRAIN;
    size_t all = hole_grains(chunk, at);

    hole_remove(slab, chunk, at, all);
    if (all - grains >= LEAST)
        hole_add(slab, chunk, at + grains, all - grains);
    else
        grains = all;
    slab->now.used_bytes += grains * GRAIN;
    slab->now.blocks++;
    return hole;
}

void *slab_alloc(struct slab *slab, size_t size)
{
    if (size > PTRDIFF_MAX / 2)
        return NULL;
    size_t grains = (size + GRAIN - 1) / GRAIN;
    if (grains < LEAST)
        grains = LEAST;

    mutex_lock(&slab->lock);
    struct hole *hole = find_locked(slab, grains);
    if (!hole && slab->grows && grow_locked(slab, grains))
        hole = find_locked(slab, grains);
    void *block = hole ? take_locked(slab, hole, grains) : NULL;
    mutex_unlock(&slab->lock);
    return block;
}

static void free_locked(struct slab *slab, struct chunk *chunk, size_t at)
{
    if (!bit(chunk->start, at) || bit(chunk->edge, at))
        abort();            /* no block, or one that is free already */
    size_t end = bit_next(chunk->start, at + 1);

    slab->now.used_bytes -= (end - at) * GRAIN;
    slab->now.blocks--;
    if (end < chunk->grains && bit(chunk->edge, end)) {
        size_t behind = hole_grains(chunk, end);

        hole_remove(slab, chunk, end, behind);
        bit_clear(chunk->start, end);
        end += behind;
    }
    if (at > 0 && bit(chunk->edge, at - 1)) {
        size_t before = bit(chunk->edge, at - 2) ? LEAST
                                                 : *last_word(chunk, at);

        hole_remove(slab, chunk, at - before, before);
        bit_clear(chunk->start, at);
        at -= before;
    }
    hole_add(slab, chunk, at, end - at);
}

void slab_free(struct slab *slab, void *block)
{
    if (!block)
        return;
    mutex_lock(&slab->lock);
    struct chunk *chunk = chunk_of(slab, block);
    free_locked(slab, chunk,
                (size_t)((unsigned char *)block - chunk->heap) / GRAIN);
    mutex_unlock(&slab->lock);
}

void slab_stats(struct slab *slab, struct slab_stats *stats)
{
    mutex_lock(&slab->lock);
    *stats = slab->now;
    mutex_unlock(&slab->lock);
}
