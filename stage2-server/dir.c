/* dir.c -- given. */
#include "stage2-server/dir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

static const char log_suffix[] = ".log";

/* ---- The marker ---------------------------------------------------------- */

/* Takes "engine NAME" and "format N" lines; leaves others to the engine. */
static int parse_line(const char *line, struct dir *dir)
{
    char word[DIR_ENGINE_MAX];
    unsigned number;

    if (sscanf(line, "engine %31[!-~]", word) == 1)
        snprintf(dir->engine, sizeof dir->engine, "%s", word);
    else if (sscanf(line, "format %u", &number) == 1)
        dir->format = number;
    else if (!strchr(line, ' '))
        return -EBADMSG;
    return 0;
}

/* Reads the marker below at_fd; -ENOENT if there is none. */
static int read_marker(int at_fd, const char *name, struct dir *dir)
{
    int fd = openat(at_fd, name, O_RDONLY | O_CLOEXEC);
    char line[256];
    int err = 0;

    if (fd < 0)
        return -errno;
    FILE *file = fdopen(fd, "r");
    if (!file) {
        close(fd);
        return -ENOMEM;
    }
    dir->engine[0] = '\0';
    dir->format = 0;
    while (!err && fgets(line, sizeof line, file))
        err = parse_line(line, dir);
    if (!err && ferror(file))
        err = -EIO;
    fclose(file);
    if (!err && (!dir->engine[0] || dir->format == 0))
        err = -EBADMSG;
    return err;
}

int dir_engine(const char *path, char engine[DIR_ENGINE_MAX])
{
    struct dir dir;
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0)
        return -errno;
    int err = read_marker(fd, DIR_MARKER, &dir);
    close(fd);
    if (!err)
        memcpy(engine, dir.engine, DIR_ENGINE_MAX);
    return err;
}

static int write_lines(int fd, const char *engine, unsigned format)
{
    FILE *file = fdopen(fd, "w");

    if (!file) {
        close(fd);
        return -ENOMEM;
    }
    fprintf(file, "engine %s\nformat %u\n", engine, format);
    int err = fflush(file) != 0 || fsync(fileno(file)) != 0 ? -errno : 0;
    if (fclose(file) != 0 && !err)
        err = -errno;
    return err;
}

/* Whole or not at all: to another name, synced, renamed. After an error another
 * one may be there than the caller found, and not be on the disk: who opens the
 * store next would not know that. So the caller puts back what was there. */
static int write_marker(const struct dir *dir, const char *engine,
                        unsigned format)
{
    int fd = openat(dir->fd, DIR_MARKER DIR_NEW,
                    O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    int err = fd < 0 ? -errno : write_lines(fd, engine, format);

    if (!err && renameat(dir->fd, DIR_MARKER DIR_NEW, dir->fd, DIR_MARKER)
                    != 0)
        err = -errno;
    if (err) {
        unlinkat(dir->fd, DIR_MARKER DIR_NEW, 0);
        return err;
    }
    return dir_sync(dir);
}

/* ---- The directory ------------------------------------------------------- */

/* The directory's name is on the disk, too. (Whoever made it may have been
 * killed before it came to that.) */
static int sync_parent(int fd)
{
    int parent = openat(fd, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (parent < 0)
        return errno == EACCES ? 0 : -errno;
    int err = fsync(parent) != 0 ? -errno : 0;
    close(parent);
    return err;
}

static int open_directory(const char *path, bool make, bool *made)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd >= 0 || errno != ENOENT || !make)
        return fd < 0 ? -errno : fd;
    *made = mkdir(path, 0777) == 0;
    if (!*made && errno != EEXIST)
        return -errno;
    fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

static bool ends_in(const char *name, const char *end)
{
    size_t len = strlen(name), n = strlen(end);

    return len >= n && strcmp(name + len - n, end) == 0;
}

/* A log, or what belongs to one: "00000001.log", "00000001.hint.new". */
static bool is_numbered(const char *name)
{
    size_t digits = strspn(name, "0123456789");

    return digits >= 8 && name[digits] == '.';
}

static bool is_store_file(const char *name)
{
    return is_numbered(name) || ends_in(name, ".mdb");     /* or LMDB's */
}

static int lost_marker(void *arg, const char *name)
{
    (void)arg;
    return is_store_file(name) ? -EEXIST : 0;
}

static int check_or_make(struct dir *dir, const char *engine, unsigned format,
                         bool read_only)
{
    int err = read_marker(dir->fd, DIR_MARKER, dir);

    if (err == -ENOENT && !read_only) {
        err = dir_each(dir, lost_marker, NULL);
        if (!err)
            err = sync_parent(dir->fd);
        if (!err)
            err = write_marker(dir, engine, format);
        if (err)
            unlinkat(dir->fd, DIR_MARKER, 0);
        dir->is_new = err == 0;
        dir->format = format;
        snprintf(dir->engine, sizeof dir->engine, "%s", engine);
        return err;
    }
    if (err)
        return err;
    if (strcmp(dir->engine, engine) != 0)
        return -EMEDIUMTYPE;
    if (dir->format > format)
        return -ENOTSUP;
    /* What we see may be in the kernel only: left by one that was killed. */
    return read_only ? 0 : dir_sync(dir);
}

int dir_open(struct dir *dir, const char *path, const char *engine,
             unsigned format, bool read_only)
{
    struct dir opened = { 0 };
    bool made = false;

    if (strlen(engine) >= DIR_ENGINE_MAX)
        return -EINVAL;
    opened.fd = open_directory(path, !read_only, &made);
    if (opened.fd < 0)
        return opened.fd;
    bool locked = flock(opened.fd, LOCK_EX | LOCK_NB) == 0;
    int err = locked ? check_or_make(&opened, engine, format, read_only)
              : errno == EWOULDBLOCK ? -EBUSY : -errno;
    if (err) {
        if (made && locked)
            rmdir(path);    /* its name, too, may not be on the disk */
        close(opened.fd);
        return err;
    }
    *dir = opened;
    return 0;
}

int dir_set_format(struct dir *dir, unsigned format)
{
    int err = write_marker(dir, dir->engine, format);

    if (err)
        write_marker(dir, dir->engine, dir->format);
    else
        dir->format = format;
    return err;
}

void dir_close(struct dir *dir)
{
    close(dir->fd);
    dir->fd = -1;
}

int dir_sync(const struct dir *dir)
{
    int err;

    do
        err = fsync(dir->fd) != 0 ? -errno : 0;
    while (err == -EINTR);
    return err;
}

/* ---- Names --------------------------------------------------------------- */

void dir_log_name(char name[DIR_NAME_MAX], uint64_t generation)
{
    snprintf(name, DIR_NAME_MAX, "%08" PRIu64 "%s", generation, log_suffix);
}

uint64_t dir_log_generation(const char *name)
{
    size_t digits = strspn(name, "0123456789");

    if (digits < 8 || digits > 19 || strcmp(name + digits, log_suffix) != 0 ||
        (digits > 8 && name[0] == '0'))
        return 0;
    return strtoull(name, NULL, 10);
}

bool dir_is_unfinished(const char *name)
{
    return ends_in(name, DIR_NEW) &&
           (is_numbered(name) || strcmp(name, DIR_MARKER DIR_NEW) == 0);
}

enum { ASIDE_MAX = DIR_NAME_MAX + sizeof DIR_NEW };

static void aside_name(char aside[ASIDE_MAX], uint64_t generation)
{
    dir_log_name(aside, generation);
    strcat(aside, DIR_NEW);
}

/* NAME becomes NAME.new, which nobody believes, or the other way round. */
static int set_aside(const struct dir *dir, uint64_t generation, bool back)
{
    char name[DIR_NAME_MAX], aside[ASIDE_MAX];

    dir_log_name(name, generation);
    aside_name(aside, generation);
    if (renameat(dir->fd, back ? aside : name, dir->fd, back ? name : aside)
            != 0 && errno != ENOENT)
        return -errno;
    return 0;
}

static void drop_aside(const struct dir *dir, uint64_t generation)
{
    char aside[ASIDE_MAX];

    aside_name(aside, generation);
    unlinkat(dir->fd, aside, 0);
}

/* What was unlinked is gone. A rename can be taken back, and must be when it
 * may never reach the disk: else the logs would come back when the power fails,
 * unknown to those who have seen that they were gone. */
int dir_remove_logs(const struct dir *dir, const uint64_t *generations,
                    size_t n, dir_sync_fn *sync, void *arg)
{
    int err = 0;

    for (size_t i = 0; i < n; i++) {
        int here = set_aside(dir, generations[i], false);
        err = err ? err : here;
    }
    int failed = sync ? sync(arg) : dir_sync(dir);
    for (size_t i = 0; i < n; i++)
        if (failed)
            set_aside(dir, generations[i], true);
        else
            drop_aside(dir, generations[i]);
    return err ? err : failed;
}

int dir_each(const struct dir *dir, dir_name_fn *fn, void *arg)
{
    int fd = openat(dir->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *names = fd < 0 ? NULL : fdopendir(fd);
    int err = 0;

    if (!names) {
        err = -errno;
        if (fd >= 0)
            close(fd);
        return err;
    }
    for (struct dirent *e; !err && (errno = 0, e = readdir(names)) != NULL;)
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
            err = fn(arg, e->d_name);
    if (!err)
        err = -errno;
    closedir(names);
    return err;
}
