/* place.h -- a store's directory, in memory where there is a RAM disk.
 *
 * Given.
 */
#ifndef TESTS_FUZZ_PLACE_H
#define TESTS_FUZZ_PLACE_H

#include <stdbool.h>

#include "common/slice.h"

extern char place[80];
extern int place_fd;            /* -1: not entered yet */

/* Makes it, empty; it goes when the process ends. Standard output goes
 * nowhere from then on. */
void place_enter(void);

void place_clear(void);
void place_put(const char *name, struct slice bytes);
bool place_is(const char *name, struct slice bytes);

#endif
