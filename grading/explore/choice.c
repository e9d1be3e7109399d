/* choice.c -- who goes next.
 *
 * The default keeps the running thread while it can run and else takes the
 * lowest number (after a yield: the next number, in a circle). A strategy
 * departs from that, and each departure is written down, so that shrink.c
 * can take the departures away one by one and run what is left as a plan.
 *
 *   odd seeds    a random walk; how much it prefers to stay with the running
 *                thread depends on the seed
 *   even seeds   PCT: a random priority for each thread, the highest runs;
 *                at CHANGES random steps the running thread falls below all
 *                others, and also when it yields or sleeps
 *   3, 7, 11..   in addition, up to 3 waits end for no reason
 *
 * In all of them a timed wait may run out early: a machine can be slow.
 *
 * Source: Burckhardt et al., "A Randomized Scheduler with Probabilistic
 *         Guarantees of Finding Bugs", ASPLOS 2010.
 */
#include "grading/explore/sched.h"

#include <stdlib.h>

enum { CHANGES = 3, SPURIOUS_MAX = 3 };

static struct {
    uint64_t random;
    uint64_t points;            /* choices of the next thread so far */
    uint64_t change[CHANGES];   /* PCT: the points at which to change */
    int64_t lowest;             /* PCT: the lowest priority given yet */
    unsigned spurious;          /* how many may still be made */
    uint32_t cursor[TRACE_THREADS + 1], next[TRACE_CHOICES];
} choose;

/* splitmix64 */
static uint64_t random_number(void)
{
    uint64_t z = choose.random += UINT64_C(0x9e3779b97f4a7c15);

    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

static unsigned below(unsigned n)
{
    return (unsigned)(random_number() % n);
}

static bool is_pct(void)
{
    return trace->seed % 2 == 0;
}

/* Links each thread's planned choices, so that finding one is a look at the
 * first that is left. Links are index + 1; 0 ends. */
static void link_plan(void)
{
    for (uint32_t i = trace->planned; i-- > 0;) {
        uint32_t *first = &choose.cursor[trace->plan[i].thread];

        choose.next[i] = *first;
        *first = i + 1;
    }
}

void choice_start(void)
{
    choose.random = trace->seed * UINT64_C(0xd1342543de82ef95) + 1;
    for (int i = 0; i < CHANGES; i++)
        choose.change[i] = 1 + random_number() %
                           (trace->length ? trace->length : 1);
    if (trace->strategy == BY_SEED && trace->seed % 4 == 3)
        choose.spurious = SPURIOUS_MAX;
    if (trace->strategy == BY_PLAN)
        link_plan();
}

void choice_new_thread(struct thread *t)
{
    t->priority = (int64_t)(random_number() >> 2) + 1;
}

static uint32_t where(const struct thread *t)
{
    return t->op << 8 | (t->sub < 255 ? t->sub : 255);
}

static void note(const struct thread *t, enum choice_kind kind, unsigned value)
{
    if (trace->choice_count == TRACE_CHOICES)
        return;
    trace->choices[trace->choice_count++] = (struct trace_choice){
        where(t), (uint16_t)t->number, (uint16_t)kind, value };
}

/* What the plan says for this thread, here: a thread's number, or 0. */
static unsigned planned(const struct thread *t, enum choice_kind kind)
{
    uint32_t *at = &choose.cursor[t->number];

    while (*at && trace->plan[*at - 1].where < where(t))
        *at = choose.next[*at - 1];
    for (uint32_t i = *at; i && trace->plan[i - 1].where == where(t);
         i = choose.next[i - 1])
        if (trace->plan[i - 1].kind == kind)
            return trace->plan[i - 1].value;
    return 0;
}

static bool is_awake(const struct thread *t)
{
    return t->state == READY && t->until <= now;
}

static bool is_timed(const struct thread *t)
{
    return t->state == BLOCKED && t->until != NEVER;
}

static bool is_waiting(const struct thread *t)
{
    return t->state == BLOCKED && t->on && t->on->letter == 'C';
}

static bool is_ready(const struct thread *t)
{
    return t->state == READY;
}

/* Every index-th thread (from 0) for which the predicate holds. */
static struct thread *nth(bool (*fits)(const struct thread *), unsigned index)
{
    for (unsigned i = 1; i <= thread_count; i++)
        if (fits(threads[i]) && index-- == 0)
            return threads[i];
    return NULL;
}

static unsigned count(bool (*fits)(const struct thread *))
{
    unsigned n = 0;

    for (unsigned i = 1; i <= thread_count; i++)
        n += fits(threads[i]);
    return n;
}

/* Waits whose time has come end. */
static void expire(void)
{
    for (unsigned i = 1; i <= thread_count; i++)
        if (is_timed(threads[i]) && threads[i]->until <= now)
            sched_wake(threads[i], BY_TIME);
}

/* When nobody is awake, the clock jumps to the first who will be. */
static void jump(void)
{
    int64_t first = NEVER;

    for (unsigned i = 1; i <= thread_count; i++)
        if (threads[i]->state != FINISHED && threads[i]->until < first)
            first = threads[i]->until;
    if (first == NEVER)
        report_deadlock();
    now = first;
    expire();
}

static void let_time_out(struct thread *from, struct thread *t)
{
    note(from, CHOICE_TIME_OUT, t->number);
    if (t->until > now)
        now = t->until;
    expire();
}

static void let_wake(struct thread *from, struct thread *t)
{
    note(from, CHOICE_SPURIOUS, t->number);
    sched_wake(t, BY_CHANCE);
}

/* Early time-outs and spurious wake-ups. */
static void disturb(struct thread *from)
{
    unsigned n;

    if (trace->strategy == BY_PLAN) {
        unsigned late = planned(from, CHOICE_TIME_OUT);
        unsigned woken = planned(from, CHOICE_SPURIOUS);

        if (late && late <= thread_count && is_timed(threads[late]))
            let_time_out(from, threads[late]);
        if (woken && woken <= thread_count && is_waiting(threads[woken]))
            let_wake(from, threads[woken]);
    } else if (trace->strategy == BY_SEED) {
        if ((n = count(is_timed)) > 0 && below(100) == 0)
            let_time_out(from, nth(is_timed, below(n)));
        if (choose.spurious && (n = count(is_waiting)) > 0 && below(24) == 0) {
            choose.spurious--;
            let_wake(from, nth(is_waiting, below(n)));
        }
    }
}

static struct thread *by_default(const struct thread *from)
{
    if (is_awake(from))
        return threads[from->number];
    unsigned start = from->state == READY ? from->number : 0;
    for (unsigned i = 1; i <= thread_count; i++) {
        struct thread *t = threads[(start + i - 1) % thread_count + 1];

        if (is_awake(t))
            return t;
    }
    return NULL;
}

/* Out of 8 points, at how many a random walk stays where it is. */
static unsigned staying(void)
{
    static const unsigned in_8[] = { 0, 4, 6, 7 };

    return in_8[trace->seed / 2 % 4];
}

/* Now and then a sleeper is taken although others are awake: a sleep says
 * how long at least, and nothing about the others. */
static struct thread *by_walk(struct thread *from)
{
    bool (*fits)(const struct thread *) = below(8) == 0 ? is_ready : is_awake;

    if (is_awake(from) && below(8) < staying())
        return from;
    return nth(fits, below(count(fits)));
}

static struct thread *by_priority(struct thread *from)
{
    struct thread *best = NULL;

    for (int i = 0; i < CHANGES; i++)
        if (choose.points == choose.change[i])
            from->priority = --choose.lowest;
    for (unsigned i = 1; i <= thread_count; i++)
        if (is_awake(threads[i]) &&
            (!best || threads[i]->priority > best->priority))
            best = threads[i];
    return best;
}

static struct thread *by_plan(struct thread *from, struct thread *otherwise)
{
    unsigned number = planned(from, CHOICE_NEXT);

    if (number && number <= thread_count && is_ready(threads[number]))
        return threads[number];
    return otherwise;
}

struct thread *choice_next(struct thread *from)
{
    choose.points++;
    disturb(from);
    expire();
    /* Before the clock jumps: PCT sets a thread back because it yields. */
    bool dozes = from->state == READY && from->until > now;
    if (trace->strategy == BY_SEED && is_pct() && dozes)
        from->priority = --choose.lowest;
    if (count(is_awake) == 0)
        jump();
    struct thread *usual = by_default(from), *next = usual;
    if (trace->strategy == BY_PLAN)
        next = by_plan(from, usual);
    else if (trace->strategy == BY_SEED)
        next = is_pct() ? by_priority(from) : by_walk(from);
    if (next != usual)
        note(from, CHOICE_NEXT, next->number);
    from->sub++;
    if (next->until > now)
        now = next->until;
    next->until = 0;
    return next;
}

/* Which of those that wait a signal wakes; by default the first that came. */
struct thread *choice_waiter(const struct object *on)
{
    struct thread *me = sched_self(), *usual = NULL, *t;
    unsigned skip, n = sched_waiters(on);

    for (unsigned i = 1; i <= thread_count; i++) {
        t = threads[i];
        if (t->state == BLOCKED && t->on == on &&
            (!usual || t->since < usual->since))
            usual = t;
    }
    if (n < 2 || trace->strategy == BY_DEFAULT)
        return usual;
    t = usual;
    if (trace->strategy == BY_PLAN) {
        unsigned number = planned(me, CHOICE_WAITER);

        if (number && number <= thread_count &&
            threads[number]->state == BLOCKED && threads[number]->on == on)
            t = threads[number];
    } else {
        skip = below(n);
        for (unsigned i = 1; i <= thread_count; i++)
            if (threads[i]->state == BLOCKED && threads[i]->on == on &&
                skip-- == 0)
                t = threads[i];
    }
    if (t != usual)
        note(me, CHOICE_WAITER, t->number);
    me->sub++;
    return t;
}
