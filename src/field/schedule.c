#include "field/schedule.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "field/pdu.h"

#define STRETCH_MARGIN	   1.01 /* predictions are a little wrong */
#define OTHER_WINDOW_US	   5000000
#define OTHER_SHARE_MAX	   0.9
#define COST_SMOOTHING	   8 /* a cost moves by one part in so many of what is new */
#define MEASURED_ENOUGH	   16
#define TURNAROUND_NEAR_US 2000 /* less is no difference */
#define LENGTH_DOUBTS	   2
#define UPDATE_RETRY_US	   1000000
#define GOLDEN_RATIO	   0.6180339887498949
#define PHASE_SPAN_US	   1000000 /* buses are spread over so much, or the shortest period if that is less */

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

/* --- where requests and units stand --- */

static int64_t
period_us(const struct poll_request *request)
{
	return (int64_t)request->period_ms * 1000;
}

double
schedule_load(const struct schedule *schedule)
{
	return schedule->load + schedule->other_share;
}

double
schedule_stretch(const struct schedule *schedule)
{
	double other = schedule->other_share < OTHER_SHARE_MAX ? schedule->other_share : OTHER_SHARE_MAX;
	double stretch = schedule->load / (1 - other) * STRETCH_MARGIN;

	return stretch > STRETCH_MARGIN ? stretch : 1;
}

static int64_t
stretched_us(const struct schedule *schedule, const struct poll_request *request)
{
	return (int64_t)((double)period_us(request) * schedule_stretch(schedule));
}

static int64_t
held_until_us(const struct unit *unit)
{
	return unit->held_until_us > unit->paused_until_us ? unit->held_until_us : unit->paused_until_us;
}

static void
place_unit(struct poll_unit *unit, struct heap *heap, int64_t key)
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

	if (soon > unit->state.failed_us + period_us(probe))
		soon = unit->state.failed_us + period_us(probe);
	return soon > held_until_us(&unit->state) ? soon : held_until_us(&unit->state);
}

/* Put the unit where it belongs after one of its deadlines or its hold has moved. */
static void
settle(struct schedule *schedule, struct poll_unit *unit, int64_t now_us)
{
	const struct heap_node *first = heap_first(&unit->polls);

	if (unit->state.failures > 0 && unit->shortest)
		place_unit(unit, &schedule->away, retry_us(unit));
	else if (!first)
		place_unit(unit, NULL, 0);
	else if (held_until_us(&unit->state) > now_us)
		place_unit(unit, &schedule->held, held_until_us(&unit->state));
	else
		place_unit(unit, &schedule->ready, first->due);
}

static void
place_request(struct poll_request *request, struct heap *heap, int64_t key)
{
	if (request->place && request->place != heap)
		heap_remove(request->place, &request->node);
	request->place = heap;
	if (heap)
		heap_set(heap, &request->node, key);
}

static void
request_wait(struct schedule *schedule, struct poll_request *request, int64_t due_us)
{
	request->due_us = due_us;
	place_request(request, &schedule->waiting, due_us);
}

/* What has become due, and whoever may be asked again, moves on. */
static void
promote(struct schedule *schedule, int64_t now_us)
{
	struct heap_node *node;

	while ((node = heap_first(&schedule->waiting)) && node->due <= now_us) {
		struct poll_request *request = heap_entry(node, struct poll_request, node);

		place_request(
		    request, &request->unit->polls, request->due_us + stretched_us(schedule, request));
		settle(schedule, request->unit, now_us);
	}
	while ((node = heap_first(&schedule->held)) && node->due <= now_us)
		settle(schedule, heap_entry(node, struct poll_unit, node), now_us);
}

static bool
is_searching(const struct schedule *schedule)
{
	for (const struct search *search = schedule->searches; search; search = search->next)
		if (search->open > 0 && search->unit->state.failures == 0)
			return true;
	return false;
}

/* Nothing is due with the stretch. What would be without it may go first: a stretch that is too long must not
 * leave the bus idle. Returns when that will be. */
static int64_t
pull_ahead(struct schedule *schedule, int64_t now_us)
{
	struct heap_node *node;

	if (schedule_stretch(schedule) <= 1)
		return CLOCK_NEVER;
	while (!heap_first(&schedule->ready) && (node = heap_first(&schedule->waiting))) {
		struct poll_request *request = heap_entry(node, struct poll_request, node);

		if (request->grid_us > now_us)
			return request->grid_us;
		place_request(
		    request, &request->unit->polls, request->due_us + stretched_us(schedule, request));
		settle(schedule, request->unit, now_us);
	}
	return CLOCK_NEVER;
}

struct poll_request *
schedule_next(struct schedule *schedule, int64_t now_us, int64_t *ret_due_us)
{
	const struct heap *later[] = { &schedule->waiting, &schedule->held };
	struct heap_node *first;
	struct poll_unit *unit;
	int64_t due_us = CLOCK_NEVER;
	int64_t ahead_us;

	promote(schedule, now_us);
	first = heap_first(&schedule->away);
	if (first) {
		unit = heap_entry(first, struct poll_unit, node);
		due_us = first->due > schedule->probe_at_us ? first->due : schedule->probe_at_us;
		if (due_us <= now_us)
			return unit->probe ? unit->probe : unit->shortest;
	}
	ahead_us = pull_ahead(schedule, now_us);
	if (ahead_us < due_us)
		due_us = ahead_us;
	first = heap_first(&schedule->ready);
	if (first) {
		unit = heap_entry(first, struct poll_unit, node);
		return heap_entry(heap_first(&unit->polls), struct poll_request, node);
	}
	for (size_t i = 0; i < sizeof(later) / sizeof(later[0]); i++)
		if (heap_first(later[i]) && heap_first(later[i])->due < due_us)
			due_us = heap_first(later[i])->due;
	/* What left the old plan waits for the new one. */
	if (schedule->outdated && !is_searching(schedule) && schedule->update_at_us < due_us)
		due_us = schedule->update_at_us;
	*ret_due_us = due_us;
	return NULL;
}

int
schedule_wait_ms(const struct poll_request *request)
{
	return unit_wait_ms(&request->unit->state, request->wire_us, request->timeout_ms);
}

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
	return due_us + ((now_us - due_us) / period + 1) * period;
}

/* In overload a request may be made before its points are due, to keep the longer period on the whole; a unit that failed is asked
 * ahead of time too. What was read for a point that sets its request's pace is not thrown away then. */
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
	int64_t period = stretched_us(schedule, request);

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
	if (ready < held_until_us(&unit->state))
		ready = held_until_us(&unit->state);
	if (asked_us > ready && unit->state.failures == 0)
		missed = (uint64_t)((asked_us - ready) / period_us(request));
	request->early = asked_us < request->grid_us;
	request->grid_us = next_due(request->grid_us, period_us(request), asked_us);
	if (schedule_stretch(schedule) > 1)
		request_wait(schedule, request, next_stretched(schedule, request, asked_us));
	else
		request_wait(schedule, request, request->grid_us);
	settle(schedule, unit, asked_us);
	unit->state.counters.missed += missed;
	return missed;
}

/* --- time that is spent --- */

static bool
counts(const struct poll_unit *unit)
{
	return unit->state.failures == 0;
}

/* It has begun to fail, or to answer: then it is polled no more, or again. */
static void
recount(struct schedule *schedule, const struct poll_unit *unit, bool counted)
{
	if (counted && !counts(unit))
		schedule->load -= unit->load;
	else if (!counted && counts(unit))
		schedule->load += unit->load;
}

static void
add_load(struct schedule *schedule, struct poll_unit *unit, double load)
{
	unit->load += load;
	if (counts(unit))
		schedule->load += load;
}

static double
load_of(const struct poll_request *request)
{
	return (double)request->cost_us / (double)period_us(request);
}

void
schedule_spent(struct schedule *schedule, struct poll_request *request, int64_t us, int64_t now_us)
{
	int64_t window_us = now_us - schedule->other_since_us;

	if (request) {
		double before = load_of(request);

		request->cost_us += (us - request->cost_us) / (request->cost_us == 0 ? 1 : COST_SMOOTHING);
		add_load(schedule, request->unit, load_of(request) - before);
	} else {
		schedule->other_us += us;
	}
	if (window_us < OTHER_WINDOW_US)
		return;
	schedule->other_share = (schedule->other_share + (double)schedule->other_us / (double)window_us) / 2;
	schedule->other_us = 0;
	schedule->other_since_us = now_us;
}

static int64_t
planned_turnaround_us(const struct schedule *schedule, const struct poll_unit *unit)
{
	if (unit->lore.turnaround_us > 0)
		return unit->lore.turnaround_us;
	return plan_assumed_turnaround_us(schedule->bus);
}

void
schedule_measured(struct schedule *schedule, struct poll_request *request, int64_t latency_us, int64_t now_us)
{
	struct unit *state = &request->unit->state;
	int64_t planned_us = planned_turnaround_us(schedule, request->unit);
	int64_t off_us;

	unit_measure(state, latency_us, request->wire_us);
	off_us = state->turnaround_us - planned_us;
	if (state->measured < MEASURED_ENOUGH ||
	    now_us - schedule->planned_us < (int64_t)SCHEDULE_REPLAN_MIN_MS * 1000)
		return;
	if (off_us < TURNAROUND_NEAR_US && off_us > -TURNAROUND_NEAR_US)
		return;
	if (state->turnaround_us > planned_us * SCHEDULE_TURNAROUND_FACTOR ||
	    state->turnaround_us * SCHEDULE_TURNAROUND_FACTOR < planned_us)
		schedule->outdated = true;
}

/* --- units that fail --- */

/* Something was learned about a unit that need not hold for ever. */
static void
note_lore(struct schedule *schedule, int64_t now_us)
{
	schedule->learned = true;
	if (schedule->forgive_at_us == CLOCK_NEVER)
		schedule->forgive_at_us = now_us + (int64_t)SCHEDULE_FORGIVE_MS * 1000;
}

/* It speaks again: whether it stands holes is to be found out. */
static void
forgive_silence(struct schedule *schedule, struct poll_unit *unit, int64_t now_us)
{
	int64_t at_us = now_us + (int64_t)SCHEDULE_FORGIVE_SILENCE_MS * 1000;

	if (unit->holes_silenced && !unit->silence_forgiven) {
		unit->silence_forgiven = true;
		if (at_us < schedule->forgive_at_us)
			schedule->forgive_at_us = at_us;
	}
	unit->holes_silenced = false;
}

enum unit_change
schedule_unit_answered(
    struct schedule *schedule, struct poll_unit *unit, int64_t asked_us, int64_t now_us, int64_t *ret_away_us)
{
	bool counted = counts(unit);
	enum unit_change change = unit_answered(&unit->state, asked_us, now_us, ret_away_us);

	recount(schedule, unit, counted);
	unit->probe = NULL;
	forgive_silence(schedule, unit, now_us);
	settle(schedule, unit, now_us);
	return change;
}

static int
reply_bytes(const struct poll_request *request)
{
	return point_table_has_bits(request->table) ? (request->count + 7) / 8 : request->count * 2;
}

/* The shortest request, unless a late reply to what failed could be taken for one to it; then what failed,
 * which costs the same. */
static struct poll_request *
choose_probe(const struct poll_unit *unit, struct poll_request *failed)
{
	struct poll_request *shortest = unit->shortest;

	if (unit->state.guarded && failed->table == shortest->table &&
	    reply_bytes(failed) == reply_bytes(shortest))
		return failed;
	return shortest;
}

/* A request that fails again and again while its unit answers others is asked ever more seldom. */
static void
defer(struct schedule *schedule, struct poll_request *request, int64_t now_us)
{
	int64_t pause_us = (int64_t)UNIT_PAUSE_MIN_MS * 1000;

	if (++request->failures < UNIT_FAILURES_OFFLINE)
		return;
	for (int i = UNIT_FAILURES_OFFLINE; i < request->failures && pause_us < UNIT_PAUSE_MAX_MS * 1000; i++)
		pause_us *= 2;
	if (request->grid_us < now_us + pause_us)
		request->grid_us = now_us + pause_us;
	request_wait(schedule, request, request->grid_us);
}

/* Was it perhaps the holes that a request got no answer for? */
static void
suspect_holes(struct schedule *schedule, const struct poll_request *request, bool lost, int64_t now_us)
{
	struct poll_unit *unit = request->unit;
	bool alone = request->failures >= UNIT_FAILURES_OFFLINE && !request->answered;

	if (request->hole_count == 0 || unit->lore.no_holes || (!alone && (!lost || unit->holes_proven)))
		return;
	unit->lore.no_holes = true;
	unit->holes_silenced = true;
	schedule->outdated = true;
	note_lore(schedule, now_us);
}

enum unit_change
schedule_unit_failed(struct schedule *schedule, struct poll_unit *unit, struct poll_request *request,
    int64_t asked_us, int64_t now_us, int64_t pending_us)
{
	bool first = unit->state.failures == 0;
	enum unit_change change = unit_failed(&unit->state, asked_us, now_us, pending_us);

	recount(schedule, unit, first);
	if (request && (first || !unit->probe))
		unit->probe = choose_probe(unit, request);
	if (request && first)
		defer(schedule, request, now_us);
	if (request)
		suspect_holes(schedule, request, change == UNIT_LOST, now_us);
	if (request && !first)
		schedule->probe_at_us =
		    now_us + (now_us - asked_us) * (100 - UNIT_PROBE_SHARE) / UNIT_PROBE_SHARE;
	settle(schedule, unit, now_us);
	return change;
}

enum unit_change
schedule_unit_stale(struct schedule *schedule, struct poll_unit *unit, int64_t now_us)
{
	bool counted = counts(unit);
	enum unit_change change = unit_stale(&unit->state, now_us);

	recount(schedule, unit, counted);
	settle(schedule, unit, now_us);
	return change;
}

/* --- what is refused --- */

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

	place_request(request, NULL, 0);
	add_load(schedule, unit, -load_of(request));
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
		request_wait(schedule, part, now_us);
		add_load(schedule, unit, load_of(part));
		if (unit->shortest == whole || part->count < unit->shortest->count)
			unit->shortest = part;
	}
	search->open++; /* two for one */
	settle(schedule, unit, now_us);
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

	if (++unit->length_doubts < LENGTH_DOUBTS)
		return;
	if (point_table_has_bits(part->table))
		unit->lore.max_bits = part->search->largest;
	else
		unit->lore.max_registers = part->search->largest;
	acquit_holes(unit);
	note_lore(schedule, now_us);
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

static void
leave_out(struct schedule_item *item, int64_t now_us)
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
		leave_out(request->items[i], now_us);
	search_step(schedule, request, false, now_us);
	if (request->trial) {
		request->period_ms = request->items[0]->retry_ms;
		request->grid_us = request->items[0]->retry_at_us;
		request_wait(schedule, request, request->grid_us);
	} else {
		place_request(request, NULL, 0);
		acquit_holes(request->unit);
		schedule->outdated = schedule->learned = true;
	}
	settle(schedule, request->unit, now_us);
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
		note_lore(schedule, now_us);
		return SCHEDULE_HOLES;
	}
	return halve(schedule, request, now_us) ? SCHEDULE_HALVED : SCHEDULE_KEPT;
}

/* --- the plan --- */

static int
compare_to_index(const void *key, const void *item)
{
	size_t index = *(const size_t *)key;
	size_t other = ((const struct schedule_item *)item)->point->index;

	return (index > other) - (index < other);
}

static struct schedule_item *
item_of(const struct schedule *schedule, const struct point *point)
{
	return bsearch(
	    &point->index, schedule->items, schedule->item_count, sizeof(*schedule->items), compare_to_index);
}

static bool
is_left_out(const void *ctx, const struct point *point)
{
	return item_of(ctx, point)->retry_ms > 0;
}

/* What a plan stands on: made aside, and put in place when nothing can fail any more. */
struct making {
	struct plan plan;
	struct plan_unit *units;
	struct poll_request *requests;
	struct schedule_item **order;
};

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
		if (schedule->unit[i].state.measured >= MEASURED_ENOUGH)
			making->units[i].turnaround_us = schedule->unit[i].state.turnaround_us;
	}
	lore.units = making->units;
	lore.unit_count = schedule->unit_count;
	return plan_remake(schedule->settings, schedule->bus, &lore, &making->plan);
}

static void
forget_requests(struct schedule *schedule)
{
	schedule->waiting.used = 0;
	for (size_t i = 0; i < schedule->unit_count; i++) {
		struct poll_unit *unit = &schedule->unit[i];

		place_unit(unit, NULL, 0);
		unit->polls.used = 0;
		unit->probe = NULL;
		unit->shortest = NULL;
		unit->load = 0;
	}
	schedule->load = 0;
	while (schedule->searches) {
		struct search *search = schedule->searches;

		schedule->searches = search->next;
		free(search);
	}
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
	request_wait(schedule, request, request->grid_us);
	add_load(schedule, unit, load_of(request));
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
		items[i] = item_of(schedule, planned->items[i].point);
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

	forget_requests(schedule);
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
		settle(schedule, &schedule->unit[i], now_us);
	making->requests = NULL;
	making->order = NULL;
	schedule->outdated = false;
	schedule->planned_us = now_us;
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
		unit->length_doubts = LENGTH_DOUBTS - 1;
		unit->holes_acquitted = false;
		schedule->outdated = schedule->learned = true;
	}
}

bool
schedule_update(struct schedule *schedule, int64_t now_us)
{
	struct making making = { .units = NULL };
	bool made;

	if (now_us >= schedule->forgive_at_us)
		forgive(schedule);
	if (!schedule->outdated || is_searching(schedule) || now_us < schedule->update_at_us)
		return false;
	made = make_plan(schedule, &making) == 0;
	if (!made) /* no memory */
		schedule->update_at_us = now_us + UPDATE_RETRY_US;
	if (made)
		take_plan(schedule, &making, now_us);
	making_done(&making);
	return made;
}

/* --- begin and end --- */

static int
compare_units(const void *a, const void *b)
{
	int p = ((const struct poll_unit *)a)->state.id;
	int q = ((const struct poll_unit *)b)->state.id;

	return (p > q) - (p < q);
}

/* Buses that start together would be due together for ever, all in the same millisecond. Everything is read at once all the
 * same; the periods count from a moment before that, another for each bus: as far apart as the golden ratio puts them. */
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

/* A unit for each address that a point of the bus has, be it only written. */
static size_t
collect_units(const struct settings *settings, const struct bus *bus, struct poll_unit *units, size_t *room)
{
	int number[256]; /* of the unit, from 1 */
	size_t count = 0;

	for (size_t i = 0; i < sizeof(number) / sizeof(number[0]); i++)
		number[i] = 0;
	for (size_t i = 0; i < settings->device_count; i++)
		for (size_t j = 0; j < settings->devices[i].point_count; j++) {
			const struct point *point = &settings->devices[i].points[j];
			int longest = point->device->offline_retry_max_ms;
			struct poll_unit *unit;

			if (point->bus != bus)
				continue;
			if (number[point->unit & 0xff] == 0) {
				number[point->unit & 0xff] = (int)++count;
				unit = &units[count - 1];
				unit_init(&unit->state, point->unit, bus->type != BUS_TCP);
				unit->lore.unit = point->unit;
				unit->state.wait_min_ms =
				    bus->type == BUS_RTU ? UNIT_WAIT_MIN_LINE_MS : UNIT_WAIT_MIN_NETWORK_MS;
				if (longest > 0)
					unit->state.pause_max_ms = longest;
			}
			unit = &units[number[point->unit & 0xff] - 1];
			if (longest > 0 && longest < unit->state.pause_max_ms)
				unit->state.pause_max_ms = longest;
			room[point->unit & 0xff] += point->period_ms > 0;
		}
	return count;
}

int
schedule_init(
    struct schedule *schedule, const struct settings *settings, const struct bus *bus, int64_t now_us)
{
	struct making making = { .units = NULL };
	size_t room[256] = { 0 };
	struct poll_unit *units;
	int error = -ENOMEM;

	*schedule = (struct schedule){
		.settings = settings,
		.bus = bus,
		.open_us = now_us,
		.other_since_us = now_us,
		.forgive_at_us = CLOCK_NEVER,
	};
	schedule->item_count = collect_items(settings, bus, NULL, now_us);
	schedule->items = calloc(schedule->item_count + 1, sizeof(*schedule->items));
	schedule->unit = calloc(256, sizeof(*schedule->unit));
	if (!schedule->items || !schedule->unit)
		goto failed;
	collect_items(settings, bus, schedule->items, now_us);
	schedule->unit_count = collect_units(settings, bus, schedule->unit, room);
	units = realloc(schedule->unit, (schedule->unit_count + 1) * sizeof(*units));
	if (units)
		schedule->unit = units;
	qsort(schedule->unit, schedule->unit_count, sizeof(*schedule->unit), compare_units);
	for (size_t i = 0; i < schedule->unit_count; i++) {
		struct poll_unit *unit = &schedule->unit[i];

		unit->write_only = room[unit->state.id & 0xff] == 0;
		if (heap_init(&unit->polls, room[unit->state.id & 0xff]) != 0)
			goto failed;
	}
	if (heap_init(&schedule->waiting, schedule->item_count) != 0 ||
	    heap_init(&schedule->ready, schedule->unit_count) != 0 ||
	    heap_init(&schedule->held, schedule->unit_count) != 0 ||
	    heap_init(&schedule->away, schedule->unit_count) != 0)
		goto failed;
	error = make_plan(schedule, &making);
	if (error == 0)
		take_plan(schedule, &making, now_us);
	making_done(&making);
	schedule->planned_us = now_us - (int64_t)SCHEDULE_REPLAN_MIN_MS * 1000;
	if (error == 0)
		return 0;
failed:
	schedule_done(schedule);
	return error;
}

void
schedule_done(struct schedule *schedule)
{
	if (schedule->unit)
		forget_requests(schedule);
	for (size_t i = 0; schedule->unit && i < schedule->unit_count; i++)
		heap_done(&schedule->unit[i].polls);
	heap_done(&schedule->waiting);
	heap_done(&schedule->ready);
	heap_done(&schedule->held);
	heap_done(&schedule->away);
	free(schedule->unit);
	free(schedule->items);
	*schedule = (struct schedule){ 0 };
}

/* --- other settings --- */

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
	const struct schedule_item *old = was ? item_of(from, was) : NULL;
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

/* --- what others know --- */

void
schedule_remember_point(struct schedule *schedule, const struct point *point, int exception, int64_t now_us)
{
	struct schedule_item *item = item_of(schedule, point);

	if (!item)
		return;
	item->exception = exception;
	leave_out(item, now_us);
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

void
schedule_unit_pause(struct schedule *schedule, struct poll_unit *unit, int64_t until_us, int64_t now_us)
{
	unit->state.paused_until_us = until_us;
	settle(schedule, unit, now_us);
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
	place_request(item->request, &item->request->unit->polls, now_us); /* ahead of what has until later */
	settle(schedule, item->request->unit, now_us);
}

void
schedule_touch(struct schedule *schedule, const struct point *point, int64_t now_us)
{
	for (size_t i = 0; i < schedule->item_count; i++)
		if (overlap(schedule->items[i].point, point))
			touch_item(schedule, &schedule->items[i], now_us);
}

struct poll_unit *
schedule_unit(const struct schedule *schedule, int id)
{
	struct poll_unit key = { .state = { .id = id } };

	return bsearch(&key, schedule->unit, schedule->unit_count, sizeof(*schedule->unit), compare_units);
}
