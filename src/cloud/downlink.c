#include "cloud/downlink.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/heap.h"
#include "base/log.h"
#include "cloud/rpc.h"
#include "cloud/tb_json.h"

#define RPC_PENDING_MAX 32 /* of one device: beyond, a request is answered "busy" */
#define ANSWERS_KEPT	16 /* replies to writes, for requests that the server repeats */
#define ANSWER_KEPT_MS	60000
#define ASK_AGAIN_MS	10000 /* an attribute request that fails is not answered at all */
#define ASK_TRIES	5
#define WANTED_RETRY_MS 5000
#define SHARED_KEYS_MAX 60000 /* bytes of an attribute request */

/* A reply that was given. */
struct answer {
	int64_t id;
	uint64_t hash; /* of the request's payload: ids start again when the server does */
	int64_t until_mono_ms;
	size_t length;
	char *reply;
};

/* What the server wants a shared point to be; VALUE_NONE once the unit has it or has refused it. */
struct wanted {
	const struct point *point;
	struct value value;
	int64_t since_mono_ms;
	int64_t retry_mono_ms; /* not before */
	bool running;	       /* a command is on its way */
	bool replaced;	       /* `value` is newer than that command's */
	bool updated; /* by an update, since the attribute request that is not answered yet was sent */
	bool waits;   /* in the list of those that found no place */
	struct wanted *next_waiting;
	uint64_t said; /* hash of what was logged last about it, so that it is said once */
};

/* A command without an outcome. */
struct pending {
	uint32_t generation;
	bool used;
	size_t device;
	struct pending *next; /* of the same device, or free */
	enum command_kind kind;
	const struct point *point;
	struct wanted *wanted; /* NULL for an RPC */
	int64_t sent_mono_ms;
	int64_t rpc_id;
	uint64_t rpc_hash;
	unsigned connection; /* the one that awaits the reply */
};

enum stage { STAGE_DOWN, STAGE_SUBSCRIBING, STAGE_ASKING, STAGE_READY };

struct channel {
	const struct device *device;
	enum stage stage;
	unsigned connection; /* counts them: a reply belongs to one */
	int subscribe_id;
	int64_t request_id;
	int tries;
	struct heap_node due; /* mono ms: subscribe or ask again */
	bool refusal_said;
	bool delay_said;       /* that shared attributes wait for a unit */
	struct wanted *wanted; /* one for each shared point */
	size_t wanted_count;
	struct pending *pending; /* RPCs */
	size_t pending_count;
	struct answer answers[ANSWERS_KEPT];
	size_t next_answer;
};

struct downlink {
	const struct settings *settings;
	struct downlink_port port;
	struct command_sink commands;
	struct heap due;
	struct channel *channels;
	struct wanted *wanted;
	struct wanted **wanted_by_point;
	struct wanted *waiting; /* found no place in a queue; tried again with each outcome */
	struct wanted **waiting_end;
	struct pending *free;
	struct downlink_counts counts;
	struct pending table[DOWNLINK_PENDING_MAX];
};

/* FNV-1a */
static uint64_t
hash_bytes(const void *bytes, size_t length)
{
	const unsigned char *at = bytes;
	uint64_t hash = 0xcbf29ce484222325u;

	while (length-- > 0)
		hash = (hash ^ *at++) * 0x100000001b3u;
	return hash;
}

static void
share_out_wanted(struct downlink *downlink)
{
	const struct settings *settings = downlink->settings;
	struct wanted *next = downlink->wanted;

	for (size_t i = 0; i < settings->device_count; i++) {
		const struct device *device = &settings->devices[i];
		struct channel *channel = &downlink->channels[i];

		channel->device = device;
		channel->wanted = next;
		for (size_t j = 0; j < device->point_count; j++)
			if (device->points[j].shared) {
				next->point = &device->points[j];
				downlink->wanted_by_point[device->points[j].index] = next++;
			}
		channel->wanted_count = (size_t)(next - channel->wanted);
	}
}

struct downlink *
downlink_new(const struct settings *settings, struct downlink_port port, struct command_sink commands)
{
	struct downlink *downlink = calloc(1, sizeof(*downlink));
	size_t shared = 0;

	if (!downlink)
		return NULL;
	for (size_t i = 0; i < settings->device_count; i++)
		for (size_t j = 0; j < settings->devices[i].point_count; j++)
			shared += settings->devices[i].points[j].shared;
	downlink->settings = settings;
	downlink->port = port;
	downlink->commands = commands;
	downlink->waiting_end = &downlink->waiting;
	downlink->channels = calloc(settings->device_count + 1, sizeof(downlink->channels[0]));
	downlink->wanted = calloc(shared + 1, sizeof(downlink->wanted[0]));
	downlink->wanted_by_point = calloc(settings->point_count + 1, sizeof(downlink->wanted_by_point[0]));
	if (heap_init(&downlink->due, settings->device_count) < 0 || !downlink->channels ||
	    !downlink->wanted || !downlink->wanted_by_point) {
		downlink_free(downlink);
		errno = ENOMEM;
		return NULL;
	}
	for (size_t i = DOWNLINK_PENDING_MAX; i-- > 0;) {
		downlink->table[i].next = downlink->free;
		downlink->free = &downlink->table[i];
	}
	share_out_wanted(downlink);
	return downlink;
}

void
downlink_free(struct downlink *downlink)
{
	if (!downlink)
		return;
	for (size_t i = 0; downlink->channels && i < downlink->settings->device_count; i++) {
		struct channel *channel = &downlink->channels[i];

		for (size_t j = 0; j < channel->wanted_count; j++)
			value_done(&channel->wanted[j].value);
		for (size_t j = 0; j < ANSWERS_KEPT; j++)
			free(channel->answers[j].reply);
	}
	heap_done(&downlink->due);
	free(downlink->channels);
	free(downlink->wanted);
	free(downlink->wanted_by_point);
	free(downlink);
}

static struct channel *
channel_of(struct downlink *downlink, size_t device)
{
	return &downlink->channels[device];
}

static size_t
index_of(const struct downlink *downlink, const struct channel *channel)
{
	return (size_t)(channel - downlink->channels);
}

/* ---- commands and their outcomes ---- */

static struct pending *
pending_take(struct downlink *downlink, struct channel *channel)
{
	struct pending *pending = downlink->free;

	if (!pending)
		return NULL;
	downlink->free = pending->next;
	downlink->counts.pending++;
	*pending = (struct pending){
		.generation = pending->generation + 1, .used = true, .device = index_of(downlink, channel)
	};
	return pending;
}

static void
pending_give(struct downlink *downlink, struct pending *pending)
{
	pending->used = false;
	pending->next = downlink->free;
	downlink->free = pending;
	downlink->counts.pending--;
}

/* The one that a tag stands for, unless it is over. */
static struct pending *
pending_find(struct downlink *downlink, uint64_t tag)
{
	uint64_t slot = tag & 0xffffffff;
	struct pending *pending;

	if (slot >= DOWNLINK_PENDING_MAX)
		return NULL;
	pending = &downlink->table[slot];
	return pending->used && pending->generation == tag >> 32 ? pending : NULL;
}

/* Push a command; takes `value` if it succeeds. Returns 0, -EBUSY or -ENOMEM. */
static int
send_command(struct downlink *downlink, struct pending *pending, struct value value)
{
	struct command command = {
		.kind = pending->kind,
		.point = pending->point,
		.value = value,
		.expires_mono_ms = clock_mono_ms() + downlink->settings->server.rpc_timeout_ms,
		.tag = (uint64_t)pending->generation << 32 | (uint64_t)(pending - downlink->table),
	};

	pending->sent_mono_ms = clock_mono_ms();
	return downlink->commands.push(downlink->commands.ctx, &command);
}

/* ---- shared attributes ---- */

static void
wanted_wait(struct downlink *downlink, struct wanted *wanted)
{
	if (wanted->waits)
		return;
	wanted->waits = true;
	wanted->next_waiting = NULL;
	*downlink->waiting_end = wanted;
	downlink->waiting_end = &wanted->next_waiting;
}

static void
wanted_send(struct downlink *downlink, struct wanted *wanted)
{
	struct channel *channel = channel_of(downlink, wanted->point->device->index);
	struct pending *pending;
	struct value copy;

	wanted->retry_mono_ms = clock_mono_ms() + WANTED_RETRY_MS;
	if (value_copy(&wanted->value, &copy) < 0)
		return;
	pending = pending_take(downlink, channel);
	if (pending) {
		pending->kind = COMMAND_WRITE_CHANGED;
		pending->point = wanted->point;
		pending->wanted = wanted;
		if (send_command(downlink, pending, copy) == 0) {
			wanted->running = true;
			wanted->replaced = false;
			return;
		}
		pending_give(downlink, pending);
	}
	value_done(&copy);
	wanted_wait(downlink, wanted);
}

/* One place has become free: the first that waits may have it. */
static void
wanted_next(struct downlink *downlink)
{
	struct wanted *wanted = downlink->waiting;

	if (!wanted)
		return;
	downlink->waiting = wanted->next_waiting;
	if (!downlink->waiting)
		downlink->waiting_end = &downlink->waiting;
	wanted->waits = false;
	if (wanted->value.kind != VALUE_NONE && !wanted->running)
		wanted_send(downlink, wanted);
}

static void
wanted_clear(struct wanted *wanted)
{
	value_done(&wanted->value);
	wanted->replaced = false;
}

/* The server sends the same bad value on each connection: it is said once. */
static void
wanted_say(struct wanted *wanted, const char *why)
{
	uint64_t hash = hash_bytes(why, strlen(why));

	if (hash == wanted->said)
		return;
	wanted->said = hash;
	log_warning("device %s: shared attribute %s: %s: not written", wanted->point->device->name,
	    wanted->point->key, why);
}

/* What could not be written now stays wanted. A device that is away has many such points and one reason. */
static void
wanted_delayed(struct channel *channel, const struct wanted *wanted, const struct outcome *outcome)
{
	char text[RPC_TEXT_MAX];

	if (wanted->value.kind == VALUE_NONE || channel->delay_said)
		return;
	channel->delay_said = true;
	rpc_outcome_text(outcome, COMMAND_WRITE_CHANGED, text);
	log_warning("device %s: shared attribute %s: %s: what is wanted is written once the unit answers",
	    channel->device->name, wanted->point->key, text);
}

static void
wanted_outcome(struct downlink *downlink, struct wanted *wanted, const struct outcome *outcome)
{
	char text[RPC_TEXT_MAX];

	wanted->running = false;
	if (outcome->status == OUTCOME_DONE)
		downlink->counts.shared_written++;
	if (wanted->replaced) {
		wanted_send(downlink, wanted);
		return;
	}
	switch (outcome->status) {
	case OUTCOME_DONE:
	case OUTCOME_UNCHANGED:
		wanted->said = 0;
		channel_of(downlink, wanted->point->device->index)->delay_said = false;
		wanted_clear(wanted);
		break;
	case OUTCOME_EXCEPTION:
	case OUTCOME_REFUSED:
		rpc_outcome_text(outcome, COMMAND_WRITE_CHANGED, text);
		wanted_say(wanted, text);
		wanted_clear(wanted);
		break;
	default:
		wanted_delayed(channel_of(downlink, wanted->point->device->index), wanted, outcome);
		break;
	}
}

/* The server wants `json` in a shared point, and no longer what it wanted before, even if that cannot be had.
 */
static void
wanted_set(struct downlink *downlink, struct wanted *wanted, const struct tb_json *json)
{
	char error[RPC_TEXT_MAX];
	struct value value;

	wanted_clear(wanted);
	if (tb_json_scalar(json, &value) < 0) {
		wanted_say(wanted, "the value is neither a number nor a text nor true or false");
		return;
	}
	if (rpc_check_value(wanted->point, &value, error) < 0) {
		wanted_say(wanted, error);
		value_done(&value);
		return;
	}
	wanted->value = value;
	wanted->since_mono_ms = clock_mono_ms();
	wanted->replaced = wanted->running;
	if (!wanted->running)
		wanted_send(downlink, wanted);
}

static struct wanted *
wanted_find(struct channel *channel, const char *key)
{
	for (size_t i = 0; i < channel->wanted_count; i++)
		if (strcmp(channel->wanted[i].point->key, key) == 0)
			return &channel->wanted[i];
	return NULL;
}

struct attribute_walk {
	struct downlink *downlink;
	struct channel *channel;
	bool response;
};

static void
on_attribute(void *ctx, const char *key, const struct tb_json *member)
{
	struct attribute_walk *walk = ctx;
	struct wanted *wanted = wanted_find(walk->channel, key);

	if (!wanted) {
		log_debug(
		    "device %s: shared attribute %.64s is of no point", walk->channel->device->name, key);
		return;
	}
	/* An update that came after the request is newer than the answer may be. */
	if (walk->response && wanted->updated)
		return;
	wanted->updated = !walk->response;
	wanted_set(walk->downlink, wanted, member);
}

static void
on_deleted(void *ctx, const struct tb_json *element)
{
	struct attribute_walk *walk = ctx;
	const char *key = tb_json_text(element);
	struct wanted *wanted = key ? wanted_find(walk->channel, key) : NULL;

	if (!wanted)
		return;
	wanted->updated = true;
	wanted_clear(wanted);
}

static void
take_update(struct downlink *downlink, struct channel *channel, const struct tb_json *json)
{
	struct attribute_walk walk = { .downlink = downlink, .channel = channel };

	if (tb_json_elements(tb_json_get(json, "deleted"), on_deleted, &walk) < 0)
		tb_json_members(json, on_attribute, &walk);
}

static void
set_due(struct downlink *downlink, struct channel *channel, int64_t delay_ms)
{
	heap_set(&downlink->due, &channel->due, clock_mono_ms() + delay_ms);
}

/* {"client":{..},"shared":{..}} as the server sends it, or flat as its manual shows it. */
static void
take_response(struct downlink *downlink, struct channel *channel, int64_t id, const struct tb_json *json)
{
	struct attribute_walk walk = { .downlink = downlink, .channel = channel, .response = true };

	if (channel->stage != STAGE_ASKING || id != channel->request_id)
		return;
	channel->stage = STAGE_READY;
	heap_remove(&downlink->due, &channel->due);
	if (tb_json_members(tb_json_get(json, "shared"), on_attribute, &walk) < 0)
		tb_json_members(json, on_attribute, &walk);
}

static void
ask_attributes(struct downlink *downlink, struct channel *channel)
{
	char topic[sizeof(TB_TOPIC_ATTRIBUTE_REQUEST) + 24];
	char *payload = malloc(SHARED_KEYS_MAX);
	size_t used;

	channel->stage = STAGE_ASKING;
	channel->request_id++;
	set_due(downlink, channel, ASK_AGAIN_MS);
	if (!payload)
		return;
	used = (size_t)sprintf(payload, "{\"sharedKeys\":\"");
	for (size_t i = 0; i < channel->wanted_count; i++) {
		const char *key = channel->wanted[i].point->key;
		int length = tb_json_string(key, payload + used, SHARED_KEYS_MAX - used - 4);

		channel->wanted[i].updated = false;
		if (length < 0)
			break;
		/* Only the inside of the string is wanted, and a comma after it. */
		memmove(payload + used, payload + used + 1, (size_t)length - 2);
		used += (size_t)length - 2;
		payload[used++] = ',';
	}
	used--;
	memcpy(payload + used, "\"}", 2);
	snprintf(topic, sizeof(topic), "%s%" PRId64, TB_TOPIC_ATTRIBUTE_REQUEST, channel->request_id);
	downlink->port.publish(downlink->port.ctx, index_of(downlink, channel), topic, payload, used + 2);
	free(payload);
}

/* ---- RPC ---- */

static void
publish_reply(
    struct downlink *downlink, struct channel *channel, int64_t id, const char *reply, size_t length)
{
	char topic[sizeof(TB_TOPIC_RPC_RESPONSE) + 24];

	snprintf(topic, sizeof(topic), "%s%" PRId64, TB_TOPIC_RPC_RESPONSE, id);
	if (downlink->port.publish(downlink->port.ctx, index_of(downlink, channel), topic, reply, length) < 0)
		downlink->counts.replies_dropped++;
}

static void
reply_error(struct downlink *downlink, struct channel *channel, int64_t id, const char *error)
{
	char reply[RPC_REPLY_MAX];

	publish_reply(downlink, channel, id, reply, rpc_reply_error(error, reply));
}

/* Writes only: a read is done again, so that no old value is ever told as the present one. */
static void
keep_answer(struct channel *channel, const struct pending *pending, const char *reply, size_t length)
{
	struct answer *answer = &channel->answers[channel->next_answer];
	char *copy;

	if (pending->kind == COMMAND_READ)
		return;
	copy = malloc(length);
	if (!copy)
		return;
	memcpy(copy, reply, length);
	free(answer->reply);
	*answer = (struct answer){
		.id = pending->rpc_id,
		.hash = pending->rpc_hash,
		.until_mono_ms = clock_mono_ms() + ANSWER_KEPT_MS,
		.length = length,
		.reply = copy,
	};
	channel->next_answer = (channel->next_answer + 1) % ANSWERS_KEPT;
}

/* ThingsBoard sends every request that it has no reply to again when a device subscribes again. */
static bool
is_repeated(struct downlink *downlink, struct channel *channel, int64_t id, uint64_t hash)
{
	for (struct pending *pending = channel->pending; pending; pending = pending->next)
		if (pending->rpc_id == id && pending->rpc_hash == hash) {
			pending->connection = channel->connection;
			return true;
		}
	for (size_t i = 0; i < ANSWERS_KEPT; i++) {
		const struct answer *answer = &channel->answers[i];

		if (!answer->reply || answer->id != id || answer->hash != hash ||
		    clock_mono_ms() >= answer->until_mono_ms)
			continue;
		publish_reply(downlink, channel, id, answer->reply, answer->length);
		return true;
	}
	return false;
}

static void
start_call(
    struct downlink *downlink, struct channel *channel, int64_t id, uint64_t hash, struct rpc_call *call)
{
	struct pending *pending =
	    channel->pending_count < RPC_PENDING_MAX ? pending_take(downlink, channel) : NULL;

	if (pending) {
		pending->kind = call->kind;
		pending->point = call->point;
		pending->rpc_id = id;
		pending->rpc_hash = hash;
		pending->connection = channel->connection;
		if (send_command(downlink, pending, call->value) == 0) {
			pending->next = channel->pending;
			channel->pending = pending;
			channel->pending_count++;
			return;
		}
		pending_give(downlink, pending);
	}
	value_done(&call->value);
	reply_error(downlink, channel, id, "busy: too many requests are waiting, nothing was sent");
}

static void
take_request(
    struct downlink *downlink, struct channel *channel, int64_t id, const void *payload, size_t length)
{
	uint64_t hash = hash_bytes(payload, length);
	char error[RPC_TEXT_MAX];
	struct rpc_call call;

	downlink->counts.rpc_requests++;
	if (is_repeated(downlink, channel, id, hash)) {
		downlink->counts.rpc_repeated++;
		return;
	}
	if (rpc_parse(channel->device, payload, length, &call, error) < 0)
		reply_error(downlink, channel, id, error);
	else
		start_call(downlink, channel, id, hash, &call);
}

static void
unlink_call(struct channel *channel, struct pending *pending)
{
	struct pending **at = &channel->pending;

	while (*at != pending)
		at = &(*at)->next;
	*at = pending->next;
	channel->pending_count--;
}

/* What a person has just set is not overwritten by an older wish that could not be written then. */
static void
overrule_wanted(struct downlink *downlink, const struct pending *pending)
{
	struct wanted *wanted = downlink->wanted_by_point[pending->point->index];

	if (wanted && !wanted->running && wanted->since_mono_ms <= pending->sent_mono_ms)
		wanted_clear(wanted);
}

static void
call_outcome(struct downlink *downlink, struct pending *pending, const struct outcome *outcome)
{
	struct channel *channel = channel_of(downlink, pending->device);
	char reply[RPC_REPLY_MAX], error[RPC_TEXT_MAX];
	size_t length;

	unlink_call(channel, pending);
	if (outcome->status == OUTCOME_DONE || outcome->status == OUTCOME_UNCHANGED) {
		length = rpc_reply_value(&outcome->value, reply);
		if (pending->kind == COMMAND_WRITE)
			overrule_wanted(downlink, pending);
	} else {
		rpc_outcome_text(outcome, pending->kind, error);
		length = rpc_reply_error(error, reply);
	}
	keep_answer(channel, pending, reply, length);
	if (channel->stage != STAGE_DOWN && pending->connection == channel->connection)
		publish_reply(downlink, channel, pending->rpc_id, reply, length);
	else
		downlink->counts.replies_dropped++;
}

void
downlink_outcome(struct downlink *downlink, struct outcome *outcome)
{
	struct pending *pending = pending_find(downlink, outcome->tag);

	if (pending) {
		struct wanted *wanted = pending->wanted;

		if (!wanted)
			call_outcome(downlink, pending, outcome);
		pending_give(downlink, pending);
		if (wanted)
			wanted_outcome(downlink, wanted, outcome);
		wanted_next(downlink);
	}
	value_done(&outcome->value);
}

/* ---- the session ---- */

static void
subscribe(struct downlink *downlink, struct channel *channel)
{
	static const char *const filters[] = { TB_TOPIC_RPC_REQUEST "+", TB_TOPIC_ATTRIBUTES,
		TB_TOPIC_ATTRIBUTE_RESPONSE "+" };

	channel->stage = STAGE_SUBSCRIBING;
	channel->subscribe_id = downlink->port.subscribe(
	    downlink->port.ctx, index_of(downlink, channel), filters, channel->wanted_count > 0 ? 3 : 1);
	set_due(downlink, channel, ASK_AGAIN_MS);
}

void
downlink_up(struct downlink *downlink, size_t device)
{
	struct channel *channel = channel_of(downlink, device);

	channel->connection++;
	channel->tries = 0;
	subscribe(downlink, channel);
}

void
downlink_down(struct downlink *downlink, size_t device)
{
	struct channel *channel = channel_of(downlink, device);

	channel->stage = STAGE_DOWN;
	heap_remove(&downlink->due, &channel->due);
}

void
downlink_subscribed(struct downlink *downlink, size_t device, int id, bool granted)
{
	struct channel *channel = channel_of(downlink, device);

	if (channel->stage != STAGE_SUBSCRIBING || id != channel->subscribe_id)
		return;
	if (!granted && !channel->refusal_said)
		log_warning("device %s: the server refused its subscriptions: commands will not arrive",
		    channel->device->name);
	channel->refusal_said = !granted;
	channel->tries = 0;
	if (channel->wanted_count > 0) {
		ask_attributes(downlink, channel);
	} else {
		channel->stage = STAGE_READY;
		heap_remove(&downlink->due, &channel->due);
	}
}

void
downlink_message(
    struct downlink *downlink, size_t device, const char *topic, const void *payload, size_t length)
{
	struct channel *channel = channel_of(downlink, device);
	enum tb_topic kind;
	struct tb_json *json;
	int64_t id = 0;

	kind = tb_topic_parse(topic, &id);
	if (kind == TB_RPC_REQUEST) {
		take_request(downlink, channel, id, payload, length);
		return;
	}
	json = kind == TB_UNKNOWN ? NULL : tb_json_parse(payload, length);
	if (!json)
		log_debug("device %s: message on %.64s is not understood", channel->device->name, topic);
	else if (kind == TB_ATTRIBUTE_UPDATE)
		take_update(downlink, channel, json);
	else
		take_response(downlink, channel, id, json);
	tb_json_free(json);
}

void
downlink_sample(struct downlink *downlink, const struct sample *sample)
{
	struct wanted *wanted = downlink->wanted_by_point[sample->point->index];

	if (!wanted || wanted->value.kind == VALUE_NONE || wanted->running ||
	    clock_mono_ms() < wanted->retry_mono_ms)
		return;
	wanted_send(downlink, wanted);
}

int64_t
downlink_due_mono_ms(const struct downlink *downlink)
{
	const struct heap_node *first = heap_first(&downlink->due);

	return first ? first->due : CLOCK_NEVER;
}

void
downlink_tick(struct downlink *downlink)
{
	int64_t now = clock_mono_ms();
	struct heap_node *first;

	while ((first = heap_first(&downlink->due)) && first->due <= now) {
		struct channel *channel = heap_entry(first, struct channel, due);

		if (++channel->tries >= ASK_TRIES) {
			log_warning("device %s: the server does not answer its %s", channel->device->name,
			    channel->stage == STAGE_ASKING ? "request for shared attributes"
							   : "subscriptions");
			heap_remove(&downlink->due, &channel->due);
		} else if (channel->stage == STAGE_SUBSCRIBING) {
			subscribe(downlink, channel);
		} else {
			ask_attributes(downlink, channel);
		}
	}
}

struct downlink_counts
downlink_counts(const struct downlink *downlink)
{
	return downlink->counts;
}
