/* One device's part of sending: its messages in flight, its attributes, and what of it is in doubt. sender.h holds them together.
 * The cloud's thread.
 */
#ifndef CLOUD_OUTBOX_H
#define CLOUD_OUTBOX_H

#include <stdbool.h>
#include <stdint.h>

#include "base/heap.h"
#include "cloud/attributes.h"
#include "cloud/doubt.h"
#include "cloud/flights.h"
#include "cloud/held.h"
#include "cloud/limits.h"
#include "cloud/sender.h"

/* A session, and what its server allows: of one device, or of all that share it. */
struct sender_session {
	struct limits limits;	/* with what holds for the connection */
	struct limits devices;	/* of a gateway: what it may say for its devices */
	int64_t answer_mono_ms; /* until when an answer to the question for limits is awaited; 0 = it is not */
	const struct outbox *trying; /* has on its way what is in doubt: one at a time, or nobody knows whose the server did not take */
};

/* What all devices have in common. */
struct outboxes {
	const struct settings *settings;
	struct store *store;
	struct sender_port port;
	struct heap due;   /* of outbox.due */
	int flight_count;  /* over all devices */
	bool limits_untold; /* the last question for limits had no answer: this server does not know them */
	char *payload; /* TB_MAX_PAYLOAD bytes to build messages in */
};

struct outbox {
	struct outboxes *all;
	const struct device *device;
	struct sender_session *session;
	struct limits *limits; /* one of the session's */
	struct held held;
	int64_t held_said_mono_ms;
	uint64_t held_said; /* of held.dropped */
	struct attributes *attributes;
	int attributes_id; /* the message that waits for its PUBACK, or 0 */
	bool attributes_trial;
	int64_t attributes_sent_mono_ms;
	int64_t attributes_retry_mono_ms; /* those in doubt are not sent before */
	unsigned attributes_waits;
	struct flights flights;
	struct doubt doubt;
	bool overdue;	       /* a PUBACK did not come in time: the connection is being ended */
	uint64_t part_seq;     /* a row that goes in parts: what is before part_from has arrived; 0 = none does */
	size_t part_from;
	int64_t pause_mono_ms; /* "quota exceeded": nothing is sent before; 0 = no pause */
	int64_t room_mono_ms;  /* the limits let nothing go before */
	size_t payload_max;    /* beyond it the server took nothing */
	unsigned values_max;   /* the same of data points; 0 = not known */
	int64_t values_max_until_mono_ms;
	int64_t aside_said_mono_ms;
	uint64_t aside_unsaid;
	struct heap_node due; /* mono ms: when to look again */

	struct { /* since the start */
		uint64_t messages; /* of telemetry */
		uint64_t acked;
		uint64_t acked_rows;
		uint64_t refused_values; /* and set aside */
		uint64_t limit_waits;	 /* how often something waited for the server's limits */
	} counts;

	bool in_line; /* it is catching up, and waits for its turn */
	struct outbox *next_in_line;
};

/* Returns 0 or -ENOMEM.
 * limits  its own of the session's */
int outbox_init(struct outbox *outbox, struct outboxes *all, const struct device *device, struct sender_session *session,
    struct limits *limits);
void outbox_done(struct outbox *outbox);

/* Go on where `from` of older settings has been. */
void outbox_adopt(struct outbox *outbox, struct outbox *from, const struct difference *difference);

bool outbox_is_up(const struct outbox *outbox);

/* May it send, as far as it alone is concerned? */
bool outbox_may_send(struct outbox *outbox);

/* See sender_post(). */
int outbox_post(struct outbox *outbox, enum tb_topic topic, int64_t id, const void *payload, size_t length);

/* Let go of what is held back, as far as the limits allow. */
void outbox_send_held(struct outbox *outbox);

int outbox_post_values(struct outbox *outbox, unsigned points, const void *payload, size_t length);

/* See sender_take(). */
int64_t outbox_take(struct outbox *outbox, unsigned messages);

/* Send attributes that the server lacks. */
void outbox_send_attributes(struct outbox *outbox);

/* Are its limits those of others as well? */
bool outbox_shares_limits(const struct outbox *outbox);

/* Is there something that only waits for the limits? It is looked at again then. */
bool outbox_waits_for_room(struct outbox *outbox);

/* Send one message of rows. Returns 0, or negative errno if there is nothing that can go now. */
int outbox_send_rows(struct outbox *outbox);

/* See sender.h. They return whether something was waiting for that. */
void outbox_up(struct outbox *outbox);
void outbox_down(struct outbox *outbox, int end);
bool outbox_acked(struct outbox *outbox, int id);
bool outbox_refused(struct outbox *outbox, int id, int reason);

/* Its time has come: returns whether it may have something to send. */
bool outbox_due(struct outbox *outbox, int64_t now_mono_ms);

#endif
