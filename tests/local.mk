# What the tests share, and the unit tests: tests/unit/test_X.c for each X.c.
check_LIBRARIES += libcommon.a
libcommon_a_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/tests
libcommon_a_CFLAGS = $(AM_CFLAGS) $(JSON_CFLAGS)
libcommon_a_SOURCES = tests/common/control.c tests/common/control.h

EXTRA_DIST += tests/tsan.supp

include tests/unit/base.mk
include tests/unit/model.mk
include tests/unit/conf.mk
include tests/unit/field.mk
include tests/unit/flow.mk
include tests/unit/cloud.mk
