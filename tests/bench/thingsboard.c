#include "bench/thingsboard.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bench/alloc.h"
#include "bench/lenient.h"
#include "bench/report.h"
#include "common/control.h"

/* Why a CONNECT is not accepted, and the code for it by version. */
enum refusal { REFUSED_PASSWORD, REFUSED_CLIENT_ID, REFUSED_NOBODY, REFUSED_LIMIT };

static const struct {
	uint8_t v3, v5;
} refusal_codes[] = {
	[REFUSED_PASSWORD] = { .v3 = 0x05, .v5 = 0x86 },
	[REFUSED_CLIENT_ID] = { .v3 = 0x02, .v5 = 0x85 },
	[REFUSED_NOBODY] = { .v3 = 0x05, .v5 = 0x87 },
	[REFUSED_LIMIT] = { .v3 = 0x03, .v5 = 0x9F },
};

/* CONNECT with its strings made clean. */
struct login {
	struct mqtt_connect packet;
	char *client_id, *username, *password; /* NULL = absent */
};

static char *
string_clean(struct mqtt_string string)
{
	return string.data ? utf8_clean(string.data, string.length) : NULL;
}

static void
login_init(struct login *login, const struct mqtt_connect *packet)
{
	login->packet = *packet;
	login->client_id = string_clean(packet->client_id);
	login->username = string_clean(packet->username);
	login->password = string_clean(packet->password);
}

static void
login_done(struct login *login)
{
	free(login->client_id);
	free(login->username);
	free(login->password);
}

static bool
text_blank(const char *text)
{
	return !text || text[strspn(text, " \t\r\n")] == '\0';
}

static bool
basic_matches(const struct device *device, const struct login *login)
{
	return !device->password || (login->password && strcmp(device->password, login->password) == 0);
}

/* The server's order: client id and user name together, then the user name as a token, then the user name
 * alone. */
static struct device *
login_by_username(struct bench *bench, const struct login *login)
{
	struct device *device = registry_find_basic(&bench->registry, login->client_id, login->username);

	if (device)
		return basic_matches(device, login) ? device : NULL;
	device = registry_find(&bench->registry, login->username);
	if (device && !device->basic && !device->parent)
		return device;
	device = registry_find_basic(&bench->registry, NULL, login->username);
	if (device)
		return basic_matches(device, login) ? device : NULL;
	return bench->knobs.any_token ? registry_add(&bench->registry, bench, login->username, NULL) : NULL;
}

static struct device *
login_device(struct bench *bench, const struct login *login)
{
	struct device *device;

	if (login->username && *login->username)
		return login_by_username(bench, login);
	device = registry_find_basic(&bench->registry, login->client_id, NULL);
	return device && *login->client_id && basic_matches(device, login) ? device : NULL;
}

static enum refusal
login_refusal(const struct login *login)
{
	if ((login->username && *login->username) || (login->password && *login->password))
		return REFUSED_PASSWORD;
	return text_blank(login->client_id) ? REFUSED_NOBODY : REFUSED_CLIENT_ID;
}

/* The code for CONNACK, 0 with *ret set if the device may come in. */
static uint8_t
login_check(struct bench *bench, const struct login *login, struct device **ret)
{
	struct device *device = login_device(bench, login);
	uint8_t asked = device && device->refuse ? device->refuse : bench->knobs.refuse;
	enum refusal refusal;

	if (asked)
		return asked;
	if (device && device_take_message(device)) {
		*ret = device;
		return 0;
	}
	refusal = device ? REFUSED_LIMIT : login_refusal(login);
	return login->packet.version == MQTT_5 ? refusal_codes[refusal].v5 : refusal_codes[refusal].v3;
}

static void
connect_report(const struct session *session, const struct login *login, uint8_t code)
{
	struct json_object *event = report_new("connect", session->token);

	report_string(event, "client_id", login->client_id);
	report_number(event, "version", login->packet.version);
	report_bool(event, "clean", login->packet.clean);
	report_number(event, "keepalive", login->packet.keepalive_s);
	report_bool(event, "will", login->packet.will);
	report_number(event, "code", code);
	report_number(event, "session", (int64_t)session->number);
	control_emit(event);
}

static void
connect_refuse(struct session *session, const struct login *login, uint8_t code)
{
	session->bench->stats.refused++;
	connect_report(session, login, code);
	session->refused = true;
	mqtt_build_connack(session_out(session), session->version, false, code);
	session_close(session, "refused", code);
}

/* One session a device, or as many as a knob says: the oldest goes, but only a moment later. */
static void
connect_take_over(struct device *device)
{
	unsigned stay = device->bench->knobs.sessions_per_device - 1;

	for (struct session *older = device->sessions; older; older = older->device_next)
		if (stay > 0)
			stay--;
		else if (!older->closing.place)
			session_close_later(older, device->bench->knobs.takeover_ms, "taken over", 0x8E);
}

static void
connect_accept(struct session *session, const struct login *login, struct device *device)
{
	session->connected = true;
	session->bench->stats.connects++;
	session_touch(session);
	session_rearm(session);
	connect_report(session, login, 0);
	/* Session present is a lie of the server's: nothing is ever kept. */
	mqtt_build_connack(session_out(session), session->version, !login->packet.clean, 0);
	if (device) {
		connect_take_over(device);
		session_attach(session, device);
	}
}

/* What came before CONNECT was kept. */
static int
connect_replay(struct session *session)
{
	struct buffer early = session->early;
	int error = 0;

	session->early = (struct buffer){ 0 };
	while (!error && !session->closed && buffer_length(&early) > 0) {
		struct mqtt_frame frame;
		const uint8_t *bytes = buffer_head(&early);

		if (mqtt_frame_parse(bytes, buffer_length(&early), UINT32_MAX, &frame) != 1)
			break;
		error = thingsboard_packet(session, bytes, &frame);
		buffer_take(&early, frame.length);
	}
	buffer_done(&early);
	return error;
}

static bool
login_is_provision(const struct login *login)
{
	return (login->username && strcmp(login->username, "provision") == 0) ||
	       strcmp(login->client_id, "provision") == 0;
}

static void
connect_login(struct session *session, const struct login *login)
{
	struct device *device = NULL;
	uint8_t code = 0;

	session->version = login->packet.version;
	free(session->client_id);
	session->client_id = alloc_string(login->client_id);
	session->provision = login_is_provision(login);
	if (!session->provision)
		code = login_check(session->bench, login, &device);
	free(session->token);
	session->token = alloc_string(device ? device->token : login->username);
	if (code)
		connect_refuse(session, login, code);
	else
		connect_accept(session, login, device);
}

static int
packet_connect(struct session *session, const struct mqtt_frame *frame)
{
	struct mqtt_connect packet;
	struct login login;
	int error = mqtt_connect_parse(frame, &packet);

	if (error)
		return error;
	if (packet.version > session->bench->knobs.max_version) {
		session_close(session, "version", -1);
		return 0;
	}
	/* A second CONNECT logs in again. */
	session_detach(session);
	login_init(&login, &packet);
	connect_login(session, &login);
	login_done(&login);
	return session->closed ? 0 : connect_replay(session);
}

static void
packet_early(struct session *session, const uint8_t *bytes, const struct mqtt_frame *frame)
{
	if (frame->type == MQTT_DISCONNECT) {
		session_close(session, "client", -1);
	} else if (session->early_count == SESSION_EARLY_MAX) {
		session_close(session, "too early", 0x97);
	} else {
		session->early_count++;
		buffer_append(&session->early, bytes, frame->length);
	}
}

/* Let granted filters take effect. */
static void
subscribe_apply(struct session *session)
{
	bool rpc = false;

	for (size_t i = 0; i < FILTER_COUNT; i++) {
		if (session->waiting[i] == FILTER_NONE)
			continue;
		session->granted[i] = session->waiting[i];
		session->waiting[i] = FILTER_NONE;
		session->family[filters[i].purpose] = filters[i].family;
		rpc |= filters[i].purpose == PURPOSE_RPC;
	}
	if (rpc && session->device && session->device->current == session)
		downlink_rpc_pending(session->device);
}

void
thingsboard_subscribe_due(struct timer *timer)
{
	subscribe_apply(timer_owner(timer, struct session, subscribe_timer));
}

/* The code for one filter. */
static uint8_t
subscribe_filter(struct session *session, const struct mqtt_filter *wanted)
{
	int found = filter_find(wanted->filter);
	bool provision = found >= 0 && filters[found].purpose == PURPOSE_PROVISION;
	uint8_t granted = wanted->qos > 1 ? 1 : wanted->qos;
	bool costs;

	if (found < 0 || provision != session->provision)
		return session->version == MQTT_5 ? 0x8F : 0x80;
	costs = filters[found].purpose == PURPOSE_ATTRIBUTES || filters[found].purpose == PURPOSE_RPC;
	/* Over the limit it is granted all the same, and lost. */
	if (!costs || device_take_message(session->device))
		session->waiting[found] = granted;
	return granted;
}

static void
subscribe_report(
    const struct session *session, const char *name, struct json_object *texts, const struct buffer *codes)
{
	struct json_object *event = report_new(name, session->token);
	struct json_object *granted = json_object_new_array();

	for (size_t i = 0; i < buffer_length(codes); i++)
		json_object_array_add(granted, json_object_new_int(buffer_head(codes)[i]));
	json_object_object_add(event, "filters", texts);
	json_object_object_add(event, "granted", granted);
	report_number(event, "session", (int64_t)session->number);
	control_emit(event);
}

static uint8_t
unsubscribe_filter(struct session *session, const struct mqtt_filter *wanted)
{
	int found = filter_find(wanted->filter);
	bool had;

	if (found < 0)
		return 0x8F;
	had = session->granted[found] != FILTER_NONE;
	session->granted[found] = session->waiting[found] = FILTER_NONE;
	return had ? 0x00 : 0x11;
}

/* SUBSCRIBE and UNSUBSCRIBE: the same but for what is done with each filter. */
static int
packet_filters(struct session *session, const struct mqtt_frame *frame)
{
	bool subscribe = frame->type == MQTT_SUBSCRIBE;
	struct json_object *texts = json_object_new_array();
	struct buffer codes = { 0 };
	struct mqtt_filters list;
	struct mqtt_filter wanted;
	int got = mqtt_filters_parse(frame, session->version, &list);

	while (got == 0 && (got = mqtt_filters_next(&list, &wanted)) == 1) {
		char *text = utf8_clean(wanted.filter.data, wanted.filter.length);

		json_object_array_add(texts, json_object_new_string(text));
		free(text);
		buffer_append_u8(
		    &codes, (subscribe ? subscribe_filter : unsubscribe_filter)(session, &wanted));
		got = 0;
	}
	if (got < 0) {
		json_object_put(texts);
	} else {
		(subscribe ? mqtt_build_suback : mqtt_build_unsuback)(session_out(session), session->version,
		    list.packet_id, buffer_head(&codes), buffer_length(&codes));
		subscribe_report(session, subscribe ? "subscribe" : "unsubscribe", texts, &codes);
	}
	buffer_done(&codes);
	return got;
}

static int
packet_subscribe(struct session *session, const struct mqtt_frame *frame)
{
	int64_t delay_ms = session->bench->knobs.subscribe_delay_ms;
	int error = packet_filters(session, frame);

	if (error)
		return error;
	if (delay_ms > 0)
		timer_start(&session->bench->timers, &session->subscribe_timer, clock_mono_ms() + delay_ms);
	else
		subscribe_apply(session);
	return 0;
}

static int
packet_publish(struct session *session, const struct mqtt_frame *frame)
{
	struct mqtt_publish publish;
	struct uplink uplink = { .session = session, .device = session->device, .publish = &publish };
	int error = mqtt_publish_parse(frame, session->version, &publish);
	char *topic, *payload;

	if (error)
		return error;
	session->bench->stats.publishes++;
	session->bench->stats.dups += publish.dup;
	uplink.topic = topic = utf8_clean(publish.topic.data, publish.topic.length);
	uplink.payload = payload = utf8_clean(publish.payload, publish.payload_length);
	if (session_refuses(session, &publish))
		uplink_refuse(&uplink);
	else if (session->provision)
		provision_publish(&uplink);
	else if (strncmp(topic, "v1/gateway", strlen("v1/gateway")) == 0)
		gateway_api_publish(&uplink);
	else
		device_api_publish(&uplink);
	free(topic);
	free(payload);
	return 0;
}

static int
packet_disconnect(struct session *session, const struct mqtt_frame *frame)
{
	uint8_t code;
	int error = mqtt_disconnect_parse(frame, session->version, &code);

	/* The server echoes a DISCONNECT; on 3.x there is none to send. */
	if (!error)
		session_close(session, "client", 0x00);
	return error;
}

/* That an RPC request was delivered is noted, for a token of messages; without one it is not. */
static int
packet_puback(struct session *session, const struct mqtt_frame *frame)
{
	struct mqtt_ack ack = { .packet_id = 0 };
	int error = mqtt_ack_parse(frame, session->version, &ack);
	uint8_t bit = (uint8_t)(1u << ack.packet_id % 8);

	if (error == 0 && session->device && (session->rpcs[ack.packet_id / 8] & bit) != 0) {
		session->rpcs[ack.packet_id / 8] &= (uint8_t)~bit;
		device_take_message(session->device);
		control_emit(report_new("rpc_taken", session->device->token));
	}
	return error;
}

static int
packet_connected(struct session *session, const struct mqtt_frame *frame)
{
	struct mqtt_ack ack;

	switch (frame->type) {
	case MQTT_PUBLISH:
		session_touch(session);
		return packet_publish(session, frame);
	case MQTT_SUBSCRIBE:
		session_touch(session);
		return packet_subscribe(session, frame);
	case MQTT_UNSUBSCRIBE:
		session_touch(session);
		return packet_filters(session, frame);
	case MQTT_PINGREQ:
		session_touch(session);
		mqtt_build_pingresp(session_out(session));
		return 0;
	case MQTT_DISCONNECT:
		return packet_disconnect(session, frame);
	case MQTT_PUBACK:
		return packet_puback(session, frame);
	case MQTT_PUBREC:
	case MQTT_PUBREL:
	case MQTT_PUBCOMP:
		return mqtt_ack_parse(frame, session->version, &ack);
	default:
		return 0;
	}
}

int
thingsboard_packet(struct session *session, const uint8_t *bytes, const struct mqtt_frame *frame)
{
	if (frame->type == MQTT_CONNECT)
		return packet_connect(session, frame);
	if (!session->connected) {
		packet_early(session, bytes, frame);
		return 0;
	}
	return packet_connected(session, frame);
}

void
thingsboard_gone(struct session *session)
{
	struct device *device = session->device;

	if (!device)
		return;
	device_take_message(device);
	if (device->gateway && device->current == session)
		gateway_api_gone(device);
}

/* A gateway takes its children with it. */
static void
remove_children(struct device *gateway)
{
	struct registry *registry = &gateway->bench->registry;
	struct lh_entry *entry, *next;

	lh_foreach_safe(registry->devices, entry, next)
	{
		struct device *child = lh_entry_v(entry);

		if (child->parent == gateway)
			registry_remove(registry, child);
	}
}

void
thingsboard_remove(struct device *device)
{
	struct session *next;

	for (struct session *session = device->sessions; session; session = next) {
		next = session->device_next;
		session_close(session, "credentials", 0x98);
	}
	remove_children(device);
	registry_remove(&device->bench->registry, device);
}
