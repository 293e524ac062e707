#include "field/plan.h"

#include <errno.h>
#include <float.h>
#include <limits.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "field/line.h"

/* The time in which a unit makes up its answer, until it is measured: on a serial line some ms for most, on a
 * network about the same whatever is asked. */
#define ASSUMED_TURNAROUND_US 10000
#define ASSUMED_NETWORK_US    2000

#define RTU_REQUEST_CHARS 8 /* unit, function, address, quantity, CRC */
#define RTU_REPLY_CHARS	  5 /* unit, function, byte count, CRC */

/* A byte on a network: next to nothing there, but a unit looks up each register, some 10 us a pair of bytes.
 * Behind a serial server it passes a line that we cannot see: taken for 19200 baud. */
#define NETWORK_BYTE_US 5
#define SERVER_BYTE_US	520

#define BITS_PER_HOLE_REGISTER 16

/* So many periods are told apart in looking for layers; more are taken together where they are closest. */
#define LAYER_CUTS_MAX 4

static int
table_bytes(enum point_table table, int count)
{
	return point_table_has_bits(table) ? (count + 7) / 8 : count * 2;
}

int64_t
plan_wire_us(const struct bus *bus, enum point_table table, int count)
{
	return line_chars_us(bus, (size_t)(RTU_REQUEST_CHARS + RTU_REPLY_CHARS + table_bytes(table, count)));
}

int64_t
plan_assumed_turnaround_us(const struct bus *bus)
{
	return bus->type == BUS_TCP ? ASSUMED_NETWORK_US : ASSUMED_TURNAROUND_US;
}

/* Whatever decides about merging asks here. */
int64_t
plan_cost_us(const struct bus *bus, enum point_table table, int count, int64_t turnaround_us)
{
	int64_t cost = (int64_t)bus->request_pause_ms * 1000 + line_silence_us(bus);

	cost += turnaround_us > 0 ? turnaround_us : plan_assumed_turnaround_us(bus);
	switch (bus->type) {
	case BUS_RTU:
		cost += plan_wire_us(bus, table, count);
		break;
	case BUS_RTU_OVER_TCP:
		cost += (int64_t)table_bytes(table, count) * SERVER_BYTE_US;
		break;
	default:
		cost += (int64_t)table_bytes(table, count) * NETWORK_BYTE_US;
		break;
	case BUS_SERIAL:
	case BUS_SERIAL_TCP:
	case BUS_FILE:
		break; /* no registers are read there */
	}
	return cost;
}

int64_t
plan_request_us(const struct plan_request *request)
{
	return request->cost_us;
}

int
plan_timeout_ms(const struct point *point)
{
	return point->device->timeout_ms > 0 ? point->device->timeout_ms : point->bus->timeout_ms;
}

static int
least(int a, int b)
{
	return a < b ? a : b;
}

static int
most(int a, int b)
{
	return a > b ? a : b;
}

static int
point_end(const struct point *point)
{
	return point->addr + point->count;
}

/* --- limits --- */

/* Cells in one request that the point's device allows. */
static int
point_limit(const struct point *point)
{
	bool bits = point_table_has_bits(point->table);
	int limit = bits ? MODBUS_MAX_READ_BITS : MODBUS_MAX_READ_REGISTERS;
	int wanted = bits ? point->device->max_bits : point->device->max_registers;

	return wanted > 0 ? least(wanted, limit) : limit;
}

/* Cells in a row that no point names and that may be read all the same. */
static int
point_hole_limit(const struct point *point)
{
	int limit = point->device->max_hole_registers;

	if (limit < 0)
		return INT_MAX;
	return point_table_has_bits(point->table) ? limit * BITS_PER_HOLE_REGISTER : limit;
}

static struct plan_unit
lore_of(const struct plan_lore *lore, int unit)
{
	for (size_t i = 0; i < lore->unit_count; i++)
		if (lore->units[i].unit == unit)
			return lore->units[i];
	return (struct plan_unit){ .unit = unit };
}

/* --- a run: sorted points that share a request --- */

/* The points of one unit and table, and what is known about the unit. */
struct group {
	const struct bus *bus;
	struct plan_unit unit;
	enum point_table table;
	const struct point *const *barred; /* of the bus: points that are left out, which no hole may touch */
	size_t barred_count;
	int64_t cost_us[MODBUS_MAX_READ_REGISTERS * 2 + 1]; /* of a request, by the bytes that it brings */
};

struct run {
	int addr;
	int end;
	int period_ms;
	int limit;
	int hole_limit;
};

static struct run
run_begin(const struct group *group, const struct point *point)
{
	struct run run = {
		.addr = point->addr,
		.end = point_end(point),
		.period_ms = point->period_ms,
		.limit = point_limit(point),
		.hole_limit = group->unit.no_holes ? 0 : point_hole_limit(point),
	};
	int learned = point_table_has_bits(group->table) ? group->unit.max_bits : group->unit.max_registers;

	if (learned > 0)
		run.limit = least(run.limit, learned);
	return run;
}

/* Would reading the cells addr..end-1, which no point of the plan names, touch what is left out? */
static bool
is_barred(const struct group *group, int addr, int end)
{
	for (size_t i = 0; i < group->barred_count; i++) {
		const struct point *point = group->barred[i];

		if (point->unit == group->unit.unit && point->table == group->table && point->addr < end &&
		    point_end(point) > addr)
			return true;
	}
	return false;
}

/* Let the next point by address join. Returns false, with the run as it was, where that is not allowed; nor
 * is it for any point after it, since runs only grow and limits only shrink. */
static bool
run_join(const struct group *group, struct run *run, const struct point *point)
{
	struct run both = {
		.addr = run->addr,
		.end = most(run->end, point_end(point)),
		.period_ms = least(run->period_ms, point->period_ms),
		.limit = least(run->limit, point_limit(point)),
		.hole_limit = least(run->hole_limit, point_hole_limit(point)),
	};

	if (both.end - both.addr > both.limit || point->addr - run->end > both.hole_limit ||
	    is_barred(group, run->end, point->addr))
		return false;
	*run = both;
	return true;
}

static double
run_cost(const struct group *group, const struct run *run)
{
	return (double)group->cost_us[table_bytes(group->table, run->end - run->addr)] / run->period_ms;
}

static void
group_init(struct group *group, const struct bus *bus, struct plan_unit unit, enum point_table table)
{
	int cells_a_pair = point_table_has_bits(table) ? 16 : 1;

	group->bus = bus;
	group->unit = unit;
	group->table = table;
	for (int bytes = 0; bytes <= MODBUS_MAX_READ_REGISTERS * 2; bytes++)
		group->cost_us[bytes] =
		    plan_cost_us(bus, table, bytes * cells_a_pair / 2, unit.turnaround_us);
}

/* --- the cheapest cut of sorted points into runs --- */

struct cut {
	double cost; /* of all points before this one */
	size_t from; /* where the last run before this one begins */
};

/* Room for one layer's work, for as many points as the bus has. */
struct room {
	const struct point **barred;
	size_t barred_count;
	struct cut *cuts;
	const struct point **left; /* points that are not covered yet, by address */
	const struct point **layer;
};

/* cuts  count + 1; cuts[count] is the answer, and from there the runs are found backwards */
static double
cut_points(const struct group *group, const struct point *const *points, size_t count, struct cut *cuts)
{
	cuts[0] = (struct cut){ 0 };
	for (size_t i = 1; i <= count; i++)
		cuts[i].cost = DBL_MAX;
	for (size_t i = 0; i < count; i++) {
		struct run run = run_begin(group, points[i]);

		for (size_t end = i + 1;; end++) {
			double cost = cuts[i].cost + run_cost(group, &run);

			if (cost <= cuts[end].cost) /* of equal ones that with the longest runs first */
				cuts[end] = (struct cut){ .cost = cost, .from = i };
			if (end == count || !run_join(group, &run, points[end]))
				break;
		}
	}
	return cuts[count].cost;
}

/* --- layers of periods --- */

struct layers {
	int bounds_ms[LAYER_CUTS_MAX + 1]; /* the longest period of each but the last, ascending */
	size_t count;			   /* bounds; there is one layer more */
};

static int
compare_ints(const void *a, const void *b)
{
	int p = *(const int *)a;
	int q = *(const int *)b;

	return (p > q) - (p < q);
}

/* The bounds between periods, those with the greatest ratio where there are too many. Writes up to
 * LAYER_CUTS_MAX of them, ascending. */
static size_t
find_bounds(const struct point *const *points, size_t count, int *bounds_ms, int *periods)
{
	size_t distinct = 0;
	size_t found = 0;

	for (size_t i = 0; i < count; i++)
		periods[i] = points[i]->period_ms;
	qsort(periods, count, sizeof(*periods), compare_ints);
	for (size_t i = 0; i < count; i++)
		if (i == 0 || periods[i] != periods[distinct - 1])
			periods[distinct++] = periods[i];
	while (found < LAYER_CUTS_MAX && found + 1 < distinct) {
		double best = 0;
		int bound = 0;

		for (size_t i = 0; i + 1 < distinct; i++) {
			bool taken = false;

			for (size_t k = 0; k < found; k++)
				taken = taken || bounds_ms[k] == periods[i];
			if (!taken && (double)periods[i + 1] / periods[i] > best) {
				best = (double)periods[i + 1] / periods[i];
				bound = periods[i];
			}
		}
		bounds_ms[found++] = bound;
	}
	qsort(bounds_ms, found, sizeof(*bounds_ms), compare_ints);
	return found;
}

/* A request made of a run: the items are found later, by what it covers. */
static void
emit(const struct group *group, const struct run *run, struct plan *plan)
{
	plan->requests[plan->request_count++] = (struct plan_request){
		.unit = group->unit.unit,
		.table = group->table,
		.addr = run->addr,
		.count = run->end - run->addr,
		.period_ms = run->period_ms,
	};
}

static bool
covers(const struct plan_request *request, const struct point *point)
{
	return point->addr >= request->addr && point_end(point) <= request->addr + request->count;
}

/* The runs that cuts[] chose, as requests. */
static void
emit_runs(const struct group *group, const struct point *const *points, size_t count, const struct cut *cuts,
    struct plan *plan)
{
	for (size_t end = count; end > 0; end = cuts[end].from) {
		struct run run = run_begin(group, points[cuts[end].from]);

		for (size_t i = cuts[end].from + 1; i < end; i++)
			run_join(group, &run, points[i]);
		emit(group, &run, plan);
	}
}

/* Drop the points that one of the requests from `first` on covers. */
static size_t
drop_covered(const struct plan *plan, size_t first, const struct point **points, size_t count)
{
	size_t kept = 0;

	for (size_t i = 0; i < count; i++) {
		bool covered = false;

		for (size_t r = first; r < plan->request_count && !covered; r++)
			covered = covers(&plan->requests[r], points[i]);
		if (!covered)
			points[kept++] = points[i];
	}
	return kept;
}

/* Plan the points layer by layer. Returns the cost, with the requests behind those that the plan has. */
static double
plan_layers(const struct group *group, const struct point *const *points, size_t count,
    const struct layers *layers, struct room *room, struct plan *plan)
{
	size_t left = count;
	double cost = 0;

	memcpy(room->left, points, count * sizeof(*points));
	for (size_t k = 0; k <= layers->count && left > 0; k++) {
		size_t first = plan->request_count;
		size_t in_layer = 0;

		for (size_t i = 0; i < left; i++)
			if (k == layers->count || room->left[i]->period_ms <= layers->bounds_ms[k])
				room->layer[in_layer++] = room->left[i];
		cost += cut_points(group, room->layer, in_layer, room->cuts);
		emit_runs(group, room->layer, in_layer, room->cuts, plan);
		if (k < layers->count)
			left = drop_covered(plan, first, room->left, left);
	}
	return cost;
}

/* The layering that costs least. */
static void
plan_group(const struct group *group, const struct point *const *points, size_t count, struct room *room,
    int *periods, struct plan *plan)
{
	int bounds_ms[LAYER_CUTS_MAX];
	size_t bound_count = find_bounds(points, count, bounds_ms, periods);
	size_t first = plan->request_count;
	unsigned best = 0;
	double best_cost = DBL_MAX;

	/* One more round than there are layerings: to make the best one again, if it was not the last. */
	for (unsigned turn = 0; turn <= 1U << bound_count; turn++) {
		unsigned choice = turn < 1U << bound_count ? turn : best;
		struct layers layers = { .count = 0 };
		double cost;

		if (turn == 1U << bound_count && best == turn - 1)
			break;
		for (size_t k = 0; k < bound_count; k++)
			if (choice & 1U << k)
				layers.bounds_ms[layers.count++] = bounds_ms[k];
		plan->request_count = first;
		cost = plan_layers(group, points, count, &layers, room, plan);
		if (cost < best_cost) {
			best_cost = cost;
			best = choice;
		}
	}
}

/* --- the points of the bus, in order --- */

static int
compare_numbers(int a, int b)
{
	return (a > b) - (a < b);
}

/* Unit, table, address, longer first. */
static int
compare_points(const void *a, const void *b)
{
	const struct point *p = *(const struct point *const *)a;
	const struct point *q = *(const struct point *const *)b;
	int order = compare_numbers(p->unit, q->unit);

	if (order == 0)
		order = compare_numbers((int)p->table, (int)q->table);
	if (order == 0)
		order = compare_numbers(p->addr, q->addr);
	if (order == 0)
		order = compare_numbers(q->count, p->count);
	return order != 0 ? order : (p->index > q->index) - (p->index < q->index);
}

static int
compare_requests(const void *a, const void *b)
{
	const struct plan_request *p = a;
	const struct plan_request *q = b;
	int order = compare_numbers(p->unit, q->unit);

	if (order == 0)
		order = compare_numbers((int)p->table, (int)q->table);
	if (order == 0)
		order = compare_numbers(p->addr, q->addr);
	if (order == 0)
		order = compare_numbers(q->count, p->count);
	return order != 0 ? order : compare_numbers(p->period_ms, q->period_ms);
}

static size_t
collect_points(const struct settings *settings, const struct bus *bus, const struct plan_lore *lore,
    bool left_out, const struct point **points)
{
	size_t count = 0;

	for (size_t i = 0; i < settings->device_count; i++)
		for (size_t j = 0; j < settings->devices[i].point_count; j++) {
			const struct point *point = &settings->devices[i].points[j];

			if (point->bus != bus || point->line || point->period_ms <= 0 ||
			    (lore->left_out && lore->left_out(lore->ctx, point)) != left_out)
				continue;
			if (points)
				points[count] = point;
			count++;
		}
	return count;
}

/* --- items --- */

/* The request that brings a point: of those that cover it and are quick enough, the quickest; of equal ones
 * the shortest. There is one, or the plan is wrong. */
static size_t
bringer_of(const struct plan *plan, size_t first, size_t end, const struct point *point)
{
	size_t best = end;

	for (size_t r = first; r < end && plan->requests[r].addr <= point->addr; r++) {
		const struct plan_request *request = &plan->requests[r];

		if (!covers(request, point))
			continue;
		if (best == end || request->period_ms < plan->requests[best].period_ms ||
		    (request->period_ms == plan->requests[best].period_ms &&
			request->count < plan->requests[best].count))
			best = r;
	}
	return best;
}

/* Give each point of a group to its request. The requests are in order, and so are their items then.
 * bringers  room for as many as there are points */
static void
place_items(
    struct plan *plan, size_t first, const struct point *const *points, size_t count, size_t *bringers)
{
	for (size_t i = 0; i < count; i++) {
		bringers[i] = bringer_of(plan, first, plan->request_count, points[i]);
		plan->requests[bringers[i]].item_count++;
	}
	for (size_t r = first; r < plan->request_count; r++) {
		plan->requests[r].items = plan->items + plan->item_count;
		plan->item_count += plan->requests[r].item_count;
		plan->requests[r].item_count = 0;
	}
	for (size_t i = 0; i < count; i++) {
		struct plan_request *request = &plan->requests[bringers[i]];

		request->items[request->item_count++] =
		    (struct plan_item){ .point = points[i], .offset = points[i]->addr - request->addr };
	}
}

/* Make the request fit its items: what another request brings it need not read. */
static void
trim(const struct group *group, struct plan_request *request)
{
	int reached = request->items[0].point->addr;

	request->addr = reached;
	request->hole_count = 0;
	request->period_ms = INT_MAX;
	for (size_t i = 0; i < request->item_count; i++) {
		const struct point *point = request->items[i].point;

		request->items[i].offset = point->addr - request->addr;
		request->hole_count += most(point->addr - reached, 0);
		reached = most(reached, point_end(point));
		request->period_ms = least(request->period_ms, point->period_ms);
		request->timeout_ms = most(request->timeout_ms, plan_timeout_ms(point));
	}
	request->count = reached - request->addr;
	request->cost_us = group->cost_us[table_bytes(group->table, request->count)];
}

/* What has nothing to bring is not asked. */
static void
drop_empty(struct plan *plan, size_t first)
{
	size_t kept = first;

	for (size_t r = first; r < plan->request_count; r++)
		if (plan->requests[r].item_count > 0)
			plan->requests[kept++] = plan->requests[r];
	plan->request_count = kept;
}

/* --- all together --- */

static bool
same_group(const struct point *a, const struct point *b)
{
	return a->unit == b->unit && a->table == b->table;
}

static void
plan_groups(const struct bus *bus, const struct plan_lore *lore, const struct point *const *points,
    size_t count, struct room *room, size_t *numbers, struct plan *plan)
{
	size_t end;

	for (size_t i = 0; i < count; i = end) {
		struct group group;
		size_t first = plan->request_count;

		group_init(&group, bus, lore_of(lore, points[i]->unit), points[i]->table);
		group.barred = room->barred;
		group.barred_count = room->barred_count;
		for (end = i + 1; end < count && same_group(points[end], points[i]); end++)
			;
		plan_group(&group, points + i, end - i, room, (int *)(void *)numbers, plan);
		qsort(plan->requests + first, plan->request_count - first, sizeof(*plan->requests),
		    compare_requests);
		place_items(plan, first, points + i, end - i, numbers);
		drop_empty(plan, first);
		for (size_t r = first; r < plan->request_count; r++)
			trim(&group, &plan->requests[r]);
		qsort(plan->requests + first, plan->request_count - first, sizeof(*plan->requests),
		    compare_requests);
	}
}

int
plan_remake(
    const struct settings *settings, const struct bus *bus, const struct plan_lore *lore, struct plan *ret)
{
	size_t count = collect_points(settings, bus, lore, false, NULL);
	size_t barred_count = collect_points(settings, bus, lore, true, NULL);
	const struct point **points = calloc(3 * count + barred_count + 1, sizeof(*points));
	size_t *numbers = calloc(count + 1, sizeof(*numbers));
	struct room room = { .cuts = calloc(count + 1, sizeof(*room.cuts)) };
	struct plan plan = {
		.requests = calloc(count + 1, sizeof(*plan.requests)),
		.items = calloc(count + 1, sizeof(*plan.items)),
	};
	int error = points && numbers && room.cuts && plan.requests && plan.items ? 0 : -ENOMEM;

	if (error == 0) {
		room.left = points + count;
		room.layer = points + 2 * count;
		room.barred = points + 3 * count;
		room.barred_count = collect_points(settings, bus, lore, true, room.barred);
		collect_points(settings, bus, lore, false, points);
		qsort(points, count, sizeof(*points), compare_points);
		plan_groups(bus, lore, points, count, &room, numbers, &plan);
		*ret = plan;
	} else {
		plan_done(&plan);
	}
	free(points);
	free(numbers);
	free(room.cuts);
	return error;
}

int
plan_build(const struct settings *settings, const struct bus *bus, struct plan *ret)
{
	return plan_remake(settings, bus, &(struct plan_lore){ .units = NULL }, ret);
}

void
plan_done(struct plan *plan)
{
	free(plan->requests);
	free(plan->items);
	*plan = (struct plan){ 0 };
}

double
plan_load(const struct plan *plan)
{
	double load = 0;

	for (size_t i = 0; i < plan->request_count; i++)
		load += (double)plan->requests[i].cost_us / 1000.0 / plan->requests[i].period_ms;
	return load;
}

double
plan_rate(const struct plan *plan)
{
	double rate = 0;

	for (size_t i = 0; i < plan->request_count; i++)
		rate += 1000.0 / plan->requests[i].period_ms;
	return rate;
}
