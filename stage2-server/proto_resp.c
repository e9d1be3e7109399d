/* proto_resp.c -- given. */
#include "stage2-server/proto_resp.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>

#include "stage2-server/proto_resp_parts.h"

enum {
    INLINE_MAX = 64 * 1024,
    NUMBER_MAX = 12                 /* digits of a number */
};

static const size_t LENGTH_MAX = PROTO_HEADER + (size_t)PROTO_BODY_MAX;

/* ---- words --------------------------------------------------------------- */

/* Marks: of an item whose key is a bulk string, of one that is inline. */
enum { MARK_BULK = 0x10, MARK_INLINE = 0x18 };

static bool is_mark(unsigned char c, unsigned kind)
{
    return c >= kind + PROTO_GET && c <= kind + PROTO_REMOVE;
}

static bool is_space(unsigned char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r') || is_mark(c, MARK_INLINE);
}

int resp_fail(struct proto_request *out, enum say say)
{
    out->id = say;
    return -EPROTO;
}

/* "N\r\n" behind a mark that was looked at: > 0 its length, 0 not all there,
 * -EPROTO. */
static ssize_t parse_number(const unsigned char *at, size_t left, long *out)
{
    bool minus = left > 0 && at[0] == '-';
    size_t i = minus, first = i;
    long n = 0;

    for (; i < left && isdigit(at[i]); i++) {
        if (i - first == NUMBER_MAX)
            return -EPROTO;
        n = 10 * n + (at[i] - '0');
    }
    if (i == left)
        return 0;
    if (i == first || at[i] != '\r')
        return -EPROTO;
    if (i + 1 == left)
        return 0;
    *out = minus ? -n : n;
    return at[i + 1] == '\n' ? (ssize_t)i + 2 : -EPROTO;
}

/* More bytes are needed behind `have` of a command: 0 if it may have more. */
static int wait_for_more(size_t have, struct proto_request *out)
{
    return have < LENGTH_MAX ? 0 : resp_fail(out, END_LENGTH);
}

/* One bulk string at `at`: > 0 its length, all in all; 0; an error. */
static ssize_t parse_bulk(const unsigned char *at, size_t left, size_t before,
                          struct slice *word, struct proto_request *out)
{
    long len = 0;

    if (left == 0)
        return wait_for_more(before, out);
    if (at[0] != '$' && !is_mark(at[0], MARK_BULK))
        return resp_fail(out, END_DOLLAR);
    ssize_t head = parse_number(at + 1, left - 1, &len);
    if (head < 0 || len < 0 || len > PROTO_BODY_MAX)
        return resp_fail(out, END_BULK);
    if (head == 0)
        return wait_for_more(before + left, out);
    size_t whole = 1 + (size_t)head + (size_t)len + 2;
    if (whole > LENGTH_MAX - before)
        return resp_fail(out, END_LENGTH);
    if (left < whole)
        return 0;
    if (at[whole - 2] != '\r' || at[whole - 1] != '\n')
        return resp_fail(out, END_CRLF);
    *word = slice_of(at + 1 + head, (size_t)len);
    return (ssize_t)whole;
}

static ssize_t parse_array(unsigned char *at, size_t left, struct words *w,
                           struct proto_request *out)
{
    struct slice word;
    long n = 0;
    ssize_t len = parse_number(at + 1, left - 1, &n);

    if (len < 0 || n > RESP_WORDS_MAX)
        return resp_fail(out, END_COUNT);
    if (len == 0)
        return 0;
    w->len = 1 + (size_t)len;
    for (long i = 0; i < n; i++) {
        len = parse_bulk(at + w->len, left - w->len, w->len, &word, out);
        if (len <= 0)
            return len;
        if (w->n < RESP_KEPT) {
            w->word[w->n] = word;
            w->at[w->n] = at + w->len;
        }
        w->n++;
        w->len += (size_t)len;
    }
    w->end = at + w->len;
    return (ssize_t)w->len;
}

/* The word at `at`, perhaps in quotes; what is behind it into *next. */
static int parse_word(unsigned char *at, unsigned char *end,
                      struct slice *word, unsigned char **next,
                      struct proto_request *out)
{
    unsigned char quote = *at == '"' || *at == '\'' ? *at++ : 0;
    unsigned char *from = at;

    *word = slice_of(at, 0);
    while (at < end && (quote ? *at != quote : !is_space(*at))) {
        if (*at == '\\' && quote == '"')
            return resp_fail(out, END_ESCAPE);
        at++;
    }
    *word = slice_of(from, (size_t)(at - from));
    if (quote && (at == end || (at + 1 < end && !is_space(at[1]))))
        return resp_fail(out, END_QUOTES);
    *next = at + (quote != 0);
    return 0;
}

static ssize_t parse_line(unsigned char *at, size_t left, struct words *w,
                          struct proto_request *out)
{
    unsigned char *start = at;
    unsigned char *lf = memchr(at, '\n', left < INLINE_MAX ? left : INLINE_MAX);
    struct slice word;
    int err = 0;

    if (!lf)
        return left < INLINE_MAX ? 0 : resp_fail(out, END_INLINE);
    w->is_inline = true;
    while (!err) {
        while (at < lf && is_space(*at))
            at++;
        if (at == lf)
            break;
        if (w->n < RESP_KEPT)
            w->at[w->n] = at - (at > start);
        err = parse_word(at, lf, &word, &at, out);
        if (w->n < RESP_KEPT)
            w->word[w->n] = word;
        w->n++;
        w->end = at;
    }
    return err ? err : lf + 1 - start;
}

/* ---- the items of a batch ------------------------------------------------ */

bool proto_resp_marked(unsigned char first)
{
    return is_mark(first, MARK_BULK) || is_mark(first, MARK_INLINE);
}

/* What is checked needs no second look. */
static struct slice next_word(unsigned char **at, unsigned char *end,
                              bool is_inline)
{
    struct proto_request ignored;
    struct slice word = { 0 };
    ssize_t len;

    if (is_inline) {
        while (*at < end && is_space(**at))
            ++*at;
        if (*at < end && parse_word(*at, end, &word, at, &ignored) != 0)
            *at = end;
        return word;
    }
    len = parse_bulk(*at, (size_t)(end - *at), 0, &word, &ignored);
    *at = len > 0 ? *at + len : end;
    return word;
}

bool proto_resp_next(struct slice *items, struct proto_request *out)
{
    unsigned char *at = (unsigned char *)items->ptr, *end = at + items->len;
    bool is_inline = is_mark(*at, MARK_INLINE);

    *out = (struct proto_request){
        .op = *at - (is_inline ? MARK_INLINE : MARK_BULK)
    };
    out->key = next_word(&at, end, is_inline);
    if (out->op == PROTO_SET)
        out->value = next_word(&at, end, is_inline);
    while (is_inline && at < end && !is_mark(*at, MARK_INLINE))
        at++;
    *items = slice_of(at, (size_t)(end - at));
    return true;
}

void resp_make_batch(struct words *w, enum proto_op op, size_t count,
                       struct proto_request *out)
{
    unsigned char *at = w->at[1];

    out->op = PROTO_BATCH;
    out->batch = slice_of(at, (size_t)(w->end - at));
    out->batch_count = (uint32_t)count;
    for (; count > 0; count--) {
        unsigned char *mark = at;

        /* The byte just before the word; no other mark before it. */
        for (; w->is_inline && is_space(mark[1]); mark++)
            *mark = ' ';
        at = mark;
        next_word(&at, w->end, w->is_inline);
        if (op == PROTO_SET)
            next_word(&at, w->end, w->is_inline);
        *mark = (unsigned char)((w->is_inline ? MARK_INLINE : MARK_BULK) + op);
    }
}

/* ---- all of it --------------------------------------------------------- */

static bool resp_starts(unsigned char first)
{
    return first == '*' || isalpha(first) || is_space(first);
}

static ssize_t resp_decode(struct slice bytes, struct proto_request *out)
{
    unsigned char *at = (unsigned char *)bytes.ptr;
    struct words words;

    *out = (struct proto_request){ .op = PROTO_PING };
    if (bytes.len == 0)
        return 0;
    words.n = words.len = 0;
    words.word[1] = slice_of(NULL, 0);
    words.is_inline = false;
    ssize_t len = *at == '*' ? parse_array(at, bytes.len, &words, out)
                             : parse_line(at, bytes.len, &words, out);
    if (len <= 0)
        return len;
    words.len = (size_t)len;
    int err = resp_take(&words, out);
    return err ? err : len;
}

const struct conn_parser proto_resp = {
    .name = "resp",
    .starts = resp_starts,
    .decode = resp_decode,
    .begin = resp_begin,
    .end = resp_end,
};
