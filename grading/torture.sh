#!/usr/bin/env bash
# torture.sh ROUNDS SEED DURABILITY -- `make torture`: a server, writers that note
# what was acknowledged, SIGKILL at a random moment, a new start, and a look
# whether all is there; ROUNDS times. tests/torture.c does it; at the end the
# files are verified, too. Exit 1 when something was lost.
#
# TORTURE_BIN: where the programs are, build/rel if not set.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 2
. grading/lib.sh
rounds=${1:-40} seed=${2:-$((RANDOM << 15 | RANDOM))} durability=${3:-none}
bin=${TORTURE_BIN:-build/rel}

[[ $rounds =~ ^[1-9][0-9]*$ ]] || die "make torture ROUNDS=40: not '$rounds'"
[[ $seed =~ ^[0-9]{1,9}$ ]] || die "make torture SEED=17: not '$seed'"
case $durability in
none | interval | always) ;;
*) die "make torture DURABILITY=none|interval|always: not '$durability'" ;;
esac
[ -n "${TORTURE_BIN-}" ] || make -s --no-print-directory V=rel long-programs ||
    die "torture: it does not compile"

dir=$(mktemp -d "$(ram_disk)/kvs-torture-XXXXXX") || exit 2
trap 'kill "$child" 2>/dev/null' INT TERM
"$bin/tests/torture" --server "$bin/kvs-server" --dir "$dir/db" \
    --rounds "$rounds" --seed "$seed" --durability "$durability" &
child=$!
status=0
wait "$child" || status=$?
if [ $status -eq 0 ] && ! "$bin/kvs" verify --dir "$dir/db" >"$dir/verify"; then
    status=1
    grep -v '0 damaged places' "$dir/verify"
fi
if [ $status -eq 0 ]; then
    rm -rf "$dir"
else
    echo "the files are in $dir; again with: make torture" \
        "ROUNDS=$rounds SEED=$seed DURABILITY=$durability"
fi
exit $status
