/* file.h -- reading all of it, and what is to be done around a sync.
 *
 * Given.
 *
 * read(2) may do less than it was asked to, or nothing when a signal arrives,
 * and that is no error. These go on until it is all done or really fails.
 * With one call to the kernel where one is enough.
 *
 * Errors:     a negative errno.
 * Threads:    any; pread_full does not move the file's position, so several
 *             threads may use one descriptor.
 * Durability: nothing is on the disk before an fsync of the file, and a new
 *             name, a rename or a removal not before file_sync_dir.
 */
#ifndef COMMON_FILE_H
#define COMMON_FILE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/buf.h"

/* How many bytes came; fewer than len only where the file ends. */
ssize_t read_full(int fd, void *to, size_t len);
ssize_t pread_full(int fd, void *to, size_t len, off_t offset);

/* As pread_full, but around what cannot be read: zeros stand for a page of the
 * file where reading fails with EIO. How many such bytes is added to *lost. */
ssize_t pread_around(int fd, void *to, size_t len, off_t offset,
                     uint64_t *lost);

/* All that comes until the end, to the end of *buf: 0. -EMSGSIZE when that
 * is more than max bytes; what is in *buf behind its old contents is then,
 * and on any other error, no use. */
int read_all(int fd, struct buf *buf, size_t max);

/* For after a failed sync of the file: writes the bytes of [from, to) again,
 * as they are, to their place. Pages that the kernel could not write are clean
 * to it from then on, and the next sync, also by who opens the file later,
 * would answer 0 though they are not on the disk; written again, that sync
 * has them to write. What cannot be read or written is left out. */
void file_write_again(int fd, off_t from, off_t to);

/* Brings the names in the directory `path` to the disk. */
int file_sync_dir(const char *path);

#endif
