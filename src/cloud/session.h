/* How a device's messages reach the server and its messages reach us: through an MQTT session of its own (device_api.h) or
 * through one that all devices share (gateway_api.h). Topics and payloads are those of the device API here, whatever the other
 * writes on the wire; what happens is told by struct mqtt_events (mqtt.h). The cloud's thread.
 */
#ifndef CLOUD_SESSION_H
#define CLOUD_SESSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cloud/tb_topic.h"
#include "model/health.h"

struct session;

struct session_ops {
	bool (*is_up)(const struct session *session);

	/* Who ended it: enum mqtt_end, or the reason of a DISCONNECT. */
	int (*end)(const struct session *session);

	/* Close it until it is wanted again, or open it again. */
	void (*hold)(struct session *session, bool hold);

	/* Returns the id > 0 that will be acknowledged, or negative errno: -ENOTCONN, -EMSGSIZE, -ENOMEM; -ENOTSUP if such a
	 * message cannot be sent this way. */
	int (*publish)(struct session *session, enum tb_topic topic, int64_t id, const void *payload, size_t length);

	/* To RPC requests, and to shared attributes too if wanted. Returns like publish(). */
	int (*subscribe)(struct session *session, bool attributes);

	/* It was found dead: `why` is static. */
	void (*restart)(struct session *session, const char *why);

	/* State, why and since. */
	void (*health)(const struct session *session, struct health_device *ret);

	/* No event follows. */
	void (*free)(struct session *session);
};

struct session {
	const struct session_ops *ops;
};

#endif
