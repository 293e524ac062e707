#include "cloud/rpc.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "cloud/tb_json.h"
#include "model/codec.h"
#include "model/exception.h"

#define QUOTE_MAX 64 /* bytes of what the server sent that are quoted back */

/* Copy the beginning of a text for people, never ending inside a UTF-8 character. */
static const char *
quote(const char *text, char *cut, size_t size)
{
	size_t length = strnlen(text, size);

	if (length < size)
		return text;
	length = size - 4;
	while (length > 0 && ((unsigned char)text[length] & 0xC0) == 0x80)
		length--;
	memcpy(cut, text, length);
	memcpy(cut + length, "...", 4);
	return cut;
}

static int __attribute__((format(printf, 2, 3))) wrong(char *error, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(error, RPC_TEXT_MAX, format, args);
	va_end(args);
	return -EINVAL;
}

const struct point *
rpc_point(const struct device *device, const char *key)
{
	for (size_t i = 0; i < device->point_count; i++)
		if (strcmp(device->points[i].key, key) == 0)
			return &device->points[i];
	return NULL;
}

/* The value as the server would print it, cut. */
static void
print_value(const struct value *value, char *text, size_t size)
{
	char json[RPC_REPLY_MAX];
	int length = tb_json_value(value, json, sizeof(json) - 1);

	if (length < 0) {
		snprintf(text, size, "the value");
		return;
	}
	json[length] = '\0';
	snprintf(text, size, "%s", quote(json, text, size));
}

int
rpc_check_value(const struct point *point, const struct value *value, char *error)
{
	uint16_t cells[MODBUS_MAX_READ_REGISTERS] = { 0 };
	char shown[QUOTE_MAX], why[RPC_TEXT_MAX - QUOTE_MAX - 2];
	enum codec_fault fault;

	assert(point->count <= MODBUS_MAX_READ_REGISTERS);
	fault = codec_encode(point, value, cells);
	if (fault == CODEC_OK)
		return 0;
	print_value(value, shown, sizeof(shown));
	codec_fault_text(point, fault, why, sizeof(why));
	return wrong(error, "%s %s", shown, why);
}

static int
take_value(const struct point *point, const struct tb_json *json, struct rpc_call *ret, char *error)
{
	char why[RPC_TEXT_MAX];
	struct value value;

	if (!json)
		return wrong(error, "the value is missing");
	if (tb_json_scalar(json, &value) < 0)
		return wrong(error, "the value is neither a number nor a text nor true or false");
	if (rpc_check_value(point, &value, why) < 0) {
		value_done(&value);
		return wrong(error, "%s: %s", point->key, why);
	}
	*ret = (struct rpc_call){ .kind = COMMAND_WRITE, .point = point, .value = value };
	return 0;
}

/* The point that is asked for, or NULL. */
static const struct point *
take_key(const struct device *device, const struct tb_json *params, char *error)
{
	const char *key = tb_json_text(tb_json_get(params, "key"));
	const struct point *point = key ? rpc_point(device, key) : NULL;
	char cut[QUOTE_MAX];

	if (!key)
		(void)wrong(error, "params must have the member \"key\", a text");
	else if (!point)
		(void)wrong(error, "no point '%s'", quote(key, cut, sizeof(cut)));
	return point;
}

static int
parse_get(const struct device *device, const struct tb_json *params, struct rpc_call *ret, char *error)
{
	const struct point *point = take_key(device, params, error);

	if (!point)
		return -EINVAL;
	*ret = (struct rpc_call){ .kind = COMMAND_READ, .point = point };
	return 0;
}

static int
parse_set(const struct device *device, const struct tb_json *params, struct rpc_call *ret, char *error)
{
	const struct point *point = take_key(device, params, error);

	return point ? take_value(point, tb_json_get(params, "value"), ret, error) : -EINVAL;
}

static const struct {
	const char *method;
	int (*parse)(
	    const struct device *device, const struct tb_json *params, struct rpc_call *ret, char *error);
} built_in[] = {
	{ .method = "get", .parse = parse_get },
	{ .method = "set", .parse = parse_set },
};

static int
parse_named(const struct rpc_method *method, const struct tb_json *params, struct rpc_call *ret, char *error)
{
	const struct tb_json *inner = tb_json_get(params, "value");

	if (method->action == RPC_GET) {
		*ret = (struct rpc_call){ .kind = COMMAND_READ, .point = method->point };
		return 0;
	}
	return take_value(method->point, inner ? inner : params, ret, error);
}

static int
unknown_method(const struct device *device, const char *method, char *error)
{
	char cut[QUOTE_MAX], known[RPC_TEXT_MAX - 2 * QUOTE_MAX];
	int used = snprintf(known, sizeof(known), "get, set");

	for (size_t i = 0; i < device->rpc_count && (size_t)used < sizeof(known); i++)
		used += snprintf(known + used, sizeof(known) - (size_t)used, ", %s", device->rpc[i].method);
	if ((size_t)used >= sizeof(known))
		memcpy(known + sizeof(known) - 4, "...", 4);
	return wrong(error, "unknown method '%s' (known: %s)", quote(method, cut, sizeof(cut)), known);
}

static int
parse_method(const struct device *device, const char *method, const struct tb_json *params,
    struct rpc_call *ret, char *error)
{
	for (size_t i = 0; i < device->rpc_count; i++)
		if (strcmp(device->rpc[i].method, method) == 0)
			return parse_named(&device->rpc[i], params, ret, error);
	for (size_t i = 0; i < sizeof(built_in) / sizeof(built_in[0]); i++)
		if (strcmp(built_in[i].method, method) == 0)
			return built_in[i].parse(device, params, ret, error);
	return unknown_method(device, method, error);
}

int
rpc_parse(const struct device *device, const void *payload, size_t length, struct rpc_call *ret, char *error)
{
	struct tb_json *json = tb_json_parse(payload, length);
	const struct tb_json *params;
	const char *method;
	int result;

	if (!json)
		return wrong(error, "the request is not valid JSON");
	if (tb_json_rpc(json, &method, &params) < 0)
		result = wrong(error, "the request must be an object with the member \"method\", a text");
	else
		result = parse_method(device, method, params, ret, error);
	tb_json_free(json);
	return result;
}

void
rpc_outcome_text(const struct outcome *outcome, enum command_kind kind, char *text)
{
	const struct point *point = outcome->point;
	const char *bus = point->bus->name;
	const char *doubt = kind == COMMAND_READ ? "" : "; it may or may not have been written";
	char why[RPC_TEXT_MAX / 2];

	switch (outcome->status) {
	case OUTCOME_EXCEPTION:
		wrong(text, "unit %d refused: exception %d (%s)", point->unit, outcome->exception,
		    exception_name(outcome->exception));
		break;
	case OUTCOME_REFUSED:
		codec_fault_text(point, (enum codec_fault)outcome->fault, why, sizeof(why));
		wrong(text, "the value %s", why);
		break;
	case OUTCOME_TIMEOUT:
		if (outcome->error == 0 || outcome->error == ETIMEDOUT)
			wrong(text, "bus %s unit %d: no answer%s", bus, point->unit, doubt);
		else
			wrong(text, "bus %s unit %d: no valid answer (%s)%s", bus, point->unit,
			    strerror(outcome->error), doubt);
		break;
	case OUTCOME_OFFLINE:
		if (outcome->error == 0)
			wrong(text, "bus %s: offline", bus);
		else
			wrong(text, "bus %s: offline (%s)", bus, strerror(outcome->error));
		break;
	case OUTCOME_EXPIRED:
		wrong(text, "bus %s: busy for too long, the request expired and nothing was sent", bus);
		break;
	case OUTCOME_STOPPED:
		wrong(text, "the gateway is stopping or its queue is full, nothing was sent");
		break;
	case OUTCOME_DONE:
	case OUTCOME_UNCHANGED:
		wrong(text, "done");
		break;
	}
}

static size_t
finish_reply(char *reply, size_t head, int length)
{
	reply[head + (size_t)length] = '}';
	return head + (size_t)length + 1;
}

size_t
rpc_reply_error(const char *error, char *reply)
{
	static const char start[] = "{\"error\":";
	size_t head = sizeof(start) - 1;
	int length;

	memcpy(reply, start, head);
	length = tb_json_string(error, reply + head, RPC_REPLY_MAX - head - 1);
	assert(length > 0); /* RPC_TEXT_MAX bytes fit, each escaped */
	return finish_reply(reply, head, length);
}

size_t
rpc_reply_value(const struct value *value, char *reply)
{
	static const char start[] = "{\"value\":";
	size_t head = sizeof(start) - 1;
	int length;

	memcpy(reply, start, head);
	length = tb_json_value(value, reply + head, RPC_REPLY_MAX - head - 1);
	if (length < 0)
		return rpc_reply_error("the value cannot be printed as JSON", reply);
	return finish_reply(reply, head, length);
}
