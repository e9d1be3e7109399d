/* file.c -- given. */
#include "common/file.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

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
