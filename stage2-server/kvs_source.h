/* kvs_source.h -- a store's newest log in pieces, for `kvs dump`, `verify` and
 * `repair`.
 *
 * Given.
 *
 * A piece is a sound record, or the bytes between two of them. Behind damage a
 * record counts only when its sequence number is higher than those before: a
 * value may hold a copy of older records of this very file.
 *
 * Errors:  0 or a negative errno, as kvs_files.h's.
 * Threads: one.
 */
#ifndef STAGE2_KVS_SOURCE_H
#define STAGE2_KVS_SOURCE_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "stage2-server/dir.h"
#include "stage2-server/record.h"

struct source {
    struct dir dir;             /* locked */
    uint64_t generation;        /* of the newest log; 0: there is none */
    int fd;                     /* the log that is looked at, */
    char name[DIR_NAME_MAX];
    uint64_t size, salt;
    bool bad_header;            /* damaged; the salt may have been found */
    bool torn_header;           /* no records yet: the next open writes it */
    bool no_salt;
    uint64_t durable;           /* what the log says about itself */
    bool segment;               /* set by stage 5, before it looks at a log:
                                   the first record may be a label, */
    bool any_order;             /* and numbers need not rise */
};

struct piece {
    uint64_t offset, len;
    const struct record *record;    /* NULL: no sound record */
    uint64_t after;                 /* the sequence number before it */
    uint64_t unread;                /* bytes of it that cannot be read; zeros
                                       stand for them (and are right, if the
                                       checksum of a record says so) */
};

/* The piece is good during the call. An answer other than 0 ends it. */
typedef int piece_fn(void *arg, const struct piece *piece);

/* Locks the directory and looks at its newest log; -ENOENT, and nothing is
 * made, when there is none. */
int source_open(struct source *s, const char *path, bool read_only);
void source_close(struct source *s);

/* Makes the log of that generation the one that is looked at. */
int source_look_at(struct source *s, uint64_t generation);

/* Calls fn with each piece, in order: 0, what fn answered, or an error. */
int source_each(const struct source *s, piece_fn *fn, void *arg);

/* The piece's bytes, whatever they are, to the end of `to`. */
int source_copy(const struct source *s, const struct piece *piece, FILE *to);

/* Makes the file for what is lost of the log that is looked at, lost-NAME;
 * its name is then in `name`. *out is owned: fclose. */
int source_lost(const struct source *s, char name[2 * DIR_NAME_MAX],
                FILE **out);

/* The log that is looked at stays as unread-NAME when it is replaced: what
 * cannot be read now may be some other day. _keep gives it that name besides,
 * where files may have two, so that it has it when the new log gets its own;
 * _kept, once that is durable, in any case, and says so, and NAME may be
 * removed; _keep_not: it will not be replaced. */
void source_keep(const struct source *s);
int source_kept(const struct source *s);
void source_keep_not(const struct source *s);

/* Whether the piece is damage, and not the torn tail of a crash. */
bool source_damaged(const struct source *s, const struct piece *piece);

#endif
