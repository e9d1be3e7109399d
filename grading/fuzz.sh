#!/usr/bin/env bash
# fuzz.sh SECONDS NAME... -- `make fuzz`: libFuzzer on each target for its share
# of the time. For each, FUZZ_NAME in the environment lists the sources.
#
# Starts from tests/fuzz/corpus/NAME. Inputs that reach something new are kept
# in build/fuzz/NAME, and those that break a promise in build/fuzz/NAME-crash-*
# (-timeout-*, -oom-*), with the command that repeats them. Exit 1 if there are.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 2
. grading/lib.sh
seconds=${1-}
shift

[[ $seconds =~ ^[1-9][0-9]*$ ]] || die "make fuzz SECONDS=3600: not '$seconds'"
compile="clang -std=c11 -D_GNU_SOURCE -pthread -I. -O1 -g
    -fno-omit-frame-pointer -fsanitize=fuzzer,address,undefined
    -fno-sanitize-recover=undefined"
mkdir -p build/fuzz
echo 'int LLVMFuzzerTestOneInput(const char *p) { return !p; }' >build/fuzz/try.c
# The words of $compile are arguments, and so are the names of sources below.
# shellcheck disable=SC2086
$compile -o build/fuzz/try build/fuzz/try.c >build/fuzz/try.log 2>&1 ||
    die "fuzz: not run, clang or its runtime is missing: sh grading/setup.sh --all"

# stalled NAME: did it stop at an input that only took long by the clock? A busy
# machine does that; alone, the input is quick, and so it is no finding.
stalled() {
    local input
    input=$(sed -n 's|.*Test unit written to \(.*-timeout-.*\)|\1|p' \
        "build/fuzz/$1.log" | tail -n 1)
    [ -n "$input" ] && "build/fuzz/fuzz_$1" -timeout=20 "$input" \
        >/dev/null 2>&1 && rm -f "$input"
}

# fuzz NAME SECONDS
fuzz() {
    "build/fuzz/fuzz_$1" -max_total_time="$2" -timeout=20 \
        -rss_limit_mb=1024 -malloc_limit_mb=256 -max_len=4096 \
        -artifact_prefix="build/fuzz/$1-" -print_final_stats=1 \
        "build/fuzz/$1" "tests/fuzz/corpus/$1" >"build/fuzz/$1.log" 2>&1
}

failed=0
each=$((seconds / $#))
for name; do
    sources=FUZZ_$name
    # shellcheck disable=SC2086
    $compile -o "build/fuzz/fuzz_$name" "tests/fuzz/${name}_fuzz.c" \
        ${!sources} common/*.c || die "fuzz: $name does not compile"
    mkdir -p "build/fuzz/$name"
    end=$((SECONDS + (each > 0 ? each : 1)))
    echo "$name: $((end - SECONDS)) s, log in build/fuzz/$name.log"
    fuzz "$name" $((end - SECONDS))
    status=$?
    while [ $status -ne 0 ] && stalled "$name"; do
        status=0
        [ $SECONDS -ge $end ] && break
        fuzz "$name" $((end - SECONDS))
        status=$?
    done
    awk '/number_of_executed_units/ { runs = $2 } / cov: / { cov = $4 }
        END { printf "%s: %d runs, %d edges\n", name, runs, cov }' \
        name="$name" "build/fuzz/$name.log"
    [ $status -ne 0 ] || continue
    failed=1
    grep -aE 'does not hold|ERROR:|runtime error|^    #[0-9] ' \
        "build/fuzz/$name.log" | head -n 12
    sed -n "s|.*Test unit written to |$name: repeat it with: build/fuzz/fuzz_$name |p" \
        "build/fuzz/$name.log"
done
exit $failed
