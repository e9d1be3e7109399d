#!/usr/bin/env bats
# Stage 3's stores in the programs: which one is linked, which one is chosen,
# whose directory it is, and that stage 2's objects are always the same.

bats_require_minimum_version 1.5.0
load helpers

BIN=${KVS_BIN:-$TOP/build/rel}

setup_file() {
    local top=$BATS_TEST_DIRNAME/..
    [ -n "${KVS_BIN-}" ] ||
        env -u MAKEFLAGS -u MAKELEVEL make -s -C "$top" V=rel \
            build/rel/kvs build/rel/kvs-client build/rel/kvs-server \
            build/rel/libkvs.a build/rel/libkvs.pc >/dev/null
}

setup() {
    T=$BATS_TEST_TMPDIR
    D=$T/db
}

teardown() {
    stop_all
}

kvs() { try "$BIN/kvs" --dir "$D" "$@"; }
client() { try "$BIN/kvs-client" --addr "$ADDR" "$@"; }

# serve_not [OPTION...]: a server that does not start.
serve_not() {
    try timeout 5 "$BIN/kvs-server" --addr 127.0.0.1:0 --dir "$D" "$@"
}

# made_by ENGINE: $D is a store of it, with key1 .. key3.
made_by() {
    rm -rf "$D"
    start_server --engine "$1"
    for n in 1 2 3; do client set "key$n" "value$n" && silent; done
    stop_server
    [ "$status" -eq 0 ] && grep -qx "engine $1" "$D/KVS-STORE"
}

# ---- at run time ------------------------------------------------------------

@test "--engine: each serves, says its name, and keeps what it promises" {
    for engine in kvs lmdb mem; do
        D=$T/$engine
        start_server --engine $engine
        grep -q "engine $engine," "$T/server.log"
        client set key value && silent
        client get key && answered value
        client rm key && silent
        client get key && answered 'Key not found'
        client set key again && silent
        client stats
        grep -qx "engine $engine" "$T/out" && grep -qx 'keys 1' "$T/out"
        stop_server
        [ "$status" -eq 0 ]
        start_server --engine $engine
        client get key
        if [ $engine = mem ]; then
            answered 'Key not found' && [ ! -e "$D" ]
        else
            answered again
        fi
        stop_server
    done
}

@test "without --engine: the one that made the directory, else kvs" {
    made_by lmdb
    start_server
    grep -q 'engine lmdb,' "$T/server.log"
    client get key2 && answered value2
    stop_server
    D=$T/new start_server
    grep -q 'engine kvs,' "$T/server.log"
    grep -qx 'engine kvs' "$T/new/KVS-STORE"
}

@test "wrong engine, both ways: one line, not 0, nothing touched" {
    for engines in 'kvs lmdb' 'lmdb kvs' 'kvs mem' 'lmdb mem'; do
        read -r maker other <<<"$engines"
        made_by "$maker"
        before=$(tree "$D")
        serve_not --engine "$other"
        refused any 'made by another engine'
        [ "$(tree "$D")" = "$before" ]
        start_server
        client get key3 && answered value3
        stop_server
    done
}

@test "an unknown engine: one line that names it, not 0, nothing touched" {
    serve_not --engine magic
    refused any magic && [ ! -e "$D" ]
    made_by lmdb
    before=$(tree "$D")
    serve_not --engine magic
    refused any magic && [ "$(tree "$D")" = "$before" ]
    D=$T/no/such/parent serve_not --engine lmdb
    refused any "$T/no/such/parent"
}

@test "a newer format, a marker that says nothing: refused, for each engine" {
    for engine in kvs lmdb; do
        made_by $engine
        cp "$D/KVS-STORE" "$T/marker"
        for change in 's/^format .*/format 9999/' 's/.*/nonsense/'; do
            sed "$change" "$T/marker" >"$D/KVS-STORE"
            before=$(tree "$D")
            for option in '' "--engine $engine" '--engine mem'; do
                # shellcheck disable=SC2086
                serve_not $option
                refused 1
            done
            kvs get key1 && refused 1
            [ "$(tree "$D")" = "$before" ]
        done
    done
}

@test "a second server on the directory is refused, and kvs, too: lmdb" {
    start_server --engine lmdb
    client set key value && silent
    serve_not
    refused 1 'in use elsewhere'
    kvs get key && refused 1 'in use elsewhere'
    client get key && answered value
}

@test "kvs works on a directory of lmdb; a clear line for what it has not" {
    made_by lmdb
    kvs get key1 && answered value1
    kvs set key4 value4 && silent
    kvs rm key1 && silent
    kvs rm key1 && answered 'Key not found' 1
    kvs scan
    [ "$(sort "$T/out")" = "$(printf 'key%d\tvalue%d\n' 2 2 3 3 4 4)" ]
    kvs compact && silent
    kvs stats
    grep -qx 'keys 3' "$T/out"
    before=$(tree "$D")
    for word in dump verify repair; do
        kvs $word && refused 1 lmdb
    done
    [ "$(tree "$D")" = "$before" ]
    start_server
    client get key4 && answered value4
}

@test "a key of 512 bytes: too big for lmdb, not for kvs" {
    key=$(printf 'k%.0s' {1..512})
    start_server --engine lmdb
    client set "${key:1}" fits && silent
    client get "${key:1}" && answered fits
    client set "$key" more && refused 1 'too big'
    client get "$key" && refused 1 'too big'
    client get "${key:1}" && answered fits
    stop_server
    D=$T/kvs start_server --engine kvs
    client set "$key" more && silent
    client get "$key" && answered more
}

some_done() { [[ $(cat "$T/done" 2>/dev/null) -ge 5 ]]; }

@test "lmdb: SIGKILL in the middle of sets: what was acknowledged is there" {
    for round in 1 2 3; do
        start_server --engine lmdb
        (for ((n = 1; ; n++)); do
            "$BIN/kvs-client" --addr "$ADDR" set "k$round.$n" "v$n" \
                2>/dev/null && echo $n >"$T/done" || exit
        done) 3>&- 4>&- &
        writer=$!
        soon some_done
        stop_server KILL
        wait $writer || true
        last=$(cat "$T/done") && rm "$T/done"
        start_server
        for ((n = 1; n <= last; n++)); do
            client get "k$round.$n" && answered "v$n"
        done
        stop_server
        [ "$status" -eq 0 ]
    done
}

@test "each durability keeps what was set: lmdb" {
    for when in none interval always; do
        D=$T/$when start_server --engine lmdb --durability $when
        client set key $when && silent
        stop_server KILL
        D=$T/$when start_server
        client get key && answered $when
        stop_server
    done
}

# ---- at compile time --------------------------------------------------------

# A copy of the tree in build state; made once.
other_tree() {
    [ -d "$BATS_FILE_TMPDIR/t" ] || copy_tree "$BATS_FILE_TMPDIR/t"
    cd "$BATS_FILE_TMPDIR/t"
}

@test "STORE=name links that one, and no dispatcher" {
    other_tree
    for store in kvs lmdb mem; do
        make -s STORE=$store build/rel/kvs-server build/rel/kvs
        for program in kvs-server kvs; do
            nm build/rel/$program >"$T/names"
            grep -qE ' T store_open$' "$T/names"
            run ! grep -E 'store_open_named|store_engines|_store_open' \
                "$T/names"
            if [ $store = lmdb ]; then
                grep -q ' mdb_env_open' "$T/names"
            else
                run ! grep ' mdb_' "$T/names"
            fi
        done
        BIN=$PWD/build/rel D=$T/$store start_server
        grep -q "engine $store," "$T/server.log"
        stop_server
        BIN=$PWD/build/rel D=$T/new serve_not --engine xyz
        refused any xyz
    done
    make -s STORE= build/rel/kvs-server
    nm build/rel/kvs-server >"$T/names"
    for name in store_open_named kvs_store_open lmdb_store_open \
        mem_store_open; do
        grep -q " T $name\$" "$T/names"
    done
    run make STORE=magic
    [ "$status" -ne 0 ] && [[ $output == *"kvs lmdb mem"* ]]
}

@test "without liblmdb-dev: one clear line, and the rest works" {
    other_tree
    make HAVE_LMDB= build/rel/kvs-server build/rel/kvs-client \
        >"$T/said" 2>&1
    line='store lmdb: not built, liblmdb-dev is not installed'
    [ "$(grep -cxF "$line" "$T/said")" -eq 1 ]
    run make HAVE_LMDB= STORE=lmdb
    [ "$status" -ne 0 ] && [[ $output == *"$line"* ]]
    BIN=$PWD/build/rel
    serve_not --engine lmdb
    refused any lmdb
    start_server
    client set key value && silent
    client get key && answered value
    make -s build/rel/kvs-server
}

@test "every object of stage 2 is the same in every build" {
    other_tree
    all="$(printf 'build/rel/%s ' kvs kvs-client kvs-server libkvs.a stage2/kvs \
        stage2/kvs-client stage2/kvs-server)"
    # shellcheck disable=SC2086
    make -s $all
    mkdir -p "$T/first"
    cp build/rel/stage2-server/*.o "$T/first/"
    rm -f "$T"/first/*-as.o # stage 3's, with names of its own
    [ "$(find "$T/first" -name '*.o' | wc -l)" -ge 18 ]
    for choice in STORE=kvs STORE=lmdb STORE=mem 'POOL=naive STORE=mem' \
        POOL=serial; do
        rm -f build/rel/stage2-server/*.o
        # shellcheck disable=SC2086
        make -s $choice $all
        for object in "$T"/first/*.o; do
            cmp "$object" "build/rel/stage2-server/${object##*/}" ||
                { echo "$choice" && false; }
        done
    done
}

@test "libkvs.a: a program chooses its engine by name" {
    cd "$T"
    cat >own.c <<'C'
#include <stdio.h>
#include "stage2-server/store.h"
int main(int argc, char **argv)
{
    struct store_options o = { .engine = argv[2] };
    struct store *s;
    struct buf value = { 0 };
    if (argc != 3 || store_open(&s, argv[1], &o) ||
        store_set(s, slice_str("a"), slice_str("b")) ||
        store_get(s, slice_str("a"), &value))
        return 1;
    printf("%s %.*s\n", store_engine(s), (int)value.len,
           (const char *)value.ptr);
    buf_release(&value);
    return store_close(s);
}
C
    # The words of pkg-config's answer are arguments.
    # shellcheck disable=SC2046
    gcc own.c -o own $(PKG_CONFIG_PATH=$BIN pkg-config --static --cflags \
        --libs libkvs)
    for engine in kvs lmdb mem; do
        try ./own "$T/$engine" $engine && answered "$engine b"
    done
}
