/* trace.h -- what each thread did when, to be looked at.
 *
 * Given.
 *
 * Spans and values are kept in memory while the program works, and written
 * afterwards in the form of Chrome's trace events, which Perfetto
 * (ui.perfetto.dev) and chrome://tracing open: a row a thread, a box a span, a
 * curve for values. One event a line, so that a script can read it, too.
 *
 * Shapes:  times are of clock_now_ns. What comes after the buffer is full is
 *          counted, and dropped.
 * Errors:  0 or a negative errno.
 * Threads: spans and values: any. The rest: one, when no other adds.
 * Source:  "Trace Event Format", by the Chromium project.
 */
#ifndef STAGE4_TRACE_H
#define STAGE4_TRACE_H

#include <stdint.h>

struct trace;

/* Room for so many events; owned: trace_destroy (NULL is allowed). */
int trace_create(struct trace **out, uint64_t events);
void trace_destroy(struct trace *trace);

/* The calling thread did `name` (a literal) from then to then. */
void trace_span(struct trace *trace, const char *name, uint64_t begin,
                uint64_t end);

void trace_value(struct trace *trace, const char *name, uint64_t at,
                 uint64_t value);

/* Into the file; times count from the first event. Threads are called
 * "`threads` 1", ... in the order of their first spans. */
int trace_write(struct trace *trace, const char *path, const char *threads);

#endif
