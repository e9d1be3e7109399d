/* report.h -- figures as rows: for people, as TSV, as JSON.
 *
 * Given.
 *
 * A row is one figure of one measured cell: suite, workload, subject, threads,
 * metric, unit, and the median, least and most of its runs.
 *
 * Errors:  none; what cannot be kept is lost, what cannot be written is seen
 *          by whoever closes the file. A program that adds rows without end
 *          aborts.
 * Threads: one at a time.
 */
#ifndef STAGE4_REPORT_H
#define STAGE4_REPORT_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

enum { REPORT_ROWS = 512, REPORT_RUNS = 64 };

struct report_row {
    char suite[32], workload[64], subject[64];
    unsigned threads;
    char metric[32], unit[16];
    unsigned runs;
    double values[REPORT_RUNS];
};

struct report {
    unsigned n;
    struct report_row *rows[REPORT_ROWS];
    bool partial;               /* some of it was not measured to its end: a
                                   row "partial" says so, and in JSON a field */
    char trouble[200];          /* why; empty: nothing was wrong */
};

/* Adds a run's value to the row of these names, which is made if need be. */
void report_add(struct report *report, const char *suite, const char *workload,
                const char *subject, unsigned threads, const char *metric,
                const char *unit, double value);

double report_median(const struct report_row *row);

/* The row's median, or `none`. NULL matches anything. */
double report_find(const struct report *report, const char *workload,
                   const char *subject, const char *metric, double none);

void report_tsv(const struct report *report, FILE *to);
void report_json(const struct report *report, FILE *to);
void report_release(struct report *report);

/* 1234567 -> "1,234,567"; nanoseconds -> "1.23 ms". Into text[32]. */
const char *report_count(double n, char text[32]);
const char *report_time(double ns, char text[32]);

/* Nanoseconds of CPU that the process has used, with all its threads; false:
 * there is no such process, or it is not ours to look at. */
bool report_cpu_of(unsigned pid, uint64_t *ns);

#endif
