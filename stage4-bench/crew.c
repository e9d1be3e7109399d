/* crew.c -- given. */
#include "stage4-bench/crew.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/lock.h"

enum { TICK_NS = 100000000 };

/* The lock guards `working`; the condition: it has become 0. */
struct crew {
    pthread_mutex_t lock;
    pthread_cond_t done;
    unsigned working;
};

struct member {
    struct crew *crew;
    pthread_t id;
    struct load_options options;
    struct load_result result;
    uint64_t busy_ns, run_ns;
    int err;
};

/* How long this thread has run, or wanted to and was not let: nobody else
 * keeps it from sending. All of it CPU time, where the kernel does not say. */
static uint64_t busy_ns(void)
{
    unsigned long long ran, queued;
    FILE *f = fopen("/proc/thread-self/schedstat", "re");
    int n = f ? fscanf(f, "%llu %llu", &ran, &queued) : 0;

    if (f)
        fclose(f);
    return n == 2 ? ran + queued : clock_thread_cpu_ns();
}

static void *work(void *arg)
{
    struct member *m = arg;

    m->busy_ns = busy_ns();
    m->run_ns = clock_now_ns();
    m->err = load_run(&m->options, &m->result);
    m->run_ns = clock_now_ns() - m->run_ns;
    m->busy_ns = busy_ns() - m->busy_ns;
    if (m->err && m->options.live)
        counter_add_relaxed(&m->options.live->stop, 1);
    mutex_lock(&m->crew->lock);
    m->crew->working--;
    cond_signal(&m->crew->done);
    mutex_unlock(&m->crew->lock);
    return NULL;
}

static uint64_t share(uint64_t all, unsigned t, unsigned threads)
{
    return all * (t + 1) / threads - all * t / threads;
}

static int prepare(struct member *m, const struct load_options *load,
                   unsigned t, unsigned threads)
{
    m->options = *load;
    m->options.of = load->connections;
    m->options.first = (unsigned)((uint64_t)load->connections * t / threads);
    m->options.connections = (unsigned)share(load->connections, t, threads);
    m->options.rate = load->rate * m->options.connections / load->connections;
    m->options.count = share(load->count, t, threads);
    m->options.warm_count = share(load->warm_count, t, threads);
    return hist_create(&m->result.latency);
}

static void add(struct load_result *to, const struct member *m)
{
    const struct load_result *r = &m->result;

    hist_merge(to->latency, r->latency);
    for (int op = 0; op < WORK_OPS; op++)
        to->done[op] += r->done[op];
    to->not_found += r->not_found;
    to->errors += r->errors;
    to->wrong += r->wrong;
    to->unsent += r->unsent;
    to->cpu_ns += r->cpu_ns;
    to->busy_ns += m->busy_ns;
    to->run_ns += m->run_ns;
    if (r->wall_ns > to->wall_ns)
        to->wall_ns = r->wall_ns;
    if (!to->trouble[0])
        memcpy(to->trouble, r->trouble, sizeof to->trouble);
}

static void wait_for(struct crew *crew, void (*tick)(void *arg), void *arg)
{
    mutex_lock(&crew->lock);
    while (crew->working > 0) {
        struct timespec t;

        clock_gettime(CLOCK_REALTIME, &t);
        t.tv_nsec += TICK_NS;
        if (t.tv_nsec >= 1000000000) {
            t.tv_nsec -= 1000000000;
            t.tv_sec++;
        }
        pthread_cond_timedwait(&crew->done, &crew->lock, &t);
        mutex_unlock(&crew->lock);
        if (tick)
            tick(arg);
        mutex_lock(&crew->lock);
    }
    mutex_unlock(&crew->lock);
}

/* Whose error is the cause, and not the consequence of another's. */
static int cause(int a, int b)
{
    return a == 0 || (a == -ECANCELED && b != 0) ? b : a;
}

static int start_all(struct crew *crew, struct member *all, unsigned threads,
                     unsigned *started)
{
    int err = 0;

    crew->working = threads;
    for (*started = 0; *started < threads && !err; ++*started) {
        all[*started].crew = crew;
        err = thread_create(&all[*started].id, work, &all[*started]);
        if (err)
            break;
    }
    mutex_lock(&crew->lock);
    crew->working -= threads - *started;
    mutex_unlock(&crew->lock);
    if (err && all->options.live)
        counter_add_relaxed(&all->options.live->stop, 1);
    return err;
}

int crew_run(const struct load_options *load, unsigned threads,
             void (*tick)(void *arg), void *arg, struct load_result *result)
{
    struct crew crew = { .working = 0 };
    struct member *all = NULL;
    unsigned started = 0;
    int err = 0;

    *result = (struct load_result){ .latency = result->latency };
    if (threads == 0 || load->connections == 0)
        return -EINVAL;
    if (threads > load->connections)
        threads = load->connections;
    if (load->count && threads > load->count)
        threads = (unsigned)load->count;
    all = calloc(threads, sizeof *all);
    if (!all)
        return -ENOMEM;
    mutex_init(&crew.lock);
    cond_init(&crew.done);
    for (unsigned t = 0; t < threads && !err; t++)
        err = prepare(&all[t], load, t, threads);
    if (!err)
        err = start_all(&crew, all, threads, &started);
    wait_for(&crew, tick, arg);
    for (unsigned t = 0; t < started; t++) {
        thread_join(all[t].id);
        err = cause(err, all[t].err);
        add(result, &all[t]);
    }
    for (unsigned t = 0; t < threads; t++)
        hist_destroy(all[t].result.latency);
    cond_release(&crew.done);
    mutex_release(&crew.lock);
    free(all);
    return err;
}
