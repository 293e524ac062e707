/* Poison, or a server that went away? */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "cloud/doubt.h"

#define PACE_MS 1000

/* A device with rows 1..100 of VALUES values in its store, of which some are poison, and a server that takes the others. */
enum { ROWS = 100, VALUES = 4 };

struct world {
	struct doubt doubt;
	int64_t now;
	bool gone[ROWS + 1];
	bool poison[ROWS + 1][VALUES];
	bool kept[ROWS + 1][VALUES]; /* set aside */
	uint64_t part_seq;
	unsigned part_from;
	bool live;	/* there is always something new to send */
	bool refuses;	/* the server tells (MQTT 5) with a PUBACK what it does not take ... */
	bool for_good;	/* ... and that the message is to blame */
	int down_until; /* the server goes away on each message until so many have been lost */
	int closes;
};

static bool
is_poison(const struct world *world, const struct batch *batch)
{
	for (uint64_t seq = batch->first_seq; seq <= batch->last_seq; seq++) {
		unsigned from = batch->part && seq == world->part_seq ? world->part_from : 0;
		unsigned to = batch->part ? (unsigned)batch->part_to : VALUES;

		for (unsigned i = from; !world->gone[seq] && i < to; i++)
			if (world->poison[seq][i])
				return true;
	}
	return false;
}

/* As many rows that are left in first..last as may go, or a part of one. Returns false if there is none. */
static bool
next_message(const struct world *world, uint64_t first, uint64_t last, size_t rows_max, unsigned values_max, struct batch *ret)
{
	struct batch batch = { .rows = 0 };

	while (first <= last && world->gone[first])
		first++;
	if (first > last)
		return false;
	batch.first_seq = batch.last_seq = first;
	if ((values_max > 0 && values_max < VALUES) || first == world->part_seq) {
		unsigned from = first == world->part_seq ? world->part_from : 0;
		unsigned count = values_max > 0 && values_max < VALUES - from ? values_max : VALUES - from;

		*ret = (struct batch){ .first_seq = first, .last_seq = first, .rows = 1, .values = count,
			.part = true, .part_to = from + count, .part_ends = from + count == VALUES };
		return true;
	}
	for (uint64_t seq = first; seq <= last && (rows_max == 0 || batch.rows < rows_max) && !world->gone[seq]; seq++) {
		batch.rows++;
		batch.values += VALUES;
		batch.last_seq = seq;
	}
	*ret = batch;
	return true;
}

static void
settle(struct world *world, const struct batch *batch)
{
	if (batch->part && !batch->part_ends) {
		world->part_seq = batch->first_seq;
		world->part_from = (unsigned)batch->part_to;
		return;
	}
	world->part_seq = 0;
	for (uint64_t seq = batch->first_seq; seq <= batch->last_seq; seq++)
		world->gone[seq] = true;
	if (batch->first_seq >= world->doubt.first_seq && batch->last_seq <= world->doubt.last_seq)
		doubt_advance(&world->doubt, batch->last_seq + 1);
}

static void
set_aside(struct world *world, const struct batch *batch)
{
	unsigned at = batch->first_seq == world->part_seq ? world->part_from : 0;

	assert_int_equal(batch->values, 1);
	world->kept[batch->first_seq][at] = true;
	doubt_found(&world->doubt);
	settle(world, batch);
}

static void
connect(struct world *world)
{
	world->now += 100;
	doubt_up(&world->doubt, PACE_MS, world->now);
}

/* What is sent next, as outbox.c chooses it. Returns false if there is nothing, or the suspect has to wait. */
static bool
choose(struct world *world, bool *ret_trial, struct batch *ret)
{
	struct doubt *doubt = &world->doubt;
	bool may_try = doubt_may_try(doubt, world->now);

	*ret_trial = false;
	if (doubt->state == DOUBT_NONE)
		return next_message(world, 1, ROWS, 20, 0, ret);
	if (!may_try || (doubt->state == DOUBT_SUSPECT && !doubt->control))
		if (next_message(world, doubt->last_seq + 1, ROWS, doubt->wary_rows, doubt->wary_values, ret))
			return true;
	*ret_trial = may_try;
	return may_try && next_message(world, doubt->first_seq, doubt->last_seq, doubt->rows_max, doubt->values_max, ret);
}

static void
lose(struct world *world, const struct batch *batch, bool trial)
{
	enum doubt_verdict verdict;

	world->closes++;
	if (world->refuses)
		verdict = doubt_refused(&world->doubt, batch, trial, world->for_good, world->now);
	else
		verdict = doubt_closed(&world->doubt, batch->first_seq, batch->last_seq, batch, trial);
	if (verdict == DOUBT_SET_ASIDE)
		set_aside(world, batch);
	if (!world->refuses)
		connect(world);
}

/* Until all is gone, or so many messages were sent. */
static void
run(struct world *world, int messages)
{
	static const struct batch news = { .rows = 1, .values = 1, .first_seq = ROWS + 1, .last_seq = ROWS + 1 };

	connect(world);
	while (messages > 0) {
		struct batch batch;
		bool trial;

		if (world->live && !world->down_until && world->doubt.state == DOUBT_SUSPECT)
			doubt_acked(&world->doubt, &news, false);
		if (!choose(world, &trial, &batch)) {
			if (world->doubt.state == DOUBT_NONE)
				return;
			world->now = world->doubt.retry_mono_ms;
			continue;
		}
		messages--;
		world->now += 10;
		if (world->down_until > world->closes || is_poison(world, &batch)) {
			lose(world, &batch, trial);
		} else {
			doubt_acked(&world->doubt, &batch, trial);
			settle(world, &batch);
		}
	}
}

static void
check_all_gone(const struct world *world)
{
	for (size_t seq = 1; seq <= ROWS; seq++)
		assert_true(world->gone[seq]);
	for (size_t seq = 1; seq <= ROWS; seq++)
		for (size_t i = 0; i < VALUES; i++)
			assert_int_equal(world->kept[seq][i], world->poison[seq][i]);
}

static void
check_nothing_kept(const struct world *world)
{
	for (size_t seq = 1; seq <= ROWS; seq++)
		for (size_t i = 0; i < VALUES; i++)
			assert_false(world->kept[seq][i]);
}

/* Whichever value it is: it alone is set aside, soon. */
static void
poison_is_found_and_nothing_else(void **state)
{
	(void)state;
	for (size_t seq = 1; seq <= ROWS; seq++)
		for (size_t i = 0; i < VALUES; i++) {
			struct world world = { .live = true };

			world.poison[seq][i] = true;
			run(&world, 1000);
			check_all_gone(&world);
			assert_true(world.closes <= 12 + DOUBT_CLOSINGS);
		}
}

static void
more_than_one(void **state)
{
	struct world world = { .live = true };

	(void)state;
	world.poison[1][0] = world.poison[1][1] = world.poison[1][3] = world.poison[2][2] = true;
	world.poison[17][3] = world.poison[60][0] = world.poison[100][3] = true;
	run(&world, 2000);
	check_all_gone(&world);
}

/* A server that says (MQTT 5) that a message is malformed needs no second opinion, but which value it is has to be found. */
static void
what_is_malformed_is_found_at_once(void **state)
{
	struct world world = { .live = true, .refuses = true, .for_good = true };

	(void)state;
	world.poison[7][2] = world.poison[30][0] = true;
	run(&world, 1000);
	check_all_gone(&world);
	assert_true(world.now < 2000);
}

static void
what_is_refused_without_a_fault_needs_proof(void **state)
{
	struct world world = { .live = true, .refuses = true };
	struct world alone = { .refuses = true };

	(void)state;
	world.poison[7][2] = alone.poison[7][2] = true;
	run(&world, 1000);
	check_all_gone(&world);
	/* Without anything that the server takes there is none. */
	for (size_t seq = 1; seq <= ROWS; seq++)
		memset(alone.poison[seq], true, VALUES);
	run(&alone, 1000);
	check_nothing_kept(&alone);
}

/* However long it is away, and however often it comes for a moment: nothing is set aside, and all arrives. */
static void
a_server_that_goes_away_costs_nothing(void **state)
{
	(void)state;
	for (int losses = 1; losses <= 200; losses++) {
		struct world world = { .down_until = losses };

		run(&world, losses + 500);
		check_all_gone(&world);
		check_nothing_kept(&world);
	}
}

/* It takes what is new, and goes away by chance on a message that is tried: twice is chance. */
static void
a_restart_at_the_worst_time_costs_nothing(void **state)
{
	(void)state;
	for (size_t row = 1; row <= ROWS; row++) {
		struct world world = { .live = true };

		world.poison[row][0] = true;
		for (int close = 0; close < 12 && world.doubt.strikes < DOUBT_STRIKES - 1; close++) {
			int before = world.closes;

			for (int step = 0; step < 100 && world.closes == before; step++)
				run(&world, 1);
		}
		world.poison[row][0] = false;
		run(&world, 1000);
		check_all_gone(&world);
	}
}

/* Only proof counts: the device has nothing else to send, so nobody knows whether the server takes anything. */
static void
without_another_message_there_is_no_proof(void **state)
{
	struct world world = { .live = false };

	(void)state;
	world.poison[ROWS][0] = true;
	run(&world, 300);
	check_nothing_kept(&world);
	assert_false(world.gone[ROWS]);
	for (size_t seq = 1; seq < ROWS - 20; seq++)
		assert_true(world.gone[seq]);
	/* And it is tried more and more seldom. */
	assert_true(world.now > 100 * (PACE_MS << 5));
	world.live = true;
	run(&world, 300);
	check_all_gone(&world);
}

/* What cannot pass because of its size alone is sent in pieces, and the size is learned. */
static void
a_size_that_is_too_large_is_learned(void **state)
{
	struct doubt doubt = { .state = DOUBT_NONE };
	struct batch batch = { .first_seq = 1, .last_seq = 8, .rows = 8, .values = 32 };
	unsigned learned = 0;

	(void)state;
	doubt_up(&doubt, PACE_MS, 0);
	doubt_closed(&doubt, 1, 8, NULL, false);
	for (int i = 0; i < DOUBT_CLOSINGS; i++)
		doubt_closed(&doubt, 1, 8, &batch, true);
	doubt_acked(&doubt, &(struct batch){ .values = 1 }, false);
	doubt_closed(&doubt, 1, 8, &batch, true);
	assert_int_equal(doubt.rows_max, 4);
	for (uint64_t first = 1; first <= 8; first += 4) {
		struct batch half = { .first_seq = first, .last_seq = first + 3, .rows = 4, .values = 16 };

		doubt_acked(&doubt, &half, true);
		learned = doubt_advance(&doubt, half.last_seq + 1);
	}
	assert_int_equal(learned, 16);
	assert_int_equal(doubt.state, DOUBT_NONE);
}

/* A line that breaks now and then costs no order: the same message must be closed on again and again. */
static void
what_goes_alone_stays_first(void **state)
{
	struct doubt doubt = { .state = DOUBT_NONE };
	struct batch first = { .first_seq = 1, .last_seq = 4, .rows = 4, .values = 4 };
	struct batch second = { .first_seq = 5, .last_seq = 8, .rows = 4, .values = 4 };

	(void)state;
	doubt_closed(&doubt, 1, 8, NULL, false);
	for (int i = 1; i < DOUBT_CLOSINGS; i++)
		doubt_closed(&doubt, 1, 4, &first, true);
	assert_int_equal(doubt.state, DOUBT_ALONE);
	doubt_acked(&doubt, &first, true);
	doubt_advance(&doubt, 5);
	for (int i = 1; i < DOUBT_CLOSINGS; i++)
		doubt_closed(&doubt, 5, 8, &second, true);
	assert_int_equal(doubt.state, DOUBT_ALONE);
	doubt_closed(&doubt, 5, 8, &second, true);
	assert_int_equal(doubt.state, DOUBT_SUSPECT);
}

/* The server takes so many values and no more, in anything, and does not say so. */
static void
what_is_not_in_doubt_goes_carefully(void **state)
{
	struct doubt doubt = { .state = DOUBT_NONE };
	struct batch row = { .first_seq = 9, .last_seq = 9, .rows = 1, .values = 12 };

	(void)state;
	doubt_up(&doubt, PACE_MS, 0);
	doubt_closed(&doubt, 1, 8, NULL, false);
	doubt_closed(&doubt, 1, 8, &(struct batch){ .rows = 8, .values = 96 }, true);
	assert_int_equal(doubt.wary_rows, 1);
	doubt_closed(&doubt, 9, 9, &row, false);
	assert_int_equal(doubt.last_seq, 9);
	assert_int_equal(doubt.wary_values, 6);
	doubt_acked(&doubt, &(struct batch){ .rows = 1, .values = 6 }, false);
	doubt_acked(&doubt, &(struct batch){ .rows = 1, .values = 6 }, false);
	assert_int_equal(doubt.wary_rows, 4);
	doubt_up(&doubt, PACE_MS, 0);
	assert_int_equal(doubt.wary_rows, 1);
	assert_int_equal(doubt.wary_values, 6);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(poison_is_found_and_nothing_else),
		cmocka_unit_test(more_than_one),
		cmocka_unit_test(what_is_malformed_is_found_at_once),
		cmocka_unit_test(what_is_refused_without_a_fault_needs_proof),
		cmocka_unit_test(a_server_that_goes_away_costs_nothing),
		cmocka_unit_test(a_restart_at_the_worst_time_costs_nothing),
		cmocka_unit_test(without_another_message_there_is_no_proof),
		cmocka_unit_test(what_goes_alone_stays_first),
		cmocka_unit_test(a_size_that_is_too_large_is_learned),
		cmocka_unit_test(what_is_not_in_doubt_goes_carefully),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
