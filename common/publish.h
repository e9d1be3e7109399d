/* publish.h -- how lock-free code hands memory from thread to thread.
 *
 * Given.
 *
 * Two hand-overs are all that a structure with lock-free readers needs:
 *
 *   1. publish -> acquire. A writer fills new memory and then stores its
 *      address in a shared word; a reader that finds the address there sees
 *      the memory filled.
 *   2. reader_exit -> grace_seen. A reader says that it is done with all it
 *      has acquired; a reclaimer that sees this may free what was unlinked
 *      before.
 *
 * Each is one atomic operation. They are functions, in an object of their
 * own, because they also tell helgrind about the hand-over; code that uses
 * them needs no annotation itself. A reader that touches memory after its
 * reader_exit, or a writer that goes on filling after publish, is reported
 * by helgrind and by ThreadSanitizer alike.
 *
 * Why the slot works. enter and acquire by the reader, publish and
 * grace_seen by the other side are seq-cst: all threads see them in one
 * order. So if a reclaimer unlinks with publish and then grace_seen answers
 * 0, the reader either had left, or enters after the unlinking and cannot
 * find the old address any more.
 *
 * Beside them, a hand-over that somebody else makes: a library whose queue
 * orders what goes through it, but with locks that the tools do not see.
 * handing_over and handed_over only tell them; without the library in
 * between they would be a lie.
 *
 * Shapes:  a shared word is a `void *_Atomic`. A slot is one reader's
 *          `uint64_t _Atomic`: 0 while outside, else the epoch it entered
 *          in. Both zero or set with atomic_init before they are shared,
 *          and from then on changed by these functions only.
 * Errors:  none.
 * Threads: any for the words; a slot is written by one thread at a time.
 * Source:  Boehm and Adve, "Foundations of the C++ concurrency memory
 *          model" (2008); Fraser, "Practical lock-freedom" (2004), epochs.
 */
#ifndef COMMON_PUBLISH_H
#define COMMON_PUBLISH_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* Stores the address. What it points to was filled before and is not
 * written again, but by rules of its own. */
void publish(void *_Atomic *where, void *what);

/* Stores the address if the word still holds `expected`; else changes
 * nothing and answers false. Then acquire and decide again. */
bool publish_if(void *_Atomic *where, void *expected, void *what);

/* The address that was published last; NULL if none was. */
void *acquire(void *_Atomic *where);

/* This reader is inside, in that epoch (not 0), until reader_exit. */
void reader_enter(uint64_t _Atomic *slot, uint64_t epoch);

/* It is outside, and touches nothing any more that it has acquired. */
void reader_exit(uint64_t _Atomic *slot);

/* The epoch in which the slot's reader is inside, or 0: it is outside. All
 * that it did before its last reader_exit has then happened. */
uint64_t grace_seen(uint64_t _Atomic *slot);

/* All that this thread has done is seen by whoever the library hands `what`
 * to. Right before giving it to the library. */
void handing_over(void *what);

/* Right after the library has handed it to us: as above. */
void handed_over(void *what);

#endif
