/* log.h -- one line on stderr, whole, from any thread.
 *
 * Given. (The log of a store is another thing.)
 *
 *     kvs-server: listening on 127.0.0.1:4000
 *     kvs-server: error: /data: not found
 *
 * The program's name, the level unless it is info, the text. Each line is
 * one write(2), so lines of several threads and processes do not mix. What
 * comes from outside may be logged: control characters and backslashes are
 * written as \n, \t, \\ or \x1b, so a text can neither forge a line nor
 * steer a terminal. A line that is too long is cut and ends in "...".
 *
 * For mains, and for what runs directly below them; modules answer errors.
 *
 * Errors:  none; a line that cannot be written is lost. errno is kept.
 * Threads: any; log_setup before other threads log. Level and name are
 *          this module's only state, one for the process.
 */
#ifndef COMMON_LOG_H
#define COMMON_LOG_H

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARN, LOG_LEVEL_INFO,
                 LOG_LEVEL_DEBUG };

enum { LOG_LINE_MAX = 1024 };   /* bytes, with the newline */

/* The name (copied) in front of each line, and the last level that is
 * shown. Without: no name, and warnings. */
void log_setup(const char *program, enum log_level level);

void log_error(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_warn(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_info(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_debug(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
