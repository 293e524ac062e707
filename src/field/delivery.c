#include "field/delivery.h"

#include <errno.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "field/bus_log.h"
#include "model/codec.h"

#define STALE_LOOK_US 1000000 /* between looks for points that were not read in time */

/* Of the longest read. */
static size_t
most_cells(const struct schedule *schedule)
{
	for (size_t i = 0; i < schedule->item_count; i++)
		if (point_table_has_bits(schedule->items[i].point->table))
			return MODBUS_MAX_READ_BITS;
	return MODBUS_MAX_READ_REGISTERS;
}

int
delivery_init(
    struct delivery *delivery, const struct bus *bus, struct schedule *schedule, struct sample_sink samples)
{
	/* Any plan's largest request may bring all points. */
	size_t most = schedule->item_count > 0 ? schedule->item_count : 1;
	size_t cells = most_cells(schedule);

	*delivery = (struct delivery){
		.bus = bus,
		.schedule = schedule,
		.samples = samples,
		.batch = calloc(most, sizeof(*delivery->batch)),
		.cells = calloc(cells, sizeof(*delivery->cells)),
		.next_cells = calloc(cells, sizeof(*delivery->cells)),
	};
	return delivery->batch && delivery->cells && delivery->next_cells ? 0 : -ENOMEM;
}

void
delivery_done(struct delivery *delivery)
{
	free(delivery->batch);
	free(delivery->cells);
	free(delivery->next_cells);
	delivery->batch = NULL;
	delivery->cells = delivery->next_cells = NULL;
}

void
delivery_adopt(struct delivery *delivery, const struct delivery *from)
{
	delivery->refused = from->refused;
	delivery->told = from->told;
}

static bool
is_wanted(const struct delivery *delivery, struct sample *sample)
{
	return delivery->samples.wants(delivery->samples.ctx, sample);
}

/* Returns how many were taken, the first ones. */
static size_t
push(struct delivery *delivery, size_t count)
{
	size_t taken = count > 0 ? delivery->samples.push(delivery->samples.ctx, delivery->batch, count) : 0;

	for (size_t i = taken; i < count; i++)
		value_done(&delivery->batch[i].value);
	delivery->refused += count - taken;
	if (taken < count && !delivery->told)
		log_warning("bus %s: samples find no room and are dropped", delivery->bus->name);
	else if (taken == count && count > 0 && delivery->told)
		log_notice("bus %s: samples find room again, %llu were dropped", delivery->bus->name,
		    (unsigned long long)delivery->refused);
	if (count > 0)
		delivery->told = taken < count;
	return taken;
}

static bool
is_stale(const struct schedule_item *item, int64_t now_us)
{
	return item->quality == QUALITY_GOOD &&
	       now_us - item->fresh_us > (int64_t)item->point->period_ms * 1000 * QUALITY_STALE_PERIODS;
}

/* The point is of that quality now: say so if it was of another. What finds no room is said when it is
 * noticed again. */
static void
note_quality(struct delivery *delivery, struct schedule_item *item, enum quality quality)
{
	if (item->quality == quality)
		return;
	delivery->batch[0] = (struct sample){ .point = item->point,
		.taken_mono_ms = clock_mono_ms(),
		.taken_unix_ms = clock_unix_ms(),
		.quality = quality };
	if (!is_wanted(delivery, delivery->batch) || push(delivery, 1) == 1)
		item->quality = quality;
}

void
delivery_request_refused(struct delivery *delivery, const struct poll_request *poll)
{
	delivery_flush(delivery);
	for (size_t i = 0; i < poll->item_count; i++)
		note_quality(delivery, poll->items[i], QUALITY_REFUSED);
}

void
delivery_unit_offline(struct delivery *delivery, const struct poll_unit *unit)
{
	const struct schedule *schedule = delivery->schedule;

	delivery_flush(delivery);
	for (size_t i = 0; i < schedule->item_count; i++)
		if (schedule->items[i].point->unit == unit->state.id)
			note_quality(delivery, &schedule->items[i], QUALITY_OFFLINE);
}

void
delivery_all_offline(struct delivery *delivery)
{
	const struct schedule *schedule = delivery->schedule;

	delivery_flush(delivery);
	for (size_t i = 0; i < schedule->item_count; i++)
		note_quality(delivery, &schedule->items[i], QUALITY_OFFLINE);
}

void
delivery_absent_offline(struct delivery *delivery)
{
	const struct schedule *schedule = delivery->schedule;

	delivery_flush(delivery);
	for (size_t i = 0; i < schedule->item_count; i++) {
		struct schedule_item *item = &schedule->items[i];

		if (schedule_unit(schedule, item->point->unit)->state.state == UNIT_OFFLINE)
			note_quality(delivery, item, QUALITY_OFFLINE);
	}
}

void
delivery_look_for_stale(struct delivery *delivery)
{
	const struct schedule *schedule = delivery->schedule;
	int64_t now_us = clock_mono_us();

	if (now_us < delivery->stale_look_us)
		return;
	delivery_flush(delivery);
	delivery->stale_look_us = now_us + STALE_LOOK_US;
	for (size_t i = 0; i < schedule->item_count; i++)
		if (is_stale(&schedule->items[i], now_us))
			note_quality(delivery, &schedule->items[i], QUALITY_STALE);
}

static void
note_decoded(const struct delivery *delivery, struct schedule_item *item, int error)
{
	if ((error != 0) == item->undecodable)
		return;
	item->undecodable = error != 0;
	bus_log_decoded(delivery->bus, item->point, error);
}

static void
keep_last(struct schedule_item *item, const struct sample *sample, int64_t taken_mono_us)
{
	health_value_set(&item->last.value, &sample->value);
	item->last.taken_mono_us = taken_mono_us;
	item->last.taken_unix_ms = sample->taken_unix_ms;
}

/* Put the item's sample into the batch if somebody wants it. Returns whether it is there. */
static bool
deliver_item(struct delivery *delivery, struct schedule_item *item, struct sample *sample)
{
	const struct poll_request *poll = delivery->poll;
	const struct link_report *report = &delivery->report;
	int error;

	*sample = (struct sample){
		.point = item->point,
		.taken_mono_ms = report->done_mono_us / 1000,
		.taken_unix_ms = report->done_unix_ms,
	};
	item->fresh_us = report->done_mono_us;
	error = codec_decode(item->point, delivery->cells + (item->point->addr - poll->addr), &sample->value);
	note_decoded(delivery, item, error);
	if (error == 0)
		keep_last(item, sample, report->done_mono_us);
	else
		poll->unit->state.counters.no_values++;
	sample->quality = error == 0 ? QUALITY_GOOD : QUALITY_NO_VALUE;
	if (sample->quality != QUALITY_GOOD && item->quality == sample->quality)
		return false;
	item->quality = sample->quality;
	if (is_wanted(delivery, sample))
		return true;
	value_done(&sample->value);
	return false;
}

void
delivery_flush(struct delivery *delivery)
{
	const struct poll_request *poll = delivery->poll;
	size_t count = 0;

	if (!poll)
		return;
	for (size_t i = 0; i < poll->item_count; i++)
		if (schedule_deliver(poll->items[i], delivery->report.asked_mono_us))
			count += deliver_item(delivery, poll->items[i], &delivery->batch[count]);
	delivery->poll = NULL;
	/* What found no room has not been told. */
	if (push(delivery, count) < count)
		for (size_t i = 0; i < poll->item_count; i++)
			poll->items[i]->quality = QUALITY_UNKNOWN;
}

uint16_t *
delivery_cells(struct delivery *delivery)
{
	return delivery->next_cells;
}

void
delivery_reply(struct delivery *delivery, const struct poll_request *poll, const struct link_report *report)
{
	uint16_t *cells = delivery->next_cells;

	delivery_flush(delivery);
	delivery->next_cells = delivery->cells;
	delivery->cells = cells;
	delivery->poll = poll;
	delivery->report = *report;
}
