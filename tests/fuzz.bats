#!/usr/bin/env bats
# Random bytes against the decoder, a log's replay and a store's files: the
# corpus and random changes of it, without libFuzzer; and `make fuzz`, with it.
#
# FUZZ_SEED=17 bats tests/fuzz.bats repeats a run.

bats_require_minimum_version 1.5.0
load helpers

setup_file() {
    export FUZZ_SEED=${FUZZ_SEED-$((RANDOM << 15 | RANDOM))}
    make -s -C "$BATS_TEST_DIRNAME/.." V=rel fuzzers >/dev/null
    make -s -C "$BATS_TEST_DIRNAME/.." V=asan fuzzers >/dev/null
}

# fuzz VARIANT NAME RUNS
fuzz() {
    local limit=()
    mkdir -p "$TOP/build/fuzz"
    # nobody may allocate what a length claims
    [ "$1" = asan ] || limit=(prlimit --as=1000000000)
    "${limit[@]}" timeout 120 "$TOP/build/$1/tests/fuzz_$2" --runs "$3" \
        --seed "$FUZZ_SEED" --save "$TOP/build/fuzz" "$TOP/tests/fuzz/corpus/$2"
}

@test "a million random frames, taken apart or refused, each as it should" {
    fuzz rel decode 300000 # with several frames each
}

@test "the same under AddressSanitizer, fewer" {
    fuzz asan decode 10000
}

@test "random commands of the second protocol, each answered with one reply" {
    fuzz rel resp 300000
    fuzz asan resp 10000
}

@test "logs made by random scripts and damaged: replayed as it should be" {
    fuzz rel replay 20000
}

@test "the same under AddressSanitizer, fewer logs" {
    fuzz asan replay 1000
}

@test "the files of a store, damaged: verify, dump, repair and the store agree" {
    fuzz rel files 2000
    fuzz asan files 100
}

@test "the files of a store of many logs, damaged: the same, and hints are advice" {
    fuzz rel many 3000
    fuzz asan many 100
}

# planted NAME WRAPPED: the fuzz program with $T/planted.c in front of a
# function.
planted() {
    local objects
    objects=$(make -s -C "$TOP" --no-print-directory fuzz-objects-"$1")
    # shellcheck disable=SC2086
    (cd "$TOP" && gcc -std=c11 -D_GNU_SOURCE -I. -Wl,--wrap="$2" \
        "$T/planted.c" $objects -pthread -o "$T/planted")
}

# caught: finds it, says how to repeat it, and repeats it.
caught() {
    run timeout 60 "$T/planted" --runs 200000 --seed "$FUZZ_SEED" --save "$T" \
        "$TOP/tests/fuzz/corpus/$1"
    [ "$status" -eq 1 ]
    [[ $output == *"does not hold"*"seed $FUZZ_SEED"*"repeat it with:"* ]]
    run timeout 60 "$T/planted" --save "$T" "$T"/crash-*
    [ "$status" -eq 1 ]
}

@test "a planted mistake in the decoder is found and can be repeated" {
    T=$BATS_TEST_TMPDIR
    cat >"$T/planted.c" <<'C'
#include "stage2-server/proto.h"
ssize_t __real_proto_decode(struct slice bytes, struct proto_request *out);
ssize_t __wrap_proto_decode(struct slice bytes, struct proto_request *out);
ssize_t __wrap_proto_decode(struct slice bytes, struct proto_request *out)
{
    ssize_t n = __real_proto_decode(bytes, out);

    /* A value that has come but for one byte is taken for whole. */
    return n == 0 && bytes.len == 40 ? 40 : n;
}
C
    planted decode proto_decode
    caught decode
}

@test "a planted mistake in the second protocol is found, too" {
    T=$BATS_TEST_TMPDIR
    cat >"$T/planted.c" <<'C'
#include "stage2-server/proto_resp.h"
bool __real_proto_resp_next(struct slice *items, struct proto_request *out);
bool __wrap_proto_resp_next(struct slice *items, struct proto_request *out);
bool __wrap_proto_resp_next(struct slice *items, struct proto_request *out)
{
    bool any = __real_proto_resp_next(items, out);

    /* The last item is forgotten when it is a short one. */
    return any && (items->len > 0 || out->key.len != 3);
}
C
    planted resp proto_resp_next
    caught resp
}

@test "a planted mistake in replay is found and can be repeated" {
    T=$BATS_TEST_TMPDIR
    cat >"$T/planted.c" <<'C'
#include <errno.h>
#include "stage2-server/log.h"
int __real_log_replay(struct log_file *, log_replay_fn *, void *,
                      struct log_damage *);
int __wrap_log_replay(struct log_file *, log_replay_fn *, void *,
                      struct log_damage *);
int __wrap_log_replay(struct log_file *log, log_replay_fn *fn, void *arg,
                      struct log_damage *damage)
{
    int err = __real_log_replay(log, fn, arg, damage);

    /* What is corrupt is taken for torn. */
    return err == -EBADMSG ? 0 : err;
}
C
    planted replay log_replay
    caught replay
}

@test "make fuzz: libFuzzer starts from the corpus; without it, one line" {
    mkdir "$BATS_TEST_TMPDIR/bin"
    printf '#!/bin/sh\nexit 1\n' >"$BATS_TEST_TMPDIR/bin/clang"
    chmod +x "$BATS_TEST_TMPDIR/bin/clang"
    PATH=$BATS_TEST_TMPDIR/bin:$PATH run make -s -C "$TOP" fuzz SECONDS=2 FUZZERS=decode
    [ "$status" -ne 0 ]
    [ "$(grep -c 'clang or its runtime is missing' <<<"$output")" -eq 1 ]
    command -v clang >/dev/null || skip "no clang here"
    run make -s -C "$TOP" fuzz SECONDS=2 FUZZERS=decode
    echo "$output"
    [ "$status" -eq 0 ]
    [[ $output == *"decode: "*" runs"* ]]
}
