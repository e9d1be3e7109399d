/* objects.c -- what we know about a lock, found by its address.
 *
 * The program's own object is never locked; its state lives here. That needs
 * one precaution: memory is used again. A structure that was freed, or a
 * frame that was left, may hold a new mutex at the address of an old one,
 * and a static initialiser is only a store, which nobody tells us about. So
 * where an object can be made by a store, we write a mark into bytes of it
 * that only the real functions would use: without the mark it is new. The
 * mark also survives pthread_mutex_destroy, which is how the use of a
 * destroyed mutex is noticed.
 */
#include "grading/explore/sched.h"

#include <stdlib.h>
#include <string.h>

enum { SLOTS = 16384 };         /* a power of two */

static struct object table[SLOTS];
static unsigned used;
static unsigned numbers[128];   /* the last given out, by letter */

static const uint64_t mark = UINT64_C(0x6c7078e5eea1b10b);

/* The bytes for the mark, or NULL: made by an init call only. */
static void *mark_of(const struct object *o)
{
    switch (o->letter) {
    case 'M':
        return &((pthread_mutex_t *)o->addr)->__data.__list;
    case 'C':
        return &((pthread_cond_t *)o->addr)->__data.__g1_start;
    case 'R':
        return &((pthread_rwlock_t *)o->addr)->__data.__pad2;
    default:
        return NULL;
    }
}

static bool is_marked(const struct object *o)
{
    const void *at = mark_of(o);

    return !at || memcmp(at, &mark, sizeof mark) == 0;
}

static void clear(struct object *o)
{
    o->id = 0;
    o->destroyed = false;
    o->owner = NULL;
    o->depth = o->value = o->size = o->round = 0;
    if (mark_of(o))
        memcpy(mark_of(o), &mark, sizeof mark);
}

static struct object *slot(const void *addr, char letter)
{
    uint64_t h = ((uint64_t)(uintptr_t)addr + (unsigned char)letter) *
                 UINT64_C(0x9e3779b97f4a7c15) >> 40;
    struct object *o;

    for (;; h++) {
        o = &table[h % SLOTS];
        if (!o->addr || (o->addr == addr && o->letter == letter))
            return o;
    }
}

struct object *object_at(const void *addr, char letter)
{
    struct object *o = slot(addr, letter);

    if (!o->addr) {
        if (++used > SLOTS / 2)
            report_not_explored("more than 8,000 locks");
        o->addr = addr;
        o->letter = letter;
        clear(o);
    } else if (!is_marked(o)) {
        clear(o);
    }
    return o;
}

/* After an init call: whatever was there is gone. */
void object_forget(struct object *o)
{
    if (sched_waiters(o) > 0)
        report_fail(KIND_DESTROYED, object_id(o), 0);
    clear(o);
}

/* Numbered when first used in the trace, so numbers follow the schedule. */
uint32_t object_id(struct object *o)
{
    if (!o->id)
        o->id = (uint32_t)o->letter << 24 |
                ++numbers[(unsigned char)o->letter];
    return o->id;
}

/* Every call but init: the object must not have been destroyed. */
void object_used(struct object *o)
{
    if (o->destroyed) {
        report_row(OP_NONE, object_id(o), 0);
        report_fail(KIND_AFTER_DESTROY, object_id(o), 0);
    }
}

void object_destroy(struct object *o, bool in_use)
{
    object_used(o);
    report_row(OP_DESTROY, object_id(o), 0);
    if (in_use || sched_waiters(o) > 0)
        report_fail(KIND_DESTROYED, object_id(o),
                    o->owner ? o->owner->number : 0);
    o->destroyed = true;
}
