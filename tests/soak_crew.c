/* soak_crew.c -- given. Clients of a server whose history is checked.
 *
 *     soak_crew IP:PORT SECONDS SEED
 *
 * Round after round a crew (history_crew.h) works on a few keys through the
 * server; then its history is checked, and the keys are removed: the next
 * round has others. The last line says how much was checked.
 *
 * Exit: 0; not 0, and what went wrong, when a history has no order.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/sock.h"
#include "stage2-server/client.h"
#include "tests/driver.h"
#include "tests/history_crew.h"

enum { CREW = 4, KEYS = 5, ROUNDS = 300, LONG = 4096, TIMEOUT_MS = 60000 };

struct soak {
    struct sockaddr_storage addr;
    uint64_t round;
};

struct session {
    struct soak *soak;
    struct client *client;
};

static void *begin(void *arg)
{
    struct session *s = calloc(1, sizeof *s);

    expect_true("memory for a session", s != NULL);
    s->soak = arg;
    expect_int("client_open", client_open(&s->client, &s->soak->addr,
                                          TIMEOUT_MS), 0);
    return s;
}

static void end(void *session)
{
    struct session *s = session;

    client_close(s->client);
    free(s);
}

static struct slice name_of(const struct soak *soak, const char *key,
                            char *text, size_t size)
{
    int n = snprintf(text, size, "crew-%" PRIu64 "-%s", soak->round, key);

    return slice_of(text, (size_t)n);
}

static void request(void *session, struct crew_op *op, size_t n)
{
    struct session *s = session;
    struct buf value = { 0 };
    char text[64];
    struct slice key = name_of(s->soak, op->key, text, sizeof text);
    int err;

    (void)n;
    if (op->op == HISTORY_SET)
        err = client_set(s->client, key, crew_bytes(op->value, LONG));
    else if (op->op == HISTORY_REMOVE)
        err = client_remove(s->client, key);
    else
        err = client_get(s->client, key, &value);
    if (err != -ENOENT)
        expect_int("a request beside others", err, 0);
    op->result = err == 0 ? HISTORY_OK : HISTORY_ABSENT;
    if (op->op == HISTORY_GET && err == 0)
        op->value = crew_value(buf_slice(&value), LONG);
    buf_release(&value);
}

static void remove_keys(struct soak *soak)
{
    struct session *s = begin(soak);
    char key[32], text[64];

    for (unsigned k = 0; k < KEYS; k++) {
        snprintf(key, sizeof key, "key%u", k);
        int err = client_remove(s->client, name_of(soak, key, text,
                                                   sizeof text));
        if (err != -ENOENT)
            expect_int("removing a key", err, 0);
    }
    end(s);
}

int main(int argc, char **argv)
{
    struct soak soak = { .round = 0 };

    if (argc != 4 || sock_parse(&soak.addr, argv[1]) != 0) {
        fprintf(stderr, "usage: soak_crew IP:PORT SECONDS SEED\n");
        return 2;
    }
    uint64_t deadline = deadline_in_ms(1000 * strtoll(argv[2], NULL, 10));
    uint64_t seed = strtoull(argv[3], NULL, 10);
    while (soak.round == 0 || !deadline_over(deadline)) {
        struct crew crew = {
            .begin = begin, .end = end, .fn = request, .arg = &soak,
            .clients = CREW, .keys = KEYS, .rounds = ROUNDS, .batch = 1,
            .large = LONG, .seed = seed + soak.round,
        };

        crew_work("clients of a server beside its compactions", &crew, NULL);
        remove_keys(&soak);
        soak.round++;
    }
    printf("%" PRIu64 " operations checked in %" PRIu64 " rounds\n",
           soak.round * CREW * ROUNDS, soak.round);
    return 0;
}
