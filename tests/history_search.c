/* history_search.c -- given. Is there an order of a register's operations?
 *
 * Wing and Gong: build the order from its front. What may come next is an
 * operation that was called before the first answer among those that are not
 * placed yet; try each, go back when stuck. Lowe: what can follow depends only
 * on the configuration, that is which operations are placed and what the
 * register holds; so each configuration is tried once and remembered.
 *
 * Five facts keep the choices few; none of them loses an order:
 *   1. An operation that changes nothing and whose answer fits now may be
 *      placed now: wherever an order has it, it can be moved to here.
 *   2. An operation without an answer (a pending one) is placed only right
 *      before one whose answer needs it. In an order with as few pending
 *      operations as can be, what follows one is nothing, or a write (then
 *      leave the pending one out), or an answer that fits without it (the
 *      same), or one that does not.
 *   3. Values that nobody got are all alike, and pending operations that
 *      write the same are alike once they are called: of these the first
 *      called is tried and the others are not.
 *   4. A value that somebody will still get, and nobody will still set, must
 *      not be overwritten.
 *   5. Where a configuration leads nowhere, so does one that differs only in
 *      having used more of the pending operations. So first all is tried
 *      that needs none of them, then what needs one, then two, and so on.
 *      (Where there is an order, it is mostly found sooner by going straight
 *      on, whatever it needs: for a few steps that is tried before.)
 *
 * A configuration is kept as words: what the register holds, where the
 * window begins and its length, the window, and the pending operations used
 * (bits). The window has the bits of the placed operations without the words
 * at the front that are all ones and those at the end that are all zeros: it
 * is small however long the history is. Configurations lie in one array, and
 * a hash table has their places.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tests/history_parts.h"

/* A configuration on the path, and which of its moves is tried next. */
struct frame {
    uint64_t state;
    size_t before;          /* the trail's length before it was entered */
    size_t base;            /* the first that is not placed */
    size_t next;            /* the next move: an operation, */
    size_t next_pending;    /* and which pending one before it */
    bool with_pending;      /* now those moves that need one */
    size_t place;           /* of the configuration */
};

struct places {
    size_t *at;
    size_t n, cap;
};

struct search {
    struct moves moves;
    uint64_t *placed, *used;    /* a bit for each of them */
    size_t *trail;              /* what was placed, in order; a pending one
                                   as n_must + its number */
    size_t n_trail;
    struct frame *frames;       /* at most one a placed write */
    size_t n_frames;
    struct tried tried;
    uint64_t *config;           /* room for one */
    struct places now, later;   /* put off: for as many pending operations as
                                   are used now, and for one more */
    uint64_t reached;           /* the latest first_answer */
    bool straight;              /* nothing is put off */
};

static bool bit(const uint64_t *bits, size_t i)
{
    return bits[i / 64] >> (i % 64) & 1;
}

static void flip(uint64_t *bits, size_t i)
{
    bits[i / 64] ^= UINT64_C(1) << (i % 64);
}

static size_t words_for(size_t bits)
{
    return bits / 64 + 1;
}

/* ---- the order ---------------------------------------------------------- */

static void place(struct search *s, size_t i)
{
    flip(s->placed, i);
    moves_count(&s->moves, &s->moves.must[i], (size_t)-1);
    s->trail[s->n_trail++] = i;
}

static void place_pending(struct search *s, size_t i)
{
    flip(s->used, i);
    moves_count(&s->moves, &s->moves.may[i], (size_t)-1);
    s->trail[s->n_trail++] = s->moves.n_must + i;
}

static void take_back(struct search *s, size_t length)
{
    while (s->n_trail > length) {
        size_t i = s->trail[--s->n_trail];

        if (i < s->moves.n_must) {
            flip(s->placed, i);
            moves_count(&s->moves, &s->moves.must[i], 1);
        } else {
            flip(s->used, i - s->moves.n_must);
            moves_count(&s->moves, &s->moves.may[i - s->moves.n_must], 1);
        }
    }
}

/* Fact 4; not for absent, which a remove that fails leaves as well. */
static bool is_needed(const struct search *s, uint64_t state)
{
    return state != 0 && s->moves.gets_left[state] > 0 &&
           s->moves.sets_left[state] == 0;
}

static size_t first_open(const struct search *s, size_t from)
{
    while (from < s->moves.n_must && bit(s->placed, from))
        from = from % 64 == 0 && s->placed[from / 64] == UINT64_MAX ? from + 64
                                                                    : from + 1;
    return from < s->moves.n_must ? from : s->moves.n_must;
}

static bool called_by(const struct search *s, size_t i, uint64_t time)
{
    return i < s->moves.n_must && s->moves.must[i].called <= time;
}

/* Nobody who is called after this moment can be next: the first answer of
 * those that are not placed. */
static uint64_t first_answer(const struct search *s, size_t base)
{
    uint64_t first = NEVER;

    for (size_t i = base; called_by(s, i, first); i++)
        if (!bit(s->placed, i) && s->moves.must[i].answered < first)
            first = s->moves.must[i].answered;
    return first;
}

/* Fact 1. Answers the new base. */
static size_t place_readers(struct search *s, size_t base, uint64_t state)
{
    for (bool more = true; more;) {
        base = first_open(s, base);
        uint64_t until = first_answer(s, base);

        more = false;
        for (size_t i = base; called_by(s, i, until); i++)
            if (!bit(s->placed, i) && !s->moves.must[i].writes &&
                move_fits(&s->moves.must[i], state)) {
                place(s, i);
                more = true;
            }
    }
    return base;
}

static void make_config(struct search *s, size_t base, uint64_t state)
{
    size_t from = base / 64, to = words_for(s->moves.n_must);
    uint64_t *c = s->config;

    while (to > from && s->placed[to - 1] == 0)
        to--;
    c[0] = state;
    c[1] = (uint64_t)from << 32 | (to - from);
    memcpy(c + 2, s->placed + from, (to - from) * sizeof *c);
    memcpy(c + 2 + (to - from), s->used, words_for(s->moves.n_may) * sizeof *c);
}

/* Goes on to the configuration in which `state` is held, unless it was tried
 * before: then takes back what was placed since `before`. 0, -E2BIG when
 * there are no steps left, or -ENOMEM. */
static int enter(struct search *s, size_t before, size_t base, uint64_t state,
                 uint64_t *steps)
{
    struct frame f = { .state = state, .before = before };

    if (*steps == 0)
        return -E2BIG;
    --*steps;
    f.base = f.next = place_readers(s, base, state);
    uint64_t until = first_answer(s, f.base);
    if (until > s->reached)
        s->reached = until;
    make_config(s, f.base, state);
    int fresh = tried_add(&s->tried, s->config, &f.place);
    if (fresh > 0)
        s->frames[s->n_frames++] = f;
    else
        take_back(s, before);
    return fresh < 0 ? fresh : 0;
}

/* Facts 2, 3 and 4: is pending operation p worth a try before m? */
static bool helps(const struct search *s, size_t p, const struct move *m,
                  uint64_t until)
{
    const struct move *pending = &s->moves.may[p];

    if (m->writes && s->moves.gets_left[pending->to] > 0 &&
        s->moves.sets_left[pending->to] == 1)
        return false;
    return !bit(s->used, p) && pending->called <= until &&
           move_fits(m, pending->to) &&
           (s->moves.alike[p] == NONE || bit(s->used, s->moves.alike[p]));
}

/* Places the next of the frame's moves that need no pending operation, and
 * answers what the register then holds; false if there is none. */
static bool try_alone(struct search *s, struct frame *f, uint64_t *state)
{
    uint64_t until = first_answer(s, f->base);

    for (; called_by(s, f->next, until); f->next++)
        if (!bit(s->placed, f->next) &&
            move_fits(&s->moves.must[f->next], f->state)) {
            *state = s->moves.must[f->next].to;   /* it writes: fact 1 */
            place(s, f->next++);
            return true;
        }
    return false;
}

/* The next move that needs one: an operation, and the pending one before it
 * in *pending; n_must if there is none. */
static size_t next_with_pending(const struct search *s, struct frame *f,
                                size_t *pending)
{
    uint64_t until = first_answer(s, f->base);

    for (; called_by(s, f->next, until); f->next++, f->next_pending = 0) {
        const struct move *m = &s->moves.must[f->next];
        size_t p = f->next_pending;

        if (bit(s->placed, f->next) || move_fits(m, f->state))
            continue;
        while (p < s->moves.n_may && !helps(s, p, m, until))
            p++;
        if (p < s->moves.n_may) {
            *pending = p;
            f->next_pending = p + 1;
            return f->next;
        }
    }
    return s->moves.n_must;
}

static bool try_pending(struct search *s, struct frame *f, uint64_t *state)
{
    size_t p, i = next_with_pending(s, f, &p);

    if (i == s->moves.n_must)
        return false;
    *state = s->moves.must[i].writes ? s->moves.must[i].to : s->moves.may[p].to;
    place_pending(s, p);
    place(s, i);
    return true;
}

static bool places_push(struct places *p, size_t place)
{
    if (p->n == p->cap) {
        size_t cap = 2 * p->cap + 64;
        size_t *at = reallocarray(p->at, cap, sizeof *at);

        if (!at)
            return false;
        p->at = at;
        p->cap = cap;
    }
    p->at[p->n++] = place;
    return true;
}

/* The frame has no more moves of its own. */
static int put_off(struct search *s, const struct frame *f)
{
    struct frame again = { .state = f->state, .base = f->base };
    size_t p;

    again.next = f->base;
    if (is_needed(s, f->state) ||
        next_with_pending(s, &again, &p) == s->moves.n_must)
        return 0;
    return places_push(&s->later, f->place) ? 0 : -ENOMEM;
}

/* Makes the bits those of `wanted`, and keeps count. */
static void set_word(struct search *s, uint64_t *bits, size_t word,
                     uint64_t wanted, const struct move *moves)
{
    for (uint64_t differ = bits[word] ^ wanted; differ; differ &= differ - 1) {
        size_t i = 64 * word + (size_t)__builtin_ctzll(differ);

        flip(bits, i);
        moves_count(&s->moves, &moves[i], bit(bits, i) ? (size_t)-1 : 1);
    }
}

/* Comes back to what was put off: it begins a new path. */
static void load(struct search *s, size_t place)
{
    const uint64_t *c = s->tried.words + place;
    size_t from = (size_t)(c[1] >> 32), len = (uint32_t)c[1];
    struct frame f = { .state = c[0], .place = place, .with_pending = true };

    for (size_t i = 0; i < words_for(s->moves.n_must); i++)
        set_word(s, s->placed, i, i < from ? UINT64_MAX :
                 i < from + len ? c[2 + i - from] : 0, s->moves.must);
    for (size_t i = 0; i < words_for(s->moves.n_may); i++)
        set_word(s, s->used, i, c[2 + len + i], s->moves.may);
    f.base = f.next = first_open(s, 64 * from);
    s->n_trail = 0;
    s->frames[s->n_frames++] = f;
}

/* Places the frame's next move; false when it has no more. */
static bool try_next(struct search *s, struct frame *f, uint64_t *state)
{
    if (is_needed(s, f->state))
        return false;
    if (!f->with_pending && try_alone(s, f, state))
        return true;
    if (!f->with_pending && s->straight) {
        f->with_pending = true;
        f->next = f->base;
    }
    return f->with_pending && try_pending(s, f, state);
}

/* Goes on from the last frame, or leaves it. */
static int advance(struct search *s, uint64_t *steps)
{
    struct frame *f = &s->frames[s->n_frames - 1];
    size_t before = s->n_trail;
    uint64_t state;

    if (try_next(s, f, &state))
        return enter(s, before, f->base, state, steps);
    int err = f->with_pending ? 0 : put_off(s, f);
    take_back(s, f->before);
    s->n_frames--;
    return err;
}

/* Begins a new path with something that was put off; false if there is
 * nothing left. */
static bool take_up(struct search *s)
{
    if (s->now.n == 0) {
        struct places now = s->now;

        s->now = s->later;
        s->later = now;
    }
    if (s->now.n > 0)
        load(s, s->now.at[--s->now.n]);
    return s->n_frames > 0;
}

static int run(struct search *s, uint64_t *steps)
{
    for (int err = enter(s, 0, 0, 0, steps); ; err = advance(s, steps)) {
        if (err != 0)
            return err;
        if (s->n_frames == 0 && !take_up(s))
            return -EILSEQ;
        if (s->frames[s->n_frames - 1].base == s->moves.n_must)
            return 0;
    }
}

/* ---- beginning and end -------------------------------------------------- */

static void release(struct search *s)
{
    moves_release(&s->moves);
    tried_release(&s->tried);
    free(s->placed);
    free(s->used);
    free(s->trail);
    free(s->frames);
    free(s->config);
    free(s->now.at);
    free(s->later.at);
}

static bool allocated(struct search *s)
{
    size_t must = s->moves.n_must, may = s->moves.n_may;
    size_t words = words_for(must) + words_for(may);

    s->tried.used_words = words_for(may);
    s->placed = calloc(words_for(must), sizeof *s->placed);
    s->used = calloc(words_for(may), sizeof *s->used);
    s->trail = calloc(must + may + 1, sizeof *s->trail);
    s->frames = calloc(must + 1, sizeof *s->frames);
    s->config = calloc(2 + words, sizeof *s->config);
    return s->placed && s->used && s->trail && s->frames && s->config;
}

static int search(const struct operation *ops, size_t n, bool straight,
                  uint64_t *steps, uint64_t *reached)
{
    struct search s = { .straight = straight };
    int err = moves_make(&s.moves, ops, n);

    if (err == 0)
        err = allocated(&s) ? run(&s, steps) : -ENOMEM;
    if (s.reached > *reached)
        *reached = s.reached;
    release(&s);
    return err;
}

int search_order(const struct operation *ops, size_t n, uint64_t *steps,
                 uint64_t *reached)
{
    uint64_t few = *steps < 4 * n ? *steps : 4 * n, at = 0, tried = few;
    int err = search(ops, n, true, &few, &at);

    *steps -= tried - few;
    if (err == -E2BIG)
        err = search(ops, n, false, steps, &at);
    if (reached)
        *reached = at;
    return err;
}
