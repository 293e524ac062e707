/* ThingsBoard's gateway API: what the payloads of the device API become when one session speaks for many devices, and back.
 * Pure: any thread, no I/O. What the server takes and sends is told from its source, v4.3.1.3 (MqttTransportHandler,
 * AbstractGatewaySessionHandler, JsonConverter).
 */
#ifndef CLOUD_TB_GATEWAY_H
#define CLOUD_TB_GATEWAY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cloud/tb_json.h"

#define TB_GATEWAY_CONNECT	      "v1/gateway/connect"
#define TB_GATEWAY_DISCONNECT	      "v1/gateway/disconnect"
#define TB_GATEWAY_TELEMETRY	      "v1/gateway/telemetry"
#define TB_GATEWAY_ATTRIBUTES	      "v1/gateway/attributes"
#define TB_GATEWAY_ATTRIBUTE_REQUEST  "v1/gateway/attributes/request"
#define TB_GATEWAY_ATTRIBUTE_RESPONSE "v1/gateway/attributes/response"
#define TB_GATEWAY_RPC		      "v1/gateway/rpc"
#define TB_GATEWAY_CLAIM	      "v1/gateway/claim"

/* What is written around a device's payload takes this much, and six bytes for each byte of its name at most. */
#define TB_GATEWAY_OVERHEAD 128

/* Each writes at most `size` bytes, not terminated. Returns the length; -EMSGSIZE; -EINVAL if the payload is not what it should
 * be. `payload` is one of the device API. */
int tb_gateway_connect(const char *device, char *text, size_t size);
int tb_gateway_telemetry(const char *device, const char *payload, size_t length, char *text, size_t size);
int tb_gateway_member(const char *device, const char *payload, size_t length, char *text, size_t size); /* attributes, claim */
int tb_gateway_rpc_reply(
    const char *device, int64_t id, const char *payload, size_t length, char *text, size_t size);

/* {"sharedKeys":"a,b"}: one key, or a list of them. */
int tb_gateway_attribute_request(
    const char *device, int64_t id, const char *payload, size_t length, char *text, size_t size);

/* {"device":..,"data":..}: an RPC request or an attribute update; {"id":..,"device":..,"value(s)":..}: the answer to an
 * attribute request; {"device":..,"reason":..}: the server lets the device go (MQTT 5). The pointers live as long as `json`. */
struct tb_gateway_message {
	const char *device;
	int64_t id;			/* of an RPC request or an answer, >= 0; -1: of neither */
	const struct tb_json *data;	/* what the device API would have as payload; of an answer its values */
	const struct tb_json *one;	/* an answer with one value and no key to it; else NULL */
};

/* Returns 0, or -EINVAL if it is none of these. */
int tb_gateway_parse(const struct tb_json *json, struct tb_gateway_message *ret);

#endif
