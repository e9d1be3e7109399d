/* meter.c -- given. */
#include "stage4-bench/meter.h"

#include <dlfcn.h>
#include <string.h>
#include <sys/resource.h>

#include "common/clock.h"

typedef void read_fn(uint64_t *waits, uint64_t *ns);

static read_fn *lock_counts(void)
{
    read_fn *fn = NULL;
    void *symbol = dlsym(RTLD_DEFAULT, "lockcount_read");

    memcpy(&fn, &symbol, sizeof fn);
    return fn;
}

bool meter_knows_locks(void)
{
    return lock_counts() != NULL;
}

static void read_all(struct meter *m)
{
    struct rusage usage;
    read_fn *fn = lock_counts();

    getrusage(RUSAGE_SELF, &usage);
    m->switches = (uint64_t)(usage.ru_nvcsw + usage.ru_nivcsw);
    m->lock_waits = m->lock_ns = 0;
    if (fn)
        fn(&m->lock_waits, &m->lock_ns);
    m->cpu_ns = clock_cpu_ns();
    m->wall_ns = clock_now_ns();
}

void meter_start(struct meter *meter)
{
    read_all(meter);
}

void meter_stop(struct meter *meter)
{
    struct meter now;

    read_all(&now);
    meter->wall_ns = now.wall_ns - meter->wall_ns;
    meter->cpu_ns = now.cpu_ns - meter->cpu_ns;
    meter->switches = now.switches - meter->switches;
    meter->lock_waits = now.lock_waits - meter->lock_waits;
    meter->lock_ns = now.lock_ns - meter->lock_ns;
}

void meter_report(const struct meter *m, struct report *report,
                  const char *suite, const char *workload,
                  const char *subject, unsigned threads, const char *unit,
                  double n)
{
    char rate[16], each[16], ns[16];

    if (n <= 0)
        return;
    snprintf(rate, sizeof rate, "%ss/s", unit);
    snprintf(each, sizeof each, "/%s", unit);
    snprintf(ns, sizeof ns, "ns/%s", unit);
    report_add(report, suite, workload, subject, threads, "throughput", rate,
               n * 1e9 / (double)(m->wall_ns ? m->wall_ns : 1));
    report_add(report, suite, workload, subject, threads, "cpu", ns,
               (double)m->cpu_ns / n);
    report_add(report, suite, workload, subject, threads, "switches", each,
               (double)m->switches / n);
    if (!meter_knows_locks())
        return;
    report_add(report, suite, workload, subject, threads, "lock-waits", each,
               (double)m->lock_waits / n);
    report_add(report, suite, workload, subject, threads, "lock-wait-time", ns,
               (double)m->lock_ns / n);
}
