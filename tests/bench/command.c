#include "bench/command.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/alloc.h"
#include "bench/broker.h"
#include "bench/report.h"
#include "bench/series.h"
#include "bench/session.h"
#include "bench/thingsboard.h"
#include "common/control.h"

/* A command at work. Most commands speak of one device; those with a token that is not known fail before they
 * start. */
struct work {
	struct bench *bench;
	struct json_object *command;
	struct device *device;	    /* NULL if the command has no token */
	struct json_object *result; /* what the answer shows; may stay NULL */
};

/* Returns NULL or what is wrong. */
typedef const char *command_function(struct work *work);

static int64_t
work_number(const struct work *work, const char *name, int64_t absent)
{
	return (int64_t)control_number(work->command, name, (double)absent);
}

static struct json_object *
work_member(const struct work *work, const char *name)
{
	struct json_object *member = NULL;

	json_object_object_get_ex(work->command, name, &member);
	return member;
}

static struct json_object *
work_result(struct work *work)
{
	if (!work->result)
		work->result = json_object_new_object();
	return work->result;
}

static const char *
command_device(struct work *work)
{
	const char *token = control_string(work->command, "token", NULL);
	const char *client_id = control_string(work->command, "client_id", NULL);
	const char *username = control_string(work->command, "username", NULL);
	struct registry *registry = &work->bench->registry;
	struct device *device;

	if (!token || !*token)
		return "token is missing";
	device = registry_add(registry, work->bench, token, control_string(work->command, "name", NULL));
	device->gateway = control_bool(work->command, "gateway", device->gateway);
	device->lone_values = control_bool(work->command, "lone_values", device->lone_values);
	if (client_id || username)
		registry_set_basic(
		    registry, device, client_id, username, control_string(work->command, "password", NULL));
	return NULL;
}

static const char *
command_remove(struct work *work)
{
	thingsboard_remove(work->device);
	return NULL;
}

static const char *
command_rpc(struct work *work)
{
	const char *method = control_string(work->command, "method", NULL);

	if (!method)
		return "method is missing";
	report_number(work_result(work), "rpc",
	    downlink_rpc(work->device, method, work_member(work, "params"),
		control_bool(work->command, "oneway", false), work_number(work, "timeout_ms", 10000)));
	report_number(work_result(work), "at_us", clock_mono_us());
	return NULL;
}

static const char *
command_rpc_series(struct work *work)
{
	const char *method = control_string(work->command, "method", NULL);

	if (!method)
		return "method is missing";
	return series_start(work->device, method, work_member(work, "params"), (int)work_number(work, "count", 100),
		   work_number(work, "gap_ms", 20), work_number(work, "timeout_ms", 10000))
		   ? NULL
		   : "a series is going on";
}

static const char *
command_shared(struct work *work)
{
	struct json_object *values = work_member(work, "values");

	if (!json_object_is_type(values, json_type_object))
		return "values must be an object";
	json_object_object_foreach(values, key, value)
	    json_object_object_add(work->device->shared, key, json_object_get(value));
	downlink_attributes(work->device, values);
	return NULL;
}

static const char *
command_shared_delete(struct work *work)
{
	struct json_object *keys = work_member(work, "keys");

	if (!json_object_is_type(keys, json_type_array))
		return "keys must be an array";
	for (size_t i = 0; i < json_object_array_length(keys); i++) {
		const char *key = json_object_get_string(json_object_array_get_idx(keys, i));

		if (key)
			json_object_object_del(work->device->shared, key);
	}
	downlink_attributes_deleted(work->device, keys);
	return NULL;
}

static const char *
command_puback(struct work *work)
{
	static const char *const names[] = {
		[ACK_INHERIT] = "inherit",
		[ACK_NORMAL] = "normal",
		[ACK_DROP] = "drop",
		[ACK_DELAY] = "delay",
		[ACK_REORDER] = "reorder",
		[ACK_REFUSE] = "refuse",
	};
	struct ack_rule *rule = work->device ? &work->device->ack : &work->bench->knobs.ack;
	const char *mode = control_string(work->command, "mode", "");

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (strcmp(mode, names[i]) == 0) {
			rule->mode = (enum ack_mode)i;
			rule->delay_ms = work_number(work, "delay_ms", 0);
			rule->code = (uint8_t)work_number(work, "code", 0x97);
			rule->left = (long)work_number(work, "count", -1);
			return NULL;
		}
	}
	return "mode must be normal, drop, delay, reorder, refuse or inherit";
}

static const char *
command_refuse(struct work *work)
{
	uint8_t code = (uint8_t)work_number(work, "code", 0);

	if (work->device)
		work->device->refuse = code;
	else
		work->bench->knobs.refuse = code;
	return NULL;
}

static void
kick(struct session *session, bool reset)
{
	if (reset)
		session_reset(session, "kicked");
	else
		session_close(session, "kicked", -1);
}

static const char *
command_kick(struct work *work)
{
	bool reset = control_bool(work->command, "reset", false);
	struct session *session = work->device ? work->device->sessions : work->bench->sessions;
	int64_t kicked = 0;

	while (session) {
		struct session *next = work->device ? session->device_next : session->next;

		kick(session, reset);
		kicked++;
		session = next;
	}
	report_number(work_result(work), "kicked", kicked);
	return NULL;
}

static const char *
command_close_after(struct work *work)
{
	int64_t bytes = work_number(work, "bytes", 0);

	if (!work->device->current)
		return "the device is offline";
	work->device->current->bytes_left = bytes;
	return NULL;
}

static const char *
command_blackhole(struct work *work)
{
	work->bench->knobs.blackhole = control_bool(work->command, "on", true);
	if (work->bench->knobs.blackhole)
		for (struct session *session = work->bench->sessions; session; session = session->next)
			session->deaf = true;
	return NULL;
}

static const char *
command_refuse_accept(struct work *work)
{
	work->bench->knobs.refuse_accept = control_bool(work->command, "on", true);
	return NULL;
}

static const char *
command_stop(struct work *work)
{
	broker_stop(work->bench, control_bool(work->command, "reset", false));
	return NULL;
}

static const char *
command_start(struct work *work)
{
	int error = broker_listen(work->bench);

	if (error < 0)
		return strerror(-error);
	report_number(work_result(work), "port", work->bench->port);
	return NULL;
}

/* What a server forgets when it starts again: calls that wait, and where it was in counting them. */
static const char *
command_restart_server(struct work *work)
{
	struct lh_entry *entry;

	broker_stop(work->bench, control_bool(work->command, "reset", false));
	lh_foreach(work->bench->registry.devices, entry)
	{
		struct device *device = lh_entry_v(entry);

		while (device->rpcs)
			rpc_free(device->rpcs);
		device->next_rpc = 0;
	}
	return command_start(work);
}

static const char *
command_limits(struct work *work)
{
	bool children = control_bool(work->command, "children", false);
	struct limits *limits = !work->device ? &work->bench->knobs.limits
				: children	? &work->device->child_limits
						: &work->device->limits;
	const struct {
		const char *name;
		struct limiter *limiter;
	} rows[] = {
		{ .name = "messages", .limiter = &limits->messages },
		{ .name = "telemetry_messages", .limiter = &limits->telemetry_messages },
		{ .name = "telemetry_data_points", .limiter = &limits->data_points },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const char *text = control_string(work->command, rows[i].name, NULL);

		if (text && limiter_init(rows[i].limiter, text, clock_mono_ms()) < 0)
			return "a limit must look like \"100:1,1000:60\"";
	}
	work->bench->knobs.in_flight = work_number(work, "in_flight", work->bench->knobs.in_flight);
	work->bench->knobs.hides_limits =
	    control_bool(work->command, "hidden", work->bench->knobs.hides_limits);
	return NULL;
}

static const char *
command_poison(struct work *work)
{
	struct knobs *knobs = &work->bench->knobs;

	snprintf(knobs->poison, sizeof(knobs->poison), "%s", control_string(work->command, "text", ""));
	knobs->poison_code = (uint8_t)work_number(work, "code", 0);
	return NULL;
}

static const char *
command_send_ack(struct work *work)
{
	bool on = control_bool(work->command, "on", true);

	if (work->device)
		work->device->send_ack = on;
	else
		work->bench->knobs.send_ack = on;
	return NULL;
}

static const char *
command_max_payload(struct work *work)
{
	work->bench->knobs.max_payload = (uint32_t)work_number(work, "bytes", 65536);
	return NULL;
}

static const char *
command_inactivity(struct work *work)
{
	work->bench->knobs.inactivity_ms = (int64_t)(control_number(work->command, "seconds", 600) * 1000);
	for (struct session *session = work->bench->sessions; session; session = session->next)
		if (session->connected)
			session_rearm(session);
	return NULL;
}

static const char *
command_max_version(struct work *work)
{
	work->bench->knobs.max_version = (int)work_number(work, "version", MQTT_5);
	return NULL;
}

static const char *
command_sessions_per_device(struct work *work)
{
	int64_t count = work_number(work, "count", 1);

	if (count < 1 || count > UINT16_MAX)
		return "count must be 1 or more";
	work->bench->knobs.sessions_per_device = (unsigned)count;
	return NULL;
}

static const char *
command_timing(struct work *work)
{
	struct knobs *knobs = &work->bench->knobs;

	knobs->takeover_ms = work_number(work, "takeover_ms", knobs->takeover_ms);
	knobs->subscribe_delay_ms = work_number(work, "subscribe_delay_ms", knobs->subscribe_delay_ms);
	knobs->client_rpc_timeout_ms =
	    work_number(work, "client_rpc_timeout_ms", knobs->client_rpc_timeout_ms);
	knobs->provision_close_ms = work_number(work, "provision_close_ms", knobs->provision_close_ms);
	return NULL;
}

static const char *
command_provision(struct work *work)
{
	struct knobs *knobs = &work->bench->knobs;
	const char *strategy = control_string(work->command, "strategy", "allow");

	free(knobs->provision_key);
	free(knobs->provision_secret);
	knobs->provision_key = knobs->provision_secret = NULL;
	if (strcmp(strategy, "disabled") == 0)
		return NULL;
	if (strcmp(strategy, "allow") != 0 && strcmp(strategy, "check") != 0)
		return "strategy must be allow, check or disabled";
	knobs->provision_check = strcmp(strategy, "check") == 0;
	knobs->provision_key = alloc_string(control_string(work->command, "key", ""));
	knobs->provision_secret = alloc_string(control_string(work->command, "secret", ""));
	return NULL;
}

static int
hex_digit(char c)
{
	return isdigit((unsigned char)c)    ? c - '0'
	       : isxdigit((unsigned char)c) ? tolower((unsigned char)c) - 'a' + 10
					    : -1;
}

static bool
hex_read(struct buffer *out, const char *hex)
{
	for (; *hex; hex += 2) {
		int high = hex_digit(hex[0]);
		int low = high < 0 ? -1 : hex_digit(hex[1]);

		if (low < 0)
			return false;
		buffer_append_u8(out, (uint8_t)(high << 4 | low));
	}
	return true;
}

static const char *
command_raw(struct work *work)
{
	const char *topic = control_string(work->command, "topic", "");
	const char *hex = control_string(work->command, "hex", NULL);
	const char *payload = control_string(work->command, "payload", "");
	struct buffer bytes = { 0 };
	const char *error = NULL;

	if (!hex)
		buffer_append(&bytes, payload, strlen(payload));
	if (hex && !hex_read(&bytes, hex))
		error = "hex is not hexadecimal";
	else if (!work->device->current)
		error = "the device is offline";
	else if (strlen(topic) > UINT16_MAX)
		error = "the topic is too long";
	else
		session_publish_raw(work->device->current, topic, (uint8_t)work_number(work, "qos", 0) & 3,
		    bytes.data, buffer_length(&bytes));
	buffer_done(&bytes);
	return error;
}

static const char *
command_events(struct work *work)
{
	work->bench->knobs.telemetry_events = control_bool(work->command, "telemetry", true);
	return NULL;
}

static const char *
command_keep(struct work *work)
{
	struct lh_entry *entry;

	work->bench->knobs.keep_series = control_bool(work->command, "series", true);
	if (!work->bench->knobs.keep_series)
		lh_foreach(work->bench->registry.devices, entry) device_forget_series(lh_entry_v(entry));
	return NULL;
}

static struct json_object *
row_show(const struct row *row)
{
	struct json_object *shown = json_object_new_object();

	report_number(shown, "ts", row->ts_unix_ms);
	json_object_object_add(shown, "v", json_object_get(row->json));
	report_string(shown, "type", value_type_name(row->type));
	return shown;
}

static const char *
command_latest(struct work *work)
{
	struct json_object *values = json_object_new_object();
	struct lh_entry *entry;

	lh_foreach(work->device->series, entry)
	{
		const struct series *series = lh_entry_v(entry);

		json_object_object_add(values, series->key, row_show(&series->latest));
	}
	json_object_object_add(work_result(work), "values", values);
	return NULL;
}

static const char *
command_series(struct work *work)
{
	const struct series *series = device_series(work->device, control_string(work->command, "key", ""));
	struct json_object *rows = json_object_new_array();

	for (size_t i = 0; series && i < series->count; i++)
		json_object_array_add(rows, row_show(&series->rows[i]));
	json_object_object_add(work_result(work), "rows", rows);
	return NULL;
}

static const char *
command_attributes(struct work *work)
{
	json_object_object_add(work_result(work), "client", json_object_get(work->device->client));
	json_object_object_add(work_result(work), "shared", json_object_get(work->device->shared));
	return NULL;
}

static const char *
command_stats(struct work *work)
{
	const struct bench *bench = work->bench;
	const struct stats *stats = &bench->stats;
	const struct {
		const char *name;
		uint64_t count;
	} rows[] = {
		{ "sessions", bench->session_count },
		{ "devices", (uint64_t)bench->registry.devices->count },
		{ "accepted", stats->accepted },
		{ "connects", stats->connects },
		{ "refused", stats->refused },
		{ "publishes", stats->publishes },
		{ "dups", stats->dups },
		{ "elements", stats->elements },
		{ "values", stats->values },
		{ "attributes", stats->attributes },
		{ "pubacks", stats->pubacks },
		{ "rpc_replies", stats->rpc_replies },
		{ "closed_by_us", stats->closed_by_us },
		{ "bytes_in", stats->bytes_in },
		{ "bytes_out", stats->bytes_out },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		report_number(work_result(work), rows[i].name, (int64_t)rows[i].count);
	return NULL;
}

static const struct {
	const char *name;
	command_function *run;
	bool needs_device;
	bool makes_device; /* its token need not be known */
} commands[] = {
	{ .name = "device", .run = command_device, .makes_device = true },
	{ .name = "remove", .run = command_remove, .needs_device = true },
	{ .name = "rpc", .run = command_rpc, .needs_device = true },
	{ .name = "rpc_series", .run = command_rpc_series, .needs_device = true },
	{ .name = "shared", .run = command_shared, .needs_device = true },
	{ .name = "shared_delete", .run = command_shared_delete, .needs_device = true },
	{ .name = "raw", .run = command_raw, .needs_device = true },
	{ .name = "close_after", .run = command_close_after, .needs_device = true },
	{ .name = "latest", .run = command_latest, .needs_device = true },
	{ .name = "series", .run = command_series, .needs_device = true },
	{ .name = "attributes", .run = command_attributes, .needs_device = true },
	{ .name = "puback", .run = command_puback },
	{ .name = "refuse", .run = command_refuse },
	{ .name = "kick", .run = command_kick },
	{ .name = "limits", .run = command_limits },
	{ .name = "poison", .run = command_poison },
	{ .name = "send_ack", .run = command_send_ack },
	{ .name = "blackhole", .run = command_blackhole },
	{ .name = "refuse_accept", .run = command_refuse_accept },
	{ .name = "stop", .run = command_stop },
	{ .name = "start", .run = command_start },
	{ .name = "restart_server", .run = command_restart_server },
	{ .name = "max_payload", .run = command_max_payload },
	{ .name = "inactivity_s", .run = command_inactivity },
	{ .name = "max_version", .run = command_max_version },
	{ .name = "sessions_per_device", .run = command_sessions_per_device },
	{ .name = "timing", .run = command_timing },
	{ .name = "provision", .run = command_provision },
	{ .name = "events", .run = command_events },
	{ .name = "keep", .run = command_keep },
	{ .name = "stats", .run = command_stats },
};

static const char *
command_run(struct work *work)
{
	const char *name = control_string(work->command, "cmd", "");
	const char *token = control_string(work->command, "token", NULL);

	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		if (strcmp(name, commands[i].name) != 0)
			continue;
		if (token && !commands[i].makes_device) {
			work->device = registry_find(&work->bench->registry, token);
			if (!work->device)
				return "no device with this token";
		}
		if (commands[i].needs_device && !work->device)
			return "token is missing";
		return commands[i].run(work);
	}
	return "no such command";
}

void
command_handle(void *ctx, struct json_object *command)
{
	struct work work = { .bench = ctx, .command = command };
	const char *error = command_run(&work);

	control_answer(command, work.result, error);
}
