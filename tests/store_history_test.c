/* store_history_test.c -- what threads see of a store has an order: tasks 2.7
 * and 2.8, with the checker of history.h.
 *
 * Given.
 */
#include <errno.h>

#include "tests/history_crew.h"
#include "tests/store_test.h"

enum { CREW = 4, KEYS = 3, BATCH = 3 };

static enum history_result result_of(int err)
{
    if (err != -ENOENT)
        expect_int("an operation beside others", err, 0);
    return err == 0 ? HISTORY_OK : HISTORY_ABSENT;
}

static void one_call(struct store *s, struct crew_op *op)
{
    struct slice key = slice_str(op->key);
    struct buf value = { 0 };
    int err;

    if (op->op == HISTORY_SET)
        err = store_set(s, key, crew_bytes(op->value, 0));
    else if (op->op == HISTORY_REMOVE)
        err = store_remove(s, key);
    else
        err = store_get(s, key, &value);
    op->result = result_of(err);
    if (op->op == HISTORY_GET && err == 0)
        op->value = crew_value(buf_slice(&value), 0);
    buf_release(&value);
}

static void batch_call(struct store *s, struct crew_op *ops, size_t n)
{
    static const enum store_op_kind kinds[] = {
        STORE_GET, STORE_SET, STORE_REMOVE
    };
    struct store_op batch[BATCH] = { { 0 } };
    char bytes[BATCH][CREW_VALUE_MAX];
    struct buf values = { 0 };

    for (size_t i = 0; i < n; i++) {
        struct slice value = crew_bytes(ops[i].value, 0);

        memcpy(bytes[i], value.ptr, value.len);
        batch[i].kind = kinds[ops[i].op];
        batch[i].key = slice_str(ops[i].key);
        batch[i].value = slice_of(bytes[i], value.len);
        batch[i].into = &values;
    }
    expect_int("store_apply", store_apply(s, batch, n), 0);
    for (size_t i = 0; i < n; i++) {
        ops[i].result = result_of(batch[i].result);
        if (ops[i].op == HISTORY_GET && batch[i].result == 0)
            ops[i].value = crew_value(slice_of(values.ptr + batch[i].into_at,
                                               batch[i].into_len), 0);
    }
    buf_release(&values);
}

static void call(void *store, struct crew_op *ops, size_t n)
{
    if (n == 1)
        one_call(store, ops);
    else
        batch_call(store, ops, n);
}

static void compact(void *store)
{
    expect_int("store_compact", store_compact(store), 0);
}

static void history(const struct run *run, const char *tried,
                    void (*beside)(void *))
{
    static const struct store_options defaults;
    struct place p;

    crew_noise(run->seed);
    place_make(&p, defaults);
    struct crew crew = {
        .fn = call, .arg = p.store, .clients = CREW, .keys = KEYS,
        .rounds = run->size, .batch = BATCH, .seed = run->seed,
    };
    crew_work(tried, &crew, beside);
    place_leave(&p);
}

static void threads_have_order(const struct run *run)
{
    history(run, "4 threads get, set and remove 3 keys", NULL);
}

static void compact_keeps_order(const struct run *run)
{
    history(run, "4 threads get, set and remove 3 keys, beside compactions",
            compact);
}

const struct test_case store_history_cases[] = {
    { "history", threads_have_order, 3000 },
    { "history_compact", compact_keeps_order, 2000 },
    { NULL, NULL, 0 },
};
