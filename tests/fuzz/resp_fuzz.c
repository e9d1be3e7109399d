/* resp_fuzz.c -- given. Whatever bytes come, a command of the second protocol
 * is taken apart right, and answered with one reply.
 *
 * The input is what a stranger sent: as many commands as there are. What is
 * looked at ends where a page begins that nobody may touch, so a read behind
 * the end is seen without any tool.
 */
#include "tests/fuzz/edge.h"

#include <stdbool.h>
#include <string.h>

#include "common/buf.h"
#include "stage2-server/proto_resp.h"

enum { SHORT = 64, COMMANDS = 64 };

static bool lies_in(struct slice inner, struct slice outer)
{
    const char *at = inner.ptr, *from = outer.ptr;

    return inner.len == 0 || (at >= from && inner.len <= outer.len
                              && at + inner.len <= from + outer.len);
}

/* A store of three keys. */
static uint64_t count_keys(void *store)
{
    (void)store;
    return 3;
}

static int scan_keys(void *store, int (*fn)(void *, struct slice,
                     struct slice), void *arg)
{
    static const char *const keys[] = { "a", "key", "another key" };
    int err = 0;

    (void)store;
    for (int i = 0; !err && i < 3; i++)
        err = fn(arg, slice_str(keys[i]), slice_str("value"));
    return err;
}

/* One reply, or none: +, -, : lines, bulk strings, arrays of these. Answers
 * what is behind it. */
static const unsigned char *skip_reply(const unsigned char *at,
                                       const unsigned char *end)
{
    must(at < end && strchr("+-:$*", *at));
    unsigned char mark = *at++;
    const unsigned char *lf = memchr(at, '\n', (size_t)(end - at));
    must(lf && lf[-1] == '\r');
    long n = mark == '$' || mark == '*' ? strtol((const char *)at, NULL, 10)
                                        : -1;
    at = lf + 1;
    if (mark == '$' && n >= 0) {
        must(end - at >= n + 2 && at[n] == '\r' && at[n + 1] == '\n');
        return at + n + 2;
    }
    for (; mark == '*' && n > 0; n--)
        at = skip_reply(at, end);
    return at;
}

/* As the server does: between begin and end what the operation brings. */
static void answer(const struct proto_request *request, bool bad,
                   unsigned choice)
{
    enum proto_status status = bad ? PROTO_BAD_FRAME
                               : choice % 3 ? PROTO_OK : choice % 10;
    struct buf out = { 0 };
    unsigned char count[4] = { (unsigned char)request->batch_count,
                               (unsigned char)(request->batch_count >> 8) };
    size_t start;

    must(buf_append(&out, "x", 1) == 0);
    must(proto_resp.begin(&out, request, &start) == 0);
    if (status == PROTO_OK && request->op == PROTO_BATCH)
        must(buf_append(&out, count, 4) == 0);
    for (uint32_t i = 0; status == PROTO_OK && request->op == PROTO_BATCH
         && i < request->batch_count; i++)
        must(proto_add_reply_item(&out, (choice + i) % 3, slice_str(
                                  (choice + i) % 3 ? "" : "value")) == 0);
    if (status == PROTO_OK && request->op == PROTO_GET)
        must(buf_append(&out, "value", 5) == 0);
    if (status == PROTO_OK && request->op == PROTO_STATS)
        must(buf_append(&out, "engine x\nkeys 3\n", 16) == 0);
    must(proto_resp.end(&out, request, start, status) == 0);
    must(out.ptr[0] == 'x');
    if (out.len > 1)
        must(skip_reply(out.ptr + 1, out.ptr + out.len)
             == out.ptr + out.len);
    buf_release(&out);
}

static void check_items(const struct proto_request *r)
{
    struct slice left = r->batch;
    struct proto_request item;
    uint32_t n = 0;

    while (n <= r->batch_count && proto_next(&left, &item)) {
        must(item.op == PROTO_GET || item.op == PROTO_SET
             || item.op == PROTO_REMOVE);
        must(lies_in(item.key, r->batch) && lies_in(item.value, r->batch));
        n++;
    }
    must(n == r->batch_count && left.len == 0);
}

/* How long the command at the start is; 0 or an error: there is none. */
static ssize_t one_command(const uint8_t *bytes, size_t len, unsigned choice)
{
    static const struct conn_host host = { NULL, count_keys, scan_keys };
    struct proto_request r, again;
    unsigned char *at = at_the_edge(bytes, len);
    ssize_t n = proto_resp.decode(slice_of(at, len), &r);

    must(n <= (ssize_t)len);
    r.host = &host;
    if (n < 0)
        answer(&r, true, choice);
    if (n <= 0)
        return n;
    struct slice frame = slice_of(at, (size_t)n);
    must(lies_in(r.key, frame) && lies_in(r.batch, frame));
    must(proto_resp.decode(frame, &again) == n);
    must(again.op == r.op && again.id == r.id && slice_equal(again.key, r.key)
         && again.batch_count == r.batch_count);
    if (r.op == PROTO_BATCH)
        check_items(&r);
    answer(&r, false, choice);
    for (size_t part = 0; part < (size_t)n && part < SHORT; part++) {
        at = at_the_edge(bytes, part);
        must(proto_resp.decode(slice_of(at, part), &again) == 0);
    }
    return n;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    ssize_t n = 1;

    if (len > INPUT_MAX)
        return 0;
    for (unsigned i = 0; i < COMMANDS && len > 0 && n > 0; i++) {
        n = one_command(bytes, len, i);
        if (n > 0) {
            bytes += n;
            len -= (size_t)n;
        }
    }
    return 0;
}
