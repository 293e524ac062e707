# Unit tests of src/flow.
if HAVE_CMOCKA
FLOW_TESTS = tests/unit/test_filter tests/unit/test_spool tests/unit/test_stamps tests/unit/test_store \
	tests/unit/test_store_disk tests/unit/test_window
check_PROGRAMS += $(FLOW_TESTS)
TESTS += $(FLOW_TESTS)

tests_unit_test_filter_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_filter_SOURCES = tests/unit/test_filter.c
tests_unit_test_filter_LDADD = libflow.a libmodel.a libbase.a $(CMOCKA_LIBS) -lm

tests_unit_test_spool_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_spool_SOURCES = tests/unit/test_spool.c
tests_unit_test_spool_LDFLAGS = $(AM_LDFLAGS) -Wl,--wrap=renameat
tests_unit_test_spool_LDADD = libflow.a libmodel.a libbase.a $(CMOCKA_LIBS) $(SQLITE_LIBS) -lm

tests_unit_test_store_disk_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_store_disk_SOURCES = tests/unit/test_store_disk.c
tests_unit_test_store_disk_LDADD = libflow.a libmodel.a libbase.a $(CMOCKA_LIBS) $(SQLITE_LIBS) -lm

tests_unit_test_store_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_store_SOURCES = tests/unit/test_store.c
tests_unit_test_store_LDADD = libflow.a libmodel.a libbase.a $(CMOCKA_LIBS) $(SQLITE_LIBS) -lm

tests_unit_test_stamps_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_stamps_SOURCES = tests/unit/test_stamps.c
tests_unit_test_stamps_LDADD = libflow.a $(CMOCKA_LIBS)

tests_unit_test_window_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_window_SOURCES = tests/unit/test_window.c
tests_unit_test_window_LDADD = libflow.a libmodel.a libbase.a $(CMOCKA_LIBS) -lm
endif
