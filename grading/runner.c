/* runner.c -- runs the planned commands, a few at a time, and says how each
 * of them ended.
 *
 * Standard input: one run a line, fields separated by tabs:
 *
 *     id  soft  hard  word  log  command  argument...
 *
 * `id` is any text; soft and hard are seconds; `word` is the name of the
 * case whose pass word must appear in the output (tests/answer.h), or "-";
 * `log` takes stdout and stderr. Standard output, one line a run as it ends:
 *
 *     id  how  code  word  wall-ms  cpu-ms
 *
 *   how    exit, signal: code says which
 *          slow:    exit, but only after the soft limit
 *          blocked: every thread slept for BLOCKED_S without using the CPU;
 *                   its threads' stacks are in LOG.stacks
 *          busy:    still computing at the hard limit
 *          output:  wrote more than OUTPUT_MAX
 *   word   yes, no: whether the pass word came
 *
 * This process decides by what it sees from outside. Children get a process
 * group of their own, which is killed whole; none outlives the runner.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/answer.h"

enum { FIELDS = 64, SLOTS = 16, OUTPUT_MAX = 32 << 20, FILE_MAX = 1 << 30 };
#define BLOCKED_S 3.0

struct run {
    char *fields[FIELDS + 1];   /* id soft hard word log command... NULL */
    double soft, hard;
    pid_t pid;                  /* 0: the slot is free */
    uint64_t secret;
    double started;
    long cpu_ticks;             /* when last seen to change, */
    double cpu_seen;            /* and when that was */
    long group_ticks;           /* the same of all its processes */
    double group_seen;
    const char *killed;         /* why, or NULL */
};

enum { ID, SOFT, HARD, WORD, LOG, COMMAND };

static void reap(void);

static struct run slots[SLOTS];
static unsigned jobs = 2;
static size_t planned, ended;
static bool show;
static volatile sig_atomic_t stop_signal;

static double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void die(const char *what)
{
    fprintf(stderr, "runner: %s: %s\n", what, strerror(errno));
    exit(1);
}

static void *must(void *ptr)
{
    if (!ptr)
        die("out of memory");
    return ptr;
}

static void progress(const struct run *r)
{
    if (show)
        fprintf(stderr, "\r\033[K[%3zu/%zu] %.60s", ended, planned,
                r->fields[ID]);
}

static void limit(int what, rlim_t n)
{
    struct rlimit l = { n, n };

    setrlimit(what, &l);
}

/* In the child: limits, output to the log, then the command. */
static void become(struct run *r)
{
    char secret[32];
    sigset_t none;
    int in = open("/dev/null", O_RDONLY);
    int out = open(r->fields[LOG], O_WRONLY | O_CREAT | O_TRUNC | O_APPEND,
                   0644);

    if (in < 0 || out < 0)
        _exit(126);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    setpgid(0, 0);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    dup2(in, 0);
    dup2(out, 1);
    dup2(out, 2);
    close_range(3, ~0u, 0);
    limit(RLIMIT_CORE, 0);
    limit(RLIMIT_FSIZE, FILE_MAX);
    limit(RLIMIT_CPU, (rlim_t)(2 * r->hard) + 2);
    snprintf(secret, sizeof secret, "%" PRIu64, r->secret);
    setenv("CASE_SECRET", secret, 1);
    execvp(r->fields[COMMAND], r->fields + COMMAND);
    fprintf(stderr, "%s: %s\n", r->fields[COMMAND], strerror(errno));
    _exit(127);
}

static void start(struct run *r)
{
    if (getrandom(&r->secret, sizeof r->secret, 0) != sizeof r->secret)
        die("getrandom");
    r->secret >>= 1;
    r->started = r->cpu_seen = r->group_seen = now();
    r->cpu_ticks = r->group_ticks = -1;
    r->killed = NULL;
    r->pid = fork();
    if (r->pid < 0)
        die("fork");
    if (r->pid == 0)
        become(r);
    setpgid(r->pid, r->pid);
    progress(r);
}

/* What /proc says of a process, from its state on; NULL if it is gone. */
static const char *stat_of(const char *path, char text[1024])
{
    FILE *f = fopen(path, "re");
    size_t n = f ? fread(text, 1, 1023, f) : 0;

    if (f)
        fclose(f);
    text[n] = '\0';
    char *rest = strrchr(text, ')');
    return rest && rest[1] ? rest + 2 : NULL;
}

/* Calls fn for each process of the run's group: a case may have children,
 * and wait for them. */
static void each_process(pid_t group, void (*fn)(pid_t pid, void *arg),
                         void *arg)
{
    char path[64], text[1024];
    pid_t pgrp;
    DIR *dir = opendir("/proc");

    for (struct dirent *e; dir && (e = readdir(dir));) {
        if (e->d_name[0] < '1' || e->d_name[0] > '9')
            continue;
        snprintf(path, sizeof path, "/proc/%.16s/stat", e->d_name);
        const char *rest = stat_of(path, text);
        if (rest && sscanf(rest, "%*c %*d %d", &pgrp) == 1 && pgrp == group)
            fn(atoi(e->d_name), arg);
    }
    if (dir)
        closedir(dir);
}

/* CPU time in clock ticks: its own and that of children waited for. */
static long ticks_of(pid_t pid)
{
    char path[64], text[1024];
    unsigned long user, sys;
    long cuser, csys;

    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    const char *rest = stat_of(path, text);
    if (!rest || sscanf(rest, "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u"
                        " %*u %lu %lu %ld %ld", &user, &sys, &cuser,
                        &csys) != 4)
        return 0;
    return (long)(user + sys) + cuser + csys;
}

/* Voluntary switches tell a thread that polls, however rarely, from one
 * that sleeps for good. The main thread's and the whole CPU time will do:
 * the cases poll in the main thread. */
static long switches_of(pid_t pid)
{
    char path[64], line[128];
    long n = 0;

    snprintf(path, sizeof path, "/proc/%d/status", pid);
    FILE *f = fopen(path, "re");
    if (!f)
        return 0;
    while (fgets(line, sizeof line, f))
        if (sscanf(line, "voluntary_ctxt_switches: %ld", &n) == 1)
            break;
    fclose(f);
    return n;
}

static void write_stacks(const struct run *r)
{
    char command[4400];

    snprintf(command, sizeof command, "timeout -k 1 10 eu-stack -s -i -p %d "
             ">'%s.stacks' 2>&1", r->pid, r->fields[LOG]);
    if (system(command) < 0)
        fprintf(stderr, "runner: eu-stack could not be run\n");
}

static void kill_run(struct run *r, const char *why)
{
    r->killed = why;
    kill(-r->pid, SIGKILL);
    kill(r->pid, SIGKILL);
}

/* Is every thread asleep, waiting for something to happen? One that could
 * run and is not let, or that waits for a disk, is not stuck. */
static void threads_asleep(pid_t pid, void *arg)
{
    char path[320], text[1024];
    bool *asleep = arg;

    snprintf(path, sizeof path, "/proc/%d/task", pid);
    DIR *dir = opendir(path);
    for (struct dirent *e; dir && (e = readdir(dir));) {
        if (e->d_name[0] == '.')
            continue;
        snprintf(path, sizeof path, "/proc/%d/task/%s/stat", pid, e->d_name);
        const char *rest = stat_of(path, text);
        *asleep = *asleep && rest && (*rest == 'S' || *rest == 'Z');
    }
    if (dir)
        closedir(dir);
}

static bool all_asleep(pid_t group)
{
    bool asleep = true;

    each_process(group, threads_asleep, &asleep);
    return asleep;
}

static void add_activity(pid_t pid, void *arg)
{
    *(long *)arg += ticks_of(pid) + switches_of(pid);
}

/* What the run's processes have done so far. The first process alone is
 * looked at often; the others, when it seems to do nothing. */
static long activity_of(const struct run *r, bool all)
{
    long n = 0;

    if (all)
        each_process(r->pid, add_activity, &n);
    else
        add_activity(r->pid, &n);
    return n;
}

/* Takes the stacks and ends the run. The others have gone on meanwhile, but
 * nobody looked after them: that time is not theirs. */
static void give_up(struct run *r, const char *why)
{
    double before = now();

    write_stacks(r);
    kill_run(r, why);
    for (size_t i = 0; i < SLOTS; i++) {
        slots[i].started += now() - before;
        slots[i].cpu_seen += now() - before;
        slots[i].group_seen += now() - before;
    }
    reap();
}

static void look_after(struct run *r)
{
    double t = now();
    long activity = activity_of(r, false);
    struct stat st;

    if (activity != r->cpu_ticks) {
        r->cpu_ticks = activity;
        r->cpu_seen = t;
    }
    if (t - r->cpu_seen > BLOCKED_S / 3) {
        activity = activity_of(r, true);
        if (activity != r->group_ticks)
            r->group_seen = t;
        r->group_ticks = activity;
        if (t - r->group_seen > BLOCKED_S && !all_asleep(r->pid))
            r->group_seen = t;
    } else {
        r->group_seen = r->cpu_seen;
    }
    if (stat(r->fields[LOG], &st) == 0 && st.st_size >= OUTPUT_MAX)
        kill_run(r, "output");
    else if (t - r->group_seen > BLOCKED_S)
        give_up(r, "blocked");
    else if (t - r->started > r->hard)
        give_up(r, "busy");
}

/* Is the line "pass CASE WORD" in the log? */
static bool word_came(const struct run *r)
{
    char want[256], line[4096];
    bool found = false;

    snprintf(want, sizeof want, "pass %s %016" PRIx64 "\n", r->fields[WORD],
             case_answer(r->secret, r->fields[WORD]));
    FILE *f = fopen(r->fields[LOG], "re");
    while (f && !found && fgets(line, sizeof line, f))
        found = strcmp(line, want) == 0;
    if (f)
        fclose(f);
    return found;
}

static void finish(struct run *r, int status, const struct rusage *use)
{
    double wall = now() - r->started;
    struct stat st;
    const char *how = WIFEXITED(status) ? "exit" : "signal";
    int code = WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status);
    long cpu = (use->ru_utime.tv_sec + use->ru_stime.tv_sec) * 1000 +
               (use->ru_utime.tv_usec + use->ru_stime.tv_usec) / 1000;

    kill(-r->pid, SIGKILL);     /* what it left behind */
    if (r->killed)
        how = r->killed;
    else if (stat(r->fields[LOG], &st) == 0 && st.st_size >= OUTPUT_MAX)
        how = "output";
    else if (code == SIGXCPU && WIFSIGNALED(status))
        how = "busy";
    else if (WIFEXITED(status) && wall > r->soft)
        how = "slow";
    printf("%s\t%s\t%d\t%s\t%.0f\t%ld\n", r->fields[ID], how, code,
           strcmp(r->fields[WORD], "-") == 0 || word_came(r) ? "yes" : "no",
           wall * 1000, cpu);
    ended++;
    progress(r);
    free(r->fields[ID]);
    r->pid = 0;
}

static void reap(void)
{
    int status;
    struct rusage use;
    pid_t pid;

    while ((pid = wait4(-1, &status, WNOHANG, &use)) > 0)
        for (size_t i = 0; i < SLOTS; i++)
            if (slots[i].pid == pid)
                finish(&slots[i], status, &use);
}

/* Cuts a line at its tabs; the first field's memory is the line's. */
static bool parse(struct run *r, char *line)
{
    size_t n = 0;

    line[strcspn(line, "\n")] = '\0';
    for (char *rest = line; rest && n < FIELDS;)
        r->fields[n++] = strsep(&rest, "\t");
    r->fields[n] = NULL;
    if (n <= COMMAND)
        return false;
    r->soft = atof(r->fields[SOFT]);
    r->hard = atof(r->fields[HARD]);
    return true;
}

static struct run *free_slot(void)
{
    for (size_t i = 0; i < jobs; i++)
        if (slots[i].pid == 0)
            return &slots[i];
    return NULL;
}

static void on_signal(int sig)
{
    stop_signal = sig;
}

/* A process that has left its group, and lost its parent, is ours now
 * (PR_SET_CHILD_SUBREAPER): none is left behind. One may make others while we
 * look: so again and again, for some seconds. */
static void end_strays(void)
{
    char path[64];

    snprintf(path, sizeof path, "/proc/self/task/%d/children", getpid());
    for (double end = now() + 10; now() < end;) {
        FILE *f = fopen(path, "re");
        int pid, n = 0;

        while (f && fscanf(f, "%d", &pid) == 1) {
            kill(pid, SIGKILL);
            n++;
        }
        if (f)
            fclose(f);
        while (waitpid(-1, NULL, WNOHANG) > 0)
            ;
        if (n == 0)
            return;
    }
}

static void stop_all(void)
{
    for (size_t i = 0; i < SLOTS; i++)
        if (slots[i].pid)
            kill_run(&slots[i], "stopped");
    end_strays();
    exit(128 + stop_signal);
}

/* Waits a little for a child to end; SIGCHLD, being blocked, ends it. */
static void pause_a_little(void)
{
    sigset_t child;
    struct timespec t = { 0, 20 * 1000 * 1000 };

    sigemptyset(&child);
    sigaddset(&child, SIGCHLD);
    sigtimedwait(&child, NULL, &t);
    if (stop_signal)
        stop_all();
    reap();
    for (size_t i = 0; i < SLOTS; i++)
        if (slots[i].pid && !slots[i].killed)
            look_after(&slots[i]);
}

/* All of the plan, read first: the progress line wants to know how much. */
static char **read_plan(void)
{
    char **lines = NULL, *line = NULL;
    size_t size = 0;

    while (getline(&line, &size, stdin) > 0) {
        lines = must(realloc(lines, (planned + 2) * sizeof *lines));
        lines[planned++] = line;
        lines[planned] = NULL;
        line = NULL;
        size = 0;
    }
    free(line);
    return lines;
}

static void run_plan(char **lines)
{
    for (; *lines; lines++) {
        struct run *r;

        while (!(r = free_slot()))
            pause_a_little();
        if (parse(r, *lines))
            start(r);
        else
            fprintf(stderr, "runner: bad line: %s\n", *lines);
    }
    for (size_t i = 0; i < SLOTS; i++)
        while (slots[i].pid)
            pause_a_little();
}

int main(int argc, char **argv)
{
    struct sigaction act = { .sa_handler = on_signal };
    sigset_t child;

    if (argc > 1)
        jobs = (unsigned)atoi(argv[1]);
    if (jobs < 1 || jobs > SLOTS) {
        fprintf(stderr, "usage: runner [JOBS, 1 to %d] <PLAN\n", SLOTS);
        return 2;
    }
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    sigaction(SIGINT, &act, NULL);
    sigaction(SIGTERM, &act, NULL);
    sigaction(SIGHUP, &act, NULL);
    sigemptyset(&child);
    sigaddset(&child, SIGCHLD);
    sigprocmask(SIG_BLOCK, &child, NULL);
    setvbuf(stdout, NULL, _IOLBF, 0);
    show = isatty(2);
    char **lines = read_plan();
    if (lines)
        run_plan(lines);
    free(lines);
    end_strays();
    if (show)
        fprintf(stderr, "\r\033[K");
    return 0;
}
