#include <errno.h>
#include <float.h>
#include <locale.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cloud/tb_json.h"
#include "cloud/tb_topic.h"

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

/* The linker puts this in the place of strdup(). */
static bool no_memory;

char *__real_strdup(const char *text);
char *__wrap_strdup(const char *text);

char *
__wrap_strdup(const char *text)
{
	return no_memory ? NULL : __real_strdup(text);
}

/* The JSON of a value, and that no byte is written beyond the room that was given. */
static const char *
printed(const struct value *value)
{
	static char text[1024];
	int length;

	memset(text, '#', sizeof(text));
	length = tb_json_value(value, text, sizeof(text) - 1);
	assert_true(length > 0);
	assert_int_equal(text[sizeof(text) - 1], '#');
	for (int room = 0; room < length; room++) {
		char less[1024];

		memset(less, '#', sizeof(less));
		assert_int_equal(tb_json_value(value, less, (size_t)room), -EMSGSIZE);
		assert_int_equal(less[room], '#');
	}
	text[length] = '\0';
	return text;
}

static const char *
printed_real(double real, int decimals)
{
	return printed(&(struct value){ .kind = VALUE_REAL, .decimals = (int8_t)decimals, .real = real });
}

static void
test_reals(void **state)
{
	static const struct {
		double real;
		int decimals;
		const char *text;
	} rows[] = {
		{ 0.0999755859375, DECIMALS_HALF, "0.1" },
		{ 21.296875, DECIMALS_HALF, "21.3" },
		{ 65504, DECIMALS_HALF, "65504.0" },
		{ -0x1p-24, DECIMALS_HALF, "-0.00000006" },
		{ 65600.5, DECIMALS_HALF, "65600.5" }, /* no half, but scaled */
		{ 21.3f, DECIMALS_SINGLE, "21.3" },
		{ 0.1f, DECIMALS_SINGLE, "0.1" },
		{ -0.1f, DECIMALS_SINGLE, "-0.1" },
		{ 0.1, DECIMALS_DOUBLE, "0.1" },
		{ 0.05, DECIMALS_DOUBLE, "0.05" },
		{ 21.7, DECIMALS_DOUBLE, "21.7" },
		{ 1.0 / 3, DECIMALS_DOUBLE, "0.3333333333333333" },
		{ 2.0 / 3, DECIMALS_DOUBLE, "0.6666666666666666" },
		{ 1.0f / 3, DECIMALS_SINGLE, "0.33333334" },
		{ 0.1 + 0.2, DECIMALS_DOUBLE, "0.3" }, /* 0.30000000000000004 has 17 decimals */
		{ 0, DECIMALS_DOUBLE, "0.0" },
		{ -0.0, DECIMALS_DOUBLE, "0.0" },
		{ -0.0, DECIMALS_SINGLE, "0.0" },
		{ -0.0, 0, "0" },
		{ -0.0, 2, "0.00" },
		{ 42, DECIMALS_DOUBLE, "42.0" },
		{ -42, DECIMALS_SINGLE, "-42.0" },
		{ 1e19, DECIMALS_DOUBLE, "10000000000000000000.0" },
		{ 16777216, DECIMALS_SINGLE, "16777216.0" },
		{ 123456789.0f, DECIMALS_SINGLE, "123456792.0" },
		{ 123456789012345680, DECIMALS_DOUBLE, "123456789012345680.0" },
		{ 0x1p53, DECIMALS_DOUBLE, "9007199254740992.0" },
		{ 1234567.891f, DECIMALS_SINGLE, "1234567.9" },
		{ 1234.5678901234567, DECIMALS_DOUBLE, "1234.5678901234567" },
		{ 123456789.12345679, DECIMALS_DOUBLE, "123456789.12345679" },
		{ 0.99999999999999989, DECIMALS_DOUBLE, "0.9999999999999999" },
		{ 0.95, DECIMALS_DOUBLE, "0.95" },
		{ 1e-16, DECIMALS_DOUBLE, "0.0000000000000001" },
		{ 4e-17, DECIMALS_DOUBLE, "0.0" },
		{ -4e-17, DECIMALS_DOUBLE, "0.0" },
		{ 5e-324, DECIMALS_DOUBLE, "0.0" },
		{ 0x1p-149, DECIMALS_SINGLE, "0.0" },
		{ 1.2345678e-10f, DECIMALS_SINGLE, "0.0000000001234568" },
		{ 123456.789e-12, DECIMALS_DOUBLE, "0.000000123456789" },
		{ 1e39, DECIMALS_SINGLE,
		    "1000000000000000000000000000000000000000.0" }, /* beyond every single */
		{ 3.4028235e38f, DECIMALS_SINGLE, "340282350000000000000000000000000000000.0" },
		{ 21.25, 1, "21.2" }, /* a half exactly: to even, as printf() */
		{ 21.35, 1, "21.4" }, /* 21.35000000000000142 */
		{ 0.15, 1, "0.1" },   /* 0.1499999999999999944 */
		{ 1.005, 2, "1.00" },
		{ 2.5, 0, "2" },
		{ 3.5, 0, "4" },
		{ -0.04, 1, "0.0" },
		{ -0.05, 1, "-0.1" },
		{ 21, 1, "21.0" },
		{ 9.999, 2, "10.00" },
		{ 1e15, 3, "1000000000000000.000" },
		{ 0.1, 16, "0.1000000000000000" },
		{ 123.456, 16, "123.4560000000000031" },
		{ 1e22, 2, "10000000000000000000000.00" },
		{ 1e22, 0, "10000000000000000000000" },
		{ 1, 99, "1.0000000000000000" },
	};

	(void)state;
	for (size_t i = 0; i < LENGTH(rows); i++)
		assert_string_equal(printed_real(rows[i].real, rows[i].decimals), rows[i].text);
}

static void
test_large_reals(void **state)
{
	static const double reals[] = { DBL_MAX, -DBL_MAX, 1e300, -1e300, 0x1p1000 };

	(void)state;
	for (size_t i = 0; i < LENGTH(reals); i++)
		for (int decimals = DECIMALS_DOUBLE; decimals <= DECIMALS_MAX; decimals++) {
			const char *text = printed_real(reals[i], decimals);

			assert_null(strpbrk(text, "eE"));
			assert_true(strlen(text) < TB_JSON_NUMBER_MAX);
			assert_true(strtod(text, NULL) == reals[i]);
		}
	assert_int_equal(strlen(printed_real(1e300, DECIMALS_DOUBLE)), 303);
	assert_int_equal(strspn(printed_real(1e300, DECIMALS_DOUBLE), "10."), 303);
}

/* A sequence that looks random and is the same each time. */
static uint64_t
draw(void)
{
	static uint64_t seed = 88172645463325252;

	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed;
}

/* Rounding is printf()'s, for numbers as instruments send them and for halves. */
static void
test_fixed_is_printf(void **state)
{
	char text[TB_JSON_NUMBER_MAX];

	(void)state;
	for (int i = 0; i < 200000; i++) {
		int decimals = (int)(draw() % (DECIMALS_MAX + 1));
		double real = (double)(int64_t)draw() / pow(10, (double)(draw() % 22));
		struct value value = { .kind = VALUE_REAL, .decimals = (int8_t)decimals };
		int length, wanted;

		if (i % 2)
			real = ((double)(draw() % 100000) + 0.5) / pow(10, decimals);
		value.real = fabs(real);
		wanted = snprintf(text, sizeof(text), "%.*f", decimals, fabs(real));
		length = tb_json_value(&value, text + wanted + 1, sizeof(text) - (size_t)wanted - 1);
		assert_int_equal(length, wanted);
		assert_memory_equal(text + wanted + 1, text, (size_t)wanted);
	}
}

static void
assert_no_shorter(double real, int precision_max, bool single, const char *text)
{
	char shorter[64];
	const char *first = strpbrk(text, "123456789"), *last = text + strlen(text);
	int digits = 0;

	while (last > text && (last[-1] == '0' || last[-1] == '.'))
		last--;
	for (const char *at = first; at < last; at++)
		digits += *at != '.';
	if (digits < 2)
		return;
	assert_true(digits <= precision_max);
	snprintf(shorter, sizeof(shorter), "%.*e", digits - 2, real);
	if (single)
		assert_false(strtof(shorter, NULL) == (float)real);
	else
		assert_false(strtod(shorter, NULL) == real);
}

/* Every real of 1e-2 or larger reads back, from as few digits as can be; 16 decimals are then enough for
 * singles. */
static void
test_shortest_reads_back(void **state)
{
	(void)state;
	for (int i = 0; i < 100000; i++) {
		double real = (double)(draw() >> 11) * 0x1p-53 * pow(10, (double)(draw() % 25) - 1);
		float single = (float)real;
		const char *text;

		if (i % 2) {
			real = (double)(draw() % 1000000) / pow(10, (double)(draw() % 6));
			single = (float)real;
		}
		if (real < 1)
			continue;
		text = printed_real(real, DECIMALS_DOUBLE);
		assert_true(strtod(text, NULL) == real);
		assert_non_null(strchr(text, '.'));
		assert_true(strlen(strchr(text, '.')) <= 1 + DECIMALS_MAX);
		assert_no_shorter(real, 17, false, text);
		text = printed_real((double)single, DECIMALS_SINGLE);
		assert_true(strtof(text, NULL) == single);
		/* Larger ones are whole, and printed as they are. */
		if (single < 0x1p24f)
			assert_no_shorter((double)single, 9, true, text);
	}
}

static void
test_other_values(void **state)
{
	static const struct {
		struct value value;
		const char *text;
	} rows[] = {
		{ { .kind = VALUE_BOOL, .boolean = true }, "true" },
		{ { .kind = VALUE_BOOL, .boolean = false }, "false" },
		{ { .kind = VALUE_INT, .integer = 0 }, "0" },
		{ { .kind = VALUE_INT, .integer = -1 }, "-1" },
		{ { .kind = VALUE_INT, .integer = 1000 }, "1000" },
		{ { .kind = VALUE_INT, .integer = INT64_MAX }, "9223372036854775807" },
		{ { .kind = VALUE_INT, .integer = INT64_MIN }, "-9223372036854775808" },
		{ { .kind = VALUE_UINT, .whole = UINT64_MAX }, "18446744073709551615" },
		{ { .kind = VALUE_LABEL, .label = "heat" }, "\"heat\"" },
	};
	char text[8];

	(void)state;
	for (size_t i = 0; i < LENGTH(rows); i++)
		assert_string_equal(printed(&rows[i].value), rows[i].text);
	assert_int_equal(tb_json_value(&(struct value){ .kind = VALUE_NONE }, text, sizeof(text)), -EINVAL);
	assert_int_equal(
	    tb_json_value(&(struct value){ .kind = VALUE_REAL, .real = (double)NAN }, text, sizeof(text)),
	    -EINVAL);
	assert_int_equal(tb_json_value(&(struct value){ .kind = VALUE_REAL, .real = (double)INFINITY }, text,
			     sizeof(text)),
	    -EINVAL);
}

static void
test_strings(void **state)
{
	static const struct {
		const char *string, *text;
	} rows[] = {
		{ "", "\"\"" },
		{ "PM5110", "\"PM5110\"" },
		{ "a\"b\\c/d", "\"a\\\"b\\\\c/d\"" },
		{ "\x01\t\n\x1f\x7f", "\"\\u0001\\u0009\\u000a\\u001f\x7f\"" },
		{ "\xc3\x96l \xe2\x82\xac \xf0\x9f\x98\x80", "\"\xc3\x96l \xe2\x82\xac \xf0\x9f\x98\x80\"" },
		/* Each bad byte becomes U+FFFD, so that the whole stays JSON. */
		{ "a\xff"
		  "b",
		    "\"a\xef\xbf\xbd"
		    "b\"" },
		{ "\xe2\x82", "\"\xef\xbf\xbd\xef\xbf\xbd\"" },
		{ "\xc0\xaf", "\"\xef\xbf\xbd\xef\xbf\xbd\"" },
		{ "\xed\xa0\x80", "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"" },
	};

	(void)state;
	for (size_t i = 0; i < LENGTH(rows); i++)
		assert_string_equal(
		    printed(&(struct value){ .kind = VALUE_LABEL, .label = rows[i].string }), rows[i].text);
}

static void
test_members(void **state)
{
	const struct value value = { .kind = VALUE_REAL, .decimals = 1, .real = 21.3 };
	const struct value none = { .kind = VALUE_NONE };
	char text[64] = { 0 };

	(void)state;
	assert_int_equal(tb_json_member("t", &value, true, text, sizeof(text)), 8);
	assert_string_equal(text, "\"t\":21.3");
	assert_int_equal(tb_json_member("a\"b", &value, false, text, sizeof(text)), 12);
	assert_string_equal(text, ",\"a\\\"b\":21.3");
	for (size_t room = 0; room < 12; room++) {
		memset(text, '#', sizeof(text));
		assert_int_equal(tb_json_member("a\"b", &value, false, text, room), -EMSGSIZE);
		assert_int_equal(text[room], '#');
	}
	assert_int_equal(tb_json_member("t", &none, true, text, sizeof(text)), -EINVAL);
}

static void
whole_numbers_of_every_length_are_printf(void **state)
{
	char text[64], wanted[64];
	uint64_t power = 1;

	(void)state;
	for (int digits = 1; digits <= 20; digits++, power *= 10)
		for (uint64_t number = power - 1; number <= power + 1; number++) {
			const struct value value = { .kind = VALUE_UINT, .whole = number };
			int length = tb_json_value(&value, text, sizeof(text));

			snprintf(wanted, sizeof(wanted), "%" PRIu64, number);
			assert_int_equal(length, strlen(wanted));
			assert_memory_equal(text, wanted, (size_t)length);
		}
}

/* In two steps it is the same, letter by letter, in every room. */
static void
a_name_made_before_makes_the_same_member(void **state)
{
	const struct value value = { .kind = VALUE_INT, .integer = -1234567 };
	char name[16], whole[64], parts[64];
	int name_length = tb_json_name("a\"b", name, sizeof(name));

	(void)state;
	assert_int_equal(name_length, 7);
	assert_memory_equal(name, "\"a\\\"b\":", 7);
	for (int room = 0; room < name_length; room++)
		assert_int_equal(tb_json_name("a\"b", name, (size_t)room), -EMSGSIZE);
	tb_json_name("a\"b", name, sizeof(name));
	for (size_t room = 0; room <= 20; room++)
		for (int first = 0; first < 2; first++) {
			int length = tb_json_member("a\"b", &value, first, whole, room);

			memset(parts, '#', sizeof(parts));
			assert_int_equal(tb_json_named(name, (size_t)name_length, &value, first, parts, room), length);
			assert_int_equal(parts[room], '#');
			if (length > 0)
				assert_memory_equal(parts, whole, (size_t)length);
		}
}

/* A locale with a decimal comma must not change a byte. Any such one will do; the system may have none. */
static void
test_decimal_comma(void **state)
{
	static const char *const names[] = { "de_DE.UTF-8", "fr_FR.UTF-8", "de_AT.UTF-8", "nl_NL.UTF-8",
		"ru_RU.UTF-8" };
	struct tb_json *json;
	struct value value;
	bool found = false;

	(void)state;
	for (size_t i = 0; !found && i < LENGTH(names); i++)
		found = setlocale(LC_ALL, names[i]) && localeconv()->decimal_point[0] == ',';
	if (!found)
		skip();
	assert_string_equal(printed_real(21.3f, DECIMALS_SINGLE), "21.3");
	assert_string_equal(printed_real(1234.5678901234567, DECIMALS_DOUBLE), "1234.5678901234567");
	assert_string_equal(printed_real(1e22, 2), "10000000000000000000000.00");
	json = tb_json_parse("21.5", 4);
	assert_non_null(json);
	assert_int_equal(tb_json_scalar(json, &value), 0);
	assert_true(value.real == 21.5);
	tb_json_free(json);
	setlocale(LC_ALL, "C");
}

static void
test_topics(void **state)
{
	static const struct {
		const char *topic;
		enum tb_topic kind;
		int64_t id;
	} rows[] = {
		{ "v1/devices/me/attributes", TB_ATTRIBUTES, -7 },
		{ "v1/devices/me/attributes/response/1", TB_ATTRIBUTE_RESPONSE, 1 },
		{ "v1/devices/me/rpc/request/0", TB_RPC_REQUEST, 0 },
		{ "v1/devices/me/rpc/request/9223372036854775807", TB_RPC_REQUEST, INT64_MAX },
		{ "v1/devices/me/rpc/request/9223372036854775808", TB_UNKNOWN, -7 },
		{ "v1/devices/me/rpc/request/99999999999999999999999", TB_UNKNOWN, -7 },
		{ "v1/devices/me/rpc/request/", TB_UNKNOWN, -7 },
		{ "v1/devices/me/rpc/request/-1", TB_UNKNOWN, -7 },
		{ "v1/devices/me/rpc/request/+1", TB_UNKNOWN, -7 },
		{ "v1/devices/me/rpc/request/ 1", TB_UNKNOWN, -7 },
		{ "v1/devices/me/rpc/request/1/", TB_UNKNOWN, -7 },
		{ "v1/devices/me/rpc/request/1x", TB_UNKNOWN, -7 },
		{ "v1/devices/me/rpc/response/1", TB_RPC_RESPONSE, 1 },
		{ "v1/devices/me/attributes/", TB_UNKNOWN, -7 },
		{ "v1/devices/me/attributes/response/", TB_UNKNOWN, -7 },
		{ "v1/devices/me/telemetry", TB_TELEMETRY, -7 },
		{ "v2/a", TB_UNKNOWN, -7 },
		{ "", TB_UNKNOWN, -7 },
	};

	(void)state;
	for (size_t i = 0; i < LENGTH(rows); i++) {
		int64_t id = -7;

		assert_int_equal(tb_topic_parse(rows[i].topic, &id), rows[i].kind);
		assert_true(id == rows[i].id);
	}
}

static void
test_refused_documents(void **state)
{
	static const char *const texts[] = { "", " ", "{", "}", "[", "{\"a\":1", "{\"a\":1,}", "[1,]", "[,1]",
		"[1 2]", "{,}", "{\"a\"}", "{\"a\" 1}", "{a:1}", "{'a':1}", "['a']", "'a'", "\"a", "a", "tru",
		"True", "truefalse", "nul", "NULL", "NaN", "-NaN", "nan", "Infinity", "-Infinity",
		"[Infinity]", "01", "-01", "[00]", "-", "+1", ".5", "1.", "1.e5", "1e", "1e+", "--1", "1-1",
		"0x1F", "1 2", "1,2", "{} {}", "{}x", "{}]", "[1]]", "// x\n1", "/* x */1", "1 # x", "\v1",
		"\f1", "\302\2401", "\xef\xbb\xbf{}", "\"a\nb\"", "\"a\tb\"", "\"\\x41\"", "\"\\u12\"",
		"\"\\u12g4\"", "\"\\\"", "\"\\u0000\"", "{\"a\\u0000b\":1}", "\"\xff\"", "\"\xc0\xaf\"",
		"\"\xed\xa0\x80\"", "\"\xe2\x82\"", "\xff", "{\"a\":1;\"b\":2}", "{\"a\"=1}", "{1:2}",
		"{null:2}", "{18446744073709551616:1}", "[18446744073709551616 1]", "1 18446744073709551616",
		"18446744073709551616 1", "18446744073709551616.", "[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]" };

	(void)state;
	for (size_t i = 0; i < LENGTH(texts); i++)
		if (tb_json_parse(texts[i], strlen(texts[i])))
			fail_msg("taken: %s", texts[i]);
	assert_null(tb_json_parse("{}\0", 3));
	assert_null(tb_json_parse("\"a\0b\"", 5));
	assert_null(tb_json_parse("\0", 1));
}

static void
test_size_limit(void **state)
{
	static char text[65537];
	struct tb_json *json;

	(void)state;
	memset(text, ' ', sizeof(text));
	text[0] = '1';
	json = tb_json_parse(text, 65536);
	assert_non_null(json);
	tb_json_free(json);
	assert_null(tb_json_parse(text, 65537));
}

/* The document need not end in NUL: it is copied to memory of its exact size. */
static struct tb_json *
parsed(const char *text)
{
	size_t length = strlen(text);
	char *exact = malloc(length > 0 ? length : 1);
	struct tb_json *json;

	assert_non_null(exact);
	memcpy(exact, text, length);
	json = tb_json_parse(exact, length);
	free(exact);
	return json;
}

static void
test_scalars(void **state)
{
	static const struct {
		const char *text;
		struct value value;
	} rows[] = {
		{ "true", { .kind = VALUE_BOOL, .boolean = true } },
		{ " false\r\n", { .kind = VALUE_BOOL, .boolean = false } },
		{ "0", { .kind = VALUE_INT, .integer = 0 } },
		{ "-0", { .kind = VALUE_INT, .integer = 0 } },
		{ "42", { .kind = VALUE_INT, .integer = 42 } },
		{ "9223372036854775807", { .kind = VALUE_INT, .integer = INT64_MAX } },
		{ "-9223372036854775808", { .kind = VALUE_INT, .integer = INT64_MIN } },
		{ "9223372036854775808", { .kind = VALUE_UINT, .whole = (uint64_t)1 << 63 } },
		{ "18446744073709551615", { .kind = VALUE_UINT, .whole = UINT64_MAX } },
		{ "18446744073709551616", { .kind = VALUE_REAL, .real = 0x1p64 } },
		{ "-9223372036854775809", { .kind = VALUE_REAL, .real = -0x1p63 } },
		{ "100000000000000000000000000000000000", { .kind = VALUE_REAL, .real = 1e35 } },
		{ "42.0", { .kind = VALUE_REAL, .real = 42 } },
		{ "1e3", { .kind = VALUE_REAL, .real = 1000 } },
		{ "-1.5E-3", { .kind = VALUE_REAL, .real = -1.5e-3 } },
		{ "0.1", { .kind = VALUE_REAL, .real = 0.1 } },
		{ "\"heat\"", { .kind = VALUE_LABEL, .label = "heat" } },
		{ "\"\"", { .kind = VALUE_LABEL, .label = "" } },
		{ "\"\\u00d6l \\\"\\/\\ud83d\\ude00\"",
		    { .kind = VALUE_LABEL, .label = "\xc3\x96l \"/\xf0\x9f\x98\x80" } },
		{ "\"\\ud800\"", { .kind = VALUE_LABEL, .label = "\xef\xbf\xbd" } },
	};
	struct value value = { .kind = VALUE_NONE };
	struct tb_json *json;

	(void)state;
	for (size_t i = 0; i < LENGTH(rows); i++) {
		json = parsed(rows[i].text);
		assert_non_null(json);
		assert_int_equal(tb_json_scalar(json, &value), 0);
		assert_int_equal(value.kind == VALUE_TEXT ? VALUE_LABEL : value.kind, rows[i].value.kind);
		assert_true(value_equal(&value, &rows[i].value));
		value_done(&value);
		tb_json_free(json);
	}
	json = parsed("[1e400,[],{},null]");
	assert_int_equal(tb_json_scalar(json, &value), -EINVAL);
	tb_json_free(json);
	json = parsed("1e400");
	assert_int_equal(tb_json_scalar(json, &value), -EINVAL);
	tb_json_free(json);
	json = parsed("1"
		      "0000000000"
		      "0000000000"
		      "0000000000"
		      "0000000000"
		      "0000000000");
	assert_int_equal(tb_json_scalar(json, &value), 0);
	assert_true(value.real == 1e50);
	tb_json_free(json);
	assert_null(parsed("null"));
	assert_int_equal(tb_json_scalar(NULL, &value), -EINVAL);
	assert_null(tb_json_text(NULL));
	assert_null(tb_json_get(NULL, "a"));
	tb_json_free(NULL);
}

static void
test_lists(void **state)
{
	static const char *const good[] = { "[]", "[1]", "[1,-2.5,true,\"a\\\"b\",18446744073709551615]" };
	static const char *const bad[] = { "[1e400]", "[[1]]", "[1,{}]", "[null]" };
	struct value value = { .kind = VALUE_NONE };
	struct tb_json *json;
	char text[64];

	(void)state;
	for (size_t i = 0; i < LENGTH(good); i++) {
		int length = (int)strlen(good[i]);

		json = parsed(good[i]);
		assert_int_equal(tb_json_scalar(json, &value), 0);
		assert_int_equal(value.kind, VALUE_LIST);
		assert_int_equal(tb_json_value(&value, text, sizeof(text)), length);
		assert_memory_equal(text, good[i], (size_t)length);
		for (int size = 0; size < length; size++) {
			text[size] = 'x';
			assert_int_equal(tb_json_value(&value, text, (size_t)size), -EMSGSIZE);
			assert_int_equal(text[size], 'x');
		}
		value_done(&value);
		tb_json_free(json);
	}
	for (size_t i = 0; i < LENGTH(bad); i++) {
		json = parsed(bad[i]);
		assert_int_equal(tb_json_scalar(json, &value), -EINVAL);
		assert_int_equal(value.kind, VALUE_NONE);
		tb_json_free(json);
	}
}

static void
test_rpc(void **state)
{
	static const char *const bad[] = { "{}", "[]", "1", "\"set\"", "{\"method\":1}", "{\"method\":null}",
		"{\"method\":{\"a\":1}}", "{\"params\":1}" };
	const char *method = "untouched";
	const struct tb_json *params = NULL;
	struct tb_json *json;
	struct value value;

	(void)state;
	for (size_t i = 0; i < LENGTH(bad); i++) {
		json = parsed(bad[i]);
		assert_non_null(json);
		assert_int_equal(tb_json_rpc(json, &method, &params), -EINVAL);
		assert_string_equal(method, "untouched");
		tb_json_free(json);
	}
	json = parsed("{\"method\":\"set\",\"params\":{\"key\":\"mode\",\"value\":true}}");
	assert_int_equal(tb_json_rpc(json, &method, &params), 0);
	assert_string_equal(method, "set");
	assert_string_equal(tb_json_text(tb_json_get(params, "key")), "mode");
	assert_null(tb_json_text(tb_json_get(params, "value")));
	assert_null(tb_json_get(params, "nothing"));
	assert_int_equal(tb_json_scalar(tb_json_get(params, "value"), &value), 0);
	assert_int_equal(value.kind, VALUE_BOOL);
	tb_json_free(json);
	json = parsed("{\"method\":\"reboot\",\"params\":null}");
	assert_int_equal(tb_json_rpc(json, &method, &params), 0);
	assert_null(params);
	tb_json_free(json);
	json = parsed("{\"params\":18446744073709551616 , \"method\" : \"m\"}");
	assert_int_equal(tb_json_rpc(json, &method, &params), 0);
	assert_int_equal(tb_json_scalar(params, &value), 0);
	assert_true(value.kind == VALUE_REAL && value.real == 0x1p64);
	tb_json_free(json);
}

static void
collect(void *ctx, const char *key, const struct tb_json *member)
{
	char *all = ctx;
	struct value value = { .kind = VALUE_NONE };

	strcat(all, key);
	strcat(all, tb_json_scalar(member, &value) == 0 ? "+" : "-");
	value_done(&value);
}

static void
test_each_member(void **state)
{
	char all[64] = "";
	struct tb_json *json = parsed("{\"a\":1,\"b\":null,\"c\":\"x\",\"d\":[],\"\":2.5,\"a\":3}");
	struct value value;

	(void)state;
	assert_int_equal(tb_json_members(json, collect, all), 0);
	assert_string_equal(all, "a+b-c+d++");
	/* Of two members of one name the last one counts, as in the server. */
	assert_int_equal(tb_json_scalar(tb_json_get(json, "a"), &value), 0);
	assert_int_equal(value.integer, 3);
	tb_json_free(json);
	json = parsed("[1]");
	assert_int_equal(tb_json_members(json, collect, all), -EINVAL);
	tb_json_free(json);
	assert_int_equal(tb_json_members(NULL, collect, all), -EINVAL);
}

static void
test_no_memory(void **state)
{
	struct tb_json *json = parsed("\"heat\"");
	struct value value = { .kind = VALUE_NONE };
	int result;

	(void)state;
	no_memory = true;
	result = tb_json_scalar(json, &value);
	no_memory = false;
	assert_int_equal(result, -ENOMEM);
	assert_int_equal(value.kind, VALUE_NONE);
	tb_json_free(json);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_reals),
		cmocka_unit_test(test_large_reals),
		cmocka_unit_test(test_fixed_is_printf),
		cmocka_unit_test(test_shortest_reads_back),
		cmocka_unit_test(test_other_values),
		cmocka_unit_test(test_strings),
		cmocka_unit_test(test_members),
		cmocka_unit_test(a_name_made_before_makes_the_same_member),
		cmocka_unit_test(whole_numbers_of_every_length_are_printf),
		cmocka_unit_test(test_decimal_comma),
		cmocka_unit_test(test_topics),
		cmocka_unit_test(test_refused_documents),
		cmocka_unit_test(test_size_limit),
		cmocka_unit_test(test_scalars),
		cmocka_unit_test(test_lists),
		cmocka_unit_test(test_rpc),
		cmocka_unit_test(test_each_member),
		cmocka_unit_test(test_no_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
