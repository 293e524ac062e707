/* Few requests, every point in exactly one of them, and never an address that nobody named. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "fake/bench.h"
#include "field/plan.h"

static struct bench bench;

static struct plan
plan_of_bench(void)
{
	struct plan plan;

	assert_int_equal(plan_build(&bench.settings, &bench.bus, &plan), 0);
	return plan;
}

static void
test_points_that_touch_share_a_request(void **state)
{
	struct plan plan;

	(void)state;
	bench_init(&bench, BUS_TCP);
	bench_point(&bench, 1, TABLE_HOLDING, 12, 2, 1000);
	bench_point(&bench, 1, TABLE_HOLDING, 10, 2, 1000);
	bench_point(&bench, 1, TABLE_HOLDING, 13, 4, 1000);
	bench_point(&bench, 1, TABLE_HOLDING, 18, 1, 1000); /* a hole before it */
	bench_point(&bench, 1, TABLE_INPUT, 17, 1, 1000);   /* another table */
	bench_point(&bench, 2, TABLE_HOLDING, 17, 1, 1000); /* another unit */
	plan = plan_of_bench();
	assert_int_equal(plan.request_count, 4);
	assert_int_equal(plan.requests[0].table, TABLE_INPUT);
	assert_int_equal(plan.requests[1].addr, 10);
	assert_int_equal(plan.requests[1].count, 7);
	assert_int_equal(plan.requests[1].item_count, 3);
	assert_ptr_equal(plan.requests[1].items[0].point, &bench.points[1]);
	assert_int_equal(plan.requests[1].items[2].offset, 3);
	assert_int_equal(plan.requests[2].addr, 18);
	assert_int_equal(plan.requests[3].unit, 2);
	plan_done(&plan);
}

static void
test_requests_stop_at_the_standards_limits(void **state)
{
	struct plan plan;

	(void)state;
	bench_init(&bench, BUS_TCP);
	for (int i = 0; i < 100; i++)
		bench_point(&bench, 1, TABLE_HOLDING, 2 * i, 2, 1000);
	plan = plan_of_bench();
	assert_int_equal(plan.request_count, 2);
	assert_int_equal(plan.requests[0].count, 124); /* 125 would cut a point in two */
	assert_int_equal(plan.requests[1].count, 76);
	plan_done(&plan);
}

static void
test_a_slow_point_joins_a_fast_request_only_if_that_pays(void **state)
{
	struct plan plan;

	(void)state;
	bench_init(&bench, BUS_RTU);
	bench_point(&bench, 1, TABLE_HOLDING, 0, 1, 1000);
	bench_point(&bench, 1, TABLE_HOLDING, 1, 1, 60000);
	bench_point(&bench, 2, TABLE_HOLDING, 0, 1, 100);
	bench_point(&bench, 2, TABLE_HOLDING, 1, 100, 3600000);
	plan = plan_of_bench();
	/* One register more costs 1 ms a second, a request of its own 20 ms a minute: apart. */
	assert_int_equal(plan.request_count, 4);
	plan_done(&plan);

	bench.points[1].period_ms = 2000;
	plan = plan_of_bench();
	assert_int_equal(plan.request_count, 3);
	assert_int_equal(plan.requests[0].period_ms, 1000);
	plan_done(&plan);

	bench.bus.type = BUS_TCP; /* the length costs nothing */
	plan = plan_of_bench();
	assert_int_equal(plan.request_count, 2);
	assert_int_equal(plan.requests[1].period_ms, 100);
	plan_done(&plan);
}

static void
test_the_timeout_is_the_longest_of_the_devices(void **state)
{
	struct plan plan;

	(void)state;
	bench_init(&bench, BUS_TCP);
	bench_point(&bench, 1, TABLE_HOLDING, 0, 1, 1000);
	plan = plan_of_bench();
	assert_int_equal(plan.requests[0].timeout_ms, 100);
	plan_done(&plan);
	bench.device.timeout_ms = 700;
	plan = plan_of_bench();
	assert_int_equal(plan.requests[0].timeout_ms, 700);
	assert_float_equal(plan_rate(&plan), 1.0, 1e-9);
	plan_done(&plan);
}

static void
check_request(const struct plan_request *request, size_t *seen)
{
	bool named[MODBUS_MAX_READ_BITS] = { false };
	int limit = point_table_has_bits(request->table) ? MODBUS_MAX_READ_BITS : MODBUS_MAX_READ_REGISTERS;
	int period = request->items[0].point->period_ms;

	assert_in_range(request->count, 1, limit);
	for (size_t i = 0; i < request->item_count; i++) {
		const struct plan_item *item = &request->items[i];

		seen[item->point->index]++;
		assert_int_equal(item->point->unit, request->unit);
		assert_int_equal(item->point->table, request->table);
		assert_int_equal(item->offset, item->point->addr - request->addr);
		assert_true(item->offset >= 0 && item->offset + item->point->count <= request->count);
		assert_true(i == 0 || item->offset >= request->items[i - 1].offset);
		if (item->point->period_ms < period)
			period = item->point->period_ms;
		for (int cell = 0; cell < item->point->count; cell++)
			named[item->offset + cell] = true;
	}
	assert_int_equal(period, request->period_ms);
	for (int cell = 0; cell < request->count; cell++)
		assert_true(named[cell]);
}

/* Two requests of one period that touch and would fit together are one. */
static void
check_merged(const struct plan *plan)
{
	for (size_t i = 0; i + 1 < plan->request_count; i++) {
		const struct plan_request *a = &plan->requests[i];
		const struct plan_request *b = &plan->requests[i + 1];
		int limit = point_table_has_bits(a->table) ? MODBUS_MAX_READ_BITS : MODBUS_MAX_READ_REGISTERS;

		if (a->unit == b->unit && a->table == b->table && a->period_ms == b->period_ms)
			assert_true(b->addr > a->addr + a->count || b->addr + b->count - a->addr > limit);
	}
}

static void
test_any_points_are_covered_once_and_nothing_else_is(void **state)
{
	static const int periods[] = { 100, 1000, 1000, 1000, 60000 };
	size_t seen[BENCH_POINTS];

	(void)state;
	srand(20240501);
	for (int round = 0; round < 300; round++) {
		int points = 1 + rand() % 200;
		struct plan plan;

		bench_init(&bench, (enum bus_type)(rand() % 3));
		for (int i = 0; i < points; i++) {
			enum point_table table = (enum point_table)(rand() % 4);
			int count = point_table_has_bits(table) ? 1
				    : rand() % 10 == 0		? 1 + rand() % 125
								: 1 + rand() % 4;

			bench_point(&bench, 1 + rand() % 2, table, rand() % 400, count, periods[rand() % 5]);
		}
		memset(seen, 0, sizeof(seen));
		plan = plan_of_bench();
		for (size_t i = 0; i < plan.request_count; i++)
			check_request(&plan.requests[i], seen);
		for (int i = 0; i < points; i++)
			assert_int_equal(seen[i], 1);
		if (round % 2 == 0)
			check_merged(&plan);
		plan_done(&plan);
	}
}

static void
test_a_bus_without_points_has_an_empty_plan(void **state)
{
	struct plan plan;

	(void)state;
	bench_init(&bench, BUS_TCP);
	plan = plan_of_bench();
	assert_int_equal(plan.request_count, 0);
	plan_done(&plan);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_points_that_touch_share_a_request),
		cmocka_unit_test(test_requests_stop_at_the_standards_limits),
		cmocka_unit_test(test_a_slow_point_joins_a_fast_request_only_if_that_pays),
		cmocka_unit_test(test_the_timeout_is_the_longest_of_the_devices),
		cmocka_unit_test(test_any_points_are_covered_once_and_nothing_else_is),
		cmocka_unit_test(test_a_bus_without_points_has_an_empty_plan),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
