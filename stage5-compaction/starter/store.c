/* store.c -- yours: stage 5B, task 5.5. */
#include "stage2-server/store.h"

#include "common/not_written.h"
#include "stage5-compaction/background.h"
#include "stage5-compaction/batch.h"
#include "stage5-compaction/compact.h"
#include "stage5-compaction/load.h"
#include "stage5-compaction/store_parts.h"

/* `struct store` is in store_parts.h. */

int store_open(struct store **out, const char *dir,
               const struct store_options *options)
{
    /* store_make; open each segment of store_logs and add it to the set; drop
     * those that another one replaces; remove leftovers; open the active one
     * for appending; load_index; background_start. */
    (void)out, (void)dir, (void)options;
    return not_written("5.5");
}

int store_close(struct store *store)
{
    /* Stop the background, seal what is active, store_free. NULL is allowed. */
    (void)store;
    return not_written("5.5");
}

int store_read(struct store *store, struct slice key,
               const struct place *place, struct buf *value)
{
    /* From the slot the segment, from its log the bytes. */
    (void)store, (void)key, (void)place, (void)value;
    return not_written("5.5");
}

int store_get(struct store *store, struct slice key, struct buf *value)
{
    /* Check the key; inside the epoch: the index, then store_read. */
    (void)store, (void)key, (void)value;
    return not_written("5.5");
}

int store_write(struct store *store, struct record *records, size_t n,
                struct log_position *positions)
{
    /* Is there an active segment, and room in it? Else seal it, begin the
     * next one. Then segment_append, and the sync that `always` asks for. */
    (void)store, (void)records, (void)n, (void)positions;
    return not_written("5.5");
}

int store_seal_active(struct store *store)
{
    /* All of it on the disk, the mark at its end, segment_seal. */
    (void)store;
    return not_written("5.5");
}

int store_learn(struct store *store, const struct record *record,
                const struct log_position *position)
{
    /* table_update: note the old place, put the new one; tell the set. */
    (void)store, (void)record, (void)position;
    return not_written("5.5");
}

int store_apply(struct store *store, struct store_op *ops, size_t n)
{
    /* Only gets: batch_gets. Else background_admit, then a struct batch for
     * commit_run. */
    (void)store, (void)ops, (void)n;
    return not_written("5.5");
}

int store_set(struct store *store, struct slice key, struct slice value)
{
    /* A batch of one, as in stage 2. */
    (void)store, (void)key, (void)value;
    return not_written("5.5");
}

int store_remove(struct store *store, struct slice key)
{
    /* A batch of one, as in stage 2. */
    (void)store, (void)key;
    return not_written("5.5");
}

int store_scan(struct store *store, store_scan_fn *fn, void *arg)
{
    /* table_each, and a get for each key; it may be gone by then. */
    (void)store, (void)fn, (void)arg;
    return not_written("5.5");
}

int store_sync(struct store *store)
{
    /* store_make_durable; -EROFS once a sync has failed. */
    (void)store;
    return not_written("5.5");
}

int store_compact(struct store *store)
{
    /* Alone with it (background_enter): compact_all. */
    (void)store;
    return not_written("5.5");
}

void store_stats(struct store *store, struct store_stats *stats)
{
    /* store_count knows all of it. */
    (void)store, (void)stats;
    not_written("5.5");
}

size_t store_key_max(struct store *store)
{
    /* RECORD_KEY_MAX. */
    (void)store;
    not_written("5.5");
    return 0;
}

const char *store_engine(struct store *store)
{
    /* The engine's name: the directory's marker has it, too. */
    (void)store;
    return "kvs";
}
