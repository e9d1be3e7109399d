#!/usr/bin/env bash
# watch.sh [STAGE] -- runs the part's cases whenever one of its files changes.
# Ends with Ctrl-C.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1
. grading/lib.sh
stage=${1:-$(begins)}
mapfile -t dirs < <(task_files | awk -F '[\t/]' -v s="$stage" \
    '$1 == s "" && !seen[$2]++ { print $2 }')
[ ${#dirs[@]} -gt 0 ] || die "STAGE=$stage: choose one of: $(parts | paste -sd' ')"
print_state() { find "${dirs[@]}" common -type f -printf '%p %T@\n'; }
state=''
while :; do
    now=$(print_state)
    if [ "$now" != "$state" ]; then
        state=$now
        [ -t 1 ] && clear
        date +%T
        grading/grade.sh --quick --stage "$stage"
        echo "watching stage $stage; Ctrl-C ends"
    fi
    sleep 0.5
done
