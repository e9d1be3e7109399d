#!/usr/bin/env bats
# kvs-bench on the command line: what it measures, what it finds out about a
# server that is slow, stopped or lying, and what it says to bad input.

bats_require_minimum_version 1.5.0
load helpers

BIN=${KVS_BIN:-$TOP/build/rel}

setup_file() {
    env -u MAKEFLAGS -u MAKELEVEL make -s -C "$BATS_TEST_DIRNAME/.." V=rel \
        build/rel/kvs-bench build/rel/kvs-server \
        build/rel/tests/rig_server >/dev/null
}

setup() {
    T=$BATS_TEST_TMPDIR
    D=$(mktemp -d "$(. "$BATS_TEST_DIRNAME/../grading/lib.sh"
        ram_disk)/kvs-bench.XXXXXX")
}

teardown() {
    stop_all
    [ -z "${RIG-}" ] || { kill "$RIG" 2>/dev/null ; wait "$RIG" || true; }
    [ -z "${REDIS-}" ] || { kill "$REDIS" 2>/dev/null ; wait "$REDIS" || true; }
    rm -rf "$D"
}

bench() { try timeout 60 "$BIN/kvs-bench" --addr "$ADDR" --keys 1000 "$@"; }

# start_rig FAULT [FROM] [TIMES] [DELAY-MS]: a server of tests/load_rig.h.
start_rig() {
    rm -f "$T/rig.in" && mkfifo "$T/rig.in"
    : >"$T/rig.log"
    sleep 100 >"$T/rig.in" 3>&- 4>&- &
    RIG=$!
    "$BIN/tests/rig_server" "$1" "${2:-0}" "${3:-0}" "${4:-0}" \
        <"$T/rig.in" >"$T/rig.log" 2>&1 3>&- 4>&- &
    soon grep -q 'listening on' "$T/rig.log"
    ADDR=$(sed 's/.*listening on //' "$T/rig.log")
}

# figure METRIC: its median, in the TSV of the last `bench`.
figure() {
    awk -F '\t' -v m="$1" '$5 == m { print $7; n++ } END { exit n != 1 }' \
        "$T/out"
}

# is CONDITION: awk's, on figures; `is "p50 < p99"`.
is() {
    awk -F '\t' 'NR > 1 { gsub(/[.-]/, "_", $5); print $5 "=" $7 }' \
        "$T/out" >"$T/figures"
    awk "BEGIN { $(paste -sd';' "$T/figures"); exit !($1) }" || {
        echo "expected $1; figures:" && cat "$T/figures" && return 1
    }
}

@test "a verified run: every figure is there, nothing is wrong" {
    start_server
    bench --seconds 0.5 --verify --get 70 --set 20 --rm 10 --depth 4 \
        --connections 8 --threads 2 --server-pid "$SERVER" --tsv
    [ "$status" -eq 0 ] || show
    is "throughput > 100 && requests > 50 && wrong == 0 && errors == 0"
    is "p50 <= p90 && p90 <= p99 && p99 <= p99_9 && p99_9 <= max && mean > 0"
    is "client_cpu > 0 && server_cpu > 0 && client_busy > 0 && not_found > 0"
    [ "$(head -n 1 "$T/out")" = "$(printf '%s\t' suite workload subject \
        threads metric unit median min max)runs" ]
}

@test "for people: at most 80 columns, and what was asked" {
    start_server
    bench --requests 3000 --verify --get 90 --set 9 --rm 1 --server-pid "$SERVER"
    [ "$status" -eq 0 ] || show
    [ ! -s "$T/err" ] || show
    grep -q '3,000 requests in .* a second' "$T/out"
    grep -q 'get 90 %, set 9 %, rm 1 %; uniform' "$T/out"
    grep -q 'every one verified; 0 wrong' "$T/out"
    grep -qE '^latency .*p50 .*p99.9 ' "$T/out"
    [ "$(awk 'length($0) > 80' "$T/out")" = "" ]
}

@test "JSON is JSON, with the same rows; a seed gives the same requests" {
    start_server
    bench --requests 500 --get 50 --set 30 --rm 20 --seed 7 --json --runs 3 \
        --connections 1
    [ "$status" -eq 0 ] || show
    [ "$(jq -r '.partial' "$T/out")" = false ]
    [ "$(jq -r '.rows[] | select(.metric == "p99") | .runs' "$T/out")" = 3 ]
    first=$(jq -c '.rows[] | select(.metric == "not-found") | [.min, .max]' \
        "$T/out")
    bench --requests 500 --get 50 --set 30 --rm 20 --seed 7 --json --runs 3 \
        --connections 1
    [ "$first" = "$(jq -c '.rows[] | select(.metric == "not-found") |
        [.min, .max]' "$T/out")" ]
}

@test "the presets of YCSB, verified; zipf; values of many sizes" {
    start_server
    for p in A B C D F; do
        bench --requests 2000 --preset $p --verify --depth 4 --tsv
        [ "$status" -eq 0 ] || show
        is "requests == 2000 && wrong == 0"
    done
    bench --requests 2000 --distribution zipf:0.5 --get 50 --set 50 --verify \
        --value-size 8-5000 --key-size 40 --tsv
    [ "$status" -eq 0 ] || show
    bench --requests 100 --distribution zipf --skip-load --value-size 100
    [ "$status" -eq 0 ] || show
    grep -q 'zipf (0.99)' "$T/out"
}

@test "a real redis, in its own protocol, verified" {
    command -v redis-server >/dev/null || skip "redis is not installed"
    for _ in 1 2 3 4 5; do
        PORT=$((20000 + RANDOM % 20000))
        redis-server --port $PORT --bind 127.0.0.1 --save '' --appendonly no \
            --dir "$D" >"$T/redis.log" 2>&1 3>&- 4>&- &
        REDIS=$!
        soon grep -qE 'Ready to accept|in use|Failed' "$T/redis.log"
        ! grep -q 'Ready to accept' "$T/redis.log" || break
        wait "$REDIS" || true
    done
    ADDR=127.0.0.1:$PORT
    bench --protocol resp --requests 5000 --verify --get 60 --set 30 --rm 10 \
        --depth 8 --value-size 8-3000 --server-pid "$REDIS" --tsv
    [ "$status" -eq 0 ] || show
    is "requests == 5000 && wrong == 0 && errors == 0 && server_cpu > 0"
    # Who speaks the other protocol is told so, in a line.
    bench --protocol kvs --requests 100
    refused 1 "loading"
}

@test "stopped for a second: p99.9 shows it in the open loop, not in the closed" {
    start_server
    stop_for_a_second() {
        sleep 1.2
        kill -STOP "$SERVER"
        sleep 1
        kill -CONT "$SERVER"
    }
    stop_for_a_second 3>&- 4>&- &
    bench --connections 1 --seconds 2.5 --warm-up 0.2 --tsv
    wait $!
    [ "$status" -eq 0 ] || show
    is "max >= 0.9e9 && p99_9 < 0.3e9"
    stop_for_a_second 3>&- 4>&- &
    bench --connections 1 --rate 500 --seconds 2.5 --warm-up 0.2 --tsv
    wait $!
    [ "$status" -eq 0 ] || show
    is "max >= 0.9e9 && p99_9 >= 0.7e9 && p90 >= 0.3e9 && requests == 1250"
}

@test "a slow server: its latency is seen; slower than the rate, it is said" {
    start_rig honest 0 0 20
    bench --keys 10 --connections 1 --requests 20 --tsv
    [ "$status" -eq 0 ] || show
    is "p50 >= 20e6 && throughput <= 50"
    bench --keys 10 --connections 1 --rate 500 --seconds 0.4 --warm-up 0 \
        --timeout 1000 --tsv
    [ "$status" -eq 0 ] || show
    is "unsent > 100 && partial == 1 && requests + unsent == 200"
    bench --keys 10 --connections 1 --rate 500 --seconds 0.4 --warm-up 0 \
        --timeout 1000
    grep -q '^unsent .* never sent' "$T/out"
    grep -q '^PARTIAL' "$T/out"
}

@test "a lying server is found out, each kind of lie" {
    for lie in flips old other-key missing ghost loses keeps denies; do
        start_rig $lie 1500 16
        bench --requests 4000 --connections 2 --get 50 --set 30 --rm 20 \
            --keys 50 --verify --tsv
        kill "$RIG" && wait "$RIG" 2>/dev/null || true
        [ "$status" -eq 1 ] || { echo $lie && show; }
        is "wrong >= 1 && requests == 4000"
        [ "$(wc -l <"$T/err")" -eq 1 ]
        grep -qE 'kvs-bench: error: (get|set|remove) of key [0-9]+: ' "$T/err"
    done
}

@test "replies of the wrong kind end it: one line, what was measured is kept" {
    for lie in wrong-id wrong-kind extra; do
        start_rig $lie 1500 1
        bench --requests 4000 --connections 1 --get 100
        kill "$RIG" && wait "$RIG" 2>/dev/null || true
        [ "$status" -eq 1 ] || { echo $lie && show; }
        [ "$(wc -l <"$T/err")" -eq 1 ]
        grep -qE 'the reply is to something else|nobody asked for' "$T/err"
        grep -q '^PARTIAL' "$T/out"
        grep -qE '^[1-9][0-9,]* requests in' "$T/out"
    done
}

@test "the server goes away in the middle: partial results, marked" {
    start_server
    "$BIN/kvs-bench" --addr "$ADDR" --keys 100 --seconds 30 --warm-up 0.1 --tsv --progress \
        >"$T/out" 2>"$T/err" 3>&- 4>&- &
    pid=$!
    soon grep -q ' s  .* a second, .* in all, 0 wrong' "$T/err"
    kill -KILL "$SERVER"
    status=0
    wait $pid || status=$?
    [ "$status" -eq 1 ]
    is "requests > 10 && p50 > 0 && partial == 1"
    grep -q 'error: running: the server is gone' "$T/err"
}

@test "a signal ends it early: partial results, marked" {
    start_server
    "$BIN/kvs-bench" --addr "$ADDR" --keys 100 --seconds 30 --warm-up 0.1 --json --progress \
        >"$T/out" 2>"$T/err" 3>&- 4>&- &
    pid=$!
    soon grep -q 'in all' "$T/err"
    kill -TERM $pid
    status=0
    wait $pid || status=$?
    [ "$status" -eq 1 ]
    [ "$(jq .partial "$T/out")" = true ]
    [ "$(jq '.rows[] | select(.metric == "requests") | .median' "$T/out")" -gt 0 ]
}

@test "bad input: one line that says what is wrong, and exit status 2" {
    ADDR=127.0.0.1:1
    while IFS='|' read -r words said; do
        # shellcheck disable=SC2086 # words
        bench $words
        refused 2 "$said"
    done <<'END'
--connections 0|--connections
--depth 0|--depth
--threads 0|--threads
--threads 9 --connections 8|more --threads
--get 50 --set 40|90 %, not 100 %
--get 101|--get
--preset E|--preset
--preset A --get 100|--preset
--protocol http|--protocol
--distribution pareto|--distribution
--distribution zipf:2|--distribution
--rate 0|--rate
--rate -5|--rate
--seconds x|--seconds
--value-size 100-50|--value-size
--value-size 4 --verify|8 bytes
--skip-load --verify|--skip-load
--key-size 3|too short
--server-pid 4194304|no such process
--runs 0|--runs
--keys 0|--keys
extra|word
END
    bench --requests 10
    refused 1 "Connection refused"
}

@test "a server that never answers is given up in time" {
    start_rig silent 0
    bench --keys 10 --timeout 300 --requests 10
    [ "$status" -eq 1 ]
    [ "$(wc -l <"$T/err")" -eq 1 ]
}

@test "a generator slower than the server says that it measured itself" {
    local cpu first hogs=()
    cpu=$(taskset -cp $$ | sed 's/.*[:,-] *//')
    first=$(taskset -cp $$ | sed 's/.*: //; s/[,-].*//')
    [ "$cpu" != "$first" ] || skip "one CPU only"
    [[ $(chrt -p $$) != *SCHED_IDLE* ]] ||
        skip "at idle priority the server waits for a CPU, too"
    ENTER="taskset -c $first" start_server
    # It runs only when the others on its CPU leave it some time: so it wants
    # to send, and may not.
    for _ in 1 2; do
        timeout 30 taskset -c "$cpu" sh -c 'while :; do :; done' 3>&- 4>&- &
        hogs+=($!)
    done
    for _ in 1 2 3; do
        try taskset -c "$cpu" chrt -i 0 timeout 20 "$BIN/kvs-bench" --keys 100 \
            --addr "$ADDR" --requests 3000 --depth 64 --connections 8
        ! grep -q 'may have measured' "$T/out" || break
    done
    kill "${hogs[@]}"
    wait "${hogs[@]}" || true
    cat "$T/out"
    [ "$status" -eq 0 ] || show
    grep -q 'may have measured' "$T/out"
    # And one that waits most of the time says nothing of the kind.
    bench --requests 200 --rate 200
    [ "$status" -eq 0 ] || show
    run ! grep -q 'may have measured' "$T/out"
}

@test "loading has a bar, running a line a second, where it is asked for" {
    start_server
    bench --seconds 1.5 --progress
    [ "$status" -eq 0 ] || show
    grep -qE '^loading \[#{30}\] 100 %  1,000 keys$' "$T/err"
    grep -qE '^ +[0-9.]+ s  [0-9,]+ a second, [0-9,]+ in all, 0 wrong$' "$T/err"
}

@test "waits for locks are counted by the preloaded library" {
    make -s -C "$TOP" V=rel build/rel/liblockcount.so build/rel/bench-pool-naive \
        build/rel/bench-pool-serial build/rel/bench-store
    LD_PRELOAD=$BIN/liblockcount.so LOCKCOUNT=$T/counts \
        try "$BIN/bench-pool-naive" --seconds 0.05 --tsv
    [ "$status" -eq 0 ] || show
    [ "$(awk -F '\t' '$5 == "lock-waits" && $7 > 0' "$T/out" | wc -l)" -gt 3 ]
    awk -F '\t' '{ exit !($1 > 10 && $2 > $1) }' "$T/counts"
    # Without it there are no such rows; every job's CPU and switches are there.
    try "$BIN/bench-pool-naive" --seconds 0.05 --tsv
    run ! grep -q lock-waits "$T/out"
    [ "$(awk -F '\t' '$5 == "switches" && $7 > 0' "$T/out" | wc -l)" -gt 3 ]
}

@test "an unknown pool or engine: one line, and exit status 1" {
    try "$BIN/bench-pool-naive" --pool magic
    refused 1 "pool magic: no such pool"
    try "$BIN/bench-store" --engine magic --dir "$D"
    refused 1 "store magic: no such engine"
    try "$BIN/bench-store" --dir "$D/not/there"
    refused 1
}

@test "figures that cannot be written are a failure; each program's subject, runs and forms" {
    make -s -C "$TOP" V=rel build/rel/bench-pool-serial build/rel/bench-store build/rel/bench-table
    for p in pool-serial "store --keys 200 --dir $T" "table --keys 200"; do
        # The program and its options.
        # shellcheck disable=SC2086
        set -- $BIN/bench-$p --seconds 0.03 --runs 2 --subject mine
        try "$@" --tsv
        [ "$status" -eq 0 ] || show
        # (a thread that was not let run has measured nothing)
        [ "$(sed 1d "$T/out" | cut -f3 | sort -u)" = mine ]
        [ "$(sed 1d "$T/out" | cut -f10 | sort -n | tail -n 1)" -eq 2 ]
        try "$@" --json
        jq -e . "$T/out" >/dev/null
        try "$@"
        [ "$(wc -l <"$T/out")" -gt 3 ] || show
        run sh -c '"$@" >/dev/full' - "$@"
        [ "$status" -eq 1 ]
        [[ $output == *"the figures cannot be written"* ]]
        try "$BIN/bench-${p%% *}" --seconds 0
        [ "$status" -eq 2 ]
    done
}

@test "make peers: stores beside others, a row for each goal" {
    cd "$TOP"
    make -s V=rel peer-stores build/rel/bench-store >&2
    run env KEYS=2000 CELL=0.05 ROUNDS=1 TMPDIR="$BATS_TEST_TMPDIR" \
        OUT="$BATS_TEST_TMPDIR/out" grading/peers_stores.sh
    [ "$status" -eq 0 ]
    run awk -F '\t' 'NR == 1 { if ($0 != "goal\tours\tbest peer\tits name\tratio\twanted\tmet") print; next }
        NF != 7 || $7 !~ /^(yes|no)$/ || $2 <= 0 { print } END { if (NR < 9) print NR }' \
        "$BATS_TEST_TMPDIR/out/goals.tsv"
    [ "$output" = "" ]
    # one row a cell, of the columns that programs rely on
    run awk -F '\t' 'NF != 10 { print } $2 == "random get" && $5 == "cpu" { n++ }
        END { if (n < 4) print n }' "$BATS_TEST_TMPDIR/out/stores.tsv"
    [ "$output" = "" ]
}

@test "in a slab that another thread has filled, a block costs its two locks and few more" {
    cc -O1 -g -Wall -Wextra -Werror -pthread -D_GNU_SOURCE -I"$TOP" \
        -Wl,--wrap=pthread_mutex_lock -o "$T/slab_locks" \
        "$TOP"/tests/slab_locks.c "$TOP"/stage2-server/slab.c \
        "$TOP"/common/{counter,lock,publish}.c 2>"$T/err" || show
    try "$T/slab_locks"
    [ "$status" -eq 0 ] || show
    awk '{ exit !($1 >= 2 && $1 < 3) }' "$T/out" || show
}
