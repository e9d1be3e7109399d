/* wraps.h -- a test counts the lock calls of a thread, and makes its mallocs
 * fail or stop. For programs linked with $(counted) of the Makefile.
 *
 * Given.
 *
 * Threads: all that is the calling thread's own.
 */
#ifndef TESTS_WRAPS_H
#define TESTS_WRAPS_H

#include <stdbool.h>
#include <stdint.h>

/* So many calls that take, try to take, or wait for a lock has this thread
 * made: mutexes, read-write locks, spin locks, semaphores, conditions. */
uint64_t lock_calls(void);

/* From now on malloc and its kin fail in this thread, or do so no more. */
void malloc_fails(bool fails);

/* From now on fn is called right before each malloc of this thread; NULL: no
 * more. */
void malloc_calls(void (*fn)(void));

#endif
