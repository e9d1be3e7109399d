# speed.awk -- what the runs of a speed line say.
#
#     awk -v baseline=NAME -v zero=R -v full=R -f speed.awk SUBJECT BASELINE
#
# Of both a line a run: WALL CPU, in ns an operation. The better of two ratios
# counts, the baseline's median over the subject's: of CPU time, of the clock.
#
# NOISY: the baseline's runs lie far apart, and it depends on which of them one
# believes how many points there are. (A lock that two threads fight for can be
# twenty times slower in some runs. Who has full marks beside the quickest run
# has them.) The subject's runs do not count here: nobody can make it noisy.
#
# Out: RATIO VERDICT SUMMARY OURS BASELINE'S NAME CPU|clock

function sort(v, n,    i, j, t) {
    for (i = 2; i <= n; i++)
        for (j = i; j > 1 && v[j] < v[j - 1]; j--) {
            t = v[j]; v[j] = v[j - 1]; v[j - 1] = t
        }
}

function better(cpu, wall) { return cpu > wall ? cpu : wall }

# The part of the points.
function part(ratio) {
    ratio = (ratio - zero) / (full - zero)
    return ratio < 0 ? 0 : ratio > 1 ? 1 : ratio
}

BEGIN { FS = OFS = "\t" }
FNR == NR { aw[FNR] = $1 + 0; ac[FNR] = $2 + 0; n = FNR; next }
{ bw[FNR] = $1 + 0; bc[FNR] = $2 + 0 }
END {
    sort(aw, n); sort(ac, n); sort(bw, n); sort(bc, n)
    m = int((n + 1) / 2)
    cpu = bc[m] / ac[m]; wall = bw[m] / aw[m]
    apart = (bc[n] - bc[1]) / bc[m] > 2
    sure = part(better(bc[1] / ac[m], bw[1] / aw[m])) == \
        part(better(bc[n] / ac[m], bw[n] / aw[m]))
    summary = sprintf("%.2fx by CPU, %.2fx by the clock; CPU ns each: " \
        "%.0f (%.0f-%.0f), %s %.0f (%.0f-%.0f)", cpu, wall, ac[m], ac[1], ac[n],
        baseline, bc[m], bc[1], bc[n])
    by_cpu = cpu > wall
    printf "%.2f\t%s\t%s\t%.0f\t%.0f\t%s\t%s\n", better(cpu, wall),
        (apart && !sure ? "NOISY" : ""), summary, (by_cpu ? ac[m] : aw[m]),
        (by_cpu ? bc[m] : bw[m]), baseline, (by_cpu ? "CPU" : "clock")
}
