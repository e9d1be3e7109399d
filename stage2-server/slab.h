/* slab.h -- memory for many small things, taken from one large chunk.
 *
 * You write: slab.c (task 2.1)
 *
 * malloc serves everybody and so knows nothing about anybody. A table knows
 * more: it makes and drops blocks of similar sizes all the time, wants a
 * bound on the whole, and wants room that one size gave back to serve
 * another. A slab takes one chunk at the start (or, if it may grow, further
 * chunks later) and hands out blocks of it.
 *
 * Between calls these hold:
 *   1. blocks do not overlap, lie inside a chunk, and are aligned for any
 *      type up to SLAB_ALIGN bytes;
 *   2. a slab that may not grow calls malloc (or mmap) in slab_create and
 *      never again;
 *   3. what is freed can be had again, in other sizes too: after everything
 *      was freed, at least 90 % of what fitted first fits again;
 *   4. when the budget is a power of two, with all blocks of one size, a
 *      multiple of SLAB_ALIGN from 16 bytes to a 64th of the budget, at
 *      least three quarters of the budget come out as blocks. (So a block's
 *      own book-keeping is small, and there may be none.)
 *
 * Shapes:  a block is `size` bytes or more; its contents are not set.
 * Errors:  slab_alloc answers NULL when there is no room, and nothing has
 *          changed. Freeing what is no block, or twice, is the caller's
 *          bug and may abort.
 * Threads: alloc, free and stats by any number of threads at once; destroy
 *          is the last call.
 * Source:  Bonwick, "The Slab Allocator" (1994); memcached's slabs, and the
 *          trouble it had moving memory from one size to another.
 */
#ifndef STAGE2_SLAB_H
#define STAGE2_SLAB_H

#include <stdbool.h>
#include <stddef.h>

enum { SLAB_ALIGN = 8 };

struct slab;

struct slab_options {
    size_t budget;      /* bytes of the first chunk, book-keeping included;
                           at least 4 KiB, else -EINVAL */
    bool grows;         /* takes further chunks when it is full; then a
                           block larger than the budget may be had, too */
};

struct slab_stats {
    size_t chunk_bytes; /* taken from the system, all in all */
    size_t used_bytes;  /* in blocks that are out, with what rounding up
                           to a block's size has cost */
    size_t blocks;      /* that are out */
};

/* *out is owned: slab_destroy. -EINVAL, -ENOMEM.  (2.1) */
int slab_create(struct slab **out, const struct slab_options *options);

/* Gives the chunks back to the system, with all blocks in them. NULL is
 * allowed.  (2.1) */
void slab_destroy(struct slab *slab);

/* A block of at least `size` bytes, yours until slab_free; NULL when full.
 * A size of 0 is served like 1.  (2.1) */
void *slab_alloc(struct slab *slab, size_t size);

/* Takes the block back. NULL is allowed.  (2.1) */
void slab_free(struct slab *slab, void *block);

/* Fills in what is true now; exact when no other thread is in a call.
 * (2.1) */
void slab_stats(struct slab *slab, struct slab_stats *stats);

#endif
