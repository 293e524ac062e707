# Unit tests of src/line.
if HAVE_CMOCKA
LINE_TESTS = tests/unit/test_checksum tests/unit/test_framer tests/unit/test_number tests/unit/test_pattern tests/unit/test_template \
	tests/unit/test_listener
check_PROGRAMS += $(LINE_TESTS)
TESTS += $(LINE_TESTS)

tests_unit_test_checksum_SOURCES = tests/unit/test_checksum.c
tests_unit_test_checksum_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_checksum_LDADD = $(LINE_LIBS) $(CMOCKA_LIBS) -lm

tests_unit_test_framer_SOURCES = tests/unit/test_framer.c
tests_unit_test_framer_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_framer_LDADD = $(LINE_LIBS) $(CMOCKA_LIBS) -lm

tests_unit_test_number_SOURCES = tests/unit/test_number.c
tests_unit_test_number_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_number_LDADD = $(LINE_LIBS) $(CMOCKA_LIBS) -lm

tests_unit_test_pattern_SOURCES = tests/unit/test_pattern.c
tests_unit_test_pattern_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_pattern_LDADD = $(LINE_LIBS) $(CMOCKA_LIBS) -lm

tests_unit_test_template_SOURCES = tests/unit/test_template.c
tests_unit_test_template_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_template_LDADD = $(LINE_LIBS) $(CMOCKA_LIBS) -lm

# Points are described as a user does it.
tests_unit_test_listener_SOURCES = tests/unit/test_listener.c $(FAKE_MEMORY_SOURCES)
tests_unit_test_listener_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/tests -DSRCDIR='"$(abs_top_srcdir)"'
tests_unit_test_listener_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_listener_LDFLAGS = $(AM_LDFLAGS) $(FAKE_MEMORY)
tests_unit_test_listener_LDADD = libconf.a $(LINE_LIBS) $(CONFIG_LIBS) $(CMOCKA_LIBS) -lm
endif
