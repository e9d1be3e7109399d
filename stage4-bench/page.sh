#!/usr/bin/env bash
# page.sh DIR -- draws DIR/index.html from the tables of `make bench` in DIR: a
# page that needs nothing else, each plot with the figures it is drawn from.
# Plots whose figures are missing are left out, and it says so.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1
dir=${1:?usage: page.sh DIR}
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
body=$work/body
: >"$body"

escape() { sed 's/&/\&amp;/g; s/</\&lt;/g; s/>/\&gt;/g'; }
pivot() { awk "${@:2}" -f stage4-bench/pivot.awk "$dir/$1.tsv"; }
# both ID SUITE ARGUMENTS...: the table of a figure, and what it is drawn from.
both() {
    pivot "${@:2}" >"$work/$1.text.tsv"
    pivot "${@:2}" -v range=1 >"$work/$1.tsv"
}
# heads: metrics, in the head of a table, as a person says them.
heads() {
    sed -e '1!b' -e 's/throughput/requests a second/; s/client-busy/client busy %/
        s/client-cpu/client CPU ns/; s/server-cpu/server CPU ns/
        s/\tcpu/\tCPU ns a job/; s/switches/switches a job/
        s/lock-waits/lock waits a job/'
}
# above LEAST: figures for a scale without a zero.
above() {
    awk -F '\t' -v OFS='\t' -v least="$1" 'NR > 1 { for (i = 2; i <= NF; i++)
        if ($i != "?" && $i < least) $i = least } 1'
}

# rows_in FILE: how many rows behind the head.
rows_in() { [ -f "$1" ] && awk 'END { print (NR > 1 ? NR - 1 : 0) }' "$1"; }

table() {
    escape <"$1" | awk -F '\t' '
        NR == 1 { print "<table><thead><tr>"
            for (i = 1; i <= NF; i++) printf "<th scope=\"col\">%s</th>", $i
            print "</tr></thead><tbody>"; next }
        { printf "<tr><th scope=\"row\">%s</th>", $1
          for (i = 2; i <= NF; i++) printf "<td>%s</td>", $i == "?" ? "-" : $i
          print "</tr>" }
        END { print "</tbody></table>" }'
}

# notes SUITE...: what was left out there.
notes() {
    local s
    for s; do
        [ ! -s "$dir/$s.notes" ] ||
            escape <"$dir/$s.notes" | sort -u | sed 's|.*|<p class="note">&</p>|'
    done >>"$body"
}

# draw ID KIND LOG XLABEL YLABEL TITLE TEXT: a figure from $work/ID.tsv, with
# the table $work/ID.text.tsv if there is one, else that.
draw() {
    local id=$1 data=$work/$1.tsv text=$work/$1.text.tsv
    [ -f "$text" ] || text=$data
    [ "$(rows_in "$data")" -gt 0 ] 2>/dev/null || {
        printf '<p class="note">Not measured: %s.</p>\n' "$6" >>"$body"
        return
    }
    if [ -z "$plots" ]; then
        printf '<figure id="%s"><h2>%s</h2><p>%s</p><div class="table">' "$id" "$6" "$7"
        table "$text"
        printf '</div></figure>\n'
    fi >>"$body"
    [ -n "$plots" ] || return 0
    range=0
    [ "$(head -n 1 "$data" | cut -f3)" != least ] || range=1
    if ! gnuplot -e "kind='$2'; log=$3; range=$range; in='$data'; out='$work/$id.svg'; \
        xlabel='$4'; ylabel='$5'" stage4-bench/plot.gp 2>"$work/gnuplot.err"; then
        printf 'page.sh: %s: %s\n' "$id" "$(head -n 3 "$work/gnuplot.err")" >&2
        return 1
    fi
    {
        printf '<figure id="%s"><h2>%s</h2><p>%s</p>\n' "$id" "$6" "$7"
        # Several drawings in one page: names must not meet.
        sed -e '/^<?xml/d; /^<!DOCTYPE/,/>$/d' \
            -e "s/ id=\(['\"]\)/ id=\\1$id-/; s/url(#/url(#$id-/g; s/href='#/href='#$id-/g; s/href=\"#/href=\"#$id-/g" \
            -e "s/<svg/<svg role=\"img\" aria-label=\"$6\"/" \
            -e "s/ width=\"640\" height=\"420\"//" \
            -e "s|<title>Gnuplot</title>|<title>$6</title>|; /^<desc>/d" \
            "$work/$id.svg"
        printf '<div class="table">'
        table "$text"
        printf '</div></figure>\n'
    } >>"$body"
}

section() { printf '<h1>%s</h1>\n' "$1" >>"$body"; }

# measured SUITE: when that was, how often, and what was left out.
measured() {
    printf '<p class="when">Measured %s; %s.</p>\n' \
        "$(LC_ALL=C date -u -r "$dir/$1.tsv" '+%d %B %Y, %H:%M UTC')" \
        "$(awk -F '\t' 'NR > 1 { if ($5 ~ /^lock/) locks = $10
            else if ($10 > runs) runs = $10 }
            END { if (runs <= 1) print "one run"; else print "medians of " runs \
                " runs, and lines from the least to the most" \
                (locks == 1 ? " (lock waits: one run)" : "") }' "$dir/$1.tsv")" >>"$body"
    notes "$1"
}

bad=0
plots=$(command -v gnuplot) || {
    echo "page.sh: no plots, tables only: gnuplot is not installed (sh grading/setup.sh)" >&2
    printf '<p class="note">No plots: gnuplot is not installed.</p>\n' >>"$body"
}
if [ -s "$dir/pools.tsv" ]; then
    section Pools
    measured pools
    for w in empty "1 us"; do
        id=pools-${w/ /-}
        both "$id" pools -v metric=throughput -v workload="^$w," -v row=4 -v col=3 \
            -v by=1000 -v head="threads that submit"
        draw "$id" lines 1 "threads that submit" "thousand jobs a second" \
            "Throughput by threads: jobs ($w)" \
            "Two threads in the pool. Upwards is better; the scale is logarithmic." || bad=1
    done
    for m in switches lock-waits; do
        pivot pools -v metric=$m -v workload='^empty' -v row=4 -v col=3 -v range=1 \
            -v head="threads that submit" | above 0.0001 >"$work/pools-$m.tsv"
    done
    pivot pools -v metric="cpu|switches|lock-waits" -v workload='^empty' \
        -v row=3 -v with=4 -v col=5 -v head="pool, threads that submit" |
        heads >"$work/pools-lock-waits.text.tsv"
    pivot pools -v metric=switches -v workload='^empty' -v row=4 -v col=3 \
        -v head="threads that submit" >"$work/pools-switches.text.tsv"
    draw pools-switches lines 1 "threads that submit" "switches a job" \
        "Context switches of a job" \
        "Empty jobs. A thread that finds nothing to do sleeps, and is woken. Logarithmic; what is below 0.0001 is drawn there." || bad=1
    draw pools-lock-waits lines 1 "threads that submit" "lock waits a job" \
        "Lock waits of a job" \
        "Empty jobs: how often a thread finds a mutex taken. The table has all that a job costs." || bad=1
    if [ -s "$dir/timeline.json" ]; then
        awk -F '[:,{}"]+' -v OFS='\t' 'BEGIN { print "thread", "from (ms)", "to (ms)" }
            /"ph":"X"/ { match($0, /"tid":[0-9]+/); t = substr($0, RSTART + 6, RLENGTH - 6)
                match($0, /"ts":[0-9.]+/); a = substr($0, RSTART + 5, RLENGTH - 5)
                match($0, /"dur":[0-9.]+/); d = substr($0, RSTART + 6, RLENGTH - 6)
                printf "%d\t%.3f\t%.3f\n", t, a / 1000, (a + d) / 1000 }' \
            "$dir/timeline.json" >"$work/timeline.tsv"
        awk -F '\t' -v OFS='\t' 'NR > 1 { n[$1]++; busy[$1] += $3 - $2
                if ($3 > end) end = $3 }
            END { print "pool thread", "jobs", "busy (ms)", "of (ms)"
                for (t = 1; t in n; t++) printf "%d\t%d\t%.2f\t%.2f\n", t, n[t], busy[t], end }' \
            "$work/timeline.tsv" >"$work/timeline.text.tsv"
        draw timeline timeline 0 "milliseconds" "pool thread" \
            "Timeline: what each pool thread did when" \
            "A box is a job; three bursts of 40. timeline.json opens in Perfetto (ui.perfetto.dev)." || bad=1
        awk -v OFS='\t' 'BEGIN { print "ms", "jobs that wait"; fflush() }
            /"ph":"C"/ { match($0, /"ts":[0-9.]+/); a = substr($0, RSTART + 5, RLENGTH - 5)
                match($0, /"value":[0-9]+/); v = substr($0, RSTART + 8, RLENGTH - 8)
                printf "%.3f\t%d\n", a / 1000, v | "sort -n" }' "$dir/timeline.json" >"$work/queue.tsv"
        awk -F '\t' -v OFS='\t' 'NR > 1 { if ($2 > most) { most = $2; at = $1 } s += $2; n++ }
            END { print "jobs that wait", "", ""; print "most", most, "at " at " ms"
                printf "mean\t%.1f\tof %d looks\n", s / (n ? n : 1), n }' \
            "$work/queue.tsv" >"$work/queue.text.tsv"
        draw queue steps 0 "milliseconds" "jobs that wait" \
            "Queue length over time" "Of the same run: submitted, and not yet begun." || bad=1
    fi
fi
if [ -s "$dir/tables.tsv" ]; then
    section Tables
    measured tables
    both tables tables -v metric=throughput -v row=4 -v col=2 -v by=1000000 \
        -v head=threads
    draw tables lines 0 "threads" "million operations a second" \
        "Table: throughput by threads" "100,000 keys of 16 bytes, values of 100." || bad=1
fi
if [ -s "$dir/stores.tsv" ]; then
    section Stores
    measured stores
    both stores-random stores -v metric=throughput -v workload='^random' \
        -v subject='^(kvs|lmdb)$' -v row=2 -v col=3 -v by=1000 -v threads=1 -v head=store
    sed -i 's/, \([0-9]*\) threads/ (\1)/' "$work"/stores-random*.tsv
    draw stores-random bars 0 "" "thousand a second" \
        "kvs against lmdb: random read and random write" \
        "Keys of 16 bytes, values of 100; not durable. (2): with two threads." || bad=1
    pivot stores -v metric="throughput|time|space" -v row=2 -v col=3 -v threads=1 -v head="all cells" \
        >"$work/stores-all.text.tsv"
    pivot stores -v metric=throughput -v row=2 -v col=3 -v by=1000 -v threads=1 -v range=1 -v head=cell |
        sed 's/set, batches of 64/batches/; s/durable set/durable/; s/ threads//' >"$work/stores-all.tsv"
    draw stores-all marks 1 "" "thousand a second" "Stores: every cell" \
        "Logarithmic. In the table: operations a second; reopen in nanoseconds; space in live data. A durable set waits until the disk has it: alone for itself; of 16 threads many may wait for one and the same sync, as the 50 connections of the server do below." || bad=1
fi
if [ -s "$dir/loops.tsv" ]; then
    section "Two loops"
    measured loops
    pivot loops -v metric="p50|p90|p99|p99.9|max" -v row=5 -v col=3 -v by=1000000 \
        -v head=ms >"$work/loops.tsv"
    draw loops points 1 "" "milliseconds" \
        "Latency percentiles: the server stands still for one second" \
        "Both loops: 4 connections, one request in flight on each. The closed loop sends nothing while the server stands, and hardly notices; users do not stop. The open loop has 2,000 requests a second, and counts from when each was due. Logarithmic." || bad=1
fi
if [ -s "$dir/single.tsv" ]; then
    section "One thread or many"
    measured single
    # As multiples of what one thread does: a bar then says something.
    pivot single -v metric=throughput -v row=2 -v col=4 -v range=1 -v head="times one thread" |
        awk -F '\t' -v OFS='\t' '
            NR == 1 { for (i = 2; i <= NF; i += 3) $i = $i ($i == 1 ? " thread" : " threads") }
            NR > 1 { one = $2; for (i = 2; i <= NF; i++)
                $i = $i == "?" || one + 0 == 0 ? "?" : sprintf("%.3f", $i / one) } 1' \
        >"$work/single.tsv"
    pivot single -v metric="throughput|client-busy|client-cpu|server-cpu" -v row=2 -v with=4 -v col=5 \
        -v head="workload, threads of the server" | heads |
        { read -r head; printf '%s\n' "$head"; sort -s -t, -k1,1; } >"$work/single.text.tsv"
    draw single bars 0 "" "times what one thread does" \
        "Single-threaded against multi-threaded" \
        "Threads of the server. Small gets: 50 connections of depth 16; large gets, of 256 KiB: 16 of depth 1; durable sets: 50 of depth 1, which share syncs. Closed loop, every reply verified. The generator, one thread, runs on the same CPUs: see how busy it was." || bad=1
fi
if [ -s "$dir/server.tsv" ]; then     # of make peers
    pivot server -v metric=cpu -v row=2 -v col=3 -v head="CPU ns a request" >"$work/peers.tsv"
    section "Peers"
    measured server
    draw peers bars 0 "" "CPU nanoseconds a request" "The server beside its peers" \
        "CPU time of the server; less is better. Measured by make peers." || bad=1
fi
if [ -s "$dir/course.tsv" ]; then
    section "The benchmarks of the course"
    measured course
    for w in read write; do
        pivot course -v metric=throughput -v workload="^$w$" -v row=4 -v col=3 -v range=1 \
            -v by=1000 -v head=threads >"$work/course-$w.tsv"
        pivot course -v metric="throughput|client-busy|client-cpu|server-cpu" -v workload="^$w$" \
            -v row=3 -v with=4 -v col=5 -v head="server, threads" | heads >"$work/course-$w.text.tsv"
        draw "course-$w" lines 0 "threads of the server" "thousand a second" \
            "Course: $w" "1,000 keys of equal length; 50 connections of depth 1, closed loop; every reply verified. The generator, one thread, runs on the same CPUs." || bad=1
    done
fi

{
    cat stage4-bench/page_head.html
    printf '<p>Measured on: %s, %s CPUs, %s memory, %s. The tables in *.tsv have least and most of every figure.</p>\n' \
        "$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1 | escape)" \
        "$(nproc)" "$(awk '/^MemTotal/ { printf "%.0f GiB", $2 / 1048576 }' /proc/meminfo)" \
        "$(uname -sr | escape)"
    cat "$body"
    printf '</body></html>\n'
} >"$dir/index.html.new" && mv "$dir/index.html.new" "$dir/index.html"
exit $bad
