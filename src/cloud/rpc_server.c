#include "cloud/rpc_server.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/heap.h"
#include "cloud/rpc.h"

#define CALLS_MAX      32 /* of one device: beyond, a request is answered "busy" */
#define ANSWERS_KEPT   16 /* replies to writes, for requests that the server repeats */
#define ANSWER_KEPT_MS 60000

/* A reply that was given. */
struct answer {
	int64_t id;
	uint64_t hash; /* of the request's payload: ids start again when the server does */
	int64_t until_mono_ms;
	size_t length;
	char *reply;
};

struct channel;

/* An RPC without a reply. */
struct call {
	struct awaiter awaiter;
	struct channel *channel;
	struct call *next; /* of the same device */
	int64_t id;
	uint64_t hash;
	unsigned connection; /* the one that awaits the reply */
	int64_t sent_mono_ms;
	enum command_kind kind;
	bool many;
	size_t count;
	size_t left; /* outcomes that have not come */
	struct outcome outcomes[];
};

/* Of one device. */
struct channel {
	struct rpc_server *server;
	const struct device *device;
	bool up;
	unsigned connection; /* counts them: a reply belongs to one */
	struct call *calls;
	size_t call_count;
	struct answer answers[ANSWERS_KEPT];
	size_t next_answer;
};

struct rpc_server {
	const struct settings *settings;
	struct downlink_port port;
	struct commands *commands;
	struct shared *shared;
	struct channel *channels;
	struct rpc_server_counts counts;
	char reply[RPC_REPLY_MAX];
};

struct rpc_server *
rpc_server_new(const struct settings *settings, struct downlink_port port, struct commands *commands,
    struct shared *shared)
{
	struct rpc_server *server = calloc(1, sizeof(*server));

	if (!server)
		return NULL;
	server->settings = settings;
	server->port = port;
	server->commands = commands;
	server->shared = shared;
	server->channels = calloc(settings->device_count + 1, sizeof(server->channels[0]));
	if (!server->channels) {
		rpc_server_free(server);
		return NULL;
	}
	for (size_t i = 0; i < settings->device_count; i++)
		server->channels[i] = (struct channel){ .server = server, .device = &settings->devices[i] };
	return server;
}

static void
call_free(struct call *call)
{
	for (size_t i = 0; i < call->count; i++)
		value_done(&call->outcomes[i].value);
	free(call);
}

void
rpc_server_free(struct rpc_server *server)
{
	if (!server)
		return;
	for (size_t i = 0; server->channels && i < server->settings->device_count; i++) {
		struct channel *channel = &server->channels[i];

		for (size_t j = 0; j < ANSWERS_KEPT; j++)
			free(channel->answers[j].reply);
		while (channel->calls) {
			struct call *call = channel->calls;

			channel->calls = call->next;
			call_free(call);
		}
	}
	free(server->channels);
	free(server);
}

void
rpc_server_up(struct rpc_server *server, size_t device)
{
	server->channels[device].up = true;
	server->channels[device].connection++;
}

void
rpc_server_down(struct rpc_server *server, size_t device)
{
	server->channels[device].up = false;
}

struct rpc_server_counts
rpc_server_counts(const struct rpc_server *server)
{
	return server->counts;
}

/* ---- replies ---- */

static void
publish(struct channel *channel, int64_t id, const char *reply, size_t length)
{
	const struct downlink_port *port = &channel->server->port;

	if (port->publish(port->ctx, channel->device->index, TB_RPC_RESPONSE, id, reply, length) < 0)
		channel->server->counts.replies_dropped++;
}

static void
publish_error(struct channel *channel, int64_t id, const char *error)
{
	char *reply = channel->server->reply;

	publish(channel, id, reply, rpc_reply_error(error, reply));
}

/* Writes only: a read is done again, so that no old value is ever told as the present one. */
static void
keep_answer(struct channel *channel, const struct call *call, const char *reply, size_t length)
{
	struct answer *answer = &channel->answers[channel->next_answer];
	char *copy;

	if (call->kind == COMMAND_READ)
		return;
	copy = malloc(length);
	if (!copy)
		return;
	memcpy(copy, reply, length);
	free(answer->reply);
	*answer = (struct answer){
		.id = call->id,
		.hash = call->hash,
		.until_mono_ms = clock_mono_ms() + ANSWER_KEPT_MS,
		.length = length,
		.reply = copy,
	};
	channel->next_answer = (channel->next_answer + 1) % ANSWERS_KEPT;
}

static size_t
reply_to_one(const struct call *call, char *reply)
{
	const struct outcome *outcome = &call->outcomes[0];
	char error[RPC_TEXT_MAX];

	if (outcome_is_good(outcome))
		return rpc_reply_value(&outcome->value, reply);
	outcome_text(outcome, call->kind, error, sizeof(error));
	return rpc_reply_error(error, reply);
}

static size_t
reply_to_many(const struct call *call, char *reply)
{
	struct rpc_result results[COMMAND_GROUP_MAX];
	char errors[COMMAND_GROUP_MAX][RPC_TEXT_MAX];

	for (size_t i = 0; i < call->count; i++) {
		const struct outcome *outcome = &call->outcomes[i];

		results[i] = (struct rpc_result){ .key = outcome->point->key };
		if (outcome_is_good(outcome)) {
			results[i].value = &outcome->value;
			continue;
		}
		outcome_text(outcome, call->kind, errors[i], sizeof(errors[i]));
		results[i].error = errors[i];
	}
	return rpc_reply_values(results, call->count, reply);
}

/* ---- outcomes ---- */

static void
unlink_call(struct call *call)
{
	struct call **at = &call->channel->calls;

	while (*at != call)
		at = &(*at)->next;
	*at = call->next;
	call->channel->call_count--;
}

static void
finish_call(struct call *call)
{
	struct channel *channel = call->channel;
	char *reply = channel->server->reply;
	size_t length = call->many ? reply_to_many(call, reply) : reply_to_one(call, reply);

	unlink_call(call);
	keep_answer(channel, call, reply, length);
	if (channel->up && call->connection == channel->connection)
		publish(channel, call->id, reply, length);
	else
		channel->server->counts.replies_dropped++;
	call_free(call);
}

/* One of the call's; takes its value. */
static void
call_outcome(struct awaiter *awaiter, size_t index, struct outcome *outcome)
{
	struct call *call = heap_entry(awaiter, struct call, awaiter);
	const struct point *point = call->outcomes[index].point;

	/* What a person has just set is not overwritten by an older wish that could not be written then. */
	if (call->kind == COMMAND_WRITE && outcome_is_good(outcome))
		shared_overrule(call->channel->server->shared, point, call->sent_mono_ms);
	call->outcomes[index] = *outcome;
	call->outcomes[index].point = point;
	outcome->value = (struct value){ 0 };
	if (--call->left == 0)
		finish_call(call);
}

/* ---- other settings ---- */

static bool
is_same(const struct call *call, const struct difference *difference)
{
	for (size_t i = 0; i < call->count; i++)
		if (!difference_point_now(difference, call->outcomes[i].point))
			return false;
	return difference_device_now(difference, call->channel->device) != NULL;
}

static void
adopt_calls(struct channel *channel, struct channel *from, const struct difference *difference)
{
	channel->calls = from->calls;
	channel->call_count = from->call_count;
	from->calls = NULL;
	from->call_count = 0;
	for (struct call *call = channel->calls; call; call = call->next) {
		call->channel = channel;
		for (size_t i = 0; i < call->count; i++) {
			struct outcome *outcome = &call->outcomes[i];

			outcome->point = difference_point_now(difference, outcome->point);
			/* Without memory it is told that nobody knows, which is true by then. */
			if (difference_carry(outcome->point, &outcome->value) != 0)
				*outcome = (struct outcome){ .status = OUTCOME_TIMEOUT, .point = outcome->point };
		}
	}
}

static void
adopt_answers(struct channel *channel, struct channel *from)
{
	memcpy(channel->answers, from->answers, sizeof(channel->answers));
	memset(from->answers, 0, sizeof(from->answers));
	channel->next_answer = from->next_answer;
	channel->up = from->up;
	channel->connection = from->connection;
}

void
rpc_server_adopt(struct rpc_server *server, struct rpc_server *from, const struct difference *difference)
{
	for (size_t i = 0; i < from->settings->device_count; i++) {
		struct channel *channel = &from->channels[i];
		const struct device *now = difference_device_now(difference, channel->device);
		struct call *next;

		for (struct call *call = channel->calls; call; call = next) {
			next = call->next;
			/* The field may still do what has no outcome yet. */
			if (!is_same(call, difference))
				commands_abandon(server->commands, &call->awaiter);
		}
		if (!now)
			continue;
		adopt_calls(&server->channels[now->index], channel, difference);
		adopt_answers(&server->channels[now->index], channel);
	}
	server->counts = from->counts;
}

/* ---- requests ---- */

/* ThingsBoard sends every request that it has no reply to again when a device subscribes again. */
static bool
is_repeated(struct channel *channel, int64_t id, uint64_t hash)
{
	for (struct call *call = channel->calls; call; call = call->next)
		if (call->id == id && call->hash == hash) {
			call->connection = channel->connection;
			return true;
		}
	for (size_t i = 0; i < ANSWERS_KEPT; i++) {
		const struct answer *answer = &channel->answers[i];

		if (!answer->reply || answer->id != id || answer->hash != hash ||
		    clock_mono_ms() >= answer->until_mono_ms)
			continue;
		publish(channel, id, answer->reply, answer->length);
		return true;
	}
	return false;
}

static struct call *
call_new(struct channel *channel, int64_t id, uint64_t hash, const struct rpc_call *parsed)
{
	struct call *call = calloc(1, sizeof(*call) + parsed->count * sizeof(call->outcomes[0]));

	if (!call)
		return NULL;
	*call = (struct call){
		.awaiter.outcome = call_outcome,
		.channel = channel,
		.id = id,
		.hash = hash,
		.connection = channel->connection,
		.sent_mono_ms = clock_mono_ms(),
		.kind = parsed->kind,
		.many = parsed->many,
		.count = parsed->count,
	};
	/* Until there is another outcome: no queue had room. */
	for (size_t i = 0; i < call->count; i++)
		call->outcomes[i] =
		    (struct outcome){ .status = OUTCOME_STOPPED, .point = parsed->items[i].point };
	return call;
}

/* Push the items of the call that are for the bus of item `first`; the values that were taken are moved. */
static void
push_items(struct call *call, struct rpc_call *parsed, size_t first)
{
	struct rpc_server *server = call->channel->server;
	const struct bus *bus = parsed->items[first].point->bus;
	struct command_group group;

	group.count = 0;
	for (size_t i = first; i < parsed->count; i++) {
		struct rpc_item *item = &parsed->items[i];
		struct command command = {
			.kind = parsed->kind,
			.point = item->point,
			.value = item->value,
			.expires_mono_ms = call->sent_mono_ms + server->settings->server.rpc_timeout_ms,
		};

		if (item->point->bus == bus)
			command_group_add(&group, &command, &call->awaiter, i);
	}
	if (commands_push(server->commands, &group) != 0)
		return;
	call->left += group.count;
	for (size_t i = 0; i < group.count; i++)
		parsed->items[group.indexes[i]].value = (struct value){ 0 };
}

static bool
is_first_of_bus(const struct rpc_call *parsed, size_t index)
{
	for (size_t i = 0; i < index; i++)
		if (parsed->items[i].point->bus == parsed->items[index].point->bus)
			return false;
	return true;
}

static void
start_call(struct channel *channel, int64_t id, uint64_t hash, struct rpc_call *parsed)
{
	struct call *call = channel->call_count < CALLS_MAX ? call_new(channel, id, hash, parsed) : NULL;

	for (size_t i = 0; call && i < parsed->count; i++)
		if (is_first_of_bus(parsed, i))
			push_items(call, parsed, i);
	rpc_call_done(parsed);
	if (call && call->left > 0) {
		call->next = channel->calls;
		channel->calls = call;
		channel->call_count++;
		return;
	}
	free(call);
	publish_error(channel, id, "busy: too many requests are waiting, nothing was sent");
}

void
rpc_server_request(struct rpc_server *server, size_t device, int64_t id, const void *payload, size_t length)
{
	struct channel *channel = &server->channels[device];
	uint64_t hash = hash_bytes(payload, length);
	struct rpc_call parsed;
	size_t reply_length;

	server->counts.requests++;
	if (is_repeated(channel, id, hash)) {
		server->counts.repeated++;
		return;
	}
	if (rpc_parse(channel->device, payload, length, &parsed, server->reply, &reply_length) < 0)
		publish(channel, id, server->reply, reply_length);
	else
		start_call(channel, id, hash, &parsed);
}
