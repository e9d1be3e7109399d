/* crash_names.c -- given: calls that open files and change names, recorded and
 * made to fail. */
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tests/crash_calls.h"

/* ---- Names --------------------------------------------------------------- */

/* The directory that holds the path's last part (its inode; -1: not ours),
 * and that part. */
static int parent_of(int at, const char *path, char name[NAME_MAX + 1])
{
    char dir[PATH_MAX];
    struct stat st;

    if (crash_mode != CRASH_RECORD)
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

int __wrap_ftruncate(int fd, off_t len);
ssize_t __wrap_write(int fd, const void *from, size_t len);

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
    if (!was || cut)
        note_made();
    if (crash_mode == CRASH_RECORD && fstat(fd, &st) == 0) {
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
    if (crash_mode == CRASH_OFF)
        return __real_openat(at, path, flags, bits);
    mutex_lock(&crash_lock);
    int fd = open_locked(at, path, flags, bits);
    int err = errno;
    mutex_unlock(&crash_lock);
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
    if (crash_mode == CRASH_OFF)
        return __real_truncate(path, len);
    int fd = __real_openat(AT_FDCWD, path, O_WRONLY | O_CLOEXEC);
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

    if (crash_mode == CRASH_OFF)
        return name_now(n);
    mutex_lock(&crash_lock);
    int dir = parent_of(n->at, n->path, name);
    int dir2 = n->path2 ? parent_of(n->at2, n->path2, name2) : dir;
    int inode = fstatat(n->at, n->path, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
                crash_mode == CRASH_RECORD ? inode_of(&st) : -1;
    bool counts = dir >= 0 || dir2 >= 0;
    int fate = counts ? fate_locked(n->call, &after) : 0;
    int r = fate < 0 ? answer(fate) : name_now(n);
    int err = errno;
    if (r == 0 && counts) {
        note_made();
        if (crash_mode == CRASH_RECORD)
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

    if (crash_mode == CRASH_OFF)
        return __real_mkostemp(path, flags);
    for (;;) {
        mutex_lock(&crash_lock);
        unsigned n = (unsigned)getpid() * 131 + counter++;
        mutex_unlock(&crash_lock);
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
    return crash_mode == CRASH_OFF ? __real_mkstemp(path) : __wrap_mkostemp(path, 0);
}

/* ---- Streams: one that may write becomes a stream of the calls above ----- */

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

    mutex_lock(&crash_lock);
    for (int i = 0; i < STREAMS; i++)
        if (streams[i].stream && streams[i].fd == fd)
            streams[i].stream = NULL;
    mutex_unlock(&crash_lock);
    return close(fd);
}

static bool only_reads(const char *how)
{
    return how[0] == 'r' && !strchr(how, '+');
}

WRAP(FILE *, fdopen, (int fd, const char *how))
{
    if (crash_mode == CRASH_OFF || only_reads(how))
        return __real_fdopen(fd, how);
    FILE *f = fopencookie((void *)(intptr_t)fd, how,
                          (cookie_io_functions_t){ stream_read, stream_write,
                                                   stream_seek, stream_close });
    mutex_lock(&crash_lock);
    for (int i = 0; f && i < STREAMS; i++)
        if (!streams[i].stream) {
            streams[i].stream = f;
            streams[i].fd = fd;
            break;
        }
    mutex_unlock(&crash_lock);
    return f;
}

WRAP(FILE *, fopen, (const char *path, const char *how))
{
    int flags = strchr(how, '+') ? O_RDWR : O_WRONLY;

    if (crash_mode == CRASH_OFF || only_reads(how))
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

    mutex_lock(&crash_lock);
    for (int i = 0; i < STREAMS; i++)
        if (streams[i].stream == stream)
            fd = streams[i].fd;
    mutex_unlock(&crash_lock);
    return fd >= 0 ? fd : __real_fileno(stream);
}
