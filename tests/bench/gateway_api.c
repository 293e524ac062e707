#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bench/alloc.h"
#include "bench/lenient.h"
#include "bench/report.h"
#include "bench/thingsboard.h"
#include "common/control.h"

/* A child and what a message brought for it. */
struct portion {
	struct device *child;
	struct telemetry telemetry;
};

struct portions {
	struct portion *list;
	size_t count, points;
};

/* A refusal that is answered first and closes then: on 3.x it looks like success. */
static void
gateway_fail(const struct uplink *uplink, const char *why, uint8_t code)
{
	struct json_object *event = report_new("bad_publish", uplink->session->token);

	report_string(event, "topic", uplink->topic);
	report_string(event, "why", why);
	control_emit(event);
	session_ack(uplink->session, uplink->publish, code);
	session_close(uplink->session, "gateway", code);
}

static void
child_report(const struct device *child, const char *name)
{
	struct json_object *event = report_new(name, child->parent->token);

	report_string(event, "device", child->name);
	control_emit(event);
}

/* Find or make a child; the first use of it connects it. */
static struct device *
gateway_child(const struct uplink *uplink, const char *name)
{
	struct device *gateway = uplink->device;
	char *token = alloc_format("%s/%s", gateway->token, name);
	struct device *child = registry_add(&gateway->bench->registry, gateway->bench, token, name);

	free(token);
	child->parent = gateway;
	if (!child->child_connected) {
		child->child_connected = true;
		/* Over the limit it is connected all the same, and gets nothing. */
		child->child_subscribed = device_take_child_message(gateway);
		child_report(child, "gateway_connect");
		downlink_rpc_pending(child);
	}
	return child;
}

static const char *
member_text(struct json_object *object, const char *name)
{
	struct json_object *member;

	return json_object_object_get_ex(object, name, &member) &&
		       json_object_is_type(member, json_type_string)
		   ? json_object_get_string(member)
		   : NULL;
}

static void
gateway_connect(const struct uplink *uplink, struct json_object *tree)
{
	const char *name = member_text(tree, "device");

	if (!name || !*name) {
		uplink_reject(uplink, "no device name");
		return;
	}
	gateway_child(uplink, name);
	session_ack(uplink->session, uplink->publish, 0);
}

static void
gateway_disconnect(const struct uplink *uplink, struct json_object *tree)
{
	const char *name = member_text(tree, "device");
	struct device *child;

	if (!name || !*name) {
		uplink_reject(uplink, "no device name");
		return;
	}
	child = gateway_child(uplink, name);
	child->child_connected = false;
	device_take_child_message(uplink->device);
	child_report(child, "gateway_disconnect");
	session_ack(uplink->session, uplink->publish, 0);
}

static void
portions_done(struct portions *portions)
{
	for (size_t i = 0; i < portions->count; i++)
		telemetry_done(&portions->list[i].telemetry);
	free(portions->list);
}

/* Read what is meant for each child. Entries of telemetry that are no arrays are skipped. */
static int
portions_read(
    struct portions *portions, const struct uplink *uplink, struct json_object *tree, bool telemetry)
{
	portions->list = alloc_zeroed((size_t)json_object_object_length(tree), sizeof(*portions->list));
	json_object_object_foreach(tree, name, value)
	{
		struct portion *portion = &portions->list[portions->count];
		int error;

		if (telemetry && !json_object_is_type(value, json_type_array))
			continue;
		portions->count++;
		error = telemetry ? telemetry_from_tree(&portion->telemetry, value, clock_unix_ms())
				  : attributes_from_tree(&portion->telemetry, value);
		if (error)
			return error;
		portion->child = gateway_child(uplink, name);
		portions->points += portion->telemetry.points;
	}
	return 0;
}

static void
gateway_values(const struct uplink *uplink, struct json_object *tree, bool telemetry)
{
	struct portions portions = { 0 };
	int error;

	if (uplink_is_poison(uplink))
		return;
	error = portions_read(&portions, uplink, tree, telemetry);
	if (error == -EDOM)
		uplink_exception(uplink, "a number that the server throws at");
	else if (error)
		uplink_reject(uplink, "a bad entry");
	else if (portions.count == 0)
		gateway_fail(uplink, "no usable entry", 0x83);
	else if (!device_take_child_points(uplink->device, portions.points))
		gateway_fail(uplink, "over the limit", 0x97);
	else {
		for (size_t i = 0; i < portions.count; i++)
			(telemetry ? uplink_store_telemetry : uplink_store_attributes)(
			    uplink, portions.list[i].child, &portions.list[i].telemetry);
		session_ack(uplink->session, uplink->publish, 0);
	}
	portions_done(&portions);
}

static void
gateway_telemetry(const struct uplink *uplink, struct json_object *tree)
{
	gateway_values(uplink, tree, true);
}

static void
gateway_attributes(const struct uplink *uplink, struct json_object *tree)
{
	gateway_values(uplink, tree, false);
}

/* {"id","device"} and "value" for one key, "values" for several. The id is an int there, and what is more is cut off. Before 3.3 a
 * single value that there was came as "value" too, whatever was asked for. */
static void
gateway_attributes_answer(const struct uplink *uplink, struct json_object *tree, struct device *child)
{
	struct json_object *answer = json_object_new_object();
	struct json_object *values = json_object_new_object();
	struct json_object *id, *keys, *value, *lone = NULL, *flag = NULL;
	const char *key = member_text(tree, "key");
	struct json_object *from;

	json_object_object_get_ex(tree, "client", &flag);
	from = json_object_get_boolean(flag) ? child->client : child->shared;
	json_object_object_get_ex(tree, "id", &id);
	json_object_object_add(answer, "id", json_object_new_int((int32_t)strtoll(lenient_literal(id), NULL, 10)));
	json_object_object_add(answer, "device", json_object_new_string(child->name));
	if (key && json_object_object_get_ex(from, key, &value))
		json_object_object_add(answer, "value", json_object_get(value));
	if (!key && json_object_object_get_ex(tree, "keys", &keys) &&
	    json_object_is_type(keys, json_type_array)) {
		for (size_t i = 0; i < json_object_array_length(keys); i++) {
			const char *name = json_object_get_string(json_object_array_get_idx(keys, i));

			if (name && json_object_object_get_ex(from, name, &value)) {
				json_object_object_add(values, name, json_object_get(value));
				lone = value;
			}
		}
		if (uplink->device->lone_values && json_object_object_length(values) == 1)
			json_object_object_add(answer, "value", json_object_get(lone));
		else
			json_object_object_add(answer, "values", json_object_get(values));
	}
	session_publish(
	    uplink->session, filter_for(PURPOSE_GATEWAY_RESPONSE, FAMILY_V1), 0, json_text(answer));
	json_object_put(values);
	json_object_put(answer);
}

static void
gateway_attributes_request(const struct uplink *uplink, struct json_object *tree)
{
	const char *name = member_text(tree, "device");
	struct json_object *id, *event;

	if (!name || !json_object_object_get_ex(tree, "id", &id) || !lenient_literal(id)) {
		uplink_reject(uplink, "not an attribute request");
		return;
	}
	if (!device_take_child_message(uplink->device)) {
		gateway_fail(uplink, "over the limit", 0x97);
		return;
	}
	event = report_new("attribute_request", uplink->session->token);
	report_string(event, "device", name);
	json_object_object_add(event, "request", json_object_get(tree));
	control_emit(event);
	session_ack(uplink->session, uplink->publish, 0);
	gateway_attributes_answer(uplink, tree, gateway_child(uplink, name));
}

static void
gateway_rpc_reply(const struct uplink *uplink, struct json_object *tree)
{
	const char *name = member_text(tree, "device");
	struct json_object *id, *data = NULL, *event;
	struct device *child;
	int32_t number;

	if (!name || !json_object_object_get_ex(tree, "id", &id) || !lenient_literal(id) ||
	    uplink_number(lenient_literal(id), &number) < 0) {
		uplink_reject(uplink, "not a reply");
		return;
	}
	if (!device_take_child_message(uplink->device)) {
		gateway_fail(uplink, "over the limit", 0x97);
		return;
	}
	child = gateway_child(uplink, name);
	json_object_object_get_ex(tree, "data", &data);
	event = report_new("rpc_reply", child->token);
	report_string(event, "device", name);
	report_number(event, "id", number);
	json_object_object_add(event, "payload", json_object_get(data));
	report_bool(event, "late", !downlink_rpc_reply(child, number));
	control_emit(event);
	session_ack(uplink->session, uplink->publish, 0);
}

static void
gateway_claim(const struct uplink *uplink, struct json_object *tree)
{
	struct json_object *event = report_new("claim", uplink->session->token);

	json_object_object_add(event, "devices", json_object_get(tree));
	control_emit(event);
	session_ack(uplink->session, uplink->publish, 0);
}

static const struct {
	const char *topic;
	void (*handle)(const struct uplink *uplink, struct json_object *tree);
} gateway_topics[] = {
	{ .topic = "v1/gateway/telemetry", .handle = gateway_telemetry },
	{ .topic = "v1/gateway/attributes", .handle = gateway_attributes },
	{ .topic = "v1/gateway/connect", .handle = gateway_connect },
	{ .topic = "v1/gateway/disconnect", .handle = gateway_disconnect },
	{ .topic = "v1/gateway/attributes/request", .handle = gateway_attributes_request },
	{ .topic = "v1/gateway/rpc", .handle = gateway_rpc_reply },
	{ .topic = "v1/gateway/claim", .handle = gateway_claim },
};

static void
gateway_dispatch(const struct uplink *uplink, struct json_object *tree)
{
	for (size_t i = 0; i < sizeof(gateway_topics) / sizeof(gateway_topics[0]); i++) {
		if (strcmp(uplink->topic, gateway_topics[i].topic) == 0) {
			gateway_topics[i].handle(uplink, tree);
			return;
		}
	}
	session_ack(uplink->session, uplink->publish, 0x90);
}

/* A device that is no gateway gets no answer at all. */
static void
gateway_ignore(const struct uplink *uplink)
{
	struct json_object *event = report_new("bad_publish", uplink->session->token);

	report_string(event, "topic", uplink->topic);
	report_string(event, "why", "not a gateway");
	control_emit(event);
}

void
gateway_api_publish(struct uplink *uplink)
{
	struct json_object *tree = NULL;

	if (!uplink->device->gateway)
		gateway_ignore(uplink);
	else if (lenient_parse(uplink->payload, &tree) < 0)
		uplink_reject(uplink, "not JSON");
	else if (!json_object_is_type(tree, json_type_object))
		gateway_fail(uplink, "not an object", 0x83);
	else
		gateway_dispatch(uplink, tree);
	json_object_put(tree);
}

void
gateway_api_gone(struct device *gateway)
{
	struct lh_entry *entry;

	lh_foreach(gateway->bench->registry.devices, entry)
	{
		struct device *child = lh_entry_v(entry);

		if (child->parent != gateway || !child->child_connected)
			continue;
		child->child_connected = false;
		device_take_child_message(gateway);
	}
}
