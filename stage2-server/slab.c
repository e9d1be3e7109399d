/* slab.c -- yours: stage 2A, task 2.1.
 *
 * A chunk is cut into units of 512 to 4,096 bytes. A page is a run of units
 * that serves blocks of one size; a block too large for that is a run of its
 * own. Blocks have no header: a chunk begins with a descriptor for each unit,
 * and a block's address leads to its unit's, which says how far back its
 * page begins.
 *
 *      chunk: | descriptors | unit | unit | unit | unit | unit | ...
 *                             `- page -'    `- free run of 3 ---'
 *
 * A page whose last block comes back is a free run again, joined with its
 * free neighbours: so memory moves from size to size. Free runs are the
 * pool's, in lists by the logarithm of their length.
 *
 * Threads. Each thread takes from the pages of its own lane, so two threads
 * seldom meet; what is freed goes back to the page, in whose lane ever that
 * is. Only when its lane and the pool have nothing a thread locks all lanes
 * and looks everywhere: it moves some pages that have room into its own lane,
 * or knows for certain that the slab is full.
 *
 * Sizes come in steps of 8 bytes from 16 to 256, then 16 steps to each doubling:
 * less than 8 bytes of a small block, later a 17th, is lost to rounding.
 *
 * Locks: lanes (several: in order of their number), then the pool. A page's
 * place and size do not change while one of its blocks is out, so the block's
 * owner may read them without a lock. Its lane changes with all lanes locked:
 * who has locked a lane, and then finds the page in it, has the page.
 */
#include "stage2-server/slab.h"

#include <assert.h>
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "common/counter.h"
#include "common/lock.h"
#include "common/publish.h"

enum {
    BUDGET_MIN = 4096,
    UNIT_MIN = 512,
    UNIT_MAX = 4096,
    CHUNK = 2 << 20,    /* bytes, and alignment, of further chunks */
    PAGE_MAX = 16384,   /* how long a page of small blocks gets */
    BLOCKS_MIN = 8,     /* to a page, if there is room */
    LINE = 64,
    LANES = 8,
    MOVED = 32,         /* blocks to have, when pages change their lane */
    SMALL = 256,        /* up to here in steps of SLAB_ALIGN */
    STEPS = 16,         /* to a doubling beyond */
    CLASSES = SMALL / SLAB_ALIGN - 1 + STEPS * 7,
    BINS = 32
};

_Static_assert(PAGE_MAX / 16 <= UINT16_MAX, "a page's blocks can be counted");

/* A run of units; the descriptor of its first unit speaks for it. Small, for
 * it is a ninth of the smallest unit. */
struct page {
    struct page *next, *prev;   /* in its lane's or the pool's list */
    void *free;         /* blocks that came back, linked by their first word */
    void *_Atomic lane; /* struct lane */
    uint32_t back;      /* how many units before this one the run begins */
    uint32_t units;     /* how long it is; 0: a chunk of its own */
    uint32_t size;      /* of a block; 0: the run is one block */
    uint16_t room;      /* how many blocks there can be */
    uint16_t used;      /* how many are out */
    uint16_t fresh;     /* the first that never was */
    uint16_t class;
    bool idle;          /* a free run; true at its first and last unit */
};

struct chunk {
    struct chunk *next, *prev;
    size_t bytes;
    unsigned char *units;       /* where they begin */
    size_t count;
    struct page pages[];        /* one a unit */
};

struct list {
    struct page *first;
};

struct lane {
    pthread_mutex_t lock;       /* guards the rest, and its pages' lists */
    size_t blocks, bytes;       /* that are out */
    struct list open[CLASSES];  /* pages with room, by their blocks' size */
} __attribute__((aligned(2 * LINE)));

struct slab {
    pthread_mutex_t pool;   /* guards idle, chunks, bytes, big_* */
    struct list idle[BINS]; /* free runs of 2^i units or more */
    struct chunk *chunks;
    size_t bytes;           /* of all chunks, and of this struct */
    size_t big_blocks, big_bytes;   /* runs that are one block */
    struct chunk *first;    /* set once, like the rest */
    size_t unit;
    unsigned unit_shift;
    unsigned lanes;
    bool grows;
    struct lane lane[];
};

/* ---- Lists, sizes, addresses --------------------------------------------- */

static void list_push(struct list *list, struct page *page)
{
    page->prev = NULL;
    page->next = list->first;
    if (page->next)
        page->next->prev = page;
    list->first = page;
}

static void list_remove(struct list *list, struct page *page)
{
    if (page->prev)
        page->prev->next = page->next;
    else
        list->first = page->next;
    if (page->next)
        page->next->prev = page->prev;
}

static unsigned log2_of(size_t n)
{
    return 63 - (unsigned)__builtin_clzll(n);
}

/* The class of a size, and the size of its blocks. */
static unsigned class_of(size_t size, size_t *block)
{
    if (size <= SMALL) {
        size_t eights = size <= 16 ? 2 : (size + 7) / 8;

        *block = 8 * eights;
        return (unsigned)eights - 2;
    }
    unsigned power = log2_of(size - 1);
    size_t below = (size_t)1 << power, step = below / STEPS;
    size_t steps = (size - 1 - below) / step;

    *block = below + (steps + 1) * step;
    return SMALL / 8 - 1 + (power - 8) * STEPS + (unsigned)steps;
}

static bool is_inside(const struct chunk *chunk, const void *p)
{
    return (uintptr_t)p - (uintptr_t)chunk < chunk->bytes;
}

static struct chunk *chunk_of(const struct slab *slab, const void *p)
{
    if (is_inside(slab->first, p))
        return slab->first;
    return (struct chunk *)((uintptr_t)p & ~(uintptr_t)(CHUNK - 1));
}

static struct page *page_of(const struct slab *slab, const void *block)
{
    struct chunk *chunk = chunk_of(slab, block);
    size_t at = (size_t)((const unsigned char *)block - chunk->units);
    struct page *page = &chunk->pages[at >> slab->unit_shift];

    return page - page->back;
}

static unsigned char *place_of(const struct slab *slab, struct page *page)
{
    struct chunk *chunk = chunk_of(slab, page);

    return chunk->units + ((size_t)(page - chunk->pages) << slab->unit_shift);
}

/* ---- The pool: chunks and free runs -------------------------------------- */

static void pool_put(struct slab *slab, struct page *page, size_t units)
{
    page->units = (uint32_t)units;
    page[units - 1].back = (uint32_t)units - 1;
    page->back = 0;
    page->idle = page[units - 1].idle = true;
    list_push(&slab->idle[log2_of(units)], page);
}

static void pool_remove(struct slab *slab, struct page *page)
{
    list_remove(&slab->idle[log2_of(page->units)], page);
    page->idle = page[page->units - 1].idle = false;
}

/* A run comes back, and is joined with the free ones around it. */
static void pool_give(struct slab *slab, struct page *page)
{
    struct chunk *chunk = chunk_of(slab, page);
    struct page *after = page + page->units;
    size_t units = page->units;

    if (after < chunk->pages + chunk->count && after->idle) {
        pool_remove(slab, after);
        units += after->units;
    }
    if (page > chunk->pages && page[-1].idle) {
        page -= 1 + page[-1].back;
        pool_remove(slab, page);
        units += page->units;
    }
    pool_put(slab, page, units);
}

/* A free run of `want` units or more or, failing that, a shorter one, down to
 * `least`. */
static struct page *pool_find(struct slab *slab, size_t want, size_t least)
{
    unsigned low = log2_of(want);

    for (unsigned i = low + ((want & (want - 1)) != 0); i < BINS; i++)
        if (slab->idle[i].first)
            return slab->idle[i].first;
    for (unsigned i = low + 1; i-- > 0 && (size_t)2 << i > least;) {
        struct page *best = NULL;

        for (struct page *p = slab->idle[i].first; p; p = p->next) {
            if (p->units >= want)
                return p;
            if (p->units >= least && (!best || p->units > best->units))
                best = p;
            if (best && best->units + 1 == (size_t)2 << i)
                break;      /* none here is longer */
        }
        if (best)
            return best;
    }
    return NULL;
}

static struct page *pool_take(struct slab *slab, size_t want, size_t least)
{
    struct page *page = pool_find(slab, want, least);

    if (!page)
        return NULL;
    pool_remove(slab, page);
    if (page->units > want) {
        pool_put(slab, page + want, page->units - want);
        page->units = (uint32_t)want;
    }
    for (uint32_t i = 0; i < page->units; i++)
        page[i].back = i;
    return page;
}

/* Large memory is touched at random: ask for large pages under it. */
static void advise(void *chunk, size_t bytes)
{
    uintptr_t from = ((uintptr_t)chunk + CHUNK - 1) & ~(uintptr_t)(CHUNK - 1);
    uintptr_t to = ((uintptr_t)chunk + bytes) & ~(uintptr_t)(CHUNK - 1);

    if (from < to)
        madvise((void *)from, to - from, MADV_HUGEPAGE);
}

static struct chunk *chunk_create(const struct slab *slab, size_t bytes,
                                  size_t align, size_t units)
{
    void *memory;

    if (posix_memalign(&memory, align, bytes) != 0)
        return NULL;
    advise(memory, bytes);
    struct chunk *chunk = memory;
    size_t head = sizeof *chunk;
    if (units == 0)
        units = (bytes - head - LINE) / (slab->unit + sizeof(struct page));
    head += units * sizeof(struct page);
    *chunk = (struct chunk){ .bytes = bytes, .count = units };
    chunk->units = (unsigned char *)chunk + (head + LINE - 1) / LINE * LINE;
    for (size_t i = 0; i < units; i++)
        chunk->pages[i] = (struct page){ .units = 0 };
    return chunk;
}

static void pool_add(struct slab *slab, struct chunk *chunk)
{
    chunk->next = slab->chunks;
    if (chunk->next)
        chunk->next->prev = chunk;
    slab->chunks = chunk;
    slab->bytes += chunk->bytes;
}

static bool pool_grow(struct slab *slab)
{
    struct chunk *chunk = slab->grows
                              ? chunk_create(slab, CHUNK, CHUNK, 0) : NULL;

    if (!chunk)
        return false;
    pool_add(slab, chunk);
    pool_put(slab, chunk->pages, chunk->count);
    return true;
}

/* ---- Blocks of a page ---------------------------------------------------- */

static void *take_locked(struct slab *slab, struct lane *lane,
                         struct page *page)
{
    void *block = page->free;

    if (block)
        page->free = *(void **)block;
    else
        block = place_of(slab, page) + (size_t)page->fresh++ * page->size;
    if (++page->used == page->room)
        list_remove(&lane->open[page->class], page);
    lane->blocks++;
    lane->bytes += page->size;
    return block;
}

static struct page *page_create(struct slab *slab, struct lane *lane,
                                unsigned class, size_t size)
{
    size_t room = PAGE_MAX < slab->unit * 4 ? PAGE_MAX : slab->unit * 4;
    size_t least = (size + slab->unit - 1) >> slab->unit_shift;

    if (slab->unit < UNIT_MAX)
        room = slab->unit;
    if (room < BLOCKS_MIN * size)
        room = BLOCKS_MIN * size;
    mutex_lock(&slab->pool);
    struct page *page = pool_take(
        slab, (room + slab->unit - 1) >> slab->unit_shift, least);
    mutex_unlock(&slab->pool);
    if (!page)
        return NULL;
    page->free = NULL;
    page->size = (uint32_t)size;
    page->room = (uint16_t)(((size_t)page->units << slab->unit_shift) / size);
    page->used = page->fresh = 0;
    page->class = (uint16_t)class;
    publish(&page->lane, lane);
    list_push(&lane->open[class], page);
    return page;
}

static struct page *find_open(struct slab *slab, unsigned class)
{
    for (unsigned i = 0; i < slab->lanes; i++)
        if (slab->lane[i].open[class].first)
            return slab->lane[i].open[class].first;
    return NULL;
}

static bool grow(struct slab *slab)
{
    mutex_lock(&slab->pool);
    bool grown = pool_grow(slab);
    mutex_unlock(&slab->pool);
    return grown;
}

/* Pages with room, from all lanes to the own: some, so that the next blocks
 * are had without this. Answers one of them, or NULL. */
static struct page *move_pages(struct slab *slab, struct lane *own,
                               unsigned class)
{
    struct list *open = &own->open[class];
    size_t moved = 0;

    if (open->first)
        return open->first;     /* something has come back meanwhile */
    for (unsigned i = 0; i < slab->lanes; i++) {
        struct lane *from = &slab->lane[i];
        struct page *page;

        while (from != own && moved < MOVED &&
               (page = from->open[class].first)) {
            list_remove(&from->open[class], page);
            list_push(open, page);
            publish(&page->lane, own);
            from->blocks -= page->used;
            own->blocks += page->used;
            from->bytes -= (size_t)page->used * page->size;
            own->bytes += (size_t)page->used * page->size;
            moved += page->room - page->used;
        }
    }
    return open->first;
}

/* Nothing in the own lane, nothing in the pool: look into all lanes at once,
 * so that "full" is the truth. Then grow, if that is allowed, else take even
 * a block that is too large. */
static void *take_anywhere(struct slab *slab, struct lane *own, unsigned class,
                           size_t size)
{
    for (unsigned i = 0; i < slab->lanes; i++)
        mutex_lock(&slab->lane[i].lock);
    struct page *page = move_pages(slab, own, class);
    if (!page)
        page = page_create(slab, own, class, size);
    while (!page && grow(slab))     /* a large block may have been quicker */
        page = page_create(slab, own, class, size);
    for (unsigned c = class + 1; !page && c < CLASSES; c++)
        page = find_open(slab, c);
    void *block = page ? take_locked(slab, acquire(&page->lane), page) : NULL;
    for (unsigned i = slab->lanes; i-- > 0;)
        mutex_unlock(&slab->lane[i].lock);
    return block;
}

/* ---- Blocks that are runs, or chunks ------------------------------------- */

/* A chunk of its own, which goes back to the system with its block. */
static void *huge_alloc_locked(struct slab *slab, size_t size)
{
    size_t head = sizeof(struct chunk) + sizeof(struct page) + LINE;

    if (!slab->grows || size > SIZE_MAX / 2)
        return NULL;
    struct chunk *chunk = chunk_create(slab, head + size, CHUNK, 1);
    if (!chunk)
        return NULL;
    pool_add(slab, chunk);
    slab->big_blocks++;
    slab->big_bytes += chunk->bytes;
    return chunk->units;
}

static void huge_free_locked(struct slab *slab, struct chunk *chunk)
{
    if (chunk->prev)
        chunk->prev->next = chunk->next;
    else
        slab->chunks = chunk->next;
    if (chunk->next)
        chunk->next->prev = chunk->prev;
    slab->bytes -= chunk->bytes;
    slab->big_blocks--;
    slab->big_bytes -= chunk->bytes;
    free(chunk);
}

static void *big_alloc(struct slab *slab, size_t size)
{
    size_t units = (size >> slab->unit_shift) +
                   ((size & (slab->unit - 1)) != 0);
    struct page *page = NULL;
    void *block = NULL;

    mutex_lock(&slab->pool);
    if (units < UINT32_MAX)
        page = pool_take(slab, units, units);
    if (!page && units <= CHUNK / slab->unit / 2 && pool_grow(slab))
        page = pool_take(slab, units, units);
    if (page) {
        page->size = 0;
        slab->big_blocks++;
        slab->big_bytes += units << slab->unit_shift;
        block = place_of(slab, page);
    } else {
        block = huge_alloc_locked(slab, size);
    }
    mutex_unlock(&slab->pool);
    return block;
}

static void big_free(struct slab *slab, struct page *page)
{
    mutex_lock(&slab->pool);
    if (page->units == 0) {
        huge_free_locked(slab, chunk_of(slab, page));
    } else {
        slab->big_blocks--;
        slab->big_bytes -= (size_t)page->units << slab->unit_shift;
        pool_give(slab, page);
    }
    mutex_unlock(&slab->pool);
}

/* ---- What slab.h promises ------------------------------------------------ */

/* Threads get numbers in the order in which they first come here; the number
 * chooses the lane. Nothing but speed depends on it. */
static unsigned own_number(void)
{
    static struct counter threads;
    static _Thread_local unsigned number;

    if (__builtin_expect(number == 0, 0))
        number = (unsigned)counter_add(&threads, 1);
    return number;
}

int slab_create(struct slab **out, const struct slab_options *options)
{
    size_t budget = options->budget, lanes = budget / (64 << 10);

    if (budget < BUDGET_MIN)
        return -EINVAL;
    if (lanes > LANES || options->grows)
        lanes = LANES;
    if (lanes == 0)
        lanes = 1;
    size_t bytes = sizeof(struct slab) + lanes * sizeof(struct lane);
    struct slab *slab;
    void *memory;
    if (posix_memalign(&memory, 2 * LINE, bytes) != 0)
        return -ENOMEM;
    slab = memory;
    *slab = (struct slab){ .lanes = (unsigned)lanes, .grows = options->grows,
                           .bytes = bytes };
    slab->unit_shift = log2_of(budget / 256 | 1);
    if (slab->unit_shift < 9)
        slab->unit_shift = 9;
    if (slab->unit_shift > 12)
        slab->unit_shift = 12;
    slab->unit = (size_t)1 << slab->unit_shift;
    slab->first = chunk_create(slab, budget, LINE, 0);
    if (!slab->first) {
        free(slab);
        return -ENOMEM;
    }
    mutex_init(&slab->pool);
    for (size_t i = 0; i < lanes; i++) {
        slab->lane[i] = (struct lane){ .blocks = 0 };
        mutex_init(&slab->lane[i].lock);
    }
    pool_add(slab, slab->first);
    pool_put(slab, slab->first->pages, slab->first->count);
    *out = slab;
    return 0;
}

void slab_destroy(struct slab *slab)
{
    if (!slab)
        return;
    for (struct chunk *c = slab->chunks, *next; c; c = next) {
        next = c->next;
        free(c);
    }
    for (unsigned i = 0; i < slab->lanes; i++)
        mutex_release(&slab->lane[i].lock);
    mutex_release(&slab->pool);
    free(slab);
}

void *slab_alloc(struct slab *slab, size_t size)
{
    if (size > BLOCKS_MIN * slab->unit)
        return big_alloc(slab, size);
    struct lane *lane = &slab->lane[own_number() % slab->lanes];
    unsigned class = class_of(size, &size);
    void *block = NULL;

    mutex_lock(&lane->lock);
    struct page *page = lane->open[class].first;
    if (!page)
        page = page_create(slab, lane, class, size);
    if (page)
        block = take_locked(slab, lane, page);
    mutex_unlock(&lane->lock);
    return block ? block : take_anywhere(slab, lane, class, size);
}

/* The page's lane, locked. */
static struct lane *lane_of(struct page *page)
{
    for (;;) {
        struct lane *lane = acquire(&page->lane);

        mutex_lock(&lane->lock);
        if (acquire(&page->lane) == lane)
            return lane;
        mutex_unlock(&lane->lock);
    }
}

void slab_free(struct slab *slab, void *block)
{
    if (!block)
        return;
    struct page *page = page_of(slab, block);
    if (page->units == 0 || page->size == 0) {
        big_free(slab, page);
        return;
    }
    struct lane *lane = lane_of(page);
    assert(page->used > 0);
    *(void **)block = page->free;
    page->free = block;
    if (page->used-- == page->room)
        list_push(&lane->open[page->class], page);
    lane->blocks--;
    lane->bytes -= page->size;
    if (page->used == 0) {
        list_remove(&lane->open[page->class], page);
        mutex_lock(&slab->pool);
        pool_give(slab, page);
        mutex_unlock(&slab->pool);
    }
    mutex_unlock(&lane->lock);
}

void slab_stats(struct slab *slab, struct slab_stats *stats)
{
    mutex_lock(&slab->pool);
    *stats = (struct slab_stats){ slab->bytes, slab->big_bytes,
                                  slab->big_blocks };
    mutex_unlock(&slab->pool);
    for (unsigned i = 0; i < slab->lanes; i++) {
        struct lane *lane = &slab->lane[i];

        mutex_lock(&lane->lock);
        stats->blocks += lane->blocks;
        stats->used_bytes += lane->bytes;
        mutex_unlock(&lane->lock);
    }
}
