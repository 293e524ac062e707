/* Which devices are there, in virtual time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"
#include "cloud/presence.h"

enum { POINTS = 3 };

static struct point points[POINTS];
static struct device device;
static struct settings settings;
static struct presence *presence;

static void
begin(enum device_offline when_offline)
{
	device = (struct device){
		.name = "Boiler", .points = points, .point_count = POINTS, .offline_after_s = 60, .when_offline = when_offline
	};
	for (size_t i = 0; i < POINTS; i++)
		points[i] = (struct point){ .device = &device, .index = i, .period_ms = i < 2 ? 1000 : 0 };
	settings = (struct settings){ .devices = &device, .device_count = 1, .point_count = POINTS };
	presence = presence_new(&settings);
	assert_non_null(presence);
}

static int
end(void **state)
{
	(void)state;
	presence_free(presence);
	presence = NULL;
	return 0;
}

static void
say(size_t point, enum quality quality, int64_t at_mono_ms)
{
	struct sample sample = { .point = &points[point], .quality = quality, .taken_mono_ms = at_mono_ms };

	presence_sample(presence, &sample);
}

static void
one_that_is_silent_for_so_long_is_gone_until_it_answers(void **state)
{
	size_t found = 7;

	(void)state;
	begin(OFFLINE_CLOSE);
	say(0, QUALITY_GOOD, 500);
	say(1, QUALITY_OFFLINE, 1000);
	assert_true(presence_due_mono_ms(presence) == CLOCK_NEVER);
	/* The third point is only written: nothing is ever heard of it. */
	say(0, QUALITY_OFFLINE, 2000);
	assert_int_equal(presence_due_mono_ms(presence), 62000);
	presence_tick(presence, 61999);
	assert_false(presence_news(presence, &found));
	presence_tick(presence, 62000);
	assert_true(presence_news(presence, &found));
	assert_int_equal(found, 0);
	assert_false(presence_is_there(presence, 0));
	assert_false(presence_news(presence, &found));
	assert_true(presence_due_mono_ms(presence) == CLOCK_NEVER);
	/* An exception is an answer. */
	say(1, QUALITY_REFUSED, 100000);
	assert_true(presence_news(presence, &found));
	assert_true(presence_is_there(presence, 0));
}

static void
one_that_answers_in_time_never_went(void **state)
{
	size_t found;

	(void)state;
	begin(OFFLINE_CLOSE);
	say(0, QUALITY_OFFLINE, 1000);
	say(1, QUALITY_OFFLINE, 1000);
	say(0, QUALITY_GOOD, 30000);
	presence_tick(presence, 100000);
	assert_false(presence_news(presence, &found));
	say(0, QUALITY_OFFLINE, 100000);
	assert_int_equal(presence_due_mono_ms(presence), 160000);
}

static void
one_that_stays_stays(void **state)
{
	(void)state;
	begin(OFFLINE_STAY);
	say(0, QUALITY_OFFLINE, 1000);
	say(1, QUALITY_OFFLINE, 1000);
	assert_true(presence_due_mono_ms(presence) == CLOCK_NEVER);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(one_that_is_silent_for_so_long_is_gone_until_it_answers, end),
		cmocka_unit_test_teardown(one_that_answers_in_time_never_went, end),
		cmocka_unit_test_teardown(one_that_stays_stays, end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
