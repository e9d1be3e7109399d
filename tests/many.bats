#!/usr/bin/env bats
# A store's directory of many logs on the command line: what kvs says of it,
# what it does about damage, and what a server that was killed leaves.
#
# KVS_BIN=build/asan bats tests/many.bats tests programs built in another way.

bats_require_minimum_version 1.5.0
load helpers

BIN=${KVS_BIN:-$TOP/build/rel}

# The directory that all begin with: 40 keys, set over and over again with
# small segments, so that compactions have run; two removed; then SIGKILL.
setup_file() {
    local top=$BATS_TEST_DIRNAME/..
    [ -n "${KVS_BIN-}" ] ||
        env -u MAKEFLAGS -u MAKELEVEL make -s -C "$top" V=rel \
            build/rel/kvs build/rel/kvs-client build/rel/kvs-server \
            build/rel/stage2/kvs >/dev/null
    T=$BATS_FILE_TMPDIR
    D=$T/db
    start_server --segment-size 32K
    load_keys
    local status=0
    stop_server KILL
    rm -f "$T/servers"
}

setup() {
    T=$BATS_TEST_TMPDIR
    D=$T/db
    cp -r "$BATS_FILE_TMPDIR/db" "$D"
}

teardown() {
    stop_all
    [ -z "${OPEN_DIR-}" ] || { chmod -R u+w "$OPEN_DIR" && rm -rf "$OPEN_DIR"; }
}

kvs() { try "$BIN/kvs" --dir "$D" "$@"; }
client() { try "$BIN/kvs-client" --addr "$ADDR" "$@"; }

# value N ROUND: a line of 2,000 bytes that says whose it is.
value() { printf 'key%d-in-round-%d-%01980d' "$1" "$2" 0; }

load_keys() {
    local n round
    for round in 1 2 3 4 5 6; do
        for ((n = round == 6 ? 31 : 1; n <= 40; n++)); do
            client set "key$n" "$(value "$n" $round)" && silent || return
        done
    done
    client rm key7 && silent && client rm key33 && silent
}

# all_there [FROM]: every key is as the server was told (through a server: at
# $ADDR).
all_there() {
    local n
    for ((n = 1; n <= 40; n++)); do
        ${1:-kvs} get "key$n"
        case $n in
        7 | 33) answered "Key not found" || return ;;
        *) answered "$(value "$n" $((n > 30 ? 6 : 5)))" || return ;;
        esac
    done
}

logs() { find "$D" -name '*.log' ! -name 'lost*' -printf '%f\n' | sort; }

# has_key KEY STATE: the log with a record of that key in that state, and its
# offset.
record_of() {
    "$BIN/kvs" --dir "$D" dump | awk -v k="\"$1\"" -v s="$2" \
        '$5 == k && $7 == s { print $1, $2; exit }'
}

# sealed_with STATE: a set of that state in a log that ends in a mark.
sealed_with() {
    "$BIN/kvs" --dir "$D" dump | awk -v s="$1" '
        $4 == "set" && $7 == s { log_ = $1; at = $2; key = $5 }
        $4 == "mark" && $1 == log_ { gsub(/"/, "", key); print log_, at, key; exit }'
}

# active: the log that has no mark at its end.
active() {
    "$BIN/kvs" --dir "$D" dump | awk '{ last[$1] = $4 }
        END { for (l in last) if (last[l] != "mark") print l }'
}

# flip FILE OFFSET: another byte stands there.
flip() {
    local byte
    byte=$(od -An -tu1 -j "$2" -N1 "$D/$1")
    printf '%b' "$(printf '\\x%02x' $((byte ^ 0x55)))" |
        dd of="$D/$1" bs=1 seek="$2" conv=notrunc status=none
}

unchanged() {
    local before
    before=$(tree "$D")
    "$@"
    [ "$before" = "$(tree "$D")" ] || { echo "$D was changed" && show; }
}

@test "a killed server leaves several logs, all sound, and every key" {
    [ "$(logs | wc -l)" -ge 3 ]
    grep -q 'compaction 1:' "$BATS_FILE_TMPDIR/server.log"
    unchanged kvs verify
    [ "$status" -eq 0 ] || show
    [ "$(grep -c '[0-9] records, 0 damaged places$' "$T/out")" -eq "$(logs | wc -l)" ]
    unchanged all_there
}

@test "started again over it: every key, and after the next SIGKILL, too" {
    start_server --segment-size 64K
    all_there client
    client set key1 "$(value 1 5)" && silent
    stop_server KILL
    start_server --segment-size 64K
    all_there client
    try "$BIN/kvs-server" --addr 127.0.0.1:0 --dir "$D"
    refused 1 # the second one
    for word in "get key1" "set a b" scan dump verify repair compact stats; do
        # shellcheck disable=SC2086
        kvs $word
        refused 1
    done
    stop_server TERM
    [ "$status" -eq 0 ]
    kvs verify
    [ "$status" -eq 0 ] || show
    all_there
}

@test "looking changes nothing, and kvs get creates nothing" {
    for word in "get key1" "get key7" "get none" scan dump verify stats; do
        # shellcheck disable=SC2086
        unchanged kvs $word
        [ "$status" -eq 0 ] && [ ! -s "$T/err" ] || show
    done
    kvs scan
    [ "$(wc -l <"$T/out")" -eq 38 ]
    [ "$(cut -f1 "$T/out" | sort -u | wc -l)" -eq 38 ]
    mkdir "$T/empty"
    D=$T/empty kvs get key1 && answered "Key not found"
    [ -z "$(ls -A "$T/empty")" ]
}

@test "kvs set, get, rm: as with one log" {
    kvs set key7 back && silent
    kvs get key7 && answered back
    kvs rm key7 && silent
    kvs rm key7 && answered "Key not found" 1
    kvs set empty '' && silent
    kvs get empty && answered ''
    kvs rm empty && silent
    all_there
}

@test "kvs dump: the labels, and each record with its state" {
    kvs dump
    [ "$status" -eq 0 ] && [ ! -s "$T/err" ] || show
    for log in $(logs); do
        [[ $(grep -m 1 "^$log " "$T/out") =~ \
            ^"$log 32 0 label \"\" 0 born-"[0-9]+(-replaces(-[0-9]+)+)?$ ]] || show
    done
    grep -q -- -replaces- "$T/out" # a compaction's output
    [ "$(grep -c ' live$' "$T/out")" -eq 38 ]
    for n in 1 35; do
        [ "$(grep -F "\"key$n\"" "$T/out" | grep -c ' live$')" -eq 1 ]
    done
    [ "$(grep -c ' rm "key33" 0 pinned$' "$T/out")" -eq 1 ]
    run ! grep -E ' (torn|damaged|replaced)$' "$T/out"
    kvs stats
    [ "$(awk '$1 == "pinned_bytes" { print ($2 > 0) }' "$T/out")" = 1 ]
}

@test "kvs stats and compact: nothing dead, nothing pinned is left" {
    kvs stats
    [ "$(awk 'NF != 2' "$T/out")" = "" ]
    [ "$(awk '$1 == "dead_bytes" { print ($2 > 0) }' "$T/out")" = 1 ]
    [ "$(awk '$1 == "segments" { print $2 }' "$T/out")" -eq "$(logs | wc -l)" ]
    kvs compact && silent
    kvs stats
    for name in dead_bytes pinned_bytes; do
        [ "$(awk -v n=$name '$1 == n { print $2 }' "$T/out")" = 0 ] || show
    done
    kvs dump
    run ! grep -vE ' (live|durable-to-[0-9]*|born-[-a-z0-9]*)$' "$T/out"
    kvs verify
    [ "$status" -eq 0 ] || show
    all_there
    unchanged kvs compact # nothing to do
}

@test "the server's stats tell of segments, pinned bytes and compactions" {
    start_server --segment-size 64K
    for n in {1..40}; do client set "key$n" "$(value "$n" 5)"; done
    client stats
    [ "$status" -eq 0 ] || show
    for name in live_bytes dead_bytes pinned_bytes segments compactions \
        compaction_ns; do
        [ "$(grep -cE "^$name [0-9]+$" "$T/out")" -eq 1 ] || show
    done
    [ "$(awk '$1 == "segments" { print ($2 > 1) }' "$T/out")" = 1 ]
}

@test "damage in a sealed log: named, refused when read, set aside" {
    read -r log at key < <(sealed_with live)
    flip "$log" $((at + 100)) # in the value
    unchanged kvs verify
    [ "$status" -eq 1 ] || show
    grep -q "^$log: damaged at offset $at, " "$T/out" || show
    [ "$(grep -c ': damaged at' "$T/out")" -eq 1 ]
    kvs dump
    grep -q "^$log $at - - \"\" [0-9]* damaged$" "$T/out" || show
    # with its hint it opens, and says so when it comes to that record
    unchanged kvs get "$key"
    refused 1
    rm -f "$D/${log%.log}.hint"
    for word in "get key1" "set key1 x" scan compact; do
        # shellcheck disable=SC2086
        unchanged kvs $word
        refused 1 "$log: damaged at offset $at"
    done
    unchanged try timeout 5 "$BIN/kvs-server" --addr 127.0.0.1:0 --dir "$D"
    refused 1
    born=$("$BIN/kvs" --dir "$D" dump | sed -n "s/^$log .*\(born-[0-9]*\).*/\1/p")
    kvs repair
    [ "$status" -eq 0 ] || show
    grep -q "lost-$log" "$T/out" || show
    [ -s "$D/lost-$log" ] && [ ! -e "$D/$log" ]
    kvs dump # the new one has its birth, and says whom it replaces
    [[ $(<"$T/out") == *"$born-replaces-$((10#${log%.log}))"* ]] || show
    kvs verify
    [ "$status" -eq 0 ] || show
    for n in 1 2 35 40; do
        [ "key$n" != "$key" ] || continue
        kvs get "key$n" && answered "$(value "$n" $((n > 30 ? 6 : 5)))"
    done
    kvs set "$key" again && silent
    kvs get "$key" && answered again
    unchanged kvs repair # nothing more to do
}

@test "a flipped bit in the header, in a label, at the end; a cut: all named" {
    read -r log _ < <(sealed_with live)
    size=$(stat -c %s "$D/$log")
    cp -r "$D" "$T/good"
    for at in 3 17 45 $((size - 3)); do
        flip "$log" "$at"
        unchanged kvs verify
        [ "$status" -eq 1 ] && grep -q "^$log: damaged at" "$T/out" || show
        kvs repair
        [ "$status" -eq 0 ] || show
        kvs verify
        [ "$status" -eq 0 ] || show
        kvs set more x && silent
        rm -r "$D" && cp -r "$T/good" "$D"
    done
    truncate -s $((size - 32)) "$D/$log" # its mark, exactly
    unchanged kvs verify
    [ "$status" -eq 1 ]
    grep -q "^$log: damaged at offset $((size - 32)), .*end is missing" \
        "$T/out" || show
    kvs repair
    [ "$status" -eq 0 ] || show
    kvs verify
    [ "$status" -eq 0 ] || show
    all_there
}

@test "a page of a sealed log that cannot be read: named, set aside" {
    read -r log _ < <(sealed_with live)
    bad_sector "$log" 1
    cp "$D/$log" "$T/before"
    export LD_PRELOAD=$BAD ASAN_OPTIONS=verify_asan_link_order=0
    unchanged kvs verify
    [ "$status" -eq 1 ] || show
    grep -q "^$log: damaged at offset [0-9]*, [0-9]* bytes, which cannot all be read$" \
        "$T/out" || show
    [ "$(grep -c ': damaged at' "$T/out")" -eq 1 ]
    kvs repair
    [ "$status" -eq 0 ] || show
    grep -q "^$log: .*cannot all be read; they are now in lost-$log" "$T/out" ||
        show
    unset LD_PRELOAD
    cmp "$T/before" "$D/unread-$log"
    kvs verify
    [ "$status" -eq 0 ] || show
    kvs get key40 && answered "$(value 40 6)"
}

@test "the active log: a torn tail is none, damage before it is" {
    log=$(active)
    [ -n "$log" ]
    cp -r "$D" "$T/good"
    printf 'garbage' >>"$D/$log"
    unchanged kvs verify
    [ "$status" -eq 0 ] && grep -q "^$log: a torn tail at" "$T/out" || show
    unchanged all_there
    kvs set more x && silent
    kvs verify
    [ "$status" -eq 0 ] || show
    run ! grep -q torn "$T/out"
    rm -r "$D" && cp -r "$T/good" "$D"
    kvs set more x && kvs set last y && silent # clean: all is durable
    read -r log at < <(record_of more live)
    flip "$log" $((at + 35))
    unchanged kvs get key1
    refused 1 "$log: damaged at offset $at"
    kvs repair
    [ "$status" -eq 0 ] || show
    kvs get last && answered y
    kvs get more && answered "Key not found"
    all_there
}

@test "an emptied log is missed, also when making the last one was interrupted" {
    log=$(logs | grep -vxF "$(active)" | head -n 1)
    : >"$D/$log"
    rm -f "$D/${log%.log}.hint"
    last=$(printf '%08d.log' $((10#$(logs | tail -n 1 | cut -d. -f1) + 1)))
    : >"$D/$last"
    unchanged kvs verify
    [ "$status" -eq 1 ] && grep -q "^$log: damaged" "$T/out" || show
    for word in "get key1" "set key1 x"; do
        # shellcheck disable=SC2086
        unchanged kvs $word
        refused 1 "$log"
    done
    kvs repair
    [ "$status" -eq 0 ] || show
    kvs set key1 x && silent
    kvs verify
    [ "$status" -eq 0 ] || show
}

@test "a bad hint is named, is no damage, and changes no answer" {
    hints=$(find "$D" -name '*.hint' -printf '%f\n' | sort)
    [ -n "$hints" ]
    for hint in $hints; do
        flip "$hint" $(($(stat -c %s "$D/$hint") / 2))
        unchanged kvs verify
        [ "$status" -eq 0 ] && grep -q "^$hint: of no use" "$T/out" || show
    done
    unchanged all_there
    kvs set more x && silent # makes them anew
    kvs verify
    [ "$status" -eq 0 ] || show
    run ! grep -q 'of no use' "$T/out"
    all_there
    for hint in $hints; do : >"$D/$hint"; done
    kvs set more y && silent
    find "$D" -name '*.hint' -delete
    all_there
}

@test "a repair that is killed leaves the old log or the new one" {
    command -v strace >/dev/null || skip "no strace here"
    read -r log at key < <(sealed_with live)
    flip "$log" $((at + 100))
    cp -r "$D" "$T/damaged"
    for call in write,pwrite64,pwritev fsync,fdatasync rename,renameat unlink,unlinkat; do
        for k in 1 2 3; do
            strace -f -o "$T/trace" -e trace="$call" \
                -e inject="$call:signal=KILL:when=$k" \
                "$BIN/kvs" --dir "$D" repair >"$T/out" 2>&1 3>&- 4>&- || true
            kvs repair
            [ "$status" -eq 0 ] || show
            kvs verify
            [ "$status" -eq 0 ] || show
            [ -s "$D/lost-$log" ]
            for n in 1 40; do
                [ "key$n" = "$key" ] || { kvs get "key$n" &&
                    answered "$(value "$n" $((n > 30 ? 6 : 5)))"; }
            done
            rm -r "$D" && cp -r "$T/damaged" "$D"
        done
    done
}

@test "a directory that may only be read: get works, set is refused" {
    OPEN_DIR=$(mktemp -d "${TMPDIR:-/tmp}/kvs.XXXXXX")
    chmod 755 "$OPEN_DIR"
    cp "$BIN/kvs" "$OPEN_DIR"
    as=()
    if [ "$(id -u)" -eq 0 ]; then
        as=(setpriv --reuid=65534 --regid=65534 --clear-groups)
        "${as[@]}" "$OPEN_DIR/kvs" -V >/dev/null || skip "no other user here"
    fi
    cp -r "$D" "$OPEN_DIR/db"
    D=$OPEN_DIR/db
    chmod -R a=rX "$D"
    for word in "get key1" scan dump verify stats; do
        # shellcheck disable=SC2086
        unchanged try "${as[@]}" "$OPEN_DIR/kvs" --dir "$D" $word
        [ "$status" -eq 0 ] || show
    done
    for word in "set key1 x" "rm key1" compact repair; do
        # shellcheck disable=SC2086
        unchanged try "${as[@]}" "$OPEN_DIR/kvs" --dir "$D" $word
        [ "$status" -eq 1 ] || [ "$word" = repair ] || show
    done
}

@test "a directory of stage 2: looking changes nothing, writing makes it many" {
    old=$TOP/build/rel/stage2/kvs
    D=$T/old
    for n in 1 2 3; do try "$old" --dir "$D" set key$n value$n && silent; done
    try "$old" --dir "$D" set key2 other && try "$old" --dir "$D" rm key3
    "$old" --dir "$D" dump | sed 's/ old$/ replaced/' >"$T/dump"
    for word in "get key1" "get key3" scan verify stats dump; do
        # shellcheck disable=SC2086
        unchanged kvs $word
        [ "$status" -eq 0 ] || show
    done
    cmp "$T/dump" "$T/out"
    kvs set key4 value4 && silent
    kvs get key2 && answered other
    kvs get key3 && answered "Key not found"
    kvs verify
    [ "$status" -eq 0 ] || show
    unchanged try "$old" --dir "$D" get key1 # now it is too new for that
    refused 1
}

@test "damage in a directory of stage 2: repaired into one of many logs" {
    old=$TOP/build/rel/stage2/kvs
    D=$T/old
    for n in 1 2 3; do try "$old" --dir "$D" set key$n value$n && silent; done
    log=$(logs)
    at=$(grep -obUaF key2value2 "$D/$log" | head -n 1 | cut -d: -f1)
    flip "$log" $((at + 6))
    unchanged kvs verify
    [ "$status" -eq 1 ] && grep -q "^$log: damaged at offset $((at - 32))" "$T/out" || show
    kvs repair
    [ "$status" -eq 0 ] && [ -s "$D/lost-$log" ] || show
    kvs get key1 && answered value1
    kvs get key2 && answered "Key not found"
    kvs get key3 && answered value3
}

@test "who reads the server's messages may go: it serves on" {
    mkfifo "$T/messages"
    "$BIN/kvs-server" --addr 127.0.0.1:0 --dir "$D" --segment-size 16K \
        2>"$T/messages" >/dev/null </dev/null 3>&- 4>&- &
    SERVER=$!
    echo "$SERVER" >>"$T/servers"
    exec {messages}<"$T/messages"
    until [[ ${line-} == *'listening on '* ]]; do
        read -r -t 10 line <&"$messages"
    done
    ADDR=${line##*listening on }
    exec {messages}<&-
    for ((n = 1; n <= 60; n++)); do
        client set "key$((n % 4))" "$(value "$n" 7)" && silent
    done
    compacted() { client stats && [ "$(sed -n 's/^compactions //p' "$T/out")" -gt 0 ]; }
    soon compacted
    stop_server TERM
    [ "$status" -eq 0 ]
}
