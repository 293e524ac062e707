# Fuzz targets of src/control.
FUZZ_TARGETS += tests/fuzz/fuzz_control
EXTRA_DIST += tests/fuzz/seeds/control
tests_fuzz_fuzz_control_SOURCES = tests/fuzz/fuzz_control.c
tests_fuzz_fuzz_control_LDFLAGS = $(FUZZ_LINK)
tests_fuzz_fuzz_control_LDADD = $(FUZZ_MAIN) libcontrol.a libmodel.a libbase.a $(JSON_LIBS) -lm
