/* server_stats.c -- given. */
#include "stage2-server/server.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static int add(struct buf *to, const char *name, uint64_t n)
{
    char line[64];
    int len = snprintf(line, sizeof line, "%s %" PRIu64 "\n", name, n);

    return buf_append(to, line, (size_t)len);
}

static int add_store(struct buf *to, struct store *store)
{
    struct store_stats s;
    int err = 0;

    store_stats(store, &s);
    const struct {
        const char *name;
        uint64_t n;
    } lines[] = {
        { "keys", s.keys }, { "live_bytes", s.live_bytes },
        { "dead_bytes", s.dead_bytes }, { "pinned_bytes", s.pinned_bytes },
        { "disk_bytes", s.disk_bytes }, { "index_bytes", s.index_bytes },
        { "segments", s.segments },
        { "compactions", s.compactions },
        { "compaction_ns", s.compaction_ns }, { "syncs", s.syncs },
        { "sequence", s.sequence }, { "failed", s.failed },
    };
    for (size_t i = 0; !err && i < sizeof lines / sizeof *lines; i++)
        err = add(to, lines[i].name, lines[i].n);
    return err;
}

int server_stats_text(struct store *store, struct reactor *reactor,
                      struct buf *to)
{
    struct reactor_stats s;
    size_t before = to->len;
    int err = buf_append_slice(to, slice_str("engine "));

    if (!err)
        err = buf_append_slice(to, slice_str(store_engine(store)));
    if (!err)
        err = buf_append(to, "\n", 1);
    if (!err)
        err = add_store(to, store);
    reactor_stats(reactor, &s);
    const struct {
        const char *name;
        uint64_t n;
    } lines[] = {
        { "connections", s.connections }, { "accepted", s.accepted },
        { "refused", s.refused }, { "dropped", s.dropped },
        { "buffered", s.buffered },
    };
    for (size_t i = 0; !err && i < sizeof lines / sizeof *lines; i++)
        err = add(to, lines[i].name, lines[i].n);
    if (err)
        to->len = before;
    return err;
}
