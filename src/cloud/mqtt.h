/* All MQTT sessions with one server, on one event loop of the cloud's thread, over libmosquitto's external-loop calls.
 *
 * This owns connecting: names resolved in the helper thread, connects spread out, an own timer on each attempt, endless
 * back-off with jitter, MQTT 5 with a fall-back to 3.1.1, keep alive. It knows nothing of ThingsBoard's topics. A session
 * keeps nothing for later: what is published while down is refused, and whatever was not acknowledged when a connection
 * ended is the owner's to send again.
 */
#ifndef CLOUD_MQTT_H
#define CLOUD_MQTT_H

#include "base/resolver.h"
#include "model/health.h"
#include "model/settings.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <systemd/sd-event.h>

struct mqtt;
struct mqtt_session;

/* What happens to a session; `owner` is what it was made with. All of it is called from the loop, never from inside a call
 * of the owner into this module. */
struct mqtt_events {
	void (*up)(void *owner);   /* connected; nothing is subscribed: no server state outlives a connection */
	void (*down)(void *owner); /* after an up only */
	void (*acked)(void *owner, int id);                                              /* PUBACK */
	void (*refused)(void *owner, int id, int reason);                                /* MQTT 5: PUBACK with a reason >= 128 */
	void (*subscribed)(void *owner, int id, bool granted);                           /* SUBACK */
	void (*message)(void *owner, const char *topic, const void *payload, size_t length);
};

struct mqtt *mqtt_new(const struct server_settings *server, sd_event *loop, struct resolver *resolver, const struct mqtt_events *events);

/* Ends every session at once. The resolver is there until then. NULL is fine. */
void mqtt_free(struct mqtt *mqtt);

/* A session with these credentials, which must outlive it. It connects by itself from now on, or, without any (NULL), once it is
 * given some. `name` is for the log. */
struct mqtt_session *mqtt_session_new(
    struct mqtt *mqtt, const char *name, const struct credentials *credentials, void *owner);

/* A session that is no device's, with events of its own. `thing` is what the log calls it. */
struct mqtt_session *mqtt_guest_new(struct mqtt *mqtt, const char *thing, const struct credentials *credentials,
    const struct mqtt_events *events, void *owner);

/* Ends it: DISCONNECT is written if the line takes it at once. No event follows. Not from inside an event. NULL is fine. */
void mqtt_session_free(struct mqtt_session *session);

/* It has these credentials from the next connection on, and what happens to it is this owner's business. */
void mqtt_session_give(struct mqtt_session *session, const struct credentials *credentials, void *owner);

/* The settings are others, in which the server is the same, but for pauses and timeouts. */
void mqtt_rebind(struct mqtt *mqtt, const struct server_settings *server);

bool mqtt_session_is_up(const struct mqtt_session *session);

/* State, why and since. */
void mqtt_session_health(const struct mqtt_session *session, struct health_device *ret);

/* Who ended the connection that was up last, for down(). */
enum mqtt_end {
	MQTT_END_OURS = -1,  /* the line broke, we closed it, or the owner had it ended */
	MQTT_END_CLOSED = 0, /* the server closed it and did not say why; above 127 the reason of its DISCONNECT (MQTT 5) */
};
int mqtt_session_end(const struct mqtt_session *session);

/* Close the session until it is wanted again, as a device does that is switched off; or open it again. One that connects just
 * now finishes that first. down() follows from the loop. */
void mqtt_session_hold(struct mqtt_session *session, bool hold);

/* QoS 1. Returns the id (> 0) that will be acknowledged, or negative errno: -ENOTCONN, -EMSGSIZE, -ENOMEM. */
int mqtt_publish(struct mqtt_session *session, const char *topic, const void *payload, size_t length);

/* QoS 1. Returns the id (> 0) that will be granted or not, or negative errno. */
int mqtt_subscribe(struct mqtt_session *session, const char *const *filters, size_t count);

/* The owner found the connection dead, e.g. because no PUBACK came: end it and connect again after the back-off.
 * `why` is for the log and static. down() follows from the loop. */
void mqtt_session_restart(struct mqtt_session *session, const char *why);

/* Send DISCONNECT on every session and connect no more; no down() follows. mqtt_active() tells how many are not closed yet. */
void mqtt_close_all(struct mqtt *mqtt);
size_t mqtt_active(const struct mqtt *mqtt);

struct mqtt_counts {
	uint64_t connects; /* sessions that came up, since the start */
	uint64_t refusals; /* CONNACKs that refused */
	uint64_t failures; /* attempts that ended without a CONNACK */
	uint64_t losses;   /* sessions that were up and ended */
	size_t up;         /* sessions connected now */
	int version;       /* of MQTT that is spoken or tried: 5, or 4 for 3.1.1 */
};
struct mqtt_counts mqtt_counts(const struct mqtt *mqtt);

/* Count on from where another has been, whose sessions are given up. */
void mqtt_count_on(struct mqtt *mqtt, const struct mqtt *from);

#endif
