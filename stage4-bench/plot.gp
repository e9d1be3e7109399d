# plot.gp -- one plot: gnuplot -e "kind='lines'; in='x.tsv'; out='x.svg';
# xlabel='..'; ylabel='..'; log=0; range=0" plot.gp
#
# kind lines: a curve a column over the first column (numbers); steps: so, as
# values that stay until the next; bars: a group a row; marks: so, as points,
# where the scale has no zero for a bar to begin at; points: a curve a column
# over the rows' names; timeline: rows of thread, begin, end (ms).
#
# range=1: behind each column stand the least and the most of its runs.
set terminal svg size 640,420 font 'sans-serif,15' background '#ffffff' linewidth 1.5
set output out
set datafile separator '\t'
set datafile missing '?'
set border 3 lw 0.8
set tics nomirror scale 0.6,0
set grid ytics lc rgb '#dddddd'
set key above horizontal
set xlabel xlabel offset 0,0.5
set ylabel ylabel
array color[6] = ['#0063a6', '#d4590b', '#00785a', '#a0378a', '#8a6d00', '#5b5b5b']
do for [i = 1:6] { set linetype i lc rgb color[i] lw 2 pt i }
if (kind eq 'timeline') { stats in using 1 skip 1 nooutput } else { stats in using 2 skip 1 nooutput }
n = kind eq 'timeline' ? 3 : int(system("head -n 1 '".in."' | awk -F '\t' '{ print NF }'"))
w = range ? 3 : 1
set format y '%g'
if (log) { set logscale y } else { set yrange [0:*] }
if (kind eq 'lines') {
    if (range) {
        plot for [i = 2:n:w] in using 1:i:i+1:i+2:xtic(1) with yerrorlines lt (i - 2) / w + 1 title columnheader(i)
    } else {
        plot for [i = 2:n] in using 1:i:xtic(1) with linespoints title columnheader(i)
    }
}
if (kind eq 'steps') {
    plot for [i = 2:n] in using 1:i with steps title columnheader(i)
}
if (kind eq 'points') {
    set xrange [-0.3:STATS_records - 0.7]
    plot for [i = 2:n] in using 0:i:xtic(1) with linespoints title columnheader(i)
}
if (STATS_records > 4 && kind ne 'points') { set xtics rotate by -25 }
if (kind eq 'marks') {
    set xrange [-0.5:STATS_records - 0.5]
    # The names once, not for every curve.
    eval(system("awk -F '\t' 'NR > 1 { s = s (NR > 2 ? \",\" : \"\") \"\\042\" $1 \"\\042 \" NR - 2 } END { print \"set xtics (\" s \")\" }' '".in."'"))
    m = (n - 1) / w
    at(i) = ((i - 2) / w - (m - 1) / 2.0) * 0.16
    plot for [i = 2:n:w] in using ($0 + at(i)):i:i+1:i+2 with yerrorbars lt (i - 2) / w + 1 title columnheader(i)
}
if (kind eq 'bars') {
    set style data histograms
    if (range) { set style histogram errorbars gap 1 lw 1.5 } else { set style histogram clustered gap 1 }
    set style fill solid 0.75 border lc rgb '#444444'
    set xtics scale 0
    if (range) {
        plot for [i = 2:n:w] in using i:i+1:i+2:xtic(1) title columnheader(i)
    } else {
        plot for [i = 2:n] in using i:xtic(1) title columnheader(i)
    }
}
if (kind eq 'timeline') {
    unset key
    set xtics norotate
    set yrange [0.4:STATS_max + 0.6]
    set ytics 1
    set style fill solid 0.8 border lc rgb '#ffffff'
    plot in skip 1 using 2:1:2:3:($1 - 0.35):($1 + 0.35) with boxxyerror lw 0.3 lc rgb color[1]
}
