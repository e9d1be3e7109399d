/* compact.c -- yours: stage 5B, tasks 5.6, 5.7. */
/* Approach: whoever was born first and has garbage is written anew, with some
 * of the next ones, if all fit into a segment. The steps of a compaction are
 * a table, gone through until one fails.
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
#include "stage5-compaction/hint.h"

enum { TOGETHER = 8 };

/* ---- Choosing ------------------------------------------------------------------- */

/* The candidates come by birth. */
size_t compact_pick(struct store *store, struct segment **inputs, bool all)
{
    struct segments_sum sum;
    uint64_t garbage, keep = 0, room = store->options.segment_size;
    size_t n, taken = 0;
    struct candidate *c = segments_survey(&store->set, &n, &garbage);

    segments_sum(&store->set, &sum);
    for (size_t i = 0; i < n && taken < TOGETHER; i++) {
        if (!all && garbage <= sum.bytes / 5)
            break;
        if (c[i].garbage == 0 && (taken == 0 || c[i].bytes > room / 10))
            continue;       /* small ones go along */
        if (taken > 0 && keep + c[i].keep > room)
            continue;
        keep += c[i].keep;
        inputs[taken++] = c[i].segment;
    }
    free(c);
    if (taken > 0 && !segments_take(&store->set, inputs, taken))
        taken = 0;
    return taken;
}

/* ---- The steps -------------------------------------------------------------------- */

struct work {
    struct store *store;
    struct segment **inputs, *from, *to;
    size_t n;
    int cannot_go_on;   /* and the input is not to blame */
    bool named;
    struct copies copies;
    char making[PATH_MAX + DIR_NAME_MAX], path[PATH_MAX + DIR_NAME_MAX];
};

static int begin(struct work *w)
{
    struct store *s = w->store;
    uint64_t *old = calloc(w->n, sizeof *old);
    uint64_t generation = store_next_generation(s);
    struct segment_label label = { .replaces = old, .n = w->n };

    if (!old)
        return -ENOMEM;
    for (size_t i = 0; i < w->n; i++)
        old[i] = w->inputs[i]->generation;
    mutex_lock(&s->numbers);
    label.birth = s->applied;
    mutex_unlock(&s->numbers);
    segment_path(w->making, s->path, generation, DIR_NEW);
    segment_path(w->path, s->path, generation, "");
    int err = segment_create(&w->to, s->path, generation, DIR_NEW, &label);
    free(old);
    return err ? err : copies_begin(&w->copies, s, w->to);
}

static bool same(const struct place *a, const struct place *b)
{
    return a->offset == b->offset && a->slot == b->slot;
}

static int consider(void *arg, const struct record *r,
                    const struct log_position *at)
{
    struct work *w = arg;
    struct place here = { at->offset, at->value_len, (uint32_t)w->from->slot };
    struct place now;
    ssize_t found = table_lookup(w->store->index, r->key, &now, sizeof now);
    bool known = found > 0, keep;

    if (found < 0 && found != -ENOENT)
        return w->cannot_go_on = (int)found;
    if (r->kind == RECORD_SET)
        keep = known && same(&now, &here);
    else
        keep = !known && segments_pin(&w->store->set, r->sequence, w->inputs,
                                      w->n);
    w->cannot_go_on = keep ? copies_add(&w->copies, r, &here) : 0;
    return w->cannot_go_on;
}

static int copy(struct work *w)
{
    struct segments *set = &w->store->set;

    w->cannot_go_on = 0;
    for (size_t i = 0; i < w->n; i++) {
        w->from = w->inputs[i];
        int err = segment_each(w->from, w->store->path, consider, w);

        if (!w->cannot_go_on && (err == -EBADMSG || err == -EIO)) {
            mutex_lock(&set->lock);
            w->from->bad = true;
            mutex_unlock(&set->lock);
        }
        if (err)
            return err;
    }
    return copies_end(&w->copies);
}

/* What made something garbage first, then the copy. */
static int make_durable(struct work *w)
{
    int err = store_make_durable(w->store);

    return err ? err : segment_seal(w->to);
}

static int join(struct work *w)
{
    w->to->hinted = true;
    w->to->sealed = true;
    w->to->busy = true;
    return segments_add(&w->store->set, w->to);
}

static int name(struct work *w)
{
    if (rename(w->making, w->path) != 0)
        return -errno;
    w->named = true;
    int err = store_sync_names(w->store);
    if (err)        /* nobody may rely on the name */
        rename(w->path, w->making);
    return err;
}

struct step_over {
    const struct place *from;
    struct place to;
    bool moved;
};

static enum table_decision step_over(void *arg, const struct slice *present,
                                     struct slice *value)
{
    struct step_over *step = arg;
    struct place now;

    step->moved = false;
    if (present) {
        memcpy(&now, present->ptr, sizeof now);
        step->moved = same(&now, step->from);
    }
    *value = slice_of(&step->to, sizeof step->to);
    return step->moved ? TABLE_REPLACE : TABLE_KEEP;
}

struct switching {
    struct work *work;
    struct epoch_reader *reader;
    size_t at;
};

static int switch_one(void *arg, const struct hint_entry *e)
{
    struct switching *g = arg;
    struct segments *set = &g->work->store->set;
    struct place from;
    struct step_over step = { .from = &from };
    int err;

    memcpy(&from, g->work->copies.from.ptr + g->at++ * sizeof from,
           sizeof from);
    if (e->kind != RECORD_SET)
        return 0;
    step.to = (struct place){ e->position.offset, e->position.value_len,
                              (uint32_t)g->work->to->slot };
    epoch_enter(g->reader);
    err = table_update(g->work->store->index, e->key, step_over, &step);
    if (!err && step.moved)
        segments_moved(set, &from, &step.to, record_size(
                           e->key.len, e->position.value_len));
    epoch_leave(g->reader);
    return err;
}

static int go_over(struct work *w)
{
    struct switching g = { w, epoch_here(w->store->set.epoch), 0 };

    return g.reader ? hint_each(&w->copies.hint, switch_one, &g) : -ENOMEM;
}

/* From its name on there is no way back. */
static int do_steps(struct work *w)
{
    static int (*const steps[])(struct work *) = {
        begin, copy, make_durable, join, name, go_over,
    };
    int err = 0;

    for (size_t i = 0; i < sizeof steps / sizeof *steps && !err; i++)
        err = steps[i](w);
    if (!err)
        return 0;
    if (w->named)
        return store_fail(w->store, err);
    if (w->to) {
        unlink(w->making);
        if (w->to->slot == SEGMENT_NO_SLOT)
            segment_close(w->to);
        else
            segments_remove(&w->store->set, w->to);
        w->to = NULL;
    }
    return err;
}

/* ---- The end ------------------------------------------------------------------------- */

static void remove_inputs(struct work *w)
{
    struct store *s = w->store;
    uint64_t generations[COMPACT_INPUTS];

    hint_save(&w->copies.hint, &s->dir, w->to->generation, w->to->salt,
              segment_end(w->to));
    for (size_t i = 0; i < w->n; i++)
        generations[i] = w->inputs[i]->generation;
    int err = store_remove_logs(s, generations, w->n);
    for (size_t i = 0; i < w->n; i++)
        segments_remove(&s->set, w->inputs[i]);
    if (!err)       /* else it must stay: it names them */
        segments_put_back(&s->set, &w->to, 1);
    epoch_reclaim(s->set.epoch);
}

int compact_run(struct store *store, struct segment **inputs, size_t n)
{
    struct work *w = calloc(1, sizeof *w);
    int err = !w ? -ENOMEM
              : store->options.read_only || store_failed(store) ? -EROFS : 0;

    if (!err) {
        w->store = store;
        w->inputs = inputs;
        w->n = n;
        err = do_steps(w);
        if (store_no_room(err) && !w->named &&
            background_spend_reserve(store)) {
            copies_release(&w->copies);
            err = do_steps(w);
        }
    }
    if (!err)
        remove_inputs(w);
    else
        segments_put_back(&store->set, inputs, n);
    if (w)
        copies_release(&w->copies);
    free(w);
    return err;
}
