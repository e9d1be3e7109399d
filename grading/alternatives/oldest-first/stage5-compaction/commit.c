/* commit.c -- yours: stage 5B, task 5.8. */
/* Approach: who comes is put on a stack, newest on top; a baton goes from one
 * to the next. `leading`: somebody has the baton. `tail` points into the entry
 * that is to have it next. Who has the baton turns the stack round, cuts his
 * group off and turns back what is left.
 */
#include "stage5-compaction/commit.h"

#include "common/lock.h"

void commit_init(struct commit *commit, commit_fn *fn, void *arg)
{
    commit->fn = fn;
    commit->arg = arg;
    commit->leading = false;
    commit->head = NULL;
    commit->tail = NULL;
    mutex_init(&commit->lock);
}

void commit_release(struct commit *commit)
{
    mutex_release(&commit->lock);
}

static struct commit_entry *turned(struct commit_entry *list)
{
    struct commit_entry *other = NULL, *next;

    for (; list; list = next) {
        next = list->next;
        list->next = other;
        other = list;
    }
    return other;
}

/* The oldest first, up to the first that wants to be alone. */
static struct commit_entry *group_locked(struct commit *c)
{
    struct commit_entry *first = turned(c->head), **end = &first->next;

    if (!first->alone)
        while (*end && !(*end)->alone)
            end = &(*end)->next;
    c->head = turned(*end);
    *end = NULL;
    return first;
}

/* True: the baton is mine. False: somebody has had my entry. */
static bool come_locked(struct commit *c, struct commit_entry *e)
{
    e->done = false;
    e->next = c->head;
    c->head = e;
    if (!c->leading) {
        c->leading = true;
        return true;
    }
    cond_init(&e->turn);
    do
        cond_wait(&e->turn, &c->lock);
    while (!e->done && c->tail != &e->next);
    cond_release(&e->turn);
    return !e->done;
}

static void pass_locked(struct commit *c)
{
    struct commit_entry *oldest = c->head;

    c->leading = oldest != NULL;
    c->tail = NULL;
    if (!oldest)
        return;
    while (oldest->next)
        oldest = oldest->next;
    c->tail = &oldest->next;
    cond_broadcast(&oldest->turn);
}

void commit_run(struct commit *commit, struct commit_entry *entry)
{
    struct commit_entry *group, *next;

    entry->alone = false;
    mutex_lock(&commit->lock);
    if (!come_locked(commit, entry)) {
        mutex_unlock(&commit->lock);
        return;
    }
    group = group_locked(commit);
    mutex_unlock(&commit->lock);

    commit->fn(commit->arg, group);

    mutex_lock(&commit->lock);
    for (next = entry->next; (group = next) != NULL;) {
        next = group->next;
        group->done = true;
        cond_signal(&group->turn);
    }
    pass_locked(commit);
    mutex_unlock(&commit->lock);
}

void commit_enter(struct commit *commit)
{
    struct commit_entry me = { .alone = true };

    mutex_lock(&commit->lock);
    come_locked(commit, &me);
    group_locked(commit);
    mutex_unlock(&commit->lock);
}

void commit_leave(struct commit *commit)
{
    mutex_lock(&commit->lock);
    pass_locked(commit);
    mutex_unlock(&commit->lock);
}
