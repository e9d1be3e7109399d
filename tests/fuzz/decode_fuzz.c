/* decode_fuzz.c -- given. Whatever bytes come, a frame is taken apart right.
 *
 * Each input is taken three times: as what a stranger sent to the server; as
 * what a server sent to a client; and as a script from which right frames
 * are made, which must be understood, and then damaged.
 *
 * What is looked at ends where a page begins that nobody may touch, so a
 * read behind the end is seen without any tool.
 */
#include "tests/fuzz/edge.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "common/buf.h"
#include "stage2-server/proto.h"

enum { SHORT = 40, FRAMES = 4 };

/* ---- an answer, with offsets for pointers ------------------------------- */

struct part {
    size_t at, len;
};

struct answer {
    ssize_t n;
    unsigned op, status;
    uint64_t id;
    uint32_t count;
    struct part part[3];        /* key, value, batch; or a reply's value */
};

/* Where the slice lies in the frame; an empty one is anywhere. */
static struct part part_of(struct slice slice, const unsigned char *frame,
                           ssize_t n)
{
    const unsigned char *at = slice.ptr;

    if (slice.len == 0)
        return (struct part){ 0, 0 };
    must(at >= frame && slice.len <= (size_t)n
         && (size_t)(at - frame) <= (size_t)n - slice.len);
    return (struct part){ (size_t)(at - frame), slice.len };
}

static bool same_answer(const struct answer *a, const struct answer *b)
{
    bool same = a->n == b->n && a->op == b->op && a->status == b->status
                && a->id == b->id && a->count == b->count;

    for (int i = 0; i < 3; i++)
        same = same && a->part[i].at == b->part[i].at
               && a->part[i].len == b->part[i].len;
    return same;
}

typedef struct answer decode_fn(const unsigned char *bytes, size_t len);

/* ---- requests ----------------------------------------------------------- */

static uint64_t number(const unsigned char *at, int bytes)
{
    uint64_t n = 0;

    while (bytes-- > 0)
        n = n << 8 | at[bytes];
    return n;
}

static bool keyed(unsigned op)
{
    return op == PROTO_GET || op == PROTO_SET || op == PROTO_REMOVE;
}

/* What must be known from the header alone: an error, or 0. */
static int header_error(const unsigned char *at, size_t len)
{
    if ((len >= 1 && at[0] != PROTO_MAGIC)
        || (len >= 2 && at[1] != PROTO_VERSION)
        || (len >= 3 && (at[2] < PROTO_PING || at[2] > PROTO_BATCH))
        || (len >= 4 && at[3] != 0))
        return -EPROTO;
    if (len < PROTO_HEADER)
        return 0;
    uint64_t body = number(at + 4, 4);
    if (body > PROTO_BODY_MAX)
        return -EMSGSIZE;
    if (at[2] == PROTO_PING || at[2] == PROTO_STATS)
        return body == 0 ? 0 : -EPROTO;
    return body >= (keyed(at[2]) ? 5 : 4) ? 0 : -EPROTO;
}

/* The items are `count`, end with the batch, and say the same bytes when
 * they are written again. */
static void check_items(const struct proto_request *batch, struct buf *again)
{
    struct slice left = batch->batch;
    struct proto_request item;
    uint32_t count = 0;
    size_t start;

    must(proto_begin_batch(again, batch->id, &start) == 0);
    while (proto_next(&left, &item)) {
        count++;
        must(keyed(item.op) && item.key.len > 0);
        must(item.value.len == 0 || item.op == PROTO_SET);
        part_of(item.key, batch->batch.ptr, (ssize_t)batch->batch.len);
        part_of(item.value, batch->batch.ptr, (ssize_t)batch->batch.len);
        must(left.len < batch->batch.len);
        must(proto_add_item(again, item.op, item.key, item.value) == 0);
    }
    must(left.len == 0 && count == batch->batch_count
         && count <= PROTO_BATCH_MAX);
    proto_end_batch(again, start, count);
}

static void check_whole(const unsigned char *at, size_t n,
                        const struct proto_request *request)
{
    static struct buf again;

    must(request->op >= PROTO_PING && request->op <= PROTO_BATCH);
    must(!keyed(request->op) || request->key.len > 0);
    buf_clear(&again);
    must(proto_put_request(&again, request) == 0);
    must(again.len == n && memcmp(again.ptr, at, n) == 0);
    if (request->op != PROTO_BATCH)
        return;
    buf_clear(&again);
    check_items(request, &again);
    must(again.len == n && memcmp(again.ptr, at, n) == 0);
}

static struct answer request_of(const unsigned char *bytes, size_t len)
{
    const unsigned char *at = at_the_edge(bytes, len);
    struct answer answer = { 0 };
    struct proto_request request;
    int wrong = header_error(at, len);

    memset(&request, 0xa5, sizeof request);
    answer.n = proto_decode(slice_of(at, len), &request);
    if (wrong)
        must(answer.n == wrong);
    if (answer.n < 0) {
        must(answer.n == -EPROTO || answer.n == -EMSGSIZE);
        if (len >= PROTO_HEADER)
            must(request.id == number(at + 8, 8));
    } else if (answer.n == 0) {
        must(len < PROTO_HEADER || len - PROTO_HEADER < number(at + 4, 4));
    } else {
        must((size_t)answer.n <= len
             && (size_t)answer.n == PROTO_HEADER + number(at + 4, 4));
        check_whole(at, (size_t)answer.n, &request);
        answer.op = request.op;
        answer.id = request.id;
        if (request.op == PROTO_BATCH) {
            answer.count = request.batch_count;
            answer.part[2] = part_of(request.batch, at, answer.n);
        } else if (keyed(request.op)) {
            answer.part[0] = part_of(request.key, at, answer.n);
            answer.part[1] = part_of(request.value, at, answer.n);
        }
    }
    return answer;
}

/* ---- replies ------------------------------------------------------------ */

static void check_reply_items(const struct proto_reply *reply)
{
    struct slice left = reply->value, value;
    enum proto_status status;
    uint32_t count = 0;

    while (proto_next_reply(&left, &status, &value)) {
        count++;
        must(status <= PROTO_STOPPING);
        part_of(value, reply->value.ptr, (ssize_t)reply->value.len);
        must(left.len < reply->value.len);
    }
    must(left.len == 0 && count == reply->batch_count);
}

static struct answer reply_of(const unsigned char *bytes, size_t len)
{
    static struct buf again;
    const unsigned char *at = at_the_edge(bytes, len);
    struct answer answer = { 0 };
    struct proto_reply reply = { 0 };

    answer.n = proto_decode_reply(slice_of(at, len), &reply);
    if (answer.n <= 0) {
        must(answer.n == 0 || answer.n == -EPROTO || answer.n == -EMSGSIZE);
        return answer;
    }
    must((size_t)answer.n <= len);
    must(reply.status <= PROTO_STOPPING);
    if (reply.op == PROTO_BATCH && reply.status == PROTO_OK)
        check_reply_items(&reply);
    buf_clear(&again);
    must(proto_put_reply(&again, &reply) == 0);
    must(again.len == (size_t)answer.n
         && memcmp(again.ptr, at, again.len) == 0);
    answer.op = reply.op;
    answer.status = reply.status;
    answer.id = reply.id;
    answer.count = reply.batch_count;
    answer.part[0] = part_of(reply.value, at, answer.n);
    return answer;
}

/* ---- the same bytes, coming in pieces ----------------------------------- */

/* What is known of a part is never taken back when the rest comes. */
static void check_prefix(decode_fn *decode, const unsigned char *bytes,
                         size_t len, const struct answer *whole)
{
    struct answer part = decode(bytes, len);

    if (part.n != 0)
        must(part.n > 0 ? same_answer(&part, whole) : part.n == whole->n);
    if (whole->n > 0)
        must(part.n == (len < (size_t)whole->n ? 0 : whole->n));
}

/* Looks at one frame; answers how long it is, 0 when there is none. */
static size_t check_frame(decode_fn *decode, const unsigned char *bytes,
                          size_t len)
{
    struct answer whole = decode(bytes, len);
    size_t near = whole.n > 0 ? (size_t)whole.n : len;
    size_t some[] = { near - 1, near / 2, near / 3, near / 5 * 4 + 1 };

    for (size_t n = 0; n < len && n < SHORT; n++)
        check_prefix(decode, bytes, n, &whole);
    for (size_t i = 0; i < sizeof some / sizeof *some; i++)
        if (some[i] >= SHORT && some[i] < len)
            check_prefix(decode, bytes, some[i], &whole);
    return whole.n > 0 ? (size_t)whole.n : 0;
}

static void check_stream(decode_fn *decode, const unsigned char *bytes,
                         size_t len)
{
    size_t n;

    for (int i = 0; i < FRAMES && len > 0; i++) {
        n = check_frame(decode, bytes, len);
        if (n == 0)
            return;
        bytes += n;
        len -= n;
    }
}

/* ---- frames made by a script -------------------------------------------- */

static unsigned char filling[PROTO_KEY_MAX + 256];

/* Bytes for a key or a value; some of the longest. */
static struct slice some_bytes(struct script *script, size_t least)
{
    size_t len = script_byte(script), from = script_byte(script);

    if (len == 255)
        len = script_byte(script) < 16 ? PROTO_KEY_MAX - 1 + from % 3
                                       : 255 + from;
    return slice_of(filling + from, len < least ? least : len);
}

static void make_frame(struct script *script, struct buf *to)
{
    struct proto_request request = { 0 };
    unsigned how = script_byte(script);
    size_t start;

    request.op = 1 + how % 6;
    request.id = (uint64_t)script_word(script) << how % 48;
    if (request.op == PROTO_BATCH) {
        uint32_t count = script_byte(script) % 8;

        must(proto_begin_batch(to, request.id, &start) == 0);
        for (uint32_t i = 0; i < count; i++) {
            unsigned op = PROTO_GET + script_byte(script) % 3;
            struct slice key = some_bytes(script, 1);
            struct slice value = { NULL, 0 };

            if (op == PROTO_SET)
                value = some_bytes(script, 0);
            must(proto_add_item(to, op, key, value) == 0);
        }
        proto_end_batch(to, start, count);
        return;
    }
    if (keyed(request.op))
        request.key = some_bytes(script, 1);
    if (request.op == PROTO_SET)
        request.value = some_bytes(script, 0);
    must(proto_put_request(to, &request) == 0);
}

/* A batch has so many items at most. */
static void check_many(uint32_t count)
{
    static struct buf frame;
    size_t start;

    buf_clear(&frame);
    must(proto_begin_batch(&frame, count, &start) == 0);
    for (uint32_t i = 0; i < count; i++)
        must(proto_add_item(&frame, PROTO_GET, slice_str("k"),
                            slice_of("", 0)) == 0);
    proto_end_batch(&frame, start, count);
    must(request_of(frame.ptr, frame.len).n
         == (count > PROTO_BATCH_MAX ? -EPROTO : (ssize_t)frame.len));
}

static void check_script(struct script script)
{
    static struct buf frames;
    unsigned count = script_byte(&script);
    size_t at = 0, n;

    if (count >= 254)
        check_many(PROTO_BATCH_MAX + count - 254);
    buf_clear(&frames);
    for (unsigned i = 0; i <= count % FRAMES && frames.len < INPUT_MAX / 2; i++)
        make_frame(&script, &frames);
    must(frames.len <= INPUT_MAX);
    while (at < frames.len) {           /* what is right is understood */
        n = check_frame(request_of, frames.ptr + at, frames.len - at);
        must(n > 0);
        at += n;
    }
    if (script.left == 0)
        return;
    while (script.left > 0) {
        at = script_word(&script) % frames.len;
        frames.ptr[at % 2 ? at % 64 % frames.len : at] ^=
            (unsigned char)script_byte(&script);
    }
    check_stream(request_of, frames.ptr, frames.len);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    if (len > INPUT_MAX)
        return 0;
    if (filling[1] == 0)
        for (size_t i = 0; i < sizeof filling; i++)
            filling[i] = (unsigned char)(i * 7 + (i >> 8));
    check_stream(request_of, bytes, len);
    check_stream(reply_of, bytes, len);
    check_script((struct script){ bytes, len });
    return 0;
}
