#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "flow/stamps.h"

static void
a_clock_that_goes_on_is_followed(void **state)
{
	struct stamps stamps = { .count = 0 };

	(void)state;
	for (int i = 0; i < 1000; i++)
		assert_int_equal(stamps_take(&stamps, i * 10, 5000 + i * 10), 5000 + i * 10);
}

static void
one_moment_has_one_time(void **state)
{
	struct stamps stamps = { .count = 0 };

	(void)state;
	assert_int_equal(stamps_take(&stamps, 0, 700), 700);
	assert_int_equal(stamps_take(&stamps, 0, 700), 700);
	assert_int_equal(stamps_take(&stamps, STAMPS_MOMENT_MS, 700), 700);
	assert_int_equal(stamps_take(&stamps, 2 * STAMPS_MOMENT_MS, 700), 701);
	assert_int_equal(stamps_take(&stamps, 2 * STAMPS_MOMENT_MS, 700), 701);
}

/* A leap second: the clock shows one second twice. No time is used twice, and none is far off. */
static void
a_second_that_comes_twice(void **state)
{
	struct stamps stamps = { .count = 0 };
	int64_t used[60];

	(void)state;
	for (int i = 0; i < 60; i++) {
		int64_t clock = 1000000 + i * 100 - (i >= 30 ? 1000 : 0);

		used[i] = stamps_take(&stamps, i * 100, clock);
		assert_in_range(used[i] - clock, 0, 2);
		for (int j = 0; j < i; j++)
			assert_int_not_equal(used[i], used[j]);
	}
}

/* Two readings of one point within a millisecond. */
static void
a_reading_can_have_the_next_time(void **state)
{
	struct stamps stamps = { .count = 0 };

	(void)state;
	assert_int_equal(stamps_take(&stamps, 1000, 19), 19);
	assert_int_equal(stamps_move(&stamps), 20);
	assert_int_equal(stamps_take(&stamps, 1000, 19), 20);
	assert_int_equal(stamps_take(&stamps, 1001, 20), 21);
}

/* What had to move on does not meet the one that comes next. */
static void
a_moved_time_is_taken(void **state)
{
	struct stamps stamps = { .count = 0 };

	(void)state;
	assert_int_equal(stamps_take(&stamps, 1000, 19), 19);
	assert_int_equal(stamps_take(&stamps, 2000, 19), 20);
	assert_int_equal(stamps_take(&stamps, 2001, 20), 21);
}

static void
times_move_to_another_origin(void **state)
{
	struct stamps stamps = { .count = 0 };

	(void)state;
	assert_int_equal(stamps_take(&stamps, 1, 1), 1);
	assert_int_equal(stamps_take(&stamps, 200, 200), 200);
	stamps_shift(&stamps, 1000);
	assert_int_equal(stamps_take(&stamps, 200, 1200), 1200);
	assert_int_equal(stamps_take(&stamps, 300, 1200), 1201);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_clock_that_goes_on_is_followed),
		cmocka_unit_test(one_moment_has_one_time),
		cmocka_unit_test(a_second_that_comes_twice),
		cmocka_unit_test(a_reading_can_have_the_next_time),
		cmocka_unit_test(a_moved_time_is_taken),
		cmocka_unit_test(times_move_to_another_origin),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
