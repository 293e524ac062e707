/* What a server may send: a topic, a newline, a payload. What is taken from it prints as JSON and reads the
 * same. */
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "cloud/tb_json.h"
#include "cloud/tb_topic.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
require(bool holds)
{
	if (!holds)
		abort();
}

/* Reals lose what is beyond their 16th decimal, on purpose. */
static bool
same(const struct value *a, const struct value *b)
{
	if (a->kind == VALUE_REAL && b->kind == VALUE_REAL && fabs(a->real) < 1)
		return fabs(a->real - b->real) <= 1e-16;
	return a->kind == b->kind && value_equal(a, b);
}

static void
check_scalar(const char *key, const struct tb_json *json)
{
	/* A character of the payload takes at most six of the output: \u00XX. */
	static char text[6 * 65536 + 2 * 65536];
	struct value value, back;
	struct tb_json *again;
	int length;

	if (tb_json_scalar(json, &value) < 0)
		return;
	length = tb_json_value(&value, text, sizeof(text));
	require(length > 0);
	if (length <= 65536) {
		again = tb_json_parse(text, (size_t)length);
		require(again && tb_json_scalar(again, &back) == 0 && same(&value, &back));
		value_done(&back);
		tb_json_free(again);
	}
	text[0] = '{';
	length = tb_json_member(key, &value, true, text + 1, sizeof(text) - 2);
	require(length > 0);
	text[1 + length] = '}';
	if (length + 2 <= 65536) {
		again = tb_json_parse(text, (size_t)length + 2);
		require(again && tb_json_get(again, key));
		tb_json_free(again);
	}
	value_done(&value);
}

static void
check_member(void *ctx, const char *key, const struct tb_json *member)
{
	(void)ctx;
	check_scalar(key, member);
	tb_json_members(member, check_member, NULL);
}

static void
check_payload(const uint8_t *payload, size_t size)
{
	struct tb_json *json = tb_json_parse(payload, size);
	const struct tb_json *params;
	const char *method;

	if (json && tb_json_rpc(json, &method, &params) == 0) {
		require(strlen(method) <= size);
		check_scalar(method, params);
	}
	if (json) {
		check_scalar("value", json);
		tb_json_members(json, check_member, NULL);
	}
	tb_json_free(json);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const uint8_t *newline = size > 0 ? memchr(data, '\n', size) : NULL;
	size_t length = newline ? (size_t)(newline - data) : 0;
	char *topic = malloc(length + 1);
	int64_t id = -1;

	if (!topic)
		return 0;
	if (length > 0)
		memcpy(topic, data, length);
	topic[length] = '\0';
	switch (tb_topic_parse(topic, &id)) {
	case TB_ATTRIBUTE_REQUEST:
	case TB_ATTRIBUTE_RESPONSE:
	case TB_RPC_REQUEST:
	case TB_RPC_RESPONSE:
		require(id >= 0);
		break;
	case TB_TELEMETRY:
	case TB_CLAIM:
	case TB_ATTRIBUTES:
	case TB_UNKNOWN:
		require(id == -1);
		break;
	}
	free(topic);
	check_payload(newline ? newline + 1 : data, newline ? size - length - 1 : size);
	return 0;
}
