/* commit_test.c -- the cases of task 5.8: one writes for all who wait.
 *
 * Given. First the queue alone, led by a function that can be held; then the
 * store under STORE_ALWAYS, with syncs that can be held.
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/lock.h"
#include "stage2-server/store.h"
#include "stage5-compaction/commit.h"
#include "tests/driver.h"
#include "tests/scratch.h"

enum { FEW = 6, NOTES = 64, CREW = 4 };

/* ---- The queue ----------------------------------------------------------- */

/* Stands in the queue for somebody. */
struct member {
    struct commit_entry entry;      /* the first member */
    char who;
    unsigned had;
};

struct rig {
    struct commit commit;
    unsigned plain;                 /* only the one who leads touches it */

    pthread_mutex_t lock;           /* guards: */
    pthread_cond_t change;
    bool inside;                    /* somebody leads, or is alone */
    unsigned runs;                  /* of lead, so far */
    unsigned passes;                /* so many of them may return */
    char notes[NOTES];              /* whom each group had: "a,bc," */
    size_t noted;
    pthread_t leaders[FEW];         /* of the first groups */
};

static void note_locked(struct rig *r, char what)
{
    if (r->noted < sizeof r->notes - 1)
        r->notes[r->noted++] = what;
}

static void come_in(struct rig *r)
{
    r->plain++;
    mutex_lock(&r->lock);
    expect_true("nobody else leads or is alone", !r->inside);
    r->inside = true;
    mutex_unlock(&r->lock);
}

static void go_out(struct rig *r)
{
    mutex_lock(&r->lock);
    r->inside = false;
    mutex_unlock(&r->lock);
    r->plain++;
}

static void lead(void *arg, struct commit_entry *first)
{
    struct rig *r = arg;
    unsigned run;

    come_in(r);
    mutex_lock(&r->lock);
    run = r->runs++;
    if (run < FEW)
        r->leaders[run] = pthread_self();
    for (struct commit_entry *e = first; e; e = e->next) {
        struct member *m = (struct member *)(void *)e;

        m->had++;
        note_locked(r, m->who);
    }
    note_locked(r, ',');
    cond_broadcast(&r->change);
    while (run >= r->passes)
        cond_wait(&r->change, &r->lock);
    mutex_unlock(&r->lock);
    go_out(r);
}

/* So many groups may pass; the next ones are held. */
static void rig_init(struct rig *r, unsigned passes)
{
    memset(r, 0, sizeof *r);
    r->passes = passes;
    mutex_init(&r->lock);
    cond_init(&r->change);
    commit_init(&r->commit, lead, r);
}

static void rig_release(struct rig *r)
{
    commit_release(&r->commit);
    cond_release(&r->change);
    mutex_release(&r->lock);
}

static void let_pass(struct rig *r, unsigned passes)
{
    mutex_lock(&r->lock);
    r->passes = passes;
    cond_broadcast(&r->change);
    mutex_unlock(&r->lock);
}

static void await_runs(struct rig *r, unsigned runs)
{
    mutex_lock(&r->lock);
    while (r->runs < runs)
        cond_wait(&r->change, &r->lock);
    mutex_unlock(&r->lock);
}

static void expect_groups(struct rig *r, const char *tried, const char *wanted)
{
    char notes[NOTES];

    mutex_lock(&r->lock);
    memcpy(notes, r->notes, sizeof notes);
    mutex_unlock(&r->lock);
    expect_str(tried, notes, wanted);
}

/* An entry on the heap, gone as soon as run has returned. */
static void run_once(struct rig *r, char who)
{
    struct member *m = malloc(sizeof *m);

    expect_true("memory for an entry", m != NULL);
    memset(m, 0xdd, sizeof *m);
    m->who = who;
    m->had = 0;
    commit_run(&r->commit, &m->entry);
    expect_int("how often a leader has had the entry, when commit_run "
               "returned", m->had, 1);
    memset(m, 0xdd, sizeof *m);
    free(m);
}

struct party {
    struct rig *rig;
    char who;
    size_t rounds;
    struct actor actor;
};

static void run_as(void *arg)
{
    struct party *p = arg;

    for (size_t i = 0; i < p->rounds; i++)
        run_once(p->rig, p->who);
}

static void be_alone(void *arg)
{
    struct party *p = arg;

    for (size_t i = 0; i < p->rounds; i++) {
        commit_enter(&p->rig->commit);
        come_in(p->rig);
        go_out(p->rig);
        commit_leave(&p->rig->commit);
    }
}

static void start(struct party *p, struct rig *r, char who, size_t rounds,
                  void (*fn)(void *))
{
    *p = (struct party){ .rig = r, .who = who, .rounds = rounds };
    actor_start(&p->actor, fn, p);
}

/* 'a' leads, and is held. */
static void start_leader(struct party *p, struct rig *r)
{
    start(p, r, 'a', 1, run_as);
    await_runs(r, 1);
}

/* Comes while another leads, and waits. */
static void start_behind(struct party *p, struct rig *r, char who)
{
    start(p, r, who, 1, run_as);
    expect_true("commit_run waits while another leads",
                actor_blocks(&p->actor));
}

/* The same, with the others of FEW behind. */
static void start_few(struct party *p, struct rig *r)
{
    start_leader(&p[0], r);
    for (int i = 1; i < FEW; i++)
        start_behind(&p[i], r, (char)('a' + i));
}

static void join_all(struct party *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        actor_join(&p[i].actor);
}

static void one(const struct run *run)
{
    struct rig r;

    rig_init(&r, UINT_MAX);
    for (size_t i = 0; i < run->size; i++)
        run_once(&r, (char)('a' + i));
    expect_groups(&r, "one after the other", "a,b,c,");
    expect_true("fn runs on the thread of who is alone in the queue",
                pthread_equal(r.leaders[0], pthread_self()));
    commit_enter(&r.commit);
    commit_leave(&r.commit);
    run_once(&r, 'd');
    expect_groups(&r, "and after an enter and leave", "a,b,c,d,");
    rig_release(&r);
}

static void group_grows(const struct run *run)
{
    struct party p[FEW];
    struct rig r;

    (void)run;
    rig_init(&r, 0);
    start_few(p, &r);
    expect_groups(&r, "while the first leads", "a,");
    let_pass(&r, UINT_MAX);
    join_all(p, FEW);
    expect_groups(&r, "five came while the first led", "a,bcdef,");
    expect_true("the first of a group leads it",
                pthread_equal(r.leaders[1], p[1].actor.id));
    rig_release(&r);
}

static void returns_after(const struct run *run)
{
    struct party p[FEW];
    struct rig r;

    (void)run;
    rig_init(&r, 0);
    start_few(p, &r);
    let_pass(&r, 1);
    await_runs(&r, 2);
    for (int i = 1; i < FEW; i++)
        expect_true("nobody returns while the leader still works for him",
                    actor_blocks(&p[i].actor));
    let_pass(&r, UINT_MAX);
    join_all(p, FEW);
    expect_int("groups", r.runs, 2);
    rig_release(&r);
}

/* Who has led returns, though others wait. */
static void hands_on(const struct run *run)
{
    struct party p[3];
    struct rig r;

    (void)run;
    rig_init(&r, 0);
    start_leader(&p[0], &r);
    start_behind(&p[1], &r, 'b');
    let_pass(&r, 1);
    expect_soon("a led, and b waits", "a returns: b leads now", actor_done,
                &p[0].actor);
    await_runs(&r, 2);
    start_behind(&p[2], &r, 'c');
    let_pass(&r, UINT_MAX);
    join_all(p, 3);
    expect_groups(&r, "one after the other", "a,b,c,");
    rig_release(&r);
}

static void enter_and_stay(void *arg)
{
    struct party *p = arg;
    struct rig *r = p->rig;

    commit_enter(&r->commit);
    come_in(r);
    mutex_lock(&r->lock);
    note_locked(r, '(');
    r->runs++;
    cond_broadcast(&r->change);
    while (r->passes < 3)
        cond_wait(&r->change, &r->lock);
    note_locked(r, ')');
    mutex_unlock(&r->lock);
    go_out(r);
    commit_leave(&r->commit);
}

static void alone(const struct run *run)
{
    struct party p[5];
    struct rig r;

    (void)run;
    rig_init(&r, 0);
    start_leader(&p[0], &r);
    start_behind(&p[1], &r, 'b');
    start(&p[2], &r, 'c', 1, enter_and_stay);
    expect_true("commit_enter waits while another leads",
                actor_blocks(&p[2].actor));
    start_behind(&p[3], &r, 'd');
    start_behind(&p[4], &r, 'e');
    let_pass(&r, 2);
    await_runs(&r, 3);
    expect_true("commit_run waits while another is alone",
                actor_blocks(&p[3].actor));
    expect_groups(&r, "while c is alone", "a,b,(");
    let_pass(&r, UINT_MAX);
    join_all(p, 5);
    expect_groups(&r, "b, then c alone, then d and e", "a,b,()de,");
    rig_release(&r);
}

static void waits_asleep(const struct run *run)
{
    struct party p[3];
    struct rig r;

    (void)run;
    rig_init(&r, 0);
    start_leader(&p[0], &r);
    start_behind(&p[1], &r, 'b');
    start_behind(&p[2], &r, 'c');
    expect_idle("two wait, and one leads");
    let_pass(&r, UINT_MAX);
    join_all(p, 3);
    expect_groups(&r, "and then", "a,bc,");
    rig_release(&r);
}

/* Some, and the last of them alone each time. */
static void crew(size_t n, size_t rounds, bool with_alone)
{
    struct party p[CREW];
    struct rig r;

    rig_init(&r, UINT_MAX);
    for (size_t i = 0; i < n; i++)
        start(&p[i], &r, (char)('a' + i), rounds,
              with_alone && i == n - 1 ? be_alone : run_as);
    join_all(p, n);
    expect_true("some group was led", r.runs > 0);
    expect_true("nobody leads any more", !r.inside);
    rig_release(&r);
}

static void crowd(const struct run *run)
{
    crew(CREW, run->size, true);
}

static void small_group(const struct run *run)
{
    crew(run->size, 1, false);
}

static void small_rounds(const struct run *run)
{
    crew(run->size, 2, false);
}

static void small_alone(const struct run *run)
{
    crew(run->size, 1, true);
}

/* ---- The store ----------------------------------------------------------- */

static struct {
    pthread_mutex_t lock;           /* guards: */
    pthread_cond_t change;
    unsigned began, passes;         /* syncs; so many may go on */
    bool fail;                      /* the next ones do */
} syncs = { PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0, UINT_MAX,
            false };

int __wrap_fsync(int fd);
int __wrap_fdatasync(int fd);
int __real_fsync(int fd);
int __real_fdatasync(int fd);

static bool sync_goes_on(void)
{
    mutex_lock(&syncs.lock);
    unsigned me = syncs.began++;
    cond_broadcast(&syncs.change);
    while (me >= syncs.passes)
        cond_wait(&syncs.change, &syncs.lock);
    bool fails = syncs.fail;
    mutex_unlock(&syncs.lock);
    if (fails)
        errno = EIO;
    return !fails;
}

int __wrap_fsync(int fd)
{
    return sync_goes_on() ? __real_fsync(fd) : -1;
}

int __wrap_fdatasync(int fd)
{
    return sync_goes_on() ? __real_fdatasync(fd) : -1;
}

/* Counts from 0 on; so many pass. */
static void hold_syncs(unsigned passes, bool fail)
{
    mutex_lock(&syncs.lock);
    syncs.began = 0;
    syncs.passes = passes;
    syncs.fail = fail;
    mutex_unlock(&syncs.lock);
}

static void pass_syncs(unsigned passes)
{
    mutex_lock(&syncs.lock);
    syncs.passes = passes;
    cond_broadcast(&syncs.change);
    mutex_unlock(&syncs.lock);
}

static void await_syncs(unsigned n)
{
    mutex_lock(&syncs.lock);
    while (syncs.began < n)
        cond_wait(&syncs.change, &syncs.lock);
    mutex_unlock(&syncs.lock);
}

struct shop {
    char dir[64];
    struct store *store;
};

static const struct store_options always = { .durability = STORE_ALWAYS };

static void open_shop(struct shop *s)
{
    scratch_make(s->dir);
    expect_int("store_open", store_open(&s->store, s->dir, &always), 0);
    expect_int("a first set", store_set(s->store, slice_of("0", 1),
                                        slice_of("0", 1)), 0);
}

struct setter {
    struct store *store;
    char key;
    int err;
    struct actor actor;
};

static void set_one(void *arg)
{
    struct setter *s = arg;

    s->err = store_set(s->store, slice_of(&s->key, 1), slice_of("v", 1));
}

static void start_set(struct setter *s, struct store *store, char key)
{
    *s = (struct setter){ .store = store, .key = key, .err = 1 };
    actor_start(&s->actor, set_one, s);
}

/* One sets and is held in its sync; the others come behind it. */
static void start_setters(struct setter *s, struct store *store, bool fail)
{
    hold_syncs(0, fail);
    start_set(&s[0], store, 'a');
    await_syncs(1);
    for (int i = 1; i < CREW + 1; i++) {
        start_set(&s[i], store, (char)('a' + i));
        expect_true("a set waits while another's is synced",
                    actor_blocks(&s[i].actor));
    }
}

static int get(struct store *store, char key)
{
    struct buf value = { 0 };
    int err = store_get(store, slice_of(&key, 1), &value);

    buf_release(&value);
    return err;
}

static void close_shop(struct shop *s)
{
    hold_syncs(UINT_MAX, false);
    expect_int("store_close", store_close(s->store), 0);
    expect_int("store_open again", store_open(&s->store, s->dir, &always), 0);
    for (char key = 'a'; key < 'a' + CREW + 1; key++)
        expect_int("a get after reopening", get(s->store, key), 0);
    expect_int("store_close", store_close(s->store), 0);
    scratch_remove(s->dir);
}

static void join_setters(struct setter *s, int wanted)
{
    for (int i = 0; i < CREW + 1; i++) {
        actor_join(&s[i].actor);
        expect_int("the answer to a set", s[i].err, wanted);
    }
}

static void one_sync(const struct run *run)
{
    struct setter s[CREW + 1];
    struct shop shop;

    (void)run;
    open_shop(&shop);
    start_setters(s, shop.store, false);
    pass_syncs(UINT_MAX);
    join_setters(s, 0);
    expect_int("syncs for a set, and for the four that waited meanwhile",
               syncs.began, 2);
    close_shop(&shop);
}

static void reply_after_sync(const struct run *run)
{
    struct setter s[CREW + 1];
    struct shop shop;

    (void)run;
    open_shop(&shop);
    start_setters(s, shop.store, false);
    expect_true("a set does not return before its sync",
                actor_blocks(&s[0].actor));
    expect_int("and nobody reads it before", get(shop.store, 'a'), -ENOENT);
    pass_syncs(1);
    expect_soon("its sync is done", "the set returns", actor_done,
                &s[0].actor);
    expect_int("and can be read", get(shop.store, 'a'), 0);
    await_syncs(2);
    for (int i = 1; i < CREW + 1; i++) {
        expect_true("none of the next group returns before their sync",
                    actor_blocks(&s[i].actor));
        expect_int("and nobody reads it before",
                   get(shop.store, (char)('a' + i)), -ENOENT);
    }
    pass_syncs(UINT_MAX);
    join_setters(s, 0);
    close_shop(&shop);
}

static void sync_fails(const struct run *run)
{
    struct setter s[CREW + 1];
    struct shop shop;

    (void)run;
    open_shop(&shop);
    start_setters(s, shop.store, false);
    pass_syncs(1);
    await_syncs(2);
    hold_syncs(0, true);
    pass_syncs(UINT_MAX);
    actor_join(&s[0].actor);
    expect_int("a set whose sync was good", s[0].err, 0);
    for (int i = 1; i < CREW + 1; i++) {
        actor_join(&s[i].actor);
        expect_int("a set whose sync has failed", s[i].err, -EIO);
        expect_int("and a get of it", get(shop.store, (char)('a' + i)),
                   -ENOENT);
    }
    hold_syncs(UINT_MAX, false);
    start_set(&s[0], shop.store, 'a');
    actor_join(&s[0].actor);
    expect_int("a set after a failed sync", s[0].err, -EROFS);
    expect_int("what was there is still read", get(shop.store, 'a'), 0);
    store_close(shop.store);
    scratch_remove(shop.dir);
}

static const struct test_case cases[] = {
    { "one", one, 3 },
    { "group_grows", group_grows, 1 },
    { "returns_after", returns_after, 1 },
    { "hands_on", hands_on, 1 },
    { "alone", alone, 1 },
    { "waits_asleep", waits_asleep, 1 },
    { "crowd", crowd, 2000 },
    { "small_group", small_group, 3 },
    { "small_rounds", small_rounds, 2 },
    { "small_alone", small_alone, 3 },
    { "one_sync", one_sync, 1 },
    { "reply_after_sync", reply_after_sync, 1 },
    { "sync_fails", sync_fails, 1 },
    { NULL, NULL, 0 },
};

int main(int argc, char **argv)
{
    return driver_main(argc, argv, cases);
}
