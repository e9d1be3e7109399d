/* proto_resp_parts.h -- what the files of the second protocol share.
 *
 * Given. proto_resp.c takes words apart, proto_resp_commands.c makes requests
 * of them, proto_resp_replies.c and proto_resp_scan.c write what is answered.
 *
 * Errors:  0 or -ENOMEM, but for what a function says.
 * Threads: any; nothing here has state.
 */
#ifndef STAGE2_PROTO_RESP_PARTS_H
#define STAGE2_PROTO_RESP_PARTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "stage2-server/conn.h"

enum {
    RESP_WORDS_MAX = 1 + 2 * PROTO_BATCH_MAX,
    RESP_KEPT = 10,                 /* words that are looked at one by one */
    RESP_CURSOR_BITS = 47,
    RESP_PATTERN_MAX = 256          /* bytes; matching takes length x length */
};

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

/* A command that has come whole. */
struct words {
    struct slice word[RESP_KEPT];        /* the first of them */
    size_t n;
    size_t len;                     /* with everything */
    unsigned char *at[RESP_KEPT];        /* the byte before each, or its '$' */
    unsigned char *end;             /* of the last one, with its CRLF */
    bool is_inline;
};

/* Notes what is wrong; answers -EPROTO. */
int resp_fail(struct proto_request *out, enum say say);

/* The words from the first on are the keys, or keys and values, of a batch. */
void resp_make_batch(struct words *w, enum proto_op op, size_t count,
                     struct proto_request *out);

/* What the command asks. 0; or an error, with which the connection ends. */
int resp_take(struct words *w, struct proto_request *out);

/* ---- replies, appended --------------------------------------------------- */

int resp_begin(struct buf *to, const struct proto_request *request,
               size_t *start);
int resp_end(struct buf *to, const struct proto_request *request,
             size_t start, enum proto_status status);

int resp_put_text(struct buf *to, const char *text);
int resp_put_number(struct buf *to, char mark, int64_t n);
int resp_put_bulk(struct buf *to, struct slice bytes);
int resp_put_status(struct buf *to, enum proto_status status);

/* An error about some word, of which the beginning is shown, in print. */
int resp_put_error(struct buf *to, enum say what, struct slice about);

/* What COMMAND (with `count`: COMMAND COUNT), CONFIG GET and SCAN answer. */
int resp_put_commands(struct buf *to, bool count);
int resp_put_config(struct buf *to, struct slice pattern);
int resp_put_scan(struct buf *to, const struct proto_request *request);

#endif
