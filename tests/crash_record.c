/* crash_record.c -- given: the record of a run, and the calls that fail.
 *
 * A file is known by its inode number, so neither dup nor fork needs to be
 * followed.
 */
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/crash_calls.h"

enum crash_mode crash_mode;
pthread_mutex_t crash_lock = PTHREAD_MUTEX_INITIALIZER;
static struct crash_log *the_log;
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

struct event *note(enum event_kind kind, int inode)
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

int inode_of(const struct stat *st)
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

void note_name(char to[CRASH_NAME], const char *name)
{
    if (snprintf(to, CRASH_NAME, "%s", name) >= CRASH_NAME)
        fail_case(__FILE__, __LINE__, "recording the workload",
                  "names below 40 bytes", "%s", name);
}

void note_write(int inode, const struct iovec *iov, int n, size_t at,
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

void note_resize(int inode, size_t size)
{
    note(EVENT_RESIZE, inode)->len = size;
}

/* A name that came into being by open or mkdir. */
void note_new(enum event_kind kind, int dir, const char *name,
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
        int fd = __real_openat(AT_FDCWD, below, O_RDONLY | O_CLOEXEC);
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
    crash_mode = CRASH_OFF;
    memset(log, 0, offsetof(struct crash_log, event));
    snprintf(log->root, sizeof log->root, "%s", root);
    log->device = st.st_dev;
    new_inode(&st);
    note_tree(root, 0);
    log->base = log->events;
    seen = hits = made = 0;
    memset(&fault, 0, sizeof fault);
    crash_mode = CRASH_RECORD;
}

void crash_count(void)
{
    seen = hits = made = 0;
    memset(&fault, 0, sizeof fault);
    crash_mode = CRASH_COUNT;
}

void crash_stop(void)
{
    crash_mode = CRASH_OFF;
}

size_t crash_events(void)
{
    return the_log->events;
}

unsigned crash_changes_made(void)
{
    mutex_lock(&crash_lock);
    unsigned n = made;
    mutex_unlock(&crash_lock);
    return n;
}

void crash_starts_with(const uint16_t value[CRASH_KEYS])
{
    memcpy(the_log->start, value, sizeof the_log->start);
}

static void mark_locked(enum event_kind kind, unsigned stream, unsigned n)
{
    if (crash_mode != CRASH_RECORD)
        return;
    struct event *e = note(kind, -1);
    e->stream = stream;
    e->n = n;
}

unsigned crash_asks(unsigned stream, unsigned key, unsigned value)
{
    mutex_lock(&crash_lock);
    unsigned n = ++the_log->changes[stream];
    expect_true("fewer changes than a stream holds", n <= CRASH_CHANGES);
    the_log->change[stream][n - 1] = (struct change){ (uint16_t)key,
                                                      (uint16_t)value };
    mark_locked(EVENT_ASKED, stream, n);
    mutex_unlock(&crash_lock);
    return n;
}

void crash_answered(unsigned stream, unsigned n)
{
    mutex_lock(&crash_lock);
    mark_locked(EVENT_ANSWERED, stream, n);
    mutex_unlock(&crash_lock);
}

void crash_promised(unsigned stream, unsigned n)
{
    mutex_lock(&crash_lock);
    mark_locked(EVENT_PROMISED, stream, n);
    mutex_unlock(&crash_lock);
}

void crash_was_read(unsigned stream, unsigned n)
{
    mutex_lock(&crash_lock);
    mark_locked(EVENT_READ, stream, n);
    mutex_unlock(&crash_lock);
}

void crash_synced(void)
{
    mutex_lock(&crash_lock);
    for (unsigned s = 0; s < CRASH_STREAMS; s++)
        mark_locked(EVENT_PROMISED, s, 0);
    mutex_unlock(&crash_lock);
}

void crash_phase(const char *what)
{
    mutex_lock(&crash_lock);
    if (crash_mode == CRASH_RECORD)
        note(EVENT_PHASE, -1)->phase = what;
    mutex_unlock(&crash_lock);
}

/* ---- Faults -------------------------------------------------------------- */

void crash_fault(const struct crash_fault *f)
{
    mutex_lock(&crash_lock);
    fault = f ? *f : (struct crash_fault){ .at = 0 };
    seen = hits = 0;
    mutex_unlock(&crash_lock);
}

unsigned crash_fault_seen(void)
{
    mutex_lock(&crash_lock);
    unsigned n = seen;
    mutex_unlock(&crash_lock);
    return n;
}

unsigned crash_fault_hits(void)
{
    mutex_lock(&crash_lock);
    unsigned n = hits;
    mutex_unlock(&crash_lock);
    return n;
}

void die(void)
{
    kill(getpid(), SIGKILL);
    for (;;)
        pause();
}

int fate_locked(enum crash_call call, bool *after)
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
        if (call == CRASH_WRITE && (hits == 1 || fault.err == 0))
            return 1;
        return -fault.err;
    default:
        return -fault.err;
    }
}

int answer(int err)
{
    errno = -err;
    return -1;
}

void done(bool die_now)
{
    if (die_now)
        die();
    mutex_unlock(&crash_lock);
}

int inode_of_fd(int fd)
{
    struct stat st;

    if (fstat(fd, &st) != 0)
        return -1;
    if (crash_mode == CRASH_RECORD)
        return inode_of(&st);
    return S_ISREG(st.st_mode) || S_ISDIR(st.st_mode) ? 0 : -1;
}

void note_made(void)
{
    made++;
}

bool crash_life(crash_life_fn *life, void *arg, const struct crash_fault *f)
{
    int status;

    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        crash_fault(f);
        life(arg);
        fflush(stdout);
        _exit(0);
    }
    expect_int("waitpid", waitpid(child, &status, 0), child);
    if (WIFEXITED(status) && WEXITSTATUS(status))
        _exit(WEXITSTATUS(status)); /* it has said why */
    if (WIFSIGNALED(status) && (!f || WTERMSIG(status) != SIGKILL))
        fail_case(NULL, 0, "the life of a process, before it crashes",
                  "nothing else ends it", "signal %d: %s", WTERMSIG(status),
                  strsignal(WTERMSIG(status)));
    return WIFSIGNALED(status);
}

/* ---- Directories of the tests themselves --------------------------------- */

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

