#include "cloud/tb_gateway.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* A text that is put together piece by piece; `error` stays once something did not fit. */
struct text {
	char *bytes;
	size_t size;
	size_t used;
	int error;
};

static void
add_bytes(struct text *text, const char *bytes, size_t length)
{
	if (text->error == 0 && length > text->size - text->used)
		text->error = -EMSGSIZE;
	if (text->error != 0)
		return;
	memcpy(text->bytes + text->used, bytes, length);
	text->used += length;
}

static void
add(struct text *text, const char *string)
{
	add_bytes(text, string, strlen(string));
}

static void
add_string(struct text *text, const char *string)
{
	int length = text->error;

	if (length == 0)
		length = tb_json_string(string, text->bytes + text->used, text->size - text->used);
	if (length < 0)
		text->error = length;
	else
		text->used += (size_t)length;
}

static void
add_number(struct text *text, int64_t number)
{
	char digits[24];

	snprintf(digits, sizeof(digits), "%" PRId64, number);
	add(text, digits);
}

static int
finish(const struct text *text)
{
	return text->error != 0 ? text->error : (int)text->used;
}

int
tb_gateway_connect(const char *device, char *text, size_t size)
{
	struct text out = { .bytes = text, .size = size };

	add(&out, "{\"device\":");
	add_string(&out, device);
	add(&out, "}");
	return finish(&out);
}

/* A single element is a list of one here. */
int
tb_gateway_telemetry(const char *device, const char *payload, size_t length, char *text, size_t size)
{
	struct text out = { .bytes = text, .size = size };
	bool list = length > 0 && payload[0] == '[';

	add(&out, "{");
	add_string(&out, device);
	add(&out, list ? ":" : ":[");
	add_bytes(&out, payload, length);
	add(&out, list ? "}" : "]}");
	return finish(&out);
}

int
tb_gateway_member(const char *device, const char *payload, size_t length, char *text, size_t size)
{
	struct text out = { .bytes = text, .size = size };

	add(&out, "{");
	add_string(&out, device);
	add(&out, ":");
	add_bytes(&out, payload, length);
	add(&out, "}");
	return finish(&out);
}

static void
add_address(struct text *text, const char *device, int64_t id)
{
	add(text, "{\"device\":");
	add_string(text, device);
	add(text, ",\"id\":");
	add_number(text, id);
}

int
tb_gateway_rpc_reply(
    const char *device, int64_t id, const char *payload, size_t length, char *text, size_t size)
{
	struct text out = { .bytes = text, .size = size };

	add_address(&out, device, id);
	add(&out, ",\"data\":");
	add_bytes(&out, payload, length);
	add(&out, "}");
	return finish(&out);
}

/* The keys of a list that has commas between them, as JSON strings with commas between them. */
static void
add_keys(struct text *text, const char *keys)
{
	char key[1024]; /* 255 characters are 765 bytes at most */
	const char *end;

	for (;; keys = end + 1) {
		end = keys + strcspn(keys, ",");
		if ((size_t)(end - keys) >= sizeof(key)) {
			text->error = -EMSGSIZE;
			return;
		}
		memcpy(key, keys, (size_t)(end - keys));
		key[end - keys] = '\0';
		add_string(text, key);
		if (*end == '\0')
			return;
		add(text, ",");
	}
}

int
tb_gateway_attribute_request(
    const char *device, int64_t id, const char *payload, size_t length, char *text, size_t size)
{
	struct text out = { .bytes = text, .size = size };
	struct tb_json *request = tb_json_parse(payload, length);
	const char *keys = tb_json_text(tb_json_get(request, "sharedKeys"));
	bool one = keys && !strchr(keys, ',');

	if (!keys)
		out.error = -EINVAL;
	add_address(&out, device, id);
	add(&out, one ? ",\"client\":false,\"key\":" : ",\"client\":false,\"keys\":[");
	if (keys)
		add_keys(&out, keys);
	add(&out, one ? "}" : "]}");
	tb_json_free(request);
	return finish(&out);
}

/* The id, -1 if there is none; -EINVAL if it is no number of the server's. */
static int
take_id(const struct tb_json *json, int64_t *ret)
{
	const struct tb_json *member = tb_json_get(json, "id");
	struct value value;

	*ret = -1;
	if (!member)
		return 0;
	if (tb_json_scalar(member, &value) < 0)
		return -EINVAL;
	if (value.kind == VALUE_INT && value.integer >= 0)
		*ret = value.integer;
	value_done(&value);
	return *ret >= 0 ? 0 : -EINVAL;
}

int
tb_gateway_parse(const struct tb_json *json, struct tb_gateway_message *ret)
{
	const struct tb_json *data = tb_json_get(json, "data");
	int error;

	ret->device = tb_json_text(tb_json_get(json, "device"));
	ret->data = data ? data : tb_json_get(json, "values");
	ret->one = data ? NULL : tb_json_get(json, "value");
	error = take_id(data && tb_json_get(data, "method") ? data : json, &ret->id);
	return ret->device ? error : -EINVAL;
}
