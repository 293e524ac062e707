/* Which samples go from a bus's thread to the cloud's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "cloud/sieve.h"
#include "model/difference.h"

enum { ONCE, ALWAYS, MEAN, SHARED, CALLING, POINTS };

struct plant {
	struct bus bus;
	struct point points[POINTS];
	struct point others[2]; /* of a device that wants something done when the server is lost */
	struct server_call call;
	struct point_write safe;
	struct device devices[2];
	struct settings settings;
};

static struct sieve *sieve;

static void
plant_init(struct plant *plant)
{
	static const char *const keys[POINTS] = { "once", "always", "mean", "shared", "calling" };

	*plant = (struct plant){ .bus = { .name = "b" } };
	for (size_t i = 0; i < POINTS; i++)
		plant->points[i] = (struct point){ .device = &plant->devices[0],
			.bus = &plant->bus,
			.index = i,
			.key = keys[i],
			.report = i == ALWAYS ? REPORT_ALWAYS : REPORT_CHANGE };
	plant->points[MEAN].aggregate = 1;
	plant->points[SHARED].shared = true;
	plant->call = (struct server_call){ .method = "m", .on = &plant->points[CALLING] };
	for (size_t i = 0; i < 2; i++)
		plant->others[i] = (struct point){ .device = &plant->devices[1], .index = POINTS + i, .key = keys[i], .report = REPORT_CHANGE };
	plant->safe = (struct point_write){ .point = &plant->others[0] };
	plant->devices[0] = (struct device){
		.name = "d", .points = plant->points, .point_count = POINTS, .calls = &plant->call, .call_count = 1
	};
	plant->devices[1] = (struct device){ .name = "e",
		.index = 1,
		.points = plant->others,
		.point_count = 2,
		.on_cloud_loss = &plant->safe,
		.on_cloud_loss_count = 1 };
	plant->settings = (struct settings){ .devices = plant->devices,
		.device_count = 2,
		.buses = &plant->bus,
		.bus_count = 1,
		.point_count = POINTS + 2 };
}

static struct plant plant;

static int
set_up(void **state)
{
	(void)state;
	plant_init(&plant);
	sieve = sieve_new(&plant.settings);
	assert_non_null(sieve);
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	sieve_free(sieve);
	return 0;
}

static struct sample
good(const struct point *point, int64_t number)
{
	return (struct sample){ .point = point, .value = { .kind = VALUE_INT, .integer = number } };
}

static bool
wants(const struct point *point, int64_t number)
{
	struct sample sample = good(point, number);

	return sieve_wants(sieve, &sample);
}

static void
is_told(const struct point *point, int64_t number, bool reported, bool watched)
{
	struct sample sample = good(point, number);

	assert_int_equal(sieve_wants(sieve, &sample), true);
	assert_int_equal(sample.reported, reported);
	assert_int_equal(sample.watched, watched);
}

static void
what_is_as_it_was_stays_where_it_is(void **state)
{
	(void)state;
	is_told(&plant.points[ONCE], 1, true, false);
	assert_false(wants(&plant.points[ONCE], 1));
	is_told(&plant.points[ONCE], 2, true, false);
	is_told(&plant.points[ALWAYS], 1, true, false);
	is_told(&plant.points[ALWAYS], 1, true, false);
}

static void
what_is_added_up_or_watched_goes_on_and_is_no_report(void **state)
{
	(void)state;
	is_told(&plant.points[MEAN], 1, false, false);
	is_told(&plant.points[MEAN], 1, false, false);
	is_told(&plant.points[SHARED], 1, true, true);
	is_told(&plant.points[SHARED], 1, false, true);
	is_told(&plant.points[CALLING], 1, true, true);
	is_told(&plant.points[CALLING], 1, false, true);
	/* Any sample of the device says that its unit answers. */
	for (size_t i = 0; i < 2; i++) {
		is_told(&plant.others[i], 1, true, true);
		is_told(&plant.others[i], 1, false, true);
	}
}

static void
after_what_was_not_good_the_next_is_reported(void **state)
{
	struct sample offline = { .point = &plant.points[ONCE], .quality = QUALITY_OFFLINE };

	(void)state;
	assert_true(wants(&plant.points[ONCE], 1));
	assert_false(wants(&plant.points[ONCE], 1));
	assert_true(sieve_wants(sieve, &offline));
	assert_false(offline.reported || offline.watched);
	assert_true(wants(&plant.points[ONCE], 1));
	assert_false(wants(&plant.points[ONCE], 1));
}

static void
what_found_no_room_was_not_reported(void **state)
{
	struct sample sample = good(&plant.points[ONCE], 1);

	(void)state;
	assert_true(sieve_wants(sieve, &sample));
	sieve_lost(sieve, &sample);
	assert_true(wants(&plant.points[ONCE], 1));
	assert_false(wants(&plant.points[ONCE], 1));
}

/* It was not reported anyway: the interval goes on. */
static void
what_was_only_watched_and_found_no_room_changes_nothing(void **state)
{
	struct sample sample;

	(void)state;
	plant.points[SHARED].min_interval_ms = 1000;
	is_told(&plant.points[SHARED], 1, true, true);
	for (int i = 1; i <= 2; i++) {
		sample = good(&plant.points[SHARED], 1 + i);
		sample.taken_mono_ms = 10 * i;
		assert_true(sieve_wants(sieve, &sample));
		assert_false(sample.reported);
		sieve_lost(sieve, &sample);
	}
}

static void
after_an_outage_each_point_of_the_device_is_reported_once(void **state)
{
	(void)state;
	assert_true(wants(&plant.points[ONCE], 1));
	is_told(&plant.points[SHARED], 1, true, true);
	is_told(&plant.others[0], 1, true, true);
	sieve_forget(sieve, 0);
	assert_true(wants(&plant.points[ONCE], 1));
	assert_false(wants(&plant.points[ONCE], 1));
	is_told(&plant.points[SHARED], 1, true, true);
	is_told(&plant.points[SHARED], 1, false, true);
	is_told(&plant.others[0], 1, false, true);
}

static void
good_samples_are_counted_whether_they_go_on_or_not(void **state)
{
	struct sample offline = { .point = &plant.points[ONCE], .quality = QUALITY_OFFLINE };

	(void)state;
	for (int i = 0; i < 3; i++)
		(void)wants(&plant.points[ONCE], 1);
	(void)wants(&plant.others[0], 1); /* of no bus */
	assert_true(sieve_wants(sieve, &offline));
	assert_int_equal(sieve_values(sieve), 4);
}

/* What was told before the last outage is told again, whichever settings are in force by then. */
static void
other_settings_go_on(void **state)
{
	struct plant next;
	struct difference *difference;
	struct sieve *from = sieve;

	(void)state;
	assert_true(wants(&plant.points[ONCE], 1));
	is_told(&plant.points[CALLING], 1, true, true);
	is_told(&plant.others[0], 1, true, true);
	sieve_forget(sieve, 0);
	is_told(&plant.points[ONCE], 1, true, false); /* and not again with the next settings */
	sieve_forget(sieve, 1);
	plant_init(&next);
	difference = difference_new(&plant.settings, &next.settings);
	sieve = sieve_new(&next.settings);
	assert_non_null(difference);
	assert_non_null(sieve);
	sieve_adopt(sieve, from, difference);
	difference_free(difference);
	sieve_free(from);
	assert_false(wants(&next.points[ONCE], 1));
	is_told(&next.others[0], 1, true, true);
	is_told(&next.others[0], 1, false, true);
	sieve_forget(sieve, 0);
	assert_true(wants(&next.points[ONCE], 1));
	assert_int_equal(sieve_values(sieve), 8);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_is_as_it_was_stays_where_it_is),
		TEST(what_is_added_up_or_watched_goes_on_and_is_no_report),
		TEST(after_what_was_not_good_the_next_is_reported),
		TEST(what_found_no_room_was_not_reported),
		TEST(what_was_only_watched_and_found_no_room_changes_nothing),
		TEST(after_an_outage_each_point_of_the_device_is_reported_once),
		TEST(good_samples_are_counted_whether_they_go_on_or_not),
		TEST(other_settings_go_on),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
