/* driver.c -- given. */
#include "tests/driver.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "common/not_written.h"

enum { FAILED = 1, USAGE = 2, NOT_WRITTEN = 3 };

static struct {
    const char *name;
    uint64_t seed, secret;
    unsigned patience;
} now = { .patience = 5 };

/* A case that calls what is not written ends there: it could only fail, or
 * wait for what never comes. */
static void leave_not_written(const char *task)
{
    printf("\nnot written: task %s\n", task);
    fflush(stdout);
    _exit(NOT_WRITTEN);
}

/* "label:   text", in lines that fit into the grader's tables: broken at
 * spaces, and where the text says so; what follows is indented. */
static void say(const char *label, const char *text)
{
    enum { LABEL = 10, WIDTH = 66 };

    printf("%-*s", LABEL, label);
    for (;;) {
        size_t len = strcspn(text, "\n"), cut = len;

        if (len > WIDTH) {
            for (cut = WIDTH; cut > 0 && text[cut] != ' '; cut--)
                ;
            if (cut == 0)
                cut = strcspn(text, " \n");
        }
        printf("%.*s\n", (int)cut, text);
        text += cut;
        if (!*text)
            return;
        text++;
        printf("%*s", LABEL, "");
    }
}

/* On a line of its own, whatever the case or the code has printed before. */
/* A place that is in no source is in a table: nothing random there. */
void fail_case(const char *file, int line, const char *tried,
               const char *expected, const char *got, ...)
{
    static pthread_mutex_t once = PTHREAD_MUTEX_INITIALIZER;
    char *text = NULL;
    va_list args;

    pthread_mutex_lock(&once);  /* kept: the first failure is the one */
    va_start(args, got);
    int len = vasprintf(&text, got, args);
    va_end(args);
    putchar('\n');
    say("tried:", tried);
    say("expected:", expected);
    say("got:", len < 0 ? got : text);
    if (file)
        printf("at:       %s:%d\n", file, line);
    if (!file || strcmp(file + strlen(file) - 2, ".c") == 0)
        printf("seed:     %llu\n", (unsigned long long)now.seed);
    fflush(stdout);
    _exit(FAILED);
}

/* A negative number is most likely an errno: say its name. */
static const char *number_text(long long n, char *text, size_t size)
{
    const char *name = n < 0 && n > -4096 ? strerrorname_np((int)-n) : NULL;

    if (name)
        snprintf(text, size, "-%s", name);
    else
        snprintf(text, size, "%lld", n);
    return text;
}

void check_int(const char *file, int line, const char *tried,
               const char *wanted_text, long long got, long long wanted)
{
    char g[32], w[32], expected[160];

    if (got == wanted)
        return;
    number_text(got, g, sizeof g);
    number_text(wanted, w, sizeof w);
    if (strcmp(w, wanted_text) == 0 || isdigit((unsigned char)*wanted_text))
        snprintf(expected, sizeof expected, "%s", w);
    else
        snprintf(expected, sizeof expected, "%s (%s)", w, wanted_text);
    fail_case(file, line, tried, expected, "%s", g);
}

void check_true(const char *file, int line, const char *tried,
                const char *cond_text, bool holds)
{
    if (!holds)
        fail_case(file, line, tried, cond_text, "it does not hold");
}

void check_str(const char *file, int line, const char *tried,
               const char *got, const char *wanted)
{
    if (!got || strcmp(got, wanted) != 0)
        fail_case(file, line, tried, wanted, "%s", got ? got : "NULL");
}

void check_at_most(const char *file, int line, const char *tried,
                   const char *most_text, long long got, long long most)
{
    char expected[160];

    if (got <= most)
        return;
    snprintf(expected, sizeof expected, "at most %lld (%s)", most, most_text);
    fail_case(file, line, tried, expected, "%lld", got);
}

static double seconds(clockid_t clock)
{
    struct timespec t;

    clock_gettime(clock, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void nap(long microseconds)
{
    struct timespec t = { 0, microseconds * 1000 };

    nanosleep(&t, NULL);
}

unsigned patience_s(void)
{
    return now.patience;
}

bool wait_until(bool (*fn)(void *), void *arg)
{
    double end = seconds(CLOCK_MONOTONIC) + now.patience;

    for (long pause = 20; !fn(arg); pause = pause < 2000 ? 2 * pause : 2000) {
        if (seconds(CLOCK_MONOTONIC) > end)
            return fn(arg);
        nap(pause);
    }
    return true;
}

static void *actor_main(void *arg)
{
    struct actor *a = arg;

    pthread_mutex_lock(&a->lock);
    a->tid = (int)syscall(SYS_gettid);
    pthread_mutex_unlock(&a->lock);
    a->fn(a->arg);
    pthread_mutex_lock(&a->lock);
    a->done = true;
    pthread_mutex_unlock(&a->lock);
    return NULL;
}

void actor_start(struct actor *a, void (*fn)(void *), void *arg)
{
    *a = (struct actor){ .fn = fn, .arg = arg };
    pthread_mutex_init(&a->lock, NULL);
    expect_int("starting a thread of the test's own",
               -pthread_create(&a->id, NULL, actor_main, a), 0);
}

void actor_join(struct actor *a)
{
    pthread_join(a->id, NULL);
    pthread_mutex_destroy(&a->lock);
}

bool actor_done(void *arg)
{
    struct actor *a = arg;

    pthread_mutex_lock(&a->lock);
    bool done = a->done;
    pthread_mutex_unlock(&a->lock);
    return done;
}

long sleeps_of(int tid)
{
    char path[64], line[128], state = '?';
    long switches = -1;

    snprintf(path, sizeof path, "/proc/self/task/%d/status", tid);
    FILE *f = fopen(path, "re");
    if (!f)
        return -1;
    while (fgets(line, sizeof line, f)) {
        sscanf(line, "State: %c", &state);
        sscanf(line, "voluntary_ctxt_switches: %ld", &switches);
    }
    fclose(f);
    return state == 'S' ? switches : -1;
}

struct watched {
    struct actor *actor;
    long sleeps;
    unsigned same;      /* how many looks in a row saw the same sleep */
};

static bool asleep_or_done(void *arg)
{
    struct watched *w = arg;

    if (actor_done(w->actor))
        return true;
    pthread_mutex_lock(&w->actor->lock);
    int tid = w->actor->tid;
    pthread_mutex_unlock(&w->actor->lock);
    long sleeps = tid ? sleeps_of(tid) : -1;
    w->same = sleeps >= 0 && sleeps == w->sleeps ? w->same + 1 : 0;
    w->sleeps = sleeps;
    return w->same >= 8;
}

bool actor_blocks(struct actor *a)
{
    struct watched w = { a, -1, 0 };

    wait_until(asleep_or_done, &w);
    return !actor_done(a);
}

bool forked(pid_t *pid)
{
    fflush(stdout);
    *pid = fork();
    expect_true("fork", *pid >= 0);
    if (*pid == 0)
        prctl(PR_SET_PDEATHSIG, SIGKILL);
    return *pid == 0;
}

unsigned threads_alive(void)
{
    DIR *dir = opendir("/proc/self/task");
    unsigned n = 0;

    if (!dir)
        return 0;
    for (struct dirent *e; (e = readdir(dir));)
        n += e->d_name[0] != '.';
    closedir(dir);
    return n;
}

void check_idle(const char *file, int line, const char *tried)
{
    struct rusage before, after;
    double wall = seconds(CLOCK_MONOTONIC);
    double cpu = seconds(CLOCK_PROCESS_CPUTIME_ID);

    getrusage(RUSAGE_SELF, &before);
    nap(200000);        /* the window of the measurement, not a wait */
    getrusage(RUSAGE_SELF, &after);
    cpu = seconds(CLOCK_PROCESS_CPUTIME_ID) - cpu;
    wall = seconds(CLOCK_MONOTONIC) - wall;
    long wakes = after.ru_nvcsw - before.ru_nvcsw;
    if (cpu > 0.02 * wall)
        fail_case(file, line, tried, "under 2 % of a CPU while waiting",
                  "%.1f %% of a CPU", 100 * cpu / wall);
    if (wakes > 10)
        fail_case(file, line, tried, "threads that wait stay asleep",
                  "%ld wake-ups in %.2f s: something polls", wakes, wall);
}

bool under_tool(void)
{
    const char *preload = getenv("LD_PRELOAD");
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
    return true;
#endif
    return preload && strstr(preload, "vgpreload");
}

static uint64_t parse(const char *text)
{
    char *end;
    errno = 0;
    unsigned long long n = strtoull(text, &end, 0);

    if (errno || end == text || *end) {
        fprintf(stderr, "not a number: %s\n", text);
        exit(USAGE);
    }
    return n;
}

static const struct test_case *find(const struct test_case *const *tables,
                                    const char *name)
{
    for (; *tables; tables++)
        for (const struct test_case *c = *tables; c->name; c++)
            if (strcmp(c->name, name) == 0)
                return c;
    return NULL;
}

static int usage(const char *program)
{
    fprintf(stderr, "usage: %s CASE [--size N] [--seed N] [--patience SECONDS]"
            "\n       %s --list\n", program, program);
    return USAGE;
}

static int list(const struct test_case *const *tables)
{
    for (; *tables; tables++)
        for (const struct test_case *c = *tables; c->name; c++)
            puts(c->name);
    return 0;
}

#ifdef __SANITIZE_THREAD__
static void *nothing(void *arg)
{
    return arg;
}

/* ThreadSanitizer starts a thread of its own with the first one of ours:
 * before threads are counted. */
static void settle(void)
{
    pthread_t id;

    if (pthread_create(&id, NULL, nothing, NULL) == 0)
        pthread_join(id, NULL);
}
#else
static void settle(void)
{
}
#endif

static void read_secret(void)
{
    const char *text = getenv("CASE_SECRET");

    now.secret = text ? parse(text) : 0;
    unsetenv("CASE_SECRET");
    now.seed = now.secret ? now.secret % 1000003 : 1;
}

int driver_main(int argc, char **argv, const struct test_case *cases)
{
    const struct test_case *const tables[] = { cases, NULL };

    return driver_tables(argc, argv, tables);
}

int driver_tables(int argc, char **argv, const struct test_case *const *tables)
{
    if (argc == 2 && strcmp(argv[1], "--list") == 0)
        return list(tables);
    const struct test_case *c = argc < 2 ? NULL : find(tables, argv[1]);
    if (!c || argc % 2 != 0)
        return usage(argv[0]);
    read_secret();
    struct run run = { .size = c->size };
    for (int i = 2; i < argc; i += 2) {
        if (strcmp(argv[i], "--size") == 0)
            run.size = parse(argv[i + 1]);
        else if (strcmp(argv[i], "--seed") == 0)
            now.seed = parse(argv[i + 1]);
        else if (strcmp(argv[i], "--patience") == 0)
            now.patience = (unsigned)parse(argv[i + 1]);
        else
            return usage(argv[0]);
    }
    prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY); /* the grader looks at stacks */
    now.name = c->name;
    run.seed = now.seed;
    settle();
    not_written_calls(leave_not_written);
    c->fn(&run);
    printf("\npass %s %016llx\n", c->name,
           (unsigned long long)case_answer(now.secret, c->name));
    if (fflush(stdout) == 0)
        return 0;
    perror("the case passes, but cannot say so: writing its output");
    return FAILED;
}
