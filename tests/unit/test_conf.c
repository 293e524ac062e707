#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "conf/conf.h"
#include "conf/mistakes.h"
#include "conf/text.h"
#include "fake/memory.h"
#include "model/value.h"

static struct settings *
load(const char *path)
{
	struct settings *settings = NULL;
	struct conf_report report;
	int error = conf_load(path, &settings, &report);

	if (report.count > 0)
		print_error("%s\n", report.lines[0]);
	assert_int_equal(error, 0);
	conf_report_done(&report);
	return settings;
}

static const struct point *
point_called(const struct settings *settings, const char *key)
{
	for (size_t d = 0; d < settings->device_count; d++)
		for (size_t p = 0; p < settings->devices[d].point_count; p++)
			if (strcmp(settings->devices[d].points[p].key, key) == 0)
				return &settings->devices[d].points[p];
	fail_msg("no point %s", key);
	return NULL;
}

static void
test_defaults(void **state)
{
	struct settings *settings = load(SRCDIR "/tests/conf/good/least.conf");
	const struct server_settings *server = &settings->server;
	const struct bus *bus = &settings->buses[0];
	const struct point *point = &settings->devices[0].points[0];

	(void)state;
	assert_string_equal(server->host, "a");
	assert_int_equal(server->port, 1883);
	assert_int_equal(server->keepalive_s, 60);
	assert_int_equal(server->connect_timeout_ms, 10000);
	assert_int_equal(server->reconnect_min_ms, 1000);
	assert_int_equal(server->reconnect_max_ms, 60000);
	assert_int_equal(server->rpc_timeout_ms, 4500);
	assert_int_equal(server->in_flight, 8);
	assert_int_equal(server->batch_bytes, 32768);
	assert_int_equal(settings->store.memory_mb, 16);
	assert_int_equal(bus->tcp_port, 502);
	assert_int_equal(bus->timeout_ms, 1000);
	assert_int_equal(bus->connect_timeout_ms, 3000);
	assert_int_equal(bus->request_pause_ms, 0);
	assert_int_equal(settings->devices[0].unit, 1);
	assert_int_equal(settings->devices[0].period_ms, 1000);
	assert_int_equal(settings->devices[0].timeout_ms, 0);
	assert_ptr_equal(point->bus, bus);
	assert_ptr_equal(point->device, &settings->devices[0]);
	assert_int_equal(point->unit, 1);
	assert_int_equal(point->type, TYPE_BOOL);
	assert_int_equal(point->count, 1);
	assert_int_equal(point->bit, POINT_NO_BIT);
	assert_int_equal(point->order, ORDER_ABCD);
	assert_true(point->scale == 1 && point->offset == 0);
	assert_int_equal(point->kind, KIND_TELEMETRY);
	assert_int_equal(point->report, REPORT_ALWAYS);
	assert_int_equal(point->period_ms, 1000);
	assert_false(point->writable || point->shared || point->has_min || point->has_max);
	assert_null(point->labels);
	settings_free(settings);
}

static void
test_buses(void **state)
{
	struct settings *settings = load(SRCDIR "/tests/conf/good/everything.conf");
	const struct bus *bus = settings->buses;

	(void)state;
	assert_int_equal(settings->bus_count, 4);
	assert_int_equal(bus->type, BUS_RTU);
	assert_string_equal(bus->port, "/dev/ttyS0");
	assert_int_equal(bus->baud, 115200);
	assert_int_equal(bus->parity, PARITY_ODD);
	assert_int_equal(bus->data_bits, 8);
	assert_int_equal(bus->stop_bits, 2);
	assert_int_equal(bus->silence_us, 2000);
	assert_int_equal(bus->timeout_ms, 250);
	assert_int_equal(bus->request_pause_ms, 5);
	assert_null(bus->host);
	assert_int_equal(bus->rs485, RS485_RTS_INVERTED);
	assert_int_equal(bus->rts_before_us, 100);
	assert_int_equal(bus->rts_after_us, 100000);
	assert_int_equal(bus->echo, ECHO_STRIP);
	assert_false(bus->low_latency);
	bus++;
	assert_int_equal(bus->index, 1);
	assert_string_equal(bus->port, "usb:0403:6001:A50285BI");
	assert_int_equal(bus->rs485, RS485_KERNEL);
	assert_int_equal(bus->echo, ECHO_OFF);
	assert_true(bus->low_latency);
	bus++;
	assert_int_equal(bus->index, 2);
	assert_int_equal(bus->type, BUS_TCP);
	assert_int_equal(bus->connect_pause_ms, 60000);
	assert_string_equal(bus->host, "10.0.0.1");
	assert_int_equal(bus->tcp_port, 1502);
	assert_null(bus->port);
	bus++;
	assert_int_equal(bus->type, BUS_RTU_OVER_TCP);
	assert_int_equal(bus->tcp_port, 4001);
	assert_int_equal(bus->timeout_ms, 500);
	assert_int_equal(settings->store.memory_mb, 16);
	settings_free(settings);
}

static void
test_points(void **state)
{
	struct settings *settings = load(SRCDIR "/tests/conf/good/everything.conf");
	const struct point *point;

	(void)state;
	assert_string_equal(settings->devices[0].name, "Kessel \"1\" // \xC3\xA4");
	assert_int_equal(settings->devices[0].timeout_ms, 10);
	point = point_called(settings, "c16");
	assert_int_equal(point->count, 16);
	assert_int_equal(point->unit, 247);
	assert_int_equal(point_called(settings, "c3")->count, 3);
	point = point_called(settings, "bit");
	assert_int_equal(point->bit, 15);
	assert_int_equal(point->type, TYPE_BOOL);
	assert_string_equal(point->labels[1].label, "on");
	point = point_called(settings, "i16");
	assert_true(point->scale == 1 && point->offset == -40);
	assert_int_equal(point->report, REPORT_CHANGE);
	assert_int_equal(point->decimals, 0);
	assert_int_equal(point->period_ms, 86400000);
	point = point_called(settings, "u32");
	assert_int_equal(point->count, 2);
	assert_int_equal(point->order, ORDER_BADC);
	assert_int_equal(point->label_count, 2);
	assert_true(
	    point->labels[0].number == INT64_C(4294967295) && point->labels[1].number == INT64_C(3000000000));
	point = point_called(settings, "i64");
	assert_string_equal(point->labels[0].label, "gr\xC3\xB6\xC3\x9F"
						    "ter Wert");
	assert_true(point->labels[0].number == INT64_MAX && point->labels[1].number == INT64_MIN);
	point = point_called(settings, "f64");
	assert_true(point->has_min && point->min == -1000 && point->has_max && point->max == 3e9);
	assert_int_equal(point->decimals, 16);
	point = point_called(settings, "text");
	assert_int_equal(point->report, REPORT_ALWAYS);
	assert_int_equal(point->count, 123);
	point = point_called(settings, "elsewhere");
	assert_ptr_equal(point->bus, &settings->buses[2]);
	assert_int_equal(point->unit, 255);
	assert_int_equal(point->decimals, DECIMALS_SINGLE);
	settings_free(settings);
}

static void
test_layouts(void **state)
{
	struct settings *settings = load(SRCDIR "/tests/conf/good/everything.conf");
	const struct point *point;

	(void)state;
	point = point_called(settings, "field");
	assert_true(point->type == TYPE_INT16 && point->bit == 4 && point->bits == 3);
	assert_int_equal(point->write, WRITE_SINGLE);
	assert_int_equal(point->invalid_count, 1);
	assert_int_equal(point->invalid[0], -4);
	point = point_called(settings, "field16");
	assert_true(point->type == TYPE_UINT16 && point->bit == 0 && point->bits == 16);
	assert_int_equal(point->invalid_count, 2);
	assert_true(point->invalid[0] == 0x8000 && point->invalid[1] == 0xffff);
	assert_int_equal(point_called(settings, "bit")->bits, 1);
	point = point_called(settings, "i64");
	assert_true(point->verify && point->write == WRITE_MULTIPLE && point->order == ORDER_EFGHABCD);
	point = point_called(settings, "f64");
	assert_int_equal(point->order, ORDER_CDABGHEF);
	assert_true(point->has_valid_min && point->valid_min == -1e4);
	assert_true(point->has_valid_max && point->valid_max == 1e4);
	point = point_called(settings, "name");
	assert_true(point->chars == 1 && point->order == ORDER_BADC);
	point = point_called(settings, "list");
	assert_true(point->array == 60 && point->count == 120);
	assert_int_equal(point->invalid_count, 3);
	assert_true(
	    point->invalid[0] == 0x80000000 && point->invalid[1] == INT32_MAX && point->invalid[2] == -1);
	point = point_called(settings, "high");
	assert_true(point->type == TYPE_INT8 && point->count == 1 && point->bit == 8 && point->bits == 8);
	point = point_called(settings, "low");
	assert_true(point->bit == 0 && point->bits == 8);
	assert_int_equal(point_called(settings, "bcd")->decimals, 2);
	assert_int_equal(point_called(settings, "half")->decimals, DECIMALS_HALF);
	assert_int_equal(point_called(settings, "bytes")->count, 2);
	point = point_called(settings, "elsewhere");
	assert_true(point->bit == POINT_NO_BIT && point->write == WRITE_AUTO && !point->verify);
	assert_true(point->invalid_count == 0 && !point->has_valid_min && !point->has_valid_max);
	settings_free(settings);
}

static void
test_unasked_writes(void **state)
{
	struct settings *settings = load(SRCDIR "/tests/conf/good/everything.conf");
	const struct device *device = &settings->devices[0];

	(void)state;
	assert_int_equal(device->max_registers, 123);
	assert_int_equal(device->max_bits, 16);
	assert_int_equal(device->max_hole_registers, 0);
	assert_int_equal(device->write_pause_ms, 10000);
	assert_true(device->mask_write);
	assert_int_equal(device->offline_retry_max_ms, 1000);
	assert_int_equal(device->on_connect_count, 5);
	assert_ptr_equal(device->on_connect[0].point, point_called(settings, "bit"));
	assert_string_equal(value_text(&device->on_connect[0].value), "on");
	assert_int_equal(device->on_connect[1].value.integer, 0xffff);
	assert_int_equal(device->cloud_loss_s, 86400);
	assert_int_equal(device->on_cloud_loss_count, 2);
	assert_int_equal(device->on_cloud_loss[0].value.kind, VALUE_BOOL);
	assert_false(device->on_cloud_loss[0].value.boolean);
	assert_true(device->on_cloud_loss[1].value.real == 2.5);
	device++;
	assert_int_equal(device->max_registers, 125);
	assert_int_equal(device->max_bits, 2000);
	assert_int_equal(device->max_hole_registers, HOLES_BY_COST);
	assert_int_equal(device->offline_retry_max_ms, 30000);
	assert_int_equal(device->on_connect_count, 0);
	assert_int_equal(device->on_cloud_loss_count, 0);
	assert_int_equal(device->cloud_loss_s, 0);
	settings_free(settings);
}

/* Points are numbered over all devices, and RPC leads to them. */
static void
test_indexes(void **state)
{
	struct settings *settings = load(SRCDIR "/tests/conf/good/everything.conf");
	size_t next = 0;

	(void)state;
	for (size_t d = 0; d < settings->device_count; d++) {
		assert_int_equal(settings->devices[d].index, d);
		for (size_t p = 0; p < settings->devices[d].point_count; p++)
			assert_int_equal(settings->devices[d].points[p].index, next++);
	}
	assert_int_equal(settings->point_count, next);
	assert_null(settings->devices[1].bus);
	assert_int_equal(settings->devices[0].rpc_count, 4);
	assert_ptr_equal(settings->devices[0].rpc[0].steps[0].point, point_called(settings, "bit"));
	assert_int_equal(settings->devices[0].rpc[0].action, RPC_SET);
	assert_int_equal(settings->devices[0].rpc[1].action, RPC_GET);
	assert_string_equal(settings->devices[0].rpc[2].steps[0].value.label, "off");
	assert_int_equal(settings->devices[0].call_count, 3);
	assert_int_equal(settings->devices[0].calls[0].period_ms, 1000);
	assert_null(settings->devices[0].calls[0].on);
	assert_string_equal(settings->devices[0].calls[0].results[0].field, "time.hour");
	assert_string_equal(settings->devices[0].calls[0].results[1].field, "f64");
	assert_ptr_equal(settings->devices[0].calls[1].on, point_called(settings, "bit"));
	assert_string_equal(settings->devices[0].calls[1].on_value.label, "on");
	assert_string_equal(settings->devices[0].calls[1].params[1].name, "c16");
	assert_null(settings->devices[0].calls[1].params[2].point);
	assert_string_equal(settings->devices[0].calls[1].results[0].field, "");
	assert_null(settings->devices[0].calls[1].results[1].field);
	assert_true(settings->devices[0].rpc[3].listed);
	assert_int_equal(settings->devices[0].rpc[3].step_count, 4);
	assert_string_equal(settings->devices[0].rpc[3].steps[0].param, "c16");
	assert_string_equal(settings->devices[0].rpc[3].steps[1].param, "speed");
	assert_int_equal(settings->devices[0].rpc[3].steps[1].value.kind, VALUE_NONE);
	assert_false(settings->devices[0].rpc[3].steps[3].value.boolean);
	assert_int_equal(settings->devices[1].rpc_count, 0);
	settings_free(settings);
}

/* A thing knows the file and line that it stands in, includes and all. */
static void
test_sources(void **state)
{
	struct settings *settings;

	(void)state;
	assert_int_equal(chdir(SRCDIR "/tests/conf/good"), 0);
	settings = load("include.conf");
	assert_string_equal(settings->buses[0].source.file, "parts/buses.conf");
	assert_int_equal(settings->buses[0].source.line, 1);
	assert_string_equal(settings->devices[0].source.file, "parts/pump.conf");
	assert_string_equal(settings->devices[0].points[0].source.file, "parts/points.conf");
	assert_string_equal(settings->devices[1].source.file, "include.conf");
	assert_int_equal(settings->devices[1].source.line, 5);
	settings_free(settings);
}

static void
test_no_file(void **state)
{
	struct settings *settings = NULL;
	struct conf_report report;

	(void)state;
	assert_int_equal(conf_load("/no/such/file.conf", &settings, &report), -EINVAL);
	assert_int_equal(report.count, 1);
	assert_string_equal(report.lines[0], "/no/such/file.conf: No such file or directory");
	conf_report_done(&report);
	assert_int_equal(conf_load("/dev", &settings, &report), -EINVAL);
	assert_string_equal(report.lines[0], "/dev: Is a directory");
	conf_report_done(&report);
	assert_int_equal(conf_load("/dev/zero", &settings, &report), -EINVAL);
	assert_string_equal(report.lines[0], "/dev/zero: File too large");
	conf_report_done(&report);
	assert_null(settings);
}

/* However many mistakes there are, somebody has to read them. */
static void
test_many(void **state)
{
	struct settings *settings = NULL;
	struct conf_report report;
	char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);

	(void)state;
	fputs("server = { host = \"a\"; };\nbuses = ( { name = \"b\"; type = \"tcp\"; host = \"c\"; } "
	      ");\ndevices = (\n",
	    out);
	for (int i = 0; i < 5000; i++)
		fprintf(out,
		    "%s { name = \"d%d\"; token = \"t%d\"; bus = \"b\"; points = ( { key = \"k\"; table = "
		    "\"coil\"; } ); }\n",
		    i ? "," : "", i, i);
	fputs(");\n", out);
	fclose(out);
	assert_int_equal(conf_load_text("x", text, size, &settings, &report), -EINVAL);
	assert_int_equal(report.count, MISTAKES_MAX_SHOWN + 1);
	assert_string_equal(
	    report.lines[0], "x:4: devices[0].points[0].addr: missing, a whole number 0..65535 is required");
	assert_string_equal(report.lines[999],
	    "x:1003: devices[999].points[0].addr: missing, a whole number 0..65535 is required");
	assert_string_equal(report.lines[1000], "and 4000 more");
	conf_report_done(&report);
	free(text);
}

/* What would take a parser hours, or its stack. */
static void
assert_too_much(const char *repeated, const char *expected)
{
	struct settings *settings = NULL;
	struct conf_report report;
	size_t length = strlen(repeated), size = 1000000 / length * length;
	char *text = malloc(size);

	assert_non_null(text);
	for (size_t i = 0; i < size; i += length)
		memcpy(text + i, repeated, length);
	assert_int_equal(conf_load_text("x", text, size, &settings, &report), -EINVAL);
	assert_int_equal(report.count, 1);
	assert_string_equal(report.lines[0], expected);
	conf_report_done(&report);
	free(text);
}

static void
test_too_much(void **state)
{
	(void)state;
	assert_too_much("a=(", "x:1: too many brackets within brackets, allowed are 31");
	assert_too_much("[", "x:1: too many brackets within brackets, allowed are 31");
	assert_too_much("a={", "x:1: too many brackets within brackets, allowed are 31");
	assert_too_much("a=1;\n", "x:1001: too many settings in one group, allowed are 1000");
	assert_too_much("a={b=1};\n", "x:1001: too many settings in one group, allowed are 1000");
	assert_too_much(
	    ";", "x:1: syntax error here or just before: look for a missing ';', ',', '=', quote or bracket");
}

/* Whatever allocation fails, the answer is that there is no memory, and nothing is lost. */
static void
fail_each(const char *path, int expected)
{
	int error = -ENOMEM;
	long i;

	for (i = 0; error == -ENOMEM && i < 100000; i++) {
		struct settings *settings = NULL;
		struct conf_report report;

		memory_fail(i);
		error = conf_load(path, &settings, &report);
		memory_fail(-1);
		if (error == -ENOMEM) {
			assert_null(settings);
			assert_int_equal(report.count, 0);
		}
		conf_report_done(&report);
		settings_free(settings);
	}
	assert_int_equal(error, expected);
	assert_true(i > 5);
}

static void
test_no_memory(void **state)
{
	(void)state;
	assert_int_equal(chdir(SRCDIR "/tests/conf"), 0);
	fail_each("good/everything.conf", 0);
	fail_each("good/include.conf", 0);
	fail_each("bad/points.conf", -EINVAL);
	fail_each("bad/layouts.conf", -EINVAL);
	fail_each("bad/writes.conf", -EINVAL);
	fail_each("bad/doubles.conf", -EINVAL);
	fail_each("bad/given-twice.conf", -EINVAL);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_buses),
		cmocka_unit_test(test_points),
		cmocka_unit_test(test_layouts),
		cmocka_unit_test(test_unasked_writes),
		cmocka_unit_test(test_indexes),
		cmocka_unit_test(test_sources),
		cmocka_unit_test(test_no_file),
		cmocka_unit_test(test_many),
		cmocka_unit_test(test_too_much),
		cmocka_unit_test(test_no_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
