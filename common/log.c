/* log.c -- given. */
#include "common/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { CUT = 4 };   /* "...\n" always fits behind what a line holds */

struct line {
    size_t len;
    char text[LOG_LINE_MAX];
};

static enum log_level shown = LOG_LEVEL_WARN;   /* both by log_setup only */
static char prefix[64];

static const char *const words[] = {
    [LOG_LEVEL_ERROR] = "error: ",
    [LOG_LEVEL_WARN] = "warning: ",
    [LOG_LEVEL_INFO] = "",
    [LOG_LEVEL_DEBUG] = "debug: ",
};

void log_setup(const char *program, enum log_level level)
{
    snprintf(prefix, sizeof prefix, "%.60s: ", program);
    shown = level;
}

/* How the byte is written, in at most 4 characters. 0x80-0x9f behind 0xc2
 * are control characters too, in UTF-8; elsewhere part of others. */
static size_t escape(char *to, unsigned char byte, unsigned char before)
{
    static const char named[] = "\n\t\r\\", names[] = "ntr\\";
    const char *at = byte == 0 ? NULL : strchr(named, byte);

    if (at) {
        to[0] = '\\';
        to[1] = names[at - named];
        return 2;
    }
    if (byte < 0x20 || byte == 0x7f || (before == 0xc2 && byte < 0xa0)) {
        static const char digits[] = "0123456789abcdef";
        memcpy(to, "\\x", 2);
        to[2] = digits[byte >> 4];
        to[3] = digits[byte & 15];
        return 4;
    }
    to[0] = (char)byte;
    return 1;
}

static void add(struct line *line, const char *text)
{
    unsigned char before = 0;

    for (; *text; before = (unsigned char)*text++) {
        char form[4];
        size_t n = escape(form, (unsigned char)*text, before);

        if (line->len + n > sizeof line->text - CUT) {
            memcpy(line->text + line->len, "...", 3);
            line->len += 3;
            return;
        }
        memcpy(line->text + line->len, form, n);
        line->len += n;
    }
}

static void put(enum log_level level, const char *format, va_list args)
{
    int saved = errno;
    struct line line = { .len = 0 };
    char text[LOG_LINE_MAX];    /* longer would not fit the line either */

    if (level > shown)
        return;
    vsnprintf(text, sizeof text, format, args);
    add(&line, prefix);
    add(&line, words[level]);
    add(&line, text);
    line.text[line.len++] = '\n';
    while (write(STDERR_FILENO, line.text, line.len) < 0 && errno == EINTR)
        ;
    errno = saved;
}

void log_error(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    put(LOG_LEVEL_ERROR, format, args);
    va_end(args);
}

void log_warn(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    put(LOG_LEVEL_WARN, format, args);
    va_end(args);
}

void log_info(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    put(LOG_LEVEL_INFO, format, args);
    va_end(args);
}

void log_debug(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    put(LOG_LEVEL_DEBUG, format, args);
    va_end(args);
}
