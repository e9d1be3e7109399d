# memcheck.awk -- memcheck's reports in a few lines each. See lib.awk.
#
# A report is a line that says what is wrong, its stack "a", and for some a
# line about the address with a stack "b" (where the block was freed, else
# allocated) and a stack "c" (where a freed block was allocated). Leaks and
# open descriptors come last; they mean nothing if the program was killed.

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
    exit show()
}

function reset() {
    kind = what = address = ""
    stack("a"); stack("b"); stack("c")
}

function head(k, line) {
    finish()
    kind = k
    what = line
    stack("a")
}

function take(line) {
    if (vg_frame(line) || line ~ /^ *$/)
        return
    if (line ~ /^Thread [0-9]+:$/)
        finish()
    else if (line ~ / are (definitely|indirectly|possibly) lost in /)
        head("leak", line)
    else if (line ~ /^Open /)
        head("open", line)
    else if (line ~ /^Process terminating/)
        head("signal", line)
    else if (line ~ /^Invalid (free|read|write)|^Mismatched free/)
        head("invalid", line)
    else if (line ~ /ninitialised|^Syscall param|^Conditional jump/ && \
        line ~ /^[A-Z]/ && line !~ /^Use --/)
        head("unset", line)
    else if (line ~ /^(Source and dest|Argument '|Jump to|[A-Z].*\(s\) found)/)
        head("other", line)
    else if (line ~ /^ Address 0x/) {
        address = line
        stack("b")
    } else if (line ~ /^ Block was alloc'd/)
        stack("c")
    else if (line ~ /^  in frame #/)
        address = address trim(line)
    else if (line ~ /^ Uninitialised value was created/) {
        address = line
        stack("b")
    } else if (line ~ /^[A-Z]/)
        finish()
    else if (line ~ /<inherited from parent>/)
        kind = ""
}

function finish() {
    begin()
    if (kind == "leak" && !dying)
        leak()
    else if (kind == "open" && !dying)
        left_open()
    else if (kind == "signal")
        dying = vg_died(what, "a")
    else if (kind == "invalid")
        invalid()
    else if (kind == "unset")
        unset()
    else if (kind == "other") {
        row("in", "a")
        sub(/\(0x.*/, "", what)
        found(what by_the_way("a"), what spot("a"))
    }
    reset()
}

# Where the block came from and went; the address itself when there is none.
function history() {
    if (address ~ /block of size .*free'd/) {
        row("freed", "b")
        row("allocated", "c")
    } else if (DEPTH["b"])
        row("allocated", "b")
}

function invalid(    title, rule, n) {
    title = what
    rule = "use only what is allocated and not yet freed"
    if (what ~ /^Mismatched/) {
        row("frees", "a")
        rule = "free what malloc gave, and nothing else"
    } else if (what ~ /^Invalid free/) {
        row("frees", "a")
        title = "free of what malloc did not give"
        rule = "free the very pointer that malloc gave"
        if (address ~ / 0 bytes inside .*free'd/) {
            title = "freed twice"
            rule = "one owner frees a block, once"
        }
    } else {
        n = after(what, "of size ")
        row(what ~ / write / ? "writes" : "reads", "a")
        title = (what ~ / write / ? "write" : "read") " of " \
            glue(plural(n, "byte"))
        if (address ~ /block of size .*free'd/)
            title = "use after free: " title
        else if (address ~ / (after|before) a block/) {
            title = "out of bounds: " title
            rule = "stay inside the block"
        } else if (address ~ /is not stack'd/)
            title = title " through a " \
                (length(after(address, "Address 0x")) <= 3 ? "null" : "bad") \
                " pointer"
        else
            title = "bad " title
    }
    if (DEPTH["b"] && vg_block(address, "b") != "")
        title = title " " vg_block(address, "none")
    else if (address ~ /stack/ && address !~ /not stack'd/)
        title = title ", on a stack"
    history()
    found(title by_the_way("a"), \
        (what ~ /free/ ? "free " : "access ") spot("a") spot("b"), rule)
}

function unset(    t) {
    t = "use of a value that was never set"
    if (match(what, /param [^ ]+/))
        t = (what ~ /unaddressable/ ? "memory that is not allocated" : \
            "a value that was never set") " goes to " \
            glue("the system call " substr(what, RSTART + 6, RLENGTH - 6))
    row("in", "a")
    if (DEPTH["b"])
        row("made", "b")
    found(t by_the_way("a"), t spot("a"), what ~ /unaddressable/ ? \
        "use only what is allocated and not yet freed" : \
        "set every field before it is read: memory from malloc is not zero")
}

# A thread's own memory leaks when nobody joins the thread.
function leak(    loss, blocks) {
    loss = what
    gsub(/,/, "", loss)
    blocks = after(loss, "bytes in ") + 0
    if (calls("a", "^(allocate_dtv|_dl_allocate_tls|allocate_stack)$")) {
        CAUSE = 1
        row("created", "a")
        found((blocks > 1 ? blocks " threads" : "a thread") " created " \
            glue("at " spot("a")) (blocks > 1 ? " were" : " was") \
            " never joined", "join " spot("a"), \
            "every thread that is created must be joined")
        return
    }
    row("allocated", "a")
    if (match(loss, /[0-9]+ indirect/))
        note(glue("it led to " substr(loss, RSTART, RLENGTH - 9) \
            " bytes more, lost with it"))
    else if (loss ~ /indirectly/)
        note("(lost because what pointed to it is)")
    else if (loss ~ /possibly/)
        note("(perhaps: only a pointer into it is left)")
    if (loss ~ /indirectly/)
        OURS = 0
    loss = match(loss, /\([0-9]+ direct/) ? substr(loss, RSTART + 1) + 0 : \
        loss + 0
    found("leak: " glue(plural(loss, "byte")) " in " \
        glue(plural(blocks, "block") " " at("a")), "leak " what spot("a"), \
        "whoever owns a block frees it, on every path")
}

# Open file descriptor 4: /dev/null; Open AF_INET socket 3: ...
function left_open(    t) {
    if (!DEPTH["a"])
        return
    t = what
    sub(/^Open /, "", t)
    row("opened", "a")
    found("left open: " t, "open " spot("a"), \
        "whoever opens a descriptor closes it, on every path")
}
