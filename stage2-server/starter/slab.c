/* slab.c -- yours: stage 2A, task 2.1. */
#include "stage2-server/slab.h"

#include "common/not_written.h"

/* The chunk, what of it is out and what is free, and the mutex (or mutexes)
 * that guards this. How does slab_free find out how long a block is? */
struct slab {
    int unused;
};

int slab_create(struct slab **out, const struct slab_options *options)
{
    /* Check the budget, allocate the chunk, lay out your book-keeping. */
    (void)out, (void)options;
    return not_written("2.1");
}

void slab_destroy(struct slab *slab)
{
    /* Free every chunk; NULL is allowed. */
    (void)slab;
    not_written("2.1");
}

void *slab_alloc(struct slab *slab, size_t size)
{
    /* A block that was freed, or fresh memory of the chunk, or NULL. */
    (void)slab, (void)size;
    not_written("2.1");
    return NULL;
}

void slab_free(struct slab *slab, void *block)
{
    /* Take it back, so that blocks of other sizes can be had there, too. */
    (void)slab, (void)block;
    not_written("2.1");
}

void slab_stats(struct slab *slab, struct slab_stats *stats)
{
    /* Add up what alloc and free have counted. */
    (void)slab, (void)stats;
    not_written("2.1");
}
