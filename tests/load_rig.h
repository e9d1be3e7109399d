/* load_rig.h -- a server for a load generator to find out about.
 *
 * Given.
 *
 * It speaks the frames of proto.h and keeps everything in memory. It can be
 * slow, stop for a while, hang up, fall silent, and lie. It is in a thread of
 * the test's own; what it has seen may be read once it was stopped.
 */
#ifndef TESTS_LOAD_RIG_H
#define TESTS_LOAD_RIG_H

#include "stage4-bench/load.h"
#include "tests/driver.h"

enum fault {
    HONEST,
    FLIPS,          /* a value with one bit changed */
    OLD,            /* the value that was there before the last set */
    OTHER_KEY,      /* the value of another key */
    MISSING,        /* a get of what is there: not found */
    GHOST,          /* a get of what was removed: its last value */
    LOSES,          /* a set that is answered, and not done */
    KEEPS,          /* a remove that is answered "done", of what is absent */
    DENIES,         /* a remove of what is there: done, "not found" */
    WRONG_ID,       /* of its request, one too many */
    WRONG_KIND,     /* a get is answered like a set */
    EXTRA,          /* two replies to one request */
    FAILS,          /* a request is not done and answered FAILED */
    HANGS_UP,
    FALLS_SILENT    /* takes requests, and answers no more */
};

enum { RIG_KEYS = 4096, RIG_LANES = 64 };

struct rig_plan {
    enum fault fault;
    unsigned from;          /* request number (of all) from which on it may */
    unsigned times;         /* so often; 0: always from then on */
    unsigned delay_ms;      /* before the reply to each of the first */
    unsigned delayed;       /* so many requests */
    unsigned pause_at, pause_ms;    /* at that request, so long */
    unsigned hold;          /* answers a connection only when so many of its
                               requests are there; */
    unsigned hold_until;    /* until so many were received in all */
};

struct rig_seen {
    unsigned requests, gets, sets, removes, faults;
    unsigned lanes;         /* connections */
    unsigned by_lane[RIG_LANES];
    unsigned most;          /* requests on one connection, received and not
                               answered */
    uint64_t first_ns, last_ns;     /* when the first and last one came */
};

struct rig;

struct rig *rig_start(struct rig_plan plan);
struct rig_seen rig_stop(struct rig *rig);

/* Options for that server: one connection, depth 1, 100 keys, count 100, a
 * time-out of 10 s, no ledger, the latency still to be made. */
struct load_options rig_options(const struct rig *rig);

/* A workload with that mix, and its ledger; the keys are small enough. */
struct workload *rig_work(uint64_t keys, unsigned get, unsigned set,
                          unsigned remove, uint64_t seed);

/* load_run, with a fresh histogram in the result. */
int rig_run(const struct load_options *options, struct load_result *result);

extern const struct test_case load_open_cases[];

#endif
