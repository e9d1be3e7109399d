#!/usr/bin/env bats
# shellcheck disable=SC2016 # dollar signs are RESP's
# The second protocol as its own programs see it: redis-cli, redis-benchmark,
# hiredis and redis-py, unchanged, against our server; and what a stranger may
# send.

bats_require_minimum_version 1.5.0
load helpers

BIN=${KVS_BIN:-$TOP/build/rel}

setup_file() {
    local top=$BATS_TEST_DIRNAME/..
    [ -n "${KVS_BIN-}" ] ||
        env -u MAKEFLAGS -u MAKELEVEL make -s -C "$top" V=rel \
            build/rel/kvs-client build/rel/kvs-server >/dev/null
}

setup() {
    T=$BATS_TEST_TMPDIR
}

teardown() {
    stop_all
}

need() { command -v "$1" >/dev/null || skip "$1 is not installed"; }

# cli WORD...: as a program would see it; errors on stdout.
cli() { try timeout 20 redis-cli --no-auth-warning -p "$PORT" "$@"; }

# says TEXT...: what the last cli has printed, line by line.
says() {
    printf '%s\n' "$@" | cmp -s - "$T/out" || { echo "expected: $*" && show; }
}

# raw BYTES: sends them (printf's escapes) and reads until the server closes,
# or 5 s.
raw() {
    exec {c}<>"/dev/tcp/127.0.0.1/$PORT"
    printf '%b' "$1" >&"$c"
    timeout 5 cat <&"$c" >"$T/out" || true
    exec {c}>&-
}

# memory: of the server, in KiB.
memory() { awk '/^VmRSS/ { print $2 }' "/proc/$SERVER/status"; }

@test "redis-cli: every command that there is" {
    need redis-cli
    start_server
    cli PING && says PONG
    cli PING hello && says hello
    cli ECHO 'a b' && says 'a b'
    cli GET none && says ''
    cli SET key value && says OK
    cli GET key && says value
    cli SET key '' && cli GET key && says ''
    cli EXISTS key && says 1
    cli MSET a 1 b 2 c 'three words' && says OK
    cli MGET a none c && says 1 '' 'three words'
    cli EXISTS a b none a && says 3
    cli DBSIZE && says 4
    cli DEL a none c && says 2
    cli DEL b && says 1
    cli DEL b && says 0
    cli SCAN 0 && says 0 key
    cli SELECT 0 && says OK
    cli CONFIG GET databases && says databases 1
    cli COMMAND COUNT && [ "$(cat "$T/out")" -ge 15 ]
    cli COMMAND && grep -qx mget "$T/out"
    cli INFO && grep -q '^engine:kvs' "$T/out" && grep -q '^keys:1' "$T/out"
    cli QUIT && says OK
}

@test "redis-cli: clear errors for the rest, and the connection goes on" {
    need redis-cli
    start_server
    printf '%s\n' 'SET key value NX' 'SET key value EX 10' 'EXPIRE key 10' \
        'GET' 'SELECT 3' 'CONFIG SET save x' 'HELLO 3' 'FLUSHALL' \
        'LPUSH key 1' 'SET key works' 'GET key' >"$T/commands"
    try redis-cli -p "$PORT" <"$T/commands"
    [ "$(grep -cE '^(ERR|NOPROTO) ' "$T/out")" -eq 9 ]
    grep -qF "option 'NX' is not supported" "$T/out"
    grep -qF "unknown command 'LPUSH'" "$T/out"
    [ "$(grep -v '^$' "$T/out" | tail -n 2)" = "$(printf 'OK\nworks')" ]
}

@test "redis-cli: values are bytes; --pipe; --scan with a pattern" {
    need redis-cli
    start_server
    head -c 200000 /dev/urandom >"$T/value"
    try redis-cli -p "$PORT" -x SET random <"$T/value" && says OK
    try redis-cli -p "$PORT" --raw GET random
    head -c -1 "$T/out" | cmp - "$T/value"
    "$BIN/kvs-client" --addr "$ADDR" get random | head -c -1 |
        cmp - "$T/value"
    for ((n = 0; n < 5000; n++)); do
        printf '*3\r\n$3\r\nSET\r\n$%d\r\nkey%d\r\n$%d\r\n%d\r\n' \
            $((3 + ${#n})) $n ${#n} $n
    done >"$T/many"
    try redis-cli -p "$PORT" --pipe <"$T/many"
    grep -q 'errors: 0, replies: 5000' "$T/out" || show
    cli --scan
    [ "$(sort -u "$T/out" | wc -l)" -eq 5001 ] &&
        [ "$(wc -l <"$T/out")" -eq 5001 ]
    cli --scan --pattern 'key12?'
    [ "$(sort "$T/out")" = "$(printf 'key12%d\n' {0..9})" ]
}

@test "both protocols see the same keys, on each engine" {
    need redis-cli
    for engine in kvs lmdb mem; do
        D=$T/$engine start_server --engine $engine
        cli SET a 1 && says OK
        try "$BIN/kvs-client" --addr "$ADDR" get a && answered 1
        try "$BIN/kvs-client" --addr "$ADDR" set b 2 && silent
        cli MGET a b && says 1 2
        cli SCAN 0 && [ "$(sed 1d "$T/out" | sort | paste -sd' ')" = 'a b' ]
        cli DEL a b && says 2
        stop_server
        [ "$status" -eq 0 ]
    done
}

@test "redis-benchmark runs, also pipelined and with many connections" {
    need redis-benchmark
    start_server
    try timeout 60 redis-benchmark -p "$PORT" -q -n 2000 -c 50 \
        -t ping,set,get,mset
    [ "$status" -eq 0 ] || show
    for name in PING_INLINE PING_MBULK SET GET 'MSET (10 keys)'; do
        grep -aF "$name: " "$T/out" | grep -qaE '[0-9.]+ requests per second'
    done
    run ! grep -aiE 'error|warning' "$T/out" "$T/err"
    try timeout 60 redis-benchmark -p "$PORT" -q -n 20000 -P 32 -r 1000 \
        -t set,get --csv
    [ "$status" -eq 0 ] && [ "$(wc -l <"$T/out")" -eq 3 ] || show
    try timeout 20 redis-cli -p "$PORT" DBSIZE
    [ "$(cat "$T/out")" -gt 500 ]
}

@test "hiredis: a C program, calls, pipelining, values of 16 MiB" {
    pkg-config --exists hiredis || skip "libhiredis-dev is not installed"
    start_server
    cat >"$T/own.c" <<'C'
#include <assert.h>
#include <hiredis.h>
#include <stdlib.h>
#include <string.h>
#define CALL(...) (r = redisCommand(c, __VA_ARGS__), assert(r), r)
int main(int argc, char **argv)
{
    redisContext *c = redisConnect("127.0.0.1", atoi(argv[argc - 1]));
    size_t big = 16 << 20;
    char *value = malloc(big + 1);
    redisReply *r;

    assert(c && !c->err && value);
    memset(value, 'v', big + 1);
    assert(CALL("SET %b %b", "a\0b", (size_t)3, "\0\r\n$", (size_t)4)->type ==
           REDIS_REPLY_STATUS);
    CALL("GET %b", "a\0b", (size_t)3);
    assert(r->type == REDIS_REPLY_STRING && r->len == 4 &&
           memcmp(r->str, "\0\r\n$", 4) == 0);
    assert(CALL("GET none")->type == REDIS_REPLY_NIL);
    assert(CALL("SET big %b", value, big)->type == REDIS_REPLY_STATUS);
    CALL("GET big");
    assert(r->len == (long)big && memcmp(r->str, value, big) == 0);
    freeReplyObject(r);
    assert(CALL("SET big %b", value, big + 1)->type == REDIS_REPLY_ERROR);
    assert(CALL("EXISTS big")->integer == 1);
    for (int i = 0; i < 1000; i++) {
        redisAppendCommand(c, "SET k%d %d", i % 10, i);
        redisAppendCommand(c, "MGET k%d none big%d", i % 10, i);
    }
    for (int i = 0; i < 1000; i++) {
        assert(redisGetReply(c, (void **)&r) == REDIS_OK);
        assert(r->type == REDIS_REPLY_STATUS);
        freeReplyObject(r);
        assert(redisGetReply(c, (void **)&r) == REDIS_OK);
        assert(r->elements == 3 && atoi(r->element[0]->str) == i);
        assert(r->element[1]->type == REDIS_REPLY_NIL);
        freeReplyObject(r);
    }
    assert(CALL("MGET big big")->elements == 2);
    assert(r->element[0]->type == REDIS_REPLY_STRING);
    assert(r->element[1]->type == REDIS_REPLY_ERROR);   /* 32 MiB: too long */
    assert(CALL("DBSIZE")->integer == 12);
    assert(CALL("NOSUCH")->type == REDIS_REPLY_ERROR);
    redisFree(c);
    return 0;
}
C
    # The words of pkg-config's answer are arguments.
    # shellcheck disable=SC2046
    gcc "$T/own.c" -o "$T/own" $(pkg-config --cflags --libs hiredis)
    try timeout 60 "$T/own" "$PORT"
    silent
}

@test "redis-py: calls, pipelines, scan_iter" {
    /usr/bin/python3 -c 'import redis' 2>/dev/null ||
        skip "python3-redis is not installed"
    start_server
    cat >"$T/own.py" <<'PY'
import redis, sys
c = redis.Redis(port=int(sys.argv[1]), socket_timeout=20)
assert c.ping()
assert c.set('key', b'\x00\xff') and c.get('key') == b'\x00\xff'
assert c.get('none') is None and c.exists('key', 'none') == 1
assert c.mset({f'k{i}': i for i in range(2000)})
assert c.mget('k1', 'none', 'k1999') == [b'1', None, b'1999']
assert c.dbsize() == 2001
assert sorted(c.scan_iter('k1?')) == sorted(f'k1{i}'.encode() for i in range(10))
assert len(list(c.scan_iter())) == 2001
p = c.pipeline(transaction=False)
for i in range(500):
    p.set('n', i).get('n')
assert p.execute()[1::2] == [str(i).encode() for i in range(500)]
assert c.delete(*[f'k{i}' for i in range(2000)]) == 2000
assert c.info()['keys'] == 2 and c.config_get('save') == {'save': ''}
assert c.echo('x') == b'x'
try:
    c.set('key', 'x', nx=True)
    assert False
except redis.ResponseError as e:
    assert 'NX' in str(e)
assert c.get('key') == b'\x00\xff'
PY
    try timeout 60 /usr/bin/python3 "$T/own.py" "$PORT"
    silent
}

@test "inline commands, as typed" {
    start_server
    raw 'PING\r\nSET key "two words"\r\nget key\n\r\nMGET key none\r\n'"MSET a 1 b '2 3'"'\r\nEXISTS a b c\r\nQUIT\r\nPING\r\n'
    printf '+PONG\r\n+OK\r\n$9\r\ntwo words\r\n*2\r\n$9\r\ntwo words\r\n$-1\r\n+OK\r\n:2\r\n+OK\r\n' |
        cmp - "$T/out"
}

@test "a command split at every byte is one command" {
    start_server
    exec {c}<>"/dev/tcp/127.0.0.1/$PORT"
    command='*5\r\n$4\r\nMSET\r\n$1\r\na\r\n$3\r\nx\r\n\r\n$1\r\nb\r\n$0\r\n\r\n*3\r\n$4\r\nMGET\r\n$1\r\na\r\n$1\r\nb\r\n'
    printf '%b' "$command" >"$T/bytes"
    size=$(wc -c <"$T/bytes")
    for ((n = 0; n < size; n++)); do
        dd if="$T/bytes" bs=1 skip="$n" count=1 status=none >&"$c"
    done
    timeout 5 head -c 24 <&"$c" >"$T/out"
    printf '+OK\r\n*2\r\n$3\r\nx\r\n\r\n$0\r\n\r\n' | cmp - "$T/out"
    exec {c}>&-
}

@test "what is no command: an error, then the connection is closed" {
    start_server
    for bytes in '*x\r\n' '*1\r\n$-5\r\n' '*1\r\n$99999999999\r\n' \
        '*99999999\r\n' '*1\r\nPING\r\n' '*1\r\n$4\r\nPINGxx' \
        'POST / HTTP/1.1\r\n' 'SET "a\r\n'; do
        raw "$bytes"
        grep -qE '^-ERR .+' "$T/out" || show
        [ "$(wc -l <"$T/out")" -eq 1 ]
    done
    # what came whole before is answered
    raw '*1\r\n$4\r\nPING\r\n*x\r\n'
    [ "$(head -n 1 "$T/out")" = $'+PONG\r' ] && grep -q '^-ERR' "$T/out"
    try "$BIN/kvs-client" --addr "$ADDR" ping
    [ "$status" -eq 0 ]
}

@test "nothing that a client sends makes the server exit or grow" {
    start_server
    before=$(memory)
    for ((n = 0; n < 60; n++)); do
        exec {c}<>"/dev/tcp/127.0.0.1/$PORT"
        case $((n % 6)) in
        0) printf '*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$16000000\r\nxxx' >&"$c" ;;
        1) printf '*8193\r\n$4\r\nMGET\r\n$100000\r\n' >&"$c" ;;
        2) head -c 100000 /dev/urandom >&"$c" ;;
        3) { printf '*' && head -c 70000 /dev/zero; } >&"$c" ;;
        4) head -c 70000 /dev/zero | tr '\0' 'a' >&"$c" ;;
        5) printf 'PING\r\n' >&"$c" ;;
        esac 2>/dev/null || true
        exec {c}>&-
    done
    try "$BIN/kvs-client" --addr "$ADDR" ping
    [ "$status" -eq 0 ]
    [ $(($(memory) - before)) -lt 20000 ]
}
