# Unit tests of src/field, and their fakes: settings in a few lines, and a scripted link.
if HAVE_CMOCKA
FIELD_TESTS = \
	tests/unit/test_bus \
	tests/unit/test_errands \
	tests/unit/test_field \
	tests/unit/test_frame \
	tests/unit/test_link \
	tests/unit/test_memory \
	tests/unit/test_pdu \
	tests/unit/test_plan \
	tests/unit/test_schedule \
	tests/unit/test_instrument \
	tests/unit/test_serial \
	tests/unit/test_talk \
	tests/unit/test_talker \
	tests/unit/test_unit \
	tests/unit/test_writer
check_PROGRAMS += $(FIELD_TESTS)
TESTS += $(FIELD_TESTS)


FIELD_TEST_LIBS = libfake.a libfield.a $(LINE_LIBS) $(MODBUS_LIBS) $(SERIALPORT_LIBS) $(CMOCKA_LIBS) -lm

tests_unit_test_bus_SOURCES = tests/unit/test_bus.c
tests_unit_test_bus_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/tests
tests_unit_test_bus_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_bus_LDADD = $(FIELD_TEST_LIBS)

tests_unit_test_field_SOURCES = tests/unit/test_field.c
tests_unit_test_field_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/tests
tests_unit_test_field_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_field_LDFLAGS = $(AM_LDFLAGS) $(FAKE_NAMES)
tests_unit_test_field_LDADD = $(FIELD_TEST_LIBS)

tests_unit_test_frame_SOURCES = tests/unit/test_frame.c
tests_unit_test_frame_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/tests
tests_unit_test_frame_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_frame_LDADD = $(FIELD_TEST_LIBS)

tests_unit_test_link_SOURCES = tests/unit/test_link.c
tests_unit_test_link_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/tests
tests_unit_test_link_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_link_LDADD = $(FIELD_TEST_LIBS)
tests_unit_test_link_LDFLAGS = $(AM_LDFLAGS) -Wl,--wrap=resolver_ask

tests_unit_test_memory_SOURCES = tests/unit/test_memory.c
tests_unit_test_memory_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/tests
tests_unit_test_memory_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_memory_LDADD = $(FIELD_TEST_LIBS)

tests_unit_test_pdu_SOURCES = tests/unit/test_pdu.c
tests_unit_test_pdu_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/tests
tests_unit_test_pdu_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_pdu_LDADD = $(FIELD_TEST_LIBS)

tests_unit_test_plan_SOURCES = tests/unit/test_plan.c
tests_unit_test_plan_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/tests
tests_unit_test_plan_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_plan_LDADD = $(FIELD_TEST_LIBS)

tests_unit_test_schedule_SOURCES = tests/unit/test_schedule.c
tests_unit_test_schedule_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/tests
tests_unit_test_schedule_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_schedule_LDADD = $(FIELD_TEST_LIBS)

tests_unit_test_serial_SOURCES = tests/unit/test_serial.c
tests_unit_test_serial_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/tests
tests_unit_test_serial_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_serial_LDADD = $(FIELD_TEST_LIBS)
# Drivers and adapters that a test machine does not have.
tests_unit_test_serial_LDFLAGS = $(AM_LDFLAGS) -Wl,--wrap=ioctl,--wrap=tcsetattr,--wrap=sp_list_ports,--wrap=sp_free_port_list \
	-Wl,--wrap=sp_get_port_usb_vid_pid,--wrap=sp_get_port_usb_serial,--wrap=sp_get_port_name

tests_unit_test_instrument_SOURCES = tests/unit/test_instrument.c
tests_unit_test_instrument_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/tests
tests_unit_test_instrument_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_instrument_LDADD = $(FIELD_TEST_LIBS)

tests_unit_test_talk_SOURCES = tests/unit/test_talk.c
tests_unit_test_talk_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/tests
tests_unit_test_talk_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_talk_LDADD = $(FIELD_TEST_LIBS)

tests_unit_test_errands_SOURCES = tests/unit/test_errands.c
tests_unit_test_errands_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/tests
tests_unit_test_errands_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_errands_LDADD = $(FIELD_TEST_LIBS)

tests_unit_test_talker_SOURCES = tests/unit/test_talker.c
tests_unit_test_talker_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/tests
tests_unit_test_talker_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_talker_LDADD = $(FIELD_TEST_LIBS)

tests_unit_test_unit_SOURCES = tests/unit/test_unit.c
tests_unit_test_unit_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/tests
tests_unit_test_unit_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_unit_LDADD = $(FIELD_TEST_LIBS)

tests_unit_test_writer_SOURCES = tests/unit/test_writer.c
tests_unit_test_writer_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/tests
tests_unit_test_writer_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_writer_LDADD = $(FIELD_TEST_LIBS)
endif
