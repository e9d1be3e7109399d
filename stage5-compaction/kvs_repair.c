/* kvs_repair.c -- given: `kvs repair` of a directory of many logs.
 *
 * A damaged log is written anew, with its sound records, as a segment that
 * names the damaged one as replaced: so whoever is killed on the way leaves
 * either the one or both, and of both only the new one counts. It keeps the
 * birth. (With the label that is lost: then it is 0, which is always right,
 * as it only pins more.) What is no record is on the disk in a file of its
 * own before that.
 */
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "stage2-server/kvs_files.h"
#include "stage5-compaction/hint.h"
#include "stage5-compaction/kvs_logs.h"
#include "stage5-compaction/segment.h"

enum { FORMAT = 2 };

struct repair {
    struct logs logs;
    const char *dir;
    struct segment *to;
    bool unread;                /* some of the log cannot be read */
    FILE *lost;                 /* made when something is lost */
    char lost_name[2 * DIR_NAME_MAX];
};

/* ---- What is lost -------------------------------------------------------- */

static void say_what(const struct repair *r, const struct piece *piece)
{
    const struct one_log *log = r->logs.at;

    if (log->replaced)
        return;
    if (log->no_label && piece->offset <= RECORD_FILE_HEADER)
        puts("  lost is its label: when it began and which logs it replaces");
    else if (log->n_replaces > 0)
        puts("  lost are values of some keys; what was set there once may be"
             " back");
    else if (piece->offset > 0)
        printf("  lost are changes behind number %" PRIu64 "\n",
               piece->after);
}

static int set_aside(struct repair *r, const struct piece *piece)
{
    const char *name = r->logs.source.name;
    int err = r->lost ? 0 : source_lost(&r->logs.source, r->lost_name,
                                        &r->lost);

    if (err)
        return err;
    if (piece->len == 0) {
        printf("%s: its end is missing, from offset %" PRIu64 " on\n", name,
               piece->offset);
    } else {
        long at = ftell(r->lost);

        err = source_copy(&r->logs.source, piece, r->lost);
        printf("%s: %" PRIu64 " bytes at offset %" PRIu64 " are no record%s;"
               " they are now in %s at offset %ld\n", name, piece->len,
               piece->offset, piece->unread ? ", and cannot all be read"
               : piece->offset == 0 ? " (the file's header)" : "",
               r->lost_name, at);
    }
    say_what(r, piece);
    return err;
}

/* ---- The new segment ----------------------------------------------------- */

/* A tail of zeros is room that was made in advance. */
static bool is_tail(const struct repair *r, const struct piece *piece)
{
    return !piece->record && !logs_damaged(&r->logs, piece) &&
           piece->offset + piece->len == r->logs.source.size;
}

static int mend_piece(void *arg, const struct piece *piece)
{
    struct repair *r = arg;
    struct log_position position;

    r->unread |= piece->unread > 0;
    if (is_tail(r, piece)) {
        printf("%s: a torn tail at offset %" PRIu64 ", %" PRIu64
               " bytes, was cut off\n", r->logs.source.name, piece->offset,
               piece->len);
        return 0;
    }
    if (!piece->record || (!piece->unread && logs_damaged(&r->logs, piece)))
        return set_aside(r, piece);
    if (piece->record->kind == RECORD_MARK || piece->record->sequence == 0 ||
        r->logs.at->replaced)
        return 0;
    struct record copy = *piece->record;
    return segment_append(r->to, &copy, 1, &position, false);
}

/* The sound records are in the new log, and the rest is set aside, durably. */
static int mend(struct repair *r)
{
    size_t i = (size_t)(r->logs.at - r->logs.all);
    r->unread = false;
    int err = logs_each(&r->logs, i, mend_piece, r);

    if (!err)
        err = segment_seal(r->to);
    if (!err && r->lost &&
        (fflush(r->lost) != 0 || fsync(fileno(r->lost)) != 0))
        err = -errno;
    if (!err && r->unread)
        source_keep(&r->logs.source);
    return err ? err : dir_sync(&r->logs.source.dir);
}

static int remove_log(const struct dir *dir, uint64_t generation)
{
    char name[DIR_NAME_MAX];
    int err = dir_remove_logs(dir, &generation, 1, NULL, NULL);

    hint_name(name, generation);
    if (!err)
        unlinkat(dir->fd, name, 0);
    return err;
}

/* As a compaction's output: under another name until it is whole. */
static int replace_log(struct repair *r, const struct segment_label *label)
{
    char made[PATH_MAX + DIR_NAME_MAX], final[PATH_MAX + DIR_NAME_MAX];
    const struct dir *dir = &r->logs.source.dir;
    uint64_t generation = r->logs.highest + 1, old = r->logs.at->generation;

    segment_path(made, r->dir, generation, DIR_NEW);
    segment_path(final, r->dir, generation, "");
    unlink(made);
    int err = segment_create(&r->to, r->dir, generation, DIR_NEW, label);
    if (err)
        return err;
    r->logs.highest = generation;
    err = mend(r);
    segment_close(r->to);
    if (!err && rename(made, final) != 0)
        err = -errno;
    if (err) {
        unlink(made);
        if (r->unread)
            source_keep_not(&r->logs.source);
        return err;
    }
    err = dir_sync(dir);
    if (err)                    /* nobody may rely on the name */
        rename(final, made);
    if (!err && r->unread)
        err = source_kept(&r->logs.source);
    if (!err)
        err = remove_log(dir, old);
    return err;
}

static int repair_log(struct repair *r, size_t i)
{
    const struct one_log *log = r->logs.at = &r->logs.all[i];
    uint64_t *replaces = calloc(log->n_replaces + 1, sizeof *replaces);
    struct segment_label label = { log->birth, replaces,
                                   log->n_replaces + 1 };

    if (!replaces)
        return -ENOMEM;
    replaces[0] = log->generation;
    if (log->n_replaces > 0)
        memcpy(replaces + 1, log->replaces,
               log->n_replaces * sizeof *replaces);
    int err = replace_log(r, &label);
    if (r->lost && fclose(r->lost) != 0 && !err)
        err = -errno;
    r->lost = NULL;
    free(replaces);
    return err;
}

/* ---- All of them --------------------------------------------------------- */

static int find_damage(void *arg, const struct piece *piece)
{
    struct repair *r = arg;

    return logs_damaged(&r->logs, piece);
}

/* What stage 2 has left behind would count in a directory of many logs. */
static int make_format(struct repair *r)
{
    int err = 0;

    if (r->logs.source.dir.format >= FORMAT)
        return 0;
    for (size_t i = 0; i < r->logs.n && !err; i++)
        if (r->logs.all[i].replaced)
            err = remove_log(&r->logs.source.dir, r->logs.all[i].generation);
    return err ? err : dir_set_format(&r->logs.source.dir, FORMAT);
}

static void drop_hint(struct repair *r, size_t i)
{
    char name[DIR_NAME_MAX];

    hint_name(name, r->logs.all[i].generation);
    unlinkat(r->logs.source.dir.fd, name, 0);
    printf("%s: said other than its log, and was removed\n", name);
}

static int repair_all(struct repair *r)
{
    bool any = false;

    for (size_t i = 0; i < r->logs.n; i++) {
        int err = logs_each(&r->logs, i, find_damage, r);

        if (!err && !r->logs.at->replaced &&
            logs_check_hint(&r->logs, i) == -EILSEQ) {
            any = true;
            drop_hint(r, i);
        }
        if (err > 0) {
            any = true;
            err = make_format(r);
            if (!err)
                err = repair_log(r, i);
        }
        if (err)
            return err;
    }
    if (!any)
        puts("nothing to repair");
    return 0;
}

int files_repair(const char *dir)
{
    struct repair r = { .dir = dir };
    int err = logs_open(&r.logs, dir, false);

    if (err)
        return err;
    err = repair_all(&r);
    logs_close(&r.logs);
    return err;
}
