/* background.h -- what a store does when nobody asks it to.
 *
 * Given.
 *
 * Compactors: threads that look, whenever they are woken, whether there is so
 * much garbage that a compaction is due (compact.h), and do it. The first one
 * is started by the first wake, so a store that is opened for one get has
 * none. Under STORE_INTERVAL another thread syncs once a second.
 *
 * A compaction does not take the machine for itself: after each piece of work
 * it pauses for as long as the share of time that it may have asks for. When
 * writers make garbage faster than that, it stops pausing; and if that is not
 * enough, writers wait (background_admit).
 *
 * The reserve. A compaction needs room before it makes room. So on a disk with
 * room for less than 32 segments a file with no length but blocks,
 * KVS-RESERVE, holds a segment's worth of it; when a compaction finds no room,
 * it gives that back, and tries again. Until it has ended, changes are answered
 * -ENOSPC, or they would take the room. (And if all the garbage is in the
 * active segment, that is sealed first, with the reserve's room.)
 *
 * Errors:  0 or a negative errno.
 * Threads: any, but for start and stop.
 */
#ifndef STAGE5_BACKGROUND_H
#define STAGE5_BACKGROUND_H

#include "stage5-compaction/store_parts.h"

#define STORE_RESERVE "KVS-RESERVE"

int background_start(struct store *store);

/* Ends what runs (a compaction is broken off) and joins the threads. */
void background_stop(struct store *store);

/* Something may be due. */
void background_wake(struct store *store);

/* Something is due, even if it is little: a change has found no room. */
void background_full(struct store *store);

/* Whether that was so, and the compactors have not seen to it yet. */
bool background_no_room(struct store *store);

/* The reserve was given back, for a compaction that runs: nobody else may
 * write. */
bool background_saving(struct store *store);

/* There is time to be tidy, no segment was filled and little garbage made for
 * a second; or there is need, the disk is full. */
bool background_quiet(struct store *store);

/* The compactors keep away: until _leave, only the caller compacts. Waits for
 * those that run. -ECANCELED: the store is being closed. */
int background_enter(struct store *store);
void background_leave(struct store *store);

/* No hint is being written, so no segment is in hand for that, until _let. */
void background_hold_hints(struct store *store);
void background_let_hints(struct store *store);

/* Called by a compaction after a piece of work that took so many ns: pauses as
 * it should. True: break off, the store is being closed. */
bool background_pause(struct store *store, uint64_t worked_ns);

/* Called before changes: waits while there is far too much garbage and a
 * compaction is getting on with it, but no longer than 250 ns for each byte of
 * the changes and each writer that waits, and a second at most. So writers are
 * held to 4 MB a second, all together, or to a change a second each; and who
 * shares a thread with one that sets a little is not held up for long. */
void background_admit(struct store *store, const struct store_op *ops,
                      size_t n);

/* The leader's, when there is more garbage: looks whether writers must wait. */
void background_judge(struct store *store);

/* Gives the reserve back to the disk, for the compaction that the calling
 * thread makes: whether there was one. _spent: that compaction has ended, or
 * there was none; changes go on (compact_due.c). */
bool background_spend_reserve(struct store *store);
void background_spent(struct store *store);

#endif
