/* model.c -- mutexes and condition variables, as POSIX describes them.
 *
 * A thread that finds a mutex taken blocks, and looks again when it has its
 * turn: whoever comes first gets it, there is no queue. That allows every
 * order that a real mutex allows.
 */
#include "grading/explore/sched.h"

#include <errno.h>

static uint32_t number_of(const struct thread *t)
{
    return t ? t->number : 0;
}

/* Takes the mutex for a thread that may have to wait. Answers whether the
 * deadline passed first. */
static bool acquire(struct object *o, int64_t until)
{
    bool told = false;

    while (o->owner) {
        if (until <= now)
            return false;
        if (!told)
            report_row(OP_BLOCKED, object_id(o), number_of(o->owner));
        told = true;
        sched_block(o, NULL, until);
    }
    o->owner = sched_self();
    o->depth = 1;
    return true;
}

static void release(struct object *o)
{
    o->owner = NULL;
    o->depth = 0;
    sched_wake_all(o);
}

int model_lock(struct object *o, int kind, int64_t until)
{
    sched_point();
    object_used(o);
    if (o->owner == sched_self()) {
        if (kind == PTHREAD_MUTEX_ERRORCHECK)
            return EDEADLK;
        if (kind == PTHREAD_MUTEX_RECURSIVE) {
            o->depth++;
            report_row(OP_LOCK, object_id(o), 0);
            return 0;
        }
        if (until == NEVER) {
            report_row(OP_BLOCKED, object_id(o), number_of(o->owner));
            report_fail(KIND_RELOCK, object_id(o), 0);
        }
    }
    if (!acquire(o, until)) {
        report_row(OP_TIMED_OUT, object_id(o), 0);
        return ETIMEDOUT;
    }
    report_row(OP_LOCK, object_id(o), 0);
    return 0;
}

int model_trylock(struct object *o, int kind)
{
    sched_point();
    object_used(o);
    if (o->owner == sched_self() && kind == PTHREAD_MUTEX_RECURSIVE) {
        o->depth++;
    } else if (o->owner) {
        report_row(OP_BUSY, object_id(o), number_of(o->owner));
        sched_idle(true);
        return EBUSY;
    } else {
        acquire(o, NEVER);
    }
    report_row(OP_LOCK, object_id(o), 0);
    return 0;
}

int model_unlock(struct object *o, int kind)
{
    sched_point();
    object_used(o);
    if (o->owner != sched_self()) {
        if (kind == PTHREAD_MUTEX_ERRORCHECK || kind == PTHREAD_MUTEX_RECURSIVE)
            return EPERM;
        report_row(OP_UNLOCK, object_id(o), 0);
        report_fail(KIND_NOT_OWNER, object_id(o), number_of(o->owner));
    }
    report_row(OP_UNLOCK, object_id(o), 0);
    if (--o->depth > 0)
        return 0;
    release(o);
    sched_after();
    return 0;
}

static enum trace_op op_of(enum woken woken)
{
    return woken == BY_TIME ? OP_TIMED_OUT :
           woken == BY_CHANCE ? OP_SPURIOUS : OP_WOKEN;
}

int model_wait(struct object *c, struct object *m, int64_t until)
{
    sched_point();
    sched_test_cancel();
    object_used(c);
    object_used(m);
    report_row(OP_WAIT, object_id(c), object_id(m));
    if (m->owner != sched_self())
        report_fail(KIND_NOT_OWNER, object_id(m), number_of(m->owner));
    unsigned depth = m->depth;
    release(m);
    enum woken woken = sched_block(c, NULL, until);
    report_row(op_of(woken), object_id(c), 0);
    acquire(m, NEVER);
    m->depth = depth;
    report_row(OP_LOCK, object_id(m), object_id(c));
    if (woken == BY_CANCEL)
        sched_test_cancel();
    return woken == BY_TIME ? ETIMEDOUT : 0;
}

void model_signal(struct object *c)
{
    sched_point();
    object_used(c);
    struct thread *t = choice_waiter(c);
    report_row(OP_SIGNAL, object_id(c), number_of(t));
    if (t)
        sched_wake(t, BY_CALL);
    sched_after();
}

void model_broadcast(struct object *c)
{
    sched_point();
    object_used(c);
    report_row(OP_BROADCAST, object_id(c), sched_waiters(c));
    sched_wake_all(c);
    sched_after();
}
