/* The cloud's thread: samples -> filter -> store -> batch -> publish -> PUBACK -> forget, and what comes down (downlink.h).
 * It owns filter, store and all sessions. The field reaches it through two sinks, it reaches the field through one.
 */
#ifndef CLOUD_UPLINK_H
#define CLOUD_UPLINK_H

#include "base/resolver.h"
#include "model/command.h"
#include "model/difference.h"
#include "model/health.h"
#include "model/sample.h"
#include "model/settings.h"

#include <stdbool.h>

struct uplink;

/* The settings, the resolver and `commands`' context must outlive it. Returns NULL with errno set. */
struct uplink *uplink_new(const struct settings *settings, struct resolver *resolver);
void uplink_free(struct uplink *uplink);

/* Where the field's threads put what they have; usable from uplink_new() on, so that no sample waits for the network. */
struct sample_sink uplink_samples(struct uplink *uplink);
struct outcome_sink uplink_outcomes(struct uplink *uplink);

/* Have the server told again that the device can be claimed, as its claim in the settings says: now, or as soon as it is connected.
 * The log says when the server has it. Any thread. Returns 0; -EBUSY when too much is asked at once; -EINVAL for a name that no device
 * can have. A device that is not there, or has no claim, is passed over. */
int uplink_claim(struct uplink *uplink, const char *device);

/* Start the thread. Returns 0 or negative errno. */
int uplink_start(struct uplink *uplink, struct command_sink commands);

/* Other settings, while the thread runs: prepare, hold, pause the field, hold once more, switch. Until the switch has succeeded
 * uplink_give_up() takes everything back. The difference must live until then.
 *
 * uplink_prepare  make what the new settings need. Returns 0; -ENOMEM
 * uplink_hold     take in what the field has said so far, and let the disk come to rest. Returns 0; -ETIMEDOUT; -ECANCELED, within
 *                 a tenth of a second, when given_up() says that nobody wants it any more
 * uplink_switch   the field is paused: take in what it said, let it be taken over (`meanwhile`, in the cloud's thread, which
 *                 pushes nothing then), and go on with the new settings: devices that are the same keep session, queue and
 *                 whatever is on its way; others leave, come, or come anew. Returns 0; -ENOMEM, and nothing has changed; -EIO
 *                 if the thread has failed. */
int uplink_prepare(struct uplink *uplink, const struct difference *difference, struct command_sink commands);
int uplink_hold(struct uplink *uplink, int timeout_ms, bool (*given_up)(void));
int uplink_switch(struct uplink *uplink, void (*meanwhile)(void *ctx), void *ctx);
void uplink_give_up(struct uplink *uplink);

/* Any thread: ask how it is, as model/health.h says. The thread answers in its next turn, one that ends or has ended when it is
 * freed. Returns 0, or -EBUSY with too many questions open: then the report is still the caller's. */
int uplink_ask(struct uplink *uplink, const struct health_question *question);

/* Queues of struct chore, what the server asks of the gateway itself (cloud/chores.h), and of struct chore_done, where the
 * replies go. They stay what they are in other settings. */
struct fifo *uplink_chores(const struct uplink *uplink);
struct fifo *uplink_chores_done(const struct uplink *uplink);

/* Did the thread end by itself, because its event loop failed? It has sent SIGTERM to the process then. */
bool uplink_failed(const struct uplink *uplink);

/* When uplink_stop() is to be over. */
struct uplink_end {
	int64_t cloud_mono_ms; /* for PUBACKs, then for DISCONNECT to leave */
	int64_t disk_mono_ms;  /* for rows that have no PUBACK; not before the other */
};

/* Send what is due and await its PUBACKs, disconnect, save what has none, end the thread. What a disk has not taken in time is lost,
 * and the log says how much. */
void uplink_stop(struct uplink *uplink, struct uplink_end end);

#endif
