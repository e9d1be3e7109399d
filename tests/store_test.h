/* store_test.h -- what the cases of a store share.
 *
 * Given.
 */
#ifndef TESTS_STORE_TEST_H
#define TESTS_STORE_TEST_H

#include "common/buf.h"
#include "stage2-server/store.h"
#include "tests/driver.h"
#include "tests/scratch.h"

/* Which store it is, and what it promises. Compiled once for each of those of
 * stage 3, with STORE_NAME naming it and STORE_IS_... */
#ifndef STORE_NAME
#define STORE_NAME "kvs"
#endif
/* Descriptors of an open store. */
#ifdef STORE_IS_many
enum { STORE_FILES = 16 };      /* one a segment, and there are few */
#else
enum { STORE_FILES = 6 };
#endif
#ifdef STORE_IS_mem
enum { STORE_KEEPS = 0 };       /* what was set is there when it is reopened */
#else
enum { STORE_KEEPS = 1 };
#endif
#ifdef STORE_IS_lmdb
enum { STORE_KEY_MAX = 511 };
#else
enum { STORE_KEY_MAX = 128 * 1024 };
#endif

/* A store in a fresh directory. One that keeps nothing is not closed before
 * the end: what a case finds when it has reopened it is then, too, what it
 * must find. */
struct place {
    char dir[64];
    struct store *store;
    struct store_options options;
};

void place_make(struct place *p, struct store_options options);
void place_open(struct place *p);       /* again, after place_close */
void place_close(struct place *p);
void place_leave(struct place *p);      /* closes and removes all */

int put(struct store *s, const char *key, const char *value);
int drop(struct store *s, const char *key);

/* The key's value is this text; NULL: there is none. */
#define expect_value(tried, s, key, text) \
    check_value(__FILE__, __LINE__, tried, s, key, text)
void check_value(const char *file, int line, const char *tried,
                 struct store *s, const char *key, const char *text);

/* Bytes of all files in the directory. */
size_t bytes_in(const char *dir);

struct store_stats stats_of(struct store *s);

/* store_hard_test.c: crowds, processes, compaction. */
extern const struct test_case store_hard_cases[];

/* store_history_test.c: is there an order of what threads see? */
extern const struct test_case store_history_cases[];

/* store_mem_test.c, store_lmdb_test.c: what only that one promises. */
extern const struct test_case store_own_cases[];

#endif
