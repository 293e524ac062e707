# Unit tests of src/base.

# What is linked with it asks tests/fake/names.c for addresses.
FAKE_NAMES = -Wl,--wrap=getaddrinfo -Wl,--undefined=__wrap_getaddrinfo

if HAVE_CMOCKA
check_PROGRAMS += tests/unit/test_fifo tests/unit/test_heap tests/unit/test_log tests/unit/test_poll tests/unit/test_resolver tests/unit/test_utf8 \
	tests/unit/test_wall
TESTS += tests/unit/test_fifo tests/unit/test_heap tests/unit/test_log tests/unit/test_poll tests/unit/test_resolver tests/unit/test_utf8 \
	tests/unit/test_wall

tests_unit_test_fifo_SOURCES = tests/unit/test_fifo.c
tests_unit_test_fifo_LDFLAGS = $(AM_LDFLAGS) -Wl,--wrap=eventfd_write
tests_unit_test_fifo_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_fifo_LDADD = libbase.a $(CMOCKA_LIBS)

tests_unit_test_poll_SOURCES = tests/unit/test_poll.c
tests_unit_test_poll_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_poll_LDADD = libbase.a $(CMOCKA_LIBS)

tests_unit_test_heap_SOURCES = tests/unit/test_heap.c
tests_unit_test_heap_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_heap_LDADD = libbase.a $(CMOCKA_LIBS)

tests_unit_test_log_SOURCES = tests/unit/test_log.c
tests_unit_test_log_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_log_LDADD = libbase.a $(CMOCKA_LIBS)

tests_unit_test_resolver_SOURCES = tests/unit/test_resolver.c
tests_unit_test_resolver_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/tests
tests_unit_test_resolver_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_resolver_LDFLAGS = $(AM_LDFLAGS) $(FAKE_NAMES)
tests_unit_test_resolver_LDADD = libfake.a libbase.a $(CMOCKA_LIBS)

tests_unit_test_utf8_SOURCES = tests/unit/test_utf8.c
tests_unit_test_utf8_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_utf8_LDADD = libbase.a $(CMOCKA_LIBS)

tests_unit_test_wall_SOURCES = tests/unit/test_wall.c
tests_unit_test_wall_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_wall_LDADD = libbase.a $(CMOCKA_LIBS)
endif
