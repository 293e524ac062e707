# Unit tests of src/flow.
if HAVE_CMOCKA
check_PROGRAMS += tests/unit/test_filter tests/unit/test_stamps tests/unit/test_store tests/unit/test_window
TESTS += tests/unit/test_filter tests/unit/test_stamps tests/unit/test_store tests/unit/test_window

tests_unit_test_filter_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_filter_SOURCES = tests/unit/test_filter.c
tests_unit_test_filter_LDADD = libflow.a libmodel.a libbase.a $(CMOCKA_LIBS) -lm

tests_unit_test_store_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_store_SOURCES = tests/unit/test_store.c
tests_unit_test_store_LDADD = libflow.a libbase.a $(CMOCKA_LIBS)

tests_unit_test_stamps_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_stamps_SOURCES = tests/unit/test_stamps.c
tests_unit_test_stamps_LDADD = libflow.a $(CMOCKA_LIBS)

tests_unit_test_window_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_window_SOURCES = tests/unit/test_window.c
tests_unit_test_window_LDADD = libflow.a libmodel.a libbase.a $(CMOCKA_LIBS) -lm
endif
