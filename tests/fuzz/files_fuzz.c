/* files_fuzz.c -- given. Whatever lies in a store's directory, kvs can tell
 * what is wrong with it, and mend it.
 *
 * With the bit MARKER the input is the directory's marker; else image.h makes
 * its log. Then verify and the store must agree on whether it can be opened,
 * neither may change anything, and after a repair everything that was sound
 * is there: `model` says what that is, from record_parse alone.
 */
#include "tests/fuzz/image.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "stage2-server/dir.h"
#include "stage2-server/kvs_files.h"
#include "stage2-server/record.h"
#include "stage2-server/store.h"
#include "tests/fuzz/place.h"

enum { MARKER = 2, KEYS = 64 };

static const char good_marker[] = "engine kvs\nformat 1\n";

/* ---- the directory --------------------------------------------------------- */

static int count_name(void *arg, const char *name)
{
    (void)name;
    ++*(int *)arg;
    return 0;
}

/* Marker and log are there, as they were, and nothing else. */
static bool is_as_before(const char *log, struct slice image)
{
    struct dir dir = { .fd = place_fd };
    int names = 0;

    must(dir_each(&dir, count_name, &names) == 0);
    return names == 2 && place_is(log, image)
           && place_is(DIR_MARKER, slice_str(good_marker));
}

/* ---- what is sound ------------------------------------------------------- */

static struct {
    size_t keys;
    struct {
        struct slice key, value;
        bool there;
    } key[KEYS];
    bool odd;           /* two records in a row with no rising numbers: no
                           store writes that */
    bool known;         /* the salt is: the header is sound, or at least
                           the first record */
} model;

static void note(const struct record *record)
{
    size_t i = 0;

    while (i < model.keys && !slice_equal(model.key[i].key, record->key))
        i++;
    if (i == KEYS) {
        model.odd = true;
        return;
    }
    if (i == model.keys)
        model.keys++;
    model.key[i].key = record->key;
    model.key[i].value = record->value;
    model.key[i].there = record->kind == RECORD_SET;
}

static void make_model(struct slice image, uint64_t salt)
{
    const unsigned char *at = image.ptr;
    struct record record;
    uint64_t last = 0;
    bool gap = false;

    memset(&model, 0, sizeof model);
    model.known = image.len >= RECORD_FILE_HEADER
                  && record_parse_file(at, &salt) == 0;
    for (size_t i = RECORD_FILE_HEADER; i < image.len;) {
        long n = record_parse(at + i, image.len - i, salt, &record);
        bool mark = n > 0 && record.kind == RECORD_MARK;
        bool rising = n > 0 && (mark || record.sequence > last);

        if (n > 0 && i == RECORD_FILE_HEADER)
            model.known = true;
        if (n > 0 && !rising && !gap)
            model.odd = true;
        if (rising && !mark) {
            note(&record);
            last = record.sequence;
        }
        gap = !rising;
        i += rising ? (size_t)n : 1;
    }
}

/* ---- the checks ----------------------------------------------------------- */

/* Opens the store; 0 or the error. */
static int try_open(struct store **store, bool read_only)
{
    struct store_options options = { .read_only = read_only };

    return store_open(store, place, &options);
}

static void check_values(struct store *store)
{
    static struct buf value;
    struct store_stats stats;
    size_t there = 0;

    for (size_t i = 0; i < model.keys; i++) {
        int err = store_get(store, model.key[i].key, &value);

        must(err == (model.key[i].there ? 0 : -ENOENT));
        if (err == 0)
            must(slice_equal(buf_slice(&value), model.key[i].value));
        there += model.key[i].there;
    }
    store_stats(store, &stats);
    must(stats.keys == there);
}

/* Both ways of looking say the same, and leave everything alone. */
static int look(const char *log, struct slice image)
{
    struct store *store = NULL;
    char text[256];
    int opened = try_open(&store, true);

    if (opened == 0)
        must(store_close(store) == 0);
    int verdict = files_verify(place);
    int dumped = files_dump(place);
    files_first_damage(place, text, sizeof text);
    must(verdict == 0 || verdict == 1 || verdict == opened);
    must(dumped == 0 || dumped == verdict);
    if (!model.odd) {
        must((opened == 0) == (verdict == 0));
        must((verdict == 1) == (*text != '\0'));
    }
    must(is_as_before(log, image));
    return verdict;
}

static void check_log(struct slice image, uint64_t salt)
{
    struct store *store = NULL;
    char log[DIR_NAME_MAX];

    make_model(image, salt);
    dir_log_name(log, 1);
    place_put(DIR_MARKER, slice_str(good_marker));
    place_put(log, image);
    int verdict = look(log, image);
    if (verdict < 0)
        return;
    must(files_repair(place) == 0);
    if (verdict == 0)
        must(is_as_before(log, image));
    else
        must(files_verify(place) == 0);
    if (model.odd)
        return;
    must(try_open(&store, true) == 0);
    if (verdict == 1 && model.known)
        check_values(store);
    must(store_close(store) == 0);
    must(try_open(&store, false) == 0);
    must(store_set(store, slice_str("one more"), slice_str("!")) == 0);
    must(store_close(store) == 0);
    must(files_verify(place) == 0);
}

/* Whatever the marker says, it is understood or refused, not changed. */
static void check_marker(struct slice bytes)
{
    struct store *store = NULL;
    char engine[DIR_ENGINE_MAX];

    place_put(DIR_MARKER, bytes);
    int err = dir_engine(place, engine);
    must(err == 0 || err == -EBADMSG || err == -ENOTSUP);
    if (err == 0)
        must(memchr(engine, '\0', sizeof engine) && *engine);
    int opened = try_open(&store, false);
    if (opened == 0) {
        must(err == 0 && strcmp(engine, "kvs") == 0);
        must(store_close(store) == 0);
    } else {
        must(opened == -EBADMSG || opened == -ENOTSUP || opened == -ENOENT
             || opened == -EMEDIUMTYPE);
        must(files_verify(place) < 0);
    }
    must(place_is(DIR_MARKER, bytes));
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    static struct buf made;
    uint64_t salt = 0;

    if (len == 0 || len > IMAGE_MAX)
        return 0;
    if (place_fd < 0)
        place_enter();
    if (bytes[0] & MARKER) {
        check_marker(slice_of(bytes + 1, len - 1));
    } else {
        image_make((struct script){ bytes, len }, &made);
        if (made.len >= RECORD_FILE_HEADER)
            for (int i = 7; i >= 0; i--)
                salt = salt << 8 | made.ptr[16 + i];
        check_log(buf_slice(&made), salt);
    }
    place_clear();
    return 0;
}
