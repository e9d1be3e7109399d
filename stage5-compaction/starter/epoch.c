/* epoch.c -- yours: stage 5A, tasks 5.1, 5.2. */
#include "stage5-compaction/epoch.h"

#include "common/not_written.h"

/* Each reader: a slot of publish.h on a line of its own, so aligned. All of
 * them: a list that whoever waits for a grace period can walk. */
struct epoch_reader {
    int unused;
};

/* The number; the readers; and what was retired, in the order in which it
 * came. Say which lock guards what. */
struct epoch {
    int unused;
};

int epoch_create(struct epoch **out)
{
    (void)out;
    return not_written("5.1");
}

void epoch_destroy(struct epoch *epoch)
{
    /* NULL is allowed. Call epoch_forget first. Task 5.2: reclaim what still
     * waits; that may retire something else. */
    (void)epoch;
    not_written("5.1");
}

struct epoch_reader *epoch_register(struct epoch *epoch)
{
    /* The record of one that has left, or a new one. */
    (void)epoch;
    not_written("5.1");
    return NULL;
}

void epoch_unregister(struct epoch_reader *reader)
{
    /* Somebody may be looking at the record just now: so keep it. */
    (void)reader;
    not_written("5.1");
}

void epoch_enter(struct epoch_reader *reader)
{
    /* Only the first of nested enters tells the others. */
    (void)reader;
    not_written("5.1");
}

void epoch_leave(struct epoch_reader *reader)
{
    (void)reader;
    not_written("5.1");
}

void epoch_retire(struct epoch *epoch, void *what, size_t bytes,
                  epoch_reclaim_fn *fn, void *arg)
{
    /* Remember it with the epoch it belongs to; now and then (every so many
     * things, every so many bytes) reclaim. Call fn without a lock. */
    (void)epoch, (void)what, (void)bytes, (void)fn, (void)arg;
    not_written("5.2");
}

size_t epoch_reclaim(struct epoch *epoch)
{
    /* Who is inside, and since when? What was retired before that may go. */
    (void)epoch;
    not_written("5.2");
    return 0;
}

void epoch_synchronize(struct epoch *epoch)
{
    /* Readers wake nobody: look at each until it has left once, with
     * sched_yield and short sleeps. Task 5.2: then reclaim. */
    (void)epoch;
    not_written("5.1");
}

void epoch_stats(struct epoch *epoch, struct epoch_stats *stats)
{
    /* All fields; for task 5.1 only `readers` is looked at. */
    (void)epoch, (void)stats;
    not_written("5.1");
}
