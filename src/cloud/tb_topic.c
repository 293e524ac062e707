#include "cloud/tb_topic.h"

#include <assert.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct {
	const char *filter;
	enum tb_topic topic;
} topics[] = {
	{ .topic = TB_TELEMETRY, .filter = TB_TOPIC_TELEMETRY },
	{ .topic = TB_CLAIM, .filter = TB_TOPIC_CLAIM },
	{ .topic = TB_ATTRIBUTES, .filter = TB_TOPIC_ATTRIBUTES },
	{ .topic = TB_ATTRIBUTE_REQUEST, .filter = "v1/devices/me/attributes/request/+" },
	{ .topic = TB_ATTRIBUTE_RESPONSE, .filter = "v1/devices/me/attributes/response/+" },
	{ .topic = TB_RPC_REQUEST, .filter = "v1/devices/me/rpc/request/+" },
	{ .topic = TB_RPC_RESPONSE, .filter = "v1/devices/me/rpc/response/+" },
};

#define TOPICS (sizeof(topics) / sizeof(topics[0]))

/* Decimal digits and nothing else. Returns false for anything that is no number 0..INT64_MAX. */
static bool
parse_id(const char *text, int64_t *ret_id)
{
	int64_t id = 0;

	if (*text == '\0')
		return false;
	for (; *text != '\0'; text++) {
		if (*text < '0' || *text > '9')
			return false;
		if (__builtin_mul_overflow(id, 10, &id) || __builtin_add_overflow(id, *text - '0', &id))
			return false;
	}
	*ret_id = id;
	return true;
}

/* The length of what stands before the id; of the whole if there is none. */
static size_t
prefix_length(const char *filter)
{
	return strcspn(filter, "+");
}

enum tb_topic
tb_topic_parse(const char *topic, int64_t *ret_id)
{
	for (size_t i = 0; i < TOPICS; i++) {
		const char *filter = topics[i].filter;
		size_t length = prefix_length(filter);

		if (filter[length] == '\0') {
			if (strcmp(topic, filter) == 0)
				return topics[i].topic;
		} else if (strncmp(topic, filter, length) == 0 && parse_id(topic + length, ret_id)) {
			return topics[i].topic;
		}
	}
	return TB_UNKNOWN;
}

const char *
tb_topic_filter(enum tb_topic topic)
{
	size_t i = 0;

	while (i < TOPICS - 1 && topics[i].topic != topic)
		i++;
	assert(topics[i].topic == topic);
	return topics[i].filter;
}

const char *
tb_topic_print(enum tb_topic topic, int64_t id, char *text)
{
	const char *filter = tb_topic_filter(topic);
	size_t length = prefix_length(filter);

	if (filter[length] == '\0')
		snprintf(text, TB_TOPIC_MAX, "%s", filter);
	else
		snprintf(text, TB_TOPIC_MAX, "%.*s%" PRId64, (int)length, filter, id);
	return text;
}
