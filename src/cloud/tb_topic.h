/* The topics of ThingsBoard's device API. Pure. */
#ifndef CLOUD_TB_TOPIC_H
#define CLOUD_TB_TOPIC_H

#include <stddef.h>
#include <stdint.h>

#define TB_TOPIC_TELEMETRY  "v1/devices/me/telemetry"
#define TB_TOPIC_ATTRIBUTES "v1/devices/me/attributes"
#define TB_TOPIC_CLAIM	    "v1/devices/me/claim"

/* Those of requests and responses end in an id. A request of one side is answered by the
 * other with a response of the same id. */
enum tb_topic {
	TB_UNKNOWN,
	TB_TELEMETRY,
	TB_ATTRIBUTES,
	TB_CLAIM,
	TB_ATTRIBUTE_REQUEST,
	TB_ATTRIBUTE_RESPONSE,
	TB_RPC_REQUEST,
	TB_RPC_RESPONSE,
};

#define TB_TOPIC_MAX 64

/* What is the topic, and what is its id? Ids that are no number 0..INT64_MAX make the topic unknown. */
enum tb_topic tb_topic_parse(const char *topic, int64_t *ret_id);

/* Write the topic into TB_TOPIC_MAX bytes. Returns `text`. */
const char *tb_topic_print(enum tb_topic topic, int64_t id, char *text);

/* The filter to subscribe to: "+" stands for the id. */
const char *tb_topic_filter(enum tb_topic topic);

#endif
