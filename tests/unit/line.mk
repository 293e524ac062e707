# Unit tests of src/line.
if HAVE_CMOCKA
LINE_TESTS = tests/unit/test_checksum tests/unit/test_framer
check_PROGRAMS += $(LINE_TESTS)
TESTS += $(LINE_TESTS)

tests_unit_test_checksum_SOURCES = tests/unit/test_checksum.c
tests_unit_test_checksum_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_checksum_LDADD = $(LINE_LIBS) $(CMOCKA_LIBS) -lm

tests_unit_test_framer_SOURCES = tests/unit/test_framer.c
tests_unit_test_framer_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_framer_LDADD = $(LINE_LIBS) $(CMOCKA_LIBS) -lm
endif
