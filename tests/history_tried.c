/* history_tried.c -- given. The configurations that a search has tried: in one
 * array, with a hash table of their places. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tests/history_parts.h"

static size_t hash(const uint64_t *words, size_t n)
{
    uint64_t h = n;

    for (size_t i = 0; i < n; i++) {
        h = (h ^ words[i]) * UINT64_C(0x9e3779b97f4a7c15);
        h ^= h >> 29;
    }
    return (size_t)(h ^ h >> 32);
}

static size_t length_at(const struct tried *t, size_t place)
{
    return 2 + (uint32_t)t->words[place + 1];
}

static int grow_slots(struct tried *t)
{
    size_t n = t->n_slots ? 2 * t->n_slots : 256;
    size_t *slots = calloc(n, sizeof *slots);

    if (!slots)
        return -ENOMEM;
    for (size_t i = 0; i < t->n_slots; i++) {
        if (t->slots[i] == 0)
            continue;
        size_t place = t->slots[i] - 1;
        size_t at = hash(t->words + place, length_at(t, place)) & (n - 1);
        while (slots[at] != 0)
            at = (at + 1) & (n - 1);
        slots[at] = place + 1;
    }
    free(t->slots);
    t->slots = slots;
    t->n_slots = n;
    return 0;
}

static int keep(struct tried *t, const uint64_t *config, size_t n)
{
    if (t->n_words + n > t->cap_words) {
        size_t cap = 2 * t->cap_words + n + 1024;
        uint64_t *words = reallocarray(t->words, cap, sizeof *words);

        if (!words)
            return -ENOMEM;
        t->words = words;
        t->cap_words = cap;
    }
    memcpy(t->words + t->n_words, config, n * sizeof *t->words);
    t->n_words += n;
    return 0;
}

static bool is_subset(const uint64_t *some, const uint64_t *all, size_t words)
{
    for (size_t i = 0; i < words; i++)
        if (some[i] & ~all[i])
            return false;
    return true;
}

int tried_add(struct tried *t, const uint64_t *config, size_t *place)
{
    if (2 * t->n_known >= t->n_slots && grow_slots(t) != 0)
        return -ENOMEM;
    size_t n = 2 + (uint32_t)config[1];
    size_t at = hash(config, n) & (t->n_slots - 1);
    for (; t->slots[at] != 0; at = (at + 1) & (t->n_slots - 1)) {
        const uint64_t *known = t->words + t->slots[at] - 1;

        if (known[1] == config[1] &&
            memcmp(known, config, n * sizeof *known) == 0 &&
            is_subset(known + n, config + n, t->used_words))
            return 0;
    }
    *place = t->n_words;
    t->slots[at] = *place + 1;
    t->n_known++;
    return keep(t, config, n + t->used_words) == 0 ? 1 : -ENOMEM;
}

void tried_release(struct tried *t)
{
    free(t->words);
    free(t->slots);
}
