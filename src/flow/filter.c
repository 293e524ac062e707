#include "flow/filter.h"

#include <errno.h>
#include <float.h>
#include <math.h>
#include <stdlib.h>

#include "base/rare.h"
#include "model/half.h"

struct slot {
	struct value last;
	int64_t reported_mono_ms;
	bool reported;
};

struct filter {
	size_t count;
	struct slot slots[];
};

struct filter *
filter_new(size_t point_count)
{
	struct filter *filter = calloc(1, sizeof(*filter) + point_count * sizeof(filter->slots[0]));

	if (filter)
		filter->count = point_count;
	return filter;
}

void
filter_free(struct filter *filter)
{
	if (!filter)
		return;
	for (size_t i = 0; i < filter->count; i++)
		value_done(&filter->slots[i].last);
	free(filter);
}

/* Neither 21.4 nor 21.1 exists in binary: a step of exactly one deadband may come out a few units in the last
 * place short. How wide such a unit is depends on what the registers hold. */
static bool
reaches(double difference, double deadband, double magnitude, enum point_type type)
{
	double unit = type == TYPE_FLOAT16   ? HALF_EPSILON
		      : type == TYPE_FLOAT32 ? (double)FLT_EPSILON
					     : DBL_EPSILON;

	return difference >= deadband - 4 * unit * fmax(magnitude, deadband);
}

static bool
is_number(const struct value *value)
{
	return value->kind == VALUE_INT || value->kind == VALUE_UINT || value->kind == VALUE_REAL;
}

/* A change must reach both deadbands, that is the larger one. */
static double
deadband_at(const struct point *point, double last)
{
	return fmax(point->deadband, fabs(last) * point->deadband_percent / 100);
}

static RARE bool
differs_by_deadband(const struct point *point, const struct value *last, const struct value *value)
{
	double from, to, deadband;

	if (!is_number(last) || !is_number(value) || !value_number(last, &from) || !value_number(value, &to))
		return !value_equal(last, value);
	deadband = deadband_at(point, from);
	return deadband > 0 ? reaches(fabs(to - from), deadband, fmax(fabs(from), fabs(to)), point->type)
			    : !value_equal(last, value);
}

static bool
differs(const struct point *point, const struct value *last, const struct value *value)
{
	if (point->deadband > 0 || point->deadband_percent > 0)
		return differs_by_deadband(point, last, value);
	if (last->kind == VALUE_INT && value->kind == VALUE_INT)
		return last->integer != value->integer;
	return !value_equal(last, value);
}

/* Texts are copied only when they differ, so that a serial number read every minute allocates once. */
static RARE void
remember(struct slot *slot, const struct sample *sample)
{
	struct value copy;

	slot->reported_mono_ms = sample->taken_mono_ms;
	if (slot->reported && value_equal(&slot->last, &sample->value))
		return;
	value_done(&slot->last);
	/* Without memory for the copy the next sample passes as well: once too often is better than not at
	 * all. */
	slot->reported = value_copy(&sample->value, &copy) == 0;
	if (slot->reported)
		slot->last = copy;
}

/* Is it time, or reason enough, to report again? What is held back is not kept: the next sample is newer. */
static bool
is_due(const struct point *point, const struct slot *slot, const struct sample *sample)
{
	int64_t passed_ms = sample->taken_mono_ms - slot->reported_mono_ms;

	if (passed_ms < point->min_interval_ms)
		return false;
	if (point->report == REPORT_ALWAYS)
		return true;
	if (point->max_interval_ms > 0 && passed_ms >= point->max_interval_ms)
		return true;
	return differs(point, &slot->last, &sample->value);
}

bool
filter_pass(struct filter *filter, const struct sample *sample)
{
	const struct point *point = sample->point;
	struct slot *slot = &filter->slots[point->index];

	if (slot->reported && !is_due(point, slot, sample))
		return false;
	if (point->report != REPORT_ALWAYS || point->min_interval_ms > 0)
		remember(slot, sample);
	return true;
}

void
filter_adopt(struct filter *filter, struct filter *from, const struct difference *difference)
{
	const struct settings *settings = difference_to(difference);

	for (size_t i = 0; i < settings->device_count; i++)
		for (size_t j = 0; j < settings->devices[i].point_count; j++) {
			const struct point *point = &settings->devices[i].points[j];
			const struct point *was = difference_point(difference, point);
			struct slot *slot = &filter->slots[point->index];

			if (!was || !difference_device(difference, point->device))
				continue;
			*slot = from->slots[was->index];
			from->slots[was->index] = (struct slot){ .reported = false };
			if (difference_carry(point, &slot->last) != 0)
				slot->reported = false; /* the next sample passes */
			if (!slot->reported)
				slot->last = (struct value){ 0 };
		}
}

void
filter_forget(struct filter *filter, const struct point *point)
{
	struct slot *slot = &filter->slots[point->index];

	value_done(&slot->last);
	slot->reported = false;
}
