/* What is known about the gateway, as JSON, as tables and as metrics. */
#include <json-c/json.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "control/look.h"
#include "control/prometheus.h"
#include "control/report.h"
#include "control/table.h"
#include "control/watch.h"

#define NOW_US 100000000000
#define NOW_MS 1795634658878

static struct bus buses[2];
static struct point points[3];
static struct device devices[2];
static struct settings settings;
static struct health_unit units[1];
static struct health_point seen[3];
static struct health_bus plc;
static struct health_bus *reports[2];
static int64_t waits_us[2];
static struct health_device sessions[2];
static struct health_cloud cloud;
static struct health health;

static int
set_up(void **state)
{
	(void)state;
	buses[0] = (struct bus){ .name = "plc", .index = 0, .type = BUS_TCP, .host = "10.0.0.1", .tcp_port = 502 };
	buses[1] = (struct bus){ .name = "met\"er\\s\n", .index = 1, .type = BUS_RTU, .port = "/dev/ttyUSB0" };
	for (size_t i = 0; i < 3; i++)
		points[i] = (struct point){ .device = &devices[i / 2], .bus = &buses[0], .index = i };
	points[0].key = "t";
	points[1].key = "name";
	points[2].key = "bad";
	devices[0] = (struct device){ .name = "Boiler", .index = 0, .points = points, .point_count = 2 };
	devices[1] = (struct device){ .name = "Pump", .index = 1, .points = points + 2, .point_count = 1 };
	settings = (struct settings){ .server = { .host = "tb", .port = 1883 },
		.buses = buses, .bus_count = 2, .devices = devices, .device_count = 2, .point_count = 3 };
	units[0] = (struct health_unit){ .unit = 7,
		.state = HEALTH_UNIT_SUSPECT,
		.since_mono_us = NOW_US - 90000000,
		.answered_mono_us = NOW_US - 1500000,
		.requests = 107,
		.answers = 100,
		.timeouts = 2,
		.exceptions = 5,
		.by_exception = { [0] = 1, [2] = 4 },
		.latency_count = 100,
		.latency_sum_us = 250000,
		.latency_p50_us = 2000,
		.latency_p95_us = 4000,
		.latency_max_us = 9000 };
	for (size_t i = 0; i < 3; i++)
		seen[i] = (struct health_point){ .point = &points[i], .quality = QUALITY_GOOD, .taken_unix_ms = NOW_MS - 500,
			.taken_mono_us = NOW_US - 500000 };
	seen[0].value = (struct health_value){ .kind = VALUE_REAL, .decimals = 1, .real = 21.25 };
	health_value_set(&seen[1].value, &(struct value){ .kind = VALUE_TEXT, .text = (char[]){ "\x1b[2J\xc2\x9b" "31mred" } });
	seen[2] = (struct health_point){ .point = &points[2], .quality = QUALITY_REFUSED, .exception = 2,
		.retry_mono_us = NOW_US + 600000000 };
	plc = (struct health_bus){ .bus = &buses[0], .taken_mono_us = NOW_US, .state = HEALTH_BUS_OPEN,
		.since_mono_us = NOW_US - 5000000, .opened = 1, .load = 0.125, .stretch = 1, .line = { .noise_bytes = 3 },
		.unit_count = 1, .units = units, .point_count = 3, .points = seen };
	reports[0] = &plc;
	reports[1] = NULL;
	waits_us[0] = 0;
	waits_us[1] = 4000000;
	sessions[0] = (struct health_device){ .state = HEALTH_SESSION_UP, .since_mono_ms = NOW_US / 1000 - 60000, .in_flight = 1,
		.rows = 12, .oldest_unix_ms = NOW_MS - 30000, .messages = 50, .acked = 49, .acked_rows = 98 };
	sessions[1] = (struct health_device){ .state = HEALTH_SESSION_WAITING, .why = "refused", .since_mono_ms = 1000,
		.rpc_requests = 3, .rpc_errors = 1 };
	cloud = (struct health_cloud){ .taken_mono_us = NOW_US, .clock_set = true, .mqtt_version = 5, .values = 1000,
		.store = { .rows = 12, .on_disk = true, .disk_error = 28, .dropped_rows = 4 },
		.device_count = 2, .devices = sessions };
	health = (struct health){ .settings = &settings,
		.process = { .version = "1", .uptime_s = 100, .rss_bytes = 5000000, .log_level = "info" },
		.now_mono_us = NOW_US, .now_unix_ms = NOW_MS, .values_per_s = 85.4, .buses = reports, .bus_waits_us = waits_us,
		.cloud = &cloud };
	return 0;
}

static struct json_object *
parse(enum report_detail detail)
{
	struct json_tokener *tokener = json_tokener_new();
	size_t length = 0;
	char *text = report_status(&health, detail, &length);
	struct json_object *object;

	json_tokener_set_flags(tokener, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
	assert_non_null(text);
	assert_int_equal(length, strlen(text));
	assert_int_equal(text[length - 1], '\n');
	assert_null(memchr(text, '\n', length - 1)); /* one line */
	object = json_tokener_parse_ex(tokener, text, (int)length + 1);
	assert_int_equal(json_tokener_get_error(tokener), json_tokener_success);
	json_tokener_free(tokener);
	free(text);
	return object;
}

static void
test_numbers_are_where_they_belong(void **state)
{
	struct json_object *status = parse(REPORT_FULL);
	const struct json_object *bus = look_element(status, "buses", 0);
	const struct json_object *unit = look_element(bus, "units", 0);
	const struct json_object *boiler = look_element(status, "devices", 0);
	const struct json_object *pump = look_element(status, "devices", 1);

	(void)state;
	assert_true(look_truth(status, "ok"));
	assert_string_equal(look_text(bus, "at"), "10.0.0.1:502");
	assert_true(look_number(bus, "load", 0) == 0.125);
	assert_null(look_at(bus, "silent_s"));
	assert_int_equal(look_count(bus, "line.noise_bytes"), 3);
	assert_true(look_number(look_element(status, "buses", 1), "silent_s", 0) == 4);
	assert_null(look_at(look_element(status, "buses", 1), "state")); /* it never answered */
	assert_string_equal(look_text(unit, "state"), "suspect");
	assert_true(look_number(unit, "since_s", 0) == 90);
	assert_true(look_number(unit, "answered_s", 0) == 1.5);
	assert_int_equal(look_count(unit, "exceptions.2"), 4);
	assert_int_equal(look_count(unit, "exceptions.other"), 1);
	assert_true(look_number(unit, "latency_ms.p95", 0) == 4);
	assert_string_equal(look_text(boiler, "session"), "up");
	assert_true(look_number(boiler, "oldest_s", 0) == 30);
	assert_true(look_number(look_element(boiler, "points", 0), "value", 0) == 21.2);
	assert_true(look_number(look_element(boiler, "points", 0), "age_s", 0) == 0.5);
	assert_string_equal(look_text(look_element(boiler, "points", 1), "value"), "\x1b[2J\xc2\x9b" "31mred");
	assert_int_equal(look_count(look_element(pump, "points", 0), "exception"), 2);
	assert_int_equal(look_count(pump, "points_good"), 0);
	assert_null(look_at(pump, "value_s"));
	assert_int_equal(look_count(pump, "rpc.errors"), 1);
	assert_string_equal(look_text(status, "store.disk"), "failing");
	json_object_put(status);
}

static void
test_a_brief_one_has_no_points(void **state)
{
	struct json_object *status = parse(REPORT_BRIEF);

	(void)state;
	assert_null(look_at(look_element(status, "devices", 0), "points"));
	assert_int_equal(look_count(look_element(status, "devices", 0), "points_good"), 2);
	json_object_put(status);
}

static void
test_before_anybody_answered(void **state)
{
	struct json_object *status;

	(void)state;
	reports[0] = NULL;
	health.cloud = NULL;
	health.cloud_waits_us = 5000000;
	status = parse(REPORT_FULL);
	assert_true(look_number(status, "server.silent_s", 0) == 5);
	assert_int_equal(look_length(status, "devices"), 2);
	json_object_put(status);
}

static char *
print(void (*printer)(const struct json_object *status, FILE *out))
{
	struct json_object *status = parse(REPORT_FULL);
	char *text = NULL;
	size_t length;
	FILE *out = open_memstream(&text, &length);

	printer(status, out);
	fclose(out);
	json_object_put(status);
	return text;
}

static void
print_table(const struct json_object *status, FILE *out)
{
	table_print(status, true, out);
}

static void
print_news(const struct json_object *status, FILE *out)
{
	watch_print_news(NULL, status, "Boiler", out);
}

static void
assert_has(const char *text, const char *part)
{
	if (!strstr(text, part))
		fail_msg("'%s' is not in:\n%s", part, text);
}

static void
test_the_table_says_it_in_words(void **state)
{
	char *text = print(print_table);

	(void)state;
	assert_has(text, "0 of 2 devices answering, 1 of 2 sessions connected, backlog 12 rows");
	assert_has(text, "has not answered for 4.0 s");
	assert_has(text, "suspect 1 min 30 s");
	assert_has(text, "other:1 2:4");
	assert_has(text, "    refused\n");
	assert_has(text, "refused, exception 2  in 10 min 0 s");
	assert_has(text, "disk failing: No space left on device; ");
	assert_has(text, "for want of room 4");
	/* nothing of a device's text steers the terminal */
	assert_has(text, "?[2J??31mred");
	assert_null(strchr(text, '\x1b'));
	assert_null(strstr(text, "\xc2\x9b"));
	free(text);
}

static void
test_a_disk_that_does_not_answer_is_shown(void **state)
{
	char *text;

	(void)state;
	cloud.store = (struct health_store){ .on_disk = true, .disk_busy_ms = HEALTH_DISK_SILENT_MS - 1 };
	text = print(print_table);
	assert_has(text, "on disk, disk well; ");
	free(text);
	cloud.store.disk_busy_ms = 12345;
	text = print(print_table);
	assert_has(text, "on disk, disk has not answered for 12 s; ");
	free(text);
}

static void
test_news_are_lines_and_what_is_not_new_is_none(void **state)
{
	char *text = print(print_news);
	struct json_object *status = parse(REPORT_FULL);
	char *again = NULL;
	size_t length;
	FILE *out = open_memstream(&again, &length);

	(void)state;
	assert_has(text, "2026-11-25T19:24:18.378Z\tBoiler\tt\t21.2\n");
	watch_print_news(status, status, NULL, out);
	fclose(out);
	assert_string_equal(again, "");
	json_object_put(status);
	free(again);
	free(text);
}

static void
test_metrics_are_escaped(void **state)
{
	char *text = print(prometheus_print);

	(void)state;
	assert_has(text, "# TYPE fieldgate_unit_exceptions_total counter\n");
	assert_has(text, "fieldgate_unit_exceptions_total{bus=\"plc\",unit=\"7\",code=\"2\"} 4\n");
	assert_has(text, "fieldgate_unit_latency_seconds{bus=\"plc\",unit=\"7\",quantile=\"0.95\"} 0.004\n");
	assert_has(text, "fieldgate_unit_latency_seconds_sum{bus=\"plc\",unit=\"7\"} 0.25\n");
	assert_has(text, "fieldgate_unit_latency_seconds_count{bus=\"plc\",unit=\"7\"} 100\n");
	assert_has(text, "fieldgate_bus_silent_seconds{bus=\"met\\\"er\\\\s\\n\"} 4\n");
	assert_has(text, "fieldgate_store_disk_well 0\n");
	assert_has(text, "fieldgate_clock_set 1\n");
	assert_has(text, "fieldgate_device_up{device=\"Pump\"} 0\n");
	free(text);
}

/* Instruments have no numbers: they are told apart by their devices. */
static void
test_instruments_are_named(void **state)
{
	char *text;

	(void)state;
	buses[0].type = BUS_SERIAL;
	units[0].unit = -1;
	units[0].device = "Boiler";
	plc.frames = (struct health_frames){ .good = 5, .bad_checksum = 2, .last_bad = "w\\x00" };
	text = print(prometheus_print);
	assert_has(text, "fieldgate_unit_online{bus=\"plc\",unit=\"Boiler\"} 0\n");
	assert_has(text, "fieldgate_bus_good_frames_total{bus=\"plc\"} 5\n");
	free(text);
	text = print(print_table);
	assert_has(text, "plc Boiler  suspect");
	assert_has(text, "w\\x00");
	free(text);
}

static void
test_the_line_for_systemd(void **state)
{
	char line[160];

	(void)state;
	report_line(&health, line, sizeof(line));
	assert_string_equal(line, "2 buses (1 in trouble), 0 of 2 devices answering, 1 of 2 sessions connected, 85 values/s, backlog 12");
}

static void
test_a_text_is_cut_between_characters(void **state)
{
	struct health_value kept;
	char long_text[] = "abcdefghijklmnopqrstuv\xc3\xbcx"; /* the two bytes of a character would be parted */

	(void)state;
	health_value_set(&kept, &(struct value){ .kind = VALUE_TEXT, .text = long_text });
	assert_true(kept.cut);
	assert_string_equal(kept.text, "abcdefghijklmnopqrstuv");
	health_value_set(&kept, &(struct value){ .kind = VALUE_INT, .integer = -5 });
	assert_false(kept.cut);
	assert_int_equal(kept.integer, -5);
}

#define TEST(name) cmocka_unit_test_setup(name, set_up)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_numbers_are_where_they_belong),
		TEST(test_a_brief_one_has_no_points),
		TEST(test_before_anybody_answered),
		TEST(test_the_table_says_it_in_words),
		TEST(test_a_disk_that_does_not_answer_is_shown),
		TEST(test_news_are_lines_and_what_is_not_new_is_none),
		TEST(test_metrics_are_escaped),
		TEST(test_instruments_are_named),
		TEST(test_the_line_for_systemd),
		TEST(test_a_text_is_cut_between_characters),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
