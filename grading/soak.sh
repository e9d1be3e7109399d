#!/usr/bin/env bash
# soak.sh SECONDS -- `make soak`: a server with small segments under mixed load,
# so that compactions run all the time. kvs-bench --verify checks every reply of
# its own keys; tests/soak_crew.c checks the history of some others. Once a
# second memory, descriptors and disk are noted (build/soak/soak.tsv).
#
# The last line is the verdict: the history has an order, memory and descriptors
# are as they were at the beginning (the second fifth of the time is compared
# with the last), the disk holds no more than 1.3 times what is live and a few
# segments, and compactions did run. Exit 1 if not.
#
# SOAK_BIN: where the programs are, build/rel if not set.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 2
. grading/lib.sh
seconds=${1:-600} seed=${SEED:-$RANDOM} bin=${SOAK_BIN:-build/rel}
segment=$((1 << 20)) keys=8000 samples=build/soak/soak.tsv

[[ $seconds =~ ^[1-9][0-9]*$ ]] || die "make soak SECONDS=600: not '$seconds'"
[ -n "${SOAK_BIN-}" ] || make -s --no-print-directory V=rel long-programs ||
    die "soak: it does not compile"
dir=$(mktemp -d "$(ram_disk)/kvs-soak-XXXXXX") || exit 2
server='' load='' crew=''
# It runs in the end, as the trap says.
# shellcheck disable=SC2317
end() {
    local pid
    for pid in $crew $load $server; do kill -KILL "$pid" 2>/dev/null; done
    rm -rf "$dir"
}
trap end EXIT
trap 'exit 130' INT TERM
mkdir -p build/soak
: >"$dir/server.log"

# ---- what is watched -------------------------------------------------------

stat_of() { awk -v n="$1" '$1 == n { print $2 }' "$dir/stats"; }

# sample: a line of numbers; with the server's own where it answers.
sample() {
    local rss fds
    rss=$(awk '$1 == "RssAnon:" { print $2 }' "/proc/$server/status" \
        2>/dev/null) || return 1
    fds=$(find "/proc/$server/fd" -type l 2>/dev/null | wc -l)
    "$bin/kvs-client" --addr "$addr" stats >"$dir/stats" 2>/dev/null || return 1
    printf '%s\t%s\t%s\t%s\t%s\t%s\t%s\n' "$SECONDS" "$rss" "$fds" \
        "$(stat_of disk_bytes)" "$(stat_of live_bytes)" \
        "$(stat_of segments)" "$(stat_of compactions)" >>"$samples"
    live "$SECONDS s of $seconds: $rss KiB, $fds descriptors, $(stat_of \
        segments) segments, $(stat_of compactions) compactions"
}

alive() { kill -0 "$1" 2>/dev/null; }

# settle: until no compaction has ended for a while.
settle() {
    local before=-1 now=-2 n
    for ((n = 0; n < 20 && before != now; n++)); do
        before=$now
        sleep 0.5
        sample || return
        now=$(stat_of compactions)
    done
}

# ---- the run ---------------------------------------------------------------

"$bin/kvs-server" --addr 127.0.0.1:0 --dir "$dir/db" --segment-size $segment \
    2>"$dir/server.log" &
server=$!
for ((n = 0; n < 500; n++)); do
    addr=$(sed -n 's/.*listening on //p' "$dir/server.log")
    if [ -n "$addr" ] || ! alive $server; then break; fi
    sleep 0.02
done
[ -n "$addr" ] || die "soak: the server does not start: $(cat "$dir/server.log")"
printf 'second\trss_kib\tdescriptors\tdisk\tlive\tsegments\tcompactions\n' \
    >"$samples"

"$bin/kvs-bench" --addr "$addr" --connections 8 --depth 4 --keys $keys \
    --value-size 100-2000 --get 50 --set 40 --rm 10 --verify --seed "$seed" \
    --warm-up 0 --seconds "$seconds" --json >"$dir/load" 2>"$dir/load.err" &
load=$!
"$bin/tests/soak_crew" "$addr" "$seconds" "$seed" >"$dir/crew" 2>&1 &
crew=$!

SECONDS=0
while alive $load || alive $crew; do
    sleep 1
    sample || break
    [ $SECONDS -lt $((seconds + 60)) ] || break
done
live ''
failures=()
wait $load || failures+=("the load: $(tail -n 1 "$dir/load.err")")
load=''
wait $crew || {
    failures+=("the history: see build/soak/crew.log")
    cp "$dir/crew" build/soak/crew.log
    tail -n 40 "$dir/crew"
}
crew=''
peak=$(awk -F '\t' 'NR > 1 && $4 > max { max = $4 } END { print max }' "$samples")
settle
kill -TERM $server
wait $server || failures+=("the server's end: status $?")
server=''
"$bin/kvs" verify --dir "$dir/db" >"$dir/verify" ||
    failures+=("verify: $(grep -v ' 0 damaged places' "$dir/verify" | head -n 1)")

# ---- the verdict -----------------------------------------------------------

# Means of the second fifth of the samples and of the last; what came when it
# had settled is not one of them.
means() {
    awk -F '\t' -v column="$1" -v until="$seconds" 'NR > 1 && $1 <= until {
            v[++n] = $column }
        END { a = int(n / 5); b = int(2 * n / 5); if (b == a) b = a + 1
            for (i = a + 1; i <= b; i++) early += v[i]
            for (i = n - (b - a) + 1; i <= n; i++) late += v[i]
            printf "%.0f %.0f\n", early / (b - a), late / (b - a) }' "$samples"
}
read -r rss_early rss_late < <(means 2)
read -r fds_early fds_late < <(means 3)
IFS=$'\t' read -r _ _ _ disk live_bytes segments compactions \
    < <(tail -n 1 "$samples")
[ "$rss_late" -le $((rss_early * 5 / 4 + 4096)) ] ||
    failures+=("memory grew: $rss_early KiB, then $rss_late KiB")
[ "$fds_late" -le $((fds_early * 5 / 4 + 8)) ] ||
    failures+=("descriptors: $fds_early, then $fds_late")
[ "$disk" -le $((live_bytes * 13 / 10 + 2 * segment)) ] ||
    failures+=("disk: $disk bytes for $live_bytes that are live")
[ "$compactions" -gt 0 ] || failures+=("no compaction has run")
requests=$(sed -n 's/.*"metric": "requests".*"median": \([0-9]*\).*/\1/p' \
    "$dir/load")
printf 'load: %s requests, each reply checked; history: %s\n' \
    "${requests:-no}" "$(tail -n 1 "$dir/crew")"
printf 'memory %s -> %s KiB, descriptors %s -> %s, disk %s MiB for %s MiB live (at most %s), %s segments, %s compactions\n' \
    "$rss_early" "$rss_late" "$fds_early" "$fds_late" $((disk >> 20)) \
    $((live_bytes >> 20)) $((peak >> 20)) "$segments" "$compactions"
if [ ${#failures[@]} -eq 0 ]; then
    echo "soak: well, after $seconds s (seed $seed)"
    exit 0
fi
printf 'soak: %s\n' "${failures[@]}"
echo "soak: FAILED after $seconds s (seed $seed)"
exit 1
