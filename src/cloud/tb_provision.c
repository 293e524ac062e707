#include <config.h>

#include "cloud/tb_provision.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cloud/tb_json.h"

#define SECRET_MAX 4096 /* bytes of a token or a name that a server gives */

static const char *const types[] = {
	[PROVISION_TOKEN] = "ACCESS_TOKEN",
	[PROVISION_BASIC] = "MQTT_BASIC",
	[PROVISION_CERTIFICATE] = "X509_CERTIFICATE",
};

/* ---- out ---- */

struct out {
	char *text;
	size_t size;
	size_t used; /* beyond `size`: it did not fit */
};

static void
put(struct out *out, const char *text)
{
	size_t length = strlen(text);

	if (out->used + length < out->size)
		memcpy(out->text + out->used, text, length + 1);
	else
		out->used = out->size;
	out->used += length;
}

/* `"name":"text"`, unless there is no text. */
static void
put_member(struct out *out, const char *name, const char *text)
{
	int length;

	if (!text)
		return;
	put(out, out->used > 0 && out->used < out->size && out->text[out->used - 1] != '{' ? ",\"" : "\"");
	put(out, name);
	put(out, "\":");
	if (out->used >= out->size)
		return;
	length = tb_json_string(text, out->text + out->used, out->size - out->used - 1);
	if (length < 0) {
		out->used = out->size;
		return;
	}
	out->used += (size_t)length;
	out->text[out->used] = '\0';
}

static int
out_length(const struct out *out)
{
	return out->used < out->size ? (int)out->used : -EMSGSIZE;
}

int
tb_provision_request(const struct provision *provision, const char *device_name, const struct credentials *offered,
    const char *pem, char *text, size_t size)
{
	struct out out = { .text = text, .size = size };

	put(&out, "{");
	put_member(&out, "deviceName", device_name);
	put_member(&out, "provisionDeviceKey", provision->key);
	put_member(&out, "provisionDeviceSecret", provision->secret);
	put_member(&out, "credentialsType", types[provision->type]);
	if (provision->type == PROVISION_BASIC) {
		put_member(&out, "clientId", offered->client_id);
		put_member(&out, "username", offered->user);
		put_member(&out, "password", offered->password);
	}
	/* The certificate itself goes by that name, not its hash. */
	put_member(&out, "hash", pem);
	put(&out, "}");
	return out_length(&out);
}

int
tb_provision_print(const struct credentials *credentials, char *text, size_t size)
{
	struct out out = { .text = text, .size = size };

	put(&out, "{");
	switch (credentials->kind) {
	case CREDENTIALS_TOKEN:
		put_member(&out, "credentialsType", types[PROVISION_TOKEN]);
		put_member(&out, "credentialsValue", credentials->token);
		break;
	case CREDENTIALS_BASIC:
		put_member(&out, "credentialsType", types[PROVISION_BASIC]);
		put(&out, ",\"credentialsValue\":{");
		put_member(&out, "clientId", credentials->client_id);
		put_member(&out, "userName", credentials->user);
		put_member(&out, "password", credentials->password);
		put(&out, "}");
		break;
	case CREDENTIALS_CERTIFICATE:
		put_member(&out, "credentialsType", types[PROVISION_CERTIFICATE]);
		break;
	case CREDENTIALS_NONE:
		break;
	}
	put_member(&out, "status", "SUCCESS");
	put(&out, "}\n");
	return out_length(&out);
}

/* ---- in ---- */

/* A text that can be shown to the server. Returns whether the answer can be used. */
static bool
take_text(const struct tb_json *json, const char **ret)
{
	const char *text = json ? tb_json_text(json) : NULL;

	*ret = NULL;
	if (!json)
		return true;
	if (!text || strlen(text) > SECRET_MAX)
		return false;
	for (const char *at = text; *at; at++)
		if ((unsigned char)*at < ' ' || *at == 127)
			return false;
	*ret = text[0] ? strdup(text) : NULL;
	return *ret || !text[0];
}

static bool
take_basic(const struct tb_json *value, struct credentials *ret)
{
	if (!value)
		return false;
	ret->kind = CREDENTIALS_BASIC;
	return take_text(tb_json_get(value, "clientId"), &ret->client_id) &&
	       take_text(tb_json_get(value, "userName"), &ret->user) &&
	       take_text(tb_json_get(value, "password"), &ret->password) && (ret->client_id || ret->user);
}

static bool
take_credentials(enum provision_type type, const struct tb_json *json, struct credentials *ret)
{
	const struct tb_json *value = tb_json_get(json, "credentialsValue");
	const struct tb_json *named = tb_json_get(json, "credentialsType");
	const char *name = named ? tb_json_text(named) : NULL;

	if (!name || strcmp(name, types[type]) != 0)
		return false;
	switch (type) {
	case PROVISION_TOKEN:
		ret->kind = CREDENTIALS_TOKEN;
		return take_text(value, &ret->token) && ret->token;
	case PROVISION_BASIC:
		return take_basic(value, ret);
	case PROVISION_CERTIFICATE:
		ret->kind = CREDENTIALS_CERTIFICATE;
		return true;
	}
	return false;
}

enum tb_provision_status
tb_provision_answer(enum provision_type type, const void *payload, size_t length, struct credentials *ret)
{
	static const struct {
		const char *name;
		enum tb_provision_status status;
	} statuses[] = {
		{ "SUCCESS", TB_PROVISION_SUCCESS },
		{ "NOT_FOUND", TB_PROVISION_NOT_FOUND },
		{ "FAILURE", TB_PROVISION_FAILURE },
	};
	struct tb_json *json = tb_json_parse(payload, length);
	const struct tb_json *named = json ? tb_json_get(json, "status") : NULL;
	const char *name = named ? tb_json_text(named) : NULL;
	enum tb_provision_status status = TB_PROVISION_NONSENSE;
	struct credentials credentials = { .kind = CREDENTIALS_NONE };

	for (size_t i = 0; name && i < sizeof(statuses) / sizeof(statuses[0]); i++)
		if (strcmp(statuses[i].name, name) == 0)
			status = statuses[i].status;
	if (status == TB_PROVISION_SUCCESS && take_credentials(type, json, &credentials)) {
		*ret = credentials;
	} else if (status == TB_PROVISION_SUCCESS) {
		tb_provision_done(&credentials);
		status = TB_PROVISION_NONSENSE;
	}
	tb_json_free(json);
	return status;
}

static void
forget(const char **text)
{
	char *own = (char *)(uintptr_t)*text;

	if (own)
		explicit_bzero(own, strlen(own));
	free(own);
	*text = NULL;
}

void
tb_provision_done(struct credentials *credentials)
{
	forget(&credentials->token);
	forget(&credentials->client_id);
	forget(&credentials->user);
	forget(&credentials->password);
}
