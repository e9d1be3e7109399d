/* decode.c -- yours: stage 2C, task 2.9. */
/* Approach: a table says what each opcode's body may look like. The checks of
 * bodies get what has come of it and how long it will be, and refuse what can
 * no longer become right; so a frame is judged while it arrives, and when it
 * is whole, the same checks have seen all of it. */
#include <errno.h>

#include "stage2-server/proto.h"

enum { ITEM_HEADER = 12, ITEM_LEAST = ITEM_HEADER + 1, LENGTH = 4 };

/* `have` bytes of a body of `len`. */
struct body {
    const unsigned char *bytes;
    size_t have, len;
};

typedef int check_fn(const struct body *body, struct proto_request *out);

static uint32_t number(const unsigned char *at)
{
    return (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16
           | (uint32_t)at[3] << 24;
}

static int check_empty(const struct body *b, struct proto_request *out)
{
    (void)out;
    return b->len == 0 ? 0 : -EPROTO;
}

/* A key and, in a set, a value behind it. */
static int check_pair(const struct body *b, struct proto_request *out)
{
    if (b->len <= LENGTH)
        return -EPROTO;
    if (b->have < LENGTH)
        return 0;
    size_t key = number(b->bytes), rest = b->len - LENGTH;

    if (key == 0 || key > rest || (out->op != PROTO_SET && key != rest))
        return -EPROTO;
    out->key = slice_of(b->bytes + LENGTH, key);
    out->value = slice_of(b->bytes + LENGTH + key, rest - key);
    return 0;
}

/* An item's header: how long the whole item is, or 0 if it is wrong. */
static size_t item_length(const unsigned char *item)
{
    unsigned op = item[0];
    size_t key = number(item + 4), value = number(item + 8);

    if (op != PROTO_GET && op != PROTO_SET && op != PROTO_REMOVE)
        return 0;
    if (item[1] != 0 || item[2] != 0 || item[3] != 0)
        return 0;
    if (key == 0 || (value > 0 && op != PROTO_SET))
        return 0;
    return ITEM_HEADER + key + value;
}

static int check_batch(const struct body *b, struct proto_request *out)
{
    if (b->len < LENGTH)
        return -EPROTO;
    if (b->have < LENGTH)
        return 0;
    size_t count = number(b->bytes), left = b->len - LENGTH;

    if (count > PROTO_BATCH_MAX || count * ITEM_LEAST > left)
        return -EPROTO;
    out->batch = slice_of(b->bytes + LENGTH, left);
    out->batch_count = (uint32_t)count;
    for (; count > 0; count--) {
        size_t at = b->len - left;

        if (b->have < at + ITEM_HEADER)
            return 0;           /* not come yet */
        size_t len = item_length(b->bytes + at);
        if (len == 0 || len + (count - 1) * ITEM_LEAST > left)
            return -EPROTO;
        left -= len;
    }
    return left == 0 ? 0 : -EPROTO;
}

static check_fn *const checks[] = {
    [PROTO_PING] = check_empty,
    [PROTO_GET] = check_pair,
    [PROTO_SET] = check_pair,
    [PROTO_REMOVE] = check_pair,
    [PROTO_STATS] = check_empty,
    [PROTO_BATCH] = check_batch,
};

/* The check for this opcode's body; NULL: there is no such opcode. */
static check_fn *check_of(unsigned op)
{
    return op < sizeof checks / sizeof *checks ? checks[op] : NULL;
}

/* The bytes of the header that have come. */
static int check_header(const unsigned char *h, size_t have)
{
    if ((have > 0 && h[0] != PROTO_MAGIC)
        || (have > 1 && h[1] != PROTO_VERSION)
        || (have > 2 && !check_of(h[2]))
        || (have > 3 && h[3] != 0))
        return -EPROTO;
    if (have >= PROTO_HEADER && number(h + 4) > PROTO_BODY_MAX)
        return -EMSGSIZE;
    return 0;
}

ssize_t proto_decode(struct slice bytes, struct proto_request *out)
{
    const unsigned char *h = bytes.ptr;
    struct proto_request found = { 0 };
    struct body body = { 0 };
    int err = check_header(h, bytes.len);

    if (bytes.len > 2)
        found.op = (enum proto_op)h[2];
    if (bytes.len >= PROTO_HEADER) {
        found.id = number(h + 8) | (uint64_t)number(h + 12) << 32;
        body.bytes = h + PROTO_HEADER;
        body.len = number(h + 4);
        body.have = bytes.len - PROTO_HEADER;
        if (body.have > body.len)
            body.have = body.len;
        if (!err)
            err = check_of(h[2])(&body, &found);
    }
    if (err) {
        out->op = found.op;
        out->id = found.id;
        return err;
    }
    if (bytes.len < PROTO_HEADER || body.have < body.len)
        return 0;
    *out = found;
    return (ssize_t)(PROTO_HEADER + body.len);
}
