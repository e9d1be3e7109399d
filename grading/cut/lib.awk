# lib.awk -- what the report cutters share: stacks, source lines, findings.
#
# Given. Used as  awk -v root=DIR -v own=LIST -f lib.awk -f TOOL.awk LOG
# where LIST names the student's files, one a line, relative to DIR. Exit
# status: 0 if nothing was found, 1 if something was.
#
# A stack has a name, `id`: stack(id) begins it, frame() adds to it, innermost
# first. A finding is begin(), row() and note() in any number, then found().
# show() prints them all, the student's first.

BEGIN {
    WIDTH = 80
    MOST = 5            # findings that are printed
    GLUE = "\001"       # a space at which no line is broken
    while (own != "" && (getline path < own) > 0) {
        sub(/^\.\//, "", path)
        OWN[base(path)] = path
        sub(/[^\/]*$/, "", path)
        DIRS = DIRS " " path
    }
    DIRS = DIRS " common/ tests/"
}

function base(path) { sub(/.*\//, "", path); return path }
function pad(s, n) { return sprintf("%-" n "s", s) }
function cut(s, n) { return length(s) <= n ? s : substr(s, 1, n - 3) "..." }
function glue(s) { gsub(/ /, GLUE, s); return s }
function trim(s) { gsub(/^[ \t\r]+|[ \t\r]+$/, "", s); return s }
function plural(n, one) { return n " " one (n == 1 ? "" : "s") }
function pair(a, b) { return a < b ? a " " b : b " " a }

# The word that follows `mark` in s.
function after(s, mark) {
    if (!index(s, mark))
        return ""
    s = substr(s, index(s, mark) + length(mark))
    sub(/[ ,:;)].*/, "", s)
    return s
}

# ---- source

# Reads root/path, once; true if it is there.
function have(path,    line, n) {
    if (!(path in LINES)) {
        while ((getline line < (root "/" path)) > 0)
            TEXT[path, ++n] = line
        close(root "/" path)
        LINES[path] = n + 0
    }
    return LINES[path] > 0
}

# Where under root the file is that a report names; "" if nowhere.
function locate(file,    path, dirs, n, i) {
    if (file == "")             # root itself, and a directory cannot be read
        return ""
    if (file in WHERE)
        return WHERE[file]
    path = base(file)
    WHERE[file] = ""
    if (path in OWN && have(OWN[path]))
        return WHERE[file] = OWN[path]
    for (path = file; sub(/^[^\/]*\//, "", path); )
        if (path != "" && have(path))
            return WHERE[file] = path
    n = split(DIRS, dirs, " ")
    for (i = 1; i <= n; i++)
        if (have(dirs[i] base(file)))
            return WHERE[file] = dirs[i] base(file)
    return ""
}

# A line without its comment.
function text(file, line,    s) {
    s = locate(file)
    s = s == "" ? "" : TEXT[s, line]
    gsub(/\t/, " ", s)
    sub(/[ ]*\/\*([^*]|\*[^\/])*(\*\/)?[ ]*$/, "", s)
    gsub(/[^ -~]/, "?", s)
    return trim(s)
}

# ---- stacks

function stack(id) { STACK = id; DEPTH[id] = PICKED[id] = 0 }

function frame(fn, file, line,    i) {
    i = ++DEPTH[STACK]
    sub(/\.(isra|part|constprop|cold|lto_priv).*/, "", fn)
    FN[STACK, i] = fn
    FILE[STACK, i] = file
    LINE[STACK, i] = line + 0
}

# How much a frame tells the student. 5: it is his own; 4: a test's; the
# wrappers in lock.h tell less than whoever calls them.
function worth(id, i,    path) {
    if (FILE[id, i] == "" || FN[id, i] ~ /^__wrap_/)
        return 0
    if (base(FILE[id, i]) in OWN)
        return 5
    path = locate(FILE[id, i])
    if (FILE[id, i] ~ /(^|\/)lock\.h$/)
        return 2
    return path == "" ? 1 : path ~ /^(tests|common)\// ? 4 : 3
}

# The frame to show: the innermost of those worth most; 0 if there is none.
function pick(id,    i, w, best) {
    if (!PICKED[id])
        for (i = 1; i <= DEPTH[id]; i++)
            if ((w = worth(id, i)) > best) {
                best = w
                PICKED[id] = i
            }
    return PICKED[id] + 0
}

function mine(id) { return pick(id) && worth(id, pick(id)) == 5 }
function source(id) { return text(FILE[id, pick(id)], LINE[id, pick(id)]) }
function spot_of(id, i) { return base(FILE[id, i]) ":" LINE[id, i] }
function spot(id) { return pick(id) ? spot_of(id, pick(id)) : "?" }
function place_of(id, i) {
    return spot_of(id, i) (FN[id, i] == "" ? "" : " in " FN[id, i])
}

# For titles: nothing when the place would tell the student nothing.
function by_the_way(id) {
    return pick(id) && worth(id, pick(id)) >= 4 ? ", " spot(id) : ""
}

function at(id) { return glue("at " spot(id) " (" FN[id, pick(id)] ")") }

# ch->lock, where the line of the stack is mutex_lock(&ch->lock) or the like.
function lock_of(id,    s) {
    s = source(id)
    if (!match(s, /(init|lock|destroy|release)\(&?[^,()]+[,)]/))
        return ""
    s = substr(s, RSTART, RLENGTH - 1)
    sub(/.*\(&?/, "", s)
    return s
}

# "the mutex made at channel.c:34 (ch->lock)", of the stack that made it or
# first took it; `name` is its name, if anybody told.
function lock_made(id, name) {
    if (name == "")
        name = lock_of(id)
    return (calls(id, "rwlock") ? "the rwlock " : "the mutex ") \
        glue((calls(id, "init") ? "made at " : "first locked at ") spot(id) \
        (name == "" ? "" : " (" name ")"))
}

# True if some function of the stack that the picked one calls is named so.
function calls(id, regex,    i) {
    for (i = 1; i <= DEPTH[id] && (i < pick(id) || !pick(id)); i++)
        if (FN[id, i] ~ regex)
            return 1
    return 0
}

# What an access to memory really was, where a library function made it.
function deed(id, plain) {
    return calls(id, "^(__interceptor_)?(free|realloc)$") ? "frees" : \
        calls(id, "(mutex|cond|rwlock)_(destroy|release)") ? "destroys" : \
        calls(id, "cond_wait") ? "waits" : \
        calls(id, "(mutex|rwlock)_(rd|wr)?lock") ? "locks" : \
        calls(id, "(mutex|rwlock)_unlock") ? "unlocks" : \
        calls(id, "cond_(signal|broadcast)") ? "signals" : plain
}

# ---- the field that two lines have in common

# Fills set with the a->b.c of s, by last name; returns what s writes to.
function fields(s, set,    p, rest, target, name, path) {
    gsub(/"[^"]*"/, "", s)
    name = "[A-Za-z_][A-Za-z0-9_]*"
    path = name "((\\[[^][]*\\])?(->|\\.)" name ")+"
    while (match(s, path)) {
        name = p = substr(s, RSTART, RLENGTH)
        rest = substr(s, RSTART + RLENGTH)
        sub(/.*(->|\.)/, "", name)
        if (!(name in set) && rest !~ /^[ ]*\(/)
            set[name] = p (rest ~ /^\[/ ? "[..]" : "")
        if (target == "" && (substr(s, 1, RSTART - 1) ~ /(\+\+|--)$/ || rest ~ \
            /^(\[[^][]*\])?[ ]*(\+\+|--|([-+*\/%|&^]|<<|>>)?=([^=]|$))/))
            target = name
        s = rest
    }
    return target
}

# The field that stack w writes and stack o uses, if their lines tell.
function guess(w, o,    a, b, target, name, n, only) {
    if (pick(w) != 1 || pick(o) != 1)
        return ""
    target = fields(source(w), a)
    fields(source(o), b)
    if (target != "")
        return target in b ? a[target] : ""
    for (name in a)
        if (name in b && ++n)
            only = a[name]
    return n == 1 ? only : ""
}

# ---- findings

function begin() { ROWS = OURS = CAUSE = 0 }
function note(s) { add("-", "", s) }

function add(left, place, src) {
    LEFT[++ROWS] = left
    PLACE[ROWS] = place
    SRC[ROWS] = src
}

# The picked line of a stack; under it what it calls, if that is a test's.
function row(left, id,    i, p) {
    OURS = OURS || mine(id)
    p = pick(id)
    add(left, p ? place_of(id, p) : "no line known", p ? source(id) : "")
    if (p && !mine(id))
        note("(not in your files)")
    for (i = 1; i < p && worth(id, i) != 4; i++)
        ;
    if (i < p)
        add("  inside", place_of(id, i), text(FILE[id, i], LINE[id, i]))
}

# Breaks s at spaces; what follows the first line is indented.
function wrap(s, indent, first,    words, n, i, line, out) {
    n = split(s, words, / +/)
    line = first words[1]
    for (i = 2; i <= n; i++)
        if (length(line " " words[i]) > WIDTH) {
            out = out cut(line, WIDTH) "\n"
            line = indent words[i]
        } else
            line = line " " words[i]
    out = out cut(line, WIDTH) "\n"
    gsub(GLUE, " ", out)
    return out
}

# The rows in columns; a source line that does not fit goes below.
function body(    i, out, l, p, s) {
    for (i = 1; i <= ROWS; i++) {
        if (LEFT[i] != "-" && length(LEFT[i]) > l)
            l = length(LEFT[i])
        if (length(PLACE[i]) > p)
            p = length(PLACE[i])
    }
    for (i = 1; i <= ROWS; i++) {
        s = "    " pad(LEFT[i], l) "  " pad(PLACE[i], p) "  "
        if (LEFT[i] == "-")
            out = out wrap(SRC[i], pad("", 13), pad("", 13))
        else if (length(s SRC[i]) <= WIDTH)
            out = out s SRC[i] "\n"
        else
            out = out cut(substr(s, 1, 6 + l + length(PLACE[i])), WIDTH) \
                "\n" cut(pad("", 13) SRC[i], WIDTH) "\n"
    }
    gsub(/ +\n/, "\n", out)
    return out
}

# Ends a finding; `key` is the same for two that say the same. With CAUSE set
# it is printed before all others.
function found(title, key, rule) {
    if (key in SEEN)
        return
    SEEN[key] = 1
    FINDING[++FOUND] = wrap(title, "  ", "") body() \
        (rule == "" ? "" : wrap(rule, pad("", 10), "    rule: "))
    RANK[FOUND] = CAUSE ? 0 : OURS ? 1 : 2
}

# Prints the findings; to be called last, and its value is the exit status.
function show(    rank, i, n) {
    for (rank = 0; rank <= 2; rank++)
        for (i = 1; i <= FOUND; i++)
            if (RANK[i] == rank && ++n <= MOST)
                printf "%s", FINDING[i]
    if (n > MOST)
        print "... and " n - MOST " more like these"
    if (!n)
        print "nothing found"
    return n > 0
}

# ---- valgrind's logs

# Keeps a line with its process: several may write to one log.
function vg_keep(line,    pid) {
    if (!match(line, /^==[0-9]+==/))
        return
    pid = substr(line, 3, RLENGTH - 4)
    if (!(pid in VG_COUNT))
        VG_PID[++VG_PIDS] = pid
    sub(/^==[0-9]+== ?/, "", line)
    VG_LINE[pid, ++VG_COUNT[pid]] = line
}

# Adds the frame that the line is, if it is one, to the current stack.
function vg_frame(line,    file) {
    if (!sub(/^   (at|by) 0x[0-9A-Fa-f]+: /, "", line))
        return 0
    if (match(line, / \([^()]+:[0-9]+\)$/))
        file = substr(line, RSTART + 2, RLENGTH - 3)
    sub(/ \(.*/, "", line)
    frame(line, file == "" ? "" : substr(file, 1, index(file, ":") - 1), \
        after(file, ":"))
    return 1
}

# "at offset 8 of the 64 allocated at pool.c:34 (pool_create)" and the like;
# stack id is where the block was allocated or freed.
function vg_block(line, id,    off, size) {
    gsub(/,/, "", line)
    off = after(line, " is ")
    size = after(line, "block of size ")
    if (size == "" || line ~ /unallocated/)
        return ""
    off = line ~ / inside / ? "at offset " off " of the " size : \
        off " bytes " (line ~ / before / ? "before the " : "after the ") size
    return glue(off) (line ~ /free'd/ ? " freed" : " allocated") \
        (pick(id) ? " " at(id) : "")
}

# Process terminating with default action of signal 6 (SIGABRT). A signal
# from outside is the grader's doing, and no finding.
function vg_died(line, id) {
    match(line, /SIG[A-Z0-9]+/)
    line = substr(line, RSTART, RLENGTH)
    if (line !~ /^SIG(TERM|KILL|INT|ALRM|HUP)$/) {
        row("in", id)
        found("the program was killed by " line by_the_way(id), \
            "signal " spot(id), calls(id, "^lock_check$|assert") ? \
            "an assertion or a pthread call failed: stderr says which" : "")
    }
    return 1
}
