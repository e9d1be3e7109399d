# asan.awk -- AddressSanitizer's, LeakSanitizer's and UBSan's reports in a few
# lines each. See lib.awk.
#
# A report starts with ERROR and ends with SUMMARY. Its first stack is "a",
# then come "freed by" and "allocated by"; a leak report has a stack for each
# leak. UBSan says one line, with the place in it and no stack.

/: runtime error: / { undefined($0); next }
/ERROR: AddressSanitizer:? / { head($0); next }
/^(Direct|Indirect) leak of / { leak($0); next }
/^SUMMARY: / { finish(); next }
/^ +#[0-9]+ 0x/ { asan_frame($0); next }
what != "" || lost != "" { take(trim($0)) }

END {
    finish()
    exit show()
}

# #1 0x555555559d52 in channel_destroy path/channel.c:55:9
function asan_frame(line,    w) {
    split(trim(line), w, " ")
    if (w[3] != "in" || !match(w[5], /:[0-9]+(:[0-9]+)?$/))
        frame(w[4], "", 0)
    else
        frame(w[4], substr(w[5], 1, RSTART - 1), \
            substr(w[5], RSTART + 1) + 0)
}

function head(line) {
    finish()
    what = line
    sub(/.*AddressSanitizer:? /, "", what)
    access = located = variable = ""
    stack("freed"); stack("made"); stack("a")
}

function take(line) {
    if (line ~ /^(READ|WRITE) of size/)
        access = line
    else if (line ~ / is located .* (region|global variable)/)
        global(located = line)
    else if (line ~ / is located in stack of/) {
        located = line
        stack("made")
    } else if (line ~ /^freed by/)
        stack("freed")
    else if (line ~ /^(previously )?allocated by/)
        stack("made")
    else if (line ~ /<== Memory access/ && match(line, /'[^']*'/)) {
        variable = substr(line, RSTART + 1, RLENGTH - 2)
        if (pick("made"))
            LINE["made", pick("made")] = after(line, "(line ") + 0
    } else if (line == "" || line ~ /^Thread T[0-9]+ created/)
        stack("none")
}

function finish(    title, t, rule, verb) {
    if (lost != "")
        tell_leak()
    if (what == "")
        return
    begin()
    t = what
    rule = "use only what is allocated and not yet freed"
    verb = access ~ /^W/ ? "writes" : access ~ /^R/ ? "reads" : "in"
    if (t ~ /^attempting double-free/) {
        title = "freed twice"
        verb = "frees"
        rule = "one owner frees a block, once"
    } else if (t ~ /^attempting free/) {
        title = "free of what malloc did not give"
        verb = "frees"
        rule = "free the very pointer that malloc gave"
    } else if (t ~ /use-after-free/)
        title = "use after free"
    else if (t ~ /use-after-(return|scope)/) {
        title = "use of a local variable after its end"
        rule = "what outlives its block belongs on the heap"
    } else if (t ~ /overflow/ && t !~ /^stack-overflow/) {
        title = "out of bounds"
        rule = "stay inside the array or block"
    } else if (t ~ /^(SEGV|ABRT|BUS|FPE|ILL)/) {
        title = "the program was killed by SIG" \
            substr(t, 1, index(t " ", " ") - 1)
        rule = t ~ /address 0x0000000000[0-9a-f][0-9a-f] / ? \
            "a null pointer points nowhere" : ""
    } else {
        title = t
        sub(/ (on|in|at|of) .*/, "", title)
    }
    if (access != "")
        title = title ": " (access ~ /^W/ ? "write" : "read") " of " \
            glue(plural(after(access, "of size "), "byte"))
    title = title block()
    row(verb, "a")
    if (DEPTH["freed"])
        row("freed", "freed")
    if (DEPTH["made"])
        row(located ~ /region/ ? "allocated" : "declared", "made")
    found(title by_the_way("a"), title spot("a"), rule)
    what = ""
}

# ... of global variable 'sends' defined in 'path/channel.c:24:17' ...
function global(line,    w) {
    if (!match(line, /defined in '[^']*'/))
        return
    split(substr(line, RSTART + 12, RLENGTH - 13), w, ":")
    stack("made")
    frame("", w[1], w[2])
}

# ", 4 bytes after the 8 allocated"; a variable's name where there is one.
function block(    off, size) {
    if (variable != "")
        return ", the variable " variable
    if (match(located, /global variable '[^']*'/))
        return ", " glue("the global " substr(located, RSTART + 17, \
            RLENGTH - 18))
    if (located !~ /-byte region/)
        return ""
    off = after(located, "is located ")
    match(located, /[0-9]+-byte region/)
    size = substr(located, RSTART) + 0
    if (located ~ / inside of /)
        return glue(" at offset " off " of the " size)
    return glue(" " off " bytes " (located ~ /left|before/ ? "before" : \
        "after") " the " size)
}

# Direct leak of 168 byte(s) in 1 object(s) allocated from:
function leak(line) {
    finish()
    lost = line
    stack("lost")
}

function tell_leak() {
    begin()
    row("allocated", "lost")
    if (lost ~ /^Indirect/) {
        note("(lost because what pointed to it is)")
        OURS = 0
    }
    found("leak: " glue(plural(after(lost, "leak of "), "byte")) " in " \
        glue(plural(after(lost, "(s) in "), "block") " " at("lost")), \
        "leak " lost spot("lost"), \
        "whoever owns a block frees it, on every path")
    lost = ""
}

# path/pool.c:49:12: runtime error: member access within null pointer
function undefined(line,    w, message) {
    message = line
    sub(/.*: runtime error: /, "", message)
    sub(/: runtime error: .*/, "", line)
    split(line, w, ":")
    finish()
    begin()
    stack("a")
    frame("", w[1], w[2])
    row("in", "a")
    gsub(/[^ -~]/, "?", message)
    found("undefined: " message, "undefined " spot("a"), \
        "the C standard gives this no meaning")
}
