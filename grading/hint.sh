#!/usr/bin/env bash
# hint.sh TASK -- one more hint of the task each time. They lie in hints.md of
# the stage, or hints-PART.md: a heading `## TASK`, then a paragraph a hint.
set -euo pipefail
cd "$(dirname "$0")/.."
. grading/lib.sh
task=${1-}
[ -n "$(task_field "${task:-none}" 3)" ] ||
    die "make hint TASK=..; the tasks are:" \
        "$(awk -F '\t' -v begins="$(begins)" '$1 == "task" { on += $3 == begins ""
            if (on) print $2 }' grading/points.tsv | paste -sd' ')"
hints=$(page_of "$(task_field "$task" 3)" hints)
mkdir -p .hints
seen=$(cat ".hints/$task" 2>/dev/null || echo 0)
awk -v task="$task" -v seen="$seen" '
    /^## / { mine = $2 == (task ""); next }
    !mine { next }
    /^$/ { text = 0; next }
    !text { n++; text = 1 }
    { hint[n] = hint[n] $0 "\n" }
    END {
        last = seen + 1 < n ? seen + 1 : n
        for (i = 1; i <= last; i++)
            printf "%d of %d. %s\n", i, n, hint[i]
        if (seen >= n)
            print "That was all of them."
        exit n == 0
    }' "$hints"
echo $((seen + 1)) >".hints/$task"
