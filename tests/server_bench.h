/* server_bench.h -- what is measured: a server in this process.
 *
 * Given. Implemented by server_bench_ours.c and server_bench_echo.c.
 */
#ifndef TESTS_SERVER_BENCH_H
#define TESTS_SERVER_BENCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/slice.h"

enum { BENCH_KEYS = 1000, BENCH_KEY = 16, BENCH_VALUE = 100 };

struct bench_load {
    bool durable;       /* sets, each waiting for a disk; else gets */
    uint64_t seed;
};

/* The i-th key and its value. */
void bench_key(const struct bench_load *load, unsigned i,
               char key[BENCH_KEY + 1]);
void bench_value(const struct bench_load *load, unsigned i,
                 unsigned char value[BENCH_VALUE]);

/* How long the disk takes for a sync, in the tests of speed. */
void bench_disk(void);

/* Ends the program: status 3 when something is not written yet, else 1. */
void bench_fail(const char *what) __attribute__((noreturn));

/* ---- the subject -------------------------------------------------------- */

/* Starts serving in threads of its own; the port. */
int subject_start(const struct bench_load *load);
void subject_stop(void);

/* Whether it answers a get with the key's own value. */
extern const bool subject_has_values;

#endif
