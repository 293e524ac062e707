/* Numbers as instruments write them, and what is no number. */
#include <errno.h>
#include <inttypes.h>
#include <locale.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "line/number.h"

static const struct {
	const char *text;
	bool comma;
	int error;
	bool negative;
	uint64_t magnitude;
	int decimals;
	const char *unit;
} numbers[] = {
	{ "0", false, 0, false, 0, 0, "" },
	{ "12.345", false, 0, false, 12345, 3, "" },
	{ "12.340", false, 0, false, 12340, 3, "" },
	{ "-7", false, 0, true, 7, 0, "" },
	{ "+ 12.345kg", false, 0, false, 12345, 3, "kg" },
	{ "  -   0.5 ", false, 0, true, 5, 1, "" },
	{ "12.5-", false, 0, true, 125, 1, "" },
	{ "12.5 -", false, -EINVAL, false, 0, 0, NULL },
	{ "12.5+", false, 0, false, 125, 1, "" },
	{ "12.5- mm", false, 0, true, 125, 1, "mm" },
	{ "1,5", true, 0, false, 15, 1, "" },
	{ "1.5", true, -EINVAL, false, 0, 0, NULL },
	{ "1,5", false, -EINVAL, false, 0, 0, NULL },
	{ "1.234,5", true, -EINVAL, false, 0, 0, NULL },
	{ ".5", false, 0, false, 5, 1, "" },
	{ "5.", false, 0, false, 5, 0, "" },
	{ "001234.567*kWh", false, 0, false, 1234567, 3, "*kWh" },
	{ "21.5 \xc2\xb0"
	  "C",
	    false, 0, false, 215, 1, "\xc2\xb0"
				     "C" },
	{ "21.5\xb0"
	  "C",
	    false, 0, false, 215, 1, "\xb0"
				     "C" },
	{ "45%", false, 0, false, 45, 0, "%" },
	{ "12 m3/h", false, 0, false, 12, 0, "m3/h" },
	{ "1.2E-03 V", false, 0, false, 12, 4, "V" },
	{ "+1.23456700E+00", false, 0, false, 123456700, 8, "" },
	{ "5e3", false, 0, false, 5, -3, "" },
	{ "5 e", false, 0, false, 5, 0, "e" },
	{ "18446744073709551615", false, 0, false, UINT64_MAX, 0, "" },
	{ "18446744073709551616", false, -ERANGE, false, 0, 0, NULL },
	{ "99999999999999999999999", false, -ERANGE, false, 0, 0, NULL },
	/* More decimals than 64 bits hold are cut, digits before them are not. */
	{ "0.12345678901234567890123", false, 0, false, 12345678901234567890u, 20, "" },
	{ "1e999", false, -ERANGE, false, 0, 0, NULL },
	{ "", false, -EINVAL, false, 0, 0, NULL },
	{ "   ", false, -EINVAL, false, 0, 0, NULL },
	{ "-", false, -EINVAL, false, 0, 0, NULL },
	{ ".", false, -EINVAL, false, 0, 0, NULL },
	{ "kg", false, -EINVAL, false, 0, 0, NULL },
	{ "OL", false, -EINVAL, false, 0, 0, NULL },
	{ "0.L", false, 0, false, 0, 0, "L" },
	{ "nan", false, -EINVAL, false, 0, 0, NULL },
	{ "inf", false, -EINVAL, false, 0, 0, NULL },
	{ "12:30", false, -EINVAL, false, 0, 0, NULL },
	{ "1.2.3", false, -EINVAL, false, 0, 0, NULL },
	{ "1 234", false, -EINVAL, false, 0, 0, NULL },
	{ "<5", false, -EINVAL, false, 0, 0, NULL },
	{ "0x1F", false, -EINVAL, false, 0, 0, NULL },
	{ "0x2F", false, -EINVAL, false, 0, 0, NULL },
	{ "0X", false, -EINVAL, false, 0, 0, NULL },
	{ "5 m2", false, 0, false, 5, 0, "m2" },
	{ "5 m4", false, -EINVAL, false, 0, 0, NULL },
	{ "5 A12", false, -EINVAL, false, 0, 0, NULL },
	{ "--5", false, -EINVAL, false, 0, 0, NULL },
	{ "+-5", false, -EINVAL, false, 0, 0, NULL },
	{ "1_000", false, -EINVAL, false, 0, 0, NULL },
	{ "12\x01", false, -EINVAL, false, 0, 0, NULL },
	{ "12 averyveryverylongunit", false, -EINVAL, false, 0, 0, NULL },
	{ "2024-01-02", false, -EINVAL, false, 0, 0, NULL },
};

static void
check_numbers(void)
{
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		struct codec_decimal number = { .magnitude = 0 };
		size_t length = strlen(numbers[i].text), unit = length;
		int error = number_parse(numbers[i].text, length, numbers[i].comma, &number, &unit);

		if (error != numbers[i].error)
			fail_msg("'%s': %d, should be %d", numbers[i].text, error, numbers[i].error);
		if (error)
			continue;
		if (number.negative != numbers[i].negative || number.magnitude != numbers[i].magnitude ||
		    number.decimals != numbers[i].decimals)
			fail_msg("'%s': %s%" PRIu64 " with %d decimals", numbers[i].text, number.negative ? "-" : "",
			    number.magnitude, number.decimals);
		if (strncmp(numbers[i].text + unit, numbers[i].unit, strlen(numbers[i].unit)) != 0)
			fail_msg("'%s': unit '%s'", numbers[i].text, numbers[i].text + unit);
	}
}

static void
test_numbers(void **state)
{
	(void)state;
	check_numbers();
}

/* A locale with a decimal comma changes nothing, if there is one to try. */
static void
test_locale(void **state)
{
	static const struct point point = { .type = TYPE_FLOAT64, .scale = 1, .decimals = DECIMALS_TEXT };
	struct codec_decimal number = { .magnitude = 12345, .decimals = 4 };
	struct value value;

	(void)state;
	if (!setlocale(LC_ALL, "de_DE.UTF-8") && !setlocale(LC_ALL, "de_DE"))
		skip();
	check_numbers();
	assert_int_equal(codec_decode_decimal(&point, &number, &value), 0);
	assert_true(value.real == 1.2345);
	setlocale(LC_ALL, "C");
}

/* To values: exact, with scale and offset, and what is no value. */
static void
test_values(void **state)
{
	static const int64_t invalid[] = { -127 };
	static const struct enum_label labels[] = { { "off", 0 }, { "on", 1 } };
	static const struct {
		struct point point;
		struct codec_decimal number;
		int error;
		struct value value;
	} cases[] = {
		{ { .scale = 1 }, { false, 12340, 3 }, 0, { .kind = VALUE_REAL, .decimals = 3, .real = 12.34 } },
		{ { .scale = 1 }, { true, 7, 0 }, 0, { .kind = VALUE_INT, .integer = -7 } },
		{ { .scale = 1 }, { false, 9007199254740993, 0 }, 0, { .kind = VALUE_INT, .integer = 9007199254740993 } },
		{ { .scale = 1 }, { false, UINT64_MAX, 0 }, 0, { .kind = VALUE_UINT, .whole = UINT64_MAX } },
		{ { .scale = 1 }, { false, 5, -3 }, 0, { .kind = VALUE_INT, .integer = 5000 } },
		{ { .scale = 1 }, { false, 1, -400 }, -ERANGE, { .kind = VALUE_NONE } },
		{ { .scale = 0.1 }, { false, 215, 0 }, 0, { .kind = VALUE_REAL, .decimals = 1, .real = 21.5 } },
		{ { .scale = 0.1 }, { false, 215, 1 }, 0, { .kind = VALUE_REAL, .decimals = 2, .real = 2.15 } },
		{ { .scale = 1000 }, { false, 10121, 4 }, 0, { .kind = VALUE_REAL, .decimals = 4, .real = 1012.1 } },
		{ { .scale = 2, .offset = -40 }, { false, 30, 0 }, 0, { .kind = VALUE_INT, .integer = 20 } },
		{ { .scale = 1, .offset = 0.25 }, { false, 1, 0 }, 0, { .kind = VALUE_REAL, .decimals = 2, .real = 1.25 } },
		{ { .scale = 1, .invalid = invalid, .invalid_count = 1 }, { true, 127, 0 }, -ENODATA, { .kind = VALUE_NONE } },
		{ { .scale = 1, .invalid = invalid, .invalid_count = 1 }, { true, 12700, 2 }, -ENODATA, { .kind = VALUE_NONE } },
		{ { .scale = 1, .invalid = invalid, .invalid_count = 1 }, { true, 12701, 2 }, 0,
		    { .kind = VALUE_REAL, .decimals = 2, .real = -127.01 } },
		{ { .scale = 1, .has_valid_max = true, .valid_max = 9e37 }, { false, 99, -36 }, -ENODATA, { .kind = VALUE_NONE } },
		{ { .scale = 1, .labels = labels, .label_count = 2 }, { false, 1, 0 }, 0, { .kind = VALUE_LABEL, .label = "on" } },
		{ { .scale = 1, .labels = labels, .label_count = 2 }, { false, 10, 1 }, 0, { .kind = VALUE_LABEL, .label = "on" } },
		{ { .scale = 1, .labels = labels, .label_count = 2 }, { false, 2, 0 }, 0, { .kind = VALUE_INT, .integer = 2 } },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct point point = cases[i].point;
		struct value value = { .kind = VALUE_NONE };

		point.type = TYPE_FLOAT64;
		point.decimals = DECIMALS_TEXT;
		if (codec_decode_decimal(&point, &cases[i].number, &value) != cases[i].error)
			fail_msg("case %zu: not %d", i, cases[i].error);
		if (value.kind != cases[i].value.kind || !value_equal(&value, &cases[i].value) ||
		    (value.kind == VALUE_REAL && value.decimals != cases[i].value.decimals))
			if (cases[i].error == 0)
				fail_msg("case %zu: another value: %.17g with %d decimals", i, value.real, value.decimals);
	}
}

static void
test_words(void **state)
{
	struct codec_decimal number;
	bool truth;
	double degrees;

	(void)state;
	assert_int_equal(number_parse_hex(" 0x1F ", 6, &number), 0);
	assert_int_equal(number.magnitude, 0x1f);
	assert_int_equal(number_parse_hex("FFFFFFFFFFFFFFFF", 16, &number), 0);
	assert_true(number.magnitude == UINT64_MAX);
	assert_int_equal(number_parse_hex("1FFFFFFFFFFFFFFFF", 17, &number), -ERANGE);
	assert_int_equal(number_parse_hex("", 0, &number), -EINVAL);
	assert_int_equal(number_parse_hex("0x", 2, &number), -EINVAL);
	assert_int_equal(number_parse_hex("1G", 2, &number), -EINVAL);
	assert_int_equal(number_parse_bool(" On\r", 4, &truth), 0);
	assert_true(truth);
	assert_int_equal(number_parse_bool("FALSE", 5, &truth), 0);
	assert_false(truth);
	assert_int_equal(number_parse_bool("2", 1, &truth), -EINVAL);
	assert_int_equal(number_parse_bool("onn", 3, &truth), -EINVAL);
	assert_int_equal(number_parse_bool("", 0, &truth), -EINVAL);
	assert_int_equal(number_parse_degrees("4807.038", 8, 'N', &degrees), 0);
	assert_true(fabs(degrees - 48.1173) < 1e-12);
	assert_int_equal(number_parse_degrees("01131.000", 9, 'W', &degrees), 0);
	assert_true(fabs(degrees - -(11 + 31.0 / 60)) < 1e-12);
	assert_int_equal(number_parse_degrees("9000.000", 8, 'S', &degrees), 0);
	assert_int_equal(number_parse_degrees("9000.001", 8, 'S', &degrees), -EINVAL);
	assert_int_equal(number_parse_degrees("18000.001", 9, 'E', &degrees), -EINVAL);
	assert_int_equal(number_parse_degrees("4860.000", 8, 'N', &degrees), -EINVAL);
	assert_int_equal(number_parse_degrees("4807.038", 8, 'n', &degrees), -EINVAL);
	assert_int_equal(number_parse_degrees("4807.038", 8, '\0', &degrees), -EINVAL);
	assert_int_equal(number_parse_degrees("-4807.038", 9, 'N', &degrees), -EINVAL);
	assert_int_equal(number_parse_degrees("", 0, 'N', &degrees), -EINVAL);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_numbers),
		cmocka_unit_test(test_locale),
		cmocka_unit_test(test_values),
		cmocka_unit_test(test_words),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
