/* ThingsBoard's topics: the literal filters that SUBSCRIBE accepts and the topics that PUBLISH knows.
 *
 * Tables and look-ups, pure. Most purposes exist in four families: v1, v2 (format of the profile), and v2
 * with forced JSON or protobuf. The bench speaks JSON; what asks for protobuf fails there, as with a default
 * device profile.
 */
#ifndef BENCH_TOPIC_H
#define BENCH_TOPIC_H

#include <stddef.h>
#include <stdint.h>

#include "bench/mqtt_packet.h"

enum family { FAMILY_V1, FAMILY_V2, FAMILY_V2_JSON, FAMILY_V2_PROTO };

enum purpose {
	PURPOSE_ATTRIBUTES,	    /* down: updates of shared ones, up: the client's */
	PURPOSE_ATTRIBUTE_RESPONSE, /* up: the request */
	PURPOSE_RPC,		    /* down: a call, up: its reply */
	PURPOSE_CLIENT_RPC,	    /* down: the answer, up: the call */
	PURPOSE_OTA,
	PURPOSE_OTA_ERROR,
	PURPOSE_GATEWAY_ATTRIBUTES,
	PURPOSE_GATEWAY_RPC,
	PURPOSE_GATEWAY_RESPONSE,
	PURPOSE_PROVISION,
	PURPOSE_TELEMETRY, /* from here on up only */
	PURPOSE_CLAIM,
	PURPOSE_COUNT,
};

struct filter {
	const char *text; /* at most one `+`, for an id */
	enum purpose purpose;
	enum family family;
};

#define FILTER_COUNT 24
#define FILTER_NONE  0xFF /* in a table of granted QoS */

extern const struct filter filters[FILTER_COUNT];

/* Index of the filter with exactly this text; negative for none. */
int filter_find(struct mqtt_string text);

/* Index of the filter for a purpose; those that have one family take any. */
size_t filter_for(enum purpose purpose, enum family family);

struct topic {
	const char *text;
	bool with_id; /* followed by an id */
	enum purpose purpose;
	enum family family;
};

/* What PUBLISH goes to; *ret_id points at the id's text inside `text`. NULL = unknown. */
const struct topic *topic_find(const char *text, const char **ret_id);

#endif
