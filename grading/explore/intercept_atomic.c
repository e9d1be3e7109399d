/* intercept_atomic.c -- the steps of lock-free code.
 *
 * An atomic operation is no call, so nothing stands before it. But lock-free
 * code here makes its hand-overs with the functions of common/publish.h, and
 * those call explore_atomic, if there is one, right after each: there another
 * thread may come in between. Memory order stays that of one CPU.
 */
#include "grading/explore/intercept.h"

/* The letters are publish.c's; 0: it is about to do something. */
void explore_atomic(const void *word, int what);

void explore_atomic(const void *word, int what)
{
    enum trace_op op = what == 'p'   ? OP_PUBLISH
                       : what == 'a' ? OP_ACQUIRE
                       : what == 'e' ? OP_ENTER
                       : what == 'l' ? OP_LEAVE
                                     : OP_LOOK;

    if (!ENTER())
        return;
    if (what)
        report_row(op, object_id(object_at(word, 'W')), 0);
    sched_point();
    intercept_leave(0);
}
