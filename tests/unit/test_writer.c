/* Commands on a clock of our own: which requests they make, in which order, and what is said of them. Units
 * are judged as the bus does it, the requests are answered by a line made of a script. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/log.h"
#include "fake/bench.h"
#include "fake/fake_link.h"
#include "fake/sinks.h"
#include "field/unit.h"
#include "field/writer.h"
#include "model/codec.h"

#define MS	    1000
#define UNITS	    4
#define COST_US	    (5 * MS)
#define VALUES_TOLD 4

static int64_t now_us;

static int64_t
fake_mono_us(void)
{
	return now_us;
}

static int64_t
fake_unix_ms(void)
{
	return 1700000000000 + now_us / 1000;
}

static const struct clock_source fake_clock = { .mono_us = fake_mono_us, .unix_ms = fake_unix_ms };

static struct bench bench;
static struct fake_link fake;
static struct sinks sinks;
static struct writer *writer;
static struct unit units[UNITS];
static int64_t paused_us[UNITS];
static char transcript[4096];
static struct point_write greetings[8];

/* "6 u1 10=5" writes, "3 u1 10+2" reads, "22 u1 10=fff7,8" */
static void
note_request(const struct pdu_request *request)
{
	char *at = transcript + strlen(transcript);
	size_t left = sizeof(transcript) - strlen(transcript);
	int used = snprintf(at, left, "%s%d u%d %d", at > transcript ? "; " : "", (int)request->function,
	    request->unit, request->addr);

	if (!pdu_writes(request))
		used += snprintf(at + used, left - (size_t)used, "+%d", request->count);
	else if (request->function == PDU_MASK_WRITE_REGISTER)
		used +=
		    snprintf(at + used, left - (size_t)used, "=%x,%x", request->cells[0], request->cells[1]);
	else if (request->count > VALUES_TOLD)
		used += snprintf(at + used, left - (size_t)used, "+%d", request->count);
	for (int i = 0; pdu_writes(request) && request->function != PDU_MASK_WRITE_REGISTER &&
			request->count <= VALUES_TOLD && i < request->count;
	     i++)
		used +=
		    snprintf(at + used, left - (size_t)used, "%c%d", i == 0 ? '=' : ',', request->cells[i]);
}

static int
ask(void *ctx, const struct pdu_request *request, int timeout_ms, uint16_t *cells, struct link_report *report)
{
	struct unit *unit = &units[request->unit];
	int64_t asked_us = now_us;
	int64_t away_us;
	bool dead = request->unit == fake.dead_unit;
	int result;

	(void)ctx;
	if (request->send_by_mono_us != 0 && now_us >= request->send_by_mono_us) {
		report->sent = false;
		return -ETIME;
	}
	note_request(request);
	fake.dead_unit = -1; /* the fake would wait by another clock */
	result = fake.link.ops->exchange(&fake.link, request, timeout_ms, cells, report);
	if (dead) {
		fake.dead_unit = request->unit;
		result = -ETIMEDOUT;
	}
	now_us += dead ? timeout_ms * MS : COST_US;
	if (result == -ENOTCONN)
		return result;
	if (result >= 0) {
		unit_answered(unit, asked_us, now_us, &away_us);
		writer_answered(writer, request->unit);
	} else if (unit_failed(unit, asked_us, now_us, (int64_t)2 * timeout_ms * MS) == UNIT_LOST) {
		writer_lost(writer, request->unit);
	}
	return result;
}

static int64_t
quiet_until_us(void *ctx, int unit)
{
	(void)ctx;
	return units[unit].quiet_until_us > paused_us[unit] ? units[unit].quiet_until_us : paused_us[unit];
}

static void
keep_quiet(void *ctx, int unit, int64_t until_us)
{
	(void)ctx;
	paused_us[unit] = until_us;
}

static bool
is_away(void *ctx, int unit)
{
	(void)ctx;
	return units[unit].state == UNIT_OFFLINE;
}

static void
written(void *ctx, const struct point *point)
{
	(void)ctx, (void)point;
}

static int
set_up(void **state)
{
	(void)state;
	log_init(LOG_LEVEL_ERROR, false);
	clock_replace(&fake_clock);
	now_us = 100000 * MS;
	bench_init(&bench, BUS_TCP);
	fake_link_init(&fake);
	sinks_init(&sinks, 1, 200);
	transcript[0] = '\0';
	memset(paused_us, 0, sizeof(paused_us));
	for (int i = 0; i < UNITS; i++)
		unit_init(&units[i], i, false);
	return 0;
}

static void
begin(void)
{
	static const struct writer_port port = { .ask = ask,
		.quiet_until_us = quiet_until_us,
		.keep_quiet = keep_quiet,
		.is_away = is_away,
		.written = written };

	writer = writer_new(&bench.settings, &bench.bus, port, sinks_outcomes(&sinks));
	assert_non_null(writer);
}

static int
tear_down(void **state)
{
	(void)state;
	writer_free(writer);
	sinks_done(&sinks);
	clock_replace(NULL);
	return 0;
}

static struct command
make(enum command_kind kind, const struct point *point, int64_t number)
{
	return (struct command){
		.kind = kind,
		.point = point,
		.value = { .kind = VALUE_INT, .integer = number },
		.expires_mono_ms = now_us / 1000 + 5000,
		.tag = point->index,
	};
}

static void
take(enum command_kind kind, const struct point *point, int64_t number, bool more)
{
	struct command command = make(kind, point, number);

	writer_take(writer, &command, more);
}

static void
write_one(const struct point *point, int64_t number)
{
	take(COMMAND_WRITE, point, number, false);
}

/* Do all that can be done at this time. */
static void
run_now(void)
{
	for (int i = 0; i < 1000; i++) {
		writer_expire(writer);
		if (!writer_run(writer))
			return;
	}
	fail_msg("it never ends");
}

/* And all that can be done later. */
static void
run_all(void)
{
	int64_t due_us;

	run_now();
	while ((due_us = writer_due_us(writer)) != CLOCK_NEVER) {
		assert_true(due_us > now_us);
		now_us = due_us;
		run_now();
	}
	assert_false(writer_waits(writer));
}

static void
expect_requests(const char *expected)
{
	assert_string_equal(transcript, expected);
	transcript[0] = '\0';
}

/* The next outcome, of this point. */
static struct outcome
expect(const struct point *point, enum outcome_status status)
{
	struct outcome outcome = { 0 };

	assert_int_equal(fifo_pop(sinks.outcomes, &outcome, 1), 1);
	assert_ptr_equal(outcome.point, point);
	assert_int_equal(outcome.tag, point->index);
	assert_int_equal(outcome.status, status);
	return outcome;
}

static void
expect_none(void)
{
	struct outcome outcome;

	assert_int_equal(fifo_pop(sinks.outcomes, &outcome, 1), 0);
}

static struct point *
holding(int addr)
{
	return bench_point(&bench, 1, TABLE_HOLDING, addr, 1, 1000);
}

static struct point *
bit_of(int addr, int bit)
{
	struct point *point = holding(addr);

	point->type = TYPE_BOOL;
	point->bit = bit;
	point->bits = 1;
	return point;
}

/* --- functions --- */

static void
test_each_point_has_its_function(void **state)
{
	struct point *coil = bench_point(&bench, 1, TABLE_COIL, 3, 1, 1000);
	struct point *coils = bench_point(&bench, 1, TABLE_COIL, 8, 3, 1000);
	struct point *word = holding(10);
	struct point *pair = bench_point(&bench, 1, TABLE_HOLDING, 20, 2, 1000);
	struct point *forced = bench_point(&bench, 1, TABLE_HOLDING, 30, 1, 1000);
	struct point *forced_coil = bench_point(&bench, 1, TABLE_COIL, 30, 1, 1000);
	struct point *single = bench_point(&bench, 1, TABLE_HOLDING, 40, 2, 1000);

	(void)state;
	coils->type = TYPE_UINT16;
	forced->write = WRITE_MULTIPLE;
	forced_coil->write = WRITE_MULTIPLE;
	single->write = WRITE_SINGLE;
	begin();
	write_one(coil, 1);
	write_one(coils, 5);
	write_one(word, 7);
	write_one(pair, 65538);
	write_one(forced, 9);
	write_one(forced_coil, 1);
	write_one(single, 65538);
	run_all();
	expect_requests("5 u1 3=1; 15 u1 8=1,0,1; 6 u1 10=7; 16 u1 20=1,2; 16 u1 30=9; 15 u1 30=1; "
			"6 u1 40=1; 6 u1 41=2");
	for (size_t i = 0; i < bench.device.point_count; i++)
		expect(&bench.points[i], OUTCOME_DONE);
}

static void
test_the_longest_text_is_one_request(void **state)
{
	struct point *text = bench_point(&bench, 1, TABLE_HOLDING, 0, MODBUS_MAX_WRITE_REGISTERS, 1000);
	struct command command = make(COMMAND_WRITE, text, 0);
	struct outcome outcome;
	char letters[2 * MODBUS_MAX_WRITE_REGISTERS + 1];

	(void)state;
	memset(letters, 'x', sizeof(letters));
	letters[sizeof(letters) - 1] = '\0';
	begin();
	command.value = (struct value){ .kind = VALUE_TEXT, .text = strdup(letters) };
	writer_take(writer, &command, false);
	run_all();
	expect_requests("16 u1 0+123");
	outcome = expect(text, OUTCOME_DONE);
	assert_string_equal(value_text(&outcome.value), letters);
	value_done(&outcome.value);
}

static void
test_what_cannot_be_written_is_not_sent(void **state)
{
	struct point *input = bench_point(&bench, 1, TABLE_INPUT, 0, 1, 1000);
	struct point *word = holding(0);

	(void)state;
	begin();
	write_one(input, 1);
	write_one(word, 70000);
	run_all();
	expect_requests("");
	assert_int_equal(expect(input, OUTCOME_REFUSED).fault, CODEC_NOT_WRITABLE);
	assert_int_equal(expect(word, OUTCOME_REFUSED).fault, CODEC_NO_FIT);
}

/* --- parts of a register --- */

static void
test_a_bit_is_read_changed_and_written(void **state)
{
	struct point *bit = bit_of(10, 3);

	(void)state;
	fake.cells[10] = 0x8001;
	begin();
	write_one(bit, 1);
	run_all();
	expect_requests("3 u1 10+1; 6 u1 10=32777");
	assert_true(expect(bit, OUTCOME_DONE).value.boolean);
}

static void
test_a_bit_is_written_by_mask_where_the_unit_knows_it(void **state)
{
	struct point *bit = bit_of(10, 3);
	struct point *field = holding(10);

	(void)state;
	bench.device.mask_write = true;
	field->bit = 8;
	field->bits = 4;
	fake.cells[10] = 0x8f01;
	begin();
	write_one(bit, 1);
	write_one(field, 5);
	write_one(bit, 0);
	run_all();
	expect_requests("22 u1 10=fff7,8; 22 u1 10=f0ff,500; 22 u1 10=fff7,0");
	assert_true(expect(bit, OUTCOME_DONE).value.boolean);
	assert_int_equal(expect(field, OUTCOME_DONE).value.integer, 5);
	assert_int_equal(fake.cells[10], 0x8501);
}

static void
test_bits_of_one_push_are_one_mask_write(void **state)
{
	struct point *low = bit_of(10, 0);
	struct point *high = bit_of(10, 15);
	struct point *next = bit_of(11, 0);
	struct point *whole = holding(12);

	(void)state;
	bench.device.mask_write = true;
	begin();
	take(COMMAND_WRITE, low, 1, true);
	take(COMMAND_WRITE, high, 0, true);
	take(COMMAND_WRITE, next, 1, true);
	take(COMMAND_WRITE, whole, 9, false);
	run_all();
	expect_requests("22 u1 10=7ffe,1; 22 u1 11=fffe,1; 6 u1 12=9");
	for (size_t i = 0; i < bench.device.point_count; i++)
		expect(&bench.points[i], OUTCOME_DONE);
}

static void
test_a_unit_that_lacks_mask_write_is_remembered(void **state)
{
	struct point *bit = bit_of(10, 3);

	(void)state;
	bench.device.mask_write = true;
	fake.lacks_function = PDU_MASK_WRITE_REGISTER;
	begin();
	write_one(bit, 1);
	run_all();
	expect_requests("22 u1 10=fff7,8; 3 u1 10+1; 6 u1 10=8");
	expect(bit, OUTCOME_DONE);
	write_one(bit, 0);
	run_all();
	expect_requests("3 u1 10+1; 6 u1 10=0");
	expect(bit, OUTCOME_DONE);
}

/* --- several points --- */

static void
test_points_of_one_push_that_touch_are_one_request(void **state)
{
	struct point *a = holding(10);
	struct point *b = bench_point(&bench, 1, TABLE_HOLDING, 11, 2, 1000);
	struct point *far = holding(20);
	struct point *other = bench_point(&bench, 2, TABLE_HOLDING, 13, 1, 1000);
	struct point *c = holding(13);

	(void)state;
	begin();
	take(COMMAND_WRITE, c, 3, true);
	take(COMMAND_WRITE, a, 1, true);
	take(COMMAND_WRITE, far, 4, true);
	take(COMMAND_WRITE, other, 5, true);
	take(COMMAND_WRITE, b, 2, false);
	run_all();
	expect_requests("16 u1 10=1,0,2,3; 6 u1 20=4; 6 u2 13=5");
	expect(c, OUTCOME_DONE);
	expect(a, OUTCOME_DONE);
	assert_int_equal(expect(b, OUTCOME_DONE).value.integer, 2);
	expect(far, OUTCOME_DONE);
	expect(other, OUTCOME_DONE);
	/* Pushed one by one they are requests of their own. */
	write_one(a, 1);
	write_one(b, 2);
	run_all();
	expect_requests("6 u1 10=1; 16 u1 11=0,2");
}

static void
test_a_push_is_not_begun_before_all_of_it_is_there(void **state)
{
	struct point *a = holding(10);
	struct point *b = holding(11);

	(void)state;
	begin();
	take(COMMAND_WRITE, a, 1, true);
	run_now();
	expect_requests("");
	take(COMMAND_WRITE, b, 2, false);
	run_now();
	expect_requests("16 u1 10=1,2");
	expect(a, OUTCOME_DONE);
	expect(b, OUTCOME_DONE);
}

static void
test_each_of_a_request_has_its_outcome(void **state)
{
	struct point *a = holding(10);
	struct point *wrong = holding(11);
	struct point *b = holding(12);
	struct point *c = holding(13);
	struct outcome outcome;

	(void)state;
	fake.bad_addr = 13;
	begin();
	take(COMMAND_WRITE, a, 1, true);
	take(COMMAND_WRITE, wrong, 70000, true);
	take(COMMAND_WRITE, b, 2, true);
	take(COMMAND_WRITE, c, 3, false);
	run_all();
	expect_requests("6 u1 10=1; 16 u1 12=2,3");
	outcome = expect(wrong, OUTCOME_REFUSED);
	assert_int_equal(outcome.fault, CODEC_NO_FIT);
	expect(a, OUTCOME_DONE);
	assert_int_equal(expect(b, OUTCOME_EXCEPTION).exception, PDU_ILLEGAL_ADDRESS);
	assert_int_equal(expect(c, OUTCOME_EXCEPTION).exception, PDU_ILLEGAL_ADDRESS);
}

static void
test_no_request_is_longer_than_the_device_allows(void **state)
{
	(void)state;
	bench.device.max_registers = 4;
	for (int i = 0; i < 6; i++)
		holding(i);
	begin();
	for (int i = 0; i < 6; i++)
		take(COMMAND_WRITE, &bench.points[i], i, i < 5);
	run_all();
	expect_requests("16 u1 0=0,1,2,3; 16 u1 4=4,5");
}

static void
test_the_later_of_two_that_overlap_wins(void **state)
{
	struct point *pair = bench_point(&bench, 1, TABLE_HOLDING, 10, 2, 1000);
	struct point *low = holding(11);

	(void)state;
	begin();
	take(COMMAND_WRITE, pair, 65537, true);
	take(COMMAND_WRITE, low, 7, false);
	run_all();
	expect_requests("16 u1 10=1,7");
}

static void
test_only_what_changes_is_written(void **state)
{
	struct point *a = holding(10);
	struct point *b = holding(11);
	struct point *c = holding(12);
	struct point *d = holding(13);

	(void)state;
	for (int i = 0; i < 4; i++)
		fake.cells[10 + i] = (uint16_t)i;
	begin();
	for (int i = 0; i < 4; i++)
		take(COMMAND_WRITE_CHANGED, &bench.points[i], i, i < 3);
	run_all();
	expect_requests("3 u1 10+4");
	for (int i = 0; i < 4; i++)
		assert_int_equal(expect(&bench.points[i], OUTCOME_UNCHANGED).value.integer, i);
	take(COMMAND_WRITE_CHANGED, a, 0, true);
	take(COMMAND_WRITE_CHANGED, b, 8, true);
	take(COMMAND_WRITE_CHANGED, c, 2, true);
	take(COMMAND_WRITE_CHANGED, d, 9, false);
	run_all();
	expect_requests("3 u1 10+4; 16 u1 11=8,2,9");
	expect(a, OUTCOME_UNCHANGED);
	expect(c, OUTCOME_UNCHANGED);
	expect(b, OUTCOME_DONE);
	expect(d, OUTCOME_DONE);
}

/* --- reading back, pauses --- */

static void
test_a_verified_write_is_read_back(void **state)
{
	struct point *a = holding(10);
	struct point *b = holding(11);
	struct point *stuck = holding(12);
	struct outcome outcome;

	(void)state;
	a->verify = b->verify = stuck->verify = true;
	fake.stuck_addr = 12;
	fake.cells[12] = 77;
	begin();
	take(COMMAND_WRITE, a, 1, true);
	take(COMMAND_WRITE, b, 2, true);
	take(COMMAND_WRITE, stuck, 3, false);
	run_all();
	expect_requests("16 u1 10=1,2,3; 3 u1 10+3");
	assert_int_equal(expect(a, OUTCOME_DONE).value.integer, 1);
	expect(b, OUTCOME_DONE);
	outcome = expect(stuck, OUTCOME_DIFFERENT);
	assert_int_equal(outcome.value.integer, 77);
}

static void
test_what_cannot_be_read_back_is_said_to_be_written(void **state)
{
	struct point *a = holding(10);
	struct outcome outcome;

	(void)state;
	a->verify = true;
	fake.lacks_function = PDU_READ_HOLDING;
	begin();
	write_one(a, 1);
	run_all();
	assert_int_equal(expect(a, OUTCOME_UNVERIFIED).exception, PDU_ILLEGAL_FUNCTION);
	write_one(a, 2);
	assert_true(writer_run(writer));
	fake.dead_unit = 1;
	run_all();
	outcome = expect(a, OUTCOME_UNVERIFIED);
	assert_int_equal(outcome.error, ETIMEDOUT);
	fake.dead_unit = -1;
	write_one(a, 3);
	assert_true(writer_run(writer));
	writer_refuse(writer, OUTCOME_OFFLINE, ECONNRESET);
	assert_int_equal(expect(a, OUTCOME_UNVERIFIED).error, ECONNRESET);
}

static void
test_a_unit_has_its_pause_and_others_do_not_wait(void **state)
{
	struct point *a = holding(10);
	struct point *next = holding(20);
	struct point *other = bench_point(&bench, 2, TABLE_HOLDING, 30, 1, 1000);
	struct device fast = bench.device;
	struct device all[2];

	(void)state;
	a->verify = true;
	bench.device.write_pause_ms = 200;
	fast.points = other;
	fast.point_count = 1;
	other->device = &fast;
	bench.device.point_count = 2;
	all[0] = bench.device;
	all[1] = fast;
	bench.settings.devices = all;
	bench.settings.device_count = 2;
	begin();
	write_one(a, 1);
	write_one(next, 2);
	run_now();
	expect_requests("6 u1 10=1");
	assert_int_equal(writer_due_us(writer), now_us + 200 * MS);
	write_one(other, 3);
	write_one(other, 4);
	run_now();
	expect_requests("6 u2 30=3; 6 u2 30=4");
	expect(other, OUTCOME_DONE);
	expect(other, OUTCOME_DONE);
	expect_none();
	now_us = writer_due_us(writer);
	run_now();
	expect_requests("3 u1 10+1; 6 u1 20=2");
	expect(a, OUTCOME_DONE);
	expect(next, OUTCOME_DONE);
}

static void
test_single_writes_of_a_wide_value_have_pauses_between(void **state)
{
	struct point *pair = bench_point(&bench, 1, TABLE_HOLDING, 10, 2, 1000);
	int64_t began_us = now_us;

	(void)state;
	pair->write = WRITE_SINGLE;
	bench.device.write_pause_ms = 10000;
	begin();
	write_one(pair, 65538);
	run_now();
	expect_requests("6 u1 10=1");
	now_us += 9000 * MS; /* it would have expired: what is begun is brought to its end */
	run_now();
	expect_none();
	run_all();
	expect_requests("6 u1 11=2");
	assert_int_equal(expect(pair, OUTCOME_DONE).value.integer, 65538);
	assert_int_equal(now_us - began_us, 10000 * MS + 2 * COST_US);
}

static void
test_many_single_writes_leave_others_a_turn(void **state)
{
	struct point *text = bench_point(&bench, 1, TABLE_HOLDING, 10, 6, 1000);
	struct command command = make(COMMAND_WRITE_CHANGED, text, 0);

	(void)state;
	text->write = WRITE_SINGLE;
	begin();
	command.value = (struct value){ .kind = VALUE_TEXT, .text = strdup("ABCDEFGHIJKL") };
	writer_take(writer, &command, false);
	assert_true(writer_run(writer));
	expect_requests("3 u1 10+6; 6 u1 10=16706; 6 u1 11=17220; 6 u1 12=17734; 6 u1 13=18248");
	assert_true(writer_run(writer));
	expect_requests("6 u1 14=18762; 6 u1 15=19276");
	assert_false(writer_run(writer));
	command.value = expect(text, OUTCOME_DONE).value;
	assert_string_equal(value_text(&command.value), "ABCDEFGHIJKL");
	value_done(&command.value);
}

/* --- units that do not answer, time, the end --- */

static void
test_a_unit_that_is_away_costs_one_try(void **state)
{
	struct point *a = holding(10);
	struct point *b = holding(20);
	struct point *other = bench_point(&bench, 2, TABLE_HOLDING, 30, 1, 1000);

	(void)state;
	fake.dead_unit = 1;
	units[1].state = UNIT_OFFLINE;
	units[1].failures = 3;
	begin();
	write_one(a, 1);
	write_one(b, 2);
	write_one(b, 3);
	write_one(other, 4);
	run_all();
	expect_requests("6 u1 10=1; 6 u2 30=4");
	expect(a, OUTCOME_TIMEOUT);
	expect(b, OUTCOME_AWAY);
	expect(b, OUTCOME_AWAY);
	expect(other, OUTCOME_DONE);
	/* The next one has its try again, and brings the unit back. */
	fake.dead_unit = -1;
	write_one(b, 5);
	run_all();
	expect(b, OUTCOME_DONE);
}

static void
test_nothing_was_written_if_the_read_before_got_no_answer(void **state)
{
	struct point *bit = bit_of(10, 3);
	struct point *word = holding(20);

	(void)state;
	fake.dead_unit = 1;
	begin();
	write_one(bit, 1);
	take(COMMAND_WRITE_CHANGED, word, 1, false);
	take(COMMAND_READ, word, 1, false);
	run_all();
	expect_requests("3 u1 10+1; 3 u1 20+1; 3 u1 20+1");
	expect(bit, OUTCOME_AWAY);
	expect(word, OUTCOME_AWAY);
	expect(word, OUTCOME_TIMEOUT);
}

static void
test_a_unit_that_is_out_of_step_is_left_alone(void **state)
{
	struct point *a = holding(10);

	(void)state;
	begin();
	units[1].quiet_until_us = now_us + 300 * MS;
	write_one(a, 1);
	run_now();
	expect_requests("");
	assert_int_equal(writer_due_us(writer), now_us + 300 * MS);
	units[1].quiet_until_us = now_us + 60000 * MS;
	run_all();
	expect_requests("");
	expect(a, OUTCOME_EXPIRED);
}

/* On a line without transactions a unit that answers again is not asked at once: the write that follows a
 * read starts again with a read. */
static void
test_a_read_that_brings_a_unit_back_is_done_again(void **state)
{
	struct point *bit = bit_of(10, 3);

	(void)state;
	unit_init(&units[1], 1, true);
	unit_failed(&units[1], now_us - 500 * MS, now_us, 0);
	begin();
	write_one(bit, 1);
	run_all();
	expect_requests("3 u1 10+1; 3 u1 10+1; 6 u1 10=8");
	expect(bit, OUTCOME_DONE);
}

static void
test_an_expired_command_is_never_sent(void **state)
{
	struct point *a = holding(10);

	(void)state;
	begin();
	write_one(a, 1);
	now_us += 5001 * MS;
	run_all();
	expect_requests("");
	expect(a, OUTCOME_EXPIRED);
}

static void
test_a_command_that_expires_while_it_is_read_is_not_written(void **state)
{
	struct point *bit = bit_of(10, 3);
	struct point *changed = holding(20);
	struct command command = make(COMMAND_WRITE, bit, 1);

	(void)state;
	begin();
	command.expires_mono_ms = (now_us + COST_US) / 1000 - 1;
	writer_take(writer, &command, false);
	run_all();
	expect_requests("3 u1 10+1");
	expect(bit, OUTCOME_EXPIRED);
	command = make(COMMAND_WRITE_CHANGED, changed, 7);
	command.expires_mono_ms = (now_us + COST_US) / 1000 - 1;
	writer_take(writer, &command, false);
	run_all();
	expect_requests("3 u1 20+1");
	expect(changed, OUTCOME_EXPIRED);
}

static void
test_an_ended_connection_leaves_the_command_where_it_is(void **state)
{
	struct point *a = holding(10);

	(void)state;
	begin();
	fake.next_error = -ENOTCONN;
	write_one(a, 1);
	assert_true(writer_run(writer));
	expect_none();
	run_all();
	expect_requests("6 u1 10=1; 6 u1 10=1");
	expect(a, OUTCOME_DONE);
}

static void
test_what_waits_at_the_end_is_answered(void **state)
{
	struct point *a = holding(10);
	struct point *pair = bench_point(&bench, 1, TABLE_HOLDING, 20, 2, 1000);
	struct outcome outcome;

	(void)state;
	pair->write = WRITE_SINGLE;
	bench.device.write_pause_ms = 100;
	begin();
	write_one(pair, 1);
	write_one(a, 1);
	run_now();
	writer_refuse(writer, OUTCOME_STOPPED, 0);
	expect_requests("6 u1 20=0");
	outcome = expect(pair, OUTCOME_TIMEOUT); /* half of it is written */
	assert_int_equal(outcome.error, ECANCELED);
	expect(a, OUTCOME_STOPPED);
	assert_false(writer_waits(writer));
}

static void
test_the_room_is_what_it_says(void **state)
{
	struct point *a = holding(10);

	(void)state;
	begin();
	for (int i = 0; i < WRITER_COMMANDS_MAX; i++) {
		assert_int_equal(writer_room(writer), WRITER_COMMANDS_MAX - i);
		write_one(a, i);
	}
	assert_int_equal(writer_room(writer), 0);
	run_all();
	assert_int_equal(writer_room(writer), WRITER_COMMANDS_MAX);
}

/* --- units that come on line --- */

static void
greet(size_t index, const struct point *point, int64_t number)
{
	greetings[index] =
	    (struct point_write){ .point = point, .value = { .kind = VALUE_INT, .integer = number } };
	bench.device.on_connect = greetings;
	bench.device.on_connect_count = index + 1;
}

static void
test_a_unit_is_greeted_at_its_first_answer_and_when_it_is_back(void **state)
{
	struct point *lock = holding(50);
	struct point *word = holding(10);
	struct point *other = bench_point(&bench, 2, TABLE_HOLDING, 11, 1, 1000);

	(void)state;
	greet(0, lock, 99);
	greet(1, word, 7);
	greet(2, lock, 0);
	greet(3, other, 8);
	begin();
	run_all();
	expect_requests("");
	assert_true(writer_greets(writer, 1));
	writer_answered(writer, 1);
	run_all();
	expect_requests("6 u1 50=99; 6 u1 10=7; 6 u1 50=0");
	assert_false(writer_greets(writer, 1));
	assert_true(writer_greets(writer, 2));
	assert_false(writer_greets(writer, 3));
	writer_answered(writer, 1);
	run_all();
	expect_requests("");
	writer_lost(writer, 1);
	run_all();
	expect_requests("");
	writer_answered(writer, 1);
	run_all();
	expect_requests("6 u1 50=99; 6 u1 10=7; 6 u1 50=0");
	expect_none();
}

static void
test_greetings_go_before_commands(void **state)
{
	struct point *word = holding(10);
	struct point *set = holding(20);

	(void)state;
	greet(0, word, 7);
	begin();
	write_one(set, 1);
	writer_answered(writer, 1);
	run_all();
	expect_requests("6 u1 10=7; 6 u1 20=1");
	expect(set, OUTCOME_DONE);
	/* Also before the first command to a unit that was not heard yet. */
	writer_lost(writer, 1);
	write_one(word, 8);
	run_all();
	expect_requests("6 u1 10=7; 6 u1 10=8");
	expect(word, OUTCOME_DONE);
	assert_int_equal(fake.cells[10], 8);
}

static void
test_what_a_unit_refuses_is_tried_when_it_is_back(void **state)
{
	struct point *bad = holding(10);
	struct point *word = holding(20);

	(void)state;
	fake.bad_addr = 10;
	greet(0, bad, 7);
	greet(1, word, 8);
	begin();
	writer_answered(writer, 1);
	run_all();
	expect_requests("6 u1 10=7; 6 u1 20=8");
	assert_false(writer_greets(writer, 1));
	writer_answered(writer, 1);
	run_all();
	expect_requests("");
	writer_lost(writer, 1);
	writer_answered(writer, 1);
	run_all();
	expect_requests("6 u1 10=7; 6 u1 20=8");
}

static void
test_a_unit_that_is_busy_is_greeted_later(void **state)
{
	struct point *word = holding(10);

	(void)state;
	greet(0, word, 7);
	begin();
	fake.next_error = 6;
	writer_answered(writer, 1);
	writer_run(writer);
	expect_requests("6 u1 10=7");
	assert_true(writer_greets(writer, 1));
	run_all();
	expect_requests("");
	writer_answered(writer, 1);
	run_all();
	expect_requests("6 u1 10=7");
	assert_false(writer_greets(writer, 1));
}

/* A unit that answers reads and swallows writes does not cost a timeout for ever. */
static void
test_a_greeting_without_answer_is_given_up(void **state)
{
	struct point *a = holding(10);
	struct point *b = holding(20);

	(void)state;
	greet(0, a, 7);
	greet(1, b, 8);
	begin();
	for (int i = 0; i < WRITER_GREETING_TRIES; i++) {
		assert_true(writer_greets(writer, 1));
		units[1].state = UNIT_ONLINE;
		units[1].failures = 0;
		writer_answered(writer, 1);
		fake.dead_unit = 1;
		run_all();
		expect_requests("6 u1 10=7");
		fake.dead_unit = -1;
	}
	writer_answered(writer, 1);
	run_all();
	expect_requests("6 u1 20=8");
	assert_false(writer_greets(writer, 1));
}

static void
test_a_command_to_a_unit_that_was_never_there_costs_one_try(void **state)
{
	struct point *a = holding(10);

	(void)state;
	greet(0, a, 7);
	fake.dead_unit = 1;
	units[1].state = UNIT_OFFLINE;
	units[1].failures = 3;
	begin();
	write_one(a, 1);
	write_one(a, 2);
	run_all();
	expect_requests("6 u1 10=7");
	expect(a, OUTCOME_AWAY);
	expect(a, OUTCOME_AWAY);
	assert_true(writer_greets(writer, 1));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_each_point_has_its_function),
		TEST(test_the_longest_text_is_one_request),
		TEST(test_what_cannot_be_written_is_not_sent),
		TEST(test_a_bit_is_read_changed_and_written),
		TEST(test_a_bit_is_written_by_mask_where_the_unit_knows_it),
		TEST(test_bits_of_one_push_are_one_mask_write),
		TEST(test_a_unit_that_lacks_mask_write_is_remembered),
		TEST(test_points_of_one_push_that_touch_are_one_request),
		TEST(test_a_push_is_not_begun_before_all_of_it_is_there),
		TEST(test_each_of_a_request_has_its_outcome),
		TEST(test_no_request_is_longer_than_the_device_allows),
		TEST(test_the_later_of_two_that_overlap_wins),
		TEST(test_only_what_changes_is_written),
		TEST(test_a_verified_write_is_read_back),
		TEST(test_what_cannot_be_read_back_is_said_to_be_written),
		TEST(test_a_unit_has_its_pause_and_others_do_not_wait),
		TEST(test_single_writes_of_a_wide_value_have_pauses_between),
		TEST(test_many_single_writes_leave_others_a_turn),
		TEST(test_a_unit_that_is_away_costs_one_try),
		TEST(test_nothing_was_written_if_the_read_before_got_no_answer),
		TEST(test_a_unit_that_is_out_of_step_is_left_alone),
		TEST(test_a_read_that_brings_a_unit_back_is_done_again),
		TEST(test_an_expired_command_is_never_sent),
		TEST(test_a_command_that_expires_while_it_is_read_is_not_written),
		TEST(test_an_ended_connection_leaves_the_command_where_it_is),
		TEST(test_what_waits_at_the_end_is_answered),
		TEST(test_the_room_is_what_it_says),
		TEST(test_a_unit_is_greeted_at_its_first_answer_and_when_it_is_back),
		TEST(test_greetings_go_before_commands),
		TEST(test_what_a_unit_refuses_is_tried_when_it_is_back),
		TEST(test_a_unit_that_is_busy_is_greeted_later),
		TEST(test_a_greeting_without_answer_is_given_up),
		TEST(test_a_command_to_a_unit_that_was_never_there_costs_one_try),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
