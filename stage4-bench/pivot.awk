# pivot.awk -- rows of build/bench/*.tsv as a table: what a plot is drawn from,
# and what stands under it.
#
#     awk -v metric=throughput [-v workload=REGEX] [-v subject=REGEX] -v row=4
#         -v col=3 [-v head=NAME] [-v by=1000] -f pivot.awk FILE.tsv
#
# With -v threads=1 a row's name also says with how many, if more than one; with
# -v with=4 it always has that field, too. With -v range=1 each column has two
# more behind it, for plots: the least and the most of its runs. row and col are field numbers; several metrics may be given, separated by
# "|", with col=5. A cell is the median over `by`; "?" where there is none.

BEGIN { FS = OFS = "\t"; if (by == "") by = 1 }

FNR == 1 || (workload != "" && $2 !~ workload) || \
    (subject != "" && $3 !~ subject) { next }

index("|" metric "|", "|" $5 "|") {
    if (threads && $4 > 1)
        $row = $row ", " $4 " threads"
    if (with)
        $row = $row ", " $with
    if (!($row in seen_row)) { seen_row[$row]; rows[++n] = $row }
    if (!($col in seen_col)) { seen_col[$col]; cols[++m] = $col }
    cell[$row, $col] = $7 / by
    least[$row, $col] = $8 / by
    most[$row, $col] = $9 / by
}

END {
    line = head
    for (j = 1; j <= m; j++)
        line = line OFS cols[j] (range ? OFS "least" OFS "most" : "")
    print line
    for (i = 1; i <= n; i++) {
        line = rows[i]
        for (j = 1; j <= m; j++)
            line = line OFS value(rows[i], cols[j])
        print line
    }
}

function value(r, c) {
    if (!((r, c) in cell))
        return "?" (range ? OFS "?" OFS "?" : "")
    return short(cell[r, c]) (range ? OFS short(least[r, c]) OFS \
        short(most[r, c]) : "")
}

# Three digits that say something.
function short(x) {
    return sprintf(x == 0 ? "%d" : x >= 100 ? "%.0f" : x >= 10 ? "%.1f" : \
        x >= 1 ? "%.2f" : "%.4f", x)
}
