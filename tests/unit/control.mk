# Unit tests of src/control.
if HAVE_CMOCKA
CONTROL_TESTS = tests/unit/test_protocol tests/unit/test_control_server tests/unit/test_report
check_PROGRAMS += $(CONTROL_TESTS)
TESTS += $(CONTROL_TESTS)

CONTROL_TEST_LIBS = libcontrol.a libmodel.a libbase.a $(JSON_LIBS) $(SYSTEMD_LIBS) $(CMOCKA_LIBS) -lm

tests_unit_test_protocol_SOURCES = tests/unit/test_protocol.c
tests_unit_test_protocol_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_protocol_LDADD = $(CONTROL_TEST_LIBS)

tests_unit_test_control_server_SOURCES = tests/unit/test_control_server.c
tests_unit_test_control_server_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS) $(JSON_CFLAGS) $(SYSTEMD_CFLAGS)
tests_unit_test_control_server_LDADD = $(CONTROL_TEST_LIBS)

tests_unit_test_report_SOURCES = tests/unit/test_report.c
tests_unit_test_report_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS) $(JSON_CFLAGS)
tests_unit_test_report_LDADD = $(CONTROL_TEST_LIBS)
endif
