/* server.c -- yours: stage 2C, tasks 2.10-2.12.
 *
 * A turn. What several connections have sent is taken together: gathered as
 * one array of operations, given to the store in one call, answered, sent.
 * The reactor's thread does turns itself, run to completion, because handing
 * a request to another thread costs more than serving it. Only what may block
 * goes to the pool, and what is too much for one turn.
 *
 * Lanes. A connection that needs the pool waits in one of three queues:
 *
 *   DURABLE  its next request is a change, and changes wait for the disk. One
 *            job at a time serves all that wait; those that come meanwhile
 *            wait for the next job, which syncs once for all of them (group
 *            commit)
 *   LARGE    its next request has a large value, or is a batch that may; a
 *            job serves one such request, by itself
 *   SURPLUS  more has come than one turn takes, and a thread is idle, and a
 *            CPU besides the loop's own: else handing over only costs
 *
 * A connection is gathered from until something in it needs a lane; then it
 * goes there, with all that is behind: so its replies stay in order. It is
 * always in one place only, the reactor's, a turn's or a lane's, and whoever
 * has it needs no lock for it.
 *
 * Lock: server->lock guards the lanes, the spare turns and the count of jobs.
 */
#include "stage2-server/server.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/little.h"
#include "common/lock.h"

enum {
    READY = 256,            /* connections taken from the reactor at once */
    TURN_MAX = 1024,        /* requests, and operations, of a turn */
    REACTOR_MAX = 256,      /* of a turn in the reactor's thread: what another
                               client may have to wait for */
    CONN_MAX = 128,         /* requests of one connection, a turn */
    PIECE = 256,            /* items of a large batch done at once */
    VALUES_KEPT = 1024 * 1024,
    SMALL = 1024            /* a value for which there is always room */
};

enum lane_name { DURABLE, LARGE, SURPLUS, LANES, NO_LANE };

struct lane {
    struct server *server;      /* these four set once */
    enum lane_name name;
    unsigned jobs_max;          /* how many may serve it at once */
    size_t batch;               /* connections a job takes at once */
    struct conn *first, *last;  /* linked by conn->user */
    unsigned jobs;
};

/* A request of a turn. */
struct asked {
    struct proto_request request;
    size_t len;                 /* of its frame */
    enum proto_status status;   /* if it has no operation */
    unsigned first, count;      /* its operations */
};

/* What one connection has asked in a turn, and where it goes then. */
struct visit {
    struct conn *conn;
    unsigned first, count;      /* in turn->asked */
    enum lane_name next;
    bool more;                  /* there may be more than was taken */
};

struct turn {
    struct turn *spare;         /* the next of the spare ones */
    unsigned visits_n, asked_n, ops_n;
    size_t into_max;            /* a longer value is a large one */
    struct buf values;          /* what gets have brought */
    struct visit visits[READY];
    struct asked asked[TURN_MAX];
    struct store_op ops[TURN_MAX];
};

struct server {
    pthread_mutex_t lock;       /* guards lanes, spare, jobs */
    pthread_cond_t idle;        /* jobs has become 0 */
    struct lane lanes[LANES];
    struct turn *spare;
    unsigned jobs;              /* of all lanes */
    bool late;                  /* nothing more is served */
    struct server_options options;
    struct reactor *reactor;
    struct turn *turns;         /* all of them: the loop's, one a job */
    unsigned turns_n;
};

static void lane_add(struct server *server, enum lane_name name,
                     struct conn *conn);

/* ---- what a turn takes --------------------------------------------------- */

static bool has_get(const struct proto_request *batch)
{
    struct slice items = batch->batch;
    struct proto_request item;

    while (proto_next(&items, &item))
        if (item.op == PROTO_GET)
            return true;
    return false;
}

static bool is_change(enum proto_op op)
{
    return op == PROTO_SET || op == PROTO_REMOVE || op == PROTO_BATCH;
}

/* Which lane the request needs. */
static enum lane_name lane_of(const struct server *server,
                              const struct proto_request *request, size_t len)
{
    const struct server_options *o = &server->options;

    if (request->op == PROTO_BATCH
        && (request->batch_count > PIECE || has_get(request)))
        return LARGE;
    if (is_change(request->op) && o->durability == STORE_ALWAYS)
        return DURABLE;
    return len >= o->large ? LARGE : NO_LANE;
}

static const enum store_op_kind kinds[] = {
    [PROTO_GET] = STORE_GET,
    [PROTO_SET] = STORE_SET,
    [PROTO_REMOVE] = STORE_REMOVE,
};

/* What each of `parts` values may bring, so that all together are no more than
 * the buffers have room for. */
static size_t room(struct server *server, size_t parts)
{
    size_t share = reactor_room(server->reactor) / parts;

    return share > SMALL ? share : SMALL;
}

/* Of a turn's gets; longer ones go another way. */
static size_t into_max(struct server *server)
{
    size_t share = room(server, TURN_MAX);

    return share < server->options.large ? share : server->options.large;
}

static void add_op(struct server *server, struct turn *turn,
                   const struct proto_request *request)
{
    if (turn->ops_n == 0)
        turn->into_max = into_max(server);
    turn->ops[turn->ops_n++] = (struct store_op){
        .kind = kinds[request->op],
        .key = request->key,
        .value = request->value,
        .into = &turn->values,
        .into_max = turn->into_max,
        .group = turn->visits_n,
    };
}

static void add_ops(struct server *server, struct turn *turn,
                    struct asked *asked)
{
    struct slice items = asked->request.batch;
    struct proto_request item;

    asked->first = turn->ops_n;
    if (asked->request.op == PROTO_BATCH)
        while (proto_next(&items, &item))
            add_op(server, turn, &item);
    else if (asked->request.op != PROTO_PING
             && asked->request.op != PROTO_STATS)
        add_op(server, turn, &asked->request);
    asked->count = turn->ops_n - asked->first;
}

/* The next request at `at` becomes part of the turn: how long it is; 0 if
 * none does, now. */
static size_t take_request(struct server *server, struct turn *turn,
                           struct visit *visit, size_t at, bool durable)
{
    struct asked *asked = &turn->asked[turn->asked_n];
    ssize_t len = conn_peek(visit->conn, at, &asked->request);

    if (len == 0)
        return 0;
    asked->status = PROTO_OK;
    asked->first = asked->count = 0;
    if (len < 0) {
        asked->status = PROTO_BAD_FRAME;
        asked->len = conn_unserved(visit->conn) - at;
    } else {
        enum lane_name lane = lane_of(server, &asked->request, (size_t)len);

        if (lane != NO_LANE && !(lane == DURABLE && durable)) {
            visit->next = lane;
            return 0;
        }
        asked->len = (size_t)len;
        add_ops(server, turn, asked);
    }
    turn->asked_n++;
    visit->count++;
    return asked->len;
}

/* Takes the connection's requests; false if the turn has no room for it. */
static bool gather(struct server *server, struct turn *turn,
                   struct conn *conn, unsigned max, bool durable)
{
    struct visit *visit = &turn->visits[turn->visits_n];
    size_t at = 0, len = 1;

    if (turn->asked_n >= max || turn->ops_n >= max
        || turn->ops_n > TURN_MAX - PIECE || turn->visits_n == READY)
        return false;
    *visit = (struct visit){ conn, turn->asked_n, 0, NO_LANE, false };
    while (len > 0 && at < conn_unserved(conn)) {
        if (visit->count == CONN_MAX || turn->asked_n == TURN_MAX
            || turn->ops_n > TURN_MAX - PIECE) {
            visit->more = true;
            break;
        }
        len = take_request(server, turn, visit, at, durable);
        at += len;
    }
    turn->visits_n++;
    return true;
}

/* ---- the replies of a turn ----------------------------------------------- */

static struct slice value_of(const struct store_op *op)
{
    if (op->kind != STORE_GET || op->result != 0)
        return slice_of(NULL, 0);
    return slice_of(op->into->ptr + op->into_at, op->into_len);
}

/* A batch's reply begins with the number of its items. */
static int put_count(struct conn *conn, uint32_t n)
{
    unsigned char bytes[4];

    little_put32(bytes, n);
    return buf_append(&conn->out, bytes, sizeof bytes);
}

/* What stands between the reply's begin and end. */
static int put_body(struct server *server, struct conn *conn,
                    const struct store_op *ops, const struct asked *asked)
{
    int err = 0;

    switch (asked->request.op) {
    case PROTO_STATS:
        return server_stats_text(server->options.store, server->reactor,
                                 &conn->out);
    case PROTO_GET:
        return buf_append_slice(&conn->out, value_of(ops));
    case PROTO_BATCH:
        err = put_count(conn, asked->count);
        for (unsigned i = 0; !err && i < asked->count; i++)
            err = proto_add_reply_item(&conn->out,
                                       proto_status_of(ops[i].result),
                                       value_of(&ops[i]));
        return err;
    default:
        return 0;
    }
}

static int put_reply(struct server *server, struct conn *conn,
                     const struct store_op *ops, const struct asked *asked)
{
    enum proto_status status = asked->status;
    size_t start = 0, before = conn->out.len;
    int err = conn->parser->begin(&conn->out, &asked->request, &start);

    if (asked->count > 0 && asked->request.op != PROTO_BATCH)
        status = proto_status_of(ops->result);
    if (!err && status == PROTO_OK)
        err = put_body(server, conn, ops, asked);
    if (!err)
        err = conn->parser->end(&conn->out, &asked->request, start, status);
    if (err)
        conn->out.len = before;
    return err;
}

/* Answers what the turn has done for one connection. A get that found a large
 * value was not done, nor was what is behind it: that waits in the lane. */
static void answer(struct server *server, struct turn *turn,
                   struct visit *visit)
{
    struct conn *conn = visit->conn;
    size_t taken = 0;

    for (unsigned i = 0; i < visit->count; i++) {
        const struct asked *asked = &turn->asked[visit->first + i];
        const struct store_op *ops = &turn->ops[asked->first];

        if (asked->count > 0 && ops->result == -ENOBUFS) {
            visit->next = LARGE;
            break;
        }
        if (put_reply(server, conn, ops, asked) != 0
            || asked->status == PROTO_BAD_FRAME) {
            conn->closing = true;
            taken = conn_unserved(conn);
            break;
        }
        taken += asked->len;
    }
    conn_taken(conn, taken);
}

static void apply(struct server *server, struct store_op *ops, size_t n)
{
    int err = n > 0 ? store_apply(server->options.store, ops, n) : 0;

    for (size_t i = 0; err && i < n; i++)
        ops[i].result = err;
}

static void finish(struct server *server, struct turn *turn)
{
    apply(server, turn->ops, turn->ops_n);
    for (unsigned i = 0; i < turn->visits_n; i++) {
        struct visit *visit = &turn->visits[i];
        struct conn *conn = visit->conn;

        answer(server, turn, visit);
        conn_flush(conn);
        if (visit->next != NO_LANE && !conn->closing) {
            lane_add(server, visit->next, conn);
        } else {
            conn->again = visit->more && !conn->closing;
            reactor_give_back(server->reactor, conn);
        }
    }
    buf_clear(&turn->values);
    if (turn->values.cap > VALUES_KEPT)
        buf_release(&turn->values);
    turn->visits_n = turn->asked_n = turn->ops_n = 0;
}

/* ---- one large request, by itself ---------------------------------------- */

/* The value goes straight behind the reply's header. It is not fetched when
 * the buffers have no room for it. */
static int alone(struct server *server, struct conn *conn,
                 struct proto_request *request)
{
    size_t start = 0;
    struct store_op op = {
        .kind = kinds[request->op],
        .key = request->key,
        .value = request->value,
        .into = &conn->out,
        .into_max = room(server, 1),
    };
    int err = conn->parser->begin(&conn->out, request, &start);

    if (err)
        return err;
    apply(server, &op, 1);
    return conn->parser->end(&conn->out, request, start,
                             op.result == -ENOBUFS
                             ? PROTO_BUSY : proto_status_of(op.result));
}

/* The reply item of one operation, unless it would make the reply too long, or
 * longer than the buffers have room for. */
static int put_item(struct conn *conn, size_t start, size_t room,
                    const struct store_op *op)
{
    const size_t most = PROTO_BODY_MAX - 8 * PROTO_BATCH_MAX;
    struct slice value = value_of(op);
    size_t len = conn->out.len - start + value.len;
    int result = op->result;

    if (result == -ENOBUFS || len > most || (value.len > 0 && len > room)) {
        result = result == 0 && len <= most ? -EBUSY : -EMSGSIZE;
        value.len = 0;
    }
    return proto_add_reply_item(&conn->out, proto_status_of(result), value);
}

/* Does n items of a batch in order. They are a group: so a large value stops
 * it, is fetched by itself, and then the others go on. */
static int do_piece(struct server *server, struct turn *turn,
                    struct conn *conn, size_t start, size_t room)
{
    struct store_op *op = turn->ops, *end = op + turn->ops_n;
    int err = 0;

    while (op < end && !err) {
        buf_clear(&turn->values);
        apply(server, op, (size_t)(end - op));
        for (; op < end && op->result != -ENOBUFS && !err; op++)
            err = put_item(conn, start, room, op);
        if (op < end && !err) {
            buf_clear(&turn->values);
            op->into_max = PROTO_VALUE_MAX;
            apply(server, op, 1);
            err = put_item(conn, start, room, op++);
        }
    }
    buf_release(&turn->values);
    turn->ops_n = 0;
    return err;
}

static int alone_batch(struct server *server, struct turn *turn,
                       struct conn *conn, struct proto_request *request)
{
    struct slice items = request->batch;
    struct proto_request item;
    size_t start = 0, most = room(server, 1);
    int err = conn->parser->begin(&conn->out, request, &start);

    if (!err)
        err = put_count(conn, request->batch_count);
    while (!err && proto_next(&items, &item)) {
        add_op(server, turn, &item);
        if (turn->ops_n == PIECE || items.len == 0)
            err = do_piece(server, turn, conn, start, most);
    }
    if (err)
        return err;
    return conn->parser->end(&conn->out, request, start, PROTO_OK);
}

static void serve_alone(struct server *server, struct turn *turn,
                        struct conn *conn)
{
    struct proto_request request;
    size_t before = conn->out.len;
    ssize_t len = conn_peek(conn, 0, &request);
    int err;

    if (request.op == PROTO_BATCH)
        err = alone_batch(server, turn, conn, &request);
    else
        err = alone(server, conn, &request);
    if (err) {
        conn->out.len = before;
        conn->closing = true;
    }
    conn_taken(conn, (size_t)len);
    conn_flush(conn);
    conn->again = conn_unserved(conn) > 0 && !conn->closing;
    reactor_give_back(server->reactor, conn);
}

/* ---- lanes --------------------------------------------------------------- */

static size_t take_locked(struct lane *lane, struct conn **conns)
{
    size_t n = 0;

    for (; n < lane->batch && lane->first; n++) {
        conns[n] = lane->first;
        lane->first = conns[n]->user;
    }
    return n;
}

static void serve_all(struct server *server, struct turn *turn,
                      struct conn **conns, size_t n, bool durable)
{
    for (size_t i = 0; i < n;) {
        if (gather(server, turn, conns[i], TURN_MAX, durable))
            i++;
        else
            finish(server, turn);
    }
    finish(server, turn);
}

/* It is too late to serve them: the server ends. */
static void give_back_all(struct server *server, struct conn **conns, size_t n)
{
    for (size_t i = 0; i < n; i++)
        reactor_give_back(server->reactor, conns[i]);
}

/* The job's lane always has somebody, and so has another: then it goes behind
 * the others' jobs in the pool. */
static bool another_waits_locked(const struct lane *mine)
{
    const struct lane *lanes = mine->server->lanes;

    if (!mine->first)
        return false;
    for (int i = 0; i < LANES; i++)
        if (&lanes[i] != mine && lanes[i].first)
            return true;
    return false;
}

static void serve_lane(struct lane *lane, struct turn *turn,
                       struct conn **conns, size_t n)
{
    struct server *server = lane->server;

    if (lane->name == LARGE)
        serve_alone(server, turn, conns[0]);
    else
        serve_all(server, turn, conns, n, lane->name == DURABLE);
}

/* Serves what waits in the lane; whether that is all, or others wait, too. */
static bool serve_turns_locked(struct lane *lane)
{
    struct server *server = lane->server;
    struct turn *turn = server->spare;
    struct conn *conns[READY];
    size_t n;

    server->spare = turn->spare;
    while ((n = take_locked(lane, conns)) > 0) {
        bool late = server->late;

        mutex_unlock(&server->lock);
        if (late)
            give_back_all(server, conns, n);
        else
            serve_lane(lane, turn, conns, n);
        mutex_lock(&server->lock);
        if (another_waits_locked(lane))
            break;
    }
    turn->spare = server->spare;
    server->spare = turn;
    return !lane->first;
}

/* A job: serves what waits in its lane until there is nothing; but where
 * others have to wait for it, it begins again behind them, if it can. */
static void lane_job(void *arg)
{
    struct lane *lane = arg;
    struct server *server = lane->server;

    mutex_lock(&server->lock);
    while (!serve_turns_locked(lane)) {
        mutex_unlock(&server->lock);
        if (pool_try_submit(server->options.pool, lane_job, lane) == 0)
            return;
        mutex_lock(&server->lock);
    }
    lane->jobs--;
    if (--server->jobs == 0)
        cond_signal(&server->idle);
    mutex_unlock(&server->lock);
}

/* Gets the lane a job; if the pool has no room for it, and no other job will
 * come by, here is as good a place as any. */
static void start_job(struct lane *lane)
{
    struct server *server = lane->server;

    if (pool_try_submit(server->options.pool, lane_job, lane) == 0)
        return;
    mutex_lock(&server->lock);
    bool others = lane->jobs > 1;
    if (others) {
        lane->jobs--;
        server->jobs--;
    }
    mutex_unlock(&server->lock);
    if (!others)
        lane_job(lane);
}

static void lane_add(struct server *server, enum lane_name name,
                     struct conn *conn)
{
    struct lane *lane = &server->lanes[name];

    conn->user = NULL;
    mutex_lock(&server->lock);
    if (lane->first)
        lane->last->user = conn;
    else
        lane->first = conn;
    lane->last = conn;
    bool job = lane->jobs < lane->jobs_max;
    lane->jobs += job;
    server->jobs += job;
    mutex_unlock(&server->lock);
    if (job)
        start_job(lane);
}

/* ---- the loop ------------------------------------------------------------ */

static bool thread_idle(struct server *server)
{
    const struct lane *lane = &server->lanes[SURPLUS];

    mutex_lock(&server->lock);
    bool idle = lane->jobs < lane->jobs_max
                && server->jobs < server->options.threads;
    mutex_unlock(&server->lock);
    return idle;
}

/* One turn after the other. When there is more than one, and a thread of the
 * pool has nothing to do, it gets half of what is left. */
static void serve_ready(struct server *server, struct conn **conns, size_t n)
{
    struct turn *turn = server->turns;

    for (size_t i = 0; i < n;) {
        if (gather(server, turn, conns[i], REACTOR_MAX, false)) {
            i++;
            continue;
        }
        if (n - i > 1 && thread_idle(server))
            for (size_t half = (n - i) / 2; half > 0; half--)
                lane_add(server, SURPLUS, conns[--n]);
        finish(server, turn);
    }
    finish(server, turn);
}

/* Waits for what is ready, and serves it. */
static int serve_once(struct server *server, int timeout_ms)
{
    struct conn *ready[READY];
    int n = reactor_wait(server->reactor, ready, READY, timeout_ms);

    if (n > 0)
        serve_ready(server, ready, (size_t)n);
    return n < 0 ? n : 0;
}

/* What has come is answered, if it can be in time. */
static int drain(struct server *server)
{
    uint64_t deadline = deadline_in_ms(server->options.drain_ms);
    int err = 0;

    reactor_close_door(server->reactor);
    reactor_last_read(server->reactor);
    while (!err && reactor_unfinished(server->reactor) > 0) {
        if (deadline_over(deadline))
            err = -ETIMEDOUT;
        else
            err = serve_once(server, deadline_left_ms(deadline));
    }
    return err;
}

/* They end by themselves with what they have in hand, and must have before what
 * they use may go, however long it takes. What still waits is not served. */
static void wait_for_jobs(struct server *server)
{
    mutex_lock(&server->lock);
    server->late = true;
    while (server->jobs > 0)
        cond_wait(&server->idle, &server->lock);
    mutex_unlock(&server->lock);
}

int server_run(struct server *server)
{
    int err = 0;

    while (!err && !reactor_stopping(server->reactor))
        err = serve_once(server, -1);
    if (!err)
        err = drain(server);
    wait_for_jobs(server);
    int sync = store_sync(server->options.store);
    return sync ? sync : err;
}

void server_stop(struct server *server)
{
    reactor_stop(server->reactor);
}

int server_port(struct server *server)
{
    return reactor_port(server->reactor);
}

/* ---- beginning and end --------------------------------------------------- */

static void lane_init(struct server *server, enum lane_name name,
                      unsigned jobs_max, size_t batch)
{
    struct lane *lane = &server->lanes[name];

    *lane = (struct lane){ .server = server, .name = name,
                           .jobs_max = jobs_max, .batch = batch };
}

/* Besides the one that the loop is on. */
static unsigned other_cpus(void)
{
    cpu_set_t set;

    if (sched_getaffinity(0, sizeof set, &set) != 0)
        return 1;       /* more CPUs than the set has places for */
    return (unsigned)CPU_COUNT(&set) - 1;
}

/* One turn for the loop, and one for each job that there may be. */
static int make_turns(struct server *server)
{
    unsigned jobs = 0;

    for (int i = 0; i < LANES; i++)
        jobs += server->lanes[i].jobs_max;
    server->turns = calloc(1 + jobs, sizeof *server->turns);
    if (!server->turns)
        return -ENOMEM;
    server->turns_n = 1 + jobs;
    for (unsigned i = 1; i <= jobs; i++) {
        server->turns[i].spare = server->spare;
        server->spare = &server->turns[i];
    }
    return 0;
}

int server_create(struct server **out, const struct server_options *options)
{
    struct server *server = calloc(1, sizeof *server);
    unsigned threads = options->threads > 0 ? options->threads : 1;
    unsigned cpus = other_cpus();

    if (!server)
        return -ENOMEM;
    server->options = *options;
    if (server->options.large == 0)
        server->options.large = 64 * 1024;
    if (server->options.drain_ms == 0)
        server->options.drain_ms = 1500;
    mutex_init(&server->lock);
    cond_init(&server->idle);
    lane_init(server, DURABLE, 1, READY);
    lane_init(server, LARGE, threads, 1);
    lane_init(server, SURPLUS, cpus < threads ? cpus : threads, READY / 4);
    int err = make_turns(server);
    if (!err)
        err = reactor_create(&server->reactor, &options->reactor);
    if (err) {
        server_destroy(server);
        return err;
    }
    *out = server;
    return 0;
}

void server_destroy(struct server *server)
{
    if (!server)
        return;
    reactor_destroy(server->reactor);
    for (unsigned i = 0; i < server->turns_n; i++)
        buf_release(&server->turns[i].values);
    free(server->turns);
    cond_release(&server->idle);
    mutex_release(&server->lock);
    free(server);
}
