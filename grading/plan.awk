# plan.awk -- turns cases.tsv into runs for the runner; the one place that
# knows how each tool is called.
#
#     awk -v tools=bm [-v stage=S] [-v only=CASE] [-v first=2 -v runs=3]
#         [-v suffix=.ref] [-v wanted=FILE] [-v missing=FILE] [-v libc=DIR]
#         -v logs=DIR -v factor=1
#         -f plan.awk points.tsv cases.tsv
#
# A line of output is what grading/runner.c reads; its id is CASE:TOOL, with
# ~K behind it for the K-th repetition (from `first` to `runs`). `wanted` has the
# cases to be planned (all, when it is not given), and so has `chosen`: a case
# must be in both. `answers=1` plans nothing but prints, for each chosen case, its
# line of cases.tsv. `missing` has the programs that cannot be built here, and
# why: they are not run. `libc` is the directory that light_libc of lib.sh says.

BEGIN {
    FS = OFS = "\t"
    n_tools = split("bare memcheck helgrind tsan explore", names, " ")
    split("b m h t x", letters, " ")
    valgrind = (libc == "" ? "" : "env\tLD_LIBRARY_PATH=" libc "\t") \
        "valgrind\t--command-line-only=yes\t--error-exitcode=99" \
        "\t--trace-children=yes\t--num-callers=30"
    command["memcheck"] = valgrind "\t--tool=memcheck\t--fair-sched=yes"
    leaks["memcheck"] = "\t--track-fds=yes\t--leak-check=full" \
        "\t--show-leak-kinds=definite,indirect,possible" \
        "\t--errors-for-leak-kinds=definite,indirect,possible"
    command["helgrind"] = valgrind "\t--tool=helgrind\t--fair-sched=yes" \
        "\t--free-is-write=yes\t--max-threads=1200" \
        "\t--suppressions=grading/cut/helgrind.supp"
    if (wanted != "") {
        while ((getline line < wanted) > 0)
            is_wanted[line] = 1
        close(wanted)
    }
    if (chosen != "") {
        while ((getline line < chosen) > 0)
            is_chosen[line] = 1
        close(chosen)
    }
    while (missing != "" && (getline line < missing) > 0)
        is_missing[substr(line, 1, index(line, "\t") - 1)]
    if (runs == "")
        runs = 1
    if (first == "")
        first = 1
}

/^#/ { next }

$1 == "stage" { if (first_part == "") first_part = $2 "" }
$1 == "task" { stage_of[$2] = $3; next }

NF < 8 || $1 !~ /\// { next }

{
    if (stage != "" && ($2 == "0" || stage_of[$2] != stage) &&
        !($2 == "0" && stage == first_part))
        next
    if (only != "" && $1 != only)
        next
    if (wanted != "" && !($1 in is_wanted))
        next
    if (chosen != "" && !($1 in is_chosen))
        next
    if (answers) {
        print
        next
    }
    if ($3 in is_missing)
        next
    for (t = 1; t <= n_tools; t++)
        if (index(tools, letters[t]) && index($4, letters[t]))
            for (k = first; k <= runs; k++)
                plan(names[t], k)
}

function plan(tool, k,    name, variant, program, id, log_, size, args, line) {
    name = substr($1, index($1, "/") + 1)
    variant = tool == "tsan" ? "tsan" : "dbg"
    program = "build/" variant "/tests/" $3 suffix
    id = $1 ":" tool (k > 1 ? "~" k : "") (suffix != "" ? "+ref" : "")
    log_ = logs "/" id ".log"
    gsub(/\//, ".", log_)
    log_ = logs "/" substr(log_, length(logs) + 2)
    args = name
    size = $5
    if (size != "-") {
        split(size, half, "/")
        size = tool == "bare" || !(2 in half) ? half[1] : half[2]
        if (size != "-" && tool != "explore")
            args = args "\t--size\t" size
    }
    if (tool != "bare")
        args = args "\t--patience\t30"
    print id, limit(tool, 1), limit(tool, 2), \
        tool == "explore" ? "-" : name, log_, \
        wrapped(tool, log_, program "\t" args)
}

# Seconds after which a run is slow (which = 1), or ended (which = 2).
function limit(tool, which,    s) {
    s = tool == "bare" ? 6 : tool == "tsan" ? 12 : 25
    return s * factor * which
}

function wrapped(tool, log_, argv,    kinds) {
    if (tool == "bare")
        return argv
    if (tool == "tsan") {
        kinds = index($6, "e") ? ":report_thread_leaks=0" : ""
        if ($3 ~ /-glib/)
            kinds = kinds ":suppressions=grading/cut/glib.tsan.supp"
        return "env\tTSAN_OPTIONS=exitcode=66:atexit_sleep_ms=300:second_deadlock_stack=1" kinds \
            "\tsetarch\t-R\t" argv
    }
    if (tool == "explore")
        return "build/tools/explore\t--seeds\t200\t--seconds\t" 10 * factor \
            "\t--\t" argv
    kinds = tool in leaks ? (index($6, "e") ? "\t--leak-check=no" \
                             : leaks[tool]) : ""
    # The third field is the program: one with GLib's threads?
    if ($3 ~ /-glib/)
        kinds = kinds "\t--suppressions=grading/cut/glib.supp" \
            (tool == "helgrind" ? "\t--free-is-write=no" : "")
    return command[tool] kinds "\t--log-file=" log_ ".vg.%p\t" argv
}
