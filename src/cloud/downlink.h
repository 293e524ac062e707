/* What comes down: RPC requests (rpc_server.h) and shared attributes (shared.h) become commands, whose
 * outcomes come back here; so do the calls of the configuration (calls.h), which ask the server. It brings
 * each new session to where commands can arrive: subscribed, then asked for the shared attributes. Owned by
 * the cloud's thread; knows the sessions through `struct downlink_port` only, the field through a command
 * sink.
 */
#ifndef CLOUD_DOWNLINK_H
#define CLOUD_DOWNLINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cloud/commands.h"
#include "cloud/downlink_port.h"
#include "cloud/rpc_client.h"
#include "model/command.h"
#include "model/difference.h"
#include "model/health.h"
#include "model/sample.h"
#include "model/settings.h"

#define DOWNLINK_PENDING_MAX COMMANDS_MAX /* a queue of outcomes with this capacity never overflows */

struct downlink;
struct chore_done;

/* The settings and both contexts must outlive it. Returns NULL when there is no memory. */
struct downlink *downlink_new(
    const struct settings *settings, struct downlink_port port, struct command_sink commands);
void downlink_free(struct downlink *downlink);

/* Go on where `from`, of older settings, has been: what is the same goes on, whatever else waits there is
 * answered, on the sessions as they were. Commands that have no outcome are `downlink`'s, which pushes new
 * ones into its own sink. Only downlink_free() is left to do with `from`.
 *
 * downlink_adopted() is to follow once the port reaches the sessions of the new settings. */
void downlink_adopt(struct downlink *downlink, struct downlink *from, const struct difference *difference);
void downlink_adopted(struct downlink *downlink);

/* The session of a device is up: subscribe, then ask for the shared attributes. */
void downlink_up(struct downlink *downlink, size_t device);
/* on_purpose  the session was closed by us: that is no loss of the server */
void downlink_down(struct downlink *downlink, size_t device, bool on_purpose);
void downlink_subscribed(struct downlink *downlink, size_t device, int id, bool granted);
void downlink_message(
    struct downlink *downlink, size_t device, const char *topic, const void *payload, size_t length);

/* The outcome of a command that was pushed; takes its value. */
void downlink_outcome(struct downlink *downlink, struct outcome *outcome);

/* Which points' good samples downlink_sample() is to see: sets watched[point->index] of those, and leaves the others. */
void downlink_watch(const struct settings *settings, bool *watched);

/* A fresh sample of such a point: its unit answers, so what could not be written to it is tried again; or it calls. */
void downlink_sample(struct downlink *downlink, const struct sample *sample);

/* Ask the server on the device's session, as rpc_client_ask() says; -ENOTCONN if there is none. */
int downlink_ask(struct downlink *downlink, size_t device, const char *method, const char *params,
    int timeout_ms, rpc_answer *answered, void *ctx);

/* When downlink_tick() is to be called, CLOCK_NEVER if it need not. */
int64_t downlink_due_mono_ms(const struct downlink *downlink);
void downlink_tick(struct downlink *downlink);

struct downlink_counts {
	uint64_t rpc_requests;	  /* that came, repeated ones included */
	uint64_t rpc_refused;	  /* not understood, not allowed, or too many: nothing was sent */
	uint64_t rpc_repeated;	  /* answered from memory or while running */
	uint64_t replies_dropped; /* the connection that asked was gone */
	uint64_t calls;		  /* of the configuration, that came to their end */
	uint64_t calls_failed;
	uint64_t shared_written;
	uint64_t shared_refused; /* values that are none for their point */
	uint64_t not_understood; /* messages on an unknown topic, or that are no JSON */
	size_t pending;		 /* commands without an outcome now */
};
struct downlink_counts downlink_counts(const struct downlink *downlink);

/* What the gateway itself was asked is done; takes the text. */
void downlink_chore_done(struct downlink *downlink, struct chore_done *done);

/* How many RPC requests came. */
void downlink_health(const struct downlink *downlink, size_t device, struct health_device *ret);

#endif
