# summary.awk -- did valgrind finish, and how many errors did it count?
#
# Given. Prints `errors N`, the sum over the processes of the log, and a
# line `incomplete PID: why` for each process without exactly one ERROR
# SUMMARY. Exit status 0 only if every process has its one, and there is one.

match($0, /^==[0-9]+==/) {
    pid = substr($0, 3, RLENGTH - 4)
    if (!(pid in seen)) {
        seen[pid] = 0
        pids[++n] = pid
    }
    if ($0 ~ /^==[0-9]+== ERROR SUMMARY: [0-9]+ errors from /) {
        seen[pid]++
        errors += $4
    }
}

END {
    print "errors " errors + 0
    for (i = 1; i <= n; i++)
        if (seen[pids[i]] != 1) {
            bad = 1
            print "incomplete " pids[i] ": " (seen[pids[i]] ? \
                seen[pids[i]] " summaries" : "no summary")
        }
    if (!n)
        print "incomplete: no process in the log"
    exit bad || !n
}
