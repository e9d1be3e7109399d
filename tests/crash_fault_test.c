/* crash_fault_test.c -- the other half of crash_test: processes that are
 * killed, and calls that fail.
 *
 * Given.
 *
 * No clock decides when: a process is killed at the k-th call that writes,
 * syncs or renames, half of a write done; a call fails likewise. With every
 * k, one after the other, or drawn from the seed.
 */
#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/crash_test.h"

/* What is being tried, for messages; one thread. */
static char trying[200];

#define TRY(...) snprintf(trying, sizeof trying, __VA_ARGS__)

static void mismatch(const char *expected, unsigned key, int value, int want)
{
    fail_case(__FILE__, __LINE__, trying, expected,
              "key %u has value %d, not %d (0: none, 65535: garbage, below 0: "
              "an errno)", key, value, want);
}

/* ---- A store, and what it must have -------------------------------------- */

struct trial {
    struct user u;
    char root[128];
    uint16_t want[CRASH_KEYS];
    bool failed_sync;
};

static void check_all(struct trial *t, const char *expected)
{
    for (unsigned k = 0; k < CRASH_KEYS; k++) {
        int value = stored(t->u.store, k);
        if (value != t->want[k])
            mismatch(expected, k, value, t->want[k]);
    }
}

/* A change, done or not: what is answered is so. */
static int change(struct trial *t, unsigned key, unsigned value)
{
    int err = value ? user_set(&t->u, key, value) : user_remove(&t->u, key);

    if (err == 0)
        t->want[key] = (uint16_t)value;
    int now = stored(t->u.store, key);
    if (now != t->want[key])
        mismatch(err ? "a change that failed is not there"
                     : "a change that was answered 0 is there",
                 key, now, t->want[key]);
    return err;
}

static void must(struct trial *t, unsigned key, unsigned value,
                 const char *tried)
{
    int err = change(t, key, value);

    if (err)
        fail_case(__FILE__, __LINE__, trying, tried, "-%s",
                  strerrorname_np(-err));
}

static void trial_new(struct trial *t, enum store_durability d)
{
    memset(t, 0, sizeof *t);
    scratch_make(t->root);
    crash_record(t->root);
    TRY("opening a new store");
    expect_int("store_open", user_open(&t->u, t->root, d, 0), 0);
}

/* Keys 0 to 5, with garbage in the log. */
static void trial_begin(struct trial *t, enum store_durability d)
{
    trial_new(t, d);
    TRY("setting keys in a new store");
    for (unsigned i = 0; i < 10; i++)
        must(t, i % 6, 1 + i, "store_set answers 0");
    must(t, 5, CRASH_ABSENT, "store_remove answers 0");
}

static void reopen(struct trial *t)
{
    int err;

    store_close(t->u.store);
    err = user_open(&t->u, t->root, t->u.durability, 0);
    if (err)
        fail_case(__FILE__, __LINE__, trying, "it opens again", "-%s",
                  strerrorname_np(-err));
}

static void trial_end(struct trial *t)
{
    crash_stop();
    store_close(t->u.store);
    crash_remove(t->root);
}

struct failing {
    const char *words;
    struct crash_fault fault;
    bool goes_through;      /* the call must be answered 0 all the same */
    bool may_stop_writing;  /* -EROFS is a fair answer afterwards */
};

static const struct failing *armed(const struct failing *f, unsigned at)
{
    struct crash_fault fault = f->fault;

    fault.at = at;
    crash_fault(&fault);
    return f;
}

/* ---- Changes whose calls fail -------------------------------------------- */

static const struct failing set_failing[] = {
    { "write %u takes half", { CRASH_WRITE, CRASH_SHORT, 0, 0, 1 }, true,
      false },
    { "each write from number %u on takes half",
      { CRASH_WRITE, CRASH_SHORT, 0, 0, 0 }, true, false },
    { "write %u is interrupted", { CRASH_WRITE, CRASH_FAIL, EINTR, 0, 1 },
      true, false },
    { "no room for write %u",
      { CRASH_WRITE | CRASH_GROW, CRASH_FAIL, ENOSPC, 0, 1 }, false, false },
    { "no room from write %u on",
      { CRASH_WRITE | CRASH_GROW, CRASH_FAIL, ENOSPC, 0, 0 }, false, false },
    { "half of write %u, and no room for the rest",
      { CRASH_WRITE | CRASH_GROW, CRASH_SHORT, ENOSPC, 0, 2 }, false, false },
    { "write %u fails", { CRASH_WRITE, CRASH_FAIL, EIO, 0, 1 }, false, true },
    { "each write and ftruncate from number %u on fails",
      { CRASH_WRITE | CRASH_RESIZE, CRASH_FAIL, EIO, 0, 0 }, false, true },
};

static void faulty_batch(struct trial *t, const struct failing *f)
{
    static const struct crash_pair batch[] = { { 3, 104 }, { 4, 105 },
                                               { 3, 106 } };
    int err = user_batch(&t->u, batch, 3);

    for (int i = 0; i < 3 && err == 0; i++)
        t->want[batch[i].key] = (uint16_t)batch[i].value;
    if (err && f->goes_through)
        fail_case(__FILE__, __LINE__, trying, "store_apply goes on",
                  "-%s", strerrorname_np(-err));
    check_all(t, "a batch is there, or it has failed and is not");
}

static void faulty_changes(struct trial *t, const struct failing *f)
{
    static const struct crash_pair steps[] = {
        { 0, 101 }, { 1, 102 }, { 2, CRASH_ABSENT }, { 0, 103 },
    };

    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        unsigned hits = crash_fault_hits();
        if (steps[i].value == t->want[steps[i].key])
            continue;       /* nothing to remove in a new store */
        int err = change(t, steps[i].key, steps[i].value);
        if (err && f->goes_through)
            fail_case(__FILE__, __LINE__, trying, "the change goes on",
                      "-%s", strerrorname_np(-err));
        if (err && !f->may_stop_writing && err != -f->fault.err)
            fail_case(__FILE__, __LINE__, trying, "the error is answered",
                      "-%s", strerrorname_np(-err));
        if (err && !f->may_stop_writing && crash_fault_hits() == hits)
            fail_case(__FILE__, __LINE__, trying,
                      "room again, and the store takes changes", "-%s",
                      strerrorname_np(-err));
    }
    faulty_batch(t, f);
}

/* True when the fault was hit. */
static bool set_fails(const struct failing *f, unsigned at, bool new_always)
{
    struct trial t;

    if (new_always)
        trial_new(&t, STORE_ALWAYS);
    else
        trial_begin(&t, STORE_NONE);
    TRY(f->words, at);
    armed(f, at);
    faulty_changes(&t, f);
    bool hit = crash_fault_hits() > 0;
    crash_fault(NULL);
    int err = change(&t, 6, 107);
    if (err && !(f->may_stop_writing && err == -EROFS))
        fail_case(__FILE__, __LINE__, trying, "a later set is answered 0",
                  "-%s", strerrorname_np(-err));
    check_all(&t, "all keys as before, the failed changes not done");
    reopen(&t);
    check_all(&t, "opened again, all keys as before");
    must(&t, 7, 108, "opened again, a set is answered 0");
    trial_end(&t);
    return hit;
}

/* Every write of some changes fails once: nothing but that change is lost. So
 * under STORE_ALWAYS, from the first change in a new store on: there may be
 * other writes than those of records. */
void set_faults(const struct run *run)
{
    (void)run;
    for (size_t i = 0; i < 2 * sizeof set_failing / sizeof *set_failing; i++) {
        unsigned at = 1;
        while (at < 40 && set_fails(&set_failing[i / 2], at, i % 2))
            at++;
        TRY("making writes fail");
        if (at == 1)
            fail_case(__FILE__, __LINE__, trying, "a change writes", "it "
                      "does not");
    }
}

/* ---- Syncs that fail ----------------------------------------------------- */

/* From event `from` on: what was before is the same in every trial. */
static void explored(const struct run *run, struct trial *t, unsigned files,
                     size_t from)
{
    struct looker looker = { .files = files };
    struct crash_plan plan = { .look = store_look, .arg = &looker,
                               .seed = run->seed, .per_moment = 12,
                               .from = from, .power = true, .one_cut = true,
                               .tried = trying };
    struct crash_report report;

    trial_end(t);
    crash_expect(&plan, &report);
}

/* Under STORE_ALWAYS, or by store_sync: it is answered, all is still read,
 * nothing is written any more, and the disk has what was promised before. */
static bool sync_fails(const struct run *run, enum store_durability d,
                       unsigned at)
{
    struct crash_fault fault = { CRASH_SYNC, CRASH_FAIL, EIO, at, 1 };
    struct store_stats stats;
    struct trial t;
    int err = 0;

    trial_begin(&t, d);
    unsigned files = store_files(t.root);
    size_t from = crash_events();
    TRY("sync %u fails under %s", at, d == STORE_NONE ? "STORE_NONE"
                                                       : "STORE_ALWAYS");
    crash_fault(&fault);
    for (unsigned i = 0; i < 3 && err == 0; i++) {
        err = change(&t, i, 100 + i);
        if (err == 0)
            err = user_sync(&t.u);
    }
    bool hit = crash_fault_hits() > 0;
    crash_fault(NULL);
    if (hit && err == 0)
        fail_case(__FILE__, __LINE__, trying,
                  "I13 a failed sync is returned", "0");
    if (hit) {
        expect_int("a set after a failed sync (I13: read only)",
                   change(&t, 3, 200), -EROFS);
        expect_int("store_sync after a failed sync", user_sync(&t.u), -EROFS);
        check_all(&t, "all keys can be read after a failed sync");
        store_stats(t.u.store, &stats);
        expect_true("store_stats says that a sync has failed", stats.failed);
    }
    explored(run, &t, files, from);
    return hit;
}

void syncs_fail(const struct run *run)
{
    unsigned at = 1;

    while (at < 20 && sync_fails(run, STORE_ALWAYS, at))
        at++;
    expect_true("STORE_ALWAYS syncs", at > 1);
    expect_true("store_sync syncs", sync_fails(run, STORE_NONE, 1));
}

/* ---- Opening, while calls fail ------------------------------------------- */

static unsigned open_files(void)
{
    DIR *dir = opendir("/proc/self/fd");
    unsigned n = 0;

    for (struct dirent *e; dir && (e = readdir(dir));)
        n += e->d_name[0] != '.';
    if (dir)
        closedir(dir);
    return n;
}

/* The disk dies within the write of key 0, and the store is closed. */
static void tear(struct trial *t)
{
    struct crash_fault fault = { CRASH_WRITE | CRASH_RESIZE, CRASH_SHORT, EIO,
                                 1, 0 };

    crash_fault(&fault);
    expect_true("a set on a disk that dies fails", change(t, 0, 99) < 0);
    store_close(t->u.store);
    crash_fault(NULL);
}

/* A store whose log is torn, or (not `old`) one that is not there yet. */
static bool open_fails(unsigned calls, int err, unsigned at, bool old)
{
    struct crash_fault fault = { calls, CRASH_FAIL, err, at, 1 };
    struct trial t;

    trial_begin(&t, STORE_NONE);
    if (old) {
        tear(&t);
    } else {
        trial_end(&t);
        memset(t.want, 0, sizeof t.want);
        scratch_make(t.root);
        crash_record(t.root);
    }
    TRY("opening %s store, call %u fails (%s)", old ? "a torn" : "a new", at,
        strerrorname_np(err));
    unsigned before = open_files();
    crash_fault(&fault);
    int first = user_open(&t.u, t.root, STORE_NONE, 0);
    bool hit = crash_fault_hits() > 0;
    crash_fault(NULL);
    if (first == 0)
        store_close(t.u.store);
    if (open_files() != before)
        fail_case(__FILE__, __LINE__, trying, "every descriptor is closed",
                  "%d more are open", (int)(open_files() - before));
    int second = user_open(&t.u, t.root, STORE_NONE, 0);
    if (second)
        fail_case(__FILE__, __LINE__, trying, "the next open is answered 0",
                  "-%s", strerrorname_np(-second));
    check_all(&t, "all keys are there");
    must(&t, 6, 107, "a set is answered 0");
    reopen(&t);
    check_all(&t, "opened again, all keys are there");
    trial_end(&t);
    return hit;
}

void open_faults(const struct run *run)
{
    static const int errors[] = { EIO, ENOSPC, EMFILE };

    (void)run;
    for (size_t i = 0; i < sizeof errors / sizeof *errors; i++)
        for (int old = 0; old < 2; old++) {
            unsigned at = 1;
            while (at < 60 && open_fails(CRASH_ANY, errors[i], at, old))
                at++;
            expect_true("opening makes several calls", at > 1);
        }
}

/* ---- Compactions whose calls fail ---------------------------------------- */

static const struct failing compact_failing[] = {
    { "write %u of a compaction takes half",
      { CRASH_WRITE, CRASH_SHORT, 0, 0, 1 }, true, false },
    { "write %u of a compaction is interrupted",
      { CRASH_WRITE, CRASH_FAIL, EINTR, 0, 1 }, true, false },
    { "no room for write %u of a compaction",
      { CRASH_WRITE | CRASH_GROW, CRASH_FAIL, ENOSPC, 0, 1 }, false, false },
    { "no room from write %u of a compaction on",
      { CRASH_WRITE | CRASH_GROW | CRASH_OPEN, CRASH_FAIL, ENOSPC, 0, 0 },
      false, false },
    { "half of write %u of a compaction, and no room for the rest",
      { CRASH_WRITE | CRASH_GROW, CRASH_SHORT, ENOSPC, 0, 2 }, false, false },
    { "write %u of a compaction fails",
      { CRASH_WRITE | CRASH_GROW, CRASH_FAIL, EIO, 0, 1 }, false, false },
    { "open %u of a compaction fails", { CRASH_OPEN, CRASH_FAIL, EMFILE, 0, 1 },
      false, false },
    { "rename %u of a compaction fails",
      { CRASH_RENAME | CRASH_MAKE, CRASH_FAIL, EIO, 0, 1 }, false, false },
    { "no room for rename %u of a compaction",
      { CRASH_RENAME | CRASH_MAKE, CRASH_FAIL, ENOSPC, 0, 1 }, false, false },
    { "removal %u of a compaction fails",
      { CRASH_UNLINK, CRASH_FAIL, EIO, 0, 1 }, false, false },
};

static bool compact_fails(const struct failing *f, unsigned at)
{
    struct trial t;

    trial_begin(&t, STORE_NONE);
    unsigned files = store_files(t.root);
    TRY(f->words, at);
    armed(f, at);
    int err = user_compact(&t.u);
    bool hit = crash_fault_hits() > 0;
    crash_fault(NULL);
    if (err && (f->goes_through || !hit))
        fail_case(__FILE__, __LINE__, trying, "the compaction is done",
                  "-%s", strerrorname_np(-err));
    check_all(&t, "I7 compaction never changes the map");
    must(&t, 6, 107, "a later set is answered 0");
    must(&t, 0, 108, "a later set is answered 0");
    err = user_compact(&t.u);
    if (err)
        fail_case(__FILE__, __LINE__, trying, "the next compaction works",
                  "-%s", strerrorname_np(-err));
    check_all(&t, "after the next compaction all keys are there");
    must(&t, 1, 109, "a set after that is answered 0");
    reopen(&t);
    check_all(&t, "opened again, all keys are there");
    if (store_files(t.root) > files)
        fail_case(__FILE__, __LINE__, trying, "I11 nothing is left behind",
                  "%u files, not %u", store_files(t.root), files);
    trial_end(&t);
    return hit;
}

void compact_faults(const struct run *run)
{
    (void)run;
    for (size_t i = 0; i < sizeof compact_failing / sizeof *compact_failing;
         i++) {
        unsigned at = 1;
        while (at < 60 && compact_fails(&compact_failing[i], at))
            at++;
        if (i == 0)
            expect_true("a compaction writes", at > 1);
    }
}

/* The k-th sync of a compaction fails: whatever it answers, what was promised
 * before and what is promised afterwards is on the disk. */
void compact_sync_fails(const struct run *run)
{
    bool hit = true;

    for (unsigned at = 1; at < 20 && hit; at++) {
        struct crash_fault fault = { CRASH_SYNC, CRASH_FAIL, EIO, at, 1 };
        struct trial t;

        trial_begin(&t, STORE_ALWAYS);
        unsigned files = store_files(t.root);
        size_t from = crash_events();
        TRY("sync %u of a compaction fails", at);
        crash_fault(&fault);
        int err = user_compact(&t.u);
        hit = crash_fault_hits() > 0;
        crash_fault(NULL);
        if (!hit)
            expect_int("a compaction whose syncs work", err, 0);
        check_all(&t, "I7 compaction never changes the map");
        if (change(&t, 6, 107) == 0)
            change(&t, 0, 108);
        check_all(&t, "all keys can be read after a failed sync");
        explored(run, &t, files, from);
        expect_true("a compaction syncs", hit || at > 1);
    }
}

/* ---- Killed in a compaction ---------------------------------------------- */

static bool killed_at(enum crash_fault_kind kind, unsigned at)
{
    struct crash_fault fault = { CRASH_ANY, kind, 0, at, 1 };
    struct trial t;
    int status;

    trial_begin(&t, STORE_NONE);
    unsigned files = store_files(t.root);
    TRY("killed %s call %u of a compaction",
        kind == CRASH_KILL ? "before" : kind == CRASH_KILL_AFTER ? "after"
                                                                 : "within",
        at);
    store_close(t.u.store);
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        if (user_open(&t.u, t.root, STORE_NONE, 0) != 0)
            _exit(9);
        crash_fault(&fault);
        _exit(user_compact(&t.u) == 0 ? 0 : 9);
    }
    expect_int("waitpid", waitpid(child, &status, 0), child);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 3)
        _exit(3);               /* not written, as the child has said */
    if (WIFEXITED(status) && WEXITSTATUS(status))
        fail_case(__FILE__, __LINE__, trying, "open and compact answer 0",
                  "an error");
    int err = user_open(&t.u, t.root, STORE_NONE, 0);
    if (err)
        fail_case(__FILE__, __LINE__, trying, "it opens again", "-%s",
                  strerrorname_np(-err));
    check_all(&t, "all keys are there");
    if (store_files(t.root) > files)
        fail_case(__FILE__, __LINE__, trying,
                  "I11 leftovers of a crashed compaction are removed",
                  "%u files, not %u", store_files(t.root), files);
    must(&t, 6, 107, "a set is answered 0");
    expect_int(trying, user_compact(&t.u), 0);
    check_all(&t, "after the next compaction all keys are there");
    reopen(&t);
    check_all(&t, "opened again, all keys are there");
    trial_end(&t);
    return WIFSIGNALED(status);
}

void compact_killed(const struct run *run)
{
    (void)run;
    for (int kind = CRASH_KILL; kind <= CRASH_KILL_AFTER; kind++) {
        unsigned at = 1;
        while (at < 60 && killed_at((enum crash_fault_kind)kind, at))
            at++;
        expect_true("a compaction makes several calls", at > 3);
    }
}

/* ---- Killed under writers ------------------------------------------------ */

enum { KILL_WRITERS = 4, KEYS_EACH = 4, OPS = 120 };

/* Shared with the child: how many changes a writer asked for and how many
 * were answered. Each word has one writer, who dies. */
struct tally {
    volatile unsigned asked, answered;
};

struct killed_writer {
    struct actor actor;
    struct store *store;
    struct tally *tally;
    unsigned number;
    uint64_t seed;
    uint16_t value[KEYS_EACH];  /* as the writer knows them */
};

/* The i-th change of a writer: the seed's, and the same for the one who
 * writes and the one who checks. */
static struct crash_pair next_change(struct killed_writer *w)
{
    uint64_t r = next_random(&w->seed);
    unsigned key = (unsigned)(r % KEYS_EACH);
    bool remove = w->value[key] != CRASH_ABSENT && (r >> 8) % 4 == 0;
    unsigned value = remove ? CRASH_ABSENT
                            : 1 + (unsigned)((r >> 16) % 60000);

    w->value[key] = (uint16_t)value;
    return (struct crash_pair){ w->number * KEYS_EACH + key, value };
}

static void write_until_killed(void *arg)
{
    struct killed_writer *w = arg;
    unsigned char bytes[VALUE_ROOM];
    char text[32];

    for (unsigned i = 0; i < OPS; i++) {
        struct crash_pair p = next_change(w);
        w->tally->asked = i + 1;
        int err = p.value ? store_set(w->store, key_bytes(p.key, text),
                                      value_bytes(p.value, bytes))
                          : store_remove(w->store, key_bytes(p.key, text));
        if (err)
            fail_case(__FILE__, __LINE__, "a change among 4 writers", "0",
                      "-%s", strerrorname_np(-err));
        w->tally->answered = i + 1;
    }
}

static void compact_until_killed(void *arg)
{
    struct killed_writer *w = arg;

    for (unsigned i = 0; i < 40 && w->tally->answered < OPS; i++)
        expect_int("store_compact beside 4 writers", store_compact(w->store),
                   0);
}

/* The child: opens, writes, and is killed at write or sync number `at`. */
static void be_killed(const char *root, struct killed_writer *w,
                      enum store_durability d, bool compacting, unsigned at)
{
    struct crash_fault fault = {
        compacting ? CRASH_ANY : CRASH_WRITE | CRASH_SYNC, CRASH_KILL_WITHIN,
        0, at, 1 };
    struct actor compactor;
    struct user u = { 0 };

    crash_count();
    int err = user_open(&u, root, d, compacting ? 16384 : 0);
    if (err)
        fail_case(__FILE__, __LINE__, "opening the store of a killed process",
                  "0", "-%s", strerrorname_np(-err));
    crash_fault(&fault);
    for (unsigned i = 0; i < KILL_WRITERS; i++) {
        w[i].store = u.store;
        actor_start(&w[i].actor, write_until_killed, &w[i]);
    }
    if (compacting)
        actor_start(&compactor, compact_until_killed, &w[0]);
    for (unsigned i = 0; i < KILL_WRITERS; i++)
        actor_join(&w[i].actor);
    if (compacting)
        actor_join(&compactor);
    _exit(0);               /* it was not killed: a crash all the same */
}

/* What the disk has is what was answered, or one change more. */
static void check_writer(struct killed_writer *w, struct store *store,
                         unsigned round)
{
    unsigned asked = w->tally->asked, answered = w->tally->answered;
    struct crash_pair last = { 0, 0 };
    uint16_t before[KEYS_EACH];

    for (unsigned i = 0; i < answered; i++)
        next_change(w);
    memcpy(before, w->value, sizeof before);
    if (asked > answered)
        last = next_change(w);
    for (unsigned k = 0; k < KEYS_EACH; k++) {
        unsigned key = w->number * KEYS_EACH + k;
        int value = stored(store, key);
        bool in_flight = asked > answered && last.key == key &&
                         value == (int)last.value;
        TRY("round %u: a process with 4 writers is killed, %u changes of "
            "writer %u were answered", round, answered, w->number);
        if (value != before[k] && !in_flight)
            mismatch("I1 an acknowledged change survives", key, value,
                     before[k]);
        w->value[k] = (uint16_t)value;
    }
}

static void one_round(const char *root, struct killed_writer *w,
                      unsigned round, uint64_t *random, bool compacting)
{
    enum store_durability d = round % 3 == 2 ? STORE_ALWAYS : STORE_NONE;
    unsigned at = 1 + (unsigned)(next_random(random) % (2 * OPS));
    struct user u = { 0 };
    int status;

    for (unsigned i = 0; i < KILL_WRITERS; i++) {
        *w[i].tally = (struct tally){ 0, 0 };
        w[i].number = i;
        w[i].seed = next_random(random);
    }
    fflush(stdout);
    pid_t child = fork();
    if (child == 0)
        be_killed(root, w, d, compacting, at);
    expect_int("waitpid", waitpid(child, &status, 0), child);
    if (WIFEXITED(status) && WEXITSTATUS(status))
        _exit(WEXITSTATUS(status)); /* it has said why */
    if (WIFSIGNALED(status) && WTERMSIG(status) != SIGKILL)
        fail_case(__FILE__, __LINE__, "a process with 4 writers",
                  "it lives until it is killed", "signal %d",
                  WTERMSIG(status));
    int err = user_open(&u, root, STORE_NONE, 0);
    if (err)
        fail_case(__FILE__, __LINE__, "opening the store of a killed process",
                  "0", "-%s", strerrorname_np(-err));
    for (unsigned i = 0; i < KILL_WRITERS; i++)
        check_writer(&w[i], u.store, round);
    store_close(u.store);
}

static void rounds(const struct run *run, bool compacting)
{
    struct killed_writer w[KILL_WRITERS] = { { .number = 0 } };
    struct tally *tally = mmap(NULL, sizeof *tally * KILL_WRITERS,
                               PROT_READ | PROT_WRITE,
                               MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    uint64_t random = run->seed;
    char root[128];

    expect_true("shared memory", tally != MAP_FAILED);
    scratch_make(root);
    for (unsigned i = 0; i < KILL_WRITERS; i++)
        w[i].tally = &tally[i];
    for (unsigned round = 0; round < run->size; round++) {
        if (!compacting && round % 10 == 0) {
            crash_remove(root);
            scratch_make(root);
            for (unsigned i = 0; i < KILL_WRITERS; i++)
                memset(w[i].value, 0, sizeof w[i].value);
        }
        one_round(root, w, round, &random, compacting);
    }
    crash_remove(root);
    munmap(tally, sizeof *tally * KILL_WRITERS);
}

void kill_rounds(const struct run *run)
{
    rounds(run, false);
}

void kill_rounds_compacting(const struct run *run)
{
    rounds(run, true);
}
