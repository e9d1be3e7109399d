#!/usr/bin/env bash
# bench.sh -- `make bench`: measures pools, tables, stores and the server, and
# draws build/bench/index.html.
#
#     SUITE=pools|tables|stores|single|loops|course   only that (all of them)
#     BENCH=long   more and longer runs: half an hour, for figures to be quoted
#
#     BENCH_OUT=DIR   in place of build/bench
#
# Each suite writes build/bench/SUITE.tsv: suite, workload, subject, threads,
# metric, unit, median, min, max, runs. What cannot be measured here (a pool or
# engine that is not built) is said in one line, also on the page.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1
suites="pools tables stores single loops course"
out=${BENCH_OUT:-build/bench} bin=build/rel
die() { printf 'bench: %s\n' "$*" >&2; exit 1; }

only=${SUITE:-$suites}
for s in $only; do
    [[ " $suites " == *" $s "* ]] || die "SUITE=$s: choose one of: $suites"
done
case ${BENCH:-short} in
short) runs=3 cell=0.15 seconds=1 loop=3 stop=1 keys=20000 ;;
long) runs=5 cell=2 seconds=10 loop=20 stop=1 keys=1000000 ;;
tiny) runs=1 cell=0.02 seconds=0.2 loop=3 stop=1 keys=2000 ;;   # for tests
*) die "BENCH=$BENCH: only 'long', or nothing" ;;
esac
cpus=$(nproc)
mkdir -p "$out"
scratch=$(mktemp -d "$(realpath "$out")/scratch.XXXXXX") || exit 1
server=''
# Called by the trap.
# shellcheck disable=SC2317
finish() {
    [ -z "$server" ] || { kill -CONT "$server"; kill -KILL "$server"; } 2>/dev/null
    wait
    rm -rf "$scratch"
}
trap finish EXIT
trap 'exit 1' INT TERM

# ---- what is said meanwhile --------------------------------------------------

steps=0 step=0 started=$SECONDS
say() {
    step=$((step + 1))
    if [ -t 2 ]; then
        printf '\r\033[K[%d/%d] %d s  %s' $step $steps $((SECONDS - started)) "$*" >&2
    else
        printf '[%d/%d] %s\n' $step $steps "$*" >&2
    fi
}
# note SUITE TEXT: something was left out.
note() {
    [ ! -t 2 ] || printf '\r\033[K' >&2
    printf '%s: left out: %s\n' "$1" "$2" | tee -a "$out/$1.notes" >&2
}
# rows SUITE COMMAND...: adds its rows; or a note of what it said.
rows() {
    local suite=$1
    shift
    if "$@" >"$scratch/rows" 2>"$scratch/err"; then
        sed 1d "$scratch/rows" >>"$out/$suite.tsv"
    else
        note "$suite" "$(head -n 1 "$scratch/err")"
        return 1
    fi
}

# ---- a server -----------------------------------------------------------------

# serve POOL ENGINE THREADS [OPTION...]: sets server and addr; else 1, and what
# it said is in $scratch/server.log.
serve() {
    rm -rf "$scratch/db" && mkdir "$scratch/db"
    : >"$scratch/server.log"    # not what the last one said
    "$bin/kvs-server" --addr 127.0.0.1:0 --dir "$scratch/db" --pool "$1" \
        --engine "$2" --threads "$3" "${@:4}" >"$scratch/server.log" 2>&1 \
        </dev/null &
    server=$!
    for _ in $(seq 200); do
        addr=$(sed -n 's/.*listening on //p' "$scratch/server.log")
        [ -z "$addr" ] || return 0
        kill -0 $server 2>/dev/null || break
        sleep 0.05
    done
    wait $server
    server=''
    return 1
}
stop_server() {
    kill -TERM "$server" && wait "$server"
    server=''
}
# load SUITE WORKLOAD SUBJECT THREADS OPTION...
load() {
    rows "$1" timeout 300 "$bin/kvs-bench" --addr "$addr" --suite "$1" \
        --workload "$2" --subject "$3" --server-threads "$4" \
        --server-pid "$server" --tsv "${@:5}"
}

# ---- suites -------------------------------------------------------------------

pools=''
for f in "$bin"/bench-pool-*; do
    [ ! -x "$f" ] || pools+=" ${f##*bench-pool-}"
done

do_pools() {
    local p
    for p in $pools; do
        say "pools: $p"
        rows pools "$bin/bench-pool-$p" --subject "$p" --seconds $cell \
            --runs $runs --tsv || continue
        # Counting waits makes locks slower: in a run of its own.
        LD_PRELOAD=$PWD/$bin/liblockcount.so "$bin/bench-pool-$p" \
            --subject "$p" --seconds $cell --tsv 2>/dev/null |
            awk -F '\t' '$5 ~ /^lock/' >>"$out/pools.tsv"
    done
    say "pools: timeline"
    "$bin/bench-pool-shared" --trace "$out/timeline.json" ||
        note pools "the timeline"
}

do_tables() {
    say "tables"
    rows tables "$bin/bench-table" --seconds $cell --runs $runs --tsv
}

do_stores() {
    local e
    for e in kvs lmdb mem; do
        say "stores: $e"
        rows stores "$bin/bench-store" --engine $e --dir "$scratch" \
            --keys $keys --seconds $cell --runs $runs --tsv
    done
}

# One thread against many: where more threads pay, and where they do not.
do_single() {
    local t
    for t in 1 "$cpus"; do
        say "single against multi: $t thread(s)"
        serve shared kvs "$t" ||
            { note single "$(head -n 1 "$scratch/server.log")"; continue; }
        load single "small gets" "$t" "$t" --keys 10000 --depth 16 \
            --seconds $seconds --runs $runs --verify
        load single "large gets" "$t" "$t" --keys 64 --value-size 256K \
            --connections 16 --seconds $seconds --runs $runs --verify
        stop_server
        serve shared kvs "$t" --durability always || continue
        load single "durable sets" "$t" "$t" --keys 1000 --set 100 \
            --seconds $seconds --runs $runs --verify
        stop_server
        [ "$cpus" -gt 1 ] || break
    done
}

# The server stands still for a second: what each loop says about it.
do_loops() {
    local l options
    # The same four connections, so that only the loop differs.
    for l in closed open; do
        say "loops: $l"
        serve shared kvs "$cpus" ||
            { note loops "$(head -n 1 "$scratch/server.log")"; return; }
        options=(--connections 4)
        [ $l = closed ] || options+=(--rate 2000)
        (sleep $((loop / 2)) && kill -STOP "$server" && sleep $stop
            kill -CONT "$server") &
        local stopper=$!
        load loops "server stopped for 1 s" "$l loop" 1 --keys 1000 \
            --seconds $loop --warm-up 0.1 --verify "${options[@]}"
        wait $stopper
        stop_server
    done
}

# The six benchmarks of the course.
do_course() {
    local pool engine t w name
    for name in "shared kvs" "glib kvs" "glib lmdb"; do
        read -r pool engine <<<"$name"
        for ((t = 1; t <= 2 * cpus; t = t == 1 ? 2 : t + 2)); do
            say "course: $pool + $engine, $t thread(s)"
            if ! serve "$pool" "$engine" "$t"; then
                note course "$pool + $engine: $(head -n 1 "$scratch/server.log")"
                break
            fi
            for w in write read; do
                load course $w "$pool + $engine" "$t" --keys 1000 \
                    "--$([ $w = read ] && echo get || echo set)" 100 \
                    --seconds $seconds --runs $runs --verify
            done
            stop_server
        done
    done
}

for s in $only; do
    case $s in
    pools) n=$(($(wc -w <<<"$pools") + 1)) ;;
    tables) n=1 ;;
    stores) n=3 ;;
    single | loops) n=2 ;;
    course) n=$((3 * (cpus + 1))) ;;
    esac
    steps=$((steps + n))
done
for s in $only; do
    printf 'suite\tworkload\tsubject\tthreads\tmetric\tunit\tmedian\tmin\tmax\truns\n' \
        >"$out/$s.tsv"
    rm -f "$out/$s.notes"
    "do_$s"
done
[ ! -t 2 ] || printf '\r\033[K' >&2
stage4-bench/page.sh "$out" || die "the page could not be drawn"
echo "measured in $((SECONDS - started)) s: $out/index.html, $out/*.tsv"
