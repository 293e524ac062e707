/* What the server knows of its devices: credentials, attributes, stored values, pending RPCs, and a test's
 * knobs.
 *
 * The registry owns the devices; sessions only point at them (a removed device lets go of its sessions
 * first). A device is named by its token in commands and events, whatever its credentials are; a gateway's
 * child is "TOKEN/NAME". One thread.
 */
#ifndef BENCH_DEVICE_H
#define BENCH_DEVICE_H

#include <json-c/json.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bench/limiter.h"
#include "bench/telemetry.h"
#include "bench/timer.h"

#define SERIES_KEPT 10000

struct bench;
struct session;

enum ack_mode { ACK_INHERIT, ACK_NORMAL, ACK_DROP, ACK_DELAY, ACK_REORDER, ACK_REFUSE };

/* How PUBACKs are treated; a device's own rule goes before the bench's. */
struct ack_rule {
	enum ack_mode mode;
	int64_t delay_ms;
	uint8_t code; /* of ACK_REFUSE */
	long left; /* publishes it still applies to, -1 = for ever */
};

/* The three limits of ThingsBoard that matter to a device. */
struct limits {
	struct limiter messages, telemetry_messages, data_points;
};

struct row {
	int64_t ts_unix_ms;
	enum value_type type;
	struct json_object *json; /* owned */
};

/* All that is stored of one key. */
struct series {
	char *key;
	struct row latest;
	struct row *rows; /* by time; only filled while the bench keeps series */
	size_t count, room;
};

/* A call to the device that waits for its reply, or for a subscription. */
struct rpc {
	struct rpc *next;
	struct device *device;
	struct timer expiry;
	int32_t id;
	bool oneway;
	char *data; /* the downlink payload, {"method":..,"params":..} */
};

struct device {
	struct bench *bench;
	char *token, *name;
	bool gateway, provisioned;
	bool lone_values; /* a gateway is answered as before 3.3 */
	bool basic; /* MQTT_BASIC instead of ACCESS_TOKEN; members that are NULL are not asked for */
	char *client_id, *username, *password;
	char *basic_id;		  /* its place in registry.basic */
	struct session *sessions; /* all of them, also those on their way out; newest first */
	struct session *current;  /* the one that counts, NULL = offline */
	struct device *parent;	  /* the gateway of a child */
	bool child_connected, child_subscribed;
	struct json_object *client, *shared; /* attributes */
	struct lh_table *series;
	struct rpc *rpcs; /* by id */
	int32_t next_rpc;
	struct ack_rule ack;
	struct limits limits;
	struct limits child_limits; /* of a gateway: all that it says for its children */
	uint8_t refuse; /* CONNACK code for connects to come, 0 = none */
	int send_ack;	/* profile flag sendAckOnValidationException, -1 = the bench's */
};

struct registry {
	struct lh_table *devices; /* by token */
	struct lh_table *basic;	  /* MQTT_BASIC ones by client id and user name */
};

void registry_init(struct registry *registry);
void registry_done(struct registry *registry);

struct device *registry_find(const struct registry *registry, const char *token);
struct device *registry_find_name(const struct registry *registry, const char *name);

/* An MQTT_BASIC device by what it must present; either may be NULL. */
struct device *registry_find_basic(
    const struct registry *registry, const char *client_id, const char *username);

/* Find or make a device. */
struct device *registry_add(
    struct registry *registry, struct bench *bench, const char *token, const char *name);

/* Turn `device` into an MQTT_BASIC one. */
void registry_set_basic(struct registry *registry, struct device *device, const char *client_id,
    const char *username, const char *password);

/* The device must have no sessions any more. */
void registry_remove(struct registry *registry, struct device *device);

/* Store one value: the latest only if it is not older, a row of the series if they are kept. Shares
 * value->json. */
void device_store(struct device *device, const struct value *value, int64_t ts_unix_ms, bool keep_series);
const struct series *device_series(const struct device *device, const char *key);
void device_forget_series(struct device *device);

/* Take one token of the "messages" limit, or those of a telemetry message; the bench's limits first, then its
 * own. */
bool device_take_message(struct device *device);
bool device_take_points(struct device *device, size_t points);

/* The same for the children of a gateway. */
bool device_take_child_message(struct device *gateway);
bool device_take_child_points(struct device *gateway, size_t points);

/* Unlink and free. */
void rpc_free(struct rpc *rpc);

#endif
