/* meter.h -- what a piece of work costs, beside time.
 *
 * Given.
 *
 * CPU time, context switches, and how often and how long threads waited for a
 * lock. The last only where liblockcount.so is preloaded (lockcount.c).
 *
 * Errors:  none.
 * Threads: one at a time; counts what all threads of the process do.
 */
#ifndef STAGE4_METER_H
#define STAGE4_METER_H

#include <stdbool.h>
#include <stdint.h>

#include "stage4-bench/report.h"

struct meter {
    uint64_t wall_ns, cpu_ns;
    uint64_t switches;              /* voluntary and not */
    uint64_t lock_waits, lock_ns;
};

/* From here on ... */
void meter_start(struct meter *meter);

/* ... to here: the fields are what was used in between. */
void meter_stop(struct meter *meter);

bool meter_knows_locks(void);

/* Rows of a cell: throughput (`unit`s a second), and for each of `n` pieces of
 * work: cpu, switches, and, where known, lock waits and their time. */
void meter_report(const struct meter *meter, struct report *report,
                  const char *suite, const char *workload,
                  const char *subject, unsigned threads, const char *unit,
                  double n);

#endif
