# What the tests share, and the unit tests: tests/unit/test_X.c for each X.c.
check_LIBRARIES += libcommon.a
libcommon_a_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/tests
libcommon_a_CFLAGS = $(AM_CFLAGS) $(JSON_CFLAGS)
libcommon_a_SOURCES = tests/common/control.c tests/common/control.h

EXTRA_DIST += tests/tsan.supp

# Stand-ins that can be told what to do: a link, sinks, and a running ThingsBoard bench.
check_LIBRARIES += libfake.a
libfake_a_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/tests
libfake_a_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS) $(JSON_CFLAGS)
libfake_a_SOURCES = \
	tests/fake/bench.c tests/fake/bench.h \
	tests/fake/fake_link.c tests/fake/fake_link.h \
	tests/fake/names.c tests/fake/names.h \
	tests/fake/sinks.c tests/fake/sinks.h \
	tests/fake/thingsboard.c tests/fake/thingsboard.h

# For tests that use fake/memory.h. Not in libfake.a, whose other members allocate too.
FAKE_MEMORY = -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc,--wrap=strdup,--wrap=strndup
FAKE_MEMORY_SOURCES = tests/fake/memory.c tests/fake/memory.h

include tests/unit/base.mk
include tests/unit/model.mk
include tests/unit/line.mk
include tests/unit/conf.mk
include tests/unit/field.mk
include tests/unit/flow.mk
include tests/unit/cloud.mk
include tests/unit/control.mk
