#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/log.h"
#include "cloud/downlink.h"
#include "cloud/tb_json.h"
#include "cloud/tb_topic.h"

/* ---- fakes: a clock, a session that records, a field that keeps commands ---- */

static int64_t now_ms;

static int64_t
fake_mono_us(void)
{
	return now_ms * 1000;
}

static int64_t
fake_unix_ms(void)
{
	return 1700000000000 + now_ms;
}

static const struct clock_source fake_clock = { .mono_us = fake_mono_us, .unix_ms = fake_unix_ms };

#define COMMANDS 2048

static char sent[8192]; /* "topic payload\n"... since the last look */
static char told[512];	/* the last that was told */
static int last_id;
static bool down;
static struct command commands[COMMANDS];
static size_t command_count;
static size_t command_room;
static size_t push_count;

static int
fake_publish(void *ctx, size_t device, enum tb_topic kind, int64_t id, const void *payload, size_t length)
{
	size_t used = strlen(sent);
	char text[TB_TOPIC_MAX];
	const char *topic = tb_topic_print(kind, id, text);

	(void)ctx, (void)device;
	if (down)
		return -ENOTCONN;
	if (kind == TB_ATTRIBUTES) {
		snprintf(told, sizeof(told), "%.*s", (int)length, (const char *)payload);
		return ++last_id;
	}
	if (sizeof(sent) - used > strlen(topic) + length + 3)
		snprintf(
		    sent + used, sizeof(sent) - used, "%s %.*s\n", topic, (int)length, (const char *)payload);
	return ++last_id;
}

static int
fake_subscribe(void *ctx, size_t device, bool attributes)
{
	(void)ctx, (void)device;
	snprintf(sent + strlen(sent), sizeof(sent) - strlen(sent), "subscribe%s\n",
	    attributes ? " attributes" : "");
	return ++last_id;
}

static int
fake_push(void *ctx, const struct command *pushed, size_t count)
{
	(void)ctx;
	if (command_count + count > command_room)
		return -EBUSY;
	push_count++;
	for (size_t i = 0; i < count; i++)
		commands[command_count++] = pushed[i];
	return 0;
}

static const struct downlink_port port = { .publish = fake_publish, .subscribe = fake_subscribe };
static const struct command_sink sink = { .push = fake_push };

/* ---- a device ---- */

static const struct enum_label labels[] = { { .label = "off", .number = 0 },
	{ .label = "heat", .number = 1 } };
static struct bus bus = { .name = "plc" };
static struct point points[3];
static struct rpc_step steps[] = {
	{ .point = &points[2] },
	{ .point = &points[1], .param = "temp" },
	{ .point = &points[2], .param = "mode" },
	{ .point = &points[2], .value = { .kind = VALUE_LABEL, .label = "off" } },
};
static struct rpc_method rpc[] = {
	{ .method = "setMode", .action = RPC_SET, .steps = &steps[0], .step_count = 1 },
	{ .method = "getMode", .action = RPC_GET, .steps = &steps[0], .step_count = 1 },
	{ .method = "stop", .action = RPC_SET, .steps = &steps[3], .step_count = 1 },
	{ .method = "batch", .action = RPC_SET, .listed = true, .steps = &steps[1], .step_count = 3 },
};
static struct device device = {
	.name = "Boiler", .points = points, .point_count = 3, .rpc = rpc, .rpc_count = 4
};
static struct settings settings = {
	.server = { .rpc_timeout_ms = 5000 },
	.devices = &device,
	.device_count = 1,
	.point_count = 3,
};
static struct downlink *downlink;

static int
set_up(void **state)
{
	(void)state;
	log_init(LOG_LEVEL_ERROR, true);
	points[0] = (struct point){ .key = "temperature", .table = TABLE_INPUT };
	points[1] = (struct point){ .key = "setpoint",
		.table = TABLE_HOLDING,
		.writable = true,
		.shared = true,
		.has_max = true,
		.max = 30 };
	points[2] = (struct point){
		.key = "mode", .table = TABLE_HOLDING, .writable = true, .labels = labels, .label_count = 2
	};
	for (size_t i = 0; i < 3; i++) {
		points[i].device = &device;
		points[i].bus = &bus;
		points[i].index = i;
		points[i].unit = 3;
		points[i].count = 1;
		points[i].type = TYPE_INT16;
		points[i].bit = POINT_NO_BIT;
		points[i].scale = 1;
		points[i].period_ms = 1000;
	}
	clock_replace(&fake_clock);
	now_ms = 1000000;
	sent[0] = told[0] = '\0';
	command_count = 0;
	command_room = COMMANDS;
	push_count = 0;
	down = false;
	device.on_cloud_loss_count = 0;
	downlink = downlink_new(&settings, port, sink);
	assert_non_null(downlink);
	downlink_up(downlink, 0);
	downlink_subscribed(downlink, 0, last_id, true);
	sent[0] = '\0';
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	for (size_t i = 0; i < command_count; i++)
		value_done(&commands[i].value);
	downlink_free(downlink);
	clock_replace(NULL);
	return 0;
}

static void
message(const char *topic, const char *payload)
{
	downlink_message(downlink, 0, topic, payload, strlen(payload));
}

static void
request(int id, const char *payload)
{
	char topic[64];

	snprintf(topic, sizeof(topic), "v1/devices/me/rpc/request/%d", id);
	message(topic, payload);
}

static void
expect_sent(const char *expected)
{
	assert_string_equal(sent, expected);
	sent[0] = '\0';
}

static void
expect_reply(int id, const char *payload)
{
	char expected[1024];

	snprintf(expected, sizeof(expected), "v1/devices/me/rpc/response/%d %s\n", id, payload);
	expect_sent(expected);
}

static void
finish(size_t at, enum outcome_status status, int number)
{
	struct outcome outcome = { .status = status,
		.point = commands[at].point,
		.tag = commands[at].tag,
		.exception = number,
		.error = number };

	if (status == OUTCOME_DONE || status == OUTCOME_UNCHANGED)
		outcome.value = (struct value){ .kind = VALUE_INT, .integer = number };
	downlink_outcome(downlink, &outcome);
}

static void
fresh_sample(size_t point)
{
	struct sample sample = { .point = &points[point], .taken_mono_ms = now_ms };

	downlink_sample(downlink, &sample);
}

static void
reconnect(void)
{
	downlink_down(downlink, 0, false);
	downlink_up(downlink, 0);
	downlink_subscribed(downlink, 0, last_id, true);
	sent[0] = '\0';
}

/* ---- RPC ---- */

static void
every_mistake_is_answered_in_words(void **state)
{
	static const struct {
		const char *payload, *reply;
	} rows[] = {
		{ "{\"method\":", "{\"error\":\"the request is not valid JSON\"}" },
		{ "[]",
		    "{\"error\":\"the request must be an object with the member \\\"method\\\", a text\"}" },
		{ "{\"method\":\"fly\"}",
		    "{\"error\":\"unknown method 'fly' (known: get, set, setMode, getMode, stop, batch)\"}" },
		{ "{\"method\":\"get\"}", "{\"error\":\"params must have the member \\\"key\\\", a text\"}" },
		{ "{\"method\":\"get\",\"params\":{\"key\":\"x\"}}", "{\"error\":\"no point 'x'\"}" },
		{ "{\"method\":\"set\",\"params\":{\"key\":\"setpoint\"}}",
		    "{\"error\":\"the value is missing\"}" },
		{ "{\"method\":\"set\",\"params\":{\"key\":\"setpoint\",\"value\":{}}}",
		    "{\"error\":\"the value is neither a number nor a text nor true or false\"}" },
		{ "{\"method\":\"set\",\"params\":{\"key\":\"temperature\",\"value\":1}}",
		    "{\"error\":\"temperature: 1 cannot be written: the point is not writable\"}" },
		{ "{\"method\":\"set\",\"params\":{\"key\":\"setpoint\",\"value\":31}}",
		    "{\"error\":\"setpoint: 31 is above the maximum 30\"}" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		request((int)i, rows[i].payload);
		expect_reply((int)i, rows[i].reply);
	}
	assert_int_equal(command_count, 0);
	assert_int_equal(downlink_counts(downlink).rpc_refused, sizeof(rows) / sizeof(rows[0]));
}

static void
every_outcome_is_answered_in_words(void **state)
{
	static const struct {
		enum outcome_status status;
		int number;
		const char *reply;
	} rows[] = {
		{ OUTCOME_DONE, 21, "{\"value\":21}" },
		{ OUTCOME_EXCEPTION, 2,
		    "{\"error\":\"unit 3 refused: exception 2 (illegal data address)\"}" },
		{ OUTCOME_TIMEOUT, ETIMEDOUT,
		    "{\"error\":\"bus plc unit 3: no answer; it may or may not have been written\"}" },
		{ OUTCOME_OFFLINE, ECONNREFUSED, "{\"error\":\"bus plc: offline (Connection refused)\"}" },
		{ OUTCOME_EXPIRED, 0,
		    "{\"error\":\"bus plc: busy for too long, the request expired and nothing was sent\"}" },
		{ OUTCOME_STOPPED, 0,
		    "{\"error\":\"the gateway is stopping or takes over other settings, or its queue is "
		    "full: nothing was sent\"}" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		request((int)i, "{\"method\":\"set\",\"params\":{\"key\":\"setpoint\",\"value\":21}}");
		assert_int_equal(command_count, i + 1);
		assert_int_equal(commands[i].kind, COMMAND_WRITE);
		assert_int_equal(commands[i].value.integer, 21);
		assert_int_equal(commands[i].expires_mono_ms, now_ms + 5000);
		expect_sent("");
		finish(i, rows[i].status, rows[i].number);
		expect_reply((int)i, rows[i].reply);
	}
	assert_int_equal(downlink_counts(downlink).pending, 0);
}

static void
named_methods_take_the_value_bare_or_wrapped(void **state)
{
	(void)state;
	request(1, "{\"method\":\"setMode\",\"params\":\"heat\"}");
	request(2, "{\"method\":\"setMode\",\"params\":{\"value\":1}}");
	request(3, "{\"method\":\"getMode\",\"params\":null}");
	assert_int_equal(command_count, 3);
	assert_ptr_equal(commands[0].point, &points[2]);
	assert_int_equal(commands[1].value.integer, 1);
	assert_int_equal(commands[2].kind, COMMAND_READ);
	finish(2, OUTCOME_DONE, 1);
	expect_reply(3, "{\"value\":1}");
}

static void
a_fixed_value_is_written_whatever_the_params_are(void **state)
{
	(void)state;
	request(1, "{\"method\":\"stop\",\"params\":{\"value\":1}}");
	assert_int_equal(command_count, 1);
	assert_ptr_equal(commands[0].point, &points[2]);
	assert_int_equal(commands[0].value.kind, VALUE_LABEL);
	assert_string_equal(commands[0].value.label, "off");
	finish(0, OUTCOME_DONE, 0);
	expect_reply(1, "{\"value\":0}");
}

static const char batch[] = "{\"method\":\"batch\",\"params\":{\"temp\":21,\"mode\":\"heat\"}}";

static void
a_list_is_written_one_by_one_and_in_order(void **state)
{
	(void)state;
	request(1, batch);
	for (size_t i = 0; i < 3; i++) {
		assert_int_equal(command_count, i + 1);
		assert_int_equal(push_count, i + 1);
		assert_ptr_equal(commands[i].point, steps[1 + i].point);
		assert_int_equal(commands[i].expires_mono_ms, 1000000 + 5000);
		expect_sent("");
		now_ms += 100;
		finish(i, OUTCOME_DONE, 21 + (int)i);
	}
	/* A point that was written twice is told as it was left. */
	expect_reply(1, "{\"values\":{\"setpoint\":21,\"mode\":23}}");
	assert_int_equal(downlink_counts(downlink).pending, 0);
}

static void
the_first_that_fails_ends_a_list(void **state)
{
	(void)state;
	request(1, batch);
	finish(0, OUTCOME_DONE, 21);
	finish(1, OUTCOME_EXCEPTION, 2);
	assert_int_equal(command_count, 2);
	expect_reply(1,
	    "{\"error\":\"mode: unit 3 refused: exception 2 (illegal data address); 1 of 3 values were "
	    "written\",\"errors\":{\"mode\":\"unit 3 refused: exception 2 (illegal data address)\"},"
	    "\"values\":{\"setpoint\":21}}");
	request(2, batch);
	finish(2, OUTCOME_TIMEOUT, ETIMEDOUT);
	expect_reply(2,
	    "{\"error\":\"setpoint: bus plc unit 3: no answer; it may or may not have been written; 0 of 3 "
	    "values were written\",\"errors\":{\"setpoint\":\"bus plc unit 3: no answer; it may or may "
	    "not have been written\",\"mode\":\"not sent\"},\"values\":{}}");
	assert_int_equal(command_count, 3);
}

static void
a_list_with_a_wrong_value_is_not_begun(void **state)
{
	(void)state;
	request(1, "{\"method\":\"batch\",\"params\":{\"temp\":31}}");
	expect_reply(1,
	    "{\"error\":\"nothing was written\",\"errors\":{\"setpoint\":\"setpoint: 31 is above the "
	    "maximum 30\",\"mode\":\"the parameter \\\"mode\\\" is missing\"},\"values\":{}}");
	request(2, "{\"method\":\"batch\",\"params\":[1]}");
	assert_non_null(strstr(sent, "the parameter \\\"temp\\\" is missing"));
	assert_int_equal(command_count, 0);
}

static void
a_list_goes_on_for_no_longer_than_the_caller_waits(void **state)
{
	(void)state;
	request(1, batch);
	finish(0, OUTCOME_DONE, 21);
	now_ms += 5200;
	downlink_tick(downlink);
	expect_reply(1, "{\"error\":\"mode: no outcome yet; it may or may not be written; 1 of 3 values were "
			"written\",\"errors\":{\"mode\":\"no outcome yet; it may or may not be written\"},"
			"\"values\":{\"setpoint\":21}}");
	finish(1, OUTCOME_DONE, 1);
	expect_sent("");
	assert_int_equal(command_count, 2);
}

static void
a_reply_does_not_wait_for_ever(void **state)
{
	static const char set[] = "{\"method\":\"set\",\"params\":{\"key\":\"setpoint\",\"value\":21}}";

	(void)state;
	message("v1/devices/me/attributes/response/1", "{}");
	request(1, set);
	assert_int_equal(downlink_due_mono_ms(downlink), now_ms + 5200);
	now_ms += 5199;
	downlink_tick(downlink);
	expect_sent("");
	now_ms += 1;
	downlink_tick(downlink);
	expect_reply(1, "{\"error\":\"no outcome yet; it may or may not be written\"}");
	/* Whoever asks again hears the same, and then what came of it. */
	reconnect();
	request(1, set);
	expect_reply(1, "{\"error\":\"no outcome yet; it may or may not be written\"}");
	finish(0, OUTCOME_DONE, 21);
	expect_sent("");
	request(1, set);
	expect_reply(1, "{\"value\":21}");
	assert_int_equal(command_count, 1);
}

/* Another process, which knows of the first one what that has written down. */
static void
restart(void)
{
	downlink_free(downlink);
	downlink = downlink_new(&settings, port, sink);
	assert_non_null(downlink);
	downlink_up(downlink, 0);
	downlink_subscribed(downlink, 0, last_id, true);
	sent[0] = '\0';
}

static void
leave_runtime_dir(void)
{
	char file[64];

	snprintf(file, sizeof(file), "%s/commands", settings.runtime_dir);
	unlink(file);
	rmdir(settings.runtime_dir);
	settings.runtime_dir = NULL;
}

static void
a_write_is_not_done_again_by_the_next_process(void **state)
{
	static const char unknown[] =
	    "{\"error\":\"the gateway was restarted after it had taken the request: it may or "
	    "may not have been written, and is not written again\"}";
	static const char set[] = "{\"method\":\"set\",\"params\":{\"key\":\"setpoint\",\"value\":21}}";
	static const char get[] = "{\"method\":\"get\",\"params\":{\"key\":\"setpoint\"}}";
	static char folder[] = "/tmp/downlink.XXXXXX";

	(void)state;
	settings.runtime_dir = mkdtemp(folder);
	assert_non_null(settings.runtime_dir);
	restart();
	request(1, set);
	request(2, set);
	request(3, get);
	finish(0, OUTCOME_DONE, 21);
	restart();
	assert_int_equal(command_count, 3);
	request(1, set);
	expect_reply(1, "{\"value\":21}");
	request(2, set);
	expect_reply(2, unknown);
	request(3, get);
	assert_int_equal(command_count, 4);
	/* Another request of that id is another request, and a minute later it is one as well. */
	request(2, batch);
	assert_int_equal(command_count, 5);
	now_ms += 60000;
	restart();
	request(1, set);
	assert_int_equal(command_count, 6);
	/* What found no place was not taken. */
	command_room = command_count;
	request(9, set);
	sent[0] = '\0';
	command_room = COMMANDS;
	restart();
	request(9, set);
	assert_int_equal(command_count, 7);
	leave_runtime_dir();
}

/* However many were answered before, and wherever in the file it is: what a killed process had begun is known to the next. */
static void
all_that_was_begun_is_known_to_the_next_process(void **state)
{
	static const char set[] = "{\"method\":\"set\",\"params\":{\"key\":\"setpoint\",\"value\":21}}";
	static char folder[] = "/tmp/downlink.XXXXXX";
	int id = 0;

	(void)state;
	settings.runtime_dir = mkdtemp(folder);
	assert_non_null(settings.runtime_dir);
	restart();
	for (; id < 240; id++) {
		request(id, set);
		finish(command_count - 1, OUTCOME_DONE, 21);
		sent[0] = '\0';
	}
	for (; id < 240 + 32; id++)
		request(id, set);
	assert_int_equal(command_count, id);
	restart();
	for (int again = 240; again < id; again++)
		request(again, set);
	assert_int_equal(command_count, id);
	leave_runtime_dir();
}

static void
a_repeated_write_is_not_done_twice(void **state)
{
	static const char set[] = "{\"method\":\"set\",\"params\":{\"key\":\"setpoint\",\"value\":21}}";

	(void)state;
	request(7, set);
	reconnect();
	request(7, set);
	assert_int_equal(command_count, 1);
	finish(0, OUTCOME_DONE, 21);
	expect_reply(7, "{\"value\":21}");
	reconnect();
	request(7, set);
	expect_reply(7, "{\"value\":21}");
	assert_int_equal(command_count, 1);
	assert_int_equal(downlink_counts(downlink).rpc_repeated, 2);
	/* After its time, or with another payload, the same id is another request. */
	request(7, "{\"method\":\"set\",\"params\":{\"key\":\"setpoint\",\"value\":22}}");
	assert_int_equal(command_count, 2);
	now_ms += 60000;
	request(7, set);
	assert_int_equal(command_count, 3);
}

static void
a_repeated_read_is_done_again(void **state)
{
	static const char get[] = "{\"method\":\"get\",\"params\":{\"key\":\"setpoint\"}}";

	(void)state;
	request(7, get);
	finish(0, OUTCOME_DONE, 21);
	expect_reply(7, "{\"value\":21}");
	reconnect();
	request(7, get);
	assert_int_equal(command_count, 2);
}

/* Ids start again when the server does: a reply must not answer what somebody else asked. */
static void
a_reply_stays_with_its_connection(void **state)
{
	(void)state;
	request(0, "{\"method\":\"get\",\"params\":{\"key\":\"setpoint\"}}");
	reconnect();
	finish(0, OUTCOME_DONE, 21);
	expect_sent("");
	assert_int_equal(downlink_counts(downlink).replies_dropped, 1);
}

static void
a_flood_is_answered_busy(void **state)
{
	(void)state;
	for (int i = 0; i < 32; i++)
		request(i, "{\"method\":\"get\",\"params\":{\"key\":\"setpoint\"}}");
	expect_sent("");
	request(32, "{\"method\":\"get\",\"params\":{\"key\":\"setpoint\"}}");
	expect_reply(32, "{\"error\":\"busy: too many requests are waiting, nothing was sent\"}");
	finish(5, OUTCOME_DONE, 1);
	expect_reply(5, "{\"value\":1}");
	command_room = command_count;
	request(33, "{\"method\":\"get\",\"params\":{\"key\":\"setpoint\"}}");
	expect_reply(33, "{\"error\":\"busy: too many requests are waiting, nothing was sent\"}");
	assert_int_equal(downlink_counts(downlink).pending, 31);
}

static void
a_tag_that_is_over_is_ignored(void **state)
{
	(void)state;
	request(1, "{\"method\":\"get\",\"params\":{\"key\":\"setpoint\"}}");
	finish(0, OUTCOME_DONE, 1);
	expect_reply(1, "{\"value\":1}");
	finish(0, OUTCOME_DONE, 1);
	expect_sent("");
	commands[0].tag = UINT64_MAX;
	finish(0, OUTCOME_DONE, 1);
}

/* ---- shared attributes ---- */

static void
keys_are_asked_for_after_the_suback_and_again(void **state)
{
	(void)state;
	downlink_down(downlink, 0, false);
	assert_int_equal(downlink_due_mono_ms(downlink), CLOCK_NEVER);
	downlink_up(downlink, 0);
	expect_sent("subscribe attributes\n");
	downlink_subscribed(downlink, 0, last_id, true);
	expect_sent("v1/devices/me/attributes/request/2 {\"sharedKeys\":\"setpoint\"}\n");
	now_ms = downlink_due_mono_ms(downlink);
	downlink_tick(downlink);
	expect_sent("v1/devices/me/attributes/request/3 {\"sharedKeys\":\"setpoint\"}\n");
	message("v1/devices/me/attributes/response/2", "{\"shared\":{\"setpoint\":1}}");
	assert_int_equal(command_count, 0);
	message("v1/devices/me/attributes/response/3", "{\"shared\":{\"setpoint\":19,\"other\":1}}");
	assert_int_equal(command_count, 1);
	assert_int_equal(commands[0].kind, COMMAND_WRITE_CHANGED);
	assert_int_equal(commands[0].value.integer, 19);
	assert_int_equal(downlink_due_mono_ms(downlink), CLOCK_NEVER);
}

static void
an_unanswered_request_is_made_again_ever_more_seldom(void **state)
{
	int64_t last = now_ms;

	(void)state;
	for (int i = 0; i < 10; i++) {
		now_ms = downlink_due_mono_ms(downlink);
		assert_int_equal(now_ms - last, i < 5 ? 10000 : 600000);
		last = now_ms;
		sent[0] = '\0';
		downlink_tick(downlink);
		assert_non_null(strstr(sent, "v1/devices/me/attributes/request/"));
	}
	/* And its answer is taken then, too. */
	message("v1/devices/me/attributes/response/11", "{\"shared\":{\"setpoint\":19}}");
	assert_int_equal(command_count, 1);
	assert_int_equal(downlink_due_mono_ms(downlink), CLOCK_NEVER);
}

static void
a_flat_response_is_understood(void **state)
{
	(void)state;
	message("v1/devices/me/attributes/response/1", "{\"setpoint\":19}");
	assert_int_equal(command_count, 1);
}

static void
an_update_is_newer_than_a_response_on_its_way(void **state)
{
	(void)state;
	message(TB_TOPIC_ATTRIBUTES, "{\"setpoint\":20}");
	message("v1/devices/me/attributes/response/1", "{\"shared\":{\"setpoint\":19}}");
	assert_int_equal(command_count, 1);
	assert_int_equal(commands[0].value.integer, 20);
}

static void
a_bad_value_is_not_written(void **state)
{
	(void)state;
	message(TB_TOPIC_ATTRIBUTES, "{\"setpoint\":99}");
	message(TB_TOPIC_ATTRIBUTES, "{\"setpoint\":\"warm\"}");
	message(TB_TOPIC_ATTRIBUTES, "{\"setpoint\":null}");
	message(TB_TOPIC_ATTRIBUTES, "{\"setpoint\":[1]}");
	message(TB_TOPIC_ATTRIBUTES, "nonsense");
	fresh_sample(1);
	assert_int_equal(command_count, 0);
}

static void
what_could_not_be_written_is_tried_when_the_unit_answers(void **state)
{
	(void)state;
	message(TB_TOPIC_ATTRIBUTES, "{\"setpoint\":20}");
	fresh_sample(1);
	assert_int_equal(command_count, 1);
	finish(0, OUTCOME_OFFLINE, ECONNREFUSED);
	fresh_sample(1); /* too soon */
	assert_int_equal(command_count, 1);
	now_ms += 5000;
	fresh_sample(0); /* another point */
	assert_int_equal(command_count, 1);
	fresh_sample(1);
	assert_int_equal(command_count, 2);
	assert_int_equal(commands[1].value.integer, 20);
	finish(1, OUTCOME_UNCHANGED, 20);
	now_ms += 5000;
	fresh_sample(1);
	assert_int_equal(command_count, 2);
}

/* Neither is what it replaced: the server has not wanted that for long when the unit answers at last. */
static void
a_bad_value_ends_an_older_wish(void **state)
{
	(void)state;
	message("v1/devices/me/attributes", "{\"setpoint\":21}");
	finish(0, OUTCOME_OFFLINE, EIO);
	message("v1/devices/me/attributes", "{\"setpoint\":31}");
	now_ms += 60000;
	fresh_sample(1);
	assert_int_equal(command_count, 1);
	/* the same while a command is on its way */
	message("v1/devices/me/attributes", "{\"setpoint\":22}");
	message("v1/devices/me/attributes", "{\"setpoint\":null}");
	finish(1, OUTCOME_TIMEOUT, ETIMEDOUT);
	now_ms += 60000;
	fresh_sample(1);
	assert_int_equal(command_count, 2);
	message("v1/devices/me/attributes", "{\"setpoint\":23}");
	assert_int_equal(command_count, 3);
}

static void
what_the_unit_refuses_is_not_tried_again(void **state)
{
	(void)state;
	message(TB_TOPIC_ATTRIBUTES, "{\"setpoint\":20}");
	finish(0, OUTCOME_EXCEPTION, 3);
	now_ms += 60000;
	fresh_sample(1);
	assert_int_equal(command_count, 1);
}

/* A moment later. */
static void
expect_told(const char *expected)
{
	now_ms += 200;
	downlink_tick(downlink);
	assert_string_equal(told, expected);
	told[0] = '\0';
}

static void
what_is_not_understood_is_counted(void **state)
{
	static const char *const topics[] = { "v1/devices/me/rpc/request/", "v1/devices/me/rpc/request/x",
		"v1/devices/me/rpc/request/-1", "v1/devices/me/rpc/request/99999999999999999999",
		"v1/devices/me/rpc/response/1/2", "v1/devices/me/attributes/response/1x", "v2/a", "" };

	(void)state;
	for (size_t i = 0; i < sizeof(topics) / sizeof(topics[0]); i++)
		message(topics[i], "{\"method\":\"stop\"}");
	message(TB_TOPIC_ATTRIBUTES, "{\"setpoint\":");
	downlink_message(downlink, 0, TB_TOPIC_ATTRIBUTES, "\0\377\0\377", 4);
	downlink_message(downlink, 0, TB_TOPIC_ATTRIBUTES, "", 0);
	assert_int_equal(downlink_counts(downlink).not_understood, 11);
	message(TB_TOPIC_ATTRIBUTES, "{\"setpoint\":\"warm\"}");
	message(TB_TOPIC_ATTRIBUTES, "{\"setpoint\":[1]}");
	message(TB_TOPIC_ATTRIBUTES, "[1]");
	assert_int_equal(downlink_counts(downlink).shared_refused, 2);
	assert_int_equal(command_count, 0);
	expect_sent("");
}

static void
why_a_value_is_not_there_is_told(void **state)
{
	(void)state;
	message(TB_TOPIC_ATTRIBUTES, "{\"setpoint\":99}");
	expect_told("{\"setpoint_error\":\"99 is above the maximum 30\"}");
	message(TB_TOPIC_ATTRIBUTES, "{\"setpoint\":{\"a\":1}}");
	expect_told("{\"setpoint_error\":\"the value is neither a number nor a text nor true or false\"}");
	message(TB_TOPIC_ATTRIBUTES, "{\"setpoint\":20}");
	finish(0, OUTCOME_AWAY, 0);
	expect_told("{\"setpoint_error\":\"bus plc unit 3: no answer, nothing was written\"}");
	now_ms += 5000;
	fresh_sample(0);
	fresh_sample(1);
	finish(1, OUTCOME_EXCEPTION, 3);
	expect_told("{\"setpoint_error\":\"unit 3 refused: exception 3 (illegal data value)\"}");
	/* And nothing more until it is set anew. */
	now_ms += 60000;
	fresh_sample(1);
	assert_int_equal(command_count, 2);
	message(TB_TOPIC_ATTRIBUTES, "{\"setpoint\":21}");
	finish(2, OUTCOME_UNCHANGED, 21);
	expect_told("{\"setpoint_error\":\"\"}");
	message(TB_TOPIC_ATTRIBUTES, "{\"setpoint\":99}");
	message(TB_TOPIC_ATTRIBUTES, "{\"deleted\":[\"setpoint\"]}");
	expect_told("{\"setpoint_error\":\"\"}");
}

static void
why_is_told_again_on_a_new_connection(void **state)
{
	(void)state;
	points[2].shared = true;
	restart();
	message(TB_TOPIC_ATTRIBUTES, "{\"setpoint\":99,\"mode\":\"cool\"}");
	expect_told(
	    "{\"setpoint_error\":\"99 is above the maximum 30\",\"mode_error\":\"\\\"cool\\\" is no label of "
	    "the enum (off, heat)\"}");
	message(TB_TOPIC_ATTRIBUTES, "{\"setpoint\":99}");
	expect_told("");
	downlink_down(downlink, 0, false);
	message(TB_TOPIC_ATTRIBUTES, "{\"setpoint\":20}");
	finish(0, OUTCOME_DONE, 20);
	expect_told("");
	reconnect();
	expect_told(
	    "{\"setpoint_error\":\"\",\"mode_error\":\"\\\"cool\\\" is no label of the enum (off, heat)\"}");
	points[2].shared = false;
	restart();
}

static void
a_wish_that_is_overruled_is_no_error(void **state)
{
	(void)state;
	message(TB_TOPIC_ATTRIBUTES, "{\"setpoint\":20}");
	finish(0, OUTCOME_AWAY, 0);
	now_ms += 10;
	request(1, "{\"method\":\"set\",\"params\":{\"key\":\"setpoint\",\"value\":22}}");
	finish(1, OUTCOME_DONE, 22);
	expect_told("{\"setpoint_error\":\"\"}");
}

static void
the_newest_value_wins(void **state)
{
	(void)state;
	message(TB_TOPIC_ATTRIBUTES, "{\"setpoint\":20}");
	message(TB_TOPIC_ATTRIBUTES, "{\"setpoint\":21}");
	message(TB_TOPIC_ATTRIBUTES, "{\"setpoint\":22}");
	assert_int_equal(command_count, 1);
	finish(0, OUTCOME_DONE, 20);
	assert_int_equal(command_count, 2);
	assert_int_equal(commands[1].value.integer, 22);
	finish(1, OUTCOME_DONE, 22);
	assert_int_equal(command_count, 2);
}

static void
a_deleted_attribute_is_wanted_no_more(void **state)
{
	(void)state;
	message(TB_TOPIC_ATTRIBUTES, "{\"setpoint\":20}");
	finish(0, OUTCOME_OFFLINE, 0);
	message(TB_TOPIC_ATTRIBUTES, "{\"deleted\":[\"other\",\"setpoint\",7]}");
	now_ms += 5000;
	fresh_sample(1);
	assert_int_equal(command_count, 1);
}

static void
an_rpc_overrules_an_older_wish(void **state)
{
	(void)state;
	message(TB_TOPIC_ATTRIBUTES, "{\"setpoint\":20}");
	finish(0, OUTCOME_OFFLINE, 0);
	request(1, "{\"method\":\"set\",\"params\":{\"key\":\"setpoint\",\"value\":25}}");
	finish(1, OUTCOME_DONE, 25);
	now_ms += 5000;
	fresh_sample(1);
	assert_int_equal(command_count, 2);
}

static void
a_full_queue_delays_a_wish(void **state)
{
	(void)state;
	request(1, "{\"method\":\"get\",\"params\":{\"key\":\"mode\"}}");
	command_room = 1;
	message(TB_TOPIC_ATTRIBUTES, "{\"setpoint\":20}");
	assert_int_equal(command_count, 1);
	command_room = COMMANDS;
	finish(0, OUTCOME_DONE, 0);
	assert_int_equal(command_count, 2);
	assert_int_equal(commands[1].value.integer, 20);
}

/* ---- several values ---- */

static void
several_values_are_one_push_and_one_reply(void **state)
{
	(void)state;
	request(1, "{\"method\":\"set\",\"params\":{\"values\":{\"setpoint\":21,\"mode\":1}}}");
	assert_int_equal(command_count, 2);
	assert_int_equal(push_count, 1);
	assert_ptr_equal(commands[0].point, &points[1]);
	assert_ptr_equal(commands[1].point, &points[2]);
	finish(1, OUTCOME_DONE, 1);
	expect_sent("");
	finish(0, OUTCOME_DONE, 21);
	expect_reply(1, "{\"values\":{\"setpoint\":21,\"mode\":1}}");
	assert_int_equal(downlink_counts(downlink).pending, 0);
}

static void
what_went_wrong_is_told_by_key(void **state)
{
	static const char set[] = "{\"method\":\"set\",\"params\":{\"values\":{\"setpoint\":21,\"mode\":1}}}";

	(void)state;
	request(1, set);
	finish(0, OUTCOME_EXCEPTION, 2);
	finish(1, OUTCOME_DONE, 1);
	expect_reply(1,
	    "{\"error\":\"1 of 2 values failed\",\"errors\":{\"setpoint\":\"unit 3 refused: exception 2 "
	    "(illegal data address)\"},\"values\":{\"mode\":1}}");
	/* Told again it is answered from memory. */
	reconnect();
	request(1, set);
	assert_int_equal(command_count, 2);
}

static void
one_wrong_value_and_none_is_sent(void **state)
{
	(void)state;
	request(1, "{\"method\":\"set\",\"params\":{\"values\":{\"setpoint\":31,\"mode\":1,\"x\":null}}}");
	expect_reply(1,
	    "{\"error\":\"nothing was written\",\"errors\":{\"setpoint\":\"setpoint: 31 is above the "
	    "maximum 30\",\"x\":\"no point 'x'\"},\"values\":{}}");
	request(2, "{\"method\":\"set\",\"params\":{\"values\":{}}}");
	expect_reply(2, "{\"error\":\"the member \\\"values\\\" has no keys\"}");
	request(3, "{\"method\":\"set\",\"params\":{\"values\":[1]}}");
	expect_reply(3, "{\"error\":\"the member \\\"values\\\" must be an object of keys and values\"}");
	assert_int_equal(command_count, 0);
}

static void
a_push_is_taken_whole_or_not_at_all(void **state)
{
	(void)state;
	command_room = 1;
	request(1, "{\"method\":\"set\",\"params\":{\"values\":{\"setpoint\":21,\"mode\":1}}}");
	expect_reply(1, "{\"error\":\"busy: too many requests are waiting, nothing was sent\"}");
	assert_int_equal(command_count, 0);
	assert_int_equal(downlink_counts(downlink).pending, 0);
}

static void
points_of_two_buses_are_two_pushes(void **state)
{
	static struct bus other = { .name = "other", .index = 1 };

	(void)state;
	points[2].bus = &other;
	request(1, "{\"method\":\"set\",\"params\":{\"values\":{\"setpoint\":21,\"mode\":1}}}");
	assert_int_equal(command_count, 2);
	assert_int_equal(push_count, 2);
	finish(0, OUTCOME_DONE, 21);
	finish(1, OUTCOME_DONE, 1);
	expect_reply(1, "{\"values\":{\"setpoint\":21,\"mode\":1}}");
	/* One of them has no room: the other is written all the same, and it is said. */
	command_room = 3;
	request(2, "{\"method\":\"set\",\"params\":{\"values\":{\"setpoint\":22,\"mode\":0}}}");
	assert_int_equal(command_count, 3);
	finish(2, OUTCOME_DONE, 22);
	expect_reply(2, "{\"error\":\"1 of 2 values failed\",\"errors\":{\"mode\":\"the gateway is stopping "
			"or takes over other settings, or its queue is full: nothing was "
			"sent\"},\"values\":{\"setpoint\":22}}");
}

static void
what_one_update_brings_is_one_push(void **state)
{
	(void)state;
	downlink_free(downlink);
	points[2].shared = true;
	points[1].addr = 5;
	points[2].addr = 4;
	downlink = downlink_new(&settings, port, sink);
	downlink_up(downlink, 0);
	downlink_subscribed(downlink, 0, last_id, true);
	message(TB_TOPIC_ATTRIBUTES, "{\"setpoint\":20,\"mode\":1,\"setpoint\":22}");
	assert_int_equal(push_count, 1);
	assert_int_equal(command_count, 2);
	assert_ptr_equal(commands[0].point, &points[2]); /* by address */
	assert_int_equal(commands[1].value.integer, 22);
	/* What was not taken is tried on its own. */
	finish(0, OUTCOME_AWAY, 0);
	finish(1, OUTCOME_DONE, 22);
	now_ms += 5000;
	fresh_sample(2);
	assert_int_equal(command_count, 3);
	assert_ptr_equal(commands[2].point, &points[2]);
}

/* ---- a silent cloud ---- */

static struct point_write safe[] = {
	{ .point = &points[2], .value = { .kind = VALUE_LABEL, .label = "off" } },
	{ .point = &points[1], .value = { .kind = VALUE_INT, .integer = 5 } },
};

/* Begin again, with nothing heard of the server yet. */
static void
begin_with_loss(int seconds)
{
	downlink_free(downlink);
	device.on_cloud_loss = safe;
	device.on_cloud_loss_count = 2;
	device.cloud_loss_s = seconds;
	downlink = downlink_new(&settings, port, sink);
	assert_non_null(downlink);
}

static void
pass(int64_t ms)
{
	int64_t end = now_ms + ms;

	while (downlink_due_mono_ms(downlink) <= end) {
		if (downlink_due_mono_ms(downlink) > now_ms)
			now_ms = downlink_due_mono_ms(downlink);
		downlink_tick(downlink);
	}
	now_ms = end;
}

static void
come_up(void)
{
	downlink_up(downlink, 0);
	downlink_subscribed(downlink, 0, last_id, true);
	message("v1/devices/me/attributes/response/1", "{}");
}

static void
a_silent_cloud_brings_safe_values_once(void **state)
{
	(void)state;
	begin_with_loss(60);
	come_up();
	assert_true(downlink_due_mono_ms(downlink) == CLOCK_NEVER); /* while all is well nothing wakes */
	downlink_down(downlink, 0, false);
	pass(59999);
	assert_int_equal(command_count, 0);
	pass(1);
	assert_int_equal(command_count, 2);
	assert_int_equal(push_count, 2); /* in their order, each on its own */
	assert_ptr_equal(commands[0].point, &points[2]);
	assert_string_equal(commands[0].value.label, "off");
	assert_int_equal(commands[0].kind, COMMAND_WRITE);
	assert_int_equal(commands[1].value.integer, 5);
	finish(0, OUTCOME_DONE, 0);
	finish(1, OUTCOME_DONE, 5);
	assert_true(downlink_due_mono_ms(downlink) == CLOCK_NEVER);
	pass(3600000);
	fresh_sample(1);
	assert_int_equal(command_count, 2);
	/* Again only after the server was there. */
	downlink_up(downlink, 0);
	downlink_down(downlink, 0, false);
	pass(3600000);
	assert_int_equal(command_count, 2);
	come_up();
	downlink_down(downlink, 0, false);
	pass(60000);
	assert_int_equal(command_count, 4);
}

/* The device is not there, the server is. */
static void
a_session_closed_on_purpose_is_no_loss(void **state)
{
	(void)state;
	begin_with_loss(60);
	come_up();
	downlink_down(downlink, 0, true);
	pass(3600000);
	assert_int_equal(command_count, 0);
	assert_true(downlink_due_mono_ms(downlink) == CLOCK_NEVER);
}

static void
a_server_that_never_was_there_is_silent_from_the_start(void **state)
{
	(void)state;
	begin_with_loss(60);
	pass(30000);
	downlink_up(downlink, 0); /* it takes the connection and says nothing */
	pass(20000);
	downlink_down(downlink, 0, false);
	assert_int_equal(command_count, 0);
	pass(10000);
	assert_int_equal(command_count, 2);
}

static void
a_short_silence_is_none(void **state)
{
	(void)state;
	begin_with_loss(60);
	for (int i = 0; i < 10; i++) {
		come_up();
		downlink_down(downlink, 0, false);
		pass(50000);
	}
	assert_int_equal(command_count, 0);
}

static void
what_was_not_written_is_tried_until_the_cloud_is_back(void **state)
{
	(void)state;
	begin_with_loss(60);
	pass(60000);
	assert_int_equal(command_count, 2);
	finish(0, OUTCOME_AWAY, 0);
	finish(1, OUTCOME_EXCEPTION, 2); /* which it would be again */
	pass(5000);
	assert_int_equal(command_count, 3);
	finish(2, OUTCOME_TIMEOUT, ETIMEDOUT);
	pass(9999);
	assert_int_equal(command_count, 3);
	pass(1);
	assert_int_equal(command_count, 4);
	finish(3, OUTCOME_OFFLINE, 0);
	now_ms += 2000;
	fresh_sample(0); /* its unit answers */
	assert_int_equal(command_count, 5);
	fresh_sample(0);
	assert_int_equal(command_count, 5);
	finish(4, OUTCOME_EXCEPTION, 6); /* busy, which passes */
	now_ms += 1000;
	fresh_sample(0);
	assert_int_equal(command_count, 6);
	come_up();
	finish(5, OUTCOME_AWAY, 0);
	pass(3600000);
	fresh_sample(0);
	assert_int_equal(command_count, 6);
}

static void
an_older_wish_does_not_undo_a_safe_value(void **state)
{
	(void)state;
	begin_with_loss(60);
	come_up();
	message(TB_TOPIC_ATTRIBUTES, "{\"setpoint\":20}");
	finish(0, OUTCOME_AWAY, 0);
	downlink_down(downlink, 0, false);
	pass(60000);
	assert_int_equal(command_count, 3);
	finish(1, OUTCOME_DONE, 0);
	finish(2, OUTCOME_DONE, 5);
	now_ms += 10000;
	fresh_sample(1);
	assert_int_equal(command_count, 3);
}

static void
a_full_queue_delays_a_safe_value(void **state)
{
	(void)state;
	begin_with_loss(60);
	command_room = 1;
	pass(60000);
	assert_int_equal(command_count, 1);
	command_room = COMMANDS;
	finish(0, OUTCOME_DONE, 0);
	pass(5000);
	assert_int_equal(command_count, 2);
	assert_ptr_equal(commands[1].point, &points[1]);
}

#define call_test(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down_calls)
#define test(name)	cmocka_unit_test_setup_teardown(name, set_up, tear_down)

/* ---- requests to the server ---- */

static void
tell(void *ctx, size_t asking, const struct tb_json *answer, const char *error)
{
	const char *text = tb_json_text(tb_json_get(answer, "text"));

	(void)asking;
	snprintf(told + strlen(told), sizeof(told) - strlen(told), "%s: %s\n", (const char *)ctx,
	    error  ? error
	    : text ? text
		   : "no text");
}

static int
try_ask(const char *name, const char *params)
{
	return downlink_ask(downlink, 0, name, params, 10000, tell, (void *)(uintptr_t)name);
}

static void
ask(const char *name, const char *params)
{
	assert_int_equal(try_ask(name, params), 0);
}

static void
the_server_is_asked_and_the_answer_finds_who_asked(void **state)
{
	(void)state;
	told[0] = '\0';
	message("v1/devices/me/attributes/response/1", "{}");
	ask("getTime", NULL);
	ask("get\"Limits", "[1]");
	expect_sent("v1/devices/me/rpc/request/1 {\"method\":\"getTime\",\"params\":{}}\n"
		    "v1/devices/me/rpc/request/2 {\"method\":\"get\\\"Limits\",\"params\":[1]}\n");
	message("v1/devices/me/rpc/response/2", "{\"text\":\"two\"}");
	message("v1/devices/me/rpc/response/2", "{\"text\":\"again\"}");
	message("v1/devices/me/rpc/response/7", "{\"text\":\"seven\"}");
	message("v1/devices/me/rpc/response/1", "[]");
	assert_string_equal(told, "get\"Limits: two\ngetTime: no text\n");
	assert_int_equal(downlink_due_mono_ms(downlink), CLOCK_NEVER);
}

static void
who_asked_the_server_is_told_when_no_answer_comes(void **state)
{
	(void)state;
	told[0] = '\0';
	message("v1/devices/me/attributes/response/1", "{}");
	ask("a", NULL);
	message("v1/devices/me/rpc/response/1", "{\"text\":");
	ask("b", NULL);
	assert_int_equal(downlink_due_mono_ms(downlink), now_ms + 10000);
	now_ms += 10000;
	downlink_tick(downlink);
	ask("c", NULL);
	downlink_down(downlink, 0, false);
	assert_int_equal(try_ask("d", NULL), -ENOTCONN);
	assert_string_equal(told, "a: the server's answer is not valid JSON\n"
				  "b: the server did not answer in time\n"
				  "c: the session ended before the server answered\n");
}

static void
requests_to_the_server_are_bounded(void **state)
{
	int count = 0;

	(void)state;
	told[0] = '\0';
	while (try_ask("a", NULL) == 0)
		count++;
	assert_int_equal(count, 65);
	message("v1/devices/me/rpc/response/65", "{}");
	ask("b", NULL);
	assert_int_equal(try_ask("a", NULL), -EBUSY);
}

/* ---- calls ---- */

static const struct call_param call_params[] = {
	{ .name = "n", .point = &points[0] },
	{ .name = "text", .value = { .kind = VALUE_LABEL, .label = "x" } },
};
static const struct call_result call_results[] = {
	{ .point = &points[1], .field = "a.temp" },
	{ .point = &points[2], .value = { .kind = VALUE_LABEL, .label = "off" } },
};
static struct server_call server_calls[] = {
	{ .method = "recipe",
	    .on = &points[2],
	    .on_value = { .kind = VALUE_LABEL, .label = "heat" },
	    .timeout_ms = 10000,
	    .params = (struct call_param *)(uintptr_t)call_params,
	    .param_count = 2,
	    .results = (struct call_result *)(uintptr_t)call_results,
	    .result_count = 2 },
	{ .method = "time", .period_ms = 3600000, .timeout_ms = 10000 },
};

static void
with_calls(size_t first, size_t count)
{
	device.calls = &server_calls[first];
	device.call_count = count;
	restart();
	message("v1/devices/me/attributes/response/1", "{}");
}

static int
tear_down_calls(void **state)
{
	device.call_count = 0;
	return tear_down(state);
}

static void
mode_is(const char *label)
{
	struct sample sample = {
		.point = &points[2], .taken_mono_ms = now_ms, .value = { .kind = VALUE_LABEL, .label = label }
	};

	downlink_sample(downlink, &sample);
}

static const char asked[] =
    "v1/devices/me/rpc/request/1 {\"method\":\"recipe\",\"params\":{\"n\":7,\"text\":\"x\"}}\n";

static void
a_change_asks_the_server_and_its_answer_is_written(void **state)
{
	(void)state;
	with_calls(0, 1);
	mode_is("off");
	assert_int_equal(command_count, 0);
	mode_is("heat");
	assert_int_equal(command_count, 1);
	assert_int_equal(commands[0].kind, COMMAND_READ);
	assert_ptr_equal(commands[0].point, &points[0]);
	finish(0, OUTCOME_DONE, 7);
	expect_sent(asked);
	message("v1/devices/me/rpc/response/1", "{\"a\":{\"temp\":21}}");
	assert_int_equal(command_count, 2);
	assert_ptr_equal(commands[1].point, &points[1]);
	assert_int_equal(commands[1].value.integer, 21);
	finish(1, OUTCOME_DONE, 21);
	assert_int_equal(command_count, 3);
	assert_ptr_equal(commands[2].point, &points[2]);
	assert_string_equal(commands[2].value.label, "off");
	finish(2, OUTCOME_DONE, 0);
	mode_is("heat");
	mode_is("off");
	assert_int_equal(command_count, 3);
	assert_int_equal(downlink_counts(downlink).calls, 1);
	assert_int_equal(downlink_counts(downlink).calls_failed, 0);
	mode_is("heat");
	assert_int_equal(command_count, 4);
	finish(3, OUTCOME_DONE, 7);
}

static void
what_the_point_is_at_the_start_calls(void **state)
{
	(void)state;
	with_calls(0, 1);
	mode_is("heat");
	assert_int_equal(command_count, 1);
	finish(0, OUTCOME_DONE, 7);
}

static void
a_bad_answer_writes_nothing(void **state)
{
	static const char *const answers[] = { "{\"error\":\"timeout\"}", "{\"error\":5}", "{}", "[]", "7",
		"nonsense", "{\"a\":{\"temp\":31}}", "{\"a\":{\"temp\":{}}}", "{\"a\":{\"temp\":null}}",
		"{\"a.temp\":21}",
		"{\"error\":\"no such recipe\",\"a\":{\"temp\":21}}" };

	(void)state;
	with_calls(0, 1);
	for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
		char topic[64];

		mode_is("off");
		mode_is("heat");
		assert_int_equal(command_count, i + 1);
		finish(i, OUTCOME_DONE, 7);
		snprintf(topic, sizeof(topic), "v1/devices/me/rpc/response/%zu", i + 1);
		message(topic, answers[i]);
		assert_int_equal(command_count, i + 1);
		assert_int_equal(downlink_counts(downlink).calls_failed, i + 1);
		sent[0] = '\0';
	}
}

static void
what_fails_ends_a_call(void **state)
{
	(void)state;
	with_calls(0, 1);
	/* The parameter cannot be read: nobody is asked. */
	mode_is("heat");
	finish(0, OUTCOME_AWAY, 0);
	expect_sent("");
	assert_int_equal(downlink_counts(downlink).calls_failed, 1);
	/* The server does not answer. */
	mode_is("off");
	mode_is("heat");
	finish(1, OUTCOME_DONE, 7);
	now_ms += 10000;
	downlink_tick(downlink);
	assert_int_equal(downlink_counts(downlink).calls_failed, 2);
	/* A unit does not take the first result: the second is not written. */
	mode_is("off");
	mode_is("heat");
	finish(2, OUTCOME_DONE, 7);
	message("v1/devices/me/rpc/response/2", "{\"a\":{\"temp\":21}}");
	finish(3, OUTCOME_EXCEPTION, 2);
	assert_int_equal(command_count, 4);
	assert_int_equal(downlink_counts(downlink).calls_failed, 3);
	/* There is no room. */
	command_room = command_count;
	mode_is("off");
	mode_is("heat");
	assert_int_equal(downlink_counts(downlink).calls_failed, 4);
	assert_int_equal(downlink_counts(downlink).pending, 0);
}

static void
a_call_waits_for_a_session_and_is_made_once(void **state)
{
	(void)state;
	with_calls(0, 1);
	downlink_down(downlink, 0, false);
	mode_is("heat");
	mode_is("off");
	mode_is("heat");
	assert_int_equal(command_count, 0);
	reconnect();
	assert_int_equal(command_count, 1);
	finish(0, OUTCOME_DONE, 7);
	expect_sent(asked);
	/* Cut off by the end of the session, it is made again with the next. */
	reconnect();
	assert_int_equal(command_count, 2);
	finish(1, OUTCOME_DONE, 7);
	message("v1/devices/me/rpc/response/2", "{\"a\":{\"temp\":21}}");
	assert_int_equal(command_count, 3);
	finish(2, OUTCOME_DONE, 21);
	finish(3, OUTCOME_DONE, 0);
	assert_int_equal(downlink_counts(downlink).calls, 1);
	reconnect();
	assert_int_equal(command_count, 4);
}

static void
a_call_that_runs_is_not_made_twice_at_once(void **state)
{
	(void)state;
	with_calls(0, 1);
	mode_is("heat");
	mode_is("off");
	mode_is("heat");
	mode_is("off");
	mode_is("heat");
	assert_int_equal(command_count, 1);
	finish(0, OUTCOME_AWAY, 0);
	assert_int_equal(command_count, 2);
	finish(1, OUTCOME_AWAY, 0);
	assert_int_equal(command_count, 2);
}

static void
a_period_begins_with_the_session(void **state)
{
	(void)state;
	with_calls(1, 1);
	reconnect();
	expect_sent("");
	message("v1/devices/me/attributes/response/2", "{}");
	assert_int_equal(downlink_counts(downlink).calls, 0);
	/* That of the first session was cut off, so that this is the second. */
	message("v1/devices/me/rpc/response/2", "{}");
	assert_int_equal(downlink_counts(downlink).calls, 1);
	assert_int_equal(downlink_due_mono_ms(downlink), now_ms + 3600000);
	now_ms += 3600000;
	downlink_tick(downlink);
	expect_sent("v1/devices/me/rpc/request/3 {\"method\":\"time\",\"params\":{}}\n");
	message("v1/devices/me/rpc/response/3", "{}");
	/* Without a session nothing wakes up, and the next one begins with it. */
	downlink_down(downlink, 0, false);
	now_ms += 3600000;
	downlink_tick(downlink);
	assert_int_equal(downlink_due_mono_ms(downlink), CLOCK_NEVER);
	expect_sent("");
}

/* ---- other settings ---- */

/* The same once more, which goes on where the old one was. */
static void
reload(void)
{
	struct difference *difference = difference_new(&settings, &settings);
	struct downlink *old = downlink;

	assert_non_null(difference);
	downlink = downlink_new(&settings, port, sink);
	assert_non_null(downlink);
	downlink_adopt(downlink, old, difference);
	downlink_free(old);
	difference_free(difference);
	downlink_adopted(downlink);
}

static void
a_reload_makes_a_call_that_runs_anew(void **state)
{
	(void)state;
	with_calls(0, 1);
	mode_is("off");
	mode_is("heat");
	reload();
	assert_int_equal(command_count, 2);
	finish(0, OUTCOME_DONE, 6);
	expect_sent("");
	finish(1, OUTCOME_DONE, 7);
	expect_sent(asked);
	reload();
	finish(2, OUTCOME_DONE, 7);
	sent[0] = '\0';
	message("v1/devices/me/rpc/response/1", "{\"a\":{\"temp\":20}}");
	assert_int_equal(command_count, 3);
	message("v1/devices/me/rpc/response/2", "{\"a\":{\"temp\":21}}");
	assert_int_equal(command_count, 4);
	assert_int_equal(commands[3].value.integer, 21);
	finish(3, OUTCOME_DONE, 21);
	finish(4, OUTCOME_DONE, 0);
	/* What the point was before is known, so that the same is no change. */
	reload();
	mode_is("heat");
	assert_int_equal(command_count, 5);
	assert_int_equal(downlink_counts(downlink).calls, 1);
	assert_int_equal(downlink_counts(downlink).pending, 0);
}

static void
a_reload_keeps_why_and_tells_it_once(void **state)
{
	(void)state;
	message(TB_TOPIC_ATTRIBUTES, "{\"setpoint\":99}");
	reload();
	expect_told("{\"setpoint_error\":\"99 is above the maximum 30\"}");
	reload();
	message(TB_TOPIC_ATTRIBUTES, "{\"setpoint\":99}");
	expect_told("");
}

static void
a_reload_answers_what_was_asked_by_address(void **state)
{
	(void)state;
	device.raw_rpc = true;
	device.bus = &bus;
	device.unit = 3;
	request(1, "{\"method\":\"modbus_write\",\"params\":{\"table\":\"coil\",\"addr\":1,\"value\":true}}");
	assert_int_equal(command_count, 1);
	reload();
	expect_reply(1, "{\"error\":\"bus plc unit 3: no answer; it may or may not have been written\"}");
	/* The field still looks at the point. */
	assert_int_equal(commands[0].point->addr, 1);
	finish(0, OUTCOME_TIMEOUT, 0);
	assert_int_equal(downlink_counts(downlink).pending, 0);
	device.raw_rpc = false;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		test(every_mistake_is_answered_in_words),
		test(every_outcome_is_answered_in_words),
		test(named_methods_take_the_value_bare_or_wrapped),
		test(a_fixed_value_is_written_whatever_the_params_are),
		test(a_list_is_written_one_by_one_and_in_order),
		test(the_first_that_fails_ends_a_list),
		test(a_list_with_a_wrong_value_is_not_begun),
		test(a_list_goes_on_for_no_longer_than_the_caller_waits),
		test(a_reply_does_not_wait_for_ever),
		test(a_write_is_not_done_again_by_the_next_process),
		test(all_that_was_begun_is_known_to_the_next_process),
		test(a_repeated_write_is_not_done_twice),
		test(a_repeated_read_is_done_again),
		test(a_reply_stays_with_its_connection),
		test(a_flood_is_answered_busy),
		test(a_tag_that_is_over_is_ignored),
		test(keys_are_asked_for_after_the_suback_and_again),
		test(an_unanswered_request_is_made_again_ever_more_seldom),
		test(a_flat_response_is_understood),
		test(an_update_is_newer_than_a_response_on_its_way),
		test(a_bad_value_is_not_written),
		test(what_could_not_be_written_is_tried_when_the_unit_answers),
		test(a_bad_value_ends_an_older_wish),
		test(what_the_unit_refuses_is_not_tried_again),
		test(what_is_not_understood_is_counted),
		test(why_a_value_is_not_there_is_told),
		test(why_is_told_again_on_a_new_connection),
		test(a_wish_that_is_overruled_is_no_error),
		test(the_newest_value_wins),
		test(a_deleted_attribute_is_wanted_no_more),
		test(an_rpc_overrules_an_older_wish),
		test(a_full_queue_delays_a_wish),
		test(several_values_are_one_push_and_one_reply),
		test(what_went_wrong_is_told_by_key),
		test(one_wrong_value_and_none_is_sent),
		test(a_push_is_taken_whole_or_not_at_all),
		test(points_of_two_buses_are_two_pushes),
		test(what_one_update_brings_is_one_push),
		test(a_silent_cloud_brings_safe_values_once),
		test(a_session_closed_on_purpose_is_no_loss),
		test(a_server_that_never_was_there_is_silent_from_the_start),
		test(a_short_silence_is_none),
		test(what_was_not_written_is_tried_until_the_cloud_is_back),
		test(an_older_wish_does_not_undo_a_safe_value),
		test(a_full_queue_delays_a_safe_value),
		test(the_server_is_asked_and_the_answer_finds_who_asked),
		test(who_asked_the_server_is_told_when_no_answer_comes),
		test(requests_to_the_server_are_bounded),
		call_test(a_change_asks_the_server_and_its_answer_is_written),
		call_test(what_the_point_is_at_the_start_calls),
		call_test(a_bad_answer_writes_nothing),
		call_test(what_fails_ends_a_call),
		call_test(a_call_waits_for_a_session_and_is_made_once),
		call_test(a_call_that_runs_is_not_made_twice_at_once),
		call_test(a_period_begins_with_the_session),
		call_test(a_reload_makes_a_call_that_runs_anew),
		test(a_reload_keeps_why_and_tells_it_once),
		test(a_reload_answers_what_was_asked_by_address),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
