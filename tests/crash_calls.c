/* crash_calls.c -- given: system calls, recorded and made to fail.
 *
 * With -Wl,--wrap=NAME the linker turns every call of NAME in our objects and
 * in the student's into __wrap_NAME, which is here, and calls from here of
 * __real_NAME into the C library's. A file is known by its inode number, so
 * neither dup nor fork needs to be followed. The lock is held across a call
 * and its event, so the record has the order in which things happened; a
 * sync alone runs without it, because what is written while it runs is not
 * covered by it.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "common/lock.h"
#include "tests/crash_disk.h"
#include "tests/driver.h"

#define WRAP(result, name, args) \
    result __real_##name args; result __wrap_##name args; \
    result __wrap_##name args

/* The other name of the same call. */
#define SAME(result, other, name, args) \
    result __wrap_##other args __attribute__((alias("__wrap_" #name)));

int __real_open(const char *path, int flags, ...);
int __real_openat(int at, const char *path, int flags, ...);

static struct crash_log *the_log;
static enum { OFF, COUNT, RECORD } mode;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* all below */
static struct crash_fault fault;
static unsigned seen, hits, made;

/* ---- The record ---------------------------------------------------------- */

struct crash_log *crash_log(void)
{
    if (!the_log) {
        the_log = mmap(NULL, sizeof *the_log, PROT_READ | PROT_WRITE,
                       MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        expect_true("memory for the record", the_log != MAP_FAILED);
    }
    return the_log;
}

static struct event *note(enum event_kind kind, int inode)
{
    struct crash_log *log = the_log;

    if (log->events == CRASH_EVENTS)
        fail_case(__FILE__, __LINE__, "recording the workload",
                  "a few thousand calls at most", "more");
    struct event *e = &log->event[log->events++];
    memset(e, 0, sizeof *e);
    e->kind = kind;
    e->inode = inode;
    return e;
}

static int inode_of(const struct stat *st)
{
    if (st->st_dev == the_log->device)
        for (int i = the_log->inodes; i-- > 0;)
            if (the_log->number[i] == st->st_ino)
                return i;
    return -1;
}

static int new_inode(const struct stat *st)
{
    if (the_log->inodes == CRASH_INODES)
        fail_case(__FILE__, __LINE__, "recording the workload",
                  "a few hundred files at most", "more");
    the_log->number[the_log->inodes] = st->st_ino;
    return the_log->inodes++;
}

static void note_name(char to[CRASH_NAME], const char *name)
{
    if (snprintf(to, CRASH_NAME, "%s", name) >= CRASH_NAME)
        fail_case(__FILE__, __LINE__, "recording the workload",
                  "names below 40 bytes", "%s", name);
}

static void note_write(int inode, const struct iovec *iov, int n, size_t at,
                       size_t len)
{
    struct event *e = note(EVENT_WRITE, inode);

    if (the_log->bytes + len > CRASH_BYTES)
        fail_case(__FILE__, __LINE__, "recording the workload",
                  "a few megabytes at most", "more");
    e->offset = at;
    e->len = len;
    e->data = the_log->bytes;
    for (int i = 0; i < n && len > 0; i++) {
        size_t part = iov[i].iov_len < len ? iov[i].iov_len : len;

        memcpy(the_log->data + the_log->bytes, iov[i].iov_base, part);
        the_log->bytes += part;
        len -= part;
    }
}

static void note_resize(int inode, size_t size)
{
    note(EVENT_RESIZE, inode)->len = size;
}

/* A name that came into being by open or mkdir. */
static void note_new(enum event_kind kind, int dir, const char *name,
                     const struct stat *st)
{
    struct event *e = note(kind, new_inode(st));

    e->dir = dir;
    note_name(e->name, name);
}

/* What is below `path` already becomes part of the record. */
static void note_tree(const char *path, int inode)
{
    DIR *dir = opendir(path);
    static unsigned char bytes[CRASH_FILE_MAX];

    for (struct dirent *e; dir && (e = readdir(dir));) {
        char below[512];
        struct stat st;

        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
            continue;
        snprintf(below, sizeof below, "%s/%s", path, e->d_name);
        expect_int("stat of a file of the start", stat(below, &st), 0);
        note_new(S_ISDIR(st.st_mode) ? EVENT_MKDIR : EVENT_CREATE, inode,
                 e->d_name, &st);
        int its = the_log->inodes - 1;
        if (S_ISDIR(st.st_mode)) {
            note_tree(below, its);
            continue;
        }
        int fd = __real_open(below, O_RDONLY | O_CLOEXEC);
        ssize_t len = read(fd, bytes, sizeof bytes);
        expect_int("reading a file of the start", len, st.st_size);
        struct iovec all = { bytes, (size_t)len };
        note_write(its, &all, 1, 0, (size_t)len);
        close(fd);
    }
    if (dir)
        closedir(dir);
}

void crash_record(const char *root)
{
    struct crash_log *log = crash_log();
    struct stat st;

    expect_int("stat of the root", stat(root, &st), 0);
    mode = OFF;
    memset(log, 0, offsetof(struct crash_log, event));
    snprintf(log->root, sizeof log->root, "%s", root);
    log->device = st.st_dev;
    new_inode(&st);
    note_tree(root, 0);
    log->base = log->events;
    seen = hits = made = 0;
    memset(&fault, 0, sizeof fault);
    mode = RECORD;
}

void crash_count(void)
{
    seen = hits = made = 0;
    memset(&fault, 0, sizeof fault);
    mode = COUNT;
}

void crash_stop(void)
{
    mode = OFF;
}

size_t crash_events(void)
{
    return crash_log()->events;
}

unsigned crash_changes_made(void)
{
    mutex_lock(&lock);
    unsigned n = made;
    mutex_unlock(&lock);
    return n;
}

void crash_starts_with(const uint16_t value[CRASH_KEYS])
{
    memcpy(the_log->start, value, sizeof the_log->start);
}

static void mark_locked(enum event_kind kind, unsigned stream, unsigned n)
{
    if (mode != RECORD)
        return;
    struct event *e = note(kind, -1);
    e->stream = stream;
    e->n = n;
}

unsigned crash_asks(unsigned stream, unsigned key, unsigned value)
{
    mutex_lock(&lock);
    unsigned n = ++the_log->changes[stream];
    expect_true("fewer changes than a stream holds", n <= CRASH_CHANGES);
    the_log->change[stream][n - 1] = (struct change){ (uint16_t)key,
                                                      (uint16_t)value };
    mark_locked(EVENT_ASKED, stream, n);
    mutex_unlock(&lock);
    return n;
}

void crash_answered(unsigned stream, unsigned n)
{
    mutex_lock(&lock);
    mark_locked(EVENT_ANSWERED, stream, n);
    mutex_unlock(&lock);
}

void crash_promised(unsigned stream, unsigned n)
{
    mutex_lock(&lock);
    mark_locked(EVENT_PROMISED, stream, n);
    mutex_unlock(&lock);
}

void crash_synced(void)
{
    mutex_lock(&lock);
    for (unsigned s = 0; s < CRASH_STREAMS; s++)
        mark_locked(EVENT_PROMISED, s, 0);
    mutex_unlock(&lock);
}

void crash_phase(const char *what)
{
    mutex_lock(&lock);
    if (mode == RECORD)
        note(EVENT_PHASE, -1)->phase = what;
    mutex_unlock(&lock);
}

/* ---- Faults -------------------------------------------------------------- */

void crash_fault(const struct crash_fault *f)
{
    mutex_lock(&lock);
    fault = f ? *f : (struct crash_fault){ .at = 0 };
    seen = hits = 0;
    mutex_unlock(&lock);
}

unsigned crash_fault_seen(void)
{
    mutex_lock(&lock);
    unsigned n = seen;
    mutex_unlock(&lock);
    return n;
}

unsigned crash_fault_hits(void)
{
    mutex_lock(&lock);
    unsigned n = hits;
    mutex_unlock(&lock);
    return n;
}

static void die(void)
{
    kill(getpid(), SIGKILL);
    for (;;)
        pause();
}

/* What shall happen to this call: 0 it goes on, 1 only half of it, else a
 * negative errno. *after: die when it is done. */
static int fate_locked(enum crash_call call, bool *after)
{
    *after = false;
    if (!(fault.calls & call))
        return 0;
    seen++;
    if (fault.at == 0 || seen < fault.at ||
        (fault.times != 0 && seen >= fault.at + fault.times))
        return 0;
    hits++;
    switch (fault.kind) {
    case CRASH_KILL:
        die();
        return 0;
    case CRASH_KILL_WITHIN:
    case CRASH_KILL_AFTER:
        *after = true;
        return fault.kind == CRASH_KILL_WITHIN;
    case CRASH_SHORT:
        if (call == CRASH_WRITE)
            return 1;
        return -fault.err;
    default:
        return -fault.err;
    }
}

static int answer(int err)
{
    errno = -err;
    return -1;
}

/* Ends a call that began with the lock taken. */
static void done(bool die_now)
{
    if (die_now)
        die();
    mutex_unlock(&lock);
}

/* Whether the call counts: >= 0, and in a record the inode. */
static int ours(int fd)
{
    struct stat st;

    if (fstat(fd, &st) != 0)
        return -1;
    if (mode == RECORD)
        return inode_of(&st);
    return S_ISREG(st.st_mode) || S_ISDIR(st.st_mode) ? 0 : -1;
}

/* ---- Writing ------------------------------------------------------------- */

ssize_t __real_pwritev(int fd, const struct iovec *iov, int n, off_t at);
ssize_t __real_writev(int fd, const struct iovec *iov, int n);
int __real_fsync(int fd);

static size_t total(const struct iovec *iov, int n)
{
    size_t len = 0;

    for (int i = 0; i < n; i++)
        len += iov[i].iov_len;
    return len;
}

static ssize_t put(int fd, const struct iovec *iov, int n, off_t at)
{
    return at < 0 ? __real_writev(fd, iov, n) : __real_pwritev(fd, iov, n, at);
}

/* The first half of it, as one piece. */
static ssize_t put_half(int fd, const struct iovec *iov, int n, off_t at)
{
    size_t half = (total(iov, n) + 1) / 2, have = 0;
    unsigned char *bytes = malloc(half + 1);

    for (int i = 0; i < n && have < half; i++) {
        size_t part = iov[i].iov_len;
        part = part < half - have ? part : half - have;
        memcpy(bytes + have, iov[i].iov_base, part);
        have += part;
    }
    struct iovec one = { bytes, half };
    ssize_t r = put(fd, &one, 1, at);
    free(bytes);
    return r;
}

/* After a write that is on the disk when it returns. */
static void note_if_synchronous(int fd, int inode, bool asked)
{
    if (asked || (fcntl(fd, F_GETFL) & O_DSYNC))
        note(EVENT_SYNC, inode)->since = the_log->events - 1;
}

static ssize_t write_seen(int fd, const struct iovec *iov, int n, off_t at,
                          bool synchronous)
{
    bool after = false;

    if (mode == OFF)
        return put(fd, iov, n, at);
    mutex_lock(&lock);
    int inode = ours(fd);
    int fate = inode < 0 ? 0 : fate_locked(CRASH_WRITE, &after);
    if (inode < 0 || fate < 0) {
        mutex_unlock(&lock);
        return fate < 0 ? answer(fate) : put(fd, iov, n, at);
    }
    ssize_t r = fate ? put_half(fd, iov, n, at) : put(fd, iov, n, at);
    made += r > 0;
    if (r > 0 && mode == RECORD) {
        /* Where it went, also with O_APPEND. */
        off_t start = at >= 0 ? at : lseek(fd, 0, SEEK_CUR) - r;
        note_write(inode, iov, n, (size_t)start, (size_t)r);
        note_if_synchronous(fd, inode, synchronous);
    }
    int err = errno;
    done(after);
    errno = err;
    return r;
}

WRAP(ssize_t, write, (int fd, const void *from, size_t len))
{
    struct iovec one = { (void *)from, len };

    return write_seen(fd, &one, 1, -1, false);
}

WRAP(ssize_t, pwrite, (int fd, const void *from, size_t len, off_t at))
{
    struct iovec one = { (void *)from, len };

    if (at < 0)
        return answer(-EINVAL);
    return write_seen(fd, &one, 1, at, false);
}
SAME(ssize_t, pwrite64, pwrite, (int, const void *, size_t, off_t))

WRAP(ssize_t, writev, (int fd, const struct iovec *iov, int n))
{
    return write_seen(fd, iov, n, -1, false);
}

WRAP(ssize_t, pwritev, (int fd, const struct iovec *iov, int n, off_t at))
{
    if (at < 0)
        return answer(-EINVAL);
    return write_seen(fd, iov, n, at, false);
}
SAME(ssize_t, pwritev64, pwritev, (int, const struct iovec *, int, off_t))

WRAP(ssize_t, pwritev2, (int fd, const struct iovec *iov, int n, off_t at,
                         int flags))
{
    return write_seen(fd, iov, n, at, flags & (RWF_DSYNC | RWF_SYNC));
}
SAME(ssize_t, pwritev64v2, pwritev2, (int, const struct iovec *, int, off_t,
                                      int))

/* Done as a read and a write, which it stands for. */
WRAP(ssize_t, copy_file_range, (int in, off_t *in_at, int out, off_t *out_at,
                                size_t len, unsigned flags))
{
    unsigned char bytes[4096];

    if (mode == OFF)
        return __real_copy_file_range(in, in_at, out, out_at, len, flags);
    len = len < sizeof bytes ? len : sizeof bytes;
    ssize_t n = in_at ? pread(in, bytes, len, *in_at) : read(in, bytes, len);
    struct iovec one = { bytes, n > 0 ? (size_t)n : 0 };
    if (n <= 0)
        return n;
    n = write_seen(out, &one, 1, out_at ? *out_at : -1, false);
    if (n > 0 && in_at)
        *in_at += n;
    if (n > 0 && out_at)
        *out_at += n;
    return n;
}

/* ---- Sizes --------------------------------------------------------------- */

typedef int resize_fn(int fd, int how, off_t at, off_t len);

static int resize_seen(resize_fn *fn, int fd, int how, off_t at, off_t len)
{
    struct stat before, st;
    bool after = false;

    if (mode == OFF)
        return fn(fd, how, at, len);
    mutex_lock(&lock);
    int inode = ours(fd);
    int fate = inode < 0 ? 0 : fate_locked(CRASH_RESIZE, &after);
    if (inode < 0 || fate < 0) {
        mutex_unlock(&lock);
        return fate < 0 ? answer(fate) : fn(fd, how, at, len);
    }
    fstat(fd, &before);
    int r = fn(fd, how, at, len);
    int err = errno;
    if (r == 0 && fstat(fd, &st) == 0 && st.st_size != before.st_size) {
        made++;
        if (mode == RECORD)
            note_resize(inode, (size_t)st.st_size);
    }
    done(after);
    errno = err;
    return r;
}

int __real_ftruncate(int fd, off_t len);
int __real_fallocate(int fd, int how, off_t at, off_t len);

static int do_truncate(int fd, int how, off_t at, off_t len)
{
    (void)how;
    (void)at;
    return __real_ftruncate(fd, len);
}

WRAP(int, ftruncate, (int fd, off_t len))
{
    return resize_seen(do_truncate, fd, 0, 0, len);
}
SAME(int, ftruncate64, ftruncate, (int, off_t))

WRAP(int, fallocate, (int fd, int how, off_t at, off_t len))
{
    if (mode == RECORD && (how & ~FALLOC_FL_KEEP_SIZE))
        return answer(-EOPNOTSUPP); /* holes: as on a file system without */
    return resize_seen(__real_fallocate, fd, how, at, len);
}
SAME(int, fallocate64, fallocate, (int, int, off_t, off_t))

WRAP(int, posix_fallocate, (int fd, off_t at, off_t len))
{
    return resize_seen(__real_fallocate, fd, 0, at, len) == 0 ? 0 : errno;
}
SAME(int, posix_fallocate64, posix_fallocate, (int, off_t, off_t))

/* ---- Syncs --------------------------------------------------------------- */

/* What is written while a sync runs is not covered by it: give others the
 * time to write. */
static void let_others_write(void)
{
    for (int i = 0; i < 3; i++)
        sched_yield();
}

static int sync_seen(int fd)
{
    bool after = false;

    if (mode == OFF)
        return fcntl(fd, F_GETFD) < 0 ? -1 : 0; /* no need for the disk */
    mutex_lock(&lock);
    int inode = ours(fd);
    int fate = inode < 0 ? 0 : fate_locked(CRASH_SYNC, &after);
    size_t since = mode == RECORD ? the_log->events : 0;
    if (inode < 0 || fate < 0) {
        if (fate < 0 && fate != -EINTR && mode == RECORD)
            note(EVENT_SYNC_FAILED, inode)->since = since;
        mutex_unlock(&lock);
        return fate < 0 ? answer(fate) : __real_fsync(fd);
    }
    mutex_unlock(&lock);
    let_others_write();
    mutex_lock(&lock);
    if (mode == RECORD)
        note(EVENT_SYNC, inode)->since = since;
    done(after);
    return 0;
}

WRAP(int, fsync, (int fd))
{
    return sync_seen(fd);
}

WRAP(int, fdatasync, (int fd))
{
    return sync_seen(fd);
}

WRAP(void, sync, (void))
{
    mutex_lock(&lock);
    for (int i = 0; mode == RECORD && i < the_log->inodes; i++)
        note(EVENT_SYNC, i)->since = the_log->events - 1;
    mutex_unlock(&lock);
}

WRAP(int, syncfs, (int fd))
{
    (void)fd;
    __wrap_sync();
    return 0;
}

/* ---- Names --------------------------------------------------------------- */

/* The directory that holds the path's last part (its inode; -1: not ours),
 * and that part. */
static int parent_of(int at, const char *path, char name[NAME_MAX + 1])
{
    char dir[PATH_MAX];
    struct stat st;

    if (mode != RECORD)
        return 0;
    snprintf(dir, sizeof dir, "%s", path);
    for (size_t n = strlen(dir); n > 1 && dir[n - 1] == '/'; n--)
        dir[n - 1] = '\0';
    char *slash = strrchr(dir, '/');
    snprintf(name, NAME_MAX + 1, "%.255s", slash ? slash + 1 : dir);
    if (slash)
        slash[slash == dir] = '\0';
    if (fstatat(at, slash ? dir : ".", &st, 0) != 0)
        return -1;
    return inode_of(&st);
}

static int open_locked(int at, const char *path, int flags, mode_t bits)
{
    char name[NAME_MAX + 1];
    struct stat before, st;
    int dir = parent_of(at, path, name);
    bool was = fstatat(at, path, &before, 0) == 0, after = false;
    bool writes = flags & (O_WRONLY | O_RDWR | O_CREAT);
    int fate = dir < 0 || !writes ? 0 : fate_locked(CRASH_OPEN, &after);

    if (fate < 0)
        return answer(fate);
    if (dir >= 0 && (flags & O_TMPFILE) == O_TMPFILE)
        return answer(-EOPNOTSUPP); /* as on a file system without */
    int fd = __real_openat(at, path, flags, bits);
    if (fd < 0 || dir < 0 || !writes)
        return fd;
    bool cut = was && (flags & O_TRUNC) && before.st_size > 0;
    made += !was || cut;
    if (mode == RECORD && fstat(fd, &st) == 0) {
        if (!was)
            note_new(EVENT_CREATE, dir, name, &st);
        else if (cut)
            note_resize(inode_of(&st), 0);
    }
    if (after)
        die();
    return fd;
}

static int open_seen(int at, const char *path, int flags, mode_t bits)
{
    if (mode == OFF)
        return __real_openat(at, path, flags, bits);
    mutex_lock(&lock);
    int fd = open_locked(at, path, flags, bits);
    int err = errno;
    mutex_unlock(&lock);
    errno = err;
    return fd;
}

#define OPEN_BITS(flags) \
    mode_t bits = 0; \
    if ((flags) & O_CREAT || ((flags) & O_TMPFILE) == O_TMPFILE) { \
        va_list args; \
        va_start(args, flags); \
        bits = va_arg(args, mode_t); \
        va_end(args); \
    }

int __wrap_open(const char *path, int flags, ...);
int __wrap_openat(int at, const char *path, int flags, ...);

int __wrap_open(const char *path, int flags, ...)
{
    OPEN_BITS(flags)
    return open_seen(AT_FDCWD, path, flags, bits);
}
SAME(int, open64, open, (const char *, int, ...))

int __wrap_openat(int at, const char *path, int flags, ...)
{
    OPEN_BITS(flags)
    return open_seen(at, path, flags, bits);
}
SAME(int, openat64, openat, (int, const char *, int, ...))

WRAP(int, __open_2, (const char *path, int flags))
{
    return open_seen(AT_FDCWD, path, flags, 0);
}
SAME(int, __open64_2, __open_2, (const char *, int))

WRAP(int, __openat_2, (int at, const char *path, int flags))
{
    return open_seen(at, path, flags, 0);
}
SAME(int, __openat64_2, __openat_2, (int, const char *, int))

WRAP(int, creat, (const char *path, mode_t bits))
{
    return open_seen(AT_FDCWD, path, O_WRONLY | O_CREAT | O_TRUNC, bits);
}

WRAP(int, truncate, (const char *path, off_t len))
{
    if (mode == OFF)
        return __real_truncate(path, len);
    int fd = __real_open(path, O_WRONLY | O_CLOEXEC);
    int r = fd < 0 ? -1 : __wrap_ftruncate(fd, len);
    if (fd >= 0)
        close(fd);
    return r;
}

SAME(int, creat64, creat, (const char *, mode_t))
SAME(int, truncate64, truncate, (const char *, off_t))

/* One call that changes names: from (dir, name) and to (dir2, name2). */
struct naming {
    enum event_kind kind;
    enum crash_call call;
    int at, at2;
    const char *path, *path2;   /* path2: rename and link, else NULL */
    unsigned how;               /* flags, or the bits of a new directory */
};

int __real_unlinkat(int at, const char *path, int flags);
int __real_mkdirat(int at, const char *path, mode_t bits);
int __real_linkat(int at, const char *path, int at2, const char *path2,
                  int flags);
int __real_renameat2(int at, const char *path, int at2, const char *path2,
                     unsigned flags);
int __real_renameat(int at, const char *path, int at2, const char *path2);

static int name_now(const struct naming *n)
{
    switch (n->kind) {
    case EVENT_RENAME:
        return n->how ? __real_renameat2(n->at, n->path, n->at2, n->path2,
                                         n->how)
                      : __real_renameat(n->at, n->path, n->at2, n->path2);
    case EVENT_LINK:
        return __real_linkat(n->at, n->path, n->at2, n->path2, (int)n->how);
    case EVENT_UNLINK:
        return __real_unlinkat(n->at, n->path, (int)n->how);
    default:
        return __real_mkdirat(n->at, n->path, (mode_t)n->how);
    }
}

static void note_naming(const struct naming *n, int dir, int dir2, int inode,
                        const char *name, const char *name2)
{
    if (n->kind == EVENT_MKDIR) {
        struct stat st;
        if (fstatat(n->at, n->path, &st, 0) == 0)
            note_new(EVENT_MKDIR, dir, name, &st);
        return;
    }
    if (n->kind == EVENT_RENAME && dir != dir2)
        fail_case(__FILE__, __LINE__, "recording the workload",
                  "renames within one directory", "from one to another");
    struct event *e = note(n->kind, inode);
    e->dir = n->kind == EVENT_LINK ? dir2 : dir;
    note_name(e->name, n->kind == EVENT_LINK ? name2 : name);
    note_name(e->name2, name2);
}

static int naming_seen(const struct naming *n)
{
    char name[NAME_MAX + 1], name2[NAME_MAX + 1] = "";
    struct stat st;
    bool after = false;

    if (mode == OFF)
        return name_now(n);
    mutex_lock(&lock);
    int dir = parent_of(n->at, n->path, name);
    int dir2 = n->path2 ? parent_of(n->at2, n->path2, name2) : dir;
    int inode = fstatat(n->at, n->path, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
                mode == RECORD ? inode_of(&st) : -1;
    bool counts = dir >= 0 || dir2 >= 0;
    int fate = counts ? fate_locked(n->call, &after) : 0;
    int r = fate < 0 ? answer(fate) : name_now(n);
    int err = errno;
    if (r == 0 && counts) {
        made++;
        if (mode == RECORD)
            note_naming(n, dir, dir2, inode, name, name2);
    }
    done(counts && after);
    errno = err;
    return r;
}

WRAP(int, renameat2, (int at, const char *path, int at2, const char *path2,
                      unsigned flags))
{
    return naming_seen(&(struct naming){ EVENT_RENAME, CRASH_RENAME, at, at2,
                                         path, path2, flags });
}

WRAP(int, rename, (const char *path, const char *path2))
{
    return __wrap_renameat2(AT_FDCWD, path, AT_FDCWD, path2, 0);
}

WRAP(int, renameat, (int at, const char *path, int at2, const char *path2))
{
    return __wrap_renameat2(at, path, at2, path2, 0);
}

WRAP(int, linkat, (int at, const char *path, int at2, const char *path2,
                   int flags))
{
    return naming_seen(&(struct naming){ EVENT_LINK, CRASH_MAKE, at, at2,
                                         path, path2, (unsigned)flags });
}

WRAP(int, link, (const char *path, const char *path2))
{
    return __wrap_linkat(AT_FDCWD, path, AT_FDCWD, path2, 0);
}

WRAP(int, unlinkat, (int at, const char *path, int flags))
{
    return naming_seen(&(struct naming){ EVENT_UNLINK, CRASH_UNLINK, at, at,
                                         path, NULL, (unsigned)flags });
}

WRAP(int, unlink, (const char *path))
{
    return __wrap_unlinkat(AT_FDCWD, path, 0);
}

WRAP(int, rmdir, (const char *path))
{
    return __wrap_unlinkat(AT_FDCWD, path, AT_REMOVEDIR);
}

WRAP(int, remove, (const char *path))
{
    int r = __wrap_unlink(path);

    return r == 0 || errno != EISDIR ? r : __wrap_rmdir(path);
}

WRAP(int, mkdirat, (int at, const char *path, mode_t bits))
{
    return naming_seen(&(struct naming){ EVENT_MKDIR, CRASH_MAKE, at, at, path,
                                         NULL, bits });
}

WRAP(int, mkdir, (const char *path, mode_t bits))
{
    return __wrap_mkdirat(AT_FDCWD, path, bits);
}

WRAP(int, mkostemp, (char *path, int flags))
{
    static unsigned counter;
    size_t len = strlen(path);

    if (mode == OFF)
        return __real_mkostemp(path, flags);
    for (;;) {
        mutex_lock(&lock);
        unsigned n = (unsigned)getpid() * 131 + counter++;
        mutex_unlock(&lock);
        for (size_t i = len - 6; i < len; i++, n /= 26)
            path[i] = (char)('a' + n % 26);
        int fd = open_seen(AT_FDCWD, path, O_RDWR | O_CREAT | O_EXCL | flags,
                           0600);
        if (fd >= 0 || errno != EEXIST)
            return fd;
    }
}

WRAP(int, mkstemp, (char *path))
{
    return mode == OFF ? __real_mkstemp(path) : __wrap_mkostemp(path, 0);
}

/* ---- Streams: one that may write becomes a stream of the calls above ------ */

enum { STREAMS = 16 };
static struct {
    FILE *stream;
    int fd;
} streams[STREAMS];

static ssize_t stream_read(void *cookie, char *to, size_t len)
{
    return read((int)(intptr_t)cookie, to, len);
}

static ssize_t stream_write(void *cookie, const char *from, size_t len)
{
    ssize_t n = __wrap_write((int)(intptr_t)cookie, from, len);

    return n < 0 ? 0 : n;
}

static int stream_seek(void *cookie, off64_t *at, int whence)
{
    off_t to = lseek((int)(intptr_t)cookie, *at, whence);

    if (to < 0)
        return -1;
    *at = to;
    return 0;
}

static int stream_close(void *cookie)
{
    int fd = (int)(intptr_t)cookie;

    mutex_lock(&lock);
    for (int i = 0; i < STREAMS; i++)
        if (streams[i].stream && streams[i].fd == fd)
            streams[i].stream = NULL;
    mutex_unlock(&lock);
    return close(fd);
}

static bool only_reads(const char *how)
{
    return how[0] == 'r' && !strchr(how, '+');
}

WRAP(FILE *, fdopen, (int fd, const char *how))
{
    if (mode == OFF || only_reads(how))
        return __real_fdopen(fd, how);
    FILE *f = fopencookie((void *)(intptr_t)fd, how,
                          (cookie_io_functions_t){ stream_read, stream_write,
                                                   stream_seek, stream_close });
    mutex_lock(&lock);
    for (int i = 0; f && i < STREAMS; i++)
        if (!streams[i].stream) {
            streams[i].stream = f;
            streams[i].fd = fd;
            break;
        }
    mutex_unlock(&lock);
    return f;
}

WRAP(FILE *, fopen, (const char *path, const char *how))
{
    int flags = strchr(how, '+') ? O_RDWR : O_WRONLY;

    if (mode == OFF || only_reads(how))
        return __real_fopen(path, how);
    if (how[0] == 'w')
        flags |= O_CREAT | O_TRUNC;
    if (how[0] == 'a')
        flags |= O_CREAT | O_APPEND;
    if (strchr(how, 'e'))
        flags |= O_CLOEXEC;
    if (strchr(how, 'x'))
        flags |= O_EXCL;
    int fd = open_seen(AT_FDCWD, path, flags, 0666);
    return fd < 0 ? NULL : __wrap_fdopen(fd, how);
}
SAME(FILE *, fopen64, fopen, (const char *, const char *))

WRAP(int, fileno, (FILE *stream))
{
    int fd = -1;

    mutex_lock(&lock);
    for (int i = 0; i < STREAMS; i++)
        if (streams[i].stream == stream)
            fd = streams[i].fd;
    mutex_unlock(&lock);
    return fd >= 0 ? fd : __real_fileno(stream);
}

/* ---- Directories of the tests themselves --------------------------------- */

void crash_scratch(char path[128])
{
    const char *tmp = getenv("TMPDIR");
    const char *below = access("/dev/shm", W_OK | X_OK) == 0 ? "/dev/shm"
                        : tmp ? tmp : "/tmp";

    snprintf(path, 128, "%s/kvs-crash-XXXXXX", below);
    expect_true("mkdtemp for the test's files", mkdtemp(path) != NULL);
}

void crash_remove(const char *path)
{
    DIR *dir = opendir(path);

    for (struct dirent *e; dir && (e = readdir(dir));)
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0 &&
            __real_unlinkat(dirfd(dir), e->d_name, 0) != 0) {
            char below[512];
            snprintf(below, sizeof below, "%s/%s", path, e->d_name);
            crash_remove(below);
        }
    if (dir)
        closedir(dir);
    __real_unlinkat(AT_FDCWD, path, AT_REMOVEDIR);
}
