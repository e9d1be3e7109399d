#!/usr/bin/env bash
# next.sh -- what to do now: the first task of which some case does not pass.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1
. grading/lib.sh
out=build/next
grading/grade.sh --quick --out "$out" >/dev/null
model=$out/model.tsv
# A bonus only when nothing else is left.
task=$(awk -F '\t' 'FNR == NR { bonus[$2] = $1 == "task" && $4 ~ /^\+/; next }
    $1 == "check" && $2 != "0" && $5 !~ /^(PASS|TOOL)$/ {
        print bonus[$2] + 0, $2 }' grading/points.tsv "$model" |
    sort -k1,1n -k2,2V | head -n 1 | cut -d' ' -f2)
if [ -z "$task" ]; then
    echo "Every case passes bare. Now: make grade (leaks, races, speed)."
    exit 0
fi
part=$(task_field "$task" 3)
files=$(task_field "$task" 5)
readme=${files%%/*}/README-$part.md
[ -f "$readme" ] || readme=${files%%/*}/README.md
printf '%sTask %s: %s%s (%s points)\n' "$BOLD" "$task" \
    "$(task_field "$task" 7)" "$PLAIN" "$(task_field "$task" 4)"
printf '  write  %s: %s\n' "$files" "$(task_field "$task" 6)"
printf '  read   %s, and the header beside the file\n' "$readme"
echo "  cases"
awk -F '\t' -v t="$task" '$1 == "check" && $2 == t "" {
    printf "    %-12s %-26s %.38s\n", $5 == "NOT-WRITTEN" ? "not written" : $5,
        $3, $10 }' "$model"
first=$(awk -F '\t' -v t="$task" '$1 == "check" && $2 == t "" && $5 != "PASS" \
    { print $3; exit }' "$model")
echo "  then   make one CASE=$first      (one case)"
echo "         make test$part                     (all of them, quickly)"
echo "  stuck? make hint TASK=$task"
