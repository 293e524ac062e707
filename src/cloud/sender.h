/* Sending: for each device what of its rows and attributes is on its way, what has arrived, and what comes next. Rows come
 * from the store and are forgotten there on PUBACK only; attributes are state and are sent until the server has them. It keeps
 * to the server's limits (limits.h) and finds out what the server does not take (doubt.h).
 *
 * The sessions are somebody else's (struct sender_port): a device's state here is the same whether it has a session of its own
 * or shares one. After an outage those with much to say take turns. The cloud's thread.
 */
#ifndef CLOUD_SENDER_H
#define CLOUD_SENDER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cloud/tb_topic.h"
#include "flow/store.h"
#include "model/difference.h"
#include "model/health.h"
#include "model/settings.h"
#include "model/value.h"

struct sender;

/* How it reaches the session of a device. */
struct sender_port {
	bool (*is_up)(void *ctx, size_t device);
	/* Returns the id > 0 that will be acknowledged, or negative errno: -ENOTCONN, -EMSGSIZE, -ENOMEM. */
	int (*publish)(
	    void *ctx, size_t device, enum tb_topic topic, int64_t id, const void *payload, size_t length);
	/* The connection is dead. `why` is static. sender_down() follows, not from inside this call. */
	void (*restart)(void *ctx, size_t device, const char *why);
	void *ctx;
};

/* The client-side RPC by which the server is asked for its limits has this id; no other request may have it. */
#define SENDER_LIMITS_ID 0

/* Settings, store and the port's context outlive it. Returns NULL when there is no memory. */
struct sender *sender_new(const struct settings *settings, struct store *store, struct sender_port port);
void sender_free(struct sender *sender);

/* Go on where `from`, of older settings and with the same store, has been: devices that are the same have the same on their way.
 * Only sender_free() is left to do with `from`. */
void sender_adopt(struct sender *sender, struct sender *from, const struct difference *difference);

/* What the device's session says.
 * end  enum mqtt_end, or the reason of a DISCONNECT */
void sender_up(struct sender *sender, size_t device);
void sender_down(struct sender *sender, size_t device, int end);
void sender_acked(struct sender *sender, size_t device, int id);
void sender_refused(struct sender *sender, size_t device, int id, int reason); /* MQTT 5 */
void sender_limits(struct sender *sender, size_t device, const void *payload, size_t length);

/* A message came down to the topic of the question for limits. Returns true if it is that question: a plain broker gives it back
 * to who has subscribed, and will not answer. */
bool sender_is_question(struct sender *sender, size_t device, const void *payload, size_t length);

/* An RPC request came: the server notes for a token that we have acknowledged it (but not of a device of a gateway). */
void sender_note_request(struct sender *sender, size_t device);

/* Send a message without data points, or hold it back until the server's limits let it go: replies to RPC first (held.h), while
 * the connection lasts. Returns the id > 0 that will be acknowledged, 0 if it waits, or negative errno as publish() does.
 * sender_post_values() does so with `points` client attributes, which do not wait: -EAGAIN, or -EMSGSIZE
 * if they can never be so many. */
int sender_post(
    struct sender *sender, size_t device, enum tb_topic topic, int64_t id, const void *payload, size_t length);
int sender_post_values(struct sender *sender, size_t device, unsigned points, const void *payload, size_t length);

/* Take tokens for so many messages without data points, which the caller sends himself. Returns 0, or the mono ms when there will
 * be one. */
int64_t sender_take(struct sender *sender, size_t device, unsigned messages);

/* A client attribute has this value. It goes out with the next sender_pump(). */
void sender_attribute(struct sender *sender, const struct point *point, const struct value *value);

/* Send what the device may send. To be called when it has something new. */
void sender_pump(struct sender *sender, size_t device);

/* Let those that catch up go on, as far as there is room. */
void sender_serve(struct sender *sender);

/* When sender_tick() has something to do, or CLOCK_NEVER. */
int64_t sender_due_mono_ms(const struct sender *sender);
void sender_tick(struct sender *sender, int64_t now_mono_ms);

/* Has all of one device arrived, but for attributes that wait for a connection? */
bool sender_is_idle(const struct sender *sender, size_t device);

/* What is on its way and what has arrived. */
void sender_health(const struct sender *sender, size_t device, struct health_device *ret);

/* Has everything arrived that can be sent now? */
bool sender_is_flushed(const struct sender *sender);

#endif
