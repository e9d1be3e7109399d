/* kvs_client.c -- given: the main of kvs-client. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/args.h"
#include "common/errors.h"
#include "common/file.h"
#include "common/log.h"
#include "common/sock.h"
#include "stage2-server/client.h"
#include "stage2-server/version.h"

enum { TIMEOUT_MS = 10000, WORDS_MAX = 3 };
enum { FAILED = 1 };

struct options {
    struct sockaddr_storage addr;
    unsigned timeout_ms;
};

static int option(int key, const char *value, void *into)
{
    struct options *options = into;

    if (key == 't')
        return args_uint(value, 1, INT_MAX, &options->timeout_ms);
    return sock_parse(&options->addr, value);
}

static const struct argp_option known[] = {
    { "addr", 'a', "IP:PORT", 0, "where the server is (127.0.0.1:4000)", 0 },
    { "timeout", 't', "MS", 0, "how long to wait for it (10000)", 0 },
    { 0 },
};

static const struct args args = {
    .program = "kvs-client",
    .version = KVS_VERSION,
    .words = "set KEY VALUE\nget KEY\nrm KEY\nping\nstats",
    .about = "Asks a server for a key's value, or changes it."
             "\vA VALUE of - is read from standard input.",
    .options = known,
    .option = option,
    .words_max = WORDS_MAX,
};

static int failed(int err)
{
    log_error("%s", err == -EBUSY ? "BUSY: the server has no room for this now"
                                  : error_text(err));
    return FAILED;
}

static int do_set(struct client *client, char **words)
{
    struct slice value = slice_str(words[2]);
    struct buf input = { 0 };
    int err = 0;

    if (strcmp(words[2], "-") == 0) {
        err = read_all(STDIN_FILENO, &input, PROTO_VALUE_MAX);
        value = buf_slice(&input);
    }
    if (!err)
        err = client_set(client, slice_str(words[1]), value);
    buf_release(&input);
    return err ? failed(err) : 0;
}

static int print(struct slice text, const char *end)
{
    if ((text.len == 0
         || fwrite(text.ptr, 1, text.len, stdout) == text.len)
        && fputs(end, stdout) >= 0 && fflush(stdout) == 0)
        return 0;
    return failed(-errno);
}

static int print_and_release(struct buf *text, const char *end)
{
    int status = print(buf_slice(text), end);

    buf_release(text);
    return status;
}

static int do_get(struct client *client, char **words)
{
    struct buf value = { 0 };
    int err = client_get(client, slice_str(words[1]), &value);

    if (err == -ENOENT)
        return print(slice_str("Key not found"), "\n");
    return err ? failed(err) : print_and_release(&value, "\n");
}

static int do_rm(struct client *client, char **words)
{
    int err = client_remove(client, slice_str(words[1]));

    if (err == -ENOENT) {
        fputs("Key not found\n", stderr);
        return FAILED;
    }
    return err ? failed(err) : 0;
}

static int do_ping(struct client *client, char **words)
{
    int err = client_ping(client);

    (void)words;
    return err ? failed(err) : 0;
}

static int do_stats(struct client *client, char **words)
{
    struct buf text = { 0 };
    int err = client_stats(client, &text);

    (void)words;
    return err ? failed(err) : print_and_release(&text, "");
}

static const struct command {
    const char *name;
    size_t words;
    int (*run)(struct client *client, char **words);
} commands[] = {
    { "set", 3, do_set }, { "get", 2, do_get }, { "rm", 2, do_rm },
    { "ping", 1, do_ping }, { "stats", 1, do_stats },
};

static const struct command *find(char **words, size_t n)
{
    const struct command *command = commands, *end = commands + 5;

    if (n == 0)
        args_fail(&args, "what to do? set, get, rm, ping or stats");
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
    struct options options = { .timeout_ms = TIMEOUT_MS };
    char *words[WORDS_MAX];
    struct client *client;

    sock_parse(&options.addr, "127.0.0.1:4000");
    size_t n = args_parse(&args, argc, argv, &options, words);
    const struct command *command = find(words, n);

    log_setup("kvs-client", LOG_LEVEL_INFO);
    int err = client_open(&client, &options.addr, options.timeout_ms);
    if (err)
        return failed(err);
    int status = command->run(client, words);
    client_close(client);
    return status;
}
