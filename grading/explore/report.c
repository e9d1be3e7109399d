/* report.c -- rows of the trace, and the verdicts that end a run.
 *
 * A verdict is written as numbers; the front end turns them into words,
 * because only it can look up source lines. Then the process ends at once,
 * without exit handlers: the program is broken, and its handlers might wait
 * for a thread that will never have its turn.
 */
#include "grading/explore/sched.h"

#include <link.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Walks the chain of frame pointers. A function compiled without them (the
 * C library's) leaves the register as it is or with any value at all, so a
 * link is believed only if it lies further up in this thread's stack. */
void report_frames(struct thread *t, const void *frame)
{
    const uintptr_t *fp = frame;

    for (int i = 0; i < TRACE_FRAMES; i++)
        t->at[i] = 0;
    for (int i = 0; i < TRACE_FRAMES; i++) {
        if ((uintptr_t)fp + 2 * sizeof *fp > t->stack_top)
            return;
        t->at[i] = fp[1];
        if (fp[0] <= (uintptr_t)fp || fp[0] % sizeof *fp != 0)
            return;
        fp = (const uintptr_t *)fp[0];
    }
}

void report_row(enum trace_op op, uint32_t object, uint32_t other)
{
    struct thread *t = sched_self();
    struct trace_row *row;

    if (trace->row_count == TRACE_ROWS)
        report_not_explored("more than 200,000 steps");
    row = &trace->rows[trace->row_count];
    row->thread = (uint16_t)t->number;
    row->op = (uint16_t)op;
    row->object = object;
    row->other = other;
    row->step = (uint32_t)atomic_load(&trace->steps);
    for (int i = 0; i < TRACE_FRAMES; i++)
        row->at[i] = t->at[i];
    trace->last_row[t->number] = trace->row_count++;
}

static _Noreturn void stop(enum trace_kind kind)
{
    trace->kind = kind;
    syscall(SYS_exit_group, 125);
    __builtin_trap();
}

void report_fail(enum trace_kind kind, uint32_t object, uint32_t other)
{
    struct thread *t = sched_self();

    trace->kind_thread = t->number;
    trace->kind_object = object;
    trace->kind_other = other;
    trace->kind_row = trace->last_row[t->number];
    stop(kind);
}

void report_not_explored(const char *why)
{
    snprintf(trace->reason, sizeof trace->reason, "%s", why);
    stop(KIND_NOT_EXPLORED);
}

static const struct thread *waits_for(const struct thread *t)
{
    return t->joins ? t->joins : t->on ? t->on->owner : NULL;
}

/* Whether t is in a ring of threads that wait for each other, or waits for
 * a lock that a thread took with it when it ended. */
static bool is_knot(const struct thread *t)
{
    const struct thread *other = waits_for(t);

    for (unsigned i = 0; other && other != t && i < thread_count; i++)
        other = other->state == FINISHED ? t : waits_for(other);
    return other == t;
}

static enum stuck_rank rank_of(const struct thread *t)
{
    if (is_knot(t))
        return IN_A_KNOT;
    if (!t->on)
        return ON_A_THREAD;
    return t->on->letter == 'C' ? ON_A_CONDITION : ON_AN_OBJECT;
}

static void list_stuck(enum stuck_rank rank)
{
    for (unsigned i = 1; i <= thread_count; i++) {
        const struct thread *t = threads[i], *other = waits_for(t);

        if (t->state != BLOCKED || rank_of(t) != rank ||
            trace->stuck_count == TRACE_STUCK)
            continue;
        trace->stuck[trace->stuck_count++] = (struct trace_stuck){
            t->number, t->on ? object_id(t->on) : 0,
            other ? other->number : 0, trace->last_row[t->number], rank };
    }
}

/* Threads that wait for each other are a deadlock, whoever else waits. If
 * there are none, a thread that waits for a condition is the likely cause. */
void report_deadlock(void)
{
    if (has_strangers)
        report_not_explored("all wait, but there are threads that were not "
                            "made by pthread_create");
    for (unsigned rank = IN_A_KNOT; rank <= ON_A_THREAD; rank++)
        list_stuck(rank);
    trace->kind_thread = trace->stuck[0].thread;
    trace->kind_object = trace->stuck[0].object;
    trace->kind_row = trace->stuck[0].row;
    stop(trace->stuck[0].rank == ON_A_CONDITION ? KIND_LOST_WAKEUP
                                                : KIND_DEADLOCK);
}

static int main_program(struct dl_phdr_info *info, size_t size, void *arg)
{
    (void)size;
    (void)arg;
    trace->exe_base = info->dlpi_addr;
    trace->exe_start = UINT64_MAX;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *p = &info->dlpi_phdr[i];

        if (p->p_type != PT_LOAD || !(p->p_flags & PF_X))
            continue;
        trace->exe_start = info->dlpi_addr + p->p_vaddr;
        trace->exe_end = trace->exe_start + p->p_memsz;
    }
    return 1;           /* the first is the program; no more */
}

/* Where the program's code is, for addr2line. */
void report_program(void)
{
    ssize_t n = readlink("/proc/self/exe", trace->exe, sizeof trace->exe - 1);

    trace->exe[n > 0 ? n : 0] = '\0';
    dl_iterate_phdr(main_program, NULL);
}
