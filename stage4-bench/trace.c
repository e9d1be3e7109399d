/* trace.c -- given. */
#include "stage4-bench/trace.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/counter.h"

enum { THREADS_MAX = 1024 };

struct event {
    const char *name;
    uint64_t begin, end;        /* of a value: when, and what */
    int tid;                    /* 0: a value */
};

struct trace {
    uint64_t room;
    struct counter used;        /* may pass room: those were dropped */
    struct event *events;
};

int trace_create(struct trace **out, uint64_t events)
{
    struct trace *t = calloc(1, sizeof *t);

    if (!t)
        return -ENOMEM;
    t->room = events;
    t->events = calloc(events, sizeof *t->events);
    if (!t->events) {
        free(t);
        return -ENOMEM;
    }
    *out = t;
    return 0;
}

void trace_destroy(struct trace *trace)
{
    if (!trace)
        return;
    free(trace->events);
    free(trace);
}

static void add(struct trace *t, const char *name, uint64_t begin,
                uint64_t end, int tid)
{
    uint64_t place = counter_add(&t->used, 1) - 1;

    if (place < t->room)
        t->events[place] = (struct event){ name, begin, end, tid };
}

void trace_span(struct trace *trace, const char *name, uint64_t begin,
                uint64_t end)
{
    static _Thread_local int tid;

    if (!tid)
        tid = (int)syscall(SYS_gettid);
    add(trace, name, begin, end, tid);
}

void trace_value(struct trace *trace, const char *name, uint64_t at,
                 uint64_t value)
{
    add(trace, name, at, value, 0);
}

static uint64_t first_of(const struct trace *t, uint64_t n)
{
    uint64_t first = UINT64_MAX;

    for (uint64_t i = 0; i < n; i++)
        if (t->events[i].begin < first)
            first = t->events[i].begin;
    return first;
}

/* The thread's row, from 1; a new one says its name. */
static unsigned row_of(int tid, int *tids, unsigned *n, const char *threads,
                       FILE *f)
{
    for (unsigned i = 0; i < *n; i++)
        if (tids[i] == tid)
            return i + 1;
    if (*n == THREADS_MAX)
        return THREADS_MAX;
    tids[(*n)++] = tid;
    fprintf(f, "{\"ph\":\"M\",\"name\":\"thread_name\",\"pid\":1,\"tid\":%u,"
            "\"args\":{\"name\":\"%s %u\"}},\n", *n, threads, *n);
    return *n;
}

int trace_write(struct trace *t, const char *path, const char *threads)
{
    uint64_t all = counter_get(&t->used), n = all < t->room ? all : t->room;
    uint64_t first = first_of(t, n);
    int tids[THREADS_MAX];
    unsigned rows = 0;
    FILE *f = fopen(path, "we");

    if (!f)
        return -errno;
    fputs("{\"displayTimeUnit\":\"ns\",\"traceEvents\":[\n", f);
    for (uint64_t i = 0; i < n; i++) {
        const struct event *e = &t->events[i];
        double at = (double)(e->begin - first) / 1000;

        if (e->tid) {
            unsigned row = row_of(e->tid, tids, &rows, threads, f);

            fprintf(f, "{\"ph\":\"X\",\"name\":\"%s\",\"pid\":1,\"tid\":%u,"
                    "\"ts\":%.3f,\"dur\":%.3f},\n", e->name, row, at,
                    (double)(e->end - e->begin) / 1000);
        } else {
            fprintf(f, "{\"ph\":\"C\",\"name\":\"%s\",\"pid\":1,\"ts\":%.3f,"
                    "\"args\":{\"value\":%llu}},\n", e->name, at,
                    (unsigned long long)e->end);
        }
    }
    fprintf(f, "{\"ph\":\"M\",\"name\":\"dropped\",\"pid\":1,\"args\":"
            "{\"events\":%llu}}\n]}\n", (unsigned long long)(all - n));
    bool bad = ferror(f);
    return fclose(f) != 0 || bad ? -EIO : 0;
}
