/* ledger.c -- given. */
#include "stage4-bench/ledger.h"

#include <errno.h>
#include <stdlib.h>

#include "common/counter.h"

struct entry {
    struct counter issued, acknowledged, removed, unsure;
};

struct ledger {
    uint64_t keys;
    struct entry *entries;
};

int ledger_create(struct ledger **out, uint64_t keys)
{
    struct ledger *ledger = malloc(sizeof *ledger);

    if (!ledger)
        return -ENOMEM;
    ledger->keys = keys;
    ledger->entries = calloc(keys, sizeof *ledger->entries);
    if (!ledger->entries) {
        free(ledger);
        return -ENOMEM;
    }
    *out = ledger;
    return 0;
}

void ledger_destroy(struct ledger *ledger)
{
    if (!ledger)
        return;
    free(ledger->entries);
    free(ledger);
}

static struct entry *entry_of(struct ledger *ledger, uint64_t key)
{
    if (key >= ledger->keys)
        abort();
    return &ledger->entries[key];
}

/* Only one thread at a time raises a counter, so adding the difference sets
 * it. */
static void raise_to(struct counter *counter, uint64_t value)
{
    uint64_t now = counter_get(counter);

    if (value > now)
        counter_add(counter, value - now);
}

uint64_t ledger_write(struct ledger *ledger, uint64_t key, bool removes)
{
    struct entry *e = entry_of(ledger, key);
    uint64_t version = counter_get(&e->issued) + 1;

    if (removes)
        raise_to(&e->removed, version);
    raise_to(&e->issued, version);
    return version;
}

void ledger_acknowledge(struct ledger *ledger, uint64_t key, uint64_t version)
{
    raise_to(&entry_of(ledger, key)->acknowledged, version);
}

void ledger_fail(struct ledger *ledger, uint64_t key)
{
    raise_to(&entry_of(ledger, key)->unsure, 1);
}

uint64_t ledger_issued(struct ledger *ledger, uint64_t key)
{
    return counter_get(&entry_of(ledger, key)->issued);
}

uint64_t ledger_acknowledged(struct ledger *ledger, uint64_t key)
{
    return counter_get(&entry_of(ledger, key)->acknowledged);
}

uint64_t ledger_removed(struct ledger *ledger, uint64_t key)
{
    return counter_get(&entry_of(ledger, key)->removed);
}

bool ledger_unsure(struct ledger *ledger, uint64_t key)
{
    return counter_get(&entry_of(ledger, key)->unsure) != 0;
}
