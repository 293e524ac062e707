#include "flow/window.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/heap.h"

/* Shorter steps of the wall clock are its way of keeping time: a window still ends at its multiple. */
#define SLEW_MS	      1000
#define MOMENT_MS     50 /* the clocks do not differ by more between one reading and the next; more is a step */
#define MEAN_DECIMALS 3 /* more than those of the values */

struct window {
	struct heap_node node; /* when it is to be closed, while it is open */
	const struct point *point;
	int64_t end_mono_ms;
	int64_t end_unix_ms; /* a multiple, if `aligned` */
	int64_t last_mono_ms;
	int64_t last_unix_ms;
	int64_t count;
	double mean;
	struct value min, max, last;
	bool aligned;
	int64_t told_mono_ms; /* what was sent last has this time */
	int64_t told_unix_ms;
};

struct windows {
	windows_emit *emit;
	void *ctx;
	struct heap due;
	size_t count;
	struct window *windows;
	struct window **of_point; /* by index; NULL: has no aggregates */
};

struct windows *
windows_new(const struct settings *settings, windows_emit *emit, void *ctx)
{
	struct windows *windows = calloc(1, sizeof(*windows));
	size_t count = 0;

	if (!windows)
		return NULL;
	windows->emit = emit;
	windows->ctx = ctx;
	for (size_t i = 0; i < settings->device_count; i++)
		for (size_t j = 0; j < settings->devices[i].point_count; j++)
			count += settings->devices[i].points[j].aggregate != 0;
	windows->windows = calloc(count + 1, sizeof(*windows->windows));
	windows->of_point = calloc(settings->point_count + 1, sizeof(struct window *));
	if (!windows->windows || !windows->of_point || heap_init(&windows->due, count) != 0) {
		windows_free(windows);
		return NULL;
	}
	for (size_t i = 0; i < settings->device_count; i++)
		for (size_t j = 0; j < settings->devices[i].point_count; j++) {
			const struct point *point = &settings->devices[i].points[j];

			if (point->aggregate == 0)
				continue;
			windows->windows[windows->count] = (struct window){
				.point = point, .told_mono_ms = INT64_MIN / 2, .told_unix_ms = INT64_MIN / 2
			};
			windows->of_point[point->index] = &windows->windows[windows->count++];
		}
	return windows;
}

void
windows_free(struct windows *windows)
{
	if (!windows)
		return;
	heap_done(&windows->due);
	free(windows->windows);
	free(windows->of_point);
	free(windows);
}

/* The mean is no finer than what it is made of, but for a few digits. */
static struct value
mean_value(const struct window *window)
{
	int decimals = window->point->decimals;

	if (decimals >= 0 && decimals > DECIMALS_MAX - MEAN_DECIMALS)
		decimals = DECIMALS_MAX;
	else if (decimals >= 0)
		decimals += MEAN_DECIMALS;
	return (struct value){ .kind = VALUE_REAL, .decimals = (int8_t)decimals, .real = window->mean };
}

static void
emit(struct windows *windows, struct window *window, int64_t mono_ms, int64_t unix_ms)
{
	const struct value values[AGGREGATES] = {
		[AGGREGATE_MIN] = window->min,
		[AGGREGATE_MAX] = window->max,
		[AGGREGATE_MEAN] = mean_value(window),
		[AGGREGATE_LAST] = window->last,
		[AGGREGATE_COUNT] = { .kind = VALUE_INT, .integer = window->count },
	};

	for (int i = 0; i < AGGREGATES; i++)
		if (window->point->aggregate & 1U << i)
			windows->emit(windows->ctx, window->point, (enum point_aggregate)i, mono_ms, unix_ms, &values[i]);
	window->told_mono_ms = mono_ms;
	window->told_unix_ms = unix_ms;
}

static bool
is_open(const struct window *window)
{
	return window->node.position != 0;
}

static void
close_window(struct windows *windows, struct window *window)
{
	/* The end, as the wall clock went when the last sample was taken. */
	int64_t unix_ms = window->last_unix_ms + (window->end_mono_ms - window->last_mono_ms);
	int64_t off_ms = unix_ms - window->end_unix_ms;

	if (window->aligned && off_ms < SLEW_MS && off_ms > -SLEW_MS)
		unix_ms = window->end_unix_ms;
	heap_remove(&windows->due, &window->node);
	emit(windows, window, window->end_mono_ms, unix_ms);
}

/* Until the next multiple of its length after the sample; but where the wall clock was slowed so that it shows the end of the
 * last window once more, that is over. */
static void
open_window(struct windows *windows, struct window *window, const struct sample *sample, bool aligned)
{
	int64_t length = window->point->window_ms;
	int64_t base = aligned ? sample->taken_unix_ms : sample->taken_mono_ms;
	int64_t end = (base / length + 1) * length;

	if (aligned && window->aligned && end == window->end_unix_ms)
		end += length;
	window->aligned = aligned;
	window->end_mono_ms = sample->taken_mono_ms + (end - base);
	window->end_unix_ms = end;
	window->count = 0;
	window->mean = 0;
	heap_set(&windows->due, &window->node, window->end_mono_ms + WINDOWS_GRACE_MS);
}

/* In place of `held` if it is less (sign -1) or greater (1). Values that are aggregated own nothing. */
static void
keep_extreme(struct value *held, const struct value *value, double number, int sign)
{
	double other;

	if (!value_number(held, &other) || (sign < 0 ? number < other : number > other))
		*held = *value;
}

void
windows_add(struct windows *windows, const struct sample *sample, bool aligned)
{
	struct window *window = windows->of_point[sample->point->index];
	double number;

	if (!window || !value_number(&sample->value, &number))
		return;
	if (is_open(window) && sample->taken_mono_ms >= window->end_mono_ms)
		close_window(windows, window);
	if (!is_open(window))
		open_window(windows, window, sample, aligned);
	if (window->count++ == 0)
		window->min = window->max = sample->value;
	keep_extreme(&window->min, &sample->value, number, -1);
	keep_extreme(&window->max, &sample->value, number, 1);
	window->mean += (number - window->mean) / (double)window->count;
	window->last = sample->value;
	window->last_mono_ms = sample->taken_mono_ms;
	window->last_unix_ms = sample->taken_unix_ms;
}

int64_t
windows_due_mono_ms(const struct windows *windows)
{
	const struct heap_node *first = heap_first(&windows->due);

	return first ? first->due : CLOCK_NEVER;
}

void
windows_close(struct windows *windows, int64_t now_mono_ms)
{
	struct heap_node *first;

	while ((first = heap_first(&windows->due)) && first->due <= now_mono_ms)
		close_window(windows, heap_entry(first, struct window, node));
}

/* What was read at the very end of a window is in the next one, and that has the time of the end, by one clock or the other: the
 * server would take the one for the other. Returns how much later this has to be told. */
static int64_t
after_ms(const struct window *window)
{
	int64_t by_mono = window->told_mono_ms + 1 - window->last_mono_ms;
	int64_t by_unix = window->told_unix_ms + 1 - window->last_unix_ms;

	by_mono = by_mono > 0 ? by_mono : 0;
	return by_unix > by_mono && by_unix <= MOMENT_MS ? by_unix : by_mono;
}

static void
cut_short(struct windows *windows, struct window *window)
{
	int64_t later_ms = after_ms(window);

	heap_remove(&windows->due, &window->node);
	emit(windows, window, window->last_mono_ms + later_ms, window->last_unix_ms + later_ms);
}

void
windows_flush(struct windows *windows)
{
	struct heap_node *first;

	while ((first = heap_first(&windows->due)))
		cut_short(windows, heap_entry(first, struct window, node));
}

static bool
goes_on(const struct point *point, const struct difference *difference)
{
	return difference_point_now(difference, point) && difference_device_now(difference, point->device);
}

void
windows_part(struct windows *windows, const struct difference *difference)
{
	for (size_t i = 0; i < windows->count; i++)
		if (is_open(&windows->windows[i]) && !goes_on(windows->windows[i].point, difference))
			cut_short(windows, &windows->windows[i]);
}

void
windows_adopt(struct windows *windows, const struct windows *from, const struct difference *difference)
{
	for (size_t i = 0; i < from->count; i++) {
		const struct window *old = &from->windows[i];
		struct window *window;

		if (!goes_on(old->point, difference))
			continue;
		window = windows->of_point[difference_point_now(difference, old->point)->index];
		window->end_mono_ms = old->end_mono_ms;
		window->end_unix_ms = old->end_unix_ms;
		window->last_mono_ms = old->last_mono_ms;
		window->last_unix_ms = old->last_unix_ms;
		window->count = old->count;
		window->mean = old->mean;
		window->min = old->min;
		window->max = old->max;
		window->last = old->last;
		window->aligned = old->aligned;
		window->told_mono_ms = old->told_mono_ms;
		window->told_unix_ms = old->told_unix_ms;
		if (is_open(old))
			heap_set(&windows->due, &window->node, old->node.due);
	}
}
