/* What the files of the cloud's thread have in common (uplink.h). Nobody else includes this. Owned by that thread, but for what its
 * header says of other threads.
 */
#ifndef CLOUD_UPLINK_STATE_H
#define CLOUD_UPLINK_STATE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <systemd/sd-event.h>

#include "base/fifo.h"
#include "cloud/chores.h"
#include "cloud/claim.h"
#include "cloud/downlink.h"
#include "cloud/gateway_api.h"
#include "cloud/intake.h"
#include "cloud/mqtt.h"
#include "cloud/overflow.h"
#include "cloud/presence.h"
#include "cloud/provision.h"
#include "cloud/sender.h"
#include "cloud/sieve.h"
#include "cloud/uplink.h"
#include "flow/store.h"

#define BURST 256 /* samples taken in one turn of the loop */

/* The session of one device. */
struct route {
	struct uplink *uplink;
	size_t device;
	struct session *session;
	bool was_up;
	bool leaving; /* its device is not there: it is to be closed when all has gone up */
	bool held;    /* it is closed for that */
};

/* What is made for other settings, before they are in force. */
struct change {
	const struct difference *difference;
	struct presence *presence;
	struct sieve *sieve;
	struct intake *intake;
	struct sender *sender;
	struct downlink *downlink;
	struct route *routes;
	struct mqtt *mqtt; /* NULL: sessions stay */
	struct gateway_api *gateway;
	struct provisioner *provisioner;
	struct claims *claims;
	void (*meanwhile)(void *ctx);
	void *ctx;
};

/* What the owner asks of the thread, which answers each with a number. */
enum order { ORDER_HOLD, ORDER_RELEASE, ORDER_SWITCH };

struct answer {
	enum order order;
	int result;
};

/* Somebody wants a device to be claimed again. */
struct claim_order {
	char device[4 * 64 + 1]; /* its name, of 64 characters at most */
};

enum overflow_of { OVERFLOW_STORE, OVERFLOW_AGE, OVERFLOW_DISK, OVERFLOW_SAMPLES, OVERFLOWS };

struct uplink {
	const struct settings *settings;
	struct sieve *sieve; /* the threads of the buses look through it: they stand still while it changes */
	struct intake *intake;
	struct presence *presence;
	size_t leaving; /* routes that are */
	struct store *store;
	struct sender *sender;
	struct route *routes; /* one for each device */
	struct mqtt *mqtt;
	struct gateway_api *gateway; /* the one session, or NULL: each device has its own */
	struct keeper *keeper;
	struct provisioner *provisioner;
	struct claims *claims;
	struct downlink *downlink;
	struct fifo *samples;
	struct fifo *outcomes;
	struct fifo *questions; /* struct health_question */
	struct fifo *claim_orders; /* struct claim_order */
	struct fifo *chores;	/* struct chore, of the gateway itself */
	struct fifo *done;	/* struct chore_done */
	struct fifo *stop; /* struct uplink_end */
	struct fifo *orders;
	struct fifo *answers;
	bool holding;	      /* an ORDER_HOLD has no answer */
	struct change *change;
	struct resolver *resolver;
	struct overflow overflows[OVERFLOWS];

	sd_event *loop;
	sd_event_source *samples_io, *outcomes_io, *questions_io, *claim_io, *done_io, *stop_io, *orders_io, *store_io, *timer;
	int64_t armed_mono_ms;
	pthread_t thread;
	bool running;
	atomic_bool failed;

	bool stopping;
	bool closing;
	struct uplink_end end;
	int64_t stop_mono_ms; /* the time for PUBACKs, then that for DISCONNECT, is over */

	struct sample burst[BURST];
};
/* --- uplink_session.c: the sessions of devices, and how others reach them --- */

struct sender_port uplink_sender_port(struct uplink *uplink);
struct sender_port uplink_claim_port(struct uplink *uplink);
struct downlink_port uplink_downlink_port(struct uplink *uplink);

/* One for each device, without a session. Returns NULL when there is no memory. */
struct route *uplink_make_routes(struct uplink *uplink, const struct settings *settings);

/* What all sessions stand on. Returns 0, or negative errno with *ret_mqtt NULL. */
int uplink_make_base(struct uplink *uplink, const struct settings *settings, const struct provisioner *provisioner,
    struct mqtt **ret_mqtt, struct gateway_api **ret_gateway);

/* Returns 0 or negative errno. */
int uplink_open_session(struct route *route, struct mqtt *mqtt, struct gateway_api *gateway,
    const struct provisioner *provisioner, const struct device *device);
int uplink_add_routes(struct uplink *uplink);
void uplink_close_sessions(struct route *routes, size_t count);

/* By the gateway API only the gateway has any. */
void uplink_give_credentials(struct gateway_api *gateway, struct route *route, const struct credentials *credentials);

/* A device got its credentials; for provisioner_new(). */
void uplink_on_provisioned(void *ctx, size_t device);

/* Open and close the sessions of devices that came or went. */
void uplink_serve_presence(struct uplink *uplink);

/* --- uplink_turn.c: what happens in a turn of the loop --- */

/* Have the loop watch all that it is to watch. Returns 0 or negative errno. */
int uplink_add_sources(struct uplink *uplink);

/* After whatever happened in a turn. */
void uplink_finish_turn(struct uplink *uplink);
void uplink_arm_timer(struct uplink *uplink);

/* Returns how many samples there were. */
size_t uplink_take_burst(struct uplink *uplink);
void uplink_take_outcomes(struct uplink *uplink);

/* What the intake made of them is on its way. */
void uplink_send_news(struct uplink *uplink);

/* For intake_new(). */
void uplink_on_attribute(void *ctx, const struct sample *sample);

void uplink_answer_questions(struct uplink *uplink);

/* --- uplink_change.c: other settings --- */

int uplink_on_orders(sd_event_source *source, int fd, uint32_t revents, void *userdata);
void uplink_answer_order(struct uplink *uplink, enum order order, int result);
void uplink_free_change(struct change *change);

#endif
