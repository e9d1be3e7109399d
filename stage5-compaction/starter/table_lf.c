/* table_lf.c -- yours: stage 5A, tasks 5.3, 5.4. */
#include "stage2-server/table.h"

#include "common/not_written.h"
#include "common/publish.h"
#include "stage2-server/slab.h"
#include "stage5-compaction/epoch.h"

/* Your table of stage 2 may be where you start. What readers follow are words
 * (void *_Atomic) now, that writers publish and readers acquire. Write down,
 * numbered, why a reader finds what it should, before you write the code. */
struct table {
    int unused;
};

int table_create(struct table **out, const struct table_options *options)
{
    /* As in stage 2; and an epoch. */
    (void)out, (void)options;
    return not_written("5.3");
}

void table_destroy(struct table *table)
{
    /* The epoch first: what it reclaims goes back to the slab. */
    (void)table;
    not_written("5.3");
}

int table_insert(struct table *table, struct slice key, struct slice value)
{
    /* Fill a new pair, then publish it; retire the one it replaces. When the
     * slab is full, memory may still wait for readers. Task 5.4: grow. */
    (void)table, (void)key, (void)value;
    return not_written("5.3");
}

ssize_t table_lookup(struct table *table, struct slice key, void *to,
                     size_t room)
{
    /* Inside an epoch (epoch_here) until the value is copied. No lock. */
    (void)table, (void)key, (void)to, (void)room;
    return not_written("5.3");
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
    /* Unlink it, then retire it. May another pair move meanwhile? */
    (void)table, (void)key;
    return not_written("5.3");
}

int table_update(struct table *table, struct slice key, table_update_fn *fn,
                 void *arg)
{
    /* Writers of one key still take turns. */
    (void)table, (void)key, (void)fn, (void)arg;
    return not_written("5.3");
}

int table_each(struct table *table, table_each_fn *fn, void *arg)
{
    /* This one may take locks, as in stage 2. */
    (void)table, (void)fn, (void)arg;
    return not_written("5.3");
}

size_t table_count(struct table *table)
{
    (void)table;
    not_written("5.3");
    return 0;
}

void table_stats(struct table *table, struct table_stats *stats)
{
    (void)table, (void)stats;
    not_written("5.3");
}
