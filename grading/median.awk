# median.awk -- rows of measurements of the same cell become one: median, least,
# most, how often. In: suite, workload, subject, threads, metric, unit, value.
# Out: a header line and the rows, in the order in which the cells came first.
BEGIN {
    FS = OFS = "\t"
    print "suite", "workload", "subject", "threads", "metric", "unit",
        "median", "min", "max", "runs"
}
{
    k = $1 OFS $2 OFS $3 OFS $4 OFS $5 OFS $6
    v[k, ++n[k]] = $7
    if (n[k] == 1) order[++rows] = k
}
END {
    for (r = 1; r <= rows; r++) {
        k = order[r]
        for (i = 2; i <= n[k]; i++)
            for (j = i; j > 1 && v[k, j] + 0 < v[k, j - 1] + 0; j--) {
                t = v[k, j]; v[k, j] = v[k, j - 1]; v[k, j - 1] = t
            }
        print k, v[k, int((n[k] + 1) / 2)], v[k, 1], v[k, n[k]], n[k]
    }
}
