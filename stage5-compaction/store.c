/* store.c -- yours: stage 5B, task 5.5.
 *
 * The store of many logs. What is written goes behind the active segment;
 * when that is full it is sealed, and the next change begins another. The
 * index names for each key the segment and the offset of its last record.
 *
 * Which files count. All logs whose names are numbers, but for those that a
 * segment says it replaces. A store of stage 2 has just one log that counts,
 * its newest. The active segment is the newest that no compaction has made;
 * all others are sealed, so damage in them is corruption. Unless it is short,
 * or was not closed cleanly, the active one is sealed at opening, too: then
 * its hint will do, and it need not be read.
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
    SEGMENT_SIZE = 64 * 1024 * 1024,
    SHORT = 16          /* an active segment of less than a 16th of a full
                           one is read and goes on being the active one */
};

static const char engine_name[] = "kvs";

/* ---- Reading ----------------------------------------------------------------- */

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

/* ---- Writing ------------------------------------------------------------------- */

/* The active segment is full. All of it is on the disk before the next one
 * has a record: so only the last one can lose something. If there is no room
 * for the mark at its end, it stays the active one. */
static int seal_active(struct store *s)
{
    int err = store_sync_active(s);

    if (!err)
        err = log_mark(s->active->log);
    if (err)
        return err;
    err = segment_seal(s->active);
    if (err)
        return store_fail(s, err);
    mutex_lock(&s->set.lock);
    s->active->sealed = true;
    mutex_unlock(&s->set.lock);
    s->active = NULL;
    background_judge(s);
    background_wake(s);
    return 0;
}

static int begin_active(struct store *s)
{
    struct segment_label label = { .birth = s->sequence };
    struct segment *segment = NULL;
    uint64_t generation = store_next_generation(s);
    int err = segment_create(&segment, s->path, generation, "", &label);

    if (!err)
        err = dir_sync(&s->dir);
    if (!err)
        err = segments_add(&s->set, segment);
    if (err) {
        char text[PATH_MAX + DIR_NAME_MAX];

        segment_path(text, s->path, generation, "");
        if (segment)
            unlink(text);
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
        err = seal_active(store);
    if (!err && !store->active)
        err = begin_active(store);
    if (!err)
        err = segment_append(store->active, records, n, positions, always);
    if (!err && always)
        err = store_sync_active(store);
    if (err == -ENOSPC || err == -EDQUOT)
        background_wake(store);
    if (!err)
        segment_push(store->active);
    return err;
}

/* ---- The index -------------------------------------------------------------------- */

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

/* ---- The calls ------------------------------------------------------------------------ */

int store_apply(struct store *store, struct store_op *ops, size_t n)
{
    struct batch batch = { .ops = ops, .n = n };
    size_t gets = 0;

    while (gets < n && ops[gets].kind == STORE_GET)
        gets++;
    if (gets == n)
        return batch_gets(store, ops, n);
    background_admit(store);
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

/* The active segment is sealed first, if it has garbage. */
int store_compact(struct store *store)
{
    if (store->options.read_only || store_failed(store))
        return -EROFS;
    int err = background_enter(store);
    if (err)
        return err;
    commit_enter(&store->commit);
    if (store->active && store->active->bytes > 0)
        err = seal_active(store);
    commit_leave(&store->commit);
    if (!err)
        err = compact_all(store);
    background_leave(store);
    if (epoch_reclaim(store->set.epoch) > 0)
        background_wake(store);     /* it looks when the readers have left */
    return err;
}

struct counting {
    struct store *store;
    uint64_t bytes;
};

static int count_file(void *arg, const char *name)
{
    struct counting *c = arg;
    struct stat st;

    if (fstatat(c->store->dir.fd, name, &st, 0) == 0)
        c->bytes += (uint64_t)st.st_size;
    return 0;
}

void store_stats(struct store *store, struct store_stats *stats)
{
    struct counting files = { .store = store };
    struct segments_sum sum;
    struct table_stats index;

    segments_sum(&store->set, &sum);
    table_stats(store->index, &index);
    dir_each(&store->dir, count_file, &files);
    *stats = (struct store_stats){
        .keys = index.keys, .live_bytes = sum.live,
        .dead_bytes = sum.bytes - sum.live, .pinned_bytes = sum.pinned,
        .disk_bytes = files.bytes, .index_bytes = index.bytes,
        .segments = sum.segments,
    };
    mutex_lock(&store->numbers);
    stats->compactions = store->compactions;
    stats->compaction_ns = store->compaction_ns;
    stats->syncs = store->syncs;
    stats->sequence = store->applied;
    stats->failed = store->failed;
    mutex_unlock(&store->numbers);
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

/* ---- Opening: which files count ----------------------------------------------------------- */

struct listing {
    struct store *store;
    uint64_t *logs;             /* generations, ascending when sorted */
    size_t n, room;
    bool removed;
};

static int list_log(void *arg, const char *name)
{
    struct listing *l = arg;
    uint64_t generation = dir_log_generation(name);

    if (generation == 0)
        return 0;
    if (l->n == l->room) {
        l->room = l->room ? 2 * l->room : 64;
        uint64_t *more = realloc(l->logs, l->room * sizeof *more);

        if (!more)
            return -ENOMEM;
        l->logs = more;
    }
    l->logs[l->n++] = generation;
    return 0;
}

static int ascending(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return (x > y) - (x < y);
}

/* Not to be used again: neither it nor what it replaces. */
static void note_generation(struct store *s, uint64_t generation)
{
    if (generation >= s->next_generation)
        s->next_generation = generation + 1;
}

/* Opens it and adds it to the set. One whose making was interrupted has
 * nothing in it: *empty is its generation. */
static int open_one(struct store *s, uint64_t generation, uint64_t *empty)
{
    struct segment *segment = NULL;
    int err = segment_open(&segment, s->path, generation, false);

    note_generation(s, generation);
    if (err == -ENODATA) {
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

static bool has_segment(const struct store *s, uint64_t generation)
{
    const struct segment *g = s->set.first;

    while (g && g->generation != generation)
        g = g->next;
    return g != NULL;
}

/* Files that do not count: of compactions and segments that were interrupted,
 * replaced logs, hints without a log. */
static int remove_leftover(void *arg, const char *name)
{
    struct listing *l = arg;
    uint64_t log = dir_log_generation(name), hint = hint_generation(name);
    size_t len = strlen(name), end = strlen(DIR_NEW);
    bool is_new = len > end && strcmp(name + len - end, DIR_NEW) == 0;

    if (!is_new && (log == 0 || has_segment(l->store, log)) &&
        (hint == 0 || has_segment(l->store, hint)))
        return 0;
    l->removed = true;
    return unlinkat(l->store->dir.fd, name, 0) == 0 ? 0 : -errno;
}

static int remove_leftovers(struct store *s)
{
    struct listing l = { .store = s };
    int err = dir_each(&s->dir, remove_leftover, &l);

    return !err && l.removed ? dir_sync(&s->dir) : err;
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
    struct listing l = { .store = s };
    uint64_t empty = 0;
    int err = dir_each(&s->dir, list_log, &l);

    if (l.n > 0)
        qsort(l.logs, l.n, sizeof *l.logs, ascending);
    if (s->dir.format == 1 && l.n > 1) {    /* of stage 2: the newest */
        note_generation(s, l.logs[l.n - 1]);
        l.logs[0] = l.logs[l.n - 1];
        l.n = 1;
    }
    for (size_t i = 0; i < l.n && !err; i++)
        err = open_one(s, l.logs[i], &empty);
    free(l.logs);
    /* Only the last one can be interrupted. */
    if (!err && empty > 0 && newest_written(s) &&
        newest_written(s)->generation > empty)
        err = -EBADMSG;
    if (err)
        return err;
    drop_replaced(s);
    if (s->options.read_only)
        return s->set.first ? 0 : s->dir.format == 1 ? -ENOENT : 0;
    err = remove_leftovers(s);
    return !err && s->dir.format < STORE_FORMAT
               ? dir_set_format(&s->dir, STORE_FORMAT) : err;
}

/* ---- Opening: the active segment ------------------------------------------------------------ */

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
static int start(struct store *s, const char *path)
{
    struct segment *active = NULL;

    s->path = realpath(path, NULL);
    if (!s->path)
        return -errno;
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
    return background_start(s);
}

static int store_init(struct store *s, const struct store_options *o)
{
    s->options = *o;
    if (s->options.segment_size == 0)
        s->options.segment_size = SEGMENT_SIZE;
    s->next_generation = 1;
    int err = segments_init(&s->set);
    if (err)
        return err;
    commit_init(&s->commit, batch_commit, s);
    mutex_init(&s->numbers);
    return 0;
}

static void release(struct store *s)
{
    background_stop(s);
    segments_release(&s->set);
    commit_release(&s->commit);
    mutex_release(&s->numbers);
    table_destroy(s->index);
    dir_close(&s->dir);
    free(s->path);
    free(s);
}

int store_open(struct store **out, const char *dir,
               const struct store_options *options)
{
    static const struct store_options plain;
    const struct store_options *o = options ? options : &plain;

    if (o->engine && strcmp(o->engine, engine_name) != 0)
        return -ENOENT;
    if (o->durability < STORE_NONE || o->durability > STORE_ALWAYS)
        return -EINVAL;
    struct store *s = calloc(1, sizeof *s);
    if (!s)
        return -ENOMEM;
    int err = dir_open(&s->dir, dir, engine_name, STORE_FORMAT, o->read_only);
    if (err) {
        free(s);
        return err;
    }
    err = store_init(s, o);
    if (err) {
        dir_close(&s->dir);
        free(s);
        return err;
    }
    err = start(s, dir);
    if (err) {
        release(s);
        return err;
    }
    *out = s;
    return 0;
}

/* Says that all is durable, so that the next opening finds a clean end, and
 * leaves a hint if there is much to read. */
static int end_active(struct store *s)
{
    struct segment *active = s->active;

    if (!active)
        return 0;
    if (store_failed(s))
        return -EROFS;
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
    release(store);
    return err;
}
