/* guard.c -- given. */
#include "common/guard.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <ucontext.h>

#include "common/lock.h"

/* Where this thread goes on if its copy fails; NULL while it copies nothing.
 * Only the thread and its own signal handler touch it. */
static _Thread_local sigjmp_buf *volatile escape;

static struct sigaction before;

static void on_bus_error(int sig, siginfo_t *info, void *context)
{
    if (escape) {
        /* We leave by a jump, so nobody else brings the mask back. */
        pthread_sigmask(SIG_SETMASK, &((ucontext_t *)context)->uc_sigmask,
                        NULL);
        siglongjmp(*escape, 1);
    }
    if (before.sa_flags & SA_SIGINFO) {
        before.sa_sigaction(sig, info, context);
    } else if (before.sa_handler != SIG_DFL && before.sa_handler != SIG_IGN) {
        before.sa_handler(sig);
    } else {
        signal(sig, SIG_DFL);   /* it happens again on return, and ends us */
    }
}

int guard_install(void)
{
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    static bool installed;
    struct sigaction act = { .sa_sigaction = on_bus_error,
                             .sa_flags = SA_SIGINFO };
    int err = 0;

    mutex_lock(&lock);
    if (!installed && sigaction(SIGBUS, &act, &before) != 0)
        err = -errno;
    installed = installed || err == 0;
    mutex_unlock(&lock);
    return err;
}

int guarded_copy(void *to, const void *from, size_t len)
{
    sigjmp_buf here;

    if (sigsetjmp(here, 0) != 0) {
        escape = NULL;
        return -EIO;
    }
    escape = &here;
    memcpy(to, from, len);
    escape = NULL;
    return 0;
}
