/* crash_calls.c -- given: calls that write, resize and sync, recorded and made
 * to fail. */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/single_threaded.h>
#include <time.h>
#include <unistd.h>

#include "tests/crash_calls.h"

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
        note(EVENT_SYNC, inode)->since = crash_log()->events - 1;
}

static ssize_t write_seen(int fd, const struct iovec *iov, int n, off_t at,
                          bool synchronous)
{
    bool after = false;

    if (crash_mode == CRASH_OFF)
        return put(fd, iov, n, at);
    mutex_lock(&crash_lock);
    int inode = inode_of_fd(fd);
    int fate = inode < 0 ? 0 : fate_locked(CRASH_WRITE, &after);
    if (inode < 0 || fate < 0) {
        mutex_unlock(&crash_lock);
        return fate < 0 ? answer(fate) : put(fd, iov, n, at);
    }
    ssize_t r = fate ? put_half(fd, iov, n, at) : put(fd, iov, n, at);
    if (r > 0)
        note_made();
    if (r > 0 && crash_mode == CRASH_RECORD) {
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

    if (crash_mode == CRASH_OFF)
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

int __real_ftruncate(int fd, off_t len);
int __real_fallocate(int fd, int how, off_t at, off_t len);

static int do_truncate(int fd, int how, off_t at, off_t len)
{
    (void)how;
    (void)at;
    return __real_ftruncate(fd, len);
}

static int resize_seen(resize_fn *fn, int fd, int how, off_t at, off_t len)
{
    struct stat before, st;
    bool after = false;

    if (crash_mode == CRASH_OFF)
        return fn(fd, how, at, len);
    mutex_lock(&crash_lock);
    int inode = fstat(fd, &before) == 0 ? inode_of_fd(fd) : -1;
    bool grows = fn != do_truncate || len > before.st_size;
    int fate = inode < 0 ? 0 : fate_locked(grows ? CRASH_GROW : CRASH_RESIZE,
                                           &after);
    if (inode < 0 || fate < 0) {
        mutex_unlock(&crash_lock);
        return fate < 0 ? answer(fate) : fn(fd, how, at, len);
    }
    int r = fn(fd, how, at, len);
    int err = errno;
    if (r == 0 && fstat(fd, &st) == 0 && st.st_size != before.st_size) {
        note_made();
        if (crash_mode == CRASH_RECORD)
            note_resize(inode, (size_t)st.st_size);
    }
    done(after);
    errno = err;
    return r;
}

WRAP(int, ftruncate, (int fd, off_t len))
{
    return resize_seen(do_truncate, fd, 0, 0, len);
}
SAME(int, ftruncate64, ftruncate, (int, off_t))

WRAP(int, fallocate, (int fd, int how, off_t at, off_t len))
{
    if (crash_mode == CRASH_RECORD && (how & ~FALLOC_FL_KEEP_SIZE))
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

/* What is written while a sync runs is not covered by it: it takes a while,
 * as a disk's does, and others come in between. (Alone, we would only wait for
 * other processes.) */
static void let_others_write(void)
{
    struct timespec sync_takes = { 0, 100 * 1000 };

    if (crash_mode == CRASH_RECORD && !__libc_single_threaded)
        nanosleep(&sync_takes, NULL);
}

static int sync_seen(int fd)
{
    bool after = false;

    if (crash_mode == CRASH_OFF)
        return fcntl(fd, F_GETFD) < 0 ? -1 : 0; /* no need for the disk */
    mutex_lock(&crash_lock);
    int inode = inode_of_fd(fd);
    int fate = inode < 0 ? 0 : fate_locked(CRASH_SYNC, &after);
    size_t since = crash_mode == CRASH_RECORD ? crash_log()->events : 0;
    if (inode < 0 || fate < 0) {
        if (fate < 0 && fate != -EINTR && crash_mode == CRASH_RECORD)
            note(EVENT_SYNC_FAILED, inode)->since = since;
        mutex_unlock(&crash_lock);
        return fate < 0 ? answer(fate) : __real_fsync(fd);
    }
    mutex_unlock(&crash_lock);
    let_others_write();
    mutex_lock(&crash_lock);
    if (crash_mode == CRASH_RECORD)
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
    mutex_lock(&crash_lock);
    for (int i = 0; crash_mode == CRASH_RECORD && i < crash_log()->inodes; i++)
        note(EVENT_SYNC, i)->since = crash_log()->events - 1;
    mutex_unlock(&crash_lock);
}

WRAP(int, syncfs, (int fd))
{
    (void)fd;
    __wrap_sync();
    return 0;
}
