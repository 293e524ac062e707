#include "cloud/rpc.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cloud/rpc_raw.h"
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

static size_t
reply_with_value(const char *start, const struct value *value, char *reply)
{
	size_t head = strlen(start);
	int length;

	memcpy(reply, start, head);
	length = tb_json_value(value, reply + head, RPC_REPLY_MAX - head - 1);
	if (length < 0)
		return rpc_reply_error("the value cannot be printed as JSON", reply);
	return finish_reply(reply, head, length);
}

size_t
rpc_reply_value(const struct value *value, char *reply)
{
	return reply_with_value("{\"value\":", value, reply);
}

size_t
rpc_reply_success(const struct value *value, char *reply)
{
	return reply_with_value("{\"success\":true,\"value\":", value, reply);
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
rpc_reply_values(const char *summary, const struct rpc_result *results, size_t count, char *reply)
{
	char counted[RPC_TEXT_MAX];
	size_t wrongs = 0;

	for (size_t i = 0; i < count; i++)
		wrongs += results[i].value == NULL;
	snprintf(counted, sizeof(counted), "%zu of %zu values failed", wrongs, count);
	if (!summary)
		summary = counted;
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
	struct rpc_result results[RPC_ITEMS_MAX];
	char errors[RPC_ITEMS_MAX][RPC_TEXT_MAX];
};

static void
note_wrong(struct values_walk *walk, const char *key)
{
	walk->results[walk->wrong_count] =
	    (struct rpc_result){ .key = key, .error = walk->errors[walk->wrong_count] };
	walk->wrong_count++;
}

/* If one is wrong none is written. Returns 0, or -EPROTO with the reply in place. */
static int
finish_walk(const struct values_walk *walk, char *reply, size_t *ret_length)
{
	if (walk->wrong_count == 0)
		return 0;
	*ret_length = reply_results("nothing was written", walk->results, walk->wrong_count, reply);
	return -EPROTO;
}

static void
take_member(void *ctx, const char *key, const struct tb_json *member)
{
	struct values_walk *walk = ctx;
	const struct point *point;
	char *error;

	if (walk->count++ >= RPC_ITEMS_MAX)
		return;
	error = walk->errors[walk->wrong_count];
	if (take_point(walk->device, key, &point, error) < 0 ||
	    take_value(point, member, walk->call, error) < 0)
		note_wrong(walk, key);
}

/* {"values":{"a":1,"b":2}} */
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
	if (walk.count > RPC_ITEMS_MAX)
		return wrong(error, "%zu values are too many, at most %d are taken at once", walk.count,
		    RPC_ITEMS_MAX);
	return finish_walk(&walk, reply, ret_length);
}

/* The value of one step, which the configuration or a parameter has. */
static int
take_step(const struct rpc_step *step, const struct tb_json *params, struct rpc_call *ret, char *error)
{
	struct value copy;

	if (step->value.kind == VALUE_NONE) {
		const struct tb_json *param = tb_json_get(params, step->param);
		char cut[QUOTE_MAX];

		return param ? take_value(step->point, param, ret, error)
			     : wrong(error, "the parameter \"%s\" is missing",
				   quote(step->param, cut, sizeof(cut)));
	}
	if (value_copy(&step->value, &copy) < 0)
		return wrong(error, "out of memory");
	ret->items[ret->count++] = (struct rpc_item){ .point = step->point, .value = copy };
	return 0;
}

/* A method with a list of points. */
static int
parse_listed(const struct rpc_method *method, const struct tb_json *params, struct rpc_call *ret, char *reply,
    size_t *ret_length)
{
	struct values_walk walk = { .call = ret };

	ret->kind = COMMAND_WRITE;
	ret->many = ret->in_order = true;
	for (size_t i = 0; i < method->step_count; i++)
		if (take_step(&method->steps[i], params, ret, walk.errors[walk.wrong_count]) < 0)
			note_wrong(&walk, method->steps[i].point->key);
	return finish_walk(&walk, reply, ret_length);
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

/* A method with one point. */
static int
parse_named(const struct rpc_method *method, const struct tb_json *params, struct rpc_call *ret, char *error)
{
	const struct rpc_step *step = &method->steps[0];
	const struct tb_json *inner = tb_json_get(params, "value");

	if (method->action == RPC_GET)
		return take_read(step->point, ret, error);
	if (step->value.kind == VALUE_NONE)
		return take_value(step->point, inner ? inner : params, ret, error);
	ret->kind = COMMAND_WRITE;
	return take_step(step, NULL, ret, error);
}

/* Registers by their address. */
static int
parse_raw(const struct device *device, const char *method, const struct tb_json *params, struct rpc_call *ret,
    char *error)
{
	char why[RPC_TEXT_MAX];
	struct rpc_raw raw;

	if (rpc_raw_parse(device, method, params, &raw, error) < 0)
		return -EINVAL;
	ret->own = malloc(sizeof(*ret->own));
	if (!ret->own) {
		value_done(&raw.value);
		return wrong(error, "out of memory");
	}
	*ret->own = raw.point;
	ret->by_text = tb_json_text(params) != NULL;
	ret->kind = raw.write ? COMMAND_WRITE : COMMAND_READ;
	ret->items[ret->count++] = (struct rpc_item){ .point = ret->own, .value = raw.value };
	if (raw.write && rpc_check_value(ret->own, &raw.value, why) < 0)
		return wrong(error, "%s", why);
	return 0;
}

static const struct rpc_method *
find_method(const struct device *device, const char *name)
{
	for (size_t i = 0; i < device->rpc_count; i++)
		if (strcmp(device->rpc[i].method, name) == 0)
			return &device->rpc[i];
	return NULL;
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

/* Does the request set several values? The key of a single one goes before. */
static const struct tb_json *
values_of(const char *method, const struct tb_json *params)
{
	return strcmp(method, "set") == 0 && !tb_json_get(params, "key") ? tb_json_get(params, "values")
									 : NULL;
}

/* Returns 0; -EINVAL with what is wrong in `error`; -EPROTO with the reply in place. */
static int
parse_method(const struct device *device, const char *name, const struct tb_json *params,
    struct rpc_call *ret, char *error, char *reply, size_t *ret_length)
{
	const struct rpc_method *method = find_method(device, name);
	const struct tb_json *values;

	if (method)
		return method->listed ? parse_listed(method, params, ret, reply, ret_length)
				      : parse_named(method, params, ret, error);
	if (rpc_raw_is(name, params))
		return parse_raw(device, name, params, ret, error);
	values = values_of(name, params);
	if (values)
		return parse_values(device, values, ret, error, reply, ret_length);
	for (size_t i = 0; i < sizeof(built_in) / sizeof(built_in[0]); i++)
		if (strcmp(built_in[i].method, name) == 0)
			return built_in[i].parse(device, params, ret, error);
	return unknown_method(device, name, error);
}

static int
parse_request(const struct device *device, const struct tb_json *json, struct rpc_call *ret, char *reply,
    size_t *ret_length)
{
	const struct tb_json *params;
	char error[RPC_TEXT_MAX];
	const char *method;
	int result;

	if (!json)
		result = wrong(error, "the request is not valid JSON");
	else if (tb_json_rpc(json, &method, &params) < 0)
		result = wrong(error, "the request must be an object with the member \"method\", a text");
	else
		result = parse_method(device, method, params, ret, error, reply, ret_length);
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
	ret->many = ret->in_order = ret->by_text = false;
	ret->own = NULL;
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
	free(call->own);
	call->own = NULL;
}
