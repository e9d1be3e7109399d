#!/usr/bin/env bash
# explain.sh -- what a run that did not pass has to say, in a few lines.
#
#     grading/explain.sh TOOL HOW CODE WORD LOG
#
# TOOL is bare, memcheck, helgrind, tsan or explore; HOW, CODE and WORD are
# the runner's (see runner.c). Prints a line with the verdict and a summary,
# separated by a tab, then the details. An empty summary and PASS: all well.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1
. grading/lib.sh

tool=$1 how=$2 code=$3 word=$4 log=$5
[ -f "$OWN" ] || write_own_list

cut_with() {
    awk -v root=. -v own="$OWN" -f grading/cut/lib.awk \
        -f "grading/cut/$1.awk" "${@:2}" </dev/null
}

# The driver's own words about the last check that failed: a field a line, and
# what it continues with, indented.
check_lines() {
    awk '/^tried: / { n = 0 }
        /^(tried|expected|got|at|seed): / { line[++n] = $0; more = 1; next }
        more && /^          [^ ]/ { line[++n] = $0; next }
        { more = 0 }
        END { for (i = 1; i <= n && i <= 20; i++) print line[i] }' "$log" |
        tr -cd '[:print:]\n' | cut -c1-300
}

# answer VERDICT SUMMARY: the summary is the first line of the details (read
# from standard input) when it is empty.
answer() {
    local details
    details=$(cat)
    printf '%s\t%s\n' "$1" "${2:-${details%%$'\n'*}}"
    [ -z "$details" ] || printf '%s\n' "$details"
    exit 0
}

valgrind_logs() {
    find "$(dirname "$log")" -name "$(basename "$log").vg.*" | sort
}

# A tool's findings; empty when there are none (the cutters' status is 1 when
# there are).
findings() {
    local logs=("$log") text status
    case $tool in
    memcheck | helgrind) mapfile -t logs < <(valgrind_logs) ;;
    tsan) ;;
    *) return ;;
    esac
    [ ${#logs[@]} -gt 0 ] || return
    text=$(cut_with "$tool" "${logs[@]}")
    status=$?
    [ $status -ne 1 ] || printf '%s\n' "$text"
    return $status
}

# A valgrind run counts only when every process has its ERROR SUMMARY.
valgrind_incomplete() {
    local logs
    case $tool in memcheck | helgrind) ;; *) return 1 ;; esac
    mapfile -t logs < <(valgrind_logs)
    [ ${#logs[@]} -eq 0 ] ||
        ! awk -f grading/cut/summary.awk "${logs[@]}" >/dev/null
}

not_written() {
    sed -n 's/^not written: task //p' "$log" | tail -n 1
}

explored() {
    local last verdict seed kind what
    last=$(tail -n 1 "$log")
    case $code in
    0) answer PASS "" </dev/null ;;
    3) answer NOT-WRITTEN "$(not_written)" </dev/null ;;
    4) answer NOT-EXPLORED "$(cut -f2 <<<"$last")" </dev/null ;;
    1)
        IFS=$'\t' read -r _ seed kind what <<<"$last"
        verdict=FAIL
        [ "$kind" = deadlock ] && verdict=DEADLOCK
        answer "$verdict" "" <<<"schedule $seed: $kind: $what"
        ;;
    *) answer TOOL "the explorer ended with status $code: $last" </dev/null ;;
    esac
}

# From a failed check, a line that says it all comes first.
check_failed() {
    check_lines | awk '
        /^tried: / { t = $0; sub(/^tried: +/, "", t); sub(/[;,]$/, "", t) }
        /^got: / { g = $0; sub(/^got: +/, "", g) }
        END { if (t != "") print t ": " g }'
    check_lines
    # What tests/history.h prints, if that is what failed.
    awk '/^key [0-9]+: no order / { on = 1 } on { print }
        /^\* cannot be placed/ { exit }' "$log" |
        tr -cd '[:print:]\n' | cut -c1-100 | head -n 30
}

hung() {
    echo "every thread sleeps, and nobody is left to wake one:"
    cut_with eustack "$log.stacks"
}

still_busy() {
    echo "still computing at the time limit:"
    cut_with eustack "$log.stacks"
}

# Where did it crash? memcheck runs the same command once more and says.
crashed() {
    local argv
    echo "ended by signal $code ($(kill -l "$code"))"
    grep -a '^pthread_' "$log" | head -n 2
    if [ "$tool" = bare ] && [ -f "${PLANS-}" ]; then
        IFS=$'\t' read -ra argv < <(awk -F "\t" -v file="$log" '$5 == file {
            sub(/^([^\t]*\t)([^\t]*\t)([^\t]*\t)([^\t]*\t)([^\t]*\t)/, "")
            print; exit }' "$PLANS")
        timeout -k 1 20 valgrind --command-line-only=yes --num-callers=30 \
            --log-file="$log.vg.crash" "${argv[@]}" >/dev/null 2>&1 </dev/null
        tool=memcheck
    fi
    findings
}

case $tool:$how in
bare:blocked | tsan:blocked) answer DEADLOCK "" < <(hung) ;;
*:blocked) answer DEADLOCK "" <<<"hangs under $tool, all threads asleep" ;;
bare:busy | tsan:busy) answer FAIL "" < <(still_busy) ;;
*:busy) answer FAIL "" <<<"still computing under $tool at the time limit" ;;
*:output) answer FAIL "" <<<"wrote more output than anybody reads" ;;
*:signal) answer FAIL "" < <(crashed) ;;
explore:*) explored ;;
esac
if [ "$code" = 3 ] && [ -n "$(not_written)" ]; then
    answer NOT-WRITTEN "$(not_written)" </dev/null
fi
found=$(findings)
cut_status=$?
# A failed check ends the case on the spot: what it leaves behind (threads,
# blocks, a locked mutex) is no fault of its own.
if grep -aq '^tried: ' "$log"; then
    found=$(awk '/^[^ ]/ { on = !/^(leak|[0-9]+ threads? created|a thread )/ }
        on' <<<"$found")
    answer FAIL "" < <(check_failed; [ -z "$found" ] || echo "$found")
fi
if [ -n "$found" ]; then
    answer FAIL "" <<<"$found"
fi
case $code in
0 | 66 | 99) ;;
1) answer FAIL "" < <(echo "ended with status 1, and no check says why" &&
    tail -n 5 "$log" | tr -cd '[:print:]\n' | cut -c1-300) ;;
126 | 127) answer FAIL "it does not build or cannot be started" \
    < <(grep -aE 'error:|undefined reference' "$(dirname "$log")/../build.log" | head -n 3) ;;
*) answer FAIL "ended with status $code" < <(tail -n 5 "$log") ;;
esac
[ "$word" = yes ] ||
    answer FAIL "" <<<"ended early: the case did not come to its end"
if valgrind_incomplete; then
    answer TOOL "" <<<"no complete report of $tool"
fi
# What helgrind reports although it is legal (cut/helgrind.awk) is no error.
[ "$code" = 0 ] || [ "$tool:$code:$cut_status" = helgrind:99:0 ] ||
    answer FAIL "$tool reports errors (status $code)" < <(tail -n 5 "$log")
[ "$how" != slow ] || answer SLOW "" <<<"right, but over the time limit"
answer PASS "" </dev/null
