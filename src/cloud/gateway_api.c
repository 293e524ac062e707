#include "cloud/gateway_api.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "cloud/reason.h"
#include "cloud/tb_gateway.h"

#define CONNECTS_MAX   16    /* connect messages without PUBACK: a thousand devices do not come all at once */
#define CONNECT_MS     30000 /* no PUBACK for so long, if nothing else is set: the server does not speak with this gateway */
#define TRY_MS	       1000  /* a message could not be sent now */
#define AGAIN_MS       60000 /* a device that the server did not take, or let go, is tried again after so long */
#define MESSAGE_IDS    0x10000
#define ONE_BY_ONE     (INT64_C(1) << 30) /* ids from here on are of requests for single keys, numbered by key; an int there */
#define KEY_MAX	       1024		  /* bytes, NUL included: 255 characters are 765 at most */
#define TIMER_ACCURACY_US 250000

enum child_state {
	CHILD_AWAY,	  /* the gateway is not connected, or the device is held */
	CHILD_QUEUED,	  /* waits for its turn to connect */
	CHILD_CONNECTING, /* its connect message waits for its PUBACK */
	CHILD_UP,
	CHILD_LEFT, /* the server let it go, or did not take it: again later */
};

struct child {
	struct session session;
	struct gateway_api *api;
	const struct device *device;
	void *owner;
	struct child *next;	    /* of all */
	struct child *next_queued;
	enum child_state state;
	bool itself; /* it is the gateway */
	bool held;
	bool leaving;	  /* it was up, and its down() is to be told from the loop */
	int granted_id;	  /* so is this subscription; 0 = none */
	int64_t since_mono_ms;
	int64_t again_mono_ms; /* CHILD_LEFT */
	const char *why;
	int64_t asked_id; /* of its attribute request; -1: none */
	char *asked;	  /* the keys, with commas between them */
};

/* A message without its PUBACK, and whose it is. */
struct flight {
	int id;
	struct child *child; /* NULL: nobody's */
	bool connect;
	int64_t sent_mono_ms;
};

struct gateway_api {
	const struct server_settings *server;
	const struct device *gateway;
	struct mqtt_events events;
	struct gateway_limits limits;
	int64_t room_mono_ms; /* they let no device connect before; 0 = they do */
	struct mqtt_session *session;
	struct child *children;
	struct child *itself; /* of them */
	struct child *queue, **queue_end;
	struct flight *flights;
	size_t flight_count, flight_room;
	size_t connects;
	int subscribe_id;
	int next_grant;
	bool up; /* and subscribed */
	bool refusal_said;
	sd_event_source *timer;
	sd_event_source *soon; /* what must not be told from inside a call */
	char one[TB_MAX_PAYLOAD];
	char text[TB_MAX_PAYLOAD + TB_GATEWAY_OVERHEAD + 6 * KEY_MAX];
};

static void connect_next(struct gateway_api *api);

static struct child *
child_of(const struct session *session)
{
	return (struct child *)(uintptr_t)session; /* it is its first member */
}

static struct child *
child_find(const struct gateway_api *api, const char *name)
{
	struct child *child = api->children;

	while (child && strcmp(child->device->name, name) != 0)
		child = child->next;
	return child;
}

static void
set_state(struct child *child, enum child_state state)
{
	child->state = state;
	child->since_mono_ms = clock_mono_ms();
}

static void
call_soon(struct gateway_api *api)
{
	sd_event_source_set_enabled(api->soon, SD_EVENT_ONESHOT);
}

/* ---- messages without PUBACK ---- */

/* Returns `id`, or negative errno. A message that finds no place here goes unseen, and its sender misses the PUBACK. */
static int
note_flight(struct gateway_api *api, int id, struct child *child, bool connect)
{
	struct flight *more;

	if (id < 0)
		return id;
	if (api->flight_count == api->flight_room) {
		more = realloc(api->flights, (api->flight_room * 2 + 16) * sizeof(*more));
		if (!more)
			return -ENOMEM;
		api->flights = more;
		api->flight_room = api->flight_room * 2 + 16;
	}
	api->flights[api->flight_count++] =
	    (struct flight){ .id = id, .child = child, .connect = connect, .sent_mono_ms = clock_mono_ms() };
	api->connects += connect;
	return id;
}

static bool
land(struct gateway_api *api, int id, struct flight *ret)
{
	for (size_t i = 0; i < api->flight_count; i++) {
		if (api->flights[i].id != id)
			continue;
		*ret = api->flights[i];
		api->connects -= ret->connect;
		api->flight_count--;
		memmove(&api->flights[i], &api->flights[i + 1], (api->flight_count - i) * sizeof(api->flights[0]));
		return true;
	}
	return false;
}

/* Its messages are nobody's any more. */
static void
disown(struct gateway_api *api, const struct child *child)
{
	for (size_t i = 0; i < api->flight_count; i++)
		if (api->flights[i].child == child)
			api->flights[i].child = NULL;
}

static int
send_text(struct gateway_api *api, struct child *child, const char *topic, int length, bool connect)
{
	if (length < 0)
		return length;
	return note_flight(api, mqtt_publish(api->session, topic, api->text, (size_t)length), child, connect);
}

/* ---- devices come and go ---- */

static int
connect_ms(const struct gateway_api *api)
{
	return api->server->ack_timeout_ms > 0 ? api->server->ack_timeout_ms : CONNECT_MS;
}

/* The oldest connect message that waits, or a device that is to be tried again. */
static void
arm_timer(struct gateway_api *api)
{
	int64_t due_ms = CLOCK_NEVER;

	for (size_t i = 0; i < api->flight_count && due_ms == CLOCK_NEVER; i++)
		if (api->flights[i].connect)
			due_ms = api->flights[i].sent_mono_ms + connect_ms(api);
	for (const struct child *child = api->children; child; child = child->next)
		if (child->state == CHILD_LEFT && child->again_mono_ms < due_ms)
			due_ms = child->again_mono_ms;
	if (api->room_mono_ms > 0 && api->room_mono_ms < due_ms)
		due_ms = api->room_mono_ms;
	if (due_ms == CLOCK_NEVER) {
		sd_event_source_set_enabled(api->timer, SD_EVENT_OFF);
		return;
	}
	sd_event_source_set_time(api->timer, (uint64_t)(due_ms > 0 ? due_ms : 0) * 1000);
	sd_event_source_set_enabled(api->timer, SD_EVENT_ONESHOT);
}

static void
enqueue(struct child *child)
{
	struct gateway_api *api = child->api;

	set_state(child, CHILD_QUEUED);
	child->next_queued = NULL;
	*api->queue_end = child;
	api->queue_end = &child->next_queued;
}

static void
dequeue(struct child *child)
{
	struct gateway_api *api = child->api;

	for (struct child **link = &api->queue; *link; link = &(*link)->next_queued)
		if (*link == child) {
			*link = child->next_queued;
			if (api->queue_end == &child->next_queued)
				api->queue_end = link;
			return;
		}
}

/* ThingsBoard connects a device beyond the limits all the same, but nothing that is for it comes down. */
static void
connect_next(struct gateway_api *api)
{
	api->room_mono_ms = 0;
	while (api->up && api->queue && api->connects < CONNECTS_MAX) {
		struct child *child = api->queue;
		int length;

		api->room_mono_ms = api->limits.take(api->limits.ctx, child->device->index);
		if (api->room_mono_ms > 0)
			break;
		length = tb_gateway_connect(child->device->name, api->text, sizeof(api->text));
		if (send_text(api, child, TB_GATEWAY_CONNECT, length, true) < 0) {
			api->room_mono_ms = clock_mono_ms() + TRY_MS;
			break;
		}
		dequeue(child);
		set_state(child, CHILD_CONNECTING);
	}
	arm_timer(api);
}

/* It is not up any more, for whatever reason. */
static void
leave(struct child *child, enum child_state state, const char *why)
{
	if (child->state == CHILD_QUEUED)
		dequeue(child);
	if (child->state == CHILD_UP)
		child->leaving = true;
	disown(child->api, child);
	child->granted_id = 0;
	child->asked_id = -1;
	child->why = why;
	child->again_mono_ms = clock_mono_ms() + AGAIN_MS;
	set_state(child, state);
	call_soon(child->api);
}

static void
tell_soon(struct child *child)
{
	int granted_id = child->granted_id;

	child->granted_id = 0;
	if (child->leaving) {
		child->leaving = false;
		child->api->events.down(child->owner);
	} else if (granted_id != 0) {
		child->api->events.subscribed(child->owner, granted_id, true);
	}
}

static int
on_soon(sd_event_source *source, void *userdata)
{
	struct gateway_api *api = userdata;

	(void)source;
	for (struct child *child = api->children; child; child = child->next)
		tell_soon(child);
	connect_next(api);
	return 0;
}

static int
on_timer(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct gateway_api *api = userdata;
	int64_t now_ms = clock_mono_ms();

	(void)source, (void)usec;
	for (size_t i = 0; i < api->flight_count; i++)
		if (api->flights[i].connect && now_ms - api->flights[i].sent_mono_ms >= connect_ms(api)) {
			if (!api->refusal_said)
				log_error("gateway: the server does not answer what it says for its devices: is it marked as a "
					  "gateway in ThingsBoard?");
			api->refusal_said = true;
			mqtt_session_restart(api->session, "no PUBACK for a connect message of the gateway API");
			return 0;
		}
	for (struct child *child = api->children; child; child = child->next)
		if (child->state == CHILD_LEFT && child->again_mono_ms <= now_ms)
			enqueue(child);
	connect_next(api);
	return 0;
}

/* ---- what the one session says ---- */

static void
on_up(void *owner)
{
	static const char *const filters[] = { TB_GATEWAY_RPC, TB_GATEWAY_ATTRIBUTES, TB_GATEWAY_ATTRIBUTE_RESPONSE };
	struct gateway_api *api = owner;

	api->subscribe_id = mqtt_subscribe(api->session, filters, sizeof(filters) / sizeof(filters[0]));
	if (api->subscribe_id < 0)
		mqtt_session_restart(api->session, "cannot subscribe");
	if (!api->itself)
		return;
	set_state(api->itself, CHILD_UP);
	api->events.up(api->itself->owner);
}

static void
on_down(void *owner)
{
	struct gateway_api *api = owner;

	api->up = false;
	api->flight_count = 0;
	api->connects = 0;
	for (struct child *child = api->children; child; child = child->next) {
		leave(child, CHILD_AWAY, "the gateway's session ended");
		tell_soon(child);
	}
	arm_timer(api);
}

static void
on_subscribed(void *owner, int id, bool granted)
{
	struct gateway_api *api = owner;

	if (id != api->subscribe_id) {
		if (api->itself)
			api->events.subscribed(api->itself->owner, id, granted);
		return;
	}
	api->subscribe_id = 0; /* devices are to be queued once, whatever the server says twice */
	if (!granted) {
		mqtt_session_restart(api->session, "the server does not let it subscribe to v1/gateway");
		return;
	}
	api->up = true;
	for (struct child *child = api->children; child; child = child->next)
		if (!child->held && !child->itself)
			enqueue(child);
	connect_next(api);
}

static void
note_connected(struct child *child)
{
	child->why = NULL;
	set_state(child, CHILD_UP);
	child->api->events.up(child->owner);
}

static void
on_acked(void *owner, int id)
{
	struct gateway_api *api = owner;
	struct flight flight;

	if (!land(api, id, &flight))
		return;
	if (!flight.child) {
		connect_next(api);
	} else if (flight.connect) {
		api->refusal_said = false;
		connect_next(api);
		if (flight.child->state == CHILD_CONNECTING)
			note_connected(flight.child);
	} else {
		api->events.acked(flight.child->owner, id);
	}
}

static void
on_refused(void *owner, int id, int reason)
{
	struct gateway_api *api = owner;
	struct flight flight;

	if (!land(api, id, &flight) || !flight.child)
		return;
	if (!flight.connect) {
		api->events.refused(flight.child->owner, id, reason);
		return;
	}
	if (flight.child->why != reason_text(reason))
		log_warning("device %s: the server does not take it from the gateway: %s, trying again every %d s",
		    flight.child->device->name, reason_text(reason), AGAIN_MS / 1000);
	leave(flight.child, CHILD_LEFT, reason_text(reason));
	connect_next(api);
}

/* ---- messages for a device ---- */

static void
tell(struct child *child, enum tb_topic topic, int64_t id, const void *payload, size_t length)
{
	char text[TB_TOPIC_MAX];

	child->api->events.message(child->owner, tb_topic_print(topic, id, text), payload, length);
}

static void
pass_on(struct child *child, enum tb_topic topic, int64_t id, const struct tb_json *json)
{
	size_t length;
	const char *text = json ? tb_json_print(json, &length) : NULL;

	if (text)
		tell(child, topic, id, text, length);
}

/* The answer to the attribute request, as the device API has it: {"shared":VALUES}. */
static void
pass_on_answer(struct child *child, int64_t id, const char *values, size_t length)
{
	struct gateway_api *api = child->api;
	int used = tb_gateway_member("shared", values, length, api->text, sizeof(api->text));

	if (used >= 0)
		tell(child, TB_ATTRIBUTE_RESPONSE, id, api->text, (size_t)used);
}

/* {"KEY":VALUE} into `text`. Returns the length, or negative errno. */
static int
print_one(const char *key, const struct tb_json *value, char *text, size_t size)
{
	size_t length;
	const char *printed = tb_json_print(value, &length);

	return printed ? tb_gateway_member(key, printed, length, text, size) : -ENOMEM;
}

/* The key with this number of those that were asked for, or NULL. */
static const char *
asked_key(const struct child *child, int64_t number, char *key)
{
	const char *at = child->asked;

	for (; at && number > 0; number--) {
		at = strchr(at, ',');
		at = at ? at + 1 : NULL;
	}
	if (!at || strcspn(at, ",") >= KEY_MAX)
		return NULL;
	memcpy(key, at, strcspn(at, ","));
	key[strcspn(at, ",")] = '\0';
	return key;
}

/* A lone value for many keys: the server has just one of them and does not say which (it did so before 3.3). Ask for each. */
static void
ask_one_by_one(struct child *child)
{
	struct gateway_api *api = child->api;
	char key[KEY_MAX], request[2 * KEY_MAX];

	for (int64_t i = 0; asked_key(child, i, key); i++) {
		int used = tb_json_string(key, request + 14, sizeof(request) - 16);
		int length;

		if (used < 0)
			continue;
		memcpy(request, "{\"sharedKeys\":", 14);
		request[14 + used] = '}';
		length = tb_gateway_attribute_request(
		    child->device->name, ONE_BY_ONE + i, request, (size_t)used + 15, api->text, sizeof(api->text));
		send_text(api, NULL, TB_GATEWAY_ATTRIBUTE_REQUEST, length, false);
	}
}

/* An answer with one value, whose key only we know. */
static void
take_one(struct child *child, const struct tb_gateway_message *message)
{
	char key[KEY_MAX], *text = child->api->one;
	bool alone = message->id >= ONE_BY_ONE;
	int length;

	if (!asked_key(child, alone ? message->id - ONE_BY_ONE : 0, key))
		return;
	length = print_one(key, message->one, text, sizeof(child->api->one));
	if (length >= 0 && alone)
		tell(child, TB_ATTRIBUTES, -1, text, (size_t)length);
	else if (length >= 0)
		pass_on_answer(child, message->id, text, (size_t)length);
}

static void
take_answer(struct child *child, const struct tb_gateway_message *message)
{
	const char *values = "{}";
	size_t length = 2;

	if (message->id >= ONE_BY_ONE) {
		if (message->one)
			take_one(child, message);
		return;
	}
	if (message->id != child->asked_id)
		return;
	child->asked_id = -1;
	if (message->one && child->asked && !strchr(child->asked, ',')) {
		take_one(child, message);
		return;
	}
	if (message->one)
		ask_one_by_one(child);
	else if (message->data)
		values = tb_json_print(message->data, &length);
	if (values)
		pass_on_answer(child, message->id, values, length);
}

static void
be_let_go(struct child *child)
{
	log_warning("device %s: the server let it go, trying again in %d s", child->device->name, AGAIN_MS / 1000);
	leave(child, CHILD_LEFT, "the server let it go");
}

static void
take_message(struct gateway_api *api, const char *topic, const struct tb_json *json)
{
	struct tb_gateway_message message;
	struct child *child;

	if (tb_gateway_parse(json, &message) < 0 || !(child = child_find(api, message.device)))
		return;
	if (child->itself)
		return; /* it is spoken to on the topics of a device */
	/* What waits for a device is sent as soon as the server knows it to be there, and not again: not to be missed, although
	 * the PUBACK may come behind it. */
	if (child->state == CHILD_CONNECTING)
		note_connected(child);
	if (child->state != CHILD_UP)
		return;
	if (strcmp(topic, TB_GATEWAY_RPC) == 0 && message.id >= 0)
		pass_on(child, TB_RPC_REQUEST, message.id, message.data);
	else if (strcmp(topic, TB_GATEWAY_ATTRIBUTES) == 0)
		pass_on(child, TB_ATTRIBUTES, -1, message.data);
	else if (strcmp(topic, TB_GATEWAY_ATTRIBUTE_RESPONSE) == 0)
		take_answer(child, &message);
	else if (strcmp(topic, TB_GATEWAY_DISCONNECT) == 0)
		be_let_go(child);
}

static void
on_message(void *owner, const char *topic, const void *payload, size_t length)
{
	struct gateway_api *api = owner;
	struct tb_json *json;
	int64_t id;

	if (tb_topic_parse(topic, &id) != TB_UNKNOWN) {
		if (api->itself)
			api->events.message(api->itself->owner, topic, payload, length);
		return;
	}
	json = tb_json_parse(payload, length);
	if (json)
		take_message(api, topic, json);
	tb_json_free(json);
}

const struct mqtt_events gateway_api_events = {
	.up = on_up,
	.down = on_down,
	.acked = on_acked,
	.refused = on_refused,
	.subscribed = on_subscribed,
	.message = on_message,
};

/* ---- the session of one device ---- */

static bool
child_is_up(const struct session *session)
{
	return child_of(session)->state == CHILD_UP;
}

/* What it was let go for may be a message of its own, and the session of all has not ended. */
static int
child_end(const struct session *session)
{
	const struct child *child = child_of(session);

	return child->state == CHILD_LEFT ? MQTT_END_CLOSED : mqtt_session_end(child->api->session);
}

static void
child_hold(struct session *session, bool hold)
{
	struct child *child = child_of(session);
	struct gateway_api *api = child->api;

	if (child->held == hold || child->itself)
		return;
	child->held = hold;
	if (hold && (child->state == CHILD_UP || child->state == CHILD_CONNECTING))
		send_text(api, NULL, TB_GATEWAY_DISCONNECT,
		    tb_gateway_connect(child->device->name, api->text, sizeof(api->text)), false);
	if (hold) {
		leave(child, CHILD_AWAY, "nothing of it answers");
	} else if (api->up) {
		enqueue(child);
		call_soon(api);
	}
}

/* Keep what was asked for: the answer may not say it. */
static int
ask_attributes(struct child *child, int64_t id, const void *payload, size_t length)
{
	struct gateway_api *api = child->api;
	struct tb_json *json = tb_json_parse(payload, length);
	const char *keys = tb_json_text(tb_json_get(json, "sharedKeys"));
	char *copy = keys ? strdup(keys) : NULL;
	int used = copy ? tb_gateway_attribute_request(
			      child->device->name, id, payload, length, api->text, sizeof(api->text))
			: -ENOMEM;

	tb_json_free(json);
	free(child->asked);
	child->asked = copy;
	child->asked_id = id;
	return send_text(api, child, TB_GATEWAY_ATTRIBUTE_REQUEST, used, false);
}

/* Of the gateway itself: as it is. */
static int
publish_own(struct child *child, enum tb_topic topic, int64_t id, const void *payload, size_t length)
{
	char text[TB_TOPIC_MAX];
	int number = mqtt_publish(child->api->session, tb_topic_print(topic, id, text), payload, length);

	return note_flight(child->api, number, child, false);
}

static int
child_publish(struct session *session, enum tb_topic topic, int64_t id, const void *payload, size_t length)
{
	struct child *child = child_of(session);
	struct gateway_api *api = child->api;
	const char *name = child->device->name;

	if (child->state != CHILD_UP)
		return -ENOTCONN;
	if (child->itself)
		return publish_own(child, topic, id, payload, length);
	switch (topic) {
	case TB_TELEMETRY:
		return send_text(api, child, TB_GATEWAY_TELEMETRY,
		    tb_gateway_telemetry(name, payload, length, api->text, sizeof(api->text)), false);
	case TB_ATTRIBUTES:
		return send_text(api, child, TB_GATEWAY_ATTRIBUTES,
		    tb_gateway_member(name, payload, length, api->text, sizeof(api->text)), false);
	case TB_CLAIM:
		return send_text(api, child, TB_GATEWAY_CLAIM,
		    tb_gateway_member(name, payload, length, api->text, sizeof(api->text)), false);
	case TB_RPC_RESPONSE:
		return send_text(api, child, TB_GATEWAY_RPC,
		    tb_gateway_rpc_reply(name, id, payload, length, api->text, sizeof(api->text)), false);
	case TB_ATTRIBUTE_REQUEST:
		return ask_attributes(child, id, payload, length);
	case TB_RPC_REQUEST: /* the server has no client-side RPC for the devices of a gateway */
	case TB_UNKNOWN:
	case TB_ATTRIBUTE_RESPONSE:
		break;
	}
	return -ENOTSUP;
}

/* The gateway is subscribed to everything of all its devices. */
static int
child_subscribe(struct session *session, bool attributes)
{
	const char *const filters[] = { tb_topic_filter(TB_RPC_REQUEST), tb_topic_filter(TB_ATTRIBUTES),
		tb_topic_filter(TB_ATTRIBUTE_RESPONSE) };
	struct child *child = child_of(session);
	struct gateway_api *api = child->api;

	if (child->state != CHILD_UP)
		return -ENOTCONN;
	if (child->itself)
		return mqtt_subscribe(api->session, filters, attributes ? 3 : 1);
	api->next_grant = api->next_grant % MESSAGE_IDS + 1;
	child->granted_id = MESSAGE_IDS + api->next_grant; /* no message has such an id */
	call_soon(api);
	return child->granted_id;
}

static void
child_restart(struct session *session, const char *why)
{
	mqtt_session_restart(child_of(session)->api->session, why);
}

static void
child_health(const struct session *session, struct health_device *ret)
{
	static const enum health_session_state states[] = {
		[CHILD_AWAY] = HEALTH_SESSION_WAITING,
		[CHILD_QUEUED] = HEALTH_SESSION_WAITING,
		[CHILD_CONNECTING] = HEALTH_SESSION_CONNECTING,
		[CHILD_UP] = HEALTH_SESSION_UP,
		[CHILD_LEFT] = HEALTH_SESSION_WAITING,
	};
	const struct child *child = child_of(session);

	/* While there is no session it is that which has a reason. */
	if (child->itself || (!child->held && !mqtt_session_is_up(child->api->session))) {
		mqtt_session_health(child->api->session, ret);
		return;
	}
	ret->state = child->held ? HEALTH_SESSION_CLOSED : states[child->state];
	ret->why = child->state == CHILD_UP ? NULL : child->why;
	ret->since_mono_ms = child->since_mono_ms;
}

static void
child_free(struct session *session)
{
	struct child *child = child_of(session);
	struct gateway_api *api = child->api;

	if (child->state == CHILD_UP && !child->itself)
		send_text(api, NULL, TB_GATEWAY_DISCONNECT,
		    tb_gateway_connect(child->device->name, api->text, sizeof(api->text)), false);
	dequeue(child);
	disown(api, child);
	if (child->itself)
		api->itself = NULL;
	for (struct child **link = &api->children; *link; link = &(*link)->next)
		if (*link == child) {
			*link = child->next;
			break;
		}
	free(child->asked);
	free(child);
}

static const struct session_ops child_ops = {
	.is_up = child_is_up,
	.end = child_end,
	.hold = child_hold,
	.publish = child_publish,
	.subscribe = child_subscribe,
	.restart = child_restart,
	.health = child_health,
	.free = child_free,
};

struct session *
gateway_api_add(struct gateway_api *api, const struct device *device, void *owner)
{
	struct child *child = calloc(1, sizeof(*child));

	if (!child)
		return NULL;
	child->session.ops = &child_ops;
	child->api = api;
	child->device = device;
	child->owner = owner;
	child->asked_id = -1;
	child->next = api->children;
	api->children = child;
	set_state(child, CHILD_AWAY);
	child->itself = device == api->gateway;
	if (child->itself)
		api->itself = child;
	else if (api->up) {
		enqueue(child);
		call_soon(api);
	}
	return &child->session;
}

void
gateway_api_give(struct gateway_api *api, const struct session *session, const struct credentials *credentials)
{
	if (child_of(session)->itself)
		mqtt_session_give(api->session, credentials, api);
}

/* ---- all of it ---- */

struct gateway_api *
gateway_api_new(const struct settings *settings, const struct credentials *credentials, struct mqtt *mqtt, sd_event *loop,
    const struct mqtt_events *events, struct gateway_limits limits)
{
	struct gateway_api *api = calloc(1, sizeof(*api));
	int error;

	if (!api)
		return NULL;
	api->server = &settings->server;
	api->gateway = settings->gateway;
	api->events = *events;
	api->limits = limits;
	api->queue_end = &api->queue;
	error = sd_event_add_time(loop, &api->timer, CLOCK_MONOTONIC, 0, TIMER_ACCURACY_US, on_timer, api);
	if (error >= 0)
		error = sd_event_source_set_enabled(api->timer, SD_EVENT_OFF);
	if (error >= 0)
		error = sd_event_add_defer(loop, &api->soon, on_soon, api);
	if (error >= 0)
		error = sd_event_source_set_enabled(api->soon, SD_EVENT_OFF);
	if (error >= 0) {
		api->session = mqtt_session_new(mqtt, settings->gateway->name, credentials, api);
		error = api->session ? 0 : -errno;
	}
	if (error < 0) {
		gateway_api_free(api);
		errno = -error;
		return NULL;
	}
	return api;
}

void
gateway_api_go_on(struct gateway_api *api)
{
	call_soon(api);
}

void
gateway_api_free(struct gateway_api *api)
{
	if (!api)
		return;
	assert(!api->children);
	mqtt_session_free(api->session);
	sd_event_source_disable_unref(api->timer);
	sd_event_source_disable_unref(api->soon);
	free(api->flights);
	free(api);
}
