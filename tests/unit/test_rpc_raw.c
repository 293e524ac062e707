#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "cloud/rpc.h"
#include "cloud/rpc_raw.h"
#include "model/codec.h"

static const struct bus plc = { .name = "plc", .type = BUS_TCP };
static const struct bus other = { .name = "other", .type = BUS_TCP };
static const struct bus far = { .name = "far", .type = BUS_TCP };
static const struct bus scale = { .name = "scale", .type = BUS_SERIAL };
static struct point points[] = {
	{ .key = "a", .bus = &plc, .unit = 3 },
	{ .key = "b", .bus = &plc, .unit = 7 },
	{ .key = "c", .bus = &other, .unit = 9 },
};
static struct device device = {
	.name = "D", .bus = &plc, .unit = 3, .points = points, .point_count = 3, .raw_rpc = true
};

/* "holding 10 x 2 float32 CDAB unit 3 = 5", or what is wrong. */
static void
describe(const char *method, const char *params, char *text, size_t size)
{
	struct tb_json *json = tb_json_parse(params, strlen(params));
	struct rpc_raw raw;
	char error[RPC_TEXT_MAX];
	int used;

	assert_non_null(json);
	if (!rpc_raw_is(method, json)) {
		snprintf(text, size, "no such request");
	} else if (rpc_raw_parse(&device, method, json, &raw, error) < 0) {
		snprintf(text, size, "%s", error);
	} else {
		used = snprintf(text, size, "%s %d x %d %s", point_table_name(raw.point.table),
		    raw.point.addr, raw.point.count, codec_type(raw.point.type)->name);
		if (raw.point.array > 0)
			used += snprintf(text + used, size - (size_t)used, "[%d]", raw.point.array);
		used += snprintf(text + used, size - (size_t)used, " %s unit %d%s",
		    point_order_name(raw.point.order), raw.point.unit,
		    raw.point.write == WRITE_SINGLE	? " single"
		    : raw.point.write == WRITE_MULTIPLE ? " multiple"
							: "");
		if (raw.write) {
			char value[128];
			int length = tb_json_value(&raw.value, value, sizeof(value));

			assert_true(length > 0);
			snprintf(text + used, size - (size_t)used, " = %.*s", length, value);
		}
		assert_int_equal(raw.point.index, POINT_AD_HOC);
		assert_int_equal(raw.point.writable, raw.write);
		value_done(&raw.value);
	}
	tb_json_free(json);
}

struct row {
	const char *method, *params, *is;
};

static void
check(const struct row *rows, size_t count)
{
	char text[RPC_TEXT_MAX];

	for (size_t i = 0; i < count; i++) {
		describe(rows[i].method, rows[i].params, text, sizeof(text));
		if (strcmp(text, rows[i].is) != 0)
			fail_msg("%s %s: %s, not %s", rows[i].method, rows[i].params, text, rows[i].is);
	}
}

#define CHECK(rows) check(rows, sizeof(rows) / sizeof(rows[0]))

static void
members_say_what_is_read(void **state)
{
	static const struct row rows[] = {
		{ "modbus_read", "{\"table\":\"holding\",\"addr\":10}", "holding 10 x 1 uint16 ABCD unit 3" },
		{ "modbus_read",
		    "{\"table\":\"input\",\"addr\":10,\"type\":\"float32\",\"order\":\"CDAB\",\"unit\":7}",
		    "input 10 x 2 float32 CDAB unit 7" },
		{ "modbus_read", "{\"table\":\"holding\",\"addr\":0,\"count\":125}",
		    "holding 0 x 125 uint16[125] ABCD unit 3" },
		{ "modbus_read", "{\"table\":\"holding\",\"addr\":0,\"count\":4,\"type\":\"int32\"}",
		    "holding 0 x 4 int32[2] ABCD unit 3" },
		{ "modbus_read", "{\"table\":\"holding\",\"addr\":0,\"count\":8,\"type\":\"string\"}",
		    "holding 0 x 8 string ABCD unit 3" },
		{ "modbus_read", "{\"table\":\"coil\",\"addr\":65535}", "coil 65535 x 1 bool ABCD unit 3" },
		{ "modbus_read", "{\"table\":\"discrete\",\"addr\":1,\"count\":9}",
		    "discrete 1 x 9 bool[9] ABCD unit 3" },
		{ "modbus_write", "{\"table\":\"holding\",\"addr\":1,\"value\":5}",
		    "holding 1 x 1 uint16 ABCD unit 3 = 5" },
		{ "modbus_write", "{\"table\":\"coil\",\"addr\":1,\"count\":2,\"value\":[true,false]}",
		    "coil 1 x 2 bool[2] ABCD unit 3 = [true,false]" },
	};

	(void)state;
	CHECK(rows);
}

static void
members_that_are_wrong_are_told(void **state)
{
	static const struct row rows[] = {
		{ "modbus_read", "5", "params must be an object with the members table and addr" },
		{ "modbus_read", "{}", "table is missing, one of coil, discrete, input, holding" },
		{ "modbus_read", "{\"table\":\"coil\"}", "addr is missing" },
		{ "modbus_read", "{\"table\":\"coils\",\"addr\":1}",
		    "table must be one of coil, discrete, input, holding" },
		{ "modbus_read", "{\"table\":5,\"addr\":1}",
		    "table must be one of coil, discrete, input, holding" },
		{ "modbus_read", "{\"table\":\"coil\",\"addr\":65536}",
		    "addr 65536 is out of range, allowed are 0..65535" },
		{ "modbus_read", "{\"table\":\"coil\",\"addr\":-1}", "addr must be a whole number" },
		{ "modbus_read", "{\"table\":\"coil\",\"addr\":\"1\"}", "addr must be a whole number" },
		{ "modbus_read", "{\"table\":\"coil\",\"addr\":99999999999999999999}",
		    "addr must be a whole number" },
		{ "modbus_read", "{\"table\":\"coil\",\"addr\":1,\"count\":0}",
		    "count 0 is out of range, allowed are 1..125" },
		{ "modbus_read", "{\"table\":\"coil\",\"addr\":1,\"count\":126}",
		    "count 126 is out of range, allowed are 1..125" },
		{ "modbus_read", "{\"table\":\"holding\",\"addr\":65535,\"type\":\"int32\"}",
		    "2 registers from 65535 on end beyond 65535" },
		{ "modbus_read", "{\"table\":\"holding\",\"addr\":1,\"type\":\"int32\",\"count\":3}",
		    "count 3 is no multiple of 2, the registers of type int32" },
		{ "modbus_read", "{\"table\":\"holding\",\"addr\":1,\"type\":\"string\"}",
		    "count is missing, which type string needs" },
		{ "modbus_read", "{\"table\":\"holding\",\"addr\":1,\"type\":\"word\"}",
		    "type must be one of those of gateway.conf(5)" },
		{ "modbus_read", "{\"table\":\"coil\",\"addr\":1,\"type\":\"int16\"}",
		    "table coil has no other type than bool" },
		{ "modbus_read", "{\"table\":\"coil\",\"addr\":1,\"order\":\"AB\"}",
		    "order must be one of ABCD, CDAB, BADC, DCBA, CDABGHEF, EFGHABCD" },
		{ "modbus_read", "{\"table\":\"coil\",\"adr\":1}",
		    "'adr' is no parameter of it (known: table, addr, count, type, order, unit)" },
		{ "modbus_read", "{\"table\":\"coil\",\"addr\":1,\"value\":1}",
		    "'value' is no parameter of it (known: table, addr, count, type, order, unit)" },
		{ "modbus_write", "{\"table\":\"coil\",\"addr\":1}", "the value is missing" },
		{ "modbus_write", "{\"table\":\"coil\",\"addr\":1,\"value\":{}}",
		    "the value is neither a number nor a text nor true or false, nor a list of such" },
		{ "modbus_write", "{\"table\":\"input\",\"addr\":1,\"value\":1}",
		    "table input cannot be written" },
		{ "modbus_write", "{\"table\":\"holding\",\"addr\":1,\"count\":124,\"value\":1}",
		    "count 124 is out of range, allowed are 1..123 in a write" },
		{ "modbus_read", "{\"table\":\"coil\",\"addr\":1,\"unit\":4}",
		    "unit 4: no point of the device is there" },
		{ "modbus_read", "{\"table\":\"coil\",\"addr\":1,\"unit\":9}",
		    "unit 9: no point of the device is there" },
	};

	(void)state;
	CHECK(rows);
}

static void
a_text_of_parameters_is_understood(void **state)
{
	static const struct row rows[] = {
		{ "get", "\"type=16int;functionCode=3;objectsCount=1;address=10;\"",
		    "holding 10 x 1 int16 ABCD unit 3" },
		{ "get", "\"type=32float;functionCode=4;objectsCount=2;address=10;order=CDAB;\"",
		    "input 10 x 2 float32 CDAB unit 3" },
		{ "get", "\"type=bits;functionCode=1;objectsCount=2;address=10\"",
		    "coil 10 x 2 bool[2] ABCD unit 3" },
		{ "get", "\"type=16int;functionCode=2;objectsCount=1;address=10;\"",
		    "discrete 10 x 1 bool ABCD unit 3" },
		{ "get", "\"type=uint;functionCode=3;objectsCount=4;address=0;\"",
		    "holding 0 x 4 uint64 ABCD unit 3" },
		{ "get", "\"type=double;functionCode=3;objectsCount=2;address=0;\"",
		    "holding 0 x 2 float32 ABCD unit 3" },
		{ "set", "\"type=16int;functionCode=6;objectsCount=1;address=10;value=-5;\"",
		    "holding 10 x 1 int16 ABCD unit 3 single = -5" },
		{ "set", "\"type=bits;functionCode=5;objectsCount=1;address=10;value=true\"",
		    "coil 10 x 1 bool ABCD unit 3 single = true" },
		{ "set", "\"type=bits;functionCode=15;objectsCount=2;address=10;value=[1,0];\"",
		    "coil 10 x 2 bool[2] ABCD unit 3 multiple = [1,0]" },
		{ "set", "\"type=string;functionCode=16;objectsCount=4;address=10;value=a;b=c\"",
		    "holding 10 x 4 string ABCD unit 3 multiple = \"a;b=c\"" },
		{ "set", "\"type=16int;functionCode=16;objectsCount=1;address=10; 5\"",
		    "holding 10 x 1 int16 ABCD unit 3 multiple = 5" },
		{ "get", "\"type=16int;functionCode=6;objectsCount=1;address=10;\"",
		    "functionCode must be one of 1, 2, 3, 4" },
		{ "set", "\"type=16int;functionCode=3;objectsCount=1;address=10;value=1;\"",
		    "functionCode must be one of 5, 6, 15, 16" },
		{ "set", "\"type=16int;functionCode=6;objectsCount=1;address=10;\"", "the value is missing" },
		{ "get", "\"type=16int;functionCode=3x;objectsCount=1;address=10;\"",
		    "functionCode must be a whole number" },
		{ "get", "\"type=16int;functionCode=3;objectsCount=1;\"", "address must be a whole number" },
		{ "get", "\"type=12int;functionCode=3;objectsCount=1;address=1;\"",
		    "type must be one of bits, string, bytes, 8int, 8uint, 16int, 16uint, 16float and so "
		    "on" },
		{ "get", "\"type=16int;functionCode=3;unitId=4;address=1;\"",
		    "'unitId=4' is no parameter of it (known: type, functionCode, objectsCount, address, "
		    "order, "
		    "value)" },
		{ "get", "\"functionCode=3;address=99999999999999999999\"",
		    "addr 9223372036854775807 is out of range, allowed are 0..65535" },
		{ "get", "\"mode\"", "no such request" },
		{ "get", "{\"key\":\"mode\"}", "no such request" },
		{ "fly", "\"functionCode=3;address=1\"", "no such request" },
	};

	(void)state;
	CHECK(rows);
}

static void
nothing_is_taken_that_is_not_allowed(void **state)
{
	static const struct row rows[] = {
		{ "modbus_read", "{\"table\":\"coil\",\"addr\":1}",
		    "the device takes no requests by address: raw_rpc is not set" },
		{ "set", "\"functionCode=6;address=1;value=1;\"",
		    "the device takes no requests by address: raw_rpc is not set" },
	};

	(void)state;
	device.raw_rpc = false;
	CHECK(rows);
	device.raw_rpc = true;
}

static void
the_bus_is_the_devices_own(void **state)
{
	static const struct row foreign[] = { { "modbus_read", "{\"table\":\"coil\",\"addr\":1}",
	    "no point of the device is on bus far" } };
	static const struct row none[] = { { "modbus_read", "{\"table\":\"coil\",\"addr\":1}",
	    "bus scale: Modbus is not spoken there" } };
	static const struct row first[] = { { "modbus_read", "{\"table\":\"coil\",\"addr\":1}",
	    "coil 1 x 1 bool ABCD unit 3" } };

	(void)state;
	device.bus = &scale;
	CHECK(none);
	device.bus = &far;
	CHECK(foreign);
	device.bus = NULL;
	CHECK(first);
	device.bus = &plc;
	device.unit = 200;
	CHECK(first);
	device.unit = 3;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(members_say_what_is_read),
		cmocka_unit_test(members_that_are_wrong_are_told),
		cmocka_unit_test(a_text_of_parameters_is_understood),
		cmocka_unit_test(nothing_is_taken_that_is_not_allowed),
		cmocka_unit_test(the_bus_is_the_devices_own),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
