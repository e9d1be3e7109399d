/* commit.c -- yours: stage 5B, task 5.8. */
#include "stage5-compaction/commit.h"

#include "common/not_written.h"

/* The tests of 5.5 to 5.7 do without this file (tests/commit_one.c). */

void commit_init(struct commit *commit, commit_fn *fn, void *arg)
{
    (void)commit, (void)fn, (void)arg;
    not_written("5.8");
}

void commit_release(struct commit *commit)
{
    (void)commit;
    not_written("5.8");
}

void commit_run(struct commit *commit, struct commit_entry *entry)
{
    /* Join the queue; wait until somebody has had the entry, or it is yours to
     * lead: then take the group off, call fn without the lock, tell each of
     * the group, make the next one the leader. */
    (void)commit, (void)entry;
    not_written("5.8");
}

void commit_enter(struct commit *commit)
{
    /* The same way, as a group of one, up to where fn would be called. */
    (void)commit;
    not_written("5.8");
}

void commit_leave(struct commit *commit)
{
    /* Whoever waits first leads. */
    (void)commit;
    not_written("5.8");
}
