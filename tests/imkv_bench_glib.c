/* imkv_bench_glib.c -- the same load on GLib's hash table behind one
 * read-write lock: the baseline of task 2.4.
 *
 * Given.
 */
#include <glib.h>

#include "tests/imkv_bench.h"

static GHashTable *table;
static GRWLock lock;

static void bench_put(char *key, char *value)
{
    char *own_key = g_strdup(key), *own_value = g_strdup(value);

    g_rw_lock_writer_lock(&lock);
    g_hash_table_replace(table, own_key, own_value);
    g_rw_lock_writer_unlock(&lock);
}

static const char *bench_get(char *key, char to[BENCH_VALUE])
{
    g_rw_lock_reader_lock(&lock);
    const char *value = g_hash_table_lookup(table, key);
    if (!value)
        bench_fail("a key was lost");
    memcpy(to, value, strlen(value) + 1);
    g_rw_lock_reader_unlock(&lock);
    return to;
}

int main(int argc, char **argv)
{
    g_rw_lock_init(&lock);
    table = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    int status = bench_run(argc, argv);
    g_hash_table_destroy(table);
    g_rw_lock_clear(&lock);
    return status;
}
