#!/usr/bin/env bash
# watch.sh [STAGE] -- runs the stage's cases whenever one of its files changes.
# Ends with Ctrl-C.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1
stage=${1:-1}
print_state() { find "stage${stage%[ABC]}"-*/ common -type f -printf '%p %T@\n'; }
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
