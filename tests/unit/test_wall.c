#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/wall.h"

#define TODAY INT64_C(1800000000000)
#define SLEPT 5000

static enum wall_event
see(struct wall *wall, int64_t mono_ms, int64_t unix_ms, bool kept)
{
	struct wall_sight sight = {
		.mono_ms = mono_ms, .boot_ms = mono_ms + SLEPT, .unix_ms = unix_ms, .kept = kept
	};

	return wall_see(wall, &sight);
}

static int64_t
time_of(const struct wall *wall, int64_t mono_ms, int64_t unix_ms, bool known)
{
	int64_t ms = -1;

	assert_int_equal(wall_time(wall, mono_ms, unix_ms, &ms), known);
	return ms;
}

/* Boots in 1970; what is read before the clock is set gets its true time then, and later on. */
static void
the_past_is_never_believed(void **state)
{
	struct wall wall;

	(void)state;
	wall_init(&wall, 10);
	assert_int_equal(see(&wall, 1000, 1000, true), WALL_SAME);
	assert_int_equal(time_of(&wall, 900, 900, false), 900 + SLEPT);
	assert_int_equal(see(&wall, 100000000, 100000000, true), WALL_SAME);
	assert_int_equal(see(&wall, 100001000, TODAY, false), WALL_SET);
	assert_int_equal(wall.boot_unix_ms, TODAY - 100001000 - SLEPT);
	/* read before it was set, before that was seen, and since */
	assert_int_equal(time_of(&wall, 100000000, 100000000, true), TODAY - 1000);
	assert_int_equal(time_of(&wall, 100000990, TODAY - 10, true), TODAY - 10);
	assert_int_equal(time_of(&wall, 100001000, TODAY, true), TODAY);
	assert_int_equal(time_of(&wall, 100002000, TODAY + 1003, true), TODAY + 1003);
}

/* A clock that was restored from a file shows the time of the last shutdown. */
static void
a_doubtful_clock_is_awaited(void **state)
{
	struct wall wall;

	(void)state;
	wall_init(&wall, 60);
	assert_int_equal(see(&wall, 1000, TODAY, false), WALL_SAME);
	assert_int_equal(see(&wall, 2000, TODAY + 1900, false), WALL_SAME);
	assert_false(wall.set);
	assert_int_equal(see(&wall, 3000, TODAY + 86400000, false), WALL_SET);

	wall_init(&wall, 60);
	assert_int_equal(see(&wall, 1000, TODAY, false), WALL_SAME);
	assert_int_equal(see(&wall, 2000, TODAY + 1000, true), WALL_SET);

	wall_init(&wall, 60);
	assert_int_equal(see(&wall, 60000 - SLEPT - 1, TODAY, false), WALL_SAME);
	assert_int_equal(see(&wall, 60000 - SLEPT, TODAY + 1, false), WALL_TAKEN);

	wall_init(&wall, 0);
	assert_int_equal(see(&wall, 0, TODAY, false), WALL_SET);
	wall_init(&wall, 0);
	assert_int_equal(see(&wall, 0, WALL_FLOOR_UNIX_MS - 1, false), WALL_SAME);
}

static void
steps_are_seen_and_slews_are_not(void **state)
{
	struct wall wall;

	(void)state;
	wall_init(&wall, 60);
	assert_int_equal(see(&wall, 1000, TODAY, true), WALL_SET);
	for (int i = 1; i < 100; i++)
		assert_int_equal(see(&wall, 1000 + i * 1000, TODAY + i * 1500, false), WALL_SAME);
	assert_int_equal(see(&wall, 101000, TODAY + 150000 + 3600000, false), WALL_STEPPED);
	assert_in_range(wall.stepped_ms, 3600000, 3601000);
	assert_int_equal(see(&wall, 102000, TODAY + 151000, false), WALL_STEPPED);
	assert_int_equal(wall.stepped_ms, -3600000);
	assert_int_equal(time_of(&wall, 102000, TODAY + 151000, true), TODAY + 151000);
}

/* Somebody sets it to 1970: what is read then goes on from what was known, and waits once that is noticed. */
static void
a_clock_may_be_lost_again(void **state)
{
	struct wall wall;

	(void)state;
	wall_init(&wall, 0);
	assert_int_equal(see(&wall, 1000, TODAY, false), WALL_SET);
	assert_int_equal(time_of(&wall, 2000, 5, true), TODAY + 1000);
	assert_int_equal(see(&wall, 3000, 1000, false), WALL_LOST);
	assert_int_equal(time_of(&wall, 3500, 1500, false), 3500 + SLEPT);
	assert_int_equal(see(&wall, 4000, TODAY + 3000, false), WALL_SET);
	assert_int_equal(time_of(&wall, 3500, 1500, true), TODAY + 2500);
	assert_int_equal(time_of(&wall, 4500, TODAY + 3500, true), TODAY + 3500);
}

static int64_t looks;

static int64_t
slow_mono_us(void)
{
	return (looks += looks < 3 ? 100000 : 1); /* the first readings are torn apart */
}

static int64_t
slow_unix_ms(void)
{
	return TODAY;
}

static int64_t
slow_boot_ms(void)
{
	return looks / 1000;
}

static void
readings_of_one_moment(void **state)
{
	static const struct clock_source slow = {
		.mono_us = slow_mono_us, .unix_ms = slow_unix_ms, .boot_ms = slow_boot_ms
	};
	struct wall_sight sight;

	(void)state;
	clock_replace(&slow);
	sight = wall_look(false);
	assert_int_equal(sight.mono_ms, sight.boot_ms);
	assert_int_equal(sight.unix_ms, TODAY);
	assert_false(sight.kept);
	clock_replace(NULL);
	sight = wall_look(true);
	assert_true(sight.boot_ms >= sight.mono_ms && sight.unix_ms > 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_past_is_never_believed),
		cmocka_unit_test(a_doubtful_clock_is_awaited),
		cmocka_unit_test(steps_are_seen_and_slews_are_not),
		cmocka_unit_test(a_clock_may_be_lost_again),
		cmocka_unit_test(readings_of_one_moment),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
