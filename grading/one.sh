#!/usr/bin/env bash
# one.sh CASE [TOOL] [SEED] -- builds and runs one case, and explains it. SEED
# is the inputs' (the `seed:` of a failed check); with TOOL=replay it is the
# schedule's, which is then drawn.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1
. grading/lib.sh
only=$1 tool=${2:-bare} seed=${3-}

[[ ${seed:-0} =~ ^[0-9]+$ ]] || die "SEED=$seed: a number"
[ "$tool$seed" != replay ] || die "make replay CASE=.. SEED=.. (from make explore)"
line=$([ -z "$only" ] || plan only="$only" answers=1)
[ -n "$line" ] || die "CASE=$only: no such case; they are:" $'\n' \
    "$(plan answers=1 | cut -f1 | paste -sd' ' | fold -sw 76)"
case $tool in
bare) letter=b ;;
memcheck) letter=m ;;
helgrind) letter=h ;;
tsan) letter=t ;;
explore | replay) letter=x ;;
*) die "TOOL=$tool: choose bare, memcheck, helgrind, tsan or explore" ;;
esac
IFS=$'\t' read -r _ task program tools _ _ _ title <<<"$line"
[[ $tools == *$letter* ]] || echo "note: this case is not graded under $tool"

missing=$(make -s --no-print-directory missing-list |
    sed -n "s/^$program\t//p")
[ -z "$missing" ] || die "$missing"

out=build/one/${only/\//.}.$tool
rm -rf "$out" && mkdir -p "$out"
variant=$([ "$tool" = tsan ] && echo tsan || echo dbg)
if ! build_quietly "$out/build.log" tools V="$variant" \
    "build/$variant/tests/$program"; then
    grep -aE 'error|undefined' "$out/build.log" | head -n 20
    die "$program does not build (all of it: $out/build.log)"
fi
write_own_list

scratch one
if [ "$tool" = replay ]; then
    build/tools/explore --seed "$seed" -- \
        "build/$variant/tests/$program" "${only#*/}" --patience 30
    exit
fi
# As in a grading, whose verdict this must be able to repeat.
[[ $tool != memcheck && $tool != helgrind ]] || LIGHT_LIBC=$(light_libc)
plan only="$only" tools="$letter" logs="$out" >"$out/plan"
if [ ! -s "$out/plan" ]; then
    # Not a tool of this case: asked for all the same.
    awk -F '\t' -v OFS='\t' -v c="$only" -v l="$letter" \
        '$1 == c { $4 = $4 l } 1' grading/cases.tsv >"$out/cases.tsv"
    awk -v tools="$letter" -v only="$only" -v logs="$out" -v factor=1 \
        -f grading/plan.awk grading/points.tsv "$out/cases.tsv" >"$out/plan"
fi
[ -z "$seed" ] || sed -i "s/\$/\t--seed\t$seed/" "$out/plan"
build/tools/runner 1 <"$out/plan" >"$out/outcome"
IFS=$'\t' read -r _ how code word wall cpu <"$out/outcome"
log=$(cut -f5 "$out/plan")
PLANS=$out/plan grading/explain.sh "$tool" "$how" "$code" "$word" "$log" >"$out/said"
IFS=$'\t' read -r verdict summary <"$out/said"
printf '%s%s%s  %s (task %s, %s)\n  %s\n' "$BOLD" "$verdict" "$PLAIN" \
    "$only" "$task" "$tool" "$title"
if [ "$verdict" = PASS ]; then
    printf '  %s ms, of them %s ms CPU\n' "$wall" "$cpu"
    exit 0
fi
there="the output is"
rmdir "$TMPDIR" 2>/dev/null || { mv "$TMPDIR" "$out/files" &&
    there="the output, and the case's files, are"; }
[ "$verdict" != NOT-WRITTEN ] || if [ "$summary" = "$task" ]; then
    summary="task $task is not written yet"
else
    summary="needs task $summary, which is not written"
fi
if [ "$(wc -l <"$out/said")" -gt 1 ]; then
    [ "$summary" = "$(sed -n 2p "$out/said")" ] || printf '%s\n' "$summary"
    sed 1d "$out/said"
else
    printf '%s\n' "$summary"
fi | awk -v wrapped='    ' -f grading/wrap.awk
[[ $summary =~ ^schedule\ ([0-9]+): ]] &&
    echo "  draw it: make replay CASE=$only SEED=${BASH_REMATCH[1]}"
[ "$verdict" = NOT-WRITTEN ] || echo "  all of $there in $out/"
exit 1
