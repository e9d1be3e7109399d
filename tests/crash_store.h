/* crash_store.h -- a store under the crash explorer: changes that are noted,
 * and a look at what is left of them.
 *
 * Given.
 */
#ifndef TESTS_CRASH_STORE_H
#define TESTS_CRASH_STORE_H

#include "stage2-server/store.h"
#include "tests/crash.h"
#include "tests/driver.h"

enum { VALUE_ROOM = 6000 };

/* Keys and values as bytes. A value's length goes up and down with its
 * number: some fill a few sectors, some more than a page. */
struct slice key_bytes(unsigned key, char text[32]);
struct slice value_bytes(unsigned value, unsigned char bytes[VALUE_ROOM]);

/* The number of these bytes, or CRASH_GARBAGE. */
unsigned value_number(struct slice bytes);

/* For a batch; value CRASH_ABSENT removes the key. */
struct crash_pair {
    unsigned key, value;
};

/* A store in root/s, and the stream of one who changes it. */
struct user {
    struct store *store;
    enum store_durability durability;
    unsigned stream;
};

int user_open(struct user *u, const char *root,
              enum store_durability durability, size_t segment_size);

/* Each notes what it asks for and, when it is answered 0, what that
 * promises; and answers what the store did. */
int user_set(struct user *u, unsigned key, unsigned value);
int user_remove(struct user *u, unsigned key);
int user_batch(struct user *u, const struct crash_pair *pairs, size_t n);
int user_sync(struct user *u);
int user_compact(struct user *u);
int user_close(struct user *u);

/* What the store has for the key: a value's number, CRASH_ABSENT,
 * CRASH_GARBAGE or a negative errno. */
int stored(struct store *store, unsigned key);

/* All keys by get, and that a scan sees the same; false and why not. */
bool all_stored(struct store *store, struct crash_seen *seen);

/* A crash_look_fn; arg: */
struct looker {
    size_t segment_size;
    unsigned files;         /* at most so many in a store at rest */
    unsigned every;         /* every so many-th disk is worked with, too, */
    bool compacts;          /* and compacted */
};
void store_look(void *arg, const char *root, unsigned nth,
                struct crash_seen *seen);

/* How a case explores what it has recorded. */
struct exploration {
    const char *tried;
    bool power, compacts, keep;
    bool one_cut;           /* of a call; always with power */
    unsigned per_moment, every, files;
    size_t segment_size;
};
void store_explore(const struct run *run, const struct exploration *e);

/* How many files the store in root/s has. */
unsigned store_files(const char *root);

#endif
