/* Hours of polling on a clock of our own: deadlines, fairness, units that are away, requests that are
 * refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "fake/bench.h"
#include "field/schedule.h"

#define MS 1000
#define S  ((int64_t)1000 * MS)

static struct bench bench;
static struct schedule schedule;
static int64_t now;

static void
begin(void)
{
	now = 100 * S;
	assert_int_equal(schedule_init(&schedule, &bench.settings, &bench.bus, now), 0);
}

/* Go to the next request that is due, and make it: it takes `cost_us` and answers or not. */
static struct poll_request *
poll_next(int64_t cost_us, bool answers, uint64_t *missed)
{
	int64_t due;
	int64_t away;
	struct poll_request *request = schedule_next(&schedule, &due);
	int64_t asked;
	uint64_t left_out;

	assert_non_null(request);
	if (due > now)
		now = due;
	asked = now;
	now += cost_us;
	left_out = schedule_advance(&schedule, request, asked);
	if (missed)
		*missed += left_out;
	if (answers)
		schedule_unit_answered(&schedule, request->unit, asked, now, &away);
	else
		schedule_unit_failed(&schedule, request->unit, request, asked, now, true);
	return request;
}

static void
test_deadlines_do_not_drift(void **state)
{
	int64_t due;

	(void)state;
	bench_init(&bench, BUS_TCP);
	bench_point(&bench, 1, TABLE_HOLDING, 0, 1, 1000);
	begin();
	for (int i = 0; i < 3600; i++)
		poll_next((7 + i % 300) * MS, true, NULL);
	schedule_next(&schedule, &due);
	assert_int_equal(due, 100 * S + 3600 * S);
	schedule_done(&schedule);
}

static void
test_an_overloaded_bus_is_shared_evenly_and_counts_what_it_misses(void **state)
{
	int served[BENCH_POINTS] = { 0 };
	uint64_t missed = 0;

	(void)state;
	bench_init(&bench, BUS_TCP);
	for (int i = 0; i < 20; i++)
		bench_point(&bench, 1 + i % 4, TABLE_HOLDING, 10 * i, 1, 1000);
	begin();
	for (int i = 0; i < 2000; i++)
		served[poll_next(100 * MS, true, &missed)->items[0].point->index]++;
	for (int i = 0; i < 20; i++)
		assert_in_range(served[i], 95, 105);
	assert_in_range(missed, 1900, 2100); /* every other */
	schedule_done(&schedule);
}

static void
test_a_dead_unit_costs_the_others_one_timeout_a_pause(void **state)
{
	int polls[3] = { 0 };
	int64_t from;

	(void)state;
	bench_init(&bench, BUS_RTU);
	for (int i = 0; i < 10; i++)
		for (int unit = 1; unit <= 2; unit++)
			bench_point(&bench, unit, TABLE_HOLDING, 10 * i, 1, 1000);
	begin();
	while (now < 200 * S)
		poll_next(20 * MS, true, NULL);
	from = now;
	while (now < from + 3600 * S) {
		int64_t due;
		bool dead = schedule_next(&schedule, &due)->unit->state.id == 2;

		polls[dead ? 2 : 1]++;
		poll_next(dead ? 500 * MS : 20 * MS, !dead, NULL);
	}
	assert_in_range(polls[1], 35700, 36010);
	assert_in_range(polls[2], 115, 135); /* 30.5 s each but for the first ones */
	schedule_done(&schedule);
}

static void
test_a_failing_unit_is_asked_the_same_again(void **state)
{
	struct poll_request *failed;

	(void)state;
	bench_init(&bench, BUS_RTU);
	for (int i = 0; i < 5; i++)
		bench_point(&bench, 1, TABLE_HOLDING, 10 * i, 1, 60000);
	begin();
	failed = poll_next(500 * MS, false, NULL);
	assert_ptr_equal(poll_next(500 * MS, false, NULL), failed);
	assert_ptr_equal(poll_next(20 * MS, true, NULL), failed);
	assert_ptr_not_equal(poll_next(20 * MS, true, NULL), failed);
	schedule_done(&schedule);
}

static void
test_a_failed_poll_is_made_up_for_soon_however_long_its_period(void **state)
{
	const enum bus_type types[] = { BUS_RTU, BUS_TCP };

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct poll_request *request;
		int64_t began;

		bench_init(&bench, types[i]);
		bench_point(&bench, 1, TABLE_HOLDING, 0, 1, 3600000);
		begin();
		began = now;
		request = poll_next(500 * MS, false, NULL);
		assert_ptr_equal(poll_next(20 * MS, true, NULL), request);
		assert_in_range(now - began, 1000 * MS, 1100 * MS);
		assert_true(schedule_deliver(request->items, now - 20 * MS));
		poll_next(20 * MS, true, NULL); /* and then at its hour */
		assert_int_equal(now - began, 3600 * S + 20 * MS);
		schedule_done(&schedule);
	}
}

static void
test_every_point_is_delivered_at_its_own_period(void **state)
{
	int delivered[2] = { 0 };

	(void)state;
	bench_init(&bench, BUS_TCP);
	bench_point(&bench, 1, TABLE_HOLDING, 0, 1, 1000);
	bench_point(&bench, 1, TABLE_HOLDING, 1, 1, 2500);
	begin();
	for (int i = 0; i < 1000; i++) {
		struct poll_request *request = poll_next(5 * MS, true, NULL);

		for (size_t k = 0; k < request->item_count; k++)
			delivered[k] += schedule_deliver(&request->items[k], now - 5 * MS);
	}
	assert_int_equal(delivered[0], 1000);
	assert_int_equal(delivered[1], 400);
	schedule_done(&schedule);
}

static void
test_a_closed_line_misses_nothing(void **state)
{
	uint64_t missed = 0;

	(void)state;
	bench_init(&bench, BUS_TCP);
	bench_point(&bench, 1, TABLE_HOLDING, 0, 1, 1000);
	begin();
	poll_next(5 * MS, true, &missed);
	now += 3600 * S;
	schedule_opened(&schedule, now);
	poll_next(5 * MS, true, &missed);
	assert_int_equal(missed, 0);
	schedule_done(&schedule);
}

/* The unit refuses whatever touches `bad`. Polls until `until`; counts how often each point was read. */
static void
poll_refusing(int bad, int64_t until, int *reads)
{
	int64_t due;

	for (;;) {
		struct poll_request *request = schedule_next(&schedule, &due);

		if (due > until)
			return;
		poll_next(5 * MS, true, NULL);
		if (bad >= request->addr && bad < request->addr + request->count) {
			schedule_refused(&schedule, request, 2, now);
			continue;
		}
		for (size_t i = 0; i < request->item_count; i++)
			reads[request->items[i].point->index]++;
		schedule_accepted(&schedule, request, now);
	}
}

static void
test_one_bad_register_costs_one_point(void **state)
{
	int reads[BENCH_POINTS] = { 0 };

	(void)state;
	bench_init(&bench, BUS_TCP);
	for (int i = 0; i < 8; i++)
		bench_point(&bench, 1, TABLE_HOLDING, i, 1, 1000);
	begin();
	poll_refusing(5, now + 119 * S, reads);
	for (int i = 0; i < 8; i++)
		assert_in_range(reads[i], i == 5 ? 0 : 115, i == 5 ? 0 : 120);
	assert_int_equal(schedule.requests[0].part_count, 8);
	/* It is mended: all are one request again. */
	poll_refusing(-1, now + 61 * S, reads);
	assert_int_equal(schedule.requests[0].part_count, 0);
	assert_true(reads[5] > 0);
	schedule_done(&schedule);
}

static void
test_a_written_point_is_polled_at_once(void **state)
{
	int64_t due;

	(void)state;
	bench_init(&bench, BUS_TCP);
	bench_point(&bench, 1, TABLE_HOLDING, 0, 1, 1000);
	bench_point(&bench, 1, TABLE_HOLDING, 50, 1, 3600000);
	begin();
	poll_next(5 * MS, true, NULL);
	poll_next(5 * MS, true, NULL);
	now += 10 * MS;
	schedule_touch(&schedule, &bench.points[1], now);
	assert_ptr_equal(schedule_next(&schedule, &due)->items[0].point, &bench.points[1]);
	assert_int_equal(due, now);
	assert_true(schedule_deliver(schedule_next(&schedule, &due)->items, now));
	schedule_done(&schedule);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_deadlines_do_not_drift),
		cmocka_unit_test(test_an_overloaded_bus_is_shared_evenly_and_counts_what_it_misses),
		cmocka_unit_test(test_a_dead_unit_costs_the_others_one_timeout_a_pause),
		cmocka_unit_test(test_a_failing_unit_is_asked_the_same_again),
		cmocka_unit_test(test_a_failed_poll_is_made_up_for_soon_however_long_its_period),
		cmocka_unit_test(test_every_point_is_delivered_at_its_own_period),
		cmocka_unit_test(test_a_closed_line_misses_nothing),
		cmocka_unit_test(test_one_bad_register_costs_one_point),
		cmocka_unit_test(test_a_written_point_is_polled_at_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
