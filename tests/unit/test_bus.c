/* The worker of a bus against a line made of a script: commands ahead of polls, one outcome each, nothing
 * waits for the dead. */
#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/log.h"
#include "fake/bench.h"
#include "fake/fake_link.h"
#include "fake/sinks.h"
#include "field/worker.h"
#include "field/writer.h"
#include "model/codec.h"

static struct bench bench;
static struct fake_link fake;
static struct sinks sinks;
static struct bus_worker *worker;

static int
set_up(void **state)
{
	(void)state;
	log_init(LOG_LEVEL_ERROR, false);
	bench_init(&bench, BUS_TCP);
	bench.device.max_hole_registers = 0; /* requests are counted */
	fake_link_init(&fake);
	sinks_init(&sinks, 10000, 200);
	return 0;
}

static void
begin(void)
{
	worker = bus_worker_new(&bench.settings, &bench.bus, fake_link_maker(&fake), sinks_samples(&sinks),
	    sinks_outcomes(&sinks));
	assert_non_null(worker);
	assert_int_equal(bus_worker_start(worker), 0);
}

#define PATIENCE_US 20000000 /* what is awaited comes at once, unless the machine is busy */

static bool
try_stop(void)
{
	bus_worker_tell_stop(worker);
	if (!bus_worker_await(worker, clock_mono_us() + PATIENCE_US))
		return false;
	bus_worker_close(worker);
	return true;
}

static void
stop(void)
{
	assert_true(try_stop());
}

/* Wait for so many requests in all. */
static void
await_asked(int count)
{
	int64_t until_us = clock_mono_us() + PATIENCE_US;

	while (fake_link_asked(&fake) < count) {
		assert_true(clock_mono_us() < until_us);
		sched_yield();
	}
}

static int
tear_down(void **state)
{
	(void)state;
	if (worker && !try_stop())
		abort(); /* nothing that it uses may be freed */
	bus_worker_free(worker);
	worker = NULL;
	sinks_done(&sinks);
	return 0;
}

static void
command(enum command_kind kind, const struct point *point, int64_t number, uint64_t tag)
{
	struct command wanted = {
		.kind = kind,
		.point = point,
		.value = { .kind = VALUE_INT, .integer = number },
		.expires_mono_ms = clock_mono_ms() + 10000,
		.tag = tag,
	};

	assert_int_equal(bus_worker_command(worker, &wanted, 1), 0);
}

static struct outcome
expect_outcome(uint64_t tag, enum outcome_status status)
{
	struct outcome outcome = { 0 };

	assert_true(sinks_outcome(&sinks, &outcome));
	assert_int_equal(outcome.tag, tag);
	assert_int_equal(outcome.status, status);
	return outcome;
}

/* Change the script while the worker runs. */
#define SCRIPT(change)                                                                                       \
	do {                                                                                                 \
		pthread_mutex_lock(&fake.lock);                                                              \
		change;                                                                                      \
		pthread_mutex_unlock(&fake.lock);                                                            \
	} while (0)

/* What the line did when samples came, and the sink that they go on to. */
static struct sample_sink below;
static struct {
	int asked;
	bool under_way;
} told[2];
static size_t told_count;

static bool
pass_wish(void *ctx, struct sample *sample)
{
	(void)ctx;
	return below.wants(below.ctx, sample);
}

static size_t
note_when(void *ctx, const struct sample *samples, size_t count)
{
	(void)ctx;
	pthread_mutex_lock(&fake.lock);
	if (told_count < 2) {
		told[told_count].asked = fake.asked_count;
		told[told_count++].under_way = fake.under_way;
	}
	pthread_mutex_unlock(&fake.lock);
	return below.push(below.ctx, samples, count);
}

static void
begin_noting(void)
{
	told_count = 0;
	below = sinks_samples(&sinks);
	worker = bus_worker_new(&bench.settings, &bench.bus, fake_link_maker(&fake),
	    (struct sample_sink){ .wants = pass_wish, .push = note_when }, sinks_outcomes(&sinks));
	assert_non_null(worker);
	assert_int_equal(bus_worker_start(worker), 0);
}

/* The line does not wait for the samples of a reply, nor these for another reply. */
static void
test_replies_are_handed_up_while_the_next_request_is_on_its_way(void **state)
{
	struct sample sample;

	(void)state;
	bench_point(&bench, 1, TABLE_HOLDING, 10, 1, 3600000);
	bench_point(&bench, 2, TABLE_HOLDING, 20, 1, 3600000);
	fake.cost_ms = 20;
	begin_noting();
	for (int i = 0; i < 2; i++)
		assert_true(sinks_sample(&sinks, &sample));
	stop();
	assert_int_equal(told[0].asked, 2);
	assert_true(told[0].under_way);
	assert_int_equal(told[1].asked, 2); /* there is no third */
	assert_false(told[1].under_way);
}

/* Where the next request is not sent after all, they are handed up as well. */
static void
test_replies_are_handed_up_though_the_line_is_lost(void **state)
{
	struct sample sample;

	(void)state;
	bench_point(&bench, 1, TABLE_HOLDING, 10, 1, 50);
	fake.cells[10] = 7;
	begin();
	assert_true(sinks_sample(&sinks, &sample));
	SCRIPT(fake.next_error = -ENOTCONN);
	for (int i = 0; i < 3; i++) {
		assert_true(sinks_sample(&sinks, &sample));
		assert_int_equal(sample.value.integer, 7);
	}
}

static bool
want_numbers(void *ctx, struct sample *sample)
{
	(void)ctx;
	return sample->value.kind != VALUE_TEXT;
}

/* What nobody wants is neither handed up nor kept, or the sanitizer tells; what was read with it is. */
static void
test_what_nobody_wants_ends_here(void **state)
{
	struct sample sample;

	(void)state;
	bench_point(&bench, 1, TABLE_HOLDING, 10, 3, 50);
	bench_point(&bench, 1, TABLE_HOLDING, 13, 1, 50);
	fake.cells[10] = 'a' << 8 | 'b';
	fake.cells[13] = 7;
	worker = bus_worker_new(&bench.settings, &bench.bus, fake_link_maker(&fake),
	    (struct sample_sink){ .wants = want_numbers, .push = sinks_samples(&sinks).push, .ctx = &sinks },
	    sinks_outcomes(&sinks));
	assert_non_null(worker);
	assert_int_equal(bus_worker_start(worker), 0);
	for (int i = 0; i < 3; i++) {
		assert_true(sinks_sample(&sinks, &sample));
		assert_ptr_equal(sample.point, &bench.points[1]);
		assert_int_equal(sample.value.integer, 7);
	}
}

static void
test_what_is_read_is_delivered_with_both_clocks(void **state)
{
	struct sample sample;
	int64_t before = clock_mono_ms();

	(void)state;
	bench_point(&bench, 1, TABLE_HOLDING, 10, 1, 50);
	bench_point(&bench, 1, TABLE_HOLDING, 11, 2, 50);
	fake.cells[10] = 7;
	fake.cells[11] = 1;
	fake.cells[12] = 2;
	begin();
	for (int i = 0; i < 6; i++) {
		assert_true(sinks_sample(&sinks, &sample));
		assert_ptr_equal(sample.point, &bench.points[i % 2]);
		assert_int_equal(sample.value.integer, i % 2 == 0 ? 7 : 65538);
		assert_in_range(sample.taken_mono_ms, before, clock_mono_ms());
		assert_in_range(sample.taken_unix_ms, clock_unix_ms() - 10000, clock_unix_ms());
	}
}

static void
expect_quality(const struct point *point, enum quality quality)
{
	struct sample sample;

	assert_true(sinks_quality(&sinks, &sample));
	assert_string_equal(quality_name(sample.quality), quality_name(quality));
	assert_ptr_equal(sample.point, point);
	assert_int_equal(sample.value.kind, VALUE_NONE);
	assert_in_range(sample.taken_mono_ms, clock_mono_ms() - 10000, clock_mono_ms());
	assert_in_range(sample.taken_unix_ms, clock_unix_ms() - 10000, clock_unix_ms());
}

/* Wait for a sample that is taken from now on, and see that no quality was told but those that were expected. */
static void
expect_good(void)
{
	int64_t since = clock_mono_ms();
	struct sample sample;

	do
		assert_true(sinks_sample(&sinks, &sample));
	while (sample.taken_mono_ms <= since);
	assert_int_equal(fifo_pop(sinks.qualities, &sample, 1), 0);
}

/* Once a change, for each point that it is about. */
static void
test_changes_of_quality_are_told_once(void **state)
{
	struct point *points[2], *other;

	(void)state;
	bench.bus.timeout_ms = 400; /* and periods of 200: long beside what a busy machine is late */
	points[0] = bench_point(&bench, 1, TABLE_HOLDING, 10, 1, 200);
	points[1] = bench_point(&bench, 1, TABLE_HOLDING, 20, 1, 200);
	other = bench_point(&bench, 2, TABLE_HOLDING, 30, 2, 200);
	other->type = TYPE_FLOAT32;
	fake.cells[30] = 0x7fc0; /* not a number */
	begin();
	expect_quality(other, QUALITY_NO_VALUE);
	expect_good();
	SCRIPT(fake.bad_addr = 10);
	expect_quality(points[0], QUALITY_REFUSED);
	expect_good();
	SCRIPT(fake.dead_unit = 1);
	expect_quality(points[1], QUALITY_STALE); /* older than three periods before its unit is given up */
	for (int i = 0; i < 2; i++)
		expect_quality(points[i], QUALITY_OFFLINE);
	SCRIPT(fake.dead_unit = -1; fake.bad_addr = -1);
	expect_good();
}

/* While the one is being read, the other grows old. */
static void
test_a_point_that_is_late_is_stale(void **state)
{
	struct sample sample;

	(void)state;
	bench_point(&bench, 1, TABLE_HOLDING, 10, 1, 200);
	bench_point(&bench, 1, TABLE_HOLDING, 20, 1, 200);
	begin();
	expect_good();
	SCRIPT(fake.cost_ms = 1200);
	assert_true(sinks_quality(&sinks, &sample));
	assert_int_equal(sample.quality, QUALITY_STALE);
	SCRIPT(fake.cost_ms = 0);
	assert_true(sinks_sample(&sinks, &sample));
}

static void
test_a_bus_that_cannot_be_opened_is_offline(void **state)
{
	struct point *points[2];

	(void)state;
	points[0] = bench_point(&bench, 1, TABLE_HOLDING, 10, 1, 200);
	points[1] = bench_point(&bench, 2, TABLE_HOLDING, 10, 1, 200);
	fake.open_error = -ECONNREFUSED;
	begin();
	for (int i = 0; i < 2; i++)
		expect_quality(points[i], QUALITY_OFFLINE);
	SCRIPT(fake.open_error = 0);
	expect_good();
}

static void
test_a_command_overtakes_all_polls(void **state)
{
	int before;
	int position = -1;

	(void)state;
	for (int i = 0; i < 100; i++)
		bench_point(&bench, 1, TABLE_HOLDING, 10 * i, 1, 100);
	fake.cost_ms = 20; /* 100 polls of 20 ms every 100 ms: hopelessly late */
	begin();
	await_asked(5);
	before = fake_link_asked(&fake);
	command(COMMAND_WRITE, &bench.points[50], 99, 1);
	expect_outcome(1, OUTCOME_DONE);
	pthread_mutex_lock(&fake.lock);
	for (int i = before; i < fake.asked_count; i++)
		if (fake.asked[i].function == PDU_WRITE_REGISTER)
			position = i;
	pthread_mutex_unlock(&fake.lock);
	assert_in_range(position, before, before + 1);
	assert_int_equal(fake.cells[500], 99);
}

static void
test_a_write_is_followed_by_a_fresh_sample(void **state)
{
	struct sample sample;
	struct outcome outcome;

	(void)state;
	bench_point(&bench, 1, TABLE_HOLDING, 10, 1, 3600000);
	begin();
	assert_true(sinks_sample(&sinks, &sample));
	command(COMMAND_WRITE, &bench.points[0], 42, 1);
	outcome = expect_outcome(1, OUTCOME_DONE);
	assert_int_equal(outcome.value.integer, 42);
	assert_true(sinks_sample(&sinks, &sample));
	assert_int_equal(sample.value.integer, 42);
}

static void
test_every_kind_of_command_has_its_outcome(void **state)
{
	struct outcome outcome;
	struct point *word;
	struct point *pair;
	struct point *bit;
	struct point *input;

	(void)state;
	word = bench_point(&bench, 1, TABLE_HOLDING, 10, 1, 3600000);
	pair = bench_point(&bench, 1, TABLE_HOLDING, 20, 2, 3600000);
	bit = bench_point(&bench, 1, TABLE_HOLDING, 30, 1, 3600000);
	bit->type = TYPE_BOOL;
	bit->bit = 3;
	input = bench_point(&bench, 1, TABLE_INPUT, 40, 1, 3600000);
	fake.cells[10] = 5;
	fake.cells[30] = 0x8001;
	begin();
	command(COMMAND_READ, word, 0, 1);
	outcome = expect_outcome(1, OUTCOME_DONE);
	assert_int_equal(outcome.value.integer, 5);
	command(COMMAND_WRITE_CHANGED, word, 5, 2);
	outcome = expect_outcome(2, OUTCOME_UNCHANGED);
	assert_int_equal(outcome.value.integer, 5);
	command(COMMAND_WRITE_CHANGED, word, 6, 3);
	expect_outcome(3, OUTCOME_DONE);
	assert_int_equal(fake.cells[10], 6);
	command(COMMAND_WRITE, pair, 65538, 4);
	expect_outcome(4, OUTCOME_DONE);
	assert_int_equal(fake.cells[20], 1);
	assert_int_equal(fake.cells[21], 2);
	command(COMMAND_WRITE, bit, 1, 5);
	outcome = expect_outcome(5, OUTCOME_DONE);
	assert_true(outcome.value.boolean);
	assert_int_equal(fake.cells[30], 0x8009); /* its neighbours are as they were */
	command(COMMAND_WRITE, input, 1, 6);
	outcome = expect_outcome(6, OUTCOME_REFUSED);
	assert_int_equal(outcome.fault, CODEC_NOT_WRITABLE);
	command(COMMAND_WRITE, word, 70000, 7);
	outcome = expect_outcome(7, OUTCOME_REFUSED);
	assert_int_equal(outcome.fault, CODEC_NO_FIT);
	SCRIPT(fake.bad_addr = 10);
	command(COMMAND_WRITE, word, 7, 8);
	outcome = expect_outcome(8, OUTCOME_EXCEPTION);
	assert_int_equal(outcome.exception, 2);
	SCRIPT(fake.dead_unit = 1);
	command(COMMAND_WRITE, pair, 7, 9);
	outcome = expect_outcome(9, OUTCOME_TIMEOUT);
	assert_int_equal(outcome.error, ETIMEDOUT);
}

static void
test_an_expired_command_is_never_executed(void **state)
{
	struct command late = {
		.kind = COMMAND_WRITE, .value = { .kind = VALUE_INT, .integer = 9 }, .tag = 3
	};

	(void)state;
	late.point = bench_point(&bench, 1, TABLE_HOLDING, 10, 1, 3600000);
	late.expires_mono_ms = clock_mono_ms() - 1;
	begin();
	assert_int_equal(bus_worker_command(worker, &late, 1), 0);
	expect_outcome(3, OUTCOME_EXPIRED);
	assert_int_equal(fake.cells[10], 0);
}

/* What was read before it took too long. That is nobody's fault: the line stays open, the unit counts as answering. */
static void
test_a_command_that_expires_before_its_write_costs_nothing(void **state)
{
	struct command late = {
		.kind = COMMAND_WRITE_CHANGED, .value = { .kind = VALUE_INT, .integer = 9 }, .tag = 3
	};

	(void)state;
	late.point = bench_point(&bench, 1, TABLE_HOLDING, 10, 1, 3600000);
	fake.cost_ms = 300;
	begin();
	await_asked(1);
	late.expires_mono_ms = clock_mono_ms() + 400; /* the poll has the line, and the read would be too long */
	assert_int_equal(bus_worker_command(worker, &late, 1), 0);
	expect_outcome(3, OUTCOME_EXPIRED);
	assert_int_equal(fake.cells[10], 0);
	SCRIPT(fake.cost_ms = 0);
	late.expires_mono_ms = clock_mono_ms() + 10000;
	assert_int_equal(bus_worker_command(worker, &late, 1), 0);
	expect_outcome(3, OUTCOME_DONE);
	assert_int_equal(fake.cells[10], 9);
	assert_int_equal(fake.opened, 1);
}

static void
test_a_closed_bus_answers_at_once(void **state)
{
	struct outcome outcome;
	int64_t began;

	(void)state;
	bench_point(&bench, 1, TABLE_HOLDING, 10, 1, 1000);
	fake.open_error = -ECONNREFUSED;
	begin();
	poll(NULL, 0, 20);
	began = clock_mono_ms();
	command(COMMAND_WRITE, &bench.points[0], 1, 1);
	outcome = expect_outcome(1, OUTCOME_OFFLINE);
	assert_int_equal(outcome.error, ECONNREFUSED);
	assert_true(clock_mono_ms() - began < 1000);
	assert_int_equal(fake_link_asked(&fake), 0);
	SCRIPT(fake.open_error = 0);
	await_asked(1);
}

static void
test_a_connection_closed_between_requests_costs_nothing(void **state)
{
	struct sample sample;

	(void)state;
	bench_point(&bench, 1, TABLE_HOLDING, 10, 1, 3600000);
	begin();
	assert_true(sinks_sample(&sinks, &sample));
	SCRIPT(fake.next_error = -ENOTCONN);
	command(COMMAND_WRITE, &bench.points[0], 12, 1);
	expect_outcome(1, OUTCOME_DONE);
	assert_int_equal(fake.opened, 2);
	assert_int_equal(fake.cells[10], 12);
}

static void
test_a_lost_line_is_opened_again(void **state)
{
	struct sample sample;
	struct outcome outcome;

	(void)state;
	bench_point(&bench, 1, TABLE_HOLDING, 10, 1, 3600000);
	begin();
	assert_true(sinks_sample(&sinks, &sample));
	SCRIPT(fake.next_error = -ECONNRESET);
	command(COMMAND_WRITE, &bench.points[0], 12, 1);
	outcome = expect_outcome(1, OUTCOME_TIMEOUT); /* it was sent: nobody knows */
	assert_int_equal(outcome.error, ECONNRESET);
	command(COMMAND_WRITE, &bench.points[0], 13, 2);
	expect_outcome(2, OUTCOME_DONE);
}

/* Count the requests of the first 1500 ms, by their own clock. Returns whether the machine let enough of them be made. */
static bool
try_dead_unit(void)
{
	int living = 0;
	int dead = 0;

	fake.dead_unit = 2; /* the timeout is 100 ms */
	begin();
	await_asked(1);
	poll(NULL, 0, 1500);
	pthread_mutex_lock(&fake.lock);
	for (int i = 0; i < fake.asked_count && fake.asked[i].at_us < fake.asked[0].at_us + 1500000; i++) {
		living += fake.asked[i].unit == 1;
		dead += fake.asked[i].unit == 2;
	}
	pthread_mutex_unlock(&fake.lock);
	assert_true(dead <= 5);
	return dead >= 3 && living > 180; /* of 300, of which 80 fall in the 4 timeouts */
}

static void
test_a_dead_unit_does_not_keep_the_others_waiting(void **state)
{
	bool enough = false;

	for (int i = 0; i < 10; i++)
		bench_point(&bench, 1, TABLE_HOLDING, 10 * i, 1, 50);
	for (int i = 0; i < 10; i++)
		bench_point(&bench, 2, TABLE_HOLDING, 10 * i, 1, 50);
	/* A busy machine may make requests late, but not each time. */
	for (int attempt = 0; attempt < 8 && !enough; attempt++) {
		if (attempt > 0) {
			tear_down(state);
			fake_link_init(&fake);
			sinks_init(&sinks, 10000, 200);
		}
		enough = try_dead_unit();
	}
	assert_true(enough);
}

static void
test_stopping_answers_all_that_waits(void **state)
{
	int64_t began;
	int stopped = 0;
	struct outcome outcome;

	(void)state;
	bench_point(&bench, 1, TABLE_HOLDING, 10, 1, 100);
	bench.bus.timeout_ms = 60000;
	fake.dead_unit = 1;
	begin();
	await_asked(1);
	for (uint64_t i = 0; i < 10; i++)
		command(COMMAND_WRITE, &bench.points[0], 1, i);
	began = clock_mono_ms();
	stop();
	assert_true(clock_mono_ms() - began < 5000); /* and not the timeout */
	while (fifo_pop(sinks.outcomes, &outcome, 1) == 1) {
		assert_int_equal(outcome.tag, stopped++);
		assert_true(outcome.status == OUTCOME_STOPPED || outcome.status == OUTCOME_TIMEOUT);
	}
	assert_int_equal(stopped, 10);
}

static void
test_commands_beyond_the_queue_are_refused(void **state)
{
	struct command wanted = { .kind = COMMAND_WRITE, .expires_mono_ms = CLOCK_NEVER / 1000 };
	struct outcome outcome;
	int taken = 0;
	int answered = 0;

	(void)state;
	wanted.point = bench_point(&bench, 1, TABLE_HOLDING, 10, 1, 3600000);
	bench.bus.timeout_ms = 60000;
	fake.dead_unit = 1;
	begin();
	await_asked(1);
	while (bus_worker_command(worker, &wanted, 1) == 0)
		taken++;
	assert_in_range(taken, BUS_COMMANDS_MAX, 2 * BUS_COMMANDS_MAX);
	stop();
	while (fifo_pop(sinks.outcomes, &outcome, 1) == 1)
		answered++;
	assert_int_equal(answered, taken);
}

/* Hand a report over. */
static struct fifo *
ask_for_health(struct health_bus *report)
{
	struct health_question question = { .bus = report, .answers = fifo_new(sizeof(struct health_answer), 1) };

	assert_non_null(question.answers);
	assert_int_equal(bus_worker_ask(worker, &question), 0);
	return question.answers;
}

static void
await_health(struct fifo *answers, const struct health_bus *report)
{
	struct pollfd watched = { .fd = fifo_fd(answers), .events = POLLIN };
	struct health_answer answer;

	assert_int_equal(poll(&watched, 1, 10000), 1);
	assert_int_equal(fifo_pop(answers, &answer, 1), 1);
	assert_ptr_equal(answer.bus, report);
	fifo_free(answers);
}

static void
test_who_asks_is_answered_while_the_bus_sleeps(void **state)
{
	struct health_bus *report;
	struct sample sample;

	(void)state;
	bench_point(&bench, 1, TABLE_HOLDING, 10, 1, 3600000);
	fake.cells[10] = 77;
	begin();
	assert_true(sinks_sample(&sinks, &sample));
	report = bus_worker_report(worker, true);
	await_health(ask_for_health(report), report);
	assert_string_equal(health_bus_state_name(report->state), "open");
	assert_int_equal(report->opened, 1);
	assert_int_equal(report->unit_count, 1);
	assert_int_equal(report->units[0].unit, 1);
	assert_string_equal(health_unit_state_name(report->units[0].state), "online");
	assert_int_equal(report->units[0].requests, 1);
	assert_int_equal(report->units[0].answers, 1);
	assert_int_equal(report->units[0].latency_count, 1);
	assert_int_equal(report->point_count, 1);
	assert_ptr_equal(report->points[0].point, &bench.points[0]);
	assert_int_equal(report->points[0].quality, QUALITY_GOOD);
	assert_int_equal(report->points[0].value.integer, 77);
	assert_int_equal(report->points[0].taken_unix_ms, sample.taken_unix_ms);
	health_bus_free(report);
}

/* Whoever asked gets his report back, whatever becomes of the bus. */
/* Whoever asks during the second exchange is answered after it, when its reply has not been handed up yet. */
static void
test_who_asks_learns_of_the_last_reply_too(void **state)
{
	struct health_bus *report;
	struct fifo *answers;

	(void)state;
	bench_point(&bench, 1, TABLE_HOLDING, 10, 1, 3600000);
	bench_point(&bench, 1, TABLE_HOLDING, 20, 1, 3600000);
	fake.cells[10] = fake.cells[20] = 77;
	fake.cost_ms = 100;
	begin();
	await_asked(2);
	report = bus_worker_report(worker, true);
	answers = ask_for_health(report);
	await_health(answers, report);
	assert_int_equal(report->units[0].answers, 2);
	for (int i = 0; i < 2; i++)
		assert_int_equal(report->points[i].quality, QUALITY_GOOD);
	health_bus_free(report);
}

static void
test_who_asks_a_bus_that_stops_is_answered(void **state)
{
	struct health_bus *report;
	struct fifo *answers;

	(void)state;
	bench_point(&bench, 1, TABLE_HOLDING, 10, 1, 100);
	bench.bus.timeout_ms = 60000;
	fake.dead_unit = 1;
	begin();
	await_asked(1);
	report = bus_worker_report(worker, false);
	answers = ask_for_health(report);
	stop();
	await_health(answers, report);
	assert_int_equal(report->point_count, 0);
	assert_string_equal(health_unit_state_name(report->units[0].state), "untried");
	health_bus_free(report);
}

static void
test_questions_beyond_the_queue_are_refused(void **state)
{
	struct health_question question = { .answers = fifo_new(sizeof(struct health_answer), 64) };
	struct health_bus *report;
	size_t taken = 0;

	(void)state;
	bench_point(&bench, 1, TABLE_HOLDING, 10, 1, 100);
	bench.bus.timeout_ms = 60000;
	fake.dead_unit = 1;
	begin();
	await_asked(1);
	report = question.bus = bus_worker_report(worker, false);
	while (taken < 64 && bus_worker_ask(worker, &question) == 0)
		taken++;
	assert_in_range(taken, 1, 16);
	stop();
	for (struct health_answer answer; taken > 0; taken--)
		assert_int_equal(fifo_pop(question.answers, &answer, 1), 1);
	fifo_free(question.answers);
	health_bus_free(report);
}

static void
pause_worker(void)
{
	bus_worker_tell_pause(worker);
	assert_true(bus_worker_await(worker, clock_mono_us() + PATIENCE_US));
}

/* The worker of `other` takes over, on the same line. */
static void
change_to(struct bench *other)
{
	struct difference *difference = difference_new(&bench.settings, &other->settings);
	static struct fake_link spare;
	struct bus_worker *next;

	fake_link_init(&spare);
	next = bus_worker_new(&other->settings, &other->bus, fake_link_maker(&spare), sinks_samples(&sinks),
	    sinks_outcomes(&sinks));
	assert_non_null(difference);
	assert_non_null(next);
	bus_worker_adopt(next, worker, difference);
	bus_worker_free(worker);
	difference_free(difference);
	worker = next;
}

static void
test_other_settings_go_on_with_the_line_and_what_waits(void **state)
{
	static struct bench other;
	struct sample sample;
	struct outcome outcome;

	(void)state;
	bench_point(&bench, 1, TABLE_HOLDING, 10, 1, 50);
	bench_point(&bench, 1, TABLE_HOLDING, 20, 1, 3600000);
	begin();
	assert_true(sinks_sample(&sinks, &sample));
	pause_worker();
	command(COMMAND_WRITE, &bench.points[0], 7, 1);
	command(COMMAND_WRITE, &bench.points[1], 8, 2);
	bench_init(&other, BUS_TCP);
	other.device.max_hole_registers = 0;
	bench_point(&other, 1, TABLE_HOLDING, 10, 1, 50);
	bench_point(&other, 1, TABLE_HOLDING, 21, 1, 3600000);
	change_to(&other);
	/* Whose point is gone is told, with the point that he knows. */
	assert_true(sinks_outcome(&sinks, &outcome));
	assert_int_equal(outcome.tag, 2);
	assert_int_equal(outcome.status, OUTCOME_STOPPED);
	assert_ptr_equal(outcome.point, &bench.points[1]);
	sinks_clear(&sinks);
	assert_int_equal(bus_worker_start(worker), 0);
	outcome = expect_outcome(1, OUTCOME_DONE);
	assert_ptr_equal(outcome.point, &other.points[0]);
	assert_true(sinks_sample(&sinks, &sample));
	assert_true(sample.point == &other.points[0] || sample.point == &other.points[1]);
	assert_int_equal(fake.opened, 1);
	assert_int_equal(fake.cells[10], 7);
}

static void
test_a_pause_waits_for_what_is_in_flight(void **state)
{
	struct sample sample;
	int samples = 0;

	(void)state;
	bench_point(&bench, 1, TABLE_HOLDING, 10, 1, 50);
	fake.cost_ms = 30;
	begin();
	for (int round = 0; round < 10; round++) {
		await_asked(fake_link_asked(&fake) + 1);
		pause_worker();
		while (fifo_pop(sinks.samples, &sample, 1) == 1)
			samples++;
		assert_int_equal(samples, fake_link_asked(&fake));
		assert_int_equal(bus_worker_start(worker), 0);
	}
	assert_int_equal(fake.opened, 1);
}

/* What does not come is given up; what comes late shall not be taken for another's answer. */
static void
test_what_is_given_up_is_asked_again_on_a_new_connection(void **state)
{
	(void)state;
	bench_point(&bench, 1, TABLE_HOLDING, 10, 1, 50);
	bench.bus.timeout_ms = 60000;
	fake.dead_unit = 1;
	begin();
	await_asked(1);
	bus_worker_tell_pause(worker);
	assert_false(bus_worker_await(worker, clock_mono_us() + 50000));
	bus_worker_tell_stop(worker);
	assert_true(bus_worker_await(worker, clock_mono_us() + PATIENCE_US));
	SCRIPT(fake.dead_unit = -1);
	assert_int_equal(bus_worker_start(worker), 0);
	await_asked(2);
	assert_int_equal(fake.opened, 2);
}

/* More commands than the writer takes: those that are left in the queue ring no bell any more, and must be taken all the same as soon as
 * those before them are over for lack of time, while nothing else wakes the worker. */
static void
test_what_waits_for_room_is_taken_when_there_is(void **state)
{
	struct command wanted = { .kind = COMMAND_WRITE, .value = { .kind = VALUE_INT, .integer = 1 } };
	struct outcome outcome;
	int64_t began_ms;

	(void)state;
	bench_point(&bench, 1, TABLE_HOLDING, 10, 1, 60000);
	bench_point(&bench, 2, TABLE_HOLDING, 20, 1, 60000);
	bench.device.write_pause_ms = 8000;
	begin();
	command(COMMAND_WRITE, &bench.points[0], 7, 1000); /* and now unit 1 wants its pause */
	expect_outcome(1000, OUTCOME_DONE);
	began_ms = clock_mono_ms();
	wanted.point = &bench.points[0];
	wanted.expires_mono_ms = began_ms + 500;
	for (wanted.tag = 0; wanted.tag < WRITER_COMMANDS_MAX; wanted.tag++)
		while (bus_worker_command(worker, &wanted, 1) != 0)
			sched_yield();
	wanted.point = &bench.points[1];
	wanted.expires_mono_ms = began_ms + 20000;
	while (bus_worker_command(worker, &wanted, 1) != 0)
		sched_yield();
	for (int i = 0; i < WRITER_COMMANDS_MAX; i++) {
		assert_true(sinks_outcome(&sinks, &outcome));
		assert_int_equal(outcome.status, OUTCOME_EXPIRED);
	}
	expect_outcome(WRITER_COMMANDS_MAX, OUTCOME_DONE);
	assert_true(clock_mono_ms() < began_ms + 5000);
}

/* --- descriptors --- */

static int
descriptors(void)
{
	DIR *folder = opendir("/proc/self/fd");
	int count = 0;

	assert_non_null(folder);
	while (readdir(folder))
		count++;
	closedir(folder);
	return count;
}

/* There are gateways with hundreds of buses: whatever its kind, a worker has three, and one for its line while that is open. */
static void
test_a_worker_has_three_descriptors(void **state)
{
	static struct bytes newline = { .data = (const uint8_t *)"\n", .length = 1 };
	static const enum bus_type types[] = { BUS_RTU, BUS_TCP, BUS_RTU_OVER_TCP, BUS_SERIAL, BUS_SERIAL_TCP };
	int before = descriptors();

	(void)state;
	bench_point(&bench, 1, TABLE_HOLDING, 10, 1, 50);
	bench.bus.host = "plc.example";
	bench.bus.port = "/dev/no/such/port";
	bench.bus.framing =
	    (struct framing){ .type = FRAMING_DELIMITER, .ends = &newline, .end_count = 1, .max_bytes = 100 };
	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		static struct line_field first = { .source = SOURCE_COLUMN };
		struct worker *each;

		bench.bus.type = types[i];
		bench.points[0].line = bus_is_line(&bench.bus) ? &first : NULL;
		each = worker_new(&bench.settings, &bench.bus, NULL, sinks_samples(&sinks), sinks_outcomes(&sinks));
		assert_non_null(each);
		assert_int_equal(descriptors() - before, 3);
		worker_free(each);
		assert_int_equal(descriptors(), before);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_what_is_read_is_delivered_with_both_clocks),
		TEST(test_replies_are_handed_up_while_the_next_request_is_on_its_way),
		TEST(test_replies_are_handed_up_though_the_line_is_lost),
		TEST(test_what_nobody_wants_ends_here),
		TEST(test_a_command_overtakes_all_polls),
		TEST(test_who_asks_is_answered_while_the_bus_sleeps),
		TEST(test_who_asks_learns_of_the_last_reply_too),
		TEST(test_who_asks_a_bus_that_stops_is_answered),
		TEST(test_questions_beyond_the_queue_are_refused),
		TEST(test_changes_of_quality_are_told_once),
		TEST(test_a_point_that_is_late_is_stale),
		TEST(test_a_bus_that_cannot_be_opened_is_offline),
		TEST(test_a_write_is_followed_by_a_fresh_sample),
		TEST(test_every_kind_of_command_has_its_outcome),
		TEST(test_an_expired_command_is_never_executed),
		TEST(test_a_command_that_expires_before_its_write_costs_nothing),
		TEST(test_a_closed_bus_answers_at_once),
		TEST(test_a_connection_closed_between_requests_costs_nothing),
		TEST(test_a_lost_line_is_opened_again),
		TEST(test_a_dead_unit_does_not_keep_the_others_waiting),
		TEST(test_stopping_answers_all_that_waits),
		TEST(test_commands_beyond_the_queue_are_refused),
		TEST(test_other_settings_go_on_with_the_line_and_what_waits),
		TEST(test_a_pause_waits_for_what_is_in_flight),
		TEST(test_what_is_given_up_is_asked_again_on_a_new_connection),
		TEST(test_what_waits_for_room_is_taken_when_there_is),
		TEST(test_a_worker_has_three_descriptors),
	};

	alarm(280); /* no test waits for ever, whatever is broken */
	return cmocka_run_group_tests(tests, NULL, NULL);
}
