/* The commands of a bus of serial instruments in virtual time: exactly one outcome each, whatever happens meanwhile. */
#include <config.h>

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/log.h"
#include "field/errands.h"

#define OUTCOMES 200

static struct bus bus = { .name = "line", .type = BUS_SERIAL };
static struct device scale = { .name = "scale", .bus = &bus };
static struct device meter = { .name = "meter", .bus = &bus };
static struct point weight = { .device = &scale, .bus = &bus, .key = "weight" };
static struct point tare = { .device = &scale, .bus = &bus, .key = "tare" };
static struct point volts = { .device = &meter, .bus = &bus, .key = "volts" };

static struct errands errands;
static struct outcome outcomes[OUTCOMES];
static size_t outcome_count;
static bool full;

static int
push(void *ctx, const struct outcome *outcome)
{
	(void)ctx;
	if (full)
		return -EBUSY;
	assert_true(outcome_count < OUTCOMES);
	outcomes[outcome_count++] = *outcome;
	return 0;
}

static int
set_up(void **state)
{
	(void)state;
	log_init(LOG_LEVEL_ERROR, false);
	errands_init(&errands, &bus, (struct outcome_sink){ .push = push });
	outcome_count = 0;
	full = false;
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	full = false;
	errands_refuse(&errands, OUTCOME_STOPPED, 0, true);
	assert_int_equal(errands.count, 0);
	for (size_t i = 0; i < outcome_count; i++)
		value_done(&outcomes[i].value);
	return 0;
}

static void
take(enum command_kind kind, const struct point *point, uint64_t tag, int64_t expires_ms)
{
	struct command command = { .kind = kind, .point = point, .tag = tag, .expires_mono_ms = expires_ms };

	if (kind != COMMAND_READ)
		command.value = (struct value){ .kind = VALUE_INT, .integer = (int64_t)tag };
	errands_take(&errands, &command);
}

/* Exactly this came since the last look. */
static void
expect(uint64_t tag, enum outcome_status status, const struct point *point)
{
	assert_int_equal(outcome_count, 1);
	assert_int_equal(outcomes[0].tag, tag);
	assert_int_equal(outcomes[0].status, status);
	assert_ptr_equal(outcomes[0].point, point);
	value_done(&outcomes[0].value);
	outcome_count = 0;
}

static void
expect_nothing(void)
{
	assert_int_equal(outcome_count, 0);
}

static void
finish_write(enum outcome_status status)
{
	struct outcome outcome = { .status = status };

	errands_finish_write(&errands, &outcome);
}

static void
test_writes_go_in_their_order(void **state)
{
	(void)state;
	take(COMMAND_WRITE, &tare, 1, 1000);
	take(COMMAND_READ, &weight, 2, 1000);
	take(COMMAND_WRITE_CHANGED, &volts, 3, 1000);
	assert_int_equal(errands_next_write(&errands)->command.tag, 1);
	errands_next_write(&errands)->started = true;
	assert_int_equal(errands_next_write(&errands)->command.tag, 3);
	finish_write(OUTCOME_DONE);
	expect(1, OUTCOME_DONE, &tare);
	errands_next_write(&errands)->started = true;
	assert_null(errands_next_write(&errands));
	finish_write(OUTCOME_EXCEPTION);
	expect(3, OUTCOME_EXCEPTION, &volts);
	assert_int_equal(errands.count, 1); /* the read */
}

static void
test_the_end_of_a_write_that_there_is_not_is_nothing(void **state)
{
	(void)state;
	take(COMMAND_WRITE, &tare, 1, 1000);
	take(COMMAND_READ, &weight, 2, 1000);
	assert_true(errands_begin_reads(&errands, &scale));
	finish_write(OUTCOME_DONE); /* none has started: that of a read is not */
	expect_nothing();
	assert_int_equal(errands.count, 2);
}

/* A value answers each read of its point that waits, begun or not; the reads that the poll was for and that got none have failed,
 * and those that came too late for the poll wait for the next. */
static void
test_reads_wait_for_the_next_value(void **state)
{
	struct value value = { .kind = VALUE_INT, .integer = 42 };

	(void)state;
	take(COMMAND_READ, &weight, 1, 1000);
	take(COMMAND_READ, &tare, 2, 1000);
	take(COMMAND_READ, &volts, 3, 1000);
	assert_true(errands_begin_reads(&errands, &scale));
	assert_false(errands_begin_reads(&errands, &scale)); /* they have begun */
	take(COMMAND_READ, &weight, 4, 1000);
	take(COMMAND_READ, &tare, 5, 1000);
	errands_value(&errands, &weight, OUTCOME_DONE, &value);
	assert_int_equal(outcome_count, 2);
	for (size_t i = 0; i < 2; i++) {
		assert_int_equal(outcomes[i].status, OUTCOME_DONE);
		assert_int_equal(outcomes[i].value.integer, 42);
	}
	outcome_count = 0;
	errands_end_reads(&errands, &scale, OUTCOME_TIMEOUT, EBADMSG);
	assert_int_equal(outcomes[0].error, EBADMSG);
	expect(2, OUTCOME_TIMEOUT, &tare);
	assert_int_equal(errands.count, 2); /* tare again, and volts of the other device */
	errands_value(&errands, &tare, OUTCOME_DONE, NULL); /* it came, and is no value */
	expect(5, OUTCOME_DONE, &tare);
}

static void
test_what_has_no_sense_any_more_is_dropped(void **state)
{
	(void)state;
	assert_int_equal(errands_due_ms(&errands), CLOCK_NEVER);
	take(COMMAND_WRITE, &tare, 1, 500);
	take(COMMAND_WRITE, &volts, 2, 400);
	take(COMMAND_READ, &weight, 3, 600);
	assert_int_equal(errands_due_ms(&errands), 400);
	errands_expire(&errands, 399);
	expect_nothing();
	errands_expire(&errands, 400);
	expect(2, OUTCOME_EXPIRED, &volts);
	errands_next_write(&errands)->started = true;
	assert_int_equal(errands_due_ms(&errands), 600);
	assert_true(errands_begin_reads(&errands, &scale));
	errands_expire(&errands, 10000); /* nobody knows what becomes of a write under way; a read tells nobody anything then */
	expect(3, OUTCOME_TIMEOUT, &weight);
	assert_int_equal(errands_due_ms(&errands), CLOCK_NEVER);
	finish_write(OUTCOME_DONE);
	expect(1, OUTCOME_DONE, &tare);
}

static void
test_a_closed_line(void **state)
{
	(void)state;
	take(COMMAND_WRITE, &tare, 1, 1000);
	take(COMMAND_WRITE, &volts, 2, 1000);
	errands_next_write(&errands)->started = true;
	errands_refuse(&errands, OUTCOME_OFFLINE, ENOENT, false);
	assert_int_equal(outcomes[0].error, ENOENT);
	expect(2, OUTCOME_OFFLINE, &volts);
	errands_refuse(&errands, OUTCOME_STOPPED, 0, true);
	expect(1, OUTCOME_STOPPED, &tare);
}

static void
test_there_is_room_for_so_many(void **state)
{
	(void)state;
	for (uint64_t i = 0; i < ERRANDS_MAX; i++)
		take(i % 2 ? COMMAND_READ : COMMAND_WRITE, &weight, i, 1000 + (int64_t)i);
	assert_int_equal(errands_room(&errands), 0);
	errands_expire(&errands, 1000 + ERRANDS_MAX / 2 - 1);
	assert_int_equal(outcome_count, ERRANDS_MAX / 2);
	assert_int_equal(errands_room(&errands), ERRANDS_MAX / 2);
	for (size_t i = 0; i < errands.count; i++) /* those that are left, in their order */
		assert_int_equal(errands.items[i].command.tag, ERRANDS_MAX / 2 + i);
}

/* Nobody waits for the outcome of an on_connect value; one of another bus is not ours. */
static void
test_a_greeting_has_no_outcome(void **state)
{
	static struct bus elsewhere = { .name = "elsewhere" };
	static struct point foreign = { .device = &scale, .bus = &elsewhere, .key = "foreign" };
	struct point_write writes[] = {
		{ .point = &tare, .value = { .kind = VALUE_INT, .integer = 7 } },
		{ .point = &foreign, .value = { .kind = VALUE_INT, .integer = 8 } },
	};

	(void)state;
	scale.on_connect = writes;
	scale.on_connect_count = 2;
	assert_int_equal(errands_greet(&errands, &scale, 0), 2);
	scale.on_connect_count = 0;
	assert_int_equal(errands.count, 1);
	errands_expire(&errands, INT64_MAX - 1);
	assert_int_equal(errands.count, 1); /* it has all the time */
	assert_int_equal(errands_next_write(&errands)->command.value.integer, 7);
	errands_next_write(&errands)->started = true;
	finish_write(OUTCOME_OFFLINE);
	expect_nothing();
	assert_int_equal(errands.count, 0);
}

/* However many values a device wants, all are written, in their order, and commands of others fit in between. */
static void
test_a_long_greeting_goes_in_parts(void **state)
{
	struct point_write writes[ERRANDS_MAX + 20];
	size_t next = 0;
	size_t written = 0;

	(void)state;
	for (size_t i = 0; i < ERRANDS_MAX + 20; i++)
		writes[i] = (struct point_write){ .point = &tare, .value = { .kind = VALUE_INT, .integer = (int64_t)i } };
	scale.on_connect = writes;
	scale.on_connect_count = ERRANDS_MAX + 20;
	take(COMMAND_READ, &weight, 1, 1000);
	while (written < ERRANDS_MAX + 20) {
		struct errand *errand;

		next = errands_greet(&errands, &scale, next);
		errand = errands_next_write(&errands);
		assert_non_null(errand);
		assert_int_equal(errand->command.value.integer, written++);
		errand->started = true;
		finish_write(OUTCOME_DONE);
	}
	assert_int_equal(next, scale.on_connect_count);
	assert_int_equal(errands_greet(&errands, &scale, next), next);
	scale.on_connect_count = 0;
	assert_int_equal(errands.count, 1);
}

/* Text is the errand's own, and belongs to whoever takes the outcome. */
static void
test_a_value_is_copied_for_each_who_waits(void **state)
{
	struct value text = { .kind = VALUE_NONE };

	(void)state;
	text = (struct value){ .kind = VALUE_TEXT, .text = strdup("of its own") };
	take(COMMAND_READ, &weight, 1, 1000);
	take(COMMAND_READ, &weight, 2, 1000);
	errands_value(&errands, &weight, OUTCOME_DONE, &text);
	value_done(&text);
	assert_int_equal(outcome_count, 2);
	for (size_t i = 0; i < 2; i++)
		assert_string_equal(value_text(&outcomes[i].value), "of its own");
}

static void
test_an_outcome_without_room_is_counted(void **state)
{
	(void)state;
	take(COMMAND_WRITE, &tare, 1, 1000);
	take(COMMAND_WRITE, &tare, 2, 1000);
	full = true;
	errands_expire(&errands, 2000);
	assert_int_equal(errands.refused, 2);
	assert_int_equal(errands.count, 0);
	expect_nothing();
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_writes_go_in_their_order),
		TEST(test_the_end_of_a_write_that_there_is_not_is_nothing),
		TEST(test_reads_wait_for_the_next_value),
		TEST(test_what_has_no_sense_any_more_is_dropped),
		TEST(test_a_closed_line),
		TEST(test_there_is_room_for_so_many),
		TEST(test_a_greeting_has_no_outcome),
		TEST(test_a_long_greeting_goes_in_parts),
		TEST(test_a_value_is_copied_for_each_who_waits),
		TEST(test_an_outcome_without_room_is_counted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
