#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"
#include "flow/window.h"

#define ALL ((1u << AGGREGATES) - 1)
#define UNIX(mono) (INT64_C(1800000000000) + (mono))

struct result {
	int64_t mono_ms, unix_ms;
	double values[AGGREGATES];
	struct value last_given;
	unsigned given;
};

static struct result results[16];
static int count;

/* Results of one window come one after the other, in the order of the enumeration. */
static void
take(void *ctx, const struct point *point, enum point_aggregate aggregate, int64_t mono_ms, int64_t unix_ms,
    const struct value *value)
{
	(void)ctx, (void)point;
	if (count == 0 || results[count - 1].given >= 1u << aggregate)
		results[count++] = (struct result){ .mono_ms = mono_ms, .unix_ms = unix_ms };
	results[count - 1].given |= 1u << aggregate;
	results[count - 1].last_given = *value;
	assert_true(value_number(value, &results[count - 1].values[aggregate]));
}

static struct point points[2];
static struct device device = { .points = points, .point_count = 2 };
static struct settings settings = { .devices = &device, .device_count = 1, .point_count = 2 };
static struct windows *windows;

static int
begin(void **state)
{
	(void)state;
	for (size_t i = 0; i < 2; i++)
		points[i] = (struct point){ .index = i, .aggregate = ALL, .window_ms = 1000, .decimals = 0 };
	count = 0;
	windows = windows_new(&settings, take, NULL);
	return windows ? 0 : -1;
}

static int
end(void **state)
{
	(void)state;
	windows_free(windows);
	return 0;
}

static void
add(size_t point, int64_t mono_ms, int64_t unix_ms, int64_t number)
{
	struct sample sample = { .point = &points[point],
		.taken_mono_ms = mono_ms,
		.taken_unix_ms = unix_ms,
		.value = { .kind = VALUE_INT, .integer = number } };

	windows_add(windows, &sample, unix_ms > 1000000);
}

static void
a_window_is_what_was_in_it(void **state)
{
	(void)state;
	assert_int_equal(windows_due_mono_ms(windows), CLOCK_NEVER);
	add(0, 100, UNIX(100), 7);
	add(0, 500, UNIX(500), -3);
	add(0, 999, UNIX(999), 4);
	assert_int_equal(count, 0);
	add(0, 1000, UNIX(1000), 50);
	assert_int_equal(count, 1);
	assert_int_equal(results[0].given, ALL);
	assert_int_equal(results[0].unix_ms, UNIX(1000));
	assert_int_equal(results[0].mono_ms, 1000);
	assert_true(results[0].values[AGGREGATE_MIN] == -3);
	assert_true(results[0].values[AGGREGATE_MAX] == 7);
	assert_true(results[0].values[AGGREGATE_MEAN] > 2.66 && results[0].values[AGGREGATE_MEAN] < 2.67);
	assert_true(results[0].values[AGGREGATE_LAST] == 4);
	assert_true(results[0].values[AGGREGATE_COUNT] == 3);
	/* Nothing is carried over, and a time without samples is no window. */
	add(0, 5500, UNIX(5500), 60);
	assert_int_equal(count, 2);
	assert_int_equal(results[1].unix_ms, UNIX(2000));
	assert_true(results[1].values[AGGREGATE_MIN] == 50 && results[1].values[AGGREGATE_COUNT] == 1);
	windows_close(windows, 100000);
	assert_int_equal(count, 3);
	assert_int_equal(results[2].unix_ms, UNIX(6000));
}

/* A unit that falls silent: its window is closed by time. What was read before the end and comes late is in it. */
static void
a_window_closes_by_itself(void **state)
{
	(void)state;
	add(0, 1500, UNIX(1500), 1);
	add(1, 2500, UNIX(2500), 2);
	assert_int_equal(windows_due_mono_ms(windows), 2000 + WINDOWS_GRACE_MS);
	windows_close(windows, 2000 + WINDOWS_GRACE_MS - 1);
	assert_int_equal(count, 0);
	add(0, 1999, UNIX(1999), 3);
	windows_close(windows, 2000 + WINDOWS_GRACE_MS);
	assert_int_equal(count, 1);
	assert_true(results[0].values[AGGREGATE_COUNT] == 2);
	assert_int_equal(windows_due_mono_ms(windows), 3000 + WINDOWS_GRACE_MS);
}

/* The clock is slewed: ends stay on multiples, and no end comes twice. It is set: the end has the time that it had then. */
static void
the_wall_clock_moves(void **state)
{
	(void)state;
	add(0, 100, UNIX(100), 1);
	add(0, 900, UNIX(895), 1);
	add(0, 1001, UNIX(996), 1);
	assert_int_equal(count, 1);
	assert_int_equal(results[0].unix_ms, UNIX(1000));
	add(0, 2100, UNIX(2095), 1);
	assert_int_equal(count, 2);
	assert_int_equal(results[1].unix_ms, UNIX(2000));
	add(0, 2600, UNIX(3602600), 1);
	add(0, 3200, UNIX(3603200), 1);
	assert_int_equal(count, 3);
	assert_int_equal(results[2].unix_ms, UNIX(3602600) + results[2].mono_ms - 2600);
	add(0, 4100, UNIX(3604100), 1);
	assert_int_equal(results[3].unix_ms, UNIX(3604000));
}

static void
without_a_wall_clock_windows_are_as_long(void **state)
{
	(void)state;
	add(0, 1500, 10, 1);
	add(0, 2100, 610, 1);
	assert_int_equal(count, 1);
	assert_int_equal(results[0].mono_ms, 2000);
	assert_int_equal(results[0].unix_ms, 510);
}

static void
the_end_cuts_windows_short(void **state)
{
	(void)state;
	add(0, 1500, UNIX(1500), 1);
	add(1, 1600, UNIX(1600), 1);
	windows_flush(windows);
	assert_int_equal(count, 2);
	assert_int_equal(results[0].unix_ms + results[1].unix_ms, UNIX(1500) + UNIX(1600));
	assert_int_equal(windows_due_mono_ms(windows), CLOCK_NEVER);
}

static void
a_window_cut_at_its_begin_has_a_time_of_its_own(void **state)
{
	(void)state;
	add(0, 1500, UNIX(1500), 1);
	add(0, 2000, UNIX(2000), 2);
	windows_flush(windows);
	assert_int_equal(count, 2);
	assert_int_equal(results[0].unix_ms, UNIX(2000));
	assert_int_equal(results[1].unix_ms, UNIX(2001));
	assert_int_equal(results[1].mono_ms, 2001);
}

/* Both are whole milliseconds, and the one may be at its next while the other is not. */
static void
so_it_has_by_both_clocks(void **state)
{
	(void)state;
	add(0, 1500, UNIX(1500), 1);
	add(0, 2000, UNIX(2001), 2);
	windows_flush(windows);
	assert_int_equal(results[1].mono_ms, 2001);
	assert_int_equal(results[1].unix_ms, UNIX(2002));
	add(1, 2500, UNIX(2500), 1);
	add(1, 3001, UNIX(3000), 2);
	windows_flush(windows);
	assert_int_equal(results[2].unix_ms, UNIX(3000));
	assert_int_equal(results[3].unix_ms, UNIX(3001));
	assert_int_equal(results[3].mono_ms, 3002);
	add(1, 3500, UNIX(500), 2); /* set back */
	windows_flush(windows);
	assert_int_equal(results[4].unix_ms, UNIX(500));
}

static void
what_is_asked_for_is_given(void **state)
{
	struct sample sample = { .point = &points[1], .taken_mono_ms = 5, .value = { .kind = VALUE_BOOL, .boolean = true } };

	(void)state;
	points[1].aggregate = 1u << AGGREGATE_MEAN;
	points[1].decimals = DECIMALS_SINGLE;
	windows_add(windows, &sample, false);
	sample.value.boolean = false;
	windows_add(windows, &sample, false);
	windows_close(windows, 10000);
	assert_int_equal(count, 1);
	assert_int_equal(results[0].given, 1u << AGGREGATE_MEAN);
	assert_true(results[0].values[AGGREGATE_MEAN] == 0.5);
	assert_int_equal(results[0].last_given.decimals, DECIMALS_SINGLE);
}

/* The first point stays, in another place; the second is read in another way. */
static void
other_settings_keep_windows_open(void **state)
{
	struct bus bus = { .name = "b" };
	struct point others[2];
	struct device other_device = { .name = "d", .points = others, .point_count = 2 };
	struct settings other = { .devices = &other_device, .device_count = 1, .point_count = 2 };
	struct difference *difference;
	struct windows *next;

	(void)state;
	device.name = "d";
	for (size_t i = 0; i < 2; i++) {
		points[i].device = &device;
		points[i].bus = &bus;
		points[i].key = i == 0 ? "stays" : "changes";
		others[1 - i] = points[i];
		others[1 - i].index = 1 - i;
		others[1 - i].device = &other_device;
	}
	others[0].scale = 5;
	add(0, 1100, UNIX(1100), 4);
	add(1, 1100, UNIX(1100), 9);
	difference = difference_new(&settings, &other);
	next = windows_new(&other, take, NULL);
	windows_part(windows, difference);
	assert_int_equal(count, 1);
	assert_int_equal(results[0].values[AGGREGATE_LAST], 9);
	assert_int_equal(results[0].mono_ms, 1100);
	windows_adopt(next, windows, difference);
	windows_free(windows);
	windows = next;
	windows_add(windows,
	    &(struct sample){ .point = &others[1],
		.taken_mono_ms = 1500,
		.taken_unix_ms = UNIX(1500),
		.value = { .kind = VALUE_INT, .integer = 6 } },
	    true);
	windows_close(windows, 2000 + WINDOWS_GRACE_MS);
	assert_int_equal(count, 2);
	assert_int_equal(results[1].values[AGGREGATE_COUNT], 2);
	assert_int_equal(results[1].values[AGGREGATE_MIN], 4);
	assert_int_equal(results[1].values[AGGREGATE_MAX], 6);
	assert_int_equal(results[1].unix_ms, UNIX(2000));
	difference_free(difference);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(other_settings_keep_windows_open, begin, end),
		cmocka_unit_test_setup_teardown(a_window_is_what_was_in_it, begin, end),
		cmocka_unit_test_setup_teardown(a_window_closes_by_itself, begin, end),
		cmocka_unit_test_setup_teardown(the_wall_clock_moves, begin, end),
		cmocka_unit_test_setup_teardown(without_a_wall_clock_windows_are_as_long, begin, end),
		cmocka_unit_test_setup_teardown(the_end_cuts_windows_short, begin, end),
		cmocka_unit_test_setup_teardown(a_window_cut_at_its_begin_has_a_time_of_its_own, begin, end),
		cmocka_unit_test_setup_teardown(so_it_has_by_both_clocks, begin, end),
		cmocka_unit_test_setup_teardown(what_is_asked_for_is_given, begin, end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
