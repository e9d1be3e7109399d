/* proto_test.c -- the cases of proto.c: making frames, taking replies apart.
 *
 * Given.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "stage2-server/proto.h"
#include "tests/driver.h"

static void expect_bytes(const char *tried, const struct buf *got,
                         const void *wanted, size_t len)
{
    expect_int(tried, got->len, len);
    expect_int(tried, memcmp(got->ptr, wanted, len), 0);
}

/* The layout, byte by byte, as proto.h has it. */
static void layout(const struct run *run)
{
    static const unsigned char set[] = {
        0xb7, 1, 3, 0, 10, 0, 0, 0, 8, 7, 6, 5, 4, 3, 2, 1,
        3, 0, 0, 0, 'k', 0, 'y', 'v', 'a', 'l'
    }, reply[] = {
        0xb7, 1, 2, 0, 3, 0, 0, 0, 8, 7, 6, 5, 4, 3, 2, 1, 'v', 'a', 'l'
    }, batch[] = {
        0xb7, 1, 6, 0, 18, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0,
        3, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 'k', 'v'
    };
    struct proto_request request = {
        .op = PROTO_SET, .id = 0x0102030405060708,
        .key = slice_of("k\0y", 3), .value = slice_str("val"),
    };
    struct proto_reply answer = {
        .op = PROTO_GET, .id = 0x0102030405060708, .value = slice_str("val"),
    };
    struct buf frame = { 0 };
    size_t start;

    (void)run;
    expect_int("put_request", proto_put_request(&frame, &request), 0);
    expect_bytes("a SET", &frame, set, sizeof set);
    buf_clear(&frame);
    expect_int("put_reply", proto_put_reply(&frame, &answer), 0);
    expect_bytes("a GET's reply", &frame, reply, sizeof reply);
    buf_clear(&frame);
    expect_int("begin_batch", proto_begin_batch(&frame, 9, &start), 0);
    expect_int("add_item", proto_add_item(&frame, PROTO_SET, slice_str("k"),
                                          slice_str("v")), 0);
    proto_end_batch(&frame, start, 1);
    expect_bytes("a BATCH", &frame, batch, sizeof batch);
    buf_release(&frame);
}

/* Every beginning of a reply is one, and no byte behind it matters. */
static void expect_whole(struct buf *frame, const struct proto_reply *wanted)
{
    struct proto_reply got;
    size_t len = frame->len;

    for (size_t n = 0; n < len; n++)
        expect_int("the beginning of a reply",
                   proto_decode_reply(slice_of(frame->ptr, n), &got), 0);
    expect_int("memory", buf_append(frame, "\x77", 1), 0);
    expect_int("a whole reply", proto_decode_reply(buf_slice(frame), &got),
               len);
    expect_int("its opcode", got.op, wanted->op);
    expect_int("its status", got.status, wanted->status);
    expect_true("its id", got.id == wanted->id);
    expect_true("its value", slice_equal(got.value, wanted->value));
    buf_clear(frame);
}

static void replies(const struct run *run)
{
    static const struct proto_reply all[] = {
        { .op = PROTO_PING, .id = 1 },
        { .op = PROTO_GET, .id = UINT64_MAX, .value = { "value", 5 } },
        { .op = PROTO_GET, .id = 3 },
        { .op = PROTO_GET, .id = 4, .status = PROTO_NOT_FOUND },
        { .op = PROTO_SET, .id = 5, .status = PROTO_NO_SPACE },
        { .op = PROTO_STATS, .id = 6, .value = { "keys 1\n", 7 } },
        { .op = 0, .id = 0, .status = PROTO_BUSY },
        { .op = 0x77, .id = 7, .status = PROTO_BAD_FRAME },
    };
    struct buf frame = { 0 };
    size_t start;

    (void)run;
    for (unsigned i = 0; i < sizeof all / sizeof *all; i++) {
        expect_int("put_reply", proto_put_reply(&frame, &all[i]), 0);
        expect_whole(&frame, &all[i]);
        expect_int("begin_reply", proto_begin_reply(&frame, all[i].op,
                                                    all[i].id, &start), 0);
        expect_int("memory", buf_append_slice(&frame, all[i].value), 0);
        proto_end_reply(&frame, start, all[i].status);
        expect_whole(&frame, &all[i]);
    }
    buf_release(&frame);
}

/* What end_reply is told is no success has no value, whatever was appended. */
static void value_dropped(const struct run *run)
{
    struct proto_reply wanted = { .op = PROTO_GET, .id = 3,
                                  .status = PROTO_CORRUPT };
    struct buf frame = { 0 };
    size_t start;

    (void)run;
    expect_int("begin_reply", proto_begin_reply(&frame, PROTO_GET, 3, &start),
               0);
    expect_int("memory", buf_append(&frame, "half a value", 12), 0);
    proto_end_reply(&frame, start, PROTO_CORRUPT);
    expect_whole(&frame, &wanted);
    buf_release(&frame);
}

static void batch_reply(const struct run *run)
{
    static const unsigned char three[4] = { 3 };
    struct slice value, wanted[3] = { { "one", 3 }, { "", 0 }, { "", 0 } };
    struct buf frame = { 0 };
    struct proto_reply got;
    enum proto_status status;
    size_t start;

    (void)run;
    expect_int("begin_reply", proto_begin_reply(&frame, PROTO_BATCH, 3,
                                                &start), 0);
    expect_int("memory", buf_append(&frame, three, 4), 0);
    for (unsigned i = 0; i < 3; i++)
        expect_int("add_reply_item", proto_add_reply_item(&frame, i,
                                                          wanted[i]), 0);
    proto_end_reply(&frame, start, PROTO_OK);
    expect_int("a batch's reply", proto_decode_reply(buf_slice(&frame), &got),
               frame.len);
    expect_int("its count", got.batch_count, 3);
    for (unsigned i = 0; i < 3; i++) {
        expect_true("an item", proto_next_reply(&got.value, &status, &value));
        expect_int("its status", status, i);
        expect_true("its value", slice_equal(value, wanted[i]));
    }
    expect_true("no more", !proto_next_reply(&got.value, &status, &value));
    for (size_t at = PROTO_HEADER; at < PROTO_HEADER + 12; at++) {
        frame.ptr[at] ^= 0x40;
        expect_int("a batch's reply with a wrong count, status or length",
                   proto_decode_reply(buf_slice(&frame), &got), -EPROTO);
        frame.ptr[at] ^= 0x40;
    }
    buf_release(&frame);
}

static void bad_replies(const struct run *run)
{
    static const struct {
        size_t at;
        unsigned char byte;
        int wanted;
    } bad[] = {
        { 0, 0xb6, -EPROTO }, { 1, 2, -EPROTO }, { 2, 0, -EPROTO },
        { 2, 7, -EPROTO }, { 3, PROTO_STOPPING + 1, -EPROTO },
        { 3, PROTO_NOT_FOUND, -EPROTO },    /* with a value */
        { 7, 0x7f, -EMSGSIZE },
    };
    struct proto_reply reply = { .op = PROTO_GET, .id = 1,
                                 .value = slice_str("v") }, got;
    struct buf frame = { 0 };

    (void)run;
    expect_int("put_reply", proto_put_reply(&frame, &reply), 0);
    expect_int("the reply as it is",
               proto_decode_reply(buf_slice(&frame), &got), frame.len);
    for (unsigned i = 0; i < sizeof bad / sizeof *bad; i++) {
        unsigned char right = frame.ptr[bad[i].at];

        frame.ptr[bad[i].at] = bad[i].byte;
        expect_int("a reply with a wrong byte",
                   proto_decode_reply(buf_slice(&frame), &got),
                   bad[i].wanted);
        frame.ptr[bad[i].at] = right;
    }
    buf_release(&frame);
}

/* Too long for a frame: nothing is appended. */
static void too_long(const struct run *run)
{
    struct proto_request request = { .op = PROTO_SET, .key = { "k", 1 },
                                     .value = { "", PROTO_BODY_MAX } };
    struct proto_reply reply = { .op = PROTO_GET,
                                 .value = { "", (size_t)PROTO_BODY_MAX + 1 } };
    struct buf frame = { 0 };

    (void)run;
    expect_int("memory", buf_append(&frame, "x", 1), 0);
    expect_int("put_request, beyond the limit",
               proto_put_request(&frame, &request), -EMSGSIZE);
    expect_int("put_reply, beyond the limit",
               proto_put_reply(&frame, &reply), -EMSGSIZE);
    expect_int("what was there before is all there is", frame.len, 1);
    buf_release(&frame);
}

static void statuses(const struct run *run)
{
    static const int own[] = { 0, -ENOENT, -EMSGSIZE, -EBUSY, -EPROTO,
                               -ENOSPC, -EROFS, -EBADMSG, -EREMOTEIO,
                               -ECANCELED };

    (void)run;
    for (unsigned i = 0; i < sizeof own / sizeof *own; i++) {
        expect_int("status_of", proto_status_of(own[i]), i);
        expect_int("status_error", proto_status_error(i), own[i]);
        expect_true("status_text", proto_status_text(i)[0] != '?');
    }
    expect_int("status_of -ENOMEM", proto_status_of(-ENOMEM), PROTO_BUSY);
    expect_int("status_of -EAGAIN", proto_status_of(-EAGAIN), PROTO_NO_SPACE);
    expect_int("status_of -EIO", proto_status_of(-EIO), PROTO_FAILED);
    expect_int("status_of -EINVAL", proto_status_of(-EINVAL), PROTO_FAILED);
}

static const struct test_case cases[] = {
    { "layout", layout, 1 },
    { "replies", replies, 1 },
    { "value_dropped", value_dropped, 1 },
    { "batch_reply", batch_reply, 1 },
    { "bad_replies", bad_replies, 1 },
    { "too_long", too_long, 1 },
    { "statuses", statuses, 1 },
    { NULL, NULL, 0 },
};

int main(int argc, char **argv)
{
    return driver_main(argc, argv, cases);
}
