/* proto_resp_replies.c -- given. */
#include "stage2-server/proto_resp_parts.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "stage2-server/version.h"

enum { ROOM = 16 };             /* for "$LENGTH\r\n" before a value */

static const char *const texts[] = {
    [NO_COMMAND] = "ERR unknown command '%.*s'",
    [NO_ARGS] = "ERR wrong number of arguments for '%.*s' command",
    [NO_OPTION] = "ERR option '%.*s' is not supported",
    [NO_DB] = "ERR DB index is out of range",
    [NO_CURSOR] = "ERR invalid cursor",
    [NO_KEY] = "ERR a key has at least one byte",
    [NO_SYNTAX] = "ERR syntax error",
    [NO_SUB] = "ERR unknown subcommand '%.*s'",
    [NO_HELLO] = "NOPROTO unsupported protocol version",
    [NO_MANY] = "ERR too many keys for one command",
    [NO_LONG] = "ERR too long",
    [NO_SCAN] = "ERR SCAN is not to be had here",
    [END_COUNT] = "ERR Protocol error: invalid multibulk length",
    [END_BULK] = "ERR Protocol error: invalid bulk length",
    [END_DOLLAR] = "ERR Protocol error: expected '$'",
    [END_CRLF] = "ERR Protocol error: a bulk string without its end",
    [END_INLINE] = "ERR Protocol error: too big inline request",
    [END_QUOTES] = "ERR Protocol error: unbalanced quotes in request",
    [END_ESCAPE] = "ERR Protocol error: no escapes inline; send an array",
    [END_LENGTH] = "ERR Protocol error: command too long",
    [END_HTTP] = "ERR this is not a web server",
};

int resp_put_text(struct buf *to, const char *text)
{
    return buf_append(to, text, strlen(text));
}

/* "$N\r\n" and the like, at the end of `text`: where it begins. */
static char *number_text(char text[static ROOM * 2], char mark, uint64_t n)
{
    char *at = text + 2 * ROOM;

    *--at = '\n';
    *--at = '\r';
    do
        *--at = (char)('0' + n % 10);
    while ((n /= 10) > 0);
    *--at = mark;
    return at;
}

int resp_put_number(struct buf *to, char mark, int64_t n)
{
    char text[2 * ROOM];

    if (n < 0) {                /* only in what COMMAND says */
        int len = snprintf(text, sizeof text, "%c%d\r\n", mark, (int)n);

        return buf_append(to, text, (size_t)len);
    }
    char *at = number_text(text, mark, (uint64_t)n);
    return buf_append(to, at, (size_t)(text + sizeof text - at));
}

int resp_put_bulk(struct buf *to, struct slice bytes)
{
    int err = resp_put_number(to, '$', (int64_t)bytes.len);

    if (!err)
        err = buf_append_slice(to, bytes);
    return err ? err : resp_put_text(to, "\r\n");
}

int resp_put_error(struct buf *to, enum say what, struct slice about)
{
    char word[128], text[256];
    size_t n = about.len < sizeof word ? about.len : sizeof word;
    const unsigned char *at = about.ptr;

    for (size_t i = 0; i < n; i++)
        word[i] = at[i] >= ' ' && at[i] < 127 ? (char)at[i] : '?';
    int len = snprintf(text, sizeof text, texts[what], (int)n, word);
    int err = resp_put_text(to, "-");
    if (!err)
        err = buf_append(to, text, (size_t)len);
    return err ? err : resp_put_text(to, "\r\n");
}

int resp_put_status(struct buf *to, enum proto_status status)
{
    int err = resp_put_text(to, status == PROTO_BUSY ? "-BUSY "
                           : status == PROTO_READ_ONLY ? "-READONLY "
                           : "-ERR ");

    if (!err)
        err = resp_put_text(to, proto_status_text(status));
    return err ? err : resp_put_text(to, "\r\n");
}

/* ---- what the server has put there --------------------------------------- */

/* "name value" lines become "name:value". */
static int put_info(struct buf *to, struct slice stats)
{
    const char *at = stats.ptr, *end = at + stats.len;
    struct buf text = { 0 };
    int err = resp_put_text(&text, "# Server\r\nkvs_version:" KVS_VERSION "\r\n");

    while (!err && at < end) {
        const char *lf = memchr(at, '\n', (size_t)(end - at));
        const char *space = memchr(at, ' ', (size_t)(end - at));

        if (!lf || !space || space > lf)
            break;
        err = buf_append(&text, at, (size_t)(space - at));
        if (!err)
            err = resp_put_text(&text, ":");
        if (!err)
            err = buf_append(&text, space + 1, (size_t)(lf - space - 1));
        if (!err)
            err = resp_put_text(&text, "\r\n");
        at = lf + 1;
    }
    if (!err)
        err = resp_put_bulk(to, buf_slice(&text));
    buf_release(&text);
    return err;
}

static int put_keys(struct buf *to, struct slice stats)
{
    const char *at = memmem(stats.ptr, stats.len, "\nkeys ", 6);
    const char *end = (const char *)stats.ptr + stats.len;
    int64_t n = 0;

    for (at = at ? at + 6 : end; at < end && isdigit((unsigned char)*at); at++)
        n = 10 * n + (*at - '0');
    return resp_put_number(to, ':', n);
}

/* A value stands ROOM behind the start; it moves to behind its length. */
static int end_value(struct buf *to, size_t start)
{
    size_t len = to->len - start - ROOM;
    char text[2 * ROOM], *head = number_text(text, '$', len);
    size_t n = (size_t)(text + sizeof text - head);

    memmove(to->ptr + start + n, to->ptr + start + ROOM, len);
    memcpy(to->ptr + start, head, n);
    to->len = start + n + len;
    return buf_append(to, "\r\n", 2);
}

static int put_item(struct buf *to, enum proto_status status,
                    struct slice value)
{
    if (status == PROTO_NOT_FOUND)
        return resp_put_text(to, "$-1\r\n");
    return status == PROTO_OK ? resp_put_bulk(to, value) : resp_put_status(to, status);
}

/* What became of a batch: its values, how many were there, or whether all is
 * well. */
static int put_batch(struct buf *to, enum say what, struct slice body)
{
    struct slice items = { (const char *)body.ptr + 4, body.len - 4 }, value;
    enum proto_status status, bad = PROTO_OK;
    int64_t n = 0, there = 0;
    struct buf values = { 0 };
    int err = 0;

    for (; !err && proto_next_reply(&items, &status, &value); n++) {
        there += status == PROTO_OK;
        if (status != PROTO_OK && status != PROTO_NOT_FOUND && !bad)
            bad = status;
        if (what == SAY_VALUES)
            err = put_item(&values, status, value);
    }
    if (!err && what == SAY_VALUES)
        err = resp_put_number(to, '*', n);
    if (!err && what == SAY_VALUES)
        err = buf_append_slice(to, buf_slice(&values));
    else if (!err && bad)
        err = resp_put_status(to, bad);
    else if (!err)
        err = what == SAY_COUNT ? resp_put_number(to, ':', there)
                                : resp_put_text(to, "+OK\r\n");
    buf_release(&values);
    return err;
}

/* A reply that does not depend on what the server has done. */
static int put_plain(struct buf *to, enum say what, struct slice about)
{
    switch (what) {
    case SAY_NOTHING:
        return 0;
    case SAY_OK:
        return resp_put_text(to, "+OK\r\n");
    case SAY_PONG:
        return resp_put_text(to, "+PONG\r\n");
    case SAY_WORD:
        return resp_put_bulk(to, about);
    case SAY_COMMANDS:
    case SAY_COMMAND_COUNT:
        return resp_put_commands(to, what == SAY_COMMAND_COUNT);
    case SAY_NONE:
        return resp_put_text(to, "*0\r\n");
    case SAY_CONFIG:
        return resp_put_config(to, about);
    default:
        return resp_put_error(to, what, about);
    }
}

static int put_count(struct buf *to, enum proto_status status)
{
    if (status != PROTO_OK && status != PROTO_NOT_FOUND)
        return resp_put_status(to, status);
    return resp_put_number(to, ':', status == PROTO_OK);
}

/* What stands in `to` behind start is an old reply's body, not of use any
 * more once the new one is there. */
static int put_reply(struct buf *to, const struct proto_request *request,
                     struct slice body, enum proto_status status)
{
    enum say what = request->id & 0xff;

    if (what == SAY_COUNT && request->op != PROTO_BATCH)
        return put_count(to, status);
    if (what == SAY_VALUE && status == PROTO_NOT_FOUND)
        return resp_put_text(to, "$-1\r\n");
    if (status != PROTO_OK)
        return resp_put_status(to, status);
    if (what == SAY_SCAN)
        return resp_put_scan(to, request);
    if (request->op == PROTO_BATCH)
        return put_batch(to, what, body);
    if (what == SAY_KEYS)
        return put_keys(to, body);
    return what == SAY_INFO ? put_info(to, body) : resp_put_text(to, "+OK\r\n");
}

int resp_begin(struct buf *to, const struct proto_request *request,
                      size_t *start)
{
    (void)request;
    int err = buf_reserve(to, ROOM);

    if (err)
        return err;
    memset(to->ptr + to->len, 0, ROOM);
    *start = to->len;
    to->len += ROOM;
    return 0;
}

int resp_end(struct buf *to, const struct proto_request *request,
                    size_t start, enum proto_status status)
{
    enum say what = request->id & 0xff;
    struct buf reply = { 0 };
    int err;

    if (what == SAY_VALUE && status == PROTO_OK)
        return end_value(to, start);
    if (request->op == 0 || request->op == PROTO_PING ||
        request->op == PROTO_SET) {
        to->len = start;        /* nothing was to be kept */
        if (request->op != PROTO_PING && status != PROTO_OK)
            return resp_put_status(to, status);
        return put_plain(to, what, request->value);
    }
    struct slice body = { to->ptr + start + ROOM, to->len - start - ROOM };
    err = put_reply(&reply, request, body, status);
    to->len = start;
    if (!err)
        err = buf_append_slice(to, buf_slice(&reply));
    buf_release(&reply);
    return err;
}
