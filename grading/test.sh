#!/usr/bin/env bash
# test.sh -- `make test`: the cases of given code, every stage's cases bare, and the
# bats files of tests/. The last line counts all of them.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1
. grading/lib.sh
passed=0 failed=0
out=build/test
rm -rf "$out" && mkdir -p "$out"

echo "given code"
if build_quietly "$out/build.log" tools V=dbg given-tests; then
    for t in $(make -s given-list); do
        p=0
        for c in $("build/dbg/tests/$t" --list); do
            if timeout -k 1 60 "build/dbg/tests/$t" "$c" \
                >"$out/given.log" 2>&1; then
                p=$((p + 1))
            else
                failed=$((failed + 1))
                echo "FAIL  $t $c" && sed 's/^/    /' "$out/given.log"
            fi
        done
        printf '  %-20s %d passed\n' "$t" $p
        passed=$((passed + p))
        [ "$p" -gt 0 ] || failed=$((failed + 1))
    done
else
    tail -n 20 "$out/build.log"
    failed=$((failed + 1))
fi

rm -rf "$out/cases"
grading/grade.sh --quick --out "$out/cases" || cases_failed=1
read -r p f < <(awk -F '\t' '$1 == "check" { if ($5 == "PASS") p++; else f++ }
    END { print p + 0, f + 0 }' "$out/cases/model.tsv")
passed=$((passed + p)) failed=$((failed + f))
[ -z "${cases_failed-}" ] || [ "$f" -gt 0 ] || failed=$((failed + 1))

for file in tests/*.bats; do
    [ -e "$file" ] || continue
    echo && echo "$file"
    began=$SECONDS
    bats --tap "$file" 3>&- 4>&- | tee "$out/bats.tap" |
        grep --line-buffered -vE '^1\.\.' |
        sed -u 's/^ok [0-9]* /  ok    /; s/^not ok [0-9]* /  FAIL  /'
    p=$(grep -c '^ok' "$out/bats.tap")
    f=$(($(sed -n 's/^1\.\.//p' "$out/bats.tap" | head -n 1) - p))
    [ $((p + f)) -gt 0 ] || f=1     # bats itself did not get that far
    passed=$((passed + p)) failed=$((failed + f))
    echo "  $((SECONDS - began)) s"
done
echo
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
