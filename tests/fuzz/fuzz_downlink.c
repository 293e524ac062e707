/* What a server may send to a session: lines of topic, a blank, payload. Each RPC request is answered once,
 * and no command leaves that the configuration does not allow. The first byte says what units make of
 * commands. */
#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "cloud/downlink.h"
#include "cloud/tb_json.h"
#include "cloud/tb_topic.h"
#include "model/codec.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct enum_label labels[] = { { .label = "off", .number = 0 },
	{ .label = "heat", .number = 1 } };
static struct bus bus = { .name = "plc", .type = BUS_TCP };
static struct device device;
static struct point points[] = {
	{ .key = "temperature", .table = TABLE_INPUT, .type = TYPE_FLOAT32, .count = 2 },
	{ .key = "setpoint",
	    .table = TABLE_HOLDING,
	    .type = TYPE_INT16,
	    .count = 1,
	    .writable = true,
	    .shared = true,
	    .has_max = true,
	    .max = 30 },
	{ .key = "mode",
	    .table = TABLE_HOLDING,
	    .type = TYPE_UINT16,
	    .count = 1,
	    .addr = 1,
	    .writable = true,
	    .shared = true,
	    .labels = labels,
	    .label_count = 2 },
	{ .key = "text",
	    .table = TABLE_HOLDING,
	    .type = TYPE_STRING,
	    .count = 4,
	    .addr = 10,
	    .writable = true,
	    .shared = true },
	{ .key = "list",
	    .table = TABLE_HOLDING,
	    .type = TYPE_UINT32,
	    .count = 6,
	    .array = 3,
	    .addr = 20,
	    .writable = true },
	{ .key = "coil", .table = TABLE_COIL, .type = TYPE_BOOL, .count = 1, .writable = true },
};
#define POINTS (sizeof(points) / sizeof(points[0]))

static struct rpc_step steps[] = {
	{ .point = &points[2] },
	{ .point = &points[1], .param = "temp" },
	{ .point = &points[5], .value = { .kind = VALUE_BOOL, .boolean = true } },
};
static struct rpc_method rpc[] = {
	{ .method = "setMode", .action = RPC_SET, .steps = &steps[0], .step_count = 1 },
	{ .method = "getMode", .action = RPC_GET, .steps = &steps[0], .step_count = 1 },
	{ .method = "batch", .action = RPC_SET, .listed = true, .steps = &steps[1], .step_count = 2 },
};
static struct call_result results[] = { { .point = &points[1], .field = "a.b" },
	{ .point = &points[3], .field = "" } };
static struct server_call calls[] = {
	{ .method = "time", .period_ms = 1000, .timeout_ms = 1000, .results = results, .result_count = 2 }
};
static struct settings settings = {
	.server = { .rpc_timeout_ms = 5000 }, .devices = &device, .device_count = 1, .point_count = POINTS
};

static struct downlink *downlink;
static struct command queue[COMMANDS_MAX];
static size_t queued;
static size_t replies;
static int last_id;
static unsigned weather; /* of the units */
static int64_t now_ms;

static int64_t
fake_mono_us(void)
{
	return now_ms * 1000;
}

static int64_t
fake_unix_ms(void)
{
	return 1700000000000;
}

static const struct clock_source fake_clock = { .mono_us = fake_mono_us, .unix_ms = fake_unix_ms };

/* What goes up is JSON. */
static int
fake_publish(void *ctx, size_t at, enum tb_topic topic, int64_t id, const void *payload, size_t length)
{
	struct tb_json *json = tb_json_parse(payload, length);

	(void)ctx, (void)at, (void)id;
	assert(json && length <= TB_MAX_PAYLOAD);
	tb_json_free(json);
	replies += topic == TB_RPC_RESPONSE;
	return ++last_id;
}

static int
fake_subscribe(void *ctx, size_t at, bool attributes)
{
	(void)ctx, (void)at;
	assert(attributes);
	return ++last_id;
}

static int
fake_push(void *ctx, const struct command *commands, size_t count)
{
	(void)ctx;
	assert(count > 0 && count <= COMMAND_GROUP_MAX);
	if (count > COMMANDS_MAX - queued)
		return -EBUSY;
	for (size_t i = 0; i < count; i++) {
		const struct point *point = commands[i].point;
		uint16_t cells[MODBUS_MAX_READ_BITS] = { 0 };

		assert(point->bus == &bus && point->unit == 3 && point->count >= 1 &&
		       point->count <= MODBUS_MAX_READ_REGISTERS);
		assert(point->addr >= 0 && point->addr + point->count <= 65536);
		if (commands[i].kind != COMMAND_READ)
			assert(point->writable && codec_encode(point, &commands[i].value, cells) == CODEC_OK);
		queue[queued++] = commands[i];
	}
	return 0;
}

/* The field does one command after the other, until none is left. */
static void
work(void)
{
	for (size_t at = 0; at < queued; at++) {
		struct command *command = &queue[at];
		struct outcome outcome = {
			.status = OUTCOME_DONE, .point = command->point, .tag = command->tag
		};

		if (weather == 0)
			outcome.value = command->kind == COMMAND_READ
					    ? (struct value){ .kind = VALUE_INT, .integer = 1 }
					    : command->value;
		else
			outcome.status = (enum outcome_status)(weather % (OUTCOME_STOPPED + 1));
		if (outcome.status == OUTCOME_EXCEPTION)
			outcome.exception = 2;
		if (weather != 0)
			value_done(&command->value);
		command->value = (struct value){ 0 };
		downlink_outcome(downlink, &outcome);
	}
	queued = 0;
}

static void
set_up(void)
{
	log_init(LOG_LEVEL_ERROR - 1, true);
	clock_replace(&fake_clock);
	device = (struct device){ .name = "D",
		.bus = &bus,
		.unit = 3,
		.points = points,
		.point_count = POINTS,
		.rpc = rpc,
		.rpc_count = sizeof(rpc) / sizeof(rpc[0]),
		.calls = calls,
		.call_count = 1,
		.raw_rpc = true };
	for (size_t i = 0; i < POINTS; i++) {
		points[i].device = &device;
		points[i].bus = &bus;
		points[i].index = i;
		points[i].unit = 3;
		points[i].bit = POINT_NO_BIT;
		points[i].scale = 1;
	}
}

static void
take_line(const char *line, size_t length)
{
	const char *blank = memchr(line, ' ', length);
	size_t topic_length = blank ? (size_t)(blank - line) : length;
	const char *payload = blank ? blank + 1 : line + length;
	char *topic = strndup(line, topic_length);
	size_t before = replies;
	int64_t id;

	if (!topic)
		return;
	downlink_message(downlink, 0, topic, payload, (size_t)(line + length - payload));
	work();
	if (tb_topic_parse(topic, &id) == TB_RPC_REQUEST)
		assert(replies == before + 1);
	else
		assert(replies == before);
	free(topic);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct downlink_port port = { .publish = fake_publish, .subscribe = fake_subscribe };
	static const struct command_sink sink = { .push = fake_push };
	const char *at = (const char *)data + 1;
	const char *end = (const char *)data + size;

	if (size == 0)
		return 0;
	if (!downlink)
		set_up();
	now_ms = 1000000;
	weather = data[0] >= 'a' ? data[0] - 'a' : 0;
	replies = queued = 0;
	downlink = downlink_new(&settings, port, sink);
	if (!downlink)
		return 0;
	downlink_up(downlink, 0);
	downlink_subscribed(downlink, 0, last_id, true);
	while (at < end) {
		const char *newline = memchr(at, '\n', (size_t)(end - at));
		const char *stop = newline ? newline : end;

		take_line(at, (size_t)(stop - at));
		now_ms += 100;
		at = stop + 1;
	}
	downlink_tick(downlink);
	downlink_down(downlink, 0, false);
	work();
	assert(downlink_counts(downlink).pending == 0);
	downlink_free(downlink);
	return 0;
}
