#include "cloud/uplink_state.h"

#include <errno.h>
#include <stdlib.h>

#include "base/log.h"
#include "cloud/device_api.h"
#include "cloud/tb_topic.h"

/* ---- the sessions ---- */

static void
on_up(void *owner)
{
	struct route *route = owner;

	if (route->was_up)
		sieve_forget(route->uplink->sieve, route->device);
	route->was_up = true;
	downlink_up(route->uplink->downlink, route->device);
	sender_up(route->uplink->sender, route->device);
	claims_up(route->uplink->claims, route->device);
}

static void
on_down(void *owner)
{
	struct route *route = owner;

	claims_down(route->uplink->claims, route->device);
	sender_down(route->uplink->sender, route->device, route->session->ops->end(route->session));
	downlink_down(route->uplink->downlink, route->device, route->held);
}

static void
on_acked(void *owner, int id)
{
	struct route *route = owner;

	if (!claims_acked(route->uplink->claims, route->device, id))
		sender_acked(route->uplink->sender, route->device, id);
}

static void
on_refused(void *owner, int id, int reason)
{
	struct route *route = owner;

	if (!claims_refused(route->uplink->claims, route->device, id, reason))
		sender_refused(route->uplink->sender, route->device, id, reason);
}

static void
on_subscribed(void *owner, int id, bool granted)
{
	struct route *route = owner;

	downlink_subscribed(route->uplink->downlink, route->device, id, granted);
}

static void
on_message(void *owner, const char *topic, const void *payload, size_t length)
{
	struct route *route = owner;
	struct uplink *uplink = route->uplink;
	int64_t id;
	enum tb_topic kind = tb_topic_parse(topic, &id);

	if (kind == TB_RPC_RESPONSE && id == SENDER_LIMITS_ID) {
		sender_limits(uplink->sender, route->device, payload, length);
		if (uplink->gateway)
			gateway_api_go_on(uplink->gateway);
		return;
	}
	if (kind == TB_RPC_REQUEST && id == SENDER_LIMITS_ID &&
	    sender_is_question(uplink->sender, route->device, payload, length))
		return;
	if (kind == TB_RPC_REQUEST)
		sender_note_request(uplink->sender, route->device);
	downlink_message(uplink->downlink, route->device, topic, payload, length);
}

static const struct mqtt_events events = {
	.up = on_up,
	.down = on_down,
	.acked = on_acked,
	.refused = on_refused,
	.subscribed = on_subscribed,
	.message = on_message,
};

/* ---- how others reach them ---- */

static bool
port_is_up(void *ctx, size_t device)
{
	struct uplink *uplink = ctx;

	const struct session *session = uplink->routes[device].session;

	return session->ops->is_up(session);
}

static int
port_publish(void *ctx, size_t device, enum tb_topic topic, int64_t id, const void *payload, size_t length)
{
	struct uplink *uplink = ctx;
	struct session *session = uplink->routes[device].session;

	return session->ops->publish(session, topic, id, payload, length);
}

static int
downlink_publish(void *ctx, size_t device, enum tb_topic topic, int64_t id, const void *payload, size_t length)
{
	struct uplink *uplink = ctx;

	if (topic == TB_ATTRIBUTES)
		return sender_post_values(uplink->sender, device, (unsigned)id, payload, length);
	return sender_post(uplink->sender, device, topic, id, payload, length);
}

static int
downlink_subscribe(void *ctx, size_t device, bool attributes)
{
	struct uplink *uplink = ctx;
	struct session *session = uplink->routes[device].session;

	/* To the topic of answers is free. */
	if (sender_take(uplink->sender, device, attributes ? 2 : 1) > 0)
		return -EAGAIN;
	return session->ops->subscribe(session, attributes);
}

static void
port_restart(void *ctx, size_t device, const char *why)
{
	struct uplink *uplink = ctx;
	struct session *session = uplink->routes[device].session;

	session->ops->restart(session, why);
}

static int64_t
gateway_take(void *ctx, size_t device)
{
	struct uplink *uplink = ctx;

	return sender_take(uplink->sender, device, 1);
}

struct sender_port
uplink_sender_port(struct uplink *uplink)
{
	return (struct sender_port){
		.is_up = port_is_up, .publish = port_publish, .restart = port_restart, .ctx = uplink
	};
}

static int
claim_publish(void *ctx, size_t device, enum tb_topic topic, int64_t id, const void *payload, size_t length)
{
	struct uplink *uplink = ctx;

	return sender_take(uplink->sender, device, 1) > 0 ? -EAGAIN : port_publish(ctx, device, topic, id, payload, length);
}

struct sender_port
uplink_claim_port(struct uplink *uplink)
{
	return (struct sender_port){ .is_up = port_is_up, .publish = claim_publish, .ctx = uplink };
}

static int
push_chore(void *ctx, const struct chore *chore)
{
	struct uplink *uplink = ctx;

	return fifo_push(uplink->chores, chore, 1) == 1 ? 0 : -EBUSY;
}

struct downlink_port
uplink_downlink_port(struct uplink *uplink)
{
	return (struct downlink_port){
		.publish = downlink_publish,
		.subscribe = downlink_subscribe,
		.chore = push_chore,
		.ctx = uplink,
	};
}

/* ---- making them ---- */

void
uplink_give_credentials(struct gateway_api *gateway, struct route *route, const struct credentials *credentials)
{
	if (gateway)
		gateway_api_give(gateway, route->session, credentials);
	else
		device_api_give(route->session, credentials, route);
}

void
uplink_on_provisioned(void *ctx, size_t device)
{
	struct uplink *uplink = ctx;

	uplink_give_credentials(uplink->gateway, &uplink->routes[device], provisioner_credentials(uplink->provisioner, device));
}

int
uplink_make_base(struct uplink *uplink, const struct settings *settings, const struct provisioner *provisioner,
    struct mqtt **ret_mqtt, struct gateway_api **ret_gateway)
{
	bool shared = settings->server.api == API_GATEWAY;
	int error;

	*ret_gateway = NULL;
	*ret_mqtt = mqtt_new(&settings->server, uplink->loop, uplink->resolver, shared ? &gateway_api_events : &events);
	if (*ret_mqtt && shared)
		*ret_gateway = gateway_api_new(settings,
		    provisioner_credentials(provisioner, settings->gateway->index), *ret_mqtt, uplink->loop, &events,
		    (struct gateway_limits){ .take = gateway_take, .ctx = uplink });
	if (*ret_mqtt && (*ret_gateway || !shared))
		return 0;
	error = errno;
	mqtt_free(*ret_mqtt);
	*ret_mqtt = NULL;
	return -error;
}

struct route *
uplink_make_routes(struct uplink *uplink, const struct settings *settings)
{
	struct route *routes = calloc(settings->device_count + 1, sizeof(routes[0]));

	for (size_t i = 0; routes && i < settings->device_count; i++)
		routes[i] = (struct route){ .uplink = uplink, .device = i };
	return routes;
}

int
uplink_open_session(struct route *route, struct mqtt *mqtt, struct gateway_api *gateway, const struct provisioner *provisioner,
    const struct device *device)
{
	if (gateway)
		route->session = gateway_api_add(gateway, device, route);
	else
		route->session =
		    device_api_new(mqtt, device->name, provisioner_credentials(provisioner, device->index), route);
	return route->session ? 0 : -errno;
}

void
uplink_close_sessions(struct route *routes, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (routes[i].session)
			routes[i].session->ops->free(routes[i].session);
		routes[i].session = NULL;
	}
}

int
uplink_add_routes(struct uplink *uplink)
{
	const struct settings *settings = uplink->settings;

	for (size_t i = 0; i < settings->device_count; i++) {
		int error = uplink_open_session(
		    &uplink->routes[i], uplink->mqtt, uplink->gateway, uplink->provisioner, &settings->devices[i]);

		if (error < 0)
			return error;
	}
	return 0;
}

/* ---- devices that come and go ---- */

static void
set_leaving(struct route *route, bool leaving)
{
	route->uplink->leaving += leaving;
	route->uplink->leaving -= route->leaving;
	route->leaving = leaving;
}

static void
close_if_idle(struct uplink *uplink, struct route *route)
{
	const struct device *device = &uplink->settings->devices[route->device];

	if (!sender_is_idle(uplink->sender, route->device))
		return;
	set_leaving(route, false);
	route->held = true;
	route->session->ops->hold(route->session, true);
	log_notice("device %s: none of its units has answered for %d s: its session is closed until one does",
	    device->name, device->offline_after_s);
}

void
uplink_serve_presence(struct uplink *uplink)
{
	size_t device;

	while (presence_news(uplink->presence, &device)) {
		struct route *route = &uplink->routes[device];
		bool there = presence_is_there(uplink->presence, device);

		set_leaving(route, !there && !route->held);
		if (!there || !route->held)
			continue;
		route->held = false;
		route->session->ops->hold(route->session, false);
		log_notice("device %s: answers again: its session is opened", uplink->settings->devices[device].name);
	}
	for (size_t i = 0; uplink->leaving > 0 && i < uplink->settings->device_count; i++)
		if (uplink->routes[i].leaving)
			close_if_idle(uplink, &uplink->routes[i]);
}
