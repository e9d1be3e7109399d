/* batch.c -- given. */
#include "stage5-compaction/batch.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "common/lock.h"
#include "stage5-compaction/background.h"

enum {
    FEW = 8,            /* ops, and changes, without malloc */
    AHEAD = 16,         /* keys that are looked up together */
    NO_RECORD = -1
};

/* Where an op that has no result yet finds its value, or puts it. */
struct step {
    long record;            /* of this group; or NO_RECORD: */
    struct place place;
    ssize_t found;          /* what the lookup has answered */
};

struct group {
    struct store *store;
    size_t n, changes;      /* ops; those that are changes */
    struct step *steps;
    struct record *records;
    struct log_position *positions;
    size_t planned;
    long *newest;           /* a hash table: a key's last record, or 0 for a */
    size_t slots;           /* free slot, so one more than its number */
    int failure;            /* why no change is made */
    struct buf value;
    struct step few_steps[FEW];
    struct record few_records[FEW];
    struct log_position few_positions[FEW];
    long few_newest[2 * FEW];
};

static int group_init(struct group *g, struct store *store, size_t n,
                      size_t changes)
{
    g->store = store;
    g->n = n;
    g->changes = changes;
    g->failure = 0;
    g->value = (struct buf){ 0 };
    g->steps = g->few_steps;
    g->records = g->few_records;
    g->positions = g->few_positions;
    g->newest = g->few_newest;
    g->slots = 2 * FEW;
    if (n > FEW)
        g->steps = calloc(n, sizeof *g->steps);
    if (changes > FEW) {
        while (g->slots < 2 * changes)
            g->slots *= 2;
        g->records = calloc(changes, sizeof *g->records);
        g->positions = calloc(changes, sizeof *g->positions);
        g->newest = calloc(g->slots, sizeof *g->newest);
    }
    return g->steps && g->records && g->positions && g->newest ? 0 : -ENOMEM;
}

static void group_release(struct group *g)
{
    buf_release(&g->value);
    if (g->steps != g->few_steps)
        free(g->steps);
    if (g->records == g->few_records)
        return;
    free(g->records);
    free(g->positions);
    free(g->newest);
}

/* ---- Foreseeing ---------------------------------------------------------- */

static int judge_key(struct slice key)
{
    return key.len == 0 ? -EINVAL : key.len > RECORD_KEY_MAX ? -EMSGSIZE : 0;
}

static int judge(const struct store_op *op)
{
    int err = judge_key(op->key);

    if (err || op->kind == STORE_GET || op->kind == STORE_REMOVE)
        return err;
    if (op->kind != STORE_SET)
        return -EINVAL;
    return op->value.len > RECORD_VALUE_MAX ? -EMSGSIZE : 0;
}

/* The slot that has the key's last record, or a free one. */
static long *newest_of(struct group *g, struct slice key)
{
    size_t at = XXH3_64bits(key.ptr, key.len) & (g->slots - 1);

    while (g->newest[at] &&
           !slice_equal(g->records[g->newest[at] - 1].key, key))
        at = (at + 1) & (g->slots - 1);
    return &g->newest[at];
}

/* What the key is at this point: 0, and its step says where; or -ENOENT. */
static int foresee(struct group *g, struct slice key, struct step *step,
                   size_t *len)
{
    long newest = g->planned ? *newest_of(g, key) : 0;

    step->record = newest - 1;
    if (newest) {
        const struct record *r = &g->records[newest - 1];

        *len = r->value.len;
        return r->kind == RECORD_SET ? 0 : -ENOENT;
    }
    *len = step->place.value_len;
    return step->found < 0 ? (int)step->found : 0;
}

static void foresee_get(struct group *g, struct store_op *op,
                        struct step *step)
{
    size_t len;

    op->into_at = op->into_len = 0;
    op->result = judge(op);
    if (!op->result)
        op->result = foresee(g, op->key, step, &len);
    if (op->result)
        return;
    op->into_len = len;
    if (op->into && op->into_max && len > op->into_max)
        op->result = -ENOBUFS;
}

static void foresee_change(struct group *g, struct store_op *op,
                           struct step *step)
{
    size_t len;

    op->result = judge(op);
    if (!op->result && g->failure)
        op->result = g->failure;
    if (!op->result && op->kind == STORE_REMOVE)
        op->result = foresee(g, op->key, step, &len);
    if (op->result)
        return;
    struct record *record = &g->records[g->planned];
    *record = (struct record){
        .kind = op->kind == STORE_SET ? RECORD_SET : RECORD_REMOVE,
        .sequence = g->store->sequence + g->planned + 1,
        .key = op->key,
    };
    if (op->kind == STORE_SET)
        record->value = op->value;
    long *newest = newest_of(g, op->key);
    step->record = (long)g->planned++;
    *newest = step->record + 1;
}

/* Looks the keys of some ops up together: a processor can wait for many
 * places in memory at once. */
static size_t look_up(struct group *g, const struct store_op *ops, size_t n,
                      struct step *steps)
{
    struct table_lookup lookups[AHEAD];

    if (n > AHEAD)
        n = AHEAD;
    for (size_t i = 0; i < n; i++)
        lookups[i] = (struct table_lookup){ ops[i].key, &steps[i].place,
                                            sizeof steps[i].place, 0 };
    table_lookup_many(g->store->index, lookups, n);
    for (size_t i = 0; i < n; i++)
        steps[i].found = lookups[i].len;
    return n;
}

static void foresee_batch(struct group *g, struct store_op *ops, size_t n,
                          struct step *steps)
{
    bool stopped = false;
    size_t known = 0;

    for (size_t i = 0; i < n; i++) {
        if (i == known)
            known += look_up(g, ops + i, n - i, steps + i);
        if (i == 0 || ops[i].group != ops[i - 1].group)
            stopped = false;
        if (stopped)
            ops[i].result = -ECANCELED;
        else if (ops[i].kind == STORE_GET)
            foresee_get(g, &ops[i], &steps[i]);
        else
            foresee_change(g, &ops[i], &steps[i]);
        stopped = stopped || ops[i].result == -ENOBUFS;
    }
}

/* ---- Doing --------------------------------------------------------------- */

/* Asks for the records that the gets will read, before the first is read. */
static void expect_values(struct group *g, const struct store_op *ops,
                          const struct step *steps, size_t n)
{
    for (size_t i = 0; i < n && n > 1; i++) {
        const struct place *p = &steps[i].place;

        if (ops[i].kind != STORE_GET || ops[i].result || !ops[i].into ||
            steps[i].record != NO_RECORD)
            continue;
        struct log_position at = { p->offset, (uint32_t)ops[i].key.len,
                                   p->value_len };
        log_expect(segments_at(&g->store->set, p->slot)->log, &at);
    }
}

static int do_get(struct group *g, struct store_op *op,
                  const struct step *step)
{
    if (!op->into)
        return 0;
    op->into_at = op->into->len;
    if (step->record != NO_RECORD)
        return buf_append_slice(op->into, g->records[step->record].value);
    int err = store_read(g->store, op->key, &step->place, &g->value);
    return err ? err : buf_append_slice(op->into, buf_slice(&g->value));
}

static int do_change(struct group *g, const struct step *step)
{
    int err = store_learn(g->store, &g->records[step->record],
                          &g->positions[step->record]);

    /* It is in the log only: nothing may follow. */
    return err ? store_fail(g->store, err) : 0;
}

static void do_batch(struct group *g, struct store_op *ops, size_t n,
                     const struct step *steps)
{
    for (size_t i = 0; i < n; i++) {
        if (i % AHEAD == 0)
            expect_values(g, ops + i, steps + i,
                          n - i < AHEAD ? n - i : AHEAD);
        if (ops[i].result)
            continue;
        ops[i].result = ops[i].kind == STORE_GET
                            ? do_get(g, &ops[i], &steps[i])
                            : do_change(g, &steps[i]);
    }
}

static const struct batch *batch_of(const struct commit_entry *entry)
{
    return (const struct batch *)(const void *)entry;
}

static void foresee_all(struct group *g, const struct commit_entry *first)
{
    size_t at = 0;

    g->planned = 0;
    memset(g->newest, 0, g->slots * sizeof *g->newest);
    for (const struct commit_entry *e = first; e; e = e->next) {
        foresee_batch(g, batch_of(e)->ops, batch_of(e)->n, g->steps + at);
        at += batch_of(e)->n;
    }
}

static int write_all(struct group *g)
{
    struct store *s = g->store;

    if (g->planned == 0)
        return 0;
    int err = s->options.read_only || store_failed(s) ? -EROFS
              : background_saving(s) ? -ENOSPC : 0;
    if (!err)
        err = store_write(s, g->records, g->planned, g->positions);
    if (store_no_room(err))
        background_full(s);
    return err;
}

/* Garbage is made without filling a segment, too. */
static void look_at_garbage(struct store *s)
{
    if (s->set.made <= s->options.segment_size / 4)
        return;
    s->set.made = 0;
    background_judge(s);
    background_wake(s);
}

static void run(struct group *g, const struct commit_entry *first)
{
    struct store *s = g->store;
    struct epoch_reader *reader = epoch_here(s->set.epoch);
    size_t at = 0;

    epoch_enter(reader);
    foresee_all(g, first);
    g->failure = write_all(g);
    if (g->failure)
        foresee_all(g, first);
    for (const struct commit_entry *e = first; e; e = e->next) {
        do_batch(g, batch_of(e)->ops, batch_of(e)->n, g->steps + at);
        at += batch_of(e)->n;
    }
    epoch_leave(reader);
    s->sequence += g->planned;
    mutex_lock(&s->numbers);
    s->applied = s->sequence;
    mutex_unlock(&s->numbers);
    look_at_garbage(s);
}

static void fail_all(const struct commit_entry *first, int err)
{
    for (const struct commit_entry *e = first; e; e = e->next)
        for (size_t i = 0; i < batch_of(e)->n; i++)
            batch_of(e)->ops[i].result = err;
}

void batch_commit(void *arg, struct commit_entry *first)
{
    struct store *store = arg;
    struct group g;
    size_t n = 0, changes = 0;

    for (const struct commit_entry *e = first; e; e = e->next) {
        n += batch_of(e)->n;
        for (size_t i = 0; i < batch_of(e)->n; i++)
            changes += batch_of(e)->ops[i].kind != STORE_GET;
    }
    if (group_init(&g, store, n, changes) == 0 &&
        epoch_here(store->set.epoch))
        run(&g, first);
    else
        fail_all(first, -ENOMEM);
    group_release(&g);
}

int batch_gets(struct store *store, struct store_op *ops, size_t n)
{
    struct epoch_reader *reader = epoch_here(store->set.epoch);
    struct group g;
    int err = reader ? group_init(&g, store, n, 0) : -ENOMEM;

    if (!reader)
        return err;
    g.planned = 0;
    if (!err) {
        epoch_enter(reader);
        foresee_batch(&g, ops, n, g.steps);
        do_batch(&g, ops, n, g.steps);
        epoch_leave(reader);
    }
    group_release(&g);
    return err;
}
