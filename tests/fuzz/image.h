/* image.h -- a log's file out of a script.
 *
 * Given.
 *
 * Checksums stop blind changes at the door. So a script says which records to
 * write, and then what happens to the file: bits flip, it is cut, parts are
 * zeroed, copied, moved. When the first byte has the bit IMAGE_RAW, the rest
 * is the file itself.
 *
 * Shapes:  flags (1), salt (1), number of records (1); for each how (1) and
 *          length of the value (1); then damage: what (1), where (2), where
 *          else (2), how much (1).
 */
#ifndef TESTS_FUZZ_IMAGE_H
#define TESTS_FUZZ_IMAGE_H

#include "common/buf.h"
#include "tests/fuzz/fuzz.h"

enum { IMAGE_RAW = 1, IMAGE_MAX = 3 << 19 };

void image_make(struct script script, struct buf *image);

#endif
