/* workload.h -- which requests come: keys, values, mixes.
 *
 * Given.
 *
 * All of it follows from the seed. A key is a number, written as text of a
 * fixed length. A value follows from its key and a version, which stands in
 * its first bytes: so whoever gets a value can say whether it is one that this
 * run has written, and which.
 *
 * Each connection takes its requests from a stream of its own. Where replies
 * are to be verified (own_writes), a key is written by one connection only,
 * number key % of: then the order of its versions is known.
 *
 * Shapes:  key "k000000000000042"; value: version, little-endian, mixed with
 *          the key and the seed (8 bytes), then bytes that follow from all
 *          three. A value shorter than 8 bytes is cut.
 * Errors:  0 or a negative errno; outputs untouched.
 * Threads: a workload does not change: any. A stream: one at a time.
 * Source:  Gray et al., "Quickly Generating Billion-Record Synthetic
 *          Databases" (1994), for zipf; Cooper et al., "Benchmarking Cloud
 *          Serving Systems with YCSB" (2010), for the presets.
 */
#ifndef STAGE4_WORKLOAD_H
#define STAGE4_WORKLOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/buf.h"
#include "common/slice.h"

enum work_op { WORK_GET, WORK_SET, WORK_REMOVE };
enum { WORK_OPS = 3, WORK_KEY_MAX = 1024, WORK_VERSION = 8 };

enum work_keys {
    WORK_UNIFORM,
    WORK_ZIPF,      /* few keys often, spread over the key space */
    WORK_LATEST     /* what the connection has inserted last, most often */
};

struct work_options {
    uint64_t keys;              /* loaded: numbers 0 .. keys - 1 */
    size_t key_size;            /* bytes of each */
    size_t value_min, value_max;
    unsigned get, set, remove, insert, modify;  /* per cent, 100 together;
                                   modify: a get and a set of the same key */
    enum work_keys distribution;
    double theta;               /* of zipf and latest: 0 .. 0.999 */
    uint64_t seed;
};

/* The mix, distribution and theta of YCSB's A, B, C, D or F. -EINVAL: there
 * is no such preset. */
int work_preset(struct work_options *options, const char *name);

struct workload;

/* -EINVAL: options that cannot be. *why (may be NULL) then says which. */
int work_create(struct workload **out, const struct work_options *options,
                const char **why);
void work_destroy(struct workload *work);

const struct work_options *work_options(const struct workload *work);

/* Numbers of keys are below that: those loaded, and as many for inserts. */
uint64_t work_key_space(const struct workload *work);

/* The key's text; room for WORK_KEY_MAX bytes. */
struct slice work_key(const struct workload *work, uint64_t number,
                      char *text);

/* The value of that version; replaces what is in the buf. */
int work_value(const struct workload *work, uint64_t number, uint64_t version,
               struct buf *value);

/* Is this the value of some version of that key? If so, of which. Cannot
 * tell for values shorter than WORK_VERSION. */
bool work_is_value(const struct workload *work, uint64_t number,
                   struct slice value, uint64_t *version);

/* ---- streams ------------------------------------------------------------- */

struct work_stream {
    const struct workload *work;
    unsigned connection, of;    /* number, and how many there are in all */
    bool own_writes;
    bool loading;               /* sets of this connection's keys, each once */
    uint64_t random, next;      /* next: key to load, or inserts so far */
    bool again;                 /* the set of a modify comes next */
    uint64_t again_key;
};

struct work_item {
    enum work_op op;
    uint64_t key;
};

void work_start(struct work_stream *stream, const struct workload *work,
                unsigned connection, unsigned of, bool own_writes,
                bool loading);

/* The next request; false when a loading stream has no more. */
bool work_next(struct work_stream *stream, struct work_item *item);

/* Is the connection the one that writes this key? */
bool work_owns(const struct work_stream *stream, uint64_t key);

#endif
