/* edge.h -- bytes that end where a page begins that nobody may touch, so a
 * read behind their end is seen without any tool.
 *
 * Given.
 *
 * Threads: one.
 */
#ifndef TESTS_FUZZ_EDGE_H
#define TESTS_FUZZ_EDGE_H

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/fuzz/fuzz.h"

enum { INPUT_MAX = 1 << 20 };

/* A copy of at most INPUT_MAX bytes, with nothing behind it; good until the
 * next. */
static inline unsigned char *at_the_edge(const void *bytes, size_t len)
{
    static unsigned char *edge;

    if (!edge) {
        size_t page = (size_t)sysconf(_SC_PAGESIZE);
        char *map = mmap(NULL, INPUT_MAX + page, PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        must(map != MAP_FAILED);
        must(mprotect(map + INPUT_MAX, page, PROT_NONE) == 0);
        edge = (unsigned char *)map + INPUT_MAX;
    }
    if (len > 0)
        memcpy(edge - len, bytes, len);
    return edge - len;
}

#endif
