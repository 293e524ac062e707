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

#define CALLS_MAX	32 /* of one device: beyond, a request is answered "busy" */
#define ANSWERS_KEPT	16 /* replies to writes, for requests that the server repeats */
#define ANSWER_KEPT_MS	60000
#define ASK_AGAIN_MS	10000 /* an attribute request that fails is not answered at all */
#define ASK_TRIES	5
#define WANTED_RETRY_MS 5000
#define SHARED_KEYS_MAX 60000 /* bytes of an attribute request */
#define SAFE_RETRY_MS	5000  /* doubling, if an on_cloud_loss value could not be written */
#define SAFE_RETRY_MAX_MS 30000
#define SAFE_SAMPLE_MS	1000 /* a unit that answers is tried before, but not more often */

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
	bool queued;  /* in the list of those to be sent together */
	bool waits;   /* in the list of those that found no place */
	struct wanted *next_waiting;
	uint64_t said; /* hash of what was logged last about it, so that it is said once */
};

/* An RPC without a reply. */
struct call {
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

/* What is written when the server has been out of reach for too long. */
struct safe {
	const struct point_write *write;
	bool wanted; /* not written in this loss */
	bool running;
	bool said;
};

/* A command without an outcome, of one of three. */
struct pending {
	uint32_t generation;
	bool used;
	size_t device;
	struct pending *next_free;
	struct call *call;
	size_t index; /* of the outcome in the call */
	struct wanted *wanted;
	struct safe *safe;
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
	struct wanted *wanted; /* one for each shared point */
	size_t wanted_count;
	struct call *calls;
	size_t call_count;
	struct heap_node loss; /* mono ms: the server counts as lost, or try again to write what that asks for */
	bool heard;	       /* the server has answered on this connection */
	bool lost;
	int64_t silent_mono_ms; /* since when there is no session that was heard */
	int64_t safe_sent_mono_ms;
	int safe_retry_ms;
	struct safe *safe;
	size_t safe_count;
	struct answer answers[ANSWERS_KEPT];
	size_t next_answer;
};

struct downlink {
	const struct settings *settings;
	struct downlink_port port;
	struct command_sink commands;
	struct heap due;
	struct heap losses;
	struct channel *channels;
	struct safe *safe;
	struct wanted *wanted;
	struct wanted **queued; /* to be sent together */
	size_t queued_count;
	struct wanted **wanted_by_point;
	struct wanted *waiting; /* found no place in a queue; tried again with each outcome */
	struct wanted **waiting_end;
	struct pending *free;
	struct downlink_counts counts;
	struct pending table[DOWNLINK_PENDING_MAX];
	char reply[RPC_REPLY_MAX];
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

/* Nothing was heard yet: the silence begins now. */
static void
share_out_safe(struct downlink *downlink)
{
	const struct settings *settings = downlink->settings;
	struct safe *next = downlink->safe;

	for (size_t i = 0; i < settings->device_count; i++) {
		const struct device *device = &settings->devices[i];
		struct channel *channel = &downlink->channels[i];

		channel->safe = next;
		channel->safe_count = device->on_cloud_loss_count;
		channel->silent_mono_ms = clock_mono_ms();
		for (size_t j = 0; j < device->on_cloud_loss_count; j++)
			*next++ = (struct safe){ .write = &device->on_cloud_loss[j] };
		if (channel->safe_count > 0)
			heap_set(&downlink->losses, &channel->loss,
			    channel->silent_mono_ms + (int64_t)device->cloud_loss_s * 1000);
	}
}

struct downlink *
downlink_new(const struct settings *settings, struct downlink_port port, struct command_sink commands)
{
	struct downlink *downlink = calloc(1, sizeof(*downlink));
	size_t shared = 0;
	size_t safe = 0;

	if (!downlink)
		return NULL;
	for (size_t i = 0; i < settings->device_count; i++) {
		safe += settings->devices[i].on_cloud_loss_count;
		for (size_t j = 0; j < settings->devices[i].point_count; j++)
			shared += settings->devices[i].points[j].shared;
	}
	downlink->settings = settings;
	downlink->port = port;
	downlink->commands = commands;
	downlink->waiting_end = &downlink->waiting;
	downlink->channels = calloc(settings->device_count + 1, sizeof(downlink->channels[0]));
	downlink->wanted = calloc(shared + 1, sizeof(downlink->wanted[0]));
	downlink->queued = calloc(shared + 1, sizeof(struct wanted *));
	downlink->safe = calloc(safe + 1, sizeof(downlink->safe[0]));
	downlink->wanted_by_point = calloc(settings->point_count + 1, sizeof(downlink->wanted_by_point[0]));
	if (heap_init(&downlink->due, settings->device_count) < 0 ||
	    heap_init(&downlink->losses, settings->device_count) < 0 || !downlink->channels ||
	    !downlink->wanted || !downlink->queued || !downlink->safe || !downlink->wanted_by_point) {
		downlink_free(downlink);
		errno = ENOMEM;
		return NULL;
	}
	for (size_t i = DOWNLINK_PENDING_MAX; i-- > 0;) {
		downlink->table[i].next_free = downlink->free;
		downlink->free = &downlink->table[i];
	}
	share_out_wanted(downlink);
	share_out_safe(downlink);
	return downlink;
}

static void
call_free(struct call *call)
{
	for (size_t i = 0; i < call->count; i++)
		value_done(&call->outcomes[i].value);
	free(call);
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
		while (channel->calls) {
			struct call *call = channel->calls;

			channel->calls = call->next;
			call_free(call);
		}
	}
	heap_done(&downlink->due);
	heap_done(&downlink->losses);
	free(downlink->channels);
	free(downlink->safe);
	free(downlink->queued);
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
	downlink->free = pending->next_free;
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
	pending->next_free = downlink->free;
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

/* Commands that are pushed together, and what awaits their outcomes. */
struct group {
	size_t count;
	struct command commands[COMMAND_GROUP_MAX];
	struct pending *pending[COMMAND_GROUP_MAX];
};

/* Add a command, which takes a place of its own. Returns it, or NULL if there is none. */
static struct pending *
group_add(struct downlink *downlink, struct group *group, struct channel *channel, enum command_kind kind,
    const struct point *point, struct value value)
{
	struct pending *pending = pending_take(downlink, channel);

	if (!pending)
		return NULL;
	group->pending[group->count] = pending;
	group->commands[group->count++] = (struct command){
		.kind = kind,
		.point = point,
		.value = value,
		.expires_mono_ms = clock_mono_ms() + downlink->settings->server.rpc_timeout_ms,
		.tag = (uint64_t)pending->generation << 32 | (uint64_t)(pending - downlink->table),
	};
	return pending;
}

/* Give the places back; the values are the caller's again. */
static void
group_drop(struct downlink *downlink, struct group *group)
{
	for (size_t i = 0; i < group->count; i++)
		pending_give(downlink, group->pending[i]);
	group->count = 0;
}

/* Push a group, all of one bus. Returns 0, and the values are taken; or -EBUSY, and it is as it was. */
static int
group_push(struct downlink *downlink, const struct group *group)
{
	return downlink->commands.push(downlink->commands.ctx, group->commands, group->count);
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
wanted_add(struct downlink *downlink, struct group *group, struct wanted *wanted)
{
	struct channel *channel = channel_of(downlink, wanted->point->device->index);
	struct pending *pending;
	struct value copy;

	wanted->retry_mono_ms = clock_mono_ms() + WANTED_RETRY_MS;
	if (value_copy(&wanted->value, &copy) < 0)
		return;
	pending = group_add(downlink, group, channel, COMMAND_WRITE_CHANGED, wanted->point, copy);
	if (pending) {
		pending->wanted = wanted;
	} else {
		value_done(&copy);
		wanted_wait(downlink, wanted);
	}
}

static void
wanted_push(struct downlink *downlink, struct group *group)
{
	bool taken = group->count > 0 && group_push(downlink, group) == 0;

	for (size_t i = 0; i < group->count; i++) {
		struct wanted *wanted = group->pending[i]->wanted;

		if (taken) {
			wanted->running = true;
			wanted->replaced = false;
		} else {
			value_done(&group->commands[i].value);
			wanted_wait(downlink, wanted);
		}
	}
	if (!taken)
		group_drop(downlink, group);
	group->count = 0;
}

static void
wanted_send(struct downlink *downlink, struct wanted *wanted)
{
	struct group group;

	group.count = 0;
	wanted_add(downlink, &group, wanted);
	wanted_push(downlink, &group);
}

/* Neighbours side by side, so that they are in one group. */
static int
compare_wanted(const void *a, const void *b)
{
	const struct point *p = (*(struct wanted *const *)a)->point;
	const struct point *q = (*(struct wanted *const *)b)->point;

	if (p->bus != q->bus)
		return p->bus->index < q->bus->index ? -1 : 1;
	if (p->unit != q->unit)
		return p->unit < q->unit ? -1 : 1;
	if (p->table != q->table)
		return p->table < q->table ? -1 : 1;
	return p->addr < q->addr ? -1 : p->addr > q->addr;
}

/* Send what was queued: the field makes one request of those that touch. */
static void
wanted_flush(struct downlink *downlink)
{
	struct group group;

	qsort(downlink->queued, downlink->queued_count, sizeof(struct wanted *), compare_wanted);
	group.count = 0;
	for (size_t i = 0; i < downlink->queued_count; i++) {
		struct wanted *wanted = downlink->queued[i];

		wanted->queued = false;
		if (group.count == COMMAND_GROUP_MAX ||
		    (group.count > 0 && group.commands[0].point->bus != wanted->point->bus))
			wanted_push(downlink, &group);
		if (wanted->value.kind != VALUE_NONE)
			wanted_add(downlink, &group, wanted);
	}
	wanted_push(downlink, &group);
	downlink->queued_count = 0;
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
wanted_say(struct wanted *wanted, const char *shown, const char *what, const char *result)
{
	char line[2 * RPC_TEXT_MAX];
	int length = snprintf(line, sizeof(line), "%s%s: %s", shown, what, result);
	uint64_t hash = hash_bytes(line, strnlen(line, sizeof(line)));

	if (length < 0 || hash == wanted->said)
		return;
	wanted->said = hash;
	log_warning(
	    "device %s: shared attribute %s: %s", wanted->point->device->name, wanted->point->key, line);
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
		wanted_clear(wanted);
		break;
	case OUTCOME_EXCEPTION:
	case OUTCOME_REFUSED:
		outcome_text(outcome, COMMAND_WRITE_CHANGED, text, sizeof(text));
		wanted_say(wanted, text, "", "not written");
		wanted_clear(wanted);
		break;
	case OUTCOME_DIFFERENT:
	case OUTCOME_UNVERIFIED:
		outcome_text(outcome, COMMAND_WRITE_CHANGED, text, sizeof(text));
		wanted_say(wanted, text, "", "not tried again");
		wanted_clear(wanted);
		break;
	default:
		outcome_text(outcome, COMMAND_WRITE_CHANGED, text, sizeof(text));
		wanted_say(wanted, text, "", "will be written once the unit answers");
		break;
	}
}

/* The server wants `json` in a shared point: wanted_flush() sends it. */
static void
wanted_set(struct downlink *downlink, struct wanted *wanted, const struct tb_json *json)
{
	char error[RPC_TEXT_MAX];
	struct value value;

	if (tb_json_scalar(json, &value) < 0) {
		wanted_say(
		    wanted, "the value", " is neither a number nor a text nor true or false", "not written");
		return;
	}
	if (rpc_check_value(wanted->point, &value, error) < 0) {
		wanted_say(wanted, error, "", "not written");
		value_done(&value);
		return;
	}
	value_done(&wanted->value);
	wanted->value = value;
	wanted->since_mono_ms = clock_mono_ms();
	wanted->replaced = wanted->running;
	if (wanted->running || wanted->queued)
		return;
	wanted->queued = true;
	downlink->queued[downlink->queued_count++] = wanted;
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

	if (!wanted || !member) {
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
	wanted_flush(downlink);
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
	wanted_flush(downlink);
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

/* ThingsBoard sends every request that it has no reply to again when a device subscribes again. */
static bool
is_repeated(struct downlink *downlink, struct channel *channel, int64_t id, uint64_t hash)
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
		publish_reply(downlink, channel, id, answer->reply, answer->length);
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
push_items(struct downlink *downlink, struct channel *channel, struct call *call, struct rpc_call *parsed,
    size_t first)
{
	const struct bus *bus = parsed->items[first].point->bus;
	size_t items[COMMAND_GROUP_MAX];
	struct group group;

	group.count = 0;
	for (size_t i = first; i < parsed->count; i++) {
		struct rpc_item *item = &parsed->items[i];
		struct pending *pending;

		if (item->point->bus != bus)
			continue;
		pending = group_add(downlink, &group, channel, parsed->kind, item->point, item->value);
		if (!pending) {
			group_drop(downlink, &group);
			return;
		}
		pending->call = call;
		pending->index = i;
		items[group.count - 1] = i;
	}
	if (group_push(downlink, &group) != 0) {
		group_drop(downlink, &group);
		return;
	}
	call->left += group.count;
	for (size_t i = 0; i < group.count; i++)
		parsed->items[items[i]].value = (struct value){ 0 };
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
start_call(
    struct downlink *downlink, struct channel *channel, int64_t id, uint64_t hash, struct rpc_call *parsed)
{
	struct call *call =
	    channel->call_count < CALLS_MAX ? call_new(channel, id, hash, parsed) : NULL;
	size_t length;

	for (size_t i = 0; call && i < parsed->count; i++)
		if (is_first_of_bus(parsed, i))
			push_items(downlink, channel, call, parsed, i);
	rpc_call_done(parsed);
	if (call && call->left > 0) {
		call->next = channel->calls;
		channel->calls = call;
		channel->call_count++;
		return;
	}
	free(call);
	length = rpc_reply_error("busy: too many requests are waiting, nothing was sent", downlink->reply);
	publish_reply(downlink, channel, id, downlink->reply, length);
}

static void
take_request(
    struct downlink *downlink, struct channel *channel, int64_t id, const void *payload, size_t length)
{
	uint64_t hash = hash_bytes(payload, length);
	struct rpc_call parsed;
	size_t reply_length;

	downlink->counts.rpc_requests++;
	if (is_repeated(downlink, channel, id, hash)) {
		downlink->counts.rpc_repeated++;
		return;
	}
	if (rpc_parse(channel->device, payload, length, &parsed, downlink->reply, &reply_length) < 0)
		publish_reply(downlink, channel, id, downlink->reply, reply_length);
	else
		start_call(downlink, channel, id, hash, &parsed);
}

static void
unlink_call(struct channel *channel, struct call *call)
{
	struct call **at = &channel->calls;

	while (*at != call)
		at = &(*at)->next;
	*at = call->next;
	channel->call_count--;
}

/* What a person has just set is not overwritten by an older wish that could not be written then. */
static void
overrule_wanted(struct downlink *downlink, const struct call *call, const struct point *point)
{
	struct wanted *wanted = downlink->wanted_by_point[point->index];

	if (wanted && !wanted->running && wanted->since_mono_ms <= call->sent_mono_ms)
		wanted_clear(wanted);
}

static bool
is_done(const struct outcome *outcome)
{
	return outcome->status == OUTCOME_DONE || outcome->status == OUTCOME_UNCHANGED;
}

static size_t
reply_to_one(const struct call *call, char *reply)
{
	const struct outcome *outcome = &call->outcomes[0];
	char error[RPC_TEXT_MAX];

	if (is_done(outcome))
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
		if (is_done(outcome)) {
			results[i].value = &outcome->value;
			continue;
		}
		outcome_text(outcome, call->kind, errors[i], sizeof(errors[i]));
		results[i].error = errors[i];
	}
	return rpc_reply_values(results, call->count, reply);
}

static void
finish_call(struct downlink *downlink, struct channel *channel, struct call *call)
{
	size_t length =
	    call->many ? reply_to_many(call, downlink->reply) : reply_to_one(call, downlink->reply);

	unlink_call(channel, call);
	keep_answer(channel, call, downlink->reply, length);
	if (channel->stage != STAGE_DOWN && call->connection == channel->connection)
		publish_reply(downlink, channel, call->id, downlink->reply, length);
	else
		downlink->counts.replies_dropped++;
	call_free(call);
}

/* One of the call's; takes its value. */
static void
call_outcome(struct downlink *downlink, struct pending *pending, struct outcome *outcome)
{
	struct call *call = pending->call;

	if (call->kind == COMMAND_WRITE && is_done(outcome))
		overrule_wanted(downlink, call, outcome->point);
	call->outcomes[pending->index] = *outcome;
	outcome->value = (struct value){ 0 };
	if (--call->left == 0)
		finish_call(downlink, channel_of(downlink, pending->device), call);
}

/* ---- when the server is out of reach ---- */

static void
safe_say(const struct channel *channel, struct safe *safe, const struct outcome *outcome, const char *result)
{
	char text[OUTCOME_TEXT_MAX];

	if (safe->said)
		return;
	safe->said = true;
	outcome_text(outcome, COMMAND_WRITE, text, sizeof(text));
	log_warning("device %s: on_cloud_loss: %s: %s: %s", channel->device->name, safe->write->point->key, text,
	    result);
}

static bool
is_safe(const struct channel *channel)
{
	for (size_t i = 0; i < channel->safe_count; i++)
		if (channel->safe[i].wanted || channel->safe[i].running)
			return false;
	return true;
}

/* Is something to be written to the unit of that point, and not on its way? */
static bool
is_unsafe_unit(const struct channel *channel, const struct point *point)
{
	for (size_t i = 0; i < channel->safe_count; i++) {
		const struct safe *safe = &channel->safe[i];

		if (safe->wanted && !safe->running && safe->write->point->bus == point->bus &&
		    safe->write->point->unit == point->unit)
			return true;
	}
	return false;
}

/* Write what is not written yet, one by one and in order. What finds no place is tried again like what fails. */
static void
safe_send(struct downlink *downlink, struct channel *channel)
{
	int64_t now = clock_mono_ms();

	for (size_t i = 0; i < channel->safe_count; i++) {
		struct safe *safe = &channel->safe[i];
		struct group group;
		struct pending *pending;
		struct value copy;

		if (!safe->wanted || safe->running || value_copy(&safe->write->value, &copy) < 0)
			continue;
		group.count = 0;
		pending = group_add(downlink, &group, channel, COMMAND_WRITE, safe->write->point, copy);
		if (pending)
			pending->safe = safe;
		safe->running = pending && group_push(downlink, &group) == 0;
		if (!safe->running) {
			group_drop(downlink, &group);
			value_done(&copy);
		}
	}
	channel->safe_sent_mono_ms = now;
	heap_set(&downlink->losses, &channel->loss, now + channel->safe_retry_ms);
	channel->safe_retry_ms *= 2;
	if (channel->safe_retry_ms > SAFE_RETRY_MAX_MS)
		channel->safe_retry_ms = SAFE_RETRY_MAX_MS;
}

/* A wish that is older than the loss would undo what is written now. */
static void
drop_wishes(struct downlink *downlink, const struct channel *channel)
{
	for (size_t i = 0; i < channel->safe_count; i++) {
		struct wanted *wanted = downlink->wanted_by_point[channel->safe[i].write->point->index];

		if (wanted)
			wanted_clear(wanted);
	}
}

static void
note_loss(struct downlink *downlink, struct channel *channel)
{
	channel->lost = true;
	log_warning("device %s: no session with the server for %d s: its on_cloud_loss values are written",
	    channel->device->name, channel->device->cloud_loss_s);
	for (size_t i = 0; i < channel->safe_count; i++) {
		channel->safe[i].wanted = true;
		channel->safe[i].said = false;
	}
	drop_wishes(downlink, channel);
	channel->safe_retry_ms = SAFE_RETRY_MS;
	safe_send(downlink, channel);
}

/* The server has answered: from now on it says what is to be written. */
static void
note_heard(struct downlink *downlink, struct channel *channel)
{
	channel->heard = true;
	heap_remove(&downlink->losses, &channel->loss);
	if (!channel->lost)
		return;
	channel->lost = false;
	log_notice("device %s: the server is back after %" PRId64 " s", channel->device->name,
	    (clock_mono_ms() - channel->silent_mono_ms) / 1000);
	for (size_t i = 0; i < channel->safe_count; i++)
		channel->safe[i].wanted = false;
}

/* A session that was heard has ended. */
static void
note_silence(struct downlink *downlink, struct channel *channel)
{
	if (!channel->heard)
		return;
	channel->heard = false;
	channel->silent_mono_ms = clock_mono_ms();
	if (channel->safe_count > 0)
		heap_set(&downlink->losses, &channel->loss,
		    channel->silent_mono_ms + (int64_t)channel->device->cloud_loss_s * 1000);
}

static void
safe_outcome(struct downlink *downlink, struct channel *channel, struct safe *safe,
    const struct outcome *outcome)
{
	safe->running = false;
	if (!safe->wanted)
		return;
	switch (outcome->status) {
	case OUTCOME_DONE:
	case OUTCOME_UNCHANGED:
		safe->wanted = false;
		break;
	case OUTCOME_EXCEPTION:
	case OUTCOME_REFUSED:
	case OUTCOME_DIFFERENT:
	case OUTCOME_UNVERIFIED:
		safe->wanted = false;
		safe_say(channel, safe, outcome, "not tried again");
		break;
	default:
		safe_say(channel, safe, outcome, "will be written once the unit answers");
		break;
	}
	if (is_safe(channel))
		heap_remove(&downlink->losses, &channel->loss);
}

void
downlink_outcome(struct downlink *downlink, struct outcome *outcome)
{
	struct pending *pending = pending_find(downlink, outcome->tag);

	if (pending) {
		struct pending taken = *pending;

		pending_give(downlink, pending);
		if (taken.call)
			call_outcome(downlink, &taken, outcome);
		else if (taken.safe)
			safe_outcome(downlink, channel_of(downlink, taken.device), taken.safe, outcome);
		else
			wanted_outcome(downlink, taken.wanted, outcome);
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
	note_silence(downlink, channel);
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
	note_heard(downlink, channel);
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
	struct channel *channel = channel_of(downlink, sample->point->device->index);
	struct wanted *wanted = downlink->wanted_by_point[sample->point->index];

	if (channel->lost && is_unsafe_unit(channel, sample->point) &&
	    clock_mono_ms() - channel->safe_sent_mono_ms >= SAFE_SAMPLE_MS)
		safe_send(downlink, channel);
	if (!wanted || wanted->value.kind == VALUE_NONE || wanted->running ||
	    clock_mono_ms() < wanted->retry_mono_ms)
		return;
	wanted_send(downlink, wanted);
}

int64_t
downlink_due_mono_ms(const struct downlink *downlink)
{
	const struct heap_node *first = heap_first(&downlink->due);
	const struct heap_node *loss = heap_first(&downlink->losses);

	if (!first || (loss && loss->due < first->due))
		first = loss;
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
	while ((first = heap_first(&downlink->losses)) && first->due <= now) {
		struct channel *channel = heap_entry(first, struct channel, loss);

		if (channel->lost)
			safe_send(downlink, channel);
		else
			note_loss(downlink, channel);
	}
}

struct downlink_counts
downlink_counts(const struct downlink *downlink)
{
	return downlink->counts;
}
