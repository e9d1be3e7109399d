#!/usr/bin/env bash
# grade.sh -- build, test, leak- and race-check, time, score.
#
#     grading/grade.sh [--stage S] [--quick] [--light] [--no-speed]
#                      [--submission DIR] [--ref DIR] [--out DIR] [--cases FILE]
#                      [--alive LETTERS] [--read FILE]
#
# --quick       the cases bare, once: what `make test1` runs
# --light       one run at a time, for small machines
# --submission  grade the student's files of DIR in a pristine tree
# --ref         the tree of a correct solution, built: a later task is then
#               also run with its earlier modules, and the better counts
# --cases       only these, a name a line: the others count as not run
# --alive       the tools that work here (see canaries.sh), when that is known
# --read        points that a person has given (see INSTRUCTORS.md); else
#               grading/read.tsv, but not in a student's tree
#
# Writes build/grade/, or build/quick/ (see grading/README.md); exit 0 only on full marks.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1
. grading/lib.sh

stage='' quick='' light='' speed=yes submission='' ref='' out='' cases='' alive='' read=''
while [ $# -gt 0 ]; do
    case $1 in
    --stage) stage=$2 && shift ;;
    --quick) quick=yes ;;
    --light) light=yes ;;
    --no-speed) speed='' ;;
    --submission) submission=$2 && shift ;;
    --ref) ref=$2 && shift ;;
    --out) out=$2 && shift ;;
    --cases) cases=$2 && shift ;;
    --alive) alive=$2 && shift ;;
    --read) read=$2 && shift ;;
    *) die "grade.sh: unknown option $1" ;;
    esac
    shift
done
[ -z "$cases" ] || [ -r "$cases" ] || die "--cases $cases: cannot be read"
[ -n "$read" ] || [ -f grading/yours.txt ] || [ ! -f grading/read.tsv ] || read=grading/read.tsv
if [ -n "$read" ]; then
    [ -r "$read" ] || die "--read $read: cannot be read"
    awk -F '\t' 'FNR == NR { if ($1 == "task" && $7 ~ /read by a person$/) most[$2] = $4; next }
        /^#/ || NF == 0 { next }
        !($1 in most) { print FILENAME ":" FNR ": task \"" $1 "\" is not read by a person"; bad = 1; next }
        $2 !~ /^[0-9]+(\.[0-9]+)?$/ || $2 + 0 > most[$1] + 0 {
            print FILENAME ":" FNR ": \"" $2 "\" are no points from 0 to " most[$1]; bad = 1 }
        END { exit bad }' grading/points.tsv "$read" >&2 || exit 1
fi
stages=$(parts)
[ -n "$out" ] || out=build/$(if [ -n "$quick" ]; then echo quick; else echo grade; fi)
[ -z "$stage" ] || grep -qxF "$stage" <<<"$stages" ||
    die "STAGE=$stage: choose one of: ${stages//$'\n'/ }"
if [ -n "$submission" ]; then
    exec grading/submission.sh "$submission" ${stage:+--stage "$stage"} \
        ${light:+--light} ${cases:+--cases "$cases"} ${alive:+--alive "$alive"}
fi

# A fresh start, but for what `make mutants` has left here.
find "$out" -mindepth 1 ! -name mutants.tsv -delete 2>/dev/null
mkdir -p "$out/log" "$out/detail"
log=$out/log
# More than there are CPUs: bare, cases mostly wait; under tools, some do.
cpus=$(how_many_jobs)
jobs=$((cpus + 1)) bare_jobs=$((cpus * 2))
[ -z "$light" ] || jobs=1 bare_jobs=1
write_own_list
say() {
    if [ -n "$quick" ]; then
        live "${stage:+part $stage: }$*"
    else
        printf '%s\n' "$*"
    fi
}
[ -z "$quick" ] || [ -d build/dbg/tests ] ||
    echo "building for the first time, which takes up to half a minute" >&2

# ---- given files -------------------------------------------------------------

[ -f grading/given.sha256 ] && grading/given.sh restore

# ---- build -------------------------------------------------------------------

say "building"
export MISSING=$out/missing.tsv
make -s --no-print-directory missing-list >"$MISSING"
cut -f2 "$MISSING" | sort -u
# What does not build now must not run: no program of an earlier build stays.
# The student's objects are made anew for the sake of their warnings.
find build/*/tests -maxdepth 1 -type f -perm /111 -delete 2>/dev/null
[ -n "$quick" ] || while read -r f; do
    rm -f build/*/"${f%.c}.o"
done <"$OWN"
build_quietly "$out/build.log" tools V=rel
[ -x build/tools/runner ] ||
    { tail -n 20 "$out/build.log" && die "the grader itself does not build"; }
variants=$([ -n "$quick" ] && echo dbg || echo dbg tsan)
build_all() {
    local v s
    for v in $variants; do
        for s in ${stage:-$stages}; do
            build_quietly "$out/build.log" V="$v" "graded$s" ${ref:+REF="$ref"}
        done
    done
    [ -n "$speed" ] && [ -z "$quick" ] || return 0
    for s in ${stage:-$stages}; do
        build_quietly "$out/build.log" V=rel "bench$s" ${ref:+REF="$ref"}
    done
}
build_all
# What includes a solution that lies nearby, say, counts as not written.
if [ -n "$ref" ] && grading/includes.sh "$ref"; then
    write_own_list
    build_all
    ! grading/includes.sh ||
        die "a header of the submission includes what is not in the tree"
fi
grep -a 'warning:' "$out/build.log" | grep -aFf "$OWN" |
    sort -u >"$out/warnings.txt"

# ---- tools and limits --------------------------------------------------------

FACTOR=1
[ -n "$quick" ] || FACTOR=$(grading/calibrate.sh)
if [ -n "$quick" ]; then
    alive=b
else
    [ -n "$alive" ] || alive=$(grading/canaries.sh "$log")
    LIGHT_LIBC=$(light_libc)
fi

# ---- run ---------------------------------------------------------------------

scratch grade
outcomes=$out/outcomes.tsv
: >"$outcomes"

# run_plan PLAN-VARIABLES...: plans, runs, adds to the outcomes.
run_plan() {
    plan logs="$log" stage="$stage" chosen="$cases" "$@" >"$out/plan"
    local at_once=$jobs
    [[ " $* " != *" tools=b "* ]] || at_once=$bare_jobs
    build/tools/runner "$at_once" <"$out/plan" >"$out/last.tsv" || exit 1
    cat "$out/last.tsv" >>"$outcomes"
    cat "$out/plan" >>"$out/plans.tsv"
}

# Cases whose bare run passed, or that have none and whose parent's did.
passed_bare() {
    awk -F '\t' -v suffix="$1" '
        function ok(c) { return (c ":bare" suffix) in good }
        FNR == NR { if ($2 ~ /^(exit|slow)$/ && $3 == 0 && $4 == "yes") good[$1]
                    next }
        /^#/ || NF < 8 { next }
        index($4, "b") ? ok($1) : ($7 == "-" || ok($7)) { print $1 }
    ' "$outcomes" grading/cases.tsv
}

# run_some FILE PLAN-VARIABLES...: the cases in it, if there are any.
run_some() { [ ! -s "$1" ] || run_plan wanted="$1" "${@:2}"; }
say "running the cases bare"
run_plan tools=b
# Twice more, unless it hung: once right is not yet right.
awk -F '\t' '/:bare\t/ && $2 != "blocked" && $2 != "busy" && $3 != 3 {
    sub(/:.*/, "", $1); print $1 }' "$outcomes" >"$out/repeat"
[ -n "$quick" ] || run_some "$out/repeat" tools=b first=2 runs=3
passed_bare '' >"$out/passed"
if [ -n "$ref" ]; then
    # What failed with the student's own earlier module, if only once, with the
    # reference's.
    awk -F '\t' '!($2 ~ /^(exit|slow)$/ && $3 == 0 && $4 == "yes") {
        sub(/:.*/, "", $1); print $1 }' "$outcomes" >"$out/failed"
    while IFS=$'\t' read -r id _ program _; do
        [ ! -x "build/dbg/tests/$program.ref" ] || echo "$id"
    done < <(grep -v '^#' grading/cases.tsv) | grep -vxFf \
        <(grep -vxFf "$out/failed" "$out/passed") >"$out/again"
    run_some "$out/again" tools=b suffix=.ref
    passed_bare '+ref' | grep -xFf "$out/again" >"$out/passed.ref"
    [ -n "$quick" ] ||
        run_some "$out/passed.ref" tools=b suffix=.ref first=2 runs=3
fi
if [ -z "$quick" ]; then
    say "running them again, under memcheck, helgrind, ThreadSanitizer and" \
        "the explorer"
    run_some "$out/passed" tools="${alive/b/}"
    [ -z "$ref" ] || run_some "$out/passed.ref" tools="${alive/b/}" suffix=.ref
    [ -z "$speed" ] || { say "measuring" && grading/speed.sh "$out" "$stage"; }
fi

# ---- explain, score, write ---------------------------------------------------

# Runs of one process with one ERROR SUMMARY in its valgrind log, of no errors,
# and no descriptor left open (which valgrind does not count as an error).
find "$log" -name '*.vg.*' -exec awk '
    FNR == 1 { if (name != "") done_with(); name = FILENAME; n = zero = open = 0 }
    /ERROR SUMMARY: / { n++; zero += / 0 errors / }
    / Open (file descriptor|AF_)/ { open++ }
    open && /<inherited from parent>/ { open-- }
    function done_with() {
        sub(/\.vg\.[0-9]*$/, "", name)
        print name "\t" (n == 1 && zero == 1 && !open)
    }
    END { if (name != "") done_with() }' {} + |
    awk -F '\t' '{ logs[$1]++; whole[$1] += $2 }
        END { for (l in logs) if (logs[l] == 1 && whole[l] == 1) print l }' \
        >"$out/whole.txt"

# Every run that did not simply pass is explained; see explain.sh.
awk -F '\t' -v OFS='\t' -v whole="$out/whole.txt" '
    BEGIN { while ((getline line < whole) > 0) is_whole[line] }
    FNR == NR { log_[$1] = $5; next }
    {
        tool = $1
        sub(/^[^:]*:/, "", tool)
        sub(/[~+].*/, "", tool)
        plain = tool == "bare" || tool == "tsan" || (log_[$1] in is_whole)
        print plain && $2 == "exit" && $3 == 0 && $4 == "yes" ? "PASS" : "?",
            tool, $0, log_[$1]
    }' "$out/plans.tsv" "$outcomes" >"$out/runs.tsv"
export PLANS=$out/plans.tsv
while IFS=$'\t' read -r plain tool id how code word _ _ file; do
    if [ "$plain" = PASS ]; then
        printf '%s\tPASS\t\n' "$id"
        continue
    fi
    detail=$out/detail/${id/\//.}.txt
    grading/explain.sh "$tool" "$how" "$code" "$word" "$file" >"$detail"
    printf '%s\t%s\n' "$id" "$(head -n 1 "$detail")"
    sed -i 1d "$detail"
    [ -s "$detail" ] || rm -f "$detail"
done <"$out/runs.tsv" >"$out/verdicts.tsv"

[ -f "$out/speed.tsv" ] || : >"$out/speed.tsv"
awk -v stage="$stage" -v alive="$alive" -v quick="$quick" -v speed="$speed" \
    -v warned="$(warned "$out/warnings.txt")" -v missing="$MISSING" \
    -v read="$([ -n "$quick" ] || echo "$read")" -f grading/score.awk \
    grading/points.tsv grading/cases.tsv "$out/verdicts.tsv" \
    "$out/speed.tsv" >"$out/model.tsv"
awk -v out="$out" -v quick="$quick" -v stage="$stage" -f grading/wrap.awk \
    -f grading/write_text.awk "$out/model.tsv" >"$out/grade.txt"
if [ -z "$quick" ]; then
    grading/write_json.sh "$out" >"$out/results.json"
    awk -v out="$out" -f grading/write_junit.awk "$out/model.tsv" \
        >"$out/junit.xml"
fi
[ -z "$quick" ] || live ''
cat "$out/grade.txt"
awk -F '\t' '$1 == "total" { ok = $4 > 0 && $3 >= $4 } END { exit !ok }' \
    "$out/model.tsv"
