/* kvs_logs.c -- given: which logs a directory has, and what is damage there. */
#include "stage5-compaction/kvs_logs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/file.h"
#include "common/little.h"
#include "stage5-compaction/hint.h"

enum { FORMAT = 2 };

bool logs_is_label(const struct record *record)
{
    return record->kind == RECORD_REMOVE && record->sequence == 0 &&
           record->key.len >= 8 && record->key.len % 8 == 0;
}

bool logs_damaged(const struct logs *logs, const struct piece *piece)
{
    const struct one_log *log = logs->at;

    if (piece->unread > 0 && !log->replaced)
        return true;
    if (piece->record)          /* a label that makes no sense? */
        return logs->source.segment && piece->record->sequence == 0 &&
               piece->record->kind == RECORD_REMOVE &&
               !logs_is_label(piece->record);
    if (log->replaced)
        return log->bad && (log->empty || piece->offset <= RECORD_FILE_HEADER);
    if (log->active || (log->empty && !log->bad))
        return source_damaged(&logs->source, piece);
    return true;
}

bool logs_pin(const struct logs *logs, uint64_t sequence)
{
    for (size_t i = 0; i < logs->n; i++)
        if (&logs->all[i] != logs->at && !logs->all[i].replaced &&
            !logs->all[i].empty && logs->all[i].birth < sequence)
            return true;
    return false;
}

/* ---- Pieces -------------------------------------------------------------- */

struct ending {
    piece_fn *fn;
    void *arg;
    struct piece last;
    bool marked;                /* the last piece is a mark, */
    bool torn;                  /* or no record */
};

static int note_end(void *arg, const struct piece *piece)
{
    struct ending *e = arg;

    e->last = *piece;
    e->torn = !piece->record;
    e->marked = piece->record && piece->record->kind == RECORD_MARK;
    return e->fn(e->arg, piece);
}

static int look_at(struct logs *logs, size_t i)
{
    const struct one_log *log = logs->at = &logs->all[i];

    logs->source.segment = logs->source.dir.format > 1;
    logs->source.any_order = log->n_replaces > 0 || log->no_label;
    return source_look_at(&logs->source, log->generation);
}

int logs_each(struct logs *logs, size_t i, piece_fn *fn, void *arg)
{
    struct ending e = { .fn = fn, .arg = arg };
    int err = look_at(logs, i);

    if (!err)
        err = source_each(&logs->source, note_end, &e);
    const struct one_log *log = logs->at;
    bool may = log->empty ? !log->bad : log->active || log->replaced;
    if (err || e.marked || e.torn || may)
        return err;
    struct piece cut = { .offset = logs->source.size, .after = e.last.after };
    return fn(arg, &cut);
}

/* ---- Labels -------------------------------------------------------------- */

static int take_label(struct one_log *log, const struct record *record)
{
    const unsigned char *bytes = record->key.ptr;

    log->label = true;
    log->birth = little_get64(bytes);
    log->n_replaces = record->key.len / 8 - 1;
    log->replaces = calloc(log->n_replaces + 1, sizeof *log->replaces);
    if (!log->replaces)
        return -ENOMEM;
    for (size_t i = 0; i < log->n_replaces; i++)
        log->replaces[i] = little_get64(bytes + 8 * (i + 1));
    return 0;
}

/* The first record, even if the file's header is damaged: its salt may not
 * be. Without one, or with one that makes no sense, the label is lost. */
static int read_label(struct one_log *log, int fd)
{
    unsigned char header[RECORD_FILE_HEADER] = { 0 };
    struct record_scan scan;
    struct record record;
    struct stat st;

    if (fstat(fd, &st) != 0)
        return -errno;
    uint64_t lost = 0;
    ssize_t n = pread_around(fd, header, sizeof header, 0, &lost);
    if (n < 0)
        return (int)n;
    record_scan_init(&scan, fd, little_get64(header + 16), RECORD_FILE_HEADER,
                     (uint64_t)st.st_size);
    scan.around = true;
    int got = st.st_size > RECORD_FILE_HEADER
                  ? record_scan_next(&scan, &record) : 0;
    if (got == 1 && logs_is_label(&record))
        got = take_label(log, &record);
    else if (got == 1 && record.sequence == 0 &&
             record.kind == RECORD_REMOVE)
        log->bad = log->no_label = true;
    else if (got == -EBADMSG || got == 0)
        log->no_label = true;
    record_scan_release(&scan);
    return got < 0 && got != -EBADMSG ? got : 0;
}

static int find_damage(void *arg, const struct piece *piece)
{
    struct logs *logs = arg;

    return source_damaged(&logs->source, piece);
}

/* Without a label: was its making interrupted, or is it damaged? */
static int learn_log(struct logs *logs, size_t i)
{
    struct one_log *log = &logs->all[i];
    char name[DIR_NAME_MAX];
    int err = 0;

    if (logs->source.dir.format > 1) {
        dir_log_name(name, log->generation);
        int fd = openat(logs->source.dir.fd, name, O_RDONLY | O_CLOEXEC);
        err = fd < 0 ? -errno : read_label(log, fd);
        if (fd >= 0)
            close(fd);
    }
    if (!err)
        err = look_at(logs, i);
    if (!err && log->no_label)
        err = source_each(&logs->source, find_damage, logs);
    if (err < 0)
        return err;
    log->bad = log->bad || err > 0 || (logs->source.bad_header &&
                           !logs->source.torn_header);
    log->empty = log->no_label && !log->bad;
    return 0;
}

/* ---- Which count --------------------------------------------------------- */

static void note_highest(struct logs *logs, uint64_t generation)
{
    if (generation > logs->highest)
        logs->highest = generation;
}

static void note_replaced(struct logs *logs, uint64_t generation)
{
    note_highest(logs, generation);
    for (size_t i = 0; i < logs->n; i++)
        if (logs->all[i].generation == generation)
            logs->all[i].replaced = true;
}

/* The newest one that sets have written. */
static struct one_log *newest(struct logs *logs, bool replaced)
{
    struct one_log *found = NULL;

    for (size_t i = 0; i < logs->n; i++) {
        struct one_log *log = &logs->all[i];

        if (log->n_replaces == 0 && !log->empty &&
            (replaced || !log->replaced))
            found = log;
    }
    return found;
}

/* Then it was sealed before the hint was written. */
static bool has_hint(struct logs *logs, const struct one_log *log)
{
    const struct source *s = &logs->source;
    struct hint hint;

    hint_init(&hint);
    int err = look_at(logs, (size_t)(log - logs->all));
    if (!err)
        err = hint_load(&hint, &s->dir, log->generation, s->salt, s->size);
    hint_release(&hint);
    return err == 0;
}

/* As store.c's find_segments and reopen_active. */
static void judge_logs(struct logs *logs)
{
    struct one_log *last = newest(logs, true);

    for (size_t i = 0; i < logs->n; i++)
        if (logs->all[i].empty && last &&
            last->generation > logs->all[i].generation)
            logs->all[i].bad = true;
    for (size_t i = 0; i < logs->n; i++)
        for (size_t k = 0; k < logs->all[i].n_replaces; k++)
            note_replaced(logs, logs->all[i].replaces[k]);
    if (logs->source.dir.format == 1)
        for (size_t i = 0; i + 1 < logs->n; i++)
            logs->all[i].replaced = true;
    last = newest(logs, false);
    if (last)
        last->active = !has_hint(logs, last);
}

/* ---- Opening ------------------------------------------------------------- */

static int add_log(void *arg, const char *name)
{
    struct logs *logs = arg;
    uint64_t generation = dir_log_generation(name);

    if (generation == 0)
        return 0;
    struct one_log *more = realloc(logs->all,
                                   (logs->n + 1) * sizeof *logs->all);
    if (!more)
        return -ENOMEM;
    logs->all = more;
    logs->all[logs->n++] = (struct one_log){ .generation = generation,
                                             .torn = UINT64_MAX };
    note_highest(logs, generation);
    return 0;
}

static int by_generation(const void *a, const void *b)
{
    const struct one_log *x = a, *y = b;

    return (x->generation > y->generation) - (x->generation < y->generation);
}

void logs_close(struct logs *logs)
{
    for (size_t i = 0; i < logs->n; i++)
        free(logs->all[i].replaces);
    free(logs->all);
    source_close(&logs->source);
}

int logs_open(struct logs *logs, const char *path, bool read_only)
{
    char engine[DIR_ENGINE_MAX];
    int err = dir_engine(path, engine);

    if (err)
        return err;             /* never makes a store */
    *logs = (struct logs){ .source = { .fd = -1 } };
    err = dir_open(&logs->source.dir, path, "kvs", FORMAT, read_only);
    if (err)
        return err;
    err = dir_each(&logs->source.dir, add_log, logs);
    if (!err && logs->n == 0 && logs->source.dir.format == 1)
        err = -ENOENT;
    if (logs->n > 0)
        qsort(logs->all, logs->n, sizeof *logs->all, by_generation);
    /* Of stage 2's only the newest is ever read. */
    for (size_t i = 0; i < logs->n && !err; i++)
        if (logs->source.dir.format > 1 || i + 1 == logs->n)
            err = learn_log(logs, i);
    if (err) {
        logs_close(logs);
        return err;
    }
    judge_logs(logs);
    return 0;
}
