#include "cloud/downlink.h"

#include <errno.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/heap.h"
#include "base/log.h"
#include "cloud/calls.h"
#include "cloud/cloud_loss.h"
#include "cloud/commands.h"
#include "cloud/chores.h"
#include "cloud/rpc_client.h"
#include "cloud/rpc_server.h"
#include "cloud/shared.h"
#include "cloud/tb_json.h"

#define ASK_AGAIN_MS 10000 /* an attribute request that fails is not answered at all */
#define ASK_TRIES    5
#define ASK_SELDOM_MS 600000 /* after so many */
#define ROOM_MS	     500 /* the server's limits have no room for a subscription: it is looked again */
#define ASKS_MORE    64 /* requests to the server without an answer, beyond one of each device */

enum stage { STAGE_DOWN, STAGE_SUBSCRIBING, STAGE_ASKING, STAGE_READY };

/* What a session of a device has to come to. */
struct channel {
	const struct device *device;
	enum stage stage;
	int subscribe_id;
	int64_t request_id;
	size_t asked, next; /* which shared attributes that is for: from, up to */
	int tries;
	struct heap_node due; /* mono ms: subscribe or ask again */
	bool refusal_said;
};

struct downlink {
	const struct settings *settings;
	struct downlink_port port;
	struct commands *commands;
	struct shared *shared;
	struct rpc_server *rpc_server;
	struct rpc_client *rpc_client;
	struct calls *calls;
	struct cloud_loss *cloud_loss;
	struct chores *chores; /* of the gateway itself, or NULL */
	struct heap due;
	struct channel *channels;
	uint64_t not_understood;
	char payload[TB_MAX_PAYLOAD];
};

struct downlink *
downlink_new(const struct settings *settings, struct downlink_port port, struct command_sink sink)
{
	struct downlink *downlink = calloc(1, sizeof(*downlink));
	struct commands *commands = commands_new(sink);
	struct shared *shared = commands ? shared_new(settings, port, commands) : NULL;

	if (!downlink || !shared) {
		shared_free(shared);
		commands_free(commands);
		free(downlink);
		return NULL;
	}
	downlink->settings = settings;
	downlink->port = port;
	downlink->commands = commands;
	downlink->shared = shared;
	downlink->rpc_server = rpc_server_new(settings, port, commands, shared);
	downlink->rpc_client =
	    rpc_client_new(settings->device_count, settings->device_count + ASKS_MORE, port);
	if (downlink->rpc_client)
		downlink->calls = calls_new(settings, commands, downlink->rpc_client, shared);
	downlink->cloud_loss = cloud_loss_new(settings, commands, shared);
	downlink->channels = calloc(settings->device_count + 1, sizeof(downlink->channels[0]));
	if (settings->gateway)
		downlink->chores = chores_new(settings->gateway->index, port);
	if (heap_init(&downlink->due, settings->device_count) < 0 || !downlink->rpc_server ||
	    (settings->gateway && !downlink->chores) || !downlink->calls || !downlink->cloud_loss ||
	    !downlink->channels) {
		downlink_free(downlink);
		return NULL;
	}
	for (size_t i = 0; i < settings->device_count; i++)
		downlink->channels[i].device = &settings->devices[i];
	return downlink;
}

void
downlink_free(struct downlink *downlink)
{
	if (!downlink)
		return;
	chores_free(downlink->chores);
	cloud_loss_free(downlink->cloud_loss);
	calls_free(downlink->calls);
	rpc_client_free(downlink->rpc_client);
	rpc_server_free(downlink->rpc_server);
	shared_free(downlink->shared);
	commands_free(downlink->commands);
	heap_done(&downlink->due);
	free(downlink->channels);
	free(downlink);
}

void
downlink_outcome(struct downlink *downlink, struct outcome *outcome)
{
	commands_outcome(downlink->commands, outcome);
	shared_room(downlink->shared);
}

void
downlink_watch(const struct settings *settings, bool *watched)
{
	for (size_t i = 0; i < settings->device_count; i++) {
		const struct device *device = &settings->devices[i];

		for (size_t j = 0; j < device->point_count; j++)
			if (device->points[j].shared || device->on_cloud_loss_count > 0)
				watched[device->points[j].index] = true;
		for (size_t j = 0; j < device->call_count; j++)
			if (device->calls[j].on)
				watched[device->calls[j].on->index] = true;
	}
}

void
downlink_sample(struct downlink *downlink, const struct sample *sample)
{
	cloud_loss_sample(downlink->cloud_loss, sample);
	shared_sample(downlink->shared, sample);
	calls_sample(downlink->calls, sample);
}

/* ---- the session ---- */

static bool
is_gateway(const struct downlink *downlink, size_t device)
{
	return downlink->chores && device == downlink->settings->gateway->index;
}

void
downlink_chore_done(struct downlink *downlink, struct chore_done *done)
{
	if (downlink->chores)
		chores_tell(downlink->chores, done);
	else
		free(done->text); /* it is a device no more */
}

static void
set_due(struct downlink *downlink, struct channel *channel, int64_t delay_ms)
{
	heap_set(&downlink->due, &channel->due, clock_mono_ms() + delay_ms);
}

static int64_t
ask_again_ms(const struct channel *channel)
{
	return channel->tries < ASK_TRIES ? ASK_AGAIN_MS : ASK_SELDOM_MS;
}

static void
subscribe(struct downlink *downlink, struct channel *channel)
{
	size_t device = channel->device->index;

	channel->stage = STAGE_SUBSCRIBING;
	channel->subscribe_id =
	    downlink->port.subscribe(downlink->port.ctx, device, shared_count(channel->device) > 0);
	set_due(downlink, channel, channel->subscribe_id == -EAGAIN ? ROOM_MS : ask_again_ms(channel));
}

static void
ask_attributes(struct downlink *downlink, struct channel *channel)
{
	size_t device = channel->device->index;
	size_t length;

	channel->next = channel->asked;
	length = shared_request(downlink->shared, device, &channel->next, downlink->payload);
	channel->stage = STAGE_ASKING;
	channel->request_id++;
	set_due(downlink, channel, ask_again_ms(channel));
	downlink->port.publish(
	    downlink->port.ctx, device, TB_ATTRIBUTE_REQUEST, channel->request_id, downlink->payload, length);
}

static void
be_ready(struct downlink *downlink, struct channel *channel)
{
	channel->stage = STAGE_READY;
	heap_remove(&downlink->due, &channel->due);
}

void
downlink_up(struct downlink *downlink, size_t device)
{
	struct channel *channel = &downlink->channels[device];

	rpc_server_up(downlink->rpc_server, device);
	if (is_gateway(downlink, device))
		chores_up(downlink->chores);
	channel->tries = 0;
	subscribe(downlink, channel);
}

void
downlink_down(struct downlink *downlink, size_t device, bool on_purpose)
{
	struct channel *channel = &downlink->channels[device];

	channel->stage = STAGE_DOWN;
	heap_remove(&downlink->due, &channel->due);
	rpc_server_down(downlink->rpc_server, device);
	shared_down(downlink->shared, device);
	calls_down(downlink->calls, device);
	rpc_client_down(downlink->rpc_client, device);
	if (!on_purpose)
		cloud_loss_silent(downlink->cloud_loss, device);
}

void
downlink_subscribed(struct downlink *downlink, size_t device, int id, bool granted)
{
	struct channel *channel = &downlink->channels[device];

	if (channel->stage != STAGE_SUBSCRIBING || id != channel->subscribe_id)
		return;
	if (!granted && !channel->refusal_said)
		log_warning("device %s: the server refused its subscriptions: commands will not arrive",
		    channel->device->name);
	channel->refusal_said = !granted;
	channel->tries = 0;
	cloud_loss_heard(downlink->cloud_loss, device);
	shared_up(downlink->shared, device);
	calls_up(downlink->calls, device);
	channel->asked = 0;
	if (shared_count(channel->device) > 0)
		ask_attributes(downlink, channel);
	else
		be_ready(downlink, channel);
}

static void
take_response(struct downlink *downlink, struct channel *channel, int64_t id, const struct tb_json *json)
{
	if (channel->stage != STAGE_ASKING || id != channel->request_id)
		return;
	shared_response(downlink->shared, channel->device->index, json);
	channel->asked = channel->next;
	channel->tries = 0;
	if (channel->asked < shared_count(channel->device))
		ask_attributes(downlink, channel);
	else
		be_ready(downlink, channel);
}

static void
take_document(struct downlink *downlink, struct channel *channel, enum tb_topic topic, int64_t id,
    const struct tb_json *json)
{
	switch (topic) {
	case TB_ATTRIBUTES:
		shared_update(downlink->shared, channel->device->index, json);
		break;
	case TB_ATTRIBUTE_RESPONSE:
		take_response(downlink, channel, id, json);
		break;
	default:
		break;
	}
}

/* There is nobody to answer. */
static void
note_odd(struct downlink *downlink, const struct channel *channel, const char *topic)
{
	downlink->not_understood++;
	log_debug("device %s: message on %.64s is not understood", channel->device->name, topic);
}

void
downlink_message(
    struct downlink *downlink, size_t device, const char *topic, const void *payload, size_t length)
{
	struct channel *channel = &downlink->channels[device];
	struct tb_json *json;
	enum tb_topic kind;
	int64_t id = 0;

	kind = tb_topic_parse(topic, &id);
	if (kind == TB_RPC_REQUEST && is_gateway(downlink, device)) {
		chores_request(downlink->chores, id, payload, length);
	} else if (kind == TB_RPC_REQUEST) {
		rpc_server_request(downlink->rpc_server, device, id, payload, length);
	} else if (kind == TB_RPC_RESPONSE) {
		rpc_client_response(downlink->rpc_client, device, id, payload, length);
	} else {
		json = kind == TB_UNKNOWN ? NULL : tb_json_parse(payload, length);
		if (json)
			take_document(downlink, channel, kind, id, json);
		else
			note_odd(downlink, channel, topic);
		tb_json_free(json);
	}
}

int
downlink_ask(struct downlink *downlink, size_t device, const char *method, const char *params, int timeout_ms,
    rpc_answer *answered, void *ctx)
{
	if (downlink->channels[device].stage == STAGE_DOWN)
		return -ENOTCONN;
	return rpc_client_ask(downlink->rpc_client, device, method, params, timeout_ms, answered, ctx);
}

/* ---- other settings ---- */

static void
adopt_channel(struct downlink *downlink, struct channel *channel, const struct channel *from)
{
	channel->stage = from->stage;
	channel->subscribe_id = from->subscribe_id;
	channel->request_id = from->request_id;
	/* They may be others now: after the answer that is awaited they are all asked for. */
	channel->asked = channel->next = 0;
	channel->tries = from->tries;
	channel->refusal_said = from->refusal_said;
	if (from->due.position != 0)
		heap_set(&downlink->due, &channel->due, from->due.due);
}

void
downlink_adopt(struct downlink *downlink, struct downlink *from, const struct difference *difference)
{
	commands_adopt(downlink->commands, from->commands);
	rpc_server_adopt(downlink->rpc_server, from->rpc_server, difference);
	calls_adopt(downlink->calls, from->calls, difference);
	rpc_client_adopt(downlink->rpc_client, from->rpc_client, difference);
	shared_adopt(downlink->shared, from->shared, difference);
	cloud_loss_adopt(downlink->cloud_loss, from->cloud_loss, difference);
	if (downlink->chores && from->chores)
		chores_adopt(downlink->chores, from->chores);
	for (size_t i = 0; i < downlink->settings->device_count; i++) {
		const struct device *was = difference_device(difference, downlink->channels[i].device);

		if (was)
			adopt_channel(downlink, &downlink->channels[i], &from->channels[was->index]);
	}
}

/* Shared points that are new have to be asked for. */
void
downlink_adopted(struct downlink *downlink)
{
	for (size_t i = 0; i < downlink->settings->device_count; i++) {
		struct channel *channel = &downlink->channels[i];

		if (channel->stage == STAGE_DOWN || !shared_is_news(downlink->shared, i))
			continue;
		channel->tries = 0;
		subscribe(downlink, channel);
	}
	calls_adopted(downlink->calls);
}

/* ---- time ---- */

int64_t
downlink_due_mono_ms(const struct downlink *downlink)
{
	const struct heap_node *first = heap_first(&downlink->due);
	int64_t dues[] = { first ? first->due : CLOCK_NEVER, cloud_loss_due_mono_ms(downlink->cloud_loss),
		shared_due_mono_ms(downlink->shared), rpc_server_due_mono_ms(downlink->rpc_server),
		calls_due_mono_ms(downlink->calls), rpc_client_due_mono_ms(downlink->rpc_client) };
	int64_t due = CLOCK_NEVER;

	for (size_t i = 0; i < sizeof(dues) / sizeof(dues[0]); i++)
		if (dues[i] < due)
			due = dues[i];
	return due;
}

static void
try_again(struct downlink *downlink, struct channel *channel)
{
	bool waits = channel->stage == STAGE_SUBSCRIBING && channel->subscribe_id == -EAGAIN;

	channel->tries += !waits;
	if (channel->tries == ASK_TRIES && !waits)
		log_warning("device %s: the server does not answer its %s: asking every %d min from now on",
		    channel->device->name,
		    channel->stage == STAGE_ASKING ? "request for shared attributes" : "subscriptions", ASK_SELDOM_MS / 60000);
	if (channel->stage == STAGE_SUBSCRIBING)
		subscribe(downlink, channel);
	else
		ask_attributes(downlink, channel);
}

void
downlink_tick(struct downlink *downlink)
{
	int64_t now = clock_mono_ms();
	struct heap_node *first;

	while ((first = heap_first(&downlink->due)) && first->due <= now)
		try_again(downlink, heap_entry(first, struct channel, due));
	cloud_loss_tick(downlink->cloud_loss);
	shared_tick(downlink->shared);
	rpc_server_tick(downlink->rpc_server);
	calls_tick(downlink->calls);
	rpc_client_tick(downlink->rpc_client);
}

struct downlink_counts
downlink_counts(const struct downlink *downlink)
{
	struct rpc_server_counts rpc = rpc_server_counts(downlink->rpc_server);
	struct calls_counts calls = calls_counts(downlink->calls);

	return (struct downlink_counts){
		.rpc_requests = rpc.requests,
		.rpc_refused = rpc.refused,
		.rpc_repeated = rpc.repeated,
		.replies_dropped = rpc.replies_dropped,
		.calls = calls.made,
		.calls_failed = calls.failed,
		.shared_written = shared_counts(downlink->shared).written,
		.shared_refused = shared_counts(downlink->shared).refused,
		.not_understood = downlink->not_understood,
		.pending = commands_pending(downlink->commands),
	};
}

void
downlink_health(const struct downlink *downlink, size_t device, struct health_device *ret)
{
	if (is_gateway(downlink, device))
		chores_health(downlink->chores, ret);
	else
		rpc_server_health(downlink->rpc_server, device, ret);
}
