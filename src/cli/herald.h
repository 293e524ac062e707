/* Tells the server how the gateway is, through the gateway's own device (model/gauges.h), and does what the server asks the
 * gateway itself (cloud/chores.h). Nothing happens, and nothing wakes up, if the configuration has no such device.
 * The main thread's.
 */
#ifndef CLI_HERALD_H
#define CLI_HERALD_H

#include <systemd/sd-event.h>

#include "cli/gateway.h"
#include "cli/inspector.h"

struct herald;

/* Returns 0 or negative errno. */
int herald_start(sd_event *loop, struct gateway *gateway, struct inspector *inspector, struct herald **ret);

/* The gateway has other settings. Returns 0 or -ENOMEM. */
int herald_renew(struct herald *herald);

/* NULL is fine. */
void herald_stop(struct herald *herald);

#endif
