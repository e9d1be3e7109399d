/* server_hard_test.c -- bytes as they should not be: frames that are cut,
 * wrong, random, or come a byte at a time (task 2.10).
 *
 * Given.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "tests/server_test.h"

enum { MIB = 1 << 20 };

static void put_batch(struct buf *to, uint64_t id)
{
    size_t start;

    expect_int("proto_begin_batch", proto_begin_batch(to, id, &start), 0);
    expect_int("proto_add_item",
               proto_add_item(to, PROTO_SET, slice_str("b"),
                              slice_str("batched")), 0);
    expect_int("proto_add_item",
               proto_add_item(to, PROTO_GET, slice_str("b"),
                              slice_str("")), 0);
    proto_end_batch(to, start, 2);
}

/* Replies to put_batch. */
static void expect_batch(struct peer *peer, const char *tried, uint64_t id)
{
    static const unsigned char body[] = "\2\0\0\0" "\0\0\0\0\0\0\0\0"
                                        "\0\0\0\0\7\0\0\0batched";
    struct proto_reply reply;
    enum proto_status status;
    struct slice value;

    peer_take(peer, tried, &reply);
    expect_int(tried, reply.id, id);
    expect_int(tried, reply.batch_count, 2);
    expect_int(tried, reply.value.len, sizeof body - 5);
    expect_true(tried, proto_next_reply(&reply.value, &status, &value));
    expect_int(tried, status, PROTO_OK);
    expect_true(tried, proto_next_reply(&reply.value, &status, &value));
    expect_bytes(tried, value, slice_str("batched"));
}

/* ---- cut ---------------------------------------------------------------- */

/* Every prefix of some frames, then the end. The last key is never set. */
static void half_frames(const struct run *run)
{
    static struct rig rig;
    struct peer peer;
    struct buf frames = { 0 };

    rig_start(&rig, (struct server_options){ 0 });
    expect_served("a good client", &rig);
    size_t before = descriptors();
    put_batch(&frames, 1);
    put_set(&frames, 2, slice_str("cut"), slice_str("never whole"));
    for (size_t n = 0; n < frames.len; n += run->size) {
        peer_open(&peer, rig.port);
        peer_send(&peer, frames.ptr, n);
        if (n % 2)
            peer_reset(&peer);
        else
            peer_close(&peer);
    }
    expect_served("beside them, a good client", &rig);
    expect_descriptors("clients that closed inside a frame", before);
    buf_clear(&frames);
    put_get(&frames, 1, slice_str("b"));
    put_get(&frames, 2, slice_str("cut"));
    peer_open(&peer, rig.port);
    peer_send_buf(&peer, &frames);
    peer_expect_value(&peer, "a batch that came whole", 1,
                      slice_str("batched"));
    peer_expect(&peer, "a set that was cut", 2, PROTO_NOT_FOUND);
    peer_close(&peer);
    buf_release(&frames);
    rig_leave(&rig);
}

/* Connections that have sent the first n bytes, for every n; then the rest.
 * A ping on another one comes in between, so the server has seen them. */
static void split_everywhere(const struct run *run)
{
    static struct rig rig;
    struct buf frames = { 0 };
    struct peer peers[256], other;

    rig_start(&rig, (struct server_options){ 0 });
    put_set(&frames, 1, slice_str("k"), slice_str("v"));
    put_get(&frames, 2, slice_str("k"));
    put_batch(&frames, 3);
    put_ping(&frames, 4);
    peer_open(&other, rig.port);
    for (size_t i = 1; i * run->size < frames.len; i++) {
        peer_open(&peers[i], rig.port);
        peer_send(&peers[i], frames.ptr, i * run->size);
    }
    peer_ping(&other, "beside many half frames", 5);
    for (size_t i = 1; i * run->size < frames.len; i++) {
        peer_send(&peers[i], frames.ptr + i * run->size,
                  frames.len - i * run->size);
        peer_expect(&peers[i], "a set, in two pieces", 1, PROTO_OK);
        peer_expect_value(&peers[i], "a get, in two pieces", 2,
                          slice_str("v"));
        expect_batch(&peers[i], "a batch, in two pieces", 3);
        peer_expect(&peers[i], "a ping, in two pieces", 4, PROTO_OK);
        peer_close(&peers[i]);
    }
    peer_close(&other);
    buf_release(&frames);
    rig_leave(&rig);
}

static void byte_by_byte(const struct run *run)
{
    static struct rig rig;
    struct buf frames = { 0 };
    struct peer peer;

    rig_start(&rig, (struct server_options){ 0 });
    peer_open(&peer, rig.port);
    put_set(&frames, 1, slice_str("k"), slice_str("some value"));
    put_get(&frames, 2, slice_str("k"));
    put_batch(&frames, 3);
    for (size_t round = 0; round < run->size; round++) {
        for (size_t i = 0; i < frames.len; i++)
            peer_send(&peer, frames.ptr + i, 1);
        peer_expect(&peer, "a set, byte by byte", 1, PROTO_OK);
        peer_expect_value(&peer, "a get, byte by byte", 2,
                          slice_str("some value"));
        expect_batch(&peer, "a batch, byte by byte", 3);
    }
    peer_close(&peer);
    buf_release(&frames);
    rig_leave(&rig);
}

/* Requests, then the client's last word: all are answered, then it ends. */
static void half_close(const struct run *run)
{
    static char value[1000];
    static struct rig rig;
    struct buf frames = { 0 };
    struct peer peer;
    size_t n = run->size;

    rig_start(&rig, (struct server_options){ 0 });
    size_t before = descriptors();
    peer_open(&peer, rig.port);
    for (size_t i = 0; i < n; i++) {
        put_set(&frames, 2 * i, slice_str("k"), slice_of(value, i % 1000));
        put_get(&frames, 2 * i + 1, slice_str("k"));
    }
    peer_send_buf(&peer, &frames);
    peer_half_close(&peer);
    for (size_t i = 0; i < n; i++) {
        peer_expect(&peer, "a set before a half-close", 2 * i, PROTO_OK);
        peer_expect_value(&peer, "a get before a half-close", 2 * i + 1,
                          slice_of(value, i % 1000));
    }
    peer_expect_end(&peer, "after the last reply");
    peer_close(&peer);
    expect_descriptors("a half-closed connection", before);
    buf_release(&frames);
    rig_leave(&rig);
}

/* ---- wrong -------------------------------------------------------------- */

/* A set and a get, then `frame`: the first two are answered, then comes
 * BAD_FRAME, then the end. */
static void expect_refused(struct rig *rig, const char *tried,
                           const struct buf *frame)
{
    struct buf frames = { 0 };
    struct proto_reply reply;
    struct peer peer;

    peer_open(&peer, rig->port);
    put_set(&frames, 1, slice_str("k"), slice_str("in front"));
    put_get(&frames, 2, slice_str("k"));
    expect_int("a frame", buf_append_slice(&frames, buf_slice(frame)), 0);
    put_set(&frames, 4, slice_str("behind"), slice_str("x"));
    peer_send_buf(&peer, &frames);
    peer_expect(&peer, "a set in front of a wrong frame", 1, PROTO_OK);
    peer_expect_value(&peer, "a get in front of a wrong frame", 2,
                      slice_str("in front"));
    if (!peer_try_take(&peer, &reply))
        fail_case(__FILE__, __LINE__, tried, "an answer: bad frame",
                  "the connection has ended");
    expect_str(tried, proto_status_text(reply.status),
               proto_status_text(PROTO_BAD_FRAME));
    peer_expect_end(&peer, "after a bad frame");
    peer_close(&peer);
    buf_release(&frames);
}

static void append(struct buf *to, const void *bytes, size_t len)
{
    expect_int("a frame", buf_append(to, bytes, len), 0);
}

/* A frame whose header is in order, with this body. */
static void refuse_body(struct rig *rig, const char *tried, int op,
                        const char *body, size_t len)
{
    struct buf frame = { 0 };

    put_header(&frame, PROTO_MAGIC, PROTO_VERSION, op, (uint32_t)len, 3);
    append(&frame, body, len);
    expect_refused(rig, tried, &frame);
    buf_release(&frame);
}

static void refuse_header(struct rig *rig, const char *tried, int magic,
                          int version, int op)
{
    struct buf frame = { 0 };

    put_header(&frame, magic, version, op, 0, 3);
    expect_refused(rig, tried, &frame);
    buf_release(&frame);
}

static void wrong_frames(const struct run *run)
{
    const int m = PROTO_MAGIC, v = PROTO_VERSION;
    static struct rig rig;
    struct peer peer;
    struct buf frame = { 0 };

    (void)run;
    rig_start(&rig, (struct server_options){ 0 });
    size_t before = descriptors();
    refuse_header(&rig, "a wrong magic", m + 1, v, PROTO_PING);
    refuse_header(&rig, "a text", 'G', 'E', 'T');
    refuse_header(&rig, "a wrong version", m, v + 1, PROTO_PING);
    refuse_header(&rig, "operation 0", m, v, 0);
    refuse_header(&rig, "operation 7", m, v, 7);
    refuse_header(&rig, "operation 255", m, v, 255);
    refuse_header(&rig, "a get without a body", m, v, PROTO_GET);
    refuse_body(&rig, "a ping with a body", PROTO_PING, "x", 1);
    refuse_body(&rig, "an empty key", PROTO_GET, "\0\0\0\0x", 5);
    refuse_body(&rig, "a key longer than its frame", PROTO_SET,
                "\2\0\0\0x", 5);
    refuse_body(&rig, "a key of 4 GiB", PROTO_SET, "\377\377\377\377x", 5);
    refuse_body(&rig, "a get with a value", PROTO_GET, "\1\0\0\0xy", 6);
    refuse_body(&rig, "a batch of 4 billion", PROTO_BATCH,
                "\377\377\377\377", 4);
    refuse_body(&rig, "a batch that is too short", PROTO_BATCH,
                "\2\0\0\0" "\2\0\0\0\1\0\0\0\0\0\0\0k", 17);
    expect_descriptors("clients that sent wrong frames", before);
    peer_open(&peer, rig.port);
    put_get(&frame, 1, slice_str("behind"));
    peer_send_buf(&peer, &frame);
    peer_expect(&peer, "a set behind a wrong frame", 1, PROTO_NOT_FOUND);
    peer_close(&peer);
    buf_release(&frame);
    rig_leave(&rig);
}

/* Lengths at every edge, claimed and not sent. */
static void claimed_lengths(const struct run *run)
{
    static const uint32_t lengths[] = { 0, 1, PROTO_BODY_MAX,
                                        PROTO_BODY_MAX + 1, 0x7fffffff,
                                        0x80000000, 0xffffffff };
    enum { N = sizeof lengths / sizeof *lengths };
    struct peer peers[N];
    struct buf frame = { 0 };
    static struct rig rig;

    (void)run;
    rig_start(&rig, (struct server_options){ 0 });
    for (size_t i = 0; i < N; i++) {
        peer_open(&peers[i], rig.port);
        peer_ping(&peers[i], "a good frame", i);
    }
    size_t heap = heap_used();
    for (size_t i = 0; i < N; i++) {
        put_header(&frame, PROTO_MAGIC, PROTO_VERSION, PROTO_SET,
                   lengths[i], i);
        peer_send_buf(&peers[i], &frame);
        if (lengths[i] == PROTO_BODY_MAX)
            continue;
        peer_expect(&peers[i], "a length that cannot be", i,
                    PROTO_BAD_FRAME);
        peer_expect_end(&peers[i], "after a length that cannot be");
    }
    expect_served("a good client", &rig);
    expect_at_most("bytes of memory for lengths that were only claimed",
                   heap_used() - heap, MIB);
    for (size_t i = 0; i < N; i++)
        peer_close(&peers[i]);
    buf_release(&frame);
    rig_leave(&rig);
}

/* Too long for a key or a value, in a frame that is in order: TOO_BIG, and
 * the connection goes on. The longest that are allowed work. */
static void too_big(const struct run *run)
{
    static struct rig rig;
    struct peer peer;
    struct buf frames = { 0 };
    const size_t most = run->size;
    char *bytes = calloc(1, PROTO_VALUE_MAX + 1);
    struct slice k = slice_str("k"), key = slice_of(bytes, PROTO_KEY_MAX);

    rig_start(&rig, (struct server_options){ 0 });
    peer_open(&peer, rig.port);
    put_set(&frames, 1, slice_of(bytes, PROTO_KEY_MAX + 1), k);
    put_set(&frames, 2, key, k);
    put_get(&frames, 3, key);
    peer_send_buf(&peer, &frames);
    peer_expect(&peer, "a key that is too long", 1, PROTO_TOO_BIG);
    peer_expect(&peer, "the longest key", 2, PROTO_OK);
    peer_expect_value(&peer, "the longest key", 3, k);
    put_set(&frames, 4, k, slice_of(bytes, PROTO_VALUE_MAX + 1));
    put_get(&frames, 5, k);
    put_set(&frames, 6, k, slice_of(bytes, most));
    put_get(&frames, 7, k);
    peer_send_buf(&peer, &frames);
    peer_expect(&peer, "a value that is too long", 4, PROTO_TOO_BIG);
    peer_expect(&peer, "a get behind it", 5, PROTO_NOT_FOUND);
    peer_expect(&peer, "the longest value", 6, PROTO_OK);
    peer_expect_value(&peer, "the longest value", 7, slice_of(bytes, most));
    peer_close(&peer);
    free(bytes);
    buf_release(&frames);
    rig_leave(&rig);
}

/* A frame with random changes, or bytes that are random from the start. */
static void put_random(struct buf *to, uint64_t *state)
{
    size_t start = to->len;
    uint64_t r = next_random(state);

    if (r % 8 == 0)
        put_batch(to, r);
    else if (r % 8 < 6)
        put_set(to, r, slice_of(&r, 1 + r % 7), slice_of(&r, r % 9));
    else
        put_header(to, PROTO_MAGIC, PROTO_VERSION, (int)(r >> 8) & 7,
                   (uint32_t)(r >> 32) & 31, r);
    for (size_t flips = (r >> 16) % 4; flips > 0; flips--) {
        uint64_t where = next_random(state);
        to->ptr[start + where % (to->len - start)]
            ^= (unsigned char)(1 << (where >> 32) % 8);
    }
    if ((r >> 24) % 4 == 0)
        to->len = start + (r >> 40) % (to->len - start);
}

/* Whatever the server answers, it can be taken apart, and it ends. */
static void random_frames(const struct run *run)
{
    static struct rig rig;
    struct peer peer;
    struct proto_reply reply;
    struct buf frames = { 0 };
    uint64_t state = run->seed;

    rig_start(&rig, (struct server_options){ 0 });
    expect_served("a good client", &rig);
    size_t before = descriptors();
    for (size_t i = 0; i < run->size; i++) {
        for (size_t n = next_random(&state) % 4; n < 4; n++)
            put_random(&frames, &state);
        if (frames.len > 0)     /* or another protocol would be spoken */
            frames.ptr[0] |= PROTO_MAGIC & 0x80;
        peer_open(&peer, rig.port);
        peer_try_send(&peer, frames.ptr, frames.len);
        shutdown(peer.fd, SHUT_WR);
        while (peer_try_take(&peer, &reply))
            ;
        peer_close(&peer);
        buf_clear(&frames);
    }
    expect_served("after random frames, a good client", &rig);
    expect_descriptors("after random frames", before);
    buf_release(&frames);
    rig_leave(&rig);
}

/* ---- right, and much ---------------------------------------------------- */

enum { KEYS = 8 };

struct expected {
    enum proto_op op;
    bool found;
    uint64_t value;
};

/* What a map answers, with small numbers as keys; 0: absent. */
static struct expected put_step(struct buf *to, uint64_t id, uint64_t *state,
                                uint64_t map[KEYS])
{
    uint64_t r = next_random(state), k = r % KEYS;
    struct slice key = slice_of(&k, sizeof k);
    struct expected e = { .found = map[k] != 0, .value = map[k] };
    struct proto_request remove = { .op = PROTO_REMOVE, .id = id,
                                    .key = key };

    if (r >> 32 & 1) {
        e.op = PROTO_GET;
        put_get(to, id, key);
    } else if (r >> 33 & 3) {
        e.op = PROTO_SET;
        e.found = true;
        map[k] = r;
        put_set(to, id, key, slice_of(&r, sizeof r));
    } else {
        e.op = PROTO_REMOVE;
        map[k] = 0;
        expect_int("a frame", proto_put_request(to, &remove), 0);
    }
    return e;
}

static void pipelined(const struct run *run)
{
    static struct rig rig;
    struct peer peer;
    struct buf frames = { 0 };
    struct expected *want = calloc(run->size, sizeof *want);
    uint64_t map[KEYS] = { 0 }, state = run->seed;

    rig_start(&rig, (struct server_options){ 0 });
    peer_open(&peer, rig.port);
    for (size_t i = 0; i < run->size; i++)
        want[i] = put_step(&frames, i, &state, map);
    peer_send_buf(&peer, &frames);
    for (size_t i = 0; i < run->size; i++) {
        const struct expected *e = &want[i];

        if (e->op == PROTO_GET && e->found)
            peer_expect_value(&peer, "a get, one of many requests in one "
                              "write", i, slice_of(&e->value, 8));
        else
            peer_expect(&peer, "one of many requests in one write", i,
                        e->found ? PROTO_OK : PROTO_NOT_FOUND);
    }
    peer_close(&peer);
    free(want);
    buf_release(&frames);
    rig_leave(&rig);
}

/* Keys are bytes, and an empty value is a value. */
static void any_bytes(const struct run *run)
{
    static const struct { const char *key; size_t len; } keys[] = {
        { "\0", 1 }, { "\0\0", 2 }, { "a", 1 }, { "a\0", 2 }, { "a\0b", 3 },
        { "\n", 1 }, { "\377\376", 2 }
    };
    enum { N = sizeof keys / sizeof *keys };
    static struct rig rig;
    struct peer peer;
    struct buf frames = { 0 };

    (void)run;
    rig_start(&rig, (struct server_options){ 0 });
    peer_open(&peer, rig.port);
    for (size_t i = 0; i < N; i++)
        put_set(&frames, i, slice_of(keys[i].key, keys[i].len),
                slice_of("\0\1\2\3\4\5\6", i));
    for (size_t i = 0; i < N; i++)
        put_get(&frames, N + i, slice_of(keys[i].key, keys[i].len));
    put_get(&frames, 2 * N, slice_of("\0\0\0", 3));
    put_get(&frames, 2 * N + 1, slice_of("a\0b\0", 4));
    peer_send_buf(&peer, &frames);
    for (size_t i = 0; i < N; i++)
        peer_expect(&peer, "a key with any bytes", i, PROTO_OK);
    for (size_t i = 0; i < N; i++)
        peer_expect_value(&peer, "a key with any bytes", N + i,
                          slice_of("\0\1\2\3\4\5\6", i));
    peer_expect(&peer, "a key that begins like others", 2 * N,
                PROTO_NOT_FOUND);
    peer_expect(&peer, "a key that begins like others", 2 * N + 1,
                PROTO_NOT_FOUND);
    peer_close(&peer);
    buf_release(&frames);
    rig_leave(&rig);
}

const struct test_case server_bytes_cases[] = {
    { "half_frames", half_frames, 1 },
    { "split_everywhere", split_everywhere, 1 },
    { "byte_by_byte", byte_by_byte, 4 },
    { "half_close", half_close, 200 },
    { "wrong_frames", wrong_frames, 1 },
    { "claimed_lengths", claimed_lengths, 1 },
    { "too_big", too_big, PROTO_VALUE_MAX },
    { "random_frames", random_frames, 1000 },
    { "pipelined", pipelined, 1000 },
    { "any_bytes", any_bytes, 1 },
    { NULL, NULL, 0 }
};
