/* file.c -- given. */
#include "common/file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

enum { PAGE = 4096 };

ssize_t read_full(int fd, void *to, size_t len)
{
    size_t done = 0;

    while (done < len) {
        ssize_t n = read(fd, (char *)to + done, len - done);

        if (n == 0)
            break;
        if (n > 0)
            done += (size_t)n;
        else if (errno != EINTR)
            return -errno;
    }
    return (ssize_t)done;
}

ssize_t pread_full(int fd, void *to, size_t len, off_t offset)
{
    size_t done = 0;

    while (done < len) {
        ssize_t n = pread(fd, (char *)to + done, len - done,
                          offset + (off_t)done);

        if (n == 0)
            break;
        if (n > 0)
            done += (size_t)n;
        else if (errno != EINTR)
            return -errno;
    }
    return (ssize_t)done;
}

ssize_t pread_around(int fd, void *to, size_t len, off_t offset,
                     uint64_t *lost)
{
    size_t done = 0;
    ssize_t n = pread_full(fd, to, len, offset);

    if (n != -EIO)
        return n;
    while (done < len) {
        size_t at = (size_t)offset + done, part = PAGE - at % PAGE;

        part = part < len - done ? part : len - done;
        n = pread_full(fd, (char *)to + done, part, (off_t)at);
        if (n == -EIO) {
            memset((char *)to + done, 0, part);
            *lost += part;
            n = (ssize_t)part;
        }
        if (n <= 0)
            return n < 0 ? n : (ssize_t)done;
        done += (size_t)n;
    }
    return (ssize_t)done;
}

int read_all(int fd, struct buf *buf, size_t max)
{
    int err = buf_reserve(buf, max + 1);

    if (err)
        return err;
    ssize_t n = read_full(fd, buf->ptr + buf->len, max + 1);
    if (n < 0)
        return (int)n;
    buf->len += (size_t)n;
    return (size_t)n > max ? -EMSGSIZE : 0;
}

static void write_part(int fd, const char *from, ssize_t len, off_t offset)
{
    while (len > 0) {
        ssize_t n = pwrite(fd, from, (size_t)len, offset);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return;
        from += n;
        len -= n;
        offset += n;
    }
}

void file_write_again(int fd, off_t from, off_t to)
{
    char page[PAGE];

    while (from < to) {
        off_t end = from - from % PAGE + PAGE;
        size_t len = (size_t)((end < to ? end : to) - from);

        write_part(fd, page, pread_full(fd, page, len, from), from);
        from += (off_t)len;
    }
}

int file_sync_dir(const char *path)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int err = 0;

    if (fd < 0)
        return -errno;
    if (fsync(fd) != 0)
        err = -errno;
    close(fd);
    return err;
}
