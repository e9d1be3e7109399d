/* kvs_repair.c -- given: `kvs repair`. */
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <unistd.h>

#include "stage2-server/kvs_files.h"
#include "stage2-server/kvs_source.h"
#include "stage2-server/log.h"

struct repair {
    const struct source *source;
    struct log_file *to;
    FILE *lost;
    bool replaced;              /* the new log has its name */
    bool unread;                /* some of the old one cannot be read */
    char lost_name[2 * DIR_NAME_MAX];
};

/* A piece that is no record goes to the file of what is lost. */
static int set_aside(struct repair *r, const struct piece *piece)
{
    long at = ftell(r->lost);
    int err = source_copy(r->source, piece, r->lost);

    if (err)
        return err;
    printf("%s: %" PRIu64 " bytes at offset %" PRIu64 " are no record%s; they"
           " are now in %s at offset %ld\n", r->source->name, piece->len,
           piece->offset, piece->unread ? ", and cannot all be read"
           : piece->offset == 0 ? " (the file's header)" : "",
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

    r->unread |= piece->unread > 0;
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
    int err = source_each(r->source, mend_piece, r);

    if (!err)
        err = log_sync(r->to);
    if (!err)
        err = log_mark(r->to);
    if (!err && (fflush(r->lost) != 0 || fsync(fileno(r->lost)) != 0))
        err = -errno;
    if (!err && r->unread)
        source_keep(r->source);
    return err ? err : dir_sync(&r->source->dir);
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
        if (r->unread)
            source_keep_not(s);
        return err;
    }
    r->replaced = true;         /* or may have been, after a power failure */
    err = dir_sync(&s->dir);
    if (err)
        renameat(s->dir.fd, name, s->dir.fd, made);
    if (!err && r->unread)
        err = source_kept(s);
    if (!err && unlinkat(s->dir.fd, s->name, 0) != 0 && errno != ENOENT)
        err = -errno;
    return err ? err : dir_sync(&s->dir);
}

static int repair(const struct source *s, const char *dir)
{
    struct repair r = { .source = s };
    int err = source_lost(s, r.lost_name, &r.lost);

    if (err)
        return err;
    err = replace_log(&r, dir);
    fclose(r.lost);
    if (err && !r.replaced)
        unlinkat(s->dir.fd, r.lost_name, 0);
    return err;
}

struct search {
    const struct source *source;
    bool found;
};

static int find_damage(void *arg, const struct piece *piece)
{
    struct search *search = arg;

    search->found |= source_damaged(search->source, piece);
    return 0;
}

int files_repair(const char *dir)
{
    struct source s;
    struct search damage = { .source = &s };
    int err = source_open(&s, dir, false);

    if (err)
        return err;
    err = source_each(&s, find_damage, &damage);
    if (!err && damage.found)
        err = repair(&s, dir);
    else if (!err)
        printf("%s: nothing to repair\n", s.name);
    source_close(&s);
    return err;
}
