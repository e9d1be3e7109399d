/* proto.c -- given. */
#include "stage2-server/proto.h"

#include <errno.h>
#include <string.h>

#include "common/little.h"
#include "stage2-server/proto_resp.h"

enum { LENGTH_AT = 4, STATUS_AT = 3, ID_AT = 8 };
enum { ITEM = 12, REPLY_ITEM = 8 };     /* what stands before an item's bytes */

/* ---- making frames ------------------------------------------------------ */

/* Room for a header and `more` bytes; the header is in, its length 0. */
static int begin_frame(struct buf *to, unsigned op, unsigned status,
                       uint64_t id, size_t more)
{
    int err = buf_reserve(to, PROTO_HEADER + more);
    unsigned char *at = to->ptr + to->len;

    if (err)
        return err;
    at[0] = PROTO_MAGIC;
    at[1] = PROTO_VERSION;
    at[2] = (unsigned char)op;
    at[STATUS_AT] = (unsigned char)status;
    little_put32(at + LENGTH_AT, 0);
    little_put32(at + ID_AT, (uint32_t)id);
    little_put32(at + ID_AT + 4, (uint32_t)(id >> 32));
    to->len += PROTO_HEADER;
    return 0;
}

/* For what has room already. */
static void add(struct buf *to, const void *from, size_t len)
{
    if (len > 0)
        memcpy(to->ptr + to->len, from, len);
    to->len += len;
}

static void add32(struct buf *to, uint32_t n)
{
    little_put32(to->ptr + to->len, n);
    to->len += 4;
}

static void set_length(struct buf *frame, size_t start)
{
    little_put32(frame->ptr + start + LENGTH_AT,
          (uint32_t)(frame->len - start - PROTO_HEADER));
}

int proto_put_request(struct buf *to, const struct proto_request *request)
{
    bool key = request->op == PROTO_GET || request->op == PROTO_SET
               || request->op == PROTO_REMOVE;
    bool batch = request->op == PROTO_BATCH;
    size_t value = request->op == PROTO_SET ? request->value.len : 0;
    size_t body = (key ? 4 + request->key.len + value : 0)
                  + (batch ? 4 + request->batch.len : 0);
    size_t start = to->len;

    if (body > PROTO_BODY_MAX)
        return -EMSGSIZE;
    int err = begin_frame(to, request->op, 0, request->id, body);
    if (err)
        return err;
    if (key) {
        add32(to, (uint32_t)request->key.len);
        add(to, request->key.ptr, request->key.len);
        add(to, request->value.ptr, value);
    } else if (batch) {
        add32(to, request->batch_count);
        add(to, request->batch.ptr, request->batch.len);
    }
    set_length(to, start);
    return 0;
}

int proto_begin_batch(struct buf *to, uint64_t id, size_t *start)
{
    size_t at = to->len;
    int err = begin_frame(to, PROTO_BATCH, 0, id, 4);

    if (err)
        return err;
    add32(to, 0);
    *start = at;
    return 0;
}

int proto_add_item(struct buf *to, enum proto_op op, struct slice key,
                   struct slice value)
{
    size_t len = op == PROTO_SET ? value.len : 0;

    if (key.len > PROTO_BODY_MAX || len > PROTO_BODY_MAX)
        return -EMSGSIZE;
    int err = buf_reserve(to, ITEM + key.len + len);
    if (err)
        return err;
    add32(to, op);
    add32(to, (uint32_t)key.len);
    add32(to, (uint32_t)len);
    add(to, key.ptr, key.len);
    add(to, value.ptr, len);
    return 0;
}

void proto_end_batch(struct buf *to, size_t start, uint32_t count)
{
    little_put32(to->ptr + start + PROTO_HEADER, count);
    set_length(to, start);
}

int proto_put_reply(struct buf *to, const struct proto_reply *reply)
{
    bool batch = reply->op == PROTO_BATCH && reply->status == PROTO_OK;
    size_t start = to->len;

    if (reply->value.len > PROTO_BODY_MAX - 4)
        return -EMSGSIZE;
    int err = begin_frame(to, reply->op, reply->status, reply->id,
                          4 + reply->value.len);
    if (err)
        return err;
    if (batch)
        add32(to, reply->batch_count);
    add(to, reply->value.ptr, reply->value.len);
    set_length(to, start);
    return 0;
}

int proto_begin_reply(struct buf *to, enum proto_op op, uint64_t id,
                      size_t *start)
{
    size_t at = to->len;
    int err = begin_frame(to, op, PROTO_OK, id, 0);

    if (!err)
        *start = at;
    return err;
}

void proto_end_reply(struct buf *to, size_t start, enum proto_status status)
{
    if (status != PROTO_OK)
        to->len = start + PROTO_HEADER;
    to->ptr[start + STATUS_AT] = (unsigned char)status;
    set_length(to, start);
}

int proto_add_reply_item(struct buf *to, enum proto_status status,
                         struct slice value)
{
    int err = buf_reserve(to, REPLY_ITEM + value.len);

    if (err)
        return err;
    add32(to, status);
    add32(to, (uint32_t)value.len);
    add(to, value.ptr, value.len);
    return 0;
}

/* ---- taking apart what was checked -------------------------------------- */

bool proto_next(struct slice *items, struct proto_request *out)
{
    const unsigned char *at = items->ptr;

    if (items->len > 0 && proto_resp_marked(at[0]))
        return proto_resp_next(items, out);
    if (items->len < ITEM)
        return false;
    size_t key = little_get32(at + 4), value = little_get32(at + 8);
    *out = (struct proto_request){ .op = at[0] };
    out->key = slice_of(at + ITEM, key);
    out->value = slice_of(at + ITEM + key, value);
    *items = slice_of(at + ITEM + key + value,
                      items->len - ITEM - key - value);
    return true;
}

static bool is_op(unsigned op)
{
    return op >= PROTO_PING && op <= PROTO_BATCH;
}

/* Whether `count` items are all that these bytes are. */
static bool items_are_right(struct slice items, uint32_t count)
{
    const unsigned char *at = items.ptr;
    size_t left = items.len;

    for (; count > 0; count--) {
        if (left < REPLY_ITEM || at[0] > PROTO_STOPPING
            || little_get32(at) != at[0] || little_get32(at + 4) > left - REPLY_ITEM)
            return false;
        size_t len = REPLY_ITEM + little_get32(at + 4);
        left -= len;
        at += len;
    }
    return left == 0;
}

/* The body of a reply that has come whole. */
static bool body_is_right(struct slice body, struct proto_reply *out)
{
    const unsigned char *at = body.ptr;

    if (out->status != PROTO_OK)
        return body.len == 0;
    if (out->op == PROTO_GET || out->op == PROTO_STATS) {
        out->value = body;
        return true;
    }
    if (out->op != PROTO_BATCH)
        return body.len == 0;
    if (body.len < 4 || little_get32(at) > PROTO_BATCH_MAX)
        return false;
    out->batch_count = little_get32(at);
    out->value = slice_of(at + 4, body.len - 4);
    return items_are_right(out->value, out->batch_count);
}

ssize_t proto_decode_reply(struct slice bytes, struct proto_reply *out)
{
    const unsigned char *at = bytes.ptr;
    struct proto_reply reply = { 0 };

    if (bytes.len > 0 && at[0] != PROTO_MAGIC)
        return -EPROTO;
    if (bytes.len < PROTO_HEADER)
        return 0;
    size_t len = little_get32(at + LENGTH_AT);
    if (at[1] != PROTO_VERSION || at[STATUS_AT] > PROTO_STOPPING
        || (!is_op(at[2]) && at[STATUS_AT] == PROTO_OK))
        return -EPROTO;
    if (len > PROTO_BODY_MAX)
        return -EMSGSIZE;
    if (bytes.len < PROTO_HEADER + len)
        return 0;
    reply.op = at[2];
    reply.status = at[STATUS_AT];
    reply.id = little_get64(at + ID_AT);
    if (!body_is_right(slice_of(at + PROTO_HEADER, len), &reply))
        return -EPROTO;
    *out = reply;
    return (ssize_t)(PROTO_HEADER + len);
}

bool proto_next_reply(struct slice *items, enum proto_status *status,
                      struct slice *value)
{
    const unsigned char *at = items->ptr;

    if (items->len < REPLY_ITEM)
        return false;
    size_t len = little_get32(at + 4);
    *status = at[0];
    *value = slice_of(at + REPLY_ITEM, len);
    *items = slice_of(at + REPLY_ITEM + len, items->len - REPLY_ITEM - len);
    return true;
}

/* ---- words and numbers -------------------------------------------------- */

static const struct {
    int err;
    const char *text;
} meaning[] = {
    [PROTO_OK] = { 0, "ok" },
    [PROTO_NOT_FOUND] = { -ENOENT, "not found" },
    [PROTO_TOO_BIG] = { -EMSGSIZE, "too big" },
    [PROTO_BUSY] = { -EBUSY, "busy" },
    [PROTO_BAD_FRAME] = { -EPROTO, "bad frame" },
    [PROTO_NO_SPACE] = { -ENOSPC, "no space left" },
    [PROTO_READ_ONLY] = { -EROFS, "read-only" },
    [PROTO_CORRUPT] = { -EBADMSG, "corrupt" },
    [PROTO_FAILED] = { -EREMOTEIO, "failed" },
    [PROTO_STOPPING] = { -ECANCELED, "stopping" },
};

enum proto_status proto_status_of(int err)
{
    switch (err) {
    case -ENOMEM:
        return PROTO_BUSY;
    case -EAGAIN:               /* a store in memory is full */
    case -EDQUOT:
    case -EFBIG:
        return PROTO_NO_SPACE;
    default:
        break;
    }
    for (unsigned i = 0; i < sizeof meaning / sizeof *meaning; i++)
        if (meaning[i].err == err)
            return i;
    return PROTO_FAILED;
}

int proto_status_error(enum proto_status status)
{
    return status <= PROTO_STOPPING ? meaning[status].err : -EREMOTEIO;
}

const char *proto_status_text(enum proto_status status)
{
    return status <= PROTO_STOPPING ? meaning[status].text : "?";
}
