#!/usr/bin/env bats
# `make bench`: its tables and its page, opened in a browser.

bats_require_minimum_version 1.5.0
load helpers

# A whole run, tiny; each case looks at it.
setup_file() {
    cd "$BATS_TEST_DIRNAME/.." || return 1
    env -u MAKEFLAGS -u MAKELEVEL BENCH=tiny \
        BENCH_OUT="$BATS_FILE_TMPDIR/bench" make -s bench \
        >"$BATS_FILE_TMPDIR/said" 2>&1 3>&- 4>&-
}

setup() {
    P=$BATS_FILE_TMPDIR/bench
}

@test "every suite has its table, all of one form" {
    for s in pools tables stores single loops course; do
        [ "$(wc -l <"$P/$s.tsv")" -gt 5 ] || { echo $s && false; }
        awk -F '\t' -v s=$s '
            NR == 1 && $0 != "suite\tworkload\tsubject\tthreads\tmetric\tunit\tmedian\tmin\tmax\truns" { bad = 1 }
            NR > 1 && (NF != 10 || $1 != s || $7 !~ /^[0-9.]+$/ || $8 > $7 || $7 > $9) { print; bad = 1 }
            END { exit bad }' "$P/$s.tsv"
    done
    [ "$(awk -F '\t' '$5 == "wrong" && $9 > 0' "$P"/*.tsv)" = "" ]
}

@test "a progress line for each step; what is not built is said in one line" {
    grep -q '^\[1/' "$BATS_FILE_TMPDIR/said"
    grep -q 'measured in [0-9]* s: .*/bench/index.html' "$BATS_FILE_TMPDIR/said"
    while read -r line; do
        grep -qF "$(sed 's/&/\&amp;/g; s/</\&lt;/g' <<<"$line")" "$P/index.html"
    done < <(cat "$P"/*.notes 2>/dev/null)
    cd "$TOP"
    SUITE=soup run make -s bench
    [ "$status" -ne 0 ]
    [[ $output == *"choose one of: pools tables stores"* ]]
    BENCH=forever run make -s bench
    [ "$status" -ne 0 ]
}

@test "the stall: p99.9 of the open loop, and the closed one beside it" {
    awk -F '\t' '{ v[$3 $5] = $7 }
        END { exit !(v["open loopp99.9"] > 0.7e9 && v["closed loopp99.9"] < 0.3e9 &&
            v["closed loopmax"] > 0.9e9) }' "$P/loops.tsv"
}

@test "the timeline is JSON that Perfetto opens: threads, jobs, a queue" {
    jq -e '[.traceEvents[] | select(.ph == "X" and .dur > 0)] | length == 120' \
        "$P/timeline.json"
    jq -e '[.traceEvents[] | select(.ph == "X") | .tid] | unique | length | . >= 1 and . <= 2' \
        "$P/timeline.json"
    jq -e '[.traceEvents[] | select(.name == "thread_name")] | length >= 1' \
        "$P/timeline.json"
    jq -e '[.traceEvents[] | select(.ph == "C") | .args.value] | max > 3' \
        "$P/timeline.json"
}

# browse WIDTH: opens the page, so wide, and prints a line a figure: id, title,
# curves, curves without a path, rows of its table; then "page WIDTH OVERFLOW".
browse() {
    local profile
    profile=$(mktemp -d)
    cat >"$P/look$1.html" <<HTML
<!DOCTYPE html><body style="margin:0"><iframe src="index.html" width="$1"
height="5000" style="border:0"></iframe><pre id="found"></pre><script>
window.onload = function () {
    var d = document.querySelector("iframe").contentDocument, out = [];
    d.querySelectorAll("figure").forEach(function (f) {
        var curves = f.querySelectorAll("svg g[id*='_plot_']"), empty = 0;
        curves.forEach(function (c) {
            empty += c.querySelectorAll("path, polygon, rect, polyline").length === 0; });
        var box = f.querySelector("svg").getBoundingClientRect();
        out.push([f.id, f.querySelector("svg > title").textContent.length > 9,
            curves.length, empty, f.querySelectorAll("tbody tr").length,
            Math.round(box.width) <= $1 && box.height > 100].join(" "));
    });
    out.push("page " + d.documentElement.clientWidth + " " +
        (d.documentElement.scrollWidth - d.documentElement.clientWidth));
    document.getElementById("found").textContent = "\n" + out.join("\n") + "\n";
};
</script></body>
HTML
    timeout 60 chromium --headless --no-sandbox --disable-gpu --hide-scrollbars --user-data-dir="$profile" \
        --allow-file-access-from-files --virtual-time-budget=5000 --dump-dom \
        "file://$P/look$1.html" 2>/dev/null 3>&- 4>&- |
        sed -n '/<pre id="found">/,/<\/pre>/p' | sed '1d; $d'
    rm -rf "$profile"
}

@test "in a browser, 1280 and 390 px wide: every curve is there, nothing overflows" {
    command -v gnuplot >/dev/null || skip "gnuplot is not installed (setup.sh)"
    command -v chromium >/dev/null || skip "chromium is not installed (setup.sh --all)"
    for width in 1280 390; do
        browse $width >"$BATS_TEST_TMPDIR/found"
        cat "$BATS_TEST_TMPDIR/found"
        for id in pools-empty pools-1-us pools-switches pools-lock-waits timeline queue tables \
            stores-random stores-all loops single course-read course-write; do
            grep -qE "^$id true [1-9][0-9]* 0 [1-9][0-9]* true$" \
                "$BATS_TEST_TMPDIR/found" || { echo "$width: $id" && false; }
        done
        grep -qx "page $width 0" "$BATS_TEST_TMPDIR/found"
    done
}

@test "what the questions ask for is on the page: the generator, the server, what a job costs" {
    for id in single course-read course-write; do
        sed -n "/<figure id=\"$id\"/,/<\/figure>/p" "$P/index.html" >"$BATS_TEST_TMPDIR/f"
        for head in 'requests a second' 'client busy %' 'client CPU ns' 'server CPU ns'; do
            grep -qF ">$head</th>" "$BATS_TEST_TMPDIR/f" || { echo "$id: $head" && false; }
        done
    done
    sed -n '/<figure id="pools-lock-waits"/,/<\/figure>/p' "$P/index.html" >"$BATS_TEST_TMPDIR/f"
    for row in 'shared, 1' 'shared, 2' 'shared, 4'; do
        grep -qF ">$row</th>" "$BATS_TEST_TMPDIR/f"
    done
    for head in 'CPU ns a job' 'switches a job' 'lock waits a job'; do
        grep -qF ">$head</th>" "$BATS_TEST_TMPDIR/f"
    done
}

@test "each section says when it was measured, and how often" {
    cp -r "$P" "$BATS_TEST_TMPDIR/p"
    cd "$BATS_TEST_TMPDIR/p"
    [ "$(grep -c '^<p class="when">Measured .*; one run' index.html)" -eq 6 ]
    awk -F '\t' -v OFS='\t' 'NR > 1 && $5 !~ /^lock/ { $8 *= 0.8; $9 *= 1.2; $10 = 3 } 1' \
        pools.tsv >new && mv new pools.tsv
    touch -d '2025-02-03 04:05 UTC' course.tsv
    touch -d '2025-02-04 04:05 UTC' pools.tsv
    "$TOP/stage4-bench/page.sh" "$PWD"
    grep '^<p class="when"' index.html
    [ "$(grep -c '^<p class="when">Measured 03 February 2025, 04:05 UTC; one run.' index.html)" -eq 1 ]
    grep -q '^<p class="when">Measured 04 February 2025, 04:05 UTC; medians of 3 runs.*(lock waits: one run)' index.html
}

@test "the page needs nothing else" {
    run grep -nE '(src|href)="(http|//)|url\((http|//)|@import|<script|<link' "$P/index.html"
    [ "$status" -eq 1 ]
    [ "$(grep -c 'not drawn\|Not measured' "$P/index.html")" -eq 0 ]
}
