/* compact.c -- yours: stage 5B, tasks 5.6, 5.7.
 *
 * The order of a compaction, and why. Behind each step stands what a crash
 * right after it leaves.
 *
 *   copy            the records that count go to a file that nobody believes
 *                   yet (.new). Its birth is the last change that the index
 *                   knew when the copying began: a key that was removed by
 *                   then is not copied, so tombstones up to then need not
 *                   fear it.                   A .new, removed at opening.
 *   seal            it is on the disk.         As before.
 *   make durable    all changes are on the disk that made something garbage.
 *                   Else a power failure could lose the new value, and the
 *                   old one were gone already. As before.
 *   rename, sync    it has its name.           Both there: the copy names its
 *                   inputs, so at opening they are dropped.
 *   switch          the index moves.           As before.
 *   remove, sync    the inputs go. Until that is on the disk the copy must
 *                   stay, for it names them: it is busy so long.
 *   retire          readers that still have an input go on reading it.
 */
#include "stage5-compaction/compact.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/lock.h"
#include "stage5-compaction/background.h"
#include "stage5-compaction/copies.h"

enum {
    DUE = 5,                        /* a fifth; */
    DUE_QUIET = 10,                 /* a tenth, when there is time */
    SMALL = 8                       /* an eighth of a segment */
};

/* ---- Choosing ------------------------------------------------------------ */

static int by_share(const void *a, const void *b)
{
    const struct candidate *x = a, *y = b;
    double p = (double)x->garbage / (double)(x->bytes + 1);
    double q = (double)y->garbage / (double)(y->bytes + 1);

    return (p < q) - (p > q);
}

/* Who pins goes first: then the others' tombstones can go. */
static int by_birth(const void *a, const void *b)
{
    const struct candidate *x = a, *y = b;

    if ((x->garbage > 0) != (y->garbage > 0))
        return x->garbage > 0 ? -1 : 1;
    return (x->segment->birth > y->segment->birth) -
           (x->segment->birth < y->segment->birth);
}

/* The first candidates that make one compaction: those with garbage, and then
 * small ones, so that no crowd of small files comes to be. */
static size_t choose(const struct candidate *c, size_t n, uint64_t room,
                     struct segment **inputs)
{
    uint64_t keep = 0;
    size_t taken = 0;

    for (size_t i = 0; i < n && taken < COMPACT_INPUTS; i++) {
        bool small = c[i].bytes < room / SMALL && taken > 0;

        if (c[i].garbage == 0 && !small)
            continue;
        if (taken > 0 && keep + c[i].keep > room)
            continue;
        keep += c[i].keep;
        inputs[taken++] = c[i].segment;
    }
    return taken;
}

size_t compact_pick(struct store *store, struct segment **inputs, bool all)
{
    struct segments_sum sum;
    uint64_t total;
    size_t n;
    struct candidate *c = segments_survey(&store->set, &n, &total);

    segments_sum(&store->set, &sum);
    if (!all && total * (background_quiet(store) ? DUE_QUIET : DUE) <=
                    sum.bytes)
        n = 0;
    if (n > 0)
        qsort(c, n, sizeof *c, all ? by_birth : by_share);
    n = choose(c, n, store->options.segment_size, inputs);
    free(c);
    return segments_take(&store->set, inputs, n) ? n : 0;
}

/* ---- Copying ------------------------------------------------------------- */

struct compaction {
    struct store *store;
    struct segment **inputs;
    size_t n;
    struct segment *input;      /* being copied */
    struct segment *output;
    struct copies copies;
    struct gathered read;       /* and not yet looked up */
    int failed;                 /* looking up or writing has, not the input */
};

static bool is_at(const struct place *a, const struct place *b)
{
    return a->slot == b->slot && a->offset == b->offset;
}

/* Whether a record must be kept, for which the index has `now`, or NULL. */
static bool counts(struct compaction *c, const struct record *record,
                   const struct place *place, const struct place *now)
{
    if (now)
        return is_at(now, place);
    return record->kind == RECORD_REMOVE &&
           segments_pin(&c->store->set, record->sequence, c->inputs, c->n);
}

/* A lookup is mostly waiting for memory, and one waits for many at once: so
 * those that were read are looked up together. */
static int copy_gathered(void *arg)
{
    struct compaction *c = arg;
    struct table_lookup found[GATHERED_RECORDS];
    struct place now[GATHERED_RECORDS];
    struct gathered *r = &c->read;
    int err = 0;

    for (size_t i = 0; i < r->n; i++)
        found[i] = (struct table_lookup){ .key = r->records[i].key,
                                          .to = &now[i],
                                          .room = sizeof now[i] };
    table_lookup_many(c->store->index, found, r->n);
    for (size_t i = 0; i < r->n && !err; i++) {
        if (found[i].len < 0 && found[i].len != -ENOENT)
            err = (int)found[i].len;    /* nobody knows whether it is there */
        else if (counts(c, &r->records[i], &r->places[i],
                        found[i].len >= 0 ? &now[i] : NULL))
            err = copies_add(&c->copies, &r->records[i], &r->places[i]);
    }
    gather_clear(r);
    c->failed = err ? err : copies_pause(&c->copies);
    return c->failed;
}

static int copy_record(void *arg, const struct record *record,
                       const struct log_position *at)
{
    struct compaction *c = arg;
    struct place place = { at->offset, at->value_len,
                           (uint32_t)c->input->slot };

    return gather_add(&c->read, record, &place, copy_gathered, c);
}

static int copy_all(struct compaction *c)
{
    int err = copies_begin(&c->copies, c->store, c->output);

    c->failed = 0;
    if (!err)
        err = gather_begin(&c->read);
    for (size_t i = 0; i < c->n && !err; i++) {
        c->input = c->inputs[i];
        err = segment_each(c->input, c->store->path, copy_record, c);
        if (!err)
            err = copy_gathered(c);
        if (!c->failed && (err == -EBADMSG || err == -EIO)) {
            mutex_lock(&c->store->set.lock);
            c->input->bad = true;
            mutex_unlock(&c->store->set.lock);
        }
    }
    gather_release(&c->read);
    return err ? err : copies_end(&c->copies);
}

/* ---- The new segment ----------------------------------------------------- */

static int begin_output(struct compaction *c)
{
    struct store *s = c->store;
    uint64_t replaces[COMPACT_INPUTS];
    struct segment_label label = { .replaces = replaces, .n = c->n };

    for (size_t i = 0; i < c->n; i++)
        replaces[i] = c->inputs[i]->generation;
    mutex_lock(&s->numbers);
    label.birth = s->applied;
    mutex_unlock(&s->numbers);
    return segment_create(&c->output, s->path, store_next_generation(s),
                          DIR_NEW, &label);
}

/* It gets its name. From there on it counts for whoever opens the store, so
 * it must be there for good, or we change nothing any more; and who opens the
 * store next must not take a name for durable that is not, and remove the
 * inputs: so it loses the name again. */
static int name_output(struct compaction *c)
{
    char made[PATH_MAX + DIR_NAME_MAX], final[PATH_MAX + DIR_NAME_MAX];
    struct store *s = c->store;

    segment_path(made, s->path, c->output->generation, DIR_NEW);
    segment_path(final, s->path, c->output->generation, "");
    if (rename(made, final) != 0)
        return -errno;
    int err = store_sync_names(s);
    if (err)
        rename(final, made);
    return err;
}

static void drop_output(struct compaction *c)
{
    char made[PATH_MAX + DIR_NAME_MAX];

    if (!c->output)
        return;
    segment_path(made, c->store->path, c->output->generation, DIR_NEW);
    unlink(made);
    if (c->output->slot == SEGMENT_NO_SLOT)
        segment_close(c->output);
    else
        segments_remove(&c->store->set, c->output);
    c->output = NULL;
}

static int make_output(struct compaction *c)
{
    struct store *s = c->store;
    int err = begin_output(c);

    if (!err)
        err = copy_all(c);
    if (!err)
        err = segment_seal(c->output);
    if (!err)
        err = store_make_durable(s);
    if (!err) {
        c->output->busy = c->output->sealed = c->output->hinted = true;
        err = segments_add(&s->set, c->output);
    }
    if (!err)
        err = name_output(c);
    if (err)
        drop_output(c);
    return err;
}

/* ---- The index ----------------------------------------------------------- */

struct switching {
    struct compaction *c;
    const struct place *from;
    struct place to;
    bool moved;
};

static enum table_decision move_if_still_there(void *arg,
                                               const struct slice *present,
                                               struct slice *value)
{
    struct switching *w = arg;
    struct place now;

    w->moved = false;
    if (!present)
        return TABLE_KEEP;
    memcpy(&now, present->ptr, sizeof now);
    w->moved = is_at(&now, w->from);
    *value = slice_of(&w->to, sizeof w->to);
    return w->moved ? TABLE_REPLACE : TABLE_KEEP;
}

static int switch_entry(void *arg, const struct hint_entry *e)
{
    struct switching *w = arg;
    struct store *s = w->c->store;
    struct epoch_reader *reader = epoch_here(s->set.epoch);
    int err = 0;

    w->to = (struct place){ e->position.offset, e->position.value_len,
                            (uint32_t)w->c->output->slot };
    if (e->kind == RECORD_SET) {
        epoch_enter(reader);
        err = table_update(s->index, e->key, move_if_still_there, w);
        if (!err && w->moved)
            segments_moved(&s->set, w->from, &w->to,
                           record_size(e->key.len, e->position.value_len));
        epoch_leave(reader);
    }
    w->from++;
    return err;
}

static int switch_index(struct compaction *c)
{
    const void *from = c->copies.from.ptr;
    struct switching w = { .c = c, .from = from };
    int err = epoch_here(c->store->set.epoch) ? 0 : -ENOMEM;

    if (!err)
        err = store_each_entry(c->store, &c->copies.hint, switch_entry, &w);
    return err ? store_fail(c->store, err) : 0;
}

/* ---- The end of the inputs ----------------------------------------------- */

/* An input that could not be removed is of no harm as long as the output
 * stays, which names it: so that stays. */
static void end_inputs(struct compaction *c)
{
    uint64_t generations[COMPACT_INPUTS];

    for (size_t i = 0; i < c->n; i++)
        generations[i] = c->inputs[i]->generation;
    bool gone = store_remove_logs(c->store, generations, c->n) == 0;
    for (size_t i = 0; i < c->n; i++)
        segments_remove(&c->store->set, c->inputs[i]);
    epoch_reclaim(c->store->set.epoch);     /* descriptors are few */
    if (gone)
        segments_put_back(&c->store->set, &c->output, 1);
}

static int run(struct compaction *c)
{
    struct store *s = c->store;
    int err = make_output(c);

    if (store_no_room(err) && background_spend_reserve(s)) {
        copies_release(&c->copies);
        err = make_output(c);
    }
    if (err)
        return err;
    err = switch_index(c);
    if (err)
        return err;
    hint_save(&c->copies.hint, &s->dir, c->output->generation, c->output->salt,
              segment_end(c->output));
    end_inputs(c);
    return 0;
}

int compact_run(struct store *store, struct segment **inputs, size_t n)
{
    struct compaction *c = calloc(1, sizeof *c);
    int err = c ? 0 : -ENOMEM;

    if (!err && (store->options.read_only || store_failed(store)))
        err = -EROFS;
    if (!err) {
        c->store = store;
        c->inputs = inputs;
        c->n = n;
        err = run(c);
        copies_release(&c->copies);
    }
    if (err)
        segments_put_back(&store->set, inputs, n);
    free(c);
    return err;
}
