/* fuzz.h -- what the fuzz targets share.
 *
 * Given.
 *
 * A target is one function, LLVMFuzzerTestOneInput, which takes any bytes and
 * ends the process when a promise is broken. Two programs can drive it:
 * libFuzzer (`make fuzz`, clang), which learns which inputs reach new code,
 * and fuzz/main.c (part of `make test`, any compiler), which repeats the
 * corpus and random changes of it.
 *
 * Threads: one.
 * Source:  libFuzzer (the interface, and the habit of keeping a corpus).
 */
#ifndef TESTS_FUZZ_FUZZ_H
#define TESTS_FUZZ_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

#define must(cond) \
    ((cond) ? (void)0 : fuzz_broken(__FILE__, __LINE__, #cond))

__attribute__((noreturn))
static inline void fuzz_broken(const char *file, int line, const char *cond)
{
    fprintf(stderr, "%s:%d: does not hold: %s\n", file, line, cond);
    abort();
}

/* An input read as a script: what to build, byte by byte. Behind its end
 * there are zeros. */
struct script {
    const uint8_t *at;
    size_t left;
};

static inline unsigned script_byte(struct script *script)
{
    if (script->left == 0)
        return 0;
    script->left--;
    return *script->at++;
}

static inline unsigned script_word(struct script *script)
{
    unsigned low = script_byte(script);

    return low | script_byte(script) << 8;
}

#endif
