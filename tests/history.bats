#!/usr/bin/env bats
# The program that checks a recorded history.

load helpers

setup() {
    make -s -C "$TOP" build/tools/history
    check=("$TOP/build/tools/history" check)
    cd "$BATS_TEST_TMPDIR"
}

# line FIELD...: one operation.
line() {
    local IFS=$'\t'
    echo "$*"
}

stale() {
    line 0 set 7 17 1000 2000 ok
    line 0 set 7 18 3000 4000 ok
    line 1 get 7 17 5000 6000 ok
    line 1 set 8 19 7000 8000 ok
}

@test "a history that has an order: how much there was, exit 0" {
    stale | grep -v get >h.tsv
    run "${check[@]}" h.tsv
    [ "$status" -eq 0 ]
    [ "$output" = "linearizable: 3 operations on 2 keys" ]
    run "${check[@]}" - <h.tsv
    [ "$status" -eq 0 ]
    run "${check[@]}" /dev/null
    [ "$status" -eq 0 ]
    [ "$output" = "linearizable: 0 operations on 0 keys" ]
}

@test "one that has none: the window as a table, a picture, exit 1" {
    stale >h.tsv
    run "${check[@]}" h.tsv --svg h.svg
    [ "$status" -eq 1 ]
    [[ ${lines[0]} == "key 7: no order explains these 3 operations"* ]]
    [[ $output == *"* cannot be placed: client 1, get -> 17" ]]
    grep -q 'get -&gt; 17' h.svg
    [ "$(tail -n 1 h.svg)" = "</svg>" ]
}

@test "what cannot be checked: one line that says why, exit 2" {
    { stale && echo rubbish; } >bad.tsv
    stale >h.tsv
    run "${check[@]}" bad.tsv
    [ "$status" -eq 2 ]
    [ "$output" = "history: bad.tsv:5: not an operation (see tests/history.h)" ]
    for wrong in "check" "look h.tsv" "check nothing.tsv" "check h.tsv h.tsv" \
        "check ." "check h.tsv --svg ./nowhere/h.svg" "check h.tsv --what"; do
        # The words are arguments.
        # shellcheck disable=SC2086
        run bash -c '"$0" "$@" 2>&1 >/dev/null' "${check[0]}" $wrong
        [ "$status" -eq 2 ]
        [ "${#lines[@]}" -eq 1 ]
    done
    run bash -c '"$0" check h.tsv >/dev/full 2>&1' "${check[0]}"
    [ "$status" -eq 2 ]
}
