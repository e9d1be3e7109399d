/* store_ops.h -- a store as a table of functions; and the list of those that
 * this program has.
 *
 * You write: store_open_named.c (task 3.6)
 * Given:     store_ops.c (makes a table of any store), store_named.c (the
 *            dispatcher), store_list.c (the list)
 *
 * The dispatcher is one more implementation of store.h: its store_open looks
 * for the engine by name, and every other call is forwarded. Who uses store.h
 * sees no difference; who adds a store writes one file and names it in the
 * Makefile.
 *
 * Errors, Threads, Durability: store.h's; forwarding adds nothing.
 * Source: curl's "multi" TLS backend; liburcu's name maps.
 */
#ifndef STAGE3_STORE_OPS_H
#define STAGE3_STORE_OPS_H

#include "stage2-server/store.h"

/* All entries are there. A handle is what `open` has put into *out. */
struct store_ops {
    const char *name;       /* the engine's */
    int (*open)(void **out, const char *dir,
                const struct store_options *options);
    int (*close)(void *handle);
    int (*get)(void *handle, struct slice key, struct buf *value);
    int (*set)(void *handle, struct slice key, struct slice value);
    int (*remove)(void *handle, struct slice key);
    int (*apply)(void *handle, struct store_op *ops, size_t n);
    int (*scan)(void *handle, store_scan_fn *fn, void *arg);
    int (*sync)(void *handle);
    int (*compact)(void *handle);
    void (*stats)(void *handle, struct store_stats *stats);
    size_t (*key_max)(void *handle);
    const char *(*engine)(void *handle);
};

/* The stores of this program, ending with NULL; the first is the one that
 * makes a new directory when nobody names one. */
extern const struct store_ops *const store_engines[];

/* Finds the engine and opens the directory with it. `engines` ends with NULL
 * and has at least one. Which one:
 *
 *   options->engine   the one of that name; -ENOENT if there is none. A
 *                     directory that another has made: -EMEDIUMTYPE
 *   NULL (or options NULL)  the one that made the directory; -EMEDIUMTYPE if
 *                     that one is not in the list. The first of the list, if
 *                     there is no store in the directory, or no directory
 *
 * Refusing touches nothing: no file is made or changed, no engine's `open` is
 * called. A marker that cannot be read is answered with what dir_engine says.
 * What `open` answers is answered as it is (-ENOTSUP: a newer format). The
 * engine is told its own name in options->engine, and all other options as
 * they are. *ops and *handle are set on success only.  (3.6) */
int store_open_named(const struct store_ops *const engines[], const char *dir,
                     const struct store_options *options,
                     const struct store_ops **ops, void **handle);

#endif
