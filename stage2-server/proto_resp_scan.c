/* proto_resp_scan.c -- given: SCAN, and the patterns of SCAN and CONFIG. */
#include "stage2-server/proto_resp_parts.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

enum {
    SCAN_KEYS = 16384,              /* about so many at once, */
    SCAN_BYTES = 1024 * 1024        /* and no more than this (but one) */
};

/* ---- patterns ------------------------------------------------------------ */

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

/* Only the last '*' is ever tried again: so no pattern (of RESP_PATTERN_MAX)
 * takes long. */
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

int resp_put_config(struct buf *to, struct slice pattern)
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
        err = resp_put_bulk(&pairs, slice_str(known[i][0]));
        if (!err)
            err = resp_put_bulk(&pairs, slice_str(known[i][1]));
    }
    if (!err)
        err = resp_put_number(to, '*', n);
    if (!err)
        err = buf_append_slice(to, buf_slice(&pairs));
    buf_release(&pairs);
    return err;
}

/* ---- scan ---------------------------------------------------------------- */

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
    uint64_t hash = XXH3_64bits(key.ptr, key.len) >> (64 - RESP_CURSOR_BITS);

    (void)value;
    if (hash < s->from || hash >= s->to || !matches(s->pattern, key))
        return 0;
    if (s->n > 0 && s->keys.len + key.len > SCAN_BYTES && !s->narrow)
        return -E2BIG;
    s->n++;
    return resp_put_bulk(&s->keys, key);
}

/* A part of the hashes that has about SCAN_KEYS keys; less, if those are too
 * long for one reply. */
static int scan_part(const struct conn_host *host, struct scan *s)
{
    const uint64_t all = (uint64_t)1 << RESP_CURSOR_BITS;
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

int resp_put_scan(struct buf *to, const struct proto_request *request)
{
    struct scan s = { .pattern = request->value, .from = request->id >> 8 };
    char cursor[24];

    if (!request->host)
        return resp_put_error(to, NO_SCAN, slice_of(NULL, 0));
    int err = scan_part(request->host, &s);
    if (err) {
        buf_release(&s.keys);
        return err == -ENOMEM ? err : resp_put_status(to, proto_status_of(err));
    }
    snprintf(cursor, sizeof cursor, "%" PRIu64, s.to);
    err = resp_put_number(to, '*', 2);
    if (!err)
        err = resp_put_bulk(to, slice_str(cursor));
    if (!err)
        err = resp_put_number(to, '*', (int64_t)s.n);
    if (!err)
        err = buf_append_slice(to, buf_slice(&s.keys));
    buf_release(&s.keys);
    return err;
}
