/* crash.c -- given: choosing among the disks of a crash, and judging them.
 *
 * What a disk shows does not depend on when the crash was; what it must show
 * does. So each different disk is looked at once, and judged as often as it
 * comes up.
 */
#include "tests/crash.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

#include "tests/crash_disk.h"
#include "tests/driver.h"

enum { KEPT = 12, REMEMBERED = 1 << 14 };

struct memory {             /* of a disk that was looked at */
    uint64_t hash;
    struct crash_seen seen;
};

/* What may be demanded at a moment. */
struct demand {
    unsigned asked[CRASH_STREAMS], answered[CRASH_STREAMS];
    unsigned promised[CRASH_STREAMS], read[CRASH_STREAMS];
    const char *phase;
    unsigned phase_calls, phase_asked;
};

struct explorer {
    const struct crash_plan *plan;
    struct crash_report *report;
    struct disk *disk;
    struct memory *memory;
    char scratch[128];
    struct demand demand;
    uint64_t random;
    size_t moment;          /* the event that does not happen any more */
    struct atom atoms[DISK_ATOMS];
    int n;
    const uint16_t *pick;   /* the choice among them that is tried now; */
    bool power;             /* by the power, or by a kill */
    size_t torn;            /* within the next write, or 0 */
    struct tree tree;
};

/* Whose look is going on, for the one that never comes back. */
static struct explorer *looking;

static struct {
    char scratch[128];
    unsigned n, of;
    uint16_t value[KEPT][CRASH_KEYS];
} kept;

/* ---- Judging ------------------------------------------------------------- */

/* The value that the stream's first n changes leave a key with. */
static uint16_t after(unsigned stream, unsigned n, unsigned key)
{
    const struct crash_log *log = crash_log();

    while (n-- > 0)
        if (log->change[stream][n].key == key)
            return log->change[stream][n].value;
    return log->start[key];
}

static bool is_of(unsigned stream, unsigned key)
{
    const struct crash_log *log = crash_log();

    for (unsigned i = 0; i < log->changes[stream]; i++)
        if (log->change[stream][i].key == key)
            return true;
    return false;
}

/* Some n of [low, high] that explains what was seen; -1 none. */
static int explained(const struct crash_seen *seen, unsigned stream,
                     unsigned low, unsigned high)
{
    const struct crash_log *log = crash_log();
    uint16_t value[CRASH_KEYS];
    unsigned wrong = 0;

    for (unsigned k = 0; k < CRASH_KEYS; k++) {
        value[k] = after(stream, low, k);
        wrong += is_of(stream, k) && value[k] != seen->value[k];
    }
    for (unsigned n = low; wrong > 0; n++) {
        if (n == high)
            return -1;
        const struct change *c = &log->change[stream][n];
        wrong -= value[c->key] != seen->value[c->key];
        value[c->key] = c->value;
        wrong += value[c->key] != seen->value[c->key];
        if (wrong == 0)
            return (int)n + 1;
    }
    return (int)low;
}

static void value_words(unsigned value, char *text, size_t room)
{
    if (value == CRASH_ABSENT)
        snprintf(text, room, "no value");
    else if (value == CRASH_GARBAGE)
        snprintf(text, room, "bytes that nobody wrote");
    else
        snprintf(text, room, "value %u", value);
}

/* Says how the disk differs from what the stream's first `n` changes make,
 * or from what any number of changes up to n could make. */
static void say_difference(struct explorer *x, const struct crash_seen *seen,
                           unsigned stream, unsigned low)
{
    char got[40], want[40];

    for (unsigned k = 0; k < CRASH_KEYS; k++) {
        unsigned value = after(stream, low, k);
        if (!is_of(stream, k) || value == seen->value[k])
            continue;
        value_words(seen->value[k], got, sizeof got);
        value_words(value, want, sizeof want);
        snprintf(x->report->got, sizeof x->report->got,
                 "key %u has %s; with the %u changes that must be there it "
                 "has %s, and no later change explains it", k, got, low, want);
        return;
    }
}

/* A key that shows a value which a removal that must be there took away. */
static bool came_back(const struct crash_seen *seen, unsigned stream,
                      unsigned low)
{
    for (unsigned k = 0; k < CRASH_KEYS; k++)
        if (is_of(stream, k) && seen->value[k] != CRASH_ABSENT &&
            after(stream, low, k) == CRASH_ABSENT) {
            const struct crash_log *log = crash_log();
            bool set_before = log->start[k] == seen->value[k];
            for (unsigned n = 0; n < low; n++)
                set_before |= log->change[stream][n].key == k &&
                              log->change[stream][n].value == seen->value[k];
            if (set_before)
                return true;
        }
    return false;
}

static bool has_garbage(const struct crash_seen *seen)
{
    for (unsigned k = 0; k < CRASH_KEYS; k++)
        if (seen->value[k] == CRASH_GARBAGE)
            return true;
    return false;
}

/* The name of what is broken; NULL: nothing. */
static const char *judge(struct explorer *x, const struct crash_seen *seen)
{
    bool power = x->power;
    const struct demand *d = &x->demand;
    char *got = x->report->got;
    size_t room = sizeof x->report->got;

    if (seen->broken) {
        snprintf(got, room, "%s", seen->detail);
        return seen->broken;
    }
    if (seen->error) {
        snprintf(got, room, "opening it: -%s", strerrorname_np(-seen->error));
        return seen->error == -EBADMSG
                   ? "I9 what a crash tears off is no corruption: it opens"
                   : "I11 what a crash leaves behind is no hindrance: it opens";
    }
    if (has_garbage(seen)) {
        snprintf(got, room, "a key has bytes that nobody wrote");
        return "I2 a change is there or not, never anything else";
    }
    for (unsigned s = 0; s < CRASH_STREAMS; s++) {
        unsigned low = power ? d->promised[s] : d->answered[s];
        unsigned read = power && d->read[s] > low ? d->read[s] : low;
        if (explained(seen, s, read, d->asked[s]) >= 0)
            continue;
        if (explained(seen, s, low, d->asked[s]) >= 0) {
            say_difference(x, seen, s, read);
            return "I15 nobody reads a value before it is durable";
        }
        say_difference(x, seen, s, low);
        if (came_back(seen, s, low))
            return "I4 a removed key never comes back";
        if (*d->phase && d->phase_calls > 0 && d->phase_asked == 0)
            return "I7 compaction never changes the map";
        int fewer = explained(seen, s, 0, low);
        if (fewer < 0)
            return "I3 only the last changes may be missing, no hole";
        if (fewer == 0)
            snprintf(got, room, "none of the changes is there");
        else
            snprintf(got, room, "only the first %d changes are there", fewer);
        return "I1 an acknowledged change survives";
    }
    return NULL;
}

/* ---- Looking ------------------------------------------------------------- */

static struct memory *remembered(struct explorer *x, uint64_t hash)
{
    size_t i = hash % REMEMBERED;

    while (x->memory[i].hash && x->memory[i].hash != hash)
        i = (i + 1) % REMEMBERED;
    return &x->memory[i];
}

static void keep(struct explorer *x, const struct crash_seen *seen)
{
    char path[128 + 16];

    if (!seen->changed || seen->error || seen->broken)
        return;
    if (!*kept.scratch)
        scratch_make(kept.scratch);
    /* Some of all: each later one takes a place with a smaller chance. */
    kept.of++;
    unsigned place = kept.n < KEPT ? kept.n
        : (unsigned)(next_random(&x->random) % kept.of);
    if (place >= KEPT)
        return;
    snprintf(path, sizeof path, "%s/%u", kept.scratch, place);
    if (place < kept.n)
        crash_remove(path);
    else
        kept.n++;
    tree_write(&x->tree, path);
    memcpy(kept.value[place], seen->value, sizeof seen->value);
}

static void say_lost(const struct explorer *x, char *text, size_t room)
{
    const uint16_t *pick = x->power ? x->pick : NULL;
    const char *between = ";\nlost: ";
    size_t at = 0;

    *text = '\0';
    for (int i = 0; i < x->n && at + 80 < room; i++) {
        const struct atom *a = &x->atoms[i];
        const char *name = inode_name(a->inode, x->moment);
        char words[120];

        if (!pick || pick[i] == 1)
            continue;
        if (a->kind == ATOM_NAME)
            event_words((size_t)x->disk->inode[a->inode].pending[a->at],
                        words, sizeof words);
        else if (a->kind == ATOM_SIZE)
            snprintf(words, sizeof words, "the size of %s", name);
        else
            snprintf(words, sizeof words, "%s page %zu of %s",
                     pick[i] > a->versions ? "half of" : "writes to", a->at,
                     name);
        at += (size_t)snprintf(text + at, room - at, "%s%.70s", between,
                               words);
        between = ", ";
    }
}

static void say_when(struct explorer *x)
{
    char last[120] = "the start", next[120] = "", lost[240];
    size_t i = x->moment;
    const struct crash_log *log = crash_log();

    while (i > log->base && log->event[i - 1].kind > EVENT_SYNC_FAILED)
        i--;
    if (i > log->base)
        event_words(i - 1, last, sizeof last);
    if (x->torn) {
        event_words(x->moment, next, sizeof next);
        snprintf(lost, sizeof lost, ",\nand within the next, of which %zu bytes "
                 "come (%.90s)", x->torn, next);
    } else {
        say_lost(x, lost, sizeof lost);
    }
    snprintf(x->report->when, sizeof x->report->when,
             "%s%s%s after call %zu (%s)%s",
             x->power ? "power fails" : "process dies",
             *x->demand.phase ? " in " : "", x->demand.phase, i - log->base,
             last, lost);
}

/* A look that ends the process, or never ends, says on which disk. */
static void look_died(int signal_number)
{
    char tried[600];

    if (!looking) {         /* a mistake of the test's own */
        signal(signal_number, SIG_DFL);
        raise(signal_number);
        return;
    }
    say_when(looking);
    snprintf(tried, sizeof tried, "%s;\n%s", looking->plan->tried,
             looking->report->when);
    fail_case(NULL, 0, tried, "it opens, and its keys are read",
              signal_number == SIGVTALRM ? "still busy after 4 s: %s"
                                         : "it dies: %s",
              strsignal(signal_number));
}

/* Sanitizers report such signals better themselves. */
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
enum { SANITIZED = true };
#else
enum { SANITIZED = false };
#endif

/* For all looks of an exploration. */
static void watch_signals(bool on)
{
    static const int signals[] = { SIGSEGV, SIGBUS, SIGABRT, SIGFPE,
                                   SIGVTALRM };

    for (size_t i = 0; !SANITIZED && i < sizeof signals / sizeof *signals; i++)
        signal(signals[i], on ? look_died : SIG_DFL);
}

static void watch(struct explorer *x)
{
    struct itimerval limit = { .it_value.tv_sec = x ? 4 : 0 };

    looking = x;
    if (!SANITIZED)
        setitimer(ITIMER_VIRTUAL, &limit, NULL);
}

static const struct crash_seen *look(struct explorer *x)
{
    uint64_t hash = tree_hash(&x->tree);
    struct memory *m = remembered(x, hash ? hash : 1);

    if (!m->hash && x->report->disks < REMEMBERED / 2) {
        char root[128 + 8];
        x->report->disks++;
        snprintf(root, sizeof root, "%s/d", x->scratch);
        tree_write(&x->tree, root);
        m->hash = hash ? hash : 1;
        watch(x);
        x->plan->look(x->plan->arg, root, x->report->disks, &m->seen);
        watch(NULL);
        crash_remove(root);
        if (x->plan->keep)
            keep(x, &m->seen);
    }
    return m->hash ? &m->seen : NULL;
}

/* For a person to look at; on demand. */
static void keep_failed(struct explorer *x)
{
    const char *path = getenv("CRASH_KEEP");

    if (path)
        tree_write(&x->tree, path);
}

/* Whether all is well with this choice. */
static bool try_choice(struct explorer *x, const uint16_t *pick, bool power,
                       size_t torn)
{
    x->pick = pick;
    x->power = power;
    x->torn = torn;
    disk_tree(x->disk, x->atoms, x->n, pick, &x->tree);
    x->report->states++;
    const struct crash_seen *seen = look(x);
    const char *broken = seen ? judge(x, seen) : NULL;
    if (broken) {
        x->report->invariant = broken;
        say_when(x);
        keep_failed(x);
    }
    tree_release(&x->tree);
    return !broken;
}

/* ---- Choosing ------------------------------------------------------------ */

static bool try_kill(struct explorer *x)
{
    struct crash_log *log = crash_log();
    const struct event *e = &log->event[x->moment];
    bool well = true;

    x->n = disk_atoms(x->disk, x->atoms);
    if (!try_choice(x, NULL, false, 0))
        return false;
    if (x->moment == log->events || e->kind != EVENT_WRITE || e->len < 2)
        return true;
    size_t cuts[] = { 1, e->len / 2, e->len - 1,
                      1 + next_random(&x->random) % (e->len - 1),
                      1 + next_random(&x->random) % (e->len - 1) };
    size_t n = sizeof cuts / sizeof *cuts, i = 0;
    if (x->plan->one_cut) {
        i = next_random(&x->random) % n;
        n = i + 1;
    }
    for (; i < n && well; i++) {
        log->event[CRASH_EVENTS] = *e;
        log->event[CRASH_EVENTS].len = cuts[i];
        disk_event(x->disk, CRASH_EVENTS);
        x->n = disk_atoms(x->disk, x->atoms);
        well = try_choice(x, NULL, false, cuts[i]);
        disk_take_back(x->disk, CRASH_EVENTS);
    }
    return well;
}

static bool try_all(struct explorer *x)
{
    uint16_t pick[DISK_ATOMS] = { 0 };

    for (;;) {
        if (!try_choice(x, pick, true, 0))
            return false;
        int i = 0;
        while (i < x->n && ++pick[i] == x->atoms[i].options)
            pick[i++] = 0;
        if (i == x->n)
            return true;
    }
}

static void pick_all(const struct explorer *x, uint16_t *pick, uint16_t what)
{
    for (int i = 0; i < x->n; i++)
        pick[i] = what;
}

/* With little to decide each is tried; else: nothing lost but one, all lost
 * but one, and then by chance. */
static bool try_some(struct explorer *x)
{
    uint16_t pick[DISK_ATOMS];
    unsigned tries = x->plan->per_moment;
    int step = 1 + 2 * x->n / (int)tries;

    for (int i = (int)(next_random(&x->random) % (unsigned)step); i < x->n;
         i += step)
        for (uint16_t all = 0; all < 2; all++, tries -= tries > 0) {
            pick_all(x, pick, all);
            pick[i] = !all;
            if (!try_choice(x, pick, true, 0))
                return false;
        }
    for (; tries > 0; tries--) {
        unsigned odds = (unsigned)(next_random(&x->random) % 4);
        for (int i = 0; i < x->n; i++) {
            uint64_t r = next_random(&x->random);
            unsigned options = r % 4 < odds ? 2 : x->atoms[i].options;
            pick[i] = (uint16_t)((r >> 8) % options);
        }
        if (!try_choice(x, pick, true, 0))
            return false;
    }
    return true;
}

static bool try_power(struct explorer *x)
{
    double product = 1;

    x->n = disk_atoms(x->disk, x->atoms);
    for (int i = 0; i < x->n; i++)
        product *= x->atoms[i].options;
    if (product <= x->plan->per_moment)
        return try_all(x);
    uint16_t pick[DISK_ATOMS];
    pick_all(x, pick, 0);
    return try_choice(x, pick, true, 0) && try_some(x);
}

/* ---- Going through the record -------------------------------------------- */

static void note_demand(struct demand *d, const struct event *e)
{
    unsigned s = e->stream;

    switch (e->kind) {
    case EVENT_ASKED:
        d->asked[s] = e->n;
        d->phase_asked++;
        break;
    case EVENT_ANSWERED:
        d->answered[s] = e->n > d->answered[s] ? e->n : d->answered[s];
        break;
    case EVENT_PROMISED:
        if (e->n == 0)
            d->promised[s] = d->answered[s];
        else if (e->n > d->promised[s])
            d->promised[s] = e->n;
        break;
    case EVENT_READ:
        d->read[s] = e->n > d->read[s] ? e->n : d->read[s];
        break;
    case EVENT_PHASE:
        d->phase = e->phase;
        d->phase_calls = d->phase_asked = 0;
        break;
    default:
        d->phase_calls++;
        break;
    }
}

static void explore_all(struct explorer *x)
{
    const struct crash_log *log = crash_log();

    for (x->moment = log->base; x->moment <= log->events; x->moment++) {
        const struct event *e = &log->event[x->moment];
        bool end = x->moment == log->events;

        if (x->moment >= x->plan->from &&
            (end || e->kind <= EVENT_SYNC_FAILED)) {
            x->report->moments++;
            if (!try_kill(x) || (x->plan->power && !try_power(x)))
                return;
        }
        if (!end) {
            note_demand(&x->demand, e);
            disk_event(x->disk, x->moment);
        }
    }
}

void crash_explore(const struct crash_plan *plan, struct crash_report *report)
{
    struct explorer *x = calloc(1, sizeof *x);

    expect_true("memory", x != NULL);
    crash_stop();
    *report = (struct crash_report){ .moments = 0 };
    x->plan = plan;
    x->report = report;
    x->random = plan->seed;
    x->demand.phase = "";
    x->disk = disk_create();
    x->memory = calloc(REMEMBERED, sizeof *x->memory);
    expect_true("memory", x->memory != NULL);
    scratch_make(x->scratch);
    watch_signals(true);
    explore_all(x);
    watch_signals(false);
    crash_remove(x->scratch);
    disk_destroy(x->disk);
    free(x->tree.file);
    free(x->memory);
    free(x);
}

void crash_expect(const struct crash_plan *plan, struct crash_report *report)
{
    char tried[600];

    crash_explore(plan, report);
    if (!report->invariant)
        return;
    crash_drop_kept();
    snprintf(tried, sizeof tried, "%s;\n%s", plan->tried, report->when);
    fail_case(NULL, 0, tried, report->invariant, "%s",
              report->got);
}

bool crash_kept(unsigned n, char path[128], uint16_t value[CRASH_KEYS])
{
    if (n >= kept.n)
        return false;
    snprintf(path, 128, "%.100s/%u", kept.scratch, n);
    memcpy(value, kept.value[n], sizeof kept.value[n]);
    return true;
}

void crash_drop_kept(void)
{
    if (*kept.scratch)
        crash_remove(kept.scratch);
    *kept.scratch = '\0';
    kept.n = kept.of = 0;
}
