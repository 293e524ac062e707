/* Credentials for devices that have none yet: asked for once with the key and the secret of a device profile, kept in the state
 * directory, and used from then on. What was kept and cannot be read is never asked for again by itself.
 *
 * One device after the other, over one session of its own that is there only while somebody waits. Owned by the cloud's thread.
 */
#ifndef CLOUD_PROVISION_H
#define CLOUD_PROVISION_H

#include <stdbool.h>
#include <stddef.h>
#include <systemd/sd-event.h>

#include "cloud/keeper.h"
#include "cloud/mqtt.h"
#include "model/settings.h"

struct provisioner;

/* The others must outlive it. Reads what was kept. `ready` is called from the loop when a device has got its credentials. Returns
 * NULL with errno set. */
struct provisioner *provisioner_new(const struct settings *settings, struct keeper *keeper, sd_event *loop,
    void (*ready)(void *ctx, size_t device), void *ctx);
void provisioner_free(struct provisioner *provisioner);

/* Other settings: go on where another has been, for devices of the same name. `session`: over its session too. */
void provisioner_adopt(struct provisioner *provisioner, struct provisioner *from, bool session);

/* Ask for those that have none, over sessions of `mqtt`, which must outlive it too. Returns 0 or negative errno. */
int provisioner_start(struct provisioner *provisioner, struct mqtt *mqtt);

/* What the device shows to the server, wherever it is from; NULL while there is nothing. It lives as long as the provisioner. */
const struct credentials *provisioner_credentials(const struct provisioner *provisioner, size_t device);

#endif
