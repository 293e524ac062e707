/* Claiming: a device says with which secret a customer may take it, once after it has connected for the first time, and again when
 * somebody asks for it. That it was said is remembered in the state directory, for this secret. Owned by the cloud's thread.
 *
 * A server that has too much at the moment (MQTT 5: "quota exceeded") is told again until it takes it.
 *
 * ThingsBoard acknowledges that it was told, not that it agrees: a device that is claimed already, or one that may not be, is only in
 * its log.
 */
#ifndef CLOUD_CLAIM_H
#define CLOUD_CLAIM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cloud/keeper.h"
#include "cloud/sender.h"
#include "model/settings.h"

struct claims;

/* All must outlive it. The port's publish() may say -EAGAIN: the server's limits have no room for it now. Returns NULL without
 * memory. */
struct claims *claims_new(const struct settings *settings, struct keeper *keeper, struct sender_port port);
void claims_free(struct claims *claims);

/* What the device's session says. _acked and _refused return whether the message was one of ours. */
void claims_up(struct claims *claims, size_t device);
void claims_down(struct claims *claims, size_t device);
bool claims_acked(struct claims *claims, size_t device, int id);
bool claims_refused(struct claims *claims, size_t device, int id, int reason);

/* When claims_tick() has something to do, or CLOCK_NEVER. */
int64_t claims_due_mono_ms(const struct claims *claims);
void claims_tick(struct claims *claims, int64_t now_mono_ms);

/* Say it again, now or as soon as the device is connected. */
void claims_repeat(struct claims *claims, size_t device);

#endif
