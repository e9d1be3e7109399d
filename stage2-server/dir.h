/* dir.h -- the directory of a store: whose it is, and that only one has it.
 *
 * Given.
 *
 * A directory belongs to the engine that made it; a file named KVS-STORE says
 * which, in words:
 *
 *     engine kvs
 *     format 1
 *
 * and further "name value" lines that the engine likes to keep. It is written
 * to another name, synced and renamed, so it is there whole or not at all.
 * While a store is open it holds a lock (flock) on the directory itself, which
 * needs no file, works on a read-only disk, and ends with the process.
 *
 * Logs have generations: 00000001.log, then, when a compaction has written
 * the data anew, 00000002.log, and so on; a number is never used again. What
 * is being written, so not yet to be believed, or removed, ends in .new. Names
 * that begin so, or with KVS-, are the store's; other files may lie beside
 * them, and stay.
 *
 * Errors:  0 or a negative errno
 *            -ENOENT       no such directory; read_only: no store in it
 *            -EBUSY        somebody else has it open
 *            -EMEDIUMTYPE  made by another engine
 *            -ENOTSUP      a newer format
 *            -EBADMSG      the marker cannot be understood
 *            -EEXIST       a store's files are there, but no marker
 * Threads: one at a time.
 */
#ifndef STAGE2_DIR_H
#define STAGE2_DIR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DIR_MARKER "KVS-STORE"
#define DIR_NEW    ".new"       /* how names of unfinished files end */

enum { DIR_ENGINE_MAX = 32, DIR_NAME_MAX = 32 };

struct dir {
    int fd;                         /* of the directory; carries the lock */
    char engine[DIR_ENGINE_MAX];    /* as the marker says */
    unsigned format;
    bool is_new;                    /* dir_open has made the marker */
};

/* Which engine made the directory: its name into engine; -ENOENT if none.
 * Takes no lock and changes nothing. */
int dir_engine(const char *path, char engine[DIR_ENGINE_MAX]);

/* Makes the directory if it is not there (not its parents), locks it, reads
 * the marker or writes one, and checks it against engine and format. With
 * read_only nothing is made. Refusing changes nothing. */
int dir_open(struct dir *dir, const char *path, const char *engine,
             unsigned format, bool read_only);

/* The marker says from now on that the directory has that format; on an error,
 * as before. */
int dir_set_format(struct dir *dir, unsigned format);

/* Lets the lock go. */
void dir_close(struct dir *dir);

/* New, renamed and removed names are on the disk. */
int dir_sync(const struct dir *dir);

/* The name of the log of that generation, 1 or more. */
void dir_log_name(char name[DIR_NAME_MAX], uint64_t generation);

/* The generation of the log of that name; 0 if it is no log's name. */
uint64_t dir_log_generation(const char *name);

/* Whether that is a file of the store's own that was being written, or removed:
 * nobody will go on with it. */
bool dir_is_unfinished(const char *name);

/* Removes logs for good: they are not on the disk any more. sync(arg), NULL:
 * dir_sync, is to sync the directory; if it fails, all are there again, for
 * whoever opens the store next must know that they may come back. After another
 * error some are there. */
typedef int dir_sync_fn(void *arg);
int dir_remove_logs(const struct dir *dir, const uint64_t *generations,
                    size_t n, dir_sync_fn *sync, void *arg);

/* Calls fn with each name in the directory but "." and "..", in no order; it
 * may remove that file. An answer other than 0 ends it and is answered. */
typedef int dir_name_fn(void *arg, const char *name);
int dir_each(const struct dir *dir, dir_name_fn *fn, void *arg);

#endif
