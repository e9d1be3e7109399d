/* kvs_files.c -- given: `kvs dump` and `verify` of a directory of many logs. */
#include "stage2-server/kvs_files.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/little.h"
#include "stage2-server/quote.h"
#include "stage2-server/table.h"
#include "stage5-compaction/hint.h"
#include "stage5-compaction/kvs_logs.h"

/* ---- dump ---------------------------------------------------------------- */

/* A key's last record. */
struct last {
    uint64_t sequence, generation, offset;
    bool set;
};

struct dump {
    struct logs logs;
    struct table *last;         /* key -> struct last */
};

/* From here on the next open cuts the log. */
static void note_torn(struct dump *d, const struct piece *piece)
{
    struct one_log *log = &d->logs.all[d->logs.at - d->logs.all];

    if (!piece->record && !logs_damaged(&d->logs, piece) &&
        piece->offset < log->torn)
        log->torn = piece->offset;
}

static int note_last(void *arg, const struct piece *piece)
{
    struct dump *d = arg;
    const struct record *r = piece->record;
    struct last before;

    note_torn(d, piece);
    if (!r || r->kind == RECORD_MARK || logs_is_label(r) ||
        piece->offset >= d->logs.at->torn)
        return 0;
    struct last now = { r->sequence, d->logs.at->generation, piece->offset,
                        r->kind == RECORD_SET };
    if (table_lookup(d->last, r->key, &before, sizeof before) >= 0 &&
        before.sequence > now.sequence)
        return 0;
    return table_insert(d->last, r->key, slice_of(&now, sizeof now));
}

static const char *state_of(const struct dump *d, const struct piece *piece)
{
    const struct one_log *log = d->logs.at;
    const struct record *r = piece->record;
    struct last last = { 0 };

    if (logs_damaged(&d->logs, piece))
        return "damaged";
    if (log->replaced)
        return "replaced";
    if (!r || piece->offset >= log->torn)
        return "torn";
    if (table_lookup(d->last, r->key, &last, sizeof last) < 0)
        return "dead";
    if (r->kind == RECORD_REMOVE)
        return !last.set && logs_pin(&d->logs, r->sequence) ? "pinned"
                                                            : "dead";
    return last.generation == log->generation && last.offset == piece->offset
               ? "live" : "dead";
}

static void print_label(const struct record *r)
{
    const unsigned char *bytes = r->key.ptr;

    printf(" 0 label \"\" 0 born-%" PRIu64, little_get64(bytes));
    for (size_t i = 8; i < r->key.len; i += 8)
        printf("%s%" PRIu64, i == 8 ? "-replaces-" : "-",
               little_get64(bytes + i));
    putchar('\n');
}

static int print_piece(void *arg, const struct piece *piece)
{
    static const char *const kinds[] = { "-", "set", "rm", "mark" };
    const struct dump *d = arg;
    const struct record *r = piece->record;

    printf("%s %" PRIu64, d->logs.source.name, piece->offset);
    if (!r) {
        printf(" - - \"\" %" PRIu64 " %s\n", piece->len, state_of(d, piece));
        return 0;
    }
    if (logs_is_label(r)) {
        print_label(r);
        return 0;
    }
    printf(" %" PRIu64 " %s \"", r->sequence, kinds[r->kind]);
    quote_print(r->key, stdout);
    if (r->kind == RECORD_MARK)
        printf("\" 0 durable-to-%" PRIu64 "\n", r->durable);
    else
        printf("\" %zu %s\n", r->value.len, state_of(d, piece));
    return 0;
}

static int for_each_log(struct dump *d, piece_fn *fn, bool replaced)
{
    int err = 0;

    for (size_t i = 0; i < d->logs.n && !err; i++)
        if (replaced || !d->logs.all[i].replaced)
            err = logs_each(&d->logs, i, fn, d);
    return err;
}

int files_dump(const char *dir)
{
    struct dump d = { 0 };
    int err = logs_open(&d.logs, dir, true);

    if (err)
        return err;
    err = table_create(&d.last, NULL);
    if (!err)
        err = for_each_log(&d, note_last, false);
    if (!err)
        err = for_each_log(&d, print_piece, true);
    table_destroy(d.last);
    logs_close(&d.logs);
    return err;
}

/* ---- verify -------------------------------------------------------------- */

struct verify {
    struct logs logs;
    uint64_t records, damaged;  /* of the log that is looked at */
    bool has_torn;
    uint64_t torn;              /* where its torn tail begins */
    uint64_t all;               /* damages */
    char *first;                /* else to stdout */
    unsigned first_size;
};

static const char *what_is_it(const struct piece *piece)
{
    if (piece->unread)
        return ", which cannot all be read";
    if (piece->record)
        return " (a label that makes no sense)";
    if (piece->len == 0)
        return " (its end is missing)";
    return piece->offset == 0 ? " (the file's header)" : "";
}

static void say(struct verify *v, const char *text)
{
    if (!v->first)
        puts(text);
    else if (v->all == 0)
        snprintf(v->first, v->first_size, "%s", text);
    v->all++;
}

static int describe(void *arg, const struct piece *piece)
{
    struct verify *v = arg;
    char text[256];
    const struct record *r = piece->record;

    v->records += r && r->kind != RECORD_MARK && !logs_is_label(r);
    if (!logs_damaged(&v->logs, piece)) {
        if (!r && !v->has_torn)
            v->torn = piece->offset;
        v->has_torn |= !r;
        return 0;
    }
    snprintf(text, sizeof text,
             "%s: damaged at offset %" PRIu64 ", %" PRIu64 " bytes%s",
             v->logs.source.name, piece->offset, piece->len,
             what_is_it(piece));
    say(v, text);
    v->damaged++;
    return 0;
}

/* A hint is advice: one that is not believed changes no answer. One that is,
 * and is wrong, no damage of a disk explains. */
static void remark_on_hint(struct verify *v, size_t i)
{
    char name[DIR_NAME_MAX], text[256];
    int err = logs_check_hint(&v->logs, i);

    hint_name(name, v->logs.all[i].generation);
    if (err == -EILSEQ) {
        snprintf(text, sizeof text, "%s: damaged at offset %d: it says other"
                 " than its log", name, HINT_HEADER);
        say(v, text);
    } else if (err != 0 && err != -ENOENT && !v->first) {
        printf("%s: of no use (damaged, or of another state of its log); that"
               " is no damage, it is made anew\n", name);
    }
}

static void sum_up(const struct verify *v)
{
    const struct source *s = &v->logs.source;
    const struct one_log *log = v->logs.at;

    if (v->has_torn && !log->replaced)
        printf("%s: a torn tail at offset %" PRIu64 ", %" PRIu64
               " bytes; the next open cuts it off\n", s->name, v->torn,
               s->size - v->torn);
    if (log->empty && !log->bad)
        printf("%s: nothing in it; the next open removes it\n", s->name);
    else if (log->replaced && v->damaged == 0)
        printf("%s: replaced; the next open removes it\n", s->name);
    else
        printf("%s: %" PRIu64 " records, %" PRIu64 " damaged places\n",
               s->name, v->records, v->damaged);
}

static int verify_log(struct verify *v, size_t i)
{
    v->records = v->damaged = 0;
    v->has_torn = false;
    int err = logs_each(&v->logs, i, describe, v);
    if (err)
        return err;
    if (!v->first)
        sum_up(v);
    if (v->damaged == 0 && !v->logs.at->replaced)
        remark_on_hint(v, i);
    return 0;
}

int files_verify(const char *dir)
{
    struct verify v = { 0 };
    int err = logs_open(&v.logs, dir, true);

    if (err)
        return err;
    for (size_t i = 0; i < v.logs.n && !err; i++)
        err = verify_log(&v, i);
    if (!err && v.logs.n == 0)
        puts("no logs: an empty store");
    logs_close(&v.logs);
    return err ? err : v.all > 0;
}

void files_first_damage(const char *dir, char *text, unsigned size)
{
    struct verify v = { .first = text, .first_size = size };

    *text = '\0';
    if (logs_open(&v.logs, dir, true) != 0)
        return;
    for (size_t i = 0; i < v.logs.n && v.all == 0; i++)
        verify_log(&v, i);
    logs_close(&v.logs);
}
