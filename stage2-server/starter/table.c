/* table.c -- yours: stage 2A, tasks 2.2, 2.3. */
#include "stage2-server/table.h"

#include "common/not_written.h"
#include "stage2-server/slab.h"

/* Buckets, each the head of a chain of pairs that lie in a slab; and several
 * locks, each for a part of the buckets. Say which lock guards what. */
struct table {
    int unused;
};

int table_create(struct table **out, const struct table_options *options)
{
    /* options may be NULL. On an error free what you have. */
    (void)out, (void)options;
    return not_written("2.2");
}

void table_destroy(struct table *table)
{
    /* The slab frees all pairs at once; NULL is allowed. */
    (void)table;
    not_written("2.2");
}

int table_insert(struct table *table, struct slice key, struct slice value)
{
    /* Have the new memory before you touch the old. Task 2.3: grow when the
     * chains have become long. */
    (void)table, (void)key, (void)value;
    return not_written("2.2");
}

ssize_t table_lookup(struct table *table, struct slice key, void *to,
                     size_t room)
{
    /* Copy while you hold the lock; afterwards it may be gone. */
    (void)table, (void)key, (void)to, (void)room;
    return not_written("2.2");
}

void table_lookup_many(struct table *table, struct table_lookup *lookups,
                       size_t n)
{
    for (size_t i = 0; i < n; i++)
        lookups[i].len = table_lookup(table, lookups[i].key, lookups[i].to,
                                      lookups[i].room);
}

int table_delete(struct table *table, struct slice key)
{
    /* Unlink it, then give its memory back. */
    (void)table, (void)key;
    return not_written("2.2");
}

int table_update(struct table *table, struct slice key, table_update_fn *fn,
                 void *arg)
{
    /* Nobody may change this key between what fn sees and what you do. */
    (void)table, (void)key, (void)fn, (void)arg;
    return not_written("2.2");
}

int table_each(struct table *table, table_each_fn *fn, void *arg)
{
    /* Copy some pairs under a lock, call fn without it, go on from there:
     * where is that, if the table has grown meanwhile? */
    (void)table, (void)fn, (void)arg;
    return not_written("2.3");
}

size_t table_count(struct table *table)
{
    /* Whoever adds or takes away a key counts it. */
    (void)table;
    not_written("2.2");
    return 0;
}

void table_stats(struct table *table, struct table_stats *stats)
{
    /* Keys, buckets, and all memory: slab_stats has most of it. */
    (void)table, (void)stats;
    not_written("2.2");
}
