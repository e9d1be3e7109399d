/* buf.h -- bytes that grow.
 *
 * Given.
 *
 * Where a function answers bytes whose number the caller cannot know, the
 * caller hands in a buf, and may hand in the same one again: the memory is
 * kept, so a loop of gets allocates a few times and then never again.
 *
 * Between calls: len <= cap, and the cap bytes at ptr belong to the buf
 * (ptr is NULL when cap is 0). `struct buf b = { 0 };` is empty and owns
 * nothing; buf_release brings it back to that.
 *
 * Errors:  0, or -ENOMEM and the buf is untouched: contents, length and
 *          place. A length that does not fit the address space is -ENOMEM.
 * Threads: one at a time.
 */
#ifndef COMMON_BUF_H
#define COMMON_BUF_H

#include <stddef.h>

#include "common/slice.h"

struct buf {
    unsigned char *ptr;
    size_t len, cap;
};

/* Frees the memory and leaves the buf empty, ready to be used again. */
void buf_release(struct buf *buf);

/* Has room for `more` bytes behind the contents: until more have been
 * added, ptr stays where it is. */
int buf_reserve(struct buf *buf, size_t more);

/* Copies len bytes to the end. They may lie in the buf itself. */
int buf_append(struct buf *buf, const void *ptr, size_t len);
int buf_append_slice(struct buf *buf, struct slice slice);

/* The contents become a copy of the slice, which may lie in the buf. */
int buf_replace(struct buf *buf, struct slice slice);

/* Forgets the contents and keeps the memory. */
void buf_clear(struct buf *buf);

/* Drops n bytes from the front; no more than there are. The rest moves, so
 * this is for now and then, not for each of many small pieces. */
void buf_consume(struct buf *buf, size_t n);

/* The contents; borrowed until the buf changes. */
struct slice buf_slice(const struct buf *buf);

#endif
