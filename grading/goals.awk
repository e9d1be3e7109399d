# goals.awk -- goals.tsv from stores.tsv and table-lf.tsv: what we want to
# reach, what we have, and the best of the others in the same run. A ratio is
# how many times better we are; for bounds, ours itself.
BEGIN {
    FS = OFS = "\t"
    print "goal", "ours", "best peer", "its name", "ratio", "wanted", "met"
}
FNR == 1 { next }
{
    value[$2, $3, $4, $5] = $7
    if ($1 == "stores" && !($3 in seen)) { seen[$3]; subject[++subjects] = $3 }
}

function row(goal, ours, peer, name, ratio, wanted, met) {
    print goal, sprintf("%.5g", ours), peer == "" ? "" : sprintf("%.5g", peer),
        name, sprintf("%.2f", ratio), wanted, met ? "yes" : "no"
}

# CPU time an operation, without the loop's.
function cpu(workload, name, threads, loop) {
    if (!((workload, name, threads, "cpu") in value)) return 0
    return value[workload, name, threads, "cpu"] - value[loop, name, 1, "cpu"]
}

function best_cpu(goal, workload, threads, loop, wanted, only,    i, n, c, best, ours) {
    ours = cpu(workload, "kvs", threads, loop)
    for (i = 1; i <= subjects; i++) {
        n = subject[i]
        c = cpu(workload, n, threads, loop)
        if (n != "kvs" && (only == "" || n == only) && c > 0 &&
            (best == "" || c < cpu(workload, best, threads, loop)))
            best = n
    }
    if (best != "" && ours > 0)
        row(goal ", ns CPU", ours, cpu(workload, best, threads, loop), best,
            cpu(workload, best, threads, loop) / ours, wanted,
            cpu(workload, best, threads, loop) / ours >= wanted)
}

function rate(goal, workload, threads, peer, wanted,    ours, its) {
    ours = value[workload, "kvs", threads, "throughput"]
    its = value[workload, peer, threads, "throughput"]
    if (its > 0)
        row(goal ", a second", ours, its, peer, ours / its, wanted,
            ours / its >= wanted)
}

function at_most(goal, ours, wanted) {
    row(goal, ours, "", "", ours, "<= " wanted, ours <= wanted)
}

END {
    best_cpu("set, one kernel write each", "first set", 1, "loop of set", 2.8)
    best_cpu("set in batches of 64", "set, batches of 64", 1, "loop of set", 10)
    best_cpu("get, 1 thread", "random get", 1, "loop of get", 2, "lmdb")
    best_cpu("get, 2 threads", "random get", 2, "loop of get", 2, "lmdb")
    rate("durable set, 1 thread", "durable set", 1, "sqlite", 1.1)
    rate("durable set, 16 threads", "durable set", 16, "leveldb", 1.5)
    at_most("reopen, seconds", value["reopen", "kvs", 1, "time"] / 1e9, 0.1)
    at_most("space after 5x overwrite, x live",
        value["space after 5x overwrite", "kvs", 1, "space"], 1.3)
    at_most("get p99, compacting / quiet", value["get, compacting", "kvs", 1,
        "p99"] / value["get, quiet", "kvs", 1, "p99"], 1.5)
    q = value["get, compacting", "kvs", 1, "throughput"] / \
        value["get, quiet", "kvs", 1, "throughput"]
    row("gets a second, compacting / quiet", q, "", "", q, 0.8, q >= 0.8)
    at_most("index, bytes a key of 16", value["memory", "kvs", 1, "index"],
        16 + 48)
}
