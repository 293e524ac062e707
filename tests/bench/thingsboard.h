/* ThingsBoard's MQTT transport: what it does with a packet, and what it sends on its own.
 *
 * thingsboard.c takes CONNECT, SUBSCRIBE and the small packets; device_api.c, gateway_api.c and provision.c
 * the topics of PUBLISH; downlink.c what goes to devices. One thread.
 */
#ifndef BENCH_THINGSBOARD_H
#define BENCH_THINGSBOARD_H

#include <json-c/json.h>

#include "bench/session.h"

/* One packet; `bytes` are all of it. Returns 0, or negative errno if it is malformed: the caller then closes.
 */
int thingsboard_packet(struct session *session, const uint8_t *bytes, const struct mqtt_frame *frame);

/* The connection of a connected session is ending. */
void thingsboard_gone(struct session *session);

/* A delayed subscription takes effect. */
void thingsboard_subscribe_due(struct timer *timer);

/* A PUBLISH on its way through the topics' handlers. Texts are clean UTF-8. */
struct uplink {
	struct session *session;
	struct device *device;
	const struct mqtt_publish *publish;
	const char *topic;
	const char *payload;
	const char *id; /* the topic's last part, if it has an id */
	enum family family;
};

/* Bad input on the topics of devices: close, or answer, by version and profile. */
void uplink_reject(const struct uplink *uplink, const char *why);

/* Not taken, because the test wants it so. */
void uplink_refuse(const struct uplink *uplink);

/* What the test has called poison: it is refused, or the connection ends. */
bool uplink_is_poison(const struct uplink *uplink);

/* An exception that the transport does not catch. */
void uplink_exception(const struct uplink *uplink, const char *why);

/* A limit is exceeded: close without an answer. */
void uplink_over_limit(const struct uplink *uplink);

/* A whole decimal number of 32 bits, as Java reads it. Returns 0 or -EBADMSG. */
int uplink_number(const char *text, int32_t *ret);

/* Report and store the elements for `device`, which may be a gateway's child. */
void uplink_store_telemetry(
    const struct uplink *uplink, struct device *device, const struct telemetry *telemetry);
void uplink_store_attributes(
    const struct uplink *uplink, struct device *device, const struct telemetry *attributes);

void device_api_publish(struct uplink *uplink);
void gateway_api_publish(struct uplink *uplink);
void provision_publish(struct uplink *uplink);

/* A gateway's connection ends: its children are offline. */
void gateway_api_gone(struct device *gateway);

/* What a device gets. Attributes are sent to the current session if it is subscribed. */
void downlink_attributes(struct device *device, struct json_object *values);
void downlink_attributes_deleted(struct device *device, struct json_object *keys);

/* Call a method; returns the call's id. `params` may be NULL. */
int32_t downlink_rpc(
    struct device *device, const char *method, struct json_object *params, bool oneway, int64_t timeout_ms);

/* All pending calls again, as after an RPC subscription. */
void downlink_rpc_pending(struct device *device);

/* A reply with this id: false if nobody waits for it. */
bool downlink_rpc_reply(struct device *device, int32_t id);

/* Close all sessions of a device and forget it. */
void thingsboard_remove(struct device *device);

#endif
