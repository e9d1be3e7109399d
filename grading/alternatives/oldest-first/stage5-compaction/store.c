/* store.c -- yours: stage 5B, task 5.5. */
/* Approach: all files are opened before any is added. What they replace is a
 * sorted list; who is in it is closed again. The newest that sets have written
 * is always read from its beginning, and goes on being the active one.
 */
#include "stage2-server/store.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/lock.h"
#include "stage5-compaction/background.h"
#include "stage5-compaction/batch.h"
#include "stage5-compaction/compact.h"
#include "stage5-compaction/load.h"
#include "stage5-compaction/store_parts.h"

static const char engine[] = "kvs";

const char *store_engine(struct store *store)
{
    (void)store;
    return engine;
}

size_t store_key_max(struct store *store)
{
    (void)store;
    return RECORD_KEY_MAX;
}

void store_stats(struct store *store, struct store_stats *stats)
{
    store_count(store, stats);
}

/* ---- Opening -------------------------------------------------------------------- */

struct finding {
    struct store *store;
    uint64_t *logs;
    struct segment **found;     /* NULL: nothing in it */
    size_t n;
    uint64_t *replaced;
    size_t n_replaced;
};

static int compare(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return x < y ? -1 : x > y;
}

static void used_up(struct store *s, uint64_t generation)
{
    if (s->next_generation <= generation)
        s->next_generation = generation + 1;
}

static int note_replaced(struct finding *f, const struct segment *g)
{
    size_t n = f->n_replaced + g->n_replaces;

    if (g->n_replaces == 0)
        return 0;
    uint64_t *more = realloc(f->replaced, n * sizeof *more);
    if (!more)
        return -ENOMEM;
    f->replaced = more;
    for (size_t i = 0; i < g->n_replaces; i++) {
        used_up(f->store, g->replaces[i]);
        more[f->n_replaced++] = g->replaces[i];
    }
    return 0;
}

static int open_all(struct finding *f)
{
    struct store *s = f->store;
    int err = 0;

    for (size_t i = 0; i < f->n && !err; i++) {
        used_up(s, f->logs[i]);
        if (s->dir.format == 1 && i < f->n - 1)
            continue;               /* of stage 2: only the newest counts */
        err = segment_open(&f->found[i], s->path, f->logs[i], false);
        if (err == -ENODATA)
            err = 0;
        else if (!err)
            err = note_replaced(f, f->found[i]);
    }
    if (f->n_replaced > 0)
        qsort(f->replaced, f->n_replaced, sizeof *f->replaced, compare);
    return err;
}

static bool is_old(const struct finding *f, uint64_t generation)
{
    return f->n_replaced > 0 &&
           bsearch(&generation, f->replaced, f->n_replaced,
                   sizeof *f->replaced, compare);
}

/* Closes those that count no more. The number behind the newest that sets have
 * written, 0: none. One with nothing in it must not lie before that. */
static int sort_out(struct finding *f, size_t *newest)
{
    size_t empty = 0;

    *newest = 0;
    for (size_t i = 0; i < f->n; i++) {
        struct segment *g = f->found[i];

        if (!g) {
            if (f->store->dir.format > 1)
                empty = i + 1;
        } else if (is_old(f, g->generation)) {
            segment_close(g);
            f->found[i] = NULL;
        } else if (!g->merged) {
            *newest = i + 1;
        }
    }
    return empty > 0 && empty < *newest ? -EBADMSG : 0;
}

static int add_all(struct finding *f, size_t newest, struct segment **active)
{
    struct store *s = f->store;
    int err = 0;

    for (size_t i = 0; i < f->n && !err; i++) {
        if (i + 1 == newest) {
            segment_close(f->found[i]);
            f->found[i] = NULL;
            err = segment_open(&f->found[i], s->path, f->logs[i],
                               !s->options.read_only);
            *active = f->found[i];
        }
        if (err || !f->found[i])
            continue;
        err = segments_add(&s->set, f->found[i]);
        if (!err)
            f->found[i] = NULL;
    }
    if (!err && *active)
        (*active)->sealed = false;
    return err;
}

static int find(struct store *s, struct segment **active)
{
    struct finding f = { .store = s };
    size_t newest;
    int err = store_logs(s, &f.logs, &f.n);

    if (err)
        return err;
    f.found = calloc(f.n + 1, sizeof *f.found);
    err = f.found ? open_all(&f) : -ENOMEM;
    if (!err)
        err = sort_out(&f, &newest);
    if (!err)
        err = add_all(&f, newest, active);
    for (size_t i = 0; f.found && i < f.n; i++)
        segment_close(f.found[i]);
    free(f.found);
    free(f.replaced);
    free(f.logs);
    return err;
}

static int tidy(struct store *s)
{
    if (s->options.read_only)
        return s->dir.format == 1 && !s->set.first ? -ENOENT : 0;
    int err = store_remove_leftovers(s);
    if (!err && s->dir.format != STORE_FORMAT)
        err = dir_set_format(&s->dir, STORE_FORMAT);
    return err;
}

int store_open(struct store **out, const char *dir,
               const struct store_options *options)
{
    struct segment *active = NULL;
    struct store *s;
    int err = store_make(&s, dir, engine, options);

    if (err)
        return err;
    err = find(s, &active);
    if (!err)
        err = tidy(s);
    if (!err)
        err = load_index(s, active);
    if (!err && active) {
        s->synced = segment_end(active);
        s->active = s->options.read_only ? NULL : active;
    }
    if (!err)
        err = background_start(s);
    if (err)
        store_free(s);
    else
        *out = s;
    return err;
}

int store_close(struct store *store)
{
    int err = 0;

    if (!store)
        return 0;
    background_stop(store);
    if (store_failed(store))
        err = -EROFS;
    else if (store->active)
        err = segment_seal(store->active);
    if (!err && store->active && !load_has_hint(store, store->active))
        load_write_hint(store, store->active);
    store_free(store);
    return err;
}

/* ---- Reading ---------------------------------------------------------------------- */

int store_read(struct store *store, struct slice key,
               const struct place *place, struct buf *value)
{
    const struct segment *segment = segments_at(&store->set, place->slot);
    struct log_position position = {
        .offset = place->offset,
        .key_len = (uint32_t)key.len,
        .value_len = place->value_len,
    };

    return log_read(segment->log, &position, key, value);
}

int store_get(struct store *store, struct slice key, struct buf *value)
{
    struct epoch_reader *me;
    struct place place;
    int err = 0;

    if (key.len == 0)
        return -EINVAL;
    if (key.len > RECORD_KEY_MAX)
        return -EMSGSIZE;
    me = epoch_here(store->set.epoch);
    if (!me)
        return -ENOMEM;
    epoch_enter(me);
    ssize_t n = table_lookup(store->index, key, &place, sizeof place);
    if (n == sizeof place)
        err = store_read(store, key, &place, value);
    else
        err = n < 0 ? (int)n : -ENOENT;
    epoch_leave(me);
    return err;
}

struct scan {
    struct store *store;
    store_scan_fn *fn;
    void *arg;
};

static int scan_one(void *arg, struct slice key, struct slice unused)
{
    struct scan *scan = arg;
    struct buf value = { 0 };
    int answer = store_get(scan->store, key, &value);

    (void)unused;
    if (answer == 0)
        answer = scan->fn(scan->arg, key, buf_slice(&value));
    else if (answer == -ENOENT)
        answer = 0;
    buf_release(&value);
    return answer;
}

int store_scan(struct store *store, store_scan_fn *fn, void *arg)
{
    struct scan scan = { store, fn, arg };

    return table_each(store->index, scan_one, &scan);
}

/* ---- Writing ------------------------------------------------------------------------ */

static int next_segment(struct store *s)
{
    uint64_t generation = store_next_generation(s);
    struct segment_label label = { .birth = s->sequence };
    struct segment *g = NULL;
    char path[PATH_MAX + DIR_NAME_MAX];

    int err = segment_create(&g, s->path, generation, "", &label);
    if (!err)
        err = store_sync_names(s);
    if (!err)
        err = segments_add(&s->set, g);
    if (!err) {
        s->active = g;
        s->synced = segment_end(g);
        return 0;
    }
    segment_path(path, s->path, generation, "");
    if (g)
        unlink(path);
    store_sync_names(s);
    segment_close(g);
    return err;
}

int store_seal_active(struct store *s)
{
    struct segment *g = s->active;
    int err = store_sync_active(s);

    err = err ? err : log_mark(g->log);     /* it may be that it has no room */
    if (err)
        return err;
    err = segment_seal(g);
    if (err)
        return store_fail(s, err);
    s->active = NULL;
    mutex_lock(&s->set.lock);
    g->sealed = true;
    mutex_unlock(&s->set.lock);
    background_judge(s);
    background_wake(s);
    return 0;
}

static bool fits(const struct segment *g, const struct record *records,
                 size_t n, uint64_t room)
{
    uint64_t sum = g->bytes;

    if (sum == 0)
        return true;
    while (n-- > 0)
        sum += record_size(records[n].key.len, records[n].value.len);
    return sum <= room;
}

static int place_records(struct store *s, struct record *records, size_t n,
                         struct log_position *positions)
{
    int err = 0;

    if (s->active && !fits(s->active, records, n, s->options.segment_size))
        err = store_seal_active(s);
    if (!err && !s->active)
        err = next_segment(s);
    return err ? err : segment_append(s->active, records, n, positions,
                                      s->options.durability == STORE_ALWAYS);
}

int store_write(struct store *store, struct record *records, size_t n,
                struct log_position *positions)
{
    int err = place_records(store, records, n, positions);

    if (err)
        return err;
    if (store->options.durability == STORE_ALWAYS)
        return store_sync_active(store);
    segment_push(store->active);
    return 0;
}

struct learning {
    const struct record *record;
    struct place old, new;
    bool had_old;
};

static enum table_decision learn(void *arg, const struct slice *present,
                                 struct slice *value)
{
    struct learning *l = arg;

    l->had_old = present != NULL;
    if (present)
        memcpy(&l->old, present->ptr, sizeof l->old);
    if (l->record->kind == RECORD_REMOVE)
        return present ? TABLE_DELETE : TABLE_KEEP;
    *value = slice_of(&l->new, sizeof l->new);
    return TABLE_REPLACE;
}

int store_learn(struct store *store, const struct record *record,
                const struct log_position *position)
{
    struct learning l = { .record = record };
    int err;

    l.new.offset = position->offset;
    l.new.value_len = position->value_len;
    l.new.slot = (uint32_t)store->active->slot;
    err = table_update(store->index, record->key, learn, &l);
    if (err)
        return err;
    segments_changed(&store->set, store->active, record,
                     l.had_old ? &l.old : NULL);
    return 0;
}

/* ---- Batches, and what is asked for by name ----------------------------------------------- */

int store_apply(struct store *store, struct store_op *ops, size_t n)
{
    struct batch batch = { .ops = ops, .n = n };

    for (size_t i = 0; i < n; i++)
        if (ops[i].kind != STORE_GET) {
            background_admit(store, ops, n);
            commit_run(&store->commit, &batch.entry);
            return 0;
        }
    return batch_gets(store, ops, n);
}

static int apply_one(struct store *store, struct store_op op)
{
    int err = store_apply(store, &op, 1);

    return err ? err : op.result;
}

int store_set(struct store *store, struct slice key, struct slice value)
{
    return apply_one(store, (struct store_op){
        .kind = STORE_SET, .key = key, .value = value });
}

int store_remove(struct store *store, struct slice key)
{
    return apply_one(store, (struct store_op){
        .kind = STORE_REMOVE, .key = key });
}

int store_sync(struct store *store)
{
    if (store_failed(store))
        return -EROFS;
    return store->options.read_only ? 0 : store_make_durable(store);
}

int store_compact(struct store *store)
{
    int err = store->options.read_only || store_failed(store) ? -EROFS : 0;

    if (!err)
        err = background_enter(store);
    if (err)
        return err;
    err = compact_all(store);
    background_leave(store);
    if (epoch_reclaim(store->set.epoch) > 0)
        background_wake(store);
    return err;
}
