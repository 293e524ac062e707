/* What the gateway tells of itself: a point for each figure, and its value from what is known. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "model/gauges.h"

#define SAMPLES 128

static struct settings *settings;
static struct bus buses[2];
static struct point points[4];
static struct device devices[4];
static struct health_unit units[2], instruments[1];
static struct health_bus plc, scales;
static struct health_bus *reports[2];
static int64_t waits_us[2];
static struct health_device sessions[4];
static struct health_cloud cloud;
static struct health health;
static struct sample samples[SAMPLES];
static size_t count;

static int
set_up(void **state)
{
	(void)state;
	settings = settings_new();
	assert_non_null(settings);
	buses[0] = (struct bus){ .name = "plc", .index = 0, .type = BUS_TCP };
	buses[1] = (struct bus){ .name = "scales", .index = 1, .type = BUS_SERIAL };
	for (size_t i = 0; i < 4; i++)
		points[i] = (struct point){ .device = &devices[i / 2], .bus = &buses[0], .index = i, .unit = 1 + (int)(i / 2) };
	points[3].device = &devices[2];
	points[3].bus = &buses[1];
	devices[0] = (struct device){ .name = "A", .index = 0, .points = &points[0], .point_count = 2 };
	devices[1] = (struct device){ .name = "B", .index = 1, .points = &points[2], .point_count = 1 };
	devices[2] = (struct device){ .name = "Scale", .index = 2, .points = &points[3], .point_count = 1 };
	devices[3] = (struct device){ .name = "gateway", .index = 3 };
	settings->buses = buses;
	settings->bus_count = 2;
	settings->devices = devices;
	settings->device_count = 4;
	settings->point_count = 4;
	settings->gateway = &devices[3];
	settings->gateway_period_s = 60;
	assert_int_equal(gauges_build(settings, &devices[3]), 0);
	units[0] = (struct health_unit){ .unit = 1, .state = HEALTH_UNIT_ONLINE, .requests = 10, .latency_count = 1, .latency_p95_us = 2500 };
	units[1] = (struct health_unit){ .unit = 2, .state = HEALTH_UNIT_OFFLINE, .timeouts = 4, .missed = 3 };
	instruments[0] = (struct health_unit){ .unit = -1, .device = "Scale", .state = HEALTH_UNIT_SUSPECT };
	plc = (struct health_bus){ .bus = &buses[0], .state = HEALTH_BUS_OPEN, .load = 0.25, .unit_count = 2, .units = units };
	scales = (struct health_bus){ .bus = &buses[1], .state = HEALTH_BUS_FAULT, .frames = { .good = 7, .bad_checksum = 1, .unmatched = 1 },
		.unit_count = 1, .units = instruments };
	reports[0] = &plc;
	reports[1] = &scales;
	waits_us[0] = waits_us[1] = 0;
	memset(sessions, 0, sizeof(sessions));
	sessions[0].state = sessions[3].state = HEALTH_SESSION_UP; /* that of the gateway does not count */
	sessions[1].oldest_unix_ms = 1000000;
	cloud = (struct health_cloud){ .store = { .rows = 9, .dropped_rows = 2, .aged_rows = 1 }, .device_count = 4, .devices = sessions };
	health = (struct health){ .settings = settings, .process = { .version = "1.2", .rss_bytes = 5250000 },
		.now_mono_us = 7000000, .now_unix_ms = 1042000, .buses = reports, .bus_waits_us = waits_us, .cloud = &cloud };
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	settings_free(settings);
	return 0;
}

static void
read_all(void)
{
	assert_true(devices[3].point_count <= SAMPLES);
	count = gauges_read(settings, &health, samples);
}

/* Its value, VALUE_NONE if it has none. */
static struct value
value_of(const char *key)
{
	for (size_t i = 0; i < count; i++)
		if (strcmp(samples[i].point->key, key) == 0)
			return samples[i].value;
	return (struct value){ .kind = VALUE_NONE };
}

static void
test_points_are_like_all_others_but_on_no_bus(void **state)
{
	const struct device *gateway = &devices[3];

	(void)state;
	assert_int_equal(settings->point_count, 4 + gateway->point_count);
	for (size_t i = 0; i < gateway->point_count; i++) {
		const struct point *point = &gateway->points[i];

		assert_null(point->bus);
		assert_ptr_equal(point->device, gateway);
		assert_int_equal(point->index, 4 + i);
		assert_false(point->writable || point->shared);
		for (size_t k = 0; k < i; k++)
			assert_string_not_equal(point->key, gateway->points[k].key);
		/* figures once in a period, states at once */
		assert_true(point->min_interval_ms == 0 || point->min_interval_ms == 55000);
		assert_true(point->kind == KIND_ATTRIBUTE || point->max_interval_ms == 55000);
	}
}

static void
test_values_are_those_of_the_health(void **state)
{
	(void)state;
	read_all();
	assert_int_equal(value_of("devices").integer, 3);
	/* B is silent, and the scale's bus in trouble. */
	assert_int_equal(value_of("devices_answering").integer, 1);
	assert_int_equal(value_of("devices_up").integer, 1);
	assert_int_equal(value_of("buses_in_trouble").integer, 1);
	assert_int_equal(value_of("backlog_rows").integer, 9);
	assert_int_equal(value_of("backlog_age_s").integer, 42);
	assert_int_equal(value_of("rows_never_sent").integer, 3);
	assert_string_equal(value_of("version").label, "1.2");
	assert_string_equal(value_of("disk").label, "none");
	assert_true(value_of("rss_mb").real == 5.25 && value_of("rss_mb").decimals == 1);
	assert_string_equal(value_of("bus_plc_state").label, "well");
	assert_true(value_of("bus_plc_load_percent").real == 25);
	assert_int_equal(value_of("bus_plc_missed_polls").integer, 3);
	assert_string_equal(value_of("bus_scales_state").label, "fault");
	assert_int_equal(value_of("bus_scales_frames").integer, 7);
	assert_int_equal(value_of("bus_scales_bad_frames").integer, 2);
	assert_int_equal(value_of("bus_plc_frames").kind, VALUE_NONE);
	assert_int_equal(value_of("unit_plc_1_requests").integer, 10);
	assert_true(value_of("unit_plc_1_latency_ms").real == 2.5);
	assert_int_equal(value_of("unit_plc_2_latency_ms").kind, VALUE_NONE); /* it never answered */
	assert_string_equal(value_of("unit_plc_2_state").label, "offline");
	assert_int_equal(value_of("unit_plc_2_timeouts").integer, 4);
	assert_string_equal(value_of("unit_scales_Scale_state").label, "suspect");
	assert_int_equal(samples[0].taken_mono_ms, 7000);
	assert_int_equal(samples[0].taken_unix_ms, 1042000);
}

static void
test_what_is_not_known_is_not_told(void **state)
{
	(void)state;
	health.cloud = NULL;
	reports[0] = NULL;
	waits_us[0] = 5000000;
	read_all();
	assert_int_equal(value_of("devices_up").kind, VALUE_NONE);
	assert_int_equal(value_of("backlog_rows").kind, VALUE_NONE);
	assert_string_equal(value_of("bus_plc_state").label, "silent");
	assert_int_equal(value_of("unit_plc_1_state").kind, VALUE_NONE);
	assert_int_equal(value_of("buses_in_trouble").integer, 2);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_points_are_like_all_others_but_on_no_bus),
		TEST(test_values_are_those_of_the_health),
		TEST(test_what_is_not_known_is_not_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
