/* trace.h -- what the preloaded library and the front end tell each other.
 *
 * One file in memory (memfd), mapped by both. The front end fills the first
 * part before a run, the library the rest during it. Because the mapping is
 * shared, everything is still there when the program has crashed, left by
 * _exit or was killed; and the front end sees by `steps` whether it moves.
 *
 * Shapes: an object is a letter in the top byte (M mutex, C condition, R
 *         rwlock, S semaphore, B barrier, O once, L spin lock, W word of
 *         publish.h, T thread) and a number, counted from 1 in order of first use. Threads are
 *         numbered in order of creation; 1 is main.
 */
#ifndef EXPLORE_TRACE_H
#define EXPLORE_TRACE_H

#include <stdatomic.h>
#include <stdint.h>

enum {
    TRACE_FRAMES = 6,
    TRACE_STEPS = 200000,       /* more than these: not explored */
    TRACE_ROWS = TRACE_STEPS,
    TRACE_CHOICES = 65536,
    TRACE_THREADS = 1024,
    TRACE_STUCK = 64,
};

/* The environment variable with the number of the descriptor to map. */
#define TRACE_ENV "EXPLORE_TRACE_FD"

enum trace_op {
    OP_NONE, OP_END, OP_CREATE, OP_CREATE_FAILS, OP_JOIN, OP_DETACH,
    OP_ADD, OP_SUB, OP_READ,    /* of an N: a number of common/counter.h */
    OP_CANCEL, OP_BLOCKED, OP_LOCK, OP_BUSY, OP_UNLOCK, OP_WAIT, OP_WOKEN,
    OP_SPURIOUS, OP_TIMED_OUT, OP_SIGNAL, OP_BROADCAST, OP_RDLOCK, OP_WRLOCK,
    OP_POST, OP_TAKE, OP_BARRIER, OP_ONCE, OP_SLEEP, OP_YIELD, OP_DESTROY,
    OP_PUBLISH, OP_ACQUIRE, OP_ENTER, OP_LEAVE, OP_LOOK,
};

enum trace_kind {
    KIND_NONE,          /* the library saw nothing wrong */
    KIND_NOT_EXPLORED, KIND_NO_EXEC, KIND_DEADLOCK, KIND_LOST_WAKEUP,
    KIND_NOT_OWNER, KIND_RELOCK, KIND_DESTROYED, KIND_AFTER_DESTROY,
    /* Seen by the front end only: */
    KIND_CHECK, KIND_CRASH,
};

/* Where the schedule left the default: keep the running thread, or else the
 * lowest number. `where` counts the thread's own operations, so that it
 * still means the same when an earlier choice is taken away. */
enum choice_kind { CHOICE_NEXT, CHOICE_WAITER, CHOICE_TIME_OUT,
                   CHOICE_SPURIOUS };

struct trace_choice {
    uint32_t where;             /* operation * 256 + choice inside it */
    uint16_t thread;            /* whose operation */
    uint16_t kind;
    uint32_t value;             /* the thread chosen */
};

struct trace_row {
    uint16_t thread;
    uint16_t op;
    uint32_t object;            /* 0: none */
    uint32_t other;             /* a thread, a count or the mutex given up */
    uint32_t step;
    uint64_t at[TRACE_FRAMES];  /* return addresses, innermost first */
};

/* A thread that waits for ever: for what (0: the end of a thread), and who
 * has it. They are sorted by rank, the cause first. */
enum stuck_rank { IN_A_KNOT, ON_A_CONDITION, ON_AN_OBJECT, ON_A_THREAD };

struct trace_stuck {
    uint32_t thread, object, other, row, rank;
};

enum strategy { BY_DEFAULT, BY_SEED, BY_PLAN };

struct trace {
    /* From the front end. */
    uint64_t seed;
    uint64_t length;            /* steps of the default run, for PCT */
    int32_t pid;                /* of the command; not of its children */
    uint32_t strategy;
    uint32_t planned;           /* of plan[] */
    struct trace_choice plan[TRACE_CHOICES];

    /* From the library. */
    uint32_t attached;          /* it was loaded */
    uint32_t kind;              /* enum trace_kind */
    uint32_t kind_thread, kind_object, kind_other, kind_row;
    char reason[160];           /* of KIND_NOT_EXPLORED, KIND_NO_EXEC */
    _Atomic uint64_t steps;
    _Atomic uint32_t current;   /* the thread whose turn it is */
    int32_t tids[TRACE_THREADS + 1];
    uint32_t last_row[TRACE_THREADS + 1];
    uint64_t exe_start, exe_end, exe_base;
    char exe[1024];
    uint32_t stuck_count;
    struct trace_stuck stuck[TRACE_STUCK];
    uint32_t choice_count;
    struct trace_choice choices[TRACE_CHOICES];
    uint32_t row_count;
    struct trace_row rows[TRACE_ROWS];
};

#endif
