#include "cloud/rpc_server.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/heap.h"
#include "base/log.h"
#include "cloud/journal.h"
#include "cloud/rpc.h"

#define CALLS_MAX      32 /* of one device: beyond, a request is answered "busy" */
#define ANSWERS_KEPT   CALLS_MAX /* replies to writes, for requests that the server repeats: all that a killed process had begun */
#define ANSWER_KEPT_MS 60000
#define REPLY_GRACE_MS 200 /* for a command that has just expired to say so */

/* A reply that was given. */
struct answer {
	int64_t id;
	uint64_t hash; /* of the request's payload: ids start again when the server does */
	int64_t until_mono_ms;
	size_t length;
	char *reply;
};

struct channel;

/* One value of a call. */
struct call_item {
	const struct point *point;
	struct value value; /* until it is pushed */
	bool tried;
	bool over; /* its outcome has come */
	struct outcome outcome;
};

/* An RPC whose outcomes have not all come. */
struct call {
	struct awaiter awaiter;
	struct heap_node due; /* mono ms: it is answered, whatever has come */
	struct channel *channel;
	struct call *next; /* of the same device */
	int64_t id;
	uint64_t hash;
	unsigned connection; /* the one that awaits the reply */
	int64_t sent_mono_ms;
	int64_t number; /* in the journal, or -1 */
	enum command_kind kind;
	bool many;
	bool in_order;
	bool by_text;
	struct point *own; /* the point of its one item, or NULL */
	bool answered;	   /* without waiting any longer */
	size_t count;
	size_t left; /* outcomes that are on their way */
	struct call_item items[];
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
	uint64_t requests; /* repeated ones included */
	uint64_t errors;   /* answered */
};

/* A point that no call needs any more, but the field may. */
struct orphan {
	struct point *point;
	struct orphan *next;
};

struct rpc_server {
	const struct settings *settings;
	struct downlink_port port;
	struct commands *commands;
	struct shared *shared;
	struct journal *journal; /* or NULL */
	struct orphan *orphans;
	struct channel *channels;
	struct heap due; /* of the calls */
	struct rpc_server_counts counts;
	char reply[RPC_REPLY_MAX];
};

/* ---- answers that were given ---- */

static void
keep_answer(struct channel *channel, const struct journal_request *request, int64_t since_mono_ms,
    const char *reply, size_t length)
{
	struct answer *answer = &channel->answers[channel->next_answer];
	char *copy = malloc(length);

	if (!copy)
		return;
	memcpy(copy, reply, length);
	free(answer->reply);
	*answer = (struct answer){
		.id = request->id,
		.hash = request->hash,
		.until_mono_ms = since_mono_ms + ANSWER_KEPT_MS,
		.length = length,
		.reply = copy,
	};
	channel->next_answer = (channel->next_answer + 1) % ANSWERS_KEPT;
}

static uint64_t
name_hash(const struct channel *channel)
{
	return hash_bytes(channel->device->name, strlen(channel->device->name));
}

/* A process before this one has taken it. If it could not tell what came of it, it may have been executed: it
 * is not executed again. */
static void
take_over(void *ctx, const struct journal_entry *entry)
{
	static const char lost[] =
	    "the gateway was restarted after it had taken the request: it may or may not "
	    "have been written, and is not written again";
	struct rpc_server *server = ctx;
	int64_t age_ms = clock_mono_ms() - entry->mono_ms;
	const char *reply = entry->reply;
	size_t length = entry->length;

	if (age_ms < 0 || age_ms >= ANSWER_KEPT_MS)
		return;
	if (!reply) {
		reply = server->reply;
		length = rpc_reply_error(lost, server->reply);
	}
	for (size_t i = 0; i < server->settings->device_count; i++)
		if (name_hash(&server->channels[i]) == entry->request.device)
			keep_answer(&server->channels[i], &entry->request, entry->mono_ms, reply, length);
}

static void
open_journal(struct rpc_server *server, const char *dir)
{
	if (!dir)
		return;
	server->journal = journal_open(dir);
	if (server->journal)
		journal_each(server->journal, take_over, server);
	else
		log_warning(
		    "%s: %s: a command that the server sends again to a new process is executed again", dir,
		    strerror(errno));
}

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
	if (heap_init(&server->due, settings->device_count * CALLS_MAX) < 0 || !server->channels) {
		rpc_server_free(server);
		return NULL;
	}
	for (size_t i = 0; i < settings->device_count; i++)
		server->channels[i] = (struct channel){ .server = server, .device = &settings->devices[i] };
	open_journal(server, settings->runtime_dir);
	return server;
}

static void
call_free(struct call *call)
{
	for (size_t i = 0; i < call->count; i++) {
		value_done(&call->items[i].value);
		value_done(&call->items[i].outcome.value);
	}
	free(call->own);
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
	heap_done(&server->due);
	while (server->orphans) {
		struct orphan *orphan = server->orphans;

		server->orphans = orphan->next;
		free(orphan->point);
		free(orphan);
	}
	journal_close(server->journal);
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

void
rpc_server_health(const struct rpc_server *server, size_t device, struct health_device *ret)
{
	ret->rpc_requests = server->channels[device].requests;
	ret->rpc_errors = server->channels[device].errors;
}

/* ---- replies ---- */

static void
publish(struct channel *channel, int64_t id, const char *reply, size_t length)
{
	const struct downlink_port *port = &channel->server->port;

	if (port->publish(port->ctx, channel->device->index, TB_RPC_RESPONSE, id, reply, length) < 0)
		channel->server->counts.replies_dropped++;
}

/* Nothing of it is done, and server->reply says why. */
static void
refuse(struct channel *channel, int64_t id, size_t length)
{
	channel->server->counts.refused++;
	publish(channel, id, channel->server->reply, length);
}

/* What came of an item, in words. */
static void
item_text(const struct call *call, const struct call_item *item, char *text)
{
	if (item->over || (!item->tried && !call->in_order))
		outcome_text(&item->outcome, call->kind, text, RPC_TEXT_MAX);
	else if (item->tried)
		snprintf(text, RPC_TEXT_MAX, "no outcome yet%s",
		    call->kind == COMMAND_READ ? "" : "; it may or may not be written");
	else
		snprintf(text, RPC_TEXT_MAX, "not sent");
}

static size_t
reply_to_one(const struct call *call, char *reply)
{
	const struct call_item *item = &call->items[0];
	char error[RPC_TEXT_MAX];

	if (outcome_is_good(&item->outcome))
		return call->by_text && call->kind != COMMAND_READ
			   ? rpc_reply_success(&item->outcome.value, reply)
			   : rpc_reply_value(&item->outcome.value, reply);
	item_text(call, item, error);
	return rpc_reply_error(error, reply);
}

/* A point may be written more than once: what is told of it is what came of it last. */
static bool
is_told(const struct call *call, size_t index)
{
	const struct call_item *item = &call->items[index];

	for (size_t i = 0; i < call->count; i++) {
		const struct call_item *other = &call->items[i];

		if (i != index && other->point == item->point && other->tried >= item->tried &&
		    (i > index || other->tried > item->tried))
			return false;
	}
	return true;
}

/* In order it is the first that failed which tells why the others were not sent. */
static const char *
summary_of(const struct call *call, char *text)
{
	char error[RPC_TEXT_MAX / 2];
	size_t failed = 0;

	while (failed < call->count && outcome_is_good(&call->items[failed].outcome))
		failed++;
	if (!call->in_order || failed == call->count)
		return NULL;
	item_text(call, &call->items[failed], error);
	snprintf(text, RPC_TEXT_MAX, "%.64s: %s; %zu of %zu values were written",
	    call->items[failed].point->key, error, failed, call->count);
	return text;
}

static size_t
reply_to_many(const struct call *call, char *reply)
{
	struct rpc_result results[RPC_ITEMS_MAX];
	char errors[RPC_ITEMS_MAX][RPC_TEXT_MAX];
	char summary[RPC_TEXT_MAX];
	size_t count = 0;

	for (size_t i = 0; i < call->count; i++) {
		const struct call_item *item = &call->items[i];

		if (!is_told(call, i))
			continue;
		results[count] = (struct rpc_result){ .key = item->point->key, .error = errors[count] };
		if (outcome_is_good(&item->outcome))
			results[count].value = &item->outcome.value;
		else
			item_text(call, item, errors[count]);
		count++;
	}
	return rpc_reply_values(summary_of(call, summary), results, count, reply);
}

/* Print the reply. Returns its length. */
static size_t
compose(const struct call *call)
{
	char *reply = call->channel->server->reply;

	return call->many ? reply_to_many(call, reply) : reply_to_one(call, reply);
}

static bool
is_all_good(const struct call *call)
{
	for (size_t i = 0; i < call->count; i++)
		if (!outcome_is_good(&call->items[i].outcome))
			return false;
	return true;
}

/* Send what compose() has printed to who waits for it. */
static void
deliver(const struct call *call, size_t length)
{
	struct channel *channel = call->channel;

	channel->errors += !is_all_good(call);
	if (channel->up && call->connection == channel->connection)
		publish(channel, call->id, channel->server->reply, length);
	else
		channel->server->counts.replies_dropped++;
}

/* ---- commands ---- */

/* Push the items of the call from `first` on that go out together: in order it is one, else all of one bus.
 */
static void
push_items(struct call *call, size_t first)
{
	struct rpc_server *server = call->channel->server;
	const struct bus *bus;
	size_t end = call->in_order ? first + 1 : call->count;
	struct command_group group;

	assert(call->items[first].point);
	bus = call->items[first].point->bus;
	group.count = 0;
	for (size_t i = first; i < end; i++) {
		struct call_item *item = &call->items[i];
		struct command command = {
			.kind = call->kind,
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
	for (size_t i = 0; i < group.count; i++) {
		call->items[group.indexes[i]].tried = true;
		call->items[group.indexes[i]].value = (struct value){ 0 };
	}
}

static bool
is_first_of_bus(const struct call *call, size_t index)
{
	for (size_t i = 0; i < index; i++)
		if (call->items[i].point->bus == call->items[index].point->bus)
			return false;
	return true;
}

static void
push_first(struct call *call)
{
	size_t count = call->in_order ? 1 : call->count;

	for (size_t i = 0; i < count; i++)
		if (is_first_of_bus(call, i))
			push_items(call, i);
}

static void
unlink_call(struct call *call)
{
	struct call **at = &call->channel->calls;

	while (*at != call)
		at = &(*at)->next;
	*at = call->next;
	call->channel->call_count--;
	heap_remove(&call->channel->server->due, &call->due);
}

/* Of writes only: a read is done again, so that no old value is ever told as the present one. */
static void
remember(const struct call *call, size_t length)
{
	struct rpc_server *server = call->channel->server;
	struct journal_request request = { .id = call->id, .hash = call->hash };

	if (call->kind == COMMAND_READ)
		return;
	keep_answer(call->channel, &request, clock_mono_ms(), server->reply, length);
	journal_answer(server->journal, call->number, server->reply, length);
}

static void
finish_call(struct call *call)
{
	size_t length = compose(call);

	unlink_call(call);
	remember(call, length);
	if (!call->answered)
		deliver(call, length);
	call_free(call);
}

/* One of the call's; takes its value. */
static void
call_outcome(struct awaiter *awaiter, size_t index, struct outcome *outcome)
{
	struct call *call = heap_entry(awaiter, struct call, awaiter);
	struct call_item *item = &call->items[index];
	bool good = outcome_is_good(outcome);

	/* What a person has just set is not overwritten by an older wish that could not be written then. */
	if (call->kind == COMMAND_WRITE && good)
		shared_overrule(call->channel->server->shared, item->point, call->sent_mono_ms);
	item->over = true;
	item->outcome = *outcome;
	item->outcome.point = item->point;
	outcome->value = (struct value){ 0 };
	call->left--;
	if (call->in_order && good && index + 1 < call->count && !call->answered)
		push_items(call, index + 1);
	if (call->left == 0)
		finish_call(call);
}

int64_t
rpc_server_due_mono_ms(const struct rpc_server *server)
{
	const struct heap_node *first = heap_first(&server->due);

	return first ? first->due : CLOCK_NEVER;
}

/* Whoever asks does not wait for ever: what has not come by now is told as such. The outcome is still
 * awaited, for a request that is repeated. */
void
rpc_server_tick(struct rpc_server *server)
{
	int64_t now = clock_mono_ms();
	struct heap_node *first;

	while ((first = heap_first(&server->due)) && first->due <= now) {
		struct call *call = heap_entry(first, struct call, due);

		heap_remove(&server->due, &call->due);
		deliver(call, compose(call));
		call->answered = true;
	}
}

/* ---- other settings ---- */

/* A point that is of no settings goes with those that it was made for. */
static bool
is_same(const struct call *call, const struct difference *difference)
{
	if (call->own)
		return false;
	for (size_t i = 0; i < call->count; i++)
		if (!difference_point_now(difference, call->items[i].point))
			return false;
	return difference_device_now(difference, call->channel->device) != NULL;
}

static void
adopt_item(struct call_item *item, const struct difference *difference)
{
	item->point = difference_point_now(difference, item->point);
	item->outcome.point = item->point;
	/* Without memory it is told that nobody knows, which is true by then. */
	if (difference_carry(item->point, &item->outcome.value) != 0)
		item->outcome = (struct outcome){ .status = OUTCOME_TIMEOUT, .point = item->point };
	/* And this cannot be written any more. */
	if (difference_carry(item->point, &item->value) != 0)
		item->value = (struct value){ .kind = VALUE_NONE };
}

static void
adopt_calls(struct channel *channel, struct channel *from, const struct difference *difference)
{
	channel->calls = from->calls;
	channel->call_count = from->call_count;
	from->calls = NULL;
	from->call_count = 0;
	for (struct call *call = channel->calls; call; call = call->next) {
		int64_t due_mono_ms = call->due.due;
		bool due = call->due.position != 0;

		heap_remove(&from->server->due, &call->due);
		call->channel = channel;
		if (due)
			heap_set(&channel->server->due, &call->due, due_mono_ms);
		for (size_t i = 0; i < call->count; i++)
			adopt_item(&call->items[i], difference);
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
	channel->requests = from->requests;
	channel->errors = from->errors;
}

/* The field may still look at the call's own point, which is kept until the next time. */
static void
leave_point(struct rpc_server *server, struct call *call)
{
	struct orphan *orphan = call->own ? malloc(sizeof(*orphan)) : NULL;

	if (orphan) {
		*orphan = (struct orphan){ .point = call->own, .next = server->orphans };
		server->orphans = orphan;
	}
	call->own = NULL;
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
			if (is_same(call, difference))
				continue;
			/* The field may still do what has no outcome yet; nothing is sent any more. */
			call->in_order = false;
			leave_point(server, call);
			commands_abandon(server->commands, &call->awaiter);
		}
		if (!now)
			continue;
		adopt_calls(&server->channels[now->index], channel, difference);
		adopt_answers(&server->channels[now->index], channel);
	}
	server->counts = from->counts;
	server->journal = from->journal;
	from->journal = NULL;
}

/* ---- requests ---- */

/* ThingsBoard sends every request that it has no reply to again when a device subscribes again. */
static bool
is_repeated(struct channel *channel, int64_t id, uint64_t hash)
{
	for (struct call *call = channel->calls; call; call = call->next)
		if (call->id == id && call->hash == hash) {
			call->connection = channel->connection;
			if (call->answered)
				deliver(call, compose(call));
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

/* Takes the values. */
static struct call *
call_new(struct channel *channel, int64_t id, uint64_t hash, struct rpc_call *parsed)
{
	struct call *call = calloc(1, sizeof(*call) + parsed->count * sizeof(call->items[0]));

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
		.in_order = parsed->in_order,
		.by_text = parsed->by_text,
		.own = parsed->own,
		.count = parsed->count,
	};
	for (size_t i = 0; i < call->count; i++) {
		/* Until there is another outcome: no queue had room. */
		call->items[i] = (struct call_item){ .point = parsed->items[i].point,
			.value = parsed->items[i].value,
			.outcome = { .status = OUTCOME_STOPPED, .point = parsed->items[i].point } };
		parsed->items[i].value = (struct value){ 0 };
	}
	parsed->own = NULL;
	return call;
}

/* It is written down before anything of it is done. */
static void
note_taken(struct call *call)
{
	struct journal_request request = {
		.device = name_hash(call->channel), .id = call->id, .hash = call->hash
	};

	call->number =
	    call->kind == COMMAND_READ ? -1 : journal_take(call->channel->server->journal, &request);
}

static void
start_call(struct channel *channel, int64_t id, uint64_t hash, struct rpc_call *parsed)
{
	struct rpc_server *server = channel->server;
	struct call *call = channel->call_count < CALLS_MAX ? call_new(channel, id, hash, parsed) : NULL;

	rpc_call_done(parsed);
	if (call) {
		note_taken(call);
		push_first(call);
	}
	if (call && call->left > 0) {
		call->next = channel->calls;
		channel->calls = call;
		channel->call_count++;
		heap_set(&server->due, &call->due,
		    call->sent_mono_ms + server->settings->server.rpc_timeout_ms + REPLY_GRACE_MS);
		return;
	}
	if (call) {
		journal_drop(server->journal, call->number);
		call_free(call);
	}
	refuse(channel, id,
	    rpc_reply_error("busy: too many requests are waiting, nothing was sent", server->reply));
}

void
rpc_server_request(struct rpc_server *server, size_t device, int64_t id, const void *payload, size_t length)
{
	struct channel *channel = &server->channels[device];
	uint64_t hash = hash_bytes(payload, length);
	struct rpc_call parsed;
	size_t reply_length;

	server->counts.requests++;
	channel->requests++;
	if (is_repeated(channel, id, hash)) {
		server->counts.repeated++;
		return;
	}
	if (rpc_parse(channel->device, payload, length, &parsed, server->reply, &reply_length) < 0) {
		channel->errors++;
		refuse(channel, id, reply_length);
	} else {
		start_call(channel, id, hash, &parsed);
	}
}
