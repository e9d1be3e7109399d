# write_text.awk -- the result model as a person reads it, 80 columns wide.
#
#     awk -v out=build/grade -v quick= -v stage= -f wrap.awk -f write_text.awk
#         model.tsv

BEGIN {
    FS = "\t"
    split("- memcheck helgrind TSan schedules speed", word, " ")
    grade = "make grade" (stage != "" ? " STAGE=" stage : "")
}

$1 == "check" {
    n++
    task[n] = $2; name[n] = $3; tool[n] = $4; verdict[n] = $5; id[n] = $8
    summary[n] = $9; title[n] = $10; max[n] = $7; earned[n] = $6
    if ($4 == "read")
        said[$2] = $9
    if ($5 == "NOT-WRITTEN") {
        if ($9 == $2 "" || $9 == "")
            unwritten[$2]++
        else if (!needed[$2, $9]++)
            needs[$2] = needs[$2] " " $9
        if (!($9 in first)) first[$9] = $2
    }
}

$1 == "task" {
    stage_of[$2] = $6
    lines[++rows] = $0
}

$1 == "speed" {
    measured[$16] = measured[$16] $0 "\n"
}

$1 == "stage" {
    heading[$2] = $0
    lines[++rows] = $0
}

$1 == "more" {
    for (i = 2; i <= 6; i++)
        if ($i)
            more = more (more != "" ? ", " : "") word[i] " " $i
}

$1 == "total" { total = $0 }

END {
    for (r = 1; r <= rows; r++) {
        split(lines[r], f, FS)
        if (f[1] == "task")
            task_line(f)
        else
            stage_line(f)
    }
    for (i = 1; i <= n; i++)
        if (verdict[i] != "PASS" && verdict[i] != "NOT-WRITTEN" &&
            verdict[i] != "NOT-RUN" && verdict[i] != "READ" && \
            !is_bonus(name[i]))
            failure(i)
    if (!bad)
        print ""
    summing_up()
}

function task_line(f,    word) {
    if (f[6] != shown) {
        printf "\nStage %s%s\n", f[6], quick ? " (quick: bare runs only)" : ""
        printf "  %-4s %-37s %6s", "task", "", "bare"
        print quick ? "" : sprintf(" %7s %6s %9s", "memory", "races", "points")
        shown = f[6]
    }
    if (needs[f[2]] != "" && f[8] ~ /^(0\/|-)/)
        unwritten[f[2]]++
    word = unwritten[f[2]] ? "not written" : f[8] needed_by(f[2])
    if (length(f[7]) > 37)          # its counts stand in a line of their own
        wrap(sprintf("%-4s %s", f[2], f[7]), "  ", 5)
    printf "  %-42s ", (length(f[7]) > 37 ? "" : sprintf("%-4s %s", f[2], f[7]))
    if (f[7] ~ /read by a person$/ && (quick || !f[4]))
        print quick ? "-" : "  pending"
    else if (f[7] ~ /read by a person$/) {
        printf "%-21s %4s/%s\n", "  read", f[3], f[4]
        if (said[f[2]] != "")
            wrap(said[f[2]], "       ")
    }
    else if (quick)
        print f[8] == "-" ? "make grade" : word
    else if (unwritten[f[2]] && f[3] == 0)
        printf "%-21s %4s/%s\n", "  not written", f[3], f[4]
    else
        printf "%6s %7s %6s %5s/%s%s\n", f[8], f[9], f[10], f[3], f[4], \
            bonus(f[5])
    if (!quick && !unwritten[f[2]] && needs[f[2]] != "")
        print "       of its cases" substr(needed_by(f[2]), 2)
}

# ", 2 need 3.5": cases that call what another task has not written.
function needed_by(t,    n, w, i, text) {
    n = split(needs[t], w, " ")
    for (i = 1; i <= n; i++)
        text = text ", " needed[t, w[i]] \
            (needed[t, w[i]] == 1 ? " needs " : " need ") w[i]
    return text
}

# What was measured, and what for: a line each.
function speed_lines(s,    i, n, row, f) {
    n = split(measured[s], row, "\n")
    for (i = 1; i < n; i++) {
        split(row[i], f, FS)
        if (i == 1)
            printf "  %-20s %8s  %-18s %7s %5s %6s\n", "speed, ns each", \
                "yours", "baseline", "ratio", "0 at", "all at"
        printf "  %-20s ", f[3]
        if (f[11] != "")
            printf "%8s  %-18s %6sx %5s %6s", f[11], \
                f[13] " " f[12] " " f[14], f[8], f[9], f[10]
        else
            printf "%-50s", spoken(f[4]) (f[15] != "" ? ": " f[15] : "")
        if (is_bonus(f[3]))
            printf " %4s\n", "+" f[7]
        else
            printf " %4s/%s\n", f[5], f[6]
    }
}

function spoken(verdict) {
    gsub(/-/, " ", verdict)
    return tolower(verdict)
}

# Points on top: to miss them is no failure.
function is_bonus(name) {
    return name ~ / bonus( [0-9]+)?$/
}

function bonus(n) {
    return n + 0 ? " +" n : ""
}

function stage_line(f,    line) {
    if (!quick)
        printf "  %-4s %-37s %21s %5s/%s%s\n", "", "", "", f[3], f[4], \
            bonus(f[5])
    speed_lines(f[2])
    if (f[6] != "") {
        print "  " f[6] " (" out "/warnings.txt)"
        if ((getline line < (out "/warnings.txt")) > 0)
            wrap(line, "    ")
        close(out "/warnings.txt")
        warned = 1
    }
}

# What was tried, what came, where, and the command that repeats it.
function failure(i,    file, line, first_line) {
    bad++
    printf "\n%s  %s", verdict[i], name[i]
    printf task[i] == "0" ? "  (given code, %s)\n" : "  (task " task[i] \
        ", %s)\n", tool[i]
    wrap(title[i], "  ")
    gsub(/\//, ".", id[i])
    file = out "/detail/" id[i] ".txt"
    # The summary is often the details' first line, or ends with it.
    if ((getline first_line < file) <= 0)
        first_line = ""
    if (summary[i] != "")
        wrap(summary[i], "    ")
    if (first_line != "" && !ends_with(summary[i], first_line))
        wrap(first_line, "    ")
    while ((getline line < file) > 0)
        wrap(line, "    ")
    close(file)
    if (tool[i] == "speed")
        print "  repeat: make grade STAGE=" stage_of[task[i]]
    else if (tool[i] == "explore" && summary[i] ~ /^schedule [0-9]+:/) {
        split(summary[i], w, /[ :]+/)
        print "  repeat: make replay CASE=" name[i] " SEED=" w[2]
    } else
        print "  repeat: make one CASE=" name[i] \
            (tool[i] == "bare" ? "" : " TOOL=" tool[i])
    if (task[i] != "0")
        print "  hint:   make hint TASK=" task[i]
}

function ends_with(text, end) {
    return length(text) >= length(end) && \
        substr(text, length(text) - length(end) + 1) == end
}

function summing_up(    f, t, list, i, passed, failed) {
    split(total, f, FS)
    for (t in first)
        waiting++
    for (i = 1; i <= n; i++) {
        passed += verdict[i] == "PASS"
        failed += verdict[i] != "PASS" && !is_bonus(name[i])
    }
    if (bad)
        print ""
    if (waiting)
        print "Next: make next"
    else if (quick && !failed)
        print "Next: " (warned ? "take out what the compiler warns of" : grade)
    if (quick) {
        printf "%d of %d cases pass\n", passed, n
        wrap(grade " adds " more, "")
    } else
        printf "%s of %s points%s; %d of %d checks pass\n", f[3], f[4], \
            (f[5] + 0 ? " and " f[5] " bonus" : ""), passed, passed + failed
}
