#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "conf/schema.h"
#include "conf/text.h"
#include "fake/memory.h"
#include "model/difference.h"

static const char base[] =
    "server = { host = \"tb\"; };\n"
    "buses = ( { name = \"plc\"; type = \"tcp\"; host = \"h\"; },\n"
    "          { name = \"line\"; type = \"rtu\"; port = \"/dev/ttyUSB0\"; } );\n"
    "devices = (\n"
    "  { name = \"Boiler\"; token = \"B\"; bus = \"plc\"; unit = 1;\n"
    "    points = ( { key = \"a\"; table = \"holding\"; type = \"uint16\"; addr = 0; writable = true; },\n"
    "               { key = \"b\"; table = \"holding\"; type = \"uint16\"; addr = 1; enum = { off = 0; on = 1; }; invalid = 9; } );\n"
    "    rpc = ( { method = \"setA\"; point = \"a\"; } );\n"
    "    on_connect = ( { point = \"a\"; value = 3; } );\n"
    "    on_cloud_loss = { after_s = 60; set = ( { point = \"a\"; value = 4; } ); }; },\n"
    "  { name = \"Meter\"; token = \"M\"; bus = \"line\"; unit = 2;\n"
    "    points = ( { key = \"a\"; table = \"input\"; type = \"uint16\"; addr = 0; } ); },\n"
    "  { name = \"Pump\"; token = \"P\"; bus = \"line\"; unit = 3;\n"
    "    points = ( { key = \"a\"; table = \"input\"; type = \"uint16\"; addr = 0; } ); } );\n";

/* `base` with the first `old` in the place of which is `new`. */
static struct settings *
load(const char *old, const char *new)
{
	struct settings *settings = NULL;
	struct conf_report report;
	char text[4096];
	const char *at = strstr(base, old);

	assert_non_null(at);
	snprintf(text, sizeof(text), "%.*s%s%s", (int)(at - base), base, new, at + strlen(old));
	if (conf_load_text("test", text, strlen(text), &settings, &report) != 0)
		fail_msg("%s", report.count > 0 ? report.lines[0] : "?");
	conf_report_done(&report);
	return settings;
}

static void
check_text(const char *old, const char *new, const char *expected)
{
	struct settings *from = load("", "");
	struct settings *to = load(old, new);
	struct difference *difference = difference_new(from, to);
	char text[DIFFERENCE_TEXT_MAX];

	assert_non_null(difference);
	assert_string_equal(difference_text(difference, text, sizeof(text)), expected);
	assert_int_equal(difference_is_none(difference), strstr(expected, "3 unchanged, 0 removed") &&
							     !strchr(expected, ';'));
	difference_free(difference);
	settings_free(to);
	settings_free(from);
}

static void
test_told(void **state)
{
	(void)state;
	check_text("", "", "devices: 0 added, 0 changed, 3 unchanged, 0 removed");
	check_text("server", "# moved by a line\n\nserver", "devices: 0 added, 0 changed, 3 unchanged, 0 removed");
	check_text("\"tb\"", "\"tb2\"", "devices: 0 added, 0 changed, 3 unchanged, 0 removed; server changed");
	check_text("buses", "clock = { wait_s = 7; };\nstore = { max_mb = 5; };\nbuses",
	    "devices: 0 added, 0 changed, 3 unchanged, 0 removed; store changed; clock changed");
	/* The gateway as a device is told as such. */
	check_text("", "gateway = { token = \"G\"; };\n", "devices: 0 added, 0 changed, 3 unchanged, 0 removed; gateway changed");
	check_text("\"Meter\"", "\"Gauge\"", "devices: 1 added, 0 changed, 2 unchanged, 1 removed");
	check_text("\"M\"", "\"M2\"", "devices: 0 added, 1 changed, 2 unchanged, 0 removed");
	check_text("ttyUSB0", "ttyUSB1",
	    "devices: 0 added, 2 changed, 1 unchanged, 0 removed; buses: 0 added, 1 changed, 1 unchanged, 0 removed");
	check_text("{ name = \"line\"", "{ name = \"spare\"; type = \"tcp\"; host = \"s\"; }, { name = \"line\"",
	    "devices: 0 added, 0 changed, 3 unchanged, 0 removed; buses: 1 added, 0 changed, 2 unchanged, 0 removed");
}

/* What is no row of its own, or leads to something else. */
static void
test_seen(void **state)
{
	static const char *const changes[][2] = {
		{ "off = 0", "off = 2" },
		{ "off = 0", "low = 0" },
		{ "on = 1;", "" },
		{ "invalid = 9", "invalid = 8" },
		{ "invalid = 9", "invalid = ( 9, 8 )" },
		{ "{ key = \"b\"", "{ key = \"c\"" },
		{ "addr = 0; writable = true; }", "addr = 0; writable = true; }, { key = \"c\"; table = \"coil\"; addr = 0; }" },
		{ "setA", "setB" },
		{ "method = \"setA\"", "action = \"get\"; method = \"setA\"" },
		{ "{ method = \"setA\"; point = \"a\"; }", "" },
		{ "value = 3", "value = 5" },
		{ "value = 4", "value = 5" },
		{ "after_s = 60", "after_s = 61" },
		{ "bus = \"plc\"; unit = 1", "bus = \"plc\"; unit = 4" },
		{ "bus = \"plc\"; unit = 1", "bus = \"line\"; unit = 1" },
		{ "{ key = \"a\"", "{ bus = \"line\"; key = \"a\"" },
		{ "bus = \"plc\"; unit = 1", "bus = \"plc\"; unit = 1; period_ms = 2000" },
		{ "bus = \"plc\"; unit = 1", "bus = \"plc\"; unit = 1; quality = true" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++)
		check_text(changes[i][0], changes[i][1], "devices: 0 added, 1 changed, 2 unchanged, 0 removed");
}

/* Make a value of the row's kind another. Returns false where the input holds a list or a group. */
static bool
make_other(const struct setting_row *row, unsigned char *at)
{
	switch (row->kind) {
	case SETTING_BOOL:
		*(bool *)(void *)at = !*(bool *)(void *)at;
		return true;
	case SETTING_NUMBER:
		*(double *)(void *)at += 1;
		return true;
	case SETTING_TEXT:
		*(const char **)(void *)at = "another";
		return true;
	case SETTING_INT:
	case SETTING_NAME:
	case SETTING_SET:
		if (row->size == sizeof(int64_t))
			*(int64_t *)(void *)at += 1;
		else
			*(int *)(void *)at += 1;
		return true;
	case SETTING_BYTES:
		*(struct bytes *)(void *)at = (struct bytes){ .data = (const uint8_t *)"another", .length = 7 };
		return true;
	case SETTING_GROUP:
	case SETTING_LIST:
	case SETTING_INTS:
	case SETTING_VALUE:
	case SETTING_BYTE_LIST:
	case SETTING_TEXTS:
	case SETTING_LABELS:
		break;
	}
	return false;
}

static const struct setting_group *
group_called(const char *name)
{
	for (size_t i = 0; i < schema_group_count; i++)
		if (strcmp(schema_groups[i]->name, name) == 0)
			return schema_groups[i];
	return NULL;
}

/* Every row of gateway.conf that goes into a struct of the settings is noticed when it changes.
 * begin, size  of the struct within the group's input */
static void
check_rows(const char *name, size_t begin, size_t size, void *(*find)(struct settings *settings), bool presets)
{
	const struct setting_group *group = group_called(name);
	size_t checked = 0;

	assert_non_null(group);
	for (const struct setting_row *row = group->rows; row < group->rows + group->row_count; row++) {
		struct settings *from, *to;
		struct difference *difference;
		unsigned char *thing;

		if (row->offset < begin || row->offset >= begin + size)
			continue;
		/* Defaults of a device's points, which show in these. */
		if (presets && (strcmp(row->name, "unit") == 0 || strcmp(row->name, "period_ms") == 0 ||
				   strcmp(row->name, "quality") == 0))
			continue;
		from = load("", "");
		to = load("", "");
		thing = find(to);
		if (make_other(row, thing + (row->offset - begin))) {
			difference = difference_new(from, to);
			if (difference_is_none(difference))
				fail_msg("%s.%s: a change of it is not seen", name, row->name);
			difference_free(difference);
			checked++;
		}
		settings_free(to);
		settings_free(from);
	}
	assert_true(checked > 0);
}

static void *
find_server(struct settings *settings)
{
	return &settings->server;
}

static void *
find_store(struct settings *settings)
{
	return &settings->store;
}

static void *
find_clock(struct settings *settings)
{
	return &settings->clock;
}

static void *
find_bus(struct settings *settings)
{
	return &settings->buses[1];
}

static void *
find_device(struct settings *settings)
{
	return &settings->devices[0];
}

static void *
find_point(struct settings *settings)
{
	return &settings->devices[0].points[1];
}

#define CHECK_ROWS(group, input, member, find, presets)                                                      \
	check_rows(group, offsetof(struct input, member), sizeof(((struct input *)0)->member), find, presets)

static void
test_every_row(void **state)
{
	(void)state;
	CHECK_ROWS("server", server_input, server, find_server, false);
	CHECK_ROWS("store", store_input, store, find_store, false);
	CHECK_ROWS("clock", clock_input, clock, find_clock, false);
	CHECK_ROWS("bus", bus_input, bus, find_bus, false);
	CHECK_ROWS("device", device_input, device, find_device, true);
	CHECK_ROWS("point", point_input, point, find_point, false);
}

static void
test_pairs(void **state)
{
	struct settings *from = load("", "");
	/* Boiler is new by its token, has lost b and got c before a; the line goes first. */
	struct settings *to = load(strstr(base, "buses"),
	    "buses = ( { name = \"line\"; type = \"rtu\"; port = \"/dev/ttyUSB0\"; },\n"
	    "          { name = \"plc\"; type = \"tcp\"; host = \"h\"; } );\n"
	    "devices = (\n"
	    "  { name = \"Pump\"; token = \"P\"; bus = \"line\"; unit = 3;\n"
	    "    points = ( { key = \"a\"; table = \"input\"; type = \"uint16\"; addr = 0; } ); },\n"
	    "  { name = \"Boiler\"; token = \"B2\"; bus = \"plc\"; unit = 1;\n"
	    "    points = ( { key = \"c\"; table = \"holding\"; type = \"uint16\"; addr = 1; },\n"
	    "               { key = \"a\"; table = \"holding\"; type = \"uint16\"; addr = 0; writable = true; } ); },\n"
	    "  { name = \"Meter\"; token = \"M\"; bus = \"line\"; unit = 2;\n"
	    "    points = ( { key = \"a\"; table = \"input\"; type = \"uint16\"; addr = 0; scale = 0.1; } ); } );\n");
	struct difference *difference = difference_new(from, to);
	const struct device *boiler = &to->devices[1];

	(void)state;
	assert_ptr_equal(difference_from(difference), from);
	assert_ptr_equal(difference_to(difference), to);
	assert_ptr_equal(difference_bus(difference, &to->buses[0]), &from->buses[1]);
	assert_ptr_equal(difference_bus(difference, &to->buses[1]), &from->buses[0]);
	assert_ptr_equal(difference_device(difference, &to->devices[0]), &from->devices[2]);
	assert_ptr_equal(difference_device_now(difference, &from->devices[2]), &to->devices[0]);
	assert_null(difference_device(difference, boiler));
	assert_null(difference_device_now(difference, &from->devices[0]));
	assert_ptr_equal(difference_device(difference, &to->devices[2]), &from->devices[1]);
	/* What is read does not depend on the token. */
	assert_null(difference_point(difference, &boiler->points[0]));
	assert_ptr_equal(difference_point(difference, &boiler->points[1]), &from->devices[0].points[0]);
	assert_ptr_equal(difference_point_now(difference, &from->devices[0].points[0]), &boiler->points[1]);
	assert_null(difference_point_now(difference, &from->devices[0].points[1]));
	assert_null(difference_point(difference, &to->devices[2].points[0]));
	assert_int_equal(difference_devices(difference).changed, 2);
	assert_int_equal(difference_devices(difference).unchanged, 1);
	assert_int_equal(difference_buses(difference).unchanged, 2);
	difference_free(difference);
	settings_free(to);
	settings_free(from);
}

static void
test_no_memory(void **state)
{
	struct settings *from = load("", "");
	struct settings *to = load("", "");
	struct difference *difference = NULL;

	(void)state;
	for (long i = 0; !difference; i++) {
		memory_fail(i);
		difference = difference_new(from, to);
	}
	assert_true(memory_asked() > 5);
	memory_fail(-1);
	difference_free(difference);
	difference_free(NULL);
	settings_free(to);
	settings_free(from);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_told),
		cmocka_unit_test(test_seen),
		cmocka_unit_test(test_every_row),
		cmocka_unit_test(test_pairs),
		cmocka_unit_test(test_no_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
