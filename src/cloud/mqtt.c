#include <config.h>

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <mosquitto.h>
#include <mqtt_protocol.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "cloud/addresses.h"
#include "cloud/mqtt.h"
#include "cloud/news.h"
#include "cloud/reason.h"
#include "cloud/version.h"

/* A thousand sessions that come up together would look like an attack to the server: so many attempts may be
 * under way, and so many may start in each period (200 a second). */
#define ATTEMPTS_MAX	50
#define PACE_MS		50
#define PACE_ATTEMPTS	10
#define STABLE_MS	60000 /* a session that lived so long was a good one, */
#define ACKED_STABLE_MS 10000 /* or this long if the server also took something */
#define IN_FLIGHT_MAX	100   /* more unacknowledged messages than ThingsBoard keeps for one session */
#define KEEPALIVE_MIN_S 5     /* the least that libmosquitto takes */

enum state {
	STATE_QUEUED,	  /* waits for its turn to connect */
	STATE_WAITING,	  /* backs off; `timer` ends it */
	STATE_CONNECTING, /* TCP or CONNACK awaited; `timer` ends it */
	STATE_UP,
	STATE_CLOSING, /* DISCONNECT is being written */
	STATE_CLOSED,  /* for good, or while it is held */
};

struct mqtt_session {
	struct mqtt *mqtt;
	struct mqtt_session *next;
	struct mqtt_session *next_queued;
	char *token;
	void *owner;

	enum state state;
	struct mosquitto *mosq; /* of this attempt and connection only: the library must not keep messages for
				   the next one */
	sd_event_source *io;
	sd_event_source *timer;
	int version;	  /* of MQTT, of this attempt */
	size_t address;	  /* of the server's, of this attempt */
	bool established; /* TCP is, or was before it ended */
	bool acked;	  /* a PUBACK came since the session is up */
	int64_t up_mono_ms;
	unsigned failures; /* in a row */
	int end;	   /* enum mqtt_end or a reason, of the connection that was up last */
	bool held;

	/* What the library's callbacks found out, for settle(); -1 = nothing. */
	int connack;
	int disconnect;
	const char *restart; /* why, or NULL */

	struct news_item news;
};

/* What a callback of the library told. It is passed on when the library is done: owners publish in answer,
 * and the library holds locks of its own while it calls back. */
struct notice {
	enum { NOTICE_PUBACK, NOTICE_SUBACK, NOTICE_MESSAGE } kind;
	int id;
	int code;     /* PUBACK */
	bool granted; /* SUBACK */
	char *topic;  /* MESSAGE */
	char *payload;
	size_t length;
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
	sd_event_source *keepalive;

	struct notice *notices; /* of the session that the library was called for */
	size_t notice_count;
	size_t notice_room;

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

static uint32_t
random_number(void)
{
	uint32_t number;

	if (getrandom(&number, sizeof(number), GRND_NONBLOCK) != sizeof(number))
		number = (uint32_t)clock_mono_us() * 2654435761u;
	return number;
}

/* Half to one and a half of `ms`. */
static int64_t
jitter(int64_t ms)
{
	return ms / 2 + (int64_t)(random_number() % (uint64_t)(ms + 1));
}

/* Any CONNACK, even one that refuses, shows that the server is there. */
static void
server_answered(struct mqtt *mqtt)
{
	version_answered(&mqtt->version);
	news_server_answered(mqtt->news);
}

static int
keepalive_s(const struct mqtt *mqtt)
{
	return mqtt->server->keepalive_s > KEEPALIVE_MIN_S ? mqtt->server->keepalive_s : KEEPALIVE_MIN_S;
}

/* ---- one connection ---- */

/* Watch what the library has open now, for what it wants now. To be called after each call into the library.
 */
static void
watch(struct mqtt_session *session)
{
	int fd = session->mosq ? mosquitto_socket(session->mosq) : -1;
	uint32_t wanted = EPOLLIN | (fd >= 0 && mosquitto_want_write(session->mosq) ? EPOLLOUT : 0);
	uint32_t watched;

	if (!session->io)
		return;
	if (fd < 0 || fd != sd_event_source_get_io_fd(session->io)) {
		/* The library has closed it, and the number may belong to another file soon. */
		session->io = sd_event_source_disable_unref(session->io);
		return;
	}
	if (sd_event_source_get_io_events(session->io, &watched) >= 0 && watched != wanted)
		sd_event_source_set_io_events(session->io, wanted);
}

static void
drop_connection(struct mqtt_session *session)
{
	session->io = sd_event_source_disable_unref(session->io);
	if (session->mosq)
		mosquitto_destroy(session->mosq);
	session->mosq = NULL;
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
	return jitter(delay < server->reconnect_max_ms ? delay : server->reconnect_max_ms);
}

/* The attempt or connection is over; the next attempt comes after `delay_ms`. */
static void
end_connection(struct mqtt_session *session, enum condition condition, const char *why, int64_t delay_ms)
{
	bool was_up = session->state == STATE_UP;

	drop_connection(session);
	session->state = STATE_WAITING;
	session->failures++;
	timer_set(session->timer, delay_ms);
	news_change(session->mqtt->news, &session->news, condition, why);
	admit(session->mqtt);
	if (was_up)
		session->mqtt->events.down(session->owner);
}

static void
session_failed(struct mqtt_session *session, const char *why)
{
	struct mqtt *mqtt = session->mqtt;

	mqtt->counts.failures++;
	if (session->established)
		version_closed(&mqtt->version, session->version);
	if (session->state == STATE_CONNECTING)
		addresses_doubt(mqtt->addresses, session->address);
	if (mqtt->counts.up == 0)
		news_server_failed(mqtt->news, why);
	end_connection(session, CONDITION_FAILED, why, back_off_ms(session));
}

/* Back-off starts anew only after a connection that was of use: a server that accepts and closes at once, or
 * that chokes on what we send, must not be asked again and again at the shortest interval. */
static void
session_lost(struct mqtt_session *session, const char *why)
{
	struct mqtt *mqtt = session->mqtt;
	int64_t lived_ms = clock_mono_ms() - session->up_mono_ms;
	int64_t delay_ms;

	mqtt->counts.losses++;
	if (lived_ms >= STABLE_MS || (session->acked && lived_ms >= ACKED_STABLE_MS))
		session->failures = 0;
	/* The other client gets its session back when we come, and would take ours again: do not play that
	 * game fast. */
	delay_ms = session->disconnect == REASON_SESSION_TAKEN_OVER ? jitter(mqtt->server->reconnect_max_ms)
								    : back_off_ms(session);
	end_connection(session, CONDITION_LOST, why, delay_ms);
}

static void
session_refused(struct mqtt_session *session, int code)
{
	struct mqtt *mqtt = session->mqtt;
	enum refusal refusal = reason_refusal(code);
	int64_t delay_ms = back_off_ms(session);

	mqtt->counts.refusals++;
	if (refusal == REFUSED_VERSION)
		version_refused(&mqtt->version, session->version);
	if (refusal == REFUSED_VERSION && session->version == MQTT_PROTOCOL_V5 &&
	    session->version != mqtt->version.number) {
		/* No failure of this session: others have learned by now what the server speaks, or this one
		 * just did. */
		end_connection(session, session->news.now.condition, session->news.now.why, 0);
		return;
	}
	if (refusal == REFUSED_TOKEN)
		delay_ms = mqtt->server->reconnect_max_ms + jitter(mqtt->server->reconnect_max_ms) / 2;
	end_connection(session, refusal == REFUSED_TOKEN ? CONDITION_REFUSED_TOKEN : CONDITION_REFUSED,
	    reason_text(code), delay_ms);
}

static void
session_up(struct mqtt_session *session)
{
	struct mqtt *mqtt = session->mqtt;

	timer_stop(session->timer);
	session->state = STATE_UP;
	session->acked = false;
	session->up_mono_ms = clock_mono_ms();
	mqtt->attempts--;
	mqtt->counts.up++;
	mqtt->counts.connects++;
	version_works(&mqtt->version, session->version);
	news_change(mqtt->news, &session->news, CONDITION_UP, NULL);
	if (session->held)
		timer_set(session->timer, 0);
	if (sd_event_source_set_enabled(mqtt->keepalive, SD_EVENT_ON) < 0)
		log_error("server %s:%d: cannot time the keep alive", mqtt->server->host, mqtt->server->port);
	admit(mqtt);
	mqtt->events.up(session->owner);
}

static const char *
error_text(int error)
{
	/* EPIPE is what the system answers who writes to a peer that has closed. */
	if (error == 0 || error == EPIPE)
		return "the server closed the connection";
	return strerrordesc_np(error);
}

/* Why the library gave up. `code` is from on_disconnect: one of its own below 128, or the reason of a
 * DISCONNECT (MQTT 5). */
static const char *
loss_text(int code, int error)
{
	if (code >= 128)
		return reason_text(code);
	switch (code) {
	case MOSQ_ERR_KEEPALIVE:
		return "no answer to a keep alive ping";
	case MOSQ_ERR_ERRNO:
		return error_text(error);
	case MOSQ_ERR_PROTOCOL:
	case MOSQ_ERR_MALFORMED_PACKET:
		return "the server sent what is not MQTT";
	case MOSQ_ERR_NOMEM:
		return "out of memory";
	default:
		return "the server closed the connection";
	}
}

static void
session_closed(struct mqtt_session *session)
{
	drop_connection(session);
	timer_stop(session->timer);
	session->state = STATE_CLOSED;
}

/* A reset is how a server closes that has not read all that we sent. */
static int
find_end(const struct mqtt_session *session, int rc, int error)
{
	if (session->restart)
		return MQTT_END_OURS;
	if (session->disconnect >= 128)
		return session->disconnect;
	return rc == MOSQ_ERR_CONN_LOST || (rc == MOSQ_ERR_ERRNO && (error == 0 || error == EPIPE || error == ECONNRESET))
		   ? MQTT_END_CLOSED
		   : MQTT_END_OURS;
}

static void
pass_on(struct mqtt_session *session, const struct notice *notice)
{
	const struct mqtt_events *events = &session->mqtt->events;

	switch (notice->kind) {
	case NOTICE_PUBACK:
		if (notice->code >= 128) {
			events->refused(session->owner, notice->id, notice->code);
			break;
		}
		session->acked = true;
		events->acked(session->owner, notice->id);
		break;
	case NOTICE_SUBACK:
		events->subscribed(session->owner, notice->id, notice->granted);
		break;
	case NOTICE_MESSAGE:
		events->message(session->owner, notice->topic, notice->payload, notice->length);
		break;
	}
}

static void
pass_on_notices(struct mqtt_session *session)
{
	struct mqtt *mqtt = session->mqtt;

	for (size_t i = 0; i < mqtt->notice_count; i++) {
		if (session->state == STATE_UP)
			pass_on(session, &mqtt->notices[i]);
		free(mqtt->notices[i].topic);
		free(mqtt->notices[i].payload);
	}
	mqtt->notice_count = 0;
}

/* Act on what the callbacks found out during a call, and on how the call ended. The library may close the
 * socket without any callback. Called from the loop only. */
static void
settle(struct mqtt_session *session, int rc)
{
	int error = errno;
	int connack = session->connack;
	bool closed = rc != MOSQ_ERR_SUCCESS || mosquitto_socket(session->mosq) < 0;

	session->connack = -1;
	watch(session);
	if (connack >= 0)
		server_answered(session->mqtt);
	if (connack == 0 && !closed && session->state == STATE_CONNECTING)
		session_up(session);
	pass_on_notices(session);
	if (session->state == STATE_CLOSING) {
		if (closed)
			session_closed(session);
	} else if (connack > 0) {
		session_refused(session, connack);
	} else if (closed || session->restart) {
		const char *why = session->restart
				      ? session->restart
				      : loss_text(session->disconnect >= 128 ? session->disconnect
						  : rc			     ? rc
									     : session->disconnect,
					    error);

		session->end = find_end(session, rc, error);
		if (session->state == STATE_UP)
			session_lost(session, why);
		else
			session_failed(session, why);
	}
}

static void
on_connack(struct mosquitto *mosq, void *userdata, int code, int flags, const mosquitto_property *properties)
{
	struct mqtt_session *session = userdata;

	(void)mosq, (void)flags, (void)properties;
	session->connack = code;
}

static void
on_disconnect(struct mosquitto *mosq, void *userdata, int code, const mosquitto_property *properties)
{
	struct mqtt_session *session = userdata;

	(void)mosq, (void)properties;
	session->disconnect = code;
}

/* Room for one more notice. Without memory a PUBACK counts as not arrived, and a message is lost. */
static void
add_notice(struct mqtt *mqtt, struct notice notice)
{
	if (mqtt->notice_count == mqtt->notice_room) {
		size_t room = mqtt->notice_room ? 2 * mqtt->notice_room : 16;
		struct notice *notices = realloc(mqtt->notices, room * sizeof(notices[0]));

		if (!notices) {
			free(notice.topic);
			free(notice.payload);
			return;
		}
		mqtt->notices = notices;
		mqtt->notice_room = room;
	}
	mqtt->notices[mqtt->notice_count++] = notice;
}

static void
on_puback(struct mosquitto *mosq, void *userdata, int id, int code, const mosquitto_property *properties)
{
	struct mqtt_session *session = userdata;

	(void)mosq, (void)properties;
	add_notice(session->mqtt, (struct notice){ .kind = NOTICE_PUBACK, .id = id, .code = code });
}

static void
on_suback(struct mosquitto *mosq, void *userdata, int id, int count, const int *granted,
    const mosquitto_property *properties)
{
	struct mqtt_session *session = userdata;
	bool all = true;

	(void)mosq, (void)properties;
	for (int i = 0; i < count; i++)
		all = all && granted[i] < 128;
	add_notice(session->mqtt, (struct notice){ .kind = NOTICE_SUBACK, .id = id, .granted = all });
}

static void
on_message(struct mosquitto *mosq, void *userdata, const struct mosquitto_message *message,
    const mosquitto_property *properties)
{
	struct mqtt_session *session = userdata;
	struct notice notice = { .kind = NOTICE_MESSAGE,
		.length = message->payloadlen > 0 ? (size_t)message->payloadlen : 0 };

	(void)mosq, (void)properties;
	notice.topic = strdup(message->topic);
	notice.payload = malloc(notice.length + 1);
	if (!notice.topic || !notice.payload) {
		free(notice.topic);
		free(notice.payload);
		return;
	}
	memcpy(notice.payload, message->payload ? message->payload : "", notice.length);
	notice.payload[notice.length] = '\0';
	add_notice(session->mqtt, notice);
}

/* Before CONNACK the library can miss the end of a connection: only a whole packet that is waiting is worth a
 * call. */
static void
hung_up(struct mqtt_session *session, int fd)
{
	int error = 0;
	socklen_t length = sizeof(error);
	char byte;

	if (recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) > 0) {
		session->established = true;
		settle(session, mosquitto_loop_read(session->mosq, 1));
		if (session->state != STATE_CONNECTING)
			return;
	} else {
		error = errno;
	}
	if (error == 0 || error == EAGAIN)
		getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length);
	session_failed(session, error_text(error));
}

static int
on_io(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
	struct mqtt_session *session = userdata;
	int rc = MOSQ_ERR_SUCCESS;

	(void)source;
	if (session->state == STATE_CONNECTING && (events & (EPOLLERR | EPOLLHUP)) != 0) {
		hung_up(session, fd);
		return 0;
	}
	session->established = true;
	errno = 0;
	if ((events & (EPOLLIN | EPOLLERR | EPOLLHUP)) != 0)
		rc = mosquitto_loop_read(session->mosq, 1);
	if (rc == MOSQ_ERR_SUCCESS && mosquitto_socket(session->mosq) >= 0 &&
	    mosquitto_want_write(session->mosq))
		rc = mosquitto_loop_write(session->mosq, 1);
	settle(session, rc);
	return 0;
}

/* For each packet that libmosquitto sends it writes a byte into a socket pair of its own, meant for its own
 * threads. With an external loop nobody reads them, and a full pair holds 220 kB of the kernel's memory for
 * every session (measured, 2.0.11). The pair gets the two lowest free descriptors; if another thread was
 * faster, the least buffer on some other local stream just made does no harm. */
static void
lowest_free_fds(sd_event *loop, int ret_fds[2])
{
	ret_fds[0] = fcntl(sd_event_get_fd(loop), F_DUPFD_CLOEXEC, 3);
	ret_fds[1] = fcntl(sd_event_get_fd(loop), F_DUPFD_CLOEXEC, 3);
	for (int i = 0; i < 2; i++)
		if (ret_fds[i] >= 0)
			close(ret_fds[i]);
}

static void
shrink_pair(const int fds[2])
{
	for (int i = 0; i < 2; i++) {
		int domain = 0, least = 1;
		socklen_t length = sizeof(domain);

		if (fds[i] >= 0 && getsockopt(fds[i], SOL_SOCKET, SO_DOMAIN, &domain, &length) == 0 &&
		    domain == AF_UNIX)
			setsockopt(fds[i], SOL_SOCKET, SO_SNDBUF, &least, sizeof(least));
	}
}

static int
set_up_client(struct mqtt_session *session)
{
	struct mosquitto *mosq;
	char id[32];

	/* ThingsBoard knows a device by its token alone; other brokers end the older of two sessions with one
	 * id. */
	snprintf(id, sizeof(id), "fieldgate-%08x%04x", random_number(), random_number() & 0xffff);
	mosq = session->mosq = mosquitto_new(id, true, session);
	if (!mosq)
		return MOSQ_ERR_NOMEM;
	mosquitto_int_option(mosq, MOSQ_OPT_PROTOCOL_VERSION, session->version);
	mosquitto_int_option(mosq, MOSQ_OPT_TCP_NODELAY, 1);
	mosquitto_int_option(mosq, MOSQ_OPT_SEND_MAXIMUM, IN_FLIGHT_MAX);
	mosquitto_connect_v5_callback_set(mosq, on_connack);
	mosquitto_disconnect_v5_callback_set(mosq, on_disconnect);
	mosquitto_publish_v5_callback_set(mosq, on_puback);
	mosquitto_subscribe_v5_callback_set(mosq, on_suback);
	mosquitto_message_v5_callback_set(mosq, on_message);
	return mosquitto_username_pw_set(mosq, session->token, NULL);
}

static int
start_connecting(struct mqtt_session *session)
{
	struct mqtt *mqtt = session->mqtt;
	char address[NI_MAXHOST];
	int pair[2];
	int rc;

	if (addresses_text(mqtt->addresses, session->address, address, sizeof(address)) != 0)
		return MOSQ_ERR_INVAL;

	lowest_free_fds(mqtt->loop, pair);
	rc = set_up_client(session);
	if (rc != MOSQ_ERR_SUCCESS)
		return rc;
	errno = 0;
	rc = mosquitto_connect_async(session->mosq, address, mqtt->server->port, keepalive_s(mqtt));
	if (rc != MOSQ_ERR_SUCCESS)
		return rc;
	shrink_pair(pair);
	if (sd_event_add_io(
		mqtt->loop, &session->io, mosquitto_socket(session->mosq), EPOLLIN, on_io, session) < 0)
		return MOSQ_ERR_NOMEM;
	watch(session);
	return MOSQ_ERR_SUCCESS;
}

static void
session_connect(struct mqtt_session *session)
{
	struct mqtt *mqtt = session->mqtt;
	int rc;

	session->state = STATE_CONNECTING;
	session->version = mqtt->version.number;
	session->address = addresses_current(mqtt->addresses);
	session->established = false;
	session->connack = session->disconnect = -1;
	session->restart = NULL;
	mqtt->attempts++;
	timer_set(session->timer, mqtt->server->connect_timeout_ms);
	rc = start_connecting(session);
	if (rc != MOSQ_ERR_SUCCESS)
		session_failed(
		    session, rc == MOSQ_ERR_ERRNO && errno ? strerrordesc_np(errno) : "out of memory");
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
		session->established = false;
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

static void
connect_timed_out(struct mqtt_session *session)
{
	const char *why = session->established ? "no CONNACK in time" : "connection timed out";

	/* Silence says nothing about versions, unlike a connection that is closed. */
	session->established = false;
	session_failed(session, why);
}

/* It is held. DISCONNECT is written at once, unless the line is stuck: then nobody would read it. */
static void
close_held(struct mqtt_session *session)
{
	mosquitto_disconnect(session->mosq);
	drop_connection(session);
	session->state = STATE_CLOSED;
	session->failures = 0;
	session->end = MQTT_END_OURS;
	session->mqtt->events.down(session->owner);
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
		connect_timed_out(session);
		break;
	case STATE_UP: /* mqtt_session_restart(), or a call of the owner that found the connection broken */
		if (session->held && !session->restart && mosquitto_socket(session->mosq) >= 0)
			close_held(session);
		else
			settle(session, MOSQ_ERR_SUCCESS);
		break;
	case STATE_CLOSED: /* and no longer held */
		if (session->held || session->mqtt->closing)
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
		if (session->state == STATE_UP) {
			errno = 0;
			settle(session, mosquitto_loop_misc(session->mosq));
		}
	if (mqtt->counts.up == 0)
		return sd_event_source_set_enabled(source, SD_EVENT_OFF);
	return sd_event_source_set_time_relative(source, (uint64_t)keepalive_s(mqtt) * 250000);
}

/* ---- the module ---- */

static int
add_timer(sd_event *loop, sd_event_source **ret, sd_event_time_handler_t handler, void *userdata,
    uint64_t accuracy_us)
{
	int error = sd_event_add_time(loop, ret, CLOCK_MONOTONIC, 0, accuracy_us, handler, userdata);

	return error < 0 ? error : sd_event_source_set_enabled(*ret, SD_EVENT_OFF);
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
		mosquitto_disconnect(session->mosq);
		mqtt->counts.up--;
		session->state = STATE_CLOSING;
		settle(session, MOSQ_ERR_SUCCESS);
	}
	mqtt->queue = NULL;
	mqtt->queue_end = &mqtt->queue;
	return 0;
}

static int
add_sources(struct mqtt *mqtt)
{
	uint64_t accuracy_us = (uint64_t)keepalive_s(mqtt) * 50000;
	int error = add_timer(mqtt->loop, &mqtt->pace, on_pace, mqtt, 5000);

	if (error >= 0)
		error = add_timer(mqtt->loop, &mqtt->closer, on_closer, mqtt, 1);
	if (error >= 0)
		error = add_timer(mqtt->loop, &mqtt->keepalive, on_keepalive, mqtt, accuracy_us);
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
	mosquitto_lib_init();
	mqtt->server = server;
	mqtt->loop = sd_event_ref(loop);
	mqtt->events = *events;
	mqtt->queue_end = &mqtt->queue;
	mqtt->allowance = PACE_ATTEMPTS;
	version_init(&mqtt->version, server);
	mqtt->addresses = addresses_new(server, loop, resolver, on_addresses, mqtt);
	mqtt->news = news_new(server, loop, look_for_news, mqtt);
	error = mqtt->addresses && mqtt->news ? add_sources(mqtt) : -errno;
	if (error < 0) {
		mqtt_free(mqtt);
		errno = -error;
		return NULL;
	}
	return mqtt;
}

static void
session_free(struct mqtt_session *session)
{
	drop_connection(session);
	sd_event_source_disable_unref(session->timer);
	if (session->token)
		explicit_bzero(session->token, strlen(session->token));
	free(session->token);
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
		session_free(session);
	}
	sd_event_source_disable_unref(mqtt->pace);
	sd_event_source_disable_unref(mqtt->closer);
	sd_event_source_disable_unref(mqtt->keepalive);
	free(mqtt->notices);
	addresses_free(mqtt->addresses);
	news_free(mqtt->news);
	sd_event_unref(mqtt->loop);
	mosquitto_lib_cleanup();
	free(mqtt);
}

struct mqtt_session *
mqtt_session_new(struct mqtt *mqtt, const char *name, const char *token, void *owner)
{
	struct mqtt_session *session = calloc(1, sizeof(*session));

	if (!session)
		return NULL;
	session->mqtt = mqtt;
	session->owner = owner;
	session->state = STATE_WAITING;
	session->news.name = strdup(name);
	session->token = strdup(token);
	if (!session->news.name || !session->token ||
	    add_timer(mqtt->loop, &session->timer, on_session_timer, session, 20000) < 0) {
		session_free(session);
		errno = ENOMEM;
		return NULL;
	}
	session->next = mqtt->sessions;
	mqtt->sessions = session;
	news_add(mqtt->news, &session->news);
	timer_set(session->timer, 0);
	return session;
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

/* How a call of the owner ended. A connection that turned out to be broken is dealt with from the loop. */
static int
owner_result(struct mqtt_session *session, int rc, int id)
{
	watch(session);
	if (mosquitto_socket(session->mosq) < 0)
		timer_set(session->timer, 0);
	switch (rc) {
	case MOSQ_ERR_SUCCESS:
		return id;
	case MOSQ_ERR_PAYLOAD_SIZE:
	case MOSQ_ERR_OVERSIZE_PACKET:
		return -EMSGSIZE;
	case MOSQ_ERR_NOMEM:
		return -ENOMEM;
	case MOSQ_ERR_INVAL:
	case MOSQ_ERR_MALFORMED_UTF8:
		return -EINVAL;
	default:
		mqtt_session_restart(session, "connection lost");
		return -ENOTCONN;
	}
}

int
mqtt_publish(struct mqtt_session *session, const char *topic, const void *payload, size_t length)
{
	int id = 0;
	int rc;

	if (!mqtt_session_is_up(session))
		return -ENOTCONN;
	if (length > MQTT_MAX_PAYLOAD)
		return -EMSGSIZE;
	rc = mosquitto_publish(session->mosq, &id, topic, (int)length, payload, 1, false);
	return owner_result(session, rc, id);
}

int
mqtt_subscribe(struct mqtt_session *session, const char *const *filters, size_t count)
{
	char *copies[8] = { NULL };
	int id = 0, rc = MOSQ_ERR_SUCCESS;

	if (!mqtt_session_is_up(session))
		return -ENOTCONN;
	assert(count <= sizeof(copies) / sizeof(copies[0]));
	for (size_t i = 0; i < count; i++) {
		copies[i] = strdup(filters[i]); /* the library asks for pointers that are not const */
		if (!copies[i])
			rc = MOSQ_ERR_NOMEM;
	}
	if (rc == MOSQ_ERR_SUCCESS)
		rc = mosquitto_subscribe_multiple(session->mosq, &id, (int)count, copies, 1, 0, NULL);
	for (size_t i = 0; i < count; i++)
		free(copies[i]);
	return owner_result(session, rc, id);
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
