/* The devices of a bus of serial instruments in virtual time: what goes up and when, who is asked next, who is silent. */
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
#include "field/instrument.h"

#define MS	  1000
#define SAMPLES	  1000
#define DEVICES	  4

static struct bus bus = { .name = "line", .type = BUS_SERIAL, .baud = 9600, .timeout_ms = 100 };
static struct point points[DEVICES][2];
static struct device devices[DEVICES];
static struct settings settings = { .buses = &bus, .bus_count = 1, .devices = devices };
static struct line_step step = { .send = { .data = (const uint8_t *)"?", .length = 1 } };
static struct line_field fields[DEVICES][2];

static struct instruments instruments;
static struct sample samples[SAMPLES];
static size_t sample_count;
static size_t calls;
static size_t room;
static bool wanted;
static int64_t now_us;

static int64_t
mono_us(void)
{
	return now_us;
}

static int64_t
unix_ms(void)
{
	return 1700000000000 + now_us / 1000;
}

static const struct clock_source source = { .mono_us = mono_us, .unix_ms = unix_ms };

static bool
wants(void *ctx, struct sample *sample)
{
	(void)ctx, (void)sample;
	return wanted;
}

static size_t
push(void *ctx, const struct sample *pushed, size_t count)
{
	(void)ctx;
	calls++;
	if (count > room)
		count = room;
	memcpy(samples + sample_count, pushed, count * sizeof(*pushed));
	sample_count += count;
	return count;
}

/* `count` devices of two points; the first `polled` of them are polled each 100 ms. */
static void
set_up(size_t count, size_t polled, int period_ms)
{
	static const char *const names[DEVICES] = { "A", "B", "C", "D" };

	memset(devices, 0, sizeof(devices));
	memset(points, 0, sizeof(points));
	for (size_t i = 0; i < count; i++) {
		devices[i] = (struct device){ .name = names[i], .index = i, .bus = &bus, .period_ms = 100,
			.silence_s = 5, .points = points[i], .point_count = 2 };
		if (i < polled)
			devices[i].poll = (struct line_script){ .steps = &step, .count = 1 };
		for (size_t j = 0; j < 2; j++) {
			fields[i][j] = (struct line_field){ .source = SOURCE_COLUMN, .period_ms = period_ms };
			points[i][j] = (struct point){ .device = &devices[i], .bus = &bus, .index = 2 * i + j,
				.line = &fields[i][j], .key = "k", .period_ms = 1000 };
		}
	}
	settings.device_count = count;
	settings.point_count = 2 * count;
	now_us = 10000 * MS;
	sample_count = calls = 0;
	room = SAMPLES;
	wanted = true;
	assert_int_equal(
	    instruments_init(&instruments, &settings, &bus, (struct sample_sink){ .wants = wants, .push = push }), 0);
	instruments_opened(&instruments, now_us);
}

static void
tear_down(void)
{
	instruments_done(&instruments);
	for (size_t i = 0; i < sample_count; i++)
		value_done(&samples[i].value);
}

static void
says(size_t device, size_t point, int64_t number)
{
	struct value value = { .kind = VALUE_INT, .integer = number };
	int64_t away_us;

	instrument_heard(&instruments.items[device], now_us, &away_us);
	instruments_value(&instruments, &instruments.items[device], &points[device][point], QUALITY_GOOD, &value,
	    now_us, unix_ms());
	instruments_push(&instruments);
}

/* Time passes, as the worker sees it. */
static void
until_ms(int64_t ms)
{
	int64_t end_us = ms * MS;

	while (now_us < end_us) {
		int64_t due_us = instruments_due_us(&instruments);

		now_us = due_us < end_us ? due_us : end_us;
		instruments_tick(&instruments, now_us);
		while (instruments_fall_silent(&instruments, now_us))
			;
	}
}

/* Ten lines a second, one sample a second: the newest of its period, with its own time. */
static void
test_a_stream_is_thinned(void **state)
{
	(void)state;
	set_up(1, 0, 1000);
	for (int i = 0; i < 31; i++) {
		until_ms(10000 + i * 100);
		says(0, 0, i);
	}
	until_ms(13500);
	assert_int_equal(sample_count, 4);
	for (size_t i = 0; i < sample_count; i++) {
		assert_int_equal(samples[i].value.integer, i == 0 ? 0 : i * 10 - 1);
		assert_int_equal(samples[i].taken_mono_ms, 10000 + samples[i].value.integer * 100);
	}
	/* the last word goes up though nothing follows it */
	until_ms(14000);
	assert_int_equal(sample_count, 5);
	assert_int_equal(samples[4].value.integer, 30);
	assert_int_equal(instruments_due_us(&instruments), (int64_t)18000 * MS); /* and now only silence is due */
	tear_down();
}

static void
test_a_slow_one_is_passed_on_at_once(void **state)
{
	(void)state;
	set_up(1, 0, 1000);
	for (int i = 0; i < 5; i++) {
		until_ms(10000 + i * 1500);
		says(0, 0, i);
		assert_int_equal(sample_count, i + 1);
	}
	tear_down();
}

static void
says_text(const char *letters)
{
	struct value value = { .kind = VALUE_TEXT, .text = strdup(letters) };

	assert_non_null(value.text);
	instruments_value(&instruments, instruments.items, &points[0][0], QUALITY_GOOD, &value, now_us, unix_ms());
	instruments_push(&instruments);
}

/* Neither at once nor when its period is over; and it owns nothing any more, or the sanitizer tells. */
static void
test_what_nobody_wants_ends_here(void **state)
{
	(void)state;
	set_up(1, 0, 1000);
	wanted = false;
	says_text("at once");
	now_us += 10 * MS;
	says_text("held");
	until_ms(12000);
	assert_int_equal(sample_count, 0);
	assert_int_equal(calls, 0);
	wanted = true;
	says_text("wanted");
	assert_int_equal(sample_count, 1);
	tear_down();
}

static void
test_every_one_and_aggregates(void **state)
{
	(void)state;
	set_up(1, 0, 0);
	fields[0][1].period_ms = 1000;
	points[0][1].aggregate = 1u << AGGREGATE_MEAN;
	for (int i = 0; i < 10; i++) {
		now_us += 10 * MS;
		says(0, 0, i);
		says(0, 1, i);
	}
	assert_int_equal(sample_count, 20);
	tear_down();
}

static void
test_those_of_a_frame_go_together(void **state)
{
	struct value value = { .kind = VALUE_INT };

	(void)state;
	set_up(1, 0, 1000);
	for (size_t j = 0; j < 2; j++)
		instruments_value(&instruments, &instruments.items[0], &points[0][j], QUALITY_GOOD, &value, now_us, 0);
	instruments_push(&instruments);
	assert_int_equal(calls, 1);
	assert_int_equal(sample_count, 2);
	tear_down();
}

static void
test_no_value_is_said_once_and_the_next_good_one_at_once(void **state)
{
	struct value none = { .kind = VALUE_NONE };

	(void)state;
	set_up(1, 0, 1000);
	says(0, 0, 1);
	now_us += 100 * MS;
	says(0, 0, 2); /* held */
	for (int i = 0; i < 3; i++) {
		now_us += 100 * MS;
		instruments_value(&instruments, &instruments.items[0], &points[0][0], QUALITY_NO_VALUE, &none, now_us, 0);
		instruments_push(&instruments);
	}
	assert_int_equal(sample_count, 3);
	assert_int_equal(samples[1].value.integer, 2); /* it was good until then */
	assert_int_equal(samples[2].quality, QUALITY_NO_VALUE);
	now_us += 10 * MS;
	says(0, 0, 3);
	assert_int_equal(sample_count, 4);
	assert_int_equal(samples[3].value.integer, 3);
	tear_down();
}

static void
test_silence(void **state)
{
	int64_t away_us;

	(void)state;
	set_up(2, 0, 1000);
	devices[1].silence_s = 0; /* never */
	until_ms(12000);
	says(0, 0, 1);
	until_ms(16999);
	assert_int_equal(sample_count, 1);
	until_ms(17000);
	assert_true(instruments.items[0].silent);
	assert_int_equal(sample_count, 3);
	for (size_t i = 1; i < 3; i++)
		assert_int_equal(samples[i].quality, QUALITY_OFFLINE);
	assert_int_equal(instruments_due_us(&instruments), CLOCK_NEVER); /* said once */
	until_ms(20000);
	assert_int_equal(sample_count, 3);
	assert_true(instrument_heard(&instruments.items[0], now_us, &away_us));
	assert_int_equal(away_us, 8000 * MS);
	says(0, 0, 2);
	assert_int_equal(sample_count, 4);
	assert_false(instruments.items[1].silent);
	tear_down();
}

/* A point that its device no longer speaks of. */
static void
test_stale(void **state)
{
	(void)state;
	set_up(1, 0, 1000);
	says(0, 1, 7);
	for (int i = 1; i <= 14; i++) {
		until_ms(10000 + i * 500);
		says(0, 0, i);
	}
	until_ms(17100);
	for (size_t i = 0; i < sample_count; i++)
		if (samples[i].quality != QUALITY_GOOD) {
			assert_ptr_equal(samples[i].point, &points[0][1]);
			assert_int_equal(samples[i].quality, QUALITY_STALE);
		}
	assert_int_equal(instruments.items[0].readings[1].quality, QUALITY_STALE);
	assert_int_equal(instruments.items[0].readings[0].quality, QUALITY_GOOD);
	tear_down();
}

static void
test_no_room(void **state)
{
	(void)state;
	set_up(1, 0, 0);
	room = 0;
	says(0, 0, 1);
	instruments_closed(&instruments);
	assert_int_equal(sample_count, 0);
	assert_int_equal(instruments.refused, 3);
	room = SAMPLES;
	instruments_closed(&instruments); /* offline has not been said yet */
	assert_int_equal(sample_count, 2);
	tear_down();
}

/* --- polls --- */

/* One poll of whoever is next, that takes `us`. Returns whose it was. */
static size_t
poll_next(int error, int64_t us)
{
	struct instrument *next;
	int64_t due_us;
	int64_t away_us;
	int64_t asked_us;

	next = instruments_next(&instruments, now_us, &due_us);
	if (!next) {
		now_us = due_us;
		next = instruments_next(&instruments, now_us, &due_us);
	}
	assert_non_null(next);
	asked_us = now_us;
	instrument_asked(next, now_us);
	now_us += us;
	instruments_judge(&instruments, next, error, asked_us, now_us, &away_us);
	return (size_t)(next - instruments.items);
}

static void
test_all_have_their_turn(void **state)
{
	size_t turns[DEVICES] = { 0 };

	(void)state;
	set_up(4, 3, 100);
	for (int i = 0; i < 30; i++)
		turns[poll_next(0, 5 * MS)]++;
	for (size_t i = 0; i < 3; i++)
		assert_int_equal(turns[i], 10);
	assert_int_equal(turns[3], 0); /* it only is listened to */
	tear_down();
}

/* Two dead ones beside one that answers: for a minute at most their share of the time, and its first three waits. */
static void
test_the_dead_cost_a_bounded_share(void **state)
{
	int64_t dead_us = 0;
	size_t good = 0;
	size_t dead = 0;

	(void)state;
	set_up(3, 3, 100);
	while (now_us < 70000 * MS) {
		struct instrument *next;
		int64_t due_us;

		next = instruments_next(&instruments, now_us, &due_us);
		if (!next) {
			now_us = due_us;
			continue;
		}
		if (next == &instruments.items[0]) {
			good += poll_next(0, 5 * MS) == 0;
		} else {
			poll_next(-ETIMEDOUT, 100 * MS);
			dead_us += 100 * MS;
			dead++;
		}
	}
	assert_true(dead_us <= 60000 * MS / 100 * UNIT_PROBE_SHARE + 4 * 100 * MS);
	assert_true(dead >= 10);  /* and yet they are asked now and then */
	assert_true(good >= 570); /* of 600 */
	tear_down();
}

static void
test_lost_and_back(void **state)
{
	struct instrument *instrument;
	enum unit_change change = UNIT_SAME;
	int64_t away_us = 0;

	(void)state;
	set_up(1, 1, 100);
	instrument = &instruments.items[0];
	says(0, 0, 1);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(change, UNIT_SAME);
		change = instruments_judge(&instruments, instrument, -ETIMEDOUT, now_us, now_us + 100 * MS, &away_us);
		now_us += 1000 * MS;
	}
	assert_int_equal(change, UNIT_LOST);
	assert_int_equal(sample_count, 3);
	assert_int_equal(samples[2].quality, QUALITY_OFFLINE);
	assert_int_equal(instruments_judge(&instruments, instrument, 0, now_us, now_us, &away_us), UNIT_BACK);
	assert_int_equal(away_us, 3000 * MS);
	tear_down();
}

static void
test_a_wanted_one_goes_first(void **state)
{
	int64_t due_us;

	(void)state;
	set_up(2, 2, 100);
	poll_next(0, MS);
	poll_next(0, MS);
	assert_null(instruments_next(&instruments, now_us, &due_us));
	instruments.items[1].wanted = true;
	assert_ptr_equal(instruments_next(&instruments, now_us, &due_us), &instruments.items[1]);
	tear_down();
}

static int
group_set_up(void **state)
{
	(void)state;
	clock_replace(&source);
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_stream_is_thinned),
		cmocka_unit_test(test_a_slow_one_is_passed_on_at_once),
		cmocka_unit_test(test_what_nobody_wants_ends_here),
		cmocka_unit_test(test_every_one_and_aggregates),
		cmocka_unit_test(test_those_of_a_frame_go_together),
		cmocka_unit_test(test_no_value_is_said_once_and_the_next_good_one_at_once),
		cmocka_unit_test(test_silence),
		cmocka_unit_test(test_stale),
		cmocka_unit_test(test_no_room),
		cmocka_unit_test(test_all_have_their_turn),
		cmocka_unit_test(test_the_dead_cost_a_bounded_share),
		cmocka_unit_test(test_lost_and_back),
		cmocka_unit_test(test_a_wanted_one_goes_first),
	};

	return cmocka_run_group_tests(tests, group_set_up, NULL);
}
