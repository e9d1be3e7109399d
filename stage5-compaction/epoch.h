/* epoch.h -- when may memory be freed that readers without locks may hold?
 *
 * You write: epoch.c (tasks 5.1, 5.2)
 *
 * A reader that takes no lock finds an address in a shared word and follows
 * it. A writer that unlinks what is there cannot free it at once: somebody
 * may have read the address a moment ago. It can when every reader that was
 * at work then has ended its work since. So readers say when they are inside
 * (enter, leave), writers hand in what they have unlinked (retire), and what
 * no reader can have any more is freed (reclaim).
 *
 * Between calls these hold:
 *   1. what was retired while a reader was inside is not reclaimed before
 *      that reader has left;
 *   2. what is retired is reclaimed exactly once;
 *   3. a reader waits for nobody: enter and leave take no lock and write to
 *      nothing but the reader's own record;
 *   4. a reader that stays inside delays reclaiming, and nothing else: other
 *      readers, and who retires, go on;
 *   5. memory is bounded: while readers come and go, retiring alone keeps
 *      what waits to a few hundred things a thread and a megabyte or so of
 *      `bytes` more than readers inside prevent; and records of readers that
 *      have left are used again.
 *
 * Shapes:  readers in a list that only grows, each with a slot of publish.h
 *          on a cache line of its own; retired things in the order in which
 *          they came. The epoch is a number that only grows.
 * Errors:  only where memory is asked for; retire never fails.
 * Threads: every function may be called by any number of threads at once,
 *          but for destroy, which is the last call; one reader is used by
 *          one thread at a time. Inside means: between enter and leave.
 * Source:  Fraser, "Practical lock-freedom" (2004), 5.2.3; McKenney and
 *          Slingwine, "Read-copy update" (1998); ck_epoch of Concurrency Kit.
 */
#ifndef STAGE5_EPOCH_H
#define STAGE5_EPOCH_H

#include <stddef.h>
#include <stdint.h>

struct epoch;
struct epoch_reader;

/* Frees `what`. It may take locks that no caller of retire, reclaim and
 * synchronize holds, and may retire something else, which is not reclaimed
 * before it has returned; it does not enter. */
typedef void epoch_reclaim_fn(void *arg, void *what);

struct epoch_stats {
    uint64_t epoch;         /* the number now */
    uint64_t retired, reclaimed;    /* so many things, since create */
    size_t waiting;         /* retired - reclaimed */
    size_t waiting_bytes;   /* what retire was told about them */
    size_t readers;         /* that are registered */
};

/* *out is owned: epoch_destroy. -ENOMEM.  (5.1) */
int epoch_create(struct epoch **out);

/* Nobody is inside or in a call any more: reclaims all that waits, and frees
 * the readers. Calls epoch_forget first. NULL is allowed.  (5.1, 5.2) */
void epoch_destroy(struct epoch *epoch);

/* A reader, outside; give it back with epoch_unregister, or leave it to
 * epoch_destroy. NULL: no memory.  (5.1) */
struct epoch_reader *epoch_register(struct epoch *epoch);

/* The reader is outside, and is not used any more.  (5.1) */
void epoch_unregister(struct epoch_reader *reader);

/* From the first enter to the leave that belongs to it the reader is inside:
 * what it finds in a shared word stays. Both nest.  (5.1) */
void epoch_enter(struct epoch_reader *reader);
void epoch_leave(struct epoch_reader *reader);

/* `what` was unlinked before this call: who enters now cannot find it. Calls
 * fn(arg, what) once, when no reader can have it any more: later, in a thread
 * that calls retire, reclaim, synchronize or destroy. `bytes` is what it
 * holds, more or less. Never fails. Waits for readers only if there is no
 * memory to remember it, and then calls fn itself; so: from outside only.
 * (5.2) */
void epoch_retire(struct epoch *epoch, void *what, size_t bytes,
                  epoch_reclaim_fn *fn, void *arg);

/* Reclaims all that may go now, and answers how many things still wait. Does
 * not wait for readers.  (5.2) */
size_t epoch_reclaim(struct epoch *epoch);

/* Returns when every reader that was inside at the call has left at least
 * once, whoever has entered since. From outside only.  (5.1)
 * What was retired before the call is then reclaimed, or another thread is
 * just at it.  (5.2) */
void epoch_synchronize(struct epoch *epoch);

/* Fills in what is true now.  (5.1: readers; 5.2: the rest) */
void epoch_stats(struct epoch *epoch, struct epoch_stats *stats);

/* ---- Given: epoch_here.c ------------------------------------------------- */

/* The calling thread's own reader there, for code that is called by threads it
 * does not know: registered by the thread's first call, unregistered when the
 * thread ends or the epoch is destroyed. Takes no lock for the four epochs that
 * were new to the thread last, if none was destroyed since.
 * NULL: no memory. */
struct epoch_reader *epoch_here(struct epoch *epoch);

/* No thread's epoch_here knows the epoch any more. Only for epoch_destroy,
 * before it frees anything. */
void epoch_forget(struct epoch *epoch);

#endif
