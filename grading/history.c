/* history.c -- given. Checks a recorded history: could it have happened?
 *
 *     history check FILE.tsv [--svg OUT.svg]
 *
 * The file's form is in tests/history.h; "-" is standard input. Prints
 * `linearizable: N operations on K keys` and exits 0; or prints the smallest
 * failing window, draws it, and exits 1. Anything else (usage, files, a
 * history that is too hard) is a line on stderr and exit 2.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "common/args.h"
#include "common/errors.h"
#include "tests/history.h"

static int take_option(int key, const char *value, void *into)
{
    (void)key;
    *(const char **)into = value;
    return *value ? 0 : -EINVAL;
}

static const struct argp_option options[] = {
    { "svg", 's', "OUT.svg", 0, "draw what fails there; or, if nothing does, "
      "the first operations", 0 },
    { 0 },
};

static const struct args args = {
    .program = "history",
    .version = "1",
    .words = "check FILE.tsv",
    .about = "Is a history of operations on a map linearizable?",
    .options = options,
    .option = take_option,
    .words_max = 2,
};

static void die(const char *path, size_t line, const char *what)
{
    if (line > 0)
        fprintf(stderr, "history: %s:%zu: %s\n", path, line, what);
    else
        fprintf(stderr, "history: %s: %s\n", path, what);
    exit(2);
}

static struct history *read_file(const char *path)
{
    bool is_stdin = strcmp(path, "-") == 0;
    FILE *f = is_stdin ? stdin : fopen(path, "re");
    struct history *h = NULL;
    size_t line = 0;

    if (!f)
        die(path, 0, error_text(-errno));
    int err = history_read(&h, f, &line);
    if (err == -EINVAL)
        die(path, line, "not an operation (see tests/history.h)");
    if (err != 0)
        die(path, 0, error_text(err == -EIO && errno ? -errno : err));
    if (!is_stdin)
        fclose(f);
    return h;
}

static void draw(struct history *h, const char *path)
{
    FILE *f = fopen(path, "we");

    if (!f)
        die(path, 0, error_text(-errno));
    int err = history_draw(h, f);
    if (fclose(f) != 0 && err == 0)
        err = -errno;
    if (err != 0)
        die(path, 0, error_text(err));
}

int main(int argc, char **argv)
{
    char *words[2];
    const char *svg = NULL;
    struct history_verdict v;
    size_t n = args_parse(&args, argc, argv, &svg, words);

    if (n < 1 || strcmp(words[0], "check") != 0)
        args_fail(&args, "say what to do: check FILE.tsv");
    if (n < 2)
        args_fail(&args, "check which file?");
    struct history *h = read_file(words[1]);
    int err = history_check(h, &v, stdout, 0);
    if (err != 0 && err != -EILSEQ)
        die(words[1], 0, err == -E2BIG ? "too hard to decide"
                                       : error_text(err));
    if (err == 0)
        printf("linearizable: %zu operation%s on %zu key%s\n", v.operations,
               v.operations == 1 ? "" : "s", v.keys, v.keys == 1 ? "" : "s");
    if (svg)
        draw(h, svg);
    history_destroy(h);
    if (fflush(stdout) != 0)
        die("standard output", 0, error_text(-errno));
    return err == 0 ? 0 : 1;
}
