#!/usr/bin/env bats
# The repository itself: layers, builds, commands in the README, scripts.

load helpers

# layer FILE: how far from the ground.
may_include() {
    case $1/$2 in
    common/common) return 0 ;;
    common/*) return 1 ;;
    */common) return 0 ;;
    stage5/stage[1256]) return 0 ;;
    stage5/*) return 1 ;;
    stage[1-4]/stage[1-4]) [ "${2#stage}" -le "${1#stage}" ] ;;
    *) return 1 ;;
    esac
}

wrong_includes() {
    local dir=$1 f target
    (cd "$dir" && grep -rnoE '#include "[^"]+"' common stage*/ --include='*.[ch]') |
        while IFS=: read -r f _ target; do
            target=${target#*\"}
            target=${target%\"}
            [[ $target == */* ]] || { echo "$f: $target: not from the root"; continue; }
            may_include "$(cut -c1-6 <<<"${f%%/*}")" \
                "$(cut -c1-6 <<<"${target%%/*}")" ||
                echo "$f: $target: a later layer"
        done
}

@test "no file includes a later stage" {
    run wrong_includes "$TOP"
    [ "$output" = "" ]
    # and the check itself would see it
    mkdir -p "$BATS_TEST_TMPDIR/stage1-pool" "$BATS_TEST_TMPDIR/common"
    echo '#include "stage2-server/table.h"' >"$BATS_TEST_TMPDIR/stage1-pool/x.c"
    echo '#include "stage1-pool/pool.h"' >"$BATS_TEST_TMPDIR/common/y.h"
    run wrong_includes "$BATS_TEST_TMPDIR"
    [ "${#lines[@]}" -eq 2 ]
}

@test "nothing lies at the top level but what belongs there" {
    cd "$TOP"
    run git ls-files
    [ "$status" -eq 0 ] || skip "not a git tree"
    run bash -c 'git ls-files | cut -d/ -f1 | sort -u | grep -vxE \
        "\.[a-z-]+|LICENSE|Makefile|README\.md|common|grading|stage[1-5]-[a-z]+|tests"'
    [ "$output" = "" ]
}

@test "what was left at the top level is not packed" {
    t=$BATS_TEST_TMPDIR/lab
    mkdir -p "$t/grading" "$t/common" "$t/stage1-pool/starter" "$t/.ci"
    cp "$TOP/grading/files.sh" "$t/grading/"
    touch "$t"/{Makefile,common/x.h,stage1-pool/pool.c,stage1-pool/starter/pool.c}
    run "$t/grading/files.sh" given
    [ "$status" -eq 0 ]
    [ "$output" = "$(printf '%s\n' Makefile common/x.h grading/files.sh)" ]
    mkdir "$t/build" "$t/notes"
    touch "$t/build/x" "$t/notes/x" "$t/try.c"
    run "$t/grading/files.sh" given
    [ "$status" -ne 0 ]
    [[ $output == *"notes try.c" ]]
}

@test "an unknown V or POOL is an error that names the choices" {
    run make -C "$TOP" V=fast
    [ "$status" -ne 0 ]
    [[ $output == *"rel dbg asan tsan"* ]]
    run make -C "$TOP" POOL=magic
    [ "$status" -ne 0 ]
    [[ $output == *"shared naive serial"* ]]
}

@test "make alone builds everything" {
    run make -C "$TOP" -pnq
    [[ $output == *".DEFAULT_GOAL := all"* ]]
}

@test "every variant builds without a warning" {
    copy_tree "$BATS_TEST_TMPDIR/t"
    cd "$BATS_TEST_TMPDIR/t"
    for v in rel asan tsan; do
        run make -j2 V=$v all tests
        [ "$status" -eq 0 ]
        [[ $output != *warning* ]]
    done
    run make -j2 tools
    [ "$status" -eq 0 ]
    [[ $output != *warning* ]]
    run make -n V=rel
    [[ $output != *" -c "* ]] # nothing left to do
}

@test "the reference's pool survives deaths while no thread can be had" {
    cd "$TOP"
    make -s V=dbg build/dbg/tests/pool_test-shared
    build/dbg/tests/pool_test-shared deaths_without_threads
    valgrind -q --error-exitcode=99 --leak-check=full \
        build/dbg/tests/pool_test-shared deaths_without_threads --size 20
}

@test "common's cases are clean under memcheck, helgrind and TSan" {
    cd "$TOP"
    make -s V=dbg build/dbg/tests/common_test
    make -s V=tsan build/tsan/tests/common_test
    for c in $(build/dbg/tests/common_test --list); do
        echo "$c"
        valgrind -q --error-exitcode=99 --leak-check=full \
            build/dbg/tests/common_test "$c" --patience 30
        setarch -R build/tsan/tests/common_test "$c" --patience 30
        [[ ! $c =~ counter|publish|log ]] ||
            valgrind -q --tool=helgrind --free-is-write=yes \
                --fair-sched=yes --error-exitcode=99 \
                build/dbg/tests/common_test "$c" --patience 30
    done
}

@test "a program of one's own is built from libkvs.pc alone, for each pool" {
    cd "$BATS_TEST_TMPDIR"
    copy_tree t
    cat >own.c <<'C'
#include <stdio.h>
#include "stage1-pool/pool.h"
static void job(void *arg) { ++*(int *)arg; }
int main(void)
{
    struct pool_options o = { NAME, 1, 4 };
    struct pool *p;
    int n = 0;
    if (pool_create(&p, &o))
        return 1;
    for (int i = 0; i < 10; i++)
        pool_submit(p, job, &n);
    pool_destroy(p);
    printf("%d\n", n);
    return n != 10;
}
C
    for pool in shared serial naive glib steal; do
        make -s -C t POOL=$pool build/rel/libkvs.a build/rel/libkvs.pc
        # The words of pkg-config's answer are arguments.
        # shellcheck disable=SC2046
        gcc -DNAME="\"$pool\"" own.c -o own \
            $(PKG_CONFIG_PATH=t/build/rel pkg-config --static --cflags \
                --libs libkvs)
        if [ $pool != naive ]; then run ./own && [ "$output" = 10 ]; fi
    done
    make -s -C t install PREFIX=/usr DESTDIR="$PWD/inst"
    [ -f inst/usr/lib/libkvs.a ]
    [ -f inst/usr/include/kvs/stage1-pool/pool.h ]
}

@test "scripts are clean under shellcheck" {
    cd "$TOP"
    shellcheck -x grading/*.sh tests/*.sh stage*/*.sh .ci/run
    shellcheck -x -e SC1091,SC2030,SC2031,SC2154,SC2164 tests/*.bats tests/*.bash
    for f in grading/*.sh tests/*.sh stage*/*.sh; do
        [ "$(wc -l <"$f")" -le 250 ]
    done
}

# commands FILE: the lines of its ```sh blocks.
commands() {
    awk '/^```sh$/ { on = 1; next } /^```$/ { on = 0 } on' "$1"
}

@test "every command in the README runs" {
    copy_tree "$BATS_TEST_TMPDIR/t"
    cd "$BATS_TEST_TMPDIR/t"
    n=0
    while read -r line; do
        case $line in
        *"make test") continue ;; # we are inside it, and
        *"&& make grade") continue ;; # .ci/run does this next
        *"SUBMISSION=handout/lab1")
            for f in $(grading/files.sh yours); do cp "$f" "handout/lab1/$f"; done ;;
        *"ONLY=reference") # the line before has graded it: a mutant will do
            line="make mutants QUICK=1 ONLY=if-for-while" ;;
        esac
        n=$((n + 1))
        echo "# $line" >&3
        run bash -c "$line" </dev/null
        echo "$line: $status: $output" | tail -n 30
        case $line in
        *"SEED=17") [ "$status" -eq 0 ] || [ "$status" -eq 1 ] ;;
        *) [ "$status" -eq 0 ] ;;
        esac
    done < <(commands README.md)
    [ "$n" -ge 14 ]
}

@test "every command in the students' README runs in the students' tree" {
    make_handout "$BATS_TEST_TMPDIR/lab"
    cd "$BATS_TEST_TMPDIR/lab"
    while read -r line; do
        run bash -c "$line" </dev/null
        echo "$line: $status: $output" | tail -n 30
        # Nothing is written yet: tests fail there, but they say so.
        [ "$status" -le 2 ]
        [[ $output != *"No rule"* ]] && [[ $output != *"rror 127"* ]]
    done < <(commands README.md; commands stage1-pool/README.md)
}

@test "every relative link in the READMEs leads somewhere" {
    cd "$TOP"
    for f in README.md grading/README.md grading/INSTRUCTORS.md \
        stage*/README*.md; do
        grep -oE '\]\([^)#:]+\)' "$f" | tr -d ']()' | while read -r link; do
            [ -e "$(dirname "$f")/$link" ] || { echo "$f: $link" && false; }
        done
    done
}
