/* store_map.h -- gives one store's functions names of its own.
 *
 * Given. Included by the compiler (-include), never by a file: each store is
 * compiled once as it is, for programs that have only that one, and once more
 * with -DSTORE_AS=kvs (lmdb, mem) and this header in front, for programs that
 * have them all. Its source says store_open either way; the object then says
 * kvs_store_open.
 *
 * Each name is a macro with arguments, so that it changes calls and
 * definitions but not `struct store_stats`, which has a function's name.
 */
#ifndef STAGE3_STORE_MAP_H
#define STAGE3_STORE_MAP_H

#define STORE_PASTE(as, name) as##_##name
#define STORE_NAMED(as, name) STORE_PASTE(as, name)

#define store_open(...)    STORE_NAMED(STORE_AS, store_open)(__VA_ARGS__)
#define store_close(...)   STORE_NAMED(STORE_AS, store_close)(__VA_ARGS__)
#define store_get(...)     STORE_NAMED(STORE_AS, store_get)(__VA_ARGS__)
#define store_set(...)     STORE_NAMED(STORE_AS, store_set)(__VA_ARGS__)
#define store_remove(...)  STORE_NAMED(STORE_AS, store_remove)(__VA_ARGS__)
#define store_apply(...)   STORE_NAMED(STORE_AS, store_apply)(__VA_ARGS__)
#define store_scan(...)    STORE_NAMED(STORE_AS, store_scan)(__VA_ARGS__)
#define store_sync(...)    STORE_NAMED(STORE_AS, store_sync)(__VA_ARGS__)
#define store_compact(...) STORE_NAMED(STORE_AS, store_compact)(__VA_ARGS__)
#define store_stats(...)   STORE_NAMED(STORE_AS, store_stats)(__VA_ARGS__)
#define store_key_max(...) STORE_NAMED(STORE_AS, store_key_max)(__VA_ARGS__)
#define store_engine(...)  STORE_NAMED(STORE_AS, store_engine)(__VA_ARGS__)

/* What store_ops.c makes of them. */
#define store_ops_here STORE_NAMED(STORE_AS, store_ops)

#endif
