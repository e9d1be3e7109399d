/* load.c -- yours: stage 4, tasks 4.3, 4.4, 4.5. */
/* Another way: both loops are one. Every request has a number and a moment;
 * in the closed loop that moment is now. The ring of a connection is a list of
 * allocated requests. */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "stage4-bench/links.h"
#include "stage4-bench/load.h"

struct asked {
    struct asked *next;
    struct work_item what;
    uint64_t id, moment, version, removed;
    bool counts, present, own;
};

struct place {
    struct asked *oldest, **last;
    unsigned waiting;
    uint64_t next_number;   /* open loop */
    bool over;
    struct work_stream stream;
};

struct state {
    const struct load_options *o;
    struct load_result *r;
    struct links *links;
    struct place *places;
    uint64_t began, t0, t1, t2, t3;     /* begin, measured from, to, give up */
    uint64_t first_at, last_at, cpu;
    uint64_t flying;
    struct buf value;
};

static bool is_open(const struct state *s)
{
    return s->o->rate > 0 && !s->o->loading;
}

static uint64_t moment_of(const struct state *s, uint64_t number)
{
    return s->t0 + (uint64_t)((double)number * 1e9 / s->o->rate);
}

enum when { WARM, MEASURED, AFTER };

static enum when when_is(const struct state *s, uint64_t number,
                         uint64_t moment)
{
    if (s->o->loading)
        return MEASURED;
    if (s->o->count)
        return number < s->o->warm_count ? WARM :
               number < s->o->warm_count + s->o->count ? MEASURED : AFTER;
    return moment < s->t1 ? WARM : moment < s->t2 ? MEASURED : AFTER;
}

/* ---- judging ----------------------------------------------------------- */

static void complain(struct state *s, const struct asked *a, const char *text,
                     struct slice more)
{
    struct load_result *r = s->r;

    if (s->o->live)
        counter_add_relaxed(&s->o->live->trouble, 1);
    if (r->trouble[0] == '\0')
        snprintf(r->trouble, sizeof r->trouble, "%s of key %llu: %s %.*s",
                 a->what.op == WORK_GET ? "get" : a->what.op == WORK_SET
                 ? "set" : "remove", (unsigned long long)a->what.key, text,
                 (int)(more.len > 60 ? 60 : more.len),
                 more.len ? (const char *)more.ptr : "");
}

static void lie(struct state *s, const struct asked *a, const char *text)
{
    s->r->wrong++;
    complain(s, a, text, slice_str(""));
}

static bool fits(const struct asked *a, const struct wire_reply *w)
{
    bool general = w->labelled && w->id == 0 && w->kind == WIRE_FAILED;
    bool same = !w->labelled || (w->id == a->id && w->op == a->what.op);

    if (!same && !general)
        return false;
    return w->kind == WIRE_FAILED
        || (w->kind == WIRE_VALUE && a->what.op == WORK_GET)
        || (w->kind == WIRE_DONE && a->what.op != WORK_GET)
        || (w->kind == WIRE_NOT_FOUND && a->what.op != WORK_SET);
}

static void judge_get(struct state *s, const struct asked *a,
                      const struct wire_reply *w)
{
    struct ledger *l = s->o->ledger;
    uint64_t from = ledger_unsure(l, a->what.key) ? 0 : a->version;
    uint64_t to = a->own ? a->version : ledger_issued(l, a->what.key);
    uint64_t version = 0;
    bool value = w->kind == WIRE_VALUE &&
                 work_is_value(s->o->work, a->what.key, w->value, &version);

    if (w->kind == WIRE_NOT_FOUND) {
        if (from > (a->own ? a->removed : ledger_removed(l, a->what.key)))
            lie(s, a, "missing");
    } else if (!value) {
        lie(s, a, "no value of this key");
    } else if (version < from || version > to) {
        lie(s, a, "a version that cannot be");
    }
}

static void judge(struct state *s, const struct asked *a,
                  const struct wire_reply *w)
{
    struct ledger *l = s->o->ledger;

    if (w->kind == WIRE_FAILED) {
        s->r->errors += a->counts;
        complain(s, a, "failed:", w->text);
        if (l && a->what.op != WORK_GET)
            ledger_fail(l, a->what.key);
        return;
    }
    if (!l)
        return;
    if (a->what.op == WORK_GET) {
        judge_get(s, a, w);
        return;
    }
    if (a->what.op == WORK_REMOVE && !ledger_unsure(l, a->what.key)
        && (w->kind == WIRE_DONE) != a->present)
        lie(s, a, "what it says of the key before is wrong");
    ledger_acknowledge(l, a->what.key, a->version);
}

static int hear(struct state *s, unsigned i)
{
    struct place *p = &s->places[i];
    struct wire_reply w;
    int n;

    while ((n = links_take(s->links, i, &w)) == 1) {
        struct asked *a = p->oldest;
        uint64_t now = clock_now_ns();

        if (!a || !fits(a, &w)) {
            struct asked none = { .id = 0 };
            lie(s, a ? a : &none, "out of step");
            return -EPROTO;
        }
        judge(s, a, &w);
        if (s->o->live)
            counter_add_relaxed(&s->o->live->answered, 1);
        if (a->counts) {
            hist_add(s->r->latency, now - a->moment);
            s->r->done[a->what.op]++;
            s->r->not_found += w.kind == WIRE_NOT_FOUND;
            s->last_at = now;
        }
        p->oldest = a->next;
        if (!p->oldest)
            p->last = &p->oldest;
        p->waiting--;
        s->flying--;
        free(a);
    }
    return n;
}

/* ---- asking ------------------------------------------------------------ */

static void remember(struct state *s, struct place *p, struct asked *a)
{
    struct ledger *l = s->o->ledger;
    uint64_t key = a->what.key;

    *p->last = a;
    p->last = &a->next;
    p->waiting++;
    s->flying++;
    s->began++;
    if (a->counts && s->first_at == 0) {
        s->first_at = a->moment;
        s->cpu = clock_thread_cpu_ns();
    }
    if (!l)
        return;
    a->own = work_owns(&p->stream, key);
    a->removed = ledger_removed(l, key);
    a->present = a->removed < ledger_issued(l, key);
    if (a->what.op != WORK_GET)
        a->version = ledger_write(l, key, a->what.op == WORK_REMOVE);
    else
        a->version = a->own ? ledger_issued(l, key)
                            : ledger_acknowledged(l, key);
}

static int ask(struct state *s, unsigned i, uint64_t moment, bool counts)
{
    struct place *p = &s->places[i];
    struct asked *a = calloc(1, sizeof *a);
    char text[WORK_KEY_MAX];

    if (!a)
        return -ENOMEM;
    if (!work_next(&p->stream, &a->what)) {
        free(a);
        p->over = true;
        return 0;
    }
    a->moment = moment;
    a->counts = counts;
    a->id = s->began + 1000;
    remember(s, p, a);
    struct wire_request q = { .op = a->what.op, .id = a->id,
        .key = work_key(s->o->work, a->what.key, text) };
    if (q.op == WORK_SET) {
        int err = work_value(s->o->work, a->what.key, a->version, &s->value);
        if (err)
            return err;
        q.value = buf_slice(&s->value);
    }
    return links_put(s->links, i, &q);
}

/* Sends what may go out; *soonest becomes earlier if this connection's next
 * one is due before. */
static int speak(struct state *s, unsigned i, uint64_t *soonest)
{
    struct place *p = &s->places[i];
    int err = 0;

    while (!err && !p->over && p->waiting < s->o->depth) {
        uint64_t now = clock_now_ns();
        uint64_t number = is_open(s) ? p->next_number : s->began;
        uint64_t moment = is_open(s) ? moment_of(s, number) : now;
        enum when w = when_is(s, number, moment);

        if (w == AFTER || now > s->t3) {
            p->over = true;
        } else if (moment > now) {
            if (moment < *soonest)
                *soonest = moment;
            break;
        } else {
            err = ask(s, i, moment, w == MEASURED);
            p->next_number += s->o->connections;
        }
    }
    return err ? err : links_flush(s->links, i);
}

static bool finished(const struct state *s)
{
    for (unsigned i = 0; i < s->o->connections; i++)
        if (!s->places[i].over)
            return false;
    return s->flying == 0;
}

static int work(struct state *s, unsigned *ready)
{
    uint64_t patience = (uint64_t)s->o->timeout_ms * 1000000;
    uint64_t heard = clock_now_ns();

    for (;;) {
        uint64_t until = DEADLINE_NEVER;
        int err = 0, n;

        for (unsigned i = 0; i < s->o->connections && !err; i++)
            err = speak(s, i, &until);
        if (err || finished(s))
            return err;
        if (s->flying == 0)
            heard = clock_now_ns();
        if (s->flying && heard + patience < until)
            until = heard + patience;
        if (s->o->live && until > clock_now_ns() + 80000000)
            until = clock_now_ns() + 80000000;
        n = links_wait(s->links, until, ready);
        for (int k = 0; k < n && !err; k++)
            err = hear(s, ready[k]);
        if (n > 0)
            heard = clock_now_ns();
        if (n < 0 || err)
            return n < 0 ? n : err;
        if (s->flying && clock_now_ns() >= heard + patience)
            return -ETIMEDOUT;
        if (s->o->live && counter_get(&s->o->live->stop))
            return -ECANCELED;
    }
}

static void count_unsent(struct state *s)
{
    for (unsigned i = 0; is_open(s) && i < s->o->connections; i++)
        for (uint64_t n = s->places[i].next_number;; n += s->o->connections) {
            enum when w = when_is(s, n, moment_of(s, n));

            if (w == AFTER)
                break;
            s->r->unsent += w == MEASURED;
        }
}

static int set_up(struct state *s)
{
    const struct load_options *o = s->o;

    s->places = calloc(o->connections, sizeof *s->places);
    if (!s->places)
        return -ENOMEM;
    for (unsigned i = 0; i < o->connections; i++) {
        s->places[i].last = &s->places[i].oldest;
        s->places[i].next_number = i;
        work_start(&s->places[i].stream, o->work, o->first + i, o->of,
                   o->ledger != NULL, o->loading);
    }
    int err = links_open(&s->links, &o->addr, o->connections, o->wire,
                         o->timeout_ms);
    s->t0 = clock_now_ns();
    s->t1 = s->t0 + o->warm_ns;
    s->t2 = s->t1 + o->duration_ns;
    s->t3 = DEADLINE_NEVER;
    if (is_open(s)) {
        uint64_t end = o->count ? moment_of(s, o->warm_count + o->count)
                                : s->t2;
        uint64_t grace = (uint64_t)o->timeout_ms * 1000000;

        s->t3 = end + (grace > end - s->t0 ? grace : end - s->t0);
    }
    return err;
}

static void take_down(struct state *s)
{
    for (unsigned i = 0; s->places && i < s->o->connections; i++)
        while (s->places[i].oldest) {
            struct asked *a = s->places[i].oldest;

            s->places[i].oldest = a->next;
            free(a);
        }
    free(s->places);
    links_close(s->links);
    buf_release(&s->value);
}

int load_run(const struct load_options *options, struct load_result *result)
{
    struct state s = { .o = options, .r = result };
    struct hist *latency = result->latency;
    unsigned *ready;
    int err;

    memset(result, 0, sizeof *result);
    result->latency = latency;
    if (!options->connections || !options->depth)
        return -EINVAL;
    ready = calloc(options->connections, sizeof *ready);
    err = ready ? set_up(&s) : -ENOMEM;
    if (!err) {
        err = work(&s, ready);
        if (!err)
            count_unsent(&s);
    }
    if (s.last_at > s.first_at && s.first_at) {
        result->wall_ns = s.last_at - s.first_at;
        result->cpu_ns = clock_thread_cpu_ns() - s.cpu;
    }
    take_down(&s);
    free(ready);
    return err;
}
