# Cost against devices, and how late polls and RPC are, from what bench.py --json wrote:
#     gnuplot -e "from='bench.json'; to='bench.svg'" plot.gnuplot
set terminal svg size 960,720 dynamic font "sans,13" background "white"
set output to
set multiplot layout 2,2
set grid
set style data linespoints
unset key

set title "CPU a value delivered"
set xlabel "devices, 10 values a second each"
set ylabel "us"
set yrange [0:*]
plot from.".cpu_us_by_devices" pt 7

set title "Resident memory"
set ylabel "MB"
plot from.".rss_mb_by_devices" pt 7

set style data lines
set yrange [0:100]
set title "Polls no later than"
set xlabel "ms"
set ylabel "% of polls"
set key bottom right
plot from.".late_ms_100" title "100 devices", from.".late_ms_300" title "300", from.".late_ms_1000" title "1000"

unset key
set title "RPC answered within, idle"
set xlabel "us"
set ylabel "% of calls"
plot from.".rpc_us"
unset multiplot
