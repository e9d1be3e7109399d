/* commit.c -- yours: stage 5B, task 5.8.
 *
 * The queue is a list. Its head is woken when nobody leads any more; it takes
 * the list off, up to the first who wants to be alone, and runs. Whoever is
 * alone is a group of one without a run.
 */
#include "stage5-compaction/commit.h"

#include "common/lock.h"

void commit_init(struct commit *commit, commit_fn *fn, void *arg)
{
    *commit = (struct commit){ .fn = fn, .arg = arg };
    commit->tail = &commit->head;
    mutex_init(&commit->lock);
}

void commit_release(struct commit *commit)
{
    mutex_release(&commit->lock);
}

/* Until a leader has had the entry (false), or it is at the queue's head and
 * nobody leads (true). Only who may have to wait needs a condition. */
static bool wait_for_turn_locked(struct commit *c, struct commit_entry *e)
{
    e->next = NULL;
    e->done = false;
    *c->tail = e;
    c->tail = &e->next;
    if (!c->leading && c->head == e)
        return true;
    cond_init(&e->turn);
    while (!e->done && (c->leading || c->head != e))
        cond_wait(&e->turn, &c->lock);
    cond_release(&e->turn);
    return !e->done;
}

/* Takes the group off that the head leads. */
static struct commit_entry *take_locked(struct commit *c)
{
    struct commit_entry *first = c->head, *last = first;

    while (!first->alone && last->next && !last->next->alone)
        last = last->next;
    c->head = last->next;
    if (!c->head)
        c->tail = &c->head;
    last->next = NULL;
    c->leading = true;
    return first;
}

static void hand_on_locked(struct commit *c)
{
    c->leading = false;
    if (c->head)
        cond_signal(&c->head->turn);
}

void commit_run(struct commit *commit, struct commit_entry *entry)
{
    entry->alone = false;
    mutex_lock(&commit->lock);
    if (wait_for_turn_locked(commit, entry)) {
        struct commit_entry *e = take_locked(commit), *next;

        mutex_unlock(&commit->lock);
        commit->fn(commit->arg, e);
        mutex_lock(&commit->lock);
        for (; e; e = next) {
            next = e->next;     /* it may be gone as soon as it is done */
            e->done = true;
            if (e != entry)
                cond_signal(&e->turn);
        }
        hand_on_locked(commit);
    }
    mutex_unlock(&commit->lock);
}

void commit_enter(struct commit *commit)
{
    struct commit_entry me = { .alone = true };

    mutex_lock(&commit->lock);
    wait_for_turn_locked(commit, &me);
    take_locked(commit);
    mutex_unlock(&commit->lock);
}

void commit_leave(struct commit *commit)
{
    mutex_lock(&commit->lock);
    hand_on_locked(commit);
    mutex_unlock(&commit->lock);
}
