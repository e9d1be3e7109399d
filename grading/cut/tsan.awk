# tsan.awk -- ThreadSanitizer's reports in a few lines each. See lib.awk.
#
# A report starts with WARNING and ends with SUMMARY. In it, a line of text
# ends in ':' and the stack it speaks of follows. Accesses become stacks "a"
# and "b", what the memory is "block", a mutex "M0", a thread "T1". All names
# are the report's own, so a report is read to its end before it is told.

/^WARNING: ThreadSanitizer: / { head($0); next }
/ERROR: ThreadSanitizer: / { head($0); next }
/^SUMMARY: ThreadSanitizer/ { finish(); next }
/^ +#[0-9]+ / { if (what != "") tsan_frame($0); next }
what != "" { take(trim($0)) }

END {
    finish()
    exit show()
}

# #1 channel_send path/channel.c:119:5 (program+0x16ef)
function tsan_frame(line,    w) {
    split(trim(line), w, " ")
    if (w[3] ~ /^<null>/ || !match(w[3], /:[0-9]+(:[0-9]+)?$/))
        frame(w[2], "", 0)
    else
        frame(w[2], substr(w[3], 1, RSTART - 1), \
            substr(w[3], RSTART + 1) + 0)
}

function head(line) {
    finish()
    what = line
    sub(/.*ThreadSanitizer: /, "", what)
    sub(/ \(pid=.*/, "", what)
    locks = accesses = 0
    said["a"] = said["b"] = memory = more = cycle = ""
    stack("a"); stack("b"); stack("block"); stack("leak")
    split("", destroyed)
    for (id in MADE)
        stack(id)
    if (what !~ /data race|use-after-free|inversion/)
        stack("a")
}

function take(line,    id) {
    if (line ~ /^(Previous )?([Aa]tomic )?([Rr]ead|[Ww]rite) of size/) {
        id = accesses++ ? "b" : "a"
        said[id] = line
        stack(id)
    } else if (line ~ /^and:/)
        stack("b")
    else if (line ~ /^Location is global '<null>'/)
        stack("none")
    else if (line ~ /^Location is /) {
        memory = line
        stack("block")
    } else if (line ~ /^Mutex M[0-9]+ (acquired here|previously acquired)/)
        order_line(line)
    else if (line ~ /^Mutex M[0-9]+ is already destroyed/)
        destroyed[after(line, "Mutex ")] = 1
    else if (line ~ /^Mutex M[0-9]+ .*created at/)
        made(after(line, "Mutex "))
    else if (line ~ /^Thread T[0-9]+ .*created by/)
        made(after(line, "Thread "))
    else if (line ~ /^As if synchronized via sleep/) {
        more = "a sleep between them orders nothing"
        stack("none")
    } else if (line ~ /^And [0-9]+ more similar thread leaks/)
        more = after(line, "And ")
}

function made(id) {
    MADE[id] = 1
    stack(id)
    if (what == "thread leak")
        leaker = id
}

# The stacks "o1", "o2", ... of a lock-order report, in its own order.
function order_line(line) {
    MADE["o" ++locks] = 1
    taken[locks] = after(line, "Mutex ")
    by[locks] = after(line, "in thread ") == "" ? "" : \
        "thread " after(line, "in thread ")
    if (line ~ /in main thread/)
        by[locks] = "main thread"
    earlier[locks] = line ~ /previously/
    stack("o" locks)
}

function who(line) {
    if (line ~ /main thread/)
        return "main thread"
    return "thread " after(line, "thread ")
}

function lock_text(m) {
    if (m in destroyed)
        return "a mutex that was then destroyed"
    return m in MADE && pick(m) ? lock_made(m, "") : "a mutex (" m ")"
}

# (mutexes: write M0, read M3)
function holding(line,    w, n, i, out) {
    if (!match(line, /mutexes: [^)]*/))
        return "holding no lock"
    n = split(substr(line, RSTART, RLENGTH), w, /[ ,]+/)
    for (i = 1; i <= n; i++)
        if (w[i] ~ /^M[0-9]/)
            out = out (out == "" ? "holding " : " and ") \
                lock_text(w[i]) (w[i - 1] == "read" ? " for reading" : "")
    return out
}

function finish() {
    if (what == "")
        return
    begin()
    if (what ~ /^(data race|heap-use-after-free|race on)/)
        race()
    else if (what ~ /inversion/)
        order()
    else if (what == "thread leak")
        leak()
    else
        misdone()
    what = ""
}

# Where the memory is: a global's name, or a place in a block.
function kind_of_memory(    start, size) {
    if (memory ~ /is global/)
        return " of a global variable"
    if (memory ~ /is stack of/)
        return " on the stack of " glue(who(memory))
    if (memory ~ /is file descriptor/)
        return ", file descriptor " after(memory, "file descriptor ")
    if (memory !~ /heap block/)
        return ""
    size = after(memory, "of size ")
    start = hex(after(memory, " at 0x"))
    return ", " glue("at offset " hex(after(said["a"], " at 0x")) - start \
        " of the " size) " allocated" (pick("block") ? " " at("block") : "")
}

function hex(s,    n, i) {
    for (i = 1; i <= length(s); i++)
        n = n * 16 + index("0123456789abcdef", substr(s, i, 1)) - 1
    return n + 0
}

function race(    name, da, db, gone) {
    da = deed("a", said["a"] ~ /[Ww]rite of/ ? "writes" : "reads")
    db = deed("b", said["b"] ~ /[Ww]rite of/ ? "writes" : "reads")
    gone = (da db) ~ /frees|destroys/ || what ~ /use-after-free/
    if (match(memory, /global '[^']*'/))
        name = substr(memory, RSTART + 8, RLENGTH - 9)
    else if (!gone)
        name = said["a"] ~ /[Ww]rite of/ ? guess("a", "b") : guess("b", "a")
    row(who(said["a"]) " " da, "a")
    if (what ~ /race/)
        note(holding(said["a"]))
    row(who(said["b"]) " " db, "b")
    if (what ~ /race/)
        note(holding(said["b"]))
    if (more != "")
        note(more)
    found((what ~ /use-after-free/ ? "use after free" : gone ? \
        "freed or destroyed while in use" : "data race") \
        (name == "" ? "" : " on " name) ": " \
        glue(plural(after(said["a"], "of size "), "byte")) kind_of_memory(), \
        gone ? "gone " spot(da ~ /frees|destroys/ ? "a" : "b") : \
        "race " pair(spot("a"), spot("b")), gone ? \
        "first make sure that no thread uses it or will, then free it" : \
        (said["a"] said["b"]) ~ /read M/ ? \
        "a lock held for reading does not keep another reader out" : \
        "two threads use it, one writes, and no lock was held by both")
}

# TSan names a lock that is waited for, and with second_deadlock_stack=1
# also where the one already held was taken, after it.
function order(    i, name, key, title) {
    for (i = 1; i <= locks; i++) {
        name = lock_of("o" i)
        row(earlier[i] ? "  after" : by[i] " locks", "o" i)
        if (name == "")
            note((name = taken[i]) " is taken here")
        if (!earlier[i])
            title = title (title == "" ? " " : " and ") \
                glue(name " at " spot("o" i))
        key = key " " spot("o" i)
    }
    found("lock order inverted:" title, "order" key, \
        "take locks in the same order everywhere, or two threads that meet" \
        " here wait for each other for ever")
}

function leak() {
    CAUSE = 1
    row("created", leaker)
    found((more == "" ? "a thread" : more + 1 " threads") " created " \
        glue("at " spot(leaker)) (more == "" ? " was" : " were") \
        " never joined", "join " spot(leaker), \
        "every thread that is created must be joined")
}

function misdone(    rule, m) {
    for (m in MADE)
        if (m ~ /^M/ && DEPTH[m])
            break
    if (what ~ /^destroy of a locked/)
        rule = "destroy it only when no thread holds it, waits for it or will"
    else if (what ~ /^unlock of an unlocked/)
        rule = "one unlock for each lock, by the thread that locked"
    else if (what ~ /^double lock/)
        rule = "a thread that locks what it holds waits for itself, for ever"
    else if (what ~ /invalid mutex/)
        rule = "a lock may be used after its init and before its destroy"
    else if (what ~ /signal/)
        rule = "in a signal handler only async-signal-safe calls are allowed"
    sub(/^SEGV.*/, "the program was killed by SIGSEGV", what)
    row("in", "a")
    if (m ~ /^M/ && DEPTH[m])
        note(lock_text(m))
    if (DEPTH["b"])
        row("held since", "b")
    found(what by_the_way("a"), what spot("a"), rule)
}
