/* table.h -- a map from bytes to bytes that threads share.
 *
 * You write: table.c (tasks 2.2, 2.3); stage 5 keeps the same promise again,
 *            with readers that take no lock
 *
 * It serves three masters: imkv (a fixed number of buckets, fixed memory),
 * the index of the stores (key -> position of the record), and the store
 * that keeps everything in memory.
 *
 * Between calls these hold:
 *   1. a key has at most one value; the calls on one key happen one after
 *      the other, in some order that every thread agrees with;
 *   2. a call on one key does not wait for a call on another, but when the
 *      two happen to share a lock: with 64 other keys, one held inside its
 *      table_update stops at most a quarter of them (a lookup of the held
 *      key itself may wait, or answer what was there before);
 *   3. keys and values are copies in a slab; no pointer into the table ever
 *      leaves it, except to the function given to table_update, during the
 *      call;
 *   4. a fixed table has its buckets for life; any other grows while it is
 *      used, so that lookups stay short, and no key is missed meanwhile.
 *
 * Shapes:  a chained hash table; a new pair goes behind what is in its chain
 *          (stage 5's: into the first hole).
 * Errors:  0 or a negative errno; on an error the table and the outputs are
 *          as before.
 *            -ENOENT    no such key
 *            -EAGAIN    full: the budget is used up (replacing a value may
 *                       need room for both)
 *            -EINVAL    an empty key; buckets of 0 in a fixed table; a
 *                       budget that is too small for a slab
 *            -EMSGSIZE  key or value is longer than 4 GiB - 1
 *            -ENOMEM    out of memory
 * Threads: every function may be called by any number of threads at once,
 *          but for destroy, which must be the last call.
 * Source:  Knuth, TAOCP 3, 6.4 (chaining); striping as in Herlihy and
 *          Shavit, "The Art of Multiprocessor Programming", 13.2.
 */
#ifndef STAGE2_TABLE_H
#define STAGE2_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/slice.h"

struct table;

struct table_options {
    size_t buckets;     /* fixed: so many, for life. Else at least so many
                           to begin with; 0: some */
    bool fixed;         /* never more buckets. With a budget too: never
                           another malloc (but in table_each, and in
                           stage 5's for its readers and what they keep) */
    size_t budget;      /* bytes for keys and values, as slab.h's; 0: the
                           slab grows as needed */
};

struct table_stats {
    size_t keys;
    size_t bytes;       /* all memory of the table, its slab included;
                           not of stage 5's epoch */
    size_t buckets;
};

/* options NULL: grows, no budget. *out is owned: table_destroy.  (2.2) */
int table_create(struct table **out, const struct table_options *options);

/* Frees it with all that is inside. NULL is allowed.  (2.2) */
void table_destroy(struct table *table);

/* Sets the key's value, whether or not it had one. Copies both.  (2.2) */
int table_insert(struct table *table, struct slice key, struct slice value);

/* The length of the key's value, or -ENOENT. The value is copied to `to` if
 * it fits into `room` bytes, else nothing is: come again with more.  (2.2) */
ssize_t table_lookup(struct table *table, struct slice key, void *to,
                     size_t room);

/* One of several lookups: as the arguments and the answer of table_lookup. */
struct table_lookup {
    struct slice key;
    void *to;
    size_t room;
    ssize_t len;        /* the answer */
};

/* As so many table_lookups, one after the other in this order. Most of a
 * lookup's time is waiting for memory, and a processor can wait for a dozen
 * places at once: so this may ask for what the later ones need before it has
 * ended the first; no key may lie in another one's `to`.  (2.2; the loop
 * that you are given is right, and may stay) */
void table_lookup_many(struct table *table, struct table_lookup *lookups,
                       size_t n);

/* -ENOENT if it was not there.  (2.2) */
int table_delete(struct table *table, struct slice key);

enum table_decision { TABLE_KEEP, TABLE_REPLACE, TABLE_DELETE };

/* Sees the key's present value, or NULL if there is none, and decides:
 * leave everything as it is; replace (or insert) with what it has put into
 * *value, which need only live until table_update returns, and may lie in
 * *present; delete. `present` is borrowed during the call. It must not call
 * the table. */
typedef enum table_decision table_update_fn(void *arg,
                                            const struct slice *present,
                                            struct slice *value);

/* Calls fn once, and does what it says before any other call on this key can
 * come between. Answers 0; -ENOENT if there was nothing to delete; or why the
 * new value could not be stored, and then the old one is still there.  (2.2)
 *
 * With it: insert if newer, replace if still equal, count up. */
int table_update(struct table *table, struct slice key, table_update_fn *fn,
                 void *arg);

/* Gets a copy of each pair, in no order, outside of any lock: it may call
 * the table. A value other than 0 ends the walk. */
typedef int table_each_fn(void *arg, struct slice key, struct slice value);

/* Walks over all pairs. Each key that is there all the time is seen exactly
 * once, also when the table grows meanwhile; one that comes or goes is seen
 * once or not at all. Answers 0, what fn answered, or -ENOMEM.  (2.3) */
int table_each(struct table *table, table_each_fn *fn, void *arg);

/* How many keys there are.  (2.2) */
size_t table_count(struct table *table);

/* Fills in what is true now.  (2.2) */
void table_stats(struct table *table, struct table_stats *stats);

#endif
