# Unit tests of src/conf. Allocations are counted and made to fail by wrapping those of our own objects; libconfig's are not:
# it does not expect them to fail.
CONF_TESTS = tests/unit/test_conf tests/unit/test_conf_files tests/unit/test_difference tests/unit/test_difference_line tests/unit/test_document \
	tests/unit/test_manual tests/unit/test_schema tests/unit/test_syntax
CONF_TEST_LIBS = libconf.a $(LINE_LIBS) $(CONFIG_LIBS) $(CMOCKA_LIBS) -lm
CONF_TEST_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/tests -DSRCDIR='"$(abs_top_srcdir)"'
EXTRA_DIST += tests/conf
TESTS += tests/conf/check.sh

if HAVE_CMOCKA
check_PROGRAMS += $(CONF_TESTS)
TESTS += $(CONF_TESTS)

tests_unit_test_conf_SOURCES = tests/unit/test_conf.c $(FAKE_MEMORY_SOURCES)
tests_unit_test_conf_CPPFLAGS = $(CONF_TEST_CPPFLAGS)
tests_unit_test_conf_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_conf_LDFLAGS = $(AM_LDFLAGS) $(FAKE_MEMORY)
tests_unit_test_conf_LDADD = $(CONF_TEST_LIBS)

tests_unit_test_conf_files_SOURCES = tests/unit/test_conf_files.c
tests_unit_test_conf_files_CPPFLAGS = $(CONF_TEST_CPPFLAGS)
tests_unit_test_conf_files_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_conf_files_LDADD = $(CONF_TEST_LIBS)

# Of src/model; it needs the rows of gateway.conf to see that none is forgotten.
tests_unit_test_difference_SOURCES = tests/unit/test_difference.c $(FAKE_MEMORY_SOURCES)
tests_unit_test_difference_CPPFLAGS = $(CONF_TEST_CPPFLAGS)
tests_unit_test_difference_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_difference_LDFLAGS = $(AM_LDFLAGS) $(FAKE_MEMORY)
tests_unit_test_difference_LDADD = $(CONF_TEST_LIBS)

tests_unit_test_difference_line_SOURCES = tests/unit/test_difference_line.c
tests_unit_test_difference_line_CPPFLAGS = $(CONF_TEST_CPPFLAGS)
tests_unit_test_difference_line_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_difference_line_LDADD = $(CONF_TEST_LIBS)

tests_unit_test_document_SOURCES = tests/unit/test_document.c
tests_unit_test_document_CPPFLAGS = $(CONF_TEST_CPPFLAGS)
tests_unit_test_document_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_document_LDADD = $(CONF_TEST_LIBS)

tests_unit_test_manual_SOURCES = tests/unit/test_manual.c
tests_unit_test_manual_CPPFLAGS = $(CONF_TEST_CPPFLAGS)
tests_unit_test_manual_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_manual_LDADD = $(CONF_TEST_LIBS)

tests_unit_test_schema_SOURCES = tests/unit/test_schema.c
tests_unit_test_schema_CPPFLAGS = $(CONF_TEST_CPPFLAGS)
tests_unit_test_schema_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_schema_LDADD = $(CONF_TEST_LIBS)

tests_unit_test_syntax_SOURCES = tests/unit/test_syntax.c
tests_unit_test_syntax_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_syntax_LDADD = $(CONF_TEST_LIBS)
endif
