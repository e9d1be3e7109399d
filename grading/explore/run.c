/* run.c -- one run of the command under one schedule.
 *
 * The command runs without address randomisation, on one CPU (waking a
 * thread on another costs more than everything else here), in a process
 * group of its own that is killed when the run is over.
 *
 * A thread that waits for something outside the model keeps its turn and
 * never comes back. So while the command runs, its step counter is watched,
 * and a run that stands still is stopped and called NOT EXPLORED: that it
 * hangs is our doing, perhaps, and not a deadlock.
 */
#include "grading/explore/front.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/answer.h"

enum { STILL_MS = 1000, STARVED_MS = 10000 };

static void preload(const struct explorer *e)
{
    const char *others = getenv("LD_PRELOAD");
    char text[2 * PATH_MAX], number[16];

    snprintf(text, sizeof text, "%s%s%s", e->library,
             others && *others ? ":" : "", others ? others : "");
    setenv("LD_PRELOAD", text, 1);
    snprintf(number, sizeof number, "%d", e->trace_fd);
    setenv(TRACE_ENV, number, 1);
}

static void stay_on_this_cpu(void)
{
    cpu_set_t set;
    int cpu = sched_getcpu();

    CPU_ZERO(&set);
    CPU_SET(cpu < 0 ? 0 : (unsigned)cpu, &set);
    sched_setaffinity(0, sizeof set, &set);
}

static _Noreturn void become_command(const struct explorer *e, int out,
                                     int err, pid_t parent)
{
    int null = open("/dev/null", O_RDONLY);

    setpgid(0, 0);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(127);
    personality(ADDR_NO_RANDOMIZE);
    stay_on_this_cpu();
    dup2(null, STDIN_FILENO);
    dup2(out, STDOUT_FILENO);
    dup2(err, STDERR_FILENO);
    fcntl(e->trace_fd, F_SETFD, 0);
    preload(e);
    e->trace->pid = getpid();
    execvp(e->command[0], e->command);
    snprintf(e->trace->reason, sizeof e->trace->reason, "cannot run %s: %s",
             e->command[0], strerror(errno));
    e->trace->kind = KIND_NO_EXEC;
    _exit(127);
}

/* Takes what is there and keeps the first OUTPUT_MAX bytes. Answers false
 * at the end of the pipe. */
static bool drain(int fd, struct output *to)
{
    char bytes[4096];
    ssize_t n;

    while ((n = read(fd, bytes, sizeof bytes)) > 0) {
        size_t room = OUTPUT_MAX - to->len;
        size_t keep = (size_t)n < room ? (size_t)n : room;

        memcpy(to->text + to->len, bytes, keep);
        to->len += keep;
    }
    to->text[to->len] = '\0';
    return n < 0;
}

/* State letter and CPU ticks of a thread, from the line that starts with
 * its name in brackets. */
static char thread_state(pid_t pid, int tid, unsigned long *ticks)
{
    char path[64], line[512], state = '?', *end;
    unsigned long user = 0, sys = 0;
    FILE *f;

    snprintf(path, sizeof path, "/proc/%d/task/%d/stat", (int)pid, tid);
    f = fopen(path, "re");
    if (!f)
        return state;
    if (fgets(line, sizeof line, f) && (end = strrchr(line, ')')))
        sscanf(end + 1, " %c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu",
               &state, &user, &sys);
    fclose(f);
    *ticks = user + sys;
    return state;
}

/* The system call a thread is in, for those that a test would use. */
static const char *blocked_in(pid_t pid, int tid)
{
    static const struct { long number; const char *name; } calls[] = {
        { SYS_read, "read" }, { SYS_write, "write" }, { SYS_readv, "readv" },
#ifdef SYS_poll
        { SYS_poll, "poll" }, { SYS_select, "select" },
        { SYS_epoll_wait, "epoll_wait" },
#endif
        { SYS_ppoll, "poll" }, { SYS_epoll_pwait, "epoll_wait" },
        { SYS_accept, "accept" }, { SYS_accept4, "accept" },
        { SYS_recvfrom, "recv" }, { SYS_recvmsg, "recv" },
        { SYS_futex, "a futex" }, { SYS_wait4, "wait" },
        { SYS_flock, "flock" }, { SYS_fcntl, "fcntl" },
        { SYS_rt_sigtimedwait, "sigwait" }, { SYS_pause, "pause" },
        { SYS_rt_sigsuspend, "sigsuspend" },
    };
    char path[64];
    long number = -1;
    FILE *f;

    snprintf(path, sizeof path, "/proc/%d/task/%d/syscall", (int)pid, tid);
    f = fopen(path, "re");
    if (f) {
        if (fscanf(f, "%ld", &number) != 1)
            number = -1;
        fclose(f);
    }
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++)
        if (calls[i].number == number)
            return calls[i].name;
    return "a system call";
}

/* What was seen of a run that may stand still. */
struct watch {
    uint64_t steps;
    double since;
    unsigned long ticks;
};

/* Whether the run has stood still for too long; then writes down why. A
 * thread that could run but gets no CPU on a busy machine is given longer. */
static bool stands_still(struct explorer *e, pid_t pid, struct watch *w)
{
    struct trace *t = e->trace;
    uint64_t steps = atomic_load(&t->steps);
    uint32_t who = atomic_load(&t->current);
    int tid = who ? t->tids[who] : (int)pid;
    unsigned long ticks = 0;
    char state = thread_state(pid, tid, &ticks);

    if (steps != w->steps) {
        *w = (struct watch){ steps, seconds_now(), ticks };
        return false;
    }
    double ms = (seconds_now() - w->since) * 1000;
    bool runs = state == 'R' || state == '?';
    double used_ms = (double)(ticks - w->ticks) * 1000 /
                     (double)sysconf(_SC_CLK_TCK);
    if (!t->attached && ms < STARVED_MS)        /* still being loaded */
        return false;
    if (ms < STILL_MS || (runs && used_ms < STILL_MS / 2 && ms < STARVED_MS))
        return false;
    if (runs)
        snprintf(t->reason, sizeof t->reason, "thread %u computes, or polls "
                 "without a call that can be followed", who);
    else
        snprintf(t->reason, sizeof t->reason, "thread %u waits in %s, which "
                 "cannot be followed", who, blocked_in(pid, tid));
    t->kind = KIND_NOT_EXPLORED;
    t->kind_thread = who;
    t->kind_row = t->last_row[who];
    return true;
}

/* Until the command has ended. Its children may keep the pipes open, so
 * their end is not what is waited for. */
static void follow(struct explorer *e, pid_t pid, int out, int err)
{
    int ended = (int)syscall(SYS_pidfd_open, pid, 0);
    struct pollfd fds[3] = { { ended, POLLIN, 0 }, { out, POLLIN, 0 },
                             { err, POLLIN, 0 } };
    struct watch w = { 0, seconds_now(), 0 };

    for (;;) {
        poll(fds, 3, ended < 0 ? 2 : 100);
        if (fds[1].revents && !drain(out, &e->out))
            fds[1].fd = -1;
        if (fds[2].revents && !drain(err, &e->err))
            fds[2].fd = -1;
        if ((ended < 0 || fds[0].revents) &&
            waitpid(pid, &e->status, WNOHANG) == pid)
            break;
        if (seconds_now() - w.since > 0.1 && stands_still(e, pid, &w)) {
            kill(-pid, SIGKILL);
            waitpid(pid, &e->status, 0);
            break;
        }
    }
    kill(-pid, SIGKILL);
    drain(out, &e->out);
    drain(err, &e->err);
    if (ended >= 0)
        close(ended);
}

/* Only what the library fills; the large arrays have counts. */
static void clear_results(struct explorer *e)
{
    struct trace *t = e->trace;

    t->pid = 0;
    memset(&t->attached, 0, offsetof(struct trace, stuck) -
                            offsetof(struct trace, attached));
    t->choice_count = t->row_count = 0;
    e->out.len = e->err.len = 0;
    e->out.text[0] = e->err.text[0] = '\0';
}

/* "pass CASE WORD" (tests/answer.h), where the runner has given a secret: who
 * ends the process early with 0 does not know the word. */
static bool said_word(const struct explorer *e)
{
    const char *secret = getenv("CASE_SECRET"), *name = e->command[1];
    char want[300];

    if (!secret || !name)
        return true;
    snprintf(want, sizeof want, "\npass %s %016llx\n", name,
             (unsigned long long)case_answer(strtoull(secret, NULL, 10),
                                             name));
    return strstr(e->out.text, want) != NULL;
}

static enum trace_kind verdict(const struct explorer *e)
{
    struct trace *t = e->trace;

    if (t->kind != KIND_NONE)
        return t->kind;
    if (!t->attached) {
        snprintf(t->reason, sizeof t->reason,
                 "the program did not load the library");
        return KIND_NOT_EXPLORED;
    }
    if (WIFSIGNALED(e->status))
        return KIND_CRASH;
    return WEXITSTATUS(e->status) != 0 || !said_word(e) ? KIND_CHECK
                                                        : KIND_NONE;
}

enum trace_kind run_once(struct explorer *e)
{
    int out[2], err[2];
    pid_t parent = getpid(), pid;

    clear_results(e);
    if (pipe2(out, O_CLOEXEC) || pipe2(err, O_CLOEXEC))
        die("pipe");
    fcntl(out[0], F_SETFL, O_NONBLOCK);
    fcntl(err[0], F_SETFL, O_NONBLOCK);
    pid = fork();
    if (pid < 0)
        die("fork");
    if (pid == 0)
        become_command(e, out[1], err[1], parent);
    setpgid(pid, pid);          /* both do: whoever is first */
    close(out[1]);
    close(err[1]);
    follow(e, pid, out[0], err[0]);
    close(out[0]);
    close(err[0]);
    return verdict(e);
}

enum trace_kind run_seed(struct explorer *e, uint64_t seed)
{
    e->trace->seed = seed;
    e->trace->strategy = seed == 0 ? BY_DEFAULT : BY_SEED;
    return run_once(e);
}
