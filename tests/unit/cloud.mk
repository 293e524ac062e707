# Unit tests of src/cloud.
if HAVE_CMOCKA
check_PROGRAMS += tests/unit/test_tb_json
TESTS += tests/unit/test_tb_json

tests_unit_test_tb_json_SOURCES = tests/unit/test_tb_json.c
tests_unit_test_tb_json_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_tb_json_LDFLAGS = $(AM_LDFLAGS) -Wl,--wrap=strdup
tests_unit_test_tb_json_LDADD = libcloud.a libmodel.a libbase.a $(CMOCKA_LIBS) $(JSON_LIBS) -lm

check_PROGRAMS += tests/unit/test_doubt tests/unit/test_held tests/unit/test_limits tests/unit/test_presence
TESTS += tests/unit/test_doubt tests/unit/test_held tests/unit/test_limits tests/unit/test_presence

tests_unit_test_held_SOURCES = tests/unit/test_held.c
tests_unit_test_held_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_held_LDADD = libcloud.a $(CMOCKA_LIBS)

tests_unit_test_presence_SOURCES = tests/unit/test_presence.c
tests_unit_test_presence_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_presence_LDADD = libcloud.a libmodel.a libbase.a $(CMOCKA_LIBS)

tests_unit_test_doubt_SOURCES = tests/unit/test_doubt.c
tests_unit_test_doubt_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_doubt_LDADD = libcloud.a $(CMOCKA_LIBS)

tests_unit_test_limits_SOURCES = tests/unit/test_limits.c
tests_unit_test_limits_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_limits_LDADD = libcloud.a libmodel.a libbase.a $(CMOCKA_LIBS) $(JSON_LIBS) -lm
check_PROGRAMS += tests/unit/test_tb_gateway
TESTS += tests/unit/test_tb_gateway
tests_unit_test_tb_gateway_SOURCES = tests/unit/test_tb_gateway.c
tests_unit_test_tb_gateway_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_tb_gateway_LDADD = libcloud.a libmodel.a libbase.a $(CMOCKA_LIBS) $(JSON_LIBS) -lm

check_PROGRAMS += tests/unit/test_reason
TESTS += tests/unit/test_reason

tests_unit_test_reason_SOURCES = tests/unit/test_reason.c
tests_unit_test_reason_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_reason_LDADD = libcloud.a $(CMOCKA_LIBS)

check_PROGRAMS += tests/unit/test_tb_provision
TESTS += tests/unit/test_tb_provision

tests_unit_test_tb_provision_SOURCES = tests/unit/test_tb_provision.c
tests_unit_test_tb_provision_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_tb_provision_LDADD = libcloud.a libmodel.a libbase.a $(CMOCKA_LIBS) $(JSON_LIBS) -lm

# What talks to a server runs against tbbench.

CLOUD_TEST_LIBS = libcloud.a libflow.a libmodel.a libbase.a $(CMOCKA_LIBS) $(MOSQUITTO_LIBS) $(OPENSSL_LIBS) $(JSON_LIBS) $(SQLITE_LIBS) $(SYSTEMD_LIBS) -lm

check_PROGRAMS += tests/unit/test_sieve
TESTS += tests/unit/test_sieve

tests_unit_test_sieve_SOURCES = tests/unit/test_sieve.c
tests_unit_test_sieve_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_sieve_LDADD = $(CLOUD_TEST_LIBS)

check_PROGRAMS += tests/unit/test_rpc_raw tests/unit/test_journal
TESTS += tests/unit/test_rpc_raw tests/unit/test_journal

tests_unit_test_journal_SOURCES = tests/unit/test_journal.c
tests_unit_test_journal_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_journal_LDADD = libcloud.a libmodel.a libbase.a $(CMOCKA_LIBS) -lm

tests_unit_test_rpc_raw_SOURCES = tests/unit/test_rpc_raw.c
tests_unit_test_rpc_raw_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_rpc_raw_LDADD = libcloud.a libmodel.a libbase.a $(CMOCKA_LIBS) $(JSON_LIBS) -lm

check_PROGRAMS += tests/unit/test_batch
TESTS += tests/unit/test_batch
tests_unit_test_batch_SOURCES = tests/unit/test_batch.c
tests_unit_test_batch_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_batch_LDADD = $(CLOUD_TEST_LIBS)

check_PROGRAMS += tests/unit/test_downlink tests/unit/test_mqtt tests/unit/test_uplink
TESTS += tests/unit/test_downlink tests/unit/test_mqtt tests/unit/test_uplink

tests_unit_test_downlink_SOURCES = tests/unit/test_downlink.c
tests_unit_test_downlink_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_downlink_LDADD = $(CLOUD_TEST_LIBS)

tests_unit_test_mqtt_SOURCES = tests/unit/test_mqtt.c
tests_unit_test_mqtt_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/tests
tests_unit_test_mqtt_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS) $(JSON_CFLAGS) $(SYSTEMD_CFLAGS)
tests_unit_test_mqtt_LDFLAGS = $(AM_LDFLAGS) $(FAKE_NAMES)
tests_unit_test_mqtt_LDADD = libfake.a $(CLOUD_TEST_LIBS)

check_PROGRAMS += tests/unit/test_uplink_fails
TESTS += tests/unit/test_uplink_fails

tests_unit_test_uplink_fails_SOURCES = tests/unit/test_uplink_fails.c $(FAKE_MEMORY_SOURCES)
tests_unit_test_uplink_fails_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/tests
tests_unit_test_uplink_fails_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_uplink_fails_LDFLAGS = $(AM_LDFLAGS) $(FAKE_MEMORY) -Wl,--wrap=pthread_create
tests_unit_test_uplink_fails_LDADD = $(CLOUD_TEST_LIBS)

tests_unit_test_uplink_SOURCES = tests/unit/test_uplink.c
tests_unit_test_uplink_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/tests
tests_unit_test_uplink_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS) $(JSON_CFLAGS) $(SYSTEMD_CFLAGS)
tests_unit_test_uplink_LDFLAGS = $(AM_LDFLAGS) -Wl,--wrap=sd_event_run
tests_unit_test_uplink_LDADD = libfake.a $(CLOUD_TEST_LIBS)
endif
