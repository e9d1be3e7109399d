/* copies.c -- given. */
#include "stage5-compaction/copies.h"

#include <errno.h>

#include "common/clock.h"
#include "stage5-compaction/background.h"

/* ---- Gathering ----------------------------------------------------------- */

int gather_begin(struct gathered *gathered)
{
    gathered->n = 0;
    gathered->bytes = (struct buf){ 0 };
    return buf_reserve(&gathered->bytes, GATHERED_BYTES);
}

void gather_release(struct gathered *gathered)
{
    buf_release(&gathered->bytes);
}

void gather_clear(struct gathered *gathered)
{
    gathered->n = 0;
    buf_clear(&gathered->bytes);
}

/* The buffer has the room, so it does not move. */
static struct slice keep(struct buf *bytes, struct slice slice)
{
    size_t at = bytes->len;

    buf_append_slice(bytes, slice);
    return slice_of(bytes->ptr + at, slice.len);
}

int gather_add(struct gathered *gathered, const struct record *record,
               const struct place *from, gather_fn *deal, void *arg)
{
    struct buf *bytes = &gathered->bytes;
    size_t body = record->key.len + record->value.len;
    int err = 0;

    if (gathered->n == GATHERED_RECORDS || body > bytes->cap - bytes->len)
        err = deal(arg);
    if (err)
        return err;
    struct record *copy = &gathered->records[gathered->n];
    *copy = *record;
    gathered->places[gathered->n++] = *from;
    if (body > bytes->cap)          /* alone, from where it is */
        return deal(arg);
    copy->key = keep(bytes, record->key);
    copy->value = keep(bytes, record->value);
    return 0;
}

/* ---- Copying ------------------------------------------------------------- */

int copies_begin(struct copies *copies, struct store *store,
                 struct segment *output)
{
    *copies = (struct copies){ .store = store, .output = output,
                               .piece_began = clock_now_ns() };
    return gather_begin(&copies->waiting);
}

void copies_release(struct copies *copies)
{
    gather_release(&copies->waiting);
    buf_release(&copies->from);
    hint_release(&copies->hint);
}

static int note_copies(struct copies *c,
                       const struct log_position *positions)
{
    struct segment *out = c->output;
    int err = 0;

    for (size_t i = 0; i < c->waiting.n && !err; i++) {
        const struct record *r = &c->waiting.records[i];
        uint64_t size = record_size(r->key.len, r->value.len);

        err = hint_add(&c->hint, r, &positions[i]);
        if (!err)
            err = buf_append(&c->from, &c->waiting.places[i],
                             sizeof c->waiting.places[i]);
        out->bytes += size;
        if (r->kind == RECORD_REMOVE) {
            out->tombs += size;
            if (r->sequence > out->last_tomb)
                out->last_tomb = r->sequence;
        }
    }
    return err;
}

int copies_pause(struct copies *c)
{
    bool stop = background_pause(c->store, clock_now_ns() - c->piece_began);

    c->piece_began = clock_now_ns();
    return stop ? -ECANCELED : 0;
}

static int copy_out(void *arg)
{
    struct copies *c = arg;
    struct log_position positions[GATHERED_RECORDS];
    int err = segment_append(c->output, c->waiting.records, c->waiting.n,
                             positions, false);

    if (!err)
        err = note_copies(c, positions);
    gather_clear(&c->waiting);
    return err ? err : copies_pause(c);
}

int copies_add(struct copies *c, const struct record *record,
               const struct place *from)
{
    return gather_add(&c->waiting, record, from, copy_out, c);
}

int copies_end(struct copies *c)
{
    int err = c->waiting.n > 0 ? copy_out(c) : 0;

    c->output->first = c->hint.first;
    c->output->last = c->hint.last;
    return err;
}
