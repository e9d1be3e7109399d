/* proto_resp.c -- given. */
#include "stage2-server/proto_resp.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "stage2-server/version.h"

enum {
    INLINE_MAX = 64 * 1024,
    NUMBER_MAX = 12,                /* digits of a number */
    WORDS_MAX = 1 + 2 * PROTO_BATCH_MAX,
    KEPT = 10,                      /* words that are looked at one by one */
    ROOM = 16,                      /* for "$LENGTH\r\n" before a value */
    SHORT = 4096,                   /* what is no key or value */
    CURSOR_BITS = 47,
    SCAN_KEYS = 16384,              /* about so many at once, */
    SCAN_BYTES = 1024 * 1024        /* and no more than this (but one) */
};

static const size_t LENGTH_MAX = PROTO_HEADER + (size_t)PROTO_BODY_MAX;

/* What the reply is: the low byte of a request's id. */
enum say {
    SAY_NOTHING, SAY_OK, SAY_PONG, SAY_WORD, SAY_VALUE, SAY_COUNT, SAY_VALUES,
    SAY_ALL, SAY_KEYS, SAY_INFO, SAY_COMMANDS, SAY_COMMAND_COUNT, SAY_NONE,
    SAY_CONFIG, SAY_SCAN,
    /* errors; where the text has %.*s, it is about request->value */
    NO_COMMAND, NO_ARGS, NO_OPTION, NO_DB, NO_CURSOR, NO_KEY, NO_SYNTAX,
    NO_SUB, NO_HELLO, NO_MANY, NO_LONG, NO_SCAN,
    /* and the end of the connection */
    END_COUNT, END_BULK, END_DOLLAR, END_CRLF, END_INLINE, END_QUOTES,
    END_ESCAPE, END_LENGTH, END_HTTP
};

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

/* ---- words --------------------------------------------------------------------- */

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

/* A command that has come whole. */
struct words {
    struct slice word[KEPT];        /* the first of them */
    size_t n;
    size_t len;                     /* with everything */
    unsigned char *at[KEPT];        /* the byte before each, or its '$' */
    unsigned char *end;             /* of the last one, with its CRLF */
    bool is_inline;
};

static int fail(struct proto_request *out, enum say say)
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

/* One bulk string at `at`: > 0 its length, all in all; 0; an error. */
static ssize_t parse_bulk(const unsigned char *at, size_t left, size_t before,
                          struct slice *word, struct proto_request *out)
{
    long len = 0;

    if (left == 0)
        return 0;
    if (at[0] != '$' && !is_mark(at[0], MARK_BULK))
        return fail(out, END_DOLLAR);
    ssize_t head = parse_number(at + 1, left - 1, &len);
    if (head < 0 || len < 0 || len > PROTO_BODY_MAX)
        return fail(out, END_BULK);
    if (head == 0)
        return 0;
    size_t whole = 1 + (size_t)head + (size_t)len + 2;
    if (whole > LENGTH_MAX - before)
        return fail(out, END_LENGTH);
    if (left < whole)
        return 0;
    if (at[whole - 2] != '\r' || at[whole - 1] != '\n')
        return fail(out, END_CRLF);
    *word = slice_of(at + 1 + head, (size_t)len);
    return (ssize_t)whole;
}

static ssize_t parse_array(unsigned char *at, size_t left, struct words *w,
                           struct proto_request *out)
{
    struct slice word;
    long n = 0;
    ssize_t len = parse_number(at + 1, left - 1, &n);

    if (len < 0 || n > WORDS_MAX)
        return fail(out, END_COUNT);
    if (len == 0)
        return 0;
    w->len = 1 + (size_t)len;
    for (long i = 0; i < n; i++) {
        len = parse_bulk(at + w->len, left - w->len, w->len, &word, out);
        if (len <= 0)
            return len;
        if (w->n < KEPT) {
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
            return fail(out, END_ESCAPE);
        at++;
    }
    *word = slice_of(from, (size_t)(at - from));
    if (quote && (at == end || (at + 1 < end && !is_space(at[1]))))
        return fail(out, END_QUOTES);
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
        return left < INLINE_MAX ? 0 : fail(out, END_INLINE);
    w->is_inline = true;
    while (!err) {
        while (at < lf && is_space(*at))
            at++;
        if (at == lf)
            break;
        if (w->n < KEPT)
            w->at[w->n] = at - (at > start);
        err = parse_word(at, lf, &word, &at, out);
        if (w->n < KEPT)
            w->word[w->n] = word;
        w->n++;
        w->end = at;
    }
    return err ? err : lf + 1 - start;
}

/* ---- the items of a batch -------------------------------------------------------- */

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

/* The words from the first on are the keys, or keys and values, of a batch. */
static void make_batch(struct words *w, enum proto_op op, size_t count,
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

/* ---- commands ------------------------------------------------------------------- */

struct command {
    const char *name;
    int words;                  /* with its name; negative: at least */
    const char *flag;
    int first, last, step;      /* where its keys are */
    void (*take)(struct words *w, struct proto_request *out);
};

static bool word_is(struct slice word, const char *name)
{
    return word.len == strlen(name)
           && strncasecmp(word.ptr, name, word.len) == 0;
}

/* A reply that needs nothing of the store. */
static void say(struct proto_request *out, enum say what, struct slice about)
{
    *out = (struct proto_request){ .op = PROTO_PING, .id = what,
                                   .value = about };
}

static void take_ping(struct words *w, struct proto_request *out)
{
    if (w->n > 2)
        say(out, NO_ARGS, w->word[0]);
    else
        say(out, w->n == 1 ? SAY_PONG : SAY_WORD, w->word[1]);
}

static void take_echo(struct words *w, struct proto_request *out)
{
    say(out, SAY_WORD, w->word[1]);
}

static void take_key(struct words *w, struct proto_request *out,
                     enum proto_op op, enum say what)
{
    if (w->word[1].len == 0) {
        say(out, NO_KEY, w->word[1]);
        return;
    }
    out->op = op;
    out->id = what;
    out->key = w->word[1];
    if (op == PROTO_SET)
        out->value = w->word[2];
}

static void take_get(struct words *w, struct proto_request *out)
{
    take_key(w, out, PROTO_GET, SAY_VALUE);
}

static void take_set(struct words *w, struct proto_request *out)
{
    if (w->n > 3)
        say(out, NO_OPTION, w->word[3]);
    else
        take_key(w, out, PROTO_SET, SAY_OK);
}

static void take_keys(struct words *w, struct proto_request *out,
                      enum proto_op op, enum say what)
{
    size_t each = op == PROTO_SET ? 2 : 1;

    if (w->n % each != (each == 2))
        say(out, NO_ARGS, w->word[0]);
    else if ((w->n - 1) / each > PROTO_BATCH_MAX)
        say(out, NO_MANY, w->word[0]);
    else {
        out->id = what;
        make_batch(w, op, (w->n - 1) / each, out);
    }
}

static void take_del(struct words *w, struct proto_request *out)
{
    if (w->n == 2)
        take_key(w, out, PROTO_REMOVE, SAY_COUNT);
    else
        take_keys(w, out, PROTO_REMOVE, SAY_COUNT);
}

static void take_exists(struct words *w, struct proto_request *out)
{
    if (w->n == 2)
        take_key(w, out, PROTO_GET, SAY_COUNT);
    else
        take_keys(w, out, PROTO_GET, SAY_COUNT);
}

static void take_mget(struct words *w, struct proto_request *out)
{
    take_keys(w, out, PROTO_GET, SAY_VALUES);
}

static void take_mset(struct words *w, struct proto_request *out)
{
    take_keys(w, out, PROTO_SET, SAY_ALL);
}

static void take_stats(struct words *w, struct proto_request *out,
                       enum say what)
{
    if (w->len > SHORT) {
        say(out, NO_LONG, w->word[0]);
        return;
    }
    out->op = PROTO_STATS;
    out->id = what;
}

static void take_dbsize(struct words *w, struct proto_request *out)
{
    take_stats(w, out, SAY_KEYS);
}

static void take_info(struct words *w, struct proto_request *out)
{
    take_stats(w, out, SAY_INFO);
}

static bool parse_cursor(struct slice word, uint64_t *cursor)
{
    const unsigned char *at = word.ptr;

    *cursor = 0;
    for (size_t i = 0; i < word.len; i++) {
        if (!isdigit(at[i]) || *cursor >> CURSOR_BITS != 0)
            return false;
        *cursor = 10 * *cursor + (uint64_t)(at[i] - '0');
    }
    return word.len > 0 && *cursor >> CURSOR_BITS == 0;
}

/* For the server it is a batch with a get: what may take its time. */
static void take_scan(struct words *w, struct proto_request *out)
{
    struct slice pattern = slice_str("*");
    uint64_t cursor, count;

    if (!parse_cursor(w->word[1], &cursor)) {
        say(out, NO_CURSOR, w->word[1]);
        return;
    }
    for (size_t i = 2; i < w->n; i += 2) {
        bool is_type = i < KEPT && word_is(w->word[i], "type");
        bool is_count = i < KEPT && word_is(w->word[i], "count");

        if (i + 1 >= w->n || i + 1 >= KEPT
            || (is_count && !parse_cursor(w->word[i + 1], &count))
            || (!is_type && !is_count && !word_is(w->word[i], "match"))) {
            say(out, NO_SYNTAX, w->word[0]);
            return;
        }
        if (is_type && !word_is(w->word[i + 1], "string"))
            pattern = slice_of(NULL, 0);    /* there is no other type */
        else if (!is_type && !is_count)
            pattern = w->word[i + 1];
    }
    out->id = SAY_SCAN | cursor << 8;
    out->value = pattern;
    w->n = 2;
    w->end = (unsigned char *)w->word[1].ptr + w->word[1].len
             + (w->is_inline ? 0 : 2);
    make_batch(w, PROTO_GET, 1, out);
}

static void take_command(struct words *w, struct proto_request *out)
{
    if (w->n == 1)
        say(out, SAY_COMMANDS, w->word[0]);
    else if (word_is(w->word[1], "count"))
        say(out, SAY_COMMAND_COUNT, w->word[0]);
    else
        say(out, word_is(w->word[1], "docs") ? SAY_NONE : NO_SUB, w->word[1]);
}

static void take_config(struct words *w, struct proto_request *out)
{
    if (!word_is(w->word[1], "get"))
        say(out, NO_SUB, w->word[1]);
    else if (w->n != 3)
        say(out, NO_ARGS, w->word[0]);
    else
        say(out, SAY_CONFIG, w->word[2]);
}

static void take_select(struct words *w, struct proto_request *out)
{
    say(out, word_is(w->word[1], "0") ? SAY_OK : NO_DB, w->word[1]);
}

static void take_hello(struct words *w, struct proto_request *out)
{
    say(out, NO_HELLO, w->word[0]);
}

static const struct command commands[] = {
    { "get", 2, "readonly", 1, 1, 1, take_get },
    { "set", -3, "write", 1, 1, 1, take_set },
    { "ping", -1, "fast", 0, 0, 0, take_ping },
    { "del", -2, "write", 1, -1, 1, take_del },
    { "exists", -2, "readonly", 1, -1, 1, take_exists },
    { "mget", -2, "readonly", 1, -1, 1, take_mget },
    { "mset", -3, "write", 1, -1, 2, take_mset },
    { "echo", 2, "fast", 0, 0, 0, take_echo },
    { "dbsize", 1, "readonly", 0, 0, 0, take_dbsize },
    { "scan", -2, "readonly", 0, 0, 0, take_scan },
    { "info", -1, "readonly", 0, 0, 0, take_info },
    { "command", -1, "random", 0, 0, 0, take_command },
    { "config", -2, "admin", 0, 0, 0, take_config },
    { "select", 2, "fast", 0, 0, 0, take_select },
    { "hello", -1, "fast", 0, 0, 0, take_hello },
    { "quit", -1, "fast", 0, 0, 0, NULL },
};

enum { COMMANDS = sizeof commands / sizeof *commands };

/* 0; or an error, with which the connection ends. (A browser is made to send
 * commands by whoever writes a page for it: so its words are no mistake.) */
static int take(struct words *w, struct proto_request *out)
{
    const struct command *c = commands, *end = c + COMMANDS;

    if (w->n == 0) {
        say(out, SAY_NOTHING, slice_of(NULL, 0));
        return 0;
    }
    unsigned char first = w->word[0].len > 0
                          ? *(const unsigned char *)w->word[0].ptr | 0x20 : 0;
    while (c < end && (*c->name != first || !word_is(w->word[0], c->name)))
        c++;
    if (c == end) {
        if (word_is(w->word[0], "post") || word_is(w->word[0], "host:"))
            return fail(out, END_HTTP);
        say(out, NO_COMMAND, w->word[0]);
    } else if (c->words < 0 ? w->n < (size_t)-c->words
                            : w->n != (size_t)c->words) {
        say(out, NO_ARGS, w->word[0]);
    } else if (!c->take) {
        return fail(out, SAY_OK);           /* quit */
    } else {
        c->take(w, out);
    }
    return 0;
}

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
    int err = take(&words, out);
    return err ? err : len;
}

/* ---- replies -------------------------------------------------------------------- */

static int put_text(struct buf *to, const char *text)
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

static int put_number(struct buf *to, char mark, int64_t n)
{
    char text[2 * ROOM];

    if (n < 0) {                /* only in what COMMAND says */
        int len = snprintf(text, sizeof text, "%c%d\r\n", mark, (int)n);

        return buf_append(to, text, (size_t)len);
    }
    char *at = number_text(text, mark, (uint64_t)n);
    return buf_append(to, at, (size_t)(text + sizeof text - at));
}

static int put_bulk(struct buf *to, struct slice bytes)
{
    int err = put_number(to, '$', (int64_t)bytes.len);

    if (!err)
        err = buf_append_slice(to, bytes);
    return err ? err : put_text(to, "\r\n");
}

/* An error about some word, of which the beginning is shown, in print. */
static int put_error(struct buf *to, enum say what, struct slice about)
{
    char word[128], text[256];
    size_t n = about.len < sizeof word ? about.len : sizeof word;
    const unsigned char *at = about.ptr;

    for (size_t i = 0; i < n; i++)
        word[i] = at[i] >= ' ' && at[i] < 127 ? (char)at[i] : '?';
    int len = snprintf(text, sizeof text, texts[what], (int)n, word);
    int err = put_text(to, "-");
    if (!err)
        err = buf_append(to, text, (size_t)len);
    return err ? err : put_text(to, "\r\n");
}

static int put_status(struct buf *to, enum proto_status status)
{
    int err = put_text(to, status == PROTO_BUSY ? "-BUSY "
                           : status == PROTO_READ_ONLY ? "-READONLY "
                           : "-ERR ");

    if (!err)
        err = put_text(to, proto_status_text(status));
    return err ? err : put_text(to, "\r\n");
}

static int put_commands(struct buf *to)
{
    int err = put_number(to, '*', COMMANDS);

    for (const struct command *c = commands; !err && c < commands + COMMANDS;
         c++) {
        err = put_number(to, '*', 6);
        if (!err)
            err = put_bulk(to, slice_str(c->name));
        if (!err)
            err = put_number(to, ':', c->words);
        if (!err)
            err = put_text(to, "*1\r\n+");
        if (!err)
            err = put_text(to, c->flag);
        if (!err)
            err = put_text(to, "\r\n");
        if (!err)
            err = put_number(to, ':', c->first);
        if (!err)
            err = put_number(to, ':', c->last);
        if (!err)
            err = put_number(to, ':', c->step);
    }
    return err;
}

/* ---- patterns --------------------------------------------------------------------- */

/* Whether the pattern's first piece, which is no '*', takes c. How long that
 * piece is, into *len. */
static bool piece_takes(const unsigned char *p, size_t left, unsigned char c,
                        size_t *len)
{
    size_t i = 1;
    bool other = false, found = false;

    *len = 1;
    if (*p == '?')
        return true;
    if (*p == '\\' && left > 1) {
        *len = 2;
        return p[1] == c;
    }
    if (*p != '[')
        return *p == c;
    if (i < left && p[i] == '^') {
        other = true;
        i++;
    }
    for (; i < left && p[i] != ']'; i++) {
        if (p[i] == '\\' && i + 1 < left)
            i++;
        unsigned char low = p[i], high = low;
        if (i + 2 < left && p[i + 1] == '-' && p[i + 2] != ']') {
            high = p[i + 2];
            i += 2;
        }
        found = found || (c >= low && c <= high) || (c >= high && c <= low);
    }
    *len = i < left ? i + 1 : left;
    return found != other;
}

/* Only the last '*' is ever tried again: so no pattern takes long. */
static bool matches(struct slice pattern, struct slice text)
{
    const unsigned char *p = pattern.ptr, *t = text.ptr;
    size_t i = 0, j = 0, star = SIZE_MAX, from = 0, len = 0;

    while (j < text.len) {
        if (i < pattern.len && p[i] == '*') {
            star = ++i;
            from = j;
        } else if (i < pattern.len
                   && piece_takes(p + i, pattern.len - i, t[j], &len)) {
            i += len;
            j++;
        } else if (star != SIZE_MAX) {
            i = star;
            j = ++from;
        } else {
            return false;
        }
    }
    while (i < pattern.len && p[i] == '*')
        i++;
    return i == pattern.len;
}

static int put_config(struct buf *to, struct slice pattern)
{
    static const char *const known[][2] = {
        { "save", "" }, { "appendonly", "no" }, { "maxmemory", "0" },
        { "databases", "1" },
    };
    struct buf pairs = { 0 };
    int n = 0, err = 0;

    for (size_t i = 0; !err && i < sizeof known / sizeof *known; i++) {
        if (!matches(pattern, slice_str(known[i][0])))
            continue;
        n += 2;
        err = put_bulk(&pairs, slice_str(known[i][0]));
        if (!err)
            err = put_bulk(&pairs, slice_str(known[i][1]));
    }
    if (!err)
        err = put_number(to, '*', n);
    if (!err)
        err = buf_append_slice(to, buf_slice(&pairs));
    buf_release(&pairs);
    return err;
}

/* ---- scan ------------------------------------------------------------------------- */

struct scan {
    struct slice pattern;
    uint64_t from, to;          /* hashes: this one, but not that one */
    struct buf keys;            /* as bulk strings */
    size_t n;
    bool narrow;                /* `to` cannot be less */
};

static int scan_key(void *arg, struct slice key, struct slice value)
{
    struct scan *s = arg;
    uint64_t hash = XXH3_64bits(key.ptr, key.len) >> (64 - CURSOR_BITS);

    (void)value;
    if (hash < s->from || hash >= s->to || !matches(s->pattern, key))
        return 0;
    if (s->n > 0 && s->keys.len + key.len > SCAN_BYTES && !s->narrow)
        return -E2BIG;
    s->n++;
    return put_bulk(&s->keys, key);
}

/* A part of the hashes that has about SCAN_KEYS keys; less, if those are too
 * long for one reply. */
static int scan_part(const struct conn_host *host, struct scan *s)
{
    const uint64_t all = (uint64_t)1 << CURSOR_BITS;
    uint64_t keys = host->keys(host->store);
    uint64_t width = keys > SCAN_KEYS ? all / keys * SCAN_KEYS : all;
    int err;

    do {
        s->to = width < all - s->from ? s->from + width : all;
        s->narrow = width == 1;
        s->n = 0;
        buf_clear(&s->keys);
        err = host->scan(host->store, scan_key, s);
        width = width > 1 ? width / 2 : 1;
    } while (err == -E2BIG);
    if (s->to == all)
        s->to = 0;
    return err;
}

static int put_scan(struct buf *to, const struct proto_request *request)
{
    struct scan s = { .pattern = request->value, .from = request->id >> 8 };
    char cursor[24];

    if (!request->host)
        return put_error(to, NO_SCAN, slice_of(NULL, 0));
    int err = scan_part(request->host, &s);
    if (err) {
        buf_release(&s.keys);
        return err == -ENOMEM ? err : put_status(to, proto_status_of(err));
    }
    snprintf(cursor, sizeof cursor, "%" PRIu64, s.to);
    err = put_number(to, '*', 2);
    if (!err)
        err = put_bulk(to, slice_str(cursor));
    if (!err)
        err = put_number(to, '*', (int64_t)s.n);
    if (!err)
        err = buf_append_slice(to, buf_slice(&s.keys));
    buf_release(&s.keys);
    return err;
}

/* ---- what the server has put there ----------------------------------------------- */

/* "name value" lines become "name:value". */
static int put_info(struct buf *to, struct slice stats)
{
    const char *at = stats.ptr, *end = at + stats.len;
    struct buf text = { 0 };
    int err = put_text(&text, "# Server\r\nkvs_version:" KVS_VERSION "\r\n");

    while (!err && at < end) {
        const char *lf = memchr(at, '\n', (size_t)(end - at));
        const char *space = memchr(at, ' ', (size_t)(end - at));

        if (!lf || !space || space > lf)
            break;
        err = buf_append(&text, at, (size_t)(space - at));
        if (!err)
            err = put_text(&text, ":");
        if (!err)
            err = buf_append(&text, space + 1, (size_t)(lf - space - 1));
        if (!err)
            err = put_text(&text, "\r\n");
        at = lf + 1;
    }
    if (!err)
        err = put_bulk(to, buf_slice(&text));
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
    return put_number(to, ':', n);
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
        return put_text(to, "$-1\r\n");
    return status == PROTO_OK ? put_bulk(to, value) : put_status(to, status);
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
        err = put_number(to, '*', n);
    if (!err && what == SAY_VALUES)
        err = buf_append_slice(to, buf_slice(&values));
    else if (!err && bad)
        err = put_status(to, bad);
    else if (!err)
        err = what == SAY_COUNT ? put_number(to, ':', there)
                                : put_text(to, "+OK\r\n");
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
        return put_text(to, "+OK\r\n");
    case SAY_PONG:
        return put_text(to, "+PONG\r\n");
    case SAY_WORD:
        return put_bulk(to, about);
    case SAY_COMMANDS:
        return put_commands(to);
    case SAY_COMMAND_COUNT:
        return put_number(to, ':', COMMANDS);
    case SAY_NONE:
        return put_text(to, "*0\r\n");
    case SAY_CONFIG:
        return put_config(to, about);
    default:
        return put_error(to, what, about);
    }
}

static int put_count(struct buf *to, enum proto_status status)
{
    if (status != PROTO_OK && status != PROTO_NOT_FOUND)
        return put_status(to, status);
    return put_number(to, ':', status == PROTO_OK);
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
        return put_text(to, "$-1\r\n");
    if (status != PROTO_OK)
        return put_status(to, status);
    if (what == SAY_SCAN)
        return put_scan(to, request);
    if (request->op == PROTO_BATCH)
        return put_batch(to, what, body);
    if (what == SAY_KEYS)
        return put_keys(to, body);
    return what == SAY_INFO ? put_info(to, body) : put_text(to, "+OK\r\n");
}

static int resp_begin(struct buf *to, const struct proto_request *request,
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

static int resp_end(struct buf *to, const struct proto_request *request,
                    size_t start, enum proto_status status)
{
    enum say what = request->id & 0xff;
    struct buf reply = { 0 };
    int err;

    if (what == SAY_VALUE && status == PROTO_OK)
        return end_value(to, start);
    if (request->op == PROTO_PING || request->op == PROTO_SET) {
        to->len = start;        /* nothing was to be kept */
        if (request->op == PROTO_SET && status != PROTO_OK)
            return put_status(to, status);
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

const struct conn_parser proto_resp = {
    .name = "resp",
    .starts = resp_starts,
    .decode = resp_decode,
    .begin = resp_begin,
    .end = resp_end,
};
