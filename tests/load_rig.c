/* load_rig.c -- given. */
#include "tests/load_rig.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/little.h"
#include "common/sock.h"
#include "stage2-server/proto.h"

struct entry {
    struct buf now, before;
    bool there, was_there;
};

struct lane {
    int fd;
    struct buf in;
    unsigned held;          /* whole requests in `in`, at the last look */
};

struct rig {
    struct rig_plan plan;
    struct rig_seen seen;
    struct actor loop;
    int listener, port, stop[2];
    struct lane lanes[RIG_LANES];
    struct entry entries[RIG_KEYS];
};

static void nap(unsigned ms)
{
    struct timespec t = { ms / 1000, (long)(ms % 1000) * 1000000 };

    nanosleep(&t, NULL);
}

/* ---- the map, and lies about it ---------------------------------------- */

/* Does the fault happen to this request? Counted when it does. */
static bool strikes(struct rig *rig, enum fault fault, bool possible)
{
    const struct rig_plan *p = &rig->plan;

    if (p->fault != fault || !possible || rig->seen.requests <= p->from
        || (p->times && rig->seen.faults >= p->times))
        return false;
    rig->seen.faults++;
    return true;
}

static bool differs(const struct entry *e)
{
    return e->before.len && !slice_equal(buf_slice(&e->now),
                                         buf_slice(&e->before));
}

static struct slice got(struct rig *rig, struct entry *e, enum proto_status *s)
{
    struct entry *other = e == rig->entries ? e + 1 : e - 1;

    *s = PROTO_OK;
    if (!e->there) {
        if (strikes(rig, GHOST, e->was_there))
            return buf_slice(&e->now);
        *s = PROTO_NOT_FOUND;
        return slice_of(NULL, 0);
    }
    if (strikes(rig, MISSING, true)) {
        *s = PROTO_NOT_FOUND;
        return slice_of(NULL, 0);
    }
    if (strikes(rig, OLD, differs(e)))
        return buf_slice(&e->before);
    if (strikes(rig, OTHER_KEY, other->there))
        return buf_slice(&other->now);
    return buf_slice(&e->now);
}

static void set(struct rig *rig, struct entry *e, struct slice value)
{
    if (strikes(rig, LOSES, e->there))
        return;
    buf_replace(&e->before, buf_slice(&e->now));
    buf_replace(&e->now, value);
    e->there = e->was_there = true;
}

static enum proto_status removed(struct rig *rig, struct entry *e)
{
    bool there = e->there;

    if (!there)
        return strikes(rig, KEEPS, true) ? PROTO_OK : PROTO_NOT_FOUND;
    e->there = false;
    return strikes(rig, DENIES, true) ? PROTO_NOT_FOUND : PROTO_OK;
}

/* ---- requests ---------------------------------------------------------- */

static struct entry *entry_of(struct rig *rig, struct slice key)
{
    char text[WORK_KEY_MAX + 1];
    unsigned long n;

    expect_true("a key of the workload's", key.len >= 2
                && key.len <= WORK_KEY_MAX && *(const char *)key.ptr == 'k');
    memcpy(text, key.ptr, key.len);
    text[key.len] = '\0';
    n = strtoul(text + 1, NULL, 10);
    expect_true("a key's number", n < RIG_KEYS);
    return &rig->entries[n];
}

static void see(struct rig *rig, unsigned lane, enum proto_op op)
{
    const struct rig_plan *p = &rig->plan;
    struct rig_seen *s = &rig->seen;

    s->requests++;
    s->by_lane[lane]++;
    s->gets += op == PROTO_GET;
    s->sets += op == PROTO_SET;
    s->removes += op == PROTO_REMOVE;
    s->last_ns = clock_now_ns();
    if (s->requests == 1)
        s->first_ns = s->last_ns;
    if (s->requests <= p->delayed)
        nap(p->delay_ms);
    if (p->pause_ms && s->requests == p->pause_at)
        nap(p->pause_ms);
}

/* Answers one request, whose frame is at `bytes`; false: hang up. */
static bool answer(struct rig *rig, struct lane *lane,
                   const unsigned char *bytes, size_t len)
{
    enum proto_op op = bytes[2];
    uint32_t key_len = little_get32(bytes + PROTO_HEADER);
    size_t value_at = PROTO_HEADER + 4 + (size_t)key_len;
    struct proto_reply reply = { .op = op, .id = little_get64(bytes + 8) };
    struct buf out = { 0 };
    bool fine;

    expect_true("a key inside of its frame", value_at <= len);
    see(rig, (unsigned)(lane - rig->lanes), op);
    struct entry *e = entry_of(rig, slice_of(bytes + PROTO_HEADER + 4,
                                             key_len));
    if (strikes(rig, HANGS_UP, true))
        return false;
    if (strikes(rig, FALLS_SILENT, true))
        return true;
    if (strikes(rig, FAILS, true))
        reply.status = PROTO_FAILED;
    else if (op == PROTO_GET)
        reply.value = got(rig, e, &reply.status);
    else if (op == PROTO_SET)
        set(rig, e, slice_of(bytes + value_at, len - value_at));
    else
        reply.status = removed(rig, e);
    reply.id += strikes(rig, WRONG_ID, true);
    if (strikes(rig, WRONG_KIND, op == PROTO_GET)) {
        reply.op = PROTO_SET;
        reply.value.len = 0;
    }
    proto_put_reply(&out, &reply);
    if (strikes(rig, FLIPS, reply.value.len > 0))
        out.ptr[out.len - 1] ^= 1;
    if (strikes(rig, EXTRA, true))
        proto_put_reply(&out, &reply);
    fine = sock_send_all(lane->fd, out.ptr, out.len) == 0;
    buf_release(&out);
    return fine;
}

static size_t frame_length(const struct lane *lane, size_t at)
{
    size_t left = lane->in.len - at, len;

    if (left < PROTO_HEADER)
        return 0;
    len = PROTO_HEADER + (size_t)little_get32(lane->in.ptr + at + 4);
    return left < len ? 0 : len;
}

static unsigned frames(const struct lane *lane)
{
    unsigned n = 0;

    for (size_t at = 0, len; (len = frame_length(lane, at)) > 0; at += len)
        n++;
    return n;
}

static void hang_up(struct lane *lane)
{
    close(lane->fd);
    lane->fd = -1;
    buf_release(&lane->in);
}

/* What came from a connection; false: it has ended. */
static bool serve(struct rig *rig, struct lane *lane)
{
    unsigned char chunk[65536];
    ssize_t n = recv(lane->fd, chunk, sizeof chunk, MSG_DONTWAIT);
    size_t at = 0, len;

    if (n <= 0)
        return n < 0 && (errno == EAGAIN || errno == EINTR);
    buf_append(&lane->in, chunk, (size_t)n);
    lane->held = frames(lane);
    if (lane->held > rig->seen.most)
        rig->seen.most = lane->held;
    if (lane->held < rig->plan.hold
        && rig->seen.requests + lane->held < rig->plan.hold_until)
        return true;
    for (; (len = frame_length(lane, at)) > 0; at += len)
        if (!answer(rig, lane, lane->in.ptr + at, len))
            return false;
    buf_consume(&lane->in, at);
    return true;
}

static void accept_one(struct rig *rig)
{
    int fd = accept4(rig->listener, NULL, NULL, SOCK_CLOEXEC);
    unsigned free_ = 0;

    while (free_ < RIG_LANES && rig->lanes[free_].fd >= 0)
        free_++;
    expect_true("no more connections than were asked for",
                fd >= 0 && free_ < RIG_LANES);
    rig->lanes[free_].fd = fd;
    rig->seen.lanes++;
}

static void loop(void *arg)
{
    struct rig *rig = arg;
    struct pollfd p[RIG_LANES + 2];

    for (;;) {
        p[0] = (struct pollfd){ rig->stop[0], POLLIN, 0 };
        p[1] = (struct pollfd){ rig->listener, POLLIN, 0 };
        for (int i = 0; i < RIG_LANES; i++)
            p[i + 2] = (struct pollfd){ rig->lanes[i].fd, POLLIN, 0 };
        if (poll(p, RIG_LANES + 2, -1) < 0)
            continue;
        if (p[0].revents)
            return;
        if (p[1].revents)
            accept_one(rig);
        for (int i = 0; i < RIG_LANES; i++)
            if (p[i + 2].revents && !serve(rig, &rig->lanes[i]))
                hang_up(&rig->lanes[i]);
    }
}

/* ---- for the cases ----------------------------------------------------- */

struct rig *rig_start(struct rig_plan plan)
{
    struct rig *rig = calloc(1, sizeof *rig);
    struct sockaddr_storage addr;

    rig->plan = plan;
    for (int i = 0; i < RIG_LANES; i++)
        rig->lanes[i].fd = -1;
    sock_parse(&addr, "127.0.0.1:0");
    rig->listener = sock_listen(&addr, 128, SOCK_CLOEXEC);
    expect_true("the test's own server listens", rig->listener >= 0);
    rig->port = sock_port(rig->listener);
    expect_int("a pipe", pipe(rig->stop), 0);
    actor_start(&rig->loop, loop, rig);
    return rig;
}

struct rig_seen rig_stop(struct rig *rig)
{
    struct rig_seen seen;

    expect_int("telling the server to stop", write(rig->stop[1], "", 1), 1);
    actor_join(&rig->loop);
    for (int i = 0; i < RIG_LANES; i++)
        if (rig->lanes[i].fd >= 0)
            hang_up(&rig->lanes[i]);
    for (int i = 0; i < RIG_KEYS; i++) {
        buf_release(&rig->entries[i].now);
        buf_release(&rig->entries[i].before);
    }
    close(rig->listener);
    close(rig->stop[0]);
    close(rig->stop[1]);
    seen = rig->seen;
    free(rig);
    return seen;
}

struct load_options rig_options(const struct rig *rig)
{
    struct load_options options = {
        .wire = wire_find("kvs"), .connections = 1, .of = 1, .depth = 1,
        .count = 100, .timeout_ms = 10000,
    };
    char text[SOCK_TEXT_MAX];

    snprintf(text, sizeof text, "127.0.0.1:%d", rig->port);
    sock_parse(&options.addr, text);
    return options;
}

struct workload *rig_work(uint64_t keys, unsigned get, unsigned set_,
                          unsigned remove_, uint64_t seed)
{
    struct work_options options = {
        .keys = keys, .key_size = 12, .value_min = 8, .value_max = 90,
        .get = get, .set = set_, .remove = remove_, .seed = seed,
    };
    struct workload *work;

    expect_int("a workload", work_create(&work, &options, NULL), 0);
    return work;
}

int rig_run(const struct load_options *options, struct load_result *result)
{
    *result = (struct load_result){ .latency = NULL };
    expect_int("hist_create", hist_create(&result->latency), 0);
    return load_run(options, result);
}
