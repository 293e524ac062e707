/* Templates are filled, and no value says more than a value. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "line/checksum.h"
#include "line/pattern.h"
#include "line/template.h"

static struct bytes crlf[] = { { (const uint8_t *)"\r\n", 2 } };
static struct bytes semicolon[] = { { (const uint8_t *)";", 1 } };
static const struct bus lines = { .framing = { .type = FRAMING_DELIMITER, .ends = crlf, .end_count = 1 } };
static const struct bus nmea = { .framing = { .type = FRAMING_DELIMITER, .ends = crlf, .end_count = 1 },
	.checksum = { .type = CHECKSUM_NMEA, .form = CHECKSUM_HEX } };
static const struct bus summed = { .framing = { .type = FRAMING_START_END,
				       .start = { (const uint8_t *)"\x02", 1 },
				       .ends = semicolon,
				       .end_count = 1 },
	.checksum = { .type = CHECKSUM_XOR, .from = 1 } };
static const struct device device = { .address = { (const uint8_t *)"\0\x07", 2 } };
static const struct enum_label labels[] = { { "heat", 3 }, { "off", 0 } };

static struct bytes
bytes_of(const char *text)
{
	return (struct bytes){ .data = (const uint8_t *)text, .length = strlen(text) };
}

static enum template_fault
fill(const char *template, const struct bus *bus, const struct point *point, const struct value *value, char *ret, size_t *length)
{
	struct template_values values = { .bus = bus, .device = &device, .point = point, .value = value };
	struct bytes bytes = bytes_of(template);
	static uint8_t filled[TEMPLATE_BYTES_MAX];
	enum template_fault fault = template_fill(&bytes, &values, filled, length);

	if (fault == TEMPLATE_OK) {
		memcpy(ret, filled, *length);
		ret[*length] = '\0';
	}
	return fault;
}

static void
test_values(void **state)
{
	static const struct line_command plain = { .decimals = -1 }, wide = { .decimals = 2, .width = 7 };
	static const struct {
		struct value value;
		double scale;
		double offset;
		const struct line_command *command;
		const char *text;
	} cases[] = {
		{ { .kind = VALUE_INT, .integer = -12 }, 1, 0, &plain, "-12" },
		{ { .kind = VALUE_INT, .integer = INT64_MIN }, 1, 0, &plain, "-9223372036854775808" },
		{ { .kind = VALUE_UINT, .whole = UINT64_MAX }, 1, 0, &plain, "18446744073709551615" },
		{ { .kind = VALUE_REAL, .real = 21.5 }, 1, 0, &plain, "21.5" },
		{ { .kind = VALUE_REAL, .real = 21.5 }, 0.1, 0, &plain, "215" },
		{ { .kind = VALUE_REAL, .real = 0.3 }, 0.1, 0, &plain, "3" },
		{ { .kind = VALUE_REAL, .real = 1e-9 }, 1, 0, &plain, "0.000000001" },
		{ { .kind = VALUE_REAL, .real = -0.0 }, 1, 0, &plain, "0" },
		{ { .kind = VALUE_INT, .integer = 60 }, 2, -40, &plain, "50" },
		{ { .kind = VALUE_REAL, .real = 21.5 }, 1, 0, &wide, "0021.50" },
		{ { .kind = VALUE_REAL, .real = -1.005 }, 1, 0, &wide, "-001.00" },
		{ { .kind = VALUE_INT, .integer = 5 }, 1, 0, &wide, "0005.00" },
		{ { .kind = VALUE_BOOL, .boolean = true }, 1, 0, &plain, "1" },
		{ { .kind = VALUE_LABEL, .label = "heat" }, 1, 0, &plain, "3" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct point point = { .scale = cases[i].scale,
			.offset = cases[i].offset,
			.command = cases[i].command,
			.labels = labels,
			.label_count = 2 };
		char text[TEMPLATE_BYTES_MAX + 1];
		size_t length;

		assert_int_equal(fill("${value}", &lines, &point, &cases[i].value, text, &length), TEMPLATE_OK);
		assert_string_equal(text, cases[i].text);
	}
}

/* What each rule lets through, as it is sent; NULL: refused. */
static void
test_escapes(void **state)
{
	static const struct {
		const char *value;
		const char *sent[ESCAPES];
	} cases[] = {
		{ "Line 1: 5.5-6 %", { "Line 1: 5.5-6 %", "Line 1: 5.5-6 %", "Line 1: 5.5-6 %" } },
		{ "a\r\nSTOP", { NULL, NULL, "a\\u000d\\u000aSTOP" } },
		{ "a\rb", { NULL, NULL, "a\\u000db" } },
		{ "say \"hi\"", { NULL, "say \"\"hi\"\"", "say \\u0022hi\\u0022" } },
		{ "\";*RST", { NULL, "\"\";*RST", "\\u0022;*RST" } },
		{ "back\\slash", { NULL, "back\\slash", "back\\u005cslash" } },
		{ "K\xc3\xbchl", { NULL, NULL, "K\xc3\xbchl" } },
		{ "\x1b[2J", { NULL, NULL, "\\u001b[2J" } },
		{ "\x7f", { NULL, NULL, "\\u007f" } },
		{ "\xff", { NULL, NULL, NULL } },
		{ "${address}", { NULL, "${address}", "${address}" } },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		for (int escape = 0; escape < ESCAPES; escape++) {
			struct line_command command = { .escape = (enum line_escape)escape, .decimals = -1 };
			struct point point = { .scale = 1, .command = &command };
			struct value value = { .kind = VALUE_LABEL, .label = cases[i].value };
			char text[TEMPLATE_BYTES_MAX + 1];
			size_t length;
			enum template_fault fault = fill("D ${value}\r\n", &lines, &point, &value, text, &length);

			if (!cases[i].sent[escape]) {
				assert_int_equal(fault, TEMPLATE_UNSAFE);
				continue;
			}
			assert_int_equal(fault, TEMPLATE_OK);
			assert_memory_equal(text + 2, cases[i].sent[escape], strlen(cases[i].sent[escape]));
			assert_int_equal(length, strlen(cases[i].sent[escape]) + 4);
		}
}

/* Whatever the rule, a value has no byte of the framing in it. */
static void
test_framing(void **state)
{
	(void)state;
	for (int escape = 0; escape < ESCAPES; escape++) {
		struct line_command command = { .escape = (enum line_escape)escape, .decimals = -1 };
		struct point point = { .scale = 1, .command = &command };
		struct value value = { .kind = VALUE_LABEL, .label = "a;b" };
		char text[TEMPLATE_BYTES_MAX + 1];
		size_t length;

		assert_int_equal(fill("${value}", &summed, &point, &value, text, &length), TEMPLATE_UNSAFE);
	}
}

static void
test_checksum(void **state)
{
	struct point point = { .scale = 1 };
	struct value value = { .kind = VALUE_INT, .integer = 1000 };
	char text[TEMPLATE_BYTES_MAX + 1], wanted[CHECKSUM_TEXT_MAX], found[CHECKSUM_TEXT_MAX];
	size_t length;

	(void)state;
	/* The sum that MediaTek's documents have for it. */
	assert_int_equal(fill("$PMTK220,${value}*${checksum}\r\n", &nmea, &point, &value, text, &length), TEMPLATE_OK);
	assert_string_equal(text, "$PMTK220,1000*1F\r\n");
	assert_int_equal(fill("\x02${address}R1\x03${checksum}", &summed, NULL, NULL, text, &length), TEMPLATE_OK);
	assert_int_equal(length, 7);
	assert_memory_equal(text + 1, "\0\x07R1", 4);
	assert_int_equal(checksum_judge(&summed.checksum, (const uint8_t *)text, length, wanted, found), 0);
}

/* In a pattern what is filled in stands for itself. */
static void
test_pattern(void **state)
{
	static const struct line_command command = { .escape = ESCAPE_QUOTES, .decimals = -1 };
	struct point point = { .scale = 1, .command = &command };
	struct value value = { .kind = VALUE_LABEL, .label = "1.5 (a)\\E|.*" };
	struct template_values values = { .bus = &lines, .device = &device, .point = &point, .value = &value };
	char text[TEMPLATE_BYTES_MAX];
	struct pattern *pattern;

	(void)state;
	assert_int_equal(template_fill_pattern("^OK ${value}$", &values, text), TEMPLATE_OK);
	assert_int_equal(pattern_new(text, &pattern, NULL), 0);
	assert_int_equal(pattern_match(pattern, (const uint8_t *)"OK 1.5 (a)\\E|.*", 15), 1);
	assert_int_equal(pattern_match(pattern, (const uint8_t *)"OK 1x5 (a)\\E|.*", 15), 0);
	assert_int_equal(pattern_match(pattern, (const uint8_t *)"OK anything", 11), 0);
	pattern_free(pattern);
}

static void
test_bounds(void **state)
{
	static const struct line_command command = { .decimals = -1 };
	struct point point = { .scale = 1, .command = &command };
	char *longest = calloc(1, 2001), text[TEMPLATE_BYTES_MAX + 1];
	struct value value = { .kind = VALUE_LABEL, .label = memset(longest, 'a', 2000) };
	struct value none = { .kind = VALUE_NONE };
	struct bytes unknown = bytes_of("A${Value}"), with_value = bytes_of("A${value}"), dollars = bytes_of("$ $$ {value} $");
	size_t length;

	(void)state;
	assert_int_equal(fill("${value}", &lines, &point, &value, text, &length), TEMPLATE_TOO_LONG);
	longest[1000] = '\0';
	assert_int_equal(fill("${value}${value}${value}${value}", &lines, &point, &value, text, &length), TEMPLATE_OK);
	assert_int_equal(fill("${value}${value}${value}${value}${value}", &lines, &point, &value, text, &length), TEMPLATE_TOO_LONG);
	assert_int_equal(fill("${value}", &lines, &point, &none, text, &length), TEMPLATE_NO_TEXT);
	assert_int_equal(fill("${value}", &lines, NULL, NULL, text, &length), TEMPLATE_NO_TEXT);
	assert_non_null(template_judge(&unknown, true));
	assert_non_null(template_judge(&with_value, false));
	assert_null(template_judge(&with_value, true));
	assert_null(template_judge(&dollars, false));
	free(longest);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_values),
		cmocka_unit_test(test_escapes),
		cmocka_unit_test(test_framing),
		cmocka_unit_test(test_checksum),
		cmocka_unit_test(test_pattern),
		cmocka_unit_test(test_bounds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
