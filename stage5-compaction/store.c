/* store.c -- yours: stage 5B, task 5.5.
 *
 * The store of many logs. What is written goes behind the active segment;
 * when that is full it is sealed, and the next change begins another. The
 * index names for each key the segment and the offset of its last record.
 *
 * Which files count. All logs whose names are numbers, but for those that a
 * segment says it replaces. A store of stage 2 has just one log that counts,
 * its newest. The active segment is the newest that no compaction has made;
 * all others are sealed, so damage in them is corruption. If it is long and has
 * a good hint, the active one is sealed at opening, too, and need not be read.
 */
#include "stage2-server/store.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/lock.h"
#include "stage5-compaction/background.h"
#include "stage5-compaction/batch.h"
#include "stage5-compaction/compact.h"
#include "stage5-compaction/hint.h"
#include "stage5-compaction/load.h"
#include "stage5-compaction/store_parts.h"

enum {
    SHORT = 16          /* an active segment of less than a 16th of a full
                           one is read and goes on being the active one */
};

static const char engine_name[] = "kvs";

/* ---- Reading ------------------------------------------------------------- */

int store_read(struct store *store, struct slice key,
               const struct place *place, struct buf *value)
{
    struct log_position at = { place->offset, (uint32_t)key.len,
                               place->value_len };

    return log_read(segments_at(&store->set, place->slot)->log, &at, key,
                    value);
}

static int check_key(struct slice key)
{
    return key.len == 0 ? -EINVAL : key.len > RECORD_KEY_MAX ? -EMSGSIZE : 0;
}

int store_get(struct store *store, struct slice key, struct buf *value)
{
    struct epoch_reader *reader = epoch_here(store->set.epoch);
    struct place place;
    int err = reader ? check_key(key) : -ENOMEM;

    if (err)
        return err;
    epoch_enter(reader);
    ssize_t found = table_lookup(store->index, key, &place, sizeof place);
    err = found < 0 ? (int)found : store_read(store, key, &place, value);
    epoch_leave(reader);
    return err;
}

/* ---- Writing ------------------------------------------------------------- */

/* All of it is on the disk before the next one has a record: so only the last
 * one can lose something. */
int store_seal_active(struct store *store)
{
    struct segment *active = store->active;
    int err = store_sync_active(store);

    if (!err)
        err = log_mark(active->log);
    if (err)
        return err;
    err = segment_seal(active);
    if (err)
        return store_fail(store, err);
    mutex_lock(&store->set.lock);
    active->sealed = true;
    mutex_unlock(&store->set.lock);
    store->active = NULL;
    background_judge(store);
    background_wake(store);
    return 0;
}

static int begin_active(struct store *s)
{
    struct segment_label label = { .birth = s->sequence };
    struct segment *segment = NULL;
    uint64_t generation = store_next_generation(s);
    int err = segment_create(&segment, s->path, generation, "", &label);

    if (!err)
        err = store_sync_names(s);
    if (!err)
        err = segments_add(&s->set, segment);
    if (err) {
        char name[DIR_NAME_MAX];

        dir_log_name(name, generation);
        if (unlinkat(s->dir.fd, name, 0) != 0 && errno != ENOENT)
            store_fail(s, err);
        store_sync_names(s);    /* none behind it may be there beside it */
        segment_close(segment);
        return err;
    }
    s->active = segment;
    s->synced = segment_end(segment);
    return 0;
}

static bool is_full(const struct store *s, const struct record *records,
                    size_t n)
{
    uint64_t end = segment_end(s->active), empty = end - s->active->bytes;

    for (size_t i = 0; i < n; i++)
        end += record_size(records[i].key.len, records[i].value.len);
    return s->active->bytes > 0 && end - empty > s->options.segment_size;
}

int store_write(struct store *store, struct record *records, size_t n,
                struct log_position *positions)
{
    bool always = store->options.durability == STORE_ALWAYS;
    int err = 0;

    if (store->active && is_full(store, records, n))
        err = store_seal_active(store);
    if (!err && !store->active)
        err = begin_active(store);
    if (!err)
        err = segment_append(store->active, records, n, positions, always);
    if (!err && always)
        err = store_sync_active(store);
    if (!err)
        segment_push(store->active);
    return err;
}

/* ---- The index ----------------------------------------------------------- */

struct move {
    bool remove, was_there;
    struct place to, from;
};

static enum table_decision move_key(void *arg, const struct slice *present,
                                    struct slice *value)
{
    struct move *move = arg;

    move->was_there = present != NULL;
    if (present)
        memcpy(&move->from, present->ptr, sizeof move->from);
    *value = slice_of(&move->to, sizeof move->to);
    if (!move->remove)
        return TABLE_REPLACE;
    return present ? TABLE_DELETE : TABLE_KEEP;
}

int store_learn(struct store *store, const struct record *record,
                const struct log_position *position)
{
    struct move move = {
        .remove = record->kind == RECORD_REMOVE,
        .to = { position->offset, position->value_len,
                (uint32_t)store->active->slot },
    };
    int err = table_update(store->index, record->key, move_key, &move);

    if (!err)
        segments_changed(&store->set, store->active, record,
                         move.was_there ? &move.from : NULL);
    return err;
}

/* ---- The calls ----------------------------------------------------------- */

int store_apply(struct store *store, struct store_op *ops, size_t n)
{
    struct batch batch = { .ops = ops, .n = n };
    size_t gets = 0;

    while (gets < n && ops[gets].kind == STORE_GET)
        gets++;
    if (gets == n)
        return batch_gets(store, ops, n);
    background_admit(store, ops, n);
    commit_run(&store->commit, &batch.entry);
    return 0;
}

int store_set(struct store *store, struct slice key, struct slice value)
{
    struct store_op op = { .kind = STORE_SET, .key = key, .value = value };
    int err = store_apply(store, &op, 1);

    return err ? err : op.result;
}

int store_remove(struct store *store, struct slice key)
{
    struct store_op op = { .kind = STORE_REMOVE, .key = key };
    int err = store_apply(store, &op, 1);

    return err ? err : op.result;
}

struct scanning {
    struct store *store;
    store_scan_fn *fn;
    void *arg;
    struct buf value;
};

/* The key may be gone by now. */
static int scan_key(void *arg, struct slice key, struct slice place)
{
    struct scanning *scan = arg;
    int err = store_get(scan->store, key, &scan->value);

    (void)place;
    if (err)
        return err == -ENOENT ? 0 : err;
    return scan->fn(scan->arg, key, buf_slice(&scan->value));
}

int store_scan(struct store *store, store_scan_fn *fn, void *arg)
{
    struct scanning scan = { store, fn, arg, { 0 } };
    int answer = table_each(store->index, scan_key, &scan);

    buf_release(&scan.value);
    return answer;
}

int store_sync(struct store *store)
{
    if (store->options.read_only)
        return 0;
    return store_failed(store) ? -EROFS : store_make_durable(store);
}

int store_compact(struct store *store)
{
    if (store->options.read_only || store_failed(store))
        return -EROFS;
    int err = background_enter(store);
    if (err)
        return err;
    err = compact_all(store);
    if (!err && store_failed(store))
        err = -EROFS;       /* the inputs' names may come back */
    background_leave(store);
    if (epoch_reclaim(store->set.epoch) > 0)
        background_wake(store);     /* it looks when the readers have left */
    return err;
}

void store_stats(struct store *store, struct store_stats *stats)
{
    store_count(store, stats);
}

size_t store_key_max(struct store *store)
{
    (void)store;
    return RECORD_KEY_MAX;
}

const char *store_engine(struct store *store)
{
    (void)store;
    return engine_name;
}

/* ---- Opening: which files count ------------------------------------------ */

/* Not to be used again: neither it nor what it replaces. */
static void note_generation(struct store *s, uint64_t generation)
{
    if (generation >= s->next_generation)
        s->next_generation = generation + 1;
}

/* Opens it and adds it to the set. One whose making was interrupted has
 * nothing in it: *empty is the first one's generation. */
static int open_one(struct store *s, uint64_t generation, uint64_t *empty)
{
    struct segment *segment = NULL;
    int err = segment_open(&segment, s->path, generation, false);

    note_generation(s, generation);
    if (err == -ENODATA) {
        if (*empty == 0)
            *empty = generation;
        return 0;
    }
    if (err)
        return err;
    for (size_t i = 0; i < segment->n_replaces; i++)
        note_generation(s, segment->replaces[i]);
    err = segments_add(&s->set, segment);
    if (err)
        segment_close(segment);
    return err;
}

static bool is_replaced(const struct store *s, uint64_t generation)
{
    for (const struct segment *g = s->set.first; g; g = g->next)
        for (size_t i = 0; i < g->n_replaces; i++)
            if (g->replaces[i] == generation)
                return true;
    return false;
}

static void drop_replaced(struct store *s)
{
    for (struct segment *g = s->set.first, *next; g; g = next) {
        next = g->next;
        if (is_replaced(s, g->generation))
            segments_remove(&s->set, g);
    }
}

static struct segment *newest_written(struct store *s)
{
    struct segment *newest = NULL;

    for (struct segment *g = s->set.first; g; g = g->next)
        if (!g->merged)
            newest = g;
    return newest;
}

/* The segments that count are in the set, all opened for reading. */
static int find_segments(struct store *s)
{
    uint64_t empty = 0, *logs;
    size_t n, i = 0;
    int err = store_logs(s, &logs, &n);

    if (err)
        return err;
    if (s->dir.format == 1 && n > 1) {      /* of stage 2: the newest */
        note_generation(s, logs[n - 1]);
        i = n - 1;
    }
    for (; i < n && !err; i++)
        err = open_one(s, logs[i], &empty);
    free(logs);
    /* Only the last one can be interrupted. */
    if (!err && empty > 0 && newest_written(s) &&
        newest_written(s)->generation > empty)
        err = -EBADMSG;
    if (err)
        return err;
    drop_replaced(s);
    if (s->options.read_only)
        return s->set.first ? 0 : s->dir.format == 1 ? -ENOENT : 0;
    err = store_remove_leftovers(s);
    return !err && s->dir.format < STORE_FORMAT
               ? dir_set_format(&s->dir, STORE_FORMAT) : err;
}

/* ---- Opening: the active segment ----------------------------------------- */

/* Opens the newest segment that sets have written once more, to be replayed;
 * appended to, too, unless read_only. */
static int reopen_active(struct store *s, struct segment **active)
{
    struct segment *old = newest_written(s), *again = NULL;

    if (!old || (segment_end(old) > s->options.segment_size / SHORT &&
                 load_has_hint(s, old)))
        return 0;
    int err = segment_open(&again, s->path, old->generation,
                           !s->options.read_only);
    if (err)
        return err;
    segments_remove(&s->set, old);
    err = segments_add(&s->set, again);
    if (err) {
        segment_close(again);
        return err;
    }
    again->sealed = false;
    *active = again;
    return 0;
}

/* A replay may have cut a torn tail; under STORE_ALWAYS what can be read is
 * durable from the first moment on, and that it sees to, too. */
static int start(struct store *s)
{
    struct segment *active = NULL;
    struct segments_sum sum;
    int err = find_segments(s);

    if (!err)
        err = reopen_active(s, &active);
    if (!err)
        err = load_index(s, active);
    if (err)
        return err;
    if (!s->options.read_only)
        s->active = active;
    if (active)
        s->synced = segment_end(active);
    segments_sum(&s->set, &sum);
    s->set.made = sum.bytes - sum.live;     /* the first change looks at it */
    return background_start(s);
}

int store_open(struct store **out, const char *dir,
               const struct store_options *options)
{
    struct store *store;
    int err = store_make(&store, dir, engine_name, options);

    if (err)
        return err;
    err = start(store);
    if (err) {
        store_free(store);
        return err;
    }
    *out = store;
    return 0;
}

/* Says that all is durable, so that the next opening finds a clean end, and
 * leaves a hint if there is much to read. */
static int end_active(struct store *s)
{
    struct segment *active = s->active;

    if (store_failed(s))
        return -EROFS;
    if (!active)
        return 0;
    int err = segment_seal(active);
    if (err)
        return store_fail(s, err);
    if (segment_end(active) > s->options.segment_size / SHORT)
        load_write_hint(s, active);
    return 0;
}

int store_close(struct store *store)
{
    int err = 0;

    if (!store)
        return 0;
    background_stop(store);
    if (!store->options.read_only)
        err = end_active(store);
    store_free(store);
    return err;
}
