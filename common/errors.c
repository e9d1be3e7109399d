/* errors.c -- given. */
#include "common/errors.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

static const char *own_words(int err)
{
    switch (err) {
    case -ENOENT:    return "not found";
    case -EAGAIN:    return "full";
    case -ECANCELED: return "stopping";
    case -EBADMSG:   return "corrupt";
    case -EPROTO:    return "bad frame";
    case -EMSGSIZE:  return "too big";
    case -ENOSYS:    return "not written yet";
    case -EBUSY:     return "in use elsewhere";
    case -EMEDIUMTYPE: return "made by another engine";
    case -ENOTSUP:   return "not supported: its format is newer";
    default:         return NULL;
    }
}

const char *error_text(int err)
{
    static _Thread_local char unknown[64];
    const char *words = own_words(err);

    if (words)
        return words;
    /* In unsigned, because -INT_MIN is not an int. This is the GNU
     * strerror_r: it answers the text, and where that is. */
    return strerror_r((int)(0u - (unsigned)err), unknown, sizeof unknown);
}
