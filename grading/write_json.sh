#!/usr/bin/env bash
# write_json.sh OUT -- the result model as Gradescope's results.json, from
# OUT/model.tsv; printed.
set -euo pipefail
cd "$(dirname "$0")/.."
out=$1

# Each check's details, by its run's name.
details() {
    local f
    for f in "$out"/detail/*.txt; do
        [ -e "$f" ] || continue
        jq -n --arg id "$(basename "$f" .txt)" --rawfile text "$f" \
            '{($id): $text}'
    done | jq -s 'add // {}'
}
# A file, for an argument has at most 128 KiB.
details >"$out/details.json"
trap 'rm -f "$out/details.json"' EXIT

version() {
    { "$@" 2>/dev/null || echo missing; } | head -n 1
}

jq -n --rawfile model "$out/model.tsv" --slurpfile all_details "$out/details.json" \
    --arg gcc "$(version gcc --version)" \
    --arg valgrind "$(version valgrind --version)" \
    --arg kernel "$(uname -sr)" --arg factor "$(cat build/calibration)" \
    --arg version "$(sed -n 's/^VERSION := //p' Makefile)" '
def rows($kind): $model | split("\n") | map(split("\t"))
    | map(select(.[0] == $kind));
(rows("total")[0]) as $total | $all_details[0] as $details
| {
    score: ($total[2] | tonumber),
    max_score: ($total[3] | tonumber),
    output: "\($total[2]) of \($total[3]) points",
    visibility: "visible",
    stdout_visibility: "hidden",
    tests: [rows("check")[] | {
        name: "\(.[2]) \(.[3]): \(.[9])",
        number: .[1],
        score: (.[5] | tonumber),
        max_score: (.[6] | tonumber),
        status: (if .[4] == "PASS" or .[4] == "BONUS"
                 then "passed" else "failed" end),
        output: ([.[4] + (if .[8] == "" then "" else ": " + .[8] end),
                  ($details[.[7] | gsub("/"; ".")] // empty)] | join("\n")),
        tags: ["task " + .[1], .[3], .[4]]
    }],
    leaderboard: [rows("speed")[] | select(.[5] != "0" and .[7] != "")
        | { name: "task \(.[2])", value: (.[7] | tonumber) }],
    extra_data: {
        grader: $version,
        tools: { gcc: $gcc, valgrind: $valgrind, kernel: $kernel },
        seeds: { explorer: "1-200" },
        calibration: ($factor | tonumber),
        bonus: ($total[4] | tonumber)
    }
}'
