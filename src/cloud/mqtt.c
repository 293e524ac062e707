#include <config.h>

#include "cloud/mqtt.h"

#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/random.h"
#include "cloud/addresses.h"
#include "cloud/connection.h"
#include "cloud/news.h"
#include "cloud/reason.h"
#include "cloud/version.h"

/* A thousand sessions that come up together would look like an attack to the server: so many attempts may be
 * under way, and so many may start in each period (200 a second). */
#define ATTEMPTS_MAX	50
#define PACE_MS		50
#define PACE_ATTEMPTS	10
#define STABLE_MS	10000 /* a session that lived so long, and had a PUBACK, was a good one */
#define LET_UP_MS	10000 /* the server has had too much: it is left alone for about so long at least */
#define SELDOM_MAX	10    /* what only a person can mend is tried after so many of the longest pauses at most */
#define BARE_CLOSES	3     /* closed so often, soon and without a word: that has a reason */

enum state {
	STATE_QUEUED,	  /* waits for its turn to connect */
	STATE_WAITING,	  /* backs off; `timer` ends it */
	STATE_CONNECTING, /* TCP or CONNACK awaited; `timer` ends it */
	STATE_UP,
	STATE_CLOSING, /* DISCONNECT is being written */
	STATE_CLOSED,  /* for good, or while it is held or has no credentials */
};

struct mqtt_session {
	struct mqtt *mqtt;
	struct mqtt_session *next;
	struct mqtt_session *next_queued;
	const struct credentials *credentials; /* NULL: there are none yet */
	const struct mqtt_events *events;
	void *owner;

	enum state state;
	struct connection *connection; /* of this attempt; NULL while there is none */
	sd_event_source *timer;
	int version;	  /* of MQTT, of this attempt */
	size_t address;	  /* of the server's, of this attempt */
	bool acked;	  /* a PUBACK came since the session is up */
	int64_t up_mono_ms;
	int64_t acked_mono_ms; /* the last PUBACK, or when it came up */
	int64_t down_mono_ms;
	unsigned failures; /* in a row */
	unsigned bare_closes; /* in a row */
	int end;	   /* enum mqtt_end or a reason, of the connection that was up last */
	bool held;

	const char *restart; /* why, or NULL */
	bool too_early;	     /* it failed because a certificate is not valid yet */

	struct news_item news;
};

struct mqtt {
	const struct server_settings *server;
	sd_event *loop;
	struct mqtt_events events;
	struct mqtt_session *sessions;
	struct mqtt_counts counts;

	/* sessions whose turn it is soon, in order */
	struct mqtt_session *queue;
	struct mqtt_session **queue_end;
	size_t attempts;
	unsigned allowance; /* attempts that may still start in this period */
	sd_event_source *pace;

	struct addresses *addresses;
	struct version version;
	struct news *news;
	struct transport *transport;
	sd_event_source *keepalive;

	sd_event_source *validity; /* by the wall clock: a certificate becomes valid */
	int64_t valid_unix_ms;	   /* when; 0 = nobody waits for that */

	bool closing;
	sd_event_source *closer;
};

static void admit(struct mqtt *mqtt);

/* sd-event arms a one-shot timer anew like this. */
static void
timer_set(sd_event_source *timer, int64_t delay_ms)
{
	sd_event_source_set_time_relative(timer, (uint64_t)delay_ms * 1000);
	sd_event_source_set_enabled(timer, SD_EVENT_ONESHOT);
}

static void
timer_stop(sd_event_source *timer)
{
	sd_event_source_set_enabled(timer, SD_EVENT_OFF);
}

/* Any CONNACK, even one that refuses, shows that the server is there. */
static void
server_answered(struct mqtt *mqtt)
{
	version_answered(&mqtt->version);
	news_server_answered(mqtt->news);
}

/* ---- a session ---- */

static void
drop_connection(struct mqtt_session *session)
{
	connection_close(session->connection);
	session->connection = NULL;
	if (session->state == STATE_CONNECTING)
		session->mqtt->attempts--;
	if (session->state == STATE_UP)
		session->mqtt->counts.up--;
}

static int64_t
back_off_ms(const struct mqtt_session *session)
{
	const struct server_settings *server = session->mqtt->server;
	int64_t delay = server->reconnect_min_ms;

	for (unsigned i = 0; i < session->failures && delay < server->reconnect_max_ms; i++)
		delay *= 2;
	return random_jitter(delay < server->reconnect_max_ms ? delay : server->reconnect_max_ms);
}

/* When a session is tried again that ended like that. */
static int64_t
reaction_ms(const struct mqtt_session *session, enum reaction reaction)
{
	int64_t longest = session->mqtt->server->reconnect_max_ms, back_off = back_off_ms(session), let_up;

	switch (reaction) {
	case REACT_OTHER_VERSION:
	case REACT_BACK_OFF:
		return back_off;
	case REACT_LET_UP:
		let_up = random_jitter(LET_UP_MS < longest ? LET_UP_MS : longest);
		return back_off > let_up ? back_off : let_up;
	case REACT_STAND_BACK:
		return random_jitter(longest);
	case REACT_SELDOM:
		return longest * (session->failures < SELDOM_MAX ? session->failures + 1 : SELDOM_MAX) +
		       random_jitter(longest) / 2;
	}
	return back_off;
}

/* The attempt or connection is over; the next attempt comes after `delay_ms`. */
static void
end_connection(struct mqtt_session *session, struct report report, int64_t delay_ms)
{
	bool was_up = session->state == STATE_UP;

	if (was_up)
		session->down_mono_ms = clock_mono_ms();
	drop_connection(session);
	session->state = STATE_WAITING;
	session->failures++;
	timer_set(session->timer, delay_ms);
	news_change(session->mqtt->news, &session->news, report);
	admit(session->mqtt);
	if (was_up)
		session->events->down(session->owner);
}

static void
session_failed(struct mqtt_session *session, const char *why)
{
	struct mqtt *mqtt = session->mqtt;

	mqtt->counts.failures++;
	if (session->state == STATE_CONNECTING)
		addresses_doubt(mqtt->addresses, session->address);
	if (mqtt->counts.up == 0)
		news_server_failed(mqtt->news, why);
	end_connection(session, (struct report){ .condition = CONDITION_FAILED, .why = why }, back_off_ms(session));
}

/* What a server does that speaks MQTT 3.1.1 and has no other word for it. */
static const char *
bare_close_advice(struct mqtt_session *session, bool bare, bool useful)
{
	if (useful || !bare)
		session->bare_closes = 0;
	else if (session->bare_closes < BARE_CLOSES)
		session->bare_closes++;
	return session->bare_closes < BARE_CLOSES
		   ? NULL
		   : "again and again: does another client use the same credentials, or is a rate limit reached?";
}

/* Back-off starts anew only after a connection that was of use: a server that accepts and closes at once, or that chokes on
 * what we send, must not be asked again and again at the shortest interval. A PUBACK shows it, a CONNACK does not; and when
 * two clients have the same credentials both get one before the other comes. */
static void
session_lost(struct mqtt_session *session, int code, const char *why)
{
	struct mqtt *mqtt = session->mqtt;
	const struct reason *reason = code >= 128 ? reason_find(code) : NULL;
	bool useful = session->acked && clock_mono_ms() - session->up_mono_ms >= STABLE_MS;
	struct report report = { .condition = CONDITION_LOST, .why = why };

	mqtt->counts.losses++;
	if (useful)
		session->failures = 0;
	report.advice = reason ? reason_advice(reason, session->credentials->kind)
			       : bare_close_advice(session, session->end == MQTT_END_CLOSED, useful);
	end_connection(session, report, reaction_ms(session, reason ? reason->reaction : REACT_BACK_OFF));
}

static void
session_refused(struct mqtt_session *session, int code)
{
	struct mqtt *mqtt = session->mqtt;
	const struct reason *reason = reason_find(code);

	mqtt->counts.refusals++;
	if (reason->reaction == REACT_OTHER_VERSION && version_refused(&mqtt->version, session->version)) {
		/* No failure of this session: others have learned by now what the server speaks, or this one just did. */
		end_connection(session, session->news.now, 0);
		return;
	}
	end_connection(session,
	    (struct report){ .condition = CONDITION_REFUSED,
		.why = reason->text,
		.advice = reason_advice(reason, session->credentials->kind) },
	    reaction_ms(session, reason->reaction));
}

static void
session_up(struct mqtt_session *session)
{
	struct mqtt *mqtt = session->mqtt;

	timer_stop(session->timer);
	session->state = STATE_UP;
	session->acked = false;
	session->up_mono_ms = session->acked_mono_ms = clock_mono_ms();
	mqtt->attempts--;
	mqtt->counts.up++;
	mqtt->counts.connects++;
	version_works(&mqtt->version, session->version);
	news_change(mqtt->news, &session->news, (struct report){ .condition = CONDITION_UP });
	if (session->held)
		timer_set(session->timer, 0);
	if (sd_event_source_set_enabled(mqtt->keepalive, SD_EVENT_ON) < 0)
		log_error("server %s:%d: cannot time the keep alive", mqtt->server->host, mqtt->server->port);
	admit(mqtt);
	session->events->up(session->owner);
}

static void
session_closed(struct mqtt_session *session)
{
	drop_connection(session);
	timer_stop(session->timer);
	session->state = STATE_CLOSED;
}

/* A clock that was never set shows a time before any certificate. As soon as it is set, or time has come, those that could
 * not connect for that may, whatever their back-off says. The system's timer sees both. */
static void
await_validity(struct mqtt_session *session, int64_t unix_ms)
{
	struct mqtt *mqtt = session->mqtt;

	session->too_early = session->state == STATE_WAITING;
	if (mqtt->valid_unix_ms != 0 && mqtt->valid_unix_ms <= unix_ms)
		return;
	mqtt->valid_unix_ms = unix_ms;
	sd_event_source_set_time(mqtt->validity, (uint64_t)unix_ms * 1000);
	sd_event_source_set_enabled(mqtt->validity, SD_EVENT_ONESHOT);
}

static int
on_validity(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct mqtt *mqtt = userdata;

	(void)source, (void)usec;
	mqtt->valid_unix_ms = 0;
	for (struct mqtt_session *session = mqtt->sessions; session; session = session->next)
		if (session->too_early && session->state == STATE_WAITING)
			timer_set(session->timer, 0);
	return 0;
}

/* ---- what the connection says ---- */

static void
on_accepted(void *owner)
{
	struct mqtt_session *session = owner;

	server_answered(session->mqtt);
	if (session->state == STATE_CONNECTING)
		session_up(session);
}

static void
on_acked(void *owner, int id, int code)
{
	struct mqtt_session *session = owner;

	if (session->state != STATE_UP)
		return;
	if (code >= 128) {
		session->events->refused(session->owner, id, code);
		return;
	}
	session->acked = true;
	session->acked_mono_ms = clock_mono_ms();
	session->events->acked(session->owner, id);
}

static void
on_subscribed(void *owner, int id, bool granted)
{
	struct mqtt_session *session = owner;

	if (session->state == STATE_UP)
		session->events->subscribed(session->owner, id, granted);
}

static void
on_message(void *owner, const char *topic, const void *payload, size_t length)
{
	struct mqtt_session *session = owner;

	if (session->state == STATE_UP)
		session->events->message(session->owner, topic, payload, length);
}

static void
on_ended(void *owner, const struct connection_end *end)
{
	struct mqtt_session *session = owner;

	if (end->refused)
		server_answered(session->mqtt);
	if (end->mute && session->state == STATE_CONNECTING)
		version_closed(&session->mqtt->version, session->version);
	session->end = end->disconnected > 0 ? end->disconnected
		       : end->closed && !session->restart ? MQTT_END_CLOSED : MQTT_END_OURS;
	if (session->state == STATE_CLOSING)
		session_closed(session);
	else if (end->refused)
		session_refused(session, end->refused);
	else if (session->state == STATE_UP)
		session_lost(session, end->disconnected, session->restart ? session->restart : end->why);
	else
		session_failed(session, end->why);
	if (end->valid_from_unix_ms)
		await_validity(session, end->valid_from_unix_ms);
}

static const struct connection_events connection_events = {
	.accepted = on_accepted,
	.acked = on_acked,
	.subscribed = on_subscribed,
	.message = on_message,
	.ended = on_ended,
};

static void
session_connect(struct mqtt_session *session)
{
	struct mqtt *mqtt = session->mqtt;
	struct connection_plan plan = { .version = mqtt->version.number, .credentials = session->credentials };
	char address[NI_MAXHOST];
	struct connection_end end = { .why = "the address of the server is none" };

	session->state = STATE_CONNECTING;
	session->version = plan.version;
	session->address = addresses_current(mqtt->addresses);
	session->restart = NULL;
	session->too_early = false;
	mqtt->attempts++;
	timer_set(session->timer, mqtt->server->connect_timeout_ms);
	plan.address = address;
	if (addresses_text(mqtt->addresses, session->address, address, sizeof(address)) == 0)
		session->connection = connection_open(mqtt->transport, &plan, session, &end);
	if (!session->connection)
		on_ended(session, &end);
}

/* ---- whose turn it is ---- */

static void
enqueue(struct mqtt_session *session)
{
	struct mqtt *mqtt = session->mqtt;

	session->state = STATE_QUEUED;
	session->next_queued = NULL;
	*mqtt->queue_end = session;
	mqtt->queue_end = &session->next_queued;
}

static struct mqtt_session *
dequeue(struct mqtt *mqtt)
{
	struct mqtt_session *session = mqtt->queue;

	mqtt->queue = session->next_queued;
	if (!mqtt->queue)
		mqtt->queue_end = &mqtt->queue;
	return session;
}

static void
on_addresses(void *ctx)
{
	admit(ctx);
}

/* Let sessions start to connect, as far as the bounds on attempts allow. */
static void
admit(struct mqtt *mqtt)
{
	const char *error = NULL;

	while (mqtt->queue && !mqtt->closing && mqtt->attempts < ATTEMPTS_MAX && mqtt->allowance > 0 &&
	       addresses_ready(mqtt->addresses, &error)) {
		struct mqtt_session *session = dequeue(mqtt);

		if (session->held) {
			session->state = STATE_CLOSED;
			continue;
		}
		mqtt->allowance--;
		if (error)
			session_failed(session, error);
		else
			session_connect(session);
	}
	if (mqtt->queue || mqtt->allowance < PACE_ATTEMPTS) {
		int enabled = SD_EVENT_OFF;

		sd_event_source_get_enabled(mqtt->pace, &enabled);
		if (enabled == SD_EVENT_OFF)
			timer_set(mqtt->pace, PACE_MS);
	}
}

static int
on_pace(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct mqtt *mqtt = userdata;

	(void)source, (void)usec;
	mqtt->allowance = PACE_ATTEMPTS;
	admit(mqtt);
	return 0;
}

/* It is held. DISCONNECT is written at once, unless the line is stuck: then nobody would read it. */
static void
close_held(struct mqtt_session *session)
{
	session->mqtt->counts.up--;
	session->state = STATE_CLOSING;
	connection_finish(session->connection);
	if (session->state == STATE_CLOSING)
		session_closed(session);
	session->failures = 0;
	session->end = MQTT_END_OURS;
	session->events->down(session->owner);
}

static int
on_session_timer(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct mqtt_session *session = userdata;

	(void)source, (void)usec;
	switch (session->state) {
	case STATE_WAITING:
		enqueue(session);
		admit(session->mqtt);
		break;
	case STATE_CONNECTING:
		session_failed(session, connection_overdue(session->connection));
		break;
	case STATE_UP: /* mqtt_session_restart() or _hold() */
		if (session->restart) {
			session->end = MQTT_END_OURS;
			session_lost(session, 0, session->restart);
		} else if (session->held) {
			close_held(session);
		}
		break;
	case STATE_CLOSED: /* it was held, or had no credentials */
		if (!session->credentials || session->held || session->mqtt->closing)
			break;
		enqueue(session);
		admit(session->mqtt);
		break;
	default:
		break;
	}
	return 0;
}

/* One tick for all sessions: the library compares its clocks, sends a ping or ends a connection that did not
 * answer one. */
static int
on_keepalive(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct mqtt *mqtt = userdata;

	(void)usec;
	for (struct mqtt_session *session = mqtt->sessions; session; session = session->next)
		if (session->state == STATE_UP)
			connection_tick(session->connection);
	if (mqtt->counts.up == 0)
		return sd_event_source_set_enabled(source, SD_EVENT_OFF);
	return sd_event_source_set_time_relative(source, (uint64_t)keepalive_s(mqtt->server) * 250000);
}

/* ---- the module ---- */

static int
add_clock_timer(sd_event *loop, sd_event_source **ret, clockid_t clock, sd_event_time_handler_t handler,
    void *userdata, uint64_t accuracy_us)
{
	int error = sd_event_add_time(loop, ret, clock, 0, accuracy_us, handler, userdata);

	return error < 0 ? error : sd_event_source_set_enabled(*ret, SD_EVENT_OFF);
}

static int
add_timer(sd_event *loop, sd_event_source **ret, sd_event_time_handler_t handler, void *userdata, uint64_t accuracy_us)
{
	return add_clock_timer(loop, ret, CLOCK_MONOTONIC, handler, userdata, accuracy_us);
}

static int
on_closer(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct mqtt *mqtt = userdata;

	(void)source, (void)usec;
	for (struct mqtt_session *session = mqtt->sessions; session; session = session->next) {
		if (session->state != STATE_UP) {
			session_closed(session);
			continue;
		}
		timer_stop(session->timer);
		mqtt->counts.up--;
		session->state = STATE_CLOSING;
		connection_finish(session->connection);
	}
	mqtt->queue = NULL;
	mqtt->queue_end = &mqtt->queue;
	return 0;
}

static int
add_sources(struct mqtt *mqtt)
{
	uint64_t accuracy_us = (uint64_t)keepalive_s(mqtt->server) * 50000;
	int error = add_timer(mqtt->loop, &mqtt->pace, on_pace, mqtt, 5000);

	if (error >= 0)
		error = add_timer(mqtt->loop, &mqtt->closer, on_closer, mqtt, 1);
	if (error >= 0)
		error = add_timer(mqtt->loop, &mqtt->keepalive, on_keepalive, mqtt, accuracy_us);
	if (error >= 0)
		error = add_clock_timer(mqtt->loop, &mqtt->validity, CLOCK_REALTIME, on_validity, mqtt, 250000);
	return error;
}

static void
look_for_news(void *ctx, size_t *ret_up, bool *ret_busy)
{
	const struct mqtt *mqtt = ctx;

	*ret_up = mqtt->counts.up;
	*ret_busy = mqtt->queue || mqtt->attempts > 0;
}

struct mqtt *
mqtt_new(const struct server_settings *server, sd_event *loop, struct resolver *resolver,
    const struct mqtt_events *events)
{
	struct mqtt *mqtt = calloc(1, sizeof(*mqtt));
	int error;

	if (!mqtt)
		return NULL;
	mqtt->server = server;
	mqtt->loop = sd_event_ref(loop);
	mqtt->events = *events;
	mqtt->queue_end = &mqtt->queue;
	mqtt->allowance = PACE_ATTEMPTS;
	version_init(&mqtt->version, server);
	mqtt->addresses = addresses_new(server, loop, resolver, on_addresses, mqtt);
	mqtt->news = news_new(server, loop, look_for_news, mqtt);
	mqtt->transport = transport_new(server, loop, &connection_events);
	error = mqtt->addresses && mqtt->news && mqtt->transport ? add_sources(mqtt) : -errno;
	if (error < 0) {
		mqtt_free(mqtt);
		errno = -error;
		return NULL;
	}
	return mqtt;
}

static void
free_session(struct mqtt_session *session)
{
	drop_connection(session);
	sd_event_source_disable_unref(session->timer);
	free(session->news.name);
	free(session);
}

void
mqtt_free(struct mqtt *mqtt)
{
	if (!mqtt)
		return;
	while (mqtt->sessions) {
		struct mqtt_session *session = mqtt->sessions;

		mqtt->sessions = session->next;
		free_session(session);
	}
	sd_event_source_disable_unref(mqtt->pace);
	sd_event_source_disable_unref(mqtt->closer);
	sd_event_source_disable_unref(mqtt->keepalive);
	sd_event_source_disable_unref(mqtt->validity);
	transport_free(mqtt->transport);
	addresses_free(mqtt->addresses);
	news_free(mqtt->news);
	sd_event_unref(mqtt->loop);
	free(mqtt);
}

/* `thing` is taken over; NULL: there is no memory. */
static struct mqtt_session *
add_session(struct mqtt *mqtt, char *thing, bool guest, const struct credentials *credentials,
    const struct mqtt_events *events, void *owner)
{
	struct mqtt_session *session = thing ? calloc(1, sizeof(*session)) : NULL;

	if (!session) {
		free(thing);
		errno = ENOMEM;
		return NULL;
	}
	session->mqtt = mqtt;
	session->owner = owner;
	session->events = events;
	session->credentials = credentials;
	session->state = credentials ? STATE_WAITING : STATE_CLOSED;
	session->down_mono_ms = clock_mono_ms();
	session->news.name = thing;
	session->news.guest = guest;
	if (add_timer(mqtt->loop, &session->timer, on_session_timer, session, 20000) < 0) {
		free_session(session);
		errno = ENOMEM;
		return NULL;
	}
	session->next = mqtt->sessions;
	mqtt->sessions = session;
	news_add(mqtt->news, &session->news);
	if (credentials)
		timer_set(session->timer, 0);
	return session;
}

struct mqtt_session *
mqtt_session_new(struct mqtt *mqtt, const char *name, const struct credentials *credentials, void *owner)
{
	char *thing;

	if (asprintf(&thing, "device %s", name) < 0)
		thing = NULL;
	return add_session(mqtt, thing, false, credentials, &mqtt->events, owner);
}

struct mqtt_session *
mqtt_guest_new(struct mqtt *mqtt, const char *thing, const struct credentials *credentials,
    const struct mqtt_events *events, void *owner)
{
	return add_session(mqtt, strdup(thing), true, credentials, events, owner);
}

static void
leave_queue(struct mqtt_session *session)
{
	struct mqtt *mqtt = session->mqtt;
	struct mqtt_session **at = &mqtt->queue;

	while (*at && *at != session)
		at = &(*at)->next_queued;
	if (!*at)
		return;
	*at = session->next_queued;
	if (!*at)
		mqtt->queue_end = at;
}

void
mqtt_session_free(struct mqtt_session *session)
{
	struct mqtt *mqtt;
	struct mqtt_session **at;

	if (!session)
		return;
	mqtt = session->mqtt;
	if (session->state == STATE_UP) {
		mqtt->counts.up--;
		session->state = STATE_CLOSING;
		connection_finish(session->connection);
	}
	leave_queue(session);
	for (at = &mqtt->sessions; *at != session; at = &(*at)->next)
		;
	*at = session->next;
	news_remove(mqtt->news, &session->news);
	free_session(session);
	admit(mqtt);
}

void
mqtt_session_give(struct mqtt_session *session, const struct credentials *credentials, void *owner)
{
	session->credentials = credentials;
	session->owner = owner;
	if (session->state == STATE_CLOSED)
		timer_set(session->timer, 0);
}

void
mqtt_rebind(struct mqtt *mqtt, const struct server_settings *server)
{
	mqtt->server = server;
	mqtt->version.server = server;
	addresses_rebind(mqtt->addresses, server);
	news_rebind(mqtt->news, server);
	transport_rebind(mqtt->transport, server);
}

bool
mqtt_session_is_up(const struct mqtt_session *session)
{
	return session->state == STATE_UP && !session->restart;
}

void
mqtt_session_restart(struct mqtt_session *session, const char *why)
{
	if (!mqtt_session_is_up(session))
		return;
	session->restart = why;
	timer_set(session->timer, 0);
}

void
mqtt_session_health(const struct mqtt_session *session, struct health_device *ret)
{
	static const enum health_session_state states[] = {
		[STATE_QUEUED] = HEALTH_SESSION_WAITING,
		[STATE_WAITING] = HEALTH_SESSION_WAITING,
		[STATE_CONNECTING] = HEALTH_SESSION_CONNECTING,
		[STATE_UP] = HEALTH_SESSION_UP,
		[STATE_CLOSING] = HEALTH_SESSION_CLOSED,
		[STATE_CLOSED] = HEALTH_SESSION_CLOSED,
	};
	bool up = session->state == STATE_UP;

	ret->state = states[session->state];
	ret->why = up ? NULL : session->news.now.why;
	ret->since_mono_ms = up ? session->up_mono_ms : session->down_mono_ms;
}

int
mqtt_session_end(const struct mqtt_session *session)
{
	return session->end;
}

void
mqtt_session_hold(struct mqtt_session *session, bool hold)
{
	if (session->held == hold)
		return;
	session->held = hold;
	if (hold ? session->state == STATE_UP : session->state == STATE_CLOSED)
		timer_set(session->timer, 0);
}

/* A connection that a call of the owner found broken is dealt with from the loop. */
static int
owner_result(struct mqtt_session *session, int result)
{
	int64_t patience_ms;

	if (result == -ENOTCONN)
		mqtt_session_restart(session, "connection lost");
	if (result != -EBUSY)
		return result;
	patience_ms = session->mqtt->server->ack_timeout_ms;
	if (patience_ms > 0 && clock_mono_ms() - session->acked_mono_ms >= patience_ms)
		mqtt_session_restart(session, "the server acknowledges nothing any more");
	return -ENOMEM;
}

int
mqtt_publish(struct mqtt_session *session, const char *topic, const void *payload, size_t length)
{
	if (!mqtt_session_is_up(session))
		return -ENOTCONN;
	return owner_result(session, connection_publish(session->connection, topic, payload, length));
}

int
mqtt_subscribe(struct mqtt_session *session, const char *const *filters, size_t count)
{
	if (!mqtt_session_is_up(session))
		return -ENOTCONN;
	return owner_result(session, connection_subscribe(session->connection, filters, count));
}

void
mqtt_close_all(struct mqtt *mqtt)
{
	if (mqtt->closing)
		return;
	/* From the loop, for the owner may be inside an event of a session that would be gone when it
	 * returns. */
	mqtt->closing = true;
	timer_set(mqtt->closer, 0);
}

size_t
mqtt_active(const struct mqtt *mqtt)
{
	size_t active = 0;

	for (const struct mqtt_session *session = mqtt->sessions; session; session = session->next)
		active += session->state != STATE_CLOSED;
	return active;
}

struct mqtt_counts
mqtt_counts(const struct mqtt *mqtt)
{
	struct mqtt_counts counts = mqtt->counts;

	counts.version = mqtt->version.number;
	return counts;
}

void
mqtt_count_on(struct mqtt *mqtt, const struct mqtt *from)
{
	mqtt->counts.connects += from->counts.connects;
	mqtt->counts.refusals += from->counts.refusals;
	mqtt->counts.failures += from->counts.failures;
	mqtt->counts.losses += from->counts.losses;
}
