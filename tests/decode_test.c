/* decode_test.c -- the cases of task 2.9.
 *
 * Given.
 *
 * What is decoded lies at the very end of a page, before one that cannot be
 * read: a byte read too far ends the case.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "stage2-server/proto.h"
#include "tests/driver.h"

enum { FAR = 32 * 1024 * 1024 };

/* ---- bytes at the edge --------------------------------------------------- */

/* Memory whose last byte is followed by nothing. Made once, kept. */
static unsigned char *edge(void)
{
    static unsigned char *end;
    size_t page = (size_t)sysconf(_SC_PAGESIZE);

    if (!end) {
        unsigned char *start = mmap(NULL, FAR + page, PROT_READ | PROT_WRITE,
                                    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

        expect_true("memory for the test", start != MAP_FAILED);
        expect_int("mprotect", mprotect(start + FAR, page, PROT_NONE), 0);
        end = start + FAR;
    }
    return end;
}

static ssize_t decode(const void *bytes, size_t len, struct proto_request *out)
{
    unsigned char *at = edge() - len;

    if (len > 0)
        memcpy(at, bytes, len);
    memset(out, 0xee, sizeof *out);
    return proto_decode(slice_of(at, len), out);
}

static void set32(struct buf *frame, size_t at, uint32_t n)
{
    for (int i = 0; i < 4; i++)
        frame->ptr[at + (size_t)i] = (unsigned char)(n >> 8 * i);
}

static struct buf frame_of(enum proto_op op, uint64_t id, const char *key,
                           const char *value)
{
    struct proto_request request = { .op = op, .id = id,
                                     .key = slice_str(key),
                                     .value = slice_str(value) };
    struct buf frame = { 0 };

    expect_int("memory for the test", proto_put_request(&frame, &request), 0);
    return frame;
}

/* GET, SET, REMOVE. */
static struct buf a_batch(uint64_t id)
{
    struct buf frame = { 0 };
    size_t start;
    int err = proto_begin_batch(&frame, id, &start);

    err |= proto_add_item(&frame, PROTO_GET, slice_str("one"), slice_str(""));
    err |= proto_add_item(&frame, PROTO_SET, slice_str("two"),
                          slice_str("deux"));
    err |= proto_add_item(&frame, PROTO_REMOVE, slice_str("three"),
                          slice_str(""));
    expect_int("memory for the test", err, 0);
    proto_end_batch(&frame, start, 3);
    return frame;
}

static void expect_slice(const char *tried, struct slice got,
                         const char *wanted)
{
    if (!slice_equal(got, slice_str(wanted)))
        fail_case(__FILE__, __LINE__, tried, wanted, "%zu bytes: %.*s",
                  got.len, (int)(got.len < 60 ? got.len : 60),
                  (const char *)got.ptr);
}

/* ---- whole frames -------------------------------------------------------- */

static void each_op(const struct run *run)
{
    static const struct {
        enum proto_op op;
        const char *key, *value;
    } asked[] = {
        { PROTO_PING, "", "" }, { PROTO_GET, "k", "" },
        { PROTO_SET, "key", "value" }, { PROTO_SET, "key", "" },
        { PROTO_REMOVE, "gone", "" }, { PROTO_STATS, "", "" },
    };
    struct proto_request got;

    (void)run;
    for (unsigned i = 0; i < sizeof asked / sizeof *asked; i++) {
        uint64_t id = 0x1122334455667788u + i;
        struct buf frame = frame_of(asked[i].op, id, asked[i].key,
                                    asked[i].value);

        expect_int("a whole frame", decode(frame.ptr, frame.len, &got),
                   frame.len);
        expect_int("its opcode", got.op, asked[i].op);
        expect_int("its id", got.id, id);
        expect_slice("its key", got.key, asked[i].key);
        expect_slice("its value", got.value, asked[i].value);
        buf_release(&frame);
    }
}

static void batch(const struct run *run)
{
    struct buf frame = a_batch(9);
    struct proto_request got, item;

    (void)run;
    expect_int("a whole batch", decode(frame.ptr, frame.len, &got), frame.len);
    expect_int("its opcode", got.op, PROTO_BATCH);
    expect_int("its id", got.id, 9);
    expect_int("its count", got.batch_count, 3);
    expect_true("an item", proto_next(&got.batch, &item));
    expect_int("the first one's opcode", item.op, PROTO_GET);
    expect_slice("the first one's key", item.key, "one");
    expect_true("an item", proto_next(&got.batch, &item));
    expect_int("the second one's opcode", item.op, PROTO_SET);
    expect_slice("the second one's value", item.value, "deux");
    expect_true("an item", proto_next(&got.batch, &item));
    expect_slice("the third one's key", item.key, "three");
    expect_true("no further item", !proto_next(&got.batch, &item));
    buf_release(&frame);
}

/* Any bytes may follow a frame, and any bytes are a key or a value. */
static void binary(const struct run *run)
{
    static const unsigned char bytes[] = { 0, 1, 0xff, 0, 0xb7, '\n', 0 };
    struct proto_request request = {
        .op = PROTO_SET, .key = slice_of(bytes, sizeof bytes),
        .value = slice_of(bytes + 1, sizeof bytes - 1),
    }, got;
    struct buf frame = { 0 };

    (void)run;
    expect_int("memory for the test", proto_put_request(&frame, &request), 0);
    size_t len = frame.len;
    for (unsigned more = 0; more < 40; more++) {
        expect_int("a frame with others behind it",
                   decode(frame.ptr, frame.len, &got), len);
        expect_true("its key", slice_equal(got.key, request.key));
        expect_true("its value", slice_equal(got.value, request.value));
        expect_int("memory", buf_append(&frame, &(char){ (char)more }, 1), 0);
    }
    buf_release(&frame);
}

/* ---- in pieces ----------------------------------------------------------- */

static void expect_pieces(struct buf *frame)
{
    struct proto_request got;

    for (size_t len = 0; len < frame->len; len++)
        expect_int("the beginning of a frame", decode(frame->ptr, len, &got),
                   0);
    expect_int("the whole frame", decode(frame->ptr, frame->len, &got),
               frame->len);
    buf_release(frame);
}

static void split_anywhere(const struct run *run)
{
    struct buf frames[] = {
        frame_of(PROTO_PING, 1, "", ""), frame_of(PROTO_STATS, 2, "", ""),
        frame_of(PROTO_GET, UINT64_MAX, "a key", ""),
        frame_of(PROTO_SET, 4, "a key", "and a value"),
        frame_of(PROTO_SET, 4, "k", ""), frame_of(PROTO_REMOVE, 5, "k", ""),
        a_batch(6),
    };

    (void)run;
    for (unsigned i = 0; i < sizeof frames / sizeof *frames; i++)
        expect_pieces(&frames[i]);
}

/* ---- lengths ------------------------------------------------------------- */

/* What a header that claims a body of `len` bytes is answered when none of
 * them has come. */
static ssize_t claim(enum proto_op op, uint32_t len, struct proto_request *got)
{
    struct buf frame = frame_of(PROTO_PING, 77, "", "");

    frame.ptr[2] = (unsigned char)op;
    set32(&frame, 4, len);
    ssize_t n = decode(frame.ptr, frame.len, got);
    if (n != 0) {
        expect_int("the id of a frame whose header is there", got->id, 77);
        expect_int("the opcode of a frame whose header is there", got->op,
                   op);
    }
    buf_release(&frame);
    return n;
}

static void claimed_lengths(const struct run *run)
{
    static const uint32_t huge[] = { PROTO_BODY_MAX + 1u, 0x7fffffff,
                                     0x80000000, 0xffffffff };
    static const enum proto_op with_body[] = { PROTO_GET, PROTO_SET,
                                               PROTO_REMOVE, PROTO_BATCH };
    struct proto_request got;

    (void)run;
    for (unsigned i = 0; i < 4; i++) {
        enum proto_op op = with_body[i];

        expect_int("a body of the largest size is claimed",
                   claim(op, PROTO_BODY_MAX, &got), 0);
        expect_int("no body is claimed", claim(op, 0, &got), -EPROTO);
        expect_int("a body of 3 bytes is claimed", claim(op, 3, &got),
                   -EPROTO);
        for (unsigned k = 0; k < 4; k++)
            expect_int("too long a body is claimed", claim(op, huge[k], &got),
                       -EMSGSIZE);
    }
    expect_int("GET without a key is claimed", claim(PROTO_GET, 4, &got),
               -EPROTO);
    expect_int("PING", claim(PROTO_PING, 0, &got), PROTO_HEADER);
    expect_int("PING with a body", claim(PROTO_PING, 1, &got), -EPROTO);
    expect_int("STATS with a body", claim(PROTO_STATS, 1, &got), -EPROTO);
}

static void key_lengths(const struct run *run)
{
    static const uint32_t wrong[] = { 0, 6, 0x7fffffff, 0x80000000,
                                      0xfffffffb, 0xffffffff };
    struct proto_request got;

    (void)run;
    for (unsigned op = PROTO_GET; op <= PROTO_REMOVE; op++) {
        struct buf frame = frame_of(op, 3, "abcde", "");

        expect_int("a key as long as it says",
                   decode(frame.ptr, frame.len, &got), frame.len);
        for (unsigned i = 0; i < sizeof wrong / sizeof *wrong; i++) {
            set32(&frame, PROTO_HEADER, wrong[i]);
            expect_int("a key length of 0, or beyond the frame",
                       decode(frame.ptr, frame.len, &got), -EPROTO);
            expect_int("the frame's id", got.id, 3);
        }
        set32(&frame, PROTO_HEADER, 4);
        expect_int("a key length below the frame's",
                   decode(frame.ptr, frame.len, &got),
                   op == PROTO_SET ? (ssize_t)frame.len : -EPROTO);
        buf_release(&frame);
    }
}

/* Longer than a store takes, but a frame all the same: the server's affair. */
static void too_long_for_a_store(const struct run *run)
{
    size_t lens[][2] = { { PROTO_KEY_MAX + 1, 0 },
                         { 1, PROTO_VALUE_MAX + 1 } };
    char *bytes = calloc(1, PROTO_VALUE_MAX + 1);
    struct proto_request got;

    (void)run;
    for (int i = 0; i < 2; i++) {
        struct proto_request request = {
            .op = PROTO_SET, .key = slice_of(bytes, lens[i][0]),
            .value = slice_of(bytes, lens[i][1]),
        };
        struct buf frame = { 0 };

        expect_int("memory for the test",
                   proto_put_request(&frame, &request), 0);
        expect_int("a key or value above its limit, in a frame",
                   decode(frame.ptr, frame.len, &got), frame.len);
        expect_int("its key's length", got.key.len, lens[i][0]);
        expect_int("its value's length", got.value.len, lens[i][1]);
        buf_release(&frame);
    }
    free(bytes);
}

/* ---- wrong bytes --------------------------------------------------------- */

/* A header is judged byte by byte: as soon as the wrong one is there. */
static void header_bytes(const struct run *run)
{
    struct buf frame = frame_of(PROTO_SET, 0xabcdef, "key", "value");
    struct proto_request got;

    (void)run;
    expect_int("the frame as it is", decode(frame.ptr, frame.len, &got),
               frame.len);
    for (size_t at = 0; at < 4; at++) {
        unsigned char right = frame.ptr[at];

        for (int wrong = 0; wrong < 256; wrong++) {
            bool fine = at == 2 ? wrong >= 1 && wrong <= 6 : wrong == right;

            if (fine)
                continue;
            frame.ptr[at] = (unsigned char)wrong;
            expect_int("a header with a wrong byte in it",
                       decode(frame.ptr, at + 1, &got), -EPROTO);
            expect_int("the same, whole", decode(frame.ptr, frame.len, &got),
                       -EPROTO);
            expect_int("its id", got.id, 0xabcdef);
        }
        frame.ptr[at] = right;
        expect_int("the header so far", decode(frame.ptr, at + 1, &got), 0);
    }
    buf_release(&frame);
}

/* Changes four bytes of a sound batch, and decodes it. */
static ssize_t bent(size_t at, uint32_t n)
{
    struct buf frame = a_batch(5);
    struct proto_request got;

    set32(&frame, at, n);
    ssize_t len = decode(frame.ptr, frame.len, &got);
    buf_release(&frame);
    return len;
}

static void batch_items(const struct run *run)
{
    enum { COUNT = PROTO_HEADER, FIRST = COUNT + 4, SECOND = FIRST + 12 + 3 };
    static const uint32_t counts[] = { 0, 2, 4, PROTO_BATCH_MAX,
                                       PROTO_BATCH_MAX + 1, 0xffffffff };
    static const uint32_t lens[] = { 0, 4, 100, 0x7fffffff, 0xfffffff0,
                                     0xffffffff };
    static const uint32_t ops[] = { 0, PROTO_PING, PROTO_STATS, PROTO_BATCH,
                                    7, 0x102, 0x1000002 };

    (void)run;
    expect_true("the batch as it is", bent(COUNT, 3) > 0);
    for (unsigned i = 0; i < 6; i++)
        expect_int("a wrong count", bent(COUNT, counts[i]), -EPROTO);
    for (unsigned i = 0; i < 6; i++)
        expect_int("a wrong key length", bent(FIRST + 4, lens[i]), -EPROTO);
    for (unsigned i = 1; i < 6; i++)
        if (lens[i] != 4)
            expect_int("a wrong value length", bent(SECOND + 8, lens[i]),
                       -EPROTO);
    expect_int("a value for a GET", bent(FIRST + 8, 1), -EPROTO);
    for (unsigned i = 0; i < 7; i++)
        expect_int("an opcode that no item has", bent(FIRST, ops[i]),
                   -EPROTO);
}

static void batch_counts(const struct run *run)
{
    static const uint32_t counts[] = { 0, 1, PROTO_BATCH_MAX,
                                       PROTO_BATCH_MAX + 1 };

    (void)run;
    for (int i = 0; i < 4; i++) {
        struct buf frame = { 0 };
        struct proto_request got;
        size_t start;
        int err = proto_begin_batch(&frame, 1, &start);

        for (uint32_t n = counts[i]; n > 0; n--)
            err |= proto_add_item(&frame, PROTO_GET, slice_str("k"),
                                  slice_str(""));
        proto_end_batch(&frame, start, counts[i]);
        expect_int("memory for the test", err, 0);
        expect_int("a batch of 0, of 1, of the most, of one more",
                   decode(frame.ptr, frame.len, &got),
                   i < 3 ? (ssize_t)frame.len : -EPROTO);
        if (i < 3)
            expect_int("its count", got.batch_count, counts[i]);
        buf_release(&frame);
    }
}

/* ---- against a model ----------------------------------------------------- */

static uint32_t model32(const unsigned char *at)
{
    uint32_t n;

    memcpy(&n, at, 4);          /* the machine is little-endian */
    return n;
}

/* What a frame that is all there is, by the header's words. */
static bool sound_batch(const unsigned char *at, uint64_t left)
{
    uint64_t count = model32(at);

    at += 4;
    left -= 4;
    for (uint64_t i = 0; i < count && count <= PROTO_BATCH_MAX; i++) {
        if (left < 12)
            return false;
        uint64_t op = model32(at), key = model32(at + 4);
        uint64_t value = model32(at + 8);

        if (op < PROTO_GET || op > PROTO_REMOVE || key == 0
            || (op != PROTO_SET && value > 0) || 12 + key + value > left)
            return false;
        at += 12 + key + value;
        left -= 12 + key + value;
    }
    return count <= PROTO_BATCH_MAX && left == 0;
}

static ssize_t model(const unsigned char *at, uint64_t len)
{
    if ((len > 0 && at[0] != PROTO_MAGIC) || (len > 1 && at[1] != 1)
        || (len > 2 && (at[2] < 1 || at[2] > 6)) || (len > 3 && at[3] != 0))
        return -EPROTO;
    if (len < 16)
        return 0;
    uint64_t body = model32(at + 4);
    bool none = at[2] == PROTO_PING || at[2] == PROTO_STATS;
    if (body > PROTO_BODY_MAX)
        return -EMSGSIZE;
    if (none ? body > 0 : body < (at[2] == PROTO_BATCH ? 4 : 5))
        return -EPROTO;
    if (len < 16 + body)
        return 0;
    at += 16;
    if (!none && at[-14] == PROTO_BATCH && !sound_batch(at, body))
        return -EPROTO;
    if (!none && at[-14] != PROTO_BATCH) {
        uint64_t key = model32(at);
        if (key == 0 || 4 + key > body
            || (at[-14] != PROTO_SET && 4 + key != body))
            return -EPROTO;
    }
    return (ssize_t)(16 + body);
}

static size_t below(uint64_t *random, size_t n)
{
    return (size_t)(next_random(random) % n);
}

/* Something like a frame, then some bytes changed, and cut. */
static void draw(uint64_t *random, struct buf *frame)
{
    static const uint32_t odd[] = { 0, 1, 4, 12, 0x7fffffff, 0x80000000,
                                    0xffffffff, PROTO_BODY_MAX };
    struct proto_request request = {
        .op = 1 + below(random, 5), .id = next_random(random),
        .key = slice_of("0123456789", 1 + below(random, 10)),
        .value = slice_of("abcdefghij", below(random, 10)),
    };

    buf_release(frame);
    if (below(random, 3) == 0)
        *frame = a_batch(request.id);
    else if (proto_put_request(frame, &request) != 0)
        abort();
    for (size_t n = below(random, 3); n > 0; n--) {
        size_t at = below(random, frame->len);

        if (below(random, 2) == 0 && at + 4 <= frame->len)
            set32(frame, at, odd[below(random, 8)]);
        else
            frame->ptr[at] = (unsigned char)below(random, 20);
    }
    if (below(random, 4) == 0)
        frame->len = below(random, frame->len + 1);
}

static void random_frames(const struct run *run)
{
    uint64_t random = run->seed;
    struct buf frame = { 0 };
    struct proto_request got;
    size_t whole = 0;

    for (size_t i = 0; i < run->size; i++) {
        draw(&random, &frame);
        ssize_t want = model(frame.ptr, frame.len);
        ssize_t n = decode(frame.ptr, frame.len, &got);

        /* Bad bytes in a body may be noticed before all of it is there. */
        bool early = want == 0 && n == -EPROTO && frame.len > PROTO_HEADER;
        bool either = want == -EMSGSIZE && n == -EPROTO;
        if (!early && !either)
            expect_int("a frame with some bytes changed", n, want);
        if (frame.len >= PROTO_HEADER && n != 0)
            expect_true("its id", memcmp(&got.id, frame.ptr + 8, 8) == 0);
        whole += want > 0;
    }
    expect_true("some of the frames are whole", whole > 0);
    buf_release(&frame);
}

static const struct test_case cases[] = {
    { "each_op", each_op, 1 },
    { "batch", batch, 1 },
    { "binary", binary, 1 },
    { "split_anywhere", split_anywhere, 1 },
    { "claimed_lengths", claimed_lengths, 1 },
    { "key_lengths", key_lengths, 1 },
    { "too_long_for_a_store", too_long_for_a_store, 1 },
    { "header_bytes", header_bytes, 1 },
    { "batch_items", batch_items, 1 },
    { "batch_counts", batch_counts, 1 },
    { "random_frames", random_frames, 200000 },
    { NULL, NULL, 0 },
};

int main(int argc, char **argv)
{
    return driver_main(argc, argv, cases);
}
