#include "bench/session.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench/alloc.h"
#include "bench/report.h"
#include "bench/thingsboard.h"
#include "common/control.h"

#define REORDER_WINDOW_MS 50

/* The only two places that touch a socket's bytes: TLS would come in here. */
static ssize_t
socket_read(struct session *session, void *data, size_t room)
{
	return recv(session->source.fd, data, room, 0);
}

static ssize_t
socket_write(struct session *session, const void *data, size_t length)
{
	return send(session->source.fd, data, length, MSG_NOSIGNAL);
}

static void
session_watch(struct session *session, bool blocked)
{
	struct epoll_event event = { .events = blocked ? EPOLLIN | EPOLLOUT : EPOLLIN,
		.data.ptr = &session->source };

	if (session->blocked != blocked)
		epoll_ctl(session->bench->epoll, EPOLL_CTL_MOD, session->source.fd, &event);
	session->blocked = blocked;
}

/* Returns 0, also if the socket is full, or negative errno. */
static int
session_write(struct session *session)
{
	while (buffer_length(&session->out) > 0) {
		ssize_t sent =
		    socket_write(session, buffer_head(&session->out), buffer_length(&session->out));

		if (sent < 0 && errno == EINTR)
			continue;
		if (sent < 0)
			return errno == EAGAIN ? 0 : -errno;
		buffer_take(&session->out, (size_t)sent);
		session->bench->stats.bytes_out += (uint64_t)sent;
	}
	return 0;
}

static void
session_flush(struct session *session)
{
	if (session->closed)
		return;
	if (session->deaf)
		buffer_take(&session->out, buffer_length(&session->out));
	if (session_write(session) < 0) {
		session_close(session, "closed", -1);
		return;
	}
	if (buffer_length(&session->out) > SESSION_OUT_MAX)
		session_reset(session, "does not read");
	else
		session_watch(session, buffer_length(&session->out) > 0);
}

struct buffer *
session_out(struct session *session)
{
	if (!session->dirty) {
		session->dirty = true;
		session->dirty_next = session->bench->dirty;
		session->bench->dirty = session;
	}
	return &session->out;
}

void
session_flush_all(struct bench *bench)
{
	while (bench->dirty) {
		struct session *session = bench->dirty;

		bench->dirty = session->dirty_next;
		session->dirty = false;
		session_flush(session);
	}
}

/* The remaining length says too much, or the decoder would throw. Before CONNECT nobody knows what to say. */
static void
session_malformed(struct session *session, int error)
{
	session_close(session, error == -EMSGSIZE ? "too large" : "malformed", 0x81);
}

/* Handle the whole packets in `data`. Returns how many bytes they were. */
static size_t
session_consume(struct session *session, const uint8_t *data, size_t length)
{
	size_t used = 0;

	while (!session->closed) {
		struct mqtt_frame frame;
		int got =
		    mqtt_frame_parse(data + used, length - used, session->bench->knobs.max_payload, &frame);

		if (got == 0)
			break;
		if (got > 0)
			got = thingsboard_packet(session, data + used, &frame);
		if (got < 0) {
			session_malformed(session, got);
			break;
		}
		used += frame.length;
	}
	return used;
}

/* Handle what has arrived. */
static void
session_input(struct session *session, const uint8_t *data, size_t length)
{
	session->bench->stats.bytes_in += length;
	if (session->bench->knobs.blackhole)
		session->deaf = true;
	if (session->deaf)
		return;
	/* Mostly whole packets arrive: they are handled where they are, and only the rest of one is copied.
	 */
	if (buffer_length(&session->in) == 0) {
		size_t used = session_consume(session, data, length);

		if (!session->closed)
			buffer_append(&session->in, data + used, length - used);
		return;
	}
	buffer_append(&session->in, data, length);
	buffer_take(
	    &session->in, session_consume(session, buffer_head(&session->in), buffer_length(&session->in)));
}

/* The same, if need be only as far as a knob lets it come: the rest, and the client's luck, end there. */
static void
session_input_cut(struct session *session, const uint8_t *data, size_t length)
{
	if (session->bytes_left < 0 || (size_t)session->bytes_left > length) {
		session->bytes_left -= session->bytes_left < 0 ? 0 : (int64_t)length;
		session_input(session, data, length);
		return;
	}
	session_input(session, data, (size_t)session->bytes_left);
	session_reset(session, "cut");
}

static void
session_ready(struct source *source, uint32_t events)
{
	struct session *session = (struct session *)(void *)source;
	static uint8_t bytes[64 * 1024];
	ssize_t got;

	if (session->closed)
		return;
	if (events & EPOLLOUT)
		session_out(session);
	if (!(events & (EPOLLIN | EPOLLHUP | EPOLLERR)))
		return;
	got = socket_read(session, bytes, sizeof(bytes));
	if (got > 0)
		session_input_cut(session, bytes, (size_t)got);
	else if (got == 0 || (errno != EAGAIN && errno != EINTR))
		session_close(session, "closed", -1);
}

void
session_touch(struct session *session)
{
	session->last_mono_ms = clock_mono_ms();
}

void
session_rearm(struct session *session)
{
	timer_start(&session->bench->timers, &session->inactivity,
	    session->last_mono_ms + session->bench->knobs.inactivity_ms);
}

static void
session_inactive(struct timer *timer)
{
	struct session *session = timer_owner(timer, struct session, inactivity);

	/* Re-arming at every packet would cost more than looking again now and then. */
	if (session->last_mono_ms + session->bench->knobs.inactivity_ms > clock_mono_ms())
		session_rearm(session);
	else
		session_close(session, "inactive", 0xA0);
}

static void
session_closing(struct timer *timer)
{
	struct session *session = timer_owner(timer, struct session, closing);

	session_close(session, session->closing_reason, session->closing_code);
}

static void
session_send_held(struct session *session, const struct held_ack *ack)
{
	mqtt_build_puback(session_out(session), session->version, ack->packet_id, ack->code);
	session->bench->stats.pubacks++;
}

static void
session_held_due(struct timer *timer)
{
	struct session *session = timer_owner(timer, struct session, held_timer);
	int64_t now = clock_mono_ms();
	size_t sent = 0;

	if (session->held_reverse) {
		for (size_t i = session->held_count; i-- > 0;)
			session_send_held(session, &session->held[i]);
		session->held_count = 0;
		session->held_reverse = false;
		return;
	}
	while (sent < session->held_count && session->held[sent].due_mono_ms <= now)
		session_send_held(session, &session->held[sent++]);
	session->held_count -= sent;
	memmove(session->held, session->held + sent, session->held_count * sizeof(*session->held));
	if (session->held_count > 0)
		timer_start(&session->bench->timers, &session->held_timer, session->held[0].due_mono_ms);
}

static void
session_hold(struct session *session, const struct ack_rule *rule, struct held_ack ack)
{
	int64_t delay_ms = rule->delay_ms > 0 ? rule->delay_ms : REORDER_WINDOW_MS;

	ack.due_mono_ms = clock_mono_ms() + delay_ms;
	if (session->held_count == session->held_room) {
		session->held_room = session->held_room ? 2 * session->held_room : 16;
		session->held = alloc_resize(session->held, session->held_room, sizeof(*session->held));
	}
	session->held[session->held_count++] = ack;
	session->held_reverse |= rule->mode == ACK_REORDER;
	if (session->held_count == 1)
		timer_start(&session->bench->timers, &session->held_timer, ack.due_mono_ms);
}

static struct ack_rule *
session_ack_knob(struct session *session)
{
	bool own = session->device && session->device->ack.mode != ACK_INHERIT;

	return own ? &session->device->ack : &session->bench->knobs.ack;
}

bool
session_refuses(struct session *session, const struct mqtt_publish *publish)
{
	return publish->qos > 0 && session->version == MQTT_5 && session_ack_knob(session)->mode == ACK_REFUSE;
}

/* The rule for this publish; counts it down. */
static struct ack_rule
session_ack_rule(struct session *session)
{
	struct ack_rule *rule = session_ack_knob(session);
	struct ack_rule now = *rule;

	if (rule->left > 0 && --rule->left == 0)
		rule->mode = ACK_INHERIT;
	return now;
}

void
session_ack(struct session *session, const struct mqtt_publish *publish, uint8_t code)
{
	struct held_ack ack = { .packet_id = publish->packet_id, .code = code };
	struct ack_rule rule;

	if (publish->qos == 0)
		return;
	rule = session_ack_rule(session);
	if (rule.mode == ACK_DROP)
		return;
	if (rule.mode == ACK_REFUSE && session->version == MQTT_5)
		ack.code = rule.code;
	if (rule.mode == ACK_DELAY || rule.mode == ACK_REORDER)
		session_hold(session, &rule, ack);
	else
		session_send_held(session, &ack);
}

static uint16_t
session_packet_id(struct session *session)
{
	if (++session->packet_id == 0)
		session->packet_id = 1;
	return session->packet_id;
}

void
session_publish_raw(
    struct session *session, const char *topic, uint8_t qos, const void *payload, size_t length)
{
	struct mqtt_publish publish = {
		.qos = qos,
		.packet_id = qos ? session_packet_id(session) : 0,
		.topic = { .data = (const uint8_t *)topic, .length = strlen(topic) },
		.payload = payload,
		.payload_length = length,
	};

	mqtt_build_publish(session_out(session), session->version, &publish);
}

void
session_publish(struct session *session, size_t filter, int32_t id, const char *payload)
{
	const char *text = filters[filter].text;
	const char *plus = strchr(text, '+');
	uint8_t qos = session->granted[filter] == FILTER_NONE ? 1 : session->granted[filter];
	char topic[64];

	if (plus)
		snprintf(topic, sizeof(topic), "%.*s%d", (int)(plus - text), text, id);
	else
		snprintf(topic, sizeof(topic), "%s", text);
	session_publish_raw(session, topic, qos, payload, strlen(payload));
}

bool
session_subscribed(const struct session *session, enum purpose purpose)
{
	for (size_t i = 0; i < FILTER_COUNT; i++)
		if (filters[i].purpose == purpose && session->granted[i] != FILTER_NONE)
			return true;
	return false;
}

void
session_open(struct bench *bench, int fd)
{
	struct session *session = alloc_zeroed(1, sizeof(*session));
	struct epoll_event event = { .events = EPOLLIN, .data.ptr = &session->source };
	int on = 1;

	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	session->source = (struct source){ .ready = session_ready, .fd = fd };
	session->bench = bench;
	session->bytes_left = -1;
	session->number = ++bench->session_number;
	session->inactivity.fire = session_inactive;
	session->closing.fire = session_closing;
	session->held_timer.fire = session_held_due;
	session->subscribe_timer.fire = thingsboard_subscribe_due;
	memset(session->granted, FILTER_NONE, sizeof(session->granted));
	memset(session->waiting, FILTER_NONE, sizeof(session->waiting));
	session->next = bench->sessions;
	if (bench->sessions)
		bench->sessions->prev = session;
	bench->sessions = session;
	bench->session_count++;
	bench->stats.accepted++;
	if (epoll_ctl(bench->epoll, EPOLL_CTL_ADD, fd, &event) < 0)
		session_reset(session, "not watched");
}

void
session_attach(struct session *session, struct device *device)
{
	session->device = device;
	session->device_prev = NULL;
	session->device_next = device->sessions;
	if (device->sessions)
		device->sessions->device_prev = session;
	device->sessions = session;
	device->current = session;
}

void
session_detach(struct session *session)
{
	struct device *device = session->device;

	if (!device)
		return;
	if (session->device_next)
		session->device_next->device_prev = session->device_prev;
	if (session->device_prev)
		session->device_prev->device_next = session->device_next;
	else
		device->sessions = session->device_next;
	if (device->current == session)
		device->current = NULL;
	session->device = NULL;
}

static void
session_unlink(struct session *session)
{
	struct bench *bench = session->bench;

	if (session->next)
		session->next->prev = session->prev;
	if (session->prev)
		session->prev->next = session->next;
	else
		bench->sessions = session->next;
	bench->session_count--;
	session->next = bench->dead;
	bench->dead = session;
}

static void
session_stop_timers(struct session *session)
{
	struct timer_heap *timers = &session->bench->timers;

	timer_stop(timers, &session->inactivity);
	timer_stop(timers, &session->closing);
	timer_stop(timers, &session->held_timer);
	timer_stop(timers, &session->subscribe_timer);
	while (session->client_rpcs) {
		struct client_rpc *rpc = session->client_rpcs;

		session->client_rpcs = rpc->next;
		timer_stop(timers, &rpc->timeout);
		free(rpc);
	}
}

static void
session_report_end(struct session *session, const char *reason)
{
	struct json_object *event;

	if (session->refused)
		return;
	event = report_new("disconnect", session->token);
	report_string(event, "reason", reason);
	report_number(event, "session", (int64_t)session->number);
	control_emit(event);
}

/* Everything but the socket. */
static void
session_end(struct session *session, const char *reason)
{
	session->closed = true;
	if (session->connected)
		thingsboard_gone(session);
	session_report_end(session, reason);
	session_stop_timers(session);
	session_detach(session);
	session_unlink(session);
	close(session->source.fd);
	session->source.fd = -1;
}

/* Bytes left unread would turn our last words into a reset. */
static void
session_drain(struct session *session)
{
	char bytes[16 * 1024];

	shutdown(session->source.fd, SHUT_WR);
	for (int i = 0; i < 64; i++)
		if (socket_read(session, bytes, sizeof(bytes)) <= 0)
			return;
}

void
session_close(struct session *session, const char *reason, int code)
{
	if (session->closed)
		return;
	session->bench->stats.closed_by_us += code >= 0;
	if (code >= 0 && session->version == MQTT_5 && !session->deaf)
		mqtt_build_disconnect(&session->out, (uint8_t)code);
	session_write(session);
	session_drain(session);
	session_end(session, reason);
}

void
session_reset(struct session *session, const char *reason)
{
	struct linger at_once = { .l_onoff = 1, .l_linger = 0 };

	if (session->closed)
		return;
	setsockopt(session->source.fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
	session_end(session, reason);
}

void
session_close_later(struct session *session, int64_t delay_ms, const char *reason, int code)
{
	session->closing_reason = reason;
	session->closing_code = code;
	timer_start(&session->bench->timers, &session->closing, clock_mono_ms() + delay_ms);
}

void
session_bury(struct bench *bench)
{
	while (bench->dead) {
		struct session *session = bench->dead;

		bench->dead = session->next;
		buffer_done(&session->in);
		buffer_done(&session->out);
		buffer_done(&session->early);
		free(session->held);
		free(session->token);
		free(session->client_id);
		free(session);
	}
}
