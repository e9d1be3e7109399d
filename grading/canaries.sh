#!/usr/bin/env bash
# canaries.sh LOGDIR -- tries every tool on a program known to be right.
# Prints the letters of the tools (see cases.tsv) that live here; the checks
# of a tool whose canary dies are TOOL: neither won nor lost.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1
logs=$1
alive=b

# try LETTER COMMAND...: at the same time as the others.
try() {
    local letter=$1
    shift
    {
        if timeout -k 1 60 "$@" >"$logs/canary-$letter.log" 2>&1; then
            touch "$logs/canary-$letter.lives"
        else
            echo "a tool's canary died ($logs/canary-$letter.log): $1" >&2
        fi
    } &
}

try m valgrind --command-line-only=yes --error-exitcode=99 -q \
    --leak-check=full build/tools/canary good
try h valgrind --command-line-only=yes --error-exitcode=99 -q \
    --tool=helgrind build/tools/canary good
try t setarch -R build/tools/canary-tsan good
try x build/tools/explore --seeds 3 -- build/tools/canary good
wait
for letter in m h t x; do
    [ ! -e "$logs/canary-$letter.lives" ] || alive+=$letter
done
echo "$alive"
