/* load.h -- puts a server under load and measures what comes back.
 *
 * You write: load.c (tasks 4.3, 4.4, 4.5)
 *
 * One thread, some connections (links.h), a stream of requests for each
 * (workload.h). There are two ways to decide when a request is sent:
 *
 *   closed loop  `depth` requests are in flight on every connection, and each
 *                reply lets the next request out. When the server stops, so
 *                does the load: a stop of a second is *one* slow request a
 *                place, and all those that users would have sent meanwhile
 *                are missing from the result (coordinated omission).
 *   open loop    requests have moments at which they are due, `rate` a second,
 *                whatever the server does. What cannot be sent when it is due
 *                (`depth` are in flight already) is sent as soon as it can;
 *                its latency counts from the moment it was due.
 *
 * Which requests are measured: they have numbers, from 0, in the order in
 * which they are begun (closed: sent; open: due). Those of the warm-up are
 * sent and checked, but not counted. With `count`: the first warm_count are
 * warm-up, the next `count` are measured, more are not sent. Without: those
 * begun in the first warm_ns are warm-up, those begun in the duration_ns
 * behind that are measured, and then no more begin. All are waited for.
 * When `loading`, neither count, warm-up, duration nor rate matters: each
 * stream sets its keys, once each, as quickly as a closed loop does, all of it
 * is measured, and the run ends with the streams.
 *
 * In the open loop, request n is due n / rate seconds after the start, and it
 * belongs to connection n % connections. Requests that are due before the end
 * are sent even if it is later then. But with T the time that all should have
 * taken, no more are sent after another T, or timeout_ms if that is longer; the
 * measured ones left are `unsent`.
 *
 * What is checked (3 and 4 only with a ledger):
 *   1. a reply that is labelled has the id and the op of its request;
 *   2. its kind is one that this op can have: a value or "not found" for a
 *      get, done for a set, done or "not found" for a remove; and "failed" for
 *      any of them, which counts as an error;
 *   3. what a get brings is the value of a version, of this key, that may be
 *      there now; "not found" only if the key may be absent now (ledger.h);
 *   4. a remove is done if the key was there, "not found" if not.
 * Whichever does not hold, the reply counts as wrong. If it is 1 or 2, or if
 * nothing is in flight on the connection, that is out of step: the run ends
 * with -EPROTO. Otherwise it goes on.
 * Of a key that is unsure (ledger.h) a get may bring any version that was
 * issued, or "not found", and a remove may answer either.
 *
 * Errors:  0 or a negative errno. Whatever it is, the result has what was
 *          measured until then. -EINVAL: no connections, no depth. Of the
 *          server: as links.h; -ETIMEDOUT: for timeout_ms requests were in
 *          flight, and no reply came on any connection (a time in which
 *          nothing is in flight does not count). -ECANCELED: `stop` was
 *          raised; it is looked at every 100 ms at least, also while nothing
 *          comes.
 * Threads: a load belongs to one. Several threads have a load each, with
 *          connections of their own, and share workload, ledger, and live.
 * Source:  Gil Tene, "How NOT to Measure Latency"; Schroeder, Wierman and
 *          Harchol-Balter, "Open Versus Closed: A Cautionary Tale" (2006).
 */
#ifndef STAGE4_LOAD_H
#define STAGE4_LOAD_H

#include <stdint.h>
#include <sys/socket.h>

#include "common/counter.h"
#include "stage4-bench/hist.h"
#include "stage4-bench/ledger.h"
#include "stage4-bench/wire.h"
#include "stage4-bench/workload.h"

/* What others may look at while it runs. */
struct load_live {
    struct counter answered;    /* also in the warm-up */
    struct counter trouble;     /* errors and wrong replies */
    struct counter stop;        /* raised by others: end early */
};

struct load_options {
    struct sockaddr_storage addr;
    const struct wire *wire;
    const struct workload *work;
    struct ledger *ledger;      /* to verify with (value_min of the workload is
                                   WORK_VERSION or more then), or NULL: sets
                                   have the value of version 0 */
    struct load_live *live;     /* or NULL */
    unsigned connections;       /* of this thread; */
    unsigned first, of;         /* their numbers for work_start: first, first
                                   + 1, ...; of all threads there are `of` */
    unsigned depth;             /* requests in flight, a connection */
    double rate;                /* requests a second, of this thread; 0: a
                                   closed loop */
    uint64_t warm_count, count; /* count 0: by time */
    uint64_t warm_ns, duration_ns;
    bool loading;               /* the streams load, and end: see above */
    unsigned timeout_ms;
};

struct load_result {
    struct hist *latency;       /* given by the caller; ns, of each measured
                                   request that was answered */
    uint64_t done[WORK_OPS];    /* measured requests, answered: by op, */
    uint64_t not_found;         /* those of them that were not found, */
    uint64_t errors;            /* or failed */
    uint64_t wrong;             /* wrong replies, of all requests */
    uint64_t unsent;            /* measured requests, due and never sent; 0
                                   when the run ended with an error */
    uint64_t wall_ns;           /* from when the first measured request began
                                   to the last reply to a measured one */
    uint64_t cpu_ns;            /* of this thread in that time */
    uint64_t busy_ns, run_ns;   /* 0 here; filled in by crew.h */
    char trouble[160];          /* the first error or wrong reply: a sentence,
                                   empty if there was none (so also after
                                   -ETIMEDOUT, or when the server is gone) */
};

/* Connects, runs, disconnects. Adds to the latency; all other fields of the
 * result are set.  (4.3 closed loop, 4.4 checks with a ledger, 4.5 open) */
int load_run(const struct load_options *options, struct load_result *result);

/* How many times `part` a second that is in wall_ns; 0 for no time. */
static inline double load_per_second(uint64_t part, uint64_t wall_ns)
{
    return wall_ns ? (double)part * 1e9 / (double)wall_ns : 0;
}

static inline uint64_t load_done(const struct load_result *r)
{
    return r->done[WORK_GET] + r->done[WORK_SET] + r->done[WORK_REMOVE];
}

#endif
