/* pool_glib.c -- yours: stage 3, tasks 3.1, 3.2.
 *
 * The jobs stay in a list of ours; what goes through GLib is only the advice
 * "there is one more", always the pool itself. Whoever gets it takes the head
 * of the list. Threads are GLib's to share with other pools.
 */
#include <errno.h>
#include <glib.h>
#include <stdlib.h>

#include "common/lock.h"
#include "common/publish.h"
#include "stage1-pool/pool.h"

struct item {
    struct item *next;
    pool_job_fn *fn;
    void *arg;
};

struct pool {
    pthread_mutex_t mutex;  /* guards head, tail, length and open */
    pthread_cond_t all_done, shorter;
    struct item *head, **tail;
    unsigned long open;     /* in the list or running */
    size_t length, places;
    GThreadPool *gpool;
};

static pthread_key_t working_for;
static pthread_once_t key_once = PTHREAD_ONCE_INIT;

static void make_key(void)
{
    pthread_key_create(&working_for, NULL);
}

static void one_more(gpointer ticket, gpointer unused)
{
    struct pool *p = ticket;
    struct item *i;

    (void)unused;
    mutex_lock(&p->mutex);
    i = p->head;
    p->head = i->next;
    if (!p->head)
        p->tail = &p->head;
    p->length--;
    mutex_unlock(&p->mutex);
    cond_signal(&p->shorter);
    pthread_setspecific(working_for, p);
    i->fn(i->arg);
    pthread_setspecific(working_for, NULL);
    free(i);
    mutex_lock(&p->mutex);
    p->open--;
    if (p->open == 0)
        cond_broadcast(&p->all_done);
    mutex_unlock(&p->mutex);
    handing_over(p);
}

int pool_create(struct pool **out, const struct pool_options *options)
{
    int bad = pool_options_check(options, "glib");
    struct pool *p;

    if (bad)
        return bad;
    if (options->threads > G_MAXINT)
        return -EINVAL;
    pthread_once(&key_once, make_key);
    p = calloc(1, sizeof *p);
    if (!p)
        return -ENOMEM;
    mutex_init(&p->mutex);
    cond_init(&p->all_done);
    cond_init(&p->shorter);
    p->places = options->capacity;
    p->tail = &p->head;
    p->gpool = g_thread_pool_new(one_more, NULL, (gint)options->threads,
                                 FALSE, NULL);
    *out = p;
    return 0;
}

/* Appends it, once there is a place; `patient` says whether to wait. */
static int accept_job(struct pool *p, struct item *i, int patient)
{
    int stranger = pthread_getspecific(working_for) != p;

    mutex_lock(&p->mutex);
    while (stranger && patient && p->length >= p->places)
        cond_wait(&p->shorter, &p->mutex);
    if (stranger && p->length >= p->places) {
        mutex_unlock(&p->mutex);
        free(i);
        return -EAGAIN;
    }
    *p->tail = i;
    p->tail = &i->next;
    p->length++;
    p->open++;
    mutex_unlock(&p->mutex);
    g_thread_pool_push(p->gpool, p, NULL);
    return 0;
}

static struct item *new_item(pool_job_fn *fn, void *arg)
{
    struct item *i = malloc(sizeof *i);

    if (i)
        *i = (struct item){ NULL, fn, arg };
    return i;
}

int pool_submit(struct pool *p, pool_job_fn *fn, void *arg)
{
    struct item *i = new_item(fn, arg);

    return i ? accept_job(p, i, 1) : -ENOMEM;
}

int pool_try_submit(struct pool *p, pool_job_fn *fn, void *arg)
{
    struct item *i = new_item(fn, arg);

    return i ? accept_job(p, i, 0) : -ENOMEM;
}

void pool_wait(struct pool *p)
{
    mutex_lock(&p->mutex);
    while (p->open != 0)
        cond_wait(&p->all_done, &p->mutex);
    mutex_unlock(&p->mutex);
}

void pool_destroy(struct pool *p)
{
    if (!p)
        return;
    pool_wait(p);
    g_thread_pool_free(p->gpool, FALSE, TRUE);
    handed_over(p);
    cond_release(&p->shorter);
    cond_release(&p->all_done);
    mutex_release(&p->mutex);
    free(p);
}
