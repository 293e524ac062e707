/* How values are typed, against section 3 of what is known of ThingsBoard's server: one row a case. */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/lenient.h"
#include "bench/telemetry.h"
/* Not sorted in: it needs what stands above. */
/* clang-format off */
#include <cmocka.h>
/* clang-format on */

#define NOW 1700000000000

static const struct typing {
	const char *json; /* the value as it is sent */
	const char *type;
	const char *shown; /* the value as it is stored, as JSON */
} typings[] = {
	{ "true", "boolean", "true" },
	{ "FALSE", "boolean", "false" },
	{ "42", "long", "42" },
	{ "-0", "long", "0" },
	{ "42.0", "double", "42.0" },
	{ "1e3", "long", "1000" },
	{ "1.5e3", "long", "1500" },
	{ "1.5e-1", "double", "1.5e-1" },
	{ "0e-20", "long", "0" },
	{ "0.0", "double", "0.0" },
	{ "21.3", "double", "21.3" },
	{ "21.699999999999999", "double", "21.699999999999999" },
	{ "0.10000000000000001", "string", "\"0.10000000000000001\"" },
	{ "0.050000000000000003", "string", "\"0.050000000000000003\"" },
	{ "0.10000000149011612", "string", "\"0.10000000149011612\"" },
	{ "0.1234567890123456", "double", "0.1234567890123456" },
	{ "1e-17", "string", "\"0.00000000000000001\"" },
	{ "9223372036854775807", "long", "9223372036854775807" },
	{ "-9223372036854775808", "long", "-9223372036854775808" },
	{ "9223372036854775808", "string", "\"9223372036854775808\"" },
	{ "18446744073709551615", "string", "\"18446744073709551615\"" },
	{ "1e19", "string", "\"10000000000000000000\"" },
	{ "1e+19", "string", "\"10000000000000000000\"" },
	{ "10000000.0", "long", "10000000" },
	{ "9999999.0", "double", "9999999.0" },
	{ "12345678.9", "double", "12345678.9" },
	{ "-10000000.0", "long", "-10000000" },
	{ "123456789000000000000.0", "string", "\"123456789000000000000\"" },
	{ "0.0001", "double", "0.0001" },
	{ "NaN", "string", "\"NaN\"" },
	{ "Infinity", "string", "\"Infinity\"" },
	{ "-Infinity", "string", "\"-Infinity\"" },
	{ "tru", "string", "\"tru\"" },
	{ "007", "long", "7" },
	{ "'single'", "string", "\"single\"" },
	{ "\"00123\"", "long", "123" },
	{ "\"12.50\"", "double", "12.5" },
	{ "\"-5\"", "long", "-5" },
	{ "\".5\"", "double", "0.5" },
	{ "\"1e5\"", "string", "\"1e5\"" },
	{ "\"+5\"", "string", "\"+5\"" },
	{ "\" 5\"", "string", "\" 5\"" },
	{ "\"5.\"", "string", "\"5.\"" },
	{ "\"0x1F\"", "string", "\"0x1F\"" },
	{ "\"true\"", "string", "\"true\"" },
	{ "\"\"", "string", "\"\"" },
	{ "\"-\"", "string", "\"-\"" },
	{ "\"1.2.3\"", "string", "\"1.2.3\"" },
	{ "\"\\u00e9\\ud83d\\ude00\"", "string", "\"\xC3\xA9\xF0\x9F\x98\x80\"" },
	{ "{\"x\":[1,2.50]}", "json", "{\"x\":[1,2.50]}" },
	{ "[]", "json", "[]" },
};

static void
test_typing(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(typings) / sizeof(typings[0]); i++) {
		struct telemetry telemetry;
		char text[256];

		snprintf(text, sizeof(text), "{\"k\":%s}", typings[i].json);
		print_message("%s\n", text);
		assert_int_equal(telemetry_parse(&telemetry, text, NOW), 0);
		assert_int_equal(telemetry.points, 1);
		assert_string_equal(value_type_name(telemetry.elements[0].values[0].type), typings[i].type);
		assert_string_equal(json_object_to_json_string_ext(telemetry.elements[0].values[0].json,
					JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE),
		    typings[i].shown);
		telemetry_done(&telemetry);
	}
}

static const struct outcome {
	const char *text;
	int error;
	size_t elements, points;
} outcomes[] = {
	{ "{\"a\":1,\"b\":2}", 0, 1, 2 },
	{ "{\"a\":null,\"b\":1}", 0, 1, 1 },
	{ "{\"a\":1,\"a\":2}", 0, 1, 1 },
	{ "{}", 0, 1, 0 },
	{ "[{}]", 0, 1, 0 },
	{ "[]", 0, 0, 0 },
	{ "[{\"a\":1},{\"ts\":5,\"values\":{\"a\":1,\"b\":2}}]", 0, 2, 3 },
	{ "{\"ts\":5}", 0, 1, 1 },
	{ "{a=1;b='x'} // said", 0, 1, 2 },
	{ "/* first */ {\"a\":1}", 0, 1, 1 },
	{ "{\"a\":[1,,2,]}", 0, 1, 1 },
	{ "{\"ts\":\"5\",\"values\":{}}", 0, 1, 0 },
	{ "{\"ts\":5.9,\"values\":{}}", 0, 1, 0 },
	{ "", -EBADMSG, 0, 0 },
	{ "null", -EBADMSG, 0, 0 },
	{ "5", -EBADMSG, 0, 0 },
	{ "nonsense", -EBADMSG, 0, 0 },
	{ "[1]", -EBADMSG, 0, 0 },
	{ "{\"a\":1", -EBADMSG, 0, 0 },
	{ "{\"a\":1,}", -EBADMSG, 0, 0 },
	{ "{\"a\":}", -EBADMSG, 0, 0 },
	{ "{\"a\":\"x}", -EBADMSG, 0, 0 },
	{ "{\"a\":\"\\q\"}", -EBADMSG, 0, 0 },
	{ "{\"a\":1} x", -EBADMSG, 0, 0 },
	{ "{\"a\":1}/*", -EBADMSG, 0, 0 },
	{ "{\"ts\":5,\"values\":3}", -EBADMSG, 0, 0 },
	{ "{\"ts\":\"x\",\"values\":{}}", -EDOM, 0, 0 },
	{ "{\"ts\":null,\"values\":{}}", -EDOM, 0, 0 },
	{ "{\"ts\":true,\"values\":{}}", -EDOM, 0, 0 },
	{ "{\"a\":1e99999999999}", -EDOM, 0, 0 },
};

static void
test_outcome(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(outcomes) / sizeof(outcomes[0]); i++) {
		struct telemetry telemetry;
		int error = telemetry_parse(&telemetry, outcomes[i].text, NOW);

		print_message("%s\n", outcomes[i].text);
		assert_int_equal(error, outcomes[i].error);
		if (!error) {
			assert_int_equal(telemetry.count, outcomes[i].elements);
			assert_int_equal(telemetry.points, outcomes[i].points);
		}
		telemetry_done(&telemetry);
	}
}

static void
test_timestamps(void **state)
{
	struct telemetry telemetry;

	(void)state;
	assert_int_equal(
	    telemetry_parse(&telemetry,
		"[{\"a\":1},{\"ts\":17,\"values\":{\"a\":1}},{\"ts\":\"18\",\"values\":{}}]", NOW),
	    0);
	assert_true(telemetry.elements[0].server_ts);
	assert_int_equal(telemetry.elements[0].ts_unix_ms, NOW);
	assert_false(telemetry.elements[1].server_ts);
	assert_int_equal(telemetry.elements[1].ts_unix_ms, 17);
	assert_int_equal(telemetry.elements[2].ts_unix_ms, 18);
	telemetry_done(&telemetry);
}

static void
test_attributes(void **state)
{
	struct telemetry attributes;

	(void)state;
	assert_int_equal(attributes_parse(&attributes, "{\"ts\":1,\"values\":{\"a\":1}}"), 0);
	assert_int_equal(attributes.points, 2);
	telemetry_done(&attributes);
	assert_int_equal(attributes_parse(&attributes, "[{\"a\":1}]"), -EBADMSG);
	telemetry_done(&attributes);
}

static const char *
refusal_of(const char *key)
{
	struct telemetry telemetry;
	const char *why;
	char text[2048];

	snprintf(text, sizeof(text), "{\"%s\":1}", key);
	assert_int_equal(telemetry_parse(&telemetry, text, NOW), 0);
	why = element_refusal(&telemetry.elements[0]);
	telemetry_done(&telemetry);
	return why;
}

static void
test_keys(void **state)
{
	char key[257 * 2] = { 0 };

	(void)state;
	memset(key, 'k', 255);
	assert_null(refusal_of(key));
	key[255] = 'k';
	assert_non_null(refusal_of(key));
	assert_non_null(refusal_of(" "));
	assert_non_null(refusal_of("<b>x</b>"));
	assert_null(refusal_of("a < b > c"));
	/* Characters count, not bytes. */
	for (int i = 0; i < 255; i++)
		memcpy(key + 2 * i, "\xC3\xA9", 2);
	assert_null(refusal_of(key));
}

/* Every beginning of a payload, and every payload with one byte changed, ends in a result and not in a crash.
 */
static void
test_garbage(void **state)
{
	static const char whole[] =
	    "[{\"ts\":1.5e3,\"values\":{\"a\":\"\\u12ab\\n\",'b':[1,{}],c=-0.5e-7}}, /* x */ {d:null}]";
	uint8_t bytes[sizeof(whole)];

	(void)state;
	for (size_t length = 0; length < sizeof(whole); length++) {
		for (int value = 0; value < 256; value++) {
			struct telemetry telemetry;
			char *text;

			memcpy(bytes, whole, sizeof(whole));
			bytes[length] = (uint8_t)value;
			text = utf8_clean(bytes, value ? sizeof(whole) - 1 : length);
			telemetry_parse(&telemetry, text, NOW);
			telemetry_done(&telemetry);
			free(text);
		}
	}
}

static void
test_depth(void **state)
{
	char *text = calloc(1, 140001);
	struct telemetry telemetry;

	(void)state;
	memset(text, '[', 70000);
	memset(text + 70000, ']', 70000);
	assert_int_equal(telemetry_parse(&telemetry, text, NOW), -EBADMSG);
	telemetry_done(&telemetry);
	free(text);
}

static void
test_utf8(void **state)
{
	static const struct {
		const char *bytes, *clean;
	} rows[] = {
		{ "plain", "plain" },
		{ "\xC3\xA9", "\xC3\xA9" },
		{ "\xFF", "\xEF\xBF\xBD" },
		{ "\xC3", "\xEF\xBF\xBD" },
		{ "\xC0\x80", "\xEF\xBF\xBD\xEF\xBF\xBD" },
		{ "\xED\xA0\x80", "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD" },
		{ "\xF0\x9F\x98\x80", "\xF0\x9F\x98\x80" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char *clean = utf8_clean((const uint8_t *)rows[i].bytes, strlen(rows[i].bytes));

		assert_string_equal(clean, rows[i].clean);
		free(clean);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_typing),
		cmocka_unit_test(test_outcome),
		cmocka_unit_test(test_timestamps),
		cmocka_unit_test(test_attributes),
		cmocka_unit_test(test_keys),
		cmocka_unit_test(test_garbage),
		cmocka_unit_test(test_depth),
		cmocka_unit_test(test_utf8),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
