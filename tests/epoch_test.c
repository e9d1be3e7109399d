/* epoch_test.c -- the cases of tasks 5.1 and 5.2.
 *
 * Given.
 */
#include <errno.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "common/counter.h"
#include "common/lock.h"
#include "common/publish.h"
#include "stage5-compaction/epoch.h"
#include "tests/driver.h"
#include "tests/wraps.h"

enum { CREW = 4, MANY = 16 };

static struct epoch *made(void)
{
    struct epoch *epoch = NULL;

    expect_int("epoch_create", epoch_create(&epoch), 0);
    expect_true("epoch_create sets *out", epoch != NULL);
    return epoch;
}

static struct epoch_reader *registered(struct epoch *epoch)
{
    struct epoch_reader *reader = epoch_register(epoch);

    expect_true("epoch_register answers a reader", reader != NULL);
    return reader;
}

static struct epoch_stats stats_of(struct epoch *epoch)
{
    struct epoch_stats stats = { .readers = 12345 };

    epoch_stats(epoch, &stats);
    return stats;
}

/* ---- 5.1: readers -------------------------------------------------------- */

static void readers(const struct run *run)
{
    struct epoch *epoch = made();
    struct epoch_reader *r[MANY];

    (void)run;
    expect_int("readers at first", stats_of(epoch).readers, 0);
    for (int i = 0; i < MANY; i++) {
        r[i] = registered(epoch);
        for (int j = 0; j < i; j++)
            expect_true("each register answers another reader", r[j] != r[i]);
        expect_int("readers", stats_of(epoch).readers, i + 1);
    }
    epoch_enter(r[3]);
    epoch_leave(r[3]);
    for (int i = 0; i < MANY; i++)
        epoch_unregister(r[i]);
    expect_int("readers, when all have left", stats_of(epoch).readers, 0);
    r[0] = registered(epoch);
    expect_int("readers", stats_of(epoch).readers, 1);
    epoch_destroy(epoch);       /* with a reader that is still registered */
    epoch_destroy(NULL);
}

/* Whoever leaves makes room for the next: few records serve many. */
static void records_again(const struct run *run)
{
    enum { ALIVE = 8, MOST = 64 };
    struct epoch *epoch = made();
    struct epoch_reader *alive[ALIVE], *seen[MOST] = { NULL };
    uint64_t random = run->seed;
    int n = 0;

    for (int i = 0; i < ALIVE; i++)
        alive[i] = registered(epoch);
    for (size_t i = 0; i < run->size; i++) {
        int at = (int)(next_random(&random) % ALIVE), j = 0;

        epoch_enter(alive[at]);
        epoch_leave(alive[at]);
        epoch_unregister(alive[at]);
        alive[at] = registered(epoch);
        while (j < n && seen[j] != alive[at])
            j++;
        if (j == n && n < MOST)
            seen[n++] = alive[at];
    }
    expect_at_most("different records, with 8 readers at a time", n, MOST - 1);
    expect_int("readers", stats_of(epoch).readers, ALIVE);
    epoch_destroy(epoch);
}

static void no_memory(const struct run *run)
{
    struct epoch *epoch = made(), *untouched = epoch;
    struct epoch_reader *reader = registered(epoch);

    (void)run;
    malloc_fails(true);
    int err = epoch_create(&untouched);
    struct epoch_reader *none = epoch_register(epoch);
    struct epoch_reader *here = epoch_here(epoch);
    malloc_fails(false);
    expect_int("epoch_create without memory", err, -ENOMEM);
    expect_true("*out is untouched on an error", untouched == epoch);
    expect_true("epoch_register without memory answers NULL", none == NULL);
    expect_true("epoch_here without memory answers NULL", here == NULL);
    expect_int("readers", stats_of(epoch).readers, 1);
    epoch_enter(reader);
    epoch_leave(reader);
    expect_true("epoch_register, with memory again",
                epoch_register(epoch) != NULL);
    epoch_destroy(epoch);
}

static void no_locks(const struct run *run)
{
    struct epoch *epoch = made();
    struct epoch_reader *reader = registered(epoch);

    epoch_enter(epoch_here(epoch));
    epoch_leave(epoch_here(epoch));
    uint64_t before = lock_calls();
    for (size_t i = 0; i < run->size; i++) {
        epoch_enter(reader);
        epoch_leave(reader);
        epoch_enter(epoch_here(epoch));
        epoch_leave(epoch_here(epoch));
    }
    expect_int("lock calls by enter and leave", lock_calls() - before, 0);
    epoch_synchronize(epoch);
    epoch_destroy(epoch);
}

/* ---- 5.1: waiting for a grace period ------------------------------------- */

/* A thread that waits for a grace period. */
struct waiter {
    struct actor actor;
    struct epoch *epoch;
    size_t rounds;
};

static void synchronize(void *arg)
{
    struct waiter *w = arg;

    epoch_synchronize(w->epoch);
}

/* Long enough for whoever does not wait to be through. */
static void expect_waits(struct waiter *w)
{
    for (int i = 0; i < 200; i++) {
        expect_true("synchronize, while a reader is inside, waits",
                    !actor_done(&w->actor));
        sched_yield();
    }
}

static void grace_waits(const struct run *run)
{
    for (size_t i = 0; i < run->size; i++) {
        struct epoch *epoch = made();
        struct epoch_reader *r[3];
        struct waiter w = { .epoch = epoch };

        for (int j = 0; j < 3; j++)
            r[j] = registered(epoch);
        epoch_synchronize(epoch);
        epoch_enter(r[i % 3]);
        actor_start(&w.actor, synchronize, &w);
        expect_waits(&w);
        epoch_leave(r[i % 3]);
        expect_soon("synchronize, when the reader has left", "it returns",
                    actor_done, &w.actor);
        actor_join(&w.actor);
        epoch_destroy(epoch);
    }
}

static void nesting(const struct run *run)
{
    struct epoch *epoch = made();
    struct epoch_reader *r = registered(epoch);
    struct waiter w = { .epoch = epoch };

    (void)run;
    epoch_enter(r);
    epoch_enter(r);
    epoch_leave(r);
    epoch_enter(r);
    epoch_enter(r);
    actor_start(&w.actor, synchronize, &w);
    expect_waits(&w);
    epoch_leave(r);
    epoch_leave(r);
    expect_waits(&w);
    epoch_leave(r);
    expect_soon("synchronize, after the last of nested leaves", "it returns",
                actor_done, &w.actor);
    actor_join(&w.actor);
    epoch_enter(r);
    epoch_leave(r);
    epoch_synchronize(epoch);
    epoch_destroy(epoch);
}

/* At every moment somebody is inside, but nobody stays. */
struct turns {
    struct epoch_reader *r[2];
    struct waiter *waiter;
    uint64_t n;
};

static bool take_turns(void *arg)
{
    struct turns *t = arg;

    for (int i = 0; i < 20; i++, t->n++) {
        epoch_enter(t->r[(t->n + 1) % 2]);
        epoch_leave(t->r[t->n % 2]);
    }
    return actor_done(&t->waiter->actor);
}

static void by_turns(const struct run *run)
{
    for (size_t i = 0; i < run->size; i++) {
        struct epoch *epoch = made();
        struct waiter w = { .epoch = epoch };
        struct turns t = { { registered(epoch), registered(epoch) }, &w, 0 };

        epoch_enter(t.r[0]);
        actor_start(&w.actor, synchronize, &w);
        expect_waits(&w);
        expect_soon("synchronize, with somebody always inside but nobody "
                    "all the time", "it returns", take_turns, &t);
        epoch_leave(t.r[t.n % 2]);
        actor_join(&w.actor);
        epoch_destroy(epoch);
    }
}

/* A shelf with one box on it. A writer puts another box there, waits for a
 * grace period and breaks the old one. Whoever looks at it inside finds it
 * whole. */
struct box {
    uint64_t a, b;      /* equal while it is whole */
};

struct shelf {
    struct epoch *epoch;
    void *_Atomic box;
    struct counter over;
};

/* (Not free, so that a broken box can be seen without a tool, too.) */
static void break_box(struct box *box)
{
    box->a = 1;
    box->b = 2;
}

static void look_at_box(struct shelf *shelf, struct epoch_reader *reader,
                        bool rest)
{
    epoch_enter(reader);
    struct box *box = acquire(&shelf->box);
    uint64_t a = box->a;
    if (rest)
        sched_yield();
    expect_int("what is found inside is not broken before the leave", box->b,
               a);
    epoch_leave(reader);
}

static struct box *new_box(uint64_t n)
{
    struct box *box = malloc(sizeof *box);

    expect_true("memory for the test itself", box != NULL);
    *box = (struct box){ n, n };
    return box;
}

struct looker {
    struct actor actor;
    struct shelf *shelf;
    size_t rounds;
};

/* Comes, looks a few times, goes: again and again. */
static void come_and_look(void *arg)
{
    struct looker *l = arg;

    for (size_t i = 0; !counter_get(&l->shelf->over); i++) {
        struct epoch_reader *reader = registered(l->shelf->epoch);

        for (int j = 0; j < 5; j++)
            look_at_box(l->shelf, reader, (i + (size_t)j) % 3 == 0);
        epoch_unregister(reader);
        sched_yield();
    }
}

static void grace_crowd(const struct run *run)
{
    struct shelf shelf = { .epoch = made() };
    struct looker l[CREW];
    struct box **old = calloc(run->size, sizeof *old);

    expect_true("memory for the test itself", old != NULL);
    publish(&shelf.box, new_box(0));
    for (int i = 0; i < CREW; i++) {
        l[i] = (struct looker){ .shelf = &shelf };
        actor_start(&l[i].actor, come_and_look, &l[i]);
    }
    for (size_t i = 0; i < run->size; i++) {
        old[i] = acquire(&shelf.box);
        publish(&shelf.box, new_box(i + 1));
        epoch_synchronize(shelf.epoch);
        break_box(old[i]);
    }
    counter_add(&shelf.over, 1);
    for (int i = 0; i < CREW; i++)
        actor_join(&l[i].actor);
    expect_int("readers, when all have left", stats_of(shelf.epoch).readers, 0);
    for (size_t i = 0; i < run->size; i++)
        free(old[i]);
    free(old);
    free(acquire(&shelf.box));
    epoch_destroy(shelf.epoch);
}

/* For the explorer: one looks twice, one writes. */
static void look_twice(void *arg)
{
    struct looker *l = arg;
    struct epoch_reader *reader = registered(l->shelf->epoch);

    for (size_t i = 0; i < l->rounds; i++)
        look_at_box(l->shelf, reader, true);
    epoch_unregister(reader);
}

static void small_grace(const struct run *run)
{
    struct shelf shelf = { .epoch = made() };
    struct looker l[2];
    struct box boxes[2] = { { 5, 5 }, { 6, 6 } };

    publish(&shelf.box, &boxes[0]);
    for (int i = 0; i < 2; i++) {
        l[i] = (struct looker){ .shelf = &shelf, .rounds = run->size };
        actor_start(&l[i].actor, look_twice, &l[i]);
    }
    publish(&shelf.box, &boxes[1]);
    epoch_synchronize(shelf.epoch);
    break_box(&boxes[0]);
    for (int i = 0; i < 2; i++)
        actor_join(&l[i].actor);
    epoch_destroy(shelf.epoch);
}

/* ---- 5.1: the thread's own reader (epoch_here.c is given, and needs it) -- */

struct visitor {
    struct actor actor;
    struct epoch *epoch, *other;
    struct epoch_reader *reader;
    struct counter go, arrived;
};

static bool has_arrived(void *arg)
{
    struct visitor *v = arg;

    return counter_get(&v->arrived) > 0;
}

static bool may_go(void *arg)
{
    struct visitor *v = arg;

    return counter_get(&v->go) > 0;
}

static void visit(void *arg)
{
    struct visitor *v = arg;

    v->reader = epoch_here(v->epoch);
    expect_true("epoch_here answers a reader", v->reader != NULL);
    if (v->other)
        expect_true("of each epoch",
                    epoch_here(v->other) != epoch_here(v->epoch));
    expect_true("the same one each time", epoch_here(v->epoch) == v->reader);
    epoch_enter(v->reader);
    epoch_leave(v->reader);
    counter_add(&v->arrived, 1);
    expect_soon("the test itself", "goes on", may_go, v);
}

static void here_threads(const struct run *run)
{
    struct epoch *epoch = made();
    struct epoch_reader *mine = epoch_here(epoch);
    struct visitor v[CREW] = { { .epoch = NULL } };

    (void)run;
    expect_true("epoch_here answers a reader", mine != NULL);
    for (int i = 0; i < CREW; i++) {
        v[i].epoch = epoch;
        actor_start(&v[i].actor, visit, &v[i]);
        expect_soon("a thread", "gets its reader", has_arrived, &v[i]);
        expect_int("readers", stats_of(epoch).readers, i + 2);
        for (int j = 0; j < i; j++)
            expect_true("each thread has its own", v[j].reader != v[i].reader);
        expect_true("each thread has its own", v[i].reader != mine);
    }
    for (int i = 0; i < CREW; i++) {
        counter_add(&v[i].go, 1);
        actor_join(&v[i].actor);
        expect_int("readers, when a thread has ended",
                   stats_of(epoch).readers, CREW - i);
    }
    expect_true("this thread has the same one", epoch_here(epoch) == mine);
    epoch_destroy(epoch);
}

/* Epochs that die before their threads do, and others in their place. */
static void here_epochs(const struct run *run)
{
    struct visitor v = { .epoch = made(), .other = made() };

    actor_start(&v.actor, visit, &v);
    expect_soon("a thread", "gets its reader", has_arrived, &v);
    for (size_t i = 0; i < run->size; i++) {
        struct epoch *epochs[6];

        for (int j = 0; j < 6; j++) {
            epochs[j] = made();
            epoch_enter(epoch_here(epochs[j]));
            epoch_leave(epoch_here(epochs[j]));
            expect_int("readers of a new epoch", stats_of(epochs[j]).readers,
                       1);
        }
        for (int j = 0; j < 12; j++)
            expect_int("readers of a new epoch, by turns",
                       (epoch_here(epochs[j * 5 % 6]),
                        stats_of(epochs[j * 5 % 6]).readers), 1);
        for (int j = 0; j < 6; j++)
            epoch_destroy(epochs[j]);
    }
    epoch_destroy(v.other);
    counter_add(&v.go, 1);
    actor_join(&v.actor);
    expect_int("readers, when the thread has ended", stats_of(v.epoch).readers,
               0);
    epoch_destroy(v.epoch);
}

/* ---- 5.2: retiring ------------------------------------------------------- */

/* Things to retire, and how often each was reclaimed. */
struct things {
    struct counter *times;
    uint64_t n;
};

static struct things new_things(uint64_t n)
{
    struct things t = { calloc(n, sizeof *t.times), n };

    expect_true("memory for the test itself", t.times != NULL);
    return t;
}

static void count_thing(void *arg, void *what)
{
    struct things *t = arg;
    uint64_t at = (uint64_t)((struct counter *)what - t->times);

    expect_true("fn gets what was retired, and arg", at < t->n);
    counter_add(&t->times[at], 1);
}

static void retire_thing(struct epoch *epoch, struct things *t, uint64_t n)
{
    epoch_retire(epoch, &t->times[n], 10, count_thing, t);
}

static void expect_times(struct things *t, uint64_t from, uint64_t to,
                         uint64_t times)
{
    for (uint64_t i = from; i < to; i++)
        expect_int("how often a retired thing is reclaimed",
                   counter_get(&t->times[i]), times);
}

static void retire(const struct run *run)
{
    struct epoch *epoch = made();
    struct things t = new_things(run->size);

    for (uint64_t i = 0; i < run->size; i++)
        retire_thing(epoch, &t, i);
    expect_int("retired", stats_of(epoch).retired, run->size);
    expect_int("what waits after epoch_reclaim, with nobody inside",
               epoch_reclaim(epoch), 0);
    expect_times(&t, 0, t.n, 1);
    struct epoch_stats s = stats_of(epoch);
    expect_int("reclaimed", s.reclaimed, run->size);
    expect_int("waiting", s.waiting, 0);
    expect_int("waiting_bytes", s.waiting_bytes, 0);
    expect_int("epoch_reclaim of nothing", epoch_reclaim(epoch), 0);
    retire_thing(epoch, &t, 0);
    epoch_synchronize(epoch);
    expect_times(&t, 0, 1, 2);
    expect_times(&t, 1, t.n, 1);
    epoch_destroy(epoch);
    free(t.times);
}

static void not_before_leave(const struct run *run)
{
    struct epoch *epoch = made();
    struct epoch_reader *r[3];
    struct things t = new_things(run->size);
    uint64_t n = 0, kept;

    for (int i = 0; i < 3; i++)
        r[i] = registered(epoch);
    retire_thing(epoch, &t, n++);
    expect_int("what waits, with nobody inside", epoch_reclaim(epoch), 0);
    for (int round = 0; round < 6; round++) {
        epoch_enter(r[round % 3]);
        for (kept = n; n < kept + t.n / 8;) {
            retire_thing(epoch, &t, n++);
            if (n % 16 == 0)
                expect_true("what was retired since somebody is inside waits",
                            epoch_reclaim(epoch) >= n - kept);
        }
        epoch_enter(r[(round + 1) % 3]);    /* others come and go */
        epoch_reclaim(epoch);
        epoch_leave(r[(round + 1) % 3]);
        expect_times(&t, kept, n, 0);
        expect_true("so the counts say", stats_of(epoch).waiting >= n - kept);
        expect_true("and bytes",
                    stats_of(epoch).waiting_bytes >= 10 * (n - kept));
        epoch_leave(r[round % 3]);
        expect_int("what waits when he has left", epoch_reclaim(epoch), 0);
        expect_times(&t, 0, n, 1);
    }
    epoch_destroy(epoch);
    free(t.times);
}

/* Who enters while others are inside keeps what is retired then, also when
 * the others leave. */
static void not_before_each_leaves(const struct run *run)
{
    struct epoch *epoch = made();
    struct epoch_reader *r[4];
    struct things t = new_things(4 * run->size);

    for (int i = 0; i < 4; i++) {
        r[i] = registered(epoch);
        epoch_enter(r[i]);
        for (uint64_t k = 0; k < run->size; k++)
            retire_thing(epoch, &t, (uint64_t)i * run->size + k);
        epoch_reclaim(epoch);
    }
    expect_int("retired", stats_of(epoch).retired, 4 * run->size);
    /* The others leave before the first, who may have everything. */
    for (int i = 3; i > 0; i--) {
        epoch_leave(r[i]);
        epoch_reclaim(epoch);
        epoch_reclaim(epoch);
        expect_times(&t, 0, t.n, 0);
    }
    epoch_enter(r[3]);
    epoch_leave(r[0]);
    epoch_leave(r[3]);
    expect_int("what waits when all have left", epoch_reclaim(epoch), 0);
    expect_times(&t, 0, t.n, 1);
    epoch_destroy(epoch);
    free(t.times);
}

static void nothing(void *arg, void *what)
{
    (void)arg, (void)what;
}

/* At every moment somebody is inside, but nobody stays: what waits stays
 * little, and so it does with nobody inside. */
static void bounded(const struct run *run)
{
    struct epoch *epoch = made();
    struct epoch_reader *r[2] = { registered(epoch), registered(epoch) };
    size_t most = 0, most_alone = 0;

    for (size_t i = 0; i < run->size; i++) {
        epoch_retire(epoch, r, 10, nothing, NULL);
        if (i % 500 == 0 && stats_of(epoch).waiting > most_alone)
            most_alone = stats_of(epoch).waiting;
    }
    epoch_enter(r[0]);
    for (size_t i = 0; i < run->size; i++) {
        epoch_retire(epoch, r, 10, nothing, NULL);
        if (i % 20 == 0) {
            epoch_enter(r[(i / 20 + 1) % 2]);
            epoch_leave(r[i / 20 % 2]);
        }
        if (i % 500 == 0 && stats_of(epoch).waiting > most)
            most = stats_of(epoch).waiting;
    }
    epoch_leave(r[((run->size - 1) / 20 + 1) % 2]);
    expect_int("retired", stats_of(epoch).retired, 2 * run->size);
    expect_at_most("what waits by and by, nobody inside", most_alone, 10000);
    expect_at_most("what waits by and by, readers coming and going", most,
                   10000);
    epoch_destroy(epoch);
}

/* A few large things count like many small ones. */
static void bounded_bytes(const struct run *run)
{
    struct epoch *epoch = made();
    size_t most = 0;

    for (size_t i = 0; i < run->size; i++) {
        epoch_retire(epoch, &most, 1 << 20, nothing, NULL);
        if (stats_of(epoch).waiting_bytes > most)
            most = stats_of(epoch).waiting_bytes;
    }
    expect_int("retired", stats_of(epoch).retired, run->size);
    expect_at_most("bytes that wait, retired 1 MiB at a time", most, 16 << 20);

    struct epoch_reader *reader = epoch_register(epoch);
    epoch_enter(reader);
    epoch_retire(epoch, &most, 200 << 20, nothing, NULL);
    epoch_leave(reader);
    for (size_t i = 0; i < 400; i++)
        epoch_retire(epoch, &most, 10, nothing, NULL);
    expect_at_most("bytes that wait, 400 small things after the reader of "
                   "a large one has left",
                   stats_of(epoch).waiting_bytes, 16 << 20);
    epoch_unregister(reader);
    epoch_destroy(epoch);
}

/* A chain: what is reclaimed retires the next. */
struct link {
    struct epoch *epoch;
    int left;
    size_t bytes;
    bool inside, nested;
};

static void retire_next(void *arg, void *what)
{
    struct link *l = what;

    (void)arg;
    l->nested = l->nested || l->inside;
    l->inside = true;
    if (--l->left > 0)
        epoch_retire(l->epoch, l, l->bytes, retire_next, NULL);
    l->inside = false;
}

static void reclaim_retires(const struct run *run)
{
    struct epoch *epoch = made();
    struct link one = { .epoch = epoch, .left = 5, .bytes = 10 };
    struct link two = { .epoch = epoch, .left = (int)run->size, .bytes = 10 };
    struct link large = { .epoch = epoch, .left = (int)run->size,
                          .bytes = 1 << 20 };

    epoch_retire(epoch, &one, one.bytes, retire_next, NULL);
    for (int i = 0; i < 20 && one.left; i++)
        epoch_reclaim(epoch);
    expect_int("links of a chain that retires itself", one.left, 0);
    epoch_retire(epoch, &two, two.bytes, retire_next, NULL);
    epoch_retire(epoch, &large, large.bytes, retire_next, NULL);
    epoch_destroy(epoch);
    expect_int("links that destroy has left", two.left, 0);
    expect_int("large links that destroy has left", large.left, 0);
    expect_true("nothing is reclaimed inside of a reclaim function",
                !large.nested);
}

static void destroy_reclaims(const struct run *run)
{
    struct epoch *epoch = made();
    struct epoch_reader *r = registered(epoch);
    struct things t = new_things(run->size);

    epoch_enter(r);
    for (uint64_t i = 0; i < run->size; i++)
        retire_thing(epoch, &t, i);
    expect_int("retired", stats_of(epoch).retired, run->size);
    epoch_reclaim(epoch);
    epoch_leave(r);
    epoch_destroy(epoch);
    expect_times(&t, 0, t.n, 1);
    free(t.times);
}

/* ---- 5.2: without memory ------------------------------------------------- */

struct poor {
    struct actor actor;
    struct epoch *epoch;
    struct things *things;
};

static void retire_all_poor(void *arg)
{
    struct poor *p = arg;

    for (uint64_t i = 0; i < p->things->n; i++) {
        malloc_fails(true);
        retire_thing(p->epoch, p->things, i);
        malloc_fails(false);
    }
}

/* Memory is short: then retire does it itself, when it may. */
static void retire_poor(const struct run *run)
{
    struct epoch *epoch = made();
    struct epoch_reader *r = registered(epoch);
    struct things t = new_things(run->size);
    struct poor p = { .epoch = epoch, .things = &t };

    retire_all_poor(&p);
    epoch_reclaim(epoch);
    expect_times(&t, 0, t.n, 1);
    epoch_enter(r);
    actor_start(&p.actor, retire_all_poor, &p);
    for (int i = 0; i < 200; i++) {
        expect_times(&t, 0, t.n, 1);
        sched_yield();
    }
    epoch_leave(r);
    expect_soon("retire without memory, when the reader has left",
                "it returns", actor_done, &p.actor);
    actor_join(&p.actor);
    expect_int("what waits", epoch_reclaim(epoch), 0);
    expect_times(&t, 0, t.n, 2);
    expect_int("retired", stats_of(epoch).retired, 2 * run->size);
    epoch_destroy(epoch);
    free(t.times);
}

/* ---- 5.2: threads -------------------------------------------------------- */

struct retirer {
    struct actor actor;
    struct epoch *epoch;
    struct things *things;
    struct shelf *shelf;
    uint64_t from, to;
};

static void retire_range(void *arg)
{
    struct retirer *r = arg;

    for (uint64_t i = r->from; i < r->to; i++) {
        retire_thing(r->epoch, r->things, i);
        if (i % 256 == 0)
            epoch_reclaim(r->epoch);
    }
}

static void many_retire(const struct run *run)
{
    struct epoch *epoch = made();
    struct things t = new_things(CREW * run->size);
    struct retirer r[CREW];

    for (uint64_t i = 0; i < CREW; i++) {
        r[i] = (struct retirer){ .epoch = epoch, .things = &t,
                                 .from = i * run->size,
                                 .to = (i + 1) * run->size };
        actor_start(&r[i].actor, retire_range, &r[i]);
    }
    for (int i = 0; i < CREW; i++)
        actor_join(&r[i].actor);
    expect_int("what waits, also of threads that have ended",
               epoch_reclaim(epoch), 0);
    expect_times(&t, 0, t.n, 1);
    epoch_destroy(epoch);
    free(t.times);
}

/* Somebody enters and stays. Others come and go, retire, reclaim: nobody waits
 * for him, and nothing that he may have goes. */
struct stayer {
    struct actor actor;
    struct epoch *epoch;
    struct counter inside, leave;
};

static bool stays_inside(void *arg)
{
    struct stayer *s = arg;

    return counter_get(&s->inside) > 0;
}

static bool told_to_leave(void *arg)
{
    struct stayer *s = arg;

    return counter_get(&s->leave) > 0;
}

static void stay(void *arg)
{
    struct stayer *s = arg;
    struct epoch_reader *reader = registered(s->epoch);

    epoch_enter(reader);
    counter_add(&s->inside, 1);
    while (!told_to_leave(s))
        sched_yield();
    epoch_leave(reader);
    epoch_unregister(reader);
}

static bool all_done(void *arg)
{
    struct retirer *r = arg;

    for (int i = 0; i < CREW; i++)
        if (!actor_done(&r[i].actor))
            return false;
    return true;
}

static void retire_and_read(void *arg)
{
    struct retirer *r = arg;
    struct epoch_reader *reader = registered(r->epoch);

    for (uint64_t i = r->from; i < r->to; i++) {
        epoch_enter(reader);
        epoch_leave(reader);
        retire_thing(r->epoch, r->things, i);
    }
    epoch_unregister(reader);
}

static void stopped_reader(const struct run *run)
{
    struct epoch *epoch = made();
    struct things t = new_things(CREW * run->size + 1);
    struct stayer s = { .epoch = epoch };
    struct retirer r[CREW];

    retire_thing(epoch, &t, CREW * run->size);
    actor_start(&s.actor, stay, &s);
    expect_soon("a reader", "enters", stays_inside, &s);
    for (uint64_t i = 0; i < CREW; i++) {
        r[i] = (struct retirer){ .epoch = epoch, .things = &t,
                                 .from = i * run->size,
                                 .to = (i + 1) * run->size };
        actor_start(&r[i].actor, retire_and_read, &r[i]);
    }
    expect_soon("others, while a reader stays inside",
                "they retire, enter and leave", all_done, r);
    for (int i = 0; i < CREW; i++)
        actor_join(&r[i].actor);
    expect_true("what was retired meanwhile waits",
                epoch_reclaim(epoch) >= CREW * run->size);
    expect_times(&t, 0, CREW * run->size, 0);
    counter_add(&s.leave, 1);
    actor_join(&s.actor);
    expect_int("what waits when he has left", epoch_reclaim(epoch), 0);
    expect_times(&t, 0, t.n, 1);
    epoch_destroy(epoch);
    free(t.times);
}

/* All at once: shelves, boxes that are freed, readers who look. */
static void break_and_free(void *arg, void *what)
{
    (void)arg;
    break_box(what);
    free(what);
}

static void replace_boxes(void *arg)
{
    struct retirer *r = arg;

    for (uint64_t i = r->from; i < r->to; i++) {
        struct box *old, *box = new_box(i);

        do
            old = acquire(&r->shelf->box);
        while (!publish_if(&r->shelf->box, old, box));
        epoch_retire(r->epoch, old, sizeof *old, break_and_free, NULL);
        if (i % 64 == 0)
            sched_yield();
    }
}

static void look_often(void *arg)
{
    struct looker *l = arg;

    for (size_t i = 0; !counter_get(&l->shelf->over); i++) {
        look_at_box(l->shelf, epoch_here(l->shelf->epoch), i % 3 == 0);
        if (i % 64 == 0)
            sched_yield();
    }
}

static void crowd(const struct run *run)
{
    struct shelf shelf = { .epoch = made() };
    struct retirer r[2];
    struct looker l[3];

    publish(&shelf.box, new_box(0));
    for (uint64_t i = 0; i < 2; i++) {
        r[i] = (struct retirer){ .epoch = shelf.epoch, .shelf = &shelf,
                                 .to = run->size };
        actor_start(&r[i].actor, replace_boxes, &r[i]);
    }
    for (int i = 0; i < 3; i++) {
        l[i] = (struct looker){ .shelf = &shelf };
        actor_start(&l[i].actor, i < 2 ? look_often : come_and_look, &l[i]);
    }
    for (int i = 0; i < 2; i++)
        actor_join(&r[i].actor);
    counter_add(&shelf.over, 1);
    for (int i = 0; i < 3; i++)
        actor_join(&l[i].actor);
    expect_int("what waits", epoch_reclaim(shelf.epoch), 0);
    expect_int("reclaimed", stats_of(shelf.epoch).reclaimed, 2 * run->size);
    free(acquire(&shelf.box));
    epoch_destroy(shelf.epoch);
}

/* For the explorer: one replaces the box a few times and reclaims, one or two
 * look. A broken box stays where it is, so that it is seen. */
static void just_break(void *arg, void *what)
{
    (void)arg;
    break_box(what);
}

static void small_on(size_t lookers, size_t rounds, bool fill)
{
    struct shelf shelf = { .epoch = made() };
    struct looker l[2];
    struct box boxes[4] = { { 1, 1 }, { 2, 2 }, { 3, 3 }, { 4, 4 } };

    publish(&shelf.box, &boxes[0]);
    for (size_t i = 0; i < lookers; i++) {
        l[i] = (struct looker){ .shelf = &shelf, .rounds = rounds };
        actor_start(&l[i].actor, look_twice, &l[i]);
    }
    for (int i = 0; i < 3; i++) {
        publish(&shelf.box, &boxes[i + 1]);
        epoch_retire(shelf.epoch, &boxes[i], fill ? 1 << 20 : 10, just_break,
                     NULL);
        if (!fill)
            epoch_reclaim(shelf.epoch);
    }
    for (size_t i = 0; i < lookers; i++)
        actor_join(&l[i].actor);
    expect_int("what waits when all have left", epoch_reclaim(shelf.epoch), 0);
    for (int i = 0; i < 3; i++)
        expect_int("a retired box is reclaimed", boxes[i].b, 2);
    epoch_destroy(shelf.epoch);
}

static void small_reclaim(const struct run *run)
{
    small_on(1, run->size, false);
}

static void small_two(const struct run *run)
{
    small_on(2, run->size, false);
}

static void small_retire(const struct run *run)
{
    small_on(1, run->size, true);
}

/* For the explorer: two retire and reclaim, one looks. */
static void replace_twice(void *arg)
{
    struct retirer *r = arg;
    struct box *boxes = (struct box *)(uintptr_t)r->from;

    for (int i = 0; i < 2; i++) {
        struct box *old;

        do
            old = acquire(&r->shelf->box);
        while (!publish_if(&r->shelf->box, old, &boxes[i]));
        epoch_retire(r->epoch, old, 10, just_break, NULL);
        epoch_reclaim(r->epoch);
    }
}

static void small_retirers(const struct run *run)
{
    struct shelf shelf = { .epoch = made() };
    struct box boxes[2][2] = { { { 3, 3 }, { 4, 4 } }, { { 5, 5 }, { 6, 6 } } };
    struct box first = { 7, 7 };
    struct looker l = { .shelf = &shelf, .rounds = run->size };
    struct retirer r[2];

    publish(&shelf.box, &first);
    for (int i = 0; i < 2; i++) {
        r[i] = (struct retirer){ .epoch = shelf.epoch, .shelf = &shelf,
                                 .from = (uintptr_t)boxes[i] };
        actor_start(&r[i].actor, replace_twice, &r[i]);
    }
    actor_start(&l.actor, look_twice, &l);
    for (int i = 0; i < 2; i++)
        actor_join(&r[i].actor);
    actor_join(&l.actor);
    expect_int("what waits when all have left", epoch_reclaim(shelf.epoch), 0);
    expect_int("reclaimed", stats_of(shelf.epoch).reclaimed, 4);
    epoch_destroy(shelf.epoch);
}

static const struct test_case cases[] = {
    { "readers", readers, 1 },
    { "records_again", records_again, 20000 },
    { "no_memory", no_memory, 1 },
    { "no_locks", no_locks, 1000000 },
    { "grace_waits", grace_waits, 3 },
    { "nesting", nesting, 1 },
    { "by_turns", by_turns, 10 },
    { "grace_crowd", grace_crowd, 1000 },
    { "small_grace", small_grace, 2 },
    { "here_threads", here_threads, 1 },
    { "here_epochs", here_epochs, 20 },
    { "retire", retire, 10000 },
    { "not_before_leave", not_before_leave, 10000 },
    { "not_before_each_leaves", not_before_each_leaves, 300 },
    { "bounded", bounded, 1000000 },
    { "bounded_bytes", bounded_bytes, 1000 },
    { "reclaim_retires", reclaim_retires, 300 },
    { "destroy_reclaims", destroy_reclaims, 1000 },
    { "retire_poor", retire_poor, 300 },
    { "many_retire", many_retire, 50000 },
    { "stopped_reader", stopped_reader, 20000 },
    { "crowd", crowd, 50000 },
    { "small_reclaim", small_reclaim, 2 },
    { "small_two", small_two, 1 },
    { "small_retire", small_retire, 2 },
    { "small_retirers", small_retirers, 2 },
    { NULL, NULL, 0 },
};

int main(int argc, char **argv)
{
    return driver_main(argc, argv, cases);
}
