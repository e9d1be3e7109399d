#!/usr/bin/env bats
# `make torture` and `make soak`, short; and that they find what is planted.

bats_require_minimum_version 1.5.0
load helpers

setup_file() {
    make -s -C "$BATS_TEST_DIRNAME/.." V=rel long-programs >/dev/null
}

setup() {
    T=$BATS_TEST_TMPDIR
    export SEED=${LONG_SEED-$RANDOM}
    echo "LONG_SEED=$SEED repeats it"
}

# torture ROUNDS [DURABILITY]; what it leaves behind after a failure is removed.
torture() {
    TORTURE_BIN=$TOP/build/rel run timeout 120 "$TOP/grading/torture.sh" "$1" \
        "$SEED" "${2-none}" 3>&- 4>&-
    echo "$output"
    local left
    left=$(sed -n 's/^the files are in \([^;]*\);.*/\1/p' <<<"$output")
    [ -z "$left" ] || rm -rf "$left"
}

@test "torture: killed in five rounds, nothing that was acknowledged is lost" {
    torture 5
    [ "$status" -eq 0 ]
    [ "$(grep -cE '^round [1-5]: [0-9,]+ acknowledged, 0 lost$' <<<"$output")" -eq 5 ]
    [[ ${lines[-1]} == "torture: 5 rounds, "*" acknowledged, 0 lost (durability none, seed $SEED)" ]]
    [[ $output != *" 0 acknowledged"* ]]
}

@test "torture: the same with --durability always" {
    torture 3 always
    [ "$status" -eq 0 ]
    [[ ${lines[-1]} == "torture: 3 rounds, "*", 0 lost (durability always, "* ]]
}

# preload <CODE: a library that comes between the server and the kernel.
preload() {
    library "$T/preload.so"
    export TORTURE_PRELOAD=$T/preload.so
}

@test "torture finds it when every 1,000th write to a log is dropped" {
    preload <<'C'
#define _GNU_SOURCE
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

static int drops(int fd)
{
    static unsigned n;
    char link[64], name[512] = { 0 };

    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    return readlink(link, name, sizeof name - 1) > 4 &&
           strstr(name, ".log") && !strstr(name, ".new") &&
           __atomic_add_fetch(&n, 1, __ATOMIC_RELAXED) % 1000 == 0;
}

ssize_t pwrite(int fd, const void *p, size_t n, off_t at)
{
    return drops(fd) ? (ssize_t)n : syscall(SYS_pwrite64, fd, p, n, at);
}

ssize_t pwrite64(int fd, const void *p, size_t n, off_t at)
{
    return pwrite(fd, p, n, at);
}
C
    torture 8
    [ "$status" -eq 1 ]
    [[ $output == *"lost"* ]]
    [[ ${lines[-2]} != *" 0 lost (durability"* ]] # lost, or refused to start
}

@test "torture finds it when changes are acknowledged and kept in memory only" {
    # The last write of a process that is killed never reaches the file.
    preload <<'C'
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

/* Each log's last write is held back until the next one comes. */
static struct { int fd; size_t n; off_t at; char *bytes; } held = { -1 };

static int is_log(int fd)
{
    char link[64], name[512] = { 0 };

    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    return readlink(link, name, sizeof name - 1) > 4 &&
           strstr(name, ".log") && !strstr(name, ".new");
}

static void let_go(void)
{
    if (held.fd >= 0)
        syscall(SYS_pwrite64, held.fd, held.bytes, held.n, held.at);
    free(held.bytes);
    held.bytes = NULL;
    held.fd = -1;
}

ssize_t pwrite(int fd, const void *p, size_t n, off_t at)
{
    if (n <= 64 || !is_log(fd))
        return syscall(SYS_pwrite64, fd, p, n, at);
    let_go();
    held.bytes = malloc(n);
    memcpy(held.bytes, p, n);
    held.n = n;
    held.at = at;
    held.fd = fd;
    return (ssize_t)n;
}

ssize_t pwrite64(int fd, const void *p, size_t n, off_t at)
{
    return pwrite(fd, p, n, at);
}

int fdatasync(int fd)
{
    let_go();
    return (int)syscall(SYS_fdatasync, fd);
}
C
    torture 8
    [ "$status" -eq 1 ]
    # (what is missing at the end of a sealed log is seen before that)
    [[ $output =~ [1-9][0-9,]*" lost" || $output == *": corrupt"* ]]
}

soak() {
    SOAK_BIN=$TOP/build/rel run timeout 120 "$TOP/grading/soak.sh" "$1" 3>&- 4>&-
    echo "$output"
}

@test "soak: ten seconds of load beside compactions" {
    soak 10
    [ "$status" -eq 0 ]
    [[ ${lines[-1]} == "soak: well, after 10 s (seed $SEED)" ]]
    [[ $output =~ "history: "[0-9]+" operations checked" ]]
}

@test "wrong words: one line, not 0" {
    for words in "0" "x" "5 x" "5 1 sometimes"; do
        # shellcheck disable=SC2086
        run "$TOP/grading/torture.sh" $words
        [ "$status" -ne 0 ] && [ "${#lines[@]}" -eq 1 ]
    done
    run "$TOP/grading/soak.sh" never
    [ "$status" -ne 0 ] && [ "${#lines[@]}" -eq 1 ]
}
