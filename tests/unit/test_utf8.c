#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/utf8.h"

static void
test_every_character(void **state)
{
	(void)state;
	for (unsigned long code = 0; code < 0x120000; code++) {
		char text[4];
		size_t length;

		if (code < 0x80) {
			length = 1;
			text[0] = (char)code;
		} else if (code < 0x800) {
			length = 2;
			text[0] = (char)(0xc0 | code >> 6);
		} else if (code < 0x10000) {
			length = 3;
			text[0] = (char)(0xe0 | code >> 12);
		} else {
			length = 4;
			text[0] = (char)(0xf0 | code >> 18);
		}
		for (size_t i = 1; i < length; i++)
			text[i] = (char)(0x80 | (code >> 6 * (length - 1 - i) & 0x3f));
		if ((code >= 0xd800 && code <= 0xdfff) || code > 0x10ffff)
			assert_int_equal(utf8_step(text, length), 0);
		else
			assert_int_equal(utf8_step(text, length), length);
		for (size_t cut = 0; cut < length; cut++)
			assert_int_equal(utf8_step(text, cut), 0);
	}
}

static void
test_malformed(void **state)
{
	static const char *const texts[] = { "\x80", "\xbf", "\xc0\xaf", "\xc1\xbf", "\xe0\x80\xaf",
		"\xe0\x9f\xbf", "\xed\xa0\x80", "\xf0\x80\x80\xaf", "\xf0\x8f\xbf\xbf", "\xf4\x90\x80\x80",
		"\xf5\x80\x80\x80", "\xfe", "\xff", "\xc3(", "\xe2\x82(", "\xf0\x9f\x98(" };

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		assert_int_equal(utf8_step(texts[i], strlen(texts[i])), 0);
		assert_false(utf8_valid(texts[i], strlen(texts[i])));
	}
	assert_true(utf8_valid("", 0));
	assert_true(utf8_valid("a\xc3\xb6\xe2\x82\xac\xf0\x9f\x98\x80\0z", 12));
	assert_false(utf8_valid("a\xc3\xb6\xe2\x82", 5));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_character),
		cmocka_unit_test(test_malformed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
