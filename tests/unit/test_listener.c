/* From bytes to values, as gateway.conf describes them; the same however the bytes come. The instruments of tests/instruments are
 * listened to in pieces of every size. */
#include <dirent.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "base/utf8.h"
#include "conf/text.h"
#include "fake/memory.h"
#include "line/listener.h"

#define HEARD_MAX   (256 * 1024)
#define CAPTURE_MAX 65536
#define BYTES(text) ((const uint8_t *)(text)), (sizeof(text) - 1)

struct heard {
	char text[HEARD_MAX];
	size_t used;
	bool values_only;
};

static struct heard one, other;

static void __attribute__((format(printf, 2, 3)))
hear(struct heard *heard, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	heard->used += (size_t)vsnprintf(heard->text + heard->used, HEARD_MAX - heard->used, format, args);
	va_end(args);
	assert_true(heard->used < HEARD_MAX);
}

static void
hear_value(struct heard *heard, const struct value *value)
{
	switch (value->kind) {
	case VALUE_NONE:
		hear(heard, "-");
		break;
	case VALUE_BOOL:
		hear(heard, "%s", value->boolean ? "true" : "false");
		break;
	case VALUE_INT:
		hear(heard, "%" PRId64, value->integer);
		break;
	case VALUE_UINT:
		hear(heard, "%" PRIu64, value->whole);
		break;
	case VALUE_REAL:
		if (value->decimals >= 0)
			hear(heard, "%.*f", value->decimals, value->real);
		else
			hear(heard, "%.9g", value->real);
		break;
	case VALUE_LABEL:
	case VALUE_TEXT:
		assert_true(utf8_valid(value_text(value), strlen(value_text(value))));
		hear(heard, "'%s'", value_text(value));
		break;
	case VALUE_LIST:
		for (size_t i = 0; i < value->list->count; i++) {
			hear(heard, "%s", i > 0 ? "," : "[");
			hear_value(heard, &value->list->items[i]);
		}
		hear(heard, "]");
		break;
	}
}

static void
take_frame(void *ctx, const struct line_frame *frame, bool proven, const char *why)
{
	struct heard *heard = ctx;

	if (!heard->values_only)
		hear(heard, "<%zu %zu..%zu %d %s>\n", frame->length, frame->from, frame->to, proven, why);
}

static void
take_claim(void *ctx, const struct device *device, bool claimed, const char *why)
{
	struct heard *heard = ctx;

	if (!heard->values_only)
		hear(heard, "%s %d %s\n", device->name, claimed, why);
}

static void
take_value(void *ctx, const struct point *point, enum quality quality, struct value *value, const char *why)
{
	struct heard *heard = ctx;

	assert_true(quality == QUALITY_GOOD || (quality == QUALITY_NO_VALUE && value->kind == VALUE_NONE && why[0]));
	hear(heard, "%s=", point->key);
	hear_value(heard, value);
	hear(heard, " ");
	value_done(value);
}

static void
take_waste(void *ctx, const uint8_t *bytes, size_t kept, uint64_t length, const char *why)
{
	struct heard *heard = ctx;
	char text[256];

	if (!heard->values_only)
		hear(heard, "{%" PRIu64 " %s %s}\n", length, why, line_printable(bytes, kept, text, sizeof(text)));
}

static struct listener *
listen_to(const struct settings *settings, struct heard *heard, bool values_only)
{
	struct listener_sink sink = {
		.frame = take_frame, .claim = take_claim, .value = take_value, .waste = take_waste, .ctx = heard
	};
	struct listener *listener;

	heard->used = 0;
	heard->text[0] = '\0';
	heard->values_only = values_only;
	assert_int_equal(listener_new(settings, &settings->buses[0], &sink, &listener), 0);
	return listener;
}

static struct settings *
configure(const char *bus, const char *device)
{
	struct settings *settings = NULL;
	struct conf_report report;
	char text[8192];

	snprintf(text, sizeof(text),
	    "server = { host = \"h\"; };\n"
	    "buses = ( { name = \"b\"; type = \"serial\"; port = \"/p\"; %s } );\n"
	    "devices = ( { name = \"d\"; token = \"t\"; bus = \"b\"; %s } );\n",
	    bus, device);
	if (conf_load_text("test", text, strlen(text), &settings, &report) != 0)
		fail_msg("%s: %s", device, report.count > 0 ? report.lines[0] : "?");
	conf_report_done(&report);
	return settings;
}

/* Where a value is in a frame and how it is read. */
static const struct {
	const char *bus;
	const char *device;
	const uint8_t *bytes;
	size_t length;
	const char *values;
} cases[] = {
	/* Columns. */
	{ "", "points = ( { key = \"a\"; column = 0; }, { key = \"c\"; column = 2; } );", BYTES("1,2,3\n,,\n1,2\n"),
	    "a=1 c=3 a=- c=- a=1 " },
	{ "", "separator = \" \"; points = ( { key = \"a\"; column = 1; } );", BYTES("  x \t 2.50   3\nx\n"), "a=2.50 " },
	{ "", "separator = \"; \"; decimal_comma = true; points = ( { key = \"a\"; column = 1; } );", BYTES("x; 1,5 kg; y\n1;5\n"),
	    "a=1.5 " },
	/* Signs, units, marks. */
	{ "", "points = ( { key = \"a\"; column = 0; no_value = \"OL\"; } );",
	    BYTES("+ 12.345kg\n12.5-\nOL\n0.00 OL\n-OL\n1e3\n7 V\n"), "a=12.345 a=-12.5 a=- a=- a=- a=1000 a=7 " },
	{ "", "points = ( { key = \"a\"; column = 0; no_value = ( \"9999\", \"--\" ); valid_min = -40; valid_max = 85; invalid = 0; } );",
	    BYTES("9999\n--\n85\n85.1\n-41\n0\n0.00\n0.01\n"), "a=- a=- a=85 a=- a=- a=- a=- a=0.01 " },
	/* Exact: 64 bits, and their decimals. */
	{ "", "points = ( { key = \"a\"; column = 0; } );",
	    BYTES("9223372036854775807\n18446744073709551615\n18446744073709551616\n0.10\n123456.789\n9007199254740993\n"),
	    "a=9223372036854775807 a=18446744073709551615 a=- a=0.10 a=123456.789 a=9007199254740993 " },
	{ "", "points = ( { key = \"a\"; column = 0; scale = 0.001; }, { key = \"b\"; column = 0; decimals = 1; } );", BYTES("1234\n"),
	    "a=1.234 b=1234 " },
	{ "", "points = ( { key = \"a\"; column = 0; enum = { off = 0; on = 1; }; }, { key = \"h\"; column = 1; format = \"hex\"; }, "
	      "{ key = \"t\"; column = 2; format = \"bool\"; } );",
	    BYTES("1,0x1F,YES\n2,ff,0\n0,xyz,maybe\n"), "a='on' h=31 t=true a=2 h=255 t=false a='off' h=- t=- " },
	/* Texts: what is no UTF-8, or has a NUL, is none. */
	{ "", "points = ( { key = \"a\"; column = 0; format = \"string\"; } );",
	    BYTES(" K\xc3\xbchl  ,\nK\xfchl\na\0b\n\xed\xa0\x80\n  \n"), "a='K\xc3\xbchl' a=- a=- a=- a=- " },
	/* key=value */
	{ "", "points = ( { key = \"t\"; field = \"t\"; }, { key = \"tt\"; field = \"tt\"; } );",
	    BYTES("tt=2 t=1\nt = 5\nx t=3;tt=4,t=5\nT=1\n"), "t=1 tt=2 t=3 tt=4 " },
	{ "", "assign = \":\"; separator = \"|\"; points = ( { key = \"t\"; field = \"room temp\"; } );",
	    BYTES("a:1| room temp : 21.5 C |b:2\n"), "t=21.5 " },
	/* Patterns: of the point and of the device. */
	{ "", "points = ( { key = \"p\"; pattern = \"T=([0-9.]+)\"; }, { key = \"all\"; pattern = \"[0-9]+$\"; }, "
	      "{ key = \"n\"; pattern = \"(?<x>a)(?<y>[0-9])\"; group = \"y\"; } );",
	    BYTES("T=21.5 7\na3\n"), "p=21.5 all=7 all=3 n=3 " },
	{ "", "pattern = \"^(?<s>[SD]) +(?<w>[0-9.]+)(?<u> kg)?\"; points = ( { key = \"w\"; group = \"w\"; }, "
	      "{ key = \"u\"; group = \"u\"; format = \"string\"; } );",
	    BYTES("S 1.5 kg\nX 2.5\nD 3\n"), "w=1.5 u='kg' w=3 " },
	/* JSON */
	{ "", "points = ( { key = \"a\"; json = \"/s/1/t\"; }, { key = \"b\"; json = \"/a~1b\"; format = \"bool\"; }, "
	      "{ key = \"s\"; json = \"/n\"; format = \"string\"; } );",
	    BYTES("{\"s\":[0,{\"t\":21.50}],\"a/b\":true,\"n\":\"x\\u0041\"}\n{\"s\":[0,{\"t\":\"7 C\"}]}\n{\"n\":null}\n"
		  "{\"s\":[0,{\"t\":NaN}]}\n{\"s\":[0,{\"t\":1}]} x\n[[[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]]]\n"),
	    "a=21.50 b=true s='xA' a=7 s=- a=- " },
	{ "", "points = ( { key = \"a\"; json = \"/v\"; } );",
	    BYTES("{\"v\":18446744073709551614}\n{\"v\":18446744073709551616}\n{\"v\":-9223372036854775809}\n{\"v\":1e400}\n"),
	    "a=18446744073709551614 a=- a=- a=- " },
	/* NMEA */
	{ "checksum = { type = \"nmea\"; };",
	    "points = ( { key = \"la\"; sentence = \"GGA\"; column = 2; format = \"degrees\"; decimals = 4; }, "
	    "{ key = \"id\"; sentence = \"GPGGA\"; column = 0; format = \"string\"; }, { key = \"last\"; sentence = \"PX\"; column = 1; } );",
	    BYTES("$GPGGA,123519,4807.038,N,01131.000,E,1,08,0.9,545.4,M,46.9,M,,*47\r\n$PX,5*11\r\n$PX,5*12\r\nx$PX,6*12\r\n"),
	    "la=48.1173 id='$GPGGA' last=5 " },
	/* OBIS */
	{ "framing = { type = \"telegram\"; start_pattern = \"^/\"; end_pattern = \"^!\"; };",
	    "points = ( { key = \"a\"; obis = \"1.8.0\"; }, { key = \"g\"; obis = \"0-1:24.2.1\"; column = 1; } );",
	    BYTES("/x\r\n11.8.0(5)\r\n1.8.0*01(6)\r\n1.8.0*255(00012.50*kWh)\r\n0-1:24.2.1(1012W)(7.5*m3)\r\n!\r\n"
		  "/x\r\n2.8.0(1)1.8.0(2)\r\n0-1:24.2.1(1012W)\r\n(8.5*m3)\r\n!\r\n/x\r\n1.8.0(2\r\n0-1:24.2.1(9)\r\n!\r\n"),
	    "a=12.50 g=7.5 a=2 g=8.5 " },
	/* Positions in a text; a line that is too short has none. */
	{ "", "points = ( { key = \"w\"; at = 2; length = 6; }, { key = \"u\"; at = 9; length = 2; format = \"string\"; } );",
	    BYTES("A  12.5  kg\nA  12.5\n"), "w=12.5 u='kg' " },
	/* Bytes. */
	{ "framing = { type = \"fixed\"; start = \"hex:AA\"; length = 16; };",
	    "points = ( { key = \"u8\"; at = 1; type = \"uint8\"; }, { key = \"i8\"; at = 1; type = \"int8\"; }, "
	    "{ key = \"u16\"; at = 2; type = \"uint16\"; }, { key = \"le\"; at = 2; type = \"uint16\"; order = \"DCBA\"; }, "
	    "{ key = \"f\"; at = 4; type = \"float32\"; decimals = 1; }, { key = \"fl\"; at = 8; type = \"float32\"; order = \"DCBA\"; }, "
	    "{ key = \"bcd\"; at = 12; type = \"bcd16\"; scale = 0.01; }, { key = \"bit\"; at = 14; bit = 7; type = \"bool\"; }, "
	    "{ key = \"nib\"; at = 14; type = \"uint8\"; bit = 0; bits = 4; invalid = 15; }, "
	    "{ key = \"list\"; at = 2; type = \"int16\"; array = 2; }, { key = \"end\"; at = 15; type = \"uint16\"; } );",
	    BYTES("\xaa\xfe\x01\x02\x41\xac\0\0\0\0\xac\x41\x12\x34\x8f\x05"),
	    "u8=254 i8=-2 u16=258 le=513 f=21.5 fl=21.5 bcd=12.34 bit=true nib=- list=[258,16812] " },
	/* What is text ends before the checksum, and has no start and end. */
	{ "framing = { type = \"start-end\"; start = \"\\x02\"; end = \"\\x03\"; tail = 1; }; checksum = { type = \"xor\"; from = 1; };",
	    "points = ( { key = \"a\"; column = 1; } );", BYTES("\x02"
								"1,25\x03"
								"\x18\x02"
								"1,25\x03"
								"\x19"),
	    "a=25 " },
	{ "checksum = { type = \"sum8\"; form = \"hex\"; };", "points = ( { key = \"a\"; column = 1; } );", BYTES("1,2Cf\n1,2cf\n"), "" },
	{ "checksum = { type = \"sum8\"; form = \"hex\"; };", "points = ( { key = \"a\"; column = 1; } );", BYTES("1,28F\n1,28f\n"),
	    "a=2 a=2 " },
};

static void
test_values(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct settings *settings = configure(cases[i].bus, cases[i].device);
		struct listener *listener = listen_to(settings, &one, true);

		listener_feed(listener, cases[i].bytes, cases[i].length, 0);
		listener_end(listener);
		if (strcmp(one.text, cases[i].values) != 0)
			fail_msg("%s\n%s, should be\n%s", cases[i].device, one.text, cases[i].values);
		listener_free(listener);
		settings_free(settings);
	}
}

/* One line, several devices: each takes what is its own. */
static void
test_devices(void **state)
{
	struct settings *settings = configure("address = { at = 1; length = 1; };",
	    "address = \"hex:00\"; points = ( { key = \"a\"; column = 1; } ); },\n"
	    "{ name = \"e\"; token = \"u\"; bus = \"b\"; address = \"7\"; points = ( { key = \"b\"; column = 1; } ); },\n"
	    "{ name = \"f\"; token = \"v\"; bus = \"b\"; pattern = \"^#\"; points = ( { key = \"c\"; column = 1; } );");
	struct listener *listener = listen_to(settings, &one, true);
	struct listener_counters counters;

	(void)state;
	listener_feed(listener, BYTES("#\0,1\n.7,2\n#7,3\n.8,4\n#\n"), 0);
	assert_string_equal(one.text, "a=1 c=1 b=2 b=3 c=3 ");
	listener_counters(listener, &counters);
	assert_int_equal(counters.frames, 5);
	assert_int_equal(counters.good, 3);
	assert_int_equal(counters.unmatched, 2);
	assert_int_equal(counters.values, 5);
	/* The last one is claimed by its pattern, but has nothing in it. */
	assert_string_equal(counters.last_bad, "#");
	assert_int_equal(counters.last_bad_verdict, FRAME_EMPTY);
	listener_free(listener);
	settings_free(settings);
}

/* Out of step: one frame is told of as bad, and not each byte that might begin one. */
static void
test_out_of_step(void **state)
{
	struct settings *settings = configure("framing = { type = \"fixed\"; length = 4; }; checksum = { type = \"sum8\"; };",
	    "points = ( { key = \"a\"; at = 0; type = \"uint8\"; } );");
	struct listener *listener = listen_to(settings, &one, true);
	struct listener_counters counters;

	(void)state;
	listener_feed(listener, BYTES("\x09\x09\x01\x02\x03\x06\x02\x02\x03\x07\x03\x02\x03\x08"), 0);
	assert_string_equal(one.text, "a=1 a=2 a=3 ");
	listener_counters(listener, &counters);
	assert_int_equal(counters.bad_checksum, 1);
	assert_int_equal(counters.good, 3);
	assert_int_equal(counters.resyncs, 1);
	listener_free(listener);
	settings_free(settings);
}

/* Without memory there is no listener, or no value; nothing leaks. */
static void
test_no_memory(void **state)
{
	struct settings *settings = configure("framing = { type = \"telegram\"; start_pattern = \"^/\"; end_pattern = \"^!\"; };"
					      "address = { pattern = \"/(.)\"; };",
	    "address = \"x\"; pattern = \"(?<g>[a-z]+)\"; points = ( { key = \"a\"; group = \"g\"; format = \"string\"; }, "
	    "{ key = \"b\"; pattern = \"([a-z]+)\"; format = \"string\"; } );");
	struct listener_sink nobody = { .ctx = NULL };
	struct listener *listener = NULL;
	struct listener_counters counters;

	(void)state;
	for (long i = 0; !listener; i++) {
		memory_fail(i);
		if (listener_new(settings, &settings->buses[0], &nobody, &listener) != 0)
			assert_null(listener);
	}
	assert_true(memory_asked() > 8);
	memory_fail(0);
	listener_feed(listener, BYTES("/x\n!\n"), 0);
	memory_fail(-1);
	listener_feed(listener, BYTES("/x\n!\n"), 0);
	listener_counters(listener, &counters);
	assert_int_equal(counters.values, 3);
	assert_int_equal(counters.good, 2);
	listener_free(listener);
	listener_free(NULL);
	settings_free(settings);
}

/* Noise, an endless line, a pattern that explodes: bounded, counted, and shown in a form that can be printed. */
static void
test_bad_input(void **state)
{
	struct settings *settings = configure("framing = { type = \"delimiter\"; max_bytes = 100; };",
	    "pattern = \"^(a+)+$\"; points = ( { key = \"a\"; column = 0; format = \"string\"; } );");
	struct listener *listener = listen_to(settings, &one, true);
	struct listener_counters counters;
	uint8_t bytes[100000];
	clock_t begin = clock();

	(void)state;
	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)(i * 2654435761u >> 13);
	for (int i = 0; i < 10; i++)
		listener_feed(listener, bytes, sizeof(bytes), 0);
	listener_feed(listener, BYTES("\n"), 0);
	memset(bytes, 'b', sizeof(bytes));
	for (int i = 0; i < 10; i++)
		listener_feed(listener, bytes, sizeof(bytes), 0);
	listener_feed(listener, BYTES("\n"), 0);
	listener_counters(listener, &counters);
	assert_true(counters.wasted_bytes > 1000000);
	assert_int_equal(counters.bytes, 2000002);
	assert_int_equal(counters.last_bad_verdict, FRAME_WASTE);
	memset(bytes, 'a', 99);
	bytes[99] = '\x1b';
	listener_feed(listener, bytes, 100, 0);
	listener_feed(listener, BYTES("\n"), 0);
	listener_counters(listener, &counters);
	assert_int_equal(counters.last_bad_verdict, FRAME_NOBODYS);
	assert_non_null(strstr(counters.last_bad, "aaa\\x1b"));
	assert_int_equal(counters.values, 0);
	assert_string_equal(one.text, "");
	assert_true((double)(clock() - begin) / CLOCKS_PER_SEC < 10);
	listener_free(listener);
	settings_free(settings);
}

static void
test_printable(void **state)
{
	char text[16];

	(void)state;
	assert_string_equal(line_printable(BYTES("a\r\n\t\\\x1b\xff"), text, sizeof(text)), "a\\r\\n\\t\\\\...");
	assert_string_equal(line_printable(BYTES("123456789012345"), text, sizeof(text)), "123456789012345");
	assert_string_equal(line_printable(BYTES("1234567890123456"), text, sizeof(text)), "123456789012...");
	assert_string_equal(line_printable(BYTES(""), text, sizeof(text)), "");
}

static unsigned
dice(unsigned sides)
{
	static uint64_t state = 88172645463325252u;

	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (unsigned)(state >> 33) % sides;
}

/* chunk  0: all at once; 1: byte by byte; else pieces of up to so many */
static void
play(const struct settings *settings, const uint8_t *bytes, size_t length, unsigned chunk, struct heard *heard)
{
	struct listener *listener = listen_to(settings, heard, false);

	for (size_t at = 0; at < length;) {
		size_t some = chunk == 0 ? length : chunk == 1 ? 1 : 1 + dice(chunk);

		some = some < length - at ? some : length - at;
		listener_feed(listener, bytes + at, some, 0);
		at += some;
	}
	listener_end(listener);
	listener_free(listener);
}

static void
check_instrument(const char *name)
{
	static uint8_t bytes[CAPTURE_MAX];
	struct settings *settings = NULL;
	struct conf_report report;
	char path[4096];
	FILE *file;
	size_t length;

	snprintf(path, sizeof(path), "%s/tests/instruments/%s.conf", SRCDIR, name);
	if (conf_load(path, &settings, &report) != 0)
		fail_msg("%s", report.count > 0 ? report.lines[0] : path);
	conf_report_done(&report);
	snprintf(path, sizeof(path), "%s/tests/instruments/%s.capture", SRCDIR, name);
	file = fopen(path, "rb");
	assert_non_null(file);
	length = fread(bytes, 1, sizeof(bytes), file);
	fclose(file);
	/* As it was recorded, and with some bytes spoilt. */
	for (int round = 0; round < 20; round++) {
		play(settings, bytes, length, 0, &one);
		for (unsigned chunk = 1; chunk < 40; chunk = 2 * chunk + 1) {
			play(settings, bytes, length, chunk, &other);
			assert_string_equal(other.text, one.text);
		}
		bytes[dice((unsigned)length)] = (uint8_t)dice(256);
	}
	settings_free(settings);
}

static void
test_instruments(void **state)
{
	DIR *folder = opendir(SRCDIR "/tests/instruments");
	struct dirent *entry;
	int count = 0;

	(void)state;
	assert_non_null(folder);
	while ((entry = readdir(folder))) {
		char *end = strstr(entry->d_name, ".conf");

		if (!end || end[5] != '\0')
			continue;
		*end = '\0';
		check_instrument(entry->d_name);
		count++;
	}
	closedir(folder);
	assert_true(count >= 14);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_values),
		cmocka_unit_test(test_devices),
		cmocka_unit_test(test_out_of_step),
		cmocka_unit_test(test_no_memory),
		cmocka_unit_test(test_bad_input),
		cmocka_unit_test(test_printable),
		cmocka_unit_test(test_instruments),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
