# What is measured and not judged, so no part of "make check": make bench-line
EXTRA_PROGRAMS += tests/perf/line_bench
CLEANFILES += tests/perf/line_bench
tests_perf_line_bench_SOURCES = tests/perf/line_bench.c
tests_perf_line_bench_LDADD = libfield.a libmodel.a libbase.a $(MODBUS_LIBS) $(SERIALPORT_LIBS) -lm

.PHONY: bench-line
bench-line: tests/perf/line_bench tests/sim/modsim
	tests/perf/line_bench tests/sim/modsim
