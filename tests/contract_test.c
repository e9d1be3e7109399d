/* contract_test.c -- stage3-abstract/contract.tsv beside what the pools do;
 * task 3.3.
 *
 * Given. Nothing here knows the answers: each case tries each pool, and finds
 * the word for what it has seen. Where something must be seen not to happen,
 * it waits until every thread is asleep.
 */
#include "tests/contract_test.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "common/not_written.h"
#include "tests/driver.h"

static const char file[] = "stage3-abstract/contract.tsv";

enum { THREADS = 2, CAPACITY = 3, COLUMNS = 4, LOOKS = 20 };

static const struct subject subjects[COLUMNS] = {
    { "serial", &serial_pool_ops },
    { "naive", &naive_pool_ops },
    { "shared", &shared_pool_ops },
    { "GThreadPool", &glib_own_ops },
};

/* ---- jobs ---------------------------------------------------------------- */

enum { NOTES = 16 };

/* What jobs have done. */
struct notes {
    pthread_mutex_t lock;       /* guards the rest */
    pthread_cond_t changed;
    long threads[NOTES];        /* who ran them */
    unsigned ran;
    unsigned inside;            /* jobs that wait for the gate */
    bool open;
};

#define NOTES_NEW { .lock = PTHREAD_MUTEX_INITIALIZER, \
                    .changed = PTHREAD_COND_INITIALIZER }

static long self(void)
{
    return syscall(SYS_gettid);
}

static void note(void *arg)
{
    struct notes *n = arg;

    pthread_mutex_lock(&n->lock);
    if (n->ran < NOTES)
        n->threads[n->ran] = self();
    n->ran++;
    pthread_mutex_unlock(&n->lock);
}

static void wait_inside(void *arg)
{
    struct notes *n = arg;

    pthread_mutex_lock(&n->lock);
    n->inside++;
    while (!n->open)
        pthread_cond_wait(&n->changed, &n->lock);
    pthread_mutex_unlock(&n->lock);
}

static void open_gate(struct notes *n)
{
    pthread_mutex_lock(&n->lock);
    n->open = true;
    pthread_cond_broadcast(&n->changed);
    pthread_mutex_unlock(&n->lock);
}

static void die(void *unused)
{
    (void)unused;
    pthread_exit(NULL);
}

static unsigned inside(struct notes *n)
{
    pthread_mutex_lock(&n->lock);
    unsigned now = n->inside;
    pthread_mutex_unlock(&n->lock);
    return now;
}

static unsigned ran(struct notes *n)
{
    pthread_mutex_lock(&n->lock);
    unsigned now = n->ran;
    pthread_mutex_unlock(&n->lock);
    return now;
}

static void *made(const struct subject *s)
{
    struct pool_options options = { s->ops->name, THREADS, CAPACITY };
    void *pool = NULL;

    if (s->ops == &glib_own_ops)
        options.name = NULL;
    expect_int("making the pool", s->ops->create(&pool, &options), 0);
    return pool;
}

/* ---- threads ------------------------------------------------------------- */

/* A thread of ours that submits, for the submit may wait or run the job. */
struct caller {
    pthread_t id;
    const struct subject *subject;
    void *pool;
    pool_job_fn *fn;
    struct notes *notes;
    pthread_mutex_t lock;   /* guards the rest */
    long tid;
    bool back;              /* submit has returned */
};

static void *call(void *arg)
{
    struct caller *c = arg;

    pthread_mutex_lock(&c->lock);
    c->tid = self();
    pthread_mutex_unlock(&c->lock);
    c->subject->ops->submit(c->pool, c->fn, c->notes);
    pthread_mutex_lock(&c->lock);
    c->back = true;
    pthread_mutex_unlock(&c->lock);
    return NULL;
}

static void start(struct caller *c, const struct subject *s, void *pool,
                  pool_job_fn *fn, struct notes *notes)
{
    *c = (struct caller){ .subject = s, .pool = pool, .fn = fn,
                          .notes = notes };
    pthread_mutex_init(&c->lock, NULL);
    expect_int("a thread of the test", pthread_create(&c->id, NULL, call, c),
               0);
}

static bool is_back(struct caller *c)
{
    pthread_mutex_lock(&c->lock);
    bool back = c->back;
    pthread_mutex_unlock(&c->lock);
    return back;
}

static long all_sleeps(void)
{
    DIR *dir = opendir("/proc/self/task");
    long sum = 0, n = 0;

    for (struct dirent *e; dir && n >= 0 && (e = readdir(dir));)
        if (e->d_name[0] != '.' && atol(e->d_name) != self()) {
            n = sleeps_of(atoi(e->d_name));
            sum += n + 1000000;
        }
    if (dir)
        closedir(dir);
    return n < 0 ? -1 : sum;
}

/* Until all threads but this one sleep, and go on sleeping. */
static void settle(void)
{
    struct timespec nap = { 0, 1000000 };
    long last = -1;

    for (unsigned same = 0, i = 0; same < LOOKS && i < 5000; i++) {
        long now = all_sleeps();

        same = now >= 0 && now == last ? same + 1 : 0;
        last = now;
        nanosleep(&nap, NULL);
    }
}

/* ---- what is seen -------------------------------------------------------- */

typedef const char *see_fn(const struct subject *s);

/* Two jobs block, CAPACITY others follow them; and one more. */
static const char *when_full(const struct subject *s)
{
    static struct notes notes = NOTES_NEW, others = NOTES_NEW;
    static struct caller callers[THREADS], more[CAPACITY], last;
    void *pool = made(s);

    notes = (struct notes)NOTES_NEW;
    others = (struct notes)NOTES_NEW;
    if (s->ops != &serial_pool_ops)
        for (int i = 0; i < THREADS; i++)
            start(&callers[i], s, pool, wait_inside, &notes);
    settle();
    for (int i = 0; i < CAPACITY; i++)
        start(&more[i], s, pool, note, &others);
    settle();
    unsigned before = ran(&others);
    start(&last, s, pool, note, &others);
    settle();
    bool back = is_back(&last);
    bool by_caller = ran(&others) > before &&
                     others.threads[before] == last.tid;
    open_gate(&notes);
    settle();
    return by_caller ? "runs" : back ? "accepts" : "waits";
}

static const char *who(struct notes *n, unsigned from, unsigned jobs,
                       long caller)
{
    unsigned different = 0, called = 0;

    if (n->ran < from + jobs)
        return "nobody";
    for (unsigned i = from; i < from + jobs; i++) {
        unsigned k = from;

        while (n->threads[k] != n->threads[i])
            k++;
        different += k == i;
        called += n->threads[i] == caller;
    }
    return called == jobs ? "caller" : different == jobs ? "new" : "worker";
}

static const char *who_runs(const struct subject *s)
{
    struct notes notes = NOTES_NEW;
    void *pool = made(s);

    for (unsigned i = 0; i < 3 * THREADS; i++) {
        s->ops->submit(pool, note, &notes);
        settle();
    }
    return who(&notes, 0, 3 * THREADS, self());
}

static const char *at_once(const struct subject *s)
{
    static struct notes notes;
    static struct caller callers[2 * THREADS];
    static char text[16];
    void *pool = made(s);

    notes = (struct notes)NOTES_NEW;
    for (int i = 0; i < 2 * THREADS; i++)
        start(&callers[i], s, pool, wait_inside, &notes);
    settle();
    snprintf(text, sizeof text, "%u", inside(&notes));
    open_gate(&notes);
    settle();
    return text;
}

struct destroyer {
    void (*destroy)(void *pool);
    void *pool;
};

static void *destroy(void *arg)
{
    struct destroyer *d = arg;

    d->destroy(d->pool);
    return NULL;
}

/* The first jobs block; three more come; the pool is destroyed by a thread of
 * its own, and only then may the first go on. */
static const char *drained_by(const struct subject *s,
                              void (*fn)(void *pool))
{
    static struct notes notes, others;
    static struct caller callers[THREADS];
    struct destroyer d = { fn, made(s) };
    pthread_t id;

    notes = (struct notes)NOTES_NEW;
    others = (struct notes)NOTES_NEW;
    for (int i = 0; i < THREADS; i++)
        start(&callers[i], s, d.pool, wait_inside, &notes);
    settle();
    for (int i = 0; i < CAPACITY; i++)
        s->ops->submit(d.pool, note, &others);
    pthread_create(&id, NULL, destroy, &d);
    settle();
    open_gate(&notes);
    pthread_join(id, NULL);
    const char *word = who(&others, 0, CAPACITY, callers[0].tid);
    return strcmp(word, "new") == 0 || others.ran < CAPACITY ||
           others.threads[0] != callers[1].tid ? word : "caller";
}

static const char *who_drains(const struct subject *s)
{
    return drained_by(s, s->ops->destroy);
}

static const char *who_drains_now(const struct subject *s)
{
    return drained_by(s, glib_own_destroy_now);
}

static const char *dying_jobs(const struct subject *s)
{
    static struct caller callers[THREADS];
    static struct notes notes;
    void *pool = made(s);
    bool all_back = true;

    notes = (struct notes)NOTES_NEW;
    for (int i = 0; i < THREADS; i++) {
        start(&callers[i], s, pool, die, NULL);
        pthread_join(callers[i].id, NULL);
        all_back = all_back && is_back(&callers[i]);
    }
    settle();
    if (!all_back)
        return "caller";
    s->ops->submit(pool, note, &notes);
    settle();
    return ran(&notes) == 1 ? "nothing" : "stuck";
}

static const char *after_destroy(const struct subject *s)
{
    struct notes notes = NOTES_NEW;
    unsigned before = threads_alive();
    void *pool = made(s);

    for (int i = 0; i < CAPACITY; i++)
        s->ops->submit(pool, note, &notes);
    s->ops->destroy(pool);
    settle();
    return threads_alive() > before ? "some" : "none";
}

static const char *unprocessed(const struct subject *s)
{
    static struct notes notes = NOTES_NEW;
    void *pool = made(s);

    s->ops->submit(pool, wait_inside, &notes);
    settle();
    unsigned left = glib_own_unprocessed(pool), busy = inside(&notes);
    open_gate(&notes);
    return left == 0 && busy > 0 ? "not-yet" : "yes";
}

/* ---- the table ----------------------------------------------------------- */

enum { WORDS = 16 };

/* The fields of a row, cut out of `line`; how many there are, and in which
 * line of the file (the last, when there is no such row). */
static unsigned fields_of(const char *row, char *line, size_t size,
                          char *fields[WORDS], int *at)
{
    FILE *f = fopen(file, "re");
    unsigned n = 0;

    *at = 0;

    if (!f)
        fail_case(__FILE__, __LINE__, file, "a file", "it cannot be read");
    for (; n == 0 && fgets(line, (int)size, f); ++*at) {
        line[strcspn(line, "\r\n")] = '\0';
        if (strncmp(line, row, strlen(row)) == 0 && line[strlen(row)] == '\t')
            for (char *s = line; s && n < WORDS; n++)
                fields[n] = strsep(&s, "\t");
    }
    fclose(f);
    return n;
}

/* A word of those between ", ". */
static bool is_one_of(const char *words, const char *said)
{
    size_t len = strlen(said);

    for (const char *w = words; w; w = strchr(w, ' ')) {
        w += *w == ' ';
        if (strcspn(w, ",") == len && strncmp(w, said, len) == 0)
            return true;
    }
    return false;
}

static void compare(const char *row, int at, const struct subject *s,
                    const char *said, see_fn *see, const char *words)
{
    char tried[128];

    snprintf(tried, sizeof tried, "%s: %s of %s", file, row, s->name);
    if (strcmp(said, "?") == 0)
        not_written("3.3");
    if (!is_one_of(words, said))
        fail_case(file, at, tried, "a word of those above the line",
                  "\"%s\", not one of: %s", said, words);
    if (strcmp(said, see(s)) != 0)
        fail_case(file, at, tried, "what the pool was seen to do",
                  "\"%s\", which it is not", said);
}

static void judge(const char *row, see_fn *see, unsigned from,
                  const char *words)
{
    char line[256], *fields[WORDS];
    int at;
    unsigned n = fields_of(row, line, sizeof line, fields, &at);

    if (n != COLUMNS + 1)
        fail_case(file, at, row, "a row with a word for each of 4 pools",
                  "%u fields", n);
    for (unsigned i = from; i < COLUMNS; i++)
        compare(row, at, &subjects[i], fields[i + 1], see, words);
}

#define ROW(row, from, words) \
    static void case_##row(const struct run *run) \
    { \
        (void)run; \
        judge(#row, row, from, words); \
    }

ROW(when_full, 0, "waits, accepts, runs")
ROW(who_runs, 0, "caller, new, worker")
ROW(at_once, 0, "1, 2, 4")
ROW(who_drains, 0, "caller, new, worker, nobody")
ROW(who_drains_now, COLUMNS - 1, "caller, new, worker, nobody")
ROW(dying_jobs, 0, "nothing, caller, stuck")
ROW(after_destroy, 0, "none, some")
ROW(unprocessed, COLUMNS - 1, "yes, not-yet")

static const struct test_case cases[] = {
    { "when_full", case_when_full, 1 },
    { "who_runs", case_who_runs, 1 },
    { "at_once", case_at_once, 1 },
    { "who_drains", case_who_drains, 1 },
    { "who_drains_now", case_who_drains_now, 1 },
    { "dying_jobs", case_dying_jobs, 1 },
    { "after_destroy", case_after_destroy, 1 },
    { "unprocessed", case_unprocessed, 1 },
    { NULL, NULL, 0 },
};

int main(int argc, char **argv)
{
    return driver_main(argc, argv, cases);
}
