/* load.c -- yours: stage 4, tasks 4.3, 4.4, 4.5. */
#include "stage4-bench/load.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/clock.h"
#include "stage4-bench/links.h"

enum { LOOK_NS = 50000000 };    /* so often `stop` is looked at, or oftener */

/* A request in flight. */
struct pending {
    struct work_item item;
    uint64_t id;
    uint64_t begun;         /* sent, or due */
    uint64_t low;           /* the least version a get may bring; of a write,
                               its own */
    bool own;               /* a get of a key that this connection writes: no
                               other version than low */
    bool measured;
    bool was_there;         /* the key is there before it, if nobody else
                               writes it */
};

/* A connection: what is in flight on it, a ring in the order of the replies. */
struct lane {
    struct work_stream stream;
    struct pending *ring;
    unsigned head, count;
    uint64_t turn;          /* open loop: how many it has begun */
    bool ended;
};

struct load {
    const struct load_options *options;
    struct load_result *result;
    struct links *links;
    struct lane *lanes;
    unsigned *ready;
    struct buf value;
    double interval;            /* ns from one moment to the next; 0: closed */
    uint64_t start, measuring, end, give_up;    /* moments */
    uint64_t begun, answered, in_flight;        /* requests */
    uint64_t first_sent, first_cpu;     /* of the first measured one */
    uint64_t last_reply;
};

/* ---- what is checked --------------------------------------------------- */

static void trouble(struct load *load, const struct pending *p,
                    const char *what, struct slice detail)
{
    static const char *const ops[] = { "get", "set", "remove" };
    int len = detail.len < 80 ? (int)detail.len : 80;

    if (load->options->live)
        counter_add_relaxed(&load->options->live->trouble, 1);
    if (load->result->trouble[0])
        return;
    snprintf(load->result->trouble, sizeof load->result->trouble,
             "%s of key %llu: %s%s%.*s", ops[p->item.op],
             (unsigned long long)p->item.key, what, len ? ": " : "", len,
             len ? (const char *)detail.ptr : "");
}

static void wrong(struct load *load, const struct pending *p, const char *what)
{
    load->result->wrong++;
    trouble(load, p, what, slice_of(NULL, 0));
}

static bool is_answer(const struct pending *p, const struct wire_reply *reply)
{
    if (reply->labelled && reply->kind == WIRE_FAILED && reply->id == 0)
        return true;        /* of the connection, such as "no more room" */
    if (reply->labelled && (reply->id != p->id || reply->op != p->item.op))
        return false;
    switch (reply->kind) {
    case WIRE_VALUE:
        return p->item.op == WORK_GET;
    case WIRE_DONE:
        return p->item.op != WORK_GET;
    case WIRE_NOT_FOUND:
        return p->item.op != WORK_SET;
    default:
        return true;
    }
}

/* Before it is sent: which versions may be there. */
static void promise(struct load *load, struct lane *lane, struct pending *p)
{
    struct ledger *ledger = load->options->ledger;
    uint64_t key = p->item.key;

    if (!ledger)
        return;
    p->was_there = ledger_issued(ledger, key) > ledger_removed(ledger, key);
    if (p->item.op != WORK_GET) {
        p->low = ledger_write(ledger, key, p->item.op == WORK_REMOVE);
    } else {
        /* Nobody else writes it, and before this get all our writes come;
         * those that we send behind it are none of its business. */
        p->own = work_owns(&lane->stream, key);
        p->low = p->own ? ledger_issued(ledger, key)
                        : ledger_acknowledged(ledger, key);
    }
}

static void check_get(struct load *load, const struct pending *p,
                      const struct wire_reply *reply)
{
    struct ledger *ledger = load->options->ledger;
    uint64_t key = p->item.key, version;
    uint64_t high = p->own ? p->low : ledger_issued(ledger, key);
    bool unsure = ledger_unsure(ledger, key);
    uint64_t low = unsure ? 0 : p->low;

    if (reply->kind == WIRE_NOT_FOUND) {
        if (!unsure && (p->own ? p->was_there
                               : ledger_removed(ledger, key) < low))
            wrong(load, p, "not found, but it must be there");
        return;
    }
    if (!work_is_value(load->options->work, key, reply->value, &version))
        wrong(load, p, "not a value of this key");
    else if (version < low)
        wrong(load, p, "an old value, overwritten before");
    else if (version > high)
        wrong(load, p, "a value that nobody has set yet");
}

static void check_write(struct load *load, const struct pending *p,
                        const struct wire_reply *reply)
{
    struct ledger *ledger = load->options->ledger;
    bool unsure = ledger_unsure(ledger, p->item.key);

    ledger_acknowledge(ledger, p->item.key, p->low);
    if (p->item.op == WORK_REMOVE && !unsure
        && p->was_there != (reply->kind == WIRE_DONE))
        wrong(load, p, p->was_there ? "not found, but it must be there"
                                    : "done, but nothing was there");
}

/* A value or an answer, not a failure, of that request. */
static void check(struct load *load, const struct pending *p,
                  const struct wire_reply *reply)
{
    struct ledger *ledger = load->options->ledger;

    if (reply->kind == WIRE_FAILED) {
        if (p->measured)
            load->result->errors++;
        trouble(load, p, "the server says", reply->text);
        if (ledger && p->item.op != WORK_GET)
            ledger_fail(ledger, p->item.key);
    } else if (ledger && p->item.op == WORK_GET) {
        check_get(load, p, reply);
    } else if (ledger) {
        check_write(load, p, reply);
    }
}

/* ---- replies ----------------------------------------------------------- */

static void count(struct load *load, const struct pending *p,
                  const struct wire_reply *reply, uint64_t now)
{
    struct load_result *r = load->result;

    load->answered++;
    load->in_flight--;
    if (load->options->live)
        counter_add_relaxed(&load->options->live->answered, 1);
    if (!p->measured)
        return;
    hist_add(r->latency, now > p->begun ? now - p->begun : 0);
    r->done[p->item.op]++;
    r->not_found += reply->kind == WIRE_NOT_FOUND;
    load->last_reply = now;
}

static int take_replies(struct load *load, unsigned i)
{
    struct lane *lane = &load->lanes[i];
    struct wire_reply reply;
    uint64_t now = 0;
    int got;

    while ((got = links_take(load->links, i, &reply)) > 0) {
        const struct pending *p = &lane->ring[lane->head];

        if (!now)
            now = clock_now_ns();
        if (lane->count == 0 || !is_answer(p, &reply)) {
            wrong(load, p, lane->count ? "the reply is to something else"
                                       : "a reply that nobody asked for");
            return -EPROTO;
        }
        check(load, p, &reply);
        count(load, p, &reply, now);
        lane->head = (lane->head + 1) % load->options->depth;
        lane->count--;
    }
    return got;
}

/* ---- requests ---------------------------------------------------------- */

/* The moment at which the lane's next request is due. */
static uint64_t due(const struct load *load, unsigned i)
{
    uint64_t number = load->lanes[i].turn * load->options->connections + i;

    return load->start + (uint64_t)((double)number * load->interval);
}

/* The number of the request that begins now. */
static uint64_t number_of(const struct load *load, unsigned i)
{
    return load->interval > 0
           ? load->lanes[i].turn * load->options->connections + i
           : load->begun;
}

/* May a request that begins at that moment be sent at all? */
static bool begins(const struct load *load, unsigned i, uint64_t moment)
{
    const struct load_options *o = load->options;

    if (o->loading)
        return true;
    return o->count ? number_of(load, i) < o->warm_count + o->count
                    : moment < load->end;
}

static bool is_measured(const struct load *load, unsigned i, uint64_t moment)
{
    const struct load_options *o = load->options;

    if (o->loading)
        return true;
    return o->count ? number_of(load, i) >= o->warm_count
                    : moment >= load->measuring;
}

static int send_one(struct load *load, unsigned i, uint64_t moment)
{
    struct lane *lane = &load->lanes[i];
    unsigned at = (lane->head + lane->count) % load->options->depth;
    struct pending *p = &lane->ring[at];
    struct wire_request request;
    char key[WORK_KEY_MAX];
    int err = 0;

    *p = (struct pending){ .begun = moment, .id = load->begun + 1 };
    if (!work_next(&lane->stream, &p->item)) {
        lane->ended = true;
        return 0;
    }
    p->measured = is_measured(load, i, moment);
    promise(load, lane, p);
    request = (struct wire_request){
        .op = p->item.op, .id = p->id,
        .key = work_key(load->options->work, p->item.key, key),
    };
    if (request.op == WORK_SET) {
        err = work_value(load->options->work, p->item.key, p->low,
                         &load->value);
        request.value = buf_slice(&load->value);
    }
    if (p->measured && !load->first_sent) {
        load->first_sent = moment;
        load->first_cpu = clock_thread_cpu_ns();
    }
    lane->count++;
    lane->turn++;
    load->begun++;
    load->in_flight++;
    return err ? err : links_put(load->links, i, &request);
}

/* Sends what the connection may send now. */
static int fill(struct load *load, unsigned i)
{
    struct lane *lane = &load->lanes[i];
    uint64_t now = clock_now_ns(), moment = now;
    int err = 0;

    while (!err && lane->count < load->options->depth && !lane->ended) {
        if (load->interval > 0)
            moment = due(load, i);
        if (moment > now)
            break;
        if (!begins(load, i, moment) || now > load->give_up)
            lane->ended = true;
        else
            err = send_one(load, i, moment);
    }
    return err ? err : links_flush(load->links, i);
}

/* Measured requests that are due before the end and were never sent. */
static void count_unsent(struct load *load)
{
    for (unsigned i = 0; i < load->options->connections; i++) {
        struct lane *lane = &load->lanes[i];

        for (; begins(load, i, due(load, i)); lane->turn++)
            load->result->unsent += is_measured(load, i, due(load, i));
    }
}

/* ---- the loop ---------------------------------------------------------- */

/* Sends what is due on every connection. Answers when to look again. */
static int fill_due(struct load *load, uint64_t *until, bool *more)
{
    *until = DEADLINE_NEVER;
    *more = false;
    for (unsigned i = 0; i < load->options->connections; i++) {
        struct lane *lane = &load->lanes[i];
        int err = lane->ended ? 0 : fill(load, i);

        if (err)
            return err;
        if (lane->ended)
            continue;
        *more = true;
        if (lane->count < load->options->depth && due(load, i) < *until)
            *until = due(load, i);
    }
    return 0;
}

/* Replies of the connections that have some; in the closed loop each lets its
 * connection go on. */
static int serve(struct load *load, int n)
{
    int err = 0;

    for (int k = 0; k < n && !err; k++) {
        err = take_replies(load, load->ready[k]);
        if (!err && load->interval <= 0)
            err = fill(load, load->ready[k]);
    }
    return err;
}

static bool all_ended(const struct load *load)
{
    for (unsigned i = 0; i < load->options->connections; i++)
        if (!load->lanes[i].ended)
            return false;
    return true;
}

static int run(struct load *load)
{
    uint64_t timeout = (uint64_t)load->options->timeout_ms * 1000000;
    uint64_t alive = clock_now_ns(), until = DEADLINE_NEVER, now = alive;
    bool more = true;
    int err = fill_due(load, &until, &more);

    while (!err && (more || load->in_flight)) {
        uint64_t limit = load->in_flight ? alive + timeout : DEADLINE_NEVER;

        if (load->options->live && limit > now + LOOK_NS)
            limit = now + LOOK_NS;
        int n = links_wait(load->links, until < limit ? until : limit,
                           load->ready);
        now = clock_now_ns();
        if (n > 0 || !load->in_flight)
            alive = now;
        else if (n == 0 && now >= alive + timeout)
            return -ETIMEDOUT;
        err = n < 0 ? n : serve(load, n);
        if (!err && load->options->live
            && counter_get_relaxed(&load->options->live->stop))
            return -ECANCELED;
        if (!err && load->interval > 0)
            err = fill_due(load, &until, &more);
        else
            more = !all_ended(load);
    }
    return err;
}

static void set_moments(struct load *load)
{
    const struct load_options *o = load->options;
    uint64_t should, more = (uint64_t)o->timeout_ms * 1000000;

    load->start = clock_now_ns();
    load->measuring = load->start + o->warm_ns;
    load->end = load->measuring + o->duration_ns;
    should = o->count ? (uint64_t)((double)(o->warm_count + o->count) *
                                   load->interval)
                      : o->warm_ns + o->duration_ns;
    if (more < should)
        more = should;
    load->give_up = load->interval > 0 ? load->start + should + more
                                       : DEADLINE_NEVER;
}

static int open_all(struct load *load)
{
    const struct load_options *o = load->options;

    load->lanes = calloc(o->connections, sizeof *load->lanes);
    load->ready = calloc(o->connections, sizeof *load->ready);
    if (!load->lanes || !load->ready)
        return -ENOMEM;
    for (unsigned i = 0; i < o->connections; i++) {
        load->lanes[i].ring = calloc(o->depth, sizeof *load->lanes[i].ring);
        if (!load->lanes[i].ring)
            return -ENOMEM;
        work_start(&load->lanes[i].stream, o->work, o->first + i, o->of,
                   o->ledger != NULL, o->loading);
    }
    return links_open(&load->links, &o->addr, o->connections, o->wire,
                      o->timeout_ms);
}

static void release(struct load *load)
{
    for (unsigned i = 0; load->lanes && i < load->options->connections; i++)
        free(load->lanes[i].ring);
    free(load->lanes);
    free(load->ready);
    buf_release(&load->value);
    links_close(load->links);
}

int load_run(const struct load_options *options, struct load_result *result)
{
    struct load load = { .options = options, .result = result };
    int err;

    *result = (struct load_result){ .latency = result->latency };
    if (options->connections == 0 || options->depth == 0)
        return -EINVAL;
    if (options->rate > 0 && !options->loading)
        load.interval = 1e9 / options->rate;
    err = open_all(&load);
    if (!err) {
        set_moments(&load);
        err = run(&load);
    }
    if (load.first_sent && load.last_reply > load.first_sent) {
        result->wall_ns = load.last_reply - load.first_sent;
        result->cpu_ns = clock_thread_cpu_ns() - load.first_cpu;
    }
    if (load.interval > 0 && !err)
        count_unsent(&load);
    release(&load);
    return err;
}
