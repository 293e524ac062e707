# Fuzz targets: tests/fuzz/fuzz_X.c defines LLVMFuzzerTestOneInput(). Built with libFuzzer by --enable-fuzzer; otherwise linked
# with replay.c, which runs the seeds in tests/fuzz/seeds/X, and those run in "make check".
#
# A target X is these lines in its room's fragment:
#
#	FUZZ_TARGETS += tests/fuzz/fuzz_X
#	EXTRA_DIST += tests/fuzz/seeds/X
#	tests_fuzz_fuzz_X_SOURCES = tests/fuzz/fuzz_X.c
#	tests_fuzz_fuzz_X_LDFLAGS = $(FUZZ_LINK)
#	tests_fuzz_fuzz_X_LDADD = $(FUZZ_MAIN) the rooms' libraries
FUZZ_TARGETS =

include tests/fuzz/model.mk
include tests/fuzz/line.mk
include tests/fuzz/conf.mk
include tests/fuzz/field.mk
include tests/fuzz/control.mk

check_PROGRAMS += $(FUZZ_TARGETS)

if FUZZER
FUZZ_LINK = $(AM_LDFLAGS) -fsanitize=fuzzer
FUZZ_MAIN =
else
FUZZ_LINK = $(AM_LDFLAGS)
FUZZ_MAIN = libreplay.a
check_LIBRARIES += libreplay.a
libreplay_a_SOURCES = tests/fuzz/replay.c
TESTS += $(FUZZ_TARGETS)
endif

# "make fuzz SECONDS=600" fuzzes in a build of its own, with clang; fuzz-targets says which there are.
.PHONY: fuzz fuzz-targets
fuzz:
	$(top_srcdir)/scripts/fuzz $(SECONDS)

fuzz-targets:
	@echo $(FUZZ_TARGETS)
