#include <config.h>

#include "cloud/connection.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/tcp.h>
#include <mosquitto.h>
#include <mqtt_protocol.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/random.h"
#include "cloud/outlive.h"
#include "cloud/reason.h"
#include "cloud/tls.h"

#define IN_FLIGHT_MAX	100 /* more unacknowledged messages than ThingsBoard keeps for one session */
#define UNACKED_MAX	1000 /* the library keeps each of them */
#define KEEPALIVE_MIN_S 5   /* the least that libmosquitto takes */
#define NO_TLS_THERE	"the connection ends in the TLS handshake: is this the server's port for TLS?"
#define LAST_READS_MAX	8   /* of what a server sent before it closed in a handshake */
#define MESSAGE_MAX	(1u << 20) /* bytes of a message that comes down: ThingsBoard's own are 64 kB */
#define RECEIVE_BUFFER	65536 /* of the kernel: the library reads on while there is something, so it may not be much at a time */
#define PINGS_MAX	1000 /* bytes between two ticks that are but answers to pings */

struct connection {
	struct transport *transport;
	void *owner;
	struct mosquitto *mosq; /* of this connection only: the library must not keep messages for the next one */
	sd_event_source *io;
	bool established; /* TCP is, or was before it ended */
	bool secured;	  /* the handshake of TLS is done */
	bool accepted;
	size_t unacked; /* messages without PUBACK */

	/* What the library's callbacks found out, for settle(); -1 = nothing. */
	int connack;
	int disconnect;

	/* Of a message that is not whole: */
	bool told;	/* the last read brought something that was */
	bool partial;	/* a read since did not ... */
	uint64_t since; /* ... when so many bytes had come */
	uint64_t ticked;
	bool too_large;
};

/* What a callback of the library told. */
struct notice {
	enum { NOTICE_PUBACK, NOTICE_SUBACK, NOTICE_MESSAGE } kind;
	int id;
	int code;     /* PUBACK */
	bool granted; /* SUBACK */
	char *topic;  /* MESSAGE */
	char *payload;
	size_t length;
};

struct transport {
	const struct server_settings *server;
	sd_event *loop;
	struct connection_events events;
	struct tls *tls; /* NULL: clear text */
	struct notice *notices; /* of the connection that the library was called for */
	size_t notice_count;
	size_t notice_room;
};

/* ---- what connections share ---- */

struct transport *
transport_new(const struct server_settings *server, sd_event *loop, const struct connection_events *events)
{
	struct transport *transport = calloc(1, sizeof(*transport));

	if (!transport)
		return NULL;
	mosquitto_lib_init();
	transport->server = server;
	transport->loop = sd_event_ref(loop);
	transport->events = *events;
	if (server->tls.on && !(transport->tls = tls_new(server))) {
		transport_free(transport);
		return NULL;
	}
	return transport;
}

void
transport_free(struct transport *transport)
{
	if (!transport)
		return;
	tls_free(transport->tls);
	free(transport->notices);
	sd_event_unref(transport->loop);
	mosquitto_lib_cleanup();
	free(transport);
}

void
transport_rebind(struct transport *transport, const struct server_settings *server)
{
	transport->server = server;
	if (transport->tls)
		tls_rebind(transport->tls, server);
}

int
keepalive_s(const struct server_settings *server)
{
	/* The longest silence is longer than this: by a quarter, since it is looked at four times in each, by what timers may
	 * be late, and by one second, since the library counts whole ones. */
	int seconds = (server->keepalive_s - 1) * 3 / 4;

	return seconds > KEEPALIVE_MIN_S ? seconds : KEEPALIVE_MIN_S;
}

/* ---- what the library tells ---- */

static void
on_connack(struct mosquitto *mosq, void *userdata, int code, int flags, const mosquitto_property *properties)
{
	struct connection *connection = userdata;

	(void)mosq, (void)flags, (void)properties;
	connection->connack = code;
}

static void
on_disconnect(struct mosquitto *mosq, void *userdata, int code, const mosquitto_property *properties)
{
	struct connection *connection = userdata;

	(void)mosq, (void)properties;
	connection->disconnect = code;
}

/* Room for one more notice. Without memory a PUBACK counts as not arrived, and a message is lost. */
static void
add_notice(struct transport *transport, struct notice notice)
{
	if (transport->notice_count == transport->notice_room) {
		size_t room = transport->notice_room ? 2 * transport->notice_room : 16;
		struct notice *notices = realloc(transport->notices, room * sizeof(notices[0]));

		if (!notices) {
			free(notice.topic);
			free(notice.payload);
			return;
		}
		transport->notices = notices;
		transport->notice_room = room;
	}
	transport->notices[transport->notice_count++] = notice;
}

static void
on_puback(struct mosquitto *mosq, void *userdata, int id, int code, const mosquitto_property *properties)
{
	struct connection *connection = userdata;

	(void)mosq, (void)properties;
	connection->told = true;
	connection->unacked -= connection->unacked > 0;
	add_notice(connection->transport, (struct notice){ .kind = NOTICE_PUBACK, .id = id, .code = code });
}

static void
on_suback(struct mosquitto *mosq, void *userdata, int id, int count, const int *granted,
    const mosquitto_property *properties)
{
	struct connection *connection = userdata;
	bool all = count > 0;

	(void)mosq, (void)properties;
	connection->told = true;
	for (int i = 0; i < count; i++)
		all = all && granted[i] < 128;
	add_notice(connection->transport, (struct notice){ .kind = NOTICE_SUBACK, .id = id, .granted = all });
}

static void
on_message(struct mosquitto *mosq, void *userdata, const struct mosquitto_message *message,
    const mosquitto_property *properties)
{
	struct connection *connection = userdata;
	struct notice notice = { .kind = NOTICE_MESSAGE,
		.length = message->payloadlen > 0 ? (size_t)message->payloadlen : 0 };

	(void)mosq, (void)properties;
	connection->told = true;
	if (notice.length > MESSAGE_MAX) {
		connection->too_large = true;
		return;
	}
	notice.topic = strdup(message->topic);
	notice.payload = malloc(notice.length + 1);
	if (!notice.topic || !notice.payload) {
		free(notice.topic);
		free(notice.payload);
		return;
	}
	memcpy(notice.payload, message->payload ? message->payload : "", notice.length);
	notice.payload[notice.length] = '\0';
	add_notice(connection->transport, notice);
}

static void
pass_on_notices(struct connection *connection)
{
	struct transport *transport = connection->transport;
	const struct connection_events *events = &transport->events;

	for (size_t i = 0; i < transport->notice_count; i++) {
		const struct notice *notice = &transport->notices[i];

		switch (notice->kind) {
		case NOTICE_PUBACK:
			events->acked(connection->owner, notice->id, notice->code);
			break;
		case NOTICE_SUBACK:
			events->subscribed(connection->owner, notice->id, notice->granted);
			break;
		case NOTICE_MESSAGE:
			events->message(connection->owner, notice->topic, notice->payload, notice->length);
			break;
		}
		free(notice->topic);
		free(notice->payload);
	}
	transport->notice_count = 0;
}

static const char *
error_text(int error)
{
	/* EPIPE is what the system answers who writes to a peer that has closed. */
	if (error == 0 || error == EPIPE)
		return "the server closed the connection";
	return strerrordesc_np(error);
}

/* Why the library gave up. `code` is one of its own. */
static const char *
loss_text(int code, int error)
{
	switch (code) {
	case MOSQ_ERR_KEEPALIVE:
		return "no answer to a keep alive ping";
	case MOSQ_ERR_ERRNO:
		return error_text(error);
	case MOSQ_ERR_PROTOCOL:
	case MOSQ_ERR_MALFORMED_PACKET:
		return "the server sent what is not MQTT: does this port want tls, or belong to something else?";
	case MOSQ_ERR_NOMEM:
		return "out of memory";
	default:
		return "the server closed the connection";
	}
}

/* Did the other side end it? */
static bool
is_closing(int code, int error)
{
	return code == MOSQ_ERR_CONN_LOST ||
	       (code == MOSQ_ERR_ERRNO && (error == 0 || error == EPIPE || error == ECONNRESET));
}

/* What the library has in its hands when it gives up is lost, some bytes; it holds no lock then. */
static int
call_read(void *ctx)
{
	struct connection *connection = ctx;

	return mosquitto_loop_read(connection->mosq, 1);
}

static int
read_packets(struct connection *connection)
{
	return outlive(call_read, connection, MOSQ_ERR_MALFORMED_PACKET);
}

/* ---- the descriptor ---- */

/* Watch what the library has open now, for what it wants now. To be called after each call into the library. */
static void
watch(struct connection *connection)
{
	int fd = mosquitto_socket(connection->mosq);
	uint32_t wanted = EPOLLIN | EPOLLRDHUP | (fd >= 0 && mosquitto_want_write(connection->mosq) ? EPOLLOUT : 0);
	uint32_t watched;

	if (!connection->io)
		return;
	if (fd < 0 || fd != sd_event_source_get_io_fd(connection->io)) {
		/* The library has closed it, and the number may belong to another file soon. */
		connection->io = sd_event_source_disable_unref(connection->io);
		return;
	}
	if (sd_event_source_get_io_events(connection->io, &watched) >= 0 && watched != wanted)
		sd_event_source_set_io_events(connection->io, wanted);
}

/* Is the handshake of TLS still to be done? */
static bool
is_shaking(const struct connection *connection)
{
	return connection->transport->tls && !connection->secured;
}

static void
note_handshake(struct connection *connection)
{
	if (connection->transport->tls && tls_is_done(connection->transport->tls))
		connection->secured = true;
}

static struct connection_end
how_it_ends(const struct connection *connection, bool closed, const char *why)
{
	const struct tls_trouble *trouble = connection->transport->tls ? tls_trouble(connection->transport->tls) : NULL;
	struct connection_end ended = { .why = why, .closed = closed };

	if (connection->disconnect >= 128) {
		ended.disconnected = connection->disconnect;
		ended.why = reason_text(connection->disconnect);
	} else if (trouble) {
		ended.why = trouble->why;
		ended.valid_from_unix_ms = trouble->valid_from_unix_ms;
	} else if (connection->established && is_shaking(connection)) {
		ended.why = NO_TLS_THERE;
	} else {
		ended.mute = connection->established && !connection->accepted;
	}
	return ended;
}

static void
end(struct connection *connection, bool closed, const char *why)
{
	const struct connection_end ended = how_it_ends(connection, closed, why);

	connection->transport->events.ended(connection->owner, &ended);
}

/* Act on what the callbacks found out during a call, and on how the call ended. The library may close the socket without any
 * callback. Called from the loop only. Returns whether there still is a connection. */
static bool
settle(struct connection *connection, int rc)
{
	int error = errno;
	int connack = connection->connack;
	bool closed = rc != MOSQ_ERR_SUCCESS || mosquitto_socket(connection->mosq) < 0;

	connection->connack = -1;
	note_handshake(connection);
	watch(connection);
	if (connack == 0 && !closed) {
		connection->accepted = true;
		connection->transport->events.accepted(connection->owner);
	}
	pass_on_notices(connection);
	if (connack > 0) {
		connection->transport->events.ended(connection->owner,
		    &(struct connection_end){ .refused = connack, .why = reason_text(connack) });
		return false;
	}
	if (closed)
		end(connection, is_closing(rc, error), loss_text(rc ? rc : connection->disconnect, error));
	return !closed;
}

static uint64_t
bytes_received(const struct connection *connection)
{
	struct tcp_info info = { .tcpi_bytes_received = 0 };
	socklen_t length = sizeof(info);

	getsockopt(mosquitto_socket(connection->mosq), IPPROTO_TCP, TCP_INFO, &info, &length);
	return info.tcpi_bytes_received;
}

/* The library makes room for whatever length a message has in its header, up to 256 MB, and reads until it is whole. Reads that
 * bring nothing are part of one such, or answers to pings. */
static void
bound_message(struct connection *connection)
{
	if (connection->told) {
		connection->told = connection->partial = false;
	} else if (!connection->partial) {
		connection->partial = true;
		connection->since = bytes_received(connection);
	} else if (bytes_received(connection) - connection->since > MESSAGE_MAX) {
		connection->too_large = true;
	}
	if (connection->too_large)
		end(connection, false, "the server sends a message of more than 1 MB");
}

/* Before CONNACK the library can miss the end of a connection: only what is waiting to be read is worth a call. That is a
 * packet, or steps of the handshake. */
static void
hung_up(struct connection *connection, int fd)
{
	int error = 0;
	socklen_t length = sizeof(error);
	ssize_t got;
	char byte;

	for (int i = 0; (got = recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT)) > 0 && i < LAST_READS_MAX; i++) {
		connection->established = true;
		errno = 0;
		if (!settle(connection, read_packets(connection)) || connection->accepted)
			return;
	}
	if (got < 0)
		error = errno;
	else
		connection->established = true;
	if (error == 0 || error == EAGAIN)
		getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length);
	end(connection, is_closing(MOSQ_ERR_ERRNO, error), error_text(error));
}

static int
on_io(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
	struct connection *connection = userdata;
	int rc = MOSQ_ERR_SUCCESS;

	(void)source;
	if (connection->transport->tls)
		tls_begin(connection->transport->tls);
	if (!connection->accepted && (events & (EPOLLERR | EPOLLHUP | EPOLLRDHUP)) != 0) {
		hung_up(connection, fd);
		return 0;
	}
	connection->established = true;
	errno = 0;
	if ((events & (EPOLLIN | EPOLLERR | EPOLLHUP)) != 0)
		rc = read_packets(connection);
	if (rc == MOSQ_ERR_SUCCESS && mosquitto_socket(connection->mosq) >= 0 && mosquitto_want_write(connection->mosq))
		rc = mosquitto_loop_write(connection->mosq, 1);
	if (settle(connection, rc) && (events & EPOLLIN) != 0)
		bound_message(connection);
	return 0;
}

/* For each packet that libmosquitto sends it writes a byte into a socket pair of its own, meant for its own threads. With an
 * external loop nobody reads them, and a full pair holds 220 kB of the kernel's memory for every session (measured, 2.0.11).
 * The pair gets the two lowest free descriptors; if another thread was faster, the least buffer on some other local stream
 * just made does no harm. */
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

/* ---- a connection ---- */

static int
set_up_client(struct connection *connection, const struct connection_plan *plan)
{
	struct mosquitto *mosq;
	const struct credentials *credentials = plan->credentials;
	char id[32];

	/* ThingsBoard knows a device by its token alone; other brokers end the older of two sessions with one id. */
	snprintf(id, sizeof(id), "fieldgate-%08x%04x", random_number(), random_number() & 0xffff);
	mosq = connection->mosq = mosquitto_new(credentials->client_id ? credentials->client_id : id, true, connection);
	if (!mosq)
		return MOSQ_ERR_NOMEM;
	mosquitto_int_option(mosq, MOSQ_OPT_PROTOCOL_VERSION, plan->version);
	mosquitto_int_option(mosq, MOSQ_OPT_TCP_NODELAY, 1);
	mosquitto_int_option(mosq, MOSQ_OPT_SEND_MAXIMUM, IN_FLIGHT_MAX);
	mosquitto_connect_v5_callback_set(mosq, on_connack);
	mosquitto_disconnect_v5_callback_set(mosq, on_disconnect);
	mosquitto_publish_v5_callback_set(mosq, on_puback);
	mosquitto_subscribe_v5_callback_set(mosq, on_suback);
	mosquitto_message_v5_callback_set(mosq, on_message);
	if (credentials->kind == CREDENTIALS_TOKEN)
		return mosquitto_username_pw_set(mosq, credentials->token, NULL);
	return mosquitto_username_pw_set(mosq, credentials->user, credentials->password);
}

/* Returns NULL, or why not. There is no way from here to clear text. */
static const char *
set_up_tls(struct connection *connection, const struct credentials *credentials)
{
	const char *why;
	SSL_CTX *context = tls_context(connection->transport->tls, credentials->cert_file, credentials->key_file, &why);

	if (!context)
		return why;
	mosquitto_int_option(connection->mosq, MOSQ_OPT_SSL_CTX_WITH_DEFAULTS, 0);
	if (mosquitto_void_option(connection->mosq, MOSQ_OPT_SSL_CTX, context) != MOSQ_ERR_SUCCESS)
		why = "out of memory";
	SSL_CTX_free(context);
	return why;
}

/* MQTT 5: a server that cares does not send what is larger. Of the library's calls that connect, those that do not wait take no
 * properties; but this one keeps them, though it then refuses to connect to nowhere. */
static void
announce_bounds(struct connection *connection)
{
	mosquitto_property *properties = NULL;

	if (mosquitto_property_add_int32(&properties, MQTT_PROP_MAXIMUM_PACKET_SIZE, MESSAGE_MAX) == MOSQ_ERR_SUCCESS)
		mosquitto_connect_bind_v5(connection->mosq, NULL, 0, KEEPALIVE_MIN_S, NULL, properties);
	mosquitto_property_free_all(&properties);
}

/* Returns NULL, or why not. */
static const char *
start_connecting(struct connection *connection, const struct connection_plan *plan)
{
	struct transport *transport = connection->transport;
	const char *why;
	int pair[2];
	int rc;

	lowest_free_fds(transport->loop, pair);
	if (set_up_client(connection, plan) != MOSQ_ERR_SUCCESS)
		return "out of memory";
	if (transport->tls && (why = set_up_tls(connection, plan->credentials)))
		return why;
	if (plan->version == MQTT_PROTOCOL_V5)
		announce_bounds(connection);
	errno = 0;
	rc = mosquitto_connect_async(
	    connection->mosq, plan->address, transport->server->port, keepalive_s(transport->server));
	if (rc != MOSQ_ERR_SUCCESS)
		return rc == MOSQ_ERR_TLS ? NO_TLS_THERE : rc == MOSQ_ERR_ERRNO && errno ? strerrordesc_np(errno) : "out of memory";
	shrink_pair(pair);
	setsockopt(mosquitto_socket(connection->mosq), SOL_SOCKET, SO_RCVBUF, &(int){ RECEIVE_BUFFER }, sizeof(int));
	if (sd_event_add_io(transport->loop, &connection->io, mosquitto_socket(connection->mosq), EPOLLIN, on_io,
		connection) < 0)
		return "out of memory";
	watch(connection);
	return NULL;
}

struct connection *
connection_open(
    struct transport *transport, const struct connection_plan *plan, void *owner, struct connection_end *ret_end)
{
	struct connection *connection = calloc(1, sizeof(*connection));
	const char *why;

	*ret_end = (struct connection_end){ .why = "out of memory" };
	if (!connection)
		return NULL;
	if (transport->tls)
		tls_begin(transport->tls);
	connection->transport = transport;
	connection->owner = owner;
	connection->connack = connection->disconnect = -1;
	why = start_connecting(connection, plan);
	note_handshake(connection);
	if (!why)
		return connection;
	*ret_end = how_it_ends(connection, false, why);
	connection_close(connection);
	return NULL;
}

void
connection_close(struct connection *connection)
{
	if (!connection)
		return;
	sd_event_source_disable_unref(connection->io);
	mosquitto_destroy(connection->mosq);
	free(connection);
}

const char *
connection_overdue(const struct connection *connection)
{
	struct sockaddr_storage peer;
	socklen_t length = sizeof(peer);

	if (getpeername(mosquitto_socket(connection->mosq), (struct sockaddr *)(void *)&peer, &length) < 0)
		return "connection timed out";
	return is_shaking(connection) ? "no end of the TLS handshake in time" : "no CONNACK in time";
}

void
connection_tick(struct connection *connection)
{
	if (connection->partial) {
		uint64_t bytes = bytes_received(connection);

		if (bytes - connection->ticked < PINGS_MAX)
			connection->partial = false;
		connection->ticked = bytes;
	}
	errno = 0;
	settle(connection, mosquitto_loop_misc(connection->mosq));
}

void
connection_finish(struct connection *connection)
{
	mosquitto_disconnect(connection->mosq);
	settle(connection, MOSQ_ERR_SUCCESS);
}

/* How a call of the owner ended. */
static int
owner_result(struct connection *connection, int rc, int id)
{
	watch(connection);
	switch (rc) {
	case MOSQ_ERR_SUCCESS:
		return mosquitto_socket(connection->mosq) >= 0 ? id : -ENOTCONN;
	case MOSQ_ERR_PAYLOAD_SIZE:
	case MOSQ_ERR_OVERSIZE_PACKET:
		return -EMSGSIZE;
	case MOSQ_ERR_NOMEM:
		return -ENOMEM;
	case MOSQ_ERR_INVAL:
	case MOSQ_ERR_MALFORMED_UTF8:
		return -EINVAL;
	default:
		return -ENOTCONN;
	}
}

int
connection_publish(struct connection *connection, const char *topic, const void *payload, size_t length)
{
	int id = 0;
	int rc;

	if (length > MQTT_MAX_PAYLOAD)
		return -EMSGSIZE;
	if (connection->unacked >= UNACKED_MAX)
		return -EBUSY;
	rc = mosquitto_publish(connection->mosq, &id, topic, (int)length, payload, 1, false);
	connection->unacked += rc == MOSQ_ERR_SUCCESS;
	return owner_result(connection, rc, id);
}

int
connection_subscribe(struct connection *connection, const char *const *filters, size_t count)
{
	char *copies[8] = { NULL };
	int id = 0, rc = MOSQ_ERR_SUCCESS;

	assert(count <= sizeof(copies) / sizeof(copies[0]));
	for (size_t i = 0; i < count; i++) {
		copies[i] = strdup(filters[i]); /* the library asks for pointers that are not const */
		if (!copies[i])
			rc = MOSQ_ERR_NOMEM;
	}
	if (rc == MOSQ_ERR_SUCCESS)
		rc = mosquitto_subscribe_multiple(connection->mosq, &id, (int)count, copies, 1, 0, NULL);
	for (size_t i = 0; i < count; i++)
		free(copies[i]);
	return owner_result(connection, rc, id);
}
