/* A unit that goes away and comes back, on a clock of our own. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "field/unit.h"

#define MS 1000

static void
test_three_failures_take_it_offline_with_growing_pauses(void **state)
{
	static const int pauses_s[] = { 1, 2, 4, 8, 16, 30, 30 };
	struct unit unit;
	int64_t now = 1000000;

	(void)state;
	unit_init(&unit, 17, false);
	assert_int_equal(unit_failed(&unit, now, now + 500 * MS, 1000 * MS), UNIT_SAME);
	assert_int_equal(unit.state, UNIT_SUSPECT);
	assert_true(unit.held_until_us <= now + 500 * MS); /* with transaction ids nothing can be mistaken */
	assert_int_equal(unit_failed(&unit, now, now + 500 * MS, 1000 * MS), UNIT_SAME);
	for (size_t i = 0; i < sizeof(pauses_s) / sizeof(pauses_s[0]); i++) {
		assert_int_equal(
		    unit_failed(&unit, now, now + 500 * MS, 1000 * MS), i == 0 ? UNIT_LOST : UNIT_SAME);
		now += 500 * MS;
		assert_int_equal(unit.held_until_us, now + (int64_t)pauses_s[i] * 1000 * MS);
		now = unit.held_until_us;
	}
}

static void
test_one_answer_brings_it_back_at_full_rate(void **state)
{
	struct unit unit;
	int64_t now = 1000000;
	int64_t away = -1;

	(void)state;
	unit_init(&unit, 17, false);
	for (int i = 0; i < 5; i++)
		unit_failed(&unit, now + i * 500 * MS, now + (i + 1) * 500 * MS, 1000 * MS);
	now += 20000 * MS;
	assert_int_equal(unit_answered(&unit, now - 10 * MS, now, &away), UNIT_BACK);
	assert_int_equal(away, 20000 * MS);
	assert_int_equal(unit.state, UNIT_ONLINE);
	assert_true(unit.held_until_us <= now);
	assert_int_equal(unit_failed(&unit, now, now + 500 * MS, 1000 * MS), UNIT_SAME);
	assert_int_equal(unit_answered(&unit, now, now, &away), UNIT_SAME);
	assert_int_equal(unit.failures, 0);
}

static void
test_it_knows_since_when(void **state)
{
	struct unit unit;
	int64_t now = 1000000;
	int64_t away;

	(void)state;
	unit_init(&unit, 17, false);
	assert_int_equal(unit.since_us, 0);
	assert_int_equal(unit.answered_us, 0);
	unit_answered(&unit, now, now + 5 * MS, &away);
	unit_answered(&unit, now + 100 * MS, now + 105 * MS, &away);
	assert_int_equal(unit.since_us, now + 5 * MS);
	assert_int_equal(unit.answered_us, now + 105 * MS);
	for (int i = 0; i < 4; i++) {
		unit_failed(&unit, now + (200 + i) * MS, now + (201 + i) * MS, 0);
		assert_int_equal(unit.since_us, now + 200 * MS); /* suspect or offline: when its silence began */
	}
	assert_int_equal(unit.answered_us, now + 105 * MS);
	unit_answered(&unit, now + 900 * MS, now + 901 * MS, &away);
	assert_int_equal(unit.since_us, now + 901 * MS);
}

static void
test_without_transactions_it_rests_as_long_as_a_late_reply_may_come(void **state)
{
	struct unit unit;
	int64_t now = 1000000;
	int64_t away;

	(void)state;
	unit_init(&unit, 17, true);
	unit_failed(&unit, now, now + 500 * MS, 1000 * MS);
	assert_int_equal(unit.quiet_until_us, now + 1000 * MS); /* one timeout more */
	now = unit.quiet_until_us;
	/* It answers: was that the answer to this request, or to the one a second ago? Wait a second to see, and a
	 * little more, since no two replies are late by the same. */
	unit_answered(&unit, now, now + 20 * MS, &away);
	assert_int_equal(unit.quiet_until_us, now + 20 * MS + 1000 * MS + UNIT_PROVING_SLACK_MS * MS);
	/* Something more comes: it was the one of a second ago. */
	unit_stale(&unit, now + 700 * MS);
	assert_int_equal(unit.state, UNIT_SUSPECT);
	assert_int_equal(unit.counters.stale, 1);
	assert_int_equal(unit.quiet_until_us, now + 1700 * MS);
}

static void
test_a_stale_frame_of_a_unit_in_step_changes_nothing(void **state)
{
	struct unit unit;
	int64_t away;

	(void)state;
	unit_init(&unit, 17, true);
	unit_answered(&unit, 1000 * MS, 1010 * MS, &away);
	assert_int_equal(unit_stale(&unit, 100000 * MS), UNIT_SAME);
	assert_int_equal(unit.state, UNIT_ONLINE);
}

static void
test_a_suspect_is_waited_for_as_long_as_it_takes_not_as_long_as_allowed(void **state)
{
	struct unit unit;
	int64_t now = 1000000;
	int64_t away;

	(void)state;
	unit_init(&unit, 17, true);
	/* Nothing is known: the timeout, however often it fails. */
	unit_failed(&unit, now, now, 0);
	assert_int_equal(unit_wait_ms(&unit, 20 * MS, 500), 500);
	unit_answered(&unit, now, now, &away);
	for (int i = 0; i < 100; i++) {
		unit_measure(&unit, 30 * MS + i % 5 * MS, 20 * MS);
		unit_answered(&unit, now, now, &away);
	}
	assert_in_range(unit.turnaround_us, 11 * MS, 13 * MS);
	assert_int_equal(unit_wait_ms(&unit, 20 * MS, 500), 500);
	unit_failed(&unit, now, now, 0);
	assert_in_range(unit_wait_ms(&unit, 20 * MS, 500), 60, 100);
	assert_int_equal(unit_wait_ms(&unit, 20 * MS, 40), 40); /* never more than is allowed */
	unit_failed(&unit, now, now, 0);
	unit_failed(&unit, now, now, 0);
	assert_int_equal(unit_wait_ms(&unit, 20 * MS, 500), 500); /* now and then patiently */
	unit_failed(&unit, now, now, 0);
	assert_in_range(unit_wait_ms(&unit, 20 * MS, 500), 60, 100);
	unit_stale(&unit, now); /* it is there, but slower than it was */
	assert_int_equal(unit_wait_ms(&unit, 20 * MS, 500), 500);
	/* Back, it has to earn its trust. */
	for (int i = 0; i < UNIT_TRUST; i++) {
		assert_true(unit_wait_ms(&unit, 20 * MS, 500) < 500 || i == 0);
		unit_answered(&unit, now, now, &away);
	}
	assert_int_equal(unit_wait_ms(&unit, 20 * MS, 500), 500);
}

static void
test_a_short_wait_keeps_it_quiet_as_long_as_the_timeout_would(void **state)
{
	struct unit unit;
	int64_t now = 1000000;

	(void)state;
	unit_init(&unit, 17, true);
	unit_failed(&unit, now, now + 60 * MS, 1000 * MS);
	assert_int_equal(unit.quiet_until_us, now + 1000 * MS);
}

static void
test_a_late_frame_of_a_lost_unit_has_it_asked_soon(void **state)
{
	struct unit unit;
	int64_t now = 1000000;

	(void)state;
	unit_init(&unit, 17, true);
	for (int i = 0; i < 8; i++)
		unit_failed(&unit, now, now, 0);
	assert_int_equal(unit.held_until_us, now + 30000 * MS);
	unit_stale(&unit, now);
	assert_int_equal(unit.held_until_us, now + 1000 * MS);
}

static void
test_what_happened_is_counted(void **state)
{
	struct unit_counters counters = { 0 };
	struct unit unit;

	(void)state;
	for (int result = 0; result < 4; result++)
		unit_count(&counters, result);
	unit_count(&counters, 99);
	unit_count(&counters, -ETIMEDOUT);
	unit_count(&counters, -EBADMSG);
	assert_int_equal(counters.requests, 7);
	assert_int_equal(counters.answers, 1);
	assert_int_equal(counters.exceptions, 4);
	assert_int_equal(counters.by_exception[2], 1);
	assert_int_equal(counters.by_exception[0], 1);
	assert_int_equal(counters.timeouts, 1);
	assert_int_equal(counters.bad_frames, 1);

	unit_init(&unit, 1, false);
	assert_int_equal(unit_latency_us(&unit.counters.latency, 990), 0);
	for (int i = 0; i < 1000; i++)
		unit_measure(&unit, i < 980 ? 10 * MS : 200 * MS, 0);
	assert_in_range(unit_latency_us(&unit.counters.latency, 500), 10 * MS, 15 * MS);
	assert_in_range(unit_latency_us(&unit.counters.latency, 950), 10 * MS, 15 * MS);
	assert_int_equal(unit_latency_us(&unit.counters.latency, 990), 200 * MS);
	assert_int_equal(unit.counters.latency.max_us, 200 * MS);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_three_failures_take_it_offline_with_growing_pauses),
		cmocka_unit_test(test_it_knows_since_when),
		cmocka_unit_test(test_one_answer_brings_it_back_at_full_rate),
		cmocka_unit_test(test_without_transactions_it_rests_as_long_as_a_late_reply_may_come),
		cmocka_unit_test(test_a_stale_frame_of_a_unit_in_step_changes_nothing),
		cmocka_unit_test(test_a_suspect_is_waited_for_as_long_as_it_takes_not_as_long_as_allowed),
		cmocka_unit_test(test_a_short_wait_keeps_it_quiet_as_long_as_the_timeout_would),
		cmocka_unit_test(test_a_late_frame_of_a_lost_unit_has_it_asked_soon),
		cmocka_unit_test(test_what_happened_is_counted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
