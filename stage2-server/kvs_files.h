/* kvs_files.h -- looking into a store's files without opening the store.
 *
 * Given.
 *
 * A store that finds damage refuses to open. These read what is there all the
 * same, record by record, and go on behind what is no record (kvs_source.h
 * says how). kvs_files.c has dump and verify, kvs_repair.c the rest.
 *
 * Errors:  a negative errno, and nothing was changed; -ENOENT when there is
 *          no store, -EBUSY when somebody has it open. What they print goes
 *          to stdout.
 * Threads: one.
 */
#ifndef STAGE2_KVS_FILES_H
#define STAGE2_KVS_FILES_H

#include <stdint.h>

/* Prints each record, a line each: file, offset, sequence, kind, key in
 * quotes, length of the value, state. The states: live; dead (overwritten or
 * removed later; a removal itself); old (of a log that a newer one has
 * replaced); torn; damaged. In a directory of many logs (stage 5) also: pinned
 * (a removal that must stay while an older log may hold a set of its key);
 * replaced instead of old; and the label that a log begins with has as its
 * state when it was born and which logs it replaces. 0. */
int files_dump(const char *dir);

/* Names every damage by file and offset. 0: none; 1: some. A torn tail is no
 * damage: the next open cuts it. Nor is a bad hint (stage 5): it is named, and
 * that is all; but one that the store would believe, and that is wrong, is. */
int files_verify(const char *dir);

/* Writes the log anew, with all its sound records, and puts what is damaged
 * into a file of its own, lost-00000001.log. Says what and how much. A removal
 * that is lost brings an older value back. A log that cannot all be read stays
 * besides, as unread-00000001.log. Does nothing when there is no damage. 0. */
int files_repair(const char *dir);

/* Where the first damage is, for an error message: a line of text like
 * verify's into `text`; "" if there is none. */
void files_first_damage(const char *dir, char *text, unsigned size);

#endif
