#!/bin/bash
# remake.sh -- makes the logs in this folder anew from the bugs planted in
# lab/, and what the cutters say about them. Look at `git diff` afterwards:
# what the tools say varies with the schedule, what is cut from it hardly.
#
#     tests/cut/remake.sh [NAME...]        NAME: helgrind.race_heap ...
set -u
cd "$(dirname "$0")" || exit 1
root=$(cd ../.. && pwd)
lab=$PWD/lab
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
printf '%s\n' stage1-pool/channel.c stage1-pool/pool.c > own

all="
helgrind.none helgrind.race_heap+ helgrind.race_past+
helgrind.race_global+ helgrind.race_stack
helgrind.race_free helgrind.lock_order+ helgrind.unlock_twice
helgrind.unlock_foreign helgrind.destroy_locked helgrind.exit_locked+
helgrind.lock_kept helgrind.relock helgrind.wait_unlocked
memcheck.none memcheck.use_after_free memcheck.overflow memcheck.uninit
memcheck.double_free memcheck.bad_free memcheck.leak memcheck.not_joined
memcheck.fd memcheck.null memcheck.aborts
tsan.race_heap+ tsan.race_global+ tsan.race_free tsan.race_lib
tsan.lock_order+ tsan.unlock_twice tsan.destroy_locked tsan.not_joined
tsan.use_after_free tsan.null
asan.use_after_free asan.overflow asan.past_stack asan.past_global
asan.double_free asan.leak asan.null
eustack.hang eustack.relock"

build()     # BUG [flag...]
{
    gcc -std=c11 -D_GNU_SOURCE -DBUG="$1" -Og -g -gdwarf-4 -pthread \
        -fno-omit-frame-pointer -fdebug-prefix-map="$lab"=/lab \
        -fdebug-prefix-map="$root"=/lab -I "$lab" -I "$lab/stage1-pool" \
        -I "$root" "${@:2}" "$lab"/stage1-pool/*.c "$lab"/tests/*.c \
        "$root/common/lock.c" -o "$tmp/planted"
}

grind=(timeout 20 valgrind --command-line-only=yes --fair-sched=yes
    "--log-file=$tmp/log")

# race_past is race_heap, long ago: helgrind keeps no other access.
forgets()   # BUG
{
    [ "$1" != race_past ] || echo --history-level=none
}

record()    # TOOL BUG [many]
{
    local run=("$tmp/planted" "${@:3}")

    rm -f "$tmp/log"
    case $1 in
    helgrind)
        build "${2/race_past/race_heap}"
        # shellcheck disable=SC2046
        "${grind[@]}" --tool=helgrind --free-is-write=yes $(forgets "$2") \
            "${run[@]}" ;;
    memcheck)
        build "$2"
        "${grind[@]}" --leak-check=full --track-fds=yes \
            --show-leak-kinds=definite,indirect,possible \
            --errors-for-leak-kinds=definite,indirect,possible \
            "${run[@]}" ;;
    tsan)
        build "$2" -fsanitize=thread
        for _ in {1..50}; do    # some bugs need luck
            TSAN_OPTIONS=second_deadlock_stack=1 timeout 20 \
                setarch -R "${run[@]}" 2> "$tmp/log"
            grep -q ThreadSanitizer "$tmp/log" && break
        done ;;
    asan)
        build "$2" -fsanitize=address,undefined
        timeout 20 setarch -R "${run[@]}" 2> "$tmp/log" ;;
    eustack)
        build "$2"
        "$tmp/planted" &
        sleep 0.5   # nothing to poll: it hangs
        eu-stack -s -i -p $! > "$tmp/log"
        kill $! ;;
    esac
} > /dev/null

# Without this machine's names, and without what no cutter reads.
clean()
{
    sed -e "s|$tmp/||g" -e "s|$lab|/lab|g" -e "s|$root|/lab|g" \
        -e '/Parent PID/d' -e '/^[ =]*>*0x.*: .*[0-9a-f][0-9a-f] /d' \
        -e '/^Shadow byte/d' -e '/^  [A-Z][A-Za-z ]*:  /d' "$tmp/log"
}

for name in $all; do    # a + means: with many threads
    base=${name%+} tool=${name%%.*} bug=${name#*.} many=()
    [ $# -eq 0 ] || [[ " $* " == *" $base "* ]] || continue
    [ "$name" = "$base" ] || many=(many)
    record "$tool" "${bug%+}" "${many[@]}" 2> "$tmp/noise"
    clean > "$base.log"
    awk -v root=lab -v own=own -f "$root/grading/cut/lib.awk" \
        -f "$root/grading/cut/$tool.awk" "$base.log" > "$base.expected"
    printf '%-24s %4d -> %2d lines\n' "$base" "$(wc -l < "$base.log")" \
        "$(wc -l < "$base.expected")"
done
