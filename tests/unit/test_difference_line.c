/* A reload notices whatever is said about serial instruments. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "conf/text.h"
#include "model/difference.h"

static const char base[] =
    "server = { host = \"tb\"; };\n"
    "buses = ( { name = \"s\"; type = \"serial\"; port = \"/dev/ttyUSB0\"; dtr = \"on\"; rts = \"on\"; flow = \"none\";\n"
    "    framing = { type = \"start-end\"; start = \"A\"; end = ( \"B\", \"C\" ); tail = 1; gap_ms = 5; max_bytes = 99; };\n"
    "    checksum = { type = \"sum16\"; form = \"binary\"; order = \"big\"; from = 1; to = -2; at = -2; };\n"
    "    address = { column = 1; separator = \";\"; };\n"
    "    on_open = ( { send = \"x\"; } ); on_close = ( { send = \"y\"; } ); },\n"
    "  { name = \"f\"; type = \"file\"; path = \"/tmp/x\"; framing = { type = \"length-field\"; length_at = 2; length_size = 2;\n"
    "    length_order = \"big\"; length_plus = 3; }; },\n"
    "  { name = \"t\"; type = \"file\"; path = \"-\"; framing = { type = \"telegram\"; start_pattern = \"^/\"; end_pattern = \"^!\"; }; },\n"
    "  { name = \"l\"; type = \"file\"; path = \"-\"; framing = { type = \"fixed\"; start = \"L\"; length = 9; max_bytes = 50; }; } );\n"
    "devices = ( { name = \"Scale\"; token = \"B\"; bus = \"s\"; period_ms = 500; pattern = \"(?<g>1)(?<h>2)\"; address = \"01\";\n"
    "    separator = \",\"; assign = \"=\"; decimal_comma = false; silence_s = 3;\n"
    "    poll = ( { baud = 300; send = \"p\"; timeout_ms = 20; delay_ms = 30; }, { expect = \"e\"; }, { frame = true; } );\n"
    "    points = ( { key = \"c\"; column = 7; sentence = \"GGA\"; no_value = ( \"OL\", \"UL\" ); },\n"
    "      { key = \"f\"; field = \"key\"; format = \"hex\"; }, { key = \"g\"; group = \"g\"; }, { key = \"j\"; json = \"/j\"; },\n"
    "      { key = \"o\"; obis = \"1.8.0\"; }, { key = \"t\"; at = 11; length = 4; },\n"
    "      { key = \"w\"; pattern = \"w\"; writable = true; command = { send = \"z\"; expect = \"q\"; refuse = \"r\"; timeout_ms = 40;\n"
    "        escape = \"json\"; width = 6; decimals = 2; }; } ); } );\n";

static struct settings *
load(const char *old, const char *new)
{
	struct settings *settings = NULL;
	struct conf_report report;
	char text[8192];
	const char *at = strstr(base, old);

	if (!at || strstr(at + 1, old))
		fail_msg("%s is not there once", old);
	snprintf(text, sizeof(text), "%.*s%s%s", (int)(at - base), base, new, at + strlen(old));
	if (conf_load_text("test", text, strlen(text), &settings, &report) != 0)
		fail_msg("%s", report.count > 0 ? report.lines[0] : "?");
	conf_report_done(&report);
	return settings;
}

static const char *const changes[][2] = {
	{ "dtr = \"on\"", "dtr = \"off\"" },
	{ "rts = \"on\"", "rts = \"keep\"" },
	{ "flow = \"none\"", "flow = \"rts-cts\"" },
	{ "start = \"A\"", "start = \"a\"" },
	{ "\"B\", \"C\"", "\"B\", \"D\"" },
	{ "\"B\", \"C\"", "\"B\"" },
	{ "tail = 1", "tail = 2" },
	{ "gap_ms = 5", "gap_ms = 6" },
	{ "max_bytes = 99", "max_bytes = 98" },
	{ "type = \"sum16\"", "type = \"crc16-arc\"" },
	{ "form = \"binary\"; order = \"big\"", "form = \"hex\"" },
	{ "order = \"big\"; from", "order = \"little\"; from" },
	{ "from = 1", "from = 2" },
	{ "to = -2", "to = -3" },
	{ "at = -2", "at = -3" },
	{ "address = { column = 1; separator = \";\"; };", "" },
	{ "column = 1", "column = 2" },
	{ "separator = \";\"", "separator = \"|\"" },
	{ "send = \"x\"", "send = \"X\"" },
	{ "on_close = ( { send = \"y\"; } );", "" },
	{ "/tmp/x", "/tmp/y" },
	{ "length_at = 2", "length_at = 3" },
	{ "length_size = 2", "length_size = 4" },
	{ "length_order = \"big\"", "length_order = \"little\"" },
	{ "length_plus = 3", "length_plus = 4" },
	{ "^/", "^x" },
	{ "^!", "^x" },
	{ "length = 9", "length = 8" },
	{ "period_ms = 500", "period_ms = 600" },
	{ "(?<g>1)(?<h>2)", "(?<g>1)" },
	{ "address = \"01\"", "address = \"02\"" },
	{ "separator = \",\"", "separator = \"; \"" },
	{ "assign = \"=\"", "assign = \":\"" },
	{ "decimal_comma = false", "decimal_comma = true" },
	{ "silence_s = 3", "silence_s = 4" },
	{ "baud = 300", "baud = 600" },
	{ "send = \"p\"", "send = \"hex:00\"" },
	{ "timeout_ms = 20", "timeout_ms = 21" },
	{ "delay_ms = 30", "delay_ms = 31" },
	{ "expect = \"e\"", "expect = \"E\"" },
	{ ", { frame = true; }", "" },
	{ "frame = true;", "frame = true; delay_ms = 1;" },
	{ "column = 7", "column = 8" },
	{ "GGA", "RMC" },
	{ "\"OL\", \"UL\"", "\"OL\", \"ul\"" },
	{ "\"OL\", \"UL\"", "\"OL\"" },
	{ "field = \"key\"", "field = \"Key\"" },
	{ "format = \"hex\"", "format = \"bool\"" },
	{ "group = \"g\"", "group = \"h\"" },
	{ "json = \"/j\"", "json = \"/k\"" },
	{ "1.8.0", "2.8.0" },
	{ "at = 11", "at = 12" },
	{ "length = 4", "length = 5" },
	{ "at = 11; length = 4;", "at = 11; type = \"uint32\";" },
	{ "pattern = \"w\"", "pattern = \"W\"" },
	{ "send = \"z\"", "send = \"Z\"" },
	{ "expect = \"q\"", "expect = \"Q\"" },
	{ "refuse = \"r\";", "" },
	{ "timeout_ms = 40", "timeout_ms = 41" },
	{ "escape = \"json\"", "escape = \"quotes\"" },
	{ "width = 6", "width = 7" },
	{ "decimals = 2", "decimals = 3" },
};

static void
test_seen(void **state)
{
	struct settings *from = load("server", "server");

	(void)state;
	for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
		struct settings *to = load(changes[i][0], changes[i][1]);
		struct difference *difference = difference_new(from, to);

		if (difference_is_none(difference))
			fail_msg("%s -> %s is not seen", changes[i][0], changes[i][1]);
		difference_free(difference);
		settings_free(to);
	}
	settings_free(from);
}

/* The same words elsewhere in memory are no change. */
static void
test_same(void **state)
{
	struct settings *from = load("server", "server"), *to = load("server", "\n\nserver");
	struct difference *difference = difference_new(from, to);

	(void)state;
	assert_true(difference_is_none(difference));
	difference_free(difference);
	settings_free(to);
	settings_free(from);
}

int
main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_seen), cmocka_unit_test(test_same) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
