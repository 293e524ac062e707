/* Sessions against the ThingsBoard bench, in the loop of the test itself. */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/log.h"
#include "cloud/mqtt.h"
#include "fake/thingsboard.h"

#define AWAIT_MS 20000
#define TEST_S	 200 /* no test waits for ever, whatever is broken */

struct owner {
	struct mqtt_session *session;
	int ups, downs, acks, refusals, granted, denied, messages;
	int last_id;
	int end; /* of the last connection that was up */
	char topic[64], payload[64];
};

struct bench {
	struct thingsboard tb;
	struct server_settings server;
	struct resolver *resolver;
	sd_event *loop;
	struct mqtt *mqtt;
	struct owner owner;
};

static void
on_up(void *ctx)
{
	((struct owner *)ctx)->ups++;
}

static void
on_down(void *ctx)
{
	struct owner *owner = ctx;

	owner->downs++;
	owner->end = mqtt_session_end(owner->session);
}

static void
on_acked(void *ctx, int id)
{
	struct owner *owner = ctx;

	owner->acks++;
	owner->last_id = id;
}

static void
on_refused(void *ctx, int id, int reason)
{
	(void)id, (void)reason;
	((struct owner *)ctx)->refusals++;
}

static void
on_subscribed(void *ctx, int id, bool granted)
{
	struct owner *owner = ctx;

	owner->last_id = id;
	owner->granted += granted;
	owner->denied += !granted;
}

static void
on_message(void *ctx, const char *topic, const void *payload, size_t length)
{
	struct owner *owner = ctx;

	owner->messages++;
	strncpy(owner->topic, topic, sizeof(owner->topic) - 1);
	assert_true(length < sizeof(owner->payload));
	memcpy(owner->payload, payload, length);
}

static const struct mqtt_events events = {
	.up = on_up,
	.down = on_down,
	.acked = on_acked,
	.refused = on_refused,
	.subscribed = on_subscribed,
	.message = on_message,
};

static const struct credentials token = { .kind = CREDENTIALS_TOKEN, .token = "token" };

/* Of the test that runs: closed when it is over, however it ends. */
static struct bench *open_now;

static struct bench *
open_bench(const char *host)
{
	struct bench *bench = open_now = calloc(1, sizeof(*bench));

	assert_non_null(bench);
	thingsboard_start(&bench->tb);
	bench->server = (struct server_settings){
		.host = host,
		.port = bench->tb.port,
		.keepalive_s = 60,
		.connect_timeout_ms = 2000,
		.reconnect_min_ms = 20,
		.reconnect_max_ms = 100,
	};
	bench->resolver = resolver_start();
	assert_int_equal(sd_event_new(&bench->loop), 0);
	bench->mqtt = mqtt_new(&bench->server, bench->loop, bench->resolver, &events);
	assert_non_null(bench->mqtt);
	return bench;
}

static void
connect_session(struct bench *bench)
{
	bench->owner.session = mqtt_session_new(bench->mqtt, "Boiler", &token, &bench->owner);
	assert_non_null(bench->owner.session);
}

static void
close_bench(struct bench *bench)
{
	open_now = NULL;
	mqtt_free(bench->mqtt);
	resolver_stop(bench->resolver);
	sd_event_unref(bench->loop);
	thingsboard_stop(&bench->tb);
	free(bench);
}

static int
set_up(void **state)
{
	(void)state;
	alarm(TEST_S);
	log_init(LOG_LEVEL_ERROR, true);
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	if (open_now)
		close_bench(open_now);
	alarm(0);
	return 0;
}

#define run_until(bench, condition)                                                                          \
	do {                                                                                                 \
		int64_t due_mono_ms = clock_mono_ms() + AWAIT_MS;                                            \
		while (!(condition)) {                                                                       \
			sd_event_run((bench)->loop, 100000);                                                 \
			if (clock_mono_ms() > due_mono_ms)                                                   \
				fail_msg("not in time: %s", #condition);                                     \
		}                                                                                            \
	} while (0)

static void
a_session_publishes_subscribes_and_hears(void **state)
{
	static const char *const good[] = { "v1/devices/me/rpc/request/+", "v1/devices/me/attributes" };
	static const char *const bad[] = { "v1/devices/me/#" };
	struct bench *bench = open_bench("localhost");
	struct owner *owner = &bench->owner;
	int id;

	(void)state;
	connect_session(bench);
	assert_int_equal(mqtt_publish(owner->session, "v1/devices/me/telemetry", "{}", 2), -ENOTCONN);
	run_until(bench, owner->ups == 1);
	id = mqtt_publish(owner->session, "v1/devices/me/telemetry", "{\"a\":1}", 7);
	assert_true(id > 0);
	run_until(bench, owner->acks == 1);
	assert_int_equal(owner->last_id, id);
	id = mqtt_subscribe(owner->session, good, 2);
	run_until(bench, owner->granted == 1);
	assert_int_equal(owner->last_id, id);
	assert_true(mqtt_subscribe(owner->session, bad, 1) > 0);
	run_until(bench, owner->denied == 1);
	thingsboard_do(&bench->tb, "{\"cmd\":\"raw\",\"token\":\"token\",\"topic\":\"v1/devices/me/"
				   "attributes\",\"payload\":\"{}\",\"qos\":1}");
	run_until(bench, owner->messages == 1);
	assert_string_equal(owner->topic, "v1/devices/me/attributes");
	assert_string_equal(owner->payload, "{}");
	/* MQTT 5 tells what is wrong with a payload, and the connection stays. */
	assert_true(mqtt_publish(owner->session, "v1/devices/me/telemetry", "nonsense", 8) > 0);
	run_until(bench, owner->refusals == 1);
	assert_int_equal(owner->downs, 0);
}

static void
a_lost_session_comes_back(void **state)
{
	struct bench *bench = open_bench("127.0.0.1");

	(void)state;
	connect_session(bench);
	run_until(bench, bench->owner.ups == 1);
	thingsboard_do(&bench->tb, "{\"cmd\":\"kick\",\"reset\":true}");
	run_until(bench, bench->owner.ups == 2);
	assert_int_equal(bench->owner.downs, 1);
	mqtt_session_restart(bench->owner.session, "of a test");
	assert_false(mqtt_session_is_up(bench->owner.session));
	assert_int_equal(bench->owner.downs, 1); /* never from inside a call */
	run_until(bench, bench->owner.ups == 3);
	assert_int_equal(bench->owner.downs, 2);
	assert_int_equal(mqtt_counts(bench->mqtt).losses, 2);
	assert_int_equal(mqtt_counts(bench->mqtt).up, 1);
}

/* A server that vanished without a word while nothing is published: the ping has no answer. */
static void
silence_ends_a_session_after_the_keep_alive(void **state)
{
	struct bench *bench = open_bench("127.0.0.1");

	(void)state;
	bench->server.keepalive_s = 5;
	connect_session(bench);
	run_until(bench, bench->owner.ups == 1);
	kill(bench->tb.pid, SIGSTOP);
	run_until(bench, bench->owner.downs == 1);
	kill(bench->tb.pid, SIGCONT);
	run_until(bench, bench->owner.ups == 2);
}

static void
a_server_that_is_down_is_no_older_server(void **state)
{
	struct bench *bench = open_bench("127.0.0.1");

	(void)state;
	thingsboard_do(&bench->tb, "{\"cmd\":\"stop\"}");
	connect_session(bench);
	run_until(bench, mqtt_counts(bench->mqtt).failures >= 5);
	assert_int_equal(mqtt_counts(bench->mqtt).version, 5);
	thingsboard_do(&bench->tb, "{\"cmd\":\"start\"}");
	run_until(bench, bench->owner.ups == 1);
	assert_int_equal(mqtt_counts(bench->mqtt).version, 5);
}

static void
closing_without_connack_means_another_version(void **state)
{
	struct bench *bench = open_bench("127.0.0.1");

	(void)state;
	thingsboard_do(&bench->tb, "{\"cmd\":\"max_version\",\"version\":4}");
	connect_session(bench);
	run_until(bench, bench->owner.ups == 1);
	assert_int_equal(mqtt_counts(bench->mqtt).version, 4);
	assert_int_equal(mqtt_counts(bench->mqtt).failures, 2);
	/* What has worked is kept. */
	thingsboard_do(&bench->tb, "{\"cmd\":\"kick\"}");
	run_until(bench, bench->owner.ups == 2);
	assert_int_equal(mqtt_counts(bench->mqtt).failures, 2);
}

static void
a_proxy_before_a_dead_server_does_not_lock_the_version(void **state)
{
	struct bench *bench = open_bench("127.0.0.1");

	(void)state;
	thingsboard_do(&bench->tb, "{\"cmd\":\"refuse_accept\",\"on\":true}");
	connect_session(bench);
	run_until(bench, mqtt_counts(bench->mqtt).failures >= 5);
	thingsboard_do(&bench->tb, "{\"cmd\":\"refuse_accept\",\"on\":false}");
	run_until(bench, bench->owner.ups == 1);
}

/* CONNACK 1 of 3.1.1, and 0x84: the other version is tried, whichever was refused. */
static void
a_refused_version_means_the_other_one(void **state)
{
	static const int codes[] = { 1, 132 };

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct bench *bench = open_bench("127.0.0.1");

		thingsboard_do(&bench->tb, "{\"cmd\":\"refuse\",\"code\":%d}", codes[i]);
		connect_session(bench);
		run_until(bench, mqtt_counts(bench->mqtt).refusals == 1);
		assert_int_equal(mqtt_counts(bench->mqtt).version, 4);
		run_until(bench, mqtt_counts(bench->mqtt).refusals == 2);
		assert_int_equal(mqtt_counts(bench->mqtt).version, 5);
		thingsboard_do(&bench->tb, "{\"cmd\":\"refuse\",\"code\":0}");
		run_until(bench, bench->owner.ups == 1);
		close_bench(bench);
	}
}

static void
every_refusal_is_tried_again(void **state)
{
	static const int codes[] = { 132, 133, 134, 135, 136, 137, 138, 151, 159 };
	struct bench *bench = open_bench("127.0.0.1");

	(void)state;
	connect_session(bench);
	for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
		uint64_t before;

		thingsboard_do(&bench->tb, "{\"cmd\":\"refuse\",\"code\":%d}", codes[i]);
		thingsboard_do(&bench->tb, "{\"cmd\":\"kick\"}");
		before = mqtt_counts(bench->mqtt).refusals;
		run_until(bench, mqtt_counts(bench->mqtt).refusals > before);
	}
	thingsboard_do(&bench->tb, "{\"cmd\":\"refuse\",\"code\":0}");
	run_until(bench, bench->owner.ups == 1 && mqtt_counts(bench->mqtt).up == 1);
}

static void
a_name_that_is_none_is_asked_for_again(void **state)
{
	struct bench *bench = open_bench("none.test");

	(void)state;
	connect_session(bench);
	run_until(bench, mqtt_counts(bench->mqtt).failures >= 2);
}

/* The server listens on the last one; a name is asked for again soon, and its first address is not tried again. */
static void
every_address_of_a_name_is_tried(void **state)
{
	struct bench *bench = open_bench("three.test");

	(void)state;
	connect_session(bench);
	run_until(bench, bench->owner.ups == 1);
	assert_int_equal(mqtt_counts(bench->mqtt).failures, 2);
	thingsboard_do(&bench->tb, "{\"cmd\":\"kick\"}");
	run_until(bench, bench->owner.ups == 2);
	assert_int_equal(mqtt_counts(bench->mqtt).failures, 2);
}

static void
closing_says_goodbye(void **state)
{
	struct bench *bench = open_bench("127.0.0.1");
	struct json_object *event;

	(void)state;
	connect_session(bench);
	run_until(bench, bench->owner.ups == 1);
	mqtt_close_all(bench->mqtt);
	run_until(bench, mqtt_active(bench->mqtt) == 0);
	assert_int_equal(bench->owner.downs, 0);
	assert_int_equal(mqtt_counts(bench->mqtt).up, 0);
	event = thingsboard_await(&bench->tb, "disconnect", NULL);
	assert_string_equal(event_text(event, "reason"), "client");
	json_object_put(event);
}

/* Who ended a connection: the server, with or without a word, or we. */
static void
the_end_of_a_session_has_an_author(void **state)
{
	struct bench *bench = open_bench("127.0.0.1");

	(void)state;
	connect_session(bench);
	run_until(bench, bench->owner.ups == 1);
	thingsboard_do(&bench->tb, "{\"cmd\":\"kick\"}");
	run_until(bench, bench->owner.ups == 2);
	assert_int_equal(bench->owner.end, MQTT_END_CLOSED);
	thingsboard_do(&bench->tb, "{\"cmd\":\"kick\",\"reset\":true}");
	run_until(bench, bench->owner.ups == 3);
	assert_int_equal(bench->owner.end, MQTT_END_CLOSED);
	mqtt_session_restart(bench->owner.session, "of a test");
	run_until(bench, bench->owner.ups == 4);
	assert_int_equal(bench->owner.end, MQTT_END_OURS);
	mqtt_publish(bench->owner.session, "v1/devices/me/telemetry", "{\"ts\":\"x\",\"values\":{}}", 22);
	run_until(bench, bench->owner.ups == 5);
	assert_int_equal(bench->owner.end, 0x8B);
}

static void
a_session_that_is_held_is_closed_until_it_is_wanted(void **state)
{
	struct bench *bench = open_bench("127.0.0.1");
	struct json_object *event;

	(void)state;
	connect_session(bench);
	mqtt_session_hold(bench->owner.session, true);
	mqtt_session_hold(bench->owner.session, false);
	run_until(bench, bench->owner.ups == 1);
	mqtt_session_hold(bench->owner.session, true);
	run_until(bench, bench->owner.downs == 1);
	assert_int_equal(bench->owner.end, MQTT_END_OURS);
	event = thingsboard_await(&bench->tb, "disconnect", NULL);
	assert_string_equal(event_text(event, "reason"), "client");
	json_object_put(event);
	assert_int_equal(mqtt_counts(bench->mqtt).losses, 0);
	assert_int_equal(mqtt_active(bench->mqtt), 0);
	mqtt_session_hold(bench->owner.session, false);
	run_until(bench, bench->owner.ups == 2);
	/* Nor does one come up that was on its way. */
	thingsboard_do(&bench->tb, "{\"cmd\":\"stop\"}");
	run_until(bench, mqtt_counts(bench->mqtt).failures >= 2);
	mqtt_session_hold(bench->owner.session, true);
	run_until(bench, mqtt_active(bench->mqtt) == 0);
	thingsboard_do(&bench->tb, "{\"cmd\":\"start\"}");
	mqtt_session_hold(bench->owner.session, false);
	run_until(bench, bench->owner.ups == 3);
}

/* The library keeps every message until it is acknowledged. */
static void
what_nobody_acknowledges_is_bounded(void **state)
{
	struct bench *bench = open_bench("127.0.0.1");
	int sent = 0, result;

	(void)state;
	bench->server.ack_timeout_ms = 100;
	connect_session(bench);
	run_until(bench, bench->owner.ups == 1);
	thingsboard_do(&bench->tb, "{\"cmd\":\"puback\",\"mode\":\"drop\"}");
	do {
		sd_event_run(bench->loop, 0);
		result = mqtt_publish(bench->owner.session, "v1/devices/me/telemetry", "{\"a\":1}", 7);
		sent += result > 0;
	} while (result > 0 && sent < 5000);
	assert_int_equal(result, -ENOMEM);
	assert_int_equal(sent, 1000);
	/* A server that is so long silent will not do it any more. */
	while (bench->owner.downs == 0) {
		mqtt_publish(bench->owner.session, "v1/devices/me/telemetry", "{\"a\":1}", 7);
		sd_event_run(bench->loop, 10000);
	}
	assert_int_equal(bench->owner.end, MQTT_END_OURS);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_session_publishes_subscribes_and_hears),
		TEST(a_lost_session_comes_back),
		TEST(silence_ends_a_session_after_the_keep_alive),
		TEST(a_server_that_is_down_is_no_older_server),
		TEST(closing_without_connack_means_another_version),
		TEST(a_proxy_before_a_dead_server_does_not_lock_the_version),
		TEST(a_refused_version_means_the_other_one),
		TEST(every_refusal_is_tried_again),
		TEST(a_name_that_is_none_is_asked_for_again),
		TEST(every_address_of_a_name_is_tried),
		TEST(closing_says_goodbye),
		TEST(the_end_of_a_session_has_an_author),
		TEST(a_session_that_is_held_is_closed_until_it_is_wanted),
		TEST(what_nobody_acknowledges_is_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
