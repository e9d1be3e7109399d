/* report.c -- given. */
#include "stage4-bench/report.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>

static void copy(char *to, size_t size, const char *from)
{
    snprintf(to, size, "%s", from);
}

static struct report_row *row_of(struct report *r, const char *suite,
                                 const char *workload, const char *subject,
                                 unsigned threads, const char *metric)
{
    for (unsigned i = 0; i < r->n; i++) {
        struct report_row *row = r->rows[i];

        if (row->threads == threads && strcmp(row->metric, metric) == 0
            && strcmp(row->suite, suite) == 0
            && strcmp(row->workload, workload) == 0
            && strcmp(row->subject, subject) == 0)
            return row;
    }
    if (r->n == REPORT_ROWS)
        abort();
    struct report_row *row = calloc(1, sizeof *row);
    if (!row)
        abort();
    return r->rows[r->n++] = row;
}

void report_add(struct report *report, const char *suite, const char *workload,
                const char *subject, unsigned threads, const char *metric,
                const char *unit, double value)
{
    struct report_row *row = row_of(report, suite, workload, subject, threads,
                                    metric);

    copy(row->suite, sizeof row->suite, suite);
    copy(row->workload, sizeof row->workload, workload);
    copy(row->subject, sizeof row->subject, subject);
    copy(row->metric, sizeof row->metric, metric);
    copy(row->unit, sizeof row->unit, unit);
    row->threads = threads;
    if (row->runs < REPORT_RUNS)
        row->values[row->runs++] = value;
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

/* Sorted into `sorted`. */
static const double *sort(const struct report_row *row, double *sorted)
{
    memcpy(sorted, row->values, row->runs * sizeof *sorted);
    qsort(sorted, row->runs, sizeof *sorted, by_size);
    return sorted;
}

double report_median(const struct report_row *row)
{
    double sorted[REPORT_RUNS];

    return row->runs ? sort(row, sorted)[(row->runs - 1) / 2] : 0;
}

static bool matches(const char *wanted, const char *got)
{
    return !wanted || strcmp(wanted, got) == 0;
}

double report_find(const struct report *report, const char *workload,
                   const char *subject, const char *metric, double none)
{
    for (unsigned i = 0; i < report->n; i++) {
        const struct report_row *row = report->rows[i];

        if (matches(workload, row->workload) && matches(subject, row->subject)
            && matches(metric, row->metric))
            return report_median(row);
    }
    return none;
}

/* Four digits that say something, and no more. */
static void print_number(FILE *to, double n)
{
    fprintf(to, n == 0 ? "0" : n >= 1000 || n <= -1000 ? "%.0f" :
            n >= 10 ? "%.2f" : "%.4f", n);
}

void report_tsv(const struct report *report, FILE *to)
{
    fputs("suite\tworkload\tsubject\tthreads\tmetric\tunit\tmedian\tmin\tmax"
          "\truns\n", to);
    for (unsigned i = 0; i < report->n; i++) {
        const struct report_row *row = report->rows[i];
        double sorted[REPORT_RUNS];

        sort(row, sorted);
        fprintf(to, "%s\t%s\t%s\t%u\t%s\t%s\t", row->suite, row->workload,
                row->subject, row->threads, row->metric, row->unit);
        print_number(to, report_median(row));
        fputc('\t', to);
        print_number(to, sorted[0]);
        fputc('\t', to);
        print_number(to, sorted[row->runs - 1]);
        fprintf(to, "\t%u\n", row->runs);
    }
}

static void print_string(FILE *to, const char *text)
{
    fputc('"', to);
    for (; *text; text++) {
        unsigned char c = (unsigned char)*text;

        if (c == '"' || c == '\\')
            fprintf(to, "\\%c", c);
        else if (c < 0x20 || c >= 0x7f)
            fprintf(to, "\\u%04x", c);
        else
            fputc(c, to);
    }
    fputc('"', to);
}

static void print_field(FILE *to, const char *name, const char *text)
{
    fprintf(to, "\"%s\": ", name);
    print_string(to, text);
    fputs(", ", to);
}

void report_json(const struct report *report, FILE *to)
{
    fprintf(to, "{\"partial\": %s, \"trouble\": ",
            report->partial ? "true" : "false");
    if (report->trouble[0])
        print_string(to, report->trouble);
    else
        fputs("null", to);
    fputs(", \"rows\": [", to);
    for (unsigned i = 0; i < report->n; i++) {
        const struct report_row *row = report->rows[i];
        double sorted[REPORT_RUNS];

        sort(row, sorted);
        fputs(i ? ",\n  {" : "\n  {", to);
        print_field(to, "suite", row->suite);
        print_field(to, "workload", row->workload);
        print_field(to, "subject", row->subject);
        fprintf(to, "\"threads\": %u, ", row->threads);
        print_field(to, "metric", row->metric);
        print_field(to, "unit", row->unit);
        fputs("\"median\": ", to);
        print_number(to, report_median(row));
        fputs(", \"min\": ", to);
        print_number(to, sorted[0]);
        fputs(", \"max\": ", to);
        print_number(to, sorted[row->runs - 1]);
        fprintf(to, ", \"runs\": %u}", row->runs);
    }
    fputs("\n]}\n", to);
}

void report_release(struct report *report)
{
    for (unsigned i = 0; i < report->n; i++)
        free(report->rows[i]);
    report->n = 0;
}

const char *report_count(double n, char text[32])
{
    char digits[32];
    int len = snprintf(digits, sizeof digits, "%.0f", n), at = 0;

    for (int i = 0; i < len && at < 30; i++) {
        if (i > 0 && (len - i) % 3 == 0 && digits[i - 1] != '-')
            text[at++] = ',';
        text[at++] = digits[i];
    }
    text[at] = '\0';
    return text;
}

const char *report_time(double ns, char text[32])
{
    static const char *const units[] = { "ns", "us", "ms", "s" };
    unsigned u = 0;

    while (ns >= 999.5 && u < 3) {
        ns /= 1000;
        u++;
    }
    snprintf(text, 32, u == 0 || ns >= 99.95 ? "%.0f %s" :
             ns >= 9.995 ? "%.1f %s" : "%.2f %s", ns, units[u]);
    return text;
}

bool report_cpu_of(unsigned pid, uint64_t *ns)
{
    char path[300];

    snprintf(path, sizeof path, "/proc/%u/task", pid);
    DIR *dir = opendir(path);
    if (!dir)
        return false;
    *ns = 0;
    for (struct dirent *e; (e = readdir(dir));) {
        unsigned long long one = 0;

        snprintf(path, sizeof path, "/proc/%u/task/%.20s/schedstat", pid,
                 e->d_name);
        FILE *f = e->d_name[0] == '.' ? NULL : fopen(path, "re");
        if (f && fscanf(f, "%llu", &one) == 1)
            *ns += one;
        if (f)
            fclose(f);
    }
    closedir(dir);
    return true;
}
