#include "field/schedule.h"

#include <errno.h>
#include <stdlib.h>

#include "field/pdu.h"

static int64_t
period_us(const struct poll_request *request)
{
	return (int64_t)request->period_ms * 1000;
}

/* Put the unit where it belongs after one of its deadlines or its hold has moved. What failed is asked again
 * soon, however long its period is. */
static void
settle(struct schedule *schedule, struct poll_unit *unit)
{
	const struct heap_node *first = heap_first(&unit->polls);
	int64_t due;

	if (!first) {
		heap_remove(&schedule->units, &unit->node);
		return;
	}
	due = first->due;
	if (unit->probe && unit->state.failures > 0 && due > unit->state.failed_us + UNIT_PAUSE_MIN_MS * 1000)
		due = unit->state.failed_us + UNIT_PAUSE_MIN_MS * 1000;
	if (due < unit->state.held_until_us)
		due = unit->state.held_until_us;
	heap_set(&schedule->units, &unit->node, due);
}

static size_t
count_units(const struct plan *plan)
{
	size_t count = 0;

	for (size_t i = 0; i < plan->request_count; i++)
		if (i == 0 || plan->requests[i].unit != plan->requests[i - 1].unit)
			count++;
	return count;
}

/* The requests of one unit are neighbours in the plan: set up those from `first` on. Returns how many, or
 * -ENOMEM. */
static int
init_unit(struct schedule *schedule, struct poll_unit *unit, size_t first, bool guarded)
{
	const struct plan *plan = &schedule->plan;
	int id = plan->requests[first].unit;
	size_t end = first;
	size_t room = 0;

	for (; end < plan->request_count && plan->requests[end].unit == id; end++)
		room += 1 + plan->requests[end].item_count;
	unit_init(&unit->state, id, guarded);
	if (heap_init(&unit->polls, room) != 0)
		return -ENOMEM;
	return (int)(end - first);
}

static void
init_request(struct schedule *schedule, size_t index, struct poll_unit *unit, int64_t now_us)
{
	const struct plan_request *planned = &schedule->plan.requests[index];
	struct poll_request *request = &schedule->requests[index];
	size_t first_item = (size_t)(planned->items - schedule->plan.items);

	*request = (struct poll_request){
		.unit = unit,
		.table = planned->table,
		.addr = planned->addr,
		.count = planned->count,
		.period_ms = planned->period_ms,
		.timeout_ms = planned->timeout_ms,
		.items = schedule->items + first_item,
		.item_count = planned->item_count,
		.parts = schedule->parts + first_item,
	};
	for (size_t i = 0; i < planned->item_count; i++)
		request->items[i] =
		    (struct schedule_item){ .point = planned->items[i].point,
			    .due_us = now_us,
			    .fresh_us = now_us,
			    .quality = QUALITY_UNKNOWN };
	heap_set(&unit->polls, &request->node, now_us);
}

static int
init_units(struct schedule *schedule, bool guarded, int64_t now_us)
{
	size_t next = 0;

	for (size_t i = 0; i < schedule->unit_count; i++) {
		struct poll_unit *unit = &schedule->unit[i];
		int count = init_unit(schedule, unit, next, guarded);

		if (count < 0)
			return count;
		for (; count > 0; count--)
			init_request(schedule, next++, unit, now_us);
		settle(schedule, unit);
	}
	return 0;
}

int
schedule_init(
    struct schedule *schedule, const struct settings *settings, const struct bus *bus, int64_t now_us)
{
	int error;

	*schedule = (struct schedule){ .open_us = now_us };
	error = plan_build(settings, bus, &schedule->plan);
	if (error != 0)
		return error;
	for (size_t i = 0; i < schedule->plan.request_count; i++)
		schedule->item_count += schedule->plan.requests[i].item_count;
	schedule->unit_count = count_units(&schedule->plan);
	schedule->unit = calloc(schedule->unit_count + 1, sizeof(*schedule->unit));
	schedule->requests = calloc(schedule->plan.request_count + 1, sizeof(*schedule->requests));
	schedule->parts = calloc(schedule->item_count + 1, sizeof(*schedule->parts));
	schedule->items = calloc(schedule->item_count + 1, sizeof(*schedule->items));
	if (!schedule->unit || !schedule->requests || !schedule->parts || !schedule->items ||
	    heap_init(&schedule->units, schedule->unit_count) != 0 ||
	    init_units(schedule, bus->type != BUS_TCP, now_us) != 0) {
		schedule_done(schedule);
		return -ENOMEM;
	}
	return 0;
}

void
schedule_done(struct schedule *schedule)
{
	for (size_t i = 0; schedule->unit && i < schedule->unit_count; i++)
		heap_done(&schedule->unit[i].polls);
	heap_done(&schedule->units);
	free(schedule->unit);
	free(schedule->requests);
	free(schedule->parts);
	free(schedule->items);
	plan_done(&schedule->plan);
	*schedule = (struct schedule){ 0 };
}

struct poll_request *
schedule_next(const struct schedule *schedule, int64_t *ret_due_us)
{
	struct heap_node *first = heap_first(&schedule->units);
	struct poll_unit *unit;

	if (!first)
		return NULL;
	unit = heap_entry(first, struct poll_unit, node);
	*ret_due_us = first->due;
	if (unit->probe && unit->state.failures > 0)
		return unit->probe;
	return heap_entry(heap_first(&unit->polls), struct poll_request, node);
}

void
schedule_opened(struct schedule *schedule, int64_t now_us)
{
	schedule->open_us = now_us;
}

/* The first time after `now_us` that lies whole periods after `due_us`. */
static int64_t
next_due(int64_t due_us, int64_t period, int64_t now_us)
{
	if (due_us > now_us)
		return due_us;
	return due_us + ((now_us - due_us) / period + 1) * period;
}

bool
schedule_deliver(struct schedule_item *item, int64_t asked_us)
{
	if (item->due_us > asked_us)
		return false;
	item->due_us = next_due(item->due_us, (int64_t)item->point->period_ms * 1000, asked_us);
	return true;
}

uint64_t
schedule_advance(struct schedule *schedule, struct poll_request *request, int64_t asked_us)
{
	struct poll_unit *unit = request->unit;
	int64_t ready = request->node.due;
	uint64_t missed = 0;

	if (ready < schedule->open_us)
		ready = schedule->open_us;
	if (ready < unit->state.held_until_us)
		ready = unit->state.held_until_us;
	if (asked_us > ready)
		missed = (uint64_t)((asked_us - ready) / period_us(request));
	heap_set(&unit->polls, &request->node, next_due(request->node.due, period_us(request), asked_us));
	settle(schedule, unit);
	unit->state.counters.missed += missed;
	return missed;
}

static bool
is_refusal(int exception)
{
	return exception == PDU_ILLEGAL_FUNCTION || exception == PDU_ILLEGAL_ADDRESS ||
	       exception == PDU_ILLEGAL_VALUE;
}

static int
item_end(const struct schedule_item *item)
{
	return item->point->addr + item->point->count;
}

/* Make one part of the items from `first` on that overlap one another: they share cells, and their fate. */
static size_t
make_part(struct poll_request *whole, size_t first, struct poll_request *ret)
{
	struct schedule_item *items = whole->items + first;
	size_t count = 1;
	int end = item_end(&items[0]);
	int period_ms = items[0].point->period_ms;

	while (first + count < whole->item_count && items[count].point->addr < end) {
		if (item_end(&items[count]) > end)
			end = item_end(&items[count]);
		if (items[count].point->period_ms < period_ms)
			period_ms = items[count].point->period_ms;
		count++;
	}
	*ret = (struct poll_request){
		.unit = whole->unit,
		.table = whole->table,
		.addr = items[0].point->addr,
		.count = end - items[0].point->addr,
		.period_ms = period_ms,
		.timeout_ms = whole->timeout_ms,
		.items = items,
		.item_count = count,
		.whole = whole,
	};
	return count;
}

/* Ask for the points of a refused request each on its own, all at once. Returns false if that leaves it as it
 * is. A request may also be refused for its length alone: then every part answers, and it stays split. */
static bool
split(struct schedule *schedule, struct poll_request *whole, int64_t now_us)
{
	struct poll_unit *unit = whole->unit;
	size_t parts = 0;

	for (size_t i = 0; i < whole->item_count;)
		i += make_part(whole, i, &whole->parts[parts++]);
	if (parts < 2)
		return false;
	heap_remove(&unit->polls, &whole->node);
	for (size_t i = 0; i < parts; i++)
		heap_set(&unit->polls, &whole->parts[i].node, now_us);
	whole->part_count = parts;
	whole->refused_count = 0;
	unit->probe = NULL;
	settle(schedule, unit);
	return true;
}

static void
join(struct schedule *schedule, struct poll_request *whole, int64_t now_us)
{
	struct poll_unit *unit = whole->unit;

	for (size_t i = 0; i < whole->part_count; i++)
		heap_remove(&unit->polls, &whole->parts[i].node);
	whole->part_count = 0;
	whole->exception = 0;
	heap_set(&unit->polls, &whole->node, now_us + period_us(whole));
	unit->probe = NULL;
	settle(schedule, unit);
}

int
schedule_accepted(struct schedule *schedule, struct poll_request *request, int64_t now_us)
{
	int before = request->exception;

	request->exception = 0;
	if (request->whole && is_refusal(before) && --request->whole->refused_count == 0)
		join(schedule, request->whole, now_us);
	return before;
}

bool
schedule_refused(struct schedule *schedule, struct poll_request *request, int exception, int64_t now_us)
{
	bool before = is_refusal(request->exception);
	bool refused = is_refusal(exception);

	request->exception = exception;
	if (request->whole)
		request->whole->refused_count += (size_t)refused - (size_t)before;
	if (!refused)
		return false;
	/* An illegal function stays illegal whatever the address. */
	if (exception != PDU_ILLEGAL_FUNCTION && request->item_count > 1 && split(schedule, request, now_us))
		return true;
	if (period_us(request) < (int64_t)SCHEDULE_REFUSED_RETRY_MS * 1000)
		heap_set(&request->unit->polls, &request->node,
		    now_us + (int64_t)SCHEDULE_REFUSED_RETRY_MS * 1000);
	settle(schedule, request->unit);
	return false;
}

enum unit_change
schedule_unit_answered(
    struct schedule *schedule, struct poll_unit *unit, int64_t asked_us, int64_t now_us, int64_t *ret_away_us)
{
	enum unit_change change = unit_answered(&unit->state, asked_us, now_us, ret_away_us);

	unit->probe = NULL;
	settle(schedule, unit);
	return change;
}

enum unit_change
schedule_unit_failed(struct schedule *schedule, struct poll_unit *unit, struct poll_request *request,
    int64_t asked_us, int64_t now_us, bool pending)
{
	enum unit_change change = unit_failed(&unit->state, asked_us, now_us, pending);

	if (request)
		unit->probe = request;
	settle(schedule, unit);
	return change;
}

enum unit_change
schedule_unit_stale(struct schedule *schedule, struct poll_unit *unit, int64_t now_us)
{
	enum unit_change change = unit_stale(&unit->state, now_us);

	settle(schedule, unit);
	return change;
}

void
schedule_touch(struct schedule *schedule, const struct point *point, int64_t now_us)
{
	for (size_t i = 0; i < schedule->plan.request_count; i++) {
		struct poll_request *request = &schedule->requests[i];
		size_t count = request->part_count > 0 ? request->part_count : 1;

		for (size_t j = 0; j < count; j++) {
			struct poll_request *asked = request->part_count > 0 ? &request->parts[j] : request;

			for (size_t k = 0; k < asked->item_count; k++) {
				if (asked->items[k].point != point)
					continue;
				asked->items[k].due_us = now_us;
				heap_set(&asked->unit->polls, &asked->node, now_us);
				settle(schedule, asked->unit);
				return;
			}
		}
	}
}

struct poll_unit *
schedule_unit(const struct schedule *schedule, int id)
{
	for (size_t i = 0; i < schedule->unit_count; i++)
		if (schedule->unit[i].state.id == id)
			return &schedule->unit[i];
	return NULL;
}
