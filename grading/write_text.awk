# write_text.awk -- the result model as a person reads it, 80 columns wide.
#
#     awk -v out=build/grade -v quick= -f write_text.awk model.tsv

BEGIN { FS = "\t" }

$1 == "check" {
    n++
    task[n] = $2; name[n] = $3; tool[n] = $4; verdict[n] = $5; id[n] = $8
    summary[n] = $9; title[n] = $10; max[n] = $7; earned[n] = $6
    if ($5 == "NOT-WRITTEN") {
        unwritten[$2]++
        if (!($9 in first)) first[$9] = $2
    }
}

$1 == "task" {
    lines[++rows] = $0
}

$1 == "stage" {
    heading[$2] = $0
    lines[++rows] = $0
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
            verdict[i] != "NOT-RUN" && verdict[i] != "BONUS")
            failure(i)
    if (!bad)
        print ""
    summing_up()
}

function task_line(f,    word) {
    if (f[6] != shown) {
        printf "\nStage %s%s\n", f[6], quick ? " (quick: bare runs only)" : ""
        printf "  %-4s %-41s %6s %7s %6s %9s\n", "task", "", "bare", \
            quick ? "" : "memory", quick ? "" : "races", quick ? "" : "points"
        shown = f[6]
    }
    word = unwritten[f[2]] ? "not written" : f[8]
    if (f[7] ~ /read by a person$/)
        printf "  %-4s %-41s %s\n", f[2], substr(f[7], 1, 41), \
            quick ? "-" : "  pending"
    else if (quick)
        printf "  %-4s %-41s %s\n", f[2], substr(f[7], 1, 41), \
            f[8] == "-" ? "make grade" : word
    else if (unwritten[f[2]] && f[3] == 0)
        printf "  %-4s %-41s %-21s %4s/%s\n", f[2], substr(f[7], 1, 41), \
            "  not written", f[3], f[4]
    else if (length(f[8]) > 6)      # speed: ratios, not counts
        printf "  %-4s %-41s %14s %6s %5s/%s%s\n", f[2], \
            substr(f[7], 1, 41), f[8], "", f[3], f[4], bonus(f[5])
    else
        printf "  %-4s %-41s %6s %7s %6s %5s/%s%s\n", f[2], \
            substr(f[7], 1, 41), f[8], f[9], f[10], f[3], f[4], bonus(f[5])
}

function bonus(n) {
    return n + 0 ? " +" n : ""
}

function stage_line(f) {
    if (!quick)
        printf "  %-4s %-41s %21s %5s/%s%s\n", "", "", "", f[3], f[4], \
            bonus(f[5])
    if (f[6] != "")
        print "  " f[6] " (" out "/warnings.txt)"
}

# What was tried, what came, where, and the command that repeats it.
function failure(i,    file, line) {
    bad++
    printf "\n%s  %s", verdict[i], name[i]
    printf task[i] == "0" ? "  (given code, %s)\n" : "  (task " task[i] \
        ", %s)\n", tool[i]
    print "  " title[i]
    if (verdict[i] == "FLAKY")
        print "    " substr(summary[i], 1, 76)
    gsub(/\//, ".", id[i])
    file = out "/detail/" id[i] ".txt"
    if ((getline line < file) > 0) {
        do
            print "    " substr(line, 1, 76)
        while ((getline line < file) > 0)
        close(file)
    } else if (summary[i] != "" && verdict[i] != "FLAKY")
        print "    " substr(summary[i], 1, 76)
    if (tool[i] == "speed")
        print "  repeat: make grade"
    else if (tool[i] == "explore" && summary[i] ~ /^schedule [0-9]+:/) {
        split(summary[i], w, /[ :]+/)
        print "  repeat: make replay CASE=" name[i] " SEED=" w[2]
    } else
        print "  repeat: make one CASE=" name[i] \
            (tool[i] == "bare" ? "" : " TOOL=" tool[i])
    if (task[i] != "0")
        print "  hint:   make hint TASK=" task[i]
}

function summing_up(    f, t, list, i, passed, failed) {
    split(total, f, FS)
    for (t in first)
        waiting++
    for (i = 1; i <= n; i++) {
        passed += verdict[i] == "PASS"
        failed += verdict[i] != "PASS" && verdict[i] != "BONUS"
    }
    if (bad)
        print ""
    if (waiting)
        print "Next: make next"
    if (quick)
        printf "%d of %d cases pass\n", passed, n
    else
        printf "%s of %s points%s; %d of %d checks pass\n", f[3], f[4], \
            (f[5] + 0 ? " and " f[5] " bonus" : ""), passed, passed + failed
}
