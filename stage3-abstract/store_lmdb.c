/* store_lmdb.c -- yours: stage 3, task 3.5.
 *
 * LMDB keeps a B+ tree in a file that is mapped into memory. A transaction
 * that reads sees the tree as it was when it began; one at a time may write,
 * and what it has written is there at its commit, all of it or nothing. So a
 * batch is a transaction. What LMDB leaves to its user is done here:
 *
 *   the map     has a size, and a write that needs more answers MDB_MAP_FULL.
 *               Then it is made larger and the batch done again. That must
 *               not happen beside any transaction of this process.
 *   readers     have slots, a fixed number. A transaction that reads is made
 *               once and then reset and renewed; when all are taken, the next
 *               thread waits for one.
 *   the file    never becomes smaller. A compaction copies what counts to a
 *               new file, which takes the old one's name.
 *
 * Locks, in this order:
 *   write    held by whoever changes something; by a compaction all the time
 *   view     shared by whoever has a transaction; had alone by who changes
 *            the map or the file under it
 *   readers  the transactions that nobody uses now
 *   numbers  the statistics
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <lmdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/lock.h"
#include "stage2-server/dir.h"
#include "stage2-server/record.h"
#include "stage2-server/store.h"
#include "stage3-abstract/ticker.h"

enum {
    FORMAT = 1,
    READERS = 64,                   /* at once; more threads wait */
    MAP_FIRST = 4 * 1024 * 1024,
    INTERVAL_MS = 1000,
    SCAN_BYTES = 256 * 1024         /* of a scan copied at once */
};

static const char engine_name[] = "lmdb";
static const char data_name[] = "data.mdb";     /* LMDB's own names */
static const char lock_name[] = "lock.mdb";
static const char new_name[] = "data.mdb" DIR_NEW;

struct store {
    struct dir dir;             /* these are set once */
    char *path;
    struct store_options options;
    size_t key_max;
    struct ticker *ticker;

    pthread_mutex_t write;      /* guards: */
    bool dirty;                 /* there is something to be synced */
    bool failed;                /* no more changes */

    pthread_rwlock_t view;      /* guards: */
    MDB_env *env;               /* NULL: it could not be opened again */

    pthread_mutex_t readers;    /* guards: */
    pthread_cond_t back;        /* one has come back, or has ended */
    MDB_txn *idle[READERS];
    unsigned idle_n, made;

    pthread_mutex_t numbers;    /* guards stats: compactions, syncs, ... */
    struct store_stats stats;
};

/* LMDB's numbers are errnos above 0 and its own below. */
static int error_of(int rc)
{
    switch (rc) {
    case MDB_NOTFOUND:
        return -ENOENT;
    case MDB_BAD_VALSIZE:
        return -EMSGSIZE;
    case MDB_MAP_FULL:
        return -ENOSPC;
    case MDB_TXN_FULL:
        return -ENOMEM;
    case MDB_VERSION_MISMATCH:
        return -ENOTSUP;
    case MDB_CORRUPTED:
    case MDB_PAGE_NOTFOUND:
    case MDB_INVALID:
        return -EBADMSG;
    default:
        return rc >= 0 ? -rc : -EIO;
    }
}

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

/* From here on reads only; the answer is err. */
static int fail_locked(struct store *s, int err)
{
    s->failed = true;
    mutex_lock(&s->numbers);
    s->stats.failed = true;
    mutex_unlock(&s->numbers);
    return err;
}

/* ---- the map and the file ------------------------------------------------ */

/* The unnamed database always has this number, once it was opened. */
static const MDB_dbi MAIN = 1;

static int open_main(MDB_env *env)
{
    MDB_txn *txn;
    MDB_dbi dbi;
    int rc = mdb_txn_begin(env, NULL, MDB_RDONLY, &txn);

    if (rc)
        return rc;
    rc = mdb_dbi_open(txn, NULL, 0, &dbi);
    mdb_txn_abort(txn);
    return rc;
}

/* Without a writer nobody needs LMDB's lock file, which may not be there, or
 * on a disk that cannot be written. The directory's lock keeps others out. */
static unsigned env_flags(const struct store *s)
{
    unsigned flags = MDB_NOTLS;

    if (s->options.read_only)
        flags |= MDB_RDONLY | MDB_NOLOCK;
    if (s->options.durability != STORE_ALWAYS)
        flags |= MDB_NOSYNC;
    return flags;
}

/* View had alone, or nobody else there yet. */
static int env_open_locked(struct store *s)
{
    MDB_env *env;
    int rc = mdb_env_create(&env);

    if (rc)
        return error_of(rc);
    rc = mdb_env_set_mapsize(env, MAP_FIRST);       /* or as the file is */
    if (!rc)
        rc = mdb_env_set_maxreaders(env, READERS + 2);  /* one that copies */
    if (!rc)
        rc = mdb_env_open(env, s->path, env_flags(s), 0666);
    if (!rc)
        rc = open_main(env);
    if (rc) {
        mdb_env_close(env);
        return error_of(rc);
    }
    s->env = env;
    return 0;
}

static void env_close_locked(struct store *s)
{
    mutex_lock(&s->readers);
    while (s->idle_n > 0)
        mdb_txn_abort(s->idle[--s->idle_n]);
    s->made = 0;
    mutex_unlock(&s->readers);
    if (s->env)
        mdb_env_close(s->env);
    s->env = NULL;
}

/* LMDB lets the old map go before it has the new one, and after a failure has
 * none: then only opening anew helps, and if that fails there is no env. */
static int resize_locked(struct store *s, size_t size)
{
    if (!s->env)
        return -EIO;
    int rc = mdb_env_set_mapsize(s->env, size);
    if (rc) {
        env_close_locked(s);
        env_open_locked(s);
    }
    return error_of(rc);
}

/* Somebody else, such as LMDB's own tools, has made the file larger. */
static int adopt_size(struct store *s)
{
    view_take(s);
    int err = resize_locked(s, 0);
    view_leave(s);
    return err;
}

static int grow(struct store *s)
{
    MDB_envinfo info = { 0 };
    int err = -EIO;

    view_take(s);
    if (s->env && mdb_env_info(s->env, &info) == 0)
        err = resize_locked(s, 2 * info.me_mapsize);
    view_leave(s);
    return err;
}

/* ---- transactions that read ---------------------------------------------- */

/* One that is idle, or NULL: the caller may make one. */
static MDB_txn *take_idle(struct store *s)
{
    MDB_txn *txn = NULL;

    mutex_lock(&s->readers);
    while (s->idle_n == 0 && s->made == READERS)
        cond_wait(&s->back, &s->readers);
    if (s->idle_n > 0)
        txn = s->idle[--s->idle_n];
    else
        s->made++;
    mutex_unlock(&s->readers);
    return txn;
}

/* NULL: it could not be made, or not be used again. */
static void put_idle(struct store *s, MDB_txn *txn)
{
    mutex_lock(&s->readers);
    if (txn)
        s->idle[s->idle_n++] = txn;
    else
        s->made--;
    cond_signal(&s->back);
    mutex_unlock(&s->readers);
}

static int begin_shared(struct store *s, MDB_txn **out)
{
    if (!s->env)
        return EIO;
    MDB_txn *txn = take_idle(s);
    int rc = txn ? mdb_txn_renew(txn)
                 : mdb_txn_begin(s->env, NULL, MDB_RDONLY, &txn);

    if (rc) {
        if (txn)
            mdb_txn_abort(txn);
        put_idle(s, NULL);
        return rc;
    }
    *out = txn;
    return 0;
}

/* With success the view is shared until read_end. */
static int read_begin(struct store *s, MDB_txn **txn)
{
    int rc = 0, err = 0;

    do {
        view_share(s);
        rc = begin_shared(s, txn);
        if (rc == 0)
            return 0;
        view_leave(s);
        if (rc == MDB_MAP_RESIZED)
            err = adopt_size(s);
    } while (rc == MDB_MAP_RESIZED && !err);
    return err ? err : error_of(rc);
}

static void read_end(struct store *s, MDB_txn *txn)
{
    mdb_txn_reset(txn);
    put_idle(s, txn);
    view_leave(s);
}

/* ---- operations ---------------------------------------------------------- */

static MDB_val val_of(struct slice slice)
{
    return (MDB_val){ slice.len, (void *)slice.ptr };
}

static int check_op(const struct store *s, const struct store_op *op)
{
    if (op->key.len == 0)
        return -EINVAL;
    if (op->key.len > s->key_max)
        return -EMSGSIZE;
    return op->kind == STORE_SET && op->value.len > RECORD_VALUE_MAX
           ? -EMSGSIZE : 0;
}

static int get_op(MDB_txn *txn, struct store_op *op)
{
    MDB_val key = val_of(op->key), value;
    int rc = mdb_get(txn, MAIN, &key, &value);

    if (rc)
        return rc;
    op->into_len = value.mv_size;
    if (!op->into)
        return 0;
    if (op->into_max && value.mv_size > op->into_max)
        return ENOBUFS;
    op->into_at = op->into->len;
    return -buf_append(op->into, value.mv_data, value.mv_size);
}

static int change_op(MDB_txn *txn, const struct store_op *op)
{
    MDB_val key = val_of(op->key), value = val_of(op->value);

    return op->kind == STORE_SET ? mdb_put(txn, MAIN, &key, &value, 0)
                                 : mdb_del(txn, MAIN, &key, NULL);
}

/* What this op comes to: in op->result. Another answer than 0 is LMDB's, and
 * the end of the transaction. */
static int do_op(struct store *s, MDB_txn *txn, struct store_op *op,
                 int failure, bool *changed)
{
    int rc = 0;

    op->result = check_op(s, op);
    if (op->kind == STORE_GET)
        op->into_at = op->into_len = 0;
    if (op->result)
        return 0;
    if (op->kind == STORE_GET) {
        op->result = error_of(get_op(txn, op));
    } else if (op->kind != STORE_SET && op->kind != STORE_REMOVE) {
        op->result = -EINVAL;
    } else if (failure) {
        op->result = failure;
    } else {
        rc = change_op(txn, op);
        op->result = error_of(rc);
        *changed = *changed || rc == 0;
    }
    return rc == MDB_NOTFOUND ? 0 : rc;
}

/* As if the first n had not been done: what gets have appended goes. */
static void undo(struct store_op *ops, size_t n)
{
    while (n-- > 0)
        if (ops[n].kind == STORE_GET && ops[n].into && ops[n].result == 0)
            ops[n].into->len = ops[n].into_at;
}

static int do_ops(struct store *s, MDB_txn *txn, struct store_op *ops,
                  size_t n, int failure, bool *changed)
{
    bool stopped = false;

    for (size_t i = 0; i < n; i++) {
        if (i > 0 && ops[i].group != ops[i - 1].group)
            stopped = false;
        if (stopped) {
            ops[i].result = -ECANCELED;
            continue;
        }
        int rc = do_op(s, txn, &ops[i], failure, changed);
        if (rc) {
            undo(ops, i);
            return rc;
        }
        stopped = ops[i].result == -ENOBUFS;
    }
    return 0;
}

/* With nothing to be changed: gets, and changes that fail like this. */
static int read_ops(struct store *s, struct store_op *ops, size_t n,
                    int failure)
{
    bool changed = false;
    MDB_txn *txn;
    int err = read_begin(s, &txn);

    if (err)
        return err;
    do_ops(s, txn, ops, n, failure, &changed);
    read_end(s, txn);
    return 0;
}

static void note_change_locked(struct store *s)
{
    bool synced = s->options.durability == STORE_ALWAYS;

    s->dirty = !synced;
    mutex_lock(&s->numbers);
    s->stats.syncs += synced;
    s->stats.sequence++;
    mutex_unlock(&s->numbers);
}

/* One try, in one transaction; the answer is LMDB's. View shared. */
static int write_ops_locked(struct store *s, struct store_op *ops, size_t n)
{
    bool changed = false;
    MDB_txn *txn;
    int rc = s->env ? mdb_txn_begin(s->env, NULL, 0, &txn) : EIO;

    if (rc)
        return rc;
    rc = do_ops(s, txn, ops, n, 0, &changed);
    if (rc || !changed) {
        mdb_txn_abort(txn);
        return rc;
    }
    rc = mdb_txn_commit(txn);
    if (rc)
        undo(ops, n);
    else
        note_change_locked(s);
    return rc;
}

/* LMDB says EIO, too, when a write was cut short because the disk is full;
 * nothing has changed then. So: is there room for all this behind the file? */
static int why_eio(struct store *s, const struct store_op *ops, size_t n)
{
    size_t bytes = MAP_FIRST;
    struct stat st;
    int fd = openat(s->dir.fd, data_name, O_WRONLY | O_CLOEXEC), err = EIO;

    for (size_t i = 0; i < n; i++)
        bytes += ops[i].kind == STORE_SET ? ops[i].value.len : 0;
    if (fd < 0)
        return EIO;
    if (fstat(fd, &st) == 0 && fallocate(fd, FALLOC_FL_KEEP_SIZE, st.st_size,
                                         (off_t)bytes) != 0 &&
        (errno == ENOSPC || errno == EDQUOT || errno == EFBIG))
        err = errno;
    close(fd);
    return err;
}

/* Tries until the map is large enough. What the disk refused in the middle of
 * a commit may be there or not: no more changes. */
static int write_locked(struct store *s, struct store_op *ops, size_t n)
{
    int rc, err = 0;

    if (s->options.read_only || s->failed)
        return -EROFS;
    do {
        view_share(s);
        rc = write_ops_locked(s, ops, n);
        view_leave(s);
        if (rc == MDB_MAP_FULL)
            err = grow(s);
        else if (rc == MDB_MAP_RESIZED)
            err = adopt_size(s);
    } while (!err && (rc == MDB_MAP_FULL || rc == MDB_MAP_RESIZED));
    if (rc == EIO)
        rc = why_eio(s, ops, n);
    if (rc == EIO || rc == MDB_PANIC)
        return fail_locked(s, -EIO);
    return err ? err : error_of(rc);
}

int store_apply(struct store *store, struct store_op *ops, size_t n)
{
    size_t changes = 0;

    for (size_t i = 0; i < n; i++)
        changes += ops[i].kind != STORE_GET;
    if (changes == 0)
        return read_ops(store, ops, n, 0);
    mutex_lock(&store->write);
    int err = write_locked(store, ops, n);
    if (err)                    /* the gets, at least */
        err = read_ops(store, ops, n, err);
    mutex_unlock(&store->write);
    return err;
}

/* ---- the plain calls ----------------------------------------------------- */

int store_get(struct store *store, struct slice key, struct buf *value)
{
    struct store_op op = { .kind = STORE_GET, .key = key };
    MDB_val wanted = val_of(key), found;
    MDB_txn *txn;
    int err = check_op(store, &op);

    if (!err)
        err = read_begin(store, &txn);
    if (err)
        return err;
    err = error_of(mdb_get(txn, MAIN, &wanted, &found));
    if (!err)
        err = buf_replace(value, slice_of(found.mv_data, found.mv_size));
    read_end(store, txn);
    return err;
}

static int apply_one(struct store *store, struct store_op op)
{
    int err = store_apply(store, &op, 1);

    return err ? err : op.result;
}

int store_set(struct store *store, struct slice key, struct slice value)
{
    return apply_one(store, (struct store_op){ .kind = STORE_SET, .key = key,
                                               .value = value });
}

int store_remove(struct store *store, struct slice key)
{
    return apply_one(store, (struct store_op){ .kind = STORE_REMOVE,
                                               .key = key });
}

/* ---- a scan, in pieces --------------------------------------------------- */

/* Pairs that were copied out of one transaction: so fn is called with none,
 * may take its time, and may change the store. */
struct piece {
    struct buf pairs;           /* for each: two lengths, key, value */
    struct buf last;            /* the last key copied */
    bool begun;
};

static int copy_pair(struct piece *p, const MDB_val *key, const MDB_val *value)
{
    size_t lengths[2] = { key->mv_size, value->mv_size };
    int err = buf_reserve(&p->pairs, sizeof lengths + lengths[0] + lengths[1]);

    if (err)
        return err;
    buf_append(&p->pairs, lengths, sizeof lengths);
    buf_append(&p->pairs, key->mv_data, lengths[0]);
    buf_append(&p->pairs, value->mv_data, lengths[1]);
    return 0;
}

/* Stands on the first pair behind the last one: the keys are in order. */
static int seek(MDB_cursor *cursor, const struct piece *p, MDB_val *key,
                MDB_val *value)
{
    if (!p->begun)
        return mdb_cursor_get(cursor, key, value, MDB_FIRST);
    *key = val_of(buf_slice(&p->last));
    int rc = mdb_cursor_get(cursor, key, value, MDB_SET_RANGE);
    if (rc == 0 && slice_equal(slice_of(key->mv_data, key->mv_size),
                               buf_slice(&p->last)))
        rc = mdb_cursor_get(cursor, key, value, MDB_NEXT);
    return rc;
}

/* 0 when it has filled p, perhaps with nothing. */
static int copy_piece(MDB_txn *txn, struct piece *p)
{
    MDB_cursor *cursor;
    MDB_val key, value;
    int rc = mdb_cursor_open(txn, MAIN, &cursor), err = 0;

    if (rc)
        return error_of(rc);
    buf_clear(&p->pairs);
    rc = seek(cursor, p, &key, &value);
    while (rc == 0 && !err) {
        err = copy_pair(p, &key, &value);
        if (err || p->pairs.len >= SCAN_BYTES)
            break;
        rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT);
    }
    mdb_cursor_close(cursor);
    return err || rc == 0 || rc == MDB_NOTFOUND ? err : error_of(rc);
}

static int next_piece(struct store *s, struct piece *p)
{
    MDB_txn *txn;
    int err = read_begin(s, &txn);

    if (err)
        return err;
    err = copy_piece(txn, p);
    read_end(s, txn);
    return err;
}

static int tell_piece(struct piece *p, store_scan_fn *fn, void *arg)
{
    const unsigned char *at = p->pairs.ptr, *end = at + p->pairs.len;
    struct slice key = { NULL, 0 };
    int answer = 0;

    while (at < end && !answer) {
        size_t lengths[2];

        memcpy(lengths, at, sizeof lengths);
        at += sizeof lengths;
        key = slice_of(at, lengths[0]);
        answer = fn(arg, key, slice_of(at + lengths[0], lengths[1]));
        at += lengths[0] + lengths[1];
    }
    p->begun = true;
    return answer ? answer : buf_replace(&p->last, key);
}

int store_scan(struct store *store, store_scan_fn *fn, void *arg)
{
    struct piece piece = { 0 };
    int answer;

    do {
        answer = next_piece(store, &piece);
        if (!answer && piece.pairs.len > 0)
            answer = tell_piece(&piece, fn, arg);
    } while (!answer && piece.pairs.len > 0);
    buf_release(&piece.pairs);
    buf_release(&piece.last);
    return answer;
}

/* ---- the disk ------------------------------------------------------------ */

static int sync_locked(struct store *s)
{
    if (s->failed)
        return -EROFS;
    if (!s->dirty)
        return 0;
    view_share(s);
    int rc = s->env ? mdb_env_sync(s->env, 1) : EIO;
    view_leave(s);
    if (rc)
        return fail_locked(s, error_of(rc));
    s->dirty = false;
    mutex_lock(&s->numbers);
    s->stats.syncs++;
    mutex_unlock(&s->numbers);
    return 0;
}

int store_sync(struct store *store)
{
    mutex_lock(&store->write);
    int err = sync_locked(store);
    mutex_unlock(&store->write);
    return err;
}

static void tick(void *arg)
{
    store_sync(arg);            /* if it fails, the next change says so */
}

/* A new file with what counts, whole and on the disk. View shared: gets go
 * on, changes wait. */
static int copy_compacted(struct store *s)
{
    int fd = openat(s->dir.fd, new_name,
                    O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);

    if (fd < 0)
        return -errno;
    int err = s->env ? error_of(mdb_env_copyfd2(s->env, fd, MDB_CP_COMPACT))
                     : -EIO;
    if (!err && fsync(fd) != 0)
        err = -errno;
    if (close(fd) != 0 && !err)
        err = -errno;
    return err;
}

/* The new file takes the old one's name and place. Once it has the name there
 * is no way back. */
static int switch_locked(struct store *s)
{
    view_take(s);
    int err = renameat(s->dir.fd, new_name, s->dir.fd, data_name) != 0
              ? -errno : 0;
    if (!err) {
        env_close_locked(s);
        err = dir_sync(&s->dir);
        int opened = env_open_locked(s);
        if (!err)
            err = opened;
        if (err)
            fail_locked(s, err);
    }
    view_leave(s);
    return err;
}

static int compact_locked(struct store *s)
{
    uint64_t began = clock_now_ns();

    if (s->options.read_only || s->failed)
        return -EROFS;
    view_share(s);
    int err = copy_compacted(s);
    view_leave(s);
    if (!err)
        err = switch_locked(s);
    if (err) {
        unlinkat(s->dir.fd, new_name, 0);
        return err;
    }
    s->dirty = false;
    mutex_lock(&s->numbers);
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

/* ---- the statistics ------------------------------------------------------ */

static uint64_t file_size(struct store *s, const char *name)
{
    struct stat st;

    return fstatat(s->dir.fd, name, &st, 0) == 0 ? (uint64_t)st.st_size : 0;
}

/* Pages that the tree has; the others of the file, but for the two at its
 * start, are free. */
static void count_pages(MDB_txn *txn, struct store_stats *stats)
{
    MDB_envinfo info;
    MDB_stat tree;

    if (mdb_env_info(mdb_txn_env(txn), &info) != 0 ||
        mdb_stat(txn, MAIN, &tree) != 0)
        return;
    uint64_t used = tree.ms_branch_pages + tree.ms_leaf_pages +
                    tree.ms_overflow_pages;
    uint64_t all = info.me_last_pgno - 1;

    stats->keys = tree.ms_entries;
    stats->live_bytes = used * tree.ms_psize;
    stats->dead_bytes = all > used ? (all - used) * tree.ms_psize : 0;
}

void store_stats(struct store *store, struct store_stats *stats)
{
    MDB_txn *txn;

    mutex_lock(&store->numbers);
    *stats = store->stats;
    mutex_unlock(&store->numbers);
    stats->segments = 1;
    stats->disk_bytes = file_size(store, data_name) +
                        file_size(store, lock_name) +
                        file_size(store, DIR_MARKER);
    if (read_begin(store, &txn) == 0) {
        count_pages(txn, stats);
        read_end(store, txn);
    }
}

size_t store_key_max(struct store *store)
{
    return store->key_max;
}

const char *store_engine(struct store *store)
{
    (void)store;
    return engine_name;
}

/* ---- opening and closing ------------------------------------------------- */

static void locks_init(struct store *s)
{
    pthread_rwlockattr_t fair;

    /* Who must have the view alone is not to wait for ever. */
    lock_check(pthread_rwlockattr_init(&fair), "pthread_rwlockattr_init");
    pthread_rwlockattr_setkind_np(
        &fair, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
    lock_check(pthread_rwlock_init(&s->view, &fair), "pthread_rwlock_init");
    pthread_rwlockattr_destroy(&fair);
    mutex_init(&s->write);
    mutex_init(&s->readers);
    mutex_init(&s->numbers);
    cond_init(&s->back);
}

static void release(struct store *s)
{
    env_close_locked(s);
    dir_close(&s->dir);
    lock_check(pthread_rwlock_destroy(&s->view), "pthread_rwlock_destroy");
    mutex_release(&s->write);
    mutex_release(&s->readers);
    mutex_release(&s->numbers);
    cond_release(&s->back);
    free(s->path);
    free(s);
}

static int start(struct store *s, const char *path)
{
    s->path = realpath(path, NULL);
    if (!s->path)
        return -errno;
    if (!s->options.read_only)
        unlinkat(s->dir.fd, new_name, 0);   /* of an interrupted compaction */
    bool made = faccessat(s->dir.fd, data_name, F_OK, 0) != 0;
    int err = env_open_locked(s);
    if (err)
        return err;
    s->key_max = (size_t)mdb_env_get_maxkeysize(s->env);
    /* What a process that was killed has left in the kernel only; and the
     * name of the file, which LMDB may just have made. */
    s->dirty = !s->options.read_only && !s->dir.is_new;
    if (!s->options.read_only && (err = dir_sync(&s->dir)) != 0 && made)
        unlinkat(s->dir.fd, data_name, 0);  /* it may never reach the disk */
    if (!err && s->options.durability == STORE_ALWAYS)
        err = sync_locked(s);
    s->stats.syncs = 0;
    if (!err && s->options.durability == STORE_INTERVAL &&
        !s->options.read_only)
        err = ticker_start(&s->ticker, INTERVAL_MS, tick, s);
    return err;
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
    if (!store)
        return 0;
    ticker_stop(store->ticker);
    mutex_lock(&store->write);
    int err = sync_locked(store);
    mutex_unlock(&store->write);
    release(store);
    return err;
}
