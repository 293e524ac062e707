#include "cloud/device_api.h"

#include <errno.h>
#include <stdlib.h>

struct device_session {
	struct session session;
	struct mqtt_session *mqtt;
};

static struct device_session *
device_of(const struct session *session)
{
	return (struct device_session *)(uintptr_t)session; /* it is its first member */
}

static bool
is_up(const struct session *session)
{
	return mqtt_session_is_up(device_of(session)->mqtt);
}

static int
end(const struct session *session)
{
	return mqtt_session_end(device_of(session)->mqtt);
}

static void
hold(struct session *session, bool held)
{
	mqtt_session_hold(device_of(session)->mqtt, held);
}

static int
publish(struct session *session, enum tb_topic topic, int64_t id, const void *payload, size_t length)
{
	char text[TB_TOPIC_MAX];

	return mqtt_publish(device_of(session)->mqtt, tb_topic_print(topic, id, text), payload, length);
}

static int
subscribe(struct session *session, bool attributes)
{
	const char *const filters[] = { tb_topic_filter(TB_RPC_REQUEST), tb_topic_filter(TB_ATTRIBUTES),
		tb_topic_filter(TB_ATTRIBUTE_RESPONSE) };

	return mqtt_subscribe(device_of(session)->mqtt, filters, attributes ? 3 : 1);
}

static void
restart(struct session *session, const char *why)
{
	mqtt_session_restart(device_of(session)->mqtt, why);
}

static void
health(const struct session *session, struct health_device *ret)
{
	mqtt_session_health(device_of(session)->mqtt, ret);
}

static void
free_session(struct session *session)
{
	mqtt_session_free(device_of(session)->mqtt);
	free(device_of(session));
}

static const struct session_ops ops = {
	.is_up = is_up,
	.end = end,
	.hold = hold,
	.publish = publish,
	.subscribe = subscribe,
	.restart = restart,
	.health = health,
	.free = free_session,
};

struct session *
device_api_new(struct mqtt *mqtt, const char *name, const struct credentials *credentials, void *owner)
{
	struct device_session *device = calloc(1, sizeof(*device));

	if (!device)
		return NULL;
	device->session.ops = &ops;
	device->mqtt = mqtt_session_new(mqtt, name, credentials, owner);
	if (device->mqtt)
		return &device->session;
	free(device);
	return NULL;
}

void
device_api_give(struct session *session, const struct credentials *credentials, void *owner)
{
	mqtt_session_give(device_of(session)->mqtt, credentials, owner);
}
