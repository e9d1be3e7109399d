/* imkv_bench.c -- how many operations imkv does; task 2.4.
 *
 * Given. See imkv_bench.h.
 */
#include "stage2-server/imkv.h"
#include "tests/imkv_bench.h"

static void bench_put(char *key, char *value)
{
    if (ht_insert(key, value) != HT_INSERT_OK)
        bench_fail("ht_insert failed");
}

static const char *bench_get(char *key, char to[BENCH_VALUE])
{
    char *value = to;

    if (ht_lookup(key, &value) != HT_FOUND)
        bench_fail("ht_lookup failed");
    return value;
}

int main(int argc, char **argv)
{
    if (ht_init(BENCH_KEYS) != HT_INIT_OK)
        bench_fail("ht_init failed");
    return bench_run(argc, argv);
}
