/* One connection of a client: its socket, what it has said so far, its subscriptions and the PUBACKs held
 * back from it.
 *
 * Sessions are made by the listener and free themselves: session_close() takes effect at once for everybody
 * else, the memory goes at the end of the loop's round. One thread.
 */
#ifndef BENCH_SESSION_H
#define BENCH_SESSION_H

#include <stdbool.h>
#include <stdint.h>

#include "bench/bench.h"
#include "bench/buffer.h"
#include "bench/mqtt_packet.h"
#include "bench/topic.h"

/* A client that does not read is cut off here. */
#define SESSION_OUT_MAX (8u * 1024 * 1024)

/* Packets that may wait for CONNECT. */
#define SESSION_EARLY_MAX 100

/* A PUBACK that a knob holds back. */
struct held_ack {
	uint16_t packet_id;
	uint8_t code;
	int64_t due_mono_ms;
};

/* A client RPC that will be answered with a timeout. */
struct client_rpc {
	struct client_rpc *next;
	struct session *session;
	struct timer timeout;
	int32_t id;
};

struct session {
	struct source source;
	struct bench *bench;
	struct session *next, *prev;		   /* of the bench */
	struct session *device_next, *device_prev; /* of the device */
	struct device *device;			   /* NULL before CONNECT and in a provisioning session */
	uint64_t number;
	int version; /* 0 before CONNECT */
	bool connected;
	bool provision; /* may do nothing but ask for credentials */
	bool deaf;	/* met the black hole: its bytes are dropped for ever */
	bool closed;
	bool refused; /* its connect event said so: no disconnect event follows */
	bool dirty;   /* in the bench's list of those that have something to write */
	bool blocked; /* epoll tells when the socket takes more */
	struct session *dirty_next;
	char *token; /* what events call it: the device's token, or what it tried */
	char *client_id;
	struct buffer in, out;
	struct buffer early; /* whole packets that came before CONNECT */
	unsigned early_count;
	uint16_t packet_id; /* last one used */
	uint8_t rpcs[0x10000 / 8]; /* packet ids of RPC requests that wait for their PUBACK */
	uint8_t granted[FILTER_COUNT];
	enum family family[PURPOSE_COUNT];
	uint8_t waiting[FILTER_COUNT]; /* granted, not yet effective */
	struct timer subscribe_timer;
	int64_t bytes_left; /* of input until a knob cuts the connection; negative = for ever */
	struct held_ack *held;
	size_t held_count, held_room;
	bool held_reverse;
	struct timer held_timer;
	struct client_rpc *client_rpcs;
	int64_t last_mono_ms; /* last sign of life */
	struct timer inactivity;
	struct timer closing;
	const char *closing_reason;
	int closing_code;
};

/* Take over a connected socket. */
void session_open(struct bench *bench, int fd);

/* End it: `code` is that of an MQTT 5 DISCONNECT, negative for none; the reason goes to the event. */
void session_close(struct session *session, const char *reason, int code);

/* The same with a TCP reset, and nothing said. */
void session_reset(struct session *session, const char *reason);

/* The same after a while. */
void session_close_later(struct session *session, int64_t delay_ms, const char *reason, int code);

void session_attach(struct session *session, struct device *device);
void session_detach(struct session *session);

/* Is this publish to be answered with a reason, and nothing of it to be stored? */
bool session_refuses(struct session *session, const struct mqtt_publish *publish);

/* Answer a PUBLISH, as the knobs have it; nothing at QoS 0. The code counts on MQTT 5 only. */
void session_ack(struct session *session, const struct mqtt_publish *publish, uint8_t code);

/* Send on the topic of a filter, its `+` replaced by `id`; the QoS is that of the subscription, 1 if there is
 * none. */
void session_publish(struct session *session, size_t filter, int32_t id, const char *payload);
void session_publish_raw(
    struct session *session, const char *topic, uint8_t qos, const void *payload, size_t length);

bool session_subscribed(const struct session *session, enum purpose purpose);

/* Packets are built into this; they are written at the end of the loop's round. */
struct buffer *session_out(struct session *session);

/* Write what is waiting in all sessions. May close some. */
void session_flush_all(struct bench *bench);

/* A sign of life. */
void session_touch(struct session *session);

/* After a change of the inactivity knob. */
void session_rearm(struct session *session);

/* Free what was closed in this round. */
void session_bury(struct bench *bench);

#endif
