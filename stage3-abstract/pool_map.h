/* pool_map.h -- other names for the functions of pool.h.
 *
 * Given.
 *
 * Two pools cannot stand in one program: both define pool_create. So each is
 * compiled once more with
 *
 *     -DPOOL_AS=steal -include stage3-abstract/pool_map.h
 *
 * and the same source then defines, and declares, steal_create and so on.
 * Nothing in it has to be written with that in mind. pool_ops.c, compiled
 * the same way, puts the new names into a table; pool_any.c picks a table.
 *
 * Included before everything else, so it includes nothing itself.
 */
#ifndef STAGE3_POOL_MAP_H
#define STAGE3_POOL_MAP_H

#define POOL_GLUE(name, what) name##_##what
#define POOL_NAMED(name, what) POOL_GLUE(name, what)
#define POOL_QUOTE(name) #name
#define POOL_QUOTED(name) POOL_QUOTE(name)

#define pool_create     POOL_NAMED(POOL_AS, create)
#define pool_submit     POOL_NAMED(POOL_AS, submit)
#define pool_try_submit POOL_NAMED(POOL_AS, try_submit)
#define pool_wait       POOL_NAMED(POOL_AS, wait)
#define pool_destroy    POOL_NAMED(POOL_AS, destroy)

#endif
