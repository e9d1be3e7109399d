/* kvs_logs.h -- all logs of a store's directory, for `kvs dump`, `verify` and
 * `repair`, without opening the store.
 *
 * Given. It stands on stage 2's kvs_source.h, which takes one log apart.
 *
 * Which logs count, and which one is the active one, is decided as store.c
 * does it, from their labels. A directory of stage 2 has one log that counts.
 *
 * What is damage? In the active log, what stage 2 says: a torn tail is none.
 * A sealed one is on the disk wholly, so there all is damage that is no
 * record; and as it ends in a mark, one that does not was cut off: then there
 * is one more piece at its end, of no bytes. (The newest one is sealed, too, if
 * it has a good hint: that is written afterwards.) A log that another replaces does
 * not count; but one that cannot be opened is damage, as the store sees it.
 *
 * Errors:  0 or a negative errno, as kvs_files.h's.
 * Threads: one.
 */
#ifndef STAGE5_KVS_LOGS_H
#define STAGE5_KVS_LOGS_H

#include "stage2-server/kvs_source.h"

struct one_log {
    uint64_t generation, birth;
    uint64_t *replaces;         /* so many generations; owned */
    size_t n_replaces;
    uint64_t torn;              /* filled in by kvs_files.c */
    bool label;                 /* it has one */
    bool no_label;              /* it had one, or may have had: it is lost */
    bool bad;                   /* the store cannot open it */
    bool empty;                 /* making it was interrupted */
    bool replaced;              /* it does not count */
    bool active;
};

struct logs {
    struct source source;       /* the log that is looked at */
    struct one_log *all;        /* by generation, upwards; owned */
    size_t n;
    const struct one_log *at;   /* that one of them */
    uint64_t highest;           /* of all generations, also replaced ones */
};

/* Locks the directory, and finds out what each log is. */
int logs_open(struct logs *logs, const char *path, bool read_only);
void logs_close(struct logs *logs);

/* Looks at that log and calls fn with each piece, in order. */
int logs_each(struct logs *logs, size_t i, piece_fn *fn, void *arg);

/* Whether the piece, of the log that is looked at, is damage. */
bool logs_damaged(const struct logs *logs, const struct piece *piece);

/* Of the log that is looked at, in which there is no damage: does it have a
 * hint, and does that say what the log says? 0; -ENOENT; -EBADMSG: the store
 * will not believe it, so it does no harm; -EILSEQ: the store would believe it,
 * and it is wrong.  (kvs_hints.c) */
int logs_check_hint(struct logs *logs, size_t i);

/* Whether a record is a label, and whether it makes sense. */
bool logs_is_label(const struct record *record);

/* Another log that counts was born before the change of that number, so a
 * removal with that number must stay. */
bool logs_pin(const struct logs *logs, uint64_t sequence);

#endif
