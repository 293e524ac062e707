#include "cloud/sender.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "cloud/outbox.h"
#include "cloud/tb_json.h"

#define REPLAY_ROWS   16 /* a device that waits with more than this is catching up ... */
#define REPLAY_WINDOW 64 /* ... and takes turns when so many messages await their PUBACK altogether */

struct sender {
	struct outboxes all;
	struct outbox *outboxes;	  /* one for each device */
	struct sender_session *sessions; /* the same, or one for all */
	bool shared;
	struct outbox *line, *line_end;
	char payload[TB_MAX_PAYLOAD];
};

/* ---- whose turn it is ---- */

/* Messages in flight at which turns are taken. A session that all share may be allowed less. */
static int
replay_window(const struct sender *sender)
{
	int told = sender->shared ? sender->sessions[0].limits.in_flight_max : 0;

	return told > 0 && told < REPLAY_WINDOW ? told : REPLAY_WINDOW;
}

static void
join_line(struct sender *sender, struct outbox *outbox)
{
	outbox->in_line = true;
	outbox->next_in_line = NULL;
	*(sender->line ? &sender->line_end->next_in_line : &sender->line) = outbox;
	sender->line_end = outbox;
}

/* After an outage all devices have much to say at once. One message each is always under way, so that a
 * session whose PUBACKs do not come holds up nobody; for more than that, those that catch up take turns, and
 * the server's own pace of acknowledging decides how many turns there are. What is live in the other devices
 * does not stand in this line; if all share a session, whose window this then is, everybody does. */
static bool
must_queue(struct sender *sender, struct outbox *outbox)
{
	if (!sender->shared &&
	    (outbox->flights.count == 0 || store_depth(sender->all.store, outbox->device->index) <= REPLAY_ROWS))
		return false;
	if (!sender->line && sender->all.flight_count < replay_window(sender))
		return false;
	if (!outbox->in_line)
		join_line(sender, outbox);
	return true;
}

/* The limits that it shares with others let it send nothing now: it is the next, for who comes later would only take what it waits
 * for, and do so again and again. */
static void
be_next_in_line(struct sender *sender, struct outbox *outbox)
{
	if (outbox->in_line || !outbox_shares_limits(outbox) || !outbox_waits_for_room(outbox))
		return;
	outbox->in_line = true;
	outbox->next_in_line = sender->line;
	if (!sender->line)
		sender->line_end = outbox;
	sender->line = outbox;
}

static void
pump(struct sender *sender, struct outbox *outbox)
{
	outbox_send_held(outbox);
	if (!outbox_may_send(outbox))
		return;
	outbox_send_attributes(outbox);
	while (outbox_may_send(outbox) && !must_queue(sender, outbox))
		if (outbox_send_rows(outbox) < 0) {
			be_next_in_line(sender, outbox);
			return;
		}
}

void
sender_serve(struct sender *sender)
{
	while (sender->line && sender->all.flight_count < replay_window(sender)) {
		struct outbox *outbox = sender->line;

		if (outbox_shares_limits(outbox) && outbox_waits_for_room(outbox))
			return;
		sender->line = outbox->next_in_line;
		outbox->in_line = false;
		if (outbox_may_send(outbox) && outbox_send_rows(outbox) == 0)
			pump(sender, outbox); /* to the end of the line, if there is more */
		else
			be_next_in_line(sender, outbox);
	}
}

/* ---- what the sessions say ---- */

void
sender_up(struct sender *sender, size_t device)
{
	outbox_up(&sender->outboxes[device]);
	pump(sender, &sender->outboxes[device]);
}

void
sender_down(struct sender *sender, size_t device, int end)
{
	outbox_down(&sender->outboxes[device], end);
}

void
sender_acked(struct sender *sender, size_t device, int id)
{
	if (outbox_acked(&sender->outboxes[device], id))
		pump(sender, &sender->outboxes[device]);
}

void
sender_refused(struct sender *sender, size_t device, int id, int reason)
{
	if (outbox_refused(&sender->outboxes[device], id, reason))
		pump(sender, &sender->outboxes[device]);
}

/* Nothing is to be waited for any more. */
static void
limits_settled(struct sender *sender, struct sender_session *session, bool untold)
{
	session->answer_mono_ms = 0;
	sender->all.limits_untold = untold;
	for (size_t i = 0; i < sender->all.settings->device_count; i++)
		if (sender->outboxes[i].session == session) {
			sender->outboxes[i].room_mono_ms = 0;
			pump(sender, &sender->outboxes[i]);
		}
}

void
sender_limits(struct sender *sender, size_t device, const void *payload, size_t length)
{
	struct sender_session *session = sender->outboxes[device].session;

	if (limits_hear(&session->limits, LIMITS_OF_SESSION, payload, length, clock_mono_ms()) < 0)
		return;
	if (sender->shared)
		limits_hear(&session->devices, LIMITS_OF_ITS_DEVICES, payload, length, clock_mono_ms());
	limits_settled(sender, session, false);
}

bool
sender_is_question(struct sender *sender, size_t device, const void *payload, size_t length)
{
	if (length != sizeof(LIMITS_REQUEST) - 1 || memcmp(payload, LIMITS_REQUEST, length) != 0)
		return false;
	limits_settled(sender, sender->outboxes[device].session, true);
	return true;
}

int
sender_post(
    struct sender *sender, size_t device, enum tb_topic topic, int64_t id, const void *payload, size_t length)
{
	return outbox_post(&sender->outboxes[device], topic, id, payload, length);
}

int
sender_post_values(struct sender *sender, size_t device, unsigned points, const void *payload, size_t length)
{
	return outbox_post_values(&sender->outboxes[device], points, payload, length);
}

int64_t
sender_take(struct sender *sender, size_t device, unsigned messages)
{
	return outbox_take(&sender->outboxes[device], messages);
}

void
sender_note_request(struct sender *sender, size_t device)
{
	struct sender_session *session = sender->outboxes[device].session;

	if (sender->outboxes[device].limits == &session->limits)
		limits_lose(&session->limits, clock_mono_ms());
}

/* ---- time ---- */

int64_t
sender_due_mono_ms(const struct sender *sender)
{
	const struct heap_node *first = heap_first(&sender->all.due);

	return first ? first->due : CLOCK_NEVER;
}

void
sender_tick(struct sender *sender, int64_t now_mono_ms)
{
	struct heap_node *first;

	while ((first = heap_first(&sender->all.due)) && first->due <= now_mono_ms) {
		struct outbox *outbox = heap_entry(first, struct outbox, due);

		if (outbox_due(outbox, now_mono_ms))
			pump(sender, outbox);
	}
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
	pump(sender, &sender->outboxes[device]);
}

bool
sender_is_flushed(const struct sender *sender)
{
	for (size_t i = 0; i < sender->all.settings->device_count; i++) {
		const struct outbox *outbox = &sender->outboxes[i];

		if (outbox_is_up(outbox) && (store_depth(sender->all.store, i) > 0 || outbox->attributes_id != 0 ||
						outbox->held.first || attributes_due(outbox->attributes)))
			return false;
	}
	return true;
}

bool
sender_is_idle(const struct sender *sender, size_t device)
{
	const struct outbox *outbox = &sender->outboxes[device];

	return store_depth(sender->all.store, device) == 0 && outbox->attributes_id == 0 && !outbox->held.first &&
	       (!outbox_is_up(outbox) || !attributes_due(outbox->attributes));
}

void
sender_health(const struct sender *sender, size_t device, struct health_device *ret)
{
	const struct outbox *outbox = &sender->outboxes[device];

	ret->in_flight = outbox->flights.count;
	ret->rows = store_depth(sender->all.store, device);
	ret->oldest_unix_ms = store_oldest(sender->all.store, device);
	ret->messages = outbox->counts.messages;
	ret->acked = outbox->counts.acked;
	ret->acked_rows = outbox->counts.acked_rows;
	ret->refused_values = outbox->counts.refused_values;
}

static int
make_outboxes(struct sender *sender)
{
	const struct settings *settings = sender->all.settings;
	int error = heap_init(&sender->all.due, settings->device_count);

	sender->outboxes = calloc(settings->device_count + 1, sizeof(sender->outboxes[0]));
	sender->sessions = calloc(settings->device_count + 1, sizeof(sender->sessions[0]));
	if (!sender->outboxes || !sender->sessions)
		return -ENOMEM;
	for (size_t i = 0; error == 0 && i < settings->device_count; i++) {
		struct sender_session *session = &sender->sessions[sender->shared ? 0 : i];
		bool of_gateway = sender->shared && &settings->devices[i] != settings->gateway;

		error = outbox_init(&sender->outboxes[i], &sender->all, &settings->devices[i], session,
		    of_gateway ? &session->devices : &session->limits);
	}
	return error;
}

struct sender *
sender_new(const struct settings *settings, struct store *store, struct sender_port port)
{
	struct sender *sender = calloc(1, sizeof(*sender));

	if (!sender)
		return NULL;
	sender->all.settings = settings;
	sender->all.store = store;
	sender->all.port = port;
	sender->all.payload = sender->payload;
	sender->shared = settings->server.api == API_GATEWAY;
	if (make_outboxes(sender) < 0) {
		sender_free(sender);
		return NULL;
	}
	return sender;
}

void
sender_adopt(struct sender *sender, struct sender *from, const struct difference *difference)
{
	/* That session is made anew, but the server's buckets are not. */
	if (sender->shared && from->shared) {
		sender->sessions[0].limits = from->sessions[0].limits;
		sender->sessions[0].devices = from->sessions[0].devices;
	}
	for (size_t i = 0; i < sender->all.settings->device_count; i++) {
		const struct device *was = difference_device(difference, &sender->all.settings->devices[i]);

		if (!was)
			continue;
		if (!sender->shared && !from->shared) {
			sender->sessions[i] = from->sessions[was->index];
			sender->sessions[i].trying = NULL;
		}
		outbox_adopt(&sender->outboxes[i], &from->outboxes[was->index], difference);
	}
	sender->all.limits_untold = from->all.limits_untold;
	for (const struct outbox *old = from->line; old; old = old->next_in_line) {
		const struct device *now = difference_device_now(difference, old->device);

		if (now)
			join_line(sender, &sender->outboxes[now->index]);
	}
}

void
sender_free(struct sender *sender)
{
	if (!sender)
		return;
	for (size_t i = 0; sender->outboxes && i < sender->all.settings->device_count; i++)
		outbox_done(&sender->outboxes[i]);
	heap_done(&sender->all.due);
	free(sender->outboxes);
	free(sender->sessions);
	free(sender);
}
