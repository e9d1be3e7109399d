/* workload.c -- given. */
#include "stage4-bench/workload.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/little.h"

struct workload {
    struct work_options options;
    double zeta, eta, alpha, half;  /* of Gray's generator */
    uint64_t spread;                /* prime to the number of keys */
};

/* splitmix64 (Steele, Lea, Flood, OOPSLA 2014). */
static uint64_t mixed(uint64_t z)
{
    z += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

static uint64_t next_of(uint64_t *state)
{
    *state += UINT64_C(0x9e3779b97f4a7c15);
    return mixed(*state);
}

/* 0 <= x < 1. */
static double fraction(uint64_t *state)
{
    return (double)(next_of(state) >> 11) * 0x1p-53;
}

int work_preset(struct work_options *o, const char *name)
{
    static const struct {
        char name;
        unsigned get, set, insert, modify;
        enum work_keys distribution;
    } presets[] = {
        { 'A', 50, 50, 0, 0, WORK_ZIPF }, { 'B', 95, 5, 0, 0, WORK_ZIPF },
        { 'C', 100, 0, 0, 0, WORK_ZIPF }, { 'D', 95, 0, 5, 0, WORK_LATEST },
        { 'F', 50, 0, 0, 50, WORK_ZIPF },
    };

    for (size_t i = 0; i < sizeof presets / sizeof *presets; i++) {
        if (name[0] != presets[i].name || name[1] != '\0')
            continue;
        o->get = presets[i].get;
        o->set = presets[i].set;
        o->insert = presets[i].insert;
        o->modify = presets[i].modify;
        o->remove = 0;
        o->distribution = presets[i].distribution;
        o->theta = 0.99;
        return 0;
    }
    return -EINVAL;
}

static size_t digits(uint64_t n)
{
    size_t d = 1;

    while (n >= 10) {
        n /= 10;
        d++;
    }
    return d;
}

static const char *what_is_wrong(const struct work_options *o)
{
    if (o->keys == 0)
        return "no keys";
    if (o->keys > UINT64_C(1) << 40)
        return "too many keys";
    if (o->key_size > WORK_KEY_MAX)
        return "a key is at most 1024 bytes long";
    if (o->key_size < digits(2 * o->keys) + 1)
        return "keys are too short for so many";
    if (o->value_min > o->value_max)
        return "the smallest value is larger than the largest";
    if (o->get + o->set + o->remove + o->insert + o->modify != 100)
        return "a mix is 100 %";
    if (!(o->theta >= 0 && o->theta <= 0.999))
        return "theta is 0 to 0.999";
    return NULL;
}

static uint64_t divisor(uint64_t a, uint64_t b)
{
    while (b) {
        uint64_t rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

static void prepare_zipf(struct workload *w)
{
    double theta = w->options.theta, n = (double)w->options.keys;

    for (uint64_t i = 1; i <= w->options.keys; i++)
        w->zeta += 1 / pow((double)i, theta);
    w->half = pow(0.5, theta);
    w->alpha = 1 / (1 - theta);
    w->eta = (1 - pow(2 / n, 1 - theta)) / (1 - (1 + w->half) / w->zeta);
}

int work_create(struct workload **out, const struct work_options *options,
                const char **why)
{
    const char *wrong = what_is_wrong(options);

    if (wrong) {
        if (why)
            *why = wrong;
        return -EINVAL;
    }
    struct workload *w = calloc(1, sizeof *w);
    if (!w)
        return -ENOMEM;
    w->options = *options;
    w->spread = options->keys * 618 / 1000 | 1;
    while (divisor(w->spread, options->keys) != 1)
        w->spread++;
    if (options->distribution != WORK_UNIFORM)
        prepare_zipf(w);
    *out = w;
    return 0;
}

void work_destroy(struct workload *work)
{
    free(work);
}

const struct work_options *work_options(const struct workload *work)
{
    return &work->options;
}

uint64_t work_key_space(const struct workload *work)
{
    return 2 * work->options.keys;
}

struct slice work_key(const struct workload *work, uint64_t number, char *text)
{
    size_t len = work->options.key_size;

    for (size_t i = len; i-- > 1; number /= 10)
        text[i] = (char)('0' + number % 10);
    text[0] = 'k';
    return slice_of(text, len);
}

static uint64_t mask_of(const struct workload *work, uint64_t number)
{
    return mixed(number ^ mixed(work->options.seed));
}

/* What the bytes behind the version follow from: version, key and seed, so that
 * those of another key are not right by chance. */
static uint64_t body_of(uint64_t version, uint64_t mask)
{
    return mixed(version + mixed(mask));
}

static size_t length_of(const struct work_options *o, uint64_t state)
{
    size_t more = o->value_max - o->value_min;

    return o->value_min + (more ? (size_t)(mixed(~state) % (more + 1)) : 0);
}

int work_value(const struct workload *work, uint64_t number, uint64_t version,
               struct buf *value)
{
    uint64_t mask = mask_of(work, number), state = body_of(version, mask);
    size_t len = length_of(&work->options, state);
    unsigned char word[8];

    buf_clear(value);
    int err = buf_reserve(value, len + 8);
    if (err)
        return err;
    little_put64(word, version ^ mask);
    for (size_t at = 0; at < len; at += 8) {
        memcpy(value->ptr + at, word, 8);
        little_put64(word, next_of(&state));
    }
    value->len = len;
    return 0;
}

bool work_is_value(const struct workload *work, uint64_t number,
                   struct slice value, uint64_t *version)
{
    const unsigned char *bytes = value.ptr;
    unsigned char word[8];

    if (value.len < WORK_VERSION)
        return false;
    uint64_t mask = mask_of(work, number);
    uint64_t found = little_get64(bytes) ^ mask;
    uint64_t state = body_of(found, mask);
    if (value.len != length_of(&work->options, state))
        return false;
    for (size_t at = 8; at < value.len; at += 8) {
        size_t n = value.len - at < 8 ? value.len - at : 8;

        little_put64(word, next_of(&state));
        if (memcmp(bytes + at, word, n) != 0)
            return false;
    }
    *version = found;
    return true;
}

/* ---- streams ----------------------------------------------------------- */

void work_start(struct work_stream *stream, const struct workload *work,
                unsigned connection, unsigned of, bool own_writes,
                bool loading)
{
    *stream = (struct work_stream){
        .work = work, .connection = connection, .of = of,
        .own_writes = own_writes, .loading = loading,
        .random = mixed(work->options.seed ^ mixed(connection)),
        .next = loading ? connection : 0,
    };
}

bool work_owns(const struct work_stream *stream, uint64_t key)
{
    uint64_t keys = stream->work->options.keys;

    return (key < keys ? key : key - keys) % stream->of == stream->connection;
}

/* How often a rank comes falls with its (1 / rank) to the theta. */
static uint64_t zipf_rank(const struct workload *w, uint64_t *random)
{
    double u = fraction(random), uz = u * w->zeta;
    uint64_t rank;

    if (uz < 1)
        return 0;
    if (uz < 1 + w->half)
        return w->options.keys > 1;
    rank = (uint64_t)((double)w->options.keys *
                      pow(w->eta * u - w->eta + 1, w->alpha));
    return rank < w->options.keys ? rank : w->options.keys - 1;
}

/* Inserts go round in the part of the upper half that is the connection's. */
static uint64_t inserts_max(const struct work_stream *s)
{
    uint64_t keys = s->work->options.keys;

    return keys > s->connection ?
           (keys - s->connection + s->of - 1) / s->of : 0;
}

static uint64_t inserted(const struct work_stream *s, uint64_t n)
{
    return s->work->options.keys + n % inserts_max(s) * s->of + s->connection;
}

static uint64_t drawn(struct work_stream *s)
{
    const struct workload *w = s->work;
    uint64_t rank;

    if (w->options.distribution == WORK_UNIFORM)
        return next_of(&s->random) % w->options.keys;
    rank = zipf_rank(w, &s->random);
    if (w->options.distribution == WORK_LATEST && rank < s->next
        && rank < inserts_max(s))
        return inserted(s, s->next - 1 - rank);
    /* Neighbours in rank are no neighbours in number. */
    return (uint64_t)((unsigned __int128)rank * w->spread % w->options.keys);
}

/* The connection's own key that is nearest below, or its first. A connection
 * beyond the number of keys has none: it takes what was drawn, to read. */
static bool make_own(struct work_stream *s, uint64_t *key)
{
    uint64_t keys = s->work->options.keys, base = *key >= keys ? keys : 0;
    uint64_t k = *key - base;

    if (!s->own_writes)
        return true;
    if (s->connection >= keys)
        return false;
    k = k - k % s->of + s->connection;
    if (k >= keys)
        k -= s->of;
    *key = base + k;
    return true;
}

static bool next_loaded(struct work_stream *s, struct work_item *item)
{
    if (s->next >= s->work->options.keys)
        return false;
    *item = (struct work_item){ WORK_SET, s->next };
    s->next += s->of;
    return true;
}

static void next_insert(struct work_stream *s, struct work_item *item)
{
    if (inserts_max(s) == 0)
        return;     /* stays a get */
    *item = (struct work_item){ WORK_SET, inserted(s, s->next) };
    s->next++;
}

bool work_next(struct work_stream *s, struct work_item *item)
{
    const struct work_options *o = &s->work->options;

    if (s->loading)
        return next_loaded(s, item);
    if (s->again) {
        s->again = false;
        *item = (struct work_item){ WORK_SET, s->again_key };
        return true;
    }
    unsigned dice = (unsigned)(next_of(&s->random) % 100);
    *item = (struct work_item){ WORK_GET, drawn(s) };
    if (dice < o->get)
        return true;
    if (dice < o->get + o->insert) {
        next_insert(s, item);
        return true;
    }
    if (!make_own(s, &item->key))
        return true;
    if (dice < o->get + o->insert + o->modify) {
        s->again = true;
        s->again_key = item->key;
    } else {
        item->op = dice < 100 - o->remove ? WORK_SET : WORK_REMOVE;
    }
    return true;
}
