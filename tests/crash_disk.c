/* crash_disk.c -- given: from a record to the disks that it may leave. */
#include "tests/crash_disk.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "tests/driver.h"

/* ---- Entries of a directory ---------------------------------------------- */

static void drop_name(struct disk_entry *entry, int *n, const char *name)
{
    for (int i = 0; i < *n; i++)
        if (strcmp(entry[i].name, name) == 0) {
            entry[i] = entry[--*n];
            return;
        }
}

/* There is room. */
static void put_name(struct disk_entry *entry, int *n, const char *name,
                     int inode)
{
    drop_name(entry, n, name);
    snprintf(entry[*n].name, CRASH_NAME, "%s", name);
    entry[(*n)++].inode = inode;
}

static void apply_name(struct disk_entry *entry, int *n, const struct event *e)
{
    if (e->kind == EVENT_RENAME || e->kind == EVENT_UNLINK)
        drop_name(entry, n, e->name);
    if (e->kind == EVENT_RENAME)
        put_name(entry, n, e->name2, e->inode);
    else if (e->kind != EVENT_UNLINK)
        put_name(entry, n, e->name, e->inode);
}

static struct disk_entry *entries_with_room(const struct disk_inode *dir)
{
    size_t room = (size_t)(dir->entries + dir->pendings + 1);
    struct disk_entry *entry = calloc(room, sizeof *entry);

    expect_true("memory", entry != NULL);
    if (dir->entries)
        memcpy(entry, dir->entry, (size_t)dir->entries * sizeof *entry);
    return entry;
}

/* ---- The disk ------------------------------------------------------------ */

struct disk *disk_create(void)
{
    struct disk *disk = calloc(1, sizeof *disk);
    struct crash_log *log = crash_log();

    expect_true("memory", disk != NULL);
    disk->inode[0].is_dir = true;
    for (size_t i = 0; i < log->base; i++)
        disk_event(disk, i);
    /* The start is on the disk: as if all of it had been synced. */
    struct event *all = &log->event[CRASH_EVENTS];
    for (int i = 0; i < log->inodes; i++) {
        *all = (struct event){ .kind = EVENT_SYNC, .inode = i,
                               .since = log->base };
        disk_event(disk, CRASH_EVENTS);
    }
    return disk;
}

void disk_destroy(struct disk *disk)
{
    for (int i = 0; i < CRASH_INODES; i++) {
        free(disk->inode[i].bytes);
        free(disk->inode[i].entry);
        free(disk->inode[i].pending);
    }
    free(disk);
}

static void want_room(struct disk_inode *file, size_t room)
{
    if (room <= file->room)
        return;
    if (room > CRASH_FILE_MAX)
        fail_case(__FILE__, __LINE__, "following a file of the workload",
                  "4 MiB at most", "%zu bytes", room);
    room = (room + CRASH_PAGE) & ~(size_t)(CRASH_PAGE - 1);
    file->bytes = realloc(file->bytes, room);
    expect_true("memory", file->bytes != NULL);
    memset(file->bytes + file->room, 0, room - file->room);
    file->room = room;
}

static size_t end_of(const struct event *e)
{
    return e->kind == EVENT_WRITE ? e->offset + e->len : e->len;
}

static void apply_data(struct disk_inode *file, const struct event *e)
{
    size_t end = end_of(e);

    want_room(file, end);
    if (e->kind == EVENT_WRITE && e->len == 0)
        return;
    if (e->kind == EVENT_WRITE) {
        memcpy(file->bytes + e->offset, crash_log()->data + e->data, e->len);
        file->size = end > file->size ? end : file->size;
        return;
    }
    if (end < file->size)
        memset(file->bytes + end, 0, file->size - end);
    file->size = end;
}

static void apply_to_directory(struct disk_inode *dir, const struct event *e)
{
    struct disk_entry *entry = entries_with_room(dir);

    apply_name(entry, &dir->entries, e);
    free(dir->entry);
    dir->entry = entry;
}

/* What a failed sync was to bring, beside what has been written again. */
struct lost {
    size_t room;
    unsigned char *bytes, *lost, *again;
};

/* Nobody misses what was cut off. */
static void cut_off(struct lost *l, size_t size)
{
    memset(l->lost + size, 0, l->room - size);
}

static void see_lost(struct lost *l, const struct event *e)
{
    if (e->kind == EVENT_RESIZE) {
        memset(l->bytes + e->len, 0, l->room - e->len);
        cut_off(l, e->len);
    } else if (e->len > 0) {
        memcpy(l->bytes + e->offset, crash_log()->data + e->data, e->len);
        memset(l->lost + e->offset, 1, e->len);
    }
}

static bool is_lost(const struct lost *l, const struct disk_inode *file)
{
    for (size_t at = 0; at < l->room; at++)
        if (l->lost[at] && !l->again[at] && l->bytes[at] != file->bytes[at])
            return true;
    return false;
}

/* Whether each byte that a failed sync was to bring to the file has been
 * written again since, or is there anyhow. Then the next sync brings it. */
static bool written_again(struct disk_inode *file, size_t since)
{
    struct crash_log *log = crash_log();

    for (int i = 0; i < file->pendings; i++)
        want_room(file, end_of(&log->event[file->pending[i]]));
    unsigned char *bytes = calloc(3, file->room + 1);
    struct lost l = { file->room, bytes, bytes + file->room,
                      bytes + 2 * file->room };
    expect_true("memory", bytes != NULL);
    if (l.room > 0)
        memcpy(bytes, file->bytes, l.room);
    for (int i = 0; i < file->pendings; i++) {
        const struct event *e = &log->event[file->pending[i]];

        if (i < file->lost)
            see_lost(&l, e);
        else if ((size_t)file->pending[i] >= since)
            break;
        else if (e->kind == EVENT_RESIZE)
            cut_off(&l, e->len);
        else
            memset(l.again + e->offset, 1, e->len);
    }
    bool all = !is_lost(&l, file);
    free(bytes);
    return all;
}

static bool has_name(const struct event *e, const char *name)
{
    return strcmp(e->name, name) == 0 ||
           (e->kind == EVENT_RENAME && strcmp(e->name2, name) == 0);
}

/* Whether something has been done to the name since a sync of its directory
 * failed. */
static bool named_again(const struct disk_inode *dir, const char *name,
                        size_t since)
{
    for (int i = dir->lost; i < dir->pendings; i++)
        if ((size_t)dir->pending[i] < since &&
            has_name(&crash_log()->event[dir->pending[i]], name))
            return true;
    return false;
}

/* A failed sync of the directory was to bring the event: no other does. When
 * something was done to its names later, that is brought, and this forgotten. */
static bool stays_lost(const struct disk_inode *dir, const struct event *e,
                       size_t since)
{
    return !named_again(dir, e->name, since) &&
           !(e->kind == EVENT_RENAME && named_again(dir, e->name2, since));
}

/* After a failed sync: what is in doubt goes on waiting, without end. */
static void arrive_around(struct disk_inode *dir, const struct event *sync)
{
    int kept = 0, lost = 0;

    for (int i = 0; i < dir->pendings; i++) {
        const struct event *e = &crash_log()->event[dir->pending[i]];
        bool stays = i < dir->lost ? stays_lost(dir, e, sync->since)
                                   : (size_t)dir->pending[i] >= sync->since;

        if (!stays && i >= dir->lost)
            apply_to_directory(dir, e);
        dir->pending[kept] = dir->pending[i];
        kept += stays;
        lost += stays && i < dir->lost;
    }
    dir->pendings = kept;
    dir->lost = lost;
}

static void arrive(struct disk_inode *it, const struct event *sync)
{
    struct crash_log *log = crash_log();
    int n = 0;

    if (it->lost > 0 && it->is_dir) {
        arrive_around(it, sync);
        return;
    }
    if (it->lost > 0 && !written_again(it, sync->since))
        return;
    it->lost = 0;
    while (n < it->pendings && (size_t)it->pending[n] < sync->since) {
        if (it->is_dir)
            apply_to_directory(it, &log->event[it->pending[n]]);
        else
            apply_data(it, &log->event[it->pending[n]]);
        n++;
    }
    it->pendings -= n;
    if (it->pendings > 0)
        memmove(it->pending, it->pending + n,
                (size_t)it->pendings * sizeof *it->pending);
}

static void wait_for_sync(struct disk_inode *it, size_t event)
{
    if (it->pendings == it->pending_room) {
        it->pending_room = 2 * it->pending_room + 16;
        it->pending = realloc(it->pending, (size_t)it->pending_room *
                                               sizeof *it->pending);
        expect_true("memory", it->pending != NULL);
    }
    it->pending[it->pendings++] = (int)event;
}

static int place_of(const struct event *e)
{
    return e->kind == EVENT_WRITE || e->kind == EVENT_RESIZE ? e->inode
                                                             : e->dir;
}

void disk_event(struct disk *disk, size_t event)
{
    const struct event *e = &crash_log()->event[event];

    switch (e->kind) {
    case EVENT_MKDIR:
        disk->inode[e->inode].is_dir = true;
        /* fall through */
    case EVENT_CREATE:
    case EVENT_LINK:
    case EVENT_RENAME:
    case EVENT_UNLINK:
    case EVENT_WRITE:
    case EVENT_RESIZE:
        wait_for_sync(&disk->inode[place_of(e)], event);
        break;
    case EVENT_SYNC:
        arrive(&disk->inode[e->inode], e);
        break;
    case EVENT_SYNC_FAILED:
        disk->inode[e->inode].lost = disk->inode[e->inode].pendings;
        break;
    default:
        break;
    }
}

void disk_take_back(struct disk *disk, size_t event)
{
    disk->inode[place_of(&crash_log()->event[event])].pendings--;
}

/* ---- What is not decided ------------------------------------------------- */

struct finder {
    struct atom *atoms;
    int n;
};

static struct atom *atom_of(struct finder *f, enum atom_kind kind, int inode,
                            size_t at)
{
    for (int i = f->n; i-- > 0 && f->atoms[i].inode == inode;)
        if (f->atoms[i].kind == kind && f->atoms[i].at == at)
            return &f->atoms[i];
    if (f->n == DISK_ATOMS)
        fail_case(__FILE__, __LINE__, "following the workload",
                  "fewer than 512 unsynced pages and names", "more");
    f->atoms[f->n] = (struct atom){ .kind = kind, .inode = inode, .at = at,
                                    .first_cut = CRASH_PAGE };
    return &f->atoms[f->n++];
}

/* Bytes from `from` to `to` of the page are written (again). */
static void touch_page(struct finder *f, int inode, size_t page, size_t from,
                       size_t to)
{
    struct atom *a = atom_of(f, ATOM_PAGE, inode, page);
    unsigned first = (unsigned)(from / CRASH_SECTOR + 1);
    unsigned last = (unsigned)((to - 1) / CRASH_SECTOR);
    unsigned end = a->first_cut + a->cuts - 1;

    if (a->versions++ == 0) {
        a->first_cut = first;
        a->cuts = last + 1 - first;
        return;
    }
    /* The cuts run from the first changed sector to the last. */
    if (a->cuts == 0)
        end = a->first_cut - 1;
    first = first < a->first_cut ? first : a->first_cut;
    last = last > end ? last : end;
    a->first_cut = first;
    a->cuts = last + 1 > first ? last + 1 - first : 0;
}

static void touch(struct finder *f, int inode, size_t from, size_t to)
{
    for (size_t at = from; at < to;) {
        size_t page = at / CRASH_PAGE, end = (page + 1) * CRASH_PAGE;

        end = end < to ? end : to;
        touch_page(f, inode, page, at % CRASH_PAGE, end - page * CRASH_PAGE);
        at = end;
    }
}

static void file_atoms(struct finder *f, const struct disk_inode *file,
                       int inode)
{
    size_t size = file->size;

    for (int i = 0; i < file->pendings; i++) {
        const struct event *e = &crash_log()->event[file->pending[i]];
        size_t now = e->len;

        if (e->kind == EVENT_WRITE) {
            touch(f, inode, e->offset, e->offset + e->len);
            now = e->offset + e->len > size ? e->offset + e->len : size;
        } else if (e->len < size) {
            touch(f, inode, e->len, size);
        }
        if (now != size)
            atom_of(f, ATOM_SIZE, inode, 0)->versions++;
        size = now;
    }
}

/* Whether some name, on the disk or on its way there, leads to the inode. */
static void reach(const struct disk *disk, bool reached[CRASH_INODES])
{
    for (int d = 0; d < crash_log()->inodes; d++) {
        const struct disk_inode *dir = &disk->inode[d];

        for (int i = 0; dir->is_dir && i < dir->entries; i++)
            reached[dir->entry[i].inode] = true;
        for (int i = 0; dir->is_dir && i < dir->pendings; i++) {
            const struct event *e = &crash_log()->event[dir->pending[i]];
            if (e->kind != EVENT_UNLINK && e->inode >= 0)
                reached[e->inode] = true;
        }
    }
    reached[0] = true;
}

int disk_atoms(const struct disk *disk, struct atom atoms[DISK_ATOMS])
{
    struct finder f = { atoms, 0 };
    bool reached[CRASH_INODES] = { false };

    reach(disk, reached);
    for (int i = 0; i < crash_log()->inodes; i++) {
        const struct disk_inode *it = &disk->inode[i];
        int first = f.n;

        if (!reached[i] || it->pendings == 0)
            continue;
        if (!it->is_dir)
            file_atoms(&f, it, i);
        for (int p = 0; it->is_dir && p < it->pendings; p++)
            atom_of(&f, ATOM_NAME, i, (size_t)p)->versions = 1;
        for (int a = first; a < f.n; a++)
            atoms[a].options = atoms[a].versions + 1 + 2 * atoms[a].cuts;
    }
    for (int a = 0; a < f.n; a++)
        if (atoms[a].kind != ATOM_PAGE) {
            atoms[a].cuts = 0;
            atoms[a].options = atoms[a].versions + 1;
        }
    return f.n;
}

/* ---- A disk as it is after a choice -------------------------------------- */

static unsigned version_of(const struct atom *a, unsigned option)
{
    return option == 0 ? 0 : option == 1 ? a->versions : option - 1;
}

/* Up to which version the byte ranges [0, cut) and [cut, page) are. */
struct page_choice {
    unsigned before, behind;
    size_t cut;
    unsigned seen;      /* writes so far */
};

static struct page_choice page_choice(const struct atom *a, unsigned option)
{
    struct page_choice c = { .cut = 0 };

    if (option <= a->versions) {
        c.before = c.behind = version_of(a, option);
        return c;
    }
    option -= a->versions + 1;
    c.cut = (a->first_cut + option / 2) * CRASH_SECTOR;
    c.before = option % 2 ? a->versions : 0;
    c.behind = option % 2 ? 0 : a->versions;
    return c;
}

struct picture {
    const struct atom *atoms;
    int n;
    const uint16_t *pick;
    struct page_choice page[DISK_ATOMS];
    unsigned char *bytes;
};

/* Writes bytes (NULL: zeros) from `from` to `to`, as far as its pages got
 * this version. */
static void paint(struct picture *p, int inode, size_t from, size_t to,
                  const unsigned char *bytes)
{
    for (int i = 0; i < p->n; i++) {
        const struct atom *a = &p->atoms[i];
        size_t start = a->at * CRASH_PAGE, end = start + CRASH_PAGE;
        struct page_choice *c = &p->page[i];

        if (a->inode != inode || a->kind != ATOM_PAGE || start >= to ||
            end <= from)
            continue;
        size_t cut = start + c->cut, low = start > from ? start : from;
        size_t high = end < to ? end : to;
        c->seen++;
        if (c->seen > c->before && low < cut)
            low = cut < high ? cut : high;
        if (c->seen > c->behind && high > cut)
            high = cut > low ? cut : low;
        if (bytes)
            memcpy(p->bytes + low, bytes + (low - from), high - low);
        else
            memset(p->bytes + low, 0, high - low);
    }
}

/* How large the file gets at most, on its way. */
static size_t largest(const struct disk_inode *file)
{
    size_t size = file->size;

    for (int i = 0; i < file->pendings; i++) {
        const struct event *e = &crash_log()->event[file->pending[i]];
        size_t end = end_of(e);
        size = end > size ? end : size;
    }
    return size;
}

/* The size after the version-th change of it, and how many of the pending
 * events have happened to it by then. */
static size_t size_at(const struct disk_inode *file, unsigned version,
                      int *events)
{
    size_t size = file->size;

    *events = 0;
    for (int i = 0; i < file->pendings && version > 0; i++) {
        const struct event *e = &crash_log()->event[file->pending[i]];
        size_t end = end_of(e);
        if (e->kind == EVENT_WRITE && end < size)
            end = size;
        version -= end != size;
        size = end;
        *events = i + 1;
    }
    return size;
}

/* The file was cut at `end`. If its size is one from then or later, what
 * was there has gone with it; else pages may show it or not. */
static void paint_cut(struct picture *p, int inode, size_t end, size_t size,
                      bool happened)
{
    paint(p, inode, end, size, NULL);
    if (happened)
        memset(p->bytes + end, 0, size - end);
}

static void draw_file(const struct disk *disk, int inode, struct picture *p,
                      struct tree_file *to)
{
    const struct disk_inode *file = &disk->inode[inode];
    size_t room = largest(file), size = file->size;
    unsigned version = 0;
    int happened;

    p->bytes = calloc(1, room + CRASH_PAGE);
    expect_true("memory", p->bytes != NULL);
    if (file->size)
        memcpy(p->bytes, file->bytes, file->size);
    for (int i = 0; i < p->n; i++) {
        const struct atom *a = &p->atoms[i];
        if (a->inode == inode && a->kind == ATOM_PAGE)
            p->page[i] = page_choice(a, p->pick ? p->pick[i] : 1);
        if (a->inode == inode && a->kind == ATOM_SIZE)
            version = version_of(a, p->pick ? p->pick[i] : 1);
    }
    to->size = size_at(file, version, &happened);
    for (int i = 0; i < file->pendings; i++) {
        const struct event *e = &crash_log()->event[file->pending[i]];
        size_t end = end_of(e);
        if (e->kind == EVENT_WRITE)
            paint(p, inode, e->offset, end, crash_log()->data + e->data);
        else if (end < size)
            paint_cut(p, inode, end, size, i < happened);
        size = e->kind == EVENT_RESIZE || end > size ? end : size;
    }
    to->bytes = p->bytes;
}

static struct tree_file *tree_add(struct tree *tree, const char *path)
{
    if (tree->files == tree->room) {
        tree->room = 2 * tree->room + 8;
        tree->file = realloc(tree->file,
                             (size_t)tree->room * sizeof *tree->file);
        expect_true("memory", tree->file != NULL);
    }
    struct tree_file *f = &tree->file[tree->files++];
    *f = (struct tree_file){ .size = 0 };
    snprintf(f->path, sizeof f->path, "%s", path);
    return f;
}

static void draw_directory(const struct disk *disk, int inode,
                           struct picture *p, const char *path,
                           struct tree *tree)
{
    const struct disk_inode *dir = &disk->inode[inode];
    struct disk_entry *entry = entries_with_room(dir);
    int n = dir->entries;

    for (int i = 0; i < p->n; i++) {
        const struct atom *a = &p->atoms[i];
        if (a->inode == inode && a->kind == ATOM_NAME &&
            (!p->pick || p->pick[i]))
            apply_name(entry, &n, &crash_log()->event[dir->pending[a->at]]);
    }
    for (int i = 0; i < n; i++) {
        char below[2 * CRASH_NAME + 2];
        int its = entry[i].inode;

        if (its < 0)
            continue;
        if (snprintf(below, sizeof below, "%s%s%s", path, *path ? "/" : "",
                     entry[i].name) >= (int)sizeof below)
            fail_case(__FILE__, __LINE__, "following the workload",
                      "files in one directory below the root", "deeper");
        struct tree_file *f = tree_add(tree, below);
        f->is_dir = disk->inode[its].is_dir;
        if (f->is_dir)
            draw_directory(disk, its, p, below, tree);
        else
            draw_file(disk, its, p, f);
    }
    free(entry);
}

static int by_path(const void *a, const void *b)
{
    const struct tree_file *x = a, *y = b;

    return strcmp(x->path, y->path);
}

void disk_tree(const struct disk *disk, const struct atom *atoms, int n,
               const uint16_t *pick, struct tree *tree)
{
    static struct picture p;

    p.atoms = atoms;
    p.n = n;
    p.pick = pick;
    tree->files = 0;
    draw_directory(disk, 0, &p, "", tree);
    if (tree->files)
        qsort(tree->file, (size_t)tree->files, sizeof *tree->file, by_path);
}

void tree_release(struct tree *tree)
{
    for (int i = 0; i < tree->files; i++)
        free(tree->file[i].bytes);
    tree->files = 0;
}

uint64_t tree_hash(const struct tree *tree)
{
    uint64_t h = 1;

    for (int i = 0; i < tree->files; i++) {
        const struct tree_file *f = &tree->file[i];
        h = XXH3_64bits_withSeed(f->path, strlen(f->path), h);
        h = XXH3_64bits_withSeed(f->bytes, f->size, h + f->is_dir);
    }
    return h;
}

void tree_write(const struct tree *tree, const char *root)
{
    int at;

    expect_int("mkdir for a disk", mkdir(root, 0755), 0);
    at = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    for (int i = 0; i < tree->files; i++) {
        const struct tree_file *f = &tree->file[i];
        if (f->is_dir) {
            expect_int("mkdir for a disk", mkdirat(at, f->path, 0755), 0);
            continue;
        }
        int fd = openat(at, f->path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
        expect_int("writing a disk", write(fd, f->bytes, f->size), f->size);
        close(fd);
    }
    close(at);
}

/* ---- Words --------------------------------------------------------------- */

const char *inode_name(int inode, size_t before)
{
    const struct crash_log *log = crash_log();

    for (size_t i = before; i-- > 0;) {
        const struct event *e = &log->event[i];
        if (e->inode != inode || e->kind > EVENT_RENAME)
            continue;
        return e->kind == EVENT_RENAME ? e->name2 : e->name;
    }
    return inode == 0 ? "the parent directory" : "?";
}

void event_words(size_t event, char *text, size_t room)
{
    const struct event *e = &crash_log()->event[event];
    const char *name = inode_name(e->inode, event);

    switch (e->kind) {
    case EVENT_CREATE:
        snprintf(text, room, "new file %s", e->name);
        break;
    case EVENT_MKDIR:
        snprintf(text, room, "new directory %s", e->name);
        break;
    case EVENT_LINK:
        snprintf(text, room, "link of %s to %s", name, e->name);
        break;
    case EVENT_RENAME:
        snprintf(text, room, "rename of %s to %s", e->name, e->name2);
        break;
    case EVENT_UNLINK:
        snprintf(text, room, "removal of %s", e->name);
        break;
    case EVENT_WRITE:
        snprintf(text, room, "write of %zu bytes at %zu of %s", e->len,
                 e->offset, name);
        break;
    case EVENT_RESIZE:
        snprintf(text, room, "change of %s to %zu bytes", name, e->len);
        break;
    case EVENT_SYNC:
        snprintf(text, room, "sync of %s", name);
        break;
    case EVENT_SYNC_FAILED:
        snprintf(text, room, "failed sync of %s", name);
        break;
    default:
        snprintf(text, room, "a call");
        break;
    }
}
