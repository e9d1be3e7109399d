/* main.c -- given. Drives a fuzz target without libFuzzer.
 *
 *     fuzz_decode [--runs N] [--seed S] [--save DIR] [FILE|DIR]...
 *
 * Runs each file once, then N random changes of them (and, without files, of
 * nothing). The same seed makes the same changes. When the target ends the
 * process, the input is kept in DIR (default: here), and the last line says
 * how to repeat it.
 */
#include "tests/fuzz/fuzz.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/clock.h"
#include "common/file.h"
#include "tests/answer.h"

enum { FILES_MAX = 4096, LEN_MAX = 4096, LIMIT_S = 30 };

static struct {
    const char *program, *save;
    unsigned long long seed, run, runs;
    const unsigned char *input; /* what the target sees now */
    size_t len;
    struct buf file[FILES_MAX];
    size_t files;
} fuzz = { .save = "." };

/* A sanitizer that ends the process calls this first. */
__attribute__((weak)) void __sanitizer_set_death_callback(void (*fn)(void));

/* In a signal handler: the process is lost, so snprintf does no harm. */
static void keep_input(int signal)
{
    const char *why = signal == SIGALRM ? "hangs" : strsignal(signal);
    char path[512], text[2048];

    snprintf(path, sizeof path, "%s/crash-%llu-%llu", fuzz.save, fuzz.seed,
             fuzz.run);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0666);
    if (fd >= 0 && write(fd, fuzz.input, fuzz.len) == (ssize_t)fuzz.len)
        snprintf(text, sizeof text, "%s: seed %llu, run %llu\n"
                 "repeat it with: %s %s\n", signal ? why : "stopped",
                 fuzz.seed, fuzz.run, fuzz.program, path);
    else
        snprintf(text, sizeof text, "cannot write %s\n", path);
    _exit(write(STDERR_FILENO, text, strlen(text)) < 0 ? 2 : 1);
}

static void keep_input_at_death(void)
{
    keep_input(0);
}

static void watch_signals(void)
{
    static const int signals[] = { SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGILL,
                                   SIGALRM };
    struct sigaction action = { .sa_handler = keep_input };

    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++)
        sigaction(signals[i], &action, NULL);
    if (__sanitizer_set_death_callback)
        __sanitizer_set_death_callback(keep_input_at_death);
}

static void run_one(const unsigned char *bytes, size_t len)
{
    fuzz.input = bytes;
    fuzz.len = len;
    if (fuzz.run++ % 256 == 0)
        alarm(LIMIT_S);
    LLVMFuzzerTestOneInput(bytes, len);
}

/* ---- files -------------------------------------------------------------- */

static int fail(const char *what, const char *name, int err)
{
    fprintf(stderr, "%s: %s: %s\n", what, name, strerror(err));
    return 2;
}

static int load_file(const char *path)
{
    struct stat stat;
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    if (fd < 0 || fstat(fd, &stat) != 0)
        return fail("cannot read", path, errno);
    if (fuzz.files == FILES_MAX)
        return fail("too many files", path, E2BIG);
    struct buf *to = &fuzz.file[fuzz.files];
    ssize_t n = buf_reserve(to, (size_t)stat.st_size + 1);
    if (n == 0)
        n = read_full(fd, to->ptr, (size_t)stat.st_size);
    close(fd);
    if (n < 0)
        return fail("cannot read", path, (int)-n);
    to->len = (size_t)n;
    fuzz.files++;
    return 0;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The directory's files in the order of their names, which the same seed
 * relies on. */
static int load_dir(const char *path)
{
    static char *name[FILES_MAX];
    size_t names = 0;
    struct dirent *entry;
    DIR *dir = opendir(path);
    int err = 0;

    if (!dir)
        return fail("cannot read", path, errno);
    while ((entry = readdir(dir)) && names < FILES_MAX)
        if (entry->d_name[0] != '.'
            && asprintf(&name[names], "%s/%s", path, entry->d_name) >= 0)
            names++;
    closedir(dir);
    qsort(name, names, sizeof *name, compare_names);
    for (size_t i = 0; i < names; i++) {
        if (!err)
            err = load_file(name[i]);
        free(name[i]);
    }
    return err;
}

/* ---- random changes ----------------------------------------------------- */

static uint64_t random_state;

static size_t below(size_t n)
{
    return n == 0 ? 0 : (size_t)(next_random(&random_state) % n);
}

/* Replaces `old` bytes at `at` by `len` of `from`, or random ones. */
static size_t replace(unsigned char *bytes, size_t have, size_t at, size_t old,
                     const unsigned char *from, size_t len)
{
    if (len > LEN_MAX - (have - old))
        len = LEN_MAX - (have - old);
    memmove(bytes + at + len, bytes + at + old, have - at - old);
    for (size_t i = 0; i < len; i++)
        bytes[at + i] = from ? from[i] : (unsigned char)below(256);
    return have - old + len;
}

static size_t change(unsigned char *bytes, size_t len)
{
    static const uint32_t edges[] = {
        0, 1, 5, 12, 16, 255, 0x7fffffff, 0x80000000, 0xffffffff,
        128 << 10, (128 << 10) + 1, 16 << 20, (16 << 20) + 1, 4096, 4097
    };
    size_t at = below(len + 1), n = 1 + below(8);

    if (n > len - at)
        n = len - at;
    switch (below(8)) {
    case 0:
    case 1:
        if (n > 0)
            bytes[at] ^= (unsigned char)(1u << below(8));
        return len;
    case 2:
        return replace(bytes, len, at, n, NULL, n);
    case 3:
        return replace(bytes, len, at, 0, NULL, 1 + below(8));
    case 4:
        return replace(bytes, len, at, n, NULL, 0);
    case 5:
        return below(4) == 0 ? at : len;
    case 6: {
        uint32_t edge = edges[below(sizeof edges / sizeof *edges)];

        if (len - at >= sizeof edge)
            memcpy(bytes + at, &edge, sizeof edge);
        return len;
    }
    default: {
        if (fuzz.files == 0)
            return len;
        const struct buf *other = &fuzz.file[below(fuzz.files)];
        size_t from = below(other->len);
        return replace(bytes, len, at, 0, other->ptr + from,
                      below(other->len - from + 1) % 256);
    }
    }
}

static void run_random(void)
{
    static unsigned char bytes[LEN_MAX];
    size_t len = 0;

    if (fuzz.files > 0) {
        const struct buf *file = &fuzz.file[below(fuzz.files)];

        len = file->len < LEN_MAX ? file->len : LEN_MAX;
        memcpy(bytes, file->ptr, len);
    }
    for (size_t n = 1 + below(6); n > 0; n--)
        len = change(bytes, len);
    run_one(bytes, len);
}

int main(int argc, char **argv)
{
    fuzz.program = argv[0];
    fuzz.seed = clock_now_ns();
    for (int i = 1; i < argc; i++) {
        struct stat stat;
        int err = 0;

        if (strcmp(argv[i], "--runs") == 0 && i + 1 < argc)
            fuzz.runs = strtoull(argv[++i], NULL, 10);
        else if (strcmp(argv[i], "--seed") == 0 && i + 1 < argc)
            fuzz.seed = strtoull(argv[++i], NULL, 10);
        else if (strcmp(argv[i], "--save") == 0 && i + 1 < argc)
            fuzz.save = argv[++i];
        else if (lstat(argv[i], &stat) == 0 && S_ISDIR(stat.st_mode))
            err = load_dir(argv[i]);
        else
            err = load_file(argv[i]);
        if (err)
            return err;
    }
    watch_signals();
    for (size_t i = 0; i < fuzz.files; i++)
        run_one(fuzz.file[i].ptr, fuzz.file[i].len);
    random_state = fuzz.seed;
    for (unsigned long long i = 0; i < fuzz.runs; i++)
        run_random();
    fprintf(stderr, "%zu files, %llu random changes, seed %llu\n", fuzz.files,
           fuzz.runs, fuzz.seed);
    for (size_t i = 0; i < fuzz.files; i++)
        buf_release(&fuzz.file[i]);
    return 0;
}
