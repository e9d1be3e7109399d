/* not_written.c -- given. */
#include "common/not_written.h"

#include <errno.h>
#include <pthread.h>
#include <stddef.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* guards first */
static const char *first;
static void (*hook)(const char *task);  /* set once */

int not_written(const char *task)
{
    pthread_mutex_lock(&lock);
    if (!first)
        first = task;
    pthread_mutex_unlock(&lock);
    if (hook)
        hook(task);
    return -ENOSYS;
}

void not_written_calls(void (*fn)(const char *task))
{
    hook = fn;
}

const char *not_written_task(void)
{
    pthread_mutex_lock(&lock);
    const char *task = first;
    pthread_mutex_unlock(&lock);
    return task;
}
