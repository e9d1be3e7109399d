#!/usr/bin/env bash
# peers_stores.sh -- `make peers`: our store beside LMDB, LevelDB and SQLite,
# and our tables beside each other, in one run; and the goals.
#
# Each subject is stage 4's bench-store over the same header, in a process of
# its own; rounds go A B C D, A B C D, ... so that a slow moment hits all of
# them. What making and checking keys and values costs ("loop of ...") is taken
# off before ratios are formed. Files lie on the disk of $TMPDIR, for durable
# sets are to be durable. Writes build/bench/stores.tsv, table-lf.tsv and
# goals.tsv. ROUNDS=3 KEYS=1000000 CELL=1 (seconds).
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1
. grading/lib.sh
rounds=${ROUNDS:-3} keys=${KEYS:-1000000} cell=${CELL:-1}
out=${OUT:-build/bench}
where=${TMPDIR:-/tmp}
mkdir -p "$out"
build_quietly "$out/build.log" V=rel build/rel/bench-store peer-stores \
    build/rel/bench-table build/rel/bench-table-lf ||
    die "does not build: $out/build.log"

subjects=(kvs)
for s in lmdb leveldb sqlite; do
    if [ $s = lmdb ] && make -s V=rel named-list | grep -q store_lmdb ||
        [ -x build/rel/bench-store-$s ]; then
        subjects+=("$s")
    else
        echo "$s: not measured, not installed (setup.sh --all)"
    fi
done

# measured SUBJECT: its rows.
measured() {
    local program=build/rel/bench-store engine=(--engine "$1")
    [ ! -x "$program-$1" ] || { program+=-$1 engine=(); }
    timeout 900 "$program" "${engine[@]}" --subject "$1" --keys "$keys" \
        --seconds "$cell" --dir "$where" --tsv
}

: >"$out/stores.raw"
: >"$out/tables.raw"
for round in $(seq "$rounds"); do
    for s in "${subjects[@]}"; do
        live "[$round/$rounds] store $s"
        measured "$s" | sed 1d >>"$out/stores.raw" || die "$s: failed"
    done
    for t in table table-lf; do
        live "[$round/$rounds] $t"
        timeout 300 "build/rel/bench-$t" --subject "$t" --tsv |
            sed 1d >>"$out/tables.raw" || die "$t: failed"
    done
done
live ''

awk -f grading/median.awk "$out/stores.raw" >"$out/stores.tsv"
awk -f grading/median.awk "$out/tables.raw" >"$out/table-lf.tsv"
rm -f "$out/stores.raw" "$out/tables.raw"
server=()
[ ! -s "$out/server.tsv" ] || server=("$out/server.tsv")
awk -f grading/goals.awk "$out/stores.tsv" "$out/table-lf.tsv" "${server[@]}" \
    >"$out/goals.tsv"
awk -F '\t' 'NR == 1 { printf "%-38s %10s %18s %7s %7s\n", "goal", "ours",
        "best peer", "ratio", "wanted"; next }
    { printf "%-38s %10s %18s %7s %7s  %s\n", $1, $2,
        $4 == "" ? "" : $3 " " $4, $5, $6, $7 }' "$out/goals.tsv"
