/* commit.h -- one writes for everyone who is waiting.
 *
 * You write: commit.c (task 5.8)
 *
 * A log has one end, so there is one writer at a time, the leader. Whoever has
 * a change joins the queue. If nobody leads, the first in the queue does, for
 * all who stand in it at that moment: one append, and (STORE_ALWAYS) one sync,
 * however many they are. Meanwhile others queue up; the leader, when it is
 * done, makes the first of them the next one. So the slower the disk, the
 * larger the groups.
 *
 * Between calls these hold:
 *   1. at most one thread leads, or has the log alone;
 *   2. each entry is in exactly one group; groups, and entries inside a group,
 *      are in the order in which they came;
 *   3. a group never waits for more to come, and somebody leads whenever
 *      entries wait.
 *
 * Errors:  none; what became of it is in what the entry stands for.
 * Threads: any number; init and release are the first and the last call.
 * Source:  the group commit of data bases, described in Gray and Reuter,
 *          "Transaction Processing" (1992); LevelDB's writers.
 */
#ifndef STAGE5_COMMIT_H
#define STAGE5_COMMIT_H

#include <pthread.h>
#include <stdbool.h>

/* Stands in the queue; on the stack of who waits. */
struct commit_entry {
    struct commit_entry *next;  /* in its group, then NULL; for fn to read */
    bool done;                  /* the rest is private */
    bool alone;
    pthread_cond_t turn;
};

/* Does what all entries from `first` on want. Runs on the leader's thread. */
typedef void commit_fn(void *arg, struct commit_entry *first);

struct commit {
    commit_fn *fn;
    void *arg;
    pthread_mutex_t lock;       /* guards: */
    bool leading;               /* somebody leads, or is alone */
    struct commit_entry *head, **tail;
};

void commit_init(struct commit *commit, commit_fn *fn, void *arg);
void commit_release(struct commit *commit);

/* Returns when a leader's fn, perhaps the caller's own, has had the entry. */
void commit_run(struct commit *commit, struct commit_entry *entry);

/* Between the two the caller is alone: nobody leads. It has stood in the
 * queue for that like everybody else. */
void commit_enter(struct commit *commit);
void commit_leave(struct commit *commit);

#endif
