/* slice.h -- bytes somewhere else: a pointer and a length.
 *
 * Given.
 *
 * Keys and values are bytes, not strings: a NUL is data and the length is
 * part of the value. A slice says where such bytes are; it owns nothing,
 * is copied freely, and is good for as long as the bytes stay where they
 * are.
 *
 * Shapes:  len bytes at ptr; with a len of 0, ptr may be anything.
 * Errors:  none.
 * Threads: a slice is a value; who may touch the bytes is their owner's
 *          affair.
 */
#ifndef COMMON_SLICE_H
#define COMMON_SLICE_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

struct slice {
    const void *ptr;
    size_t len;
};

static inline struct slice slice_of(const void *ptr, size_t len)
{
    return (struct slice){ ptr, len };
}

/* The text without its NUL; borrows it. */
static inline struct slice slice_str(const char *text)
{
    return (struct slice){ text, strlen(text) };
}

static inline bool slice_equal(struct slice a, struct slice b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

/* Below, at or above 0 as a comes before b, is b, or comes after it: byte
 * by byte as unsigned numbers, and of two that start alike the shorter
 * first. */
static inline int slice_compare(struct slice a, struct slice b)
{
    size_t both = a.len < b.len ? a.len : b.len;
    int order = both == 0 ? 0 : memcmp(a.ptr, b.ptr, both);

    return order != 0 ? order : (a.len > b.len) - (a.len < b.len);
}

#endif
