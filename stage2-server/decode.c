/* decode.c -- yours: stage 2C, task 2.9.
 *
 * A request is looked at in two steps. What the header says can be judged
 * byte by byte as it comes, and is; the body is looked at once it is all
 * there, so that nothing is ever parsed half. A length is only compared
 * with what is left, never added to something first: sums of what a
 * stranger claims overflow.
 */
#include "stage2-server/proto.h"

#include <errno.h>

#include "common/little.h"

static bool has_key(unsigned op)
{
    return op == PROTO_GET || op == PROTO_SET || op == PROTO_REMOVE;
}

static bool is_op(unsigned op)
{
    return op >= PROTO_PING && op <= PROTO_BATCH;
}

/* Whether the first `len` bytes, at most a header's first four, may begin a
 * request. */
static bool may_begin(const unsigned char *at, size_t len)
{
    return (len < 1 || at[0] == PROTO_MAGIC)
           && (len < 2 || at[1] == PROTO_VERSION)
           && (len < 3 || is_op(at[2]))
           && (len < 4 || at[3] == 0);
}

/* Whether a body of an operation can be so long. */
static int check_length(unsigned op, size_t len)
{
    if (len > PROTO_BODY_MAX)
        return -EMSGSIZE;
    if (op == PROTO_PING || op == PROTO_STATS)
        return len == 0 ? 0 : -EPROTO;
    return len >= (has_key(op) ? 5 : 4) ? 0 : -EPROTO;
}

static int parse_key(struct slice body, struct proto_request *out)
{
    const unsigned char *at = body.ptr;
    size_t key = little_get32(at), left = body.len - 4;

    if (key == 0 || key > left || (out->op != PROTO_SET && key != left))
        return -EPROTO;
    out->key = slice_of(at + 4, key);
    out->value = slice_of(at + 4 + key, left - key);
    return 0;
}

/* How long the item at the start of `left` bytes is; 0: it is none. */
static size_t item_length(const unsigned char *at, size_t left)
{
    if (left < 12 || little_get32(at) != at[0] || !has_key(at[0]))
        return 0;
    size_t key = little_get32(at + 4), value = little_get32(at + 8);
    left -= 12;
    if (key == 0 || key > left || value > left - key
        || (value > 0 && at[0] != PROTO_SET))
        return 0;
    return 12 + key + value;
}

static int parse_batch(struct slice body, struct proto_request *out)
{
    const unsigned char *at = body.ptr;
    size_t left = body.len - 4;
    uint32_t count = little_get32(at);

    if (count > PROTO_BATCH_MAX)
        return -EPROTO;
    out->batch = slice_of(at + 4, left);
    out->batch_count = count;
    at += 4;
    for (; count > 0; count--) {
        size_t len = item_length(at, left);
        if (len == 0)
            return -EPROTO;
        at += len;
        left -= len;
    }
    return left == 0 ? 0 : -EPROTO;
}

ssize_t proto_decode(struct slice bytes, struct proto_request *out)
{
    const unsigned char *at = bytes.ptr;
    int err = 0;

    *out = (struct proto_request){ 0 };
    if (bytes.len > 2)
        out->op = at[2];
    if (bytes.len >= PROTO_HEADER)
        out->id = little_get64(at + 8);
    if (!may_begin(at, bytes.len))
        return -EPROTO;
    if (bytes.len < PROTO_HEADER)
        return 0;
    size_t len = little_get32(at + 4);
    err = check_length(out->op, len);
    if (err)
        return err;
    if (bytes.len - PROTO_HEADER < len)
        return 0;
    struct slice body = slice_of(at + PROTO_HEADER, len);
    if (has_key(out->op))
        err = parse_key(body, out);
    else if (out->op == PROTO_BATCH)
        err = parse_batch(body, out);
    return err ? err : (ssize_t)(PROTO_HEADER + len);
}
