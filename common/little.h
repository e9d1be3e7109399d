/* little.h -- little-endian numbers at any address.
 *
 * Given.
 *
 * Formats of files and frames have numbers of a fixed width and byte order, at
 * addresses that no alignment is promised for. The compiler makes one
 * instruction of each of these where the machine is little-endian itself.
 *
 * Errors:  none.
 * Threads: any.
 */
#ifndef COMMON_LITTLE_H
#define COMMON_LITTLE_H

#include <stdint.h>

static inline void little_put32(unsigned char *to, uint32_t n)
{
    for (int i = 0; i < 4; i++)
        to[i] = (unsigned char)(n >> 8 * i);
}

static inline void little_put64(unsigned char *to, uint64_t n)
{
    little_put32(to, (uint32_t)n);
    little_put32(to + 4, (uint32_t)(n >> 32));
}

static inline uint32_t little_get32(const unsigned char *from)
{
    return (uint32_t)from[0] | (uint32_t)from[1] << 8 |
           (uint32_t)from[2] << 16 | (uint32_t)from[3] << 24;
}

static inline uint64_t little_get64(const unsigned char *from)
{
    return little_get32(from) | (uint64_t)little_get32(from + 4) << 32;
}

#endif
