/* image.c -- given. */
#include "tests/fuzz/image.h"

#include <string.h>

#include "stage2-server/record.h"

static void add_record(struct script *script, struct buf *image,
                       uint64_t salt, uint64_t *sequence, uint64_t *durable)
{
    static unsigned char filling[400000]; /* a few: more than a window */
    unsigned how = script_byte(script), value = script_byte(script);
    struct record record = { .kind = RECORD_SET, .sequence = ++*sequence };

    record.key = slice_of("a key of those that there are", 1 + how / 8 % 16);
    record.value = slice_of(filling, value == 255 && how % 128 > 120
                                         ? sizeof filling : value);
    memset(filling, (int)(how ^ value), record.value.len);
    if (how % 8 >= 4)
        record.kind = RECORD_REMOVE;
    if (how % 8 >= 6) {
        record.kind = RECORD_MARK;
        record.sequence = 0;
        record.key.len = 0;
        --*sequence;
    }
    if (record.kind != RECORD_SET)
        record.value.len = 0;
    if (how >= 128)             /* all before has reached the disk */
        *durable = image->len;
    record.durable = *durable;
    must(record_append(image, salt, &record) == 0);
}

static void write_image(struct script *script, struct buf *image)
{
    uint64_t salt = script_byte(script), sequence = 0;
    uint64_t durable = RECORD_FILE_HEADER;
    unsigned count = script_byte(script) % 24;

    must(buf_reserve(image, RECORD_FILE_HEADER) == 0);
    record_file_header(image->ptr, salt);
    image->len = RECORD_FILE_HEADER;
    while (count-- > 0 && image->len < IMAGE_MAX)
        add_record(script, image, salt, &sequence, &durable);
}

/* Moves, zeroes or copies up to `n` bytes. */
static void damage_range(struct buf *image, unsigned what, size_t at,
                         size_t other, size_t n)
{
    if (n > image->len - at)
        n = image->len - at;
    if (n > image->len - other)
        n = image->len - other;
    switch (what) {
    case 0:
        memset(image->ptr + at, 0, n);
        break;
    case 1:
        memmove(image->ptr + at, image->ptr + other, n);
        break;
    case 2:
        must(buf_append(image, image->ptr + at, n) == 0);
        break;
    default:                    /* these bytes are gone */
        memmove(image->ptr + at, image->ptr + at + n, image->len - at - n);
        image->len -= n;
    }
}

static void damage_image(struct script *script, struct buf *image)
{
    unsigned what = script_byte(script) % 8;
    size_t at = script_word(script) % (image->len + 1);
    size_t other = script_word(script) % (image->len + 1);
    size_t n = script_byte(script);

    switch (what) {
    case 0:
    case 1:
        if (at < image->len)
            image->ptr[at] ^= (unsigned char)(1u << n % 8);
        break;
    case 2:
        image->len = at;
        break;
    case 3:                     /* a tail of zeros, or of something */
        must(buf_reserve(image, n) == 0);
        memset(image->ptr + image->len, other % 2 ? (int)other / 2 : 0, n);
        image->len += n;
        break;
    default:
        damage_range(image, what - 4, at, other, n);
    }
}

void image_make(struct script script, struct buf *image)
{
    unsigned how = script_byte(&script);

    buf_clear(image);
    if (how & IMAGE_RAW) {
        must(buf_append(image, script.at, script.left) == 0);
        return;
    }
    write_image(&script, image);
    while (script.left > 0 && image->len < 2 * IMAGE_MAX)
        damage_image(&script, image);
}
