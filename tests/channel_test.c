/* channel_test.c -- the cases of tasks 1.2-1.4, and force_send of 1.7.
 *
 * Given.
 */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "stage1-pool/channel.h"
#include "tests/driver.h"

enum { CREW = 4 };

static struct channel *made(size_t capacity, size_t item_size)
{
    struct channel *ch = NULL;

    expect_int("channel_create", channel_create(&ch, capacity, item_size), 0);
    expect_true("channel_create sets *out", ch != NULL);
    return ch;
}

static struct channel *made_u64(size_t capacity)
{
    return made(capacity, sizeof(uint64_t));
}

static int try_put(struct channel *ch, uint64_t n)
{
    return channel_try_send(ch, &n);
}

/* The item that try_recv brings, or its error. */
static int64_t try_take(struct channel *ch)
{
    uint64_t n = 0;
    int err = channel_try_recv(ch, &n);

    return err ? err : (int64_t)n;
}

static int64_t take(struct channel *ch)
{
    uint64_t n = 0;
    int err = channel_recv(ch, &n);

    return err ? err : (int64_t)n;
}

/* ---- 1.2 ---------------------------------------------------------------- */

static void create_checks(const struct run *run)
{
    struct channel *ch = made_u64(1), *untouched = ch;

    (void)run;
    expect_int("a capacity of 0", channel_create(&ch, 0, 8), -EINVAL);
    expect_int("an item size of 0", channel_create(&ch, 1, 0), -EINVAL);
    expect_true("*out is untouched on an error", ch == untouched);
    channel_destroy(ch);
    channel_destroy(NULL);
}

static void order(const struct run *run)
{
    struct channel *ch = made_u64(run->size);

    for (size_t i = 0; i < run->size; i++)
        expect_int("try_send with room", try_put(ch, i), 0);
    for (size_t i = 0; i < run->size; i++)
        expect_int("try_recv brings the oldest item", try_take(ch), i);
    channel_destroy(ch);
}

static void full(const struct run *run)
{
    struct channel *ch = made_u64(run->size);

    for (size_t i = 0; i < run->size; i++)
        expect_int("try_send with room", try_put(ch, i), 0);
    expect_int("try_send on a full channel", try_put(ch, 99), -EAGAIN);
    expect_int("try_recv on a full channel", try_take(ch), 0);
    expect_int("try_send after one item has left", try_put(ch, 100), 0);
    expect_int("try_send on a full channel", try_put(ch, 101), -EAGAIN);
    for (size_t i = 1; i < run->size; i++)
        expect_int("the items after that", try_take(ch), i);
    expect_int("the last item", try_take(ch), 100);
    channel_destroy(ch);
}

static void empty(const struct run *run)
{
    struct channel *ch = made_u64(run->size);
    uint64_t item = 77;

    expect_int("try_send with room", try_put(ch, 5), 0);
    expect_int("try_recv of what was sent", try_take(ch), 5);
    expect_int("try_recv on an empty channel", channel_try_recv(ch, &item),
               -EAGAIN);
    expect_int("the item after an -EAGAIN", item, 77);
    channel_destroy(ch);
}

/* Sends and receives at random, beside a plain array that knows better. */
static void wrap_around(const struct run *run)
{
    uint64_t random = run->seed, put = 0, got = 0;
    struct channel *ch = made_u64(7);

    for (size_t i = 0; i < run->size; i++) {
        if (next_random(&random) & 1) {
            int want = put - got < 7 ? 0 : -EAGAIN;
            expect_int("try_send", try_put(ch, put), want);
            put += want == 0;
        } else {
            int64_t want = got < put ? (int64_t)got : -EAGAIN;
            expect_int("try_recv", try_take(ch), want);
            got += want >= 0;
        }
    }
    channel_destroy(ch);
}

static void item_sizes(const struct run *run)
{
    static const size_t sizes[] = { 1, 3, 8, 16, 24, 100, 4096 };
    unsigned char in[4096], out[4096 + 1];

    (void)run;
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
        size_t size = sizes[s];
        struct channel *ch = made(3, size);

        for (int i = 0; i < 20; i++) {
            memset(in, i + 1, sizeof in);
            memset(out, 0xee, sizeof out);
            expect_int("try_send", channel_try_send(ch, in), 0);
            expect_int("try_recv", channel_try_recv(ch, out), 0);
            expect_int("the item's bytes", memcmp(in, out, size), 0);
            expect_int("the byte behind the item", out[size], 0xee);
        }
        channel_destroy(ch);
    }
}

static void sent_counts(const struct run *run)
{
    struct channel *ch = made_u64(2);

    for (size_t i = 0; i < run->size; i++) {
        expect_int("try_send with room", try_put(ch, i), 0);
        expect_int("channel_sent", channel_sent(ch), i + 1);
        expect_int("try_recv", try_take(ch), i);
    }
    expect_int("try_send with room", try_put(ch, 0), 0);
    expect_int("try_send with room", try_put(ch, 0), 0);
    expect_int("try_send on a full channel", try_put(ch, 0), -EAGAIN);
    expect_int("channel_sent counts what went in", channel_sent(ch),
               run->size + 2);
    channel_destroy(ch);
}

/* ---- 1.3 ---------------------------------------------------------------- */

/* One thread of a crew that sends or receives through a channel. */
struct member {
    struct actor actor;
    struct channel *ch;
    uint64_t first, count;  /* sends first .. first + count - 1 */
    uint64_t *seen;         /* receives: how often each item came */
    pthread_mutex_t *lock;  /* guards seen */
    size_t batch;           /* receives so many at once, or 0 */
    int64_t result;
};

static void send_all(void *arg)
{
    struct member *m = arg;

    for (uint64_t i = m->first; i < m->first + m->count; i++) {
        m->result = channel_send(m->ch, &i);
        if (m->result)
            return;
    }
}

static void recv_one(void *arg)
{
    struct member *m = arg;

    m->result = take(m->ch);
}

static void note(struct member *m, uint64_t item, uint64_t *last)
{
    uint64_t sender = item / m->count, n = item % m->count + 1;

    expect_true("an item that was sent", sender < CREW);
    expect_true("one sender's items come in order", n > last[sender]);
    last[sender] = n;
    pthread_mutex_lock(m->lock);
    m->seen[item]++;
    pthread_mutex_unlock(m->lock);
}

static void recv_all(void *arg)
{
    struct member *m = arg;
    uint64_t last[CREW] = { 0 }, items[16];
    int n;

    for (;;) {
        if (m->batch)
            n = channel_recv_batch(m->ch, items, m->batch);
        else
            n = channel_recv(m->ch, items) ? 0 : 1;
        if (n <= 0 || items[0] == UINT64_MAX)
            break;
        for (int i = 0; i < n; i++)
            note(m, items[i], last);
    }
    m->result = n;
}

/* Senders and receivers; then ends the receivers, by an end mark each (for
 * task 1.3 knows no close) or by closing; every item came once. */
static void crowd(size_t each, size_t capacity, size_t batch, bool close)
{
    struct member senders[CREW], receivers[CREW];
    pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    struct channel *ch = made_u64(capacity);
    uint64_t *seen = calloc(CREW * each, sizeof *seen), end = UINT64_MAX;

    for (int i = 0; i < CREW; i++) {
        receivers[i] = (struct member){ .ch = ch, .count = each, .seen = seen,
                                        .lock = &lock, .batch = batch };
        actor_start(&receivers[i].actor, recv_all, &receivers[i]);
    }
    for (int i = 0; i < CREW; i++) {
        senders[i] = (struct member){ .ch = ch, .count = each,
                                      .first = (uint64_t)i * each };
        actor_start(&senders[i].actor, send_all, &senders[i]);
    }
    for (int i = 0; i < CREW; i++) {
        actor_join(&senders[i].actor);
        expect_int("channel_send", senders[i].result, 0);
    }
    if (close)
        channel_close(ch);
    for (int i = 0; i < CREW && !close; i++)
        expect_int("channel_send", channel_send(ch, &end), 0);
    for (int i = 0; i < CREW; i++)
        actor_join(&receivers[i].actor);
    for (size_t i = 0; i < CREW * each; i++)
        expect_int("how often an item was received", seen[i], 1);
    free(seen);
    channel_destroy(ch);
}

static void hand_over(const struct run *run)
{
    struct channel *ch = made_u64(1);
    struct member m = { .ch = ch, .count = run->size };

    actor_start(&m.actor, send_all, &m);
    for (size_t i = 0; i < run->size; i++)
        expect_int("recv brings the items in order", take(ch), i);
    actor_join(&m.actor);
    expect_int("channel_send", m.result, 0);
    channel_destroy(ch);
}

static void four_by_four(const struct run *run)
{
    crowd(run->size, 3, 0, false);
}

static void send_waits(const struct run *run)
{
    struct channel *ch = made_u64(1);
    struct member m = { .ch = ch, .first = 2, .count = 1 };

    (void)run;
    expect_int("try_send with room", try_put(ch, 1), 0);
    actor_start(&m.actor, send_all, &m);
    expect_true("send on a full channel waits", actor_blocks(&m.actor));
    expect_int("try_recv on a full channel", try_take(ch), 1);
    expect_soon("try_recv lets the waiting send go on", "send returns",
                actor_done, &m.actor);
    actor_join(&m.actor);
    expect_int("channel_send", m.result, 0);
    expect_int("try_recv of what it sent", try_take(ch), 2);
    channel_destroy(ch);
}

static void recv_waits(const struct run *run)
{
    struct channel *ch = made_u64(1);
    struct member m = { .ch = ch };

    (void)run;
    actor_start(&m.actor, recv_one, &m);
    expect_true("recv on an empty channel waits", actor_blocks(&m.actor));
    expect_int("try_send with room", try_put(ch, 42), 0);
    expect_soon("try_send lets the waiting recv go on", "recv returns",
                actor_done, &m.actor);
    actor_join(&m.actor);
    expect_int("channel_recv", m.result, 42);
    channel_destroy(ch);
}

static void waits_asleep(const struct run *run)
{
    struct member m[2 * CREW];
    struct channel *fulls = made_u64(1), *none = made_u64(1);

    (void)run;
    expect_int("try_send with room", try_put(fulls, 1), 0);
    for (int i = 0; i < 2 * CREW; i++) {
        bool sender = i < CREW;

        m[i] = (struct member){ .ch = sender ? fulls : none, .count = 1 };
        actor_start(&m[i].actor, sender ? send_all : recv_one, &m[i]);
    }
    for (int i = 0; i < 2 * CREW; i++)
        expect_true("it waits", actor_blocks(&m[i].actor));
    expect_idle("4 threads that wait in send and 4 in recv");
    for (int i = 0; i < CREW; i++) {
        expect_true("recv", take(fulls) >= 0);
        expect_int("send", channel_send(none, &(uint64_t){ 3 }), 0);
    }
    for (int i = 0; i < 2 * CREW; i++)
        actor_join(&m[i].actor);
    channel_destroy(fulls);
    channel_destroy(none);
}

static void each_wakes_one(const struct run *run)
{
    struct member m[CREW];
    struct channel *ch = made_u64(1);

    (void)run;
    expect_int("try_send with room", try_put(ch, 9), 0);
    for (int i = 0; i < CREW; i++) {
        m[i] = (struct member){ .ch = ch, .first = 10, .count = 1 };
        actor_start(&m[i].actor, send_all, &m[i]);
        expect_true("send on a full channel waits", actor_blocks(&m[i].actor));
    }
    expect_int("recv on a full channel", take(ch), 9);
    for (int i = 0; i < CREW; i++)
        expect_int("recv of what the waiting senders send", take(ch), 10);
    for (int i = 0; i < CREW; i++)
        actor_join(&m[i].actor);
    expect_int("try_recv at the end", try_take(ch), -EAGAIN);
    channel_destroy(ch);
}

static void recv_count(void *arg)
{
    struct member *m = arg;

    for (uint64_t i = 0; i < m->count; i++)
        expect_int("channel_recv", take(m->ch), 1);
}

static void send_ones(void *arg)
{
    struct member *m = arg;

    for (uint64_t i = 0; i < m->count; i++)
        expect_int("channel_send", channel_send(m->ch, &(uint64_t){ 1 }), 0);
}

/* Few enough threads and items for the schedule explorer. */
static void small_crowd(const struct run *run)
{
    struct channel *ch = made_u64(1);
    struct member m[4];

    for (int i = 0; i < 4; i++) {
        m[i] = (struct member){ .ch = ch, .count = run->size };
        actor_start(&m[i].actor, i % 2 ? send_ones : recv_count, &m[i]);
    }
    for (int i = 0; i < 4; i++)
        actor_join(&m[i].actor);
    expect_int("what is left", try_take(ch), -EAGAIN);
    channel_destroy(ch);
}

/* A burst of items, a receiver for each: all of them must be woken. */
static void small_burst(const struct run *run)
{
    struct channel *ch = made_u64(run->size);
    struct member m[8];

    for (size_t i = 0; i < run->size; i++) {
        m[i] = (struct member){ .ch = ch, .count = 1 };
        actor_start(&m[i].actor, recv_count, &m[i]);
    }
    for (size_t i = 0; i < run->size; i++)
        expect_int("channel_send", channel_send(ch, &(uint64_t){ 1 }), 0);
    for (size_t i = 0; i < run->size; i++)
        actor_join(&m[i].actor);
    channel_destroy(ch);
}

/* ---- 1.4 ---------------------------------------------------------------- */

static void close_drains(const struct run *run)
{
    struct channel *ch = made_u64(run->size + 1);
    uint64_t item = 77;

    for (size_t i = 0; i < run->size; i++)
        expect_int("try_send with room", try_put(ch, i), 0);
    channel_close(ch);
    expect_int("try_send on a closed channel", try_put(ch, 1), -EPIPE);
    expect_int("send on a closed channel", channel_send(ch, &item), -EPIPE);
    for (size_t i = 0; i < run->size; i++)
        expect_int("what was sent before close", i % 2 ? take(ch)
                   : try_take(ch), i);
    expect_int("recv, closed and empty", channel_recv(ch, &item), -EPIPE);
    expect_int("try_recv, closed and empty", channel_try_recv(ch, &item),
               -EPIPE);
    expect_int("the item after an -EPIPE", item, 77);
    channel_close(ch);
    expect_int("recv after a second close", take(ch), -EPIPE);
    channel_destroy(ch);
}

static void close_wakes(struct channel *ch, void (*fn)(void *))
{
    struct member m[CREW];

    for (int i = 0; i < CREW; i++) {
        m[i] = (struct member){ .ch = ch, .count = 1 };
        actor_start(&m[i].actor, fn, &m[i]);
    }
    for (int i = 0; i < CREW && !under_tool(); i++)
        expect_true("it waits", actor_blocks(&m[i].actor));
    channel_close(ch);
    for (int i = 0; i < CREW; i++) {
        expect_soon("close while 4 threads wait", "all four return",
                    actor_done, &m[i].actor);
        actor_join(&m[i].actor);
        expect_int("what the waiting thread got", m[i].result, -EPIPE);
    }
}

static void close_wakes_receivers(const struct run *run)
{
    struct channel *ch = made_u64(1);

    (void)run;
    expect_int("try_send with room", try_put(ch, 4), 0);
    expect_int("recv", take(ch), 4);
    close_wakes(ch, recv_one);
    channel_destroy(ch);
}

static void close_wakes_senders(const struct run *run)
{
    struct channel *ch = made_u64(1);

    (void)run;
    expect_int("try_send with room", try_put(ch, 4), 0);
    close_wakes(ch, send_all);
    expect_int("what was sent before close", take(ch), 4);
    expect_int("recv, closed and empty", take(ch), -EPIPE);
    channel_destroy(ch);
}

static void batch(const struct run *run)
{
    struct channel *ch = made_u64(5);
    uint64_t items[8], put = 0, got = 0;

    for (size_t round = 0; round < run->size; round++) {
        size_t there = round % 5 + 1, max = round % 3 + 2;
        size_t want = there < max ? there : max;

        for (size_t i = 0; i < there; i++)
            expect_int("try_send with room", try_put(ch, put++), 0);
        items[want] = 77;
        expect_int("how many recv_batch takes",
                   channel_recv_batch(ch, items, max), want);
        for (size_t i = 0; i < want; i++)
            expect_int("an item of the batch", items[i], got++);
        expect_int("what lies behind the batch", items[want], 77);
        while (got < put)
            expect_int("the items after the batch", try_take(ch), got++);
    }
    expect_int("a batch of 0", channel_recv_batch(ch, items, 0), -EINVAL);
    expect_int("try_send with room", try_put(ch, 8), 0);
    channel_close(ch);
    expect_int("a batch after close", channel_recv_batch(ch, items, 8), 1);
    expect_int("a batch, closed and empty", channel_recv_batch(ch, items, 8),
               -EPIPE);
    channel_destroy(ch);
}

static void batch_lets_all_in(const struct run *run)
{
    struct channel *ch = made_u64(CREW);
    struct member m[CREW];
    uint64_t items[CREW];

    (void)run;
    for (int i = 0; i < CREW; i++)
        expect_int("try_send with room", try_put(ch, 1), 0);
    for (int i = 0; i < CREW; i++) {
        m[i] = (struct member){ .ch = ch, .first = 2, .count = 1 };
        actor_start(&m[i].actor, send_all, &m[i]);
        if (!under_tool())
            expect_true("send on a full channel waits",
                        actor_blocks(&m[i].actor));
    }
    int n = channel_recv_batch(ch, items, CREW);
    for (int i = 0; i < CREW; i++)
        expect_soon("a batch of 4 makes room for 4 senders",
                    "all four return", actor_done, &m[i].actor);
    for (int i = 0; i < CREW; i++)
        actor_join(&m[i].actor);
    for (int i = n; i < 2 * CREW; i++)
        expect_true("recv of the rest", take(ch) > 0);
    channel_destroy(ch);
}

static void batch_crowd(const struct run *run)
{
    crowd(run->size, 5, 3, true);
}

static void recv_some(void *arg)
{
    struct member *m = arg;
    uint64_t items[2];

    m->result = channel_recv_batch(m->ch, items, 2);
}

/* For the explorer: receivers of all kinds, one sender of one item; closing
 * comes in between, anywhere, also when all the receivers are asleep. */
static void small_close(const struct run *run)
{
    struct channel *ch = made_u64(2);
    struct member m[4];
    void (*const fn[4])(void *) = { recv_one, recv_some, send_all, recv_one };

    (void)run;
    for (int i = 0; i < 4; i++) {
        m[i] = (struct member){ .ch = ch, .first = 2, .count = 1 };
        actor_start(&m[i].actor, fn[i], &m[i]);
    }
    channel_close(ch);
    for (int i = 0; i < 4; i++)
        actor_join(&m[i].actor);
    int left = 0;
    while (take(ch) > 0)
        left++;
    int got = (m[0].result > 0) + (m[1].result > 0) + (m[3].result > 0);
    expect_int("what came out is what went in", got + left, channel_sent(ch));
    channel_destroy(ch);
}

static void small_batch(const struct run *run)
{
    struct channel *ch = made_u64(2);
    struct member m[3];
    size_t got = 0;

    (void)run;
    for (int i = 0; i < 3; i++) {
        m[i] = (struct member){ .ch = ch, .first = 1, .count = 2 };
        actor_start(&m[i].actor, send_all, &m[i]);
    }
    while (got < 6) {
        uint64_t items[3];
        int n = channel_recv_batch(ch, items, 3);

        expect_true("recv_batch brings items", n > 0 && n <= 3);
        got += (size_t)n;
    }
    for (int i = 0; i < 3; i++)
        actor_join(&m[i].actor);
    expect_int("items received", got, 6);
    channel_destroy(ch);
}

/* ---- 1.7 ---------------------------------------------------------------- */

static int force(struct channel *ch, uint64_t n)
{
    return channel_force_send(ch, &n);
}

/* Above capacity, from every position of the ring's head. */
static void force_grows(const struct run *run)
{
    for (uint64_t head = 0; head < 3; head++) {
        struct channel *ch = made_u64(3);

        for (uint64_t i = 0; i < head; i++) {
            expect_int("try_send with room", try_put(ch, 0), 0);
            expect_int("try_recv", try_take(ch), 0);
        }
        expect_int("try_send with room", try_put(ch, 0), 0);
        for (uint64_t i = 1; i < run->size; i++)
            expect_int("force_send", force(ch, i), 0);
        expect_int("try_send above capacity", try_put(ch, 0), -EAGAIN);
        for (uint64_t i = 0; i < run->size - 2; i++)
            expect_int("try_recv, in order", try_take(ch), i);
        expect_int("try_send below capacity", try_put(ch, run->size), 0);
        expect_int("try_send at capacity", try_put(ch, 0), -EAGAIN);
        for (uint64_t i = run->size - 2; i <= run->size; i++)
            expect_int("try_recv, in order", try_take(ch), i);
        channel_close(ch);
        expect_int("force_send, closed", force(ch, 1), -EPIPE);
        channel_destroy(ch);
    }
}

static void force_wakes(const struct run *run)
{
    struct channel *ch = made_u64(1);
    struct member m = { .ch = ch };

    (void)run;
    actor_start(&m.actor, recv_one, &m);
    if (!under_tool())
        expect_true("recv on an empty channel waits", actor_blocks(&m.actor));
    expect_int("force_send", force(ch, 8), 0);
    expect_soon("force_send while a recv waits", "recv returns", actor_done,
                &m.actor);
    actor_join(&m.actor);
    expect_int("channel_recv", m.result, 8);
    channel_destroy(ch);
}

static const struct test_case cases[] = {
    { "create_checks", create_checks, 1 },
    { "order", order, 100 },
    { "full", full, 4 },
    { "empty", empty, 4 },
    { "wrap_around", wrap_around, 5000 },
    { "item_sizes", item_sizes, 1 },
    { "sent_counts", sent_counts, 50 },
    { "hand_over", hand_over, 2000 },
    { "four_by_four", four_by_four, 5000 },
    { "send_waits", send_waits, 1 },
    { "recv_waits", recv_waits, 1 },
    { "waits_asleep", waits_asleep, 1 },
    { "each_wakes_one", each_wakes_one, 1 },
    { "small_crowd", small_crowd, 2 },
    { "small_burst", small_burst, 3 },
    { "close_drains", close_drains, 10 },
    { "close_wakes_receivers", close_wakes_receivers, 1 },
    { "close_wakes_senders", close_wakes_senders, 1 },
    { "batch", batch, 60 },
    { "batch_lets_all_in", batch_lets_all_in, 1 },
    { "batch_crowd", batch_crowd, 2000 },
    { "small_close", small_close, 1 },
    { "small_batch", small_batch, 1 },
    { "force_grows", force_grows, 50 },
    { "force_wakes", force_wakes, 1 },
    { NULL, NULL, 0 },
};

int main(int argc, char **argv)
{
    return driver_main(argc, argv, cases);
}
