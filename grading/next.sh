#!/usr/bin/env bash
# next.sh -- what to do now: the first task of which some case does not pass.
# Part after part, from the one with which this tree's work begins.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1
. grading/lib.sh
out=build/next
model=$out/model.tsv
task='' green='' greens='' bonus=''
mkdir -p build
for part in $(parts | sed -n "/^$(begins)\$/,\$p"); do
    grading/grade.sh --quick --stage "$part" --out "$out" >"$out.txt"
    [ -s "$model" ] || { cat "$out.txt" && exit 1; }
    task=$(awk -F '\t' 'FNR == NR { plus[$2] = $1 == "task" && $4 ~ /^\+/; next }
        $1 == "check" && $2 != "0" && $5 !~ /^(PASS|TOOL)$/ {
        print plus[$2] + 0, $2 }' grading/points.tsv "$model" |
        sort -k1,1n -k2,2V | head -n 1)
    # A bonus only when nothing else is left.
    case $task in
    1*) bonus=${bonus:-${task#* }} task='' ;;
    0*) task=${task#* } && break ;;
    esac
    green=$part greens+=" $part"
done
if [ -z "$task" ] && [ -n "$bonus" ]; then
    task=$bonus part=$(task_field "$bonus" 3) green=''
    grading/grade.sh --quick --stage "$part" --out "$out" >"$out.txt"
fi
# What no case can say: of the parts that are finished otherwise.
for p in $greens; do
    awk -F '\t' -v p="$p" -v page="$(page_of "$p" README)" '
        $1 == "task" && $3 == p "" && $7 ~ /read by a person$/ {
            printf "Part %s passes bare. Left: %s, %s:\n" \
                "%s; a person reads it (see %s)\n", p, $2, $5, $6, page }' grading/points.tsv
done
if [ -z "$task" ]; then
    echo "Every case passes bare. Now: make grade (leaks, races, speed)."
    exit 0
fi
field() { task_field "$task" "$1"; }
first=$(awk -F '\t' -v t="$task" '$1 == "check" && $2 == t "" && $5 != "PASS" \
    { print $3; exit }' "$model")
# The part before, when this is where the next one begins.
if [ -n "$green" ] && [ "$(awk -F '\t' -v p="$part" '$1 == "task" && $3 == p "" {
    print $2; exit }' grading/points.tsv)" = "$task" ]; then
    printf 'Part %s passes bare. Not yet done? make grade STAGE=%s %s\n\n' \
        "$green" "$green" "(leaks, races, speed)"
fi
printf '%sTask %s: %s%s (%s points)\n' "$BOLD" "$task" "$(field 7)" "$PLAIN" \
    "$(field 4)"
printf '  write  %s: %s\n' "$(field 5)" "$(field 6)"
printf '  read   %s, and the header beside the file\n' \
    "$(page_of "$part" README)"
echo "  cases"
awk -F '\t' -v t="$task" '$1 == "check" && $2 == t "" {
        verdict[++n] = $5 == "NOT-WRITTEN" ? "not written" : $5
        name[n] = $3; title[n] = $10
        if (length($3) > wide) wide = length($3)
    }
    END {
        for (i = 1; i <= n; i++)
            printf "%-11s  %-" wide "s  \t%s\n", verdict[i], name[i], title[i]
    }' "$model" | awk -v wrapped='    ' -f grading/wrap.awk
printf '  then   %-34s (one case)\n' "make one CASE=$first"
printf '         %-34s (all of them, quickly)\n' "make test$part"
echo "  stuck? make hint TASK=$task"
