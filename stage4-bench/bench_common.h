/* bench_common.h -- what the programs that measure in one process share: some
 * options, the runs, and what is printed at the end.
 *
 * Given.
 *
 * Errors:  0 or a negative errno.
 * Threads: one at a time.
 */
#ifndef STAGE4_BENCH_COMMON_H
#define STAGE4_BENCH_COMMON_H

#include <stdbool.h>

#include "stage4-bench/report.h"

struct bench_common {
    const char *subject;        /* what stands in that column */
    unsigned runs;
    double seconds;             /* for each cell */
    bool tsv, json;
};

/* The rows of these options; SUBJECT and SECONDS: what they are if not
 * given, as text. */
#define BENCH_COMMON_OPTIONS(SUBJECT, SECONDS) \
    { "subject", 'S', "NAME", 0, \
      "what stands in that column (" SUBJECT ")", 0 }, \
    { "seconds", 's', "S", 0, "for each cell (" SECONDS ")", 0 }, \
    { "runs", 'r', "N", 0, "so many times; the median counts (1)", 0 }, \
    { "tsv", 'v', 0, 0, "for programs", 0 }, \
    { "json", 'j', 0, 0, "for programs", 0 }

/* As args_option_fn. */
int bench_common_option(int key, const char *value,
                        struct bench_common *common);

/* Calls `once` so often, until it fails. */
typedef int bench_common_fn(const void *arg, struct report *report);
int bench_common_run(const struct bench_common *common, bench_common_fn *once,
                     const void *arg, struct report *report);

/* As it was asked for: TSV, JSON, or what `text` prints for people. Releases
 * the report. Answers the program's exit status: figures that cannot be
 * written are a failure, and said. */
int bench_common_print(const struct bench_common *common,
                       struct report *report,
                       void (*text)(const void *arg, const struct report *),
                       const void *arg);

#endif
