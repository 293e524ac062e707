#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "conf/document.h"
#include "conf/mistakes.h"

/* What libconfig gets to see of `text`. */
static void
assert_becomes(const char *text, const char *expected)
{
	struct document document;
	struct mistakes mistakes;

	document_init(&document);
	mistakes_init(&mistakes, &document);
	assert_int_equal(document_take(&document, "x", text, strlen(text), &mistakes), 0);
	assert_int_equal(document.text[document.length - 1], '\n');
	document.text[document.length - 1] = '\0';
	assert_string_equal(document.text, expected);
	assert_false(mistakes_any(&mistakes));
	mistakes_done(&mistakes);
	document_done(&document);
}

static void
assert_refused(const char *text, size_t length, const char *expected)
{
	struct document document;
	struct mistakes mistakes;

	document_init(&document);
	mistakes_init(&mistakes, &document);
	assert_int_equal(document_take(&document, "x", text, length, &mistakes), -EINVAL);
	assert_int_equal(mistakes.count, 1);
	assert_string_equal(mistakes.list[0].text, expected);
	mistakes_done(&mistakes);
	document_done(&document);
}

static void
test_numbers(void **state)
{
	static const struct {
		const char *text;
		const char *expected;
	} cases[] = {
		{ "0", "0" },
		{ "-1", "-1" },
		{ "+5", "+5" },
		{ "2147483647", "2147483647" },
		{ "2147483648", "2147483648L" },
		{ "-2147483648", "-2147483648" },
		{ "-2147483649", "-2147483649L" },
		{ "3000000000L", "3000000000L" },
		{ "3000000000LL", "3000000000LL" },
		{ "010", "010" },
		{ "0x7FFFFFFF", "0x7FFFFFFF" },
		{ "0xFFFFFFFF", "0xFFFFFFFFL" },
		{ "0X80000000", "0X80000000L" },
		{ "0xFFFFFFFFL", "0xFFFFFFFFL" },
		{ "0x7FFFFFFFFFFFFFFF", "0x7FFFFFFFFFFFFFFFL" },
		{ "0x8000000000000000", "9223372036854775808.0" },
		{ "0xFFFFFFFFFFFFFFFFL", "18446744073709551616.0" },
		{ "9223372036854775807", "9223372036854775807L" },
		{ "9223372036854775808L", "9223372036854775808.0" },
		{ "-9223372036854775808", "-9223372036854775808L" },
		{ "-9223372036854775809", "-9223372036854775809.0" },
		{ "3000000000.5", "3000000000.5" },
		{ "3000000000e5", "3000000000e5" },
		{ "3000000000.", "3000000000." },
		{ ".5e-3", ".5e-3" },
		{ "1.5e400", "1.5e400" },
		{ "[4294967296,4294967297]", "[4294967296L,4294967297L]" },
		{ "- 4294967296", "- 4294967296L" },
		/* no numbers */
		{ "a4294967296", "a4294967296" },
		{ "a-4294967296", "a-4294967296" },
		{ "\"4294967296\"", "\"4294967296\"" },
		{ "\"\\\"4294967296\"", "\"\\\"4294967296\"" },
		{ "\"\\\\\"4294967296", "\"\\\\\"4294967296L" },
		{ "# 4294967296", "# 4294967296" },
		{ "// 4294967296\n4294967296", "// 4294967296\n4294967296L" },
		{ "/* 4294967296\n*/4294967296", "/* 4294967296\n*/4294967296L" },
		{ "/* \"*/4294967296/*\"*/", "/* \"*/4294967296L/*\"*/" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_becomes(cases[i].text, cases[i].expected);
}

static void
test_commas(void **state)
{
	(void)state;
	assert_becomes("( 1, 2, )", "( 1, 2  )");
	assert_becomes("( 1, # c,\n /* , */ )", "( 1  # c,\n /* , */ )");
	assert_becomes("( 1, \",\" )", "( 1, \",\" )");
	assert_becomes("[ 1, ]", "[ 1  ]");
	assert_becomes("( 1 , , )", "( 1 ,   )");
	assert_becomes("\xEF\xBB\xBF"
		       "a = 1;",
	    "a = 1;");
	assert_becomes("", "");
}

static void
test_refused(void **state)
{
	(void)state;
	assert_refused("a = \"b", 6,
	    "x:1: a string that begins on this line has no end, '\"' on the same line is required");
	assert_refused("\n\na = \"b\\\"\n\";", 12,
	    "x:3: a string that begins on this line has no end, '\"' on the same line is required");
	assert_refused("\n/* *", 5, "x:2: the comment that begins here has no end, '*/' is required");
	assert_refused("a\nb\0c", 5, "x:2: a byte 0 stands here, text is required");
	assert_refused("@include \"/etc/passwd\"", 22,
	    "x:1: @include is not possible here, allowed are 10 files within each other");
	assert_refused("\n  @include \"", 13, "x:2: @include names no file, '@include \"FILE\"' is required");
}

static void
assert_duplicate(const char *text, size_t flat, const char *expected, size_t expected_first)
{
	struct document document;
	struct mistakes mistakes;
	size_t first = 0;
	char *name;

	document_init(&document);
	mistakes_init(&mistakes, &document);
	assert_int_equal(document_take(&document, "x", text, strlen(text), &mistakes), 0);
	name = document_duplicate(&document, flat, &first);
	if (expected) {
		assert_non_null(name);
		assert_string_equal(name, expected);
		assert_int_equal(first, expected_first);
	} else
		assert_null(name);
	free(name);
	mistakes_done(&mistakes);
	document_done(&document);
}

static void
test_duplicates(void **state)
{
	(void)state;
	assert_duplicate("a = 1;\nb = 2;\na = 3;", 3, "a", 1);
	assert_duplicate("a = { a = 1; };\nb = { a = 2; a : 3; };", 2, "a", 2);
	assert_duplicate("a = ( { b = 1; }, { b = 2; } );\nb = 3;", 2, NULL, 0);
	assert_duplicate("a = \"b = 1; b = 2\"; # a = 1\n/* a = 2 */ c = 5;", 2, NULL, 0);
	assert_duplicate("}}}} a = 1; ) a = 2;", 1, "a", 1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_numbers),
		cmocka_unit_test(test_commas),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_duplicates),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
