/* store.c -- yours: stage 2B, tasks 2.7, 2.8. */
/* Approach: one lock for whoever writes, one that readers share.
 *
 *     writing   held from planning a change until the index knows it; by
 *               syncs and by a whole compaction. Guards the log's end, the
 *               sequence, what is durable.
 *     view      readers hold it while they go from a key to its place and
 *               from there to the bytes. Only a compaction takes it for
 *               itself, for the moment in which it puts a new log and a new
 *               index in the place of the old ones.
 *     numbers   the statistics; a leaf.
 *
 *     Order: writing, view, numbers. The timer's lock is held alone.
 *
 * store_apply plans first: in order, what each op will find, from the index
 * and from the changes before it, which are looked up in a list sorted by
 * key. Nothing is read or written by that, but lengths are known, and so who
 * is cancelled. Then all changes are one append; then the index learns of
 * them; then the gets are answered, in a second pass, by what the plan noted.
 * When the append fails, planning is done again with its error as the answer
 * to every change.
 *
 * A compaction walks the index, sorts what it finds by where it lies, copies
 * it in this order (which is that of the sequence numbers) and builds the new
 * log's index meanwhile.
 */
#include "stage2-server/store.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/lock.h"
#include "stage2-server/dir.h"
#include "stage2-server/log.h"
#include "stage2-server/table.h"

enum {
    FORMAT = 1,
    SEGMENT_SIZE = 64 * 1024 * 1024,
    PROGRESS_BYTES = 1024 * 1024,
    COPY_RECORDS = 64,          /* a compaction's append has so many, */
    COPY_BYTES = 1024 * 1024    /* or about so many bytes */
};

/* What the index has for a key. */
struct place {
    uint64_t offset, sequence;
    uint32_t key_len, value_len;
};

struct store {
    struct dir dir;
    char *path;                 /* of the directory, from the root */
    struct store_options options;

    pthread_rwlock_t view;
    struct log_file *log;       /* both changed with writing and view held */
    struct table *index;

    pthread_mutex_t writing;    /* guards: */
    uint64_t generation;        /* of the log */
    uint64_t sequence;
    uint64_t synced;            /* the log's end at the last sync */
    uint64_t compact_at;        /* not before there is so much garbage */
    bool failed;                /* no changes any more */

    pthread_mutex_t numbers;    /* guards: */
    struct store_stats stats;

    pthread_mutex_t timer_lock; /* guards closing */
    pthread_cond_t timer_wake;  /* closing has become true */
    bool closing;
    bool has_timer;             /* set once */
    pthread_t timer;
};

/* ---- small things --------------------------------------------------------- */

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

static uint64_t size_of(const struct place *p)
{
    return record_size(p->key_len, p->value_len);
}

static struct log_position position_of(const struct place *p)
{
    return (struct log_position){ p->offset, p->key_len, p->value_len };
}

static int check_key(struct slice key)
{
    if (key.len == 0)
        return -EINVAL;
    return key.len > RECORD_KEY_MAX ? -EMSGSIZE : 0;
}

enum { PATH_MORE = DIR_NAME_MAX + sizeof DIR_NEW + 1 };

/* The path of a log's file, freed by the caller; NULL: no memory. */
static char *path_of(const struct store *s, uint64_t generation,
                     const char *ending)
{
    char name[DIR_NAME_MAX];
    size_t room = strlen(s->path) + PATH_MORE;
    char *path = malloc(room);

    dir_log_name(name, generation);
    if (path)
        snprintf(path, room, "%s/%s%s", s->path, name, ending);
    return path;
}

/* With view or writing held: where the key's record lies. */
static int find(struct store *s, struct slice key, struct place *place)
{
    ssize_t len = table_lookup(s->index, key, place, sizeof *place);

    return len < 0 ? (int)len : 0;
}

/* What a sync that failed means for the rest of the store's life. */
static int sync_writing(struct store *s)
{
    int err = log_sync(s->log);

    mutex_lock(&s->numbers);
    s->stats.syncs++;
    if (err)
        s->failed = s->stats.failed = true;
    else
        s->synced = log_end(s->log);
    mutex_unlock(&s->numbers);
    return err;
}

/* ---- the index ------------------------------------------------------------ */

/* A change of one key's place in the index; what it drops is counted. */
struct move {
    struct place now;           /* set: to here */
    bool remove;
    bool had;
    struct place before;
};

static enum table_decision move_key(void *arg, const struct slice *present,
                                    struct slice *value)
{
    struct move *move = arg;

    move->had = present != NULL;
    if (present)
        memcpy(&move->before, present->ptr, sizeof move->before);
    *value = slice_of(&move->now, sizeof move->now);
    return !move->remove ? TABLE_REPLACE : present ? TABLE_DELETE : TABLE_KEEP;
}

/* The index learns of a record that is in the log. */
static int learn(struct store *s, const struct record *r,
                 const struct log_position *at)
{
    struct move move = {
        .now = { at->offset, r->sequence, at->key_len, at->value_len },
        .remove = r->kind == RECORD_REMOVE,
    };
    int err = table_update(s->index, r->key, move_key, &move);
    uint64_t size = size_of(&move.now);

    mutex_lock(&s->numbers);
    if (move.had && !err) {
        s->stats.live_bytes -= size_of(&move.before);
        s->stats.dead_bytes += size_of(&move.before);
    }
    if (move.remove || err)
        s->stats.dead_bytes += size;
    else
        s->stats.live_bytes += size;
    s->stats.sequence = s->sequence = r->sequence;
    mutex_unlock(&s->numbers);
    return err;
}

/* ---- planning and doing --------------------------------------------------- */

struct plan {
    bool changes;               /* the op writes a record */
    struct slice value;         /* a get finds this, of an op before it, */
    struct place place;         /* or, if it has no key_len 0, this */
};

struct turn {
    struct store *store;
    struct store_op *ops;
    size_t n;
    struct plan *plans;         /* one for each op */
    const struct store_op **sorted;     /* the changes, by key, then order */
    size_t changes;
    struct record *records;     /* those that are written */
    struct log_position *positions;
    size_t written;
};

static int by_key(const void *a, const void *b)
{
    const struct store_op *x = *(const struct store_op *const *)a;
    const struct store_op *y = *(const struct store_op *const *)b;
    int order = slice_compare(x->key, y->key);

    return order != 0 ? order : (x > y) - (x < y);
}

static void turn_release(struct turn *t)
{
    free(t->plans);
    free(t->sorted);
    free(t->records);
    free(t->positions);
}

static int turn_init(struct turn *t, struct store *s, struct store_op *ops,
                     size_t n)
{
    size_t changes = 0;

    *t = (struct turn){ .store = s, .ops = ops, .n = n };
    for (size_t i = 0; i < n; i++)
        changes += ops[i].kind != STORE_GET;
    t->plans = calloc(n, sizeof *t->plans);
    t->sorted = calloc(changes + 1, sizeof *t->sorted);
    t->records = calloc(changes + 1, sizeof *t->records);
    t->positions = calloc(changes + 1, sizeof *t->positions);
    if (!t->plans || !t->sorted || !t->records || !t->positions) {
        turn_release(t);
        return -ENOMEM;
    }
    for (size_t i = 0; i < n; i++)
        if (ops[i].kind != STORE_GET)
            t->sorted[t->changes++] = &ops[i];
    qsort(t->sorted, t->changes, sizeof *t->sorted, by_key);
    return 0;
}

/* The last change of the op's key before it that will be written, or NULL. */
static const struct store_op *change_before(const struct turn *t,
                                            const struct store_op *op)
{
    size_t low = 0, high = t->changes;

    while (low < high) {
        size_t mid = (low + high) / 2;

        if (by_key(&t->sorted[mid], &op) < 0)
            low = mid + 1;
        else
            high = mid;
    }
    while (low-- > 0 && slice_equal(t->sorted[low]->key, op->key))
        if (t->plans[t->sorted[low] - t->ops].changes)
            return t->sorted[low];
    return NULL;
}

/* What is there for the op: 0 and its length, or -ENOENT. */
static int foresee(struct turn *t, const struct store_op *op,
                   struct plan *plan, size_t *len)
{
    const struct store_op *before = change_before(t, op);

    if (before) {
        plan->value = before->value;
        *len = before->value.len;
        return before->kind == STORE_SET ? 0 : -ENOENT;
    }
    int err = find(t->store, op->key, &plan->place);
    *len = plan->place.value_len;
    return err;
}

static int plan_change(struct turn *t, const struct store_op *op,
                       struct plan *plan, int failure)
{
    struct plan found = { 0 };
    size_t len;

    if (op->kind != STORE_SET && op->kind != STORE_REMOVE)
        return -EINVAL;
    if (op->kind == STORE_SET && op->value.len > RECORD_VALUE_MAX)
        return -EMSGSIZE;
    if (failure)
        return failure;
    int err = op->kind == STORE_REMOVE ? foresee(t, op, &found, &len) : 0;
    plan->changes = err == 0;
    return err;
}

/* Each op's result, but for what reading and writing may still bring.
 * Unless failure is 0, no change will be made, and that is why. */
static void plan_all(struct turn *t, int failure)
{
    bool stopped = false;

    for (size_t i = 0; i < t->n; i++) {
        struct store_op *op = &t->ops[i];
        struct plan *plan = &t->plans[i];
        size_t len = 0;

        *plan = (struct plan){ 0 };
        op->into_at = op->into_len = 0;
        stopped = stopped && op->group == op[-1].group;
        op->result = stopped ? -ECANCELED : check_key(op->key);
        if (op->result)
            continue;
        if (op->kind != STORE_GET) {
            op->result = plan_change(t, op, plan, failure);
            continue;
        }
        op->result = foresee(t, op, plan, &len);
        if (op->result)
            continue;
        op->into_len = len;
        if (op->into && op->into_max != 0 && len > op->into_max) {
            op->result = -ENOBUFS;
            stopped = true;
        }
    }
}

/* With writing held: all changes of the plan, as one append. */
static int write_changes(struct turn *t)
{
    struct store *s = t->store;

    t->written = 0;
    for (size_t i = 0; i < t->n; i++) {
        const struct store_op *op = &t->ops[i];

        if (!t->plans[i].changes)
            continue;
        t->records[t->written] = (struct record){
            .kind = op->kind == STORE_SET ? RECORD_SET : RECORD_REMOVE,
            .sequence = s->sequence + t->written + 1,
            .key = op->key,
            .value = op->kind == STORE_SET ? op->value : slice_of(NULL, 0),
        };
        t->written++;
    }
    if (t->written == 0)
        return 0;
    int err = log_append(s->log, t->records, t->written, t->positions);
    if (!err && s->options.durability == STORE_ALWAYS)
        return sync_writing(s);
    if (err == -EROFS)
        s->failed = true;
    return err;
}

/* With writing held: now everybody may see them. */
static void learn_changes(struct turn *t)
{
    size_t k = 0;

    for (size_t i = 0; i < t->n; i++) {
        if (!t->plans[i].changes)
            continue;
        int err = learn(t->store, &t->records[k], &t->positions[k]);
        if (err) {      /* the log has it, the index has not: stop here */
            t->store->failed = true;
            t->ops[i].result = err;
        }
        k++;
    }
}

/* With view held, so that the plan's places are still right. */
static void answer_get(struct turn *t, size_t i, struct buf *scratch)
{
    struct store_op *op = &t->ops[i];
    const struct plan *plan = &t->plans[i];
    struct slice value = plan->value;

    if (op->kind != STORE_GET || op->result != 0 || !op->into)
        return;
    if (plan->place.key_len > 0) {
        struct log_position at = position_of(&plan->place);

        op->result = log_read(t->store->log, &at, op->key, scratch);
        value = buf_slice(scratch);
    }
    if (op->result == 0) {
        op->into_at = op->into->len;
        op->result = buf_append_slice(op->into, value);
    }
}

static void answer_gets(struct turn *t)
{
    struct buf scratch = { 0 };

    for (size_t i = 0; i < t->n; i++)
        answer_get(t, i, &scratch);
    buf_release(&scratch);
}

static void compact_if_due(struct store *s);

/* Plans, writes and publishes; view is held when it returns. */
static void change(struct turn *t)
{
    struct store *s = t->store;

    mutex_lock(&s->writing);
    plan_all(t, s->failed || s->options.read_only ? -EROFS : 0);
    int err = write_changes(t);
    if (err)
        plan_all(t, err);
    else
        learn_changes(t);
    mutex_lock(&s->numbers);
    s->stats.failed = s->failed;
    s->stats.disk_bytes = log_end(s->log);
    mutex_unlock(&s->numbers);
    view_share(s);              /* before a compaction can come between */
    mutex_unlock(&s->writing);
}

int store_apply(struct store *s, struct store_op *ops, size_t n)
{
    struct turn t;

    if (n == 0)
        return 0;
    int err = turn_init(&t, s, ops, n);
    if (err)
        return err;
    if (t.changes > 0) {
        change(&t);
    } else {
        view_share(s);
        plan_all(&t, 0);
    }
    answer_gets(&t);
    view_leave(s);
    if (t.written > 0)
        compact_if_due(s);
    turn_release(&t);
    return 0;
}

/* ---- the plain calls ------------------------------------------------------ */

int store_get(struct store *s, struct slice key, struct buf *value)
{
    struct place place;
    int err = check_key(key);

    if (err)
        return err;
    view_share(s);
    err = find(s, key, &place);
    if (!err) {
        struct log_position at = position_of(&place);

        err = log_read(s->log, &at, key, value);
    }
    view_leave(s);
    return err;
}

static int apply_one(struct store *s, struct store_op op)
{
    int err = store_apply(s, &op, 1);

    return err ? err : op.result;
}

int store_set(struct store *s, struct slice key, struct slice value)
{
    return apply_one(s, (struct store_op){
        .kind = STORE_SET, .key = key, .value = value });
}

int store_remove(struct store *s, struct slice key)
{
    return apply_one(s, (struct store_op){ .kind = STORE_REMOVE, .key = key });
}

int store_sync(struct store *s)
{
    if (s->options.read_only)
        return 0;
    mutex_lock(&s->writing);
    int err = sync_writing(s);
    mutex_unlock(&s->writing);
    return err;
}

size_t store_key_max(struct store *s)
{
    (void)s;
    return RECORD_KEY_MAX;
}

const char *store_engine(struct store *s)
{
    (void)s;
    return "kvs";
}

void store_stats(struct store *s, struct store_stats *stats)
{
    struct table_stats index;
    struct stat marker;

    mutex_lock(&s->numbers);
    *stats = s->stats;
    mutex_unlock(&s->numbers);
    if (fstatat(s->dir.fd, DIR_MARKER, &marker, 0) == 0)
        stats->disk_bytes += (uint64_t)marker.st_size;
    view_share(s);
    table_stats(s->index, &index);
    view_leave(s);
    stats->keys = index.keys;
    stats->index_bytes = index.bytes;
    stats->segments = 1;
}

/* ---- walking -------------------------------------------------------------- */

/* All keys of the index, and where their records lie. */
struct walk {
    struct buf keys;            /* side by side */
    struct buf items;           /* struct item */
};

struct item {
    struct place place;
    size_t key_at;
};

static int walk_add(void *arg, struct slice key, struct slice value)
{
    struct walk *walk = arg;
    struct item item = { .key_at = walk->keys.len };

    memcpy(&item.place, value.ptr, sizeof item.place);
    int err = buf_append_slice(&walk->keys, key);
    return err ? err : buf_append(&walk->items, &item, sizeof item);
}

static size_t walk_count(const struct walk *walk)
{
    return walk->items.len / sizeof(struct item);
}

static struct item *walk_items(const struct walk *walk)
{
    return (struct item *)(void *)walk->items.ptr;
}

static struct slice walk_key(const struct walk *walk, const struct item *item)
{
    return slice_of(walk->keys.ptr + item->key_at, item->place.key_len);
}

static void walk_release(struct walk *walk)
{
    buf_release(&walk->keys);
    buf_release(&walk->items);
}

int store_scan(struct store *s, store_scan_fn *fn, void *arg)
{
    struct walk walk = { { 0 }, { 0 } };
    struct buf value = { 0 };

    view_share(s);
    int err = table_each(s->index, walk_add, &walk);
    view_leave(s);
    for (size_t i = 0; i < walk_count(&walk) && !err; i++) {
        struct slice key = walk_key(&walk, &walk_items(&walk)[i]);

        err = store_get(s, key, &value);
        if (err == 0)
            err = fn(arg, key, buf_slice(&value));
        else if (err == -ENOENT)
            err = 0;            /* removed in the meantime */
    }
    buf_release(&value);
    walk_release(&walk);
    return err;
}

/* ---- compacting ----------------------------------------------------------- */

/* What will take the place of the log. */
struct fresh {
    char *path, *passing;       /* its name in the end, and until then */
    struct log_file *log;
    struct table *index;
    uint64_t live;
};

static int by_offset(const void *a, const void *b)
{
    const struct item *x = a, *y = b;

    return (x->place.offset > y->place.offset)
           - (x->place.offset < y->place.offset);
}

/* The next records, n of them, from the old log to the new one. */
static int copy_some(struct store *s, struct fresh *fresh,
                     const struct walk *walk, const struct item *items,
                     size_t n, struct buf *values)
{
    struct record records[COPY_RECORDS];
    struct log_position positions[COPY_RECORDS];
    int err = 0;

    for (size_t i = 0; i < n && !err; i++) {
        struct log_position from = position_of(&items[i].place);
        struct slice key = walk_key(walk, &items[i]);

        err = log_read(s->log, &from, key, &values[i]);
        records[i] = (struct record){
            .kind = RECORD_SET, .sequence = items[i].place.sequence,
            .key = key, .value = buf_slice(&values[i]) };
    }
    if (!err)
        err = log_append(fresh->log, records, n, positions);
    for (size_t i = 0; i < n && !err; i++) {
        struct place place = items[i].place;

        place.offset = positions[i].offset;
        fresh->live += size_of(&place);
        err = table_insert(fresh->index, records[i].key,
                           slice_of(&place, sizeof place));
    }
    return err;
}

static int copy_all(struct store *s, struct fresh *fresh,
                    const struct walk *walk)
{
    const struct item *items = walk_items(walk);
    size_t count = walk_count(walk), from = 0;
    struct buf values[COPY_RECORDS] = { { 0 } };
    int err = 0;

    while (from < count && !err) {
        uint64_t bytes = 0;
        size_t n = 0;

        while (n < COPY_RECORDS && from + n < count && bytes < COPY_BYTES)
            bytes += size_of(&items[from + n++].place);
        err = copy_some(s, fresh, walk, items + from, n, values);
        from += n;
    }
    for (size_t i = 0; i < COPY_RECORDS; i++)
        buf_release(&values[i]);
    return err;
}

static int fill_fresh(struct store *s, struct fresh *fresh)
{
    struct walk walk = { { 0 }, { 0 } };
    int err = table_each(s->index, walk_add, &walk);

    if (!err && walk_count(&walk) > 0)
        qsort(walk.items.ptr, walk_count(&walk), sizeof(struct item),
              by_offset);
    if (!err)
        err = copy_all(s, fresh, &walk);
    walk_release(&walk);
    if (!err)
        err = log_sync(fresh->log);
    if (!err)
        log_mark(fresh->log);   /* good to have; it may fail */
    return err;
}

/* Everybody goes over to the new log. */
static void switch_to(struct store *s, const struct fresh *fresh,
                      uint64_t began)
{
    struct log_file *old_log = s->log;
    struct table *old_index = s->index;

    view_take(s);
    s->log = fresh->log;
    s->index = fresh->index;
    view_leave(s);
    log_close(old_log);
    table_destroy(old_index);

    mutex_lock(&s->numbers);
    s->generation++;
    s->synced = 0;
    s->stats.live_bytes = fresh->live;
    s->stats.dead_bytes = 0;
    s->stats.disk_bytes = log_end(fresh->log);
    s->stats.compactions++;
    s->stats.compaction_ns = clock_now_ns() - began;
    mutex_unlock(&s->numbers);
}

/* Makes the new log under its passing name, then gives it its own: from then
 * on it is the one that counts. */
static int make_fresh(struct store *s, struct fresh *fresh)
{
    unlink(fresh->passing);     /* of one that a crash has stopped */
    int err = table_create(&fresh->index, NULL);
    if (!err)
        err = log_open(&fresh->log, fresh->passing, LOG_CREATE);
    if (err)
        return err;
    err = fill_fresh(s, fresh);
    if (!err && rename(fresh->passing, fresh->path) != 0)
        err = -errno;
    if (err) {
        unlink(fresh->passing);
        return err;
    }
    err = dir_sync(&s->dir);
    if (err) {  /* nobody knows which of the two a power failure leaves */
        rename(fresh->path, fresh->passing);
        mutex_lock(&s->numbers);
        s->failed = s->stats.failed = true;
        mutex_unlock(&s->numbers);
    }
    return err;
}

static int compact_writing(struct store *s)
{
    uint64_t began = clock_now_ns();
    struct fresh fresh = { 0 };

    if (s->options.read_only || s->failed)
        return -EROFS;
    char *old = path_of(s, s->generation, "");
    fresh.path = path_of(s, s->generation + 1, "");
    fresh.passing = path_of(s, s->generation + 1, DIR_NEW);
    int err = old && fresh.path && fresh.passing ? make_fresh(s, &fresh)
                                                 : -ENOMEM;
    if (err) {
        log_close(fresh.log);
        table_destroy(fresh.index);
    } else {
        switch_to(s, &fresh, began);
        unlink(old);            /* else the next open does */
    }
    free(old);
    free(fresh.path);
    free(fresh.passing);
    return err;
}

int store_compact(struct store *s)
{
    mutex_lock(&s->writing);
    int err = compact_writing(s);
    mutex_unlock(&s->writing);
    return err;
}

/* The change itself was answered; if this fails, it is tried again when there
 * is twice the garbage. */
static void compact_if_due(struct store *s)
{
    mutex_lock(&s->writing);
    mutex_lock(&s->numbers);
    uint64_t dead = s->stats.dead_bytes, live = s->stats.live_bytes;
    mutex_unlock(&s->numbers);
    if (dead > s->compact_at && dead > live)
        s->compact_at = compact_writing(s) == 0 ? s->options.segment_size
                                                : 2 * dead;
    mutex_unlock(&s->writing);
}

/* ---- once a second -------------------------------------------------------- */

static void sync_if_needed(struct store *s)
{
    mutex_lock(&s->writing);
    if (!s->failed && s->synced != log_end(s->log))
        sync_writing(s);
    mutex_unlock(&s->writing);
}

static void *tick(void *arg)
{
    struct store *s = arg;
    uint64_t next = deadline_in_ms(1000);

    mutex_lock(&s->timer_lock);
    while (!s->closing) {
        struct timespec at = deadline_timespec(next);

        if (pthread_cond_timedwait(&s->timer_wake, &s->timer_lock, &at)
            != ETIMEDOUT)
            continue;
        mutex_unlock(&s->timer_lock);
        sync_if_needed(s);
        next = deadline_in_ms(1000);
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
    cond_signal(&s->timer_wake);
    mutex_unlock(&s->timer_lock);
    thread_join(s->timer);
}

/* ---- opening -------------------------------------------------------------- */

struct loading {
    struct store *store;
    uint64_t of, told;
};

static int load(void *arg, const struct record *record,
                const struct log_position *at)
{
    struct loading *l = arg;
    const struct store_options *o = &l->store->options;

    if (o->progress && at->offset - l->told >= PROGRESS_BYTES) {
        l->told = at->offset;
        o->progress(o->progress_arg, at->offset, l->of);
    }
    return learn(l->store, record, at);
}

static int newest(void *arg, const char *name)
{
    uint64_t *generation = arg, g = dir_log_generation(name);

    if (g > *generation)
        *generation = g;
    return 0;
}

/* Removes what crashes have left: older logs, and unfinished ones. */
static int clear_away(void *arg, const char *name)
{
    struct store *s = arg;
    uint64_t g = dir_log_generation(name);

    if ((g > 0 && g < s->generation) || dir_is_unfinished(name))
        unlinkat(s->dir.fd, name, 0);
    return 0;
}

static int replay(struct store *s)
{
    struct loading loading = { .store = s, .of = log_end(s->log) };
    int err = log_replay(s->log, load, &loading, NULL);

    if (!err && s->options.progress)
        s->options.progress(s->options.progress_arg, loading.of, loading.of);
    return err;
}

static int open_generation(struct store *s, enum log_mode mode)
{
    char *path = path_of(s, s->generation, "");
    int err = path ? log_open(&s->log, path, mode) : -ENOMEM;

    free(path);
    return err;
}

/* The newest log counts. The names that we see need not be on the disk before
 * we sync the directory; only then may an older log go. */
static int open_log(struct store *s)
{
    bool read_only = s->options.read_only;
    char name[DIR_NAME_MAX];
    int err = dir_each(&s->dir, newest, &s->generation);
    bool made = !err && s->generation == 0;

    if (err)
        return err;
    if (s->generation > 0) {
        err = open_generation(s, read_only ? LOG_READ : LOG_WRITE);
        if (!err)
            err = replay(s);
    } else {
        s->generation = 1;
        err = read_only ? -ENOENT : open_generation(s, LOG_CREATE);
    }
    if (err || read_only)
        return err;
    err = dir_sync(&s->dir);
    if (err && made) {
        dir_log_name(name, s->generation);
        unlinkat(s->dir.fd, name, 0);   /* it may never reach the disk */
    }
    return err ? err : dir_each(&s->dir, clear_away, s);
}

static void locks_init(struct store *s)
{
    pthread_rwlockattr_t view;
    pthread_condattr_t wake;

    /* Many readers must not keep a compaction waiting for ever. */
    lock_check(pthread_rwlockattr_init(&view), "pthread_rwlockattr_init");
    pthread_rwlockattr_setkind_np(
        &view, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
    lock_check(pthread_rwlock_init(&s->view, &view), "pthread_rwlock_init");
    pthread_rwlockattr_destroy(&view);
    lock_check(pthread_condattr_init(&wake), "pthread_condattr_init");
    pthread_condattr_setclock(&wake, CLOCK_MONOTONIC);
    lock_check(pthread_cond_init(&s->timer_wake, &wake), "pthread_cond_init");
    pthread_condattr_destroy(&wake);
    mutex_init(&s->writing);
    mutex_init(&s->numbers);
    mutex_init(&s->timer_lock);
}

static void release(struct store *s)
{
    log_close(s->log);
    table_destroy(s->index);
    dir_close(&s->dir);
    lock_check(pthread_rwlock_destroy(&s->view), "pthread_rwlock_destroy");
    cond_release(&s->timer_wake);
    mutex_release(&s->writing);
    mutex_release(&s->numbers);
    mutex_release(&s->timer_lock);
    free(s->path);
    free(s);
}

static int open_all(struct store *s, const char *dir)
{
    /* From the root, for the process may go to another directory. */
    s->path = realpath(dir, NULL);
    if (!s->path)
        return -errno;
    int err = table_create(&s->index, NULL);
    if (!err)
        err = open_log(s);
    if (err)
        return err;
    s->stats.disk_bytes = log_end(s->log);
    return timer_start(s);
}

int store_open(struct store **out, const char *dir,
               const struct store_options *options)
{
    static const struct store_options plain = { 0 };
    const struct store_options *o = options ? options : &plain;

    if (o->engine && strcmp(o->engine, "kvs") != 0)
        return -ENOENT;
    if (o->durability > STORE_ALWAYS)
        return -EINVAL;
    struct store *s = calloc(1, sizeof *s);
    if (!s)
        return -ENOMEM;
    s->options = *o;
    if (s->options.segment_size == 0)
        s->options.segment_size = SEGMENT_SIZE;
    s->compact_at = s->options.segment_size;
    int err = dir_open(&s->dir, dir, "kvs", FORMAT, o->read_only);
    if (err) {
        free(s);
        return err;
    }
    locks_init(s);
    err = open_all(s, dir);
    if (err) {
        release(s);
        return err;
    }
    *out = s;
    return 0;
}

int store_close(struct store *s)
{
    int err = 0;

    if (!s)
        return 0;
    timer_stop(s);
    if (!s->options.read_only) {
        err = log_sync(s->log);
        if (!err)
            err = log_mark(s->log);
    }
    release(s);
    return err;
}
