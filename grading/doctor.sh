#!/usr/bin/env bash
# doctor.sh -- is this machine fit for the lab? One line per check:
#
#   ok    what was found
#   note  works, but something in the lab will be slower, weaker or left out
#   bad   the lab will not work -- what to do about it
#
# Believes no version number where it can try: builds canary.c in build/doctor
# and runs it under every tool. Takes a few seconds. Exit 0 if nothing is bad.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 2

# What setup.sh --user has unpacked, if we were not started by make.
unpacked=${XDG_DATA_HOME:-${HOME:-/root}/.local/share}/parallelism-lab/env.sh
# shellcheck disable=SC1090
if [ -z "${PARALLELISM_LAB:-}" ] && [ -r "$unpacked" ]; then . "$unpacked"; fi
unset VALGRIND_OPTS TSAN_OPTIONS ASAN_OPTIONS LSAN_OPTIONS
export LC_ALL=C

SETUP='sh grading/setup.sh'
OUT=build/doctor
bad=0 notes=0

ok() { printf 'ok    %s\n' "$1"; }
note() { printf 'note  %s%s\n' "$1" "${2:+ -- $2}" && notes=$((notes + 1)); }
bad() { printf 'bad   %s -- %s\n' "$1" "$2" && bad=$((bad + 1)); }

# tool NAME MINIMUM COMMAND...: the first number with a dot that it prints.
tool() {
    local name=$1 least=$2 version
    shift 2
    version=$("$@" 2> /dev/null | grep -oE '[0-9]+(\.[0-9]+)+' | head -n 1)
    if [ -z "$version" ]; then
        bad "$name: not found, $least or later is needed" "$SETUP"
    elif ! printf '%s\n' "$least" "$version" | sort -VC; then
        bad "$name $version: $least or later is needed" "a newer system, or the container in .devcontainer/"
    else
        ok "$name $version"
    fi
}

check_tools() {
    tool gcc 10.0 gcc -dumpfullversion
    tool make 4.2 make --version
    tool valgrind 3.19 valgrind --version
    tool bats 1.5 bats --version
    tool jq 1.5 jq --version
    tool eu-stack 0.170 eu-stack --version
    tool pkg-config 0.29 pkg-config --version
    tool glib 2.66 pkg-config --modversion glib-2.0
    tool xxhash 0.7 pkg-config --modversion libxxhash
    if command -v gnuplot > /dev/null; then
        ok "$(gnuplot --version | head -n 1)"
    else
        note "gnuplot: not found, so the page of make bench has tables and no plots" "$SETUP"
    fi
    local library IFS=:
    for library in ${BATS_LIB_PATH:-} /usr/lib/bats; do
        if [ -r "$library/bats-assert/load.bash" ] && [ -r "$library/bats-support/load.bash" ]; then
            ok "bats-support and bats-assert"
            return
        fi
    done
    bad "bats-support or bats-assert: not found" "$SETUP, or set BATS_LIB_PATH"
}

# limit CONTROLLER V1-FILE V2-FILE: the least number that our control group
# and those above it set; nothing when they set none.
limit() {
    local controllers path base file value least=''
    while IFS=: read -r _ controllers path; do
        case ,$controllers, in
        ,,) base=/sys/fs/cgroup file=$3 ;;
        *,"$1",*) base=/sys/fs/cgroup/$1 file=$2 ;;
        *) continue ;;
        esac
        while :; do
            value=max
            [ ! -r "$base$path/$file" ] || read -r value _ < "$base$path/$file"
            if [[ $value =~ ^[0-9]+$ ]] && { [ -z "$least" ] || [ "$value" -lt "$least" ]; }; then
                least=$value
            fi
            [ "${path%/}" ] || break
            path=${path%/*}
        done
    done < /proc/self/cgroup
    printf '%s' "$least"
}

build() {
    mkdir -p "$OUT" || return
    local flags='-std=c11 -D_GNU_SOURCE -gdwarf-4 -O1 -pthread'
    # shellcheck disable=SC2086
    {
        gcc $flags -o $OUT/plain grading/canary.c > $OUT/plain.log 2>&1
        gcc $flags -fsanitize=thread -o $OUT/tsan grading/canary.c > $OUT/tsan.log 2>&1
        gcc $flags -fsanitize=address -o $OUT/asan grading/canary.c > $OUT/asan.log 2>&1
    }
    [ -x $OUT/plain ]
}

# Two threads that count take as long as one, if there are two processors.
check_processors() {
    local count quota ratio before after
    count=$(nproc)
    quota=$(limit cpu cpu.cfs_quota_us cpu.max) # per 100 ms, as a rule
    if [ "$count" -lt 2 ]; then
        bad "processors: $count" "give this machine, container or shell (taskset) two"
    elif [ "${quota:-200000}" -lt 190000 ]; then
        bad "processors: $count, but the control group allows $((quota / 1000)) % of one" "allow two (docker: --cpus=2)"
    else
        ok "processors: $count"
    fi
    before=$(idle)
    ratio=$($OUT/plain cpus)
    after=$(idle)
    if awk -v r="$ratio" 'BEGIN { exit !(r < 1.6) }'; then
        ok "two threads at once: $ratio times the time of one"
    elif [ "$count" -ge 2 ] && awk -v a="$before $after" 'BEGIN {
            split(a, n, " "); exit !((n[3] - n[1]) < 0.2 * (n[4] - n[2])) }'; then
        note "two threads at once: $ratio times the time of one" "other programs keep the processors busy: measure and grade without them"
    else
        bad "two threads at once: $ratio times the time of one" "there is one processor in truth: see the limits of the container or virtual machine"
    fi
}

# Idle and total time of all processors.
idle() { awk '/^cpu / { for (i = 2; i <= 9; i++) sum += $i; print $5 + $6, sum }' /proc/stat; }

check_limits() {
    local started files pids
    pids=$(limit pids pids.max pids.max)
    started=$($OUT/plain threads 1300 2> /dev/null)
    if [ "$started" = 1300 ]; then
        ok "threads: 1300 at once"
    else
        bad "threads: ${started:-0} at once, 1300 are needed" \
            "raise what is least of: ulimit -u $(ulimit -u), pids.max ${pids:-max}, kernel.threads-max $(< /proc/sys/kernel/threads-max)"
    fi
    files=$(ulimit -n)
    if [ "$files" != unlimited ] && [ "$files" -lt 1024 ]; then
        bad "open files: $files, 1024 are needed" "ulimit -n 1024"
    elif [ "$files" != unlimited ] && [ "$files" -lt 20000 ]; then
        note "open files: $files (hard limit $(ulimit -Hn))" "for thousands of connections: ulimit -n 20000"
    else
        ok "open files: $files"
    fi
}

# amount WHAT MEGABYTES BAD NOTE ADVICE
amount() {
    if [ "$2" -lt "$3" ]; then
        bad "$1: $2 MB, $3 MB are needed" "$5"
    elif [ "$2" -lt "$4" ]; then
        note "$1: $2 MB" "$5"
    else
        ok "$1: $2 MB"
    fi
}

check_space() {
    local free group
    free=$(awk '/^MemAvailable/ { print int($2 / 1024) }' /proc/meminfo)
    group=$(limit memory memory.limit_in_bytes memory.max)
    [ -z "$group" ] || [ $((group >> 20)) -ge "$free" ] || free=$((group >> 20))
    amount memory "$free" 1000 3000 "close other programs, or make grade LIGHT=1"
    amount "disk space here" "$(df -Pm . | awk 'NR == 2 { print $4 }')" 500 2000 "make room: logs and builds take about 2 GB"
}

# verdict NAME GOOD-STATUS GOOD-LOG PLANTED-STATUS PLANTED-LOG PATTERN WHAT ADVICE
verdict() {
    local why
    if [ "$2" != 0 ]; then
        why=$(grep -vE 'error detector|^$' "$3" | grep -m 1 -iE 'fatal|failed|error|not found|race')
        bad "$1: fails on a correct program${why:+: ${why#==*== }}" "$8"
    elif [ "$4" = 0 ] || ! grep -q "$6" "$5"; then
        bad "$1: does not see $7" "$8"
    else
        ok "$1: silent on a correct program, sees $7"
    fi
}

check_valgrind() {
    command -v valgrind > /dev/null || return # said already
    local v='timeout 30 valgrind --command-line-only=yes --error-exitcode=99' good planted symbols
    symbols="$SETUP (libc6-dbg must match libc6)"
    $v --leak-check=full $OUT/plain leak > $OUT/leak.log 2>&1 & planted=$!
    $v --leak-check=full $OUT/plain good > $OUT/memcheck.log 2>&1; good=$?
    wait $planted
    verdict memcheck $good $OUT/memcheck.log $? $OUT/leak.log 'definitely lost: 100' "a leak" "$symbols"
    $v --tool=helgrind $OUT/plain race > $OUT/race.log 2>&1 & planted=$!
    $v --tool=helgrind $OUT/plain good > $OUT/helgrind.log 2>&1; good=$?
    wait $planted
    verdict helgrind $good $OUT/helgrind.log $? $OUT/race.log 'Possible data race' "a race" "$symbols"
}

check_sanitizers() {
    local fixed=(setarch -R) bits=0 advice good planted
    if ! setarch -R true 2> $OUT/setarch.log; then
        fixed=()
        note "setarch -R: not allowed here" "docker: --security-opt seccomp=unconfined"
    fi
    [ ! -r /proc/sys/vm/mmap_rnd_bits ] || read -r bits < /proc/sys/vm/mmap_rnd_bits
    advice="see $OUT/*.log; if the compiler lacks it: $SETUP"
    if [ ${#fixed[@]} = 0 ] && [ "$bits" -gt 28 ]; then
        advice="vm.mmap_rnd_bits is $bits, too much for it: sudo sysctl vm.mmap_rnd_bits=28, or allow setarch -R"
    fi
    "${fixed[@]}" timeout 30 $OUT/tsan good >> $OUT/tsan.log 2>&1; good=$?
    "${fixed[@]}" timeout 30 $OUT/tsan race > $OUT/tsan-race.log 2>&1; planted=$?
    verdict ThreadSanitizer $good $OUT/tsan.log $planted $OUT/tsan-race.log 'WARNING: ThreadSanitizer: data race' "a race" "$advice"
    "${fixed[@]}" timeout 30 $OUT/asan good >> $OUT/asan.log 2>&1; good=$?
    "${fixed[@]}" timeout 30 $OUT/asan leak > $OUT/asan-leak.log 2>&1; planted=$?
    verdict AddressSanitizer $good $OUT/asan.log $planted $OUT/asan-leak.log 'detected memory leaks' "a leak" \
        "$advice; in a container, its search for leaks needs --cap-add=SYS_PTRACE"
}

check_rest() {
    local child scope=0
    sleep 10 & child=$!
    timeout 5 eu-stack -p $child > $OUT/stack.log 2>&1
    if grep -q '^#0' $OUT/stack.log; then
        ok "eu-stack: shows the stacks of a running program"
    else
        [ ! -r /proc/sys/kernel/yama/ptrace_scope ] || read -r scope < /proc/sys/kernel/yama/ptrace_scope
        note "eu-stack: may not look at a running program, so a deadlock is reported without stacks" \
            "kernel.yama.ptrace_scope is $scope: sudo sysctl kernel.yama.ptrace_scope=0 (docker: --cap-add=SYS_PTRACE)"
    fi
    kill $child
    wait $child 2> /dev/null
    if bwrap --unshare-all --unshare-user --disable-userns --die-with-parent --new-session --cap-drop ALL \
        --clearenv --ro-bind / / --proc /proc --dev /dev --tmpfs /tmp true 2> $OUT/bwrap.log; then
        ok "bwrap: the sandbox for strangers' code works"
    else
        note "bwrap: no sandbox ($(head -n 1 $OUT/bwrap.log))" "only who grades strangers' code needs it"
    fi
}

check_tools
check_space
if ! build; then
    bad "the compiler cannot build grading/canary.c" "see $OUT/plain.log; $SETUP"
else
    check_processors
    check_limits
    check_valgrind
    check_sanitizers
    check_rest
fi
printf '%d bad, %d notes\n' $bad $notes
[ $bad = 0 ]
