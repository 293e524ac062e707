#include <errno.h>
#include <stdlib.h>

#include "base/clock.h"
#include "field/schedule_state.h"

#define UPDATE_RETRY_US 1000000

/* What a plan stands on: made aside, and put in place when nothing can fail any more. */
struct making {
	struct plan plan;
	struct plan_unit *units;
	struct poll_request *requests;
	struct schedule_item **order;
};

static bool
is_left_out(const void *ctx, const struct point *point)
{
	return schedule_item_of(ctx, point)->retry_ms > 0;
}

static void
making_done(struct making *making)
{
	plan_done(&making->plan);
	free(making->units);
	free(making->requests);
	free(making->order);
}

static int
make_plan(const struct schedule *schedule, struct making *making)
{
	struct plan_lore lore = { .left_out = is_left_out, .ctx = schedule };

	making->units = calloc(schedule->unit_count + 1, sizeof(*making->units));
	making->requests = calloc(schedule->item_count + 1, sizeof(*making->requests));
	making->order = calloc(schedule->item_count + 1, sizeof(struct schedule_item *));
	if (!making->units || !making->requests || !making->order)
		return -ENOMEM;
	for (size_t i = 0; i < schedule->unit_count; i++) {
		making->units[i] = schedule->unit[i].lore;
		if (schedule->unit[i].state.measured >= SCHEDULE_MEASURED_ENOUGH)
			making->units[i].turnaround_us = schedule->unit[i].state.turnaround_us;
	}
	lore.units = making->units;
	lore.unit_count = schedule->unit_count;
	return plan_remake(schedule->settings, schedule->bus, &lore, &making->plan);
}

void
schedule_forget_requests(struct schedule *schedule)
{
	schedule->resting.used = 0;
	schedule->waiting.used = 0;
	for (size_t i = 0; i < schedule->unit_count; i++) {
		struct poll_unit *unit = &schedule->unit[i];

		schedule_place_unit(unit, NULL, 0);
		unit->polls.used = 0;
		unit->probe = NULL;
		unit->shortest = NULL;
		unit->load = 0;
	}
	schedule->load = 0;
	schedule_forget_searches(schedule);
	free(schedule->requests);
	free(schedule->order);
}

static void
add_request(struct schedule *schedule, struct poll_request *request)
{
	struct poll_unit *unit = request->unit;

	request->wire_us = plan_wire_us(schedule->bus, request->table, request->count);
	for (size_t i = 0; i < request->item_count; i++)
		request->items[i]->request = request;
	schedule_request_wait(schedule, request, request->grid_us);
	schedule_add_load(schedule, unit, schedule_load_of(request));
	if (!unit->shortest || (unit->shortest->trial && !request->trial) ||
	    (unit->shortest->trial == request->trial && request->count < unit->shortest->count))
		unit->shortest = request;
}

static void
add_planned(struct schedule *schedule, const struct plan_request *planned, struct poll_request *request,
    struct schedule_item **items)
{
	int64_t due_us = CLOCK_NEVER;

	for (size_t i = 0; i < planned->item_count; i++) {
		items[i] = schedule_item_of(schedule, planned->items[i].point);
		if (items[i]->point->period_ms == planned->period_ms && items[i]->due_us < due_us)
			due_us = items[i]->due_us;
	}
	*request = (struct poll_request){
		.unit = schedule_unit(schedule, planned->unit),
		.table = planned->table,
		.addr = planned->addr,
		.count = planned->count,
		.hole_count = planned->hole_count,
		.period_ms = planned->period_ms,
		.timeout_ms = planned->timeout_ms,
		.grid_us = due_us,
		.cost_us = planned->cost_us,
		.items = items,
		.item_count = planned->item_count,
	};
	/* Before anything is known nothing is called overload: a round later everything is measured. */
	if (request->unit->state.measured == 0)
		request->cost_us = 0;
	add_request(schedule, request);
}

static void
add_trial(struct schedule *schedule, struct schedule_item *item, struct poll_request *request,
    struct schedule_item **items)
{
	const struct point *point = item->point;
	struct poll_unit *unit = schedule_unit(schedule, point->unit);

	items[0] = item;
	*request = (struct poll_request){
		.unit = unit,
		.table = point->table,
		.addr = point->addr,
		.count = point->count,
		.period_ms = item->retry_ms,
		.timeout_ms = plan_timeout_ms(point),
		.grid_us = item->retry_at_us,
		.cost_us = plan_cost_us(schedule->bus, point->table, point->count, unit->state.turnaround_us),
		.trial = true,
		.items = items,
		.item_count = 1,
	};
	add_request(schedule, request);
}

/* Put a plan in the place of the one before. Every item is in exactly one request, so there are no more
 * requests than items, and as much room in the heaps. */
static void
take_plan(struct schedule *schedule, struct making *making, int64_t now_us)
{
	struct schedule_item **items = making->order;

	schedule_forget_requests(schedule);
	schedule->requests = making->requests;
	schedule->order = making->order;
	schedule->request_count = 0;
	for (size_t i = 0; i < schedule->unit_count; i++)
		schedule->unit[i].lore.turnaround_us = making->units[i].turnaround_us;
	for (size_t i = 0; i < making->plan.request_count; i++) {
		add_planned(schedule, &making->plan.requests[i],
		    &schedule->requests[schedule->request_count++], items);
		items += making->plan.requests[i].item_count;
	}
	for (size_t i = 0; i < schedule->item_count; i++)
		if (schedule->items[i].retry_ms > 0)
			add_trial(schedule, &schedule->items[i],
			    &schedule->requests[schedule->request_count++], items++);
	for (size_t i = 0; i < schedule->unit_count; i++)
		schedule_settle(schedule, &schedule->unit[i], now_us);
	making->requests = NULL;
	making->order = NULL;
	schedule->outdated = false;
	schedule->planned_us = now_us;
}

int
schedule_plan(struct schedule *schedule, int64_t now_us)
{
	struct making making = { .units = NULL };
	int error = make_plan(schedule, &making);

	if (error == 0)
		take_plan(schedule, &making, now_us);
	making_done(&making);
	return error;
}

/* Holes and lengths get another chance; one refusal is enough then to take it back. */
static void
forgive(struct schedule *schedule)
{
	schedule->forgive_at_us = CLOCK_NEVER;
	for (size_t i = 0; i < schedule->unit_count; i++) {
		struct poll_unit *unit = &schedule->unit[i];

		if (!unit->lore.no_holes && unit->lore.max_registers == 0 && unit->lore.max_bits == 0)
			continue;
		unit->lore = (struct plan_unit){ .unit = unit->lore.unit };
		unit->length_doubts = SCHEDULE_LENGTH_DOUBTS - 1;
		unit->holes_acquitted = false;
		schedule->outdated = schedule->learned = true;
	}
}

bool
schedule_wants_update(const struct schedule *schedule, int64_t now_us)
{
	return schedule->outdated || now_us >= schedule->forgive_at_us;
}

bool
schedule_update(struct schedule *schedule, int64_t now_us)
{
	if (now_us >= schedule->forgive_at_us)
		forgive(schedule);
	if (!schedule->outdated || schedule_is_searching(schedule) || now_us < schedule->update_at_us)
		return false;
	if (schedule_plan(schedule, now_us) == 0)
		return true;
	schedule->update_at_us = now_us + UPDATE_RETRY_US; /* no memory */
	return false;
}
