/* kvs_hints.c -- given: whether the hint of a log is good, for kvs. */
#include <errno.h>

#include "stage5-compaction/hint.h"
#include "stage5-compaction/kvs_logs.h"

/* The hint as it should be. */
static int add_piece(void *arg, const struct piece *piece)
{
    const struct record *r = piece->record;
    struct hint *hint = arg;

    if (!r || r->kind == RECORD_MARK || logs_is_label(r))
        return 0;
    struct log_position at = { piece->offset, (uint32_t)r->key.len,
                               (uint32_t)r->value.len };
    return hint_add(hint, r, &at);
}

static struct slice entries_of(const struct hint *hint)
{
    size_t len = hint->bytes.len;

    return len < HINT_HEADER
               ? slice_of("", 0)
               : slice_of(hint->bytes.ptr + HINT_HEADER, len - HINT_HEADER);
}

int logs_check_hint(struct logs *logs, size_t i)
{
    const struct source *s = &logs->source;
    struct hint hint, should;

    hint_init(&hint);
    hint_init(&should);
    int err = hint_load(&hint, &s->dir, logs->all[i].generation, s->salt,
                        s->size);
    if (!err)
        err = logs_each(logs, i, add_piece, &should);
    if (!err && !slice_equal(entries_of(&hint), entries_of(&should)))
        err = -EILSEQ;
    hint_release(&should);
    hint_release(&hint);
    return err;
}
