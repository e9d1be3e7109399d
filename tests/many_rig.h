/* many_rig.h -- a store of many logs in the hands of a test: where a change
 * lies, what is compacted, and what comes in between.
 *
 * Given.
 *
 * With a segment size of 1 each batch of changes goes to a segment of its
 * own; and when the store's own compactors are kept away, a test compacts
 * which of them it likes, in any order.
 */
#ifndef TESTS_MANY_RIG_H
#define TESTS_MANY_RIG_H

#include <string.h>

#include "common/buf.h"
#include "stage5-compaction/store_parts.h"
#include "tests/driver.h"
#include "tests/scratch.h"

struct rig {
    char dir[64];
    struct store *store;
    struct store_options options;
    bool alone;             /* its own compactors are kept away */
};

/* A store in a fresh directory, opened. */
void rig_make(struct rig *r, struct store_options options);
/* The same, alone. */
void rig_make_alone(struct rig *r, struct store_options options);

/* Asks compact_pick of a fresh store: where compaction is not written, a case
 * that waits for the compactors ends here, and says so. */
void rig_compacts(struct rig *r);
void rig_open(struct rig *r);
int rig_try_open(struct rig *r);
void rig_close(struct rig *r);
void rig_leave(struct rig *r);      /* closes and removes all */

/* Sees to it that each sealed segment has a hint, which opening writes if it
 * is not there; who is alone writes none meanwhile. */
void rig_hints(struct rig *r);

/* Keys and values that are texts. */
int rig_put(struct rig *r, const char *key, const char *value);
int rig_drop(struct rig *r, const char *key);
void key_of(char key[32], size_t n);

/* The key's value is this text; NULL: there is none. */
#define expect_value(tried, r, key, text) \
    check_value(__FILE__, __LINE__, tried, r, key, text)
void check_value(const char *file, int line, const char *tried, struct rig *r,
                 const char *key, const char *text);

struct store_stats rig_stats(struct rig *r);

/* The generation of the segment that takes changes now; 0: none. */
uint64_t rig_active(struct rig *r);

/* The segment of that generation, NULL if it is not there any more. */
struct segment *rig_segment(struct rig *r, uint64_t generation);

/* How many there are; sealed ones only, if asked. */
size_t rig_segments(struct rig *r, bool sealed);

/* Takes and compacts these, as a compactor would; *made (unless NULL) is the
 * generation of what has come of it, 0 if nothing has. */
int rig_merge(struct rig *r, const uint64_t *generations, size_t n,
              uint64_t *made);

/* All that are sealed now, as one, or several if they are many. */
int rig_merge_sealed(struct rig *r);

/* store_compact, also when it is alone. */
int rig_compact(struct rig *r);

/* Waits until no thread of the store has a segment in hand. */
void rig_quiet(struct rig *r);

/* Files: the path of a generation's log (end ".log", ".log.new") or hint
 * (".hint"); how many names end so; bytes of all. */
void rig_path(char path[200], const struct rig *r, uint64_t generation,
              const char *end);
size_t files_ending(const char *dir, const char *end);
size_t bytes_in(const char *dir);
size_t read_file(const char *path, void *bytes, size_t most);
void write_file(const char *path, const void *bytes, size_t len);
void flip_byte(const char *path, size_t at);
void remove_ending(const char *dir, const char *end);

/* Lines of /proc/self/maps and descriptors that name a file below dir which
 * has been removed. */
size_t deleted_held(const char *dir);

unsigned descriptors(void);

/* ---- In between ---------------------------------------------------------- */

/* Where a test can step in: before the call, in the thread that has asked for
 * it, and only there. The program is linked so that these calls come by. */
enum hook_at {
    HOOK_COPY,      /* segment_append */
    HOOK_SWITCH,    /* table_update or table_insert; the key is told */
    HOOK_READ,      /* log_read; the key is told */
    HOOK_MAKE,      /* segment_create of a file that ends in .new */
    HOOK_SYNC_DIR,  /* store_sync_names, dir_sync */
    HOOKS
};
typedef void hook_fn(void *arg, struct slice key);
void hook_set(enum hook_at at, hook_fn *fn, void *arg);     /* NULL: none */

/* From now on each dir_sync of the thread fails with -EIO, or works again. */
void dir_syncs_fail(bool fail);

/* From now on the thread's lookups in the index find no memory, or do again. */
void lookups_fail(bool fail);

/* What somebody else does in another thread, and whether it could end before
 * the caller went on: within a second, for the caller may hold a lock. */
struct meanwhile {
    struct actor actor;
    bool running;
};
void meanwhile_do(struct meanwhile *m, void (*fn)(void *), void *arg);
void meanwhile_end(struct meanwhile *m);

/* The cases of each file. */
extern const struct test_case many_open_cases[], many_damage_cases[],
    many_compact_cases[], many_hard_cases[], many_tomb_cases[],
    many_crash_cases[];

#endif
