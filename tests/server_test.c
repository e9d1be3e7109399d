/* server_test.c -- the cases of tasks 2.10 to 2.12, but for those with clients
 * that do what they should not (server_hard_test.c and its neighbours).
 *
 * Given.
 *
 * The program is linked so that the server's calls of the store come by here
 * (--wrap): a case can hold one of them, have it fail, or count them.
 */
#include "tests/server_test.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "common/counter.h"
#include "stage2-server/client.h"
#include "tests/history_crew.h"

enum { CREW = 4, KIB = 1024 };

/* ---- between server and store ------------------------------------------- */

static struct {
    pthread_mutex_t lock;       /* guards all */
    pthread_cond_t opened;
    bool closed;                /* a call that may wait does, here */
    size_t large;               /* what may wait: the server's options */
    enum store_durability durability;
    unsigned inside;            /* calls held now */
    unsigned changing;          /* calls with a change in it, so far */
    unsigned syncs;
    int fail;                   /* what the next changes are answered */
    int fail_sync;
} hook = { .lock = PTHREAD_MUTEX_INITIALIZER,
           .opened = PTHREAD_COND_INITIALIZER };

/* Whether the server may have this operation wait: see rule 5 of server.h. A
 * get that would bring a large value, too. */
static bool may_wait(const struct store_op *op)
{
    if (op->kind == STORE_GET)
        return op->into_max == 0 || op->into_max > hook.large;
    return hook.durability == STORE_ALWAYS || op->value.len >= hook.large;
}

static bool is_held_key(struct slice key)
{
    return slice_equal(key, slice_str("held"));
}

/* Counts the call; holds it if it is to be held; answers what to fail with. */
static int come_by(const struct store_op *ops, size_t n)
{
    bool held = false, change = false;

    pthread_mutex_lock(&hook.lock);
    for (size_t i = 0; i < n; i++) {
        held |= is_held_key(ops[i].key) && may_wait(&ops[i]);
        change |= ops[i].kind != STORE_GET;
    }
    hook.changing += change;
    hook.inside += held;
    while (held && hook.closed)
        pthread_cond_wait(&hook.opened, &hook.lock);
    hook.inside -= held;
    int fail = change ? hook.fail : 0;
    pthread_mutex_unlock(&hook.lock);
    return fail;
}

static void gate_close(const struct server_options *options)
{
    pthread_mutex_lock(&hook.lock);
    hook.large = options->large;
    hook.durability = options->durability;
    hook.closed = true;
    pthread_mutex_unlock(&hook.lock);
}

static void gate_open(void)
{
    pthread_mutex_lock(&hook.lock);
    hook.closed = false;
    pthread_cond_broadcast(&hook.opened);
    pthread_mutex_unlock(&hook.lock);
}

static bool one_inside(void *unused)
{
    (void)unused;
    pthread_mutex_lock(&hook.lock);
    bool inside = hook.inside > 0;
    pthread_mutex_unlock(&hook.lock);
    return inside;
}

static void set_fail(int err)
{
    pthread_mutex_lock(&hook.lock);
    hook.fail = err;
    pthread_mutex_unlock(&hook.lock);
}

static unsigned changing_calls(void)
{
    pthread_mutex_lock(&hook.lock);
    unsigned n = hook.changing;
    pthread_mutex_unlock(&hook.lock);
    return n;
}

int __real_store_apply(struct store *, struct store_op *, size_t);
int __wrap_store_apply(struct store *, struct store_op *, size_t);
int __real_store_get(struct store *, struct slice, struct buf *);
int __wrap_store_get(struct store *, struct slice, struct buf *);
int __real_store_set(struct store *, struct slice, struct slice);
int __wrap_store_set(struct store *, struct slice, struct slice);
int __real_store_remove(struct store *, struct slice);
int __wrap_store_remove(struct store *, struct slice);
int __real_store_sync(struct store *);
int __wrap_store_sync(struct store *);

/* A failure is that of each change in it; a gets goes on. */
int __wrap_store_apply(struct store *store, struct store_op *ops, size_t n)
{
    int fail = come_by(ops, n), err = 0;

    if (!fail)
        return __real_store_apply(store, ops, n);
    for (size_t i = 0; i < n && !err; i++) {
        ops[i].result = fail;
        if (ops[i].kind == STORE_GET)
            err = __real_store_apply(store, &ops[i], 1);
    }
    return err;
}

int __wrap_store_get(struct store *store, struct slice key, struct buf *value)
{
    struct store_op op = { .kind = STORE_GET, .key = key };

    come_by(&op, 1);
    return __real_store_get(store, key, value);
}

int __wrap_store_set(struct store *store, struct slice key,
                     struct slice value)
{
    struct store_op op = { .kind = STORE_SET, .key = key, .value = value };
    int fail = come_by(&op, 1);

    return fail ? fail : __real_store_set(store, key, value);
}

int __wrap_store_remove(struct store *store, struct slice key)
{
    struct store_op op = { .kind = STORE_REMOVE, .key = key };
    int fail = come_by(&op, 1);

    return fail ? fail : __real_store_remove(store, key);
}

int __wrap_store_sync(struct store *store)
{
    pthread_mutex_lock(&hook.lock);
    int fail = hook.fail_sync;
    hook.syncs++;
    pthread_mutex_unlock(&hook.lock);
    return fail ? fail : __real_store_sync(store);
}

/* ---- clients ------------------------------------------------------------ */

static struct client *client_to(const struct rig *rig)
{
    struct sockaddr_storage addr = loopback(rig->port);
    struct client *client = NULL;

    expect_int("client_open", client_open(&client, &addr,
                                          1000 * patience_s()), 0);
    return client;
}

/* n bytes that depend on `what`, for the caller to free. */
static struct slice bytes(size_t n, unsigned what)
{
    uint64_t random = what;
    unsigned char *at = malloc(n + 8);

    expect_true("memory for the test", at != NULL);
    for (size_t i = 0; i < n; i += 8) {
        uint64_t word = next_random(&random);
        memcpy(at + i, &word, 8);
    }
    return slice_of(at, n);
}

static void drop(struct slice slice)
{
    free((void *)slice.ptr);
}

static void expect_get(struct client *client, const char *key,
                       struct slice value)
{
    struct buf got = { 0 };

    expect_int("get", client_get(client, slice_str(key), &got), 0);
    expect_bytes("the value that get brings", buf_slice(&got), value);
    buf_release(&got);
}

static void put_op(struct buf *to, enum proto_op op, uint64_t id,
                   const char *key, struct slice value)
{
    struct proto_request request = { .op = op, .id = id,
                                     .key = slice_str(key), .value = value };

    expect_int("memory for the test", proto_put_request(to, &request), 0);
}

/* ---- 2.10: one connection ----------------------------------------------- */

static void each_op(const struct run *run)
{
    struct buf got = { 0 };
    struct rig rig;

    (void)run;
    rig_start(&rig, (struct server_options){ .threads = 2 });
    struct client *client = client_to(&rig);
    expect_int("ping", client_ping(client), 0);
    expect_int("get of an absent key", client_get(client, slice_str("a"),
                                                  &got), -ENOENT);
    expect_int("set", client_set(client, slice_str("a"), slice_str("one")),
               0);
    expect_get(client, "a", slice_str("one"));
    expect_int("set again", client_set(client, slice_str("a"),
                                       slice_str("two")), 0);
    expect_get(client, "a", slice_str("two"));
    expect_int("set of an empty value",
               client_set(client, slice_str("b"), slice_str("")), 0);
    expect_get(client, "b", slice_str(""));
    expect_int("remove", client_remove(client, slice_str("a")), 0);
    expect_int("remove again", client_remove(client, slice_str("a")),
               -ENOENT);
    expect_int("get of a removed key", client_get(client, slice_str("a"),
                                                  &got), -ENOENT);
    expect_int("stats", client_stats(client, &got), 0);
    expect_int("memory", buf_append(&got, "", 1), 0);
    if (!strstr((char *)got.ptr, "keys 1\n"))
        fail_case(__FILE__, __LINE__, "stats, when the store has one key",
                  "a line \"keys 1\" in it", "%s", (char *)got.ptr);
    client_close(client);
    buf_release(&got);
    rig_leave(&rig);
}

/* Many requests in one write: replies in their order, and a get sees the set
 * before it. */
static void pipeline(const struct run *run)
{
    struct buf frames = { 0 };
    struct peer peer;
    struct rig rig;
    char key[32];

    rig_start(&rig, (struct server_options){ .threads = 2 });
    peer_open(&peer, rig.port);
    for (size_t i = 0; i < run->size; i += 2) {
        snprintf(key, sizeof key, "key %zu", i % 10);
        put_op(&frames, PROTO_SET, i, key, slice_of(&i, sizeof i));
        put_op(&frames, PROTO_GET, i + 1, key, slice_str(""));
    }
    peer_send_buf(&peer, &frames);
    for (size_t i = 0; i < run->size; i += 2) {
        peer_expect(&peer, "a set among many", i, PROTO_OK);
        peer_expect_value(&peer, "a get behind a set", i + 1,
                          slice_of(&i, sizeof i));
    }
    peer_ping(&peer, "a ping behind them", 3);
    peer_close(&peer);
    buf_release(&frames);
    rig_leave(&rig);
}

static void batch_put(struct buf *to, enum proto_op op, const char *key,
                      struct slice value)
{
    expect_int("memory for the test",
               proto_add_item(to, op, slice_str(key), value), 0);
}

static void expect_item(struct slice *items, enum proto_status status,
                        struct slice value)
{
    enum proto_status got_status;
    struct slice got;

    expect_true("an item of a batch's reply",
                proto_next_reply(items, &got_status, &got));
    expect_int("its status", got_status, status);
    expect_bytes("its value", got, value);
}

/* In order, each with its own status; and requests around it, too. */
static void batch(const struct run *run)
{
    struct slice none = slice_str(""), large = bytes(run->size, 5);
    struct buf frame = { 0 };
    struct proto_reply reply;
    struct peer peer;
    struct rig rig;
    size_t start;

    rig_start(&rig, (struct server_options){ .large = 4 * KIB });
    peer_open(&peer, rig.port);
    put_op(&frame, PROTO_SET, 1, "a", slice_str("0"));
    expect_int("memory", proto_begin_batch(&frame, 2, &start), 0);
    batch_put(&frame, PROTO_GET, "a", none);
    batch_put(&frame, PROTO_SET, "a", slice_str("1"));
    batch_put(&frame, PROTO_GET, "a", none);
    batch_put(&frame, PROTO_REMOVE, "absent", none);
    batch_put(&frame, PROTO_SET, "b", large);
    batch_put(&frame, PROTO_GET, "b", none);
    batch_put(&frame, PROTO_REMOVE, "a", none);
    batch_put(&frame, PROTO_GET, "b", none);
    batch_put(&frame, PROTO_GET, "a", none);
    proto_end_batch(&frame, start, 9);
    put_op(&frame, PROTO_GET, 3, "a", none);
    expect_int("memory", proto_begin_batch(&frame, 4, &start), 0);
    batch_put(&frame, PROTO_SET, "c", slice_str("c"));
    batch_put(&frame, PROTO_REMOVE, "c", none);
    batch_put(&frame, PROTO_REMOVE, "c", none);
    proto_end_batch(&frame, start, 3);
    expect_int("memory", proto_begin_batch(&frame, 5, &start), 0);
    proto_end_batch(&frame, start, 0);
    peer_send_buf(&peer, &frame);
    peer_expect(&peer, "a set before a batch", 1, PROTO_OK);
    peer_take(&peer, "a batch's reply", &reply);
    expect_int("its id", reply.id, 2);
    expect_int("its opcode", reply.op, PROTO_BATCH);
    expect_int("its status", reply.status, PROTO_OK);
    expect_int("its count", reply.batch_count, 9);
    expect_item(&reply.value, PROTO_OK, slice_str("0"));
    expect_item(&reply.value, PROTO_OK, none);
    expect_item(&reply.value, PROTO_OK, slice_str("1"));
    expect_item(&reply.value, PROTO_NOT_FOUND, none);
    expect_item(&reply.value, PROTO_OK, none);
    expect_item(&reply.value, PROTO_OK, large);
    expect_item(&reply.value, PROTO_OK, none);
    expect_item(&reply.value, PROTO_OK, large);
    expect_item(&reply.value, PROTO_NOT_FOUND, none);
    peer_expect(&peer, "a get behind a batch", 3, PROTO_NOT_FOUND);
    peer_take(&peer, "the second batch's reply", &reply);
    expect_int("its count", reply.batch_count, 3);
    expect_item(&reply.value, PROTO_OK, none);
    expect_item(&reply.value, PROTO_OK, none);
    expect_item(&reply.value, PROTO_NOT_FOUND, none);
    peer_take(&peer, "an empty batch's reply", &reply);
    expect_int("its id", reply.id, 5);
    expect_int("its count", reply.batch_count, 0);
    peer_close(&peer);
    drop(large);
    buf_release(&frame);
    rig_leave(&rig);
}

/* A batch of the most items, of changes; then one that gets them all. */
static void batch_of_most(const struct run *run)
{
    struct proto_reply reply;
    struct buf frame = { 0 };
    struct peer peer;
    struct rig rig;
    size_t start;
    char key[32];

    rig_start(&rig, (struct server_options){ .threads = 2 });
    peer_open(&peer, rig.port);
    for (unsigned get = 0; get < 2; get++) {
        expect_int("memory", proto_begin_batch(&frame, get, &start), 0);
        for (size_t i = 0; i < run->size; i++) {
            snprintf(key, sizeof key, "%zu", i);
            batch_put(&frame, get ? PROTO_GET : PROTO_SET, key,
                      slice_of(&i, sizeof i));
        }
        proto_end_batch(&frame, start, (uint32_t)run->size);
    }
    peer_send_buf(&peer, &frame);
    for (unsigned get = 0; get < 2; get++) {
        peer_take(&peer, "a batch's reply", &reply);
        expect_int("its count", reply.batch_count, run->size);
        for (size_t i = 0; i < run->size; i++)
            expect_item(&reply.value, PROTO_OK,
                        slice_of(&i, get ? sizeof i : 0));
    }
    peer_close(&peer);
    buf_release(&frame);
    rig_leave(&rig);
}

/* More values than a batch's reply can hold: as many as fit are there (a
 * server may keep a little room). */
static void too_many_values(const struct run *run)
{
    const size_t spare = 64 * KIB;
    struct slice value = bytes(run->size, 1);
    struct proto_reply reply;
    struct buf frame = { 0 };
    struct peer peer;
    struct rig rig;
    size_t start;
    unsigned whole = 0, n = 0;

    rig_start(&rig, (struct server_options){ .threads = 2 });
    struct client *client = client_to(&rig);
    expect_int("set", client_set(client, slice_str("v"), value), 0);
    client_close(client);
    peer_open(&peer, rig.port);
    expect_int("memory", proto_begin_batch(&frame, 1, &start), 0);
    for (size_t sum = 0; sum <= PROTO_BODY_MAX; sum += run->size, n++)
        batch_put(&frame, PROTO_GET, "v", slice_str(""));
    batch_put(&frame, PROTO_REMOVE, "v", slice_str(""));
    proto_end_batch(&frame, start, n + 1);
    peer_send_buf(&peer, &frame);
    peer_take(&peer, "a batch's reply", &reply);
    expect_int("its count", reply.batch_count, n + 1);
    for (unsigned i = 0; i < n; i++) {
        enum proto_status status;
        struct slice got;

        expect_true("an item", proto_next_reply(&reply.value, &status, &got));
        if (status == PROTO_OK)
            expect_bytes("its value", got, value);
        else
            expect_int("an item that does not fit", status, PROTO_TOO_BIG);
        whole += status == PROTO_OK;
    }
    expect_at_most("items of a batch whose values are in its reply (not all "
                   "can be)", whole, n - 1);
    if ((whole + 1) * run->size + spare < PROTO_BODY_MAX)
        fail_case(__FILE__, __LINE__, "gets in a batch, more than its reply "
                  "can hold", "as many values as fit", "%u values of %zu "
                  "bytes, though a reply has %d", whole, run->size,
                  PROTO_BODY_MAX);
    expect_item(&reply.value, PROTO_OK, slice_str(""));
    peer_close(&peer);
    drop(value);
    buf_release(&frame);
    rig_leave(&rig);
}

/* Around the size from which on a value counts as large, and much larger. */
static void value_sizes(const struct run *run)
{
    static const size_t sizes[] = { 0, 1, 100, 4095, 4096, 4097, 65536,
                                    300000, 1 << 20, PROTO_VALUE_MAX };
    struct rig rig;

    rig_start(&rig, (struct server_options){ .large = 4 * KIB });
    struct client *client = client_to(&rig);
    for (unsigned i = 0; i < 10 && sizes[i] <= run->size; i++) {
        struct slice value = bytes(sizes[i], i);

        expect_int("set", client_set(client, slice_str("k"), value), 0);
        expect_get(client, "k", value);
        drop(value);
    }
    client_close(client);
    rig_leave(&rig);
}

/* The reply to a change comes after the store's answer, not before. */
static void reply_after_write(const struct run *run)
{
    static const enum proto_op ops[] = { PROTO_SET, PROTO_SET, PROTO_REMOVE };
    struct server_options options = { .durability = STORE_ALWAYS };
    struct buf frame = { 0 };
    struct peer peer;
    struct rig rig;

    (void)run;
    rig_start(&rig, options);
    peer_open(&peer, rig.port);
    peer_ping(&peer, "a ping", 1);
    for (unsigned i = 0; i < 3; i++) {
        gate_close(&options);
        put_op(&frame, ops[i], i, "held", slice_str("value"));
        peer_send_buf(&peer, &frame);
        expect_soon("a change is sent to the server",
                    "the server asks the store", one_inside, NULL);
        peer_expect_silence(&peer, "no reply before the store has answered");
        gate_open();
        peer_expect(&peer, "the reply, then", i, PROTO_OK);
    }
    peer_close(&peer);
    buf_release(&frame);
    rig_leave(&rig);
}

/* What a connection has sent at once is one write, or few. */
static void few_writes(const struct run *run)
{
    struct buf frames = { 0 };
    struct peer peer;
    struct rig rig;
    char key[32];

    rig_start(&rig, (struct server_options){ .threads = 2 });
    peer_open(&peer, rig.port);
    peer_ping(&peer, "a ping", 1);
    for (size_t i = 0; i < run->size; i++) {
        snprintf(key, sizeof key, "key %zu", i);
        put_op(&frames, PROTO_SET, i, key, slice_str("v"));
    }
    unsigned before = changing_calls();
    peer_send_buf(&peer, &frames);
    for (size_t i = 0; i < run->size; i++)
        peer_expect(&peer, "a set among many", i, PROTO_OK);
    unsigned calls = changing_calls() - before;
    if (calls == 0 || calls > run->size / 8)
        fail_case(__FILE__, __LINE__, "64 sets, sent at once",
                  "a few calls of store_apply", "%u calls", calls);
    peer_close(&peer);
    buf_release(&frames);
    rig_leave(&rig);
}

/* What the store answers becomes the reply's status. */
static void store_errors(const struct run *run)
{
    static const struct {
        int err, wanted;
    } errors[] = {
        { -ENOSPC, -ENOSPC }, { -EROFS, -EROFS }, { -EBADMSG, -EBADMSG },
        { -EMSGSIZE, -EMSGSIZE }, { -ENOMEM, -EBUSY }, { -EIO, -EREMOTEIO },
    };
    struct rig rig;

    (void)run;
    rig_start(&rig, (struct server_options){ .threads = 2 });
    struct client *client = client_to(&rig);
    expect_int("set", client_set(client, slice_str("a"), slice_str("1")), 0);
    for (unsigned i = 0; i < sizeof errors / sizeof *errors; i++) {
        set_fail(errors[i].err);
        expect_int("set, when the store fails",
                   client_set(client, slice_str("a"), slice_str("2")),
                   errors[i].wanted);
        expect_get(client, "a", slice_str("1"));
    }
    set_fail(0);
    expect_int("set, afterwards",
               client_set(client, slice_str("a"), slice_str("3")), 0);
    expect_get(client, "a", slice_str("3"));
    client_close(client);
    rig_leave(&rig);
}

/* Some servers in one process do not know of each other. */
static void two_servers(const struct run *run)
{
    struct rig rig[2];
    struct client *client[2];

    (void)run;
    for (int i = 0; i < 2; i++) {
        rig_start(&rig[i], (struct server_options){ .threads = 2 });
        client[i] = client_to(&rig[i]);
    }
    for (int i = 0; i < 2; i++)
        expect_int("set", client_set(client[i], slice_str("which"),
                                     slice_of("01" + i, 1)), 0);
    for (int i = 0; i < 2; i++) {
        expect_get(client[i], "which", slice_of("01" + i, 1));
        client_close(client[i]);
        rig_leave(&rig[i]);
    }
}

/* A create that fails, and one that is not run, leave nothing behind. */
static void create_and_destroy(const struct run *run)
{
    struct server_options options = { .threads = 2 };
    struct server *server = NULL, *untouched;
    struct rig rig;

    (void)run;
    size_t before = descriptors();
    rig_create(&rig, options);
    options.reactor.addr = loopback(rig.port);
    options.store = rig.store;
    options.pool = rig.pool;
    untouched = server;
    expect_int("a second server on the same port",
               server_create(&server, &options), -EADDRINUSE);
    expect_true("*out is untouched on an error", server == untouched);
    rig_release(&rig);
    server_destroy(NULL);
    expect_descriptors("a server that was created and destroyed", before);
}

/* Who waits for the rest of a frame, or for a client that does not read,
 * sleeps. */
static void idle_half_frames(const struct run *run)
{
    struct slice value = bytes(run->size, 1);
    struct peer half[4], deaf;
    struct buf frame = { 0 };
    struct rig rig;

    rig_start(&rig, (struct server_options){ .reactor.stall_ms = 60000 });
    put_op(&frame, PROTO_SET, 1, "k", value);
    const size_t cuts[4] = { 1, PROTO_HEADER, PROTO_HEADER + 5,
                             frame.len - 1 };
    for (int i = 0; i < 4; i++) {
        peer_open(&half[i], rig.port);
        peer_ping(&half[i], "a ping before half a frame", 7);
        peer_send(&half[i], frame.ptr, cuts[i]);
    }
    peer_open_small(&deaf, rig.port, 16 * KIB);
    for (uint64_t i = 2; i < 1000; i++)
        put_op(&frame, PROTO_GET, i, "k", slice_str(""));
    peer_send_buf(&deaf, &frame);
    peer_expect(&deaf, "a set", 1, PROTO_OK);
    for (int i = 0; i < 20; i++)    /* all have had their turns then */
        expect_served("another client is served", &rig);
    expect_idle("four clients have sent half a frame, one does not read its "
                "replies; nothing else is to do");
    put_op(&frame, PROTO_SET, 1, "k", value);
    for (int i = 0; i < 4; i++) {
        peer_send(&half[i], frame.ptr + cuts[i], frame.len - cuts[i]);
        peer_expect(&half[i], "a frame whose rest came later", 1, PROTO_OK);
        peer_close(&half[i]);
    }
    peer_reset(&deaf);
    drop(value);
    buf_release(&frame);
    rig_leave(&rig);
}

/* ---- 2.11: several connections ------------------------------------------ */

/* A client of a crew: does as it likes with keys of its own, and knows what
 * must come. */
struct member {
    struct actor actor;
    const struct rig *rig;
    unsigned number;
    size_t rounds;
    size_t large;
    uint64_t random;
};

enum { KEYS = 4, DEPTH = 12, ITEMS = 6 };

/* What a key has, and what is asked of it. */
struct known {
    enum proto_op op;
    bool there;
    unsigned what;          /* of bytes() */
    size_t len;
};

/* A request; only a batch has several items. */
struct expected {
    enum proto_op op;
    unsigned n;
    struct known items[ITEMS];
};

/* Chooses a get, set or remove of some key. Answers its value, an empty one
 * but for a set; it is the caller's to drop. */
static struct slice member_choose(struct member *m, struct known now[KEYS],
                                  struct known *wanted, char key[32])
{
    unsigned k = (unsigned)(next_random(&m->random) % KEYS);
    uint64_t dice = next_random(&m->random) % 10;

    snprintf(key, 32, "member %u key %u", m->number, k);
    *wanted = now[k];
    wanted->op = dice < 4 ? PROTO_SET : dice < 5 ? PROTO_REMOVE : PROTO_GET;
    if (wanted->op == PROTO_REMOVE)
        now[k].there = false;
    if (wanted->op != PROTO_SET)
        return bytes(0, 0);
    wanted->there = true;
    wanted->what = (unsigned)next_random(&m->random);
    wanted->len = (size_t)(next_random(&m->random) % 40);
    if (dice == 0)
        wanted->len += m->large - 20;
    now[k] = *wanted;
    return bytes(wanted->len, wanted->what);
}

static void member_put_batch(struct member *m, struct buf *frames,
                             uint64_t id, struct known now[KEYS],
                             struct expected *wanted)
{
    size_t start;
    char key[32];

    wanted->n = (unsigned)(next_random(&m->random) % (ITEMS + 1));
    expect_int("memory", proto_begin_batch(frames, id, &start), 0);
    for (unsigned i = 0; i < wanted->n; i++) {
        struct known *item = &wanted->items[i];
        struct slice value = member_choose(m, now, item, key);

        batch_put(frames, item->op, key, value);
        drop(value);
    }
    proto_end_batch(frames, start, wanted->n);
}

static void member_put(struct member *m, struct buf *frames, uint64_t id,
                       struct known now[KEYS], struct expected *wanted)
{
    static const enum proto_op others[] = { PROTO_PING, PROTO_STATS,
                                            PROTO_BATCH, PROTO_BATCH };
    uint64_t dice = next_random(&m->random) % 16;
    char key[32];

    if (dice >= 4) {
        struct slice value = member_choose(m, now, wanted->items, key);

        wanted->op = wanted->items[0].op;
        put_op(frames, wanted->op, id, key, value);
        drop(value);
        return;
    }
    wanted->op = others[dice];
    if (wanted->op == PROTO_BATCH)
        member_put_batch(m, frames, id, now, wanted);
    else
        put_op(frames, wanted->op, id, "", slice_str(""));
}

static enum proto_status status_of(const struct known *wanted)
{
    return wanted->there ? PROTO_OK : PROTO_NOT_FOUND;
}

static void member_expect_batch(struct peer *peer, uint64_t id,
                                const struct expected *wanted)
{
    struct proto_reply reply;

    peer_take(peer, "the reply to a batch of own keys", &reply);
    expect_int("its id", reply.id, id);
    expect_int("its status", reply.status, PROTO_OK);
    expect_int("its count", reply.batch_count, wanted->n);
    for (unsigned i = 0; i < wanted->n; i++) {
        const struct known *item = &wanted->items[i];
        struct slice value = slice_of(NULL, 0);

        if (item->op == PROTO_GET && item->there)
            value = bytes(item->len, item->what);
        expect_item(&reply.value, status_of(item), value);
        drop(value);
    }
}

static void member_expect(struct peer *peer, uint64_t id,
                          const struct expected *wanted)
{
    const struct known *item = wanted->items;

    if (wanted->op == PROTO_BATCH) {
        member_expect_batch(peer, id, wanted);
    } else if (wanted->op == PROTO_PING || wanted->op == PROTO_STATS) {
        peer_expect(peer, "a ping, or stats", id, PROTO_OK);
    } else if (wanted->op == PROTO_GET && item->there) {
        struct slice value = bytes(item->len, item->what);

        peer_expect_value(peer, "get of an own key", id, value);
        drop(value);
    } else {
        peer_expect(peer, "a change of an own key, or a get", id,
                    status_of(item));
    }
}

static void member_main(void *arg)
{
    struct member *m = arg;
    struct known now[KEYS] = { { 0 } };
    struct expected wanted[DEPTH];
    struct buf frames = { 0 };
    struct peer peer;
    uint64_t id = 0;

    peer_open(&peer, m->rig->port);
    for (size_t r = 0; r < m->rounds; r++) {
        size_t n = 1 + (size_t)(next_random(&m->random) % DEPTH);

        for (size_t i = 0; i < n; i++)
            member_put(m, &frames, id + i, now, &wanted[i]);
        peer_send_buf(&peer, &frames);
        for (size_t i = 0; i < n; i++)
            member_expect(&peer, id + i, &wanted[i]);
        id += n;
    }
    peer_close(&peer);
    buf_release(&frames);
}

static void crew(const struct run *run, enum store_durability durability)
{
    struct member m[CREW];
    struct rig rig;
    uint64_t random = run->seed;

    rig_start(&rig, (struct server_options){
        .durability = durability, .large = 2 * KIB, .threads = CREW });
    for (unsigned i = 0; i < CREW; i++) {
        m[i] = (struct member){ .rig = &rig, .number = i, .large = 2 * KIB,
                                .rounds = run->size,
                                .random = next_random(&random) };
        actor_start(&m[i].actor, member_main, &m[i]);
    }
    for (unsigned i = 0; i < CREW; i++)
        actor_join(&m[i].actor);
    expect_served("the server still serves", &rig);
    rig_leave(&rig);
}

static void mixed(const struct run *run)
{
    crew(run, STORE_NONE);
}

static void mixed_always(const struct run *run)
{
    crew(run, STORE_ALWAYS);
}

/* A request of the key "held"; a batch removes it among other changes. */
static void put_held(struct buf *to, enum proto_op op, uint64_t id,
                     struct slice value)
{
    size_t start;

    if (op != PROTO_BATCH) {
        put_op(to, op, id, "held", value);
        return;
    }
    expect_int("memory", proto_begin_batch(to, id, &start), 0);
    batch_put(to, PROTO_SET, "one", slice_str("1"));
    batch_put(to, PROTO_REMOVE, "held", slice_str(""));
    batch_put(to, PROTO_SET, "two", slice_str("2"));
    proto_end_batch(to, start, 3);
}

/* A server with a large value of the key "held", and two clients. */
struct holding {
    struct server_options options;
    struct rig rig;
    struct slice large;
    struct client *other;
    struct peer held;
};

static void holding_start(struct holding *h, enum store_durability durability)
{
    h->options = (struct server_options){
        .durability = durability, .threads = CREW, .large = 4 * KIB };
    h->large = bytes(8 * KIB, 1);
    rig_start(&h->rig, h->options);
    h->other = client_to(&h->rig);
    expect_int("set", client_set(h->other, slice_str("held"), h->large), 0);
}

/* The store has the request of h->held, and keeps it until gate_open. */
static void hold_request(struct holding *h, enum proto_op op,
                         struct slice value)
{
    struct buf frame = { 0 };

    peer_open(&h->held, h->rig.port);
    gate_close(&h->options);
    put_held(&frame, op, 9, value);
    peer_send_buf(&h->held, &frame);
    expect_soon("a request that takes its time in the store",
                "it gets there", one_inside, NULL);
    buf_release(&frame);
}

static void holding_leave(struct holding *h)
{
    client_close(h->other);
    drop(h->large);
    rig_leave(&h->rig);
}

/* One client's request is held in the store; another one is served. */
static void others_go_on(enum store_durability durability, enum proto_op op)
{
    struct holding h;

    holding_start(&h, durability);
    expect_int("set", client_set(h.other, slice_str("free"), slice_str("f")),
               0);
    hold_request(&h, op, h.large);
    for (int i = 0; i < 20; i++) {
        expect_int("ping of another client", client_ping(h.other), 0);
        expect_get(h.other, "free", slice_str("f"));
    }
    peer_expect_silence(&h.held, "no reply before the store has answered");
    gate_open();
    if (op == PROTO_GET)
        peer_expect_value(&h.held, "the reply, then", 9, h.large);
    else
        peer_expect(&h.held, "the reply, then", 9, PROTO_OK);
    if (op == PROTO_BATCH)
        expect_get(h.other, "two", slice_str("2"));
    peer_close(&h.held);
    holding_leave(&h);
}

static void held_change(const struct run *run)
{
    (void)run;
    others_go_on(STORE_ALWAYS, PROTO_REMOVE);
}

static void held_batch(const struct run *run)
{
    (void)run;
    others_go_on(STORE_ALWAYS, PROTO_BATCH);
}

static void held_large_set(const struct run *run)
{
    (void)run;
    others_go_on(STORE_NONE, PROTO_SET);
}

static void held_large_get(const struct run *run)
{
    (void)run;
    others_go_on(STORE_NONE, PROTO_GET);
}

/* Who has asked is gone when the store has answered: the reply cannot be
 * written. */
static void gone_meanwhile(enum store_durability durability, enum proto_op op)
{
    struct holding h;

    holding_start(&h, durability);
    size_t open = descriptors();
    for (int i = 0; i < 3; i++) {
        hold_request(&h, op, slice_str("small"));
        peer_reset(&h.held);
        gate_open();
        expect_int("ping of another client", client_ping(h.other), 0);
    }
    expect_descriptors("clients that went while the store had their request",
                       open);
    holding_leave(&h);
}

static void reset_while_held(const struct run *run)
{
    (void)run;
    gone_meanwhile(STORE_NONE, PROTO_GET);      /* large: by itself */
    gone_meanwhile(STORE_ALWAYS, PROTO_SET);    /* in a turn with others */
}

/* Replies of one connection keep their order, though one of its requests takes
 * its time and what is behind it would not. */
static void order_behind_held(const struct run *run)
{
    struct server_options options = { .large = 4 * KIB, .threads = CREW };
    struct slice large = bytes(8 * KIB, 1), none = slice_str("");
    struct buf frames = { 0 };
    struct peer peer;
    struct rig rig;

    (void)run;
    rig_start(&rig, options);
    peer_open(&peer, rig.port);
    peer_ping(&peer, "a ping", 1);
    gate_close(&options);
    put_op(&frames, PROTO_SET, 2, "held", large);
    put_op(&frames, PROTO_PING, 3, "", none);
    put_op(&frames, PROTO_SET, 4, "small", slice_str("s"));
    put_op(&frames, PROTO_GET, 5, "held", none);
    put_op(&frames, PROTO_GET, 6, "small", none);
    peer_send_buf(&peer, &frames);
    expect_soon("a request that takes its time in the store",
                "it gets there", one_inside, NULL);
    put_op(&frames, PROTO_PING, 7, "", none);
    peer_send_buf(&peer, &frames);
    expect_served("another client is served", &rig);
    peer_expect_silence(&peer, "no reply before that of the first request");
    gate_open();
    peer_expect(&peer, "the large set", 2, PROTO_OK);
    peer_expect(&peer, "the ping behind it", 3, PROTO_OK);
    peer_expect(&peer, "the small set behind it", 4, PROTO_OK);
    peer_expect_value(&peer, "the large get behind it", 5, large);
    peer_expect_value(&peer, "the small get behind it", 6, slice_str("s"));
    peer_expect(&peer, "the ping that came later", 7, PROTO_OK);
    peer_close(&peer);
    drop(large);
    buf_release(&frames);
    rig_leave(&rig);
}

static bool held_is_there(void *client)
{
    struct buf value = { 0 };
    bool there = client_get(client, slice_str("held"), &value) == 0
                 && slice_equal(buf_slice(&value), slice_str("v"));

    buf_release(&value);
    return there;
}

/* A server, and a client whose change (2) waits in the store. */
static void start_held(struct rig *rig, struct server_options *options,
                       struct peer *peer)
{
    struct buf frame = { 0 };

    rig_start(rig, *options);
    peer_open(peer, rig->port);
    peer_ping(peer, "a ping", 1);
    gate_close(options);
    put_op(&frame, PROTO_SET, 2, "held", slice_str("v"));
    peer_send_buf(peer, &frame);
    expect_soon("a change that takes its time in the store", "it gets there",
                one_inside, NULL);
    buf_release(&frame);
}

/* A client that has sent its last, and then is gone, while its request waited.
 * (Only in this order does the kernel answer a send with SIGPIPE at once.) */
static void gone_while_held(const struct run *run)
{
    struct server_options options = { .durability = STORE_ALWAYS,
                                      .threads = CREW };
    struct peer peer;
    struct rig rig;

    (void)run;
    start_held(&rig, &options, &peer);
    peer_half_close(&peer);
    peer_reset(&peer);
    gate_open();
    struct client *client = client_to(&rig);
    expect_int("set of another client",
               client_set(client, slice_str("a"), slice_str("1")), 0);
    expect_soon("the change of the client that is gone",
                "it is done all the same", held_is_there, client);
    client_close(client);
    rig_leave(&rig);
}

/* More than one turn takes: from each connection, and from all together. */
static void many_at_once(const struct run *run)
{
    enum { PEERS = 16 };
    struct peer peers[PEERS];
    struct buf frames = { 0 };
    struct rig rig;

    rig_start(&rig, (struct server_options){ .threads = CREW });
    for (int p = 0; p < PEERS; p++)
        peer_open(&peers[p], rig.port);
    for (uint64_t i = 0; i < run->size; i++)
        put_op(&frames, i % 2 ? PROTO_GET : PROTO_SET, i, "the same key",
               slice_str("the same value"));
    for (int p = 0; p < PEERS; p++)
        peer_send(&peers[p], frames.ptr, frames.len);
    for (int p = 0; p < PEERS; p++) {
        for (uint64_t i = 0; i < run->size; i += 2) {
            peer_expect(&peers[p], "a set", i, PROTO_OK);
            peer_expect_value(&peers[p], "a get", i + 1,
                              slice_str("the same value"));
        }
        peer_close(&peers[p]);
    }
    buf_release(&frames);
    rig_leave(&rig);
}

/* A pool with room for one job, and another user: the server waits for
 * nobody. */
static void small_pool(const struct run *run)
{
    struct slice large = bytes(8 * KIB, 1);
    struct peer peers[CREW];
    struct buf frame = { 0 };
    struct rig rig;

    rig_start(&rig, (struct server_options){ .threads = 1, .large = KIB });
    for (int p = 0; p < CREW; p++)
        peer_open(&peers[p], rig.port);
    for (uint64_t i = 0; i < run->size; i++) {
        put_op(&frame, PROTO_SET, i, "large", large);
        for (int p = 0; p < CREW; p++)
            peer_send(&peers[p], frame.ptr, frame.len);
        buf_clear(&frame);
        for (int p = 0; p < CREW; p++)
            peer_expect(&peers[p], "a large set", i, PROTO_OK);
    }
    for (int p = 0; p < CREW; p++)
        peer_close(&peers[p]);
    drop(large);
    buf_release(&frame);
    rig_leave(&rig);
}

struct reader {
    struct actor actor;
    struct peer *peer;
    size_t n;
    struct counter taken;
};

static void read_all(void *arg)
{
    struct reader *r = arg;
    struct proto_reply reply;

    for (size_t i = 0; i < r->n && peer_try_take(r->peer, &reply); i++)
        counter_add(&r->taken, 1);
}

static bool has_some(void *arg)
{
    struct reader *r = arg;

    return counter_get(&r->taken) > 2;
}

/* Some clients ask for large values, so that there is always one that waits; and
 * the pool has one thread: a durable set comes in between. */
static void lanes_take_turns(const struct run *run)
{
    struct slice large = bytes(256 * KIB, 1);
    struct buf frame = { 0 };
    struct peer peers[CREW];
    struct reader readers[CREW];
    struct rig rig;

    rig_start(&rig, (struct server_options){
        .durability = STORE_ALWAYS, .threads = 1, .large = KIB });
    struct client *other = client_to(&rig);
    expect_int("set", client_set(other, slice_str("large"), large), 0);
    for (uint64_t i = 0; i < run->size; i++)
        put_get(&frame, i, slice_str("large"));
    for (int p = 0; p < CREW; p++) {
        peer_open(&peers[p], rig.port);
        peer_send(&peers[p], frame.ptr, frame.len);
        readers[p] = (struct reader){ .peer = &peers[p], .n = run->size };
        actor_start(&readers[p].actor, read_all, &readers[p]);
    }
    expect_soon("large gets, many of them", "replies come", has_some,
                &readers[0]);
    expect_int("a durable set beside large gets",
               client_set(other, slice_str("small"), slice_str("s")), 0);
    expect_at_most("large gets that were answered before it",
                   counter_get(&readers[0].taken), run->size / 4);
    for (int p = 0; p < CREW; p++) {
        actor_join(&readers[p].actor);
        expect_int("large gets, all in all", counter_get(&readers[p].taken),
                   run->size);
        peer_close(&peers[p]);
    }
    client_close(other);
    drop(large);
    buf_release(&frame);
    rig_leave(&rig);
}

/* Two clients in turns: each asks as soon as the other has its answer. So a
 * request comes just when the job before it finds nothing more to do; and if
 * it is left lying then, nobody else comes to take it along. */
static void in_turns(const struct run *run, enum store_durability durability)
{
    struct slice value = bytes(2 * KIB, 1);
    struct buf frame = { 0 };
    struct peer peers[2];
    struct rig rig;

    rig_start(&rig, (struct server_options){
        .durability = durability, .large = KIB, .threads = 1 });
    for (int p = 0; p < 2; p++)
        peer_open(&peers[p], rig.port);
    for (uint64_t i = 0; i < run->size; i++) {
        put_op(&frame, PROTO_SET, i, "k", value);
        peer_send_buf(&peers[i % 2], &frame);
        peer_expect(&peers[i % 2], durability == STORE_ALWAYS
                    ? "a durable set, right behind another client's"
                    : "a large set, right behind another client's",
                    i, PROTO_OK);
    }
    for (int p = 0; p < 2; p++)
        peer_close(&peers[p]);
    drop(value);
    buf_release(&frame);
    rig_leave(&rig);
}

static void turns(const struct run *run)
{
    crew_noise(run->seed);
    in_turns(run, STORE_NONE);
    in_turns(run, STORE_ALWAYS);
}

/* A job of the test's own, which holds its thread as long as the gate is
 * closed. */
static void hold_thread(void *unused)
{
    (void)unused;
    come_by(&(struct store_op){ .key = slice_str("held") }, 1);
}

static void do_nothing(void *unused)
{
    (void)unused;
}

static bool two_inside(void *unused)
{
    (void)unused;
    pthread_mutex_lock(&hook.lock);
    bool inside = hook.inside == 2;
    pthread_mutex_unlock(&hook.lock);
    return inside;
}

/* Both threads are held, and no other job is taken. */
static void fill_pool(struct pool *pool)
{
    int err = 0;

    for (int i = 0; i < 2; i++)
        expect_int("pool_submit", pool_submit(pool, hold_thread, NULL), 0);
    expect_soon("jobs of the test's own", "they run", two_inside, NULL);
    for (int i = 0; i < 1000 && !err; i++)
        err = pool_try_submit(pool, do_nothing, NULL);
    expect_int("pool_try_submit, again and again", err, -EAGAIN);
}

/* While the pool is full the loop goes on: somebody who is one too many hears
 * that from the reactor. What was asked meanwhile is answered in the end. */
static void full_pool(const struct run *run)
{
    enum { CLIENTS = 3 };
    struct server_options options = {
        .durability = STORE_ALWAYS, .large = 4 * KIB, .threads = 2,
        .reactor.max_connections = CLIENTS
    };
    struct slice large = bytes(8 * KIB, 1);
    struct peer peers[CLIENTS], late;
    struct buf frame = { 0 };
    struct rig rig;

    rig_start(&rig, options);
    for (int i = 0; i < CLIENTS; i++) {
        peer_open(&peers[i], rig.port);
        peer_ping(&peers[i], "a ping", 1);
    }
    gate_close(&options);
    fill_pool(rig.pool);
    put_op(&frame, PROTO_SET, 2, "k", large);
    put_op(&frame, PROTO_SET, 3, "k", slice_str("v"));
    for (int i = 0; i < CLIENTS; i++) {
        peer_send(&peers[i], frame.ptr, frame.len);
        peer_expect_arrived(&peers[i]);
    }
    for (size_t i = 0; i < run->size; i++) {
        peer_open(&late, rig.port);
        peer_expect(&late, "one client too many, while the pool is full", 0,
                    PROTO_BUSY);
        peer_close(&late);
    }
    gate_open();
    for (int i = 0; i < CLIENTS; i++) {
        peer_expect(&peers[i], "a large set, while the pool is full", 2,
                    PROTO_OK);
        peer_expect(&peers[i], "a set behind it", 3, PROTO_OK);
        peer_close(&peers[i]);
    }
    drop(large);
    buf_release(&frame);
    rig_leave(&rig);
}

/* ---- 2.12: stopping ----------------------------------------------------- */

/* A job is on the pool when the server is stopped: its reply still leaves,
 * and what is behind it is served, too. */
static void stop_waits(const struct run *run)
{
    struct server_options options = { .durability = STORE_ALWAYS,
                                      .threads = 2, .drain_ms = 20000 };
    struct slice none = slice_str("");
    struct buf frames = { 0 };
    struct peer peer;
    struct rig rig;

    (void)run;
    start_held(&rig, &options, &peer);
    put_op(&frames, PROTO_GET, 3, "held", none);
    put_op(&frames, PROTO_SET, 4, "other", slice_str("w"));
    peer_send_buf(&peer, &frames);
    peer_expect_arrived(&peer);
    server_stop(rig.server);
    if (!under_tool())
        expect_true("server_run waits for a job on the pool",
                    actor_blocks(&rig.loop));
    gate_open();
    expect_int("server_run", rig_stop_server(&rig), 0);
    peer_expect(&peer, "the change", 2, PROTO_OK);
    peer_expect_value(&peer, "a get that came before stopping", 3,
                      slice_str("v"));
    peer_expect(&peer, "a change that came before stopping", 4, PROTO_OK);
    rig_release(&rig);
    peer_expect_end(&peer, "then the connection ends");
    buf_release(&frames);
    peer_close(&peer);
}

static bool door_is_closed(void *arg)
{
    struct rig *rig = arg;
    struct peer peer;

    if (!peer_try_open(&peer, rig->port))
        return errno == ECONNREFUSED;
    peer_close(&peer);
    return false;
}

/* While a stopped server waits for its last job, nobody new comes in. */
static void stop_refuses(const struct run *run)
{
    struct server_options options = { .durability = STORE_ALWAYS,
                                      .threads = 2, .drain_ms = 20000 };
    struct peer peer;
    struct rig rig;

    (void)run;
    start_held(&rig, &options, &peer);
    server_stop(rig.server);
    expect_soon("connecting to a server that is stopping and still has "
                "something to do", "the connection is refused",
                door_is_closed, &rig);
    peer_expect_silence(&peer, "no reply before the store has answered");
    gate_open();
    peer_expect(&peer, "the change", 2, PROTO_OK);
    expect_int("server_run", rig_stop(&rig), 0);
    peer_expect_end(&peer, "then the connection ends");
    peer_close(&peer);
}

/* The store is synced at the end, and its error is the answer. */
static void stop_syncs(const struct run *run)
{
    struct rig rig;

    (void)run;
    for (int fail = 0; fail <= EIO; fail += EIO) {
        rig_start(&rig, (struct server_options){ .threads = 2 });
        struct client *client = client_to(&rig);
        expect_int("set", client_set(client, slice_str("a"), slice_str("1")),
                   0);
        client_close(client);
        pthread_mutex_lock(&hook.lock);
        hook.fail_sync = -fail;
        unsigned before = hook.syncs;
        pthread_mutex_unlock(&hook.lock);
        expect_int("what server_run answers", rig_stop_server(&rig), -fail);
        pthread_mutex_lock(&hook.lock);
        expect_true("store_sync is called at the end", hook.syncs > before);
        hook.fail_sync = 0;
        pthread_mutex_unlock(&hook.lock);
        rig_release(&rig);
    }
}

/* A crew at work when it is stopped: what was answered 0 is in the store. */
static void stop_at_work(const struct run *run)
{
    for (size_t r = 0; r < run->size; r++) {
        struct proto_reply reply;
        struct buf frames = { 0 };
        struct peer peers[CREW];
        struct rig rig;
        char key[32];
        unsigned done = 0;

        rig_start(&rig, (struct server_options){
            .durability = r % 2 ? STORE_ALWAYS : STORE_NONE, .threads = 2,
            .large = KIB });
        for (unsigned p = 0; p < CREW; p++) {
            peer_open(&peers[p], rig.port);
            for (unsigned i = 0; i < 10; i++) {
                struct slice value = bytes(i % 3 ? 10 : 2 * KIB, i);

                snprintf(key, sizeof key, "%u %u", p, i);
                put_op(&frames, PROTO_SET, i, key, value);
                drop(value);
            }
            peer_send_buf(&peers[p], &frames);
        }
        peer_expect(&peers[0], "the first reply", 0, PROTO_OK);
        done++;
        expect_int("server_run", rig_stop_server(&rig), 0);
        struct store_stats stats;
        store_stats(rig.store, &stats);
        rig_release(&rig);
        for (unsigned p = 0; p < CREW; p++) {
            while (peer_try_take(&peers[p], &reply))
                done += reply.status == PROTO_OK;
            peer_close(&peers[p]);
        }
        expect_int("keys in the store, and changes answered", stats.keys,
                   done);
        buf_release(&frames);
    }
}

static const struct test_case cases[] = {
    { "each_op", each_op, 1 },
    { "pipeline", pipeline, 1000 },
    { "batch", batch, 100000 },
    { "batch_of_most", batch_of_most, PROTO_BATCH_MAX },
    { "batch_too_big", too_many_values, 5 << 20 },
    { "batch_of_small", too_many_values, 5000 },
    { "value_sizes", value_sizes, PROTO_VALUE_MAX },
    { "reply_after_write", reply_after_write, 1 },
    { "few_writes", few_writes, 64 },
    { "store_errors", store_errors, 1 },
    { "two_servers", two_servers, 1 },
    { "create_and_destroy", create_and_destroy, 1 },
    { "idle_half_frames", idle_half_frames, 10000 },
    { "mixed", mixed, 300 },
    { "mixed_always", mixed_always, 100 },
    { "held_change", held_change, 1 },
    { "held_batch", held_batch, 1 },
    { "held_large_set", held_large_set, 1 },
    { "held_large_get", held_large_get, 1 },
    { "reset_while_held", reset_while_held, 1 },
    { "order_behind_held", order_behind_held, 1 },
    { "gone_while_held", gone_while_held, 1 },
    { "many_at_once", many_at_once, 1000 },
    { "small_pool", small_pool, 20 },
    { "lanes_take_turns", lanes_take_turns, 500 },
    { "turns", turns, 1000 },
    { "full_pool", full_pool, 20 },
    { "stop_waits", stop_waits, 1 },
    { "stop_refuses", stop_refuses, 1 },
    { "stop_syncs", stop_syncs, 1 },
    { "stop_at_work", stop_at_work, 10 },
    { NULL, NULL, 0 },
};

/* These cases, and those of the other files. */
int main(int argc, char **argv)
{
    const struct test_case *tables[16] = { cases };

    for (size_t t = 0; server_hard_tables[t]; t++)
        tables[t + 1] = server_hard_tables[t];
    return driver_tables(argc, argv, tables);
}
