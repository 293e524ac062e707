#include <stdlib.h>

#include "field/schedule_state.h"

/* --- older settings --- */

static void
adopt_unit(struct poll_unit *unit, const struct poll_unit *from)
{
	struct unit state = from->state;

	state.wait_min_ms = unit->state.wait_min_ms;
	state.pause_max_ms = unit->state.pause_max_ms;
	unit->state = state;
	unit->lore = from->lore;
	unit->timed_out = from->timed_out;
	unit->late_told = from->late_told;
	unit->holes_proven = from->holes_proven;
	unit->holes_silenced = from->holes_silenced;
	unit->silence_forgiven = from->silence_forgiven;
	unit->holes_acquitted = from->holes_acquitted;
	unit->length_doubts = from->length_doubts;
}

/* Returns false for a point that was not polled, or not the same. */
static bool
adopt_item(struct schedule_item *item, const struct schedule *from, const struct difference *difference)
{
	const struct point *was = difference_point(difference, item->point);
	const struct schedule_item *old = was ? schedule_item_of(from, was) : NULL;
	struct schedule_item now;

	if (!old)
		return false;
	now = *old;
	now.point = item->point;
	now.request = item->request;
	health_value_adopt(&now.last.value, item->point);
	*item = now;
	return true;
}

static bool
is_read_with(const struct point *a, const struct point *b)
{
	return a->unit == b->unit && a->table == b->table && a->period_ms == b->period_ms;
}

/* A period before its nearest neighbour is due the next time: that has passed, so it is due now. */
static void
fall_in(struct schedule *schedule, struct schedule_item *item, const bool *adopted, int64_t now_us)
{
	const struct schedule_item *nearest = NULL;

	for (size_t i = 0; i < schedule->item_count; i++) {
		const struct schedule_item *other = &schedule->items[i];

		if (!adopted[i] || other->retry_ms > 0 || !is_read_with(other->point, item->point))
			continue;
		if (!nearest || abs(other->point->addr - item->point->addr) <
				    abs(nearest->point->addr - item->point->addr))
			nearest = other;
	}
	if (nearest && nearest->due_us < now_us + (int64_t)item->point->period_ms * 1000)
		item->due_us = nearest->due_us - (int64_t)item->point->period_ms * 1000;
}

void
schedule_adopt(struct schedule *schedule, const struct schedule *from, const struct difference *difference,
    int64_t now_us)
{
	bool *adopted = calloc(schedule->item_count + 1, sizeof(*adopted));

	for (size_t i = 0; i < schedule->unit_count; i++) {
		const struct poll_unit *unit = schedule_unit(from, schedule->unit[i].state.id);

		if (unit)
			adopt_unit(&schedule->unit[i], unit);
	}
	for (size_t i = 0; i < schedule->item_count; i++) {
		bool done = adopt_item(&schedule->items[i], from, difference);

		if (adopted)
			adopted[i] = done;
	}
	for (size_t i = 0; adopted && i < schedule->item_count; i++)
		if (!adopted[i])
			fall_in(schedule, &schedule->items[i], adopted, now_us);
	free(adopted);
	schedule->probe_at_us = from->probe_at_us;
	schedule->other_share = from->other_share;
	schedule->other_us = from->other_us;
	schedule->other_since_us = from->other_since_us;
	schedule->open_us = from->open_us;
	schedule->forgive_at_us = from->forgive_at_us;
	schedule->learned = from->learned;
	schedule->outdated = true;
	schedule_update(schedule, now_us);
}

/* --- an earlier run --- */

void
schedule_remember_point(struct schedule *schedule, const struct point *point, int exception, int64_t now_us)
{
	struct schedule_item *item = schedule_item_of(schedule, point);

	if (!item)
		return;
	item->exception = exception;
	schedule_leave_out(item, now_us);
	schedule->outdated = true;
}

void
schedule_remember_unit(struct schedule *schedule, const struct plan_unit *lore, int64_t now_us)
{
	struct poll_unit *unit = schedule_unit(schedule, lore->unit);

	if (!unit)
		return;
	unit->lore.no_holes = lore->no_holes;
	unit->lore.max_registers = lore->max_registers;
	unit->lore.max_bits = lore->max_bits;
	schedule->forgive_at_us = now_us + (int64_t)SCHEDULE_FORGIVE_MS * 1000;
	schedule->outdated = true;
}
