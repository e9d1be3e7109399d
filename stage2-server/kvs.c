/* kvs.c -- given: the main of kvs, a store on the command line. */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/args.h"
#include "common/errors.h"
#include "common/file.h"
#include "common/log.h"
#include "stage2-server/dir.h"
#include "stage2-server/kvs_files.h"
#include "stage2-server/quote.h"
#include "stage2-server/record.h"
#include "stage2-server/store.h"
#include "stage2-server/version.h"

enum { WORDS_MAX = 3 };
enum { FAILED = 1 };

static int option(int key, const char *value, void *into)
{
    const char **dir = into;

    (void)key;
    *dir = value;
    return 0;
}

static const struct argp_option known[] = {
    { "dir", 'd', "PATH", 0, "the store's directory (this one)", 0 },
    { 0 },
};

static const struct args args = {
    .program = "kvs",
    .version = KVS_VERSION,
    .words = "set KEY VALUE\nget KEY\nrm KEY\nscan\ndump\nverify\nrepair\n"
             "compact\nstats",
    .about = "Works on a store's directory, which no server has open."
             "\vA VALUE of - is read from standard input. scan prints all"
             " pairs, dump the records of the files; verify names what is"
             " damaged, repair sets it aside so that the rest can be used"
             " again.",
    .options = known,
    .option = option,
    .words_max = WORDS_MAX,
};

/* ---- The store ----------------------------------------------------------- */

enum mode { MAKE, CHANGE, READ };

/* MAKE makes a store if there is none; the others answer -ENOENT. */
static int open_store(struct store **store, const char *dir, enum mode mode)
{
    struct store_options options = { .read_only = mode == READ };
    char engine[DIR_ENGINE_MAX], text[256];
    int err = mode == CHANGE ? dir_engine(dir, engine) : 0;

    if (!err)
        err = store_open(store, dir, &options);
    if (err != -EBADMSG)
        return err;
    files_first_damage(dir, text, sizeof text);
    if (*text == '\0')
        return err;
    log_error("%s (see kvs verify, kvs repair)", text);
    return FAILED;              /* said */
}

/* The exit status; says what there is to say. */
static int ended(int err)
{
    if (err < 0)
        log_error("%s", err == -ENOENT ? "no store in this directory"
                                       : error_text(err));
    return err == 0 ? 0 : FAILED;
}

static int close_store(struct store *store, int err)
{
    int closing = store_close(store);

    return ended(err ? err : closing);
}

static int not_found(int status)
{
    puts("Key not found");
    return status;
}

static int do_set(const char *dir, char **words)
{
    struct slice value = slice_str(words[2]);
    struct buf input = { 0 };
    struct store *store;
    int err = 0;

    if (strcmp(words[2], "-") == 0) {
        err = read_all(STDIN_FILENO, &input, RECORD_VALUE_MAX);
        value = buf_slice(&input);
    }
    if (!err)
        err = open_store(&store, dir, MAKE);
    if (err) {
        buf_release(&input);
        return err == -ENOENT ? (log_error("no such directory"), FAILED)
                              : ended(err);
    }
    err = store_set(store, slice_str(words[1]), value);
    buf_release(&input);
    return close_store(store, err);
}

static int do_get(const char *dir, char **words)
{
    struct buf value = { 0 };
    struct store *store;
    int err = open_store(&store, dir, READ);

    if (err)
        return err == -ENOENT ? not_found(0) : ended(err);
    err = store_get(store, slice_str(words[1]), &value);
    if (err == 0) {
        if (value.len > 0)              /* main looks whether it worked */
            fwrite(value.ptr, 1, value.len, stdout);
        putchar('\n');
    } else if (err == -ENOENT) {
        err = not_found(0);
    }
    buf_release(&value);
    return close_store(store, err);
}

static int do_rm(const char *dir, char **words)
{
    struct store *store;
    int err = open_store(&store, dir, CHANGE);

    if (err)
        return err == -ENOENT ? not_found(FAILED) : ended(err);
    err = store_remove(store, slice_str(words[1]));
    if (err == -ENOENT)
        err = not_found(FAILED);
    return close_store(store, err);
}

static int print_pair(void *arg, struct slice key, struct slice value)
{
    (void)arg;
    quote_print(key, stdout);
    putchar('\t');
    quote_print(value, stdout);
    putchar('\n');
    return 0;
}

static int do_scan(const char *dir, char **words)
{
    struct store *store;
    int err = open_store(&store, dir, READ);

    (void)words;
    if (err)
        return ended(err);
    return close_store(store, store_scan(store, print_pair, NULL));
}

static int do_compact(const char *dir, char **words)
{
    struct store *store;
    int err = open_store(&store, dir, CHANGE);

    (void)words;
    if (err)
        return ended(err);
    return close_store(store, store_compact(store));
}

static int do_stats(const char *dir, char **words)
{
    struct store_stats stats;
    struct store *store;
    int err = open_store(&store, dir, READ);

    (void)words;
    if (err)
        return ended(err);
    store_stats(store, &stats);
    printf("keys %" PRIu64 "\nlive_bytes %" PRIu64 "\ndead_bytes %" PRIu64
           "\npinned_bytes %" PRIu64 "\ndisk_bytes %" PRIu64
           "\nindex_bytes %" PRIu64 "\nsegments %" PRIu64
           "\ncompactions %" PRIu64 "\ncompaction_ns %" PRIu64
           "\nsequence %" PRIu64 "\n",
           stats.keys, stats.live_bytes, stats.dead_bytes,
           stats.pinned_bytes, stats.disk_bytes, stats.index_bytes,
           stats.segments, stats.compactions, stats.compaction_ns,
           stats.sequence);
    return close_store(store, 0);
}

/* ---- The files ----------------------------------------------------------- */

/* The files of another engine's store are its own affair. */
static int ended_files(const char *dir, const char *word, int err)
{
    char engine[DIR_ENGINE_MAX];

    if (err != -EMEDIUMTYPE || dir_engine(dir, engine) != 0)
        return ended(err);
    log_error("%s: not for a store of the engine %s", word, engine);
    return FAILED;
}

static int do_dump(const char *dir, char **words)
{
    return ended_files(dir, words[0], files_dump(dir));
}

static int do_verify(const char *dir, char **words)
{
    return ended_files(dir, words[0], files_verify(dir));
}

static int do_repair(const char *dir, char **words)
{
    return ended_files(dir, words[0], files_repair(dir));
}

/* ---- What to do ---------------------------------------------------------- */

static const struct command {
    const char *name;
    size_t words;
    int (*run)(const char *dir, char **words);
} commands[] = {
    { "set", 3, do_set }, { "get", 2, do_get }, { "rm", 2, do_rm },
    { "scan", 1, do_scan }, { "dump", 1, do_dump },
    { "verify", 1, do_verify }, { "repair", 1, do_repair },
    { "compact", 1, do_compact }, { "stats", 1, do_stats },
};

static const struct command *find(char **words, size_t n)
{
    const struct command *command = commands;
    const struct command *end = command + sizeof commands / sizeof *commands;

    if (n == 0)
        args_fail(&args, "what to do? set, get, rm, scan, dump, verify,"
                  " repair, compact or stats");
    while (command < end && strcmp(command->name, words[0]) != 0)
        command++;
    if (command == end)
        args_fail(&args, "unknown word: '%s'", words[0]);
    if (n != command->words)
        args_fail(&args, "%s: %s word", words[0],
                  n < command->words ? "missing" : "extra");
    if (n > 1 && *words[1] == '\0')
        args_fail(&args, "%s: a key has at least one byte", words[0]);
    return command;
}

int main(int argc, char **argv)
{
    const char *dir = ".";
    char *words[WORDS_MAX];

    size_t n = args_parse(&args, argc, argv, &dir, words);
    const struct command *command = find(words, n);
    log_setup("kvs", LOG_LEVEL_WARN);
    signal(SIGXFSZ, SIG_IGN);   /* -EFBIG, then */
    int status = command->run(dir, words);
    if (fflush(stdout) != 0 || ferror(stdout)) {
        if (status == 0)
            log_error("standard output: %s", error_text(errno ? -errno
                                                              : -EIO));
        status = FAILED;
    }
    return status;
}
