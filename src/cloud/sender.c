#include "cloud/sender.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/heap.h"
#include "base/log.h"
#include "cloud/attributes.h"
#include "cloud/batch.h"
#include "cloud/reason.h"
#include "cloud/tb_json.h"
#include "cloud/tb_topic.h"

#define ACK_TIMEOUT_MS 30000 /* a PUBACK that takes longer will not come */
#define QUOTA_PAUSE_MS 5000  /* after "quota exceeded" */
#define ATTRIBUTES_MIN 4200  /* bytes: the longest single attribute fits */
#define REPLAY_ROWS    16    /* a device that waits with more than this is catching up ... */
#define REPLAY_WINDOW  64    /* ... and takes turns when so many messages await their PUBACK altogether */

/* A telemetry message that waits for its PUBACK. */
struct flight {
	int id;
	uint64_t first_seq;
	uint64_t last_seq;
	int64_t sent_mono_ms;
};

/* What of one device is on its way. */
struct outbox {
	struct sender *sender;
	const struct device *device;
	struct attributes *attributes;
	int attributes_id; /* the message that waits for its PUBACK, or 0 */
	int64_t attributes_sent_mono_ms;
	struct flight *flights; /* oldest first */
	int flight_count;
	struct heap_node due;  /* mono ms: a PUBACK is overdue, or a pause ends */
	int64_t pause_mono_ms; /* "quota exceeded": nothing is sent before; 0 = no pause */
	bool again;	       /* rows were refused for now: due again once nothing is in flight */
	bool payload_refusal_said;
	bool attributes_refusal_said;
	size_t payload_max; /* beyond it the server took nothing */
	bool in_line;	    /* it is catching up, and waits for its turn */
	struct outbox *next_in_line;
	struct { /* since the start */
		uint64_t messages; /* of telemetry */
		uint64_t acked;
		uint64_t acked_rows;
		uint64_t refused_rows; /* for good */
	} counts;
};

struct sender {
	const struct settings *settings;
	struct store *store;
	struct sender_port port;
	struct outbox *outboxes; /* one for each device */
	struct outbox *line, *line_end;
	int flight_count; /* over all devices */
	struct heap due;
	char payload[TB_MAX_PAYLOAD];
};

static bool
is_up(const struct outbox *outbox)
{
	return outbox->sender->port.is_up(outbox->sender->port.ctx, outbox->device->index);
}


static int
publish(struct outbox *outbox, const char *topic, const void *payload, size_t length)
{
	const struct sender_port *port = &outbox->sender->port;

	return port->publish(port->ctx, outbox->device->index, topic, payload, length);
}

static int
ack_timeout_ms(const struct sender *sender)
{
	return sender->settings->server.ack_timeout_ms > 0 ? sender->settings->server.ack_timeout_ms
							   : ACK_TIMEOUT_MS;
}

/* The node is moved only when it fires: a deadline that is met costs nothing. */
static void
expect_ack(struct outbox *outbox)
{
	if (outbox->due.position == 0)
		heap_set(
		    &outbox->sender->due, &outbox->due, clock_mono_ms() + ack_timeout_ms(outbox->sender));
}

static void
refuse_rows(struct outbox *outbox, uint64_t first_seq, uint64_t last_seq, const char *why)
{
	outbox->counts.refused_rows += last_seq - first_seq + 1;
	store_confirm(outbox->sender->store, outbox->device->index, first_seq, last_seq);
	if (!outbox->payload_refusal_said)
		log_error(
		    "device %s: the server refuses telemetry (%s): it is dropped, which is said only once",
		    outbox->device->name, why);
	outbox->payload_refusal_said = true;
}

static void
refuse_attributes(struct outbox *outbox, const char *why)
{
	attributes_confirm(outbox->attributes);
	if (!outbox->attributes_refusal_said)
		log_error("device %s: the server refuses attributes (%s): they are dropped, which is said "
			  "only once",
		    outbox->device->name, why);
	outbox->attributes_refusal_said = true;
}

/* A message of this length was too large for the server (MQTT 5: its maximum packet size): smaller ones from
 * now on. */
static void
shrink_payloads(struct outbox *outbox, size_t length)
{
	outbox->payload_max = length / 2;
	log_debug("device %s: messages of at most %zu bytes", outbox->device->name, outbox->payload_max);
}

static int
publish_attributes(struct outbox *outbox, size_t *ret_length)
{
	struct sender *sender = outbox->sender;
	size_t limit = outbox->payload_max > ATTRIBUTES_MIN ? outbox->payload_max : ATTRIBUTES_MIN;

	*ret_length = attributes_build(outbox->attributes, sender->payload, limit);
	return publish(outbox, TB_TOPIC_ATTRIBUTES, sender->payload, *ret_length);
}

static void
send_attributes(struct outbox *outbox)
{
	size_t length;
	int id;

	if (outbox->attributes_id != 0 || !attributes_due(outbox->attributes))
		return;
	while ((id = publish_attributes(outbox, &length)) == -EMSGSIZE && length > ATTRIBUTES_MIN) {
		attributes_unsend(outbox->attributes);
		shrink_payloads(outbox, length);
	}
	if (id == -EMSGSIZE) {
		refuse_attributes(outbox, "too large");
		return;
	}
	if (id < 0) {
		attributes_unsend(outbox->attributes);
		return;
	}
	outbox->attributes_id = id;
	outbox->attributes_sent_mono_ms = clock_mono_ms();
	expect_ack(outbox);
}

static int
send_batch(struct outbox *outbox)
{
	struct sender *sender = outbox->sender;
	size_t index = outbox->device->index;
	size_t limit = (size_t)sender->settings->server.batch_bytes;
	struct batch batch;
	int result = batch_build(sender->store, index, sender->payload, sizeof(sender->payload),
	    limit < outbox->payload_max ? limit : outbox->payload_max, &batch);

	if (result == 0)
		result = publish(outbox, TB_TOPIC_TELEMETRY, sender->payload, batch.length);
	if (result == -EMSGSIZE && batch.rows > 1) {
		shrink_payloads(outbox, batch.length);
		return 0;
	}
	if (result == -EMSGSIZE) {
		refuse_rows(outbox, batch.first_seq, batch.last_seq, "too large");
		return 0;
	}
	if (result < 0)
		return result;
	store_sent(sender->store, index, batch.first_seq, batch.last_seq);
	outbox->counts.messages++;
	sender->flight_count++;
	outbox->flights[outbox->flight_count++] = (struct flight){
		.id = result,
		.first_seq = batch.first_seq,
		.last_seq = batch.last_seq,
		.sent_mono_ms = clock_mono_ms(),
	};
	expect_ack(outbox);
	return 0;
}

/* After "quota exceeded": wait for what is in flight, then for the pause, then send again in order. */
static bool
is_pausing(struct outbox *outbox)
{
	int64_t now = clock_mono_ms();

	if (outbox->pause_mono_ms == 0)
		return false;
	if (outbox->flight_count > 0)
		return true;
	if (now < outbox->pause_mono_ms) {
		heap_set(&outbox->sender->due, &outbox->due, outbox->pause_mono_ms);
		return true;
	}
	outbox->pause_mono_ms = 0;
	if (outbox->again)
		store_rewind(outbox->sender->store, outbox->device->index);
	outbox->again = false;
	return false;
}

static void
join_line(struct outbox *outbox)
{
	struct sender *sender = outbox->sender;

	outbox->in_line = true;
	outbox->next_in_line = NULL;
	*(sender->line ? &sender->line_end->next_in_line : &sender->line) = outbox;
	sender->line_end = outbox;
}

/* After an outage all devices have much to say at once. One message each is always under way, so that a
 * session whose PUBACKs do not come holds up nobody; for more than that, those that catch up take turns, and
 * the server's own pace of acknowledging decides how many turns there are. What is live in the other devices
 * does not stand in this line. */
static bool
must_queue(struct outbox *outbox)
{
	struct sender *sender = outbox->sender;

	if (outbox->flight_count == 0 || store_depth(sender->store, outbox->device->index) <= REPLAY_ROWS)
		return false;
	if (!sender->line && sender->flight_count < REPLAY_WINDOW)
		return false;
	if (!outbox->in_line)
		join_line(outbox);
	return true;
}

static void
pump(struct outbox *outbox)
{
	if (!is_up(outbox) || is_pausing(outbox))
		return;
	send_attributes(outbox);
	while (outbox->flight_count < outbox->sender->settings->server.in_flight &&
	       is_up(outbox) && !must_queue(outbox))
		if (send_batch(outbox) < 0)
			return;
}

void
sender_serve(struct sender *sender)
{
	while (sender->line && sender->flight_count < REPLAY_WINDOW) {
		struct outbox *outbox = sender->line;

		sender->line = outbox->next_in_line;
		outbox->in_line = false;
		if (outbox->flight_count < sender->settings->server.in_flight &&
		    is_up(outbox) && !is_pausing(outbox) && send_batch(outbox) == 0)
			pump(outbox); /* to the end of the line, if there is more */
	}
}

/* ---- what the sessions say ---- */

void
sender_up(struct sender *sender, size_t device)
{
	pump(&sender->outboxes[device]);
}

void
sender_down(struct sender *sender, size_t device)
{
	struct outbox *outbox = &sender->outboxes[device];

	sender->flight_count -= outbox->flight_count;
	outbox->flight_count = 0;
	outbox->attributes_id = 0;
	outbox->pause_mono_ms = 0;
	outbox->again = false;
	heap_remove(&sender->due, &outbox->due);
	store_rewind(sender->store, device);
	attributes_rewind(outbox->attributes);
}

/* Take the flight with this id out of the list. Returns false if there is none. */
static bool
land(struct outbox *outbox, int id, struct flight *ret)
{
	for (int i = 0; i < outbox->flight_count; i++)
		if (outbox->flights[i].id == id) {
			*ret = outbox->flights[i];
			outbox->flight_count--;
			outbox->sender->flight_count--;
			memmove(&outbox->flights[i], &outbox->flights[i + 1],
			    (size_t)(outbox->flight_count - i) * sizeof(outbox->flights[0]));
			return true;
		}
	return false;
}

void
sender_acked(struct sender *sender, size_t device, int id)
{
	struct outbox *outbox = &sender->outboxes[device];
	struct flight flight;

	if (land(outbox, id, &flight)) {
		outbox->counts.acked++;
		outbox->counts.acked_rows += flight.last_seq - flight.first_seq + 1;
		store_confirm(sender->store, device, flight.first_seq, flight.last_seq);
	} else if (id == outbox->attributes_id) {
		outbox->attributes_id = 0;
		attributes_confirm(outbox->attributes);
	} else {
		return;
	}
	pump(outbox);
}

/* What the server will never take is dropped: sent again it would come back for ever. */
void
sender_refused(struct sender *sender, size_t device, int id, int reason)
{
	struct outbox *outbox = &sender->outboxes[device];
	bool for_now = reason == REASON_QUOTA_EXCEEDED;
	struct flight flight;

	if (for_now)
		outbox->pause_mono_ms = clock_mono_ms() + QUOTA_PAUSE_MS;
	if (land(outbox, id, &flight)) {
		outbox->again = outbox->again || for_now;
		if (!for_now)
			refuse_rows(outbox, flight.first_seq, flight.last_seq, reason_text(reason));
	} else if (id == outbox->attributes_id) {
		outbox->attributes_id = 0;
		if (for_now)
			attributes_unsend(outbox->attributes);
		else
			refuse_attributes(outbox, reason_text(reason));
	}
	pump(outbox);
}

/* ---- time ---- */

static void
outbox_due(struct outbox *outbox, int64_t now)
{
	const struct sender_port *port = &outbox->sender->port;
	int64_t oldest = CLOCK_NEVER;

	heap_remove(&outbox->sender->due, &outbox->due);
	if (outbox->flight_count > 0)
		oldest = outbox->flights[0].sent_mono_ms;
	if (outbox->attributes_id != 0 && outbox->attributes_sent_mono_ms < oldest)
		oldest = outbox->attributes_sent_mono_ms;
	if (oldest == CLOCK_NEVER)
		pump(outbox); /* a pause may be over */
	else if (now - oldest >= ack_timeout_ms(outbox->sender))
		port->restart(port->ctx, outbox->device->index, "no PUBACK in time");
	else
		heap_set(&outbox->sender->due, &outbox->due, oldest + ack_timeout_ms(outbox->sender));
}

int64_t
sender_due_mono_ms(const struct sender *sender)
{
	const struct heap_node *first = heap_first(&sender->due);

	return first ? first->due : CLOCK_NEVER;
}

void
sender_tick(struct sender *sender, int64_t now_mono_ms)
{
	struct heap_node *first;

	while ((first = heap_first(&sender->due)) && first->due <= now_mono_ms)
		outbox_due(heap_entry(first, struct outbox, due), now_mono_ms);
}

/* ---- the module ---- */

void
sender_attribute(struct sender *sender, const struct point *point, const struct value *value)
{
	attributes_set(sender->outboxes[point->device->index].attributes, point, value);
}

void
sender_pump(struct sender *sender, size_t device)
{
	pump(&sender->outboxes[device]);
}

void
sender_health(const struct sender *sender, size_t device, struct health_device *ret)
{
	const struct outbox *outbox = &sender->outboxes[device];

	ret->in_flight = outbox->flight_count;
	ret->rows = store_depth(sender->store, device);
	ret->oldest_unix_ms = store_oldest(sender->store, device);
	ret->messages = outbox->counts.messages;
	ret->acked = outbox->counts.acked;
	ret->acked_rows = outbox->counts.acked_rows;
	ret->refused_rows = outbox->counts.refused_rows;
}

bool
sender_is_flushed(const struct sender *sender)
{
	for (size_t i = 0; i < sender->settings->device_count; i++) {
		const struct outbox *outbox = &sender->outboxes[i];

		if (is_up(outbox) && (store_depth(sender->store, i) > 0 || outbox->attributes_id != 0 ||
					 attributes_due(outbox->attributes)))
			return false;
	}
	return true;
}

static int
make_outboxes(struct sender *sender)
{
	const struct settings *settings = sender->settings;

	sender->outboxes = calloc(settings->device_count + 1, sizeof(sender->outboxes[0]));
	if (!sender->outboxes || heap_init(&sender->due, settings->device_count) < 0)
		return -ENOMEM;
	for (size_t i = 0; i < settings->device_count; i++) {
		struct outbox *outbox = &sender->outboxes[i];

		outbox->sender = sender;
		outbox->device = &settings->devices[i];
		outbox->payload_max = sizeof(sender->payload);
		outbox->attributes = attributes_new(outbox->device);
		outbox->flights = calloc((size_t)settings->server.in_flight, sizeof(outbox->flights[0]));
		if (!outbox->attributes || !outbox->flights)
			return -ENOMEM;
	}
	return 0;
}

struct sender *
sender_new(const struct settings *settings, struct store *store, struct sender_port port)
{
	struct sender *sender = calloc(1, sizeof(*sender));

	if (!sender)
		return NULL;
	sender->settings = settings;
	sender->store = store;
	sender->port = port;
	if (make_outboxes(sender) < 0) {
		sender_free(sender);
		return NULL;
	}
	return sender;
}

static void
adopt_outbox(struct outbox *outbox, struct outbox *from, const struct difference *difference)
{
	struct flight *flights = outbox->flights;

	attributes_adopt(outbox->attributes, from->attributes, difference);
	outbox->attributes_id = from->attributes_id;
	outbox->attributes_sent_mono_ms = from->attributes_sent_mono_ms;
	/* What is on its way may be more than the new settings allow: then nothing is added to it. */
	if (from->flight_count > outbox->sender->settings->server.in_flight) {
		outbox->flights = from->flights;
		from->flights = flights;
	} else {
		memcpy(flights, from->flights, (size_t)from->flight_count * sizeof(flights[0]));
	}
	outbox->flight_count = from->flight_count;
	outbox->sender->flight_count += from->flight_count;
	if (from->due.position != 0)
		heap_set(&outbox->sender->due, &outbox->due, from->due.due);
	outbox->pause_mono_ms = from->pause_mono_ms;
	outbox->again = from->again;
	outbox->payload_refusal_said = from->payload_refusal_said;
	outbox->attributes_refusal_said = from->attributes_refusal_said;
	outbox->payload_max = from->payload_max;
	outbox->counts = from->counts;
}

void
sender_adopt(struct sender *sender, struct sender *from, const struct difference *difference)
{
	for (size_t i = 0; i < sender->settings->device_count; i++) {
		const struct device *was = difference_device(difference, &sender->settings->devices[i]);

		if (was)
			adopt_outbox(&sender->outboxes[i], &from->outboxes[was->index], difference);
	}
	for (const struct outbox *old = from->line; old; old = old->next_in_line) {
		const struct device *now = difference_device_now(difference, old->device);

		if (now)
			join_line(&sender->outboxes[now->index]);
	}
}

void
sender_free(struct sender *sender)
{
	if (!sender)
		return;
	for (size_t i = 0; sender->outboxes && i < sender->settings->device_count; i++) {
		attributes_free(sender->outboxes[i].attributes);
		free(sender->outboxes[i].flights);
	}
	heap_done(&sender->due);
	free(sender->outboxes);
	free(sender);
}
