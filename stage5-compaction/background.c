/* background.c -- given. */
#include "stage5-compaction/background.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/lock.h"
#include "common/log.h"
#include "stage5-compaction/compact.h"
#include "stage5-compaction/load.h"

enum {
    INTERVAL_MS = 1000,
    ADMIT_NS = 250,         /* a writer waits so long for each byte */
    ADMIT_MOST = 1000000000,    /* and so long at most */
    QUIET_MS = 1000,        /* without a full segment */
    LOOK_MS = 20,           /* after which we look whether readers have left */
    SHARE = 50,             /* percent of the time, unless the options say */
    CROWDED = 2,            /* segments of garbage beside as much as is live:
                               from there on writers wait */
    COMPACTORS_MAX = 8,
    ROOMY = 32              /* segments that fit on the disk: no reserve */
};

struct background {
    struct store *store;
    pthread_mutex_t lock;       /* guards: */
    pthread_cond_t changed;
    bool closing;
    bool held;                  /* somebody compacts alone */
    bool quiet;                 /* no segment was filled for a while */
    unsigned long full;         /* changes that have found no room, */
    unsigned long seen_full;    /* and those that were seen to */
    bool urgent;                /* no pauses */
    bool crowded;               /* writers wait: */
    unsigned waiting;           /* so many do */
    unsigned long wakes;        /* so far */
    unsigned working;           /* compactors that have something in hand */
    unsigned by_name;           /* so many compact by name: no hints meanwhile */
    unsigned hinting;           /* threads that write one */
    unsigned started;
    pthread_t compactors[COMPACTORS_MAX];
    pthread_t timer;
    bool has_timer;
    const void *_Atomic saver;      /* the thread's; NULL: nobody */
};

static unsigned compactors_of(const struct store *s)
{
    unsigned n = s->options.compactors ? s->options.compactors : 1;

    return n > COMPACTORS_MAX ? COMPACTORS_MAX : n;
}

static void wait_once_locked(struct background *b, uint64_t deadline)
{
    struct timespec until = deadline_timespec(deadline);

    pthread_cond_timedwait(&b->changed, &b->lock, &until);
}

/* Until the moment, or closing. */
static void wait_until_locked(struct background *b, uint64_t deadline)
{
    while (!b->closing && !deadline_over(deadline))
        wait_once_locked(b, deadline);
}

/* ---- The reserve --------------------------------------------------------- */

static bool disk_is_roomy(const struct store *s)
{
    struct statvfs disk;

    return fstatvfs(s->dir.fd, &disk) == 0 &&
           disk.f_bavail * disk.f_frsize / ROOMY > s->options.segment_size;
}

static bool has_reserve(const struct store *s)
{
    struct stat st;

    return fstatat(s->dir.fd, STORE_RESERVE, &st, 0) == 0 &&
           (uint64_t)st.st_blocks * 512 >= s->options.segment_size;
}

/* Looked at before each compaction. */
static void make_reserve(struct store *s)
{
    if (s->options.read_only || background_saving(s) || disk_is_roomy(s) ||
        has_reserve(s))
        return;
    int fd = openat(s->dir.fd, STORE_RESERVE, O_WRONLY | O_CREAT | O_CLOEXEC,
                    0666);
    if (fd < 0)
        return;
    if (fallocate(fd, FALLOC_FL_KEEP_SIZE, 0,
                  (off_t)s->options.segment_size) != 0)
        unlinkat(s->dir.fd, STORE_RESERVE, 0);
    close(fd);
}

/* Each thread has one, so its address says which thread it is. */
static _Thread_local char me;

/* Writers wait before there is room, or it would be theirs. */
bool background_spend_reserve(struct store *store)
{
    const void *nobody = NULL;

    if (!atomic_compare_exchange_strong(&store->background->saver, &nobody,
                                        &me))
        return false;
    if (unlinkat(store->dir.fd, STORE_RESERVE, 0) == 0)
        return true;
    background_spent(store);
    return false;
}

void background_spent(struct store *store)
{
    const void *own = &me;

    atomic_compare_exchange_strong(&store->background->saver, &own, NULL);
}

bool background_saving(struct store *store)
{
    return atomic_load_explicit(&store->background->saver,
                                memory_order_relaxed) != NULL;
}

/* ---- Compactors ---------------------------------------------------------- */

static struct segment *without_hint(struct store *s)
{
    struct segment *found = NULL;

    mutex_lock(&s->set.lock);
    for (struct segment *g = s->set.first; g && !found; g = g->next)
        if (g->sealed && !g->hinted && !g->busy && !g->bad) {
            g->busy = g->hinted = true;     /* once is enough */
            found = g;
        }
    mutex_unlock(&s->set.lock);
    return found;
}

/* Whether a compaction may begin; if so this thread works. */
static bool begin_work(struct background *b)
{
    mutex_lock(&b->lock);
    bool may = !b->closing && !b->held;
    b->working += may;
    mutex_unlock(&b->lock);
    return may;
}

static void end_work(struct background *b)
{
    mutex_lock(&b->lock);
    b->working--;
    cond_broadcast(&b->changed);
    mutex_unlock(&b->lock);
}

/* A segment whose hint is being written is in hand: who compacts by name would
 * pass it over, and so waits for that. */
static bool begin_hint(struct background *b)
{
    mutex_lock(&b->lock);
    bool may = !b->closing && !b->by_name;
    b->hinting += may;
    mutex_unlock(&b->lock);
    return may;
}

static void end_hint(struct background *b)
{
    mutex_lock(&b->lock);
    b->hinting--;
    cond_broadcast(&b->changed);
    mutex_unlock(&b->lock);
}

static void write_hints(struct background *b)
{
    struct segment *g = NULL;

    do {
        if (!begin_hint(b))
            return;
        g = without_hint(b->store);
        if (g) {
            load_write_hint(b->store, g);
            segments_put_back(&b->store->set, &g, 1);
        }
        end_hint(b);
    } while (g);
}

/* All that is due. */
static void work_off(struct background *b)
{
    int did = 1;

    write_hints(b);
    while (did > 0 && begin_work(b)) {
        make_reserve(b->store);
        did = compact_some(b->store);
        background_judge(b->store);
        end_work(b);
        if (did < 0 && did != -ECANCELED)
            log_warn("compaction: error %d, the old files serve on", -did);
    }
}

/* Until somebody wakes us, or it is quiet; or, while readers keep segments
 * from being closed, for a moment: they may have left. With the lock. */
static void wait_for_work_locked(struct background *b, unsigned long seen,
                                 uint64_t quiet_at)
{
    struct segments *set = &b->store->set;

    mutex_unlock(&b->lock);
    bool more = epoch_reclaim(set->epoch) > 0;
    mutex_lock(&b->lock);
    if (seen != b->wakes || b->closing)
        return;
    if (more)
        wait_once_locked(b, deadline_in_ms(LOOK_MS));
    else if (!b->quiet)
        wait_once_locked(b, quiet_at);
    else
        cond_wait(&b->changed, &b->lock);
}

static void *compactor(void *arg)
{
    struct background *b = arg;
    unsigned long seen = 0;
    uint64_t quiet_at = 0;

    mutex_lock(&b->lock);
    while (!b->closing) {
        bool woken = seen != b->wakes;

        if (!woken && (b->quiet || !deadline_over(quiet_at))) {
            wait_for_work_locked(b, seen, quiet_at);
            continue;
        }
        b->quiet = !woken;
        seen = b->wakes;
        unsigned long full = b->full;
        mutex_unlock(&b->lock);
        work_off(b);
        quiet_at = deadline_in_ms(QUIET_MS);
        mutex_lock(&b->lock);
        b->urgent = b->crowded = false;
        if (b->seen_full < full)
            b->seen_full = full;
        cond_broadcast(&b->changed);
    }
    mutex_unlock(&b->lock);
    return NULL;
}

static bool no_room_locked(const struct background *b)
{
    return b->full != b->seen_full;
}

bool background_quiet(struct store *store)
{
    struct background *b = store->background;

    mutex_lock(&b->lock);
    bool quiet = b->quiet || no_room_locked(b);
    mutex_unlock(&b->lock);
    return quiet;
}

bool background_no_room(struct store *store)
{
    struct background *b = store->background;

    mutex_lock(&b->lock);
    bool full = no_room_locked(b);
    mutex_unlock(&b->lock);
    return full;
}

void background_full(struct store *store)
{
    mutex_lock(&store->background->lock);
    store->background->full++;
    mutex_unlock(&store->background->lock);
    background_wake(store);
}

void background_wake(struct store *store)
{
    struct background *b = store->background;

    if (store->options.read_only)
        return;
    mutex_lock(&b->lock);
    b->wakes++;
    while (b->started < compactors_of(store) && !b->closing &&
           thread_create(&b->compactors[b->started], compactor, b) == 0)
        b->started++;
    cond_broadcast(&b->changed);
    mutex_unlock(&b->lock);
}

int background_enter(struct store *store)
{
    struct background *b = store->background;

    mutex_lock(&b->lock);
    while (b->held && !b->closing)
        cond_wait(&b->changed, &b->lock);
    int err = b->closing ? -ECANCELED : 0;
    b->held = b->held || !err;
    while (!err && b->working > 0)
        cond_wait(&b->changed, &b->lock);
    mutex_unlock(&b->lock);
    return err;
}

void background_leave(struct store *store)
{
    struct background *b = store->background;

    mutex_lock(&b->lock);
    b->held = b->crowded = false;
    cond_broadcast(&b->changed);
    mutex_unlock(&b->lock);
}

void background_hold_hints(struct store *store)
{
    struct background *b = store->background;

    mutex_lock(&b->lock);
    b->by_name++;
    while (b->hinting > 0)
        cond_wait(&b->changed, &b->lock);
    mutex_unlock(&b->lock);
}

void background_let_hints(struct store *store)
{
    struct background *b = store->background;

    mutex_lock(&b->lock);
    b->by_name--;
    b->wakes++;
    cond_broadcast(&b->changed);
    mutex_unlock(&b->lock);
}

bool background_pause(struct store *store, uint64_t worked_ns)
{
    struct background *b = store->background;
    unsigned share = store->options.compaction_share;

    if (share == 0 || share > 100)
        share = SHARE;
    mutex_lock(&b->lock);
    if (!b->held && !b->urgent && share < 100)
        wait_until_locked(b, clock_now_ns() +
                                 worked_ns * (100 - share) / share);
    bool stop = b->closing;
    mutex_unlock(&b->lock);
    return stop;
}

/* ---- Writers ------------------------------------------------------------- */

void background_judge(struct store *store)
{
    struct background *b = store->background;
    struct segments_sum sum;

    segments_sum(&store->set, &sum);
    uint64_t garbage = sum.bytes - sum.live;
    uint64_t slack = CROWDED * (uint64_t)store->options.segment_size;
    mutex_lock(&b->lock);
    b->urgent = garbage > sum.live / 2 + slack / 2;
    b->crowded = garbage > sum.live + slack;
    mutex_unlock(&b->lock);
}

static uint64_t admit_ns(const struct store_op *ops, size_t n)
{
    uint64_t ns = 0;

    for (size_t i = 0; i < n && ns < ADMIT_MOST; i++)
        if (ops[i].kind != STORE_GET)
            ns += ADMIT_NS * record_size(ops[i].key.len, ops[i].value.len);
    return ns;
}

void background_admit(struct store *store, const struct store_op *ops,
                      size_t n)
{
    struct background *b = store->background;

    mutex_lock(&b->lock);
    if (b->crowded && b->started > 0) {
        uint64_t ns = admit_ns(ops, n) * ++b->waiting;
        uint64_t deadline = clock_now_ns() + (ns < ADMIT_MOST ? ns
                                                              : ADMIT_MOST);

        while (b->crowded && !deadline_over(deadline))
            wait_once_locked(b, deadline);
        b->waiting--;
    }
    mutex_unlock(&b->lock);
}

/* ---- Once a second ------------------------------------------------------- */

static void *tick(void *arg)
{
    struct background *b = arg;

    mutex_lock(&b->lock);
    while (!b->closing) {
        wait_until_locked(b, deadline_in_ms(INTERVAL_MS));
        mutex_unlock(&b->lock);
        store_make_durable(b->store);   /* the next change says it failed */
        mutex_lock(&b->lock);
    }
    mutex_unlock(&b->lock);
    return NULL;
}

/* ---- Starting and stopping ----------------------------------------------- */

int background_start(struct store *store)
{
    struct background *b = calloc(1, sizeof *b);
    pthread_condattr_t clock;
    int err = 0;

    if (!b)
        return -ENOMEM;
    b->store = store;
    mutex_init(&b->lock);
    lock_check(pthread_condattr_init(&clock), "pthread_condattr_init");
    pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
    lock_check(pthread_cond_init(&b->changed, &clock), "pthread_cond_init");
    pthread_condattr_destroy(&clock);
    store->background = b;
    if (store->options.durability == STORE_INTERVAL &&
        !store->options.read_only)
        err = thread_create(&b->timer, tick, b);
    b->has_timer = !err && store->options.durability == STORE_INTERVAL &&
                   !store->options.read_only;
    return err;
}

void background_stop(struct store *store)
{
    struct background *b = store->background;

    if (!b)
        return;
    mutex_lock(&b->lock);
    b->closing = true;
    cond_broadcast(&b->changed);
    mutex_unlock(&b->lock);
    if (b->has_timer)
        thread_join(b->timer);
    while (b->started > 0)
        thread_join(b->compactors[--b->started]);
    cond_release(&b->changed);
    mutex_release(&b->lock);
    free(b);
    store->background = NULL;
}
