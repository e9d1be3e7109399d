/* history_crew.c -- given. */
#include "tests/history_crew.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <sched.h>
#include <semaphore.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/counter.h"
#include "tests/driver.h"

enum { CLIENTS_MAX = 16, BATCH_MAX = 4, SHORT = 40,
       STEP = 16 };             /* rounds from one call beside to the next */

/* ---- values ------------------------------------------------------------- */

struct slice crew_bytes(uint64_t value, size_t large)
{
    static _Thread_local char bytes[CREW_VALUE_MAX];
    size_t len = large > SHORT && value % 4 == 0 ? large : SHORT;

    memset(bytes, 'a' + (int)(value % 26), len);
    int n = snprintf(bytes, sizeof bytes, "%" PRIu64, value);
    bytes[n] = ' ';
    return slice_of(bytes, len);
}

uint64_t crew_value(struct slice bytes, size_t large)
{
    char number[SHORT] = { 0 };

    memcpy(number, bytes.ptr, bytes.len < SHORT - 1 ? bytes.len : SHORT - 1);
    uint64_t value = strtoull(number, NULL, 10);
    if (!slice_equal(crew_bytes(value, large), bytes))
        fail_case(__FILE__, __LINE__, "a get beside others",
                  "a value that was set", "%zu bytes that begin with %s",
                  bytes.len, number);
    return value;
}

/* ---- noise -------------------------------------------------------------- */

/* The program is linked so that these calls come by here; and go on with a
 * jump, so that whoever looks at stacks sees the caller and not us. */
#define PASS_ON __attribute__((optimize("O2")))
int __real_pthread_mutex_lock(pthread_mutex_t *);
int __wrap_pthread_mutex_lock(pthread_mutex_t *);
int __real_pthread_rwlock_rdlock(pthread_rwlock_t *);
int __wrap_pthread_rwlock_rdlock(pthread_rwlock_t *);
int __real_pthread_rwlock_wrlock(pthread_rwlock_t *);
int __wrap_pthread_rwlock_wrlock(pthread_rwlock_t *);
int __real_sem_wait(sem_t *);
int __wrap_sem_wait(sem_t *);

static uint64_t noise;      /* set while there is one thread; 0: none */

void crew_noise(uint64_t seed)
{
    noise = 2 * seed + 1;
}

static __attribute__((noinline)) void make_noise(void)
{
    static _Thread_local uint64_t state;

    if (noise == 0)
        return;
    if (state == 0)
        state = noise * (uint64_t)(uintptr_t)&state;
    if (next_random(&state) % 4 == 0)
        sched_yield();
}

PASS_ON int __wrap_pthread_mutex_lock(pthread_mutex_t *mutex)
{
    make_noise();
    return __real_pthread_mutex_lock(mutex);
}

PASS_ON int __wrap_pthread_rwlock_rdlock(pthread_rwlock_t *lock)
{
    make_noise();
    return __real_pthread_rwlock_rdlock(lock);
}

PASS_ON int __wrap_pthread_rwlock_wrlock(pthread_rwlock_t *lock)
{
    make_noise();
    return __real_pthread_rwlock_wrlock(lock);
}

PASS_ON int __wrap_sem_wait(sem_t *sem)
{
    make_noise();
    return __real_sem_wait(sem);
}

/* ---- at work ------------------------------------------------------------ */

struct worker {
    struct actor actor;
    const struct crew *crew;
    struct history *history;
    struct counter *rounds;     /* done, by all */
    unsigned number;
    uint64_t random, sets;
};

static void choose(struct worker *w, struct crew_op *op)
{
    static const enum history_op ops[] = {
        HISTORY_GET, HISTORY_GET, HISTORY_GET, HISTORY_SET, HISTORY_SET,
        HISTORY_REMOVE
    };

    *op = (struct crew_op){
        .op = ops[next_random(&w->random) % 6],
        .number = next_random(&w->random) % w->crew->keys,
    };
    snprintf(op->key, sizeof op->key, "key%" PRIu64, op->number);
    if (op->op == HISTORY_SET)
        op->value = 1 + w->number + w->crew->clients * w->sets++;
}

static void work(void *arg)
{
    struct worker *w = arg;
    const struct crew *crew = w->crew;
    void *session = crew->begin ? crew->begin(crew->arg) : crew->arg;
    struct crew_op ops[BATCH_MAX];

    for (size_t round = 0; round < crew->rounds; round++) {
        size_t n = 1 + next_random(&w->random) % crew->batch;

        for (size_t i = 0; i < n; i++)
            choose(w, &ops[i]);
        uint64_t called = clock_now_ns();
        crew->fn(session, ops, n);
        uint64_t answered = clock_now_ns();
        for (size_t i = 0; i < n; i++)
            expect_int("noting what came",
                       history_add(w->history, w->number, ops[i].op,
                                   ops[i].number, ops[i].value, called,
                                   answered, ops[i].result), 0);
        counter_add_relaxed(w->rounds, 1);
    }
    if (crew->end)
        crew->end(session);
}

/* ---- afterwards --------------------------------------------------------- */

/* The file that standard output goes to, with another ending; or one below
 * build/. As seen from the current directory, if it is in there. */
static void file_beside(char path[PATH_MAX], const char *ending)
{
    char log[PATH_MAX - 16], here[PATH_MAX];
    const char *name = log;
    ssize_t n = readlink("/proc/self/fd/1", log, sizeof log - 1);

    log[n > 0 ? n : 0] = '\0';
    char *dot = strrchr(log, '.');
    if (dot && strcmp(dot, ".log") == 0)
        *dot = '\0';
    else
        name = "build/history";
    size_t len = getcwd(here, sizeof here) ? strlen(here) : 0;
    if (len > 0 && strncmp(name, here, len) == 0 && name[len] == '/')
        name += len + 1;
    snprintf(path, PATH_MAX, "%s%s", name, ending);
}

/* Writes it with fn; "nowhere" if it cannot be written. */
static void save(struct history *h, int (*fn)(struct history *, FILE *),
                 char path[PATH_MAX], const char *ending)
{
    file_beside(path, ending);
    FILE *f = fopen(path, "we");
    int err = f ? fn(h, f) : -errno;

    if (f && fclose(f) != 0)
        err = -errno;
    if (err != 0)
        snprintf(path, PATH_MAX, "nowhere");
}

static void judge(const char *tried, struct history *h)
{
    char picture[PATH_MAX], whole[PATH_MAX];
    struct history_verdict v;
    int err = history_check(h, &v, stdout, 0);

    if (err == -E2BIG)
        save(h, history_write, whole, ".tsv");
    if (err != -EILSEQ) {
        expect_int("checking the history", err, 0);
        return;
    }
    save(h, history_draw, picture, ".svg");
    save(h, history_write, whole, ".tsv");
    fail_case(__FILE__, __LINE__, tried,
              "some order of the operations explains each answer",
              "none does on key %" PRIu64 ": %zu operations show it; drawn: "
              "%s; all: %s", v.key, v.window, picture, whole);
}

static bool all_done(struct worker *workers, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        if (!actor_done(&workers[i].actor))
            return false;
    return true;
}

void crew_work(const char *tried, const struct crew *crew,
               void (*beside)(void *arg))
{
    struct worker workers[CLIENTS_MAX];
    struct history *h;
    struct counter rounds;
    uint64_t due = 0;

    expect_true("the crew's size", crew->clients <= CLIENTS_MAX &&
                crew->batch <= BATCH_MAX && crew->large <= CREW_VALUE_MAX);
    expect_int("history_create", history_create(&h, crew->clients), 0);
    counter_init(&rounds, 0);
    for (unsigned i = 0; i < crew->clients; i++) {
        workers[i].crew = crew;
        workers[i].history = h;
        workers[i].rounds = &rounds;
        workers[i].number = i;
        workers[i].random = crew->seed * CLIENTS_MAX + i;
        workers[i].sets = 0;
        actor_start(&workers[i].actor, work, &workers[i]);
    }
    /* Not without a pause: what happens beside must not keep the crew from
     * its work. */
    while (beside && !all_done(workers, crew->clients)) {
        if (counter_get_relaxed(&rounds) < due) {
            sched_yield();
            continue;
        }
        beside(crew->arg);
        due = counter_get_relaxed(&rounds) + STEP;
    }
    for (unsigned i = 0; i < crew->clients; i++)
        actor_join(&workers[i].actor);
    judge(tried, h);
    history_destroy(h);
}
