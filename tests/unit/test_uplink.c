/* The whole cloud side against a server that behaves like ThingsBoard. */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <systemd/sd-event.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/fifo.h"
#include "base/log.h"
#include "cloud/uplink.h"
#include "fake/thingsboard.h"

#define TEST_S 200 /* no test waits for ever, whatever is broken */

/* A field of one bus: what is written is held, and read back. */
struct bench {
	struct bench *next;
	struct thingsboard tb;
	struct settings settings;
	struct bus bus;
	struct uplink *uplink;
	struct sample_sink samples;
	struct outcome_sink outcomes;
	int64_t held; /* of the cloud's thread, once it runs */
};

enum { POINT_LEVEL, POINT_SETPOINT, POINT_SERIAL, POINT_COUNT };

static struct point
make_point(struct bench *bench, struct device *device, size_t at)
{
	static const char *const keys[] = { "level", "setpoint", "serial" };

	return (struct point){
		.device = device,
		.bus = &bench->bus,
		.index = device->index * POINT_COUNT + at,
		.key = keys[at],
		.unit = 1,
		.table = TABLE_HOLDING,
		.count = 1,
		.type = TYPE_INT16,
		.bit = POINT_NO_BIT,
		.scale = 1,
		.period_ms = 1000,
		.kind = at == POINT_SERIAL ? KIND_ATTRIBUTE : KIND_TELEMETRY,
		.report = at == POINT_SERIAL ? REPORT_CHANGE : REPORT_ALWAYS,
		.writable = at == POINT_SETPOINT,
		.shared = at == POINT_SETPOINT,
		.has_max = true,
		.max = 30,
	};
}

static void
make_settings(struct bench *bench, size_t device_count)
{
	struct settings *settings = &bench->settings;

	bench->bus = (struct bus){ .name = "plc" };
	*settings = (struct settings){
		.server = { .host = "127.0.0.1",
		    .port = bench->tb.port,
		    .keepalive_s = 60,
		    .connect_timeout_ms = 500,
		    .reconnect_min_ms = 20,
		    .reconnect_max_ms = 200,
		    .rpc_timeout_ms = 5000,
		    .ack_timeout_ms = 10000,
		    .in_flight = 4,
		    .batch_bytes = 2000 },
		.store = { .memory_mb = 16 },
		.device_count = device_count,
		.point_count = device_count * POINT_COUNT,
	};
	settings->devices = calloc(device_count, sizeof(settings->devices[0]));
	for (size_t i = 0; i < device_count; i++) {
		struct device *device = &settings->devices[i];
		char name[32];

		snprintf(name, sizeof(name), "token-%zu", i);
		*device = (struct device){
			.name = strdup(name),
			.credentials = { .kind = CREDENTIALS_TOKEN, .token = strdup(name) }, .index = i, .point_count = POINT_COUNT
		};
		device->points = calloc(POINT_COUNT, sizeof(device->points[0]));
		for (size_t j = 0; j < POINT_COUNT; j++)
			device->points[j] = make_point(bench, device, j);
	}
}

static void
free_settings(struct settings *settings)
{
	for (size_t i = 0; i < settings->device_count; i++) {
		free((void *)(uintptr_t)settings->devices[i].name);
		free((void *)(uintptr_t)settings->devices[i].credentials.token);
		free(settings->devices[i].points);
	}
	free(settings->devices);
}

static int
do_command(void *ctx, const struct command *command, size_t count)
{
	struct bench *bench = ctx;
	struct outcome outcome = { .status = OUTCOME_DONE, .point = command->point, .tag = command->tag };

	if (command->kind != COMMAND_READ)
		bench->held = command->value.integer;
	outcome.value = (struct value){ .kind = VALUE_INT, .integer = bench->held };
	assert_int_equal(count, 1);
	return bench->outcomes.push(bench->outcomes.ctx, &outcome);
}

static void
stop_gateway(struct bench *bench)
{
	int64_t end_mono_ms = clock_mono_ms() + 5000;

	uplink_stop(bench->uplink, (struct uplink_end){ .cloud_mono_ms = end_mono_ms, .disk_mono_ms = end_mono_ms });
}

static void
start_gateway(struct bench *bench)
{
	struct command_sink commands = { .push = do_command, .ctx = bench };

	bench->uplink = uplink_new(&bench->settings, NULL);
	assert_non_null(bench->uplink);
	bench->samples = uplink_samples(bench->uplink);
	bench->outcomes = uplink_outcomes(bench->uplink);
	assert_int_equal(uplink_start(bench->uplink, commands), 0);
}

/* Linked with --wrap: a loop that fails at once, if a test wants it so. */
static bool loop_fails;
int __wrap_sd_event_run(sd_event *loop, uint64_t timeout);
int __real_sd_event_run(sd_event *loop, uint64_t timeout);

int
__wrap_sd_event_run(sd_event *loop, uint64_t timeout)
{
	return loop_fails ? -EBADF : __real_sd_event_run(loop, timeout);
}

/* Those of the test that runs, closed when it is over, however it ends. */
static struct bench *benches;

static struct bench *
add_bench(void)
{
	struct bench *bench = calloc(1, sizeof(*bench));

	assert_non_null(bench);
	bench->next = benches;
	benches = bench;
	return bench;
}

static struct bench *
open_bench(size_t devices)
{
	struct bench *bench = add_bench();

	thingsboard_start(&bench->tb);
	make_settings(bench, devices);
	return bench;
}

static int
set_up(void **state)
{
	(void)state;
	loop_fails = false;
	alarm(TEST_S);
	log_init(getenv("TEST_LOG") ? LOG_LEVEL_DEBUG : LOG_LEVEL_ERROR, true);
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	while (benches) {
		struct bench *bench = benches;

		benches = bench->next;
		if (bench->uplink)
			stop_gateway(bench);
		uplink_free(bench->uplink);
		thingsboard_stop(&bench->tb);
		free_settings(&bench->settings);
		free(bench);
	}
	alarm(0);
	return 0;
}

static void
sample_at(struct bench *bench, size_t device, size_t point, int64_t mono_ms, int64_t unix_ms, int64_t number)
{
	struct sample taken = {
		.point = &bench->settings.devices[device].points[point],
		.taken_mono_ms = mono_ms,
		.taken_unix_ms = unix_ms,
		.value = { .kind = VALUE_INT, .integer = number },
	};

	if (bench->samples.wants(bench->samples.ctx, &taken))
		assert_int_equal(bench->samples.push(bench->samples.ctx, &taken, 1), 1);
}

static void
sample(struct bench *bench, size_t device, size_t point, int64_t at, int64_t number)
{
	sample_at(bench, device, point, at, at, number);
}

static void
await(struct bench *bench, const char *event)
{
	json_object_put(thingsboard_await(&bench->tb, event, NULL));
}

/* What each new session begins with is over: questions that have PUBACKs, too. */
static void
await_begin(struct bench *bench)
{
	await(bench, "client_rpc");
	await(bench, "attribute_request");
}

static long long
await_level(struct bench *bench, long long *ret_ts)
{
	struct json_object *event = thingsboard_await(&bench->tb, "telemetry", NULL);
	long long level = event_number(json_object_object_get(event, "values"), "level");

	if (ret_ts)
		*ret_ts = event_number(event, "ts");
	json_object_put(event);
	return level;
}

static void
await_reply(struct bench *bench, const char *expected)
{
	struct json_object *event = thingsboard_await(&bench->tb, "rpc_reply", NULL);
	struct json_object *payload = json_object_object_get(event, "payload");
	const char *text = json_object_is_type(payload, json_type_string)
			       ? json_object_get_string(payload)
			       : json_object_to_json_string_ext(payload, JSON_C_TO_STRING_PLAIN);

	assert_string_equal(text, expected);
	json_object_put(event);
}

static void
telemetry_arrives_once_with_its_time(void **state)
{
	struct bench *bench = open_bench(1);
	long long ts;

	(void)state;
	start_gateway(bench);
	sample(bench, 0, POINT_LEVEL, 1800000000001, 11);
	assert_int_equal(await_level(bench, &ts), 11);
	assert_int_equal(ts, 1800000000001);
	/* Acknowledged is forgotten: a new connection brings nothing again. */
	thingsboard_do(&bench->tb,
	    "{\"cmd\":\"rpc\",\"token\":\"token-0\",\"method\":\"get\",\"params\":{\"key\":\"level\"}}");
	await_reply(bench, "{\"value\":0}");
	thingsboard_do(&bench->tb, "{\"cmd\":\"kick\"}");
	sample(bench, 0, POINT_LEVEL, 1800000000002, 12);
	assert_int_equal(await_level(bench, NULL), 12);
	assert_int_equal(thingsboard_waiting(&bench->tb, "telemetry"), 0);
}

static void
a_missing_puback_is_cured_by_a_new_connection(void **state)
{
	struct bench *bench = open_bench(1);

	(void)state;
	bench->settings.server.ack_timeout_ms = 200;
	start_gateway(bench);
	await_begin(bench);
	thingsboard_do(&bench->tb, "{\"cmd\":\"puback\",\"mode\":\"drop\",\"count\":1}");
	sample(bench, 0, POINT_LEVEL, 1, 11);
	assert_int_equal(await_level(bench, NULL), 11);
	assert_int_equal(await_level(bench, NULL), 11);
}

/* A late poll and the next one may both end in one millisecond: the server would keep one value of them. */
static void
two_readings_in_a_millisecond_are_two(void **state)
{
	struct bench *bench = open_bench(1);
	long long ts;

	(void)state;
	start_gateway(bench);
	for (int i = 0; i < 3; i++)
		sample(bench, 0, POINT_LEVEL, 1800000000001, i);
	/* The two clocks need not tick at the same moment. */
	sample_at(bench, 0, POINT_LEVEL, 1800000000002, 1800000000001, 3);
	for (int i = 0; i < 4; i++) {
		assert_int_equal(await_level(bench, &ts), i);
		assert_int_equal(ts, 1800000000001 + i);
	}
}

static void
an_outage_loses_nothing_and_keeps_the_order(void **state)
{
	struct bench *bench = open_bench(1);

	(void)state;
	start_gateway(bench);
	sample(bench, 0, POINT_LEVEL, 1, 1);
	assert_int_equal(await_level(bench, NULL), 1);
	thingsboard_do(&bench->tb, "{\"cmd\":\"puback\",\"mode\":\"reorder\"}");
	thingsboard_do(&bench->tb, "{\"cmd\":\"stop\",\"reset\":true}");
	for (int i = 2; i <= 2000; i++)
		sample(bench, 0, POINT_LEVEL, i, i);
	thingsboard_do(&bench->tb, "{\"cmd\":\"start\"}");
	/* The first one comes again if its PUBACK was on its way when the server went. */
	for (int i = 2; i <= 2000; i++) {
		long long level = await_level(bench, NULL);

		assert_int_equal(i == 2 && level == 1 ? await_level(bench, NULL) : level, i);
	}
}

/* A server keeps one value of a key and a time. */
static void
two_polls_in_one_millisecond_are_two_values(void **state)
{
	struct bench *bench = open_bench(1);
	long long first, second, third;

	(void)state;
	start_gateway(bench);
	await(bench, "subscribe");
	for (int i = 1; i <= 3; i++)
		sample(bench, 0, POINT_LEVEL, 1000, i);
	assert_int_equal(await_level(bench, &first), 1);
	assert_int_equal(await_level(bench, &second), 2);
	assert_int_equal(await_level(bench, &third), 3);
	assert_true(first < second && second < third && third <= first + 2);
}

static void
a_stop_delivers_what_is_waiting(void **state)
{
	struct bench *bench = open_bench(1);

	(void)state;
	start_gateway(bench);
	await(bench, "connect");
	await(bench, "subscribe");
	for (int i = 1; i <= 200; i++)
		sample(bench, 0, POINT_LEVEL, i, i);
	stop_gateway(bench);
	for (int i = 1; i <= 200; i++)
		assert_int_equal(await_level(bench, NULL), i);
}

static void
attributes_are_state(void **state)
{
	struct bench *bench = open_bench(1);

	(void)state;
	start_gateway(bench);
	sample(bench, 0, POINT_SERIAL, 1, 4711);
	await(bench, "attributes");
	sample(bench, 0, POINT_SERIAL, 2, 4711);
	sample(bench, 0, POINT_LEVEL, 3, 1);
	await_level(bench, NULL);
	assert_int_equal(thingsboard_waiting(&bench->tb, "attributes"), 0);
	thingsboard_do(&bench->tb, "{\"cmd\":\"kick\"}");
	await(bench, "attributes");
}

static void
a_refused_token_is_tried_again(void **state)
{
	struct bench *bench = open_bench(1);
	struct json_object *event;

	(void)state;
	thingsboard_do(&bench->tb, "{\"cmd\":\"refuse\",\"code\":135}");
	start_gateway(bench);
	sample(bench, 0, POINT_LEVEL, 1, 5);
	event = thingsboard_await(&bench->tb, "connect", NULL);
	assert_int_equal(event_number(event, "code"), 135);
	json_object_put(event);
	thingsboard_do(&bench->tb, "{\"cmd\":\"refuse\",\"code\":0}");
	assert_int_equal(await_level(bench, NULL), 5);
}

static void
a_server_of_mqtt_3_1_1_is_spoken_to_so(void **state)
{
	struct bench *bench = open_bench(3);

	(void)state;
	thingsboard_do(&bench->tb, "{\"cmd\":\"max_version\",\"version\":4}");
	start_gateway(bench);
	for (int i = 0; i < 3; i++) {
		struct json_object *event;

		do {
			event = thingsboard_await(&bench->tb, "connect", NULL);
			if (event_number(event, "version") == 4)
				break;
			json_object_put(event);
		} while (1);
		assert_int_equal(event_number(event, "code"), 0);
		json_object_put(event);
	}
}

/* The next message is refused with "quota exceeded"; when this returns the gateway has heard of it: its PUBACK came before the RPC,
 * on the same connection. */
static void
refuse_for_now(struct bench *bench, size_t point, int64_t at, int64_t number)
{
	thingsboard_do(&bench->tb, "{\"cmd\":\"puback\",\"mode\":\"refuse\",\"code\":151,\"count\":1}");
	sample(bench, 0, point, at, number);
	await(bench, "bad_publish");
	thingsboard_do(&bench->tb,
	    "{\"cmd\":\"rpc\",\"token\":\"token-0\",\"method\":\"get\",\"params\":{\"key\":\"level\"}}");
	await_reply(bench, "{\"value\":0}");
}

/* MQTT 5: nothing is lost, the order is kept, and the server is left alone for a while. */
static void
what_is_refused_for_now_is_sent_again_later(void **state)
{
	struct bench *bench = open_bench(1);
	int64_t began;

	(void)state;
	start_gateway(bench);
	await_begin(bench);
	began = clock_mono_ms();
	refuse_for_now(bench, POINT_LEVEL, 1, 1);
	for (int i = 2; i <= 5; i++)
		sample(bench, 0, POINT_LEVEL, i, i);
	for (int i = 1; i <= 5; i++)
		assert_int_equal(await_level(bench, NULL), i);
	assert_true(clock_mono_ms() - began >= 4500);
	began = clock_mono_ms();
	refuse_for_now(bench, POINT_SERIAL, 6, 4711);
	await(bench, "attributes");
	assert_true(clock_mono_ms() - began >= 4500);
}

/* MQTT 5: payload format invalid. Sent again it would come back for ever. */
static void
what_is_refused_for_good_does_not_stop_the_rest(void **state)
{
	struct bench *bench = open_bench(1);

	(void)state;
	start_gateway(bench);
	await_begin(bench);
	thingsboard_do(&bench->tb, "{\"cmd\":\"puback\",\"mode\":\"refuse\",\"code\":153,\"count\":2}");
	sample(bench, 0, POINT_LEVEL, 1, 1);
	await(bench, "bad_publish");
	sample(bench, 0, POINT_SERIAL, 2, 4711);
	await(bench, "bad_publish");
	sample(bench, 0, POINT_LEVEL, 3, 3);
	assert_int_equal(await_level(bench, NULL), 3);
	sample(bench, 0, POINT_SERIAL, 4, 4712);
	await(bench, "attributes");
	assert_int_equal(thingsboard_waiting(&bench->tb, "connect"), 1);
}

/* Of the first device. */
static uint64_t
refused_values(struct bench *bench)
{
	struct health_cloud *report = health_cloud_new(1);
	struct fifo *answers = fifo_new(sizeof(struct health_answer), 1);
	struct health_question question = { .cloud = report, .answers = answers };
	struct pollfd waiting = { .fd = fifo_fd(answers), .events = POLLIN };
	struct health_answer answer;
	uint64_t values;

	assert_int_equal(uplink_ask(bench->uplink, &question), 0);
	assert_int_equal(poll(&waiting, 1, 20000), 1);
	assert_int_equal(fifo_pop(answers, &answer, 1), 1);
	values = report->devices[0].refused_values;
	fifo_free(answers);
	health_cloud_free(report);
	return values;
}

/* What the server throws at, here by DISCONNECT 0x8B, is found while the device has something else to say, and set aside; all the
 * rest arrives. */
static void
poison_does_not_stop_the_rest(void **state)
{
	enum { LEVELS_MAX = 1000, PERIOD_MS = 20 };
	struct timespec period = { .tv_nsec = PERIOD_MS * 1000000 };
	struct bench *bench = open_bench(1);
	bool seen[LEVELS_MAX + 1] = { false };
	int levels = 0;

	(void)state;
	thingsboard_do(&bench->tb, "{\"cmd\":\"poison\",\"text\":\"l\\\":-666\"}");
	log_init((enum log_level)0, true);
	start_gateway(bench);
	await_begin(bench);
	sample(bench, 0, POINT_LEVEL, 1, -666);
	sample(bench, 0, POINT_SERIAL, 1, -666);
	while (refused_values(bench) < 2) {
		assert_true(levels < LEVELS_MAX);
		levels++;
		sample(bench, 0, POINT_LEVEL, 1 + levels, levels);
		nanosleep(&period, NULL);
	}
	for (int missing = levels; missing > 0;) {
		long long level = await_level(bench, NULL);

		assert_in_range(level, 1, levels);
		missing -= !seen[level];
		seen[level] = true;
	}
}

static void
silence_is_no_reason_to_wait_for_ever(void **state)
{
	struct bench *bench = open_bench(1);

	(void)state;
	thingsboard_do(&bench->tb, "{\"cmd\":\"blackhole\",\"on\":true}");
	start_gateway(bench);
	sample(bench, 0, POINT_LEVEL, 1, 5);
	thingsboard_do(&bench->tb, "{\"cmd\":\"blackhole\",\"on\":false}");
	assert_int_equal(await_level(bench, NULL), 5);
}

static void
many_sessions_come_up(void **state)
{
	enum { DEVICES = 300 };
	struct bench *bench = open_bench(DEVICES);
	struct rlimit limit;

	(void)state;
	getrlimit(RLIMIT_NOFILE, &limit);
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
	start_gateway(bench);
	for (size_t i = 0; i < DEVICES; i++)
		sample(bench, i, POINT_LEVEL, 1, (int64_t)i);
	for (size_t i = 0; i < DEVICES; i++)
		await(bench, "telemetry");
	thingsboard_do(&bench->tb, "{\"cmd\":\"restart_server\",\"reset\":true}");
	for (size_t i = 0; i < DEVICES; i++)
		sample(bench, i, POINT_LEVEL, 2, (int64_t)i);
	for (size_t i = 0; i < DEVICES; i++)
		await(bench, "telemetry");
}

static void
an_rpc_reads_and_writes(void **state)
{
	struct bench *bench = open_bench(1);
	static const char rpc[] = "{\"cmd\":\"rpc\",\"token\":\"token-0\",\"method\":\"%s\",\"params\":%s}";

	(void)state;
	start_gateway(bench);
	await(bench, "subscribe");
	thingsboard_do(&bench->tb, rpc, "set", "{\"key\":\"setpoint\",\"value\":21}");
	await_reply(bench, "{\"value\":21}");
	thingsboard_do(&bench->tb, rpc, "get", "{\"key\":\"level\"}");
	await_reply(bench, "{\"value\":21}");
	thingsboard_do(&bench->tb, rpc, "set", "{\"key\":\"setpoint\",\"value\":31}");
	await_reply(bench, "{\"error\":\"setpoint: 31 is above the maximum 30\"}");
	thingsboard_do(&bench->tb, rpc, "fly", "null");
	await_reply(bench, "{\"error\":\"unknown method 'fly' (known: get, set)\"}");
}

static void
shared_attributes_are_written(void **state)
{
	struct bench *bench = open_bench(1);
	static const char get[] =
	    "{\"cmd\":\"rpc\",\"token\":\"token-0\",\"method\":\"get\",\"params\":{\"key\":\"setpoint\"}}";

	(void)state;
	thingsboard_do(&bench->tb, "{\"cmd\":\"device\",\"token\":\"token-0\"}");
	thingsboard_do(&bench->tb,
	    "{\"cmd\":\"shared\",\"token\":\"token-0\",\"values\":{\"setpoint\":17,\"other\":1}}");
	start_gateway(bench);
	await(bench, "attribute_request");
	/* The answer is on its way before the RPC's request, and commands keep their order. */
	thingsboard_do(&bench->tb, "%s", get);
	await_reply(bench, "{\"value\":17}");
	thingsboard_do(&bench->tb, "{\"cmd\":\"shared\",\"token\":\"token-0\",\"values\":{\"setpoint\":18}}");
	thingsboard_do(&bench->tb, "%s", get);
	await_reply(bench, "{\"value\":18}");
}

/* Two gateways with one token: each loses its session to the other, but they do not fight at full speed. */
static void
a_token_used_twice_makes_no_storm(void **state)
{
	struct bench *bench = open_bench(1);
	struct bench *other = add_bench();
	struct json_object *event;

	(void)state;
	bench->settings.server.reconnect_max_ms = 60000;
	start_gateway(bench);
	await(bench, "subscribe");
	other->tb.port = bench->tb.port;
	make_settings(other, 1);
	start_gateway(other);
	event = thingsboard_await(&bench->tb, "disconnect", NULL);
	assert_string_equal(event_text(event, "reason"), "taken over");
	json_object_put(event);
	sample(other, 0, POINT_LEVEL, 1, 9);
	assert_int_equal(await_level(bench, NULL), 9);
}

/* What does not fit into a queue is counted, and said when it begins and when it is over. */
static void
lost_samples_are_told(void **state)
{
	enum { PUSHED = 20000 };
	struct bench *bench = open_bench(1);
	struct sample taken = { .point = bench->settings.devices[0].points, .value = { .kind = VALUE_INT } };
	struct command_sink commands = { .push = do_command, .ctx = bench };
	int stderr_fd = dup(STDERR_FILENO);
	size_t lost = 0, told = 0, seconds = 0;
	FILE *log = tmpfile();
	char line[256] = "", *said;

	(void)state;
	assert_non_null(log);
	bench->uplink = uplink_new(&bench->settings, NULL);
	bench->samples = uplink_samples(bench->uplink);
	bench->outcomes = uplink_outcomes(bench->uplink);
	/* one of them goes up, so that nobody has to read thousands */
	for (int i = 0; i < PUSHED; i++) {
		taken.reported = i == 0;
		lost += 1 - bench->samples.push(bench->samples.ctx, &taken, 1);
	}
	assert_true(lost > 0);
	/* What is lost was not reported: it is tried again, although nothing changes. */
	bench->settings.devices[0].points[0].report = REPORT_CHANGE;
	for (int i = 0; i < 2; i++) {
		assert_true(bench->samples.wants(bench->samples.ctx, &taken));
		assert_int_equal(bench->samples.push(bench->samples.ctx, &taken, 1), 0);
		lost++;
	}
	dup2(fileno(log), STDERR_FILENO);
	log_init(LOG_LEVEL_WARNING, false);
	assert_int_equal(uplink_start(bench->uplink, commands), 0);
	await(bench, "telemetry");
	stop_gateway(bench);
	dup2(stderr_fd, STDERR_FILENO);
	close(stderr_fd);
	rewind(log);
	said = fgets(line, sizeof(line), log);
	assert_non_null(said);
	assert_string_equal(line, "<4>uplink: cannot keep up with the field, samples are lost\n");
	said = fgets(line, sizeof(line), log);
	assert_non_null(said);
	assert_int_equal(sscanf(line, "<4>uplink: samples: %zu were lost in %zu s", &told, &seconds), 2);
	assert_int_equal(told, lost);
	if (fgets(line, sizeof(line), log))
		fail_msg("and more: %s", line);
	fclose(log);
}

static void
a_loop_that_fails_ends_the_gateway(void **state)
{
	struct bench *bench = open_bench(1);
	struct timespec patience = { .tv_sec = 20 };
	sigset_t terminate;

	(void)state;
	log_init((enum log_level)0, true);
	sigemptyset(&terminate);
	sigaddset(&terminate, SIGTERM);
	pthread_sigmask(SIG_BLOCK, &terminate, NULL);
	loop_fails = true;
	start_gateway(bench);
	assert_int_equal(sigtimedwait(&terminate, NULL, &patience), SIGTERM);
	assert_true(uplink_failed(bench->uplink));
	loop_fails = false;
	pthread_sigmask(SIG_UNBLOCK, &terminate, NULL);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(telemetry_arrives_once_with_its_time),
		TEST(a_missing_puback_is_cured_by_a_new_connection),
		TEST(two_readings_in_a_millisecond_are_two),
		TEST(an_outage_loses_nothing_and_keeps_the_order),
		TEST(two_polls_in_one_millisecond_are_two_values),
		TEST(a_stop_delivers_what_is_waiting),
		TEST(attributes_are_state),
		TEST(a_refused_token_is_tried_again),
		TEST(a_server_of_mqtt_3_1_1_is_spoken_to_so),
		TEST(what_is_refused_for_now_is_sent_again_later),
		TEST(what_is_refused_for_good_does_not_stop_the_rest),
		TEST(poison_does_not_stop_the_rest),
		TEST(silence_is_no_reason_to_wait_for_ever),
		TEST(many_sessions_come_up),
		TEST(an_rpc_reads_and_writes),
		TEST(shared_attributes_are_written),
		TEST(lost_samples_are_told),
		TEST(a_loop_that_fails_ends_the_gateway),
		TEST(a_token_used_twice_makes_no_storm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
