/* model_more.c -- the other things a thread can wait for: rwlocks,
 * semaphores, barriers, once, the end of a thread.
 */
#include "grading/explore/sched.h"

#include <errno.h>

/* Blocks once. Answers false if the deadline has passed. */
static bool block_on(struct object *o, int64_t until, bool *told)
{
    if (until <= now) {
        report_row(OP_TIMED_OUT, object_id(o), 0);
        return false;
    }
    if (!*told)
        report_row(OP_BLOCKED, object_id(o), o->owner ? o->owner->number : 0);
    *told = true;
    sched_block(o, NULL, until);
    return true;
}

static int busy(struct object *o, int err)
{
    report_row(OP_BUSY, object_id(o), o->owner ? o->owner->number : 0);
    sched_idle(true);
    return err;
}

/* Readers pass waiting writers, as they do with the C library's default. */
int model_rdlock(struct object *o, int64_t until, bool try)
{
    bool told = false;

    sched_point();
    object_used(o);
    if (o->owner == sched_self() && !try)
        return EDEADLK;
    while (o->owner) {
        if (try)
            return busy(o, EBUSY);
        if (!block_on(o, until, &told))
            return ETIMEDOUT;
    }
    o->depth++;
    report_row(OP_RDLOCK, object_id(o), 0);
    return 0;
}

int model_wrlock(struct object *o, int64_t until, bool try)
{
    bool told = false;

    sched_point();
    object_used(o);
    if (o->owner == sched_self() && !try)
        return EDEADLK;
    while (o->owner || o->depth > 0) {
        if (try)
            return busy(o, EBUSY);
        if (!block_on(o, until, &told))
            return ETIMEDOUT;
    }
    o->owner = sched_self();
    report_row(OP_WRLOCK, object_id(o), 0);
    return 0;
}

/* Who reads is not kept, only how many. */
int model_rwunlock(struct object *o)
{
    sched_point();
    object_used(o);
    report_row(OP_UNLOCK, object_id(o), 0);
    if (o->owner ? o->owner != sched_self() : o->depth == 0)
        report_fail(KIND_NOT_OWNER, object_id(o),
                    o->owner ? o->owner->number : 0);
    if (o->owner)
        o->owner = NULL;
    else
        o->depth--;
    if (o->depth == 0)
        sched_wake_all(o);
    sched_after();
    return 0;
}

int model_sem_take(struct object *o, int64_t until, bool try)
{
    bool told = false;

    sched_point();
    if (!try)
        sched_test_cancel();
    object_used(o);
    while (o->value == 0) {
        if (try)
            return busy(o, EAGAIN);
        if (!block_on(o, until, &told))
            return ETIMEDOUT;
    }
    o->value--;
    report_row(OP_TAKE, object_id(o), 0);
    return 0;
}

void model_sem_post(struct object *o)
{
    sched_point();
    object_used(o);
    o->value++;
    report_row(OP_POST, object_id(o), 0);
    sched_wake_all(o);
    sched_after();
}

/* The last to arrive opens it; `round` tells the arrivals of one opening
 * from those of the next. */
int model_barrier(struct object *o)
{
    sched_point();
    object_used(o);
    unsigned round = o->round;
    if (++o->value < o->size) {
        report_row(OP_BLOCKED, object_id(o), 0);
        while (o->round == round)
            sched_block(o, NULL, NEVER);
        report_row(OP_BARRIER, object_id(o), 0);
        return 0;
    }
    o->value = 0;
    o->round++;
    report_row(OP_BARRIER, object_id(o), 0);
    sched_wake_all(o);
    sched_after();
    return PTHREAD_BARRIER_SERIAL_THREAD;
}

/* What the C library writes when the function has returned. */
enum { DONE = 2 };

/* The function was left by pthread_exit: the next caller tries again. */
static void once_left(void *arg)
{
    struct object *o = arg;

    o->owner = NULL;
    sched_wake_all(o);
}

void model_once(struct object *o, void (*fn)(void))
{
    struct thread *t = sched_self();
    bool told = false;

    sched_point();
    while (!o->value && o->owner)
        block_on(o, NEVER, &told);
    report_row(OP_ONCE, object_id(o), 0);
    if (o->value)
        return;
    o->owner = t;
    t->inside = false;          /* fn is the program's */
    pthread_cleanup_push(once_left, o);
    fn();
    pthread_cleanup_pop(0);
    t->inside = true;
    o->value = 1;
    *(pthread_once_t *)o->addr = DONE;      /* for a forked child, too */
    o->owner = NULL;
    sched_wake_all(o);
    sched_after();
}

int model_join(struct thread *t, int64_t until)
{
    uint32_t id = (uint32_t)'T' << 24 | t->number;

    sched_point();
    sched_test_cancel();
    if (t->state != FINISHED)
        report_row(OP_BLOCKED, id, 0);
    while (t->state != FINISHED) {
        if (until <= now) {
            report_row(OP_TIMED_OUT, id, 0);
            return ETIMEDOUT;
        }
        sched_block(NULL, t, until);
    }
    report_row(OP_JOIN, id, 0);
    return 0;
}
