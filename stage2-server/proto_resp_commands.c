/* proto_resp_commands.c -- given. */
#include "stage2-server/proto_resp_parts.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

enum { SHORT = 4096 };          /* what is no key or value */

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
        resp_make_batch(w, op, (w->n - 1) / each, out);
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
        if (!isdigit(at[i]) || *cursor >> RESP_CURSOR_BITS != 0)
            return false;
        *cursor = 10 * *cursor + (uint64_t)(at[i] - '0');
    }
    return word.len > 0 && *cursor >> RESP_CURSOR_BITS == 0;
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
        bool is_type = i < RESP_KEPT && word_is(w->word[i], "type");
        bool is_count = i < RESP_KEPT && word_is(w->word[i], "count");

        if (i + 1 >= w->n || i + 1 >= RESP_KEPT
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
    if (pattern.len > RESP_PATTERN_MAX) {
        say(out, NO_LONG, w->word[0]);
        return;
    }
    out->id = SAY_SCAN | cursor << 8;
    out->value = pattern;
    w->n = 2;
    w->end = (unsigned char *)w->word[1].ptr + w->word[1].len
             + (w->is_inline ? 0 : 2);
    resp_make_batch(w, PROTO_GET, 1, out);
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
    else if (w->word[2].len > RESP_PATTERN_MAX)
        say(out, NO_LONG, w->word[0]);
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

/* (A browser is made to send
 * commands by whoever writes a page for it: so its words are no mistake.) */
int resp_take(struct words *w, struct proto_request *out)
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
            return resp_fail(out, END_HTTP);
        say(out, NO_COMMAND, w->word[0]);
    } else if (c->words < 0 ? w->n < (size_t)-c->words
                            : w->n != (size_t)c->words) {
        say(out, NO_ARGS, w->word[0]);
    } else if (!c->take) {
        return resp_fail(out, SAY_OK);           /* quit */
    } else {
        c->take(w, out);
    }
    return 0;
}

int resp_put_commands(struct buf *to, bool count)
{
    int err = resp_put_number(to, count ? ':' : '*', COMMANDS);

    for (const struct command *c = commands; !err && !count && c < commands + COMMANDS;
         c++) {
        err = resp_put_number(to, '*', 6);
        if (!err)
            err = resp_put_bulk(to, slice_str(c->name));
        if (!err)
            err = resp_put_number(to, ':', c->words);
        if (!err)
            err = resp_put_text(to, "*1\r\n+");
        if (!err)
            err = resp_put_text(to, c->flag);
        if (!err)
            err = resp_put_text(to, "\r\n");
        if (!err)
            err = resp_put_number(to, ':', c->first);
        if (!err)
            err = resp_put_number(to, ':', c->last);
        if (!err)
            err = resp_put_number(to, ':', c->step);
    }
    return err;
}
