/* args.h -- what the user typed: options, words, numbers.
 *
 * Given.
 *
 * A program describes its command line in a struct args; --help, --usage
 * and -V then come by themselves (on stdout, exit 0). Options may stand
 * before, between and after the words; behind "--" everything is a word,
 * and so is a lone "-".
 *
 * Errors:  wrong usage ends the program: one line on stderr, exit 2. The
 *          number functions answer -EINVAL (not a number of this form) or
 *          -ERANGE (outside min..max), and leave *out alone.
 * Threads: one, at the start of main.
 * Source:  argp of the GNU C library, which does the work.
 */
#ifndef COMMON_ARGS_H
#define COMMON_ARGS_H

#include <argp.h>
#include <stddef.h>

/* Called for each option, with its value or NULL; 0, or a negative errno:
 * then the value is wrong usage. */
typedef int args_option_fn(int key, const char *value, void *into);

struct args {
    const char *program;    /* "kvs-client" */
    const char *version;
    const char *words;      /* "get KEY\nrm KEY": one form of use a line;
                               NULL: takes no words */
    const char *about;      /* what it does; \v parts what comes after the
                               options in --help. May be NULL */
    const struct argp_option *options;  /* each with a long name; ends with
                               { 0 }; may be NULL */
    args_option_fn *option;
    size_t words_max;       /* more words than that are wrong usage */
};

/* Calls args->option for each option and puts the words, in their order,
 * into words[], borrowed from argv; NULL if there are to be none. Answers
 * how many. */
size_t args_parse(const struct args *args, int argc, char **argv, void *into,
                  char **words);

/* Ends the program: "kvs-client (see --help): " and the text on stderr,
 * exit 2. For what only main can judge, such as a missing word. */
void args_fail(const struct args *args, const char *format, ...)
    __attribute__((noreturn, format(printf, 2, 3)));

/* A plain decimal number, no sign, no spaces. */
int args_uint(const char *text, unsigned min, unsigned max, unsigned *out);

/* Bytes: such a number, or one followed by K, M or G (times 1024, its
 * square, its cube), small letters too. */
int args_size(const char *text, size_t min, size_t max, size_t *out);

#endif
