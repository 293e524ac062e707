#include <stdlib.h>
#include <string.h>

#include "bench/alloc.h"
#include "bench/report.h"
#include "bench/thingsboard.h"
#include "common/control.h"

/* The session that gets what is meant for `device`, NULL if there is none that subscribed. A child's is its
 * gateway's. */
static struct session *
downlink_session(struct device *device, enum purpose purpose)
{
	struct session *session = device->current;

	if (device->parent)
		return device->child_connected && device->child_subscribed ? device->parent->current : NULL;
	return session && session_subscribed(session, purpose) ? session : NULL;
}

/* Wrap what a child gets: {"device":..,"data":..}. Takes `data`. */
static void
downlink_child(struct session *session, struct device *child, enum purpose purpose, struct json_object *data)
{
	struct json_object *message = json_object_new_object();

	json_object_object_add(message, "device", json_object_new_string(child->name));
	json_object_object_add(message, "data", data);
	session_publish(session, filter_for(purpose, FAMILY_V1), 0, json_text(message));
	json_object_put(message);
}

void
downlink_attributes(struct device *device, struct json_object *values)
{
	struct session *session = downlink_session(device, PURPOSE_ATTRIBUTES);

	if (!session)
		return;
	if (device->parent)
		downlink_child(session, device, PURPOSE_GATEWAY_ATTRIBUTES, json_object_get(values));
	else
		session_publish(session, filter_for(PURPOSE_ATTRIBUTES, session->family[PURPOSE_ATTRIBUTES]),
		    0, json_text(values));
}

void
downlink_attributes_deleted(struct device *device, struct json_object *keys)
{
	struct json_object *message = json_object_new_object();

	json_object_object_add(message, "deleted", json_object_get(keys));
	downlink_attributes(device, message);
	json_object_put(message);
}

/* Send a call if somebody listens. A one-way call is done with that. */
static bool
rpc_send(struct rpc *rpc)
{
	struct device *device = rpc->device;
	struct session *session = downlink_session(device, PURPOSE_RPC);

	if (!session)
		return false;
	if (device->parent) {
		struct json_object *data = json_tokener_parse(rpc->data);

		json_object_object_add(data, "id", json_object_new_int(rpc->id));
		downlink_child(session, device, PURPOSE_GATEWAY_RPC, data);
	} else {
		session_publish(
		    session, filter_for(PURPOSE_RPC, session->family[PURPOSE_RPC]), rpc->id, rpc->data);
		session->rpcs[session->packet_id / 8] |= (uint8_t)(1u << session->packet_id % 8);
	}
	if (rpc->oneway)
		rpc_free(rpc);
	return true;
}

static void
rpc_expired(struct timer *timer)
{
	struct rpc *rpc = timer_owner(timer, struct rpc, expiry);
	struct json_object *event = report_new("rpc_timeout", rpc->device->token);

	report_number(event, "id", rpc->id);
	control_emit(event);
	rpc_free(rpc);
}

static char *
rpc_data_new(const char *method, struct json_object *params)
{
	struct json_object *data = json_object_new_object();
	char *text;

	json_object_object_add(data, "method", json_object_new_string(method));
	json_object_object_add(data, "params", json_object_get(params));
	text = alloc_string(json_text(data));
	json_object_put(data);
	return text;
}

int32_t
downlink_rpc(
    struct device *device, const char *method, struct json_object *params, bool oneway, int64_t timeout_ms)
{
	struct rpc *rpc = alloc_zeroed(1, sizeof(*rpc));
	struct rpc **link = &device->rpcs;
	int32_t id = device->next_rpc++;

	rpc->device = device;
	rpc->id = id;
	rpc->oneway = oneway;
	rpc->data = rpc_data_new(method, params);
	rpc->expiry.fire = rpc_expired;
	while (*link)
		link = &(*link)->next;
	*link = rpc;
	timer_start(&device->bench->timers, &rpc->expiry, clock_mono_ms() + timeout_ms);
	rpc_send(rpc);
	return id;
}

void
downlink_rpc_pending(struct device *device)
{
	struct rpc *next;

	for (struct rpc *rpc = device->rpcs; rpc; rpc = next) {
		next = rpc->next;
		rpc_send(rpc);
	}
}

bool
downlink_rpc_reply(struct device *device, int32_t id)
{
	for (struct rpc *rpc = device->rpcs; rpc; rpc = rpc->next) {
		if (rpc->id == id) {
			rpc_free(rpc);
			return true;
		}
	}
	return false;
}
