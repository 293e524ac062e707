# The ThingsBoard bench: a broker that behaves like ThingsBoard's MQTT transport.
check_LIBRARIES += libbench.a
libbench_a_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/tests
libbench_a_CFLAGS = $(AM_CFLAGS) $(JSON_CFLAGS)
libbench_a_SOURCES = tests/bench/alloc.c tests/bench/alloc.h \
  tests/bench/buffer.c tests/bench/buffer.h \
  tests/bench/lenient.c tests/bench/lenient.h \
  tests/bench/limiter.c tests/bench/limiter.h \
  tests/bench/mqtt_packet.c tests/bench/mqtt_packet.h \
  tests/bench/telemetry.c tests/bench/telemetry.h \
  tests/bench/timer.c tests/bench/timer.h

check_PROGRAMS += tests/bench/tbbench
tests_bench_tbbench_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/tests
tests_bench_tbbench_CFLAGS = $(AM_CFLAGS) $(JSON_CFLAGS)
tests_bench_tbbench_LDADD = libbench.a libcommon.a $(JSON_LIBS) -lm
tests_bench_tbbench_SOURCES = tests/bench/main.c \
  tests/bench/bench.h \
  tests/bench/broker.c tests/bench/broker.h \
  tests/bench/command.c tests/bench/command.h \
  tests/bench/device.c tests/bench/device.h \
  tests/bench/device_api.c \
  tests/bench/downlink.c \
  tests/bench/gateway_api.c \
  tests/bench/provision.c \
  tests/bench/report.c tests/bench/report.h \
  tests/bench/series.c tests/bench/series.h \
  tests/bench/session.c tests/bench/session.h \
  tests/bench/thingsboard.c tests/bench/thingsboard.h \
  tests/bench/topic.c tests/bench/topic.h

if HAVE_CMOCKA
bench_unit_tests = tests/bench/test_mqtt_packet tests/bench/test_telemetry
check_PROGRAMS += $(bench_unit_tests)
TESTS += $(bench_unit_tests)
endif
tests_bench_test_mqtt_packet_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/tests
tests_bench_test_mqtt_packet_CFLAGS = $(AM_CFLAGS) $(JSON_CFLAGS) $(CMOCKA_CFLAGS)
tests_bench_test_mqtt_packet_LDADD = libbench.a $(JSON_LIBS) $(CMOCKA_LIBS)
tests_bench_test_mqtt_packet_SOURCES = tests/bench/test_mqtt_packet.c
tests_bench_test_telemetry_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/tests
tests_bench_test_telemetry_CFLAGS = $(AM_CFLAGS) $(JSON_CFLAGS) $(CMOCKA_CFLAGS)
tests_bench_test_telemetry_LDADD = libbench.a $(JSON_LIBS) $(CMOCKA_LIBS) -lm
tests_bench_test_telemetry_SOURCES = tests/bench/test_telemetry.c

# The bench as clients that are not ours meet it.
TESTS += tests/bench/bench_test.py
EXTRA_DIST += tests/bench/bench_test.py tests/bench/README.md
