/* quote.h -- bytes as text: on one line, and harmless to a terminal.
 *
 * Given.
 *
 * Printable ASCII stays as it is, but for \\ and \"; newline, tab and return
 * become \n, \t, \r; every other byte becomes \xNN.
 */
#ifndef STAGE2_QUOTE_H
#define STAGE2_QUOTE_H

#include <stdio.h>

#include "common/slice.h"

static inline void quote_print(struct slice text, FILE *to)
{
    static const char plain[] = "\n\t\r\\\"", letters[] = "ntr\\\"";
    const unsigned char *at = text.ptr;

    for (size_t i = 0; i < text.len; i++) {
        const char *found = at[i] ? strchr(plain, at[i]) : NULL;

        if (found)
            fprintf(to, "\\%c", letters[found - plain]);
        else if (at[i] >= ' ' && at[i] < 0x7f)
            putc(at[i], to);
        else
            fprintf(to, "\\x%02x", at[i]);
    }
}

#endif
