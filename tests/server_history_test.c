/* server_history_test.c -- what clients see of a store through the server has
 * an order: task 2.11, with the checker of history.h.
 *
 * Given.
 *
 * Each client has one request under way at a time. Some values are long ones:
 * their requests go another way through the server than the others.
 */
#include <errno.h>

#include "stage2-server/client.h"
#include "tests/history_crew.h"
#include "tests/server_test.h"

enum { CREW = 4, KEYS = 3, LONG = 4096, TIMEOUT_MS = 60000 };

static void *connect_one(void *arg)
{
    struct rig *rig = arg;
    struct sockaddr_storage addr = loopback(rig->port);
    struct client *client = NULL;

    expect_int("client_open", client_open(&client, &addr, TIMEOUT_MS), 0);
    return client;
}

static void disconnect(void *client)
{
    client_close(client);
}

static void request(void *arg, struct crew_op *op, size_t n)
{
    struct client *client = arg;
    struct slice key = slice_str(op->key);
    struct buf value = { 0 };
    int err;

    (void)n;
    if (op->op == HISTORY_SET)
        err = client_set(client, key, crew_bytes(op->value, LONG));
    else if (op->op == HISTORY_REMOVE)
        err = client_remove(client, key);
    else
        err = client_get(client, key, &value);
    if (err != -ENOENT)
        expect_int("a request beside others", err, 0);
    op->result = err == 0 ? HISTORY_OK : HISTORY_ABSENT;
    if (op->op == HISTORY_GET && err == 0)
        op->value = crew_value(buf_slice(&value), LONG);
    buf_release(&value);
}

static void history(const struct run *run, const char *tried,
                    enum store_durability durability)
{
    struct server_options options = {
        .durability = durability, .large = LONG, .threads = 2
    };
    struct rig rig;

    crew_noise(run->seed);
    rig_start(&rig, options);
    struct crew crew = {
        .begin = connect_one, .end = disconnect, .fn = request, .arg = &rig,
        .clients = CREW, .keys = KEYS, .rounds = run->size, .batch = 1,
        .large = LONG, .seed = run->seed,
    };
    crew_work(tried, &crew, NULL);
    pool_wait(rig.pool);    /* or helgrind sees threads end with a lock */
    rig_leave(&rig);
}

static void clients_have_order(const struct run *run)
{
    history(run, "4 clients get, set and remove 3 keys", STORE_NONE);
}

static void durable_has_order(const struct run *run)
{
    history(run, "4 clients get, set and remove 3 keys, durably",
            STORE_ALWAYS);
}

const struct test_case server_history_cases[] = {
    { "history", clients_have_order, 1500 },
    { "history_always", durable_has_order, 500 },
    { NULL, NULL, 0 },
};
