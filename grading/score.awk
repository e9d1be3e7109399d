# score.awk -- from verdicts to points: makes the one result model that every
# writer reads.
#
#     awk [-v stage=S] -v alive=bmhtx -v quick= -v speed=yes -v warned='PART=N ...'
#         [-v missing=FILE] [-v read=FILE] -f score.awk
#         points.tsv cases.tsv verdicts.tsv speed.tsv
#
# verdicts.tsv  CASE:TOOL[~K][+ref]  VERDICT  SUMMARY
# speed.tsv     N (the N-th speed line of points.tsv)  RATIO  VERDICT  SUMMARY
#               OURS  THEIRS (nanoseconds)  BASELINE  CPU|clock
#
# `read`: a line a task that a person has read: number, points, remark.
#
# `missing`: a line a program that cannot be built here: its name, a tab, why.
#
# Output, fields separated by tabs:
#     check  task  case  tool  verdict  earned  max  id  summary  title
#     task   number  earned  max  bonus  stage  title  bare  memory  races
#     speed  task  name  verdict  earned  max  bonus  ratio  zero-at  full-at
#            ours  theirs  baseline  CPU|clock  summary  stage
#     stage  name  earned  max  bonus
#     total  all  earned  max  bonus
#     more   memcheck  helgrind  tsan  explore  speed: checks that --quick
#            leaves to `make grade`
# `id` names the run (its details lie in detail/ID.txt); bare, memory and races
# are "passed/counted", "-" where there is nothing.

BEGIN {
    FS = OFS = "\t"
    split("bare memcheck helgrind tsan explore", tools, " ")
    letter["bare"] = "b"; letter["memcheck"] = "m"; letter["helgrind"] = "h"
    letter["tsan"] = "t"; letter["explore"] = "x"
    group["bare"] = 1; group["memcheck"] = 2
    group["helgrind"] = group["tsan"] = group["explore"] = 3
    weight[1] = 60; weight[2] = 15; weight[3] = 25
    while (missing != "" && (getline line < missing) > 0)
        is_missing[substr(line, 1, index(line, "\t") - 1)] = \
            substr(line, index(line, "\t") + 1)
    while (read != "" && (getline line < read) > 0)
        if (line !~ /^#/ && split(line, given, "\t") >= 2) {
            points_read[given[1] ""] = given[2] + 0
            remark[given[1] ""] = given[3]
        }
}

FILENAME != last { files++; last = FILENAME }
/^#/ { next }

files == 1 && $1 == "stage" { part[++parts] = $2 }
files == 1 && $1 == "task" {
    order[++tasks] = $2; in_stage[$2] = $3; points[$2] = $4 + 0; title[$2] = $7
    bonus_task[$2] = $4 ~ /^\+/
}
files == 1 && $1 == "speed" {
    speeds++
    speed_task[speeds] = $2 ""; speed_points[speeds] = $3
    zero[speeds] = $4; full[speeds] = $5; bonus_only[speeds] = $9 == "yes"; speed_needs[speeds] = $10
    speed_what[speeds] = $6 " " $7
    speed_name[speeds] = speed_named($2, $11 != "" ? $11 : $7, $9 == "yes")
}
files == 1 && $1 == "share" { share[$2] = $3 }
files == 1 && $1 == "cost" { cost[$2] = $3; cost_most[$2] = $4 }

# Made texts: as numbers, tasks 2.1 and 2.10 are the same.
files == 2 && NF >= 8 {
    id[++cases] = $1; task_of[$1] = $2 ""; wants[$1] = $4; parent[$1] = $7
    program_of[$1] = $3
    case_title[$1] = $8
}

files == 3 {
    run_id = $1
    ref = sub(/\+ref$/, "", $1)
    sub(/~[0-9]+$/, "", $1)
    if (ref)
        $1 = $1 "+ref"
    runs[$1]++
    if ($2 == "PASS" || $2 == "SLOW") good[$1]++
    # The first run's, but for a later one that says worse.
    if (!($1 in verdict) || verdict[$1] == "PASS" || \
        (verdict[$1] == "SLOW" && $2 != "PASS")) {
        verdict[$1] = $2
        summary[$1] = $3
        run[$1] = run_id
    }
}

files == 4 {
    ratio[$1] = $2; speed_verdict[$1] = $3; speed_summary[$1] = $4
    of_what[$1] = $5 FS $6 FS $7 FS $8
}

END {
    for (i = 1; i <= cases; i++)
        for (t = 1; t in tools; t++)
            if (counts(id[i], tools[t]))
                judge(id[i], tools[t])
    for (p = 1; p <= parts; p++)
        if (stage == "" || part[p] == stage)
            one_stage(part[p])
    print "total", "all", total_earned, total_max, total_bonus + 0
    if (quick)
        print_more()
}

function print_more(    i, t, s, more) {
    for (t = 2; t in tools; t++)
        for (i = 1; i <= cases; i++)
            if (counted_stage(id[i]) && index(wants[id[i]], letter[tools[t]]))
                more[t]++
    for (s = 1; s <= speeds; s++)
        if (!bonus_only[s] && (stage == "" || in_stage[speed_task[s]] == stage))
            more["speed"]++
    print "more", more[2] + 0, more[3] + 0, more[4] + 0, more[5] + 0, \
        more["speed"] + 0
}

# A name that no other line has.
function speed_named(task, what, is_bonus,    name, n) {
    name = what = task " " what (is_bonus ? " bonus" : "")
    for (n = 2; name in named; n++)
        name = what " " n
    named[name]
    return name
}

# Cases of given code (task 0) belong to the course's first part.
function counted_stage(c) {
    return stage == "" || in_stage[task_of[c]] == stage || \
        (task_of[c] == "0" && stage == part[1])
}

function counts(c, tool) {
    return counted_stage(c) && index(wants[c], letter[tool]) && \
        (!quick || tool == "bare")
}

# What its runs have come to: "" if there were none.
function outcome(k) {
    return runs[k] > good[k] && good[k] > 0 ? "FLAKY" : verdict[k]
}

function outcome_in_words(k) {
    return (outcome(k) != "FLAKY" ? "" : (runs[k] - good[k]) " of " runs[k] \
            " runs failed: ") summary[k]
}

# Decides a check's verdict, with the reference's earlier module if that is
# better (or if there is no other, as the bare run was only right with it).
function judge(c, tool,    k, v, s, of_ref) {
    k = c ":" tool
    v = outcome(k)
    s = outcome_in_words(k)
    detail[k] = k in run ? run[k] : k
    of_ref = outcome(k "+ref")
    if (share[v] + 0 < share[of_ref] + 0 || (v == "" && of_ref != "")) {
        v = of_ref
        s = "with the reference's earlier module; " outcome_in_words(k "+ref")
        detail[k] = run[k "+ref"]
    }
    if (tool != "bare" && !index(alive, letter[tool])) {
        v = "TOOL"
        s = "this tool does not work here: make doctor"
    }
    if (program_of[c] in is_missing) {
        v = "TOOL"
        s = is_missing[program_of[c]]
    }
    if (v == "") {
        v = "NOT-RUN"
        s = "needs the case to pass bare first"
        if (parent[c] != "-" && !index(wants[c], "b"))
            s = "needs " parent[c] " first"
    }
    if (parent[c] != "-" && !passes(parent[c]) && share[v] > 0) {
        v = "NOT-RUN"
        s = "does not count before " parent[c] " passes"
    }
    final[k] = v
    why[k] = s
}

function passes(c,    k) {
    k = c ":bare"
    return final[k] == "PASS" || final[k] == "SLOW" || final[k] == "FLAKY"
}

function pending(v) {
    return v == "TOOL" || v == "NOT-EXPLORED" || v == "NOISY"
}

# A group's points go evenly to its checks; pending ones leave their part of
# the points out of the maximum.
function one_task(n,    i, t, g, k, c, used, all, per, earned, max, v) {
    for (g = 1; g <= 3; g++)
        number[g] = passed[g] = counted[g] = 0
    for (i = 1; i <= cases; i++)
        for (t = 1; t in tools; t++)
            if (task_of[id[i]] == n && counts(id[i], tools[t]))
                number[group[tools[t]]]++
    for (g = 1; g <= 3; g++)
        if (number[g])
            all += weight[g]
    for (i = 1; i <= cases; i++)
        for (t = 1; t in tools; t++) {
            c = id[i]
            k = c ":" tools[t]
            if (task_of[c] != n || !counts(c, tools[t]))
                continue
            g = group[tools[t]]
            v = final[k]
            per = n == "0" ? 0 : case_points(n) * weight[g] / all / number[g]
            if (pending(v))
                per = 0
            else
                counted[g]++
            if (v == "PASS")
                passed[g]++
            earned += per * share[v]
            max += per
            print "check", n, c, tools[t], v, round(per * share[v]), \
                bonus_task[n] ? 0 : round(per), detail[k], why[k], case_title[c]
        }
    task_earned = earned
    task_max = max
}

# What a task's cases share: its points less those given for speed.
function case_points(n,    s, p) {
    p = points[n]
    for (s = 1; s <= speeds; s++)
        if (speed_task[s] == n && !bonus_only[s])
            p -= speed_points[s]
    return p
}

function one_speed(n, s,    r, e, m, i, need) {
    if (quick || !speed)
        return
    if (speed_verdict[s] == "" || speed_verdict[s] == "NOISY")
        for (i = split(speed_needs[s], need, " "); i > 0; i--)
            if (!passes(need[i])) {
                speed_verdict[s] = "NOT-RUN"
                speed_summary[s] = "needs " need[i] " to pass"
            }
    if (!(s in ratio)) {
        speed_verdict[s] = "FAIL"
        speed_summary[s] = "was not measured"
    }
    r = (ratio[s] - zero[s]) / (full[s] - zero[s])
    r = r < 0 ? 0 : r > 1 ? 1 : r
    m = speed_points[s]
    e = m * r
    if (pending(speed_verdict[s]))
        e = m = 0
    else if (speed_verdict[s] != "")
        e = 0
    else
        speed_verdict[s] = bonus_only[s] ? "BONUS" : r >= 1 ? "PASS" \
            : r > 0 ? "SLOW" : "FAIL"
    print "check", n, "speed/" speed_name[s], "speed", speed_verdict[s], \
        round(e), bonus_only[s] ? 0 : m, "speed." s, speed_summary[s], \
        speed_what[s]
    print "speed", n, speed_name[s], speed_verdict[s], \
        bonus_only[s] ? 0 : round(e), bonus_only[s] ? 0 : m, \
        bonus_only[s] ? round(e) : 0, ratio[s], zero[s], full[s], \
        s in of_what ? of_what[s] : FS FS FS, speed_summary[s], in_stage[n]
    if (bonus_only[s])
        task_bonus += e
    else {
        task_earned += e
        task_max += m
    }
}

# What a person has read and given points for. Without that it is pending.
function one_read(n) {
    task_earned += points_read[n]
    task_max += points[n]
    print "check", n, "read/" n, "read", \
        (points_read[n] < points[n] ? "READ" : "PASS"), points_read[n], \
        points[n], "read." n, remark[n], title[n]
}

function one_stage(name,    i, n, s, earned, max, bonus, off, warnings) {
    # Given code carries no points; it must work all the same.
    if (name == part[1])
        one_task("0")
    for (i = 1; i <= tasks; i++) {
        n = order[i]
        if (in_stage[n] != name)
            continue
        task_bonus = 0
        one_task(n)
        for (s = 1; s <= speeds; s++)
            if (speed_task[s] == n)
                one_speed(n, s)
        if (n in points_read)
            one_read(n)
        if (bonus_task[n]) {
            task_bonus += task_earned
            task_earned = task_max = 0
        }
        print "task", n, round(task_earned), round(task_max), \
            round(task_bonus), name, title[n], of(1), of(2), of(3)
        earned += task_earned
        max += task_max
        bonus += task_bonus
    }
    if (match(" " warned, " " name "=[0-9]+"))
        warnings = substr(" " warned, RSTART + length(name) + 2) + 0
    off = warnings * cost["warning"]
    off = off > cost_most["warning"] ? cost_most["warning"] : off
    if (off > earned)
        off = earned
    print "stage", name, round(earned - off), round(max), round(bonus), \
        off ? warnings " compiler warning(s): -" off : ""
    total_earned += round(earned - off)
    total_max += round(max)
    total_bonus += round(bonus)
}

function of(g) {
    return number[g] ? passed[g] "/" counted[g] : "-"
}

function round(x) {
    return int(x * 100 + 0.5) / 100
}
