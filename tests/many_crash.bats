#!/usr/bin/env bats
# The system calls of a store of many logs: what a compaction syncs and in which
# order, and what is left when it is killed at any one of its calls.

bats_require_minimum_version 1.5.0
load helpers

BIN=${KVS_BIN:-$TOP/build/rel}

# All begin with a directory of some segments, left by SIGKILL: 12 keys, set
# several times, some removed.
setup_file() {
    local top=$BATS_TEST_DIRNAME/..
    [ -n "${KVS_BIN-}" ] ||
        env -u MAKEFLAGS -u MAKELEVEL make -s -C "$top" V=rel \
            build/rel/kvs build/rel/kvs-client build/rel/kvs-server >/dev/null
    command -v strace >/dev/null || return 0
    T=$BATS_FILE_TMPDIR
    D=$T/db
    # nobody pays for a disk here
    [ ! -w /dev/shm ] || D=$(mktemp -d /dev/shm/kvs-test-XXXXXX)/db
    echo "$D" >"$T/where"
    start_server --segment-size 64K
    local n round
    for round in 1 2 3; do
        for ((n = 1; n <= 12; n++)); do
            "$BIN/kvs-client" --addr "$ADDR" set "key$n" \
                "$(printf 'value-%d-%d-%03000d' "$n" "$round" 0)"
        done
        "$BIN/kvs-client" --addr "$ADDR" rm "key$round"
    done
    local status=0
    stop_server KILL
    rm -f "$T/servers"
}

teardown_file() {
    [ ! -e "$BATS_FILE_TMPDIR/where" ] ||
        rm -rf "$(dirname "$(<"$BATS_FILE_TMPDIR/where")")"
}

setup() {
    command -v strace >/dev/null || skip "no strace here"
    T=$BATS_TEST_TMPDIR
    D0=$(<"$BATS_FILE_TMPDIR/where")
    D=$(dirname "$D0")/$BATS_TEST_NUMBER
    cp -r "$D0" "$D"
    "$BIN/kvs" --dir "$D0" scan | sort >"$T/wanted"
    [ "$(wc -l <"$T/wanted")" -eq 9 ] || [ "$(wc -l <"$T/wanted")" -eq 11 ]
}

teardown() { [ -z "${D-}" ] || rm -rf "$D"; }

kvs() { try "$BIN/kvs" --dir "$D" "$@"; }

CHANGES=openat,write,pwrite64,pwritev,ftruncate,fallocate,fsync,fdatasync
CHANGES+=,rename,renameat,renameat2,link,linkat,unlink,unlinkat,mkdir,mkdirat

# traced CALLS WORD...: kvs, its calls in $T/trace, with names for numbers.
traced() {
    local calls=$1
    shift
    strace -f -y -o "$T/trace" -e trace="$calls" \
        "$BIN/kvs" --dir "$D" "$@" >"$T/out" 2>"$T/err" 3>&- 4>&-
}

# changes: of the traced calls those that change a file, one a line:
# "what name", with names inside of the directory; "sync ." is the directory.
changes() {
    awk -v dir="$D" '
        / = -1 / || /\+\+\+/ { next }
        function name(text) { sub(".*" dir "/?", "", text)
            sub(/[>",].*/, "", text); return text == "" ? "." : text }
        /unlink(at)?\(/ { n = split($0, q, "\""); print "unlink", name(dir "/" q[2]); next }
        index($0, dir) == 0 { next }
        /rename/ { split($0, q, "\""); print "rename", name(q[2]), name(q[4]); next }
        /f(data)?sync\(/ { print "sync", name($0); next }
        /openat\(.*O_CREAT/ { split($0, q, "\""); sub(".*/", "", q[2]); print "create", q[2]; next }
        /p?write(64|v)?\(|ftruncate\(|fallocate\(/ { print "write", name($0) }
    ' "$T/trace"
}

# in_order PATTERN...: lines of $T/changes that match, one behind the other.
in_order() {
    awk 'BEGIN { for (i = 1; i < ARGC; i++) want[i] = ARGV[i]
            n = ARGC - 1; ARGC = 1; at = 1 }
        at <= n && $0 ~ want[at] { at++ }
        END { if (at <= n) { print "not in order: " want[at]; exit 1 } }' \
        "$@" <"$T/changes" || { cat "$T/changes" && return 1; }
}

@test "a new store: each name is on the disk before there is a record" {
    D=$T/new
    traced $CHANGES set key value
    changes >"$T/changes"
    log=$(find "$D" -name '*.log' -printf '%f\n')
    in_order "^create KVS-STORE.new$" "^sync KVS-STORE.new$" \
        "^rename KVS-STORE.new KVS-STORE$" "^sync .$" "^create $log$" \
        "^sync $log$" "^sync .$" "^write $log$"
}

@test "a compaction: copy, sync, rename, directory, inputs aside, directory, unlink" {
    traced $CHANGES compact
    changes >"$T/changes"
    new=$(sed -n 's/^create \(.*\.log\)\.new$/\1/p' "$T/changes")
    [ -n "$new" ]
    in_order "^create $new.new$" "^write $new.new$" "^sync $new.new$" \
        "^rename $new.new $new$" "^sync .$" "^rename .*log .*log.new$" \
        "^sync .$" "^unlink .*log.new$"
    # between its last write and its name there is a sync
    awk -v new="$new.new" '$2 == new && $1 == "write" { dirty = 1 }
        $2 == new && $1 == "sync" { dirty = 0 }
        $2 == new && $1 == "rename" { exit dirty }' "$T/changes"
    # the directory is synced between the new name and the end of an input's,
    # and between that and the end of its bytes
    awk '$1 == "rename" && $3 ~ /log$/ { named = 1 }
        $1 == "rename" && $3 ~ /new$/ { aside = 1; n++; if (named) exit 1 }
        $1 == "sync" && $2 == "." { named = 0; aside = 0 }
        $1 == "unlink" && $2 ~ /log/ && (aside || $2 !~ /new$/) { exit 1 }
        END { if (named || aside || n < 2) exit 1 }' "$T/changes" ||
        { cat "$T/changes" && false; }
}

@test "a sealed segment: synced before the next one has a record" {
    # one server, with the disk's promise, that fills several segments
    strace -f -y -o "$T/trace" -e trace=$CHANGES "$BIN/kvs-server" \
        --addr 127.0.0.1:0 --dir "$D" --segment-size 64K \
        2>"$T/server.log" >/dev/null 3>&- 4>&- &
    tracer=$!
    soon grep -q 'listening on ' "$T/server.log"
    ADDR=$(sed -n 's/.*listening on //p' "$T/server.log")
    for n in {1..40}; do
        "$BIN/kvs-client" --addr "$ADDR" set "new$n" \
            "$(printf 'value-%d-%03000d' "$n" 0)"
    done
    kill -TERM "$(pgrep -P $tracer)"
    wait $tracer
    changes >"$T/changes"
    # a record goes to a log that was not made as .new: all others that were
    # written that way have been synced since
    awk '$1 == "create" && $2 ~ /\.log$/ { active[$2]; made++ }
        $1 == "write" && ($2 in active) {
            for (l in dirty) if (l != $2 && dirty[l]) { print l, "before", $2; exit 1 }
            dirty[$2] = 1 }
        $1 == "sync" { dirty[$2] = 0 }
        END { if (made < 2) { print "segments:", made + 0; exit 1 } }' \
        "$T/changes" || { cat "$T/changes" && false; }
}

# sound WHAT: all keys are there, and no damage.
sound() {
    kvs verify
    [ "$status" -eq 0 ] || { echo "$1" && show || return; }
    kvs scan
    sort "$T/out" | cmp - "$T/wanted" || { echo "$1: other keys" && return 1; }
}

# killed_at_each CALLS: kvs compact, killed at the first such call, the second,
# and so on, until it lives. Each time everything is there, for who looks and
# for who opens it to write; and the second one to open it writes nothing.
killed_at_each() {
    local k=0 lives=
    while [ -z "$lives" ] && [ $k -lt 60 ]; do
        k=$((k + 1))
        rm -rf "$D" && cp -r "$D0" "$D"
        if strace -f -o "$T/killed" -e trace="$1" \
            -e inject="$1:signal=KILL:when=$k" "$BIN/kvs" --dir "$D" compact \
            >"$T/out" 2>&1 3>&- 4>&-; then
            lives=1
        fi
        sound "$1 $k" || return
        kvs rm none
        answered "Key not found" 1 || return
        sound "$1 $k, opened" || return
        if [ $((k % 4)) -eq 1 ]; then
            before=$(tree "$D")
            traced $CHANGES rm none || true
            changes >"$T/changes"
            if grep -v '^sync ' "$T/changes"; then return 1; fi
            [ "$before" = "$(tree "$D")" ] || return
        fi
        kvs compact && silent || return
        sound "$1 $k, compacted" || return
        [ -z "$(find "$D" -name '*.new')" ] || return
    done
    if [ -z "$lives" ] || [ $k -le "$2" ]; then
        echo "killed $k times, and lives: ${lives:-0}"
        return 1
    fi
}

@test "a compaction that is killed at any write" {
    killed_at_each write 1
    killed_at_each pwrite64,pwritev 3
}

@test "a compaction that is killed at any sync" {
    killed_at_each fsync 2
    killed_at_each fdatasync 3
}

@test "a compaction that is killed at any rename or unlink" {
    killed_at_each rename,renameat 1
    killed_at_each unlink,unlinkat 2
}

@test "a compaction that is killed at any openat: as it makes its file, too" {
    killed_at_each openat 8
}
