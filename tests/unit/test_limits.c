/* What the server allows, in virtual time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "cloud/limits.h"

static void
hear(struct limits *limits, const char *messages, const char *telemetry, const char *points, int64_t now)
{
	char answer[512];

	snprintf(answer, sizeof(answer),
	    "{\"maxPayloadSize\":65536,\"maxInflightMessages\":100,\"rateLimits\":{\"messages\":%s,"
	    "\"telemetryMessages\":%s,\"telemetryDataPoints\":%s}}",
	    messages, telemetry, points);
	assert_int_equal(limits_hear(limits, LIMITS_OF_SESSION, answer, strlen(answer), now), 0);
}

/* A bucket as the server has it, to hold ours against. */
struct server {
	double capacity, tokens, per_ms;
	int64_t last_ms;
};

static bool
server_takes(struct server *server, double tokens, int64_t now)
{
	server->tokens += (double)(now - server->last_ms) * server->per_ms;
	server->last_ms = now;
	if (server->tokens > server->capacity)
		server->tokens = server->capacity;
	if (server->tokens < tokens)
		return false;
	server->tokens -= tokens;
	return true;
}

static void
without_an_answer_nothing_is_limited(void **state)
{
	struct limits limits = { .in_flight_max = 0 };

	(void)state;
	assert_int_equal(limits_points_max(&limits), LIMITS_NONE);
	assert_int_equal(limits_room(&limits, 1000), LIMITS_NONE);
	limits_spend(&limits, 1000000, 1000);
	assert_int_equal(limits_due_mono_ms(&limits, 1000000, 1000), 1000);
	assert_int_equal(limits_due_mono_ms(&limits, 0, 1000), 1000);
}

static void
the_answer_is_taken_at_80_percent(void **state)
{
	struct limits limits = { .in_flight_max = 0 };

	(void)state;
	hear(&limits, "\"10:1\"", "\"100:1,1000:60\"", "\"500:1,2000:60\"", 0);
	assert_int_equal(limits.in_flight_max, 80);
	assert_int_equal(limits.packet_max, 65536);
	assert_int_equal(limits_points_max(&limits), 400);
	assert_int_equal(limits_room(&limits, 0), 400);
	/* null and "" are how it says that there is none. */
	hear(&limits, "null", "\"\"", "null", 0);
	assert_int_equal(limits_points_max(&limits), LIMITS_NONE);
	assert_int_equal(limits_room(&limits, 0), LIMITS_NONE);
}

static void
what_is_no_answer_changes_nothing(void **state)
{
	static const char *const texts[] = { "", "{}", "[]", "null", "7", "{\"error\":\"timeout\"}", "\"x\"",
		"{\"rateLimits\":", "{\"maxInflightMessages\":\"x\"}", "{\"maxPayloadSize\":-1}" };
	struct limits limits = { .in_flight_max = 0 };

	(void)state;
	hear(&limits, "\"\"", "\"\"", "\"10:1\"", 0);
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		assert_true(limits_hear(&limits, LIMITS_OF_SESSION, texts[i], strlen(texts[i]), 0) < 0);
		assert_int_equal(limits_points_max(&limits), 8);
	}
}

/* A rate that nobody understands is none, and never a crash or a wait for ever. */
static void
rates_that_are_none(void **state)
{
	static const char *const texts[] = { "\"10\"", "\"10:\"", "\":1\"", "\"0:1\"", "\"10:0\"", "\"-1:1\"", "\"a:b\"",
		"7", "{}", "[\"10:1\"]", "\"99999999999999999999:1\"" };
	struct limits limits = { .in_flight_max = 0 };

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		hear(&limits, texts[i], texts[i], texts[i], 0);
		assert_true(limits_room(&limits, 0) > 1000000);
	}
	/* The first that is one counts. */
	hear(&limits, "\"\"", "\"\"", "\"10:1,x\"", 0);
	assert_int_equal(limits_room(&limits, 0), 8);
}

static void
a_bucket_of_one_lets_one_through(void **state)
{
	struct limits limits = { .in_flight_max = 0 };

	(void)state;
	hear(&limits, "\"\"", "\"1:1\"", "\"1:1\"", 0);
	assert_int_equal(limits_points_max(&limits), 1);
	assert_int_equal(limits_room(&limits, 0), 1);
	limits_spend(&limits, 1, 0);
	assert_int_equal(limits_room(&limits, 0), 0);
	assert_int_equal(limits_due_mono_ms(&limits, 1, 0), 1250);
	assert_int_equal(limits_room(&limits, 1249), 0);
	assert_int_equal(limits_room(&limits, 1250), 1);
}

/* As fast as we may, for ten virtual minutes: the server never has to object, and is used at 80 %. */
static void
the_server_never_objects(void **state)
{
	struct limits limits = { .in_flight_max = 0 };
	struct server messages[] = { { 20, 20, 20 / 1000.0, 0 }, { 300, 300, 300 / 60000.0, 0 } };
	struct server points[] = { { 100, 100, 100 / 1000.0, 0 }, { 2000, 2000, 2000 / 60000.0, 0 } };
	int64_t now = 0, end = 600000;
	uint64_t sent = 0;

	(void)state;
	hear(&limits, "\"\"", "\"20:1,300:60\"", "\"100:1,2000:60\"", 0);
	while (now < end) {
		unsigned room = limits_room(&limits, now);
		unsigned wanted = room > 7 ? 7 : room;

		if (room == 0) {
			now = limits_due_mono_ms(&limits, 7, now);
			continue;
		}
		for (size_t i = 0; i < 2; i++) {
			assert_true(server_takes(&messages[i], 1, now));
			assert_true(server_takes(&points[i], wanted, now));
		}
		limits_spend(&limits, wanted, now);
		sent += wanted;
	}
	assert_in_range(sent, 600 * 2000 / 60 * 0.75, 2000 + 600 * 2000 / 60 * 0.8);
}

static void
other_messages_have_a_bucket_of_their_own(void **state)
{
	struct limits limits = { .in_flight_max = 0 };

	(void)state;
	hear(&limits, "\"10:1\"", "\"10:1\"", "\"100:1\"", 0);
	/* What cannot wait is sent beyond the share: that is what it was left for. */
	for (int i = 0; i < 10; i++)
		limits_spend(&limits, 0, 0);
	assert_int_equal(limits_room(&limits, 0), 80);
	assert_int_equal(limits_due_mono_ms(&limits, 0, 0), 375);
}

/* A reconnect does not fill the server's buckets, so it does not fill ours. */
static void
the_same_answer_fills_nothing(void **state)
{
	struct limits limits = { .in_flight_max = 0 };

	(void)state;
	hear(&limits, "\"\"", "\"\"", "\"100:60\"", 0);
	limits_spend(&limits, 80, 0);
	hear(&limits, "\"\"", "\"\"", "\"100:60\"", 0);
	assert_int_equal(limits_room(&limits, 0), 0);
	hear(&limits, "\"\"", "\"\"", "\"200:60\"", 0);
	assert_int_equal(limits_room(&limits, 0), 160);
}

static void
what_is_drained_fills_again(void **state)
{
	struct limits limits = { .in_flight_max = 0 };

	(void)state;
	hear(&limits, "\"\"", "\"100:3600\"", "\"100:1\"", 0);
	limits_drain(&limits, false, 0);
	assert_int_equal(limits_room(&limits, 0), 0);
	assert_int_equal(limits_room(&limits, 1000), 80);
	limits_drain(&limits, true, 1000);
	assert_int_equal(limits_due_mono_ms(&limits, 1, 1000), 1000 + 45000);
}

/* What the server does on its own takes what there is, and never more. */
static void
what_the_server_takes_itself(void **state)
{
	struct limits limits = { .in_flight_max = 0 };

	(void)state;
	hear(&limits, "\"10:1\"", "\"\"", "\"\"", 0);
	for (int i = 0; i < 100; i++)
		limits_lose(&limits, 0);
	assert_int_equal(limits_due_mono_ms(&limits, 0, 0), 125);
}

/* CONNECT and SUBSCRIBE have taken their tokens before the server says how many there are. */
static void
what_went_before_the_answer_is_missing(void **state)
{
	struct limits limits = { .in_flight_max = 0 };

	(void)state;
	limits_begin(&limits);
	for (int i = 0; i < 8; i++)
		limits_spend(&limits, 0, 0);
	hear(&limits, "\"10:1\"", "\"\"", "\"\"", 0);
	assert_int_equal(limits_due_mono_ms(&limits, 0, 0), 125);
	/* Of another connection it is not. */
	limits_begin(&limits);
	hear(&limits, "\"20:1\"", "\"\"", "\"\"", 0);
	assert_int_equal(limits_due_mono_ms(&limits, 0, 0), 0);
}

static void
a_gateway_has_two_sets(void **state)
{
	static const char answer[] = "{\"rateLimits\":{\"telemetryDataPoints\":\"10:1\"},"
				     "\"gatewayRateLimits\":{\"telemetryDataPoints\":\"100:1\"}}";
	static const char one[] = "{\"rateLimits\":{\"telemetryDataPoints\":\"10:1\"}}";
	struct limits own = { .in_flight_max = 0 }, devices = own;

	(void)state;
	assert_int_equal(limits_hear(&own, LIMITS_OF_SESSION, answer, sizeof(answer) - 1, 0), 0);
	assert_int_equal(limits_hear(&devices, LIMITS_OF_ITS_DEVICES, answer, sizeof(answer) - 1, 0), 0);
	assert_int_equal(limits_points_max(&own), 8);
	assert_int_equal(limits_points_max(&devices), 80);
	assert_int_equal(limits_hear(&devices, LIMITS_OF_ITS_DEVICES, one, sizeof(one) - 1, 0), 0);
	assert_int_equal(limits_points_max(&devices), 8);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(without_an_answer_nothing_is_limited),
		cmocka_unit_test(the_answer_is_taken_at_80_percent),
		cmocka_unit_test(what_is_no_answer_changes_nothing),
		cmocka_unit_test(rates_that_are_none),
		cmocka_unit_test(a_bucket_of_one_lets_one_through),
		cmocka_unit_test(the_server_never_objects),
		cmocka_unit_test(other_messages_have_a_bucket_of_their_own),
		cmocka_unit_test(the_same_answer_fills_nothing),
		cmocka_unit_test(what_is_drained_fills_again),
		cmocka_unit_test(what_the_server_takes_itself),
		cmocka_unit_test(what_went_before_the_answer_is_missing),
		cmocka_unit_test(a_gateway_has_two_sets),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
