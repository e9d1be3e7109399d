/* scratch.h -- a directory for a case's files.
 *
 * Given.
 *
 * Below $TMPDIR, else on a RAM disk if there is one: what a case tests is the
 * calls, not the disk. A case that passes removes it. After one that fails it
 * stays, to be looked at: `make one` says where. A grading removes it.
 */
#ifndef TESTS_SCRATCH_H
#define TESTS_SCRATCH_H

/* A fresh, empty directory; its path into `dir`. */
void scratch_make(char dir[64]);

/* Removes it with the files in it (not with directories in it). */
void scratch_remove(const char *dir);

#endif
