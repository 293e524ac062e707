/* How much one session may send: what ThingsBoard answers to getSessionLimits (since 3.8), kept to before it has to object,
 * because it objects by closing the connection. The server's buckets start full and are refilled evenly (its TbRateLimits);
 * ours are LIMITS_SHARE of them, which leaves the rest for what we do not see: other clocks, its own bookkeeping.
 *
 * A message with data points, telemetry or attributes, costs a token of telemetry messages and one of data points for each
 * value; any other message costs a token of messages (DefaultTransportService.checkLimits, v4.3.1.3). A gateway is told of two
 * sets of buckets: one for what it says of itself, one for what it says for its devices, all of them together
 * (DefaultTransportRateLimitService.checkLimits). Pure: time is passed in.
 */
#ifndef CLOUD_LIMITS_H
#define CLOUD_LIMITS_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LIMITS_SHARE   0.8
#define LIMITS_BUCKETS 8 /* of one kind, "10:1,300:60"; what is beyond is not kept to */
#define LIMITS_NONE    UINT_MAX

struct bucket {
	double capacity; /* of ours */
	double tokens;	 /* may be less than none */
	double per_ms;
};

/* "capacity:seconds,capacity:seconds": all of them must have what is wanted. */
struct rate {
	struct bucket buckets[LIMITS_BUCKETS];
	size_t count; /* 0 = unlimited */
	char text[128];
};

enum limits_kind { LIMITS_MESSAGES, LIMITS_TELEMETRY_MESSAGES, LIMITS_DATA_POINTS, LIMITS_KINDS };

/* Zero-initialised it is without any limit. */
struct limits {
	struct rate rates[LIMITS_KINDS];
	int64_t filled_mono_ms;
	unsigned messages;  /* that were spent on this connection */
	int in_flight_max;  /* messages without PUBACK; 0 = the server did not say */
	size_t packet_max;  /* MQTT's remaining length, topic included; 0 = it did not say */
};

/* A new connection. */
void limits_begin(struct limits *limits);

enum limits_whose { LIMITS_OF_SESSION, LIMITS_OF_ITS_DEVICES };

/* The request, and the answer of the server. What it said before is forgotten, but for what is missing in buckets that stay as
 * they were; from new ones what went before the answer is taken. An answer without a set for the devices of a gateway has one
 * for all. Returns 0, or -EINVAL when it is no answer to this request: a server that does not know it answers something else,
 * or nothing. */
#define LIMITS_REQUEST "{\"method\":\"getSessionLimits\",\"params\":{}}"
int limits_hear(
    struct limits *limits, enum limits_whose whose, const void *payload, size_t length, int64_t now_mono_ms);

/* Data points that a message can have at all, >= 1; LIMITS_NONE if that is not limited. */
unsigned limits_points_max(const struct limits *limits);

/* Data points that a message may have now; 0 = none can be sent. */
unsigned limits_room(struct limits *limits, int64_t now_mono_ms);

/* When a message with so many data points may go, at most limits_points_max(); with 0, one of the other messages. */
int64_t limits_due_mono_ms(struct limits *limits, unsigned points, int64_t now_mono_ms);

/* It is sent. What cannot wait may be sent when nothing is due, too: the others wait for it then. */
void limits_spend(struct limits *limits, unsigned points, int64_t now_mono_ms);

/* The server takes a token of messages for what it does itself, if there is one. */
void limits_lose(struct limits *limits, int64_t now_mono_ms);

/* The server's buckets are emptier than thought: so are ours. With `all` false only those of at most a minute. */
void limits_drain(struct limits *limits, bool all, int64_t now_mono_ms);

#endif
