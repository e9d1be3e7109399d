/* load.c -- given. */
#include "stage5-compaction/load.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/lock.h"
#include "stage5-compaction/hint.h"

enum {
    THREADS = 8,
    WORTH = 64 * 1024,      /* bytes: about what is read while one starts */
    TOMB = -1,              /* a place's value_len: there is no value */
    PROGRESS = 4 * 1024 * 1024, /* bytes from one report to the next */
    PER_BUCKET = 6          /* entries: what a line of table_lf.c holds */
};

/* A segment on its way into the index. */
struct part {
    struct segment *segment;
    struct hint hint;
    struct entry *entries;  /* of the hint, made when needed */
    bool active;
    int err;
};

struct loading {
    struct store *store;
    struct part *parts;         /* by generation; after arrange: newest first */
    struct part **at;           /* by slot */
    size_t n;
    int (*pass)(struct loading *l, struct part *part);

    pthread_mutex_t lock;       /* guards: */
    size_t next;                /* part to be taken */
    uint64_t done, of;          /* bytes, for the progress */
    pthread_mutex_t find;       /* guards the making of entries */
};

/* ---- Threads ------------------------------------------------------------- */

static struct part *take(struct loading *l)
{
    mutex_lock(&l->lock);
    struct part *part = l->next < l->n ? &l->parts[l->next++] : NULL;
    mutex_unlock(&l->lock);
    return part;
}

static void *work(void *arg)
{
    struct loading *l = arg;

    for (struct part *part; (part = take(l)) != NULL;)
        part->err = l->pass(l, part);
    return NULL;
}

/* As many threads as help: a thread has a part, a CPU, and so much to read that
 * it is worth its making. */
static size_t threads_that_help(const struct loading *l)
{
    uint64_t n = l->of / WORTH + 1;

    n = n < THREADS ? n : THREADS;
    n = n < l->n ? n : l->n;
    if (n > 1) {
        long cpus = sysconf(_SC_NPROCESSORS_ONLN);
        n = cpus < 1 ? 1 : n < (uint64_t)cpus ? n : (uint64_t)cpus;
    }
    return (size_t)n;
}

/* The caller is one of the threads, so that it goes on where none can be had.
 * The first error in the order of the parts. */
static int for_each_part(struct loading *l,
                         int (*pass)(struct loading *, struct part *))
{
    pthread_t threads[THREADS];
    size_t help = threads_that_help(l), started = 0;

    l->pass = pass;
    l->next = 0;
    while (started + 1 < help &&
           thread_create(&threads[started], work, l) == 0)
        started++;
    work(l);
    while (started > 0)
        thread_join(threads[--started]);
    for (size_t i = 0; i < l->n; i++)
        if (l->parts[i].err)
            return l->parts[i].err;
    return 0;
}

/* ---- What is in a segment ------------------------------------------------ */

/* More bytes were looked at. */
static void tell(struct loading *l, uint64_t more)
{
    const struct store_options *o = &l->store->options;

    mutex_lock(&l->lock);
    l->done += more;
    if (o->progress)
        o->progress(o->progress_arg, l->done, l->of);
    mutex_unlock(&l->lock);
}

struct reading {
    struct loading *loading;    /* NULL: nobody wants to know */
    struct hint *hint;
    uint64_t told;
};

static int add_entry(void *arg, const struct record *record,
                     const struct log_position *at)
{
    struct reading *r = arg;

    if (r->loading && at->offset - r->told >= PROGRESS) {
        tell(r->loading, at->offset - r->told);
        r->told = at->offset;
    }
    return record->sequence == 0 ? 0 : hint_add(r->hint, record, at);
}

static int read_whole(struct store *s, struct segment *segment,
                      struct reading *r, bool active)
{
    return active ? log_replay(segment->log, add_entry, r, NULL)
                  : segment_each(segment, s->path, add_entry, r);
}

static int save(struct store *s, struct segment *segment, struct hint *hint)
{
    return hint_save(hint, &s->dir, segment->generation, segment->salt,
                     segment_end(segment));
}

static int pass_read(struct loading *l, struct part *part)
{
    struct store *s = l->store;
    struct segment *segment = part->segment;
    struct reading reading = { l, &part->hint, 0 };
    uint64_t size = segment_end(segment);   /* a torn tail with it */
    int err = part->active ? -ENOENT
                           : hint_load(&part->hint, &s->dir,
                                       segment->generation, segment->salt,
                                       segment_end(segment));

    segment->hinted = err == 0;
    if (err && err != -ENOMEM) {
        err = read_whole(s, segment, &reading, part->active);
        if (!err && !part->active && !s->options.read_only)
            segment->hinted = save(s, segment, &part->hint) == 0;
    }
    segment->first = part->hint.first;
    segment->last = part->hint.last;
    tell(l, size - reading.told);
    return err;
}

/* ---- Which is newer ------------------------------------------------------ */

/* What a segment's entries are found by. */
struct entry {
    uint64_t offset, sequence;
};

static int note_entry(void *arg, const struct hint_entry *e)
{
    struct entry **next = arg;

    *(*next)++ = (struct entry){ e->position.offset, e->sequence };
    return 0;
}

static int make_entries(struct loading *l, struct part *part)
{
    int err = 0;

    mutex_lock(&l->find);
    if (!part->entries) {
        struct entry *next = calloc(part->hint.entries, sizeof *next);

        part->entries = next;
        err = next ? hint_each(&part->hint, note_entry, &next) : -ENOMEM;
    }
    mutex_unlock(&l->find);
    return err;
}

/* The sequence number of the record at that place, which is in the part. */
static int sequence_at(struct loading *l, struct part *part, uint64_t offset,
                       uint64_t *sequence)
{
    size_t low = 0, high = part->hint.entries;
    int err = make_entries(l, part);

    while (!err && low < high) {
        size_t middle = low + (high - low) / 2;
        const struct entry *e = &part->entries[middle];

        if (e->offset == offset) {
            *sequence = e->sequence;
            return 0;
        }
        if (e->offset < offset)
            low = middle + 1;
        else
            high = middle;
    }
    return err ? err : -EBADMSG;
}

/* ---- Into the index ------------------------------------------------------ */

struct newer {
    struct loading *l;
    struct part *part;
    const struct hint_entry *entry;
    struct place place, before;
    bool was_there, moved;
    int err;
    int64_t live;           /* bytes of the part that count, so far */
    uint64_t last;          /* sequence number, so far */
    bool ascending;         /* so far: not so where inputs were joined */
};

/* An entry replaces what the index has of its key if that is older. Mostly the
 * numbers of the two parts say so; else that of the other's record is looked
 * up. In one part the later record need not be the newer: a compaction puts
 * the records of its inputs one behind the other, in any order. */
static enum table_decision newer_wins(void *arg, const struct slice *present,
                                      struct slice *value)
{
    struct newer *n = arg;
    uint64_t mine = n->entry->sequence, its = 0;

    n->was_there = present != NULL;
    n->moved = true;
    if (present) {
        memcpy(&n->before, present->ptr, sizeof n->before);
        struct part *other = n->l->at[n->before.slot];

        if (other == n->part ? !n->ascending
                             : n->part->hint.first <= other->hint.last) {
            if (n->part->hint.last >= other->hint.first)
                n->err = sequence_at(n->l, other, n->before.offset, &its);
            else
                its = UINT64_MAX;
        }
        n->moved = !n->err && mine >= its;
    }
    *value = slice_of(&n->place, sizeof n->place);
    return n->moved ? TABLE_REPLACE : TABLE_KEEP;
}

static uint64_t size_of(const struct hint_entry *e, uint32_t value_len)
{
    return record_size(e->key.len, value_len);
}

static void count_before(struct newer *n, const struct place *before)
{
    uint64_t size = size_of(n->entry, before->value_len);

    if (before->value_len == (uint32_t)TOMB)
        return;
    mutex_lock(&n->l->store->set.lock);
    n->l->at[before->slot]->segment->live -= (int64_t)size;
    mutex_unlock(&n->l->store->set.lock);
}

static int learn_entry(void *arg, const struct hint_entry *e)
{
    struct newer *n = arg;
    struct segment *segment = n->part->segment;
    bool set = e->kind == RECORD_SET;
    uint64_t size = size_of(e, e->position.value_len);

    n->ascending = n->ascending && e->sequence > n->last;
    n->last = e->sequence;
    n->entry = e;
    n->place = (struct place){ e->position.offset,
                               set ? e->position.value_len : (uint32_t)TOMB,
                               (uint32_t)segment->slot };
    int err = table_update(n->l->store->index, e->key, newer_wins, n);
    if (err || n->err)
        return err ? err : n->err;
    if (n->moved && n->was_there)
        count_before(n, &n->before);
    segment->bytes += size;
    if (!set) {
        segment->tombs += size;
        if (e->sequence > segment->last_tomb)
            segment->last_tomb = e->sequence;
    } else if (n->moved) {
        n->live += (int64_t)size;
    }
    return 0;
}

static int pass_learn(struct loading *l, struct part *part)
{
    struct newer n = { .l = l, .part = part, .ascending = true };
    int err = store_each_entry(l->store, &part->hint, learn_entry, &n);

    mutex_lock(&l->store->set.lock);
    part->segment->live += n.live;  /* others may have taken off some */
    mutex_unlock(&l->store->set.lock);
    return err;
}

static enum table_decision drop_tomb(void *arg, const struct slice *present,
                                     struct slice *value)
{
    struct place place;

    (void)arg;
    (void)value;
    if (!present)
        return TABLE_KEEP;
    memcpy(&place, present->ptr, sizeof place);
    return place.value_len == (uint32_t)TOMB ? TABLE_DELETE : TABLE_KEEP;
}

static int forget_entry(void *arg, const struct hint_entry *e)
{
    struct loading *l = arg;

    return e->kind == RECORD_SET
               ? 0
               : table_update(l->store->index, e->key, drop_tomb, NULL);
}

static int pass_forget(struct loading *l, struct part *part)
{
    return part->segment->tombs == 0
               ? 0
               : store_each_entry(l->store, &part->hint, forget_entry, l);
}

/* ---- All of it ----------------------------------------------------------- */

static int make_index(struct loading *l)
{
    struct table_options options = { 0 };
    uint64_t entries = 0;

    for (size_t i = 0; i < l->n; i++)
        entries += l->parts[i].hint.entries;
    options.buckets = entries / PER_BUCKET;
    return table_create(&l->store->index, &options);
}

static int gather(struct loading *l, struct segment *active)
{
    struct segments *set = &l->store->set;
    size_t n = 0;

    for (struct segment *s = set->first; s; s = s->next)
        n++;
    l->parts = calloc(n ? n : 1, sizeof *l->parts);
    l->at = calloc(SEGMENTS_MAX, sizeof *l->at);
    if (!l->parts || !l->at)
        return -ENOMEM;
    for (struct segment *s = set->first; s; s = s->next) {
        struct part *part = &l->parts[l->n++];

        part->segment = s;
        part->active = s == active;
        l->of += segment_end(s);
    }
    return 0;
}

static int by_last(const void *a, const void *b)
{
    const struct part *x = a, *y = b;

    return (x->hint.last < y->hint.last) - (x->hint.last > y->hint.last);
}

/* The newest first: then most of what comes later is older than what the
 * index has, and changes nothing there. */
static void arrange(struct loading *l)
{
    qsort(l->parts, l->n, sizeof *l->parts, by_last);
    for (size_t i = 0; i < l->n; i++)
        l->at[l->parts[i].segment->slot] = &l->parts[i];
}

static void settle(struct loading *l)
{
    struct store *s = l->store;

    for (size_t i = 0; i < l->n; i++) {
        const struct segment *segment = l->parts[i].segment;

        if (segment->last > s->sequence)
            s->sequence = segment->last;
        if (segment->birth > s->sequence)
            s->sequence = segment->birth;
    }
    s->applied = s->sequence;
}

static void loading_release(struct loading *l)
{
    for (size_t i = 0; i < l->n; i++) {
        hint_release(&l->parts[i].hint);
        free(l->parts[i].entries);
    }
    free(l->parts);
    free(l->at);
    mutex_release(&l->lock);
    mutex_release(&l->find);
}

int load_index(struct store *store, struct segment *active)
{
    struct loading l = { .store = store };

    mutex_init(&l.lock);
    mutex_init(&l.find);
    int err = gather(&l, active);
    if (!err) {
        tell(&l, 0);
        err = for_each_part(&l, pass_read);
    }
    if (!err)
        err = make_index(&l);
    if (!err)
        arrange(&l);
    if (!err)
        err = for_each_part(&l, pass_learn);
    if (!err)
        err = for_each_part(&l, pass_forget);
    if (!err)
        settle(&l);
    loading_release(&l);
    return err;
}

int load_write_hint(struct store *store, struct segment *segment)
{
    struct hint hint;

    hint_init(&hint);
    int err = read_whole(store, segment,
                         &(struct reading){ .hint = &hint }, false);
    if (!err)
        err = save(store, segment, &hint);
    hint_release(&hint);
    return err;
}

bool load_has_hint(struct store *store, const struct segment *segment)
{
    struct hint hint;

    hint_init(&hint);
    int err = hint_load(&hint, &store->dir, segment->generation,
                        segment->salt, segment_end(segment));
    hint_release(&hint);
    return err == 0;
}
