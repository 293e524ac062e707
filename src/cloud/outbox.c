#include <config.h>

#include "cloud/outbox.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "cloud/aside.h"
#include "cloud/mqtt.h"
#include "cloud/reason.h"
#include "cloud/tb_json.h"

#define ACK_TIMEOUT_MS	30000 /* a PUBACK that takes longer will not come */
#define QUOTA_PAUSE_MS	5000  /* after "quota exceeded" */
#define ATTRIBUTES_MIN	4200  /* bytes: the longest single attribute fits */
#define PAYLOAD_MIN	(2 * BATCH_ROW_OVERHEAD)
#define LIMITS_WAIT_MS	2000  /* for a server that knows its limits to tell them */
#define PACE_FACTOR	11    /* times reconnect_min_ms: mqtt.c takes a session for a good one when it has stood for 10 s */
#define TURN_MS		1000  /* after which a trial looks again whether that of another device is over */
#define LEARNED_MS	3600000 /* a server that closed on large messages may have been mended since */
#define SAY_AGAIN_MS	3600000
#define PACKET_OVERHEAD 64 /* of MQTT: the topic, the id, the properties */

bool
outbox_is_up(const struct outbox *outbox)
{
	const struct sender_port *port = &outbox->all->port;

	return port->is_up(port->ctx, outbox->device->index);
}

static int
publish(struct outbox *outbox, enum tb_topic topic, int64_t id, const void *payload, size_t length)
{
	const struct sender_port *port = &outbox->all->port;

	return port->publish(port->ctx, outbox->device->index, topic, id, payload, length);
}

static int
ack_timeout_ms(const struct outbox *outbox)
{
	int set_ms = outbox->all->settings->server.ack_timeout_ms;

	return set_ms > 0 ? set_ms : ACK_TIMEOUT_MS;
}

static void
wake_at(struct outbox *outbox, int64_t due_mono_ms)
{
	if (outbox->due.position == 0 || outbox->due.due > due_mono_ms)
		heap_set(&outbox->all->due, &outbox->due, due_mono_ms);
}

/* The node is moved only when it fires: a deadline that is met costs nothing. */
static void
expect_ack(struct outbox *outbox)
{
	if (outbox->due.position == 0)
		wake_at(outbox, clock_mono_ms() + ack_timeout_ms(outbox));
}

static size_t
bytes_max(const struct outbox *outbox)
{
	size_t told = outbox->session->limits.packet_max;
	size_t max = outbox->payload_max;

	if (told > PACKET_OVERHEAD && told - PACKET_OVERHEAD < max)
		max = told - PACKET_OVERHEAD;
	return max > PAYLOAD_MIN ? max : PAYLOAD_MIN;
}

/* A message of this length was too large for the server (MQTT 5: its maximum packet size): smaller ones from
 * now on. */
static void
shrink_payloads(struct outbox *outbox, size_t length)
{
	outbox->payload_max = length / 2;
	log_debug("device %s: messages of at most %zu bytes", outbox->device->name, outbox->payload_max);
}

/* ---- what the server does not take ---- */

/* A device that makes poison all the time does not fill the log. */
static void
say_aside(struct outbox *outbox, const struct aside *aside, int error)
{
	int64_t now = clock_mono_ms();
	int key_length = 0;

	outbox->counts.refused_values++;
	if (outbox->aside_said_mono_ms != 0 && now - outbox->aside_said_mono_ms < SAY_AGAIN_MS) {
		outbox->aside_unsaid++;
		return;
	}
	while ((size_t)key_length < aside->length && aside->members[key_length] != ':')
		key_length++;
	log_error("device %s: the server does not take %.*s of %" PRId64 " (%s): set aside%s%s%s", outbox->device->name,
	    key_length, aside->members, aside->ts_unix_ms, aside->why, error < 0 || !aside->dir ? "" : " in ",
	    error < 0 || !aside->dir ? "" : aside->dir, error < 0 || !aside->dir ? "" : "/" ASIDE_FILE);
	if (error < 0)
		log_error("store: %s/%s: %s", aside->dir, ASIDE_FILE, strerrordesc_np(-error));
	if (outbox->aside_unsaid > 0)
		log_error("device %s: %" PRIu64 " more values were set aside since the last such line",
		    outbox->device->name, outbox->aside_unsaid);
	outbox->aside_unsaid = 0;
	outbox->aside_said_mono_ms = now;
}

static void
keep_aside(struct outbox *outbox, int64_t ts_unix_ms, const char *members, size_t length, const char *why)
{
	struct aside aside = {
		.dir = outbox->all->settings->store.dir,
		.device = outbox->device->name,
		.ts_unix_ms = ts_unix_ms,
		.members = members,
		.length = length,
		.why = why,
		.now_unix_ms = clock_unix_ms(),
	};

	say_aside(outbox, &aside, aside_write(&aside));
}

static void
learn_size(struct outbox *outbox, unsigned values)
{
	if (values == 0)
		return;
	outbox->values_max = values;
	outbox->values_max_until_mono_ms = clock_mono_ms() + LEARNED_MS;
	log_notice("device %s: the server closes the connection on messages of more than %u values or so: smaller ones from now on",
	    outbox->device->name, values);
}

/* The message has arrived, or will never: go on behind it. */
static void
settle(struct outbox *outbox, const struct batch *batch)
{
	if (batch->part && !batch->part_ends) {
		outbox->part_seq = batch->first_seq;
		outbox->part_from = batch->part_to;
		return;
	}
	if (outbox->part_seq == batch->first_seq)
		outbox->part_seq = 0;
	store_confirm(outbox->all->store, outbox->device->index, batch->first_seq, batch->last_seq);
	if (batch->first_seq >= outbox->doubt.first_seq && batch->last_seq <= outbox->doubt.last_seq)
		learn_size(outbox, doubt_advance(&outbox->doubt, batch->last_seq + 1));
}

/* A single value, whose row is due. */
static void
set_aside(struct outbox *outbox, const struct batch *batch, const char *why)
{
	struct store_row row;
	size_t from;

	assert(batch);
	from = batch->first_seq == outbox->part_seq ? outbox->part_from : 0;
	if (store_find(outbox->all->store, outbox->device->index, batch->first_seq, batch->first_seq, &row) == 0) {
		size_t to = batch->part ? batch_member_end(row.members, row.length, from) : row.length;

		if (from < to)
			keep_aside(outbox, row.ts_unix_ms, row.members + from, to - from, why);
	}
	doubt_found(&outbox->doubt);
	settle(outbox, batch);
}

static void
say_doubt(const struct outbox *outbox, enum doubt_state before, const char *why)
{
	if (before != DOUBT_SUSPECT && outbox->doubt.state == DOUBT_SUSPECT)
		log_warning("device %s: the server does not take some telemetry (%s): it is tried alone, and the rest goes first",
		    outbox->device->name, why);
}

static int64_t
pace_ms(const struct outbox *outbox)
{
	return (int64_t)PACE_FACTOR * outbox->all->settings->server.reconnect_min_ms;
}

static void
doubt_attributes(struct outbox *outbox, bool for_good, const char *why)
{
	bool trial = outbox->attributes_trial;
	size_t length = 0;
	const char *dropped =
	    attributes_doubt(outbox->attributes, trial && outbox->doubt.control, for_good, &length);

	if (dropped)
		keep_aside(outbox, 0, dropped, length, why);
	log_debug("device %s: lost with attributes in flight%s (%s)", outbox->device->name, trial ? ", tried alone" : "", why);
	if (trial && outbox->attributes_waits < 5)
		outbox->attributes_waits++;
	outbox->attributes_retry_mono_ms =
	    trial && !for_good ? clock_mono_ms() + (pace_ms(outbox) << outbox->attributes_waits) : 0;
}

/* ---- sending ---- */

/* After "quota exceeded": wait for what is in flight, then for the pause, then send again in order. */
static bool
is_pausing(struct outbox *outbox)
{
	int64_t now = clock_mono_ms();

	if (outbox->pause_mono_ms == 0)
		return false;
	if (outbox->flights.count > 0)
		return true;
	if (now < outbox->pause_mono_ms) {
		wake_at(outbox, outbox->pause_mono_ms);
		return true;
	}
	outbox->pause_mono_ms = 0;
	return false;
}

static bool
awaits_limits(struct outbox *outbox)
{
	struct sender_session *session = outbox->session;

	if (session->answer_mono_ms == 0)
		return false;
	if (clock_mono_ms() < session->answer_mono_ms) {
		wake_at(outbox, session->answer_mono_ms);
		return true;
	}
	session->answer_mono_ms = 0;
	outbox->all->limits_untold = true;
	return false;
}

static bool
has_trial(const struct outbox *outbox)
{
	return (outbox->flights.count > 0 && outbox->flights.list[0].trial) ||
	       (outbox->attributes_id != 0 && outbox->attributes_trial);
}

/* Another device that shares the session has a trial on its way: it is looked again later. */
static bool
must_not_try(struct outbox *outbox)
{
	if (!outbox->session->trying)
		return false;
	wake_at(outbox, clock_mono_ms() + TURN_MS);
	return true;
}

static void
end_trial(struct outbox *outbox)
{
	if (outbox->session->trying == outbox)
		outbox->session->trying = NULL;
}

static int
window(const struct outbox *outbox)
{
	int told = outbox->session->limits.in_flight_max;
	int set = outbox->all->settings->server.in_flight;

	if (outbox->doubt.state != DOUBT_NONE || outbox->part_seq != 0)
		return 1;
	return told > 0 && told < set ? told : set;
}

bool
outbox_may_send(struct outbox *outbox)
{
	return outbox_is_up(outbox) && !is_pausing(outbox) && !awaits_limits(outbox) && !has_trial(outbox);
}

static unsigned
values_max(struct outbox *outbox)
{
	unsigned max = limits_points_max(outbox->limits);

	if (outbox->values_max != 0 && clock_mono_ms() >= outbox->values_max_until_mono_ms)
		outbox->values_max = 0;
	return outbox->values_max != 0 && outbox->values_max < max ? outbox->values_max : max;
}

/* May so many data points go now? If not it will be looked at again when they may. */
static bool
has_room(struct outbox *outbox, unsigned values)
{
	int64_t now = clock_mono_ms();

	if (values <= limits_room(outbox->limits, now))
		return true;
	outbox->counts.limit_waits++;
	outbox->room_mono_ms = limits_due_mono_ms(outbox->limits, values, now);
	wake_at(outbox, outbox->room_mono_ms);
	return false;
}

static struct attributes_message
build_attributes(struct outbox *outbox)
{
	unsigned max = values_max(outbox);
	unsigned now = limits_room(outbox->limits, clock_mono_ms());
	size_t bytes = bytes_max(outbox);

	return attributes_build(outbox->attributes, outbox->all->payload,
	    bytes > ATTRIBUTES_MIN ? bytes : ATTRIBUTES_MIN, now < max ? now : max);
}

bool
outbox_shares_limits(const struct outbox *outbox)
{
	return outbox->limits != &outbox->session->limits;
}

bool
outbox_waits_for_room(struct outbox *outbox)
{
	if (clock_mono_ms() >= outbox->room_mono_ms || !outbox_may_send(outbox) ||
	    outbox->flights.count >= window(outbox) ||
	    store_depth(outbox->all->store, outbox->device->index) == 0)
		return false;
	wake_at(outbox, outbox->room_mono_ms);
	return true;
}

/* ---- messages without data points ---- */

int64_t
outbox_take(struct outbox *outbox, unsigned messages)
{
	int64_t now = clock_mono_ms();
	int64_t due = limits_due_mono_ms(outbox->limits, 0, now);

	/* For the devices of a gateway there is time to wait for what the server allows. */
	if (outbox_shares_limits(outbox) && now < outbox->session->answer_mono_ms)
		return outbox->session->answer_mono_ms;
	if (due > now)
		return due;
	for (unsigned i = 0; i < messages; i++)
		limits_spend(outbox->limits, 0, now);
	return 0;
}

static int
post_now(struct outbox *outbox, enum tb_topic topic, int64_t id, const void *payload, size_t length)
{
	int result = publish(outbox, topic, id, payload, length);

	if (result > 0)
		limits_spend(outbox->limits, 0, clock_mono_ms());
	return result;
}

/* Said once in an hour, with how many it were since. */
static void
say_dropped(struct outbox *outbox)
{
	uint64_t dropped = outbox->held.dropped - outbox->held_said;
	int64_t now = clock_mono_ms();

	if (dropped == 0 || (outbox->held_said_mono_ms != 0 && now - outbox->held_said_mono_ms < SAY_AGAIN_MS))
		return;
	outbox->held_said_mono_ms = now;
	outbox->held_said = outbox->held.dropped;
	log_warning("device %s: more commands come than the server's limit of messages lets it answer: %" PRIu64
		    " replies are dropped",
	    outbox->device->name, dropped);
}

/* The server asks again on the next connection: not worth a word. */
static void
drop_held(struct outbox *outbox)
{
	uint64_t before = outbox->held.dropped;

	held_clear(&outbox->held);
	outbox->held_said += outbox->held.dropped - before;
}

int
outbox_post(struct outbox *outbox, enum tb_topic topic, int64_t id, const void *payload, size_t length)
{
	int64_t now = clock_mono_ms();
	int64_t due = limits_due_mono_ms(outbox->limits, 0, now);
	int error;

	if (!outbox_is_up(outbox))
		return -ENOTCONN;
	if (!outbox->held.first && due <= now)
		return post_now(outbox, topic, id, payload, length);
	error = held_add(&outbox->held, topic, id, payload, length, now);
	say_dropped(outbox);
	wake_at(outbox, due);
	return error;
}

int
outbox_post_values(struct outbox *outbox, unsigned points, const void *payload, size_t length)
{
	int64_t now = clock_mono_ms();
	int result;

	if (points > limits_points_max(outbox->limits))
		return -EMSGSIZE;
	if (limits_due_mono_ms(outbox->limits, points, now) > now)
		return -EAGAIN;
	result = publish(outbox, TB_ATTRIBUTES, 0, payload, length);
	if (result > 0)
		limits_spend(outbox->limits, points, now);
	return result;
}

/* One at a time: others that share the limits want to have their turn as well. */
void
outbox_send_held(struct outbox *outbox)
{
	int64_t now = clock_mono_ms();
	struct held_message *message;
	int64_t due;

	if (!outbox->held.first || !outbox_is_up(outbox))
		return;
	due = limits_due_mono_ms(outbox->limits, 0, now);
	message = held_next(&outbox->held, outbox->all->settings->server.rpc_timeout_ms, now);
	if (message && due <= now) {
		if (post_now(outbox, message->topic, message->id, message->payload, message->length) < 0)
			outbox->held.dropped += message->topic == TB_RPC_RESPONSE;
		held_remove(&outbox->held, message);
		due = now;
	}
	say_dropped(outbox);
	if (outbox->held.first)
		wake_at(outbox, due);
}

void
outbox_send_attributes(struct outbox *outbox)
{
	struct attributes_message message;
	int id;

	if (outbox->attributes_id != 0 || !attributes_due(outbox->attributes) || !has_room(outbox, 1))
		return;
	message = build_attributes(outbox);
	if (message.trial && (outbox->flights.count > 0 || clock_mono_ms() < outbox->attributes_retry_mono_ms)) {
		attributes_unsend(outbox->attributes);
		if (outbox->flights.count == 0)
			wake_at(outbox, outbox->attributes_retry_mono_ms);
		return;
	}
	if (message.trial && must_not_try(outbox)) {
		attributes_unsend(outbox->attributes);
		return;
	}
	if (message.values == 0)
		return;
	id = publish(outbox, TB_ATTRIBUTES, 0, outbox->all->payload, message.length);
	if (id == -EMSGSIZE && message.length > ATTRIBUTES_MIN) {
		attributes_unsend(outbox->attributes);
		shrink_payloads(outbox, message.length);
		outbox_send_attributes(outbox);
		return;
	}
	if (id == -EMSGSIZE) {
		doubt_attributes(outbox, true, "too large");
		return;
	}
	if (id < 0) {
		attributes_unsend(outbox->attributes);
		return;
	}
	limits_spend(outbox->limits, message.values, clock_mono_ms());
	outbox->attributes_id = id;
	outbox->attributes_trial = message.trial;
	if (message.trial)
		outbox->session->trying = outbox;
	outbox->attributes_sent_mono_ms = clock_mono_ms();
	expect_ack(outbox);
}

/* What is in doubt, if it may be tried; else what is not. */
static struct batch_plan
make_plan(struct outbox *outbox, bool trial)
{
	const struct doubt *doubt = &outbox->doubt;
	size_t wanted = (size_t)outbox->all->settings->server.batch_bytes;
	struct batch_plan plan = {
		.part_seq = outbox->part_seq,
		.part_from = outbox->part_from,
		.bytes_max = bytes_max(outbox),
		.rows_max = SIZE_MAX,
		.values_max = values_max(outbox),
		.whole = outbox->flights.count > 0,
	};

	plan.bytes_wanted = wanted < plan.bytes_max ? wanted : plan.bytes_max;
	if (trial) {
		plan.first_seq = doubt->first_seq;
		plan.last_seq = doubt->last_seq;
		if (doubt->rows_max > 0)
			plan.rows_max = doubt->rows_max;
		if (doubt->values_max > 0 && doubt->values_max < plan.values_max)
			plan.values_max = doubt->values_max;
	} else if (doubt->state == DOUBT_SUSPECT) {
		plan.skip_first_seq = doubt->first_seq;
		plan.skip_last_seq = doubt->last_seq;
		plan.rows_max = doubt->wary_rows;
		if (doubt->wary_values > 0 && doubt->wary_values < plan.values_max)
			plan.values_max = doubt->wary_values;
	}
	return plan;
}

static int
build_of(struct outbox *outbox, bool trial, struct batch *ret)
{
	struct batch_plan plan = make_plan(outbox, trial);
	int error = batch_build(outbox->all->store, outbox->device->index, &plan, outbox->all->payload, ret);

	if (error == -ENOENT && trial) /* it is gone: too old, or there was no room */
		doubt_advance(&outbox->doubt, outbox->doubt.last_seq + 1);
	return error;
}

/* A suspect is best tried when something else has just arrived; before that only if there is nothing else to send. */
static int
build_in_doubt(struct outbox *outbox, bool *ret_trial, struct batch *ret)
{
	bool may_try = doubt_may_try(&outbox->doubt, clock_mono_ms());
	int error = -ENOENT;

	if (outbox->flights.count > 0 || outbox->attributes_id != 0)
		return -EAGAIN;
	if (!may_try)
		wake_at(outbox, outbox->doubt.retry_mono_ms);
	else if (must_not_try(outbox))
		may_try = false;
	if (!may_try && outbox->doubt.state == DOUBT_ALONE)
		return -EAGAIN;
	*ret_trial = may_try && (outbox->doubt.state == DOUBT_ALONE || outbox->doubt.control);
	if (!*ret_trial)
		error = build_of(outbox, false, ret);
	if (error == -ENOENT && may_try) {
		*ret_trial = true;
		error = build_of(outbox, true, ret);
	}
	return error;
}

static int
build(struct outbox *outbox, bool *ret_trial, struct batch *ret)
{
	int error = -ENOENT;

	*ret_trial = false;
	if (outbox->doubt.state != DOUBT_NONE)
		error = build_in_doubt(outbox, ret_trial, ret);
	if (outbox->doubt.state != DOUBT_NONE)
		return error;
	error = build_of(outbox, false, ret);
	/* A row of which a part has gone may be dropped in between. */
	if (outbox->part_seq != 0 && (error == -ENOENT || (error == 0 && !ret->part)))
		outbox->part_seq = 0;
	return error;
}

/* The first row does not fit. Returns 0 if something was done about it. */
static int
does_not_fit(struct outbox *outbox, const struct batch *batch)
{
	if (outbox->flights.count > 0)
		return -EAGAIN; /* in parts, when it is alone */
	set_aside(outbox, batch, "too large");
	return 0;
}

static void
take_off(struct outbox *outbox, int id, const struct batch *batch, bool trial)
{
	int64_t now = clock_mono_ms();
	struct flight flight = { .id = id, .trial = trial, .sent_mono_ms = now, .batch = *batch };

	if (!batch->part || batch->part_ends)
		store_sent(outbox->all->store, outbox->device->index, batch->first_seq, batch->last_seq);
	if (batch->part && outbox->part_seq != batch->first_seq) {
		outbox->part_seq = batch->first_seq;
		outbox->part_from = 0;
	}
	limits_spend(outbox->limits, batch->values, now);
	if (trial)
		outbox->session->trying = outbox;
	outbox->counts.messages++;
	outbox->all->flight_count++;
	flights_add(&outbox->flights, &flight);
	expect_ack(outbox);
}

int
outbox_send_rows(struct outbox *outbox)
{
	struct batch batch;
	bool trial;
	int result;

	if (outbox->flights.count >= window(outbox) || clock_mono_ms() < outbox->room_mono_ms)
		return -EAGAIN;
	result = build(outbox, &trial, &batch);
	if (result == -EMSGSIZE)
		return does_not_fit(outbox, &batch);
	if (result < 0)
		return result;
	if (!has_room(outbox, batch.values))
		return -EAGAIN;
	result = publish(outbox, TB_TELEMETRY, 0, outbox->all->payload, batch.length);
	if (result == -EMSGSIZE && batch.values > 1) {
		shrink_payloads(outbox, batch.length);
		return 0;
	}
	if (result == -EMSGSIZE)
		return does_not_fit(outbox, &batch);
	if (result < 0)
		return result;
	take_off(outbox, result, &batch, trial);
	return 0;
}

/* ---- what the session says ---- */

static void
ask_limits(struct outbox *outbox)
{
	struct sender_session *session = outbox->session;

	if (publish(outbox, TB_RPC_REQUEST, SENDER_LIMITS_ID, LIMITS_REQUEST, sizeof(LIMITS_REQUEST) - 1) < 0)
		return;
	session->answer_mono_ms = outbox->all->limits_untold ? 0 : clock_mono_ms() + LIMITS_WAIT_MS;
}

void
outbox_up(struct outbox *outbox)
{
	int64_t now = clock_mono_ms();

	/* CONNECT, and what is behind it: the end of the session before. For a device of a gateway a token was taken already. */
	if (!outbox_shares_limits(outbox)) {
		limits_begin(outbox->limits);
		limits_begin(&outbox->session->devices);
		limits_spend(outbox->limits, 0, now);
		limits_spend(outbox->limits, 0, now);
		ask_limits(outbox);
	}
	store_begin(outbox->all->store, outbox->device->index);
	doubt_up(&outbox->doubt, pace_ms(outbox), now);
	if (outbox->attributes_retry_mono_ms > 0)
		outbox->attributes_retry_mono_ms = now + (pace_ms(outbox) << outbox->attributes_waits);
}

/* The connection is gone with something in flight. */
static void
doubt_flights(struct outbox *outbox, const struct flight *alone, const char *why)
{
	enum doubt_state before = outbox->doubt.state;
	const struct batch *batch = alone ? &alone->batch : NULL;
	uint64_t first_seq, last_seq;

	flights_range(&outbox->flights, &first_seq, &last_seq);
	if (doubt_closed(&outbox->doubt, first_seq, last_seq, batch, alone && alone->trial) == DOUBT_SET_ASIDE)
		set_aside(outbox, batch, why);
	say_doubt(outbox, before, why);
	log_debug("device %s: lost with rows %" PRIu64 "..%" PRIu64 " in flight (%s): %" PRIu64 "..%" PRIu64
		  " in doubt, %u strikes, %u waits",
	    outbox->device->name, first_seq, last_seq, alone && alone->trial ? "tried alone" : why,
	    outbox->doubt.first_seq, outbox->doubt.last_seq, outbox->doubt.strikes, outbox->doubt.waits);
}

void
outbox_down(struct outbox *outbox, int end)
{
	struct flights *flights = &outbox->flights;
	enum blame blame = outbox->overdue	   ? BLAME_MAYBE
			   : end == MQTT_END_OURS ? BLAME_NONE
						   : reason_blame(end);
	const char *why = outbox->overdue ? "it never acknowledges it"
			  : end >= 128	 ? reason_text(end)
					 : "it closes the connection";

	end_trial(outbox);
	drop_held(outbox);
	/* The server ends the session of a device itself when its gateway goes. */
	if (outbox_shares_limits(outbox))
		limits_lose(outbox->limits, clock_mono_ms());
	store_rewind(outbox->all->store, outbox->device->index);
	if (blame == BLAME_MAYBE || blame == BLAME_MESSAGE) {
		if (flights->count > 0)
			doubt_flights(outbox, flights->count == 1 ? &flights->list[0] : NULL, why);
		if (outbox->attributes_id != 0)
			doubt_attributes(outbox, false, why);
	}
	if (blame != BLAME_NONE && (flights->count > 0 || outbox->attributes_id != 0))
		limits_drain(outbox->limits, blame == BLAME_RATE, clock_mono_ms());
	outbox->all->flight_count -= flights->count;
	flights->count = 0;
	outbox->attributes_id = 0;
	outbox->pause_mono_ms = 0;
	outbox->overdue = false;
	outbox->session->answer_mono_ms = 0;
	heap_remove(&outbox->all->due, &outbox->due);
	attributes_rewind(outbox->attributes);
}

bool
outbox_acked(struct outbox *outbox, int id)
{
	struct flight flight;

	if (flights_land(&outbox->flights, id, &flight)) {
		if (flight.trial)
			end_trial(outbox);
		outbox->all->flight_count--;
		outbox->counts.acked++;
		outbox->counts.acked_rows += flight.batch.part && !flight.batch.part_ends ? 0 : flight.batch.rows;
		doubt_acked(&outbox->doubt, &flight.batch, flight.trial);
		settle(outbox, &flight.batch);
		return true;
	}
	if (id != outbox->attributes_id)
		return false;
	if (outbox->attributes_trial)
		end_trial(outbox);
	outbox->attributes_id = 0;
	outbox->doubt.control = outbox->doubt.control || !outbox->attributes_trial;
	outbox->attributes_waits = 0;
	outbox->attributes_retry_mono_ms = 0;
	attributes_confirm(outbox->attributes);
	return true;
}

/* What the server does not take is due again; how it goes then is for the doubt to say. */
static void
rows_refused(struct outbox *outbox, const struct flight *flight, int reason)
{
	enum doubt_state before = outbox->doubt.state;
	bool for_good = reason_blame(reason) == BLAME_MESSAGE;

	store_unsend(outbox->all->store, outbox->device->index, flight->batch.first_seq, flight->batch.last_seq);
	if (reason_blame(reason) == BLAME_RATE)
		return;
	if (doubt_refused(&outbox->doubt, &flight->batch, flight->trial, for_good, clock_mono_ms()) == DOUBT_SET_ASIDE)
		set_aside(outbox, &flight->batch, reason_text(reason));
	say_doubt(outbox, before, reason_text(reason));
}

bool
outbox_refused(struct outbox *outbox, int id, int reason)
{
	bool for_now = reason_blame(reason) == BLAME_RATE;
	struct flight flight;

	if (for_now) {
		outbox->pause_mono_ms = clock_mono_ms() + QUOTA_PAUSE_MS;
		limits_drain(outbox->limits, true, clock_mono_ms());
	}
	if (flights_land(&outbox->flights, id, &flight)) {
		if (flight.trial)
			end_trial(outbox);
		outbox->all->flight_count--;
		rows_refused(outbox, &flight, reason);
		return true;
	}
	if (id != outbox->attributes_id)
		return false;
	if (outbox->attributes_trial)
		end_trial(outbox);
	outbox->attributes_id = 0;
	if (for_now)
		attributes_unsend(outbox->attributes);
	else
		doubt_attributes(outbox, reason_blame(reason) == BLAME_MESSAGE, reason_text(reason));
	return true;
}

/* ---- time ---- */

bool
outbox_due(struct outbox *outbox, int64_t now_mono_ms)
{
	const struct sender_port *port = &outbox->all->port;
	int64_t oldest = CLOCK_NEVER;

	heap_remove(&outbox->all->due, &outbox->due);
	if (outbox->flights.count > 0)
		oldest = outbox->flights.list[0].sent_mono_ms;
	if (outbox->attributes_id != 0 && outbox->attributes_sent_mono_ms < oldest)
		oldest = outbox->attributes_sent_mono_ms;
	if (oldest != CLOCK_NEVER && now_mono_ms - oldest >= ack_timeout_ms(outbox)) {
		outbox->overdue = true;
		port->restart(port->ctx, outbox->device->index, "no PUBACK in time");
		return false;
	}
	if (oldest != CLOCK_NEVER)
		wake_at(outbox, oldest + ack_timeout_ms(outbox));
	return true;
}

/* ---- the module ---- */

enum fact { FACT_VERSION, FACT_BUS, FACT_UNIT, FACTS };

/* Which device this is, for who only sees ThingsBoard. */
static int
set_facts(struct outbox *outbox)
{
	const struct device *device = outbox->device;
	struct value version = { .kind = VALUE_LABEL, .label = PACKAGE_VERSION };
	struct value bus = { .kind = VALUE_LABEL, .label = device->bus ? device->bus->name : "" };
	struct value unit = { .kind = VALUE_INT, .integer = device->unit };
	int error = attributes_set_fact(outbox->attributes, FACT_VERSION, "fieldgate_version", &version);

	if (error == 0 && device->bus)
		error = attributes_set_fact(outbox->attributes, FACT_BUS, "fieldgate_bus", &bus);
	if (error == 0 && device->bus && device->bus->type != BUS_SERIAL)
		error = attributes_set_fact(outbox->attributes, FACT_UNIT, "fieldgate_unit", &unit);
	return error;
}

int
outbox_init(struct outbox *outbox, struct outboxes *all, const struct device *device, struct sender_session *session,
    struct limits *limits)
{
	*outbox = (struct outbox){
		.all = all, .device = device, .session = session, .limits = limits, .payload_max = TB_MAX_PAYLOAD
	};
	outbox->attributes = attributes_new(device, FACTS);
	if (!outbox->attributes || flights_init(&outbox->flights, all->settings->server.in_flight) < 0)
		return -ENOMEM;
	return device->facts ? set_facts(outbox) : 0;
}

void
outbox_adopt(struct outbox *outbox, struct outbox *from, const struct difference *difference)
{
	struct outbox made = *from;

	made.all = outbox->all;
	made.device = outbox->device;
	made.session = outbox->session;
	made.limits = outbox->limits;
	from->held = (struct held){ .first = NULL };
	made.attributes = outbox->attributes;
	made.due = outbox->due;
	made.in_line = false;
	made.next_in_line = NULL;
	attributes_adopt(made.attributes, from->attributes, difference);
	/* What is on its way may be more than the new settings allow: then nothing is added to it. */
	flights_adopt(&outbox->flights, &from->flights);
	made.flights = outbox->flights;
	made.all->flight_count += made.flights.count;
	*outbox = made;
	if (has_trial(outbox))
		outbox->session->trying = outbox;
	if (from->due.position != 0)
		heap_set(&outbox->all->due, &outbox->due, from->due.due);
}

void
outbox_done(struct outbox *outbox)
{
	held_clear(&outbox->held);
	attributes_free(outbox->attributes);
	flights_done(&outbox->flights);
}
