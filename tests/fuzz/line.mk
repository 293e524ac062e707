# Fuzz targets of src/line. The instruments are those of tests/instruments.
FUZZ_TARGETS += tests/fuzz/fuzz_line
EXTRA_DIST += tests/fuzz/seeds/line
tests_fuzz_fuzz_line_SOURCES = tests/fuzz/fuzz_line.c
tests_fuzz_fuzz_line_CPPFLAGS = $(AM_CPPFLAGS) -DSRCDIR='"$(abs_top_srcdir)"'
tests_fuzz_fuzz_line_LDFLAGS = $(FUZZ_LINK)
tests_fuzz_fuzz_line_LDADD = $(FUZZ_MAIN) libconf.a $(LINE_LIBS) $(CONFIG_LIBS) -lm
