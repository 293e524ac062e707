#include <errno.h>
#include <stdlib.h>

#include "base/clock.h"
#include "field/schedule_state.h"

#define GOLDEN_RATIO  0.6180339887498949
#define PHASE_SPAN_US 1000000 /* buses are spread over so much, or the shortest period if that is less */
#define UNIT_IDS      256

/* --- points and units --- */

static int
compare_to_index(const void *key, const void *item)
{
	size_t index = *(const size_t *)key;
	size_t other = ((const struct schedule_item *)item)->point->index;

	return (index > other) - (index < other);
}

struct schedule_item *
schedule_item_of(const struct schedule *schedule, const struct point *point)
{
	return bsearch(
	    &point->index, schedule->items, schedule->item_count, sizeof(*schedule->items), compare_to_index);
}

static int
compare_units(const void *a, const void *b)
{
	int p = ((const struct poll_unit *)a)->state.id;
	int q = ((const struct poll_unit *)b)->state.id;

	return (p > q) - (p < q);
}

struct poll_unit *
schedule_unit(const struct schedule *schedule, int id)
{
	struct poll_unit key = { .state = { .id = id } };

	return bsearch(&key, schedule->unit, schedule->unit_count, sizeof(*schedule->unit), compare_units);
}

/* Buses that start together would be due together for ever, all in the same millisecond. Everything is read
 * at once all the same; the periods count from a moment before that, another for each bus: as far apart as
 * the golden ratio puts them. */
static int64_t
phase_us(const struct settings *settings, const struct bus *bus)
{
	double turns = (double)bus->index * GOLDEN_RATIO;
	int64_t span = PHASE_SPAN_US;

	for (size_t i = 0; i < settings->device_count; i++)
		for (size_t j = 0; j < settings->devices[i].point_count; j++) {
			const struct point *point = &settings->devices[i].points[j];
			int64_t period = (int64_t)point->period_ms * 1000;

			if (point->bus == bus && period > 0 && period < span)
				span = period;
		}
	return (int64_t)((turns - (double)(int64_t)turns) * (double)span);
}

static size_t
collect_items(
    const struct settings *settings, const struct bus *bus, struct schedule_item *items, int64_t now_us)
{
	int64_t due_us = items ? now_us - phase_us(settings, bus) : 0;
	size_t count = 0;

	for (size_t i = 0; i < settings->device_count; i++)
		for (size_t j = 0; j < settings->devices[i].point_count; j++) {
			const struct point *point = &settings->devices[i].points[j];

			if (point->bus != bus || point->period_ms <= 0)
				continue;
			if (items)
				items[count] = (struct schedule_item){
					.point = point,
					.due_us = due_us,
					.fresh_us = now_us,
					.quality = QUALITY_UNKNOWN,
				};
			count++;
		}
	return count;
}

static void
init_unit(struct poll_unit *unit, const struct bus *bus, const struct point *point)
{
	unit_init(&unit->state, point->unit, bus->type != BUS_TCP);
	unit->lore.unit = point->unit;
	unit->state.wait_min_ms = bus->type == BUS_RTU ? UNIT_WAIT_MIN_LINE_MS : UNIT_WAIT_MIN_NETWORK_MS;
	if (point->device->offline_retry_max_ms > 0)
		unit->state.pause_max_ms = point->device->offline_retry_max_ms;
}

/* A unit for each address that a point of the bus has, be it only written.
 * ret_polled  how many points of each are polled */
static size_t
collect_units(
    const struct settings *settings, const struct bus *bus, struct poll_unit *units, size_t *ret_polled)
{
	size_t number[UNIT_IDS] = { 0 }; /* of the unit, from 1 */
	size_t count = 0;

	for (size_t i = 0; i < settings->device_count; i++)
		for (size_t j = 0; j < settings->devices[i].point_count; j++) {
			const struct point *point = &settings->devices[i].points[j];
			int longest = point->device->offline_retry_max_ms;
			int id = point->unit & 0xff;
			struct poll_unit *unit;

			if (point->bus != bus)
				continue;
			if (number[id] == 0) {
				number[id] = ++count;
				init_unit(&units[count - 1], bus, point);
			}
			unit = &units[number[id] - 1];
			if (longest > 0 && longest < unit->state.pause_max_ms)
				unit->state.pause_max_ms = longest;
			ret_polled[id] += point->period_ms > 0;
		}
	return count;
}

/* --- begin and end --- */

/* Returns 0 or -ENOMEM. */
static int
make_units(struct schedule *schedule)
{
	size_t polled[UNIT_IDS] = { 0 };
	struct poll_unit *units;

	schedule->unit = calloc(UNIT_IDS, sizeof(*schedule->unit));
	if (!schedule->unit)
		return -ENOMEM;
	schedule->unit_count = collect_units(schedule->settings, schedule->bus, schedule->unit, polled);
	units = realloc(schedule->unit, (schedule->unit_count + 1) * sizeof(*units));
	if (units)
		schedule->unit = units;
	qsort(schedule->unit, schedule->unit_count, sizeof(*schedule->unit), compare_units);
	for (size_t i = 0; i < schedule->unit_count; i++) {
		struct poll_unit *unit = &schedule->unit[i];
		size_t points = polled[unit->state.id & 0xff];

		unit->write_only = points == 0;
		if (heap_init(&unit->polls, points) != 0)
			return -ENOMEM;
	}
	return 0;
}

/* Returns 0 or -ENOMEM. */
static int
make_items(struct schedule *schedule, int64_t now_us)
{
	schedule->item_count = collect_items(schedule->settings, schedule->bus, NULL, now_us);
	schedule->items = calloc(schedule->item_count + 1, sizeof(*schedule->items));
	if (!schedule->items)
		return -ENOMEM;
	collect_items(schedule->settings, schedule->bus, schedule->items, now_us);
	return 0;
}

/* Returns 0 or -ENOMEM. */
static int
make_heaps(struct schedule *schedule)
{
	return heap_init(&schedule->resting, schedule->item_count) != 0 ||
	       heap_init(&schedule->waiting, schedule->item_count) != 0 ||
		       heap_init(&schedule->ready, schedule->unit_count) != 0 ||
		       heap_init(&schedule->held, schedule->unit_count) != 0 ||
		       heap_init(&schedule->away, schedule->unit_count) != 0
		   ? -ENOMEM
		   : 0;
}

int
schedule_init(
    struct schedule *schedule, const struct settings *settings, const struct bus *bus, int64_t now_us)
{
	int error;

	*schedule = (struct schedule){
		.settings = settings,
		.bus = bus,
		.open_us = now_us,
		.other_since_us = now_us,
		.forgive_at_us = CLOCK_NEVER,
	};
	error = make_items(schedule, now_us);
	if (error == 0)
		error = make_units(schedule);
	if (error == 0)
		error = make_heaps(schedule);
	if (error == 0)
		error = schedule_plan(schedule, now_us);
	schedule->planned_us = now_us - (int64_t)SCHEDULE_REPLAN_MIN_MS * 1000;
	if (error != 0)
		schedule_done(schedule);
	return error;
}

void
schedule_done(struct schedule *schedule)
{
	if (schedule->unit)
		schedule_forget_requests(schedule);
	for (size_t i = 0; schedule->unit && i < schedule->unit_count; i++)
		heap_done(&schedule->unit[i].polls);
	heap_done(&schedule->resting);
	heap_done(&schedule->waiting);
	heap_done(&schedule->ready);
	heap_done(&schedule->held);
	heap_done(&schedule->away);
	free(schedule->unit);
	free(schedule->items);
	*schedule = (struct schedule){ 0 };
}
