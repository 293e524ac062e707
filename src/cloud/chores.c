#include "cloud/chores.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/log.h"
#include "cloud/rpc.h"
#include "cloud/tb_json.h"

#define RELOAD_KEPT_MS 60000

/* The last reload that was asked for. The session may end with it, and ThingsBoard asks again on the next one for what has no
 * reply: without this it would reload for as long as the request lives. */
struct reload {
	int64_t id;
	uint64_t hash; /* of the payload: ids start again when the server does */
	unsigned connection; /* that it came on first */
	int64_t until_mono_ms; /* 0 = there was none */
	char *reply; /* NULL: it is not done */
	size_t length;
};

struct chores {
	struct reload reload;
	size_t device;
	struct downlink_port port;
	unsigned connection; /* counts them */
	uint64_t requests;
	uint64_t errors;
	char reply[RPC_REPLY_MAX];
};

struct chores *
chores_new(size_t device, struct downlink_port port)
{
	struct chores *chores = calloc(1, sizeof(*chores));

	if (!chores)
		return NULL;
	chores->device = device;
	chores->port = port;
	return chores;
}

void
chores_free(struct chores *chores)
{
	if (chores)
		free(chores->reload.reply);
	free(chores);
}

void
chores_adopt(struct chores *chores, struct chores *from)
{
	chores->reload = from->reload;
	from->reload.reply = NULL;
	chores->connection = from->connection;
	chores->requests = from->requests;
	chores->errors = from->errors;
}

void
chores_up(struct chores *chores)
{
	chores->connection++;
}

static void
publish(struct chores *chores, int64_t id, const char *reply, size_t length)
{
	chores->port.publish(chores->port.ctx, chores->device, TB_RPC_RESPONSE, id, reply, length);
}

static void
refuse(struct chores *chores, int64_t id, const char *error)
{
	chores->errors++;
	publish(chores, id, chores->reply, rpc_reply_error(error, chores->reply));
}

/* "debug" or {"level": "debug"} */
static const char *
level_of(const struct tb_json *params)
{
	const struct tb_json *member = params ? tb_json_get(params, "level") : NULL;
	const char *text = params ? tb_json_text(member ? member : params) : NULL;

	return text && log_level_find(text) >= 0 && strlen(text) < CHORE_TEXT_MAX ? text : NULL;
}

/* Returns NULL, or what is wrong with it in words. */
static const char *
understand(const char *method, const struct tb_json *params, struct chore *ret)
{
	const char *level;

	if (strcmp(method, "status") == 0) {
		ret->kind = CHORE_STATUS;
		return NULL;
	}
	if (strcmp(method, "reload") == 0) {
		ret->kind = CHORE_RELOAD;
		return NULL;
	}
	if (strcmp(method, "loglevel") != 0)
		return "the gateway itself knows status, reload and loglevel; it has no points to get or set";
	level = level_of(params);
	if (!level)
		return "the level is missing or is none of error, warning, notice, info, debug";
	ret->kind = CHORE_LOG_LEVEL;
	snprintf(ret->text, sizeof(ret->text), "%s", level);
	return NULL;
}

static bool
is_repeated(struct chores *chores, int64_t id, uint64_t hash)
{
	const struct reload *reload = &chores->reload;

	if (reload->id != id || reload->hash != hash || clock_mono_ms() >= reload->until_mono_ms)
		return false;
	if (reload->reply)
		publish(chores, id, reload->reply, reload->length);
	return true;
}

static void
note_reload(struct chores *chores, const struct chore *chore, uint64_t hash)
{
	free(chores->reload.reply);
	chores->reload = (struct reload){ .id = chore->id,
		.hash = hash,
		.connection = chore->connection,
		.until_mono_ms = clock_mono_ms() + RELOAD_KEPT_MS };
}

void
chores_request(struct chores *chores, int64_t id, const void *payload, size_t length)
{
	uint64_t hash = hash_bytes(payload, length);
	struct chore chore = { .id = id, .connection = chores->connection };
	struct tb_json *json = tb_json_parse(payload, length);
	const struct tb_json *params = NULL;
	const char *method = NULL, *error;

	chores->requests++;
	if (is_repeated(chores, id, hash)) {
		tb_json_free(json);
		return;
	}
	if (!json || tb_json_rpc(json, &method, &params) < 0)
		error = "the request is not {\"method\": \"...\", \"params\": ...}";
	else
		error = understand(method, params, &chore);
	if (!error && chores->port.chore(chores->port.ctx, &chore) < 0)
		error = "busy: too many requests are waiting";
	if (error)
		refuse(chores, id, error);
	else if (chore.kind == CHORE_RELOAD)
		note_reload(chores, &chore, hash);
	tb_json_free(json);
}

void
chores_tell(struct chores *chores, struct chore_done *done)
{
	struct reload *reload = &chores->reload;
	bool reloaded = reload->until_mono_ms > 0 && !reload->reply && done->id == reload->id &&
			done->connection == reload->connection;

	/* Of a reload who waits is perhaps another connection by now. */
	if ((done->connection == chores->connection || reloaded) && done->length <= TB_MAX_PAYLOAD)
		publish(chores, done->id, done->text, done->length);
	if (reloaded) {
		reload->reply = done->text;
		reload->length = done->length;
	} else {
		free(done->text);
	}
	done->text = NULL;
}

void
chores_health(const struct chores *chores, struct health_device *ret)
{
	ret->rpc_requests = chores->requests;
	ret->rpc_errors = chores->errors;
}
