/* Patterns: groups, bytes that are no text, and expressions that explode. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "line/pattern.h"

#define BYTES(text) ((const uint8_t *)(text)), (sizeof(text) - 1)

static void
test_groups(void **state)
{
	struct pattern *pattern;
	size_t from = 9, to = 9;

	(void)state;
	assert_int_equal(pattern_new("^(?<state>[SD]) +(?<weight>[0-9.]+)( kg)?$", &pattern, NULL), 0);
	assert_int_equal(pattern_groups(pattern), 3);
	assert_int_equal(pattern_group(pattern, "weight"), 2);
	assert_int_equal(pattern_group(pattern, "height"), -1);
	assert_int_equal(pattern_match(pattern, BYTES("S   12.5")), 1);
	assert_true(pattern_taken(pattern, 2, &from, &to));
	assert_int_equal(from, 4);
	assert_int_equal(to, 8);
	assert_false(pattern_taken(pattern, 3, &from, &to));
	assert_false(pattern_taken(pattern, 4, &from, &to));
	assert_false(pattern_taken(pattern, -1, &from, &to));
	assert_int_equal(pattern_match(pattern, BYTES("S   12.5 kg\n")), 1);
	assert_int_equal(pattern_match(pattern, BYTES("X   12.5")), 0);
	assert_int_equal(pattern_match(pattern, NULL, 0), 0);
	pattern_free(pattern);
	pattern_free(NULL);
}

/* Bytes are bytes: neither NUL nor what is no UTF-8 is an error. */
static void
test_bytes(void **state)
{
	struct pattern *pattern;

	(void)state;
	assert_int_equal(pattern_new("a.\\x{ff}b", &pattern, NULL), 0);
	assert_int_equal(pattern_match(pattern, BYTES("\0\xfe"
						      "a\0\xff"
						      "b")),
	    1);
	pattern_free(pattern);
	assert_int_equal(pattern_new("(*UTF)a", &pattern, NULL), -EINVAL);
}

static void
test_wrong(void **state)
{
	char wrong[PATTERN_TEXT_MAX];
	struct pattern *pattern;

	(void)state;
	assert_int_equal(pattern_new("abc(", &pattern, wrong), -EINVAL);
	assert_non_null(strstr(wrong, "at character 4"));
	assert_int_equal(pattern_new("(a{1000}){1000}{1000}", &pattern, wrong), -EINVAL);
	assert_int_equal(pattern_new("\\C", &pattern, wrong), -EINVAL);
}

/* Those would take longer than the world is old. */
static void
test_explosion(void **state)
{
	static const char *const patterns[] = { "^(a+)+$", "^(a|aa)+$", "(.*)*(.*)*(.*)*x", "^(a|a?)+$", "(a*)*(a*)*b",
		"^(?:a?){30}(?:a?){30}a{40}$" };
	uint8_t bytes[60000];
	clock_t begin = clock();

	(void)state;
	memset(bytes, 'a', sizeof(bytes));
	bytes[sizeof(bytes) - 1] = '!';
	for (size_t i = 0; i < sizeof(patterns) / sizeof(patterns[0]); i++) {
		struct pattern *pattern;

		assert_int_equal(pattern_new(patterns[i], &pattern, NULL), 0);
		assert_int_not_equal(pattern_match(pattern, bytes, sizeof(bytes)), 1);
		assert_int_not_equal(pattern_match(pattern, bytes + sizeof(bytes) - 40, 40), 1);
		pattern_free(pattern);
	}
	/* Processor time, not that of the clock on the wall; with sanitizers ten times what it is without. */
	assert_true((double)(clock() - begin) / CLOCKS_PER_SEC < 5);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_groups),
		cmocka_unit_test(test_bytes),
		cmocka_unit_test(test_wrong),
		cmocka_unit_test(test_explosion),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
