/* bench_common.c -- given. */
#include "stage4-bench/bench_common.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/args.h"
#include "common/log.h"

int bench_common_option(int key, const char *value,
                        struct bench_common *common)
{
    char *end;

    switch (key) {
    case 'S': common->subject = value; return 0;
    case 'r': return args_uint(value, 1, REPORT_RUNS, &common->runs);
    case 's':
        common->seconds = strtod(value, &end);
        return *end || !(common->seconds > 0 && common->seconds < 1000)
               ? -EINVAL : 0;
    case 'v': common->tsv = true; return 0;
    case 'j': common->json = true; return 0;
    default: return -EINVAL;
    }
}

int bench_common_run(const struct bench_common *common, bench_common_fn *once,
                     const void *arg, struct report *report)
{
    int err = 0;

    for (unsigned i = 0; i < common->runs && !err; i++)
        err = once(arg, report);
    return err;
}

int bench_common_print(const struct bench_common *common,
                       struct report *report,
                       void (*text)(const void *arg, const struct report *),
                       const void *arg)
{
    int status = 0;

    if (common->tsv)
        report_tsv(report, stdout);
    else if (common->json)
        report_json(report, stdout);
    else
        text(arg, report);
    if (fflush(stdout) != 0 || ferror(stdout)) {
        log_error("the figures cannot be written");
        status = 1;
    }
    report_release(report);
    return status;
}
