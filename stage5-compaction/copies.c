/* copies.c -- given. */
#include "stage5-compaction/copies.h"

#include <errno.h>

#include "common/clock.h"
#include "stage5-compaction/background.h"

int copies_begin(struct copies *copies, struct store *store,
                 struct segment *output)
{
    *copies = (struct copies){ .store = store, .output = output,
                               .piece_began = clock_now_ns() };
    return buf_reserve(&copies->bytes, COPIES_BYTES);
}

void copies_release(struct copies *copies)
{
    buf_release(&copies->bytes);
    buf_release(&copies->from);
    hint_release(&copies->hint);
}

static int note_copies(struct copies *c,
                       const struct log_position *positions)
{
    struct segment *out = c->output;
    int err = 0;

    for (size_t i = 0; i < c->waiting && !err; i++) {
        const struct record *r = &c->records[i];
        uint64_t size = record_size(r->key.len, r->value.len);

        err = hint_add(&c->hint, r, &positions[i]);
        if (!err)
            err = buf_append(&c->from, &c->places[i], sizeof c->places[i]);
        out->bytes += size;
        if (r->kind == RECORD_REMOVE) {
            out->tombs += size;
            if (r->sequence > out->last_tomb)
                out->last_tomb = r->sequence;
        }
    }
    return err;
}

static int copy_out(struct copies *c)
{
    struct log_position positions[COPIES_RECORDS];
    int err = segment_append(c->output, c->records, c->waiting, positions,
                             false);

    if (!err)
        err = note_copies(c, positions);
    c->waiting = 0;
    buf_clear(&c->bytes);
    if (!err && background_pause(c->store, clock_now_ns() - c->piece_began))
        err = -ECANCELED;
    c->piece_began = clock_now_ns();
    return err;
}

struct slice copies_keep(struct buf *bytes, struct slice slice)
{
    size_t at = bytes->len;

    buf_append_slice(bytes, slice);
    return slice_of(bytes->ptr + at, slice.len);
}

int copies_add(struct copies *c, const struct record *record,
               const struct place *from)
{
    size_t body = record->key.len + record->value.len;
    int err = 0;

    if (c->waiting == COPIES_RECORDS || body > c->bytes.cap - c->bytes.len)
        err = copy_out(c);
    if (err)
        return err;
    struct record *copy = &c->records[c->waiting];
    *copy = *record;
    c->places[c->waiting++] = *from;
    if (body > c->bytes.cap)        /* alone, from where it is */
        return copy_out(c);
    copy->key = copies_keep(&c->bytes, record->key);
    copy->value = copies_keep(&c->bytes, record->value);
    return 0;
}

int copies_end(struct copies *c)
{
    int err = c->waiting > 0 ? copy_out(c) : 0;

    c->output->first = c->hint.first;
    c->output->last = c->hint.last;
    return err;
}
