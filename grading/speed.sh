#!/usr/bin/env bash
# speed.sh OUT [STAGE] -- measures the speed lines of points.tsv, into
# OUT/speed.tsv (see score.awk).
#
# A ratio is the baseline's time over the subject's, medians of 5 runs of
# each, taken in turns (A B A B ...) on the same two CPUs; CPU time and
# wall-clock time, and the better ratio counts. Whether it was too noisy is
# judged by the baseline's runs alone; then all is measured once more, and
# after the third time the points are pending.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1
out=$1 stage=${2-}
runs=5
cpus=$(taskset -cp $$ | sed 's/.*: //' | tr ',' '\n' | awk -F - '
    { for (c = $1; c <= ($2 == "" ? $1 : $2); c++) if (n++ < 2) print c }' |
    paste -sd,)

# once PROGRAM ARGUMENTS: appends "wall cpu" of a run to the file on fd 3.
once() {
    # The arguments are words.
    # shellcheck disable=SC2086
    taskset -c "$cpus" timeout -k 1 20 "build/rel/tests/$1" $2 \
        2>"$out/speed.err" >"$out/speed.one" </dev/null
    local status=$?
    [ $status -eq 0 ] && cat "$out/speed.one" >&3
    return $status
}

# measure SUBJECT ARGUMENTS BASELINE: "ratio verdict summary", and what the
# ratio is of: our nanoseconds, the baseline's, its name, "CPU" or "clock".
measure() {
    local status
    : >"$out/speed.a" && : >"$out/speed.b"
    for _ in $(seq "$runs"); do
        once "$1" "$2" 3>>"$out/speed.a"
        status=$?
        if [ $status -eq 3 ]; then
            printf '0\tNOT-WRITTEN\t%s' \
                "$(sed -n 's/^not written: task //p' "$out/speed.one")"
            return
        elif [ $status -eq 124 ]; then
            printf '0\tFAIL\tnot done after 20 s' && return
        elif [ $status -ne 0 ]; then
            printf '0\tFAIL\t%s' "$(head -n 1 "$out/speed.err" | cut -c1-70)"
            return
        fi
        once "$3" "$2" 3>>"$out/speed.b" ||
            { printf '0\tTOOL\tthe baseline does not run' && return; }
    done
    awk -F '\t' -v baseline="${3#*-}" '
        function median(v, n,    i, j, t) {
            for (i = 2; i <= n; i++)
                for (j = i; j > 1 && v[j] < v[j - 1]; j--) {
                    t = v[j]; v[j] = v[j - 1]; v[j - 1] = t
                }
            return v[int((n + 1) / 2)]
        }
        FNR == NR { aw[FNR] = $1; ac[FNR] = $2; n = FNR; next }
        { bw[FNR] = $1; bc[FNR] = $2 }
        END {
            mac = median(ac, n); mbc = median(bc, n)
            maw = median(aw, n); mbw = median(bw, n)
            cpu = mbc / mac; wall = mbw / maw
            noisy = (bc[n] - bc[1]) / mbc > 2
            printf "%.2f\t%s\t%.2fx by CPU, %.2fx by the clock; CPU ns each: " \
                "%.0f (%.0f-%.0f), %s %.0f (%.0f-%.0f)", \
                (cpu > wall ? cpu : wall), (noisy ? "NOISY" : ""), cpu, wall, \
                mac, ac[1], ac[n], baseline, mbc, bc[1], bc[n]
            if (cpu > wall)
                printf "\t%.0f\t%.0f\t%s\tCPU", mac, mbc, baseline
            else
                printf "\t%.0f\t%.0f\t%s\tclock", maw, mbw, baseline
        }' "$out/speed.a" "$out/speed.b"
}

n=0
: >"$out/speed.tsv"
awk -F '\t' '$1 == "speed" || $1 == "task"' grading/points.tsv |
while IFS=$'\t' read -r kind task a _ _ program arguments baseline _; do
    if [ "$kind" = task ]; then
        [ -n "$stage" ] && [ "$a" != "$stage" ] || graded="${graded-} $task "
        continue
    fi
    n=$((n + 1))
    [[ ${graded-} == *" $task "* ]] || continue
    key="$program $arguments $baseline"
    if [ "$key" != "${last_key-}" ] && [ "$key" != "${first_key-}" ]; then
        for _ in 1 2 3; do
            result=$(measure "$program" "$arguments" "$baseline")
            [[ $result == *$'\t'NOISY$'\t'* ]] || break
        done
        last_key=$key last_result=$result
        [ -n "${first_key-}" ] || { first_key=$key && first_result=$result; }
    elif [ "$key" = "${first_key-}" ]; then
        result=$first_result
    else
        result=$last_result
    fi
    printf '%s\t%s\n' "$n" "$result" >>"$out/speed.tsv"
done
rm -f "$out"/speed.[abeo]*
