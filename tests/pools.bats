#!/usr/bin/env bats
# Several pools behind pool.h: chosen when a program is linked, or when it
# runs; and GLib's under helgrind.

load helpers

setup_file() {
    export BIN=$TOP/build/rel
    make -s -C "$TOP" build/rel/kvs-server build/rel/stage2/kvs-server \
        build/rel/libkvs.a build/rel/kvs-client
    make -s -C "$TOP" V=dbg build/dbg/tests/pool_test-any \
        build/dbg/tests/contract_test
}

pools() {
    echo shared naive serial glib steal
}

# symbols PROGRAM: what it defines.
symbols() {
    nm --defined-only "$1" | awk '{ print $3 }'
}

@test "POOL=name links that pool, no other, and no dispatcher" {
    copy_tree "$BATS_TEST_TMPDIR/t"
    cp -rp "$TOP/build/rel" "$BATS_TEST_TMPDIR/t/build/"
    cd "$BATS_TEST_TMPDIR/t"
    for pool in $(pools); do
        make -s POOL="$pool" build/rel/kvs-server build/rel/stage2/kvs-server \
            build/rel/libkvs.a
        for program in kvs-server stage2/kvs-server libkvs.a; do
            symbols build/rel/$program >names
            [ "$(grep -cx pool_create names)" -eq 1 ]
            run grep -E '_pool_ops$|^(shared|naive|serial|glib|steal)_' names
            [ "$output" = "" ]
        done
        run timeout 5 build/rel/kvs-server --pool no-such --addr 127.0.0.1:0
        [[ $output == *"choose one of: $pool" ]]
    done
}

@test "without POOL all pools are in the programs, and stage 2's have one" {
    for program in kvs-server libkvs.a; do
        symbols "$BIN/$program" >"$BATS_TEST_TMPDIR/symbols"
        for pool in $(pools); do
            grep -qx "${pool}_pool_ops" "$BATS_TEST_TMPDIR/symbols"
            grep -qx "${pool}_create" "$BATS_TEST_TMPDIR/symbols"
        done
        [ "$(grep -cx pool_create "$BATS_TEST_TMPDIR/symbols")" -eq 1 ]
    done
    symbols "$BIN/stage2/kvs-server" >"$BATS_TEST_TMPDIR/symbols"
    run grep -E '_pool_ops$' "$BATS_TEST_TMPDIR/symbols"
    [ "$output" = "" ]
}

@test "--pool chooses when the server runs; an unknown one names the choices" {
    cd "$BATS_TEST_TMPDIR"
    for pool in $(pools) ''; do
        : >err
        "$BIN/kvs-server" --addr 127.0.0.1:0 --dir d ${pool:+--pool $pool} \
            2>err 3>&- 4>&- &
        pid=$!
        for _ in $(seq 500); do
            grep -q 'listening on' err && break
            kill -0 $pid && sleep 0.02
        done
        addr=$(sed -n 's/.*listening on //p' err)
        "$BIN/kvs-client" set key "of ${pool:-all}" --addr "$addr"
        [ "$("$BIN/kvs-client" get key --addr "$addr")" = "of ${pool:-all}" ]
        kill $pid && wait $pid
        grep -q "pool ${pool:-shared}," err
    done
    run timeout 5 "$BIN/kvs-server" --addr 127.0.0.1:0 --dir none --pool magic
    [ "$status" -eq 1 ]
    [ "${#lines[@]}" -eq 1 ]
    [[ $output == *"no pool magic; choose one of: $(pools)" ]]
    [ ! -e none ]
}

# rows POOL: the cases of a pool in cases.tsv.
rows() {
    awk -F '\t' -v p="$1/" 'index($1, p) == 1 && $4 ~ /b/ {
        sub(/.*\//, "", $1); print $1 }' "$TOP/grading/cases.tsv"
}

@test "through the dispatcher every pool passes all cases that it passes alone" {
    cd "$TOP"
    for pool in $(pools); do
        n=0
        # (one that has cases of its own alone has the others, too)
        for c in $(rows "$pool" | grep -xFf <(build/dbg/tests/pool_test-any --list | cut -f1)); do
            echo "$pool $c"
            POOL_NAME=$pool timeout -k 1 60 \
                build/dbg/tests/pool_test-any "$c" --patience 30
            n=$((n + 1))
        done
        [ $n -ge 5 ]
    done
}

@test "so under helgrind and memcheck" {
    cd "$TOP"
    for pool in $(pools); do
        extra=$([ "$pool" != glib ] ||
            echo --free-is-write=no --suppressions=grading/cut/glib.supp)
        # The words of extra are options.
        # shellcheck disable=SC2086
        POOL_NAME=$pool valgrind -q --error-exitcode=99 --tool=helgrind \
            --fair-sched=yes --free-is-write=yes \
            --suppressions=grading/cut/helgrind.supp $extra \
            build/dbg/tests/pool_test-any count_and_destroy --patience 30
        [ "$pool" = glib ] || POOL_NAME=$pool valgrind -q --error-exitcode=99 \
            --leak-check=full \
            build/dbg/tests/pool_test-any count_and_destroy --patience 30
    done
}

@test "without GLib: one line says so, the rest works, points are pending" {
    copy_tree "$BATS_TEST_TMPDIR/t"
    cp -rp "$TOP/build/rel" "$BATS_TEST_TMPDIR/t/build/"
    cd "$BATS_TEST_TMPDIR/t"
    export PKG_CONFIG=false
    run make -s stage3
    [ "$status" -eq 0 ]
    [[ $output == *"pool glib: not built, libglib2.0-dev is not installed"* ]]
    [ "$(grep -c 'pool glib: not built' <<<"$output")" -eq 1 ]
    run symbols build/rel/kvs-server
    [[ $output == *steal_pool_ops* ]] && [[ $output != *glib* ]]
    run make POOL=glib
    [ "$status" -ne 0 ]
    [[ $output == *"pool glib: not built, libglib2.0-dev is not installed"* ]]
    run make one CASE=glib/count
    [ "$status" -ne 0 ]
    [[ $output == *"not built"* ]]
    grep -E '^(steal|glib|contract)/(count|when_full)' grading/cases.tsv |
        cut -f1 >cases
    grading/grade.sh --stage 3 --no-speed --cases cases >graded || true
    model=build/grade/model.tsv
    [ "$(awk -F '\t' '$3 == "steal/count" { print $5 }' $model | sort -u)" = PASS ]
    [ "$(awk -F '\t' '$3 ~ /^(glib|contract)/ { print $5 }' $model |
        sort -u)" = TOOL ]
    [ "$(awk -F '\t' '$1 == "task" && $2 ~ /^3.[123]$/ { print $3 "/" $4 }' \
        $model | sort -u)" = 0/0 ]
}

# What a job does is judged, whatever GLib does below it.
@test "helgrind: a job's counter is clean with its mutex, caught without" {
    cd "$BATS_TEST_TMPDIR"
    cat >jobs.c <<'C'
#include <pthread.h>
#include "stage1-pool/pool.h"
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_barrier_t all_in; /* they overlap: nothing orders them */
static int n;
static void job(void *arg)
{
    (void)arg;
    pthread_barrier_wait(&all_in);
    for (int i = 0; i < 100; i++) {
        if (LOCKED)
            pthread_mutex_lock(&lock);
        n++;
        if (LOCKED)
            pthread_mutex_unlock(&lock);
    }
}
int main(void)
{
    struct pool_options o = { "glib", 4, 8 };
    struct pool *p;
    if (pthread_barrier_init(&all_in, NULL, 4) || pool_create(&p, &o))
        return 1;
    for (int i = 0; i < 20; i++)
        pool_submit(p, job, NULL);
    pool_destroy(p);
    return n == 0;
}
C
    objects=$(echo "$TOP"/build/dbg/{stage3-abstract/pool_glib,common/{lock,publish},stage1-pool/pool_options}.o)
    make -s -C "$TOP" V=dbg build/dbg/tests/pool_test-glib
    for locked in 1 0; do
        # Words of lists of files and flags.
        # shellcheck disable=SC2046,SC2086
        gcc -g -gdwarf-4 -pthread -I"$TOP" -DLOCKED=$locked jobs.c $objects \
            -o jobs$locked -Wl,-z,now $(pkg-config --libs glib-2.0)
        run valgrind --command-line-only=yes --error-exitcode=99 \
            --tool=helgrind --fair-sched=yes \
            --suppressions="$TOP/grading/cut/helgrind.supp" \
            --suppressions="$TOP/grading/cut/glib.supp" ./jobs$locked
        echo "$output" | tail -n 30
        if [ $locked = 1 ]; then
            [ "$status" -eq 0 ]
        else
            [ "$status" -eq 99 ]
            [[ $output == *"Possible data race"*"job (jobs.c:"* ]]
        fi
    done
}

@test "contract.tsv: every wrong word is refused" {
    cp -r "$TOP/stage3-abstract" "$BATS_TEST_TMPDIR/"
    cd "$BATS_TEST_TMPDIR"
    table=stage3-abstract/contract.tsv
    cp $table right
    for wrong in "when_full 2 waits" "who_runs 3 worker" "at_once 4 4" \
        "who_drains 5 caller" "who_drains_now 5 worker" \
        "dying_jobs 4 stuck" "after_destroy 5 none" "unprocessed 5 yes"; do
        read -r row column word <<<"$wrong"
        cp right $table
        "$TOP/build/dbg/tests/contract_test" "$row"
        awk -F '\t' -v OFS='\t' -v r="$row" -v c="$column" -v w="$word" \
            '$1 == r { $c = w } 1' right >$table
        run "$TOP/build/dbg/tests/contract_test" "$row"
        [ "$status" -eq 1 ]
        [[ $output == *"\"$word\", which it is not"* ]]
        [[ $output == *"at:       $table:$(grep -n "^${row}[[:space:]]" right | cut -d: -f1)"* ]]
        # A word that the table does not offer, with those that it does.
        sed "s/^\(${row}[[:space:]].*\)$/\1s/" right >$table
        run "$TOP/build/dbg/tests/contract_test" "$row"
        [ "$status" -eq 1 ]
        words=${output##*not one of: } words=${words%%$'\n'*}
        [[ ", $words," == *", $word,"* ]]
        for w in ${words//,/}; do
            grep -B4 "^${row}[[:space:]]" right | grep -q "^#.*\b$w\b"
        done
        [[ $output != *seed* ]]
    done
}
