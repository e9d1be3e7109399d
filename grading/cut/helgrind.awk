# helgrind.awk -- helgrind's reports in a few lines each. See lib.awk.
#
# A report is: what (and the stack of it), perhaps a second stack, then what
# is known of the address and of the locks. Line by line, `role` says which
# stack the next frames belong to; a rule of dashes, or the next report, ends
# a report. Lock stacks are kept: a lock is introduced once, and then only
# its address is given.
#
# Two kinds are legal and left out: a signal without the mutex ("dubious"), and
# a read inside sem_post of a semaphore whose owner has already received the
# post (glibc reads nothing afterwards, but helgrind cannot know). Exit status
# 2: the log counts more errors than were found or known to be legal.

# What is wrong | how to say it | the rule. The first that matches is used.
function misdeed(regex, title, rule) {
    REGEX[++MISDEEDS] = regex
    TITLE[MISDEEDS] = title
    WHY[MISDEEDS] = rule
}

BEGIN {
    misdeed("destroy of a locked|destroy failed|being waited upon", \
        "a lock or condition is destroyed while in use", \
        "destroy it only when no thread holds it, waits for it or will")
    misdeed("not-locked", "unlock of a mutex that is not locked", \
        "one unlock for each lock, on every path")
    misdeed("currently held by", \
        "unlock of a mutex that another thread holds", \
        "only the thread that locked a mutex may unlock it")
    misdeed("re-lock", "a thread locks a mutex that it already holds", \
        "it waits for itself, for ever")
    misdeed("un-held mutex|held by a different", \
        "wait on a condition without holding the mutex", \
        "lock the mutex, test in a loop, wait: the wait unlocks it")
    misdeed("different mutex", "one condition used with two mutexes", \
        "all who wait on one condition hold the same mutex")
    misdeed("still holds", "a thread ended while it held a lock", \
        "every path out must unlock what it locked")
    misdeed("invalid", "a pthread call on what is no lock (any more)", \
        "a lock may be used after its init and before its destroy")
    misdeed("", "", "check what the manual page allows here")
}

{ vg_keep($0) }

END {
    for (p = 1; p <= VG_PIDS; p++) {
        pid = VG_PID[p]
        dying = 0
        reset()
        for (i = 1; i <= VG_COUNT[pid]; i++)
            take(VG_LINE[pid, i])
        finish()
    }
    found_some = show()
    exit found_some ? 1 : contexts > legal ? 2 : 0
}

function reset() {
    kind = what = other = role = address = error = held["a"] = held["b"] = ""
    stack("a"); stack("b"); stack("c"); stack("d"); stack("block")
}

function follow(id) { role = id; stack(id) }

function head(k, line) {
    finish()
    kind = k
    what = line
    follow("a")
}

function take(line) {
    if (vg_frame(line))
        return
    if (line ~ /^---/)
        finish()
    else if (line ~ /^Thread #[0-9]+ was created/) {
        finish()
        follow("thread" pid "," after(line, "#"))
    } else if (line ~ /^Possible data race/)
        head("race", line)
    else if (line ~ /^Thread #[0-9]+: lock order /)
        head("order", line)
    else if (line ~ /^Thread #[0-9]+('s call to|:| unlocked)/)
        head("misdeed", line)
    else if (line ~ /^Process terminating/)
        head("signal", line)
    else if (line ~ /^ERROR SUMMARY: /)
        contexts += after(line, " from ")
    else if (line ~ /^Locks held: /)
        held[role] = line
    else if (line ~ /^This conflicts with/) {
        other = line
        follow("b")
    } else if (line ~ /^   with error code/)
        error = substr(line, index(line, "("))
    else if (line ~ /^Required order/)
        follow("c")
    else if (line ~ /^ +followed by a later/)
        follow(role == "c" ? "d" : "b")
    else if (line ~ /^ +Lock was previously acquired/)
        follow("b")
    else if (line ~ /^ +Lock at 0x.* was first observed/) {
        follow("lock" pid "," tolower(after(line, "Lock at ")))
        symbol[role] = ""
    } else if (line ~ /^ +(Address|Location) 0x/)
        where(line)
    else if (line ~ /^ +(in frame #|declared at|a global variable)/)
        address = address " " trim(line)
}

# Where an address is; a lock's, if a lock was just introduced.
function where(line) {
    if (role !~ /^lock/) {
        address = line
        follow("block")
        return
    }
    if (match(line, /data symbol "[^"]*"/))
        symbol[role] = substr(line, RSTART + 13, RLENGTH - 14)
    follow("none")
}

function number(line) { return after(line, "hread #") + 0 }
function who(line) {
    return number(line) == 1 ? "main thread" : "thread " number(line)
}

# A row; of the thread's maker, if its own stack shows nothing of interest.
function row_of(line, verb, id,    t) {
    t = "thread" pid "," number(line)
    if (by_the_way(id) == "" && pick(t))
        row(who(line) ", made at", t)
    else
        row(who(line) verb, id)
}

# ---- locks

function lock_text(addr,    id) {
    id = "lock" pid "," tolower(addr)
    return pick(id) ? lock_made(id, symbol[id]) : "a mutex at " addr
}

# Of the locks that a thread holds for reading helgrind says nothing.
function may_read(id,    i, path) {
    path = locate(FILE[id, pick(id)])
    for (i = 1; pick(id) && i <= LINES[path]; i++)
        if (TEXT[path, i] ~ /rdlock|read_?lock/)
            return 1
    return 0
}

function holding(list, id,    n, i, w, out) {
    n = split(list, w, /[ ,]+/)
    for (i = 1; i <= n; i++)
        if (w[i] ~ /^0x/)
            out = out (out == "" ? "holding " : " and ") lock_text(w[i])
    return out != "" ? out : may_read(id) ? \
        "holding no lock, or one for reading" : "holding no lock"
}

# ---- the reports

function finish() {
    begin()
    if (kind == "race")
        race()
    else if (kind == "order")
        order()
    else if (kind == "signal")
        dying = vg_died(what, "a")
    else if (kind == "misdeed" && !dying)
        misdone()
    else if (kind == "misdeed")
        legal++
    reset()
}

# The variable's name: from the tool, else from the two lines.
function variable(    s) {
    if (match(address, /(data symbol|(local|global) var) "[^"]*"/)) {
        s = substr(address, RSTART, RLENGTH - 1)
        sub(/.*"/, "", s)
        return s
    }
    if (address ~ /^ *Location/ && match(address, / inside [^", ]+/))
        return substr(address, RSTART + 8, RLENGTH - 8)
    return what ~ / write / ? guess("a", "b") : guess("b", "a")
}

function kind_of_memory() {
    if (address ~ /global|data symbol/)
        return " of a global variable"
    if (match(address, /created by [^ ]+ \([^)]*\)/))
        return " on the stack of " glue(substr(address, RSTART + 11, \
            RLENGTH - 11))
    if (address ~ /local var/)
        return " of a local variable"
    return DEPTH["block"] ? ", " vg_block(address, "block") : ""
}

function race(    name, da, db, gone) {
    if ((FN["a", 1] FN["b", 1]) ~ /sem_post/) {
        legal++
        return
    }
    da = deed("a", what ~ / write / ? "writes" : "reads")
    db = deed("b", other ~ / write / ? "writes" : "reads")
    gone = (da db) ~ /frees|destroys/
    name = gone ? "" : variable()
    row_of(what, " " da, "a")
    note(holding(held["a"], "a"))
    if (other == "")            # it keeps the last accesses only
        add("the other access:", "helgrind does not know it any more", "")
    else {
        row_of(other, " " db, "b")
        note(holding(held["b"], "b"))
    }
    found((gone ? "freed or destroyed while in use" : "data race") \
        (name == "" ? "" : " on " name) ": " \
        glue(plural(after(what, "of size "), "byte")) kind_of_memory(), \
        gone ? "gone " spot(da ~ /frees|destroys/ ? "a" : "b") : \
        "race " pair(spot("a"), spot("b")), gone ? \
        "first make sure that no thread uses it or will, then free it" : \
        "two threads use it, one writes, and no lock was held by both" \
        (may_read("a") || may_read("b") ? " (to write, lock for writing)" : ""))
}

function order(    w, first, second) {
    match(what, /"0x[^ ]* before 0x[^"]*"/)
    split(substr(what, RSTART + 1, RLENGTH - 2), w, " before ")
    first = lock_text(w[1])
    second = lock_text(w[2])
    row(who(what) " locks", "a")
    note(second)
    row("  then locks", "b")
    note(first)
    if (DEPTH["c"]) {
        row("earlier, locks", "c")
        note(first)
        row("  then locks", "d")
        note(second)
    }
    found("lock order inverted: " first " and " second, \
        "order " pair(spot("a") spot("b"), spot("c") spot("d")), \
        "take locks in the same order everywhere, or two threads that meet" \
        " here wait for each other for ever")
}

function misdone(    t, i) {
    t = what
    if (t ~ /dubious|broadcast[}]: associated lock is not held/ || \
        t ~ /still holds/ && calls("a", "^fail_case$")) {
        legal++
        return
    }
    sub(/^Thread #[0-9]+('s|:)? */, "", t)
    for (i = 1; t !~ REGEX[i]; i++)
        ;
    row_of(what, "", "a")
    if (match(t, / at 0x[0-9A-Fa-f]+/))
        note(lock_text(substr(t, RSTART + 4, RLENGTH - 4)))
    if (error != "")
        note(error)
    if (DEPTH["b"])
        row("held since", "b")
    sub(/ at 0x.*/, "", t)
    found((TITLE[i] == "" ? t : TITLE[i]) by_the_way("a"), \
        (TITLE[i] == "" ? t : i) " " spot("a"), WHY[i])
}
