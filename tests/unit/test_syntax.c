/* What a syntax error may be about: the mistakes that are made most often, and nothing said that is not so. */
#include <config.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "conf/syntax.h"

static struct syntax_line
line_of(const char *text)
{
	return (struct syntax_line){ .text = text, .length = text ? strlen(text) : 0 };
}

static void
test_each_mistake_is_named(void **state)
{
	static const struct {
		const char *line, *above, *hint;
	} rows[] = {
		{ "{ name = \xe2\x80\x9c" "Boiler\xe2\x80\x9d; }", NULL, "quotes are \"" },
		{ "name = \xe2\x80\x98" "a\xe2\x80\x99;", NULL, "quotes are \"" },
		{ "  { name = \"b\"; }", "  { name = \"a\"; }   # the first", "a comma is missing" },
		{ "\t{", "\t}\r", "a comma is missing" },
		{ "scale = 0,1; writable = true;", "", "decimal point" },
		{ "name = \"n\"; scale=-12,5", "", "decimal point" },
		{ "{ name = Boiler; token = \"t\";", "(", "a text stands in quotes" },
		{ "port = /dev/ttyUSB0;", "(", "a text stands in quotes" },
		{ "name = \"x\"; table = holding", "", "a text stands in quotes" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const char *hint = syntax_hint(line_of(rows[i].line), line_of(rows[i].above));

		if (!strstr(hint, rows[i].hint))
			fail_msg("%s: %s", rows[i].line, hint);
	}
}

static void
test_what_is_right_is_not_called_wrong(void **state)
{
	static const char *const lines[] = { "", ")", "name = \"Boiler\" token = \"t\";", "a = true; b = False; c = 1 2",
		"a = ( 1, 2 );", "a = 5, b = 0x1F,", "{ a = 1; }", "a =", "=", "period_ms 1000;",
		"{ a = 1 # was = b, or \xe2\x80\x9c", "a = \"b=c \\\" d=0,1\" e = 1 2" };

	(void)state;
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
		assert_string_equal(syntax_hint(line_of(lines[i]), line_of("b = 1; },")),
		    "look for a missing ';', ',', '=', quote or bracket");
	assert_non_null(syntax_hint(line_of(NULL), line_of(NULL)));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_mistake_is_named),
		cmocka_unit_test(test_what_is_right_is_not_called_wrong),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
