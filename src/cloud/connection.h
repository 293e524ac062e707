/* One connection with the server, from the TCP handshake to its end, over libmosquitto's external-loop calls: all that is known
 * of the library is in connection.c.
 *
 * What a call of the library finds out is told when the call is over, from the loop, never from inside a function here: owners
 * publish in answer, and the library holds locks of its own while it calls back. Owned by the cloud's thread.
 */
#ifndef CLOUD_CONNECTION_H
#define CLOUD_CONNECTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <systemd/sd-event.h>

#include "model/settings.h"

struct connection;
struct transport; /* what the connections with one server share */

/* How a connection ended, or an attempt at one. */
struct connection_end {
	int refused;	  /* the code of a CONNACK that refused, or 0 */
	int disconnected; /* MQTT 5: the reason code of the server's DISCONNECT, or 0 */
	bool closed;	  /* the server did it, not the line; a reset is how one closes that has not read all that we sent */
	bool mute;	  /* the server closed without a word what stood and waited for CONNACK */
	const char *why;  /* in words; lives as long as the transport, and the same words are the same pointer */
	int64_t valid_from_unix_ms; /* TLS: it can work from then on, since a certificate is not valid before; else 0 */
};

/* `owner` is the connection's. */
struct connection_events {
	void (*accepted)(void *owner); /* CONNACK 0 */
	void (*acked)(void *owner, int id, int code); /* PUBACK; code 0 or an MQTT 5 reason */
	void (*subscribed)(void *owner, int id, bool granted);
	void (*message)(void *owner, const char *topic, const void *payload, size_t length);
	/* All that is left to do with it is connection_close(). */
	void (*ended)(void *owner, const struct connection_end *end);
};

/* Returns NULL with errno set. */
struct transport *transport_new(
    const struct server_settings *server, sd_event *loop, const struct connection_events *events);
void transport_free(struct transport *transport);

/* The settings are others, in which the server is the same. */
void transport_rebind(struct transport *transport, const struct server_settings *server);

struct connection_plan {
	const char *address; /* numeric */
	int version;	     /* of MQTT, as the library numbers it */
	const struct credentials *credentials;
};

/* Begin to connect. Returns NULL with why not, for the attempt may end before it has begun; ended() does not follow then. */
struct connection *connection_open(
    struct transport *transport, const struct connection_plan *plan, void *owner, struct connection_end *ret_end);

/* At once; no event follows. NULL is fine. */
void connection_close(struct connection *connection);

/* What has an attempt that takes too long been waiting for? Static. */
const char *connection_overdue(const struct connection *connection);

/* The library compares its clocks: it sends a ping, or ends a connection that did not answer one. To be called a few times in
 * each keepalive_s(). ended() may follow at once. */
void connection_tick(struct connection *connection);
int keepalive_s(const struct server_settings *server);

/* Send DISCONNECT; ended() follows when it is written, perhaps at once. */
void connection_finish(struct connection *connection);

/* QoS 1. Return the id (> 0) or negative errno: -EMSGSIZE, -EINVAL, -ENOMEM; -EBUSY if too many wait for their PUBACK;
 * -ENOTCONN if it turned out to be broken, then ended() will not follow. */
int connection_publish(struct connection *connection, const char *topic, const void *payload, size_t length);
int connection_subscribe(struct connection *connection, const char *const *filters, size_t count);

#endif
