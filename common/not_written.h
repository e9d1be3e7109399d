/* not_written.h -- how a function says that nobody has written it yet.
 *
 * Given.
 *
 * A starter's function is `return not_written("1.2");`. The call notes the
 * task and answers -ENOSYS; a test that then fails is reported as "not
 * written (task 1.2)" instead of as a bug. A function that answers nothing
 * calls it all the same, for the note.
 *
 * Threads: any; the first task noted in the process stays.
 */
#ifndef COMMON_NOT_WRITTEN_H
#define COMMON_NOT_WRITTEN_H

/* Notes the task (a literal such as "1.2"; borrowed for ever), answers
 * -ENOSYS. */
int not_written(const char *task);

/* The first task noted in this process, or NULL. */
const char *not_written_task(void);

/* Has fn called, in the calling thread, whenever a task is noted. For test
 * drivers: what calls a function that is not written cannot be judged, and
 * might wait for it for ever. Set before there are threads. */
void not_written_calls(void (*fn)(const char *task));

#endif
