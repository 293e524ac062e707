#include "base/clock.h"
#include "field/schedule_state.h"

/* --- where requests and units stand --- */

int64_t
schedule_held_until_us(const struct unit *unit)
{
	return unit->held_until_us > unit->paused_until_us ? unit->held_until_us : unit->paused_until_us;
}

void
schedule_place_unit(struct poll_unit *unit, struct heap *heap, int64_t key)
{
	if (unit->place && unit->place != heap)
		heap_remove(unit->place, &unit->node);
	unit->place = heap;
	if (heap)
		heap_set(heap, &unit->node, key);
}

/* When a unit that failed may be asked again: what failed soon, however long its period is. */
static int64_t
retry_us(const struct poll_unit *unit)
{
	const struct poll_request *probe = unit->probe ? unit->probe : unit->shortest;
	int64_t soon = unit->state.failed_us + UNIT_PAUSE_MIN_MS * 1000;

	if (soon > unit->state.failed_us + schedule_period_us(probe))
		soon = unit->state.failed_us + schedule_period_us(probe);
	return soon > schedule_held_until_us(&unit->state) ? soon : schedule_held_until_us(&unit->state);
}

void
schedule_settle(struct schedule *schedule, struct poll_unit *unit, int64_t now_us)
{
	const struct heap_node *first = heap_first(&unit->polls);

	if (unit->state.failures > 0 && unit->shortest)
		schedule_place_unit(unit, &schedule->away, retry_us(unit));
	else if (!first)
		schedule_place_unit(unit, NULL, 0);
	else if (schedule_held_until_us(&unit->state) > now_us)
		schedule_place_unit(unit, &schedule->held, schedule_held_until_us(&unit->state));
	else
		schedule_place_unit(unit, &schedule->ready, first->due);
}

void
schedule_place_request(struct poll_request *request, struct heap *heap, int64_t key)
{
	if (request->place && request->place != heap)
		heap_remove(request->place, &request->node);
	request->place = heap;
	if (heap)
		heap_set(heap, &request->node, key);
}

void
schedule_request_wait(struct schedule *schedule, struct poll_request *request, int64_t due_us)
{
	request->due_us = due_us;
	schedule_place_request(request, &schedule->resting, request->grid_us);
}

/* --- what is next --- */

/* To what its unit is to be asked. */
static void
make_due(struct schedule *schedule, struct poll_request *request, int64_t now_us)
{
	schedule_place_request(
	    request, &request->unit->polls, request->due_us + schedule_stretched_us(schedule, request));
	schedule_settle(schedule, request->unit, now_us);
}

/* What may be asked, what has become due, and whoever may be asked again, moves on. */
static void
promote(struct schedule *schedule, int64_t now_us)
{
	struct heap_node *node;

	while ((node = heap_first(&schedule->resting)) && node->due <= now_us) {
		struct poll_request *request = heap_entry(node, struct poll_request, node);

		schedule_place_request(request, &schedule->waiting, request->due_us);
	}
	while ((node = heap_first(&schedule->waiting)) && node->due <= now_us)
		make_due(schedule, heap_entry(node, struct poll_request, node), now_us);
	while ((node = heap_first(&schedule->held)) && node->due <= now_us)
		schedule_settle(schedule, heap_entry(node, struct poll_unit, node), now_us);
}

/* Nothing is due with the stretch. What would be without it goes first: a stretch that is too long, or was when a
 * request got its time, must not leave the bus idle. */
static void
pull_ahead(struct schedule *schedule, int64_t now_us)
{
	struct heap_node *node;

	while (!heap_first(&schedule->ready) && (node = heap_first(&schedule->waiting)))
		make_due(schedule, heap_entry(node, struct poll_request, node), now_us);
}

struct poll_request *
schedule_next(struct schedule *schedule, int64_t now_us, int64_t *ret_due_us)
{
	const struct heap *later[] = { &schedule->resting, &schedule->held };
	struct heap_node *first;
	struct poll_unit *unit;
	int64_t due_us = CLOCK_NEVER;

	promote(schedule, now_us);
	first = heap_first(&schedule->away);
	if (first) {
		unit = heap_entry(first, struct poll_unit, node);
		due_us = first->due > schedule->probe_at_us ? first->due : schedule->probe_at_us;
		if (due_us <= now_us)
			return unit->probe ? unit->probe : unit->shortest;
	}
	pull_ahead(schedule, now_us);
	first = heap_first(&schedule->ready);
	if (first) {
		unit = heap_entry(first, struct poll_unit, node);
		return heap_entry(heap_first(&unit->polls), struct poll_request, node);
	}
	for (size_t i = 0; i < sizeof(later) / sizeof(later[0]); i++)
		if (heap_first(later[i]) && heap_first(later[i])->due < due_us)
			due_us = heap_first(later[i])->due;
	/* What left the old plan waits for the new one. */
	if (schedule->outdated && !schedule_is_searching(schedule) && schedule->update_at_us < due_us)
		due_us = schedule->update_at_us;
	*ret_due_us = due_us;
	return NULL;
}

int
schedule_wait_ms(const struct poll_request *request)
{
	return unit_wait_ms(&request->unit->state, request->wire_us, request->timeout_ms);
}

/* --- deadlines --- */

void
schedule_opened(struct schedule *schedule, int64_t now_us)
{
	schedule->open_us = now_us;
	schedule->other_since_us = now_us;
	schedule->other_us = 0;
}

/* The first time after `now_us` that lies whole periods after `due_us`. */
static int64_t
next_due(int64_t due_us, int64_t period, int64_t now_us)
{
	if (due_us > now_us)
		return due_us;
	if (now_us - due_us < period) /* nearly always: divisions are slow, and this is one a value */
		return due_us + period;
	return due_us + ((now_us - due_us) / period + 1) * period;
}

/* A unit that failed is asked ahead of time. What was read for a point that sets its request's pace is not thrown away
 * then. */
bool
schedule_deliver(struct schedule_item *item, int64_t asked_us)
{
	if (item->due_us > asked_us)
		return item->request->early && item->point->period_ms == item->request->period_ms;
	item->due_us = next_due(item->due_us, (int64_t)item->point->period_ms * 1000, asked_us);
	return true;
}

/* What went ahead of its time keeps its place in the order, but not for long. */
static int64_t
next_stretched(const struct schedule *schedule, const struct poll_request *request, int64_t asked_us)
{
	int64_t period = schedule_stretched_us(schedule, request);

	if (request->due_us <= asked_us)
		return next_due(request->due_us, period, asked_us);
	return (request->due_us < asked_us + period ? request->due_us : asked_us + period) + period;
}

uint64_t
schedule_advance(struct schedule *schedule, struct poll_request *request, int64_t asked_us)
{
	struct poll_unit *unit = request->unit;
	int64_t ready = request->grid_us;
	uint64_t missed = 0;

	if (ready < schedule->open_us)
		ready = schedule->open_us;
	if (ready < schedule_held_until_us(&unit->state))
		ready = schedule_held_until_us(&unit->state);
	if (asked_us > ready && unit->state.failures == 0)
		missed = (uint64_t)((asked_us - ready) / schedule_period_us(request));
	request->early = asked_us < request->grid_us;
	request->grid_us = next_due(request->grid_us, schedule_period_us(request), asked_us);
	if (schedule_stretch(schedule) > 1)
		schedule_request_wait(schedule, request, next_stretched(schedule, request, asked_us));
	else
		schedule_request_wait(schedule, request, request->grid_us);
	schedule_settle(schedule, unit, asked_us);
	unit->state.counters.missed += missed;
	return missed;
}

void
schedule_unit_pause(struct schedule *schedule, struct poll_unit *unit, int64_t until_us, int64_t now_us)
{
	unit->state.paused_until_us = until_us;
	schedule_settle(schedule, unit, now_us);
}

/* Have they cells in common? */
static bool
overlap(const struct point *a, const struct point *b)
{
	return a->unit == b->unit && a->table == b->table && a->addr < b->addr + b->count &&
	       b->addr < a->addr + a->count;
}

static void
touch_item(struct schedule *schedule, struct schedule_item *item, int64_t now_us)
{
	item->due_us = now_us;
	item->request->due_us = item->request->grid_us = now_us;
	schedule_place_request(
	    item->request, &item->request->unit->polls, now_us); /* ahead of what has until later */
	schedule_settle(schedule, item->request->unit, now_us);
}

void
schedule_touch(struct schedule *schedule, const struct point *point, int64_t now_us)
{
	for (size_t i = 0; i < schedule->item_count; i++)
		if (overlap(schedule->items[i].point, point))
			touch_item(schedule, &schedule->items[i], now_us);
}
