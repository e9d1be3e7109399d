/* server.c -- yours: stage 2C, tasks 2.10, 2.11, 2.12. */
/* Approach: the reactor's thread serves nobody. Every connection that has
 * something goes to the pool as a job of its own; the job does what is whole
 * there as one batch, sends, and gives the connection back. What the pool
 * has no room for waits in a line, in its order; a job that gives back wakes
 * the reactor's thread, which then tries again. So nothing here can block but
 * jobs, and a job is one turn of one client.
 *
 * A connection is in the line, or in a job, or the reactor's; conn->user is
 * the next in line, or the server, or NULL.
 */
#include "stage2-server/server.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/lock.h"

enum {
    READY = 64,                     /* taken from the reactor at once */
    RETRY_MS = 10,                  /* somebody else may fill the pool */
    TURN = 256,                     /* requests of one turn, */
    TURN_GETS = 64,                 /* as many of them gets, */
    TURN_BYTES = 1024 * 1024,       /* or so many bytes received */
    OUT_MAX = 1024 * 1024,          /* more is not added to what is unsent */
    LARGE = 64 * 1024,              /* a longer value is served alone */
    ITEM_HEADER = 8,                /* of a batch's reply */
    DRAIN_MS = 1500
};

struct server {
    struct reactor *reactor;        /* these four: set once */
    struct store *store;
    struct pool *pool;
    unsigned drain_ms;
    struct conn *first, *last;      /* the line; the loop's thread only */
    pthread_mutex_t lock;           /* guards jobs */
    pthread_cond_t idle;            /* jobs has become 0 */
    size_t jobs;
};

/* What a job needs for its turn. */
struct turn {
    struct server *server;
    struct conn *conn;
    size_t n;                       /* requests */
    size_t ops_n;
    struct buf values;              /* of all gets */
    struct proto_request requests[TURN];
    size_t ends[TURN];              /* behind each request, in `in` */
    struct store_op ops[TURN];
};

/* ---- operations ----------------------------------------------------------- */

static bool is_op(enum proto_op op)
{
    return op == PROTO_GET || op == PROTO_SET || op == PROTO_REMOVE;
}

static struct store_op op_of(const struct proto_request *r, struct buf *values)
{
    return (struct store_op){
        .kind = r->op == PROTO_GET ? STORE_GET
                : r->op == PROTO_SET ? STORE_SET : STORE_REMOVE,
        .key = r->key,
        .value = r->value,
        .into = values,
        .into_max = LARGE,
    };
}

static void apply(struct store *store, struct store_op *ops, size_t n)
{
    int err = n > 0 ? store_apply(store, ops, n) : 0;

    for (size_t i = 0; i < n && err; i++)
        ops[i].result = err;
}

static struct slice value_of(const struct store_op *op)
{
    if (op->kind != STORE_GET || op->result != 0)
        return slice_of(NULL, 0);
    return slice_of(op->into->ptr + op->into_at, op->into_len);
}

/* ---- replies -------------------------------------------------------------- */

/* A reply that cannot be made ends the connection: those behind it would be
 * taken for it. */
static void check_reply(struct conn *conn, int err)
{
    if (err)
        conn->closing = true;
}

static void reply(struct conn *conn, const struct proto_request *r,
                  enum proto_status status, struct slice value)
{
    size_t start;
    int err = conn->parser->begin(&conn->out, r, &start);

    if (!err && status == PROTO_OK)
        err = buf_append_slice(&conn->out, value);
    if (!err)
        err = conn->parser->end(&conn->out, r, start, status);
    check_reply(conn, err);
}

static void reply_stats(struct turn *t, const struct proto_request *r)
{
    struct buf text = { 0 };
    int err = server_stats_text(t->server->store, t->server->reactor, &text);

    reply(t->conn, r, proto_status_of(err), buf_slice(&text));
    buf_release(&text);
}

/* The last reply of this connection. */
static void refuse(struct conn *conn, const struct proto_request *r)
{
    if (conn->parser) {
        reply(conn, r, PROTO_BAD_FRAME, slice_of(NULL, 0));
    } else {
        struct proto_reply bad = {
            .op = r->op, .status = PROTO_BAD_FRAME, .id = r->id };

        check_reply(conn, proto_put_reply(&conn->out, &bad));
    }
    conn_taken(conn, conn_unserved(conn));
    conn->closing = true;
}

/* ---- a batch -------------------------------------------------------------- */

struct batch {
    struct store_op *ops;
    size_t n;
    size_t room;                /* for values, in what is left of the reply */
};

/* Of ops that were applied, counts off the values; those that do not fit are
 * too big. Answers the first that was not done for being large. */
static size_t count_off(struct batch *b, size_t from)
{
    for (; from < b->n && b->ops[from].result != -ENOBUFS; from++) {
        size_t len = value_of(&b->ops[from]).len;

        if (len > b->room)
            b->ops[from].result = -EMSGSIZE;
        else
            b->room -= len;
    }
    return from;
}

/* Does all in order; a large value alone, if it fits into the reply. */
static void run_batch(struct store *store, struct batch *b)
{
    for (size_t at = 0; at < b->n; at++) {
        apply(store, b->ops + at, b->n - at);
        at = count_off(b, at);
        if (at == b->n)
            return;
        struct store_op *large = &b->ops[at];
        bool fits = large->into_len <= b->room;

        large->into_max = b->room;
        large->result = -EMSGSIZE;
        if (fits)
            apply(store, large, 1);
        if (large->result == -ENOBUFS)
            large->result = -EMSGSIZE;  /* it has grown in between */
        b->room -= value_of(large).len;
    }
}

static int put_count(struct buf *to, size_t n)
{
    const unsigned char count[4] = { (unsigned char)n,
                                     (unsigned char)(n >> 8) };

    return buf_append(to, count, sizeof count);
}

static void reply_batch(struct conn *conn, const struct proto_request *r,
                        const struct batch *b)
{
    size_t start;
    int err = conn->parser->begin(&conn->out, r, &start);

    if (!err)
        err = put_count(&conn->out, b->n);
    for (size_t i = 0; i < b->n && !err; i++)
        err = proto_add_reply_item(&conn->out,
                                   proto_status_of(b->ops[i].result),
                                   value_of(&b->ops[i]));
    if (!err)
        err = conn->parser->end(&conn->out, r, start, PROTO_OK);
    check_reply(conn, err);
}

/* Many gets may each be less long than few, so that together they stay within
 * what a reply may have. */
static void serve_batch(struct turn *t, const struct proto_request *r)
{
    struct batch b = { .n = r->batch_count };
    struct slice items = r->batch;
    struct proto_request item;

    b.ops = calloc(b.n + 1, sizeof *b.ops);
    if (!b.ops) {
        reply(t->conn, r, proto_status_of(-ENOMEM), slice_of(NULL, 0));
        return;
    }
    b.room = PROTO_BODY_MAX - 4 - b.n * ITEM_HEADER;
    for (size_t i = 0; i < b.n && proto_next(&items, &item); i++) {
        b.ops[i] = op_of(&item, &t->values);
        if (b.ops[i].into_max > PROTO_VALUE_MAX / b.n)
            b.ops[i].into_max = PROTO_VALUE_MAX / b.n;
    }
    run_batch(t->server->store, &b);
    reply_batch(t->conn, r, &b);
    free(b.ops);
}

/* ---- a turn --------------------------------------------------------------- */

/* For replies; never nothing. */
static size_t room_of(const struct turn *t)
{
    size_t room = reactor_room(t->server->reactor);

    return room > 1024 ? room : 1024;
}

/* The whole requests there are; a batch only as the first, and then alone.
 * Answers what ended it: as conn_peek, or 1 when there may be more. */
static ssize_t gather(struct turn *t)
{
    size_t at = 0, gets = 0, room = room_of(t);

    while (t->n < TURN && gets < TURN_GETS && at < TURN_BYTES) {
        struct proto_request *r = &t->requests[t->n];
        ssize_t len = conn_peek(t->conn, at, r);

        if (len <= 0)
            return len;
        if (r->op == PROTO_BATCH && t->n > 0)
            return 1;
        at += (size_t)len;
        t->ends[t->n++] = at;
        if (r->op == PROTO_BATCH)
            return 1;
        gets += r->op == PROTO_GET;
        if (is_op(r->op)) {
            t->ops[t->ops_n] = op_of(r, &t->values);
            if (room / TURN_GETS < LARGE)
                t->ops[t->ops_n].into_max = room / TURN_GETS;
            t->ops_n++;
        }
    }
    return 1;
}

/* Answers those that were done; how many. A large value is left for the next
 * turn, where it comes first, and is then done alone. */
static size_t answer(struct turn *t)
{
    struct store_op *op = t->ops;
    size_t i = 0;

    for (; i < t->n && !t->conn->closing; i++) {
        const struct proto_request *r = &t->requests[i];

        if (r->op == PROTO_BATCH)
            serve_batch(t, r);
        else if (r->op == PROTO_STATS)
            reply_stats(t, r);
        else if (!is_op(r->op))
            reply(t->conn, r, PROTO_OK, slice_of(NULL, 0));
        else if (op->result == -ENOBUFS)
            break;
        else {
            reply(t->conn, r, proto_status_of(op->result), value_of(op));
            op++;
        }
    }
    return i;
}

static void serve_large(struct turn *t)
{
    struct store_op *op = &t->ops[0];

    op->into_max = room_of(t);
    apply(t->server->store, op, 1);
    if (op->result == -ENOBUFS)
        op->result = -EBUSY;
    reply(t->conn, &t->requests[0], proto_status_of(op->result),
          value_of(op));
}

static void take_turn(struct turn *t)
{
    struct conn *conn = t->conn;

    conn->again = false;
    if (conn_unsent(conn) > OUT_MAX) {
        conn->again = true;
        return;
    }
    ssize_t more = gather(t);
    apply(t->server->store, t->ops, t->ops_n);
    size_t done = answer(t);
    if (done == 0 && t->n > 0 && !conn->closing) {
        serve_large(t);
        done = 1;
    }
    size_t n = t->n;
    if (done > 0)
        conn_taken(conn, t->ends[done - 1]);
    if (done < n || more > 0)
        conn->again = !conn->closing;
    else if (more < 0)
        refuse(conn, &t->requests[n]);
}

/* ---- jobs ----------------------------------------------------------------- */

static void job_ends(struct server *server)
{
    mutex_lock(&server->lock);
    if (--server->jobs == 0)
        cond_signal(&server->idle);
    mutex_unlock(&server->lock);
}

static void serve(void *arg)
{
    struct conn *conn = arg;
    struct server *server = conn->user;
    struct turn *t = malloc(sizeof *t);

    conn->user = NULL;
    if (t) {
        t->server = server;
        t->conn = conn;
        t->n = t->ops_n = 0;
        t->values = (struct buf){ 0 };
        take_turn(t);
        buf_release(&t->values);
        free(t);
    } else {
        conn->closing = true;
    }
    conn_flush(conn);
    reactor_give_back(server->reactor, conn);
    job_ends(server);
}

/* True if the pool has taken it. */
static bool start_job(struct server *server, struct conn *conn)
{
    mutex_lock(&server->lock);
    server->jobs++;
    mutex_unlock(&server->lock);
    conn->user = server;
    if (pool_try_submit(server->pool, serve, conn) == 0)
        return true;
    job_ends(server);
    return false;
}

/* ---- the loop ------------------------------------------------------------- */

static void stand_in_line(struct server *server, struct conn *conn)
{
    conn->user = NULL;
    if (server->first)
        server->last->user = conn;
    else
        server->first = conn;
    server->last = conn;
}

static void start_jobs(struct server *server)
{
    while (server->first) {
        struct conn *conn = server->first, *next = conn->user;

        if (!start_job(server, conn)) {
            conn->user = next;
            return;
        }
        server->first = next;
    }
}

/* One round: who has something, waits for at most so long, and is started. */
static int round_of(struct server *server, int ms)
{
    struct conn *ready[READY];

    if (server->first && (ms < 0 || ms > RETRY_MS))
        ms = RETRY_MS;
    int n = reactor_wait(server->reactor, ready, READY, ms);
    for (int i = 0; i < n; i++)
        stand_in_line(server, ready[i]);
    start_jobs(server);
    return n < 0 ? n : 0;
}

/* Answers what has come until now. */
static int drain(struct server *server)
{
    uint64_t deadline = deadline_in_ms(server->drain_ms);
    int err = 0;

    reactor_close_door(server->reactor);
    reactor_last_read(server->reactor);
    while (!err && reactor_unfinished(server->reactor) > 0) {
        if (deadline_over(deadline))
            err = -ETIMEDOUT;
        else
            err = round_of(server, deadline_left_ms(deadline));
    }
    while (server->first) {         /* nobody will serve these */
        struct conn *conn = server->first;

        server->first = conn->user;
        conn->user = NULL;
        reactor_give_back(server->reactor, conn);
    }
    return err;
}

int server_run(struct server *server)
{
    int err = 0;

    while (!err && !reactor_stopping(server->reactor))
        err = round_of(server, -1);
    int drained = drain(server);
    int synced = store_sync(server->store);
    return err ? err : drained ? drained : synced;
}

void server_stop(struct server *server)
{
    reactor_stop(server->reactor);
}

int server_port(struct server *server)
{
    return reactor_port(server->reactor);
}

/* ---- making and ending ---------------------------------------------------- */

int server_create(struct server **out, const struct server_options *options)
{
    struct server *server = calloc(1, sizeof *server);

    if (!server)
        return -ENOMEM;
    int err = reactor_create(&server->reactor, &options->reactor);
    if (err) {
        free(server);
        return err;
    }
    server->store = options->store;
    server->pool = options->pool;
    server->drain_ms = options->drain_ms ? options->drain_ms : DRAIN_MS;
    mutex_init(&server->lock);
    cond_init(&server->idle);
    *out = server;
    return 0;
}

void server_destroy(struct server *server)
{
    if (!server)
        return;
    mutex_lock(&server->lock);
    while (server->jobs > 0)        /* those that outlast drain_ms */
        cond_wait(&server->idle, &server->lock);
    mutex_unlock(&server->lock);
    reactor_destroy(server->reactor);
    cond_release(&server->idle);
    mutex_release(&server->lock);
    free(server);
}
