/* wire.c -- given. */
#include "stage4-bench/wire.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "stage2-server/proto.h"

/* ---- frames ------------------------------------------------------------ */

static int kvs_put(struct buf *to, const struct wire_request *r)
{
    static const enum proto_op ops[] = { PROTO_GET, PROTO_SET, PROTO_REMOVE };
    struct proto_request request = {
        .op = ops[r->op], .id = r->id, .key = r->key, .value = r->value,
    };

    return proto_put_request(to, &request);
}

static enum wire_kind kind_of(const struct proto_reply *r)
{
    if (r->status == PROTO_NOT_FOUND)
        return WIRE_NOT_FOUND;
    if (r->status != PROTO_OK)
        return WIRE_FAILED;
    return r->op == PROTO_GET ? WIRE_VALUE : WIRE_DONE;
}

static ssize_t kvs_take(struct slice bytes, struct wire_reply *out)
{
    struct proto_reply r;
    ssize_t n = proto_decode_reply(bytes, &r);

    if (n <= 0)
        return n < 0 ? -EPROTO : 0;
    *out = (struct wire_reply){
        .kind = kind_of(&r), .value = r.value, .id = r.id, .labelled = true,
        .op = r.op == PROTO_GET ? WORK_GET :
              r.op == PROTO_SET ? WORK_SET : WORK_REMOVE,
        .text = slice_str(proto_status_text(r.status)),
    };
    /* Only failures may come without a request of ours. */
    if (r.op < PROTO_GET || r.op > PROTO_REMOVE)
        return out->kind == WIRE_FAILED ? n : -EPROTO;
    return n;
}

/* ---- RESP2 ------------------------------------------------------------- */

static int put_bulk(struct buf *to, struct slice bytes)
{
    char head[32];
    int n = snprintf(head, sizeof head, "$%zu\r\n", bytes.len);
    int err = buf_append(to, head, (size_t)n);

    if (!err)
        err = buf_append_slice(to, bytes);
    return err ? err : buf_append(to, "\r\n", 2);
}

static int resp_put(struct buf *to, const struct wire_request *r)
{
    static const char *const heads[] = {
        "*2\r\n$3\r\nGET\r\n", "*3\r\n$3\r\nSET\r\n", "*2\r\n$3\r\nDEL\r\n",
    };
    int err = buf_append_slice(to, slice_str(heads[r->op]));

    if (!err)
        err = put_bulk(to, r->key);
    return err || r->op != WORK_SET ? err : put_bulk(to, r->value);
}

/* The number behind the type, and in *line how long the line is. */
static int number_of(const char *text, size_t len, long *out)
{
    long n = 0;
    bool minus = len > 0 && text[0] == '-';

    if (len == minus || len > 12)
        return -EPROTO;
    for (size_t i = minus; i < len; i++) {
        if (text[i] < '0' || text[i] > '9')
            return -EPROTO;
        n = 10 * n + (text[i] - '0');
    }
    *out = minus ? -n : n;
    return 0;
}

static ssize_t take_bulk(struct slice bytes, size_t line, long len,
                         struct wire_reply *out)
{
    const char *text = bytes.ptr;

    if (len == -1) {
        out->kind = WIRE_NOT_FOUND;
        return (ssize_t)line;
    }
    if (len < 0 || len > PROTO_VALUE_MAX)
        return -EPROTO;
    if (bytes.len < line + (size_t)len + 2)
        return 0;
    if (memcmp(text + line + len, "\r\n", 2) != 0)
        return -EPROTO;
    out->kind = WIRE_VALUE;
    out->value = slice_of(text + line, (size_t)len);
    return (ssize_t)line + len + 2;
}

static ssize_t resp_take(struct slice bytes, struct wire_reply *out)
{
    enum { LINE_MAX_ = 1024 };
    const char *text = bytes.ptr;
    const char *end = bytes.len ? memchr(text, '\n', bytes.len) : NULL;
    long n = 0;

    if (bytes.len && !strchr("+-:$", text[0]))
        return -EPROTO;
    if (!end)
        return bytes.len > LINE_MAX_ ? -EPROTO : 0;
    size_t line = (size_t)(end - text) + 1;
    if (line < 3 || end[-1] != '\r')
        return -EPROTO;
    *out = (struct wire_reply){ .kind = WIRE_DONE };
    if (text[0] == '+')
        return line == 5 && memcmp(text, "+OK", 3) == 0 ? 5 : -EPROTO;
    if (text[0] == '-') {
        out->kind = WIRE_FAILED;
        out->text = slice_of(text + 1, line - 3);
        return (ssize_t)line;
    }
    if (number_of(text + 1, line - 3, &n) != 0)
        return -EPROTO;
    if (text[0] == '$')
        return take_bulk(bytes, line, n, out);
    if (n != 0 && n != 1)
        return -EPROTO;
    out->kind = n ? WIRE_DONE : WIRE_NOT_FOUND;
    return (ssize_t)line;
}

const struct wire *wire_find(const char *name)
{
    static const struct wire wires[] = {
        { "kvs", kvs_put, kvs_take }, { "resp", resp_put, resp_take },
    };

    for (size_t i = 0; i < sizeof wires / sizeof *wires; i++)
        if (strcmp(wires[i].name, name) == 0)
            return &wires[i];
    return NULL;
}
