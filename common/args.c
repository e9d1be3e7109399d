/* args.c -- given. */
#include "common/args.h"

#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/errors.h"
#include "common/log.h"

enum { WRONG_USAGE = 2 };
enum { USAGE = 0x10000 };    /* a key that is no short option */

struct parse {
    const struct args *args;
    void *into;
    char **words;
    size_t count;
};

static void label(const struct args *args, char *text, size_t size)
{
    snprintf(text, size, "%s (see --help)", args->program);
}

void args_fail(const struct args *args, const char *format, ...)
{
    char name[64], text[LOG_LINE_MAX];
    va_list list;

    va_start(list, format);
    vsnprintf(text, sizeof text, format, list);
    va_end(list);
    label(args, name, sizeof name);
    log_setup(name, LOG_LEVEL_INFO);    /* one line, whatever the text */
    log_info("%s", text);
    exit(WRONG_USAGE);
}

static const char *long_name(const struct args *args, int key)
{
    const struct argp_option *option = args->options;

    while (option->key != key)
        option++;
    return option->name;
}

static error_t take_option(const struct parse *parse, int key, char *value)
{
    const struct args *args = parse->args;
    int err = args->option(key, value, parse->into);

    if (err)
        args_fail(args, "--%s: %s: '%s'", long_name(args, key),
                  err == -ERANGE ? "out of range" : "bad value",
                  value ? value : "");
    return 0;
}

static error_t take_word(struct parse *parse, char *word)
{
    if (parse->count == parse->args->words_max)
        args_fail(parse->args, "one word too many: '%s'", word);
    parse->words[parse->count++] = word;
    return 0;
}

static error_t take(int key, char *value, struct argp_state *state)
{
    struct parse *parse = state->input;

    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = parse;
        state->err_stream = NULL;   /* no second line below getopt's */
        return 0;
    case ARGP_KEY_ARG:
        return take_word(parse, value);
    case ARGP_KEY_ARGS:
    case ARGP_KEY_NO_ARGS:
    case ARGP_KEY_END:
    case ARGP_KEY_SUCCESS:
    case ARGP_KEY_ERROR:
    case ARGP_KEY_FINI:
        return ARGP_ERR_UNKNOWN;
    default:
        return take_option(parse, key, value);
    }
}

/* argp's own --help would take the program's name from argv[0], which is
 * the label while we parse. */
static const struct argp_option common_options[] = {
    { "help", '?', NULL, 0, "Give this help list", -1 },
    { "usage", USAGE, NULL, 0, "Give a short usage message", 0 },
    { "version", 'V', NULL, 0, "Print program version", -1 },
    { 0 },
};

static error_t take_common(int key, char *value, struct argp_state *state)
{
    const struct parse *parse = state->input;

    (void)value;
    switch (key) {
    case '?':
    case USAGE:
        state->name = (char *)parse->args->program;
        argp_state_help(state, stdout, key == '?' ? ARGP_HELP_STD_HELP
                        : ARGP_HELP_USAGE | ARGP_HELP_EXIT_OK);
        return 0;
    case 'V':
        printf("%s %s\n", parse->args->program, parse->args->version);
        exit(0);
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

/* IN_ORDER: words as they come, and options behind them even where
 * POSIXLY_CORRECT is in the environment. What is wrong with an option,
 * getopt says itself, in one line that begins with argv[0]. */
size_t args_parse(const struct args *args, int argc, char **argv, void *into,
                  char **words)
{
    static const struct argp common = { common_options, take_common,
                                        NULL, NULL, NULL, NULL, NULL };
    const struct argp_child children[] = { { &common, 0, NULL, -1 }, { 0 } };
    const struct argp argp = { args->options, take, args->words, args->about,
                               children, NULL, NULL };
    struct parse parse = { args, into, words, 0 };
    char name[64], *own = argv[0];

    label(args, name, sizeof name);
    argv[0] = name;
    error_t err = argp_parse(&argp, argc, argv, ARGP_IN_ORDER | ARGP_NO_HELP,
                             NULL, &parse);
    argv[0] = own;
    if (err == EINVAL)
        exit(WRONG_USAGE);
    if (err)
        args_fail(args, "%s", error_text(-err));
    return parse.count;
}

/* Reads digits; *end is what comes behind them. */
static int digits(const char *text, size_t *out, const char **end)
{
    size_t n = 0;

    if (*text < '0' || *text > '9')
        return -EINVAL;
    for (; *text >= '0' && *text <= '9'; text++)
        if (__builtin_mul_overflow(n, 10, &n)
            || __builtin_add_overflow(n, (size_t)(*text - '0'), &n))
            return -ERANGE;
    *out = n;
    *end = text;
    return 0;
}

int args_uint(const char *text, unsigned min, unsigned max, unsigned *out)
{
    size_t n;
    const char *end;
    int err = digits(text, &n, &end);

    if (err)
        return err;
    if (*end)
        return -EINVAL;
    if (n < min || n > max)
        return -ERANGE;
    *out = (unsigned)n;
    return 0;
}

/* What a number with that behind it is multiplied with; 0: nothing known. */
static size_t unit(const char *suffix)
{
    static const char letters[] = "kKmMgG";

    if (*suffix == '\0')
        return 1;
    const char *at = strchr(letters, *suffix);
    if (!at || suffix[1] != '\0')
        return 0;
    return (size_t)1 << (10 * ((at - letters) / 2 + 1));
}

int args_size(const char *text, size_t min, size_t max, size_t *out)
{
    size_t n, factor;
    const char *end;
    int err = digits(text, &n, &end);

    if (err)
        return err;
    factor = unit(end);
    if (factor == 0)
        return -EINVAL;
    if (__builtin_mul_overflow(n, factor, &n) || n < min || n > max)
        return -ERANGE;
    *out = n;
    return 0;
}
