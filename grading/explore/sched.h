/* sched.h -- inside the library: threads, turns, choices, objects.
 *
 * Everything declared here is called by the thread whose turn it is and
 * nobody else, so none of it takes a lock.
 */
#ifndef EXPLORE_SCHED_H
#define EXPLORE_SCHED_H

#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

#include "grading/explore/trace.h"

#define NEVER INT64_MAX

/* The program may have functions and variables of the same names. */
#pragma GCC visibility push(hidden)

enum thread_state { READY, BLOCKED, FINISHED };
enum woken { BY_NOBODY, BY_CALL, BY_TIME, BY_CANCEL, BY_CHANCE };

struct object {
    const void *addr;
    uint32_t id;                /* 0 until first used */
    char letter;
    bool destroyed;
    struct thread *owner;       /* mutex, spin lock, writer, once */
    unsigned depth;             /* of a recursive lock; readers of a rwlock */
    unsigned value;             /* semaphore; arrived at a barrier; done */
    unsigned size, round;       /* barrier */
};

struct thread {
    unsigned number;
    pthread_t id;
    _Atomic uint32_t go;        /* futex: 1 when it is this thread's turn */
    enum thread_state state;
    enum woken woken;
    struct object *on;          /* what it is blocked on */
    struct thread *joins;       /* or whom it waits for */
    int64_t until;              /* blocked: deadline; ready: asleep until */
    uint64_t since;             /* step at which it blocked: first come ... */
    uint32_t op, sub;           /* its own count, see trace_choice */
    unsigned in_row;            /* steps since another thread ran */
    unsigned idle;              /* yields and looks at the clock so far */
    int64_t priority;
    bool inside;                /* in a function of this library */
    bool detached, joined;
    unsigned rounds;            /* of TSD destructors seen */
    uintptr_t stack_top;
    void *(*fn)(void *);
    void *arg;
    uint64_t at[TRACE_FRAMES];
};

/* ---- sched.c: threads and turns ---- */

extern struct trace *trace;     /* NULL: the library does nothing */
extern struct thread *threads[TRACE_THREADS + 1];
extern unsigned thread_count;
extern int64_t now;             /* virtual ns since the start */
extern bool has_strangers;      /* threads that do not take part use locks */

/* The calling thread, if it takes part. */
struct thread *sched_self(void);

void sched_start(void);
struct thread *sched_new_thread(void);
void sched_begin_thread(struct thread *t);      /* its first instruction */
void sched_end_thread(struct thread *t);        /* and its last */
struct thread *sched_find(pthread_t id);

/* Another thread may run before what follows. _point begins an operation,
 * _after comes behind one that has let others go on. */
void sched_point(void);
void sched_after(void);

/* Lets others run first, for so long in virtual time if they want to. */
void sched_doze(int64_t ns);

/* A look at the clock, a lock that was busy: time passes a little, and more
 * for a thread that does nothing else. */
void sched_idle(bool yields);

/* Waits until sched_wake, or until the deadline. */
/* Ends the thread if it has been cancelled. */
void sched_test_cancel(void);
bool sched_can_cancel(const struct thread *t);
enum woken sched_block(struct object *on, struct thread *joins, int64_t until);
void sched_wake(struct thread *t, enum woken how);
void sched_wake_all(const struct object *on);
unsigned sched_waiters(const struct object *on);

/* ---- report.c: rows and verdicts ---- */

void report_row(enum trace_op op, uint32_t object, uint32_t other);
void report_frames(struct thread *t, const void *frame);
_Noreturn void report_fail(enum trace_kind kind, uint32_t object,
                           uint32_t other);
_Noreturn void report_not_explored(const char *why);
_Noreturn void report_deadlock(void);
void report_program(void);

/* ---- choice.c: who is next ---- */

void choice_start(void);
void choice_new_thread(struct thread *t);
struct thread *choice_next(struct thread *from);
struct thread *choice_waiter(const struct object *on);

/* ---- objects.c, model.c, model_more.c: what the calls mean ---- */

struct object *object_at(const void *addr, char letter);
void object_forget(struct object *o);
uint32_t object_id(struct object *o);
void object_used(struct object *o);
void object_destroy(struct object *o, bool in_use);

int model_lock(struct object *o, int kind, int64_t until);
int model_trylock(struct object *o, int kind);
int model_unlock(struct object *o, int kind);
int model_wait(struct object *c, struct object *m, int64_t until);
void model_signal(struct object *c);
void model_broadcast(struct object *c);

int model_rdlock(struct object *o, int64_t until, bool try);
int model_wrlock(struct object *o, int64_t until, bool try);
int model_rwunlock(struct object *o);
int model_sem_take(struct object *o, int64_t until, bool try);
void model_sem_post(struct object *o);
int model_barrier(struct object *o);
void model_once(struct object *o, void (*fn)(void));
int model_join(struct thread *t, int64_t until);

#pragma GCC visibility pop

#endif
