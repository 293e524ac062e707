# Benchmarks: figures against floors measured in the same run. They judge nothing in "make check", since a busy machine would.
#     make bench                       # every row
#     make bench ROWS="rpc scale"      # some of them
#     make bench-plot                  # cost against devices and latencies, as bench.svg; needs gnuplot
FLOORS = tests/perf/floor_poll tests/perf/floor_pipe tests/perf/floor_rpc
EXTRA_PROGRAMS += $(FLOORS)
CLEANFILES += $(FLOORS)
tests_perf_floor_poll_SOURCES = tests/perf/floor_poll.c tests/perf/meter.h
tests_perf_floor_poll_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/tests
tests_perf_floor_poll_CFLAGS = $(AM_CFLAGS) $(MODBUS_CFLAGS)
tests_perf_floor_poll_LDADD = $(MODBUS_LIBS)
tests_perf_floor_pipe_SOURCES = tests/perf/floor_pipe.c tests/perf/meter.h
tests_perf_floor_pipe_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/tests
tests_perf_floor_pipe_CFLAGS = $(AM_CFLAGS) $(MODBUS_CFLAGS) $(MOSQUITTO_CFLAGS)
tests_perf_floor_pipe_LDADD = $(MODBUS_LIBS) $(MOSQUITTO_LIBS)
tests_perf_floor_rpc_SOURCES = tests/perf/floor_rpc.c
tests_perf_floor_rpc_CFLAGS = $(AM_CFLAGS) $(MODBUS_CFLAGS) $(MOSQUITTO_CFLAGS)
tests_perf_floor_rpc_LDADD = $(MODBUS_LIBS) $(MOSQUITTO_LIBS)
EXTRA_DIST += tests/perf/bench.py tests/perf/plot.gnuplot

.PHONY: bench bench-plot
bench: all $(FLOORS) tests/bench/tbbench tests/sim/modsim
	BUILD='$(abs_builddir)' $(top_srcdir)/tests/perf/bench.py $(ROWS)

bench-plot: all $(FLOORS) tests/bench/tbbench tests/sim/modsim
	BUILD='$(abs_builddir)' $(top_srcdir)/tests/perf/bench.py --json bench.json scale rpc
	gnuplot -e "from='bench.json'; to='bench.svg'" $(top_srcdir)/tests/perf/plot.gnuplot
CLEANFILES += bench.json* bench.svg

# Instructions do not depend on the load of the machine: these are judged.
TESTS += tests/perf/guard
EXTRA_DIST += tests/perf/guard tests/perf/hot_path.c tests/perf/hot_path.figures
