#include <stdlib.h>

#include "base/clock.h"
#include "field/pdu.h"
#include "field/schedule_state.h"

/* The halves of a refused request, and theirs. It ends when each was answered; they stay until the next plan.
 */
struct search {
	struct search *next;
	const struct poll_unit *unit;
	int whole;   /* cells of what was refused */
	int largest; /* cells of the largest part that was not */
	size_t open; /* parts that are not answered */
	size_t found;
	size_t used;
	struct poll_request parts[];
};

void
schedule_note_lore(struct schedule *schedule, int64_t now_us)
{
	schedule->learned = true;
	if (schedule->forgive_at_us == CLOCK_NEVER)
		schedule->forgive_at_us = now_us + (int64_t)SCHEDULE_FORGIVE_MS * 1000;
}

bool
schedule_is_searching(const struct schedule *schedule)
{
	for (const struct search *search = schedule->searches; search; search = search->next)
		if (search->open > 0 && search->unit->state.failures == 0)
			return true;
	return false;
}

void
schedule_forget_searches(struct schedule *schedule)
{
	while (schedule->searches) {
		struct search *search = schedule->searches;

		schedule->searches = search->next;
		free(search);
	}
}

static bool
is_refusal(int exception)
{
	return exception == PDU_ILLEGAL_FUNCTION || exception == PDU_ILLEGAL_ADDRESS ||
	       exception == PDU_ILLEGAL_VALUE;
}

static struct poll_request
make_part(const struct poll_request *whole, size_t first, size_t count)
{
	struct poll_request part = {
		.unit = whole->unit,
		.table = whole->table,
		.addr = whole->items[first]->point->addr,
		.period_ms = whole->items[first]->point->period_ms,
		.timeout_ms = whole->timeout_ms,
		.search = whole->search,
		.items = whole->items + first,
		.item_count = count,
	};
	int reached = part.addr;

	for (size_t i = first; i < first + count; i++) {
		const struct point *point = whole->items[i]->point;

		if (point->addr > reached)
			part.hole_count += point->addr - reached;
		if (point->addr + point->count > reached)
			reached = point->addr + point->count;
		if (point->period_ms < part.period_ms)
			part.period_ms = point->period_ms;
	}
	part.count = reached - part.addr;
	return part;
}

/* Out of the heaps, for good. */
static void
drop_request(struct schedule *schedule, struct poll_request *request)
{
	struct poll_unit *unit = request->unit;

	schedule_place_request(request, NULL, 0);
	schedule_add_load(schedule, unit, -schedule_load_of(request));
	if (unit->probe == request)
		unit->probe = NULL;
}

/* Ask for both halves of it instead, now. Returns false if there is no memory. */
static bool
halve(struct schedule *schedule, struct poll_request *whole, int64_t now_us)
{
	struct search *search = whole->search;
	struct poll_unit *unit = whole->unit;
	size_t middle = whole->item_count / 2;

	if (!search) {
		search = calloc(1, sizeof(*search) + 2 * whole->item_count * sizeof(search->parts[0]));
		if (!search)
			return false;
		search->next = schedule->searches;
		schedule->searches = search;
		search->unit = unit;
		search->whole = whole->count;
		search->open = 1;
		whole->search = search;
	}
	drop_request(schedule, whole);
	for (int half = 0; half < 2; half++) {
		struct poll_request *part = &search->parts[search->used++];

		*part = half == 0 ? make_part(whole, 0, middle)
				  : make_part(whole, middle, whole->item_count - middle);
		part->wire_us = plan_wire_us(schedule->bus, part->table, part->count);
		part->cost_us =
		    plan_cost_us(schedule->bus, part->table, part->count, unit->state.turnaround_us);
		part->grid_us = now_us;
		for (size_t i = 0; i < part->item_count; i++)
			part->items[i]->request = part;
		schedule_request_wait(schedule, part, now_us);
		schedule_add_load(schedule, unit, schedule_load_of(part));
		if (unit->shortest == whole || part->count < unit->shortest->count)
			unit->shortest = part;
	}
	search->open++; /* two for one */
	schedule_settle(schedule, unit, now_us);
	return true;
}

/* Something else was to blame: holes get another chance, once. */
static void
acquit_holes(struct poll_unit *unit)
{
	if (unit->lore.no_holes && !unit->holes_acquitted) {
		unit->lore.no_holes = false;
		unit->holes_acquitted = true;
	}
}

/* The unit takes every part, only not together. Once that may be a whim. */
static void
doubt_length(struct schedule *schedule, const struct poll_request *part, int64_t now_us)
{
	struct poll_unit *unit = part->unit;

	if (++unit->length_doubts < SCHEDULE_LENGTH_DOUBTS)
		return;
	if (point_table_has_bits(part->table))
		unit->lore.max_bits = part->search->largest;
	else
		unit->lore.max_registers = part->search->largest;
	acquit_holes(unit);
	schedule_note_lore(schedule, now_us);
}

/* A part was answered: it is fine, or it is a single point that is refused, or nobody knows. */
static void
search_step(struct schedule *schedule, struct poll_request *part, bool fine, int64_t now_us)
{
	struct search *search = part->search;

	if (!search)
		return;
	if (fine && part->count > search->largest)
		search->largest = part->count;
	search->found += !fine;
	if (--search->open == 0) {
		if (search->found == 0 && search->largest < search->whole)
			doubt_length(schedule, part, now_us);
		schedule->outdated = true;
	}
	part->search = NULL; /* each counts once */
}

int
schedule_accepted(struct schedule *schedule, struct poll_request *request, int64_t now_us)
{
	int before = 0;

	for (size_t i = 0; i < request->item_count; i++) {
		if (request->items[i]->exception != 0)
			before = request->items[i]->exception;
		request->items[i]->exception = 0;
		if (request->items[i]->retry_ms == 0)
			continue;
		request->items[i]->retry_ms = 0;
		schedule->outdated = schedule->learned = true;
	}
	request->failures = 0;
	request->answered = true;
	request->unit->holes_proven = request->unit->holes_proven || request->hole_count > 0;
	search_step(schedule, request, true, now_us);
	return before;
}

void
schedule_leave_out(struct schedule_item *item, int64_t now_us)
{
	if (item->retry_ms == 0)
		item->retry_ms = SCHEDULE_REFUSED_MIN_MS;
	else if (item->retry_ms < SCHEDULE_REFUSED_MAX_MS / 2)
		item->retry_ms *= 2;
	else
		item->retry_ms = SCHEDULE_REFUSED_MAX_MS;
	item->retry_at_us = now_us + (int64_t)item->retry_ms * 1000;
}

/* Its points are refused, each by itself or all for their function. */
static void
leave_all_out(struct schedule *schedule, struct poll_request *request, int64_t now_us)
{
	for (size_t i = 0; i < request->item_count; i++)
		schedule_leave_out(request->items[i], now_us);
	search_step(schedule, request, false, now_us);
	if (request->trial) {
		request->period_ms = request->items[0]->retry_ms;
		request->grid_us = request->items[0]->retry_at_us;
		schedule_request_wait(schedule, request, request->grid_us);
	} else {
		schedule_place_request(request, NULL, 0);
		acquit_holes(request->unit);
		schedule->outdated = schedule->learned = true;
	}
	schedule_settle(schedule, request->unit, now_us);
}

enum schedule_verdict
schedule_refused(
    struct schedule *schedule, struct poll_request *request, int exception, int64_t now_us, bool *ret_news)
{
	struct poll_unit *unit = request->unit;

	*ret_news = false;
	for (size_t i = 0; i < request->item_count; i++) {
		*ret_news = *ret_news || request->items[i]->exception != exception;
		request->items[i]->exception = exception;
	}
	request->failures = 0;
	if (!is_refusal(exception)) {
		search_step(schedule, request, false, now_us);
		return SCHEDULE_KEPT;
	}
	if (exception == PDU_ILLEGAL_FUNCTION || request->item_count == 1) {
		leave_all_out(schedule, request, now_us);
		return SCHEDULE_LEFT_OUT;
	}
	if (request->hole_count > 0 && !unit->lore.no_holes) {
		unit->lore.no_holes = true;
		for (size_t i = 0; i < request->item_count; i++)
			request->items[i]->exception = 0;
		search_step(schedule, request, false, now_us);
		schedule->outdated = true;
		schedule_note_lore(schedule, now_us);
		return SCHEDULE_HOLES;
	}
	return halve(schedule, request, now_us) ? SCHEDULE_HALVED : SCHEDULE_KEPT;
}
