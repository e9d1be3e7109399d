/* crash_calls.h -- what the wrapped calls share.
 *
 * Given. Used by crash_record.c, which has the record and the faults, and by
 * crash_calls.c and crash_names.c, which stand between the code and the C
 * library.
 *
 * With -Wl,--wrap=NAME the linker turns every call of NAME in our objects and
 * in the student's into __wrap_NAME, and calls of __real_NAME into the C
 * library's.
 */
#ifndef TESTS_CRASH_CALLS_H
#define TESTS_CRASH_CALLS_H

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <sys/stat.h>
#include <sys/uio.h>

#include "common/lock.h"
#include "tests/crash_disk.h"
#include "tests/driver.h"

#define WRAP(result, name, args) \
    result __real_##name args; result __wrap_##name args; \
    result __wrap_##name args

/* The other name of the same call. */
#define SAME(result, other, name, args) \
    result __wrap_##other args __attribute__((alias("__wrap_" #name)));

int __real_openat(int at, const char *path, int flags, ...);
int __real_unlinkat(int at, const char *path, int flags);

/* Set while nothing is recorded and no other thread runs. */
enum crash_mode { CRASH_OFF, CRASH_COUNT, CRASH_RECORD };
extern enum crash_mode crash_mode;

/* Held across a call and its event, so that the record has the order in which
 * things happened. A sync alone runs without it, because what is written while
 * it runs is not covered by it. It guards the record and the counts. */
extern pthread_mutex_t crash_lock;

/* A new event; the note_ functions fill one in. */
struct event *note(enum event_kind kind, int inode);
void note_write(int inode, const struct iovec *iov, int n, size_t at,
                size_t len);
void note_resize(int inode, size_t size);
void note_new(enum event_kind kind, int dir, const char *name,
              const struct stat *st);
void note_name(char to[CRASH_NAME], const char *name);

/* One more call has changed something. */
void note_made(void);

/* The number in the record of this file; -1: it is not below the root. */
int inode_of(const struct stat *st);

/* Whether calls on this file count: >= 0, and in a record its number. */
int inode_of_fd(int fd);

/* What shall happen to this call: 0 it goes on, 1 only half of it, else a
 * negative errno. *after: die when it is done. */
int fate_locked(enum crash_call call, bool *after);

void die(void);

/* errno is set, and that is the answer. */
int answer(int err);

/* Ends a call that began with the lock taken. */
void done(bool die_now);

#endif
