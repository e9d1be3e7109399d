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
        -o -name '*.patch' | grep -vE '^stage1-pool/pool_serial\.c$|/kvs_(files|repair|source)\.c$' |
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

@test "the tree is what its lists name: no file more, no file less" {
    cd "$H"
    sha256sum --check --quiet grading/given.sha256
    {
        sed 's/^[0-9a-f]*  //' grading/given.sha256
        cat grading/yours.txt
        printf '%s\n' .gitignore grading/begins grading/yours.txt \
            grading/given.{sha256,tar.gz}
    } | LC_ALL=C sort >"$BATS_TEST_TMPDIR/named"
    tar tzf grading/given.tar.gz | LC_ALL=C sort |
        diff - <(grading/files.sh given)
    # what other cases have left there is not what was delivered
    make_handout "$BATS_TEST_TMPDIR/lab"
    cd "$BATS_TEST_TMPDIR/lab"
    find . -type f | sed 's|^\./||' | LC_ALL=C sort |
        diff "$BATS_TEST_TMPDIR/named" -
    [ "$(find . -mindepth 1 -maxdepth 1 | grep -cvxE \
        './(LICENSE|Makefile|README.md|common|grading|stage[1-5]-[a-z]+|tests|\.(gitignore|editorconfig|clang-format|devcontainer))')" -eq 0 ]
}

@test "make help shows the student eleven targets" {
    run make -C "$H" --no-print-directory help
    [ "$status" -eq 0 ]
    [ "${#lines[@]}" -eq 11 ]
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
    mapfile -t tasks < <(awk -F '\t' '$1 == "task" { print $2 }' \
        grading/points.tsv)
    [ ${#tasks[@]} -gt 10 ]
    for t in "${tasks[@]}"; do
        make --no-print-directory hint TASK="$t"
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

@test "the first page is written for the part with which a handout begins" {
    for from in 1 $(awk -F '\t' '$1 == "stage" { print $2 }' \
        "$TOP/grading/points.tsv" | sed 1d); do
        lab=$BATS_TEST_TMPDIR/$from
        make_handout "$lab" "$from"
        cd "$lab"
        echo "$from" && cat README.md
        [ "$(grep -c '[@{}]' README.md)" -eq 0 ]
        [ "$(grep -oE 'STAGE=[^ `]+|make test[0-9A-Z]+' README.md |
            sed 's/.*=//; s/make test//' | sort -u)" = "$from" ]
        mapfile -t named < <(grep -oE 'CASE=[a-z_0-9/]+' README.md)
        [ ${#named[@]} -ge 2 ]
        for c in "${named[@]#CASE=}"; do
            t=$(awk -F '\t' -v c="$c" '$1 == c { print $2 }' grading/cases.tsv)
            [ "$(awk -F '\t' -v t="$t" '$1 == "task" && $2 == t "" { print $3 }' \
                grading/points.tsv)" = "$from" ]
        done
        # links, its own and those of the pages that it names
        for f in README.md grading/README.md stage*/README*.md; do
            for link in $(grep -oE '\]\([^)#:]+\)' "$f" | tr -d ']()'); do
                echo "$f: $link" && [ -e "$(dirname "$f")/$link" ]
            done
        done
        [ "$(make -s help | grep -c "make test$from ")" -eq 1 ]
        awk 'length($0) > 80 && !/^\|/ { print; bad = 1 } END { exit bad }' \
            README.md
    done
    [ ! -e grading/INSTRUCTORS.md ]
    ! grep -qi 'mutant' grading/README.md README.md || false
}

@test "next goes on where the work begins, and says when a part is to be graded" {
    lab=$BATS_TEST_TMPDIR/next
    make_handout "$lab" 2A
    cd "$lab"
    cp "$TOP"/stage2-server/{slab,table,imkv}.c stage2-server/
    run make --no-print-directory next
    echo "$output"
    [[ $output == *"first time"* ]]
    [[ $output == *"make grade STAGE=2A"*"Task 2.5"* ]]
    [[ $output == *"make test2B"* ]]
    run make --no-print-directory test2A
    echo "$output"
    [[ $output == *"Next: make grade STAGE=2A"* ]]
    # what no case can say
    make_handout "$lab.4" 4
    cd "$lab.4"
    run make --no-print-directory next
    [[ $output == *"Task 4.1"* ]]
    [[ $output != *"Left: "* ]]
    run make --no-print-directory hint
    [[ $output == *"the tasks are: 4.1 4.2"* ]]
    run make --no-print-directory explore STAGE=4
    [ "$status" -ne 0 ]
    [[ $output == *"part 4 has no case for the explorer"* ]]
    cp "$TOP"/stage4-bench/{hist,load}.c stage4-bench/
    run make --no-print-directory next
    echo "$output"
    [[ $output == *"Left: 4.6, stage4-bench/answers.md:"*"a person reads it (see stage4-bench/README.md)"* ]]
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

@test "FROM=3: the pools' tasks turn green one by one, also above objects" {
    pkg-config --exists glib-2.0 || skip "GLib is not installed"
    for prior in '' objects; do
        lab=$BATS_TEST_TMPDIR/lab$prior
        make_handout "$lab" 3 $prior
        cd "$lab"
        check() {
            grading/grade.sh --quick --stage 3 >/dev/null || true
            got=$(green_tasks build/quick/model.tsv | tr ' ' '\n' |
                grep -E '^3\.[1237]$' | paste -sd' ')
            echo "expected '$1', got '$got'"
            [ "$got" = "$1" ]
        }
        check ""
        cp "$TOP/stage3-abstract/contract.tsv" stage3-abstract/
        check "3.3"
        cp "$TOP/stage3-abstract/pool_glib.c" stage3-abstract/
        stub stage3-abstract/pool_glib.c 3.2 pool_wait pool_destroy
        check "3.1 3.3"
        cp "$TOP"/stage3-abstract/pool_{glib,steal}.c stage3-abstract/
        check "3.1 3.2 3.3 3.7"
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
    [[ $output == *"stage1-pool/channel.h is given; your edits are in"* ]]
    [[ $output == *"tests/pool_test.h is given, and was missing"* ]]
    [ ! -e "$lab/tests/pool_test.h.edited" ]
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

# new_part DIR: a part 9 in a copy of the tree, with a file that is no program.
new_part() {
    copy_tree "$1"
    cd "$1" || return 1
    mkdir -p stage9-more/starter
    echo 'int more(int n);' >stage9-more/more.h
    printf '/* more.c -- yours: stage 9, task 9.1. */\n%s\n\n' \
        '#include "stage9-more/more.h"' | tee stage9-more/more.c \
        >stage9-more/starter/more.c
    printf 'int more(int n)\n{\n    return n + 1;\n}\n' >>stage9-more/more.c
    printf '%s\nint more(int n)\n{\n    (void)n;\n    %s\n}\n' \
        '#include "common/not_written.h"' 'return not_written("9.1");' \
        >>stage9-more/starter/more.c
    echo 'my answers' >stage9-more/answers.md
    echo 'Write your answers here.' >stage9-more/starter/answers.md
    printf '# Stage 9\n' >stage9-more/README.md
    printf '# Hints\n\n## 9.1\n\nAdd one.\n' >stage9-more/hints.md
    cat >tests/more_test.c <<'C'
/* more_test.c -- the cases of task 9.1. Given. */
#include "stage9-more/more.h"
#include "tests/driver.h"

static void one(const struct run *run)
{
    (void)run;
    expect_int("more(1)", more(1), 2);
}

static const struct test_case cases[] = {
    { "one", one, 1 },
    { NULL, NULL, 0 },
};

int main(int argc, char **argv)
{
    return driver_main(argc, argv, cases);
}
C
    printf 'stage\t9\t10\ntask\t9.1\t9\t100\t%s\tall\tone more\n' \
        'stage9-more/more.c, answers.md' >>grading/points.tsv
    printf 'more/one\t9.1\tmore_test\tbmht\t-\t-\t-\tone more than one\n' \
        >>grading/cases.tsv
    # Variables of make, not of the shell.
    # shellcheck disable=SC2016
    sed -i '/^# Every part P may have/i $(call test,more_test,more_test,$(B)/stage9-more/more.o)\nTESTS9 := $(B)/tests/more_test' \
        Makefile
}

@test "a new part is its files, rows of two tables, and two lines of the Makefile" {
    new_part "$BATS_TEST_TMPDIR/t"
    run make test9
    echo "$output"
    [ "$status" -eq 0 ]
    [[ $output == *"1 of 1 cases pass"*"STAGE=9 adds memcheck 1, helgrind 1, TSan 1"* ]]
    run make grade STAGE=9
    echo "$output"
    [ "$status" -eq 0 ]
    [[ $output == *"100 of 100 points"* ]]
    grading/handout.sh "$BATS_TEST_TMPDIR/h" 9
    cd "$BATS_TEST_TMPDIR/h"
    grep -q '](stage9-more/README.md)' README.md
    grep -q 'explore STAGE' README.md && false
    cmp stage9-more/answers.md "$BATS_TEST_TMPDIR/t/stage9-more/starter/answers.md"
    run make --no-print-directory next
    echo "$output"
    [[ $output == *"Task 9.1"*"stage9-more/README.md"*"make test9"* ]]
    make --no-print-directory hint TASK=9.1 | grep -qx '1 of 1. Add one.'
    # what is handed in of it, and of nothing else
    cd "$BATS_TEST_TMPDIR/t"
    mkdir -p "$BATS_TEST_TMPDIR/s/stage9-more"
    echo 'my own' >"$BATS_TEST_TMPDIR/s/stage9-more/answers.md"
    echo 'mine, too' >"$BATS_TEST_TMPDIR/s/stage9-more/README.md"
    run grading/submission.sh "$BATS_TEST_TMPDIR/s" --stage 9 --no-speed
    echo "$output"
    [[ $output == *"not written"*"0 of 100 points"* ]]
    grep -qx 'my own' build/submissions/s/tree/stage9-more/answers.md
    cmp build/submissions/s/tree/stage9-more/README.md stage9-more/README.md
}
