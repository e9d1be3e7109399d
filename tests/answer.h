/* answer.h -- the word with which a case says that it passed.
 *
 * Given.
 *
 * The grader draws a secret for each run and puts it into CASE_SECRET. The
 * word depends on it, so output prepared beforehand, or a process that ends
 * early with status 0, is not taken for a pass. A program that looks into
 * its own memory can still find it.
 */
#ifndef TESTS_ANSWER_H
#define TESTS_ANSWER_H

#include <stdint.h>

/* splitmix64 (Steele, Lea, Flood, OOPSLA 2014). */
static inline uint64_t next_random(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15u;

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static inline uint64_t case_answer(uint64_t secret, const char *name)
{
    uint64_t state = secret;

    for (; *name; name++)
        state = next_random(&state) ^ (unsigned char)*name;
    return next_random(&state);
}

#endif
