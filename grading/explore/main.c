/* main.c -- the front end: runs a command under many schedules.
 *
 * The first run is always the default one: no thread is interrupted. It
 * tells how long the program is (PCT wants to know), whether the library can
 * follow it at all, and whether there is anything to test. It depends on
 * nothing but the program, so a seed alone reproduces a schedule.
 *
 * exit: 0 none failed, 1 one failed, 2 usage, 3 not written, 4 not explored
 */
#include "grading/explore/front.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { PASSED = 0, FAILED = 1, USAGE = 2, NOT_WRITTEN = 3, NOT_EXPLORED = 4 };

/* After so many runs that could not be followed the search ends. */
enum { UNFOLLOWED_MAX = 3 };

struct options {
    uint64_t seeds, first, seed;
    double seconds;
    bool replay, shrinks;
};

double seconds_now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

_Noreturn void die(const char *what)
{
    fprintf(stderr, "explore: %s: %s\n", what, strerror(errno));
    exit(USAGE);
}

static bool is_not_written(const struct explorer *e, enum trace_kind kind)
{
    return kind == KIND_CHECK && WEXITSTATUS(e->status) == NOT_WRITTEN;
}

static bool is_unfollowed(enum trace_kind kind)
{
    return kind == KIND_NOT_EXPLORED || kind == KIND_NO_EXEC;
}

static int say_not_written(const struct explorer *e)
{
    fputs(e->out.text, stdout);
    puts("not written");
    return NOT_WRITTEN;
}

static int say_not_explored(struct explorer *e, enum trace_kind kind)
{
    char text[512];

    describe(e, kind, text, sizeof text);
    printf("not explored\t%s\n", text);
    return NOT_EXPLORED;
}

static int say_failed(struct explorer *e, enum trace_kind kind, uint64_t seed)
{
    char text[1024];

    describe(e, kind, text, sizeof text);
    printf("failed\t%llu\t%s\t%s\n", (unsigned long long)seed,
           kind_name(kind), text);
    return FAILED;
}

static enum trace_kind run_first(struct explorer *e)
{
    enum trace_kind kind = run_seed(e, 0);

    e->trace->length = atomic_load(&e->trace->steps);
    return kind;
}

static int search(struct explorer *e, const struct options *o)
{
    double end = seconds_now() + o->seconds;
    unsigned long long done = 0, unfollowed = 0;
    enum trace_kind kind = run_first(e);
    char why[512] = "";

    if (is_not_written(e, kind))
        return say_not_written(e);
    if (is_unfollowed(kind))
        return say_not_explored(e, kind);
    if (kind != KIND_NONE)
        return say_failed(e, kind, 0);
    for (; done < o->seeds && unfollowed < UNFOLLOWED_MAX; done++) {
        if (o->seconds > 0 && seconds_now() > end)
            break;
        kind = run_seed(e, o->first + done);
        if (is_not_written(e, kind))
            return say_not_written(e);
        if (!is_unfollowed(kind) && kind != KIND_NONE)
            return say_failed(e, kind, o->first + done);
        if (is_unfollowed(kind) && unfollowed++ == 0)
            describe(e, kind, why, sizeof why);
    }
    if (unfollowed > 0) {
        printf("not explored\t%s (%llu of %llu schedules)\n", why, unfollowed,
               done);
        return NOT_EXPLORED;
    }
    printf("explored\t%llu schedules\tnone failed\n", done);
    return PASSED;
}

/* Nothing in it shall move the terminal's cursor. */
static void print_output(const char *what, const struct output *from)
{
    if (from->len == 0)
        return;
    printf("\nthe program's %s\n", what);
    for (size_t i = 0; i < from->len; i++) {
        char c = from->text[i];

        putchar(isprint((unsigned char)c) || c == '\n' || c == '\t' ? c : '?');
    }
}

static int replay(struct explorer *e, const struct options *o)
{
    enum trace_kind kind = run_first(e);
    unsigned before, after;

    if (is_not_written(e, kind))
        return say_not_written(e);
    if (o->seed != 0)
        kind = run_seed(e, o->seed);
    if (is_unfollowed(kind))
        return say_not_explored(e, kind);
    if (kind == KIND_NONE) {
        printf("seed %llu passes\n", (unsigned long long)o->seed);
        return PASSED;
    }
    before = after = e->trace->choice_count;
    if (o->shrinks)
        after = shrink(e, kind);
    printf("seed %llu: %s\n", (unsigned long long)o->seed, kind_name(kind));
    printf("departures from the default schedule: %u", after);
    if (o->shrinks)
        printf(" (%u before shrinking)", before);
    putchar('\n');
    columns_print(e, kind);
    print_output("output", &e->out);
    print_output("errors", &e->err);
    return FAILED;
}

static int usage(void)
{
    fputs("usage: explore [--seeds N] [--first S] [--seconds T] [--lib PATH]"
          " -- COMMAND ARGS...\n"
          "       explore --seed S [--no-shrink] [--lib PATH] [--root DIR]"
          " -- COMMAND ARGS...\n", stderr);
    return USAGE;
}

static uint64_t number(const char *text)
{
    char *end;

    errno = 0;
    unsigned long long n = strtoull(text, &end, 10);
    if (errno || end == text || *end)
        exit(usage());
    return n;
}

/* Answers where the command begins, or 0. */
static int parse(int argc, char **argv, struct explorer *e, struct options *o)
{
    for (int i = 1; i < argc; i++) {
        const char *name = argv[i], *value = i + 1 < argc ? argv[i + 1] : "";

        if (strcmp(name, "--") == 0)
            return i + 1 < argc ? i + 1 : 0;
        if (strcmp(name, "--no-shrink") == 0) {
            o->shrinks = false;
            continue;
        }
        i++;
        if (strcmp(name, "--seeds") == 0)
            o->seeds = number(value);
        else if (strcmp(name, "--first") == 0)
            o->first = number(value);
        else if (strcmp(name, "--seconds") == 0)
            o->seconds = strtod(value, NULL);
        else if (strcmp(name, "--lib") == 0)
            e->library = value;
        else if (strcmp(name, "--root") == 0)
            e->root = value;
        else if (strcmp(name, "--seed") == 0)
            o->replay = true, o->seed = number(value);
        else
            return 0;
    }
    return 0;
}

static const char *default_library(void)
{
    static char path[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", path, sizeof path - 1);
    char *slash;

    path[n > 0 ? n : 0] = '\0';
    slash = strrchr(path, '/');
    snprintf(slash ? slash + 1 : path,
             sizeof path - (slash ? (size_t)(slash + 1 - path) : 0),
             "libexplore.so");
    return path;
}

static void make_trace(struct explorer *e)
{
    int fd = memfd_create("explore", MFD_CLOEXEC);

    if (fd < 0 || ftruncate(fd, sizeof *e->trace))
        die("memfd_create");
    /* High up, so that the program's descriptors have their usual numbers. */
    e->trace_fd = fcntl(fd, F_DUPFD_CLOEXEC, 200);
    if (e->trace_fd < 0)
        e->trace_fd = fd;
    else
        close(fd);
    e->trace = mmap(NULL, sizeof *e->trace, PROT_READ | PROT_WRITE,
                    MAP_SHARED, e->trace_fd, 0);
    if (e->trace == MAP_FAILED)
        die("mmap");
}

int main(int argc, char **argv)
{
    static struct explorer e;
    struct options o = { .seeds = 200, .first = 1, .shrinks = true };
    char library[PATH_MAX], root[PATH_MAX];

    e.library = default_library();
    e.root = ".";
    int command = parse(argc, argv, &e, &o);
    if (!command)
        return usage();
    e.command = argv + command;
    if (!realpath(e.library, library))
        die(e.library);
    if (!realpath(e.root, root))
        die(e.root);
    e.library = library;
    e.root = root;
    make_trace(&e);
    return o.replay ? replay(&e, &o) : search(&e, &o);
}
