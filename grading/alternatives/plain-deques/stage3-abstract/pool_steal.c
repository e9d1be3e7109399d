/* pool_steal.c -- yours: stage 3, task 3.7.
 *
 * Plain: a list for each thread, under a lock of its own, and one lock for
 * all that is counted. A thread first draws a ticket, of which there are as
 * many as jobs in the lists, and then looks for a job: in its own list, then
 * in the others'. There is one for every ticket.
 */
#include "stage1-pool/pool.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>

#include "common/lock.h"

struct node {
    struct node *next;
    pool_job_fn *fn;
    void *arg;
};

struct place {
    pthread_mutex_t guard;      /* of the list */
    struct node *first, **end;
    struct pool *pool;
    pthread_t id, before;       /* written by the thread itself */
    bool has_before;
};

struct pool {
    pthread_mutex_t numbers;    /* guards all from here to `over` */
    pthread_cond_t more, fewer, none, nobody;
    size_t tickets, unfinished, capacity;
    unsigned turn, alive;
    bool over;
    unsigned n;
    struct place at[];
};

static _Thread_local struct place *mine;

static void append(struct place *p, struct node *node)
{
    mutex_lock(&p->guard);
    *p->end = node;
    p->end = &node->next;
    mutex_unlock(&p->guard);
}

static struct node *remove_first(struct place *p)
{
    mutex_lock(&p->guard);
    struct node *node = p->first;
    if (node) {
        p->first = node->next;
        if (!p->first)
            p->end = &p->first;
    }
    mutex_unlock(&p->guard);
    return node;
}

static bool draw(struct pool *pool)
{
    mutex_lock(&pool->numbers);
    while (pool->tickets == 0 && !pool->over)
        cond_wait(&pool->more, &pool->numbers);
    bool got = pool->tickets > 0;
    if (got) {
        pool->tickets--;
        cond_signal(&pool->fewer);
    }
    mutex_unlock(&pool->numbers);
    return got;
}

static struct node *look_for_one(struct place *p)
{
    for (unsigned i = (unsigned)(p - p->pool->at);; i++) {
        struct node *node = remove_first(&p->pool->at[i % p->pool->n]);

        if (node)
            return node;
    }
}

static void one_less(struct pool *pool)
{
    mutex_lock(&pool->numbers);
    if (--pool->unfinished == 0)
        cond_broadcast(&pool->none);
    mutex_unlock(&pool->numbers);
}

static void *work(void *arg);

static void died(void *arg)
{
    struct place *p = arg;
    pthread_t ignored;

    p->before = pthread_self();
    p->has_before = true;
    if (thread_create(&ignored, work, p) != 0)
        abort();
}

static void *work(void *arg)
{
    struct place *p = arg;
    struct pool *pool = p->pool;

    if (p->has_before) {
        thread_join(p->before);
        one_less(pool);
    }
    p->has_before = false;
    p->id = pthread_self();
    mine = p;
    pthread_cleanup_push(died, p);
    while (draw(pool)) {
        struct node *node = look_for_one(p), copy = *node;

        free(node);
        copy.fn(copy.arg);
        one_less(pool);
    }
    pthread_cleanup_pop(0);
    mutex_lock(&pool->numbers);
    if (--pool->alive == 0)
        cond_signal(&pool->nobody);
    mutex_unlock(&pool->numbers);
    return NULL;
}

static void end(struct pool *pool, unsigned started)
{
    mutex_lock(&pool->numbers);
    pool->over = true;
    cond_broadcast(&pool->more);
    while (pool->alive > 0)
        cond_wait(&pool->nobody, &pool->numbers);
    mutex_unlock(&pool->numbers);
    for (unsigned i = 0; i < started; i++)
        thread_join(pool->at[i].id);
    for (unsigned i = 0; i < pool->n; i++)
        mutex_release(&pool->at[i].guard);
    cond_release(&pool->more);
    cond_release(&pool->fewer);
    cond_release(&pool->none);
    cond_release(&pool->nobody);
    mutex_release(&pool->numbers);
    free(pool);
}

int pool_create(struct pool **out, const struct pool_options *o)
{
    int err = pool_options_check(o, "steal");
    struct pool *pool;
    unsigned i;

    if (err)
        return err;
    pool = calloc(1, sizeof *pool + o->threads * sizeof *pool->at);
    if (!pool)
        return -ENOMEM;
    mutex_init(&pool->numbers);
    cond_init(&pool->more);
    cond_init(&pool->fewer);
    cond_init(&pool->none);
    cond_init(&pool->nobody);
    pool->capacity = o->capacity;
    pool->n = pool->alive = o->threads;
    for (i = 0; i < pool->n; i++) {
        mutex_init(&pool->at[i].guard);
        pool->at[i].end = &pool->at[i].first;
        pool->at[i].pool = pool;
    }
    for (i = 0; i < pool->n && !err; i += !err) {
        pthread_t ignored;

        err = thread_create(&ignored, work, &pool->at[i]);
    }
    if (err) {
        mutex_lock(&pool->numbers);
        pool->alive -= pool->n - i;
        mutex_unlock(&pool->numbers);
        end(pool, i);
        return err;
    }
    *out = pool;
    return 0;
}

static int add(struct pool *pool, pool_job_fn *fn, void *arg, bool wait)
{
    bool own = mine && mine->pool == pool;
    struct node *node = malloc(sizeof *node);

    if (!node)
        return -ENOMEM;
    *node = (struct node){ NULL, fn, arg };
    mutex_lock(&pool->numbers);
    while (wait && !own && pool->tickets >= pool->capacity)
        cond_wait(&pool->fewer, &pool->numbers);
    if (!own && pool->tickets >= pool->capacity) {
        mutex_unlock(&pool->numbers);
        free(node);
        return -EAGAIN;
    }
    append(own ? mine : &pool->at[pool->turn++ % pool->n], node);
    pool->tickets++;
    pool->unfinished++;
    cond_signal(&pool->more);
    mutex_unlock(&pool->numbers);
    return 0;
}

int pool_submit(struct pool *pool, pool_job_fn *fn, void *arg)
{
    return add(pool, fn, arg, true);
}

int pool_try_submit(struct pool *pool, pool_job_fn *fn, void *arg)
{
    return add(pool, fn, arg, false);
}

void pool_wait(struct pool *pool)
{
    mutex_lock(&pool->numbers);
    while (pool->unfinished > 0)
        cond_wait(&pool->none, &pool->numbers);
    mutex_unlock(&pool->numbers);
}

void pool_destroy(struct pool *pool)
{
    if (!pool)
        return;
    pool_wait(pool);
    end(pool, pool->n);
}
