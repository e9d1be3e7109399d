#!/usr/bin/env bash
# speed.sh OUT [STAGE] -- measures the speed lines of points.tsv, into
# OUT/speed.tsv (see score.awk).
#
# The subject and the baseline run 5 times each, in turns (A B A B ...), on the
# same two CPUs; speed.awk says what that tells. If that is too noisy, all is
# measured once more, and after the third time the points are pending.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1
out=$1 stage=${2-}
runs=5
cpus=$(taskset -cp $$ | sed 's/.*: //' | tr ',' '\n' | awk -F - '
    { for (c = $1; c <= ($2 == "" ? $1 : $2); c++) if (n++ < 2) print c }' |
    paste -sd,)

samples=$out/speed
rm -rf "$samples" && mkdir "$samples"

# once PROGRAM ARGUMENTS FILE: appends "wall cpu" of a run to it.
once() {
    # The arguments are words.
    # shellcheck disable=SC2086
    taskset -c "$cpus" timeout -k 1 20 "build/rel/tests/$1" $2 \
        2>"$samples/err" >"$samples/one" </dev/null
    local status=$?
    [ $status -eq 0 ] && cat "$samples/one" >>"$3"
    return $status
}

# measure SUBJECT ARGUMENTS BASELINE SAMPLE: the runs' times, in SAMPLE.a and .b,
# or in SAMPLE.bad "ratio verdict summary".
measure() {
    local status
    rm -f "$4".*
    for _ in $(seq "$runs"); do
        once "$1" "$2" "$4.a"
        status=$?
        if [ $status -eq 3 ]; then
            printf '0\tNOT-WRITTEN\t%s' \
                "$(sed -n 's/^not written: task //p' "$samples/one")"
        elif [ $status -eq 124 ]; then
            printf '0\tFAIL\tnot done after 20 s'
        elif [ $status -ne 0 ]; then
            printf '0\tFAIL\t%s' "$(head -n 1 "$samples/err" | cut -c1-70)"
        elif ! once "$3" "$2" "$4.b"; then
            printf '0\tTOOL\tthe baseline does not run'
        fi >"$4.bad"
        [ ! -s "$4.bad" ] || return
    done
    rm "$4.bad"
}

n=0
: >"$out/speed.tsv"
awk -F '\t' '$1 == "speed" || $1 == "task"' grading/points.tsv |
while IFS=$'\t' read -r kind task a zero full program arguments baseline _; do
    if [ "$kind" = task ]; then
        [ -n "$stage" ] && [ "$a" != "$stage" ] || graded="${graded-} $task "
        continue
    fi
    n=$((n + 1))
    [[ ${graded-} == *" $task "* ]] || continue
    # Several lines may judge the same runs.
    sample=$samples/${program}_${arguments// /_}_$baseline
    for tries in 1 2 3; do
        if [ "$tries" -gt 1 ] || ! compgen -G "$sample.*" >/dev/null; then
            measure "$program" "$arguments" "$baseline" "$sample"
        fi
        result=$(if [ -e "$sample.bad" ]; then cat "$sample.bad"; else
            awk -v baseline="${baseline#*-}" -v zero="$zero" -v full="$full" \
                -f grading/speed.awk "$sample".[ab]
        fi)
        [[ $result == *$'\t'NOISY$'\t'* ]] || break
    done
    printf '%s\t%s\n' "$n" "$result" >>"$out/speed.tsv"
done
rm -rf "$samples"
