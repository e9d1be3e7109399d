/* place.c -- given. */
#include "tests/fuzz/place.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/file.h"
#include "stage2-server/dir.h"
#include "tests/fuzz/fuzz.h"

static char home[64];
char place[80];
int place_fd = -1;

static int remove_name(void *arg, const char *name)
{
    (void)arg;
    must(unlinkat(place_fd, name, 0) == 0);
    return 0;
}

void place_clear(void)
{
    struct dir dir = { .fd = place_fd };

    must(dir_each(&dir, remove_name, NULL) == 0);
}

static void leave(void)
{
    place_clear();
    rmdir(place);
    rmdir(home);
}

void place_enter(void)
{
    snprintf(home, sizeof home, "%s/kvs-fuzz-XXXXXX",
             access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    must(mkdtemp(home) && freopen("/dev/null", "w", stdout));
    snprintf(place, sizeof place, "%s/db", home);
    must(mkdir(place, 0777) == 0);
    place_fd = open(place, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    must(place_fd >= 0);
    atexit(leave);
}

void place_put(const char *name, struct slice bytes)
{
    int fd = openat(place_fd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC,
                    0666);

    must(fd >= 0);
    must(write(fd, bytes.ptr, bytes.len) == (ssize_t)bytes.len);
    close(fd);
}

bool place_is(const char *name, struct slice bytes)
{
    static struct buf now;
    struct stat stat;
    int fd = openat(place_fd, name, O_RDONLY | O_CLOEXEC);

    buf_clear(&now);
    must(fd >= 0 && fstat(fd, &stat) == 0);
    must(buf_reserve(&now, (size_t)stat.st_size + 1) == 0);
    must(pread_full(fd, now.ptr, (size_t)stat.st_size, 0) == stat.st_size);
    close(fd);
    now.len = (size_t)stat.st_size;
    return slice_equal(buf_slice(&now), bytes);
}
