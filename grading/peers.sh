#!/usr/bin/env bash
# peers.sh -- `make peers`: our server beside redis, memcached and an echo
# server, in one run.
#
# Each server runs alone on the first CPU, the load on the second one; the same
# load for all (tests/peers_bench.c), every reply compared. Rounds go A B C D,
# A B C D, ... so that a slow moment hits all of them. What counts is CPU time
# of the server a request: it repeats where wall-clock time does not.
# Writes build/bench/server.tsv, prints a table. ROUNDS=5 REQUESTS=200000.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1
. grading/lib.sh
rounds=${ROUNDS:-5} requests=${REQUESTS:-200000}
out=build/bench
raw=$out/server.raw
mkdir -p "$out" && : >"$raw"
scratch=$(mktemp -d "$(ram_disk)/peers.XXXXXX")
pids=()
# Called by the trap.
# shellcheck disable=SC2317
finish() {
    [ ${#pids[@]} -eq 0 ] || kill "${pids[@]}" 2>/dev/null
    wait
    rm -rf "$scratch"
}
trap finish EXIT

mapfile -t cpus < <(taskset -cp $$ | sed 's/.*: //' | tr ',' '\n' | awk -F - '
    { for (c = $1; c <= ($2 == "" ? $1 : $2); c++) print c }')
[ ${#cpus[@]} -ge 2 ] || echo "note: one CPU only: servers and load share it"
first=${cpus[0]} second=${cpus[1]:-${cpus[0]}}

build_quietly "$out/build.log" V=rel build/rel/kvs-server \
    build/rel/tests/peers_bench || die "does not build: $out/build.log"
bench=build/rel/tests/peers_bench

# started NAME PROTOCOL COMMAND...: runs it on the first CPU, remembers its
# process; LOG is its output.
subjects=()
started() {
    LOG=$scratch/$1.log
    taskset -c "$first" "${@:3}" >"$LOG" 2>&1 </dev/null &
    pids+=($!)
    subjects+=("$1 $2 $!")
}

# port_in LOG: waits for "listening on ADDRESS:PORT".
port_in() {
    for _ in $(seq 200); do
        sed -n 's/.*listening on .*:\([0-9][0-9]*\)$/\1/p' "$1" | grep . &&
            return
        sleep 0.05
    done
    die "$1: not listening"
}

# free_port: one that is free now (for those who cannot let the kernel pick).
free_port() {
    taskset -c "$second" "$bench" echo-server >"$scratch/free" &
    local pid=$!
    port_in "$scratch/free" && kill $pid && wait $pid 2>/dev/null
}

# await_port PORT
await_port() {
    for _ in $(seq 200); do
        (: <"/dev/tcp/127.0.0.1/$1") 2>/dev/null && return
        sleep 0.05
    done
    die "nothing listens on port $1"
}

declare -A port
mkdir "$scratch/kvs"
started kvs kvs build/rel/kvs-server --addr 127.0.0.1:0 --dir "$scratch/kvs"
port[kvs]=$(port_in "$LOG")
started echo echo "$bench" echo-server
port[echo]=$(port_in "$LOG")
if command -v redis-server >/dev/null; then
    port[redis]=$(free_port)
    started redis resp redis-server --port "${port[redis]}" --save '' \
        --bind 127.0.0.1 --appendonly no --dir "$scratch"
    await_port "${port[redis]}"
else
    echo "redis: not measured, not installed (setup.sh --all)"
fi
if command -v memcached >/dev/null; then
    port[memcached]=$(free_port)
    started memcached memcached memcached -l 127.0.0.1 -p "${port[memcached]}" \
        -U 0 -t 1 -m 256 -R 1000 -u "$(id -un)"
    await_port "${port[memcached]}"
else
    echo "memcached: not measured, not installed (setup.sh --all)"
fi

# One round: each subject, each load.
for round in $(seq "$rounds"); do
    for load in "1 0" "16 0" "64 0" "16 10"; do
        read -r depth sets <<<"$load"
        for s in "${subjects[@]}"; do
            read -r name protocol pid <<<"$s"
            live "[$round/$rounds] depth $depth, $name"
            n=$requests
            [ "$depth" -ne 1 ] || n=$((requests / 4))
            line=$(taskset -c "$second" timeout 60 "$bench" "$protocol" \
                "${port[$name]}" "$pid" 50 "$depth" "$n" "$sets") ||
                die "$name, depth $depth: failed"
            cell="depth $depth$([ "$sets" = 0 ] || echo ", $sets % set")"
            awk -F '\t' -v OFS='\t' -v cell="$cell" -v name="$name" '{
                split("wall cpu client-cpu", metric, " ")
                for (m = 1; m <= 3; m++)
                    print "server", cell, name, 1, metric[m], "ns/op", $m
                }' <<<"$line" >>"$raw"
        done
    done
done
live ''

awk -f grading/median.awk "$raw" >"$out/server.tsv"
rm -f "$raw"
awk -F '\t' '$5 == "cpu" {
        if (!($2 in col)) { col[$2] = ++cols; title[cols] = $2 }
        if (!($3 in row)) { row[$3] = ++rows; name[rows] = $3 }
        cell[row[$3], col[$2]] = sprintf("%.0f (%.0f-%.0f)", $7, $8, $9) }
    END {
        print "CPU nanoseconds a request, of the server: median (least-most)"
        printf "  %-10s", ""
        for (c = 1; c <= cols; c++) printf " %17s", title[c]
        print ""
        for (r = 1; r <= rows; r++) {
            printf "  %-10s", name[r]
            for (c = 1; c <= cols; c++) printf " %17s", cell[r, c]
            print ""
        }
    }' "$out/server.tsv"
