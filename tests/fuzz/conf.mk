# Fuzz targets of src/conf.
FUZZ_TARGETS += tests/fuzz/fuzz_conf
EXTRA_DIST += tests/fuzz/seeds/conf
tests_fuzz_fuzz_conf_SOURCES = tests/fuzz/fuzz_conf.c
tests_fuzz_fuzz_conf_LDFLAGS = $(FUZZ_LINK)
tests_fuzz_fuzz_conf_LDADD = $(FUZZ_MAIN) libconf.a $(LINE_LIBS) $(CONFIG_LIBS) -lm
