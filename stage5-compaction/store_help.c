/* store_help.c -- given. */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "common/lock.h"
#include "stage5-compaction/store_parts.h"

int store_fail(struct store *store, int err)
{
    mutex_lock(&store->numbers);
    store->failed = true;
    mutex_unlock(&store->numbers);
    return err;
}

bool store_failed(struct store *store)
{
    mutex_lock(&store->numbers);
    bool failed = store->failed;
    mutex_unlock(&store->numbers);
    return failed;
}

uint64_t store_next_generation(struct store *store)
{
    mutex_lock(&store->numbers);
    uint64_t generation = store->next_generation++;
    mutex_unlock(&store->numbers);
    return generation;
}

int store_sync_active(struct store *store)
{
    struct segment *active = store->active;

    if (store_failed(store))
        return -EROFS;
    if (!active || store->synced == segment_end(active))
        return 0;
    int err = log_sync(active->log);
    if (err)
        return store_fail(store, err);
    store->synced = segment_end(active);
    mutex_lock(&store->numbers);
    store->syncs++;
    mutex_unlock(&store->numbers);
    return 0;
}

/* A descriptor of its own for the active segment, if it has to be synced. */
static int borrow_active(struct store *s)
{
    int fd = -1;

    commit_enter(&s->commit);
    if (s->active && s->synced != segment_end(s->active))
        fd = fcntl(s->active->fd, F_DUPFD_CLOEXEC, 0);
    commit_leave(&s->commit);
    return fd;
}

/* The long part of a sync, beside the writers; what they write meanwhile is
 * little, and so is the second sync, which keeps them waiting. */
int store_make_durable(struct store *store)
{
    int err = 0, fd = borrow_active(store);

    while (fd >= 0 && fdatasync(fd) != 0)
        if (errno != EINTR) {
            err = store_fail(store, -errno);
            break;
        }
    if (fd >= 0)
        close(fd);
    if (err)
        return err;
    commit_enter(&store->commit);
    err = store_sync_active(store);
    commit_leave(&store->commit);
    return err;
}
