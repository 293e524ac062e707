#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "flow/filter.h"

static struct point
point_of(enum point_report report, double deadband, int max_interval_ms)
{
	return (struct point){ .index = 1,
		.key = "t",
		.type = TYPE_FLOAT64,
		.report = report,
		.deadband = deadband,
		.max_interval_ms = max_interval_ms };
}

static bool
pass(struct filter *filter, const struct point *point, int64_t at, struct value value)
{
	struct sample sample = { .point = point, .taken_mono_ms = at, .value = value };

	return filter_pass(filter, &sample);
}

static struct value
real(double number)
{
	return (struct value){ .kind = VALUE_REAL, .decimals = DECIMALS_DOUBLE, .real = number };
}

static struct value
integer(int64_t number)
{
	return (struct value){ .kind = VALUE_INT, .integer = number };
}

static struct value
text(const char *letters)
{
	return (struct value){ .kind = VALUE_LABEL, .label = letters };
}

static void
always_passes_everything(void **state)
{
	struct filter *filter = filter_new(2);
	struct point point = point_of(REPORT_ALWAYS, 5, 0);

	(void)state;
	assert_true(pass(filter, &point, 0, integer(1)));
	assert_true(pass(filter, &point, 1, integer(1)));
	filter_free(filter);
}

static void
first_sample_passes_and_equal_ones_do_not(void **state)
{
	struct filter *filter = filter_new(2);
	struct point point = point_of(REPORT_CHANGE, 0, 0);

	(void)state;
	assert_true(pass(filter, &point, 0, integer(0)));
	assert_false(pass(filter, &point, 1, integer(0)));
	assert_true(pass(filter, &point, 2, integer(1)));
	assert_false(pass(filter, &point, 3, integer(1)));
	filter_forget(filter, &point);
	assert_true(pass(filter, &point, 4, integer(1)));
	filter_free(filter);
}

/* Every step of one deadband passes, whatever the binary representation makes of it; every smaller one does
 * not. */
static void
deadband_is_exact_in_decimal(void **state)
{
	struct point point = point_of(REPORT_CHANGE, 0.3, 0);

	(void)state;
	for (int tenths = -500; tenths < 500; tenths++) {
		struct filter *filter = filter_new(2);

		assert_true(pass(filter, &point, 0, real(tenths / 10.0)));
		assert_false(pass(filter, &point, 1, real((tenths + 2) / 10.0)));
		assert_true(pass(filter, &point, 2, real((tenths + 3) / 10.0)));
		filter_free(filter);
	}
}

static void
deadband_of_a_float32_allows_for_its_noise(void **state)
{
	struct point point = point_of(REPORT_CHANGE, 0.3, 0);

	(void)state;
	point.type = TYPE_FLOAT32;
	for (int tenths = -500; tenths < 500; tenths++) {
		struct filter *filter = filter_new(2);

		assert_true(pass(filter, &point, 0, real((double)((float)tenths / 10.0f))));
		assert_false(pass(filter, &point, 1, real((double)((float)(tenths + 2) / 10.0f))));
		assert_true(pass(filter, &point, 2, real((double)((float)(tenths + 3) / 10.0f))));
		filter_free(filter);
	}
}

/* A slow drift is seen: the deadband counts from what was reported, not from the last sample. */
static void
drift_is_reported(void **state)
{
	struct filter *filter = filter_new(2);
	struct point point = point_of(REPORT_CHANGE, 10, 0);
	int reported = 0;

	(void)state;
	for (int i = 0; i <= 100; i++)
		reported += pass(filter, &point, i, integer(i));
	assert_int_equal(reported, 11);
	filter_free(filter);
}

static void
change_of_kind_passes(void **state)
{
	struct filter *filter = filter_new(2);
	struct point point = point_of(REPORT_CHANGE, 5, 0);

	(void)state;
	assert_true(pass(filter, &point, 0, integer(1)));
	assert_true(pass(filter, &point, 1, text("off")));
	assert_false(pass(filter, &point, 2, text("off")));
	assert_true(pass(filter, &point, 3, text("heat")));
	assert_true(pass(filter, &point, 4, (struct value){ .kind = VALUE_BOOL, .boolean = true }));
	assert_true(pass(filter, &point, 5, (struct value){ .kind = VALUE_BOOL, .boolean = false }));
	assert_true(pass(filter, &point, 6, integer(1)));
	filter_free(filter);
}

static void
heartbeat_counts_from_the_last_report(void **state)
{
	struct filter *filter = filter_new(2);
	struct point point = point_of(REPORT_CHANGE, 0, 1000);

	(void)state;
	assert_true(pass(filter, &point, 0, integer(7)));
	assert_false(pass(filter, &point, 999, integer(7)));
	assert_true(pass(filter, &point, 1000, integer(7)));
	assert_true(pass(filter, &point, 1500, integer(8)));
	assert_false(pass(filter, &point, 2499, integer(8)));
	assert_true(pass(filter, &point, 2500, integer(8)));
	filter_free(filter);
}

/* Percent of what was reported last, whatever its sign; at 0 every change is one. */
static void
percents_are_of_the_last_report(void **state)
{
	struct filter *filter = filter_new(2);
	struct point point = point_of(REPORT_CHANGE, 0, 0);

	(void)state;
	point.deadband_percent = 10;
	assert_true(pass(filter, &point, 0, integer(-200)));
	assert_false(pass(filter, &point, 1, integer(-219)));
	assert_false(pass(filter, &point, 2, integer(-181)));
	assert_true(pass(filter, &point, 3, integer(-220)));
	assert_false(pass(filter, &point, 4, integer(-200)));
	assert_true(pass(filter, &point, 5, integer(-198)));
	assert_true(pass(filter, &point, 6, real(0)));
	assert_false(pass(filter, &point, 7, real(0)));
	assert_true(pass(filter, &point, 8, real(0.001)));
	filter_free(filter);
}

static void
the_larger_deadband_counts(void **state)
{
	struct filter *filter = filter_new(2);
	struct point point = point_of(REPORT_CHANGE, 2, 0);

	(void)state;
	point.deadband_percent = 10;
	assert_true(pass(filter, &point, 0, integer(0)));
	assert_false(pass(filter, &point, 1, integer(1)));
	assert_true(pass(filter, &point, 2, integer(100)));
	assert_false(pass(filter, &point, 3, integer(109)));
	assert_true(pass(filter, &point, 4, integer(110)));
	filter_free(filter);
}

/* A change too soon is held back; what the next sample shows decides, not what was held. */
static void
changes_too_soon_are_held_back(void **state)
{
	struct filter *filter = filter_new(2);
	struct point point = point_of(REPORT_CHANGE, 0, 5000);

	(void)state;
	point.min_interval_ms = 1000;
	assert_true(pass(filter, &point, 0, integer(1)));
	assert_false(pass(filter, &point, 500, integer(2)));
	assert_false(pass(filter, &point, 999, integer(3)));
	assert_true(pass(filter, &point, 1000, integer(3)));
	assert_false(pass(filter, &point, 1500, integer(9)));
	assert_false(pass(filter, &point, 2000, integer(3)));
	assert_true(pass(filter, &point, 2001, integer(4)));
	assert_false(pass(filter, &point, 7000, integer(4)));
	assert_true(pass(filter, &point, 7001, integer(4)));
	filter_forget(filter, &point);
	assert_true(pass(filter, &point, 7002, integer(4)));
	filter_free(filter);
}

static void
every_sample_but_not_too_soon(void **state)
{
	struct filter *filter = filter_new(2);
	struct point point = point_of(REPORT_ALWAYS, 0, 0);

	(void)state;
	point.min_interval_ms = 1000;
	assert_true(pass(filter, &point, 0, integer(1)));
	assert_false(pass(filter, &point, 999, integer(1)));
	assert_true(pass(filter, &point, 1000, integer(1)));
	filter_free(filter);
}

static void
texts_are_copied(void **state)
{
	struct filter *filter = filter_new(2);
	struct point point = point_of(REPORT_CHANGE, 0, 0);
	struct value value = { .kind = VALUE_TEXT, .text = strdup("SN-1") };

	(void)state;
	assert_true(pass(filter, &point, 0, value));
	value_done(&value);
	assert_false(pass(filter, &point, 1, text("SN-1")));
	filter_free(filter);
	filter_free(NULL);
}

/* What was reported is known in other settings, labels as those that these have. */
static void
other_settings_report_nothing_anew(void **state)
{
	char letters[] = "heat";
	struct enum_label old_labels[] = { { letters, 1 } };
	struct enum_label new_labels[] = { { "heat", 1 } };
	struct bus bus = { .name = "b" };
	struct point before[2], after[2];
	struct device old_device = { .name = "d", .points = before, .point_count = 2 };
	struct device new_device = { .name = "d", .points = after, .point_count = 2 };
	struct settings from = { .devices = &old_device, .device_count = 1, .point_count = 2 };
	struct settings to = { .devices = &new_device, .device_count = 1, .point_count = 2 };
	struct filter *filter = filter_new(2);
	struct filter *next = filter_new(2);
	struct difference *difference;

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		before[i] = after[i] = point_of(REPORT_CHANGE, 0, 0);
		before[i].index = i;
		after[i].index = i;
		before[i].key = after[i].key = i == 0 ? "mode" : "level";
		before[i].bus = after[i].bus = &bus;
		before[i].device = &old_device;
		after[i].device = &new_device;
	}
	before[0].labels = old_labels;
	after[0].labels = new_labels;
	before[0].label_count = after[0].label_count = 1;
	after[1].deadband = 3;
	assert_true(pass(filter, &before[0], 0, text(letters)));
	assert_true(pass(filter, &before[1], 0, integer(4)));
	difference = difference_new(&from, &to);
	filter_adopt(next, filter, difference);
	filter_free(filter);
	letters[0] = 'x'; /* the old settings are gone */
	assert_false(pass(next, &after[0], 1, text("heat")));
	assert_true(pass(next, &after[1], 1, integer(4)));
	difference_free(difference);
	filter_free(next);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(other_settings_report_nothing_anew),
		cmocka_unit_test(always_passes_everything),
		cmocka_unit_test(first_sample_passes_and_equal_ones_do_not),
		cmocka_unit_test(deadband_is_exact_in_decimal),
		cmocka_unit_test(deadband_of_a_float32_allows_for_its_noise),
		cmocka_unit_test(drift_is_reported),
		cmocka_unit_test(change_of_kind_passes),
		cmocka_unit_test(heartbeat_counts_from_the_last_report),
		cmocka_unit_test(percents_are_of_the_last_report),
		cmocka_unit_test(the_larger_deadband_counts),
		cmocka_unit_test(changes_too_soon_are_held_back),
		cmocka_unit_test(every_sample_but_not_too_soon),
		cmocka_unit_test(texts_are_copied),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
