/* One MQTT session for all devices, by ThingsBoard's gateway API: each message says which device it is of. Each device has a
 * session here all the same (session.h), which comes up when the server has taken the device's connect message. The gateway is a
 * device too, the one that the session is of.
 *
 * What the gateway API does not promise nobody can: with MQTT 3.1.1 the server acknowledges what it had to refuse, and what one
 * device is not allowed ends the connection of all (ThingsBoard v4.3.1.3, AbstractGatewaySessionHandler). The cloud's thread.
 */
#ifndef CLOUD_GATEWAY_API_H
#define CLOUD_GATEWAY_API_H

#include <systemd/sd-event.h>

#include "cloud/mqtt.h"
#include "cloud/session.h"

struct gateway_api;

/* For mqtt_new(): the events of the one session, whose owner is the gateway_api. */
extern const struct mqtt_events gateway_api_events;

/* What the server's limits let go: take a token for another message of a device. Returns 0, or the mono ms when there will be one. */
struct gateway_limits {
	int64_t (*take)(void *ctx, size_t device);
	void *ctx;
};

/* The credentials are those of settings->gateway, and outlive it, as the settings do. `events` tell the owners of
 * gateway_api_add() what happens. Returns NULL with errno set. */
struct gateway_api *gateway_api_new(const struct settings *settings, const struct credentials *credentials, struct mqtt *mqtt,
    sd_event *loop, const struct mqtt_events *events, struct gateway_limits limits);

/* After all sessions of it. NULL is fine. */
void gateway_api_free(struct gateway_api *api);

/* The limits are known, or are others now. */
void gateway_api_go_on(struct gateway_api *api);

/* The session of a device, or of the gateway itself. Returns NULL with errno set. */
struct session *gateway_api_add(struct gateway_api *api, const struct device *device, void *owner);

/* Credentials of the one whose session that is, which must outlive it; those of any other than the gateway itself are not used. */
void gateway_api_give(struct gateway_api *api, const struct session *session, const struct credentials *credentials);

#endif
