#!/usr/bin/env bats
# cut.bats -- the report cutters against logs of the tools (tests/cut/), under
# every awk that is installed. cut/remake.sh makes the logs anew.

bats_require_minimum_version 1.5.0

setup() {
    cd "$BATS_TEST_DIRNAME/cut" || return
    lib=../../grading/cut
    awks=()
    for a in mawk gawk "gawk --posix" "busybox awk" original-awk; do
        $a 'BEGIN { exit 0 }' >/dev/null 2>&1 && awks+=("$a")
    done
    [ ${#awks[@]} -gt 0 ]
}

# cut AWK TOOL LOG...
cut_log() {
    $1 -v root=lab -v own=own -f "$lib/lib.awk" -f "$lib/$2.awk" "${@:3}"
}

# Each log of a tool gives what is expected, and the right exit status.
check_all() {
    local a log text status wanted
    for a in "${awks[@]}"; do
        for log in "$1".*.log; do
            status=0
            text=$(cut_log "$a" "$1" "$log") || status=$?
            diff -u "${log%.log}.expected" - <<<"$text" ||
                { echo "$a, $log"; return 1; }
            wanted=1
            case $log in eustack* | *.none.log) wanted=0 ;; esac
            [ "$status" = "$wanted" ] || { echo "$a, $log: $status"; return 1; }
        done
    done
}

@test "helgrind's reports are cut to the student's lines" {
    check_all helgrind
}

@test "memcheck's reports are cut to the student's lines" {
    check_all memcheck
}

@test "ThreadSanitizer's reports are cut to the student's lines" {
    check_all tsan
}

@test "AddressSanitizer's reports are cut to the student's lines" {
    check_all asan
}

@test "stacks are cut to one entry for threads that stand at one place" {
    check_all eustack
}

@test "no line is longer than 80 columns or other than ASCII" {
    for log in *.log; do
        cut_log "${awks[0]}" "${log%%.*}" "$log" || true
    done > "$BATS_TEST_TMPDIR/all"
    [ "$(wc -l < "$BATS_TEST_TMPDIR/all")" -gt 100 ]
    run ! env LC_ALL=C grep -nE '^.{81}|[^ -~]' "$BATS_TEST_TMPDIR/all"
}

@test "every expected text is that of a log" {
    for f in *.expected; do
        [ -f "${f%.expected}.log" ]
    done
}

@test "several processes in one log are told apart, and five findings shown" {
    for a in "${awks[@]}"; do
        # Line by line in turn: the processes wrote at the same time.
        paste -d '\n' helgrind.race_heap.log helgrind.lock_order.log |
            grep . > "$BATS_TEST_TMPDIR/two"
        cut_log "$a" helgrind "$BATS_TEST_TMPDIR/two" \
            > "$BATS_TEST_TMPDIR/out" || true
        cat helgrind.race_heap.expected helgrind.lock_order.expected |
            diff -u - "$BATS_TEST_TMPDIR/out"
        cut_log "$a" helgrind helgrind.*.log > "$BATS_TEST_TMPDIR/out" || true
        [ "$(grep -c '^[a-z]' "$BATS_TEST_TMPDIR/out")" -eq 5 ]
        tail -n 1 "$BATS_TEST_TMPDIR/out" |
            grep -qE '^\.\.\. and [0-9]+ more like these$'
    done
}

@test "a signal from outside is no finding, a crash is" {
    run ! grep -q SIGTERM helgrind.relock.expected
    grep -q SIGTERM helgrind.relock.log
    grep -q 'killed by SIGSEGV' memcheck.null.expected
    # The threads of a program that crashed are not "never joined".
    grep -q allocate_dtv memcheck.null.log
    run ! grep -q joined memcheck.null.expected
}

@test "an error that helgrind counts and the cutter does not know is status 2" {
    sed 's/^\(==[0-9]*== ERROR SUMMARY: \).*/\19 errors from 9 contexts/' \
        helgrind.none.log > "$BATS_TEST_TMPDIR/odd"
    run cut_log "${awks[0]}" helgrind "$BATS_TEST_TMPDIR/odd"
    [ "$status" -eq 2 ]
}

@test "where no line is the student's, the test's is shown and said to be so" {
    echo stage9/none.c > "$BATS_TEST_TMPDIR/own"
    run "${awks[0]}" -v root=lab -v own="$BATS_TEST_TMPDIR/own" \
        -f "$lib/lib.awk" -f "$lib/memcheck.awk" memcheck.use_after_free.log
    [ "$status" -eq 1 ]
    [[ $output == *"planted_test.c:"*"(not in your files)"* ]]
}

@test "a thread that sleeps in a library's own lock does not \"run\"" {
    printf '%s\n' 'TID 9:' '#0  0x00 syscall' '    ./syscall.S:38' \
        '#1  0x00 g_cond_wait' '#2  0x00' 'TID 10:' '#0  0x00 syscall' \
        '    ./syscall.S:38' '#1  0x00' \
        >"$BATS_TEST_TMPDIR/glib"
    for a in "${awks[@]}"; do
        run cut_log "$a" eustack "$BATS_TEST_TMPDIR/glib"
        [ "${lines[0]}" = "thread 1  waits in g_cond_wait  (not in your files)" ]
        [ "${lines[1]}" = "thread 2  waits in a library  (not in your files)" ]
    done
}

@test "a log without anything in it is not a finding" {
    for tool in helgrind memcheck tsan asan; do
        run cut_log "${awks[0]}" $tool /dev/null
        [ "$status" -eq 0 ]
        [ "$output" = "nothing found" ]
    done
    run cut_log "${awks[0]}" eustack /dev/null
    [ "$status" -eq 1 ]
}

@test "the summary adds up the errors and misses no process" {
    for a in "${awks[@]}"; do
        run $a -f "$lib/summary.awk" helgrind.race_heap.log memcheck.leak.log
        [ "$status" -eq 0 ]
        [ "$output" = "errors 4" ]
    done
}

@test "the summary tells of a process without its end, or without any" {
    grep -v 'ERROR SUMMARY' helgrind.none.log > "$BATS_TEST_TMPDIR/torn"
    for a in "${awks[@]}"; do
        run $a -f "$lib/summary.awk" memcheck.leak.log "$BATS_TEST_TMPDIR/torn"
        [ "$status" -ne 0 ]
        [[ ${lines[1]} == "incomplete "*": no summary" ]]
        run $a -f "$lib/summary.awk" memcheck.leak.log memcheck.leak.log
        [ "$status" -ne 0 ]
        run $a -f "$lib/summary.awk" /dev/null
        [ "$status" -ne 0 ]
    done
}

@test "with the suppressions, helgrind has nothing against a right program" {
    command -v valgrind >/dev/null || skip "no valgrind"
    gcc -std=c11 -D_GNU_SOURCE -DBUG=none -Og -g -gdwarf-4 -pthread -I lab \
        -I lab/stage1-pool -I ../.. lab/stage1-pool/*.c lab/tests/*.c \
        ../../common/lock.c -o "$BATS_TEST_TMPDIR/planted"
    valgrind --tool=helgrind --command-line-only=yes --fair-sched=yes -q \
        --free-is-write=yes --error-exitcode=99 \
        --suppressions="$lib/helgrind.supp" "$BATS_TEST_TMPDIR/planted" \
        3>&- 4>&-
}
