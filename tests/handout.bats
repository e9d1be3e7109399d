#!/usr/bin/env bats
# The students' tree: what is in it, and what it scores.

load helpers

setup_file() {
    export H=$BATS_FILE_TMPDIR/lab
    (load helpers && make_handout "$H")
}

@test "the handout scores 0 on every task, names each, and hangs nowhere" {
    run make -C "$H" grade
    [ "$status" -ne 0 ]
    model=$H/build/grade/model.tsv
    [ "$(task_points "$model" | awk '$2 != 0')" = "" ]
    while read -r t; do
        grep -qE "^ +$t .*not written" <<<"$output"
    done < <(awk -F '\t' '$1 == "task" && $7 !~ /read by a person$/ {
        print $2 }' "$H/grading/points.tsv")
    # Nothing crashed, nothing hung, nothing passed by chance.
    [ "$(awk -F '\t' '$2 != "exit"' "$H/build/grade/outcomes.tsv")" = "" ]
    [ "$(awk -F '\t' '$1 == "check" && $2 != "0" && $5 != "NOT-WRITTEN" &&
        $5 != "NOT-RUN"' "$model")" = "" ]
}

@test "every file that is the student's has a starter, and says so itself" {
    cd "$TOP"
    for f in $(grading/files.sh yours); do
        [ -f "${f%/*}/starter/${f##*/}" ]
        head -n 1 "$f" | grep -q -- '-- yours: stage'
        [ "$(head -n 1 "$f" | sed 's| \*/$||')" = \
            "$(head -n 1 "${f%/*}/starter/${f##*/}" | sed 's| \*/$||')" ]
    done
    # and no other file says so
    for f in common/*.c stage*/*.c; do
        head -n 1 "$f" | grep -q -- '-- given' ||
            grading/files.sh yours | grep -qxF "$f"
    done
}

# Three lines in a row, without space around them, of a file: two alone are
# soon the same in any two C programs.
threes() {
    awk '{ gsub(/^[ \t]+|[ \t]+$/, "") }
        FNR == 1 { a = b = "" }
        $0 == "" || /^#include/ || /^(\/\*|\*)/ { next }
        { if (length(a $0 b) >= 110) print a " | " b " | " $0; a = b; b = $0 }' "$@"
}

@test "no three lines of a reference body are in the handout" {
    cd "$TOP"
    for f in $(grading/files.sh yours); do
        threes "$f" | grep -vxFf <(threes "${f%/*}/starter/${f##*/}"; echo "-")
    done | sort -u >"$BATS_TEST_TMPDIR/body"
    [ "$(wc -l <"$BATS_TEST_TMPDIR/body")" -gt 300 ]
    cd "$H"
    # What was always given may look like it: the serial pool like a pool, and
    # what looks at a store's files without a store like one.
    find common stage* tests grading -name '*.[ch]' -o -name '*.md' \
        -o -name '*.patch' | grep -vE '^stage1-pool/pool_serial\.c$|/kvs_files\.c$' |
        while read -r f; do
            threes "$f" | grep -xFf "$BATS_TEST_TMPDIR/body" | sed "s|^|$f: |"
        done >"$BATS_TEST_TMPDIR/found" || true
    cat "$BATS_TEST_TMPDIR/found"
    [ ! -s "$BATS_TEST_TMPDIR/found" ]
    # and the check itself would see one
    threes "$TOP/stage1-pool/channel.c" | grep -qxFf "$BATS_TEST_TMPDIR/body"
}

@test "instructors' tools and the reference are not in the handout" {
    cd "$H"
    [ ! -e grading/mutants ] && [ ! -e grading/alternatives ]
    [ ! -e grading/handout.sh ] && [ ! -e grading/mutants.sh ]
    [ ! -e stage1-pool/starter ] && [ ! -e .ci ] && [ ! -e tests/cut ]
    run make handout
    [ "$status" -ne 0 ]
}

@test "make help shows the student ten targets" {
    run make -C "$H" --no-print-directory help
    [ "$status" -eq 0 ]
    [ "${#lines[@]}" -eq 10 ]
}

@test "the student's loop: next names the first task, hints come one by one" {
    cd "$H"
    run make --no-print-directory next
    [[ $output == *"Task 1.1"* ]]
    [[ $output == *"make hint TASK=1.1"* ]]
    run make --no-print-directory hint TASK=1.2
    [ "$(grep -cE '^[0-9]+ of ' <<<"$output")" -eq 1 ]
    run make --no-print-directory hint TASK=1.2
    [ "$(grep -cE '^[0-9]+ of ' <<<"$output")" -eq 2 ]
    for t in 1.1 1.2 1.3 1.4 1.5 1.6 1.7 1.8; do
        make --no-print-directory hint TASK=$t
    done
    run make --no-print-directory hint TASK=9.9
    [ "$status" -ne 0 ]
}

@test "finished tasks turn green one after the other, and no other does" {
    lab=$BATS_TEST_TMPDIR/lab
    cp -rp "$H" "$lab"
    cd "$lab"
    check() {
        grading/grade.sh --quick --stage 1 >/dev/null || true
        got=$(green_tasks build/quick/model.tsv)
        echo "finished up to ${1##* }: expected '$1', got '$got'"
        [ "$got" = "$1" ]
        # and what is not finished is said to be so, not called a bug
        [ "$(awk -F '\t' '$1 == "check" && $5 != "PASS" &&
            $5 != "NOT-WRITTEN" && $5 != "NOT-RUN"' \
            build/quick/model.tsv)" = "" ]
        [ "$(awk -F '\t' '$5 > 2500' build/quick/outcomes.tsv)" = "" ]
    }
    check ""
    cp "$TOP/stage1-pool/pool_naive.c" stage1-pool/
    check "1.1"
    channel() {
        cp "$TOP/stage1-pool/channel.c" stage1-pool/
        while [ $# -gt 0 ]; do
            # A task and its functions are one argument.
            # shellcheck disable=SC2086
            stub stage1-pool/channel.c $1
            shift
        done
    }
    last="1.7 channel_force_send"
    closing="1.4 channel_close channel_recv_batch"
    channel "1.3 channel_send channel_recv" "$closing" "$last"
    check "1.1 1.2"
    channel "$closing" "$last"
    check "1.1 1.2 1.3"
    channel "$last"
    check "1.1 1.2 1.3 1.4"
    # own submits come in 1.7, so until then the pool sends them like others
    sed 's/channel_force_send/channel_send/' "$TOP/stage1-pool/pool.c" \
        >stage1-pool/pool.c
    stub stage1-pool/pool.c 1.6 pool_wait pool_destroy
    check "1.1 1.2 1.3 1.4 1.5"
    sed 's/channel_force_send/channel_send/' "$TOP/stage1-pool/pool.c" \
        >stage1-pool/pool.c
    check "1.1 1.2 1.3 1.4 1.5 1.6"
    cp "$TOP/stage1-pool/pool.c" "$TOP/stage1-pool/channel.c" stage1-pool/
    check "1.1 1.2 1.3 1.4 1.5 1.6 1.7"
}

@test "FROM=2A keeps stage 1's solution, PRIOR=objects only its objects" {
    make_handout "$BATS_TEST_TMPDIR/src" 2A
    cmp "$BATS_TEST_TMPDIR/src/stage1-pool/pool.c" "$TOP/stage1-pool/pool.c"
    make_handout "$BATS_TEST_TMPDIR/obj" 2A objects
    cd "$BATS_TEST_TMPDIR/obj"
    [ ! -e stage1-pool/pool.c ] && [ ! -e stage1-pool/channel.c ]
    run make test1
    [ "$status" -eq 0 ]
    run make -s V=tsan stage1
    [ "$status" -eq 0 ]
}

@test "FROM=2A, 2B, 2C: earlier parts have full marks, later ones 0" {
    for from in 2A 2B 2C; do
        lab=$BATS_TEST_TMPDIR/$from
        make_handout "$lab" $from
        # objects of given code are the same everywhere
        cp -rp "$H/build" "$lab/" 2>/dev/null || true
        (cd "$lab" && grading/grade.sh --quick >"$lab.out" || true)
        awk -F '\t' -v from=$from '
            $1 == "task" { part[$2] = $6 }
            $1 == "check" { verdict[++n] = $5; task[n] = $2; name[n] = $3 }
            END {
                for (i = 1; i <= n; i++) {
                    if (task[i] == "0") continue
                    p = part[task[i]]
                    want = p < from ? "PASS" : "none"
                    right = want == "PASS" ? verdict[i] == "PASS" : \
                        verdict[i] ~ /^NOT-(WRITTEN|RUN)$/
                    if (!right) {
                        print from, name[i], verdict[i]; bad = 1
                    } else count[want]++
                }
                exit bad || !count["PASS"] || !count["none"]
            }' "$lab/build/quick/model.tsv"
    done
}

@test "an unknown FROM or PRIOR, or an OUT that exists, is refused" {
    run "$TOP/grading/handout.sh" "$BATS_TEST_TMPDIR/x" 7
    [ "$status" -ne 0 ]
    [[ $output == *"choose one of"* ]]
    run "$TOP/grading/handout.sh" "$BATS_TEST_TMPDIR/x" 1 source
    [ "$status" -ne 0 ]
    run "$TOP/grading/handout.sh" "$H"
    [ "$status" -ne 0 ]
    [ ! -e "$BATS_TEST_TMPDIR/x" ]
}

@test "an edited given file is put back, with a warning, and kept aside" {
    lab=$BATS_TEST_TMPDIR/lab
    cp -rp "$H" "$lab"
    echo '/* mine */' >>"$lab/stage1-pool/channel.h"
    rm "$lab/tests/pool_test.h"
    run make -C "$lab" test1
    [[ $output == *"stage1-pool/channel.h is given"* ]]
    cmp "$lab/stage1-pool/channel.h" "$H/stage1-pool/channel.h"
    cmp "$lab/tests/pool_test.h" "$H/tests/pool_test.h"
    tail -n 1 "$lab/stage1-pool/channel.h.edited" | grep -q mine
}

@test "make update takes over given files and leaves the student's alone" {
    new=$BATS_TEST_TMPDIR/new
    copy_tree "$new"
    echo '/* newer */' >>"$new/stage1-pool/pool.h"
    echo '/* newer */' >"$new/common/fresh.h"
    echo '/* newer */' >>"$new/stage1-pool/starter/channel.c"
    rm "$new/tests/answer.h"
    (cd "$new" && grading/handout.sh "$BATS_TEST_TMPDIR/new.tar.gz")
    lab=$BATS_TEST_TMPDIR/lab
    cp -rp "$H" "$lab"
    echo '/* my work */' >>"$lab/stage1-pool/channel.c"
    echo 'int my_x;' >"$lab/stage1-pool/my_x.c"
    run make -C "$lab" update FROM="$BATS_TEST_TMPDIR/new.tar.gz"
    [ "$status" -eq 0 ]
    [[ $output == *"updated   stage1-pool/pool.h"* ]]
    [[ $output == *"new       common/fresh.h"* ]]
    [[ $output == *"removed   tests/answer.h"* ]]
    tail -n 1 "$lab/stage1-pool/pool.h" | grep -q newer
    tail -n 1 "$lab/stage1-pool/channel.c" | grep -q 'my work'
    [ -f "$lab/stage1-pool/my_x.c" ]
    run make -C "$lab" update FROM=nothing.tar.gz
    [ "$status" -ne 0 ]
}

@test "a student may add files of their own" {
    lab=$BATS_TEST_TMPDIR/lab
    cp -rp "$H" "$lab"
    cd "$lab"
    cp "$TOP"/stage1-pool/{channel,pool,pool_naive}.c stage1-pool/
    echo 'int my_limit(void);' >stage1-pool/my_limit.h
    printf '#include "stage1-pool/my_limit.h"\nint my_limit(void)\n{\n%s\n}\n' \
        '    return 3;' >stage1-pool/my_limit.c
    sed -i -e 's/^#include <errno.h>/#include "stage1-pool\/my_limit.h"\n&/' \
        -e 's/int err = pool_options_check/int err = my_limit() != 3 ? -1 : pool_options_check/' \
        stage1-pool/pool.c
    run make test1
    [ "$status" -eq 0 ]
    nm build/dbg/tests/pool_test-shared | grep -q my_limit
}

@test "make watch runs the cases again when a file changes" {
    lab=$BATS_TEST_TMPDIR/lab
    cp -rp "$H" "$lab"
    make -C "$lab" watch STAGE=1 >"$BATS_TEST_TMPDIR/out" 2>&1 3>&- 4>&- &
    watcher=$!
    rounds() {
        for _ in $(seq 300); do
            [ "$(grep -c '^watching' "$BATS_TEST_TMPDIR/out")" -lt "$1" ] ||
                return 0
            sleep 0.1
        done
        return 1
    }
    rounds 1
    echo '/* saved */' >>"$lab/stage1-pool/pool.c"
    rounds 2
    pkill -P $watcher
    wait $watcher || true
}
