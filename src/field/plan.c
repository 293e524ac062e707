#include "field/plan.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

#include "field/line.h"

/* What a request costs besides its characters: the time in which a unit makes up its answer. Assumed, until it
 * is measured for each unit: on a serial line some ms for most, on a network about the same whatever is asked. */
#define COST_TURNAROUND_US 10000
#define COST_NETWORK_US	   2000
#define RTU_REQUEST_CHARS  8 /* unit, function, address, quantity, CRC */
#define RTU_REPLY_CHARS	   5 /* unit, function, byte count, CRC */

/* How long a request keeps the bus busy, in us. Whatever decides about merging asks here. */
static double
request_cost_us(const struct bus *bus, enum point_table table, int count)
{
	int bytes = point_table_has_bits(table) ? (count + 7) / 8 : count * 2;
	int64_t cost = (int64_t)bus->request_pause_ms * 1000;

	if (bus->type == BUS_RTU)
		cost += line_chars_us(bus, (size_t)(RTU_REQUEST_CHARS + RTU_REPLY_CHARS + bytes)) +
			line_silence_us(bus) + COST_TURNAROUND_US;
	else
		cost += COST_NETWORK_US;
	return (double)cost;
}

static int
request_limit(enum point_table table)
{
	return point_table_has_bits(table) ? MODBUS_MAX_READ_BITS : MODBUS_MAX_READ_REGISTERS;
}

int
plan_timeout_ms(const struct point *point)
{
	return point->device->timeout_ms > 0 ? point->device->timeout_ms : point->bus->timeout_ms;
}

static int
compare_ints(int a, int b)
{
	return (a > b) - (a < b);
}

/* Unit, table, period, address, longer first: equal periods stand together, so that a run is found in one
 * pass. */
static int
compare_points(const void *a, const void *b)
{
	const struct point *p = ((const struct plan_item *)a)->point;
	const struct point *q = ((const struct plan_item *)b)->point;
	int order = compare_ints(p->unit, q->unit);

	if (order == 0)
		order = compare_ints((int)p->table, (int)q->table);
	if (order == 0)
		order = compare_ints(p->period_ms, q->period_ms);
	if (order == 0)
		order = compare_ints(p->addr, q->addr);
	if (order == 0)
		order = compare_ints(q->count, p->count);
	return order != 0 ? order : (p->index > q->index) - (p->index < q->index);
}

static int
compare_addresses(const void *a, const void *b)
{
	const struct point *p = ((const struct plan_item *)a)->point;
	const struct point *q = ((const struct plan_item *)b)->point;
	int order = compare_ints(p->addr, q->addr);

	return order != 0 ? order : (p->index > q->index) - (p->index < q->index);
}

static int
compare_requests(const void *a, const void *b)
{
	const struct plan_request *p = a;
	const struct plan_request *q = b;
	int order = compare_ints(p->unit, q->unit);

	if (order == 0)
		order = compare_ints((int)p->table, (int)q->table);
	if (order == 0)
		order = compare_ints(p->addr, q->addr);
	return order != 0 ? order : compare_ints(p->period_ms, q->period_ms);
}

static size_t
collect_points(const struct settings *settings, const struct bus *bus, struct plan_item *items)
{
	size_t count = 0;

	for (size_t i = 0; i < settings->device_count; i++)
		for (size_t j = 0; j < settings->devices[i].point_count; j++)
			if (settings->devices[i].points[j].bus == bus) {
				if (items)
					items[count].point = &settings->devices[i].points[j];
				count++;
			}
	return count;
}

static int
request_end(const struct plan_request *request)
{
	return request->addr + request->count;
}

/* May the cells addr..end-1 join the request without a hole and within the limit of the standard? */
static bool
request_fits(const struct plan_request *request, int addr, int end)
{
	int low = addr < request->addr ? addr : request->addr;
	int high = end > request_end(request) ? end : request_end(request);

	return addr <= request_end(request) && end >= request->addr &&
	       high - low <= request_limit(request->table);
}

static void
request_grow(struct plan_request *request, int addr, int end, int period_ms, int timeout_ms)
{
	int low = addr < request->addr ? addr : request->addr;
	int high = end > request_end(request) ? end : request_end(request);

	request->addr = low;
	request->count = high - low;
	if (period_ms < request->period_ms)
		request->period_ms = period_ms;
	if (timeout_ms > request->timeout_ms)
		request->timeout_ms = timeout_ms;
}

static bool
request_takes(const struct plan_request *request, const struct point *point)
{
	return request->unit == point->unit && request->table == point->table &&
	       request->period_ms == point->period_ms &&
	       request_fits(request, point->addr, point->addr + point->count);
}

/* Points of one period that touch become one request: whatever the bus, that is never dearer. */
static void
build_runs(struct plan *plan, size_t item_count)
{
	struct plan_request *run = NULL;

	for (size_t i = 0; i < item_count; i++) {
		const struct point *point = plan->items[i].point;
		int end = point->addr + point->count;

		if (run && request_takes(run, point)) {
			request_grow(run, point->addr, end, point->period_ms, plan_timeout_ms(point));
			run->item_count++;
			continue;
		}
		run = &plan->requests[plan->request_count++];
		*run = (struct plan_request){
			.unit = point->unit,
			.table = point->table,
			.addr = point->addr,
			.count = point->count,
			.period_ms = point->period_ms,
			.timeout_ms = plan_timeout_ms(point),
			.items = &plan->items[i],
			.item_count = 1,
		};
	}
}

/* Is reading both in one request, at the shorter period, no dearer than each at its own? */
static bool
merging_pays(const struct bus *bus, const struct plan_request *a, const struct plan_request *b)
{
	struct plan_request both = *a;

	request_grow(&both, b->addr, request_end(b), b->period_ms, b->timeout_ms);
	return request_cost_us(bus, both.table, both.count) / both.period_ms <=
	       request_cost_us(bus, a->table, a->count) / a->period_ms +
		   request_cost_us(bus, b->table, b->count) / b->period_ms;
}

/* Of two requests in order: does the later one touch the earlier? */
static bool
request_near(const struct plan_request *request, const struct plan_request *later)
{
	return later->unit == request->unit && later->table == request->table &&
	       later->addr <= request_end(request);
}

/* Merge requests of different periods while that pays. Where items of a request end up is settled by
 * place_items(); until then `owner` tells for each run which request took it. Returns whether anything
 * changed. */
static bool
merge_pass(const struct bus *bus, struct plan *plan, size_t *owner)
{
	bool changed = false;

	for (size_t i = 0; i < plan->request_count; i++) {
		struct plan_request *a = &plan->requests[i];

		if (owner[i] != i)
			continue;
		for (size_t j = i + 1; j < plan->request_count; j++) {
			struct plan_request *b = &plan->requests[j];

			if (!request_near(a, b))
				break;
			if (owner[j] != j || !request_fits(a, b->addr, request_end(b)) ||
			    !merging_pays(bus, a, b))
				continue;
			request_grow(a, b->addr, request_end(b), b->period_ms, b->timeout_ms);
			owner[j] = i;
			changed = true;
		}
	}
	return changed;
}

static size_t
owner_of(const size_t *owner, size_t run)
{
	while (owner[run] != run)
		run = owner[run];
	return run;
}

/* Lay the items of each merged request side by side, by address, and close the gaps in the list of requests.
 */
static void
place_items(struct plan *plan, const size_t *owner, struct plan_item *room)
{
	struct plan_item *next = room;
	size_t kept = 0;

	/* A run only ever joins one that stands before it, and its items are copied before anything
	 * overwrites them. */
	for (size_t i = 0; i < plan->request_count; i++) {
		struct plan_request request = plan->requests[i];

		if (owner[i] != i)
			continue;
		request.items = next;
		for (size_t j = i; j < plan->request_count && request_near(&request, &plan->requests[j]); j++)
			if (owner_of(owner, j) == i)
				for (size_t k = 0; k < plan->requests[j].item_count; k++)
					*next++ = plan->requests[j].items[k];
		request.item_count = (size_t)(next - request.items);
		qsort(request.items, request.item_count, sizeof(*request.items), compare_addresses);
		for (size_t k = 0; k < request.item_count; k++)
			request.items[k].offset = request.items[k].point->addr - request.addr;
		plan->requests[kept++] = request;
	}
	plan->request_count = kept;
}

static int
merge_runs(const struct bus *bus, struct plan *plan, size_t item_count)
{
	size_t *owner = calloc(plan->request_count + 1, sizeof(*owner));
	struct plan_item *room = calloc(item_count + 1, sizeof(*room));

	if (!owner || !room) {
		free(owner);
		free(room);
		return -ENOMEM;
	}
	qsort(plan->requests, plan->request_count, sizeof(*plan->requests), compare_requests);
	for (size_t i = 0; i < plan->request_count; i++)
		owner[i] = i;
	while (merge_pass(bus, plan, owner))
		;
	place_items(plan, owner, room);
	free(owner);
	free(plan->items);
	plan->items = room;
	return 0;
}

int
plan_build(const struct settings *settings, const struct bus *bus, struct plan *ret)
{
	size_t item_count = collect_points(settings, bus, NULL);
	struct plan plan = {
		.requests = calloc(item_count + 1, sizeof(*plan.requests)),
		.items = calloc(item_count + 1, sizeof(*plan.items)),
	};

	if (!plan.requests || !plan.items) {
		plan_done(&plan);
		return -ENOMEM;
	}
	collect_points(settings, bus, plan.items);
	qsort(plan.items, item_count, sizeof(*plan.items), compare_points);
	build_runs(&plan, item_count);
	if (merge_runs(bus, &plan, item_count) != 0) {
		plan_done(&plan);
		return -ENOMEM;
	}
	*ret = plan;
	return 0;
}

void
plan_done(struct plan *plan)
{
	free(plan->requests);
	free(plan->items);
	*plan = (struct plan){ 0 };
}

double
plan_rate(const struct plan *plan)
{
	double rate = 0;

	for (size_t i = 0; i < plan->request_count; i++)
		rate += 1000.0 / plan->requests[i].period_ms;
	return rate;
}
