/* buf.c -- given. */
#include "common/buf.h"

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

/* No object is larger than PTRDIFF_MAX; half of it, so that doubling a
 * capacity cannot overflow. */
enum { SMALLEST = 64 };
static const size_t LARGEST = PTRDIFF_MAX / 2;

void buf_release(struct buf *buf)
{
    free(buf->ptr);
    *buf = (struct buf){ 0 };
}

/* The capacity to grow to: doubling, so that n appends copy O(n) bytes. */
static size_t grown(size_t cap, size_t wanted)
{
    size_t twice = cap == 0 ? SMALLEST : 2 * cap;

    if (twice > LARGEST)
        twice = LARGEST;
    return wanted > twice ? wanted : twice;
}

int buf_reserve(struct buf *buf, size_t more)
{
    if (more <= buf->cap - buf->len)
        return 0;
    if (more > LARGEST - buf->len)
        return -ENOMEM;
    size_t cap = grown(buf->cap, buf->len + more);
    unsigned char *ptr = realloc(buf->ptr, cap);
    if (!ptr)
        return -ENOMEM;
    buf->ptr = ptr;
    buf->cap = cap;
    return 0;
}

static bool inside(const struct buf *buf, const void *ptr)
{
    uintptr_t at = (uintptr_t)ptr, start = (uintptr_t)buf->ptr;

    return at >= start && at - start < buf->len;
}

int buf_append(struct buf *buf, const void *ptr, size_t len)
{
    const unsigned char *from = ptr;
    bool own = inside(buf, ptr);
    size_t offset = own ? (size_t)(from - buf->ptr) : 0;
    int err = buf_reserve(buf, len);

    if (err)
        return err;
    if (own)
        from = buf->ptr + offset;       /* the contents may have moved */
    if (len > 0)
        memcpy(buf->ptr + buf->len, from, len);
    buf->len += len;
    return 0;
}

int buf_append_slice(struct buf *buf, struct slice slice)
{
    return buf_append(buf, slice.ptr, slice.len);
}

/* What lies in the buf fits it, so only foreign bytes ever need new memory,
 * and the old contents need not be copied there. */
int buf_replace(struct buf *buf, struct slice slice)
{
    if (slice.len > buf->cap) {
        if (slice.len > LARGEST)
            return -ENOMEM;
        size_t cap = grown(buf->cap, slice.len);
        unsigned char *ptr = malloc(cap);
        if (!ptr)
            return -ENOMEM;
        free(buf->ptr);
        buf->ptr = ptr;
        buf->cap = cap;
    }
    if (slice.len > 0)
        memmove(buf->ptr, slice.ptr, slice.len);
    buf->len = slice.len;
    return 0;
}

void buf_clear(struct buf *buf)
{
    buf->len = 0;
}

void buf_consume(struct buf *buf, size_t n)
{
    assert(n <= buf->len);
    buf->len -= n;
    if (n > 0 && buf->len > 0)
        memmove(buf->ptr, buf->ptr + n, buf->len);
}

struct slice buf_slice(const struct buf *buf)
{
    return slice_of(buf->ptr, buf->len);
}
