/* kvs_files.c -- given: `kvs dump` and `verify`. */
#include "stage2-server/kvs_files.h"

#include <inttypes.h>
#include <stdio.h>

#include "stage2-server/kvs_source.h"
#include "stage2-server/quote.h"
#include "stage2-server/table.h"

/* ---- dump ---------------------------------------------------------------- */

struct dump {
    const struct source *source;
    struct table *last;         /* key -> offset of its last record */
    uint64_t torn;              /* from here on the next open cuts it */
    bool old;
};

static int note_last(void *arg, const struct piece *piece)
{
    struct dump *d = arg;

    if (!piece->record && !source_damaged(d->source, piece) &&
        piece->offset < d->torn)
        d->torn = piece->offset;
    if (!piece->record || piece->record->kind == RECORD_MARK ||
        piece->offset >= d->torn)
        return 0;
    return table_insert(d->last, piece->record->key,
                        slice_of(&piece->offset, sizeof piece->offset));
}

static const char *state_of(const struct dump *d, const struct piece *piece)
{
    uint64_t last = 0;

    if (source_damaged(d->source, piece))
        return "damaged";
    if (!piece->record)
        return "torn";
    if (d->old)
        return "old";
    if (piece->offset >= d->torn)
        return "torn";
    if (piece->record->kind != RECORD_SET ||
        table_lookup(d->last, piece->record->key, &last, sizeof last) < 0)
        return "dead";
    return last == piece->offset ? "live" : "dead";
}

static int print_piece(void *arg, const struct piece *piece)
{
    static const char *const kinds[] = { "-", "set", "rm", "mark" };
    const struct dump *d = arg;
    const struct record *record = piece->record;

    printf("%s %" PRIu64, d->source->name, piece->offset);
    if (!record) {
        printf(" - - \"\" %" PRIu64 " %s\n", piece->len, state_of(d, piece));
        return 0;
    }
    printf(" %" PRIu64 " %s \"", record->sequence, kinds[record->kind]);
    quote_print(record->key, stdout);
    if (record->kind == RECORD_MARK)
        printf("\" 0 durable-to-%" PRIu64 "\n", record->durable);
    else
        printf("\" %zu %s\n", record->value.len, state_of(d, piece));
    return 0;
}

static int dump_log(struct source *s, uint64_t generation)
{
    struct dump dump = { .source = s, .torn = UINT64_MAX,
                         .old = generation != s->generation };
    int err = source_look_at(s, generation);

    if (!err)
        err = table_create(&dump.last, NULL);
    if (!err)
        err = source_each(s, note_last, &dump);
    if (!err)
        err = source_each(s, print_piece, &dump);
    table_destroy(dump.last);
    return err;
}

/* The logs that a compaction should have removed come first. */
struct older {
    uint64_t above, below, found;
};

static int find_older(void *arg, const char *name)
{
    struct older *o = arg;
    uint64_t generation = dir_log_generation(name);

    if (generation > o->above && generation < o->below &&
        (o->found == 0 || generation < o->found))
        o->found = generation;
    return 0;
}

int files_dump(const char *dir)
{
    struct source s;
    struct older o = { 0 };
    int err = source_open(&s, dir, true);

    if (err)
        return err;
    o.below = s.generation;
    do {
        o.above = o.found;
        o.found = 0;
        err = dir_each(&s.dir, find_older, &o);
        if (!err)
            err = dump_log(&s, o.found ? o.found : s.generation);
    } while (!err && o.found);
    source_close(&s);
    return err;
}

/* ---- verify -------------------------------------------------------------- */

struct verify {
    const struct source *source;
    uint64_t records, damaged, torn;
    char *first;                /* else to stdout */
    unsigned first_size;
};

static int describe(void *arg, const struct piece *piece)
{
    struct verify *v = arg;
    char text[256];

    v->records += piece->record && piece->record->kind != RECORD_MARK;
    if (!piece->record && !source_damaged(v->source, piece) && v->torn == 0)
        v->torn = v->source->size - piece->offset;
    if (!source_damaged(v->source, piece))
        return 0;
    snprintf(text, sizeof text,
             "%s: damaged at offset %" PRIu64 ", %" PRIu64 " bytes%s",
             v->source->name, piece->offset, piece->len,
             piece->unread ? ", which cannot all be read"
             : piece->offset == 0 ? " (the file's header)" : "");
    if (!v->first)
        puts(text);
    else if (v->damaged == 0)
        snprintf(v->first, v->first_size, "%s", text);
    v->damaged++;
    return 0;
}

int files_verify(const char *dir)
{
    struct source s;
    struct verify v = { .source = &s };
    int err = source_open(&s, dir, true);

    if (err)
        return err;
    err = source_each(&s, describe, &v);
    if (!err && v.torn > 0)
        printf("%s: a torn tail at offset %" PRIu64 ", %" PRIu64
               " bytes; the next open cuts it off\n", s.name,
               s.size - v.torn, v.torn);
    if (!err)
        printf("%s: %" PRIu64 " records, %" PRIu64 " damaged places\n",
               s.name, v.records, v.damaged);
    source_close(&s);
    return err ? err : v.damaged > 0;
}

void files_first_damage(const char *dir, char *text, unsigned size)
{
    struct source s;
    struct verify v = { .source = &s, .first = text, .first_size = size };

    *text = '\0';
    if (source_open(&s, dir, true) != 0)
        return;
    source_each(&s, describe, &v);
    source_close(&s);
}
