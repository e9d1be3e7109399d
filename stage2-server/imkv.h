/* imkv.h -- an in-memory key/value library: one table for the whole program.
 *
 * You write: imkv.c (task 2.4)
 *
 * A chained hash table of num_buckets buckets. Keys and values are strings;
 * the table keeps copies, in one large chunk of IMKV_SLAB_BYTES bytes that
 * ht_init allocates: after it there is no malloc, an insert takes from the
 * chunk and a delete gives back to it. (What ht_lookup answers lies in
 * memory of the calling thread's own.) The empty string is a key like any
 * other.
 *
 * Errors:  the codes below; never a crash: num_buckets of 0 is
 *          HT_INIT_FAILED, and a NULL argument, or a call before ht_init,
 *          is the call's FAILED or NOTFOUND.
 * Threads: ht_insert, ht_lookup and ht_delete by any number of threads at
 *          once. ht_init by one, with no other call at the same time.
 *          The table is this library's only state, one for the process: the
 *          interface has no handle.
 */
#ifndef STAGE2_IMKV_H
#define STAGE2_IMKV_H

#ifndef IMKV_SLAB_BYTES
#define IMKV_SLAB_BYTES (64u << 20)     /* settable at compile time */
#endif

typedef enum {
    HT_INIT_OK,
    HT_INIT_FAILED,
    HT_INSERT_OK,
    HT_INSERT_FAILED,
    HT_FOUND,
    HT_NOTFOUND,
    HT_DELETE_OK,
    HT_DELETE_FAILED
} HT_RET;

/* Makes the table, empty; a second call starts again with an empty one. */
HT_RET ht_init(unsigned int num_buckets);

/* Sets the key's value, replacing the one it had. A full chunk is
 * HT_INSERT_FAILED, the table is as before, and deletes make room again:
 * after all is deleted, at least 90 % of what fitted first fits again, in
 * other sizes too. */
HT_RET ht_insert(char *key, char *val);

/* HT_FOUND: *val is a copy of the value, in memory of the calling thread's
 * own, good until that thread has called ht_lookup 16 more times (or has
 * ended); nobody frees it. HT_NOTFOUND also when there is no memory for it. */
HT_RET ht_lookup(char *key, char **val);

/* HT_DELETE_FAILED if the key is not there. */
HT_RET ht_delete(char *key);

#endif
