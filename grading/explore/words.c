/* words.c -- the library's numbers in words: steps and verdicts. */
#include "grading/explore/front.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

/* How many stuck threads are told of. */
enum { NAMED_MAX = 3 };

const char *kind_name(enum trace_kind kind)
{
    static const char *const names[] = {
        [KIND_NONE] = "passed",
        [KIND_NOT_EXPLORED] = "not explored",
        [KIND_NO_EXEC] = "not explored",
        [KIND_DEADLOCK] = "deadlock",
        [KIND_LOST_WAKEUP] = "lost wake-up",
        [KIND_NOT_OWNER] = "unlock by a thread that does not own it",
        [KIND_RELOCK] = "relock by its owner",
        [KIND_DESTROYED] = "destroyed while in use",
        [KIND_AFTER_DESTROY] = "used after it was destroyed",
        [KIND_CHECK] = "check failed",
        [KIND_CRASH] = "crash",
    };

    return names[kind];
}

static const char *object_text(uint32_t id)
{
    static char texts[4][16];
    static unsigned turn;
    char *text = texts[turn++ % 4];

    snprintf(text, sizeof texts[0], "%c%u", (char)(id >> 24), id & 0xffffff);
    return text;
}

static const char *op_word(enum trace_op op)
{
    static const char *const words[] = {
        [OP_END] = "ends", [OP_CREATE] = "starts", [OP_JOIN] = "joins",
        [OP_CREATE_FAILS] = "create fails", [OP_DETACH] = "detaches",
        [OP_ADD] = "adds to", [OP_SUB] = "takes from", [OP_READ] = "reads",
        [OP_CANCEL] = "cancels", [OP_BLOCKED] = "blocked by",
        [OP_LOCK] = "lock", [OP_BUSY] = "busy:", [OP_UNLOCK] = "unlock",
        [OP_WAIT] = "wait", [OP_WOKEN] = "woken by",
        [OP_SPURIOUS] = "woken for no reason from",
        [OP_TIMED_OUT] = "timed out:", [OP_SIGNAL] = "signal",
        [OP_BROADCAST] = "broadcast", [OP_RDLOCK] = "read-lock",
        [OP_WRLOCK] = "write-lock", [OP_POST] = "post", [OP_TAKE] = "take",
        [OP_BARRIER] = "passes", [OP_ONCE] = "once", [OP_SLEEP] = "sleeps",
        [OP_YIELD] = "yields", [OP_DESTROY] = "destroy", [OP_NONE] = "uses",
        [OP_PUBLISH] = "publish", [OP_ACQUIRE] = "acquire",
        [OP_ENTER] = "enters", [OP_LEAVE] = "leaves", [OP_LOOK] = "looks at",
    };

    return words[op];
}

/* What the step says besides its word and its object. */
static void more_text(const struct trace_row *r, char *text, size_t size)
{
    unsigned other = r->other;

    *text = '\0';
    if (r->op == OP_WAIT)
        snprintf(text, size, ", gives %s", object_text(other));
    else if (r->op == OP_SIGNAL && other == 0)
        snprintf(text, size, ", wakes nobody");
    else if (r->op == OP_SIGNAL)
        snprintf(text, size, ", wakes %u", other);
    else if (r->op == OP_BROADCAST)
        snprintf(text, size, other == 0 ? ", wakes nobody" :
                             other == 1 ? ", wakes %u thread" :
                                          ", wakes %u threads", other);
    else if (r->op == OP_SLEEP)
        snprintf(text, size, other < 10000 ? " %u us" : " %u ms",
                 other < 10000 ? other : other / 1000);
    else if ((r->op == OP_BLOCKED || r->op == OP_BUSY) && other != 0)
        snprintf(text, size, " (%u has it)", other);
}

void step_text(const struct trace *t, uint32_t index, char *text,
                      size_t size)
{
    const struct trace_row *r = &t->rows[index];
    const char *where = r->op == OP_END ? "" : place_text(t, index);
    char more[48];

    more_text(r, more, sizeof more);
    if (r->object >> 24 == 'T' && r->op == OP_BLOCKED)
        snprintf(text, size, "%s waits for thread %u", where,
                 r->object & 0xffffff);
    else if (r->object >> 24 == 'T')
        snprintf(text, size, "%s %s thread %u%s", where, op_word(r->op),
                 r->object & 0xffffff, more);
    else
        snprintf(text, size, "%s%s%s%s%s%s", where, *where ? " " : "",
                 op_word(r->op), r->object ? " " : "",
                 r->object ? object_text(r->object) : "", more);
}

static size_t add(char *text, size_t size, const char *what)
{
    size_t n = strlen(text);

    snprintf(text + n, size - n, "%s", what);
    return strlen(text);
}

/* A line of a program's output, without what would break ours. */
static void add_line(char *text, size_t size, const char *between,
                     const char *from)
{
    size_t n = add(text, size, *text ? between : "");
    bool blank = false;

    for (; *from && *from != '\n' && n + 2 < size; from++) {
        bool is_space = isspace((unsigned char)*from);

        if (!is_space || !blank)
            text[n++] = is_space ? ' ' : isprint((unsigned char)*from) ? *from
                                                                       : '?';
        blank = is_space;
    }
    text[n] = '\0';
}

static bool add_checks(const struct output *out, char *text, size_t size)
{
    static const char *const starts[] = { "tried:", "expected:", "got:" };

    for (size_t i = 0; i < 3; i++) {
        const char *line = out->text;

        while (line && !starts_with(line, starts[i])) {
            line = strchr(line, '\n');
            line = line ? line + 1 : NULL;
        }
        if (line)
            add_line(text, size, "; ", line);
        /* What does not fit into a line goes on in the next, indented. */
        while (line && (line = strchr(line, '\n')) &&
               starts_with(++line, "          "))
            add_line(text, size, "", line);
    }
    return *text != '\0';
}

static void add_last_error(const struct explorer *e, char *text, size_t size)
{
    const char *end = e->err.text + e->err.len;

    while (end > e->err.text && isspace((unsigned char)end[-1]))
        end--;
    if (end == e->err.text)
        return;
    while (end > e->err.text && end[-1] != '\n')
        end--;
    add_line(text, size, "; ", end);
}

static void stuck_text(const struct trace *t, const struct trace_stuck *s,
                       char *text, size_t size)
{
    const char *where = place_text(t, s->row);
    char what[32];

    snprintf(what, sizeof what, "%s", object_text(s->object));
    if (!s->object)
        snprintf(text, size, "thread %u waits for ever at %s for thread %u "
                 "to end", s->thread, where, s->other);
    else if (!s->other)
        snprintf(text, size, "thread %u waits for ever at %s (%s)", s->thread,
                 where, what);
    else if (t->rows[t->last_row[s->other]].op == OP_END)
        snprintf(text, size, "thread %u waits for ever at %s for %s, which "
                 "thread %u had locked when it ended", s->thread, where, what,
                 s->other);
    else
        snprintf(text, size, "thread %u waits for ever at %s for %s, which "
                 "thread %u has", s->thread, where, what, s->other);
}

/* Those that are the cause; others only wait for them. */
static void describe_stuck(const struct trace *t, enum trace_kind kind,
                           char *text, size_t size)
{
    char part[192];
    unsigned named = 0;

    for (uint32_t i = 0; i < t->stuck_count; i++) {
        if (t->stuck[i].rank != t->stuck[0].rank || ++named > NAMED_MAX)
            continue;
        stuck_text(t, &t->stuck[i], part, sizeof part);
        add(text, size, *text ? "; " : "");
        add(text, size, part);
    }
    if (named > NAMED_MAX) {
        snprintf(part, sizeof part, "; and %u more", named - NAMED_MAX);
        add(text, size, part);
    }
    if (kind == KIND_LOST_WAKEUP)
        add(text, size, named > 1 ? "; nobody is left to signal them"
                                  : "; nobody is left to signal it");
}

/* What the library stopped at once. */
static void describe_call(const struct trace *t, enum trace_kind kind,
                          char *text, size_t size)
{
    const char *what = object_text(t->kind_object);
    const char *where = place_text(t, t->kind_row);
    unsigned who = t->kind_thread, other = t->kind_other;
    char owner[48] = "nobody has";

    if (other)
        snprintf(owner, sizeof owner, "thread %u has", other);
    if (kind == KIND_NOT_OWNER)
        snprintf(text, size, "thread %u gives up %s at %s, which %s locked",
                 who, what, where, owner);
    else if (kind == KIND_RELOCK)
        snprintf(text, size, "thread %u locks %s at %s, which it has locked "
                 "itself", who, what, where);
    else if (kind == KIND_AFTER_DESTROY)
        snprintf(text, size, "thread %u uses %s at %s, which was destroyed",
                 who, what, where);
    else if (other)
        snprintf(text, size, "thread %u destroys %s at %s while %s locked it",
                 who, what, where, owner);
    else
        snprintf(text, size, "thread %u destroys %s at %s while others wait "
                 "for it", who, what, where);
}

static void want_verdict(const struct explorer *e)
{
    const struct trace *t = e->trace;

    places_want(t, t->kind_row);
    places_want(t, t->last_row[t->current]);
    for (uint32_t i = 0; i < t->stuck_count; i++)
        places_want(t, t->stuck[i].row);
    places_look_up(e);
}

void describe(struct explorer *e, enum trace_kind kind, char *text,
              size_t size)
{
    const struct trace *t = e->trace;
    char part[160];

    *text = '\0';
    want_verdict(e);
    if (kind == KIND_NOT_EXPLORED || kind == KIND_NO_EXEC) {
        add_line(text, size, "; ", t->reason);
        if (t->row_count > 0 && kind == KIND_NOT_EXPLORED) {
            snprintf(part, sizeof part, ", last seen at %s",
                     place_text(t, t->last_row[t->current]));
            add(text, size, part);
        }
    } else if (kind == KIND_CHECK) {
        if (add_checks(&e->out, text, size))
            return;
        snprintf(text, size, "exit status %d", WEXITSTATUS(e->status));
        add_last_error(e, text, size);
    } else if (kind == KIND_CRASH) {
        const char *name = sigabbrev_np(WTERMSIG(e->status));

        snprintf(text, size, "SIG%s in thread %u, last seen at %s",
                 name ? name : "?", (unsigned)t->current,
                 place_text(t, t->last_row[t->current]));
        add_last_error(e, text, size);
    } else if (kind == KIND_DEADLOCK || kind == KIND_LOST_WAKEUP) {
        describe_stuck(t, kind, text, size);
    } else {
        describe_call(t, kind, text, size);
    }
}
