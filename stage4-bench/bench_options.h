/* bench_options.h -- the command line of kvs-bench.
 *
 * Given.
 *
 * Errors:  wrong usage ends the program: one line on stderr, exit 2.
 * Threads: one, at the start of main.
 */
#ifndef STAGE4_BENCH_OPTIONS_H
#define STAGE4_BENCH_OPTIONS_H

#include <stdbool.h>

#include "stage4-bench/load.h"

enum bench_output { FOR_PEOPLE, AS_TSV, AS_JSON };

struct bench_options {
    struct load_options load;       /* work and ledger are still to be made */
    struct work_options work;
    unsigned threads, runs;
    unsigned pid;                   /* of the server; 0: not given */
    unsigned column;                /* what stands under "threads" */
    unsigned keys, requests;
    double seconds, warm_up;
    const char *preset, *suite;
    const char *workload, *subject; /* or NULL: as mix and protocol say */
    bool mix_given, warm_given, verify, skip_load, progress;
    enum bench_output output;
};

void bench_options_read(struct bench_options *options, int argc, char **argv);

/* Ends the program like wrong usage: what only shows later. */
void bench_options_fail(const char *why) __attribute__((noreturn));

#endif
