#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "bench/alloc.h"
#include "bench/lenient.h"
#include "bench/report.h"
#include "bench/series.h"
#include "bench/thingsboard.h"
#include "common/control.h"

/* An event that begins with who published what. */
static struct json_object *
uplink_report(const struct uplink *uplink, const char *name)
{
	struct json_object *event = report_new(name, uplink->session->token);

	report_string(event, "topic", uplink->topic);
	report_number(event, "qos", uplink->publish->qos);
	report_bool(event, "dup", uplink->publish->dup);
	report_number(event, "session", (int64_t)uplink->session->number);
	return event;
}

static void
uplink_report_bad(const struct uplink *uplink, const char *why)
{
	struct json_object *event = uplink_report(uplink, "bad_publish");

	report_string(event, "why", why);
	report_string(event, "payload", uplink->payload);
	control_emit(event);
}

void
uplink_reject(const struct uplink *uplink, const char *why)
{
	struct session *session = uplink->session;
	bool send_ack = session->bench->knobs.send_ack;

	if (uplink->device && uplink->device->send_ack >= 0)
		send_ack = uplink->device->send_ack;
	uplink_report_bad(uplink, why);
	if (uplink->publish->qos > 0 && (send_ack || session->version == MQTT_5))
		session_ack(session, uplink->publish, 0x99);
	else
		session_close(session, "bad input", 0x99);
}

void
uplink_refuse(const struct uplink *uplink)
{
	uplink_report_bad(uplink, "refused");
	session_ack(uplink->session, uplink->publish, 0);
}

void
uplink_exception(const struct uplink *uplink, const char *why)
{
	uplink_report_bad(uplink, why);
	session_close(uplink->session, "exception", 0x8B);
}

void
uplink_over_limit(const struct uplink *uplink)
{
	uplink_report_bad(uplink, "over the limit");
	session_close(uplink->session, "limit", 0x83);
}

int
uplink_number(const char *text, int32_t *ret)
{
	const char *digits = *text == '-' || *text == '+' ? text + 1 : text;
	long long number;

	if (*digits == '\0' || digits[strspn(digits, "0123456789")] || strlen(digits) > 18)
		return -EBADMSG;
	number = strtoll(text, NULL, 10);
	if (number > INT32_MAX || number < INT32_MIN)
		return -EBADMSG;
	*ret = (int32_t)number;
	return 0;
}

static void
element_report(const struct uplink *uplink, const struct device *device, const struct element *element)
{
	struct json_object *event = report_new("telemetry", device->token);

	if (device->parent)
		report_string(event, "device", device->name);
	report_number(event, "ts", element->ts_unix_ms);
	report_bool(event, "server_ts", element->server_ts);
	report_values(event, element);
	report_bool(event, "dup", uplink->publish->dup);
	report_number(event, "qos", uplink->publish->qos);
	report_number(event, "session", (int64_t)uplink->session->number);
	control_emit(event);
}

/* What the server acknowledges and then cannot store. */
static bool
element_lost(const struct device *device, const struct element *element)
{
	const char *why = element_refusal(element);
	struct json_object *event;

	if (!why)
		return false;
	event = report_new("lost", device->token);
	report_string(event, "why", why);
	report_values(event, element);
	control_emit(event);
	return true;
}

void
uplink_store_telemetry(const struct uplink *uplink, struct device *device, const struct telemetry *telemetry)
{
	struct bench *bench = device->bench;

	for (size_t i = 0; i < telemetry->count; i++) {
		const struct element *element = &telemetry->elements[i];

		if (element->count == 0 || element_lost(device, element))
			continue;
		bench->stats.elements++;
		bench->stats.values += element->count;
		for (size_t j = 0; j < element->count; j++)
			device_store(
			    device, &element->values[j], element->ts_unix_ms, bench->knobs.keep_series);
		if (bench->knobs.telemetry_events)
			element_report(uplink, device, element);
	}
}

void
uplink_store_attributes(
    const struct uplink *uplink, struct device *device, const struct telemetry *attributes)
{
	const struct element *element = &attributes->elements[0];
	struct json_object *event;

	if (element->count == 0 || element_lost(device, element))
		return;
	device->bench->stats.attributes += element->count;
	for (size_t i = 0; i < element->count; i++)
		json_object_object_add(
		    device->client, element->values[i].key, json_object_get(element->values[i].json));
	event = report_new("attributes", device->token);
	if (device->parent)
		report_string(event, "device", device->name);
	report_values(event, element);
	report_number(event, "session", (int64_t)uplink->session->number);
	control_emit(event);
}

/* Say what is wrong with a payload. Returns whether anything is. */
static bool
uplink_failed(const struct uplink *uplink, int error)
{
	if (error == -EDOM)
		uplink_exception(uplink, "a number that the server throws at");
	else if (error)
		uplink_reject(uplink, "not the JSON that belongs here");
	return error != 0;
}

/* Some servers choke on what others take. */
bool
uplink_is_poison(const struct uplink *uplink)
{
	const struct knobs *knobs = &uplink->session->bench->knobs;

	if (!*knobs->poison || !strstr(uplink->payload, knobs->poison))
		return false;
	if (knobs->poison_code != 0 && uplink->session->version == MQTT_5) {
		uplink_report_bad(uplink, "poison");
		session_ack(uplink->session, uplink->publish, knobs->poison_code);
	} else {
		uplink_exception(uplink, "poison");
	}
	return true;
}

static void
publish_telemetry(const struct uplink *uplink)
{
	struct telemetry telemetry;
	int error;

	if (uplink_is_poison(uplink))
		return;
	error = telemetry_parse(&telemetry, uplink->payload, clock_unix_ms());

	if (uplink_failed(uplink, error)) {
		/* said */
	} else if (!device_take_points(uplink->device, telemetry.points)) {
		uplink_over_limit(uplink);
	} else {
		uplink_store_telemetry(uplink, uplink->device, &telemetry);
		/* The server answers when the last of its messages is queued: for [] that never happens. */
		if (telemetry.count > 0)
			session_ack(uplink->session, uplink->publish, 0);
	}
	telemetry_done(&telemetry);
}

static void
publish_attributes(const struct uplink *uplink)
{
	struct telemetry attributes;
	int error;

	if (uplink_is_poison(uplink))
		return;
	error = attributes_parse(&attributes, uplink->payload);

	if (uplink_failed(uplink, error)) {
		/* said */
	} else if (!device_take_points(uplink->device, attributes.points)) {
		uplink_over_limit(uplink);
	} else {
		uplink_store_attributes(uplink, uplink->device, &attributes);
		session_ack(uplink->session, uplink->publish, 0);
	}
	telemetry_done(&attributes);
}

/* The text of a scalar, or of the only element of an array; NULL for anything else. */
static const char *
scalar_text(struct json_object *value)
{
	while (json_object_is_type(value, json_type_array) && json_object_array_length(value) == 1)
		value = json_object_array_get_idx(value, 0);
	if (!value || json_object_is_type(value, json_type_array) ||
	    json_object_is_type(value, json_type_object))
		return NULL;
	return json_object_get_string(value);
}

/* Those of `from` that the comma list names, not trimmed; NULL = all. */
static struct json_object *
attributes_pick(struct json_object *from, const char *list)
{
	struct json_object *picked = json_object_new_object();
	char *names, *rest, *name;

	if (!list) {
		json_object_object_foreach(from, key, all)
		    json_object_object_add(picked, key, json_object_get(all));
		return picked;
	}
	rest = names = alloc_string(list);
	while ((name = strsep(&rest, ","))) {
		struct json_object *value;

		if (json_object_object_get_ex(from, name, &value))
			json_object_object_add(picked, name, json_object_get(value));
	}
	free(names);
	return picked;
}

/* Add a scope to the answer, unless it is empty. Takes it. */
static void
answer_add_scope(struct json_object *answer, const char *scope, struct json_object *values)
{
	if (json_object_object_length(values) > 0)
		json_object_object_add(answer, scope, values);
	else
		json_object_put(values);
}

/* One scope asked for means that the other is not wanted; none means both. */
static void
attributes_answer(const struct uplink *uplink, int32_t id, const char *client, const char *shared)
{
	struct session *session = uplink->session;
	struct json_object *answer = json_object_new_object();

	if (client || !shared)
		answer_add_scope(answer, "client", attributes_pick(uplink->device->client, client));
	if (shared || !client)
		answer_add_scope(answer, "shared", attributes_pick(uplink->device->shared, shared));
	session_publish(session,
	    filter_for(PURPOSE_ATTRIBUTE_RESPONSE, session->family[PURPOSE_ATTRIBUTE_RESPONSE]), id,
	    json_text(answer));
	json_object_put(answer);
}

static void
attribute_request_accept(const struct uplink *uplink, int32_t id, const char *client, const char *shared)
{
	struct json_object *event;

	if (!device_take_message(uplink->device)) {
		uplink_over_limit(uplink);
		return;
	}
	event = report_new("attribute_request", uplink->device->token);
	report_number(event, "id", id);
	report_string(event, "client_keys", client);
	report_string(event, "shared_keys", shared);
	control_emit(event);
	session_ack(uplink->session, uplink->publish, 0);
	if (id >= 0)
		attributes_answer(uplink, id, client, shared);
}

static void
publish_attribute_request(const struct uplink *uplink)
{
	struct json_object *tree = NULL, *client = NULL, *shared = NULL;
	bool has_client, has_shared;
	int32_t id;

	if (uplink_number(uplink->id, &id) < 0 || lenient_parse(uplink->payload, &tree) < 0 ||
	    !json_object_is_type(tree, json_type_object)) {
		uplink_reject(uplink, "not an attribute request");
		json_object_put(tree);
		return;
	}
	has_client = json_object_object_get_ex(tree, "clientKeys", &client);
	has_shared = json_object_object_get_ex(tree, "sharedKeys", &shared);
	if ((has_client && !scalar_text(client)) || (has_shared && !scalar_text(shared)))
		uplink_reject(uplink, "keys must be one string");
	else
		attribute_request_accept(uplink, id, has_client ? scalar_text(client) : NULL,
		    has_shared ? scalar_text(shared) : NULL);
	json_object_put(tree);
}

static void
publish_rpc_reply(const struct uplink *uplink)
{
	struct json_object *event;
	int32_t id;

	if (uplink_number(uplink->id, &id) < 0) {
		uplink_reject(uplink, "the id is not a number");
		return;
	}
	if (!device_take_message(uplink->device)) {
		uplink_over_limit(uplink);
		return;
	}
	if (series_reply(uplink->device, id)) {
		downlink_rpc_reply(uplink->device, id);
	} else {
		event = report_new("rpc_reply", uplink->device->token);
		report_number(event, "id", id);
		report_payload(event, "payload", uplink->payload);
		report_bool(event, "late", !downlink_rpc_reply(uplink->device, id));
		control_emit(event);
	}
	uplink->session->bench->stats.rpc_replies++;
	session_ack(uplink->session, uplink->publish, 0);
}

static void
client_rpc_answer(struct session *session, int32_t id, const char *answer)
{
	session_publish(
	    session, filter_for(PURPOSE_CLIENT_RPC, session->family[PURPOSE_CLIENT_RPC]), id, answer);
}

/* Nobody in the default rule chain answers. */
static void
client_rpc_timeout(struct timer *timer)
{
	struct client_rpc *rpc = timer_owner(timer, struct client_rpc, timeout);
	struct client_rpc **link = &rpc->session->client_rpcs;

	while (*link != rpc)
		link = &(*link)->next;
	*link = rpc->next;
	client_rpc_answer(rpc->session, rpc->id, "{\"error\":\"timeout\"}");
	free(rpc);
}

static void
client_rpc_wait(struct session *session, int32_t id)
{
	struct client_rpc *rpc = alloc_zeroed(1, sizeof(*rpc));

	rpc->session = session;
	rpc->id = id;
	rpc->timeout.fire = client_rpc_timeout;
	rpc->next = session->client_rpcs;
	session->client_rpcs = rpc;
	timer_start(&session->bench->timers, &rpc->timeout,
	    clock_mono_ms() + session->bench->knobs.client_rpc_timeout_ms);
}

/* A device's own limit is shown, else the bench's. */
static void
limits_add(struct json_object *to, const char *name, const struct limiter *own, const struct limiter *all)
{
	report_string(to, name, own->count ? own->text : all->text);
}

static struct json_object *
rates_of(const struct uplink *uplink, const struct limits *own)
{
	const struct limits *all = &uplink->device->bench->knobs.limits;
	struct json_object *rates = json_object_new_object();

	limits_add(rates, "messages", &own->messages, &all->messages);
	limits_add(rates, "telemetryMessages", &own->telemetry_messages, &all->telemetry_messages);
	limits_add(rates, "telemetryDataPoints", &own->data_points, &all->data_points);
	return rates;
}

static void
session_limits_answer(const struct uplink *uplink, int32_t id)
{
	struct json_object *answer = json_object_new_object();

	report_number(answer, "maxPayloadSize", uplink->device->bench->knobs.max_payload);
	report_number(answer, "maxInflightMessages", uplink->device->bench->knobs.in_flight);
	json_object_object_add(answer, "rateLimits", rates_of(uplink, &uplink->device->limits));
	if (uplink->device->gateway)
		json_object_object_add(answer, "gatewayRateLimits", rates_of(uplink, &uplink->device->child_limits));
	client_rpc_answer(uplink->session, id, json_text(answer));
	json_object_put(answer);
}

static void
client_rpc_accept(const struct uplink *uplink, int32_t id, const char *method, struct json_object *tree)
{
	bool limits = uplink->family == FAMILY_V1 && strcmp(method, "getSessionLimits") == 0 &&
		      !uplink->session->bench->knobs.hides_limits;
	struct json_object *event, *params = NULL;

	if (!limits && !device_take_message(uplink->device)) {
		uplink_over_limit(uplink);
		return;
	}
	json_object_object_get_ex(tree, "params", &params);
	event = report_new("client_rpc", uplink->device->token);
	report_number(event, "id", id);
	report_string(event, "method", method);
	json_object_object_add(event, "params", json_object_get(params));
	control_emit(event);
	session_ack(uplink->session, uplink->publish, 0);
	if (limits)
		session_limits_answer(uplink, id);
	else
		client_rpc_wait(uplink->session, id);
}

static void
publish_client_rpc(const struct uplink *uplink)
{
	struct json_object *tree = NULL, *method = NULL;
	int32_t id;

	if (lenient_parse(uplink->payload, &tree) < 0 || !json_object_is_type(tree, json_type_object)) {
		uplink_reject(uplink, "not a call");
	} else if (uplink_number(uplink->id, &id) < 0 ||
		   !json_object_object_get_ex(tree, "method", &method) || !scalar_text(method)) {
		uplink_exception(uplink, "a call without a method or with a bad id");
	} else {
		client_rpc_accept(uplink, id, scalar_text(method), tree);
	}
	json_object_put(tree);
}

static void
publish_claim(const struct uplink *uplink)
{
	struct json_object *tree = NULL, *event;

	if (lenient_parse(uplink->payload, &tree) < 0 ||
	    (tree && !json_object_is_type(tree, json_type_object))) {
		uplink_reject(uplink, "not a claim");
	} else if (!device_take_message(uplink->device)) {
		uplink_over_limit(uplink);
	} else {
		event = report_new("claim", uplink->device->token);
		json_object_object_add(event, "payload", json_object_get(tree));
		control_emit(event);
		session_ack(uplink->session, uplink->publish, 0);
	}
	json_object_put(tree);
}

/* The bench has no packages to give: the server says so in text, and closes. */
static void
publish_ota_request(const struct uplink *uplink)
{
	static const char answer[] = "No package is assigned to the device";
	int32_t size;

	if (*uplink->payload && uplink_number(uplink->payload, &size) < 0) {
		uplink_exception(uplink, "the chunk size is not a number");
		return;
	}
	if (!device_take_message(uplink->device)) {
		uplink_over_limit(uplink);
		return;
	}
	control_emit(uplink_report(uplink, "ota_request"));
	session_ack(uplink->session, uplink->publish, 0);
	session_publish(uplink->session, filter_for(PURPOSE_OTA_ERROR, FAMILY_V2), 0, answer);
	session_close(uplink->session, "no package", 0x83);
}

static void
publish_unknown(const struct uplink *uplink)
{
	struct json_object *event = uplink_report(uplink, "publish");

	report_string(event, "payload", uplink->payload);
	control_emit(event);
	session_ack(uplink->session, uplink->publish, 0x90);
}

static void (*const publish_handlers[PURPOSE_COUNT])(const struct uplink *uplink) = {
	[PURPOSE_TELEMETRY] = publish_telemetry,
	[PURPOSE_ATTRIBUTES] = publish_attributes,
	[PURPOSE_ATTRIBUTE_RESPONSE] = publish_attribute_request,
	[PURPOSE_RPC] = publish_rpc_reply,
	[PURPOSE_CLIENT_RPC] = publish_client_rpc,
	[PURPOSE_CLAIM] = publish_claim,
	[PURPOSE_OTA] = publish_ota_request,
};

void
device_api_publish(struct uplink *uplink)
{
	const struct topic *topic = topic_find(uplink->topic, &uplink->id);

	if (!topic) {
		publish_unknown(uplink);
		return;
	}
	uplink->family = topic->family;
	if (topic->family == FAMILY_V2_PROTO) {
		uplink_reject(uplink, "the profile has no protobuf schema");
		return;
	}
	/* The answer comes in the family of the request. */
	if (topic->purpose == PURPOSE_ATTRIBUTE_RESPONSE || topic->purpose == PURPOSE_CLIENT_RPC)
		uplink->session->family[topic->purpose] = topic->family;
	publish_handlers[topic->purpose](uplink);
}
