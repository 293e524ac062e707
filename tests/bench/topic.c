#include "bench/topic.h"

#include <string.h>

const struct filter filters[FILTER_COUNT] = {
	{ "v1/devices/me/attributes", PURPOSE_ATTRIBUTES, FAMILY_V1 },
	{ "v1/devices/me/attributes/response/+", PURPOSE_ATTRIBUTE_RESPONSE, FAMILY_V1 },
	{ "v1/devices/me/rpc/request/+", PURPOSE_RPC, FAMILY_V1 },
	{ "v1/devices/me/rpc/response/+", PURPOSE_CLIENT_RPC, FAMILY_V1 },
	{ "v2/a", PURPOSE_ATTRIBUTES, FAMILY_V2 },
	{ "v2/a/j", PURPOSE_ATTRIBUTES, FAMILY_V2_JSON },
	{ "v2/a/p", PURPOSE_ATTRIBUTES, FAMILY_V2_PROTO },
	{ "v2/a/res/+", PURPOSE_ATTRIBUTE_RESPONSE, FAMILY_V2 },
	{ "v2/a/res/j/+", PURPOSE_ATTRIBUTE_RESPONSE, FAMILY_V2_JSON },
	{ "v2/a/res/p/+", PURPOSE_ATTRIBUTE_RESPONSE, FAMILY_V2_PROTO },
	{ "v2/r/req/+", PURPOSE_RPC, FAMILY_V2 },
	{ "v2/r/req/j/+", PURPOSE_RPC, FAMILY_V2_JSON },
	{ "v2/r/req/p/+", PURPOSE_RPC, FAMILY_V2_PROTO },
	{ "v2/r/res/+", PURPOSE_CLIENT_RPC, FAMILY_V2 },
	{ "v2/r/res/j/+", PURPOSE_CLIENT_RPC, FAMILY_V2_JSON },
	{ "v2/r/res/p/+", PURPOSE_CLIENT_RPC, FAMILY_V2_PROTO },
	{ "v2/fw/response/+/chunk/+", PURPOSE_OTA, FAMILY_V2 },
	{ "v2/sw/response/+/chunk/+", PURPOSE_OTA, FAMILY_V2 },
	{ "v2/fw/error", PURPOSE_OTA_ERROR, FAMILY_V2 },
	{ "v2/sw/error", PURPOSE_OTA_ERROR, FAMILY_V2 },
	{ "v1/gateway/attributes", PURPOSE_GATEWAY_ATTRIBUTES, FAMILY_V1 },
	{ "v1/gateway/rpc", PURPOSE_GATEWAY_RPC, FAMILY_V1 },
	{ "v1/gateway/attributes/response", PURPOSE_GATEWAY_RESPONSE, FAMILY_V1 },
	{ "/provision/response", PURPOSE_PROVISION, FAMILY_V1 },
};

static const struct topic topics[] = {
	{ "v1/devices/me/telemetry", false, PURPOSE_TELEMETRY, FAMILY_V1 },
	{ "v2/t", false, PURPOSE_TELEMETRY, FAMILY_V2 },
	{ "v2/t/j", false, PURPOSE_TELEMETRY, FAMILY_V2_JSON },
	{ "v2/t/p", false, PURPOSE_TELEMETRY, FAMILY_V2_PROTO },
	{ "v1/devices/me/attributes", false, PURPOSE_ATTRIBUTES, FAMILY_V1 },
	{ "v2/a", false, PURPOSE_ATTRIBUTES, FAMILY_V2 },
	{ "v2/a/j", false, PURPOSE_ATTRIBUTES, FAMILY_V2_JSON },
	{ "v2/a/p", false, PURPOSE_ATTRIBUTES, FAMILY_V2_PROTO },
	/* The longer ones first: "v2/a/req/" is a beginning of them. */
	{ "v1/devices/me/attributes/request/", true, PURPOSE_ATTRIBUTE_RESPONSE, FAMILY_V1 },
	{ "v2/a/req/j/", true, PURPOSE_ATTRIBUTE_RESPONSE, FAMILY_V2_JSON },
	{ "v2/a/req/p/", true, PURPOSE_ATTRIBUTE_RESPONSE, FAMILY_V2_PROTO },
	{ "v2/a/req/", true, PURPOSE_ATTRIBUTE_RESPONSE, FAMILY_V2 },
	{ "v1/devices/me/rpc/response/", true, PURPOSE_RPC, FAMILY_V1 },
	{ "v2/r/res/j/", true, PURPOSE_RPC, FAMILY_V2_JSON },
	{ "v2/r/res/p/", true, PURPOSE_RPC, FAMILY_V2_PROTO },
	{ "v2/r/res/", true, PURPOSE_RPC, FAMILY_V2 },
	{ "v1/devices/me/rpc/request/", true, PURPOSE_CLIENT_RPC, FAMILY_V1 },
	{ "v2/r/req/j/", true, PURPOSE_CLIENT_RPC, FAMILY_V2_JSON },
	{ "v2/r/req/p/", true, PURPOSE_CLIENT_RPC, FAMILY_V2_PROTO },
	{ "v2/r/req/", true, PURPOSE_CLIENT_RPC, FAMILY_V2 },
	{ "v1/devices/me/claim", false, PURPOSE_CLAIM, FAMILY_V1 },
	{ "v2/fw/request/", true, PURPOSE_OTA, FAMILY_V2 },
	{ "v2/sw/request/", true, PURPOSE_OTA, FAMILY_V2 },
};

int
filter_find(struct mqtt_string text)
{
	for (size_t i = 0; i < FILTER_COUNT; i++)
		if (strlen(filters[i].text) == text.length &&
		    memcmp(filters[i].text, text.data, text.length) == 0)
			return (int)i;
	return -1;
}

size_t
filter_for(enum purpose purpose, enum family family)
{
	size_t found = 0;

	for (size_t i = FILTER_COUNT; i-- > 0;)
		if (filters[i].purpose == purpose &&
		    (filters[i].family == family || filters[found].purpose != purpose))
			found = i;
	return found;
}

const struct topic *
topic_find(const char *text, const char **ret_id)
{
	for (size_t i = 0; i < sizeof(topics) / sizeof(topics[0]); i++) {
		size_t length = strlen(topics[i].text);

		if (strncmp(text, topics[i].text, length) != 0 || (!topics[i].with_id && text[length]))
			continue;
		*ret_id = text + length;
		return &topics[i];
	}
	return NULL;
}
