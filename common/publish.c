/* publish.c -- given.
 *
 * An annotated edge may be wider than the real one: helgrind hears of a
 * publish just before it happens, and of a publish_if also when it fails.
 * That can hide a race in an unlucky run, and never reports one that is
 * none.
 *
 * The schedule explorer, where it is preloaded, has an explore_atomic, and
 * may let another thread come in right after each operation (and between
 * whatever was before a reader_enter, and that).
 */
#include "common/publish.h"

#include <assert.h>

#include "common/annotate.h"

#ifdef __SANITIZE_THREAD__
#include <sanitizer/tsan_interface.h>
#else
#define __tsan_release(what) ((void)(what))
#define __tsan_acquire(what) ((void)(what))
#endif

#ifndef NVALGRIND
void explore_atomic(const void *word, int what) __attribute__((weak));
#define STEP(word, what) (explore_atomic ? explore_atomic(word, what) : (void)0)
#else
#define STEP(word, what) ((void)0)
#endif

void publish(void *_Atomic *where, void *what)
{
    SEQ_CST_WORD(where);
    HAPPENS_BEFORE(where);
    atomic_store(where, what);
    STEP(where, 'p');
}

bool publish_if(void *_Atomic *where, void *expected, void *what)
{
    SEQ_CST_WORD(where);
    HAPPENS_BEFORE(where);
    bool done = atomic_compare_exchange_strong(where, &expected, what);
    HAPPENS_AFTER(where);
    STEP(where, 'p');
    return done;
}

void *acquire(void *_Atomic *where)
{
    void *what = atomic_load(where);
    HAPPENS_AFTER(where);
    STEP(where, 'a');
    return what;
}

void reader_enter(uint64_t _Atomic *slot, uint64_t epoch)
{
    assert(epoch != 0);
    ATOMIC_WORD(slot);  /* for the plain store of reader_exit */
    STEP(slot, 0);
    atomic_store(slot, epoch);
    STEP(slot, 'e');
}

/* Release is enough to leave, and spares each read an exchange. */
void reader_exit(uint64_t _Atomic *slot)
{
    HAPPENS_BEFORE(slot);
    atomic_store_explicit(slot, 0, memory_order_release);
    STEP(slot, 'l');
}

uint64_t grace_seen(uint64_t _Atomic *slot)
{
    uint64_t epoch = atomic_load(slot);
    HAPPENS_AFTER(slot);
    STEP(slot, 'g');
    return epoch;
}

void handing_over(void *what)
{
    HAPPENS_BEFORE(what);
    __tsan_release(what);
}

void handed_over(void *what)
{
    HAPPENS_AFTER(what);
    __tsan_acquire(what);
}
