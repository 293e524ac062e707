/* Hours of polling on a clock of our own: deadlines, fairness, units that are away, requests that are
 * refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "fake/bench.h"
#include "field/schedule.h"

#define MS 1000
#define S  ((int64_t)1000 * MS)

static struct bench bench;
/* The one in force, and the one before it; a schedule stays where it is. */
static struct schedule schedules[2];
static struct schedule *schedule = &schedules[0];
static int64_t now;
static int delivered[BENCH_POINTS];

static void
begin(void)
{
	now = 100 * S;
	memset(delivered, 0, sizeof(delivered));
	assert_int_equal(schedule_init(schedule, &bench.settings, &bench.bus, now), 0);
}

/* The request that is made next, on the clock moved to where it is due. */
static struct poll_request *
next_request(void)
{
	struct poll_request *request;
	int64_t due;

	schedule_update(schedule, now);
	while (!(request = schedule_next(schedule, now, &due))) {
		assert_true(due > now && due < CLOCK_NEVER);
		now = due;
	}
	return request;
}

/* Make it: it takes `cost_us` and answers or not. Returns the periods left out. */
static uint64_t
make(struct poll_request *request, int64_t cost_us, bool answers)
{
	struct poll_unit *unit = request->unit;
	int64_t asked = now;
	int64_t away;
	uint64_t missed;

	now += cost_us;
	missed = schedule_advance(schedule, request, asked);
	if (answers)
		schedule_unit_answered(schedule, unit, asked, now, &away);
	else
		schedule_unit_failed(
		    schedule, unit, request, asked, now, (int64_t)2 * request->timeout_ms * MS);
	schedule_spent(schedule, answers ? request : NULL, cost_us, now);
	if (answers)
		schedule_measured(schedule, request, cost_us, now);
	return missed;
}

static int
deliver(struct poll_request *request, int64_t asked)
{
	int count = 0;

	for (size_t i = 0; i < request->item_count; i++)
		if (schedule_deliver(request->items[i], asked)) {
			delivered[request->items[i]->point->index]++;
			count++;
		}
	return count;
}

static struct poll_request *
poll_next(int64_t cost_us, bool answers, uint64_t *missed)
{
	struct poll_request *request = next_request();
	uint64_t left_out = make(request, cost_us, answers);

	if (answers)
		deliver(request, now - cost_us);
	if (missed)
		*missed += left_out;
	return request;
}

/* Points of units of their own, so that none share a request. */
static void
add_apart(int count, int period_ms)
{
	for (int i = 0; i < count; i++)
		bench_point(&bench, 1 + (int)bench.device.point_count, TABLE_HOLDING, 0, 1, period_ms);
}

static void
test_deadlines_do_not_drift(void **state)
{
	(void)state;
	bench_init(&bench, BUS_TCP);
	bench_point(&bench, 1, TABLE_HOLDING, 0, 1, 1000);
	begin();
	for (int i = 0; i < 3600; i++)
		poll_next((7 + i % 300) * MS, true, NULL);
	next_request();
	assert_int_equal(now, 100 * S + 3600 * S);
	schedule_done(schedule);
}

/* Read at once, and then in phases of their own that are far apart; the points of one bus stay together. */
static void
test_buses_that_start_together_do_not_poll_together(void **state)
{
	int64_t phases[10];

	(void)state;
	for (size_t bus = 0; bus < 10; bus++) {
		bench_init(&bench, BUS_TCP);
		bench.bus.index = bus;
		bench_point(&bench, 1, TABLE_HOLDING, 0, 1, 1000);
		bench_point(&bench, 2, TABLE_HOLDING, 0, 1, 5000);
		begin();
		poll_next(0, true, NULL);
		poll_next(0, true, NULL);
		assert_int_equal(now, 100 * S);
		assert_int_equal(poll_next(0, true, NULL)->period_ms, 1000);
		phases[bus] = now % S;
		for (int i = 0; i < 4; i++)
			poll_next(0, true, NULL);
		assert_int_equal(poll_next(0, true, NULL)->period_ms, 5000);
		assert_int_equal(now % S, phases[bus]);
		for (size_t other = 0; other < bus; other++)
			assert_true(llabs(phases[bus] - phases[other]) > 50 * MS);
		schedule_done(schedule);
	}
}

static void
test_a_fast_point_keeps_its_deadlines_beside_many_slow_ones(void **state)
{
	int polls = 0;

	(void)state;
	bench_init(&bench, BUS_TCP);
	add_apart(1, 100);
	add_apart(100, 60000);
	begin();
	/* At the start 100 polls of 50 ms wait for it; its own would come after them all, in order of due
	 * times. */
	while (now < 110 * S) {
		struct poll_request *request = poll_next(50 * MS, true, NULL);

		polls += request->period_ms == 100;
	}
	assert_in_range(polls, 98, 101);
	schedule_done(schedule);
}

/* A poll that comes before anything of it is due is time lost, and a reading that nobody gets: not even when costs come and go,
 * and the stretch with them. */
static void
test_every_poll_brings_something(void **state)
{
	unsigned dice = 1;

	(void)state;
	bench_init(&bench, BUS_TCP);
	add_apart(3, 10);
	begin();
	for (int i = 0; i < 20000; i++) {
		struct poll_request *request = next_request();
		int64_t asked = now, cost;

		dice = dice * 1103515245 + 12345;
		cost = (dice >> 16) % 50 == 0 ? (dice >> 8) % (60 * MS) : (dice >> 8) % (2 * MS);
		make(request, cost, true);
		assert_true(deliver(request, asked) > 0);
		if ((dice >> 20) % 8 == 0)
			now += (dice >> 4) % (30 * MS); /* nobody let us run */
	}
	schedule_done(schedule);
}

/* Wanted is `load` times the time there is: every period becomes longer by this factor, whatever it was. */
static void
check_shares(double load)
{
	static const int periods[] = { 100, 300, 1000, 5000 };
	int polls[4] = { 0 };
	double cost_us = load * 1e6 / (5 * (10 + 1 / 0.3 + 1 + 0.2));
	uint64_t missed = 0;
	int64_t from;

	bench_init(&bench, BUS_TCP);
	for (int i = 0; i < 4; i++)
		add_apart(5, periods[i]);
	begin();
	while (now < 200 * S)
		poll_next((int64_t)cost_us, true, NULL);
	assert_float_equal(schedule_load(schedule), load, 0.08);
	from = now;
	while (now < from + 1000 * S) {
		struct poll_request *request = poll_next((int64_t)cost_us, true, &missed);

		for (int i = 0; i < 4; i++)
			polls[i] += request->period_ms == periods[i];
	}
	for (int i = 0; i < 4; i++) {
		double wanted = 5 * 1000.0 * 1000 / periods[i];
		double expected = load > 1 ? wanted / load : wanted;

		assert_true(polls[i] > expected * 0.96 && polls[i] < expected * 1.04);
	}
	assert_true(load > 1 ? missed > 0 : missed == 0);
	schedule_done(schedule);
}

static void
test_an_overloaded_bus_is_shared_by_period(void **state)
{
	(void)state;
	check_shares(0.8);
	check_shares(1.2);
	check_shares(1.5);
	check_shares(4.0);
}

static void
test_an_overload_that_ends_leaves_no_debt(void **state)
{
	int64_t asked[2];
	uint64_t missed = 0;

	(void)state;
	bench_init(&bench, BUS_TCP);
	add_apart(10, 1000);
	begin();
	while (now < 200 * S)
		poll_next(200 * MS, true, NULL);
	while (now < 300 * S)
		poll_next(20 * MS, true, NULL);
	while (now < 400 * S)
		poll_next(20 * MS, true, &missed);
	assert_int_equal(missed, 0);
	while (next_request()->unit->state.id != 1)
		poll_next(20 * MS, true, NULL);
	asked[0] = now;
	assert_int_equal((next_request()->grid_us - 100 * S) % S, 0); /* the phase that it had */
	for (int i = 0; i < 10; i++)
		poll_next(20 * MS, true, NULL);
	while (next_request()->unit->state.id != 1)
		poll_next(20 * MS, true, NULL);
	asked[1] = now;
	assert_in_range(asked[1] - asked[0], 800 * MS, 1200 * MS);
	schedule_done(schedule);
}

/* Whatever the estimate of what is wanted: while anything waits past its period the bus is not idle. */
static void
test_an_overloaded_bus_is_never_idle(void **state)
{
	int64_t idle = 0;
	int64_t from;

	(void)state;
	bench_init(&bench, BUS_TCP);
	add_apart(10, 100);
	add_apart(10, 1000);
	begin();
	while (now < 200 * S)
		poll_next(60 * MS, true, NULL);
	/* All at once three times as fast: still too slow, and it takes time to notice. */
	from = now;
	while (now < from + 20 * S) {
		int64_t before = now;

		poll_next(20 * MS, true, NULL);
		idle += now - before - 20 * MS;
	}
	assert_true(idle < 20 * S / 100);
	schedule_done(schedule);
}

/* 40 units on 9600 baud, `dead` of them dead. Gives by how much the periods of the others are stretched. */
/* Costs that come and go leave requests with times of very different stretches. None of them waits while the bus is idle. */
static void
test_what_an_overload_left_behind_does_not_wait(void **state)
{
	unsigned dice = 1;

	(void)state;
	bench_init(&bench, BUS_TCP);
	add_apart(30, 10);
	begin();
	for (int i = 0; i < 50000; i++) {
		struct poll_request *request;
		int64_t due;

		dice = dice * 1103515245 + 12345;
		request = schedule_next(schedule, now, &due);
		if (request) {
			make(request, i % 5000 == 0 ? 1500 * MS : (dice >> 16) % (400 * MS / 1000), true);
			continue;
		}
		for (size_t j = 0; j < schedule->item_count; j++)
			assert_true(schedule->items[j].request->grid_us > now);
		now = due;
	}
	schedule_done(schedule);
}

static double
stretch_by_dead(int dead, int period_ms, int64_t *ret_worst)
{
	int64_t last[41] = { 0 };
	int64_t from;
	int polls = 0;

	bench_init(&bench, BUS_RTU);
	bench.bus.baud = 9600;
	bench.bus.timeout_ms = 500;
	add_apart(40, period_ms);
	begin();
	while (now < 200 * S)
		poll_next(30 * MS, true, NULL);
	from = now + 60 * S; /* found dead by then */
	*ret_worst = 0;
	while (now < from + 3600 * S) {
		struct poll_request *request = next_request();
		int id = request->unit->state.id;

		if (id <= dead) {
			make(request, (int64_t)schedule_wait_ms(request) * MS, false);
			continue;
		}
		if (now > from) {
			polls++;
			if (now - last[id] > *ret_worst)
				*ret_worst = now - last[id];
		}
		last[id] = now;
		make(request, 30 * MS, true);
		deliver(request, now - 30 * MS);
	}
	schedule_done(schedule);
	return 3600.0 * 1000 / period_ms * (40 - dead) / polls;
}

static void
test_dead_units_cost_the_others_a_stated_share(void **state)
{
	int64_t worst;
	double full;

	(void)state;
	/* With time to spare: nothing but the odd wait. */
	assert_float_equal(stretch_by_dead(10, 2000, &worst), 1.0, 0.001);
	assert_in_range(worst, 2000 * MS, 2000 * MS + 500 * MS + 60 * MS);
	/* The line is full: 20 living units of 30 ms want a period of 600 ms. */
	bench.device.point_count = 0;
	full = stretch_by_dead(20, 500, &worst);
	assert_true(full < 600.0 / 500 * 100 / (100 - UNIT_PROBE_SHARE) * 1.03);
	assert_in_range(worst, 600 * MS, 2000 * MS);
}

static void
test_units_that_never_answered_cost_no_more(void **state)
{
	int polls = 0;
	int waits = 0;
	int64_t wasted = 0;
	int asked[30] = { 0 };

	(void)state;
	bench_init(&bench, BUS_RTU);
	bench.bus.timeout_ms = 500;
	add_apart(30, 1000);
	begin();
	while (now < 700 * S) {
		struct poll_request *request = next_request();
		bool dead = request->unit->state.id > 10;

		if (now > 130 * S) {
			polls += !dead;
			waits += dead;
			wasted += dead ? 500 * MS : 0;
			asked[request->unit->state.id - 1] += dead;
		}
		make(request, dead ? 500 * MS : 30 * MS, !dead);
		if (!dead)
			deliver(request, now - 30 * MS);
	}
	assert_in_range(polls, 10 * 560, 10 * 571);
	assert_true(wasted <= 570 * S / 100 * (UNIT_PROBE_SHARE + 1));
	for (int i = 10; i < 30; i++) /* and each has its turn */
		assert_in_range(asked[i], waits / 20 - 1, waits / 20 + 1);
	schedule_done(schedule);
}

/* A gateway that answers exception 10 or 11 for a unit says so at once: nothing is waited for, and nothing
 * pends. */
static void
test_a_gateways_word_about_a_unit_costs_no_wait(void **state)
{
	int polls[2] = { 0 };
	uint64_t missed = 0;

	(void)state;
	bench_init(&bench, BUS_TCP);
	add_apart(10, 200);
	begin();
	while (now < 400 * S) {
		struct poll_request *request = next_request();
		struct poll_unit *unit = request->unit;
		bool dead = unit->state.id > 5;
		int64_t asked = now;

		polls[dead] += now > 200 * S;
		if (dead) {
			now += 5 * MS;
			schedule_advance(schedule, request, asked);
			schedule_unit_failed(schedule, unit, request, asked, now, 0);
			schedule_spent(schedule, NULL, 5 * MS, now);
			continue;
		}
		missed += make(request, 5 * MS, true);
		deliver(request, asked);
	}
	assert_int_equal(missed, 0);
	assert_in_range(polls[0], 4995, 5005);
	assert_in_range(polls[1], 5 * 6, 5 * 8); /* one each 30 s */
	schedule_done(schedule);
}

static void
test_a_lone_point_that_is_refused_does_not_stop_the_clock(void **state)
{
	struct poll_request *request;
	int64_t due;
	bool news;

	(void)state;
	bench_init(&bench, BUS_TCP);
	bench_point(&bench, 1, TABLE_HOLDING, 0, 1, 1000);
	begin();
	request = next_request();
	make(request, 5 * MS, true);
	assert_int_equal(schedule_refused(schedule, request, 2, now, &news), SCHEDULE_LEFT_OUT);
	assert_null(schedule_next(schedule, now, &due));
	assert_true(due <= now); /* for the new plan */
	assert_true(schedule_update(schedule, now));
	assert_null(schedule_next(schedule, now, &due));
	assert_int_equal(due, now + 600 * S);
	schedule_done(schedule);
}

static void
test_a_dead_unit_is_back_at_full_rate_at_its_first_answer(void **state)
{
	int polls = 0;

	(void)state;
	bench_init(&bench, BUS_RTU);
	for (int i = 0; i < 5; i++)
		bench_point(&bench, 1, TABLE_HOLDING, 100 * i, 1, 1000);
	begin();
	while (now < 200 * S)
		poll_next(20 * MS, true, NULL);
	while (now < 400 * S)
		poll_next((int64_t)schedule_wait_ms(next_request()) * MS, false, NULL);
	assert_int_equal(schedule->unit[0].state.state, UNIT_OFFLINE);
	poll_next(20 * MS, true, NULL);
	assert_int_equal(schedule->unit[0].state.state, UNIT_ONLINE);
	for (int64_t from = now; now < from + 12 * S; polls++)
		poll_next(20 * MS, true, NULL);
	assert_true(polls >= 5 * 9); /* but for the time in which it proves that it is in step */
	schedule_done(schedule);
}

static void
test_a_failing_unit_is_asked_the_same_again(void **state)
{
	struct poll_request *failed;

	(void)state;
	bench_init(&bench, BUS_RTU);
	for (int i = 0; i < 5; i++)
		bench_point(&bench, 1, TABLE_HOLDING, 100 * i, 1, 60000);
	begin();
	failed = poll_next(500 * MS, false, NULL);
	assert_ptr_equal(poll_next(500 * MS, false, NULL), failed);
	assert_ptr_equal(poll_next(20 * MS, true, NULL), failed);
	assert_ptr_not_equal(poll_next(20 * MS, true, NULL), failed);
	schedule_done(schedule);
}

static void
test_a_lost_unit_is_probed_with_its_shortest_request(void **state)
{
	struct poll_request *probe;

	(void)state;
	bench_init(&bench, BUS_RTU);
	bench_point(&bench, 1, TABLE_HOLDING, 0, 100, 1000);
	bench_point(&bench, 1, TABLE_HOLDING, 300, 2, 3600000);
	begin();
	while (now < 110 * S)
		poll_next(20 * MS, true, NULL);
	assert_int_equal(poll_next(100 * MS, false, NULL)->count, 100);
	probe = poll_next(100 * MS, false, NULL);
	assert_int_equal(probe->count, 2);
	for (int i = 0; i < 10; i++)
		assert_ptr_equal(poll_next(100 * MS, false, NULL), probe);
	schedule_done(schedule);
}

static void
test_a_request_that_alone_fails_is_asked_seldom(void **state)
{
	int failed = 0;
	int fine = 0;

	(void)state;
	bench_init(&bench, BUS_TCP);
	bench_point(&bench, 1, TABLE_HOLDING, 0, 100, 100);
	bench_point(&bench, 1, TABLE_HOLDING, 300, 2, 100);
	begin();
	while (now < 400 * S) {
		struct poll_request *request = next_request();

		if (request->count == 100)
			failed++;
		else
			fine++;
		make(request, request->count == 100 ? 100 * MS : 10 * MS, request->count != 100);
		if (request->count != 100)
			deliver(request, now - 10 * MS);
	}
	assert_in_range(failed, 10, 25);
	assert_true(fine > 2800);
	schedule_done(schedule);
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
		bench.bus.timeout_ms = 500;
		bench_point(&bench, 1, TABLE_HOLDING, 0, 1, 3600000);
		begin();
		began = now;
		request = poll_next(500 * MS, false, NULL);
		assert_ptr_equal(poll_next(20 * MS, true, NULL), request);
		assert_in_range(now - began, 1000 * MS, 1100 * MS);
		assert_int_equal(delivered[0], 1);
		poll_next(20 * MS, true, NULL); /* and then at its hour */
		assert_int_equal(now - began, 3600 * S + 20 * MS);
		schedule_done(schedule);
	}
}

static void
test_every_point_is_delivered_at_its_own_period(void **state)
{
	(void)state;
	bench_init(&bench, BUS_TCP);
	bench_point(&bench, 1, TABLE_HOLDING, 0, 1, 1000);
	bench_point(&bench, 1, TABLE_HOLDING, 1, 1, 2500);
	begin();
	for (int i = 0; i < 1000; i++)
		poll_next(5 * MS, true, NULL);
	assert_int_equal(delivered[0], 1000);
	assert_int_equal(delivered[1], 400);
	schedule_done(schedule);
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
	schedule_opened(schedule, now);
	poll_next(5 * MS, true, &missed);
	assert_int_equal(missed, 0);
	schedule_done(schedule);
}

/* --- what is refused --- */

/* A unit that refuses some registers, holes, or long requests. */
struct refusing {
	bool bad[1000];
	bool holes;
	int longest; /* 0: any */
	int requests;
	int refusals;
	int delivered[BENCH_POINTS];
	int64_t first[BENCH_POINTS]; /* when it was delivered first */
};

static bool
refuses(const struct refusing *unit, const struct poll_request *request)
{
	bool named[2000] = { false };
	bool refused = unit->longest > 0 && request->count > unit->longest;

	for (size_t i = 0; i < request->item_count; i++)
		for (int cell = 0; cell < request->items[i]->point->count; cell++)
			named[request->items[i]->point->addr - request->addr + cell] = true;
	for (int cell = 0; cell < request->count; cell++)
		refused = refused || unit->bad[request->addr + cell] || (unit->holes && !named[cell]);
	return refused;
}

static void
poll_refusing(struct refusing *unit, int64_t until)
{
	int64_t due;
	bool news;

	for (;;) {
		struct poll_request *request;
		bool refused;

		schedule_update(schedule, now);
		request = schedule_next(schedule, now, &due);
		if (!request && due > until) {
			now = until;
			return;
		}
		if (!request) {
			now = due;
			continue;
		}
		refused = refuses(unit, request);
		unit->requests++;
		make(request, 5 * MS, true);
		if (refused) {
			unit->refusals++;
			schedule_refused(schedule, request, 2, now, &news);
			continue;
		}
		for (size_t i = 0; i < request->item_count; i++) {
			size_t index = request->items[i]->point->index;

			if (!schedule_deliver(request->items[i], now - 5 * MS))
				continue;
			if (unit->delivered[index]++ == 0)
				unit->first[index] = now;
		}
		schedule_accepted(schedule, request, now);
	}
}

static size_t
left_out(void)
{
	size_t count = 0;

	for (size_t i = 0; i < schedule->item_count; i++)
		count += schedule->items[i].retry_ms > 0;
	return count;
}

static void
test_one_bad_register_costs_one_point(void **state)
{
	static struct refusing unit;

	(void)state;
	memset(&unit, 0, sizeof(unit));
	bench_init(&bench, BUS_TCP);
	for (int i = 0; i < 100; i++)
		bench_point(&bench, 1, TABLE_HOLDING, i, 1, 1000);
	unit.bad[57] = true;
	begin();
	poll_refusing(&unit, now + 500 * MS);
	/* Found within the first period: one refusal for each time that 100 can be halved, and the others
	 * read. */
	assert_in_range(unit.refusals, 6, 9);
	assert_in_range(unit.requests, 12, 20);
	assert_int_equal(left_out(), 1);
	for (int i = 0; i < 100; i++)
		assert_int_equal(unit.delivered[i], i == 57 ? 0 : 1);
	poll_refusing(&unit, now + 590 * S);
	for (int i = 0; i < 100; i++)
		assert_in_range(unit.delivered[i], i == 57 ? 0 : 590, i == 57 ? 0 : 592);
	/* One before it, one behind it, and the one that tries it. */
	assert_in_range(schedule->request_count, 3, 3);
	schedule_done(schedule);
}

static void
test_a_refused_point_is_tried_seldom_and_comes_back(void **state)
{
	static struct refusing unit;
	int refusals;

	(void)state;
	memset(&unit, 0, sizeof(unit));
	bench_init(&bench, BUS_TCP);
	for (int i = 0; i < 8; i++)
		bench_point(&bench, 1, TABLE_HOLDING, i, 1, 1000);
	unit.bad[5] = true;
	begin();
	poll_refusing(&unit, now + 60 * S);
	refusals = unit.refusals;
	poll_refusing(&unit, now + 24 * 3600 * S);
	assert_in_range(unit.refusals - refusals, 22, 28); /* 10, 20, 40 and then every 60 min */
	unit.bad[5] = false;
	poll_refusing(&unit, now + 3601 * S);
	assert_int_equal(left_out(), 0);
	assert_int_equal(schedule->request_count, 1); /* all are one request again */
	assert_true(unit.delivered[5] > 0);
	schedule_done(schedule);
}

static void
test_holes_are_taken_out_first(void **state)
{
	static struct refusing unit;

	(void)state;
	memset(&unit, 0, sizeof(unit));
	bench_init(&bench, BUS_TCP);
	for (int i = 0; i < 10; i++)
		bench_point(&bench, 1, TABLE_HOLDING, 3 * i, 2, 1000);
	unit.holes = true;
	begin();
	assert_int_equal(schedule->request_count, 1);
	poll_refusing(&unit, now + 3600 * S);
	assert_int_equal(unit.refusals, 1);
	assert_int_equal(schedule->request_count, 10);
	assert_true(schedule->unit[0].lore.no_holes);
	assert_int_equal(left_out(), 0);
	for (int i = 0; i < 10; i++)
		assert_in_range(unit.delivered[i], 3600, 3601);
	schedule_done(schedule);
}

static void
test_holes_are_given_another_chance_if_a_point_was_to_blame(void **state)
{
	static struct refusing unit;

	(void)state;
	memset(&unit, 0, sizeof(unit));
	bench_init(&bench, BUS_TCP);
	for (int i = 0; i < 10; i++)
		bench_point(&bench, 1, TABLE_HOLDING, 3 * i, 2, 1000);
	unit.bad[28] = true; /* in the last one */
	begin();
	poll_refusing(&unit, now + 60 * S);
	assert_int_equal(left_out(), 1);
	assert_int_equal(schedule->request_count, 2); /* the others, and the one that is tried */
	assert_false(schedule->unit[0].lore.no_holes);
	schedule_done(schedule);
}

static void
test_a_unit_that_refuses_long_reads_gets_short_ones(void **state)
{
	static struct refusing unit;

	(void)state;
	memset(&unit, 0, sizeof(unit));
	bench_init(&bench, BUS_TCP);
	for (int i = 0; i < 120; i++)
		bench_point(&bench, 1, TABLE_HOLDING, i, 1, 1000);
	unit.longest = 64;
	begin();
	poll_refusing(&unit, now + 3600 * S);
	assert_int_equal(unit.refusals, 2);
	assert_int_equal(schedule->unit[0].lore.max_registers, 60);
	assert_int_equal(schedule->request_count, 2);
	assert_int_equal(left_out(), 0);
	for (int i = 0; i < 120; i++)
		assert_in_range(unit.delivered[i], 3599, 3601);
	schedule_done(schedule);
}

static void
test_holes_and_lengths_are_tried_again_after_a_day(void **state)
{
	static struct refusing unit;

	(void)state;
	memset(&unit, 0, sizeof(unit));
	bench_init(&bench, BUS_TCP);
	for (int i = 0; i < 60; i++)
		bench_point(&bench, 1, TABLE_HOLDING, 2 * i, 1, 10000);
	for (int i = 0; i < 100; i++)
		bench_point(&bench, 2, TABLE_HOLDING, i, 1, 10000);
	unit.holes = true;
	unit.longest = 64;
	begin();
	poll_refusing(&unit, now + 3600 * S);
	assert_int_equal(schedule->request_count, 60 + 2);
	unit.refusals = 0;
	poll_refusing(&unit, now + 24 * 3600 * S);
	assert_int_equal(unit.refusals, 2); /* one each */
	assert_int_equal(schedule->request_count, 60 + 2);
	unit.holes = false;
	unit.longest = 0;
	poll_refusing(&unit, now + 24 * 3600 * S);
	assert_int_equal(schedule->request_count, 1 + 1);
	schedule_done(schedule);
}

/* Polls until `until` a unit that does not answer what has holes while `deaf`, nor anything while `dead`. */
static void
poll_deaf(bool deaf, bool dead, int64_t until)
{
	while (now < until) {
		struct poll_request *request = next_request();
		bool answers = !dead && !(deaf && request->hole_count > 0);

		make(request, answers ? 5 * MS : 100 * MS, answers);
		if (!answers)
			continue;
		deliver(request, now - 5 * MS);
		schedule_accepted(schedule, request, now);
	}
}

static void
test_holes_that_are_met_with_silence_are_taken_out(void **state)
{
	(void)state;
	for (int others = 0; others < 2; others++) {
		bench_init(&bench, BUS_TCP);
		for (int i = 0; i < 4; i++)
			bench_point(&bench, 1, TABLE_HOLDING, 3 * i, 1, 1000);
		if (others) /* that it answers, so that it is not lost */
			bench_point(&bench, 1, TABLE_HOLDING, 500, 4, 1000);
		begin();
		poll_deaf(true, false, now + 400 * S);
		for (int i = 0; i < 4; i++)
			assert_true(delivered[i] > 370);
		poll_deaf(
		    true, false, now + 24 * 3600 * S); /* tried again, once after minutes and once a day */
		for (int i = 0; i < 4; i++)
			assert_true(delivered[i] > 24 * 3600 + 200);
		schedule_done(schedule);
	}
}

static void
test_a_unit_that_was_dead_at_the_start_gets_its_holes_back_soon(void **state)
{
	(void)state;
	bench_init(&bench, BUS_TCP);
	for (int i = 0; i < 4; i++)
		bench_point(&bench, 1, TABLE_HOLDING, 3 * i, 1, 1000);
	begin();
	poll_deaf(false, true, now + 3600 * S);
	poll_deaf(false, false, now + 700 * S);
	assert_int_equal(schedule->request_count, 1);
	poll_deaf(false, true, now + 3600 * S); /* it stood them, so it is not for them */
	poll_deaf(false, false, now + 60 * S);
	assert_int_equal(schedule->request_count, 1);
	schedule_done(schedule);
}

static void
test_whatever_is_refused_exactly_that_is_left_out(void **state)
{
	static struct refusing unit;

	(void)state;
	srand(99);
	for (int round = 0; round < 100; round++) {
		memset(&unit, 0, sizeof(unit));
		bench_init(&bench, (enum bus_type)(rand() % 3));
		for (int i = 0; i < 60; i++)
			bench_point(&bench, 1, TABLE_HOLDING, rand() % 200, 1 + rand() % 4,
			    rand() % 2 == 0 ? 1000 : 10000);
		for (int i = 0; i < rand() % 10; i++)
			unit.bad[rand() % 200] = true;
		unit.holes = rand() % 3 == 0;
		unit.longest = rand() % 3 == 0 ? 20 : 0;
		begin();
		poll_refusing(&unit, now + 120 * S);
		for (int i = 0; i < 60; i++) {
			bool bad = false;

			for (int cell = 0; cell < bench.points[i].count; cell++)
				bad = bad || unit.bad[bench.points[i].addr + cell];
			assert_int_equal(schedule->items[i].retry_ms > 0, bad);
			assert_int_equal(unit.delivered[i] > 0, !bad);
		}
		/* In peace from then on. */
		unit.refusals = 0;
		poll_refusing(&unit, now + 300 * S);
		assert_int_equal(unit.refusals, 0);
		schedule_done(schedule);
	}
}

static void
test_what_is_remembered_is_not_asked_at_the_start(void **state)
{
	static struct refusing unit;

	(void)state;
	memset(&unit, 0, sizeof(unit));
	bench_init(&bench, BUS_TCP);
	for (int i = 0; i < 8; i++)
		bench_point(&bench, 1, TABLE_HOLDING, i, 1, 1000);
	unit.bad[5] = true;
	begin();
	schedule_remember_point(schedule, &bench.points[5], 2, now);
	poll_refusing(&unit, now + 590 * S);
	assert_int_equal(unit.refusals, 0); /* not as a hole between its neighbours either */
	assert_int_equal(unit.delivered[0], 591);
	poll_refusing(&unit, now + 20 * S);
	assert_int_equal(unit.refusals, 1);
	schedule_done(schedule);
}

/* --- the plan is made again --- */

static void
test_a_plan_follows_the_turnaround_and_keeps_the_phases(void **state)
{
	int64_t due;

	(void)state;
	bench_init(&bench, BUS_RTU);
	bench_point(&bench, 1, TABLE_HOLDING, 0, 1, 1000);
	bench_point(&bench, 1, TABLE_HOLDING, 40, 1, 1000);
	begin();
	assert_int_equal(schedule->request_count, 2); /* 46 ms of hole against 20 ms */
	for (int i = 0; i < 40; i++)
		poll_next(150 * MS, true, NULL);
	schedule_update(schedule, now);
	assert_int_equal(schedule->request_count, 1); /* a request is 150 ms of turnaround */
	due = schedule->requests[0].due_us;
	assert_int_equal((due - 100 * S) % S, 0);
	assert_true(due > now - S && due <= now + S);
	schedule_done(schedule);
}

static void
test_a_written_point_is_polled_at_once(void **state)
{
	struct poll_request *request;

	(void)state;
	bench_init(&bench, BUS_TCP);
	add_apart(1, 3600000);
	add_apart(20, 100);
	begin();
	while (now < 120 * S)
		poll_next(10 * MS, true, NULL); /* it is overloaded */
	schedule_touch(schedule, &bench.points[0], now);
	request = next_request();
	assert_ptr_equal(request->items[0]->point, &bench.points[0]);
	assert_int_equal(deliver(request, now), 1);
	schedule_done(schedule);
}

static void
test_a_unit_that_is_only_written_is_never_stuck(void **state)
{
	struct poll_unit *unit;
	int64_t away;
	int64_t due = 0;

	(void)state;
	bench_init(&bench, BUS_TCP);
	bench_point(&bench, 1, TABLE_HOLDING, 0, 1, 0);
	begin();
	unit = schedule_unit(schedule, 1);
	assert_non_null(unit);
	assert_null(schedule_next(schedule, now, &due));
	assert_true(due == CLOCK_NEVER);
	for (int i = 0; i < 5; i++)
		schedule_unit_failed(schedule, unit, NULL, now, now + 100 * MS, 200 * MS);
	assert_int_equal(unit->state.state, UNIT_OFFLINE);
	assert_null(schedule_next(schedule, now, &due));
	assert_true(due == CLOCK_NEVER);
	assert_true(unit->state.quiet_until_us < now + 300 * MS); /* so a command may try */
	assert_int_equal(schedule_unit_answered(schedule, unit, now, now, &away), UNIT_BACK);
	schedule_done(schedule);
}

/* Take `other` over from the schedule, which goes on in it. */
static void
change_to(struct bench *other)
{
	struct difference *difference = difference_new(&bench.settings, &other->settings);
	struct schedule *from = schedule;

	schedule = &schedules[from == &schedules[0]];
	assert_non_null(difference);
	assert_int_equal(schedule_init(schedule, &other->settings, &other->bus, now), 0);
	schedule_adopt(schedule, from, difference, now);
	schedule_done(from);
	difference_free(difference);
}

static void
test_other_settings_keep_the_phases(void **state)
{
	static struct bench other;
	struct poll_request *request;
	int polls = 0;

	(void)state;
	bench_init(&bench, BUS_TCP);
	bench_point(&bench, 1, TABLE_HOLDING, 0, 1, 1000);
	bench_point(&bench, 1, TABLE_HOLDING, 1, 1, 1000);
	begin();
	for (int i = 0; i < 30; i++)
		poll_next(7 * MS, true, NULL);
	assert_int_equal(delivered[0], 30);
	/* 300 ms after the last poll: a neighbour comes, one that was there is read as something else. */
	now = 100 * S + 29 * S + 300 * MS;
	bench_init(&other, BUS_TCP);
	bench_point(&other, 1, TABLE_HOLDING, 0, 1, 1000);
	bench_point(&other, 1, TABLE_HOLDING, 1, 1, 1000)->scale = 2;
	bench_point(&other, 1, TABLE_HOLDING, 2, 1, 1000);
	change_to(&other);
	/* What is new is read at once, what is not is delivered when it was to be: nothing twice, nothing late. */
	request = next_request();
	assert_int_equal(now, 100 * S + 29 * S + 300 * MS);
	assert_int_equal(request->count, 3);
	poll_next(7 * MS, true, NULL);
	assert_int_equal(delivered[0], 30);
	assert_int_equal(delivered[1], 31);
	assert_int_equal(delivered[2], 1);
	for (; polls < 10; polls++) {
		next_request();
		assert_int_equal(now, 100 * S + (30 + polls) * S);
		poll_next(7 * MS, true, NULL);
	}
	assert_int_equal(delivered[0], 40);
	assert_int_equal(delivered[2], 11);
	schedule_done(schedule);
}

static void
test_other_settings_keep_what_is_known_of_units(void **state)
{
	static struct bench other;
	struct poll_unit *unit;
	bool news;

	(void)state;
	bench_init(&bench, BUS_TCP);
	add_apart(2, 1000);
	bench_point(&bench, 3, TABLE_HOLDING, 0, 1, 1000);
	begin();
	for (int i = 0; i < 3;) {
		struct poll_request *request = next_request();
		int id = request->unit->state.id;

		make(request, id == 2 ? 100 * MS : 5 * MS, id != 2);
		if (id == 3)
			schedule_refused(schedule, request, 2, now, &news);
		i += id == 2;
	}
	assert_int_equal(schedule_unit(schedule, 2)->state.state, UNIT_OFFLINE);
	bench_init(&other, BUS_TCP);
	other.device.offline_retry_max_ms = 5000;
	bench_point(&other, 1, TABLE_HOLDING, 0, 1, 1000);
	bench_point(&other, 2, TABLE_HOLDING, 0, 1, 2000);
	bench_point(&other, 3, TABLE_HOLDING, 0, 1, 1000);
	change_to(&other);
	unit = schedule_unit(schedule, 2);
	assert_int_equal(unit->state.state, UNIT_OFFLINE);
	assert_int_equal(unit->state.pause_max_ms, 5000);
	assert_true(unit->state.held_until_us > now);
	assert_true(schedule_unit(schedule, 1)->state.measured > 0);
	assert_int_equal(schedule->items[2].exception, 2);
	assert_int_equal(schedule->items[2].retry_ms, SCHEDULE_REFUSED_MIN_MS);
	schedule_done(schedule);
}

/* Replies of a minute to points of ten milliseconds, and one of a day: whatever comes of that, it can be counted. */
static void
test_more_than_can_be_counted(void **state)
{
	struct poll_request *request;

	(void)state;
	bench_init(&bench, BUS_TCP);
	bench.device.max_hole_registers = 0;
	bench_point(&bench, 1, TABLE_HOLDING, 0, 1, 10);
	bench_point(&bench, 1, TABLE_INPUT, 0, 1, 86400000);
	begin();
	schedule->load = 1e12; /* of thousands of such */
	assert_true(schedule_stretch(schedule) <= 1e6);
	for (int i = 0; i < 4; i++) {
		request = next_request();
		make(request, 60 * S, true);
		schedule->load = 1e12;
		assert_true(request->due_us > now - 60 * S && request->due_us < CLOCK_NEVER / 2);
	}
	schedule_done(schedule);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_poll_brings_something),
		cmocka_unit_test(test_buses_that_start_together_do_not_poll_together),
		cmocka_unit_test(test_deadlines_do_not_drift),
		cmocka_unit_test(test_a_fast_point_keeps_its_deadlines_beside_many_slow_ones),
		cmocka_unit_test(test_an_overloaded_bus_is_shared_by_period),
		cmocka_unit_test(test_an_overload_that_ends_leaves_no_debt),
		cmocka_unit_test(test_an_overloaded_bus_is_never_idle),
		cmocka_unit_test(test_what_an_overload_left_behind_does_not_wait),
		cmocka_unit_test(test_dead_units_cost_the_others_a_stated_share),
		cmocka_unit_test(test_units_that_never_answered_cost_no_more),
		cmocka_unit_test(test_a_gateways_word_about_a_unit_costs_no_wait),
		cmocka_unit_test(test_a_lone_point_that_is_refused_does_not_stop_the_clock),
		cmocka_unit_test(test_a_dead_unit_is_back_at_full_rate_at_its_first_answer),
		cmocka_unit_test(test_a_failing_unit_is_asked_the_same_again),
		cmocka_unit_test(test_a_lost_unit_is_probed_with_its_shortest_request),
		cmocka_unit_test(test_a_request_that_alone_fails_is_asked_seldom),
		cmocka_unit_test(test_a_failed_poll_is_made_up_for_soon_however_long_its_period),
		cmocka_unit_test(test_every_point_is_delivered_at_its_own_period),
		cmocka_unit_test(test_a_closed_line_misses_nothing),
		cmocka_unit_test(test_one_bad_register_costs_one_point),
		cmocka_unit_test(test_a_refused_point_is_tried_seldom_and_comes_back),
		cmocka_unit_test(test_holes_are_taken_out_first),
		cmocka_unit_test(test_holes_are_given_another_chance_if_a_point_was_to_blame),
		cmocka_unit_test(test_a_unit_that_refuses_long_reads_gets_short_ones),
		cmocka_unit_test(test_holes_and_lengths_are_tried_again_after_a_day),
		cmocka_unit_test(test_holes_that_are_met_with_silence_are_taken_out),
		cmocka_unit_test(test_a_unit_that_was_dead_at_the_start_gets_its_holes_back_soon),
		cmocka_unit_test(test_whatever_is_refused_exactly_that_is_left_out),
		cmocka_unit_test(test_what_is_remembered_is_not_asked_at_the_start),
		cmocka_unit_test(test_a_plan_follows_the_turnaround_and_keeps_the_phases),
		cmocka_unit_test(test_a_written_point_is_polled_at_once),
		cmocka_unit_test(test_a_unit_that_is_only_written_is_never_stuck),
		cmocka_unit_test(test_other_settings_keep_the_phases),
		cmocka_unit_test(test_other_settings_keep_what_is_known_of_units),
		cmocka_unit_test(test_more_than_can_be_counted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
