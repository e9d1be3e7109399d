/* guard.h -- reads from a mapped file, and lives to tell when that fails.
 *
 * Given.
 *
 * A mapping is the fastest way to read a file: no call to the kernel. But
 * where read(2) answers an error, touching a mapping ends the process with
 * SIGBUS: when somebody has cut the file short, or when the disk fails. So
 * whoever reads from a mapping copies with guarded_copy, which answers -EIO
 * then, and works on the copy.
 *
 * Errors:  -EIO: not all of it can be read; what is at `to` is undefined.
 * Threads: any. A handler for SIGBUS is installed for the process by the
 *          first guard_install; a SIGBUS that does not come out of a
 *          guarded_copy is passed on to the handler that was there before,
 *          or ends the process as it would have. That is this module's only
 *          state.
 * Source:  LMDB's documentation on what a mapping cannot report.
 */
#ifndef COMMON_GUARD_H
#define COMMON_GUARD_H

#include <stddef.h>

/* Before the first guarded_copy; more often does no harm. 0 or -errno. */
int guard_install(void);

int guarded_copy(void *to, const void *from, size_t len);

#endif
