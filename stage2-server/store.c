/* store.c -- yours: stage 2B, tasks 2.7, 2.8.
 *
 * The values are in a log, the index is a table from each key to the place
 * of its record. A change goes to the log first (and to the disk, if it must
 * be durable), then to the index: whoever sees it there can read it.
 *
 * Locks, in this order:
 *   write    held by whoever changes something, from its first look at the
 *            index to its last change there; so the order in the log is the
 *            order in the index. A compaction holds it all the time.
 *   view     shared by readers from looking a key up to having its bytes.
 *            Only who puts a log in or takes one out has it alone; so no
 *            reader has a place in a log that is closed.
 *   numbers  the statistics.
 * The timer's lock is held with none of them.
 *
 * A batch is done in three steps. The plan finds out which changes will be
 * made (a removal of what is not there is none, nor is what comes behind a
 * value too long in its group). The write makes them one append. Then the
 * ops are done in order: a change moves the index, a get reads. So a get sees
 * what stands before it in the batch, and if the write failed, only what was
 * there before.
 *
 * A compaction copies the records that count, in their order, to the log of
 * the next generation. From its rename on that log is the store's; until then
 * nothing has changed. Then each key's place moves over while readers read,
 * from either log, whichever the place names.
 */
#include "stage2-server/store.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "common/clock.h"
#include "common/lock.h"
#include "stage2-server/dir.h"
#include "stage2-server/log.h"
#include "stage2-server/table.h"

enum {
    FORMAT = 1,
    SEGMENT_SIZE = 64 * 1024 * 1024,
    INTERVAL_MS = 1000,
    PROGRESS = 4 * 1024 * 1024,     /* bytes from one report to the next */
    FEW = 8,                        /* ops of a batch without malloc */
    AHEAD = 16,                     /* gets that are looked up together */
    COPY_RECORDS = 256,             /* a compaction's append: so many, */
    COPY_BYTES = 1024 * 1024        /* or so long */
};

static const char engine_name[] = "kvs";

/* What the index has for a key. */
struct place {
    uint64_t offset;
    uint32_t value_len;
    uint32_t which;         /* of the two logs */
};

struct store {
    struct dir dir;         /* these are set once */
    char *path;
    struct store_options options;
    struct table *index;    /* key -> struct place; has its own locks */

    pthread_mutex_t write;  /* guards: */
    uint64_t sequence;      /* of the last change */
    uint64_t synced;        /* the log's end at the last sync */
    uint64_t compact_above; /* so many dead bytes */
    bool failed;            /* no more changes */

    pthread_rwlock_t view;  /* guards, and changing them needs write, too: */
    uint64_t generation;    /* of the log that is written; it is in */
    struct log_file *logs[2];   /* [generation % 2] */

    pthread_mutex_t numbers;    /* guards stats */
    struct store_stats stats;

    pthread_mutex_t timer_lock; /* guards closing */
    pthread_cond_t closed;      /* closing has become true */
    bool closing, has_timer;
    pthread_t timer;
};

/* ---- Small things -------------------------------------------------------- */

static void view_share(struct store *s)
{
    lock_check(pthread_rwlock_rdlock(&s->view), "pthread_rwlock_rdlock");
}

static void view_take(struct store *s)
{
    lock_check(pthread_rwlock_wrlock(&s->view), "pthread_rwlock_wrlock");
}

static void view_leave(struct store *s)
{
    lock_check(pthread_rwlock_unlock(&s->view), "pthread_rwlock_unlock");
}

static struct log_file *log_locked(struct store *s)
{
    return s->logs[s->generation % 2];
}

static int check_key(struct slice key)
{
    if (key.len == 0)
        return -EINVAL;
    return key.len > RECORD_KEY_MAX ? -EMSGSIZE : 0;
}

static int check_change(const struct store_op *op)
{
    int err = check_key(op->key);

    if (!err && op->kind != STORE_SET && op->kind != STORE_REMOVE)
        err = -EINVAL;
    if (!err && op->kind == STORE_SET && op->value.len > RECORD_VALUE_MAX)
        err = -EMSGSIZE;
    return err;
}

static int find(struct store *s, struct slice key, struct place *place)
{
    ssize_t n = table_lookup(s->index, key, place, sizeof *place);

    return n < 0 ? (int)n : 0;
}

/* From here on reads only; the answer is err. */
static int fail_locked(struct store *s, int err)
{
    s->failed = true;
    mutex_lock(&s->numbers);
    s->stats.failed = true;
    mutex_unlock(&s->numbers);
    return err;
}

static int sync_locked(struct store *s)
{
    struct log_file *log = log_locked(s);

    if (s->failed)
        return -EROFS;
    if (s->options.read_only || s->synced == log_end(log))
        return 0;
    int err = log_sync(log);
    if (err)
        return fail_locked(s, err);
    s->synced = log_end(log);
    mutex_lock(&s->numbers);
    s->stats.syncs++;
    mutex_unlock(&s->numbers);
    return 0;
}

/* ---- The index ----------------------------------------------------------- */

struct move {
    bool remove;
    struct place to;
    bool was_there;
    struct place from;
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

/* A record that is in the log reaches the index. */
static int learn_locked(struct store *s, const struct record *record,
                        const struct log_position *at)
{
    struct move move = {
        .remove = record->kind == RECORD_REMOVE,
        .to = { at->offset, at->value_len, s->generation % 2 },
    };
    uint64_t size = record_size(at->key_len, at->value_len), gone = 0;
    int err = table_update(s->index, record->key, move_key, &move);

    if (err)
        return err;
    if (move.was_there)
        gone = record_size(at->key_len, move.from.value_len);
    if (record->sequence > s->sequence)
        s->sequence = record->sequence;
    mutex_lock(&s->numbers);
    s->stats.live_bytes += (move.remove ? 0 : size) - gone;
    s->stats.dead_bytes += (move.remove ? size : 0) + gone;
    s->stats.sequence = s->sequence;
    mutex_unlock(&s->numbers);
    return 0;
}

/* ---- A batch ------------------------------------------------------------- */

/* What the changes planned so far make of a key; no key: a free slot. */
struct pending {
    struct slice key;
    bool present;
    size_t value_len;
};

/* Gets in a row are looked up together, and then their records are asked
 * for, before the first is read: so the processor waits for many places in
 * memory at once, not for one after the other. */
struct ahead {
    size_t from, n;             /* these ops */
    struct table_lookup found[AHEAD];
    struct place places[AHEAD];
};

struct batch {
    struct store *store;
    struct store_op *ops;
    size_t n, changes;          /* ops; those that are changes */
    size_t planned;             /* changes that will be made */
    struct record *records;     /* one each */
    struct log_position *positions;
    struct pending *pending;    /* a hash table of `slots`, a power of 2 */
    size_t slots;
    struct buf value;
    struct ahead ahead;
    struct record few_records[FEW];
    struct log_position few_positions[FEW];
    struct pending few_pending[2 * FEW];
};

static int batch_init(struct batch *b)
{
    b->changes = 0;
    for (size_t i = 0; i < b->n; i++)
        b->changes += b->ops[i].kind != STORE_GET;
    b->planned = 0;
    b->ahead.from = b->ahead.n = 0;
    b->value = (struct buf){ 0 };
    b->records = b->few_records;
    b->positions = b->few_positions;
    b->pending = b->few_pending;
    b->slots = 2 * FEW;
    if (b->changes <= FEW) {
        memset(b->few_pending, 0, sizeof b->few_pending);
        return 0;
    }
    while (b->slots < 2 * b->changes)
        b->slots *= 2;
    b->records = calloc(b->changes, sizeof *b->records);
    b->positions = calloc(b->changes, sizeof *b->positions);
    b->pending = calloc(b->slots, sizeof *b->pending);
    return b->records && b->positions && b->pending ? 0 : -ENOMEM;
}

static void batch_release(struct batch *b)
{
    buf_release(&b->value);
    if (b->records == b->few_records)
        return;
    free(b->records);
    free(b->positions);
    free(b->pending);
}

/* Where the key is among the pending, or where it would be put. */
static struct pending *pending_of(struct batch *b, struct slice key)
{
    size_t i = XXH3_64bits(key.ptr, key.len) & (b->slots - 1);

    while (b->pending[i].key.len && !slice_equal(b->pending[i].key, key))
        i = (i + 1) & (b->slots - 1);
    return &b->pending[i];
}

/* Looks up the op's key, and those of the next ops (which, at least, are all
 * gets, if this is one). Good until the index changes. */
static void look_ahead(struct batch *b, size_t from, bool gets)
{
    struct ahead *a = &b->ahead;
    const struct store_op *ops = &b->ops[from];

    a->from = from;
    for (a->n = 0; a->n < AHEAD && from + a->n < b->n &&
                   (!gets || ops[a->n].kind == STORE_GET); a->n++)
        a->found[a->n] = (struct table_lookup){
            ops[a->n].key, &a->places[a->n], sizeof a->places[0], 0
        };
    table_lookup_many(b->store->index, a->found, a->n);
}

static bool looked_up(const struct batch *b, size_t i)
{
    return i >= b->ahead.from && i - b->ahead.from < b->ahead.n;
}

/* How long the key's value will be at this point of the batch; or -ENOENT. */
static ssize_t foresee(struct batch *b, size_t i)
{
    const struct pending *p = pending_of(b, b->ops[i].key);
    const struct ahead *a = &b->ahead;

    if (p->key.len)
        return p->present ? (ssize_t)p->value_len : -ENOENT;
    if (a->found[i - a->from].len < 0)
        return a->found[i - a->from].len;
    return (ssize_t)a->places[i - a->from].value_len;
}

/* Whether an op before this one, of its group, was too long. */
static bool cancelled(const struct batch *b, size_t i, bool *stopped)
{
    if (i == 0 || b->ops[i].group != b->ops[i - 1].group)
        *stopped = false;
    return *stopped;
}

static bool too_long(const struct store_op *op, ssize_t len)
{
    return op->into && op->into_max && len > 0 && (size_t)len > op->into_max;
}

static void plan_change(struct batch *b, size_t i)
{
    struct store_op *op = &b->ops[i];

    op->result = check_change(op);
    if (!op->result && op->kind == STORE_REMOVE && foresee(b, i) < 0)
        op->result = -ENOENT;
    if (op->result)
        return;
    struct record *record = &b->records[b->planned++];
    *record = (struct record){
        .kind = op->kind == STORE_SET ? RECORD_SET : RECORD_REMOVE,
        .sequence = b->store->sequence + b->planned,
        .key = op->key,
    };
    if (op->kind == STORE_SET)
        record->value = op->value;
    *pending_of(b, op->key) = (struct pending){
        op->key, op->kind == STORE_SET, record->value.len
    };
}

static void plan(struct batch *b)
{
    bool stopped = false;

    for (size_t i = 0; i < b->n; i++) {
        struct store_op *op = &b->ops[i];

        op->result = -ECANCELED;
        if (cancelled(b, i, &stopped))
            continue;
        if (!looked_up(b, i))
            look_ahead(b, i, false);
        if (op->kind != STORE_GET)
            plan_change(b, i);
        else if (check_key(op->key) == 0)
            stopped = too_long(op, foresee(b, i));
    }
}

static int write_locked(struct batch *b)
{
    struct store *s = b->store;

    if (s->options.read_only || s->failed)
        return -EROFS;
    plan(b);
    if (b->planned == 0)
        return 0;
    int err = log_append(log_locked(s), b->records, b->planned, b->positions);
    if (!err && s->options.durability == STORE_ALWAYS)
        err = sync_locked(s);
    return err;
}

/* With the view shared. */
static int read_place(struct store *s, struct slice key,
                      const struct place *place, struct buf *value)
{
    struct log_position at = { place->offset, (uint32_t)key.len,
                               place->value_len };

    return log_read(s->logs[place->which], &at, key, value);
}

/* With the view shared: the places stay good until it is left. */
static void expect_gets(struct batch *b)
{
    const struct ahead *a = &b->ahead;

    for (size_t i = 0; i < a->n && a->n > 1; i++) {
        const struct store_op *op = &b->ops[a->from + i];
        const struct place *place = &a->places[i];

        if (a->found[i].len < 0 || !op->into || too_long(op, place->value_len))
            continue;
        struct log_position at = { place->offset, (uint32_t)op->key.len,
                                   place->value_len };
        log_expect(b->store->logs[place->which], &at);
    }
}

static int get_shared(struct batch *b, size_t i)
{
    struct ahead *a = &b->ahead;
    struct store_op *op = &b->ops[i];
    int err = check_key(op->key);

    op->into_at = op->into_len = 0;
    if (!looked_up(b, i)) {
        look_ahead(b, i, true);
        expect_gets(b);
    }
    if (!err && a->found[i - a->from].len < 0)
        err = (int)a->found[i - a->from].len;
    if (err)
        return err;
    const struct place *place = &a->places[i - a->from];
    op->into_len = place->value_len;
    if (!op->into || too_long(op, place->value_len))
        return op->into ? -ENOBUFS : 0;
    op->into_at = op->into->len;
    err = read_place(b->store, op->key, place, &b->value);
    return err ? err : buf_append_slice(op->into, buf_slice(&b->value));
}

/* The ops in their order, after the write, or what it has failed with. */
static void finish(struct batch *b, int failure)
{
    bool stopped = false;
    size_t done = 0;

    b->ahead.n = 0;
    view_share(b->store);
    for (size_t i = 0; i < b->n; i++) {
        struct store_op *op = &b->ops[i];

        if (cancelled(b, i, &stopped)) {
            op->result = -ECANCELED;
        } else if (op->kind == STORE_GET) {
            op->result = get_shared(b, i);
            stopped = op->result == -ENOBUFS;
        } else if (failure) {
            op->result = check_change(op);
            if (!op->result)
                op->result = failure;
        } else if (op->result == 0) {
            op->result = learn_locked(b->store, &b->records[done],
                                      &b->positions[done]);
            if (op->result)     /* no memory: it is in the log only */
                fail_locked(b->store, op->result);
            done++;
        }
    }
    view_leave(b->store);
}

static void compact_if_due_locked(struct store *s);

int store_apply(struct store *store, struct store_op *ops, size_t n)
{
    struct batch b;

    b.store = store;
    b.ops = ops;
    b.n = n;
    int err = batch_init(&b);
    if (!err && b.changes == 0) {
        finish(&b, 0);
    } else if (!err) {
        mutex_lock(&store->write);
        finish(&b, write_locked(&b));
        compact_if_due_locked(store);
        mutex_unlock(&store->write);
    }
    batch_release(&b);
    return err;
}

/* ---- The plain calls ----------------------------------------------------- */

int store_get(struct store *store, struct slice key, struct buf *value)
{
    struct place place;
    int err = check_key(key);

    if (err)
        return err;
    view_share(store);
    err = find(store, key, &place);
    if (!err)
        err = read_place(store, key, &place, value);
    view_leave(store);
    return err;
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

/* table_each holds no lock now; the key may be gone. */
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
    mutex_lock(&store->write);
    int err = sync_locked(store);
    mutex_unlock(&store->write);
    return err;
}

static uint64_t file_size(struct store *s, const char *name)
{
    struct stat st;

    return fstatat(s->dir.fd, name, &st, 0) == 0 ? (uint64_t)st.st_size : 0;
}

void store_stats(struct store *store, struct store_stats *stats)
{
    struct table_stats index;
    char name[DIR_NAME_MAX];

    mutex_lock(&store->numbers);
    *stats = store->stats;
    mutex_unlock(&store->numbers);
    view_share(store);
    dir_log_name(name, store->generation);
    view_leave(store);
    table_stats(store->index, &index);
    stats->keys = index.keys;
    stats->index_bytes = index.bytes;
    stats->disk_bytes = file_size(store, name) + file_size(store, DIR_MARKER);
    stats->segments = 1;
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

/* ---- Compaction ---------------------------------------------------------- */

struct path {
    char text[PATH_MAX + DIR_NAME_MAX + sizeof DIR_NEW];
    const char *name;       /* without the directory */
};

static void path_of(const struct store *s, uint64_t generation,
                    const char *suffix, struct path *path)
{
    char name[DIR_NAME_MAX];

    dir_log_name(name, generation);
    int n = snprintf(path->text, sizeof path->text, "%s/", s->path);
    path->name = path->text + n;
    snprintf(path->text + n, sizeof path->text - (size_t)n, "%s%s", name,
             suffix);
}

/* Records on their way, and their bytes until they are written. */
struct copying {
    struct store *store;
    struct log_file *to;
    struct record records[COPY_RECORDS];
    size_t n;
    struct buf bytes;           /* never moves: has all its room at once */
    uint64_t live;
};

static int copy_out(struct copying *c)
{
    struct log_position positions[COPY_RECORDS];
    int err = log_append(c->to, c->records, c->n, positions);

    c->n = 0;
    buf_clear(&c->bytes);
    return err;
}

static struct slice keep(struct copying *c, struct slice slice)
{
    struct slice kept = { c->bytes.ptr + c->bytes.len, slice.len };

    buf_append_slice(&c->bytes, slice);
    return kept;
}

/* A record of the old log; those that the index does not name are dead. */
static int copy_record(void *arg, const struct record *record,
                       const struct log_position *at)
{
    struct copying *c = arg;
    size_t body = (size_t)at->key_len + at->value_len;
    struct place place;
    int err = 0;

    if (record->kind != RECORD_SET ||
        find(c->store, record->key, &place) != 0 ||
        place.offset != at->offset)
        return 0;
    if (c->n == COPY_RECORDS || body > c->bytes.cap - c->bytes.len)
        err = copy_out(c);
    if (err)
        return err;
    struct record *copy = &c->records[c->n++];
    *copy = *record;
    c->live += record_size(at->key_len, at->value_len);
    if (body > c->bytes.cap)    /* alone, from where it is */
        return copy_out(c);
    copy->key = keep(c, record->key);
    copy->value = keep(c, record->value);
    return 0;
}

/* All of the old log is read, though the index could tell where the live
 * records are: one pass in order, and whatever is damaged shows. */
static int copy_live_locked(struct copying *c, const char *old_path)
{
    struct log_damage damage = { 0 };
    struct log_file *old = NULL;
    int err = buf_reserve(&c->bytes, COPY_BYTES);

    if (!err)
        err = log_open(&old, old_path, LOG_READ);
    if (!err)
        err = log_replay(old, copy_record, c, &damage);
    log_close(old);
    if (!err && damage.offset != log_end(log_locked(c->store)))
        err = -EBADMSG;         /* no torn tail: nobody has crashed */
    if (!err && c->n > 0)
        err = copy_out(c);
    buf_release(&c->bytes);
    if (!err)
        err = log_sync(c->to);
    return err ? err : log_mark(c->to);
}

/* The next generation's log, whole and on the disk under its own name, or
 * not there at all. */
static int make_next_locked(struct copying *c)
{
    struct store *s = c->store;
    struct path old, made, final;

    path_of(s, s->generation, "", &old);
    path_of(s, s->generation + 1, DIR_NEW, &made);
    path_of(s, s->generation + 1, "", &final);
    int err = log_open(&c->to, made.text, LOG_CREATE);
    if (err)
        return err;
    err = copy_live_locked(c, old.text);
    if (!err && rename(made.text, final.text) != 0)
        err = -errno;
    if (err) {
        unlink(made.text);
        log_close(c->to);
    }
    return err;
}

static int learn_place(void *arg, const struct record *record,
                       const struct log_position *at)
{
    struct store *s = arg;
    struct place place = { at->offset, at->value_len,
                           (s->generation + 1) % 2 };

    return table_insert(s->index, record->key,
                        slice_of(&place, sizeof place));
}

/* Each key's place moves to the next log, which is there already. */
static int switch_locked(struct store *s)
{
    struct log_file *next = NULL;
    struct path path;

    path_of(s, s->generation + 1, "", &path);
    int err = log_open(&next, path.text, LOG_READ);
    if (!err)
        err = log_replay(next, learn_place, s, NULL);
    log_close(next);
    return err;
}

static void put_log(struct store *s, struct log_file *log)
{
    view_take(s);
    s->logs[(s->generation + 1) % 2] = log;
    view_leave(s);
}

/* When nobody can have a place in it any more. */
static void retire_locked(struct store *s)
{
    uint64_t retired = s->generation;

    view_take(s);
    struct log_file *old = log_locked(s);
    s->logs[s->generation % 2] = NULL;
    s->generation++;
    view_leave(s);
    log_close(old);
    /* If that fails, there are two: the newer one wins. */
    dir_remove_logs(&s->dir, &retired, 1, NULL, NULL);
}

/* Who opens the store next must not take a name for durable that is not, and
 * remove the old log. */
static void take_name_back(struct store *s)
{
    struct path made, final;

    path_of(s, s->generation + 1, DIR_NEW, &made);
    path_of(s, s->generation + 1, "", &final);
    rename(final.text, made.text);
}

static int compact_locked(struct store *s)
{
    uint64_t began = clock_now_ns();
    struct copying *c;

    if (s->options.read_only || s->failed)
        return -EROFS;
    c = calloc(1, sizeof *c);
    if (!c)
        return -ENOMEM;
    c->store = s;
    int err = make_next_locked(c);
    struct log_file *next = c->to;
    uint64_t live = c->live;
    free(c);
    if (err)
        return err;
    /* From here on there is no way back: after a power failure either log
     * may be the store's, so they must say the same for ever. */
    put_log(s, next);
    err = dir_sync(&s->dir);
    if (err)
        take_name_back(s);
    else
        err = switch_locked(s);
    if (err)
        return fail_locked(s, err);
    retire_locked(s);
    s->synced = log_end(next);
    mutex_lock(&s->numbers);
    s->stats.live_bytes = live;
    s->stats.dead_bytes = 0;
    s->stats.compactions++;
    s->stats.compaction_ns = clock_now_ns() - began;
    mutex_unlock(&s->numbers);
    return 0;
}

int store_compact(struct store *store)
{
    mutex_lock(&store->write);
    int err = compact_locked(store);
    mutex_unlock(&store->write);
    return err;
}

/* The changes were answered by the log: what this comes to is not their
 * result. One that fails is tried again when there is twice the garbage. */
static void compact_if_due_locked(struct store *s)
{
    mutex_lock(&s->numbers);
    uint64_t dead = s->stats.dead_bytes, live = s->stats.live_bytes;
    mutex_unlock(&s->numbers);
    if (dead <= s->compact_above || dead <= live)
        return;
    s->compact_above = compact_locked(s) == 0 ? s->options.segment_size
                                              : 2 * dead;
}

/* ---- Once a second ------------------------------------------------------- */

static void *tick(void *arg)
{
    struct store *s = arg;
    struct timespec next = deadline_timespec(deadline_in_ms(INTERVAL_MS));

    mutex_lock(&s->timer_lock);
    while (!s->closing) {
        if (pthread_cond_timedwait(&s->closed, &s->timer_lock, &next) == 0)
            continue;
        mutex_unlock(&s->timer_lock);
        store_sync(s);      /* if it fails, the next change says so */
        next = deadline_timespec(deadline_in_ms(INTERVAL_MS));
        mutex_lock(&s->timer_lock);
    }
    mutex_unlock(&s->timer_lock);
    return NULL;
}

static int timer_start(struct store *s)
{
    if (s->options.durability != STORE_INTERVAL || s->options.read_only)
        return 0;
    int err = thread_create(&s->timer, tick, s);
    s->has_timer = err == 0;
    return err;
}

static void timer_stop(struct store *s)
{
    if (!s->has_timer)
        return;
    mutex_lock(&s->timer_lock);
    s->closing = true;
    cond_signal(&s->closed);
    mutex_unlock(&s->timer_lock);
    thread_join(s->timer);
}

/* ---- Opening and closing ------------------------------------------------- */

static int find_newest(void *arg, const char *name)
{
    uint64_t *newest = arg, generation = dir_log_generation(name);

    if (generation > *newest)
        *newest = generation;
    return 0;
}

struct cleaning {
    struct store *store;
    bool removed;
};

/* What a compaction has left that was interrupted. */
static int remove_leftover(void *arg, const char *name)
{
    struct cleaning *c = arg;
    uint64_t generation = dir_log_generation(name);

    if (generation == 0 ? !dir_is_unfinished(name)
                        : generation == c->store->generation)
        return 0;
    c->removed = true;
    return unlinkat(c->store->dir.fd, name, 0) == 0 ? 0 : -errno;
}

static int remove_leftovers(struct store *s)
{
    struct cleaning cleaning = { s, false };

    if (s->options.read_only)
        return 0;
    int err = dir_each(&s->dir, remove_leftover, &cleaning);
    return !err && cleaning.removed ? dir_sync(&s->dir) : err;
}

struct loading {
    struct store *store;
    uint64_t told, of;
};

static int load(void *arg, const struct record *record,
                const struct log_position *at)
{
    struct loading *l = arg;
    const struct store_options *o = &l->store->options;

    if (o->progress && at->offset - l->told >= PROGRESS) {
        l->told = at->offset;
        o->progress(o->progress_arg, at->offset, l->of);
    }
    return learn_locked(l->store, record, at);
}

static int load_log(struct store *s)
{
    struct loading loading = { .store = s, .of = log_end(log_locked(s)) };
    int err = log_replay(log_locked(s), load, &loading, NULL);

    if (!err && s->options.progress)
        s->options.progress(s->options.progress_arg, loading.of, loading.of);
    return err;
}

/* The log of the highest generation: only whole ones have such a name. */
static int open_log(struct store *s)
{
    struct log_file **log;
    struct path path;
    int err = dir_each(&s->dir, find_newest, &s->generation);

    if (err)
        return err;
    bool none = s->generation == 0;
    if (none && s->options.read_only)
        return -ENOENT;
    if (none)
        s->generation = 1;
    path_of(s, s->generation, "", &path);
    log = &s->logs[s->generation % 2];
    if (none) {
        err = log_open(log, path.text, LOG_CREATE);
        if (!err && (err = dir_sync(&s->dir)) != 0)
            unlink(path.text);  /* or the next process takes it for durable */
        return err;
    }
    err = log_open(log, path.text,
                   s->options.read_only ? LOG_READ : LOG_WRITE);
    return err ? err : load_log(s);
}

/* Under STORE_ALWAYS what can be read is durable, so what a process that was
 * killed has left in the kernel is synced first. */
static int start(struct store *s, const char *path)
{
    s->path = realpath(path, NULL);
    if (!s->path)
        return -errno;
    int err = table_create(&s->index, NULL);
    if (!err)
        err = open_log(s);
    if (!err)
        err = remove_leftovers(s);
    if (!err && s->options.durability == STORE_ALWAYS)
        err = sync_locked(s);
    return err ? err : timer_start(s);
}

static void locks_init(struct store *s)
{
    pthread_rwlockattr_t fair;
    pthread_condattr_t clock;

    /* Readers that come one behind the other must not keep a compaction
     * waiting for ever. */
    lock_check(pthread_rwlockattr_init(&fair), "pthread_rwlockattr_init");
    pthread_rwlockattr_setkind_np(
        &fair, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
    lock_check(pthread_rwlock_init(&s->view, &fair), "pthread_rwlock_init");
    pthread_rwlockattr_destroy(&fair);
    lock_check(pthread_condattr_init(&clock), "pthread_condattr_init");
    pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
    lock_check(pthread_cond_init(&s->closed, &clock), "pthread_cond_init");
    pthread_condattr_destroy(&clock);
    mutex_init(&s->write);
    mutex_init(&s->numbers);
    mutex_init(&s->timer_lock);
}

static void release(struct store *s)
{
    log_close(s->logs[0]);
    log_close(s->logs[1]);
    table_destroy(s->index);
    dir_close(&s->dir);
    lock_check(pthread_rwlock_destroy(&s->view), "pthread_rwlock_destroy");
    cond_release(&s->closed);
    mutex_release(&s->write);
    mutex_release(&s->numbers);
    mutex_release(&s->timer_lock);
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
    s->options = *o;
    if (s->options.segment_size == 0)
        s->options.segment_size = SEGMENT_SIZE;
    s->compact_above = s->options.segment_size;
    int err = dir_open(&s->dir, dir, engine_name, FORMAT, o->read_only);
    if (err) {
        free(s);
        return err;
    }
    locks_init(s);
    err = start(s, dir);
    if (err) {
        release(s);
        return err;
    }
    *out = s;
    return 0;
}

int store_close(struct store *store)
{
    int err = 0;

    if (!store)
        return 0;
    timer_stop(store);
    if (!store->options.read_only) {
        mutex_lock(&store->write);
        err = sync_locked(store);
        if (!err)
            err = log_mark(log_locked(store));
        mutex_unlock(&store->write);
    }
    release(store);
    return err;
}
