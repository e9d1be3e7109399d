#!/usr/bin/env bash
# explore.sh [STAGE] [CASE] -- runs the schedule explorer over the cases that
# are made for it, 200 seeds each; `make replay` draws a seed that fails.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1
. grading/lib.sh
out=build/explored
rm -rf "$out" && mkdir -p "$out"
plan stage="${1-}" only="${2-}" tools=x logs="$out" >"$out/plan"
[ -s "$out/plan" ] || if [ -n "${2-}" ]; then
    die "CASE=$2: no case for the explorer has that name"
else
    die "part ${1-} has no case for the explorer"
fi
find build/dbg/tests -maxdepth 1 -type f -perm /111 -delete 2>/dev/null
mapfile -t programs < <(tr '\t' '\n' <"$out/plan" |
    grep '^build/dbg/tests/' | sort -u)
build_quietly "$out/build.log" tools V=dbg "${programs[@]}" ||
    echo "note: not everything builds, see $out/build.log"
status=0
while IFS=$'\t' read -r id _ _ _ log command; do
    case=${id%:*}
    IFS=$'\t' read -ra argv <<<"$command"
    "${argv[@]}" >"$log" 2>&1 </dev/null
    code=$?
    last=$(tail -n 1 "$log")
    case $code in
    0) printf '%-14s %-24s %s\n' "no failure" "$case" "$(cut -f2 <<<"$last")" ;;
    3) printf '%-14s %s\n' "not written" "$case" ;;
    4) printf '%-14s %-24s %s\n' "not explored" "$case" \
        "$(cut -f2 <<<"$last")" ;;
    *)
        status=1
        IFS=$'\t' read -r _ seed kind what <<<"$last"
        printf '%-14s %-24s %s: %s\n' "FAILS" "$case" "$kind" "$what" | fold -sw 80
        printf '%-14s make replay CASE=%s SEED=%s\n' "" "$case" "$seed"
        ;;
    esac
done <"$out/plan"
exit $status
