/* segments.c -- given. */
#include "stage5-compaction/segments.h"

#include <errno.h>
#include <stdlib.h>

#include "common/lock.h"
#include "common/publish.h"

int segments_init(struct segments *set)
{
    *set = (struct segments){ 0 };
    set->slots = calloc(SEGMENTS_MAX, sizeof *set->slots);
    set->taken = calloc(SEGMENTS_MAX, 1);
    int err = set->slots && set->taken ? epoch_create(&set->epoch) : -ENOMEM;
    if (err) {
        free(set->slots);
        free(set->taken);
        return err;
    }
    mutex_init(&set->lock);
    return 0;
}

void segments_release(struct segments *set)
{
    epoch_destroy(set->epoch);      /* closes those that wait */
    while (set->first) {
        struct segment *s = set->first;

        set->first = s->next;
        segment_close(s);
    }
    mutex_release(&set->lock);
    free(set->slots);
    free(set->taken);
}

static int free_slot_locked(struct segments *set)
{
    for (unsigned i = 0; i < SEGMENTS_MAX; i++) {
        unsigned slot = (set->next_slot + i) % SEGMENTS_MAX;

        if (!set->taken[slot]) {
            set->next_slot = slot + 1;
            return (int)slot;
        }
    }
    return -EMFILE;
}

int segments_add(struct segments *set, struct segment *segment)
{
    struct segment **at = &set->first;

    mutex_lock(&set->lock);
    int slot = free_slot_locked(set);
    if (slot >= 0) {
        set->taken[slot] = 1;
        segment->slot = slot;
        while (*at && (*at)->generation < segment->generation)
            at = &(*at)->next;
        segment->next = *at;
        *at = segment;
        publish(&set->slots[slot], segment);
    }
    mutex_unlock(&set->lock);
    return slot < 0 ? slot : 0;
}

static void close_retired(void *arg, void *what)
{
    struct segments *set = arg;
    struct segment *segment = what;
    int slot = segment->slot;

    segment_close(segment);
    mutex_lock(&set->lock);
    set->taken[slot] = 0;
    mutex_unlock(&set->lock);
}

void segments_remove(struct segments *set, struct segment *segment)
{
    struct segment **at = &set->first;
    uint64_t size = segment_end(segment);

    mutex_lock(&set->lock);
    while (*at != segment)
        at = &(*at)->next;
    *at = segment->next;
    mutex_unlock(&set->lock);
    epoch_retire(set->epoch, segment, size, close_retired, set);
}

struct segment *segments_at(struct segments *set, uint32_t slot)
{
    return acquire(&set->slots[slot]);
}

/* ---- Numbers ------------------------------------------------------------- */

void segments_changed(struct segments *set, struct segment *segment,
                      const struct record *record, const struct place *before)
{
    uint64_t size = record_size(record->key.len, record->value.len);
    uint64_t lost = before ? record_size(record->key.len, before->value_len)
                           : 0;

    set->made += lost + (record->kind == RECORD_SET ? 0 : size);
    mutex_lock(&set->lock);
    segment->bytes += size;
    if (record->kind == RECORD_SET) {
        segment->live += (int64_t)size;
    } else {
        segment->tombs += size;
        segment->last_tomb = record->sequence;
    }
    if (segment->first == 0)
        segment->first = record->sequence;
    segment->last = record->sequence;
    if (before)
        segments_at(set, before->slot)->live -= (int64_t)lost;
    mutex_unlock(&set->lock);
}

void segments_moved(struct segments *set, const struct place *from,
                    const struct place *to, uint64_t size)
{
    mutex_lock(&set->lock);
    segments_at(set, from->slot)->live -= (int64_t)size;
    segments_at(set, to->slot)->live += (int64_t)size;
    mutex_unlock(&set->lock);
}

static bool pin_locked(const struct segments *set, uint64_t sequence,
                       struct segment *const *these, size_t n)
{
    for (const struct segment *s = set->first; s; s = s->next) {
        bool is_one = false;

        for (size_t i = 0; i < n; i++)
            is_one = is_one || these[i] == s;
        if (!is_one && s->birth < sequence)
            return true;
    }
    return false;
}

bool segments_pin(struct segments *set, uint64_t sequence,
                  struct segment *const *these, size_t n)
{
    mutex_lock(&set->lock);
    bool pinned = pin_locked(set, sequence, these, n);
    mutex_unlock(&set->lock);
    return pinned;
}

/* The two that were born first: who asks about others is one of them at most. */
struct eldest {
    const struct segment *first, *second;
};

static struct eldest eldest_locked(const struct segments *set)
{
    struct eldest e = { NULL, NULL };

    for (const struct segment *s = set->first; s; s = s->next) {
        if (!e.first || s->birth < e.first->birth) {
            e.second = e.first;
            e.first = s;
        } else if (!e.second || s->birth < e.second->birth) {
            e.second = s;
        }
    }
    return e;
}

/* Whether another segment pins its last tombstone. (One by one they may be
 * pinned or not; this is an estimate for who chooses.) */
static bool has_pinned(const struct segment *s, struct eldest e)
{
    const struct segment *other = e.first == s ? e.second : e.first;

    return s->tombs > 0 && other && other->birth < s->last_tomb;
}

void segments_sum(struct segments *set, struct segments_sum *sum)
{
    *sum = (struct segments_sum){ 0 };
    mutex_lock(&set->lock);
    struct eldest e = eldest_locked(set);
    for (struct segment *s = set->first; s; s = s->next) {
        sum->segments++;
        sum->bytes += s->bytes;
        sum->live += s->live > 0 ? (uint64_t)s->live : 0;
        sum->tombs += s->tombs;
        sum->pinned += has_pinned(s, e) ? s->tombs : 0;
    }
    mutex_unlock(&set->lock);
}

/* ---- Choosing ------------------------------------------------------------ */

/* All that are there; those that cannot be chosen too, for they pin. */
struct survey {
    struct candidate *all;
    uint64_t *births, *blame;   /* of each, by birth */
    bool *free;
    size_t n;
};

static int by_birth(const void *a, const void *b)
{
    const struct candidate *x = a, *y = b;

    return (x->segment->birth > y->segment->birth) -
           (x->segment->birth < y->segment->birth);
}

/* How many of the ascending numbers are less than `limit`. */
static size_t count_below(const uint64_t *numbers, size_t n, uint64_t limit)
{
    size_t low = 0;

    while (low < n) {
        size_t middle = low + (n - low) / 2;

        if (numbers[middle] < limit)
            low = middle + 1;
        else
            n = middle;
    }
    return low;
}

static void look_locked(const struct segments *set, struct survey *v)
{
    struct eldest e = eldest_locked(set);

    for (struct segment *s = set->first; s; s = s->next) {
        uint64_t live = s->live > 0 ? (uint64_t)s->live : 0;
        uint64_t keep = live + (has_pinned(s, e) ? s->tombs : 0);

        if (keep > s->bytes)
            keep = s->bytes;
        v->all[v->n++] = (struct candidate){ s, s->bytes, keep,
                                             s->bytes - keep, s->tombs };
    }
    qsort(v->all, v->n, sizeof *v->all, by_birth);
    for (size_t i = 0; i < v->n; i++) {
        const struct segment *s = v->all[i].segment;

        v->births[i] = s->birth;
        v->free[i] = s->sealed && !s->busy && !s->bad;
    }
}

/* Each pinned tombstone is garbage of those that pin it. As they are in the
 * order of birth, those are the first so many, but for its own segment. */
static void blame_locked(struct survey *v, struct eldest e)
{
    for (size_t i = 0; i < v->n; i++) {
        const struct segment *s = v->all[i].segment;

        if (!has_pinned(s, e))
            continue;
        size_t pins = count_below(v->births, v->n, s->last_tomb);
        bool own = i < pins;
        uint64_t share = s->tombs / (pins - own);

        v->blame[pins - 1] += share;        /* for all up to this one */
        if (own)
            v->all[i].garbage -= share;     /* comes back below */
    }
    uint64_t sum = 0;
    for (size_t i = v->n; i-- > 0;) {
        sum += v->blame[i];
        v->all[i].garbage += sum;
    }
}

static bool survey_room(struct survey *v, size_t n)
{
    v->all = calloc(n, sizeof *v->all);
    v->births = calloc(n, sizeof *v->births);
    v->blame = calloc(n, sizeof *v->blame);
    v->free = calloc(n, sizeof *v->free);
    return v->all && v->births && v->blame && v->free;
}

struct candidate *segments_survey(struct segments *set, size_t *n,
                                  uint64_t *total)
{
    struct survey v = { 0 };
    size_t segments = 0;

    *n = 0;
    *total = 0;
    mutex_lock(&set->lock);
    for (const struct segment *s = set->first; s; s = s->next)
        segments++;
    bool room = segments > 0 && survey_room(&v, segments);
    if (room) {
        look_locked(set, &v);
        blame_locked(&v, eldest_locked(set));
    }
    mutex_unlock(&set->lock);
    for (size_t i = 0; i < v.n; i++) {
        *total += v.all[i].garbage;
        if (v.free[i])
            v.all[(*n)++] = v.all[i];
    }
    free(v.births);
    free(v.blame);
    free(v.free);
    if (*n > 0)
        return v.all;
    free(v.all);
    return NULL;
}

bool segments_take(struct segments *set, struct segment *const *these,
                   size_t n)
{
    bool free = true;

    mutex_lock(&set->lock);
    for (size_t i = 0; i < n; i++) {
        const struct segment *s = set->first;

        while (s && s != these[i])
            s = s->next;
        free = free && s && s->sealed && !s->busy && !s->bad;
    }
    for (size_t i = 0; free && i < n; i++)
        these[i]->busy = true;
    mutex_unlock(&set->lock);
    return free;
}

void segments_put_back(struct segments *set, struct segment *const *these,
                       size_t n)
{
    mutex_lock(&set->lock);
    for (size_t i = 0; i < n; i++)
        these[i]->busy = false;
    mutex_unlock(&set->lock);
}
