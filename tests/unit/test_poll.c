/* Waits that end at a moment of the clock, be it long past or never to come. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/poll.h"

static void
test_what_is_past_is_only_looked_at(void **state)
{
	static const int64_t past[] = { INT64_MIN, INT64_MIN + 1, -1, 0, 1 };
	struct pollfd watched = { .events = POLLIN };
	int pipes[2];

	(void)state;
	assert_int_equal(pipe(pipes), 0);
	watched.fd = pipes[0];
	for (size_t i = 0; i < sizeof(past) / sizeof(past[0]); i++)
		assert_int_equal(poll_until(&watched, 1, past[i]), 0);
	assert_int_equal(write(pipes[1], "", 1), 1);
	for (size_t i = 0; i < sizeof(past) / sizeof(past[0]); i++)
		assert_int_equal(poll_until(&watched, 1, past[i]), 1);
	close(pipes[0]);
	close(pipes[1]);
}

/* A deadline that the kernel cannot count to is one all the same: what comes ends the wait. */
static void
test_what_is_far_away_is_waited_for(void **state)
{
	static const int64_t far[] = { CLOCK_NEVER, CLOCK_NEVER - 1, INT64_MAX / 2, (INT64_C(1) << 31) * 1000,
		(INT64_C(1) << 53) };
	struct pollfd watched = { .events = POLLIN };
	int pipes[2];

	(void)state;
	assert_int_equal(pipe(pipes), 0);
	watched.fd = pipes[0];
	assert_int_equal(write(pipes[1], "", 1), 1);
	for (size_t i = 0; i < sizeof(far) / sizeof(far[0]); i++)
		assert_int_equal(poll_until(&watched, 1, far[i]), 1);
	close(pipes[0]);
	close(pipes[1]);
}

static void
test_a_moment(void **state)
{
	int64_t until_us = clock_mono_us() + 1500;

	(void)state;
	assert_int_equal(poll_until(NULL, 0, until_us), 0);
	assert_true(clock_mono_us() >= until_us);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_is_past_is_only_looked_at),
		cmocka_unit_test(test_what_is_far_away_is_waited_for),
		cmocka_unit_test(test_a_moment),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
