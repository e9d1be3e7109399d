# eustack.awk -- where every thread of a program stands, a line or two each.
# Made from  eu-stack -s -i -p PID. See lib.awk.
#
# Given. A thread's line says what it waits in and the two innermost lines of
# the student's; threads that stand at the same place share a line. Exit
# status: 0 if a thread was seen, 1 if none.

/^TID [0-9]+:/ { stack("t" ++threads); next }
/^#[0-9]+ / { fn = $3; file = ""; if (fn == "") fn = "?"; open_frame(); next }
/^ +[^ ]+:[0-9]+(:[0-9]+)?$/ { close_frame($1); next }

# The function is on one line and its source on the next, if it has any.
function open_frame() {
    sub(/@.*/, "", fn)
    frame(fn, "", 0)
}

function close_frame(where,    id) {
    match(where, /:[0-9]+(:[0-9]+)?$/)
    id = STACK
    FILE[id, DEPTH[id]] = substr(where, 1, RSTART - 1)
    LINE[id, DEPTH[id]] = substr(where, RSTART + 1) + 0
}

BEGIN {
    SYNC = "^pthread_(cond_(timed|clock)?wait|mutex_(timed|clock)?lock|" \
        "rwlock_(timed)?(rd|wr)lock|barrier_wait|once|join)"
    CALL = "^(sem_(timed)?wait|p?(read|write)v?(64)?|recv(from|msg)?" \
        "|send(to|msg)?|accept4?|connect|p?poll|select|epoll_p?wait" \
        "|(clock_)?nanosleep|f(data)?sync|flock|wait4|waitpid|pause|sigwait" \
        "|open(64)?)$"
}

# The C library's name for what the thread waits in.
function waits_in(id,    i, f) {
    for (i = 1; i <= DEPTH[id] && worth(id, i) < 4; i++) {
        f = FN[id, i]
        sub(/^(__GI_)?_*(libc_)?/, "", f)
        if (f ~ /^pthread_(clock|timed)?join/)
            return "pthread_join"
        if (match(f, SYNC))
            return substr(f, RSTART, RLENGTH)
        if (f == "syscall")     # a library's own locks, such as GLib's
            return FN[id, i + 1] ~ /^\?*$/ ? "a library" : FN[id, i + 1]
        if (f ~ CALL)
            return f == "clock_nanosleep" ? "nanosleep" : f
    }
    return ""
}

# "1", "2-5", "1,3-4" of numbers in order.
function ranges(list,    n, w, i, j, out) {
    n = split(list, w, " ")
    for (i = 1; i <= n; i = j + 1) {
        for (j = i; j < n && w[j + 1] == w[j] + 1; j++)
            ;
        out = out (out == "" ? "" : ",") w[i] (j > i ? "-" w[j] : "")
    }
    return (n > 1 ? "threads " : "thread ") out
}

# The frames to show: the student's two innermost, and before them the
# innermost of a test, if that is where the thread is.
function chosen(id,    i, others, out) {
    ours = 0
    for (i = 1; i <= DEPTH[id]; i++)
        if (worth(id, i) == 5 && ++ours <= 2 || \
            worth(id, i) == 4 && !ours && ++others <= 1)
            out = out " " i
    return out
}

END {
    for (t = 1; t <= threads; t++) {
        id = "t" t
        if (FN[id, 2] ~ /BackgroundThread/)     # ThreadSanitizer's own
            continue
        doing = waits_in(id)
        n = split(chosen(id), w, " ")
        begin()
        for (i = 1; i <= n; i++)
            add("", place_of(id, w[i]), text(FILE[id, w[i]], LINE[id, w[i]]))
        entry = (doing == "" ? "  runs" : "  waits in " doing) \
            (ours ? "" : "  (not in your files)") "\n" body()
        if (!(entry in group))
            order[++groups] = entry
        group[entry] = group[entry] " " t
    }
    for (i = 1; i <= groups; i++)
        printf "%s%s", ranges(group[order[i]]), order[i]
    if (!threads)
        print "no thread seen"
    exit !threads
}
