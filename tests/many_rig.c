/* many_rig.c -- given: see many_rig.h. */
#include "tests/many_rig.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/lock.h"
#include "stage5-compaction/background.h"
#include "stage5-compaction/compact.h"

/* ---- The store ----------------------------------------------------------- */

int rig_try_open(struct rig *r)
{
    r->store = NULL;
    int err = store_open(&r->store, r->dir, &r->options);

    if (!err && r->alone)
        expect_int("keeping the compactors away", background_enter(r->store),
                   0);
    return err;
}

void rig_open(struct rig *r)
{
    expect_int("store_open", rig_try_open(r), 0);
}

void rig_make(struct rig *r, struct store_options options)
{
    *r = (struct rig){ .options = options };
    scratch_make(r->dir);
    rig_open(r);
}

void rig_make_alone(struct rig *r, struct store_options options)
{
    *r = (struct rig){ .options = options, .alone = true };
    scratch_make(r->dir);
    rig_open(r);
}

void rig_compacts(struct rig *r)
{
    struct segment *inputs[COMPACT_INPUTS];

    expect_int("compact_pick of a fresh store",
               compact_pick(r->store, inputs, true), 0);
}

void rig_close(struct rig *r)
{
    expect_int("store_close", store_close(r->store), 0);
    r->store = NULL;
}

void rig_leave(struct rig *r)
{
    if (r->store)
        rig_close(r);
    scratch_remove(r->dir);
}

void rig_hints(struct rig *r)
{
    rig_close(r);
    rig_open(r);
}

int rig_put(struct rig *r, const char *key, const char *value)
{
    return store_set(r->store, slice_str(key), slice_str(value));
}

int rig_drop(struct rig *r, const char *key)
{
    return store_remove(r->store, slice_str(key));
}

void key_of(char key[32], size_t n)
{
    snprintf(key, 32, "key%zu", n);
}

void check_value(const char *file, int line, const char *tried, struct rig *r,
                 const char *key, const char *text)
{
    struct buf value = { 0 };
    int err = store_get(r->store, slice_str(key), &value);

    if (err != (text ? 0 : -ENOENT))
        fail_case(file, line, tried, text ? text : "-ENOENT", "%s (key %s)",
                  err ? strerrorname_np(-err) : "a value", key);
    if (text && !slice_equal(buf_slice(&value), slice_str(text)))
        fail_case(file, line, tried, text, "%.*s (key %s)",
                  (int)(value.len < 200 ? value.len : 200),
                  (const char *)value.ptr, key);
    buf_release(&value);
}

struct store_stats rig_stats(struct rig *r)
{
    struct store_stats stats = { .keys = 77 };

    store_stats(r->store, &stats);
    return stats;
}

/* ---- Segments ------------------------------------------------------------ */

uint64_t rig_active(struct rig *r)
{
    commit_enter(&r->store->commit);
    uint64_t generation = r->store->active ? r->store->active->generation : 0;
    commit_leave(&r->store->commit);
    return generation;
}

struct segment *rig_segment(struct rig *r, uint64_t generation)
{
    struct segments *set = &r->store->set;

    mutex_lock(&set->lock);
    struct segment *s = set->first;
    while (s && s->generation != generation)
        s = s->next;
    mutex_unlock(&set->lock);
    return s;
}

size_t rig_segments(struct rig *r, bool sealed)
{
    struct segments *set = &r->store->set;
    size_t n = 0;

    mutex_lock(&set->lock);
    for (const struct segment *s = set->first; s; s = s->next)
        n += s->sealed || !sealed;
    mutex_unlock(&set->lock);
    return n;
}

/* (What a compaction has made stays in its hand if it could not remove what
 * it replaces.) */
static bool is_quiet(void *arg)
{
    struct rig *r = arg;
    struct segments *set = &r->store->set;
    bool quiet = true;

    mutex_lock(&set->lock);
    for (const struct segment *s = set->first; s; s = s->next)
        quiet = quiet && (!s->busy || s->merged) &&
                (r->alone || !s->sealed || s->hinted);
    mutex_unlock(&set->lock);
    return quiet;
}

void rig_quiet(struct rig *r)
{
    expect_soon("the store at rest (I13: inputs of a failed compaction are put "
                "back)", "nobody has a segment in hand", is_quiet, r);
}

/* Of those that compactions have made. */
static uint64_t newest_made(struct rig *r)
{
    struct segments *set = &r->store->set;
    uint64_t newest = 0;

    mutex_lock(&set->lock);
    for (const struct segment *s = set->first; s; s = s->next)
        newest = s->merged ? s->generation : newest;
    mutex_unlock(&set->lock);
    return newest;
}

struct taking {
    struct rig *r;
    struct segment **these;
    size_t n;
};

/* A hint may just be written, by a thread that has it in hand meanwhile. */
static bool can_take(void *arg)
{
    struct taking *t = arg;

    return segments_take(&t->r->store->set, t->these, t->n);
}

int rig_merge(struct rig *r, const uint64_t *generations, size_t n,
              uint64_t *made)
{
    struct segment *these[COMPACT_INPUTS];
    struct taking taking = { r, these, n };
    uint64_t before = newest_made(r);

    for (size_t i = 0; i < n; i++) {
        these[i] = rig_segment(r, generations[i]);
        expect_true("a segment to be compacted is there", these[i] != NULL);
    }
    expect_soon("taking segments for a compaction", "they are sealed and "
                "nobody has them in hand", can_take, &taking);
    int err = compact_these(r->store, these, n);
    uint64_t now = newest_made(r);
    if (made)
        *made = !err && now > before ? now : 0;
    return err;
}

int rig_merge_sealed(struct rig *r)
{
    struct segments *set = &r->store->set;
    uint64_t these[COMPACT_INPUTS];
    size_t n = 0;

    rig_quiet(r);
    mutex_lock(&set->lock);
    for (const struct segment *s = set->first; s && n < COMPACT_INPUTS;
         s = s->next)
        if (s->sealed && !s->busy)
            these[n++] = s->generation;
    mutex_unlock(&set->lock);
    return n ? rig_merge(r, these, n, NULL) : 0;
}

int rig_compact(struct rig *r)
{
    if (r->alone)
        background_leave(r->store);
    int err = store_compact(r->store);
    if (r->alone)
        expect_int("keeping the compactors away", background_enter(r->store),
                   0);
    return err;
}

/* ---- Files --------------------------------------------------------------- */

void rig_path(char path[200], const struct rig *r, uint64_t generation,
              const char *end)
{
    snprintf(path, 200, "%s/%08llu%s", r->dir,
             (unsigned long long)generation, end);
}

static bool ends(const char *name, const char *end)
{
    size_t len = strlen(name), n = strlen(end);

    return len >= n && strcmp(name + len - n, end) == 0;
}

size_t files_ending(const char *dir, const char *end)
{
    size_t n = 0;
    DIR *d = opendir(dir);

    for (struct dirent *e; d && (e = readdir(d));)
        n += e->d_name[0] != '.' && ends(e->d_name, end);
    if (d)
        closedir(d);
    return n;
}

void remove_ending(const char *dir, const char *end)
{
    DIR *d = opendir(dir);

    for (struct dirent *e; d && (e = readdir(d));)
        if (e->d_name[0] != '.' && ends(e->d_name, end))
            unlinkat(dirfd(d), e->d_name, 0);
    if (d)
        closedir(d);
}

size_t bytes_in(const char *dir)
{
    struct stat st;
    size_t sum = 0;
    DIR *d = opendir(dir);

    for (struct dirent *e; d && (e = readdir(d));)
        if (e->d_name[0] != '.' && fstatat(dirfd(d), e->d_name, &st, 0) == 0)
            sum += (size_t)st.st_size;
    if (d)
        closedir(d);
    return sum;
}

size_t read_file(const char *path, void *bytes, size_t most)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, bytes, most);

    if (n < 0)
        fail_case(__FILE__, __LINE__, "reading a file of the store", path,
                  "%s", strerror(errno));
    close(fd);
    return (size_t)n;
}

void write_file(const char *path, const void *bytes, size_t len)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

    expect_int("writing a file", write(fd, bytes, len), len);
    close(fd);
}

void flip_byte(const char *path, size_t at)
{
    unsigned char byte;
    int fd = open(path, O_RDWR | O_CLOEXEC);

    expect_int("the byte to be flipped", pread(fd, &byte, 1, (off_t)at), 1);
    byte ^= 0x10;
    expect_int("flipping it", pwrite(fd, &byte, 1, (off_t)at), 1);
    close(fd);
}

static size_t held_by_maps(const char *dir)
{
    char line[600];
    size_t n = 0;
    FILE *f = fopen("/proc/self/maps", "re");

    while (f && fgets(line, sizeof line, f))
        n += strstr(line, dir) && strstr(line, "(deleted)");
    if (f)
        fclose(f);
    return n;
}

size_t deleted_held(const char *dir)
{
    char target[600];
    size_t n = held_by_maps(dir);
    DIR *d = opendir("/proc/self/fd");

    for (struct dirent *e; d && (e = readdir(d));) {
        ssize_t len = readlinkat(dirfd(d), e->d_name, target,
                                 sizeof target - 1);
        target[len > 0 ? len : 0] = '\0';
        n += strstr(target, dir) && strstr(target, "(deleted)");
    }
    if (d)
        closedir(d);
    return n;
}

unsigned descriptors(void)
{
    unsigned n = 0;
    DIR *d = opendir("/proc/self/fd");

    for (struct dirent *e; d && (e = readdir(d));)
        n += e->d_name[0] != '.';
    if (d)
        closedir(d);
    return n;
}

/* ---- In between ---------------------------------------------------------- */

static _Thread_local struct hook {
    hook_fn *fn;
    void *arg;
    bool inside;                /* not for what the hook calls itself */
} hooks[HOOKS];

void hook_set(enum hook_at at, hook_fn *fn, void *arg)
{
    hooks[at].fn = fn;
    hooks[at].arg = arg;
}

static void come_by(enum hook_at at, struct slice key)
{
    struct hook *hook = &hooks[at];

    if (!hook->fn || hook->inside)
        return;
    hook->inside = true;
    hook->fn(hook->arg, key);
    hook->inside = false;
}

#define HOOKED(result, fn, params, args, at, key) \
    result __real_##fn params; \
    result __wrap_##fn params; \
    result __wrap_##fn params \
    { \
        come_by(at, key); \
        return __real_##fn args; \
    }

HOOKED(int, segment_append, (struct segment *s, struct record *records,
                             size_t n, struct log_position *positions,
                             bool roomy),
       (s, records, n, positions, roomy), HOOK_COPY, records[0].key)
HOOKED(int, table_update, (struct table *table, struct slice key,
                           table_update_fn *fn, void *arg),
       (table, key, fn, arg), HOOK_SWITCH, key)
HOOKED(int, table_insert, (struct table *table, struct slice key,
                           struct slice value),
       (table, key, value), HOOK_SWITCH, key)
HOOKED(int, log_read, (struct log_file *log, const struct log_position *at,
                       struct slice key, struct buf *value),
       (log, at, key, value), HOOK_READ, key)

static _Thread_local bool no_dir_syncs, in_sync_names;

void dir_syncs_fail(bool fail)
{
    no_dir_syncs = fail;
}

int __real_dir_sync(const struct dir *dir);
int __wrap_dir_sync(const struct dir *dir);
int __wrap_dir_sync(const struct dir *dir)
{
    if (!in_sync_names)
        come_by(HOOK_SYNC_DIR, (struct slice){ 0 });
    return no_dir_syncs ? -EIO : __real_dir_sync(dir);
}

/* Before it, for within it nobody else can. */
int __real_store_sync_names(struct store *store);
int __wrap_store_sync_names(struct store *store);
int __wrap_store_sync_names(struct store *store)
{
    come_by(HOOK_SYNC_DIR, (struct slice){ 0 });
    in_sync_names = true;
    int err = __real_store_sync_names(store);
    in_sync_names = false;
    return err;
}

static _Thread_local bool no_lookups;

void lookups_fail(bool fail)
{
    no_lookups = fail;
}

ssize_t __real_table_lookup(struct table *table, struct slice key, void *to,
                            size_t room);
ssize_t __wrap_table_lookup(struct table *table, struct slice key, void *to,
                            size_t room);
ssize_t __wrap_table_lookup(struct table *table, struct slice key, void *to,
                            size_t room)
{
    return no_lookups ? -ENOMEM : __real_table_lookup(table, key, to, room);
}

void __real_table_lookup_many(struct table *table,
                              struct table_lookup *lookups, size_t n);
void __wrap_table_lookup_many(struct table *table,
                              struct table_lookup *lookups, size_t n);
void __wrap_table_lookup_many(struct table *table,
                              struct table_lookup *lookups, size_t n)
{
    if (!no_lookups)
        __real_table_lookup_many(table, lookups, n);
    for (size_t i = 0; i < n && no_lookups; i++)
        lookups[i].len = -ENOMEM;
}

int __real_segment_create(struct segment **out, const char *path,
                          uint64_t generation, const char *suffix,
                          const struct segment_label *label);
int __wrap_segment_create(struct segment **out, const char *path,
                          uint64_t generation, const char *suffix,
                          const struct segment_label *label);
int __wrap_segment_create(struct segment **out, const char *path,
                          uint64_t generation, const char *suffix,
                          const struct segment_label *label)
{
    if (*suffix)
        come_by(HOOK_MAKE, slice_str(suffix));
    return __real_segment_create(out, path, generation, suffix, label);
}

/* A second is plenty for who can go on, and not too long for who cannot. */
void meanwhile_do(struct meanwhile *m, void (*fn)(void *), void *arg)
{
    actor_start(&m->actor, fn, arg);
    m->running = true;
    for (unsigned us = 20, all = 0; all < 1000000 && !actor_done(&m->actor);) {
        usleep(us);
        all += us;
        us = us < 5000 ? 2 * us : us;
    }
    if (actor_done(&m->actor))
        meanwhile_end(m);
}

void meanwhile_end(struct meanwhile *m)
{
    if (m->running)
        actor_join(&m->actor);
    m->running = false;
}
