/* crash.h -- every disk that a crash can leave, tried out.
 *
 * Given.
 *
 * A workload runs while its system calls are recorded (the linker puts
 * crash_calls.c between the code and the C library). From the record,
 * crash_explore computes what a disk may hold after a crash at any moment:
 *
 *   - the process dies: all calls so far, and any part of the next write;
 *   - the power fails: besides, of what was not synced any part may be
 *     missing: each 4 KiB page is as it was after any of the writes to it,
 *     or torn at a sector (512 bytes); a file is as long as after any of
 *     them, with zeros where no page came (and nothing is left of what was
 *     cut off before the file grew again); and each change of a directory
 *     (a new name, a rename, a removal) is there or not, by itself, until
 *     the directory is synced. What a failed sync was to bring may be gone
 *     for ever: no later sync brings it, unless it is written once more.
 *
 * All of them where there are few, else a choice with a seed. Each such disk
 * is made as a real directory and looked at by a function of the test; what
 * it sees must be the changes up to some moment, none of those missing that
 * were promised.
 *
 * Seen:    open, creat, openat; write, pwrite, writev, pwritev and the like;
 *          ftruncate, fallocate, copy_file_range; fsync, fdatasync, sync,
 *          O_SYNC; rename, link, unlink, rmdir, mkdir; stdio streams that
 *          fopen or fdopen opened. Not seen: writing through a mapping,
 *          io_uring, system calls made by hand.
 * Errors:  what cannot go on fails the case.
 * Threads: the recorded code has as many as it likes; recording keeps their
 *          calls in one order. crash_explore by one thread.
 * Source:  Pillai and others, "All File Systems Are Not Created Equal"
 *          (2014); Mohan and others, CrashMonkey (2018).
 */
#ifndef TESTS_CRASH_H
#define TESTS_CRASH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tests/scratch.h"

enum {
    CRASH_KEYS = 24,        /* keys are numbers below this; */
    CRASH_STREAMS = 6,      /* a stream of changes is one writer's, */
    CRASH_CHANGES = 512     /* with so many at most */
};

/* A value is a number: 0 for none, or what a test makes bytes of. */
enum { CRASH_ABSENT = 0, CRASH_GARBAGE = 0xffff };

/* The end of a directory (scratch_make's), with all that is in it; unseen. */
void crash_remove(const char *path);

/* ---- Recording ----------------------------------------------------------- */

/* From now on calls below root are recorded. What is there now is on the
 * disk. No sync reaches the real disk: they are recorded only. */
void crash_record(const char *root);

/* Calls pass unseen again. (Before crash_record, too.) */
void crash_stop(void);

/* The record is in shared memory, so a child may go on with it: a process
 * that dies and one that starts again are two children and one record. */

/* The keys' values at the start, when there were some. */
void crash_starts_with(const uint16_t value[CRASH_KEYS]);

/* A change is asked for; its number within its stream, from 1. A key belongs
 * to one stream. */
unsigned crash_asks(unsigned stream, unsigned key, unsigned value);

/* The stream's changes up to n were answered 0: the death of the process
 * takes none of them away. */
void crash_answered(unsigned stream, unsigned n);

/* A power failure takes none of them away. */
void crash_promised(unsigned stream, unsigned n);

/* Somebody has read what change n made, with a promise that nobody does
 * before it is on the disk (I15). */
void crash_was_read(unsigned stream, unsigned n);

/* For all streams: what is answered is promised. */
void crash_synced(void);

/* What runs from now on, for messages; a literal. "" for nothing special.
 * The changes of a map within a phase that has no changes of its own are
 * that phase's fault. */
void crash_phase(const char *what);

/* How many events are in the record. */
size_t crash_events(void);

/* ---- Faults -------------------------------------------------------------- */

enum crash_call {           /* a set of them may be given */
    CRASH_OPEN = 1, CRASH_WRITE = 2, CRASH_RESIZE = 4, CRASH_SYNC = 8,
    CRASH_RENAME = 16, CRASH_UNLINK = 32, CRASH_MAKE = 64, CRASH_GROW = 128,
    CRASH_ANY = 255         /* resize: to fewer bytes; grow: to more */
};

enum crash_fault_kind {
    CRASH_FAIL,             /* the call fails with err and does nothing */
    CRASH_SHORT,            /* a write takes half; with err only the first,
                               and all others that are hit fail */
    CRASH_KILL,             /* the process is killed before the call, */
    CRASH_KILL_WITHIN,      /* or after half of a write, */
    CRASH_KILL_AFTER        /* or right after it */
};

struct crash_fault {
    unsigned calls;         /* which calls count */
    enum crash_fault_kind kind;
    int err;                /* positive */
    unsigned at;            /* the first that is hit, from 1; 0: none */
    unsigned times;         /* how many in a row; 0: all from there on */
};

/* Arms it and counts from 0; NULL: nothing is hit any more. Works while
 * recording. (open counts only where it may write.) */
void crash_fault(const struct crash_fault *fault);

/* How many calls were counted, and how many were hit, since then. */
unsigned crash_fault_seen(void);
unsigned crash_fault_hits(void);

/* A process of its own: runs life(arg) in a child, with the fault armed (NULL:
 * none). True if that killed it, false if it came to its end; whatever else
 * becomes of it fails the case. Nothing of it is closed or synced at its end. */
typedef void crash_life_fn(void *arg);
bool crash_life(crash_life_fn *life, void *arg,
                const struct crash_fault *fault);

/* Only counts calls and hits them; remembers nothing. For long runs. */
void crash_count(void);

/* Counted since crash_record or crash_count: calls that changed a file or a
 * directory (syncs are not among them). */
unsigned crash_changes_made(void);

/* ---- Exploring ----------------------------------------------------------- */

/* What a test sees on a disk. */
struct crash_seen {
    int error;              /* opening failed; no values then */
    uint16_t value[CRASH_KEYS];
    const char *broken;     /* an invariant that this disk alone breaks, */
    char detail[160];       /* and how; NULL if none */
    bool changed;           /* opening it wrote something: it is worth a
                               second crash */
};

/* Looks at the disk at `root` (a copy; it may be changed and is removed
 * afterwards). `nth` numbers the different disks. */
typedef void crash_look_fn(void *arg, const char *root, unsigned nth,
                           struct crash_seen *seen);

struct crash_plan {
    crash_look_fn *look;
    void *arg;
    uint64_t seed;
    unsigned per_moment;    /* disks a moment, at most */
    bool one_cut;           /* the process dies within a write at one place
                               only; else at five. For long records whose
                               torn pages (power) or a twin (a plan without
                               power) show the rest */
    size_t from;            /* events before this are no moments; 0: all */
    bool power;             /* else only the process dies */
    bool keep;              /* some that were `changed`, for crash_kept */
    const char *tried;      /* what the workload was, for messages */
};

struct crash_report {
    unsigned moments, states, disks;    /* tried; different among them */
    const char *invariant;              /* that was broken; NULL: none */
    char when[400];                     /* the moment and what was lost */
    char got[400];
};

/* Stops at the first disk that breaks an invariant. */
void crash_explore(const struct crash_plan *plan, struct crash_report *report);

/* As crash_explore; a broken invariant fails the case. CRASH_KEEP=DIR in the
 * environment then makes that disk in DIR, to be looked at. */
void crash_expect(const struct crash_plan *plan, struct crash_report *report);

/* With plan.keep: the path of the n-th disk that was kept and the values that
 * were seen on it; false when there are no more. The path is the caller's to
 * use up. */
bool crash_kept(unsigned n, char path[128], uint16_t value[CRASH_KEYS]);
void crash_drop_kept(void);

#endif
