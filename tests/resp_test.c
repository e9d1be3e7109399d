/* resp_test.c -- the second protocol, without a socket: what its parser makes
 * of bytes, and what replies it writes.
 *
 * Given.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "stage2-server/proto_resp.h"
#include "tests/driver.h"

/* decode may mark what it is given: so a copy, with nothing behind it. */
static unsigned char *copy_of(struct slice bytes)
{
    unsigned char *copy = malloc(bytes.len ? bytes.len : 1);

    expect_true("memory of the test's own", copy != NULL);
    if (bytes.len > 0)
        memcpy(copy, bytes.ptr, bytes.len);
    return copy;
}

static ssize_t decode_part(struct slice bytes, struct proto_request *out)
{
    unsigned char *copy = copy_of(bytes);
    ssize_t n = proto_resp.decode(slice_of(copy, bytes.len), out);

    free(copy);
    return n;
}

/* The reply to bytes that are a whole command: status, and the body that the
 * server puts there. What decode answers is answered. */
static ssize_t reply_to(struct slice bytes, enum proto_status status,
                        struct slice body, const struct conn_host *host,
                        struct buf *reply)
{
    struct proto_request request;
    unsigned char *copy = copy_of(bytes);
    ssize_t n = proto_resp.decode(slice_of(copy, bytes.len), &request);
    size_t start = 77;

    request.host = host;
    expect_int("begin", proto_resp.begin(reply, &request, &start), 0);
    expect_int("body", buf_append_slice(reply, body), 0);
    expect_int("end", proto_resp.end(reply, &request, start,
               n < 0 ? PROTO_BAD_FRAME : status), 0);
    free(copy);
    return n;
}

static void expect_reply(const char *command, enum proto_status status,
                         struct slice body, const char *wanted)
{
    struct buf reply = { 0 };

    expect_int("what was there before", buf_append(&reply, "before", 6), 0);
    reply_to(slice_str(command), status, body, NULL, &reply);
    expect_int("one more byte", buf_append(&reply, "", 1), 0);
    expect_str(command, (const char *)reply.ptr + 6, wanted);
    expect_true("what was there before", memcmp(reply.ptr, "before", 6) == 0);
    buf_release(&reply);
}

static const struct slice nothing = { NULL, 0 };

/* ---- commands ------------------------------------------------------------ */

static const struct {
    const char *bytes;
    enum proto_op op;
    const char *key, *value;    /* NULL: empty */
    unsigned count;
} right[] = {
    { "*1\r\n$4\r\nPING\r\n", PROTO_PING, NULL, NULL, 0 },
    { "*2\r\n$4\r\nping\r\n$2\r\nhi\r\n", PROTO_PING, NULL, "hi", 0 },
    { "*2\r\n$4\r\nECHO\r\n$0\r\n\r\n", PROTO_PING, NULL, NULL, 0 },
    { "*2\r\n$3\r\nGET\r\n$3\r\nkey\r\n", PROTO_GET, "key", NULL, 0 },
    { "*3\r\n$3\r\nSeT\r\n$1\r\nk\r\n$4\r\n\r\n\r\n\r\n", PROTO_SET, "k",
      "\r\n\r\n", 0 },
    { "*2\r\n$3\r\nDEL\r\n$2\r\n$5\r\n", PROTO_REMOVE, "$5", NULL, 0 },
    { "*3\r\n$3\r\nDEL\r\n$1\r\na\r\n$1\r\nb\r\n", PROTO_BATCH, NULL, NULL, 2 },
    { "*2\r\n$6\r\nEXISTS\r\n$1\r\na\r\n", PROTO_GET, "a", NULL, 0 },
    { "*3\r\n$4\r\nMGET\r\n$1\r\na\r\n$2\r\nbc\r\n", PROTO_BATCH, NULL, NULL, 2 },
    { "*5\r\n$4\r\nMSET\r\n$1\r\na\r\n$1\r\n1\r\n$1\r\nb\r\n$0\r\n\r\n",
      PROTO_BATCH, NULL, NULL, 2 },
    { "*1\r\n$6\r\nDBSIZE\r\n", PROTO_STATS, NULL, NULL, 0 },
    { "*2\r\n$4\r\nSCAN\r\n$1\r\n0\r\n", PROTO_BATCH, NULL, "*", 1 },
    { "*0\r\n", PROTO_PING, NULL, NULL, 0 },
    { "\r\n", PROTO_PING, NULL, NULL, 0 },
    { "PING\n", PROTO_PING, NULL, NULL, 0 },
    { "get  key \r\n", PROTO_GET, "key", NULL, 0 },
    { "SET key 'a value'\r\n", PROTO_SET, "key", "a value", 0 },
    { "SET \"a key\" \"\"\r\n", PROTO_SET, "a key", NULL, 0 },
    { "MGET a  'b c'\td\r\n", PROTO_BATCH, NULL, NULL, 3 },
};

enum { RIGHT = sizeof right / sizeof *right };

static bool is_text(struct slice slice, const char *text)
{
    return slice_equal(slice, slice_str(text ? text : ""));
}

static void split_everywhere(const struct run *run)
{
    (void)run;
    for (size_t i = 0; i < RIGHT; i++) {
        struct slice whole = slice_str(right[i].bytes);
        struct proto_request r;
        unsigned char *copy = copy_of(whole);

        for (size_t n = 0; n < whole.len; n++)
            expect_int("a part of a command",
                       decode_part(slice_of(whole.ptr, n), &r), 0);
        for (int again = 0; again < 2; again++) {
            expect_int(right[i].bytes, proto_resp.decode(slice_of(copy,
                       whole.len), &r), (ssize_t)whole.len);
            expect_int("its operation", r.op, right[i].op);
            expect_true("its key", is_text(r.key, right[i].key));
            expect_true("its value", is_text(r.value, right[i].value));
            expect_int("its items", r.batch_count, right[i].count);
        }
        free(copy);
    }
}

/* One behind the other; the second is not touched. */
static void one_at_a_time(const struct run *run)
{
    struct proto_request r;

    (void)run;
    for (size_t i = 0; i < RIGHT; i++)
        for (size_t j = 0; j < RIGHT; j++) {
            char two[256];
            int n = snprintf(two, sizeof two, "%s%s", right[i].bytes,
                             right[j].bytes);
            size_t first = strlen(right[i].bytes);

            expect_int("the first of two", proto_resp.decode(slice_of(two,
                       (size_t)n), &r), (ssize_t)first);
            expect_str("the second", two + first, right[j].bytes);
        }
}

/* A stranger may send what we use as marks. */
static void sent_marks(const struct run *run)
{
    static const char *const commands[] = {
        "MGET a\x1b\x1b\x1b" "b\x1b c\r\n",
        "*4\r\n$4\r\nMGET\r\n\x13" "1\r\na\r\n\x14" "1\r\nb\r\n$1\r\nc\r\n",
    };

    (void)run;
    for (size_t i = 0; i < 2; i++) {
        struct slice bytes = slice_str(commands[i]);
        unsigned char *copy = copy_of(bytes);
        struct proto_request r, item;
        size_t n = 0;

        expect_int("decode", proto_resp.decode(slice_of(copy, bytes.len), &r),
                   (ssize_t)bytes.len);
        expect_int("items", r.batch_count, 3);
        while (n < 9 && proto_next(&r.batch, &item)) {
            expect_int("a key to be got", item.op, PROTO_GET);
            expect_int("its length", item.key.len, 1);
            n++;
        }
        expect_int("items", n, 3);
        free(copy);
    }
}

static void items(const struct run *run)
{
    static const char *const commands[] = {
        "*4\r\n$4\r\nMGET\r\n$1\r\na\r\n$3\r\nb\r\n\r\n$1\r\nc\r\n",
        "*7\r\n$4\r\nMSET\r\n$1\r\na\r\n$1\r\n1\r\n$3\r\nb\r\n\r\n$0\r\n\r\n"
        "$1\r\nc\r\n$1\r\n3\r\n",
        "*4\r\n$3\r\nDEL\r\n$1\r\na\r\n$3\r\nb\r\n\r\n$1\r\nc\r\n",
        "MGET a 'b x'   c  \r\n", "MSET a 1 'b x' '' c 3\r\n",
        "DEL a \"b x\" c\n",
    };
    static const enum proto_op ops[] = { PROTO_GET, PROTO_SET, PROTO_REMOVE };

    (void)run;
    for (size_t i = 0; i < 6; i++) {
        struct slice bytes = slice_str(commands[i]);
        unsigned char *copy = copy_of(bytes);
        struct proto_request r, item[4];
        size_t n = 0;

        for (int again = 0; again < 3; again++)
            expect_int(commands[i], proto_resp.decode(slice_of(copy,
                       bytes.len), &r), (ssize_t)bytes.len);
        unsigned char *moved = copy_of(r.batch);
        struct slice left = slice_of(moved, r.batch.len);
        while (n < 4 && proto_next(&left, &item[n]))
            n++;
        expect_int("items, of a copy", n, 3);
        expect_int("what is left", left.len, 0);
        for (size_t k = 0; k < 3; k++)
            expect_int("the operation", item[k].op, ops[i % 3]);
        expect_true("the first key", is_text(item[0].key, "a"));
        expect_true("the second key",
                    is_text(item[1].key, i < 3 ? "b\r\n" : "b x"));
        expect_true("the third key", is_text(item[2].key, "c"));
        bool sets = ops[i % 3] == PROTO_SET;
        expect_true("values", is_text(item[0].value, sets ? "1" : "") &&
                    item[1].value.len == 0 &&
                    is_text(item[2].value, sets ? "3" : ""));
        free(moved);
        free(copy);
    }
}

/* ---- what is wrong ------------------------------------------------------- */

static void bad_bytes(const struct run *run)
{
    static const char *const wrong[] = {
        "*x\r\n", "*1x\r\n", "*1\n", "* 1\r\n", "*8194\r\n", "*\r\n",
        "*99999999999999999999\r\n", "*+1\r\n",
        "*1\r\nPING\r\n", "*1\r\n:4\r\n", "*1\r\n$-1\r\n", "*1\r\n$x\r\n",
        "*1\r\n$4x\r\n", "*1\r\n$2147483648\r\n", "*1\r\n$4294967295\r\n",
        "*1\r\n$16912385\r\n", "*1\r\n$\r\n", "*1\r\n$4\r\nPINGxx",
        "*1\r\n$4\r\nPING\n\r", "*1\r\n$000000000000000000000000004\r\n",
        "*111111111111111111111111", "SET a 'b\r\n", "SET \"a\"b c\r\n",
        "SET a \"\\x00\"\r\n", "POST / HTTP/1.1\r\n", "Host: here\r\n",
        "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$16912384\r\n",
    };

    (void)run;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct buf reply = { 0 };
        ssize_t n = reply_to(slice_str(wrong[i]), PROTO_OK, nothing, NULL,
                             &reply);

        expect_int(wrong[i], n, -EPROTO);
        expect_true("an error, on a line", reply.len > 6 &&
                    memcmp(reply.ptr, "-ERR ", 5) == 0 &&
                    reply.ptr[reply.len - 1] == '\n' &&
                    memchr(reply.ptr, '\n', reply.len) ==
                    reply.ptr + reply.len - 1);
        buf_release(&reply);
    }
}

static void lengths(const struct run *run)
{
    const size_t longest = PROTO_VALUE_MAX + 1;
    const size_t most = PROTO_HEADER + (size_t)PROTO_BODY_MAX;
    struct proto_request r;
    struct buf bytes = { 0 };

    (void)run;
    expect_int("memory", buf_reserve(&bytes, most + 100), 0);
    int n = snprintf((char *)bytes.ptr, 100,
                     "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$%zu\r\n", longest);
    bytes.len = (size_t)n;
    expect_int("a value over its limit: it may come",
               proto_resp.decode(buf_slice(&bytes), &r), 0);
    memset(bytes.ptr + n, 'v', longest);
    memcpy(bytes.ptr + n + longest, "\r\n", 2);
    bytes.len += longest + 2;
    expect_int("it is a command: the store says that it is too big",
               proto_resp.decode(buf_slice(&bytes), &r), (ssize_t)bytes.len);
    expect_int("its value", r.value.len, longest);
    n = snprintf((char *)bytes.ptr, 100, "*2\r\n$%zu\r\n", most - 17);
    memset(bytes.ptr + n, 'v', most - 17);
    memcpy(bytes.ptr + most - 2, "\r\n", 2);
    expect_int("its first word is as long as a command may be",
               n + (int)most - 17 + 2, most);
    expect_int("nothing more of it is read, so it is the end",
               proto_resp.decode(slice_of(bytes.ptr, most), &r), -EPROTO);
    n = snprintf((char *)bytes.ptr, 100, "*2\r\n$%zu\r\n", most - 20);
    memcpy(bytes.ptr + most - 5, "\r\n$12", 5);
    expect_int("so is a length that is cut there",
               proto_resp.decode(slice_of(bytes.ptr, most), &r), -EPROTO);
    memset(bytes.ptr, 'P', 64 << 10);
    expect_int("an inline command of 64 KiB without end",
               proto_resp.decode(slice_of(bytes.ptr, 64 << 10), &r), -EPROTO);
    expect_int("a byte less", proto_resp.decode(slice_of(bytes.ptr,
               (64 << 10) - 1), &r), 0);
    bytes.len = 0;
    n = snprintf((char *)bytes.ptr, 100, "*4098\r\n$4\r\nMGET\r\n");
    bytes.len = (size_t)n;
    for (int i = 0; i < 4097; i++)
        buf_append(&bytes, "$1\r\na\r\n", 7);
    expect_int("one key too many",
               proto_resp.decode(buf_slice(&bytes), &r), (ssize_t)bytes.len);
    expect_int("is answered", r.op, PROTO_PING);
    memcpy(bytes.ptr, "*4097", 5);
    expect_int("as many as may be", proto_resp.decode(buf_slice(&bytes), &r),
               (ssize_t)bytes.len - 7);
    expect_int("its items", r.batch_count, PROTO_BATCH_MAX);
    buf_release(&bytes);
}

/* ---- replies ------------------------------------------------------------- */

static struct slice items_body(const char *const *values, uint32_t n,
                               struct buf *body)
{
    unsigned char count[4] = { (unsigned char)n };

    buf_clear(body);
    buf_append(body, count, 4);
    for (uint32_t i = 0; i < n; i++)
        proto_add_reply_item(body, values[i] ? PROTO_OK : PROTO_NOT_FOUND,
                             slice_str(values[i] ? values[i] : ""));
    return buf_slice(body);
}

static void replies(const struct run *run)
{
    static const char *const values[] = { "one", NULL, "" };
    struct buf body = { 0 };

    (void)run;
    expect_reply("PING\r\n", PROTO_OK, nothing, "+PONG\r\n");
    expect_reply("PING hi\r\n", PROTO_OK, nothing, "$2\r\nhi\r\n");
    expect_reply("ECHO ''\r\n", PROTO_OK, nothing, "$0\r\n\r\n");
    expect_reply("\r\n", PROTO_OK, nothing, "");
    expect_reply("GET k\r\n", PROTO_OK, slice_str("value"),
                 "$5\r\nvalue\r\n");
    expect_reply("GET k\r\n", PROTO_OK, nothing, "$0\r\n\r\n");
    expect_reply("GET k\r\n", PROTO_NOT_FOUND, nothing, "$-1\r\n");
    expect_reply("GET k\r\n", PROTO_CORRUPT, nothing, "-ERR corrupt\r\n");
    expect_reply("SET k v\r\n", PROTO_OK, nothing, "+OK\r\n");
    expect_reply("SET k v\r\n", PROTO_TOO_BIG, nothing, "-ERR too big\r\n");
    expect_reply("SET k v\r\n", PROTO_READ_ONLY, nothing,
                 "-READONLY read-only\r\n");
    expect_reply("DEL k\r\n", PROTO_OK, nothing, ":1\r\n");
    expect_reply("DEL k\r\n", PROTO_NOT_FOUND, nothing, ":0\r\n");
    expect_reply("DEL k\r\n", PROTO_NO_SPACE, nothing,
                 "-ERR no space left\r\n");
    expect_reply("EXISTS k\r\n", PROTO_OK, slice_str("its value"), ":1\r\n");
    expect_reply("EXISTS k\r\n", PROTO_NOT_FOUND, nothing, ":0\r\n");
    items_body(values, 3, &body);
    expect_reply("MGET a b c\r\n", PROTO_OK, buf_slice(&body),
                 "*3\r\n$3\r\none\r\n$-1\r\n$0\r\n\r\n");
    expect_reply("EXISTS a b c\r\n", PROTO_OK, buf_slice(&body), ":2\r\n");
    expect_reply("DEL a b c\r\n", PROTO_OK, buf_slice(&body), ":2\r\n");
    expect_reply("MSET a 1 b 2 c 3\r\n", PROTO_OK, buf_slice(&body),
                 "+OK\r\n");
    proto_add_reply_item(&body, PROTO_TOO_BIG, nothing);
    expect_reply("MGET a b c d\r\n", PROTO_OK, buf_slice(&body), "*4\r\n"
                 "$3\r\none\r\n$-1\r\n$0\r\n\r\n-ERR too big\r\n");
    expect_reply("MSET a 1 b 2 c 3 d 4\r\n", PROTO_OK, buf_slice(&body),
                 "-ERR too big\r\n");
    expect_reply("MGET a b c\r\n", PROTO_BUSY, nothing, "-BUSY busy\r\n");
    expect_reply("DBSIZE\r\n", PROTO_OK, slice_str("engine x\nkeys 42\nz 1\n"),
                 ":42\r\n");
    expect_reply("CONFIG GET sa*\r\n", PROTO_OK, nothing,
                 "*2\r\n$4\r\nsave\r\n$0\r\n\r\n");
    expect_reply("CONFIG GET none\r\n", PROTO_OK, nothing, "*0\r\n");
    expect_reply("SELECT 0\r\n", PROTO_OK, nothing, "+OK\r\n");
    expect_reply("QUIT\r\n", PROTO_OK, nothing, "+OK\r\n");
    buf_release(&body);
}

static void errors(const struct run *run)
{
    static const char *const wrong[] = {
        "GET\r\n", "GET a b\r\n", "SET a\r\n", "MGET\r\n", "MSET a\r\n",
        "MSET a 1 b\r\n", "DEL\r\n", "PING a b\r\n", "ECHO\r\n",
        "DBSIZE x\r\n", "SCAN\r\n", "SCAN x\r\n", "SCAN -1\r\n",
        "SCAN 999999999999999999999\r\n", "SCAN 0 MATCH\r\n",
        "SCAN 0 COUNT x\r\n", "SCAN 0 FOO 1\r\n", "SELECT 1\r\n",
        "CONFIG SET a b\r\n", "CONFIG GET\r\n", "COMMAND FOO\r\n",
        "FLUSHALL\r\n", "SET a b NX\r\n", "SET a b EX 10\r\n", "HELLO 3\r\n",
        "GET ''\r\n", "SCAN 0\r\n",
        "*1\r\n$5\r\na\r\nb\xff\r\n",       /* printed without line ends */
    };

    char scan[400] = "SCAN 0 MATCH ", config[400] = "CONFIG GET ";

    (void)run;
    memset(scan + strlen(scan), '*', 257);
    memset(config + strlen(config), '*', 257);
    strcat(scan, "\r\n");
    strcat(config, "\r\n");
    expect_reply(scan, PROTO_OK, nothing, "-ERR too long\r\n");
    expect_reply(config, PROTO_OK, nothing, "-ERR too long\r\n");
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct buf reply = { 0 };
        struct slice bytes = slice_str(wrong[i]);
        ssize_t n = reply_to(bytes, PROTO_OK, slice_str("\1\0\0\0"), NULL,
                             &reply);

        expect_int("a wrong command is whole", n, (ssize_t)bytes.len);
        expect_true(wrong[i], reply.len > 6 && reply.ptr[0] == '-' &&
                    memchr(reply.ptr, '\n', reply.len) ==
                    reply.ptr + reply.len - 1);
        buf_release(&reply);
    }
    expect_reply("NoSuch x\r\n", PROTO_OK, nothing,
                 "-ERR unknown command 'NoSuch'\r\n");
    expect_reply("SET a b NX\r\n", PROTO_OK, nothing,
                 "-ERR option 'NX' is not supported\r\n");
}

/* ---- scan ---------------------------------------------------------------- */

/* A store that has key0 .. keyN, and keys as long as `pad` says. */
struct fake {
    size_t n, pad, walks;
};

static uint64_t fake_keys(void *store)
{
    return ((struct fake *)store)->n;
}

static size_t fake_key(const struct fake *f, size_t i, char *key, size_t room)
{
    size_t n = (size_t)snprintf(key, room, "key%zu", i);

    memset(key + n, '.', f->pad);
    return n + f->pad;
}

static int fake_scan(void *store, int (*fn)(void *, struct slice,
                     struct slice), void *arg)
{
    static char key[200 << 10];
    struct fake *f = store;
    int err = 0;

    f->walks++;
    for (size_t i = 0; !err && i < f->n; i++)
        err = fn(arg, slice_of(key, fake_key(f, i, key, sizeof key)), nothing);
    return err;
}

static const char *number_at(const char *at, char mark, unsigned long long *n)
{
    expect_true("a number of a reply", *at == mark);
    *n = strtoull(at + 1, (char **)&at, 10);
    expect_true("its line's end", memcmp(at, "\r\n", 2) == 0);
    return at + 2;
}

/* One call: notes the keys; answers the next cursor. */
static unsigned long long scan_once(struct fake *f, unsigned long long cursor,
                                    const char *more, unsigned char *seen,
                                    size_t *longest)
{
    struct conn_host host = { f, fake_keys, fake_scan };
    struct buf reply = { 0 };
    char command[100];
    unsigned long long len, n, next, key;

    snprintf(command, sizeof command, "SCAN %llu%s\r\n", cursor, more);
    reply_to(slice_str(command), PROTO_OK, slice_str("\1"), &host, &reply);
    if (reply.len > *longest)
        *longest = reply.len;
    buf_append(&reply, "", 1);
    const char *at = number_at((const char *)reply.ptr, '*', &n);
    expect_int("parts of the reply", n, 2);
    at = number_at(at, '$', &len);
    next = strtoull(at, NULL, 10);
    at = number_at(at + len + 2, '*', &n);
    for (; n > 0; n--) {
        at = number_at(at, '$', &len);
        expect_true("a key", sscanf(at, "key%llu", &key) == 1 && key < f->n);
        seen[key]++;
        at += len + 2;
    }
    expect_true("nothing behind", *at == '\0');
    buf_release(&reply);
    return next;
}

static size_t scan_all(struct fake *f, const char *more, unsigned char *seen,
                       size_t *longest)
{
    unsigned long long cursor = 0;
    size_t calls = 0;

    memset(seen, 0, f->n);
    *longest = 0;
    do {
        cursor = scan_once(f, cursor, more, seen, longest);
        calls++;
    } while (cursor != 0 && calls < 10000);
    return calls;
}

static void scan_tells_all(const struct run *run)
{
    struct fake f = { run->size, 0, 0 };
    unsigned char *seen = calloc(run->size, 1);
    size_t longest, calls = scan_all(&f, "", seen, &longest);

    for (size_t i = 0; i < f.n; i++)
        expect_int("how often a key was told", seen[i], 1);
    expect_true("in few calls", calls <= 3 + run->size / 8000);
    expect_true("in replies that are not long", longest < 3 << 20);
    free(seen);
}

/* 200 keys of 100 KB are too much for one reply, though they are few. */
static void scan_long_keys(const struct run *run)
{
    struct fake f = { run->size, 100 << 10, 0 };
    unsigned char *seen = calloc(run->size, 1);
    size_t longest;

    scan_all(&f, "", seen, &longest);
    for (size_t i = 0; i < f.n; i++)
        expect_int("how often a key was told", seen[i], 1);
    expect_true("in replies that are not long", longest < 2 << 20);
    free(seen);
}

static void scan_matches(const struct run *run)
{
    static const struct {
        const char *more;
        size_t wanted;          /* of key0 .. key119 */
    } cases[] = {
        { " MATCH *", 120 }, { " MATCH key1", 1 }, { " MATCH key1*", 31 },
        { " MATCH key?", 10 }, { " MATCH *9", 12 }, { " MATCH key[0-4]", 5 },
        { " MATCH key[^0-4]", 5 }, { " MATCH k*y*1*1", 3 },
        { " MATCH \\key3", 1 }, { " MATCH ''", 0 }, { " MATCH key[", 0 },
        { " MATCH *a*a*a*a*a*a*a*a*a*a*a*a*a*b", 0 },
        { " COUNT 1 MATCH key11?", 10 }, { " TYPE string", 120 },
        { " TYPE list", 0 },
    };
    struct fake f = { 120, 0, 0 };
    unsigned char seen[120];
    size_t longest;

    (void)run;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        size_t n = 0;

        scan_all(&f, cases[i].more, seen, &longest);
        for (size_t k = 0; k < f.n; k++)
            n += seen[k];
        expect_int(cases[i].more, n, cases[i].wanted);
    }
}

static const struct test_case cases[] = {
    { "split_everywhere", split_everywhere, 1 },
    { "one_at_a_time", one_at_a_time, 1 },
    { "items", items, 1 },
    { "sent_marks", sent_marks, 1 },
    { "bad_bytes", bad_bytes, 1 },
    { "lengths", lengths, 1 },
    { "replies", replies, 1 },
    { "errors", errors, 1 },
    { "scan_tells_all", scan_tells_all, 100000 },
    { "scan_long_keys", scan_long_keys, 200 },
    { "scan_matches", scan_matches, 1 },
    { NULL, NULL, 0 },
};

int main(int argc, char **argv)
{
    return driver_main(argc, argv, cases);
}
