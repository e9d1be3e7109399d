# plot.gp -- one plot: gnuplot -e "kind='lines'; in='x.tsv'; out='x.svg';
# xlabel='..'; ylabel='..'; log=0" plot.gp
#
# kind lines: a curve a column over the first column (numbers); steps: so, as
# values that stay until the next; bars: a group a row; points: a curve a
# column over the rows' names; timeline: rows of thread, begin, end (ms).
set terminal svg size 640,420 font 'sans-serif,15' background '#ffffff' linewidth 1.5
set output out
set datafile separator '\t'
set datafile missing '?'
set border 3
set tics nomirror
set grid ytics lc rgb '#dddddd'
set key below horizontal
set xlabel xlabel
set ylabel ylabel
array color[6] = ['#0063a6', '#d4590b', '#00785a', '#a0378a', '#8a6d00', '#5b5b5b']
do for [i = 1:6] { set linetype i lc rgb color[i] lw 2 pt i }
if (kind eq 'timeline') { stats in using 1 skip 1 nooutput } else { stats in using 2 skip 1 nooutput }
n = kind eq 'timeline' ? 3 : int(system("head -n 1 '".in."' | awk -F '\t' '{ print NF }'"))
if (log) { set logscale y } else { set yrange [0:*] }
if (kind eq 'lines') {
    set xtics 1
    plot for [i = 2:n] in using 1:i with linespoints lw 2 title columnheader(i)
}
if (kind eq 'steps') {
    plot for [i = 2:n] in using 1:i with steps lw 2 title columnheader(i)
}
if (kind eq 'points') {
    set xrange [-0.3:STATS_records - 0.7]
    plot for [i = 2:n] in using 0:i:xtic(1) with linespoints lw 2 title columnheader(i)
}
if (kind eq 'bars') {
    set style data histograms
    set style histogram clustered gap 1
    set style fill solid 0.85 border -1
    set xtics scale 0
    if (STATS_records > 4) { set xtics rotate by -25 }
    plot for [i = 2:n] in using i:xtic(1) title columnheader(i)
}
if (kind eq 'timeline') {
    unset key
    set yrange [0.4:STATS_max + 0.6]
    set ytics 1
    set style fill solid 0.8 border lc rgb '#ffffff'
    plot in skip 1 using 2:1:2:3:($1 - 0.35):($1 + 0.35) with boxxyerror lc rgb color[1]
}
