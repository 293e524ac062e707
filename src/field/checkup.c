#include "field/checkup.h"

#include <string.h>

_Static_assert(UNIT_EXCEPTIONS == HEALTH_EXCEPTIONS, "the same codes are counted and told");

void
checkup_line(const struct link_counters *counters, struct health_line *ret)
{
	*ret = (struct health_line){
		.noise_bytes = counters->noise_bytes,
		.stale_bytes = counters->stale_bytes,
		.echoes = counters->echoes,
		.collisions = counters->collisions,
		.frame_errors = counters->frame_errors,
		.parity_errors = counters->parity_errors,
		.overruns = counters->overruns,
		.breaks = counters->breaks,
	};
}

static enum health_unit_state
state_of(const struct unit *unit)
{
	static const enum health_unit_state states[] = {
		[UNIT_ONLINE] = HEALTH_UNIT_ONLINE,
		[UNIT_SUSPECT] = HEALTH_UNIT_SUSPECT,
		[UNIT_OFFLINE] = HEALTH_UNIT_OFFLINE,
	};

	/* It is trusted before anything is known about it. */
	return unit->state == UNIT_ONLINE && unit->answered_us == 0 ? HEALTH_UNIT_UNTRIED : states[unit->state];
}

static void
fill_latency(const struct unit_latency *latency, struct health_unit *report)
{
	for (int i = 0; i < UNIT_LATENCY_BUCKETS; i++)
		report->latency_count += latency->counts[i];
	report->latency_sum_us = latency->sum_us;
	report->latency_p50_us = unit_latency_us(latency, 500);
	report->latency_p95_us = unit_latency_us(latency, 950);
	report->latency_max_us = latency->max_us;
}

static void
fill_unit(const struct unit *unit, struct health_unit *report)
{
	const struct unit_counters *counters = &unit->counters;

	*report = (struct health_unit){
		.unit = unit->id,
		.state = state_of(unit),
		.since_mono_us = unit->since_us,
		.answered_mono_us = unit->answered_us,
		.requests = counters->requests,
		.answers = counters->answers,
		.timeouts = counters->timeouts,
		.bad_frames = counters->bad_frames,
		.exceptions = counters->exceptions,
		.stale = counters->stale,
		.echoes = counters->echoes,
		.no_values = counters->no_values,
		.missed = counters->missed,
	};
	memcpy(report->by_exception, counters->by_exception, sizeof(report->by_exception));
	fill_latency(&counters->latency, report);
}

static void
fill_point(const struct schedule_item *item, struct health_point *report)
{
	*report = (struct health_point){
		.point = item->point,
		.quality = item->quality,
		.exception = item->exception,
		.retry_mono_us = item->retry_ms > 0 ? item->retry_at_us : 0,
		.taken_unix_ms = item->last.taken_unix_ms,
		.taken_mono_us = item->last.taken_mono_us,
		.value = item->last.value,
	};
}

void
checkup_schedule(const struct schedule *schedule, struct health_bus *report)
{
	report->load = schedule_load(schedule);
	report->stretch = schedule_stretch(schedule);
	report->unit_count = schedule->unit_count < report->unit_room ? schedule->unit_count : report->unit_room;
	for (size_t i = 0; i < report->unit_count; i++)
		fill_unit(&schedule->unit[i].state, &report->units[i]);
	report->point_count = schedule->item_count < report->point_room ? schedule->item_count : report->point_room;
	for (size_t i = 0; i < report->point_count; i++)
		fill_point(&schedule->items[i], &report->points[i]);
}

/* One that only is listened to has no requests, and is away when it is silent. */
static void
fill_instrument(const struct instrument *instrument, struct health_unit *report)
{
	fill_unit(&instrument->unit, report);
	report->unit = -1;
	report->device = instrument->device->name;
	report->answered_mono_us = instrument->said_us;
	if (instrument->polled)
		return;
	report->state = instrument->silent	  ? HEALTH_UNIT_OFFLINE
			: instrument->said_us > 0 ? HEALTH_UNIT_ONLINE
						  : HEALTH_UNIT_UNTRIED;
	report->since_mono_us = instrument->since_us;
}

static void
fill_reading(const struct reading *reading, struct health_point *report)
{
	*report = (struct health_point){
		.point = reading->point,
		.quality = reading->quality,
		.taken_unix_ms = reading->last_unix_ms,
		.taken_mono_us = reading->last_us,
		.value = reading->last,
	};
}

void
checkup_instruments(const struct instruments *instruments, struct health_bus *report)
{
	report->unit_count = report->point_count = 0;
	for (size_t i = 0; i < instruments->count; i++) {
		const struct instrument *instrument = &instruments->items[i];

		if (report->unit_count < report->unit_room)
			fill_instrument(instrument, &report->units[report->unit_count++]);
		for (size_t j = 0; j < instrument->reading_count && report->point_count < report->point_room; j++)
			fill_reading(&instrument->readings[j], &report->points[report->point_count++]);
	}
}
