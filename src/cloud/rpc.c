#include "cloud/rpc.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "cloud/tb_json.h"
#include "model/codec.h"

#define QUOTE_MAX 64   /* bytes of what the server sent that are quoted back */
#define PRINT_MAX 4096 /* the longest text that registers hold fits, escaped */

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
	char json[PRINT_MAX];
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

/* ---- replies ---- */

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

/* Append to the text. Returns false when there is no room. */
static bool
append(char *reply, size_t *used, const char *text)
{
	size_t length = strlen(text);

	if (*used + length > RPC_REPLY_MAX)
		return false;
	memcpy(reply + *used, text, length);
	*used += length;
	return true;
}

static bool
append_members(char *reply, size_t *used, const struct rpc_result *results, size_t count, bool errors)
{
	bool first = true;

	for (size_t i = 0; i < count; i++) {
		struct value text = { .kind = VALUE_LABEL, .label = results[i].error };
		const struct value *value = errors ? &text : results[i].value;
		int length;

		if (errors != (results[i].value == NULL))
			continue;
		length = tb_json_member(results[i].key, value, first, reply + *used, RPC_REPLY_MAX - *used);
		if (length < 0)
			return false;
		*used += (size_t)length;
		first = false;
	}
	return true;
}

/* summary  in words, or NULL if all is well */
static size_t
reply_results(const char *summary, const struct rpc_result *results, size_t count, char *reply)
{
	size_t used = 0;
	bool fits = true;

	if (summary) {
		used = rpc_reply_error(summary, reply) - 1;
		fits = append(reply, &used, ",\"errors\":{") &&
		       append_members(reply, &used, results, count, true) && append(reply, &used, "},");
	} else {
		fits = append(reply, &used, "{");
	}
	fits = fits && append(reply, &used, "\"values\":{") &&
	       append_members(reply, &used, results, count, false) && append(reply, &used, "}}");
	return fits ? used : rpc_reply_error("the reply is too long", reply);
}

size_t
rpc_reply_values(const struct rpc_result *results, size_t count, char *reply)
{
	char summary[RPC_TEXT_MAX];
	size_t wrongs = 0;

	for (size_t i = 0; i < count; i++)
		wrongs += results[i].value == NULL;
	snprintf(summary, sizeof(summary), "%zu of %zu values failed", wrongs, count);
	return reply_results(wrongs > 0 ? summary : NULL, results, count, reply);
}

/* ---- requests ---- */

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
	ret->kind = COMMAND_WRITE;
	ret->items[ret->count++] = (struct rpc_item){ .point = point, .value = value };
	return 0;
}

static int
take_read(const struct point *point, struct rpc_call *ret, char *error)
{
	char cut[QUOTE_MAX];

	if (point->period_ms == 0)
		return wrong(error, "%s: is never read, only written", quote(point->key, cut, sizeof(cut)));
	ret->kind = COMMAND_READ;
	ret->items[ret->count++] = (struct rpc_item){ .point = point };
	return 0;
}

static int
take_point(const struct device *device, const char *key, const struct point **ret, char *error)
{
	char cut[QUOTE_MAX];

	*ret = rpc_point(device, key);
	return *ret ? 0 : wrong(error, "no point '%s'", quote(key, cut, sizeof(cut)));
}

/* The point that is asked for, or NULL. */
static const struct point *
take_key(const struct device *device, const struct tb_json *params, char *error)
{
	const char *key = tb_json_text(tb_json_get(params, "key"));
	const struct point *point = NULL;

	if (!key)
		(void)wrong(error, "params must have the member \"key\", a text");
	else
		(void)take_point(device, key, &point, error);
	return point;
}

static int
parse_get(const struct device *device, const struct tb_json *params, struct rpc_call *ret, char *error)
{
	const struct point *point = take_key(device, params, error);

	return point ? take_read(point, ret, error) : -EINVAL;
}

/* The values of a request, and what is wrong with some of them. */
struct values_walk {
	const struct device *device;
	struct rpc_call *call;
	size_t count;
	size_t wrong_count;
	struct rpc_result results[COMMAND_GROUP_MAX];
	char errors[COMMAND_GROUP_MAX][RPC_TEXT_MAX];
};

static void
take_member(void *ctx, const char *key, const struct tb_json *member)
{
	struct values_walk *walk = ctx;
	size_t at = walk->count++;
	const struct point *point;

	if (at >= COMMAND_GROUP_MAX)
		return;
	if (take_point(walk->device, key, &point, walk->errors[at]) == 0 &&
	    take_value(point, member, walk->call, walk->errors[at]) == 0)
		return;
	walk->results[walk->wrong_count++] = (struct rpc_result){ .key = key, .error = walk->errors[at] };
}

/* {"values":{"a":1,"b":2}}: if one is wrong none is written. Returns -EPROTO with the reply in place. */
static int
parse_values(const struct device *device, const struct tb_json *values, struct rpc_call *ret, char *error,
    char *reply, size_t *ret_length)
{
	struct values_walk walk = { .device = device, .call = ret };

	ret->many = true;
	if (tb_json_members(values, take_member, &walk) < 0)
		return wrong(error, "the member \"values\" must be an object of keys and values");
	if (walk.count == 0)
		return wrong(error, "the member \"values\" has no keys");
	if (walk.count > COMMAND_GROUP_MAX)
		return wrong(error, "%zu values are too many, at most %d are taken at once", walk.count,
		    COMMAND_GROUP_MAX);
	if (walk.wrong_count == 0)
		return 0;
	*ret_length = reply_results("nothing was written", walk.results, walk.wrong_count, reply);
	return -EPROTO;
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

	if (method->action == RPC_GET)
		return take_read(method->point, ret, error);
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

/* Does the request set several values? The key of a single one goes before. */
static const struct tb_json *
values_of(const struct device *device, const char *method, const struct tb_json *params)
{
	for (size_t i = 0; i < device->rpc_count; i++)
		if (strcmp(device->rpc[i].method, method) == 0)
			return NULL;
	return strcmp(method, "set") == 0 && !tb_json_get(params, "key") ? tb_json_get(params, "values")
									 : NULL;
}

static int
parse_request(const struct device *device, const struct tb_json *json, struct rpc_call *ret, char *reply,
    size_t *ret_length)
{
	const struct tb_json *params, *values;
	char error[RPC_TEXT_MAX];
	const char *method;
	int result;

	if (!json)
		result = wrong(error, "the request is not valid JSON");
	else if (tb_json_rpc(json, &method, &params) < 0)
		result = wrong(error, "the request must be an object with the member \"method\", a text");
	else if ((values = values_of(device, method, params)))
		result = parse_values(device, values, ret, error, reply, ret_length);
	else
		result = parse_method(device, method, params, ret, error);
	if (result == -EINVAL)
		*ret_length = rpc_reply_error(error, reply);
	return result == 0 ? 0 : -EINVAL;
}

int
rpc_parse(const struct device *device, const void *payload, size_t length, struct rpc_call *ret, char *reply,
    size_t *ret_length)
{
	struct tb_json *json = tb_json_parse(payload, length);
	int result;

	ret->count = 0;
	ret->many = false;
	result = parse_request(device, json, ret, reply, ret_length);
	if (result < 0)
		rpc_call_done(ret);
	tb_json_free(json);
	return result;
}

void
rpc_call_done(struct rpc_call *call)
{
	for (size_t i = 0; i < call->count; i++)
		value_done(&call->items[i].value);
	call->count = 0;
}
