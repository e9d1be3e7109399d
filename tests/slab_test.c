/* slab_test.c -- the cases of task 2.1.
 *
 * Given.
 */
#include <errno.h>
#include <malloc.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "stage2-server/slab.h"
#include "tests/driver.h"

enum { CREW = 4, KIB = 1024, EDGE = 1000 };

static struct slab *made(size_t budget, bool grows)
{
    struct slab *slab = NULL;
    struct slab_options options = { budget, grows };

    expect_int("slab_create", slab_create(&slab, &options), 0);
    expect_true("slab_create sets *out", slab != NULL);
    return slab;
}

static struct slab_stats stats_of(struct slab *slab)
{
    struct slab_stats stats;

    slab_stats(slab, &stats);
    return stats;
}

/* Blocks that are out, each filled with a byte of its own. */
struct block {
    unsigned char *at;
    size_t size;
    unsigned char byte;
};

static bool take(struct slab *slab, struct block *b, size_t size,
                 unsigned char byte)
{
    *b = (struct block){ slab_alloc(slab, size), size, byte };
    if (!b->at)
        return false;
    expect_int("a block's address, modulo SLAB_ALIGN",
               (uintptr_t)b->at % SLAB_ALIGN, 0);
    memset(b->at, byte, size);
    return true;
}

static void expect_whole(const struct block *b)
{
    for (size_t i = 0; i < b->size; i++)
        if (b->at[i] != b->byte)
            fail_case(__FILE__, __LINE__, "a block that is out",
                      "its bytes as its owner wrote them",
                      "byte %zu of %zu was changed: it overlaps another", i,
                      b->size);
}

static void give(struct slab *slab, struct block *b)
{
    expect_whole(b);
    slab_free(slab, b->at);
    b->at = NULL;
}

/* Takes blocks of the size until the slab is full, at most `most`; answers
 * how many. */
static size_t fill(struct slab *slab, struct block *b, size_t most, size_t size)
{
    size_t n = 0;

    while (n < most && take(slab, &b[n], size, (unsigned char)(n + n / 251)))
        n++;
    return n;
}

static struct block *room_for(size_t n)
{
    struct block *b = calloc(n, sizeof *b);

    expect_true("memory for the test itself", b != NULL);
    return b;
}

/* How many blocks of the size a fresh slab holds. */
static size_t fits_fresh(size_t budget, size_t size)
{
    struct slab *slab = made(budget, false);
    struct block *b = room_for(budget / size + 1);
    size_t n = fill(slab, b, budget / size + 1, size);

    free(b);
    slab_destroy(slab);
    return n;
}

/* ---- One thread ---------------------------------------------------------- */

static void blocks(const struct run *run)
{
    static const size_t sizes[] = { 1, 0, 2, 3, 7, 8, 9, 16, 24, 100, 256, 257,
                                    1000, 1023, 1024, 1025, 4096, 5000 };
    enum { N = sizeof sizes / sizeof *sizes };
    struct slab *slab = made(256 * KIB, false);
    struct block b[4 * N];

    (void)run;
    for (size_t i = 0; i < 4 * N; i++)
        expect_true("a block of an empty slab",
                    take(slab, &b[i], sizes[i % N], (unsigned char)(i + 1)));
    for (size_t i = 0; i < 4 * N; i += 2)
        give(slab, &b[i]);
    for (size_t i = 0; i < 4 * N; i += 2)
        expect_true("a block after half were freed",
                    take(slab, &b[i], sizes[i % N], (unsigned char)(i + 99)));
    for (size_t i = 0; i < 4 * N; i++)
        give(slab, &b[i]);
    slab_destroy(slab);
}

static void create_checks(const struct run *run)
{
    struct slab *slab = made(4 * KIB, false), *untouched = slab;
    struct slab_options small = { 4 * KIB - 1, false };

    (void)run;
    expect_true("a block of a slab of 4 KiB", slab_alloc(slab, 16) != NULL);
    expect_int("a budget of 4,095", slab_create(&slab, &small), -EINVAL);
    expect_true("*out is untouched on an error", slab == untouched);
    slab_free(slab, NULL);
    slab_destroy(slab);
    slab_destroy(NULL);
}

static void counts(const struct run *run)
{
    struct slab *slab = made(64 * KIB, false);
    struct slab_stats at_first = stats_of(slab), s;
    struct block b[20];

    (void)run;
    expect_int("blocks at first", at_first.blocks, 0);
    expect_int("used_bytes at first", at_first.used_bytes, 0);
    for (size_t i = 0; i < 20; i++)
        expect_true("a block of 100", take(slab, &b[i], 100, 1));
    s = stats_of(slab);
    expect_int("blocks, 20 are out", s.blocks, 20);
    expect_true("used_bytes holds what was asked for", s.used_bytes >= 2000);
    expect_true("used_bytes is within the chunk", s.used_bytes < s.chunk_bytes);
    for (size_t i = 0; i < 20; i++)
        give(slab, &b[i]);
    s = stats_of(slab);
    expect_int("blocks, all came back", s.blocks, 0);
    expect_int("used_bytes, all came back", s.used_bytes, 0);
    expect_int("chunk_bytes stays", s.chunk_bytes, at_first.chunk_bytes);
    slab_destroy(slab);
}

static void full(const struct run *run)
{
    size_t budget = run->size * KIB, most = budget / 64;
    struct slab *slab = made(budget, false);
    struct block *b = room_for(most + 1);
    size_t n = fill(slab, b, most + 1, 64);

    expect_true("some blocks of 64 bytes fit", n > 0);
    expect_true("no more than the budget holds", n <= most);
    expect_true("a block of a full slab is NULL", !slab_alloc(slab, 64));
    expect_true("as is one larger than the budget",
                !slab_alloc(slab, 2 * budget));
    expect_int("blocks of a full slab", stats_of(slab).blocks, n);
    for (size_t i = 0; i < n; i += 3) {
        give(slab, &b[i]);
        expect_true("a block where one has come back",
                    take(slab, &b[i], 64, (unsigned char)i));
        expect_true("and then it is full again", !slab_alloc(slab, 64));
    }
    for (size_t i = 0; i < n; i++)
        give(slab, &b[i]);
    free(b);
    slab_destroy(slab);
}

static void fits_three_quarters(size_t budget, size_t size)
{
    size_t bytes = fits_fresh(budget, size) * size;

    if (bytes < budget / 4 * 3)
        fail_case(__FILE__, __LINE__, "filling a slab with one size",
                  "at least three quarters of the budget",
                  "a budget of %zu, blocks of %zu: %zu bytes", budget, size,
                  bytes);
}

/* The smallest and the largest sizes, and some between them: every second a
 * small one, where a block's own book-keeping would show. */
static void three_quarters(const struct run *run)
{
    uint64_t random = run->seed;

    for (size_t budget = 4 * KIB; budget <= 1024 * KIB; budget *= 2) {
        size_t most = budget / 64, small = most < 256 ? most : 256;

        for (size_t size = 16; size <= 40 && size <= most; size += 8)
            fits_three_quarters(budget, size);
        fits_three_quarters(budget, most);
        fits_three_quarters(budget, most - 8);
        for (size_t round = 0; round < run->size; round++) {
            size_t upto = round % 2 ? small : most;

            fits_three_quarters(budget, 16 + next_random(&random) %
                                            (upto - 15) / 8 * 8);
        }
    }
}

/* Fills with one size, frees all, fills with another: as in a fresh slab. */
static void other_sizes(const struct run *run)
{
    static const size_t sizes[] = { 16, 64, 1024, 40, 256, 200, 16 };
    size_t budget = run->size * KIB;
    struct slab *slab = made(budget, false);
    struct block *b = room_for(budget / 16 + 1);

    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        size_t fresh = fits_fresh(budget, sizes[i]);
        size_t n = fill(slab, b, budget / 16 + 1, sizes[i]);

        if (n < fresh - fresh / 10)
            fail_case(__FILE__, __LINE__, "filling a slab again, all was freed",
                      "at least 90 % of what fits a fresh one",
                      "%zu blocks of %zu bytes, not %zu", n, sizes[i], fresh);
        for (size_t k = 0; k < n; k += 2)
            give(slab, &b[k]);
        for (size_t k = 1; k < n; k += 2)
            give(slab, &b[k]);
    }
    free(b);
    slab_destroy(slab);
}

/* Takes and gives at random, beside an array that knows better. */
static void model(const struct run *run)
{
    enum { N = 300 };
    uint64_t random = run->seed;
    struct slab *slab = made(64 * KIB, false);
    struct block b[N] = { { 0 } };
    size_t out = 0, bytes = 0;

    for (size_t i = 0; i < run->size; i++) {
        struct block *one = &b[next_random(&random) % N];
        size_t size = next_random(&random) % (i % 10 ? 300 : 3000);

        if (one->at) {
            bytes -= one->size;
            out--;
            give(slab, one);
        } else if (take(slab, one, size, (unsigned char)i)) {
            bytes += size;
            out++;
        } else {
            expect_true("an empty slab is not full", out > 0);
        }
        if (i % 16 == 0) {
            expect_int("blocks", stats_of(slab).blocks, out);
            expect_true("used_bytes holds what was asked for",
                        stats_of(slab).used_bytes >= bytes);
        }
    }
    for (size_t i = 0; i < N; i++)
        if (b[i].at)
            give(slab, &b[i]);
    expect_int("blocks in the end", stats_of(slab).blocks, 0);
    size_t n = fill(slab, b, N, 256), fresh = fits_fresh(64 * KIB, 256);
    expect_true("in the end 90 % of a fresh slab's blocks of 256 fit",
                n >= fresh - fresh / 10);
    slab_destroy(slab);
}

static void no_malloc(const struct run *run)
{
    struct slab *slab = made(64 * KIB, false);
    struct block b[200];

    (void)run;
    struct mallinfo2 before = mallinfo2();
    for (int round = 0; round < 10; round++) {
        size_t n = fill(slab, b, 200, 50 + 40 * (size_t)round);

        expect_true("some blocks fit", n > 50);
        while (n > 0)
            give(slab, &b[--n]);
    }
    struct mallinfo2 after = mallinfo2();
    expect_int("bytes of malloc in use, by filling a slab",
               after.uordblks + after.hblkhd, before.uordblks + before.hblkhd);
    slab_destroy(slab);
}

static void grows(const struct run *run)
{
    struct slab *slab = made(16 * KIB, true);
    struct block *b = room_for(run->size), big, also;
    struct slab_stats s;

    for (size_t i = 0; i < run->size; i++)
        expect_true("a slab that may grow is never full",
                    take(slab, &b[i], i % 10 ? 100 : 2000, (unsigned char)i));
    for (size_t i = 0; i < run->size; i++)
        expect_whole(&b[i]);
    s = stats_of(slab);
    expect_int("blocks", s.blocks, run->size);
    expect_true("chunk_bytes have all of them",
                s.chunk_bytes > 100 * run->size);
    for (int round = 0; round < 20; round++) {
        expect_true("a block larger than the budget",
                    take(slab, &big, 100 * KIB, 1));
        expect_true("and one larger than a chunk may be",
                    take(slab, &also, 3000 * KIB, 2));
        give(slab, &big);
        give(slab, &also);
    }
    expect_true("what large blocks give back is used again",
                stats_of(slab).chunk_bytes < s.chunk_bytes + 16384 * KIB);
    for (size_t i = 0; i < run->size; i++)
        give(slab, &b[i]);
    expect_int("blocks in the end", stats_of(slab).blocks, 0);
    free(b);
    slab_destroy(slab);
}

/* Everything is freed with the slab (memcheck looks). */
static void destroy_takes_all(const struct run *run)
{
    struct slab *slab = made(16 * KIB, true);
    struct block b;

    for (size_t i = 0; i < run->size; i++)
        expect_true("a block", take(slab, &b, 1000, 1));
    expect_true("a large block", take(slab, &b, 3000 * KIB, 1));
    expect_int("blocks", stats_of(slab).blocks, run->size + 1);
    slab_destroy(slab);
}

/* ---- Threads ------------------------------------------------------------- */

struct worker {
    struct actor actor;
    struct slab *slab;
    uint64_t random;
    size_t steps, taken;
};

static void work(void *arg)
{
    enum { N = 40 };
    struct worker *w = arg;
    struct block b[N] = { { 0 } };

    for (size_t i = 0; i < w->steps; i++) {
        struct block *one = &b[next_random(&w->random) % N];

        if (one->at)
            give(w->slab, one);
        else
            w->taken += take(w->slab, one, next_random(&w->random) % 200,
                             (unsigned char)next_random(&w->random));
    }
    for (size_t i = 0; i < N; i++)
        if (b[i].at)
            give(w->slab, &b[i]);
}

/* Places for a block, each with its lock: whoever comes puts one in, and
 * frees the one that is there, somebody else's most likely. */
enum { PLACES = 16 };
static struct place {
    pthread_mutex_t lock;
    struct block block;
} places[PLACES];

static void put_in(struct worker *w, struct place *p, struct block mine)
{
    struct block other;

    pthread_mutex_lock(&p->lock);
    other = p->block;
    p->block = mine;
    pthread_mutex_unlock(&p->lock);
    if (other.at)
        give(w->slab, &other);
}

static void trade(void *arg)
{
    struct worker *w = arg;

    for (size_t i = 0; i < w->steps; i++) {
        struct place *p = &places[next_random(&w->random) % PLACES];
        struct block mine;

        if (!take(w->slab, &mine, next_random(&w->random) % 200,
                  (unsigned char)next_random(&w->random)))
            continue;
        w->taken++;
        put_in(w, p, mine);
    }
}

static void crew_works(struct slab *slab, const struct run *run,
                       struct worker *w, void (*fn)(void *))
{
    for (int i = 0; i < CREW; i++) {
        w[i] = (struct worker){ .slab = slab, .steps = run->size,
                                .random = run->seed + (uint64_t)i };
        actor_start(&w[i].actor, fn, &w[i]);
    }
    for (int i = 0; i < CREW; i++)
        actor_join(&w[i].actor);
}

/* The crew at the places; these are emptied in the end. */
static void crowd_trades(struct slab *slab, const struct run *run,
                         struct worker *w, void (*fn)(void *))
{
    for (int i = 0; i < PLACES; i++)
        pthread_mutex_init(&places[i].lock, NULL);
    crew_works(slab, run, w, fn);
    for (int i = 0; i < PLACES; i++) {
        if (places[i].block.at)
            give(slab, &places[i].block);
        pthread_mutex_destroy(&places[i].lock);
    }
}

static void crowd(const struct run *run)
{
    struct slab *slab = made(256 * KIB, false);
    struct worker w[CREW];

    crowd_trades(slab, run, w, trade);
    for (int i = 0; i < CREW; i++)
        expect_int("blocks that a thread took", w[i].taken, run->size);
    expect_int("blocks in the end", stats_of(slab).blocks, 0);
    slab_destroy(slab);
}

/* As trade, with blocks of one size; where there is no room the place's own
 * goes back, and it stays empty. */
static void trade_at_the_edge(void *arg)
{
    struct worker *w = arg;

    for (size_t i = 0; i < w->steps; i++) {
        struct place *p = &places[next_random(&w->random) % PLACES];
        struct block mine;

        w->taken += take(w->slab, &mine, EDGE,
                         (unsigned char)next_random(&w->random));
        put_in(w, p, mine);
    }
}

/* One thread has filled the slab, but for fewer blocks than there are
 * threads: these live on what each other frees. */
static void crowd_at_the_edge(const struct run *run)
{
    size_t most = 512 * KIB / EDGE;
    struct slab *slab = made(512 * KIB, false);
    struct block *b = room_for(most);
    size_t n = fill(slab, b, most, EDGE), taken = 0;
    struct worker w[CREW];

    for (size_t i = 0; i < 3; i++)
        give(slab, &b[i * n / 3]);
    crowd_trades(slab, run, w, trade_at_the_edge);
    for (int i = 0; i < CREW; i++)
        taken += w[i].taken;
    expect_true("a thread gets what others freed", taken > run->size / 4);
    for (size_t i = 0; i < 3; i++)
        expect_true("in the end, room for what was given back",
                    take(slab, &b[i * n / 3], EDGE, 1));
    for (size_t i = 0; i < n; i++)
        give(slab, &b[i]);
    expect_int("blocks in the end", stats_of(slab).blocks, 0);
    free(b);
    slab_destroy(slab);
}

static void crowd_on(struct slab *slab, const struct run *run)
{
    struct worker w[CREW];

    crew_works(slab, run, w, work);
    for (int i = 0; i < CREW; i++)
        expect_true("blocks that a thread took", w[i].taken > 0);
    expect_int("blocks in the end", stats_of(slab).blocks, 0);
    expect_int("used_bytes in the end", stats_of(slab).used_bytes, 0);
    slab_destroy(slab);
}

static void crowd_full(const struct run *run)
{
    crowd_on(made(8 * KIB, false), run);
}

static void crowd_grows(const struct run *run)
{
    crowd_on(made(4 * KIB, true), run);
}

struct filler {
    struct actor actor;
    struct slab *slab;
    struct block *b;
    size_t most, n, size;
};

static void fill_in_actor(void *arg)
{
    struct filler *f = arg;

    f->n = fill(f->slab, f->b, f->most, f->size);
}

static void free_in_actor(void *arg)
{
    struct filler *f = arg;

    for (size_t i = 0; i < f->n; i++)
        give(f->slab, &f->b[i]);
}

/* Blocks of one thread are freed by another, and had by a third. */
static void hand_over(const struct run *run)
{
    struct slab *slab = made(256 * KIB, false);
    struct filler f = { .slab = slab, .most = run->size, .size = 100 };

    f.b = room_for(run->size);
    for (int round = 0; round < 3; round++) {
        actor_start(&f.actor, fill_in_actor, &f);
        actor_join(&f.actor);
        expect_int("blocks that a thread takes", f.n, run->size);
        actor_start(&f.actor, free_in_actor, &f);
        actor_join(&f.actor);
        expect_int("blocks, after another freed them", stats_of(slab).blocks,
                   0);
    }
    free(f.b);
    slab_destroy(slab);
}

/* One thread fills the slab and frees every second block: another gets them. */
static void free_for_others(const struct run *run)
{
    size_t budget = run->size * KIB, most = budget / 100;
    struct slab *slab = made(budget, false);
    struct filler f = { .slab = slab, .most = most, .size = 100 };
    struct block *b = room_for(most);
    size_t n = fill(slab, b, most, 100), freed = 0;

    f.b = room_for(most);
    for (size_t i = 0; i < n; i += 2, freed++)
        give(slab, &b[i]);
    actor_start(&f.actor, fill_in_actor, &f);
    actor_join(&f.actor);
    expect_true("another thread gets 90 % of what was freed",
                freed > 100 && f.n >= freed - freed / 10);
    for (size_t i = 1; i < n; i += 2)
        give(slab, &b[i]);
    free_in_actor(&f);
    free(b);
    free(f.b);
    slab_destroy(slab);
}

/* ---- For the explorer ---------------------------------------------------- */

static void take_twice(void *arg)
{
    struct worker *w = arg;
    struct block one, two;

    for (size_t i = 0; i < w->steps; i++) {
        bool first = take(w->slab, &one, 480, (unsigned char)w->random);
        bool second = take(w->slab, &two, 480, (unsigned char)w->random);

        w->taken += first + second;
        slab_stats(w->slab, &(struct slab_stats){ 0 });
        if (first)
            give(w->slab, &one);
        if (second)
            give(w->slab, &two);
    }
}

/* Two threads in a slab that has three blocks for the four they want. */
static void small_crowd(const struct run *run)
{
    struct slab *slab = made(4 * KIB, false);
    struct worker w[2];
    struct block rest[16];
    size_t n = fill(slab, rest, 16, 480);

    expect_true("some blocks of 480 in 4 KiB", n >= 3);
    for (size_t i = n - 3; i < n; i++)
        give(slab, &rest[i]);
    for (size_t i = 0; i < 2; i++) {
        w[i] = (struct worker){ .slab = slab, .steps = run->size,
                                .random = 100 + i };
        actor_start(&w[i].actor, take_twice, &w[i]);
    }
    for (size_t i = 0; i < 2; i++) {
        actor_join(&w[i].actor);
        expect_true("three blocks are free: each thread gets one",
                    w[i].taken >= run->size);
    }
    for (size_t i = 0; i < n - 3; i++)
        give(slab, &rest[i]);
    expect_int("blocks in the end", stats_of(slab).blocks, 0);
    slab_destroy(slab);
}

static void take_one(void *arg)
{
    struct filler *f = arg;

    for (size_t i = 0; i < f->most; i++)
        f->n += take(f->slab, &f->b[f->n], f->size, (unsigned char)i);
}

/* The slab is full but for a block or two: one thread gets them, while
 * another gives back what lies beside. */
static void small_edge(const struct run *run)
{
    enum { BUDGET = 128 * KIB, SIZE = 4000, MOST = BUDGET / SIZE };
    struct slab *slab = made(BUDGET, false);
    struct block rest[MOST], got[2];
    size_t n = fill(slab, rest, MOST, SIZE);
    struct filler taker = { .slab = slab, .b = got, .most = 2, .size = SIZE };
    struct filler giver = { .slab = slab, .b = rest + 1, .n = run->size };

    give(slab, &rest[0]);
    actor_start(&taker.actor, take_one, &taker);
    actor_start(&giver.actor, free_in_actor, &giver);
    actor_join(&taker.actor);
    actor_join(&giver.actor);
    expect_true("a block is free: the other thread gets it", taker.n > 0);
    free_in_actor(&taker);
    for (size_t i = run->size + 1; i < n; i++)
        give(slab, &rest[i]);
    expect_int("blocks in the end", stats_of(slab).blocks, 0);
    size_t again = fill(slab, rest, MOST, SIZE);
    expect_true("as many blocks as before", again >= n - n / 10 && again <= n);
    for (size_t i = 0; i < again; i++)
        give(slab, &rest[i]);
    slab_destroy(slab);
}

static const struct test_case cases[] = {
    { "blocks", blocks, 1 },
    { "create_checks", create_checks, 1 },
    { "counts", counts, 1 },
    { "full", full, 64 },
    { "three_quarters", three_quarters, 20 },
    { "other_sizes", other_sizes, 256 },
    { "model", model, 50000 },
    { "no_malloc", no_malloc, 1 },
    { "grows", grows, 20000 },
    { "destroy_takes_all", destroy_takes_all, 5000 },
    { "crowd", crowd, 50000 },
    { "crowd_full", crowd_full, 20000 },
    { "crowd_at_the_edge", crowd_at_the_edge, 20000 },
    { "crowd_grows", crowd_grows, 20000 },
    { "hand_over", hand_over, 1000 },
    { "free_for_others", free_for_others, 512 },
    { "small_crowd", small_crowd, 2 },
    { "small_edge", small_edge, 2 },
    { NULL, NULL, 0 },
};

int main(int argc, char **argv)
{
    return driver_main(argc, argv, cases);
}
