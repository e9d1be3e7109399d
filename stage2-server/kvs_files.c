/* kvs_files.c -- given: `kvs dump`, `verify` and `repair`. */
#include "stage2-server/kvs_files.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/file.h"
#include "stage2-server/dir.h"
#include "stage2-server/log.h"
#include "stage2-server/quote.h"
#include "stage2-server/record.h"
#include "stage2-server/table.h"

enum { FORMAT = 1 };

/* ---- A log's pieces: sound records, and what lies between them ---------------- */

struct source {
    struct dir dir;             /* locked */
    uint64_t generation;        /* of the newest log; 0: there is none */
    int fd;                     /* the log that is looked at, */
    char name[DIR_NAME_MAX];
    uint64_t size, salt;
    bool bad_header;            /* damaged; the salt may have been found */
    bool torn_header;           /* no records yet: the next open writes it */
    bool no_salt;
    uint64_t durable;           /* what the log says about itself */
};

struct piece {
    uint64_t offset, len;
    const struct record *record;    /* NULL: no sound record */
    uint64_t after;                 /* the sequence number before it */
};

typedef int piece_fn(void *arg, const struct piece *piece);

static bool believable(const struct record *record, uint64_t last)
{
    return record->kind == RECORD_MARK || record->sequence > last;
}

/* The next record that may be believed, at scan->offset or behind: 1, and
 * the scan stands at its start; 0 if there is none. */
static int find_next(struct record_scan *scan, uint64_t last)
{
    struct record record;
    uint64_t at = scan->offset;
    int got = record_scan_next(scan, &record);

    while (got == -EBADMSG || (got == 1 && !believable(&record, last))) {
        scan->offset = at;
        got = record_scan_resync(scan, &record);
        at = scan->offset;
    }
    if (got == 1)
        scan->offset = at;
    return got;
}

static int pass_pieces(struct record_scan *scan, piece_fn *fn, void *arg)
{
    uint64_t last = 0, at = scan->offset;
    struct record record;
    int err = 0, got = 1;

    while (!err && got == 1) {
        struct piece piece = { .offset = at, .after = last };

        got = find_next(scan, last);
        if (got < 0)
            return got;
        uint64_t next = got ? scan->offset : scan->size;
        piece.len = next - at;
        if (piece.len > 0)
            err = fn(arg, &piece);
        if (err || got == 0)
            break;
        err = record_scan_next(scan, &record) == 1 ? 0 : -EIO;
        at = scan->offset;
        piece = (struct piece){ next, at - next, &record, last };
        if (!err)
            err = fn(arg, &piece);
        if (record.kind != RECORD_MARK)
            last = record.sequence;
    }
    return err;
}

static int each_piece(const struct source *s, piece_fn *fn, void *arg)
{
    struct record_scan scan;
    struct piece whole = { 0, s->size, NULL, 0 };
    struct piece header = { 0, RECORD_FILE_HEADER, NULL, 0 };
    int err = 0;

    if (s->no_salt)
        return s->size > 0 ? fn(arg, &whole) : 0;
    if (s->bad_header)
        err = fn(arg, &header);
    if (err)
        return err;
    record_scan_init(&scan, s->fd, s->salt, RECORD_FILE_HEADER, s->size);
    err = pass_pieces(&scan, fn, arg);
    record_scan_release(&scan);
    return err;
}

static int note_durable(void *arg, const struct piece *piece)
{
    uint64_t *durable = arg;

    if (piece->record && piece->record->durable > *durable)
        *durable = piece->record->durable;
    return 0;
}

/* Damage, or else the torn tail of a crash. */
static bool is_damage(const struct source *s, const struct piece *piece)
{
    if (piece->record)
        return false;
    if (piece->offset == 0)
        return !s->torn_header;
    return piece->offset < s->durable;
}

/* ---- Opening -------------------------------------------------------------------- */

/* As log_open sees it: cut off, or it never reached the disk. */
static bool is_torn_header(const unsigned char *header, uint64_t size)
{
    static const unsigned char zeros[RECORD_FILE_HEADER];

    return size < RECORD_FILE_HEADER
           || (size == RECORD_FILE_HEADER
               && memcmp(header, zeros, sizeof zeros) == 0);
}

/* With a damaged header the salt may be right all the same: the first record
 * tells. */
static int try_salt(struct source *s, const unsigned char *header)
{
    struct record_scan scan;
    struct record record;

    s->salt = 0;
    for (int i = 7; i >= 0; i--)
        s->salt = s->salt << 8 | header[16 + i];
    record_scan_init(&scan, s->fd, s->salt, RECORD_FILE_HEADER, s->size);
    int got = record_scan_next(&scan, &record);
    record_scan_release(&scan);
    s->bad_header = true;
    s->no_salt = got != 1;
    return got < 0 && got != -EBADMSG ? got : 0;
}

/* Makes the log of that generation the one that is looked at. */
static int look_at(struct source *s, uint64_t generation)
{
    unsigned char header[RECORD_FILE_HEADER] = { 0 };
    struct stat st;

    dir_log_name(s->name, generation);
    if (s->fd >= 0)
        close(s->fd);
    s->fd = openat(s->dir.fd, s->name, O_RDONLY | O_CLOEXEC);
    if (s->fd < 0 || fstat(s->fd, &st) != 0)
        return -errno;
    s->size = (uint64_t)st.st_size;
    s->bad_header = s->no_salt = false;
    s->durable = 0;
    ssize_t n = pread_full(s->fd, header, sizeof header, 0);
    if (n < 0)
        return (int)n;
    s->torn_header = is_torn_header(header, s->size);
    int err = record_parse_file(header, &s->salt);
    if (err == -EBADMSG)
        err = try_salt(s, header);
    return err ? err : each_piece(s, note_durable, &s->durable);
}

static int find_newest(void *arg, const char *name)
{
    uint64_t *newest = arg, generation = dir_log_generation(name);

    if (generation > *newest)
        *newest = generation;
    return 0;
}

static void source_close(struct source *s)
{
    if (s->fd >= 0)
        close(s->fd);
    dir_close(&s->dir);
}

static int source_open(struct source *s, const char *path, bool read_only)
{
    char engine[DIR_ENGINE_MAX];
    int err = dir_engine(path, engine);

    if (err)
        return err;             /* never makes a store */
    *s = (struct source){ .fd = -1 };
    err = dir_open(&s->dir, path, "kvs", FORMAT, read_only);
    if (err)
        return err;
    err = dir_each(&s->dir, find_newest, &s->generation);
    if (!err && s->generation == 0)
        err = -ENOENT;
    if (!err)
        err = look_at(s, s->generation);
    if (err)
        source_close(s);
    return err;
}

/* ---- dump --------------------------------------------------------------------------- */

struct dump {
    const struct source *source;
    struct table *last;         /* key -> offset of its last record */
    uint64_t torn;              /* from here on the next open cuts it */
    bool old;
};

static int note_last(void *arg, const struct piece *piece)
{
    struct dump *d = arg;

    if (!piece->record && !is_damage(d->source, piece) &&
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

    if (!piece->record)
        return is_damage(d->source, piece) ? "damaged" : "torn";
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
    int err = look_at(s, generation);

    if (!err)
        err = table_create(&dump.last, NULL);
    if (!err)
        err = each_piece(s, note_last, &dump);
    if (!err)
        err = each_piece(s, print_piece, &dump);
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

/* ---- verify ------------------------------------------------------------------------------ */

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
    if (!piece->record && !is_damage(v->source, piece) && v->torn == 0)
        v->torn = v->source->size - piece->offset;
    if (!is_damage(v->source, piece))
        return 0;
    snprintf(text, sizeof text,
             "%s: damaged at offset %" PRIu64 ", %" PRIu64 " bytes%s",
             v->source->name, piece->offset, piece->len,
             piece->offset == 0 ? " (the file's header)" : "");
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
    err = each_piece(&s, describe, &v);
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
    each_piece(&s, describe, &v);
    source_close(&s);
}

/* ---- repair ------------------------------------------------------------------------------- */

struct repair {
    const struct source *source;
    struct log_file *to;
    FILE *lost;
    char lost_name[2 * DIR_NAME_MAX];
    struct buf bytes;
};

/* A piece that is no record goes to the file of what is lost. */
static int set_aside(struct repair *r, const struct piece *piece)
{
    long at = ftell(r->lost);

    for (uint64_t done = 0; done < piece->len;) {
        uint64_t left = piece->len - done;
        size_t n = left < (1 << 16) ? (size_t)left : 1 << 16;

        buf_clear(&r->bytes);
        if (buf_reserve(&r->bytes, n) != 0)
            return -ENOMEM;
        ssize_t got = pread_full(r->source->fd, r->bytes.ptr, n,
                                 (off_t)(piece->offset + done));
        if (got <= 0)
            return got < 0 ? (int)got : -EIO;
        if (fwrite(r->bytes.ptr, 1, (size_t)got, r->lost) != (size_t)got)
            return -errno;
        done += (uint64_t)got;
    }
    printf("%s: %" PRIu64 " bytes at offset %" PRIu64 " are no record%s; they"
           " are now in %s at offset %ld\n", r->source->name, piece->len,
           piece->offset, piece->offset == 0 ? " (the file's header)" : "",
           r->lost_name, at);
    if (piece->offset > 0)
        printf("  lost are changes behind number %" PRIu64 "\n",
               piece->after);
    return 0;
}

static int mend_piece(void *arg, const struct piece *piece)
{
    struct repair *r = arg;
    struct log_position position;

    if (!piece->record)
        return set_aside(r, piece);
    if (piece->record->kind == RECORD_MARK)
        return 0;
    struct record copy = *piece->record;
    return log_append(r->to, &copy, 1, &position);
}

/* The sound records are in the new log, and the rest is set aside, durably. */
static int mend(struct repair *r)
{
    int err = each_piece(r->source, mend_piece, r);

    if (!err)
        err = log_sync(r->to);
    if (!err)
        err = log_mark(r->to);
    if (!err && (fflush(r->lost) != 0 || fsync(fileno(r->lost)) != 0))
        err = -errno;
    return err;
}

/* As a compaction's output: under another name until it is whole. */
static int replace_log(struct repair *r, const char *dir)
{
    const struct source *s = r->source;
    char path[PATH_MAX], made[DIR_NAME_MAX + sizeof DIR_NEW];
    char name[DIR_NAME_MAX];

    dir_log_name(name, s->generation + 1);
    snprintf(made, sizeof made, "%s%s", name, DIR_NEW);
    int n = snprintf(path, sizeof path, "%s/%s", dir, made);
    if (n < 0 || (size_t)n >= sizeof path)
        return -ENAMETOOLONG;
    unlinkat(s->dir.fd, made, 0);
    int err = log_open(&r->to, path, LOG_CREATE);
    if (err)
        return err;
    err = mend(r);
    log_close(r->to);
    if (!err && renameat(s->dir.fd, made, s->dir.fd, name) != 0)
        err = -errno;
    if (err) {
        unlinkat(s->dir.fd, made, 0);
        return err;
    }
    err = dir_sync(&s->dir);
    if (!err && unlinkat(s->dir.fd, s->name, 0) != 0)
        err = -errno;
    return err ? err : dir_sync(&s->dir);
}

static int open_lost(struct repair *r)
{
    int fd = -1;

    snprintf(r->lost_name, sizeof r->lost_name, "lost-%.*s", DIR_NAME_MAX,
             r->source->name);
    fd = openat(r->source->dir.fd, r->lost_name,
                O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    r->lost = fd < 0 ? NULL : fdopen(fd, "w");
    if (r->lost)
        return 0;
    int err = -errno;
    if (fd >= 0)
        close(fd);
    return err;
}

static int repair(const struct source *s, const char *dir)
{
    struct repair r = { .source = s };
    int err = open_lost(&r);

    if (err)
        return err;
    err = replace_log(&r, dir);
    fclose(r.lost);
    buf_release(&r.bytes);
    if (err)
        unlinkat(s->dir.fd, r.lost_name, 0);
    return err;
}

int files_repair(const char *dir)
{
    char text[256] = "";
    struct source s;
    struct verify v = { .source = &s, .first = text,
                        .first_size = sizeof text };
    int err = source_open(&s, dir, false);

    if (err)
        return err;
    err = each_piece(&s, describe, &v);
    if (!err && v.damaged > 0)
        err = repair(&s, dir);
    else if (!err)
        printf("%s: nothing to repair\n", s.name);
    source_close(&s);
    return err;
}
