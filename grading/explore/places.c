/* places.c -- the source lines of the steps of a run.
 *
 * A step was recorded with a few return addresses. addr2line, called once
 * for all that will be asked for, makes source lines of these (inlined calls
 * included), and a step is at the innermost line that is the student's:
 * below the root, and not in common/, tests/ or grading/. Where there is
 * none, at the innermost line known.
 */
#include "grading/explore/front.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { ADDRESSES_MAX = 1500, INLINED_MAX = 6 };

static struct {
    uint64_t at;
    bool known;
    struct place places[INLINED_MAX];
    int count;
} addresses[ADDRESSES_MAX];

static int address_count;

static int find_address(uint64_t at)
{
    for (int i = 0; i < address_count; i++)
        if (addresses[i].at == at)
            return i;
    return -1;
}

void places_want(const struct trace *t, uint32_t index)
{
    if (index >= t->row_count)
        return;
    for (int i = 0; i < TRACE_FRAMES; i++) {
        uint64_t at = t->rows[index].at[i];

        if (at >= t->exe_start && at < t->exe_end && find_address(at) < 0 &&
            address_count < ADDRESSES_MAX)
            addresses[address_count++].at = at;
    }
}

/* Starts addr2line for the addresses not known yet. A return address may
 * already be on the next line: one byte less is inside the call. */
static FILE *start_addr2line(const struct trace *t, pid_t *pid)
{
    static char numbers[ADDRESSES_MAX][20];
    static char *args[ADDRESSES_MAX + 6];
    int n = 0, ends[2];

    args[n++] = (char *)"addr2line";
    args[n++] = (char *)"-aie";
    args[n++] = (char *)t->exe;
    for (int i = 0; i < address_count; i++) {
        if (addresses[i].known)
            continue;
        snprintf(numbers[i], sizeof numbers[i], "0x%llx",
                 (unsigned long long)(addresses[i].at - 1 - t->exe_base));
        args[n++] = numbers[i];
    }
    args[n] = NULL;
    if (n == 3 || pipe2(ends, O_CLOEXEC))
        return NULL;
    *pid = fork();
    if (*pid == 0) {
        dup2(ends[1], STDOUT_FILENO);
        dup2(open("/dev/null", O_WRONLY), STDERR_FILENO);
        execvp(args[0], args);
        _exit(127);
    }
    close(ends[1]);
    return fdopen(ends[0], "r");
}

static char *relative(const char *root, char *file)
{
    size_t n = strlen(root);

    if (strncmp(file, root, n) == 0 && file[n] == '/')
        file += n + 1;
    while (file[0] == '.' && file[1] == '/')    /* an -I. of the compiler's */
        file += 2;
    return file;
}

/* A line of the answer is `0x...` for a new address, or `file:line`. */
static void read_places(const struct explorer *e, FILE *from)
{
    char line[PATH_MAX + 64];
    int i = -1;

    while (fgets(line, sizeof line, from)) {
        if (strncmp(line, "0x", 2) == 0) {
            i = find_address(strtoull(line, NULL, 16) + 1 +
                             e->trace->exe_base);
            continue;
        }
        char *colon = strrchr(line, ':');
        int number = colon ? atoi(colon + 1) : 0;
        if (i < 0 || number == 0 || addresses[i].count == INLINED_MAX)
            continue;
        *colon = '\0';
        addresses[i].places[addresses[i].count++] =
            (struct place){ strdup(relative(e->root, line)), number };
    }
}

void places_look_up(const struct explorer *e)
{
    pid_t pid = -1;
    FILE *answer = start_addr2line(e->trace, &pid);

    if (!answer)
        return;
    read_places(e, answer);
    fclose(answer);
    waitpid(pid, NULL, 0);
    for (int i = 0; i < address_count; i++)
        addresses[i].known = true;
}

bool starts_with(const char *text, const char *start)
{
    return strncmp(text, start, strlen(start)) == 0;
}

bool place_is_own(const struct place *p)
{
    const char *file = p ? p->file : "/";

    return *file != '/' && !starts_with(file, "common/") &&
           !starts_with(file, "tests/") && !starts_with(file, "grading/");
}

const struct place *place_of(const struct trace *t, uint32_t index)
{
    const struct place *first = NULL;

    for (int i = 0; index < t->row_count && i < TRACE_FRAMES; i++) {
        int a = find_address(t->rows[index].at[i]);

        for (int k = 0; a >= 0 && k < addresses[a].count; k++) {
            const struct place *p = &addresses[a].places[k];

            if (place_is_own(p))
                return p;
            if (!first)
                first = p;
        }
    }
    return first;
}

const char *place_text(const struct trace *t, uint32_t index)
{
    static char texts[4][80];
    static unsigned turn;
    const struct place *p = place_of(t, index);
    char *text = texts[turn++ % 4];

    if (!p)
        return "an unknown place";
    const char *slash = strrchr(p->file, '/');
    snprintf(text, sizeof texts[0], "%s:%d", slash ? slash + 1 : p->file,
             p->line);
    return text;
}
