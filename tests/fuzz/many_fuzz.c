/* many_fuzz.c -- given. Whatever becomes of the files of a store of many logs,
 * it opens or says that they are corrupt, and kvs can tell where, and mend it.
 *
 * A script says which segments there are, what is in them, and then what
 * happens to their bytes. The checks:
 *   - the store answers 0 or -EBADMSG, and when verify finds no damage it
 *     opens; nobody changes anything by looking;
 *   - damage in hints only changes no answer;
 *   - after a repair all is well, and each key whose last record was sound in
 *     a sealed segment has its value.
 *
 * Shapes:  number of segments (1); for each how (1), number of records (1),
 *          for each of these key and kind (1), length of the value (1); then
 *          damage: which file (1), what (1), where (2), where else (2), how
 *          much (1).
 */
#include "tests/fuzz/fuzz.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/little.h"
#include "common/log.h"
#include "stage2-server/dir.h"
#include "stage2-server/kvs_files.h"
#include "stage2-server/store.h"
#include "stage5-compaction/hint.h"
#include "tests/fuzz/place.h"

enum { SEGMENTS = 5, KEYS = 8, SCRIPT_MAX = 2048 };

static const char marker[] = "engine kvs\nformat 2\n";

/* ---- the files -------------------------------------------------------------- */

struct file {
    char name[DIR_NAME_MAX];
    struct buf bytes;
    uint64_t salt;
    bool is_hint, sealed, copied;
    bool hit;               /* something has happened to it */
    bool moved;             /* there may be two of a record */
    bool lies;              /* its hint shall be wrong */
};

static struct file files[2 * SEGMENTS];
static size_t n_files;
static bool lied;           /* and so are answers, until it is mended */

/* A key's last change. */
static struct {
    struct file *file;      /* NULL: none */
    uint64_t offset, sequence;
    bool there;
    size_t len;
    unsigned char filling;
} last[KEYS];

static char key_names[KEYS][8];

static struct file *add_file(void)
{
    struct file *f = &files[n_files++];
    struct buf bytes = f->bytes;

    buf_clear(&bytes);
    *f = (struct file){ .bytes = bytes };
    return f;
}

static void append(struct file *f, const struct record *record)
{
    must(record_append(&f->bytes, f->salt, record) == 0);
}

static void add_label(struct file *f, uint64_t birth, const uint64_t *replaces,
                      size_t n)
{
    unsigned char bytes[8 * (SEGMENTS + 1)];
    struct record label = { .kind = RECORD_REMOVE, .durable = 32,
                            .key = { bytes, 8 * (n + 1) } };

    little_put64(bytes, birth);
    for (size_t i = 0; i < n; i++)
        little_put64(bytes + 8 * (i + 1), replaces[i]);
    append(f, &label);
}

static void add_change(struct script *script, struct file *f,
                       struct hint *hint, uint64_t sequence)
{
    static unsigned char filling[256];
    unsigned how = script_byte(script), len = script_byte(script);
    size_t k = how % KEYS;
    struct record r = {
        .kind = how & 64 ? RECORD_REMOVE : RECORD_SET, .sequence = sequence,
        .durable = how & 128 ? f->bytes.len : 32 + 40,
        .key = slice_str(key_names[k]),
        .value = { filling, how & 64 ? 0 : len },
    };
    struct log_position at = { f->bytes.len, (uint32_t)r.key.len,
                               (uint32_t)r.value.len };

    if (f->copied && last[k].file == f)
        return;             /* a copy has one record of a key */
    memset(filling, (int)sequence, r.value.len);
    append(f, &r);
    if (hint->entries > 0 || !f->lies)
        must(hint_add(hint, &r, &at) == 0);
    else
        lied = true;        /* it says nothing of the first */
    f->lies = false;
    last[k].file = f;
    last[k].offset = at.offset;
    last[k].sequence = sequence;
    last[k].there = r.kind == RECORD_SET;
    last[k].len = r.value.len;
    last[k].filling = (unsigned char)sequence;
}

static void read_back(struct file *f)
{
    static unsigned char bytes[1 << 20];
    FILE *from;
    char path[160];

    snprintf(path, sizeof path, "%s/%s", place, f->name);
    from = fopen(path, "re");
    must(from != NULL);
    size_t n = fread(bytes, 1, sizeof bytes, from);
    fclose(from);
    must(buf_append(&f->bytes, bytes, n) == 0);
}

/* The bits of `how`: 1 a copy made by a compaction (it replaces one that is
 * not there any more), 2 no hint, 4 a wrong one. The last one is not sealed. */
static void add_segment(struct script *script, uint64_t generation,
                        uint64_t *sequence, bool active)
{
    struct dir dir = { .fd = place_fd };
    unsigned how = script_byte(script), n = script_byte(script) % 12;
    uint64_t gone[1] = { 90 + generation };
    bool copied = how & 1 && !active;
    struct file *f = add_file();
    struct hint hint;

    hint_init(&hint);
    dir_log_name(f->name, generation);
    f->salt = 17 * generation + how;
    f->sealed = !active;
    f->copied = copied;
    f->lies = how & 4 && !(how & 2) && !active && n > 0;
    f->hit = f->lies;
    must(buf_reserve(&f->bytes, RECORD_FILE_HEADER) == 0);
    record_file_header(f->bytes.ptr, f->salt);
    f->bytes.len = RECORD_FILE_HEADER;
    add_label(f, *sequence, gone, copied);
    for (unsigned i = 0; i < n; i++)        /* a copy: in any order */
        add_change(script, f, &hint, copied ? *sequence + n - i
                                            : *sequence + i + 1);
    *sequence += n;
    if (!active) {
        struct record mark = { .kind = RECORD_MARK, .durable = f->bytes.len };
        append(f, &mark);
    }
    if (!active && !(how & 2)) {
        must(hint_save(&hint, &dir, generation, f->salt, f->bytes.len) == 0);
        f = add_file();
        f->is_hint = true;
        hint_name(f->name, generation);
        read_back(f);
    }
    hint_release(&hint);
}

static void make_files(struct script *script)
{
    unsigned n = 1 + script_byte(script) % SEGMENTS;
    uint64_t sequence = 0;

    n_files = 0;
    lied = false;
    memset(last, 0, sizeof last);
    for (unsigned i = 0; i < KEYS; i++)
        snprintf(key_names[i], sizeof *key_names, "key%u", i);
    for (unsigned i = 1; i <= n; i++)
        add_segment(script, i, &sequence, i == n);
}

/* ---- what happens to them ------------------------------------------------------ */

static void damage(struct script *script)
{
    struct file *f = &files[script_byte(script) % n_files];
    unsigned what = script_byte(script) % 6;
    size_t at = script_word(script), other = script_word(script);
    size_t n = script_byte(script);

    if (f->bytes.len == 0)
        return;
    at %= f->bytes.len;
    other %= f->bytes.len;
    if (n > f->bytes.len - at)
        n = f->bytes.len - at;
    if (n > f->bytes.len - other)
        n = f->bytes.len - other;
    f->hit = true;
    f->moved |= what == 4;
    switch (what) {
    case 0:
    case 1:
        f->bytes.ptr[at] ^= (unsigned char)(1u << n % 8);
        break;
    case 2:
        f->bytes.len = at;
        break;
    case 3:
        memset(f->bytes.ptr + at, 0, n);
        break;
    case 4:
        memmove(f->bytes.ptr + at, f->bytes.ptr + other, n);
        break;
    default:                    /* more behind the end */
        must(buf_reserve(&f->bytes, n) == 0);
        memset(f->bytes.ptr + f->bytes.len, other % 2 ? (int)other : 0, n);
        f->bytes.len += n;
    }
}

static void put_files(void)
{
    place_put(DIR_MARKER, slice_str(marker));
    for (size_t i = 0; i < n_files; i++)
        place_put(files[i].name, buf_slice(&files[i].bytes));
}

static int count_name(void *arg, const char *name)
{
    (void)name;
    ++*(size_t *)arg;
    return 0;
}

static bool is_as_before(void)
{
    struct dir dir = { .fd = place_fd };
    size_t names = 0;
    bool same = place_is(DIR_MARKER, slice_str(marker));

    must(dir_each(&dir, count_name, &names) == 0);
    for (size_t i = 0; i < n_files && same; i++)
        same = place_is(files[i].name, buf_slice(&files[i].bytes));
    return same && names == n_files + 1;
}

/* ---- the checks ------------------------------------------------------------------ */

static bool hit(bool only_logs)
{
    for (size_t i = 0; i < n_files; i++)
        if (files[i].hit && !(only_logs && files[i].is_hint))
            return true;
    return false;
}

/* The header is good, or its salt at least, as the label behind it shows. */
static bool has_salt(const struct file *f)
{
    uint64_t salt;
    struct record r;

    if (f->bytes.len < RECORD_FILE_HEADER)
        return false;
    return record_parse_file(f->bytes.ptr, &salt) == 0 ||
           (little_get64(f->bytes.ptr + 16) == f->salt &&
            record_parse(f->bytes.ptr + RECORD_FILE_HEADER,
                         f->bytes.len - RECORD_FILE_HEADER, f->salt, &r) > 0);
}

/* Numbers that do not rise: no store writes that, so tools and store may see
 * different things in it. */
static bool odd(void)
{
    for (size_t i = 0; i < n_files; i++)
        if (files[i].moved)
            return true;
    return false;
}

/* The key's last record lies in a sealed segment, where it was, and that is
 * no tail: there is a newer segment. */
static bool is_sound(size_t k)
{
    const struct file *f = last[k].file;
    struct record r;

    return f && f->sealed && !files[n_files - 1].hit && has_salt(f) &&
           f->bytes.len > last[k].offset &&
           record_parse(f->bytes.ptr + last[k].offset,
                        f->bytes.len - last[k].offset, f->salt, &r) > 0 &&
           r.sequence == last[k].sequence;
}

static void check_key(struct store *store, size_t k)
{
    static struct buf value;
    int err = store_get(store, slice_str(key_names[k]), &value);

    must(err == (last[k].there ? 0 : -ENOENT));
    if (err)
        return;
    must(value.len == last[k].len);
    for (size_t i = 0; i < value.len; i++)
        must(value.ptr[i] == last[k].filling);
}

static void check_values(struct store *store, bool all)
{
    for (size_t k = 0; k < KEYS; k++)
        if (all || is_sound(k))
            check_key(store, k);
}

static int try_open(struct store **store, bool read_only)
{
    struct store_options options = { .read_only = read_only,
                                     .segment_size = 1024 };
    int err = store_open(store, place, &options);

    must(err == 0 || err == -EBADMSG);
    return err;
}

static int look(void)
{
    struct store *store = NULL;
    char text[256];
    int opened = try_open(&store, true);

    if (opened == 0 && !hit(true))
        check_values(store, true);
    if (opened == 0)
        must(store_close(store) == 0);
    int verdict = files_verify(place);
    must(verdict == 0 || verdict == 1);
    must(files_dump(place) == 0);
    files_first_damage(place, text, sizeof text);
    must((verdict == 1) == (*text != '\0'));
    must(opened == 0 || verdict == 1 || odd());
    must(hit(true) || verdict == 0);
    must(is_as_before());
    return verdict;
}

static void mend_and_use(int verdict)
{
    struct store *store = NULL;

    must(files_repair(place) == 0);
    if (verdict == 0)
        must(is_as_before());
    if (odd())
        return;
    must(files_verify(place) == 0);
    must(try_open(&store, false) == 0);
    if (verdict == 1 || !hit(true))
        check_values(store, !hit(true));
    must(store_set(store, slice_str("one more"), slice_str("!")) == 0);
    must(store_compact(store) == 0);
    if (verdict == 1 || !hit(true))
        check_values(store, !hit(true));
    must(store_close(store) == 0);
    must(files_verify(place) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    struct script script = { bytes, len };

    if (len == 0 || len > SCRIPT_MAX)
        return 0;
    if (place_fd < 0) {
        place_enter();
        log_setup("fuzz", LOG_LEVEL_ERROR);
    }
    place_clear();
    make_files(&script);
    place_clear();
    bool whole = script.left == 0;
    while (script.left > 0)
        damage(&script);
    put_files();
    int verdict = look();
    must(verdict == 1 || !lied || !whole);
    mend_and_use(verdict);
    return 0;
}
