/* crash_disk.h -- the record of a run, and the disks that it may leave.
 *
 * Given. Used by crash_calls.c (which writes the record), crash_disk.c (which
 * turns it into disks) and crash.c (which chooses among them).
 */
#ifndef TESTS_CRASH_DISK_H
#define TESTS_CRASH_DISK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "tests/crash.h"

enum {
    CRASH_NAME = 40, CRASH_EVENTS = 8192, CRASH_INODES = 512,
    CRASH_PAGE = 4096, CRASH_SECTOR = 512, CRASH_FILE_MAX = 4 << 20,
    CRASH_BYTES = 16 << 20
};

enum event_kind {
    EVENT_CREATE,       /* dir, name: a new file; inode */
    EVENT_MKDIR,
    EVENT_LINK,         /* dir, name: one more name for inode */
    EVENT_RENAME,       /* dir, name -> dir, name2 */
    EVENT_UNLINK,
    EVENT_WRITE,        /* inode: len bytes at offset */
    EVENT_RESIZE,       /* inode: to len bytes */
    EVENT_SYNC,         /* inode: all before event `since` is on the disk */
    EVENT_SYNC_FAILED,
    EVENT_ASKED, EVENT_ANSWERED, EVENT_PROMISED, EVENT_READ, /* stream, n */
    EVENT_PHASE
};

struct event {
    enum event_kind kind;
    int inode, dir;
    size_t offset, len, data;   /* data: where in `bytes` */
    size_t since;
    unsigned stream, n;
    const char *phase;
    char name[CRASH_NAME], name2[CRASH_NAME];
};

struct change {
    uint16_t key, value;
};

/* In shared memory: children go on with it. Inode 0 is the root. */
struct crash_log {
    char root[128];
    dev_t device;
    size_t events, bytes, base;     /* base: events before are the start */
    int inodes;
    ino_t number[CRASH_INODES];
    uint16_t start[CRASH_KEYS];
    unsigned changes[CRASH_STREAMS];
    struct change change[CRASH_STREAMS][CRASH_CHANGES];
    struct event event[CRASH_EVENTS + 1];
    unsigned char data[CRASH_BYTES];
};

struct crash_log *crash_log(void);

/* What a disk has for sure, and what is on its way to it. */
struct disk_entry {
    char name[CRASH_NAME];
    int inode;
};

struct disk_inode {
    bool is_dir;
    unsigned char *bytes;       /* a file: on the disk; room for `room` */
    size_t size, room;
    struct disk_entry *entry;   /* a directory: on the disk */
    int entries;
    int *pending;               /* numbers of events */
    int pendings, pending_room;
    int lost;                   /* the first of them: a sync has failed */
};

struct disk {
    struct disk_inode inode[CRASH_INODES];
};

struct disk *disk_create(void);
void disk_destroy(struct disk *disk);

/* The event happens: it is on its way, or (a sync) others arrive. */
void disk_event(struct disk *disk, size_t event);

/* Takes back the last event, which was a write. */
void disk_take_back(struct disk *disk, size_t event);

/* One thing that a power failure decides: of `options`, 0 is the oldest
 * state, 1 the newest. */
enum atom_kind { ATOM_PAGE, ATOM_SIZE, ATOM_NAME };

struct atom {
    enum atom_kind kind;
    int inode;
    size_t at;                  /* page; or index in pending */
    unsigned versions;          /* page, size: how many there are */
    unsigned first_cut, cuts;   /* page: sectors where it may tear */
    unsigned options;
};

enum { DISK_ATOMS = 512 };

int disk_atoms(const struct disk *disk, struct atom atoms[DISK_ATOMS]);

/* A disk as it is after the choice: what is in which file. */
struct tree_file {
    char path[2 * CRASH_NAME + 2];
    bool is_dir;
    size_t size;
    unsigned char *bytes;       /* owned by the tree */
};

struct tree {
    struct tree_file *file;
    int files, room;
};

/* pick: one option an atom; NULL: everything newest. */
void disk_tree(const struct disk *disk, const struct atom *atoms, int n,
               const uint16_t *pick, struct tree *tree);
void tree_release(struct tree *tree);
uint64_t tree_hash(const struct tree *tree);

/* Makes the directory `root` and all of it below. */
void tree_write(const struct tree *tree, const char *root);

/* The last known name of an inode, for messages. */
const char *inode_name(int inode, size_t before);

/* "write 120 bytes at 64 of log", in words. */
void event_words(size_t event, char *text, size_t room);

#endif
