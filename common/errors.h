/* errors.h -- the words for an error number.
 *
 * Given.
 *
 * Functions here answer 0 or a negative errno. Some numbers mean something
 * narrower in this project than their POSIX text says, and those have words
 * of their own:
 *
 *   -ENOENT     not found            -EBADMSG   corrupt
 *   -EAGAIN     full                 -EPROTO    bad frame
 *   -ECANCELED  stopping             -EMSGSIZE  too big
 *   -ENOSYS     not written yet      -EBUSY     in use elsewhere
 *   -EMEDIUMTYPE  made by another engine
 *   -ENOTSUP      not supported: its format is newer
 *
 * Every other number has the C library's.
 *
 * Threads: any.
 */
#ifndef COMMON_ERRORS_H
#define COMMON_ERRORS_H

/* The words for a negative errno. They stay; but those for a number that
 * nobody knows only until the thread's next call. */
const char *error_text(int err);

#endif
