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

#define EACH_ROW(group, row)                                                                                 \
	for (size_t g = 0; g < schema_group_count; g++)                                                      \
		for (const struct setting_group *group = schema_groups[g]; group; group = NULL)              \
			for (const struct setting_row *row = group->rows;                                    \
			     row < group->rows + group->row_count; row++)

/* Is the group one of those that this test and that of the manual go through? */
static bool
is_listed(const struct setting_group *group)
{
	size_t i = 0;

	while (i < schema_group_count && schema_groups[i] != group)
		i++;
	return i < schema_group_count;
}

/* A row says everything that its kind needs, and writes nowhere else than into its input. */
static void
test_rows(void **state)
{
	(void)state;
	EACH_ROW(group, row)
	{
		size_t size = row->kind == SETTING_BOOL	    ? sizeof(bool)
			      : row->kind == SETTING_NUMBER ? sizeof(double)
			      : row->kind == SETTING_TEXT   ? sizeof(char *)
			      : row->kind == SETTING_GROUP  ? row->group->size
			      : row->kind == SETTING_NAME   ? sizeof(int)
			      : row->kind == SETTING_VALUE  ? sizeof(struct value)
			      : row->kind == SETTING_SET    ? sizeof(unsigned)
			      : row->kind == SETTING_INT    ? row->size
			      : row->kind == SETTING_BYTES  ? sizeof(struct bytes)
							    : sizeof(struct items);

		assert_non_null(row->about);
		assert_int_equal(row->size, size);
		assert_true(row->offset >= sizeof(struct node));
		assert_true(row->offset + row->size <= group->size);
		assert_true(group->row_count <= 64);
		if (row->kind == SETTING_INT)
			assert_true(row->choices || row->min < row->max);
		if (row->kind == SETTING_NAME || row->kind == SETTING_SET)
			assert_non_null(row->names);
		if (row->kind == SETTING_TEXT || row->kind == SETTING_TEXTS || row->kind == SETTING_BYTES ||
		    row->kind == SETTING_BYTE_LIST)
			assert_true(row->min == 1 && row->max >= 1);
		if (row->kind == SETTING_GROUP || row->kind == SETTING_LIST || row->kind == SETTING_LABELS)
			assert_true(is_listed(row->group));
		assert_false(row->required && row->preset);
	}
}

/* A setting's name says its unit. */
static void
test_units(void **state)
{
	(void)state;
	EACH_ROW(group, row)
	{
		char suffix[16];

		(void)group;
		if (!row->unit)
			continue;
		snprintf(suffix, sizeof(suffix), "_%s", row->unit);
		for (char *c = suffix; *c; c++)
			*c = *c >= 'A' && *c <= 'Z' ? (char)(*c - 'A' + 'a') : *c;
		assert_string_equal(row->name + strlen(row->name) - strlen(suffix), suffix);
	}
}

/* Every name of an enumeration is found under its number. */
static void
test_names(void **state)
{
	(void)state;
	EACH_ROW(group, row)
	{
		(void)group;
		if (row->kind != SETTING_NAME && row->kind != SETTING_SET)
			continue;
		for (int i = 0; row->names(i); i++)
			assert_int_equal(schema_name_find(row, row->names(i)), i);
		assert_int_equal(schema_name_find(row, "no such name"), -1);
		assert_int_equal(schema_name_find(row, ""), -1);
	}
}

/* Defaults are in the ranges that they would be refused for. */
static void
test_presets(void **state)
{
	(void)state;
	EACH_ROW(group, row)
	{
		char *end = NULL;
		long long number;

		(void)group;
		if (!row->preset)
			continue;
		if (row->kind == SETTING_NAME)
			assert_true(schema_name_find(row, row->preset) >= 0);
		if (row->kind == SETTING_BOOL)
			assert_true(strcmp(row->preset, "true") == 0 || strcmp(row->preset, "false") == 0);
		if (row->kind != SETTING_INT)
			continue;
		number = strtoll(row->preset, &end, 10);
		assert_true(*end == '\0');
		if (row->choices) {
			bool found = false;

			for (const int *choice = row->choices; *choice; choice++)
				found |= *choice == number;
			assert_true(found);
		} else
			assert_true(number >= row->min && number <= row->max);
	}
}

static const struct setting_group *
group_called(const char *name)
{
	for (size_t i = 0; i < schema_group_count; i++)
		if (strcmp(schema_groups[i]->name, name) == 0)
			return schema_groups[i];
	fail_msg("no group is called %s", name);
	return NULL;
}

static void
test_nearest(void **state)
{
	const struct setting_group *bus = group_called("bus"), *point = group_called("point");

	(void)state;
	assert_string_equal(schema_nearest(point, "perid_ms", 0), "period_ms");
	assert_string_equal(schema_nearest(point, "period", 0), "period_ms");
	assert_string_equal(schema_nearest(point, "peirod_ms", 0), "period_ms");
	assert_string_equal(schema_nearest(point, "Scale", 0), "scale");
	assert_string_equal(schema_nearest(point, "deadbnd", 0), "deadband");
	assert_null(schema_nearest(point, "x", 0));
	assert_null(schema_nearest(point, "colour", 0));
	assert_null(schema_nearest(point, "a-name-that-is-much-longer-than-any-of-ours-can-be-at-all", 0));
	/* Only what belongs to the bus. */
	assert_string_equal(schema_nearest(bus, "bauds", 1U << BUS_RTU), "baud");
	assert_null(schema_nearest(bus, "bauds", 1U << BUS_TCP));
}

static void
test_variants(void **state)
{
	const struct setting_group *bus = group_called("bus");

	(void)state;
	assert_int_equal(schema_find(bus, "port", 1U << BUS_RTU)->kind, SETTING_TEXT);
	assert_int_equal(schema_find(bus, "port", 1U << BUS_TCP)->kind, SETTING_INT);
	assert_string_equal(schema_find(bus, "timeout_ms", 1U << BUS_TCP)->preset, "1000");
	assert_string_equal(schema_find(bus, "timeout_ms", 1U << BUS_RTU)->preset, "500");
	assert_string_equal(schema_find(bus, "timeout_ms", 1U << BUS_RTU_OVER_TCP)->preset, "500");
	assert_false(schema_belongs(schema_find(bus, "baud", 1U << BUS_TCP), 1U << BUS_TCP));
	assert_null(schema_find(bus, "tls", 1U << BUS_TCP));
}

/* server, buses and devices, with room for one setting more in each group of one kind. What else is missing in them does not
 * matter. `framing` is its type. */
static const char *
frame(const char *group, const char *setting, const char *framing)
{
	static char text[4096];
#define HERE(name) strcmp(group, name) == 0 ? setting : ""

	snprintf(text, sizeof(text),
	    "%s server = { host = \"a\"; tls = { %s }; %s };\n"
	    "store = { %s };\n"
	    "clock = { %s };\n"
	    "gateway = { token = \"g\"; %s };\n"
	    "buses = ( { name = \"t\"; type = \"tcp\"; host = \"b\"; }, { name = \"r\"; type = \"rtu\"; port "
	    "= \"/p\"; %s },\n"
	    "  { name = \"s\"; type = \"serial\"; port = \"/q\"; framing = { type = \"%s\"; %s };\n"
	    "    checksum = { type = \"xor\"; %s }; address = { %s }; on_open = ( { %s } ); } );\n"
	    "devices = ( { name = \"d\"; token = \"t\"; bus = \"t\"; %s claim = { secret = \"s\"; %s };\n"
	    "  points = ( { key = \"k\"; table = \"input\"; addr = 0; type = \"int16\"; %s\n"
	    "    command = { %s }; } );\n"
	    "  rpc = ( { method = \"m\"; point = \"k\"; %s } );\n"
	    "  calls = ( { method = \"m\"; on = \"k\"; %s } );\n"
	    "  on_cloud_loss = { %s set = ( { point = \"k\"; value = 1; } ); }; } );\n",
	    HERE("gateway.conf"), HERE("tls"), HERE("server"), HERE("store"), HERE("clock"), HERE("gateway"), HERE("bus"), framing,
	    HERE("framing"), HERE("checksum"), HERE("address"), HERE("script step"), HERE("device"), HERE("claim"), HERE("point"),
	    HERE("command"), HERE("rpc"), HERE("call"), HERE("on_cloud_loss"));
	return text;
}

/* A type of framing that the row, if it is one of framing's, belongs to. */
static const char *
framing_of(const struct setting_row *row)
{
	return schema_find(group_called("framing"), "type", 0)->names(row->only ? __builtin_ctz(row->only) : 0);
}

/* Is the number refused as out of range, with the range of the row in the message? */
static bool
is_refused(const struct setting_group *group, const struct setting_row *row, int64_t number)
{
	char setting[128], wanted[SCHEMA_TEXT_SIZE + 64], allowed[SCHEMA_TEXT_SIZE];
	struct settings *settings = NULL;
	struct conf_report report;
	const char *text;
	bool refused = false;

	snprintf(setting, sizeof(setting), "%s = %lld;", row->name, (long long)number);
	snprintf(wanted, sizeof(wanted), "%s: %lld is out of range, allowed are %s", row->name,
	    (long long)number, schema_allowed(row, allowed, sizeof(allowed)));
	text = frame(group->name, setting, framing_of(row));
	conf_load_text("x", text, strlen(text), &settings, &report);
	for (size_t i = 0; i < report.count; i++)
		refused |= strstr(report.lines[i], wanted) != NULL;
	conf_report_done(&report);
	settings_free(settings);
	return refused;
}

/* Each range is what it says: its ends are in it, what is next to them is not. */
static void
test_ranges(void **state)
{
	(void)state;
	EACH_ROW(group, row)
	{
		/* Given in the frame already, or not in it. */
		if (row->kind != SETTING_INT || row->choices || row->min == INT64_MIN ||
		    strcmp(row->name, "addr") == 0 ||
		    (strcmp(group->name, "bus") == 0 && !schema_belongs(row, 1U << BUS_RTU)))
			continue;
		assert_false(is_refused(group, row, row->min));
		assert_false(is_refused(group, row, row->max));
		assert_true(is_refused(group, row, row->min - 1));
		assert_true(is_refused(group, row, row->max + 1));
		assert_true(is_refused(group, row, row->min + ((int64_t)1 << 32)));
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows),
		cmocka_unit_test(test_units),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_presets),
		cmocka_unit_test(test_nearest),
		cmocka_unit_test(test_variants),
		cmocka_unit_test(test_ranges),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
